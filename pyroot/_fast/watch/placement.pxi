# Placement: a stop costs three to five times as much when tracer and tracee sit on different CPUs, and on an idle machine the
# scheduler puts them there.  So a tracee that stops often shares the tracer's CPU while it does, and is let go as soon as it
# computes.  A new process is about to stop often (execve, ld.so), so it starts near, and so does its parent, whose affinity
# the next child then has from birth.  A guest that asks for or sets its affinity is let go first: it never sees this.

cdef extern from * nogil:
    """
    #include <sched.h>
    #include <sys/time.h>
    #include <time.h>
    static int pyroot_mask_get(int tid, unsigned long *mask) { return (int)syscall(SYS_sched_getaffinity, tid, 128, mask); }
    static int pyroot_mask_set(int tid, const unsigned long *mask) { return (int)syscall(SYS_sched_setaffinity, tid, 128, mask); }
    static int pyroot_cpu(void) { return sched_getcpu(); }
    /* The clock's signal is a real-time one: it does not hide one of the same number that somebody sends, and the alarm of a program that
     * has become pyroot goes on. Where there is no such clock (RLIMIT_SIGPENDING) the alarm serves instead. */
    static timer_t pyroot_clock;
    static int pyroot_clock_made; /* -1: it cannot be */
    static int pyroot_clock_of; /* the process: a child does not inherit it */
    static int pyroot_alarm_shared; /* leaving.pxi waits for that alarm */
    static int pyroot_clockless; /* there is none at all: waits look now and then on their own (turns.pxi) */
    static int pyroot_tick_alarms(void) { return pyroot_clock_made < 0; }
    static void pyroot_tick_make(void) {
        struct sigevent how = {0};
        how.sigev_notify = SIGEV_SIGNAL;
        how.sigev_signo = 64;
        if (pyroot_clock_made > 0 && pyroot_clock_of == getpid()) return;
        pyroot_clock_of = getpid();
        pyroot_clock_made = timer_create(CLOCK_MONOTONIC, &how, &pyroot_clock) == 0 ? 1 : -1;
    }
    static void pyroot_tick(int microseconds) {
        struct itimerspec when = {{0, microseconds * 1000}, {0, microseconds * 1000}};
        struct itimerval alarm = {{0, microseconds}, {0, microseconds}};
        if (pyroot_clock_made > 0) timer_settime(pyroot_clock, 0, &when, NULL);
        else if (pyroot_clock_made < 0 && (microseconds || !pyroot_alarm_shared))
            pyroot_clockless |= setitimer(ITIMER_REAL, &alarm, NULL) < 0;
    }
    """
    bint pyroot_tick_alarms()
    bint pyroot_clockless
    void pyroot_tick_make()
    int pyroot_mask_get(int, unsigned long *)
    int pyroot_mask_set(int, const unsigned long *)
    int pyroot_cpu()
    void pyroot_tick(int)

cdef enum:
    MASK_WORDS = 16          # 1,024 CPUs
    NEAR_MOST = 64           # tracees that may share the tracer's CPU
    NEAR_STOPS = 16          # so many stops ...
    NEAR_SPAN = 1500000      # ... within so many ns bring a tracee near
    NEAR_TICK = 3000         # µs between two looks at those that are near
    NEAR_KEEP = 6            # stops in that time that let one stay

cdef struct Placement:
    bint possible            # there is more than one CPU to choose from
    int tids[NEAR_MOST]
    int count
    bint settled             # the tracer itself stays on cpu
    bint early               # nobody takes the clock's signal yet
    int cpu
    unsigned long own[MASK_WORDS]

cdef Placement placement
cdef volatile int tick_waiting = 0

cdef void placement_prepare(View *v, const char *text) noexcept nogil:
    cdef int i, k, cpus = 0
    memset(&placement, 0, sizeof(placement))
    if pyroot_mask_get(0, placement.own) > 0:
        for i in range(MASK_WORDS):
            for k in range(64):
                cpus += <int>((placement.own[i] >> k) & 1)
    # inside another pyroot that one does it, and a clock that ticks would interrupt waits that take longer than its tick
    placement.possible = cpus > 1 and pyroot_cpu() >= 0 and nesting == 0

cdef void placement_enter(Tracee *t) noexcept nogil:
    """Add a tracee that already runs on the tracer's CPU only (its mask is noted in t.mask)."""
    t.near = True
    placement.tids[placement.count] = t.tid
    placement.count += 1

cdef bint placement_settle() noexcept nogil:
    """Keep the tracer on the CPU where it is, until a tick finds nobody near."""
    cdef unsigned long here[MASK_WORDS]
    if placement.settled:
        return True
    memset(here, 0, sizeof(here))
    placement.cpu = pyroot_cpu()
    here[placement.cpu // 64] = 1UL << (placement.cpu % 64)
    if pyroot_mask_set(0, here) < 0:
        placement.possible = False
        return False
    placement.settled = True
    if not placement.early:
        pyroot_tick(NEAR_TICK)
    return True

cdef void placement_bring(Tracee *t) noexcept nogil:
    cdef unsigned long here[MASK_WORDS]
    if placement.count == NEAR_MOST or not placement_settle():
        return
    memset(here, 0, sizeof(here))
    here[placement.cpu // 64] = 1UL << (placement.cpu % 64)
    memset(t.mask, 0, sizeof(t.mask))
    if pyroot_mask_get(t.tid, t.mask) <= 0 or not (t.mask[placement.cpu // 64] >> (placement.cpu % 64)) & 1:
        t.far = True
    elif pyroot_mask_set(t.tid, here) == 0:
        placement_enter(t)

cdef void placement_forget(Tracee *t) noexcept nogil:
    """Take a tracee from the list."""
    cdef int i
    if not t.near:
        return
    t.near = False
    for i in range(placement.count):
        if placement.tids[i] == t.tid:
            placement.count -= 1
            placement.tids[i] = placement.tids[placement.count]
            break

cdef void placement_early() noexcept nogil:
    """Let the first tracee be born here: no process stops more often than one that has just begun."""
    placement.early = True
    if placement.possible:
        placement_settle()

cdef void placement_begin() noexcept nogil:
    """From now on the clock may tick: its signal is taken."""
    placement.early = False
    if placement.settled:
        pyroot_tick(NEAR_TICK)

cdef void placement_first(Tracee *t) noexcept nogil:
    """Add the first tracee, which was born on the tracer's CPU."""
    if placement.settled:
        memcpy(t.mask, placement.own, sizeof(t.mask))
        placement_enter(t)
        t.stops = NEAR_KEEP

cdef void placement_end() noexcept nogil:
    """Take back what holds the tracer itself."""
    if placement.settled:
        pyroot_tick(0)
        pyroot_mask_set(0, placement.own)
        placement.settled = False

cdef void placement_release(Tracee *t) noexcept nogil:
    """Let a tracee run where it wants again."""
    if t.near:
        pyroot_mask_set(t.tid, t.mask)
        placement_forget(t)

cdef inline void placement_stop(Tracee *t) noexcept nogil:
    """Count a stop; every sixteenth one looks at the clock."""
    cdef uint64_t now
    t.stops += 1
    if t.near or not placement.possible or t.far or t.stops < NEAR_STOPS:
        return
    now = pyroot_now()
    if now - t.since < NEAR_SPAN:
        placement_bring(t)
    t.since = now
    t.stops = 0

cdef void placement_tick() noexcept nogil:
    """Let go of those that hardly stopped since the last tick."""
    cdef int i = 0
    cdef Tracee *t
    global tick_waiting
    tick_waiting = 0
    while i < placement.count:
        t = tracee_get(placement.tids[i])
        if t != NULL and t.stops >= NEAR_KEEP:
            t.stops = 0
            i += 1
        elif t != NULL:
            placement_release(t)
        else:
            placement.count -= 1
            placement.tids[i] = placement.tids[placement.count]
    if placement.count == 0:
        placement_end()

cdef void feature_placement(Feature *f) noexcept nogil:
    f.begin = placement_prepare
    f.birth = placement_inherit
    f.exec = placement_renamed
    f.end = placement_forget
    f.line = placement_line

cdef void placement_renamed(Tracee *t, int old) noexcept nogil:
    """The thread that called execve has its leader's tid now."""
    cdef int i
    for i in range(placement.count if old != t.tid else 0):
        if placement.tids[i] == old:
            placement.tids[i] = t.tid

cdef int placement_line(Tracee *t, const char *line, int n, Text *out) noexcept nogil:
    """Show the guest's own affinity while it has another."""
    if not t.near:
        return 0
    if starts(line, b"Cpus_allowed:\t"):
        mask_hex(t, line, n, out)
        return 1
    if starts(line, b"Cpus_allowed_list:\t"):
        mask_list(t, out)
        return 1
    return 0

cdef void mask_hex(Tracee *t, const char *p, int n, Text *out) noexcept nogil:
    """Append the line with the digits of the guest's own affinity, which is kept here while it has another."""
    cdef size_t start = out.n
    cdef int i, nibble = 0
    text_add(out, p, n)
    if out.n != start + n:
        return
    for i in range(n - 1, 13, -1):
        if p[i] != c',':
            out.p[start + i] = b"0123456789abcdef"[t.mask[nibble // 16] >> (nibble % 16 * 4) & 15] if nibble < 256 else c'0'
            nibble += 1

cdef void mask_list(Tracee *t, Text *out) noexcept nogil:
    cdef int i = 0, first
    cdef char number[32]
    cdef bint more = False
    text_add(out, b"Cpus_allowed_list:\t", 19)
    while i < 1024:
        if not (t.mask[i // 64] >> (i % 64)) & 1:
            i += 1
            continue
        first = i
        while i < 1024 and (t.mask[i // 64] >> (i % 64)) & 1:
            i += 1
        text_add(out, number, snprintf(number, sizeof(number), b"%s%d", <const char *>(b"," if more else b""), first))
        if i - 1 > first:
            text_add(out, number, snprintf(number, sizeof(number), b"-%d", i - 1))
        more = True

cdef void placement_inherit(Tracee *child, Tracee *parent, int event, uint64_t flags) noexcept nogil:
    """A child has its parent's affinity; a new process is brought near together with its parent."""
    cdef bint thread = flags & CLONE_THREAD_ != 0
    child.far = parent.far
    if not thread and placement.possible and not parent.far:
        parent.stops += NEAR_KEEP
        if not parent.near:
            placement_bring(parent)
            if not child.far:
                placement_bring(child)
                child.stops = NEAR_KEEP
            return
    if parent.near:
        memcpy(child.mask, parent.mask, sizeof(child.mask))
        if placement.count < NEAR_MOST:
            placement_enter(child)
            child.stops = NEAR_KEEP
        else:
            pyroot_mask_set(child.tid, child.mask)

cdef int on_affinity(Tracee *t, const pyroot_row *row) noexcept nogil:
    """sched_getaffinity, sched_setaffinity: the guest's own masks are what it sees and what it sets."""
    cdef Tracee *target = t if t.call.args[0] == 0 else tracee_get(<int>t.call.args[0])
    if t.call.nr == NR_sched_setaffinity and is_keeper(t, <int>t.call.args[0]):
        return answer(t, -EPERM)
    if target != NULL:
        placement_release(target)
        if t.call.nr == NR_sched_setaffinity:
            target.far = True
        target.stops = 0
    return as_is(b"not about the supervisor")

cdef void loop_wake() noexcept nogil:
    """Have the loop look, in a handler.  The tick goes on until it does: this signal may have come just before the wait."""
    global signals_waiting
    signals_waiting = 1
    pyroot_tick(NEAR_TICK)
