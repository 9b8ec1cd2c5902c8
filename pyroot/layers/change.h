/* Names of an overlay's tree, made, removed and moved: UPPER changes by single steps, of which each leaves a whole tree.
 *
 * What a lower layer has and the tree shall not is hidden by a whiteout; a directory that is made where a lower one was is opaque. The
 * caller has seen to it that the directories of the names are UPPER's (layers_raise), and that the one who asks may do it.
 */
#ifndef PYROOT_LAYERS_CHANGE_H
#define PYROOT_LAYERS_CHANGE_H

#include "merge.h"
#include "raise.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#define RENAME_WHITEOUT 4
#endif

typedef struct {
    unsigned int mode, umask;
    dev_t dev;
    const char *target;                 /* of a symbolic link */
} change_new;

static int change_rename_to(const char *from, const char *to, unsigned int flags)
{
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags) < 0 ? -errno : 0;
}

static int change_create(const char *path, const change_new *c)
{
    if (S_ISDIR(c->mode)) return mkdir(path, c->mode & 01777) < 0 ? -errno : 0;
    if (S_ISLNK(c->mode)) return symlink(c->target, path) < 0 ? -errno : 0;
    return mknod(path, c->mode, c->dev) < 0 ? -errno : 0;
}

/* Let a directory of UPPER hide the lower ones. */
static int change_opaque(const char *path)
{
    struct stat st;
    int error;
    if (lsetxattr(path, LAYERS_OPAQUE, "y", 1, 0) == 0) return 0;
    if (errno != EACCES || lstat(path, &st) < 0 || chmod(path, (st.st_mode & 07777) | 0700) < 0) return -errno;
    error = lsetxattr(path, LAYERS_OPAQUE, "y", 1, 0) < 0 ? -errno : 0;
    chmod(path, st.st_mode & 07777);
    return error;
}

/* Remove what UPPER no longer needs: a directory with nothing but whiteouts in it, or a file. */
static void change_clear(const char *path)
{
    char deep[LAYERS_PATH];
    struct dirent *e;
    DIR *dir;

    if (unlink(path) == 0 || rmdir(path) == 0) return;
    chmod(path, 0700);
    dir = opendir(path);
    while (dir && (e = readdir(dir)))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && snprintf(deep, sizeof deep, "%s/%s", path, e->d_name) < (int)sizeof deep)
            change_clear(deep);
    if (dir) closedir(dir);
    rmdir(path);
}

/* Make something new where UPPER has a whiteout: whole, in one step. */
static int change_over(layers *l, const char *to, const char *parent, const change_new *c)
{
    char made[LAYERS_PATH];
    struct stat st;
    int error, directory = S_ISDIR(c->mode);

    raise_name(l, made);
    if ((error = change_create(made, c)) < 0) return error;
    if (lstat(parent, &st) == 0 && st.st_mode & S_ISGID) {
        if (lchown(made, (uid_t)-1, st.st_gid) < 0 || (directory && chmod(made, (c->mode & ~c->umask & 01777) | S_ISGID) < 0)) error = -errno;
    }
    if (!error && directory) error = change_opaque(made);
    if (!error && directory && !(c->mode & ~c->umask & 0200)) {
        if (lstat(made, &st) < 0 || chmod(made, (st.st_mode & 07777) | 0700) < 0) error = -errno;
        if (!error) error = change_rename_to(made, to, RENAME_EXCHANGE);
        if (!error) chmod(to, st.st_mode & 07777);
    } else if (!error) {
        error = change_rename_to(made, to, directory ? RENAME_EXCHANGE : 0);
    }
    if (error || directory) change_clear(made);
    return error;
}

/* Make a directory, a file, a link; 0 or -errno. */
static int change_make(layers *l, const char *rel, size_t n, int white, const change_new *c)
{
    char to[LAYERS_PATH];
    raise_door door;
    size_t i = n;
    mode_t was;
    int error = layers_path(l, 0, rel, n, to);

    if (error < 0 || (error = raise_open(&door, to)) < 0) return error;
    while (i > 0 && rel[i - 1] != '/') i--;
    layers_mark(rel + i, n - i);
    was = umask(c->umask);
    error = white ? change_over(l, to, door.path, c) : change_create(to, c);
    umask(was);
    if (!error && !white && S_ISDIR(c->mode)) change_opaque(to);    /* (nothing is below: it only saves looking) */
    raise_close(&door, 0);
    return error;
}

/* Give a file of UPPER, or one by a link of /proc that is followed, another name. */
static int change_link(layers *l, const char *from, int follow, const char *rel, size_t n, int white)
{
    char to[LAYERS_PATH], made[LAYERS_PATH];
    raise_door door;
    size_t i = n;
    int error = layers_path(l, 0, rel, n, to);

    if (error < 0 || (error = raise_open(&door, to)) < 0) return error;
    while (i > 0 && rel[i - 1] != '/') i--;
    layers_mark(rel + i, n - i);
    raise_name(l, made);
    if (linkat(AT_FDCWD, from, AT_FDCWD, white ? made : to, follow ? AT_SYMLINK_FOLLOW : 0) < 0) error = -errno;
    if (!error && white && (error = change_rename_to(made, to, 0)) < 0) unlink(made);
    raise_close(&door, 0);
    return error;
}

static void change_forget(layers *l, const struct stat *st)
{
    if (!S_ISDIR(st->st_mode) && st->st_nlink == 1) layers_note_number(l, st->st_ino, 0);
}

/* Remove a name that the tree shows; `below`: a lower layer has it, too. 0 or -errno. */
static int change_remove(layers *l, const char *rel, size_t n, const layers_found *f, int below)
{
    char to[LAYERS_PATH], made[LAYERS_PATH];
    struct stat st;
    raise_door door;
    size_t i = n;
    int error = layers_path(l, 0, rel, n, to);

    if (error < 0 || (error = raise_open(&door, to)) < 0) return error;
    while (i > 0 && rel[i - 1] != '/') i--;
    layers_mark(rel + i, n - i);
    raise_name(l, made);
    if (f->attr > 0) {
        error = mknod(to, S_IFCHR, 0) < 0 ? -errno : 0;
    } else if (lstat(to, &st) < 0) {
        error = -errno;
    } else if (below) {
        error = mknod(made, S_IFCHR, 0) < 0 ? -errno : 0;
        if (!error && S_ISDIR(st.st_mode) && !(st.st_mode & 0200)) chmod(to, (st.st_mode & 07777) | 0700);
        if (!error) error = change_rename_to(made, to, S_ISDIR(st.st_mode) ? RENAME_EXCHANGE : 0);
        if (error || S_ISDIR(st.st_mode)) change_clear(made);
    } else if (!S_ISDIR(st.st_mode)) {
        error = unlink(to) < 0 ? -errno : 0;
    } else if (rmdir(to) < 0) {
        error = -errno;
        if (error == -ENOTEMPTY) {
            if (!(st.st_mode & 0200)) chmod(to, (st.st_mode & 07777) | 0700);
            error = change_rename_to(to, made, 0);
            if (!error) change_clear(made);
        }
    }
    if (!error && f->attr == 0) change_forget(l, &st);
    raise_close(&door, 0);
    return error;
}

/* One of the two names of a rename. */
typedef struct {
    const char *rel;
    size_t n;
    layers_found f;
    int below;                          /* a lower layer has it, too */
} change_name;

/* Let an empty directory of UPPER, in the way of another, be one without whiteouts. */
static int change_way(layers *l, const char *path)
{
    char made[LAYERS_PATH];
    struct stat st;
    int error;

    if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode)) return 0;
    raise_name(l, made);
    if (mkdir(made, 0700) < 0) return -errno;
    error = change_opaque(made);
    if (!error && !(st.st_mode & 0200)) chmod(path, (st.st_mode & 07777) | 0700);
    if (!error) error = change_rename_to(made, path, RENAME_EXCHANGE);
    change_clear(made);
    return error;
}

/* Move what is UPPER's by now; both directories are. 0 or -errno. */
static int change_rename(layers *l, const change_name *a, const change_name *b, unsigned int flags)
{
    char from[LAYERS_PATH], to[LAYERS_PATH];
    struct stat st, other;
    raise_door one, two;
    size_t i = b->n;
    int error, there;

    if ((error = layers_path(l, 0, a->rel, a->n, from)) < 0 || (error = layers_path(l, 0, b->rel, b->n, to)) < 0) return error;
    if (lstat(from, &st) < 0) return -errno;
    there = lstat(to, &other) == 0;
    if ((error = raise_open(&one, from)) < 0) return error;
    if ((error = raise_open(&two, to)) < 0) {
        raise_close(&one, 0);
        return error;
    }
    while (i > 0 && b->rel[i - 1] != '/') i--;
    layers_mark(b->rel + i, b->n - i);
    if (S_ISDIR(st.st_mode) && (b->below || b->f.white)) error = change_opaque(from);
    if (!error && flags & RENAME_EXCHANGE) {
        if (S_ISDIR(other.st_mode) && (a->below || a->f.white)) error = change_opaque(to);
        if (!error) error = change_rename_to(from, to, RENAME_EXCHANGE);
    } else if (!error) {
        if (there && S_ISDIR(other.st_mode) && S_ISDIR(st.st_mode)) error = change_way(l, to);
        if (!error && there && layers_is_white(&other) && S_ISDIR(st.st_mode)) {
            error = change_rename_to(from, to, RENAME_EXCHANGE);
            if (!error && !a->below) unlink(from);
        } else if (!error) {
            error = change_rename_to(from, to, a->below ? RENAME_WHITEOUT : 0);
        }
        if (!error && there && other.st_ino != st.st_ino) change_forget(l, &other);
    }
    raise_close(&two, 0);
    raise_close(&one, 0);
    return error;
}

#endif
