# Which function handles which kind of call (the handler column of the call table).

cdef int on_featured(Tracee *t, const pyroot_row *row) noexcept nogil:
    return as_is(b"only a feature wants to see it (features.pxi)")

cdef void handlers_fill() noexcept nogil:
    handlers[H_FEATURED] = on_featured
    handlers[H_PATH] = on_path
    handlers[H_KEPT] = on_kept
    handlers[H_ADVICE] = on_advice
    handlers[H_STAT] = on_stat
    handlers[H_STATX] = on_statx
    handlers[H_HANDLE] = on_handle
    handlers[H_AFFINITY] = on_affinity
    handlers[H_OPEN] = on_open
    handlers[H_OPENAT2] = on_openat2
    handlers[H_OPEN_TREE] = on_open_tree
    handlers[H_READLINK] = on_readlink
    handlers[H_LINK] = on_link
    handlers[H_RENAME] = on_rename
    handlers[H_CHDIR] = on_chdir
    handlers[H_FCHDIR] = on_fchdir
    handlers[H_GETCWD] = on_getcwd
    handlers[H_EXEC] = on_exec
    handlers[H_DUP] = on_dup
    handlers[H_COPY] = on_copy
    handlers[H_GETDENTS] = on_getdents
    handlers[H_PRIVILEGED] = on_privileged
    handlers[H_CHROOT] = on_chroot
    handlers[H_SECCOMP] = on_seccomp
    handlers[H_CLONE] = on_clone
    handlers[H_CLONE3] = on_clone3
    handlers[H_UNSHARE] = on_unshare
    handlers[H_SETNS] = on_setns
    handlers[H_PRCTL] = on_prctl
    handlers[H_LANDLOCK] = on_landlock
    handlers[H_GUESTPID] = on_guestpid
    handlers[H_PTRACE] = on_ptrace_or_view
    handlers[H_WAIT] = on_wait
    handlers[H_SIGACTION] = on_sigaction
    handlers[H_PIDFD_GETFD] = on_pidfd_getfd
    handlers[H_PIDFD] = on_pidfd
    handlers[H_KILL] = on_kill
    handlers[H_WHO] = on_who
    handlers[H_SOCKIN] = on_sockin
    handlers[H_SOCKOUT] = on_sockout
    handlers[H_SOCKETCALL] = on_socketcall
    handlers[H_SENDMSG] = on_sendmsg
    handlers[H_SENDMMSG] = on_sendmmsg
    handlers[H_RECVMSG] = on_recvmsg
    handlers[H_RECVMMSG] = on_recvmmsg
