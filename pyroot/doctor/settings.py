"""Checks of files that are there and do not serve: settings that cannot be read, symbolic links that have become texts.

Decides: which settings everybody has to be able to read, and which text was a symbolic link once. A file that cannot be read is never
called missing, here or in another module. Source: passwd(5), resolv.conf(5), nsswitch.conf(5), ldconfig(8); how git and archives
write symbolic links on systems that have none.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from pyroot.doctor.registry import ERROR, WARNING, Finding, check, gathered
from pyroot.doctor.steps import Chmod, Relink, RemoveDirectory, Step
from pyroot.reading.view import PROGRAM_DIRECTORIES, View

_SETTINGS = (
    b"/etc/passwd",
    b"/etc/group",
    b"/etc/hosts",
    b"/etc/nsswitch.conf",
    b"/etc/resolv.conf",
    b"/etc/ld.so.cache",
    b"/etc/ld.so.conf",
    b"/etc/ld.so.conf.d",
    b"/etc/ld.so.preload",
    b"/etc/services",
    b"/etc/protocols",
    b"/etc/ssl/certs/ca-certificates.crt",
)
_GRAVE = (b"/etc/passwd", b"/etc/group", b"/etc/ld.so.cache")
TOP = (b"/bin", b"/sbin", b"/lib", b"/lib64")
_LIBRARIES = (b"/lib", b"/lib64", b"/usr/lib", b"/usr/lib64", b"/lib/x86_64-linux-gnu", b"/usr/lib/x86_64-linux-gnu")
_LONGEST = 255  # of a text that may have been a symbolic link


def absent(view: View, path: bytes) -> tuple[str, tuple[Step, ...] | None] | None:
    """Say what is in the place of a setting that is no file, and the steps that clear the place (None: by hand); None if all is well.

    A file that is there and cannot be read is told by `setting-unreadable`.
    """
    status = view.stat(path)
    if view.is_file(path) or view.closed(path):
        return None
    if status is None:
        link = view.link(path)
        return (f"is a link to {os.fsdecode(link)}, which is not there" if link is not None else "is missing"), ()
    if not stat.S_ISDIR(status.st_mode):
        return "is not a file", None
    if view.list(path) or view.link(path) is not None:
        return "is a directory", None
    return "is an empty directory: a mount of a file that was not there has made it", (RemoveDirectory(path),)


@check(
    "setting-unreadable",
    ERROR,
    "r bits of passwd, group, hosts, nsswitch.conf, resolv.conf, the loader's index and its settings",
    "everybody's programs read these files, and go on as if they were missing",
)
def setting_unreadable(view: View) -> Iterator[Finding]:
    """Find settings that are there and that the user may not read."""
    wanted = [*_SETTINGS, *(b"/etc/ld.so.conf.d/" + name for name in view.list(b"/etc/ld.so.conf.d"))]
    for path, trace, status in view.each(wanted, lambda mode: stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        want = os.R_OK | os.X_OK if stat.S_ISDIR(status.st_mode) else os.R_OK
        if view.may(status, want):
            continue
        mode = stat.S_IMODE(status.st_mode)
        bits = 0o755 if stat.S_ISDIR(status.st_mode) else 0o444
        steps = (Chmod(trace.real, mode | bits),) if view.owns(status) else ()
        severity = ERROR if path in _GRAVE else WARNING
        mend = f"chmod {mode | bits:04o} {view.outside(trace.real)}"
        yield Finding(path, f"you may not read it (mode {mode:04o})", mend, steps, severity=severity)


@check(
    "link-as-text",
    ERROR,
    "small texts in the place of symbolic links, in program and library directories",
    "git, zip and copies by way of other systems write a symbolic link as a file with its text",
)
def link_as_text(view: View) -> Iterator[Finding]:
    """Find files whose whole content is the name of another file: symbolic links that were lost."""
    found: list[Finding] = []
    for path, severity in _small_files(view):
        text = lost_link(view, path)
        if text:
            step = Relink(path, text)
            mend = f"ln -sfn {step.target} {view.outside(path)}"
            what = f"is a text that says {os.fsdecode(text)}: it was a symbolic link"
            found.append(Finding(path, what, mend, (step,), severity=severity))
    yield from gathered(found, view)


def _small_files(view: View) -> Iterator[tuple[bytes, str]]:
    seen: set[bytes] = set()
    commands = {os.path.basename(name) for name in view.commands}
    for top in TOP:
        if view.is_file(top):
            yield top, ERROR
    for directory in (*PROGRAM_DIRECTORIES, *_LIBRARIES):
        trace = view.find(directory)
        if trace is None or trace.real in seen:
            continue
        seen.add(trace.real)
        for name in view.list(directory):
            path = trace.real.rstrip(b"/") + b"/" + name
            if directory in PROGRAM_DIRECTORIES or b".so" in name:
                grave = b".so" in name or name == b"sh" or not commands or name in commands
                yield path, ERROR if grave else WARNING


def lost_link(view: View, path: bytes) -> bytes:
    """Give the text of the symbolic link that a file was, empty if it is none that was lost."""
    if view.link(path) is not None:
        return b""
    status = view.stat(path)
    if status is None or not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= _LONGEST:
        return b""
    text = (view.read(path) or b"").rstrip(b"\r\n")
    if not re.fullmatch(rb"[\x21-\x7e]+", text) or text in (b".", b"..") or text == os.path.basename(path):
        return b""
    target = text if text.startswith(b"/") else os.path.dirname(path).rstrip(b"/") + b"/" + text
    there = view.find(target)
    return text if there is not None and there.real != path else b""
