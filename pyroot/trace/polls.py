"""Kinds of arguments of poll, select and epoll, and of ioctl and fcntl: the call changes what it is given.

Decides: how they are written, and the remarks after their results.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pyroot.trace import text
from pyroot.trace.decode import COUNTED, FIXED, Argument, Context, Plan, Write, failed, kind, result
from pyroot.trace.kinds import fd_text, mode_text, open_flags
from pyroot.trace.names import named, signal_name
from pyroot.trace.signals import signal_set
from pyroot.trace.special import OMITTED
from pyroot.trace.structs import lock, time_at, timespec, timeval
from pyroot.trace.text import pointer, signed

if TYPE_CHECKING:
    from pyroot._fast import TracedCall

# -- poll -------------------------------------------------------------------------------------------------------------------


def _events(value: int) -> str:
    names = named("poll_events")
    return names.flags(value & 0xFFFF)


@kind("pollfds")
def _pollfds(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    fetch = plan.read(False, COUNTED, at, 8 * (context.strings + 1), 1, 8)

    def write(call: TracedCall) -> str:
        data = fetch(call)
        if data is None:
            return pointer(call.args[at])
        parts = []
        for index, (fd, events, _revents) in enumerate(struct.iter_unpack("<ihh", data)):
            if index == context.strings:
                parts.append("...")
                break
            # the kernel ignores a negative one
            parts.append(f"{{fd={fd}}}" if fd < 0 else f"{{fd={fd_text(context, call.tid, fd)}, events={_events(events)}}}")
        return f"[{', '.join(parts)}]"

    return write


@result("pollfds")
def _pollfds_result(context: Context, plan: Plan, arguments: list[Argument]) -> Write:
    def write(call: TracedCall) -> str:
        if call.result == 0:
            return "0 (Timeout)"
        data = context.peek(call.tid, call.args[0], 8 * min(call.args[1], 4096))
        parts = []
        for fd, _events_in, revents in struct.iter_unpack("<ihh", data or b""):
            if revents and fd >= 0:
                parts.append(f"{{fd={fd}, revents={_events(revents)}}}")
        if len(parts) > context.strings:
            parts[context.strings :] = ["..."]
        left = _left(context, call, 2) if arguments and len(arguments) > 3 else ""
        return f"{call.result} ([{', '.join(parts)}]{left})"

    return write


def _left(context: Context, call: TracedCall, at: int) -> str:
    """What is left of the time limit, which ppoll(2) and pselect6(2) write back."""
    data = time_at(context, call, call.args[at]) if call.args[at] else None
    return f", left {timespec(data)}" if data else ""


# -- select -------------------------------------------------------------------------------------------------------------------


def _members(data: bytes | None, count: int) -> list[int]:
    bits = int.from_bytes(data or b"", "little")
    return [fd for fd in range(count) if bits >> fd & 1]


def _set_size(count: int) -> int:
    return (max(0, min(count, 4096)) + 63) // 64 * 8


@kind("fdset")
def _fdset(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = True

    def write(call: TracedCall) -> str:
        count = signed(call.args[0])
        data = context.peek(call.tid, call.args[at], _set_size(count)) if call.args[at] and count > 0 else None
        if not call.args[at] or (data is None and count > 0):
            return pointer(call.args[at])
        return f"[{' '.join(fd_text(context, call.tid, fd) for fd in _members(data, count))}]"

    return write


@kind("sigsetarg")
def _sigsetarg(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = True

    def write(call: TracedCall) -> str:
        form = "<II" if call.compat else "<QQ"
        data = context.peek(call.tid, call.args[at], struct.calcsize(form)) if call.args[at] else None
        if data is None:
            return pointer(call.args[at])
        where, size = struct.unpack(form, data)
        mask = context.peek(call.tid, where, min(size, 8)) if where else None
        return f"{{sigmask={signal_set(mask) if mask else pointer(where)}, sigsetsize={size}}}"

    return write


@result("select")
def _select_result(context: Context, plan: Plan, arguments: list[Argument]) -> Write:
    def write(call: TracedCall) -> str:
        if call.result == 0:
            return "0 (Timeout)"
        count = signed(call.args[0])
        parts = []
        for at, name in ((1, "in"), (2, "out"), (3, "except")):
            data = context.peek(call.tid, call.args[at], _set_size(count)) if call.args[at] else None
            members = _members(data, count)
            if members:
                parts.append(f"{name} [{' '.join(fd_text(context, call.tid, fd) for fd in members)}]")
        if call.args[4]:
            data = time_at(context, call, call.args[4])
            if data:
                timed = timespec(data) if len(arguments) > 5 else timeval(data)
                parts.append(f"left {timed}")
        return f"{call.result} ({', '.join(parts)})"

    return write


# -- epoll --------------------------------------------------------------------------------------------------------------------


def _epoll(data: bytes, at: int = 0) -> str:
    events, low, whole = struct.unpack_from("<IIxxxx", data, at)[0:2] + struct.unpack_from("<Q", data, at + 4)
    names = named("epoll_events")
    return f"{{events={names.flags(events)}, data={{u32={low}, u64={whole}}}}}"


@kind("epoll_event")
def _epoll_event(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    fetch = plan.read(False, FIXED, at, 12)

    def write(call: TracedCall) -> str:
        data = fetch(call)
        return pointer(call.args[at]) if data is None or call.args[1] == 2 else _epoll(data)

    return write


@kind("epoll_events")
def _epoll_events(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    def write(call: TracedCall) -> str:
        count = call.result
        data = context.peek(call.tid, call.args[at], 12 * min(count, context.strings)) if count > 0 else b""
        if failed(call) or data is None:
            return pointer(call.args[at])
        parts = [_epoll(data, place) for place in range(0, len(data), 12)]
        return f"[{', '.join([*parts, '...'] if count > context.strings else parts)}]"

    return write


# -- fcntl --------------------------------------------------------------------------------------------------------------------

_FINDS_LOCK = (5, 12, 36)  # F_GETLK, that of i386 with 64-bit offsets, F_OFD_GETLK


@kind("fcntl_arg")
def _fcntl_arg(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = True

    def write(call: TracedCall) -> str:
        command, value = call.args[1] & 0xFFFFFFFF, call.args[at]
        if command in (1, 3, 9, 11, 1025, 1032, 1034):
            return OMITTED
        if command == 2:
            return text.flags(value & 0xFFFFFFFF, named("fd_flags").pairs, "")
        if command == 4:
            return open_flags(value & 0xFFFFFFFF)
        if command in (0, 8, 1030, 1031):
            return str(signed(value))
        if command == 10:
            return signal_name(value) if value else "0"
        if command == 1033:
            return named("seals").flags(value & 0xFFFFFFFF)
        if command == 1024:
            return text.one_of(value, named("lock").by_number, "F_???")
        if command in _FINDS_LOCK:
            return OMITTED
        if command in (6, 7, 13, 14, 37, 38):
            return lock(context, call, value, False)
        return f"{value:#x}"

    return write


@kind("fcntl_told")
def _fcntl_told(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """The lock that F_GETLK found."""
    plan.pending = lambda call: call.args[1] in _FINDS_LOCK

    def write(call: TracedCall) -> str:
        if call.args[1] not in _FINDS_LOCK:
            return OMITTED
        return pointer(call.args[at]) if failed(call) else lock(context, call, call.args[at], True)

    return write


@result("fcntl")
def _fcntl_result(context: Context, plan: Plan, arguments: list[Argument]) -> Write:
    def write(call: TracedCall) -> str:
        command, value = call.args[1], call.result
        if command in (0, 1030):
            return fd_text(context, call.tid, value)
        if command == 1:
            return f"{value:#x} (flags {text.flags(value, named('fd_flags').pairs, '')})" if value else "0"
        if command == 3:
            return f"{value:#x} (flags {open_flags(value)})" if value else "0 (flags O_RDONLY)"
        if command == 1034:
            return f"{value:#x} (seals {text.flags(value, named('seals').pairs, '')})" if value else "0"
        if command == 1025:
            return f"{value:#x} ({text.one_of(value, named('lock').by_number, 'F_???')})" if value else "0 (F_RDLCK)"
        if command == 11:
            return f"{value} ({signal_name(value)})" if value else "0"
        return str(value)

    return write


# -- ioctl --------------------------------------------------------------------------------------------------------------------

_IOCTL_OUT = (0x5401, 0x5413, 0x540F, 0x541B, 0x5411, 0x80045430, 0x5429)
_DIRECTIONS = {0: "_IOC_NONE", 1: "_IOC_WRITE", 2: "_IOC_READ", 3: "_IOC_READ|_IOC_WRITE"}


@kind("ioctl")
def _ioctl(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    known = named("ioctl").by_number

    def write(call: TracedCall) -> str:
        value = call.args[at] & 0xFFFFFFFF
        if value in known:
            return known[value]
        return f"_IOC({_DIRECTIONS[value >> 30]}, {value >> 8 & 0xFF:#x}, {value & 0xFF:#x}, {value >> 16 & 0x3FFF:#x})"

    return write


_SPEEDS = {13: "B9600", 14: "B19200", 15: "B38400", 0o10001: "B57600", 0o10002: "B115200", 0: "B0"}


def _termios(data: bytes) -> str:
    into, out_of, control, local = struct.unpack_from("<IIII", data)
    parts = [_SPEEDS.get(control & 0o10017, f"{control & 0o10017:#x}")]
    for word, mark, value in ((out_of, 1, "opost"), (local, 1, "isig"), (local, 2, "icanon"), (local, 8, "echo")):
        parts.append(("" if word & mark else "-") + value)
    return "{" + " ".join(parts) + " ...}"


@kind("ioctl_arg")
def _ioctl_arg(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = True

    def write(call: TracedCall) -> str:
        command, value = call.args[1] & 0xFFFFFFFF, call.args[at]
        if command in _IOCTL_OUT or command in (0x5450, 0x5451, 0x5422):
            return OMITTED
        if command in (0x5402, 0x5403, 0x5404):
            data = context.peek(call.tid, value, 36)
            return _termios(data) if data else pointer(value)
        if command in (0x5421, 0x5452, 0x5410, 0x40045431):
            data = context.peek(call.tid, value, 4)
            return f"[{struct.unpack('<i', data)[0]}]" if data else pointer(value)
        if command == 0x5414:
            return _winsize(context, call, value)
        return f"{value:#x}" if value else "0"

    return write


def _winsize(context: Context, call: TracedCall, address: int) -> str:
    data = context.peek(call.tid, address, 8)
    if data is None:
        return pointer(address)
    return "{{ws_row={}, ws_col={}, ws_xpixel={}, ws_ypixel={}}}".format(*struct.unpack("<HHHH", data))


@kind("ioctl_told")
def _ioctl_told(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """What an ioctl gives back through its pointer."""
    plan.pending = lambda call: call.args[1] & 0xFFFFFFFF in _IOCTL_OUT

    def write(call: TracedCall) -> str:
        command, value = call.args[1] & 0xFFFFFFFF, call.args[at]
        if command not in _IOCTL_OUT:
            return OMITTED
        if failed(call):
            return pointer(value)
        if command == 0x5413:
            return _winsize(context, call, value)
        data = context.peek(call.tid, value, 36 if command == 0x5401 else 4)
        if data is None:
            return pointer(value)
        return _termios(data) if command == 0x5401 else f"[{struct.unpack('<i', data)[0]}]"

    return write


__all__ = ["mode_text"]
