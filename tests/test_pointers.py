"""What was looked at is what the kernel gets: another thread that changes the text behind a pointer leads no call outside."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

MILLISECONDS = 150
MODES = ["open", "follow", "dirfd", "nodir", "page", "dots", "dotted", "empty", "lstatat", "lstat", "readlink", "change", "make", "remove",
         "chdir", "execute", "connect", "bind", "sendto", "sendmsg", "sendmmsg", "how", "clone3"]
WAYS: dict[str, dict[str, str]] = {"gate": {}, "stops": {"PYROOT_NO_GATE": "1"}, "no filter": {"PYROOT_NO_SECCOMP": "1"}}


@pytest.fixture
def root(guest_directory: str) -> str:
    """Make a root with the probe in it."""
    try:
        shutil.copy(compile_program([f"{PROGRAMS}/pointer_probe.c"], "-static", "-pthread", name="pointer"), f"{guest_directory}/pointer")
    except BuildError as error:
        pytest.skip(str(error))
    os.makedirs(f"{guest_directory}/d/d/d/d")
    return guest_directory


@pytest.fixture
def outside() -> Iterator[str]:
    """Make a directory that no guest of the root can name, with everything in it that the probe looks for."""
    with tempfile.TemporaryDirectory(prefix="o") as path, contextlib.ExitStack() as stack:
        for name, kind in (("stream", socket.SOCK_STREAM), ("datagram", socket.SOCK_DGRAM)):
            one = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            one.bind(f"{path}/{name}")
            if kind == socket.SOCK_STREAM:
                one.listen(1)
        with open(f"{path}/secret", "w", encoding="ascii") as file:
            file.write("SECRET\n")
        for name in os.listdir(path):
            os.chmod(f"{path}/{name}", 0o666)
        os.chmod(path, 0o777)  # whoever gets here can do everything
        if os.geteuid() == 0:
            os.chown(f"{path}/secret", helpers.ordinary_user.uid, -1)
        yield path


def state_of(path: str) -> list[tuple[str, int, int]]:
    """List what is in a directory: names, modes and sizes."""
    return sorted((name, os.lstat(f"{path}/{name}").st_mode, os.lstat(f"{path}/{name}").st_size) for name in os.listdir(path))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_what_changes_behind_a_pointer_leads_nowhere(
    run_pyroot: Callable[..., Result], root: str, outside: str, mode: str, way: str
) -> None:
    before = state_of(outside)
    result = run_pyroot(["-r", root, "-w", "/", "/pointer", mode, str(MILLISECONDS), outside], environment={"PATH": "/", **WAYS[way]})
    assert re.fullmatch(rf"{mode} calls [1-9]\d* outside 0\n", result.stdout), result
    assert state_of(outside) == before
