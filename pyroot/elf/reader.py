"""Read what a program loader reads of an ELF file, and nothing else.

Decides: how one file is read. Does not decide where libraries are found (`search`) nor what belongs to a
program (`closure`). Source of the facts: elf(5); the System V ABI, chapter "Dynamic Linking"; what the kernel
and ld.so do: they use the program headers only, so section headers may be stripped or damaged.
"""
from __future__ import annotations

import mmap
import os
import stat
import struct

from pyroot.plain import record

ET_EXEC = 2
ET_DYN = 3

EM_386 = 3
EM_X86_64 = 62
EM_AARCH64 = 183

MACHINES = {
    2: "SPARC", 3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC64", 22: "S/390", 40: "ARM", 43: "SPARC64",
    62: "x86_64", 183: "aarch64", 243: "RISC-V", 258: "LoongArch",
}

DF_1_NODEFLIB = 0x800

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL = 0
_DT_NEEDED = 1
_DT_STRTAB = 5
_DT_STRSZ = 10
_DT_SONAME = 14
_DT_RPATH = 15
_DT_RUNPATH = 29
_DT_FLAGS_1 = 0x6FFFFFFB
_DT_AUXILIARY = 0x7FFFFFFD
_DT_FILTER = 0x7FFFFFFF


class ElfError(Exception):
    """A file that is not an ELF file, or one that no loader would accept."""


@record(frozen=True)
class Identity:
    """The part of the header that decides whether a file fits a program."""

    bits: int
    little: bool
    machine: int
    type: int

    def fits(self, other: Identity) -> bool:
        """Tell whether both can be loaded into one process."""
        return (self.bits, self.little, self.machine) == (other.bits, other.little, other.machine)

    def __str__(self) -> str:
        return f"{self.bits}-bit {MACHINES.get(self.machine, f'machine {self.machine}')}"


@record(frozen=True)
class Needed:
    """One library that a file asks for; `optional` for DT_AUXILIARY."""

    name: bytes
    optional: bool = False


@record(frozen=True)
class Elf:
    """What the loaders see of one file; texts are bytes exactly as the file has them."""

    identity: Identity
    interp: bytes | None = None
    needed: tuple[Needed, ...] = ()
    soname: bytes | None = None
    rpath: bytes | None = None
    runpath: bytes | None = None
    flags_1: int = 0
    dynamic: bool = False


def identity_of(head: bytes) -> Identity | None:
    """Decode the first 20 bytes of a file; None if they are not those of an ELF file."""
    if len(head) < 20 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    little = head[5] == 1
    kind, machine = struct.unpack_from("<HH" if little else ">HH", head, 16)
    return Identity(32 * head[4], little, machine, kind)


def read_head(path: str | bytes, size: int = 20) -> bytes:
    """Read the first bytes of a regular file.

    Raises OSError as open(2) does, and EINVAL for anything but a regular file (which is not opened then, so that
    a FIFO cannot block and a device has no side effect).
    """
    fd = _open_regular(path)
    try:
        return os.read(fd, size)
    finally:
        os.close(fd)


def read_elf(path: str | bytes) -> Elf:
    """Read one ELF file. Raises OSError if it cannot be read, ElfError if it is not a sound ELF file."""
    fd = _open_regular(path)
    try:
        try:
            data = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise ElfError("the file is empty") from None
    finally:
        os.close(fd)
    with data:
        identity = identity_of(data[:20])
        if identity is None:
            raise ElfError("not an ELF file")
        try:
            return _read(data, identity)
        except (ElfError, MemoryError):
            raise
        except Exception as error:  # a damaged file makes the parser fail in every way there is
            # (what the parser itself says is about its buffers)
            why = str(error) if isinstance(error, ValueError) and str(error) else "its headers name places that it does not have"
            raise ElfError(f"damaged ELF file: {why}") from error


def _open_regular(path: str | bytes) -> int:
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(22, "not a regular file", path)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def _read(data: mmap.mmap, identity: Identity) -> Elf:
    interp: bytes | None = None
    dynamic: bytes | None = None
    loads: list[tuple[int, int, int]] = []
    for kind, offset, address, size in segments(data, identity):
        if kind == _PT_INTERP and interp is None:
            interp = data[offset : offset + size].split(b"\0", 1)[0]
        elif kind == _PT_DYNAMIC and dynamic is None:
            dynamic = data[offset : offset + size]
        elif kind == _PT_LOAD:
            loads.append((address, size, offset))
    if dynamic is None:
        return Elf(identity, interp=interp)
    return _decode_dynamic(data, identity, interp, dynamic, loads)


def segments(data: mmap.mmap, identity: Identity) -> list[tuple[int, int, int, int]]:
    """List the program headers: kind, place in the file, address, size in the file. Raises struct.error for a file that is cut off."""
    order, wide = "<" if identity.little else ">", identity.bits == 64
    if len(data) < (64 if wide else 52):
        raise ElfError("the file is too short for an ELF header")
    at, size, count = struct.unpack_from(order + ("32xQ14xHH" if wide else "28xI10xHH"), data)
    form = struct.Struct(order + ("I4xQQ8xQ" if wide else "III4xI"))
    if count and size < (56 if wide else 32):
        raise ElfError("damaged ELF file: program headers of a wrong size")
    return [form.unpack_from(data, at + size * number) for number in range(count)]


def _decode_dynamic(
    data: mmap.mmap, identity: Identity, interp: bytes | None, dynamic: bytes, loads: list[tuple[int, int, int]]
) -> Elf:
    form = struct.Struct(("<" if identity.little else ">") + ("QQ" if identity.bits == 64 else "II"))
    tags: list[tuple[int, int]] = []
    for tag, value in form.iter_unpack(dynamic[:len(dynamic) - len(dynamic) % form.size]):
        if tag == _DT_NULL:
            break
        tags.append((tag, value))
    single = dict(tags)
    strings = _string_table(data, loads, single.get(_DT_STRTAB), single.get(_DT_STRSZ))

    def text(tag: int) -> bytes | None:
        return _string(strings, single[tag]) if tag in single else None

    needed = tuple(
        Needed(_string(strings, value), tag == _DT_AUXILIARY)
        for tag, value in tags if tag in (_DT_NEEDED, _DT_AUXILIARY, _DT_FILTER)
    )
    runpath = text(_DT_RUNPATH)
    return Elf(
        identity, interp=interp, needed=needed, soname=text(_DT_SONAME), runpath=runpath,
        rpath=text(_DT_RPATH) if runpath is None else None,  # ld.so ignores DT_RPATH if there is a DT_RUNPATH
        flags_1=single.get(_DT_FLAGS_1, 0), dynamic=True,
    )


def _string_table(data: mmap.mmap, loads: list[tuple[int, int, int]], address: int | None, size: int | None) -> bytes:
    if address is None:
        return b""
    for start, length, offset in loads:
        if start <= address < start + length:
            begin = offset + address - start
            end = offset + length
            return data[begin:end if size is None else min(end, begin + size)]
    raise ElfError("the dynamic string table lies outside the file")


def _string(strings: bytes, offset: int) -> bytes:
    end = strings.find(b"\0", offset)
    if offset >= len(strings) or end < 0:
        raise ElfError("a dynamic string lies outside its table")
    return strings[offset:end]
