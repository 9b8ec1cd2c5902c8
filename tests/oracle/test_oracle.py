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
from typing import TYPE_CHECKING

import pytest

from tests.helpers import PROJECT
from tests.rootfs_fixtures import directory_for_user, remove
from tests.twins import put_programs

from . import sides
from .build import BuildError, guest_programs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

pytestmark = pytest.mark.root
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
    Form("plain", 10, 110),
    # the root is the machine's own, and pyroot runs inside, without -r; directories of it are bound elsewhere
    Form("whole", 3, 60, ("--whole",)),
    # the machine has mounts of its own in root and bindings
    Form("mounts", 2, 60, ("--mounts",)),
    Form("whole with mounts", 2, 60, ("--whole", "--mounts")),
    # the forms of i386: stat64 and its elders, 16-bit owners, socketcall, int 0x80 and the vdso
    Form("i386", 6, 60, ("--m32",)),
    Form("whole i386", 1, 30, ("--whole", "--m32")),
    # guests may call chroot(2) themselves
    Form("nested", 5, 60, ("--nested", "--mounts")),
    Form("whole nested", 1, 30, ("--whole", "--nested")),
    # no call is answered inside the guest: sites are left alone
    Form("no gate", 1, 30, ("--mounts",), (("PYROOT_NO_GATE", "1"),)),
    Form("whole no gate", 1, 30, ("--whole",), (("PYROOT_NO_GATE", "1"),)),
    # seccomp is not to be had and every system call stops
    Form("no filter", 1, 30, (), (("PYROOT_NO_SECCOMP", "1"),)),
    Form("whole no filter", 1, 30, ("--whole", "--mounts"), (("PYROOT_NO_SECCOMP", "1"),)),
    # host paths that are longer than any argument may be
    Form("deep", 1, 30, ("--deep", "--mounts")),
    # the file system of the temporary directory instead of tmpfs
    Form("disk", 1, 20, ("--disk",)),
    Form("whole disk", 1, 20, ("--whole", "--disk")),
    # some bindings are read-only, and sometimes the root
    Form("read-only", 3, 60, ("--readonly",)),
    Form("whole read-only", 1, 30, ("--whole", "--readonly", "--mounts")),
    Form("read-only i386", 1, 30, ("--m32", "--readonly")),
    Form("read-only, no filter", 1, 30, ("--readonly",), (("PYROOT_NO_SECCOMP", "1"),)),
    # guests may move the sources of bindings
    Form("wild", 1, 30, ("--wild",)),
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
@pytest.mark.parametrize("options", [("--exhaustive",), ("--exhaustive", "--whole"), ("--exhaustive", "--m32")], ids=" ".join)
def test_all_sequences_of_two_calls_agree(options: tuple[str, ...]) -> None:
    """1,600 sequences of two calls out of forty, each on a small tree of its own, and what it is like afterwards."""
    operations, differences, report = compare(1, 1, 1, *options)
    assert operations > 1600 * 20
    assert differences == 0, report[-8000:]


@pytest.mark.timeout(600)
def test_sites_of_calls_are_led_through_the_gate(run_pyroot: Callable[..., Result]) -> None:
    """What the oracle compares are answers of the gate: the interpreter's calls are made at sites that pyroot changes."""
    place = directory_for_user()
    put_programs(place, {"ops": "ops"})
    program = [f'{call} "/ops" {rest}' for call, rest in (("stat", ">stat"), ("access", "4"), ("open", "0 0")) for _ in range(20)]
    program += ['openat -100 "/ops" 0 0'] * 20
    words = ["--stats", "-r", place, "-w", "/", "/ops", "--program"]
    result = run_pyroot(words, text="\n".join(program).encode(), environment={"PATH": "/"})
    remove(place)
    assert len(result.stdout.splitlines()) == 80
    stopped = {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", result.stderr)}
    assert all(stopped.get(call, 0) <= 4 for call in ("stat", "access", "open", "openat")), result.stderr


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
