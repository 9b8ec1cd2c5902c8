# Turns: whose stop is dealt with next.
#
# wait4(2) gives the first tracee of the kernel's list that has something to tell.  One that is near the head of the list and busy
# would be served over and over while others wait, so everything that is ready is collected first and served in the order of
# collection; who has been served and stops again is in the next round.  Where one tracee alone is busy nothing would be found, so
# while nothing is, only every sixteenth stop looks.

cdef enum:
    TURNS_ALONE = 16         # stops between two looks while nobody has to wait
    LOOK_FIRST = 20          # µs between two looks where there is no clock ...
    LOOK_LAST = 5000         # ... and once nothing has been found for a while
    LOOK_ALL = 50000         # µs: then it is time to see what is due

cdef inline int turn_wait(int *status, int options, uint64_t *used) noexcept nogil:
    """Ask the kernel; return a tid, 0 if nothing is ready (WNOHANG), or -errno."""
    cdef int tid
    if pyroot_clockless and not options & WNOHANG:
        return turn_look(status, used)
    tid = <int>c_syscall(SYS_wait4, -1, status, __WALL | options, used)
    return -errno if tid < 0 else tid

cdef int turn_look(int *status, uint64_t *used) noexcept nogil:
    """The same where every clock is refused: a signal that comes just before a wait would not end it, and nothing would be done in time."""
    cdef int tid, pause = LOOK_FIRST, waited = 0
    global tick_waiting
    while waited < LOOK_ALL:
        tid = turn_wait(status, WNOHANG, used)
        if tid != 0 or signals_waiting:
            return tid if tid != 0 else -EINTR
        c_usleep(pause)
        waited += pause
        pause = pause * 2 if pause * 2 < LOOK_LAST else LOOK_LAST
    tick_waiting = 1
    return -EINTR

cdef inline int turn_next(int *status) noexcept nogil:
    """Return whose event is to be served, or -errno of the wait."""
    cdef Turn *turn
    cdef bint counting = traces.first != NULL or tracing.times
    cdef int tid
    while turns.next < turns.count:
        turn = &turns.queue[turns.next]
        turns.next += 1
        if turn.tid != 0:
            turns.given = True
            status[0] = turn.status
            if counting:
                memcpy(traces.used, turn.used, sizeof(turn.used))
            return turn.tid
    turns.given = False
    # what a tracee has used is of interest to guests that trace, to traces that count, and to nobody else
    tid = turn_wait(status, 0, traces.used if counting else NULL)
    turns.alone -= 1
    if turns.alone <= 0 and tid > 0 and tracees.count > 1 and nesting == 0:
        # (inside another pyroot that one gives our waits the turns, and each of them is a stop of its own)
        turns_collect(counting)
    return tid

cdef void turns_collect(bint counting) noexcept nogil:
    """Collect what else is ready.  A tracee that has died is not to be taken for another one with its number."""
    cdef Turn *turn
    cdef Turn *grown
    cdef int i, tid
    turns.next = turns.count = 0
    while True:
        if turns.count == turns.room:
            grown = <Turn *>realloc(turns.queue, (turns.room * 2 + 16) * sizeof(Turn))
            if grown == NULL:
                break
            turns.queue = grown
            turns.room = turns.room * 2 + 16
        turn = &turns.queue[turns.count]
        tid = turn_wait(&turn.status, WNOHANG, turn.used if counting else NULL)
        if tid <= 0:
            break
        turn.tid = tid
        if not counting:
            memset(turn.used, 0, sizeof(turn.used))
        if not WIFSTOPPED(turn.status):
            for i in range(turns.count):
                if turns.queue[i].tid == tid:
                    turns.queue[i].tid = 0
        turns.count += 1
    turns.alone = 0 if turns.count > 0 else TURNS_ALONE

cdef inline bint turns_served() noexcept nogil:
    return turns.next >= turns.count

cdef bint turn_is_over(Tracee *t, int status) noexcept nogil:
    """Say whether a stop that has waited for its turn is gone: another thread's execve has ended its thread, and has its number now."""
    cdef Info info
    if t.tid != t.tgid or t.mm == NULL or t.mm.refs == 1 or status >> 16 == PTRACE_EVENT_EXEC:
        return False
    return (c_ptrace(PTRACE_GETSIGINFO, t.tid, NULL, &info) == 0 and info.signo == SIGTRAP
            and info.code == (SIGTRAP | PTRACE_EVENT_EXEC << 8))

cdef void turns_clear() noexcept nogil:
    free(turns.queue)
    memset(&turns, 0, sizeof(turns))
