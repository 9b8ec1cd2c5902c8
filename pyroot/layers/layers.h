/* The layers of an overlay: UPPER, which is written to, and LOWER directories, which are not, shown as one tree in overlayfs' format.
 *
 * A whiteout is a character device 0:0 (below an opaque "x" directory of a lower layer also an empty file with an attribute); an opaque
 * directory has the attribute user.overlay.opaque. So the kernel's overlayfs, mounted with userxattr, shows the same tree.
 *
 * Decides: which layer a name of the tree is found in. Not decided here: what is copied up (raise.h), how names change (change.h).
 */
#ifndef PYROOT_LAYERS_LAYERS_H
#define PYROOT_LAYERS_LAYERS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LAYERS_MOST     60
#define LAYERS_PATH     4096
#define LAYERS_WORDS    1024            /* of 64 bits, one for each name in UPPER: a wrong bit costs time, nothing else */
#define LAYERS_OPAQUE   "user.overlay.opaque"
#define LAYERS_WHITE    "user.overlay.whiteout"
#define LAYERS_OWN      "user.overlay."
#define LAYERS_ORIGIN   "user.overlay.pyroot"       /* the inode number that is shown: the one before the copy-up */

typedef struct {
    int n;                              /* of paths; 0 is UPPER */
    char *path[LAYERS_MOST];
    size_t length[LAYERS_MOST];
    char *work;                         /* a directory beside UPPER, where things are made before they have a name */
    unsigned int made;
    int strict;                         /* a directory of UPPER is closed to its owner: what lies below it in lower layers is, too */
    uint64_t *gone;                     /* inode numbers that are shown of files without attributes: pairs */
    size_t pairs, room;
} layers;

typedef struct {
    int attr;                           /* the layer whose file it is, -1: nothing is there */
    int dir;                            /* the layer whose directory stands for a merged one: the first lower one that has it */
    uint64_t merged;                    /* the layers whose directories it consists of */
    uint64_t around;                    /* the same of the directory that it lies in */
    unsigned int mode;
    int white;                          /* UPPER has a whiteout of this name */
    int sure;                           /* 0: below a directory of a single layer, where nothing has been looked up */
} layers_found;

#define LAYERS_NUMBERS  512             /* words of the same for inode numbers */
#define LAYERS_MIX      0x9e3779b97f4a7c15ull

static uint64_t layers_names[LAYERS_WORDS], layers_numbers[LAYERS_NUMBERS];
static unsigned long long *layers_names_told, *layers_numbers_told;     /* where the gate reads the same; NULL: there is none */

static uint64_t layers_hash(const char *name, size_t n)
{
    uint64_t hash = 14695981039346656037ull;
    for (size_t i = 0; i < n; i++) hash = (hash ^ (uint8_t)name[i]) * 1099511628211ull;
    return hash;
}

static int layers_knows(const char *name, size_t n)
{
    uint64_t hash = layers_hash(name, n);
    return (int)(layers_names[hash >> 6 & (LAYERS_WORDS - 1)] >> (hash & 63) & 1);
}

/* Note that UPPER may have a name. */
static void layers_mark(const char *name, size_t n)
{
    uint64_t hash = layers_hash(name, n), bit = 1ull << (hash & 63);
    layers_names[hash >> 6 & (LAYERS_WORDS - 1)] |= bit;
    if (layers_names_told) layers_names_told[hash >> 6 & (LAYERS_WORDS - 1)] |= bit;
}

/* Note that a look at a file with this number does not tell what the tree shows of it. */
static void layers_mark_number(uint64_t ino)
{
    uint64_t bit = ino * LAYERS_MIX >> 49;
    layers_numbers[bit >> 6] |= 1ull << (bit & 63);
    if (layers_numbers_told) layers_numbers_told[bit >> 6] |= 1ull << (bit & 63);
}

static int layers_knows_number(uint64_t ino)
{
    uint64_t bit = ino * LAYERS_MIX >> 49;
    return (int)(layers_numbers[bit >> 6] >> (bit & 63) & 1);
}

/* Write the host path of a place in a layer; 0 or -ENAMETOOLONG. `rel` begins with a slash, or is empty. */
static int layers_path(const layers *l, int k, const char *rel, size_t n, char *to)
{
    if (l->length[k] + n >= LAYERS_PATH - 300) return -ENAMETOOLONG;
    memcpy(to, l->path[k], l->length[k]);
    memcpy(to + l->length[k], rel, n);
    to[l->length[k] + n] = 0;
    return 0;
}

static int layers_is_white(const struct stat *st) { return S_ISCHR(st->st_mode) && st->st_rdev == 0; }

/* The mark of a directory: 'y' for an opaque one, 'x' for one with whiteouts that are files, else 0. */
static int layers_mark_of(const char *path)
{
    char value[4];
    ssize_t n = lgetxattr(path, LAYERS_OPAQUE, value, sizeof value);
    return n == 1 && (value[0] == 'y' || value[0] == 'x') ? value[0] : 0;
}

/* Whether a file of a lower layer is a whiteout, by its attribute, in a directory that may have such. */
static int layers_is_xwhite(const char *path, const struct stat *st)
{
    char parent[LAYERS_PATH];
    char *slash;
    if (!S_ISREG(st->st_mode) || st->st_size != 0 || lgetxattr(path, LAYERS_WHITE, parent, sizeof parent) < 0) return 0;
    snprintf(parent, sizeof parent, "%s", path);
    slash = strrchr(parent, '/');
    if (!slash) return 0;
    *slash = 0;
    return layers_mark_of(parent) == 'x';
}

/* Look a name up in the layers that its directory consists of; rel[0:j] is its path. 0 or -errno. */
static int layers_step(const layers *l, const char *rel, size_t i, size_t j, uint64_t now, layers_found *f)
{
    char path[LAYERS_PATH];
    struct stat st;
    int k, error = 0;

    f->around = now, f->attr = f->dir = -1, f->merged = 0, f->white = 0, f->sure = 1;
    if (now & 1 && i == 0 && !l->strict && !layers_knows(rel + 1, j - 1)) now &= ~1ull;
    if (now && !(now & (now - 1)) && !(now & 1)) {
        f->attr = f->dir = __builtin_ctzll(now);
        f->merged = now, f->mode = S_IFDIR, f->sure = 0;
        return 0;
    }
    for (k = 0; k < l->n; k++) {
        if (!(now >> k & 1)) continue;
        if ((error = layers_path(l, k, rel, j, path)) < 0) return error;
        if (lstat(path, &st) < 0) {
            if (errno == ENOENT || (errno == ENOTDIR && f->attr >= 0)) continue;
            if (f->attr >= 0) break;
            return -errno;
        }
        if (layers_is_white(&st) || (k > 0 && layers_is_xwhite(path, &st))) {
            f->white = k == 0;
            break;
        }
        if (f->attr < 0) f->attr = k, f->mode = st.st_mode;
        if (!S_ISDIR(st.st_mode)) {
            if (f->attr == k) f->dir = k;
            break;
        }
        f->merged |= 1ull << k;
        if (f->dir < 0 && k > 0) f->dir = k;
        if (now >> k > 1 && layers_mark_of(path) == 'y') break;
    }
    if (f->attr < 0) return -ENOENT;
    if (f->dir < 0) f->dir = f->attr;
    return 0;
}

/* Find a place of the tree; 0, -ENOENT (f says where it would be if `rel` is looked up to its end), or -errno. */
static int layers_find(const layers *l, const char *rel, size_t n, layers_found *f, size_t *done)
{
    uint64_t now = (1ull << l->n) - 1;
    size_t i = 0, j;
    int error;

    f->attr = 0, f->dir = 1, f->merged = f->around = now, f->mode = S_IFDIR, f->white = 0, f->sure = 1;
    while (i < n) {
        for (j = i + 1; j < n && rel[j] != '/'; j++)
            ;
        error = layers_step(l, rel, i, j, now, f);
        if (done) *done = j;
        if (error < 0) return error;
        if (!f->sure) return 0;
        if (j < n && !S_ISDIR(f->mode)) return -ENOTDIR;
        now = f->merged;
        i = j;
    }
    return 0;
}

/* The same, and look at the file; -ENOENT: of the last name if f->around says where it would be, else (0) of one before. */
static int layers_look(const layers *l, const char *rel, size_t n, layers_found *f, struct stat *st)
{
    char path[LAYERS_PATH];
    size_t done = n;
    int error = layers_find(l, rel, n, f, &done);

    if (error < 0) {
        if (done < n) f->around = 0;
        return error;
    }
    if ((error = layers_path(l, f->attr, rel, n, path)) < 0) return error;
    if (lstat(path, st) < 0) {
        char *slash = strrchr(path, '/');
        error = -errno;
        f->around = f->sure ? f->around : f->merged;
        if (error == -ENOENT && !f->sure && slash) {    /* nobody has looked at its directory yet */
            *slash = 0;
            if (lstat(path, st) < 0) f->around = 0;
        }
        f->attr = f->dir = -1, f->merged = 0, f->sure = 1;
        return error;
    }
    if (!f->sure) f->around = f->merged;
    if (!S_ISDIR(st->st_mode)) f->merged = 0;
    f->mode = st->st_mode, f->sure = 1;
    return 0;
}

/* Whether a lower layer of the directory shows the name, if UPPER does not have it. */
static int layers_below(const layers *l, const char *rel, size_t n, uint64_t around)
{
    layers_found f;
    size_t i = n;
    char path[LAYERS_PATH];
    struct stat st;

    around &= ~1ull;
    while (i > 0 && rel[i - 1] != '/') i--;
    if (!around || layers_step(l, rel, i > 0 ? i - 1 : 0, n, around, &f) < 0) return 0;
    if (f.sure) return 1;
    return layers_path(l, f.attr, rel, n, path) == 0 && lstat(path, &st) == 0;
}

/* Which layer a host path lies in, the deepest first; -1: none. What follows is the place. */
static int layers_of(const layers *l, const char *host, size_t n)
{
    int found = -1;
    for (int k = 0; k < l->n; k++)
        if (n >= l->length[k] && !memcmp(host, l->path[k], l->length[k]) && (n == l->length[k] || host[l->length[k]] == '/'))
            if (found < 0 || l->length[k] > l->length[found]) found = k;
    return found;
}

/* -- inode numbers that survive a copy-up ----------------------------------------------------------------------------------------- */

static void layers_note_number(layers *l, uint64_t ino, uint64_t shown)
{
    size_t i;
    for (i = 0; i < l->pairs; i++)
        if (l->gone[2 * i] == ino) break;
    if (i == l->pairs) {
        if (!shown) return;
        if (l->pairs == l->room) {
            uint64_t *more = realloc(l->gone, (l->room * 2 + 64) * 16);
            if (!more) return;
            l->gone = more, l->room = l->room * 2 + 64;
        }
        l->pairs++;
    }
    l->gone[2 * i] = ino, l->gone[2 * i + 1] = shown;
    if (!shown) {
        l->pairs--;
        l->gone[2 * i] = l->gone[2 * l->pairs], l->gone[2 * i + 1] = l->gone[2 * l->pairs + 1];
    }
}

/* The inode number that a file of UPPER is shown with. */
static uint64_t layers_number(const layers *l, const char *path, const struct stat *st)
{
    char text[32];
    ssize_t n;

    if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) {
        n = lgetxattr(path, LAYERS_ORIGIN, text, sizeof text - 1);
        if (n <= 0) return st->st_ino;
        text[n] = 0;
        return strtoull(text, NULL, 10);
    }
    for (size_t i = 0; i < l->pairs; i++)
        if (l->gone[2 * i] == st->st_ino) return l->gone[2 * i + 1];
    return st->st_ino;
}

/* The same of any file of the tree that has been found. */
static uint64_t layers_shown(const layers *l, const char *rel, size_t n, const layers_found *f, const struct stat *st)
{
    char path[LAYERS_PATH];
    struct stat lower;

    if (f->attr != 0) return st->st_ino;
    if (S_ISDIR(f->mode) && f->merged & ~1ull)
        return layers_path(l, f->dir, rel, n, path) == 0 && lstat(path, &lower) == 0 ? lower.st_ino : st->st_ino;
    return layers_path(l, 0, rel, n, path) == 0 ? layers_number(l, path, st) : st->st_ino;
}

/* -- the beginning -------------------------------------------------------------------------------------------------------------- */

/* Note all that UPPER has below a place. */
static void layers_scan(layers *l, const char *rel, size_t n)
{
    char path[LAYERS_PATH], place[LAYERS_PATH];
    struct dirent *e;
    struct stat st;
    DIR *dir;

    if (layers_path(l, 0, rel, n, path) < 0 || lstat(path, &st) < 0) return;
    layers_mark_number(st.st_ino);
    if (!S_ISDIR(st.st_mode)) return;
    if ((st.st_mode & 0700) != 0700 && st.st_uid == geteuid()) l->strict = 1;
    for (int k = 1; k < l->n; k++)
        if (layers_path(l, k, rel, n, place) == 0 && lstat(place, &st) == 0) layers_mark_number(st.st_ino);
    dir = opendir(path);
    while (dir && (e = readdir(dir))) {
        size_t size = strlen(e->d_name);
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || n + size + 2 > sizeof place) continue;
        layers_mark(e->d_name, size);
        memcpy(place, rel, n);
        place[n] = '/';
        memcpy(place + n + 1, e->d_name, size + 1);
        layers_scan(l, place, n + 1 + size);
    }
    if (dir) closedir(dir);
}

#endif
