"""What is to be traced and how it is to look, as plain values: read from the options, or sent to a supervisor.

Decides: what the options mean together. A choice can travel (`as_words`, `from_words`), because the guests of a session are traced by
its supervisor, whichever process asks for it.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyroot.errors import PyrootError
from pyroot.trace import select
from pyroot.trace.decode import Context
from pyroot.trace.ends import Ends, names_command, outfile_of
from pyroot.trace.options import TraceWords
from pyroot.trace.output import Format, Output
from pyroot.trace.session import TraceSink
from pyroot.trace.summary import Summary

if TYPE_CHECKING:
    from pyroot.trace.watching import Watcher

_KEYS = {"t": "trace", "trace": "trace", "status": "status", "signal": "signal", "signals": "signal", "s": "signal"}


@dataclass
class Choice:
    """One trace."""

    names: list[str] = field(default_factory=list)  # of calls
    strings: int = 32
    hexed: int = 0
    fds: int = 0
    host_paths: bool = False
    form: dict[str, Any] = field(default_factory=lambda: dataclasses.asdict(Format()))
    statuses: list[str] = field(default_factory=lambda: list(select.STATUSES))
    signals: list[int] = field(default_factory=lambda: list(range(1, 65)))
    paths: list[str] = field(default_factory=list)  # -P
    follow: bool = True
    lines: bool = True  # False: only counts
    order: str = ""  # of the counts; empty: nothing is counted
    births_told: bool = True
    exits_told: bool = True
    json: bool = False
    why: bool = False  # why processes fail, and no lines

    def sink(self, output: Output) -> TraceSink:
        """Make the sink. Raises PyrootError."""
        context = Context(strings=self.strings, hexed=self.hexed, fds=self.fds, host_paths=self.host_paths)
        sink = self._class()(context, set(self.names), output, Summary(self.order) if self.order else None)
        sink.follow, sink.lines = self.follow, self.lines
        sink.statuses, sink.signals = set(self.statuses), set(self.signals)
        sink.paths = [os.fsencode(path) for path in self.paths]
        sink.attach_told, sink.exits_told = self.births_told, self.exits_told
        sink.choose()
        return sink

    def watcher(self, ends: Ends) -> Watcher:
        """Make the sink that says why processes fail."""
        from pyroot.trace.watching import Watcher

        return Watcher(ends, self.json, self.follow)

    def _class(self) -> type[TraceSink]:
        if not self.json:
            return TraceSink
        from pyroot.trace.jsonlines import JsonSink

        return JsonSink

    def format(self) -> Format:
        """Give the form of lines."""
        return Format(**self.form)

    def as_words(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_words(cls, words: object) -> Choice:
        """Take what `as_words` gave, from a sender that may send anything. Raises ValueError."""
        model = cls()
        known = {one.name: getattr(model, one.name) for one in dataclasses.fields(cls)}
        _check(words, known)
        assert isinstance(words, dict)
        _check(words["form"], dataclasses.asdict(Format()))
        calls = set(select.every_name())
        lists = ((words["names"], calls), (words["statuses"], set(select.STATUSES)), (words["signals"], set(range(1, 65))))
        for members, allowed in lists:
            if not all(isinstance(one, (str, int)) and one in allowed for one in members):
                raise ValueError("a name that is none")
        if not all(isinstance(path, str) for path in words["paths"]):
            raise ValueError("a path that is none")
        return cls(**words)


def _check(words: object, model: dict[str, Any]) -> None:
    """Compare the types of values with those of a model. Raises ValueError."""
    if not isinstance(words, dict) or set(words) != set(model):
        raise ValueError("other fields")
    for name, value in words.items():
        if type(value) is not type(model[name]) or (isinstance(value, int) and not 0 <= value < 1 << 31):
            raise ValueError(f"{name}: not such a value")


def number(words: TraceWords, name: str, option: str, default: int) -> int:
    """Give the value of an option as a number. Raises PyrootError."""
    value = words.last(name, str(default))
    if not value.isdigit() or len(value) > 9:
        raise PyrootError(f"trace: {option} {value}: not a number", "")
    return int(value)


def _expressions(words: TraceWords) -> dict[str, list[str]]:
    """Group the values of -e by what they are about. Raises PyrootError."""
    found: dict[str, list[str]] = {name: list(words.values.get(name, [])) for name in ("trace", "status", "signal")}
    for text in words.values.get("expressions", []):
        key, equals, value = text.partition("=")
        if equals and key in _KEYS:
            found[_KEYS[key]].append(value)
        elif equals:
            raise PyrootError(f"trace: -e {text}: {key}= of strace is not supported", "-e takes trace=, status= and signal=")
        else:
            found["trace"].append(text)
    return found


def choose(words: TraceWords) -> Choice:
    """Read the options. Raises PyrootError."""
    chosen, counts = _expressions(words), words.counts
    names = select.calls(chosen["trace"][-1]) if chosen["trace"] else set(select.every_name())
    paths = [os.path.normpath(path) for path in words.values.get("paths", [])]
    if paths:
        names &= select.calls("%file,%desc,%network")
    choice = Choice(
        names=sorted(names), strings=number(words, "strings", "-s", 32), hexed=counts.get("hexed", 0), fds=counts.get("fds", 0),
        host_paths="host_paths" in counts, paths=paths, follow="nofollow" not in counts, lines="counts" not in counts,
        json="json" in counts, form=dataclasses.asdict(_format(words)),
    )  # fmt: skip
    if {"counts", "summary"} & set(counts):
        choice.order = words.last("sort", "time")
        Summary(choice.order)
    if chosen["status"]:
        choice.statuses = sorted(select.statuses(chosen["status"][-1]))
    for name in ("successful", "failed"):
        if name in counts:
            choice.statuses = [name]
    if chosen["signal"]:
        choice.signals = sorted(select.signals(chosen["signal"][-1]))
    quiet = counts.get("quiet", 0)
    choice.births_told = not quiet and "output" not in words.values
    choice.exits_told = quiet < 2
    return choice


def _format(words: TraceWords) -> Format:
    counts, target = words.counts, words.last("output", "")
    asked = counts.get("follow", 0) > 1 or "separately" in counts
    separate = asked and bool(target) and not names_command(target) and "counts" not in counts
    return Format(
        absolute=min(counts.get("absolute", 0), 3), relative="relative" in counts, times="times" in counts,
        pointers="pointers" in counts, columns=number(words, "columns", "-a", 40),
        always_pid=bool(target) and "nofollow" not in counts and not separate, separate=separate,
    )  # fmt: skip


def ends_of(words: TraceWords, choice: Choice) -> Ends:
    """Open what -o names. Raises PyrootError."""
    return Ends(outfile_of(words), "append" in words.counts, choice.format().separate)
