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
from dataclasses import dataclass

import pytest

from tests.helpers import PROJECT

from . import sides
from .build import BuildError, guest_programs

TOTALS = re.compile(r"seeds (\d+) operations (\d+) differences (\d+)")


@dataclass(frozen=True)
class Form:
    """One form of the comparison: what it adds, and how many fixed and fresh seeds the tests give it."""

    name: str
    fixed: int
    fresh: int
    options: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


FORMS = (
    Form("plain", 12, 110),
    # the forms of i386: stat64 and its elders, 16-bit owners, socketcall, int 0x80 and the vdso
    Form("i386", 10, 60, ("--m32",)),
    # guests may call chroot(2) themselves
    Form("nested", 8, 60, ("--nested",)),
    # seccomp is not to be had and every system call stops
    Form("no filter", 2, 30, (), (("PYROOT_NO_SECCOMP", "1"),)),
    # host paths that are longer than any argument may be
    Form("deep", 2, 30, ("--deep",)),
    # the file system of the temporary directory instead of tmpfs
    Form("disk", 2, 20, ("--disk",)),
)
BY_NAME = [pytest.param(form, id=form.name.replace(" ", "-")) for form in FORMS]


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


@pytest.fixture
def prepared(form: Form, monkeypatch: pytest.MonkeyPatch) -> Form:
    """Set the environment of a form; skip where its guest cannot be compiled."""
    if "--m32" in form.options:
        try:
            guest_programs("i386")
        except BuildError as error:
            pytest.skip(f"no 32-bit compiler (Debian: gcc-multilib): {error}")
    for name, value in form.environment:
        monkeypatch.setenv(name, value)
    return form


@pytest.mark.timeout(600)
@pytest.mark.parametrize("form", BY_NAME)
def test_fixed_seeds_agree(prepared: Form) -> None:
    """pyroot and the real chroot agree on a fixed set of programs."""
    operations, differences, report = compare(1, prepared.fixed, 150, *prepared.options)
    assert operations >= prepared.fixed * 150
    assert differences == 0, report[-8000:]


@pytest.mark.oracle
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("form", BY_NAME)
def test_fresh_seeds_agree(prepared: Form) -> None:
    """They agree on fresh operations, at least 20,000 over at least 100 seeds in the plain form."""
    base = int(os.environ.get("PYROOT_ORACLE_SEED") or time.time())
    first = base + 1000 * FORMS.index(prepared)
    print(f"PYROOT_ORACLE_SEED={base}")
    operations, differences, report = compare(first, first + prepared.fresh - 1, 200, *prepared.options)
    assert operations >= prepared.fresh * 190
    assert differences == 0, f"PYROOT_ORACLE_SEED={base}\n{report[-8000:]}"
