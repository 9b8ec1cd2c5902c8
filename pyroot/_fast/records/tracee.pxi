# What the supervisor knows of each tracee: one record per thread, shared records for address spaces and fs_structs (clone(2)).

cdef struct Exe:             # the program of an address space and its copies
    int refs
    int fd                   # O_PATH descriptor, -1 if none is kept
    char *host
    char *guest
    int bind                 # that it was found through, -1 if nobody knows
cdef struct Ptrace           # the guest that traces it (traced.pxi)
cdef struct Cred             # who it is (cred.pxi)

cdef enum:
    GATE_SEEN = 32
    GATE_SITES = 170         # that have room on the page (gate.h)

cdef struct GateMm:          # what of an address space is led through the gate (gate.pxi)
    uint64_t page            # of the detours, 0 not looked for
    int count                # of detours
    uint64_t seen[GATE_SEEN]  # sites that have stopped once

cdef struct Mm:              # one address space
    int refs
    GateMm *gate             # NULL: nothing is
    bint gate_off            # nothing may be
    uint64_t code            # hash of the host path of its ELF interpreter, or of the program without one
    bint alone               # the arena is private memory of this address space
    bint arena               # the loader has mapped stub and arena here
    bint kept                # ... and is through with that (kept.pxi; known where the kernel does not seal)
    uint64_t low             # address of the arena below 4 GiB, 0 none (slot_code.pxi)
    int low_tid              # the tracee that is about to map it, 0 none (lowmap.pxi)
    bint loading             # the 32-bit loader is at work
    Exe *exe                 # NULL before the first exec
    uint8_t undumpable       # what the guest believes PR_GET_DUMPABLE to be: 0 for 1, 1 for 0, 2 for 2

cdef struct NestedRoot:      # what a chroot(2) of the guest made its root (nested.pxi)
    int refs
    int fd                   # O_PATH, ours
    int bind                 # binding that it was reached through
    char *text               # its guest path when it was looked at last
    int len
    bint gone                # it has been removed
    bint plain               # it lies at ``text``, and the text is short enough for the kernel

cdef struct Fs:              # one fs_struct: root and cwd (the umask needs no record)
    int refs
    NestedRoot *root         # NULL: pyroot's own
    int cwd                  # O_PATH descriptor of the cwd, ours, -1 none is kept (relative.pxi)
    int cwd_uses             # paths that one would have been good for
    int bind                 # binding that the cwd was entered through, -1 unknown

cdef struct ExecPlan:        # what the loader has to be told at the exec event
    loader_info info
    char data[40000]         # directly after info: its strings
    int size                 # bytes of info and data
    bint compat              # a 32-bit program
    Exe *exe
    uint64_t code            # as in Mm
    Cred *cred               # who the tracee is then, NULL where that is the kernel's (owned)
    uint8_t undumpable       # as in Mm

cdef struct FailedExec:      # the last execve that failed, kept where somebody asked for the reason (failed.pxi)
    int error                # errno
    bint found               # the file itself is there
    bint plain               # names only pyroot's own walk can follow: the errno is all that can be told
    char *name               # as the guest wrote it (owned)
    char *tried              # directories in which a search has not found it, with ":" between them (owned)
    char *cwd                # guest path (owned)

cdef struct Injection        # calls that a tracee is made to run (lowmap.pxi)

cdef enum:
    # states of a tracee
    T_NEW = 0                # reported by its parent, its own first stop has not come
    T_ORPHAN = 1             # its first stop came before the parent's event: kept stopped
    T_LIVE = 2

cdef enum:
    AFTERS = 4               # on one call
    AFTER_WORDS = 8          # of the data of one

cdef struct Tracee
cdef struct After

# What is to be done when the call at hand ends (edit/after.pxi).
ctypedef int (*AfterEnd)(Tracee *, After *, int64_t) noexcept nogil
ctypedef void (*AfterDrop)(After *) noexcept nogil
ctypedef void (*AfterBirth)(Tracee *, After *) noexcept nogil

cdef struct After:
    AfterEnd end             # runs at the end, with the call's result
    AfterDrop drop           # gives back what the data owns; NULL: it owns nothing
    AfterBirth birth         # runs where a child of the call begins, which gets a copy of the data; NULL: not
    int flags
    uint64_t data[AFTER_WORDS]   # the handler's own struct

cdef struct Call:            # the call at hand of a tracee
    # what its stop tells (reg_load_call)
    uint64_t nr
    uint64_t args[6]
    uint64_t ip, sp
    bint compat              # by a number of the 32-bit ABI; args are its 32 bits, nr is the native one once the row is known
    uint64_t full[6]         # the whole registers of the arguments
    uint64_t number          # as the guest has it, also where nr is another's
    unsigned int mark        # of a seccomp stop: what the filter returned with it
    bint late                # it has become another one, whose result is not wanted: at its end comes late_result (reg_skip)
    uint64_t late_result
    # what its handlers make of it, until it has ended (call_release)
    int slot                 # arena slot of its copies, -1 none
    uint64_t frame[8]        # with a slot: the guest's own registers, at 6 its number, at 7 where it goes on
    int hold[2]              # descriptors that it needs, -1 none
    int direct               # number of the call to make in its place, of a socketcall or one that follows a link, 0 none
    int tries                # how often its stub has made the same open again
    uint64_t clone_flags     # of a clone3
    ExecPlan *plan           # of an execve
    bint moves               # it may be moving a directory or a link (moving.pxi)
    bint answered            # it was skipped, with a result of ours
    int64_t answer           # that result
    int afters               # what is to be done at its end: so many of ``after`` (after.pxi)
    After after[AFTERS]

cdef struct Tracee:
    int tid, tgid
    View *view               # what it sees (views.pxi)
    int state
    Mm *mm
    Fs *fs
    Cred *cred               # NULL: as the command begins, or the kernel's
    Call call
    void *record             # of the call at hand, for whoever looks on (trace.pxi), owned
    FailedExec *failed       # NULL: none, or nobody asked
    bint near, far           # shares the tracer's CPU; never may (placement.pxi)
    int stops                # since the last look
    uint64_t switches        # stops in all: the kernel counts each as a context switch
    uint64_t since           # ns
    unsigned long mask[16]   # affinity while it is near
    bint listening           # stopped by a signal, left with PTRACE_LISTEN
    bint first_exec          # the fork of the supervisor, before its program runs
    uint32_t stops_for       # FEATURE_* that a filter for its view makes stop
    int copies               # what is told of descriptors of copies stops (copies.pxi)
    int own_filters          # that it was made to install besides the first
    bint filtered            # the guest has installed a seccomp filter of its own
    bint unjudged            # such a guest is in the loader, after an execve: its filter has no say
    Injection *injected
    bint landlocked          # it may be under rules of its own (landlock.pxi)
    bint silent              # of a traced session: its calls are nobody's business
    bint exits               # its end stops (PTRACE_O_TRACEEXIT), for somebody who looks on (tap.pxi)
    bint shares              # another task has the same table of descriptors, or had it once
    int parent, parent_tgid  # the thread that made it, and that one's process
    # ptrace(2) among guests: all of it zero for those that neither trace nor are traced
    bint ptraces             # one of the following has ever been set: its stops go through ptrace.pxi
    Ptrace *ptrace           # the guest that traces it
    bint tracer              # it, or another thread of its process, has traced: its waits are ours
    int stepping             # its calls stop at their entries (ptrace_wait.pxi)
    bint injecting           # the call in progress is one of ours
    bint again               # the call in progress will be made again, unseen by its tracer
    bint waiting, standin    # in a wait; that another call stands in for, because the kernel has no child to wait for
    uint64_t wait_nr         # the number of the call that is to be made again
    uint64_t wait_args[3]    # while a call of ours stands in its place: the guest's first arguments
    int loading              # the number of the exec whose loader runs behind its tracer's back
    bint late_stop           # a SIGSTOP came meanwhile
    uint64_t blocked         # the signal mask that the loader's end brings back
    bint kicked              # the supervisor has sent PTRACE_INTERRUPT for reasons of its own
    bint chld_caught, chld_nostop, chld_blocked    # what the process does with SIGCHLD (kept with the leader)

cdef enum:
    TID_LEAF = 512
    TID_TOP = 8192           # 4,194,304 pids: the kernel's largest pid_max

cdef struct Tracees:
    Tracee **leaf[TID_TOP]
    int count
    int orphans

cdef Tracees tracees

cdef Tracee *tracee_get(int tid) noexcept nogil:
    cdef Tracee **leaf
    if tid <= 0 or tid >= TID_LEAF * TID_TOP:
        return NULL
    leaf = tracees.leaf[tid // TID_LEAF]
    return NULL if leaf == NULL else leaf[tid % TID_LEAF]

cdef Tracee *tracee_new(int tid) noexcept nogil:
    cdef Tracee *t
    if tid <= 0 or tid >= TID_LEAF * TID_TOP:
        return NULL
    if tracees.leaf[tid // TID_LEAF] == NULL:
        tracees.leaf[tid // TID_LEAF] = <Tracee **>calloc(TID_LEAF, sizeof(void *))
        if tracees.leaf[tid // TID_LEAF] == NULL:
            return NULL
    t = <Tracee *>calloc(1, sizeof(Tracee))
    if t == NULL:
        return NULL
    t.tid = t.tgid = tid
    t.view = views.base
    t.call.slot = -1
    t.call.hold[0] = t.call.hold[1] = -1
    tracees.leaf[tid // TID_LEAF][tid % TID_LEAF] = t
    tracees.count += 1
    return t

cdef Mm *mm_new() noexcept nogil:
    cdef Mm *mm = <Mm *>calloc(1, sizeof(Mm))
    if mm != NULL:
        mm.refs = 1
    return mm

cdef Exe *exe_new(const char *host, const char *guest, int fd, int bind) noexcept nogil:
    """Note a program; takes over the descriptor."""
    cdef Exe *exe = <Exe *>calloc(1, sizeof(Exe))
    if exe == NULL:
        if fd >= 0:
            c_close(fd)
        return NULL
    exe.refs = 1
    exe.fd = fd
    exe.bind = bind
    exe.host = dup_bytes(host, <int>strlen(host))
    exe.guest = dup_bytes(guest, <int>strlen(guest))
    if exe.host == NULL or exe.guest == NULL:
        exe_drop(exe)
        return NULL
    return exe

cdef void exe_drop(Exe *exe) noexcept nogil:
    if exe == NULL:
        return
    exe.refs -= 1
    if exe.refs == 0:
        if exe.fd >= 0:
            c_close(exe.fd)
        free(exe.host)
        free(exe.guest)
        free(exe)

cdef void mm_drop(Mm *mm) noexcept nogil:
    if mm == NULL:
        return
    mm.refs -= 1
    if mm.refs == 0:
        exe_drop(mm.exe)
        free(mm.gate)
        free(mm)

cdef Mm *mm_copy(Mm *old) noexcept nogil:
    cdef Mm *mm = mm_new()
    if mm != NULL and old != NULL:
        mm.arena = old.arena
        mm.alone = old.alone
        mm.kept = old.kept
        mm.low = old.low
        mm.undumpable = old.undumpable
        mm.gate_off = old.gate_off
        mm.code = old.code
        if old.gate != NULL and old.gate.count > 0:
            mm.gate = <GateMm *>malloc(sizeof(GateMm))
            if mm.gate == NULL:
                free(mm)
                return NULL
            mm.gate[0] = old.gate[0]
        if old.exe != NULL:
            mm.exe = old.exe
            mm.exe.refs += 1
    return mm

cdef void plan_free(ExecPlan *plan) noexcept nogil:
    if plan != NULL:
        exe_drop(plan.exe)
        cred_drop(plan.cred)
        free(plan)

cdef void hold_drop(Tracee *t) noexcept nogil:
    """Close the descriptors that the call needed."""
    cdef int i
    for i in range(2):
        if t.call.hold[i] >= 0:
            c_close(t.call.hold[i])
            t.call.hold[i] = -1

cdef int movers = 0          # tracees with ``moves``

cdef void movers_change(int by) noexcept nogil:
    global movers
    movers += by
