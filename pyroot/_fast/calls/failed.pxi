# An execve that failed inside: what is kept of it, and when it is told.
#
# A failure alone means little: execvp(3) tries every directory of PATH.  It matters when the process ends without having started
# anything: with 126 or 127, as shells and posix_spawn(3) do, or with another failure and without going on to start something else.
# It is kept and told only on request (-v 1): otherwise it costs a test of one flag per failure and per end.

cdef bint explaining = False         # Core.explainer is set
cdef object explainer = None

cdef void failed_drop(Tracee *t) noexcept nogil:
    if t.failed == NULL:
        return
    free(t.failed.name)
    free(t.failed.tried)
    free(t.failed.cwd)
    free(t.failed)
    t.failed = NULL

cdef const char *last_name(const char *path) noexcept nogil:
    cdef const char *slash = strrchr(path, c'/')
    return path if slash == NULL else slash + 1

cdef void failed_note(Tracee *t, const pyroot_row *row, int error) noexcept nogil:
    """Keep a failed execve of the tracee.  Of a search through directories the most telling failure stays."""
    cdef FailedExec *old = t.failed
    cdef FailedExec *new
    cdef char cwd[BUF + 16]
    cdef bint found = chain.opened or (error != ENOENT and error != ENOTDIR)
    cdef int n = mem_string(t.tid, t.call.args[row.path], path_buffer, PATHMAX)
    if n <= 0:
        return
    if old != NULL and strcmp(last_name(old.name), last_name(path_buffer)) == 0:
        if not found and not old.found:
            failed_add(old, path_buffer)
        if old.found or not found:
            return
    new = <FailedExec *>calloc(1, sizeof(FailedExec))
    if new == NULL:
        return
    new.error = error
    new.found = found
    new.plain = row.dirfd >= 0 and path_buffer[0] != c'/' or t.fs.root != NULL or memcmp(path_buffer, b"/proc/", 6) == 0
    new.name = dup_bytes(path_buffer, n)
    if not found:
        failed_add(new, path_buffer)
    n = cwd_text(t, cwd)
    if n <= 0:
        # not a directory of the guest: names can only be followed from the root
        cwd[0] = c'/'
        n = 1
    new.cwd = dup_bytes(cwd, n)
    failed_drop(t)
    t.failed = new
    if new.name == NULL or new.cwd == NULL:
        failed_drop(t)

cdef void failed_add(FailedExec *failed, const char *path) noexcept nogil:
    """Note the directory of a path among those that were searched; a very long list ends early."""
    cdef int n = <int>(last_name(path) - path), had = 0 if failed.tried == NULL else <int>strlen(failed.tried)
    cdef char *text
    if n == 0 or had > 4096:
        return
    text = <char *>malloc(had + n + 2)
    if text == NULL:
        return
    memcpy(text, failed.tried, had)
    if had > 0:
        text[had] = c':'
        had += 1
    # without its last slash, except the root's own
    n -= n > 1
    memcpy(text + had, path, n)
    text[had + n] = 0
    free(failed.tried)
    failed.tried = text

cdef void failed_tell(Tracee *t, int status, bint is_main) noexcept nogil:
    """A tracee is gone: hand over what it failed to start, or the program that may have lacked a library."""
    cdef int code = WEXITSTATUS(status) if WIFEXITED(status) else 0
    if code == 0 or (t.failed == NULL and (code != 127 or is_main)) or t.mm == NULL or t.mm.exe == NULL:
        return
    failed_hand_over(t)

cdef void failed_hand_over(Tracee *t) noexcept with gil:
    cdef FailedExec *f = t.failed
    try:
        if f == NULL:
            explainer(t.tgid, <bytes>t.mm.exe.guest, None, 0, b"", b"")
        else:
            name = None if f.plain else <bytes>f.name
            explainer(t.tgid, <bytes>t.mm.exe.guest, <bytes>f.name, f.error, <bytes>f.cwd if name is not None else b"",
                      b"" if f.tried == NULL else <bytes>f.tried)
    except BaseException as error:
        # an explanation that cannot be given takes nothing away from the run
        _os.write(2, f"pyroot: a program that failed inside could not be explained: {error!r}\n".encode())

cdef void feature_failed(Feature *f) noexcept nogil:
    f.end = failed_drop
