"""Write a root as a tar archive whose bytes depend on the root alone.

Decides: the order (a directory, then what is in it, by the bytes of names), which name of a file with several is the file and which are
hard links to it, and the form: ustar, with an extended header of POSIX.1-2001 where that is too narrow. Names that are not UTF-8 are
written as they are. Not decided here: where the archive goes (``exporting``).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from pyroot.errors import PyrootError, text_of
from pyroot.images import owned
from pyroot.images.tar import BLOCK, HARD_LINK, Entry
from pyroot.verbs import remembered
from pyroot.verbs.remembered import XATTRS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyroot._fast import Owners

_LETTERS = {stat.S_IFREG: b"0", HARD_LINK: b"1", stat.S_IFLNK: b"2", stat.S_IFCHR: b"3", stat.S_IFBLK: b"4", stat.S_IFDIR: b"5",
            stat.S_IFIFO: b"6"}  # fmt: skip
_CHUNK = 1 << 18
_BLOCKING = 20 * BLOCK
# What another program keeps in attributes, and the host's own labels, are not the guest's.
_OF_THE_HOST = (b"security.", b"system.", b"trusted.")


def _octal(number: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, number)


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    size = len(rest) + 1
    while len(b"%d" % size) + len(rest) != size:
        size = len(b"%d" % size) + len(rest)
    return b"%d" % size + rest


def _block(name: bytes, letter: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, link: bytes, rdev: int) -> bytes:
    devices = _octal(rdev >> 20, 8) + _octal(rdev & 0xFFFFF, 8) if letter in b"34" else _octal(0, 8) * 2
    head = name.ljust(100, b"\0") + _octal(mode, 8) + _octal(uid, 8) + _octal(gid, 8) + _octal(size, 12) + _octal(mtime, 12)
    tail = letter + link.ljust(100, b"\0") + b"ustar\x0000" + bytes(64) + devices + bytes(167)
    return head + b"%06o\0 " % (sum(head) + sum(tail) + 256) + tail


def header(entry: Entry) -> bytes:
    """Write the header of an entry, with an extended one before it if it needs that."""
    pax: list[tuple[bytes, bytes]] = []
    name, link = entry.name, entry.link
    if len(name) > 100:
        pax.append((b"path", name))
    if len(link) > 100:
        pax.append((b"linkpath", link))
    numbers = {}
    for key, number, most in ((b"uid", entry.uid, 0o7777777), (b"gid", entry.gid, 0o7777777), (b"size", entry.size, 0o77777777777)):
        numbers[key] = number if number <= most else 0
        if number > most:
            pax.append((key, b"%d" % number))
    seconds, part = divmod(entry.mtime, 10**9)
    if part or not 0 <= seconds <= 0o77777777777:
        whole, sign = (entry.mtime, b"") if entry.mtime >= 0 else (-entry.mtime, b"-")
        text = b"%s%d.%09d" % (sign, *divmod(whole, 10**9))
        pax.append((b"mtime", text.rstrip(b"0").rstrip(b".")))
        seconds = min(max(seconds, 0), 0o77777777777)
    pax += [(b"SCHILY.xattr." + key, value) for key, value in sorted(entry.xattrs.items())]
    before = b""
    if pax:
        data = b"".join(_record(key, value) for key, value in pax)
        try:
            data.decode() if any(key in (b"path", b"linkpath") for key, _value in pax) else None
        except UnicodeDecodeError:
            data = _record(b"hdrcharset", b"BINARY") + data
        head = _block(b"PaxHeaders/" + name.rstrip(b"/").rpartition(b"/")[2][:80], b"x", 0o644, 0, 0, len(data), 0, b"", 0)
        before = head + data + bytes(-len(data) % BLOCK)
    letter = _LETTERS[entry.kind]
    size = numbers[b"size"] if entry.kind == stat.S_IFREG else 0
    return before + _block(name[:100], letter, entry.mode, numbers[b"uid"], numbers[b"gid"], size, seconds, link[:100], entry.rdev)


class Writer:
    """Writes the files of a root."""

    def __init__(self, root: bytes, put: Callable[[bytes], object], seen: Callable[[bytes], None] = lambda name: None) -> None:
        """``put`` takes bytes, ``seen`` is told the name of each file."""
        self.root, self._put, self._seen = root, put, seen
        self._names: dict[tuple[int, int], bytes] = {}
        self._size = 0
        self.left_out: list[bytes] = []  # sockets

    def write(self) -> None:
        """Write all of it. Raises PyrootError."""
        top = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        owners = owned.opened(self.root) if os.path.exists(os.path.join(self.root, remembered.STORE)) else None
        name = b""
        try:
            self._one(owners, b".", top, b"./")
            for folder, own, _inode in owned.walk(top):
                if own:
                    name = folder.path + own
                    self._seen(name)
                    self._one(owners, own, folder.fd, name)
        except OSError as error:
            raise PyrootError(f"{os.fsdecode(name)}: {text_of(error.errno or 0)}") from None
        finally:
            os.close(top)
            if owners is not None:
                owners.close()
        self.finish()
        self.out(bytes(2 * BLOCK))
        self.out(bytes(-self._size % _BLOCKING))

    def wanted(self, entry: Entry, file: int, status: os.stat_result) -> bool:
        """Say whether an entry belongs into the archive (``file``: its content, -1 without)."""
        return True

    def finish(self) -> None:
        """Write what comes after the last file."""

    def out(self, data: bytes) -> None:
        """Write bytes."""
        self._size += len(data)
        self._put(data)

    def _one(self, owners: Owners | None, own: bytes, folder: int, name: bytes) -> None:
        file = -1
        try:
            status = os.stat(own, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and status.st_size:
                file = os.open(own, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
                status = os.fstat(file)
            entry = described(owners, own, folder, name, status)
            if entry.kind == stat.S_IFSOCK:
                self.left_out.append(name)
                return
            key = status.st_dev, status.st_ino
            first = self._names.setdefault(key, name) if status.st_nlink > 1 and entry.kind != stat.S_IFDIR else name
            if first != name:
                entry.kind, entry.link, entry.xattrs, entry.size = HARD_LINK, first, {}, 0
                if file >= 0:
                    os.close(file)
                    file = -1
            if not self.wanted(entry, file, status):
                return
            self.out(header(entry))
            if entry.kind == stat.S_IFREG and entry.size:
                self._content(file, entry.size)
        finally:
            if file >= 0:
                os.close(file)

    def _content(self, file: int, size: int) -> None:
        left = size
        while left:
            data = os.read(file, min(left, _CHUNK))
            if not data:
                raise PyrootError("a file became shorter while it was read", "end what runs in the root first")
            left -= len(data)
            self.out(data)
        self.out(bytes(-size % BLOCK))


def described(owners: Owners | None, own: bytes, folder: int, name: bytes, status: os.stat_result) -> Entry:
    """Return what a file is to guests. Raises OSError."""
    place = f"/proc/self/fd/{folder}/".encode() + own
    mode, uid, gid, rdev = status.st_mode, status.st_uid, status.st_gid, 0
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        rdev = os.major(status.st_rdev) << 20 | os.minor(status.st_rdev)
    if uid == os.geteuid():
        uid = gid = 0
    xattrs = {}
    for one in _listed(place):
        xattrs[one] = os.getxattr(place, one, follow_symlinks=False)
    record = owners.get(place) if owners is not None else None
    if record is not None and owners is not None:
        uid, gid, mode, rdev, flags = record
        if flags & XATTRS:
            xattrs.update({key: value for key, value in remembered.values(owners.tail(place)).items() if key})
    kind = stat.S_IFMT(mode)
    entry = Entry(name, kind, stat.S_IMODE(mode), uid, gid, status.st_size if kind == stat.S_IFREG else 0)
    entry.mtime, entry.rdev, entry.xattrs = status.st_mtime_ns, rdev, xattrs
    if kind == stat.S_IFDIR:
        entry.name = name if name.endswith(b"/") else name + b"/"
    elif kind == stat.S_IFLNK:
        entry.link = os.readlink(own, dir_fd=folder)
        entry.mode = 0o777
    return entry


def _listed(place: bytes) -> Iterator[bytes]:
    try:
        names = os.listxattr(place, follow_symlinks=False)
    except OSError:
        return
    for name in map(os.fsencode, names):
        if not name.startswith(_OF_THE_HOST):
            yield name
