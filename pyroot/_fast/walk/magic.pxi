# The magic links of /proc: jumps of the kernel whose text is only a description (proc(5)).

cdef int proc_magic(Walk *w, const char *comp, int n, int *pid) noexcept nogil:
    """Say what kind of magic link comp is in the directory h, and whose."""
    cdef const char *p = w.h + 6
    cdef int used, sub
    if w.hlen < 7:
        return MAGIC_NONE
    used = parse_pid(p, pid)
    if used == 0:
        return MAGIC_NONE
    p += used
    if memcmp(p, b"/task/", 6) == 0:
        used = parse_pid(p + 6, &sub)
        if used > 0:
            pid[0] = sub
            p += 6 + used
    if p[0] == 0:
        if n == 3 and memcmp(comp, b"cwd", 3) == 0:
            return MAGIC_CWD
        if n == 4 and memcmp(comp, b"root", 4) == 0:
            return MAGIC_ROOT
        if n == 3 and memcmp(comp, b"exe", 3) == 0:
            return MAGIC_EXE
        return MAGIC_NONE
    if strcmp(p, b"/fd") == 0 or strcmp(p, b"/map_files") == 0 or strcmp(p, b"/ns") == 0:
        return MAGIC_FILE
    return MAGIC_NONE

cdef int proc_self(Walk *w, const char *comp, int n, char *to) noexcept nogil:
    """Give /proc/self and /proc/thread-self the guest's meaning; return the text's length or 0."""
    if w.hlen != 5 or w.pid == 0:
        return 0
    if n == 4 and memcmp(comp, b"self", 4) == 0:
        return snprintf(to, PATHMAX, b"%d", w.pid)
    if n == 11 and memcmp(comp, b"thread-self", 11) == 0:
        return snprintf(to, PATHMAX, b"%d/task/%d", w.pid, w.tid)
    return 0

cdef int walk_magic_file(Walk *w, Tracee *t, const char *comp, int n, char *text, int textlen, bint more) noexcept nogil:
    """Follow fd/N and its like: the kernel jumps; only what follows a directory needs a place."""
    cdef c_stat a, b
    cdef int result, fd = -1
    cdef char link[PATHMAX]
    cdef bint there
    if not more:
        parse_pid(comp, &fd)
        return walk_magic_end(w, comp, n, text, textlen, fd_binding(w.v, t, fd))
    if w.hlen + n + 2 >= PATHMAX:
        return -ENAMETOOLONG
    result = snprintf(link, PATHMAX, b"%s/%.*s", w.h, n, comp)
    if fstatat(AT_FDCWD, link, &a, 0) < 0:
        return -errno
    if not S_ISDIR(a.st_mode):
        return -ENOTDIR
    parse_pid(comp, &fd)
    if text[0] == c'/':
        there = fstatat(AT_FDCWD, text, &b, AT_SYMLINK_NOFOLLOW) == 0 and a.st_dev == b.st_dev and a.st_ino == b.st_ino
        if there or (errno == EACCES and text[textlen - 1] != c')'):
            return walk_anchor(w, link, walk_to_text(w, link, text, textlen, fd_binding(w.v, t, fd)))
    if text[0] == c'/':
        return walk_to_text(w, link, text, textlen, fd_binding(w.v, t, fd))
    w.bi = -1
    memcpy(w.h, link, result + 1)
    w.hlen = result
    return 0

cdef bint is_nameless(Walk *w, const char *comp, int n, const char *text, int textlen) noexcept nogil:
    """Say whether a magic link is that of a memfd, or of other memory: it looks like the path of a removed file, of another device."""
    cdef char path[PATHMAX]
    cdef c_stat file, parent
    cdef int k = textlen
    if w.hlen + n + 2 >= PATHMAX or textlen < 11 or memcmp(text + textlen - 10, b" (deleted)", 10) != 0:
        return False
    snprintf(path, PATHMAX, b"%s/%.*s", w.h, n, comp)
    if fstatat(AT_FDCWD, path, &file, 0) < 0:
        return False
    while text[k - 1] != c'/':
        k -= 1
    snprintf(path, PATHMAX, b"%.*s", k, text)
    return fstatat(AT_FDCWD, path, &parent, 0) == 0 and parent.st_dev != file.st_dev

cdef int walk_magic_end(Walk *w, const char *comp, int n, char *text, int textlen, int prefer) noexcept nogil:
    """End the walk at a magic link: the kernel follows it itself."""
    w.magic = True
    w.magic_bi = -1
    if text[0] == c'/' and not is_nameless(w, comp, n, text, textlen):
        w.magic_bi = view_from_host(w.v, text, textlen, prefer, w.base, &w.magic_glen)
    w.base_hlen = -1
    return walk_push(w, comp, n)

cdef int walk_anchor(Walk *w, const char *link, int result) noexcept nogil:
    """Hold the directory that a magic link led to, if the walk goes by descriptors or its path is closed to us."""
    cdef c_stat st
    if result == 0 and not w.anchored and w.bi >= 0 and fstatat(AT_FDCWD, walk_text(w), &st, 0) < 0 and errno == EACCES:
        w.anchored = True
    if result == 0 and w.anchored and w.dfd < 0 and w.bi >= 0:
        w.dfd = c_open(link, O_PATH | O_DIRECTORY | O_CLOEXEC)
        if w.dfd < 0:
            w.dfd = AT_FDCWD
            return -errno
        w.doff = w.hlen
    return result

cdef int walk_to_exe(Walk *w, Exe *exe, bint same_view) noexcept nogil:
    """Go to a program, wherever its name is now; ``same_view``: its own name for itself is one of the walk's view."""
    cdef c_stat a, b
    cdef int result
    if exe.fd >= 0 and c_fstat(exe.fd, &a) == 0 and not (fstatat(AT_FDCWD, exe.host, &b, AT_SYMLINK_NOFOLLOW) == 0
                                                         and a.st_dev == b.st_dev and a.st_ino == b.st_ino):
        w.magic = True
        w.magic_bi = -1
        w.bi = -1
        w.hlen = snprintf(w.h, PATHMAX, b"/proc/%d/fd/%d", links_pid(), exe.fd)
        return 0
    result = walk_to_guest(w, exe.guest, <int>strlen(exe.guest)) if same_view else walk_to_host(w, exe.host, <int>strlen(exe.host), -1)
    w.namelen = 0
    while w.namelen < w.hlen and w.h[w.hlen - w.namelen - 1] != c'/':
        w.namelen += 1
    return result

cdef int walk_magic(Walk *w, int kind, int pid, const char *comp, int n, char *text, int textlen, bint more) noexcept nogil:
    cdef char link[48]
    cdef Tracee *t
    if w.resolve & RESOLVE_CACHED:
        # (the kernel cannot make the jump without waiting)
        return -EAGAIN
    if w.resolve & RESOLVE_NO_MAGICLINKS:
        return -ELOOP
    if w.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT):
        return -EXDEV
    t = fellow_of(w.v, pid, kind == MAGIC_EXE)
    if t == NULL:
        # a process outside: its links lead anywhere
        return -EACCES
    if tracee_get(w.tid) != NULL and not cred_may_access(tracee_get(w.tid), t, True):
        return -EACCES
    if w.resolve & RESOLVE_NO_XDEV and leads_off(w, comp, n, 0):
        return -EXDEV
    if kind == MAGIC_FILE:
        return walk_magic_file(w, t, comp, n, text, textlen, more)
    w.last = LAST_DOT
    if kind == MAGIC_ROOT:
        return walk_to_root_of(w, t.fs)
    if kind == MAGIC_CWD and not more:
        w.last = LAST_NORM
        return walk_magic_end(w, comp, n, text, textlen, t.fs.bind if t.fs != NULL else -1)
    if kind == MAGIC_CWD:
        snprintf(link, sizeof(link), b"/proc/%d/cwd", t.tid)
        return walk_anchor(w, link, walk_to_cwd(w, t))
    w.last = LAST_NORM
    if t.mm == NULL or t.mm.exe == NULL:
        return -ENOENT
    return walk_to_exe(w, t.mm.exe, t.view == w.v)
