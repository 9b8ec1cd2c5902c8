"""Add to a closure what its programs work with: standard libraries, git's commands, a compiler's parts, certificates.

Decides: what a copy brings beyond what lets a program start, and what it says that it leaves behind. A root that has a library of the
interpreter's own keeps it. Where these files lie is `runtimes`'; what glibc loads at run time is `plan`'s and `pyroot.doctor.copy`'s.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from pyroot.elf.closure import DATA, ENV_PROGRAM, PROGRAM, SCRIPT_INTERPRETER, Closure
from pyroot.elf.reader import read_head
from pyroot.elf.rooted import Rooted
from pyroot.plain import record
from pyroot.rootfs import runtimes
from pyroot.rootfs.runtimes import PART, RUNTIME

_TLS = (b"libssl.so", b"libgnutls.so", b"libnss3.so", b"libmbedtls.so")
_BUNDLES = (b"/etc/ssl/certs/ca-certificates.crt", b"/etc/pki/tls/certs/ca-bundle.crt", b"/etc/ssl/cert.pem")
_SHELLS = (b"sh", b"bash", b"dash")


@record(frozen=True)
class Left:
    """Something that is not copied: its path, what it is, and the program that it belongs to."""

    path: bytes
    what: str
    program: bytes


def add_work(closure: Closure, target: Rooted | None = None, headers: bool = False) -> list[Left]:
    """Add what the programs of a closure work with, for a root that may have some of it; list what is left behind."""
    left: list[Left] = []
    done: set[bytes] = set()
    for item in closure.items.copy():
        if item.trace is None or item.why not in (PROGRAM, SCRIPT_INTERPRETER, ENV_PROGRAM) or item.trace.real in done:
            continue
        kind = runtimes.kind_of(item.path) or runtimes.kind_of(item.trace.real)
        done.add(item.trace.real)
        if kind in (runtimes.PYTHON, runtimes.PERL):
            left += _add_library(closure, target, item.path, item.trace.real, kind)
        elif kind == runtimes.GIT:
            left += _add_git(closure, item.path)
        elif kind == runtimes.COMPILER:
            left += _add_compiler(closure, item.path, item.trace.real, headers)
    _add_certificates(closure, target)
    return left


def _add_library(closure: Closure, target: Rooted | None, program: bytes, real: bytes, kind: str) -> list[Left]:
    if target is not None and runtimes.library_of(target, real, kind).places:
        return []
    places = runtimes.library_of(closure.rooted, real, kind).places
    left: list[Left] = [] if places else [Left(program, "its library was not found", program)]
    for place in places:
        for path in runtimes.library_files(closure.rooted, place):
            if re.search(rb"\.so(\.|$)", os.path.basename(path)):
                if not closure.add_optional(path, RUNTIME, program):
                    left.append(Left(path, "needs a library that is not installed here", program))
            else:
                closure.add_data(path, RUNTIME, program)
    return left + [Left(path, what, program) for path, what in runtimes.left_out(closure.rooted, real, kind)]


def _add_git(closure: Closure, program: bytes) -> list[Left]:
    left: dict[bytes, Left] = {}
    commands, data = runtimes.git_commands(closure.rooted)
    for path in commands:
        interpreter = _interpreter(closure.rooted, path)
        if interpreter in (b"", *_SHELLS):
            closure.add_optional(path, PART, program)
        else:
            left.setdefault(interpreter, Left(path, f"and other commands of git need {os.fsdecode(interpreter)}", program))
    for path in data:
        closure.add_data(path, PART, program)
    for name in runtimes.GIT_TOOLS:
        tool = closure.find_program(name)
        if tool is not None:
            closure.add_optional(tool, PART, program)
    return list(left.values())


def _interpreter(rooted: Rooted, path: bytes) -> bytes:
    """Give the name of the interpreter that a script names, empty for anything else."""
    try:
        line = read_head(rooted.host(rooted.trace(path).real), 256).split(b"\n")[0]
    except OSError:
        return b""
    words = line[2:].split() if line.startswith(b"#!") else []
    named = [os.path.basename(word) for word in words]
    return b"" if not named else named[1] if named[0] == b"env" and len(named) > 1 else named[0]


def _add_compiler(closure: Closure, program: bytes, real: bytes, headers: bool) -> list[Left]:
    programs, data = runtimes.compiler_files(closure.rooted, real, headers)
    for path in programs:
        closure.add_optional(path, PART, program)
    for path in data:
        closure.add_data(path, PART, program)
    return [] if headers else [Left(path, what, program) for path, what in runtimes.left_out(closure.rooted, real, runtimes.COMPILER)]


def _add_certificates(closure: Closure, target: Rooted | None) -> None:
    users = [item for item in closure.items if os.path.basename(item.path).startswith(_TLS)]
    there: Iterable[bytes] = [path for path in _BUNDLES if target is not None and target.find(path)]
    bundle = next((path for path in _BUNDLES if closure.rooted.find(path)), None)
    if users and bundle and not there:
        closure.add_data(bundle, DATA, users[0].path)
