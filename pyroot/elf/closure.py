"""Collect everything that programs need in order to start: interpreters, libraries, and what scripts name.

Decides: which files belong to a program, in load order. Does not decide where a name is found (`search`), nor copies
anything. Nothing is run. Source of the facts: execve(2) for "#!" and PT_INTERP; ld.so(8): objects load breadth
first, a name that is already loaded (by the name asked for, or by DT_SONAME) is not searched again.

What only a run can show is not found: libraries opened by dlopen(3), and the files that an interpreter such as
Python reads. `Closure.add_dlopen` serves callers that know of such a library.
"""
from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Sequence

from pyroot import environment
from pyroot.elf.ldcache import CacheEntry
from pyroot.elf.reader import Elf, ElfError, read_elf, read_head
from pyroot.elf.rooted import Rooted, Trace
from pyroot.elf.search import (
    BadLibrary,
    GlibcSearch,
    Loaded,
    MuslSearch,
    Search,
    loader_of,
    origin_of,
    plain_path,
    search_for,
)
from pyroot.plain import field, record, replace

PROGRAM = "program"
SCRIPT_INTERPRETER = "#! interpreter"
ENV_PROGRAM = "program that #! runs through env"
ELF_INTERPRETER = "ELF interpreter"
LIBRARY = "library"
PLAIN_LIBRARY = "library for processors without glibc-hwcaps"
DATA = "data"

TOO_LONG = "is longer than what the kernel reads of a #! line"

STANDARD_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SCRIPT_HEAD = 256  # BINPRM_BUF_SIZE: the kernel reads no more of the first line
_MAX_SCRIPTS = 5    # nested interpreters that are scripts themselves, as many as the kernel follows


@record(frozen=True)
class Item:
    """One file that belongs to the closure.

    `path` is the path inside the root as the loader spells it; `why` one of this module's words; `needed_by` the path
    of the file that asked for it; `how` what led the search there. `trace` holds its canonical path and the links
    on the way. A missing file has `problem` set and no `trace`; its `path` is then the name that was asked for, and
    `place` the path of a file of that name that may not be read.
    """

    path: bytes
    why: str
    needed_by: bytes | None = None
    how: str = ""
    trace: Trace | None = None
    problem: str = ""
    place: bytes = b""

    @property
    def missing(self) -> bool:
        """Tell whether the file was not found or cannot be used."""
        return bool(self.problem)


def closure(
    programs: Iterable[str | bytes | os.PathLike[str]],
    root: str | bytes | os.PathLike[str] = "/",
    search_path: str | bytes | None = None,
) -> list[Item]:
    """List programs and everything they need, found inside `root` only, each path once, in load order.

    A program is a path inside the root, or a name to look up in `search_path` (by default $PATH if root is "/",
    the usual directories otherwise). Nothing is raised for what is missing: such items have `missing` set.
    """
    work = Closure(Rooted(root), search_path)
    for program in programs:
        work.add_program(os.fsencode(program))
    return work.items


@record
class Index:
    """What an ld.so.cache, and the ld.so.conf next to it, must contain for the closure's libraries to be found."""

    cache_path: bytes
    conf_path: bytes
    little: bool = True
    entries: list[CacheEntry] = field(default_factory=list)
    directories: list[bytes] = field(default_factory=list)  # those that the loader does not search anyway

    def copy(self) -> Index:
        """Give an independent copy."""
        return replace(self, entries=self.entries.copy(), directories=self.directories.copy())

    def add(self, entries: Iterable[CacheEntry], system_directories: Sequence[bytes]) -> None:
        """Add entries that are new, and their directories."""
        for entry in entries:
            if entry in self.entries:
                continue
            self.entries.append(entry)
            directory = os.path.dirname(plain_path(entry.path) if entry.hwcaps else entry.path)
            if directory not in system_directories and directory not in self.directories:
                self.directories.append(directory)


class Closure:
    """A closure being collected. `items` is the result so far."""

    def __init__(self, rooted: Rooted, search_path: str | bytes | None = None) -> None:
        """Collect inside one root; see `closure` for the search path."""
        if search_path is None:
            search_path = environment.path(STANDARD_PATH) if not rooted.root else STANDARD_PATH
        self.rooted = rooted
        self.items: list[Item] = []
        self.indexes: dict[bytes, Index] = {}
        self._scripts: list[bytes] = []  # those that are being followed
        self.images: dict[bytes, list[Loaded]] = {}  # what each ELF program has in its process, in load order
        self.library_path: tuple[bytes, ...] = ()  # the directories of an LD_LIBRARY_PATH, for whoever speaks of a run
        self._search_path = os.fsencode(search_path)
        self._by_path: dict[bytes, Item] = {}
        self._elves: dict[bytes, Elf | str] = {}
        self._searches: dict[tuple[bytes, int, int], Search] = {}
        self._glibcs: dict[bytes, tuple[Loaded, list[Loaded], Search]] = {}

    def find_program(self, name: bytes) -> bytes | None:
        """Look a name up in the search path: the first regular file with an x bit, as execvp(3) would take it."""
        for directory in self._search_path.split(b":"):
            path = directory.rstrip(b"/") + b"/" + name
            if path.startswith(b"/") and is_executable(self.rooted, path):
                return path
        return None

    def add_program(self, program: bytes, why: str = PROGRAM, needed_by: bytes | None = None, depth: int = 0) -> Item:
        """Add a program, by path or name, and everything that it needs. The item says what is wrong with the program."""
        if b"/" not in program:
            found = self.find_program(program)
            if found is None:
                return self._add_missing(program, why, needed_by, "not found in PATH")
            program = found
        known = self._by_path.get(program)
        if known is not None:
            return known
        try:
            trace = self.rooted.trace(program)
            head = read_head(self.rooted.host(trace.real), _SCRIPT_HEAD)
        except OSError as error:
            return self._add_missing(program, why, needed_by, self._program_problem(program, error))
        elf = self._elf(trace.real) if head.startswith(b"\x7fELF") else None
        if isinstance(elf, str):
            return self._add_missing(program, why, needed_by, elf)
        item = self._add(program, why, needed_by, "", trace)
        if elf is not None:
            self._add_elf(program, trace, elf)
        elif head.startswith(b"#!"):
            self._scripts.append(trace.real)
            self._add_script(program, head, depth)
            self._scripts.pop()
        return item

    def add_data(self, path: bytes, why: str = DATA, needed_by: bytes | None = None) -> Item | None:
        """Add a plain file if it exists and can be read; what it needs is not examined."""
        trace = self.rooted.find(path)
        if trace is None or not os.access(self.rooted.host(trace.real), os.R_OK):
            return None
        return self._add(path, why, needed_by, "", trace)

    def add_dlopen(self, name: bytes, why: str) -> bool:
        """Add, for each glibc in the closure, a library that glibc loads at run time, if it exists.

        Such a library is optional: one that is not found, or lacks something itself, is left out. Tell whether it is
        complete for at least one glibc.
        """
        added = False
        for libc, base, search in list(self._glibcs.values()):
            before = len(self.items)
            indexes = {place: index.copy() for place, index in self.indexes.items()}
            loaded = self._load(name, libc, libc, search, why, optional=True)
            if loaded is not None:
                self._breadth_first([libc, *base, loaded], search)
            news = self.items[before:]
            if any(item.missing for item in news):
                del self.items[before:]
                for item in news:
                    self._by_path.pop(item.path, None)
                self.indexes = indexes
            else:
                added = added or loaded is not None
        return added

    def add_optional(self, program: bytes, why: str, needed_by: bytes) -> bool:
        """Add a program or library that others can do without; one that lacks something is left out. Tell whether it is there."""
        before, indexes = len(self.items), {place: index.copy() for place, index in self.indexes.items()}
        item = self.add_program(program, why, needed_by)
        news = self.items[before:]
        if not item.missing and not any(one.missing for one in news):
            return True
        del self.items[before:]
        for one in news:
            self._by_path.pop(one.path, None)
        self.images.pop(program, None)
        self.indexes = indexes
        return False

    def programs_over(self, item: Item) -> list[Item]:
        """List what asked for an item, what asked for that, and so on up to a program."""
        chain: list[Item] = []
        while item.needed_by is not None and item.needed_by in self._by_path:
            item = self._by_path[item.needed_by]
            if item in chain:
                break
            chain.append(item)
        return chain

    @property
    def has_glibc(self) -> bool:
        """Tell whether a program here is linked dynamically with glibc."""
        return bool(self._glibcs)

    def _add_script(self, program: bytes, head: bytes, depth: int) -> None:
        line = re.split(rb"[\n\0]", head[2:], maxsplit=1)[0].strip(b" \t")
        interpreter, *argument = re.split(rb"[ \t]+", line, maxsplit=1)
        if not interpreter:
            return
        problem = "too many levels of #! scripts" if depth >= _MAX_SCRIPTS else ""
        if not interpreter.startswith(b"/"):
            problem = "is not an absolute path"
        elif len(head) == _SCRIPT_HEAD and not re.search(rb"[\n\0]", head) and not argument and not head.endswith((b" ", b"\t")):
            problem = TOO_LONG
        if problem:
            self._add_missing(interpreter, SCRIPT_INTERPRETER, program, problem)
            return
        program_name = os.path.basename(interpreter)  # (Perl leaves a carriage return out)
        if argument and argument[0].endswith(b"\r") and program_name != b"env" and not program_name.startswith(b"perl"):
            self._add_missing(interpreter + b" " + argument[0], SCRIPT_INTERPRETER, program, "has a carriage return in its argument")
        trace = self.rooted.find(interpreter)
        if trace is not None and trace.real in self._scripts:
            self._add_missing(interpreter, SCRIPT_INTERPRETER, program, "is a script that this one is to interpret")
            return
        self.add_program(interpreter, SCRIPT_INTERPRETER, program, depth + 1)
        if os.path.basename(interpreter) == b"env" and argument:
            name = env_command(argument[0])
            if name:
                self.add_program(name, ENV_PROGRAM, program, depth + 1)

    def _add_elf(self, program: bytes, trace: Trace, elf: Elf) -> None:
        search = self.search_of(elf)
        main = Loaded(program, trace.real, elf, origin_of(trace.real))
        if elf.soname:
            main.names.add(elf.soname)
        objects = [main]
        if elf.interp is not None:
            interpreter = self._add_interpreter(program, elf.interp, elf)
            # One that is missing does not hide the libraries that are missing as well.
            objects += [interpreter] if interpreter is not None else []
            if isinstance(search, MuslSearch) and search.path_file:
                self.add_data(search.path_file, "search path of musl", elf.interp)
        self.images[program] = objects
        self._breadth_first(objects, search)

    def _add_interpreter(self, program: bytes, path: bytes, elf: Elf) -> Loaded | None:
        trace = self.rooted.find(path)
        if trace is None or not path.startswith(b"/"):
            self._add_missing(path, ELF_INTERPRETER, program, "not found")
            return None
        own = self._elf(trace.real)
        if isinstance(own, str):
            self._add_missing(path, ELF_INTERPRETER, program, own)
            return None
        if not own.identity.fits(elf.identity):
            problem = f"is {own.identity}, the program is {elf.identity}"
            self._add_missing(path, ELF_INTERPRETER, program, problem)
            return None
        self._add(path, ELF_INTERPRETER, program, "", trace)
        return Loaded(path, trace.real, own, origin_of(path), None, {path, own.soname or path})

    def _breadth_first(self, objects: list[Loaded], search: Search) -> None:
        """Load what the objects need, and what that needs; `objects` grows as the image of the process would."""
        main = objects[0]
        absent = os.path.basename(main.elf.interp or b"") if len(objects) == 1 else b""  # told already
        at = 0
        while at < len(objects):
            wanter = objects[at]
            at += 1
            for needed in wanter.elf.needed:
                if search.is_self(needed.name) or needed.name == absent:
                    continue
                known = next((one for one in objects if needed.name in one.names), None)
                if known is not None:
                    continue
                loaded = self._load(needed.name, wanter, main, search, LIBRARY, needed.optional)
                if loaded is None:
                    continue
                same = next((one for one in objects if one.real == loaded.real), None)
                if same is not None:
                    same.names.add(needed.name)
                else:
                    objects.append(loaded)
        for one in objects:
            if isinstance(search, GlibcSearch) and b"libc.so.6" in one.names:
                base = [other for other in objects[1:] if other.loader is None]
                self._glibcs.setdefault(one.path, (one, base, search))

    def _load(
        self, name: bytes, wanter: Loaded, main: Loaded, search: Search, why: str, optional: bool = False
    ) -> Loaded | None:
        """Find one library and add it; None if it is missing, which is noted unless it is optional."""
        problem = f"not found for {search.identity}"
        try:
            found = search.find(name, wanter, main)
        except BadLibrary as error:
            found, problem = None, str(error)
        trace = self.rooted.find(found.path) if found else None
        if found is None or trace is None:
            place = search.refused.get(os.path.basename(name), b"")
            if place and problem.startswith("not found"):
                problem = f"{os.fsdecode(place)} may not be read"
            if not optional:
                self._add_missing(name, why, wanter.path, problem, place)
            return None
        elf = self._elf(trace.real)
        if isinstance(elf, str):
            self._add_missing(name, why, wanter.path, f"{os.fsdecode(found.path)}: {elf}")
            return None
        self._add(found.path, why, wanter.path, found.how, trace)
        if found.plain:
            plain = self.rooted.find(found.plain)
            if plain:
                self._add(found.plain, PLAIN_LIBRARY, wanter.path, found.how, plain)
        if isinstance(search, GlibcSearch):
            index = self.indexes.setdefault(search.cache_path, Index(search.cache_path, search.conf_path))
            index.little = search.identity.little
            index.add(search.cache_entries(name, found), search.system_directories)
        return Loaded(found.path, trace.real, elf, origin_of(found.path), wanter, {name, elf.soname or name})

    def search_of(self, elf: Elf) -> Search:
        """Give the search that the interpreter of a program does."""
        interpreter = loader_of(self.rooted, elf)
        key = interpreter, elf.identity.bits, elf.identity.machine
        if key not in self._searches:
            self._searches[key] = search_for(self.rooted, elf.identity, interpreter)
            self._searches[key].library_path = self.library_path
        return self._searches[key]

    def _elf(self, real: bytes) -> Elf | str:
        if real not in self._elves:
            try:
                self._elves[real] = read_elf(self.rooted.host(real))
            except OSError as error:
                self._elves[real] = os.strerror(error.errno or errno.EIO)
            except ElfError as error:
                self._elves[real] = str(error)
        return self._elves[real]

    def _add(self, path: bytes, why: str, needed_by: bytes | None, how: str, trace: Trace) -> Item:
        if path not in self._by_path:
            self._by_path[path] = Item(path, why, needed_by, how, trace)
            self.items.append(self._by_path[path])
        return self._by_path[path]

    def _add_missing(self, path: bytes, why: str, needed_by: bytes | None, problem: str, place: bytes = b"") -> Item:
        item = Item(path, why, needed_by, problem=problem, place=place)
        if item not in self.items:
            self.items.append(item)
        return item

    def _program_problem(self, program: bytes, error: OSError) -> str:
        trace = self.rooted.find(program)
        if trace is not None and os.path.isdir(self.rooted.host(trace.real)):
            return "is a directory"
        if trace is not None and error.errno == errno.EINVAL:
            return "is not a regular file"
        return {errno.ENOENT: "does not exist", errno.EACCES: "cannot be read"}.get(
            error.errno or 0, os.strerror(error.errno or errno.EIO)
        )


def is_executable(rooted: Rooted, path: bytes) -> bool:
    """Tell whether a path of the root leads to a regular file with an x bit."""
    trace = rooted.find(path)
    if trace is None:
        return False
    host = rooted.host(trace.real)
    return os.path.isfile(host) and os.access(host, os.X_OK)


def env_command(argument: bytes) -> bytes | None:
    """Give the command in the one argument that a "#!/usr/bin/env" line has; None if there is none.

    With -S (also -iS and the like) env splits the argument itself; without it the whole argument is the command.
    """
    words: Sequence[bytes] = [argument.strip()]
    split = argument.lstrip()
    if split.startswith(b"--split-string="):
        words = _split(split[len(b"--split-string="):])
    elif split.startswith(b"-") and not split.startswith(b"--") and b"S" in split.split(None, 1)[0]:
        words = _split(split[split.index(b"S") + 1:])
    takes_value = False
    for word in words:
        if takes_value:
            takes_value = False
        elif word in (b"-u", b"-C", b"--unset", b"--chdir"):
            takes_value = True
        elif not word.startswith(b"-") and b"=" not in word:
            return word
    return None


def _split(text: bytes) -> list[bytes]:
    import shlex  # for a #! line with env -S only

    try:
        return [os.fsencode(word) for word in shlex.split(os.fsdecode(text))]
    except ValueError:
        return text.split()
