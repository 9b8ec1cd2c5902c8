"""Structures as 32-bit programs have them: other layouts of the kinds in `structs` and `signals`, and kinds of calls that only i386 has.

Decides: which of their fields are written. A kind that is not here is written as an address for a call with a number of i386. Facts:
arch/x86/include/uapi/asm (stat.h, signal.h), linux/compat.h, asm-generic/compat.h.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pyroot.trace import signals, structs
from pyroot.trace.decode import FIXED, NARROW, Argument, Context, Plan, Write, kind, result
from pyroot.trace.names import named
from pyroot.trace.structs import fixed, stat_text, user_desc
from pyroot.trace.text import signed

if TYPE_CHECKING:
    from pyroot._fast import TracedCall

#: The same layout for both: fields of fixed size, the 64-bit times of the newer calls.
for _name in (
    "timezone sigset statx open_how pair offset intp sched_param utsname timespec64 itimerspec64 file_times64 rlimit64 statfs64 stat64 "
    "long32 user_desc oldstat"
).split():
    NARROW[_name] = None


def narrow(name: str, size: int, layout: structs.Layout) -> None:
    """Enter the 32-bit form of a structure."""
    NARROW[name] = (size, layout)


def _wide(form: str, data: bytes) -> bytes:
    """Give integers in 64 bits, for a layout that is otherwise the same."""
    values = struct.unpack_from("<" + form, data)
    return struct.pack(f"<{len(values)}q", *values)


def _widened(name: str, form: str, layout: structs.Layout) -> None:
    narrow(name, struct.calcsize("<" + form), lambda context, data: layout(context, _wide(form, data)))


# -- times --------------------------------------------------------------------------------------------------------------

for _name, _form in (
    ("timespec", "ii"), ("timeval", "ii"), ("itimerval", "4i"), ("itimerspec", "4i"), ("file_times", "4i"), ("file_timevals", "4i"),
    ("utimbuf", "ii"), ("time", "i"), ("tms", "4i"),
):  # fmt: skip
    _widened(_name, _form, structs.LAYOUTS[_name])
for _name in ("timespec", "itimerspec", "file_times"):
    fixed(_name + "64", structs.SIZES[_name])(structs.LAYOUTS[_name])


# -- files --------------------------------------------------------------------------------------------------------------


@fixed("stat64", 96)
def _stat64(context: Context, data: bytes) -> str:
    mode, rdev, size = struct.unpack_from("<16xI12xQ4xq", data)
    return stat_text(mode, rdev, size)


def _stat(context: Context, data: bytes) -> str:
    mode, rdev, size = struct.unpack_from("<8xH6xII", data)
    return stat_text(mode, rdev, size)


narrow("stat", 64, _stat)


@fixed("oldstat", 32)
def _oldstat(context: Context, data: bytes) -> str:
    mode, rdev, size = struct.unpack_from("<4xH6xH2xI", data)
    return stat_text(mode, rdev, size)



@fixed("statfs64", 84)
def _statfs64(context: Context, data: bytes) -> str:
    kind_of, block, *sizes = struct.unpack_from("<II5Q", data)
    rest = struct.unpack_from("<5I", data, 48)
    return structs.statfs_text(kind_of, block, sizes, rest[:2], rest[2:])


def _statfs(context: Context, data: bytes) -> str:
    kind_of, block, *values = struct.unpack_from("<12I", data)
    return structs.statfs_text(kind_of, block, values[:5], tuple(values[5:7]), tuple(values[7:10]))


narrow("statfs", 64, _statfs)
narrow("longhex", 4, lambda context, data: f"[{struct.unpack('<I', data)[0]:#x}]")
fixed("long32", 4)(lambda context, data: f"[{struct.unpack('<i', data)[0]}]")


def _limits(context: Context, data: bytes) -> str:
    soft, hard = (structs.limit_text(value, True) for value in struct.unpack("<II", data))
    return f"{{rlim_cur={soft}, rlim_max={hard}}}"


narrow("rlimit", 8, _limits)


# -- processes and signals ----------------------------------------------------------------------------------------------

narrow("sysinfo", 64, lambda context, data: structs.sysinfo_text(struct.unpack_from("<i3I6IHxxIII", data)))


def _sigaction(context: Context, data: bytes) -> str:
    handler, bits, restorer = struct.unpack_from("<III", data)
    return signals.action_text(handler if handler < 2**32 - 1 else 2**64 - 1, bits, restorer, data[12:])


narrow("sigaction", 20, _sigaction)
narrow("stack", 12, lambda context, data: signals.stack_text(*struct.unpack("<IiI", data)))
narrow("used", 72, lambda context, data: f"{{ru_utime={_timeval(data)}, ru_stime={_timeval(data[8:])}, ...}}")


def _timeval(data: bytes) -> str:
    return structs.timeval(_wide("ii", data))


def _sigevent(context: Context, data: bytes) -> str:
    integer, number, notify = struct.unpack_from("<iii", data)
    return signals.event_text(integer, number, notify, integer & 0xFFFFFFFF)


narrow("sigevent", 64, _sigevent)


def siginfo(data: bytes) -> bytes:
    """Give a 32-bit siginfo_t the layout of the 64-bit one."""
    number, error, code = struct.unpack_from("<iii", data)
    first, second, third, fourth, fifth = struct.unpack_from("<iIiii", data, 12)
    wide = bytearray(128)
    struct.pack_into("<iii4x", wide, 0, number, error, code)
    if number == 17 and code > 0:
        struct.pack_into("<iIi4xqq", wide, 16, first, second, third, fourth, fifth)
    elif number in (4, 5, 7, 8, 11) and code > 0:
        struct.pack_into("<Q", wide, 16, first & 0xFFFFFFFF)
    else:
        struct.pack_into("<iIQ", wide, 16, first, second, third & 0xFFFFFFFF)
    return bytes(wide)


signals.NARROW_INFO.append(siginfo)


# -- what only i386 has ---------------------------------------------------------------------------------------------------

fixed("user_desc", 16)(lambda context, data: user_desc(data))


@result("entry_number")
def _entry_number(context: Context, plan: Plan, arguments: list[Argument]) -> Write:
    """What set_thread_area(2) has chosen."""
    fetch = plan.read(True, FIXED, 0, 4)

    def write(call: TracedCall) -> str:
        data = fetch(call)
        return f"{call.result} (entry_number={int.from_bytes(data, 'little')})" if data else str(call.result)

    return write


@kind("fcntl64")
def _fcntl64(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """The command of fcntl64(2), which has three of its own."""
    own, names = {12: "F_GETLK64", 13: "F_SETLK64", 14: "F_SETLKW64"}, named("fcntl")
    return lambda call: own.get(call.args[at]) or names.one(call.args[at] & 0xFFFFFFFF)


@kind("pair64")
def _pair64(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """A number in two registers, the lower half first."""
    return lambda call: str(signed(call.args[at] & 0xFFFFFFFF | call.args[at + 1] << 32, 64))


@kind("llseek")
def _llseek(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """The offset of _llseek(2): the upper half comes first."""
    return lambda call: str(signed(call.args[at] << 32 | call.args[at + 1] & 0xFFFFFFFF, 64))


@kind("pages")
def _pages(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """The offset of mmap2(2)."""
    return lambda call: f"{call.args[at] << 12:#x}" if call.args[at] else "0"
