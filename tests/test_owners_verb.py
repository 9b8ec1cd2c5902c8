"""`pyroot owners`: what is remembered is saved, loaded, found again in a copy, and forgotten with the files."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.owners import pyroot
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE = """umask 022; mkdir d; touch a d/b 'with space'; chown 5:6 a; chmod 4755 d/b; mknod n c 1 3; chown 7 'with space'; ln -s a l
chown -h 8 l; mkdir s; chgrp 9 s; chmod 2750 s; touch first; chown 11 first; mv first second
mkdir e; touch e/f; chown 12 e/f; mv e moved"""
LOOK = "stat -c '%n %u:%g %a %t:%T' a d/b n l s 'with space' second moved/f"
TOLD = ["a 5:6 644 0:0", "d/b 0:0 4755 0:0", "n 0:0 644 1:3", "l 8:0 777 0:0", "s 0:9 2750 0:0", "with space 7:0 644 0:0",
        "second 11:0 644 0:0", "moved/f 12:0 644 0:0"]  # fmt: skip


@pytest.fixture
def root(busybox_root: str) -> Iterator[str]:
    folder = directory_for_user()
    shutil.copytree(busybox_root, f"{folder}/r", symlinks=True, ignore=shutil.ignore_patterns(".pyroot"))
    os.makedirs(f"{folder}/r/w", exist_ok=True)
    give(folder)
    assert shell(f"{folder}/r", MADE) == ""
    yield f"{folder}/r"
    remove(folder)


def shell(root: str, script: str) -> str:
    found = helpers.run([*pyroot(f"{root}/.pyroot/owners"), "-r", root, "-w", "/w", "/bin/sh", "-c", f"exec 2>&1\n{script}"])
    return found.stdout + found.stderr


def owners(*words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    command, extra = helpers.pyroot_command()
    user = helpers.NOBODY if os.geteuid() == 0 else None
    return subprocess.run([*command, "owners", *words], capture_output=True, text=True, input=given, check=False, user=user, group=user,
                          env={**os.environ, **extra}, cwd="/")  # fmt: skip


def test_what_is_saved_is_loaded_into_a_copy(root: str) -> None:
    saved = owners("save", root)
    assert (saved.returncode, saved.stderr) == (0, "")
    assert "./w/d/b type=file mode=4755 uid=0 gid=0\n" in saved.stdout
    assert "./w/n type=char mode=0644 uid=0 gid=0 device=linux,1,3\n" in saved.stdout
    assert "./w/with\\040space type=file mode=0644 uid=7 gid=0\n" in saved.stdout
    copy = f"{os.path.dirname(root)}/copy"
    shutil.copytree(root, copy, symlinks=True, ignore=shutil.ignore_patterns(".pyroot", "n"))
    give(copy)
    loaded = owners("load", copy, given=saved.stdout)
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert shell(copy, LOOK).split("\n")[:-1] == TOLD
    assert owners("save", copy).stdout == saved.stdout


def test_a_copied_root_is_refused_and_its_files_are_found_again(root: str) -> None:
    copy = f"{os.path.dirname(root)}/copy"
    subprocess.run(["cp", "-a", root, copy], check=True)
    assert "another directory" in shell(copy, LOOK)
    found = owners("check", "--repair", copy)
    assert (found.returncode, found.stderr) == (0, "")
    assert "8 files have been found again by their paths, 0 have not" in found.stdout
    assert shell(copy, LOOK).split("\n")[:-1] == TOLD
    os.rename(copy, copy + "-moved")
    assert shell(copy + "-moved", LOOK).split("\n")[:-1] == TOLD, "a root that is moved keeps them"


def test_what_is_gone_is_forgotten(root: str) -> None:
    os.unlink(f"{root}/w/a")
    shutil.rmtree(f"{root}/w/moved")
    assert "2 records are of files that are gone" in owners("check", root).stdout
    found = owners("gc", root)
    assert (found.stdout, found.returncode) == ("2 of 8 records are forgotten\n", 0)
    assert "gone" not in owners("check", root).stdout
    assert shell(root, LOOK).split("\n")[:-1].count("d/b 0:0 4755 0:0") == 1
    assert sorted(os.listdir(f"{root}/.pyroot")) == ["owners", "owners.1.tail", "owners.index"]


def test_what_is_whole_of_a_damaged_store_is_kept(root: str) -> None:
    with open(f"{root}/.pyroot/owners", "r+b") as file:
        file.write(b"nonsense")
    found = owners("check", root)
    assert (found.returncode, found.stderr.count("\n")) == (125, 1)
    assert "damaged" in found.stderr
    assert "was damaged" in owners("check", "--repair", root).stdout
    assert shell(root, LOOK).split("\n")[:-1] == TOLD


def test_attributes_of_other_programs_are_read_and_written_on_request(root: str) -> None:
    try:
        os.setxattr(f"{root}/w/second", "user.containers.override_stat", b"33:44:4711")
        os.setxattr(f"{root}/w/moved/f", "user.rootlesscontainers", b"\x08\xe8\x07\x10\x05")
    except OSError:
        pytest.skip("no user attributes here")
    assert owners("load", "--xattrs", root).returncode == 0
    assert shell(root, "stat -c '%u:%g %a' second moved/f").split("\n")[:-1] == ["33:44 4711", "1000:5 644"]
    owners("save", "--xattrs", root)
    assert os.getxattr(f"{root}/w/d/b", "user.containers.override_stat") == b"0:0:4755"


@pytest.mark.parametrize(("words", "says"), [
    ([], "which of save, load, check and gc"), (["what"], "unknown"), (["save"], "no root"), (["gc", "/a", "/b"], "unexpected"),
    (["save", "/nowhere"], "no such file"), (["load", "/tmp", "/nowhere"], "no such file"),
])  # fmt: skip
def test_mistakes_are_one_line(words: list[str], says: str) -> None:
    found = owners(*words)
    assert found.returncode != 0
    assert says in found.stderr.split("\n")[0]
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("line", ["nonsense", "./a type=file mode=9 uid=0 gid=0", "../a type=file mode=0644 uid=0 gid=0",
                                  "./a type=odd mode=0644 uid=0 gid=0", "./a type=file mode=0644 uid=-1 gid=0"])  # fmt: skip
def test_a_line_that_is_none_is_named(root: str, line: str) -> None:
    found = owners("load", root, given=f"#mtree\n{line}\n")
    assert found.returncode != 0
    assert "line 2" in found.stderr
