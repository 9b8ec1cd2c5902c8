"""What a command said: lines put together from writes, and the one that tells of the failure.

Decides: which lines speak of a failure, which only help or repeat that a child has failed, and what a text says about an errno. Not decided
here: which call is to blame (`weigh`).

The message is the last line about the failure of the last process that speaks of it; of what that process wrote at the end, a line that
quotes an errno says more than the lines after it, which tell how to go on, or what was given up because of it.
"""

from __future__ import annotations

import errno
import functools
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyroot.trace.history import Event

_TOGETHER = 16  # lines at the end of a process's words that belong to one failure
_LAST = 400  # lines to one place that are looked at
QUOTING, FAILING, PLAIN, HELP = 3, 2, 1, 0

_HELP = re.compile(
    r"^(usage|try|hint|note|see|for more|run|use|to |if |you |perhaps|please|did you|example|a complete log)\b|"
    r"^\s*file \".*\", line \d|^\s+at |"
    r"^traceback|^\s*\^|^\s*~|^\s*(raise|return|with|self|import|await|exec)\b|^\s*\(?use |^\s*(errno|code|syscall|path|dest|"
    r"spawnargs|address|port):|"
    r"--help|try .*help| for help\b|more information|^\s*node\.js v|^(code|errno|syscall|path|dest) \S+$|^npm run$|"
    r"this is (related to|probably)|^\s*[#$>] |^during handling|^the above exception|\bissue a command\b|log of this run",
    re.IGNORECASE,
)
#: What some programs put before every line that they write to standard error.
_PREFIX = re.compile(r"^npm (err!|error)\s*", re.IGNORECASE)
#: A process repeats that another one has failed.
_RELAY = re.compile(
    r"\*\*\* .*(error \d+|\w)$|exit(ed)?( with)?( exit)? (status|code)|returned? (a )?(non-?zero|error|exit)|previous errors|"
    r"subprocess-exited|"
    r"exiting (now|with)|(some|errors?) (files|were|occurred).*(not|previous)|errors? occurred\W*$|\(code \d+\)|command failed|"
    r"returned \d+ exit status|"
    r"compilation terminated|"
    r"^\W*(error|aborted?|failed|exiting)\W*$|not recoverable",
    re.IGNORECASE,
)
_FAILING = re.compile(
    r"error|fatal|fail|cannot|can't|could ?n[o']t|couldn't|unable|denied|refused|not found|no such|invalid|missing|panic|abort|"
    r"not permitted|"
    r"unexpected|exception|unknown|bad |not a |not in |does not|doesn't|didn't|did not|already|locked|too (many|long|old)|timed out|"
    r"emerg|alert|crit|unreachable|unsupported|not supported|illegal|wrong|undefined|no rule|nothing|nobody|not able|not empty|differ|"
    r"does ?n[o']t",
    re.IGNORECASE,
)
#: What programs write in the place of the C library's words, in lower case.
_OTHER_WORDS = {
    errno.ENOENT: ("no such file", "enoent"), errno.EACCES: ("access denied", "access is denied"),
    errno.EPERM: ("operation not permitted",),
    errno.EADDRINUSE: ("address in use", "address already in use"), errno.ECONNREFUSED: ("connection refused",),
}  # fmt: skip
#: Words that suit an errno without quoting it.
_VERBS = (
    r"(find|open|load|access|read|stat|cd|chang|enter|creat|writ|lock|save|saving|add|mov|remov|dele[t]|mak|bind|exec|run|start|link|"
    r"process|inclu[d]|import)"
)
_OPEN = r"(cannot|can't|could ?n[o']t|couldn't|unable to|failed to|failure|failed|error|not) ?(\w+ ){0,3}"
_CONNECTION = r"connect|unreachable|refused|resolv|lookup|name server|host|network|timed? ?out|server|agent|bus\b"
_SUITING = {
    errno.ENOENT: rf"not found|no such|n[o']t exist|missing|locate|{_OPEN}{_VERBS}|not a git|no .*(found|file)",
    errno.ENOTDIR: rf"not a directory|{_OPEN}{_VERBS}|not found",
    errno.EACCES: rf"denied|permitted|allowed|permission|forbidden|privilege|root|read-?only|{_OPEN}{_VERBS}|closed",
    errno.EROFS: rf"read-?only|{_OPEN}{_VERBS}",
    errno.EEXIST: r"exist|already|lock|overwrit",
    errno.EADDRINUSE: r"in use|already|bind|listen",
    errno.EADDRNOTAVAIL: r"bind|assign|address",
    errno.ECONNREFUSED: _CONNECTION,
    errno.EAGAIN: r"lock|tempor|busy|running|in use|fork|resource|" + _CONNECTION,
    errno.ENOMEM: r"memory|alloc|map|reserve",
    errno.ENOSPC: rf"space|full|quota|i/o error|write error|{_OPEN}writ",
    errno.EMFILE: rf"too many|descriptor|{_OPEN}(open|creat)",
    errno.EFBIG: r"large|size|limit",
    errno.EBUSY: "busy|in use", errno.ETXTBSY: "busy|in use", errno.EINVAL: "invalid|itself", errno.ENOTTY: r"terminal|\btty",
    errno.ELOOP: "link|loop",
    errno.EISDIR: "director", errno.ENOTEMPTY: "not empty", errno.EXDEV: "device|file system", errno.ENOEXEC: "exec|format",
    errno.ESRCH: "no such process|no process", errno.EPIPE: "pipe|closed|reset", errno.EOPNOTSUPP: "support",
    errno.E2BIG: "too (long|large)",
}  # fmt: skip
_SUITING |= {errno.EPERM: _SUITING[errno.EACCES], errno.EDQUOT: _SUITING[errno.ENOSPC], errno.ENFILE: _SUITING[errno.EMFILE]}
_SUITING |= dict.fromkeys((errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNRESET, errno.EINPROGRESS), _CONNECTION)


@dataclass
class Line:
    """One line that a process wrote: `at` is the event of its last piece, `begun` that of its first."""

    text: str
    process: int
    target: bytes
    begun: int
    at: int
    raw: str = ""

    @functools.cached_property
    def rank(self) -> int:
        """Say how much the line tells of a failure."""
        return rank(self.raw)


def words_of(data: bytes) -> str:
    """Give the words of a text: what remains if another program cuts, indents or quotes it."""
    return " ".join(data.decode("utf-8", "replace").split())


@functools.cache
def _quote(number: int) -> re.Pattern[str]:
    name = errno.errorcode.get(number, "")
    texts = "|".join(re.escape(one) for one in (os.strerror(number).lower(), *_OTHER_WORDS.get(number, ())))
    named = rf"|(?<![a-z]){name.lower()}(?![a-z])" if name else ""
    return re.compile(rf"{texts}{named}|\berrno[ =]{{1,2}}{number}\b|\berrno: -?{number}\b|\(os error {number}\)|\({number}: ")


def quotes(number: int, message: str) -> bool:
    """Say whether a message, in lower case, quotes the text or the name of an errno."""
    return _quote(number).search(message) is not None


@functools.cache
def _any_quote() -> re.Pattern[str]:
    return re.compile("|".join(_quote(number).pattern for number in errno.errorcode if number < 134))


@functools.lru_cache(1000)
def quoted(message: str) -> frozenset[int]:
    """Give every errno that a message quotes."""
    if not _any_quote().search(message):
        return frozenset()
    return frozenset(number for number in errno.errorcode if number < 134 and quotes(number, message))


def suits(number: int, message: str) -> bool:
    """Say whether the words of a message suit an errno."""
    pattern = _SUITING.get(number)
    return pattern is not None and re.search(pattern, message) is not None


def looks_for_file(message: str) -> bool:
    """Say whether a message, in lower case, tells that something could not be found or read."""
    return re.search(rf"{_OPEN}(find|open|load|access|read|stat|start)", message) is not None


def without_prefix(text: str) -> str:
    """Leave out what a program puts before every line."""
    return _PREFIX.sub("", text)


def rank(text: str) -> int:
    """Say how much a line tells of a failure."""
    text = without_prefix(text)
    if not text.strip() or _HELP.search(text):
        return HELP
    numbers = quoted(text.lower())
    if numbers:
        # a pipe breaks because its reader has ended, which has its own reason
        return PLAIN if numbers == {errno.EPIPE} else QUOTING
    if _RELAY.search(text):
        return PLAIN
    return FAILING if _FAILING.search(text) else PLAIN


def lines(events: list[Event]) -> list[Line]:
    """Put together what each process wrote to each place, whatever the pieces, in the order in which the lines were complete."""
    open_ends: dict[tuple[int, bytes], Line] = {}
    found: list[Line] = []
    texts: dict[int, bytes] = {}
    for at, event in enumerate(events):
        if event.kind != "write":
            continue
        key = event.process, event.target
        for piece in event.data.splitlines(keepends=True):
            line = open_ends.get(key)
            if line is None:
                line = open_ends[key] = Line("", event.process, event.target, at, at)
                found.append(line)
                texts[id(line)] = b""
            line.at = at
            texts[id(line)] += piece
            if piece.endswith((b"\n", b"\r")):
                del open_ends[key]
    for line in found:
        line.raw = texts[id(line)].decode("utf-8", "replace").rstrip()
        line.text = " ".join(line.raw.split())
    return sorted((line for line in found if line.text), key=lambda line: line.at)


def message(said: Iterable[Line], outputs: tuple[bytes, ...]) -> Line | None:
    """Choose the line that tells of the failure: from standard error, or else from standard output."""
    said = list(said)
    for least in (FAILING, PLAIN):
        for target in outputs:
            heard = [line for line in [line for line in said if line.target == target][-_LAST:] if line.rank >= least]
            if heard:
                return _of_last_speaker(heard)
    return None


def continued(said: Iterable[Line], line: Line) -> str:
    """Give the text of a line, with the next one of the same process if it ends in a colon: that says what, or where."""
    if not line.text.endswith(":"):
        return line.text
    own = [one for one in said if (one.process, one.target) == (line.process, line.target)]
    at = next((number for number, one in enumerate(own) if one is line), len(own))
    return f"{line.text} {own[at + 1].text}" if at + 1 < len(own) else line.text


def besides(said: Iterable[Line], line: Line) -> list[Line]:
    """Give what the same process said of the failure before a line, the last first."""
    own = [one for one in said if (one.process, one.target) == (line.process, line.target) and one.at <= line.at and one is not line]
    return [one for one in reversed(own[-_TOGETHER:]) if one.rank >= FAILING]


def _of_last_speaker(heard: list[Line]) -> Line:
    """Choose among the last lines of the process that spoke last."""
    last = heard[-1]
    own = [line for line in heard if line.process == last.process][-_TOGETHER:]
    if last.rank == PLAIN:
        return last
    return next((line for line in reversed(own) if line.rank == QUOTING), last)
