# Ways that the disk closes and a feature may open, and what guests do not see though it lies in their view.
#
# Decides: what the walk asks when it may not go on, and whether what it has found is there for guests.

cdef enum:
    WAY_TRIES = 40

ctypedef bint (*WayOpener)(Tracee *, Walk *) noexcept nogil
cdef WayOpener way_opener = NULL
cdef int openings = 0        # of the walk at hand
cdef const char *hidden_host = NULL
cdef int hidden_len = 0
cdef uint64_t hidden_dev = 0, hidden_ino = 0     # of the directory that holds it

cdef void set_way_opener(WayOpener opener) noexcept nogil:
    global way_opener, openings
    way_opener = opener
    openings = 0

cdef int walk_again(Walk *w, Tracee *t, int dirfd, const char *path, int n, int mode) noexcept nogil:
    """Walk once more: what was closed on the way is open now."""
    global openings
    cdef int result
    openings += 1
    result = text_walk(w, t, dirfd, path, n, mode)
    openings -= 1
    return result

cdef void hide_host(View *v, const char *host) noexcept nogil:
    """Hide a host path from all guests; NULL: nothing any more."""
    global hidden_host, hidden_len, hidden_dev, hidden_ino
    cdef c_stat st
    cdef char above[PATHMAX]
    cdef int n, word = 0
    cdef uint64_t bit
    hidden_host = host
    hidden_len = n = <int>strlen(host) if host != NULL else 0
    while n > 0 and host[n - 1] != c'/':
        n -= 1
    if hidden_len > 0:
        snprintf(above, sizeof(above), b"%.*s", n, host)
        if fstatat(AT_FDCWD, above, &st, 0) == 0:
            hidden_dev, hidden_ino = st.st_dev, st.st_ino
        # (no short cut leaves a name to the kernel that may be this one)
        bit = name_bit(host + n, hidden_len - n, &word)
        v.names[word] |= bit
        if gate != NULL:
            gate.names[word] |= bit

cdef int hidden_cut() noexcept nogil:
    """Return the length of the host path of the directory that holds what guests do not see."""
    cdef int cut = hidden_len
    while cut > 0 and hidden_host[cut - 1] != c'/':
        cut -= 1
    return cut - 1 if cut > 0 else 0

cdef int holds_hidden(const char *host, int n) noexcept nogil:
    """Say whether a host path is that of the directory which holds what guests do not see (1), is another's (0), or nobody's (-ENOENT).

    By what is there, since the directory may have got another name.
    """
    cdef char text[PATHMAX]
    cdef c_stat st
    if n >= PATHMAX:
        return 0
    memcpy(text, b"/", 2)
    if n > 0:
        memcpy(text, host, n)
        text[n] = 0
    if fstatat(AT_FDCWD, text, &st, 0) < 0:
        return -ENOENT if errno == ENOENT else 0
    return st.st_dev == hidden_dev and st.st_ino == hidden_ino

cdef inline const char *hidden_name() noexcept nogil:
    if hidden_len == 0:
        return b""
    return hidden_host + hidden_cut() + 1

cdef bint is_hidden_in(const char *host, int n, const char *name) noexcept nogil:
    """Say whether guests do not see a name in a host directory."""
    return strcmp(name, hidden_name()) == 0 and holds_hidden(host, n) > 0

cdef bint is_hidden(const char *host, int n) noexcept nogil:
    """Say whether a host path is that of what guests do not see, or below it."""
    cdef const char *name = hidden_name()
    cdef int k = <int>strlen(name), at
    if hidden_len == 0:
        return False
    for at in range(n - k):
        if host[at] == c'/' and memcmp(host + at + 1, name, k) == 0 and (at + 1 + k == n or host[at + 1 + k] == c'/'):
            if holds_hidden(host, at) != 0:
                # (what is not there may be moved back)
                return True
    return False
