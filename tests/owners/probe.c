/* Random calls that make files and change their owners, modes and attributes, each with what came of it: run as root in a chroot and as
 * fake root in the same root, the lines are the same.  probe SEED COUNT [users]: everything happens in the working directory; with "users" it
 * is now one user and now another. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <dirent.h>
#include <grp.h>

static int users;
static uint64_t state;
static unsigned below(unsigned n)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(state >> 33) % n;
}

static const char *names[] = {"a", "b", "c", "d", "e", "f", "d/a", "d/b", "e/c", "d/e", "d/e/a", "./a", "d/../b", "e/", "missing/x"};
#define NAMES (sizeof names / sizeof *names)
static const unsigned modes[] = {0, 0644, 0755, 04755, 02755, 06711, 0444, 0555, 0600, 01777, 02644, 0111, 0001, 07777, 0200, 02070};
static const unsigned ids[] = {0, 0, 1, 5, 42, 1000, 65534, 70000, (unsigned)-1, 33};
static int fds[4] = {-1, -1, -1, -1};

static const char *name(void) { return names[below(NAMES)]; }
static unsigned mode(void) { return modes[below(sizeof modes / sizeof *modes)]; }
static unsigned id(void) { return ids[below(sizeof ids / sizeof *ids)]; }

static void say(const char *what, const char *of, long result)
{
    printf("%s %s: %d %d\n", what, of, result < 0 ? -1 : 0, result < 0 ? errno : 0);
}

static void show(const char *of, int dirfd, const char *path, int flags)
{
    struct stat st;
    char names_[4096];
    ssize_t n;
    if (fstatat(dirfd, path, &st, flags) < 0) {
        printf("  stat %s: %d\n", of, errno);
        return;
    }
    printf("  stat %s: %o %u:%u %u:%u nlink %u size %lld", of, st.st_mode, st.st_uid, st.st_gid, major(st.st_rdev), minor(st.st_rdev),
           (unsigned)(S_ISDIR(st.st_mode) ? 0 : st.st_nlink), (long long)(S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? st.st_size : 0));
    if (path[0] && (n = llistxattr(path, names_, sizeof names_)) > 0) {
        unsigned sum = 0;
        int count = 0;
        for (char *p = names_; p < names_ + n; p += strlen(p) + 1, count++) {
            char value[256];
            ssize_t size = lgetxattr(path, p, value, sizeof value);
            unsigned one = 0;
            for (char *q = p; *q; q++) one = one * 31 + (unsigned char)*q;
            for (ssize_t i = 0; i < size; i++) one = one * 37 + (unsigned char)value[i];
            sum += one + (unsigned)size;
        }
        printf(" xattrs %d %u", count, sum);
    }
    puts("");
}

static void attribute(void)
{
    static const char *attrs[] = {"trusted.t", "user.u", "security.capability", "system.posix_acl_access", "trusted.z", "system.posix_acl_default"};
    static const unsigned char caps[] = {1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const unsigned char plain[] = {2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255};
    static const unsigned char named[] = {2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 5, 0, 5, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
                                          16, 0, 5, 0, 255, 255, 255, 255, 32, 0, 1, 0, 255, 255, 255, 255};
    unsigned which = below(6);
    const void *value = which == 2 ? (const void *)caps : which == 3 || which == 5 ? (const void *)(below(2) ? plain : named) : "value";
    size_t size = which == 2 ? sizeof caps : value == plain ? sizeof plain : value == named ? sizeof named : 5;
    const char *of = name();
    char got[256];
    if (which == 3 && value == (const void *)"value") value = plain, size = sizeof plain;
    switch (below(5)) {
    case 0: say(attrs[which], of, removexattr(of, attrs[which])); break;
    case 1: say(attrs[which], of, lsetxattr(of, attrs[which], value, size, below(3))); break;
    case 2: say(attrs[which], of, getxattr(of, attrs[which], got, below(2) ? sizeof got : 3)); break;
    default: say(attrs[which], of, setxattr(of, attrs[which], value, size, 0));
    }
}

/* What has been opened for writing is written to: as fake root capabilities go at the open already.  A device is the host's own. */
static int settle(int fd)
{
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode)) {
        close(fd);
        return -1;
    }
    if (fd >= 0 && (fcntl(fd, F_GETFL) & (O_ACCMODE | O_PATH)) && write(fd, "x", 1) < 0) return fd;
    return fd;
}

static void descriptor(void)
{
    unsigned i = below(4);
    const char *of = name();
    if (fds[i] < 0 || below(4) == 0) {
        static const int how[] = {O_RDONLY, O_RDWR, O_WRONLY, O_RDONLY | O_DIRECTORY, O_PATH, O_RDWR | O_CREAT, O_WRONLY | O_CREAT | O_EXCL, O_RDWR | O_TRUNC};
        if (fds[i] >= 0) close(fds[i]);
        fds[i] = open(of, how[below(8)] | O_NONBLOCK | O_CLOEXEC, mode());
        say("open", of, fds[i]);
        fds[i] = settle(fds[i]);
        return;
    }
    switch (below(6)) {
    case 0: say("fchmod", "", fchmod(fds[i], mode())); break;
    case 1: say("fchown", "", fchown(fds[i], id(), id())); break;
    case 2: say("fchownat", "", fchownat(fds[i], "", id(), id(), AT_EMPTY_PATH)); break;
    case 3: say("fsetxattr", "", fsetxattr(fds[i], "trusted.f", "x", 1, 0)); break;
    case 4: if (!users) say("write", "", write(fds[i], "x", 1)); /* (a write of another user than who has opened it takes set-id bits) */
        break;
    default: break;
    }
    show("fd", fds[i], "", AT_EMPTY_PATH);
}

static void owner(const char *what, const char *of, int (*change)(const char *, uid_t, gid_t))
{
    unsigned uid = id(), gid = id();
    printf("%d:%d ", (int)uid, (int)gid);
    say(what, of, change(of, uid, gid));
}

static void one(void)
{
    const char *of = name(), *to = name();
    static const dev_t devices[] = {0x103, 0x801, 0x105, 0x4567};
    long result;
    switch (below(24)) {
    case 0: case 1: result = open(of, O_CREAT | O_RDWR | O_NONBLOCK | O_CLOEXEC, mode()); say("creat", of, result); result = settle((int)result);
        if (result >= 0) close((int)result);
        break;
    case 2: case 3: say("mkdir", of, mkdir(of, mode())); break;
    case 4: say("symlink", of, symlink("a", of)); break;
    case 5: say("mknod", of, mknod(of, (below(2) ? S_IFCHR : S_IFBLK) | mode(), devices[below(4)])); break;
    case 6: say("mkfifo", of, mknod(of, (below(2) ? S_IFIFO : S_IFREG) | mode(), 0)); break;
    case 7: printf("%s ", to); say("link", of, link(of, to)); break;
    case 8: case 9: printf("%s ", to); say("rename", of, rename(of, to)); break;
    case 10: say("unlink", of, unlink(of)); break;
    case 11: say("rmdir", of, rmdir(of)); break;
    case 12: case 13: say("chmod", of, chmod(of, mode())); break;
    case 14: case 15: owner("chown", of, chown); break;
    case 16: owner("lchown", of, lchown); break;
    case 17: say("access", of, access(of, (int)below(8))); break;
    case 18: say("fchmodat", of, syscall(SYS_fchmodat, AT_FDCWD, of, mode())); break;
    case 19: attribute(); break;
    case 20: case 21: descriptor(); break;
    case 22: say("truncate", of, truncate(of, 3)); break;
    default: say("utimes", of, utimensat(AT_FDCWD, of, NULL, 0)); break;
    }
    show(of, AT_FDCWD, of, AT_SYMLINK_NOFOLLOW);
    if (below(3) == 0) show(to, AT_FDCWD, to, 0);
}

/* Be another user for a while: the saved id stays 0, so that the way back is open. */
static void become(void)
{
    static const unsigned who[] = {0, 5, 42, 1000};
    unsigned uid = who[below(4)], gid = who[below(4)], real = below(3) ? uid : 0;
    gid_t groups[2] = {who[below(4)], who[below(4)]};
    setresuid(0, 0, 0);
    setgroups(below(3), groups);
    setresgid(gid, gid, 0);
    if (below(5) == 0) setfsuid(uid);
    else setresuid(real, uid, 0);
    umask(below(2) ? 022 : 027);
    printf("now %u (%u) %u\n", uid, real, gid);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void all(const char *folder, int depth)
{
    struct dirent **list;
    char path[4096];
    int n = scandir(folder, &list, NULL, by_name);
    for (int i = 0; i < n; i++) {
        if (!strcmp(list[i]->d_name, ".") || !strcmp(list[i]->d_name, "..")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name);
        printf("%d ", list[i]->d_type == DT_BLK ? DT_CHR : list[i]->d_type);
        show(path, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
        if (list[i]->d_type == DT_DIR && depth < 8) all(path, depth + 1);
    }
}

int main(int argc, char **argv)
{
    int count = argc > 2 ? atoi(argv[2]) : 100;
    state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    users = argc > 3;
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    umask(022);
    for (int i = 0; i < count; i++) {
        if (users && below(8) == 0) become();
        printf("%d ", i);
        one();
    }
    if (users) setresuid(0, 0, 0), setresgid(0, 0, 0), setgroups(0, NULL);
    all(".", 0);
    return 0;
}
