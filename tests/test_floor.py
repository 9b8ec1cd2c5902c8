"""What the supervisor pays for one stop: the system calls that it makes itself, counted by strace(1) from outside.

A time would only say that the machine was busy; a count says that somebody has added a call to every stop.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from benchmarks import root as bench_root
from tests import helpers
from tests.as_user import command, environment, identity, work_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMES = 400
pytestmark = pytest.mark.skipif(bool(helpers.have("strace")), reason="needs strace")

# One stop: wait, read the call, read the path, prove that it holds no link, point two registers at the new one, go on.
REWRITTEN = {"wait4": 1, "process_vm_readv": 1, "ptrace": 4, "openat2": 1}
DIRECTORY = {**REWRITTEN, "close": 1}
# The kernel meets no link by itself (opening.pxi).
OPENED = {kind: n for kind, n in REWRITTEN.items() if kind != "openat2"}
# A name that the kernel finds by itself (it is given a copy), and one of which has to be known that it is no link.
NAME = {"wait4": 1, "process_vm_readv": 1, "ptrace": 4}
NAME_FOLLOWED = {**NAME, "newfstatat": 1}
PER_CALL: dict[str, dict[str, int]] = {
    "getppid": {},
    "read": {},
    "stat": REWRITTEN,
    "stat-10": REWRITTEN,
    "stat-missing": REWRITTEN,
    "open+close": OPENED,
    "access": REWRITTEN,
    "readlink": REWRITTEN,
    "readlink-directory": {**DIRECTORY, "ptrace": 3},
    "fstat-empty-path": NAME,
    "stat-relative": NAME_FOLLOWED,
    "stat-dirfd": NAME_FOLLOWED,
    "stat-way": {**NAME, "openat2": 1},
    "open-relative": OPENED,
    "getcwd": {"wait4": 1, "ptrace": 4, "readlink": 1, "process_vm_writev": 1},
    "chdir": DIRECTORY,    # the proof's descriptor is what the call is made through (moving.pxi)
    "mkdir+rmdir": {**{kind: 2 * n for kind, n in REWRITTEN.items()}, "close": 1},
}
# Answered inside the guest, so that they do not stop at all, but where that is switched off.
INSIDE = ("stat", "stat-10", "stat-missing", "stat-link", "open+close", "access", "readlink", "readlink-directory", "fstat-empty-path",
          "stat-relative", "stat-dirfd", "stat-way", "open-relative", "lstat", "statx")
KINDS = sorted({kind for calls in PER_CALL.values() for kind in calls})


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    """Make the benchmarks' root."""
    with work_directory() as base:
        try:
            yield bench_root.make_probe_root(str(base))
        except bench_root.SetupError as error:
            pytest.skip(f"{error}: {error.hint}")


@pytest.fixture
def log() -> Iterator[Path]:
    """Make a place for strace to write to."""
    with work_directory() as base:
        yield base / "log"


def supervisor(log: Path, root: str, *words: str, options: tuple[str, ...] = (), bindings: list[str] | None = None, gate: str = "") -> str:
    """Run the probe under pyroot and return what strace has noted of the supervisor alone."""
    done = subprocess.run(
        ["strace", "-qq", "-o", str(log), *options, *command("-r", root, *bindings or [], "-w", "/", "/probe/probe", *words)],
        env={**environment(), "PYROOT_NO_GATE": gate}, cwd="/", capture_output=True, text=True, check=False, timeout=60, **identity(),
    )  # fmt: skip
    if "PTRACE_TRACEME" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip(f"strace does not work here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return log.read_text()


@pytest.mark.parametrize("name", PER_CALL)
def test_system_calls_of_the_supervisor_for_one_call_of_the_guest(root: str, log: Path, name: str) -> None:
    """The probe makes a batch that it does not count and one that it does; what the start took is less than a batch."""
    counted = calls_per_call(log, root, name, gate="off")
    assert counted == {kind: PER_CALL[name].get(kind, 0) for kind in KINDS}


def calls_per_call(log: Path, root: str, name: str, gate: str) -> dict[str, int]:
    """Count the supervisor's calls, without a remainder that is less than one for each of the guest's."""
    table = supervisor(log, root, "calls", "", "1", str(TIMES), name, options=("-c",), gate=gate)
    made = {row.split()[-1]: int(row.split()[3]) for row in table.splitlines() if re.match(r" *[\d.]+ +[\d.]+ +\d+ +\d+ ", row)}
    return {kind: made.get(kind, 0) // (2 * TIMES) for kind in KINDS}


@pytest.mark.parametrize("name", INSIDE)
def test_calls_that_are_answered_inside_the_guest_cost_the_supervisor_nothing(root: str, log: Path, name: str) -> None:
    assert set(calls_per_call(log, root, name, gate="").values()) == {0}


@pytest.mark.parametrize(("name", "most"), [("exec-static", 7), ("exec-dynamic", 9), ("fork", 4)])
def test_stops_of_starting_a_process(root: str, log: Path, name: str, most: int) -> None:
    """Parent's event, child's first stop, execve, exec event, exit, SIGCHLD; the C library's calls are answered inside.

    Two opens are not where a merged /usr is bound as /lib, too: such a view shows it twice.
    """
    bindings = [word for tool in ("/usr", "/lib", "/lib64", "/etc") if os.path.isdir(tool) for word in ("-b", tool)]

    def waits(times: int) -> int:
        text = supervisor(log, root, "exec", "", str(times), name, options=("-e", "trace=wait4"), bindings=bindings)
        return len(re.findall(r"^wait4.* = [1-9]", text, re.M))

    assert (waits(30) - waits(10)) / 20 <= most + 0.2


def test_directory_bound_beside_one_that_shows_it_costs_no_second_stop(root: str, log: Path) -> None:
    """/usr/lib lies in /usr already (a merged /lib is bound as that): the view shows nothing twice, and an open is one stop."""
    for words in (["-b", "/usr"], ["-b", "/usr", "-b", "/usr/lib"]):
        text = supervisor(log, root, "calls", "", "1", "100", "open+close", options=("-e", "trace=wait4"), bindings=words, gate="off")
        assert 200 <= len(re.findall(r"^wait4.* = [1-9]", text, re.M)) < 300
