# Stops that have been collected and wait for their turn.  Whose turn it is: run/turns.pxi.

cdef struct Turn:
    int tid, status
    uint64_t used[RUSAGE_WORDS]

cdef struct Turns:
    Turn *queue              # collected, not served yet: from next to count
    int next, count, room
    int alone                # stops until the next look
    bint given               # the event at hand has waited for its turn
    bint deaths              # somebody has died who may have had a child that nobody has reported

cdef Turns turns

cdef int turn_of(int tid) noexcept nogil:
    """Return the status of a stop that waits for its turn, 0 if there is none."""
    cdef int i
    for i in range(turns.next, turns.count):
        if turns.queue[i].tid == tid and WIFSTOPPED(turns.queue[i].status):
            return turns.queue[i].status
    return 0

cdef int turn_take(int tid) noexcept nogil:
    """Take a stop out of its turn: the caller serves it now; 0 if there is none."""
    cdef int i
    for i in range(turns.next, turns.count):
        if turns.queue[i].tid == tid and WIFSTOPPED(turns.queue[i].status):
            turns.queue[i].tid = 0
            memcpy(traces.used, turns.queue[i].used, sizeof(traces.used))
            return turns.queue[i].status
    return 0
