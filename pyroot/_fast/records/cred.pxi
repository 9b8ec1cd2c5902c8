# Who a task is (credentials(7), capabilities(7)), where a session has ids of its own (features/ids.pxi): one record, shared until changed.
#
# Decides: what follows for others from who a task is: whether it may signal or look at another, and what rights it has.  While the
# session has no such ids the kernel decides all that, everybody has the session's real ids, and nobody has a capability.

cdef extern from * nogil:
    """
    static unsigned pyroot_real_gid(void) { return getegid(); }
    static int pyroot_real_group(unsigned gid) {
        static gid_t list[65536];
        static int n = -1;
        int i;
        if (n < 0) n = getgroups(65536, list);
        for (i = 0; i < n; i++)
            if (list[i] == gid) return 1;
        return gid == getegid();
    }
    """
    uint32_t pyroot_real_gid()
    bint pyroot_real_group(uint32_t)

cdef enum:
    # the ids of a task
    ID_REAL = 0
    ID_EFFECTIVE = 1
    ID_SAVED = 2
    ID_FS = 3
    # its sets of capabilities
    CAPS_INHERITABLE = 0
    CAPS_PERMITTED = 1
    CAPS_EFFECTIVE = 2
    CAPS_BOUNDING = 3
    CAPS_AMBIENT = 4

cdef enum:
    CAP_SYS_PTRACE_KEY = 19
    CAP_KILL_KEY = 5

cdef struct Groups:          # ascending; the ids follow
    int refs
    int n

cdef struct Cred:
    int refs
    uint32_t uid[4]
    uint32_t gid[4]
    Groups *groups           # NULL: none
    uint64_t caps[5]
    uint32_t bits            # securebits
    bint no_new_privs

cdef struct Creds:
    bint on
    Cred *first              # of the command, and of who has no record
    uint64_t known           # the capabilities that this kernel knows
    int suid_dumpable        # what a change of ids makes of a process's dumpable
    int kernel               # its version: 6016 is 6.16
    uint32_t owner_uid, owner_gid    # whose our own files are shown as

cdef Creds creds

cdef struct ExecRights:      # what executing a file gives
    uint32_t uid, gid, mode
    bint capable             # it has capabilities:
    bint effective
    uint64_t permitted, inheritable

# Whose a program is, by its descriptor, and what it gives: 0, or -errno where that is not known.  NULL: as the disk says.
ctypedef int (*ExecRightsOf)(Tracee *, int, ExecRights *) noexcept nogil
cdef ExecRightsOf exec_rights = NULL

# Whether whoever executes something may execute the file of a descriptor, if others than the kernel have a say: 0 or -errno.
ctypedef int (*ExecMay)(int) noexcept nogil
cdef ExecMay exec_may = NULL

# Who a task is once a planned program runs: 0 or -errno.  NULL: nobody but the kernel knows.
ctypedef int (*ExecCred)(Tracee *, ExecPlan *) noexcept nogil
cdef ExecCred exec_cred = NULL

cdef inline uint32_t *group_list(Groups *g) noexcept nogil:
    return <uint32_t *>(g + 1)

cdef Groups *groups_new(int n) noexcept nogil:
    cdef Groups *g = <Groups *>malloc(sizeof(Groups) + n * sizeof(uint32_t))
    if g != NULL:
        g.refs = 1
        g.n = n
    return g

cdef void groups_drop(Groups *g) noexcept nogil:
    if g != NULL:
        g.refs -= 1
        if g.refs == 0:
            free(g)

cdef void cred_drop(Cred *c) noexcept nogil:
    if c != NULL:
        c.refs -= 1
        if c.refs == 0:
            groups_drop(c.groups)
            free(c)

cdef Cred *cred_new(const Cred *source) noexcept nogil:
    """Copy a record; the groups are shared."""
    cdef Cred *c = <Cred *>malloc(sizeof(Cred))
    if c != NULL:
        c[0] = source[0]
        c.refs = 1
        if c.groups != NULL:
            c.groups.refs += 1
    return c

cdef inline Cred *cred_of(Tracee *t) noexcept nogil:
    return t.cred if t.cred != NULL else creds.first

cdef inline bint cred_has(const Cred *c, int cap) noexcept nogil:
    return c.caps[CAPS_EFFECTIVE] >> cap & 1

# -- what other parts ask ----------------------------------------------------------------------------------------------------------

cdef inline uint32_t cred_fsuid(Tracee *t) noexcept nogil:
    return cred_of(t).uid[ID_FS] if creds.on else c_geteuid()

cdef inline uint32_t cred_fsgid(Tracee *t) noexcept nogil:
    return cred_of(t).gid[ID_FS] if creds.on else pyroot_real_gid()

cdef bint cred_in_list(const Cred *c, uint32_t gid) noexcept nogil:
    cdef int low = 0, high = c.groups.n if c.groups != NULL else 0, middle
    while low < high:
        middle = (low + high) // 2
        if group_list(c.groups)[middle] == gid:
            return True
        if group_list(c.groups)[middle] < gid:
            low = middle + 1
        else:
            high = middle
    return False

cdef inline bint cred_in_group(Tracee *t, uint32_t gid) noexcept nogil:
    """Say whether a task's group of the file system, or one of its other groups, is this one."""
    if not creds.on:
        return pyroot_real_group(gid)
    return cred_of(t).gid[ID_FS] == gid or cred_in_list(cred_of(t), gid)

cdef inline bint cred_capable(Tracee *t, int cap) noexcept nogil:
    """Say whether a task has a capability of the session's own."""
    return creds.on and cred_has(cred_of(t), cap)

cdef bint cred_may_signal(Tracee *t, Tracee *target, int sig) noexcept nogil:
    """Say whether the session's ids allow a signal to another guest (check_kill_permission in kernel/signal.c)."""
    cdef Cred *c
    cdef Cred *other
    if not creds.on or target == NULL or target.tgid == t.tgid:
        return True
    c = cred_of(t)
    other = cred_of(target)
    if c.uid[ID_EFFECTIVE] == other.uid[ID_SAVED] or c.uid[ID_EFFECTIVE] == other.uid[ID_REAL]:
        return True
    if c.uid[ID_REAL] == other.uid[ID_SAVED] or c.uid[ID_REAL] == other.uid[ID_REAL] or cred_has(c, CAP_KILL_KEY):
        return True
    return sig == SIGCONT and c_getsid(t.tid) == c_getsid(target.tid)

cdef bint cred_may_access(Tracee *t, Tracee *target, bint by_fs) noexcept nogil:
    """Say whether the session's ids allow to trace, or look into, another guest (__ptrace_may_access in kernel/ptrace.c).

    ``by_fs``: as files of /proc ask, by the ids and capabilities that files are judged by; else by the real ids.
    """
    cdef Cred *c
    cdef Cred *other
    cdef uint32_t uid, gid
    cdef uint64_t mine
    cdef int i
    cdef bint same = True
    if not creds.on or target == NULL or target.tgid == t.tgid:
        return True
    c = cred_of(t)
    other = cred_of(target)
    if cred_has(c, CAP_SYS_PTRACE_KEY):
        return True
    uid = c.uid[ID_FS if by_fs else ID_REAL]
    gid = c.gid[ID_FS if by_fs else ID_REAL]
    mine = c.caps[CAPS_EFFECTIVE if by_fs else CAPS_PERMITTED]
    for i in range(3):
        same = same and other.uid[i] == uid and other.gid[i] == gid
    return same and (target.mm == NULL or not target.mm.undumpable) and not other.caps[CAPS_PERMITTED] & ~mine
