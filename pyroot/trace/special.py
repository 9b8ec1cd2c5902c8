"""Kinds of arguments that depend on others, and results with a remark.

Decides: how calls are written whose arguments have several meanings: ioctl, fcntl, futex, clone, poll, select, prctl and the like.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyroot.trace import text
from pyroot.trace.decode import BIG, COUNTED, FIXED, Context, Plan, Write, failed, kind, or_address
from pyroot.trace.kinds import creates, device_text, fd_text, mode_text, open_flags
from pyroot.trace.names import named, signal_name
from pyroot.trace.signals import signal_set
from pyroot.trace.structs import time_at, timespec, user_desc
from pyroot.trace.text import pointer, signed

if TYPE_CHECKING:
    from pyroot._fast import TracedCall

Look = Callable[[Context, "TracedCall", int, str], str]
OMITTED = ""  # an argument that the call ignores


def kind_of(name: str) -> Callable[[Look], Look]:
    """Add a kind that needs only the context, the call and its own position."""

    def enter(write: Look) -> Look:
        def make(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
            return lambda call: write(context, call, call.args[at], parameter)

        kind(name)(make)
        return write

    return enter


@kind_of("create")
def _create(context: Context, call: TracedCall, value: int, parameter: str) -> str:
    return mode_text(value & 0o177777) if creates(call.args[int(parameter)]) else OMITTED


@kind_of("mkdev")
def _mkdev(context: Context, call: TracedCall, value: int, parameter: str) -> str:
    mode = call.args[int(parameter)] & 0o170000
    return device_text(value) if mode in (0o20000, 0o60000) else OMITTED


@kind_of("remapped")
def _remapped(context: Context, call: TracedCall, value: int, parameter: str) -> str:
    return pointer(value) if call.args[int(parameter)] & 2 else OMITTED


@kind("mapfd")
def _mapfd(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    if context.fds:
        plan.early = True
    return lambda call: fd_text(context, call.tid, signed(call.args[at]))


@kind("open3")
def _open3(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    return lambda call: open_flags(call.args[at])[9:].lstrip("|") or "0"


@kind_of("ipckey")
def _ipckey(context: Context, call: TracedCall, value: int, parameter: str) -> str:
    return f"{value & 0xFFFFFFFF:#x}" if value & 0xFFFFFFFF else "IPC_PRIVATE"


@kind_of("ipcflags")
def _ipcflags(context: Context, call: TracedCall, value: int, parameter: str) -> str:
    bits = value & 0xFFFFFFFF & ~0o777
    if call.args[1] and not bits and not value & 0o777 and parameter:
        return "0"
    mode = mode_text(value & 0o777)
    return f"{text.flags(bits, named('ipc').pairs, '')}|{mode}" if bits else mode


# -- memory behind arguments --------------------------------------------------------------------------------------------------


@kind("remainder")
def _remainder(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """The time that is left: written if the sleep was interrupted."""

    def write(call: TracedCall) -> str:
        data = time_at(context, call, call.args[at]) if call.result in (-4, -516) and call.args[at] else None
        return timespec(data) if data else pointer(call.args[at])

    return write


@kind("sigframe")
def _sigframe(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """rt_sigreturn: the mask in the frame that the handler leaves; the stack pointer is that of the call."""
    plan.early = True

    def write(call: TracedCall) -> str:
        if not call.compat:
            mask = context.peek(call.tid, call.sp + 296, 8)
        elif parameter:
            # struct sigframe_ia32: the second half of the mask follows the state of the FPU
            mask = (context.peek(call.tid, call.sp + 80, 4) or b"") + (context.peek(call.tid, call.sp + 712, 4) or b"")
        else:
            mask = context.peek(call.tid, call.sp + 248, 8)
        return f"{{mask={signal_set(mask)}}}" if mask else "{mask=[]}"

    return write


@kind("groups")
def _groups(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    def write(call: TracedCall) -> str:
        count = call.result if out else signed(call.args[int(parameter or 0)])
        if out and call.args[0] == 0 or failed(call) and out:
            return pointer(call.args[at])
        data = context.peek(call.tid, call.args[at], 4 * min(count, context.strings)) if count > 0 else b""
        if data is None:
            return pointer(call.args[at])
        parts = [str(number) for number in struct.unpack(f"<{len(data) // 4}I", data)]
        return f"[{', '.join([*parts, '...'] if count > context.strings else parts)}]"

    plan.early = plan.early or not out
    return write


@kind("sembufs")
def _sembufs(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    def words(call: TracedCall, data: bytes) -> str:
        names = ((0o4000, "IPC_NOWAIT"), (0x1000, "SEM_UNDO"))
        parts = []
        for number, change, bits in struct.iter_unpack("<Hhh", data):
            parts.append(f"{{sem_num={number}, sem_op={change}, sem_flg={text.flags(bits & 0xFFFF, names, 'SEM_???')}}}")
        return f"[{', '.join(parts)}]"

    return or_address(at, plan.read(False, COUNTED, at, BIG, int(parameter), 6), words)


@kind("msgbuf")
def _msgbuf(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = plan.early or not out

    def write(call: TracedCall) -> str:
        size = -1 if out and failed(call) else call.args[int(parameter)]
        data = context.peek(call.tid, call.args[at], 8 + min(size, context.strings + 1)) if size >= 0 else None
        if data is None:
            return pointer(call.args[at])
        return f"{{mtype={struct.unpack_from('<q', data)[0]}, mtext={context.cut(data[8:], size)}}}"

    return write


@kind("cpuset")
def _cpuset(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = plan.early or not out

    def fetch(call: TracedCall) -> bytes | None:
        size = call.result if out else call.args[int(parameter)]
        return context.peek(call.tid, call.args[at], min(size, 1024)) if size > 0 else None

    def words(call: TracedCall, data: bytes) -> str:
        bits = int.from_bytes(data, "little")
        return f"[{' '.join(str(cpu) for cpu in range(len(data) * 8) if bits >> cpu & 1)}]"

    return or_address(at, fetch, words)


@kind("random")
def _random(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """What getrandom(2) gives is not text: always in hexadecimal."""

    def fetch(call: TracedCall) -> bytes | None:
        return context.peek(call.tid, call.args[at], min(call.result, context.strings)) if call.result >= 0 else None

    return or_address(at, fetch, lambda call, data: text.hexed(data) + ("..." if call.result > context.strings else ""))


@kind("mincore")
def _mincore(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    def write(call: TracedCall) -> str:
        pages = (call.args[1] + 4095) // 4096
        data = context.peek(call.tid, call.args[at], min(pages, context.strings)) if not failed(call) else None
        if data is None:
            return pointer(call.args[at])
        parts = [str(byte & 1) for byte in data]
        return f"[{', '.join([*parts, '...'] if pages > context.strings else parts)}]"

    return write


@kind("cpunumber")
def _cpunumber(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    return or_address(at, plan.read(True, FIXED, at, 4), lambda call, data: f"[{int.from_bytes(data, 'little')}]")


@kind("iovremote")
def _iovremote(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = True

    def write(call: TracedCall) -> str:
        count = call.args[int(parameter)]
        data = context.peek(call.tid, call.args[at], 16 * min(count, context.strings)) if count else b""
        if data is None:
            return pointer(call.args[at])
        parts = [f"{{iov_base={pointer(base)}, iov_len={length}}}" for base, length in struct.iter_unpack("<QQ", data)]
        return f"[{', '.join(parts)}]"

    return write


@kind("mountdata")
def _mountdata(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = True

    def write(call: TracedCall) -> str:
        data = context.peek_string(call.tid, call.args[at], context.strings + 1) if call.args[at] else None
        return pointer(call.args[at]) if data is None else context.cut(data, len(data))

    return write


# -- capabilities -------------------------------------------------------------------------------------------------------------

_CAPS = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN "
    "NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
    "PERFMON BPF CHECKPOINT_RESTORE"
).split()


def _caps(bits: int) -> str:
    if not bits:
        return "0"
    parts = [f"1<<CAP_{name}" for number, name in enumerate(_CAPS) if bits >> number & 1]
    rest = bits >> len(_CAPS) << len(_CAPS)
    return "|".join(parts + ([f"{rest:#x}"] if rest else []))


@kind("caphead")
def _caphead(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    fetch = plan.read(False, FIXED, at, 8)

    def write(call: TracedCall) -> str:
        data = fetch(call)
        if data is None:
            return pointer(call.args[at])
        version, pid = struct.unpack("<Ii", data)
        names = named("capversion")
        return f"{{version={names.one(version)}, pid={pid}}}"

    return write


@kind("capdata")
def _capdata(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = plan.early or not out

    def write(call: TracedCall) -> str:
        data = context.peek(call.tid, call.args[at], 24) if call.args[at] and not (out and failed(call)) else None
        if data is None:
            return pointer(call.args[at])
        words = struct.unpack("<6I", data)
        names = ("effective", "permitted", "inheritable")
        parts = [f"{name}={_caps(words[i] | words[i + 3] << 32)}" for i, name in enumerate(names)]
        return "{" + ", ".join(parts) + "}"

    return write


# -- clone, futex, prctl ------------------------------------------------------------------------------------------------------


@kind_of("clone_stack")
def _clone_stack(context: Context, call: TracedCall, value: int, parameter: str) -> str:
    return f"child_stack={pointer(value)}"


@kind("clone_flags")
def _clone_flags(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    def write(call: TracedCall) -> str:
        bits, ending = call.args[0] & 0xFFFFFFFF & ~0xFF, call.args[0] & 0xFF
        names = named("clone")
        parts = [names.flags(bits)] if bits else []
        parts += [signal_name(ending)] if ending else []
        return f"flags={'|'.join(parts) or '0'}"

    return write


@kind("clone_rest")
def _clone_rest(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    def write(call: TracedCall) -> str:
        bits, parent, child, tls = call.args[0], call.args[2], call.args[3], call.args[4]
        if call.compat:
            child, tls = tls, child
        parts = []
        if bits & 0x101000:
            told = context.peek(call.tid, parent, 4) if call.over and not failed(call) else None
            value = f"[{int.from_bytes(told, 'little')}]" if told else pointer(parent)
            parts.append(f"{'parent_tid' if bits & 0x100000 else 'pidfd'}={value}")
        if bits & 0x80000:
            data = context.peek(call.tid, tls, 16) if call.compat else None
            parts.append(f"tls={user_desc(data) if data else pointer(tls)}")
        if bits & 0x1200000:
            parts.append(f"child_tidptr={pointer(child)}")
        return ", ".join(parts)

    return write


_FUTEX_TIMED = (0, 6, 9, 11, 13)


@kind("futex")
def _futex(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = True

    def write(call: TracedCall) -> str:
        address, operation, value, fourth, second, third = call.args
        command, bits = operation & 0x7F, operation & 0xFFFFFF80
        name = text.one_of(command, named("futex").by_number, "FUTEX_???")
        name += ("_PRIVATE" if bits & 0x80 else "") + ("|FUTEX_CLOCK_REALTIME" if bits & 0x100 else "")
        parts = [pointer(address), name]
        value &= 0xFFFFFFFF
        timeout = time_at(context, call, fourth) if command in _FUTEX_TIMED and fourth else None
        wait = timespec(timeout) if timeout else pointer(fourth)
        mask = "FUTEX_BITSET_MATCH_ANY" if third & 0xFFFFFFFF == 0xFFFFFFFF else f"{third & 0xFFFFFFFF:#x}"
        if command in (0, 9):
            parts += [str(value), wait] + ([mask] if command == 9 else [])
        elif command == 1:
            parts.append(str(value))
        elif command == 10:
            parts += [str(value), mask]
        elif command in (3, 4, 12):
            parts += [str(value), str(fourth), pointer(second)] + ([str(third & 0xFFFFFFFF)] if command != 3 else [])
        elif command == 5:
            parts += [str(value), str(fourth), pointer(second), f"{third & 0xFFFFFFFF:#x}"]
        elif command in (6, 13):
            parts.append(wait)
        elif command == 11:
            parts += [str(value), wait, pointer(second)]
        return ", ".join(parts)

    return write


_PRCTL_OUT = (2, 16, 25, 37)


@kind("prctl")
def _prctl(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = True

    def write(call: TracedCall) -> str:
        option, second, third, fourth, fifth, _sixth = call.args
        option &= 0xFFFFFFFF
        name = text.one_of(option, named("prctl").by_number, "PR_???")
        if option == 15:
            data = context.peek_string(call.tid, second, 16)
            return f"{name}, {pointer(second) if data is None else context.quote(data[:15])}" + ("..." if data and len(data) > 15 else "")
        if option in (2, 3, 7, 16, 21, 25, 27, 30, 37):
            return name
        if option == 1:
            return f"{name}, {signal_name(second) if second else 0}"
        if option == 4:
            return f"{name}, {text.one_of(second, {0: 'SUID_DUMP_DISABLE', 1: 'SUID_DUMP_USER', 2: 'SUID_DUMP_ROOT'}, 'SUID_DUMP_???')}"
        if option in (23, 24):
            return f"{name}, {'CAP_' + _CAPS[second] if second < len(_CAPS) else hex(second)}"
        if option in (8, 29, 36):
            return f"{name}, {second}"
        if option == 38:
            return f"{name}, {second}, {third or '0'}, {fourth or '0'}, {fifth or '0'}"
        if option == 39:
            return f"{name}, {second}, {third}, {fourth}, {fifth}"
        return f"{name}, {', '.join(f'{value:#x}' if value else '0' for value in (second, third, fourth, fifth))}"

    return write


@kind("prctl_told")
def _prctl_told(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """What prctl(2) gives back through a pointer."""
    plan.pending = lambda call: call.args[0] in _PRCTL_OUT

    def write(call: TracedCall) -> str:
        option, second = call.args[0] & 0xFFFFFFFF, call.args[1]
        if option not in _PRCTL_OUT:
            return OMITTED
        if option == 16:
            data = context.peek_string(call.tid, second, 16) if not failed(call) else None
            return pointer(second) if data is None else context.quote(data)
        data = context.peek(call.tid, second, 4) if not failed(call) else None
        if data is None:
            return pointer(second)
        value = int.from_bytes(data, "little")
        return f"[{signal_name(value) if value else 0}]" if option == 2 else f"[{value}]"

    return write


@kind("arch_arg")
def _arch_arg(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    def write(call: TracedCall) -> str:
        if call.args[0] in (0x1003, 0x1004) and not failed(call):
            data = context.peek(call.tid, call.args[at], 8)
            if data:
                return f"[{int.from_bytes(data, 'little'):#x}]"
        return pointer(call.args[at]) if call.args[0] in (0x1001, 0x1002, 0x1003, 0x1004) or call.args[at] > 9 else f"{call.args[at]:#x}"

    return write


