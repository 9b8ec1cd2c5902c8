"""The command has ended and others are left: what pyroot says, how it ends them or lets them run, and `pyroot kill`."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pyroot import leaving, report
from tests import helpers
from tests.helpers import Result
from tests.terminal import Terminal

Run = Callable[..., Result]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}
HOST = ["-r", "/", "-w", "/"]
# says its number, and ends with its input
DAEMON = "sh -c '{what}; echo $$; while read line <&3; do :; done' & exit 3"
STUBBORN = "trap \"\" TERM"
POLITE = "trap \"echo asked; exit\" TERM"


@contextmanager
def left(words: list[str], *options: str, what: str = ":", command: str = DAEMON, environment: dict[str, str] | None = None,
         ) -> Iterator[tuple[subprocess.Popen[bytes], int]]:  # fmt: skip
    """Run a command that leaves a process behind; give pyroot's process and that one's number, when the command has ended."""
    script = f"exec 3<&0; {command.format(what=what)}"
    variables = {**helpers.pyroot_command()[1], **ENVIRONMENT, **(environment or {})}
    process = helpers.start([*words, *options, *HOST, "sh", "-c", script], environment=variables, stdin=subprocess.PIPE)
    assert process.stdin and process.stdout and process.stderr
    daemon = 0
    try:
        daemon = int(process.stdout.readline())
        helpers.wait_until(lambda: not has_parent(daemon, process.pid), what="the command has ended")
        # a shell that has just printed runs no trap once it reads
        helpers.wait_until(lambda: helpers.stat_fields(daemon)[0] == "S", what="the daemon reads")
        yield process, daemon
    finally:
        for pid in (daemon, process.pid):
            helpers.kill_session(int((helpers.stat_fields(pid) or ["", "", "", "-1"])[3]))
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


def has_parent(daemon: int, supervisor: int) -> bool:
    """Say whether the daemon's parent is still the command, a child of pyroot's."""
    parent = int(helpers.stat_fields(daemon)[1])
    return (helpers.stat_fields(parent) or ["Z", "0"])[1] == str(supervisor)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_signal_asks_those_left_to_end(pyroot_words: list[str], number: int) -> None:
    with left(pyroot_words, "--grace", "1000", what=POLITE) as (process, _daemon):
        process.send_signal(number)
        assert process.wait(timeout=helpers.TIME_LIMIT) == 3
        assert process.communicate() == (b"asked\n", b"")


def test_stopped_ones_are_asked_too(pyroot_words: list[str]) -> None:
    with left(pyroot_words, "--grace", "1000", what=POLITE) as (process, daemon):
        os.kill(daemon, signal.SIGSTOP)
        helpers.wait_until(lambda: helpers.stat_fields(daemon)[0] in "tT")
        process.terminate()
        assert process.wait(timeout=helpers.TIME_LIMIT) == 3
        assert process.communicate()[0] == b"asked\n"


@pytest.mark.parametrize("grace", ["0", "0.2"])
def test_those_that_do_not_heed_are_killed(pyroot_words: list[str], grace: str) -> None:
    with left(pyroot_words, "--grace", grace, what=STUBBORN) as (process, daemon):
        began = time.monotonic()
        process.terminate()
        assert process.wait(timeout=helpers.TIME_LIMIT) == 3
        assert time.monotonic() - began >= float(grace)
        assert not helpers.stat_fields(daemon) or helpers.stat_fields(daemon)[0] in "ZX"


def test_second_signal_kills_at_once(pyroot_words: list[str]) -> None:
    with left(pyroot_words, "--grace", "1000", what=STUBBORN) as (process, _daemon):
        process.terminate()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=helpers.TIME_LIMIT) == 3


def test_ignored_signal_stays_ignored(pyroot_words: list[str]) -> None:
    nohup = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
    with left([*nohup, *pyroot_words], what=POLITE) as (process, daemon):
        process.send_signal(signal.SIGHUP)
        assert process.stdin
        process.stdin.close()  # the daemon's own end
        assert process.wait(timeout=helpers.TIME_LIMIT) == 3
        assert process.stdout and process.stdout.read() == b""


def test_guests_signals_do_not_end_the_rest(pyroot_words: list[str]) -> None:
    """kill(0) by a guest reaches pyroot, too, which is a member of the group."""
    with left(pyroot_words, "--grace", "0", what=STUBBORN + "; kill -TERM 0", command="trap \"\" TERM; " + DAEMON) as (process, _daemon):
        assert process.stdin
        process.stdin.close()
        assert process.wait(timeout=helpers.TIME_LIMIT) in (3, 128 + signal.SIGTERM)


def test_says_whom_it_waits_for(pyroot_words: list[str]) -> None:
    with left(pyroot_words) as (process, daemon):
        assert process.stderr and process.stdin
        assert process.stderr.readline().decode() == (
            f"pyroot: the command has ended with 3; waiting for a process that it has left running: sh ({daemon})\n"
        )
        hint = process.stderr.readline().decode()
        assert "--kill-on-exit" in hint and "--detach-daemons" in hint and f"pyroot kill {process.pid} " in hint
        process.stdin.close()
        assert process.wait(timeout=helpers.TIME_LIMIT) == 3
        assert process.stderr.read() == b""


def test_line_about_many(capfd: pytest.CaptureFixture[str]) -> None:
    leaving.say(0, list(range(1, 10)))
    assert re.search(r"waiting for 9 processes .*: .* \(1\), .* \(5\), and 4 more\n", capfd.readouterr().err)
    report.set_verbosity(-1)
    try:
        leaving.say(0, [1])
    finally:
        report.set_verbosity(0)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("variables", [{}, {"PYROOT_NO_HANDOVER": "1"}])
def test_inner_pyroot_ends_its_own_only(pyroot_words: list[str], variables: dict[str, str]) -> None:
    nested = shlex.join([*pyroot_words, "--grace", "1000", *HOST, "sh", "-c", "exec 3<&0; " + DAEMON.format(what=POLITE)])
    script = f"sleep 1000 >/dev/null 2>&1 & echo $!; {nested} & echo $!; wait $!; echo inner $?"
    own = {**helpers.pyroot_command()[1], **ENVIRONMENT, **variables}
    process = helpers.start([*pyroot_words, *HOST, "sh", "-c", f"exec 4<&0; {script.replace(' & echo $!; wait', ' <&4 & echo $!; wait')}"],
                            environment=own, stdin=subprocess.PIPE)  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    try:
        outer, supervisor, daemon = (int(process.stdout.readline()) for _ in range(3))
        helpers.wait_until(lambda: not has_parent(daemon, supervisor), what="the inner command has ended")
        helpers.wait_until(lambda: helpers.stat_fields(daemon)[0] == "S", what="the daemon reads")
        os.kill(supervisor, signal.SIGTERM)
        assert [process.stdout.readline() for _ in range(2)] == [b"asked\n", b"inner 3\n"]
        assert helpers.stat_fields(outer)[0] not in "ZX"
        # (until then the signal is the command's, which may end without having seen it)
        helpers.wait_until(lambda: not has_parent(outer, process.pid), what="the outer command has ended")
        process.terminate()
        assert process.wait(timeout=helpers.TIME_LIMIT) == 0
    finally:
        helpers.kill_session(process.pid)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


# --- --detach-daemons ---------------------------------------------------------------------------------------------


@contextmanager
def detached(run_pyroot: Run, tmp: str, *options: str, what: str = "", code: int = 3) -> Iterator[tuple[int, int]]:
    """Leave a daemon behind that keeps none of our descriptors; give its supervisor and its own number."""
    script = f"cd \"$0\" && mkfifo stop; setsid sh -c '{what} echo $$ > pid; cat stop' </dev/null >/dev/null 2>&1 & "
    script += f"while [ ! -s pid ]; do :; done; echo out; exit {code}"
    done = run_pyroot(["--detach-daemons", *options, *HOST, "sh", "-c", script, tmp], environment=ENVIRONMENT)
    assert done == Result(code, "out\n", "")
    with open(f"{tmp}/pid", encoding="ascii") as file:
        daemon = int(file.read())
    with open(f"/proc/{daemon}/status", encoding="ascii") as file:
        supervisor = int(dict(line.split(":\t", 1) for line in file)["TracerPid"])
    try:
        yield supervisor, daemon
    finally:
        helpers.kill_session(supervisor)
        helpers.wait_until(lambda: is_gone(daemon), what="it died with its supervisor")


def is_gone(pid: int) -> bool:
    return not helpers.stat_fields(pid) or helpers.stat_fields(pid)[0] in "ZX"


def test_detached_daemon_goes_on(run_pyroot: Run, guest_directory: str) -> None:
    with detached(run_pyroot, guest_directory) as (supervisor, daemon):
        (session,) = json.loads(run_pyroot(["ps", "--json", "-p", str(supervisor)]).stdout)["sessions"]
        assert daemon in [one["pid"] for one in session["processes"]]
        assert helpers.stat_fields(supervisor)[3] == str(supervisor)  # its own session
        assert [os.readlink(f"/proc/{supervisor}/fd/{number}") for number in range(3)] == ["/dev/null"] * 3
        assert os.readlink(f"/proc/{supervisor}/cwd") == "/"
        # it is a guest as before: its calls are served
        with open(f"{guest_directory}/stop", "w", encoding="ascii"):
            pass
        helpers.wait_until(lambda: is_gone(daemon) and is_gone(supervisor), what="both have ended")


def test_detached_daemon_dies_with_its_supervisor(run_pyroot: Run, guest_directory: str) -> None:
    with detached(run_pyroot, guest_directory, code=0) as (supervisor, daemon):
        os.kill(supervisor, signal.SIGKILL)
        helpers.wait_until(lambda: is_gone(daemon))


@pytest.mark.parametrize("what", ["", STUBBORN + ";"])
def test_kill_ends_a_session(run_pyroot: Run, guest_directory: str, what: str) -> None:
    with detached(run_pyroot, guest_directory, what=what) as (supervisor, daemon):
        assert run_pyroot(["kill", "--grace", "0.2", str(supervisor)]) == Result(0, "", "")
        assert is_gone(daemon)
        helpers.wait_until(lambda: is_gone(supervisor))


def test_kill_ends_one_process(run_pyroot: Run, guest_directory: str) -> None:
    with detached(run_pyroot, guest_directory, what="sleep 1000 &") as (supervisor, daemon):
        assert run_pyroot(["kill", str(daemon)]) == Result(0, "", "")
        assert is_gone(daemon) and not is_gone(supervisor)
        assert run_pyroot(["kill", "-s", "sigkill", str(supervisor)]) == Result(0, "", "")
        helpers.wait_until(lambda: is_gone(supervisor))


def test_kill_sends_a_signal(run_pyroot: Run, guest_directory: str) -> None:
    with detached(run_pyroot, guest_directory, what='trap "echo got > got" USR1; sleep 1000 &') as (_, daemon):
        assert run_pyroot(["kill", "-s", "USR1", str(daemon)]) == Result(0, "", "")
        with open(f"{guest_directory}/stop", "w", encoding="ascii"):
            pass  # the trap runs when cat has ended
        helpers.wait_until(lambda: os.path.exists(f"{guest_directory}/got"))


def test_kill_touches_nothing_else(run_pyroot: Run) -> None:
    other = helpers.start(["sleep", "1000"])
    try:
        done = run_pyroot(["kill", str(other.pid)])
        assert done.status == 1
        assert done.stderr.startswith(f"pyroot: kill: {other.pid}: no session and no process of one\n  hint: pyroot ps ")
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["kill"], "no process given"),
        (["kill", "x"], "x: not a process number"),
        (["kill", "-s", "NONE", "1"], "-s NONE: no such signal"),
        (["kill", "--grace", "nan", "1"], "--grace nan: not a time in seconds"),
        (["--grace", "-1", "true"], "--grace -1: not a time in seconds"),
        (["--detach-daemons", "--kill-on-exit", "true"], "keep one of them"),
        (["trace", "--detach-daemons", "true"], "a trace goes on until the last process has ended"),
    ],
)
def test_what_is_refused(run_pyroot: Run, words: list[str], message: str) -> None:
    done = run_pyroot(words)
    assert done.status == 125
    assert message in done.stderr


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", 137), ("exec /nonexistent/x", 127)])
def test_detached_without_daemons_is_as_ever(run_pyroot: Run, script: str, status: int) -> None:
    assert run_pyroot(["--detach-daemons", *HOST, "sh", "-c", script], environment=ENVIRONMENT).status == status


def test_command_behind_a_front_gets_signals_once(pyroot_words: list[str]) -> None:
    script = "trap 'echo usr1' USR1; trap 'echo term; exit 9' TERM; echo ready; while :; do sleep 0.01; done"
    variables = {**helpers.pyroot_command()[1], **ENVIRONMENT}
    process = helpers.start([*pyroot_words, "--detach-daemons", *HOST, "sh", "-c", script], environment=variables)
    assert process.stdout and process.stderr
    try:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == b"usr1\n"
        process.terminate()
        assert process.communicate(timeout=helpers.TIME_LIMIT) == (b"term\n", b"")
        assert process.returncode == 9
    finally:
        helpers.kill_session(process.pid)


def test_front_is_a_job_as_the_command_would_be(pyroot_words: list[str]) -> None:
    """^Z stops the job for the shell, and fg goes on with it."""
    command = shlex.join([*pyroot_words, "--detach-daemons", *HOST, "sh", "-c", "echo re''ady; read line; echo got $line; exit 5"])
    variables = {**helpers.pyroot_command()[1], **ENVIRONMENT, "PS1": "$ ", "TERM": "dumb"}
    with Terminal(["/bin/bash", "--norc", "--noediting", "-i"], variables) as terminal:
        terminal.type(f"{command}\n")
        terminal.expect("ready")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.type("fg\n")
        terminal.type("word\n")
        terminal.expect("got word")
        terminal.type("echo status $?\n")
        terminal.expect("status 5")
