"""Seccomp filters that guests install: they judge the guest's calls as without pyroot, and nothing that pyroot adds.

The guest programs (guest/seccomp*.c) print a line for each answer.  ``guest/seccomp.expected`` holds what a real chroot answered;
where the suite is root the real chroot is asked again.
"""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

GUEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")
LOADER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pyroot", "guest")


def program(*names: str, options: tuple[str, ...] = ()) -> str:
    """Compile a guest program."""
    sources = [os.path.join(GUEST, name) for name in names]
    return compile_program(sources, "-static", "-pthread", *options, name=names[0].removesuffix(".c"))


@pytest.fixture
def ground(guest_directory: str) -> str:
    """Make a root with what the programs look at."""
    for name in ("data", "proc"):
        os.mkdir(f"{guest_directory}/{name}")
    with open(f"{guest_directory}/data/file", "w") as file:
        file.write("content\n")
    os.mkfifo(f"{guest_directory}/data/fifo")
    if os.geteuid() == 0:
        for name in ("data", "data/file", "data/fifo"):
            os.chown(f"{guest_directory}/{name}", helpers.NOBODY, helpers.NOBODY)
    shutil.copy(program("seccomp.c", "seccomp_parts.c"), f"{guest_directory}/seccomp")
    return guest_directory


def expected_lines() -> list[str]:
    """Return the answers of a real chroot, as they are kept."""
    with open(os.path.join(GUEST, "seccomp.expected")) as file:
        return file.read().splitlines()


def test_filters_answer_as_in_a_real_chroot(run_pyroot: Callable[..., Result], ground: str) -> None:
    result = run_pyroot(["-r", ground, "-b", "/proc", "-w", "/", "/seccomp"])
    assert result.stdout.splitlines() == expected_lines()
    assert (result.status, result.stderr) == (0, "")


def test_kept_answers_are_those_of_this_kernel(real_chroot: Callable[..., Result], ground: str) -> None:
    result = real_chroot(ground, ["/seccomp"], [("/proc", "/proc")])
    assert result.stdout.splitlines() == expected_lines()
    assert (result.status, result.stderr) == (0, "")


def test_guest_cannot_have_calls_made_from_the_loaders_places(run_pyroot: Callable[..., Result], ground: str) -> None:
    """Return stubs run calls that the supervisor sent there, the loader's place those of a program that is being started."""
    shutil.copy(program("seccomp_forge.c", "seccomp_parts.c", options=("-I", LOADER)), f"{ground}/forge")
    result = run_pyroot(["-r", ground, "/forge", "/etc/passwd"])
    assert result.stdout.splitlines() == [
        "host file by a stub -2", "filter 0", "getppid -44, by a stub -44, by the loader's page -1000",
    ]


def test_libseccomp_program_runs_the_same(
    run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result], ground: str
) -> None:
    try:
        library = program("seccomp_library.c", options=("-lseccomp",))
    except BuildError as error:
        pytest.skip(f"libseccomp-dev is not installed: {str(error)[:200]}")
    shutil.copy(library, f"{ground}/library")
    result = run_pyroot(["-r", ground, "-w", "/", "/library"])
    assert result.stdout.splitlines() == real_chroot(ground, ["/library"]).stdout.splitlines()
    assert result.stdout.splitlines()[-1] == "child 400"


def test_filters_of_an_i386_program_answer_as_in_a_real_chroot(
    run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result], ground: str
) -> None:
    try:
        shutil.copy(program("seccomp32.c", options=("-m32",)), f"{ground}/seccomp32")
    except BuildError as error:
        pytest.skip(f"no 32-bit compiler (Debian: gcc-multilib): {str(error)[:200]}")
    result = run_pyroot(["-r", ground, "-w", "/", "/seccomp32"])
    assert result.stdout.splitlines() == real_chroot(ground, ["/seccomp32"]).stdout.splitlines()
    assert result.stdout.splitlines()[-3:] == ["ended 500", "strict", "ended 9"]


def test_listener_is_refused(run_pyroot: Callable[..., Result], ground: str) -> None:
    """It would see calls before pyroot and could let them run with paths that nobody translated."""
    text = """
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
program = ctypes.create_string_buffer(struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000))
given = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", 1, ctypes.addressof(program)))
print(libc.syscall(317, 1, 8, given), ctypes.get_errno(), libc.syscall(317, 1, 1 << 20, given), ctypes.get_errno())
"""
    python, environment = helpers.ordinary_python()
    result = run_pyroot(["-r", "/", python, "-c", text], environment=environment)
    assert result.stdout.split() == ["-1", "16", "-1", "22"], result.stderr


@pytest.mark.skipif(bool(helpers.have("strace")), reason="needs strace")
def test_thread_in_strict_mode_ends_as_by_exit(run_pyroot: Callable[..., Result], ground: str) -> None:
    """Where it would end as by SIGKILL, which its tracer sees: only a whole process can be killed from outside."""
    words = ["strace", "-f", "-q", "-e", "trace=none", "-o", f"{ground}/data/log", f"{ground}/seccomp", "part", "strict thread"]
    ends = []
    for run in (helpers.run, run_pyroot):
        run(words if run is helpers.run else ["-r", "/", "-w", "/", *words])
        with open(f"{ground}/data/log", encoding="utf-8") as file:
            ends.append(file.read())
    assert ends[0].count("killed by SIGKILL") == 1
    assert ends[1].count("exited with") == 2


@pytest.mark.parametrize("how", ["strict other call", "killed"])
def test_death_by_a_filter_is_the_commands_status(run_pyroot: Callable[..., Result], ground: str, how: str) -> None:
    result = run_pyroot(["-r", ground, "/seccomp", "part", how])
    assert result.status == 128 + (signal.SIGKILL if how.startswith("strict") else signal.SIGSYS)


def test_no_filters_where_the_kernel_has_none(run_pyroot: Callable[..., Result], ground: str) -> None:
    """Without seccomp for pyroot there is none for guests: seccomp(2) is not there, prctl(2) refuses."""
    environment = {**os.environ, "PYROOT_NO_SECCOMP": "1", "HOME": "/tmp"}
    result = run_pyroot(["-r", ground, "/seccomp", "part", "modes"], environment=environment)
    lines = result.stdout.splitlines()
    assert "empty -38" in lines
    assert "old form -22" in lines
    assert lines[0] == "get 0"
