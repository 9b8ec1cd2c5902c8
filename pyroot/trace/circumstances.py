"""What is so while a call fails and may be over when the command has ended: who holds a lock or a port, and what the limits are.

Decides: which failures are looked at at once, and the words for what is found. Not decided here: the rest of the cause (`cause`,
`reasons`). Facts: proc(5) (/proc/locks, /proc/net/tcp, /proc/PID/limits), the errno lists of the calls.
"""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroot.trace.history import Event

FORKS = ("fork", "vfork", "clone", "clone3")
MEMORY = ("mmap", "mprotect", "mremap", "brk", "mlock", "mlockall")
_LISTEN = "0A"  # TCP_LISTEN, include/net/tcp_states.h
_LIMITS = {
    "processes": ("Max processes", "ulimit -u"), "files": ("Max open files", "ulimit -n"), "memory": ("Max address space", "ulimit -v"),
    "size": ("Max file size", "ulimit -f"), "locked": ("Max locked memory", "ulimit -l"),
}  # fmt: skip


def of(event: Event, tid: int, fd: int) -> str:
    """Say what is so now that a call has failed; usually nothing."""
    if event.error in (errno.EAGAIN, errno.EACCES) and event.name in ("flock", "fcntl"):
        return _holder(tid, fd)
    if event.error == errno.EADDRINUSE:
        return _listener(event.words)
    if event.error == errno.EAGAIN and event.name in FORKS:
        return _limit(tid, "processes")
    if event.error == errno.EMFILE:
        return _limit(tid, "files")
    if event.error == errno.ENOMEM:
        return _limit(tid, "locked" if event.name.startswith("mlock") else "memory")
    if event.error == errno.EFBIG:
        return _limit(tid, "size")
    if event.error == errno.ETXTBSY:
        return _running(event.path, tid)
    return ""


def _limit(tid: int, name: str) -> str:
    title, option = _LIMITS[name]
    value = limit(tid, title)
    if value in ("", "unlimited"):
        return ""
    unit = " bytes" if name in ("memory", "size", "locked") else ""
    return f"{title[4:]} are limited to {value}{unit} ({option})" if name != "size" else f"files are limited to {value}{unit} ({option})"


def limit(tid: int, title: str) -> str:
    """Give the soft limit of a process by the name that /proc has for it."""
    try:
        with open(f"/proc/{tid}/limits", encoding="ascii") as file:
            return next((line[len(title) :].split()[0] for line in file if line.startswith(title)), "")
    except OSError:
        return ""


def process_name(pid: int) -> str:
    """Give `process PID (NAME)`."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return f"process {pid} ({file.read().strip()})"
    except OSError:
        return f"process {pid}"


def _holder(tid: int, fd: int) -> str:
    """Say who holds a lock of the file that a descriptor stands for."""
    try:
        found = os.stat(f"/proc/{tid}/fd/{fd}")
        with open("/proc/locks", encoding="ascii") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    inode = re.compile(rf"\b{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}$")
    for line in lines:
        words = line.split()
        if len(words) < 8 or "->" in words or not inode.search(words[-3]):
            continue
        pid = words[-4]
        if pid != str(tid):
            return f"by {process_name(int(pid))}" if pid.isdigit() and pid != "0" else "by a process that is not seen from here"
    return ""


def _listener(words: str) -> str:
    """Say who has a port."""
    found = re.search(r"htons\((\d+)\)", words)
    if found is None:
        return ""
    inodes = {inode for port, inode in _sockets() if port == int(found[1])}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for one in os.listdir(f"/proc/{pid}/fd"):
                link = os.readlink(f"/proc/{pid}/fd/{one}")
                if link.startswith("socket:[") and link[8:-1] in inodes:
                    return f"by {process_name(int(pid))}"
        except OSError:
            continue
    return ""


def _sockets() -> Iterator[tuple[int, str]]:
    """List ports that are taken, with the inodes of their sockets."""
    for name in ("tcp", "tcp6", "udp", "udp6"):
        try:
            with open(f"/proc/net/{name}", encoding="ascii") as file:
                next(file, "")
                for line in file:
                    words = line.split()
                    if words[3] == _LISTEN or name.startswith("udp"):
                        yield int(words[1].rpartition(":")[2], 16), words[9]
        except OSError:
            continue


def _running(path: bytes, tid: int) -> str:
    """Say which process executes a file that is to be written."""
    name = os.path.basename(path)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.path.basename(os.readlink(f"/proc/{pid}/exe".encode())) == name:
                return f"by {process_name(int(pid))}"
        except OSError:
            continue
    return ""
