# Who a task is: ids, groups and capabilities of the session's own, with the kernel's rules (credentials(7), capabilities(7)).
#
# The kernel sees one ordinary user; what guests are told, and may do to each other, is by the records (records/cred.pxi).  Switched on with
# who the command is and whose the user's own files are: "UID:GID:GROUP,GROUP:OWNER:GROUP".
#
# Decides: which call is whose business in this folder, what a session begins with, and what /proc/PID/status says.

include "ids/ids_rules.pxi"
include "ids/ids_calls.pxi"
include "ids/ids_caps.pxi"
include "ids/ids_exec.pxi"
include "ids/ids_processes.pxi"
include "ids/ids_sockets.pxi"

cdef int setting_read(const char *file, int otherwise) noexcept nogil:
    """Read a number of /proc/sys."""
    cdef char text[64]
    cdef int fd = c_open(file, O_RDONLY | O_CLOEXEC), value = otherwise
    cdef ssize_t n
    if fd >= 0:
        n = c_read(fd, text, sizeof(text) - 1)
        text[n if n > 0 else 0] = 0
        parse_pid(text, &value)
        c_close(fd)
    return value

cdef int kernel_version() noexcept nogil:
    cdef char text[64]
    cdef char *end
    cdef int fd = c_open(b"/proc/sys/kernel/osrelease", O_RDONLY | O_CLOEXEC)
    cdef ssize_t n
    cdef int major
    if fd < 0:
        return 0
    n = c_read(fd, text, sizeof(text) - 1)
    text[n if n > 0 else 0] = 0
    c_close(fd)
    major = <int>strtoul(text, &end, 10)
    return major * 1000 + <int>strtoul(end + 1, NULL, 10) if end[0] == c'.' else 0

cdef const char *ids_text(const char *text, Cred *c) noexcept nogil:
    """Read UID:GID:GROUPS into a record; return what follows."""
    cdef char *end
    cdef uint32_t ids[2]
    cdef int i, n = 0
    cdef Groups *g
    for i in range(2):
        ids[i] = <uint32_t>strtoul(text, &end, 10)
        text = end + (end[0] == c':')
    for i in range(4):
        c.uid[i] = ids[0]
        c.gid[i] = ids[1]
    c.groups = g = groups_new(<int>strlen(text) + 1)
    while g != NULL and text[0] != 0 and text[0] != c':':
        group_list(g)[n] = <uint32_t>strtoul(text, &end, 10)
        n += 1
        text = end + (end[0] == c',')
        if end[0] != c',' and end[0] != c':':
            break
    if g != NULL:
        g.n = n
        groups_sort(group_list(g), n)
    return text + 1 if text[0] == c':' else text

cdef void ids_begin(View *v, const char *text) noexcept nogil:
    global exec_cred, sockets_pass, gate_serves
    cdef Cred c
    cdef char *end
    cdef int i
    creds.on = text != NULL
    exec_cred = NULL
    if creds.on:
        exec_cred = ids_plan
    cred_drop(creds.first)
    creds.first = NULL
    if not creds.on:
        return
    sockets_pass = False
    notes_forget()
    creds.known = (<uint64_t>2 << setting_read(b"/proc/sys/kernel/cap_last_cap", 40)) - 1
    creds.suid_dumpable = setting_read(b"/proc/sys/fs/suid_dumpable", 0)
    creds.kernel = kernel_version()
    memset(&c, 0, sizeof(c))
    text = ids_text(text, &c)
    creds.owner_uid = <uint32_t>strtoul(text, &end, 10)
    creds.owner_gid = <uint32_t>strtoul(end + 1, NULL, 10) if end[0] == c':' else 0
    c.caps[CAPS_BOUNDING] = creds.known
    for i in range(CAPS_PERMITTED, CAPS_EFFECTIVE + 1):
        c.caps[i] = creds.known if c.uid[0] == 0 else 0
    creds.first = cred_new(&c)
    groups_drop(c.groups)
    if gate != NULL:
        gate_serves |= FEATURE_IDS
    if creds.first == NULL:
        pyroot_lose(ENOMEM, -1, b"the ids of the session")

cdef void ids_birth(Tracee *child, Tracee *parent, int event, uint64_t flags) noexcept nogil:
    if parent.cred != NULL:
        child.cred = parent.cred
        child.cred.refs += 1

cdef void ids_end(Tracee *t) noexcept nogil:
    if creds.on and t.tid == t.tgid:
        note_ids(t.tgid, NOTE_ENDS, cred_of(t).uid[ID_REAL], cred_of(t).gid[ID_REAL])
    cred_drop(t.cred)
    t.cred = NULL

# -- calls --------------------------------------------------------------------------------------------------------------------------

cdef int ids_first(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Calls about ids and capabilities are answered; those about other processes are judged."""
    cdef uint64_t nr = t.call.nr
    cdef const Cred *c = cred_of(t)
    cdef bint narrow = ids_narrow(t, row)
    cdef long result
    if nr == NR_getuid or nr == NR_geteuid:
        return answer(t, id_told(c.uid[ID_REAL if nr == NR_getuid else ID_EFFECTIVE], narrow))
    if nr == NR_getgid or nr == NR_getegid:
        return answer(t, id_told(c.gid[ID_REAL if nr == NR_getgid else ID_EFFECTIVE], narrow))
    if nr == NR_getresuid or nr == NR_getresgid:
        return answer(t, ids_tell(t, &c.uid[0] if nr == NR_getresuid else &c.gid[0], narrow))
    if nr == NR_getgroups:
        return answer(t, groups_tell(t, narrow))
    if nr == NR_setuid or nr == NR_setreuid or nr == NR_setresuid:
        return answer(t, user_ids(t, narrow))
    if nr == NR_setgid or nr == NR_setregid or nr == NR_setresgid:
        return answer(t, group_ids(t, narrow))
    if nr == NR_setfsuid or nr == NR_setfsgid:
        return answer(t, file_ids(t, narrow))
    if nr == NR_setgroups:
        return answer(t, groups_set(t, narrow))
    if nr == NR_capset:
        return answer(t, caps_take(t))
    if nr == NR_capget or nr == NR_prctl:
        result = caps_tell(t) if nr == NR_capget else caps_option(t)
        return TAKE_NOT if result == NOT_MINE else answer(t, result)
    if nr == NR_kcmp or nr == NR_get_robust_list:
        return looks_judge(t)
    if is_priority(nr):
        return priority_judge(t)
    return sockets_first(t)

cdef inline bint is_priority(uint64_t nr) noexcept nogil:
    return (nr == NR_setpriority or nr == NR_ioprio_set or nr == NR_sched_setparam or nr == NR_sched_setscheduler
            or nr == NR_sched_setattr)

cdef uint64_t socket_call(Tracee *t, uint64_t *args) noexcept nogil:
    """Return the number of a call on a socket with its arguments, also if it is a sub-call of socketcall(2)."""
    cdef uint32_t words[5]
    cdef int which
    memcpy(args, t.call.args, 6 * sizeof(uint64_t))
    if not t.call.compat or t.call.number != COMPAT_NR_socketcall:
        return t.call.nr
    # (its handler has put the arguments of the sub-call in the place of its own)
    which = <int>t.call.full[0]
    memset(words, 0, sizeof(words))
    if mem_read(t.tid, <uint32_t>t.call.full[1], words, (2 if which == 4 else 5 if which == 14 or which == 15 else 3) * 4) < 0:
        return <uint64_t>-1
    for which in range(5):
        args[which] = words[which]
    which = <int>t.call.full[0]
    if which == 3:
        return NR_connect
    if which == 4:
        return NR_listen
    if which == 8:
        return NR_socketpair
    if which == 14:
        return NR_setsockopt
    if which == 15:
        return NR_getsockopt
    if which == 16:
        return NR_sendmsg
    if which == 17:
        return NR_recvmsg
    return NR_recvmmsg if which == 19 else NR_sendmmsg if which == 20 else <uint64_t>-1

cdef int sockets_first(Tracee *t) noexcept nogil:
    cdef uint64_t args[6]
    cdef uint64_t i, nr = socket_call(t, args)
    cdef int outcome
    if nr == NR_listen or nr == NR_connect or nr == NR_socketpair:
        note_end(t, NOTE_LISTENS if nr == NR_listen else NOTE_CONNECTS)
        return TAKE_NOT
    if nr == NR_getsockopt and args[1] == SOL_SOCKET_ and args[2] == SO_PEERGROUPS_:
        return peer_groups(t, args)
    if nr == NR_sendmsg:
        return ids_sent(t, <int>args[0], args[1])
    if nr == NR_sendmmsg:
        for i in range(args[2] if args[2] < AFTERS - 2 else AFTERS - 2):
            outcome = ids_sent(t, <int>args[0], message_at(t, args[1], i))
            if outcome != TAKE_NOT:
                return outcome
        return TAKE_NOT
    return signals_judge(t)

cdef int ids_call(Tracee *t, const pyroot_row *row, int outcome) noexcept nogil:
    """What is told at a call's end, and what the kernel refuses us."""
    cdef uint64_t args[6]
    cdef uint64_t nr = t.call.nr
    if is_priority(nr):
        return priority_forgive(t, outcome)
    nr = socket_call(t, args)
    if nr == NR_getsockopt:
        return peer_asked(t, args, outcome)
    if nr == NR_setsockopt:
        return option_set(t, args, t.call.nr == NR_setsockopt, outcome)
    if nr == NR_recvmsg or nr == NR_recvmmsg:
        return ids_awaited(t, args[1], nr == NR_recvmmsg, outcome)
    return outcome

# -- /proc --------------------------------------------------------------------------------------------------------------------------

cdef int ids_line(Tracee *t, const char *line, int n, Text *out) noexcept nogil:
    """Tell who a task is."""
    cdef const Cred *c = cred_of(t)
    cdef const uint32_t *ids = NULL
    cdef char text[80]
    cdef int i, which
    if not creds.on or is_peer(t):
        return 0
    if starts(line, b"Uid:\t"):
        ids = &c.uid[0]
    elif starts(line, b"Gid:\t"):
        ids = &c.gid[0]
    if ids != NULL:
        text_add(out, text, snprintf(text, sizeof(text), b"%.3s:\t%u\t%u\t%u\t%u", line, ids[0], ids[1], ids[2], ids[3]))
        return 1
    if starts(line, b"Groups:\t"):
        text_add(out, b"Groups:\t", 8)
        for i in range(c.groups.n if c.groups != NULL else 0):
            text_add(out, text, snprintf(text, sizeof(text), b"%u ", group_list(c.groups)[i]))
        if c.groups == NULL or c.groups.n == 0:
            text_add(out, b" ", 1)
        return 1
    if starts(line, b"NoNewPrivs:\t"):
        text_add(out, text, snprintf(text, sizeof(text), b"NoNewPrivs:\t%d", c.no_new_privs))
        return 1
    which = caps_line(line)
    if which < 0:
        return 0
    text_add(out, text, snprintf(text, sizeof(text), b"%.6s:\t%016lx", line, c.caps[which]))
    return 1

cdef int caps_line(const char *line) noexcept nogil:
    """Return the set of capabilities that a line of /proc/PID/status tells, -1 for none."""
    if starts(line, b"CapInh:\t"):
        return CAPS_INHERITABLE
    if starts(line, b"CapPrm:\t"):
        return CAPS_PERMITTED
    if starts(line, b"CapEff:\t"):
        return CAPS_EFFECTIVE
    if starts(line, b"CapBnd:\t"):
        return CAPS_BOUNDING
    return CAPS_AMBIENT if starts(line, b"CapAmb:\t") else -1

cdef void feature_ids(Feature *f) noexcept nogil:
    f.begin = ids_begin
    f.birth = ids_birth
    f.exec = ids_exec
    f.end = ids_end
    f.line = ids_line
    f.take = ids_first
    f.call = ids_call
