"""What is remembered of a root's owners, as text and on the disk: read, written, found again after the root was copied.

Decides: the format (lines of mtree(5), as those of snapshots), where the store of a root is, and which file of a copy a record belongs to.
Not decided here: what a record means to guests (the feature ``owners`` of the core), the verb's words (``owners``).
"""

from __future__ import annotations

import base64
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pyroot.errors import PyrootError
from pyroot.manifest.text import decoded, encoded

FOLDER = b".pyroot"
STORE = FOLDER + b"/owners"
HEAD = "#mtree\n# pyroot owners 1\n"
FORGET, XATTRS, NODE, DEFAULTS = 1, 2, 4, 8
_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link", stat.S_IFCHR: "char", stat.S_IFBLK: "block",
          stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}  # fmt: skip
_KINDS = {name: kind for kind, name in _TYPES.items()}
_ENTRY = struct.Struct("=IHH")
OVERRIDE, ROOTLESS = "user.containers.override_stat", "user.rootlesscontainers"


class Record(NamedTuple):
    """What is remembered of one file."""

    uid: int
    gid: int
    mode: int
    rdev: int = 0
    xattrs: dict[bytes, bytes] = {}


def values(tail: bytes) -> dict[bytes, bytes]:
    """Read a tail (pyroot/store/tails.h): attributes, and under an empty name the path that the file had."""
    found, at = {}, 0
    while at + _ENTRY.size <= len(tail):
        size, name, _zero = _ENTRY.unpack_from(tail, at)
        at += _ENTRY.size
        found[tail[at:at + name]] = tail[at + name:at + name + size]
        at += name + size
    return found


def tail_of(xattrs: dict[bytes, bytes], path: bytes) -> bytes:
    """Write a tail."""
    return b"".join(_ENTRY.pack(len(value), len(name), 0) + name + value for name, value in {**xattrs, b"": path}.items())


def flags(xattrs: dict[bytes, bytes]) -> int:
    """Return the flags of a record that has these attributes."""
    return (XATTRS if xattrs else 0) | (DEFAULTS if b"system.posix_acl_default" in xattrs else 0)


def files(root: bytes) -> Iterator[bytes]:
    """Give the path below the root of every file in it, the root first; what cannot be listed has none."""
    yield b""
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir((root + folder) or b"/") as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if folder or entry.name != FOLDER:
                path = folder + b"/" + entry.name
                yield path
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)


def line(path: bytes, record: Record) -> str:
    """Write a record."""
    words = [f"type={_TYPES.get(stat.S_IFMT(record.mode), 'file')}", f"mode={stat.S_IMODE(record.mode):04o}", f"uid={record.uid}",
             f"gid={record.gid}"]  # fmt: skip
    if stat.S_ISCHR(record.mode) or stat.S_ISBLK(record.mode):
        words.append(f"device=linux,{record.rdev >> 20},{record.rdev & 0xFFFFF}")
    words += [f"xattr.{encoded(name)}={base64.b64encode(value).decode()}" for name, value in sorted(record.xattrs.items())]
    return f"{encoded(b'.' + path)} {' '.join(words)}\n"


def parsed(lines: Iterable[str], name: str) -> Iterator[tuple[bytes, Record]]:
    """Read what ``line`` wrote. Raises PyrootError with the number of a line that is not of that form."""
    for number, text in enumerate(lines, 1):
        if not text.strip() or text.startswith("#"):
            continue
        try:
            path, *words = text.split()
            said = dict(word.split("=", 1) for word in words)
            device = [int(part) for part in said["device"].split(",")[1:]] if "device" in said else [0, 0]
            xattrs = {decoded(key[6:]): base64.b64decode(value, validate=True) for key, value in said.items() if key.startswith("xattr.")}
            mode = int(said["mode"], 8)
            record = Record(int(said["uid"]), int(said["gid"]), _KINDS[said["type"]] | mode, device[0] << 20 | device[1], xattrs)
            below = decoded(path)
            if not 0 <= mode <= 0o7777 or not (below == b"." or below.startswith(b"./")) or b".." in below.split(b"/"):
                raise ValueError(path)
            if not (0 <= record.uid < 1 << 32 and 0 <= record.gid < 1 << 32):
                raise ValueError(path)
        except (ValueError, KeyError, IndexError):
            raise PyrootError(f"owners: {name}: line {number} is not one of `pyroot owners save`") from None
        yield below[1:], record


def safe(mode: int) -> int:
    """Give the mode that the disk gets for one that guests see (safe_mode in the core)."""
    if stat.S_ISDIR(mode):
        return mode & 0o1777 | 0o700
    return mode & 0o1777 | 0o600 | (0o100 if mode & 0o111 else 0)


def of_xattrs(path: bytes, mode: int) -> Record | None:
    """Read what other programs remember in extended attributes of a file, None if there is nothing."""
    try:
        text = os.getxattr(path, OVERRIDE, follow_symlinks=False).decode("ascii", "replace").split(":")
        record = Record(int(text[0]), int(text[1]), stat.S_IFMT(mode) | int(text[2], 8) & 0o7777)
        kind = text[3].split("-") if len(text) > 3 else ["file"]
        if kind[0] in ("block", "char"):
            record = record._replace(mode=_KINDS[kind[0]] | stat.S_IMODE(record.mode), rdev=int(kind[1]) << 20 | int(kind[2]))
        return record
    except (OSError, ValueError, IndexError):
        pass
    try:
        owner = rootless(os.getxattr(path, ROOTLESS, follow_symlinks=False))
    except (OSError, IndexError):
        return None
    return Record(*owner, mode)


def rootless(value: bytes) -> tuple[int, int]:
    """Read the message of user.rootlesscontainers: field 1 is the user, 2 the group; one that is missing is 0."""
    found, at = {1: 0, 2: 0}, 0
    while at < len(value):
        key, at = value[at] >> 3, at + 1
        number, shift = 0, 0
        while value[at] & 0x80:
            number |= (value[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
        number |= value[at] << shift
        at += 1
        found[key] = 0 if number & 0xFFFFFFFF == 0xFFFFFFFF else number & 0xFFFFFFFF
    return found[1], found[2]


def renames(names: bytes) -> list[tuple[bytes, bytes]]:
    """Read the list of renames that lies beside a store: from and to, in their order."""
    texts = names.split(b"\0")
    return list(zip(texts[0:-1:2], texts[1:-1:2], strict=False))


def places(path: bytes, moved: list[tuple[bytes, bytes]]) -> list[bytes]:
    """Give the paths that a file may have now which had ``path`` when its record was made, the likeliest first."""
    now = path
    for old, new in moved:
        if now == old or now.startswith(old + b"/"):
            now = new + now[len(old):]
    return [now, path] if now != path else [path]
