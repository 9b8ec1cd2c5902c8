/* Loaded into guests (LD_PRELOAD): writes to the file that ACKED names what a change of owner or mode is about to make of a
 * file, and, once the call has returned, what the file is then.  "try|done INODE BIRTH UID GID MODE": a line is one write(2). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int out(void)
{
    static int fd = -2, of;
    if (fd == -2 || of != getpid()) {
        const char *name = getenv("ACKED");
        fd = name ? open(name, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
        of = getpid();
    }
    return fd;
}

static void say(const char *word, int dirfd, const char *path, int flags, long uid, long gid, long mode)
{
    struct statx x;
    char line[160];
    int n, fd = out();
    if (fd < 0 || statx(dirfd, path, flags, STATX_BASIC_STATS | STATX_BTIME, &x) < 0) return;
    if (uid == -1) uid = x.stx_uid;
    if (gid == -1) gid = x.stx_gid;
    if (mode == -1) mode = x.stx_mode & 07777;
    n = snprintf(line, sizeof line, "%s %llu %lld.%09u %ld %ld %lo\n", word, (unsigned long long)x.stx_ino, (long long)x.stx_btime.tv_sec,
                 x.stx_btime.tv_nsec, uid, gid, mode);
    if (write(fd, line, (size_t)n) != n) abort();
}

#define REAL(name, ...) static int (*real)(__VA_ARGS__); if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

static long id(unsigned value) { return value == (unsigned)-1 ? -1 : (long)value; }

static int owner(int dirfd, const char *path, unsigned uid, unsigned gid, int flags)
{
    REAL("fchownat", int, const char *, unsigned, unsigned, int);
    int result;
    say("try", dirfd, path, flags & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH), id(uid), id(gid), -1);
    result = real(dirfd, path, uid, gid, flags);
    if (result == 0) say("done", dirfd, path, flags & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH), -1, -1, -1);
    return result;
}

int fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags) { return owner(dirfd, path, uid, gid, flags); }
int chown(const char *path, uid_t uid, gid_t gid) { return owner(AT_FDCWD, path, uid, gid, 0); }
int lchown(const char *path, uid_t uid, gid_t gid) { return owner(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW); }
int fchown(int fd, uid_t uid, gid_t gid) { return owner(fd, "", uid, gid, AT_EMPTY_PATH); }

int fchmod(int fd, mode_t mode)
{
    REAL("fchmod", int, mode_t);
    int result;
    say("try", fd, "", AT_EMPTY_PATH, -1, -1, mode & 07777);
    result = real(fd, mode);
    if (result == 0) say("done", fd, "", AT_EMPTY_PATH, -1, -1, -1);
    return result;
}

int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
    REAL("fchmodat", int, const char *, mode_t, int);
    int result;
    say("try", dirfd, path, flags & AT_SYMLINK_NOFOLLOW, -1, -1, mode & 07777);
    result = real(dirfd, path, mode, flags);
    if (result == 0) say("done", dirfd, path, flags & AT_SYMLINK_NOFOLLOW, -1, -1, -1);
    return result;
}

int chmod(const char *path, mode_t mode) { return fchmodat(AT_FDCWD, path, mode, 0); }
