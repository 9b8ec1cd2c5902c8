# The translator: path_resolution(7) over a view.  Nothing else decides where a guest path lies.
#
# A walk keeps two texts in step: the canonical guest path and the host path of the same place.  Most paths hold no symbolic link; for them
# one openat2(RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH) proves it (walk_fast).  Otherwise the walk goes component by component as the
# kernel does, and tries the proof again after each link.
cdef int walk_prepend(Walk *w, const char *text, int n) noexcept nogil:
    """Put a link's text before the rest; a rest that is not empty starts with a slash."""
    if n > w.tpos:
        return -ENAMETOOLONG
    w.tpos -= n
    memcpy(w.todo + w.tpos, text, n)
    return 0

cdef int walk_follow(Walk *w, const char *comp, int n, c_stat *parent, c_stat *st, char *text) noexcept nogil:
    """Follow the link comp in h: set the place or put its text before the rest."""
    cdef int got, kind = MAGIC_NONE, pid = 0, result
    if w.resolve & RESOLVE_NO_SYMLINKS:
        return -ELOOP
    if w.links >= 40:
        return -ELOOP
    w.links += 1
    got = walk_readlink(w, comp, n, text)
    if got == -ENAMETOOLONG and is_proc(w.h, w.hlen):
        # a magic link still jumps
        text[0] = 0
        got = 0
    if got < 0:
        return got
    if is_proc(w.h, w.hlen):
        w.jumped = True
        result = proc_self(w, comp, n, text)
        if result > 0:
            got = result
        else:
            kind = proc_magic(w, comp, n, &pid)
    if kind != MAGIC_NONE:
        return walk_magic(w, kind, pid, comp, n, text, got, w.todo[w.tpos + strspn_slash(w.todo + w.tpos)] != 0)
    if got == 0:
        return -ENOENT
    if protected_symlinks and st.st_uid != c_geteuid():
        if parent.st_mode & (S_ISVTX | S_IWOTH) == (S_ISVTX | S_IWOTH) and parent.st_uid != st.st_uid:
            return -EACCES
    if gate != NULL:
        gate_met_link(w, comp, n, text, got)
    if text[0] == c'/':
        if w.resolve & RESOLVE_BENEATH:
            return -EXDEV
        if w.resolve & RESOLVE_NO_XDEV and (not w.root_known or not on_root_mount(w)):
            # the kernel compares with a root that it has looked up only if something made it (nd_jump_root in fs/namei.c)
            return -EXDEV
        result = walk_prepend(w, text, got)
        return result if result < 0 else walk_start_absolute(w)
    return walk_prepend(w, text, got)

cdef bint protected_symlinks = False

cdef int walk_start_absolute(Walk *w) noexcept nogil:
    w.last = LAST_ROOT
    w.namelen = 0
    w.isbind = False
    w.root_known = True
    if w.resolve & RESOLVE_IN_ROOT:
        walk_to_guest(w, w.rootg, w.rootlen)
        if w.anchored and w.rootfd >= 0:
            walk_drop_fd(w)
            w.dfd = fd_again(w.rootfd)
            w.doff = w.hlen if w.dfd >= 0 else 0
            if w.dfd < 0:
                w.dfd = AT_FDCWD
        return 0
    return walk_to_root(w)

cdef int walk_cross(Walk *w, const char *comp, int n, bint final) noexcept nogil:
    """If comp is the top of a binding go there; return 1 if so (2: the rest is another), 0 if not, or -errno.

    A final M_CREATE name is not crossed.
    """
    cdef Entry *e
    cdef c_stat st
    cdef int result
    cdef bint bound = False
    if w.bi >= 0 and w.v.n > 1:
        if w.glen + n + 2 >= BUF:
            return -ENAMETOOLONG
        w.g[w.glen] = c'/'
        memcpy(w.g + w.glen + 1, comp, n)
        e = view_find(w.v, hash_step(w.gh, comp, n), w.g, w.glen + 1 + n)
        w.g[w.glen] = 0
        bound = e != NULL and e.bind >= 0
    if bound:
        result = walk_stat(w, b".", 1, &st)
        if result == 0 and overlays.blind:
            result = over_searched(w)
        if result < 0:
            return result
        if w.v.b[e.bind].flags & BIND_MASK:
            # (that a name is to be removed says that it is there)
            return -EACCES if final and is_creating(w.mode) and not w.removes else -ENOENT
    if w.resolve & RESOLVE_NO_XDEV and (bound or leads_off(w, comp, n, AT_SYMLINK_NOFOLLOW)):
        # the slash after a name to be made is noticed before the name is looked up
        return -EISDIR if final and comp[n] == c'/' and is_creating(w.mode) else walk_barred(w)
    if not bound:
        return 0
    w.isbind = True
    if final and w.mode == M_CREATE:
        return walk_push(w, comp, n)
    if not w.anchored and binding_closed(w.v, e.bind):
        return -EACCES
    if w.v.b[e.bind].flags & BIND_SELF and w.pid != 0:
        return walk_to_self(w, &w.v.b[e.bind])
    if w.v.b[e.bind].flags & BIND_LINK and not (final and comp[n] == 0 and (w.mode == M_NOFOLLOW or w.mode == M_OCREAT_NOFOLLOW)):
        return walk_link_bound(w, &w.v.b[e.bind])
    return walk_to_guest(w, e.text, e.len) or 1

cdef int walk_link_bound(Walk *w, const Bind *b) noexcept nogil:
    """Follow a symbolic link that a binding shows: 2, or -errno."""
    cdef char text[PATHMAX]
    cdef int n, result
    if w.resolve & RESOLVE_NO_SYMLINKS or w.links >= 40:
        return -ELOOP
    w.links += 1
    w.isbind = False
    n = <int>c_readlink(b.host, text, PATHMAX - 1)
    if n <= 0:
        return -ENOENT if n == 0 else -errno
    text[n] = 0
    result = walk_prepend(w, text, n)
    if result == 0 and text[0] == c'/':
        result = -EXDEV if w.resolve & (RESOLVE_BENEATH | RESOLVE_NO_XDEV) else walk_start_absolute(w)
    return result if result < 0 else 2

cdef int walk_to_self(Walk *w, const Bind *b) noexcept nogil:
    """Go on at what a binding below /proc/self means to the process that asks: 2, or -errno."""
    cdef char text[PATHMAX]
    cdef int n, last
    w.isbind = False
    n = snprintf(text, sizeof(text), b"/proc/%d%s", w.pid, b.host + 10)
    if n >= <int>sizeof(text):
        return -ENAMETOOLONG
    last = n
    while text[last - 1] != c'/':
        last -= 1
    n = walk_prepend(w, text + last - 1, n - last + 1)
    if n == 0:
        n = walk_to_host(w, text, last - 1, -1)
    return n if n < 0 else 2

cdef inline bint is_creating(int mode) noexcept nogil:
    """Say whether an open may make the name (with O_EXCL: M_CREATE)."""
    return mode == M_OCREAT or mode == M_OCREAT_NOFOLLOW or mode == M_CREATE

cdef bint binding_closed(View *v, int bi) noexcept nogil:
    """Say whether the guest has closed the path to a binding's host side through another binding."""
    cdef c_stat st
    return v.ambiguous and fstatat(AT_FDCWD, v.b[bi].host, &st, AT_SYMLINK_NOFOLLOW) < 0 and errno == EACCES

cdef void walk_removed(Walk *w) noexcept nogil:
    """Start in a removed directory: its own "." and ".." still work (see walk_dots), nothing else is there."""
    cdef const char *p = w.todo + w.tpos
    while p[0] == c'.' and p[1] == c'/':
        p += 1 + strspn_slash(p + 1)
    if p[0] == c'.':
        p += 2 if p[1] == c'.' else 1
    if p[0] != 0 and p[0] != c'/':
        w.bi = -1

cdef int removed_up(Walk *w) noexcept nogil:
    """Go to the parent of a removed directory (h is the /proc link that still leads to it)."""
    cdef c_stat st
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef int n, above, fd, result, prefer = walk_binding(w)
    if w.resolve & RESOLVE_BENEATH:
        return walk_barred(w)
    if w.resolve & RESOLVE_IN_ROOT or (w.fs != NULL and w.fs.root != NULL and at_nested_root(w)):
        return 0
    if w.bi == -2:
        # it was outside, or nobody knows: what is above it is the host's
        return -ENOENT
    fd = c_open(w.h, O_PATH | O_DIRECTORY | O_CLOEXEC)
    if fd < 0:
        return -errno
    above = c_openat(fd, b"..", O_PATH | O_DIRECTORY | O_CLOEXEC)
    n = errno
    c_close(fd)
    if above < 0:
        return -n
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", above)
    n = <int>c_readlink(link, text, PATHMAX - 1)
    text[n if n > 0 else 0] = 0
    result = walk_to_text(w, link, text, n, prefer) if n > 0 else walk_to_long(w, link, prefer)
    if result == 0 and (w.bi == -1 or w.bi == -2):
        # the view does not show it; of a bind mount whose directories were moved out of it the kernel says the same (path_connected)
        result = -ENOENT
    if result < 0 or (w.bi >= 0 and fstatat(AT_FDCWD, walk_text(w), &st, AT_SYMLINK_NOFOLLOW) == 0):
        c_close(above)
        return result
    # the parent is gone as well, or its name is out of reach: go by the descriptor
    walk_drop_fd(w)
    w.dfd = above
    w.doff = w.hlen
    w.anchored = True
    return 0

cdef int walk_run(Walk *w) noexcept nogil:
    """Walk the rest from the current place; on 0 h is what the kernel is to be given (see walk_finish)."""
    cdef const char *comp
    cdef const char *p
    cdef int n, result
    cdef bint final, followed = True
    cdef c_stat st, parent
    cdef char text[PATHMAX]
    memset(&parent, 0, sizeof(parent))
    w.missing = 0
    w.isbind = w.magic = w.directory = False
    w.last = LAST_ROOT
    w.namelen = 0
    w.slash = False
    w.pbi = w.bi if w.bi >= 0 else w.gone_bi
    while True:
        p = w.todo + w.tpos
        if p[0] == 0:
            return 0
        if followed:
            followed = False
            if walk_fast(w):
                return 0
        p += strspn_slash(p)
        if p[0] == 0:
            w.tpos = <int>(p - w.todo)
            w.slash = True
            return 0
        comp = p
        while p[0] != 0 and p[0] != c'/':
            p += 1
        n = <int>(p - comp)
        w.tpos = <int>(p - w.todo)
        final = p[strspn_slash(p)] == 0
        result = walk_component(w, comp, n, final, &parent, &st, text)
        if result < 0:
            return result
        if result == 2:
            return 0
        followed = result == 1

cdef int walk_dots(Walk *w, int n, bint final) noexcept nogil:
    """Handle "." and "..": both need search permission of the directory they are looked up in."""
    cdef c_stat st
    cdef bint at_start, at_mount
    cdef int64_t mount = 0
    cdef int result = walk_stat(w, b".", 1, &st)
    result = way_judged(w) if result == 0 else result
    if result < 0:
        return result
    w.isbind = False
    w.namelen = 0
    w.pbi = w.bi if w.bi >= 0 else w.gone_bi
    w.last = LAST_DOT if n == 1 else LAST_DOTDOT
    if n == 2:
        w.root_known = True
        if final and w.mode == M_CREATE:
            # the kernel takes this step before it sees that nothing can be made here
            at_start = w.bi >= 0 and w.glen == w.rootlen and w.resolve & RESOLVE_BENEATH
            at_mount = (w.bi >= 0 and w.glen > 0 and w.resolve & RESOLVE_NO_XDEV
                        and (w.glen == w.v.b[w.bi].guestlen or leads_off(w, b"..", 2, 0)))
            return walk_barred(w) if at_start or at_mount else 0
        if w.resolve & RESOLVE_NO_XDEV:
            mount = walk_mount(w)
        result = removed_up(w) if w.bi <= -2 else walk_up(w)
        if result == 0 and w.resolve & RESOLVE_NO_XDEV and walk_mount(w) != mount:
            result = walk_barred(w)
    w.pbi = w.bi if w.bi >= 0 else w.gone_bi
    return result

cdef int walk_component(Walk *w, const char *comp, int n, bint final, c_stat *parent, c_stat *st, char *text) noexcept nogil:
    """Take one component.  Return 0 to go on, 1 after a link was followed, 2 when the walk ends here, or -errno."""
    cdef int result
    cdef bint slash = final and (comp + n)[0] == c'/'
    cdef bint look
    if w.over_gone and not (n <= 2 and comp[0] == c'.' and (n == 1 or comp[1] == c'.')):
        return -ENOENT
    if n <= 2 and comp[0] == c'.' and (n == 1 or comp[1] == c'.'):
        result = over_searched(w) if overlays.blind else 0
        return result if result < 0 else walk_dots(w, n, final)
    result = walk_shorten(w)
    result = way_judged(w) if result == 0 else result
    if result < 0:
        return result
    w.last = LAST_NORM
    w.isbind = False
    w.pbi = w.bi if w.bi >= 0 else w.gone_bi
    w.namelen = n
    result = walk_cross(w, comp, n, final)
    if result < 0:
        return result
    if w.isbind or result == 2:
        return 0 if w.isbind else 1
    if over_of(w) != NULL:
        result = over_turn(w, comp, n, final)
        if result != 0:
            return result if result < 0 else walk_missing(w, comp, n)
    look = not final or w.mode == M_FOLLOW or w.mode == M_MISSING or (w.mode == M_NOFOLLOW and slash) or (w.mode == M_OCREAT and not slash)
    if not look:
        # the kernel looks the name up itself; only the directory must be searchable by us
        if (w.base_hlen >= 0 or w.resolve & RESOLVE_IN_ROOT) and not w.anchored:
            result = walk_stat(w, b".", 1, st)
            if result == -EACCES:
                return result
        return walk_push(w, comp, n)
    result = walk_stat(w, comp, n, st)
    if result == -ENOENT and (final or w.mode == M_MISSING):
        return walk_missing(w, comp, n)
    if result == -ENOENT and w.resolve & RESOLVE_CACHED:
        return cached_errno(w, comp, n)
    if result == -EACCES and w.mode == M_MISSING:
        # a mount point that we may not look at: take it at its word
        result = walk_missing(w, comp, n)
        w.missing = 0
        return result
    if result < 0:
        return result
    if S_ISLNK(st.st_mode):
        link_seen(w, comp, n, final)
        if protected_symlinks:
            walk_stat(w, b".", 1, parent)
        result = walk_follow(w, comp, n, parent, st, text)
        if result == -EINVAL:
            # it was a link a moment ago: somebody has put something else there
            return walk_component(w, comp, n, final, parent, st, text)
        return 1 if result == 0 else result
    return walk_push(w, comp, n)

cdef int cached_errno(Walk *w, const char *comp, int n) noexcept nogil:
    """Return what RESOLVE_CACHED gives for a name that is not there: some file systems remember that, others have to be asked."""
    cdef open_how how
    cdef int fd, error, result, keep = w.hlen
    memset(&how, 0, sizeof(how))
    how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC
    how.resolve = RESOLVE_CACHED
    result = walk_push(w, comp, n)
    if result < 0:
        return result
    fd = <int>c_syscall(NR_openat2, w.dfd, walk_rel(w), &how, sizeof(how))
    error = errno
    w.hlen = keep
    w.h[keep] = 0
    if fd >= 0:
        c_close(fd)
    return -error if fd < 0 else -EAGAIN

cdef int walk_missing(Walk *w, const char *comp, int n) noexcept nogil:
    """End the walk at a name that does not exist; for the front end the rest is appended as it is."""
    cdef const char *p
    cdef int result = walk_push(w, comp, n)
    w.missing = 1
    while result == 0:
        p = w.todo + w.tpos
        p += strspn_slash(p)
        if p[0] == 0:
            w.slash = (p - 1)[0] == c'/' and p > w.todo + w.tpos
            return 2
        comp = p
        while p[0] != 0 and p[0] != c'/':
            p += 1
        n = <int>(p - comp)
        w.tpos = <int>(p - w.todo)
        if n == 1 and comp[0] == c'.':
            continue
        if n == 2 and comp[0] == c'.' and comp[1] == c'.':
            return -ENOENT
        result = walk_cross(w, comp, n, False)
        if result == 0:
            result = walk_push(w, comp, n)
        elif result > 0:
            result = 0
        w.missing += 1
    return result

cdef void walk_append(Walk *w, const char *text, int n) noexcept nogil:
    memcpy(w.h + w.hlen, text, n)
    w.hlen += n
    w.h[w.hlen] = 0

cdef void walk_finish(Walk *w) noexcept nogil:
    """Append what the guest wrote after the last name: it decides the kernel's errors for "x/", "." and ".."."""
    w.placelen = w.hlen
    if w.last == LAST_DOT:
        walk_append(w, b"/.", 2)
    elif w.last == LAST_ROOT and w.bi <= -2 and w.mode != M_CREATE:
        # a root that was removed is named by a link of /proc
        walk_append(w, b"/", 1)
    elif w.mode != M_CREATE and w.bi >= 0 and w.hlen == w.v.b[w.bi].hostlen and w.v.b[w.bi].gone and w.v.b[w.bi].isdir:
        # (the same of a binding)
        walk_append(w, b"/", 1)
    elif w.last == LAST_DOTDOT:
        # a looked-up ".." needs no search permission of where it leads
        if w.mode == M_CREATE:
            walk_append(w, b"/..", 3)
        elif w.bi < 0:
            walk_append(w, b"/", 1)
    elif w.last == LAST_ROOT and w.mode == M_CREATE:
        if w.pair:
            # rename compares the mounts first: stay on the guest's
            walk_append(w, b"/.", 2)
        else:
            # the root's own text must not be taken for what follows a descriptor that the walk went by
            walk_drop_fd(w)
            w.hlen = 0
            walk_append(w, b"/", 1)
    if w.hlen == 0 or (w.slash and w.last != LAST_ROOT):
        walk_append(w, b"/", 1)

cdef int walk_removed_scope(Walk *w, const char *p) noexcept nogil:
    """Walk in a removed directory that is the root of the walk: it has only itself."""
    w.isbind = w.magic = w.slash = False
    w.namelen = 0
    w.last = LAST_ROOT
    if w.resolve & RESOLVE_BENEATH and p[0] == c'/':
        return -EXDEV
    p += strspn_slash(p)
    if p[0] == 0:
        return 0
    if accessible(AT_FDCWD, w.h, X_OK) < 0 and (errno == EACCES or errno == ESRCH):
        return -errno
    w.last = LAST_DOT
    while p[0] == c'.' and (p[1] == 0 or p[1] == c'/' or (p[1] == c'.' and (p[2] == 0 or p[2] == c'/'))):
        if p[1] == c'.' and w.resolve & RESOLVE_BENEATH:
            return walk_barred(w)
        p += 2 if p[1] == c'.' else 1
        p += strspn_slash(p)
    return 0 if p[0] == 0 else -ENOENT

cdef int walk_path(Walk *w, const char *path, int n, int mode) noexcept nogil:
    """Walk a path from the current place (absolute: from the root)."""
    w.links = 0
    w.jumped = w.unproven = False
    w.mode = mode
    w.root_known = w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) != 0
    w.todo[REST - 1] = 0
    w.tpos = REST - 1 - n
    memcpy(w.todo + w.tpos, path, n)
    w.base_hlen = -1
    if w.bi < 0 and w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) and w.bi != -1:
        return walk_removed_scope(w, path)
    if w.bi >= 0 and w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT):
        memcpy(w.rootg, w.g, w.glen + 1)
        w.rootlen = w.glen
        if w.resolve & RESOLVE_NO_XDEV:
            w.root_mount = walk_mount(w)
    if path[0] == c'/':
        if w.resolve & RESOLVE_BENEATH:
            return -EXDEV
        n = walk_start_absolute(w)
        if n < 0:
            return n
    else:
        if w.bi <= -2:
            walk_removed(w)
        else:
            w.base_hlen = w.hlen
            memcpy(w.base, w.h, w.hlen)
    return walk_run(w)
