"""Descriptors of texts in /proc tell what the kernel tells of the name: cp(1), tail(1) and others compare the two."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.probe_root import wide_probe
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

ENVIRONMENT = {"PATH": "/", "LANG": "C"}
NAMES = ("status", "maps", "mounts", "mountinfo", "mountstats", "smaps", "net/unix", "sched", "schedstat", "stat")
WAYS = {
    "seccomp": {}, "no gate": {"PYROOT_NO_GATE": "1"}, "no seccomp": {"PYROOT_NO_SECCOMP": "1"},
}  # fmt: skip


@pytest.fixture(scope="module", params=["-m64", "-m32"])
def root(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make a root with the probe, of 64 or 32 bits."""
    probe = wide_probe("text_probe", request.param)
    top = directory_for_user()
    os.mkdir(f"{top}/proc")
    shutil.copy(probe, f"{top}/probe")
    give(top)
    yield top
    remove(top)


def existing(names: tuple[str, ...]) -> list[str]:
    """Return the names that this kernel has."""
    return [name for name in names if os.path.exists(f"/proc/self/{name}")]


@pytest.mark.parametrize("way", WAYS)
def test_what_is_told_of_a_descriptor_is_told_of_the_name(
    root: str, run_pyroot: Callable[..., Result], request: pytest.FixtureRequest, way: str
) -> None:
    """Opened, copied, sent, inherited, kept through exec, in threads; raw fstat, newfstatat, statx, fstatfs; the rest fails alike."""
    names = existing(NAMES)
    found = run_pyroot(["-r", root, "-w", "/", "-b", "/proc", "/probe", *names], environment={**ENVIRONMENT, **WAYS[way]})
    lines = found.stdout.splitlines()
    assert len(lines) == len(names), found
    for line in lines:
        assert line.split(": ", 1)[1] == (
            "opened opened opened copied copied copied moved moved moved at at at statx link proc end Invalid argument "
            "chmod Operation not permitted truncate Invalid argument write Bad file descriptor text thread thread thread "
            "child child child sent sent sent pipe exec exec exec"
        ), line
    if os.geteuid() == 0:
        real = request.getfixturevalue("real_chroot")(root, ["/probe", *names], [("/proc", "/proc")], environment=ENVIRONMENT)
        assert lines == real.stdout.splitlines()
