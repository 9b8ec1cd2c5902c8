"""Checks of libraries: what a loader looks for, what it finds, and whether that has the symbols that are required of it.

Decides: which missing or unfit library is named by which code, so that one defect gives one finding. What is found where is
`pyroot.elf`'s. Source of the facts: ld.so(8), ldconfig(8), elf(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from pyroot.doctor.chain import candidates, copy_of, damage_of, grouped, readable, wanted_by
from pyroot.doctor.registry import ERROR, WARNING, Finding, check
from pyroot.doctor.steps import LoaderIndex
from pyroot.elf.closure import LIBRARY, Item
from pyroot.elf.ldcache import parse_cache
from pyroot.elf.reader import Elf, identity_of, read_head
from pyroot.elf.search import CONF
from pyroot.reading.host import host_library
from pyroot.reading.view import View, shown_names


def _program_over(view: View, item: Item) -> Elf | None:
    """Give the program on whose behalf a library is needed."""
    above = view.closure.programs_over(item)
    objects = view.closure.images.get(above[-1].path if above else item.needed_by or b"")
    return objects[0].elf if objects else None


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
    """Find libraries that are nowhere in the root."""
    for name, items in grouped(view, list(view.missing(LIBRARY))).items():
        if damage_of(view, items[0]) or candidates(view, name):
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
            yield Finding(other, f"is for {kind}; needed by {wanted_by(view, items)}", "install the library for this machine")


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
        if fits and not damage_of(view, items[0]):
            found.setdefault(fits, []).extend(items)
    if not found:
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
    "preload",
    WARNING,
    "the libraries that /etc/ld.so.preload names",
    "ld.so complains on standard error in every program that it starts",
)
def preload(view: View) -> Iterator[Finding]:
    """Find preloaded libraries that are not in the root."""
    text = view.read(b"/etc/ld.so.preload") or b""
    for line in text.splitlines():
        for name in line.split(b"#", 1)[0].replace(b":", b" ").split():
            if name.startswith(b"/") and not view.is_file(name):
                yield Finding(b"/etc/ld.so.preload", f"names {os.fsdecode(name)}, which is not there", "take the line out")


@check(
    "musl-path",
    WARNING,
    "the directories in /etc/ld-musl-*.path",
    "musl looks for libraries in these directories and in no others",
)
def musl_path(view: View) -> Iterator[Finding]:
    """Find path files of musl none of whose directories exists."""
    for name in view.list(b"/etc"):
        if name.startswith(b"ld-musl-") and name.endswith(b".path"):
            parts = (view.read(b"/etc/" + name) or b"").replace(b"\n", b":").split(b":")
            directories = [part for part in parts if part]
            if directories and not any(view.is_directory(part) for part in directories):
                yield Finding(
                    b"/etc/" + name, f"names no directory that exists ({shown_names(directories)})", "name the directories of libraries"
                )
