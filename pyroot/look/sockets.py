"""What a socket is connected to, by its inode: the kernel's tables in /proc/PID/net.

Decides: how addresses are written, and what -i asks for. Each network namespace is read once. Source: proc(5), unix(7).
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from pyroot.errors import PyrootError
from pyroot.look import proc

_STATES = ("", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK",
           "LISTEN", "CLOSING", "NEW_SYN_RECV")  # fmt: skip
_KINDS = {1: "STREAM", 2: "DGRAM", 3: "RAW", 5: "SEQPACKET"}
_LISTENS = 0x10000  # __SO_ACCEPTCON in the flags of a UNIX socket


@dataclass(frozen=True)
class Address:
    """One end: text of the host's address (empty: any) and the port (0: any)."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or "*"
        return f"{host}:{self.port or '*'}"


@dataclass(frozen=True)
class Socket:
    """One socket. `family` is IPv4, IPv6, unix, netlink or packet; `path` is the host's text of a UNIX socket's name."""

    family: str
    protocol: str
    local: Address | None = None
    remote: Address | None = None
    state: str = ""
    path: bytes = b""


def table(pid: int) -> dict[int, Socket]:
    """Read all sockets of a process's network namespace, by inode."""
    found: dict[int, Socket] = {}
    for name in ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6"):
        for fields in _rows(pid, name, 10):
            protocol = name.rstrip("6")
            state = _STATES[int(fields[3], 16)] if protocol == "tcp" and int(fields[3], 16) < len(_STATES) else ""
            local, remote = _address(fields[1]), _address(fields[2])
            family = "IPv6" if name.endswith("6") else "IPv4"
            found[int(fields[9])] = Socket(family, protocol.upper(), local, remote if remote.port or remote.host else None, state)
    for line in proc.read(pid, "net/unix").splitlines()[1:]:
        fields = line.split(b" ", 1)[1].split(None, 6) if b" " in line else []
        if len(fields) >= 6:
            listens = int(fields[2], 16) & _LISTENS
            kind = _KINDS.get(int(fields[3], 16), "")
            found[int(fields[5])] = Socket("unix", kind, state="LISTEN" if listens else "", path=b"".join(fields[6:]))
    for name, at in (("netlink", 9), ("packet", 8)):
        for fields in _rows(pid, name, at + 1):
            found[int(fields[at])] = Socket(name, "")
    return found


def _rows(pid: int, name: str, least: int) -> list[list[bytes]]:
    rows = (line.split() for line in proc.read(pid, f"net/{name}").splitlines()[1:])
    return [row for row in rows if len(row) >= least]


def _address(text: bytes) -> Address:
    """Read an address of the tables: words of 32 bits in the machine's order, and the port."""
    digits, _colon, port = text.partition(b":")
    raw = b"".join(struct.pack("=I", int(digits[at : at + 8], 16)) for at in range(0, len(digits), 8))
    if not any(raw):
        return Address("", int(port, 16))
    return Address(socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw), int(port, 16))


class Tables:
    """The tables of every network namespace that has been asked for."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[bytes, dict[int, Socket]] = {}

    def of(self, pid: int, inode: int) -> Socket | None:
        """Find a socket of a process."""
        space = proc.link(pid, "ns/net")
        if space not in self._known:
            self._known[space] = table(pid)
        return self._known[space].get(inode)


@dataclass(frozen=True)
class Wanted:
    """What -i asks for, spelled as for lsof: [46][PROTOCOL][@HOST][:PORT[-PORT]]. Empty parts match everything."""

    family: str = ""
    protocol: str = ""
    host: str = ""
    first: int = 0
    last: int = 65535

    def matches(self, one: Socket) -> bool:
        """Tell whether a socket matches, by either of its ends."""
        if one.family not in ("IPv4", "IPv6") or self.family not in ("", one.family) or self.protocol not in ("", one.protocol):
            return False
        ends = [end for end in (one.local, one.remote) if end]
        return any(self.host in ("", end.host) and self.first <= end.port <= self.last for end in ends)


def wanted(text: str) -> Wanted:
    """Read the value of -i. Raises PyrootError."""
    # An IPv6 address has colons of its own and stands in brackets.
    head, bracket, tail = text.rpartition("]")
    rest, _colon, ports = tail.partition(":")
    rest = head + bracket + rest
    before, _at, host = rest.partition("@")
    family = {"4": "IPv4", "6": "IPv6"}.get(before[:1], "")
    protocol = before[1:] if family else before
    low, dash, high = ports.partition("-")
    known = protocol.upper() in ("", "TCP", "UDP", "UDPLITE", "RAW", "ICMP")
    if not known or any(part and not _port(part) for part in (low, high)):
        raise PyrootError(f"files: -i{text}: not understood", "-i[46][tcp|udp][@ADDRESS][:PORT[-PORT]], as lsof has it, with numbers")
    first = _port(low) if low else 0
    last = _port(high) if high else first if low and not dash else 65535
    return Wanted(family, protocol.upper(), host.strip("[]"), first, last)


def _port(text: str) -> int:
    """Give the number of a port, by number or by name; 0 for none."""
    if text.isdigit():
        return int(text)
    try:
        return socket.getservbyname(text)
    except OSError:
        return 0


def inode_of(text: bytes) -> int | None:
    """Give the inode in a link's text like socket:[1234]."""
    inner = text[8:-1]
    return int(inner) if text.startswith(b"socket:[") and inner.isdigit() else None
