"""Why a call of the guest failed, and what `--why` says about it.

Decides: what is examined for each errno (the first component that is missing, the directory that may not be entered, the file system that
is full), which of the doctor's findings belongs to it, and the lines. Not decided here: which call it is (`why`).
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from typing import TYPE_CHECKING

from pyroot import explain, report
from pyroot.doctor.registry import NOTE, ROOT, SEVERITIES, Finding
from pyroot.errors import text_of
from pyroot.reading.view import View
from pyroot.trace.names import signal_name

if TYPE_CHECKING:
    from pyroot._fast import Core
    from pyroot.config import Config
    from pyroot.trace.history import History
    from pyroot.trace.why import Answer

_WIDTH = 200  # of a call's line
_MAKING = frozenset(
    "mkdir mkdirat mknod mknodat symlink symlinkat link linkat unlink unlinkat rmdir rename renameat renameat2 creat".split()
)


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


def reason(core: Core, config: Config, answer: Answer) -> tuple[str, str]:
    """Say why the call failed, and give a hint; both may be empty."""
    call = answer.call
    if call is None:
        return "", ""
    if call.name in ("execve", "execveat") and call.path:
        failure = explain.exec_failure(core, config, call.path, b"/", OSError(call.error, os.strerror(call.error)))
        return failure.message, failure.hint
    if call.error in (errno.ENOSPC, errno.EDQUOT):
        return _full(core, call.path), ""
    if not call.path.startswith(b"/"):
        return "", ""
    if call.error in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return _missing(core, call.path), ""
    if call.error in (errno.EACCES, errno.EPERM):
        return _closed(core, call.path, call.name, call.words)
    if call.error == errno.EROFS:
        return f"{_shown(_mount_of(host_path(core, call.path)))} on the host is mounted read-only", ""
    return "", ""


def _shown(path: bytes) -> str:
    return os.fsdecode(path)


def _parents(path: bytes) -> list[bytes]:
    """List the directories above a path, the topmost first."""
    parts = [part for part in path.split(b"/") if part]
    return [b"/" + b"/".join(parts[:count]) for count in range(len(parts))]


def _missing(core: Core, path: bytes) -> str:
    """Name the first component of the path that is missing."""
    for at in [*_parents(path), path]:
        try:
            _guest, host, missing = core.resolve(at, missing=True)
        except OSError as error:
            return f"{_shown(at)}: {text_of(error.errno or 0)}"
        if missing:
            try:
                target = os.readlink(core.resolve(at, follow=False)[1])
                return f"{_shown(at)} is a link to {_shown(target)}, which is not there"
            except OSError:
                kind = "the directory" if at != path else "the file"
                return f"{kind} {_shown(at)} is not there"
        if at != path and not os.path.isdir(host):
            return f"{_shown(at)} is not a directory"
    return f"{_shown(path)} is there now: it was made afterwards"


def _rights(host: bytes) -> str:
    found = os.stat(host)
    return f"mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}, group {found.st_gid}; you are {os.geteuid()}"


def _closed(core: Core, path: bytes, name: str, words: str) -> tuple[str, str]:
    """Name the first directory that may not be entered, otherwise the right that is missing at the end."""
    for at in _parents(path):
        host = host_path(core, at)
        try:
            if not os.access(host, os.X_OK):
                return f"the directory {_shown(at)} may not be entered ({_rights(host)})", f"chmod +x {shlex.quote(_shown(host))}"
        except OSError:
            break
    host = host_path(core, path)
    directory = os.path.dirname(path) or b"/"
    try:
        making = name in _MAKING or not os.path.lexists(host)
        if making and not os.access(host_path(core, directory), os.W_OK):
            folder = host_path(core, directory)
            why = f"the directory {_shown(directory)} may not be written to ({_rights(folder)})"
            return why, f"chmod u+w {shlex.quote(_shown(folder))}"
        for right, word, letter in ((os.R_OK, "read", "r"), (os.W_OK, "written to", "w"), (os.X_OK, "executed", "x")):
            if _asked(words, right) and not os.access(host, right):
                return f"{_shown(path)} may not be {word} ({_rights(host)})", f"chmod u+{letter} {shlex.quote(_shown(host))}"
    except OSError:
        pass
    return "", ""


def _asked(words: str, right: int) -> bool:
    """Say whether a call, as written, asks for a right."""
    if right == os.R_OK:
        return "O_WRONLY" not in words
    if right == os.W_OK:
        return any(word in words for word in ("O_WRONLY", "O_RDWR", "W_OK", "truncate", "utime"))
    return "X_OK" in words or words.startswith("exec")


def _mount_of(host: bytes) -> bytes:
    while host and host != b"/" and not os.path.ismount(host):
        host = os.path.dirname(host)
    return host or b"/"


def _full(core: Core, path: bytes) -> str:
    host = host_path(core, path)
    try:
        if stat.S_ISCHR(os.stat(host).st_mode):
            return f"{_shown(path)} is a device that is always full"
        found = os.statvfs(host if os.path.exists(host) else os.path.dirname(host))
    except OSError:
        return "the file system is full"
    free, total = found.f_bavail * found.f_frsize >> 20, found.f_blocks * found.f_frsize >> 20
    what = f"{free} of {total} MiB" if found.f_favail else "none of its inodes"
    return f"the file system of {_shown(path)} (on the host: {_shown(_mount_of(host))}) is full: {what} free"


# -- the doctor ---------------------------------------------------------------------------------------------------------------


def finding(core: Core, config: Config, answer: Answer, program: bytes) -> Finding | None:
    """Give the doctor's finding about what the call was about, None if there is none."""
    call = answer.call
    if call is None or not call.path.startswith(b"/"):
        return None
    try:
        from pyroot.doctor import checks
        from pyroot.reading.door import view_of
    except ImportError:  # pyelftools is not installed: the call itself says most
        return None
    view = View(view_of(core), os.fsdecode(config.rootfs_spelled), [program] if program.startswith(b"/") else [])
    found: list[Finding] = []
    for row in checks.load():
        if row.part == ROOT:
            try:
                found += row.run(view)
            except OSError:
                continue
    return next(iter(sorted((one for one in found if _about(one, call.path)), key=_order)), None)


def _about(one: Finding, path: bytes) -> bool:
    if one.path == path or one.path == b"/dev" and path.startswith(b"/dev/"):
        return True
    if one.severity != NOTE and one.path not in (b"", b"/") and path.startswith(one.path + b"/"):
        return True
    name = os.fsdecode(os.path.basename(path))
    return one.code.startswith("library") and name in one.what


def _order(one: Finding) -> tuple[int, int]:
    return SEVERITIES.index(one.severity), -len(one.path)


# -- the lines ----------------------------------------------------------------------------------------------------------------


def _ended(status: int) -> str:
    return f"was ended by {signal_name(status - 128)}" if 128 < status <= 192 else f"ended with status {status}"


def _who(history: History, process: int) -> str:
    known = history.processes.get(process)
    return f"{os.fsdecode(os.path.basename(known.program)) if known and known.program else '?'} (pid {process})"


def facts(answer: Answer, history: History, config: Config) -> dict[str, str | list[str]]:
    """Give what there is to say, by name."""
    core, call = history.core, answer.call
    told: dict[str, str | list[str]] = {"ended": f"{_who(history, history.first)} {_ended(answer.status)}"}
    if answer.message:
        told["message"] = answer.message
    if call is None:
        return told
    line = f"{call.words} = -1 {errno.errorcode.get(call.error, call.error)} ({os.strerror(call.error)})"
    told["call"] = line if len(line) < _WIDTH else f"{call.words[: _WIDTH - 60]}... = -1 {errno.errorcode.get(call.error, call.error)}"
    told["process"] = " <- ".join(_who(history, process) for process in answer.chain)
    if call.path.startswith(b"/"):
        told["guest path"] = os.fsdecode(call.path)
        told["host path"] = os.fsdecode(host_path(core, call.path))
    if answer.searched:
        told["searched"] = [os.fsdecode(path) for path in answer.searched]
    why, hint = reason(core, config, answer)
    if why:
        told["cause"] = why
    process = history.processes.get(answer.chain[-1]) if answer.chain else None
    one = finding(core, config, answer, process.program if process else b"")
    if one is not None:
        place = f"{os.fsdecode(one.path)}: " if one.path else ""
        told["doctor"] = f"{one.severity} {one.code}: {place}{one.what}"
        hint = one.mend or hint
    if hint:
        told["fix"] = hint
    return told


_ROWS = ("message", "call", "process", "guest path", "host path", "searched", "cause", "doctor", "fix")


def text(answer: Answer, history: History, config: Config) -> str:
    """Write the lines that matter."""
    told = facts(answer, history, config)
    lines = [f"pyroot: why: {told['ended']}"]
    for name in _ROWS:
        value = told.get(name)
        shown = "last failed" if name == "call" and not answer.sure else name
        if isinstance(value, list):
            value = f"also {', '.join(value[:3])}{f' and {len(value) - 3} more places' if len(value) > 3 else ''}"
        if value:
            lines.append(f"  {shown + ':':<12}{value}")
    if answer.call is None:
        lines.append("  no failed call is to blame: pyroot trace shows them all")
    return "".join(report.printable(line) + "\n" for line in lines)


def as_json(answer: Answer, history: History, config: Config) -> str:
    """Write the same as one JSON object."""
    import json

    told = facts(answer, history, config)
    return json.dumps({"status": answer.status, **told}) + "\n"
