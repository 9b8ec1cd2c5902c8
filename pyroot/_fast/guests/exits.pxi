# The end of a call whose result needs us.

cdef int on_exit_stop(Tracee *t) noexcept nogil:
    """Finish a call whose result needs us.  A call that will be restarted comes again: nothing to do then."""
    cdef int64_t result = 0
    cdef int action = t.exit_action, i
    cdef Fs *fs
    t.exit_action = X_NONE
    if reg_result(t, &result) < 0:
        return R_DEAD
    if action == X_CLONE:
        for i in range(3):
            reg_set_arg(t, i, t.saved[i])
        return R_CONT
    if action == X_FAULT:
        for i in range(6):
            reg_set_arg(t, i, t.saved[i])
        return R_CONT
    if action == X_WAIT:
        return exit_wait(t, result)
    if action == X_COPIES:
        return copies_end(t, result)
    if action == X_JUDGE:
        return R_CONT if reg_set_ip(t, t.saved[0]) == 0 else R_DEAD
    if -516 <= result <= -512:
        if action == X_SENDMMSG:
            # restarted at the stub: the same message again
            t.exit_action = X_SENDMMSG
        return R_CONT
    if action == X_SOCKNAME:
        exit_sockname(t, result)
    elif action == X_SENDMMSG:
        return exit_sendmmsg(t, result)
    elif action == X_RECVMSG and result >= 0:
        header_back(t, 0, t.saved[0], <unsigned int>t.saved[1])
    elif action == X_RECVMMSG and result > 0:
        exit_recvmmsg(t, result)
    elif action == X_LIST and result >= 0:
        return exit_list(t, result)
    elif action == X_RENAME and result == 0:
        exit_rename(t)
    elif action == X_REMOVED and result == 0:
        views_removed(t.saved[0])
    elif action == X_BIND:
        exit_bind(t, result)
    elif action == X_CHDIR and result == 0:
        t.fs.bind = <int>t.saved[0]
    elif action == X_OPEN and result >= 0:
        exit_open(t, <int>result)
    elif action == X_STATX and result == 0:
        exit_statx(t)
    elif action == X_LINKS and result == 0:
        exit_links(t)
    elif action == X_HANDLE and (result == 0 or result == -EOVERFLOW):
        exit_handle(t)
    elif action == X_SECCOMP and result == 0:
        exit_seccomp(t)
    elif action == X_UNSHARE and result == 0:
        fs = fs_copy(t.fs)
        if fs != NULL:
            fs_drop(t.fs)
            t.fs = fs
    return R_CONT
