"""`pyroot trace -p` of a guest: its supervisor traces it for somebody who asks, and lets go of it again.

The oracle is strace -p on the same program outside, line for line.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import struct
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
        self.process = ground.start(["/bin/sh", "-c", f'exec 2>{self.path}; exec "$@"', "sh", *command])

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


def by_process(text: str, pid: int) -> list[list[str]]:
    """Sort the lines of a terminal by processes, as those of a file."""
    text = re.sub(r"(strace: Process|pyroot: process) \d+ (at|de)tached.*\n", "", text)
    lines = [re.match(r"(?:\[pid +(\d+)\] )?(.*)", line) for line in text.splitlines()]
    return strace_oracle.processes("".join(f"{line.group(1) or pid} {line.group(2)}\n" for line in lines if line))


@pytest.mark.parametrize("options", [[], ["-y", "-s", "4"], ["-e", "trace=%file,wait4", "-Z"], ["-P", "HERE/data"]], ids=" ".join)
def test_lines_are_those_of_strace(options: list[str], ground: Ground) -> None:
    """The probe waits in read(2) when the tracers come."""
    traces = []
    for probe, command in ((ground.native(), ["strace", "-f"]), (ground.guest(), [*ground.words, "trace"])):
        options = [option.replace("HERE", ground.here) for option in options]
        looked = Looked(ground, [*command, *options, "-p", str(probe.pid)], f"{command[-1]}.out")
        looked.there(probe)
        probe.say(b"calls")
        looked.wait("close(7)" if "-P" in options else "SIGUSR1" if "-Z" in options else "getppid")
        text = looked.end()
        assert status_of(probe.pid, "TracerPid") == ("0" if command[0] == "strace" else str(probe.process.pid))
        probe.say(b"calls")
        assert probe.end() == 6
        traces.append(by_process(text, probe.pid))
    for ours, theirs in zip(traces[1], traces[0], strict=True):
        assert asked_calls(ours) == asked_calls(theirs)


def asked_calls(lines: list[str]) -> list[str]:
    """Give what belongs to the line `calls`: from the read that gets it to the answer."""
    start = next((at for at, line in enumerate(lines) if line.startswith("read(0") and '"call' in line), 0)
    rest = lines[start:]
    return rest[: next((at for at, line in enumerate(rest) if line.startswith("write(1") and '"call' in line), len(rest))]


def test_guest_goes_on_as_before(ground: Ground) -> None:
    """Behind the tracer's end only calls that name paths stop, as before."""
    probe = ground.guest()
    out = f"{ground.directory}/out"
    looked = Looked(ground, [*ground.words, "trace", "-o", out, "-p", str(probe.pid)], "said")
    looked.there(probe)
    probe.say(b"calls")
    probe.idle()
    assert re.fullmatch(rf"pyroot: process {probe.pid} attached\npyroot: process \d+ attached\n", looked.end())
    assert strace_oracle.read(out).endswith("read(0,  <detached ...>\n")
    probe.say(b"calls")  # the first stops of the usual way
    before = int(status_of(probe.process.pid, "voluntary_ctxt_switches"))
    for _turn in range(50):
        probe.say(b"hello")
    # not the two hundred stops that these calls had while somebody looked
    assert int(status_of(probe.process.pid, "voluntary_ctxt_switches")) < before + 20
    assert "socket:" not in links_of(probe.process.pid)
    assert probe.end() == 6


def links_of(pid: int) -> str:
    """List what a process has open."""
    return " ".join(os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_counts_are_written_at_a_signal(number: int, ground: Ground) -> None:
    probe = ground.guest()
    looked = Looked(ground, [*ground.words, "trace", "-c", "-p", str(probe.pid)], "said")
    looked.there(probe)
    probe.say(b"calls")
    probe.say(b"calls")
    looked.process.send_signal(number)
    looked.process.communicate(timeout=30)
    assert looked.process.returncode == 0
    text = strace_oracle.read(looked.path)
    assert re.search(r" 2 +(?:\d+ +)?rename\n", text) and re.search(r" 2 +2 access\n", text), text


def test_json_and_files(ground: Ground) -> None:
    probe = ground.guest()
    out = f"{ground.directory}/out"
    for options in (["--json", "-o", out], ["-ff", "-o", out]):
        command = [*ground.words, "trace", *options, "-e", "trace=clone,chdir,exit_group,wait4", "-p", str(probe.pid)]
        looked = Looked(ground, command, f"said{options[0]}")
        looked.there(probe)
        probe.say(b"calls")
        probe.idle()
        looked.end()
    records = [json.loads(line) for line in strace_oracle.read(out).splitlines()]
    assert sorted(record["call"] for record in records if record["type"] == "syscall") == ["chdir", "clone", "exit_group", "wait4"]
    files = {name: strace_oracle.read(f"{ground.directory}/{name}") for name in os.listdir(ground.directory) if name.startswith("out.")}
    assert len(files) == 2 and "clone(" in files[f"out.{probe.pid}"]
    assert any(text.startswith('chdir("/")') and text.endswith("+++ exited with 3 +++\n") for text in files.values())


def test_killed_tracer_is_noticed(ground: Ground) -> None:
    """The supervisor learns of it without a call of the guest, and serves the next one."""
    probe = ground.guest()
    looked = Looked(ground, [*ground.words, "trace", "-p", str(probe.pid)], "said")
    looked.there(probe)
    assert "socket:" in links_of(probe.process.pid)
    looked.process.kill()
    looked.process.communicate()
    helpers.wait_until(lambda: "socket:" not in links_of(probe.process.pid), what="let go")
    probe.say(b"calls")
    looked = Looked(ground, [*ground.words, "trace", "-e", "mkdir", "-p", str(probe.pid)], "again")
    looked.there(probe)
    probe.say(b"calls")
    looked.wait("mkdir")
    looked.end()
    assert probe.end() == 6


def test_closed_output_ends_the_trace_alone(ground: Ground) -> None:
    probe = ground.guest()
    tracer = ground.trace("-p", str(probe.pid))
    assert tracer.stderr
    assert tracer.stderr.readline() == b"pyroot: process %d attached\n" % probe.pid
    tracer.stderr.close()
    tracer.stderr = None
    for _turn in range(3):
        probe.say(b"calls")
    assert tracer.wait(timeout=30) != 0
    helpers.wait_until(lambda: "socket:" not in links_of(probe.process.pid), what="let go")
    assert probe.end() == 6


def test_stopped_tracer_does_not_hold_up_the_guest(ground: Ground) -> None:
    """It is left when more waits for it than the supervisor keeps, and is told."""
    probe = ground.guest()
    looked = Looked(ground, [*ground.words, "trace", "-s", "100000", "-p", str(probe.pid)], "said")
    looked.there(probe)
    looked.process.send_signal(signal.SIGSTOP)
    probe.tell(b"busy")
    helpers.wait_until(lambda: "socket:" not in links_of(probe.process.pid), 50, "the tracer is left")
    probe.say(b"hello")
    looked.process.send_signal(signal.SIGCONT)
    assert looked.process.wait(timeout=30) == 0
    assert "sends no more: was not read for too long" in strace_oracle.read(looked.path)
    assert probe.end() == 6


def test_session_ends_while_traced(ground: Ground) -> None:
    probe = ground.guest()
    looked = Looked(ground, [*ground.words, "trace", "-e", "trace=exit_group", "-p", str(probe.pid)], "said")
    looked.there(probe)
    assert probe.end() == 6
    assert looked.process.wait(timeout=30) == 0
    assert strace_oracle.read(looked.path).partition("\n")[2] == "exit_group(6)                           = ?\n+++ exited with 6 +++\n"


def test_killed_session(ground: Ground) -> None:
    probe = ground.guest()
    looked = Looked(ground, [*ground.words, "trace", "-p", str(probe.pid)], "said")
    looked.there(probe)
    probe.process.kill()
    looked.process.communicate(timeout=30)
    assert "the session was killed" in strace_oracle.read(looked.path)


def test_fifty_threads(ground: Ground) -> None:
    """Each thread is blocked in a read when the tracer comes."""
    probe = ground.guest()
    probe.say(b"threads 50")
    out = f"{ground.directory}/out"
    looked = Looked(ground, [*ground.words, "trace", "-o", out, "-e", "trace=read,access", "-p", str(probe.pid)], "said")
    looked.wait(f"process {probe.pid} attached with 51 threads")
    for _turn in range(10):
        probe.say(b"wake 50")
    looked.end()
    text = strace_oracle.read(out)
    assert len(re.findall(r"access.*\) += 0$", text, re.M)) == 500
    assert len({line.split()[0] for line in text.splitlines()}) > 40
    probe.say(b"wake 50")
    assert probe.end() == 6


def test_one_thread_alone(ground: Ground) -> None:
    probe = ground.guest()
    probe.say(b"threads 3")
    looked = Looked(ground, [*ground.words, "trace", "--no-follow", "-e", "trace=access,chdir", "-p", str(probe.pid)], "said")
    looked.wait(f"process {probe.pid} attached\n")
    probe.say(b"wake 3")
    probe.say(b"calls")
    looked.wait("missing")
    text = looked.end()
    assert '"data"' not in text and "chdir" not in text


def test_several_processes(ground: Ground) -> None:
    """Two sessions and a plain process at once; one number is nobody's."""
    probes = [ground.guest(), ground.guest(), ground.native()]
    words = [word for probe in probes for word in ("-p", str(probe.pid))]
    looked = Looked(ground, [*ground.words, "trace", "-e", "trace=mkdir", *words, "-p", "4194303"], "said")
    looked.there(*probes)
    for probe in probes:
        probe.say(b"calls")
        looked.wait(f'[pid {probe.pid:5}] mkdir("made", 0700) ')
    text = looked.end()
    assert "-p 4194303: no such process" in text
    assert [probe.end() for probe in probes] == [6, 6, 6]


def test_counts_of_several_sessions_are_one_table(ground: Ground) -> None:
    probes = [ground.guest(), ground.guest(), ground.native()]
    looked = Looked(ground, [*ground.words, "trace", "-c", "-p", ",".join(str(probe.pid) for probe in probes)], "said")
    looked.there(*probes)
    for probe in probes:
        probe.say(b"calls")
    assert re.search(r" 3 +(?:\d+ +)?rename\n", looked.end())


def test_guest_in_a_sleep_and_stopped_guest(ground: Ground) -> None:
    probe = ground.guest()
    probe.tell(b"sleep")
    helpers.wait_until(lambda: Path(f"/proc/{probe.pid}/syscall").read_text().startswith(("35 ", "230 ")), what="asleep")
    looked = Looked(ground, [*ground.words, "trace", "-p", str(probe.pid)], "said")
    looked.wait("restart_syscall(<... resuming interrupted system call ...>")
    os.kill(probe.pid, signal.SIGSTOP)
    looked.wait("--- stopped by SIGSTOP ---")
    looked.end()
    looked = Looked(ground, [*ground.words, "trace", "-p", str(probe.pid)], "again")
    looked.wait("--- stopped by SIGSTOP ---")
    os.kill(probe.pid, signal.SIGCONT)
    looked.wait("--- SIGCONT")
    looked.wait("restart_syscall(")
    looked.wait('write(1, "sleep\\n", 6)')
    looked.end()


def test_guest_that_is_traced_inside(ground: Ground) -> None:
    """strace in the guest and pyroot outside of it tell the same of one process."""
    inner, outer = f"{ground.here}/inner", f"{ground.directory}/outer"
    command = [*ground.words, *ground.view, "strace", "-o", inner, f"{ground.here}/probe"]
    probe = ground._kept(Probe(command, ground.directory, True))
    target = guest_that_runs(probe.process.pid, f"{ground.here}/probe")
    looked = Looked(ground, [*ground.words, "trace", "-o", outer, "--no-follow", "-p", str(target)], "said")
    looked.there()
    probe.say(b"hello")  # the tracer is there, but the call that waits may end before it stops
    probe.say(b"calls")
    probe.say(b"hello")
    looked.end()
    assert probe.end() == 6
    lines = strace_oracle.processes("".join(f"{target} {line}\n" for line in strace_oracle.read(f"{ground.copy}/inner").splitlines()))[0]
    ours = strace_oracle.processes(re.sub(r"^(\d+ +)?", f"{target} ", strace_oracle.read(outer), flags=re.M))[0]
    inside, outside = (
        one[next(at for at, line in enumerate(one) if line.startswith('read(0, "calls')) :] for one in (lines, ours)
    )
    end = next(at for at, line in enumerate(inside) if line.startswith('write(1, "calls'))
    assert outside[:end] == inside[:end] and end > 15


def test_pyroot_inside(ground: Ground) -> None:
    """A guest of a pyroot in a pyroot: the outer supervisor serves it, or sends to the inner one where that traces by itself."""
    for variable in ({}, {"PYROOT_NO_HANDOVER": "1"}):
        inner = ["env", *(f"{name}={value}" for name, value in variable.items()), *ground.words, *ground.view, f"{ground.here}/probe"]
        probe = ground._kept(Probe([*ground.words, *ground.view, *inner], ground.directory, True))
        target = guest_that_runs(probe.process.pid, f"{ground.here}/probe")
        looked = Looked(ground, [*ground.words, "trace", "-y", "-e", "trace=mkdir,close", "-p", str(target)], f"said{len(variable)}")
        looked.wait(f"process {target} attached")
        probe.say(b"calls")
        looked.wait("mkdir")
        text = looked.end()
        assert f"{ground.here}/data>" in text
        assert probe.end() == 6


def test_session_without_a_filter(ground: Ground) -> None:
    """Where every call stops anyway."""
    inner = ["env", "PYROOT_NO_SECCOMP=1", *ground.words, *ground.view, f"{ground.here}/probe"]
    probe = ground._kept(Probe(inner, ground.directory, True))
    looked = Looked(ground, [*ground.words, "trace", "-e", "trace=read,mkdir,getppid,clone", "-p", str(probe.pid)], "said")
    looked.wait("read(0")
    probe.say(b"calls")
    looked.wait("getppid")
    probe.idle()
    lines = by_process(looked.end(), probe.pid)[0]
    assert [line.partition("(")[0] for line in lines if line[0] != "-"] == ["read", "read", "mkdir", "clone", "getppid", "read"]
    assert probe.end() == 6


def test_session_that_writes_a_trace_itself(ground: Ground) -> None:
    probe = ground._kept(Probe([*ground.words, "trace", "-o", f"{ground.directory}/own", *ground.view, f"{ground.here}/probe"],
                               ground.directory, True))  # fmt: skip
    tracer = ground.trace("-p", str(probe.pid))
    _output, errors = tracer.communicate(timeout=30)
    assert tracer.returncode == 125
    assert b"trace: -p: the session writes a trace of its own" in errors and len(errors.splitlines()) == 2
    assert probe.end() == 6
    assert "read(0" in strace_oracle.read(f"{ground.directory}/own")


def test_one_looks_at_a_time(ground: Ground) -> None:
    probe = ground.guest()
    looked = Looked(ground, [*ground.words, "trace", "-p", str(probe.pid)], "said")
    looked.there(probe)
    tracer = ground.trace("-p", str(probe.pid))
    _output, errors = tracer.communicate(timeout=30)
    assert tracer.returncode == 125 and b"looks at the guests of this session" in errors
    probe.say(b"calls")
    looked.wait("getppid")
    looked.end()


def asked(probe: Probe) -> socket.socket:
    """Bring a supervisor to a socket of ours."""
    from pyroot.trace.guests import call

    return call(probe.process.pid, [probe.pid])


GOOD = {"version": "", "pids": [], "choice": {}, "shown": False, "buffered": False}


@pytest.mark.parametrize("request_text", [
    b"", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x04\0\0\0null", b"\x02\0\0\0{}", b"\x03\0\0\0[[[", b"\x05\0\0\0[1,2]", b"[" * 70000,
    struct.pack("<I", 100000) + b"[" * 100000,
], ids=lambda text: repr(text[:12]))  # fmt: skip
def test_malformed_request_harms_nobody(request_text: bytes, ground: Ground) -> None:
    """The socket of somebody who sends anything is closed, at the latest when he closes it himself."""
    probe = ground.guest()
    with asked(probe) as end:
        end.settimeout(30)
        try:
            end.sendall(request_text)
            end.shutdown(socket.SHUT_WR)
            while end.recv(4096):
                pass
        except ConnectionError:
            pass
    probe.say(b"calls")
    assert probe.end() == 6


@pytest.mark.parametrize("change", [
    {"version": "0"}, {"pids": ["1"]}, {"pids": [True]}, {"pids": [-1]}, {"pids": 3}, {"choice": None}, {"choice": {"names": ["read"]}},
    {"choice.names": ["nothing"]}, {"choice.names": [[]]}, {"choice.strings": -1}, {"choice.form": {}}, {"choice.order": "x"},
    {"choice.signals": [99]}, {"choice.paths": [1]}, {"choice.form.columns": "40"},
], ids=str)  # fmt: skip
def test_wrong_values_are_refused(change: dict[str, object], ground: Ground) -> None:
    from pyroot import __version__
    from pyroot.trace.choice import Choice

    probe = ground.guest()
    request: dict[str, object] = {**GOOD, "version": __version__, "pids": [probe.pid], "choice": Choice(names=["read"]).as_words()}
    for path, value in change.items():
        place = request
        *way, name = path.split(".")
        for step in way:
            place = place[step]  # type: ignore[assignment]
        place[name] = value
    text = json.dumps(request).encode()
    with asked(probe) as end:
        end.settimeout(30)
        end.sendall(struct.pack("<I", len(text)) + text)
        answer = b"".join(iter(lambda: end.recv(4096), b""))
    assert answer[4:5] == b"e", answer
    assert probe.end() == 6


def test_guest_may_not_ask(ground: Ground) -> None:
    """Not for another session; the fellows of its own it can trace by itself."""
    probe = ground.guest()
    code = "import sys; from pyroot.trace.guests import call; end = call(int(sys.argv[1]), [1]); end.settimeout(20); print(end.recv(999))"
    python, environment = helpers.ordinary_python()
    command = [*ground.words, "-r", "/", python, "-c", code, str(probe.process.pid)]
    ended = helpers.run(command, environment={**environment, **helpers.pyroot_command()[1], **ENVIRONMENT})
    assert "a guest asks for processes outside of its session" in ended.stdout, ended.stderr
    assert probe.end() == 6


def test_other_signals_stay_what_they_are(ground: Ground) -> None:
    """SIGCONT from a person goes to the command; one that names no socket of ours goes nowhere."""
    from pyroot import _fast

    probe = ground.guest()
    pidfd = os.pidfd_open(probe.process.pid)
    for name in range(20):
        _fast.ask_supervisor(pidfd, name)
    os.close(pidfd)
    os.kill(probe.process.pid, signal.SIGCONT)
    probe.say(b"calls")
    assert probe.end() == 6


def test_32_bit_guest(ground: Ground) -> None:
    """The lines are those of strace here too."""
    for folder in (ground.here, ground.copy):
        shutil.copy2(strace_oracle.compile_probe("attach_probe", "-m32"), f"{folder}/probe32")
    traces = []
    for command in ([f"{ground.here}/probe32"], [*ground.words, *ground.view, f"{ground.here}/probe32"]):
        probe = ground._kept(Probe(command, ground.here, len(command) > 1))
        tracer = ["strace", "-f"] if len(command) == 1 else [*ground.words, "trace"]
        looked = Looked(ground, [*tracer, "-e", "trace=%file,%desc,%network,%process,getppid", "-p", str(probe.pid)], f"said{len(command)}")
        looked.there(probe)
        probe.say(b"calls")
        looked.wait("getppid")
        probe.idle(3)
        lines = by_process(looked.end(), probe.pid)
        # strace tells that the personality changes
        traces.append([asked_calls([line for line in one if not line.startswith("[ Process")]) for one in lines])
        assert probe.end() == 6
    for ours, theirs in zip(traces[1], traces[0], strict=True):
        assert ours == theirs and len(ours) > 2


def test_gdb_inside_notices_nothing(ground: Ground) -> None:
    """A debugger in the guest works on while somebody outside looks at the program that it debugs, and comes and goes."""
    if helpers.have("gdb"):
        pytest.skip("gdb missing (Debian: gdb)")
    script = ["set debuginfod enabled off", "set startup-with-shell off", "handle SIGUSR1 nostop noprint",
              "break mkdir", "run", "print 40 + 2", "continue"]  # fmt: skip
    words = ["gdb", "-nx", "-batch", *(word for line in script for word in ("-ex", line)), f"{ground.here}/probe"]
    environment = {**helpers.pyroot_command()[1], **ENVIRONMENT}
    session = helpers.start([*ground.words, *ground.view, *words], environment=environment, stdin=subprocess.PIPE)
    ground.started.append(session)
    assert session.stdin and session.stdout

    def say(line: bytes) -> bytes:
        assert session.stdin and session.stdout
        session.stdin.write(line)
        session.stdin.flush()
        return b"".join(iter(session.stdout.readline, line)) + line

    say(b"hello\n")
    target = guest_that_runs(session.pid, f"{ground.here}/probe")
    text = b""
    for name in ("first", "second"):
        looked = Looked(ground, [*ground.words, "trace", "-e", "trace=mkdir,rename,kill", "-p", str(target)], name)
        looked.wait("attached")
        text += say(b"calls\n") if name == "first" else say(b"wake 0\n")
        if name == "first":
            looked.wait('rename("made", "moved")')
            looked.wait("--- SIGUSR1 {si_signo=SIGUSR1")
        looked.end()
    session.stdin.close()
    session.stdin = None
    text += session.communicate(timeout=30)[0]
    assert b"Breakpoint 1, " in text and b"$1 = 42" in text and b"exited with code 06]" in text, text
