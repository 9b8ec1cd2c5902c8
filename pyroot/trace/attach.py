"""`pyroot trace -p PID`: processes that run already.

Decides: which threads are attached and what is said when that cannot be. They are plain processes: nothing of them is translated, and
they go on untraced when this command ends (ptrace(2): a tracer that ends lets its tracees go). A guest of another pyroot has its
supervisor for a tracer and cannot have a second one.
"""

from __future__ import annotations

import os

from pyroot import report
from pyroot.config import Config
from pyroot.errors import PyrootError
from pyroot.look import proc, sessions
from pyroot.trace.decode import Context
from pyroot.trace.options import Words
from pyroot.trace.places import Places


def run(words: Words, config: Config) -> int:
    """Trace the processes of -p until they end, or until a signal ends this command. Raises PyrootError."""
    from pyroot._fast import Core, CoreError
    from pyroot.trace.verb import make_sink

    if config.command:
        raise PyrootError("trace: -p: takes no command", "trace either processes that run or a command")
    pids = [_pid(value) for text in words.values["attach"] for value in text.replace(",", " ").split()]
    sink = make_sink(words)
    sink.attach_told = not words.counts.get("quiet", 0)
    threads = [tid for pid in pids for tid in _threads(pid, sink.follow)]
    core = Core(b"/")
    _prepare(sink.context, core)
    sink.make_rows()
    sink.output.format.always_pid = bool(sink.output.target) and (sink.follow or len(pids) > 1) and not sink.output.format.separate
    for tid in threads:
        sink._lives(tid)
    try:
        core.attach(threads, sink)
    except CoreError as error:
        raise PyrootError(f"trace: {error}", _hint(pids)) from None
    finally:
        sink.finish()
    return 0


def _prepare(context: Context, core: object) -> None:
    from pyroot._fast import Core

    assert isinstance(core, Core)
    context.peek, context.peek_string, context.started = core.peek, core.peek_string, True
    context.places = Places(None, True)


def _pid(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise PyrootError(f"trace: -p {text}: not a process id", "-p takes numbers of processes")
    if not os.path.exists(f"/proc/{text}"):
        raise PyrootError(f"trace: -p {text}: no such process", "ps -e lists those that there are")
    tracer = _status(int(text), "TracerPid")
    if tracer not in ("", "0"):
        raise PyrootError(f"trace: -p {text}: is traced by process {tracer} ({_name(tracer)})", _other(tracer))
    return int(text)


def _name(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return report.printable(file.read().replace(b"\0", b" ")[:60].strip())
    except OSError:
        return "?"


def _other(tracer: str) -> str:
    if proc.held_memfd(int(tracer), sessions.RECORD) is not None:
        return "a process has one tracer: start the command with pyroot trace to see its calls"
    return "a process has one tracer: end the other one first"


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


