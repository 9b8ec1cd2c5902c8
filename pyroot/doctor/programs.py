"""Checks of programs: the chain from a command to its last library, as the kernel and the loader walk it.

Decides: which missing or unfit file is named by which code, so that one defect gives one finding. What is found where is
`pyroot.elf`'s. Source of the facts: execve(2), elf(5), ld.so(8), ldconfig(8).
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Iterator

from pyroot.doctor.layout import broken_directories
from pyroot.doctor.registry import ERROR, NOTE, WARNING, Finding, check
from pyroot.doctor.steps import Chmod, Copy, Link, LoaderIndex, Step
from pyroot.doctor.view import PROGRAM_DIRECTORIES, View, shown_names
from pyroot.elf.closure import ELF_INTERPRETER, ENV_PROGRAM, LIBRARY, PROGRAM, SCRIPT_INTERPRETER, Item
from pyroot.elf.ldcache import conf_directories, parse_cache
from pyroot.elf.reader import EM_386, EM_AARCH64, EM_X86_64, Elf, ElfError, Identity, identity_of, read_elf, read_head
from pyroot.elf.rooted import Rooted
from pyroot.elf.search import CONF, BadLibrary, GlibcSearch, Loaded, loader_of, search_for
from pyroot.explain import near_names

_MACHINES = {"x86_64": EM_X86_64, "aarch64": EM_AARCH64}


def _grouped(view: View, items: list[Item]) -> dict[bytes, list[Item]]:
    """Put what is missing together by its name; what belongs to a program for another machine is left out."""
    foreign = {path for path, _identity in _foreign_programs(view)}
    found: dict[bytes, list[Item]] = {}
    for item in items:
        above = view.closure.programs_over(item)
        if not above or above[-1].path not in foreign:
            found.setdefault(item.path, []).append(item)
    return found


def _wanted_by(view: View, items: list[Item]) -> str:
    who = list(dict.fromkeys(item.needed_by for item in items if item.needed_by))
    text = shown_names(who)
    if len(who) == 1:
        above = view.closure.programs_over(items[0])
        if len(above) > 1:
            text += f" (for {os.fsdecode(above[-1].path)})"
    return text


def _copy(view: View, path: bytes) -> tuple[str, tuple[Step, ...]]:
    """Give the command and the step that copy a file of this host, when it has one there."""
    if view.rooted.root and os.path.isfile(path) and os.access(path, os.R_OK):
        return f"pyroot copy {shlex.quote(view.spelled)} {shlex.quote(os.fsdecode(path))}", (Copy(path, path),)
    return "", ()


def _is_broken(view: View, path: bytes) -> bool:
    """Tell whether a path lies in a directory that a finding about merged-/usr names already."""
    return any(path.startswith(directory + b"/") for directory in broken_directories(view))


# --- the program itself -----------------------------------------------------------------------------------------------


@check("no-programs", ERROR, "/usr/bin, /bin, /usr/sbin, /sbin", "a directory without programs is no root file system")
def no_programs(view: View) -> Iterator[Finding]:
    """Find a root with no program directory, or with empty ones."""
    if not any(True for _entry in view.program_files()) and not broken_directories(view):
        quoted = shlex.quote(view.spelled)
        yield Finding(b"/", "there is no program in /bin, /usr/bin, /sbin or /usr/sbin", f"pyroot new --add {quoted}")


@check("command-missing", ERROR, "each COMMAND, by path or in the usual directories", "a command that is not there gives status 127")
def command_missing(view: View) -> Iterator[Finding]:
    """Find commands that the root does not have."""
    for item in view.missing(PROGRAM):
        if item.problem not in ("not found in PATH", "does not exist", "is a directory", "is not a regular file"):
            continue
        places = [directory + b"/" + item.path for directory in PROGRAM_DIRECTORIES if b"/" not in item.path]
        if any(view.is_file(place) or view.link(place) is not None for place in places):
            continue  # there, without the x bit, or as a link that leads nowhere
        if _is_broken(view, item.path):
            continue
        names = (os.fsdecode(os.path.basename(path)) for path, _place in view.program_files())
        near = near_names(os.fsdecode(os.path.basename(item.path)), names)
        source = os.fsencode(shutil.which(os.fsdecode(item.path)) or "")
        mend, steps = _copy(view, source) if source else ("", ())
        mend = mend or (f"did you mean {', '.join(near)}?" if near else "install it in the root")
        what = item.problem + (f"; near names: {', '.join(near)}" if near else "")
        yield Finding(item.path, what, mend, steps)


@check(
    "not-executable",
    ERROR,
    "x bits of programs and of the interpreters that they name",
    "the kernel refuses a program, and a program whose interpreter is refused, with EACCES",
)
def not_executable(view: View) -> Iterator[Finding]:
    """Find programs that lost their x bit: files in program directories that are programs by their first bytes."""
    wanted = [path for path, _place in view.program_files()]
    if view.commands:
        by_name = [directory + b"/" + name for name in view.commands if b"/" not in name for directory in PROGRAM_DIRECTORIES]
        wanted = [name for name in view.commands if b"/" in name] + by_name
    wanted += [item.path for item in view.closure.items if item.why in (ELF_INTERPRETER, SCRIPT_INTERPRETER) and item.trace]
    seen: set[bytes] = set()
    for path in wanted:
        trace, status = view.find(path), view.stat(path)
        if trace is None or status is None or trace.real in seen or not stat.S_ISREG(status.st_mode):
            continue
        seen.add(trace.real)
        if view.may(status, os.X_OK) or status.st_mode & 0o7000 or not _is_program(view, trace.real):
            continue
        mode = stat.S_IMODE(status.st_mode)
        steps = (Chmod(trace.real, mode | (mode >> 2 & 0o111) | 0o100),) if view.owns(status) else ()
        what = f"has mode {mode:04o}, without an x bit for you" if mode & 0o111 else f"has no x bit (mode {mode:04o})"
        yield Finding(path, what, f"chmod +x {view.outside(trace.real)}", steps)


def _is_program(view: View, real: bytes) -> bool:
    try:
        head = read_head(view.rooted.host(real), 4)
    except OSError:
        return False
    return head.startswith((b"#!", b"\x7fELF"))


@check(
    "not-readable",
    ERROR,
    "r bits of programs and libraries",
    "pyroot opens a program to start it, and the loader opens its libraries: both need the right to read",
)
def not_readable(view: View) -> Iterator[Finding]:
    """Find programs and libraries that the user may not read."""
    files = [] if view.commands else [path for path, _place in view.program_files()]
    files += [item.path for item in view.closure.items if item.trace]
    for item in view.closure.items:
        if item.missing:
            files += [item.path] if item.path.startswith(b"/") else _candidates(view, item.path)
    seen: set[bytes] = set()
    for path in files:
        trace, status = view.find(path), view.stat(path)
        if trace is None or status is None or trace.real in seen or not stat.S_ISREG(status.st_mode):
            continue
        seen.add(trace.real)
        if view.may(status, os.R_OK) or status.st_mode & 0o6000:
            continue
        mode = stat.S_IMODE(status.st_mode)
        steps = (Chmod(trace.real, mode | 0o444),) if view.owns(status) else ()
        yield Finding(path, f"you may not read it (mode {mode:04o})", f"chmod +r {view.outside(trace.real)}", steps)


@check(
    "program-damaged",
    ERROR,
    "size and headers of programs and libraries",
    "a file that was not copied or unpacked to its end does not start, or crashes",
)
def program_damaged(view: View) -> Iterator[Finding]:
    """Find programs and libraries that are empty, cut off, or no sound ELF files."""
    seen: set[bytes] = set()
    for item in view.closure.items:
        if item.trace is not None:
            if item.trace.real in seen:
                continue
            seen.add(item.trace.real)
            size = os.stat(view.rooted.host(item.trace.real)).st_size
            ends = view.versions(item.trace.real).ends
            if size == 0 and item.why != "data":
                yield _damaged(view, item.path, "is empty")
            elif size < ends:
                yield _damaged(view, item.path, f"ends after {size} of {ends} bytes")
        elif damage := _damage(view, item):
            path = item.path if item.path.startswith(b"/") else next(iter(_candidates(view, item.path)), item.path)
            trace, status = view.find(path), view.stat(path)
            if trace is not None and status is not None and 0 < status.st_size < view.versions(trace.real).ends:
                damage = f"ends after {status.st_size} of {view.versions(trace.real).ends} bytes"
            if path not in seen:
                seen.add(path)
                yield _damaged(view, path, damage)


def _damage(view: View, item: Item) -> str:
    """Tell what is wrong with a missing item when it is there and no sound ELF file."""
    for word in ("the file is empty", "too short", "damaged ELF", "lies outside", "not an ELF file", "out of range"):
        if word in item.problem:
            return item.problem.rpartition(": ")[2] if item.problem.startswith("/") else item.problem
    return ""


def _damaged(view: View, path: bytes, what: str) -> Finding:
    mend, steps = _copy(view, path)
    trace = view.find(path)
    if steps:
        mend = f"rm {view.outside(trace.real if trace else path)} && {mend}"
    return Finding(path, what, mend or "install the package that brings it again", ())


def _runs(identity: Identity) -> bool:
    """Tell whether programs of this kind run under this pyroot."""
    from pyroot.explain import runs_i386

    if identity.bits == 32:
        return identity.machine == EM_386 and os.uname().machine == "x86_64" and runs_i386()
    return identity.machine == _MACHINES.get(os.uname().machine, identity.machine)


def _foreign_programs(view: View) -> list[tuple[bytes, Identity]]:
    return [
        (path, objects[0].elf.identity) for path, objects in view.closure.images.items() if objects and not _runs(objects[0].elf.identity)
    ]


@check(
    "foreign-machine",
    ERROR,
    "class and machine in the ELF header of programs",
    "the kernel refuses a program for another processor with ENOEXEC; pyroot does not emulate one",
)
def foreign_machine(view: View) -> Iterator[Finding]:
    """Find programs for another processor, told once for each kind."""
    kinds: dict[str, list[bytes]] = {}
    for path, identity in _foreign_programs(view):
        kinds.setdefault(str(identity), []).append(path)
    for kind, paths in kinds.items():
        more = f", and so {'is' if len(paths) == 2 else 'are'} {shown_names(paths[1:])}" if len(paths) > 1 else ""
        ours = os.uname().machine
        yield Finding(paths[0], f"is a {kind} program{more}; this machine runs {ours}", f"use a root made for {ours}")


# --- what it names ------------------------------------------------------------------------------------------------------


@check(
    "script-interpreter",
    ERROR,
    "the #! line of scripts, and the program that env is asked to run",
    "the kernel starts the interpreter, and says ENOENT about the script when that is missing",
)
def script_interpreter(view: View) -> Iterator[Finding]:
    """Find scripts whose interpreter is not in the root."""
    for path, items in _grouped(view, list(view.missing(SCRIPT_INTERPRETER, ENV_PROGRAM))).items():
        if path.endswith(b"\r") or _is_broken(view, path) or items[0].problem == "cannot be read" or _damage(view, items[0]):
            continue
        source = path if b"/" in path else os.fsencode(shutil.which(os.fsdecode(path)) or "")
        mend, steps = _copy(view, source) if source else ("", ())
        if view.is_file(path) and items[0].problem == "does not exist":
            continue
        mend = mend or "install it, or let the script name an interpreter that is there"
        yield Finding(path, f"{items[0].problem}; wanted by {_wanted_by(view, items)}", mend, steps)


@check(
    "script-line-end",
    ERROR,
    "the end of the #! line of scripts",
    "the kernel takes the carriage return for a part of the interpreter's name",
)
def script_line_end(view: View) -> Iterator[Finding]:
    """Find scripts with the line ends of Windows."""
    for item in view.missing(SCRIPT_INTERPRETER, ENV_PROGRAM):
        if item.path.endswith(b"\r") and item.needed_by:
            trace = view.find(item.needed_by)
            yield Finding(
                item.needed_by, "its #! line ends in CR LF", f"sed -i 's/\\r$//' {view.outside(trace.real if trace else item.needed_by)}"
            )


@check(
    "elf-interpreter",
    ERROR,
    "PT_INTERP of programs",
    "the kernel starts the ELF interpreter (ld.so), and says ENOENT about the program when that is missing",
)
def elf_interpreter(view: View) -> Iterator[Finding]:
    """Find ELF interpreters that are missing or unfit."""
    for path, items in _grouped(view, list(view.missing(ELF_INTERPRETER))).items():
        if _is_broken(view, path) or _damage(view, items[0]) or view.is_file(path) and not _readable(view, path):
            continue
        mend, steps = _copy(view, path)
        for prefix in (b"/usr", b""):
            if view.is_file(prefix + path) and prefix:
                text = b"usr" + os.path.dirname(path)
                if view.find(os.path.dirname(path)) is None and view.link(os.path.dirname(path)) is None:
                    mend, steps = f"link {os.fsdecode(os.path.dirname(path))} to {os.fsdecode(text)}", (Link(os.path.dirname(path), text),)
        yield Finding(path, f"{items[0].problem}; needed by {_wanted_by(view, items)}", mend or "install the C library in the root", steps)


def _program_over(view: View, item: Item) -> Elf | None:
    """Give the program on whose behalf a library is wanted."""
    above = view.closure.programs_over(item)
    objects = view.closure.images.get(above[-1].path if above else item.needed_by or b"")
    return objects[0].elf if objects else None


def _readable(view: View, path: bytes) -> bool:
    status = view.stat(path)
    return status is not None and view.may(status, os.R_OK)


def _candidates(view: View, name: bytes) -> list[bytes]:
    """List the places where a loader of this root looks for a library and where a file of that name is."""
    if b"/" in name:
        return [name] if view.is_file(name) else []
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
    return [path for path in (one + b"/" + name for one in dict.fromkeys(directories)) if view.is_file(path)]


def _fitting(view: View, item: Item) -> tuple[bytes | None, bytes | None]:
    """Give a file of a missing library's name that would fit its wanter, and one that would not."""
    fits = other = None
    wanter = view.find(item.needed_by or b"")
    own = identity_of(read_head(view.rooted.host(wanter.real))) if wanter else None
    for path in _candidates(view, item.path):
        trace = view.find(path)
        if trace is None or own is None or not _readable(view, path):
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
    for name, items in _grouped(view, list(view.missing(LIBRARY))).items():
        if _damage(view, items[0]) or _candidates(view, name):
            continue
        source = host_library(name, _program_over(view, items[0]))
        mend, steps = _copy(view, source) if source else ("", ())
        mend = mend or "install the package that brings it in the root"
        yield Finding(name, f"{items[0].problem}; needed by {_wanted_by(view, items)}", mend, steps)


@check(
    "library-foreign",
    ERROR,
    "class and machine of libraries",
    "the loader passes over a library for another machine, and then misses it",
)
def library_foreign(view: View) -> Iterator[Finding]:
    """Find libraries that are there for another machine only."""
    for _name, items in _grouped(view, list(view.missing(LIBRARY))).items():
        fits, other = _fitting(view, items[0])
        if other and not fits and not _damage(view, items[0]):
            trace = view.find(other)
            kind = identity_of(read_head(view.rooted.host(trace.real))) if trace else None
            yield Finding(other, f"is for {kind}; needed by {_wanted_by(view, items)}", "install the library for this machine")


@check(
    "loader-index",
    ERROR,
    "ld.so.cache against ld.so.conf and its includes",
    "ld.so reads the cache and never ld.so.conf: what ldconfig did not enter is not found",
)
def loader_index(view: View) -> Iterator[Finding]:
    """Find libraries in directories of ld.so.conf that the cache does not know."""
    found: dict[bytes, list[Item]] = {}
    for item in view.closure.items:
        if item.why == LIBRARY and item.how == CONF:
            found.setdefault(item.path, []).append(item)
    for _name, items in _grouped(view, list(view.missing(LIBRARY))).items():
        fits, _other = _fitting(view, items[0])
        if fits and not _damage(view, items[0]):
            found.setdefault(fits, []).extend(items)
    if not found:
        return
    wanters = [item for items in found.values() for item in items]
    yield Finding(
        b"/etc/ld.so.cache",
        f"does not lead to {shown_names(list(found))}; needed by {_wanted_by(view, wanters)}",
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
    """Find libraries that lack a version which a program or another library asks for."""
    lacking: dict[tuple[bytes, bytes], list[bytes]] = {}
    done: set[tuple[bytes, bytes]] = set()
    for objects in view.closure.images.values():
        by_name = {name: one for one in objects for name in one.names}
        for wanter in objects:
            for library, version in view.versions(wanter.real).needs:
                given = by_name.get(library)
                if given is None or (wanter.real, library + given.real + version) in done:
                    continue
                done.add((wanter.real, library + given.real + version))
                offers = view.versions(given.real).offers
                if offers and version not in offers:
                    lacking.setdefault((given.path, version), []).append(wanter.path)
    for (path, version), wanters in lacking.items():
        what = f"does not have version {os.fsdecode(version)}; needed by {shown_names(wanters)}"
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


@check(
    "set-id", NOTE, "set-user-id and set-group-id bits of programs", "they run with your own rights in a guest, without those of the owner"
)
def set_id(view: View) -> Iterator[Finding]:
    """Name the programs whose set-id bits will not count."""
    names: list[bytes] = []
    for path, _place in view.program_files():
        status = view.stat(path)
        if status and stat.S_ISREG(status.st_mode) and status.st_mode & 0o6000 and view.link(path) is None:
            names.append(path)
    if names:
        yield Finding(
            names[0],
            f"is set-id{'' if len(names) == 1 else ', and so are ' + shown_names(names[1:])}",
            "do not count on sudo, su or mount inside",
        )


def host_library(name: bytes, program: Elf | None = None) -> bytes | None:
    """Find a library of this host by name or path, as the loader of `program` (default: of /bin/sh) would find it here."""
    if b"/" in name:
        return name if os.path.isfile(name) else None
    host = Rooted("/")
    try:
        elf = program or read_elf(host.host(host.trace(b"/bin/sh").real))
        loader = loader_of(host, elf)
        if host.find(loader) is None:
            return None  # this host has no loader of that kind, so no libraries for it
        alone = Loaded(b"", b"", Elf(elf.identity), b"/")
        found = search_for(host, elf.identity, loader).find(name, alone, alone)
    except (OSError, ElfError, BadLibrary):
        return None
    return found.path if found else None
