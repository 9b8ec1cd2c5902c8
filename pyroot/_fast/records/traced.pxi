# ptrace(2) among guests: what is known of a guest that another one traces.  What is done about it: guests/ptrace*.pxi.

cdef enum:
    # how the tracer let its tracee go
    GO_CONT = 0
    GO_SYSCALL = 1
    GO_STEP = 2
    GO_BLOCK = 3
    GO_SYSEMU = 4
    # the stop that a tracee is in
    STOP_SIGNAL = 1          # a signal is about to be delivered
    STOP_ENTRY = 2           # syscall-enter-stop
    STOP_EXIT = 3            # syscall-exit-stop
    STOP_SECCOMP = 4         # a filter of the guest's own returned SECCOMP_RET_TRACE
    STOP_EVENT = 5           # any other event
    STOP_GROUP = 6           # group-stop
    STOP_EXEC = 7            # PTRACE_EVENT_EXEC: really the loader's last call
    STOP_LEFT = 8            # the syscall-exit-stop of that exec: the same
    STOP_STEP = 9            # the trap after a call that was stepped over: really its syscall-exit-stop
    # values of Ptrace.stopped
    RUNS = 0
    STOPPED = 1
    LISTENS = 2
    GUEST_OPTIONS = 0x3000ff  # PTRACE_O_MASK
    SI_KERNEL_ = 0x80
    TRAP_BRKPT_ = 1
    CLD_EXITED_ = 1
    CLD_KILLED_ = 2
    CLD_DUMPED_ = 3
    CLD_TRAPPED_ = 4
    CLD_STOPPED_ = 5
    CLD_CONTINUED_ = 6
    PTRACE_GETSIGMASK_ = 0x420a
    PTRACE_SETSIGMASK_ = 0x420b
    EVENT_MESSAGE_ENTRY = 1
    EVENT_MESSAGE_EXIT = 2
    RUSAGE_WORDS = 18        # sizeof(struct rusage) / 8

cdef enum:
    PTRACE_PEEKTEXT_ = 1
    PTRACE_PEEKDATA_ = 2
    PTRACE_PEEKUSER_ = 3
    PTRACE_POKETEXT_ = 4
    PTRACE_POKEDATA_ = 5
    PTRACE_POKEUSER_ = 6
    PTRACE_GETREGSET_ = 0x4204
    PTRACE_SETREGSET_ = 0x4205
    PTRACE_PEEKSIGINFO_ = 0x4209
    PTRACE_SECCOMP_GET_FILTER_ = 0x420c
    PTRACE_SECCOMP_GET_METADATA_ = 0x420d
    PTRACE_GET_RSEQ_CONFIGURATION_ = 0x420f
    PTRACE_NESTING = 0x50795230    # pyroot's own: how deep is this one nested (core.pxi)
    PTRACE_VIEW = 0x50795231       # the same: a view that is handed over (handed.pxi)
    REGSET_MOST = 32768
    O_SUSPEND_SECCOMP_ = 0x200000
    CAP_SYS_PTRACE_ = 19

cdef struct Info:            # siginfo_t, the layouts of kill and SIGCHLD
    int signo, error, code, pad
    int pid, uid, status, pad2
    uint64_t rest[12]

cdef struct Link             # to another session (relay_links.pxi)

cdef struct Ptrace:           # one guest traces another
    Tracee *t
    Ptrace *next
    Ptrace *prev
    int tracer, tracer_tgid  # thread and process
    bint seized
    uint64_t options
    bint options_late        # the real options do not have them yet
    int go
    bint skip                # the call at hand, by PTRACE_SYSEMU
    bint over                # a step across a call: at its end the trap is due
    uint64_t nr              # of the call at hand: as the guest made it
    uint64_t args[6]
    uint64_t ip
    int stopped
    int kind
    bint waitable            # no wait has taken the stop yet
    int code                 # of the stop, as in si_status
    unsigned long message
    Info info                # of stops whose siginfo is not the real one
    bint inherited           # by birth: its first stop is to be shown
    bint interrupt           # PTRACE_INTERRUPT's stop is due
    bint fresh               # no stop has been shown yet: a call may be under way whose entry its tracer has not seen
    Link *far                # one of the two is a guest of another session
    int far_id
    bint standin             # ... the tracee
    int uid, pgid
    uint64_t used[RUSAGE_WORDS]

cdef struct Traces:
    Ptrace *first
    Ptrace *last
    uint64_t used[RUSAGE_WORDS]    # of the last wait status

cdef Traces traces

cdef bint may_trace_all(Tracee *t) noexcept nogil:
    return cred_capable(t, CAP_SYS_PTRACE_KEY) if creds.on else status_bits(t.tid, b"CapEff:\t") >> CAP_SYS_PTRACE_ & 1

cdef bint stopped_for_tracer(Tracee *t) noexcept nogil:
    return t.ptrace != NULL and t.ptrace.stopped == STOPPED

cdef inline bint call_of_tracer(Tracee *t) noexcept nogil:
    """Say whether the call at hand is one that the filter of tracers stops (ptrace_wait.pxi)."""
    return t.call.nr == NR_wait4 or t.call.nr == NR_waitid or (t.call.nr == NR_rt_sigaction and t.call.args[0] == SIGCHLD)

cdef void kick(Tracee *t) noexcept nogil:
    """Make a guest stop, without its tracer's knowledge."""
    if t.ptrace != NULL and t.ptrace.interrupt:
        # it is about to stop
        return
    t.kicked = True
    c_ptrace(PTRACE_INTERRUPT, t.tid, NULL, NULL)

cdef Ptrace *standin_of(int pid) noexcept nogil:
    """Return the Ptrace of a tracee in another session."""
    cdef Ptrace *trace = traces.first
    while trace != NULL and not (trace.standin and trace.t.tid == pid):
        trace = trace.next
    return trace
