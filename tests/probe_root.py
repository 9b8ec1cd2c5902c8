"""A tiny root with the probe programs in it, in which tests of processes and of robustness run."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
ENVIRONMENT = {"PATH": "/", "LANG": "C", "HOME": "/"}


@pytest.fixture(scope="session")
def probe_root() -> Iterator[str]:
    """Make the root: ``/probe``, ``/abi``, ``/storm``, ``/stress``, ``/marker``, scripts, ``/tmp`` and ``/proc``."""
    yield from make_root()


def make_root(*options: str) -> Iterator[str]:
    """Make the root with ``/probe`` and ``/storm`` compiled with these options."""
    wide = ["-static", "-pthread", *options]
    try:
        probe = compile_program([f"{PROGRAMS}/process_probe.c"], *wide, name="process-probe")
        abi = compile_program([f"{PROGRAMS}/abi_probe.c"], "-static", name="abi-probe")
        storm = compile_program([f"{PROGRAMS}/storm_probe.c"], *wide, name="storm-probe")
        stress = compile_program([f"{PROGRAMS}/stress_probe.c"], *wide, name="stress-probe")
    except BuildError as error:
        pytest.skip(str(error))
    root = directory_for_user()
    for name in ("tmp", "proc", "dev", "place"):
        os.mkdir(f"{root}/{name}")
    shutil.copy(probe, f"{root}/probe")
    shutil.copy(abi, f"{root}/abi")
    shutil.copy(storm, f"{root}/storm")
    shutil.copy(stress, f"{root}/stress")
    for i in range(1, 8):
        script(f"{root}/s{i}", "#!/probe argument\n" if i == 1 else f"#!/s{i - 1}\n")
    script(f"{root}/marker", "marker\n", 0o644)
    script(f"{root}/relative", "#!probe\n")
    script(f"{root}/odd", "#!  /probe   two words  \n")
    script(f"{root}/gone", "#!/nowhere/sh\n")
    script(f"{root}/empty", "")
    os.mkfifo(f"{root}/fifo")
    give(root)
    yield root
    remove(root)


def wide_probe(name: str, machine: str) -> str:
    """Compile ``name.c`` for a machine (-m64 or -m32), with 64-bit offsets and threads; skip where that cannot be."""
    options = (machine, "-D_FILE_OFFSET_BITS=64", "-static", "-pthread")
    try:
        return compile_program([f"{PROGRAMS}/{name}.c"], *options, name=f"{name.replace('_', '-')}{machine}")
    except BuildError as error:
        pytest.skip(str(error))


def script(path: str, text: str, mode: int = 0o755) -> None:
    """Write a file with rights."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, mode)


@pytest.fixture
def same(
    request: pytest.FixtureRequest, probe_root: str, run_pyroot: Callable[..., Result]
) -> Callable[..., Result]:
    """Return a function that runs a command of the probe root on both sides, compares, and returns the result.

    Without root there is no real chroot: then the result is pyroot's alone.
    """
    real_chroot = request.getfixturevalue("real_chroot") if os.geteuid() == 0 else None

    def call(*command: str, cwd: str = "/") -> Result:
        words = ["-r", probe_root, "-w", cwd, "-b", "/proc", *command]
        result = run_pyroot(words, environment=ENVIRONMENT)
        if real_chroot:
            real = real_chroot(probe_root, list(command), [("/proc", "/proc")], cwd, environment=ENVIRONMENT)
            assert result == real
        return result

    return call


def guest_words(words: list[str], root: str, *command: str) -> list[str]:
    """Return the words that run a command in the probe root."""
    return [*words, "-r", root, "-w", "/", "-b", "/proc", *command]


def environment_of_pyroot() -> dict[str, str]:
    """Return what pyroot needs in its environment, and the guest's."""
    return {**helpers.pyroot_command()[1], **ENVIRONMENT}
