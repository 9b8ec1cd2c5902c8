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
    global hidden_host, hidden_len
    cdef int n, word = 0
    cdef uint64_t bit
    hidden_host = host
    hidden_len = n = <int>strlen(host) if host != NULL else 0
    while n > 0 and host[n - 1] != c'/':
        n -= 1
    if hidden_len > 0:
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

cdef bint is_hidden_in(const char *host, int n, const char *name) noexcept nogil:
    """Say whether guests do not see a name in a host directory."""
    return (n + 1 + <int>strlen(name) == hidden_len and memcmp(host, hidden_host, n) == 0 and hidden_host[n] == c'/'
            and strcmp(name, hidden_host + n + 1) == 0)

cdef inline bint is_hidden(const char *host, int n) noexcept nogil:
    """Say whether a host path is that of what guests do not see, or below it."""
    return (hidden_len > 0 and n >= hidden_len and memcmp(host, hidden_host, hidden_len) == 0
            and (n == hidden_len or host[hidden_len] == c'/'))
