# Files of /proc whose text would speak of the host or of the supervisor: the guest opens a copy in its own terms.
#
# The copy is a sealed memfd, made while the open is under way; the guest's own open(2) of it gives the descriptor.  Its name
# carries the path in /proc, so that readlink(2) can answer as for the real file and an open through /proc/PID/fd makes a new copy.
# Decides: which files, and the text of status, stat, wchan and net/unix.  Mount tables are in procfs.pxi, memory maps in procmaps.pxi.

# How the link of a descriptor on a copy begins.  A nested pyroot ends it with another byte: each leaves the copies of others alone.
cdef char copy_name[COPY_PREFIX + 1]

cdef void copies_prepare() noexcept nogil:
    memcpy(copy_name, b"/memfd:pyroot:", COPY_PREFIX + 1)
    copy_name[COPY_PREFIX - 1] = <char>(c':' + nesting % 10)

cdef struct ProcFile:
    int kind
    int pid                  # the thread it belongs to
    char name[96]            # its path with numbers instead of "self"

cdef void text_escaped(Text *x, const char *s, int n, const char *which) noexcept nogil:
    """Append a path with the bytes of ``which`` in octal, as the kernel writes them."""
    cdef int i
    cdef char octets[8]
    for i in range(n):
        if s[i] != 0 and strchr(which, s[i]) != NULL:
            snprintf(octets, sizeof(octets), b"\\%03o", s[i])
            text_add(x, octets, 4)
        else:
            text_add(x, s + i, 1)

# -- which file ------------------------------------------------------------------------------------------------------------

cdef int kind_of(const char *p) noexcept nogil:
    """Return the kind of a name in the directory of a process or thread."""
    cdef int i
    for i in range(TEXT_NAMES):
        if p[0] == text_names[i].name[0] and strcmp(p, text_names[i].name) == 0:
            return text_names[i].kind
    return 0

cdef int proc_parse(Tracee *t, const char *h, ProcFile *f) noexcept nogil:
    """Say which of these files a host path names: its kind, or 0.  A binding may have "self" in its host path."""
    cdef const char *p = h + 6
    cdef int used, sub = 0
    f.kind = 0
    if not starts(h, b"/proc/"):
        return 0
    if starts(p, b"self/"):
        f.pid = t.tgid
        p += 4
    elif starts(p, b"thread-self/"):
        f.pid = t.tgid
        sub = t.tid
        p += 11
    else:
        used = parse_pid(p, &f.pid)
        if used == 0:
            return 0
        p += used
    if starts(p, b"/task/"):
        used = parse_pid(p + 6, &sub)
        if used == 0:
            return 0
        p += 6 + used
    if p[0] != c'/':
        return 0
    f.kind = K_PRIVATE if starts(p, b"/fdinfo/") else kind_of(p + 1)
    if f.kind == 0 or strlen(p) >= sizeof(f.name) - 32:
        f.kind = 0
        return 0
    if sub == 0:
        snprintf(f.name, sizeof(f.name), b"/proc/%d%s", f.pid, p)
    else:
        snprintf(f.name, sizeof(f.name), b"/proc/%d/task/%d%s", f.pid, sub, p)
        f.pid = sub
    return f.kind

cdef int proc_list(Tracee *t, Walk *w, ProcFile *f) noexcept nogil:
    """The same of a directory, which may be named with a trailing slash or dot."""
    cdef char saved = w.h[w.placelen]
    w.h[w.placelen] = 0
    proc_parse(t, w.h, f)
    w.h[w.placelen] = saved
    return f.kind if f.kind == K_OPEN_FILES else 0

cdef int copied_path(const char *text, int n, char *to) noexcept nogil:
    """If the text of a descriptor's link names one of our copies, return the length of the path in /proc that it stands for."""
    if n <= COPY_PREFIX or memcmp(text, copy_name, COPY_PREFIX) != 0:
        return 0
    n -= COPY_PREFIX
    if n > 10 and memcmp(text + COPY_PREFIX + n - 10, b" (deleted)", 10) == 0:
        n -= 10
    memmove(to, text + COPY_PREFIX, n)
    to[n] = 0
    return n

cdef int proc_file_of(Tracee *t, Walk *w, ProcFile *f) noexcept nogil:
    """Say which of these files an open reaches: by its name, or through the link of a descriptor."""
    cdef char text[PATHMAX]
    cdef ssize_t n
    if not w.magic:
        return proc_parse(t, w.h, f) if w.last == LAST_NORM and w.hlen == w.placelen else proc_list(t, w, f)
    n = c_readlink(w.h, text, PATHMAX - 1)
    if n <= 0:
        return 0
    text[n] = 0
    copied_path(text, <int>n, text)
    return proc_parse(t, text, f)

# -- texts -----------------------------------------------------------------------------------------------------------------

cdef bint is_stopped(Tracee *t) noexcept nogil:
    """Say whether a signal has stopped the tracee; a stop that has not been dealt with yet tells more than the last one that was."""
    cdef int stop
    if is_peer(t):
        # (the stops of another session are short: whom we find in one has been there for a while)
        return True
    stop = turn_of(t.tid) >> 8
    if stop == 0:
        stop = pyroot_pending_stop(t.tid)
    if stop == 0:
        return t.listening
    return stop >> 8 == PTRACE_EVENT_STOP and ((stop & 255) == SIGSTOP or (stop & 255) == SIGTSTP or (stop & 255) == SIGTTIN
                                               or (stop & 255) == SIGTTOU)

cdef const char *state_shown(Tracee *t, const char *line) noexcept nogil:
    """Guests do not see our own stops: a task stopped here was running, or is stopped by a signal or for a guest that traces."""
    if line[0] != c't' or stopped_for_tracer(t):
        return NULL
    return b"T (stopped)" if is_stopped(t) else b"R (running)"

cdef int status_text(Tracee *t, const ProcFile *f, Text *out) noexcept nogil:
    """Leave the supervisor and its filter out.  NoNewPrivs stays: set-user-ID programs do run without their rights."""
    cdef Text host
    cdef const char *p
    cdef const char *shown
    cdef char number[24]
    cdef int n, filters = 0, error, tracer = t.ptrace.tracer if t.ptrace != NULL else 0
    if tracer == 0:
        tracer = view_keeper(W1.v, t.view)
    memset(&host, 0, sizeof(host))
    error = text_file(&host, f.name)
    if error < 0 or host.p == NULL:
        free(host.p)
        return error
    p = find_text(host.p, b"\nSeccomp_filters:\t")
    if p != NULL:
        parse_pid(p + 18, &filters)
    # (without a filter of pyroot's guests cannot have one either)
    if not is_peer(t):
        filters -= session.seccomp + t.own_filters
    elif filters > 0:
        filters -= 1
    p = host.p
    while p[0] != 0:
        n = line_length(p)
        shown = state_shown(t, p + 7) if starts(p, b"State:\t") else NULL
        if shown != NULL:
            text_add(out, p, 7)
            text_add(out, shown, strlen(shown))
        elif features_line(t, p, n, out):
            pass
        elif starts(p, b"TracerPid:\t"):
            text_add(out, number, snprintf(number, sizeof(number), b"TracerPid:\t%d", tracer))
        elif starts(p, b"Seccomp:\t2") and filters <= 0:
            text_add(out, b"Seccomp:\t0", 10)
        elif starts(p, b"Seccomp_filters:\t"):
            text_add(out, number, snprintf(number, sizeof(number), b"Seccomp_filters:\t%d", filters))
        elif starts(p, b"voluntary_ctxt_switches:\t"):
            text_add(out, p, 25)
            switches_add(t, p + 25, 0, out)
        else:
            text_add(out, p, n)
        text_add(out, b"\n", 1)
        p = line_next(p, n)
    free(host.p)
    return 0

cdef int switches_add(Tracee *t, const char *p, int width, Text *out) noexcept nogil:
    """Append the number at p without the switches that are our stops; return how many bytes it had."""
    cdef char number[32]
    cdef char *end
    cdef uint64_t value = strtoul(p, &end, 10)
    value = value - t.switches if value > t.switches else 0
    text_add(out, number, snprintf(number, sizeof(number), b"%*lu", width, value))
    return <int>(end - p)

cdef int schedstat_text(Tracee *t, const ProcFile *f, Text *out) noexcept nogil:
    """The third number says how often the task was put on a CPU."""
    cdef Text host
    cdef const char *p
    cdef int error
    memset(&host, 0, sizeof(host))
    error = text_file(&host, f.name)
    p = strrchr(host.p, c' ') if error == 0 and host.p != NULL else NULL
    if p != NULL:
        text_add(out, host.p, p + 1 - host.p)
        p += 1 + switches_add(t, p + 1, 0, out)
        text_add(out, p, strlen(p))
    free(host.p)
    return error

cdef int sched_text(Tracee *t, const ProcFile *f, Text *out) noexcept nogil:
    """Lines of "name : value", the values at the right."""
    cdef Text host
    cdef const char *p
    cdef const char *value
    cdef int n, error
    memset(&host, 0, sizeof(host))
    error = text_file(&host, f.name)
    p = host.p
    while error == 0 and p != NULL and p[0] != 0:
        n = line_length(p)
        value = p + n if not starts(p, b"nr_switches") and not starts(p, b"nr_voluntary_switches") else strchr(p, c':') + 1
        text_add(out, p, value - p)
        if value < p + n:
            switches_add(t, value, <int>(p + n - value), out)
        text_add(out, b"\n", 1)
        p = line_next(p, n)
    free(host.p)
    return error

cdef int stat_text(Tracee *t, const ProcFile *f, Text *out) noexcept nogil:
    cdef const char *shown
    cdef char *name_end
    cdef int error = text_file(out, f.name)
    if error == 0 and out.p != NULL:
        name_end = strrchr(out.p, c')')
        if name_end != NULL and name_end[1] == c' ':
            shown = state_shown(t, name_end + 2)
            if shown != NULL:
                name_end[2] = shown[0]
    return error

cdef int wchan_text(Tracee *t, const ProcFile *f, Text *out) noexcept nogil:
    cdef int error = text_file(out, f.name)
    if error == 0 and out.p != NULL and strcmp(out.p, b"ptrace_stop") == 0:
        out.n = 0
        return text_add(out, b"do_signal_stop", 14) if is_stopped(t) else text_add(out, b"0", 1)
    return error

cdef int unix_text(const ProcFile *f, Text *out) noexcept nogil:
    """Give bound sockets the names that guests know them by."""
    cdef Text host
    cdef const char *p
    cdef char name[SUN_MAX + 1]
    cdef int n, at, fields, k, error
    memset(&host, 0, sizeof(host))
    error = text_file(&host, f.name)
    p = host.p
    while error == 0 and p != NULL and p[0] != 0:
        n = line_length(p)
        at = fields = 0
        while at < n and fields < 7:
            while at < n and p[at] == c' ':
                at += 1
            while at < n and p[at] != c' ':
                at += 1
            fields += 1
        at += 1
        k = name_guest(p + at, n - at, n - at, name) if at < n and p != host.p and p[at] != c'@' and n - at <= SUN_MAX else 0
        text_add(out, p, at if k > 0 else n)
        text_add(out, name, k)
        text_add(out, b"\n", 1)
        p = line_next(p, n)
    free(host.p)
    return error

# -- opening ---------------------------------------------------------------------------------------------------------------

cdef bint copy_wanted(Tracee *t, Tracee *whose, int kind) noexcept nogil:
    """Say whether the kernel's own file would not do.

    What a process reads of itself in stat and wchan it reads while it runs, and may keep open: it stays the kernel's.
    """
    if kind == K_STAT or kind == K_WCHAN:
        return whose.tgid != t.tgid
    return True

cdef bint copy_reachable(Tracee *t) noexcept nogil:
    """Say whether the guest may open our descriptors: a guest of root that has changed its uid may not."""
    cdef Text status
    cdef const char *p
    cdef int i, fsuid = 0
    if c_geteuid() != 0:
        return True
    memset(&status, 0, sizeof(status))
    snprintf(link_text, 64, b"/proc/%d/status", t.tid)
    if text_file(&status, link_text) == 0 and status.p != NULL:
        p = find_text(status.p, b"\nUid:\t")
        for i in range(4):
            if p != NULL:
                p = strchr(p + 1, c'\t')
        if p != NULL:
            parse_pid(p + 1, &fsuid)
    free(status.p)
    return fsuid == 0

cdef int copy_make(const ProcFile *f, const Text *text) noexcept nogil:
    """Return a read-only descriptor on the text."""
    cdef char name[128]
    cdef int error = 0, fd
    snprintf(name, sizeof(name), b"%s%s", copy_name + 7, f.name)
    fd = c_memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)
    if fd < 0:
        return -errno
    if text.n > 0 and c_write(fd, text.p, text.n) != <ssize_t>text.n:
        error = -EIO
    if error < 0:
        c_close(fd)
        return error
    copy_protect(fd)
    return fd

cdef void copy_protect(int fd) noexcept nogil:
    """Let nobody write to a copy.  If that is refused the guest may do so: the copy is its own."""
    cdef char link[40]
    cdef c_stat st
    snprintf(link, sizeof(link), b"/proc/self/fd/%d", fd)
    if c_fchmod(fd, COPY_MODE & 0o777) < 0 and c_chmod(link, COPY_MODE & 0o777) < 0 and c_fstat(fd, &st) == 0:
        gate_copies_have(st.st_mode)
    c_fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

cdef int text_make(View *v, Tracee *whose, const ProcFile *f, Text *out) noexcept nogil:
    cdef int error
    if f.kind <= K_MOUNTSTATS:
        error = nested_refresh(whose.fs.root) if whose.fs.root != NULL else 0
        return error if error < 0 else mounts_text(v, f.kind, whose.fs.root, out)
    if f.kind <= K_NUMA_MAPS:
        return maps_text(whose, f, out)
    if f.kind == K_STATUS:
        return status_text(whose, f, out)
    if f.kind == K_STAT:
        return stat_text(whose, f, out)
    if f.kind == K_SCHED:
        return sched_text(whose, f, out)
    if f.kind == K_SCHEDSTAT:
        return schedstat_text(whose, f, out)
    return wchan_text(whose, f, out) if f.kind == K_WCHAN else unix_text(f, out)

cdef int outside_text(const ProcFile *f, uint64_t flags) noexcept nogil:
    """Say what a guest gets when it opens such a file of a process outside: what an ordinary user gets for another user's."""
    cdef char status[4096]
    cdef char *state
    cdef int got
    if (flags & O_ACCMODE != O_RDONLY or flags & O_TRUNC) and (f.kind == K_SETTING or f.kind == K_SCHED):
        return -EACCES
    if not (f.kind == K_MEM or f.kind == K_PRIVATE or f.kind == K_MOUNTSTATS or f.kind == K_OPEN_FILES or K_MAPS <= f.kind <= K_NUMA_MAPS):
        return 0
    got = status_read(f.pid, status, sizeof(status))
    if got == -ENOENT or got == -ESRCH:
        return 0
    state = find_text(status, b"State:\t") if got > 0 else NULL
    # one that has ended has nothing to show, and may have been a guest: the kernel's own answers differ from file to file
    return 0 if state != NULL and (state[7] == c'Z' or state[7] == c'X') else -EACCES

cdef enum:
    CAP_DAC_OVERRIDE_ = 1

cdef bint proc_allowed(Tracee *t, Tracee *whose, int kind, uint64_t flags) noexcept nogil:
    """Say whether the session's ids let a guest open such a file of another one."""
    if kind == K_SETTING or kind == K_SCHED:
        if flags & O_ACCMODE == O_RDONLY and not flags & O_TRUNC:
            return True
        return cred_fsuid(t) == cred_of(whose).uid[ID_EFFECTIVE] or cred_capable(t, CAP_DAC_OVERRIDE_)
    if kind == K_MEM or kind == K_MOUNTSTATS or kind == K_OPEN_FILES or kind == K_PRIVATE or K_MAPS <= kind <= K_NUMA_MAPS:
        return cred_may_access(t, whose, True)
    return True

cdef int proc_text(Tracee *t, Walk *w, uint64_t flags) noexcept nogil:
    """If an open reaches one of the files, put the path of a copy in its place.

    Returns 1 when replaced, 0 when it is not one of these files, or -errno.  Our descriptor lives until the call is over.  TEXT_LATER and
    more: what to do is the rest, the call will be made again.
    """
    cdef ProcFile f
    cdef Tracee *whose
    cdef Text out
    cdef int fd
    if w.mode == M_CREATE or t.landlocked or proc_file_of(t, w, &f) == 0:
        return 0
    whose = tracee_get(f.pid)
    if whose == NULL:
        whose = peer_of(w.v, f.pid, K_MAPS <= f.kind <= K_NUMA_MAPS)
    if whose != NULL and is_peer(whose):
        view_use(whose.view)
    elif whose != NULL and not view_within(whose.view, w.v):
        # as the view around both tells it
        if outside_text(&f, flags) < 0:
            return -EACCES
        view_use(view_around(w.v, whose.view))
    if whose == NULL:
        return outside_text(&f, flags)
    if creds.on and not proc_allowed(t, whose, f.kind, flags):
        view_use(t.view)
        return -EACCES
    if f.kind == K_MEM or f.kind >= K_OPEN_FILES or not copy_wanted(t, whose, f.kind) or (f.kind > K_MOUNTSTATS and not copy_reachable(t)):
        view_use(t.view)
        return 0
    if K_MAPS <= f.kind <= K_NUMA_MAPS and whose.mm != NULL and whose.mm.undumpable and whose.tgid != t.tgid:
        view_use(t.view)
        return -EACCES
    if t.copies != COPIES_SEEN:
        view_use(t.view)
        fd = copies_begin(t)
        if fd >= 0:
            return TEXT_LATER + fd
        view_use(view_around(w.v, whose.view) if not view_within(whose.view, w.v) else t.view)
    memset(&out, 0, sizeof(out))
    fd = text_make(w.v, whose, &f, &out)
    view_use(t.view)
    if fd == 0:
        fd = copy_make(&f, &out)
    free(out.p)
    if fd < 0:
        return fd
    if t.call.hold[1] >= 0:
        c_close(t.call.hold[1])
    t.call.hold[1] = fd
    copies_known()
    w.hlen = snprintf(w.h, PATHMAX, b"/proc/%d/fd/%d", links_pid(), fd)
    w.placelen = w.hlen
    w.namelen = 0
    w.mode = M_FOLLOW
    return 1
