"""Read-only bindings and directories of a session: what no random program of the oracle reaches, and what users type."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.oracle.build import BuildError, compile_program
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

    Run = Callable[..., Result]

WAYS = {"gate": {}, "stops": {"PYROOT_NO_GATE": "1"}, "no-filter": {"PYROOT_NO_SECCOMP": "1"}}
SAYS = "Read-only file system"
CHANGES = ("echo y > f", "echo y >> f", "echo y > new", ": > d/g", "mkdir e", "rmdir d", "rm f", "mv f g", "ln -s a b", "ln f h",
           "chmod 600 f", "chmod 700 d", "touch f", "touch new", "mkfifo p", "cp f g", "sed -i s/x/y/ f", "truncate -s 0 f",
           "chmod 600 /proc/self/fd/3", "echo y > /proc/self/fd/3", "mv /tmp/k .", "cd d && mkdir ../e", "rm -f /mnt/./d/../f")  # fmt: skip


@pytest.fixture
def ground(busybox_root: str) -> Iterator[str]:
    """Make a directory with a root in it and something to bind, all of it the user's."""
    top = directory_for_user()
    shutil.copytree(busybox_root, f"{top}/root", symlinks=True, ignore=shutil.ignore_patterns(".pyroot"))
    shutil.rmtree(f"{top}/root/tmp", ignore_errors=True)
    for name in ("root/tmp", "root/mnt", "host/d/deep", "other"):
        os.makedirs(f"{top}/{name}", exist_ok=True)
    for name in ("host/f", "host/d/g", "other/o", "root/tmp/k"):
        with open(f"{top}/{name}", "w", encoding="ascii") as file:
            file.write("x\n")
    give(top)
    yield top
    remove(top)


def tree(path: str) -> list[tuple[str, int, int, int]]:
    """Return name, mode, size and time of all that is there."""
    found = []
    for directory, names, files in os.walk(path):
        for name in sorted([*names, *files]):
            st = os.lstat(f"{directory}/{name}")
            found.append((f"{directory}/{name}", st.st_mode, st.st_size, st.st_mtime_ns))
    return found


@pytest.mark.parametrize("way", WAYS)
def test_nothing_below_it_can_be_changed(run_pyroot: Run, ground: str, way: str) -> None:
    before = tree(f"{ground}/host")
    script = "cd /mnt; exec 3<f; " + "; ".join(f"(eval '{change}') 2>/tmp/e && echo 'done: {change}'; cat /tmp/e" for change in CHANGES)
    words = ["-r", f"{ground}/root", "-b", "/proc", "-b", f"{ground}/host:/mnt:ro"]
    done = run_pyroot([*words, "/bin/sh", "-c", script], environment=WAYS[way])
    assert "done:" not in done.stdout
    lines = done.stdout.splitlines()
    # (mv and sed copy where they may not rename, and may say both)
    assert len(lines) >= len(CHANGES) - 1
    assert all(SAYS in line for line in lines), lines
    assert tree(f"{ground}/host") == before
    assert os.path.exists(f"{ground}/root/tmp/k")


def test_statfs_and_the_tables_of_mounts_say_so(run_pyroot: Run, ground: str) -> None:
    words = ["-r", f"{ground}/root", "-b", "/proc", "-b", f"{ground}/host:/mnt:ro", "-b", f"{ground}/other:/tmp"]
    done = run_pyroot([*words, "/bin/sh", "-c", "cat /proc/self/mountinfo; cat /proc/self/mounts"])
    at = {(len(words) > 6, words[4 if len(words) > 6 else 1]): words[5 if len(words) > 6 else 3].split(",")[0]
          for words in map(str.split, done.stdout.splitlines())}
    # mountinfo has at least seven fields
    assert (at[True, "/mnt"], at[True, "/tmp"], at[False, "/mnt"], at[False, "/tmp"]) == ("ro", "rw", "ro", "rw")


def test_root_is_read_only_and_bindings_are_not(run_pyroot: Run, ground: str) -> None:
    script = "echo a > /tmp/a && echo b > /mnt/b; mkdir /x; echo c > /mnt/c && ls /mnt"
    done = run_pyroot(["-r", f"{ground}/root", "--read-only", "-b", f"{ground}/other:/mnt", "/bin/sh", "-c", script])
    assert (done.status, done.stdout) == (0, "c\no\n")
    assert done.stderr.count(SAYS) == 2
    assert sorted(os.listdir(f"{ground}/root/tmp")) == ["k"]


def test_binding_inside_a_read_only_one_can_be_written_to(run_pyroot: Run, ground: str) -> None:
    script = "echo a > /mnt/d/a && cat /mnt/d/a; echo b > /mnt/b; cd /mnt/d && mv a c && mv c ..; ls"
    done = run_pyroot(["-r", f"{ground}/root", "--ro-bind", f"{ground}/host:/mnt", "-b", f"{ground}/other:/mnt/d", "/bin/sh", "-c", script])
    assert done.stdout == "a\nc\no\n"
    assert done.stderr.count(SAYS) == 2


def test_same_directory_bound_twice_is_read_only_by_one_name(run_pyroot: Run, ground: str) -> None:
    script = "cd /tmp; echo a > a && cat /mnt/a; echo b > /mnt/a; exec 3<a 4</mnt/a; chmod 600 /proc/self/fd/3 && chmod 644 /proc/self/fd/4"
    words = ["-r", f"{ground}/root", "-b", "/proc", "-b", f"{ground}/host:/mnt:ro", "-b", f"{ground}/host:/tmp"]
    done = run_pyroot([*words, "/bin/sh", "-c", script])
    assert done.stdout == "a\n"
    assert done.stderr.count(SAYS) == 2
    assert os.stat(f"{ground}/host/a").st_mode & 0o777 == 0o600


@pytest.mark.parametrize("way", ["handed over", "alone"])
def test_a_pyroot_inside_can_show_it_elsewhere_but_not_change_it(run_pyroot: Run, pyroot_words: list[str], ground: str, way: str) -> None:
    """As a bind mount of a read-only bind mount is read-only."""
    inner = [*pyroot_words, "-r", f"{ground}/root", "-b", f"{ground}/host/d:/mnt", "-b", f"{ground}/other:/tmp"]
    script = "echo a > /mnt/a; echo b > /tmp/b; mkdir /mnt/deep/e; rm /mnt/g; ls /mnt /tmp"
    done = run_pyroot(["-r", "/", "-b", f"{ground}/host::ro", *inner, "/bin/sh", "-c", script],
                      environment={} if way == "handed over" else {"PYROOT_NO_HANDOVER": "1"})  # fmt: skip
    assert done.stdout == "/mnt:\ndeep\ng\n\n/tmp:\nb\no\n"
    assert done.stderr.count(SAYS) == 3


@pytest.mark.parametrize("way", ["handed over", "alone"])
def test_a_pyroot_inside_may_have_its_own(run_pyroot: Run, pyroot_words: list[str], ground: str, way: str) -> None:
    inner = [*pyroot_words, "-r", f"{ground}/root", "-b", f"{ground}/host:/mnt:ro"]
    script = "cd /mnt; exec 3<f; echo a > a; chmod 600 f; rm f; test -w f; mkdir /tmp/e; ls"
    done = run_pyroot(["-r", "/", *inner, "/bin/sh", "-c", script], environment={} if way == "handed over" else {"PYROOT_NO_HANDOVER": "1"})
    assert (done.status, done.stdout) == (0, "d\nf\n")
    assert done.stderr.count(SAYS) == 3
    assert os.path.isdir(f"{ground}/root/tmp/e")


FLAGS = """
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        int fd = open(argv[i], O_RDONLY), flags = 0, path = open(argv[i], O_PATH);
        int got = ioctl(fd, FS_IOC_GETFLAGS, &flags);
        int set = got < 0 ? got : ioctl(fd, FS_IOC_SETFLAGS, &flags);
        printf("%d", set < 0 ? errno : 0);
        printf(" %d", fchmod(fd, 0644) < 0 ? errno : 0);
        printf(" %d", fchmod(path, 0644) < 0 ? errno : 0);
        printf(" %d", futimes(fd, 0) < 0 ? errno : 0);
        printf(" %d", fsetxattr(fd, "user.x", "y", 1, 0) < 0 ? errno : 0);
        printf(" %d", ftruncate(fd, 0) < 0 ? errno : 0);
        printf(" %d\\n", open("/proc/self/fd/3", O_RDWR) < 0 ? errno : 0);
    }
    return 0;
}
"""


@pytest.mark.parametrize("machine", ["-m64", "-m32"])
@pytest.mark.parametrize("way", WAYS)
def test_descriptors_are_judged_by_what_they_came_through(run_pyroot: Run, ground: str, way: str, machine: str) -> None:
    source = f"{ground}/flags.c"
    with open(source, "w", encoding="ascii") as file:
        file.write(FLAGS)
    try:
        shutil.copy(compile_program([source], "-static", machine, name=f"flags{machine}"), f"{ground}/root/flags")
    except BuildError as error:
        pytest.skip(f"gcc {machine} makes no programs here: {str(error)[-80:]}")
    words = ["-r", f"{ground}/root", "-b", "/proc", "-b", f"{ground}/host:/mnt:ro", "-b", f"{ground}/other:/tmp"]
    done = run_pyroot([*words, "/flags", "/mnt/f", "/tmp/o"], environment=WAYS[way])
    protected, free = (list(map(int, line.split())) for line in done.stdout.splitlines())
    # EROFS, EBADF for O_PATH; EINVAL for a descriptor that is not for writing; file systems without such flags say so first
    assert protected[0] in (30, 25, 95)
    assert protected[1:] == [30, 9, 30, 30, 22, 30]
    assert (free[1:4], free[5]) == ([0, 9, 0], 22)
    assert free[0] in (0, 25, 95)


WITHOUT_A_PATH = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(sys.argv[1] + "/f", os.O_RDONLY)
value = ctypes.create_string_buffer(b"v")
args = (ctypes.c_uint64 * 2)(ctypes.addressof(value), 1)
empty = 0x1000
calls = {
    "setxattrat": (463, fd, None, empty, b"user.new", args, 16), "setxattrat of a name": (463, fd, b"", empty, b"user.new", args, 16),
    "removexattrat": (466, fd, None, empty, b"user.old"), "removexattrat of a name": (466, fd, b"", empty, b"user.old"),
    "utimensat": (280, fd, None, None, 0), "utimensat of a name": (280, fd, b"", None, empty),
    "fchownat": (260, fd, b"", os.getuid(), os.getgid(), empty), "fchmodat2": (452, fd, b"", 0o600, empty),
}
for name, (number, *rest) in calls.items():
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in rest]
    result = libc.syscall(ctypes.c_long(number), *words)
    print(name, ctypes.get_errno() if result < 0 else 0)
"""


@pytest.mark.parametrize("way", WAYS)
def test_calls_that_name_a_descriptor_only_change_nothing(run_pyroot: Run, ground: str, way: str) -> None:
    with contextlib.suppress(OSError):       # (of a file system without attributes)
        os.setxattr(f"{ground}/host/f", "user.old", b"old")
    before = (tree(f"{ground}/host"), os.listxattr(f"{ground}/host/f"))
    python = shutil.which("python3", path="/usr/bin") or pytest.skip("no python3")
    words = ["-r", "/", "-w", "/", "-b", f"{ground}/host:{ground}/other:ro", python, "-IS", "-c", WITHOUT_A_PATH, f"{ground}/other"]
    done = run_pyroot(words, environment=WAYS[way])
    found = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert len(found) == 8 and set(found.values()) <= {str(errno.EROFS), str(errno.ENOSYS)}, done
    assert found["utimensat"] == str(errno.EROFS)
    assert (tree(f"{ground}/host"), os.listxattr(f"{ground}/host/f")) == before


def test_what_is_tried_may_be_missing(run_pyroot: Run, ground: str) -> None:
    for words in (["-b", f"{ground}/none:/mnt:try"], ["--bind-try", f"{ground}/none:/mnt"], ["-b", f"{ground}/none::ro,try"]):
        assert run_pyroot(["-r", f"{ground}/root", *words, "/bin/true"]).status == 0
    done = run_pyroot(["-r", f"{ground}/root", "--ro-bind", f"{ground}/none:/mnt", "/bin/true"])
    assert done.status == 125
    assert "no such file" in done.stderr.lower()


AS_ROOT = "chown 5 f; chown 0:0 f; chown -h 5 l; chmod 600 f; chmod 4755 f; chgrp 5 d; mknod n c 1 3; chmod 700 d; chown 5 /proc/self/fd/3"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["ro", "read-only", "overlay"])
def test_fake_root_changes_nothing_that_it_only_sees(run_pyroot: Run, ground: str, kind: str, way: str) -> None:
    """Neither modes, owners nor the time of the last change; in an overlay that is so of LOWER."""
    place = f"{ground}/host" if kind == "ro" else f"{ground}/root/mnt"
    if kind != "ro":
        shutil.copytree(f"{ground}/host", place, dirs_exist_ok=True)
    os.symlink("f", f"{place}/l")
    give(ground)
    before = [(name, os.lstat(name).st_ctime_ns, os.lstat(name).st_mode) for name, *_ in tree(place)]
    options = {"ro": ["-b", f"{ground}/host:/mnt:ro"], "read-only": ["--read-only"], "overlay": ["--overlay-root"]}[kind]
    script = f"exec 3<f; {AS_ROOT}; exit 0"
    words = ["-0", "-r", f"{ground}/root", "-b", "/proc", *options, "-w", "/mnt", "/bin/sh", "-c", script]
    result = run_pyroot(words, environment=WAYS[way])
    assert result.status == 0, result
    assert [(name, os.lstat(name).st_ctime_ns, os.lstat(name).st_mode) for name, *_ in tree(place)] == before
    refused = [line for line in result.stderr.splitlines() if "Read-only" in line or "not permitted" in line]
    assert len(refused) >= (1 if kind == "overlay" else 9), result.stderr


def test_directory_of_the_session_is_empty_writable_and_removed(run_pyroot: Run, ground: str) -> None:
    words = ["-r", f"{ground}/root", "--tmpfs", "/tmp", "--tmpfs", "/a/b:mode=0700", "-b", f"{ground}/other:/tmp/o"]
    script = ("stat -c %a /tmp /a/b; ls /tmp; echo x > /tmp/x && mkdir -m 0 /tmp/closed && echo y > /a/b/y"
              "; mv /tmp/x /tmp/y && ls /tmp /a/b")
    for _ in range(2):
        done = run_pyroot([*words, "/bin/sh", "-c", script])
        assert done.stdout == "1777\n700\no\n/a/b:\ny\n\n/tmp:\nclosed\no\ny\n", done.stderr
    assert sorted(os.listdir(f"{ground}/root/tmp")) == ["k"]
    assert not os.path.exists(f"{ground}/root/a")


def test_nothing_of_such_a_directory_is_left(run_pyroot: Run, ground: str) -> None:
    rooms = f"{ground}/rooms"
    os.mkdir(rooms)
    give(rooms)
    words = ["-r", f"{ground}/root", "--tmpfs", "/tmp", "/bin/sh", "-c", "mkdir /tmp/d; echo x > /tmp/d/x; chmod 0 /tmp/d; ls /tmp"]
    assert run_pyroot(words, environment={"XDG_RUNTIME_DIR": rooms}).stdout == "d\n"
    assert os.listdir(rooms) == []


@pytest.mark.parametrize(
    ("value", "says"), [("/tmp:size=1m", "no option size=1m"), ("/tmp:mode=9", "no option mode=9"), (":mode=1", "is empty")]
)
def test_what_such_a_directory_cannot_have_is_said(run_pyroot: Run, ground: str, value: str, says: str) -> None:
    done = run_pyroot(["-r", f"{ground}/root", "--tmpfs", value, "/bin/true"])
    assert done.status == 125
    assert says in done.stderr
