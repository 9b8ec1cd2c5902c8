"""Unpack layers into a tree, as an ordinary user: the disk gets what that user may make, the rest is remembered.

Decides: what an entry replaces, what whiteouts remove (only what lower layers have, wherever in the layer they stand), what a hard link
leads to, which modes and attributes the disk gets and what goes into the owners that ``pyroot owners`` knows. Not decided here: where a
path leads (``tree``), what an archive says (``tar``).

Facts: the layer specification of OCI (application of layers, whiteouts), what umoci does in cases that it leaves open; ``docs/ROOT.md``.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from pyroot.errors import PyrootError, text_of
from pyroot.images.tar import HARD_LINK, Entry, Reader
from pyroot.images.tree import AS_DIRECTORY
from pyroot.verbs.remembered import Record, safe

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroot.images.limits import Limits
    from pyroot.images.tree import Tree

KEPT_NAME = b".pyroot"
_WHITEOUT, _OPAQUE, _AUFS = b".wh.", b".wh..wh..opq", b".wh..wh."
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ON_DISK = b"user."
_CHUNK = 1 << 18


class Unpacker:
    """Fills a tree; what the disk does not say is in ``records``, by inode, with times of directories in ``times``."""

    def __init__(self, tree: Tree, limits: Limits, seen: Callable[[bytes], None] = lambda name: None) -> None:
        """``seen`` is told the name of every entry."""
        self.tree, self._limits, self._seen = tree, limits, seen
        self.records: dict[int, Record] = {}
        self.times: dict[int, int] = {}
        self.lost_attributes = 0
        self.left_out = 0
        self._upper: set[bytes] | None = None  # what this layer has made, and the directories above; None: there is no lower layer

    def layer(self, reader: Reader, layered: bool, first: bool) -> None:
        """Unpack one archive. ``layered``: names of whiteouts mean what they say. Raises PyrootError."""
        self._upper = set() if layered and not first else None
        for entry in reader:
            self._limits.enter()
            self._seen(entry.name)
            try:
                self._entry(entry, reader, layered)
            except OSError as error:
                raise PyrootError(f"{os.fsdecode(entry.name)}: {text_of(error.errno or 0)}") from None
            except PyrootError as error:
                raise PyrootError(f"{os.fsdecode(entry.name)}: {error.message}", error.hint) from None

    def _entry(self, entry: Entry, reader: Reader, layered: bool) -> None:
        path = entry.name.strip(b"/")
        parent, _slash, name = path.rpartition(b"/")
        while name == b"." or not name and parent:
            parent, _slash, name = parent.rpartition(b"/")
        if name == b".." or b".." in parent.split(b"/"):
            raise PyrootError("the name of an entry leads upwards", "nothing was made; an image has no use for such names")
        if not name:
            self._top(entry)
            return
        if path == KEPT_NAME or path.startswith(KEPT_NAME + b"/"):
            self.left_out += 1
            return
        made: list[bytes] = []
        fd = self.tree.directory(parent, made)
        here = self.tree.here
        self._implicit(made, entry)
        if not here and name == KEPT_NAME:
            self.left_out += 1
            return
        if layered and name.startswith(_WHITEOUT):
            self._whiteout(fd, here, name)
            return
        self.tree.check_depth(name)
        if self._upper is not None:
            self._touch(here, name)
        if entry.kind == stat.S_IFDIR:
            self._directory(fd, name, entry)
        elif entry.kind == HARD_LINK:
            self._link(here, name, entry)
        else:
            try:
                self._make(fd, name, entry, reader)
            except FileExistsError:
                self._replace(fd, name)
                self._make(self.tree.directory(here), name, entry, reader)

    def _touch(self, here: bytes, name: bytes) -> None:
        """Note what this layer has made."""
        assert self._upper is not None
        self._upper.add(here + name)
        while here and here[:-1] not in self._upper:
            self._upper.add(here[:-1])
            here = here[:-1].rpartition(b"/")[0] + b"/"
            if here == b"/":
                break

    def _implicit(self, made: list[bytes], entry: Entry) -> None:
        """Directories that no entry has named get the time of the entry that needs them."""
        for path in made:
            fd = self.tree.directory(path)
            self.times[os.fstat(fd).st_ino] = entry.mtime
            if self._upper is not None:
                self._upper.add(path)

    def _top(self, entry: Entry) -> None:
        if entry.kind != stat.S_IFDIR:
            raise PyrootError("an entry without a name is not a directory")
        self._dressed(self.tree.top, entry)

    def _replace(self, fd: int, name: bytes) -> None:
        """Make room for something that is not a directory."""
        try:
            gone = self.tree.remove(fd, name)
        except FileNotFoundError:
            return
        self.records.pop(gone, None)

    def _directory(self, fd: int, name: bytes, entry: Entry) -> None:
        try:
            os.mkdir(name, safe(stat.S_IFDIR | entry.mode) & 0o7777, dir_fd=fd)
        except FileExistsError:
            pass
        try:
            own = os.open(name, AS_DIRECTORY, dir_fd=fd)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            self._replace(fd, name)
            os.mkdir(name, 0o700, dir_fd=fd)
            own = os.open(name, AS_DIRECTORY, dir_fd=fd)
        try:
            self._dressed(own, entry)
        finally:
            os.close(own)

    def _dressed(self, fd: int, entry: Entry) -> None:
        """Give a directory that is there what its entry says."""
        found, mode = os.fstat(fd), safe(stat.S_IFDIR | entry.mode) & 0o7777
        place = f"/proc/self/fd/{fd}"
        if stat.S_IMODE(found.st_mode) != mode:
            os.chmod(place, mode)
        self.times[found.st_ino] = entry.mtime
        self._remember(found.st_ino, stat.S_IFDIR, entry, self._attributes(place, entry.xattrs, follow=True))

    def _link(self, here: bytes, name: bytes, entry: Entry) -> None:
        """Make a hard link to what the tree has under a name."""
        parent, _slash, last = entry.link.strip(b"/").rpartition(b"/")
        if last in (b"", b".", b"..") or b".." in parent.split(b"/"):
            raise PyrootError("a hard link leads upwards, or to a directory")
        try:
            fd = os.dup(self.tree.directory(parent))
        except FileNotFoundError:
            raise PyrootError(f"a hard link leads to {os.fsdecode(entry.link)}, which is not there") from None
        try:
            where = self.tree.here
            if not where and last == KEPT_NAME:
                raise PyrootError("a hard link leads to what pyroot keeps")
            try:
                found = os.stat(last, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                raise PyrootError(f"a hard link leads to {os.fsdecode(entry.link)}, which is not there") from None
            if stat.S_ISDIR(found.st_mode):
                raise PyrootError("a hard link leads to a directory")
            into = self.tree.directory(here)
            try:
                old = os.stat(name, dir_fd=into, follow_symlinks=False)
            except FileNotFoundError:
                old = None
            if old is not None and old.st_ino == found.st_ino:
                return
            if old is not None:
                self._replace(into, name)
                into = self.tree.directory(here)
            os.link(last, name, src_dir_fd=fd, dst_dir_fd=into, follow_symlinks=False)
        finally:
            os.close(fd)

    def _make(self, fd: int, name: bytes, entry: Entry, reader: Reader) -> None:
        """Make a file, a link, a pipe or what stands for a device."""
        kind = entry.kind
        if kind == stat.S_IFREG:
            ino, kept = self._file(fd, name, entry, reader)
            if ino:
                self._remember(ino, kind, entry, kept)
            return
        if kind == stat.S_IFLNK:
            if not entry.link:
                raise PyrootError("a symbolic link is empty")
            os.symlink(entry.link, name, dir_fd=fd)
        elif kind == stat.S_IFIFO:
            os.mkfifo(name, safe(kind | entry.mode) & 0o7777, dir_fd=fd)
        else:
            _stand_in(fd, name)
        kept = self._attributes(f"/proc/self/fd/{fd}/{os.fsdecode(name)}", entry.xattrs)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=fd, follow_symlinks=False)
        if kept or not self._is_plain(kind, entry):
            self._remember(os.stat(name, dir_fd=fd, follow_symlinks=False).st_ino, kind, entry, kept)

    def _file(self, fd: int, name: bytes, entry: Entry, reader: Reader) -> tuple[int, dict[bytes, bytes]]:
        """Write a regular file; give its inode (0: nothing has to be remembered) and the attributes that the disk does not have."""
        file = os.open(name, _NEW_FILE, safe(stat.S_IFREG | entry.mode) & 0o7777, dir_fd=fd)
        try:
            if entry.holes is None:
                while data := reader.read(_CHUNK):
                    _write(file, data)
            else:
                self._limits.take(max(entry.size - entry.data, 0))
                os.ftruncate(file, entry.size)
                for start, length in entry.holes:
                    os.lseek(file, start, os.SEEK_SET)
                    while length:
                        data = reader.read(min(length, _CHUNK))
                        _write(file, data)
                        length -= len(data)
            kept = self._attributes(file, entry.xattrs) if entry.xattrs else {}
            os.utime(file, ns=(entry.mtime, entry.mtime))
            return 0 if not kept and self._is_plain(stat.S_IFREG, entry) else os.fstat(file).st_ino, kept
        finally:
            os.close(file)

    @staticmethod
    def _is_plain(kind: int, entry: Entry) -> bool:
        """Say whether the disk says all of an entry, but for attributes."""
        if entry.uid or entry.gid or kind in (stat.S_IFCHR, stat.S_IFBLK):
            return False
        return kind == stat.S_IFLNK or safe(kind | entry.mode) & 0o7777 == entry.mode

    def _remember(self, ino: int, kind: int, entry: Entry, kept: dict[bytes, bytes]) -> None:
        """Note what the disk does not say."""
        if not kept and self._is_plain(kind, entry):
            self.records.pop(ino, None)
            return
        mode = 0o777 if kind == stat.S_IFLNK else entry.mode
        rdev = entry.rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
        self.records[ino] = Record(entry.uid, entry.gid, kind | mode, rdev, kept)

    def _attributes(self, place: str | int, wanted: dict[bytes, bytes], follow: bool = False) -> dict[bytes, bytes]:
        """Set the attributes that an ordinary user may set; give the others."""
        kept = {}
        for name, value in wanted.items():
            if not name.startswith(_ON_DISK):
                kept[name] = value
                continue
            try:
                if isinstance(place, int):
                    os.setxattr(place, name, value)
                else:
                    os.setxattr(place, name, value, follow_symlinks=follow)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EPERM, errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EINVAL):
                    raise
                self.lost_attributes += 1
        return kept

    # --- whiteouts

    def _whiteout(self, fd: int, here: bytes, name: bytes) -> None:
        """Remove what lower layers have: a name, or all in a directory."""
        if self._upper is None:
            return
        if name == _OPAQUE:
            self._hide_all(here)
        elif not name.startswith(_AUFS):
            self._hide(fd, here, name[len(_WHITEOUT):])

    def _hide(self, fd: int, here: bytes, name: bytes) -> None:
        assert self._upper is not None
        if name in (b"", b".", b"..") or not here and name == KEPT_NAME:
            raise PyrootError("a whiteout is of nothing that can be removed")
        if here + name not in self._upper:
            self._replace(fd, name)
            return
        try:
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode):
            self._hide_all(here + name + b"/")

    def _hide_all(self, here: bytes) -> None:
        """Remove what lower layers have in a directory of this layer."""
        waiting = [here]
        while waiting:
            here = waiting.pop()
            fd = os.open(f"/proc/self/fd/{self.tree.directory(here)}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with os.scandir(fd) as listed:
                    entries = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in listed]
            finally:
                os.close(fd)
            assert self._upper is not None
            for name, is_directory in entries:
                if not here and name == KEPT_NAME:
                    continue
                if here + name not in self._upper:
                    self._replace(self.tree.directory(here), name)
                elif is_directory:
                    waiting.append(here + name + b"/")


def _write(file: int, data: bytes) -> None:
    written = os.write(file, data)
    while written < len(data):
        data = data[written:]
        written = os.write(file, data)


def _stand_in(fd: int, name: bytes) -> None:
    """Make what stands for a device: a device that an ordinary user may make, or an empty file."""
    try:
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=fd)
    except PermissionError:
        os.mknod(name, stat.S_IFREG, 0, dir_fd=fd)
