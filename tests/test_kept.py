"""What stays in every guest, and from where calls are exempt: nobody gets memory of their own in its place.

Tried with the kernel's seals (Linux 6.10) and where it refuses them, which is what older ones are like.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import struct
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError
from tests.strace_oracle import compile_probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

HEADER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pyroot", "guest", "loader.h")
ARENA_SIZE = 0x100000
NR_MSEAL, ENOSYS = 462, 38
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
WAYS = {"gate": {}, "stops": {"PYROOT_NO_GATE": "1"}, "no-seccomp": {"PYROOT_NO_SECCOMP": "1"}}


def place(name: str) -> int:
    """Return an address or a size of the loader's header."""
    with open(HEADER, encoding="ascii") as file:
        found = re.search(rf"#define {name}\s+(0x[0-9a-f]+)", file.read())
    assert found
    return int(found[1], 16)


def without_seals() -> None:
    """Become the ordinary user under a filter that answers mseal as older kernels do."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("<HBBI", *insn) for insn in (
        (0x20, 0, 0, 0), (0x15, 0, 1, NR_MSEAL), (0x06, 0, 0, 0x00050000 | ENOSYS), (0x06, 0, 0, 0x7FFF0000)))
    room = ctypes.create_string_buffer(code)
    program = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(room))
    helpers.drop_to_ordinary_user()
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) == 0


@pytest.fixture
def root(guest_directory: str) -> str:
    """Make a root with the program that tries."""
    try:
        shutil.copy(compile_probe("kept_probe"), f"{guest_directory}/kept")
    except (BuildError, OSError) as error:
        pytest.skip(f"cannot be compiled: {error}")
    os.mkdir(f"{guest_directory}/proc")
    return guest_directory


def words(root: str) -> list[str]:
    """Return pyroot's arguments for the program."""
    numbers = [hex(place("LOADER_STUBS")), hex(place("LOADER_KEPT")), hex(place("LOADER_ARENA")), hex(ARENA_SIZE)]
    return ["-r", root, "-b", "/proc", "-w", "/", "/kept", *numbers, HEADER]


@pytest.mark.parametrize("seals", [True, False], ids=["seals", "no-seals"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_takes_the_place_of_what_stays(run_pyroot: Callable[..., Result], root: str, way: str, seals: bool) -> None:
    """In a process, its children and what they execute; by moving, replacing, protecting, and by writes that ask for no rights."""
    result = run_pyroot(words(root), prepare=helpers.drop_to_ordinary_user if seals else without_seals,
                        environment={"PATH": "/bin", "HOME": "/", **WAYS[way]})
    assert (result.stdout, result.stderr, result.status) == ("kept 0\n", "", 0)


def test_place_of_the_loader_is_known_to_all() -> None:
    """The filter's numbers and the header's are the same, and what is exempt lies side by side."""
    from pyroot.syscalls import generate  # noqa: PLC0415

    assert place("LOADER_GATE") == generate.LOADER_GATE
    assert place("LOADER_TEXT") == generate.LOADER_TEXT
    assert place("LOADER_TEXT") + place("LOADER_TEXT_SIZE") == generate.LOADER_TEXT_END == place("LOADER_STUBS") + place("LOADER_KEPT")
    assert place("LOADER_GATE") + place("LOADER_GATE_SIZE") == place("LOADER_TEXT")


@pytest.mark.parametrize("options", [("-m32",), ("-no-pie", "-fno-pie")], ids=["i386", "int80"])
def test_arena_below_4_gib_stays(run_pyroot: Callable[..., Result], guest_directory: str, options: tuple[str, ...]) -> None:
    """Sealed by the kernel; before Linux 6.10 nobody looks after it, except that children have it."""
    if tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2]) < (6, 10):
        pytest.skip("no mseal(2) before Linux 6.10")
    shutil.copy(compile_probe("kept32_probe", *options), f"{guest_directory}/kept32")
    result = run_pyroot(["-r", guest_directory, "-w", "/", "/kept32", HEADER])
    assert (result.stdout, result.stderr, result.status) == ("open -2, taken 1, got 0, child 0, open -2\n", "", 0)
