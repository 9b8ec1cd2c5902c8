"""Read a tar archive entry by entry, as one that somebody hostile may have made.

Decides: which forms are understood (v7, ustar, POSIX.1-2001 with extended headers, GNU with long names, base-256 numbers and all four kinds
of sparse files), and that everything else ends in one line. Not decided here: what becomes of an entry (``unpack``).

Why not ``tarfile``: it reads an extended header of any length into memory, calls itself for each one that follows another, keeps every
member, and does not show the bytes of headers. Its reading is held against this one in tests.

Facts: pax of POSIX.1-2017, tar(5) of libarchive, "Basic Tar Format" and "Storing Sparse Files" in GNU tar's manual.
"""

from __future__ import annotations

import base64
import stat
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from pyroot.errors import PyrootError

if TYPE_CHECKING:
    from pyroot.images.limits import Limits
    from pyroot.images.streams import Stream

BLOCK = 512
FILE, HARD_LINK = 0, 1
KINDS = {b"0": stat.S_IFREG, b"\0": stat.S_IFREG, b"7": stat.S_IFREG, b"S": stat.S_IFREG, b"1": HARD_LINK, b"2": stat.S_IFLNK,
         b"3": stat.S_IFCHR, b"4": stat.S_IFBLK, b"5": stat.S_IFDIR, b"D": stat.S_IFDIR, b"6": stat.S_IFIFO}  # fmt: skip
_FIELDS = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_NAME_MOST = 4095
_LAST_TIME = 1 << 40  # s
_ID_MOST = (1 << 32) - 2
XATTR_MOST, XATTRS_MOST = 65536, 512 << 10


class Entry:
    """One entry. ``kind`` is a type as in a mode, or HARD_LINK; names are as they stand in the archive."""

    __slots__ = ("name", "kind", "mode", "uid", "gid", "size", "mtime", "link", "rdev", "xattrs", "data", "holes")

    def __init__(self, name: bytes, kind: int, mode: int, uid: int, gid: int, size: int) -> None:
        self.name, self.kind, self.mode, self.uid, self.gid, self.size = name, kind, mode, uid, gid, size
        self.mtime = 0  # ns
        self.link = b""
        self.rdev = 0  # major << 20 | minor
        self.xattrs: dict[bytes, bytes] = {}
        self.data = size  # bytes in the archive
        self.holes: list[tuple[int, int]] | None = None  # of a sparse file: where data is, and how much


def broken(what: str) -> PyrootError:
    """Return what to say about an archive that is not whole, or not one."""
    return PyrootError(f"the tar archive is damaged: {what}")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes, what: str) -> int:
    """Read a number: octal digits, or base 256."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ~(0x80 << 8 * (len(field) - 1))
        if field[0] & 0x40:
            raise broken(f"{what} is negative")
        return value
    digits = field.strip(b" \0")
    if digits and (not digits.isdigit() or b"8" in digits or b"9" in digits):
        raise broken(f"{what} is not a number")
    return int(digits or b"0", 8)


def _decimal(text: bytes, what: str) -> int:
    if not text.isdigit() or len(text) > 20:
        raise broken(f"{what} is not a number")
    return int(text)


def _time(text: bytes) -> int:
    """Read seconds with a fraction; give nanoseconds."""
    sign, plain = (-1, text[1:]) if text.startswith(b"-") else (1, text)
    whole, _, part = plain.partition(b".")
    if not whole.isdigit() or len(whole) > 20 or part and not part.isdigit():
        raise broken("a time is not a number")
    return sign * (int(whole) * 10**9 + int(part[:9].ljust(9, b"0")))


class Reader:
    """The entries of one archive. The data of an entry is read from the stream before the next entry is asked for, or skipped."""

    def __init__(self, stream: Stream, limits: Limits) -> None:
        self._stream, self._limits = stream, limits
        self._global: dict[bytes, bytes] = {}
        self._left = 0  # bytes of the current entry that have not been read
        self._padding = 0
        self.skip = self._read_over  # a source that can seek has a better way
        self.at = 0  # where in the stream the next byte is

    def read(self, most: int) -> bytes:
        """Read data of the current entry; nothing at its end. Raises PyrootError if the archive ends first."""
        size = min(most, self._left)
        data = self._stream.read(size) if size else b""
        if len(data) < size:
            raise broken("it ends within a file")
        self._left -= size
        self.at += size
        return data

    def _read_over(self, size: int) -> None:
        while size:
            data = self._stream.read(min(size, 1 << 18))
            if not data:
                raise broken("it ends within a file")
            size -= len(data)

    def _block(self) -> bytes:
        block = self._stream.read(BLOCK)
        if len(block) not in (0, BLOCK):
            raise broken("it ends within a header")
        self.at += len(block)
        return block

    def _extra(self, size: int, what: str) -> bytes:
        """Read the data of an entry that says something about the next one."""
        if size > self._limits.header:
            from pyroot.images.limits import reached

            raise reached(f"an extended header of {size} bytes", "--max-header", "SIZE")
        data = self._stream.read(size)
        if len(data) < size or len(self._stream.read(-size % BLOCK)) < -size % BLOCK:
            raise broken(f"it ends within {what}")
        self.at += size + -size % BLOCK
        return data

    def __iter__(self) -> Iterator[Entry]:
        """Give the entries."""
        while True:
            over = self._left + self._padding
            if over:
                self.skip(over)
                self.at += over
                self._left = self._padding = 0
            entry = self._next()
            if entry is None:
                return
            self._left, self._padding = entry.data, -entry.data % BLOCK
            if self._is_mapped:
                self._map(entry)
            yield entry

    def _next(self) -> Entry | None:
        pax: list[tuple[bytes, bytes]] = []
        name = link = None
        told = self._is_mapped = False
        while True:
            block = self._block()
            if not block or not block.strip(b"\0"):
                if told:
                    raise broken("an extended header is followed by nothing")
                return None
            fields = _FIELDS.unpack(block)
            self._check_sum(block, fields[6])
            size, kind = _number(fields[4], "a size"), fields[7]
            told = told or kind in (b"x", b"X", b"L", b"K")
            if kind in (b"x", b"X"):
                pax = list(records(self._extra(size, "an extended header")))
            elif kind == b"g":
                self._global.update(records(self._extra(size, "an extended header")))
            elif kind == b"L":
                name = _text(self._extra(size, "a long name"))
            elif kind == b"K":
                link = _text(self._extra(size, "a long name"))
            elif kind == b"V":
                self.skip(size + -size % BLOCK)
                self.at += size + -size % BLOCK
            else:
                return self._entry(block, fields, size, pax, name, link)

    def _check_sum(self, block: bytes, told: bytes) -> None:
        plain = sum(block) - sum(told) + 256
        if self.at == BLOCK and not told.strip(b" \0").isdigit():
            raise PyrootError("it is not a tar archive")
        wanted = _number(told, "a checksum")
        if plain != wanted and wanted != plain - 256 * sum(byte > 127 for byte in block[:148] + block[156:]):
            raise broken("the checksum of a header is wrong")

    def _entry(self, block: bytes, fields: tuple[bytes, ...], size: int, pax: list[tuple[bytes, bytes]],
               name: bytes | None, link: bytes | None) -> Entry:  # fmt: skip
        kind = KINDS.get(fields[7])
        if kind is None:
            raise PyrootError(f"an entry of a kind that is not known: {fields[7]!r}")
        if name is None:
            name = _text(fields[0])
            if fields[9] == b"ustar\x0000" and fields[14][0]:
                name = _text(fields[14]) + b"/" + name
        uid, gid = _number(fields[2], "an owner"), _number(fields[3], "a group")
        entry = Entry(name, kind, _number(fields[1], "a mode") & 0o7777, uid, gid, size)
        entry.link = _text(fields[8]) if link is None else link
        entry.mtime = _number(fields[5], "a time") * 10**9
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            major, minor = _number(fields[12], "a device"), _number(fields[13], "a device")
            entry.rdev = major << 20 | minor
            if major >= 1 << 12 or minor >= 1 << 20:
                raise broken("a device has no such number")
        if kind == stat.S_IFREG and fields[7] in (b"\0", b"0") and name.endswith(b"/"):
            entry.kind = stat.S_IFDIR
        if fields[7] == b"S":
            self._gnu_sparse(entry, block)
        elif self._global or pax:
            self._extend(entry, pax)
        if entry.kind != stat.S_IFREG:
            entry.data, entry.size = size if fields[7] == b"D" else 0, 0
        self._judge(entry)
        return entry

    @staticmethod
    def _judge(entry: Entry) -> None:
        if not entry.name or len(entry.name) > _NAME_MOST or b"\0" in entry.name or len(entry.link) > _NAME_MOST or b"\0" in entry.link:
            raise PyrootError("the name of an entry is empty, too long, or not a name")
        if not (0 <= entry.uid <= _ID_MOST and 0 <= entry.gid <= _ID_MOST):
            raise PyrootError("an owner or a group is not a number of 32 bits")
        if abs(entry.mtime) > _LAST_TIME * 10**9:
            raise PyrootError("a time is out of range")
        if entry.size >= 1 << 63 or entry.data >= 1 << 63:
            raise PyrootError("a file is too large")

    def _gnu_sparse(self, entry: Entry, block: bytes) -> None:
        """Read the map of the oldest kind of sparse files, which lies in the header and in blocks after it."""
        places: list[tuple[int, int]] = []
        more, table = block[482], block[386:482]
        entry.data, entry.size = entry.size, _number(block[483:495], "a size")
        while True:
            for at in range(0, len(table) - 23, 24):
                if table[at]:
                    places.append((_number(table[at:at + 12], "a hole"), _number(table[at + 12:at + 24], "a hole")))
            if not more:
                break
            following = self._block()
            if not following or 24 * len(places) > self._limits.header:
                raise broken("the map of a sparse file does not end")
            more, table = following[504], following[:504]
        entry.holes = _checked(places, entry.data, entry.size)

    def _extend(self, entry: Entry, pax: list[tuple[bytes, bytes]]) -> None:
        """Apply extended headers."""
        values = {**self._global, **dict(pax)}
        size = values.get(b"size")
        if size is not None:
            entry.size = entry.data = _decimal(size, "a size")
        if b"path" in values:
            entry.name = values[b"path"]
        if b"linkpath" in values:
            entry.link = values[b"linkpath"]
        if b"uid" in values:
            entry.uid = _decimal(values[b"uid"], "an owner")
        if b"gid" in values:
            entry.gid = _decimal(values[b"gid"], "a group")
        if b"mtime" in values:
            entry.mtime = _time(values[b"mtime"])
        for key, value in values.items():
            found = xattr_name(key)
            if found:
                entry.xattrs[found] = _plain(value) if key.startswith(b"LIBARCHIVE") else value
                if len(found) > 255 or len(entry.xattrs[found]) > XATTR_MOST or b"\0" in found:
                    raise PyrootError("an extended attribute is too long")
        if sum(len(value) + 256 for value in entry.xattrs.values()) > XATTRS_MOST:
            raise PyrootError("the extended attributes of a file are too long")
        if entry.kind == stat.S_IFREG and any(key.startswith(b"GNU.sparse.") for key in values):
            self._pax_sparse(entry, pax, values)
        if entry.name.endswith(b"/") and entry.kind == stat.S_IFREG and not entry.data:
            entry.kind = stat.S_IFDIR

    def _pax_sparse(self, entry: Entry, pax: list[tuple[bytes, bytes]], values: dict[bytes, bytes]) -> None:
        """Read the map of a sparse file of one of the three newer kinds."""
        entry.name = values.get(b"GNU.sparse.name", entry.name)
        whole = values.get(b"GNU.sparse.realsize", values.get(b"GNU.sparse.size"))
        if whole is None:
            raise broken("a sparse file has no size")
        entry.size = _decimal(whole, "a size")
        if values.get(b"GNU.sparse.major") == b"1":
            self._is_mapped = True
            return
        if b"GNU.sparse.map" in values:
            numbers = [_decimal(text, "a hole") for text in values[b"GNU.sparse.map"].split(b",")] if values[b"GNU.sparse.map"] else []
        else:
            numbers = [_decimal(value, "a hole") for key, value in pax if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes")]
        if len(numbers) % 2:
            raise broken("the map of a sparse file is not whole")
        entry.holes = _checked(list(zip(numbers[::2], numbers[1::2], strict=True)), entry.data, entry.size)

    def _map(self, entry: Entry) -> None:
        """Read the map that lies before the data of a sparse file."""
        text = b""
        wanted = 1
        while text.count(b"\n") < wanted:
            block = self.read(BLOCK)
            if len(block) < BLOCK or len(text) > self._limits.header:
                raise broken("the map of a sparse file does not end")
            text += block
            if wanted == 1 and b"\n" in text:
                wanted = 1 + 2 * _decimal(text.partition(b"\n")[0], "a hole")
        numbers = [_decimal(line, "a hole") for line in text.split(b"\n")[1:wanted]]
        entry.holes = _checked(list(zip(numbers[::2], numbers[1::2], strict=True)), self._left, entry.size)

    _is_mapped = False


def _plain(text: bytes) -> bytes:
    try:
        return base64.b64decode(text + b"==")
    except ValueError:
        raise broken("an extended attribute is not base64") from None


def xattr_name(key: bytes) -> bytes:
    """Return which extended attribute a key of an extended header stands for; empty: none."""
    if key.startswith(b"SCHILY.xattr."):
        return key[13:]
    if key.startswith(b"LIBARCHIVE.xattr."):
        return unquote_to_bytes(key[17:])
    return b"security.selinux" if key == b"RHT.security.selinux" else b""


def _checked(places: list[tuple[int, int]], data: int, size: int) -> list[tuple[int, int]]:
    """Return the map of a sparse file if it is in order and as long as the data. Raises PyrootError."""
    at = 0
    for start, length in places:
        if start < at or start + length > size:
            raise broken("the map of a sparse file is not in order")
        at = start + length
    if sum(length for _start, length in places) != data:
        raise broken("the map of a sparse file is not that of its data")
    return places


def records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Read the records of an extended header. Raises PyrootError."""
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 12)
        if space < 0 or not data[at:space].isdigit():
            if not data[at:].strip(b"\0"):
                return
            raise broken("an extended header is not one")
        end = at + int(data[at:space])
        key, equals, value = data[space + 1:end - 1].partition(b"=")
        if not key or not equals or end > len(data) or data[end - 1:end] != b"\n":
            raise broken("an extended header is not one")
        yield key, value
        at = end
