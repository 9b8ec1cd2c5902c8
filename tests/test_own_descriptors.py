"""Bindings of a descriptor of pyroot's own, such as -b /proc/self/fd/1:/dev/stdout: it is that of the process that asks."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests import helpers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

WORDS = ["-b", "/proc/self/fd:/own/fd", "-b", "/proc/self/fd/0:/own/stdin", "-b", "/proc/self/fd/1:/own/stdout",
         "-b", "/dev/stderr:/own/stderr"]


def in_pipes(words: list[str], script: str, variables: dict[str, str] | None = None) -> Result:
    """Run a script in a guest between two pipes that belong to the ordinary user."""
    environment = {**helpers.pyroot_command()[1], "PATH": "/usr/bin:/bin", **(variables or {})}
    command = ["sh", "-c", 'printf "input\\n" | "$@" 2>&1 | cat', "sh", *words, *WORDS, "sh", "-c", script]
    return helpers.run(command, environment=environment)


def test_pipes_are_those_of_the_process_that_asks(pyroot_words: list[str]) -> None:
    """What pyroot itself writes to is a pipe, and the pipes inside are others."""
    script = """
        echo out > /own/stdout; echo more >> /own/stdout; echo error > /own/stderr; echo inner > /own/stdout | tr i I
        cat /own/stdin; echo through | cat /own/stdin /own/fd/0
        test -p /own/stdout && test -p /own/fd/1 && ! test -e /own/fd/77 && echo pipes
        exec 6</etc/passwd && readlink /own/fd/6 && (cd /own/fd && ls 6) && cmp /own/fd/6 /etc/passwd && echo same
    """
    found = in_pipes(pyroot_words, script)
    assert found.stdout.splitlines() == ["out", "more", "error", "Inner", "input", "through", "pipes", "/etc/passwd", "6", "same"]


@pytest.mark.parametrize("variables", [{"PYROOT_NO_SECCOMP": "1"}, {"PYROOT_NO_GATE": "1"}], ids=["no-seccomp", "no-gate"])
def test_pipes_are_reached_without(pyroot_words: list[str], variables: dict[str, str]) -> None:
    found = in_pipes(pyroot_words, "echo a > /own/stdout | cat; cat /own/stdin", variables)
    assert (found.status, found.stdout, found.stderr) == (0, "a\ninput\n", "")


@pytest.mark.parametrize("kind", ["socket", "deleted file", "memfd"])
def test_descriptors_of_other_kinds(pyroot_words: list[str], kind: str) -> None:
    """A socket cannot be opened by a name, as with the kernel; a file that has no name any more can."""
    environment = {**helpers.pyroot_command()[1], "PATH": "/usr/bin:/bin"}
    script = "cat < /own/stdin" if kind != "socket" else "cat < /own/stdin || test -S /own/stdin"
    with tempfile.TemporaryFile() as file:
        if kind == "memfd":
            given = os.memfd_create("given")
        elif kind == "socket":
            pair = socket.socketpair()
            given = pair[0].detach()
        else:
            given = os.dup(file.fileno())
        if kind != "socket":
            os.write(given, b"text\n")
            os.fchmod(given, 0o644)
        ended = subprocess.run(
            [*pyroot_words, *WORDS, "sh", "-c", script], stdin=given, capture_output=True, text=True, check=False, cwd="/", env=environment,
            timeout=60, preexec_fn=helpers.drop_to_ordinary_user,
        )  # fmt: skip
        os.close(given)
    if kind == "socket":
        assert ended.returncode == 0
        assert "No such device or address" in ended.stderr
    else:
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "text\n", "")


def test_a_descriptor_that_is_not_open_is_an_error(run_pyroot: Callable[..., Result]) -> None:
    found = run_pyroot(["-b", "/proc/self/fd/77:/own/x", "true"])
    assert found.status == 125
    assert found.stderr.startswith("pyroot: -b /proc/self/fd/77:/own/x: /proc/self/fd/77 on the host: no such file or directory\n")


def test_names_of_such_bindings_cannot_be_removed(run_pyroot: Callable[..., Result]) -> None:
    found = run_pyroot([*WORDS, "sh", "-c", "rm /own/stdout; mv /own/stdin /own/stdout; ls /own"])
    assert found.stdout.split() == ["fd", "stderr", "stdin", "stdout"]
    assert found.stderr.count("busy") + found.stderr.count("ermission") >= 2
