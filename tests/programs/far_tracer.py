"""Trace a process by all kinds of requests, say what comes of each, and kill it: argument 1 is its number."""

import ctypes
import errno
import os
import signal
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
PID = int(sys.argv[1])
WALL = 0x40000000
PEEKTEXT, PEEKUSER, POKEDATA, CONT, STEP = 1, 3, 5, 7, 9
GETREGS, SETREGS, GETFPREGS, SETFPREGS, ATTACH, DETACH, SYSCALL = 12, 13, 14, 15, 16, 17, 24
SETOPTIONS, GETEVENTMSG, GETSIGINFO, SETSIGINFO = 0x4200, 0x4201, 0x4202, 0x4203
GETREGSET, SETREGSET, SEIZE, INTERRUPT, LISTEN, PEEKSIGINFO, GETSIGMASK, SETSIGMASK = range(0x4204, 0x420C)
SYSCALL_INFO = 0x420E


def request(number: int, address: object = 0, data: object = 0) -> int:
    """Make a request; give its result, or the errno as a negative number."""
    ctypes.set_errno(0)
    result = libc.ptrace(number, PID, address, data)
    return -ctypes.get_errno() if result == -1 and ctypes.get_errno() else result


def say(what: str, *values: object) -> None:
    print(what, *(f"-{errno.errorcode[-value]}" if isinstance(value, int) and -200 < value < 0 else value for value in values), flush=True)


def waits(flags: int = WALL) -> str:
    """Wait for the process; give its status."""
    pid, status = os.waitpid(PID, flags)
    return f"{pid == PID} {status:x}"


def info() -> tuple[int, int, bool]:
    buffer = ctypes.create_string_buffer(128)
    result = request(GETSIGINFO, 0, buffer)
    number, _error, code, _pad, pid = struct.unpack_from("5i", buffer)
    return (number, code, pid == os.getpid()) if result == 0 else (result, 0, False)


def registers() -> None:
    """Read and write registers and memory in every way."""
    plain, floats, vector = (ctypes.create_string_buffer(size) for size in (216, 512, 4096))
    say("getregs", request(GETREGS, 0, plain), request(SETREGS, 0, plain))
    say("getfpregs", request(GETFPREGS, 0, floats), request(SETFPREGS, 0, floats))
    for kind, size in ((1, 4096), (1, 16), (2, 4096), (0x202, 4096)):
        piece = (ctypes.c_ulong * 2)(ctypes.addressof(vector), size)
        say("getregset", kind, request(GETREGSET, kind, piece), piece[1], request(SETREGSET, kind, piece) if size > 16 else "")
    say("filled", plain.raw[:120] != bytes(120))
    (stack,) = struct.unpack_from("Q", plain, 152)
    word = libc.ptrace(PEEKTEXT, PID, stack, None)
    say("peek", request(PEEKUSER, 152) == stack, request(POKEDATA, stack, word), libc.ptrace(PEEKTEXT, PID, stack, None) == word)
    say("bad", request(PEEKTEXT, 16), request(POKEDATA, 16, 1), request(GETREGS, 0, 16), request(SETREGS, 0, 16), request(GETREGSET, 1, 16))
    mask = ctypes.c_ulong(0)
    at = ctypes.byref(mask)
    say("mask", request(GETSIGMASK, 8, at), request(SETSIGMASK, 8, at), request(GETSIGMASK, 4, at))
    how, found = struct.pack("QIi", 0, 0, 4), ctypes.create_string_buffer(512)
    say("pending", request(PEEKSIGINFO, how, found))


def attached() -> None:
    say("attach", request(ATTACH), waits(), info(), request(ATTACH))
    registers()
    say("options", request(SETOPTIONS, 0, 1 | 1 << 6), request(SETOPTIONS, 0, 1 << 30), request(0x7777), request(CONT, 0, 99))
    say("interrupt", request(INTERRUPT), request(LISTEN))
    call = ctypes.create_string_buffer(88)
    for _ in range(4):
        say("syscall", request(SYSCALL), waits(), request(SYSCALL_INFO, 88, call) > 0, call.raw[0] in (1, 2), info()[:2])
    say("none", os.waitpid(PID, WALL | os.WNOHANG) == (0, 0))
    say("step", request(STEP), waits(), info()[0])
    os.kill(PID, signal.SIGUSR1)
    say("signal", request(CONT), waits(), info(), request(CONT), request(PEEKTEXT, 4096), request(CONT))
    os.kill(PID, signal.SIGUSR2)
    say("another", waits(), info(), request(DETACH), request(DETACH))


def seized() -> None:
    say("seize", request(SEIZE, 1), request(SEIZE, 0, 1 | 1 << 6 | 1 << 20), request(INTERRUPT), waits(), info()[:2])
    say("listen", request(LISTEN), request(INTERRUPT), waits(), request(CONT))
    os.kill(PID, signal.SIGSTOP)
    say("stop", waits(), request(CONT, 0, signal.SIGSTOP), waits(), request(LISTEN))
    os.kill(PID, signal.SIGCONT)
    say("continue", waits(), request(CONT), waits(), info()[0], request(CONT))
    event = ctypes.c_ulong(0)
    os.kill(PID, signal.SIGTERM)
    say("term", waits(), request(CONT, 0, 15), waits(), request(GETEVENTMSG, 0, ctypes.byref(event)), event.value, request(CONT), waits())
    try:
        say("over", waits())
    except ChildProcessError:
        say("over", "no child", request(CONT))


attached()
seized()
