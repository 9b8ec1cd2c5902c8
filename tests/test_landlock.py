"""Guests put themselves under Landlock, as landrun and other sandboxes do: their rules mean what they mean without pyroot."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import PROGRAMS, wide_probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

WAYS: dict[str, dict[str, str]] = {"gate": {}, "stops": {"PYROOT_NO_GATE": "1"}, "no filter": {"PYROOT_NO_SECCOMP": "1"}}


@pytest.fixture
def directory(guest_directory: str) -> str:
    """Make a directory with two programs: the probe, statically linked, and what it executes."""
    try:
        shutil.copy(compile_program([f"{PROGRAMS}/landlock_probe.c"], "-static", name="landlock"), f"{guest_directory}/landlock")
        shutil.copy(compile_program([f"{PROGRAMS}/process_probe.c"], "-static", "-pthread", name="process"), f"{guest_directory}/process")
    except BuildError as error:
        pytest.skip(str(error))
    os.mkdir(f"{guest_directory}/bin")
    os.rename(f"{guest_directory}/process", f"{guest_directory}/bin/process")
    return guest_directory


def really(words: list[str]) -> Result:
    """Run without pyroot."""
    result = helpers.run(words, prepare=helpers.drop_to_ordinary_user)
    if result.status == 77:
        pytest.skip("this kernel has no Landlock")
    assert result.stdout, result
    return result


@pytest.mark.parametrize("way", WAYS)
def test_rules_of_a_guest_s_own(run_pyroot: Callable[..., Result], directory: str, way: str) -> None:
    """In the root /, where both sides see the same; with programs of the machine, which have an interpreter."""
    for words in ([f"{directory}/landlock", "/usr", "/usr/bin/env", "echo", "executed"],
                  [f"{directory}/landlock", f"{directory}/bin", f"{directory}/bin/process"]):
        real = really(words)
        assert run_pyroot(["-r", "/", "-w", "/", *words], environment=WAYS[way]) == real
    assert "read works\nwrite Permission denied\n" in real.stdout


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("machine", ["-m64", "-m32"])
def test_one_layer_above_another(run_pyroot: Callable[..., Result], directory: str, machine: str, way: str) -> None:
    """A program under a guest's layer makes a second one; 32-bit programs, which make these calls by their own numbers, too."""
    first, second = f"{directory}/landlock", f"{directory}/bin/landlock"
    for program in (first, second):
        shutil.copy(wide_probe("landlock_probe", machine), program)
    words = [first, directory, second, f"{directory}/bin", f"{directory}/bin/process"]
    real = really(words)
    assert run_pyroot(["-r", "/", "-w", "/", *words], environment=WAYS[way]) == real
    assert real.stdout.count("list / Permission denied\nlist it works\n") > 1


@pytest.mark.parametrize("way", WAYS)
def test_rules_in_a_root_of_their_own(run_pyroot: Callable[..., Result], directory: str, way: str) -> None:
    """The rules name files, wherever the root shows them: also what a binding brings."""
    real = really([f"{directory}/landlock", f"{directory}/bin", f"{directory}/bin/process"])
    for where, bindings in (("/bin", []), ("/bound", ["-b", f"{directory}/bin:/bound"])):
        result = run_pyroot(["-r", directory, *bindings, "-w", "/", "/landlock", where, f"{where}/process"], environment=WAYS[way])
        assert result == helpers.Result(real.status, real.stdout.replace(f"{directory}/bin", where), real.stderr)
