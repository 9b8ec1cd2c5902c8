"""Overlays: what no random program of the oracle reaches (``tests.oracle.run --overlay``), and what users type."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

    Run = Callable[..., Result]

WAYS = {"gate": {}, "stops": {"PYROOT_NO_GATE": "1"}, "no-filter": {"PYROOT_NO_SECCOMP": "1"}}
CHANGES = ("echo new >> f; rm d/g; mkdir n; echo q > n/q; mv x/y n/; rm -r d; echo over > d; chmod 600 k; ln -s f l2; ln k k2; "
           "rm -r e; mkdir e; echo in > e/in; touch -d @1000000 t; : > z")  # fmt: skip


@pytest.fixture
def ground(busybox_root: str) -> Iterator[str]:
    """Make a directory with a root in it and a lower directory, all of it the user's."""
    top = directory_for_user()
    shutil.copytree(busybox_root, f"{top}/root", symlinks=True, ignore=shutil.ignore_patterns(".pyroot"))
    for name in ("root/mnt", "low/d/deep", "low/e", "low/x", "second/d"):
        os.makedirs(f"{top}/{name}", exist_ok=True)
    for name in ("f", "d/g", "x/y", "k", "e/old", "t", "z"):
        with open(f"{top}/low/{name}", "w", encoding="ascii") as file:
            file.write(f"{name}\n")
    for name in ("d/second", "f", "only"):
        with open(f"{top}/second/{name}", "w", encoding="ascii") as file:
            file.write("second\n")
    os.link(f"{top}/low/k", f"{top}/low/same")
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
    return sorted(found)


def shown(run_pyroot: Run, words: list[str], script: str, way: str = "gate") -> str:
    """Run a script in /mnt; it has nothing to complain of."""
    done = run_pyroot([*words, "/bin/sh", "-c", f"cd /mnt && {script}"], environment=WAYS[way])
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_changes_are_in_the_upper_directory_and_stay_there(run_pyroot: Run, ground: str, way: str) -> None:
    before = tree(f"{ground}/low")
    words = ["-r", f"{ground}/root", "--overlay", f"{ground}/low:/mnt:{ground}/up"]
    shown(run_pyroot, words, CHANGES, way)
    assert tree(f"{ground}/low") == before
    seen = "cat f d n/q n/y e/in l2; ls; ls x e n; stat -c %a k; stat -c %Y t; readlink l2; cat k2 same; find . | wc -l"
    assert shown(run_pyroot, words, seen, way) == (
        "f\nnew\nover\nq\nx/y\nin\nf\nnew\nd\ne\nf\nk\nk2\nl2\nn\nsame\nt\nx\nz\ne:\nin\n\nn:\nq\ny\n\nx:\n600\n1000000\nf\nk\nk\n15\n")
    # the format is overlayfs': a device 0:0 hides a name, an attribute all names of a directory
    assert stat.S_ISCHR(os.lstat(f"{ground}/up/x/y").st_mode)
    assert os.getxattr(f"{ground}/up/e", "user.overlay.opaque") == b"y"
    assert not os.path.lexists(f"{ground}/.up.work")


def test_without_an_upper_directory_changes_are_thrown_away(run_pyroot: Run, ground: str) -> None:
    rooms = f"{ground}/rooms"
    os.mkdir(rooms)
    give(rooms)
    before = tree(f"{ground}/root")
    for _ in range(2):
        script = "ls /tmp; echo x > /tmp/new; rm -r /home; ls -d /tmp/new"
        done = run_pyroot(["-r", f"{ground}/root", "--overlay-root", "/bin/sh", "-c", script], environment={"XDG_RUNTIME_DIR": rooms})
        assert (done.stdout, done.stderr) == ("/tmp/new\n", "")
    assert tree(f"{ground}/root") == before
    assert os.listdir(rooms) == []


def test_what_a_killed_session_has_left_is_removed_by_the_next(pyroot_words: list[str], run_pyroot: Run, ground: str) -> None:
    rooms = f"{ground}/rooms"
    os.mkdir(rooms)
    give(rooms)
    words = ["-r", f"{ground}/root", "--overlay-root", "/bin/sh", "-c", "echo x > /tmp/new; echo ready; read line"]
    with helpers.start([*pyroot_words, *words], environment={"XDG_RUNTIME_DIR": rooms, "PATH": os.defpath}, stdin=-1) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        assert [name for name in os.listdir(rooms) if name.startswith("pyroot-glue")]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert run_pyroot([*words[:3], "/bin/true"], environment={"XDG_RUNTIME_DIR": rooms}).status == 0
    assert [name for name in os.listdir(rooms) if name.startswith("pyroot-glue")] == []


def test_a_second_session_is_told_that_the_directory_is_in_use(pyroot_words: list[str], run_pyroot: Run, ground: str) -> None:
    words = ["-r", f"{ground}/root", f"--overlay-root={ground}/up"]
    with helpers.start([*pyroot_words, *words, "/bin/sh", "-c", "echo ready; read line"], stdin=-1) as process:
        assert process.stdout is not None and process.stdin is not None and process.stdout.readline() == b"ready\n"
        second = run_pyroot([*words, "/bin/true"])
        process.stdin.close()
        process.wait()
    assert (second.status, "in use" in second.stderr) == (125, True)
    assert run_pyroot([*words, "/bin/true"]).status == 0


@pytest.mark.parametrize(("upper", "says"), [
    ("low/inside", "one layer would show the other"), (".", "one layer would show the other"), ("low/f", "is not a directory"),
    ("none/up", "cannot be made"), ("/proc/self", "is not"),
])  # fmt: skip
def test_what_cannot_be_an_upper_directory_is_said(run_pyroot: Run, ground: str, upper: str, says: str) -> None:
    if upper == "low/inside":
        os.mkdir(f"{ground}/{upper}")
        give(f"{ground}/{upper}")
    path = upper if upper.startswith("/") else os.path.normpath(f"{ground}/{upper}")
    done = run_pyroot(["-r", f"{ground}/root", "--overlay", f"{ground}/low:/mnt:{path}", "/bin/true"])
    assert done.status == 125
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("way", WAYS)
def test_directories_of_the_lower_layer_are_not_moved(run_pyroot: Run, ground: str, way: str) -> None:
    words = ["-r", f"{ground}/root", "--overlay", f"{ground}/low:/mnt"]
    # (mv copies where it may not rename)
    assert shown(run_pyroot, words, "mv d moved; ls moved; test ! -e d; mkdir n; mv n n2; ls -d n2", way) == "deep\ng\nn2\n"


@pytest.mark.parametrize("way", WAYS)
def test_numbers_of_files_survive_the_copy(run_pyroot: Run, ground: str, way: str) -> None:
    words = ["-r", f"{ground}/root", "--overlay", f"{ground}/low:/mnt:{ground}/up"]
    script = "stat -c %i f d; echo x >> f; touch d/new; mv f f2; stat -c %i f2 d; ls -i | sed -n 's/ *\\([0-9]*\\) f2/\\1/p'; stat -c %h d"
    first, second, third, fourth, fifth, links = shown(run_pyroot, words, script, way).split()
    assert (first, second, first, links) == (third, fourth, fifth, "1")
    assert shown(run_pyroot, words, "stat -c %i f2 d", way).split() == [first, second]


def test_descriptor_from_before_a_copy_reads_the_lower_file(run_pyroot: Run, ground: str) -> None:
    words = ["-r", f"{ground}/root", "-b", "/proc", "--overlay", f"{ground}/low:/mnt"]
    script = "exec 3<f; echo new >> f; cat <&3; cat f; stat -L -c %s /proc/self/fd/3; chmod 600 /proc/self/fd/3; stat -c %a f"
    assert shown(run_pyroot, words, script).splitlines()[:3] == ["f", "f", "new"]
    assert os.stat(f"{ground}/low/f").st_mode & 0o777 == 0o644


@pytest.mark.parametrize("way", WAYS)
def test_errors_are_those_of_overlayfs(run_pyroot: Run, ground: str, way: str) -> None:
    script = "cd /mnt; chmod 600 d; cd d; rmdir x; mv e x/y/z; echo x > n/; ln e n; rmdir f"
    words = ["-r", f"{ground}/root", "--overlay", f"{ground}/low:/mnt", "/bin/sh", "-c", script]
    told = run_pyroot(words, environment=WAYS[way]).stderr.lower()
    assert [what for what in ("permission denied", "not empty", "is a directory", "not a directory") if what not in told] == [], told
    assert "read-only" not in told


def test_several_lower_directories_are_one_tree(run_pyroot: Run, ground: str) -> None:
    before = tree(f"{ground}/low"), tree(f"{ground}/second")
    words = ["-r", f"{ground}/root", "--overlay", f"{ground}/second:{ground}/low:/mnt:"]
    script = "cat f only; ls d; cat d/g d/second; rm f d/g; ls; ls d; echo x > d/g; cat d/g; cd d; ls; cat second"
    assert shown(run_pyroot, words, script) == (
        "second\nsecond\ndeep\ng\nsecond\nd/g\nsecond\nd\ne\nk\nonly\nsame\nt\nx\nz\ndeep\nsecond\nx\ndeep\ng\nsecond\nsecond\n")
    assert (tree(f"{ground}/low"), tree(f"{ground}/second")) == before


def test_other_kinds_inside_an_overlay(run_pyroot: Run, ground: str) -> None:
    words = ["-r", f"{ground}/root", "--overlay", f"{ground}/low:/mnt", "--mask", "/mnt/f", "--ro-bind", f"{ground}/second:/mnt/d",
             "--tmpfs", "/mnt/x", "--symlink", "k:/mnt/link"]  # fmt: skip
    done = run_pyroot([*words, "/bin/sh", "-c", "cd /mnt; ls; ls d x; cat link; cat f; echo x > d/n; echo x > f; touch new; ls"])
    assert done.stdout == "d\ne\nk\nlink\nsame\nt\nx\nz\nd:\nd\nf\nonly\n\nx:\nk\nd\ne\nk\nlink\nnew\nsame\nt\nx\nz\n"
    assert [word in done.stderr for word in ("No such file", "Read-only", "Permission denied")] == [True] * 3


def changed(run_pyroot: Run, ground: str) -> str:
    """Let a session change something; return its UPPER."""
    shown(run_pyroot, ["-r", f"{ground}/root", "--overlay", f"{ground}/low:/mnt:{ground}/up"], CHANGES)
    return f"{ground}/up"


def test_diff_tells_what_has_changed(run_pyroot: Run, ground: str) -> None:
    upper = changed(run_pyroot, ground)
    listed = run_pyroot(["overlay", "diff", upper])
    assert listed.stdout.splitlines() == [
        "M /d", "A /e/in", "D /e/old", "M /f", "M /k", "A /k2", "A /l2", "A /n", "A /n/q", "A /n/y", "D /x/y", "M /z"]  # fmt: skip
    rows = json.loads(run_pyroot(["overlay", "diff", "--json", upper]).stdout)
    assert [f"{row['change']} {row['path']}" for row in rows] == listed.stdout.splitlines()


def test_commit_applies_everything(run_pyroot: Run, ground: str) -> None:
    upper = changed(run_pyroot, ground)
    seen = "find . | sort; cat f d n/q n/y e/in l2 k; stat -c %a k; stat -c %Y t"
    wanted = shown(run_pyroot, ["-r", f"{ground}/root", "--overlay", f"{ground}/low:/mnt:{upper}"], seen)
    assert run_pyroot(["overlay", "commit", upper]).status == 0
    assert shown(run_pyroot, ["-r", f"{ground}/root", "-b", f"{ground}/low:/mnt"], seen) == wanted
    assert os.listdir(upper) == []
    assert not [name for name in os.listdir(ground) if name.startswith(".")]


def test_commit_that_fails_changes_nothing(run_pyroot: Run, ground: str) -> None:
    upper = changed(run_pyroot, ground)
    os.chmod(f"{ground}/low/x", 0o555)
    before = tree(f"{ground}/low")
    done = run_pyroot(["overlay", "commit", upper])
    if os.geteuid() != 0 or done.status:
        assert (done.status, "nothing has been changed" in done.stderr) == (125, True)
        assert tree(f"{ground}/low") == before
        assert "M /f" in run_pyroot(["overlay", "diff", upper]).stdout


def test_discard_leaves_nothing(run_pyroot: Run, ground: str) -> None:
    upper, before = changed(run_pyroot, ground), tree(f"{ground}/low")
    assert run_pyroot(["overlay", "discard", upper]).status == 0
    assert sorted(os.listdir(ground)) == ["low", "root", "second"]
    assert tree(f"{ground}/low") == before


@pytest.mark.parametrize(("words", "says"), [
    (["diff"], "no UPPER given"), (["show", "up"], "which of diff, commit and discard"), (["diff", "low"], "is no UPPER"),
    (["diff", "none"], "No such file"), (["commit", "a", "b"], "unexpected word"),
])  # fmt: skip
def test_what_the_verb_cannot_do_is_said(run_pyroot: Run, ground: str, words: list[str], says: str) -> None:
    done = run_pyroot(["overlay", *(f"{ground}/{word}" if word in ("low", "none", "up") else word for word in words)])
    assert done.status == 125
    assert says.lower() in done.stderr.lower()
