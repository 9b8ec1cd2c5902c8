"""What a root consists of, written down: snapshots, what differs between two, and the checklist of a root that works."""
