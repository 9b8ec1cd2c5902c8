# The session: what holds for all tracees of one run, set when it begins and read everywhere.

cdef struct Session:
    int main_tid
    int main_status
    bint main_done
    bint kill_on_exit
    int front                # the process that the caller waits for in our place, 0 none (pyroot/leaving.py)
    bint front_stopped       # as the command is
    bint new_session         # the command is to have a session of its own, of setsid(2)
    bint seccomp             # the filter is installed; otherwise every call stops twice
    bint killing
    bint no_gate             # no call is answered inside the guest (PYROOT_NO_GATE)
    bint tracing             # calls are recorded (trace.pxi)
    bint bare                # processes that are traced and nothing else (tracing_attach)
    bint entries             # calls stop at their entries: every one (no filter), or those of some tracees (tap.pxi)
    bint judging             # stops come for calls that the filter would let through: it is asked again, in software

cdef Session session
cdef volatile int signals_waiting = 0
cdef int TRACE_OPTIONS = (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC
                          | PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL)

cdef int nesting = 0         # how many pyroots are around this one

cdef bint privileged = False    # the kernel would not refuse mount(2) and its like

cdef uint64_t proc_dev = 0       # of the host's /proc, which every view shows


class CoreError(Exception):
    """Say that the supervisor itself could not do its work (ptrace refused, no memory); the guest is gone."""
