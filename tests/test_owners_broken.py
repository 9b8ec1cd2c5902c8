"""Promises of the memory of owners: a root without changes stays as it was, and whatever is broken is never a wrong owner."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = {"user": helpers.NOBODY, "group": helpers.NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
SLOTS = 4096 + 2048 * 4  # where those of a new store begin
UID = 32  # in a slot
CUT = "pyroot: the owners remembered for this root have been cut off while in use: `pyroot owners check` tells what is left of them\n"


@pytest.fixture
def root(busybox_root: str) -> Iterator[str]:
    """Make a root that the ordinary user owns, of one busybox."""
    folder = directory_for_user()
    shutil.copytree(busybox_root, f"{folder}/r", symlinks=True, ignore=shutil.ignore_patterns(".pyroot"))
    os.makedirs(f"{folder}/r/w", exist_ok=True)
    give(folder)
    yield f"{folder}/r"
    remove(folder)


def start(root: str, script: str) -> subprocess.Popen[str]:
    command, more = helpers.pyroot_command()
    words = [*command, "-0", "-r", root, "-w", "/w", "/bin/sh", "-c", f"exec 2>&1\n{script}"]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, **more}, cwd="/", **USER)  # type: ignore[call-overload,no-any-return]  # fmt: skip


def shell(root: str, script: str) -> str:
    return str(start(root, script).communicate(timeout=60)[0])


def facts(root: str) -> tuple[list[str], int]:
    return sorted(os.listdir(root)), os.stat(root).st_mtime_ns


def test_a_session_that_changes_no_owner_leaves_the_root_as_it_was(root: str) -> None:
    before = facts(root)
    assert shell(root, "id -u; stat -c %u /w; touch f; chmod 600 f; chown 0:0 f; rm f") == "0\n0\n"
    assert facts(root) == before


def test_what_a_kill_has_left_goes_with_the_next_session(root: str) -> None:
    names = facts(root)[0]
    killed = start(root, "echo on; read line")
    assert killed.stdout
    assert killed.stdout.readline() == "on\n"
    assert ".pyroot" in os.listdir(root)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert shell(root, "echo ran") == "ran\n"
    assert facts(root)[0] == names


def test_a_session_that_ends_leaves_the_index_to_the_others(root: str) -> None:
    """What the last one to come records is seen by the first one, through the same file."""
    first = start(root, "touch f; stat -c %u f; echo on; read line; stat -c %u f")
    assert first.stdout
    assert [first.stdout.readline() for _ in range(2)] == ["0\n", "on\n"]
    assert shell(root, "echo ran") == "ran\n"
    assert os.listdir(f"{root}/.pyroot") == ["owners.index"]
    assert shell(root, "chown 7 f") == ""
    assert first.communicate("\n", timeout=60)[0] == "7\n"
    assert sorted(os.listdir(f"{root}/.pyroot"))[:1] == ["owners"]


@pytest.mark.parametrize("size", [0, 4096])
def test_a_store_that_is_cut_off_while_in_use_ends_the_session(root: str, size: int) -> None:
    shell(root, "touch a; chown 5 a")
    session = start(root, "stat -c %u a; read line; stat -c %u a; echo still")
    assert session.stdout
    assert session.stdout.readline() == "5\n"
    os.truncate(f"{root}/.pyroot/owners", size)
    assert session.communicate("\n", timeout=60)[0] == CUT
    assert session.returncode == 125


def test_a_record_that_cannot_be_read_is_an_error_and_not_another_owner(root: str) -> None:
    shell(root, "touch a b; chown 5 a; chown 6 b")
    with open(f"{root}/.pyroot/owners", "r+b") as file:
        file.seek(SLOTS + UID)
        file.write(b"\x99")
    told = shell(root, "stat -c %u b; stat -c %u a; chown 7 a; chmod 600 a; stat -c %u b")
    assert [line for line in told.splitlines() if "output error" not in line] == ["6", "6"]
    assert told.count("output error") == 3, told
