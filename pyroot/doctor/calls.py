"""Checks of the system calls that pyroot makes itself: which a filter around it refuses or the kernel lacks, and what follows from that.

Decides: one row per call, with arguments that change nothing (they are wrong, and the kernel says so; EPERM and ENOSYS come before
that), what is missed without it, and what brings it back. Without some of them nothing can be started; the others pyroot can replace or do
without. What an interpreter needs is not here: the command `pyroot` checks that before it starts one.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator

from pyroot.doctor.registry import ERROR, HOST, NOTE, WARNING, Finding, check
from pyroot.plain import record
from pyroot.reading.view import View
from pyroot.syscalls.numbers_x86_64 import NUMBERS

_LIBC = ctypes.CDLL(None, use_errno=True)
_REFUSED = (errno.EPERM, errno.ENOSYS)
_NOBODY = 0x7FFFFFFF  # no process has this number
_OPEN = "docker run --security-opt seccomp=unconfined, or a profile that allows it"
_TRACE = "docker run --cap-add SYS_PTRACE"


@record(frozen=True)
class Call:
    """One row: the call's name for users, its number and arguments, what is missed without it, and which Linux introduced it."""

    name: str
    call: str
    arguments: tuple[int, ...]
    without: str
    severity: str = NOTE
    since: str = ""
    refused: tuple[int, ...] = _REFUSED

    def error(self) -> int:
        """Make the call; give the errno with which it is refused, 0 if it is not."""
        ctypes.set_errno(0)
        result = _LIBC.syscall(ctypes.c_long(NUMBERS[self.call]), *(ctypes.c_long(one) for one in (*self.arguments, *(0,) * 6)[:6]))
        return ctypes.get_errno() if result == -1 and ctypes.get_errno() in self.refused else 0

    def mend(self, error: int, filtered: bool) -> str:
        """Say what brings the call back."""
        if not filtered and self.since:
            return f"Linux {self.since} has it"
        return f"in a container: {_TRACE if self.call in OF_TRACERS else _OPEN}"


#: Calls that container engines allow with the capability SYS_PTRACE.
OF_TRACERS = ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp")


def _request(name: str, number: int, since: str = "") -> Call:
    refused = (*_REFUSED, errno.EIO) if since else _REFUSED
    return Call(f"ptrace(PTRACE_{name})", "ptrace", (number, _NOBODY), "no guest can be resumed, or looked at", ERROR, since, refused)


NEEDED = (
    *(_request(*one) for one in (
        ("SEIZE", 0x4206), ("CONT", 7), ("SYSCALL", 24), ("LISTEN", 0x4208), ("INTERRUPT", 0x4207), ("PEEKUSER", 3), ("POKEUSER", 6),
        ("GETREGS", 12), ("SETREGS", 13), ("GETEVENTMSG", 0x4201), ("GETSIGINFO", 0x4202), ("GET_SYSCALL_INFO", 0x420E, "5.3"),
    )),
    Call("clone", "clone", (0x10000,), "no program can be started", ERROR),
    Call("prctl(PR_SET_NO_NEW_PRIVS)", "prctl", (38,), "no filter may be installed", ERROR),
    Call("memfd_create", "memfd_create", (0, 0xFFFFFFFF), "rewritten paths cannot be stored", ERROR, "3.17"),
    Call("pipe2", "pipe2", (0, 0xFFFFFFFF), "the first program cannot be told what to do", ERROR),
    Call("mmap(MAP_SHARED)", "mmap", (0, 0, 3, 1, 0xFFFFFFFF), "rewritten paths cannot be stored", ERROR),
    Call("mmap(MAP_SHARED) of code", "mmap", (0, 0, 5, 1, 0xFFFFFFFF), "guests could change the code that passes the filter", ERROR),
)  # fmt: skip
MISSED = (
    Call("openat2", "openat2", (-1, 0, 0, 0), "calls that only look stop the guest, paths are followed name by name, and an open may "
         "follow a link that is put in its way at that moment", WARNING, "5.6"),
    Call("process_vm_writev", "process_vm_writev", (_NOBODY,), "each write to a guest's memory costs three more calls", WARNING),
    Call("prctl(PR_SET_MM)", "prctl", (35, 15), "calls that only look stop the guest, and /proc/PID/auxv is the loader's", WARNING,
         "3.18 with CONFIG_CHECKPOINT_RESTORE", (*_REFUSED, errno.EINVAL)),
    Call("seccomp", "seccomp", (1, 0, 0), "fstat(2) and fstatfs(2) of a text of /proc may describe pyroot's copy", NOTE),
    Call("statx", "statx", (-1, 0, 0xFFFFFFFF), "an execve looks at its program anew each time, and RESOLVE_NO_XDEV of openat2(2) does not "
         "see mounts of the host", NOTE, "4.11"),
    Call("pidfd_open", "pidfd_open", (0, 0), "a directory with mount points that the root lacks is listed more slowly, and a long "
         "socket address of a sender is cut", NOTE, "5.3"),
    Call("pidfd_getfd", "pidfd_getfd", (-1, 0, 0), "the same as without pidfd_open", NOTE, "5.6"),
    Call("kcmp", "kcmp", (_NOBODY, _NOBODY), "if a view shows a directory twice, the path that a descriptor came through is guessed",
         NOTE),
    Call("sched_setaffinity", "sched_setaffinity", (_NOBODY,), "pyroot and a guest that stops often do not share a CPU: each stop may "
         "take three times as long", NOTE),
    Call("mseal", "mseal", (1, 0, 0), "guests' mmap, munmap and mprotect stop if they come near pyroot's pages", NOTE, "6.10"),
    Call("ptrace(PTRACE_SET_SYSCALL_INFO)", "ptrace", (0x4212, _NOBODY), "an open that is rewritten costs up to seven requests", NOTE),
    Call("prlimit64", "prlimit64", (0, 999), "pyroot has no more descriptors and memory than a guest may have", NOTE),
    Call("fcntl(F_SETLEASE)", "fcntl", (-1, 1024), "a program that is open for writing is started (no ETXTBSY)", NOTE),
    Call("fstatfs", "fstatfs", (-1,), "a program on a file system mounted noexec ends by SIGSEGV, instead of EACCES", NOTE),
    Call("waitid", "waitid", (1, _NOBODY, 0, 5), "pidfd_getfd(2) gives EPERM in programs with threads", NOTE),
    Call("prctl(PR_SET_DUMPABLE)", "prctl", (4, 99), "the same as without waitid", NOTE),
    Call("socket(AF_UNIX)", "socket", (1, 99), "pyroot trace -p cannot look at a session", NOTE),
)  # fmt: skip


def _filtered() -> bool:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            return "\nSeccomp:\t2" in file.read()
    except OSError:
        return True


def _findings(calls: tuple[Call, ...]) -> Iterator[Finding]:
    filtered = _filtered()
    for call in calls:
        error = call.error()
        if error:
            what = f"{call.name} gives {os.strerror(error)}: {call.without}"
            yield Finding(b"", what, call.mend(error, filtered), severity=call.severity)


@check(
    "calls-needed",
    ERROR,
    "the system calls without which pyroot does not run (tried)",
    "a filter around pyroot, or an old kernel, refuses a call that pyroot cannot do without",
    HOST,
)
def calls_needed(view: View) -> Iterator[Finding]:
    """Find what keeps pyroot from running at all; if ptrace(2) as a whole is refused, the check of that name says so."""
    requests = [call for call in NEEDED if call.call == "ptrace"]
    untold = all(call.error() for call in requests)
    yield from _findings(tuple(call for call in NEEDED if not (untold and call in requests)))


@check(
    "calls-missed",
    WARNING,
    "the system calls that pyroot can replace or do without (tried)",
    "a filter around pyroot, or an old kernel, refuses them: it runs, but slower, or some answers differ",
    HOST,
)
def calls_missed(view: View) -> Iterator[Finding]:
    """Find what is slower or works differently than it could."""
    yield from _findings(MISSED)
