"""What files of /proc say of guests: as in a real chroot, in the guest's paths, and nothing of the supervisor."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle import sides
from tests.probe_root import wide_probe
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

ENVIRONMENT = {"PATH": "/", "LANG": "C", "HOME": "/", "PWD": "/"}
FILES = ("maps", "smaps", "numa_maps", "status", "mounts", "mountinfo")


@pytest.fixture(scope="module", params=["-m64", "-m32"])
def root(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make a root with the probe, of 64 or 32 bits, and a directory to bind."""
    probe = wide_probe("proc_probe", request.param)
    top = directory_for_user()
    for name in ("root/tmp", "root/proc", "root/dev", "root/place", "bound here"):
        os.makedirs(f"{top}/{name}")
    shutil.copy(probe, f"{top}/root/proc-probe")
    with open(f"{top}/root/marker", "w", encoding="ascii") as file:
        file.write("marker\n")
    give(top)
    yield f"{top}/root"
    remove(top)


def bindings_of(root: str) -> list[tuple[str, str]]:
    """Return the bindings that the tests run with."""
    return [("/proc", "/proc"), ("/dev", "/dev"), (f"{os.path.dirname(root)}/bound here", "/place")]


def without_propagation(found: Result) -> list[str]:
    """Return the lines without what mountinfo says of peers: the real chroot's mounts are made private."""
    return [re.sub(r" (shared|master|propagate_from):\d+", "", line) for line in found.stdout.splitlines()]


def without_part(found: Result, root: str) -> str:
    """Return the text without the part of its file system that mountinfo says the root is."""
    return found.stdout.replace(f" {root} / ", " ")


@pytest.fixture
def both(request: pytest.FixtureRequest, root: str, run_pyroot: Callable[..., Result]) -> Callable[..., list[str]]:
    """Return a function that runs the probe on both sides, compares, and returns the lines."""
    real_chroot = request.getfixturevalue("real_chroot") if os.geteuid() == 0 else None

    def call(*command: str) -> list[str]:
        words = ["-r", root, "-w", "/", *(word for host, guest in bindings_of(root) for word in ("-b", f"{host}:{guest}"))]
        found = run_pyroot([*words, "/proc-probe", *command], environment=ENVIRONMENT)
        assert (found.status, found.stderr) == (0, "")
        if real_chroot:
            real = real_chroot(root, ["/proc-probe", *command], bindings_of(root), environment=ENVIRONMENT)
            assert without_propagation(found) == without_propagation(real)
        assert root not in without_part(found, root)
        return found.stdout.splitlines()

    return call


@pytest.mark.parametrize("directory", ["/tmp", "/place"])
def test_maps_have_guest_paths(both: Callable[..., list[str]], directory: str) -> None:
    lines = both("maps", directory)
    assert lines.count(f"map r--p 0 {directory}/two words") == 5
    assert lines.count(f"map r--p 0 {directory}/line\\012break") == 5
    assert lines.count(f"map r--p 0 {directory}/removed (deleted)") == 5
    assert f"numa {directory}/two\\040words" in lines
    assert any(line.startswith("map r-xp ") and line.endswith(" /proc-probe") for line in lines)


def test_maps_do_not_show_the_loader(both: Callable[..., list[str]]) -> None:
    assert both("layout") == ["mappings some, descriptions all"]


@pytest.mark.parametrize("file", FILES)
def test_every_way_of_opening_gives_the_text(both: Callable[..., list[str]], file: str) -> None:
    both("ways", file)


@pytest.mark.parametrize("file", ["maps", "mounts", "mountinfo"])
def test_every_way_of_reading_gives_the_text(both: Callable[..., list[str]], file: str) -> None:
    both("reads", f"/proc/self/{file}")


@pytest.mark.parametrize("file", ["mounts", "mountinfo"])
def test_mount_tables_can_be_spliced(both: Callable[..., list[str]], file: str) -> None:
    assert both("transfers", f"/proc/self/{file}")[-1] == "splice same"


def test_mount_tables_are_those_of_bind_mounts(both: Callable[..., list[str]]) -> None:
    lines = both("table")
    assert [line.split()[4] for line in lines if line.startswith("on -1:")] == ["/"]
    assert [line.split()[4] for line in lines if line.startswith("on 0:")] == ["/proc", "/dev", "/place"]
    assert any(re.search(r"/bound\\040here /place ", line) for line in lines)


def test_states_are_those_of_an_untraced_process(both: Callable[..., list[str]]) -> None:
    lines = both("states")
    assert lines.count("TracerPid:\t0") == 3
    assert lines.count("Seccomp:\t0") == 3
    assert lines.count("stat T") == 2
    assert lines.count("State:\tT (stopped)") == 2
    assert lines[-2:] == ["stat R", "wchan 0"]


@pytest.mark.parametrize("directory", ["/tmp", "/place"])
def test_sockets_have_the_names_that_were_bound(both: Callable[..., list[str]], directory: str) -> None:
    mark = f"probe{os.getpid()}"
    assert f"listed {directory}/{mark}-absolute" in both("sockets", directory, mark)


def test_words_and_links_of_a_process(both: Callable[..., list[str]]) -> None:
    lines = both("self")
    assert "link /proc/self/exe /proc-probe" in lines
    assert "execfn /proc-probe" in lines


def test_stops_are_no_context_switches(both: Callable[..., list[str]]) -> None:
    lines = both("switches")
    assert lines[:2] == ["status few", "thread few"]
    assert not [line for line in lines if line.endswith(" many")]


def test_mount_tables_can_be_polled(both: Callable[..., list[str]]) -> None:
    both("polls")


@pytest.mark.root
def test_a_root_with_proc_mounted_is_no_way_out(root: str, run_pyroot: Callable[..., Result]) -> None:
    """A root that somebody uses with chroot, too: its own mount of /proc is treated as one that is bound."""

    def prepare() -> None:
        sides.private_mounts()
        sides.mount("proc", f"{root}/proc", "proc", 0)
        helpers.drop_to_ordinary_user()

    for command in (["self"], ["maps", "/tmp"], ["table"]):
        found = run_pyroot(["-r", root, "-w", "/", "/proc-probe", *command], environment=ENVIRONMENT, prepare=prepare)
        assert (found.status, found.stderr) == (0, "")
        assert root not in without_part(found, root)
        bound = run_pyroot(["-r", root, "-b", "/proc", "-w", "/", "/proc-probe", *command], environment=ENVIRONMENT)
        assert found.stdout == bound.stdout
