"""Read the symbols of an ELF file and their versions: those that it requires of its libraries, and those that it offers.

Decides: how DT_SYMTAB, DT_VERNEED and DT_VERDEF of one file are read. Not decided here: which file a library's name means
(`search`), what a missing version means (`pyroot.doctor`). Source of the facts: the "Symbol Versioning" chapter
of the Linux Standard Base, ld.so(8).

A library that defines no version at all satisfies every request with a warning only, as in ld.so; a request marked
weak may stay unanswered.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

from pyroot.plain import record

_DT_HASH = 4
_DT_STRTAB = 5
_DT_SYMTAB = 6
_DT_STRSZ = 10
_DT_BIND_NOW = 24
_DT_FLAGS = 30
_DT_GNU_HASH = 0x6FFFFEF5
_DT_FLAGS_1 = 0x6FFFFFFB
_DF_BIND_NOW, _DF_1_NOW = 8, 1
_STB_WEAK = 2
_DT_VERDEF = 0x6FFFFFFC
_DT_VERNEED = 0x6FFFFFFE
_VER_FLG_WEAK = 2
_MAX_RECORDS = 10000  # a damaged file must not cause an endless loop


@record(frozen=True)
class Versions:
    """Pairs of library name and version that a file asks for, the versions that it offers, its symbol names, its size."""

    needs: tuple[tuple[bytes, bytes], ...] = ()
    offers: frozenset[bytes] = frozenset()
    names: bytes = b""
    ends: int = 0  # where the last segment of the file ends

    def uses(self, symbol: bytes) -> bool:
        """Tell whether the dynamic string table names a symbol."""
        return b"\0" + symbol + b"\0" in self.names


@record(frozen=True)
class Symbols:
    """The names that a file must get from others (weak ones are left out), those that it has, and whether all are bound at once."""

    wanted: frozenset[bytes] = frozenset()
    given: frozenset[bytes] = frozenset()
    at_once: bool = False


def read_versions(path: str | bytes) -> Versions:
    """Read one file. Gives nothing for a file that is damaged or not an ELF file; raises OSError if it cannot be read."""
    with open(path, "rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            return Versions()
    with data:
        try:
            return _read(data)
        except (struct.error, IndexError, ValueError):
            return Versions()


def read_symbols(path: str | bytes) -> Symbols:
    """Read the dynamic symbols of one file. Gives nothing for a file that is damaged; raises OSError if it cannot be read."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        return _symbols(data)
    except (struct.error, IndexError, ValueError):
        return Symbols()


def _symbols(data: bytes) -> Symbols:
    order, wide, loads, tags, _ends = _dynamic(data)
    if _DT_SYMTAB not in tags or _DT_STRTAB not in tags:
        return Symbols()
    form = struct.Struct(order + ("IBBHQQ" if wide else "IIIBBH"))
    at, strings = _place(loads, tags[_DT_SYMTAB]), _place(loads, tags[_DT_STRTAB])
    count = _count(data, order, wide, loads, tags)
    wanted: list[bytes] = []
    given: list[bytes] = []
    for symbol in form.iter_unpack(data[at + form.size : at + form.size * count]):
        name, info, section = (symbol[0], symbol[1], symbol[3]) if wide else (symbol[0], symbol[3], symbol[5])
        text = data[strings + name : data.index(b"\0", strings + name)]
        if section:
            given.append(text)
        elif info >> 4 != _STB_WEAK and text:
            wanted.append(text)
    flags = tags.get(_DT_FLAGS, 0) & _DF_BIND_NOW or tags.get(_DT_FLAGS_1, 0) & _DF_1_NOW or _DT_BIND_NOW in tags
    return Symbols(frozenset(wanted), frozenset(given), bool(flags))


def _count(data: bytes, order: str, wide: bool, loads: list[tuple[int, int, int]], tags: dict[int, int]) -> int:
    """Give the number of dynamic symbols, which only the hash tables know."""
    if _DT_HASH in tags:
        number: int = struct.unpack_from(order + "4xI", data, _place(loads, tags[_DT_HASH]))[0]
        return number
    if _DT_GNU_HASH not in tags:
        return 0
    place = _place(loads, tags[_DT_GNU_HASH])
    buckets, first, bloom = struct.unpack_from(order + "III", data, place)
    place += 16 + bloom * (8 if wide else 4)
    last: int = max(struct.unpack_from(f"{order}{buckets}I", data, place), default=0)
    if last < first:
        return int(first)  # it offers none: those that it wants come first
    chain = place + 4 * buckets - 4 * first
    while not struct.unpack_from(order + "I", data, chain + 4 * last)[0] & 1:
        last += 1
    return last + 1


_Dynamic = tuple[str, bool, list[tuple[int, int, int]], dict[int, int], int]


def _dynamic(data: mmap.mmap | bytes) -> _Dynamic:
    """Give the byte order, whether it is a 64-bit file, its loaded segments, its dynamic tags, and where the last segment ends."""
    if data[:4] != b"\x7fELF":
        return "<", True, [], {}, 0
    order = "<" if data[5] == 1 else ">"
    wide = data[4] == 2
    at, entry, count = struct.unpack_from(order + ("32xQ14xHH" if wide else "28xI10xHH"), data)
    loads: list[tuple[int, int, int]] = []
    dynamic = b""
    for number in range(count):
        if wide:
            kind, offset, address, size = struct.unpack_from(order + "I4xQQ8xQ", data, at + entry * number)
        else:
            kind, offset, address, size = struct.unpack_from(order + "III4xI", data, at + entry * number)
        if kind == 1:
            loads.append((address, size, offset))
        elif kind == 2:
            dynamic = data[offset : offset + size]
    form = struct.Struct(order + ("QQ" if wide else "II"))
    tags = dict(form.iter_unpack(dynamic[: len(dynamic) - len(dynamic) % form.size]))
    return order, wide, loads, tags, max((offset + size for _address, size, offset in loads), default=0)


def _read(data: mmap.mmap) -> Versions:
    order, _wide, loads, tags, ends = _dynamic(data)
    if _DT_STRTAB not in tags or ends > len(data):
        return Versions(ends=ends)
    strings = _place(loads, tags[_DT_STRTAB])
    names = data[strings : strings + tags.get(_DT_STRSZ, 0)]

    def text(offset: int) -> bytes:
        return names[offset : names.index(b"\0", offset)]

    needs: list[tuple[bytes, bytes]] = []
    if _DT_VERNEED in tags:
        for place, (_version, number, library, first) in _records(data, _place(loads, tags[_DT_VERNEED]), order + "HHII", 12):
            for _at, (_hash, flags, _other, name) in _records(data, place + first, order + "IHHI", 12, number):
                if not flags & _VER_FLG_WEAK:
                    needs.append((text(library), text(name)))
    offers: set[bytes] = set()
    if _DT_VERDEF in tags:
        for place, (_version, _flags, _index, _count, _hash, first) in _records(
            data, _place(loads, tags[_DT_VERDEF]), order + "HHHHII", 16
        ):
            offers.add(text(struct.unpack_from(order + "I", data, place + first)[0]))
    return Versions(tuple(needs), frozenset(offers), names, ends)


def _records(data: mmap.mmap, place: int, form: str, link: int, most: int = _MAX_RECORDS) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Walk a list whose records say at `link` how far away the next one is, 0 for the last."""
    for _number in range(min(most, _MAX_RECORDS)):
        yield place, struct.unpack_from(form, data, place)
        step = struct.unpack_from(form[0] + "I", data, place + link)[0]
        if not step:
            return
        place += step


def _place(loads: list[tuple[int, int, int]], address: int) -> int:
    for start, length, offset in loads:
        if start <= address < start + length:
            return offset + address - start
    raise ValueError("an address outside the file")
