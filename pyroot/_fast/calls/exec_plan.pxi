# What the loader is told at an execve: strings, descriptors, sites.  What is to be run has been found out before (exec.pxi).

cdef unsigned int file_hold(Tracee *t, int which) noexcept nogil:
    """Keep a file of the chain open until the loader is through; return what to tell it, 0 if there is none."""
    cdef int fd = chain.files[which]
    # (under a net the loader opens it itself, so that the kernel judges it)
    if fd < 0 or t.call.hold[which] >= 0 or net.holder > 0:
        return 0
    chain.files[which] = -1
    t.call.hold[which] = fd
    return <unsigned int>fd

cdef int plan_text(ExecPlan *plan, const char *text, int n, unsigned int *offset) noexcept nogil:
    cdef int at = plan.size
    if at + n + 1 > <int>(sizeof(loader_info) + sizeof(plan.data)):
        return -E2BIG
    memcpy(<char *>&plan.info + at, text, n)
    (<char *>&plan.info)[at + n] = 0
    plan.size = at + n + 1
    offset[0] = at
    return 0

cdef void plan_sites(Tracee *t, ExecPlan *plan) noexcept nogil:
    """Tell the loader the sites that were found in this ELF interpreter, or program, before."""
    cdef const char *code = chain.host
    cdef KnownSites *known
    cdef uint32_t at[KNOWN_SITES]
    cdef int i, n = 0
    if chain.interp[0] != 0:
        code = chain.interp
    plan.code = hash_more(FNV, code, <int>strlen(code))
    known = &known_sites[plan.code & (KNOWN_CODES - 1)]
    if known.code != plan.code or not licences(t, NULL) & MAY_LEAD:
        return
    for i in range(known.n):
        if known.misses[i] < KNOWN_MISSES:
            at[n] = known.at[i]
            n += 1
    plan.size = (plan.size + 3) & ~3
    if n > 0 and plan_text(plan, <char *>at, n * 4, &plan.info.off_sites) == 0:
        plan.info.nsites = n

cdef int plan_make(Tracee *t, const char *filename) noexcept nogil:
    """Write down for the loader what exec_chain found."""
    cdef ExecPlan *plan = <ExecPlan *>malloc(sizeof(ExecPlan))
    cdef char held[128]
    cdef const char *program = chain.host
    cdef const char *name
    cdef int result = 0, fd
    if plan == NULL:
        return -ENOMEM
    if t.landlocked and loader_installed[0] == 0:
        # there is no loader that it could open
        free(plan)
        return -EACCES
    memset(&plan.info, 0, sizeof(loader_info))
    plan.cred = NULL
    plan.undumpable = 0
    plan.exe = exe_new(chain.host, chain.guest, chain.place, chain.bind)
    chain.place = -1
    if plan.exe == NULL:
        free(plan)
        return -ENOMEM
    plan.size = sizeof(loader_info)
    plan.info.magic = LOADER_MAGIC
    plan.compat = chain.compat
    plan.info.arena_addr = LOADER_ARENA
    if chain.compat:
        plan.info.arena_addr = LOADER32_ARENA
    plan.info.arena_size = ARENA_SIZE
    if is_proc(chain.host, <int>strlen(chain.host)):
        # a descriptor of the guest that the exec may close: ours stays until the loader is through
        fd = c_open(chain.host, O_RDONLY | O_CLOEXEC)
        if fd < 0:
            plan_free(plan)
            return -errno
        if t.call.hold[0] >= 0:
            # (the path to the file may have led through this one)
            c_close(t.call.hold[0])
        t.call.hold[0] = fd
        snprintf(held, sizeof(held), b"/proc/%d/fd/%d", links_pid(), t.call.hold[0])
        if t.landlocked:
            result = landlock_program(t, chain.host, held, sizeof(held))
        program = held
    plan.info.supervisor = links_pid()
    plan.info.prog_file = file_hold(t, 0)
    plan.info.interp_file = file_hold(t, 1)
    if arena.shared and not t.landlocked:
        plan.info.flags = LI_SHARED_ARENA
    if arena.fd >= 0 and not t.landlocked:
        result = plan_text(plan, arena.path, <int>strlen(arena.path), &plan.info.off_arena)
    if arena.code and not chain.compat and not t.landlocked:
        plan.info.off_code = ARENA_SIZE
    if gate != NULL and not chain.compat and not t.landlocked:
        plan.info.flags |= LI_DETOURS
        plan.info.off_detours = ARENA_SIZE - GATE_VIEW_SIZE + GATE_DETOURS
        plan_sites(t, plan)
    result = result or plan_text(plan, program, <int>strlen(program), &plan.info.off_prog)
    if chain.interp[0] != 0:
        result = result or plan_text(plan, chain.interp, <int>strlen(chain.interp), &plan.info.off_interp)
    result = result or plan_text(plan, filename, <int>strlen(filename), &plan.info.off_execfn)
    if chain.by_fd and comm_from_file:
        name = chain.guest
        if strrchr(name, c'/') != NULL:
            name = strrchr(name, c'/') + 1
        result = result or plan_text(plan, name, name_length(name), &plan.info.off_comm)
    if chain.nprefix > 0:
        plan.info.nprefix = chain.nprefix
        result = result or plan_text(plan, chain.prefix, chain.plen, &plan.info.off_prefix)
    if exec_cred != NULL:
        result = result or exec_cred(t, plan)
    if result == 0 and plan.info.flags & LI_DETOURS and gate_serves != 0:
        plan.info.who = WHO_TOLD | gate_who_number(plan.cred if plan.cred != NULL else cred_of(t))
        if gate_index >= 0:
            result = plan_text(plan, held, snprintf(held, sizeof(held), b"/proc/%d/fd/%d", links_pid(), gate_index), &plan.info.off_index)
    if result < 0:
        plan_free(plan)
        return result
    t.call.plan = plan
    return 0

cdef inline bint fd_closes_on_exec(Tracee *t, int fd) noexcept nogil:
    return fd_flags(t, fd) & O_CLOEXEC != 0

cdef const char *plan_loader(Tracee *t) noexcept nogil:
    """Return the host path of the loader that the planned program needs."""
    cdef bint installed = t.landlocked and loader_installed[0] != 0
    if t.call.plan.compat:
        return &loader32_source[0] if installed else &loader32_path[0]
    return &loader_installed[0] if installed else &loader_path[0]

cdef int first_plan(Tracee *t, bytes exe) except? -1000:
    """Plan the exec of an absolute guest path for the first tracee."""
    cdef int result
    cdef const char *path = exe
    cdef int n = len(exe)
    if n == 0 or n >= PATHMAX:
        return -ENOENT if n == 0 else -ENAMETOOLONG
    memcpy(path_buffer, path, n + 1)
    chain.by_fd = False
    chain.place = chain.files[0] = chain.files[1] = -1
    result = file_walk(t, AT_FDCWD, path_buffer, n, M_FOLLOW)
    if result < 0:
        return result
    result = exec_place(&W1, -1)
    if result == 0:
        result = exec_chain(t, path, False, False)
    if result == 0:
        result = plan_make(t, path)
    return result
