# The first tracee: from fork to its execve under the filter.
# The child shares our memory until its execve: nothing has to be copied for it, and no page of ours has to be copied after it.
# So it has a stack of its own, changes nothing else, and makes its calls without the C library, whose errno is ours.

cdef extern from * nogil:
    """
    #include <sched.h>
    static int pyroot_install_filter(struct sock_filter *program, int length) {
        struct sock_fprog prog = {(unsigned short)length, program};
        if (pyroot_raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, (long)&prog, 0) == 0) return 0;
        return (int)pyroot_raw(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (long)&prog, 0);
    }
    static void pyroot_reset_signals(void) {
        struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } act; /* the kernel's own struct */
        int i;
        for (i = 1; i < 65; i++) {
            if (pyroot_raw(SYS_rt_sigaction, i, 0, (long)&act, 8) < 0) continue;
            if (act.handler == (void *)SIG_DFL) continue;
            /* the interpreter ignores two for itself */
            if (act.handler == (void *)SIG_IGN && ((i != SIGPIPE && i != SIGXFSZ) || pyroot_kept >> (i - 1) & 1)) continue;
            memset(&act, 0, sizeof act);
            pyroot_raw(SYS_rt_sigaction, i, (long)&act, 0, 8);
        }
    }
    struct pyroot_birth {
        int go[2], report;          /* pipes: the loader's path comes from one, what fails goes to the other */
        const char *cwd;
        char **argv, **envp;
        struct sock_filter *program; /* NULL: none */
        int length;
        const int *kinds;           /* of limits, and those to set */
        const struct rlimit *limits;
        int nlimits;
        const sigset_t *mask;
        int session;                /* one of its own */
        int ruleset, parent, holder; /* of a net (net.pxi): -1: none; who has to live; what came of it */
    };
    static char pyroot_birth_stack[32768] __attribute__((aligned(16)));
    __attribute__((no_sanitize("address", "undefined")))
    static int pyroot_born(void *given) {
        const struct pyroot_birth *b = given;
        char loader[4096];
        int i, r[2]; /* a ChildReport */
        if (b->ruleset >= 0) {
            int holder = pyroot_net_enter(b->ruleset, b->parent);
            pyroot_net_tell((int *)&b->holder, holder);
            if (holder < 0) pyroot_raw(SYS_exit_group, 125, 0, 0, 0);
        }
        pyroot_raw(SYS_close, b->go[1], 0, 0, 0);
        pyroot_reset_signals();
        if (b->session) pyroot_raw(SYS_setsid, 0, 0, 0, 0);
        for (i = 0; i < b->nlimits; i++)
            if (b->kinds[i] >= 0 && b->limits[i].rlim_cur != b->limits[i].rlim_max)
                pyroot_raw(SYS_prlimit64, 0, b->kinds[i], (long)&b->limits[i], 0);
        if (pyroot_raw(SYS_read, b->go[0], (long)loader, sizeof loader, 0) <= 0) pyroot_raw(SYS_exit_group, 125, 0, 0, 0);
        /* what has come meanwhile may end us: not before somebody sees it */
        pyroot_raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)b->mask, 0, 8);
        r[0] = 1;
        r[1] = (int)pyroot_raw(SYS_chdir, (long)b->cwd, 0, 0, 0);
        if (r[1] == 0) {
            r[0] = 2;
            r[1] = (int)pyroot_raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0);
        }
        if (r[1] == 0 && b->program != NULL) {
            r[0] = 3;
            r[1] = pyroot_install_filter(b->program, b->length);
        }
        if (r[1] == 0) {
            r[0] = 4;
            r[1] = (int)pyroot_raw(SYS_execve, (long)loader, (long)b->argv, (long)b->envp, 0);
        }
        r[1] = -r[1];
        pyroot_raw(SYS_write, b->report, (long)r, sizeof r, 0);
        pyroot_raw(SYS_exit_group, 127, 0, 0, 0);
        return 0;
    }
    static int pyroot_give_birth(struct pyroot_birth *b) {
        int shares = CLONE_VM | (b->ruleset < 0 ? 0 : CLONE_FILES);
        int pid = clone(pyroot_born, pyroot_birth_stack + sizeof pyroot_birth_stack, shares | SIGCHLD, b);
        return pid < 0 ? -errno : pid;
    }
    """
    struct pyroot_birth:
        int go[2]
        int report
        const char *cwd
        char **argv
        char **envp
        sock_filter *program
        int length
        const int *kinds
        const c_rlimit *limits
        int nlimits
        const sigset_t *mask
        int session
        int ruleset
        int parent
        int holder
    int pyroot_give_birth(pyroot_birth *)
    void pyroot_reset_signals()

cdef struct ChildReport:
    int stage                # 1: chdir, 2: no_new_privs, 3: seccomp, 4: execve
    int error

cdef pyroot_birth birth      # the child reads it until its execve

cdef int child_start(const int *go, int report, const char *cwd, char **argv, char **envp, bint seccomp) noexcept nogil:
    """Start the first tracee, which waits for the loader's path; return its pid or -errno.  All that is given has to stay."""
    cdef int pid
    birth.go = [go[0], go[1]]
    birth.report = report
    birth.cwd = cwd
    birth.argv = argv
    birth.envp = envp
    birth.program = NULL
    if seccomp and session.tracing:
        birth.program = tracing.program
        birth.length = tracing.length + PYROOT_FILTER_LENGTH
    elif seccomp:
        birth.program = filter_program
        birth.length = PYROOT_FILTER_LENGTH
    birth.kinds = limit_kinds
    birth.limits = limits_before
    birth.nlimits = LIMITS if limits_raised else 0
    birth.mask = &saved_mask
    birth.session = session.new_session
    birth.ruleset = net.ruleset
    birth.parent = c_getpid()
    birth.holder = 0
    pid = pyroot_give_birth(&birth)
    if pid > 0 and net.ruleset >= 0:
        # (until then it shares our table of descriptors)
        birth.holder = pyroot_net_told(&birth.holder, pid)
    return pid

cdef int session_begins() except -1:
    """Tell the front end, if it asks, that nothing keeps the command from starting."""
    if running.starter is not None:
        running.starter(session.main_tid)
    return 0
