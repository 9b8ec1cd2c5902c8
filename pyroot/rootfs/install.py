"""Put host files into a root so that every path means the same there as on the host.

Decides: how symbolic links, directories and files are made in the new root, and that a failure leaves nothing behind. Does not
decide what is put in. An existing object is kept: the same one is accepted, a different one is refused.

Symbolic links in a path are made again with their own text: `/bin` -> `usr/bin`, then `/usr/bin/awk` ->
`/etc/alternatives/awk`, and so on. If the root has a directory where the host has a link (a root that is not
merged-/usr, filled from a host that is), the file goes into that directory. A root that has a layout of its own gets no
top-level link of the host's (`own_layout`): a directory is made there instead.
"""
from __future__ import annotations

import errno
import os
import stat

from pyroot.elf.rooted import MAX_LINKS, Rooted
from pyroot.errors import PyrootError, as_owner, shell_word, text_of

_FICLONE = 0x40049409
_CHUNK = 1 << 20
_TOP_LINKS = (b"/bin", b"/sbin", b"/lib", b"/lib32", b"/lib64", b"/libx32")
_MODE = 0o1777  # set-uid and set-gid bits would give the caller's rights to the guest's users, or none


class Installer:
    """Fill one root directory, and take everything back on `undo`."""

    def __init__(self, root: bytes, source: Rooted | None = None, verb: str = "new") -> None:
        """Fill the existing directory `root` (canonical) from `source`, by default this host."""
        self.root = root
        self.verb = verb
        self.own_layout = own_layout(root, verb)
        self.bytes_copied = 0
        self.files_copied = 0
        self._source = source or Rooted("/")
        self._undo: list[tuple[bytes, bytes | None]] = []
        self._hard_links: dict[tuple[int, int], bytes] = {}

    def add(self, path: bytes) -> None:
        """Bring a host path into the root: its directories, its symbolic links, and the file or empty directory at its end."""
        host, guest = self._walk(path)
        if not os.path.isdir(self._source.host(host)):
            self._copy(self._source.host(host), guest)

    def directory(self, path: bytes, mode: int = 0o755) -> bytes:
        """Make a directory of the root with its parents, unless it exists; give its canonical path."""
        guest = b""
        for name in path.split(b"/"):
            if name:
                guest = self._directory(guest + b"/" + name, 0o755)
        if self._undo and self._undo[-1] == (self._at(guest), None):
            os.chmod(self._at(guest), mode)
        return guest

    def text(self, path: bytes, content: bytes, mode: int = 0o644) -> bool:
        """Write a file of the root unless something exists there. Tell whether it was written."""
        place = self._at(self.directory(os.path.dirname(path)) + b"/" + os.path.basename(path))
        if os.path.lexists(place):
            return False
        self._write(place, content, mode)
        return True

    def rewrite(self, path: bytes, content: bytes) -> None:
        """Write a file of the root, in place of an older one."""
        directory = self.directory(os.path.dirname(path))
        place = self._at(directory + b"/" + os.path.basename(path))
        if self.text(path, content):
            return
        if not stat.S_ISREG(os.lstat(place).st_mode):
            raise self._conflict(place, "is not a regular file")
        with open(place, "rb") as file:
            old = file.read()
        if old != content:
            self._undo.append((place, old))
            self._replace(place, content)

    def undo(self) -> None:
        """Take back what was made, newest first. What others have put into a new directory stays, and the directory with it."""
        while self._undo:
            place, old = self._undo.pop()
            try:
                if old is not None:
                    self._replace(place, old)
                elif stat.S_ISDIR(os.lstat(place).st_mode):
                    os.rmdir(place)
                else:
                    os.unlink(place)
            except OSError:
                continue

    def _at(self, guest: bytes) -> bytes:
        return self.root + guest

    def _walk(self, path: bytes) -> tuple[bytes, bytes]:
        """Follow a host path and the same path in the root side by side, making directories and symbolic links there.

        Give the canonical host path of the end, and its path in the root; a file at the end is not made yet.
        """
        host = guest = b""
        pending = path.split(b"/")[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                host, guest = os.path.dirname(host).rstrip(b"/"), os.path.dirname(guest).rstrip(b"/")
                continue
            here, there = host + b"/" + name, guest + b"/" + name
            text = self._source.text(here)
            if text is not None:
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if self._link(here, there, text):
                    pending += text.split(b"/")[::-1]
                    if text.startswith(b"/"):
                        host = guest = b""
                    continue
                here = self._source.trace(here).real
            host = here
            if os.path.isdir(self._source.host(here)):
                guest = self._directory(there, stat.S_IMODE(os.stat(self._source.host(here)).st_mode))
            elif any(part not in (b"", b".") for part in pending):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            else:
                guest = there
        return host or b"/", guest

    def _link(self, here: bytes, there: bytes, text: bytes) -> bool:
        """Make the host's symbolic link `here` again at `there`; False if something else is there."""
        place = self._at(there)
        try:
            return os.readlink(place) == text
        except FileNotFoundError:
            if there in _TOP_LINKS and self.own_layout:
                return False
            os.symlink(text, place)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        self._undo.append((place, None))
        status = os.lstat(self._source.host(here))
        os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
        return True

    def _directory(self, there: bytes, mode: int) -> bytes:
        """Make one directory of the root, or follow what is there to a directory; give its canonical path."""
        place = self._at(there)
        try:
            os.mkdir(place, 0o700)
        except FileExistsError:
            trace = Rooted(self.root).find(there)
            if trace is None or not os.path.isdir(self._at(trace.real)):
                raise self._conflict(place, "is not a directory") from None
            return trace.real if trace.real != b"/" else b""
        self._undo.append((place, None))
        os.chmod(place, mode & _MODE | 0o700)
        return there

    def _copy(self, host: bytes, guest: bytes) -> None:
        place = self._at(guest)
        status = os.stat(host)
        if os.path.lexists(place):
            trace = Rooted(self.root).find(guest)
            if trace is None and os.path.islink(place):
                why = f"is a link to {os.fsdecode(os.readlink(place))}, which leads nowhere"
                raise PyrootError(f"{self.verb}: {os.fsdecode(place)} {why}", f"rm {shell_word(os.fsdecode(place))}, then try again")
            if trace is None or not _same_file(host, status, self._at(trace.real)):
                raise self._conflict(place, f"is there already and differs from {self._owner} {os.fsdecode(host)}")
            return
        key = status.st_dev, status.st_ino
        twin = self._hard_links.get(key)
        if twin is not None:
            self._undo.append((place, None))
            os.link(twin, place)
            return
        source = os.open(host, os.O_RDONLY | os.O_CLOEXEC)
        try:
            target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            self._undo.append((place, None))
            try:
                _copy_content(source, target)
                os.fchmod(target, stat.S_IMODE(status.st_mode) & _MODE)
                os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
            finally:
                os.close(target)
        finally:
            os.close(source)
        self._hard_links[key] = place
        self.files_copied += 1
        self.bytes_copied += status.st_size

    def _write(self, place: bytes, content: bytes, mode: int) -> None:
        fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._undo.append((place, None))
        with open(fd, "wb") as file:
            file.write(content)
            os.fchmod(fd, mode)

    def _replace(self, place: bytes, content: bytes) -> None:
        """Exchange the content of a file at once: a reader sees the old file or the new one."""
        aside = place + b".pyroot-new"
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(content)
                os.fchmod(fd, stat.S_IMODE(os.lstat(place).st_mode) & _MODE)
            os.rename(aside, place)
        except BaseException:
            os.unlink(aside)
            raise

    def _conflict(self, place: bytes, why: str) -> PyrootError:
        return PyrootError(
            f"{self.verb}: {os.fsdecode(place)} {why}", "nothing was changed: make a new root, or take that file away first"
        )

    @property
    def _owner(self) -> str:
        return "the other root's" if self._source.root else "this host's"


def own_layout(root: bytes, verb: str) -> bool:
    """Tell whether a root has a layout in which top-level links into /usr have no place: directories there, or for the doctor neither.

    What is filled on request may take over this host's layout if it has none; what is mended keeps what it has.
    """
    there = [root + name for name in _TOP_LINKS if os.path.lexists(root + name)]
    if any(os.path.islink(place) for place in there):
        return False
    return bool(there) or verb == "doctor"


def write_failure(error: OSError, root: bytes, shown: bytes, verb: str = "new") -> PyrootError:
    """Turn a failed call into the line for the user, who knows the directory being filled as `shown`."""
    name = os.fsencode(error.filename2 or error.filename or shown)
    if name == root or name.startswith(root + b"/"):
        name = shown + name[len(root):]
    hint, full = "what had been made was taken back", os.fsencode(error.filename2 or error.filename or root)
    place = os.path.dirname(full)
    if error.errno in (errno.EACCES, errno.EPERM) and os.path.isdir(place):
        who = as_owner(root).removeprefix("as ").removesuffix(": ")
        if who:
            hint = f"the root belongs to {who}: run it as {who}, or let it be yours"
        elif not as_owner(place) and not os.access(place, os.W_OK | os.X_OK):
            hint = f"chmod u+wx {shell_word(os.fsdecode(place))}, then try again"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint += "; make room, or use a directory of another file system"
    return PyrootError(f"{verb}: {os.fsdecode(name)}: {text_of(error.errno or errno.EIO)}", hint)


def _same_file(host: bytes, status: os.stat_result, place: bytes) -> bool:
    """Compare two files: by size and time of change first, by content if only the time differs."""
    other = os.stat(place)
    if not stat.S_ISREG(other.st_mode) or other.st_size != status.st_size:
        return False
    if other.st_mtime_ns == status.st_mtime_ns:
        return True
    with open(host, "rb") as one, open(place, "rb") as two:
        while True:
            block = one.read(_CHUNK)
            if block != two.read(_CHUNK):
                return False
            if not block:
                return True


def _copy_content(source: int, target: int) -> None:
    """Copy a whole file: share its blocks if the file system can, otherwise within the kernel, otherwise by hand."""
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
        return
    except OSError:
        pass  # another file system, or one without reflinks
    try:
        while os.copy_file_range(source, target, 1 << 30):
            pass
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EIO):
            raise
    # Both offsets are where the kernel stopped: usually at the end.
    while True:
        block = os.read(source, _CHUNK)
        if not block:
            return
        while block:
            block = block[os.write(target, block):]
