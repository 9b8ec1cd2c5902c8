# What a task may do to other guests, by the session's ids; and what the kernel refuses us that the session's root may.
#
# Decides: signals, priorities, kcmp(2) and get_robust_list(2).  Who may trace whom is asked by those who know (cred_may_access);
# processes outside are the kernel's business.

cdef enum:
    CAP_SYS_NICE_KEY = 23
    SIGNALS = 64

cdef int signal_judge(Tracee *t, int target, int sig) noexcept nogil:
    """Judge a signal to one task by its number."""
    if cred_may_signal(t, guest_of(t.view, target), sig) or sig < 0 or sig > SIGNALS:
        return TAKE_NOT
    return answer(t, -EPERM)

cdef bint group_has_foreign(Tracee *t, int group, int sig) noexcept nogil:
    """Say whether a process group (0: everybody) has a guest that the task may not signal."""
    cdef int i, k
    cdef Tracee *other
    for i in range(TID_TOP):
        for k in range(TID_LEAF if tracees.leaf[i] != NULL else 0):
            other = tracees.leaf[i][k]
            if other == NULL or other.tid != other.tgid or cred_may_signal(t, other, sig):
                continue
            if group == 0 or c_getpgid(other.tid) == group:
                return True
    return False

cdef int kill_judge(Tracee *t) noexcept nogil:
    """kill(2).  Where some of a group may be signalled and others not, the supervisor signals those that may."""
    cdef int target = <int>t.call.args[0], sig = <int>t.call.args[1], group = -target
    if target > 0:
        return signal_judge(t, target, sig)
    if target == -2147483648 or cred_capable(t, CAP_KILL_KEY) or sig < 0 or sig > SIGNALS:
        return TAKE_NOT
    if target == 0:
        group = c_getpgid(t.tid)
    if not group_has_foreign(t, 0 if target == -1 else group, sig):
        return TAKE_NOT
    return answer(t, signal_all(t, 0 if target == -1 else group, sig))

cdef int signals_judge(Tracee *t) noexcept nogil:
    """The other calls that signal; TAKE_NOT also for what is none of them."""
    cdef const uint64_t *args = t.call.args
    cdef Tracee *target
    cdef int pid
    if t.call.nr == NR_kill:
        return kill_judge(t)
    if t.call.nr == NR_tkill or t.call.nr == NR_rt_sigqueueinfo:
        return signal_judge(t, <int>args[0], <int>args[1])
    if t.call.nr == NR_tgkill or t.call.nr == NR_rt_tgsigqueueinfo:
        target = guest_of(t.view, <int>args[1])
        return TAKE_NOT if target == NULL or target.tgid != <int>args[0] else signal_judge(t, <int>args[1], <int>args[2])
    if t.call.nr == NR_pidfd_send_signal and <int>args[0] >= 0:
        pid = process_of(t, <int>args[0], True)
        return signal_judge(t, pid, <int>args[1]) if pid > 0 else TAKE_NOT
    return TAKE_NOT

cdef bint may_schedule(Tracee *t, Tracee *target) noexcept nogil:
    """Say whether a task may set the priority of another guest (set_one_prio_perm, and cap_safe_nice after it)."""
    cdef const Cred *other
    cdef const Cred *mine = cred_of(t)
    if target == NULL or target == t or cred_has(mine, CAP_SYS_NICE_KEY):
        return True
    other = cred_of(target)
    if mine.uid[ID_EFFECTIVE] != other.uid[ID_EFFECTIVE] and mine.uid[ID_EFFECTIVE] != other.uid[ID_REAL]:
        return False
    return not other.caps[CAPS_PERMITTED] & ~mine.caps[CAPS_PERMITTED]

cdef int priority_judge(Tracee *t) noexcept nogil:
    """setpriority(2), ioprio_set(2) and sched_set*(2) of one task, before the kernel looks."""
    cdef int who = <int>t.call.args[0]
    if t.call.compat and t.call.number == COMPAT_NR_nice:
        return TAKE_NOT
    if t.call.nr == NR_setpriority or t.call.nr == NR_ioprio_set:
        if <int>t.call.args[0] != (IOPRIO_AHEAD if t.call.nr == NR_ioprio_set else 0):
            return TAKE_NOT
        who = <int>t.call.args[1]
    return TAKE_NOT if who <= 0 or may_schedule(t, guest_of(t.view, who)) else answer(t, -EPERM)

cdef int end_forgiven(Tracee *t, After *a, int64_t result) noexcept nogil:
    """The kernel has refused what the session's root may: it has no effect, as it would have none that a test could see."""
    if result == -EPERM or result == -EACCES:
        reg_set_result(t, 0)
    return R_CONT

cdef int priority_forgive(Tracee *t, int outcome) noexcept nogil:
    if not cred_capable(t, CAP_SYS_NICE_KEY):
        return outcome
    after(t, end_forgiven, 0)
    return R_EXIT

cdef int looks_judge(Tracee *t) noexcept nogil:
    """kcmp(2), get_robust_list(2)."""
    if not cred_may_access(t, guest_of(t.view, <int>t.call.args[0]), False):
        return answer(t, -EPERM)
    if t.call.nr == NR_kcmp and not cred_may_access(t, guest_of(t.view, <int>t.call.args[1]), False):
        return answer(t, -EPERM)
    return TAKE_NOT
