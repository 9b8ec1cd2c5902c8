# Texts: buffers that grow, files read whole, lines, numbers, names with escapes.

cdef char *find_text(char *where, const char *what) noexcept nogil:
    cdef int n = <int>strlen(what)
    while where[0] != 0:
        if strncmp(where, what, n) == 0:
            return where
        where += 1
    return NULL

cdef int parse_pid(const char *s, int *pid) noexcept nogil:
    """Parse the decimal pid that s starts with; return how many bytes it has."""
    cdef int i = 0
    pid[0] = 0
    while c'0' <= s[i] <= c'9' and i < 9:
        pid[0] = pid[0] * 10 + s[i] - c'0'
        i += 1
    return i

cdef struct Text:
    char *p
    size_t n, cap

cdef int text_add(Text *x, const char *s, size_t n) noexcept nogil:
    cdef char *grown
    if x.n + n + 1 > x.cap:
        grown = <char *>realloc(x.p, (x.n + n + 1) * 2 + 4096)
        if grown == NULL:
            return -ENOMEM
        x.p = grown
        x.cap = (x.n + n + 1) * 2 + 4096
    memcpy(x.p + x.n, s, n)
    x.n += n
    x.p[x.n] = 0
    return 0

cdef int text_file(Text *x, const char *name) noexcept nogil:
    """Append a whole file."""
    cdef char part[8192]
    cdef ssize_t got
    cdef int fd = c_open(name, O_RDONLY | O_CLOEXEC), error = 0
    if fd < 0:
        return -errno
    while error == 0:
        got = c_read(fd, part, sizeof(part))
        if got <= 0:
            error = -errno if got < 0 else 1
        elif text_add(x, part, got) < 0:
            error = -ENOMEM
    c_close(fd)
    return error if error < 0 else 0

cdef int octal_escape(const char *s, int n) noexcept nogil:
    """Return the byte that an escape at s stands for, -1 if none starts there."""
    if n < 4 or s[0] != c'\\' or not c'0' <= s[1] <= c'3' or not c'0' <= s[2] <= c'7' or not c'0' <= s[3] <= c'7':
        return -1
    return (s[1] - c'0') * 64 + (s[2] - c'0') * 8 + s[3] - c'0'

cdef int unescape(const char *s, int n, char *to, int room) noexcept nogil:
    """Undo the kernel's escapes; return the length, cut to ``room`` - 1."""
    cdef int i = 0, k = 0, byte
    while i < n and k < room - 1:
        byte = octal_escape(s + i, n - i)
        to[k] = <char>byte if byte >= 0 else s[i]
        i += 4 if byte >= 0 else 1
        k += 1
    to[k] = 0
    return k

cdef int line_length(const char *p) noexcept nogil:
    cdef const char *end = strchr(p, c'\n')
    return <int>strlen(p) if end == NULL else <int>(end - p)

cdef inline const char *line_next(const char *p, int n) noexcept nogil:
    return p + n + 1 if p[n] == c'\n' else p + n

cdef bint starts(const char *p, const char *what) noexcept nogil:
    return strncmp(p, what, strlen(what)) == 0

cdef const char *find_in(const char *text, int len, const char *what) noexcept nogil:
    cdef int i, n = <int>strlen(what)
    for i in range(len - n + 1):
        if memcmp(text + i, what, n) == 0:
            return text + i
    return NULL

cdef int hex_address(const char *p, uint64_t *value) noexcept nogil:
    """Parse the hexadecimal number that p starts with; return its digits."""
    cdef int i = 0
    value[0] = 0
    while i < 16 and (c'0' <= p[i] <= c'9' or c'a' <= p[i] <= c'f'):
        value[0] = value[0] * 16 + (p[i] - c'0' if p[i] <= c'9' else p[i] - c'a' + 10)
        i += 1
    return i
