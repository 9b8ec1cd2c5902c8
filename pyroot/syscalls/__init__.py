"""The system call table: which calls take, return or bypass paths, and what pyroot does about each.

``table`` holds one row per call, ``numbers_x86_64`` the numbers of one architecture, ``generate`` turns both into the C tables and
the seccomp filter of the compiled core.  Nothing here runs when a guest is started.
"""
