"""Looks, opens and ids that are answered in the gate of a session with owners and ids of its own tell what the supervisor tells.

What another session changes meanwhile is seen by the next look; a task that becomes somebody else is that one at once.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.owners import pyroot
from tests.rootfs_fixtures import directory_for_user, give, remove
from tests.test_gate import Ground, checked, differences, ground, numbers, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

__all__ = ["ground"]
HERE = os.path.dirname(os.path.abspath(__file__)) + "/owners"
NO_GATE = {"PYROOT_NO_GATE": "1"}
FILES = 3000


def program(name: str, *options: str) -> str:
    try:
        return compile_program([f"{HERE}/{name}.c"], "-static", *options, name=f"gate-{name}")
    except BuildError as error:
        pytest.skip(f"gcc makes no programs here: {str(error)[-80:]}")


@pytest.fixture
def root(busybox_root: str) -> Iterator[str]:
    """Make a root that the ordinary user owns, of one busybox and the programs."""
    folder = directory_for_user()
    shutil.copytree(busybox_root, f"{folder}/r", symlinks=True, ignore=shutil.ignore_patterns(".pyroot"))
    os.makedirs(f"{folder}/r/w/closed", exist_ok=True)
    for name in ("race", "who", "keep"):
        shutil.copy(program(name, "-pthread"), f"{folder}/r/w/{name}")
    for name in ("f", "closed/f"):
        with open(f"{folder}/r/w/{name}", "w", encoding="ascii") as file:
            file.write(name)
        os.chmod(f"{folder}/r/w/{name}", 0o644)
    give(folder)
    yield f"{folder}/r"
    remove(folder)


def owned(run_pyroot: Callable[..., Result], root: str, *words: str, way: dict[str, str] | None = None) -> Result:
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", **(way or {})}
    return run_pyroot(["-0", "-r", root, "-w", "/w", "--stats", *words], environment=environment)


# -- the gate's own programs, in a session with owners ------------------------------------------------------------------------------------


def test_calls_in_the_gate_tell_what_the_supervisor_tells(run_pyroot: Callable[..., Result], ground: Ground) -> None:
    words = ["-0", *words_of(ground), "/gate_probe"]
    inside, outside = run_pyroot(words), run_pyroot(words, environment=NO_GATE)
    assert numbers(inside)[1] >= 16 and numbers(outside)[1] == 0
    assert numbers(inside)[0] < numbers(outside)[0] * 0.85
    assert differences(checked(inside), checked(outside)) == []


@pytest.mark.parametrize("mode, rounds", [("handlers", 150), ("jumps", 200), ("fifo", 24), ("threads", 60), ("step", 3)])
def test_signals_find_the_program_and_not_the_gate(run_pyroot: Callable[..., Result], ground: Ground, mode: str, rounds: int) -> None:
    done = run_pyroot(["-0", *words_of(ground, bind=False), "/gate_storm", mode, str(rounds)])
    assert re.search(r"^signals \d+, at calls \d+$", "\n".join(checked(done)), re.M), done.stdout
    assert numbers(done)[1] >= 1


@pytest.mark.parametrize("mode", ["children", "masks", "code", "filter", "strict", "dispatch", "swap"])
def test_programs_in_the_gate_live_as_ever(run_pyroot: Callable[..., Result], ground: Ground, mode: str) -> None:
    done = run_pyroot(["-0", *words_of(ground, bind=False), "/gate_life", mode])
    checked(done)
    assert numbers(done)[1] >= (10 if mode == "code" else 5), done.stderr


def test_nothing_of_the_index_is_seen_in_proc(run_pyroot: Callable[..., Result], ground: Ground) -> None:
    done = run_pyroot(["-0", *words_of(ground, bind=False), "-b", "/proc:/proc", "/gate_life", "maps"])
    lines = checked(done)
    assert not [line for line in lines if "owners" in line or "pyroot-arena" in line or "memfd" in line]


# -- what stops and what does not ---------------------------------------------------------------------------------------------------------


def test_looks_opens_and_ids_of_fake_root_do_not_stop(run_pyroot: Callable[..., Result], root: str) -> None:
    """A walk through many files stops at new sites, and where files have records."""
    for number in range(60):
        os.makedirs(f"{root}/w/tree/{number}")
        for name in "abcdefghij":
            with open(f"{root}/w/tree/{number}/{name}", "w", encoding="ascii") as file:
                file.write("text")
    give(f"{root}/w/tree")
    words = ["-b", "/dev", "/bin/sh", "-c", "ls -lR tree | wc -l; cat tree/*/* | wc -c; id -u; ls -l tree/1/a"]
    inside, outside = owned(run_pyroot, root, *words), owned(run_pyroot, root, *words, way=NO_GATE)
    assert inside.stdout == outside.stdout and inside.stdout.split()[1:3] == ["2400", "0"]
    assert numbers(inside)[0] < 500 and numbers(outside)[0] > 1900, (inside.stderr, outside.stderr)
    owned(run_pyroot, root, "/bin/sh", "-c", "chown -R 5:6 tree/1")
    again = owned(run_pyroot, root, *words)
    assert numbers(again)[0] < 560
    assert " 5        6 " in re.sub(" +", "        ", again.stdout.splitlines()[-1]).replace("        5        6        ", " 5        6 ")


def test_files_with_records_look_the_same_with_and_without_the_gate(run_pyroot: Callable[..., Result], root: str) -> None:
    """Owners, modes, devices, attributes and what is closed; by all ways to look, and by those who may not."""
    owned(run_pyroot, root, "/bin/sh", "-c", """for n in a b c d e g h; do echo $n > $n; done; chown 5:6 a; chmod 4755 b; chmod 0 c
        mknod null c 1 3; mkdir m; chmod 2770 m; touch m/x; chown 7 m/x; ln -s a s; chown -h 8 s; chmod 0 m; mkfifo p; chown 9:9 p
        chmod 100 d; chmod 600 e; chmod 010 g; chmod 70 closed""")
    script = """for n in * */* /bin/sh /; do stat -c '%n %u:%g %a %t:%T %F' $n; stat -L -c '%n %u:%g %a' $n; done; ls -ln . closed m
        for n in *; do for r in r w x; do test -$r $n && echo $r $n; done; done; cat c e null m/x closed/f; id
        ls -a /; ls /.pyroot; cat /.pyroot/owners .pyroot/owners /w/../.pyroot/owners; cd /; stat .pyroot"""
    for ids in (["-0"], ["-i", "500:500"], ["--userspec", "500:500"], ["--userspec", "5:6"]):
        told = []
        for way in ({}, NO_GATE):
            found = run_pyroot([*ids, "-r", root, "-w", "/w", "/bin/sh", "-c", f"exec 2>&1; {script}; {script}"],
                               environment={"PATH": os.defpath, **way})  # fmt: skip
            told.append(found.stdout)
        assert told[0].split("\n") == told[1].split("\n"), ids
        assert "No such file" in told[0] and told[0].count("\n") > 100


def test_changes_that_leave_no_record_do_not_stop(run_pyroot: Callable[..., Result], root: str) -> None:
    done = owned(run_pyroot, root, "/w/keep")
    assert (done.status, done.stdout) == (0, "plain\ndone 0\n"), done.stdout + done.stderr
    # (1,500 changes, and as many looks; those 600 that name a path stop: what the gate may call is open to who jumps there)
    assert numbers(done)[0] < 800, done.stderr
    found = run_pyroot(["owners", "check", root])
    assert found.status == 0, found.stdout + found.stderr


# -- others ------------------------------------------------------------------------------------------------------------------------------


def start(root: str, *words: str) -> subprocess.Popen[bytes]:
    command = [*pyroot(f"{root}/.pyroot/owners"), "-r", root, "-w", "/w", *words]
    return helpers.start(command, environment=dict(os.environ))


def shared_file(root: str) -> str:
    for number in range(FILES):
        with open(f"{root}/w/f.{number}", "w", encoding="ascii"):
            pass
    with open(f"{root}/w/shared", "wb") as file:
        file.write(bytes(4096))
    give(f"{root}/w")
    return f"{root}/w/shared"


def looked(process: subprocess.Popen[bytes]) -> None:
    output, errors = process.communicate(timeout=helpers.TIME_LIMIT)
    assert (process.returncode, output, errors) == (0, b"looked 1 seen 1 bad 0\n", b"")


def test_a_change_by_another_session_is_seen_by_the_next_look(root: str) -> None:
    shared_file(root)
    looker = start(root, "/w/race", "look", str(FILES))
    assert looker.stdout is not None and looker.stdout.readline() == b"ready\n"
    changer = start(root, "/w/race", "change", "0", str(FILES))
    assert changer.wait(helpers.TIME_LIMIT) == 0
    looked(looker)
    assert oct(stat.S_IMODE(os.stat(f"{root}/.pyroot/owners.index").st_mode)) == "0o600"


def test_a_change_whose_session_is_killed_is_seen_or_was_not_made(root: str) -> None:
    """Killed by SIGKILL after a number of changes that the test chooses, again and again."""
    path = shared_file(root)
    looker = start(root, "/w/race", "look", str(FILES))
    assert looker.stdout is not None and looker.stdout.readline() == b"ready\n"
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 4096) as shared:
        for turn in range(1, 9):
            first = int.from_bytes(shared[:4], "little")
            changer = start(root, "/w/race", "change", str(first), str(FILES))
            wanted = FILES * turn // 10
            helpers.wait_until(lambda wanted=wanted: int.from_bytes(shared[:4], "little") >= wanted, what="changes")  # type: ignore[misc]
            changer.kill()
            changer.communicate()
        first = int.from_bytes(shared[:4], "little")
    assert start(root, "/w/race", "change", str(first), str(FILES)).wait(helpers.TIME_LIMIT) == 0
    looked(looker)


@pytest.mark.parametrize("way", [{}, NO_GATE], ids=["gate", "stops"])
def test_who_a_task_is_when_it_or_another_becomes_somebody_else(run_pyroot: Callable[..., Result], root: str, way: dict[str, str]) -> None:
    owned(run_pyroot, root, "/bin/sh", "-c", "chmod 700 closed; chown 7 closed")
    done = owned(run_pyroot, root, "/w/who", way=way)
    assert (done.status, done.stdout) == (0, "done 0\n"), done.stdout + done.stderr


@pytest.mark.parametrize("how", ["cut", "gone", "old"])
def test_an_index_that_is_damaged_between_sessions_is_made_anew(run_pyroot: Callable[..., Result], root: str, how: str) -> None:
    script = "stat -c %u f race; stat -c %u f race; stat -c %u f race"
    owned(run_pyroot, root, "/bin/sh", "-c", "chown 5 f")
    index = f"{root}/.pyroot/owners.index"
    assert os.path.getsize(index) > 4096
    if how == "cut":
        os.truncate(index, 5000)
    elif how == "gone":
        os.unlink(index)
    else:
        with open(index, "r+b") as file:  # (as another boot has left it, with pages missing)
            size = os.path.getsize(index)
            file.seek(16)
            file.write(bytes(size - 16))
    assert owned(run_pyroot, root, "/bin/sh", "-c", script).stdout == "5\n0\n" * 3


def test_an_index_that_cannot_be_used_leaves_looks_to_the_supervisor(run_pyroot: Callable[..., Result], root: str) -> None:
    owned(run_pyroot, root, "/bin/sh", "-c", "chown 5 f")
    os.unlink(f"{root}/.pyroot/owners.index")
    os.mkdir(f"{root}/.pyroot/owners.index")
    give(root)
    done = owned(run_pyroot, root, "/bin/sh", "-c", "for i in 1 2 3; do stat -c %u f race; done; chown 6 race; stat -c %u race")
    assert done.stdout == "5\n0\n" * 3 + "0\n"
    assert "chown: race: Is a directory" in done.stderr
