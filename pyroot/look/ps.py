"""`pyroot ps`: which sessions are running, and the processes of each.

Decides: the verb's options, its columns and its JSON. Not decided here: what belongs to a session (`sessions`).
"""

from __future__ import annotations

from pyroot.errors import PyrootError
from pyroot.look import proc
from pyroot.look.sessions import Session, chosen, command_of, find, program_of, user_of
from pyroot.verbs.output import json_text, put, safe
from pyroot.verbs.words import Verb, flag, value

PS = Verb(
    "ps",
    """\
usage: pyroot ps [OPTION...]

List the running sessions of this user (root: of all users) and the processes in each,
with their commands as the guest wrote them. Nothing is stopped for this.
Exit status: 0 if there is a process, 1 if there is none.
""",
    (
        value("-p", "PID[,PID...]", "only these: processes, or whole sessions by their supervisor's number", "pid", also=("--pid",)),
        flag("-v, --verbose", "name the program, the working directory and every binding, too"),
        flag("--json", "print it as JSON"),
    ),
    19,
    """\
UP is the time since the start, CPU the processor time used, in hours, minutes, seconds.
STOPS counts how often a session's supervisor has waited for its guests, which is
about how often they stopped.
""",
)


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    words = PS.read(argv)
    if "help" in words.flags:
        put(PS.usage())
        return 0
    if words.rest:
        raise PyrootError(f"ps: {words.rest[0]}: unexpected word", "pyroot ps -p PID looks at one process; pyroot ps --help tells more")
    sessions = chosen(find(), numbers("ps", words.values.get("pid", [])))
    if "json" in words.flags:
        now = proc.uptime()
        put(json_text({"sessions": [as_json(session, now) for session in sessions]}))
    else:
        for text in lines(sessions, "verbose" in words.flags):
            put(text + "\n")
    return 0 if any(session.members for session in sessions) else 1


def numbers(verb: str, values: list[str]) -> set[int]:
    """Read the values of -p. Raises PyrootError."""
    found: set[int] = set()
    for word in ",".join(values).split(",") if values else []:
        if not word.isdigit():
            raise PyrootError(f"{verb}: -p {word}: not a process number", "-p takes numbers with commas between them")
        found.add(int(word))
    return found


def clock(seconds: float) -> str:
    """Give a time as hours, minutes and seconds."""
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"


def lines(sessions: list[Session], verbose: bool) -> list[str]:
    """Lay out the sessions for people."""
    now = proc.uptime()
    found: list[str] = []
    for session in sessions:
        found += [""] if found else []
        found.append(_head(session, now))
        if verbose:
            found += [f"    {safe(host)} at {safe(guest)}" for host, guest, flag in session.bindings[1:] if not flag]
        found.append(f"{'PID':>8} {'PPID':>7} S {'CPU':>7} {'UP':>8}  COMMAND")
        for status, depth in in_order(session):
            command = " ".join(map(safe, command_of(status)))
            times = f"{clock(status.used):>7} {clock(now - status.started):>8}"
            found.append(f"{status.pid:>8} {status.parent:>7} {status.state} {times}  {'  ' * depth}{command}")
            if verbose:
                found += [f"{'':>36}{'  ' * depth}{name} {text}" for name, text in _places(session, status)]
    return found


def _head(session: Session, now: float) -> str:
    supervisor = session.supervisor
    inside = f" inside {session.outer.pid}" if session.outer else ""
    return (
        f"session {session.pid}{inside}: root {safe(session.root)}, user {user_of(supervisor.uid)}, "
        f"up {clock(now - supervisor.started)}, {supervisor.switches} stops, "
        f"{len(session.members)} process{'es' * (len(session.members) != 1)}"
    )


def _places(session: Session, status: proc.Status) -> list[tuple[str, str]]:
    program = program_of(status)
    texts = (("exe", program.path if program else b""), ("cwd", proc.link(status.pid, "cwd")))
    return [(name, shown(*session.guest(text))) for name, text in texts if text]


def shown(path: bytes, inside: bool) -> str:
    """Give a path for people; one that the guest has no name for is the host's."""
    return safe(path) if inside else f"{safe(path)} (host)"


def in_order(session: Session) -> list[tuple[proc.Status, int]]:
    """List the processes with their depth, children after their parents."""
    here = {status.pid for status in session.members}
    children: dict[int, list[proc.Status]] = {}
    for status in session.members:
        children.setdefault(status.parent if status.parent in here else 0, []).append(status)
    found: list[tuple[proc.Status, int]] = []
    pending = [(status, 0) for status in reversed(children.get(0, []))]
    while pending:
        status, depth = pending.pop()
        found.append((status, depth))
        pending += [(child, depth + 1) for child in reversed(children.get(status.pid, []))]
    return found


def as_json(session: Session, now: float) -> dict[str, object]:
    """Give a session as what JSON can hold; times are in seconds."""
    return {
        "pid": session.pid,
        "inside": session.outer.pid if session.outer else None,
        "root": safe(session.root),
        "user": user_of(session.supervisor.uid),
        "uptime": round(now - session.supervisor.started, 2),
        "stops": session.supervisor.switches,
        "command": [safe(word) for word in command_of(session.supervisor)],
        "bindings": [{"host": safe(host), "guest": safe(guest)} for host, guest, flag in session.bindings[1:] if not flag],
        "processes": [
            {
                "pid": status.pid,
                "parent": status.parent,
                "state": status.state,
                "threads": status.threads,
                "cpu": status.used,
                "uptime": round(now - status.started, 2),
                "command": [safe(word) for word in command_of(status)],
                **dict(_places(session, status)),
            }
            for status in session.members
        ],
    }
