"""What runs in guests at this moment: sessions, processes, open files, and the report for somebody who is to help."""
