"""`pyroot trace`: what the programs of a guest ask of the kernel, in strace's form and in guest paths."""
