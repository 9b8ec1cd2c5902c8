# Directories whose host path is longer than the kernel can tell: climb until it can, collecting the names on the way.
#
# What the last climb found is kept, since programs that work in such a place make many calls there.  It is never taken on trust: a
# kept path counts only if going down it, without following a link, ends at the very directory in question.

cdef enum:
    LEVELS = 16384           # directories kept of the last climb
    STEP = 3900              # bytes of a path that one openat(2) goes down

cdef struct Level:
    unsigned long dev
    unsigned long ino
    int end                  # length of the path that leads there

cdef struct Climb:
    char *text               # the path, BUF bytes; NULL before the first climb
    Level *level             # some of the directories on it, from the top down
    int n

cdef Climb climb

cdef int climb_prepare() noexcept nogil:
    if climb.text == NULL:
        climb.text = <char *>malloc(BUF + 8)
        climb.level = <Level *>malloc(LEVELS * sizeof(Level))
        climb.n = 0
    return 0 if climb.text != NULL and climb.level != NULL else -ENOMEM

cdef int climb_find(const c_stat *st) noexcept nogil:
    """Return the kept level of a directory, -1 if there is none."""
    cdef int i = climb.n - 1
    while i >= 0 and (climb.level[i].ino != st.st_ino or climb.level[i].dev != st.st_dev):
        i -= 1
    return i

cdef bint climb_holds(int which) noexcept nogil:
    """Go down the kept path of a level, following no link, and see whether it still leads there."""
    cdef c_stat st
    cdef open_how how
    cdef char saved
    cdef int at = 0, end = climb.level[which].end, next, fd = AT_FDCWD, below
    memset(&how, 0, sizeof(how))
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC
    how.resolve = RESOLVE_NO_SYMLINKS
    while at < end:
        next = end
        if end - at > STEP:
            next = at + STEP
            while climb.text[next] != c'/':
                next -= 1
        saved = climb.text[next]
        climb.text[next] = 0
        below = <int>c_syscall(NR_openat2, fd, climb.text + at + (1 if at > 0 else 0), &how, sizeof(how))
        climb.text[next] = saved
        if fd >= 0:
            c_close(fd)
        if below < 0:
            return False
        fd = below
        at = next
    if fd < 0:
        return False
    next = c_fstat(fd, &st)
    c_close(fd)
    return next == 0 and st.st_ino == climb.level[which].ino and st.st_dev == climb.level[which].dev

cdef int name_in(int parent, const c_stat *st, char *name) noexcept nogil:
    """Find what a directory is called in its parent; return the name's length or -errno."""
    cdef c_stat other
    cdef c_dirent *e
    cdef int n = -ENOENT, fd = c_openat(parent, b".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    cdef DIR *listing
    if fd < 0:
        return -errno
    listing = fdopendir(fd)
    if listing == NULL:
        c_close(fd)
        return -EIO
    while n < 0:
        e = readdir(listing)
        if e == NULL:
            break
        if e.d_ino == st.st_ino and fstatat(parent, e.d_name, &other, AT_SYMLINK_NOFOLLOW) == 0 and other.st_dev == st.st_dev:
            if strcmp(e.d_name, b"..") != 0 and strcmp(e.d_name, b".") != 0:
                n = <int>strlen(e.d_name)
                memcpy(name, e.d_name, n)
    closedir(listing)
    return n

cdef struct Steps:           # the levels that one climb passes, from the bottom up
    Level level[LEVELS]
    int n

cdef Steps steps

cdef int climb_up(int fd, char *tail, int *known) noexcept nogil:
    """Climb from a directory, writing its path to the end of tail; return where it begins, or -errno.

    known: how many kept levels the path begins with.  The descriptor is used up.
    """
    cdef char name[256]
    cdef char text[PATHMAX]
    cdef char self[48]
    cdef c_stat st
    cdef int at = BUF, n, up, kept
    steps.n = 0
    known[0] = 0
    while True:
        n = -errno if c_fstat(fd, &st) < 0 else 0
        kept = climb_find(&st) if n == 0 else -1
        if kept >= 0 and climb_holds(kept):
            n = climb.level[kept].end
            known[0] = kept + 1
            c_close(fd)
            if at - n < 0:
                return -EACCES
            memcpy(tail + at - n, climb.text, n)
            return at - n
        snprintf(self, sizeof(self), b"/proc/self/fd/%d", fd)
        if n == 0:
            n = <int>c_readlink(self, text, PATHMAX - 1)
            if n < 0:
                n = -errno
        if n != -ENAMETOOLONG:
            c_close(fd)
            if n > 0:
                memcpy(tail + at - n, text, n)
                n = at - n
            return n
        if steps.n < LEVELS:
            steps.level[steps.n].dev = st.st_dev
            steps.level[steps.n].ino = st.st_ino
            steps.level[steps.n].end = BUF - at
            steps.n += 1
        up = c_openat(fd, b"..", O_PATH | O_DIRECTORY | O_CLOEXEC)
        n = name_in(up, &st, name) if up >= 0 else -errno
        c_close(fd)
        fd = up
        if n < 0 or at - n < PATHMAX + 2:
            if fd >= 0:
                c_close(fd)
            return n if n < 0 and n != -ENAMETOOLONG else -EACCES
        at -= n + 1
        tail[at] = c'/'
        memcpy(tail + at + 1, name, n)

cdef void climb_keep(const char *path, int n, int known) noexcept nogil:
    """Keep the path of a climb, and the levels that it passed below the known ones."""
    cdef int i = steps.n - 1
    memcpy(climb.text, path, n)
    climb.n = known
    while i >= 0 and climb.n < LEVELS:
        climb.level[climb.n] = steps.level[i]
        climb.level[climb.n].end = n - steps.level[i].end
        climb.n += 1
        i -= 1

cdef int walk_to_long(Walk *w, const char *link, int prefer) noexcept nogil:
    """Go to a directory, given by a link of /proc, whose path is longer than the kernel can tell."""
    cdef char *tail = w.base
    cdef int at, known, n, fd
    cdef int start = c_open(link, O_PATH | O_DIRECTORY | O_CLOEXEC)
    if start < 0:
        return -errno
    fd = fd_again(start)
    n = -errno if fd < 0 else climb_prepare()
    if n < 0:
        c_close(start)
        return n
    at = climb_up(fd, tail, &known)
    if at >= 0:
        climb_keep(tail + at, BUF - at, known)
        at = walk_to_host(w, tail + at, BUF - at, prefer)
    if at < 0:
        c_close(start)
        return at
    w.dfd = start
    w.doff = w.hlen
    w.anchored = True
    return 0
