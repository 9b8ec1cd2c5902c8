"""What `-o FILE` means, for every verb that has it.

Decides: which file a name leads to, and how what is there already is treated. A name is relative to the directory in which the verb was
called, wherever the supervisor has gone since. A descriptor of pyroot's own (`-`, `/dev/stdout`, `/dev/fd/N`) is written to as it is, a
device or a FIFO is opened and written to. A whole text replaces a regular file in one step, through all symbolic links, with the mode, the
owner and the extended attributes of the old one; if that is impossible (several hard links, a directory that may not be written to, an
owner or attributes that may not be given) the file is overwritten. Lines that come one by one go into the file as with a shell's `>` and
`>>`. Not decided here: what is written.

Facts: path_resolution(7), open(2), fifo(7), proc(5) (/proc/self/fd). It is always open(2) that follows the name, so that the kernel's rules
about links, FIFOs and files in sticky directories hold.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import stat
from collections.abc import Iterable

from pyroot.errors import PyrootError, text_of

_HINT = "-o takes the name of a file that you may write"
_WRITING = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
_MOST_LINKS = 40
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_HELD = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}


class Outfile:
    """The FILE of one -o."""

    def __init__(self, verb: str, name: str) -> None:
        """Remember what a relative name is relative to. Raises PyrootError."""
        self.name, self._what = name, f"{verb}: -o {name}"
        self._here: int | None = None
        if not name:
            raise PyrootError(f"{verb}: -o: the name of the file is empty", _HINT)
        if not name.startswith("/"):
            try:
                self._here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                raise self._refused(error) from None

    def enter(self) -> None:
        """Make the directory in which the verb was called the current one again, if the name is relative."""
        if self._here is not None:
            os.fchdir(self._here)

    def check(self) -> None:
        """Find out, before there is anything to write, whether FILE can be written to. Raises PyrootError.

        Nothing is made, and no FIFO is opened: its reader would take the closing for the end.
        """
        try:
            own, directory, last = self._walk(self.name)
            try:
                if own >= 0:
                    os.close(own)
                elif self._there():
                    self._may(self.name, self._here)
                elif directory >= 0 and last:
                    self._may(".", directory)
                else:
                    os.close(os.open(self.name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._here))
            finally:
                if directory >= 0:
                    os.close(directory)
        except OSError as error:
            raise self._refused(error) from None

    @staticmethod
    def _may(name: str, directory: int | None) -> None:
        """Raise OSError if what is there may not be written to."""
        if name != "." and stat.S_ISDIR(os.stat(name, dir_fd=directory).st_mode):
            raise IsADirectoryError(errno.EISDIR, "")
        if not os.access(name, os.W_OK, dir_fd=directory, effective_ids=True):
            raise PermissionError(errno.EACCES, "")

    def open(self, append: bool = False, suffix: str = "") -> int:
        """Open FILE, or the file with `suffix` after its name, for lines that come one by one. Raises PyrootError."""
        name = self.name + suffix
        try:
            own, _directory, _last = self._walk(name)
            return own if own >= 0 else os.open(name, _WRITING | (os.O_APPEND if append else os.O_TRUNC), 0o666, dir_fd=self._here)
        except OSError as error:
            raise self._refused(error, suffix) from None

    def write(self, parts: Iterable[str]) -> None:
        """Write a whole text. Raises PyrootError; a regular file then has its old content."""
        data = "".join(parts).encode("utf-8", "surrogateescape")
        try:
            own, directory, last = self._walk(self.name)
            try:
                new = own < 0 and not self._there()
                fd = own if own >= 0 else os.open(self.name, _WRITING, 0o666, dir_fd=self._here)
                try:
                    if own >= 0:
                        with contextlib.suppress(BrokenPipeError):  # a reader that has seen enough
                            write_all(fd, data)
                    elif not stat.S_ISREG(os.fstat(fd).st_mode):
                        write_all(fd, data)
                    else:
                        _write_file(fd, data, directory, last, new)
                finally:
                    os.close(fd)
            finally:
                if directory >= 0:
                    os.close(directory)
        except OSError as error:
            raise self._refused(error) from None

    def _there(self) -> bool:
        try:
            os.stat(self.name, dir_fd=self._here)
        except FileNotFoundError:
            return False
        return True

    def _walk(self, name: str) -> tuple[int, int, str]:
        """Follow a name's symbolic links: give a duplicate of the descriptor that it stands for, or -1, the directory and last component.

        The directory is -1 if the lookup ends before it.
        """
        if name == "-":
            return os.dup(1), -1, ""
        at = -1
        try:
            for _link in range(_MOST_LINKS):
                head, last = os.path.split(name)
                before, at = at, os.open(head or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at if at >= 0 else self._here)
                if before >= 0:
                    os.close(before)
                own = _own(at, last)
                if own >= 0:
                    os.close(at)
                    return own, -1, ""
                try:
                    name = os.readlink(last, dir_fd=at)
                except OSError:  # not a symbolic link, or nothing
                    return -1, at, last
        except OSError:
            pass  # open(2) will say what is wrong
        if at >= 0:
            os.close(at)
        return -1, -1, ""

    def _refused(self, error: OSError, suffix: str = "") -> PyrootError:
        why, hint = text_of(error.errno or 0), _HINT
        if error.errno == errno.ENXIO:
            try:
                if stat.S_ISSOCK(os.stat(self.name + suffix, dir_fd=self._here).st_mode):
                    why, hint = "is a socket, which cannot be opened", "pipe the output into a program that connects to it (nc -U, socat)"
            except OSError:
                pass
        return PyrootError(f"{self._what}{suffix}: {why}", hint)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`, even if the descriptor has been made non-blocking."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()


def _own(directory: int, name: str) -> int:
    """Duplicate the descriptor that a name in /proc/self/fd stands for, if it can be written to; -1 for anything else."""
    if not (name.isascii() and name.isdigit()):
        return -1
    try:
        if not os.path.samestat(os.fstat(directory), os.stat("/proc/self/fd")):
            return -1
        if fcntl.fcntl(int(name), fcntl.F_GETFL) & (os.O_ACCMODE | os.O_PATH) not in (os.O_WRONLY, os.O_RDWR):
            return -1
        return os.dup(int(name))
    except (OSError, OverflowError):
        return -1


def _write_file(fd: int, data: bytes, directory: int, last: str, new: bool) -> None:
    """Give a regular file that is open as `fd` a new content. Raises OSError; then the old content is still there.

    Signals are blocked meanwhile: the disk is fast, and half a file is worse than a short delay.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        named = directory >= 0 and _is_file(fd, directory, last)
        try:
            if not named or not _replace(fd, data, directory, last):
                _overwrite(fd, data)
        except OSError:
            if new and named and os.fstat(fd).st_size == 0:
                os.unlink(last, dir_fd=directory)
            raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_file(fd: int, directory: int, last: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(last, dir_fd=directory, follow_symlinks=False))
    except OSError:
        return False


def _replace(fd: int, data: bytes, directory: int, last: str) -> bool:
    """Replace the open file with another in one step; False if the old file has to stay. Raises OSError for lack of space."""
    if os.fstat(fd).st_nlink != 1:
        return False
    part = f".pyroot-{os.urandom(8).hex()}.part"
    made = False
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory), "wb", 0) as file:
            made = True
            alike = _alike(fd, file.fileno())
            if alike:
                write_all(file.fileno(), data)
        # closed first: NFS reports a full disk only then
        if alike:
            os.replace(part, last, src_dir_fd=directory, dst_dir_fd=directory)
            made = False
        return alike
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        return False
    finally:
        if made:
            os.unlink(part, dir_fd=directory)


def _alike(old: int, new: int) -> bool:
    """Give a new file the owner, the mode and the extended attributes of an old one. Raises OSError if that is not permitted."""
    before, after = os.fstat(old), os.fstat(new)
    if (before.st_uid, before.st_gid) != (after.st_uid, after.st_gid):
        os.fchown(new, before.st_uid, before.st_gid)
    os.fchmod(new, stat.S_IMODE(before.st_mode))
    wanted, has = _attributes(old), _attributes(new)
    for name, value in wanted.items():
        if has.get(name) != value:
            os.setxattr(new, name, value)
    return _attributes(new) == wanted and stat.S_IMODE(os.fstat(new).st_mode) == stat.S_IMODE(before.st_mode)


def _attributes(fd: int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(fd, name) for name in os.listxattr(fd)}
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise


def _overwrite(fd: int, data: bytes) -> None:
    """Write over the content of a file. What makes it longer is written first: a full disk is noticed there, while nothing is lost yet."""
    size = os.fstat(fd).st_size
    try:
        os.lseek(fd, size, os.SEEK_SET)
        write_all(fd, data[size:])
        os.fsync(fd)  # NFS reports a full disk only then
    except OSError:
        os.ftruncate(fd, size)
        raise
    os.lseek(fd, 0, os.SEEK_SET)
    write_all(fd, data[:size])
    os.ftruncate(fd, len(data))
