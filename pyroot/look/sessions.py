"""The sessions that run now, found in /proc: their processes, and the view of each.

Decides: what is a session, who belongs to which, and what a host path is called in one. A session is a tracer that holds the
record of a view (a memfd which its core makes when it starts, so there is nothing that could be left behind by one that has
ended). What other users run is closed to us, and so left out; root sees everybody's.

A pyroot inside a pyroot traces nobody in the kernel's eyes: the outermost does. Its guests are those that have its arena
mapped; where arenas are private (pyroot started by root) those that descend from it.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyroot._fast import Core
from pyroot.look import proc

RECORD = b"pyroot-session"
_HEAD = b"pyroot session 1"
_ARENA = b"/memfd:pyroot-arena (deleted)"
_COPY = b"/memfd:pyroot:"
_DELETED = b" (deleted)"


@dataclass
class Session:
    """One running pyroot. `bindings` are (host, guest, flags) in the terms of this host, the root first."""

    supervisor: proc.Status
    bindings: list[tuple[bytes, bytes, int]]
    outer: Session | None = None
    members: list[proc.Status] = field(default_factory=list)
    arena: int | None = None
    _cores: list[Core] | None = None

    @property
    def pid(self) -> int:
        """Give the process number of the supervisor."""
        return self.supervisor.pid

    @property
    def root(self) -> bytes:
        """Give the host path of the root."""
        return self.bindings[0][0]

    @property
    def depth(self) -> int:
        """Count the sessions around this one."""
        return 0 if self.outer is None else self.outer.depth + 1

    @property
    def core(self) -> Core | None:
        """Give the view, None when its root is gone."""
        return self._views[0] if self._views else None

    @property
    def _views(self) -> list[Core]:
        """Make the view, and another one without the bindings that show a part of the root once more."""
        if self._cores is None:
            again = [one for one in self.bindings[1:] if (one[0] + b"/").startswith(self.root.rstrip(b"/") + b"/")]
            views = [_view(self.bindings)]
            if again and self.root != b"/":
                views.append(_view([one for one in self.bindings if one not in again]))
            self._cores = [view for view in views if view is not None]
        return self._cores

    def guest(self, text: bytes) -> tuple[bytes, bool]:
        """Give the guest's name for a link's text of the kernel, and whether the guest has one; otherwise the text itself."""
        if text.startswith(_COPY):
            text = text[len(_COPY) :].removesuffix(_DELETED)
        if not text.startswith(b"/") or text.startswith(b"/memfd:"):
            return text, True  # a pipe, a socket, memory: the same everywhere
        plain = text.removesuffix(_DELETED)
        # Of a file that has several names the one that begins at the root is what people mean.
        for view in reversed(self._views):
            name = view.detranslate(plain)
            if name is not None:
                return name + text[len(plain) :], True
        return text, False

    def host(self, guest: bytes) -> bytes | None:
        """Give the host path that a guest path leads to; None when it leads nowhere."""
        try:
            return self.core.resolve(guest)[1] if self.core else None
        except OSError:
            return None


def _view(bindings: list[tuple[bytes, bytes, int]]) -> Core | None:
    try:
        view = Core(bindings[0][0])
    except OSError:
        return None
    for host, guest, flags in bindings[1:]:
        try:
            view.bind(host, guest, flags)
        except OSError:
            continue  # what was bound has been removed
    return view


def find() -> list[Session]:
    """List the sessions that this user may look at, the outer before the inner, with their members in order."""
    tasks = {pid: status for pid in proc.pids() if (status := proc.status(pid))}
    found: list[Session] = []
    for tracer in sorted({status.tracer for status in tasks.values()} & set(tasks)):
        outer = _session(tasks[tracer], None)
        if outer is None:
            continue
        guests = [status for status in tasks.values() if status.tracer == tracer]
        nest = [outer, *_inner_sessions(guests)]
        _assign(nest, guests, tasks)
        for session in nest:
            if session.outer is not None:
                session.bindings = _outward(session.bindings, session.outer)
        found += nest
    return found


def _session(status: proc.Status, outer: Session | None) -> Session | None:
    """Read the record of a supervisor; None when the process is none, or is somebody else's."""
    fd = proc.held_memfd(status.pid, RECORD)
    if fd is None:
        return None
    head, *rest = proc.read(status.pid, f"fd/{fd}").split(b"\0")
    if head != _HEAD or len(rest) < 4 or not all(flags.isdigit() for flags in rest[2::3]):
        return None  # a memfd of that name which is not ours
    bindings = [(rest[at], rest[at + 1], int(rest[at + 2])) for at in range(0, len(rest) - 2, 3)]
    return Session(status, bindings, outer)


def _inner_sessions(guests: Iterable[proc.Status]) -> list[Session]:
    found = [session for status in guests if (session := _session(status, None))]
    for session in found:
        fd = proc.held_memfd(session.pid, b"pyroot-arena")
        if fd is not None:
            try:
                session.arena = os.stat(f"/proc/{session.pid}/fd/{fd}").st_ino
            except OSError:
                continue
    return found


def _assign(nest: list[Session], guests: list[proc.Status], tasks: dict[int, proc.Status]) -> None:
    """Give every guest to the innermost session that it runs in, and every inner session its outer one."""
    outer, inner = nest[0], nest[1:]
    if not inner:
        outer.members = guests
        return
    over = {status.pid: _sessions_over(status, inner, tasks) for status in guests}
    by_pid = {session.pid: session for session in inner}
    for session in inner:
        # Of the sessions around it the innermost is the one that runs inside of all the others.
        session.outer = max(over[session.pid], key=lambda one: len(over[one.pid]), default=outer)
    nest[1:] = sorted(inner, key=lambda one: one.depth)
    for status in guests:
        home = max(over[status.pid], key=lambda one: len(over[one.pid]), default=outer)
        home.members.append(status)
        if status.pid in by_pid:
            by_pid[status.pid].supervisor = status


def _sessions_over(status: proc.Status, inner: list[Session], tasks: dict[int, proc.Status]) -> list[Session]:
    """List the inner sessions that a guest runs in."""
    mapped = {mapping.inode for mapping in proc.mappings(status.pid) if mapping.path == _ARENA}
    above: set[int] = set()
    at: proc.Status | None = status
    while at is not None and at.parent not in above:
        above.add(at.parent)
        at = tasks.get(at.parent)
    return [
        session
        for session in inner
        if session.pid != status.pid and (session.arena in mapped if session.arena is not None else session.pid in above)
    ]


def _outward(bindings: list[tuple[bytes, bytes, int]], outer: Session) -> list[tuple[bytes, bytes, int]]:
    """Tell the bindings of an inner session in the terms of the host."""
    known = ((outer.host(host), guest, flags) for host, guest, flags in bindings)
    made = [(host, guest, flags) for host, guest, flags in known if host is not None]
    return made if made and made[0][1] == b"/" else [(b"/nonexistent", b"/", 0)]


def program_of(status: proc.Status) -> proc.Mapping | None:
    """Give the mapping of a process's program: the file whose code begins where the loader told the kernel."""
    return next((one for one in proc.mappings(status.pid) if one.start <= status.code < one.end), None)


def command_of(status: proc.Status) -> list[bytes]:
    """Give the words of a process; a zombie and a kernel's helper have none, so their name stands in brackets."""
    text = proc.read(status.pid, "cmdline")
    return text.removesuffix(b"\0").split(b"\0") if text else [b"[" + status.name + b"]"]


def user_of(uid: int) -> str:
    """Give the name of a user, or the number of one who has none here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def chosen(sessions: list[Session], numbers: set[int]) -> list[Session]:
    """Keep what -p asks for: processes by their numbers, and whole sessions by those of their supervisors."""
    if not numbers:
        return sessions
    kept: list[Session] = []
    for session in sessions:
        if session.pid not in numbers:
            session.members = [status for status in session.members if status.pid in numbers]
        if session.members:
            kept.append(session)
    return kept
