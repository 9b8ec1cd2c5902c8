"""Kinds of arguments about signals: sets, actions, siginfo.

Decides: how they are written. Facts: signal(7), sigaction(2), asm-generic/siginfo.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyroot.trace import text
from pyroot.trace.decode import FIXED, Context, Plan, Write, kind
from pyroot.trace.names import named, signal_name
from pyroot.trace.structs import fixed, ticks
from pyroot.trace.text import pointer, signed

if TYPE_CHECKING:
    from pyroot._fast import TracedCall


def signal_set(data: bytes) -> str:
    """Write a set of signals: `[INT TERM]`, or `~[KILL]` if more than two thirds are in it."""
    bits = int.from_bytes(data, "little")
    members = [number for number in range(1, len(data) * 8 + 1) if bits >> (number - 1) & 1]
    mark = ""
    if len(members) > len(data) * 8 * 2 // 3:
        mark = "~"
        members = [number for number in range(1, len(data) * 8 + 1) if not bits >> (number - 1) & 1]
    return f"{mark}[{' '.join(signal_name(number).removeprefix('SIG') for number in members)}]"


fixed("sigset", 8)(lambda context, data: signal_set(data))


@fixed("sigaction", 32)
def _sigaction(context: Context, data: bytes) -> str:
    handler, bits, restorer = struct.unpack_from("<QQQ", data)
    return action_text(handler, bits, restorer, data[24:])


def action_text(handler: int, bits: int, restorer: int, mask: bytes) -> str:
    """Write a struct sigaction."""
    names = named("sa_flags")
    name = {0: "SIG_DFL", 1: "SIG_IGN", 2**64 - 1: "SIG_ERR"}.get(handler, f"{handler:#x}")
    tail = f", sa_restorer={restorer:#x}" if bits & 0x04000000 else ""
    return f"{{sa_handler={name}, sa_mask={signal_set(mask)}, sa_flags={names.flags(bits)}{tail}}}"


@fixed("stack", 24)
def _stack(context: Context, data: bytes) -> str:
    return stack_text(*struct.unpack("<Qi4xQ", data))


def stack_text(base: int, bits: int, size: int) -> str:
    """Write a stack_t."""
    names = named("ss_flags")
    flags = names.flags(bits & 0xFFFFFFFF)
    return f"{{ss_sp={pointer(base)}, ss_flags={flags}, ss_size={size}}}"


_CODES = {"SIGCHLD": "si_chld", "SIGSEGV": "si_segv", "SIGILL": "si_ill", "SIGFPE": "si_fpe", "SIGBUS": "si_bus", "SIGTRAP": "si_trap",
          "SIGSYS": "si_sys"}  # fmt: skip


def signal_info(data: bytes) -> str:
    """Write a siginfo_t; the fields depend on the signal and the code."""
    number, error, code = struct.unpack_from("<iii", data)
    name = signal_name(number)
    common = named("si_code")
    own = named(_CODES[name]).by_number if name in _CODES else {}
    code_name = (own.get(code) if code > 0 else None) or common.by_number.get(code & 0xFFFFFFFF)
    parts = [f"si_signo={name}", f"si_code={code_name or f'{code:#x}'}"]
    if error:
        parts.append(f"si_errno={text.error_name(error)}")
    pid, uid, status = struct.unpack_from("<iIi", data, 16)
    if code == -2:  # SI_TIMER
        parts += [f"si_timerid={pid:#x}" if pid else "si_timerid=0", f"si_overrun={signed(uid)}", _value(data, 24)]
    elif code <= 0:
        if number or code in (0, -6):
            parts += [f"si_pid={pid}", f"si_uid={uid}"]
        if code == -1:
            parts.append(_value(data, 24))
    elif name == "SIGCHLD":
        user, system = struct.unpack_from("<qq", data, 32)
        ended = code == 1
        parts += [f"si_pid={pid}", f"si_uid={uid}", f"si_status={status if ended else signal_name(status)}"]
        parts += [f"si_utime={ticks(user)}", f"si_stime={ticks(system)}"]
    elif name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP") and code != 128:
        parts.append(f"si_addr={pointer(struct.unpack_from('<Q', data, 16)[0])}")
    elif name == "SIGSYS":
        address, call, arch = struct.unpack_from("<QiI", data, 16)
        parts += [f"si_call_addr={pointer(address)}", f"si_syscall={_call_name(call, arch)}", f"si_arch={_ARCH.get(arch, hex(arch))}"]
    elif name == "SIGIO":
        band, fd = struct.unpack_from("<qi", data, 16)
        parts += [f"si_band={band}", f"si_fd={fd}"]
    return "{" + ", ".join(parts) + "}"


NARROW_INFO: list[Callable[[bytes], bytes]] = []  # gives a siginfo_t of i386 the 64-bit layout (`narrow`)
_ARCH = {0xC000003E: "AUDIT_ARCH_X86_64", 0x40000003: "AUDIT_ARCH_I386"}


def _call_name(number: int, arch: int) -> str:
    from pyroot.syscalls.numbers_x86_64 import NUMBERS

    return next((f"__NR_{name}" for name, known in NUMBERS.items() if known == number and arch == 0xC000003E), str(number))


def _value(data: bytes, at: int) -> str:
    number, address = struct.unpack_from("<i", data, at)[0], struct.unpack_from("<Q", data, at)[0]
    return f"si_int={number}, si_ptr={pointer(address)}"


@fixed("sigevent", 64)
def _sigevent(context: Context, data: bytes) -> str:
    number, notify = struct.unpack_from("<ii", data, 8)
    return event_text(struct.unpack_from("<i", data)[0], number, notify, struct.unpack_from("<Q", data)[0])


def event_text(integer: int, number: int, notify: int, address: int) -> str:
    """Write a struct sigevent; the first and the last are the two readings of its value."""
    name = {0: "SIGEV_SIGNAL", 1: "SIGEV_NONE", 2: "SIGEV_THREAD", 4: "SIGEV_THREAD_ID"}.get(notify, f"{notify:#x}")
    value = f"sigev_value={{int={integer}, ptr={pointer(address)}}}, " if address else ""
    return f"{{{value}sigev_signo={signal_name(number) if number else 0}, sigev_notify={name}}}"


@kind("siginfo")
def _siginfo(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    fetch = plan.read(out, FIXED, at, 128)

    def write(call: TracedCall) -> str:
        data = fetch(call)
        if data is None or not any(data[:4]):
            return pointer(call.args[at]) if data is None else "{}"
        return signal_info(NARROW_INFO[0](data) if plan.compat else data)

    return write
