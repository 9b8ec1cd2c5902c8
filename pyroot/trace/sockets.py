"""Kinds of arguments of sockets: addresses, messages, options.

Decides: how they are written. Facts: unix(7), ip(7), ipv6(7), netlink(7), cmsg(3).
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from pyroot.trace import text
from pyroot.trace.decode import COUNTED, FIXED, Context, Plan, Write, failed, kind
from pyroot.trace.kinds import fd_text
from pyroot.trace.names import named
from pyroot.trace.structs import vectors
from pyroot.trace.text import pointer, signed

if TYPE_CHECKING:
    from pyroot._fast import TracedCall

_SOCKADDR = 128
_SCM = {1: "SCM_RIGHTS", 2: "SCM_CREDENTIALS", 3: "SCM_SECURITY", 4: "SCM_PIDFD"}


@kind("socktype")
def _socktype(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    def write(call: TracedCall) -> str:
        value = call.args[at] & 0xFFFFFFFF
        bits = value & 0o2004000
        first = text.one_of(value & ~0o2004000, named("socktype").by_number, "SOCK_???")
        return f"{first}|{text.flags(bits, named('sockflags').pairs, '')}" if bits else first

    return write


@kind("sockproto")
def _sockproto(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    def write(call: TracedCall) -> str:
        value, domain = call.args[at] & 0xFFFFFFFF, call.args[0]
        if domain in (socket.AF_INET, socket.AF_INET6):
            return text.one_of(value, named("ipproto").by_number, "IPPROTO_???")
        if domain == socket.AF_NETLINK:
            return text.one_of(value, named("netlink").by_number, "NETLINK_???")
        return str(value)

    return write


def address_text(context: Context, data: bytes) -> str:
    """Write a struct sockaddr of that length."""
    if len(data) < 2:
        return context.quote(data)
    family = int.from_bytes(data[:2], "little")
    head = f"{{sa_family={text.one_of(family, named('domain').by_number, 'AF_???')}"
    if family == socket.AF_UNIX:
        return f"{head}{_unix_name(context, data[2:])}}}"
    if family == socket.AF_INET and len(data) >= 8:
        return f'{head}, sin_port=htons({int.from_bytes(data[2:4], "big")}), sin_addr=inet_addr("{socket.inet_ntoa(data[4:8])}")}}'
    if family == socket.AF_INET6 and len(data) >= 24:
        port, flow = struct.unpack_from(">HI", data, 2)
        scope = struct.unpack_from("<I", data, 24)[0] if len(data) >= 28 else 0
        return (
            f"{head}, sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), inet_pton(AF_INET6, "
            f'"{socket.inet_ntop(socket.AF_INET6, data[8:24])}", &sin6_addr), sin6_scope_id={scope}}}'
        )
    if family == socket.AF_NETLINK and len(data) >= 12:
        pid, groups = struct.unpack_from("<II", data, 4)
        return f"{head}, nl_pid={pid}, nl_groups={groups:08x}}}"
    return f"{head}, sa_data={context.quote(data[2:])}}}" if len(data) > 2 else head + "}"


def _unix_name(context: Context, name: bytes) -> str:
    if not name:
        return ""
    if name[0] == 0:
        return f", sun_path=@{context.quote(name[1:])}"
    return f", sun_path={context.quote(name.partition(bytes(1))[0])}"


@kind("sockaddr")
def _sockaddr(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """An address; `parameter`: the argument that says how long it is (at the exit: points at the length)."""
    by = int(parameter)
    if not out:
        fetch = plan.read(False, COUNTED, at, _SOCKADDR, by)

        def write_in(call: TracedCall) -> str:
            data = fetch(call)
            return pointer(call.args[at]) if data is None or len(data) < 2 else address_text(context, data)

        return write_in

    address, given, length = plan.read(True, FIXED, at, _SOCKADDR), plan.read(False, FIXED, by, 4), plan.read(True, FIXED, by, 4)

    def write(call: TracedCall) -> str:
        room, size = given(call), length(call)
        if failed(call) or not call.args[at] or room is None or size is None:
            return pointer(call.args[at])
        count = min(int.from_bytes(room, "little"), int.from_bytes(size, "little"), _SOCKADDR)
        data = address(call)
        data = data[:count] if data is not None else context.peek(call.tid, call.args[at], count)
        return pointer(call.args[at]) if data is None or count == 0 else address_text(context, data)

    return write


@kind("socklen")
def _socklen(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    before, after = plan.read(False, FIXED, at, 4), plan.read(True, FIXED, at, 4)

    def write(call: TracedCall) -> str:
        first, second = before(call), after(call)
        if first is None:
            return pointer(call.args[at])
        old = int.from_bytes(first, "little", signed=True)
        new = int.from_bytes(second, "little", signed=True) if second else old
        return f"[{old}]" if failed(call) or new == old else f"[{old} => {new}]"

    return write


# -- messages ---------------------------------------------------------------------------------------------------------------


def _control(context: Context, call: TracedCall, address: int, length: int) -> str:
    data = context.peek(call.tid, address, min(length, 4096))
    if data is None:
        return pointer(address)
    parts, at = [], 0
    word, form = (4, "<Iii") if call.compat else (8, "<Qii")
    while at + word + 8 <= len(data):
        size, level, type_of = struct.unpack_from(form, data, at)
        if size < word + 8:
            break
        body = data[at + word + 8 : at + size]
        head = f"{{cmsg_len={size}, cmsg_level={text.one_of(level, named('sol').by_number, 'SOL_???')}"
        if level == socket.SOL_SOCKET:
            head += f", cmsg_type={text.one_of(type_of, _SCM, 'SCM_???')}"
            if type_of == 1:
                fds = struct.unpack_from(f"<{len(body) // 4}i", body)
                head += f", cmsg_data=[{', '.join(fd_text(context, call.tid, fd) for fd in fds)}]"
            elif type_of == 2 and len(body) >= 12:
                head += ", cmsg_data={{pid={}, uid={}, gid={}}}".format(*struct.unpack_from("<iII", body))
            else:
                head += f", cmsg_data={context.quote(body)}"
        else:
            head += f", cmsg_type={type_of:#x}, cmsg_data={context.quote(body)}"
        parts.append(head + "}")
        at += (size + word - 1) & -word
    return f"[{', '.join(parts)}]"


_HEADER = (struct.Struct("<QI4xQQQQi4x"), struct.Struct("<IIIIIIi"))  # struct msghdr, and that of i386


def message(context: Context, call: TracedCall, address: int, room: int | None, given: int | None = None) -> str:
    """Write a struct msghdr; `room`: how many bytes arrived, None for one to send; `given`: msg_namelen at the entry."""
    form = _HEADER[call.compat]
    data = context.peek(call.tid, address, form.size)
    if data is None:
        return pointer(address)
    name, name_length, vector, count, control, control_length, bits = form.unpack(data)
    shown = name_length if given is None else min(given, name_length)
    named_as = context.peek(call.tid, name, min(shown, _SOCKADDR)) if name and shown else None
    changed = f"{given} => {name_length}" if given is not None and given != name_length else str(name_length)
    parts = [
        f"msg_name={address_text(context, named_as) if named_as else pointer(name)}",
        f"msg_namelen={changed}",
        f"msg_iov={vectors(context, call, vector, count, room)}",
        f"msg_iovlen={count}",
    ]
    if control_length:
        parts.append(f"msg_control={_control(context, call, control, control_length) if control else 'NULL'}")
    parts += [f"msg_controllen={control_length}", f"msg_flags={text.flags(bits, named('msg').pairs, 'MSG_???')}"]
    return "{" + ", ".join(parts) + "}"


@kind("msghdr")
def _msghdr(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    if not out:
        plan.early = True
        return lambda call: message(context, call, call.args[at], None)
    header, length_at = plan.read(False, FIXED, at, 12), 4 if plan.compat else 8

    def write(call: TracedCall) -> str:
        before = header(call)
        if before is None:
            return pointer(call.args[at])
        given = int.from_bytes(before[length_at : length_at + 4], "little")
        if failed(call):
            return f"{{msg_namelen={given}}}"
        return message(context, call, call.args[at], call.result, given)

    return write


@kind("mmsghdr")
def _mmsghdr(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    plan.early = plan.early or not out

    def write(call: TracedCall) -> str:
        address = call.args[at]
        count = call.result if out else call.args[int(parameter)] & 0xFFFFFFFF
        if count < 0 or not address:
            return pointer(address)
        size = _HEADER[call.compat].size
        step = size + (4 if call.compat else 8)
        parts = []
        for index in range(min(count, context.strings)):
            length = context.peek(call.tid, address + step * index + size, 4)
            if length is None:
                break
            room = int.from_bytes(length, "little")
            body = message(context, call, address + step * index, room if out else None)
            parts.append(f"{{msg_hdr={body}" + (f", msg_len={room}" if out else "") + "}")
        return f"[{', '.join(parts)}]"

    return write


# -- options ------------------------------------------------------------------------------------------------------------------

_LEVELS = {socket.SOL_SOCKET: "so", socket.IPPROTO_TCP: "tcp", socket.IPPROTO_IP: "ip", socket.IPPROTO_IPV6: "ipv6"}


@kind("sockopt")
def _sockopt(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    def write(call: TracedCall) -> str:
        level = _LEVELS.get(call.args[int(parameter)])
        value = call.args[at] & 0xFFFFFFFF
        return text.one_of(value, named(level).by_number, named(level).unknown) if level else f"{value:#x}"

    return write


@kind("sockval")
def _sockval(context: Context, plan: Plan, at: int, parameter: str, out: bool) -> Write:
    """The value of an option: most are one int."""
    by = int(parameter)
    length = plan.read(True, FIXED, by, 4) if out else None
    data = plan.read(True, FIXED, at, 16) if out else plan.read(False, COUNTED, at, 256, by)

    def write(call: TracedCall) -> str:
        value = data(call)
        size = int.from_bytes(length(call) or bytes(4), "little") if length else signed(call.args[by])
        if out and value is None and not failed(call):
            value = context.peek(call.tid, call.args[at], size)
        if value is None:
            return pointer(call.args[at])
        return _option_text(context, call, value, size)

    return write


def _option_text(context: Context, call: TracedCall, value: bytes, size: int) -> str:
    level, option = call.args[1] & 0xFFFFFFFF, call.args[2] & 0xFFFFFFFF
    if level == socket.SOL_SOCKET:
        if option == socket.SO_LINGER and size >= 8:
            return "{{l_onoff={}, l_linger={}}}".format(*struct.unpack_from("<ii", value))
        if option == socket.SO_PEERCRED and size >= 12:
            return "{{pid={}, uid={}, gid={}}}".format(*struct.unpack_from("<iII", value))
        if option == socket.SO_BINDTODEVICE:
            return context.quote(value[:size])
        if option == socket.SO_ERROR and size == 4:
            number = struct.unpack_from("<i", value)[0]
            return f"[{text.error_name(number) if number else 0}]"
    if size == 4 and len(value) >= 4:
        return f"[{struct.unpack_from('<i', value)[0]}]"
    return context.cut(value[:size], size)
