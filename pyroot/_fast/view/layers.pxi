# The layers of overlays, as C has them (pyroot/layers).

cdef extern from "change.h" nogil:
    """
    static inline int ctz(unsigned long long bits) { return __builtin_ctzll(bits); }
    """
    ctypedef struct layers:
        int n
        char **path
        size_t *length
        char *work
        int strict
        uint64_t *gone
    ctypedef struct layers_found:
        int attr, dir
        uint64_t merged, around
        unsigned int mode
        int white, sure
    ctypedef struct change_new:
        unsigned int mode, umask
        unsigned long dev
        const char *target
    ctypedef struct change_name:
        const char *rel
        size_t n
        layers_found f
        int below
    ctypedef struct merge_name:
        uint64_t ino
        unsigned char kind, hidden
        unsigned short length
        uint32_t at
    ctypedef struct merge_list:
        merge_name *name
        uint32_t names, shown
        char *text
    enum:
        LAYERS_MOST, LAYERS_WORDS, LAYERS_NUMBERS
    uint64_t *layers_names
    uint64_t *layers_numbers
    unsigned long long *layers_names_told
    unsigned long long *layers_numbers_told
    int ctz(uint64_t)
    bint layers_knows(const char *, size_t)
    bint layers_knows_number(uint64_t)
    void layers_mark(const char *, size_t)
    int layers_path(const layers *, int, const char *, size_t, char *)
    int layers_find(const layers *, const char *, size_t, layers_found *, size_t *)
    int layers_look(const layers *, const char *, size_t, layers_found *, c_stat *)
    bint layers_below(const layers *, const char *, size_t, uint64_t)
    int layers_of(const layers *, const char *, size_t)
    uint64_t layers_shown(const layers *, const char *, size_t, const layers_found *, const c_stat *)
    void layers_scan(layers *, const char *, size_t)
    int layers_raise(layers *, const char *, size_t)
    void layers_tell_raised(void (*)(const char *, const char *) noexcept nogil)
    int change_make(layers *, const char *, size_t, bint, const change_new *)
    int change_link(layers *, const char *, bint, const char *, size_t, bint)
    int change_remove(layers *, const char *, size_t, const layers_found *, bint)
    int change_rename(layers *, const change_name *, const change_name *, unsigned int)
    int merge_all(const layers *, const char *, size_t, uint64_t, merge_list *)
    int merge_add(merge_list *, const char *, size_t, uint64_t, int, bint)
    void merge_hide(merge_list *, const char *, size_t)
    int merge_empty(const layers *, const char *, size_t, uint64_t)
    void merge_free(merge_list *)

cdef void layers_tell(unsigned long long *names, unsigned long long *numbers) noexcept nogil:
    """Note for the gate, too, what changes; NULL: there is none."""
    global layers_names_told, layers_numbers_told
    layers_names_told, layers_numbers_told = names, numbers

cdef layers *layers_new(list paths, bytes work) except NULL:
    """Make the layers of an overlay, UPPER first."""
    cdef layers *o = <layers *>calloc(1, sizeof(layers))
    if o == NULL or not 2 <= len(paths) <= LAYERS_MOST:
        free(o)
        raise MemoryError
    o.n = len(paths)
    o.work = dup_bytes(work, len(work))
    for i in range(o.n):
        o.length[i] = 0 if paths[i] == b"/" else len(paths[i])
        o.path[i] = dup_bytes(paths[i], <int>o.length[i])
        if o.path[i] == NULL or o.work == NULL:
            layers_free(o)
            raise MemoryError
    return o

cdef void layers_free(layers *o) noexcept nogil:
    cdef int i
    if o == NULL:
        return
    for i in range(o.n):
        free(o.path[i])
    free(o.work)
    free(o.gone)
    free(o)
