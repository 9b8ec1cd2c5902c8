"""Guests that stop at the same time are served in turn: nobody waits while others are served over and over."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.oracle.build import BuildError, compile_program
from tests.probe_root import ENVIRONMENT, PROGRAMS, probe_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

__all__ = ["probe_root"]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def turns_root(probe_root: str) -> str:
    """Put the probe into the root."""
    try:
        shutil.copy(compile_program([f"{PROGRAMS}/turns_probe.c"], "-static", "-pthread", name="turns-probe"), f"{probe_root}/turns")
    except BuildError as error:
        pytest.skip(str(error))
    os.chmod(f"{probe_root}/turns", 0o755)
    return probe_root


@pytest.fixture
def turns(turns_root: str, run_pyroot: Callable[..., Result]) -> Callable[..., str]:
    """Return a function that runs the probe under pyroot and returns what it printed."""

    def call(*words: object, **environment: str) -> str:
        result = run_pyroot(["-r", turns_root, "-w", "/", "-b", "/proc", "/turns", *map(str, words)],
                            environment={**ENVIRONMENT, **environment}, timeout=100)
        assert result.status == 0, result
        return result.stdout

    return call


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_guests_that_all_stop_get_their_turns(turns: Callable[..., str], kind: str) -> None:
    """Sixteen make 60,000 calls together, 3,750 each if all were equal; the first in the kernel's list had nearly all, others ten."""
    counts = re.fullmatch(r"fewest (\d+) most (\d+) wrong 0\n", turns(kind, 16, 60000, PYROOT_NO_GATE="1"))
    assert counts is not None
    fewest, most = map(int, counts.groups())
    assert most <= 30 * fewest


@pytest.mark.parametrize("environment", [{}, {"PYROOT_NO_SECCOMP": "1"}], ids=["filter", "without"])
def test_execve_of_a_thread_while_stops_of_its_leader_wait(turns: Callable[..., str], environment: dict[str, str]) -> None:
    """The thread takes the leader's number: a stop of the dead leader that waits for its turn is not taken for one of the new program."""
    assert turns("exec", 6, 60, **environment) == "executed, wrong 0\n"


def test_guests_that_are_stopped_among_many_that_stop(turns: Callable[..., str]) -> None:
    """A stop by a signal that waits for its turn is one already, for /proc and for waits."""
    assert turns("stopped", 12) == "seen 24 wrong 0\n"
