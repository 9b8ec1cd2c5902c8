"""The connection between the tracer and the watcher: a socket, and what is sent over it.

Decides: the form of the messages, and that the side that traces never waits for the other: what the socket does not take is kept, and
if that is too much the connection is given up. A message is a tid (or 0), a letter and its data:

    o  lines for the stream of the tid       s  words besides the lines        t  a process is traced
    n  counts of calls (JSON)                e  why it ends: message, hint      g  another process serves this one (JSON)
    .  everything has been said

The side that watches sends one request (JSON, preceded by its length); any byte after it asks for the end.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
from typing import TYPE_CHECKING

from pyroot.trace.ends import Ends, Stream

if TYPE_CHECKING:
    from pyroot.errors import PyrootError
    from pyroot.trace.summary import Summary

HEAD = struct.Struct("<iBI")
LENGTH = struct.Struct("<I")
REQUEST_MOST = 1 << 20
WAITING_MOST = 16 << 20  # bytes that wait for a slow reader
_AT_ONCE = 1 << 16
_ASYNC = os.O_NONBLOCK | fcntl.FASYNC


class Lost(Exception):
    """The other side is gone, or reads too slowly."""


class Link:
    """The tracing side's end of the socket; the loop is woken by SIGIO when it has something to say."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.waiting = bytearray()
        fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | _ASYNC)

    def send(self, letter: bytes, data: bytes, tid: int = 0) -> None:
        """Send a message, or keep it. Raises Lost."""
        self.waiting += HEAD.pack(tid, letter[0], len(data)) + data
        self.pump()
        if len(self.waiting) > WAITING_MOST:
            raise Lost

    def pump(self) -> None:
        """Send what is waiting, as far as the socket takes it. Raises Lost."""
        while self.waiting:
            try:
                sent = self.end.send(self.waiting[:_AT_ONCE], socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                raise Lost from None
            del self.waiting[:sent]

    def receive(self) -> bytes:
        """Give what has arrived, which may be nothing. Raises Lost at the end."""
        try:
            data = self.end.recv(_AT_ONCE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""
        except OSError:
            raise Lost from None
        if not data:
            raise Lost
        return data

    def close(self, patience: float) -> None:
        """Send what is waiting, for at most so many seconds, and close."""
        try:
            self.pump()
            if self.waiting:
                self.end.settimeout(patience)
                self.end.sendall(self.waiting)
        except (OSError, Lost):
            pass
        self.end.close()


class FarStream(Stream):
    """A stream of the other side."""

    def __init__(self, link: Link, tid: int, buffered: bool) -> None:
        super().__init__(-1, buffered)
        self.link, self.tid = link, tid

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.link.send(b"o", data, self.tid)


class FarEnds(Ends):
    """What -o of the other side names."""

    def __init__(self, link: Link, separate: bool, buffered: bool, shown: bool) -> None:
        self.link, self.shown = link, shown
        self._files = {}
        self._ended = -1
        self.main = None if separate else FarStream(link, 0, buffered)

    def _new(self, tid: int) -> Stream:
        return FarStream(self.link, tid, True)

    def say(self, words: str) -> None:
        """Send a line of pyroot's own."""
        self.link.send(b"s", words.encode("utf-8", "surrogateescape"))

    def finish(self, summary: Summary | None) -> None:
        """Send what is left, the counts, and a message that this is all."""
        super().finish(None)
        if summary is not None:
            self.link.send(b"n", json.dumps(summary.rows()).encode())
        self.link.send(b".", b"")


def tell(link: Link, error: PyrootError) -> None:
    """Send why it ends. Raises Lost."""
    link.send(b"e", f"{error.message}\0{error.hint}".encode("utf-8", "surrogateescape"))
