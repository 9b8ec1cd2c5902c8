"""Owners that are remembered, seen and changed through overlays and read-only roots; sockets that a fake user makes."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = os.path.dirname(os.path.abspath(__file__)) + "/owners"
WAYS = [{}, {"PYROOT_NO_GATE": "1"}, {"PYROOT_NO_SECCOMP": "1"}]
NAMES = ["gate", "stops", "no-filter"]
MAKE = "umask 022; touch a b; chown 5:6 a; chmod 4755 a; chmod 640 b; mkdir d; chown 7:7 d; chmod 1777 d"
SEEN = "4755 5:6 a\n640 0:0 b\n1777 7:7 d\n"


@pytest.fixture
def root(busybox_root: str) -> Iterator[str]:
    """Make a root that the ordinary user owns, of one busybox."""
    folder = directory_for_user()
    shutil.copytree(busybox_root, f"{folder}/r", symlinks=True, ignore=shutil.ignore_patterns(".pyroot"))
    os.makedirs(f"{folder}/r/w", exist_ok=True)
    os.makedirs(f"{folder}/r/proc", exist_ok=True)
    give(folder)
    yield f"{folder}/r"
    remove(folder)


def shell(root: str, script: str, *words: str, way: dict[str, str] | None = None) -> str:
    command, more = helpers.pyroot_command()
    found = helpers.run([*command, "-0", "-r", root, "-b", "/proc", *words, "-w", "/w", "/bin/sh", "-c", f"exec 2>&1\n{script}"],
                        environment={**os.environ, **more, **(way or {})})  # fmt: skip
    assert "Traceback" not in found.stderr, found.stderr
    return found.stdout + found.stderr


def lower(root: str) -> list[tuple[str, int, int]]:
    found = [(name, os.lstat(f"{root}/w/{name}")) for name in sorted(os.listdir(f"{root}/w"))]
    return [(name, st.st_ctime_ns, st.st_mode) for name, st in found]


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_a_read_only_root_shows_what_is_remembered(root: str, way: dict[str, str]) -> None:
    shell(root, MAKE)
    before = lower(root)
    told = shell(root, "stat -c '%a %u:%g %n' a b d; chown 9 a; stat -c %u a; ls -a /", "--read-only", way=way)
    assert told.startswith(SEEN + "chown: a: Read-only file system\n5\n"), told
    assert ".pyroot" not in told
    assert lower(root) == before


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_an_overlay_remembers_for_the_session_and_what_is_copied_up_keeps_its_owner(root: str, way: dict[str, str]) -> None:
    shell(root, MAKE)
    before = lower(root)
    script = """stat -c '%a %u:%g %n' a b d; ls -i b > /i; echo more >> a; stat -c '%a %u:%g %n' a
        chown 9:9 b d; chmod 6711 b; stat -c '%a %u:%g %n' b d; ls -i b | cmp - /i; mkdir e; chown 3 e; stat -c '%u %n' e; ls -a /"""
    told = shell(root, script, "--overlay-root", way=way)
    # (an append of root's leaves the set-user-ID bit)
    assert told.startswith(f"{SEEN}4755 5:6 a\n6711 9:9 b\n1777 9:9 d\n3 e\n"), told
    assert ".pyroot" not in told
    assert lower(root) == before
    assert shell(root, "stat -c '%a %u:%g %n' a b d") == SEEN


def test_another_fake_user_is_judged_in_an_overlay(root: str) -> None:
    shell(root, MAKE + "; mkdir closed; chmod 700 closed; echo s > closed/s; echo s > secret; chmod 600 secret; chmod 755 .")
    command, more = helpers.pyroot_command()
    script = """exec 2>&1; touch d/x; mkdir d/y; ln -s q d/l; stat -c %u:%g d/x d/y d/l
        touch z; mkdir z; rm -f b; mv b c; cat secret closed/s; echo x > b"""
    words = [*command, "-r", root, "--userspec", "500:500", "--overlay-root", "-w", "/w", "/bin/sh", "-c", script]
    found = helpers.run(words, environment={**os.environ, **more})
    lines = found.stdout.splitlines()
    assert [line for line in lines if "denied" not in line] == ["500:500"] * 3, found
    assert len([line for line in lines if "denied" in line]) == 7, found


@pytest.mark.parametrize("words", [[], ["--overlay-root"]], ids=["plain", "overlay"])
@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_another_fake_user_executes_what_is_open_to_it(root: str, way: dict[str, str], words: list[str]) -> None:
    """The program, the interpreter of a script, and files that are named by descriptors."""
    shell(root, r"""mkdir t o; cp /bin/busybox t; chmod 700 t/busybox; cp /bin/busybox o; chmod 711 o/busybox
        printf '#!/w/t/busybox sh\necho script\n' > script; chmod 755 script; echo d > data; chmod 644 data
        echo s > secret; chmod 600 secret; chmod 755 .""")
    command, more = helpers.pyroot_command()
    script = """t/busybox echo tool; o/busybox echo open; ./script; echo given | cat /proc/self/fd/0
        exec 3<data; echo more > /proc/self/fd/3; cat secret; echo x > new; id -u"""
    start = [*command, "-r", root, "--userspec", "500:500", "-b", "/proc", "-b", "/dev/null", *words, "-w", "/w"]
    found = helpers.run([*start, "/bin/sh", "-c", f"exec 2>&1\n{script}"], environment={**os.environ, **more, **way})
    lines = found.stdout.splitlines()
    assert [line for line in lines if "denied" not in line] == ["open", "given", "500"], found
    assert len([line for line in lines if "denied" in line]) == 5, found


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
@pytest.mark.parametrize("machine", ["-m64", "-m32"])
def test_a_socket_belongs_to_who_binds_it_and_its_mode_counts(root: str, way: dict[str, str], machine: str) -> None:
    try:
        probe = compile_program([f"{HERE}/socket.c"], "-static", machine, name=f"owners-socket{machine}")
    except BuildError as error:
        pytest.skip(f"gcc {machine} makes no programs here: {str(error)[-80:]}")
    shutil.copy(probe, f"{root}/w/probe")
    give(root)
    script = "mkdir s; chmod 1777 s; umask 022; ./probe s/of-root 0 0 500; ./probe s/of-another 500 500 0 501; stat -c '%u:%g %a' s/*"
    told = shell(root, script, way=way)
    assert told == ("bound 0 0:0 755\nuser 0: 0\nuser 500: 13\n" "bound 0 500:500 755\nuser 500: 0\nuser 0: 0\nuser 501: 13\n"
                    "500:500 600\n0:0 600\n"), told  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="compares with a real root: needs root")
def test_a_socket_is_the_same_for_real_users(root: str) -> None:
    probe = compile_program([f"{HERE}/socket.c"], "-static", name="owners-socket-m64")
    folder = os.path.dirname(root)
    os.chmod(folder, 0o755)
    os.mkdir(f"{folder}/s")
    os.chmod(f"{folder}/s", 0o1777)
    shutil.copy(probe, f"{folder}/probe")
    words = ["sh", "-c", "umask 022; ./probe s/of-root 0 0 500; ./probe s/of-another 500 500 0 501"]
    told = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert told == "bound 0 0:0 755\nuser 0: 0\nuser 500: 13\n" "bound 0 500:500 755\nuser 500: 0\nuser 0: 0\nuser 501: 13\n"
