"""Calls that pyroot answers inside the guest (pyroot/guest/gate.c) look to programs like those that stop.

The programs make their calls from places of the form that is led through the gate. What they see is compared with a real chroot
where the suite is root, and with a run without the gate everywhere; ``--stats`` says that the gate was in use.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
NAMES = ("gate_probe",)
ATTRIBUTE = "user.gate"


@dataclass(frozen=True)
class Ground:
    """The root that the programs run in, and what is bound there."""

    root: str
    bindings: list[tuple[str, str]]
    missing: tuple[str, str]


def fill_root(base: str) -> None:
    """Make the tree that gate_probe.c walks through."""
    for directory in ("root", "root/d", "root/d/b", "root/d/e", "root/closed", "root/b", "root/m", "root/m/n", "root/proc", "root/tmp"):
        os.mkdir(f"{base}/{directory}")
    for host in ("b", "n", "g", "e"):
        os.mkdir(f"{base}/{host}")
        os.mkdir(f"{base}/{host}/d")
        for link, text in (("out", "/f"), ("back", "../f"), ("in", "d/f"), ("d/up", "../f"), ("d/far", "../../f")):
            os.symlink(text, f"{base}/{host}/{link}")
    for file in ("root/f", "root/mf", "root/d/f", "root/d/...", "root/...", "root/..d", "root/closed/f", "root/b/hidden", "one",
                 *(f"{host}/{file}" for host in "bnge" for file in ("f", "d/f"))):
        with open(f"{base}/{file}", "w") as output:
            output.write(f"contents of {file}\n")
    for link, text in (("link", "f"), ("alink", "/f"), ("dlink", "d"), ("adlink", "/d"), ("dangling", "nothing"), ("loop", "loop"), ("up", "../f"),
                       ("d/up", "../f"), ("d/far", "../../f"), ("d/self", "."), ("d/parent", ".."), ("d/into", "../b/f"), ("d/abs", "/b/f"), ("d/slash", "f/"),
                       ("chain", "chain2"), ("chain2", "d/up"), ("dup", "d/./"), ("d/e/two", "../../f"), ("d/e/dots", "./.././up"), ("via", "m/n/f"),
                       ("tolink", "dlink/up"), ("d/name", "f"), ("many", "d/parent/d/self/up"), ("empty", "d//up")):
        os.symlink(text, f"{base}/root/{link}")
    os.mkfifo(f"{base}/root/fifo")
    try:
        os.setxattr(f"{base}/root/f", ATTRIBUTE, b"value")
        os.setxattr(f"{base}/root/d/f", ATTRIBUTE, b"other")
    except OSError:
        # without attributes the calls have an error to tell
        pass


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """Make a root with the programs, and directories that are bound into it."""
    base = tempfile.mkdtemp(prefix="pyroot-gate-")
    os.chmod(base, 0o755)
    fill_root(base)
    try:
        for name in NAMES:
            shutil.copy(compile_program([f"{PROGRAMS}/{name}.c"], "-static", "-pthread", name=name), f"{base}/root/{name}")
    except BuildError as error:
        pytest.skip(str(error))
    if os.geteuid() == 0:
        for directory, names, files in os.walk(base):
            for name in [".", *names, *files]:
                os.chown(f"{directory}/{name}", helpers.NOBODY, helpers.NOBODY, follow_symlinks=False)
    os.chmod(f"{base}/root/closed", 0)
    yield Ground(f"{base}/root", [(f"{base}/b", "/b"), (f"{base}/n", "/m/n"), (f"{base}/one", "/mf"), (f"{base}/e", "/d/b")], (f"{base}/g", "/g/n"))
    os.chmod(f"{base}/root/closed", 0o755)
    shutil.rmtree(base, ignore_errors=True)


def words_of(ground: Ground, *, bind: bool = True) -> list[str]:
    words = ["-r", ground.root, "-w", "/", "--stats"]
    for host, guest in [*ground.bindings, ground.missing] if bind else []:
        words += ["-b", f"{host}:{guest}"]
    return words


def numbers(result: Result) -> tuple[int, int]:
    """Return how many calls stopped, and how many sites were led through the gate."""
    stops = re.search(r"^pyroot: (\d+) stops", result.stderr, re.M)
    sites = re.search(r"inside the guests: (\d+) sites", result.stderr)
    assert stops and sites, result.stderr
    return int(stops[1]), int(sites[1])


def checked(result: Result) -> list[str]:
    """Return the lines of a program that ended as it should and had nothing to complain about."""
    lines = result.stdout.splitlines()
    bad = [line for line in lines if line.startswith("BAD")]
    assert not bad, f"{len(bad)} complaints: " + "; ".join(bad[:12])
    assert result.status == 0 and lines and lines[-1].startswith("done 0"), (result.status, lines[-3:], result.stderr[-600:])
    return lines


def differences(left: list[str], right: list[str]) -> list[tuple[str, str]]:
    assert len(left) == len(right)
    return [pair for pair in zip(left, right) if pair[0] != pair[1]]


def test_calls_in_the_gate_tell_what_others_tell_and_change_nothing_else(
    run_pyroot: Callable[..., Result], ground: Ground
) -> None:
    inside = run_pyroot([*words_of(ground), "/gate_probe"])
    lines = checked(inside)
    assert numbers(inside)[1] >= 16, inside.stderr
    outside = run_pyroot([*words_of(ground), "/gate_probe"], environment={"PYROOT_NO_GATE": "1"})
    assert numbers(outside)[1] == 0
    assert differences(lines, checked(outside)) == []


def test_calls_in_the_gate_tell_what_a_chroot_tells(
    run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result], ground: Ground
) -> None:
    inside = checked(run_pyroot([*words_of(ground), "/gate_probe"]))
    real = checked(real_chroot(ground.root, ["/gate_probe"], ground.bindings))
    # what lies above a mount point that the root lacks, is pyroot's own
    assert [pair for pair in differences(inside, real) if '"g' not in pair[0] and '"/g' not in pair[0]] == []
