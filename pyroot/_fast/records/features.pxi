# Features: what a session may have besides its view, one row of an ordered array each (pyroot/syscalls/features.py has the order).
#
# A feature is told of births, execs and ends of tracees, and may change what /proc says of them.  It may name calls that stop while it is
# on, have a say in what becomes of these, and refuse places.  A hook that a feature does not have is NULL.
# Which of those that are on look at calls or places is known when the session begins, so that a stop costs one test where none does.
#
# Decides: which hooks there are, and in what order they run: that of the array.

cdef enum:
    TAKE_NOT = -1000000      # the call is left to its handler
    PLACE_TEXT = 1           # of an open: the walk has another text by now, which the kernel is to be given

cdef struct Judged:          # what is asked of a place that is opened, beside the place
    uint64_t flags, mode
    uint64_t clears          # bits of the mode that the kernel is not to be given

cdef Judged judged

cdef struct Walk             # walk/place.pxi

ctypedef void (*FeatureBegin)(View *, const char *) noexcept nogil
ctypedef void (*FeatureClose)() noexcept nogil
ctypedef void (*FeatureBirth)(Tracee *, Tracee *, int, uint64_t) noexcept nogil
ctypedef void (*FeatureExec)(Tracee *, int) noexcept nogil
ctypedef void (*FeatureEnd)(Tracee *) noexcept nogil
ctypedef int (*FeatureLine)(Tracee *, const char *, int, Text *) noexcept nogil
ctypedef int (*FeatureTake)(Tracee *, const pyroot_row *) noexcept nogil
ctypedef int (*FeatureCall)(Tracee *, const pyroot_row *, int) noexcept nogil
ctypedef int (*FeatureJudge)(Tracee *, const pyroot_row *, Walk *) noexcept nogil

cdef struct Feature:
    FeatureBegin begin       # (view, text): before the first guest; the text is what the feature was switched on with, or NULL
    FeatureClose close       # (): the session is over
    FeatureBirth birth       # (child, parent, event, flags): the child has its records, and has not begun
    FeatureExec exec         # (tracee, tid): it has executed a program; its thread had the tid before
    FeatureEnd end           # (tracee): it is gone
    FeatureLine line         # (whose, line, length, out): a line of /proc/PID/status; 1 if another one has been written to ``out``
    FeatureTake take         # (tracee, row): one of its calls, which nobody has handled; returns what becomes of it, or TAKE_NOT
    FeatureCall call         # (tracee, row, outcome): one of its calls has been handled, and goes on; returns what becomes of it
    FeatureJudge judge       # (tracee, row, walk): a place that a call names; 0, the -errno that it gets, or PLACE_TEXT

cdef struct Features:
    Feature all[PYROOT_FEATURES]
    const char *name[PYROOT_FEATURES]
    const char *text[PYROOT_FEATURES]    # what those are switched on with that the user chooses; NULL: they are not
    uint32_t takes, calls, judges    # those that may be on in some view and have such hooks, a bit each
    const char *failed       # why the session cannot begin, NULL: it can

cdef Features features

cdef void features_begin(View *v) noexcept nogil:
    """Start those that are on, of which the view tells (v.features)."""
    cdef int i
    features.takes = features.calls = features.judges = 0
    features.failed = NULL
    for i in range(PYROOT_FEATURES):
        if features.all[i].begin != NULL:
            features.all[i].begin(v, features.text[i])
        if features.text[i] != NULL:
            v.features |= <uint32_t>1 << i
    features_serve(v)

cdef void features_serve(const View *v) noexcept nogil:
    """Let the hooks of a view's features run from now on."""
    cdef int i
    for i in range(PYROOT_FEATURES):
        if v.features >> i & 1 and features.all[i].take != NULL:
            features.takes |= <uint32_t>1 << i
        if v.features >> i & 1 and features.all[i].call != NULL:
            features.calls |= <uint32_t>1 << i
        if v.features >> i & 1 and features.all[i].judge != NULL:
            features.judges |= <uint32_t>1 << i

cdef void features_close() noexcept nogil:
    cdef int i
    for i in range(PYROOT_FEATURES):
        if features.all[i].close != NULL:
            features.all[i].close()

cdef int feature_named(const char *name) noexcept nogil:
    """Return the number of a feature, -1 if there is none of that name."""
    cdef int i
    for i in range(PYROOT_FEATURES):
        if strcmp(features.name[i], name) == 0:
            return i
    return -1

cdef bint features_chosen() noexcept nogil:
    """Say whether the user has switched one on."""
    cdef int i
    for i in range(PYROOT_FEATURES):
        if features.text[i] != NULL:
            return True
    return False

cdef void features_birth(Tracee *child, Tracee *parent, int event, uint64_t flags) noexcept nogil:
    cdef int i
    for i in range(PYROOT_FEATURES):
        if features.all[i].birth != NULL:
            features.all[i].birth(child, parent, event, flags)

cdef void features_exec(Tracee *t, int old) noexcept nogil:
    cdef int i
    for i in range(PYROOT_FEATURES):
        if features.all[i].exec != NULL:
            features.all[i].exec(t, old)

cdef void features_end(Tracee *t) noexcept nogil:
    cdef int i
    for i in range(PYROOT_FEATURES):
        if features.all[i].end != NULL:
            features.all[i].end(t)

cdef bint features_line(Tracee *t, const char *line, int n, Text *out) noexcept nogil:
    """Say whether a feature has written its own line for one of /proc/PID/status."""
    cdef int i
    for i in range(PYROOT_FEATURES):
        if features.all[i].line != NULL and features.all[i].line(t, line, n, out) != 0:
            return True
    return False

cdef int features_take(Tracee *t, const pyroot_row *row) noexcept nogil:
    """Offer each feature that is on and lists the call the whole of it; R_* (edit/answer.pxi) or TAKE_NOT."""
    cdef int i, outcome
    for i in range(PYROOT_FEATURES):
        if row.features & features.takes & <uint32_t>1 << i:
            outcome = features.all[i].take(t, row)
            if outcome != TAKE_NOT:
                return outcome
    return TAKE_NOT

cdef int features_call(Tracee *t, const pyroot_row *row, int outcome) noexcept nogil:
    """Give each feature that is on and lists the call a say; outcomes are R_* (edit/answer.pxi)."""
    cdef int i
    for i in range(PYROOT_FEATURES):
        if row.features & features.calls & <uint32_t>1 << i and not t.call.answered:
            outcome = features.all[i].call(t, row, outcome)
    return outcome

cdef int features_judge(Tracee *t, const pyroot_row *row, Walk *w) noexcept nogil:
    """Ask them of a place; 0, the -errno of the first that refuses it, or PLACE_TEXT."""
    cdef int i, error, result = 0
    for i in range(PYROOT_FEATURES):
        if (row.features | row.asked) & features.judges & <uint32_t>1 << i:
            error = features.all[i].judge(t, row, w)
            if error < 0:
                return error
            result = error if error > 0 else result
    return result
