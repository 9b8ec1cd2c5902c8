# execve(2): find out what the kernel would run, in guest terms, and start the loader in its place.
#
# The kernel would take a script's interpreter and an ELF program's PT_INTERP from the host.  So the walk over the chain is ours,
# with the kernel's order of errors (fs/exec.c, binfmt_script.c, binfmt_elf.c); argv, envp and their errors stay the kernel's.

cdef enum:
    SCRIPTS = 5              # nested scripts that run
    AT_EXECVE_CHECK_ = 0x10000

cdef char loader_path[PATHMAX]

cdef struct Chain:           # the walk over one exec
    char prefix[20000]       # strings that replace argv[0]
    int plen, nprefix
    char head[HEAD]          # of a script; script_line cuts it up
    char host[PATHMAX]
    char guest[BUF + 16]
    int bind                 # that shows it there, -1 if nobody knows
    char interp[PATHMAX]     # host path of the ELF interpreter, empty if none
    int place                # O_PATH descriptor of the ELF program, -1 if none is kept
    int files[2]             # of program and ELF interpreter, as they were opened to be read; -1: none
    bint by_fd               # execveat of a descriptor
    bint compat              # a 32-bit program
    bint opened              # the file itself could be opened: later errors come after those of argv

cdef Chain chain
cdef bint comm_from_file = True      # Linux 6.14: the task name of a program started by descriptor is that of its file

cdef int exec_place(Walk *w, int prefer) noexcept nogil:
    """Note the host path and the guest's name (in the binding ``prefer`` if several show it) of the file that the walk found."""
    cdef char text[PATHMAX]
    cdef ssize_t n
    cdef int k
    if w.hlen >= PATHMAX:
        return -ENAMETOOLONG
    memcpy(chain.host, w.h, w.hlen + 1)
    chain.bind = prefer
    if (is_proc(w.h, w.hlen) and not w.held) or w.bi < 0:
        n = c_readlink(w.h, text, PATHMAX - 1)
        if n > 0:
            k = guest_text(text, <int>n, prefer, link_text) if text[0] == c'/' else 0
            if 0 < k < PATHMAX:
                memcpy(chain.guest, link_text, k)
                chain.guest[k] = 0
            else:
                memcpy(chain.guest, text, n)
                chain.guest[n] = 0
            return 0
    memcpy(chain.guest, w.g, w.glen)
    chain.guest[w.glen] = 0
    chain.bind = w.bi
    return 0

cdef int name_length(const char *name) noexcept nogil:
    """Return the length of the program's name without what /proc appends to that of a removed file."""
    cdef c_stat st
    cdef int n = <int>strlen(name)
    if n > 10 and strcmp(name + n - 10, b" (deleted)") == 0 and fstatat(AT_FDCWD, chain.host, &st, 0) == 0 and st.st_nlink == 0:
        n -= 10
    return n

cdef inline bint spacetab(char c) noexcept nogil:
    return c == c' ' or c == c'\t'

cdef int script_line(char *head, char **name, char **argument) noexcept nogil:
    """Cut a #! line as binfmt_script does; 0 or -ENOEXEC."""
    cdef char *end = <char *>memchr(head, c'\n', HEAD)
    cdef char *limit = head + HEAD - 1
    cdef char *p
    if end == NULL:
        p = head + 2
        while p < limit and spacetab(p[0]):
            p += 1
        if p == limit:
            return -ENOEXEC
        while p < limit and p[0] != 0 and not spacetab(p[0]):
            p += 1
        if p == limit and p[0] != 0 and not spacetab(p[0]):
            return -ENOEXEC
        end = limit
    while end > head + 2 and spacetab((end - 1)[0]):
        end -= 1
    p = head + 2
    while p < end and spacetab(p[0]):
        p += 1
    if p == end:
        return -ENOEXEC
    name[0] = p
    while p < end and p[0] != 0 and not spacetab(p[0]):
        p += 1
    argument[0] = NULL
    end[0] = 0
    if p < end and p[0] != 0:
        p[0] = 0
        p += 1
        while p < end and spacetab(p[0]):
            p += 1
        if p < end:
            argument[0] = p
    return 0

cdef int prefix_push(const char *text) noexcept nogil:
    """Put a string before the prefix."""
    cdef int n = <int>strlen(text) + 1
    if chain.plen + n > <int>sizeof(chain.prefix):
        return -E2BIG
    memmove(chain.prefix + n, chain.prefix, chain.plen)
    memcpy(chain.prefix, text, n)
    chain.plen += n
    chain.nprefix += 1
    return 0

cdef int file_walk(Tracee *t, int dirfd, const char *path, int n, int mode) noexcept nogil:
    """Walk with W1; the proof of the path keeps its descriptor for program_find."""
    cdef int result
    walk_drop_file(&W1)
    W1.resolve = 0
    W1.want_file = W1.want_text = True
    result = text_walk(&W1, t, dirfd, path, n, mode)
    W1.want_file = W1.want_text = False
    if W1.slash or W1.last != LAST_NORM:
        # what follows the name decides: it has to be looked up with it
        walk_drop_file(&W1)
    return result

cdef int exec_resolve(Tracee *t, const char *path) noexcept nogil:
    """Find a path written inside a file (script interpreter, PT_INTERP): relative to the cwd."""
    cdef int result, n = <int>strlen(path)
    if n == 0:
        # an interpreter without a name is the working directory, and that is not a program
        return -EACCES
    result = file_walk(t, AT_FDCWD, path, n, M_FOLLOW)
    if result < 0:
        return result
    return 0 if W1.valid else -ENOENT

cdef int exec_script(Tracee *t, const char *filename, bint closing) noexcept nogil:
    cdef char *name
    cdef char *argument
    cdef int result = script_line(chain.head, &name, &argument)
    if result < 0:
        return result
    if closing:
        return -ENOENT
    if chain.nprefix == 0:
        prefix_push(filename)
    if argument != NULL and prefix_push(argument) < 0:
        return -E2BIG
    if prefix_push(name) < 0:
        return -E2BIG
    # the script itself is read: what its long path held is free for its interpreter's
    hold_drop(t)
    result = exec_resolve(t, name)
    if result < 0:
        return result
    return exec_place(&W1, W1.magic_bi if W1.magic else -1)

cdef int64_t argument_limit(Tracee *t) noexcept nogil:
    """Return how many bytes argv and envp may have (bprm_stack_limits in fs/exec.c)."""
    cdef c_rlimit r
    cdef uint64_t limit = 6291456
    if c_syscall(SYS_prlimit64, t.tid, RLIMIT_STACK, NULL, &r) == 0 and r.rlim_cur // 4 < limit:
        limit = r.rlim_cur // 4
    return <int64_t>limit if limit > 131072 else 131072

cdef int argument_error(Tracee *t, uint64_t vector, int64_t limit, int64_t *total) noexcept nogil:
    """Check an argv or envp as the kernel copies it, before it looks at the file's format; 0, -EFAULT or -E2BIG."""
    cdef int n
    cdef uint64_t pointers[64]
    cdef char byte
    cdef int i, count, width = 4 if t.call.compat else 8
    if vector == 0:
        return 0
    while True:
        # never across a page end: the vector may stop right there
        count = (4096 - <int>(vector & 4095)) // width
        if count > 64:
            count = 64
        if count == 0:
            count = 1
        if mem_read(t.tid, vector, pointers, count * width) < 0:
            return -EFAULT
        for i in range(count if t.call.compat else 0):
            # from the last to the first, in place
            pointers[count - 1 - i] = (<uint32_t *>pointers)[count - 1 - i]
        for i in range(count):
            if pointers[i] == 0:
                return 0
            n = string_error(t, pointers[i])
            if n < 0:
                return n
            total[0] += n + 8
            if total[0] > limit:
                return -E2BIG
        vector += count * width

cdef int string_error(Tracee *t, uint64_t pointer) noexcept nogil:
    cdef char part[4096]
    cdef int n, total = 0
    while total < 131072:
        n = mem_string(t.tid, pointer + total, part, sizeof(part))
        if n != -ENAMETOOLONG:
            return total + n + 1 if n >= 0 else -EFAULT
        total += sizeof(part)
    return -E2BIG

cdef void chain_drop() noexcept nogil:
    cdef int i
    if chain.place >= 0:
        c_close(chain.place)
    chain.place = -1
    for i in range(2):
        if chain.files[i] >= 0:
            c_close(chain.files[i])
        chain.files[i] = -1
    program_file_keep(-1)

cdef int exec_chain(Tracee *t, const char *filename, bint closing, bint check_only) noexcept nogil:
    """Follow scripts from chain.host to an ELF program and its interpreter.  ``closing``: the file's own descriptor will be
    closed by the exec, so that a script could not be read by its interpreter."""
    cdef Program *p = NULL
    cdef int depth = 0, result
    cdef bint opened
    chain.nprefix = chain.plen = 0
    chain.opened = False
    chain.interp[0] = 0
    while True:
        chain_drop()
        opened = chain.opened
        result = program_find(chain.host, walk_take_file(&W1), &p, &chain.place)
        if result == -ETXTBSY:
            # (the opening has failed)
            chain.opened = opened
        if check_only and chain.opened and result != -ETXTBSY:
            return 0
        if result < 0:
            return result
        if depth > SCRIPTS:
            # (the kernel has opened it before it counts)
            return -ELOOP
        if p.head[0] == c'#' and p.head[1] == c'!':
            memcpy(chain.head, p.head, HEAD)
            result = exec_script(t, filename, closing)
            depth += 1
            if result < 0:
                return result
            continue
        if memcmp(p.head, b"\177ELF", 4) != 0:
            return -ENOEXEC
        chain.compat = p.compat
        chain.files[0] = program_file_take()
        if p.elf < 0 or p.interp[0] == 0:
            return p.elf
        result = interpreter_find(t, p.interp, p.compat)
        chain.files[1] = program_file_take()
        return result

cdef char exec_name[PATHMAX + 64]

cdef int exec_target(Tracee *t, const pyroot_row *row, bint *closing) noexcept nogil:
    """Find the file named by the call: chain.host, chain.guest and exec_name (AT_EXECFN); 1: the kernel must refuse it itself."""
    cdef uint64_t flags = t.call.args[4] if t.call.nr == NR_execveat else 0
    cdef int fd = dir_argument(t, row.dirfd), result
    cdef int n = mem_string(t.tid, t.call.args[row.path], path_buffer, PATHMAX)
    cdef c_stat st
    closing[0] = False
    chain.by_fd = n == 0
    if n < 0 or (n == 0 and not flags & AT_EMPTY_PATH):
        # getname is the first thing that the kernel does
        return n if n < 0 else -ENOENT
    if flags & ~<uint64_t>(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_EXECVE_CHECK_):
        # (it opens nothing then)
        return 1
    if n == 0:
        if fd < 0:
            # (a directory cannot be executed)
            return -EACCES if fd == AT_FDCWD else -EBADF
        walk_drop_file(&W1)
        snprintf(exec_name, sizeof(exec_name), b"/proc/%d/fd/%d", t.tid, fd)
        memcpy(W1.h, exec_name, strlen(exec_name) + 1)
        W1.hlen = <int>strlen(exec_name)
        W1.bi = -1
        snprintf(exec_name, sizeof(exec_name), b"/dev/fd/%d", fd)
        closing[0] = fd_closes_on_exec(t, fd)
        if fstatat(AT_FDCWD, W1.h, &st, 0) < 0:
            return -EBADF
        # a descriptor of a link itself (O_PATH | O_NOFOLLOW)
        return -ELOOP if S_ISLNK(st.st_mode) else exec_place(&W1, fd_binding(W1.v, t, fd))
    memcpy(exec_name, path_buffer, n + 1)
    result = file_walk(t, fd, path_buffer, n, path_mode(row, t))
    if result < 0:
        return result
    if not W1.valid:
        return -ENOTDIR if result == TR_NOTDIR else -EBADF
    if flags & AT_SYMLINK_NOFOLLOW and not W1.linked and is_link(W1.h):
        return -ELOOP
    if row.dirfd >= 0 and path_buffer[0] != c'/' and fd != AT_FDCWD:
        snprintf(exec_name, sizeof(exec_name), b"/dev/fd/%d/%s", fd, path_buffer)
        closing[0] = fd_closes_on_exec(t, fd)
    result = features_judge(t, row, &W1)
    return result if result < 0 else exec_place(&W1, W1.magic_bi if W1.magic else -1)

cdef bint is_link(const char *host) noexcept nogil:
    cdef c_stat st
    return fstatat(AT_FDCWD, host, &st, AT_SYMLINK_NOFOLLOW) == 0 and S_ISLNK(st.st_mode)

cdef int on_exec(Tracee *t, const pyroot_row *row) noexcept nogil:
    cdef bint closing = False
    cdef const char *path
    cdef int64_t limit, total = 0
    cdef int error
    cdef int result
    chain.opened = False
    result = exec_target(t, row, &closing)
    if result == 1:
        return as_is(b"EINVAL, before it opens anything")
    cdef bint check_only = t.call.nr == NR_execveat and t.call.args[4] & AT_EXECVE_CHECK_ != 0
    cdef int vectors = row.path + 1
    if result == 0:
        result = exec_chain(t, exec_name, closing, check_only)
        if (result < 0 or check_only) and result != -ESRCH and chain.opened:
            limit = argument_limit(t)
            error = argument_error(t, t.call.args[vectors], limit, &total)
            if error == 0:
                error = argument_error(t, t.call.args[vectors + 1], limit, &total)
            if error < 0:
                result = error
    if result == 0 and check_only:
        chain_drop()
        return answer(t, 0)
    if result == 0:
        result = plan_make(t, exec_name)
    if result < 0:
        chain_drop()
        if explaining and result != -ESRCH:
            failed_note(t, row, -result)
        return R_DEAD if result == -ESRCH else answer(t, result)
    edit_start()
    path = plan_loader(t)
    edit_bytes(row.path, path, <int>strlen(path) + 1)
    if t.call.nr == NR_execveat:
        edit_value(4, 0)
    return finish_edit(t)

cdef int on_exec_event(Tracee *t) noexcept nogil:
    """The loader's image is in place: tell it what to load.  Returns 0 or -errno (the guest must not run on)."""
    cdef Mm *mm
    cdef ExecPlan *plan = t.call.plan
    cdef int result
    if plan == NULL:
        return -EINVAL
    mm = mm_new()
    if mm == NULL:
        return -ENOMEM
    mm.arena = not plan.compat
    mm.alone = not plan.info.flags & LI_SHARED_ARENA
    mm.loading = plan.compat
    mm.exe = plan.exe
    mm.code = plan.code
    mm.undumpable = plan.undumpable
    gate_exec(t, mm, plan)
    plan.exe = NULL
    mm_drop(t.mm)
    t.mm = mm
    failed_drop(t)
    t.first_exec = False
    t.unjudged = t.filtered
    if t.call.slot >= 0:
        slot_free(t.call.slot)
        t.call.slot = -1
    result = <int>mem_write(t.tid, LOADER32_INFO + loader32_shift if plan.compat else LOADER_INFO, &plan.info, plan.size)
    plan_free(plan)
    t.call.plan = NULL
    return result
