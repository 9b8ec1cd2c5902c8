"""What is typed wrong: one line that says what is wrong, one hint that helps, and never a traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pyroot import options
from pyroot.errors import PyrootError
from pyroot.verbs import near
from tests import helpers

# words ({R}: a root, {E}: an empty directory, {C}: one of mode 000, {I}: a directory that holds a root, {T}: an archive), and the hint
TYPED = (
    ("./{R} ls", "pyroot -r ./{R} ls"),
    ("{R} ls /", "pyroot -r {R} ls /"),
    ("{R}/ ls", "pyroot -r {R}/ ls"),
    ("./{R}", "pyroot -r ./{R}"),
    ("doctro {R}", "did you mean pyroot doctor {R}?"),
    ("dcotor {R}", "did you mean pyroot doctor {R}?"),
    ("cop {R} bash", "did you mean pyroot copy {R} bash?"),
    ("snapshto {R}", "did you mean pyroot snapshot {R}?"),
    ("-v 1 doctor {R}", "a verb is the very first word: pyroot doctor {R}"),
    ("-r {R} doctor", "a verb is the very first word"),
    ("run {R} ls", "pyroot -r {R} ls runs it"),
    ("exec {R} ls -l", "pyroot -r {R} ls -l runs it"),
    ("run -r {R} ls", "pyroot -r {R} ls runs it"),
    ("shell {R}", "pyroot -r {R} starts a shell in it"),
    ("enter {R}", "pyroot -r {R} starts a shell in it"),
    ("pull debian", "pyroot import IMAGE DIR"),
    ("list", "pyroot ps"),
    ("version", "pyroot -V"),
    ("--rm -r {R} ls", "leave it out"),
    ("-it -r {R} sh", "the command has your terminal"),
    ("-ti -r {R} sh", "the command has your terminal"),
    ("-t -r {R} ls", "the command has your terminal"),
    ("--tty -r {R} ls", "the command has your terminal"),
    ("-e A=1 -r {R} ls", "env NAME=VALUE"),
    ("-eA=1 -r {R} ls", "env NAME=VALUE"),
    ("--env A=1 -r {R} ls", "env NAME=VALUE"),
    ("--env=A=1 -r {R} ls", "env NAME=VALUE"),
    ("--env-file x -r {R} ls", "let a shell read the file"),
    ("--volume /tmp:/mnt -r {R} ls", "-b HOST:GUEST"),
    ("-v /tmp:/mnt -r {R} ls", "-b /tmp:/mnt shows"),
    ("-v/tmp:/mnt -r {R} ls", "-b /tmp:/mnt shows"),
    ("--verbose=/tmp:/mnt -r {R} ls", "-b /tmp:/mnt shows"),
    ("-v -r {R} ls", "-v takes a number"),
    ("-vv -r {R} ls", "-v 2"),
    ("--workdir /tmp -r {R} ls", "-w DIR"),
    ("--workdir=/tmp -r {R} ls", "-w DIR"),
    ("--name x -r {R} ls", "leave it out"),
    ("--network host -r {R} ls", "the network of this machine"),
    ("--net=host -r {R} ls", "--net: "),
    ("--privileged {R}", "the rights that you have"),
    ("--entrypoint sh {R}", "name the program as the command"),
    ("-d -r {R} ls", "--detach-daemons"),
    ("--detach -r {R} ls", "--detach-daemons"),
    ("--dev-bind / / ls", "-b HOST:GUEST"),
    ("-b {R}:ro -r {R} ls", "HOST::ro"),
    ("-b {R}:/x:Z -r {R} ls", "leave it out"),
    ("--tmpfs /x:size=1m -r {R} ls", "a size cannot be limited"),
    ("--proc /proc -r {R} ls", "-b /proc"),
    ("--chdir / -r {R} ls", "-w DIR"),
    ("--setenv A 1 ls", "by env"),
    ("--unshare-all -r {R} ls", "no name spaces"),
    ("--die-with-parent ls", "--kill-on-exit"),
    ("-D {R} ls", "-r DIR"),
    ("-B /tmp -r {R} ls", "-b HOST:GUEST"),
    ("-f ls", "pyroot trace"),
    ("-o out ls", "pyroot trace"),
    ("-q qemu -r {R} ls", "made for this machine"),
    ("--root={R} ls", "did you mean --rootfs?"),
    ("--rootf {R} ls", "did you mean --rootfs?"),
    ("-root {R} ls", "did you mean --rootfs?"),
    ("-rootfs={R} ls", "--rootfs={R}"),
    ("-r={R} ls", "-r {R}"),
    ("--binds /tmp ls", "did you mean --bind?"),
    ("--kill-on-exti ls", "did you mean --kill-on-exit?"),
    ("--nonsense ls", "pyroot -h"),
    ("-r nowhere ls", "pyroot new nowhere"),
    ("-r {T} ls", "tar -xf {T}"),
    ("doctor {T}", "tar -xf {T}"),
    ("doctor nowhere", "pyroot new nowhere"),
    ("copy bash {R}", "the root comes first: pyroot copy {R} bash"),
    ("doctor ls {R}", "the root comes first: pyroot doctor {R} ls"),
    ("copy {R}", "pyroot copy {R} PROGRAM"),
    ("copy {R} bahs", "did you mean bash?"),
    ("-r {E} ls", "is empty: pyroot new "),
    ("-R {E}", "is empty: pyroot new "),
    ("-r {I} ls", "/{I}/rootfs?"),
    ("-r {C} ls", "chmod u+rwx {C}"),
    ("doctor {C}", "chmod u+rwx {C}"),
    ("copy {C} ls", "chmod u+rwx {C}"),
    ("-r {R} lss", "did you mean ls?"),
    ("-r {R} nosuch-tool --help", "has no such program"),
    ("-r {R} nosuch-tool -b /tmp", "options go before the command"),
    ("-r {R} head --version", "pyroot copy "),
    ("doctor --fxi {R}", "did you mean --fix?"),
    ("doctor -w /x {R}", "-w is an option of a plain run"),
    ("doctor --quiet=1 {R}", "--quiet: errors only"),
    ("help doctro", "pyroot help doctor"),
    ("help nonsense", "verbs are new, doctor"),
    ("new {R}", "--add"),
    # what a shell, or another tool, would have understood
    ("-r {R} 'ls -l /'", "what is quoted is one word: pyroot -r "),
    ("-r {R} 'ls | cat'", "-c 'ls | cat'"),
    ("-r {R} A=1 ls", "env A=1 ls"),
    ("A=1 ls", "pyroot env A=1 ls"),
    ("-r {R} cd /tmp", "-w /tmp COMMAND"),
    ("-r {R} export A=1", "sh -c 'export A=1'"),
    ("-r {R} source x", "sh -c '. ./x && COMMAND'"),
    ("-r {R} --rm ls", "leave it out"),
    ("--user bob -r {R} ls", "a user is a name in the guest's /etc/passwd"),
    ("--mount type=bind,src=/tmp,dst=/x -r {R} ls", "-b /tmp:/x"),
    ("-b /tmp /mnt -r {R} ls", "-b /tmp:/mnt"),
    ("--bind /tmp /mnt -r {R} ls", "--bind /tmp:/mnt"),
    ("{R} -r ls", "pyroot -r {R} ls"),
    ("-r", "-r DIR"),
    ("-w /nope -r {R} ls", "-w takes a directory as the guest sees it"),
    ("-u nosuchuser -r {R} ls", "/etc/passwd"),
    ("--kill-on-exit=yes -r {R} ls", "--kill-on-exit"),
    ("-b :/x -r {R} ls", "HOST"),
    ("-v high -r {R} ls", "-v takes a number"),
    ("-r {R}:/ ls", "{R}"),
    ("trace --wyh -r {R} ls", "did you mean --why?"),
    ("trace", "pyroot trace "),
    ("doctor", "pyroot doctor ROOTFS"),
    ("copy", "pyroot copy "),
    ("copy {R} nosuchprogram", "this host"),
    ("new nowhere/x/y ls", "mkdir -p "),
    ("kill", "pyroot ps"),
    ("kill abc", "pyroot ps"),
    ("diff {R}", "pyroot diff "),
    ("snapshot", "pyroot snapshot "),
    ("ps aux", "pyroot ps"),
    ("images", "a root is a directory"),
    ("logs web", "its messages are where"),
    ("attach web", "pyroot -r DIR COMMAND"),
)
NOT_AS_ROOT = "{C}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the directories that the words name."""
    from pyroot.rootfs import new

    top = tmp_path_factory.mktemp("typed")
    assert new.main([str(top / "R"), "sh", "ls", "cat"]) == 0
    (top / "E").mkdir()
    (top / "C").mkdir(mode=0)
    (top / "I").mkdir()
    (top / "I/rootfs").symlink_to("../R")
    (top / "x.tar.gz").touch()
    return top


NAMES = {"R": "R", "E": "E", "C": "C", "I": "I", "T": "x.tar.gz"}


@pytest.mark.parametrize(("words", "hint"), TYPED, ids=[words for words, _hint in TYPED])
def test_wrong_words_get_one_line_and_the_right_hint(words: str, hint: str, place: Path) -> None:
    if NOT_AS_ROOT in words and os.geteuid() == 0:
        pytest.skip("root enters every directory")
    env = {**helpers.python_environment(), "PATH": os.defpath + ":/usr/bin:/bin", "LC_ALL": "C"}
    line = [sys.executable, "-m", "pyroot", *shlex.split(words.format(**NAMES))]
    done = subprocess.run(line, cwd=place, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    told = [text for text in done.stderr.splitlines() if not text.startswith("pyroot: root /")]
    assert done.returncode in (1, 2, 125, 126, 127), done
    assert len(told) == 2, told
    assert told[0].startswith("pyroot: ")
    assert told[1].startswith("  hint: ")
    assert hint.format(**NAMES) in told[1]


def test_enough_command_lines() -> None:
    assert len(TYPED) >= 118


@pytest.mark.parametrize(("limit", "letter"), [("-n 10", "n"), ("-n 8", "n")])
def test_a_limit_that_is_too_low_is_named(limit: str, letter: str, place: Path) -> None:
    script = f'ulimit {limit}; exec "$0" -m pyroot -r R ls'
    env = {**helpers.python_environment(), "PATH": os.defpath}
    done = subprocess.run(["sh", "-c", script, sys.executable], cwd=place, env=env, capture_output=True, text=True, timeout=60, check=False)
    if "pyroot" not in done.stderr:
        pytest.skip("the interpreter itself does not start")
    assert f"ulimit -{letter}" in done.stderr


def test_an_option_row_overrides_the_hint_of_its_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that comes later needs its row and nothing else."""
    row = options.Option(("-e", "--env"), "NAME=VALUE", "rootfs", options.ROOT, options.GROUP_RUN, "set a variable")
    later = options.Grammar((*options.OPTIONS, row))
    assert later.take(["-e", "A=1", "ls"])[0] is row
    assert later.take(["--env=A=1", "ls"])[2] == "A=1"
    with pytest.raises(PyrootError, match="docker's option --env "):
        options.RUN.take(["--env=A=1", "ls"])
    monkeypatch.setattr(options, "RUN", later)
    assert options.parse(["-e", "A=1", "ls"]).settings[0][0] is row


def test_hints_are_told_once() -> None:
    spellings = [name for names, _whose, _instead in near.HINTS for name in names]
    assert len(spellings) == len(set(spellings))


def test_near_names_are_near() -> None:
    assert near.nearest("--privilege", options.RUN.by_name) == ""
    assert near.near_names("zebra", ["doctor", "copy"]) == []
