/* What every file of one file system is, by its inode and its birth: births DIRECTORY.  "INODE BIRTH UID GID MODE" each. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int show(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    struct statx x;
    (void)st, (void)kind, (void)at;
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &x) == 0)
        printf("%llu %lld.%09u %u %u %o\n", (unsigned long long)x.stx_ino, (long long)x.stx_btime.tv_sec, x.stx_btime.tv_nsec, x.stx_uid, x.stx_gid,
               x.stx_mode);
    return 0;
}

int main(int argc, char **argv)
{
    return nftw(argc > 1 ? argv[1] : "/", show, 64, FTW_PHYS | FTW_MOUNT);
}
