"""`pyroot trace --why -p PID`: why processes fail that were running already.

Decides: when something is said: about a process that ends with a failure, at once; about one that still runs when the trace ends, what
failed last. The sink is the same as for a command (`history`), in this process or in the supervisor of a guest, whose session it must not
delay: it keeps less, and the doctor is not asked.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

from pyroot.config import Config
from pyroot.launch import exit_code
from pyroot.trace.far import FarEnds, Lost
from pyroot.trace.history import History, Process

if TYPE_CHECKING:
    from pyroot.trace.ends import Ends

_MOST = 20_000  # events
RUNS = -1  # the status of a process that has not ended


class Watcher(History):
    """The sink of `--why -p`."""

    def __init__(self, ends: Ends, as_json: bool, follow: bool) -> None:
        """Take where the answers go."""
        super().__init__()
        self.events = deque(maxlen=_MOST)
        self.ends, self.as_json, self.follow = ends, as_json, follow
        self.given: dict[int, list[int]] = {}  # by process of -p, its threads
        self.places: dict[int, tuple[bytes, ...]] = {}  # what descriptors 2 and 1 of each refer to

    def attached(self) -> None:
        """Learn what the processes are, and where their messages go."""
        for pid, threads in self.given.items():
            self.threads |= dict.fromkeys([pid, *threads], pid)
            self.processes[pid] = Process(0, self._guest(_link(f"/proc/{pid}/exe")))
            self.places[pid] = tuple(place for place in (_link(f"/proc/{pid}/fd/{fd}") for fd in (2, 1)) if place)

    def event(self, name: str, tid: int, number: int, more: object, now: int) -> None:
        """Keep births, signals and exits; say why a process of -p has failed."""
        super().event(name, tid, number, more, now)
        if name == "gone" and tid in self.places:
            self._tell(tid, exit_code(number))
            if not self.places and isinstance(self.ends, FarEnds):
                self.finish()
                raise Lost  # everything has been said: the session goes on alone

    def _tell(self, pid: int, status: int) -> None:
        from pyroot.trace.why import explained

        self.first, self.outputs = pid, self.places.pop(pid)
        if status:
            rootfs = self.core.resolve(b"/")[1]
            self.ends.of(0).put(explained(self, status, Config(rootfs), self.as_json, doctor=False))

    def let_go(self) -> None:
        """Say what failed last in those that still run."""
        for pid in list(self.places):
            self._tell(pid, RUNS)

    def finish(self) -> None:
        """Write what is left."""
        self.ends.finish(None)


def _link(path: str) -> bytes:
    try:
        return os.readlink(path.encode())
    except OSError:
        return b""
