"""The sessions that run now, found in /proc: their processes, and the view of each.

Decides: what is a session, who belongs to which, and what a host path is called in one. A session is a tracer that holds the
record of a view open (a file which its core makes when it starts and has locked, `_fast/peers/record.pxi`), so what an ended one may
have left is none. What other users run may not be read and is left out; root sees the sessions of all users.

For the kernel a pyroot inside a pyroot traces nothing: the outermost does. Its guests are those that have its arena
mapped; if it has none (pyroot started by root, or the outer one serves its view) those that descend from it.
"""

from __future__ import annotations

import pwd
import re
from dataclasses import dataclass, field

from pyroot._fast import Core
from pyroot.look import proc

_HEAD = b"pyroot session 2"
_MEMFD = b"/memfd:pyroot-session (deleted)"
_NAMED = re.compile(rb"/pyroot(-\d+)?/session-\d+-\d+( \(deleted\))?$")
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
    def core(self) -> Core | None:
        """Give the view, None if its root is gone."""
        return self._views[0] if self._views else None

    @property
    def _views(self) -> list[Core]:
        """Make the view, and another one without the bindings that show part of the root again."""
        if self._cores is None:
            again = [one for one in self.bindings[1:] if (one[0] + b"/").startswith(self.root.rstrip(b"/") + b"/")]
            views = [_view(self.bindings)]
            if again and self.root != b"/":
                views.append(_view([one for one in self.bindings if one not in again]))
            self._cores = [view for view in views if view is not None]
        return self._cores

    def guest(self, text: bytes) -> tuple[bytes, bool]:
        """Give the guest's name for the text of a link in /proc, and whether the guest has one; otherwise the text itself."""
        if text.startswith(_COPY):
            text = text[len(_COPY) :].removesuffix(_DELETED)
        if not text.startswith(b"/") or text.startswith(b"/memfd:"):
            return text, True  # a pipe, a socket, memory: the same everywhere
        plain = text.removesuffix(_DELETED)
        # If a file has several names, people mean the one that begins at the root.
        for view in reversed(self._views):
            name = view.detranslate(plain)
            if name is not None:
                return name + text[len(plain) :], True
        return text, False

    def host(self, guest: bytes) -> bytes | None:
        """Give the host path that a guest path leads to; None if it leads nowhere."""
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
    sessions, copies = _supervisors(tasks)
    tracers = {status.tracer for status in tasks.values()}
    # A supervisor whose guests the kernel shows as its tracees needs no other sign of them.
    hidden = [session for session in sessions if session.pid not in tracers]
    over = {pid: _over(status, sessions, hidden, tasks) for pid, status in tasks.items() if pid not in copies}
    for session in sessions:
        session.outer = _innermost(over[session.pid], over)
    for pid, around in over.items():
        home = _innermost(around, over)
        if home is not None:
            home.members.append(tasks[pid])
    found = sorted((session for session in sessions if session.members), key=lambda one: [above.pid for above in _chain(one)])
    for session in found:
        if session.outer is not None:
            session.bindings = _outward(session.bindings, session.outer)
    return found


def _supervisors(tasks: dict[int, proc.Status]) -> tuple[list[Session], set[int]]:
    """Read the records that are held; also say which processes hold a copy: children of a supervisor that have not started a program."""
    found: dict[tuple[int, int], Session] = {}
    copies: set[int] = set()
    for status in tasks.values():
        record = record_of(status.pid)
        session = None if record is None else _session(status, record[0])
        if record is None or session is None:
            continue
        same = found.get(record[1:])
        if same is not None and same.pid == status.parent:
            copies.add(status.pid)
            continue
        if same is not None:
            copies.add(same.pid)
        arena = proc.held(status.pid, _ARENA.__eq__)
        session.arena = arena[2] if arena else None
        found[record[1:]] = session
    return list(found.values()), copies


def record_of(pid: int) -> tuple[int, int, int] | None:
    """Find the record that a process holds: the descriptor, and which file that is. One with a name counts only for its locker."""
    record = proc.held(pid, lambda text: text == _MEMFD or _NAMED.search(text) is not None)
    if record is None or (proc.link(pid, f"fd/{record[0]}") != _MEMFD and b"FLOCK" not in proc.read(pid, f"fdinfo/{record[0]}")):
        return None
    return record


def _session(status: proc.Status, fd: int) -> Session | None:
    """Read the record of a supervisor; None for a memfd of that name that is not a record."""
    head, _number, *rest = [*proc.read(status.pid, f"fd/{fd}").split(b"\0"), b""]
    if head != _HEAD or len(rest) < 4 or not all(flags.isdigit() for flags in rest[2::3]):
        return None
    return Session(status, [(rest[at], rest[at + 1], int(rest[at + 2])) for at in range(0, len(rest) - 2, 3)])


def _over(status: proc.Status, sessions: list[Session], hidden: list[Session], tasks: dict[int, proc.Status]) -> list[Session]:
    """List the sessions that a process runs in."""
    around = [session for session in sessions if session.pid == status.tracer]
    if hidden and (around or status.tracer == 0):
        mapped = {mapping.inode for mapping in proc.mappings(status.pid) if mapping.path == _ARENA} if around else set()
        above = _ancestors(status, tasks)
        for session in hidden:
            is_in = session.pid in above if session.arena is None else session.arena in mapped
            if is_in and session.pid != status.pid:
                around.append(session)
    return around


def _ancestors(status: proc.Status, tasks: dict[int, proc.Status]) -> set[int]:
    above: set[int] = set()
    at: proc.Status | None = status
    while at is not None and at.parent not in above:
        above.add(at.parent)
        at = tasks.get(at.parent)
    return above


def _innermost(around: list[Session], over: dict[int, list[Session]]) -> Session | None:
    """Of the sessions around a process choose the one that itself runs inside all the others."""
    return max(around, key=lambda one: len(over[one.pid]), default=None)


def _chain(session: Session) -> list[Session]:
    """List the sessions around one, from the outermost to itself."""
    return [*(_chain(session.outer) if session.outer else []), session]


def _outward(bindings: list[tuple[bytes, bytes, int]], outer: Session) -> list[tuple[bytes, bytes, int]]:
    """Give the bindings of an inner session in terms of the host."""
    known = ((outer.host(host), guest, flags) for host, guest, flags in bindings)
    made = [(host, guest, flags) for host, guest, flags in known if host is not None]
    return made if made and made[0][1] == b"/" else [(b"/nonexistent", b"/", 0)]


def program_of(status: proc.Status) -> proc.Mapping | None:
    """Give the mapping of a process's program: the file whose code begins where the loader told the kernel.

    Nothing while the loader is still at work, or if the kernel cannot be told (without CONFIG_CHECKPOINT_RESTORE).
    """
    found = next((one for one in proc.mappings(status.pid) if one.start <= status.code < one.end), None)
    return None if found is None or found.path.startswith(b"/memfd:pyroot-loader") else found


def command_of(status: proc.Status) -> list[bytes]:
    """Give the words of a process; a zombie and a kernel's helper have none, so their name is given in brackets."""
    text = proc.read(status.pid, "cmdline")
    return text.removesuffix(b"\0").split(b"\0") if text else [b"[" + status.name + b"]"]


def user_of(uid: int) -> str:
    """Give the name of a user, or the number if the user has no name here."""
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
