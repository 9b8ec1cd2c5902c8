"""Decide what pyroot does with the calls that only i386 has; all others have their row in ``table``.

A row here wins over the row of the same name there.  ``like`` names the x86_64 call as which the handlers treat it: they know the
numbers of x86_64 only, whichever instruction made the call.
"""

from __future__ import annotations

import errno

from pyroot.syscalls.table import REVIEWED, ROWS, Row, _at, _refuse

#: socketcall(2): sub-calls that carry an address.  bind connect accept getsockname getpeername sendto recvfrom sendmsg recvmsg
#: accept4 recvmmsg sendmmsg
SOCKETCALLS = sum(1 << number for number in (2, 3, 5, 6, 7, 11, 12, 16, 17, 18, 19, 20))

ROWS_I386: list[Row] = [
    # -- attributes, in successive layouts
    Row("oldstat", "stat", path=0, like="stat"),
    Row("oldlstat", "stat", path=0, final="nofollow", like="lstat"),
    Row("stat64", "stat", path=0, like="stat"),
    Row("lstat64", "stat", path=0, final="nofollow", like="lstat"),
    _at("fstatat64", 3, handler="stat", like="newfstatat"),
    Row("statfs64", path=0, like="statfs"),
    Row("truncate64", path=0, like="truncate", effect="write"),
    _at("utimensat_time64", 3, like="utimensat", effect="rights"),
    # -- copies of descriptors
    Row("fcntl64", "dup", when=("duplicates", 1, 0), like="fcntl"),
    Row("oldfstat", "copy", when=("copies", -1, 0), like="fstat", named="oldstat"),
    Row("fstat64", "copy", when=("copies", -1, 0), like="fstat", named="stat64"),
    Row("fstatfs64", "copy", when=("copies", -1, 0), like="fstatfs", named="statfs64"),
    Row("_llseek", "copy", when=("copies", 4, 2), like="lseek"),
    # -- owners: chown and lchown have 16-bit ids here
    Row("chown32", path=0, remove="rights", like="chown"),
    Row("lchown32", path=0, final="nofollow", remove="rights", like="lchown"),
    # -- arguments in other places
    Row("fanotify_mark", dirfd=4, path=5, final="flag", flags=1, bit=4, note="the mask takes two registers"),
    Row("umount", "privileged", path=0, like="umount2"),
    # -- AF_UNIX
    Row("socketcall", "socketcall", when=("bits", 0, SOCKETCALLS), like="connect", note="its arguments lie in memory"),
    Row("recvmmsg_time64", "recvmmsg", like="recvmmsg"),
    # -- calls that map files
    _refuse("uselib", errno.ENOSYS, "maps a library by its path; no kernel of these years has it"),
]

#: Calls of i386 that were examined and need nothing, in addition to those of ``table.REVIEWED``.
REVIEWED_I386: frozenset[str] = REVIEWED | frozenset(
    """
    waitpid stime nice signal oldolduname sigaction sgetmask ssetmask sigsuspend sigpending readdir olduname
    vm86old ipc sigreturn sigprocmask _newselect vm86 ugetrlimit mmap2 ftruncate64
    getuid32 getgid32 geteuid32 getegid32 setreuid32 setregid32 getgroups32 setgroups32 fchown32 setresuid32 getresuid32 setresgid32
    getresgid32 setuid32 setgid32 setfsuid32 setfsgid32 sendfile64 fadvise64_64
    clock_gettime64 clock_settime64 clock_adjtime64 clock_getres_time64 clock_nanosleep_time64 timer_gettime64
    timer_settime64 timerfd_gettime64 timerfd_settime64 pselect6_time64 ppoll_time64 io_pgetevents_time64
    mq_timedsend_time64 mq_timedreceive_time64 semtimedop_time64 rt_sigtimedwait_time64 futex_time64 sched_rr_get_interval_time64
    """.split()
)


def rows_by_name() -> dict[str, Row]:
    """Return the row of each call that i386 has and that needs one."""
    return {row.name: row for row in (*ROWS, *ROWS_I386)}
