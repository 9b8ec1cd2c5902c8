"""Find a library by name, as the program's own loader would: glibc's ld.so or musl's.

Decides: which file a DT_NEEDED name means. Does not decide in which order files load (`closure`). Source of the facts:
ld.so(8), ldd(1), glibc's and musl's documented search order, and the ld.so file itself: its default directories and
the path of its cache are compiled in, so they are read from there (Debian's multiarch directories, for example).

What depends on the processor is in `processor`. LD_LIBRARY_PATH counts only if a caller gives it, since it belongs to a run and
not to a program. Left out on purpose: LD_PRELOAD and /etc/ld.so.preload; relative and empty RPATH elements, whose meaning changes
with the working directory.
"""
from __future__ import annotations

import errno
import os
import re
from abc import ABC, abstractmethod

from pyroot.elf import processor as cpu
from pyroot.elf.ldcache import CacheEntry, conf_directories, parse_cache
from pyroot.elf.reader import DF_1_NODEFLIB, EM_386, EM_AARCH64, EM_X86_64, Elf, Identity, identity_of, read_head
from pyroot.elf.rooted import Rooted
from pyroot.plain import field, record

RPATH = "RPATH"
RUNPATH = "RUNPATH"
LIBRARY_PATH = "LD_LIBRARY_PATH"
CACHE = "ld.so.cache"
CONF = "ld.so.conf"
DEFAULT = "default directory"
MUSL_PATH = "musl's search path"
BY_PATH = "by its path"

_STANDARD_LOADERS = {
    (64, EM_X86_64): b"/lib64/ld-linux-x86-64.so.2", (32, EM_X86_64): b"/libx32/ld-linux-x32.so.2",
    (32, EM_386): b"/lib/ld-linux.so.2", (64, EM_AARCH64): b"/lib/ld-linux-aarch64.so.1",
}
_CACHE_FLAGS = {(64, EM_X86_64): 0x303, (32, EM_X86_64): 0x803, (32, EM_386): 0x003, (64, EM_AARCH64): 0xA03}
_FALLBACK_DIRECTORIES = (b"/lib64", b"/usr/lib64", b"/lib", b"/usr/lib")
# Where the libraries of an interpreter that is missing may be, in addition: nothing is to be called missing that is there.
_MULTIARCH = {
    (64, EM_X86_64): b"x86_64-linux-gnu", (32, EM_X86_64): b"x86_64-linux-gnux32",
    (32, EM_386): b"i386-linux-gnu", (64, EM_AARCH64): b"aarch64-linux-gnu",
}
_MUSL_DEFAULT = (b"/lib", b"/usr/local/lib", b"/usr/lib")
_MUSL_RESERVED = (b"c.", b"pthread.", b"rt.", b"m.", b"dl.", b"util.", b"xnet.")


class BadLibrary(Exception):
    """The search met a file that makes the real loader give up."""


@record
class Loaded:
    """One object in a process image: what it is, where from, and who asked for it first."""

    path: bytes
    real: bytes
    elf: Elf
    origin: bytes
    loader: Loaded | None = None
    names: set[bytes] = field(default_factory=set)


@record(frozen=True)
class Found:
    """Where a library is, and what led there; `entry` is the cache's line if that did."""

    path: bytes
    how: str
    entry: CacheEntry | None = None
    plain: bytes | None = None  # for a file in a directory for some processors: the file for every processor
    hwcaps: bytes | None = None  # the glibc-hwcaps directory that it is in


def origin_of(path: bytes) -> bytes:
    """Give the directory of an absolute path as $ORIGIN means it."""
    return os.path.dirname(path) or b"/"


class Search(ABC):
    """What both kinds of loader share. One object is for one interpreter inside one root."""

    musl = False

    def __init__(self, rooted: Rooted, identity: Identity) -> None:
        """Serve programs of one class and machine inside `rooted`."""
        self.rooted = rooted
        self.identity = identity
        self.refused: dict[bytes, bytes] = {}  # names that were found and may not be read, with the first such path
        self.library_path: tuple[bytes, ...] = ()  # the directories of LD_LIBRARY_PATH

    @abstractmethod
    def find(self, name: bytes, wanter: Loaded, main: Loaded) -> Found | None:
        """Find the file that `name` in DT_NEEDED of `wanter` means. Raises BadLibrary if the loader would fail."""

    def is_self(self, name: bytes) -> bool:
        """Tell whether the name means the loader itself."""
        return False

    def _accepts(self, path: bytes) -> bool:
        """Tell whether a candidate exists and fits; one for another machine is skipped, as by ld.so."""
        try:
            head = read_head(self.rooted.host(self.rooted.trace(path).real))
        except OSError as error:
            if error.errno == errno.EACCES:
                self.refused.setdefault(os.path.basename(path), path)
            return False
        identity = identity_of(head)
        if identity is None:
            raise BadLibrary(f"{os.fsdecode(path)} is not an ELF file")
        return identity.fits(self.identity)

    def _in_directories(self, name: bytes, directories: list[bytes] | tuple[bytes, ...], how: str) -> Found | None:
        for directory in directories:
            path = directory.rstrip(b"/") + b"/" + name
            if self._accepts(path):
                return Found(path, how)
        return None


class GlibcSearch(Search):
    """The search of glibc's ld.so."""

    def __init__(self, rooted: Rooted, identity: Identity, interpreter: bytes, processor: cpu.Processor | None = None) -> None:
        """Read the compiled-in facts from the interpreter and the cache that it would use; judge for this processor or another."""
        super().__init__(rooted, identity)
        try:
            image = rooted.read(interpreter)
        except OSError:
            image = b""
        self.system_directories = _system_directories(image) if image else _likely_directories(identity)
        place = re.search(rb"\0(/[\x21-\x7e]*/ld\.so\.cache)\0", image)
        self.cache_path = place[1] if place else b"/etc/ld.so.cache"
        self.conf_path = self.cache_path[:-len(b".cache")] + b".conf"
        judged = image, identity, processor or cpu.this_processor()
        self.levels = cpu.levels(*judged)
        capabilities = cpu.capabilities(*judged)
        # where to look below each directory, and which of these a cache names by bits
        self.subdirectories = [b"glibc-hwcaps/" + level for level in self.levels] + cpu.combinations([name for name, _bit in capabilities])
        self._bits = sum({bit for _name, bit in capabilities})
        self._present: dict[bytes, list[bytes]] = {}
        self._tokens = {b"LIB": _lib_token(self.system_directories), b"PLATFORM": cpu.platform(*judged)}
        self._cache: dict[bytes, list[CacheEntry]] | None = None
        self._conf: list[bytes] = []
        self._common: dict[tuple[bytes, bool], Found | None] = {}

    def find(self, name: bytes, wanter: Loaded, main: Loaded) -> Found | None:
        """Find a library: DT_RPATH up the chain of loaders, DT_RUNPATH, the cache, the default directories."""
        if b"/" in name:
            path = self._expand(name, wanter.origin)
            return Found(path, BY_PATH) if path.startswith(b"/") and self._accepts(path) else None
        if wanter.elf.runpath is None:
            chain: list[Loaded] = []
            step: Loaded | None = wanter
            while step is not None:
                chain.append(step)
                step = step.loader
            if main not in chain:
                chain.append(main)
            for loaded in chain:
                found = self._in_path(name, loaded.elf.rpath, loaded.origin, RPATH)
                if found:
                    return found
        found = self._in_directories(name, self.library_path, LIBRARY_PATH) if self.library_path else None
        found = found or self._in_path(name, wanter.elf.runpath, wanter.origin, RUNPATH)
        return found or self._everywhere(name, bool(wanter.elf.flags_1 & DF_1_NODEFLIB))

    def cache_entries(self, name: bytes, found: Found) -> list[CacheEntry]:
        """Give the cache lines that lead a loader to what was found without RPATH or RUNPATH."""
        flags = found.entry.flags if found.entry else _CACHE_FLAGS.get((self.identity.bits, self.identity.machine))
        if found.how not in (CACHE, CONF, DEFAULT) or flags is None:
            return []
        plain = found.plain is not None and self._accepts(found.plain)
        if found.hwcaps is None:
            # newer caches have no bits for the older kind: the plain one serves every processor
            return [CacheEntry(name, found.plain if found.plain and plain else found.path, flags)]
        level = found.entry.level if found.entry else 0
        best = CacheEntry(name, found.path, flags, found.hwcaps, level=level)
        return [best, CacheEntry(name, found.plain, flags)] if found.plain and plain else [best]

    def _everywhere(self, name: bytes, no_default: bool) -> Found | None:
        key = name, no_default
        if key not in self._common:
            found = self._in_cache(name)
            if found and no_default and os.path.dirname(found.path) in self.system_directories:
                found = None
            if found is None and self._conf:
                found = self._in_directories(name, self._conf, CONF)
            if found is None and not no_default:
                found = self._in_directories(name, self.system_directories, DEFAULT)
            self._common[key] = found
        return self._common[key]

    def _in_cache(self, name: bytes) -> Found | None:
        if self._cache is None:
            self._cache = self._read_cache()
        ranks = {level: rank for rank, level in enumerate(self.levels)}
        choice = [entry for entry in self._cache.get(name, []) if entry.hwcaps is None or entry.hwcaps in ranks]
        for entry in sorted(choice, key=lambda entry: ranks.get(entry.hwcaps or b"", len(ranks))):
            if self._accepts(entry.path):
                return Found(entry.path, CACHE, entry, self._plain(entry), entry.hwcaps)
        return None

    def _plain(self, entry: CacheEntry) -> bytes | None:
        """Give the file for every processor that belongs to a cache line for some."""
        directory, name = os.path.split(entry.path)
        if entry.hwcaps:
            return plain_path(entry.path)
        below = next((part for part in self.subdirectories if entry.legacy and directory.endswith(b"/" + part)), None)
        return None if below is None else directory[:-len(below)] + name

    def _read_cache(self) -> dict[bytes, list[CacheEntry]]:
        """Read the cache; if there is none, remember the directories of ld.so.conf instead.

        ld.so itself never reads ld.so.conf: what is found that way carries its own `how`, and a doctor can say that
        ldconfig has to be run.
        """
        index: dict[bytes, list[CacheEntry]] = {}
        try:
            entries = parse_cache(self.rooted.read(self.cache_path))
        except (OSError, ValueError):
            self._conf = conf_directories(self.rooted, self.conf_path)
            return index
        own = _CACHE_FLAGS.get((self.identity.bits, self.identity.machine))
        for entry in entries:
            if not entry.legacy & ~self._bits and own in (None, entry.flags):
                index.setdefault(entry.name, []).append(entry)
        return index

    def _in_path(self, name: bytes, path: bytes | None, origin: bytes, how: str) -> Found | None:
        if path is None:
            return None
        directories = [self._expand(part, origin) for part in path.split(b":")]
        return self._in_directories(name, [part for part in directories if part.startswith(b"/")], how)

    def _in_directories(self, name: bytes, directories: list[bytes] | tuple[bytes, ...], how: str) -> Found | None:
        for directory in directories:
            base = directory.rstrip(b"/")
            plain = base + b"/" + name
            for below in self._below(base):
                path = base + b"/" + below + b"/" + name
                if self._accepts(path):
                    return Found(path, how, plain=plain, hwcaps=os.path.basename(below) if below.startswith(b"glibc-hwcaps/") else None)
            if self._accepts(plain):
                return Found(plain, how)
        return None

    def _below(self, base: bytes) -> list[bytes]:
        """List the subdirectories for this processor that a directory has."""
        if base not in self._present:
            self._present[base] = [part for part in self.subdirectories if self.rooted.find(base + b"/" + part) is not None]
        return self._present[base]

    def _expand(self, text: bytes, origin: bytes) -> bytes:
        def value(match: re.Match[bytes]) -> bytes:
            token = match[1] or match[2]
            return origin if token == b"ORIGIN" else self._tokens[token]

        return re.sub(rb"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM))", value, text)


class MuslSearch(Search):
    """The search of musl's loader. It has one library, itself, and one path file."""

    musl = True

    def __init__(self, rooted: Rooted, identity: Identity, interpreter: bytes) -> None:
        """Read the path file that belongs to the interpreter's name and prefix."""
        super().__init__(rooted, identity)
        arch = os.path.basename(interpreter)[len(b"ld-musl-"):].split(b".", 1)[0]
        prefix = os.path.dirname(os.path.dirname(interpreter)).rstrip(b"/")
        self.path_file: bytes | None = prefix + b"/etc/ld-musl-" + arch + b".path"
        self.directories: tuple[bytes, ...] = _MUSL_DEFAULT
        try:
            text = rooted.read(self.path_file)
        except OSError:
            self.path_file = None
        else:
            self.directories = tuple(part for part in re.split(rb"[:\n]", text) if part)

    def is_self(self, name: bytes) -> bool:
        """Tell whether the name is one of those that musl provides itself, such as libc.so or libm.so.6."""
        return name[:3] == b"lib" and name[3:].startswith(_MUSL_RESERVED)

    def find(self, name: bytes, wanter: Loaded, main: Loaded) -> Found | None:
        """Find a library: DT_RUNPATH or DT_RPATH up the chain of loaders, then the path file's directories."""
        if b"/" in name:
            return Found(name, BY_PATH) if name.startswith(b"/") and self._accepts(name) else None
        found = self._first(name, self.library_path, LIBRARY_PATH)
        if found:
            return found
        step: Loaded | None = wanter
        while step is not None:
            kind, path = (RPATH, step.elf.rpath) if step.elf.runpath is None else (RUNPATH, step.elf.runpath)
            rest = re.sub(rb"\$(?:\{ORIGIN\}|ORIGIN)", b"", path or b"")
            if path and b"$" not in rest:
                path = re.sub(rb"\$(?:\{ORIGIN\}|ORIGIN)", lambda _, origin=step.origin: origin, path)  # type: ignore[misc]
                found = self._first(name, tuple(part for part in re.split(rb"[:\n]", path) if part[:1] == b"/"), kind)
                if found:
                    return found
            step = step.loader
        return self._first(name, self.directories, MUSL_PATH)

    def _first(self, name: bytes, directories: tuple[bytes, ...], how: str) -> Found | None:
        """Take the first file of that name: musl gives up if it does not fit."""
        for directory in directories:
            path = directory.rstrip(b"/") + b"/" + name
            if self.rooted.find(path) is not None:
                if not self._accepts(path):
                    raise BadLibrary(f"{os.fsdecode(path)} {'may not be read' if name in self.refused else 'is for another machine'}")
                return Found(path, how)
        return None


def loader_of(rooted: Rooted, elf: Elf) -> bytes:
    """Give the interpreter of a program; for a library on its own, that of its machine (b"" if unknown)."""
    if elf.interp is not None:
        return elf.interp
    if any(needed.name == b"libc.so" or needed.name.startswith(b"libc.musl-") for needed in elf.needed):
        musl = _some_musl(rooted)
        if musl:
            return musl
    return _STANDARD_LOADERS.get((elf.identity.bits, elf.identity.machine), b"")


def search_for(rooted: Rooted, identity: Identity, interpreter: bytes) -> Search:
    """Choose the search that an interpreter does, for programs of one class and machine."""
    if os.path.basename(interpreter).startswith(b"ld-musl-"):
        return MuslSearch(rooted, identity, interpreter)
    return GlibcSearch(rooted, identity, interpreter)


def _some_musl(rooted: Rooted) -> bytes | None:
    trace = rooted.find(b"/lib")
    if trace is None:
        return None
    names = sorted(name for name in os.listdir(rooted.host(trace.real)) if name.startswith(b"ld-musl-"))
    return b"/lib/" + names[0] if names else None


def _system_directories(image: bytes) -> tuple[bytes, ...]:
    """Read the default directories from ld.so: consecutive texts that all begin and end with "/"."""
    for match in re.finditer(rb"\0((?:/(?:[\x21-\x7e]{1,200}/)?\0){2,16})", image):
        parts = match[1].rstrip(b"\0").split(b"\0")
        if any(b"/lib" in part for part in parts):
            return tuple(part.rstrip(b"/") for part in parts)
    return _FALLBACK_DIRECTORIES


def _likely_directories(identity: Identity) -> tuple[bytes, ...]:
    """Give the directories in which an interpreter that is missing would look on the usual systems."""
    triple = _MULTIARCH.get((identity.bits, identity.machine))
    own = (b"/lib/" + triple, b"/usr/lib/" + triple) if triple else ()
    other = (b"/lib32", b"/usr/lib32") if identity.bits == 32 else ()
    return (*own, *other, *_FALLBACK_DIRECTORIES)


def _lib_token(directories: tuple[bytes, ...]) -> bytes:
    """Give what $LIB stands for: it is configured together with the first default directory."""
    first = directories[0]
    return first[1:] if first.startswith(b"/lib") else os.path.basename(first)


def plain_path(path: bytes) -> bytes:
    """Give the path of the file for every processor, from one in DIR/glibc-hwcaps/LEVEL/."""
    directory, name = os.path.split(path)
    return os.path.dirname(os.path.dirname(directory)) + b"/" + name
