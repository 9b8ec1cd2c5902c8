/* What the kernel says of a file, as the memory of owners needs it: its facts, the hash of its handle, and a struct stat of them.
 *
 * Decides: what identifies an inode.  A number alone does not, since file systems give numbers of removed files out again; the file handle
 * has the inode's generation, too.
 */
#ifndef PYROOT_STORE_FACTS_H
#define PYROOT_STORE_FACTS_H

#include "mend.h"

#include <linux/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#define FACTS_FID 0x200       /* AT_HANDLE_FID */
#define FACTS_OVERLAY 0x794c7630

typedef struct {
    uint64_t dev, ino, btime;
    uint32_t uid, gid, mode, rdev, nlink;
    struct statx x;
} file_facts;

static uint64_t facts_time(const struct statx_timestamp *t) { return (uint64_t)t->tv_sec * 1000000000u + t->tv_nsec; }

/* The same of a struct stat, where statx(2) is refused. */
static void facts_of_stat(struct statx *x, const struct stat *st)
{
    memset(x, 0, sizeof *x);
    x->stx_mask = STATX_BASIC_STATS;
    x->stx_blksize = (uint32_t)st->st_blksize;
    x->stx_nlink = (uint32_t)st->st_nlink;
    x->stx_uid = st->st_uid, x->stx_gid = st->st_gid, x->stx_mode = (uint16_t)st->st_mode;
    x->stx_ino = st->st_ino, x->stx_size = (uint64_t)st->st_size, x->stx_blocks = (uint64_t)st->st_blocks;
    x->stx_atime.tv_sec = st->st_atim.tv_sec, x->stx_atime.tv_nsec = (uint32_t)st->st_atim.tv_nsec;
    x->stx_mtime.tv_sec = st->st_mtim.tv_sec, x->stx_mtime.tv_nsec = (uint32_t)st->st_mtim.tv_nsec;
    x->stx_ctime.tv_sec = st->st_ctim.tv_sec, x->stx_ctime.tv_nsec = (uint32_t)st->st_ctim.tv_nsec;
    x->stx_rdev_major = major(st->st_rdev), x->stx_rdev_minor = minor(st->st_rdev);
    x->stx_dev_major = major(st->st_dev), x->stx_dev_minor = minor(st->st_dev);
}

/* Look at a path, or at a descriptor (""), for what the mask asks for besides; 0 or -errno. */
static int facts_look(int fd, const char *path, int flags, uint32_t mask, file_facts *f)
{
    struct stat st;
    flags |= path[0] ? 0 : AT_EMPTY_PATH;
    if (syscall(SYS_statx, fd, path, flags | AT_NO_AUTOMOUNT, mask | STATX_BASIC_STATS | STATX_BTIME, &f->x) < 0) {
        if (errno != ENOSYS && errno != EPERM && errno != EINVAL) return -errno;
        if (fstatat(fd, path, &st, flags & (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) < 0) return -errno;
        facts_of_stat(&f->x, &st);
    }
    f->dev = makedev(f->x.stx_dev_major, f->x.stx_dev_minor);
    f->ino = f->x.stx_ino;
    f->btime = f->x.stx_mask & STATX_BTIME ? facts_time(&f->x.stx_btime) : 0;
    f->uid = f->x.stx_uid, f->gid = f->x.stx_gid, f->mode = f->x.stx_mode, f->nlink = f->x.stx_nlink;
    f->rdev = f->x.stx_rdev_major << 20 | (f->x.stx_rdev_minor & 0xfffff);
    return 0;
}

/* Say whether a file lies in an overlay of the kernel's, whose files are others after their copy-up. */
static int facts_in_overlay(int fd, uint64_t dev)
{
    static uint64_t known;
    static int yes;
    struct statfs fs;
    if (dev != known || !dev) {
        yes = fstatfs(fd, &fs) == 0 && fs.f_type == FACTS_OVERLAY;
        known = dev;
    }
    return yes;
}

/* Return the hash of a file's handle, 0 if there is none; `before` it is recorded: an overlay gives another one after its copy-up. */
static uint64_t facts_handle(int fd, int before)
{
    struct { unsigned bytes; int type; unsigned char data[128]; } handle;
    struct stat st;
    struct timespec times[2];
    char link[40];
    int mount, flags = AT_EMPTY_PATH;
    if (before && fstat(fd, &st) == 0 && !S_ISLNK(st.st_mode)) {
        times[0] = st.st_atim, times[1] = st.st_mtim;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        utimensat(AT_FDCWD, link, times, 0);
    }
    for (;;) {
        handle.bytes = sizeof handle.data;
        if (syscall(SYS_name_to_handle_at, fd, "", &handle, &mount, flags) == 0)
            return (store_bytes_hash(handle.data, handle.bytes) ^ (uint64_t)handle.type << 56) | 1;
        if (errno != EOPNOTSUPP || flags & FACTS_FID) return 0;
        flags |= FACTS_FID;
    }
}

/* Write them as stat(2) of x86_64 does. */
static void facts_stat(const file_facts *f, struct stat *st)
{
    const struct statx *x = &f->x;
    memset(st, 0, sizeof *st);
    st->st_dev = (uint32_t)((x->stx_dev_minor & 0xff) | x->stx_dev_major << 8 | (x->stx_dev_minor & ~0xffu) << 12);
    st->st_ino = x->stx_ino, st->st_nlink = x->stx_nlink, st->st_mode = f->mode, st->st_uid = f->uid, st->st_gid = f->gid;
    st->st_rdev = (f->rdev & 0xff) | (f->rdev >> 20) << 8 | (f->rdev & 0xfff00) << 12;
    st->st_size = (off_t)x->stx_size, st->st_blksize = x->stx_blksize, st->st_blocks = (blkcnt_t)x->stx_blocks;
    st->st_atim.tv_sec = x->stx_atime.tv_sec, st->st_atim.tv_nsec = x->stx_atime.tv_nsec;
    st->st_mtim.tv_sec = x->stx_mtime.tv_sec, st->st_mtim.tv_nsec = x->stx_mtime.tv_nsec;
    st->st_ctim.tv_sec = x->stx_ctime.tv_sec, st->st_ctim.tv_nsec = x->stx_ctime.tv_nsec;
}

/* Write what differs from the disk into a struct statx, and take out what has not been asked for. */
static void facts_statx(file_facts *f, uint32_t asked, uint32_t uid, uint32_t gid, uint32_t mode, uint32_t rdev)
{
    if (!(asked & STATX_BTIME)) {
        f->x.stx_mask &= ~(uint32_t)STATX_BTIME;
        memset(&f->x.stx_btime, 0, sizeof f->x.stx_btime);
    }
    f->x.stx_uid = uid, f->x.stx_gid = gid, f->x.stx_mode = (uint16_t)mode;
    f->x.stx_rdev_major = rdev >> 20, f->x.stx_rdev_minor = rdev & 0xfffff;
}

#endif
