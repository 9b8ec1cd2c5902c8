"""Much of everything at once: nothing hangs, nobody is left behind, no result and no status is wrong.

Each case has a small form, which is part of the default run, and a large one with the marker ``stress``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.probe_root import environment_of_pyroot, guest_words, probe_root, same

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

__all__ = ["probe_root", "same"]

pytestmark = pytest.mark.timeout(120)
LIMIT = 600.0
SEED = int(os.environ.get("PYROOT_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)


def sizes(*pairs: tuple[object, object]) -> Callable[..., object]:
    """Parametrize with small and large sizes; the large ones are marked."""
    large = [pytest.mark.stress, pytest.mark.timeout(900)]
    return pytest.mark.parametrize("size", [form for small, big in pairs for form in (small, pytest.param(big, marks=large))])


@pytest.fixture
def stress(probe_root: str, run_pyroot: Callable[..., Result]) -> Callable[..., str]:
    """Return a function that runs the stress probe under pyroot and returns what it printed."""

    def call(*words: object) -> str:
        result = run_pyroot(["-r", probe_root, "-w", "/", "-b", "/proc", "/stress", *map(str, words)],
                            environment={"PATH": "/"}, timeout=LIMIT)
        assert result.status == 0, result
        return result.stdout.strip()

    return call


@sizes((50, 1000))
def test_many_threads_at_once(stress: Callable[..., str], size: int) -> None:
    assert stress("threads", size, 20) == f"threads {size} wrong 0"


@sizes((300, 10000))
@pytest.mark.parametrize("words", [(), ("exec",)], ids=["fork", "exec"])
def test_many_processes_one_after_another(stress: Callable[..., str], size: int, words: tuple[str]) -> None:
    assert stress("serial", size, *words) == f"serial {size} wrong 0"


@sizes((100, 500))
def test_many_processes_at_once(stress: Callable[..., str], size: int) -> None:
    assert stress("parallel", size) == f"parallel {size} wrong 0"


@sizes((100, 3000))
@pytest.mark.parametrize("what", ["exec", "exec-stop", "fork", "vfork", "fifo", "fifo-restart", "connect", "accept"])
def test_signals_at_bad_moments(stress: Callable[..., str], what: str, size: int) -> None:
    """Signals every 150 to 400 microseconds while processes are made or a rewritten call blocks; with exec also SIGSTOP and SIGCONT."""
    expected = "storm exec wrong 0" if what.startswith("exec") else f"storm {what} wrong 0 signals many"
    assert stress("storm", what, size) == expected


@sizes((20, 90))
def test_interrupted_calls_in_handlers_of_interrupted_calls(stress: Callable[..., str], size: int) -> None:
    """Each call that a signal interrupted is restarted with its own arguments, however many others were interrupted since."""
    assert stress("nested", size) == f"nested {size} opened {size} wrong 0"


# --- guests that are killed and stopped -------------------------------------------------------------------------------------


@contextlib.contextmanager
def started(words: list[str], mark: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start pyroot in a session of its own, with a mark in the environment of all that it starts; end everything afterwards."""
    process = helpers.start(words, environment={**environment_of_pyroot(), "MARK": mark}, **options)  # type: ignore[arg-type]
    try:
        yield process
    finally:
        for pid in [process.pid, *helpers.marked(mark)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=20)


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    """Wait for a line of output."""
    assert process.stdout
    return process.stdout.readline()


def nobody(mark: str) -> bool:
    """Say whether no process holds the mark."""
    return not helpers.marked(mark)


@sizes((60, 3000))
def test_guests_that_are_killed_at_random_moments(probe_root: str, pyroot_words: list[str], size: int) -> None:
    """SIGKILL as by the kernel without memory, of guests that fork and execute all the time; the command last."""
    mark = f"pyroot-oom-{os.getpid()}"
    rng = random.Random(SEED)
    with started(guest_words(pyroot_words, probe_root, "/stress", "tree"), mark) as process:
        assert first_line(process) == b"ready\n", SEED
        [command] = [pid for pid in helpers.marked(mark) if pid != process.pid and parent(pid) == process.pid]
        killed = 0
        while killed < size:
            assert process.poll() is None, f"pyroot is gone, seed {SEED}"
            guests = [pid for pid in helpers.marked(mark) if pid not in (command, process.pid)]
            for pid in rng.sample(guests, min(len(guests), 3)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                killed += 1
        os.kill(command, signal.SIGKILL)
        assert process.wait(20) == 128 + signal.SIGKILL, SEED
        helpers.wait_until(functools.partial(nobody, mark), 10, "nobody is left")


@pytest.mark.stress
@pytest.mark.timeout(900)
def test_another_process_gets_the_command_s_pid(probe_root: str, run_pyroot: Callable[..., Result]) -> None:
    """The status is the command's own, also when guests that outlive it use up all pids."""
    with open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
        if int(file.read()) > 65536:
            pytest.skip("pids come round too late on this machine (kernel.pid_max)")
    result = run_pyroot(["-r", probe_root, "-w", "/", "/stress", "reuse"], environment={"PATH": "/"}, timeout=LIMIT)
    assert (result.status, result.stdout) == (3, "again\n")
    # (of those that outlive it by three seconds, as they do on a busy machine, pyroot tells)
    assert re.fullmatch(r"(pyroot: the command has ended with 3; waiting for .*\n  hint: .*\n)?", result.stderr)


def parent(pid: int) -> int:
    """Return the parent of a process, 0 if it is gone."""
    fields = helpers.stat_fields(pid)
    return int(fields[1]) if len(fields) > 1 else 0


@sizes((25, 500))
def test_everything_is_stopped_and_goes_on(probe_root: str, pyroot_words: list[str], size: int) -> None:
    """SIGSTOP and SIGCONT for pyroot and all guests at random, while they make children: no status gets lost."""
    mark = f"pyroot-stop-{os.getpid()}"
    rng = random.Random(SEED)
    count = size * 40
    with started(guest_words(pyroot_words, probe_root, "/stress", "serial", str(count), "exec"), mark) as process:
        for _ in range(size):
            everybody = helpers.session_members(process.pid)
            for pid in rng.sample(everybody, len(everybody)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            time.sleep(rng.random() * 0.003)  # the random moment
            for pid in rng.sample(everybody, len(everybody)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            if process.poll() is not None:
                break
        go_on = helpers.session_members(process.pid)
        for pid in go_on:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        output, _ = process.communicate(timeout=LIMIT)
        assert (process.returncode, output) == (0, f"serial {count} wrong 0\n".encode()), SEED


# --- signals for the supervisor -----------------------------------------------------------------------------------------------

FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGPIPE", "SIGXFSZ", "SIGABRT", "SIGSEGV",
             "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGVTALRM", "SIGPROF", "SIGXCPU", "SIGPOLL", "SIGPWR", "SIGSTKFLT",
             "SIGRTMIN", "SIGRTMAX")
HARMLESS = ("SIGCHLD", "SIGURG", "SIGWINCH", "SIGCONT")


@pytest.mark.parametrize("name", [*FORWARDED, "SIGKILL"])
def test_signals_that_end_the_command_leave_nobody(probe_root: str, pyroot_words: list[str], name: str) -> None:
    """They end the command with its own status; the one that nobody can pass on ends pyroot and all guests with it."""
    mark = f"pyroot-signal-{os.getpid()}-{name}"
    number = getattr(signal, name)
    with started(guest_words(pyroot_words, probe_root, "/probe", "busy"), mark) as process:
        assert first_line(process) == b"ready\n"
        process.send_signal(number)
        assert process.wait(20) == (128 + number if name in FORWARDED else -number)
        helpers.wait_until(functools.partial(nobody, mark), 10, "nobody is left")


def test_signals_that_pyroot_lives_through(probe_root: str, pyroot_words: list[str]) -> None:
    """What means nothing to the command changes nothing, in any number."""
    mark = f"pyroot-harmless-{os.getpid()}"
    with started(guest_words(pyroot_words, probe_root, "/stress", "serial", "300", "exec"), mark) as process:
        rng = random.Random(SEED)
        helpers.wait_until(lambda: len(helpers.session_members(process.pid)) > 1 or process.poll() is not None, what="the command runs")
        while process.poll() is None:
            process.send_signal(getattr(signal, rng.choice(HARMLESS)))
        output, _ = process.communicate(timeout=20)
        assert (process.returncode, output) == (0, b"serial 300 wrong 0\n"), SEED


@sizes((10, 300))
def test_pyroot_is_killed_while_guests_fork(probe_root: str, pyroot_words: list[str], size: int) -> None:
    """SIGKILL of pyroot while guests make children of children in sessions of their own: all are gone at once."""
    rng = random.Random(SEED)
    for turn in range(size):
        mark = f"pyroot-tree-{os.getpid()}-{turn}"
        with started(guest_words(pyroot_words, probe_root, "/stress", "tree"), mark) as process:
            assert first_line(process) == b"ready\n"
            time.sleep(rng.random() * 0.02)  # the random moment
            process.kill()
            assert process.wait(20) == -signal.SIGKILL
            helpers.wait_until(functools.partial(nobody, mark), 10, f"nobody is left, seed {SEED}")


# --- leaks -----------------------------------------------------------------------------------------------------------------


def room(pid: int) -> tuple[int, int]:
    """Return the resident KiB of a process and how many descriptors it has."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        [resident] = [int(line.split()[1]) for line in file if line.startswith("VmRSS")]
    return resident, len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize(("what", "size"), [
    ("calls", 20000), ("execs", 200), ("forks", 500),
    *(pytest.param(what, size, marks=[pytest.mark.stress, pytest.mark.timeout(900)])
      for what, size in (("calls", 1000000), ("execs", 10000), ("forks", 10000))),
])  # fmt: skip
def test_pyroot_does_not_grow(probe_root: str, pyroot_words: list[str], what: str, size: int) -> None:
    """Memory and descriptors are after all of the work what they were after a tenth of it."""
    mark = f"pyroot-room-{os.getpid()}-{what}"
    with started(guest_words(pyroot_words, probe_root, "/stress", "loop"), mark, stdin=-1) as process:
        assert process.stdin and process.stdout

        def work(count: int) -> tuple[int, int]:
            assert process.stdin and process.stdout
            process.stdin.write(f"{what} {count}\n".encode())
            process.stdin.flush()
            while (line := process.stdout.readline()) != b"done\n":
                assert line.endswith(b"wrong 0\n"), line
            return room(process.pid)

        before, descriptors = work(size // 10)
        after, still = work(size - size // 10)
        assert still == descriptors
        assert after - before <= 128, f"{before} KiB became {after}"
