# One plain name, looked up in the working directory or below a descriptor: the kernel itself finds it there, and nothing has to be
# translated, unless the name is a mount point or a link that would be followed.  find, tar, rm, cp and grep name files this way.
#
# Several names from the working directory (ls -R, du, compilers) are left to the kernel, too, where a proof from there shows that none
# is a link.  It is made from a descriptor of that directory, which is kept for a process that does not share its cwd: so only
# its own chdir or fchdir, which drop the descriptor, change that, and it makes no other call before that one is over.

cdef enum:
    CWD_USES = 4             # so many paths are worth the descriptor

cdef bint is_plain(View *v, const char *path, int n) noexcept nogil:
    """Say whether a path is one name, neither "." nor "..", that no mount point has in its path."""
    cdef int word = 0
    cdef uint64_t bit
    if n > 255 or (path[0] == c'.' and (n == 1 or (n == 2 and path[1] == c'.'))) or memchr(path, c'/', n) != NULL:
        return False
    bit = name_bit(path, n, &word)
    return v.names[word] & bit == 0 and not (v.overs > 0 and layers_knows(path, n))

cdef int plain_names(View *v, const char *path, int n) noexcept nogil:
    """Count the names of a relative path; 0 if one is ".." or one that a mount point has in its path."""
    cdef int i = 0, start, names = 0, word = 0
    cdef uint64_t bit
    while i < n:
        start = i
        while i < n and path[i] != c'/':
            i += 1
        if i - start > 255 or (i - start == 2 and path[start] == c'.' and path[start + 1] == c'.'):
            return 0
        if i > start and not (i - start == 1 and path[start] == c'.'):
            bit = name_bit(path + start, i - start, &word)
            if v.names[word] & bit != 0 or (v.overs > 0 and layers_knows(path + start, i - start)):
                return 0
            names += 1
        i += 1
    return names

cdef int cwd_held(Tracee *t) noexcept nogil:
    """Return a descriptor of the tracee's working directory that stays ours, or -1."""
    cdef char link[40]
    if t.fs == NULL or t.fs.refs != 1 or t.fs.root != NULL:
        return -1
    if t.fs.cwd < 0:
        t.fs.cwd_uses += 1
        if t.fs.cwd_uses < CWD_USES:
            return -1
        snprintf(link, sizeof(link), b"/proc/%d/cwd", t.tid)
        t.fs.cwd = c_open(link, O_PATH | O_DIRECTORY | O_CLOEXEC)
        if t.fs.cwd >= fd_reserve:
            fs_forget_cwd(t.fs)
        t.fs.cwd_uses = 0
    return t.fs.cwd

cdef bint way_passes(Tracee *t, uint32_t may, int dirfd, const char *path, int n, int mode) noexcept nogil:
    """Like step_passes, for a path of several components from the working directory."""
    cdef int fd, error
    if not may & MAY_PASS or dirfd != AT_FDCWD or (mode != M_FOLLOW and mode != M_NOFOLLOW):
        return False
    if plain_names(W1.v, path, n) < 2:
        return False
    fd = cwd_held(t)
    if fd < 0:
        return False
    error = prove(fd, path, mode == M_FOLLOW or path[n - 1] == c'/', False, NULL)
    return error == 0 or error == -ENOENT or error == -ENOTDIR

cdef int step_stat(Tracee *t, int dirfd, const char *path, c_stat *st) noexcept nogil:
    """lstat a name where the tracee's kernel would look it up."""
    cdef char link[320]
    cdef int fd = cwd_held(t) if dirfd == AT_FDCWD else -1
    if fd >= 0:
        return -errno if fstatat(fd, path, st, AT_SYMLINK_NOFOLLOW) < 0 else 0
    if dirfd == AT_FDCWD:
        snprintf(link, sizeof(link), b"/proc/%d/cwd/%s", t.tid, path)
    else:
        snprintf(link, sizeof(link), b"/proc/%d/fd/%d/%s", t.tid, dirfd, path)
    return -errno if fstatat(AT_FDCWD, link, st, AT_SYMLINK_NOFOLLOW) < 0 else 0

cdef bint step_passes(Tracee *t, uint32_t may, int dirfd, const char *path, int n, int mode) noexcept nogil:
    """Say whether a call that looks at or changes a name (but does not open it) can be left as it is."""
    cdef c_stat st
    cdef int result
    if not may & MAY_STEP or not is_plain(W1.v, path, n):
        return False
    if mode != M_FOLLOW:
        return True
    result = step_stat(t, dirfd, path, &st)
    return result == -ENOENT or (result == 0 and not S_ISLNK(st.st_mode))

cdef bint step_opens(Tracee *t, uint32_t may, int dirfd, const char *path, int n, int mode, uint64_t flags) noexcept nogil:
    """Say whether an open can be left as it is: one that follows no link, and not of a text in /proc."""
    cdef c_stat st
    cdef int result
    if mode != M_NOFOLLOW and mode != M_OCREAT_NOFOLLOW and mode != M_CREATE:
        return False
    if not step_passes(t, may, dirfd, path, n, mode):
        return False
    if flags & O_PATH or mode == M_CREATE or not is_text_name(path):
        return True
    result = step_stat(t, dirfd, path, &st)
    return result == -ENOENT or (result == 0 and st.st_dev != proc_dev)

cdef bint is_text_name(const char *path) noexcept nogil:
    """Say whether a text of /proc has the last name of the path, or a directory with such; those of descriptors have numbers."""
    cdef char name[32]
    cdef int end = <int>strlen(path), start
    while end > 0 and (path[end - 1] == c'/' or (path[end - 1] == c'.' and (end == 1 or path[end - 2] == c'/'))):
        end -= 1
    start = end
    while start > 0 and path[start - 1] != c'/':
        start -= 1
    if end - start >= <int>sizeof(name):
        return False
    memcpy(name, path + start, end - start)
    name[end - start] = 0
    return c'0' <= name[0] <= c'9' or kind_of(name) != 0 or strcmp(name, b"unix") == 0

cdef bint way_opens(uint32_t may, const char *path, int n, uint64_t flags) noexcept nogil:
    """Say whether the kernel can open a relative path as it is, if it meets no link: where it lies need not be known."""
    if not may & MAY_OPEN or opening_again or W1.v.ambiguous or plain_names(W1.v, path, n) == 0:
        return False
    return (flags & O_PATH or not is_text_name(path)) and not way_with_link(path, n, False)

cdef bint way_with_link(const char *path, int n, bint note) noexcept nogil:
    """Say whether such an open has met a link in this path or in the directories on its way lately, or note that one has."""
    cdef uint64_t h = FNV + 1
    cdef int i = 0, start
    while i < n:
        start = i
        while i < n and path[i] != c'/':
            i += 1
        h = hash_step(h, path + start, i - start)
        if note and (i == n or memchr(path + i + 1, c'/', n - i - 1) == NULL):
            links_seen[h & (LINKS_SEEN - 1)] = h
        elif links_seen[h & (LINKS_SEEN - 1)] == h:
            return True
        i += 1
    return False

cdef int name_walk(Tracee *t, const pyroot_row *row, int dirfd, uint64_t pointer, int mode, bint pinned) noexcept nogil:
    """Like call_walk, for calls that look at a name or change it: one that the kernel itself finds is left to it.

    ``pinned``: what it finds is to be named by a descriptor, so no path of several components is left to it.
    """
    cdef int n = given_text(&W1, t, pointer)
    cdef uint32_t may
    W1.valid = False
    if n <= 0:
        return no_text(n, pointer)
    may = licences(t, row) if path_buffer[0] != c'/' else 0
    if may != 0 and (step_passes(t, may, dirfd, path_buffer, n, mode)
                     or (not pinned and way_passes(t, may, dirfd, path_buffer, n, mode))):
        stats.names += 1
        return TR_PASS
    return text_walk(&W1, t, dirfd, path_buffer, n, mode)

cdef int open_walk(Tracee *t, const pyroot_row *row, int dirfd, uint64_t pointer, uint64_t flags) noexcept nogil:
    """The same for open."""
    cdef int n = given_text(&W1, t, pointer), mode = open_mode(flags)
    cdef uint32_t may = licences(t, row)
    W1.valid = False
    if n <= 0:
        return no_text(n, pointer)
    if path_buffer[0] != c'/' and step_opens(t, may, dirfd, path_buffer, n, mode, flags):
        stats.names += 1
        return TR_PASS
    if path_buffer[0] != c'/':
        if way_opens(may, path_buffer, n, flags):
            stats.names += 1
            return TR_WAY
        if opening_again:
            way_with_link(path_buffer, n, True)
    # (not from a relative start, which may lie below directories that are closed)
    W1.trusts = path_buffer[0] == c'/' and may & MAY_OPEN and not opening_again
    n = text_walk(&W1, t, dirfd, path_buffer, n, mode)
    W1.trusts = False
    return n
