"""The cells of the refusal matrix: which system calls a filter around pyroot refuses, one by one or together.

Decides: which calls that are (``CALLS`` is what a session's processes make: supervisor, loader, gate, the command that starts the
interpreter; a test compares it with the sources and with what the kernel's tracing sees), with which arguments, and what may be answered
otherwise than without pyroot. How a cell is run is in ``refused_runs``; rules are those of ``programs/refuse.c``.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from pyroot.syscalls.numbers_i386 import NUMBERS as OLD_NUMBERS
from pyroot.syscalls.numbers_x86_64 import NUMBERS

ERRNOS = {"EPERM": errno.EPERM, "ENOSYS": errno.ENOSYS}

#: What a session's processes call. (Without execve nothing can be started under a filter.)  First those without which there is none:
VITAL = """
    access arch_prctl chdir clone close fcntl futex getdents64 getpid ioctl lseek memfd_create mmap mprotect newfstatat openat pipe2
    prctl pread64 ptrace read readlink rt_sigaction rt_sigprocmask rt_sigreturn uname wait4 write
""".split()
#: ... those that something is done about, each in its own way:
ALONE = """
    bind capget chmod clone3 close_range connect execveat faccessat2 fchmod fchmodat2 flock fstatfs getcwd getdents getpgid getppid
    kcmp kill landlock_restrict_self linkat mkdir mseal munmap openat2 personality pidfd_getfd pidfd_open prlimit64 process_vm_readv
    process_vm_writev readlinkat renameat2 rt_sigpending rt_sigqueueinfo sched_setaffinity seccomp sendmsg sendto stat statfs statx
    timer_create waitid
""".split()
#: ... and those that nobody misses but whoever calls them. They are refused some at a time; in the sweep each alone.
QUIET = """
    brk clock_nanosleep dup dup2 epoll_create1 exit_group faccessat fchown fstat ftruncate get_robust_list geteuid getpeername getrandom
    getsid getsockname gettid getuid landlock_add_rule landlock_create_ruleset link lstat madvise map_shadow_stack mremap
    name_to_handle_at open pidfd_send_signal process_madvise pwrite64 recvfrom recvmsg rmdir rseq rt_sigtimedwait rt_tgsigqueueinfo
    sched_getaffinity sendmmsg set_robust_list set_tid_address setitimer setpgid setsid socket sysinfo tgkill timer_settime umask
    unlink unlinkat unshare
""".split()
CALLS = (*VITAL, *ALONE, *QUIET)
AT_ONCE = 12
#: The command `pyroot` says of all that are vital, but for these, that an interpreter does not do without them.  (Started in another way
#: that interpreter ends by itself.)
CORE = ("clone", "memfd_create", "pipe2", "prctl", "ptrace")

#: Requests of ptrace(2) that the supervisor makes, of a tracee that may be traced.
REQUESTS = {
    "TRACEME": 0, "PEEKDATA": 2, "PEEKUSER": 3, "POKETEXT": 4, "POKEDATA": 5, "POKEUSER": 6, "CONT": 7, "GETREGS": 12, "SETREGS": 13,
    "ATTACH": 16, "DETACH": 17, "SYSCALL": 24, "SETOPTIONS": 0x4200, "GETEVENTMSG": 0x4201, "GETSIGINFO": 0x4202, "SETSIGINFO": 0x4203,
    "SEIZE": 0x4206, "INTERRUPT": 0x4207, "LISTEN": 0x4208, "GETSIGMASK": 0x420A, "SETSIGMASK": 0x420B, "GET_SYSCALL_INFO": 0x420E,
    "SET_SYSCALL_INFO": 0x4212,
}  # fmt: skip

#: Operations of prctl(2) that supervisor and loader make.
OPERATIONS = {"PR_SET_PDEATHSIG": 1, "PR_GET_DUMPABLE": 3, "PR_SET_DUMPABLE": 4, "PR_SET_NAME": 15, "PR_GET_SECCOMP": 21,
              "PR_SET_SECCOMP": 22, "PR_SET_MM": 35, "PR_SET_NO_NEW_PRIVS": 38}  # fmt: skip

#: Calls of which some arguments are refused: rules of refuse.c without the errno.
CONDITIONS = {
    "mmap fixed": ["mmap,3&0x100000=0x100000"],
    "mmap shared": ["mmap,3&3=1"],
    "mmap shared and executable": ["mmap,3&3=1,2&4=4"],
    # what systemd's MemoryDenyWriteExecute= refuses
    "memory that is written and executed": ["mmap,2&6=6", "mprotect,2&4=4", "pkey_mprotect,2&4=4", "shmat,2&0x8000=0x8000"],
    "clone with the caller's memory": ["clone,0&0x4100=0x100"],
    "limits of a size": ["prlimit64,1=1"],
    "limits of descriptors": ["prlimit64,1=7"],
    "sockets of files": ["socket,0=1"],
    "opening a place": ["openat,2&0x200000=0x200000"],
    "seals": ["fcntl,1=1033"],
    "copies of descriptors": ["fcntl,1=1030"],
    "flags of descriptors": ["fcntl,1=2"],
    "leases": ["fcntl,1=1024"],
    "stat of a descriptor": ["newfstatat,3&0x1000=0x1000"],
    "waiting without taking": ["waitid,3&0x1000000=0x1000000"],
    "a filter for all threads": ["seccomp,1&1=1"],
    "filters by seccomp": ["seccomp,0=1"],
    **{f"ptrace {name}": [f"ptrace,0={number:#x}"] for name, number in REQUESTS.items()},
    **{f"prctl {name}": [f"prctl,0={number}"] for name, number in OPERATIONS.items()},
}

#: Calls that are refused together.
TOGETHER = {
    "memory": ["process_vm_readv", "process_vm_writev"],
    "memory and words": ["process_vm_readv", "process_vm_writev", "ptrace,0=2", "ptrace,0=5"],
    "every change of rights": ["chmod", "fchmod", "fchmodat", "fchmodat2"],
    "every way to send": ["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"],
    "every filter": ["seccomp", "prctl,0=22"],
    "every descriptor of a process": ["pidfd_open", "pidfd_getfd", "pidfd_send_signal"],
    "every clock": ["timer_create", "setitimer"],
}

#: Kernels, by the first call that they do not have.
KERNELS = {"Linux 5.10": 441, "Linux 5.4": 435, "Linux 4.19": 335, "Linux 4.9": 332, "Linux 3.19": 323}
LAST_NUMBER = 470

#: What may differ: name of a cell -> beginnings of lines, and why.
_DIRECT = (("i386 ",), "where an address is rewritten, socketcall(2) of i386 is made as the call that it stands for")
_COPIES = ("fstat(2) and fstatfs(2) of a text of /proc, by these numbers, are calls of its name, for which seccomp(2) makes them stop")
KNOWN: dict[str, tuple[tuple[str, ...], str]] = {
    "sendmsg": (("sendmmsg.", *_DIRECT[0]), f"sendmmsg(2) is made message by message: the kernel writes to the array; {_DIRECT[1]}"),
    **dict.fromkeys(("bind", "connect", "sendto"), _DIRECT),
    **dict.fromkeys(("stat", "statfs", "seccomp", "filters by seccomp"), (("raw fstat",), _COPIES)),
    "every filter": (("filter ", "raw fstat"), "without a filter of its own pyroot lets guests have none (ENOSYS)"),
    "munmap": (("i386 maps",), "the loader of 32-bit programs stays mapped"),
    "prctl PR_SET_MM": (("auxv", "i386 auxv"), "only the kernel can change what /proc/PID/auxv says"),
}
#: How i386 programs make what x86_64 has one call for.
WIDER = {"mmap": "mmap2", "newfstatat": "fstatat64"}

#: Calls without which no line can be written.
MUTE = ("write",)
#: Calls without which the kernel itself ends the programs, and pyroot as well.
FATAL = ("rt_sigreturn",)


def of_interpreter(name: str) -> bool:
    """Tell whether a cell is the interpreter's affair."""
    return (name in VITAL and name not in CORE) or name in ("flags of descriptors", "stat of a descriptor")


@dataclass(frozen=True)
class Cell:
    """One state of the machine: a name, what is refused (rules without errno), and how."""

    name: str
    refused: tuple[str, ...]
    error: str

    def __str__(self) -> str:
        """Give the test its name."""
        return f"{self.name}-{self.error}"

    def rules(self) -> list[str]:
        """Give the words for refuse.c: each rule for both kinds of calls."""
        return [f"{number}:{ERRNOS[self.error]}" for rule in self.refused for number in numbered(rule)]


def numbered(rule: str) -> list[str]:
    """Give a rule's name its numbers: that of x86_64, and behind an ``i`` that of i386, where there is one."""
    name, comma, conditions = rule.partition(",")
    found = [str(NUMBERS[name])] if name in NUMBERS else []
    old = WIDER.get(name, name)
    if old in OLD_NUMBERS:
        found.append(f"i{OLD_NUMBERS[old]}")
    if not found:
        raise KeyError(name)
    return [number + comma + conditions for number in found]


def newer_than(first: int) -> tuple[str, ...]:
    """Name the calls with this number and later ones."""
    return tuple(name for name, number in NUMBERS.items() if number >= first)


def cells(error: str) -> list[Cell]:
    """Give the cells of the usual run with this errno."""
    found = [Cell(name, (name,), error) for name in (*VITAL, *ALONE)]
    some = [QUIET[i : i + AT_ONCE] for i in range(0, len(QUIET), AT_ONCE)]
    found += [Cell(f"{names[0]} to {names[-1]}", tuple(names), error) for names in some]
    found += [Cell(name, tuple(rules), error) for table in (CONDITIONS, TOGETHER) for name, rules in table.items()]
    if error == "ENOSYS":
        found += [Cell(name, newer_than(first), error) for name, first in KERNELS.items()]
    return found


def every_cell(error: str) -> list[Cell]:
    """Give a cell for each call of both kinds, and the conditions."""
    names = [name for name in {**NUMBERS, **OLD_NUMBERS} if name != "execve"]
    return [Cell(name, (name,), error) for name in names] + [cell for cell in cells(error) if cell.name not in names]
