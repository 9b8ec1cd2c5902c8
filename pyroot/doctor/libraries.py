"""Checks of libraries: what a loader looks for, what it finds, and whether that has the symbols that are required of it.

Decides: which missing or unfit library is named by which code, so that one defect gives one finding. What is found where is
`pyroot.elf`'s. Source of the facts: ld.so(8), ldconfig(8), elf(5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from pyroot.doctor.chain import candidates, copy_of, damage_of, grouped, readable, under_another_name, wanted_by
from pyroot.doctor.registry import ERROR, WARNING, Finding, check
from pyroot.doctor.steps import AddLines, Link, LoaderIndex
from pyroot.elf.closure import LIBRARY, Item
from pyroot.elf.ldcache import parse_cache
from pyroot.elf.reader import Elf, identity_of, read_head
from pyroot.elf.search import CONF, BadLibrary, MuslSearch
from pyroot.errors import shell_word
from pyroot.plain import replace
from pyroot.reading.host import host_library
from pyroot.reading.view import View, shown_names


def _program_over(view: View, item: Item) -> Elf | None:
    """Give the program on whose behalf a library is needed."""
    above = view.closure.programs_over(item)
    objects = view.closure.images.get(above[-1].path if above else item.needed_by or b"")
    return objects[0].elf if objects else None


def _by_musl(view: View, item: Item) -> bool:
    """Tell whether the loader that misses a library is musl's, which has no cache."""
    program = _program_over(view, item)
    return program is not None and view.closure.search_of(program).musl


def _has_path_file(view: View, item: Item) -> bool:
    program = _program_over(view, item)
    search = view.closure.search_of(program) if program else None
    return isinstance(search, MuslSearch) and search.path_file is not None


def _fitting(view: View, item: Item) -> tuple[bytes | None, bytes | None]:
    """Give a file of a missing library's name that would fit the file that needs it, and one that would not."""
    fits = other = None
    wanter = view.find(item.needed_by or b"")
    own = identity_of(read_head(view.rooted.host(wanter.real))) if wanter else None
    for path in candidates(view, item.path):
        trace = view.find(path)
        if trace is None or own is None or not readable(view, path):
            continue
        identity = identity_of(read_head(view.rooted.host(trace.real)))
        if identity is not None and identity.fits(own):
            fits = fits or path
        elif identity is not None:
            other = other or path
    return fits, other


@check(
    "library-missing",
    ERROR,
    "DT_NEEDED of programs and libraries, searched as ld.so or musl does",
    "the loader ends the program before its first instruction",
)
def library_missing(view: View) -> Iterator[Finding]:
    """Find libraries that are nowhere in the root, or nowhere where their loader looks."""
    for name, items in grouped(view, list(view.missing(LIBRARY))).items():
        there = candidates(view, name)
        if damage_of(view, items[0]) or items[0].place or there and not _by_musl(view, items[0]):
            continue
        if there:
            fits, _other = _fitting(view, items[0])
            if fits and not _has_path_file(view, items[0]):
                what = f"{os.fsdecode(fits)} is not where musl looks; needed by {wanted_by(view, items)}"
                yield Finding(name, what, "move it to /lib, or name its directory in /etc/ld-musl-*.path")
            continue
        unlinked = under_another_name(view, items[0], name)
        if unlinked:
            step = Link(os.path.dirname(unlinked[0]) + b"/" + name, os.path.basename(unlinked[0]))
            what = f"{os.fsdecode(unlinked[0])} is it, and the symbolic link of this name is missing; needed by {wanted_by(view, items)}"
            yield Finding(name, what, f"ln -sfn {step.target} {view.outside(step.path)}", (step,))
            continue
        source = host_library(name, _program_over(view, items[0]))
        mend, steps = copy_of(view, source) if source else ("", ())
        mend = mend or "install the package that brings it in the root"
        yield Finding(name, f"{items[0].problem}; needed by {wanted_by(view, items)}", mend, steps)


@check(
    "library-foreign",
    ERROR,
    "class and machine of libraries",
    "the loader skips a library for another machine, and then does not find it",
)
def library_foreign(view: View) -> Iterator[Finding]:
    """Find libraries that exist only for another machine."""
    for _name, items in grouped(view, list(view.missing(LIBRARY))).items():
        fits, other = _fitting(view, items[0])
        if other and not fits and not damage_of(view, items[0]):
            trace = view.find(other)
            kind = identity_of(read_head(view.rooted.host(trace.real))) if trace else None
            source = host_library(items[0].path, _program_over(view, items[0]))
            mend, steps = copy_of(view, source) if source and view.stat(source) is None else ("", ())
            mend = mend or "install the library for this machine"
            yield Finding(other, f"is for {kind}; needed by {wanted_by(view, items)}", mend, steps)


@check(
    "loader-index",
    ERROR,
    "ld.so.cache against ld.so.conf and its includes",
    "ld.so reads the cache, never ld.so.conf: a library that ldconfig did not enter is not found",
)
def loader_index(view: View) -> Iterator[Finding]:
    """Find libraries in directories of ld.so.conf that the cache does not know."""
    found: dict[bytes, list[Item]] = {}
    for item in view.closure.items:
        if item.why == LIBRARY and item.how == CONF:
            found.setdefault(item.path, []).append(item)
    for _name, items in grouped(view, list(view.missing(LIBRARY))).items():
        fits, _other = _fitting(view, items[0])
        if fits and not damage_of(view, items[0]) and not _by_musl(view, items[0]):
            found.setdefault(fits, []).extend(items)
    if not found or view.closed(b"/etc/ld.so.cache"):
        return
    wanters = [item for items in found.values() for item in items]
    yield Finding(
        b"/etc/ld.so.cache",
        f"does not lead to {shown_names(list(found))}; needed by {wanted_by(view, wanters)}",
        "run ldconfig in the root as root, or pyroot doctor --fix",
        (LoaderIndex(b"/etc/ld.so.cache"),),
    )


@check(
    "loader-index-damaged",
    WARNING,
    "the format of ld.so.cache",
    "ld.so ignores a cache that it cannot read and finds libraries in its default directories only",
)
def loader_index_damaged(view: View) -> Iterator[Finding]:
    """Find a cache that no loader can read."""
    data = view.read(b"/etc/ld.so.cache")
    if data is None:
        return
    try:
        parse_cache(data)
    except ValueError as error:
        steps = (LoaderIndex(b"/etc/ld.so.cache"),)
        yield Finding(b"/etc/ld.so.cache", str(error), "run ldconfig in the root as root, or pyroot doctor --fix", steps)


@check(
    "symbol-version",
    ERROR,
    "DT_VERNEED of programs and libraries against DT_VERDEF of what they get",
    "the loader refuses a library that is older than the one a program was built with (version `...' not found)",
)
def symbol_version(view: View) -> Iterator[Finding]:
    """Find libraries that lack a version that a program or another library requires."""
    for path, what in view.lacking_versions():
        yield Finding(path, what, "take program and library from one system: install the program in the root by its own means")


@check(
    "symbol-missing",
    ERROR,
    "the symbols that programs, and libraries that are bound at once, need of what is loaded with them",
    "ld.so ends the program with `symbol lookup error', at its start or when it calls the function",
)
def symbol_missing(view: View) -> Iterator[Finding]:
    """Find programs whose libraries have the right names and not what is needed of them."""
    incomplete = {one.path for item in view.closure.items if item.missing for one in view.closure.programs_over(item)}
    good: set[bytes] = set()
    told: dict[tuple[bytes, bytes], list[bytes]] = {}
    for program, objects in view.closure.images.items():
        if program in incomplete or len(objects) < 3 and not objects[0].elf.needed:
            continue
        if any(_cut_off(view, one.real) for one in objects):
            continue  # told as that
        given: set[bytes] | None = None
        for one in objects:
            if one.real in good or one is not objects[0] and not view.symbols(one.real).at_once:
                continue
            wanted = view.symbols(one.real).wanted
            given = set().union(*(view.symbols(other.real).given for other in objects)) if given is None else given
            lacking = wanted - given
            if lacking:
                told.setdefault((one.path, min(lacking)), []).append(program)
            else:
                good.add(one.real)
    for (path, symbol), programs in told.items():
        who = "" if programs == [path] else f"; so {shown_names(programs)} cannot run"
        libraries = shown_names([needed.name for needed in view.closure.images[programs[0]][0].elf.needed])
        what = f"undefined symbol {os.fsdecode(symbol)}: no library that it loads has it ({libraries}){who}"
        yield Finding(path, what, "take program and library from one system: install the program in the root by its own means")


def _cut_off(view: View, real: bytes) -> bool:
    """Tell whether a file ends before its last segment does."""
    try:
        return os.stat(view.rooted.host(real)).st_size < view.versions(real).ends
    except OSError:
        return True


@check(
    "origin-needs-proc",
    ERROR,
    "programs that find libraries by $ORIGIN, in a root without /proc",
    "the loader asks /proc/self/exe where the program lies; without an answer it looks nowhere",
)
def origin_needs_proc(view: View) -> Iterator[Finding]:
    """Find programs that need /proc before their first instruction."""
    if view.link(b"/proc/self/exe") is not None:
        return
    lost: dict[bytes, list[bytes]] = {}
    for program, objects in view.closure.images.items():
        main = objects[0]
        if b"ORIGIN" not in (main.elf.rpath or b"") + (main.elf.runpath or b""):
            continue
        search = view.closure.search_of(main.elf)
        unplaced = replace(main, origin=b"")
        for one in objects[1:]:
            wanter = one.loader
            if wanter is None or b"ORIGIN" not in (main.elf.rpath or b"") and wanter is not main:
                continue
            name = next((needed.name for needed in wanter.elf.needed if needed.name in one.names), b"")
            try:
                if name and search.find(name, unplaced if wanter is main else wanter, unplaced) is None:
                    lost.setdefault(program, []).append(name)
            except BadLibrary:
                continue
    for program, names in lost.items():
        yield Finding(
            program,
            f"finds {shown_names(names)} by $ORIGIN, which needs /proc",
            f"run it with pyroot -R {shell_word(view.spelled)}, or with -b /proc",
            severity=ERROR if view.commands else WARNING,
        )


@check(
    "preload",
    WARNING,
    "the libraries that /etc/ld.so.preload and LD_PRELOAD name, for glibc",
    "ld.so complains on standard error in every program that it starts",
)
def preload(view: View) -> Iterator[Finding]:
    """Find preloaded libraries that are not in the root, or are none."""
    text = re.sub(rb"#[^\n]*", b"", view.read(b"/etc/ld.so.preload") or b"")
    program = next((objects[0] for objects in view.closure.images.values() if any(b"libc.so.6" in one.names for one in objects)), None)
    if program is None:
        return
    search = view.closure.search_of(program.elf)
    for place, names in ((b"/etc/ld.so.preload", text), (b"LD_PRELOAD", view.environment.get(b"LD_PRELOAD", b""))):
        for name in names.replace(b":", b" ").split():
            try:
                problem = "" if search.find(name, program, program) else _no_library(view, name)
            except BadLibrary:
                problem = "which is not an ELF file"
            if problem and place == b"LD_PRELOAD":
                shown = shell_word(view.spelled)
                yield Finding(name, f"LD_PRELOAD of your environment names it, {problem}", f"env -u LD_PRELOAD pyroot -r {shown}")
            elif problem:
                yield Finding(place, f"names {os.fsdecode(name)}, {problem}", "take it out of the file")


def _no_library(view: View, name: bytes) -> str:
    if view.closed(name):
        return "which you may not read"
    return "which is for another machine" if view.is_file(name) else "which is not there"


@check(
    "musl-path",
    WARNING,
    "the directories in /etc/ld-musl-*.path",
    "musl looks for libraries in these directories and in no others",
)
def musl_path(view: View) -> Iterator[Finding]:
    """Find path files of musl that name no directory that exists, or leave out the one of a library that is needed."""
    hidden: dict[bytes, list[bytes]] = {}
    for items in grouped(view, list(view.missing(LIBRARY))).values():
        program = _program_over(view, items[0])
        search = view.closure.search_of(program) if program else None
        fits, _other = _fitting(view, items[0])
        if isinstance(search, MuslSearch) and search.path_file and fits and not items[0].place:
            hidden.setdefault(search.path_file, []).append(fits)
    for name in view.list(b"/etc"):
        if name.startswith(b"ld-musl-") and name.endswith(b".path") and b"/etc/" + name not in hidden:
            parts = (view.read(b"/etc/" + name) or b"").replace(b"\n", b":").split(b":")
            directories = [part for part in parts if part]
            if directories and not any(view.is_directory(part) for part in directories):
                yield Finding(
                    b"/etc/" + name, f"names no directory that exists ({shown_names(directories)})", "name the directories of libraries"
                )
    for path, libraries in hidden.items():
        directories = list(dict.fromkeys(map(os.path.dirname, libraries)))
        lines = b"".join(one + b"\n" for one in directories)
        what = f"does not name {shown_names(directories)}, where {shown_names(libraries)} {'is' if len(libraries) == 1 else 'are'}"
        yield Finding(path, what, f"add {shown_names(directories)}", (AddLines(path, lines),), severity=ERROR)
