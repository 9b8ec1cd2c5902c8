# ptrace(2) across sessions: a guest traces one that the supervisor of another session of its root traces (peers.pxi).
#
# A task has one tracer, so the supervisor of the tracee does what the tracer asks for, as among its own guests, and the supervisor of the
# tracer stands between: it sends requests, with the memory that they read, and writes into the tracer's memory what comes back.  Stops,
# births and deaths are sent the other way.  There the tracee is a stand-in (a Tracee in no table, with a Ptrace that says so), which waits
# (ptrace_wait.pxi) take for any tracee.  Here, at the tracee, its Ptrace has a `far`, and its tracer is in no table.
#
# One that waits for an answer serves what it is asked meanwhile, and waits for RELAY_PATIENCE at most, so that no session can hang because
# of another.
#
# Decides: how a request travels, and what becomes of tracees when one of the two sessions ends.

# -- the tracer's side -----------------------------------------------------------------------------------------------------------

cdef Ptrace *standin_numbered(Link *link, int id) noexcept nogil:
    cdef Ptrace *trace = traces.first
    while trace != NULL and not (trace.standin and trace.far == link and trace.far_id == id):
        trace = trace.next
    return trace

cdef Ptrace *standin_new(Link *link, const RelayHead *head) noexcept nogil:
    cdef Tracee *t = <Tracee *>calloc(1, sizeof(Tracee))
    cdef Ptrace *trace = <Ptrace *>calloc(1, sizeof(Ptrace))
    if t == NULL or trace == NULL:
        free(t)
        free(trace)
        return NULL
    t.tid = head.pid
    t.tgid = head.tgid
    t.ptrace = trace
    trace.t = t
    trace.tracer = head.tracer
    trace.tracer_tgid = head.tracer_tgid
    trace.seized = head.seized
    trace.uid = head.uid
    trace.pgid = head.pgid
    trace.far = link
    trace.far_id = head.id
    trace.standin = True
    ptrace_append(trace)
    return trace

cdef void standin_free(Ptrace *trace) noexcept nogil:
    cdef Tracee *t = trace.t
    ptrace_take(trace)
    free(trace)
    free(t)

cdef void standin_leave(Ptrace *trace) noexcept nogil:
    """The tracer is dead."""
    relay_tell(RELAY_LEAVE, trace)
    standin_free(trace)

cdef bint lets_go(uint64_t request) noexcept nogil:
    return (request == PTRACE_CONT or request == PTRACE_SYSCALL or request == PTRACE_SINGLESTEP or request == PTRACE_SINGLEBLOCK_
            or request == PTRACE_SYSEMU_ or request == PTRACE_DETACH or request == PTRACE_LISTEN)

cdef long relay_request(Tracee *t, uint64_t request, int pid) noexcept nogil:
    """A request of a guest about a guest of another session.  1 << 40: it is not one."""
    cdef Ptrace *trace = standin_of(pid)
    cdef Link *link
    cdef RelayHead answer
    cdef bint waitable, attaches = request == PTRACE_ATTACH or request == PTRACE_SEIZE
    cdef int stopped
    cdef long result
    if trace == NULL:
        if not attaches or peer_of(t.view, pid, False) == NULL:
            return RELAY_NONE
        link = relay_to(status_field(pid, b"TracerPid:\t"))
        if link == NULL:
            return -EPERM
        relay_begin(RELAY_ASK, NULL)
    else:
        if attaches:
            return -EPERM
        if trace.tracer != t.tid:
            return -ESRCH
        link = trace.far
        relay_begin(RELAY_ASK, trace)
    relay_out.head.pid = pid
    relay_out.head.tracer = t.tid
    relay_out.head.tracer_tgid = t.tgid
    memcpy(relay_out.head.args, t.call.args, sizeof(t.call.args))
    relay_inputs(t, request)
    if trace != NULL and lets_go(request):
        # its next stop may be told before the answer
        stopped = trace.stopped
        waitable = trace.waitable
        trace.stopped = LISTENS if request == PTRACE_LISTEN else RUNS
        trace.waitable = trace.waitable and request == PTRACE_LISTEN
        result = relay_exchange(t, link, &answer)
        if result < 0 and standin_of(pid) == trace and trace.stopped != STOPPED:
            trace.stopped = stopped
            trace.waitable = waitable
        elif result == 0 and request == PTRACE_DETACH and standin_of(pid) == trace:
            standin_free(trace)
        return result
    result = relay_exchange(t, link, &answer)
    if result == 0 and attaches:
        become_tracer(t, t)
    return result

cdef enum:
    RELAY_NONE = 1048576     # no result of a request

cdef void relay_begin(int what, const Ptrace *trace) noexcept nogil:
    memset(&relay_out.head, 0, sizeof(RelayHead))
    relay_out.n = 0
    relay_out.head.what = what
    if trace != NULL:
        relay_out.head.id = trace.far_id
        relay_out.head.pid = trace.t.tid
        relay_out.head.tgid = trace.t.tgid
        relay_out.head.tracer = trace.tracer
        relay_out.head.tracer_tgid = trace.tracer_tgid
        relay_out.head.uid = trace.uid
        relay_out.head.pgid = trace.pgid
        relay_out.head.seized = trace.seized
        relay_out.head.waitable = trace.waitable

cdef void relay_tell(int what, const Ptrace *trace) noexcept nogil:
    """Send a message that says no more than whom it is about."""
    relay_begin(what, trace)
    relay_send(trace.far, &relay_out)

cdef void relay_inputs(Tracee *t, uint64_t request) noexcept nogil:
    """Put the memory into the message that a request reads."""
    cdef uint64_t addr = t.call.args[2], data = t.call.args[3]
    cdef iovec vector
    cdef bint takes = False
    cdef int size = machine_request(request, &takes)
    if takes:
        relay_input(t, data, size)
    elif request == PTRACE_GETREGSET_ or request == PTRACE_SETREGSET_:
        relay_input(t, data, sizeof(iovec))
        if request == PTRACE_SETREGSET_ and mem_read(t.tid, data, &vector, sizeof(vector)) == 0:
            relay_input(t, <uint64_t>vector.iov_base, vector.iov_len if vector.iov_len < REGSET_MOST else REGSET_MOST)
    elif request == PTRACE_SETSIGINFO:
        relay_input(t, data, sizeof(Info))
    elif request == PTRACE_SETSIGMASK_:
        relay_input(t, data, 8)
    elif request == PTRACE_PEEKSIGINFO_:
        relay_input(t, addr, sizeof(PeekArguments))

cdef void relay_input(Tracee *t, uint64_t address, size_t size) noexcept nogil:
    """(What cannot be read is left out, and the request fails as it would here.)"""
    if relay_out.n + sizeof(RelayPart) + size <= RELAY_MOST and mem_read(
            t.tid, address, relay_out.data + relay_out.n + sizeof(RelayPart), size) == 0:
        relay_part(address, NULL, size)

cdef void relay_part(uint64_t address, const void *bytes, size_t size) noexcept nogil:
    """Append a piece of memory; NULL: its bytes are there."""
    cdef RelayPart part
    part.address = address
    part.size = size
    memcpy(relay_out.data + relay_out.n, &part, sizeof(part))
    if bytes != NULL:
        memcpy(relay_out.data + relay_out.n + sizeof(part), bytes, size)
    relay_out.n += sizeof(part) + size
    relay_out.head.parts += 1

cdef long relay_exchange(Tracee *t, Link *link, RelayHead *answer) noexcept nogil:
    """Send a request and wait for what comes back; meanwhile others are served."""
    cdef View *v = W1.v
    cdef Await a
    cdef int turns = 0
    cdef long result = -ESRCH
    relay.sequence += 1
    a.outer = relay.awaits
    a.link = link
    a.sequence = relay_out.head.sequence = relay.sequence
    a.answer = NULL
    relay.awaits = &a
    if relay_send(link, &relay_out):
        while a.answer == NULL and not link.broken and turns * RELAY_SLICE < RELAY_PATIENCE:
            turns += 0 if pyroot_relay_wait(link.fd, RELAY_SLICE) else 1
            relay_look()
    relay.awaits = a.outer
    view_use(v)
    if a.answer != NULL:
        memcpy(answer, &a.answer.head, sizeof(RelayHead))
        result = relay_outputs(t, a.answer)
    free(a.answer)
    return result

cdef bint relay_answered(Link *link) noexcept nogil:
    """Keep an answer for the request that waits for it; the stops of a new tracee may follow at once."""
    cdef Await *a = relay.awaits
    while a != NULL and not (a.link == link and a.sequence == relay_in.head.sequence):
        a = a.outer
    if a == NULL or a.answer != NULL:
        return False
    if relay_in.head.id != 0 and relay_in.head.result == 0 and standin_new(link, &relay_in.head) == NULL:
        return False
    a.answer = <RelayMessage *>malloc(sizeof(RelayMessage))
    if a.answer == NULL:
        return False
    memcpy(&a.answer.head, &relay_in.head, sizeof(RelayHead))
    memcpy(a.answer.data, relay_in.data, relay_in.n)
    a.answer.n = relay_in.n
    return True

cdef long relay_outputs(Tracee *t, RelayMessage *answer) noexcept nogil:
    """Give the tracer what came back."""
    cdef RelayPart part
    cdef size_t at = 0
    cdef int i
    for i in range(answer.head.parts):
        if at + sizeof(part) > answer.n:
            return -EIO
        memcpy(&part, answer.data + at, sizeof(part))
        at += sizeof(part)
        if part.size > answer.n - at:
            return -EIO
        if mem_write(t.tid, part.address, answer.data + at, part.size) < 0:
            return -EFAULT
        at += part.size
    return answer.head.result

# -- the tracee's side -------------------------------------------------------------------------------------------------------------

cdef ssize_t tracer_read(Tracee *t, uint64_t address, void *to, size_t size) noexcept nogil:
    """Read memory of a tracer: its own, or what has come with its request."""
    cdef RelayPart part
    cdef size_t at = 0
    cdef int i
    if t != &relay_tracer:
        return mem_read(t.tid, address, to, size)
    for i in range(relay_in.head.parts):
        if at + sizeof(part) > relay_in.n:
            break
        memcpy(&part, relay_in.data + at, sizeof(part))
        at += sizeof(part)
        if part.size > relay_in.n - at:
            break
        if part.address == address and size <= part.size:
            memcpy(to, relay_in.data + at, size)
            return 0
        at += part.size
    return -EFAULT

cdef ssize_t tracer_write(Tracee *t, uint64_t address, const void *bytes, size_t size) noexcept nogil:
    if t != &relay_tracer:
        return mem_write(t.tid, address, bytes, size)
    if relay_out.n + sizeof(RelayPart) + size > RELAY_MOST:
        return -EFAULT
    relay_part(address, bytes, size)
    return 0

cdef void relay_handle(Link *link) noexcept nogil:
    """Do what the message in ``relay_in`` says."""
    cdef RelayHead head
    cdef Ptrace *trace
    memcpy(&head, &relay_in.head, sizeof(head))
    if head.what == RELAY_ASK:
        relay_serve(link, &head)
        return
    if head.what == RELAY_LEAVE:
        trace = traces.first
        while trace != NULL and not (trace.far == link and not trace.standin and trace.far_id == head.id):
            trace = trace.next
        if trace != NULL:
            trace.far = NULL
            ptrace_let_go(trace, head.waitable)
        return
    if head.what == RELAY_BORN:
        if tracee_get(head.tracer) != NULL:
            standin_new(link, &head)
        return
    trace = standin_numbered(link, head.id)
    if head.what == RELAY_ANSWER:
        if not relay_answered(link) and head.id != 0 and trace == NULL:
            # nobody has waited for this tracee
            relay_begin(RELAY_LEAVE, NULL)
            relay_out.head.id = head.id
            relay_send(link, &relay_out)
        return
    if trace == NULL:
        return
    trace.t.tid = head.pid
    trace.t.tgid = head.tgid
    trace.pgid = head.pgid
    if head.what == RELAY_STOP:
        trace.stopped = STOPPED
        trace.waitable = True
        trace.code = head.code
        memcpy(trace.used, head.used, sizeof(trace.used))
        tracer_notify(trace.tracer, head.pid, head.uid, head.why, head.status)
    elif head.what == RELAY_DEAD:
        memcpy(traces.used, head.used, sizeof(traces.used))
        zombie_make(trace.t, head.status)
        standin_free(trace)
    elif head.what == RELAY_FORGET:
        standin_free(trace)

cdef void relay_serve(Link *link, const RelayHead *head) noexcept nogil:
    """Do a request for a tracer of another session, and answer."""
    cdef Tracee *t = &relay_tracer
    cdef Tracee *target = tracee_get(head.pid)
    cdef uint64_t request = head.args[0]
    cdef long result = -ESRCH
    memset(t, 0, sizeof(Tracee))
    t.tid = head.tracer
    t.tgid = head.tracer_tgid
    t.view = views.base
    memcpy(t.call.args, head.args, sizeof(t.call.args))
    relay_begin(RELAY_ANSWER, NULL)
    if target != NULL and target.state != T_ORPHAN:
        view_use(target.view)
        if request == PTRACE_ATTACH or request == PTRACE_SEIZE:
            result = ptrace_attach(t, target, request == PTRACE_SEIZE, t.call.args[2], t.call.args[3])
            if result == 0:
                relay_number(target.ptrace, link)
        elif target.ptrace != NULL and target.ptrace.far == link:
            result = ptrace_ask(t, target, request)
    if lets_go(request):
        # it has gone on, and may have had something to say
        relay_begin(RELAY_ANSWER, NULL)
    relay_out.head.sequence = head.sequence
    relay_out.head.result = result
    relay_send(link, &relay_out)

cdef void relay_number(Ptrace *trace, Link *link) noexcept nogil:
    """The tracer of a tracee is in another session; the answer tells it which tracee that is."""
    relay.last_id += 1
    trace.far = link
    trace.far_id = relay.last_id
    relay_begin(RELAY_ANSWER, trace)

cdef void relay_stop(Ptrace *trace, int why, int status) noexcept nogil:
    """Tell the tracer's session of a stop."""
    relay_begin(RELAY_STOP, trace)
    relay_out.head.code = trace.code
    relay_out.head.why = why
    relay_out.head.status = status
    memcpy(relay_out.head.used, trace.used, sizeof(trace.used))
    relay_send(trace.far, &relay_out)

cdef void relay_dead(Ptrace *trace, int status) noexcept nogil:
    relay_begin(RELAY_DEAD, trace)
    relay_out.head.status = status
    memcpy(relay_out.head.used, traces.used, sizeof(traces.used))
    relay_send(trace.far, &relay_out)

cdef void relay_inherit(Tracee *child, Ptrace *trace) noexcept nogil:
    """A tracee's child has its tracer, too."""
    memset(&relay_tracer, 0, sizeof(Tracee))
    relay_tracer.tid = trace.tracer
    relay_tracer.tgid = trace.tracer_tgid
    if ptrace_link(child, &relay_tracer, trace.seized, trace.options) == NULL:
        return
    child.ptrace.inherited = True
    relay_number(child.ptrace, trace.far)
    relay_out.head.what = RELAY_BORN
    relay_send(trace.far, &relay_out)
