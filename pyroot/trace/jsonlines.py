"""`--json`: one JSON object per line.

Decides: the fields. A call has `type` syscall, `pid`, `call`, `args` (texts as in the other form), `result`, `error` (a name, or null),
`time` (seconds since 1970) and `duration` (seconds); signals, stops and exits have `type` signal, stopped, exited, killed, superseded,
attached. A call that its process never returned from has `result` null.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from pyroot.trace import text
from pyroot.trace.decode import failed
from pyroot.trace.names import signal_name
from pyroot.trace.session import TraceSink
from pyroot.trace.signals import signal_info

if TYPE_CHECKING:
    from pyroot._fast import TracedCall


class JsonSink(TraceSink):
    """Write records as JSON."""

    def choose(self) -> None:
        """Settle how ends are written: an object is written when all of it is known."""
        super().choose()
        self.lasting = False
        self.end = self.end_choosing

    def _put(self, tid: int, fields: dict[str, object]) -> None:
        self.output.write(tid, json.dumps({"pid": tid, **fields}) + "\n")

    def end_choosing(self, call: TracedCall) -> None:
        """Write a call that is over."""
        row = self.rows[call.compat, call.nr]
        bad = failed(call)
        if self.paths and not self.matched.get(call.tid):
            return
        if self.summary is not None:
            self.summary.add(row.name, bad, call.used)
        if not self.lines or ("failed" if bad else "successful") not in self.statuses:
            return
        fields: dict[str, object] = {"type": "syscall", "call": row.name, "args": [one for one in row.texts(call) if one]}
        fields |= {"result": call.result if not bad else -1, "error": text.error_name(-call.result) if bad else None}
        if self.output.format.pointers:
            fields["ip"] = call.ip
        self._put(call.tid, {**fields, "time": call.begin / 1e9, "duration": (call.end - call.begin) / 1e9})

    def on_birth(self, tid: int, parent: int, more: object, now: int) -> None:
        """Write a new process."""
        self.lives(parent)
        self.lives(tid)
        if self.lines:
            self._put(tid, {"type": "attached", "parent": parent, "time": now / 1e9})

    def on_signal(self, tid: int, number: int, more: object, now: int) -> None:
        """Write a signal."""
        if self.lines and number in self.signals:
            assert isinstance(more, bytes)
            self._put(tid, {"type": "signal", "signal": signal_name(number), "info": signal_info(more), "time": now / 1e9})

    def on_stopped(self, tid: int, number: int, more: object, now: int) -> None:
        """Write a stop."""
        if self.lines and number in self.signals:
            self._put(tid, {"type": "stopped", "signal": signal_name(number), "time": now / 1e9})

    def on_leaving(self, tid: int, number: int, call: TracedCall | None, now: int) -> None:
        """Write a call without an end."""
        if call is None or not self.lines or "unfinished" not in self.statuses:
            return
        row = self.rows[call.compat, call.nr]
        if call.text is None:
            row.entry(call)
        args = [one for one in call.text or () if one]
        self._put(tid, {"type": "syscall", "call": row.name, "args": args, "result": None, "error": None, "time": call.begin / 1e9})

    def on_superseded(self, tid: int, old: int, more: object, now: int) -> None:
        """Write that a thread's execve took over."""
        if self.lines:
            self._put(tid, {"type": "superseded", "by": old, "time": now / 1e9})

    def on_gone(self, tid: int, status: int, more: object, now: int) -> None:
        """Write an exit."""
        if not (self.lines and self.exits_told):
            return
        if os.WIFSIGNALED(status):
            fields: dict[str, object] = {"type": "killed", "signal": signal_name(os.WTERMSIG(status)), "core": os.WCOREDUMP(status)}
        else:
            fields = {"type": "exited", "status": os.WEXITSTATUS(status)}
        self._put(tid, {**fields, "time": now / 1e9})
