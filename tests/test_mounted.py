"""The tops of bindings are those of mounts, and what the kernel calls a mount's number is the one in /proc/self/mountinfo."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.oracle.build import BuildError, compile_program
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

PROBE = Path(__file__).parent / "programs" / "mount_probe.c"
PATHS = ["/", "/one", "/one/name", "/one/below", "/one/below/name", "/two", "/two/below", "/file", "/link", "/link/name", "/proc",
         "/proc/self/status", "/proc/self/cwd", "/missing", "/dev", "/dev/pts", "/dev/null", "/dev/shm", "/plain"]  # fmt: skip


@pytest.fixture(scope="module")
def top() -> Iterator[str]:
    """Make a root, what is bound there, and the probe for both widths."""
    place = directory_for_user()
    for name in ("root/one", "root/two", "root/proc", "root/dev", "root/plain", "host/below"):
        os.makedirs(f"{place}/{name}")
    for name in ("root/file", "root/plain/name", "host/name", "host/below/name"):
        Path(f"{place}/{name}").write_text(name, encoding="ascii")
    os.symlink("one", f"{place}/root/link")
    for name, options in (("probe", []), ("probe32", ["-m32"])):
        try:
            shutil.copy(compile_program([str(PROBE)], "-static", *options, name=f"mount_{name}"), f"{place}/root/{name}")
        except BuildError as error:
            if name == "probe":
                pytest.skip(str(error))
    give(place)
    yield place
    remove(place)


@pytest.mark.parametrize("program", ["/probe", "/probe32"])
@pytest.mark.parametrize("variables", [{}, {"PYROOT_NO_SECCOMP": "1"}], ids=["seccomp", "no-seccomp"])
def test_mounts_are_told_alike_in_every_way(
    top: str, run_pyroot: Callable[..., Result], request: pytest.FixtureRequest, program: str, variables: dict[str, str]
) -> None:
    """By path, by link, by descriptor, with a handle; of directories, files and mounts of the host below a binding."""
    if not os.path.exists(f"{top}/root{program}"):
        pytest.skip("no 32-bit compiler (Debian: gcc-multilib)")
    pairs = [(f"{top}/host", "/one"), (f"{top}/host/below", "/two"), (f"{top}/host/name", "/file"), ("/proc", "/proc"), ("/dev", "/dev")]
    words = [word for host, guest in pairs for word in ("-b", f"{host}:{guest}")]
    result = run_pyroot(["-r", f"{top}/root", "-w", "/", *words, program, *PATHS], environment={"PATH": "/", **variables})
    lines = result.stdout.splitlines()
    assert "/two: path top link top /two number top /two unique top" in result.stdout, result
    assert "/one/below/name: path in link in /one number in /one" in result.stdout
    assert lines[0].startswith("/: ")
    if os.geteuid() == 0:
        real = request.getfixturevalue("real_chroot")(f"{top}/root", [program, *PATHS], pairs, environment={"PATH": "/"})
        assert lines == real.stdout.splitlines()
