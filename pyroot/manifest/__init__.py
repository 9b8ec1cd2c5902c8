"""What a root consists of, recorded: snapshots, what differs between two, and the checklist of a root that works."""
