"""The system call table: complete, generated as checked in, and with a handler in the core for every row."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from pyroot.syscalls import features, filters, render
from pyroot.syscalls.numbers_x86_64 import AUDIT_ARCH, NUMBERS
from pyroot.syscalls.table import BY_DESCRIPTOR, EFFECTS, REVIEWED, ROWS, Row
from pyroot.syscalls.table_i386 import REVIEWED_I386, ROWS_I386

PROJECT = Path(__file__).resolve().parent.parent
CORE = PROJECT / "pyroot" / "_fast"
HEADERS = Path("/usr/include/x86_64-linux-gnu/asm")
ABIS = {"unistd_64.h": filters.X86_64, "unistd_32.h": filters.I386}

# Numbers that Linux gave away and under which it has (or on x86_64 always had) nothing: the kernel answers ENOSYS, as we do.
EMPTY = {
    "uselib", "_sysctl", "create_module", "get_kernel_syms", "query_module", "nfsservctl", "getpmsg", "putpmsg",
    "afs_syscall", "tuxcall", "security", "vserver",
    "break", "stty", "gtty", "ftime", "prof", "lock", "mpx", "ulimit", "profil", "idle", "bdflush",
}  # fmt: skip

needs_source = pytest.mark.skipif(not CORE.is_dir(), reason="no source tree here")

ALLOW, TRACE, NOT_THERE = filters.RET_ALLOW, filters.RET_TRACE, filters.RET_ERRNO | filters.ENOSYS
PROGRAM = filters.filter_program()
NOWHERE = 0x7F0000001000  # an instruction pointer of the guest's own


def verdict(
    number: int, *args: int, ip: int = NOWHERE, arch: int = AUDIT_ARCH, on: int = 0, program: list[filters.Insn] = PROGRAM,
    sealing: bool = False,
) -> int:
    """Run the filter over one call, as the kernel does (seccomp(2), struct seccomp_data), and return what it says.

    ``on``: the features that are on, a bit each; ``sealing``: the kernel cannot seal.
    """
    data = struct.pack("<IIQ6Q", number, arch, ip, *args, *[0] * (6 - len(args)))
    accumulator = at = 0
    while True:
        code, true, false, value = program[at]
        at += 1
        if code == filters.LD:
            [accumulator] = struct.unpack_from("<I", data, value)
        elif code == filters.JA:
            at += value
        elif code == filters.RET and value & ~0xFF in (filters.STOP_MARK, filters.PASS_MARK):
            stops = value & ~0xFF == filters.STOP_MARK
            if stops == bool(on >> (value & 0xFF) & 1):
                return TRACE if stops else ALLOW
        elif code == filters.RET and not (sealing and value == filters.SEALING_MARK):
            return value
        elif code == filters.RET:
            continue
        else:
            holds = {
                filters.JEQ: accumulator == value, filters.JGE: accumulator >= value, filters.JSET: bool(accumulator & value),
            }[code]  # fmt: skip
            at += true if holds else false


@needs_source
def test_tables_are_what_the_generator_makes() -> None:
    for name, text in render.OUTPUTS.items():
        assert (CORE.parent / name).read_text(encoding="ascii") == text(), "run: python -m pyroot.syscalls.generate"


def test_every_call_is_decided_once() -> None:
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
    assert not set(names) & REVIEWED
    assert set(names) | REVIEWED == set(NUMBERS)
    assert len(set(NUMBERS.values())) == len(NUMBERS)


def test_every_call_of_i386_is_decided_once() -> None:
    numbers, own = filters.I386.numbers, [row.name for row in ROWS_I386]
    assert len(own) == len(set(own))
    assert set(own) <= set(numbers)
    assert set(filters.I386.rows) | REVIEWED_I386 >= set(numbers)
    # (features want to see some that are reviewed)
    assert not {name for name, row in filters.I386.rows.items() if row.handler != "featured"} & REVIEWED_I386
    assert len(set(numbers.values())) == len(numbers)
    assert all(row.like in NUMBERS for row in filters.I386.rows.values() if not row.refuse and row.handler != "featured")


def test_i386_names_the_calls_that_x86_64_names() -> None:
    """From 424 on all architectures have the same numbers; below, what i386 lacks has a form of its own there."""
    numbers = filters.I386.numbers
    assert {name: number for name, number in NUMBERS.items() if number >= 424} == {
        name: number for name, number in numbers.items() if number >= 424
    }
    assert {row.name for row in ROWS} - set(numbers) == {"accept", "newfstatat"}


@needs_source
def test_every_handler_is_in_the_core() -> None:
    """The generated table names a routine for each handler of a row, and the core has it."""
    assert set(render.handlers()) == {row.handler for row in (*ROWS, *ROWS_I386)} - {"refuse"} | {"featured"}
    parts = "".join(path.read_text() for path in CORE.rglob("*.pxi"))
    for name in render.handlers():
        assert f"cdef int on_{name}(Tracee *t, const pyroot_row *row) noexcept nogil:" in parts, name


def test_handler_that_a_row_names_is_in_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Number and entry in the array follow from the row: nothing else is to be written for them."""
    monkeypatch.setitem(filters.X86_64.rows, "ustat", Row("ustat", "brand_new"))
    assert "H_BRAND_NEW," in render.rows_pxi()
    assert "H_BRAND_NEW," in render.tables()
    assert '[136] = {"ustat", H_BRAND_NEW, ' in render.tables()
    assert "    handlers[H_BRAND_NEW] = on_brand_new\n" in render.handlers_pxi()


def test_numbers_of_guest_code_are_those_of_the_table() -> None:
    text = render.numbers()
    i386, x86_64 = text.split("#else\n")
    for part, numbers in ((i386, filters.I386.numbers), (x86_64, NUMBERS)):
        assert {name: int(number) for name, number in re.findall(r"#define SYS_(\w+) (\d+)\n", part)} == numbers


@pytest.mark.skipif(not HEADERS.is_dir(), reason="the kernel's headers are not installed (linux-libc-dev)")
@pytest.mark.parametrize("name", ABIS)
def test_numbers_are_the_kernel_s(name: str) -> None:
    """Headers may be older or newer than the table; what a newer kernel adds does not exist for guests until it is reviewed."""
    numbers = ABIS[name].numbers
    found = re.findall(r"^#define __NR_(\w+)\s+(\d+)$", (HEADERS / name).read_text(), re.MULTILINE)
    header = {name: int(number) for name, number in found}
    assert len(header) > 300
    assert {name: number for name, number in numbers.items() if header.get(name, number) != number} == {}
    newest = max(numbers.values())
    assert {name for name, number in header.items() if number <= newest} - set(numbers) <= EMPTY


@pytest.mark.parametrize("row", [*ROWS, *ROWS_I386], ids=lambda row: row.name)
def test_row_makes_sense(row: Row) -> None:
    assert all(-1 <= place <= 5 for place in (row.path, row.dirfd, row.path2, row.dirfd2, row.flags))
    assert row.final in ("follow", "nofollow", "create", "flag", "open")
    assert row.default in ("follow", "nofollow")
    assert row.remove in ("", "dir", "file", "flag", "rights")
    assert row.dirfd < 0 or row.path >= 0, "a directory without a path"
    assert row.final not in ("flag", "open") or row.flags >= 0, "which argument holds the flags?"
    assert (row.final == "flag") == bool(row.bit), "the flag that decides, and only where one does"
    assert (row.handler in ("refuse", "kill", "who")) == bool(row.refuse), "one process is refused by the filter, several are looked at"
    if row.handler in ("path", "open", "readlink"):
        assert row.path >= 0


def kept_is_right(abi: filters.Abi, name: str, number: int, argument: int) -> None:
    """Nothing stops where the kernel seals; else what may reach what stays in guests."""
    if abi is filters.I386:
        assert verdict(number, *[1 << 31] * 6, arch=abi.arch, sealing=True) == ALLOW, name
        return
    assert verdict(number) == filters.SEALING_MARK, name
    gate = filters.LOADER_GATE
    for address, size, stops in (
        (0x7F0000000000, 1 << 20, False), (0x400000, 1 << 20, False), (0x400000, 1 << 32, True), (gate, 4096, True),
        (gate & ~0xFFFF, 1, True), (gate - (1 << 30), 1 << 30, True), (0x566E00000000, 1 << 30, False), (0x567100000000, 4096, False),
    ):  # fmt: skip
        if name == "shmat" and size >= 1 << 32:
            continue
        args = [0] * 6
        args[argument:argument + 2] = address, 0 if name == "shmat" else size
        assert verdict(number, *args, sealing=True) == (TRACE if stops else ALLOW), (name, hex(address))
    if name == "mremap":
        assert verdict(number, 0, 4096, 4096, 3, gate, sealing=True) == TRACE


@pytest.mark.parametrize("abi", [filters.X86_64, filters.I386], ids=["x86_64", "i386"])
def test_filter_treats_every_number_as_its_row_says(abi: filters.Abi) -> None:
    rows, arch = abi.rows, abi.arch
    names = {number: name for name, number in abi.numbers.items()}
    for number in range(max(names) + 40):
        name = names.get(number, "")
        row = rows.get(name)
        expected = NOT_THERE if not name else ALLOW if row is None else filters.RET_ERRNO | row.refuse if row.refuse else TRACE
        if row is not None and row.handler == "featured" and not row.when:
            # a feature wants to see it
            on = sum(1 << features.bit(feature) for feature in features.stopping(name, row.effect))
            assert on and verdict(number, arch=arch, on=on) == TRACE, name
            expected = ALLOW
        if row is not None and row.when:
            kind, argument, value = row.when
            if kind in ("never", "copies"):  # its process asks for it, by a filter of its own
                continue
            if kind == "listing":
                assert verdict(number, arch=arch) == ALLOW, name
                assert verdict(number, arch=arch, on=1 << features.bit("listing")) == TRACE, name
                continue
            if kind in ("noting", "duplicates"):
                assert verdict(number, arch=arch) == ALLOW, name
                on = 1 << features.bit("noting")
                for command in range(2048):
                    copies = kind == "noting" or command in (0, 1030)
                    assert verdict(number, 3, command, arch=arch, on=on) == (TRACE if copies else ALLOW), (name, command)
                continue
            if kind == "setflags":
                assert verdict(number, 3, filters.SETFLAGS[0], arch=arch) == ALLOW, name
                on = 1 << features.bit("readonly")
                for request in (*filters.SETFLAGS, 0x5401, 0):
                    assert verdict(number, 3, request, arch=arch, on=on) == (TRACE if request in filters.SETFLAGS else ALLOW), request
                continue
            if kind == "kept":
                kept_is_right(abi, name, number, argument)
                continue
            if kind in ("kill", "who"):
                continue
            assert verdict(number, *[0] * 6, arch=arch) == ALLOW, name
            args = [0] * 6
            hits = {"any": value, "nonzero": 1 << 40, "supervisor": filters.SUPERVISOR_MARK, "prctl": 4, "bits": 3, "advice": value}
            args[argument] = hits[kind]
            assert verdict(number, *args, arch=arch) == expected, name
        else:
            assert verdict(number, arch=arch) == expected, name
        loader = abi.loader_by_ip and row is not None and (row.loader or row.gate) and row.when is None
        assert verdict(number, ip=filters.LOADER_GATE, arch=arch) == (ALLOW if loader else verdict(number, arch=arch)), name
        assert verdict(number, ip=filters.LOADER_GATE - 1, arch=arch) == verdict(number, arch=arch), name
        assert verdict(number, ip=filters.LOADER_TEXT, arch=arch) == (ALLOW if loader else verdict(number, arch=arch)), name
        assert verdict(number, ip=filters.LOADER_TEXT_END, arch=arch) == verdict(number, arch=arch), name


@pytest.mark.parametrize("abi", [filters.X86_64, filters.I386], ids=["x86_64", "i386"])
@pytest.mark.parametrize("feature", [feature for feature in features.FEATURES if feature.calls], ids=lambda feature: feature.name)
def test_calls_of_a_feature_stop_while_it_is_on_and_only_then(abi: filters.Abi, feature: features.Feature) -> None:
    """What is refused stays refused: a feature sees what would pass."""
    for name in set(feature.calls.split()) & set(abi.numbers):
        number, row = abi.numbers[name], abi.rows[name]
        on = 1 << features.bit(feature.name)
        if row.handler == "featured":
            assert verdict(number, arch=abi.arch) == ALLOW, name
        assert verdict(number, 1 << 20, arch=abi.arch, on=on) == TRACE, name
        if row.refuse and row.when and row.when[0] in ("supervisor", "kill"):
            for mark in (filters.SUPERVISOR_MARK, filters.HOLDER_MARK):
                assert verdict(number, mark, arch=abi.arch, on=on) == filters.RET_ERRNO | row.refuse, name


@pytest.mark.parametrize("abi", [filters.X86_64, filters.I386], ids=["x86_64", "i386"])
def test_filter_of_copies_stops_what_tells_of_descriptors(abi: filters.Abi) -> None:
    """By a filter of their own, in processes that have opened a text of /proc; nothing else stops by it, and nothing that the gate asks."""
    program = filters.filter_program(filters.COPY_KINDS)
    numbers, arch = abi.numbers, abi.arch
    always = {"fstat", "fstatfs", "fchmod", "fstat64", "fstatfs64", "oldfstat"} & set(numbers)
    seeks = {"lseek": 2, "_llseek": 4}
    for name, number in numbers.items():
        assert verdict(number, arch=arch, program=program) == (TRACE if name in always else ALLOW), name
        if name in seeks:
            for whence in range(8):
                args = [0] * seeks[name] + [whence]
                assert verdict(number, *args, arch=arch, program=program) == (TRACE if whence >= 2 else ALLOW), (name, whence)
    if abi.loader_by_ip:
        assert verdict(numbers["fstat"], ip=filters.LOADER_GATE, program=program) == ALLOW
        assert verdict(numbers["fstat"], ip=filters.LOADER_GATE - 1, program=program) == TRACE


SUPERVISOR = filters.SUPERVISOR_MARK
PROTECTED = {
    "kill": (0,), "tkill": (0,), "tgkill": (0, 1), "rt_sigqueueinfo": (0,), "rt_tgsigqueueinfo": (0, 1), "prlimit64": (0,),
    "sched_setparam": (0,), "sched_setscheduler": (0,), "sched_setattr": (0,), "migrate_pages": (0,), "move_pages": (0,),
    "get_robust_list": (0,), "kcmp": (0, 1),
}


@pytest.mark.parametrize("abi", [filters.X86_64, filters.I386], ids=["x86_64", "i386"])
@pytest.mark.parametrize("view", [False, True], ids=["whole", "of a view"])
def test_filter_keeps_calls_from_the_supervisor(abi: filters.Abi, view: bool) -> None:
    """Wherever one process is named; all others, and the upper half of the register, do not matter."""
    program = filters.filter_program(filters.VIEW_KINDS) if view else PROGRAM
    refused, arch = filters.RET_ERRNO | errno.EPERM, abi.arch
    for name, places in PROTECTED.items():
        for at in places:
            args = [7] * 6
            args[at] = SUPERVISOR
            assert verdict(abi.numbers[name], *args, arch=arch, program=program) == refused, (name, at)
            args[at] |= 0x100000000
            assert verdict(abi.numbers[name], *args, arch=arch, program=program) == refused, (name, at)
        assert verdict(abi.numbers[name], *[7] * 6, arch=arch, program=program) == ALLOW, name
    for name, process in (("setpriority", 0), ("ioprio_set", 1)):
        for which in range(process + 4):
            expected = refused if which == process else TRACE if which > process else ALLOW
            assert verdict(abi.numbers[name], which, SUPERVISOR, arch=arch, program=program) == expected, (name, which)
            expected = ALLOW if which <= process else TRACE
            assert verdict(abi.numbers[name], which, 7, arch=arch, program=program) == expected, (name, which)


@pytest.mark.parametrize("abi", [filters.X86_64, filters.I386], ids=["x86_64", "i386"])
def test_filter_lets_nobody_have_a_deadly_signal_sent_to_an_owner(abi: filters.Abi) -> None:
    """fcntl(F_SETSIG): the owner may be the supervisor, which takes SIGKILL, SIGSTOP and faults for what they say."""
    for name in {"fcntl", "fcntl64"} & set(abi.numbers):
        for number in range(66):
            deadly = number in (4, 5, 7, 8, 9, 11, 19, 31)
            expected = filters.RET_ERRNO | errno.EINVAL if deadly else ALLOW
            assert verdict(abi.numbers[name], 3, 10, number, arch=abi.arch) == expected, (name, number)


@pytest.mark.parametrize("abi", [filters.X86_64, filters.I386], ids=["x86_64", "i386"])
def test_filter_stops_what_nobody_catches_for_several_processes(abi: filters.Abi) -> None:
    for target in (0, -1 & 0xFFFFFFFF, -7 & 0xFFFFFFFF, 0x80000000, 1, 7):
        for number in range(66):
            stops = number in (9, 19) and target not in (1, 7)
            assert verdict(abi.numbers["kill"], target, number, arch=abi.arch) == (TRACE if stops else ALLOW), (target, number)


def test_filter_stops_the_socketcalls_that_carry_addresses() -> None:
    """socket, bind, connect, listen ... by their numbers in linux/net.h."""
    stopped = [call for call in range(40) if verdict(102, call, arch=filters.I386.arch) == TRACE]
    assert stopped == [2, 3, 5, 6, 7, 11, 12, 16, 17, 18, 19, 20]


@pytest.mark.parametrize("number", [0x40000000, 0x40000000 | 257, 0xFFFFFFFE, 1 << 20])
def test_filter_knows_no_other_numbers(number: int) -> None:
    """Those of x32 are ours with bit 30 set; the guest has none of them."""
    assert verdict(number) == NOT_THERE


def test_filter_leaves_a_skipped_call_alone() -> None:
    """A tracer skips a call by making its number -1: what it has put into the result register stands."""
    assert verdict(0xFFFFFFFF) == ALLOW


@pytest.mark.parametrize("arch", [0x40000028, 0xC00000B7, 0])
def test_filter_knows_no_other_architecture(arch: int) -> None:
    assert {verdict(number, arch=arch) for number in (0, 5, 257)} == {NOT_THERE}


def test_every_call_with_a_path_says_what_it_does_to_the_place() -> None:
    """What follows from the rest of the row is checked against the manual: here as lists."""
    found: dict[str, set[str]] = {effect: set() for effect in EFFECTS}
    for row in ROWS:
        if row.path >= 0 and not row.refuse:
            found[row.effect].add(row.name)
    assert found["write"] == {"truncate"}
    assert found["exec"] == {"execve", "execveat"}
    assert found["enter"] == {"chdir", "chroot"}
    assert found["open"] == {"open", "openat", "openat2", "creat", "open_tree", "open_tree_attr"}
    assert found["name"] == {
        "mkdir", "mkdirat", "mknod", "mknodat", "rmdir", "unlink", "unlinkat", "symlink", "symlinkat", "link", "linkat", "rename",
        "renameat", "renameat2", "bind"}  # fmt: skip
    assert {name for name in found["rights"] if "xattr" in name} == {
        "setxattr", "lsetxattr", "setxattrat", "removexattr", "lremovexattr", "removexattrat"}  # fmt: skip
    assert {name for name in found["look"] if re.search("ch(mod|own)|utime|set|remove", name)} == set()
    assert set(BY_DESCRIPTOR) <= REVIEWED_I386


def test_a_feature_by_effects_stops_all_calls_that_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    one = features.Feature("no_changes", effects="write rights", calls="getppid")
    monkeypatch.setattr(features, "FEATURES", (one,))
    assert features.stopping("truncate", "write") == features.stopping("getppid") == ["no_changes"]
    assert features.stopping("stat", "look") == features.stopping("read") == []
