"""Walk a root and record every file in it.

Decides: the order (a directory, then what is in it, by the bytes of the names), what is read, and what becomes of files that
cannot be read: they are recorded with the reason. Symbolic links are not followed; only regular files are opened; directories
of other file systems (a /proc that is mounted there) are named and not entered. What pyroot itself keeps in a root is left out.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator

from pyroot.elf.rooted import Rooted
from pyroot.manifest.entry import BLOCK, CHARACTER, DIRECTORY, FIFO, FILE, LINK, SOCKET, Entry
from pyroot.manifest.owners import owners_of
from pyroot.plain import replace
from pyroot.verbs.remembered import FOLDER

_TYPES = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: LINK,
    stat.S_IFIFO: FIFO,
    stat.S_IFSOCK: SOCKET,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK,
}
OTHER_FILE_SYSTEM = "EXDEV"
_CHUNK = 1 << 20


def scan(root: bytes, content: bool = True, progress: Callable[[str], None] = lambda text: None) -> Iterator[Entry]:
    """List the files of the root directory `root` (canonical); `content`: with hashes of regular files."""
    walk = _Walk(root, content, progress)
    yield from walk.directory(b"/")


class _Walk:
    def __init__(self, root: bytes, content: bool, progress: Callable[[str], None]) -> None:
        self._rooted = Rooted(root)
        self._device = os.stat(root).st_dev
        self._content = content
        self._progress = progress
        self._owners = owners_of(self._rooted)
        self._hashes: dict[tuple[int, int], tuple[str, str]] = {}  # hard links are read once
        self._count = 0

    def directory(self, top: bytes) -> Iterator[Entry]:
        pending = [top]
        while pending:
            path = pending.pop()
            entry, inside = self._entry(path)
            if entry is None:
                continue
            names: list[bytes] = []
            if inside:
                try:
                    names = sorted(os.listdir(self._rooted.host(path)), reverse=True)
                    if path == b"/" and FOLDER in names:
                        names.remove(FOLDER)  # guests do not see it, and it changes with every session
                except OSError as error:
                    entry = replace(entry, problem=name_of(error))
            yield entry
            pending += [path.rstrip(b"/") + b"/" + name for name in names]

    def _entry(self, path: bytes) -> tuple[Entry | None, bool]:
        """Record one file; also whether it is a directory to enter. None for one that has just disappeared."""
        host = self._rooted.host(path)
        self._count += 1
        self._progress(f"{self._count} files: {os.fsdecode(path)}")
        try:
            status = os.lstat(host)
        except OSError as error:
            return (None if error.errno == errno.ENOENT else Entry(path, "unknown", problem=name_of(error))), False
        kind = _TYPES.get(stat.S_IFMT(status.st_mode), "unknown")
        foreign = kind == DIRECTORY and status.st_dev != self._device
        size: int | None = None
        sha256 = problem = ""
        target: bytes | None = None
        if kind == FILE:
            size = status.st_size
            sha256, problem = self._hash(host, status) if self._content else ("", "")
        elif kind == LINK:
            try:
                target = os.readlink(host)
            except OSError as error:
                problem = name_of(error)
        xattrs, hidden = _xattrs(host)
        entry = Entry(
            path=path,
            type=kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            size=size,
            sha256=sha256,
            target=target,
            device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in (CHARACTER, BLOCK) else None,
            xattrs=xattrs,
            package=self._owners.get(path, "") if kind != DIRECTORY else "",
            problem=OTHER_FILE_SYSTEM if foreign else problem or hidden,
        )
        return entry, kind == DIRECTORY and not foreign

    def _hash(self, host: bytes, status: os.stat_result) -> tuple[str, str]:
        key = status.st_dev, status.st_ino
        if key not in self._hashes:
            found = _hash_of(host)
            if status.st_nlink < 2:
                return found
            self._hashes[key] = found
        return self._hashes[key]


def _hash_of(host: bytes) -> tuple[str, str]:
    """Give the hash of a regular file, or why it could not be read."""
    digest = hashlib.sha256()
    try:
        fd = os.open(host, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        return "", name_of(error)
    return digest.hexdigest(), ""


def _xattrs(host: bytes) -> tuple[dict[bytes, bytes], str]:
    try:
        names = os.listxattr(host, follow_symlinks=False)
        return {os.fsencode(name): os.getxattr(host, name, follow_symlinks=False) for name in sorted(names)}, ""
    except OSError as error:
        return {}, "" if error.errno in (errno.ENOTSUP, errno.ENODATA, errno.ENOENT) else name_of(error)


def name_of(error: OSError) -> str:
    """Give the name of an error's number."""
    return errno.errorcode.get(error.errno or 0, "EIO")
