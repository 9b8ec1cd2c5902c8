"""What the disk does not say of a root's files, written down when all of it is there: owners, modes, devices, times of directories.

Decides: that it is done in one walk at the end, by inodes, so that nothing is written for what a later layer has removed; in which order
files of a root are walked.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from pyroot.errors import PyrootError, no_core, text_of
from pyroot.verbs import remembered
from pyroot.verbs.remembered import NODE, XATTRS, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroot._fast import Owners

_READING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def opened(root: bytes) -> Owners:
    """Open the owners of a root. Raises PyrootError."""
    try:
        from pyroot._fast import CoreError, Owners
    except ImportError as error:
        raise no_core(error) from error
    store = os.path.join(root, remembered.STORE)
    try:
        return Owners(store, root)
    except CoreError as error:
        raise PyrootError(f"{os.fsdecode(store)}: {error}", f"pyroot owners check --repair {os.fsdecode(root)}") from None
    except OSError as error:
        raise PyrootError(f"{os.fsdecode(store)}: {text_of(error.errno or 0)}") from None


class Folder:
    """One directory of a walk: its descriptor, its path below the root, what is in it."""

    __slots__ = ("fd", "path", "entries")

    def __init__(self, fd: int, path: bytes) -> None:
        self.fd, self.path = fd, path
        with os.scandir(fd) as listed:
            found = [(os.fsencode(entry.name), entry.inode(), entry.is_dir(follow_symlinks=False)) for entry in listed]
        self.entries = sorted(one for one in found if path or one[0] != remembered.FOLDER)
        self.entries.reverse()


def walk(root: int) -> Iterator[tuple[Folder, bytes, int]]:
    """Give (directory, name, inode) of every file below a descriptor, in the order of archives: a directory, then what is in it.

    At the end of a directory it comes once more, with an empty name. Raises OSError.
    """
    stack = [Folder(os.open(".", _READING, dir_fd=root), b"")]
    try:
        while stack:
            folder = stack[-1]
            if not folder.entries:
                yield folder, b"", 0
                os.close(stack.pop().fd)
                continue
            name, inode, is_directory = folder.entries.pop()
            yield folder, name, inode
            if is_directory:
                stack.append(Folder(os.open(name, _READING, dir_fd=folder.fd), folder.path + name + b"/"))
    finally:
        for folder in stack:
            os.close(folder.fd)


def settle(root: bytes, top: int, records: dict[int, Record], times: dict[int, int]) -> None:
    """Write down what is in ``records`` and ``times``, by inode, of a root (``top``: its descriptor). Raises OSError, PyrootError."""
    if records:
        os.makedirs(os.path.join(root, remembered.FOLDER), 0o700, exist_ok=True)
    owners = opened(root) if records else None
    own = os.fstat(top).st_ino
    if owners is not None and own in records:
        _put(owners, root, records[own], b"")
    try:
        for folder, name, inode in walk(top):
            if not name:
                inode = os.fstat(folder.fd).st_ino
                if inode in times:
                    os.utime(folder.fd, ns=(times[inode], times[inode]))
            elif owners is not None and inode in records:
                _put(owners, f"/proc/self/fd/{folder.fd}/".encode() + name, records[inode], b"/" + folder.path + name)
    finally:
        if owners is not None:
            owners.close()


def _put(owners: Owners, host: bytes, record: Record, path: bytes) -> None:
    flags = (NODE if stat.S_ISCHR(record.mode) or stat.S_ISBLK(record.mode) else 0) | (XATTRS if record.xattrs else 0)
    owners.put(host, record.uid, record.gid, record.mode, record.rdev, flags, remembered.tail_of(record.xattrs, path))
