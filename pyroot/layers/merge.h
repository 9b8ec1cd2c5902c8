/* What a directory of the tree lists: the names of its layers, each once, without what whiteouts hide. */
#ifndef PYROOT_LAYERS_MERGE_H
#define PYROOT_LAYERS_MERGE_H

#include "layers.h"

typedef struct {
    uint64_t ino;
    unsigned char kind, hidden;
    unsigned short length;
    uint32_t at;                        /* of the name, in `text` */
} merge_name;

typedef struct {
    merge_name *name;
    uint32_t names, room, shown;
    char *text;
    size_t used, size;
    uint32_t *slot;                     /* 1 + number of a name, by its hash */
    uint32_t slots;
} merge_list;

static void merge_free(merge_list *m)
{
    free(m->name), free(m->text), free(m->slot);
    memset(m, 0, sizeof *m);
}

static uint32_t *merge_slot(const merge_list *m, const char *name, size_t n)
{
    uint32_t i = (uint32_t)layers_hash(name, n) & (m->slots - 1);
    while (m->slot[i]) {
        const merge_name *other = &m->name[m->slot[i] - 1];
        if (other->length == n && !memcmp(m->text + other->at, name, n)) break;
        i = (i + 1) & (m->slots - 1);
    }
    return &m->slot[i];
}

static int merge_grow(merge_list *m)
{
    uint32_t more = m->room ? m->room * 2 : 64;
    merge_name *names = realloc(m->name, more * sizeof *names);
    if (!names) return -ENOMEM;
    m->name = names, m->room = more;
    free(m->slot);
    m->slots = more * 4;
    m->slot = calloc(m->slots, sizeof *m->slot);
    if (!m->slot) return -ENOMEM;
    for (uint32_t i = 0; i < m->names; i++) *merge_slot(m, m->text + m->name[i].at, m->name[i].length) = i + 1;
    return 0;
}

/* Add a name, unless it is there; 1, 0 if it was, or -errno. */
static int merge_add(merge_list *m, const char *name, size_t n, uint64_t ino, int kind, int hidden)
{
    uint32_t *slot;
    if (m->names == m->room && merge_grow(m) < 0) return -ENOMEM;
    slot = merge_slot(m, name, n);
    if (*slot) return 0;
    if (m->used + n + 1 > m->size) {
        size_t more = m->size * 2 + 4096;
        char *text = realloc(m->text, more);
        if (!text) return -ENOMEM;
        m->text = text, m->size = more;
    }
    m->name[m->names] = (merge_name){ino, (unsigned char)kind, (unsigned char)hidden, (unsigned short)n, (uint32_t)m->used};
    memcpy(m->text + m->used, name, n);
    m->text[m->used + n] = 0;
    m->used += n + 1;
    *slot = ++m->names;
    m->shown += !hidden;
    return 1;
}

/* Hide a name that is there, or note that it is hidden. */
static void merge_hide(merge_list *m, const char *name, size_t n)
{
    uint32_t *slot;
    if (merge_add(m, name, n, 0, 0, 1) != 0) return;
    slot = merge_slot(m, name, n);
    m->shown -= !m->name[*slot - 1].hidden;
    m->name[*slot - 1].hidden = 1;
}

/* Add the names of one layer. */
static int merge_layer(const layers *l, int k, const char *rel, size_t n, uint64_t merged, merge_list *m)
{
    char path[LAYERS_PATH], deep[LAYERS_PATH];
    struct dirent *e;
    struct stat st;
    DIR *dir;
    int error = layers_path(l, k, rel, n, path), marked;

    if (error < 0) return error;
    dir = opendir(path);
    if (!dir) return -errno;
    marked = k > 0 ? layers_mark_of(path) : 0;
    errno = 0;
    while (error >= 0 && (e = readdir(dir))) {
        size_t size = strlen(e->d_name);
        uint64_t ino = e->d_ino;
        int kind = e->d_type, white = 0;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        if (snprintf(deep, sizeof deep, "%s/%s", path, e->d_name) >= (int)sizeof deep) continue;
        if (kind == DT_CHR || kind == DT_UNKNOWN || k == 0 || (marked == 'x' && kind == DT_REG)) {
            if (lstat(deep, &st) < 0) {
                if (k > 0 && kind != DT_UNKNOWN) memset(&st, 0, sizeof st);
                else continue;
            }
            kind = (int)(st.st_mode >> 12 & 15) ? (int)(st.st_mode >> 12 & 15) : kind;
            white = layers_is_white(&st) || (marked == 'x' && layers_is_xwhite(deep, &st));
            if (S_ISCHR(st.st_mode) && !white) kind = DT_CHR;
        }
        if (k == 0 && !white) {
            ino = layers_number(l, deep, &st);
            if (kind == DT_DIR && merged & ~1ull) {
                layers_found f;
                char place[LAYERS_PATH];
                if (n + size + 1 < sizeof place) {
                    memcpy(place, rel, n);
                    place[n] = '/';
                    memcpy(place + n + 1, e->d_name, size + 1);
                    if (layers_step(l, place, n, n + 1 + size, merged, &f) == 0) ino = layers_shown(l, place, n + 1 + size, &f, &st);
                }
            }
        }
        error = merge_add(m, e->d_name, size, ino, kind, white);
        errno = 0;
    }
    if (error >= 0 && errno) error = -errno;
    closedir(dir);
    return error < 0 ? error : 0;
}

/* List a directory of the tree that consists of these layers; 0 or -errno. */
static int merge_all(const layers *l, const char *rel, size_t n, uint64_t merged, merge_list *m)
{
    int error = 0;
    memset(m, 0, sizeof *m);
    for (int k = 0; k < l->n && error >= 0; k++)
        if (merged >> k & 1) error = merge_layer(l, k, rel, n, merged, m);
    if (error < 0) merge_free(m);
    return error < 0 ? error : 0;
}

/* Whether a directory of the tree is empty: 0, -ENOTEMPTY, or another -errno. */
static int merge_empty(const layers *l, const char *rel, size_t n, uint64_t merged)
{
    merge_list m;
    char path[LAYERS_PATH];
    struct stat st;
    int error = merge_all(l, rel, n, merged, &m);
    if (error == -EACCES && merged & 1 && layers_path(l, 0, rel, n, path) == 0 && lstat(path, &st) == 0 && chmod(path, 0700) == 0) {
        /* (to remove a directory it need not be readable) */
        error = merge_all(l, rel, n, merged, &m);
        chmod(path, st.st_mode & 07777);
    }
    if (error < 0) return error;
    error = m.shown ? -ENOTEMPTY : 0;
    merge_free(&m);
    return error;
}

#endif
