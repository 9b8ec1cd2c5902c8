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

from pyroot.guest.layout import X86_64 as PLACES
from pyroot.guest.layout import Shared
from pyroot.syscalls import filters
from tests import helpers
from tests.oracle.build import BuildError
from tests.strace_oracle import compile_probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

OUTSIDE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pyproject.toml")
NR_MSEAL, ENOSYS = 462, 38
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
WAYS = {"gate": {}, "stops": {"PYROOT_NO_GATE": "1"}, "no-seccomp": {"PYROOT_NO_SECCOMP": "1"}}


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
    numbers = [hex(number) for number in (PLACES.LOADER_STUBS, PLACES.LOADER_KEPT, PLACES.LOADER_ARENA, Shared.ARENA_SIZE)]
    return ["-r", root, "-b", "/proc", "-w", "/", "/kept", *numbers, OUTSIDE]


@pytest.mark.parametrize("seals", [True, False], ids=["seals", "no-seals"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_takes_the_place_of_what_stays(run_pyroot: Callable[..., Result], root: str, way: str, seals: bool) -> None:
    """In a process, its children and what they execute; by moving, replacing, protecting, and by writes that ask for no rights."""
    result = run_pyroot(words(root), prepare=helpers.drop_to_ordinary_user if seals else without_seals,
                        environment={"PATH": "/bin", "HOME": "/", **WAYS[way]})
    assert (result.stdout, result.stderr, result.status) == ("kept 0\n", "", 0)


def test_what_is_exempt_lies_side_by_side() -> None:
    """The gate, and the loader's text up to the end of what stays."""
    assert PLACES.LOADER_GATE + PLACES.LOADER_GATE_SIZE == PLACES.LOADER_TEXT
    assert filters.LOADER_TEXT_END == PLACES.LOADER_STUBS + PLACES.LOADER_KEPT


@pytest.mark.parametrize("options", [("-m32",), ("-no-pie", "-fno-pie")], ids=["i386", "int80"])
def test_arena_below_4_gib_stays(run_pyroot: Callable[..., Result], guest_directory: str, options: tuple[str, ...]) -> None:
    """Sealed by the kernel; before Linux 6.10 nobody looks after it, except that children have it."""
    if tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2]) < (6, 10):
        pytest.skip("no mseal(2) before Linux 6.10")
    shutil.copy(compile_probe("kept32_probe", *options), f"{guest_directory}/kept32")
    result = run_pyroot(["-r", guest_directory, "-w", "/", "/kept32", OUTSIDE])
    assert (result.stdout, result.stderr, result.status) == ("open -2, taken 1, got 0, child 0, open -2\n", "", 0)
