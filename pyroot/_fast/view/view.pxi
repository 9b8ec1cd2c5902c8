# The view: one root and its bindings, and the two directions of the mapping between guest and host path texts.
#
# Paths are kept without a trailing slash, so "/" is the empty string and "host + rest" is always well formed.  Two hash tables
# (by guest path with all ancestors, by host path) make every look-up independent of the number of bindings.

cdef enum:
    BUF = 1048576        # longest path text that the walker handles; longer ones give ENAMETOOLONG
    PATHMAX = 4096
    BIND_GLUE = 1
    BIND_STANDS_IN = 2   # /proc, over another mount of it
    BIND_SELF = 8        # below /proc/self: a link to what is there for the process that asks
    BIND_READONLY = 16   # nothing below it may be changed (features/readonly.pxi)
    BIND_MASK = 32       # nothing is there, and nothing can be made there
    BIND_LINK = 64       # the host side is a symbolic link, which leads on in the guest
    BIND_BELOW = 4       # came with the binding above it, from the view around
    NAME_WORDS = 64

cdef struct Bind:
    char *host
    int hostlen
    char *guest
    int guestlen
    int flags
    int fd               # O_PATH descriptor of the host side, owned by the view
    int above            # the same of the directory that holds the mount point, of a file: that holds its host side; -1 if none is kept
    bint isdir
    bint brought         # a directory whose name the host lacked when the session began (links.pxi)
    bint gone            # the host side was removed: host leads through fd (gone.pxi)
    char *was            # its host path before that, NULL: it is there
    int hnext            # next binding with the same host path, -1 at the end
    layers *over         # the layers of an overlay, of which ``host`` is the first lower one; NULL: it is none
    char *lost           # host path of the mount point, where that was moved out of the binding that it lies in; else NULL
    int lostlen
    int lost_in          # that binding

cdef struct Entry:       # one guest path that is a binding or leads to one
    uint64_t key
    char *text           # owned by the view
    int len
    int bind             # -1: only an ancestor
    int below            # number of bindings strictly below

cdef struct HostEntry:
    uint64_t key
    int bind             # head of the chain through Bind.hnext; -1: free

cdef struct Opened:
    uint64_t file            # device and inode (fd_file)
    int bind
    bint mixed               # opened through another one since: each descriptor is noted, so that no note is older than its descriptor

cdef struct View:
    Bind *b
    int n, cap
    Entry *ent
    int entn, entcap     # entcap is a power of two
    HostEntry *hent
    int hentcap
    int longest          # length of the longest host path of a binding
    int overs            # so many bindings are overlays
    bint ambiguous       # one host directory is reachable under two guest paths
    bint links           # there are mount points that are directories and that the host lacks (links.pxi)
    uint64_t names[NAME_WORDS]   # a bit for each name in the path of a mount point (relative.pxi)
    uint32_t *hint       # host path hash -> binding last used for it (only if ambiguous)
    Opened *opened       # files -> binding that they were first opened through (only if ambiguous)
    # of a view that a guest has handed over (views.pxi); zero for the supervisor's own
    View *parent         # the view around it
    View *next
    int id
    int owner            # process that handed it over, 0 when it is dead
    int users            # tracees in it and views inside
    int life             # a descriptor that its owner waits for: closed when the last guest is gone
    bint entered         # it has had guests
    void *command        # what its owner runs (signals.pxi), NULL before that has entered
    bint ended           # it takes no more
    uint32_t features    # FEATURE_*: what its filter has to stop for: of one that was handed over, what the views around do not

cdef enum:
    HINTS = 4096
    FILES = 16384

cdef uint64_t FNV = 14695981039346656037ULL

cdef inline uint64_t hash_more(uint64_t h, const char *s, int n) noexcept nogil:
    cdef int i
    for i in range(n):
        h = (h ^ <uint8_t>s[i]) * <uint64_t>1099511628211ULL
    return h

cdef inline uint64_t hash_step(uint64_t h, const char *comp, int n) noexcept nogil:
    """Extend the hash of a path by "/" and one component."""
    return hash_more(hash_more(h, b"/", 1), comp, n)

cdef char *dup_bytes(const char *s, int n) noexcept nogil:
    cdef char *p = <char *>malloc(n + 1)
    if p != NULL:
        memcpy(p, s, n)
        p[n] = 0
    return p

cdef Entry *view_find(View *v, uint64_t key, const char *text, int n) noexcept nogil:
    cdef int i
    if v.entcap == 0:
        return NULL
    i = <int>(key & <uint64_t>(v.entcap - 1))
    while v.ent[i].text != NULL:
        if v.ent[i].key == key and v.ent[i].len == n and memcmp(v.ent[i].text, text, n) == 0:
            return &v.ent[i]
        i = (i + 1) & (v.entcap - 1)
    return NULL

cdef int view_add_entry(View *v, uint64_t key, const char *text, int n, int bind) noexcept nogil:
    cdef int i
    cdef Entry *e = view_find(v, key, text, n)
    if e == NULL:
        i = <int>(key & <uint64_t>(v.entcap - 1))
        while v.ent[i].text != NULL:
            i = (i + 1) & (v.entcap - 1)
        e = &v.ent[i]
        e.text = dup_bytes(text, n)
        if e.text == NULL:
            return -ENOMEM
        e.key = key
        e.len = n
        e.bind = -1
        e.below = 0
        v.entn += 1
    if bind >= 0:
        e.bind = bind
    else:
        e.below += 1
    return 0

cdef void view_clear_tables(View *v) noexcept nogil:
    cdef int i
    if v.ent != NULL:
        for i in range(v.entcap):
            free(v.ent[i].text)
        free(v.ent)
    free(v.hent)
    memset(v.names, 0, sizeof(v.names))
    v.ent = NULL
    v.hent = NULL
    v.entn = v.entcap = v.hentcap = 0

cdef HostEntry *view_host_slot(View *v, uint64_t key, const char *text, int n) noexcept nogil:
    cdef int i = <int>(key & <uint64_t>(v.hentcap - 1))
    cdef Bind *b
    while v.hent[i].bind >= 0:
        b = &v.b[v.hent[i].bind]
        if v.hent[i].key == key and b.hostlen == n and memcmp(b.host, text, n) == 0:
            break
        i = (i + 1) & (v.hentcap - 1)
    return &v.hent[i]

cdef int view_enter(View *v, int i) noexcept nogil:
    """Enter one binding into both tables, which have room."""
    cdef int j
    cdef uint64_t key
    cdef HostEntry *he
    cdef Bind *b = &v.b[i]
    if b.guestlen > 0 and view_add_entry(v, FNV, b"", 0, -1) < 0:
        return -ENOMEM
    for j in range(1, b.guestlen):
        if b.guest[j] == c'/' and view_add_entry(v, hash_more(FNV, b.guest, j), b.guest, j, -1) < 0:
            return -ENOMEM
    if view_add_entry(v, hash_more(FNV, b.guest, b.guestlen), b.guest, b.guestlen, i) < 0:
        return -ENOMEM
    b.hnext = -1
    if not b.flags & BIND_MASK:
        key = hash_more(FNV, b.host, b.hostlen)
        he = view_host_slot(v, key, b.host, b.hostlen)
        b.hnext = he.bind
        he.key = key
        he.bind = i
        if b.hostlen > v.longest:
            v.longest = b.hostlen
    names_add(v, b.guest, b.guestlen)
    return 0

cdef int entries_of(const Bind *b) noexcept nogil:
    """Return how many guest paths a binding needs in the table at most."""
    cdef int j, n = 2
    for j in range(b.guestlen):
        n += b.guest[j] == c'/'
    return n

cdef int view_append(View *v) noexcept nogil:
    """Make the last binding known; the tables are rebuilt only when they get full.  Ambiguity is left to view_rebuild."""
    if 3 * (v.entn + entries_of(&v.b[v.n - 1])) > v.entcap or 3 * v.n > v.hentcap:
        return view_rebuild(v)
    return view_enter(v, v.n - 1)

cdef int view_rebuild(View *v) noexcept nogil:
    """Rebuild both tables from the bindings; needed after a binding moved, and once when all are there."""
    cdef int i, depth = 0
    if v == views.base:
        # a binding has moved
        gate_end()
        record_moved(v)
    view_clear_tables(v)
    v.longest = 0
    for i in range(v.n):
        depth += entries_of(&v.b[i])
    v.entcap = 16
    while v.entcap < 6 * depth:
        v.entcap *= 2
    v.hentcap = 16
    while v.hentcap < 6 * v.n:
        v.hentcap *= 2
    v.ent = <Entry *>calloc(v.entcap, sizeof(Entry))
    v.hent = <HostEntry *>calloc(v.hentcap, sizeof(HostEntry))
    if v.ent == NULL or v.hent == NULL:
        return -ENOMEM
    for i in range(v.hentcap):
        v.hent[i].bind = -1
    for i in range(v.n):
        if view_enter(v, i) < 0:
            return -ENOMEM
    v.ambiguous = view_is_ambiguous(v)
    if v.ambiguous and v.hint == NULL:
        v.hint = <uint32_t *>calloc(HINTS, sizeof(uint32_t))
        v.opened = <Opened *>calloc(FILES, sizeof(Opened))
    return 0

cdef bint view_is_ambiguous(View *v) noexcept nogil:
    cdef int i, j, k
    cdef HostEntry *he
    for i in range(v.n):
        if v.b[i].flags & (BIND_SELF | BIND_STANDS_IN | BIND_MASK | BIND_LINK):
            # no text of the kernel's leads there, or it is taken for /proc's
            continue
        if whose_name(v, v.b[i].hnext) >= 0:
            return True
        for j in range(v.b[i].hostlen):
            if v.b[i].host[j] == c'/':
                he = view_host_slot(v, hash_more(FNV, v.b[i].host, j), v.b[i].host, j)
                k = whose_name(v, he.bind)
                if k >= 0 and not shows_same(&v.b[i], &v.b[k], j):
                    return True
    return False

cdef int whose_name(View *v, int b) noexcept nogil:
    """Return the first in a chain of bindings of one host path that is taken for its name, -1 if there is none."""
    while b >= 0 and v.b[b].flags & BIND_STANDS_IN:
        b = v.b[b].hnext
    return b

cdef bint shows_same(const Bind *inner, const Bind *outer, int n) noexcept nogil:
    """Say whether a binding shows what lies there anyway, as that of /usr/lib does beside one of /usr."""
    cdef int rest = inner.hostlen - n
    return (inner.guestlen == outer.guestlen + rest and memcmp(inner.guest, outer.guest, outer.guestlen) == 0
            and memcmp(inner.guest + outer.guestlen, inner.host + n, rest) == 0)

cdef int view_bind(View *v, const char *host, int hostlen, const char *guest, int guestlen, int flags, int fd, bint isdir) noexcept nogil:
    """Add a binding; the view takes over fd.  A later binding of the same guest path replaces the earlier one."""
    cdef int i
    cdef Bind *b
    cdef void *grown
    if hostlen > 11 and memcmp(host, b"/proc/self/", 11) == 0:
        flags |= BIND_SELF
    for i in range(v.n):
        if v.b[i].guestlen == guestlen and memcmp(v.b[i].guest, guest, guestlen) == 0:
            free(v.b[i].host)
            c_close(v.b[i].fd)
            v.b[i].host = dup_bytes(host, hostlen)
            v.b[i].hostlen = hostlen
            v.b[i].fd = fd
            v.b[i].flags = flags
            layers_free(v.b[i].over)
            v.b[i].over = NULL
            v.b[i].isdir = isdir
            v.b[i].gone = False
            free(v.b[i].was)
            v.b[i].was = NULL
            return 0
    if v.n == v.cap:
        grown = realloc(v.b, (v.cap * 2 + 16) * sizeof(Bind))
        if grown == NULL:
            return -ENOMEM
        v.b = <Bind *>grown
        v.cap = v.cap * 2 + 16
    b = &v.b[v.n]
    b.host = dup_bytes(host, hostlen)
    b.guest = dup_bytes(guest, guestlen)
    b.hostlen = hostlen
    b.guestlen = guestlen
    b.flags = flags
    b.fd = fd
    b.above = -1
    b.isdir = isdir
    b.brought = b.gone = False
    b.was = NULL
    b.hnext = -1
    b.lost = NULL
    b.over = NULL
    v.n += 1
    return 0

cdef int view_covering(View *v, const char *guest, int n) noexcept nogil:
    """Return the binding that a canonical guest path lies in."""
    cdef int i = 0, start, best = 0
    cdef uint64_t key = FNV
    cdef Entry *e
    while i < n:
        start = i + 1
        i = start
        while i < n and guest[i] != c'/':
            i += 1
        key = hash_step(key, guest + start, i - start)
        e = view_find(v, key, guest, i)
        if e == NULL:
            break
        if e.bind >= 0:
            best = e.bind
    return best

cdef inline bint is_lost(const Bind *b) noexcept nogil:
    """Say whether no path leads to a binding (views.pxi)."""
    return lost_text(b.guest, b.guestlen)

cdef inline bint lost_text(const char *guest, int n) noexcept nogil:
    """Say whether a guest path is one that no walk comes to: it begins with "//" and a number."""
    return n > 1 and guest[1] == c'/'

cdef int view_holding(View *v, int i) noexcept nogil:
    """Return the binding that the mount point of another one lies in."""
    return view_covering(v, v.b[i].guest, bind_name(v, i) - 1)

cdef int view_from_layer(View *v, const char *host, int n, char *guest, int *guestlen) noexcept nogil:
    """Map a host path in a layer of an overlay, other than the one that is its host side; return the binding or -1."""
    cdef int i, k, m
    cdef Bind *b
    for i in range(v.n):
        b = &v.b[i]
        k = layers_of(b.over, host, n) if b.over != NULL else 1
        if k == 1 or k < 0:
            continue
        m = n - <int>b.over.length[k]
        if b.guestlen + m >= BUF:
            continue
        memcpy(guest, b.guest, b.guestlen)
        memcpy(guest + b.guestlen, host + b.over.length[k], m)
        guestlen[0] = b.guestlen + m
        guest[guestlen[0]] = 0
        if view_covering(v, guest, guestlen[0]) == i:
            return i
    return -1

cdef int view_from_host(View *v, const char *host, int n, int prefer, char *guest, int *guestlen) noexcept nogil:
    """Map a canonical host path text back; return the binding or -1 when no binding shows it.

    Where several bindings show one host path, ``prefer`` wins, then the binding last used for this very directory, then the
    binding with the longest host path; what stands in for another mount of /proc comes last, and that at /proc first of those.
    """
    cdef int i = n, b, found = -1, hinted = -1, aside = -1
    cdef uint64_t key
    cdef HostEntry *he
    if v.overs > 0:
        b = view_from_layer(v, host, n, guest, guestlen)
        if b >= 0:
            return b
    if v.ambiguous and v.hint != NULL:
        hinted = <int>v.hint[hash_more(FNV, host, n) & (HINTS - 1)] - 1
    if i > v.longest:
        # nothing longer can be a binding's host side; begin with whole components
        i = v.longest + 1
        while i > 0 and host[i] != c'/':
            i -= 1
    while True:
        he = view_host_slot(v, hash_more(FNV, host, i), host, i)
        b = he.bind
        while b >= 0:
            if v.b[b].guestlen + n - i < BUF:
                memcpy(guest, v.b[b].guest, v.b[b].guestlen)
                memcpy(guest + v.b[b].guestlen, host + i, n - i)
                if view_covering(v, guest, v.b[b].guestlen + n - i) == b:
                    if v.b[b].flags & BIND_STANDS_IN and b != prefer:
                        if aside < 0 or v.b[b].guestlen == 5:
                            aside = b
                    elif b == prefer:
                        found = b
                        break
                    elif found < 0 or (b == hinted and found != prefer):
                        found = b
            b = v.b[b].hnext
        if (found >= 0 and (not v.ambiguous or found == prefer)) or i == 0:
            break
        i -= 1
        while i > 0 and host[i] != c'/':
            i -= 1
    if found < 0:
        found = aside
    if found < 0:
        return -1
    i = v.b[found].hostlen
    memcpy(guest, v.b[found].guest, v.b[found].guestlen)
    memcpy(guest + v.b[found].guestlen, host + i, n - i)
    guestlen[0] = v.b[found].guestlen + n - i
    guest[guestlen[0]] = 0
    return found

cdef void view_remember(View *v, const char *host, int n, int bind) noexcept nogil:
    """Note which binding a host directory was last opened through."""
    if v.ambiguous and v.hint != NULL:
        v.hint[hash_more(FNV, host, n) & (HINTS - 1)] = <uint32_t>(bind + 1)

cdef inline Opened *view_opened(View *v, uint64_t file) noexcept nogil:
    return &v.opened[file & (FILES - 1)] if v.opened != NULL else NULL

cdef bint view_expects(View *v, uint64_t file, int bind) noexcept nogil:
    """Say whether a descriptor of this file will be taken for this binding's without a note of its own: the first opening decides."""
    cdef Opened *e = view_opened(v, file)
    if e == NULL:
        return False
    if e.file == 0:
        e.file = file
        e.bind = bind
    elif e.file == file and e.bind != bind:
        e.mixed = True
    return e.file == file and e.bind == bind and not e.mixed

cdef void view_renamed(View *v, const char *old_guest, int oldlen, const char *new_guest, int newlen,
                       const char *old_host, int oldhlen, const char *new_host, int newhlen) noexcept nogil:
    """Carry bindings along when a directory above their mount points, or above their host sides, was renamed."""
    cdef int i
    cdef bint changed = False
    for i in range(v.n):
        changed |= moved_prefix(&v.b[i].guest, &v.b[i].guestlen, old_guest, oldlen, new_guest, newlen)
        changed |= moved_prefix(&v.b[i].host, &v.b[i].hostlen, old_host, oldhlen, new_host, newhlen)
        if v.b[i].lost != NULL:
            moved_prefix(&v.b[i].lost, &v.b[i].lostlen, old_host, oldhlen, new_host, newhlen)
    if changed:
        view_rebuild(v)

cdef bint moved_prefix(char **text, int *n, const char *old, int oldlen, const char *new, int newlen) noexcept nogil:
    cdef char *p
    if n[0] < oldlen or oldlen == 0 or memcmp(text[0], old, oldlen) != 0:
        return False
    if n[0] > oldlen and text[0][oldlen] != c'/':
        return False
    p = <char *>malloc(newlen + n[0] - oldlen + 1)
    if p == NULL:
        return False
    memcpy(p, new, newlen)
    memcpy(p + newlen, text[0] + oldlen, n[0] - oldlen + 1)
    free(text[0])
    text[0] = p
    n[0] = newlen + n[0] - oldlen
    return True

cdef void view_hold_parents(View *v) noexcept nogil:
    """Open the directories above deep mount points: ".." leads there even when the path down to them is closed later.

    Those of bound files are for calls that do not follow links: a descriptor's link is one.
    Not for a view that a guest has handed over: its word for such a path is not to be trusted.
    """
    cdef int i, n
    cdef char text[PATHMAX]
    if v.n > 100 or v.parent != NULL:
        return
    for i in range(1, v.n):
        n = bind_name(v, i)
        if v.b[i].above >= 0 or v.b[i].flags & (BIND_SELF | BIND_MASK | BIND_LINK) or (n <= 1 and v.b[i].isdir):
            continue
        if v.b[i].isdir:
            n = host_above(v, i, text)
        else:
            n = snprintf(text, sizeof(text), b"%.*s", <int>(strrchr(v.b[i].host, c'/') - v.b[i].host), v.b[i].host)
        if 0 < n < <int>sizeof(text):
            v.b[i].above = c_open(text, O_PATH | O_DIRECTORY | O_CLOEXEC)

cdef void view_free(View *v) noexcept nogil:
    cdef int i
    view_clear_tables(v)
    for i in range(v.n):
        free(v.b[i].host)
        free(v.b[i].guest)
        free(v.b[i].was)
        free(v.b[i].lost)
        layers_free(v.b[i].over)
        c_close(v.b[i].fd)
        if v.b[i].above >= 0:
            c_close(v.b[i].above)
    free(v.b)
    free(v.hint)
    free(v.opened)
    free(v.command)
    v.command = NULL
    v.opened = NULL
    v.b = NULL
    v.hint = NULL
    v.n = v.cap = 0

cdef struct Views:
    View *base               # the supervisor's own
    View *first              # the others
    int count, last_id

cdef Views views
