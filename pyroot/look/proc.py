"""What /proc says about a process of the host: plain reading, no guest terms.

Decides: how a field is found, and that what is gone or may not be read gives nothing. No process is stopped for this.
Source: proc(5).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")


def pids() -> list[int]:
    """List the processes in order of their numbers."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def read(pid: int, name: str) -> bytes:
    """Read a file of a process; nothing if it is gone or may not be read."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def link(pid: int, name: str) -> bytes:
    """Read a link of a process; nothing if it is gone or may not be read."""
    try:
        return os.readlink(b"/proc/%d/%s" % (pid, os.fsencode(name)))
    except OSError:
        return b""


def descriptors(pid: int) -> list[int] | None:
    """List the open descriptors in order; None if they may not be read or the process is gone."""
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def held(pid: int, is_wanted: Callable[[bytes], bool]) -> tuple[int, int, int] | None:
    """Find an open file by the text of its link: the descriptor, the device and the inode."""
    for fd in descriptors(pid) or ():
        if is_wanted(link(pid, f"fd/{fd}")):
            try:
                found = os.stat(f"/proc/{pid}/fd/{fd}")
            except OSError:
                return None
            return fd, found.st_dev, found.st_ino
    return None


@dataclass(frozen=True)
class Status:
    """What every user may know about a process. `started` is in seconds since boot, `used` in seconds of processor time."""

    pid: int
    name: bytes
    state: str
    parent: int
    tracer: int
    uid: int
    threads: int
    switches: int
    started: float
    used: float
    code: int  # where its program's code begins


def status(pid: int) -> Status | None:
    """Read status and stat of a process; None if it is gone."""
    fields = dict(line.split(b":\t", 1) for line in read(pid, "status").splitlines() if b":\t" in line)
    numbers = read(pid, "stat").rpartition(b")")[2].split()
    if len(numbers) < 24 or b"Uid" not in fields:
        return None
    return Status(
        pid=pid,
        name=fields[b"Name"],
        state=numbers[0].decode("ascii", "replace"),
        parent=int(numbers[1]),
        tracer=int(fields.get(b"TracerPid", b"0")),
        uid=int(fields[b"Uid"].split()[0]),
        threads=int(fields.get(b"Threads", b"1")),
        switches=int(fields.get(b"voluntary_ctxt_switches", b"0")),
        started=int(numbers[19]) / _TICKS,
        used=(int(numbers[11]) + int(numbers[12])) / _TICKS,
        code=int(numbers[23]),
    )


def uptime() -> float:
    """Give the seconds since boot."""
    with open("/proc/uptime", "rb") as file:
        return float(file.read().split()[0])


@dataclass(frozen=True)
class Mapping:
    """One mapping of a file."""

    start: int
    end: int
    device: int
    inode: int
    path: bytes


def mappings(pid: int) -> Iterator[Mapping]:
    """List the mappings of files."""
    for line in read(pid, "maps").splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and fields[4] != b"0":
            start, end = (int(part, 16) for part in fields[0].split(b"-"))
            major, minor = (int(part, 16) for part in fields[3].split(b":"))
            yield Mapping(start, end, os.makedev(major, minor), int(fields[4]), fields[5].replace(b"\\012", b"\n"))
