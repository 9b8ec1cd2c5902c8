"""Random programs give in pyroot what they give in a real chroot with real bind mounts.

The default run compares a fixed set of seeds; the marked run takes fresh ones (``PYROOT_ORACLE_SEED`` sets the first).
The comparison itself runs in a process of its own, because it mounts.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import pytest

from tests.helpers import PROJECT

from . import sides
from .build import BuildError, guest_programs

TOTALS = re.compile(r"seeds (\d+) operations (\d+) differences (\d+)")
FIXED_SEEDS = (1, 12)


@pytest.fixture(scope="module", autouse=True)
def possible() -> None:
    """Skip with the reason where the oracle cannot run."""
    obstacle = sides.why_not_possible("pyroot")
    if obstacle:
        pytest.skip(obstacle)
    try:
        guest_programs()
    except BuildError as error:
        pytest.skip(f"the oracle's guest programs cannot be compiled: {error}")


def compare(first: int, last: int, operations: int, *options: str) -> tuple[int, int, str]:
    """Run the oracle; return operations, differences and the report."""
    command = [sys.executable, "-m", "tests.oracle.run", "--seeds", f"{first}-{last}", "--ops", str(operations)]
    command += options
    found = subprocess.run(command, cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    check=False)
    totals = TOTALS.search(found.stdout)
    assert totals, found.stdout[-4000:]
    print(found.stdout[-12000:])
    return int(totals.group(2)), int(totals.group(3)), found.stdout


@pytest.mark.timeout(600)
def test_two_real_chroots_agree() -> None:
    """The oracle finds no difference where there is none: its own normalising is complete."""
    operations, differences, report = compare(1, 6, 150, "--other", "real")
    assert operations >= 6 * 150
    assert differences == 0, report[-4000:]


@pytest.mark.timeout(600)
def test_fixed_seeds_agree() -> None:
    """pyroot and the real chroot agree on a fixed set of programs."""
    operations, differences, report = compare(*FIXED_SEEDS, 150)
    assert operations >= 12 * 150
    assert differences == 0, report[-8000:]


@pytest.fixture
def with_32_bits() -> None:
    """Skip where no 32-bit guest can be compiled."""
    try:
        guest_programs("i386")
    except BuildError as error:
        pytest.skip(f"no 32-bit compiler (Debian: gcc-multilib): {error}")


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("with_32_bits")
def test_fixed_seeds_agree_for_i386() -> None:
    """The same programs in the forms of i386: stat64 and its elders, 16-bit owners, socketcall, int 0x80 and the vdso."""
    operations, differences, report = compare(1, 10, 150, "--m32")
    assert operations >= 10 * 150
    assert differences == 0, report[-8000:]


@pytest.mark.timeout(600)
def test_fixed_seeds_with_nested_roots_agree() -> None:
    """The same where guests may call chroot(2) themselves."""
    operations, differences, report = compare(1, 8, 150, "--nested")
    assert operations >= 8 * 150
    assert differences == 0, report[-8000:]


@pytest.mark.oracle
@pytest.mark.timeout(3000)
@pytest.mark.usefixtures("with_32_bits")
def test_fresh_seeds_agree_for_i386() -> None:
    """i386 guests and the real chroot agree on fresh operations."""
    first = int(os.environ.get("PYROOT_ORACLE_SEED") or time.time()) + 4000
    print(f"PYROOT_ORACLE_SEED={first - 4000}")
    _, differences, report = compare(first, first + 59, 200, "--m32")
    assert differences == 0, f"PYROOT_ORACLE_SEED={first - 4000}\n{report[-8000:]}"


@pytest.mark.oracle
@pytest.mark.timeout(3000)
def test_fresh_seeds_with_nested_roots_agree() -> None:
    """Fresh programs that may call chroot(2)."""
    first = int(os.environ.get("PYROOT_ORACLE_SEED") or time.time()) + 6000
    print(f"PYROOT_ORACLE_SEED={first - 6000}")
    _, differences, report = compare(first, first + 59, 200, "--nested")
    assert differences == 0, f"PYROOT_ORACLE_SEED={first - 6000}\n{report[-8000:]}"


@pytest.mark.oracle
@pytest.mark.timeout(3000)
def test_fresh_seeds_agree() -> None:
    """pyroot and the real chroot agree on at least 20,000 fresh operations over at least 100 seeds."""
    first = int(os.environ.get("PYROOT_ORACLE_SEED") or time.time())
    print(f"PYROOT_ORACLE_SEED={first}")
    operations, differences, report = compare(first, first + 109, 200)
    assert operations >= 20_000
    assert differences == 0, f"PYROOT_ORACLE_SEED={first}\n{report[-8000:]}"


@pytest.mark.oracle
@pytest.mark.timeout(3000)
def test_fresh_seeds_agree_without_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where seccomp is not to be had and every system call stops."""
    monkeypatch.setenv("PYROOT_NO_SECCOMP", "1")
    first = int(os.environ.get("PYROOT_ORACLE_SEED") or time.time()) + 2000
    print(f"PYROOT_ORACLE_SEED={first - 2000}")
    _, differences, report = compare(first, first + 29, 200)
    assert differences == 0, f"PYROOT_ORACLE_SEED={first - 2000}\n{report[-8000:]}"


@pytest.mark.oracle
@pytest.mark.timeout(3000)
def test_fresh_seeds_agree_in_a_deep_root() -> None:
    """The same with host paths that are longer than any argument may be."""
    first = int(os.environ.get("PYROOT_ORACLE_SEED") or time.time()) + 3000
    print(f"PYROOT_ORACLE_SEED={first - 3000}")
    _, differences, report = compare(first, first + 29, 200, "--deep")
    assert differences == 0, f"PYROOT_ORACLE_SEED={first - 3000}\n{report[-8000:]}"


@pytest.mark.oracle
@pytest.mark.timeout(3000)
def test_fresh_seeds_agree_on_a_disk_file_system() -> None:
    """The same with the file system of the temporary directory instead of tmpfs."""
    first = int(os.environ.get("PYROOT_ORACLE_SEED") or time.time()) + 1000
    print(f"PYROOT_ORACLE_SEED={first - 1000}")
    _, differences, report = compare(first, first + 19, 200, "--disk")
    assert differences == 0, f"PYROOT_ORACLE_SEED={first - 1000}\n{report[-8000:]}"
