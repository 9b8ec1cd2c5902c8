"""Owners, modes and devices that are remembered: as fake root the same calls give what real root gets in a real chroot."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.owners import pyroot
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = os.path.dirname(os.path.abspath(__file__)) + "/owners"
WAYS = [{}, {"PYROOT_NO_GATE": "1"}, {"PYROOT_NO_SECCOMP": "1"}]
NAMES = ["gate", "stops", "no-filter"]


@pytest.fixture
def root(busybox_root: str) -> Iterator[str]:
    """Make a root that the ordinary user owns, of one busybox."""
    folder = directory_for_user()
    shutil.copytree(busybox_root, f"{folder}/r", symlinks=True, ignore=shutil.ignore_patterns(".pyroot"))
    os.makedirs(f"{folder}/r/w", exist_ok=True)
    give(folder)
    yield f"{folder}/r"
    remove(folder)


def shell(root: str, script: str, *words: str, store: str | None = None, way: dict[str, str] | None = None,
          owner: tuple[int, ...] = ()) -> str:
    """Run a script of the busybox as fake root; return what it says, on both streams."""
    start = pyroot(f"{root}/.pyroot/owners" if store is None else store, *owner)
    found = helpers.run([*start, "-r", root, *words, "-w", "/w", "/bin/sh", "-c", f"exec 2>&1\n{script}"],
                        environment={**os.environ, **(way or {})})  # fmt: skip
    assert "Traceback" not in found.stderr, found.stderr
    return found.stdout + found.stderr


# -- against real root -------------------------------------------------------------------------------------------------------------------


def real(probe: str, seed: int, count: int, user: int) -> str:
    """Run the probe as root (or another user) in a real chroot."""
    folder = directory_for_user()
    try:
        os.chown(folder, 0, 0)
        os.mkdir(f"{folder}/w")
        os.chown(f"{folder}/w", user, user)
        shutil.copy(probe, f"{folder}/probe")
        code = f"import os; os.chroot({folder!r}); os.chdir('/w'); os.setgroups([]); os.setgid({user}); os.setuid({user}); "
        words = [sys.executable, "-c", code + f"os.execv('/probe', ['probe', '{seed}', '{count}'])"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    finally:
        shutil.rmtree(folder)


def fake(probe: str, seed: int, count: int, user: int, way: dict[str, str]) -> str:
    folder = directory_for_user()
    try:
        os.makedirs(f"{folder}/r/w")
        shutil.copy(probe, f"{folder}/r/probe")
        give(folder)
        owner = (user, user) if user else ()
        start = pyroot(f"{folder}/r/.pyroot/owners", *owner)
        found = helpers.run([*start, "-r", f"{folder}/r", "-w", "/w", "/probe", str(seed), str(count)],
                            environment={**os.environ, **way})  # fmt: skip
        assert (found.status, found.stderr) == (0, "")
        unsafe = subprocess.run(["find", f"{folder}/r", "-perm", "/6000"], capture_output=True, text=True, check=True)
        assert unsafe.stdout == ""
        return found.stdout
    finally:
        remove(folder)


@pytest.mark.oracle
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.geteuid() != 0, reason="compares with a real chroot: needs root")
@pytest.mark.parametrize("machine", ["-m64", "-m32"])
@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_random_calls_of_a_fake_root_give_what_real_root_gets(machine: str, way: dict[str, str]) -> None:
    try:
        probe = compile_program([f"{HERE}/probe.c"], "-static", machine, "-D_FILE_OFFSET_BITS=64", name=f"owners{machine}")
    except BuildError as error:
        pytest.skip(f"gcc {machine} makes no programs here: {str(error)[-80:]}")
    seeds = [int(os.environ["PYROOT_SEED"])] if "PYROOT_SEED" in os.environ else [random.randrange(1 << 30) for _ in range(12)]
    for seed in seeds:
        print("PYROOT_SEED", seed)
        assert fake(probe, seed, 200, 0, way).split("\n") == real(probe, seed, 200, 0).split("\n"), seed


USERS = ["users"]


def both_users(probe: str, seed: int, count: int, way: dict[str, str]) -> list[list[str]]:
    """Run the probe that is now one user and now another: as real root in a real chroot, and with -0."""
    command, more = helpers.pyroot_command()
    outputs = []
    for side in ("real", "fake"):
        folder = directory_for_user()
        try:
            os.makedirs(f"{folder}/r/w")
            os.chmod(f"{folder}/r/w", 0o777)
            shutil.copy(probe, f"{folder}/r/probe")
            words = ["/probe", str(seed), str(count), *USERS]
            if side == "fake":
                give(folder)
                found = helpers.run([*command, "-0", "-r", f"{folder}/r", "-w", "/w", *words], environment={**os.environ, **more, **way},
                                    timeout=900)  # fmt: skip
                assert (found.status, found.stderr) == (0, "")
                unsafe = subprocess.run(["find", f"{folder}/r", "-perm", "/6000"], capture_output=True, text=True, check=True)
                assert unsafe.stdout == ""
                outputs.append(found.stdout.split("\n"))
                continue
            subprocess.run(["chown", "-R", "0:0", folder], check=True)
            code = f"import os; os.chroot({folder + '/r'!r}); os.chdir('/w'); os.setgroups([]); os.execv('/probe', {words!r})"
            outputs.append(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n"))
        finally:
            remove(folder)
    return outputs


@pytest.mark.oracle
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.geteuid() != 0, reason="compares with a real chroot: needs root")
@pytest.mark.parametrize("machine", ["-m64", "-m32"])
@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_random_calls_of_several_fake_users_give_what_real_ones_get(machine: str, way: dict[str, str]) -> None:
    """`PYROOT_SEEDS` says how many programs of `PYROOT_CALLS` calls there are, `PYROOT_SEED` the only one."""
    try:
        probe = compile_program([f"{HERE}/probe.c"], "-static", machine, "-D_FILE_OFFSET_BITS=64", name=f"owners{machine}")
    except BuildError as error:
        pytest.skip(f"gcc {machine} makes no programs here: {str(error)[-80:]}")
    count, calls = int(os.environ.get("PYROOT_SEEDS", "12")), int(os.environ.get("PYROOT_CALLS", "300"))
    seeds = [int(os.environ["PYROOT_SEED"])] if "PYROOT_SEED" in os.environ else [random.randrange(1 << 30) for _ in range(count)]
    for seed in seeds:
        print("PYROOT_SEED", seed)
        real_lines, fake_lines = both_users(probe, seed, calls, way)
        assert fake_lines == real_lines, seed


# -- one by one --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_owners_modes_and_devices_are_remembered_by_the_next_session(root: str, way: dict[str, str]) -> None:
    made = shell(root, """umask 022; touch a b c; chown 5:6 a; chmod 4755 a; chmod 000 b; echo kept > b; mknod n c 1 3; mknod d b 8 1
        mkdir g; chgrp 9 g; chmod 2770 g; mv a moved; ln c l; chown 7 l""", way=way)  # fmt: skip
    assert made == ""
    told = shell(root, "stat -c '%n %u:%g %a %t:%T' *; cat b; echo x > n; wc -c < n; cat d; touch g/f; stat -c %g g/f", way=way)
    assert told.split("\n")[:7] == ["b 0:0 0 0:0", "c 7:0 644 0:0", "d 0:0 644 8:1", "g 0:9 2770 0:0", "l 7:0 644 0:0",
                                    "moved 5:6 4755 0:0", "n 0:0 644 1:3"]  # fmt: skip
    assert told.split("\n")[7:] == ["kept", "0", "cat: can't open 'd': No such device or address", "9", ""]
    on_disk = {name: os.lstat(f"{root}/w/{name}") for name in os.listdir(f"{root}/w")}
    assert {st.st_uid for st in on_disk.values()} == {os.stat(root).st_uid}
    assert {name: oct(stat.S_IMODE(st.st_mode)) for name, st in on_disk.items()} == {
        "b": "0o600", "c": "0o644", "d": "0o0", "g": "0o770", "l": "0o644", "moved": "0o755", "n": "0o0"}  # fmt: skip
    assert shell(root, "rm -r * && ls -a", way=way).split() == [".", ".."]


def test_what_is_closed_on_the_disk_alone_is_open_to_fake_root(root: str) -> None:
    """As Fedora's directories of mode 0555 are, and the packs of git."""
    os.makedirs(f"{root}/w/closed/in")
    os.makedirs(f"{root}/w/read")
    for name, mode in (("closed/file", 0o444), ("read/old", 0), ("closed/in/x", 0o644)):
        with open(f"{root}/w/{name}", "w", encoding="ascii") as file:
            file.write(name)
        os.chmod(f"{root}/w/{name}", mode)
    give(root)
    os.chmod(f"{root}/w/closed/in", 0)
    os.chmod(f"{root}/w/closed", 0)
    os.chmod(f"{root}/w/read", 0o555)
    told = shell(root, """cat closed/file closed/in/x read/old; echo; echo more >> closed/file; touch read/new closed/new; rm read/old
        ls -d closed closed/in read -ln | cut -c1-10; stat -c '%a %s' closed/file; cd closed/in && ls""")  # fmt: skip
    assert told.split("\n") == ["closed/fileclosed/in/xread/old", "d---------", "d---------", "dr-xr-xr-x", "444 16", "x", ""]


def test_below_a_binding_of_the_host_nothing_is_opened_and_only_an_explicit_chmod_is_real(root: str) -> None:
    host = directory_for_user()
    try:
        for name in ("closed", "plain", "other"):
            with open(f"{host}/{name}", "w", encoding="ascii") as file:
                file.write("text\n")
        give(host)
        os.chmod(f"{host}/closed", 0)
        told = shell(root, """cat /h/closed; chmod 4750 /h/plain; chown 5:6 /h/plain /h/other; stat -c '%n %u:%g %a' /h/*
            chmod 4750 /h/plain; stat -c %a /h/plain""", "-b", f"{host}:/h")
        assert told.split("\n")[:-1] == ["cat: can't open '/h/closed': Permission denied", "/h/closed 0:0 0", "/h/other 5:6 644",
                                         "/h/plain 5:6 750", "4750"]  # fmt: skip
        assert oct(os.stat(f"{host}/plain").st_mode) == oct(0o100750)
        assert oct(os.stat(f"{host}/closed").st_mode) == oct(0o100000)
        again = shell(root, "stat -c '%n %u:%g %a' /h/*", "-b", f"{host}:/h")
        assert again.split("\n")[:-1] == ["/h/closed 0:0 0", "/h/other 0:0 644", "/h/plain 0:0 750"], "the session's alone"
        assert sorted(os.listdir(host)) == ["closed", "other", "plain"]
    finally:
        remove(host)


@pytest.mark.parametrize("words", [[], ["-b", "/proc", "-b", "/etc/hosts:/new"]], ids=["plain", "listing"])
def test_guests_never_see_the_store(root: str, words: list[str]) -> None:
    told = shell(root, """touch a; chown 5 a; ls -a / | grep -c pyroot; ls /.pyroot; cd /; cat .pyroot/owners; ls w/../.pyroot
        mkdir /.pyroot; mv /.pyroot /there; find / -maxdepth 1 -name '.pyroot*'""", *words)  # fmt: skip
    assert told.split("\n")[0] == "0"
    assert len([line for line in told.split("\n") if "No such file" in line]) == 4
    assert "mkdir: can't create directory '/.pyroot': Permission denied" in told
    names = shell(root, """cd /; rmdir .pyroot; rm .pyroot; mv .pyroot x; ln .pyroot x
        mv w/a .pyroot; ln w/a .pyroot; ln -s a .pyroot; echo >.pyroot""")  # fmt: skip
    assert ["No such file" in line for line in names.splitlines()] == [True] * 4 + [False] * 4, names
    assert names.count("Permission denied") == 4, names
    assert os.path.exists(f"{root}/.pyroot/owners")
    via = shell(root, "cat /again/.pyroot/owners; ls -a /again | grep -c pyroot", "-b", f"{root}:/again")
    assert via.split("\n")[-2:] == ["0", ""] and "No such file" in via


def test_a_session_without_a_store_forgets(root: str) -> None:
    assert shell(root, "touch a; chown 5:6 a; stat -c '%u:%g %a' a", store="") == "5:6 644\n"
    assert shell(root, "stat -c '%u:%g %a' a", store="") == "0:0 644\n"
    assert not os.path.exists(f"{root}/.pyroot")


def test_two_sessions_see_each_others_changes(root: str) -> None:
    first = subprocess.Popen(
        [*pyroot(f"{root}/.pyroot/owners"), "-r", root, "-w", "/w", "/bin/sh", "-c",
         "touch a go; chown 5 a; while [ -e go ]; do sleep 0.02; done; stat -c %u a"],
        stdout=subprocess.PIPE, text=True, user=helpers.NOBODY if os.geteuid() == 0 else None)  # fmt: skip
    other = "while ! [ -e go ] || [ $(stat -c %u a) != 5 ]; do sleep 0.02; done; chown 6 a; rm go"
    assert shell(root, other) == ""
    assert first.communicate(timeout=30)[0] == "6\n"


def test_another_fake_user_is_judged_by_the_records(root: str) -> None:
    shell(root, "mkdir d t x; echo s > d/s; echo o > d/o; touch t/root x/f")
    # (the default owner is root: what has no record is 0:0)
    shell(root, "chown -R 0:1 /w; chown 500:500 /w/d/o; chmod 600 /w/d/s; chmod 1777 /w/t; chmod 700 /w/x")
    told = shell(root, """cat d/s; cat d/o; echo more > d/s; chmod 644 d/s; chown 500 d/s; touch d/new; rm t/root; cat x/f; ls x; cd x
        chmod 640 d/o; stat -c '%u %a' d/o; chgrp 1 d/o; touch t/mine; stat -c %u t/mine; rm t/mine; mknod t/n c 1 3""",
                 owner=(500, 500))  # fmt: skip
    lines = told.split("\n")
    assert [line for line in lines if "denied" not in line and "permitted" not in line] == ["o", "500 640", "500", ""]
    assert len([line for line in lines if "denied" in line]) == 6, told
    assert len([line for line in lines if "permitted" in line]) == 5, told


def test_a_store_that_cannot_be_used_ends_the_start_with_one_line(root: str) -> None:
    shell(root, "touch a; chown 5 a")
    with open(f"{root}/.pyroot/owners", "r+b") as file:
        file.write(b"nonsense")
    told = shell(root, "echo ran")
    assert "damaged" in told
    assert "ran" not in told


def test_a_change_that_cannot_be_recorded_fails(root: str) -> None:
    shell(root, "touch a b; chown 5 a")
    os.chmod(f"{root}/.pyroot/owners", 0o400)
    if os.geteuid() == 0:
        os.chown(f"{root}/.pyroot/owners", helpers.NOBODY, helpers.NOBODY)
    told = shell(root, "stat -c %u a; chown 6 b; stat -c %u b; chmod 4755 b; stat -c %a b; chmod 600 b; stat -c %a b")
    assert told.split("\n")[:-1] == ["5", "chown: b: Permission denied", "0", "chmod: b: Permission denied", "644", "600"]


def caps(root: str) -> list[str]:
    """Return what tests/owners/caps.c says."""
    try:
        probe = compile_program([f"{HERE}/caps.c"], "-static", name="owners-caps")
    except BuildError as error:
        pytest.skip(f"gcc makes no programs here: {str(error)[-80:]}")
    shutil.copy(probe, f"{root}/w/probe")
    give(root)
    return shell(root, "./probe").split("\n")


def test_capabilities_go_when_a_file_is_opened_for_writing(root: str) -> None:
    """And at a change of owner, as the kernel has it: writes themselves do not stop."""
    assert caps(root)[:6] == ["set 20", "read 20", "opened -61", "set 20", "owner -61", "trusted 1 listed"]


def test_a_default_list_is_kept_and_inherited(root: str) -> None:
    assert caps(root)[6:] == ["default 44 44", ""]


MODES = (0o4755, 0o2711, 0, 0o644, 0o6555, 0o400, 0o1777)


def after(number: int) -> tuple[int, int]:
    """Return owner and mode after a change of tests/owners/toggle.c: a change of owner takes set-id bits."""
    mode = MODES[number // 2 % len(MODES)]
    if number % 2:
        return number // 2 % 60000, mode & ~0o4000 & ~(0o2000 if mode & 0o10 else 0)
    return (number // 2 - 1) % 60000, mode


@pytest.mark.timeout(300)
def test_a_kill_of_the_supervisor_leaves_what_was_before_or_after_the_call(root: str) -> None:
    """What a call has changed is there once it has returned; nothing is half changed, also between the record and the disk."""
    try:
        probe = compile_program([f"{HERE}/toggle.c"], "-static", name="owners-toggle")
    except BuildError as error:
        pytest.skip(f"gcc makes no programs here: {str(error)[-80:]}")
    seed = int(os.environ.get("PYROOT_SEED", random.randrange(1 << 30)))
    print("PYROOT_SEED", seed)
    chance = random.Random(seed)
    shutil.copy(probe, f"{root}/toggle")
    give(root)
    user = helpers.NOBODY if os.geteuid() == 0 else None
    shell(root, "touch f; chown 1:7 f")
    first = 2
    for _turn in range(25):
        words = [*pyroot(f"{root}/.pyroot/owners"), "-r", root, "-w", "/w", "/toggle", str(first)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, user=user, group=user)
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(chance.random() * 0.02)
        process.kill()
        lines = process.stdout.read().splitlines(keepends=True)
        process.stdout.close()
        process.wait()
        last = max([int(line) for line in lines if line.endswith(b"\n")], default=first)
        uid, mode = shell(root, "stat -c '%u %a' f").split()
        assert (int(uid), int(mode, 8)) in (after(last), after(last + 1)), (last, uid, mode)
        # (goes on with a whole pair)
        first = (last + 2) // 2 * 2 + 2
        shell(root, f"chmod 644 f; chown {(first // 2 - 1) % 60000}:7 f")


def test_standard_input_is_the_guest_s_and_what_was_changed_is_written_at_the_end(root: str) -> None:
    start = pyroot(f"{root}/.pyroot/owners")
    found = helpers.run([*start, "-r", root, "-w", "/w", "/bin/sh", "-c", "cat; touch a; chown 5 a"], text=b"given")
    assert (found.stdout, found.status) == ("given", 0)
    with open(f"{root}/.pyroot/owners", "rb") as file:
        assert file.read(64)[52:56] == bytes(4), "it is clean"
