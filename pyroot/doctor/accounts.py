"""Checks of accounts: passwd, group, shadow, nsswitch.conf and the modules that it names.

Decides: which account files a root needs and what a minimal one says. Source: passwd(5), group(5), nsswitch.conf(5), nss(5).
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator

from pyroot.doctor.chain import copy_of
from pyroot.doctor.layout import broken_directories
from pyroot.doctor.registry import ERROR, NAMES, NOTE, WARNING, Finding, check
from pyroot.doctor.settings import absent, lost_link
from pyroot.doctor.steps import AddLines, Chmod, MakeDirectory, UnixLines, WriteFile
from pyroot.reading.host import host_library
from pyroot.reading.view import View

_NSSWITCH = b"passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
_DATABASES = (b"passwd", b"group", b"hosts")
_ESSENTIAL_MODULES = (b"files", b"dns", b"compat")


def _shell(view: View) -> bytes:
    return b"/bin/bash" if view.is_file(b"/bin/bash") else b"/bin/sh"


def _passwd(view: View) -> bytes:
    own = b"" if view.uid in (0, 65534) else b"user%d:x:%d:%d::/:%s\n" % (view.uid, view.uid, os.getegid(), _shell(view))
    return b"root:x:0:0:root:/root:%s\n%snobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n" % (_shell(view), own)


def _group(view: View) -> bytes:
    own = b"" if os.getegid() in (0, 65534) else b"group%d:x:%d:\n" % (os.getegid(), os.getegid())
    return b"root:x:0:\n" + own + b"nogroup:x:65534:\n"


def _records(view: View, path: bytes, fields: int, numbers: tuple[int, ...]) -> tuple[list[list[bytes]], list[int]]:
    """Split an account file into the records that the C library reads, and the numbers of the lines that it does not.

    glibc wants the fields up to the last number, and takes what is left out after that as empty; musl wants them all.
    """
    least = fields if _musl_only(view) else numbers[-1] + 1
    good: list[list[bytes]] = []
    bad: list[int] = []
    for number, line in enumerate((view.read(path) or b"").splitlines(), 1):
        line = line.lstrip(b" \t") if least < fields else line
        if not line.strip() or line.startswith((b"#", b"+", b"-")):
            continue
        parts = line.split(b":")
        if len(parts) < least or not parts[0] or not all(parts[at].isdigit() for at in numbers):
            bad.append(number)
        else:
            good.append(parts)
    return good, bad


def _musl_only(view: View) -> bool:
    images = [objects[0].elf for objects in view.closure.images.values() if objects and objects[0].elf.interp]
    return bool(images) and all(os.path.basename(elf.interp or b"").startswith(b"ld-musl-") for elf in images)


def users(view: View) -> list[list[bytes]]:
    """List the records of passwd(5) that the C library reads."""
    return _records(view, b"/etc/passwd", 7, (2, 3))[0]


def _absent(view: View, path: bytes, content: bytes, mend: str = "-R shows the host's") -> Iterator[Finding]:
    gone = absent(view, path)
    if gone is not None:
        what, clear = gone
        yield Finding(path, what, mend, () if clear is None else (*clear, WriteFile(path, content)))


@check("passwd-missing", ERROR, "/etc/passwd", "without it whoami, ssh, git and sudo do not know who you are", beside=True)
def passwd_missing(view: View) -> Iterator[Finding]:
    """Find a root without users."""
    yield from _absent(view, b"/etc/passwd", _passwd(view))


@check("group-missing", ERROR, "/etc/group", "without it id and ls show numbers, and install -g and chgrp fail", beside=True)
def group_missing(view: View) -> Iterator[Finding]:
    """Find a root without groups."""
    yield from _absent(view, b"/etc/group", _group(view))


@check(
    "account-damaged",
    ERROR,
    "the fields of each line in /etc/passwd and /etc/group",
    "the C library stops at a line, or skips it, and the account is gone",
    beside=True,
)
def account_damaged(view: View) -> Iterator[Finding]:
    """Find lines that are not records."""
    for path, fields, numbers in ((b"/etc/passwd", 7, (2, 3)), (b"/etc/group", 4, (2,))):
        if b"\r\n" in (view.read(path) or b""):
            what = "its lines end in CR LF: the last field of each, as the shell, has a character more"
            yield Finding(path, what, f"sed -i 's/\\r$//' {view.outside(path)}", (UnixLines(path),))
            continue
        _good, bad = _records(view, path, fields, numbers)
        if bad:
            lines = ", ".join(map(str, bad[:5]))
            least = fields if _musl_only(view) else numbers[-1] + 1
            yield Finding(path, f"line {lines}: not {least} fields or more, with numbers where they belong", "correct the line")


@check("no-root-account", WARNING, "user 0 in /etc/passwd", "files of the system belong to user 0, and programs ask for the name")
def no_root_account(view: View) -> Iterator[Finding]:
    """Find a passwd without root."""
    known = users(view)
    if view.read(b"/etc/passwd") is not None and not view.closed(b"/etc/passwd") and not any(int(parts[2]) == 0 for parts in known):
        line = b"root:x:0:0:root:/root:" + _shell(view) + b"\n"
        yield Finding(b"/etc/passwd", "has no user 0", "add root", (AddLines(b"/etc/passwd", line),))


@check("no-own-account", NOTE, "your own user id in /etc/passwd", "programs say that you do not exist; -R shows the host's file")
def no_own_account(view: View) -> Iterator[Finding]:
    """Find a passwd that does not know the user."""
    known = users(view)
    if known and not any(int(parts[2]) == view.uid for parts in known):
        line = b"user%d:x:%d:%d::/:%s\n" % (view.uid, view.uid, os.getegid(), _shell(view))
        yield Finding(
            b"/etc/passwd", f"has no user {view.uid}, which is you", "add a line, or run with -R", (AddLines(b"/etc/passwd", line),)
        )


@check(
    "shell-missing",
    WARNING,
    "/bin/sh, and the login shells of root and of you",
    "system(3), make, and scripts without a #! line start /bin/sh",
)
def shell_missing(view: View) -> Iterator[Finding]:
    """Find shells that are named and do not exist."""
    for shell in _shells(view):
        below = any(shell.startswith(directory + b"/") for directory in broken_directories(view))
        if view.stat(shell) or below or view.problem(shell) == errno.EACCES:
            continue
        link = view.link(shell)
        what = f"is a link to {os.fsdecode(link)}, which is not there" if link is not None else "is missing"
        mend, steps = copy_of(view, shell)
        if not mend:
            mend = "bring a shell" if shell == b"/bin/sh" else "bring it, or name another shell in /etc/passwd"
        # A link in its place is mended by what it leads to, and a root for one program needs no shell; only /bin/sh is missed by all.
        steps = () if link is not None or shell != b"/bin/sh" else steps
        yield Finding(shell, what, mend, steps, severity=NOTE if view.bare or view.commands else WARNING)


@check(
    "shell-damaged",
    ERROR,
    "what /bin/sh and the login shells are",
    "the kernel takes ELF files and texts that begin with #! only, and refuses all else with ENOEXEC",
)
def shell_damaged(view: View) -> Iterator[Finding]:
    """Find shells that are there and are no programs."""
    done: set[bytes] = set()
    for shell in _shells(view):
        trace, status = view.find(shell), view.stat(shell)
        if trace is None or status is None or trace.real in done:
            continue
        done.add(trace.real)
        severity = ERROR if not view.commands or shell in view.commands or os.path.basename(shell) in view.commands else WARNING
        if not stat.S_ISREG(status.st_mode):
            mend, _steps = copy_of(view, shell)
            mend = f"rm -r {view.outside(trace.real)}" + (f" && {mend}" if mend else ", and bring a shell")
            yield Finding(shell, "is not a file", mend, severity=severity)
            continue
        head = view.read(shell)
        if head is None or head.startswith((b"\x7fELF", b"#!")) or lost_link(view, trace.real):
            continue
        shown = os.fsdecode(head[:24].splitlines()[0]) if head.strip() else ""
        what = f"is a text and no program; it begins with {shown!r}" if shown else "is empty"
        mend, _steps = copy_of(view, shell)
        yield Finding(shell, what, f"rm {view.outside(trace.real)}" + (f" && {mend}" if mend else ", and bring a shell"), severity=severity)


def _shells(view: View) -> list[bytes]:
    """List /bin/sh and the shells of root and of the user, in their order; what is there to refuse a login is left out."""
    named = {parts[6].rstrip(b"\r") for parts in users(view) if len(parts) > 6 and int(parts[2]) in (0, view.uid)}
    return [one for one in sorted({b"/bin/sh"} | named) if one.startswith(b"/") and not one.endswith((b"/nologin", b"/false"))]


@check(
    "home-missing",
    WARNING,
    "your home directory, as the root's /etc/passwd names it",
    "shells start in /, and programs cannot keep settings",
)
def home_missing(view: View) -> Iterator[Finding]:
    """Find an account of the user whose home directory is not there."""
    for parts in users(view):
        home = parts[5] if len(parts) > 5 else b""
        if int(parts[2]) != view.uid or not home.startswith(b"/") or home in (b"/", b"/nonexistent"):
            continue
        status = view.stat(home)
        if status is None and view.problem(home) != errno.EACCES and view.link(home) is None:
            yield Finding(home, "is missing", "-R shows the host's; or make it", (MakeDirectory(home, 0o755),))
        elif status is not None and not stat.S_ISDIR(status.st_mode):
            yield Finding(home, "is not a directory", f"rm {view.outside(home)} && mkdir {view.outside(home)}")
        return
    home = view.environment.get(b"HOME", b"")
    if home.startswith(b"/") and home != b"/" and view.stat(home) is None and view.run_words is not None:
        yield Finding(home, "HOME names it, and it is not in the root", "-R shows the host's", severity=NOTE)


@check(
    "home-rights",
    WARNING,
    "the rights of your home directory, as the root's /etc/passwd names it",
    "caches and settings cannot be kept: npm, pip, ssh and many others give up, or warn each time",
)
def home_rights(view: View) -> Iterator[Finding]:
    """Find a home directory that its user may not write to."""
    for parts in users(view):
        home = parts[5] if len(parts) > 5 else b""
        if int(parts[2]) != view.uid or view.uid == 0 or not home.startswith(b"/") or home == b"/":
            continue
        trace, status = view.find(home), view.stat(home)
        if trace is not None and status is not None and stat.S_ISDIR(status.st_mode) and not view.may(status, os.W_OK | os.X_OK):
            mode = stat.S_IMODE(status.st_mode)
            steps = (Chmod(trace.real, mode | 0o700),) if view.owns(status) else ()
            here = view.outside(trace.real)
            mend = f"chmod u+rwx {here}" if steps else f"as root: chown {view.uid} {here}"
            yield Finding(home, f"you may not write there (mode {mode:04o}, owner {status.st_uid})", mend, steps)
        return


@check(
    "shadow-missing",
    NOTE,
    "/etc/shadow, if passwd says x",
    "login, su and passwd look there; programs that do not ask for passwords do not",
)
def shadow_missing(view: View) -> Iterator[Finding]:
    """Find a passwd that points at a shadow file that does not exist."""
    known = users(view)
    if any(parts[1] == b"x" for parts in known) and view.stat(b"/etc/shadow") is None:
        yield Finding(b"/etc/shadow", "is missing", "nothing to do unless a program asks for passwords")


def has_glibc(view: View) -> bool:
    """Tell whether the programs of the root are linked with glibc."""
    return view.closure.has_glibc


@check(
    "nsswitch-missing",
    WARNING,
    "/etc/nsswitch.conf, for glibc",
    "without it glibc asks a name server before /etc/hosts, and only then files",
    calls=NAMES,
)
def nsswitch_missing(view: View) -> Iterator[Finding]:
    """Find a glibc without its name service switch."""
    if has_glibc(view):
        yield from _absent(view, b"/etc/nsswitch.conf", _NSSWITCH, "write passwd, group: files; hosts: files dns")


def _services(view: View) -> Iterator[tuple[bytes, list[bytes]]]:
    for line in (view.read(b"/etc/nsswitch.conf") or b"").splitlines():
        database, _colon, rest = re.sub(rb"\[[^]]*\]", b" ", line.split(b"#", 1)[0]).partition(b":")
        if database.strip():
            yield database.strip(), rest.split()


def _module_missing(view: View, service: bytes) -> bool:
    """Tell whether glibc would not get a service: since 2.34 files and dns are part of libc itself."""
    name = b"libnss_" + service + b".so.2"
    for objects in view.closure.images.values():
        libc = next((one for one in objects if b"libc.so.6" in one.names), None)
        if libc is None:
            continue
        if service in (b"files", b"dns") and b"GLIBC_2.34" in view.versions(libc.real).offers:
            return False
        return view.closure.search_of(objects[0].elf).find(name, libc, objects[0]) is None
    return False


@check(
    "nss-module",
    ERROR,
    "libnss_*.so.2 for files, dns and compat in /etc/nsswitch.conf, and for databases that have no other service",
    "glibc leaves out a service whose module is missing: the names are not found",
    beside=True,
)
def nss_module(view: View) -> Iterator[Finding]:
    """Find a service that names depend on without its module."""
    yield from _modules(view, True)


@check(
    "nss-module-other",
    NOTE,
    "libnss_*.so.2 for the other services in /etc/nsswitch.conf",
    "glibc passes over a service whose module is missing",
)
def nss_module_other(view: View) -> Iterator[Finding]:
    """Find other services without their module."""
    yield from _modules(view, False)


def _modules(view: View, essential: bool) -> Iterator[Finding]:
    done: set[bytes] = set()
    if not has_glibc(view):
        return
    for database, services in _services(view):
        named = [service for service in services if re.fullmatch(rb"[A-Za-z0-9_+-]+", service)]
        missing = [service for service in named if _module_missing(view, service)]
        alone = bool(named) and missing == named and database in _DATABASES
        for service in missing:
            if service in done or (alone or service in _ESSENTIAL_MODULES) != essential:
                continue
            done.add(service)
            shown, name = os.fsdecode(database), os.fsdecode(service)
            what = f"{shown}: {name} needs libnss_{name}.so.2, which is not there"
            if alone:
                what += f", and {shown} has no other service"
            mend, steps = copy_of(view, host_library(b"libnss_" + service + b".so.2") or b"")
            other = f"write {shown}: files" if alone else f"take {name} out of the line"
            mend = mend or f"install the module, or {other}"
            yield Finding(b"/etc/nsswitch.conf", what, mend, steps if essential else ())


@check(
    "nsswitch-empty",
    ERROR,
    "passwd, group and hosts in /etc/nsswitch.conf",
    "a database with no service at all finds nothing",
    beside=True,
)
def nsswitch_empty(view: View) -> Iterator[Finding]:
    """Find databases that are switched off."""
    if has_glibc(view):
        for database, services in _services(view):
            if database in _DATABASES and not services:
                yield Finding(b"/etc/nsswitch.conf", f"{os.fsdecode(database)}: names no service", f"{os.fsdecode(database)}: files")
