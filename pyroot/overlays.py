"""The directory that an overlay writes to (``--overlay``, ``--overlay-root``): whether it can serve, who has it, what is beside it.

Decides: what is asked of an UPPER before it is used, in which words it is refused, how a second session is kept from it. Not decided here:
how layers become one tree (the core), what an option looks like (``option_kinds``).

The format is that of the kernel's overlayfs with ``userxattr``: an UPPER can be mounted by it afterwards. Whoever uses one holds an
exclusive flock(2) on it; the directory for work lies beside it, ``.NAME.work``, and is emptied by the next one who has the lock.
"""

import errno
import os
import stat

from pyroot.errors import PyrootError, text_of

WHITEOUT = 0  # the device number of a whiteout
OPAQUE = "user.overlay.opaque"
OWN = "user.overlay."  # what all attributes of the format begin with

_LOWER = "user.overlay.pyroot.lower"  # of UPPER itself: over what it was written
_TEST = "user.overlay.pyroot"
_NAMES = {0x794C7630: "overlayfs", 0x6969: "NFS", 0x65735546: "FUSE", 0x4D44: "vfat", 0x2011BAB0: "exFAT"}


class Upper:
    """An UPPER that is locked: by this process, until it is closed."""

    __slots__ = ("path", "work", "_lock")

    def __init__(self, path: bytes, work: bytes, lock: int) -> None:
        self.path = path
        self.work = work
        self._lock = lock

    def close(self) -> None:
        """Let others have it."""
        if self._lock >= 0:
            _remove(self.work)
            os.close(self._lock)
            self._lock = -1


def hold(path: bytes, shown: str, lower: list[bytes]) -> Upper:
    """Make an UPPER if it is missing, and lock it; raise PyrootError, in one line, if it cannot serve."""
    if not os.path.lexists(path):
        _make(path, shown, lower[0])
    try:
        path = os.path.realpath(path, strict=True)
        status = os.stat(path)
    except OSError as error:
        raise PyrootError(f"{shown}: {os.fsdecode(path)}: {text_of(error.errno or 0)}", "UPPER is a directory, or a name for one") from None
    what = os.fsdecode(path)
    if not stat.S_ISDIR(status.st_mode):
        raise PyrootError(f"{shown}: {what} is not a directory", "UPPER is one; it is made if there is nothing of that name")
    for other in lower:
        if within(path, other) or within(other, path):
            inside = f"{what} lies in {os.fsdecode(other)}" if within(path, other) else f"{os.fsdecode(other)} lies in {what}"
            raise PyrootError(f"{shown}: {inside}: one layer would show the other", "choose an UPPER beside the lower directories")
    if status.st_uid != os.geteuid() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise PyrootError(f"{shown}: {what} is not yours to write to", "choose an UPPER of your own")
    held = _locked(path, shown, status)
    known = lower_of(path)
    if known and known != lower:
        held.close()
        raise PyrootError(f"{shown}: {what} was written over {os.fsdecode(b':'.join(known))}", "an UPPER belongs to its lower directories")
    os.setxattr(path, _LOWER, b"\0".join(lower))
    return held


def lower_of(upper: bytes) -> list[bytes]:
    """Return the lower directories that an UPPER was written over, the topmost first; none: it is no UPPER, or a new one."""
    try:
        return os.getxattr(upper, _LOWER).split(b"\0")
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return []
        raise


def is_whiteout(status: os.stat_result) -> bool:
    """Tell whether a file of an UPPER hides a name of lower directories."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == WHITEOUT


def is_opaque(directory: bytes) -> bool:
    """Tell whether a directory of an UPPER hides the lower ones."""
    try:
        return os.getxattr(directory, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def within(path: bytes, directory: bytes) -> bool:
    """Tell whether a canonical path is a directory, or lies in it."""
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


def _make(path: bytes, shown: str, lower: bytes) -> None:
    try:
        os.mkdir(path, 0o755)
        os.chmod(path, stat.S_IMODE(os.stat(lower).st_mode) | 0o700)
    except OSError as error:
        what = f"{os.fsdecode(path)} cannot be made: {text_of(error.errno or 0)}"
        raise PyrootError(f"{shown}: {what}", "mkdir the directory above it") from None


def _locked(path: bytes, shown: str, status: os.stat_result) -> Upper:
    import fcntl

    what = os.fsdecode(path)
    parent, name = os.path.split(path)
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        used = f"{what} is in use by another session: {text_of(errno.EBUSY)}"
        raise PyrootError(f"{shown}: {used}", "one session at a time writes to an UPPER") from None
    try:
        if os.stat(parent).st_dev != status.st_dev:
            raise PyrootError(f"{shown}: {what} is a mount point: there is no place beside it for work", "choose a directory in it")
        work = os.path.join(parent, b"." + name + b".work")
        _remove(work)
        try:
            os.mkdir(work, 0o700)
        except OSError as error:
            why = f"{os.fsdecode(work)} cannot be made: {text_of(error.errno or 0)}"
            raise PyrootError(f"{shown}: {why}", "UPPER needs a directory for work beside it: choose one whose parent is yours") from None
        try:
            _try_format(work, shown, path)
        except PyrootError:
            _remove(work)
            raise
    except BaseException:
        os.close(lock)
        raise
    return Upper(path, work, lock)


def _try_format(work: bytes, shown: str, upper: bytes) -> None:
    """Try what the format needs: attributes of users, whiteouts."""
    kind = file_system(upper)
    where = f"{os.fsdecode(upper)}{f' lies on {kind}, which' if kind else ': its file system'}"
    probe = os.path.join(work, b"probe")
    os.mkdir(probe, 0o700)
    try:
        os.setxattr(probe, _TEST, b"0")
    except OSError:
        raise PyrootError(f"{shown}: {where} has no extended attributes of users", "choose an UPPER on ext4, xfs, btrfs or tmpfs") from None
    try:
        os.mknod(os.path.join(probe, b"white"), stat.S_IFCHR, WHITEOUT)
    except OSError:
        raise PyrootError(f"{shown}: {where} lets nobody make whiteouts", "choose an UPPER on ext4, xfs, btrfs or tmpfs") from None
    _remove(probe)


def file_system(path: bytes) -> str:
    """Return the name of the file system that a path lies on if it is one of those that cannot serve; else empty."""
    import ctypes

    buffer = (ctypes.c_long * 32)()
    if ctypes.CDLL(None).statfs(path, buffer) != 0:
        return ""
    return _NAMES.get(buffer[0] & 0xFFFFFFFF, "")


def _remove(path: bytes) -> None:
    """Remove a tree; what cannot be removed is left."""
    from pyroot.glue import remove_tree

    if os.path.lexists(path):
        remove_tree(path)
