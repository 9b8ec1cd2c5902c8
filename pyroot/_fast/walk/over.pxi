# Overlays: which layer a place lies in, for the walk (pyroot/layers has the rules).
#
# A binding of an overlay has the first lower directory as its host side.  The host text of a place in it is that of the layer whose file
# it is, and is set anew for each component; only what has a name that UPPER has nowhere is looked up in the lower directory at once, by
# a proof, a short cut or the gate.  A descriptor of a directory that several layers have is one of the lower directory: names that UPPER
# lacks are found below it by the kernel, all others come here.
#
# Decides: the layer of a place, and when a short cut would miss UPPER.

# -- the session's -----------------------------------------------------------------------------------------------------------------

cdef struct Overlays:
    int n                    # bindings of that kind
    bint blind               # names do not tell any more what is UPPER's: a guest stands in a directory that is none of the tree's
    bint lenient             # the call at hand makes no name, though it looks like that: it is about mount points
    bint raised              # the call at hand wants the directory of UPPER (O_TMPFILE)
    Tracee *asker            # whose call it is, if owners are remembered; else NULL

cdef Overlays overlays

cdef void over_blind() noexcept nogil:
    """From now on nothing is left to the kernel or the gate."""
    overlays.blind = True
    gate_end()

# -- places ----------------------------------------------------------------------------------------------------------------------------

cdef inline layers *over_of(const Walk *w) noexcept nogil:
    return w.v.b[w.bi].over if w.bi >= 0 else NULL

cdef inline bint over_plain(const Bind *b, const char *name, int n) noexcept nogil:
    """Say whether a name can only be the lower directory's."""
    return b.over == NULL or (b.over.n == 2 and not b.over.strict and not layers_knows(name, n))

cdef bint over_known(const layers *o, const char *rel, int n, bint any_of_them) noexcept nogil:
    """Say whether UPPER may have all names of a place (``any_of_them``: one of them)."""
    cdef int i = 0, start
    while i < n:
        i += 1
        start = i
        while i < n and rel[i] != c'/':
            i += 1
        if layers_knows(rel + start, i - start) == any_of_them:
            return any_of_them
    return not any_of_them

cdef inline bint over_at_lower(const Walk *w) noexcept nogil:
    """Say whether the host text of a place in an overlay is the lower directory's."""
    cdef int n = w.v.b[w.bi].hostlen
    return w.hlen >= n and memcmp(w.h, w.v.b[w.bi].host, n) == 0 and (w.hlen == n or w.h[n] == c'/')

cdef void over_put(Walk *w, int k, int n) noexcept nogil:
    """Let the host text be that of a layer, of the first n bytes below the binding."""
    cdef const Bind *b = &w.v.b[w.bi]
    cdef layers *o = b.over
    cdef int m = <int>o.length[k]
    if w.hlen == m + n and memcmp(w.h, o.path[k], m) == 0:
        return
    walk_drop_fd(w)
    walk_drop_file(w)
    memcpy(w.h, o.path[k], m)
    memcpy(w.h + m, w.g + b.guestlen, n)
    w.hlen = m + n
    w.h[w.hlen] = 0

cdef int over_turn(Walk *w, const char *comp, int n, bint final) noexcept nogil:
    """Turn to the layer that has the next component; 0, 1: no layer has it, and it may be made where the walk is now, or -errno."""
    cdef const Bind *b = &w.v.b[w.bi]
    cdef layers_found f
    cdef size_t done = 0
    cdef int result, at = w.glen - b.guestlen, m = at + 1 + n
    if w.glen + n + 2 >= BUF:
        return -ENAMETOOLONG
    if n > 255 and final:
        # (no layer has it, and the kernel says so in its time)
        return 0
    w.g[w.glen] = c'/'
    memcpy(w.g + w.glen + 1, comp, n)
    result = layers_find(b.over, w.g + b.guestlen, m, &f, &done)
    w.g[w.glen] = 0
    if result == 0:
        over_put(w, f.attr, at)
        return 0
    if result != -ENOENT or done != <size_t>m:
        return result
    if w.mode == M_MISSING or (final and (w.takes or overlays.lenient)) or (final and is_creating(w.mode) and f.around & 1 and not f.white):
        over_put(w, 0 if f.around & 1 else ctz(f.around), at)
        return 1
    return result

cdef int over_settle(Walk *w) noexcept nogil:
    """The walk has gone to a guest path in an overlay: let its host text be that of the directory; 0 or -errno."""
    cdef const Bind *b = &w.v.b[w.bi]
    cdef layers_found f
    cdef int n = w.glen - b.guestlen
    cdef int result = layers_find(b.over, w.g + b.guestlen, n, &f, NULL)
    if result == 0:
        over_put(w, f.dir, n)
    return result

cdef bint over_stale(Walk *w) noexcept nogil:
    """Say whether a directory, by its host text, is none of the tree any more."""
    cdef const Bind *b = &w.v.b[w.bi]
    cdef layers *o = b.over
    cdef layers_found f
    cdef int k = layers_of(o, w.h, w.hlen), n = w.glen - b.guestlen
    # (what UPPER has no longer the kernel calls deleted)
    if k <= 0 or (o.n == 2 and not over_known(o, w.g + b.guestlen, n, True)):
        return False
    if layers_find(o, w.g + b.guestlen, n, &f, NULL) < 0:
        return True
    return not (f.merged >> k & 1 or f.attr == k)

cdef int over_searched(Walk *w) noexcept nogil:
    """Say whether the directory that the walk has come to may be searched where UPPER has it: 0 or -errno."""
    cdef layers_found f
    cdef char path[PATHMAX]
    cdef int n = w.v.b[w.bi].guestlen if w.bi >= 0 else 0
    if over_of(w) == NULL or layers_find(over_of(w), w.g + n, w.glen - n, &f, NULL) < 0 or f.attr != 0 or not S_ISDIR(f.mode):
        return 0
    if layers_path(over_of(w), 0, w.g + n, w.glen - n, path) < 0 or accessible(AT_FDCWD, path, X_OK) == 0:
        return 0
    return -errno

cdef bint over_merges(Walk *w) noexcept nogil:
    """Say whether the walk is at a directory that several layers have."""
    cdef layers_found f
    cdef int n = w.v.b[w.bi].guestlen if w.bi >= 0 else 0
    if over_of(w) == NULL or layers_find(over_of(w), w.g + n, w.glen - n, &f, NULL) < 0:
        return False
    return S_ISDIR(f.mode) and f.merged & (f.merged - 1) != 0

cdef inline bint opens_directory(const Tracee *t) noexcept nogil:
    """Say whether the call at hand is to get the directory itself, as a descriptor or to stand in."""
    cdef uint64_t nr = t.call.nr
    return (nr == NR_open or nr == NR_openat or nr == NR_openat2 or nr == NR_chdir or nr == NR_chroot or nr == NR_open_tree
            or nr == NR_open_tree_attr)

cdef void over_final(Walk *w, const Tracee *t) noexcept nogil:
    """The walk has ended: let the host text be what the call is about."""
    cdef const Bind *b = &w.v.b[w.bi]
    cdef layers *o = b.over
    cdef layers_found f
    cdef int n = w.glen - b.guestlen
    w.upper = w.merged = False
    if w.magic or (o.n == 2 and not over_known(o, w.g + b.guestlen, n, False)) or layers_find(o, w.g + b.guestlen, n, &f, NULL) < 0:
        return
    w.upper = f.attr == 0
    w.merged = S_ISDIR(f.mode) and f.merged & (f.merged - 1) != 0
    if not f.sure:
        return
    over_put(w, f.dir if w.merged and opens_directory(t) and not overlays.raised else f.attr, n)
