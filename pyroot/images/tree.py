"""The tree that an image is unpacked into: directories by descriptors, so that nothing outside can be reached.

Decides: where a path of an archive leads, and that none leads to what pyroot keeps. It starts at the top; each component is opened from the
descriptor of the one before with O_NOFOLLOW; a symbolic link that an earlier entry has made is followed within the tree, as a chroot
would; `..` in a link ends at the top. No name is looked up twice: what was opened is what is used. Not decided here: what is made there
(``unpack``).
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from pyroot.errors import PyrootError
from pyroot.verbs.remembered import FOLDER

if TYPE_CHECKING:
    from pyroot.images.limits import Limits

AS_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 40
_PATH_MOST = 4095


class Tree:
    """Directories of a tree by their paths. The stack of those that lead to the last one is kept open."""

    def __init__(self, top: int, aside: int, limits: Limits) -> None:
        """``top``: a descriptor of the tree's top; ``aside``: one of a directory on the same file system, for what is removed."""
        self.top, self._aside, self._limits = top, aside, limits
        self._names: list[bytes] = []
        self._fds: list[int] = []
        self._removed = 0
        self._asked: bytes | None = None  # the text that led to the stack as it is
        self.here = b""  # the canonical path of the directory that was asked for last: empty for the top, else with a slash at its end

    def close(self) -> None:
        """Close the descriptors, but for the top."""
        self._leave(0)

    def _leave(self, depth: int) -> None:
        self._asked = None
        while len(self._fds) > depth:
            os.close(self._fds.pop())
            self._names.pop()

    def directory(self, path: bytes, made: list[bytes] | None = None) -> int:
        """Return a descriptor (the tree's own, O_PATH) of the directory that ``path`` leads to.

        With ``made`` missing ones are made, and their canonical paths are added to it. Raises OSError, PyrootError.
        """
        if path == self._asked:
            return self._fds[-1] if self._fds else self.top
        left = [name for name in path.split(b"/") if name and name != b"."]
        same = 0
        while same < min(len(left), len(self._names)) and left[same] == self._names[same]:
            same += 1
        self._leave(same)
        left = left[same:]
        left.reverse()
        links = 0
        while left:
            name = left.pop()
            if name == b"..":
                self._leave(max(len(self._fds) - 1, 0))
                continue
            if name in (b"", b"."):
                continue
            text = self._enter(name, made)
            if text is None:
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if text.startswith(b"/"):
                self._leave(0)
            left += reversed(text.split(b"/"))
        self._asked, self.here = path, self._canonical()
        return self._fds[-1] if self._fds else self.top

    def _canonical(self) -> bytes:
        return b"".join(name + b"/" for name in self._names)

    def _enter(self, name: bytes, made: list[bytes] | None) -> bytes | None:
        """Go down by one name; give the text of the symbolic link that is there instead."""
        here = self._fds[-1] if self._fds else self.top
        if name == FOLDER and not self._fds:
            raise PyrootError("a path leads into /.pyroot, which is where pyroot keeps what it remembers")
        try:
            fd = os.open(name, AS_DIRECTORY, dir_fd=here)
        except FileNotFoundError:
            if made is None:
                raise
            self.here = self._canonical()
            self.check_depth(name)
            os.mkdir(name, 0o755, dir_fd=here)
            fd = os.open(name, AS_DIRECTORY, dir_fd=here)
            made.append(self.here + name)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            try:
                return os.readlink(name, dir_fd=here)
            except OSError:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        self._fds.append(fd)
        self._names.append(name)
        self._asked = None
        return None

    def check_depth(self, name: bytes) -> None:
        """Refuse what would lie too deep in the directory that was asked for last. Raises PyrootError."""
        if len(self._fds) >= self._limits.depth:
            from pyroot.images.limits import reached

            raise reached(f"directories more than {self._limits.depth} deep", "--max-depth", "N")
        if len(self.here) + len(name) > _PATH_MOST:
            raise PyrootError("a path is longer than 4095 bytes")

    def remove(self, fd: int, name: bytes) -> int:
        """Remove a file or a whole directory; give the inode that is gone if it was the last name of a file, else 0. Raises OSError."""
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=fd)
            return status.st_ino if status.st_nlink == 1 else 0
        self._removed += 1
        os.rename(name, b"%d" % self._removed, src_dir_fd=fd, dst_dir_fd=self._aside)
        self._leave(0)  # the descriptors may be of what is gone; those who have one ask again
        return 0


def remove_all(directory: int, name: bytes) -> None:
    """Remove a directory of any depth: what is in a directory moves up, so that two descriptors do. Raises OSError."""
    top = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    number = 0
    try:
        while True:
            with os.scandir(top) as listed:
                entries = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in listed]
            if not entries:
                break
            taken = {entry for entry, _is_directory in entries}
            for entry, is_directory in entries:
                if not is_directory:
                    os.unlink(entry, dir_fd=top)
                    continue
                number = _empty(top, entry, number, taken)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=directory)


def _empty(top: int, name: bytes, number: int, taken: set[bytes]) -> int:
    """Remove a directory in ``top``; the directories in it move to ``top``, under numbers."""
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    try:
        with os.scandir(fd) as listed:
            for entry in listed:
                inner = os.fsencode(entry.name)
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(inner, dir_fd=fd)
                    continue
                while (new := b"%d" % number) in taken:
                    number += 1
                taken.add(new)
                os.rename(inner, new, src_dir_fd=fd, dst_dir_fd=top)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=top)
    return number
