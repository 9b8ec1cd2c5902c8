# Files of /proc whose text names mounts: a text made from the supervisor's own file and the bindings.
#
# As in a real chroot, the root is listed only if it is itself a mount point; each binding is a mount; mounts of the host below a
# binding are visible and listed, except where another binding covers them.

cdef const char *MOUNT_ESCAPES = b" \t\n\\#"

cdef struct Line:            # one mount of the host
    const char *text         # the whole line
    int len
    const char *point        # its mount point as written
    int pointlen
    const char *root         # mountinfo only: the root field as written
    int rootlen
    int n                    # length of the unescaped mount point
    char mount[PATHMAX]

cdef int field(const char *text, int len, int which, const char **at) noexcept nogil:
    """Find blank-separated field ``which`` (from 0); return its length."""
    cdef int i = 0, start
    while True:
        start = i
        while i < len and text[i] != c' ':
            i += 1
        if which == 0 or i == len:
            at[0] = text + start
            return i - start
        which -= 1
        i += 1

cdef int line_parse(Line *l, const char *text, int len, int kind) noexcept nogil:
    cdef const char *p
    l.text = text
    l.len = len
    l.rootlen = 0
    if kind == K_MOUNTSTATS:
        p = find_in(text, len, b" mounted on ")
        if p == NULL:
            return -EINVAL
        p += 12
        l.pointlen = field(p, len - <int>(p - text), 0, &l.point)
    else:
        l.pointlen = field(text, len, 4 if kind == K_MOUNTINFO else 1, &l.point)
        if kind == K_MOUNTINFO:
            l.rootlen = field(text, len, 3, &l.root)
    l.n = unescape(l.point, l.pointlen, l.mount, PATHMAX)
    if l.n == 1 and l.mount[0] == c'/':
        l.n = 0
    return 0

cdef const char *find_in(const char *text, int len, const char *what) noexcept nogil:
    cdef int i, n = <int>strlen(what)
    for i in range(len - n + 1):
        if memcmp(text + i, what, n) == 0:
            return text + i
    return NULL

cdef void line_write(
    Text *out, Line *l, int kind, const char *guest, int guestlen, const char *below, int belowlen, int number, int parent
) noexcept nogil:
    """Write a mount of the host as the guest sees it: at ``guest``, its root ``below`` the host mount's root."""
    cdef char ids[40]
    cdef const char *rest
    cdef const char *device
    cdef int n
    if kind == K_MOUNTINFO:
        n = snprintf(ids, sizeof(ids), b"%d %d ", number, parent)
        text_add(out, ids, n)
        n = field(l.text, l.len, 2, &device)
        text_add(out, device, n)
        text_add(out, b" ", 1)
        if not (belowlen > 0 and l.rootlen == 1 and l.root[0] == c'/'):
            text_add(out, l.root, l.rootlen)
        text_escaped(out, below, belowlen, MOUNT_ESCAPES)
        text_add(out, b" ", 1)
    else:
        text_add(out, l.text, l.point - l.text)
    if guestlen == 0:
        text_add(out, b"/", 1)
    text_escaped(out, guest, guestlen, MOUNT_ESCAPES)
    rest = l.point + l.pointlen
    text_add(out, rest, l.text + l.len - rest)
    text_add(out, b"\n", 1)

cdef int mount_of(const Text *host, int kind, const char *path, int n, Line *found) noexcept nogil:
    """Find the host mount that a path lies in: the longest mount point, the last of equals."""
    cdef Line l
    cdef const char *p = host.p
    cdef const char *end
    cdef int best = -1
    while p[0] != 0:
        end = strchr(p, c'\n')
        if end == NULL:
            break
        if line_parse(&l, p, <int>(end - p), kind) == 0 and l.n >= best and l.n <= n and memcmp(l.mount, path, l.n) == 0:
            if l.n == n or path[l.n] == c'/':
                best = l.n
                memcpy(found, &l, sizeof(l))
        p = end + 1
    return best

cdef void mounts_below(Text *out, const Text *host, int kind, View *v, int b, int number) noexcept nogil:
    """List the host's mounts strictly below a binding's host side."""
    cdef Line l
    cdef const char *p = host.p
    cdef const char *end
    cdef Bind *bind = &v.b[b]
    cdef char guest[PATHMAX * 2]
    cdef int n, k = 1
    while p[0] != 0:
        end = strchr(p, c'\n')
        if end == NULL:
            break
        if line_parse(&l, p, <int>(end - p), kind) == 0 and l.n > bind.hostlen and memcmp(l.mount, bind.host, bind.hostlen) == 0:
            n = bind.guestlen + l.n - bind.hostlen
            if l.mount[bind.hostlen] == c'/' and n < <int>sizeof(guest):
                memcpy(guest, bind.guest, bind.guestlen)
                memcpy(guest + bind.guestlen, l.mount + bind.hostlen, l.n - bind.hostlen)
                if view_covering(v, guest, n) == b:
                    line_write(out, &l, kind, guest, n, b"", 0, number + k, number)
                    k += 1
        p = end + 1

cdef int mounts_text(View *v, int kind, Text *out) noexcept nogil:
    cdef Text host
    cdef Line l
    cdef int b, n, result, number = 1000
    memset(&host, 0, sizeof(host))
    result = text_file(&host, b"/proc/self/mountinfo" if kind == K_MOUNTINFO else
                       b"/proc/self/mounts" if kind == K_MOUNTS else b"/proc/self/mountstats")
    if result == 0 and host.p != NULL:
        for b in range(v.n):
            number += 1000
            if v.b[b].flags & BIND_GLUE:
                continue
            n = mount_of(&host, kind, v.b[b].host, v.b[b].hostlen, &l)
            if n >= 0 and (b > 0 or n == v.b[b].hostlen):
                line_write(out, &l, kind, v.b[b].guest, v.b[b].guestlen, v.b[b].host + n, v.b[b].hostlen - n, number,
                           2000 if b > 0 else 1000)
            mounts_below(out, &host, kind, v, b, number)
    free(host.p)
    return result
