# Mount points: names that the host directory does not hold, links that bindings bring, and which names occur in their paths.

cdef inline bint same_file(const c_stat *a, const c_stat *b) noexcept nogil:
    return a.st_dev == b.st_dev and a.st_ino == b.st_ino

cdef bint is_proc(const char *h, int n) noexcept nogil:
    return n >= 5 and memcmp(h, b"/proc", 5) == 0 and (n == 5 or h[5] == c'/')

cdef int bind_name(View *v, int i) noexcept nogil:
    """Return where the last component of a binding's guest path begins."""
    cdef int n = v.b[i].guestlen
    while n > 0 and v.b[i].guest[n - 1] != c'/':
        n -= 1
    return n

cdef bint type_differs(const c_stat *st, const Bind *b) noexcept nogil:
    """Say whether the host's name is of a kind that no mount can lie on: the kernel itself lists what is below."""
    return S_ISLNK(st.st_mode) or S_ISDIR(st.st_mode) != b.isdir

cdef bint view_needs_listing(View *v) noexcept nogil:
    """Say whether a host directory lacks the name of a mount point, has something of another kind there, or a name that is masked."""
    cdef c_stat st
    cdef int i, n, over
    cdef char text[PATHMAX]
    for i in range(1, v.n):
        n = bind_name(v, i)
        over = view_covering(v, v.b[i].guest, n - 1)
        n = snprintf(text, sizeof(text), b"%s%s", v.b[over].host, v.b[i].guest + v.b[over].guestlen)
        if v.b[i].flags & BIND_MASK or n >= <int>sizeof(text):
            return True
        if fstatat(AT_FDCWD, text, &st, AT_SYMLINK_NOFOLLOW) < 0 or type_differs(&st, &v.b[i]):
            return True
    return False

cdef int lists_name(const char *host, const char *name) noexcept nogil:
    """Say whether a directory that may be read, though perhaps not searched, lists a name; -1: it may not be read either."""
    cdef char buffer[4096]
    cdef uint16_t size
    cdef int at, found = 0, used = 1, fd = c_open(host, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    while fd >= 0 and used > 0 and not found:
        used = <int>c_syscall(NR_getdents64, fd, buffer, <int>sizeof(buffer))
        at = 0
        while at < used and not found:
            # (struct linux_dirent64)
            memcpy(&size, buffer + at + 16, 2)
            found = strcmp(buffer + at + 19, name) == 0
            at += size
    if fd >= 0:
        c_close(fd)
    return found if fd >= 0 and used >= 0 else -1

cdef bint is_brought(View *v, int i, const char *host, int n) noexcept nogil:
    """Say whether a binding brings a directory that the host directory above its mount point lacks."""
    cdef c_stat st
    cdef char text[PATHMAX]
    cdef int k, listed
    if not v.b[i].isdir:
        return False
    k = snprintf(text, sizeof(text), b"%.*s/%s", n, host, v.b[i].guest + bind_name(v, i))
    if k >= <int>sizeof(text) or fstatat(AT_FDCWD, text, &st, AT_SYMLINK_NOFOLLOW) == 0:
        return False
    if errno != EACCES:
        return errno == ENOENT
    # where a guest has closed the directory since, nobody can have made the name; one that was closed before may tell that it has none
    text[n] = 0
    listed = lists_name(text, v.b[i].guest + bind_name(v, i))
    if listed >= 0:
        return not listed
    return v.b[i].brought or (fstatat(AT_FDCWD, text, &st, AT_SYMLINK_NOFOLLOW) == 0 and st.st_nlink == 2)

cdef int host_above(View *v, int i, char *text) noexcept nogil:
    """Write the host path of the directory that holds a mount point; return its length, or PATHMAX if it is too long."""
    cdef Bind *b = &v.b[view_holding(v, i)]
    cdef int n = snprintf(text, PATHMAX, b"%s%.*s", b.host, bind_name(v, i) - 1 - b.guestlen, v.b[i].guest + b.guestlen)
    return n if n < PATHMAX else PATHMAX

cdef inline uint64_t name_bit(const char *name, int n, int *word) noexcept nogil:
    cdef uint64_t h = hash_more(FNV, name, n)
    word[0] = <int>(h >> 6 & (NAME_WORDS - 1))
    return <uint64_t>1 << (h & 63)

cdef void names_add(View *v, const char *guest, int n) noexcept nogil:
    """Mark each name of a mount point's path."""
    cdef int i = 0, start, word = 0
    cdef uint64_t bit
    while i < n:
        start = i + 1
        i = start
        while i < n and guest[i] != c'/':
            i += 1
        bit = name_bit(guest + start, i - start, &word)
        v.names[word] |= bit

cdef int view_overlay(View *v, bytes guest, list paths, bytes work) except -1:
    """Let a binding, or the root, be an overlay of these paths: UPPER, its own host side, lower directories; and one for work."""
    cdef int i
    for i in range(v.n):
        if v.b[i].guest[: v.b[i].guestlen] == guest:
            layers_free(v.b[i].over)
            v.b[i].over = layers_new(paths, work)
            v.overs += 1
            return 0
    raise KeyError(guest)
