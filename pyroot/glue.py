"""Mount points for targets of bindings whose parent directories do not exist in the guest, and directories of a session's own (--tmpfs).

Decides: where such a mount point, or such a directory, is made, how it is named, and when it is removed. Not decided here: which binding
needs one (``binding``) and how a guest sees it (the core, which is told that it is glue).

The root of the guest is never written to. A binding at /a/b/c in a root without /a gets a tree of empty directories
in a temporary directory of the host, outside the root; the tree is bound at /a and the binding itself inside it. The
tree is named like its targets so that a listing shows them: an empty directory or an empty file for each.

One session owns one directory ``pyroot-glue-UID-PID-RANDOM`` (mode 0700) and keeps a flock(2) on it. What a killed
session left is removed by the next session that needs glue: the name must carry the user's uid, its pid must be gone
and the lock must be free. Both are checked because a pid means nothing across pid namespaces that share a /tmp, and the
lock is taken a moment after the directory is made.
"""

import os
import stat

from pyroot.errors import PyrootError

_PREFIX = b"pyroot-glue-"
_DIRECTORY_MODE = 0o555
_FILE_MODE = 0o444


class Glue:
    """The trees of one session; nothing is made before the first tree is asked for."""

    __slots__ = ("_rootfs", "_tmp_dirs", "_top", "_lock", "_trees", "_rooms")

    def __init__(self, rootfs: bytes, tmp_dirs: list[bytes]) -> None:
        self._rootfs = rootfs
        self._tmp_dirs = tmp_dirs
        self._top = b""
        self._lock = -1
        self._trees = self._rooms = 0

    def owns(self, host_path: bytes) -> bool:
        """Tell whether the canonical ``host_path`` is in one of these trees."""
        return bool(self._top) and host_path.startswith(self._top + b"/")

    def has_room(self, host_path: bytes) -> bool:
        """Tell whether the canonical ``host_path`` lies in a directory that guests may write to."""
        return bool(self._top) and host_path.startswith(self._top + b"/room")

    def new_tree(self) -> bytes:
        """Make an empty tree and return its host path."""
        if not self._top:
            self._make_top()
        self._trees += 1
        tree = b"%s/%d" % (self._top, self._trees)
        _make_directory(tree, 0o755)
        return tree

    def new_room(self, mode: int) -> bytes:
        """Make an empty directory that guests may write to, and return its host path."""
        room = self._next_room()
        _make_directory(room, mode)
        return room

    def new_file(self, content: bytes, mode: int) -> bytes:
        """Make a file that guests may write to, and return its host path."""
        place = self._next_room()
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(file, "wb") as out:
            out.write(content)
            os.fchmod(file, mode)
        return place

    def new_link(self, target: bytes) -> bytes:
        """Make a symbolic link, and return its host path."""
        place = self._next_room()
        os.symlink(target, place)
        return place

    def _next_room(self) -> bytes:
        if not self._top:
            self._make_top()
        self._rooms += 1
        return b"%s/room%d" % (self._top, self._rooms)

    def add(self, host_path: bytes, is_directory: bool) -> None:
        """Make ``host_path`` in one of these trees, or rooms, with the directories above it, as an empty directory or file."""
        if os.path.lexists(host_path):
            return
        parent = os.path.dirname(host_path)
        if not os.path.lexists(parent):
            self.add(parent, True)
        if is_directory:
            _make_directory(host_path, 0o755)
        else:
            file = os.open(host_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
            os.fchmod(file, _FILE_MODE)
            os.close(file)

    def seal(self) -> None:
        """Take the write permission away from all directories below the top."""
        for number in range(1, self._trees + 1):
            for path, _names, _files in os.walk(b"%s/%d" % (self._top, number)):
                os.chmod(path, _DIRECTORY_MODE)

    def remove(self) -> None:
        """Remove all trees; a part that cannot be removed is left for the next session."""
        if self._top:
            remove_tree(self._top)
            os.close(self._lock)
            self._top, self._lock, self._trees, self._rooms = b"", -1, 0, 0

    def _make_top(self) -> None:
        reasons: list[str] = []
        for tmp_dir in self._tmp_dirs:
            try:
                place = place_in(tmp_dir, self._rootfs)
                if not place:
                    reasons.append(f"{os.fsdecode(tmp_dir)} is inside the root")
                    continue
                remove_leftovers(place)
                self._top, self._lock = _locked_directory(place)
                return
            except OSError as error:
                reasons.append(f"{os.fsdecode(tmp_dir)}: {os.strerror(error.errno or 0)}")
        raise PyrootError(
            f"no directory for temporary files ({'; '.join(reasons)})",
            "--tmpfs, or a binding whose parent directory is missing, needs one: set PYROOT_TMP_DIR to one outside the root",
        )


def memory_dirs() -> list[bytes]:
    """Return the directories in memory that this user may have."""
    from pyroot import environment

    return [path for path in (environment.session_dirs()[0], b"/dev/shm") if path.startswith(b"/")]  # noqa: S108


def place_in(tmp_dir: bytes, rootfs: bytes) -> bytes:
    """Return the canonical path of a temporary directory, empty if it is inside the root; raises OSError if it cannot be used."""
    place = os.path.realpath(tmp_dir, strict=True)
    return b"" if rootfs != b"/" and (place + b"/").startswith(rootfs + b"/") else place


def _make_directory(path: bytes, mode: int) -> None:
    """Make a directory with exactly this mode: the umask is the command's."""
    os.mkdir(path, mode)
    os.chmod(path, mode)


def _locked_directory(place: bytes) -> tuple[bytes, int]:
    """Make a private directory in ``place`` and lock it; return its path and the descriptor that holds the lock."""
    import fcntl

    while True:
        top = b"%s/%s%d-%d-%s" % (place, _PREFIX, os.getuid(), os.getpid(), os.urandom(4).hex().encode())
        lock = -1
        try:
            _make_directory(top, 0o700)
            lock = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.stat(top)  # a cleaner may have been quicker than the lock
        except (BlockingIOError, FileNotFoundError):
            if lock >= 0:
                os.close(lock)
            continue
        return top, lock


def remove_leftovers(place: bytes) -> None:
    """Remove what ended sessions of this user left in the directory ``place``."""
    mine = b"%s%d-" % (_PREFIX, os.getuid())
    for name in os.listdir(place):
        if not name.startswith(mine):
            continue
        pid = name[len(mine) :].partition(b"-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            _remove_unlocked(place + b"/" + name)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove_unlocked(path: bytes) -> None:
    import fcntl

    try:
        place = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if os.fstat(place).st_uid != os.getuid():
            return
        link = b"/proc/self/fd/%d" % place
        os.chmod(link, 0o700)  # it may have been killed before it had its mode
        lock = os.open(link, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    finally:
        os.close(place)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_tree(path)
    except OSError:
        pass
    finally:
        os.close(lock)


def remove_tree(path: bytes) -> None:
    """Remove ``path`` and everything below without following a symbolic link; errors end the removal of that branch only."""
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        os.chmod(path, 0o700)
        for name in os.listdir(path):
            remove_tree(path + b"/" + name)
        os.rmdir(path)
    except OSError:
        pass
