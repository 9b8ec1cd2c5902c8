"""What the tests of `pyroot trace -p` share: a program that does what it is told, inside a pyroot or outside, and tracers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import helpers, strace_oracle

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}


def status_of(pid: int, name: str) -> str:
    """Give a field of /proc/PID/status; nothing when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.split()[1] for line in lines if line.startswith(f"{name}:")), "")


def guests_of(supervisor: int) -> list[int]:
    """List the processes that a supervisor traces, in order."""
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in pids if status_of(pid, "TracerPid") == str(supervisor)]


def guest_that_runs(supervisor: int, path: str) -> int:
    """Find the guest that runs a program without arguments."""
    return next(pid for pid in guests_of(supervisor) if Path(f"/proc/{pid}/cmdline").read_bytes() == f"{path}\0".encode())


class Probe:
    """A program that does what it is told by lines; `pid` is its own number, inside a pyroot or outside."""

    def __init__(self, command: list[str], directory: str, inside: bool) -> None:
        environment = {**helpers.pyroot_command()[1], **ENVIRONMENT}
        self.process = helpers.start(command, environment=environment, cwd=directory, stdin=subprocess.PIPE)
        self.say(b"hello")
        self.pid = guests_of(self.process.pid)[0] if inside else self.process.pid

    def say(self, line: bytes) -> None:
        """Give a line and wait for the answer."""
        assert self.process.stdin and self.process.stdout
        self.tell(line)
        assert self.process.stdout.readline() == line + b"\n"

    def tell(self, line: bytes) -> None:
        """Give a line."""
        assert self.process.stdin
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def idle(self, read: int = 0) -> None:
        """Wait until it waits for its next line (`read`: the number of that call)."""
        helpers.wait_until(lambda: Path(f"/proc/{self.pid}/syscall").read_text().startswith(f"{read} 0x0 "), what="idle")

    def end(self) -> int:
        """Close its input and give its status."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.stdin = None
        self.process.communicate(timeout=30)
        return self.process.returncode


class Ground:
    """A directory with the probe, natively and as a rewritten view; whatever is started ends with the test."""

    def __init__(self, directory: str, words: list[str], probe: str) -> None:
        self.directory, self.words = directory, words
        self.here, self.copy = f"{directory}/here", f"{directory}/copy"
        for path in (self.here, self.copy):
            os.mkdir(path)
            shutil.copy2(probe, f"{path}/probe")
            Path(path, "data").write_text("what is in the file\n", encoding="ascii")
            if os.geteuid() == 0:
                os.chown(path, helpers.NOBODY, helpers.NOBODY)
        self.view = ["-b", f"{self.copy}:{self.here}", "-w", self.here]
        self.started: list[subprocess.Popen[bytes]] = []

    def guest(self, *options: str) -> Probe:
        """Start the probe as a guest."""
        return self._kept(Probe([*self.words, *options, *self.view, f"{self.here}/probe"], self.directory, True))

    def native(self) -> Probe:
        """Start the probe outside."""
        return self._kept(Probe([f"{self.here}/probe"], self.here, False))

    def _kept(self, probe: Probe) -> Probe:
        self.started.append(probe.process)
        return probe

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a command."""
        self.started.append(helpers.start(command, environment={**helpers.pyroot_command()[1], **ENVIRONMENT}, cwd=self.directory))
        return self.started[-1]

    def trace(self, *options: str) -> subprocess.Popen[bytes]:
        """Start `pyroot trace`."""
        return self.start([*self.words, "trace", *options])

    def clear(self) -> None:
        """End what is left."""
        for process in self.started:
            helpers.kill_session(process.pid)
            process.kill()
            if process.stdin is not None:
                process.stdin.close()
                process.stdin = None
            process.communicate()


@pytest.fixture
def ground(guest_directory: str, pyroot_words: list[str]) -> Iterator[Ground]:
    """Make the ground for a test."""
    if strace_oracle.why_not():
        pytest.skip(strace_oracle.why_not())
    made = Ground(guest_directory, pyroot_words, strace_oracle.compile_probe("attach_probe"))
    yield made
    made.clear()


def grown(path: str, tracer: subprocess.Popen[bytes], text: str) -> None:
    """Wait until a trace has some text."""
    helpers.wait_until(lambda: text in strace_oracle.read(path) or tracer.poll() is not None, what=text)
    assert text in strace_oracle.read(path), tracer.communicate()


def let_go(tracer: subprocess.Popen[bytes], number: int = signal.SIGINT) -> str:
    """End a tracer by a signal; give what it said on standard error."""
    tracer.send_signal(number)
    _output, errors = tracer.communicate(timeout=30)
    assert tracer.returncode == 0, errors
    return errors.decode()


class Looked:
    """A tracer whose standard error is a file, so that lines are there when they are written."""

    def __init__(self, ground: Ground, command: list[str], name: str) -> None:
        self.path = f"{ground.directory}/{name}"
        self.process = ground.start(["/bin/sh", "-c", 'exec 2>"$0"; exec "$@"', self.path, *command])

    def there(self, *probes: Probe) -> Looked:
        """Wait until it traces: it says so, and whatever the probes did at that moment is over."""
        self.wait("attached")
        for probe in probes:
            self.wait(f" {probe.pid} attached")
            probe.say(b"hello")
        return self

    def wait(self, text: str) -> None:
        """Wait for some text."""
        grown(self.path, self.process, text)

    def end(self) -> str:
        """Stop it by SIGINT and give what it has written."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        return strace_oracle.read(self.path)


def links_of(pid: int) -> str:
    """List what a process has open; what it closes meanwhile is not there."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            continue
    return " ".join(found)


def by_process(text: str, pid: int) -> list[list[str]]:
    """Sort the lines of a terminal by processes, as those of a file."""
    text = re.sub(r"(strace: Process|pyroot: process) \d+ (at|de)tached.*\n", "", text)
    lines = [re.match(r"(?:\[pid +(\d+)\] )?(.*)", line) for line in text.splitlines()]
    return strace_oracle.processes("".join(f"{line.group(1) or pid} {line.group(2)}\n" for line in lines if line))
