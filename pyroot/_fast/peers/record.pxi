# The record of a session: what others may know of it.  A file in a directory of the user's, which its supervisor holds open and locked.
#
# The directory gives it a name that the supervisors of other sessions look up (peers.pxi); a search for all sessions finds the records
# among the open files in /proc (pyroot/look/sessions.py).  The lock says that the session lives, so what one that was killed has left
# behind harms nobody and is swept by the next.  If no such directory is available the record has no name (a memfd): the session is
# alone then, and all else is unchanged.  So it is inside another pyroot, which serves what is in it.
#
# Decides: where records lie, and which directory is fit for them: our own, closed to everybody else, no link.  What will be shared by the
# sessions of one root later (ids, mounts) has its place in that directory, too, and in a record after what is there now.

cdef enum:
    VIEW_TEXT_MOST = 4194304    # bytes of a view's text, in a record or handed over (handed.pxi)

cdef extern from * nogil:
    """
    #include <dirent.h>
    #include <errno.h>
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/file.h>
    #include <sys/stat.h>
    #include <unistd.h>
    /* XDG_RUNTIME_DIR and TMPDIR, empty where they are not set. */
    static char pyroot_named[2][4096];
    /* The directories that may hold records, in order of preference; 0: there is none. */
    static int pyroot_place(int which, char *to, int size) {
        unsigned int uid = (unsigned int)geteuid();
        const char *named = pyroot_named[which != 0];
        int n = which == 0 ? named[0] ? snprintf(to, size, "%s/pyroot", named) : 0
              : which == 1 ? snprintf(to, size, "/run/user/%u/pyroot", uid)
              : which == 2 ? named[0] ? snprintf(to, size, "%s/pyroot-%u", named, uid) : 0
              : which == 3 ? snprintf(to, size, "/tmp/pyroot-%u", uid) : -1;
        return n < 0 ? -1 : n >= size || (n > 0 && to[0] != '/') ? 0 : n;
    }
    /* A directory of ours that nobody else may enter, or -1; a directory above it where others may write must be sticky. */
    static int pyroot_place_open(const char *path, int make) {
        struct stat st;
        int fd;
        if (make && mkdir(path, 0700) < 0) {
            if (errno != EEXIST) return -1;
            /* one of ours that a umask has closed to us, too */
            if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 07777)) chmod(path, 0700);
        } else if (make) {
            chmod(path, 0700); /* whatever the umask is */
        }
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) return -1;
        if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 07777) == 0700
            && fstatat(fd, "..", &st, 0) == 0 && (st.st_uid == geteuid() || st.st_uid == 0)
            && (!(st.st_mode & 022) || st.st_mode & S_ISVTX)) return fd;
        close(fd);
        return -1;
    }
    static int pyroot_is_alive(int fd) {
        if (flock(fd, LOCK_SH | LOCK_NB) < 0) return errno == EWOULDBLOCK;
        flock(fd, LOCK_UN);
        return 0;
    }
    /* A new file, locked from before it says anything. */
    static int pyroot_record_make(int dir, const char *name) {
        int fd;
        unlinkat(dir, name, 0);
        fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0) fchmod(fd, 0600);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) { close(fd); unlinkat(dir, name, 0); fd = -1; }
        return fd;
    }
    static int pyroot_record_open(int dir, const char *name) {
        struct stat st;
        int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())) { close(fd); fd = -1; }
        return fd;
    }
    /* Removes what others have left behind. One that says nothing yet is being made. */
    static void pyroot_sweep(int dir) {
        struct dirent *entry;
        struct stat st;
        DIR *listing = fdopendir(dup(dir));
        while (listing && (entry = readdir(listing))) {
            int fd = strncmp(entry->d_name, "session-", 8) ? -1 : pyroot_record_open(dir, entry->d_name);
            if (fd < 0) continue;
            if (fstat(fd, &st) == 0 && st.st_size > 0 && !pyroot_is_alive(fd)) unlinkat(dir, entry->d_name, 0);
            close(fd);
        }
        if (listing) closedir(listing);
    }
    static unsigned long pyroot_pid_space(void) {
        struct stat st;
        return stat("/proc/self/ns/pid", &st) < 0 ? 0 : (unsigned long)st.st_ino;
    }
    static void pyroot_record_name(char *to, int pid) { snprintf(to, 64, "session-%lu-%d", pyroot_pid_space(), pid); }
    static int pyroot_record_write(int fd, const char *text, size_t size) {
        return ftruncate(fd, 0) < 0 || pwrite(fd, text, size, 0) != (ssize_t)size ? -1 : 0;
    }
    """
    char pyroot_named[2][4096]
    int pyroot_place(int, char *, int)
    int pyroot_place_open(const char *, int)
    int pyroot_is_alive(int)
    int pyroot_record_make(int, const char *)
    int pyroot_record_open(int, const char *)
    void pyroot_sweep(int)
    void pyroot_record_name(char *, int)
    int pyroot_record_write(int, const char *, size_t)
    int c_unlinkat "unlinkat"(int, const char *, int)

cdef struct Record:
    int fd                   # -1: there is none
    int dir                  # that its name is in, -1: it has no name
    char name[64]
    char place[PATHMAX]

cdef Record record
record.fd = record.dir = -1

cdef int name_places(tuple places) except -1:
    """Say which directories the environment names for records (pyroot.environment.session_dirs); one that is too long does not count."""
    cdef bytes place
    cdef int i
    for i, place in enumerate(places):
        memset(pyroot_named[i], 0, PATHMAX)
        memcpy(pyroot_named[i], <const char *>place, len(place) if len(place) < PATHMAX else 0)
    return 0

cdef void record_begin(View *v) noexcept nogil:
    """Make the record."""
    cdef int which = 0, n, tries
    record.fd = record.dir = -1
    pyroot_record_name(record.name, c_getpid())
    while record.fd < 0 and not nesting:
        n = pyroot_place(which, record.place, sizeof(record.place))
        which += 1
        if n < 0:
            break
        for tries in range(3 if n > 0 else 0):
            # (the last session before us may be removing the directory)
            record.dir = pyroot_place_open(record.place, True)
            record.fd = pyroot_record_make(record.dir, record.name) if record.dir >= 0 else -1
            if record.fd >= 0 and record_write(v) < 0:
                c_unlinkat(record.dir, record.name, 0)
                c_close(record.fd)
                record.fd = -1
            if record.fd >= 0 or record.dir < 0:
                break
            c_close(record.dir)
            record.dir = -1
    if record.fd < 0:
        record.fd = c_memfd_create(b"pyroot-session", MFD_CLOEXEC)
        if record.fd >= 0 and record_write(v) < 0:
            # a limit on the size of files: then nobody can look
            c_close(record.fd)
            record.fd = -1

cdef void record_moved(View *v) noexcept nogil:
    """The tables of the view are made anew: a binding has moved, or the session begins."""
    if record.fd >= 0:
        record_write(v)

cdef int record_write(View *v) noexcept nogil:
    """Write the view down: a head, our own descriptor, and host path, guest path and flags of each binding, each of it with a NUL."""
    cdef Text text
    cdef char number[64]
    cdef int i, error
    memset(&text, 0, sizeof(text))
    error = text_add(&text, number, snprintf(number, sizeof(number), b"pyroot session 2%c%d%c", 0, record.fd, 0))
    for i in range(v.n):
        if error == 0:
            error = text_add(&text, v.b[i].host, v.b[i].hostlen) if v.b[i].hostlen > 0 else text_add(&text, b"/", 1)
        if error == 0:
            error = text_add(&text, b"", 1)
        if error == 0:
            error = text_add(&text, v.b[i].guest, v.b[i].guestlen) if v.b[i].guestlen > 0 else text_add(&text, b"/", 1)
        if error == 0:
            error = text_add(&text, number, snprintf(number, sizeof(number), b"%c%d%c", 0, v.b[i].flags, 0))
    if error == 0:
        error = pyroot_record_write(record.fd, text.p, text.n)
    free(text.p)
    return error

cdef void record_end() noexcept nogil:
    """The session is over: nothing is left of the record, nor of a directory that is empty."""
    if record.dir >= 0:
        c_unlinkat(record.dir, record.name, 0)
        pyroot_sweep(record.dir)
        c_rmdir(record.place)
        c_close(record.dir)
    if record.fd >= 0:
        c_close(record.fd)
    record.fd = record.dir = -1


def can_share(tuple places):
    """Say whether there is a directory that records may lie in; ``places`` as in Config."""
    cdef char place[PATHMAX]
    cdef int which = 0, n = 0, dir
    name_places(places)
    while n >= 0:
        n = pyroot_place(which, place, sizeof(place))
        which += 1
        dir = pyroot_place_open(place, True) if n > 0 else -1
        if dir >= 0:
            c_close(dir)
            return True
    return False
