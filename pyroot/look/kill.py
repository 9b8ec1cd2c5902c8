"""`pyroot kill`: ends sessions and processes by the numbers that `pyroot ps` lists.

Decides: what a number means (a supervisor's the whole session, a guest's that process), and how processes are ended: SIGTERM, a time
to act on it, SIGKILL. Only what ps would list is touched, so a number that has been reused does no harm: each process is held by a
pidfd before it is looked at.
"""

from __future__ import annotations

import os
import select
import signal
import time

from pyroot import option_kinds, report
from pyroot.errors import PyrootError, text_of
from pyroot.look.sessions import Session, find
from pyroot.verbs.output import put
from pyroot.verbs.words import Verb, value

KILL = Verb(
    "kill",
    """\
usage: pyroot kill [OPTION...] PID...

End what pyroot ps lists: a session by the number of its supervisor, a process by its own.
Each process gets TERM and, if it has not ended after the grace time, KILL.
Exit status: 0 if all have ended (with -s: have been signalled), 1 if not.
""",
    (
        value("-s, --signal", "SIGNAL", "send only this, by name or number, and do not wait"),
        value("--grace", "SECONDS", "time between TERM and KILL (default: 5)"),
    ),
    24,
)

_PATIENCE = 5.0  # s, until killed processes must be gone


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    words = KILL.read(argv)
    if "help" in words.flags:
        put(KILL.usage())
        return 0
    if not words.rest:
        raise PyrootError("kill: no process given", "pyroot ps lists sessions and their processes")
    wanted = [_number(word) for word in words.rest]
    grace = option_kinds.seconds("kill: --grace", words.values.get("grace", ["5"])[-1])
    number = _signal(words.values["signal"][-1]) if "signal" in words.values else 0
    targets = [Target(pid) for pid in dict.fromkeys(wanted)]
    done = [target.send(number) for target in targets] if "signal" in words.values else _end(targets, grace)
    return 0 if all(done) else 1


def _number(word: str) -> int:
    if not word.isdigit() or not 0 < int(word) < 1 << 31:
        raise PyrootError(f"kill: {word}: not a process number", "pyroot ps lists sessions and their processes")
    return int(word)


def _signal(word: str) -> int:
    """Read a signal's name, with or without SIG, or number. Raises PyrootError."""
    if word.isdigit() and int(word) in signal.valid_signals():
        return int(word)
    name = word.upper().removeprefix("SIG")
    for one in signal.Signals:
        if one.name == f"SIG{name}":
            return one
    raise PyrootError(f"kill: -s {word}: no such signal", "kill -l lists the signals")


class Target:
    """A number that the user has given, and the processes that it stands for."""

    def __init__(self, pid: int) -> None:
        """Look for it. A number that is not listed is reported at once, and counts as not done."""
        self.pid = pid
        self.held: dict[int, int] = {}  # process -> pidfd
        self.look()
        self.known = bool(self.held)
        if not self.known:
            report.failure(PyrootError(f"kill: {pid}: no session and no process of one", "pyroot ps lists those that there are"))

    def look(self) -> None:
        """Find its current processes; those that are gone are released."""
        for pid in [pid for pid, fd in self.held.items() if _gone(fd, 0)]:
            os.close(self.held.pop(pid))
        new = {}
        for pid in _members(self.pid, find()) - self.held.keys():
            try:
                new[pid] = os.pidfd_open(pid)
            except OSError:
                continue
        # only what still belongs to it now that it is held: a number may have been reused in between
        kept = _members(self.pid, find()) if new else set()
        for pid, fd in new.items():
            if pid in kept:
                self.held[pid] = fd
            else:
                os.close(fd)

    def send(self, number: int) -> bool:
        """Send a signal to each process; False if that fails for one."""
        done = self.known
        for pid, fd in self.held.items():
            try:
                signal.pidfd_send_signal(fd, number)
            except ProcessLookupError:
                continue
            except OSError as error:
                report.failure(PyrootError(f"kill: {pid}: {text_of(error.errno or 0)}"))
                done = False
        return done

    def is_over(self, until: float) -> bool:
        """Wait for its processes; say whether all are gone."""
        while self.held and all(_gone(fd, until - time.monotonic()) for fd in self.held.values()):
            self.look()
        return not self.held


def _members(pid: int, sessions: list[Session]) -> set[int]:
    """Give the processes that a number stands for: all in a session and in those inside it, or the one process."""
    found: set[int] = set()
    for session in sessions:
        if any(above.pid == pid for above in _around(session)):
            found |= {status.pid for status in session.members}
    return found or {pid for session in sessions if any(status.pid == pid for status in session.members)}


def _around(session: Session) -> list[Session]:
    return [session, *(_around(session.outer) if session.outer else [])]


def _gone(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def _end(targets: list[Target], grace: float) -> list[bool]:
    """Ask all to end, and kill those that do not."""
    now = time.monotonic()
    for target in targets:
        if grace:
            # a stopped process has to continue to act on it
            target.send(signal.SIGTERM)
            target.send(signal.SIGCONT)
    for target in targets:
        if not target.is_over(now + grace):
            target.look()
            target.send(signal.SIGKILL)
    until = time.monotonic() + _PATIENCE
    done = [_is_killed(target, until) for target in targets]
    return [target.known and over for target, over in zip(targets, done, strict=True)]


def _is_killed(target: Target, until: float) -> bool:
    """Wait for the end of those that were killed, and kill what they have started in the meantime."""
    while not target.is_over(min(until, time.monotonic() + 0.1)):
        if time.monotonic() > until:
            report.failure(PyrootError(f"kill: {target.pid}: does not end: {', '.join(map(str, sorted(target.held)))}"))
            return False
        target.look()
        target.send(signal.SIGKILL)
    return True
