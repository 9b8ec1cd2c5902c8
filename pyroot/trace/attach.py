"""`pyroot trace -p PID`: processes that are already running.

Decides: which threads are attached, by which process, and what is said if that is impossible. Plain processes are attached by this command:
nothing of them is translated, and they continue untraced when it ends (ptrace(2): a tracer that ends lets its tracees go). A guest of a
pyroot has its supervisor as tracer and cannot have a second one, so the supervisor is asked to do it (`guests`).
"""

from __future__ import annotations

import os
import socket

from pyroot import explain, report
from pyroot.config import Config
from pyroot.errors import PyrootError
from pyroot.trace.choice import Choice, choose, ends_of
from pyroot.trace.ends import Ends
from pyroot.trace.history import History
from pyroot.trace.options import TraceWords
from pyroot.trace.output import Output
from pyroot.trace.places import Places
from pyroot.trace.tap import is_supervisor

_ONE_TRACER = "a process has one tracer: end the other one first"


def run(words: TraceWords, config: Config) -> int:
    """Trace the processes of -p until they end, or until a signal ends this command. Raises PyrootError."""
    if config.command:
        raise PyrootError("trace: -p: takes no command", "trace either processes that run or a command")
    plain, guests = _sorted([value for text in words.values["attach"] for value in text.replace(",", " ").split()])
    choice = choose(words)
    choice.why = "why" in words.counts
    sources = len(guests) + bool(plain)
    choice.form["several"] = sources > 1
    every = sum(map(len, guests.values())) + len(plain)
    choice.form["always_pid"] = "output" in words.values and (choice.follow or every > 1) and not choice.form["separate"]
    choice.births_told = not words.counts.get("quiet", 0)
    ends = ends_of(words, choice)
    if guests:
        _through_supervisors(choice, ends, plain, guests)
    else:
        _by_ourselves(choice, ends, plain)
    return 0


def _sorted(values: list[str]) -> tuple[list[int], dict[int, list[int]]]:
    """Separate plain processes from guests, which are grouped by their supervisors. Raises PyrootError if none is left."""
    plain: list[int] = []
    guests: dict[int, list[int]] = {}
    errors: list[PyrootError] = []
    for value in dict.fromkeys(values):
        try:
            pid, tracer = _process(value)
        except PyrootError as error:
            errors.append(error)
            continue
        (guests.setdefault(tracer, []) if tracer else plain).append(pid)
    if not plain and not guests:
        raise errors[0] if errors else PyrootError("trace: -p: no process", "-p takes numbers of processes")
    for one in errors:
        report.failure(one)
    return plain, guests


def _process(text: str) -> tuple[int, int]:
    """Read a process number: the process, and its supervisor or 0. Raises PyrootError."""
    if not text.isdigit() or not 0 < int(text) < 1 << 31:
        raise PyrootError(f"trace: -p {text}: not a process id", "-p takes numbers of processes")
    if not os.path.exists(f"/proc/{text}"):
        raise PyrootError(f"trace: -p {text}: no such process", "ps -e lists those that there are")
    tracer = _status(int(text), "TracerPid")
    if tracer in ("", "0"):
        return int(text), 0
    if not is_supervisor(int(tracer)):
        raise PyrootError(f"trace: -p {text}: is traced by process {tracer} ({_name(tracer)})", _ONE_TRACER)
    return int(text), int(tracer)


def _by_ourselves(choice: Choice, ends: Ends, pids: list[int]) -> None:
    """Be the tracer of plain processes. Raises PyrootError."""
    from pyroot._fast import Core, CoreError

    sink = choice.watcher(ends) if choice.why else choice.sink(Output(choice.format(), ends))
    core = Core(b"/")
    sink.context.peek, sink.context.peek_string, sink.context.started = core.peek, core.peek_string, True
    sink.context.places = Places(None, True)
    sink.make_rows()
    if isinstance(sink, History):
        sink.prepare(core)
    sink.given = {pid: _threads(pid, choice.follow) for pid in pids}
    try:
        core.attach([tid for threads in sink.given.values() for tid in threads], sink)
        sink.let_go()
    except CoreError as error:
        failure = explain.core_failure(error)
        hint = failure.hint if explain.is_request(error) else _hint(pids)
        raise PyrootError(f"trace: {failure}", hint) from None
    finally:
        sink.finish()


def _through_supervisors(choice: Choice, ends: Ends, plain: list[int], guests: dict[int, list[int]]) -> None:
    """Let supervisors trace their guests, and a child of this process the rest. Raises PyrootError."""
    from pyroot.trace.guests import Lookers

    lookers = Lookers(choice, ends)
    try:
        if plain:
            lookers.add_plain(lambda end: _for_another(choice, ends, plain, end))
        for supervisor, pids in guests.items():
            lookers.ask(supervisor, pids)
        lookers.run()
    finally:
        lookers.finish()


def _for_another(choice: Choice, ends: Ends, pids: list[int], end: socket.socket) -> None:
    """Trace plain processes in a child, which ends when its parent does."""
    from pyroot import _fast
    from pyroot.trace.far import FarEnds, Link, Lost, tell

    _fast.tap_listen()
    link = Link(end)
    try:
        _by_ourselves(choice, FarEnds(link, choice.form["separate"], ends.main is None or ends.main.buffered, ends.shown), pids)
    except PyrootError as error:
        tell(link, error)
    except Lost:
        pass
    link.close(1.0)


def _name(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return report.printable(file.read().replace(b"\0", b" ")[:60].strip())
    except OSError:
        return "?"


def _status(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return next((line.split()[1] for line in file if line.startswith(f"{name}:")), "")
    except OSError:
        return ""


def _threads(pid: int, every: bool) -> list[int]:
    if not every:
        return [pid]
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return [pid]


def _hint(pids: list[int]) -> str:
    owners = {_status(pid, "Uid") for pid in pids} - {str(os.geteuid())}
    if owners:
        return "processes of other users are for root"
    return "pyroot check says whether this host lets processes be traced (Yama's ptrace_scope lets only parents)"
