/* Prints whom a file belongs to by every call that tells, made without the C library's help where that would choose another. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct old { unsigned short dev, ino, mode, nlink, uid, gid, rdev; unsigned size, atime, mtime, ctime; };

static unsigned at(const void *buffer, int offset, int size)
{
    unsigned value = 0;
    memcpy(&value, (const char *)buffer + offset, size);
    return value;
}

static void tell(const char *name, long result, const void *buffer, int offset, int size)
{
    printf("%s %ld %u\n", name, result, at(buffer, offset, size));
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "/";
    char b[512];
    int fd = open(path, O_RDONLY), times;
#define TELL(name, offset, size, ...) (memset(b, 0, sizeof b), tell(#name, syscall(SYS_##name, __VA_ARGS__), b, offset, size))
    for (times = 0; times < 3; times++) {   /* the second time a site may have been led through the gate */
#ifdef __x86_64__
        TELL(stat, 28, 4, path, b);
        TELL(lstat, 28, 4, path, b);
        TELL(fstat, 28, 4, fd, b);
        TELL(newfstatat, 28, 4, AT_FDCWD, path, b, 0);
        TELL(newfstatat, 28, 4, fd, "", b, AT_EMPTY_PATH);
#else
        TELL(oldstat, 8, 2, path, b);
        TELL(oldlstat, 8, 2, path, b);
        TELL(oldfstat, 8, 2, fd, b);
        TELL(stat, 12, 2, path, b);
        TELL(lstat, 12, 2, path, b);
        TELL(fstat, 12, 2, fd, b);
        TELL(stat64, 24, 4, path, b);
        TELL(lstat64, 24, 4, path, b);
        TELL(fstat64, 24, 4, fd, b);
        TELL(fstatat64, 24, 4, AT_FDCWD, path, b, 0);
#endif
        TELL(statx, 20, 4, AT_FDCWD, path, 0, 0x7ff, b);
        TELL(statx, 20, 4, fd, "", AT_EMPTY_PATH, 0x7ff, b);
    }
    tell("missing", syscall(SYS_statx, AT_FDCWD, "/nothing", 0, 0x7ff, memset(b, 0, sizeof b)), b, 20, 4);
    return 0;
}
