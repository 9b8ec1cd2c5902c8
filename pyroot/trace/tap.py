"""The supervisor's side of `pyroot trace -p`: it traces its guests for a process that asks while the session runs.

Decides: who may ask, and what becomes of a request; nothing that comes from outside, and no reader, however slow, may harm or delay the
session. The core enters here between two stops: `asked` when a signal has arrived that names a socket, `ready` when a socket has
something to say, `failed` when the sink has raised, `close` at the end of the session.

A process of the same user, or root's, may ask, unless it is a guest of this session (which can trace the others itself) or of
another one. The socket tells who it is (SO_PEERCRED), so a forged signal achieves nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from typing import TYPE_CHECKING

from pyroot import __version__, _fast
from pyroot.errors import PyrootError
from pyroot.look import proc, sessions
from pyroot.trace.choice import Choice
from pyroot.trace.far import LENGTH, REQUEST_MOST, FarEnds, Link, Lost, tell
from pyroot.trace.output import Output

if TYPE_CHECKING:
    from pyroot.trace.session import TraceSink
    from pyroot.trace.watching import Watcher

_STRING_MOST = 1 << 20
_PATIENCE = 1.0  # s at the end of the session, for a slow reader


def address(name: int) -> bytes:
    """Give the abstract address of the socket that a signal names."""
    return b"\0pyroot-trace-%08x" % name


def peer(end: socket.socket) -> tuple[int, int]:
    """Give process and user of the other end."""
    pid, uid, _gid = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def is_supervisor(pid: int) -> bool:
    """Say whether a process is a pyroot that runs a session."""
    return sessions.record_of(pid) is not None


class Door:
    """One session's door."""

    def __init__(self, core: _fast.Core) -> None:
        # from here on: a socket's signal would end a process that does not expect it
        _fast.tap_listen()
        self.core = core
        self.link: Link | None = None
        self.asker = 0
        self.request = b""
        self.sink: TraceSink | Watcher | None = None
        self.over = False  # everything is said, some of it is still to be sent

    # -- what the core calls

    def asked(self, name: int) -> None:
        """Connect to the socket of a process that asks."""
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            end.connect(address(name))
            pid, uid = peer(end)
        except OSError:
            end.close()  # the process is gone
            return
        refusal = self._refusal(pid, uid)
        if refusal:
            link = Link(end)
            with contextlib.suppress(Lost):
                tell(link, PyrootError(*refusal))
            link.close(0)
            return
        self.link, self.asker, self.request, self.over = Link(end), pid, b"", False

    def ready(self) -> None:
        """Read and write what is possible without waiting."""
        if self.link is None:
            return
        try:
            self.link.pump()
            if self.over and not self.link.waiting:
                self._leave()
                return
            while self.link is not None and (data := self.link.receive()):
                if self.sink is None:
                    self.request += data
                    self._read()
                elif not self.over:
                    self._end()
        except Lost:
            self._leave()

    def failed(self, error: BaseException | None) -> None:
        """The sink has raised: the other side is told why, if it still listens."""
        if self.link is None:
            return
        try:
            if not isinstance(error, Lost):
                tell(self.link, error if isinstance(error, PyrootError) else PyrootError(f"trace: {error!r}"))
        except Lost:
            pass
        self._leave()

    def close(self) -> None:
        """The session is over."""
        if self.link is not None:
            try:
                if self.sink is not None and not self.over:
                    self._end()
            except Lost:
                pass
            self._leave(_PATIENCE)

    # -- a request

    def _refusal(self, pid: int, uid: int) -> tuple[str, str] | None:
        if uid not in (0, os.geteuid()):
            return "trace: -p: guests of other users are for root", ""
        status = proc.status(pid)
        if _fast.tap_guest(pid) is not None or (status is not None and status.tracer and is_supervisor(status.tracer)):
            return "trace: -p: a guest asks for processes outside of its session", "ask from outside"
        if self.link is not None:
            return f"trace: -p: process {self.asker} looks at the guests of this session", "one can at a time: end the other one first"
        if _fast.tap_traces():
            return "trace: -p: the session writes a trace of its own", "it was started with pyroot trace; look there"
        return None

    def _read(self) -> None:
        assert self.link is not None
        if len(self.request) < LENGTH.size:
            return
        (length,) = LENGTH.unpack_from(self.request)
        if length > REQUEST_MOST:
            self._leave()
        elif len(self.request) >= LENGTH.size + length:
            try:
                self._begin(json.loads(self.request[LENGTH.size : LENGTH.size + length]))
            except PyrootError as error:
                tell(self.link, error)
                self._leave()
            except (ValueError, TypeError, KeyError, RecursionError):
                tell(self.link, PyrootError("trace: -p: the session did not understand the request"))
                self._leave()

    def _begin(self, request: dict[str, object]) -> None:
        assert self.link is not None
        if request["version"] != __version__:
            raise PyrootError(f"trace: -p: the session runs with pyroot {__version__}, not {request['version']}", "trace with the same one")
        pids = request["pids"]
        if not isinstance(pids, list) or not all(type(pid) is int and 0 < pid < 1 << 31 for pid in pids):
            raise ValueError("pids")
        choice = Choice.from_words(request["choice"])
        choice.strings = min(choice.strings, _STRING_MOST)
        ends = FarEnds(self.link, choice.format().separate, request["buffered"] is True, request["shown"] is True)
        sink = choice.watcher(ends) if choice.why else choice.sink(Output(choice.format(), ends))
        sink.start(self.core, b"")
        sink.context.started = True
        mine = [pid for pid in pids if self._serves(pid)]
        if not mine:
            self.link.send(b".", b"")
            self.over = True
            return
        self.sink = sink
        sink.given = dict(zip(mine, _fast.tap_begin(sink, mine), strict=True))
        self.link.send(b"t", b"")
        sink.attached()

    def _serves(self, pid: int) -> bool:
        """Say whether a process is a guest that only this supervisor traces; otherwise tell the other side which process does."""
        assert self.link is not None
        tracer = _fast.tap_guest(pid)
        if tracer is None:
            self.link.send(b"s", f"trace: -p {pid}: has ended".encode())
        elif tracer and is_supervisor(tracer):
            self.link.send(b"g", json.dumps([pid, tracer]).encode())
        else:
            return True
        return False

    def _end(self) -> None:
        """Say what is left; the guests continue untraced."""
        assert self.link is not None and self.sink is not None
        _fast.tap_end()
        self.sink.let_go()
        self.sink.finish()
        self.over = True
        if not self.link.waiting:
            self._leave()

    def _leave(self, patience: float = 0) -> None:
        _fast.tap_end()
        link, self.link, self.sink = self.link, None, None
        if link is not None:
            link.close(patience)
