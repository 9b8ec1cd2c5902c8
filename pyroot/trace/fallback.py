"""Calls without a row: python-ptrace's formatter writes those that it has a prototype for, the rest are six numbers.

Decides: which of the two. python-ptrace is imported when the first such call is written, because the import costs more than a short
command takes; if it is not installed, the numbers suffice.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pyroot.trace import kinds  # noqa: F401  (the kind of result)
from pyroot.trace.decode import Argument, Context, Row

if TYPE_CHECKING:
    from pyroot._fast import TracedCall

_WORD = 64


class _Guest:
    """What python-ptrace asks of a process, answered from a guest's memory."""

    def __init__(self, context: Context, tid: int) -> None:
        self.context, self.tid = context, tid

    def readBytes(self, address: int, size: int) -> bytes:  # noqa: N802
        from ptrace.error import PtraceError

        data = self.context.peek(self.tid, address, size)
        if data is None:
            raise PtraceError("not mapped", pid=self.tid)
        return data

    def readCString(self, address: int, max_size: int, chunk_length: int = 256) -> tuple[bytes, bool]:  # noqa: N802
        from ptrace.error import PtraceError

        data = self.context.peek_string(self.tid, address, max_size)
        if data is None:
            raise PtraceError("not mapped", pid=self.tid)
        return data, len(data) >= max_size

    def readStruct(self, address: int, struct: Any) -> Any:  # noqa: N802
        import ctypes

        return struct.from_buffer_copy(self.readBytes(address, ctypes.sizeof(struct)))


@functools.cache
def _prototype(name: str) -> tuple[tuple[str, str], ...] | None:
    try:
        from ptrace.syscall.prototypes import SYSCALL_PROTOTYPES
    except ImportError:
        return None
    found = SYSCALL_PROTOTYPES.get(name)
    return found[1] if found else None


def _formatted(name: str, context: Context, call: TracedCall) -> str:
    prototype = None if call.compat else _prototype(name)
    if prototype is None:
        return ", ".join(f"{value:#x}" if value else "0" for value in call.args)
    from ptrace.func_call import FunctionCall, FunctionCallOptions
    from ptrace.syscall.syscall_argument import SyscallArgument

    function: Any = FunctionCall(name, FunctionCallOptions(string_max_length=context.strings), SyscallArgument)
    function.process = _Guest(context, call.tid)
    for value, (type_of, argument) in zip(call.args, prototype, strict=False):
        function.addArgument(value, argument, type_of)
    return ", ".join(argument.format() for argument in function.arguments)


class UnknownRow(Row):
    """A call that the table has no row for; everything is written as at the entry."""

    __slots__ = ()

    def __init__(self, name: str, context: Context) -> None:
        super().__init__(name, "", [], "int", context)
        self.plan.early = True
        self.arguments = [Argument(functools.partial(_formatted, name, context), False)]
        self.writes = [one.write for one in self.arguments]
        self.split = 1


def unknown_row(name: str, compat: bool, context: Context) -> Row:
    """Make the row of a call that the table does not have."""
    return UnknownRow(name, context)
