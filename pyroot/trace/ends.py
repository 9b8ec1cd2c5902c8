"""Where the lines of a trace go: standard error, a file, a command, a file for each process.

Decides: when -o names a command, and how much is buffered before it is written. Not decided here: the lines (`output`), and what it means
for a file (`outfile`).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from pyroot import report
from pyroot.errors import PyrootError, text_of
from pyroot.outfile import Outfile, write_all

if TYPE_CHECKING:
    from pyroot.trace.options import TraceWords
    from pyroot.trace.summary import Summary

_ROOM = 1 << 16  # bytes that are buffered for a file


class Stream:
    """One destination of lines; `kept` bytes are buffered if nobody is watching."""

    def __init__(self, fd: int, buffered: bool) -> None:
        self.fd, self.buffered = fd, buffered
        self.parts: list[str] = []
        self.size = 0
        self.column = 0  # of the line that is not finished

    def put(self, words: str) -> None:
        """Write; a destination that can no longer be written to ends the trace, not the command."""
        self.parts.append(words)
        self.size += len(words)
        if not self.buffered or self.size > _ROOM:
            self.flush()

    def flush(self) -> None:
        """Write what is kept."""
        if self.parts:
            data = "".join(self.parts).encode("utf-8", "surrogateescape")
            self.parts, self.size = [], 0
            self.write(data)

    def write(self, data: bytes) -> None:
        """Write bytes now."""
        try:
            write_all(self.fd, data)
        except OSError as error:
            raise PyrootError(f"trace: output: {text_of(error.errno or 0)}", "the command went on untraced") from None


def names_command(target: str) -> bool:
    """Say whether the value of -o is a command, as for strace."""
    return target[:1] in ("|", "!")


class Ends:
    """What -o names; `main` is the one stream of all processes, None with -ff."""

    shown = False  # standard error, which has other output between the lines

    def __init__(self, target: Outfile | None, append: bool, separate: bool) -> None:
        """Open the target; None is standard error. Raises PyrootError."""
        self.target, self.append = target, append
        self._ended = -1  # its other end is open while the command of -o runs
        self._files: dict[int, Stream] = {}
        self.main: Stream | None = None
        if target is None:
            self.shown = True
            self.main = Stream(os.dup(2), False)
        elif names_command(target.name):
            self.main = Stream(self._start(target), False)
        elif not separate:
            fd = target.open(append)
            self.main = Stream(fd, stat.S_ISREG(os.fstat(fd).st_mode))  # a reader of a pipe waits for lines

    def _start(self, target: Outfile) -> int:
        """Start the command of -o and give the pipe into it. It is not a child of the supervisor, which waits for all its children."""
        reading, writing = os.pipe()
        self._ended, alive = os.pipe()
        middle = os.fork()
        if middle == 0:
            try:
                if os.fork() == 0:
                    os.dup2(reading, 0)
                    os.set_inheritable(alive, True)
                    target.enter()
                    os.execv("/bin/sh", ["sh", "-c", target.name[1:]])
            finally:
                os._exit(0)
        os.waitpid(middle, 0)
        os.close(reading)
        os.close(alive)
        return writing

    def of(self, tid: int) -> Stream:
        """Give the stream of a process; 0 is for lines about no process."""
        if self.main is not None:
            return self.main
        if tid not in self._files:
            self._files[tid] = self._new(tid)
        return self._files[tid]

    def _new(self, tid: int) -> Stream:
        assert self.target is not None
        return Stream(self.target.open(self.append, f".{tid}"), True)

    def say(self, words: str) -> None:
        """Write a line of pyroot's own."""
        report.say(words)

    def finish(self, summary: Summary | None) -> None:
        """Write what is left, then the counts, and wait for the command of -o."""
        if summary is not None and summary.counts:
            self.of(0).put(summary.text())
        for stream in [self.main, *self._files.values()]:
            if stream is not None:
                stream.flush()
        if self._ended >= 0 and self.main is not None:
            os.close(self.main.fd)
            os.read(self._ended, 1)


def outfile_of(words: TraceWords) -> Outfile | None:
    """Give what -o names, None without one. Raises PyrootError."""
    return Outfile("trace", words.last("output", "")) if "output" in words.values else None
