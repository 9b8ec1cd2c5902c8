"""`pyroot trace -p`: processes that run already are traced and go on afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import helpers
from tests.helpers import Result

LOOP = 'while read line; do /bin/echo "got $line"; done; exit 6'
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def yama_allows() -> bool:
    """Say whether a process may trace one that is not its child."""
    try:
        return int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text()) == 0
    except OSError:
        return True


pytestmark = pytest.mark.skipif(not yama_allows(), reason="Yama lets only parents trace (ptrace_scope)")


@pytest.fixture
def shell() -> Iterator[subprocess.Popen[bytes]]:
    """Start a shell that answers each line."""
    process = helpers.start(["/bin/sh", "-c", LOOP], environment=ENVIRONMENT, stdin=subprocess.PIPE)
    yield process
    helpers.kill_session(process.pid)
    process.communicate()


def say(process: subprocess.Popen[bytes], line: bytes) -> None:
    """Give the shell a line and wait for its answer."""
    assert process.stdin and process.stdout
    process.stdin.write(line + b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"got " + line + b"\n"


def tracer_of(pid: int) -> str:
    """Give the tracer of a process."""
    return next(line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("TracerPid:"))


def test_process_that_runs_is_traced_and_let_go(shell: subprocess.Popen[bytes], pyroot_words: list[str], guest_directory: str) -> None:
    out = f"{guest_directory}/out"
    say(shell, b"before")
    environment = {**helpers.pyroot_command()[1], **ENVIRONMENT}
    tracer = helpers.start([*pyroot_words, "trace", "-o", out, "-p", str(shell.pid)], environment=environment)
    try:
        helpers.wait_until(lambda: tracer_of(shell.pid) != "0" or tracer.poll() is not None, what="attached")
        say(shell, b"one")
        say(shell, b"two")
        tracer.send_signal(signal.SIGINT)
        assert tracer.wait(timeout=30) == 0, tracer.communicate()
    finally:
        tracer.kill()
        tracer.communicate()
    assert tracer_of(shell.pid) == "0"
    say(shell, b"after")
    text = Path(out).read_text()
    assert re.search(rf'^{shell.pid} +read\(0, "o", 1\) += 1$', text, re.M)
    assert text.count('execve("/bin/echo"') == 2
    assert shell.stdin
    shell.stdin.close()
    shell.stdin = None
    assert shell.wait(timeout=30) == 6


def test_attach_ends_with_the_process(shell: subprocess.Popen[bytes], pyroot_words: list[str]) -> None:
    environment = {**helpers.pyroot_command()[1], **ENVIRONMENT}
    tracer = helpers.start([*pyroot_words, "trace", "-e", "trace=exit_group", "-p", str(shell.pid)], environment=environment)
    helpers.wait_until(lambda: tracer_of(shell.pid) != "0" or tracer.poll() is not None, what="attached")
    assert shell.stdin
    shell.stdin.close()
    shell.stdin = None
    _output, errors = tracer.communicate(timeout=30)
    first, rest = errors.decode().split("\n", 1)
    assert first == f"pyroot: process {shell.pid} attached"
    assert rest == "exit_group(6)                           = ?\n+++ exited with 6 +++\n"


def test_process_of_another_tracer_is_left_to_it(run_pyroot: Callable[..., Result], shell: subprocess.Popen[bytes]) -> None:
    if helpers.have("strace"):
        pytest.skip("strace missing (Debian: strace)")
    other = helpers.start(["strace", "-o", "/dev/null", "-p", str(shell.pid)], environment=ENVIRONMENT)
    try:
        helpers.wait_until(lambda: tracer_of(shell.pid) != "0", what="attached")
        ended = run_pyroot(["trace", "-p", str(shell.pid)])
        assert ended.status == 125
        assert f"trace: -p {shell.pid}: is traced by process {other.pid} (strace" in ended.stderr
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize(("words", "what"), [(["-p", "x"], "not a process id"), (["-p", "999999999"], "no such process"),
                                             (["-p", str(os.getpid()), "ls"], "takes no command")])  # fmt: skip
def test_mistake_is_one_line(words: list[str], what: str, run_pyroot: Callable[..., Result]) -> None:
    ended = run_pyroot(["trace", *words])
    assert ended.status == 125 and what in ended.stderr and len(ended.stderr.splitlines()) == 2
