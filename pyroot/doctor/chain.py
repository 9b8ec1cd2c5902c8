"""What the checks of programs and of libraries share: who needs what is missing, and what this host could supply.

Decides: how missing things are grouped and named, so that one defect gives one finding. The checks are in `programs`
and `libraries`.
"""

from __future__ import annotations

import os

from pyroot.doctor.layout import broken_directories
from pyroot.doctor.settings import TOP, lost_link
from pyroot.doctor.steps import Copy, Step
from pyroot.elf.closure import Item
from pyroot.elf.ldcache import conf_directories, parse_cache
from pyroot.elf.reader import EM_386, EM_AARCH64, EM_X86_64, ElfError, Identity, identity_of, read_elf, read_head
from pyroot.elf.search import GlibcSearch
from pyroot.errors import shell_word
from pyroot.reading.view import View, shown_names

_MACHINES = {"x86_64": EM_X86_64, "aarch64": EM_AARCH64}


def grouped(view: View, items: list[Item]) -> dict[bytes, list[Item]]:
    """Group what is missing by name; what belongs to a program for another machine is left out."""
    foreign = {path for path, _identity in foreign_programs(view)}
    found: dict[bytes, list[Item]] = {}
    for item in items:
        above = view.closure.programs_over(item)
        if not above or above[-1].path not in foreign:
            found.setdefault(item.path, []).append(item)
    return found


def wanted_by(view: View, items: list[Item]) -> str:
    """Name those that need something, and if one of them is a library, the program that needs it."""
    who = list(dict.fromkeys(item.needed_by for item in items if item.needed_by))
    text = shown_names(who)
    if len(who) == 1:
        above = view.closure.programs_over(items[0])
        if len(above) > 1:
            text += f" (for {os.fsdecode(above[-1].path)})"
    return text


def copy_of(view: View, path: bytes) -> tuple[str, tuple[Step, ...]]:
    """Give the command and the step that copy a file of this host, if it has one there."""
    if view.rooted.root and path and os.path.isfile(path) and os.access(path, os.R_OK):
        return f"pyroot copy {shell_word(view.spelled)} {shell_word(os.fsdecode(path))}", (Copy(path),)
    return "", ()


def in_broken_directory(view: View, path: bytes) -> bool:
    """Tell whether a path is in a directory that a finding about merged-/usr, or about a lost link, already names."""
    if any(path.startswith(top + b"/") and lost_link(view, top) for top in TOP):
        return True
    broken = broken_directories(view)
    end = view.dead_end(path) + b"/" if path.startswith(b"/") else b""  # a link on the way may lead into one
    ends = {directory: view.dead_end(directory) + b"/" for directory in broken}
    return any(path.startswith(directory + b"/") or end and end.startswith((directory + b"/", ends[directory])) for directory in broken)


def damage_of(view: View, item: Item) -> str:
    """Tell what is wrong with a missing item that exists but is not a sound ELF file."""
    for word in ("the file is empty", "too short", "damaged ELF", "lies outside", "not an ELF file", "out of range"):
        if word in item.problem:
            return item.problem.rpartition(": ")[2] if item.problem.startswith("/") else item.problem
    return ""


def _runs(identity: Identity) -> bool:
    """Tell whether programs of this kind run under this pyroot."""
    from pyroot.explain import runs_i386

    if identity.bits == 32:
        return identity.machine == EM_386 and os.uname().machine == "x86_64" and runs_i386()
    return identity.machine == _MACHINES.get(os.uname().machine, identity.machine)


def foreign_programs(view: View) -> list[tuple[bytes, Identity]]:
    """List the programs for another processor."""
    return [
        (path, objects[0].elf.identity) for path, objects in view.closure.images.items() if objects and not _runs(objects[0].elf.identity)
    ]


def readable(view: View, path: bytes) -> bool:
    """Tell whether the user may read what a path leads to."""
    status = view.stat(path)
    return status is not None and view.may(status, os.R_OK)


def candidates(view: View, name: bytes) -> list[bytes]:
    """List the paths at which a loader of this root looks for a library and where a file of that name exists."""
    if b"/" in name:
        return [name] if view.is_file(name) else []
    places = [item.place for item in view.closure.items if item.place and item.path == name]
    found = [path for path in (one + b"/" + name for one in searched(view, name)) if view.is_file(path)]
    return list(dict.fromkeys(places + found))


def searched(view: View, name: bytes) -> list[bytes]:
    """List the directories in which a loader of this root looks for a library."""
    directories: list[bytes] = []
    for objects in view.closure.images.values():
        search = view.closure.search_of(objects[0].elf)
        if isinstance(search, GlibcSearch):
            directories += [*conf_directories(view.rooted, search.conf_path), *search.system_directories]
        directories += [b"/lib", b"/usr/lib", b"/usr/local/lib"]
        break
    try:
        entries = parse_cache(view.read(b"/etc/ld.so.cache") or b"")
    except ValueError:
        entries = []
    directories += [os.path.dirname(entry.path) for entry in entries if entry.name == name]
    return list(dict.fromkeys(directories))


def under_another_name(view: View, item: Item, name: bytes) -> list[bytes]:
    """List files that are a missing library by their soname, and have a longer name: the symbolic link to them is missing."""
    wanter = view.find(item.needed_by or b"")
    own = identity_of(read_head(view.rooted.host(wanter.real))) if wanter else None
    stem = name.split(b".so")[0]
    if own is None or b"/" in name or b".so" not in name:
        return []
    found = []
    for directory in searched(view, name):
        for other in view.list(directory):
            path = directory + b"/" + other
            if not other.startswith(stem) or b".so" not in other or not view.is_file(path) or not readable(view, path):
                continue
            try:
                elf = read_elf(view.rooted.host(view.rooted.trace(path).real))
            except (OSError, ElfError):
                continue
            if elf.soname == name and elf.identity.fits(own):
                found.append(path)
    return found
