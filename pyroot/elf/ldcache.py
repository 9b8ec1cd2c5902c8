"""Read and write /etc/ld.so.cache, glibc's index of shared libraries, and read ld.so.conf.

Decides: the file formats. Does not decide what is looked up or what is put in. Source of the facts: the format as
documented by glibc's dl-cache.h and observed in the files that ldconfig(8) writes; ldconfig(8) for ld.so.conf.

Only the format "glibc-ld.so.cache1.1" is read and written (alone, or after the old table "ld.so-1.7.0"); glibc
has understood it without that table since 2.2.
"""
from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from functools import cmp_to_key

from pyroot.elf.rooted import Rooted
from pyroot.plain import record

_OLD_MAGIC = b"ld.so-1.7.0\0"
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = 48
_ENTRY = 24
_HWCAP_NAMED = 1 << 30      # in the upper half: the lower half is an index into the extension's names
_HWCAP_LEVEL = (1 << 10) - 1
_EXTENSION_MAGIC = 0xEAA42174
_TAG_HWCAPS = 1


@record(frozen=True)
class CacheEntry:
    """One line of the cache: a library name and where the library is.

    `flags` is glibc's number for the ABI; `hwcaps` names the glibc-hwcaps directory that the file is in, if any;
    `legacy` are the bits of the older kind of capabilities, whose entries newer loaders skip.
    """

    name: bytes
    path: bytes
    flags: int
    hwcaps: bytes | None = None
    legacy: int = 0
    level: int = 0


def parse_cache(data: bytes) -> list[CacheEntry]:
    """Decode a cache file. Raises ValueError if it is not one or is damaged."""
    try:
        return list(_parse(data))
    except (struct.error, IndexError) as error:
        raise ValueError(f"damaged ld.so.cache: {error}") from None


def _parse(data: bytes) -> Iterator[CacheEntry]:
    if data.startswith(_OLD_MAGIC):
        count = struct.unpack_from("=I", data, 12)[0]
        data = data[(16 + 12 * count + 7) // 8 * 8:]
    if not data.startswith(_MAGIC):
        raise ValueError("not an ld.so.cache that glibc 2.2 or later would read")
    endian = {2: "<", 3: ">"}.get(data[28] & 3, "=")
    count, _, _, extension = struct.unpack_from(endian + "IIB3xI", data, 20)
    names = _parse_hwcaps(data, endian, extension) if extension else []
    for number in range(count):
        flags, key, value, _, low, high = _unpack_entry(data, endian, _HEADER + _ENTRY * number)
        hwcaps = None
        if high & ~_HWCAP_LEVEL == _HWCAP_NAMED:
            hwcaps = names[low]
        legacy = high << 32 | low if hwcaps is None else 0
        yield CacheEntry(
            _string(data, key), _string(data, value), flags, hwcaps, legacy, high & _HWCAP_LEVEL if hwcaps else 0
        )


def _unpack_entry(data: bytes, endian: str, offset: int) -> tuple[int, int, int, int, int, int]:
    flags, key, value, osversion, hwcap = struct.unpack_from(endian + "iIIIQ", data, offset)
    return flags, key, value, osversion, hwcap & 0xFFFFFFFF, hwcap >> 32


def _parse_hwcaps(data: bytes, endian: str, offset: int) -> list[bytes]:
    magic, count = struct.unpack_from(endian + "II", data, offset)
    if magic != _EXTENSION_MAGIC:
        raise ValueError("damaged ld.so.cache: unknown extension")
    for number in range(count):
        tag, _, start, size = struct.unpack_from(endian + "IIII", data, offset + 8 + 16 * number)
        if tag == _TAG_HWCAPS:
            return [_string(data, at) for at in struct.unpack_from(f"{endian}{size // 4}I", data, start)]
    return []


def _string(data: bytes, offset: int) -> bytes:
    return data[offset:data.index(b"\0", offset)]


def build_cache(entries: Iterable[CacheEntry], little: bool = True) -> bytes:
    """Encode a cache file. Legacy entries are left out: the loaders that know them find the plain ones too."""
    lines = sorted({entry for entry in entries if not entry.legacy}, key=_sort_key)
    names = sorted({entry.hwcaps for entry in lines if entry.hwcaps is not None})
    endian = "<" if little else ">"
    strings = bytearray()
    places: dict[bytes, int] = {}
    base = _HEADER + _ENTRY * len(lines)

    def place(text: bytes) -> int:
        if text not in places:
            places[text] = base + len(strings)
            strings.extend(text + b"\0")
        return places[text]

    table = bytearray()
    for entry in lines:
        hwcap = 0
        if entry.hwcaps is not None:
            hwcap = (_HWCAP_NAMED | entry.level) << 32 | names.index(entry.hwcaps)
        table += struct.pack(endian + "iIIIQ", entry.flags, place(entry.name), place(entry.path), 0, hwcap)
    name_places = [place(name) for name in names]
    length = len(strings)
    strings.extend(bytes(-(base + length) % 4))
    extension = base + len(strings) if names else 0
    header = _MAGIC + struct.pack(endian + "IIB3xI12x", len(lines), length, 2 if little else 3, extension)
    tail = b""
    if names:
        tail = struct.pack(endian + "IIIIII", _EXTENSION_MAGIC, 1, _TAG_HWCAPS, 0, extension + 24, 4 * len(names))
        tail += struct.pack(f"{endian}{len(names)}I", *name_places)
    return bytes(header + table + strings + tail)


def compare_names(one: bytes, two: bytes) -> int:
    """Compare two library names as the loader's binary search does: runs of digits count as numbers."""
    at, to = 0, 0
    while at < len(one):
        here, there = one[at:at + 1], two[to:to + 1]
        if here.isdigit() and there.isdigit():
            first, at = _number(one, at)
            second, to = _number(two, to)
            if first != second:
                return first - second
        elif here.isdigit():
            return 1
        elif there.isdigit():
            return -1
        elif here != there:
            return here[0] - (there[0] if there else 0)
        else:
            at, to = at + 1, to + 1
    return -int(to < len(two))


def _number(text: bytes, at: int) -> tuple[int, int]:
    end = at
    while text[end:end + 1].isdigit():
        end += 1
    return int(text[at:end]), end


def _compare(one: CacheEntry, two: CacheEntry) -> int:
    """Order as ldconfig does: names descending, then the ABI descending, then glibc-hwcaps before the plain file."""
    names = compare_names(two.name, one.name)
    if names or one.flags != two.flags:
        return names or two.flags - one.flags
    first, second = (one.hwcaps is None, one.hwcaps or b"", one.path), (two.hwcaps is None, two.hwcaps or b"", two.path)
    return (first > second) - (first < second)


_sort_key = cmp_to_key(_compare)


def conf_directories(rooted: Rooted, path: bytes = b"/etc/ld.so.conf") -> list[bytes]:
    """List the directories that an ld.so.conf names, its includes followed, in order and each once."""
    found: list[bytes] = []
    _read_conf(rooted, path, found, set())
    return list(dict.fromkeys(found))


def _read_conf(rooted: Rooted, path: bytes, found: list[bytes], seen: set[bytes]) -> None:
    try:
        real = rooted.trace(path).real
        if real in seen:
            return
        seen.add(real)
        text = rooted.read(path)
    except OSError:
        return
    for line in text.splitlines():
        words = line.split(b"#", 1)[0].strip()
        first, _, rest = words.replace(b"\t", b" ").partition(b" ")
        if first == b"include":
            for pattern in rest.split():
                for included in _glob(rooted, os.path.join(os.path.dirname(path), pattern)):
                    _read_conf(rooted, included, found, seen)
        elif first != b"hwcap" and words:
            for word in words.replace(b"\t", b" ").replace(b":", b" ").replace(b",", b" ").split():
                directory = word.split(b"=", 1)[0].rstrip(b"/")
                if directory.startswith(b"/"):
                    found.append(directory)


def _glob(rooted: Rooted, pattern: bytes) -> list[bytes]:
    """Match the last component of a pattern in the root (ldconfig's files use no other form)."""
    directory, _, last = pattern.rpartition(b"/")
    trace = rooted.find(directory or b"/")
    if trace is None:
        return []
    import glob

    base = glob.escape(rooted.host(trace.real))
    return sorted(directory + b"/" + os.path.basename(path) for path in glob.glob(base + b"/" + last))
