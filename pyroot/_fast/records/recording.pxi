# What `pyroot trace` has asked for, and the call that is being recorded.  Who records: watch/trace.pxi.

cdef enum:
    TRACE_NUMBERS = 1024     # more than there are calls, of both ABIs
    TRACE_READS = 4          # pieces of memory that a plan reads at the entry, and as many at the exit
    TRACE_PROGRAM = 4096     # BPF_MAXINSNS
    READ_STRING = 1          # up to its end, at most ``size`` bytes
    READ_FIXED = 2           # ``size`` bytes
    READ_COUNTED = 3         # as many as argument ``by`` says times ``scale``, at most ``size``
    READ_RESULT = 4          # as many as the result says times ``scale``, at most ``size``
    SOCKETCALLS = 1000       # from here on: plans for the sub-calls of socketcall(2)
    TRACE_WORDS = 4096
    PEEK_MOST = 1 << 24

cdef struct TraceRead:
    int kind, arg, by, scale
    uint32_t size

cdef struct TracePlan:
    bint selected
    bint early               # the sink reads memory itself, at the entry
    int n_in, n_out
    TraceRead reads_in[TRACE_READS]
    TraceRead reads_out[TRACE_READS]

cdef struct Tracing:
    TracePlan plans[2][TRACE_NUMBERS]    # native, 32-bit
    sock_filter program[TRACE_PROGRAM]
    int length               # of its own part, before the session's filter
    bint follow              # children are traced too
    bint watched             # somebody looks on: calls that last are shown when they begin
    bint times               # the sink wants the time that each call used
    int64_t epoch            # ns between the two clocks
    Tracee *open             # its entry has not been shown yet, and nothing else has happened since
    bint failed              # the sink raised: nothing is recorded from then on

cdef Tracing tracing

cdef void trace_drop(Tracee *t) noexcept with gil:
    """Forget the record of a call."""
    if t.record != NULL:
        Py_DECREF(<object>t.record)
        t.record = NULL
    if tracing.open == t:
        tracing.open = NULL
