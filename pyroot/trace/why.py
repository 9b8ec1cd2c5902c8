"""`pyroot trace --why`: which failed call made a command fail.

Decides: whose failed calls are looked at, and what is answered. Not decided here: what is kept of a run (`history`), which line is the
message (`speech`), how much a call has to do with it (`weigh`), why the call failed and how to fix it (`cause`).

The search goes backwards from the message. If its writer had read the same words from another process before, they came from there. The
failed calls of all processes before it are weighed. If the message has nothing to do with any of them, what failed children said to nobody
(into a pipe that nobody repeated, to /dev/null) is taken for it; a command that says nothing at all is judged by what it was refused, and
by what is missing of what its arguments name. Otherwise no call is to blame: the program says no of its own accord, or was killed.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyroot import launch, report
from pyroot.trace import speech
from pyroot.trace.ends import Ends, names_command, outfile_of
from pyroot.trace.history import Event, History
from pyroot.trace.speech import Line, words_of
from pyroot.trace.weigh import MISSES, NAME, Scale, Weight, idle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyroot.config import Config
    from pyroot.outfile import Outfile
    from pyroot.trace.options import TraceWords

_FAR = 5  # relays that are followed
_LEAST = 6  # letters that two texts must share to count as the same words
_CLOSE = 3  # less than the best: still one of the most likely
_OTHERS = 2
_LAST = 400  # lines to nobody that are looked at
_KILLED = re.compile(r"terminated|killed|segmentation fault|aborted|core dumped|signal|bus error|illegal instruction|hangup", re.IGNORECASE)


@dataclass
class Answer:
    """What `--why` found out; the last of `chain` is the process that the call belongs to."""

    status: int
    message: str = ""
    call: Event | None = None
    others: list[Event] = field(default_factory=list)  # that may be meant as well
    searched: list[bytes] = field(default_factory=list)  # other places where the same name was looked for
    chain: list[int] = field(default_factory=list)
    sure: bool = False  # the message points to this call and no other
    killed: tuple[int, int, bytes] | None = None  # process, signal and siginfo


def run(words: TraceWords, config: Config) -> int:
    """Run the command; say why it failed, if it did, and return its exit status."""
    target = Target(words)
    history = History()
    history.follow = True
    config.trace = history
    status = launch.run(config)
    if status != 0:
        target.put(explained(history, status, config, "json" in words.counts))
    return status


def explained(history: History, status: int, config: Config, as_json: bool, doctor: bool = True) -> str:
    """Give what there is to say about a run, or about a process that still runs (a negative status)."""
    from pyroot.trace import cause

    answer = Search(history).answer(status)
    told = cause.facts(answer, history, config, doctor)
    return cause.as_json(answer, told) if as_json else cause.text(answer, told)


class Target:
    """Where the answer goes; a file that cannot be written is noticed before the run."""

    def __init__(self, words: TraceWords) -> None:
        """Find out whether the target can be written to. Raises PyrootError."""
        self.file: Outfile | None = outfile_of(words)
        self.append = "append" in words.counts
        if self.file is not None and not names_command(self.file.name):
            self.file.check()

    def put(self, text: str) -> None:
        """Write the answer."""
        if self.file is None:
            report.lines(text)
        elif self.append or names_command(self.file.name):
            ends = Ends(self.file, self.append, separate=False)
            ends.of(0).put(text)
            ends.finish(None)
        else:
            self.file.write([text])


class Search:
    """The backward search through one history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.events = list(history.events)
        self.scale = Scale(history, self.events)
        self.lines = speech.lines(self.events)

    def answer(self, status: int) -> Answer:
        """Find the message and the call that led to it."""
        answer = Answer(status)
        line = speech.message(self.lines, self.history.outputs)
        writer, end = self.history.first, len(self.events)
        if line is not None:
            answer.message, answer.chain = speech.continued(self.lines, line), [line.process]
            at = line.at
            for _step in range(_FAR):
                origin = self._origin(at)
                if origin is None:
                    break
                at = origin
                answer.chain.append(self.events[at].process)
            writer, end = self.events[at].process, max(at, line.begun) + 1
            self._choose(self._weighed(answer.message, writer, end), answer, answer.message.lower())
            if answer.call is None:
                self._said_before(line, answer)
        answer.killed = self._killed(answer)
        if answer.call is None and answer.killed is None:
            self._without_message(line, end, answer)
        if answer.call is None:
            answer.chain = []
            if line is not None and line.rank < speech.FAILING and line.target != self.history.outputs[0]:
                answer.message = ""  # what the command is for, not what went wrong
        return answer

    def _weighed(self, message: str, writer: int, end: int, processes: set[int] | None = None) -> list[Weight]:
        """Weigh the failed calls before an event, the weightiest and then the latest first."""
        found = []
        for at, event in enumerate(self.events[:end]):
            if event.kind == "call" and event.error and (processes is None or event.process in processes):
                weight = self.scale.weigh(at, message, writer)
                if weight is not None:
                    found.append(weight)
        return sorted(found, key=lambda one: (one.score, one.at), reverse=True)

    def _choose(self, weighed: list[Weight], answer: Answer, message: str, sure: bool = True) -> None:
        """Take the weightiest call, and those that may be meant as well."""
        if not weighed:
            return
        best = weighed[0]
        answer.sure = sure and best.sure(message, weighed[1:])
        answer.call = self._refused_above(best) or best.event
        answer.searched = self._searched(answer.call)
        if answer.call.process not in answer.chain[-1:]:
            answer.chain.append(answer.call.process)
        if not answer.sure:
            told = {(best.event.name, best.event.path): best.event}
            names = {os.path.basename(best.event.path)} if best.event.path else set()
            for one in weighed[1:]:
                name = os.path.basename(one.event.path)
                if one.score >= best.score - _CLOSE and (not name or name not in names):
                    told.setdefault((one.event.name, one.event.path), one.event)
                    names.add(name)
            answer.others = list(told.values())[1 : 1 + _OTHERS]

    def _refused_above(self, best: Weight) -> Event | None:
        """Give the refusal to make a directory above what is missing: the miss only follows from it."""
        path = best.event.path
        if best.event.error != errno.ENOENT or not path:
            return None
        for at in range(best.at - 1, -1, -1):
            event = self.events[at]
            made = event.kind == "call" and event.name in ("mkdir", "mkdirat") and event.path and path.startswith(event.path + b"/")
            if made and event.error not in (0, errno.EEXIST, *MISSES) and not self.scale.satisfied(event, at):
                return event
        return None

    def _said_before(self, line: Line, answer: Answer) -> None:
        """Try what the same process, and then a child that failed, said before: the last line may only say what was given up."""
        failed = self._failed(line.at)
        of_children = [one for one in self.lines if one.at < line.at and one.process in failed and one.target == line.target]
        for other in speech.besides(self.lines, line) + [one for one in reversed(of_children[-_LAST:]) if one.rank >= speech.FAILING]:
            text = speech.continued(self.lines, other)
            weighed = self._weighed(text, other.process, other.at + 1)
            if weighed and (weighed[0].named >= NAME or weighed[0].event.error not in MISSES):
                answer.message = text
                self._choose(weighed, answer, text.lower())
                return

    # -- where the message says nothing about a call

    def _without_message(self, line: Line | None, end: int, answer: Answer) -> None:
        """Look at what was said to nobody, and then at what is refused to a command that does not speak."""
        failed = self._failed(end)
        speakers = failed | {self.history.first}
        unheard = [one for one in self.lines if one.at < end and one.process in speakers and self._unheard(one)]
        hidden = [one for one in unheard[-_LAST:] if one.rank >= speech.FAILING]
        if hidden:
            last = hidden[-1]
            weighed = self._weighed(last.text, last.process, last.at + 1)
            if weighed:
                answer.chain = answer.chain or [self.history.first]
                self._choose(weighed, answer, last.text.lower(), sure=line is None)
                answer.message = answer.message or last.text
                return
        if line is not None and line.rank >= speech.FAILING:
            self._choose(self._just_before(line), answer, "", sure=False)
            return
        if line is None or line.target != self.history.outputs[0]:
            weighed = [one for one in self._weighed("", self.history.first, end, failed | {self.history.first}) if self._suits_silence(one)]
            self._choose(weighed, answer, "", sure=False)

    def _just_before(self, line: Line) -> list[Weight]:
        """Give what was missing right before a message that speaks of something missing, without a name."""
        for at in range(line.begun - 1, -1, -1):
            event = self.events[at]
            if event.kind == "call" and event.process == line.process and event.path:
                fits = event.error in MISSES and speech.looks_for_file(line.text.lower()) and not idle(event)
                return [Weight(event, at, 0, 1, 1)] if fits and not self.scale.satisfied(event, at) else []
        return []

    def _unheard(self, line: Line) -> bool:
        """Say whether nobody outside the session reads a line."""
        return line.target not in self.history.outputs and (not line.target.startswith(b"/") or line.target == b"/dev/null")

    def _suits_silence(self, weight: Weight) -> bool:
        """Say whether a call can be why a command fails without a word: it was refused, or misses what an argument names."""
        event = weight.event
        if idle(event):
            return False
        if event.error not in MISSES or self.scale._resolves(event, ""):
            return True
        arguments = self.history.processes[event.process].arguments if event.process in self.history.processes else ""
        return (
            any(len(path) > 2 and f'"{path.decode("utf-8", "replace")}"' in arguments for path in event.spelled) and event.name != "execve"
        )

    def _failed(self, end: int) -> set[int]:
        """Give the processes that had failed before an event."""
        return {event.process for event in self.events[:end] if event.kind == "exit" and event.status != 0}

    def _killed(self, answer: Answer) -> tuple[int, int, bytes] | None:
        """Say which process was killed, if that is how the command failed."""
        number = answer.status - 128
        for event in reversed(self.events):
            if event.kind != "exit" or not os.WIFSIGNALED(event.status):
                continue
            ended = os.WTERMSIG(event.status)
            mine = event.process == self.history.first or number == ended
            told = _KILLED.search(answer.message) or re.search(rf"\b{128 + ended}\b", answer.message)
            silent = answer.call is None and ended != signal.SIGPIPE and (not answer.message or told)
            if mine or silent:
                info = next((one.data for one in reversed(self.events)
                             if one.kind == "signal" and one.process == event.process and one.status == ended), b"")  # fmt: skip
                return event.process, ended, info
        return None

    # -- the way of the message

    def _origin(self, at: int) -> int | None:
        """Give the write of another process whose words the writer had read before."""
        event = self.events[at]
        own = words_of(event.data)
        for number in range(at - 1, -1, -1):
            read = self.events[number]
            if read.kind != "read" or read.process != event.process or not _shared(words_of(read.data), own):
                continue
            for before in range(number - 1, -1, -1):
                write = self.events[before]
                if write.kind in ("write", "") and write.process != event.process and _shared(words_of(write.data), words_of(read.data)):
                    return before
        return None

    def _searched(self, event: Event) -> list[bytes]:
        """List the other paths at which the same process looked for the same name in vain."""
        name = os.path.basename(event.path)
        paths = [
            one.path for one in self.events
            if one.kind == "call" and one.process == event.process and one.error == event.error and os.path.basename(one.path) == name
        ]  # fmt: skip
        return [path for path in dict.fromkeys(paths) if path != event.path]


def _shared(one: str, other: str) -> bool:
    """Say whether one text is, or holds, the words of the other."""
    short, long = sorted((one, other), key=len)
    if len(short) < _LEAST:
        return False
    return short in long or any(len(line) >= _LEAST and line in long for line in _pieces(short))


def _pieces(text: str) -> Iterable[str]:
    return text.split("\n")
