"""What becomes of processes that the command has left running: waited for, with a message, or let run on without the caller.

Decides: what is said about them and when, and how --detach-daemons lets the caller go. A tracer is one process from the first
stop to the last, so it cannot end before its guests: there the supervisor is a child from the start, and the process that the caller
waits for only stands in for it (`_Front`). Not decided here: how they are ended (the core), the wording of options (`options`).
"""

import fcntl
import os
import signal

from pyroot import _fast, report
from pyroot.config import Config
from pyroot.errors import EXIT_SIGNAL_BASE, PyrootError, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NAMED = 5  # processes that the line names


def say(code: int, left: list[int]) -> None:
    """Say that the command has ended and which processes are waited for."""
    from pyroot.look import proc

    names = [report.printable((proc.read(pid, "comm") or b"?\n")[:-1]) + f" ({pid})" for pid in sorted(left)[:_NAMED]]
    if len(left) > _NAMED:
        names.append(f"and {len(left) - _NAMED} more")
    what = "a process" if len(left) == 1 else f"{len(left)} processes"
    report.notice(
        f"the command has ended with {code}; waiting for {what} that it has left running: {', '.join(names)}",
        f"--kill-on-exit ends such processes, --detach-daemons lets them run on; pyroot kill {os.getpid()} ends these now",
    )


class Behind:
    """The supervisor's side of --detach-daemons."""

    def __init__(self, front: int, stops: bool, pipe: int) -> None:
        """`front` is the process that the caller waits for; it `stops` when the command does; `pipe` takes the status."""
        self.front = front
        self.stops = stops
        self.pipe = pipe

    def let_go(self, code: int) -> None:
        """Give the caller its status, and keep nothing of the caller's: descriptors, directory, terminal, signals."""
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for number in range(3):
            os.dup2(null, number)
        for name in os.listdir("/proc/self/fd"):
            try:
                if int(name) > 2 and os.get_inheritable(int(name)):
                    os.close(int(name))
            except OSError:
                continue  # the descriptor that listed the directory
        os.chdir("/")
        os.setsid()
        _fast.die_with(0)
        os.write(self.pipe, b"%d" % code)
        os.close(self.pipe)


def run_behind(config: Config, supervise: "Callable[[Config], int]") -> int:
    """Run `supervise` in a child; return its status, or that of the command as soon as this has ended."""
    front = os.getpid()
    stops = _is_job()
    end, pipe = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TAKEN)
    try:
        child = os.fork()
    except OSError as error:
        raise PyrootError(f"fork: {text_of(error.errno or 0)}", "a limit on processes is too low: see ulimit -a") from error
    if child == 0:
        os.close(end)
        _fast.die_with(front)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        config.behind = Behind(front, stops, pipe)
        return supervise(config)
    os.close(pipe)
    for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        # the command decides what they mean; when it stops, its supervisor stops this process
        signal.signal(number, signal.SIG_IGN)
    code = _wait(child, end)
    # what the pipe has announced since ends nobody who lets signals through now
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    return code


# What is waited for; the other signals stop or continue this process by the kernel's default.
_TAKEN = signal.valid_signals() - {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT, signal.SIGKILL, signal.SIGSTOP}


def _wait(child: int, end: int) -> int:
    """Wait for the supervisor's message or its end. What the terminal sends has reached it, too; what a person sends is passed on."""
    fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    while True:
        gone, status = os.waitpid(child, os.WNOHANG)
        try:
            word = os.read(end, 16)
        except BlockingIOError:
            word = b""
        if word:
            return int(word)
        if gone:
            return EXIT_SIGNAL_BASE + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        info = signal.sigwaitinfo(_TAKEN)
        if info.si_code <= 0 and info.si_signo not in (signal.SIGCHLD, signal.SIGIO):
            os.kill(child, info.si_signo)


def _is_job() -> bool:
    """Say whether the parent is a shell that would put this process into a job: same session and terminal, another process group."""
    try:
        parent = os.getppid()
        if os.getsid(parent) != os.getsid(0) or os.getpgid(parent) == os.getpgrp():
            return False
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True
