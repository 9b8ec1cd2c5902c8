"""What a process of pyroot tells the Python program that has started it: that the command has begun, or why it has not.

Decides: the word of `_start` that names the pipe to the caller, what goes through the pipe, and that such a process ends by the signal
that ended its command. Not decided here: what the caller makes of that (``api``), when a command has begun (the core).
"""

import os

from pyroot.errors import PyrootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen
    from typing import Any

WORD = "--caller="
_BEGUN, _FAILED = b"+", b"-"
_MOST = 4000  # bytes: less than a pipe takes at once


class Caller:
    """This process's side."""

    def __init__(self, word: str) -> None:
        """Read the word of the command line, ``--caller=PIPE:IGNORED[:OWN...]``: descriptors, none for guests, and signals."""
        pipe, ignored, *own = word[len(WORD) :].split(":")
        self.pipe = int(pipe)
        self.ignored = int(ignored, 16)
        self.signal = 0  # that has ended the command
        for number in (self.pipe, *map(int, own)):
            os.set_inheritable(number, False)

    def prepare(self, _core: object) -> None:
        """The view is known now."""

    def begun(self, _pid: int) -> None:
        """Say that the command has begun; from now on failures are for standard error."""
        self._tell(_BEGUN)

    def failed(self, error: PyrootError) -> bool:
        """Say why it has not; False if it had."""
        if self.pipe < 0:
            return False
        fields = (str(error.exit_code), error.message, error.hint)
        self._tell(_FAILED + b"\0".join(field.encode("utf-8", "surrogateescape") for field in fields)[:_MOST])
        return True

    def ended(self, status: int) -> None:
        """Take notice of the command's raw wait status."""
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0

    def _tell(self, text: bytes) -> None:
        if self.pipe >= 0:
            try:
                os.write(self.pipe, text)
            except OSError:  # the caller is gone
                pass
            os.close(self.pipe)
            self.pipe = -1

    def end(self) -> None:
        """End as the command did, without a core file; return if no signal has ended it."""
        if not self.signal:
            return
        import _signal
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if self.signal not in (_signal.SIGKILL, _signal.SIGSTOP):
            _signal.signal(self.signal, _signal.SIG_DFL)
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (self.signal,))
        os.kill(os.getpid(), self.signal)


class Pipe:
    """The caller's side."""

    def __init__(self, ignored: int = 0, own: tuple[int, ...] = ()) -> None:
        """Make the pipe. ``own`` are descriptors that the process is to have, too, and its guests not."""
        self.read, self._write = above(os.pipe())
        self.word = ":".join([f"{WORD}{self._write}", f"{ignored:x}", *map(str, own)])
        self.given = (self._write, *own)  # what the process has to inherit

    def sent(self) -> None:
        """Give up the end that the process has."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1

    def close(self) -> None:
        """Give up all of it."""
        self.sent()
        if self.read >= 0:
            os.close(self.read)
            self.read = -1

    def answer(self) -> PyrootError | None:
        """Read what has come: the error, or None if the command has begun (or the process has ended without a word)."""
        text = os.read(self.read, _MOST * 2)
        if not text.startswith(_FAILED):
            return None
        code, message, hint = [*text[1:].decode("utf-8", "surrogateescape").split("\0"), "", ""][:3]
        return PyrootError(message, hint, int(code))

    def rest(self) -> PyrootError | None:
        """Read what has come of a process that has ended."""
        os.set_blocking(self.read, False)
        try:
            return self.answer()
        except BlockingIOError:
            return None

    def wait(self, process: "Popen[Any]") -> PyrootError | None:
        """Wait until the command has begun, or the process has given up or ended.

        Another thread may have forked in between: then a stranger holds the pipe open, and the end of the process is no end of the pipe.
        """
        import select

        watched = select.poll()
        watched.register(self.read, select.POLLIN | select.POLLHUP)
        try:
            life = os.pidfd_open(process.pid)
        except (OSError, AttributeError):
            return self.answer()
        try:
            watched.register(life, select.POLLIN)
            return self.answer() if self.read in {number for number, _what in watched.poll()} else self.rest()
        finally:
            os.close(life)


def above(pipe: tuple[int, int]) -> tuple[int, int]:
    """Give both ends of a pipe other numbers if they are those of standard streams, which a child's own streams would replace."""
    import fcntl

    low = [number for number in pipe if number <= 2]
    read, write = (fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3) if number <= 2 else number for number in pipe)
    for number in low:
        os.close(number)
    return read, write
