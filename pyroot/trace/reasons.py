"""Why a call about a file failed, in the guest's terms.

Decides: what is examined for each errno, for each path that the call names (the first component that is missing, the directory that may not
be entered, the file system that is full), and how it is put right. A mode is only to be changed by the owner of a file, and if the bit is
missing. Not decided here: sockets, locks, limits and what only root may do (`reasons_other`), which call it is (`why`).
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from typing import TYPE_CHECKING

from pyroot import explain
from pyroot.errors import text_of

if TYPE_CHECKING:
    from pyroot._fast import Core
    from pyroot.config import Config
    from pyroot.trace.history import Event

Reason = tuple[str, str]

#: Calls that make, remove or move a name: the directory has to be writable, of the first path, of the last one, or of both.
_MAKING = frozenset("mkdir mkdirat mknod mknodat symlink symlinkat link linkat creat bind".split())
_REMOVING = frozenset("unlink unlinkat rmdir rename renameat renameat2".split())
_EXECUTING = ("execve", "execveat")
_NAME_MOST, _PATH_MOST = 255, 4095  # NAME_MAX and PATH_MAX, linux/limits.h
#: What a root gets from the host by a binding, and what -R binds.
_FROM_HOST = (b"/proc", b"/sys", b"/dev", b"/tmp", b"/run")


def host_path(core: Core, guest: bytes) -> bytes:
    """Give the host path of what a guest path leads to, or would."""
    try:
        return core.resolve(guest, missing=True)[1]
    except OSError:
        try:
            directory, name = os.path.split(guest)
            return os.path.join(core.resolve(directory, missing=True)[1], name)
        except OSError:
            return b""


def shown(path: bytes) -> str:
    """Give a path as text."""
    return os.fsdecode(path)


def of(core: Core, config: Config, call: Event) -> Reason:
    """Say why a call about files failed, and what to do; both may be empty."""
    if call.name in _EXECUTING and call.path:
        failure = explain.exec_failure(core, config, call.path, b"/", OSError(call.error, os.strerror(call.error)))
        return failure.message, failure.hint
    paths = [path for path in call.paths or (call.path,) if path.startswith(b"/")]
    if call.error in (errno.ENOSPC, errno.EDQUOT):
        return _full(core, call.path), ""
    if call.name == "getcwd" and call.error == errno.ENOENT:
        return "the working directory has been removed", "change to a directory that is there"
    if not paths:
        return "", ""
    if call.error in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return _missing(core, config, call, paths)
    if call.error == errno.EPERM and call.name in ("link", "linkat") and os.path.isdir(host_path(core, paths[0])):
        return f"{shown(paths[0])} is a directory, which can have no further hard link", "ln -s makes a symbolic link"
    if call.error in (errno.EACCES, errno.EPERM):
        return closed(core, call, paths)
    return _other(core, call, paths)


def _other(core: Core, call: Event, paths: list[bytes]) -> Reason:
    """Explain the errnos that need no search."""
    path = paths[-1]
    if call.error == errno.EROFS:
        return f"{shown(_mount_of(host_path(core, path)))} on the host is mounted read-only", ""
    if call.error == errno.EEXIST:
        return _there(core, path)
    if call.error == errno.EISDIR:
        return f"{shown(path)} is a directory", ""
    if call.error == errno.ENOTEMPTY:
        return f"the directory {shown(path)} is not empty: it has {_names_in(host_path(core, path))}", ""
    if call.error == errno.EXDEV and len(paths) > 1:
        return f"{shown(paths[0])} and {shown(path)} are on different file systems", ""
    if call.error == errno.ENAMETOOLONG:
        long = max(path.split(b"/"), key=len)
        return f"a name of {len(long)} bytes is too long, at most {_NAME_MOST} are possible ({_PATH_MOST} for a whole path)", ""
    if call.error == errno.ETXTBSY:
        return f"{shown(path)} is being executed {call.around}".rstrip(), "end the program first, or put a new file in its place (mv)"
    if call.error == errno.ENXIO:
        return _without_other_side(core, path)
    if call.error == errno.EINVAL and call.name.startswith("rename"):
        return f"the directory {shown(paths[0])} cannot be moved to a place below itself", ""
    return "", ""


def parents(path: bytes) -> list[bytes]:
    """List the directories above a path, the topmost first."""
    parts = [part for part in path.split(b"/") if part]
    return [b"/" + b"/".join(parts[:count]) for count in range(len(parts))]


# -- what is missing, and what is in the way --------------------------------------------------------------------------------------


def _missing(core: Core, config: Config, call: Event, paths: list[bytes]) -> Reason:
    """Name the first component of the paths that is missing."""
    for path in paths:
        making = path == paths[-1] and (call.name in _MAKING or call.name.startswith("rename") or "O_CREAT" in call.words)
        why, at = _first_missing(core, path, making)
        if call.name in ("chdir", "chroot") or "O_DIRECTORY" in call.words:
            why = why.replace("the file ", "the directory ", 1)
        if why:
            return why, _from_host(config, at) or _server(call, at, path)
    path = paths[-1]
    if call.error == errno.ENOTDIR and not os.path.isdir(host_path(core, path)):
        return f"{shown(path)} is not a directory", ""
    if _made_since(host_path(core, path), call.time):
        return f"{shown(path)} is there now: it was made afterwards", ""
    return "", ""


def _first_missing(core: Core, path: bytes, making: bool) -> tuple[str, bytes]:
    for at in parents(path) if making else [*parents(path), path]:
        try:
            _guest, host, missing = core.resolve(at, missing=True)
        except OSError as error:
            return f"{shown(at)}: {text_of(error.errno or 0)}", at
        if missing:
            try:
                target = os.readlink(core.resolve(at, follow=False)[1])
                return f"{shown(at)} is a link to {shown(target)}, which is not there", at
            except OSError:
                kind = "the directory" if at != path else "the file"
                return f"{kind} {shown(at)} is not there", at
        if at != path and not os.path.isdir(host):
            return f"{shown(at)} is not a directory", at
    return "", b""


def _made_since(host: bytes, time: int) -> bool:
    """Say whether a file is there that has been changed since a call failed."""
    try:
        return os.lstat(host).st_ctime_ns >= time - 20_000_000  # the clock of file systems is one of ticks
    except OSError:
        return False


def _from_host(config: Config, at: bytes) -> str:
    """Say how a root gets what the host has and it lacks."""
    if config.rootfs == b"/" or not at or not os.path.lexists(at):
        return ""
    place = next((one for one in _FROM_HOST if at == one or at.startswith(one + b"/")), b"")
    if not place:
        return ""
    if place in (b"/proc", b"/sys", b"/dev"):
        return f"run with -b {shown(place)}, or with -R, which brings it"
    return f"run with -b {shown(place)}, or mkdir it in the root"


def _server(call: Event, at: bytes, path: bytes) -> str:
    return "its server makes the socket: start it first" if call.name == "connect" and at in (path, os.path.dirname(path)) else ""


def _there(core: Core, path: bytes) -> Reason:
    """Explain EEXIST."""
    host = host_path(core, path)
    what = f"{shown(path)} is there already"
    if path.endswith((b".lock", b".pid", b".lck", b"/lock")):
        return what, "it shows that another process is at work; remove it only if there is none"
    try:
        status = os.lstat(host)
    except OSError:
        return f"{shown(path)} was there, and is gone now", ""
    kinds = ((stat.S_ISDIR, "a directory"), (stat.S_ISLNK, "a link"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))
    kind = next((name for test, name in kinds if test(status.st_mode)), "a file")
    return f"{what} ({kind}, owner {status.st_uid})", ""


def _names_in(host: bytes) -> str:
    try:
        names = sorted(os.listdir(host))
    except OSError:
        return "names that cannot be read"
    return ", ".join(shown(name) for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "nothing any more"


def _without_other_side(core: Core, path: bytes) -> Reason:
    try:
        mode = os.stat(host_path(core, path)).st_mode
    except OSError:
        return "", ""
    if stat.S_ISSOCK(mode):
        return f"{shown(path)} is a socket, which cannot be opened", "a program has to connect to it (nc -U, socat)"
    if stat.S_ISFIFO(mode):
        return f"nobody reads from the FIFO {shown(path)}", "start the reader first"
    return f"the device behind {shown(path)} is not there", ""


# -- what is closed ---------------------------------------------------------------------------------------------------------------


def rights(host: bytes) -> str:
    """Tell mode and owner of a file."""
    found = os.stat(host)
    return f"mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}, group {found.st_gid}; you are {os.geteuid()}"


def chmod(host: bytes, letter: str) -> str:
    """Give the chmod that helps; nothing for a file of somebody else, or one that has the bit."""
    try:
        found = os.stat(host)
    except OSError:
        return ""
    if found.st_uid != os.geteuid() or found.st_mode & {"r": stat.S_IRUSR, "w": stat.S_IWUSR, "x": stat.S_IXUSR}[letter]:
        return ""
    return f"chmod {'' if letter == 'x' else 'u'}+{letter} {shlex.quote(shown(host))}"


def closed(core: Core, call: Event, paths: list[bytes]) -> Reason:
    """Name the first directory that may not be entered, otherwise the right that is missing at the end."""
    for path in paths:
        for at in parents(path):
            host = host_path(core, at)
            try:
                if not os.access(host, os.X_OK):
                    return f"the directory {shown(at)} may not be entered ({rights(host)})", chmod(host, "x")
            except OSError:
                break
    try:
        return _right_missing(core, call, paths)
    except OSError:
        return "", ""


def _right_missing(core: Core, call: Event, paths: list[bytes]) -> Reason:
    """Name the right that a call lacks where its paths end."""
    for path in paths if call.name in _REMOVING else paths[-1:]:
        host, directory = host_path(core, path), os.path.dirname(path) or b"/"
        making = call.name in _REMOVING or call.name in _MAKING or not os.path.lexists(host)
        folder = host_path(core, directory)
        if making and not os.access(folder, os.W_OK):
            return f"the directory {shown(directory)} may not be written to ({rights(folder)})", chmod(folder, "w")
        if making and call.name in _REMOVING and _sticky(folder, host):
            return f"in {shown(directory)} only the owner of a file may remove it ({rights(host)})", ""
    path = paths[-1]
    host = host_path(core, path)
    kind = "the directory " if os.path.isdir(host) else ""
    for right, word, letter in ((os.R_OK, "read", "r"), (os.W_OK, "written to", "w"), (os.X_OK, "entered" if kind else "executed", "x")):
        if _asked(call, right) and not os.access(host, right):
            return f"{kind}{shown(path)} may not be {word} ({rights(host)})", chmod(host, letter)
    if call.name.startswith("open") and "O_CREAT" in call.words and os.path.exists(host):
        folder = host_path(core, os.path.dirname(path))
        if os.stat(folder).st_mode & stat.S_ISVTX:
            return f"{shown(path)} belongs to another user, in a directory of everybody's ({rights(host)})", ""
    return "", ""


def _sticky(folder: bytes, host: bytes) -> bool:
    return bool(os.stat(folder).st_mode & stat.S_ISVTX) and os.geteuid() not in (os.stat(folder).st_uid, os.lstat(host).st_uid)


def _asked(call: Event, right: int) -> bool:
    """Say whether a call, as written, asks for a right."""
    words = call.words
    if call.name in ("chdir", "fchdir", "chroot"):
        return right == os.X_OK
    if call.name in ("connect", "truncate", "setxattr", "utimensat", "utime"):
        return right == os.W_OK
    if right == os.R_OK:
        return "O_WRONLY" not in words and "W_OK" not in words.replace("R_OK|W_OK", "R_OK")
    if right == os.W_OK:
        return any(word in words for word in ("O_WRONLY", "O_RDWR", "W_OK", "O_CREAT", "O_TRUNC"))
    return "X_OK" in words or words.startswith("exec")


# -- file systems -----------------------------------------------------------------------------------------------------------------


def _mount_of(host: bytes) -> bytes:
    while host and host != b"/" and not os.path.ismount(host):
        host = os.path.dirname(host)
    return host or b"/"


def _full(core: Core, path: bytes) -> str:
    host = host_path(core, path)
    try:
        if stat.S_ISCHR(os.stat(host).st_mode):
            return f"{shown(path)} is a device that is always full"
        found = os.statvfs(host if os.path.exists(host) else os.path.dirname(host))
    except OSError:
        return "the file system is full"
    free, total = found.f_bavail * found.f_frsize >> 20, found.f_blocks * found.f_frsize >> 20
    what = f"{free} of {total} MiB" if found.f_favail else "none of its inodes"
    return f"the file system of {shown(path)} (on the host: {shown(_mount_of(host))}) is full: {what} free"
