# The proof: one openat2(RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH) shows that a path holds no symbolic link, whatever its depth.

cdef bint has_dotdot(const char *p) noexcept nogil:
    while True:
        while p[0] == c'/':
            p += 1
        if p[0] == 0:
            return False
        if p[0] == c'.' and p[1] == c'.' and (p[2] == c'/' or p[2] == 0):
            return True
        while p[0] != 0 and p[0] != c'/':
            p += 1

cdef bint openat2_works = False    # it has been made with success: neither the kernel nor a filter around us refuses it

cdef inline void openat2_seen() noexcept nogil:
    global openat2_works
    openat2_works = True

cdef int prove(int fd, const char *rel, bint follow, bint any_kind, int *keep) noexcept nogil:
    """Return 0 if no component of rel below fd is a link, else -errno of the first component that stops the walk.

    ``follow`` False: the last component may be one.  The place's O_PATH descriptor goes to ``keep`` unless that is NULL.  Without
    ``any_kind`` the kernel is asked for a directory, so that it says -ENOTDIR of anything else instead of opening it: as good a proof,
    since it found no link either, and no descriptor to close.
    """
    cdef open_how how
    cdef int got
    memset(&how, 0, sizeof(how))
    how.flags = O_PATH | O_CLOEXEC | (0 if follow else O_NOFOLLOW) | (0 if any_kind else O_DIRECTORY)
    how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
    stats.proofs += 1
    got = <int>c_syscall(NR_openat2, fd, rel, &how, sizeof(how))
    if got < 0:
        if errno == ENOTDIR:
            openat2_seen()
        return -errno
    openat2_seen()
    if keep != NULL:
        keep[0] = got
    else:
        c_close(got)
    return 0

# Where links were: paths there are not worth an open that is made again after each.  A hint, which may be wrong either way.

cdef enum:
    LINKS_SEEN = 512

cdef uint64_t links_seen[LINKS_SEEN]     # hashes of guest paths: of links on the way, of directories with links at the end

cdef inline void link_seen(Walk *w, const char *comp, int n, bint final) noexcept nogil:
    cdef uint64_t h = w.gh if final else hash_step(w.gh, comp, n)
    if w.bi >= 0:
        links_seen[h & (LINKS_SEEN - 1)] = h

cdef bint walk_trusts(Walk *w) noexcept nogil:
    """Say whether the host text can be left to an open that meets no link (what may_meet_link asks for, once more)."""
    return w.v.b[w.bi].hostlen > 0 and not w.v.ambiguous and not w.anchored and not is_proc(w.h, w.hlen)

cdef int walk_fast(Walk *w) noexcept nogil:
    """Resolve the whole rest with one proof; return 1 when done, 0 when the walk must go by components.

    Only for a place inside the view, a rest without "..", and no RESOLVE_* flag.
    """
    cdef const char *p = w.todo + w.tpos
    cdef const char *comp
    cdef int n, glen = w.glen, hlen = w.hlen, bi = w.bi, pbi = w.bi, top, error, last = w.last
    cdef uint64_t gh = w.gh
    cdef Entry *e
    cdef bint follow, any_kind, ok = True, links = False
    if not have_openat2 or w.bi < 0 or w.resolve or has_dotdot(p):
        return 0
    if over_of(w) != NULL and not over_at_lower(w):
        return 0
    if w.dfd >= 0 or (way_judge != NULL and way_judge(w, True) < 0):
        return 0
    w.isbind = False
    while True:
        while p[0] == c'/':
            p += 1
        if p[0] == 0:
            break
        comp = p
        while p[0] != 0 and p[0] != c'/':
            p += 1
        n = <int>(p - comp)
        if n == 1 and comp[0] == c'.':
            last = LAST_DOT
            pbi = w.bi
            if w.isbind and not w.v.b[w.bi].isdir:
                ok = False
                break
            continue
        last = LAST_NORM
        if not over_plain(&w.v.b[w.bi], comp, n):
            ok = False
            break
        if (w.isbind and not w.v.b[w.bi].isdir) or walk_push(w, comp, n) < 0:
            ok = False
            break
        links = links or links_seen[w.gh & (LINKS_SEEN - 1)] == w.gh
        pbi = w.bi
        w.namelen = n
        w.isbind = False
        if w.v.n > 1:
            e = view_find(w.v, w.gh, w.g, w.glen)
            if e != NULL and e.bind >= 0:
                w.isbind = True
                if w.v.b[e.bind].flags & BIND_MASK:
                    ok = False
                    break
                if w.mode == M_CREATE and p[strspn_slash(p)] == 0:
                    p += strspn_slash(p)
                    break
                if binding_reachable(w, n) < 0 or binding_closed(w.v, e.bind) or w.v.b[e.bind].flags & (BIND_SELF | BIND_LINK):
                    ok = False
                    break
                w.bi = e.bind
                w.hlen = w.v.b[w.bi].hostlen
                memcpy(w.h, w.v.b[w.bi].host, w.hlen + 1)
    if not ok:
        return walk_fast_undo(w, glen, gh, hlen, bi)
    w.slash = p > w.todo + w.tpos and (p - 1)[0] == c'/'
    w.pbi = pbi
    w.last = last
    top = w.v.b[w.bi].hostlen
    if w.hlen - top > LONG_STEP or w.hlen > PATHMAX - 8:
        return walk_fast_undo(w, glen, gh, hlen, bi)
    error = 0
    if w.trusts and not links and walk_trusts(w):
        w.unproven = True
    elif w.hlen > top + 1:
        follow = (last != LAST_NORM or w.mode == M_FOLLOW or w.mode == M_MISSING or (w.mode == M_NOFOLLOW and w.slash)
                  or (w.mode == M_OCREAT and not w.slash))
        if follow:
            any_kind = w.want_file or w.mode == M_MISSING
            error = prove(w.v.b[w.bi].fd, w.h + top + 1, True, any_kind, &w.file if any_kind or w.want_directory else NULL)
            if not w.want_file and not w.want_directory:
                walk_drop_file(w)
        elif w.want_file or w.hlen - w.namelen - 1 > top:
            error = prove(w.v.b[w.bi].fd, w.h + top + 1, False, w.want_file, &w.file if w.want_file else NULL)
            w.directory = error == 0 and not w.want_file
    if error == 0 or (w.mode != M_MISSING and error != -EACCES and (error == -ENOENT or error == -ENOTDIR or error == -ENAMETOOLONG)):
        w.missing = error == -ENOENT
        return 1
    return walk_fast_undo(w, glen, gh, hlen, bi)

cdef inline int strspn_slash(const char *p) noexcept nogil:
    cdef int n = 0
    while p[n] == c'/':
        n += 1
    return n

cdef int walk_fast_undo(Walk *w, int glen, uint64_t gh, int hlen, int bi) noexcept nogil:
    """Take the lexical step back; h is rebuilt because crossing a binding replaced it."""
    w.g[glen] = 0
    w.glen = glen
    w.gh = gh
    w.bi = bi
    w.isbind = False
    walk_to_guest(w, w.g, glen)
    return 0

cdef int binding_reachable(Walk *w, int n) noexcept nogil:
    """Check that the directory that holds the mount point may be searched (h still ends in the covered name)."""
    cdef c_stat st
    cdef int result, keep = w.hlen - n
    w.h[keep] = c'.'
    w.h[keep + 1] = 0
    result = -errno if fstatat(AT_FDCWD, w.h, &st, 0) < 0 else 0
    return result
