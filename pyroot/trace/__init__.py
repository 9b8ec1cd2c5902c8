"""`pyroot trace`: the system calls of guest programs, in strace's form and with guest paths."""
