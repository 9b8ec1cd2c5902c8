"""Kinds of bindings that show nothing, or something of the session's own: what is masked, links, directories, files."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

    Run = Callable[..., Result]

WAYS = {"gate": {}, "stops": {"PYROOT_NO_GATE": "1"}, "no-filter": {"PYROOT_NO_SECCOMP": "1"}}
GONE = "No such file"
SAID = (GONE, "no such file", "not found", "nonexistent")
CLOSED = "Permission denied"


@pytest.fixture
def ground(busybox_root: str) -> Iterator[str]:
    """Make a directory with a root in it and something to bind, all of it the user's."""
    top = directory_for_user()
    shutil.copytree(busybox_root, f"{top}/root", symlinks=True, ignore=shutil.ignore_patterns(".pyroot"))
    shutil.rmtree(f"{top}/root/tmp", ignore_errors=True)
    for name in ("root/tmp/d/deep", "root/mnt", "host/d/deep"):
        os.makedirs(f"{top}/{name}", exist_ok=True)
    for name in ("root/tmp/f", "root/tmp/d/g", "root/tmp/k", "host/f", "host/d/g"):
        with open(f"{top}/{name}", "w", encoding="ascii") as file:
            file.write("x\n")
    os.link(f"{top}/root/tmp/f", f"{top}/root/tmp/h")
    give(top)
    yield top
    remove(top)


LOOKS = ("cat f", "ls d", "cat d/g", "cat /tmp/d/g", "cat /tmp/f", "cd d", "cat < f", "stat d/deep", "ls /tmp/f", "rm f", "rmdir d",
         "mv f k2", "mv d k2", "ln f k2", "echo y > d/new", "mkdir d/new", "cat ./d/../d/g", "/tmp/f", "readlink f",
         "chmod 600 f")  # fmt: skip
MAKES = ("echo y > f", "mkdir d", "mkdir f", "ln -s k f", "ln k f", "mv k f", "mkfifo f", "touch d", "cp k f")


@pytest.mark.parametrize("way", WAYS)
def test_what_is_masked_is_gone(run_pyroot: Run, ground: str, way: str) -> None:
    words = ["-r", f"{ground}/root", "--mask", "/tmp/f", "--mask", "/tmp/d", "--mask", "/tmp/none"]
    script = "cd /tmp; " + "; ".join(f"(eval '{line}') >/dev/null 2>/tmp/k1; echo $? '{line}:' $(cat /tmp/k1)" for line in (*LOOKS, *MAKES))
    lines = run_pyroot([*words, "/bin/sh", "-c", script], environment=WAYS[way]).stdout.splitlines()
    assert len(lines) == len(LOOKS) + len(MAKES)
    assert not [line for line in lines if line.startswith("0 ")]
    assert not [line for line in lines[:len(LOOKS)] if not any(said in line for said in (*SAID, "readlink"))]
    assert not [line for line in lines[len(LOOKS):] if CLOSED not in line]
    listed = run_pyroot([*words, "/bin/sh", "-c", "cd /tmp; ls; ls -a . | wc -l; find . | sort; cat h"], environment=WAYS[way])
    assert listed.stdout == "h\nk\nk1\n5\n.\n./h\n./k\n./k1\nx\n"
    assert os.listdir(f"{ground}/root/tmp/d")


@pytest.mark.parametrize("kind", ["-b", "--ro-bind", "--tmpfs"])
def test_mask_inside_other_kinds(run_pyroot: Run, ground: str, kind: str) -> None:
    place = "/mnt" if kind == "--tmpfs" else f"{ground}/host:/mnt"
    words = ["-r", f"{ground}/root", kind, place, "--mask", "/mnt/f", "--mask", "/mnt/d/g"]
    script = "cd /mnt; cat f; cat d/g; ls; ls d; echo y > f; mkdir d; echo y > d/g; echo y > d/n; rm -r d; ls"
    done = run_pyroot([*words, "/bin/sh", "-c", script])
    assert done.stderr.count(GONE) >= 2
    assert done.stderr.count(CLOSED) >= 1
    if kind == "-b":
        # (a directory with a masked name in it is not empty)
        assert done.stdout == "d\ndeep\nd\n", done.stderr
        assert os.path.exists(f"{ground}/host/d/g")
        assert sorted(os.listdir(f"{ground}/host")) == ["d", "f"]
    elif kind == "--tmpfs":
        assert done.stdout.splitlines()[-1:] in ([], ["d"])
    else:
        assert done.stdout == "d\ndeep\nd\n"
        assert done.stderr.count("Read-only") >= 2


@pytest.mark.parametrize("way", ["handed over", "alone"])
def test_pyroots_inside_have_masks_and_keep_those_around(run_pyroot: Run, pyroot_words: list[str], ground: str, way: str) -> None:
    inner = [*pyroot_words, "-r", f"{ground}/root", "-b", f"{ground}/host:/mnt", "--mask", "/tmp/d"]
    script = "cat /mnt/f; echo y > /mnt/f; ls /mnt /tmp; cat /tmp/d/g; cat /tmp/f"
    done = run_pyroot(["-r", "/", "--mask", f"{ground}/host/f", *inner, "/bin/sh", "-c", script],
                      environment={} if way == "handed over" else {"PYROOT_NO_HANDOVER": "1"})  # fmt: skip
    assert done.stdout == "/mnt:\nd\n\n/tmp:\nf\nh\nk\nx\n", done.stderr
    assert (done.stderr.count(GONE), done.stderr.count(CLOSED)) == (2, 1)


def test_renaming_the_directory_moves_the_mask_along(run_pyroot: Run, ground: str) -> None:
    done = run_pyroot(["-r", f"{ground}/root", "--mask", "/tmp/d/g", "/bin/sh", "-c", "cd /tmp; mv d e; ls e; cat e/g; echo y > e/g"])
    assert done.stdout == "deep\n"
    assert (done.stderr.count(GONE), done.stderr.count(CLOSED)) == (1, 1)


@pytest.mark.parametrize("way", WAYS)
def test_links_directories_and_files_of_the_session(run_pyroot: Run, ground: str, way: str) -> None:
    words = ["-r", f"{ground}/root", "--symlink", "tmp/d:/here", "--symlink", "/tmp/f:/tmp/link", "--dir", "/tmp/d",
             "--dir", "/new/dir:mode=0700",
             "--file", "0:/etc/motd:mode=0600", "--tmpfs", "/mnt", "--symlink", "../tmp/k:/mnt/up"]  # fmt: skip
    script = ("ls /here; cat /here/g /tmp/link /here/../f /mnt/up; readlink /here; readlink /tmp/link; stat -c %a /new/dir; cat /etc/motd; "
              "stat -c '%a %F' /etc/motd /tmp/link; ls /mnt; cd /here/deep && pwd -P; echo y >> /tmp/link; cat /tmp/f; rm /tmp/link; "
              "mkdir /here; ls -d /here/ 2>&1; cat")  # fmt: skip
    done = run_pyroot([*words, "/bin/sh", "-c", script], environment=WAYS[way], text=b"hello\n")
    assert done.stdout == ("deep\ng\nx\nx\nx\nx\ntmp/d\n/tmp/f\n700\nhello\n600 regular file\n777 symbolic link\nup\n/tmp/d/deep\n"
                           "x\ny\n/here/\n"), done.stderr  # fmt: skip
    assert "busy" in done.stderr
    assert not os.path.lexists(f"{ground}/root/here")
    assert not os.path.lexists(f"{ground}/root/tmp/link")


def test_table_shows_them(run_pyroot: Run, ground: str) -> None:
    words = ["bindings", "-r", f"{ground}/root", "--mask", "/tmp/f", "--symlink", "a/b:/tmp/link"]
    assert run_pyroot(words).stdout == f"/          rw  {os.path.realpath(ground)}/root\n/tmp/f     --\n/tmp/link  rw  a/b\n"
    assert [row["masked"] for row in json.loads(run_pyroot([*words, "--json"]).stdout)] == [False, True, False]


@pytest.mark.parametrize(("words", "says"), [
    (["--symlink", "x:"], "--symlink usr/lib:/lib"),
    (["--symlink", "usr/lib", "/lib", "--proc", "/proc"], "--symlink usr/lib:/lib"),
    (["--ro-bind", "/usr", "/usr", "true"], "--ro-bind /usr:/usr"),
    (["--bind", "/etc", "/usr", "true"], "--bind /etc:/usr"),
    (["--file", "0", "/x", "true"], "--file 0:/x"),
    (["--file", "x:/y"], "no descriptor"),
    (["--file", "77:/y"], "bad file descriptor"),
    (["--dir", ":mode=1"], "is empty"),
    (["--dir", "/x:size=1"], "no option size=1"),
    (["--mask", "/"], "cannot be the root"),
    (["--mask", "/tmp", "-b", "/etc:/tmp/etc"], "/tmp/etc in the guest"),
])  # fmt: skip
def test_what_cannot_be_is_said(run_pyroot: Run, ground: str, words: list[str], says: str) -> None:
    done = run_pyroot(["-r", f"{ground}/root", *words, "/bin/true"])
    assert done.status == 125
    assert says.lower() in done.stderr.lower()
