"""A program that starts threads before it looks at any file is answered inside as others are (pyroot/_fast/gate/gate_threads.pxi)."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.test_gate import PROGRAMS, Ground, ground, numbers, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

__all__ = ["ground"]

PYTHON = """
import os, sys, threading, time
ended = threading.Event()
threading.Thread(target=ended.wait).start()
for i in range(400):
    os.stat("/etc/passwd")
    os.close(os.open("/etc/passwd", os.O_RDONLY))
ended.set()
"""


@pytest.fixture(scope="module")
def program(ground: Ground) -> str:
    """Put the program into the root; return its name there."""
    try:
        shutil.copy(compile_program([f"{PROGRAMS}/threads_first.c"], "-static", "-pthread", name="threads_first"), f"{ground.root}/first")
    except BuildError as error:
        pytest.skip(str(error))
    return "/first"


@pytest.mark.parametrize("threads, signals", [(1, 0), (8, 0), (4, 1)])
def test_answers_are_those_of_calls_that_stop(run_pyroot: Callable[..., Result], ground: Ground, program: str, threads: int,
                                              signals: int) -> None:  # fmt: skip
    words = [*words_of(ground, bind=False), program, str(threads), "200", str(signals)]
    inside, stopping = run_pyroot(words), run_pyroot(words, environment={"PYROOT_NO_GATE": "1"})
    assert inside.stdout.endswith("others 0\n") and inside.status == 0, inside
    assert inside.stdout == stopping.stdout
    if not signals:                          # (each of them stops)
        # what meets "..", or a file in place of a directory, stops each time
        assert numbers(inside)[0] < numbers(stopping)[0] * 0.4
    assert numbers(inside)[1] >= 8


def test_answers_are_those_of_a_real_chroot(run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result], ground: Ground,
                                            program: str) -> None:  # fmt: skip
    words = [program, "4", "100", "0"]
    assert run_pyroot([*words_of(ground, bind=False), *words]).stdout == real_chroot(ground.root, words).stdout


def test_children_have_the_sites_of_their_parent(run_pyroot: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory) -> None:
    """An interpreter of the host's, which is linked with the C library as a library."""
    words = ["--stats", "-r", "/", "-w", "/", os.path.realpath(sys.executable), "-IS", "-c", PYTHON]
    plain = run_pyroot([*words[:-1], "import threading"])
    assert helpers.run(words[5:]).status == 0
    done = run_pyroot(words)
    assert done.status == 0, done
    if numbers(plain)[1] >= 1:               # (elsewhere the gate is off)
        assert numbers(done)[0] < numbers(plain)[0] + 400


@pytest.mark.parametrize("name", ["PYROOT_NO_SECCOMP", "PYROOT_NO_HANDOVER"])
def test_where_nothing_is_led_or_somebody_else_leads(run_pyroot: Callable[..., Result], pyroot_words: list[str], ground: Ground,
                                                     program: str, name: str) -> None:  # fmt: skip
    words = [*words_of(ground, bind=False), program, "2", "20", "0"]
    if name == "PYROOT_NO_HANDOVER":
        words = ["-r", "/", "-w", "/", *pyroot_words, *words]
    done = run_pyroot(words, environment={"PATH": os.environ["PATH"], name: "1"})
    assert done.status == 0 and done.stdout.endswith("others 0\n"), done
