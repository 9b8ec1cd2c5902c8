# What a run has cost (pyroot --stats): counters that are always kept where keeping them is one addition, and clocks that are read only
# when somebody asked.  Nothing here decides anything.

cdef extern from * nogil:
    """
    #include <time.h>
    static unsigned long long pyroot_now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000000ULL + t.tv_nsec; }
    """
    uint64_t pyroot_now()

cdef enum:
    STATS_CALLS = 512        # more than either ABI has numbers

cdef struct Cost:
    uint64_t count
    uint64_t ns              # in the supervisor, from the end of the wait to the next one

cdef struct Stats:
    bint on
    uint64_t woken           # when the last wait ended
    uint64_t waited          # ns in wait4: guests run, or everybody waits
    uint64_t busy            # ns between the waits
    Cost calls[2][STATS_CALLS]   # native and 32-bit, by the guest's own number
    Cost *current            # the call that this stop is about, NULL if it is about none
    uint64_t stops, exits, signals, births, execs, ends
    uint64_t rewritten, answered
    uint64_t names, proofs, looks    # relative paths left to the kernel, openat2 proofs, components looked up one by one
    uint64_t programs, programs_kept, interpreters, interpreters_kept
    uint64_t sites           # led through the gate

cdef Stats stats

cdef void stats_begin() noexcept nogil:
    cdef bint on = stats.on
    memset(&stats, 0, sizeof(stats))
    stats.on = on
    stats.woken = pyroot_now()

cdef void stats_wait() noexcept nogil:
    """The stop is dealt with: what it took goes to the call that it was about."""
    cdef uint64_t now = pyroot_now()
    stats.busy += now - stats.woken
    if stats.current != NULL:
        stats.current.ns += now - stats.woken
        stats.current = NULL
    stats.woken = now

cdef void stats_woken(int tid, int status) noexcept nogil:
    cdef uint64_t now = pyroot_now()
    cdef int event = status >> 16
    stats.waited += now - stats.woken
    stats.woken = now
    if tid <= 0:
        return
    if not WIFSTOPPED(status):
        stats.ends += 1
        return
    stats.stops += 1
    if event == PTRACE_EVENT_FORK or event == PTRACE_EVENT_VFORK or event == PTRACE_EVENT_CLONE:
        stats.births += 1
    elif event == PTRACE_EVENT_EXEC:
        stats.execs += 1
    elif event == 0 and WSTOPSIG(status) != (SIGTRAP | 0x80):
        stats.signals += 1

cdef void stats_call(Tracee *t) noexcept nogil:
    """A call is about to be looked up."""
    if t.call.nr < STATS_CALLS:
        stats.current = &stats.calls[t.call.compat][t.call.nr]
        stats.current.count += 1
