"""From a row of the table of calls to the functions that write its arguments.

Decides: what is read of a call's memory, when (at the entry or at the exit, by the core's plan or by the sink), and how entry and
exit parts are put together. The rows are in `calls`, the kinds of arguments in `kinds`, `structs` and `sockets`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyroot.trace import text

if TYPE_CHECKING:
    from pyroot._fast import TracedCall
    from pyroot.trace.places import Places

Write = Callable[["TracedCall"], str]

STRING, FIXED, COUNTED, RESULT = 1, 2, 3, 4
PATH_MAX = 4096
BIG = 1 << 20

Read = tuple[int, int, int, int, int]


def no_memory(tid: int, address: int, size: int) -> bytes | None:
    """Stand in for a guest's memory if there is no guest."""
    return None


@dataclass
class Context:
    """What the options say about the form of arguments, and where memory and paths of guests come from."""

    strings: int = 32  # -s
    hexed: int = 0  # -x, -xx
    fds: int = 0  # -y, -yy
    host_paths: bool = False
    abbreviate: bool = True
    peek: Callable[[int, int, int], bytes | None] = no_memory
    peek_string: Callable[[int, int, int], bytes | None] = no_memory
    places: Places | None = None
    program: bytes = b""  # what the first execve of the session names
    started: bool = False
    interrupted: dict[int, str] = field(default_factory=dict)  # by tid, the call that restart_syscall(2) goes on with

    def quote(self, data: bytes) -> str:
        """Quote bytes as -x and -xx ask for."""
        if self.hexed and (self.hexed == 2 or not text.is_text(data)):
            return text.hexed(data)
        return text.quoted(data)

    def cut(self, data: bytes, whole: int) -> str:
        """Quote as many bytes as -s allows, with dots if `whole` is more."""
        limit = self.strings
        if whole > limit:
            return self.quote(data[:limit]) + "..."
        return self.quote(data)


@dataclass
class Plan:
    """What the core reads for a call, and whether it has to show the call at its entry."""

    ins: list[Read] = field(default_factory=list)
    outs: list[Read] = field(default_factory=list)
    early: bool = False
    compat: bool = False  # of a call with a number of i386
    pending: Callable[[TracedCall], bool] | None = None  # says at the entry whether the last argument will be written

    def read(self, out: bool, kind: int, arg: int, size: int, by: int = 0, scale: int = 1) -> Callable[[TracedCall], bytes | None]:
        """Enter a piece of memory; give what fetches it from a call."""
        pieces = self.outs if out else self.ins
        slot = len(pieces)
        pieces.append((kind, arg, by, scale, size))
        if out:
            return lambda call: call.outs[slot] if call.outs else None
        return lambda call: call.ins[slot]


@dataclass
class Argument:
    """One argument: its text, and whether it is known only at the exit."""

    write: Write
    out: bool


_PATHS = ("path", "program")
GLUED = frozenset(["clone_told", "moved"])  # kinds that are written without a comma before them

Kind = Callable[[Context, Plan, int, str, bool], Write]
Result = Callable[[Context, Plan, list["Argument"]], Write]

KINDS: dict[str, Kind] = {}
#: Structures of calls by the numbers of i386: size and layout, None where both have the same.
NARROW: dict[str, tuple[int, Callable[[Context, bytes], str]] | None] = {}
RESULTS: dict[str, Result] = {}


def kind(name: str) -> Callable[[Kind], Kind]:
    """Enter a kind of argument: given context, plan, position, parameter and phase it returns what writes the argument."""

    def enter(function: Kind) -> Kind:
        KINDS[name] = function
        return function

    return enter


def or_address(at: int, fetch: Callable[[TracedCall], bytes | None], words: Callable[[TracedCall, bytes], str]) -> Write:
    """Write what an argument points at, or the address if it cannot be read."""

    def write(call: TracedCall) -> str:
        data = fetch(call)
        return text.pointer(call.args[at]) if data is None else words(call, data)

    return write


def result(name: str) -> Callable[[Result], Result]:
    """Enter a kind of result."""

    def enter(function: Result) -> Result:
        RESULTS[name] = function
        return function

    return enter


class Row:
    """One call, ready to write: `arguments` in order, `split` the first one that is known only at the exit."""

    __slots__ = ("arguments", "classes", "fd_arguments", "glued", "kinds", "name", "path_arguments", "plan", "result", "split", "writes")

    def __init__(self, name: str, classes: str, words: list[str], ending: str, context: Context, compat: bool = False) -> None:
        self.name, self.classes = name, classes
        self.plan = Plan(compat=compat)
        self.arguments: list[Argument] = []
        self.kinds: list[tuple[int, str, str]] = []
        for position, word in enumerate(words):
            place, at, rest = word.rpartition("@")
            out = rest.startswith(">")
            rest = rest.lstrip(">")
            name_of_kind, _colon, parameter = rest.partition(":")
            arg = int(place) if at else position
            write = KINDS[name_of_kind](context, self.plan, arg, parameter, out)
            self.arguments.append(Argument(write, out))
            self.kinds.append((arg, name_of_kind, parameter))
        self.split = next((at for at, one in enumerate(self.arguments) if one.out), len(self.arguments))
        self.result: Write = RESULTS[ending or "int"](context, self.plan, self.arguments)
        self.writes = [one.write for one in self.arguments]
        self.glued = any(name in GLUED for _at, name, _parameter in self.kinds)
        self.path_arguments = [at for at, name, _parameter in self.kinds if name in _PATHS]
        self.fd_arguments = [at for at, name, _parameter in self.kinds if name in ("fd", "mapfd", "dirfd")]

    def directory_of(self, at: int) -> int | None:
        """Give the argument that is the directory of a path argument, None when there is none."""
        return next((int(parameter) for place, name, parameter in self.kinds if place == at and name in _PATHS and parameter), None)

    def beginning(self, call: TracedCall) -> str:
        """Write a call as far as it is known at the entry, up to the comma before what is known only at the exit."""
        if call.text is None:
            self.entry(call)
        known = ", ".join(one for one in (call.text or ())[: self.split] if one)
        more = self.split < len(self.arguments) and (self.plan.pending is None or self.plan.pending(call))
        return f"{self.name}({known}{', ' if known and more else ''}"

    def entry(self, call: TracedCall) -> None:
        """Write what is known at the entry into `call.text`; what is known only at the exit is None there."""
        call.text = [None if one.out else one.write(call) for one in self.arguments]

    def texts(self, call: TracedCall) -> list[str]:
        """Write every argument, at the exit; those that the call ignores are empty."""
        if call.text is None:
            return [write(call) for write in self.writes]
        return [one.write(call) if known is None else known for one, known in zip(self.arguments, call.text, strict=True)]

    def joined(self, call: TracedCall) -> str:
        """Write every argument, with commas between them."""
        texts = [write(call) for write in self.writes] if call.text is None else self.texts(call)
        if "" in texts:
            texts = [one for one in texts if one]
        return ", ".join(texts).replace(",  => ", " => ") if self.glued else ", ".join(texts)

    def rest(self, call: TracedCall) -> str:
        """Write the arguments that were not known at the entry, and those after them."""
        rest = ", ".join(one for one in self.texts(call)[self.split :] if one)
        return ", " + rest if self.glued and not rest.startswith(" => ") else rest


def unexplained(call: TracedCall) -> str:
    """Write a result that stands for a failure or for a call that will be made again."""
    if -call.result in text.RESTARTS:
        return f"? {text.RESTARTS[-call.result]}"
    return f"-1 {text.error(-call.result)}"


def failed(call: TracedCall) -> bool:
    """Say whether the kernel returned an errno."""
    return -4096 < call.result < 0
