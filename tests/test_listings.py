"""Directories list their mount points: as with real bind mounts, also where the root holds no such name."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.probe_root import wide_probe
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

ENVIRONMENT = {"PATH": "/", "LANG": "C", "HOME": "/"}
#: Guest paths of bindings to the shared directory and file; of the parents only / and /there exist.
DIRECTORIES = ("/new", "/there/new", "/deep/er/dir", "/full")
FILES = ("/file", "/there/file", "/deep/er/file", "/held")


class Place:
    """A root with the probe in it, and a directory and a file beside it to bind."""

    def __init__(self, top: str, probe: str, position: str) -> None:
        self.position = position
        self.root, self.shared = f"{top}/root", f"{top}/shared"
        self.bindings = [(self.shared, guest) for guest in DIRECTORIES] + [(f"{self.shared}/file", guest) for guest in FILES]
        for name in ("root/there/old", "root/tmp", "root/full", "root/empty", "root/many", "shared/sub"):
            os.makedirs(f"{top}/{name}")
        for name in ("root/held", "root/full/covered", "shared/file", *(f"root/many/{i}" for i in range(300))):
            with open(f"{top}/{name}", "w", encoding="ascii") as file:
                file.write(name)
        shutil.copy(probe, f"{self.root}/listing")

    def words(self) -> list[str]:
        """Return the options of pyroot for the root and its bindings."""
        return ["-r", self.root, "-w", "/", *(word for host, guest in self.bindings for word in ("-b", f"{host}:{guest}"))]


@pytest.fixture(scope="module", params=["-m64", "-m32"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Make the root, with a probe of 64 or 32 bits."""
    machine: str = request.param
    probe = wide_probe("listing_probe", machine)
    top = directory_for_user()
    made = Place(top, probe, "1e77072" if machine == "-m64" else "7fff000")
    give(top)
    yield made
    remove(top)


@pytest.fixture
def both(
    request: pytest.FixtureRequest, place: Place, run_pyroot: Callable[..., Result]
) -> Callable[..., list[str]]:
    """Return a function that runs the probe on both sides and compares; the order of names is the file system's business."""
    real_chroot = request.getfixturevalue("real_chroot") if os.geteuid() == 0 else None

    def call(*command: str) -> list[str]:
        before = sorted(os.listdir(place.root))
        found = run_pyroot([*place.words(), "/listing", *command], environment=ENVIRONMENT)
        assert (found.status, found.stderr) == (0, "")
        assert sorted(os.listdir(place.root)) == before
        if real_chroot:
            real = real_chroot(place.root, ["/listing", *command], place.bindings, environment=ENVIRONMENT)
            assert sorted(found.stdout.splitlines()) == sorted(real.stdout.splitlines())
        return found.stdout.splitlines()

    return call


@pytest.mark.parametrize("kind", [[], ["old"]], ids=["getdents64", "getdents"])
@pytest.mark.parametrize("size", [32, 120, 100000])
def test_buffers_of_any_size(both: Callable[..., list[str]], size: int, kind: list[str]) -> None:
    listed = both("list", "/", str(size), *kind)
    assert {"new 4", "file 8", "deep 4", "full 4", "held 8"} <= set(listed)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("path", ["/there", "/deep", "/deep/er", "/empty", "/many", "/full", "/new"])
def test_every_parent_lists_its_mount_points(both: Callable[..., list[str]], path: str) -> None:
    assert both("list", path, "4096")[-1] == f"end {path}: ok"


def test_a_buffer_too_small_is_an_error(both: Callable[..., list[str]]) -> None:
    assert both("list", "/", "16") == ["end /: EINVAL"]


@pytest.mark.parametrize("path", ["/", "/there", "/many"])
def test_bad_arguments_get_the_kernel_s_errors(both: Callable[..., list[str]], path: str) -> None:
    assert f"null {path}: EFAULT" in both("faults", path)


@pytest.mark.parametrize("path", ["/", "/there", "/deep/er", "/many"])
def test_positions_lead_back(both: Callable[..., list[str]], path: str) -> None:
    assert " wrong 0 at the end none" in both("seek", path)[0]


def test_duplicates_and_children_share_the_position(both: Callable[..., list[str]]) -> None:
    listed = both("share", "/")
    middle = listed.index("other")
    assert sorted(listed[:middle]) == sorted(listed[middle + 1 :])


def test_threads_list_at_the_same_time(both: Callable[..., list[str]]) -> None:
    assert len(set(both("threads", "/"))) == 1


def test_looking_agrees_with_listing(both: Callable[..., list[str]]) -> None:
    both("look", *DIRECTORIES, *FILES, "/deep", "/deep/er", "/nowhere")


@pytest.mark.parametrize(("directory", "file"), [("/new", "/file"), ("/there/new", "/there/file"), ("/full", "/held")])
def test_mount_points_are_borders(both: Callable[..., list[str]], directory: str, file: str) -> None:
    lines = both("borders", directory, file)
    assert f"rename in {directory}/inner: EXDEV" in lines
    assert f"unlink {file}: EBUSY" in lines


@pytest.mark.parametrize("path", ["/new", "/full", "/deep/er/dir"])
def test_watches_see_bound_directories(both: Callable[..., list[str]], path: str) -> None:
    assert both("watch", path)[-1] == "made made"


def test_entries_of_bindings_have_their_number_and_type(place: Place, run_pyroot: Callable[..., Result]) -> None:
    """A name that only the view has is listed with what stat says, also for devices."""
    words = [*place.words(), "-b", "/dev/null:/null", "/listing", "numbers", "/"]
    lines = run_pyroot(words, environment=ENVIRONMENT).stdout.splitlines()
    assert {"new same type", "file same type", "deep same type", "null same type"} <= set(lines)


def test_a_directory_bound_on_a_file_is_listed_as_one(place: Place, run_pyroot: Callable[..., Result]) -> None:
    """The kernel refuses such mounts: what is there counts."""
    words = ["-r", place.root, "-w", "/", "-b", f"{place.shared}:/held", "-b", f"{place.shared}/file:/there/old"]
    found = run_pyroot(["-v", "1", *words, "/listing", "list", "/", "4096"], environment=ENVIRONMENT)
    assert "held 4" in found.stdout.splitlines()
    assert "pyroot: /held: a binding of a directory covers a file, which mount(8) would refuse\n" in found.stderr
    assert "pyroot: /there/old: a binding of a file covers a directory, which mount(8) would refuse\n" in found.stderr
    assert "old 8" in run_pyroot([*words, "/listing", "list", "/there", "60"], environment=ENVIRONMENT).stdout.splitlines()


def test_a_name_that_the_host_gains_is_listed_once(place: Place, run_pyroot: Callable[..., Result]) -> None:
    words = [*place.words(), "-b", f"{place.root}:/outside"]
    script = ["/listing", "list", "/there", "4096"]
    os.mkdir(f"{place.root}/there/new")
    try:
        lines = run_pyroot([*words, *script], environment=ENVIRONMENT).stdout.splitlines()
        below = run_pyroot([*words, "/listing", "list", "/outside/there", "4096"], environment=ENVIRONMENT).stdout.splitlines()
    finally:
        os.rmdir(f"{place.root}/there/new")
    assert lines.count("new 4") == 1
    assert "file 8" in lines
    assert "file 8" not in below


def test_only_parents_of_such_names_are_read_for_the_guest(place: Place, run_pyroot: Callable[..., Result]) -> None:
    """The position at the end tells who listed: ours, or the file system's own."""
    plain = ["-r", place.root, "-w", "/", "-b", f"{place.shared}:/full"]

    def end(words: list[str], path: str) -> str:
        return run_pyroot([*words, "/listing", "end", path], environment=ENVIRONMENT).stdout[:7]

    assert end(place.words(), "/") == place.position
    assert end(place.words(), "/many") != place.position
    assert end(plain, "/") != place.position


def without_pidfd_getfd() -> None:
    """Become the ordinary user under a filter that refuses pidfd_getfd(2), as container engines have one; runs before exec."""
    helpers.drop_to_ordinary_user()
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, 438), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)]
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    text = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(code), ctypes.addressof(text))
    assert helpers.libc.prctl(38, 1, 0, 0, 0) == 0
    assert helpers.libc.prctl(22, 2, header) == 0


@pytest.mark.parametrize("path", ["/", "/there", "/deep/er", "/many"])
def test_names_are_listed_where_pidfd_getfd_is_refused(place: Place, run_pyroot: Callable[..., Result], path: str) -> None:
    for command in (["list", path, "4096"], ["list", path, "40000", "old"], ["threads", path], ["look", path, "/new"]):
        words = [*place.words(), "/listing", *command]
        expected = run_pyroot(words, environment=ENVIRONMENT)
        found = run_pyroot(words, environment=ENVIRONMENT, prepare=without_pidfd_getfd)
        assert (found.status, found.stderr) == (0, "")
        assert sorted(found.stdout.splitlines()) == sorted(expected.stdout.splitlines())
    again = run_pyroot([*place.words(), "/listing", "seek", path], environment=ENVIRONMENT, prepare=without_pidfd_getfd)
    names, repeated = (int(line.split()[1]) for line in again.stdout.splitlines()[:2])
    assert names == repeated
