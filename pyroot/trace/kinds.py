"""Kinds of arguments that are one value or one piece of memory: numbers, flags, descriptors, strings, buffers.

Decides: how each is written. Structures are in `structs`, addresses of sockets in `sockets`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyroot.trace import text
from pyroot.trace.decode import COUNTED, PATH_MAX, RESULT, STRING, Argument, Context, Plan, Write, failed, kind, result
from pyroot.trace.names import named, signal_name
from pyroot.trace.text import pointer, signed

if TYPE_CHECKING:
    from pyroot._fast import TracedCall

AT_FDCWD = -100
_FDCWD = AT_FDCWD & 0xFFFFFFFF


def simple(name: str, write: Callable[[int], str]) -> None:
    """Add a kind that needs only the value."""

    def make(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
        return lambda call: write(call.args[at])

    kind(name)(make)


simple("int", lambda value: str((value & 0x7FFFFFFF) - (value & 0x80000000)))
simple("uint", lambda value: str(value & 0xFFFFFFFF))
simple("long", lambda value: str(signed(value, 64)))
simple("ulong", str)
simple("hex", lambda value: f"{value:#x}" if value else "0")
simple("hexint", lambda value: f"{value & 0xFFFFFFFF:#x}" if value & 0xFFFFFFFF else "0")
simple("ptr", pointer)
simple("mode", lambda value: mode_text(value & 0xFFFF))
simple("id", lambda value: str(signed(value)) if value & 0xFFFFFFFF == 0xFFFFFFFF else str(value & 0xFFFFFFFF))
simple("signal", lambda value: signal_name(signed(value)) if signed(value) else "0")
simple("dev", lambda value: f"makedev({_major(value):#x}, {_minor(value):#x})")


def _major(device: int) -> int:
    return (device >> 8 & 0xFFF) | (device >> 32 & 0xFFFFF000)


def _minor(device: int) -> int:
    return (device & 0xFF) | (device >> 12 & 0xFFFFFF00)


def device_text(device: int) -> str:
    """Write a device number."""
    return f"makedev({_major(device):#x}, {_minor(device):#x})"


def mode_text(mode: int) -> str:
    """Write permission bits in octal, as `0`, `07`, `0644`."""
    return f"0{mode:o}".rjust(3, "0") if mode else "000"


_TYPES = {
    0o140000: "S_IFSOCK", 0o120000: "S_IFLNK", 0o100000: "S_IFREG", 0o60000: "S_IFBLK", 0o40000: "S_IFDIR", 0o20000: "S_IFCHR",
    0o10000: "S_IFIFO",
}  # fmt: skip
_BITS = ((0o4000, "S_ISUID"), (0o2000, "S_ISGID"), (0o1000, "S_ISVTX"))


@functools.lru_cache(1024)
def file_mode(mode: int) -> str:
    """Write st_mode: type, special bits, permissions."""
    parts = [_TYPES[mode & 0o170000]] if mode & 0o170000 in _TYPES else []
    parts += [name for bit, name in _BITS if mode & bit]
    if not parts and not mode & 0o777:
        return "000"
    return "|".join([*parts, mode_text(mode & 0o777)])


@kind("file_mode")
def _file_mode(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    return lambda call: file_mode(call.args[at] & 0xFFFF)


@kind("flags")
def _flags(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    words = named(parameter).flags
    return lambda call: words(call.args[at] & 0xFFFFFFFF)


@kind("flags64")
def _flags64(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """Flags of 64 bits: two registers of i386, the lower half first."""
    words = named(parameter).flags
    if plan.compat:
        return lambda call: words(call.args[at] & 0xFFFFFFFF | call.args[at + 1] << 32)
    return lambda call: words(call.args[at])


@kind("enum")
def _enum(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    names = named(parameter)
    return lambda call: names.one(call.args[at] & 0xFFFFFFFF)


def open_flags(value: int) -> str:
    """Write the flags of open(2): the access mode comes first."""
    names = named("open")
    first = named("accmode").by_number[value & 3]
    rest = value & ~3
    return f"{first}|{text.flags(rest, names.pairs, '')}" if rest else first


@kind("open")
def _open(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    known: dict[int, str] = {}

    def write(call: TracedCall) -> str:
        value = call.args[at] & 0xFFFFFFFF
        found = known.get(value)
        if found is None:
            found = known[value] = open_flags(value)
        return found

    return write


def creates(flags: int) -> bool:
    """Say whether open(2) looks at its mode."""
    return bool(flags & 0o100) or flags & 0o20200000 == 0o20200000


@kind("map")
def _map(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    names, types = named("map"), named("map_type")
    known: dict[int, str] = {}

    def write(call: TracedCall) -> str:
        value = call.args[at] & 0xFFFFFFFF
        if value not in known:
            first = text.one_of(value & 15, types.by_number, "MAP_???")
            known[value] = f"{first}|{text.flags(value & ~15, names.pairs, '')}" if value & ~15 else first
        return known[value]

    return write


# -- descriptors --------------------------------------------------------------------------------------------------------------


def fd_text(context: Context, tid: int, fd: int) -> str:
    """Write a descriptor, with what it refers to if -y is given."""
    if fd < 0 or context.places is None or not context.fds:
        return str(fd)
    place = context.places.of_fd(tid, fd, context.fds)
    return f"{fd}{place}"


@kind("fd")
def _fd(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    if not context.fds:
        return lambda call: str((call.args[at] & 0x7FFFFFFF) - (call.args[at] & 0x80000000))
    plan.early = plan.early or not out
    return lambda call: fd_text(context, call.tid, signed(call.args[at]))


@kind("dirfd")
def _dirfd(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """The directory that a path is relative to (`parameter`: what -1 is called)."""
    if context.fds:
        plan.early = True

    def write(call: TracedCall) -> str:
        if call.args[at] & 0xFFFFFFFF == _FDCWD and not context.fds:
            return "AT_FDCWD"
        fd = signed(call.args[at])
        if fd == -1 and parameter:
            return parameter
        if fd != AT_FDCWD:
            return fd_text(context, call.tid, fd)
        place = context.places.cwd(call.tid) if context.fds and context.places else ""
        return f"AT_FDCWD{place}"

    return write


# -- strings --------------------------------------------------------------------------------------------------------------


def path_text(context: Context, data: bytes | None, address: int) -> str:
    """Write a path, whole."""
    if data is None:
        return pointer(address)
    if len(data) >= PATH_MAX:
        return context.quote(data[: PATH_MAX - 1]) + "..."
    return context.quote(data)


@kind("path")
def _path(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    fetch = plan.read(out, STRING, at, PATH_MAX)
    if not context.host_paths:

        def plainly(call: TracedCall) -> str:
            data = fetch(call)
            if data is None or len(data) >= PATH_MAX or context.hexed:
                return path_text(context, data, call.args[at])
            return text.quoted(data)

        return plainly
    plan.early = True

    def write(call: TracedCall) -> str:
        data = fetch(call)
        if data is not None and context.places is not None:
            data = context.places.host(call.tid, data, signed(call.args[int(parameter)]) if parameter else AT_FDCWD)
        return path_text(context, data, call.args[at])

    return write


@kind("str")
def _str(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    fetch = plan.read(out, STRING, at, context.strings + 1)

    def write(call: TracedCall) -> str:
        data = fetch(call)
        return pointer(call.args[at]) if data is None else context.cut(data, len(data))

    return write


@kind("buf")
def _buf(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """A buffer whose length is an argument (at the entry) or the result (at the exit; `parameter`: its size, which may be 0)."""
    fetch = plan.read(out, RESULT if out else COUNTED, at, context.strings + 1, 0 if out else int(parameter))

    def write(call: TracedCall) -> str:
        data = fetch(call)
        if data is None or (out and parameter and not call.args[int(parameter)]):
            return pointer(call.args[at])
        return context.cut(data, call.result if out else call.args[int(parameter)])

    return write


@kind("link")
def _link(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """What readlink(2) gives: a path without a NUL at the end, whole."""
    fetch = plan.read(True, RESULT, at, PATH_MAX)

    def write(call: TracedCall) -> str:
        data = fetch(call)
        return pointer(call.args[at]) if data is None else context.cut(data, len(data))

    return write


@kind("cwd")
def _cwd(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """What getcwd(2) gives."""
    fetch = plan.read(True, STRING, at, PATH_MAX)
    return lambda call: path_text(context, fetch(call), call.args[at])


def vector(context: Context, call: TracedCall, address: int) -> str:
    """Write argv: the strings of a list of addresses, as many as -s."""
    parts: list[str] = []
    size = 4 if call.compat else 8
    while len(parts) <= context.strings:
        data = context.peek(call.tid, address + size * len(parts), size)
        if data is None:
            return pointer(address) if not parts else f"[{', '.join(parts)}, ... /* {address + size * len(parts):#x} */]"
        where = int.from_bytes(data, "little")
        if where == 0:
            return f"[{', '.join(parts)}]"
        if len(parts) == context.strings:
            parts.append("...")
            break
        string = context.peek_string(call.tid, where, context.strings + 1)
        parts.append(pointer(where) if string is None else context.cut(string, len(string)))
    return f"[{', '.join(parts)}]"


@kind("argv")
def _argv(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = True
    return lambda call: vector(context, call, call.args[at]) if call.args[at] else "NULL"


@kind("envp")
def _envp(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = True

    def write(call: TracedCall) -> str:
        address, size = call.args[at], 4 if call.compat else 8
        if not address:
            return "NULL"
        count = 0
        while True:
            data = context.peek(call.tid, address + size * count, size)
            if data is None or not any(data):
                break
            count += 1
        return f"{address:#x} /* {count} var{'s' * (count != 1)}{' (unterminated)' if data is None else ''} */"

    return write


@kind("program")
def _program(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """The path of an execve; the first one of a session is the supervisor's own and is written as the program that it stands for."""
    fetch = plan.read(out, STRING, at, PATH_MAX)

    def write(call: TracedCall) -> str:
        data = fetch(call)
        if not context.started:
            context.started = True
            data = context.program or data
        return path_text(context, data, call.args[at])

    return write


@kind("interrupted")
def _interrupted(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    return lambda call: f"<... resuming interrupted {context.interrupted.get(call.tid, 'system call')} ...>"


def clock_time(seconds: int) -> str:
    """Write a time as a date, in the time zone of the host."""
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


# -- results --------------------------------------------------------------------------------------------------------------


def _entered(name: str, write: Write) -> None:
    def make(context: Context, plan: Plan, arguments: list[Argument]) -> Write:
        return write

    result(name)(make)


_entered("int", lambda call: str(call.result))
_entered("hex", lambda call: f"{call.result & 0xFFFFFFFFFFFFFFFF:#x}" if call.result else "NULL")
_entered("hexzero", lambda call: f"{call.result & 0xFFFFFFFFFFFFFFFF:#x}" if call.result else "0")
_entered("oct", lambda call: mode_text(call.result))
_entered("exit", lambda call: "?")
_entered("long", lambda call: str(call.result))
_entered("time", lambda call: f"{call.result} ({clock_time(call.result)})")
_entered("sched", lambda call: f"{call.result} ({text.one_of(call.result & 0x3FFFFFFF, named('sched').by_number, 'SCHED_???')})")


@result("fd")
def _fd_result(context: Context, plan: Plan, arguments: list[Argument]) -> Write:
    if not context.fds:
        return lambda call: str(call.result)
    return lambda call: fd_text(context, call.tid, call.result)


@result("personality")
def _personality(context: Context, plan: Plan, arguments: list[Argument]) -> Write:
    def write(call: TracedCall) -> str:
        low = text.one_of(call.result & 0xFF, named("personality").by_number, "PER_???")
        high = call.result & ~0xFF
        more = "|" + text.flags(high, named("personality_bits").pairs, "") if high else ""
        return f"{f'{call.result:#x}' if call.result else 0} ({low}{more})"

    return write


@result("membarrier")
def _membarrier(context: Context, plan: Plan, arguments: list[Argument]) -> Write:
    names = named("membarrier")

    def write(call: TracedCall) -> str:
        if call.result and not call.args[0]:
            return f"{call.result:#x} ({text.flags(call.result, names.pairs, '')})"
        return str(call.result)

    return write


@result("prctl")
def _prctl(context: Context, plan: Plan, arguments: list[Argument]) -> Write:
    dumpable = {0: "SUID_DUMP_DISABLE", 1: "SUID_DUMP_USER", 2: "SUID_DUMP_ROOT"}
    return lambda call: f"{call.result} ({dumpable[call.result]})" if call.args[0] == 3 and call.result in dumpable else str(call.result)


@kind("statx_at")
def _statx_at(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    names, sync = named("statx_at"), named("statx_sync")

    def write(call: TracedCall) -> str:
        value = call.args[at] & 0xFFFFFFFF
        first, rest = text.one_of(value & 0x6000, sync.by_number, "AT_STATX_???"), value & ~0x6000
        return f"{first}|{text.flags(rest, names.pairs, '')}" if rest else first

    return write


@kind("personality")
def _personality_argument(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    def write(call: TracedCall) -> str:
        value = call.args[at] & 0xFFFFFFFF
        if value == 0xFFFFFFFF:
            return "0xffffffff"
        low = text.one_of(value & 0xFF, named("personality").by_number, "PER_???")
        return f"{low}|{text.flags(value & ~0xFF, named('personality_bits').pairs, '')}" if value & ~0xFF else low

    return write


__all__ = ["failed", "fd_text", "file_mode", "open_flags", "path_text", "vector"]
