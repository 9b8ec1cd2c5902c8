"""`pyroot trace --why`: which failed call made a command fail.

Decides: which message counts, which process it came from, and which of the failed calls before it is to blame. Not decided here: what
is kept of a run (`history`), why the call failed and how to fix it (`cause`).

The search goes backwards from the message: the last thing on standard error that reports a failure. If its writer had read the same words
from another process before, they came from there, and the search continues at the process that wrote them. Otherwise the failed calls of
the writer are weighed: by the words of the message (the path, the error), by how near they are, and less if the same name was found
elsewhere afterwards. If a process that waited for a failing child has no call of its own to blame, the child is searched.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyroot import launch, report
from pyroot.trace.choice import outfile_of
from pyroot.trace.ends import Ends, names_command
from pyroot.trace.history import Event, History

if TYPE_CHECKING:
    from pyroot.config import Config
    from pyroot.outfile import Outfile
    from pyroot.trace.options import TraceWords

#: Failures that are normal for programs.
_ORDINARY = {
    errno.EAGAIN, errno.EINTR, errno.ENOTTY, errno.EINPROGRESS, errno.ENOSYS, errno.ENODATA, errno.EOPNOTSUPP, errno.ERANGE, errno.EPIPE,
    errno.EEXIST, errno.ECHILD, errno.ENOTSOCK, 512, 513, 514, 516,
}  # fmt: skip
#: Searches that may fail without harm: catalogues of translations, preloads, byte code, language data.
_IDLE = re.compile(
    rb"LC_MESSAGES|/locale|/gconv|ld\.so\.(preload|cache|nohwcap)|/glibc-hwcaps/|\.mo$|__pycache__|pyvenv\.cfg|/tls/|\.pth$|"
    rb"/nscd/socket$|/selinux|/etc/suid-debug|_distutils|python3\d*\.zip$|pybuilddir"
)
_FAR = 5  # relays that are followed
_TOLD = 3  # from here on the message counts as naming the call
_LEAST = 6  # letters that two texts must share to count as the same words


@dataclass
class Answer:
    """What `--why` found out; the last of `chain` is the process that the call belongs to."""

    status: int
    message: str = ""
    call: Event | None = None
    searched: list[bytes] = field(default_factory=list)  # other places where the same name was looked for
    chain: list[int] = field(default_factory=list)
    sure: bool = False  # the message, or what the doctor knows, points to this call


def run(words: TraceWords, config: Config) -> int:
    """Run the command; say why it failed, if it did, and return its exit status."""
    target = outfile_of(words)
    history = History()
    history.follow = True
    config.trace = history
    status = launch.run(config)
    if status != 0:
        from pyroot.trace import cause

        answer = Search(history).answer(status)
        text = cause.as_json(answer, history, config) if "json" in words.counts else cause.text(answer, history, config)
        _write(text, target, "append" in words.counts)
    return status


def _write(text: str, target: Outfile | None, append: bool) -> None:
    if target is None:
        report.lines(text)
    elif append or names_command(target.name):
        ends = Ends(target, append, separate=False)
        ends.of(0).put(text)
        ends.finish(None)
    else:
        target.write([text])


def letters(data: bytes) -> str:
    """Give the words of a text: what remains if another program cuts, indents or quotes it."""
    return " ".join(data.decode("utf-8", "replace").split())


class Search:
    """The backward search through one history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.events = list(history.events)

    def answer(self, status: int) -> Answer:
        """Find the message and the call that led to it."""
        answer = Answer(status)
        at = self._message()
        if at is None:
            self._blame(self.history.first, len(self.events), "", answer)
            return answer
        event = self.events[at]
        answer.message = self._lines_of(at)
        answer.chain = [event.process]
        for _step in range(_FAR):
            origin = self._origin(at)
            if origin is None:
                break
            at = origin
            answer.chain.append(self.events[at].process)
        self._blame(self.events[at].process, at, answer.message, answer)
        return answer

    # -- the message

    def _message(self) -> int | None:
        """Give the write that reports the failure."""
        for outputs in (self.history.outputs[:1], self.history.outputs[1:]):
            found = [at for at, event in enumerate(self.events) if event.kind == "write" and event.target in outputs and event.data.strip()]
            if not found:
                continue
            # the last lines say most; a line about usage says nothing
            weighed = [(self._weight(at), at) for at in found[-20:]]
            return max(weighed)[1]
        return None

    def _weight(self, at: int) -> int:
        words = self._lines_of(at).lower()
        weight = 0
        for event in self.events[:at]:
            if event.error and event.error not in _ORDINARY:
                weight = max(weight, 2 * (os.strerror(event.error).lower() in words) + 2 * _names(event, words))
        return weight

    def _lines_of(self, at: int) -> str:
        """Put together what a process wrote to one place in pieces, up to the end of the line."""
        event = self.events[at]
        parts = [event.data]
        for other in reversed(self.events[max(0, at - 50) : at]):
            if other.kind == "write" and other.process == event.process and other.target == event.target:
                if other.data.endswith(b"\n"):
                    break
                parts.insert(0, other.data)
        for other in self.events[at + 1 : at + 50]:
            if parts[-1].endswith(b"\n"):
                break
            if other.kind == "write" and other.process == event.process and other.target == event.target:
                parts.append(other.data)
        lines = [line for line in letters_by_line(b"".join(parts)) if line]
        told = [line for line in lines if any(os.strerror(number).lower() in line.lower() for number in self._errors())]
        return (told or lines or [""])[-1]

    def _errors(self) -> set[int]:
        return {event.error for event in self.events if 0 < event.error < 512}

    def _origin(self, at: int) -> int | None:
        """Give the write of another process whose words the writer had read before."""
        event = self.events[at]
        own = letters(event.data)
        for number in range(at - 1, -1, -1):
            read = self.events[number]
            if read.kind != "read" or read.process != event.process or not _shared(letters(read.data), own):
                continue
            for before in range(number - 1, -1, -1):
                write = self.events[before]
                if write.kind == "write" and write.process != event.process and _shared(letters(write.data), letters(read.data)):
                    return before
        return None

    # -- the call

    def _blame(self, process: int, end: int, message: str, answer: Answer) -> None:
        """Find the failed call of a process before an event, or continue with a child that failed before it."""
        best: tuple[int, int] | None = None
        for at in range(end - 1, -1, -1):
            event = self.events[at]
            if event.kind != "call" or not event.error or event.process != process or event.error in _ORDINARY:
                continue
            score = self._score(event, at, message.lower())
            if score > 0 and (best is None or score > best[0]):
                best = (score, at)
        if best is None or best[0] < _TOLD:
            child = self._failed_child(process, end)
            if child is not None:
                answer.chain.append(child)
                self._blame(child, end, self._words_of(child, end) or message, answer)
                if answer.call is not None:
                    return
                answer.chain.pop()
        if best is not None and answer.call is None:
            answer.call, answer.sure = self.events[best[1]], best[0] >= _TOLD
            answer.searched = self._searched(best[1])
            if not answer.chain or answer.chain[-1] != process:
                answer.chain.append(process)

    def _score(self, event: Event, at: int, message: str) -> int:
        """Weigh a failed call: 0 is none, 3 and more is named by the message."""
        if self._satisfied(event, at):
            return 0
        score = 1
        if event.path and _IDLE.search(event.path):
            if not _names(event, message):
                return 0
        elif event.path:
            score += 1
        if message:
            score += 4 * _names(event, message)
            words = os.strerror(event.error).lower()
            if words in message:
                score += 3
            elif any(os.strerror(number).lower() in message for number in self._errors()):
                score -= 2
        if event.path in _NAME_FILES and (self._asks_names(event.process) or _RESOLVING.search(message)):
            score += 5 if event.path == b"/etc/resolv.conf" else 3
        return score

    def _asks_names(self, process: int) -> bool:
        """Say whether a process asked a name server in vain."""
        talks = ("connect", "sendto", "sendmmsg")
        return any(event.process == process and event.name in talks and "htons(53)" in event.words for event in self.events)

    def _satisfied(self, event: Event, at: int) -> bool:
        """Say whether what a call looked for was found afterwards, under the same name in another directory or by another attempt."""
        name = os.path.basename(event.path)
        if not name:
            return False
        later = (one for one in self.events[at + 1 :] if one.kind == "call" and not one.error and one.process == event.process)
        if event.name == "execve":
            return any(one.name == "execve" and os.path.basename(one.path) == name for one in later)
        return any(one.path == event.path or one.name == event.name and os.path.basename(one.path) == name for one in later)

    def _searched(self, at: int) -> list[bytes]:
        """List the other paths at which the same process looked for the same name in vain."""
        event = self.events[at]
        name = os.path.basename(event.path)
        paths = [
            one.path for one in self.events
            if one.kind == "call" and one.process == event.process and one.error == event.error and os.path.basename(one.path) == name
        ]  # fmt: skip
        return [path for path in dict.fromkeys(paths) if path != event.path]

    def _failed_child(self, process: int, end: int) -> int | None:
        """Give the child of a process that failed last, before an event."""
        children = self.history.processes[process].children if process in self.history.processes else []
        ended = [event.process for event in self.events[:end] if event.kind == "exit" and event.status != 0 and event.process in children]
        return ended[-1] if ended else None

    def _words_of(self, process: int, end: int) -> str:
        """Give the last thing that a process wrote to a pipe, a socket or a terminal."""
        for at in range(end - 1, -1, -1):
            event = self.events[at]
            heard = not event.target.startswith(b"/") or event.target in self.history.outputs
            if event.kind == "write" and event.process == process and heard:
                return self._lines_of(at)
        return ""


_NAME_FILES = (b"/etc/resolv.conf", b"/etc/hosts", b"/etc/nsswitch.conf")
_RESOLVING = re.compile(r"resol|host|name or service|bad address|getaddrinfo|name server|lookup|dns")


def letters_by_line(data: bytes) -> list[str]:
    """Split a text into lines of words."""
    return [letters(line) for line in data.splitlines()]


def _shared(one: str, other: str) -> bool:
    """Say whether one text is, or holds, the words of the other."""
    short, long = sorted((one, other), key=len)
    if len(short) < _LEAST:
        return False
    return short in long or any(len(line) >= _LEAST and line in long for line in short.split("\n"))


def _names(event: Event, message: str) -> bool:
    """Say whether a message names what a call was about."""
    if not event.path:
        return False
    path = event.path.decode("utf-8", "replace").lower()
    if path in message:
        return True
    name = os.path.basename(path)
    return len(name) > 2 and re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", message) is not None
