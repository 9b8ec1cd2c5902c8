"""The other side of `pyroot trace -p`: the supervisors of guests are asked to trace them, and what they send is written.

Decides: which supervisor is asked for which process, and when that ends. A supervisor is woken by SIGCONT, which has no effect on a
process that does not wait for it, with a value that names this command's socket; it connects, and the socket tells who it is (`far` has the
messages, `tap` is its side). Plain processes that are asked for as well are traced by a child of this command, which sends the same.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pyroot import __version__, _fast, report
from pyroot.errors import PyrootError, text_of
from pyroot.look import proc
from pyroot.trace.choice import Choice
from pyroot.trace.ends import Ends
from pyroot.trace.far import HEAD, LENGTH
from pyroot.trace.summary import Summary
from pyroot.trace.tap import address, peer

_ANSWER = 10.0  # s until a supervisor has connected to the socket; it may be busy
_AGAIN = 0.1  # s between two signals: one may arrive just before it waits
_ENDING = 1.0  # s from the end of a killed supervisor's socket to its own
_PARTING = 10.0  # s for the last words of a supervisor
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def _refused(pids: list[int], why: str, hint: str) -> PyrootError:
    return PyrootError(f"trace: -p {','.join(map(str, pids))}: {why}", hint)


def call(supervisor: int, pids: list[int]) -> socket.socket:
    """Bring the supervisor of guests to a socket. Raises PyrootError."""
    status = proc.status(supervisor)
    if status is not None and status.state in "Tt":
        raise _refused(pids, f"its pyroot (process {supervisor}) is stopped", "let it go on first (fg, or kill -CONT)")
    try:
        pidfd = os.pidfd_open(supervisor)
    except OSError as error:
        raise _refused(pids, f"its pyroot (process {supervisor}): {text_of(error.errno or 0)}", "") from None
    name = secrets.randbits(32)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address(name))
        listener.listen(1)
        listener.settimeout(_AGAIN)
        end = time.monotonic() + _ANSWER
        try:
            while time.monotonic() < end:
                _fast.ask_supervisor(pidfd, name)
                try:
                    found = listener.accept()[0]
                except TimeoutError:
                    continue
                if peer(found)[0] == supervisor:
                    found.settimeout(None)
                    return found
                found.close()
        except OSError as error:
            raise _refused(pids, f"its pyroot (process {supervisor}): {text_of(error.errno or 0)}", "") from None
        finally:
            os.close(pidfd)
    raise _refused(pids, f"its pyroot (process {supervisor}) does not answer", "an older one cannot: start the command with pyroot trace")


def _ends(pid: int) -> bool:
    """Say whether a process is about to end, or has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(_ENDING * 1000))
    finally:
        os.close(pidfd)


@dataclass
class _Source:
    """One process that sends what it sees."""

    end: socket.socket
    supervisor: int
    pids: list[int]
    data: bytearray = field(default_factory=bytearray)
    over: bool = False


class Lookers:
    """All senders, and where their lines are written."""

    def __init__(self, choice: Choice, ends: Ends) -> None:
        """Take what is traced, and where lines go."""
        self.choice, self.ends = choice, ends
        self.sources: list[_Source] = []
        self.summary = Summary(choice.order) if choice.order else None
        self.asked: set[int] = set()
        self.begun = False  # a process is traced
        self.error: PyrootError | None = None
        self.parting = 0.0

    def ask(self, supervisor: int, pids: list[int]) -> None:
        """Ask the supervisor of guests to trace them."""
        try:
            if supervisor in self.asked:
                raise _refused(pids, f"its pyroot (process {supervisor}) does not serve it", "")
            self.asked.add(supervisor)
            self._ask(supervisor, pids)
        except PyrootError as error:
            self._problem(error)

    def _ask(self, supervisor: int, pids: list[int]) -> None:
        end = call(supervisor, pids)
        main = self.ends.main
        words: dict[str, Any] = {
            "version": __version__, "pids": pids, "choice": self.choice.as_words(), "shown": self.ends.shown,
            "buffered": main is None or main.buffered,
        }  # fmt: skip
        request = json.dumps(words).encode()
        try:
            end.sendall(LENGTH.pack(len(request)) + request)
        except OSError:
            pass  # it has given the reason
        self.sources.append(_Source(end, supervisor, pids))

    def add_plain(self, trace: Callable[[socket.socket], None]) -> None:
        """Let a child trace plain processes; it is given its end of the socket."""
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            try:
                for source in self.sources:
                    source.end.close()
                ours.close()
                trace(theirs)
            finally:
                os._exit(0)
        theirs.close()
        self.sources.append(_Source(ours, child, []))

    def run(self) -> None:
        """Write what arrives until all processes have ended, or a signal ends it. Raises PyrootError."""
        waking, wake = socket.socketpair()
        wake.setblocking(False)
        waking.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda _number, _frame: None)
        while self.sources:
            poll = select.poll()
            for end in (waking, *(source.end for source in self.sources)):
                poll.register(end, select.POLLIN)
            left = self.parting - time.monotonic() if self.parting else 0.0
            if left < 0:
                raise PyrootError("trace: -p: the session did not let go in time", "the trace has ended nevertheless")
            ready = {fd for fd, _event in poll.poll(left * 1000 if self.parting else None)}
            if waking.fileno() in ready:
                waking.recv(4096)
                self._part()
            for source in [one for one in self.sources if one.end.fileno() in ready]:
                self._take(source)
        if self.error is not None and not self.begun:
            raise self.error

    def finish(self) -> None:
        """Write the counts and what is left."""
        self.ends.finish(self.summary)

    def _part(self) -> None:
        if self.parting:
            self.sources.clear()  # asked twice
        self.parting = time.monotonic() + _PARTING
        for source in self.sources:
            try:
                source.end.send(b"q", socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
            except OSError:
                continue  # its last messages are on their way

    def _take(self, source: _Source) -> None:
        try:
            data = source.end.recv(1 << 18)
        except ConnectionError:
            data = b""
        source.data += data
        at = 0
        while len(source.data) - at >= HEAD.size:
            tid, letter, length = HEAD.unpack_from(source.data, at)
            if len(source.data) - at < HEAD.size + length:
                break
            at += HEAD.size + length
            self._message(source, tid, chr(letter), bytes(source.data[at - length : at]))
        del source.data[:at]
        if not data:
            source.end.close()
            self.sources.remove(source)
            if not source.over:
                self._lost(source)

    def _message(self, source: _Source, tid: int, letter: str, data: bytes) -> None:
        if letter == "o":
            self.ends.of(tid).write(data)
        elif letter == "s":
            self.ends.say(data.decode("utf-8", "surrogateescape"))
        elif letter == "t":
            self.begun = True
        elif letter == "n" and self.summary is not None:
            self.summary.merge(json.loads(data))
        elif letter == "e":
            message, _nul, hint = data.decode("utf-8", "surrogateescape").partition("\0")
            self._problem(PyrootError(message, hint))
            source.over = True
        elif letter == "g":
            pid, supervisor = json.loads(data)
            self.ask(supervisor, [pid])
        elif letter == ".":
            source.over = True

    def _problem(self, error: PyrootError) -> None:
        """Keep the reason for the end if nothing else is traced; otherwise print it."""
        if self.error is None and not self.begun:
            self.error = error
        else:
            report.failure(error)

    def _lost(self, source: _Source) -> None:
        why = "the session was killed" if _ends(source.supervisor) else "was not read for too long"
        self._problem(PyrootError(f"trace: process {source.supervisor} sends no more: {why}", "what was written so far is not all"))
