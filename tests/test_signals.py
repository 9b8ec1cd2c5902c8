"""Signals that pyroot gets mean the command: each reaches it exactly once, as if pyroot's pid were the command's."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import random
import shlex
import shutil
import signal
import struct
import subprocess
import termios
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import PROGRAMS, environment_of_pyroot
from tests.terminal import Terminal, sleeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

# SIGCHLD comes with each death of a guest (DIFFERENCES.md); the C library keeps two for itself.
ALL = sorted(set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, 32, 33})
SEED = 4711
HOST = ["-r", "/", "-w", "/"]
libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def root(guest_directory: str) -> str:
    """Make a root with the probe in it."""
    try:
        shutil.copy(compile_program([f"{PROGRAMS}/signal_probe.c"], "-static", "-pthread", name="signal"), f"{guest_directory}/signal")
    except BuildError as error:
        pytest.skip(str(error))
    return guest_directory


class Running:
    """Pyroot with the probe as its command, in a process group of its own."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self.process = helpers.start(words, environment=environment, stdin=subprocess.PIPE)
        assert self.line() == "up"

    def line(self) -> str:
        """Return the next line of the probe."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def told(self, number: int) -> None:
        """The next line is of this signal, from us, and as by kill(2)."""
        assert self.line() == f"{number} code 0 pid {os.getpid()} value 0"

    def told_among(self, *numbers: int) -> None:
        """The next lines are of these signals, in some order."""
        assert sorted(int(self.line().split()[0]) for _ in numbers) == sorted(map(int, numbers))

    def group(self, number: int) -> None:
        """Send to the whole process group."""
        os.killpg(self.process.pid, number)

    def queue(self, number: int, value: int) -> None:
        """Send with a value."""
        assert libc.sigqueue(self.process.pid, number, ctypes.c_void_p(value)) == 0


@pytest.fixture
def running(pyroot_words: list[str], root: str) -> Iterator[Callable[..., Running]]:
    """Return a function that starts the probe; it ends with the test."""
    with contextlib.ExitStack() as stack:

        def start(*words: str, around: list[str] | None = None, **environment: str) -> Running:
            line = [*(around or []), *pyroot_words, "-r", root, "-w", "/", "/signal", *words]
            one = Running(line, {**environment_of_pyroot(), "PATH": "/usr/bin:/bin", **environment})
            stack.callback(one.process.communicate)
            stack.callback(helpers.kill_session, one.process.pid)
            stack.callback(one.process.kill)
            return one

        yield start


WAYS: list[dict[str, str]] = [{}, {"PYROOT_NO_SECCOMP": "1"}, {"PYROOT_NO_GATE": "1"}]


@pytest.mark.parametrize("way", WAYS, ids=["plain", "no filter", "no gate"])
@pytest.mark.parametrize("mode", [(), ("threads",)], ids=["one thread", "threads"])
def test_each_signal_arrives_once(running: Callable[..., Running], way: dict[str, str], mode: tuple[str]) -> None:
    """Those for pyroot alone are passed on, those for its group are not passed on again; with their sender and their code."""
    one = running(*mode, **way)
    for number in ALL:
        one.process.send_signal(number)
        one.told(number)
        one.group(number)
        one.told(number)
    one.process.send_signal(signal.SIGUSR1)
    one.told(signal.SIGUSR1)


@pytest.mark.parametrize("handover", [True, False], ids=["handed over", "by itself"])
def test_each_signal_arrives_once_through_two_pyroots(running: Callable[..., Running], pyroot_words: list[str], handover: bool) -> None:
    environment = {} if handover else {"PYROOT_NO_HANDOVER": "1"}
    one = running(around=[*pyroot_words, *HOST], **environment)
    for number in (*FEW, signal.SIGTSTP, signal.SIGSEGV, 40):
        one.process.send_signal(number)
        one.told(number)
        one.group(number)
        one.told(number)
    one.queue(signal.SIGUSR1, 33)
    assert one.line() == f"{int(signal.SIGUSR1)} code -1 pid {os.getpid()} value 33"


FEW = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGALRM, signal.SIGWINCH, signal.SIGRTMIN]


NESTED: list[dict[str, str] | None] = [None, {}, {"PYROOT_NO_HANDOVER": "1"}]


@pytest.mark.parametrize("nested", NESTED, ids=["alone", "handed over", "by itself"])
def test_signals_for_one_and_for_all_in_any_order(
    running: Callable[..., Running], pyroot_words: list[str], nested: dict[str, str] | None
) -> None:
    rng = random.Random(SEED)
    one = running() if nested is None else running(around=[*pyroot_words, *HOST], **nested)
    number = FEW[0]
    for _ in range(300):
        # (while a pyroot has not looked at its own of the group's the kernel makes one of two: DIFFERENCES.md)
        number = rng.choice([other for other in FEW if other != number])
        (one.group if rng.random() < 0.5 else one.process.send_signal)(number)
        one.told(number)
        helpers.wait_until(functools.partial(nothing_waits, one.process.pid), what="all have looked")


def test_a_command_that_makes_calls_all_the_time_gets_each_signal(running: Callable[..., Running]) -> None:
    """Whether it happens to be in a stop that nobody has looked at, or not."""
    rng = random.Random(SEED)
    one = running("calls")
    for _ in range(300):
        number = rng.choice([*FEW, signal.SIGINT, signal.SIGHUP])
        one.process.send_signal(number)
        one.told(number)


def nothing_waits(session: int) -> bool:
    """Say whether no member of a session has a signal pending."""
    return not any(waits(pid, number) for pid in helpers.session_members(session) for number in FEW)


@pytest.mark.parametrize("to_all", [False, True])
def test_signals_that_the_command_blocks_wait_there_once(running: Callable[..., Running], to_all: bool) -> None:
    one = running("blocked")
    for number in FEW:
        (one.group if to_all else one.process.send_signal)(number)
    [command] = [pid for pid in helpers.session_members(one.process.pid) if pid != one.process.pid]
    helpers.wait_until(lambda: all(waits(command, number) for number in FEW), what="all wait")
    assert one.process.stdin is not None
    one.process.stdin.write(b"\n")
    one.process.stdin.flush()
    assert sorted(int(one.line().split()[0]) for _ in FEW) == sorted(map(int, FEW))
    one.queue(signal.SIGHUP, 1)
    assert one.line().startswith(f"{int(signal.SIGHUP)} code -1 ")


def waits(pid: int, number: int) -> bool:
    """Say whether a signal is pending."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return any(int(line.split()[1], 16) >> number - 1 & 1 for line in file if line.startswith(("SigPnd", "ShdPnd")))


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGIO, signal.SIGRTMIN, signal.SIGRTMAX])
def test_values_of_sigqueue_arrive(running: Callable[..., Running], number: int) -> None:
    one = running()
    for value in (0, 1, 4711, 0x7FFFFFFF):
        one.queue(number, value)
        assert one.line() == f"{number} code -1 pid {os.getpid()} value {value}"


def test_one_for_pyroot_behind_one_for_its_group_may_be_lost(running: Callable[..., Running]) -> None:
    """Of a number the kernel keeps one pending; pyroot is stopped here, so that it has looked at none (DIFFERENCES.md)."""
    one = running()
    one.process.send_signal(signal.SIGSTOP)
    helpers.wait_until(lambda: helpers.stat_fields(one.process.pid)[0] == "T", what="pyroot is stopped")
    one.group(signal.SIGUSR1)
    one.process.send_signal(signal.SIGUSR1)
    os.kill(one.process.pid, signal.SIGCONT)
    one.told_among(signal.SIGCONT, signal.SIGUSR1)
    one.process.send_signal(signal.SIGUSR2)
    one.told(signal.SIGUSR2)


def test_real_time_signal_that_is_blocked_may_arrive_once_more(running: Callable[..., Running]) -> None:
    """One for pyroot, one for its group: nobody can tell the second from the first (DIFFERENCES.md)."""
    one = running("blocked")
    [command] = [pid for pid in helpers.session_members(one.process.pid) if pid != one.process.pid]
    one.process.send_signal(signal.SIGRTMIN)
    helpers.wait_until(lambda: waits(command, signal.SIGRTMIN), what="it waits")
    one.group(signal.SIGRTMIN)
    helpers.wait_until(lambda: not waits(one.process.pid, signal.SIGRTMIN), what="pyroot has looked")
    one.process.send_signal(signal.SIGRTMAX)
    helpers.wait_until(lambda: waits(command, signal.SIGRTMAX), what="all have arrived")
    assert one.process.stdin is not None
    one.process.stdin.write(b"\n")
    one.process.stdin.flush()
    found = []
    while (number := int(one.line().split()[0])) != signal.SIGRTMAX:
        found.append(number)
    print(found)
    assert len(found) == 3


def test_sigchld_to_pyroot_is_lost(running: Callable[..., Running]) -> None:
    one = running()
    one.process.send_signal(signal.SIGCHLD)
    one.process.send_signal(signal.SIGUSR1)
    one.told(signal.SIGUSR1)


def test_sigstop_to_pyroot_stops_guests_at_their_next_path_call(pyroot_words: list[str], guest_directory: str) -> None:
    script = f"echo up; while :; do echo >{shlex.quote(guest_directory)}/alive; done"
    environment = {**environment_of_pyroot(), "PATH": "/usr/bin:/bin"}
    process = helpers.start([*pyroot_words, *HOST, "/bin/sh", "-c", script], environment=environment)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        helpers.wait_until(lambda: os.path.exists(f"{guest_directory}/alive"), what="it runs")
        process.send_signal(signal.SIGSTOP)
        waiting = lambda: all(helpers.stat_fields(pid)[0] in "tT" for pid in helpers.session_members(process.pid))  # noqa: E731
        helpers.wait_until(waiting, what="pyroot is stopped, and the shell waits")
        os.unlink(f"{guest_directory}/alive")
        process.send_signal(signal.SIGCONT)
        helpers.wait_until(lambda: os.path.exists(f"{guest_directory}/alive"), what="it goes on")
    finally:
        helpers.kill_session(process.pid)
        process.communicate()


@pytest.mark.parametrize("way", [{}, {"PYROOT_NO_SECCOMP": "1"}], ids=["plain", "no filter"])
def test_signal_to_pyroot_that_the_command_waits_for_has_another_code(pyroot_words: list[str], way: dict[str, str]) -> None:
    text = ("import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [10])\nprint('up', flush=True)\n"
            "found = signal.sigwaitinfo([10])\nprint(found.si_code < 0, found.si_pid)")
    python = [helpers.ordinary_python()[0], "-IS", "-c", text]
    for words, code in ((python, False), ([*pyroot_words, *HOST, *python], True)):
        process = helpers.start(words, environment={**environment_of_pyroot(), "PATH": "/usr/bin:/bin", **way})
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGUSR1)
        assert process.communicate(timeout=helpers.TIME_LIMIT)[0].decode() == f"{code} {os.getpid()}\n"


def test_real_time_signals_queue(running: Callable[..., Running]) -> None:
    """As many as are sent, in their order, however quickly they come."""
    one = running()
    count = 500
    for value in range(count):
        one.queue(signal.SIGRTMIN + 1, value)
    assert [one.line() for _ in range(count)] == [
        f"{signal.SIGRTMIN + 1} code -1 pid {os.getpid()} value {value}" for value in range(count)]


def test_what_the_terminal_sends_arrives_once(pyroot_words: list[str], root: str) -> None:
    with Terminal([*pyroot_words, "-r", root, "-w", "/", "/signal"], {**environment_of_pyroot(), "PATH": "/usr/bin:/bin"}) as terminal:
        terminal.expect("up\n")
        for key, number in (("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT), ("\x1a", signal.SIGTSTP), ("\x03", signal.SIGINT)):
            terminal.type(key)
            terminal.expect(rf"{int(number)} code 128 pid 0 value 0\n")
        fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        terminal.expect(rf"(?<![0-9\n]){int(signal.SIGWINCH)} code 128|^{int(signal.SIGWINCH)} code 128")
        terminal.expect("\n")
        os.kill(terminal.pid, signal.SIGUSR1)
        assert terminal.expect("10 code .*\n").count("code") == 1


def test_an_alarm_that_was_set_before_is_the_command_s(pyroot_words: list[str]) -> None:
    script = "import os, signal, sys; signal.setitimer(signal.ITIMER_REAL, 0.5); os.execv(sys.argv[1], sys.argv[1:])"
    result = helpers.run([helpers.ordinary_user.interpreter[0], "-c", script, shutil.which(pyroot_words[0]) or "", *pyroot_words[1:],
                          *HOST, "/bin/sleep", "60"], environment={**environment_of_pyroot(), "PATH": "/usr/bin:/bin"})
    assert result == helpers.Result(128 + signal.SIGALRM, "", "")


def test_the_shell_sees_a_stop_that_was_sent_to_pyroot(pyroot_words: list[str]) -> None:
    words = " ".join([*(f"{name}={value}" for name, value in helpers.pyroot_command()[1].items()), *pyroot_words, *HOST])
    with Terminal(["/bin/bash", "--norc", "--noprofile", "-i"], {"PATH": "/usr/bin:/bin", "TERM": "dumb", "HOME": "/tmp"}) as terminal:
        terminal.type("PS1='<ready>'; bind 'set enable-bracketed-paste off'; stty -echo\n")
        terminal.expect("<ready>(?!')")
        terminal.type(f"{words} /bin/sh -c 'echo begun; exec sleep 100' &\n")
        terminal.expect("begun\n")
        helpers.wait_until(lambda: any(helpers.stat_fields(pid)[:1] == ["S"] for pid in helpers.session_members(terminal.pid)))
        terminal.type("kill -TSTP $!; wait -n 2>/dev/null; jobs\n")
        terminal.expect("Stopped")
        terminal.type("fg\n")
        helpers.wait_until(lambda: sleeping(terminal.pid), what="sleep goes on")
        terminal.type("\x03")
        terminal.expect("<ready>$")
        terminal.type("echo status $?\n")
        terminal.expect("status 130")


@pytest.mark.parametrize("what", ["blocked", "ignored"])
def test_the_command_begins_with_the_signals_of_its_caller(run_pyroot: Callable[..., Result], what: str) -> None:
    """Also those that the interpreter ignores for itself, or that are held while it starts."""
    numbers = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGUSR1, signal.SIGINT, signal.SIGTERM, signal.SIGRTMIN + 3]

    def prepare() -> None:
        helpers.drop_to_ordinary_user()
        if what == "blocked":
            signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        for number in numbers if what == "ignored" else []:
            signal.signal(number, signal.SIG_IGN)

    words = ["/bin/grep", "^Sig[BI]", "/proc/self/status"]
    if not os.environ.get("PYROOT_CMD"):
        numbers = numbers[2:]  # an interpreter that is started by hand has forgotten what it was
    assert run_pyroot([*HOST, *words], prepare=prepare) == helpers.run(words, prepare=prepare)
