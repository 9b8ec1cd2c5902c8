"""`pyroot report`: what it tells of a machine and of a run, and what it keeps to itself."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pyroot.look.private import Private
from tests.helpers import Result

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/ann", "~"),
        ("/home/ann/", "~/"),
        ("open /home/ann/letters/x.txt: no", "open ~/name1/name2: no"),
        ("/home/ann/letters /home/ann/other/letters", "~/name1 ~/name2/name1"),
        ('openat("/home/ann/two words/x") = -1', 'openat("~/name1/name2") = -1'),
        ("/home/anna/x and x/home/ann", "/home/anna/x and x/home/USER"),
        ("/srv/root/usr/bin/ls, /srv/rootless", "ROOT/usr/bin/ls, /srv/rootless"),
        ("ann@nutshell.example.org, nutshell; planned", "USER@HOST, HOST; planned"),
        ("/home/ann/my dir/rootfs/etc", "~/name1/name2/name3"),
        ('["/home/ann/a:b", "/home/ann"]', '["~/name1", "~"]'),
    ],
)
def test_private_names_are_numbered(text: str, expected: str) -> None:
    hide = Private({"/srv/root": "ROOT"}, "/home/ann", "ann", "nutshell.example.org")
    hide.know("/home/ann/my dir/rootfs", "/usr/bin")
    assert hide(text) == expected


def test_relative_names_in_calls_are_numbered() -> None:
    hide = Private({}, "/home/ann", "ann", "x")
    line = 'openat(AT_FDCWD, "own/../other \\"x\\"", O_RDONLY) = -1'
    assert hide.call(line) == 'openat(AT_FDCWD, "name1/../name2", O_RDONLY) = -1'
    assert hide.call('execve("/bin/x", [""...], 0x1) = -1') == 'execve("/bin/x", [""...], 0x1) = -1'


def test_same_name_has_the_same_number_everywhere() -> None:
    hide = Private({}, "/home/ann", "ann", "x")
    assert hide("/home/ann/a/b") == "~/name1/name2"
    assert hide("/home/ann/b") == "~/name2"


def test_home_that_belongs_to_nobody_is_not_private() -> None:
    assert Private({}, "/tmp", "nobody", "localhost")("/tmp/x of nobody") == "/tmp/x of nobody"


def test_facts_of_the_machine(run_pyroot: Run) -> None:
    done = run_pyroot(["report"])
    assert (done.status, done.stderr) == (0, "")
    assert f"* kernel: {os.uname().release} " in done.stdout
    for title in ("Versions", "Rules for this process", "Limits", "File systems", "What pyroot check finds", "Environment"):
        assert f"\n## {title}\n" in done.stdout
    for name in ("seccomp actions", "Yama ptrace_scope", "NoNewPrivs", "security modules"):
        assert f"* {name}: " in done.stdout
    assert "## Command" not in done.stdout


def test_run_is_told_without_what_is_private(guest_directory: str, run_pyroot: Run) -> None:
    home = Path(guest_directory, "home of somebody")
    home.mkdir()
    place = Path(guest_directory, "out.md")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYROOT_SECRET": "password1"}
    command = ["-r", "/", "-b", f"{home}:/mnt", "-w", "/", "sh", "-c", f"cat '{home}/diary' secret; exit 3"]
    done = run_pyroot(["report", "-o", str(place), "--", *command], environment=environment)
    assert (done.status, done.stdout) == (0, "")
    assert "No such file" in done.stderr
    text = place.read_text(encoding="utf-8")
    for private in ("somebody", "password1", "diary", "secret", socket.gethostname() if len(socket.gethostname()) > 2 else "diary"):
        assert private not in text
    assert "* exit status: 3\n" in text
    assert "* command: sh ARGUMENT1 ARGUMENT2\n" in text
    assert "* options: -r / -b '~:/mnt' -w /\n" in text
    assert "* PYROOT_SECRET: set, 9 characters\n" in text
    assert "pyroot: starting /usr/bin/sh\n" in text or "pyroot: starting /bin/sh\n" in text
    assert "## The last calls that failed" in text
    told = run_pyroot(["report", "--private", "yes", "--json", "--", *command], environment=environment)
    found = json.loads(told.stdout)
    assert found["Environment"]["PYROOT_SECRET"] == "password1"
    assert "diary" in found["Command"]["command"]


def test_failed_start_is_told(run_pyroot: Run) -> None:
    done = run_pyroot(["report", "--", "-r", "/", "-w", "/", "/no/such/program"])
    assert done.status == 0
    assert "* exit status: 127\n" in done.stdout
    assert "pyroot: /no/such/program: not in the guest\n" in done.stdout


def test_mistakes_are_told(run_pyroot: Run) -> None:
    for words, what in (
        (["report", "x"], "unexpected word"),
        (["report", "--private", "perhaps"], "neither yes nor no"),
        (["report", "--calls", "x"], "not a number"),
        (["report", "--", "-r", "/"], "no command after --"),
        (["report", "-o", "/nowhere/x"], "no such file or directory"),
    ):
        done = run_pyroot(words)
        assert done.status == 125
        assert what in done.stderr
