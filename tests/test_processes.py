"""Processes, signals, threads, executions: a guest's view of them is the kernel's."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.helpers import Result
from tests.probe_root import ENVIRONMENT, environment_of_pyroot, guest_words, probe_root, same
from tests.terminal import Terminal, sleeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["probe_root", "same"]

HOST = ["-r", "/", "-w", "/"]


def shell(run_pyroot: Callable[..., Result], script: str, *options: str) -> Result:
    """Run a shell script with the host's root as root."""
    return run_pyroot([*options, *HOST, "/bin/sh", "-c", script])


@contextlib.contextmanager
def started(words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start pyroot in a session of its own and clean up after it."""
    process = helpers.start(words, environment={**environment_of_pyroot(), "PATH": "/usr/bin:/bin"})
    try:
        yield process
    finally:
        helpers.kill_session(process.pid)
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[bytes]) -> str:
    """Wait for a line of output."""
    assert process.stdout
    return process.stdout.readline().decode()


# --- exit statuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 7, 125, 126, 127, 128, 143, 255])
def test_exit_status_is_handed_on(run_pyroot: Callable[..., Result], status: int) -> None:
    """The command's exit status is pyroot's."""
    assert shell(run_pyroot, f"exit {status}") == Result(status, "", "")


def test_status_is_not_the_last_descendant_s(run_pyroot: Callable[..., Result]) -> None:
    """A descendant that ends later does not change the status, and its output is waited for."""
    result = shell(run_pyroot, "(sleep 0.2; echo late; exit 9) & exit 3")
    assert (result.status, result.stdout) == (3, "late\n")


def test_kill_on_exit_ends_descendants(run_pyroot: Callable[..., Result]) -> None:
    """With --kill-on-exit nobody outlives the command."""
    began = time.monotonic()
    result = shell(run_pyroot, "sleep 30 & exit 4", "--kill-on-exit")
    assert result.status == 4
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP,
                                    signal.SIGALRM, signal.SIGPIPE])
def test_death_by_signal_is_128_plus_n(probe_root: str, run_pyroot: Callable[..., Result], number: int) -> None:
    """A command that a signal ends gives 128+N."""
    words = ["-r", probe_root, "-w", "/", "/probe", "signal", str(int(number))]
    assert run_pyroot(words, environment=ENVIRONMENT).status in (128 + number, -number)


def test_crash_gives_139(probe_root: str, run_pyroot: Callable[..., Result]) -> None:
    """A command that crashes gives 128+SIGSEGV and no message of ours."""
    result = run_pyroot(["-r", probe_root, "-w", "/", "/probe", "crash"], environment=ENVIRONMENT)
    assert (result.status % 256, result.stdout) in ((139, ""), (256 - 11, ""))
    assert "Traceback" not in result.stderr


# --- signals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_to_pyroot_reaches_the_command(pyroot_words: list[str], number: int) -> None:
    """SIGTERM, SIGINT and SIGHUP that are sent to pyroot alone end the command, or reach its handler."""
    handled = "trap 'echo caught; exit 5' TERM INT HUP; echo ready; while :; do sleep 0.01; done"
    with started([*pyroot_words, *HOST, "/bin/sh", "-c", handled]) as process:
        assert first_line(process) == "ready\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
        assert (process.returncode, output, errors) == (5, b"caught\n", b"")
    with started([*pyroot_words, *HOST, "/bin/sh", "-c", "echo ready; exec sleep 100"]) as process:
        assert first_line(process) == "ready\n"
        process.send_signal(number)
        process.communicate(timeout=20)
        assert process.returncode in (128 + number, -number)
        helpers.wait_until(lambda: not helpers.session_members(process.pid), what="no guest is left")


def test_siginfo_arrives_unchanged(same: Callable[..., Result]) -> None:
    """Value, sender, code and status of signals are the kernel's."""
    assert "usr1 1 code -1 value 4711 own 1" in same("/probe", "siginfo").stdout


def test_fault_addresses_arrive(same: Callable[..., Result]) -> None:
    """Handlers of faults see address and code."""
    assert "unmapped code 1 address 0x1234560" in same("/probe", "fault").stdout


def test_dispositions_and_mask_are_the_default(same: Callable[..., Result]) -> None:
    """The command starts with default signals and an empty mask."""
    assert same("/probe", "ignoring") == Result(0, "", "")


@pytest.mark.parametrize("restart", [False, True])
def test_blocking_open_is_interrupted_as_by_the_kernel(
    probe_root: str, pyroot_words: list[str], restart: bool
) -> None:
    """open of a FIFO gives EINTR, or goes on after the handler and finds its path again."""
    words = guest_words(pyroot_words, probe_root, "/probe", "blocked", "../fifo", *(["restart"] if restart else []))
    with started(words) as process:
        pid = int(first_line(process).split()[1])
        helpers.wait_until(lambda: helpers.stat_fields(pid)[:1] == ["S"], what="the guest blocks")
        os.kill(pid, signal.SIGUSR1)
        if restart:
            helpers.wait_until(lambda: helpers.stat_fields(pid)[:1] == ["S"], what="the guest blocks again")
            os.close(os.open(f"{probe_root}/fifo", os.O_WRONLY))
        output = process.communicate(timeout=20)[0].decode()
    assert output.startswith("open ok errno 0 signals 1" if restart else "open failed errno 4 signals 1")
    assert "after: marker 7 marker at 0 stat 0" in output


def test_pyroot_is_a_job_of_its_shell(pyroot_words: list[str]) -> None:
    """^Z stops pyroot with its guest, fg goes on, ^C ends both."""
    words = " ".join([*(f"{name}={value}" for name, value in helpers.pyroot_command()[1].items()), *pyroot_words,
    *HOST])
    environment = {"PATH": "/usr/bin:/bin", "TERM": "dumb", "HOME": "/tmp"}
    with Terminal(["/bin/bash", "--norc", "--noprofile", "-i"], environment) as terminal:
        terminal.type("PS1='<ready>'; bind 'set enable-bracketed-paste off'; stty -echo\n")
        terminal.expect("<ready>(?!')")
        terminal.type(f"{words} /bin/sh -c 'echo begun; read line; echo got $line; sleep 100'\n")
        terminal.expect("begun\n")
        terminal.type("\x1a")
        terminal.expect("(?s)Stopped.*<ready>")
        helpers.wait_until(lambda: all_stopped(terminal.pid), what="all guests are stopped")
        terminal.type("fg\n")
        terminal.expect("(?s)read line")
        terminal.type("words\n")
        terminal.expect("got words\n")
        helpers.wait_until(lambda: sleeping(terminal.pid), what="sleep runs")  # before that the shell may drop a ^C
        terminal.type("\x03")
        terminal.expect("<ready>")
        terminal.type("echo status $?\n")
        terminal.expect("status 130")
        helpers.wait_until(lambda: helpers.session_members(terminal.pid) == [terminal.pid],
        what="only the shell is left")


def test_a_signal_for_the_whole_group_arrives_once(run_pyroot: Callable[..., Result]) -> None:
    """kill 0 in a guest reaches pyroot too, which must not hand it on to the command."""
    script = "n=0; trap 'n=$((n+1))' TERM; i=0; while [ $i -lt 300 ]; do kill -TERM 0; i=$((i+1)); done; /bin/true; echo $n"
    assert shell(run_pyroot, script) == Result(0, "300\n", "")


def test_a_stopped_command_that_somebody_else_continues(pyroot_words: list[str]) -> None:
    """The shell sees the job stop; SIGCONT to the command alone, which pyroot as a stopped process cannot see, is enough."""
    words = " ".join([*(f"{name}={value}" for name, value in helpers.pyroot_command()[1].items()), *pyroot_words, *HOST])
    environment = {"PATH": "/usr/bin:/bin", "TERM": "dumb", "HOME": "/tmp"}
    with Terminal(["/bin/bash", "--norc", "--noprofile", "-i"], environment) as terminal:
        terminal.type("PS1='<ready>'; bind 'set enable-bracketed-paste off'; stty -echo\n")
        terminal.expect("<ready>(?!')")
        terminal.type(f"{words} /bin/sh -c 'echo guest $$.; kill -STOP $$; /bin/echo goes on'\n")
        guest = int(terminal.expect(r"guest \d+\.").split()[-1].rstrip("."))
        terminal.expect("(?s)Stopped.*<ready>")
        helpers.wait_until(lambda: all_stopped(terminal.pid), what="pyroot and its guest are stopped")
        os.kill(guest, signal.SIGCONT)
        terminal.expect("goes on")


def test_a_command_that_stops_and_goes_on_without_a_terminal(run_pyroot: Callable[..., Result]) -> None:
    """Where no shell waits for a job, one guest may stop another and continue it, with traced calls of its own in between."""
    script = "(until grep -q '^State:.[tT]' /proc/$$/status; do :; done; /bin/true; /bin/kill -CONT $$) & kill -STOP $$; wait; echo on"
    assert shell(run_pyroot, script) == Result(0, "on\n", "")


def test_a_stopped_job_s_processes_in_other_groups_wait(pyroot_words: list[str], short_directory: str) -> None:
    """They go on without pyroot; here at their next path call they wait for it, as the shell must see it stop."""
    words = " ".join([*(f"{name}={value}" for name, value in helpers.pyroot_command()[1].items()), *pyroot_words, *HOST])
    alive = f"{short_directory}/alive"
    with Terminal(["/bin/bash", "--norc", "--noprofile", "-i"], {"PATH": "/usr/bin:/bin", "TERM": "dumb", "HOME": "/tmp"}) as terminal:
        terminal.type("PS1='<ready>'; bind 'set enable-bracketed-paste off'; stty -echo\n")
        terminal.expect("<ready>(?!')")
        terminal.type(f"{words} /bin/sh -c 'setsid sh -c \"while sleep 0.01; do echo >{alive}; done\" & echo begun; read line; kill $!'\n")
        terminal.expect("begun\n")
        helpers.wait_until(lambda: os.path.exists(alive), what="the other group works")
        terminal.type("\x1a")
        terminal.expect("(?s)Stopped.*<ready>")
        time.sleep(0.2)
        os.unlink(alive)
        time.sleep(0.3)
        assert not os.path.exists(alive)
        terminal.type("fg\n")
        helpers.wait_until(lambda: os.path.exists(alive), what="the other group goes on")
        terminal.type("\n")
        terminal.expect("<ready>")


def all_stopped(session: int) -> bool:
    """Say whether everything in the session but its leader is stopped, by a signal or by the tracer."""
    states = [(helpers.stat_fields(pid) or "X")[0] for pid in helpers.session_members(session) if pid != session]
    return bool(states) and all(state in "Tt" for state in states)


# --- children, threads, executions ----------------------------------------------------------------------------------


def test_every_kind_of_child_sees_the_root(same: Callable[..., Result]) -> None:
    """fork, vfork, clone, clone3, threads and posix_spawn."""
    result = same("/probe", "children")
    assert "spawn: waited 1 exit 36" in result.stdout
    assert result.stdout.count("marker 7 marker at 0 stat 0") == 6


def test_untraced_children_are_translated_too(same: Callable[..., Result]) -> None:
    """CLONE_UNTRACED does not free a child from the root."""
    assert same("/probe", "untraced").stdout.count("marker 7 marker at 0 stat 0") == 2


def test_exec_from_another_thread(same: Callable[..., Result]) -> None:
    """The executing thread takes the place of its process; the others are gone."""
    for _ in range(20):
        result = same("/probe", "thread-exec", "/probe")
    assert "same pid 1 leader 1" in result.stdout


@pytest.mark.parametrize("depth", range(1, 8))
def test_chains_of_scripts(same: Callable[..., Result], depth: int) -> None:
    """Five nested scripts run, the sixth does not; every word is in its place."""
    result = same("/bin-less-sh" if depth > 7 else "/probe", "start", f"/s{depth}")
    assert result.status == 0


def test_script_arguments_are_the_kernel_s(probe_root: str, run_pyroot: Callable[..., Result],
                                           real_chroot: Callable[..., Result]) -> None:
    """argv, AT_EXECFN, comm and heap of programs and scripts are what the kernel gives."""
    for command in (["/s1", "x"], ["/s3"], ["/s5", "", "a b"], ["/odd", "1"], ["../probe"], ["./s2"], ["/place/../s4"],
                    ["relative"], ["/proc/self/root/probe", "q"], ["probe", "one"]):
        for cwd in ("/", "/place"):
            if command[0] in ("./s2", "relative", "probe") and cwd != "/":
                continue
            real = real_chroot(probe_root, command, [("/proc", "/proc")], cwd, environment=ENVIRONMENT)
            other = run_pyroot(["-r", probe_root, "-w", cwd, "-b", "/proc", *command], environment=ENVIRONMENT)
            assert other == real, command


def test_six_nested_scripts_fail_with_126(probe_root: str, run_pyroot: Callable[..., Result]) -> None:
    """The sixth level of scripts is too many: one line says so."""
    assert run_pyroot(["-r", probe_root, "-w", "/", "/s5"], environment=ENVIRONMENT).status == 0
    for name in ("/s6", "/s7"):
        result = run_pyroot(["-r", probe_root, "-w", "/", name], environment=ENVIRONMENT)
        assert result.status == 126, result
        assert result.stderr.startswith("pyroot: ")


def test_daemon_outlives_the_command(probe_root: str, pyroot_words: list[str]) -> None:
    """A daemon goes on in its root after the command; pyroot waits for it and gives the command's status."""
    note = f"{probe_root}/tmp/pid"
    with started(guest_words(pyroot_words, probe_root, "/probe", "daemon", "/tmp/pid")) as process:
        helpers.wait_until(lambda: os.path.exists(note) and os.path.getsize(note) > 1, what="the daemon runs")
        with open(note, encoding="ascii") as file:
            daemon = int(file.read())
        assert process.poll() is None
        assert helpers.stat_fields(daemon)
        open(f"{probe_root}/stop", "w", encoding="ascii").close()
        try:
            process.communicate(timeout=20)
        finally:
            os.unlink(f"{probe_root}/stop")
            os.unlink(note)
        assert process.returncode == 5
        assert (helpers.stat_fields(daemon) or "X")[0] in "ZX"  # init may not have waited for it yet


# --- the end of pyroot -----------------------------------------------------------------------------------------------


def nobody(mark: str) -> bool:
    """Say whether no process holds the mark."""
    return not helpers.marked(mark)


@pytest.mark.timeout(300)
def test_killed_pyroot_leaves_no_guest(probe_root: str, pyroot_words: list[str]) -> None:
    """kill -9 of pyroot at a random moment ends every guest, daemons in other sessions too."""
    rng = random.Random(20)
    for turn in range(100):
        mark = f"pyroot-kill-{os.getpid()}-{turn}"
        environment = {**environment_of_pyroot(), "MARK": mark}
        process = helpers.start(guest_words(pyroot_words, probe_root, "/probe", "busy"), environment=environment)
        try:
            if turn % 4:
                assert first_line(process) == "ready\n"
            time.sleep(rng.random() * (0.03 if turn % 4 else 0.06))  # the random moment
            process.kill()
            process.communicate(timeout=20)
            helpers.wait_until(functools.partial(nobody, mark), 10, f"guests of turn {turn} are gone")
        finally:
            for pid in helpers.marked(mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def test_descriptors_of_the_command(run_pyroot: Callable[..., Result]) -> None:
    """The command has descriptors 0 to 2 and the one that lists them, none of pyroot's."""
    if shutil.which("ls") is None:
        pytest.skip("no ls")
    result = run_pyroot([*HOST, "ls", "/proc/self/fd"])
    assert result.stdout.split() == ["0", "1", "2", "3"]


def test_a_fork_storm_ends(run_pyroot: Callable[..., Result]) -> None:
    """Hundreds of short processes at once are all waited for."""
    script = (
        "for i in $(seq 300); do (exec /bin/true) & done; wait; "
        "for i in $(seq 100); do /bin/true || exit 1; done; echo done"
    )
    assert shell(run_pyroot, script) == Result(0, "done\n", "")
