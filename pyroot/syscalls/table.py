"""Decide, one row per call, what pyroot does with each system call.

The row gives filter membership (does the call stop the guest, and on which arguments), the handler in the core, and which
arguments are paths.  Facts: the kernel's ``syscall_64.tbl`` up to Linux 6.18, the manual pages, and measurements.  The rows serve
i386 too, by name; what only i386 has is in ``table_i386``.

A call of Linux that is neither here nor in ``REVIEWED`` does not exist for the guest: it gets ENOSYS, so that a call invented
after this table was written can never reach the host with an untranslated path.
"""

from __future__ import annotations

import errno

#: What ``Row.final`` and ``Row.remove`` may be, in the order of the core's F_ and REMOVE_.
FINALS = ("follow", "nofollow", "create", "flag", "open")
REMOVES = ("", "dir", "file", "flag", "rights")
#: What a call does to the place that it names, or to what its descriptor is of.
EFFECTS = ("look", "open", "write", "name", "rights", "exec", "enter")


class Row:
    """Describe one system call.

    ``handler`` names the routine of the core (``H_<handler>``); ``path``/``dirfd`` (and ``path2``/``dirfd2``) are argument
    positions counted from 0; ``final`` says whether the last component is followed: ``follow``, ``nofollow``, ``create``
    (never followed, even with a trailing slash), ``flag`` (``flags`` is the argument, ``bit`` the flag that inverts the
    default ``default``), ``open`` (decided by the O_* flags).  ``when`` restricts the stop to certain arguments (see
    ``filters``); ``refuse`` is the errno of a call that is never let through; ``like`` is the x86_64 call as which the handlers treat
    it (the call itself, except for some of i386).  ``remove`` marks calls after which what was found before may no longer exist: a name
    goes away (``dir``, ``file``, ``flag`` decides), or the ``rights`` change.  ``loader`` marks calls that the loader makes, ``gate``
    those that the gate may answer inside the guest (``pyroot/guest/gate.c``).  ``named`` is the call that reports about a
    name what this one reports about a descriptor.  ``effect`` says what the call does to the place (``EFFECTS``; of an open its flags
    decide), and is given where it does not follow from the rest.
    """

    __slots__ = ("bit", "default", "dirfd", "dirfd2", "effect", "final", "flags", "gate", "handler", "like", "loader", "name", "named",
                 "note", "path", "path2", "refuse", "remove", "when")

    def __init__(
        self,
        name: str,
        handler: str = "path",
        *,
        path: int = -1,
        dirfd: int = -1,
        path2: int = -1,
        dirfd2: int = -1,
        final: str = "follow",
        flags: int = -1,
        bit: int = 0,
        default: str = "follow",
        when: tuple[str, int, int] | None = None,
        refuse: int = 0,
        loader: bool = False,
        gate: bool = False,
        remove: str = "",
        note: str = "",
        like: str = "",
        named: str = "",
        effect: str = "",
    ) -> None:
        self.name, self.handler, self.path, self.dirfd, self.path2, self.dirfd2 = name, handler, path, dirfd, path2, dirfd2
        self.final, self.flags, self.bit, self.default = final, flags, bit, default
        self.when, self.refuse, self.loader, self.remove, self.note = when, refuse, loader, remove, note
        self.like, self.gate, self.named = like or name, gate, named
        self.effect = effect or self._effect()

    def _effect(self) -> str:
        """Return what follows from the rest of the row."""
        if self.handler in ("open", "openat2", "open_tree"):
            return "open"
        if self.remove == "rights":
            return "rights"
        if self.remove or self.final == "create" or self.handler in ("link", "rename"):
            return "name"
        if self.handler in ("chdir", "fchdir", "chroot"):
            return "enter"
        return "exec" if self.handler == "exec" else "look"


def _at(
    name: str, flags: int, *, dirfd: int = 0, bit: int = 0x100, default: str = "follow", handler: str = "path", remove: str = "",
    gate: bool = False, note: str = "", like: str = "", effect: str = "",
) -> Row:
    return Row(name, handler, dirfd=dirfd, path=dirfd + 1, final="flag", flags=flags, bit=bit, default=default, remove=remove, gate=gate,
               note=note, like=like, effect=effect)


def _refuse(name: str, error: int, note: str) -> Row:
    return Row(name, "refuse", refuse=error, note=note)


def _keep(name: str, other: int = 0) -> Row:
    """Return the row of a call on a process, which is argument 0 or ``other``: guests may not touch the supervisor."""
    return Row(name, "refuse", refuse=errno.EPERM, when=("supervisor", 0, other))


CLONE_FS, CLONE_NEWNS, CLONE_UNTRACED, CLONE_NEWUSER = 0x200, 0x20000, 0x800000, 0x10000000

ROWS: list[Row] = [
    # -- opening
    Row("open", "open", path=0, final="open", flags=1, loader=True, gate=True),
    Row("openat", "open", dirfd=0, path=1, final="open", flags=2, loader=True, gate=True),
    Row("creat", "open", path=0, final="follow", note="as open with O_CREAT|O_WRONLY|O_TRUNC"),
    Row("openat2", "openat2", dirfd=0, path=1, loader=True, note="how is read once; RESOLVE_* flags are obeyed by our own walk"),
    Row("open_tree", "open_tree", dirfd=0, path=1, final="flag", flags=2, bit=0x100),
    Row("open_tree_attr", "open_tree", dirfd=0, path=1, final="flag", flags=2, bit=0x100),
    # -- listing
    Row("getdents", "getdents", when=("listing", 0, 0), note="adds mount points whose name the host directory lacks"),
    Row("getdents64", "getdents", when=("listing", 0, 0)),
    # -- copies of descriptors
    Row("dup", "dup", when=("noting", 0, 0), note="where a view shows one directory twice, a copy came through the same place"),
    Row("dup2", "dup", when=("noting", 0, 0)),
    Row("dup3", "dup", when=("noting", 0, 0)),
    Row("fcntl", "dup", when=("duplicates", 1, 0), note="F_DUPFD and F_DUPFD_CLOEXEC, as dup; F_SETSIG of what ends the owner is EINVAL"),
    # -- descriptors of texts in /proc: a copy reports about itself what the kernel's own file would
    Row("fstat", "copy", when=("copies", -1, 0), gate=True, named="stat"),
    Row("fstatfs", "copy", when=("copies", -1, 0), named="statfs"),
    Row("lseek", "copy", when=("copies", 2, 2), note="SEEK_END and what came later: such files have no end to count from"),
    Row("fchmod", "copy", when=("copies", -1, 0), effect="rights"),
    # -- attributes
    Row("stat", "stat", path=0, gate=True, note="directories that bindings bring are links of the one that holds them"),
    Row("lstat", "stat", path=0, final="nofollow", gate=True),
    _at("newfstatat", 3, handler="stat", gate=True),
    _at("statx", 2, handler="statx", gate=True, note="the top of a binding is that of a mount"),
    Row("access", path=0, gate=True),
    Row("faccessat", dirfd=0, path=1, gate=True),
    _at("faccessat2", 3, gate=True),
    Row("readlink", "readlink", path=0, final="nofollow", gate=True),
    Row("readlinkat", "readlink", dirfd=0, path=1, final="nofollow", gate=True),
    Row("chmod", path=0, remove="rights"),
    Row("fchmodat", dirfd=0, path=1, remove="rights"),
    _at("fchmodat2", 3, remove="rights"),
    Row("chown", path=0, remove="rights"),
    Row("lchown", path=0, final="nofollow", remove="rights"),
    _at("fchownat", 4, remove="rights"),
    Row("utime", path=0, effect="rights"),
    Row("utimes", path=0, effect="rights"),
    Row("futimesat", dirfd=0, path=1, effect="rights", note="a NULL path acts on the fd"),
    _at("utimensat", 3, effect="rights", note="a NULL path acts on the fd"),
    Row("truncate", path=0, effect="write"),
    Row("statfs", path=0),
    _at("file_getattr", 4),
    _at("file_setattr", 4, effect="rights"),
    # -- extended attributes
    *(Row(n, path=0, gate=True) for n in ("getxattr", "listxattr")),
    *(Row(n, path=0, remove="rights") for n in ("setxattr", "removexattr")),
    *(Row(n, path=0, final="nofollow", gate=True) for n in ("lgetxattr", "llistxattr")),
    *(Row(n, path=0, final="nofollow", remove="rights") for n in ("lsetxattr", "lremovexattr")),
    *(_at(n, 2) for n in ("getxattrat", "listxattrat")),
    *(_at(n, 2, remove="rights") for n in ("setxattrat", "removexattrat")),
    Row("ioctl", "featured", when=("setflags", 1, 0), effect="rights", note="FS_IOC_SETFLAGS and its like, where a binding is read-only"),
    # -- names
    Row("mkdir", path=0, final="create"),
    Row("mkdirat", dirfd=0, path=1, final="create"),
    Row("mknod", path=0, final="create"),
    Row("mknodat", dirfd=0, path=1, final="create"),
    Row("rmdir", path=0, final="create", remove="dir"),
    Row("unlink", path=0, final="create", remove="file"),
    Row("unlinkat", dirfd=0, path=1, final="create", flags=2, remove="flag"),
    Row("symlink", path=1, final="create", note="the target text is data"),
    Row("symlinkat", dirfd=1, path=2, final="create"),
    Row("link", "link", path=0, path2=1, final="create"),
    Row("linkat", "link", dirfd=0, path=1, dirfd2=2, path2=3, final="flag", flags=4, bit=0x400, default="nofollow"),
    Row("rename", "rename", path=0, path2=1, final="create"),
    Row("renameat", "rename", dirfd=0, path=1, dirfd2=2, path2=3, final="create"),
    Row("renameat2", "rename", dirfd=0, path=1, dirfd2=2, path2=3, final="create", flags=4),
    # -- watching
    Row("inotify_add_watch", path=1, final="flag", flags=2, bit=0x02000000),
    Row("fanotify_mark", dirfd=3, path=4, final="flag", flags=1, bit=4),
    _at("name_to_handle_at", 4, bit=0x400, default="nofollow", handler="handle"),
    Row("open_by_handle_at", "privileged", note="reopens any inode of the file system: a walk out of the root"),
    # -- working directory and root
    Row("chdir", "chdir", path=0),
    Row("fchdir", "fchdir"),
    Row("getcwd", "getcwd"),
    Row("chroot", "chroot", path=0, note="lookup errors come before EPERM; the kernel never changes the root"),
    # -- programs
    Row("execve", "exec", path=0),
    Row("execveat", "exec", dirfd=0, path=1, final="flag", flags=4, bit=0x100),
    # -- memory: what stays in guests (kept.pxi) is not to be moved, replaced or changed
    *(Row(n, "kept", when=("kept", 0, 1), note="stops only where the kernel has no mseal, and only near there")
      for n in ("mmap", "munmap", "mprotect", "pkey_mprotect", "remap_file_pages", "mremap")),
    Row("shmat", "kept", when=("kept", 1, -1)),
    Row("madvise", "advice", flags=2, when=("advice", 2, 10), note="MADV_DONTFORK: a child would begin without it, sealed or not"),
    # -- processes
    Row("clone", "clone", when=("any", 0, CLONE_NEWNS | CLONE_UNTRACED | CLONE_NEWUSER)),
    Row("clone3", "clone3"),
    Row("unshare", "unshare", when=("any", 0, CLONE_FS | CLONE_NEWNS | CLONE_NEWUSER)),
    Row("setns", "setns", note="would leave the view of the file system that pyroot translates"),
    Row("ptrace", "ptrace", note="a task has one tracer, and for guests that is pyroot: played (ptrace.pxi)"),
    Row("wait4", "wait", when=("never", 0, 0), note="stops in processes that trace, by a filter of their own"),
    Row("waitid", "wait", when=("never", 0, 0), note="as wait4"),
    Row("rt_sigaction", "sigaction", when=("never", 0, 0), note="as wait4; only for SIGCHLD"),
    Row("process_vm_readv", "guestpid", flags=0),
    Row("process_vm_writev", "guestpid", flags=0),
    Row("pidfd_getfd", "pidfd_getfd", loader=True),
    Row("kill", "kill", refuse=errno.EPERM, when=("kill", 0, 0), note="a group is killed but for the supervisor"),
    *(_keep(n) for n in ("tkill", "rt_sigqueueinfo", "prlimit64", "sched_setparam", "sched_setscheduler", "sched_setattr", "migrate_pages",
                         "move_pages", "get_robust_list")),
    *(_keep(n, 1) for n in ("tgkill", "rt_tgsigqueueinfo", "kcmp")),
    Row("setpriority", "who", refuse=errno.EPERM, when=("who", 0, 0), note="a group, or a user's processes, but for the supervisor"),
    Row("ioprio_set", "who", refuse=errno.EPERM, when=("who", 0, 1)),
    Row("pidfd_send_signal", "pidfd", note="which process a descriptor means is looked up"),
    Row("process_madvise", "pidfd", flags=3),
    Row("sched_getaffinity", "affinity", note="a guest that stops often shares the supervisor's CPU and must not see it"),
    Row("sched_setaffinity", "affinity"),
    Row("landlock_restrict_self", "landlock", note="its programs need the loader, and cannot have what the supervisor offers in /proc"),
    Row("prctl", "prctl", when=("prctl", 0, 0), note="an undumpable guest could not be read; the filters of the guest"),
    Row("seccomp", "seccomp", note="the kernel gets an edited filter, that judges the guest's calls only; a listener would outrank us"),
    # -- AF_UNIX
    Row("bind", "sockin", path=1, flags=2, final="create"),
    Row("connect", "sockin", path=1, flags=2),
    Row("sendto", "sockin", path=4, flags=5, when=("nonzero", 4, 0)),
    Row("sendmsg", "sendmsg"),
    Row("sendmmsg", "sendmmsg"),
    Row("accept", "sockout", path=1, flags=2, when=("nonzero", 1, 0)),
    Row("accept4", "sockout", path=1, flags=2, when=("nonzero", 1, 0)),
    Row("getsockname", "sockout", path=1, flags=2),
    Row("getpeername", "sockout", path=1, flags=2),
    Row("recvfrom", "sockout", path=4, flags=5, when=("nonzero", 4, 0)),
    Row("recvmsg", "recvmsg"),
    Row("recvmmsg", "recvmmsg"),
    # -- mounting: none of it can work, the order of the errors is kept
    Row("mount", "privileged", path=1),
    Row("umount2", "privileged", path=0, final="flag", flags=1, bit=8),
    Row("quotactl", "privileged", path=1),
    Row("pivot_root", "privileged"),
    Row("swapon", "privileged"),
    Row("swapoff", "privileged"),
    Row("acct", "privileged"),
    *(_refuse(n, errno.EPERM, "the mount API") for n in ("move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr")),
    _refuse("statmount", errno.ENOSYS, "gives host mount points as text; libmount falls back to mountinfo"),
    _refuse("listmount", errno.ENOSYS, "as statmount"),
    # -- calls that reach files without any of the above
    *(_refuse(n, errno.ENOSYS, "opens and connects from a shared ring, seen by nobody")
      for n in ("io_uring_setup", "io_uring_enter", "io_uring_register")),
    _refuse("bpf", errno.EPERM, "BPF_OBJ_PIN and BPF_OBJ_GET take a path in a structure"),
    _refuse("perf_event_open", errno.EPERM, "its records carry host file names"),
    _refuse("userfaultfd", errno.EPERM, "could stall the supervisor's reads of guest memory"),
]

#: What calls without a row do to what their descriptor is of.
BY_DESCRIPTOR = {
    **dict.fromkeys(("ftruncate", "ftruncate64", "fallocate"), "write"),
    **dict.fromkeys(("fchown", "fchown32", "fsetxattr", "fremovexattr"), "rights"),
}  # fmt: skip

#: Calls that were examined and need nothing: no path goes in or comes out, and none of them leaves the translated view.
REVIEWED: frozenset[str] = frozenset(
    """
    read write close poll brk rt_sigprocmask rt_sigreturn pread64 pwrite64
    readv writev pipe select sched_yield msync mincore shmget shmctl pause nanosleep getitimer
    alarm setitimer getpid sendfile socket shutdown listen socketpair setsockopt getsockopt fork vfork exit uname semget
    semop semctl shmdt msgget msgsnd msgrcv msgctl flock fsync fdatasync ftruncate fchown umask
    gettimeofday getrlimit getrusage sysinfo times getuid syslog getgid setuid setgid geteuid getegid setpgid getppid getpgrp
    setsid setreuid setregid getgroups setgroups setresuid getresuid setresgid getresgid getpgid setfsuid setfsgid getsid
    capget capset rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack personality ustat sysfs getpriority
    sched_getparam sched_getscheduler sched_get_priority_max
    sched_get_priority_min sched_rr_get_interval mlock munlock mlockall munlockall vhangup modify_ldt arch_prctl
    adjtimex setrlimit sync settimeofday reboot sethostname setdomainname iopl ioperm init_module
    delete_module gettid readahead
    fsetxattr fgetxattr flistxattr fremovexattr time futex set_thread_area io_setup
    io_destroy io_getevents io_submit io_cancel get_thread_area lookup_dcookie epoll_create epoll_ctl_old epoll_wait_old
    set_tid_address restart_syscall semtimedop fadvise64 timer_create timer_settime
    timer_gettime timer_getoverrun timer_delete clock_settime clock_gettime clock_getres clock_nanosleep exit_group
    epoll_wait epoll_ctl mbind set_mempolicy get_mempolicy mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify
    mq_getsetattr kexec_load add_key request_key keyctl ioprio_get inotify_init inotify_rm_watch
    pselect6 ppoll set_robust_list splice tee sync_file_range vmsplice epoll_pwait
    signalfd timerfd_create eventfd fallocate timerfd_settime timerfd_gettime signalfd4 eventfd2 epoll_create1 pipe2
    inotify_init1 preadv pwritev fanotify_init clock_adjtime syncfs getcpu finit_module
    sched_getattr getrandom memfd_create kexec_file_load membarrier mlock2 copy_file_range preadv2 pwritev2
    pkey_alloc pkey_free io_pgetevents rseq uretprobe uprobe pidfd_open close_range
    epoll_pwait2 quotactl_fd landlock_create_ruleset landlock_add_rule memfd_secret
    process_mrelease futex_waitv set_mempolicy_home_node cachestat map_shadow_stack futex_wake futex_wait futex_requeue
    lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal listns
    """.split()
)
