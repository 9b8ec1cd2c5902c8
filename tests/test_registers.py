"""No system call of a guest changes a register, its stack or its arguments, whatever pyroot does to carry it out.

The guest program (guest/regs*.c) makes each kind of call with known contents everywhere and compares afterwards.  Where
the suite is root the same program also runs in a real chroot, and the results of all calls have to be the same.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import compile_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

GUEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")
SOURCES = ["regs.c", "regs_check.c", "regs_kinds.c", "regs_signals.c", "regs_call.S"]
PLACES = ["plain", "readonly", "bottom", "small", "top", "odd", "nowhere", "guard", "constant", "sigaltstack"]
BLOCKING = ["open", "openat", "openat2", "creat", "connect", "sendto", "accept", "recvfrom"]


@dataclass(frozen=True)
class Ground:
    """The root that the probe runs in, and what is bound there."""

    root: str
    bindings: list[tuple[str, str]]


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """Make a root with the probe, a work directory, and places for a bound directory, a bound file and /proc."""
    probe = compile_program([os.path.join(GUEST, name) for name in SOURCES], "-static", "-pthread", name="regs")
    base = tempfile.mkdtemp(prefix="pyroot-regs-")
    os.chmod(base, 0o755)
    for directory in ("root", "root/w", "root/b", "root/proc", "host", "host/d"):
        os.mkdir(f"{base}/{directory}")
    for file, text in (("root/file", "covered"), ("host/file", "b:file"), ("host/f", "b:f")):
        with open(f"{base}/{file}", "w") as output:
            output.write(text)
    os.symlink("f", f"{base}/host/lf")
    os.symlink("/w/f", f"{base}/host/out")
    shutil.copy(probe, f"{base}/root/regs")
    if os.geteuid() == 0:
        for directory in ("root/w", "host"):
            os.chown(f"{base}/{directory}", helpers.NOBODY, helpers.NOBODY)
    yield Ground(f"{base}/root", [(f"{base}/host", "/b"), (f"{base}/host/file", "/file"), ("/proc", "/proc")])
    shutil.rmtree(base, ignore_errors=True)


def run_guest(run_pyroot: Callable[..., Result], ground: Ground, *mode: str, timeout: float = helpers.TIME_LIMIT) -> list[str]:
    """Run the probe under pyroot and return its lines, having checked that it has nothing to complain about."""
    words = ["-r", ground.root]
    for host, guest in ground.bindings:
        words += ["-b", f"{host}:{guest}"]
    result = run_pyroot([*words, "-w", "/", "/regs", "guest", *mode], timeout=timeout)
    return checked_lines(result, "pyroot")


def checked_lines(result: Result, side: str) -> list[str]:
    """Return the lines of the probe; none of them may be a complaint."""
    lines = result.stdout.splitlines()
    bad = [line for line in lines if line.startswith("BAD")]
    assert not bad, f"{side}: {len(bad)} differences: " + "; ".join(bad[:8])
    ended = f"{side}: ended with {lines[-1:]}, status {result.status}, {result.stderr!r}"
    assert lines and lines[-1] == "done 0", ended
    assert result.status == 0
    return lines


def compare_with_chroot(ground: Ground, request: pytest.FixtureRequest, lines: list[str], *mode: str) -> None:
    """Run the same probe in a real chroot, where we can, and compare the results of the calls."""
    if os.geteuid() != 0:
        return
    real_chroot = request.getfixturevalue("real_chroot")
    result = real_chroot(ground.root, ["/regs", "real", *mode], ground.bindings)
    # A refused call differs by design; the probe knows these and has checked their results.
    refused = ("io_uring_setup", "open_by_handle_at", "statmount")
    expected = [line for line in checked_lines(result, "chroot") if not line.startswith(refused)]
    assert [line for line in lines if not line.startswith(refused)] == expected


@pytest.mark.parametrize("place", PLACES)
def test_every_kind_of_call_leaves_registers_stack_and_arguments_alone(
    run_pyroot: Callable[..., Result], ground: Ground, request: pytest.FixtureRequest, place: str
) -> None:
    lines = run_guest(run_pyroot, ground, place)
    assert len(lines) > 120
    compare_with_chroot(ground, request, lines, place)


def test_threads_calling_at_the_same_time_keep_their_registers(
    run_pyroot: Callable[..., Result], ground: Ground
) -> None:
    run_guest(run_pyroot, ground, "threads", "20")


@pytest.mark.stress
@pytest.mark.timeout(1800)
def test_threads_calling_for_long_keep_their_registers(run_pyroot: Callable[..., Result], ground: Ground) -> None:
    run_guest(run_pyroot, ground, "threads", "300", timeout=1200)


def test_vfork_child_sharing_the_memory_keeps_registers_of_both(
    run_pyroot: Callable[..., Result], ground: Ground
) -> None:
    run_guest(run_pyroot, ground, "vfork", "5")


@pytest.mark.parametrize("call", BLOCKING)
def test_restarted_call_finds_its_own_path_again(
    run_pyroot: Callable[..., Result], ground: Ground, request: pytest.FixtureRequest, call: str
) -> None:
    lines = run_guest(run_pyroot, ground, f"signal-{call}", "60")
    compare_with_chroot(ground, request, lines, f"signal-{call}", "60")


def test_interrupted_call_without_restart_gives_eintr(run_pyroot: Callable[..., Result], ground: Ground) -> None:
    run_guest(run_pyroot, ground, "signal-eintr", "20")


def test_handler_that_jumps_out_of_a_call_leaves_nothing_behind(
    run_pyroot: Callable[..., Result], ground: Ground
) -> None:
    run_guest(run_pyroot, ground, "signal-longjmp", "400")


@pytest.mark.stress
@pytest.mark.parametrize("call", BLOCKING)
def test_call_interrupted_a_thousand_times_finds_its_own_path_again(
    run_pyroot: Callable[..., Result], ground: Ground, call: str
) -> None:
    run_guest(run_pyroot, ground, f"signal-{call}", "1000")
