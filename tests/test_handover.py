"""pyroot inside pyroot: the outer supervisor serves the inner view, and nobody can tell it from two supervisors.

The oracle is the same command with ``PYROOT_NO_HANDOVER``, where the inner pyroot traces by itself, or a single pyroot.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.helpers import Result
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import PROGRAMS, script
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}
SEED = int(os.environ.get("PYROOT_TEST_SEED", "0")) or 20261122

LOOK = """exec 2>&1
ls -a / /mnt /src /src/deep
cat /etc/motd /mnt/text /src/deep/text
cd /mnt && pwd && cd .. && pwd
cd /src/deep && /bin/busybox pwd && cd .. && /bin/busybox pwd
ln /mnt/text /tmp/x
ln /src/deep/text /src/x
rmdir /mnt
rmdir /src/deep
mv /src/deep /src/deeper
rm /etc/motd
mkdir /mnt
echo new >/mnt/new && cat /src/deep/new && rm /src/deep/new
for f in exe cwd root; do readlink /proc/self/$f; done
grep -o ' /.*' /proc/self/maps | sort -u
cut -d' ' -f2 /proc/self/mounts
grep -e TracerPid -e Seccomp /proc/self/status
for f in exe cwd root; do readlink /proc/$OUTSIDE/$f; done
ls /proc/$OUTSIDE/cwd/ /proc/$OUTSIDE/root/
cat /proc/$OUTSIDE/environ | wc -c
readlink /proc/self/fd/9
cat <&9
cd /nowhere; echo $?
kill -9 $PPID; echo kill $?
find / -xdev -maxdepth 2 | sort
(exit 5); echo $?
"""


class Nest:
    """Run commands in pyroots inside each other; ``root`` is the innermost one's, ``data`` and ``source`` are bound into it."""

    def __init__(self, words: list[str], root: str, data: str, source: str) -> None:
        self.words, self.root, self.data, self.source = words, root, data, source

    def outer(self, *options: str) -> list[str]:
        """Return the words of a pyroot that shows the host's root."""
        return [*self.words, "-r", "/", *options, "-w", "/"]

    def inner(self, *command: str) -> list[str]:
        """Return the words of the inner pyroot."""
        return [*self.words, "-r", self.root, "-b", f"{self.source}:/src", "-b", "/proc", "-b", "/dev/null", "-w", "/", *command]

    def bound(self) -> list[str]:
        """Return options of an outer pyroot that bind into the inner one's root and into what it binds."""
        pairs = ((self.data, f"{self.root}/mnt"), (f"{self.data}/text", f"{self.root}/etc/motd"), (self.data, f"{self.source}/deep"))
        return [word for pair in pairs for word in ("-b", ":".join(pair))]

    def run(self, words: list[str], traced: bool = False, **options: str) -> Result:
        """Run it; ``traced``: without the handover."""
        switch = {"PYROOT_NO_HANDOVER": "1"} if traced else {}
        return helpers.run(words, environment={**helpers.pyroot_command()[1], **ENVIRONMENT, **switch, **options})


@pytest.fixture(scope="module")
def inner_root(busybox_root: str) -> Iterator[str]:
    """Make a root that may be moved."""
    parent = directory_for_user()
    root = f"{parent}/r"
    shutil.copytree(busybox_root, root, symlinks=True)
    # (other tests have the same root, and may have left something)
    shutil.rmtree(f"{root}/tmp")
    os.mkdir(f"{root}/tmp")
    os.mkdir(f"{root}/sub")
    script(f"{root}/marker", "root\n", 0o644)
    script(f"{root}/sub/marker", "sub\n", 0o644)
    script(f"{root}/look", LOOK)
    os.symlink("/", f"{root}/out")
    os.chmod(f"{root}/tmp", 0o1777)
    give(parent)
    yield root
    remove(parent)


@pytest.fixture
def nest(pyroot_words: list[str], inner_root: str) -> Iterator[Nest]:
    """Make the directories that are bound."""
    data, source = directory_for_user(), directory_for_user()
    script(f"{data}/text", "data\n", 0o644)
    give(data)
    give(source)
    if missing := helpers.have("pgrep", "setsid"):
        pytest.skip(f"not installed: {', '.join(missing)}")
    yield Nest(pyroot_words, inner_root, data, source)
    remove(data)
    remove(source)


def probe(nest: Nest) -> None:
    """Put the program that makes the requests itself into the root."""
    try:
        shutil.copy(compile_program([f"{PROGRAMS}/handed_probe.c"], "-static", name="handed"), f"{nest.root}/handed")
    except BuildError as error:
        pytest.skip(str(error))


# --- the same as with two supervisors -------------------------------------------------------------------------------------


def test_everything_looks_as_with_two_supervisors(nest: Nest) -> None:
    """Bindings of the outer view below the inner root and below its bindings, /proc, outer guests, descriptors from outside."""
    # what is told of the sleeper depends on how far it is
    ready = "until grep -q sleep /proc/$OUTSIDE/cmdline; do :; done"
    shell = ["/bin/sh", "-c", f'sleep 50 & export OUTSIDE=$!; {ready}; exec 9</etc/hostname; "$@"; echo $?; kill $OUTSIDE', "sh"]
    words = [*nest.outer(*nest.bound()), *shell, *nest.inner("/bin/sh", "/look")]
    found = [re.sub(r"[0-9]{2,}", "N", nest.run(words, traced).stdout) for traced in (False, True)]
    assert found[0] == found[1]
    assert "\n/src/deep\n/src\nln: /tmp/x: Invalid cross-device link\n" in found[0]
    assert "kill 1" in found[0]


@pytest.mark.parametrize("command", [
    ["/bin/sh", "-c", "exit 7"], ["/bin/sh", "-c", "kill -TERM $$"], ["/nothing"], ["nothing"], ["/etc"], ["/etc/passwd"],
    ["/bin/sh", "-c", "(sleep 1; echo late) & echo soon; exit 3"], ["/bin/sh", "-c", "trap 'echo caught; exit 9' USR1; kill -USR1 $$"]])
def test_status_and_messages_are_those_of_one_pyroot(nest: Nest, command: list[str]) -> None:
    """What cannot be started, what a signal ends, what leaves others behind."""
    assert nest.run([*nest.outer(), *nest.inner(*command)]) == nest.run(nest.inner(*command))


@pytest.mark.parametrize("traced", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_five_levels(nest: Nest, traced: bool) -> None:
    """Each hands its view to the one that serves it already; by themselves they only get slower."""
    levels = nest.outer() * (4 if not traced else 3)
    result = nest.run([*levels, *nest.inner("/bin/sh", "-c", "cat /marker; (exit 4); echo $?; ls /sub; kill -INT $$")], traced)
    assert result == Result(130, "root\n4\nmarker\n", "")


def test_without_a_filter(nest: Nest) -> None:
    """Where the outer one has none either, the view is served; where it has one, each keeps to what it was told."""
    command = nest.inner("/bin/sh", "-c", "ls /src /sub; cat /marker; exit 3")
    single = nest.run(command)
    assert nest.run([*nest.outer(*nest.bound()), *command], PYROOT_NO_SECCOMP="1").status == 3
    mixed = ["/usr/bin/env", "PYROOT_NO_SECCOMP=1", *command]
    assert nest.run([*nest.outer(), *mixed]) == single


# --- lives and deaths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [1, 2])
def test_killed_pyroot_leaves_no_guest(nest: Nest, levels: int) -> None:
    """kill -9 of the outermost inner pyroot ends all below it, those that have left their session too; its fellows go on."""
    guest = "(setsid sleep 713 &); setsid sleep 713 & touch /src/up; wait"
    inner = [*nest.outer() * (levels - 1), *nest.inner("/bin/sh", "-c", guest)]
    text = ('"$@" & pid=$!; until test -e $UP; do sleep 0.01; done; sleep 724 & other=$!; kill -9 $pid; wait $pid; echo $?; '
            "while pgrep -f '^sleep 713' >/dev/null; do sleep 0.01; done; echo gone; kill $other && echo other")
    result = nest.run([*nest.outer(), "/bin/sh", "-c", text, "sh", *inner], UP=f"{nest.source}/up")
    assert (result.status, result.stdout) == (0, "137\ngone\nother\n")


def test_kill_on_exit_kills_those_inside_only(nest: Nest) -> None:
    """--kill-on-exit of the inner pyroot."""
    inner = nest.inner("/bin/sh", "-c", "setsid sleep 617 & exit 6")
    inner.insert(len(nest.words), "--kill-on-exit")
    text = 'sleep 628 & other=$!; "$@"; echo $?; pgrep -f "^sleep 617"; kill $other && echo other'
    assert nest.run([*nest.outer(), "/bin/sh", "-c", text, "sh", *inner]).stdout == "6\nother\n"


def test_signal_to_the_inner_pyroot_reaches_its_command(nest: Nest) -> None:
    """The inner pyroot passes it on, also when it comes while nothing else happens; that of a guest to its group comes once."""
    # (it may come before the shell waits: then a sleep has to end)
    guest = "n=0; trap 'echo caught; n=1' TERM; touch /src/up; while [ $n -lt 1 ]; do sleep 5 & wait $!; done; exit 4"
    inner = nest.inner("/bin/sh", "-c", guest)
    inner.insert(len(nest.words), "--kill-on-exit")
    text = '"$@" & pid=$!; until test -e $UP; do sleep 0.01; done; kill -TERM $pid; wait $pid; echo $?'
    result = nest.run([*nest.outer(), "/bin/sh", "-c", text, "sh", *inner], UP=f"{nest.source}/up")
    assert result.stdout == "caught\n4\n"
    group = "n=0; trap 'n=$((n+1))' TERM; i=0; while [ $i -lt 50 ]; do kill -TERM 0; i=$((i+1)); done; /bin/true; echo $n"
    words = ["setsid", "-w", *nest.inner("/bin/sh", "-c", group)]
    assert nest.run([*nest.outer(), *words]) == Result(0, "50\n", "")


def test_view_follows_renames_of_outer_guests(nest: Nest) -> None:
    """The inner root moves with the directory that it is, and what is bound is kept when its name is gone."""
    inner = nest.inner("/bin/sh", "-c", "touch /src/up; until test -e /src/moved; do sleep 0.01; done; pwd; cat /marker; ls /src/deep")
    text = ('"$@" & pid=$!; until test -e $S/up; do sleep 0.01; done; mv $R $R.new; touch $S/moved; wait $pid; echo $?; mv $R.new $R')
    words = [*nest.outer(*nest.bound()), "/bin/sh", "-c", text, "sh", *inner]
    assert nest.run(words, S=nest.source, R=nest.root) == Result(0, "/\nroot\ntext\n0\n", "")


def test_renames_inside_the_inner_view(nest: Nest) -> None:
    """Directories above its mount points, and the directory that another binding of it shows."""
    text = ("mkdir -p /tmp/a/b /src/s && mv /tmp/a /tmp/c && ls /tmp/c/b/m && mv /src/s /src/t && touch /tmp/c/b/m/t/new && ls /src/t; "
            "mv /src/t /src/s; rm -r /src/s /tmp/c/b/x 2>&1; cd /tmp/c/b/m && pwd; rm -f /tmp/c/b/m/*; cd /; mv /tmp/c /tmp/a")
    inner = [*nest.words, "-r", nest.root, "-b", f"{nest.source}:/src", "-b", f"{nest.source}:/tmp/a/b/m", "-w", "/", "/bin/sh", "-c", text]
    os.makedirs(f"{nest.root}/tmp/a/b", exist_ok=True)
    give(os.path.dirname(nest.root))
    single = nest.run(inner)
    assert nest.run([*nest.outer(), *inner]) == single
    assert single.stdout.startswith("s\nnew\n"), single


def test_tracer_around_the_inner_pyroot(nest: Nest) -> None:
    """Strace -f of an outer guest follows through the inner pyroot to its command, whose parent it cannot be traced by."""
    if helpers.have("strace"):
        pytest.skip("not installed: strace")
    words = ["strace", "-f", "-e", "trace=execve", "-o", f"{nest.data}/trace", *nest.inner("/bin/sh", "-c", "/bin/cat /marker; exit 3")]
    assert nest.run([*nest.outer(), *words]) == Result(3, "root\n", "")
    with open(f"{nest.data}/trace", encoding="utf-8") as file:
        assert re.search(r'execve\("/bin/cat", \["/bin/cat", "/marker"\]', file.read())


# --- a text that is not to be trusted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "answer"), [
    ("/marker /sub /", "sub\n"), ("/s/marker / / /sub /s", "sub\n"), ("/bound/marker / / /sub /bound", "sub\n"),
    ("/s/text / / /bound /s", "data\n"), ("/bound/text / /", "data\n"), ("/../../../marker /sub /", "sub\n"),
    ("/out/marker / /", "root\n"), ("/s/text / / /out/bound /s", "data\n"), ("/bound/text /sub /", "open -2\n"),
    ("/marker /sub/../.. /", "hand -22\n"), ("/marker /sub /x", "hand -22\n"), ("/marker /sub / /sub /a/../b", "hand -22\n"),
    ("/s/hostname / / /etc/hostname /s", "hand -2\n"), ("/marker /nothing /", "hand -2\n"), ("/marker /marker /", "hand -20\n"),
    ("/marker / / /sub /out/a/b", "hand -95\n"), ("/x / / /proc/self/root /x", "hand -95\n"), ("/x / / /proc/self/cwd /x", "hand -95\n"),
    ("/x/marker / / /proc/self/root/sub /x", "sub\n"), ("/marker", "hand -22\n")])
def test_view_names_only_what_its_giver_sees(nest: Nest, words: str, answer: str) -> None:
    """Paths are walked in the outer view; links on the way to a mount point, and paths in another form, are refused."""
    probe(nest)
    options = ["-r", nest.root, "-b", f"{nest.data}:/bound", "-b", "/proc", "-w", "/"]
    assert nest.run([*nest.words, *options, "/handed", "view", *words.split()]) == Result(0, answer, "")


def test_view_belongs_to_its_giver_and_its_children(nest: Nest) -> None:
    """Who may enter, end, ask."""
    probe(nest)
    result = nest.run([*nest.words, "-r", nest.root, "-w", "/", "/handed", "late", "/sub", "/"])
    assert result == Result(0, "numbers 1, has 0, of another -3\nenter oneself -1\nenter -1\nend that of the parent -3\n"
                               "enter twice 0 -1\nenter beside -1\nenter -1\nover 0 -3, unknown request -3\n", "")


@pytest.mark.parametrize("options", [[], ["-b", "/proc"]])
def test_mutated_texts(nest: Nest, options: list[str]) -> None:
    """Nothing outside is read, nothing is left open, nobody hangs."""
    probe(nest)
    words = [*nest.words, "-r", nest.root, *options, "-b", f"{nest.data}:/a", "-w", "/", "/handed", "fuzz", str(SEED), "1500", "/sub"]
    result = nest.run(words)
    strange = [line for line in result.stdout.splitlines() if not re.fullmatch("sub|root|open -[0-9]+", line)]
    assert (result.status, strange) == (0, []), SEED
    assert result.stderr.startswith("taken ")
    assert int(result.stderr.split()[1]) > 100, SEED


def test_outer_guest_sees_the_inner_ones_in_its_own_terms(nest: Nest) -> None:
    """Links and texts of /proc of a guest of the inner view."""
    inner = nest.inner("/bin/sh", "-c", "cd /src; touch up; exec sleep 755")
    text = ('"$@" & pid=$!; until test -e $S/up && kid=$(pgrep -f "^sleep 755"); do sleep 0.01; done; cd /proc/$kid; '
            'readlink exe cwd root; grep -c $R/bin/busybox maps; test $(grep TracerPid status | cut -f2) = $pid && echo traced; '
            "kill -9 $kid; wait $pid; echo $?")
    words = [*nest.outer(), "/bin/sh", "-c", text, "sh", *inner]
    result = nest.run(words, S=nest.source, R=nest.root)
    assert result.stdout.startswith(f"{nest.root}/bin/busybox\n{nest.source}\n/\n")
    assert result.stdout.endswith(f"traced\n{128 + signal.SIGKILL}\n")


ATTACH = """import ctypes, os, sys
[pid] = sys.argv[1:]
print(ctypes.CDLL(None).ptrace(0x4206, int(pid), 0, 0), f"TracerPid:\\t{os.getpid()}\\n" in open(f"/proc/{pid}/status").read())"""


def test_outer_guest_attaches_to_one_inside(nest: Nest) -> None:
    """One supervisor serves both: the inner pyroot is no tracer, though it is told as one while nobody else traces."""
    inner = nest.inner("/bin/sh", "-c", "touch /src/up; exec sleep 766")
    text = ('"$@" & pid=$!; until test -e $S/up && kid=$(pgrep -f "^sleep 766"); do sleep 0.01; done; $P -IS -c "$T" $kid; '
            "kill -9 $kid; wait $pid; echo $?")
    words = [*nest.outer(), "/bin/sh", "-c", text, "sh", *inner]
    result = nest.run(words, S=nest.source, P=helpers.ordinary_python()[0], T=ATTACH)
    assert result.stdout == f"0 True\n{128 + signal.SIGKILL}\n", result
