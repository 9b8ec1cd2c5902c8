"""Checks of /dev, /proc and /sys as a run shows them.

Decides: which device nodes a program may rely on. Images come with an empty /dev, and a run binds the host's over it;
one with some nodes in it is meant to be used, and what it lacks is then missing. Source: the kernel's devices.txt, null(4),
random(4), tty(4), pts(4).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from pyroot.doctor.registry import ERROR, NOTE, WARNING, Finding, check
from pyroot.doctor.steps import Chmod
from pyroot.errors import shell_word
from pyroot.reading.view import View, shown_names

NODES = {
    b"null": (1, 3),
    b"zero": (1, 5),
    b"random": (1, 8),
    b"urandom": (1, 9),
    b"full": (1, 7),
    b"tty": (5, 0),
    b"ptmx": (5, 2),
}
_ESSENTIAL = (b"null", b"zero", b"random", b"urandom")
_OTHERS = (b"full", b"tty", b"ptmx", b"pts", b"shm", b"fd", b"stdin", b"stdout", b"stderr")


def _run(view: View) -> str:
    return f"run it with pyroot -R {shell_word(view.spelled)}, or with -b /dev"


@check("dev-empty", WARNING, "whether /dev has any device in it", "shells and most programs open /dev/null, /dev/tty or /dev/urandom")
def dev_empty(view: View) -> Iterator[Finding]:
    """Find a /dev that is left to be bound: one without a single device, as a root has that a user has unpacked."""
    if not _has_devices(view):
        what = "is missing" if not view.is_directory(b"/dev") else "has no devices in it" if view.list(b"/dev") else "is empty"
        yield Finding(b"/dev", what, _run(view))


def _has_devices(view: View) -> bool:
    found = (view.stat(b"/dev/" + name) for name in NODES)
    return any(status is not None and stat.S_ISCHR(status.st_mode) for status in found)


@check(
    "dev-missing",
    ERROR,
    "/dev/null, zero, random, urandom in a /dev that has other devices",
    "shell scripts redirect to /dev/null, and libraries read /dev/urandom",
    beside=True,
)
def dev_missing(view: View) -> Iterator[Finding]:
    """Find missing nodes that every program may rely on, in one finding."""
    names = [b"/dev/" + name for name in _ESSENTIAL if view.stat(b"/dev/" + name) is None]
    if names and _has_devices(view):
        more = f", and so {'is' if len(names) == 2 else 'are'} {shown_names(names[1:])}" if len(names) > 1 else ""
        yield Finding(names[0], f"is missing{more}", _run(view))


@check("dev-incomplete", WARNING, "the other usual names in a /dev that has devices", "terminals, shared memory and /dev/fd need them")
def dev_incomplete(view: View) -> Iterator[Finding]:
    """Find missing names that some programs use; a link to /proc/self/fd counts as there even if /proc is missing."""
    if _has_devices(view):
        names = [name for name in _OTHERS if view.stat(b"/dev/" + name) is None and view.link(b"/dev/" + name) is None]
        if names:
            yield Finding(b"/dev", f"lacks {', '.join(map(os.fsdecode, names))}", _run(view))


@check(
    "dev-wrong",
    ERROR,
    "type and number of /dev/null and similar devices",
    "a plain file in place of a device fills up, and returns what was written to it",
    beside=True,
)
def dev_wrong(view: View) -> Iterator[Finding]:
    """Find something else in place of a device."""
    for name, (major, minor) in NODES.items():
        status = view.stat(b"/dev/" + name)
        if status is None:
            continue
        here = b"/dev/" + name
        if not stat.S_ISCHR(status.st_mode):
            yield Finding(here, "is not a character device", f"rm {view.outside(here)}; {_run(view)}")
        elif (os.major(status.st_rdev), os.minor(status.st_rdev)) != (major, minor) and name != b"ptmx":
            yield Finding(here, f"is device {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}, not {major}:{minor}", _run(view))


@check(
    "pty-missing",
    WARNING,
    "the file system of /dev/pts, if /dev/ptmx is there",
    "script, ssh, tmux and expect get no terminal: the kernel makes them in a mounted devpts only",
    calls=(b"posix_openpt", b"getpt", b"openpty", b"forkpty"),
)
def pty_missing(view: View) -> Iterator[Finding]:
    """Find a /dev/ptmx whose terminals have no place."""
    if (view.stat(b"/dev/ptmx") or view.link(b"/dev/ptmx")) and view.is_directory(b"/dev/pts") and view.stat(b"/dev/pts/ptmx") is None:
        yield Finding(b"/dev/pts", "is an ordinary directory, not a devpts", f"{_run(view)}, or with -b /dev/pts -b /dev/ptmx")


@check(
    "dev-rights",
    ERROR,
    "the mode of /dev/null and similar devices, and nodev on their file system",
    "opening it gives EACCES",
    beside=True,
)
def dev_rights(view: View) -> Iterator[Finding]:
    """Find nodes that cannot be opened."""
    for name, (major, minor) in NODES.items():
        trace, status = view.find(b"/dev/" + name), view.stat(b"/dev/" + name)
        if trace is None or status is None or status.st_rdev != os.makedev(major, minor) or name == b"full":
            continue
        here = view.rooted.host(trace.real)
        if not view.may(status, os.R_OK | os.W_OK) and name not in (b"tty", b"ptmx"):
            want = os.R_OK if name in (b"random", b"urandom") else os.R_OK | os.W_OK
            if view.may(status, want):
                continue
            steps = (Chmod(trace.real, 0o666),) if view.owns(status) else ()
            yield Finding(b"/dev/" + name, f"you may not open it (mode {stat.S_IMODE(status.st_mode):04o})", _run(view), steps)
        elif os.statvfs(here).f_flag & 4:  # ST_NODEV
            yield Finding(b"/dev/" + name, "is on a file system mounted nodev", _run(view))


@check("proc-empty", NOTE, "whether /proc and /sys have anything in them", "ps, top, java and everything that reads /proc/self need it")
def proc_empty(view: View) -> Iterator[Finding]:
    """Find a /proc that is left to be bound."""
    if view.problem(b"/proc/self") == errno.ENOENT:
        yield Finding(b"/proc", "is empty", f"run it with pyroot -R {shell_word(view.spelled)}, or with -b /proc")
