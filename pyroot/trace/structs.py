"""Kinds of arguments that are structures of the kernel.

Decides: which fields are written and how, for the layouts of x86_64; those of i386 are in `narrow`. Facts: linux/*.h, the manual
pages of section 2.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pyroot.trace import text
from pyroot.trace.decode import BIG, COUNTED, FIXED, NARROW, RESULT, Context, Plan, Write, failed, kind, or_address
from pyroot.trace.kinds import device_text, fd_text, file_mode, open_flags
from pyroot.trace.names import named, signal_name
from pyroot.trace.text import pointer

if TYPE_CHECKING:
    from pyroot._fast import TracedCall

def _never(call: TracedCall) -> bool:
    """Say that this argument is written without a comma before it."""
    return False


Layout = Callable[[Context, bytes], str]
LAYOUTS: dict[str, Layout] = {}
SIZES: dict[str, int] = {}


def fixed(name: str, size: int) -> Callable[[Layout], Layout]:
    """Add a structure of `size` bytes."""

    def enter(layout: Layout) -> Layout:
        def make(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
            if plan.compat and name not in NARROW:
                return lambda call: pointer(call.args[at])
            here, shown = (NARROW[name] if plan.compat else None) or (size, layout)
            fetch = plan.read(out, FIXED, at, here)

            def write(call: TracedCall) -> str:
                data = fetch(call)
                return pointer(call.args[at]) if data is None else shown(context, data)

            return write

        kind(name)(make)
        LAYOUTS[name], SIZES[name] = layout, size
        return layout

    return enter


def fields(names: str, form: str) -> Layout:
    """Make a layout of plain numbers, all written."""
    words, packed = names.split(), struct.Struct("<" + form)
    model = "{" + ", ".join(word + "=%s" for word in words) + "}"
    return lambda context, data: model % packed.unpack_from(data)


# -- time -----------------------------------------------------------------------------------------------------------------

_PAIR = struct.Struct("<qQ")


def timespec(data: bytes, at: int = 0) -> str:
    """Write a struct timespec."""
    seconds, nanoseconds = _PAIR.unpack_from(data, at)
    if nanoseconds == 0x3FFFFFFF:
        return "UTIME_NOW"
    if nanoseconds == 0x3FFFFFFE:
        return "UTIME_OMIT"
    return f"{{tv_sec={seconds}, tv_nsec={nanoseconds}}}"


_TIME64 = 403  # the first call that gives 32-bit programs 64-bit times


def time_at(context: Context, call: TracedCall, address: int) -> bytes | None:
    """Read a pair of seconds and their fraction, in the width of the call; give it in 64 bits."""
    if not call.compat or call.nr >= _TIME64:
        return context.peek(call.tid, address, 16)
    data = context.peek(call.tid, address, 8)
    return _PAIR.pack(*struct.unpack("<iI", data)) if data else None


def timeval(data: bytes, at: int = 0) -> str:
    """Write a struct timeval."""
    seconds, microseconds = _PAIR.unpack_from(data, at)
    return f"{{tv_sec={seconds}, tv_usec={microseconds}}}"


def date(seconds: int, fraction: int, digits: int) -> str:
    """Write the remark after a time of a file."""
    try:
        local = time.localtime(seconds)
    except (OverflowError, ValueError, OSError):
        return ""
    part = f".{fraction:0{digits}d}" if fraction else ""
    return f" /* {time.strftime('%Y-%m-%dT%H:%M:%S', local)}{part}{time.strftime('%z', local)} */"


fixed("timespec", 16)(lambda context, data: timespec(data))
fixed("timeval", 16)(lambda context, data: timeval(data))
fixed("timezone", 8)(fields("tz_minuteswest tz_dsttime", "ii"))
fixed("itimerval", 32)(lambda context, data: f"{{it_interval={timeval(data)}, it_value={timeval(data, 16)}}}")
fixed("itimerspec", 32)(lambda context, data: f"{{it_interval={timespec(data)}, it_value={timespec(data, 16)}}}")


@fixed("time", 8)
def _time(context: Context, data: bytes) -> str:
    seconds = struct.unpack("<q", data)[0]
    return f"[{seconds}{date(seconds, 0, 0)}]"


@fixed("file_times", 32)
def _file_times(context: Context, data: bytes) -> str:
    return f"[{', '.join(_dated(data, at, timespec, 9) for at in (0, 16))}]"


@fixed("file_timevals", 32)
def _file_timevals(context: Context, data: bytes) -> str:
    return f"[{', '.join(_dated(data, at, timeval, 6) for at in (0, 16))}]"


def _dated(data: bytes, at: int, write: Callable[[bytes, int], str], digits: int) -> str:
    words = write(data, at)
    seconds, fraction = _PAIR.unpack_from(data, at)
    return words + date(seconds, fraction, digits) if words.startswith("{") and 0 <= fraction < 10**digits else words


@fixed("utimbuf", 16)
def _utimbuf(context: Context, data: bytes) -> str:
    access, change = _PAIR.unpack(data)
    return f"{{actime={access}{date(access, 0, 0)}, modtime={change}{date(change, 0, 0)}}}"


# -- files ----------------------------------------------------------------------------------------------------------------

_STAT = struct.Struct("<24xI12xQq")  # st_mode, st_rdev, st_size


@fixed("stat", 144)
def _stat(context: Context, data: bytes) -> str:
    return stat_text(*_STAT.unpack_from(data))


def stat_text(mode: int, rdev: int, size: int) -> str:
    """Write what is shown of a struct stat."""
    if mode & 0o170000 in (0o20000, 0o60000):
        return f"{{st_mode={file_mode(mode)}, st_rdev={device_text(rdev)}, ...}}"
    return f"{{st_mode={file_mode(mode)}, st_size={size}, ...}}"


@fixed("statx", 256)
def _statx(context: Context, data: bytes) -> str:
    mask, _blksize, attributes, _nlink, _uid, _gid, mode, _spare, _ino, size = struct.unpack_from("<IIQIIIHHQQ", data)
    masks, bits = named("statx_mask"), named("statx_attr")
    return (
        f"{{stx_mask={masks.flags(mask)}, stx_attributes={bits.flags(attributes)}, "
        f"stx_mode={file_mode(mode)}, stx_size={size}, ...}}"
    )


@fixed("statfs", 120)
def _statfs(context: Context, data: bytes) -> str:
    kind_of, size, *values = struct.unpack_from("<qqqqqqqIIqqq", data)
    return statfs_text(kind_of, size, values[:5], values[5:7], values[7:])


def statfs_text(kind_of: int, size: int, sizes: Sequence[int], fsid: Sequence[int], rest: Sequence[int]) -> str:
    """Write a struct statfs: type, size of a block, five counts, two words of the id; length of names, fragment, flags."""
    blocks, free, available, files, left = sizes
    (first, second), (names, fragment, bits) = fsid, rest
    flags = named("statfs")
    return (
        f"{{f_type={text.one_of(kind_of, named('fsmagic').by_number, '')}, f_bsize={size}, f_blocks={blocks}, f_bfree={free}, "
        f"f_bavail={available}, f_files={files}, f_ffree={left}, f_fsid={{val=[{first:#x}, {second:#x}]}}, f_namelen={names}, "
        f"f_frsize={fragment}, f_flags={flags.flags(bits)}}}"
    ).replace("[0x0,", "[0,").replace(" 0x0]", " 0]")


@fixed("open_how", 24)
def _open_how(context: Context, data: bytes) -> str:
    flags, mode, resolve = struct.unpack("<QQQ", data)
    bits = named("resolve")
    middle = f", mode={'0' + format(mode, 'o').rjust(3, '0') if mode else '000'}" if flags & 0o100 or mode else ""
    return f"{{flags={open_flags(flags)}{middle}, resolve={bits.flags(resolve)}}}"


# struct flock of x86_64; of i386, where F_GETLK64 and the like and those of open file descriptions have struct flock64
_LOCK, _LOCK32, _LOCK64 = struct.Struct("<hh4xqqi"), struct.Struct("<hhiii"), struct.Struct("<hhqqi")


def lock(context: Context, call: TracedCall, address: int, told: bool) -> str:
    """Write the struct flock of an fcntl(2), with the pid if the kernel has returned it."""
    form = _LOCK if not call.compat else _LOCK32 if call.args[1] in (5, 6, 7) else _LOCK64
    data = context.peek(call.tid, address, form.size)
    if data is None:
        return pointer(address)
    kind_of, whence, start, length, pid = form.unpack(data)
    owner = f", l_pid={pid}" if told else ""
    return f"{{l_type={named('lock').one(kind_of)}, l_whence={named('seek').one(whence)}, l_start={start}, l_len={length}{owner}}}"


@fixed("pair", 8)
def _pair(context: Context, data: bytes) -> str:
    first, second = struct.unpack("<ii", data)
    return f"[{first}, {second}]"


@kind("fds")
def _fds(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """The two descriptors of pipe(2) and socketpair(2)."""

    def words(call: TracedCall, data: bytes) -> str:
        return f"[{', '.join(fd_text(context, call.tid, fd) for fd in struct.unpack('<ii', data))}]"

    return or_address(at, plan.read(out, FIXED, at, 8), words)


@fixed("offset", 8)
def _offset(context: Context, data: bytes) -> str:
    return f"[{struct.unpack('<q', data)[0]}]"


@fixed("intp", 4)
def _intp(context: Context, data: bytes) -> str:
    return f"[{struct.unpack('<i', data)[0]}]"


@fixed("longhex", 8)
def _longhex(context: Context, data: bytes) -> str:
    return f"[{struct.unpack('<Q', data)[0]:#x}]"


@kind("moved")
def _moved(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """Where the offset of sendfile(2) is afterwards."""
    plan.pending = _never
    fetch = plan.read(True, FIXED, at, 8)

    def write(call: TracedCall) -> str:
        data = fetch(call)
        return "" if data is None or failed(call) else f" => [{struct.unpack('<q', data)[0]}]"

    return write


@kind("dirents")
def _dirents(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    length_at = 8 if plan.compat and parameter != "64" else 16

    def words(call: TracedCall, data: bytes) -> str:
        count = place = 0
        while place + length_at + 2 <= len(data):
            step = int.from_bytes(data[place + length_at : place + length_at + 2], "little")
            if step < length_at + 2:
                break
            count, place = count + 1, place + step
        return f"{call.args[at]:#x} /* {count} entr{'y' if count == 1 else 'ies'} */"

    return or_address(at, plan.read(True, RESULT, at, BIG), words)


@kind("iov")
def _iov(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """The vector of readv(2) and writev(2); its length is an argument."""
    plan.early = plan.early or not out

    def write(call: TracedCall) -> str:
        count = call.args[int(parameter)] & 0xFFFFFFFF
        return vectors(context, call, call.args[at], count, call.result if out else None)

    return write


def vectors(context: Context, call: TracedCall, address: int, count: int, room: int | None) -> str:
    """Write `count` struct iovec; `room`: how many bytes arrived, None at the entry."""
    if address == 0 or (room is not None and room < 0):
        return pointer(address)
    word = 4 if call.compat else 8
    if count == 0:
        return "[]"
    parts: list[str] = []
    for index in range(count):
        if index == context.strings:
            parts.append("...")
            break
        data = context.peek(call.tid, address + 2 * word * index, 2 * word)
        if data is None:
            if index == 0:
                return pointer(address)
            parts.append(f"... /* {address + 2 * word * index:#x} */")
            break
        base, length = struct.unpack("<QQ" if word == 8 else "<II", data)
        shown = length if room is None else min(length, room)
        if room is not None:
            room -= shown
        content = context.peek(call.tid, base, min(shown, context.strings + 1)) if base and shown else b"" if base else None
        what = context.cut(content, shown) if content is not None else pointer(base)
        parts.append(f"{{iov_base={what}, iov_len={length}}}")
    return f"[{', '.join(parts)}]"


# -- processes ------------------------------------------------------------------------------------------------------------


def wait_status(status: int) -> str:
    """Write a wait status as the macros that are true for it."""
    if status == 0xFFFF:
        return "WIFCONTINUED(s)"
    low = status & 0x7F
    if status & 0xFF == 0x7F:
        return f"WIFSTOPPED(s) && WSTOPSIG(s) == {signal_name(status >> 8 & 0xFF)}"
    if low:
        return f"WIFSIGNALED(s) && WTERMSIG(s) == {signal_name(low)}" + (" && WCOREDUMP(s)" if status & 0x80 else "")
    return f"WIFEXITED(s) && WEXITSTATUS(s) == {status >> 8 & 0xFF}"


@kind("status")
def _status(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    def words(call: TracedCall, data: bytes) -> str:
        return f"[{{{wait_status(int.from_bytes(data, 'little'))}}}]" if call.result else f"{call.args[at]:#x}"

    return or_address(at, plan.read(True, FIXED, at, 4), words)


@kind("used")
def _used(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """A struct rusage; of wait4(2) only if a process was waited for."""
    fetch = plan.read(True, FIXED, at, 72 if plan.compat else 144)

    def write(call: TracedCall) -> str:
        data = None if parameter and call.result <= 0 else fetch(call)
        if data is None:
            return pointer(call.args[at])
        narrow = NARROW["used"] if plan.compat else None
        return narrow[1](context, data) if narrow else f"{{ru_utime={timeval(data)}, ru_stime={timeval(data, 16)}, ...}}"

    return write


_DESCRIPTOR = "seg_32bit contents read_exec_only limit_in_pages seg_not_present useable".split()  # codespell:ignore useable


def user_desc(data: bytes) -> str:
    """Write a struct user_desc."""
    entry, base, limit, bits = struct.unpack("<iIII", data)
    values = (bits & 1, bits >> 1 & 3, bits >> 3 & 1, bits >> 4 & 1, bits >> 5 & 1, bits >> 6 & 1)
    flags = ", ".join(f"{name}={value}" for name, value in zip(_DESCRIPTOR, values, strict=True))
    return f"{{entry_number={entry}, base_addr={pointer(base)}, limit={limit:#010x}, {flags}}}"


def limit_text(value: int, narrow: bool = False) -> str:
    """Write a resource limit: a multiple of 1024 as a product."""
    if value == 2**64 - 1:
        return "RLIM64_INFINITY"
    if value == 2**32 - 1 and narrow:
        return "RLIM_INFINITY"
    return f"{value // 1024}*1024" if value > 1024 and value % 1024 == 0 else str(value)


def _limits(context: Context, data: bytes) -> str:
    soft, hard = struct.unpack("<QQ", data)
    return f"{{rlim_cur={limit_text(soft)}, rlim_max={limit_text(hard)}}}"


fixed("rlimit", 16)(_limits)
fixed("rlimit64", 16)(_limits)
fixed("sched_param", 4)(lambda context, data: f"[{struct.unpack('<i', data)[0]}]")


def ticks(value: int) -> str:
    """Write a time in clock ticks, a hundred per second, with a remark that gives it in seconds."""
    return f"{value} /* {value / 100:.2f} s */" if value else "0"


@fixed("tms", 32)
def _tms(context: Context, data: bytes) -> str:
    names = ("tms_utime", "tms_stime", "tms_cutime", "tms_cstime")
    return "{" + ", ".join(f"{name}={ticks(value)}" for name, value in zip(names, struct.unpack("<qqqq", data), strict=True)) + "}"


@fixed("utsname", 390)
def _utsname(context: Context, data: bytes) -> str:
    names = [context.quote(data[at : at + 65].partition(b"\0")[0]) for at in range(0, 390, 65)]
    return f"{{sysname={names[0]}, nodename={names[1]}, ...}}"


@fixed("sysinfo", 112)
def _sysinfo(context: Context, data: bytes) -> str:
    return sysinfo_text(struct.unpack_from("<q3Q6QHxxxxxxQQI", data))


def sysinfo_text(values: Sequence[int]) -> str:
    """Write a struct sysinfo."""
    names = "totalram freeram sharedram bufferram totalswap freeswap procs totalhigh freehigh mem_unit".split()
    rest = ", ".join(f"{name}={value}" for name, value in zip(names, values[4:], strict=True))
    return f"{{uptime={values[0]}, loads=[{', '.join(map(str, values[1:4]))}], {rest}}}"


@kind("clone_args")
def _clone_args(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    fetch = plan.read(False, COUNTED, at, 88, 1)

    def write(call: TracedCall) -> str:
        data = fetch(call)
        if data is None or len(data) < 64:
            return pointer(call.args[at])
        bits, pidfd, child, parent, ending, stack, size, tls = struct.unpack_from("<8Q", data)
        names = named("clone")
        parts = [f"flags={names.flags(bits)}"]
        if bits & 0x1000:
            parts.append(f"pidfd={pointer(pidfd)}")
        if bits & 0x1200000:
            parts.append(f"child_tid={pointer(child)}")
        if bits & 0x100000:
            parts.append(f"parent_tid={pointer(parent)}")
        parts.append(f"exit_signal={signal_name(ending) if ending else '0'}")
        parts.append(f"stack={pointer(stack)}")
        parts.append(f"stack_size={size:#x}" if size else "stack_size=0")
        if bits & 0x80000:
            parts.append(f"tls={pointer(tls)}")
        return "{" + ", ".join(parts) + "}"

    return write


@kind("clone_told")
def _clone_told(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """What clone3(2) wrote through the pointers of its structure."""
    plan.pending = _never
    fetch = plan.read(False, COUNTED, 0, 88, 1)

    def write(call: TracedCall) -> str:
        data = fetch(call)
        if data is None or len(data) < 64 or failed(call):
            return ""
        bits, pidfd, _child, parent = struct.unpack_from("<4Q", data)
        known = [(0x100000, "parent_tid", parent), (0x1000, "pidfd", pidfd)]
        found = [(name, context.peek(call.tid, where, 4)) for bit, name, where in known if bits & bit]
        shown = [f"{name}=[{int.from_bytes(value, 'little')}]" for name, value in found if value]
        return f" => {{{', '.join(shown)}}}" if shown else ""

    return write
