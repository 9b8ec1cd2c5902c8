# What becomes of a call: it goes on as it stands, runs with other arguments, is answered, or is made again.
#
# Decides: the ways there are.  Which of them a call takes is decided by its handler.

cdef enum:
    R_CONT = 0               # let the call run
    R_EXIT = 1               # let it run, stop at its exit
    R_DEAD = 2               # the tracee is gone; a wait status will follow
    TR_PASS = 0              # the kernel finds the guest's own text where we have: it is given a copy, so that it is what was looked at
    TR_TEXT = 1              # w.h is what the kernel is to be given
    TR_WAY = 2               # of an open: the relative path as it is, if it meets no link
    TR_FAULT = 3             # the text cannot be read: the kernel must not read it either
    TR_BADF = 4              # a relative path, and the number is not an open descriptor ...
    TR_NOTDIR = 5            # ... or not that of a directory, whatever the number means by the time of the call
    # what there is to a path argument
    PATH_ONLY = 0
    PATH_OPENS = 1           # the result is a descriptor of what it names
    PATH_STAT = 2            # the result has the number of links
    PATH_STATX = 3           # ... and tells whether it is a mount root
    PATH_MOUNT = 4           # ... and which
    PATH_HANDLE = 5          # the same with a file handle
    AT_SYMLINK_FOLLOW_ = 0x400
    AT_REMOVEDIR_ = 0x200

cdef inline int as_is(const char *why) noexcept nogil:
    """Let the call be made untranslated; ``why`` says what makes that safe.  tests/test_as_is.py counts the places."""
    return R_CONT

cdef int answer(Tracee *t, long result) noexcept nogil:
    """Skip the call with this result.  It has no end."""
    after_drop(t)
    return R_DEAD if reg_answer(t, result) < 0 else R_CONT

cdef int fault_argument(Tracee *t, int arg) noexcept nogil:
    """Let the call run with this argument pointing nowhere."""
    edit_start()
    edit_fault(arg)
    return finish_edit(t)

cdef int finish_edit(Tracee *t) noexcept nogil:
    """Let the call run with what has been edited, and to its end if something is to be done then."""
    cdef int result
    if edit.faults and edit.len == 0:
        return commit_fault(t)
    result = edit_commit(t)
    if result == -ESRCH:
        return R_DEAD
    if result == -ENOMEM and not t.ptraces:
        # no slot is left, and those that have them run: one of them will stop
        after_drop(t)
        return call_later(t)
    if result < 0:
        return answer(t, result)
    return R_EXIT if t.call.afters > 0 else R_CONT

cdef int call_later(Tracee *t) noexcept nogil:
    """Let the tracee make its call again and again until it can be handled, which is not long."""
    if reg_skip(t, t.call.number) < 0:
        return R_DEAD
    return R_CONT if reg_set_ip(t, t.call.ip - SYSCALL_SIZE) == 0 else R_DEAD

ctypedef int (*Handler)(Tracee *, const pyroot_row *) noexcept nogil
cdef Handler handlers[H_COUNT]

cdef bint opening_again = False    # the call at hand comes from the stub

cdef void set_opening_again(bint value) noexcept nogil:
    global opening_again
    opening_again = value
