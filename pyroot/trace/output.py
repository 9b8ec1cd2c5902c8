"""What lines look like: prefixes, times, the padding before results, and lines that are interrupted by others.

Decides: how lines of several processes are kept apart (unfinished and resumed). Not decided here: what the lines say, and where they
go (`ends`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyroot.trace.ends import Ends, Stream


@dataclass
class Format:
    """What comes before a line and after a result."""

    absolute: int = 0  # -t, -tt, -ttt
    relative: bool = False
    times: bool = False
    pointers: bool = False
    columns: int = 40
    always_pid: bool = False  # -f into a file
    separate: bool = False  # -ff
    several: bool = False  # others write between the lines: no line stays unfinished


class Output:
    """All lines of a trace."""

    def __init__(self, form: Format, ends: Ends) -> None:
        """Take where lines go."""
        self.format, self.ends, self.main = form, ends, ends.main
        self.partial = 0  # tid of the line that is not finished
        self.last = 0  # time of the last line, ns
        self.processes = 0
        # only the pid comes before a line
        self._short = form.always_pid and not form.absolute and not form.relative and not form.pointers

    def _stream(self, tid: int) -> Stream:
        return self.main if self.main is not None else self.ends.of(tid)

    def write(self, tid: int, words: str) -> None:
        """Write what is already a line."""
        self._stream(tid).put(words)

    def say(self, words: str) -> None:
        """Write something that is not part of the trace."""
        if self.partial and self.main is not None and self.ends.shown:
            self._finish_partial(self.main, 0)
        self.ends.say(words)

    def prefix(self, tid: int, now: int, pointer: int | None) -> str:
        """Give what comes before a line."""
        form = self.format
        words = ""
        if form.always_pid:
            words = f"{tid:<5} "
        elif (self.processes > 1 or form.several) and not form.separate:
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
            if self.format.several:
                self._finish_partial(stream, 0)

    def call(self, tid: int, now: int, words: str, result: str, pointer: int) -> None:
        """Write a call as a whole line; `words` ends with the closing parenthesis and a space."""
        stream = self.main or self.ends.of(tid)
        if self.partial:
            self._finish_partial(stream, 0)
        words = f"{tid:<5} {words}" if self._short else self.prefix(tid, now, pointer) + words
        stream.put(f"{words:<{self.format.columns}}= {result}\n")

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


def _clock(now: int, form: int) -> str:
    seconds, rest = divmod(now, 10**9)
    if form == 3:
        return f"{seconds}.{rest // 1000:06d}"
    words = time.strftime("%H:%M:%S", time.localtime(seconds))
    return words if form == 1 else f"{words}.{rest // 1000:06d}"
