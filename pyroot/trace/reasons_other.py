"""Why a call that is not about a path failed: sockets, locks, limits, terminals, and what only root may do; and why a program was killed.

Decides: the words. What was so while the call failed has been kept (`circumstances`). Not decided here: files (`reasons`).
"""

from __future__ import annotations

import errno
import os
import re
import signal
import struct
from typing import TYPE_CHECKING

from pyroot.trace import circumstances
from pyroot.trace.names import signal_name

if TYPE_CHECKING:
    from pyroot.trace.history import Event
    from pyroot.trace.reasons import Reason

_PORT_START = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
#: Calls that are root's, whatever they are given.
_ROOTS = {
    "chown": "give files away", "lchown": "give files away", "fchown": "give files away", "fchownat": "give files away",
    "mknod": "make devices", "mknodat": "make devices", "setuid": "become another user", "setreuid": "become another user",
    "setresuid": "become another user", "setgid": "take another group", "setresgid": "take another group", "setregid": "take another group",
    "setgroups": "set its groups", "sethostname": "name the machine", "setdomainname": "name the machine", "clock_settime": "set the clock",
    "settimeofday": "set the clock", "setpriority": "raise a priority", "sched_setscheduler": "choose this scheduling",
    "setrlimit": "raise a hard limit", "prlimit64": "raise a hard limit", "mount": "mount", "umount2": "unmount",
    "unshare": "make name spaces",
    "setns": "enter name spaces", "chroot": "change the root", "pivot_root": "change the root", "syslog": "read the kernel's log",
    "swapon": "use swap", "reboot": "reboot", "bpf": "load programs into the kernel", "perf_event_open": "measure others",
    "capset": "have capabilities",
    "mlock": "lock that much memory", "mlockall": "lock that much memory",
}  # fmt: skip
_KILLS = {
    signal.SIGXFSZ: "a file became larger than its limit allows (ulimit -f)",
    signal.SIGXCPU: "it used more CPU time than its limit allows (ulimit -t)",
    signal.SIGSEGV: "it used memory that it does not have: a fault of the program, or of a library that does not fit it",
    signal.SIGBUS: "it used memory behind the end of a file, or a disk is full",
    signal.SIGABRT: "it ended itself with abort(3), as programs do that notice an error of their own",
    signal.SIGILL: "an instruction that this processor lacks, or that is none", signal.SIGFPE: "a division by zero or the like",
    signal.SIGPIPE: "it wrote to a pipe or a socket that nobody reads any more",
    signal.SIGSYS: "a filter (seccomp) does not allow a call that it made",
    signal.SIGKILL: "who sent it cannot be seen; the kernel does so where memory runs out",
}  # fmt: skip


def of(call: Event) -> Reason:
    """Say why a call failed that is not about a path, and what to do; both may be empty."""
    for explain in (_socket, _held, _limited, _of_root, _by_errno):
        found = explain(call)
        if found[0]:
            return found
    return "", ""


def address(words: str) -> tuple[str, int, str]:
    """Read an address from the words of a call: the host's, the port, and the path of a socket of AF_UNIX."""
    path = re.search(r'sun_path=(@?"[^"]*")', words)
    port = re.search(r"htons\((\d+)\)", words)
    host = re.search(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', words)
    return (host[1] or host[2] if host else ""), int(port[1]) if port else -1, path[1].replace('"', "") if path else ""


def _socket(call: Event) -> Reason:
    host, port, path = address(call.address or call.words)
    if call.name == "bind":
        return _bind(call, host, port)
    if call.name == "listen" and call.error == errno.EADDRINUSE:
        return f"the port is in use {call.around}".rstrip(), ""
    where = f"{host} port {port}" if port >= 0 else os.fsdecode(call.path) or path
    if not where or call.error == errno.EACCES:
        return "", ""
    if call.error == errno.ECONNREFUSED:
        service = _service(port)
        hint = "start the server first, or name the address that it has"
        return f"nobody listens on {where}{f' (where {service} is expected)' if service else ''}", hint
    if call.error in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return f"there is no route to {where}", "look at the machine's network; names that only a proxy can reach need its address"
    if call.error in (errno.ETIMEDOUT, errno.EINPROGRESS):
        return f"{where} does not answer", "is the address right, and does a firewall let it through?"
    if call.error == errno.ECONNRESET:
        return f"{where} broke the connection off", ""
    if call.error == errno.EAGAIN and call.name == "connect":
        return f"{where} takes no more connections at the moment", ""
    return "", ""


def _service(port: int) -> str:
    import socket

    try:
        return socket.getservbyport(port) if port > 0 else ""
    except OSError:
        return ""


def _bind(call: Event, host: str, port: int) -> Reason:
    if call.error == errno.EADDRINUSE and port >= 0:
        return f"port {port} is in use {call.around}".rstrip(), "end what has it, or take another port"
    if call.error == errno.EADDRINUSE:
        return f"{os.fsdecode(call.path)} is there already", "remove it if no server uses it any more"
    if call.error == errno.EADDRNOTAVAIL:
        return f"this machine does not have the address {host}", "0.0.0.0 means every address that it has"
    if call.error in (errno.EACCES, errno.EPERM) and port >= 0:
        start = _first_port()
        return f"ports below {start} are for root (port {port})", f"take a port from {start} on"
    return "", ""


def _first_port() -> int:
    try:
        with open(_PORT_START, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 1024


def _held(call: Event) -> Reason:
    if call.name not in ("flock", "fcntl") or call.error not in (errno.EAGAIN, errno.EACCES):
        return "", ""
    what = os.fsdecode(call.path) if call.path else "the file"
    return f"{what} is locked {call.around or 'by another process'}", "wait until it has ended, or end it"


def _limited(call: Event) -> Reason:
    if call.error == errno.EAGAIN and call.name in circumstances.FORKS:
        return (
            call.around or "there are too many processes (ulimit -u, or a limit of the machine's)",
            "ulimit -u shows how many you may have",
        )
    if call.error in (errno.EMFILE, errno.ENFILE):
        return call.around or "too many files are open (ulimit -n)", "ulimit -n raises it up to the hard limit"
    if call.error == errno.ENOMEM:
        return call.around or "the machine has no memory left for it", "ulimit -v raises it" if "ulimit -v" in call.around else ""
    if call.error == errno.EFBIG:
        return call.around or "the file system has no files of that size (ulimit -f)", ""
    if call.error == errno.E2BIG:
        return "the arguments and the environment together are too long", ""
    return "", ""


def _of_root(call: Event) -> Reason:
    if call.error not in (errno.EPERM, errno.EACCES):
        return "", ""
    if call.name in ("kill", "tgkill", "tkill", "pidfd_send_signal"):
        found = re.search(r"\((-?\d+)", call.words)
        return f"process {found[1] if found else '?'} belongs to another user", ""
    if call.name == "socket" and "SOCK_RAW" in call.words:
        return "raw sockets are for root", ""
    if call.name == "ioctl" and "SETFLAGS" in call.words:
        return "only root may set such attributes", ""
    if call.name in ("chmod", "fchmod", "fchmodat", "fchmodat2", "utimensat", "utime", "utimes", "futimesat") and call.error == errno.EPERM:
        return _owned(call)
    if call.name.endswith("setxattr"):
        return f"{os.fsdecode(call.path)} takes no such attributes from you", ""
    if call.name in _ROOTS:
        return f"only root may {_ROOTS[call.name]}", ""
    return "", ""


def _owned(call: Event) -> Reason:
    try:
        owner = os.stat(call.path).st_uid
    except OSError:
        return "only the owner of a file may do that", ""
    return f"{os.fsdecode(call.path)} belongs to another user (owner {owner}; you are {os.geteuid()})", ""


def _by_errno(call: Event) -> Reason:
    if call.error == errno.ENOTTY:
        return f"{os.fsdecode(call.path) or 'the descriptor'} is not a terminal", ""
    if call.error == errno.EOPNOTSUPP:
        return f"the file system of {os.fsdecode(call.path) or 'the file'} cannot do that", ""
    if call.error == errno.EINVAL and "CLONE" in call.words:
        return "the file system cannot share blocks between these files", ""
    if call.error == errno.EXDEV and "CLONE" in call.words:
        return "the files are on different file systems", ""
    if call.error == errno.ESRCH:
        found = re.search(r"\((-?\d+)", call.words)
        return f"there is no process {found[1] if found else '?'}", ""
    if call.error == errno.EPIPE:
        return "nobody reads from the other side any more", ""
    if call.error == errno.ESPIPE:
        return f"{os.fsdecode(call.path) or 'the descriptor'} is a pipe, a socket or a terminal: it has no positions", ""
    if call.error == errno.EISDIR:
        return f"{os.fsdecode(call.path)} is a directory", ""
    if call.error == errno.EIO:
        return "the device or the file system behind it failed", "the kernel's log says more (dmesg)"
    return "", ""


def killed(number: int, info: bytes, who: str) -> str:
    """Say why a process was killed."""
    name = signal_name(number)
    code, pid = (
        struct.unpack_from("<i", info, 8)[0] if len(info) >= 12 else 1,
        struct.unpack_from("<i", info, 16)[0] if len(info) >= 20 else 0,
    )
    if number in _KILLS and (number not in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE) or code > 0):
        return f"{who} was ended by {name}: {_KILLS[signal.Signals(number)]}"
    return f"{who} was ended by {name}{f', which process {pid} sent' if code <= 0 and pid else ''}"
