"""The memory of owners: a file that several processes read without locks and that no kill leaves half written.

Everything here is C, which the core includes; code in guests can read the same file.
"""
