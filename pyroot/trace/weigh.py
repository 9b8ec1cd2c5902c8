"""How much a failed call has to do with a message.

Decides: what names a call (whole paths and quoted names, never a common word), which failures are part of every program's life, which were
made good afterwards, and when the answer is sure. Not decided here: what the message is (`speech`), whose calls are looked at (`why`).

"Sure" needs a whole path or a quoted name in the message, or the errno's own text with a single call that it can mean.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyroot.trace import speech

if TYPE_CHECKING:
    from pyroot.trace.history import Event, History

WHOLE, NAME, WORD = 3, 2, 1  # how a message names a call: the path, its last part, a word that may be it

#: Failures by which programs find out what there is: they count if the message quotes them.
_ORDINARY = {
    errno.EINTR, errno.ENOTTY, errno.ENOSYS, errno.ENODATA, errno.EOPNOTSUPP, errno.ERANGE, errno.EPIPE, errno.ECHILD, errno.ENOTSOCK,
    errno.EINVAL, errno.ESRCH, errno.EBADF, errno.ESPIPE, errno.ENXIO, errno.EFAULT, errno.ENOPROTOOPT, errno.EAFNOSUPPORT, errno.ENOTCONN,
    errno.EINPROGRESS, errno.EAGAIN, errno.EEXIST, errno.EDESTADDRREQ, errno.EPROTONOSUPPORT, 512, 513, 514, 516,
}  # fmt: skip
#: Ordinary failures of calls that are made for the very purpose: words that suit are enough.
_MEANT = {
    errno.EAGAIN: ("flock", "fcntl", "fork", "vfork", "clone", "clone3", "connect"), errno.EINPROGRESS: ("connect",),
    errno.EEXIST: ("open", "openat", "mkdir", "mkdirat", "symlink", "symlinkat", "link", "linkat", "mknod", "mknodat"),
    errno.ENOTTY: ("ioctl",), errno.ESRCH: ("kill", "tgkill"), errno.EPIPE: ("write", "writev", "sendto"),
    errno.EINVAL: ("rename", "renameat2"),
}  # fmt: skip
#: Failures that tell of a missing thing; every other one tells of something that was refused.
MISSES = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
NETWORK = (
    errno.ECONNREFUSED,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ETIMEDOUT,
    errno.ECONNRESET,
    errno.EADDRINUSE,
    errno.EADDRNOTAVAIL,
)
#: Searches that may fail without harm: translations, preloads, byte code, language data, optional services and settings.
_IDLE = re.compile(
    rb"LC_MESSAGES|/locale|/gconv|ld\.so\.(preload|cache|nohwcap)|/glibc-hwcaps/|\.mo$|__pycache__|pyvenv\.cfg|/tls/|\.pth$|/nscd/|"
    rb"/selinux|"
    rb"/etc/suid-debug|_distutils|python3\d*\.zip$|pybuilddir|/\.local/|/\.config/|/\.cache/|/\.(curl|net|wget|inputr|psql|sqlite|"
    rb"bash|term)\w*|"
    rb"/terminfo|/run/systemd/userdb|io\.systemd|/dev/tty$|/etc/localtime|/oom_score_adj|/sys/fs/cgroup|/sys/kernel/mm|openssl\.cnf|"
    rb"/nsswitch\.conf$|dont-synthesize|/passwd\.cache|/site-packages|/dist-packages|sitecustomize|/lib-dynload|\._pth$|/__init__\.|/Modules/Setup|/python3[\d.]*/os\.pyc?$|\.(abi3|cpython-[^/]*)\.so$"
)
_COMMON = frozenset(
    "config error errors file files data cache lib bin etc usr var tmp home root run log src test tests main init index name info "
    "default status "
    "system user users local share build make cat git node java python python3 perl bash true false help command server client socket "
    "lock null "
    "fatal open read write type module modules package packages version the and for not with from this that directory path dev proc "
    "head".split()
)
RESOLVING = re.compile(r"resol|name or service|bad address|getaddrinfo|name server|unknown host|\bdns\b|lookup|eai_again|enotfound")
_NAME_FILES = (b"/etc/resolv.conf", b"/etc/hosts", b"/etc/nsswitch.conf")
#: What a library looks up for a program, which then speaks of the thing and not of the file.
_LOOKED_UP = (
    (re.compile(r"\buser ?(id|name)?\b|\buid\b|passwd|who you are|account"), re.compile(rb"^/etc/passwd$")),
    (re.compile(r"\bgroup ?(id|name)?\b|\bgid\b"), re.compile(rb"^/etc/group$")),
    (re.compile(r"terminals? (database|type|entry|description)|terminfo|unknown terminal|(opening|initiali[sz]e) (the )?terminal"),
     re.compile(rb"/terminfo(/|$)")),
)  # fmt: skip
_NAME_SERVICE = "htons(53)"
_SEARCHING = ("access", "faccessat", "faccessat2", "stat", "lstat", "newfstatat", "statx", "execve", "readlink")
_PATHLIKE = re.compile(r"(?<![\w:/])/[\w.-]+/[\w.-]|['\"‘`][\w./-]+['\"’]")
#: Calls that do what a command is for, rather than look first or put right.
_DOING = frozenset(
    "open openat creat execve mkdir mkdirat rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat bind connect".split()
)
_LEFT = r"(?<![\w./@%-])"
_RIGHT = r"(?![\w/@%-])(?!\.\w)"


@dataclass
class Weight:
    """What speaks for a call: how it is named, whether its errno is quoted (2) or suits (1), and the sum."""

    event: Event
    at: int
    named: int
    told: int
    score: int

    def sure(self, message: str, others: list[Weight]) -> bool:
        """Say whether the message, in lower case, can only mean this call."""
        if self.named == WHOLE and self.told == 2:
            return True
        if self.named == WHOLE and not speech.quoted(message) and (self.told or self.event.error not in MISSES):
            return all(one.named < WHOLE or one.event.path == self.event.path for one in others)
        if self.told < 2 or _other_path(self, message):
            return False
        if self.named == NAME:
            return all(one.named < NAME or one.event.path == self.event.path for one in others)
        mine = (self.event.name, self.event.path)
        return all(one.told < 2 or (one.event.name, one.event.path) == mine for one in others)


def _other_path(weight: Weight, message: str) -> bool:
    """Say whether a message names a path that is not the call's."""
    return weight.named < NAME and _PATHLIKE.search(message) is not None


def names(event: Event, message: str) -> int:
    """Say how a message names what a call is about."""
    low = message.lower()
    every = dict.fromkeys(path.decode("utf-8", "replace") for path in (*event.paths, *event.spelled, event.path) if path)
    # (most calls end here; a library may be named without its lib)
    paths = [
        path for path in every if (last := path.rstrip("/").rpartition("/")[2].lower()) in low or last.startswith("lib") and "-l" in low
    ]
    best = max((_named(path, message) for path in paths), default=0)
    if best == 0 and paths:
        best = min(NAME, max((_named(path.lower(), low) for path in paths), default=0))
    if best < WHOLE and event.name in ("connect", "bind") and (found := re.search(r"htons\((\d+)\)", event.words)):
        best = max(best, NAME if re.search(rf"(?<!\d){found[1]}(?!\d)", message) else 0)
    if best < WORD and event.name.startswith("kill") and re.search(r"\bkill\b", message):
        best = WORD
    return best


def _named(path: str, message: str) -> int:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path == "..":
        return 0
    for start in range(len(parts) - 1):
        if re.search(_LEFT + "/?" * (start == 0) + re.escape("/".join(parts[start:])) + _RIGHT, message):
            return WHOLE
    name, whole = parts[-1], len(parts) == 1
    mark = ("/?" if path.startswith("/") and whole else "") + re.escape(name)
    library = re.match(r"lib(.+)\.(so|a)$", name)
    if library is not None and re.search(rf"(?<!\w)-l{re.escape(library[1])}(?!\w)", message):
        return WHOLE
    if re.search(rf"['\"`‘“]{mark}['\"’”`]|(^|: |, ){mark}(: |$)", message):
        return WHOLE if whole else NAME
    if len(name) < 3 or name.lower() in _COMMON or not re.search(_LEFT + mark + _RIGHT, message):
        return 0
    distinct = re.search(r"[._\d-]", name) is not None
    return WHOLE if distinct and whole else NAME if distinct else WORD


def idle(event: Event) -> bool:
    """Say whether a call is one of those that may fail without harm."""
    return any(_IDLE.search(path) for path in (event.path, *event.paths) if path)


class Scale:
    """Weighs the failed calls of one history."""

    def __init__(self, history: History, events: list[Event]) -> None:
        self.history, self.events = history, events
        self.last_success: dict[tuple[int, bytes], int] = {}
        self.last_name: dict[tuple[int, str, bytes], int] = {}
        self.asking: set[int] = set()
        self.programs = {os.fsdecode(os.path.basename(one.program)) for one in history.processes.values() if one.program}
        for at, event in enumerate(events):
            if event.kind != "call":
                continue
            if _NAME_SERVICE in event.words or _NAME_SERVICE in event.address:
                self.asking.add(event.process)
            if not event.error and event.path:
                self.last_success[event.process, event.path] = at
                self.last_name[event.process, event.name, os.path.basename(event.path)] = at

    def weigh(self, at: int, message: str, writer: int) -> Weight | None:
        """Weigh a failed call against a message in lower case, None if it has nothing to do with it."""
        event = self.events[at]
        named = names(event, self._without_speaker(message)) if message else 0
        message = message.lower()
        told = 2 if speech.quotes(event.error, message) else int(self._suits(event, message))
        resolving = event.path in _NAME_FILES and event.error in MISSES and self._resolves(event, message)
        looked_up = event.error in MISSES and not self.satisfied(event, at) and _is_looked_up(event.path, message)
        resolving = resolving or looked_up
        if not self._counts(event, at, named, told) and not resolving:
            return None
        refused = event.error not in MISSES or event.name in ("connect", "getcwd")
        if message and not resolving and not _evidence(refused, named, told):
            return None
        score = (0, 2, 5, 8)[named] + (0, 2, 6)[told] + 2 * refused + self._near(event.process, writer) + (event.name in _DOING)
        if told < 2 and speech.quoted(message):
            score -= 2 if event.error in (errno.EACCES, errno.EPERM) and speech.quotes(errno.EACCES, message) else 6
        if refused and self.satisfied(event, at):
            score -= 2
        if told == 2 and not event.path and not _PATHLIKE.search(message):
            score += 3  # who has a name at hand says it
        if resolving:
            score += 8 if looked_up or event.path == b"/etc/resolv.conf" else 5
        return Weight(event, at, named, told, score) if score > 0 else None

    def _without_speaker(self, message: str) -> str:
        """Leave out the name of the program that speaks, and what stands before a relative path."""
        message = speech.without_prefix(message)
        first, colon, rest = message.partition(": ")
        if colon and os.path.basename(first) in self.programs:
            message = rest
        return re.sub(r"(?<![\w./])\./(?=\w)", "", message)

    def _suits(self, event: Event, message: str) -> bool:
        """Say whether a message may be about a failure of this kind; a lock that is held, or a connection that fails, needs no words."""
        if speech.suits(event.error, message) or not message and event.name in ("flock", "fcntl"):
            return True
        if event.name == "connect" and event.error in MISSES:
            return speech.suits(errno.ECONNREFUSED, message)
        return event.error in NETWORK and speech.rank(message) >= speech.FAILING

    def _counts(self, event: Event, at: int, named: int, told: int) -> bool:
        """Say whether a failure is one that can make a command fail."""
        if event.error in _ORDINARY and told < 2 and not (told and event.name in _MEANT.get(event.error, ())):
            return False
        if named < WHOLE and idle(event):
            return False
        if named < WHOLE and event.error not in MISSES and self._found_elsewhere(event, at):
            return False
        if event.error in MISSES and self.satisfied(event, at):
            return named == WHOLE and told == 2 and event.name not in ("execve", "access", "readlink")
        return True

    def _resolves(self, event: Event, message: str) -> bool:
        return event.process in self.asking if not message else RESOLVING.search(message) is not None

    def _near(self, process: int, writer: int) -> int:
        """Prefer the process that wrote the message, then those around it."""
        if process == writer:
            return 2
        return int(self.above(writer, process) or self.above(process, writer))

    def above(self, process: int, other: int) -> bool:
        """Say whether one process is an ancestor of another."""
        known = self.history.processes
        for _step in range(64):
            if other not in known:
                return False
            other = known[other].parent
            if other == process:
                return True
        return False

    def _found_elsewhere(self, event: Event, at: int) -> bool:
        """Say whether a search went on in other directories, and found the name there."""
        if event.name not in _SEARCHING or not event.path:
            return False
        found = self.last_name.get((event.process, event.name, os.path.basename(event.path)), -1)
        return found > at and self.last_success.get((event.process, event.path), -1) <= at

    def satisfied(self, event: Event, at: int) -> bool:
        """Say whether what a call looked for was found afterwards, under the same name in another directory or by another attempt."""
        name = os.path.basename(event.path)
        if not name:
            return False
        if event.name == "execve":
            return self.last_name.get((event.process, "execve", name), -1) > at
        return max(self.last_success.get((event.process, event.path), -1), self.last_name.get((event.process, event.name, name), -1)) > at


def _is_looked_up(path: bytes, message: str) -> bool:
    """Say whether a message is about what a file is looked up for."""
    return any(told.search(message) and files.search(path) for told, files in _LOOKED_UP)


def _evidence(refused: bool, named: int, told: int) -> bool:
    """Say whether a message gives any reason to think of a call."""
    return told > 0 or named > 0 if refused else named == WHOLE or told == 2 or named > 0 and told > 0
