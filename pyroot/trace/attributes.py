"""Kinds of arguments whose structures only some calls on paths have.

Decides: how extended attributes, file attributes, handles, mount attributes and quotas are written. Their layouts are the same for i386.
Facts: linux/xattr.h, fs.h, mount.h, quota.h and dqblk_xfs.h, name_to_handle_at(2), quotactl(2); strace(1) for the form.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pyroot.trace import text
from pyroot.trace.decode import FIXED, PATH_MAX, Context, Plan, Write, failed, kind
from pyroot.trace.kinds import fd_text, path_text
from pyroot.trace.names import named
from pyroot.trace.special import OMITTED, kind_of
from pyroot.trace.structs import Layout
from pyroot.trace.text import pointer, signed

if TYPE_CHECKING:
    from pyroot._fast import TracedCall

_PAGE = 4096
_VALUE_MOST = 65536  # XATTR_SIZE_MAX


def _more(context: Context, call: TracedCall, address: int, known: int, whole: int) -> str:
    """Write what a structure has beyond the known fields, unless it is zero."""
    if whole <= known:
        return ""
    data = context.peek(call.tid, address + known, whole - known)
    if data is None:
        return ", ???"
    if not any(data):
        return ""
    return f", /* bytes {known}..{whole - 1} */ {text.hexed(data[: context.strings])}{'...' * (len(data) > context.strings)}"


# -- attributes -----------------------------------------------------------------------------------------------------------


def _value(context: Context, call: TracedCall, address: int, size: int) -> str:
    """Write the value of an extended attribute, without the NUL at its end."""
    if not address or not 0 <= size <= _VALUE_MOST:
        return pointer(address)
    data = context.peek(call.tid, address, min(size, context.strings + 1)) if size else b""
    if data is None:
        return pointer(address)
    if len(data) == size and data.endswith(b"\0"):
        data, size = data[:-1], size - 1
    return context.cut(data, size)


@kind("xattr_args")
def _xattr_args(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """struct xattr_args, whose value is known at the exit of getxattrat(2) (`parameter`: its size)."""
    plan.early = plan.early or not out

    def write(call: TracedCall) -> str:
        address, whole = call.args[at], call.args[int(parameter)]
        data = context.peek(call.tid, address, 16) if whole >= 16 else None
        if data is None:
            return pointer(address)
        value, size, flags = struct.unpack("<QII", data)
        count = (call.result if size else -1) if out else size
        more = _more(context, call, address, 16, min(whole, _PAGE))
        return f"{{value={_value(context, call, value, count)}, size={size}, flags={named('xattr').flags(flags)}{more}}}"

    return write


@kind("file_attr")
def _file_attr(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """struct file_attr (`parameter`: its size); the number of extents is only returned, never set."""
    plan.early = plan.early or not out

    def write(call: TracedCall) -> str:
        address, whole = call.args[at], call.args[int(parameter)]
        data = context.peek(call.tid, address, 24) if 24 <= whole <= _PAGE and not (out and failed(call)) else None
        if data is None:
            return pointer(address)
        flags, extent, extents, project, cow = struct.unpack("<QIIII", data)
        count = f", fa_nextents={extents}" if out else ""
        return (f"{{fa_xflags={named('xflags').flags(flags)}, fa_extsize={extent}{count}, fa_projid={f'{project:#x}' if project else 0}, "
                f"fa_cowextsize={cow}{_more(context, call, address, 24, whole)}}}")  # fmt: skip

    return write


@kind("mount_attr")
def _mount_attr(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """struct mount_attr (`parameter`: its size)."""
    plan.early = True

    def write(call: TracedCall) -> str:
        address, whole = call.args[at], call.args[int(parameter)]
        data = context.peek(call.tid, address, 32) if whole >= 32 else None
        if data is None:
            return pointer(address)
        to_set, to_clear, propagation, users = struct.unpack("<QQQQ", data)
        names = named("mount_attr")
        maps = (to_set | to_clear) & 0x100000 and users < 2**31
        return (f"{{attr_set={names.flags(to_set)}, attr_clr={names.flags(to_clear)}, propagation={_one('propagation', propagation)}, "
                f"userns_fd={fd_text(context, call.tid, users) if maps else users}"
                f"{_more(context, call, address, 32, min(whole, _PAGE))}}}")  # fmt: skip

    return write


def _one(name: str, value: int) -> str:
    names = named(name)
    return names.one(value) if value else names.by_number.get(0) or f"0 /* {names.unknown} */"


@kind_of("swap_flags")
def _swap_flags(context: Context, call: TracedCall, value: int, parameter: str) -> str:
    """The flags of swapon(2), and the priority among them."""
    flags = value & 0xFFFF8000
    return f"{named('swap').flags(flags)}|{value & 0x7FFF}" if flags else str(value & 0x7FFF)


# -- handles --------------------------------------------------------------------------------------------------------------


@kind("handle")
def _handle(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """struct file_handle: the size of the guest's buffer at the entry, the handle at the exit."""
    fetch = plan.read(False, FIXED, at, 8)

    def write(call: TracedCall) -> str:
        address, before = call.args[at], fetch(call)
        if before is None:
            return pointer(address)
        [room] = struct.unpack_from("<I", before)
        data = context.peek(call.tid, address, 8) if not failed(call) or call.result == -75 else None
        if data is None:
            return f"{{handle_bytes={room}}}"
        size, kind_of_handle = struct.unpack("<Ii", data)
        change = f" => {size}" if size != room else ""
        if failed(call):
            return f"{{handle_bytes={room}{change}}}"
        handle = context.peek(call.tid, address + 8, min(size, 128))
        shown = "???" if handle is None else text.hexed(handle) + "..." * (size > 128)
        return f"{{handle_bytes={room}{change}, handle_type={kind_of_handle}, f_handle={shown}}}"

    return write


# -- quotas ---------------------------------------------------------------------------------------------------------------

_NOTHING = ("Q_SYNC", "Q_QUOTAOFF", "Q_XQUOTASYNC")  # commands without more arguments
_NO_ID = ("Q_GETFMT", "Q_GETINFO", "Q_SETINFO", "Q_XGETQSTAT", "Q_XGETQSTATV", "Q_XQUOTAON", "Q_XQUOTAOFF", "Q_XQUOTARM")
_LIMITS = "bhardlimit bsoftlimit curspace ihardlimit isoftlimit curinodes"
_XFS_LIMITS = "id blk_hardlimit blk_softlimit ino_hardlimit ino_softlimit bcount icount"


def _fields(prefix: str, names: str, values: tuple[int, ...]) -> str:
    return ", ".join(f"{prefix}{name}={value}" for name, value in zip(names.split(), values, strict=True))


def _command(call: TracedCall) -> str:
    return named("quota").by_number.get(call.args[0] >> 8 & 0xFFFFFF, "")


@kind_of("quota_command")
def _quota_command(context: Context, call: TracedCall, value: int, parameter: str) -> str:
    """What quotactl(2) is to do, and whose quotas it means."""
    return f"QCMD({_one('quota', value >> 8 & 0xFFFFFF)}, {_one('quota_type', value & 0xFF)})"


@kind_of("quota_id")
def _quota_id(context: Context, call: TracedCall, value: int, parameter: str) -> str:
    """A user or group; with Q_QUOTAON it is a format."""
    command = _command(call)
    if command in _NOTHING or command in _NO_ID:
        return OMITTED
    if command == "Q_QUOTAON":
        return _one("quota_format", value & 0xFFFFFFFF)
    return str(signed(value)) if value & 0xFFFFFFFF == 0xFFFFFFFF else str(value & 0xFFFFFFFF)


def _quota(context: Context, data: bytes) -> str:
    """Write struct if_dqblk."""
    return f"{{{_fields('dqb_', _LIMITS, struct.unpack_from('<6Q', data))}, ...}}"


def _quota_info(context: Context, data: bytes) -> str:
    """Write struct if_dqinfo."""
    blocks, inodes, flags, valid = struct.unpack("<QQII", data)
    return (f"{{dqi_bgrace={blocks}, dqi_igrace={inodes}, dqi_flags={named('quota_info').flags(flags)}, "
            f"dqi_valid={named('quota_info_valid').flags(valid)}}}")  # fmt: skip


def _xfs_quota(context: Context, data: bytes) -> str:
    """Write struct fs_disk_quota."""
    version, whose, mask, *limits = struct.unpack_from("<bbHI6Q", data)
    return (f"{{d_version={version}, d_flags={named('quota_whose').flags(whose & 0xFFFFFFFF)}, d_fieldmask={f'{mask:#x}' if mask else 0}, "
            f"{_fields('d_', _XFS_LIMITS, tuple(limits))}, ...}}")  # fmt: skip


def _quota_bits(name: str, data: bytes) -> str:
    return f"[{named(name).flags(int.from_bytes(data, 'little'))}]"


#: What is passed to the kernel, by command: size and layout. What it would return, no guest gets (the call is privileged).
_QUOTA_DATA: dict[str, tuple[int, Layout]] = {
    "Q_SETQUOTA": (68, _quota),
    "Q_SETINFO": (24, _quota_info),
    "Q_XSETQLIM": (112, _xfs_quota),
    "Q_XQUOTAON": (4, lambda context, data: _quota_bits("quota_on", data)),
    "Q_XQUOTAOFF": (4, lambda context, data: _quota_bits("quota_on", data)),
    "Q_XQUOTARM": (4, lambda context, data: _quota_bits("quota_whose", data)),
}


@kind("quota_data")
def _quota_data(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """The structure of a command of quotactl(2), or the path of Q_QUOTAON."""
    plan.early = True

    def write(call: TracedCall) -> str:
        command, address = _command(call), call.args[at]
        if command in _NOTHING:
            return OMITTED
        if command == "Q_QUOTAON":
            return path_text(context, context.peek_string(call.tid, address, PATH_MAX), address)
        size, layout = _QUOTA_DATA.get(command, (0, _quota))
        data = context.peek(call.tid, address, size) if size else None
        return pointer(address) if data is None else layout(context, data)

    return write
