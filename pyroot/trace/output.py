"""Where the lines go: standard error, a file, a command, a file for each process.

Decides: prefixes, times, the padding in front of results, and how lines of several processes are kept apart (unfinished and resumed).
Not decided here: what the lines say.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from pyroot.errors import PyrootError, text_of

_ROOM = 1 << 16  # bytes that are kept back for a file


@dataclass
class Format:
    """What stands in front of a line and behind a result."""

    absolute: int = 0  # -t, -tt, -ttt
    relative: bool = False
    times: bool = False
    pointers: bool = False
    columns: int = 40
    always_pid: bool = False  # -f into a file
    separate: bool = False  # -ff


class Stream:
    """One place for lines; `kept` bytes wait for more where nobody looks on."""

    def __init__(self, fd: int, buffered: bool) -> None:
        self.fd, self.buffered = fd, buffered
        self.parts: list[str] = []
        self.size = 0
        self.column = 0  # of the line that is not finished

    def put(self, words: str) -> None:
        """Write; a place that cannot be written to any more ends the trace, not the command."""
        self.parts.append(words)
        self.size += len(words)
        if not self.buffered or self.size > _ROOM:
            self.flush()

    def flush(self) -> None:
        """Write what is kept."""
        data = "".join(self.parts).encode("utf-8", "surrogateescape")
        self.parts, self.size = [], 0
        while data:
            try:
                data = data[os.write(self.fd, data) :]
            except OSError as error:
                raise PyrootError(f"trace: output: {text_of(error.errno or 0)}", "the command went on untraced") from None


class Output:
    """All streams of a trace."""

    def __init__(self, form: Format, target: str, append: bool) -> None:
        """Open what -o names; the empty string is standard error. Raises PyrootError."""
        self.format, self.target, self.append = form, target, append
        self.ended = -1  # its other end is open as long as the command of -o runs
        self.files: dict[int, Stream] = {}
        self.partial = 0  # tid of the line that is not finished
        self.last = 0  # time of the last line, ns
        self.processes = 0
        self.main: Stream | None = None
        if not target:
            self.main = Stream(os.dup(2), False)
        elif target[0] in "|!":
            self.main = Stream(self._start(target[1:]), False)
        elif not form.separate:
            self.main = Stream(self._open(target), True)

    def _start(self, command: str) -> int:
        """Start the command of -o and give the pipe into it. It is no child of ours: the supervisor waits for all of those."""
        reading, writing = os.pipe()
        self.ended, alive = os.pipe()
        middle = os.fork()
        if middle == 0:
            try:
                if os.fork() == 0:
                    os.dup2(reading, 0)
                    os.set_inheritable(alive, True)
                    os.execv("/bin/sh", ["sh", "-c", command])
            finally:
                os._exit(0)
        os.waitpid(middle, 0)
        os.close(reading)
        os.close(alive)
        return writing

    def _open(self, name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if self.append else os.O_TRUNC)
        try:
            return os.open(name, flags, 0o666)
        except OSError as error:
            raise PyrootError(f"trace: -o {name}: {text_of(error.errno or 0)}", "-o takes a file of the host that you may write") from None

    def _stream(self, tid: int) -> Stream:
        if self.main is not None:
            return self.main
        if tid not in self.files:
            self.files[tid] = Stream(self._open(os.path.abspath(f"{self.target}.{tid}") if tid == 0 else f"{self.target}.{tid}"), True)
        return self.files[tid]

    def prefix(self, tid: int, now: int, pointer: int | None) -> str:
        """Give what stands in front of a line."""
        form = self.format
        words = ""
        if form.always_pid:
            words = f"{tid:<5} "
        elif self.processes > 1 and not form.separate:
            words = f"[pid {tid:5}] "
        if form.absolute:
            words += _clock(now, form.absolute) + " "
        if form.relative:
            passed = now - self.last if self.last else 0
            self.last = now
            part = f"{passed // 10**9:6d}.{passed // 1000 % 10**6:06d}"
            words += f"(+{part}) " if form.absolute else f"{part} "
        if form.pointers:
            words += f"[{pointer:016x}] " if pointer is not None else "[????????????????] "
        return words

    def _finish_partial(self, stream: Stream, tid: int) -> None:
        if self.partial and self.partial != tid and stream is self.main:
            stream.put(" <unfinished ...>\n")
            self.partial = 0

    def line(self, tid: int, now: int, words: str, pointer: int | None = None) -> None:
        """Write a whole line."""
        stream = self._stream(tid)
        self._finish_partial(stream, 0)
        stream.put(f"{self.prefix(tid, now, pointer)}{words}\n")

    def line_broken(self) -> None:
        """Something else is about to be written to the same terminal."""
        if self.partial and self.main is not None and not self.target:
            self._finish_partial(self.main, 0)

    def line_ends(self, words: str) -> None:
        """End the line that is not finished."""
        if self.main is not None:
            self.main.put(words + "\n")
            self.partial = 0

    def begin(self, tid: int, now: int, words: str, pointer: int) -> None:
        """Write the beginning of a line that a later call of `end` continues."""
        stream = self._stream(tid)
        self._finish_partial(stream, 0)
        words = self.prefix(tid, now, pointer) + words
        stream.put(words)
        stream.column = len(words)
        if stream is self.main:
            self.partial = tid

    def call(self, tid: int, now: int, words: str, result: str, pointer: int) -> None:
        """Write a call as a whole line; `words` ends with the closing parenthesis and a space."""
        stream = self._stream(tid)
        if self.partial:
            self._finish_partial(stream, 0)
        form = self.format
        if form.always_pid and not form.absolute and not form.relative and not form.pointers:
            words = f"{tid:<5} {words}"
        else:
            words = self.prefix(tid, now, pointer) + words
        stream.put(f"{words:<{form.columns}}= {result}\n")

    def resume(self, tid: int, now: int, name: str, words: str, result: str, pointer: int) -> None:
        """Write the rest of a call whose beginning is written."""
        stream = self._stream(tid)
        if stream is self.main and self.partial != tid:
            self._finish_partial(stream, tid)
            words = f"{self.prefix(tid, now, pointer)}<... {name} resumed>{words}"
            column = 0
        else:
            self.partial = 0
            column = stream.column
        stream.put(words + " " * max(0, self.format.columns - column - len(words)) + f"= {result}\n")

    def close(self, after: str = "") -> None:
        """Write what is left, `after` behind it, and wait for the command of -o."""
        if after:
            self._stream(0).put(after)
        for stream in [self.main, *self.files.values()]:
            if stream is not None:
                stream.flush()
        if self.ended >= 0 and self.main is not None:
            os.close(self.main.fd)
            os.read(self.ended, 1)


def _clock(now: int, form: int) -> str:
    seconds, rest = divmod(now, 10**9)
    if form == 3:
        return f"{seconds}.{rest // 1000:06d}"
    words = time.strftime("%H:%M:%S", time.localtime(seconds))
    return words if form == 1 else f"{words}.{rest // 1000:06d}"
