"""Where a session remembers owners: --fake-root, --load and --save, without a root as well; -R with ids of the session's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyroot import config, options
from pyroot.errors import PyrootError
from tests import helpers
from tests.oracle.build import BuildError, compile_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

MAKE = "umask 022; touch a; chown 5:6 a; chmod 4750 a; mknod n c 1 3; mkdir d; chgrp 9 d; chmod 2770 d; ln -s a l; chown -h 7 l"
LOOK = "stat -c '%n %u:%g %a %t:%T' a n d l"
TOLD = "a 5:6 4750 0:0\nn 0:0 644 1:3\nd 0:9 2770 0:0\nl 7:0 777 0:0\n"
RAW = r"""
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
    struct stat st;
    long made = syscall(SYS_chown, "raw", 31, 32);
    stat("raw", &st);
    printf("%ld %d %u:%u\n", made, getuid(), st.st_uid, st.st_gid);
    return 0;
}
"""


def script(run_pyroot: Callable[..., Result], folder: str, text: str, *words: str) -> Result:
    """Run a script of this machine's shell in a directory, without another root."""
    return run_pyroot([*words, "-w", folder, "/bin/sh", "-c", text])


def test_without_another_root_owners_are_remembered_for_the_session(run_pyroot: Callable[..., Result], guest_directory: str) -> None:
    assert script(run_pyroot, guest_directory, f"{MAKE}; {LOOK}; id -u", "-0").stdout == TOLD + "0\n"
    assert script(run_pyroot, guest_directory, "stat -c '%u:%g %a' a", "-0").stdout == "0:0 750\n"
    assert os.stat(f"{guest_directory}/a").st_uid == helpers.ordinary_user.uid
    assert oct(os.stat(f"{guest_directory}/a").st_mode) == oct(0o100750), "no set-id bits on the disk"


def test_what_is_saved_is_loaded_by_the_next_session(run_pyroot: Callable[..., Result], guest_directory: str) -> None:
    file = f"{guest_directory}/saved"
    made = script(run_pyroot, guest_directory, f"{MAKE}; exit 3", f"--save={file}")
    assert (made.status, made.stderr) == (3, "")
    found = script(run_pyroot, guest_directory, f"{LOOK}; mv a moved; chown 8 d", "-0", "--load", file, "--save", file)
    assert (found.stdout, found.stderr) == (TOLD, "")
    again = script(run_pyroot, guest_directory, "stat -c '%u %a' moved d; rm moved; touch moved; stat -c '%u %a' moved", "--load", file)
    assert again.stdout == "5 4750\n8 2770\n0 644\n"
    assert sorted(os.listdir(guest_directory)) == ["d", "l", "moved", "n", "saved"]


def test_many_records_with_attributes_are_saved_whole(run_pyroot: Callable[..., Result], guest_directory: str) -> None:
    file = f"{guest_directory}/saved"
    many = "i=0; while [ $i -lt 1500 ]; do echo f$i; i=$((i+1)); done | xargs touch; chown 3:4 f*; setfattr -n trusted.t -v v f7"
    if shutil.which("setfattr") is None:
        many = many.partition("; setfattr")[0]
    assert script(run_pyroot, guest_directory, many, "--save", file).stderr == ""
    look = "stat -c %u:%g f* | sort | uniq -c; getfattr -n trusted.t --only-values f7 2>&1"
    found = script(run_pyroot, guest_directory, look, "--load", file)
    assert found.stdout.split() == ["1500", "3:4", *(["v"] if "setfattr" in many else found.stdout.split()[2:])]


def test_owners_in_a_file_are_there_after_a_kill(run_pyroot: Callable[..., Result], pyroot_words: list[str], guest_directory: str) -> None:
    file = f"{guest_directory}/owners"
    words = [*pyroot_words, "-0", f"--fake-root={file}", "-w", guest_directory, "/bin/sh", "-c", f"{MAKE}; echo made; exec sleep 60"]
    process = helpers.start(words, environment={**helpers.pyroot_command()[1], "PATH": os.environ["PATH"]})
    assert process.stdout is not None
    assert process.stdout.readline() == b"made\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert script(run_pyroot, guest_directory, LOOK, "--fake-root", file).stdout == TOLD
    assert script(run_pyroot, guest_directory, "stat -c %u a", "-0").stdout == "0\n"


def test_forget_keeps_nothing_in_the_root(run_pyroot: Callable[..., Result], busybox_root: str, guest_directory: str) -> None:
    root = f"{guest_directory}/r"
    shutil.copytree(busybox_root, root, symlinks=True, ignore=shutil.ignore_patterns(".pyroot"))
    subprocess.run(["chown", "-R", f"{helpers.ordinary_user.uid}", guest_directory], check=True)
    words = ["-r", root, "-w", "/", "/bin/sh", "-c"]
    assert run_pyroot(["--fake-root=forget", *words, "touch /f; chown 5 /f; stat -c %u /f"]).stdout == "5\n"
    assert not os.path.exists(f"{root}/.pyroot")
    file = f"{guest_directory}/elsewhere"
    assert run_pyroot(["-0", f"--fake-root={file}", *words, "chown 5 /f; ls -a /"]).status == 0
    assert not os.path.exists(f"{root}/.pyroot")
    assert run_pyroot(["-0", f"--fake-root={file}", *words, "stat -c %u /f"]).stdout == "5\n"
    assert run_pyroot(["-0", *words, "stat -c %u /f"]).stdout == "0\n"
    other = script(run_pyroot, guest_directory, "id", f"--fake-root={file}")
    assert other.status == 125
    assert "another" in other.stderr


def test_static_programs_with_raw_calls_are_right(run_pyroot: Callable[..., Result], guest_directory: str) -> None:
    """Where fakeroot, which is a library, lies without a word."""
    with open(f"{guest_directory}/raw.c", "w", encoding="ascii") as file:
        file.write(RAW)
    try:
        program = compile_program([f"{guest_directory}/raw.c"], "-static", name="memory-raw")
    except BuildError as error:
        pytest.skip(f"gcc makes no static programs here: {str(error)[-80:]}")
    script(run_pyroot, guest_directory, "touch raw")
    assert script(run_pyroot, guest_directory, f"{program}; stat -c %u:%g raw", "-0").stdout == "0 0 31:32\n31:32\n"


# -- bad input ---------------------------------------------------------------------------------------------------------------------------


def refused(run_pyroot: Callable[..., Result], *words: str) -> str:
    """Run something that must not begin; return the one line that says why, and its hint."""
    done = run_pyroot([*words, "/bin/echo", "ran"])
    assert (done.status, done.stdout) == (125, ""), done
    assert len(done.stderr.splitlines()) <= 2, done.stderr
    return done.stderr


def test_files_that_cannot_be_used_are_found_out_before_the_command_runs(run_pyroot: Callable[..., Result], guest_directory: str) -> None:
    there = f"{guest_directory}/saved"
    assert "no such file or directory" in refused(run_pyroot, f"--load={there}")
    assert "no such file or directory" in refused(run_pyroot, f"--save={guest_directory}/missing/file")
    assert "is a directory" in refused(run_pyroot, f"--fake-root={guest_directory}")
    assert "permission denied" in refused(run_pyroot, "--save=/proc/1/file") or os.geteuid() == 0
    with open(there, "w", encoding="ascii") as file:
        file.write("#mtree\n")
    os.chmod(there, 0o644)
    assert "no file of --save" in refused(run_pyroot, f"--load={there}")


def test_a_file_that_was_cut_short_or_changed_is_not_used(run_pyroot: Callable[..., Result], guest_directory: str) -> None:
    file = f"{guest_directory}/saved"
    script(run_pyroot, guest_directory, MAKE, f"--save={file}")
    with open(file, "rb") as whole:
        data = whole.read()
    for bad in (data[:-1], data[:5000] + b"\xff" + data[5001:], data.replace(b"owners 1", b"owners 9", 1), data[:20]):
        with open(file, "wb") as out:
            out.write(bad)
        assert "damaged" in refused(run_pyroot, f"--load={file}")


def test_what_cannot_be_saved_is_said(run_pyroot: Callable[..., Result], guest_directory: str) -> None:
    done = script(run_pyroot, guest_directory, f"touch a; chown 5 a; mkdir {guest_directory}/saved.new", f"--save={guest_directory}/saved")
    assert done.status == 125
    assert "is a directory" in done.stderr
    assert "lost" in done.stderr


def test_two_ways_to_remember_are_one_too_many() -> None:
    with pytest.raises(PyrootError, match="--fake-root"):
        config.build(options.parse(["--fake-root=x", "--save=y", "ls"]))


# -- -R ----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["-0"], ["-i", "5:6"], ["--userspec=7:8"], ["-u", "7"], ["--groups="], ["--save=/tmp/x"]])
def test_with_ids_of_its_own_the_guest_keeps_its_own_users_below_R(busybox_root: str, words: list[str]) -> None:
    """Otherwise what adduser does in the root would be done to the host's file, which it may not change."""

    def guests(*given: str) -> set[bytes]:
        return {one.guest for one in config.build(options.parse([*given, "ls"])).bindings()}

    assert guests("-R", busybox_root, *words) == guests("-S", busybox_root)
    assert b"/etc/passwd" in guests("-R", busybox_root)
    assert not guests("-R", busybox_root, *words) & {b"/etc/passwd", b"/etc/group", b"/run"}
