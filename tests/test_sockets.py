"""What a guest sees of AF_UNIX sockets is what the kernel shows in a real chroot: names, lengths, errors.

The guest program (guest/sockets*.c) prints a line for each answer.  `guest/sockets.expected` holds what a real chroot
answered; where the suite is root the real chroot is asked again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import compile_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

GUEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")
SOURCES = ["sockets.c", "sockets_mail.c", "sockets_errors.c"]


@pytest.fixture(params=["short", "long"])
def ground(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make a root and a directory to bind; in the long case no host path fits into a socket address."""
    probe = compile_program([os.path.join(GUEST, name) for name in SOURCES], "-static", name="sockets")
    top = tempfile.mkdtemp(prefix="pyroot-sock-", dir=helpers.short_place())
    os.chmod(top, 0o755)
    base = top if request.param == "short" else f"{top}/{'l' * 120}"
    for directory in ("root", "root/w", "root/b", "root/proc", "host"):
        os.makedirs(f"{base}/{directory}")
    shutil.copy(probe, f"{base}/root/sockets")
    if os.geteuid() == 0:
        for directory in ("root", "root/w", "host"):
            os.chown(f"{base}/{directory}", helpers.NOBODY, helpers.NOBODY)
    yield base
    shutil.rmtree(top, ignore_errors=True)


def bindings_of(base: str) -> list[tuple[str, str]]:
    """Return what is bound where."""
    return [(f"{base}/host", "/b"), ("/proc", "/proc")]


def expected_lines() -> list[str]:
    """Return the answers of a real chroot, as they are kept."""
    with open(os.path.join(GUEST, "sockets.expected")) as file:
        return file.read().splitlines()


def first_differences(lines: list[str], expected: list[str]) -> list[tuple[int, str, str]]:
    """Return number, line and expected line of the first differences."""
    pairs = [(a, b) for a, b in zip([*lines, "(nothing)"], [*expected, "(nothing)"], strict=False)]
    return [(number, a, b) for number, (a, b) in enumerate(pairs, 1) if a != b][:8]


def test_socket_names_are_as_in_a_real_chroot(run_pyroot: Callable[..., Result], ground: str) -> None:
    words = ["-r", f"{ground}/root"]
    for host, guest in bindings_of(ground):
        words += ["-b", f"{host}:{guest}"]
    result = run_pyroot([*words, "-w", "/", "/sockets"])
    assert first_differences(result.stdout.splitlines(), expected_lines()) == []
    assert (result.status, result.stderr) == (0, "")


def test_kept_answers_are_those_of_this_kernel(real_chroot: Callable[..., Result], ground: str) -> None:
    result = real_chroot(f"{ground}/root", ["/sockets"], bindings_of(ground))
    assert first_differences(result.stdout.splitlines(), expected_lines()) == []
    assert (result.status, result.stderr) == (0, "")
