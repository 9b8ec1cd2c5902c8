/* Copying up: what a lower layer has becomes UPPER's, whole or not at all.
 *
 * Everything is made in the directory for work, or without a name, and gets its name in one step; so a kill leaves either nothing or the
 * whole. The lower file is only read.
 */
#ifndef PYROOT_LAYERS_RAISE_H
#define PYROOT_LAYERS_RAISE_H

#include "layers.h"

#define RAISE_CHUNK     (1 << 20)
#define RAISE_GETUUID   0x80111500      /* FS_IOC_GETFSUUID (Linux 6.9) */

/* A directory of UPPER that has been opened to us for a moment: its owner may have closed it. */
typedef struct {
    char path[LAYERS_PATH];
    unsigned int mode;
    int changed;
    struct timespec times[2];
} raise_door;

/* Told of each file that has been copied up: the lower one, and UPPER's; NULL: nobody asks. */
static void (*raise_told)(const char *, const char *);

static void layers_tell_raised(void (*told)(const char *, const char *)) { raise_told = told; }

static void raise_parent(const char *path, char *to)
{
    char *slash;
    snprintf(to, LAYERS_PATH, "%s", path);
    slash = strrchr(to, '/');
    if (slash) *(slash == to ? slash + 1 : slash) = 0;
}

/* Open the directory of a path of UPPER for a change of its names; its times are kept if `times`. */
static int raise_open(raise_door *d, const char *path)
{
    struct stat st;
    raise_parent(path, d->path);
    d->changed = 0;
    if (lstat(d->path, &st) < 0) return -errno;
    d->mode = st.st_mode & 07777;
    d->times[0] = st.st_atim, d->times[1] = st.st_mtim;
    if ((st.st_mode & 0300) == 0300 || st.st_uid != geteuid()) return 0;
    if (chmod(d->path, d->mode | 0700) < 0) return -errno;
    d->changed = 1;
    return 0;
}

static void raise_close(raise_door *d, int times)
{
    int error = errno;
    if (times) utimensat(AT_FDCWD, d->path, d->times, AT_SYMLINK_NOFOLLOW);
    if (d->changed) chmod(d->path, d->mode);
    errno = error;
}

static void raise_name(layers *l, char *to) { snprintf(to, LAYERS_PATH, "%s/%u", l->work, ++l->made); }

/* Copy the attributes of a file; those that we may not set, or that are overlayfs' own, are left out. 0 or -errno. */
static int raise_xattrs(const char *from, const char *to)
{
    static char names[65536], value[65536];
    ssize_t n = llistxattr(from, names, sizeof names), k;

    for (char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
        if (!strncmp(name, LAYERS_OWN, strlen(LAYERS_OWN))) continue;
        k = lgetxattr(from, name, value, sizeof value);
        if (k < 0) continue;
        if (setxattr(to, name, value, (size_t)k, 0) < 0 && (errno == ENOSPC || errno == EDQUOT)) return -errno;
    }
    return 0;
}

/* Write where a file was copied up from, as overlayfs does: then its mounts, too, show the number of the lower file. As good as it gets. */
static void raise_origin(const char *from, const char *to)
{
    struct { unsigned int bytes; int type; unsigned char handle[MAX_HANDLE_SZ]; } h = {.bytes = MAX_HANDLE_SZ};
    struct { unsigned char len, uuid[16]; } id = {0};
    struct { unsigned char version, magic, len, flags, type, uuid[16], fid[MAX_HANDLE_SZ]; } fh = {.magic = 0xfb};
    int mount, fd;

    if (name_to_handle_at(AT_FDCWD, from, (struct file_handle *)&h, &mount, 0) < 0 || h.bytes > 100) return;
    fd = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return;
    if (ioctl(fd, RAISE_GETUUID, &id) == 0 && id.len == sizeof fh.uuid) {
        fh.len = (unsigned char)(5 + sizeof fh.uuid + h.bytes), fh.type = (unsigned char)h.type;
        memcpy(fh.uuid, id.uuid, sizeof fh.uuid);
        memcpy(fh.fid, h.handle, h.bytes);
        setxattr(to, "user.overlay.origin", &fh, fh.len, 0);
    }
    close(fd);
}

/* Give what has been made the owner, mode, attributes and times of the lower file. 0 or -errno. */
static int raise_status(const char *from, const struct stat *st, const char *to)
{
    char number[24];
    struct timespec times[2] = {st->st_atim, st->st_mtim};
    int link = S_ISLNK(st->st_mode), error = link ? 0 : raise_xattrs(from, to);

    if (!error && S_ISREG(st->st_mode)) {
        snprintf(number, sizeof number, "%llu", (unsigned long long)st->st_ino);
        if (setxattr(to, LAYERS_ORIGIN, number, strlen(number), 0) < 0) error = -errno;
        else raise_origin(from, to);
    }
    if (error) return error;
    if (st->st_uid != geteuid() || st->st_gid != getegid()) {
        /* (an ordinary user cannot give files away: then they are that user's) */
        int left = link ? lchown(to, st->st_uid, st->st_gid) : chown(to, st->st_uid, st->st_gid);
        if (left < 0 && (link ? lchown(to, (uid_t)-1, st->st_gid) : chown(to, (uid_t)-1, st->st_gid)) < 0 && errno != EPERM) return -errno;
    }
    if (!link && chmod(to, st->st_mode & 07777) < 0) return -errno;
    return utimensat(AT_FDCWD, to, times, link ? AT_SYMLINK_NOFOLLOW : 0) < 0 ? -errno : 0;
}

static int raise_range(int from, int to, off_t at, off_t end)
{
    static char buffer[RAISE_CHUNK];
    off_t out = at;
    ssize_t n;

    while (at < end) {
        n = copy_file_range(from, &at, to, &out, (size_t)(end - at), 0);
        if (n > 0) continue;
        if (n == 0) break;
        if (errno == ENOSPC || errno == EDQUOT || errno == EIO) return -errno;
        n = pread(from, buffer, (size_t)(end - at < RAISE_CHUNK ? end - at : RAISE_CHUNK), at);
        if (n <= 0) return n < 0 ? -errno : 0;
        for (ssize_t k = 0, m; k < n; k += m)
            if ((m = pwrite(to, buffer + k, (size_t)(n - k), at + k)) <= 0) return m < 0 ? -errno : -ENOSPC;
        at += n, out = at;
    }
    return 0;
}

/* Copy what a file holds; holes stay holes. 0 or -errno. */
static int raise_data(int from, int to, off_t size)
{
    off_t at = 0, end;
    int error;

    if (size == 0 || ioctl(to, FICLONE, from) == 0) return 0;
    while (at < size) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;
        if (data < 0) data = at;
        end = lseek(from, data, SEEK_HOLE);
        if (end < 0 || end > size) end = size;
        if ((error = raise_range(from, to, data, end)) < 0) return error;
        at = end;
    }
    return ftruncate(to, size) < 0 ? -errno : 0;
}

/* Copy a regular file up to a path of UPPER, where nothing is. 0 or -errno. */
static int raise_file(layers *l, const char *from, const struct stat *st, const char *to)
{
    char name[64], made[LAYERS_PATH] = "";
    struct stat now;
    int error = 0, in, out;

    in = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
    if (in < 0 && errno == EPERM) in = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (in < 0) return -errno;
    out = open(l->work, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (out < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        raise_name(l, made);
        out = open(made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (out < 0) error = -errno;
    snprintf(name, sizeof name, "/proc/self/fd/%d", out);
    if (!error) error = raise_data(in, out, st->st_size);
    /* (attributes go by the link of the descriptor, which is followed) */
    if (!error) error = raise_status(from, st, made[0] ? made : name);
    if (!error && (made[0] ? rename(made, to) : linkat(AT_FDCWD, name, AT_FDCWD, to, AT_SYMLINK_FOLLOW)) < 0) error = -errno;
    if (!error && fstat(out, &now) == 0) layers_mark_number(now.st_ino);
    if (error && made[0]) unlink(made);
    if (out >= 0) close(out);
    close(in);
    return error;
}

/* Copy something else than a regular file up. 0 or -errno. */
static int raise_other(layers *l, const char *from, const struct stat *st, const char *to)
{
    char made[LAYERS_PATH], text[LAYERS_PATH];
    struct stat now;
    ssize_t n;
    int error = 0;

    raise_name(l, made);
    if (S_ISDIR(st->st_mode)) {
        if (mkdir(made, 0700) < 0) return -errno;
    } else if (S_ISLNK(st->st_mode)) {
        n = readlink(from, text, sizeof text - 1);
        if (n < 0) return -errno;
        text[n] = 0;
        if (symlink(text, made) < 0) return -errno;
    } else if (mknod(made, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0) {
        return -errno;
    }
    error = raise_status(from, st, made);
    if (!error && lstat(made, &now) < 0) error = -errno;
    if (!error) layers_mark_number(now.st_ino);
    if (!error && S_ISDIR(st->st_mode)) {
        /* (a directory that changes its parent has to be writable) */
        if (!(st->st_mode & 0200) && chmod(made, (st->st_mode & 07777) | 0700) < 0) error = -errno;
        if (!error && rename(made, to) < 0) error = -errno;
        if (!error && !(st->st_mode & 0200)) chmod(to, st->st_mode & 07777);
        if (error) rmdir(made);
        return error;
    }
    if (!error && rename(made, to) < 0) error = -errno;
    if (error) unlink(made);
    else layers_note_number(l, now.st_ino, st->st_ino);
    return error;
}

/* See to it that a place of the tree, and all directories above it, are UPPER's. 0 or -errno. */
static int layers_raise(layers *l, const char *rel, size_t n)
{
    char from[LAYERS_PATH], to[LAYERS_PATH];
    layers_found f;
    raise_door door;
    struct stat st;
    size_t i = 0, j;
    int error;

    while (i < n) {
        for (j = i + 1; j < n && rel[j] != '/'; j++)
            ;
        if ((error = layers_look(l, rel, j, &f, &st)) < 0) return error;
        if (f.attr > 0) {
            if ((error = layers_path(l, f.attr, rel, j, from)) < 0 || (error = layers_path(l, 0, rel, j, to)) < 0) return error;
            layers_mark(rel + i + 1, j - i - 1);
            layers_mark_number(st.st_ino);
            if ((error = raise_open(&door, to)) < 0) return error;
            error = S_ISREG(st.st_mode) ? raise_file(l, from, &st, to) : raise_other(l, from, &st, to);
            raise_close(&door, 1);
            if (error < 0) return error;
            if (raise_told) raise_told(from, to);
        }
        i = j;
    }
    return 0;
}

#endif
