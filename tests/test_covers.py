"""A file bound over a directory and a directory over a file: the guest sees what is bound, as where both are of one type."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import helpers
from tests.helpers import Result
from tests.rootfs_fixtures import directory_for_user, give, remove

PROBE = Path(__file__).parent / "programs" / "covers.py"
Run = Callable[..., Result]


@pytest.fixture
def top() -> Iterator[Path]:
    """Make the places of bindings, of both types, and what is bound there."""
    place = Path(directory_for_user())
    for name in ("a/d", "a/d2", "bound/d"):
        (place / name).mkdir(parents=True)
    for name in ("a/f", "a/f2", "a/plain", "bound/f", "a/d2/held"):
        (place / name).write_text(name)
    (place / "probe.py").write_bytes(PROBE.read_bytes())
    give(str(place))
    yield place
    remove(str(place))


def asked(run_pyroot: Run, top: Path, directory: str, file: str, options: list[str], variables: dict[str, str]) -> str:
    """Bind a directory and a file over two places, and ask about them."""
    python = helpers.ordinary_user.interpreter[0] or sys.executable
    words = ["-b", f"{top}/bound/d:{top}/a/{directory}", "-b", f"{top}/bound/f:{top}/a/{file}"]
    ended = run_pyroot([*options, *words, python, "-IS", f"{top}/probe.py", f"{top}/a/{directory}", f"{top}/a/{file}"],
                       environment={"PATH": os.defpath, **variables})  # fmt: skip
    assert ended.status == 0, ended
    return ended.stdout


@pytest.mark.parametrize("variables", [{}, {"PYROOT_NO_SECCOMP": "1"}, {"PYROOT_NO_GATE": "1"}], ids=str)
def test_guest_sees_what_is_bound(run_pyroot: Run, pyroot_words: list[str], top: Path, variables: dict[str, str]) -> None:
    alike = asked(run_pyroot, top, "d", "f", [], variables)
    assert "directory listed True False\n" in alike and "file listed False True\n" in alike
    assert asked(run_pyroot, top, "f2", "d2", [], variables) == alike
    assert (top / "a/d2/held").read_text() == "a/d2/held" and (top / "a/f2").read_text() == "a/f2"


def test_guest_of_a_pyroot_inside_sees_what_is_bound(run_pyroot: Run, pyroot_words: list[str], top: Path) -> None:
    variables = helpers.pyroot_command()[1]
    alike = asked(run_pyroot, top, "d", "f", pyroot_words, variables)
    assert asked(run_pyroot, top, "f2", "d2", pyroot_words, variables) == alike
    around = ["-b", f"{top}/bound/d:{top}/a/f2", "-b", f"{top}/bound/f:{top}/a/d2", *pyroot_words]
    assert asked(run_pyroot, top, "d", "f", around, variables) == alike


def test_it_is_told_to_those_who_ask(run_pyroot: Run, top: Path) -> None:
    words = ["-b", f"{top}/bound/d:{top}/a/f2", "-b", f"{top}/bound/f:{top}/a/d2", "-b", f"{top}/bound/f:{top}/a/f", "true"]
    told = [line for line in run_pyroot(["-v", "1", *words]).stderr.splitlines() if "covers" in line]
    assert told == [
        f"pyroot: {top}/a/f2: a binding of a directory covers a file, which mount(8) would refuse",
        f"pyroot: {top}/a/d2: a binding of a file covers a directory, which mount(8) would refuse",
    ]
    assert run_pyroot(words) == Result(0, "", "")
