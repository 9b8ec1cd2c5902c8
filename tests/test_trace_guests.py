"""`pyroot trace -p` of a guest: its supervisor traces it for somebody who asks, and lets go of it again.

The oracle is strace -p on the same program outside, line for line.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests import helpers, strace_oracle
from tests.traced_guests import ENVIRONMENT, Ground, Looked, Probe, by_process, guest_that_runs, links_of, status_of


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
    rest = rest[: next((at for at, line in enumerate(rest) if line.startswith("write(1") and '"call' in line), len(rest))]
    # whether the child has ended before it is waited for is chance: its signal goes to the end
    return sorted(rest, key=lambda line: line.startswith("--- SIGCHLD"))


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
    os.kill(probe.pid, signal.SIGUSR1)
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
