"""What was looked at is what the kernel gets: another thread that changes the text behind a pointer leads no call outside."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.fuzz.pointers import MILLISECONDS, MODES, MODES32, Outer, outcome
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import PROGRAMS, wide_probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

WAYS: dict[str, dict[str, str]] = {"gate": {}, "stops": {"PYROOT_NO_GATE": "1"}, "no filter": {"PYROOT_NO_SECCOMP": "1"}}
#: The same by a 32-bit program (whose socketcall(2) has its arguments in memory), and inside of another pyroot.
OTHERS = [(mode, way) for way, modes in (("i386", [*MODES, *MODES32]), ("nested", MODES)) for mode in modes]


@pytest.fixture
def root(guest_directory: str) -> str:
    """Make a root with the probe in it."""
    try:
        shutil.copy(compile_program([f"{PROGRAMS}/pointer_probe.c"], "-static", "-pthread", name="pointer"), f"{guest_directory}/pointer")
    except BuildError as error:
        pytest.skip(str(error))
    os.makedirs(f"{guest_directory}/d/d/d/d")
    return guest_directory


def words_of(root: str, way: str) -> list[str]:
    """Return pyroot's words for a way."""
    words = ["-r", root, "-w", "/"]
    if way == "nested":
        return ["-r", "/", "-w", "/", *helpers.pyroot_command()[0], *words]
    if way == "i386":
        shutil.copy(wide_probe("pointer_probe", "-m32"), f"{root}/pointer")
    return words


@pytest.fixture
def outside() -> Iterator[Outer]:
    """Make a directory that no guest of the root can name, with everything in it that the probe looks for."""
    with tempfile.TemporaryDirectory(prefix="o", dir=helpers.short_place()) as path:
        outer = Outer(path, helpers.ordinary_user.uid)
        yield outer
        outer.close()


#: In the gate there is hardly any time between its look and the kernel's.
SHORT_LOOKS = ("open", "lstat", "lstatat")


@pytest.mark.parametrize(("mode", "way"), [*((mode, way) for way in WAYS for mode in MODES), *OTHERS])
def test_what_changes_behind_a_pointer_leads_nowhere(
    run_pyroot: Callable[..., Result], root: str, outside: Outer, mode: str, way: str
) -> None:
    before = outside.state()
    length = MILLISECONDS * (5 if way == "gate" and mode in SHORT_LOOKS else 1)
    words = [*words_of(root, way), "/pointer", mode, str(length), outside.path]
    result = run_pyroot(words, environment={"PATH": "/", **WAYS.get(way, {})})
    calls, met = outcome(mode, result)
    assert calls and met == 0
    assert outside.state() == before
