# The Python door: class Core and what it needs.  Thin functions that turn -errno into OSError.

import os as _os


cdef bytes _plain(bytes path):
    """Drop the trailing slash of "/" only: the core's form of a canonical path."""
    return b"" if path == b"/" else path


cdef int _fail(int error, bytes path) except -1:
    raise OSError(error, _os.strerror(error), path)


cdef class Core:
    """Hold one guest view: a root and its bindings.  Owns one O_PATH descriptor for each."""

    cdef View view
    cdef Walk walk
    cdef readonly object explainer, leaver, starter
    cdef double grace
    cdef int front
    cdef bint net
    cdef dict features

    def __cinit__(self, bytes rootfs):
        memset(&self.view, 0, sizeof(View))
        if walk_alloc(&self.walk) < 0:
            raise MemoryError
        self.walk.v = &self.view
        self._add(rootfs, b"/", 0)
        view_rebuild(&self.view)
        settings_read()
        self.grace = 5
        self.features = {}

    def __dealloc__(self):
        view_free(&self.view)
        walk_release(&self.walk)

    cdef int _add(self, bytes host, bytes guest, int flags) except -1:
        cdef c_stat st
        cdef int fd = c_open(host, O_PATH | O_CLOEXEC | O_NOFOLLOW)
        cdef bytes h = _plain(host), g = _plain(guest)
        if fd < 0:
            _fail(errno, host)
        if c_fstat(fd, &st) < 0:
            c_close(fd)
            _fail(errno, host)
        if view_bind(&self.view, h, len(h), g, len(g), flags, fd, S_ISDIR(st.st_mode) and not flags & BIND_MASK) < 0:
            c_close(fd)
            raise MemoryError
        return 0

    def bind(self, bytes host, bytes guest, int flags=0):
        """Show canonical ``host`` at canonical ``guest``; of several bindings of one guest path the last wins.  Raises OSError."""
        cdef int before = self.view.n, result
        self._add(host, guest, flags)
        result = view_rebuild(&self.view) if self.view.n == before else view_append(&self.view)
        if result < 0:
            raise MemoryError

    def mark_root(self, int flags):
        """Give the root these flags of a binding besides its own."""
        self.view.b[0].flags |= flags

    def overlay(self, bytes guest, list paths, bytes work):
        """Let what is bound at a guest path, or the root, be an overlay (view/layers.pxi)."""
        view_overlay(&self.view, _plain(guest), paths, work)

    def bindings(self):
        """Return (host, guest, flags) of every binding, the root first."""
        cdef int i
        return [
            (self.view.b[i].host[: self.view.b[i].hostlen] or b"/", self.view.b[i].guest[: self.view.b[i].guestlen] or b"/",
             self.view.b[i].flags)
            for i in range(self.view.n)
        ]

    def resolve(self, bytes path, bytes base=b"/", bint follow=True, bint missing=False, int tid=0):
        """Resolve ``path`` from the guest directory ``base``; return (guest path, host path, number of missing components).

        Raises OSError with the kernel's errno.  See the type stub for the meaning of the arguments.
        """
        self.walk.v = self._view_of(tid)
        try:
            return self._resolve(path, base, M_MISSING if missing and follow else M_FOLLOW if follow else M_NOFOLLOW, missing)
        finally:
            self.walk.v = &self.view

    cdef _resolve(self, bytes path, bytes base, int mode, bint missing):
        cdef Walk *w = &self.walk
        cdef int result
        cdef c_stat st
        cdef bytes b = _plain(base)
        if not path:
            _fail(ENOENT, path)
        if len(path) >= PATHMAX:
            _fail(ENAMETOOLONG, path)
        w.resolve = 0
        w.anchored = False
        w.pid = w.tid = _os.getpid()
        w.fs = NULL
        if path[0] != c"/":
            result = walk_to_guest(w, b, len(b))
            if result < 0:
                _fail(-result, path)
        result = walk_path(w, path, len(path), mode)
        if result == -ENOENT and missing and mode == M_NOFOLLOW:
            walk_drop_fd(w)
            return self._resolve(path, base, M_MISSING, True)
        guest = w.g[: w.glen] or b"/"
        host = w.h[: w.hlen] or b"/"
        if result == 0:
            walk_finish(w)
            if fstatat(w.dfd, walk_rel(w), &st, AT_SYMLINK_NOFOLLOW) < 0:
                result = -errno
                if result == -EACCES and (missing or w.last == LAST_DOTDOT):
                    # ".." asks nothing of the directories above
                    result = 0
                if result == -ENOENT and missing and mode == M_NOFOLLOW:
                    # an intermediate name may be missing: count
                    walk_drop_fd(w)
                    return self._resolve(path, base, M_MISSING, True)
                if result == -ENOENT and missing:
                    result = 0
                    w.missing = max(w.missing, 1)
            else:
                w.missing = 0
        walk_drop_fd(w)
        if result < 0:
            _fail(-result, path)
        return guest, host, w.missing

    def translate(self, bytes path, bytes base=b"/", int mode=M_FOLLOW):
        """Return the host text that the kernel would be given for a call (mode: 1 follow, 2 no follow, 3 create, 4 O_CREAT)."""
        cdef Walk *w = &self.walk
        cdef int result
        cdef bytes b = _plain(base)
        w.resolve = 0
        w.anchored = False
        w.pid = w.tid = _os.getpid()
        w.fs = NULL
        if not path or len(path) >= PATHMAX:
            _fail(ENOENT if not path else ENAMETOOLONG, path)
        if path[0] != c"/":
            result = walk_to_guest(w, b, len(b))
            if result < 0:
                _fail(-result, path)
        result = walk_path(w, path, len(path), mode)
        if result == 0:
            walk_finish(w)
        host = w.h[: w.hlen]
        walk_drop_fd(w)
        if result < 0:
            _fail(-result, path)
        return host

    def detranslate(self, bytes host, int tid=0):
        """Return the guest path of a canonical host path, or None if no binding shows it; see the type stub."""
        cdef bytes h = _plain(host)
        cdef char *text = <char *>malloc(BUF + 8)
        cdef int n = 0
        if text == NULL:
            raise MemoryError
        try:
            if len(h) >= BUF or view_from_host(self._view_of(tid), h, len(h), -1, text, &n) < 0:
                return None
            return text[:n] or b"/"
        finally:
            free(text)

    cdef View *_view_of(self, int tid) noexcept:
        """Return the view of a guest, which a pyroot inside may have handed over; ours if it is not a guest."""
        cdef Tracee *t = tracee_get(tid)
        return t.view if t != NULL and views.base == &self.view else &self.view

    def peek(self, int tid, uint64_t address, uint64_t size):
        """Read memory of a guest; None when it is not there."""
        return trace_bytes(tid, address, size) if size <= PEEK_MOST else None

    def peek_string(self, int tid, uint64_t address, uint32_t limit):
        """Read a string of a guest, at most ``limit`` bytes of it; None when it is not there."""
        return trace_string(tid, address, limit)

    def attach(self, list threads, object sink):
        """Trace threads that run already, and what they start, until they end or a signal comes.  Raises CoreError."""
        cdef int result
        session.tracing = session.judging = session.bare = True
        session.seccomp = session.kill_on_exit = False
        session.entries = True
        session.main_tid = 0
        session.main_done = True
        ended = False
        trace_begin(sink)
        self._prepare(False)
        placement.possible = False
        try:
            take_signals()
            for tid in threads:
                tracing_attach(tid)
            sink.attached()
            with nogil:
                result = run_loop()
                # what has woken the loop may have come with a tick (tap_wake)
                pyroot_tick(0)
                trace_turn(NULL)
            if pyroot_loss.error != 0:
                raise CoreError(loss_text())
            ended = True
        finally:
            session.bare = session.tracing = False
            if not ended:
                give_signals_back()
                limits_give_back()
            self._clear()
            trace_finish()
        return result

    def run(self, object run):
        """Run the program of a pyroot.launch.Run and supervise it and all its descendants; return its raw wait status.

        Raises OSError when its execve failed (errno in guest terms), CoreError when the supervisor could not start.
        Once the status is known it stands: the signals that ended or stopped this process before stay without effect.
        """
        cdef object config = run.config, trace = config.trace
        cdef bytes exe = run.program, cwd = run.cwd
        cdef bint kill_on_exit = config.kill_on_exit, seccomp = config.seccomp
        cdef char **c_argv = _vector(run.argv)
        cdef char **c_envp = _vector(run.variables)
        try:
            self.explainer, self.leaver, self.grace, self.net, self.front = run.explainer, run.leaver, config.grace, config.net, run.front
            self.starter, self.features = run.starter, run.features
            session.no_gate = not config.gate
            session.new_session = config.new_session
            name_places(config.places)
            nesting_prepare()
            # (what guests have besides a view is the business of the session that gives it)
            if (nesting and config.handover and not self.net and not self.features and trace is None and not session.new_session
                    and self._handed(exe, c_argv, c_envp, cwd, kill_on_exit, seccomp)):
                return session.main_status
            session.tracing = trace is not None
            session.judging = session.tracing or not seccomp
            if session.tracing:
                trace_begin(trace)
            return self._run(exe, c_argv, c_envp, cwd, kill_on_exit, seccomp)
        finally:
            if session.tracing:
                session.tracing = False
                trace_finish()
            free(c_argv)
            free(c_envp)

    def measure(self):
        """Let the runs from now on read the clock at every stop."""
        stats.on = True

    def measured(self):
        """Return what the last run has cost, see the type stub."""
        cdef int abi, nr
        calls = [(abi, nr, stats.calls[abi][nr].count, stats.calls[abi][nr].ns)
                 for abi in range(2) for nr in range(STATS_CALLS) if stats.calls[abi][nr].count > 0]
        counts = {
            "stops": stats.stops, "exits": stats.exits, "signals": stats.signals, "births": stats.births, "execs": stats.execs,
            "ends": stats.ends, "rewritten": stats.rewritten, "answered": stats.answered, "names": stats.names, "proofs": stats.proofs,
            "looks": stats.looks, "programs": stats.programs, "programs kept": stats.programs_kept, "interpreters": stats.interpreters,
            "interpreters kept": stats.interpreters_kept, "sites": stats.sites, "busy": stats.busy, "waited": stats.waited,
        }
        return counts, calls

    cdef bint _handed(self, bytes exe, char **argv, char **envp, bytes cwd, bint kill_on_exit, bint seccomp) except -1:
        """Let the pyroot around us serve the command, unless something here has to see the stops."""
        if self.explainer is not None:
            return False
        global running
        record_begin(&self.view)
        self._prepare_end()
        running = self
        try:
            return run_handed(&self.view, exe, cwd, argv, envp, kill_on_exit, seccomp)
        finally:
            running = None
            record_end()

    cdef _run(self, bytes exe, char **argv, char **envp, bytes cwd, bint kill_on_exit, bint seccomp):
        global explainer, explaining, running
        cdef int go[2], report[2]
        cdef int pid = -1, result
        cdef ChildReport r
        cdef ssize_t got
        cdef const char *loader
        host_cwd = self.resolve(cwd)[1]
        cdef const char *c_cwd = host_cwd
        ended = False
        self._prepare(seccomp)
        record_begin(&self.view)
        _loader_install()
        if c_pipe2(go, O_CLOEXEC) < 0 or c_pipe2(report, O_CLOEXEC) < 0:
            raise CoreError(f"pipe2: {_os.strerror(errno)}")
        self._prepare_net()
        stats_begin()
        session.kill_on_exit, session.seccomp = kill_on_exit, seccomp
        session.entries = not seccomp
        running = self
        session.main_done = session.killing = False
        self._prepare_end()
        explainer = self.explainer
        explaining = explainer is not None
        session.main_status = 0
        saved_mask_block()
        session.main_status = signal_before()
        if session.main_status == 0:
            placement_early()
            pid = child_start(go, report[1], c_cwd, argv, envp, seccomp)
        c_close(go[0])
        c_close(report[1])
        try:
            if session.main_status != 0:
                return session.main_status
            if pid < 0:
                raise CoreError(f"clone: {_os.strerror(-pid)}")
            net_begin(pid)
            signal_between(pid)
            session.main_tid = pid
            self._adopt_first(pid, exe, cwd, seccomp)
            loader = plan_loader(tracee_get(pid))
            take_signals()
            placement_begin()
            saved_mask_open()
            if c_write(go[1], loader, strlen(loader) + 1) < 0:
                raise CoreError(f"write: {_os.strerror(errno)}")
            session_begins()
            with nogil:
                result = run_loop()
            got = c_read(report[0], &r, sizeof(r))
            if pyroot_loss.error != 0:
                raise CoreError(loss_text())
            if result < 0:
                raise CoreError(f"wait4: {_os.strerror(-result)}")
            if net.lost:
                raise CoreError("net: the process that holds descriptors for the guests was killed")
            if got == sizeof(r):
                if r.stage == 3:
                    raise CoreError(f"seccomp: {_os.strerror(r.error)}")
                if r.stage == 2:
                    raise CoreError(f"prctl(PR_SET_NO_NEW_PRIVS): {_os.strerror(r.error)}")
                _fail(r.error, cwd if r.stage == 1 else exe)
            ended = True
            return session.main_status
        finally:
            placement_end()
            pyroot_alarm(0)
            if not ended:
                give_signals_back()
                limits_give_back()
            saved_mask_restore()
            c_close(go[1])
            c_close(report[0])
            loader_close()
            net_end()
            record_end()
            relay_clear()
            peers_clear()
            loader32_close()
            explaining = False
            explainer = running = None
            if tap_door is not None:
                tap_close()
            self._clear()

    cdef void _clear(self) noexcept:
        """Give back what the session held."""
        features_close()
        tracees_clear()
        turns_clear()
        views_clear()
        gate_end()
        arena_close()
        walk_release(&W1)
        walk_release(&W2)
        walk_release(&W3)
        W3.g = NULL

    cdef int _prepare(self, bint seccomp) except -1:
        global names
        limits_raise()
        pyroot_loss.error = 0
        if names == NULL:
            names = <SockName *>calloc(NAMES, sizeof(SockName))
        if arena_open(c_geteuid() != 0) < 0 or walk_alloc(&W1) < 0 or walk_alloc(&W2) < 0:
            raise CoreError(f"{arena.failed.decode()}: {_os.strerror(errno)}")
        views.base = &self.view
        view_use(views.base)
        cdef int result = view_bind_procs(&self.view)
        if result == -EPERM:
            raise CoreError(f"{_os.fsdecode(strange_proc)} is a procfs that shows this process, and cannot be taken for /proc")
        if result < 0 or view_rebuild(&self.view) < 0:
            raise MemoryError
        view_hold_parents(&self.view)
        view_find_links(&self.view)
        poison_prepare()
        handlers_fill()
        self._switch_on()
        features_begin(&self.view)
        if features.failed != NULL:
            limits_give_back()
            self._clear()
            raise CoreError(features.failed.decode())
        filter_prepare()
        copies_prepare()
        if session.tracing:
            trace_filter()
        return 0

    cdef int _switch_on(self) except -1:
        """Note which features the user has chosen; their texts have to stay as long as the session."""
        cdef int i
        cdef bytes text
        self.view.features = 0
        memset(features.text, 0, sizeof(features.text))
        features_fill()
        for name, text in self.features.items():
            i = feature_named(name)
            if i < 0:
                raise CoreError(f"there is no feature {_os.fsdecode(name)}")
            features.text[i] = text
        return 0

    cdef int _prepare_net(self) except -1:
        """Make the net if there is to be one; where the root is / nothing lies outside."""
        if not self.net or self.view.b[0].hostlen == 0:
            return 0
        try:
            return net_prepare(&self.view)
        except CoreError:
            net_end()
            loader_close()
            self._clear()
            raise

    cdef void _prepare_end(self) noexcept:
        leaving_prepare(self.grace)
        session.front = self.front
        session.front_stopped = False

    cdef int _adopt_first(self, int pid, bytes exe, bytes cwd, bint seccomp) except -1:
        cdef Tracee *t = tracee_new(pid)
        cdef int result, status = 0
        if t == NULL:
            c_kill(pid, SIGKILL)
            c_waitpid(pid, &status, __WALL)
            raise MemoryError
        t.mm = mm_new()
        t.fs = fs_copy(NULL)
        t.first_exec = True
        t.state = T_LIVE
        placement_first(t)
        result = 0
        if c_ptrace(PTRACE_SEIZE, pid, NULL, <void *><size_t>TRACE_OPTIONS) < 0:
            result = -errno
            message = f"ptrace is not permitted here: {_os.strerror(-result)}"
        else:
            message = None
            t.fs.bind = self.walk_bind_of(cwd)
            result = first_plan(t, exe)
            if result == 0 and not seccomp:
                # every call has to stop from now on
                if c_ptrace(0x4207, pid, NULL, NULL) < 0 or c_waitpid(pid, &status, __WALL) < 0:
                    result = -errno
                    message = f"ptrace: {_os.strerror(-result)}"
                else:
                    resume(t, 0, False)
        if result < 0:
            c_kill(pid, SIGKILL)
            while c_waitpid(pid, &status, __WALL) == pid and WIFSTOPPED(status):
                # where calls are traced it stops on its way out
                c_ptrace(PTRACE_CONT, pid, NULL, NULL)
            if message is not None:
                raise CoreError(message)
            _fail(-result, exe)
        return 0

    cdef int walk_bind_of(self, bytes cwd):
        cdef bytes c = _plain(cwd)
        return view_covering(&self.view, c, len(c))


cdef char **_vector(list items) except NULL:
    """Make a NULL-terminated vector that points into the bytes objects of the list (which must outlive it)."""
    cdef Py_ssize_t i, n = len(items)
    cdef char **vector = <char **>malloc((n + 1) * sizeof(char *))
    if vector == NULL:
        raise MemoryError
    for i in range(n):
        vector[i] = items[i]
    vector[n] = NULL
    return vector
