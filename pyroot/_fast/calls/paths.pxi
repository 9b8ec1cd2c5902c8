# Handlers of calls that take paths to files: translate, then let the kernel judge.
#
# An error of the walk is not answered at once: the path is replaced by one that makes the kernel fail with the same errno
# (poison), so that the kernel's own order of checks (flags, pointers, descriptors, path) is kept for every call.

cdef char eloop_path[700]
cdef char toolong_path[PATHMAX + 8]
cdef char eacces_path[64]
cdef int eacces_fd = -1
cdef void poison_prepare() noexcept nogil:
    cdef int i, n = 0
    for i in range(41):
        memcpy(eloop_path + n, b"/proc/self/root", 15)
        n += 15
    memcpy(eloop_path + n, b"/x", 3)
    memset(toolong_path, c'a', PATHMAX)
    toolong_path[PATHMAX] = 0

cdef const char *poison_eacces() noexcept nogil:
    """Name a path below a removed directory without search permission; made when first needed."""
    cdef char name[64]
    cdef const char *base = pyroot_named[1]
    if c_geteuid() == 0:
        return NULL
    if eacces_fd == -1:
        if base[0] == 0 or strlen(base) > 40:
            base = b"/tmp"
        # (its mode from the start: chmod(2) may be refused)
        snprintf(name, sizeof(name), b"%s/pyroot-%d-%x", base, c_getpid(), <unsigned int>pyroot_now())
        if c_mkdir(name, 0) < 0:
            # (the guest may have closed that directory) another user's process is closed to us as well
            if c_faccessat(AT_FDCWD, b"/proc/1/fd/x", F_OK, 0) < 0 and errno == EACCES:
                return b"/proc/1/fd/x"
            return NULL
        set_eacces_fd(c_open(name, O_PATH | O_CLOEXEC))
        c_rmdir(name)
        if eacces_fd < 0:
            return NULL
        snprintf(eacces_path, sizeof(eacces_path), b"/proc/%d/fd/%d/x", links_pid(), eacces_fd)
    return eacces_path

cdef void set_eacces_fd(int fd) noexcept nogil:
    global eacces_fd
    eacces_fd = fd

cdef const char *poison(int error) noexcept nogil:
    """Return a host path whose lookup fails with this errno before anything is touched, or NULL."""
    if error == ENOENT:
        return b"/proc/self/fdinfo/x/y"
    if error == ENOTDIR:
        return b"/proc/self/stat/x"
    if error == ELOOP:
        return eloop_path
    if error == ENAMETOOLONG:
        return toolong_path
    if error == EACCES:
        return poison_eacces()
    return NULL

cdef int path_mode(const pyroot_row *row, Tracee *t) noexcept nogil:
    """Decide what happens to the last component, from the row and the call's flags."""
    cdef uint64_t flags
    if row.final == F_OPEN:
        return open_mode(t.call.args[row.flags])
    if row.final == F_FLAG:
        flags = t.call.args[row.flags]
        if (row.dflt == F_FOLLOW) != ((flags & row.bit) != 0):
            return M_FOLLOW
        return M_NOFOLLOW
    if row.final == F_CREATE:
        return M_CREATE
    return M_NOFOLLOW if row.final == F_NOFOLLOW else M_FOLLOW

cdef int open_mode(uint64_t flags) noexcept nogil:
    if flags & O_PATH:
        flags &= ~<uint64_t>(O_CREAT | O_EXCL)
    if flags & O_CREAT:
        if flags & O_EXCL:
            return M_CREATE
        return M_OCREAT_NOFOLLOW if flags & O_NOFOLLOW else M_OCREAT
    return M_NOFOLLOW if flags & O_NOFOLLOW else M_FOLLOW

cdef int call_walk(Walk *w, Tracee *t, int dirfd, uint64_t pointer, int mode) noexcept nogil:
    """Read and translate one path argument; TR_PASS, TR_TEXT, or -errno of the walk (-ESRCH: the tracee is gone)."""
    cdef int n = given_text(w, t, pointer)
    w.valid = False
    if n <= 0:
        return no_text(n, pointer)
    return text_walk(w, t, dirfd, w.given, n, mode)

cdef inline int given_text(Walk *w, Tracee *t, uint64_t pointer) noexcept nogil:
    """Read the path of an argument, once and for all; its length or -errno of mem_string."""
    cdef int n = mem_string(t.tid, pointer, w.given, PATHMAX)
    w.givenlen = n if n >= 0 else -1
    return n

cdef inline int no_text(int n, uint64_t pointer) noexcept nogil:
    """Return the outcome of a walk whose path could not be read (-errno of mem_string), or is empty."""
    if n != -EFAULT:
        return n if n < 0 else TR_PASS
    # (no path at all means the descriptor itself to utimensat(2) and others)
    return TR_FAULT if pointer != 0 else TR_PASS

cdef int text_walk(Walk *w, Tracee *t, int dirfd, const char *path, int n, int mode) noexcept nogil:
    """Translate a path text; TR_PASS, TR_TEXT or -errno."""
    cdef int tries, result = 0
    for tries in range(walk_tries()):
        result = text_walk_once(w, t, dirfd, path, n, mode)
        if result != -ENOENT and result != -ENOTDIR:
            return result
    if result == -ENOENT and view_lost(w.v):
        result = text_walk_once(w, t, dirfd, path, n, mode)
    return result

cdef int text_walk_once(Walk *w, Tracee *t, int dirfd, const char *path, int n, int mode) noexcept nogil:
    cdef int result
    cdef bint closed = False
    cdef c_stat st
    w.pid = t.tgid
    w.tid = t.tid
    w.anchored = w.valid = w.held = w.linked = w.over_gone = w.upper = w.merged = False
    w.gone_bi = -1
    w.fs = t.fs
    if w.fs != NULL and w.fs.root != NULL:
        result = nested_refresh(w.fs.root)
        if result < 0:
            return result
    if path[0] != c'/' or w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT):
        result = walk_to_fd(w, t, dirfd)
        if result == -EBADF or result == -ENOTDIR:
            return TR_BADF if result == -EBADF else TR_NOTDIR
        if result < 0:
            return result
        closed = w.bi > 0 and binding_closed(w.v, w.bi)
    # (the proof begins at the binding and does not see that the path down to it is closed)
    result = -EACCES if closed else walk_path(w, path, n, mode)
    if result == 0 and (w.last == LAST_DOTDOT or (w.last == LAST_ROOT and w.resolve & RESOLVE_IN_ROOT)) and w.bi >= 0 and w.dfd < 0:
        # nothing was looked up to get there, but the kernel is to be given a path from above
        if fstatat(AT_FDCWD, walk_text(w), &st, AT_SYMLINK_NOFOLLOW) < 0:
            result = -errno
    if result == -EACCES and way_opener != NULL and openings < WAY_TRIES and way_opener(t, w):
        walk_drop_fd(w)
        return walk_again(w, t, dirfd, path, n, mode)
    if result == -EACCES and over_of(w) == NULL:
        # perhaps only the path down to a binding or to the start is closed to us: walk from there, as the kernel does
        result = anchored_walk(w, t, dirfd, path, n, mode)
    if result < 0:
        walk_drop_fd(w)
        return result
    if hidden_len > 0 and is_hidden(w.h, w.hlen):
        walk_drop_fd(w)
        return -EACCES if ends_with_hidden(w) and makes_name(w, t, mode) else -ENOENT
    w.valid = True
    if over_of(w) != NULL:
        over_final(w, t)
    walk_finish(w)
    if w.base_hlen < 0:
        if w.hlen == n and memcmp(w.h, path, n) == 0:
            return TR_PASS
    elif w.hlen < PATHMAX and w.hlen == w.base_hlen + 1 + n and memcmp(w.h, w.base, w.base_hlen) == 0:
        # (the text of a closed path does not lead to the place: a caller that has to look at it needs another)
        if memcmp(w.h + w.base_hlen + 1, path, n) == 0 and not (w.anchored and is_looked_at(w, mode)):
            walk_drop_fd(w)
            return TR_PASS
    if w.hlen < PATHMAX and (not w.anchored or w.dfd < 0):
        walk_drop_fd(w)
        return TR_TEXT
    return walk_hold(w, t)

cdef inline bint ends_with_hidden(const Walk *w) noexcept nogil:
    cdef int k = <int>strlen(hidden_name())
    return w.hlen > k and memcmp(w.h + w.hlen - k, hidden_name(), k) == 0 and holds_hidden(w.h, w.hlen - k - 1) > 0

cdef bint makes_name(const Walk *w, Tracee *t, int mode) noexcept nogil:
    """Say whether the call would give something new the name that is looked up; those that take names away look for what has it."""
    if mode == M_OCREAT or mode == M_OCREAT_NOFOLLOW:
        return True
    if mode != M_CREATE or t.call.nr == NR_unlink or t.call.nr == NR_unlinkat or t.call.nr == NR_rmdir:
        return False
    return w == &W2 or not (t.call.nr == NR_rename or t.call.nr == NR_renameat or t.call.nr == NR_renameat2)

cdef bint is_looked_at(Walk *w, int mode) noexcept nogil:
    """Say whether the place itself is looked at before the call: by execve, link and rename, and where a mount point is made or removed."""
    return w.want_text or (mode == M_CREATE and (w.isbind or leads_to_binding(w)))

cdef int anchored_walk(Walk *w, Tracee *t, int dirfd, const char *path, int n, int mode) noexcept nogil:
    cdef char link[48]
    cdef int result
    if path[0] == c'/' and not w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT):
        w.anchored = True
        return walk_path(w, path, n, mode)
    result = walk_to_fd(w, t, dirfd)
    if result < 0 or w.bi < 0:
        return -EACCES
    if dirfd == AT_FDCWD:
        snprintf(link, sizeof(link), b"/proc/%d/cwd", t.tid)
    else:
        snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, dirfd)
    w.dfd = c_open(link, O_PATH | O_DIRECTORY | O_CLOEXEC)
    if w.dfd < 0:
        w.dfd = AT_FDCWD
        return -EACCES
    w.doff = w.hlen
    w.anchored = True
    w.rootfd = fd_again(w.dfd) if w.resolve & RESOLVE_IN_ROOT else -1
    result = walk_path(w, path, n, mode)
    if w.rootfd >= 0:
        c_close(w.rootfd)
        w.rootfd = -1
    return result

cdef int walk_hold(Walk *w, Tracee *t) noexcept nogil:
    """Name a place whose host text is too long for one call through a descriptor that is held until the call is over."""
    cdef char link[48]
    cdef int n, k = 0 if t.call.hold[0] < 0 else 1
    if w.dfd < 0 or w.hlen < w.doff or t.call.hold[k] >= 0:
        return -ENAMETOOLONG
    if w.isbind and w.bi >= 0 and w.doff == w.v.b[w.bi].hostlen and name_bound_file(w, &w.v.b[w.bi]):
        return TR_TEXT
    n = snprintf(link, sizeof(link), b"/proc/%d/fd/%d", links_pid(), w.dfd)
    if w.hlen - w.doff + n >= PATHMAX:
        return -ENAMETOOLONG
    memmove(w.h + n, w.h + w.doff, w.hlen - w.doff + 1)
    memcpy(w.h, link, n)
    w.linked = w.hlen == w.doff and w.isbind and w.bi >= 0 and not w.v.b[w.bi].isdir
    if w.hlen == w.doff and not w.linked:
        # the link itself must be passed through, also by calls that do not follow
        memcpy(w.h + n, b"/", 2)
        w.hlen += 1
    w.hlen += n - w.doff
    w.placelen += n - w.doff
    t.call.hold[k] = w.dfd
    w.dfd = AT_FDCWD
    w.doff = 0
    w.held = True
    return TR_TEXT

cdef int put_path(Walk *w, int outcome, int arg) noexcept nogil:
    """Enter the outcome of a walk into the edit; 0, or the -errno that has to be answered directly."""
    cdef const char *text
    if outcome == TR_PASS:
        if w.givenlen >= 0:
            edit_bytes(arg, w.given, w.givenlen + 1)
        return 0
    if outcome == TR_BADF or outcome == TR_NOTDIR:
        # the kernel says the same of any name, and goes nowhere with this one
        edit_bytes(arg, b".", 2)
        return 0
    if outcome == TR_FAULT:
        edit_fault(arg)
        return 0
    if outcome < 0:
        text = poison(-outcome)
        if text == NULL:
            return outcome
        edit_bytes(arg, text, <int>strlen(text) + 1)
        return 0
    if edit_bytes(arg, w.h, w.hlen + 1) < 0:
        return -ENAMETOOLONG
    return 0

cdef inline int dir_argument(Tracee *t, int which) noexcept nogil:
    return <int>t.call.args[which] if which >= 0 else AT_FDCWD

cdef int on_path(Tracee *t, const pyroot_row *row) noexcept nogil:
    return one_path(t, row, PATH_ONLY)

cdef int one_path(Tracee *t, const pyroot_row *row, int what) noexcept nogil:
    """One path argument, and what else there is to it."""
    cdef int mode = path_mode(row, t), dirfd = dir_argument(t, row.dirfd), outcome = 0, error, pinned, tries
    cdef bint pins = pins_names(row)
    if row.remove:
        note_change()
        note_removal()
    elif mode == M_CREATE and (t.call.nr == NR_symlink or t.call.nr == NR_symlinkat):
        note_link(t)
    for tries in range(walk_tries() + 1):
        W1.resolve = 0
        edit_start()
        if what >= PATH_MOUNT:
            outcome = call_walk(&W1, t, dirfd, t.call.args[row.path], mode)
        else:
            W1.removes = row.remove != 0
            outcome = name_walk(t, row, dirfd, t.call.args[row.path], mode, pins)
            W1.removes = False
        if outcome == -ESRCH:
            return R_DEAD
        if copies_made and outcome >= 0 and copy_named(t, row, mode):
            outcome = TR_TEXT
        error = judge(t, row, &W1, mode) if W1.valid else judge_empty(t, row, dirfd)
        if error < 0:
            return answer(t, error)
        # (what is judged above are texts)
        pinned = pin_name(t, &W1, outcome) if pins and what < PATH_MOUNT else outcome
        if pinned == outcome:
            break
        outcome = pinned
        if not has_moved(outcome):
            break
        hold_drop(t)
        after_drop(t)
    if what == PATH_OPENS and W1.valid and W1.v.ambiguous:
        open_ambiguous(t)
    error = put_path(&W1, outcome, row.path)
    if error < 0:
        return answer(t, error)
    if W1.valid and W1.linked and outcome == TR_TEXT and follow_instead(t, row, mode == M_FOLLOW) < 0:
        return R_DEAD
    if what == PATH_HANDLE:
        handle_expect(t, dirfd, outcome)
    elif what >= PATH_STATX:
        statx_expect(t, dirfd, outcome, what == PATH_MOUNT)
    elif what == PATH_STAT and W1.v.links:
        links_expect(t, row, dirfd, outcome)
    return finish_edit(t)

cdef bint leads_to_binding(Walk *w) noexcept nogil:
    """Say whether a binding's mount point lies strictly below the place, or below what is the same by another binding."""
    cdef Entry *e
    cdef c_stat st
    if w.bi < 0 or w.v.n == 1 or w.last != LAST_NORM:
        return False
    e = view_find(w.v, hash_more(FNV, w.g, w.glen), w.g, w.glen)
    if e != NULL and e.below > 0:
        return True
    return w.v.ambiguous and covers_mount(w, True) and fstatat(AT_FDCWD, w.h, &st, AT_SYMLINK_NOFOLLOW) == 0

cdef int parent_stat(Walk *w, c_stat *st) noexcept nogil:
    """stat the directory that holds the last name (as walk_finish left h)."""
    cdef int result, cut = w.placelen - w.namelen
    cdef char saved[2]
    if w.last != LAST_NORM:
        return -errno if fstatat(AT_FDCWD, w.h, st, 0) < 0 else 0
    saved[0] = w.h[cut]
    saved[1] = w.h[cut + 1]
    w.h[cut] = c'.'
    w.h[cut + 1] = 0
    result = -errno if fstatat(AT_FDCWD, w.h, st, 0) < 0 else 0
    w.h[cut] = saved[0]
    w.h[cut + 1] = saved[1]
    return result

cdef int parent_writable(Walk *w) noexcept nogil:
    cdef int result, cut = w.placelen - w.namelen
    cdef char saved[2]
    saved[0] = w.h[cut]
    saved[1] = w.h[cut + 1]
    w.h[cut] = c'.'
    w.h[cut + 1] = 0
    result = -errno if accessible(AT_FDCWD, w.h, W_OK | X_OK) < 0 else 0
    w.h[cut] = saved[0]
    w.h[cut + 1] = saved[1]
    return result

cdef int removable(Walk *w) noexcept nogil:
    """Check what may_delete checks first: a writable directory and, where it is sticky, an owner (ours if nothing is covered)."""
    cdef c_stat parent, st
    cdef uid_t owner = c_geteuid()
    cdef int error = parent_writable(w)
    if error < 0 or parent_stat(w, &parent) < 0 or not parent.st_mode & S_ISVTX or c_geteuid() == 0:
        return error
    if name_stat(w, &st) == 0 and not is_mounted_on(w):
        owner = st.st_uid
    return -EPERM if owner != c_geteuid() and parent.st_uid != c_geteuid() else 0

cdef bint binding_isdir(Walk *w) noexcept nogil:
    cdef Entry *e = view_find(w.v, hash_more(FNV, w.g, w.glen), w.g, w.glen)
    return e != NULL and e.bind >= 0 and w.v.b[e.bind].isdir

cdef int name_busy(Walk *w, Tracee *t, const pyroot_row *row) noexcept nogil:
    """Answer for names that the rootfs need not have: making or removing a mount point, removing what leads to one."""
    cdef int error
    cdef c_stat st
    cdef bint rmdir = row.remove == REMOVE_DIR or (row.remove == REMOVE_FLAG and t.call.args[row.flags] & AT_REMOVEDIR_)
    if rmdir and w.last == LAST_ROOT:
        return -EBUSY
    if w.last != LAST_NORM or (row.remove == REMOVE_FLAG and t.call.args[row.flags] & ~<uint64_t>AT_REMOVEDIR_):
        return 0
    if w.isbind and row.remove and w.slash and not rmdir:
        # a slash after a name to unlink decides before the permissions, the path there does not
        error = parent_stat(w, &st)
        if error < 0:
            return error
        return -EISDIR if binding_isdir(w) else -ENOTDIR
    if w.isbind:
        if row.remove == 0:
            if symlink_text_bad(t) or node_type_bad(t):
                return 0
            error = parent_stat(w, &st)
            return error if error < 0 else -EEXIST
        error = removable(w)
        if error < 0:
            return error
        if rmdir:
            return -EBUSY if binding_isdir(w) else -ENOTDIR
        if binding_isdir(w):
            return -EISDIR
        return -ENOTDIR if w.slash else -EBUSY
    if row.remove and is_covered(w) and fstatat(AT_FDCWD, w.h, &st, AT_SYMLINK_NOFOLLOW) == 0 and S_ISDIR(st.st_mode) == rmdir:
        error = removable(w)
        return error if error < 0 else -EBUSY
    if rmdir and leads_to_binding(w):
        error = removable(w)
        return error if error < 0 else -EBUSY if is_mounted_on(w) else -ENOTEMPTY
    if row.remove and is_host_side(w):
        (<uint64_t *>after(t, end_removal, 0))[0] = hash_more(FNV, w.h, w.placelen)
    return 0

cdef int end_removal(Tracee *t, After *a, int64_t result) noexcept nogil:
    """The host side of a binding is gone."""
    if result == 0:
        views_removed(a.data[0])
    return R_CONT

cdef bint symlink_text_bad(Tracee *t) noexcept nogil:
    """A link's text is read before its name is looked up: an empty or unreadable one decides."""
    return (t.call.nr == NR_symlink or t.call.nr == NR_symlinkat) and mem_string(t.tid, t.call.args[0], link_text, PATHMAX) <= 0

cdef bint node_type_bad(Tracee *t) noexcept nogil:
    """mknod refuses file types before it looks anything up."""
    cdef uint64_t kind
    if t.call.nr != NR_mknod and t.call.nr != NR_mknodat:
        return False
    kind = t.call.args[2 if t.call.nr == NR_mknodat else 1] & 0o170000
    return kind != 0 and kind != 0o100000 and kind != 0o020000 and kind != 0o060000 and kind != 0o010000 and kind != 0o140000

cdef inline bint is_covered(Walk *w) noexcept nogil:
    """Say whether the name is a binding's mount point, reached through another binding of the directory that holds it."""
    return w.v.ambiguous and covers_mount(w, False)

cdef bint covers_mount(Walk *w, bint below) noexcept nogil:
    """Say whether some binding is mounted on the name (``below``: on something in it), however reached: what counts is the host text."""
    cdef int i, rest, more
    cdef Bind *b
    cdef Bind *over
    for i in range(1, w.v.n):
        b = &w.v.b[i]
        if b.lost != NULL:
            more = b.lostlen - w.placelen
            if (more > 0 if below else more == 0) and memcmp(b.lost, w.h, w.placelen) == 0:
                if not below or b.lost[w.placelen] == c'/':
                    return True
            continue
        over = &w.v.b[view_holding(w.v, i)]
        rest = b.guestlen - over.guestlen
        more = w.placelen - over.hostlen
        if more < 0 or (more >= rest if below else more != rest) or memcmp(w.h, over.host, over.hostlen) != 0:
            continue
        if memcmp(w.h + over.hostlen, b.guest + over.guestlen, more) == 0:
            if not below or b.guest[over.guestlen + more] == c'/':
                return True
    return False

cdef bint is_host_side(Walk *w) noexcept nogil:
    """Say whether the name is what a binding shows elsewhere: it stays alive there when it is removed here."""
    if w.last != LAST_NORM:
        return False
    if w.v.ambiguous and view_host_slot(w.v, hash_more(FNV, w.h, w.placelen), w.h, w.placelen).bind >= 0:
        return True
    return views_touched(w)

cdef int on_open_tree(Tracee *t, const pyroot_row *row) noexcept nogil:
    if t.call.args[2] & 1:
        return answer(t, -EPERM)
    return one_path(t, row, PATH_OPENS)

cdef int on_privileged(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Calls that need a capability: an ordinary guest gets the kernel's own errors, root's guests get EPERM here."""
    cdef int outcome
    if not privileged:
        return on_path(t, row) if row.path >= 0 else as_is(b"no path, and the kernel refuses it to who has no capability")
    if row.path < 0:
        return answer(t, -EPERM)
    W1.resolve = 0
    outcome = call_walk(&W1, t, AT_FDCWD, t.call.args[row.path], path_mode(row, t))
    if outcome == -ESRCH:
        return R_DEAD
    return answer(t, outcome if outcome < 0 else -EPERM)
