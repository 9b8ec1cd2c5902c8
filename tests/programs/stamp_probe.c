/* stampat, the call of docs/HOWTO-add-a-syscall.md: prints its result, the errno, and what it has written. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    unsigned long long stamp = 1;
    long result = syscall(argc > 2 ? atol(argv[1]) : -1, AT_FDCWD, argv[2], 0, &stamp);

    printf("%ld %d %llu\n", result, errno, stamp);
    return 0;
}
