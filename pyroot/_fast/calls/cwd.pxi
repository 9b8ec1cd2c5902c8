# Where a process is, and links of /proc that name places: text that comes back to the guest.

cdef int on_chdir(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef int outcome, error
    fs_forget_cwd(t.fs)
    W1.resolve = 0
    edit_start()
    # always pinned: where later relative paths lead must not lie outside
    outcome = pinned_walk(&W1, t, AT_FDCWD, t.call.args[0], M_FOLLOW, True)
    if outcome == -ESRCH:
        return R_DEAD
    error = features_judge(t, row, &W1) if W1.valid else 0
    if error < 0:
        return answer(t, error)
    if W1.valid and W1.v.ambiguous and walk_binding(&W1) >= 0:
        cwd_will_be(t, W1.magic_bi if W1.magic else walk_binding(&W1))
    error = put_path(&W1, outcome, 0)
    return answer(t, error) if error < 0 else finish_edit(t)

cdef int cwd_will_be(Tracee *t, int bind) noexcept nogil:
    """The view shows some directory twice: note at the exit which binding the working directory lies in."""
    (<int *>after(t, end_chdir, 0))[0] = bind
    return R_EXIT

cdef int end_chdir(Tracee *t, After *a, int64_t result) noexcept nogil:
    if result == 0:
        t.fs.bind = (<int *>a.data)[0]
    return R_CONT

cdef int on_fchdir(Tracee *t, const pyroot_row *row) noexcept nogil:
    fs_forget_cwd(t.fs)
    if W1.v.ambiguous and walk_to_fd(&W1, t, <int>t.call.args[0]) == 0 and walk_binding(&W1) >= 0:
        # (also of a removed directory: ".." leads from there, too)
        return cwd_will_be(t, walk_binding(&W1))
    return as_is(b"a descriptor was translated when it was opened")

cdef int on_getcwd(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef int n, result
    cdef const char *text = W1.g
    W1.anchored = False
    result = walk_to_cwd(&W1, t)
    walk_drop_fd(&W1)
    if result < 0:
        return as_is(b"the guest is dying: nobody reads it") if result == -ESRCH else answer(t, result)
    if W1.bi <= -2 or is_gone_top(&W1):
        return answer(t, -ENOENT)
    n = W1.glen
    if n == 0 or (W1.bi >= 0 and lost_text(W1.g, n)):
        n = 1 if n == 0 else -1
        memcpy(W1.g, b"/", 2)
    if W1.bi < 0 and W1.v.parent != NULL:
        # outside of this view, but not of the one around it
        result = guest_text(W1.h, W1.hlen, -1, link_text)
        if result > 0:
            memcpy(W1.h, link_text, result)
            W1.hlen = result
    if n > 0:
        n = nested_text(t, W1.g, n) if W1.bi >= 0 else -W1.hlen
    if n < 0:
        # not below the process's root
        n = 13 - n
        memmove(W1.h + 13, W1.g if W1.bi >= 0 else W1.h, n - 13)
        memcpy(W1.h, b"(unreachable)", 13)
        text = W1.h
    (<char *>text)[n] = 0
    if n + 1 > PATHMAX:
        return answer(t, -ENAMETOOLONG)
    if <uint64_t>(n + 1) > t.call.args[1]:
        return answer(t, -ERANGE)
    result = <int>mem_write(t.tid, t.call.args[0], text, n + 1)
    return R_DEAD if result == -ESRCH else answer(t, result if result < 0 else n + 1)

cdef int guest_text(const char *host, int n, int prefer, char *to) noexcept nogil:
    """Turn a host path text of the kernel, perhaps with " (deleted)", into guest terms; return its length, 0 if outside.

    What the view does not show is told as the view around it shows it.
    """
    cdef View *v = W1.v
    cdef int cut = n, glen = 0
    if n > 10 and memcmp(host + n - 10, b" (deleted)", 10) == 0:
        cut = n - 10
        if starts(host, b"/memfd:"):
            # a file without a place, also where the machine's root is in the view
            return 0
    while view_from_host(v, host, 0 if cut == 1 else cut, prefer, to, &glen) < 0:
        if cut < n and view_was(v, host, cut, to, &glen):
            break
        v = v.parent
        prefer = -1
        if v == NULL:
            return 0
    if lost_text(to, glen):
        # as the kernel has it
        cut = n
        glen = 0
    if glen == 0:
        to[0] = c'/'
        glen = 1
    memcpy(to + glen, host + cut, n - cut)
    return glen + n - cut

cdef int errno_of_lstat(const char *host) noexcept nogil:
    cdef c_stat st
    return errno if fstatat(AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW) < 0 else 0

cdef int exe_text(Exe *exe, bint same_view, char *to) noexcept nogil:
    """Return the length of the guest text of a program's path, as it is now; ``same_view``: its own name for itself will do."""
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef ssize_t n
    cdef int got = 0
    if exe.fd >= 0:
        snprintf(link, sizeof(link), b"/proc/self/fd/%d", exe.fd)
        n = c_readlink(link, text, PATHMAX - 1)
        if n > 0 and text[0] == c'/' and not (n == <ssize_t>strlen(exe.host) and memcmp(text, exe.host, n) == 0):
            got = guest_text(text, <int>n, exe.bind if same_view else -1, to)
    if got > 0:
        return got
    if not same_view:
        got = guest_text(exe.host, <int>strlen(exe.host), -1, to)
    if got == 0:
        got = <int>strlen(exe.guest)
        memcpy(to, exe.guest, got)
    if exe.fd < 0 and not is_proc(exe.host, <int>strlen(exe.host)) and errno_of_lstat(exe.host) == ENOENT:
        memcpy(to + got, b" (deleted)", 10)
        got += 10
    return got

cdef int proc_link_text(Tracee *asking, int kind, int pid, const char *link, char *to) noexcept nogil:
    """Return the length of the text of a magic link as ``asking`` sees it, 0 to leave the call to the kernel, or -errno."""
    cdef Tracee *t = fellow_of(W1.v, pid, kind == MAGIC_EXE)
    cdef int n
    if t == NULL:
        return 0 if is_gone(link) else -EACCES
    if not cred_may_access(asking, t, True):
        return -EACCES
    if is_peer(t):
        view_use(t.view)
    n = root_text(t, to) if kind == MAGIC_ROOT else link_target(t, kind, link, to)
    if is_peer(t):
        view_use(asking.view)
    if n <= 0:
        return n
    n = nested_text(asking, to, n)
    n = -n if n < 0 else n
    return n if n < PATHMAX else -ENAMETOOLONG

cdef bint is_gone(const char *link) noexcept nogil:
    """Say whether there is no such link, or its process has none (a helper of the kernel): the kernel says so itself."""
    cdef char text[8]
    return c_readlink(link, text, sizeof(text)) < 0

cdef int link_target(Tracee *t, int kind, const char *link, char *to) noexcept nogil:
    """Write the guest path, counted from pyroot's root, that a magic link of t leads to."""
    cdef char text[PATHMAX]
    cdef ssize_t n
    cdef int fd, copied
    if kind == MAGIC_EXE and t.mm != NULL and t.mm.exe != NULL:
        return exe_text(t.mm.exe, t.view == W1.v, to)
    if kind == MAGIC_CWD:
        return cwd_text(t, to)
    if kind == MAGIC_EXE and is_peer(t):
        # its loader is at work
        return -ENOENT
    parse_pid(strrchr(link, c'/') + 1, &fd)
    n = c_readlink(link, text, PATHMAX - 1)
    if n < 0:
        return long_link_text(link, fd_binding(W1.v, t, fd), to) if errno == ENAMETOOLONG else -errno
    if text[0] != c'/':
        return 0
    copied = copied_path(text, <int>n, text)
    if copied > 0:
        return guest_text(text, copied, -1, to)
    return guest_text(text, <int>n, fd_binding(W1.v, t, fd), to)

cdef int long_link_text(const char *link, int prefer, char *to) noexcept nogil:
    """Write the guest path of a directory whose host path the kernel cannot tell in one piece."""
    cdef int result
    W2.anchored = False
    result = walk_to_long(&W2, link, prefer)
    walk_drop_fd(&W2)
    W2.anchored = False
    if result < 0 or W2.bi < 0 or W2.glen >= PATHMAX:
        return -ENAMETOOLONG
    memcpy(to, W2.g, W2.glen)
    return W2.glen

cdef int root_text(Tracee *t, char *to) noexcept nogil:
    """Write the guest path of a process's root, counted from pyroot's."""
    cdef NestedRoot *r = t.fs.root
    cdef int n = 0
    if r != NULL and nested_refresh(r) == 0 and r.len + 10 < PATHMAX:
        n = r.len
        memcpy(to, r.text, n)
    if n == 0:
        to[0] = c'/'
        n = 1
    if r != NULL and r.gone:
        memcpy(to + n, b" (deleted)", 10)
        n += 10
    return n

cdef int cwd_text(Tracee *t, char *to) noexcept nogil:
    cdef int result = walk_to_cwd(&W2, t)
    walk_drop_fd(&W2)
    W2.anchored = False
    if result < 0:
        return result
    if W2.bi == -1 and W2.v.parent != NULL:
        result = guest_text(W2.h, W2.hlen, -1, to)
        return result if result < PATHMAX else -ENAMETOOLONG
    if W2.bi == -1 or W2.bi == -2:
        return 0
    memcpy(to, W2.g, W2.glen)
    result = W2.glen
    if result == 0 or lost_text(to, result):
        to[0] = c'/'
        result = 1
    if W2.bi <= -3 or is_gone_top(&W2):
        memcpy(to + result, b" (deleted)", 10)
        result += 10
    return result if result < PATHMAX else -ENAMETOOLONG

cdef int put_link(Tracee *t, uint64_t buffer, int n, int size) noexcept nogil:
    """Answer a readlink with link_text, cut to the guest's buffer as the kernel cuts it."""
    cdef int error
    if n > size:
        n = size
    error = <int>mem_write(t.tid, buffer, link_text, n)
    return R_DEAD if error == -ESRCH else answer(t, error if error < 0 else n)

cdef int link_of_fd(Tracee *t, int fd) noexcept nogil:
    """readlinkat of an empty path reads the link that was opened with O_PATH: a magic one needs the guest's text."""
    cdef char link[48]
    cdef char text[PATHMAX]
    cdef ssize_t n
    cdef int pid = 0, kind
    cdef char *name
    snprintf(link, sizeof(link), b"/proc/%d/fd/%d", t.tid, fd)
    n = c_readlink(link, text, PATHMAX - 1)
    if n <= 0:
        return 0
    text[n] = 0
    if not is_proc(text, <int>n):
        return 0
    memcpy(W1.h, text, n + 1)
    name = strrchr(W1.h, c'/')
    name[0] = 0
    W1.hlen = <int>(name - W1.h)
    kind = proc_magic(&W1, name + 1, <int>(n - W1.hlen - 1), &pid)
    return proc_link_text(t, kind, pid, text, link_text) if kind != MAGIC_NONE else 0

cdef enum:
    EPOLL_CLOEXEC_ = 0x80000

cdef int answer_einval(Tracee *t) noexcept nogil:
    """Like answer(t, -EINVAL), with one register fewer to set: epoll_create1(2) fails with EINVAL for all but two values."""
    cdef uint32_t first = <uint32_t>t.call.full[0]
    if t.ptraces or t.filtered or t.call.compat or session.tracing or not session.seccomp or first == 0 or first == EPOLL_CLOEXEC_:
        return answer(t, -EINVAL)
    stats.answered += 1
    return R_DEAD if reg_set_nr(t, NR_epoll_create1) < 0 else R_CONT

cdef int on_readlink(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef int outcome, n, pid = 0, kind, size, error
    W1.resolve = 0
    edit_start()
    size = <int>t.call.args[row.path + 2]
    outcome = pinned_walk(&W1, t, dir_argument(t, row.dirfd), t.call.args[row.path], M_NOFOLLOW, False)
    if row.dirfd >= 0 and outcome == TR_PASS and not W1.valid and W1.givenlen == 0 and size > 0:
        n = link_of_fd(t, <int>t.call.args[0])
        if n > 0:
            return put_link(t, t.call.args[row.path + 1], n, size)
    if outcome == -ESRCH:
        return R_DEAD
    if (outcome == TR_TEXT and W1.valid and W1.isbind and W1.last == LAST_NORM and not W1.slash
            and not W1.v.b[W1.bi].flags & (BIND_SELF | BIND_LINK)):
        # no mount point is a link, though one of our descriptors may be what leads to it
        return answer_einval(t)
    if W1.valid and size > 0 and W1.last == LAST_NORM and not W1.slash and not W1.held and is_proc(W1.h, W1.hlen):
        n = W1.placelen - W1.namelen
        kind = MAGIC_NONE
        if n > 6 and W1.h[n - 1] == c'/':
            # (else it is a mount point with a name of its own)
            W1.h[n - 1] = 0
            W1.hlen = n - 1
            kind = proc_magic(&W1, W1.h + n, W1.namelen, &pid)
            W1.h[n - 1] = c'/'
            W1.hlen = W1.placelen
        if kind != MAGIC_NONE:
            n = proc_link_text(t, kind, pid, W1.h, link_text)
            if n < 0:
                return answer(t, n)
            if n > 0:
                return put_link(t, t.call.args[row.path + 1], n, size)
    if outcome == TR_TEXT and W1.valid and W1.directory and not W1.slash:
        # realpath(3) asks this of every directory on its way
        return answer_einval(t)
    error = put_path(&W1, outcome, row.path)
    return answer(t, error) if error < 0 else finish_edit(t)
