"""What programs work with besides their libraries: the library of an interpreter, the parts of a compiler, git's commands.

Decides: which files those are and where they lie, told from the program's own file, and what of it is left out of a copy. Not decided
here: how they are copied, and what it means if they are missing. Source: Python's getpath, perlrun(1), "Directory Options" in GCC's
manual, git(1), "Installing and Configuring Modules" of glibc's iconv.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from pyroot.elf.rooted import Rooted
from pyroot.plain import field, record

PYTHON = "Python"
PERL = "Perl"
COMPILER = "compiler"
GIT = "git"

RUNTIME = "library of an interpreter"
PART = "part of a program"

_KINDS = (
    (re.compile(rb"(python|pypy)(\d(\.\d+)?)?"), PYTHON),
    (re.compile(rb"perl(5[.\d]*)?"), PERL),
    (re.compile(rb"([a-z0-9_]+-)*(gcc|g\+\+|cc|c\+\+)(-[\d.]+)?"), COMPILER),
    (re.compile(rb"git"), GIT),
)
# Of a standard library: what no program needs in order to work, and is large.
_LEFT = (b"__pycache__", b"test", b"tests", b"idlelib", b"lib2to3", b"turtledemo", b"site-packages", b"dist-packages")
_COMPILER_BASES = (b"lib/gcc", b"libexec/gcc", b"lib64/gcc")
_PARTS = {b"cc1": b"the C compiler proper"}
_GIT_PLACES = (b"/usr/lib/git-core", b"/usr/libexec/git-core", b"/usr/local/libexec/git-core")
GIT_TOOLS = (b"sh", b"basename", b"sed", b"uname", b"cat", b"rm", b"tr")  # of the commands that are shell scripts
_TEMPLATES = b"/usr/share/git-core/templates"


@record
class Library:
    """Where an interpreter's library is (nothing: it is not there), what was looked for, and whether the file itself names the place."""

    places: list[bytes] = field(default_factory=list)
    wanted: str = ""
    sure: bool = False


def kind_of(path: bytes) -> str:
    """Tell what a program is by its name; empty for most."""
    name = os.path.basename(path)
    return next((kind for pattern, kind in _KINDS if pattern.fullmatch(name)), "")


def library_of(rooted: Rooted, real: bytes, kind: str) -> Library:
    """Find the library of the interpreter at a canonical path."""
    return _python_library(rooted, real) if kind == PYTHON else _perl_library(rooted, real)


def _is_directory(rooted: Rooted, path: bytes) -> bool:
    trace = rooted.find(path)
    return trace is not None and os.path.isdir(rooted.host(trace.real))


def _names(rooted: Rooted, path: bytes) -> list[bytes]:
    trace = rooted.find(path)
    try:
        return sorted(os.listdir(rooted.host(trace.real))) if trace else []
    except OSError:
        return []


def _image(rooted: Rooted, real: bytes) -> bytes:
    try:
        return rooted.read(real)
    except OSError:
        return b""


def _python_library(rooted: Rooted, real: bytes) -> Library:
    """Search as getpath does: from the program upwards for lib/pythonX.Y, then in the places that are compiled in."""
    version = re.search(rb"(\d\.\d+)", os.path.basename(real))
    if version is None:
        version = re.search(rb"libpython(\d\.\d+)\w*\.so|/lib/python(\d\.\d+)", _image(rooted, real))
    if version is None:
        return Library(wanted="lib/python3", sure=False)
    number = next(text for text in version.groups() if text)
    name = b"python" + number
    parts = os.path.dirname(real).split(b"/")
    prefixes = [b"/".join(parts[:number]) for number in range(len(parts), 0, -1)]
    prefixes += [one for one in (b"/usr", b"/usr/local") if one not in prefixes]
    for prefix in prefixes:
        for part in (b"/lib/", b"/lib64/"):
            place = prefix + part + name
            if rooted.find(place + b"/encodings/__init__.py") or rooted.find(place + b"/encodings/__init__.pyc"):
                return Library([place], sure=True)
        if rooted.find(prefix + b"/lib/python" + number.replace(b".", b"") + b".zip"):
            return Library([prefix + b"/lib/python" + number.replace(b".", b"") + b".zip"], sure=True)
    return Library(wanted=f"lib/{os.fsdecode(name)}/encodings", sure=False)


def _perl_library(rooted: Rooted, real: bytes) -> Library:
    """Take the directories of @INC from the program, or from the libperl beside it: they are compiled in."""
    image = _image(rooted, real)
    found = re.search(rb"libperl\.so[.\d]*", image)
    if found:
        for base in (b"/usr/lib/x86_64-linux-gnu", b"/usr/lib/i386-linux-gnu", b"/usr/lib", b"/usr/lib64", b"/lib"):
            trace = rooted.find(base + b"/" + found[0])
            image += _image(rooted, trace.real) if trace else b""
    named = list(dict.fromkeys(re.findall(rb"(?<=\0)(/[\x21-\x7e]*/perl[\x21-\x7e]*)(?=\0)", image)))
    inside = [path for path in named if rooted.find(path + b"/strict.pm")]
    if not inside:
        shown = next((path for path in named if b"/local" not in path and not path.startswith(b"/etc")), b"strict.pm")
        return Library(wanted=f"{os.fsdecode(shown)}/strict.pm" if shown != b"strict.pm" else "strict.pm", sure=bool(named))
    keep = [path for path in named if _is_directory(rooted, path) and b"/local" not in path and not path.startswith(b"/etc")]
    return Library([path for path in keep if _holds_core(rooted, path)] or inside, sure=True)


def _holds_core(rooted: Rooted, path: bytes) -> bool:
    return any(rooted.find(path + b"/" + name) for name in (b"strict.pm", b"Config.pm", b"POSIX.pm", b"File"))


def same_file(one: bytes, two: bytes) -> bool:
    """Tell whether two host paths hold the same content."""
    import filecmp

    try:
        return os.path.samefile(one, two) or filecmp.cmp(one, two, shallow=False)
    except OSError:
        return False


def same_runtime(rooted: Rooted, real: bytes, kind: str) -> bool:
    """Tell whether this host has the very program that a root has, and its library."""
    return same_file(rooted.host(real), real) and bool(library_of(Rooted("/"), real, kind).places)


def library_files(rooted: Rooted, place: bytes) -> Iterator[bytes]:
    """List the files of an interpreter's library that a copy brings."""
    trace = rooted.find(place)
    if trace is None:
        return
    if not os.path.isdir(rooted.host(trace.real)):
        yield place
        return
    top = rooted.host(trace.real)
    for base, directories, names in os.walk(top):
        directories[:] = sorted(name for name in directories if name not in _LEFT)
        for name in sorted(names):
            yield place + (base + b"/" + name)[len(top) :]


def left_out(rooted: Rooted, real: bytes, kind: str) -> list[tuple[bytes, str]]:
    """List what a copy of a program leaves behind: path and what it is."""
    found: list[tuple[bytes, str]] = []
    if kind == PYTHON:
        for place in library_of(rooted, real, kind).places:
            parent = os.path.dirname(place)
            for path in (place + b"/site-packages", place + b"/dist-packages", parent + b"/python3/dist-packages"):
                if _names(rooted, path):
                    found.append((path, "packages that were installed"))
    elif kind == PERL and _is_directory(rooted, b"/usr/share/perl5"):
        found.append((b"/usr/share/perl5", "modules that were installed"))
    elif kind == COMPILER:
        for path in (b"/usr/include",):
            if _is_directory(rooted, path):
                found.append((path, "headers, and the files that ld adds to each program: --headers brings them"))
    return found


def compiler_directories(rooted: Rooted, real: bytes) -> list[bytes]:
    """List the directories in which a compiler keeps its parts: those of its own version if its name says it, else all."""
    prefix = os.path.dirname(os.path.dirname(real)).rstrip(b"/")
    version = re.search(rb"-([\d.]+)$", os.path.basename(real))
    found: list[bytes] = []
    for base in _COMPILER_BASES:
        for machine in _names(rooted, prefix + b"/" + base):
            for number in _names(rooted, prefix + b"/" + base + b"/" + machine):
                if version is None or number == version[1] or number.startswith(version[1] + b"."):
                    found.append(prefix + b"/" + base + b"/" + machine + b"/" + number)
    return found


def compiler_lacks(rooted: Rooted, real: bytes) -> list[bytes]:
    """List what a compiler needs in order to make a program and the root does not have."""
    directories = compiler_directories(rooted, real)
    part = b"cc1plus" if b"+" in os.path.basename(real) else b"cc1"
    missing = [] if any(rooted.find(one + b"/" + part) for one in directories) else [part]
    for tool in (b"as", b"ld"):
        if not any(rooted.find(place + b"/" + tool) for place in (os.path.dirname(real), b"/usr/bin", b"/bin", *directories)):
            missing.append(tool)
    return missing


def development_lacks(rooted: Rooted) -> list[bytes]:
    """List what a root lacks of the C library's part for programs that are made in it."""
    places = [b"/usr/lib64", b"/usr/lib", b"/lib", b"/lib64"]
    places += [b"/usr/lib/" + name for name in _names(rooted, b"/usr/lib") if name.endswith((b"-linux-gnu", b"-linux-musl"))]
    starts = any(rooted.find(place + b"/crt1.o") for place in places)
    wanted = ((b"/usr/include/stdio.h", rooted.find(b"/usr/include/stdio.h")), (b"crt1.o", starts))
    return [name for name, found in wanted if not found]


def compiler_files(rooted: Rooted, real: bytes, headers: bool) -> tuple[list[bytes], list[bytes]]:
    """List the programs and the data that a compiler works with."""
    plus = b"+" in os.path.basename(real)
    wanted = [b"cc1plus"] if plus else [b"cc1"]
    wanted += [b"collect2", b"lto-wrapper", b"liblto_plugin.so"]
    programs = [one + b"/" + part for one in compiler_directories(rooted, real) for part in wanted if rooted.find(one + b"/" + part)]
    for tool in (b"as", b"ld"):
        place = next((one + b"/" + tool for one in (os.path.dirname(real), b"/usr/bin", b"/bin") if rooted.find(one + b"/" + tool)), None)
        programs += [place] if place else []
    data: list[bytes] = []
    for directory in compiler_directories(rooted, real):
        data += [directory + b"/" + name for name in _names(rooted, directory) if name.endswith((b".o", b".a", b".so"))]
        data += list(library_files(rooted, directory + b"/include"))
    if headers:
        data += list(library_files(rooted, b"/usr/include"))
        for base in (b"/usr/lib/x86_64-linux-gnu", b"/usr/lib64", b"/usr/lib"):
            start = [base + b"/" + name for name in _names(rooted, base) if re.fullmatch(rb"[a-zA-Z]*crt[1in]\.o", name)]
            if start:
                data += start
                data += [base + b"/lib" + name for name in (b"c.so", b"c_nonshared.a", b"m.so", b"gcc_s.so.1", b"mvec.so", b"pthread.a")]
                break
    return programs, [path for path in dict.fromkeys(data) if rooted.find(path)]


def git_commands(rooted: Rooted) -> tuple[list[bytes], list[bytes]]:
    """List the programs below git's exec path, and the templates of a new repository."""
    place = next((one for one in _GIT_PLACES if _is_directory(rooted, one)), None)
    programs = [place + b"/" + name for name in _names(rooted, place)] if place else []
    data: list[bytes] = [place + b"/" + name for name in (b"mergetools",) if place and _is_directory(rooted, place + b"/" + name)]
    files = [path for top in (*data, _TEMPLATES) for path in library_files(rooted, top)]
    return [path for path in programs if path not in data], files


def gconv_directories(libc: bytes, real: bytes) -> list[bytes]:
    """List where a C library looks for its character sets."""
    bases = [os.path.dirname(libc), os.path.dirname(real), b"/usr" + os.path.dirname(libc), b"/usr/lib64", b"/usr/lib"]
    return [base + b"/gconv" for base in dict.fromkeys(bases)]
