"""Checks of accounts: passwd, group, shadow, nsswitch.conf and the modules that it names.

Decides: which account files a root needs and what a minimal one says. Source: passwd(5), group(5), nsswitch.conf(5), nss(5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from pyroot.doctor.registry import ERROR, NOTE, WARNING, Finding, check
from pyroot.doctor.steps import AddLines, WriteFile
from pyroot.reading.view import View

_NSSWITCH = b"passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
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
    """Split an account file into good records, and the numbers of bad lines."""
    good: list[list[bytes]] = []
    bad: list[int] = []
    for number, line in enumerate((view.read(path) or b"").splitlines(), 1):
        if not line.strip() or line.startswith((b"#", b"+", b"-")):
            continue
        parts = line.split(b":")
        if len(parts) != fields or not parts[0] or not all(parts[at].isdigit() for at in numbers):
            bad.append(number)
        else:
            good.append(parts)
    return good, bad


def _users(view: View) -> list[list[bytes]]:
    """List the good records of passwd(5)."""
    return _records(view, b"/etc/passwd", 7, (2, 3))[0]


@check("passwd-missing", ERROR, "/etc/passwd", "without it whoami, ssh, git and sudo do not know who you are")
def passwd_missing(view: View) -> Iterator[Finding]:
    """Find a root without users."""
    if not view.is_file(b"/etc/passwd"):
        yield Finding(b"/etc/passwd", "is missing", "-R shows the host's", (WriteFile(b"/etc/passwd", _passwd(view)),))


@check("group-missing", ERROR, "/etc/group", "without it id and ls show numbers, and install -g and chgrp fail")
def group_missing(view: View) -> Iterator[Finding]:
    """Find a root without groups."""
    if not view.is_file(b"/etc/group"):
        yield Finding(b"/etc/group", "is missing", "-R shows the host's", (WriteFile(b"/etc/group", _group(view)),))


@check(
    "account-damaged",
    ERROR,
    "the fields of each line in /etc/passwd and /etc/group",
    "the C library stops at a line, or skips it, and the account is gone",
)
def account_damaged(view: View) -> Iterator[Finding]:
    """Find lines that are not records."""
    for path, fields, numbers in ((b"/etc/passwd", 7, (2, 3)), (b"/etc/group", 4, (2,))):
        _good, bad = _records(view, path, fields, numbers)
        if bad:
            lines = ", ".join(map(str, bad[:5]))
            yield Finding(path, f"line {lines}: not {fields} fields with numbers where they belong", "correct the line")


@check("no-root-account", WARNING, "user 0 in /etc/passwd", "files of the system belong to user 0, and programs ask for the name")
def no_root_account(view: View) -> Iterator[Finding]:
    """Find a passwd without root."""
    users = _users(view)
    if view.is_file(b"/etc/passwd") and not any(int(parts[2]) == 0 for parts in users):
        line = b"root:x:0:0:root:/root:" + _shell(view) + b"\n"
        yield Finding(b"/etc/passwd", "has no user 0", "add root", (AddLines(b"/etc/passwd", line),))


@check("no-own-account", NOTE, "your own user id in /etc/passwd", "programs say that you do not exist; -R shows the host's file")
def no_own_account(view: View) -> Iterator[Finding]:
    """Find a passwd that does not know the user."""
    users = _users(view)
    if users and not any(int(parts[2]) == view.uid for parts in users):
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
    from pyroot.doctor.layout import broken_directories

    users = _users(view)
    shells = {b"/bin/sh"} | {parts[6] for parts in users if int(parts[2]) in (0, view.uid) and parts[6]}
    for shell in sorted(shells):
        below = any(shell.startswith(directory + b"/") for directory in broken_directories(view))
        if not view.is_file(shell) and not below and not shell.endswith((b"/nologin", b"/false")):
            yield Finding(shell, "is missing", "pyroot copy, or another shell in /etc/passwd")


@check(
    "shadow-missing",
    NOTE,
    "/etc/shadow, if passwd says x",
    "login, su and passwd look there; programs that do not ask for passwords do not",
)
def shadow_missing(view: View) -> Iterator[Finding]:
    """Find a passwd that points at a shadow file that does not exist."""
    users = _users(view)
    if any(parts[1] == b"x" for parts in users) and view.stat(b"/etc/shadow") is None:
        yield Finding(b"/etc/shadow", "is missing", "nothing to do unless a program asks for passwords")


def has_glibc(view: View) -> bool:
    """Tell whether the programs of the root are linked with glibc."""
    return view.closure.has_glibc


@check(
    "nsswitch-missing",
    WARNING,
    "/etc/nsswitch.conf, for glibc",
    "without it glibc asks a name server before /etc/hosts, and only then files",
)
def nsswitch_missing(view: View) -> Iterator[Finding]:
    """Find a glibc without its name service switch."""
    if has_glibc(view) and not view.is_file(b"/etc/nsswitch.conf"):
        steps = (WriteFile(b"/etc/nsswitch.conf", _NSSWITCH),)
        yield Finding(b"/etc/nsswitch.conf", "is missing", "write passwd, group: files; hosts: files dns", steps)


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
    "libnss_*.so.2 for files, dns and compat in /etc/nsswitch.conf",
    "glibc leaves out a service whose module is missing: the names are not found",
)
def nss_module(view: View) -> Iterator[Finding]:
    """Find a basic service without its module."""
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
        for service in services:
            if service in done or not re.fullmatch(rb"[A-Za-z0-9_+-]+", service) or (service in _ESSENTIAL_MODULES) != essential:
                continue
            done.add(service)
            if _module_missing(view, service):
                what = f"{os.fsdecode(database)}: {os.fsdecode(service)} needs libnss_{os.fsdecode(service)}.so.2, which is not there"
                yield Finding(b"/etc/nsswitch.conf", what, f"install the module, or take {os.fsdecode(service)} out of the line")


@check("nsswitch-empty", ERROR, "passwd, group and hosts in /etc/nsswitch.conf", "a database with no service at all finds nothing")
def nsswitch_empty(view: View) -> Iterator[Finding]:
    """Find databases that are switched off."""
    if has_glibc(view):
        for database, services in _services(view):
            if database in (b"passwd", b"group", b"hosts") and not services:
                yield Finding(b"/etc/nsswitch.conf", f"{os.fsdecode(database)}: names no service", f"{os.fsdecode(database)}: files")
