"""The system call table: complete, generated as checked in, and with a handler in the core for every row."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from pyroot.syscalls import generate
from pyroot.syscalls.numbers_x86_64 import AUDIT_ARCH, NUMBERS
from pyroot.syscalls.table import REVIEWED, ROWS, Row

PROJECT = Path(__file__).resolve().parent.parent
CORE = PROJECT / "pyroot" / "_fast"
HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")

# Numbers that Linux gave away and under which it has (or on x86_64 always had) nothing: the kernel answers ENOSYS, as we do.
EMPTY = {
    "uselib", "_sysctl", "create_module", "get_kernel_syms", "query_module", "nfsservctl", "getpmsg", "putpmsg",
    "afs_syscall", "tuxcall", "security", "vserver",
}  # fmt: skip

needs_source = pytest.mark.skipif(not CORE.is_dir(), reason="no source tree here")

ALLOW, TRACE, NOT_THERE = generate.RET_ALLOW, generate.RET_TRACE, generate.RET_ERRNO | generate.ENOSYS
NOWHERE = 0x7F0000001000  # an instruction pointer of the guest's own


def verdict(number: int, *args: int, ip: int = NOWHERE, arch: int = AUDIT_ARCH) -> int:
    """Run the filter over one call, as the kernel does (seccomp(2), struct seccomp_data), and return what it says."""
    data = struct.pack("<IIQ6Q", number, arch, ip, *args, *[0] * (6 - len(args)))
    program = generate.filter_program()
    accumulator = at = 0
    while True:
        code, true, false, value = program[at]
        at += 1
        if code == generate.LD:
            [accumulator] = struct.unpack_from("<I", data, value)
        elif code == generate.JA:
            at += value
        elif code == generate.RET:
            return value
        else:
            holds = {
                generate.JEQ: accumulator == value, generate.JGE: accumulator >= value, generate.JSET: bool(accumulator & value),
            }[code]  # fmt: skip
            at += true if holds else false


@needs_source
def test_tables_are_what_the_generator_makes() -> None:
    written = (CORE / "tables.h").read_text(encoding="ascii")
    assert written == generate.render(), "run: python -m pyroot.syscalls.generate"


def test_every_call_is_decided_once() -> None:
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
    assert not set(names) & REVIEWED
    assert set(names) | REVIEWED == set(NUMBERS)
    assert len(set(NUMBERS.values())) == len(NUMBERS)


@needs_source
def test_every_handler_is_in_the_core() -> None:
    text = (CORE / "misc.pxi").read_text()
    [body] = re.findall(r"^cdef void handlers_fill\(\).*:\n((?:    .*\n)+)", text, re.MULTILINE)
    filled = dict(re.findall(r"handlers\[H_(\w+)\] = (\w+)\n", body))
    assert set(filled) == {row.handler.upper() for row in ROWS} - {"REFUSE"}
    [room] = re.findall(r"^cdef Handler handlers\[(\d+)\]", text, re.MULTILINE)
    assert len(filled) + 2 <= int(room), "H_NONE and H_REFUSE have a place too"
    parts = "".join(path.read_text() for path in CORE.glob("*.pxi"))
    for name in filled.values():
        assert f"cdef int {name}(Tracee *t, const pyroot_row *row) noexcept nogil:" in parts


@pytest.mark.skipif(not HEADER.exists(), reason="the kernel's headers are not installed (linux-libc-dev)")
def test_numbers_are_the_kernel_s() -> None:
    """Headers may be older or newer than the table; what a newer kernel adds does not exist for guests until it is reviewed."""
    found = re.findall(r"^#define __NR_(\w+)\s+(\d+)$", HEADER.read_text(), re.MULTILINE)
    header = {name: int(number) for name, number in found}
    assert len(header) > 300
    assert {name: number for name, number in NUMBERS.items() if header.get(name, number) != number} == {}
    newest = max(NUMBERS.values())
    assert {name for name, number in header.items() if number <= newest} - set(NUMBERS) <= EMPTY


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_makes_sense(row: Row) -> None:
    assert all(-1 <= place <= 5 for place in (row.path, row.dirfd, row.path2, row.dirfd2, row.flags))
    assert row.final in ("follow", "nofollow", "create", "flag", "open")
    assert row.default in ("follow", "nofollow")
    assert row.remove in ("", "dir", "file", "flag")
    assert row.dirfd < 0 or row.path >= 0, "a directory without a path"
    assert row.final not in ("flag", "open") or row.flags >= 0, "which argument holds the flags?"
    assert (row.final == "flag") == bool(row.bit), "the flag that decides, and only where one does"
    assert (row.handler == "refuse") == bool(row.refuse)
    if row.handler in ("path", "open", "readlink"):
        assert row.path >= 0


def test_filter_treats_every_number_as_its_row_says() -> None:
    rows = {row.name: row for row in ROWS}
    names = {number: name for name, number in NUMBERS.items()}
    for number in range(max(names) + 40):
        name = names.get(number, "")
        row = rows.get(name)
        expected = NOT_THERE if not name else ALLOW if row is None else generate.RET_ERRNO | row.refuse if row.refuse else TRACE
        if row is not None and row.when:
            kind, argument, value = row.when
            if kind == "listing":
                assert verdict(number) == generate.LISTING_MARK, name
                continue
            assert verdict(number, *[0] * 6) == ALLOW, name
            args = [0] * 6
            args[argument] = {"any": value, "nonzero": 1 << 40, "supervisor": generate.SUPERVISOR_MARK, "dumpable": 4}[kind]
            assert verdict(number, *args) == expected, name
        else:
            assert verdict(number) == expected, name
        loader = row is not None and row.loader and row.when is None
        assert verdict(number, ip=generate.LOADER_TEXT) == (ALLOW if loader else verdict(number)), name
        assert verdict(number, ip=generate.LOADER_INFO) == verdict(number), name


@pytest.mark.parametrize("number", [0x40000000, 0x40000000 | 257, 0xFFFFFFFE, 1 << 20])
def test_filter_knows_no_other_numbers(number: int) -> None:
    """Those of x32 are ours with bit 30 set; the guest has none of them."""
    assert verdict(number) == NOT_THERE


@pytest.mark.parametrize("arch", [0x40000003, 0xC00000B7, 0])
def test_filter_knows_no_other_architecture(arch: int) -> None:
    """Not the 32-bit calls, which any 64-bit program can make: their numbers mean something else."""
    assert {verdict(number, arch=arch) for number in (0, 5, 257)} == {NOT_THERE}
