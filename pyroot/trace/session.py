"""The sink: what the core calls for each event of a traced session.

Decides: which calls are shown and in which order the parts of a line are written. Not decided here: how an argument looks
(`decode` and the kinds), how a line looks (`output`).

The core calls `read` at the entry of a call whose row reads memory itself, `begin` if the call takes long or something else happens
meanwhile, `end` at its end, and `event` for what is not a call.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyroot.syscalls import numbers_i386, numbers_x86_64
from pyroot.trace import attributes, kinds, narrow, polls, select, signals, sockets, special, structs, text  # noqa: F401  (their kinds)
from pyroot.trace.calls import SOCKETCALLS, SUB_CALLS, rows, rows_i386
from pyroot.trace.decode import Context, Row, failed, unexplained
from pyroot.trace.fallback import unknown_row
from pyroot.trace.names import signal_name
from pyroot.trace.output import Output
from pyroot.trace.places import Places
from pyroot.trace.signals import signal_info

if TYPE_CHECKING:
    from pyroot._fast import Core, TracedCall
    from pyroot.syscalls.filters import Insn
    from pyroot.trace.summary import Summary

_ENDLESS = ("exit", "exit_group")
_RESTART_BLOCK = -516  # restart_syscall(2) comes next
CALL_NAMES = (
    {number: name for name, number in numbers_x86_64.NUMBERS.items()},
    {number: name for name, number in numbers_i386.NUMBERS.items()},
)


class Sink:
    """What every sink has: the selection, and rows by number."""

    follow = True
    times = False  # the core reports the time that each call took
    watched = False  # somebody is watching: the core reports calls when they begin

    def __init__(self, context: Context, names: set[str]) -> None:
        """Take the form of arguments and the names of the calls to trace."""
        self.context, self.names = context, names
        self.rows: dict[tuple[bool, int], Row] = {}

    def start(self, core: Core, program: bytes) -> None:
        """Learn the view and the program that the session begins with."""
        self.context.peek, self.context.peek_string = core.peek, core.peek_string
        self.context.program = program
        self.context.places = Places(core, self.context.host_paths)
        self.make_rows()

    def make_rows(self) -> None:
        """Compile the rows of the selected calls."""
        for compat, numbers, known in ((False, numbers_x86_64.NUMBERS, rows()), (True, numbers_i386.NUMBERS, rows_i386())):
            for name in self.names:
                if name not in numbers:
                    continue
                if name in known:
                    sets, arguments, ending = known[name]
                    row = Row(name, sets, arguments, ending, self.context, compat)
                else:
                    row = unknown_row(name, compat, self.context)
                self.rows[compat, numbers[name]] = row
        for at, name in enumerate(SUB_CALLS, 1):
            if name in self.names or "socketcall" in self.names:
                sets, arguments, ending = rows_i386()[name]
                self.rows[True, SOCKETCALLS + at] = Row(name, sets, arguments, ending, self.context, True)

    def plans(self) -> dict[tuple[bool, int], tuple[bool, list[tuple[int, ...]], list[tuple[int, ...]]]]:
        """Say for each number what the core reads."""
        return {key: (row.plan.early, _core_order(row.plan.ins), _core_order(row.plan.outs)) for key, row in self.rows.items()}

    def program(self) -> list[Insn]:
        """Give the part of the filter that stops the selected calls."""
        return select.program(self.names)


def _core_order(reads: list[tuple[int, int, int, int, int]]) -> list[tuple[int, ...]]:
    return [(kind, arg, by, scale, size) for kind, arg, by, scale, size in reads]


class TraceSink(Sink):
    """Write calls as they happen, or count them."""

    def __init__(self, context: Context, names: set[str], output: Output, summary: Summary | None = None) -> None:
        """Take where lines go; the public fields say which are left out."""
        super().__init__(context, names)
        self.output, self.summary = output, summary
        self.lines = True  # False: only counts
        self.statuses: set[str] = set(select.STATUSES)
        self.signals: set[int] = set(range(1, 65))
        self.paths: list[bytes] = []
        self.attach_told = True
        self.exits_told = True
        self.begun: dict[int, str] = {}  # tids whose line is begun, with the name of the call
        self.matched: dict[int, bool] = {}  # with -P: whether the current call of a tid names a path
        self.live: set[int] = set()
        self.given: dict[int, list[int]] = {}  # by process of -p, its threads
        self.lasting = True  # lines are begun before their calls end
        self.end = self._chosen_end()

    def choose(self) -> None:
        """Settle how ends are written; to be called when the fields are set."""
        self.lasting = self.lines and self.statuses == set(select.STATUSES)
        self.times = self.summary is not None
        form, main = self.output.format, self.output.main
        self.watched = self.lasting and main is not None and not main.buffered and not form.several
        self.end = self._chosen_end()

    def _chosen_end(self) -> Callable[[TracedCall], None]:
        plain = self.lines and self.lasting and not self.paths and self.summary is None and not self.output.format.times
        return self.end_plainly if plain else self.end_choosing

    def start(self, core: Core, program: bytes) -> None:
        """Learn the view; paths of -P are also matched by what they lead to."""
        super().start(core, program)
        base = core.detranslate(os.readlink(b"/proc/self/cwd")) or b"/"
        for path in list(self.paths):
            try:
                self.paths.append(core.resolve(path, base)[0])
            except OSError:
                continue
        for row in self.rows.values():
            # after close(2) the descriptor is unknown: it has to be looked up before
            row.plan.early = row.plan.early or bool(self.paths)

    # -- calls

    def read(self, call: TracedCall) -> None:
        """Read what the arguments of a call point at, before it runs."""
        row = self.rows[call.compat, call.nr]
        if self.paths:
            self.matched[call.tid] = self._names_path(row, call)
        row.entry(call)

    def begin(self, call: TracedCall) -> None:
        """Write the beginning of a call."""
        if not self.lasting:
            return
        row = self.rows[call.compat, call.nr]
        if self.paths and not self.matched.get(call.tid):
            return
        words = row.beginning(call)
        self.begun[call.tid] = row.name
        self.output.begin(call.tid, call.begin, words, call.ip)

    def end_plainly(self, call: TracedCall) -> None:
        """Write a call or the rest of one: nothing is counted, timed or left out."""
        row = self.rows[call.compat, call.nr]
        value = call.result
        ending = self._unexplained(row, call) if -4096 < value < 0 else row.result(call)
        if call.tid in self.begun:
            self._resume(row, call, ending)
        else:
            self.output.call(call.tid, call.begin, f"{row.name}({row.joined(call)}) ", ending, call.ip)

    def end_choosing(self, call: TracedCall) -> None:
        """Write or count a call if the options ask for it."""
        row = self.rows[call.compat, call.nr]
        if self.paths and not self.matched.get(call.tid):
            return
        bad = failed(call)
        if self.summary is not None:
            self.summary.add(row.name, bad, call.used)
        if not self.lines or ("failed" if bad else "successful") not in self.statuses:
            return
        ending = self._unexplained(row, call) if bad else row.result(call)
        if self.output.format.times:
            passed = call.end - call.begin
            ending += f" <{passed // 10**9}.{passed // 1000 % 10**6:06d}>"
        if call.tid in self.begun:
            self._resume(row, call, ending)
        else:
            self.output.call(call.tid, call.begin, f"{row.name}({row.joined(call)}) ", ending, call.ip)

    def _unexplained(self, row: Row, call: TracedCall) -> str:
        if call.result == _RESTART_BLOCK:
            self.context.interrupted[call.tid] = row.name
        return unexplained(call)

    def _resume(self, row: Row, call: TracedCall, ending: str) -> None:
        del self.begun[call.tid]
        self.output.resume(call.tid, call.end, row.name, f"{row.rest(call)}) ", ending, call.ip)

    def _names_path(self, row: Row, call: TracedCall) -> bool:
        """Say whether a call names one of the paths of -P, or a descriptor of one."""
        places = self.context.places
        assert places is not None
        for at in row.path_arguments:
            if self.context.peek_string(call.tid, call.args[at], 4096) in self.paths:
                return True
        return any(places.path_of_fd(call.tid, text.signed(call.args[at])) in self.paths for at in row.fd_arguments)

    # -- what is not a call

    def event(self, name: str, tid: int, number: int, more: object, now: int) -> None:
        """Record a birth, a signal, a stop, a death, an exec by a thread, or the end of a call that does not return."""
        getattr(self, f"on_{name}")(tid, number, more, now)

    def on_birth(self, tid: int, parent: int, more: object, now: int) -> None:
        """Report a new process or thread."""
        self.lives(parent)
        self.lives(tid)
        if self.attach_told and self.lines:
            self.output.say(f"process {tid} attached")

    def attached(self) -> None:
        """Report which processes of -p are traced from now on."""
        for pid, threads in self.given.items():
            for tid in threads:
                self.lives(tid)
            if self.attach_told:
                self.output.say(f"process {pid} attached{f' with {len(threads)} threads' if len(threads) > 1 else ''}")

    def lives(self, tid: int) -> None:
        """Count a process among those that are traced."""
        self.live.add(tid)
        self.output.processes = len(self.live)

    def on_signal(self, tid: int, number: int, more: object, now: int) -> None:
        """Write a signal that is about to be delivered."""
        if self.lines and number in self.signals:
            assert isinstance(more, bytes)
            self.output.line(tid, now, f"--- {signal_name(number)} {signal_info(more)} ---")

    def on_stopped(self, tid: int, number: int, more: object, now: int) -> None:
        """Write a stop by a signal."""
        if self.lines and number in self.signals:
            self.output.line(tid, now, f"--- stopped by {signal_name(number)} ---")

    def on_leaving(self, tid: int, number: int, call: TracedCall | None, now: int) -> None:
        """Write the end of a call that its process does not return from."""
        if call is None:
            return
        row = self.rows[call.compat, call.nr]
        if self.paths and not self.matched.get(tid):
            return
        if self.summary is not None and row.name not in _ENDLESS:
            self.summary.add(row.name, False, 0)
        if not self.lines or "unfinished" not in self.statuses:
            self.begun.pop(tid, None)
            return
        ending = "?" + (" <unavailable>" if self.output.format.times and row.name not in _ENDLESS else "")
        if self.begun.pop(tid, None):
            self.output.resume(tid, now, row.name, ") ", ending, call.ip)
        else:
            self.output.call(tid, call.begin, f"{row.beginning(call)}) ", ending, call.ip)

    def on_superseded(self, tid: int, old: int, more: object, now: int) -> None:
        """Write that a thread's execve took over the process."""
        if self.output.partial == old:
            self.output.line_ends(f" <pid changed to {tid} ...>")
        if self.lines and self.exits_told:
            self.output.line(tid, now, f"+++ superseded by execve in pid {old} +++")
        self.live.discard(old)
        self.output.processes = len(self.live)
        if old in self.begun:
            self.begun[tid] = self.begun.pop(old)

    def on_gone(self, tid: int, status: int, more: object, now: int) -> None:
        """Write how a process or thread ended."""
        self.begun.pop(tid, None)
        if self.lines and self.exits_told:
            if os.WIFSIGNALED(status):
                core = " (core dumped)" if os.WCOREDUMP(status) else ""
                self.output.line(tid, now, f"+++ killed by {signal_name(os.WTERMSIG(status))}{core} +++")
            else:
                self.output.line(tid, now, f"+++ exited with {os.WEXITSTATUS(status)} +++")
        self.live.discard(tid)
        self.output.processes = len(self.live)

    def let_go(self) -> None:
        """The remaining processes continue untraced."""
        if self.output.partial in self.begun:
            self.output.line_ends(" <detached ...>")

    def finish(self) -> None:
        """Write what is left."""
        self.output.ends.finish(self.summary)
