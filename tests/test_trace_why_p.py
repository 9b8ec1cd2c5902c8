"""`pyroot trace --why -p`: processes that were running already, outside and as guests; and `-o` that cannot be written."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import helpers
from tests.helpers import Result
from tests.test_trace_attach import yama_allows
from tests.traced_guests import guests_of, status_of

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}
# the shell waits for a line, fails, and ends with another status than the program that failed
FAILING = "read line; cat /no/such/file; exit 3"


class Looked:
    """A shell that waits, and `trace --why -p` of it."""

    def __init__(self, words: list[str], folder: str, script: str, inside: bool, *options: str) -> None:
        environment = {**helpers.pyroot_command()[1], **ENVIRONMENT}
        with open(f"{folder}/errors", "wb") as errors:
            Path(f"{folder}/errors").chmod(0o666)
            command = [*words, "-r", "/", "sh", "-c", script] if inside else ["sh", "-c", script]
            self.shell = helpers.start(command, environment=environment, stdin=subprocess.PIPE, stderr=errors.fileno())
        pid = self.shell.pid
        if inside:
            helpers.wait_until(lambda: guests_of(pid) != [], what="guest")
            pid = guests_of(pid)[0]
            # (it is a guest when the loader has ended and the shell waits for its line)
            helpers.wait_until(lambda: Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x0 "), what="shell")
        self.tracer = helpers.start([*words, "trace", "--why", *options, "-p", str(pid)], environment=environment)
        if not inside:
            helpers.wait_until(lambda: status_of(pid, "TracerPid") != "0" or self.tracer.poll() is not None, what="attached")
        else:
            time.sleep(2)

    def tell(self) -> None:
        """Give the shell its line."""
        assert self.shell.stdin is not None
        self.shell.stdin.write(b"go\n")
        self.shell.stdin.flush()

    def said(self) -> str:
        """Give what the tracer has said when it has ended."""
        _output, errors = self.tracer.communicate(timeout=30)
        assert self.tracer.returncode == 0, errors
        return errors.decode()


@pytest.fixture
def look(guest_directory: str, pyroot_words: list[str]) -> Iterator[Callable[..., Looked]]:
    """Start such a pair; both end with the test."""
    started: list[Looked] = []

    def begin(script: str, inside: bool, *options: str) -> Looked:
        started.append(Looked(pyroot_words, guest_directory, script, inside, *options))
        return started[-1]

    yield begin
    for one in started:
        for process in (one.tracer, one.shell):
            helpers.kill_session(process.pid)
            process.communicate()


inside_and_outside = pytest.mark.parametrize(
    "inside", [pytest.param(False, marks=pytest.mark.skipif(not yama_allows(), reason="Yama lets only parents trace")), True]
)


@inside_and_outside
def test_process_that_fails_is_explained(look: Callable[..., Looked], inside: bool) -> None:
    looked = look(FAILING, inside)
    looked.tell()
    said = looked.said()
    assert "ended with status 3" in said and "/no/such/file" in said
    assert "the directory /no is not there" in said


@inside_and_outside
def test_process_that_goes_on_is_explained_when_the_trace_ends(look: Callable[..., Looked], inside: bool) -> None:
    looked = look("read line; cat /no/such/file; read line", inside)
    looked.tell()
    time.sleep(1)
    looked.tracer.send_signal(signal.SIGINT)
    said = looked.said()
    assert "still runs" in said and "the directory /no is not there" in said
    looked.tell()
    assert looked.shell.wait(timeout=30) == 0


@inside_and_outside
def test_process_that_succeeds_gets_no_word(look: Callable[..., Looked], inside: bool) -> None:
    looked = look("read line; cat /no/such/file; exit 0", inside)
    looked.tell()
    assert looked.said() == ""


@pytest.mark.parametrize("target", ["/nonexistent/x", "/", "/usr/pyroot-test-file"])
def test_output_that_cannot_be_written_is_an_error_before_the_run(
    target: str, guest_directory: str, run_pyroot: Callable[..., Result]
) -> None:
    ended = run_pyroot(["trace", "--why", "-o", target, "sh", "-c", f"echo ran > {guest_directory}/ran; exit 3"])
    assert ended.status == 125 and f"trace: -o {target}: " in ended.stderr
    assert len(ended.stderr.splitlines()) == 2
    assert not Path(guest_directory, "ran").exists()


def test_output_of_a_command_that_succeeds_is_left_alone(guest_directory: str, run_pyroot: Callable[..., Result]) -> None:
    ended = run_pyroot(["trace", "--why", "-o", f"{guest_directory}/out", "true"])
    assert (ended.status, ended.stderr) == (0, "")
    assert not Path(guest_directory, "out").exists()
