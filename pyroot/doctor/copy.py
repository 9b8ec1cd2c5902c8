"""`pyroot copy`: bring programs, scripts and data into a root, with everything that they need.

Decides: the verb's options, what belongs to a program in addition to its closure (name service modules, character sets), and when a
file of the root that differs may stay in place of one that would be copied. How files are copied is
`pyroot.rootfs.install`'s, what a program needs is `pyroot.elf`'s.

A library that the root already has stays if it offers every symbol version that the new files require of it: a root keeps
its own C library. If it does not, nothing is copied at all.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from pyroot import environment, report
from pyroot.doctor.copied import Action, as_json, left_as_json, lines_of, print_trees
from pyroot.elf.closure import (
    ELF_INTERPRETER,
    ENV_PROGRAM,
    LIBRARY,
    PLAIN_LIBRARY,
    PROGRAM,
    SCRIPT_INTERPRETER,
    STANDARD_PATH,
    Closure,
    Item,
    is_executable,
)
from pyroot.elf.ldcache import CacheEntry, build_cache, conf_directories, parse_cache
from pyroot.elf.reader import ElfError, read_elf
from pyroot.elf.rooted import Rooted
from pyroot.elf.search import DEFAULT, Found, GlibcSearch, search_for
from pyroot.elf.versions import read_versions
from pyroot.errors import PyrootError, shell_word
from pyroot.reading.host import host_library
from pyroot.reading.view import View
from pyroot.rootfs.install import Installer, write_failure
from pyroot.rootfs.new import Ended, signals_raised
from pyroot.rootfs.plan import GLIBC_HELPER, NSS_MODULE, nss_modules
from pyroot.rootfs.runtimes import PART, RUNTIME
from pyroot.rootfs.skeleton import add_loader_index
from pyroot.rootfs.work import Left, add_work
from pyroot.verbs.near import near_names
from pyroot.verbs.output import json_text, put, safe
from pyroot.verbs.roots import root_directory
from pyroot.verbs.words import Verb, flag, value

COPY = Verb(
    "copy",
    """\
usage: pyroot copy [OPTION...] ROOTFS PROGRAM...

Copy programs of this host into ROOTFS, each to the same path, with the interpreters and
libraries that they need, and with what they work with: the standard library of Python
or Perl, git's commands, a compiler's parts, character sets, certificates. Symbolic links,
modes and times are kept. What is left behind is named.

A PROGRAM is a name, looked up in PATH, a library's name (libz.so.1), or a path; a plain
file or a directory is copied as data. What the root has already stays as it is.
""",
    (
        value("--from", "OTHERROOT", "take them from another root; names and paths are those inside it"),
        flag(
            "--tree",
            "only print what each program needs, as a tree (no ROOTFS needed\n"
            "with --from or a program of this host: pyroot copy --tree PROGRAM)",
        ),
        flag("--headers", "with a compiler: also headers, and what ld adds to each program"),
        flag("--dry-run", "only print what would be copied, and why"),
        flag("--json", "print what was copied as JSON"),
        flag("-q, --quiet", "do not print what was copied"),
        flag("-v, --verbose", "also name what is already there"),
    ),
    20,
)
CHARACTER_SETS = "character set"
_LIBRARY_KINDS = (LIBRARY, PLAIN_LIBRARY, ELF_INTERPRETER, NSS_MODULE, GLIBC_HELPER, CHARACTER_SETS)
_KEPT_KINDS = (*_LIBRARY_KINDS, RUNTIME, PART)
_NAME_CALLS = (
    b"getpwnam",
    b"getpwuid",
    b"getpwnam_r",
    b"getpwuid_r",
    b"getpwent",
    b"getgrnam",
    b"getgrgid",
    b"getgrnam_r",
    b"getgrgid_r",
    b"getgrent",
    b"initgroups",
    b"getgrouplist",
    b"getaddrinfo",
    b"gethostbyname",
    b"gethostbyname_r",
    b"gethostbyaddr",
    b"getnameinfo",
    b"getservbyname",
    b"getservbyport",
    b"getprotobyname",
    b"getspnam",
    b"getnetbyname",
)
_ICONV_MODULES = ("UTF-16.so", "UTF-32.so", "UTF-7.so", "ISO8859-1.so", "ISO8859-15.so", "CP1252.so", "UNICODE.so", "libISOIR165.so")


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    words = COPY.read(argv)
    if "help" in words.flags:
        put(COPY.usage())
        return 0
    source = Rooted(root_directory("copy", words.values["from"][-1])) if "from" in words.values else Rooted("/")
    if "tree" in words.flags:
        return print_trees(source, words.rest, "json" in words.flags)
    if not words.rest:
        raise PyrootError("copy: no root file system given", "say which: pyroot copy ROOTFS PROGRAM...")
    if len(words.rest) == 1:
        raise PyrootError("copy: no program given", f"say what to copy: pyroot copy {shell_word(words.rest[0])} PROGRAM...")
    root = root_directory("copy", words.rest[0], words.rest[1:])
    if os.path.samefile(root, source.root or b"/"):
        raise PyrootError(f"copy: {words.rest[0]}: is the root to copy from", "name another directory")
    if os.path.samefile(root, "/"):
        raise PyrootError(f"copy: {words.rest[0]}: is the root of this host", "name another directory")
    left: list[Left] = []
    closure = collect(source, [os.fsencode(name) for name in words.rest[1:]], Rooted(root), left, "headers" in words.flags)
    actions = plan(closure, root)
    if "dry-run" not in words.flags:
        try:
            with signals_raised():
                perform(closure, actions, root)
        except Ended as end:
            os.kill(os.getpid(), end.number)
            return 128 + end.number
    if "json" in words.flags:
        put(json_text([*map(as_json, actions), *map(left_as_json, left)]))
    elif "quiet" not in words.flags:
        put("".join(lines_of(actions, "verbose" in words.flags or report.verbosity() > 0)))
        put("".join(f"left {safe(one.path)}: {one.what}, for {safe(one.program)}\n" for one in left))
    return 0


def copy_into(
    root: bytes, programs: list[bytes], source: Rooted | None = None, verb: str = "copy", headers: bool = False
) -> list[Action]:
    """Copy programs or data with everything that they need into the root; give what was done. Raises PyrootError."""
    closure = collect(source or Rooted("/"), programs, Rooted(root), headers=headers)
    actions = plan(closure, root)
    perform(closure, actions, root, verb)
    return actions


# --- what -----------------------------------------------------------------------------------------------------------


class Additions(Closure):
    """A closure that stops at interpreters of scripts that the target already has, as programs of its own."""

    def __init__(self, source: Rooted, search_path: bytes, target: Rooted | None = None) -> None:
        """Collect in `source` for `target`."""
        super().__init__(source, search_path)
        self.target = target

    def add_program(self, program: bytes, why: str = PROGRAM, needed_by: bytes | None = None, depth: int = 0) -> Item:
        """Add a program; one that a script needs and the target has is left to the target."""
        if self.target is not None and why in (SCRIPT_INTERPRETER, ENV_PROGRAM):
            own = Closure(self.target, STANDARD_PATH).find_program(program) if b"/" not in program else program
            if own is not None and is_executable(self.target, own):
                return Item(own, why, needed_by)
        return super().add_program(program, why, needed_by, depth)


def collect(
    source: Rooted, names: list[bytes], target: Rooted | None = None, left: list[Left] | None = None, headers: bool = False
) -> Closure:
    """Collect programs, libraries and data of the source, and what they need; what is not brought is added to `left`.

    Raises PyrootError for what is missing.
    """
    path = STANDARD_PATH
    if not source.root:
        path = environment.path() + b":" + STANDARD_PATH
    closure = Additions(source, path, target)
    for name in names:
        _add(closure, name)
    for item in closure.items:
        if item.missing:
            raise _missing(closure, item)
    found = add_work(closure, target, headers)
    if left is not None:
        left += found
    _add_modules(closure, target)
    return closure


def _add(closure: Closure, name: bytes) -> None:
    source = closure.rooted
    if b"/" in name and not name.startswith(b"/"):
        if source.root:
            name = b"/" + name
        else:
            name = os.path.normpath(os.getcwdb() + b"/" + name) if b".." not in name.split(b"/") else os.getcwdb() + b"/" + name
    trace = source.find(name) if name.startswith(b"/") else None
    if trace is not None and os.path.isdir(source.host(trace.real)):
        for base, _directories, files in os.walk(source.host(trace.real)):
            for file in sorted(files):
                _add_file(closure, name.rstrip(b"/") + (base + b"/" + file)[len(source.host(trace.real)) :])
        if not any(item.path.startswith(name.rstrip(b"/") + b"/") for item in closure.items):
            closure.add_data(name)
        return
    if b"/" not in name and closure.find_program(name) is None and b".so" in name:
        found = host_library(name) if not source.root else _library_of(closure, name)
        name = found or name
    closure.add_program(name)


def _add_file(closure: Closure, path: bytes) -> None:
    """Add a file of a directory: what can be executed brings what it needs."""
    trace = closure.rooted.find(path)
    if trace is None:
        return
    status = os.stat(closure.rooted.host(trace.real))
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o111:
        closure.add_program(path)
    else:
        closure.add_data(path)


def _library_of(closure: Closure, name: bytes) -> bytes | None:
    """Find a library in another root as its shell or its first program would."""
    for program in (b"/bin/sh", b"/usr/bin/env", b"/bin/ls"):
        other = Closure(closure.rooted)
        other.add_program(program)
        for objects in other.images.values():
            found = other.search_of(objects[0].elf).find(name, objects[0], objects[0])
            return found.path if found else None
    return None


def _add_modules(closure: Closure, target: Rooted | None) -> None:
    """Add what glibc loads at run time if the programs use it: name services and character sets."""
    if not closure.has_glibc:
        return
    names = [
        read_versions(closure.rooted.host(one.real))
        for objects in closure.images.values()
        for one in objects
        if b"libc.so.6" not in one.names
    ]
    if any(one.uses(b"pthread_cancel") or one.uses(b"pthread_exit") for one in names):
        closure.add_dlopen(b"libgcc_s.so.1", GLIBC_HELPER)
    if any(one.uses(call) for one in names for call in _NAME_CALLS):
        for module in nss_modules(target or closure.rooted):  # what is used at run time is named by the target
            closure.add_dlopen(b"libnss_" + module + b".so.2", NSS_MODULE)
    if any(one.uses(b"iconv_open") for one in names):
        _add_character_sets(closure)


def _add_character_sets(closure: Closure) -> None:
    libc = next((item.path for item in closure.items if os.path.basename(item.path) == b"libc.so.6"), None)
    for base in dict.fromkeys((os.path.dirname(libc or b""), b"/usr" + os.path.dirname(libc or b""), b"/usr/lib64", b"/usr/lib")):
        directory = base + b"/gconv"
        if closure.rooted.find(directory + b"/gconv-modules") or closure.rooted.find(directory + b"/gconv-modules.cache"):
            for name in ("gconv-modules", "gconv-modules.cache", "gconv-modules.d/gconv-modules-extra.conf"):
                closure.add_data(directory + b"/" + name.encode(), CHARACTER_SETS, libc)
            for name in _ICONV_MODULES:
                closure.add_data(directory + b"/" + name.encode(), CHARACTER_SETS, libc)
            return


def _missing(closure: Closure, item: Item) -> PyrootError:
    name = os.fsdecode(item.path)
    where = "this host" if not closure.rooted.root else "that root"
    if item.needed_by is None:
        hint = f"name a program or a file of {where}"
        if b"/" not in item.path:
            found = [entry for part in STANDARD_PATH.split(b":") for entry in _names_in(closure.rooted, part)]
            near = near_names(name, found)
            hint = f"did you mean {', '.join(near)}?" if near else hint
        return PyrootError(f"copy: {name}: {item.problem}", hint)
    chain = [os.fsdecode(one.path) for one in closure.programs_over(item)]
    over = f", for {chain[-1]}" if len(chain) > 1 else ""
    return PyrootError(
        f"copy: {os.fsdecode(item.needed_by)}{over}: its {item.why} {name}: {item.problem}",
        f"it does not start on {where} either: install what brings {os.path.basename(name)}",
    )


def _names_in(rooted: Rooted, directory: bytes) -> list[str]:
    trace = rooted.find(directory)
    return [os.fsdecode(name) for name in os.listdir(rooted.host(trace.real))] if trace else []


# --- how ------------------------------------------------------------------------------------------------------------


def plan(closure: Closure, root: bytes) -> list[Action]:
    """Decide about each item before anything is written. Raises PyrootError if the root has something else."""
    target = Rooted(root)
    actions = [Action(item, _fate(closure, target, item), item.path) for item in closure.items if item.trace is not None]
    news = {action.item.path for action in actions if action.kind == "copy"}
    for action in actions:
        if action.kind == "kept" and action.item.why in _LIBRARY_KINDS and action.item.why != CHARACTER_SETS:
            _require_versions(closure, target, action.item, news)
    return actions


def _fate(closure: Closure, target: Rooted, item: Item) -> str:
    """Tell what becomes of one item. A file that exists while a symbolic link to it is missing counts as one to copy."""
    real = item.trace.real if item.trace else item.path
    here = closure.rooted.host(real)
    there = target.find(item.path)
    other = there or target.find(real)
    if other is None:
        return "copy"
    place = target.host(other.real)
    if os.path.isdir(here) and os.path.isdir(place) or _same(here, place):
        return "same" if there else "copy"
    if there is None or item.why not in _KEPT_KINDS:
        raise PyrootError(
            f"copy: {os.fsdecode(item.path if there else real)}: the root has another file there",
            "nothing was copied: take that file away first, or leave it as it is",
        )
    return "kept"


def _same(here: bytes, place: bytes) -> bool:
    one, two = os.stat(here), os.stat(place)
    if not stat.S_ISREG(one.st_mode) or not stat.S_ISREG(two.st_mode) or one.st_size != two.st_size:
        return False
    if one.st_mtime_ns == two.st_mtime_ns:
        return True
    import filecmp

    return filecmp.cmp(here, place, shallow=False)


def _require_versions(closure: Closure, target: Rooted, item: Item, news: set[bytes]) -> None:
    """Refuse if the root's own library is of another kind, or lacks a version that a new file requires of it."""
    real = item.trace.real if item.trace else item.path
    place = target.host(target.trace(item.path).real)
    name = os.fsdecode(item.path)
    try:
        fits = read_elf(place).identity.fits(read_elf(closure.rooted.host(real)).identity)
        offers = read_versions(place).offers
    except (OSError, ElfError):
        fits, offers = False, frozenset()
    if not fits:
        raise PyrootError(f"copy: {name}: the root has another kind of file there", "nothing was copied: look at that file")
    for objects in closure.images.values():
        given = next((one for one in objects if one.real == real), None)
        for wanter in objects if given and offers else ():
            if wanter.path not in news:
                continue
            for library, version in read_versions(closure.rooted.host(wanter.real)).needs:
                if given and library in given.names and version not in offers:
                    raise PyrootError(
                        f"copy: {os.fsdecode(wanter.path)} needs {name} with {os.fsdecode(version)}, which the root's lacks",
                        "nothing was copied: install the program by the root's own means, or take it from a root of the same age",
                    )


def perform(closure: Closure, actions: Iterable[Action], root: bytes, verb: str = "copy") -> Installer:
    """Copy what is to be copied; a failure takes back what was made."""
    installer = Installer(root, closure.rooted, verb)
    try:
        for action in actions:
            if action.kind == "copy":
                installer.add(action.item.path)
        if any(action.kind == "copy" for action in actions):
            if not installer.own_layout:
                _add_top_links(installer, closure.rooted, Rooted(root))
            add_loader_index(installer, closure)
            _require_complete(root, actions)
    except OSError as error:
        installer.undo()
        raise write_failure(error, root, root, "copy") from error
    except BaseException:
        installer.undo()
        raise
    return installer


def _require_complete(root: bytes, actions: Iterable[Action]) -> None:
    """Examine the programs where they are now: they may find another library there than they had. Raises PyrootError."""
    view = View(Rooted(root), commands=[action.item.path for action in actions if action.item.why == PROGRAM and action.kind == "copy"])
    if not view.commands:
        return
    for item in view.closure.items:
        if item.missing and item.why in (LIBRARY, ELF_INTERPRETER):
            who = os.fsdecode(item.needed_by or b"")
            raise PyrootError(
                f"copy: {who} would not find {os.fsdecode(item.path)} in the root: {item.problem}",
                "what had been copied was taken back; pyroot doctor tells more about the root",
            )
    for path, what in view.lacking_versions():
        raise PyrootError(
            f"copy: {os.fsdecode(path)} of the root {what}",
            "what had been copied was taken back: install the program by the root's own means",
        )


def _add_top_links(installer: Installer, source: Rooted, target: Rooted) -> None:
    """If the source has /bin -> usr/bin and the like, give the root the same symbolic link unless it has something there."""
    for name in (b"/bin", b"/sbin", b"/lib", b"/lib64"):
        trace = source.find(name)
        if trace and trace.links and not os.path.lexists(target.root + name) and os.path.isdir(target.root + trace.real):
            installer.add(name)


def rebuild_index(root: bytes) -> None:
    """Enter every library in the directories of ld.so.conf and the loader's own into ld.so.cache, as ldconfig does."""
    rooted = Rooted(root)
    closure = Closure(rooted)
    for directory in STANDARD_PATH.split(b":"):
        for name in _names_in(rooted, directory):
            if not closure.images:
                closure.add_program(directory + b"/" + os.fsencode(name))
    search = next((closure.search_of(objects[0].elf) for objects in closure.images.values() if objects[0].elf.interp), None)
    if not isinstance(search, GlibcSearch):
        return
    try:
        entries = [one for one in parse_cache(rooted.read(search.cache_path)) if rooted.find(one.path)]
    except (OSError, ValueError):
        entries = []
    known = {(one.name, one.flags, one.hwcaps) for one in entries}
    for directory in (*conf_directories(rooted, search.conf_path), *search.system_directories):
        for name in sorted(_names_in(rooted, directory)):
            if name.startswith(("lib", "ld-")) and ".so" in name:
                for entry in _entries(rooted, directory, os.fsencode(name), search):
                    if (entry.name, entry.flags, entry.hwcaps) not in known:
                        known.add((entry.name, entry.flags, entry.hwcaps))
                        entries.append(entry)
    trace = rooted.find(search.cache_path)
    Installer(root, verb="doctor").rewrite(trace.real if trace else search.cache_path, build_cache(entries))


def _entries(rooted: Rooted, directory: bytes, name: bytes, search: GlibcSearch) -> list[CacheEntry]:
    path = directory + b"/" + name
    trace = rooted.find(path)
    if trace is None:
        return []
    try:
        elf = read_elf(rooted.host(trace.real))
    except (OSError, ElfError):
        return []
    soname = elf.soname or name
    own = search_for(rooted, elf.identity, b"") if not elf.identity.fits(search.identity) else search
    place = directory + b"/" + soname if rooted.find(directory + b"/" + soname) else path
    return own.cache_entries(soname, Found(place, DEFAULT)) if isinstance(own, GlibcSearch) else []
