"""What descriptors and directories of a guest are called: for -y, -yy, -P and --host-paths.

Decides: the words for what is open, in guest terms (or the host's on request). Everything is read from /proc at the moment of the
call. Facts: proc(5).
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from typing import TYPE_CHECKING

from pyroot.trace import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroot._fast import Core

AT_FDCWD = -100
_LESS, _MORE = "\\74", "\\76"
_COPY = b"/memfd:pyroot:"  # a text of /proc in guest terms (pyroot/_fast/calls/proctext.pxi); its name carries the path


class Places:
    """Answers about the guests of one view."""

    def __init__(self, core: Core | None, host_paths: bool) -> None:
        """Take the view of the session; a guest may have another one inside it. Without a view, paths are the host's."""
        self.core, self.host_paths = core, host_paths

    def _link(self, tid: int, name: str) -> bytes:
        try:
            return os.readlink(f"/proc/{tid}/{name}".encode())
        except OSError:
            return b""

    def _guest(self, tid: int, host: bytes) -> bytes:
        """Give the guest's name for a text of /proc."""
        if host.startswith(_COPY):
            return host[len(_COPY) :].partition(b" ")[0]
        if not host.startswith(b"/") or self.core is None:
            return host
        removed = host.endswith(b" (deleted)")
        guest = self.core.detranslate(host.removesuffix(b" (deleted)"), tid)
        return host if guest is None else guest + (b" (deleted)" if removed else b"")

    def path_of_fd(self, tid: int, fd: int) -> bytes:
        """Give the guest path of what a descriptor refers to; empty if it is closed."""
        return self._guest(tid, self._link(tid, f"fd/{fd}"))

    def path_of_cwd(self, tid: int) -> bytes:
        """Give the guest path of the working directory."""
        return self._guest(tid, self._link(tid, "cwd"))

    def cwd(self, tid: int) -> str:
        """Give the working directory for -y."""
        host = self._link(tid, "cwd")
        return _shown(host if self.host_paths else self._guest(tid, host))

    def of_fd(self, tid: int, fd: int, level: int) -> str:
        """Give the words for -y (1) and -yy (2); empty for a closed descriptor."""
        link = self._link(tid, f"fd/{fd}")
        if not link:
            return ""
        if level > 1 and link.startswith(b"socket:["):
            named = _socket(tid, fd, link[8:-1].decode())
            return f"<{named}>" if named else _shown(link)
        if level > 1 and link.startswith(b"/"):
            return _shown(link if self.host_paths else self._guest(tid, link))[:-1] + _device(tid, fd) + ">"
        return _shown(link if self.host_paths else self._guest(tid, link))

    def host(self, tid: int, path: bytes, dirfd: int) -> bytes:
        """Give the host path of what a guest names; the guest's own words if that leads nowhere."""
        if self.core is None or not path:
            return path
        base = b"/"
        if not path.startswith(b"/"):
            base = self.path_of_cwd(tid) if dirfd == AT_FDCWD else self.path_of_fd(tid, dirfd)
        try:
            return self.core.resolve(path, base or b"/", follow=False, missing=True, tid=tid)[1]
        except OSError:
            return path


def _shown(path: bytes) -> str:
    """Put a path between angle brackets, escape what would end them or the line, and say after them whether it has been removed."""
    removed = "(deleted)" if path.endswith(b" (deleted)") else ""
    words = text.quoted(path.removesuffix(b" (deleted)"))[1:-1].replace('\\"', '"')
    return f"<{words.replace('<', _LESS).replace('>', _MORE)}>{removed}"


def _device(tid: int, fd: int) -> str:
    try:
        found = os.stat(f"/proc/{tid}/fd/{fd}")
    except OSError:
        return ""
    for test, name in ((stat.S_ISCHR, "char"), (stat.S_ISBLK, "block")):
        if test(found.st_mode):
            return f"<{name} {os.major(found.st_rdev)}:{os.minor(found.st_rdev)}>"
    return ""


def _lines(tid: int, name: str) -> Iterator[list[str]]:
    try:
        with open(f"/proc/{tid}/net/{name}", encoding="ascii", errors="replace") as file:
            next(file, "")
            for line in file:
                yield line.split()
    except OSError:
        return


def _endpoint(words: str) -> str:
    address, _colon, port = words.partition(":")
    packed = b"".join(struct.pack("<I", int(address[at : at + 8], 16)) for at in range(0, len(address), 8))
    if len(packed) == 4:
        return f"{socket.inet_ntoa(packed)}:{int(port, 16)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]:{int(port, 16)}"


def _socket(tid: int, fd: int, inode: str) -> str:
    """Name a socket: its protocol, and its ends if it has any."""
    try:
        protocol = os.getxattr(f"/proc/{tid}/fd/{fd}", "system.sockprotoname").rstrip(b"\0").decode("ascii", "replace")
    except OSError:
        return ""
    if protocol.startswith("UNIX"):
        return f"{protocol}:[{inode}{_unix_details(int(inode))}]"
    for words in _lines(tid, protocol.lower().replace("v6", "6")):
        if len(words) > 9 and words[9] == inode:
            here, there = _endpoint(words[1]), _endpoint(words[2])
            return f"{protocol}:[{here}->{there}]" if int(words[2].partition(":")[2], 16) else f"{protocol}:[{here}]"
    return f"{protocol}:[{inode}]"


_SOCK_DIAG_BY_FAMILY, _NETLINK_SOCK_DIAG, _SHOW_NAME_AND_PEER = 20, 4, 5
_DIAG_NAME, _DIAG_PEER = 0, 2


def _unix_details(inode: int) -> str:
    """Ask sock_diag(7) for the peer and the name of an AF_UNIX socket."""
    request = struct.pack("<IHHIIBBHIIIII", 40, _SOCK_DIAG_BY_FAMILY, 1, 1, 0, socket.AF_UNIX, 0, 0, 0xFFFFFFFF, inode, _SHOW_NAME_AND_PEER,
                          0xFFFFFFFF, 0xFFFFFFFF)  # fmt: skip
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asking:
            asking.send(request)
            answer = asking.recv(4096)
    except OSError:
        return ""
    length, kind = struct.unpack_from("<IH", answer)
    if kind != _SOCK_DIAG_BY_FAMILY:
        return ""
    at, peer, name = 32, "", ""
    while at + 4 <= min(length, len(answer)):
        size, what = struct.unpack_from("<HH", answer, at)
        value = answer[at + 4 : at + size]
        if what == _DIAG_PEER:
            peer = f"->{struct.unpack('<I', value)[0]}"
        elif what == _DIAG_NAME and value:
            name = f',@{text.quoted(value[1:])}' if value[0] == 0 else f",{text.quoted(value.rstrip(bytes(1)))}"
        at += max(4, (size + 3) & ~3)
    return peer + name
