"""What a root's methods give back, as values of Python: findings, copied files, sessions, and the records of a trace.

Decides: which names the facts have; they are those of the verbs' JSON, from which they are read.
"""

from __future__ import annotations

from pyroot.plain import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias


@record(frozen=True)
class Finding:
    """One thing that is wrong with a root, or with this host (path: empty). `docs/DOCTOR.md` has the codes."""

    code: str
    severity: str  # error, warning, note
    path: str  # of the guest
    what: str
    why: str
    fix: str  # a command or a sentence; empty if there is none
    steps: tuple[str, ...]  # what `pyroot doctor --fix` would do


@record(frozen=True)
class Copied:
    """What became of one file: `action` is copy, same (it was there), kept (the root's own stays) or left (it was not brought)."""

    path: str
    real: str | None  # without symbolic links
    action: str
    why: str
    needed_by: str | None
    how: str


@record(frozen=True)
class Process:
    """A process of a session; times are in seconds."""

    pid: int
    parent: int
    state: str
    threads: int
    cpu: float
    uptime: float
    command: tuple[str, ...]


@record(frozen=True)
class Session:
    """A running pyroot: `pid` is its supervisor's, `bindings` are (host, guest)."""

    pid: int
    inside: int | None  # the supervisor of the session around it
    root: str
    user: str
    uptime: float
    command: tuple[str, ...]
    bindings: tuple[tuple[str, str], ...]
    processes: tuple[Process, ...]


@record(frozen=True)
class Syscall:
    """A system call: arguments as texts, `error` the name of an errno. `result` is None for a call that never returned."""

    pid: int
    call: str
    args: tuple[str, ...]
    result: int | None
    error: str | None
    time: float  # since 1970
    duration: float | None


@record(frozen=True)
class Attached:
    """A new process, or thread."""

    pid: int
    parent: int
    time: float


@record(frozen=True)
class Signal:
    """A signal came; `info` is its siginfo as text."""

    pid: int
    signal: str
    info: str
    time: float


@record(frozen=True)
class Stopped:
    """A signal stopped the process."""

    pid: int
    signal: str
    time: float


@record(frozen=True)
class Superseded:
    """A thread's execve took over."""

    pid: int
    by: int
    time: float


@record(frozen=True)
class Exited:
    """The process ended by itself."""

    pid: int
    status: int
    time: float


@record(frozen=True)
class Killed:
    """A signal ended the process."""

    pid: int
    signal: str
    core: bool
    time: float


if TYPE_CHECKING:
    Record: TypeAlias = Syscall | Attached | Signal | Stopped | Superseded | Exited | Killed

_KINDS = {
    "syscall": Syscall,
    "attached": Attached,
    "signal": Signal,
    "stopped": Stopped,
    "superseded": Superseded,
    "exited": Exited,
    "killed": Killed,
}


def made(kind: type[Any], facts: dict[str, Any], **changed: Any) -> Any:
    """Make a value of those facts that it has names for; lists become tuples, what is missing is None."""
    values = {name: changed.get(name, facts.get(name)) for name in kind.__annotations__}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def of_trace(facts: dict[str, Any]) -> Record:
    """Make the record of a line of `pyroot trace --json`."""
    one: Record = made(_KINDS[facts["type"]], facts)
    return one


def session(facts: dict[str, Any]) -> Session:
    """Make a session of the JSON of `pyroot ps`."""
    processes = tuple(made(Process, one) for one in facts["processes"])
    bindings = tuple((one["host"], one["guest"]) for one in facts["bindings"])
    one: Session = made(Session, facts, processes=processes, bindings=bindings)
    return one
