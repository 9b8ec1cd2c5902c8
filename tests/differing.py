"""Both sides of a line of docs/DIFFERENCES.md: the same text of Python, or script, without pyroot and in a guest with the host's root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = ["-r", "/", "-w", "/"]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}
#: Calls by their numbers, as programs make them that have another C library; memory that 32-bit calls reach.
CALLS = """
import ctypes, mmap, os, signal, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
def call(*words):
    result = libc.syscall(*[ctypes.c_long(word) if isinstance(word, int) else word for word in words])
    return -ctypes.get_errno() if result == -1 else result
def low(size, rights=3):
    return libc.mmap(None, ctypes.c_size_t(size), rights, 0x62, -1, ctypes.c_long(0))
def int80(number, b=0, c=0, d=0):
    code = bytes.fromhex("53b8") + struct.pack("<I", number) + b"\\xbb" + struct.pack("<I", b)
    code += b"\\xb9" + struct.pack("<I", c) + b"\\xba" + struct.pack("<I", d) + bytes.fromhex("cd805bc3")
    place = low(4096, 7)
    ctypes.memmove(place, code, len(code))
    return ctypes.CFUNCTYPE(ctypes.c_int)(place)()
def fields(fd):
    room = ctypes.create_string_buffer(256)
    assert call(5, fd, room) == 0
    return struct.unpack_from("<QQQ", room)
"""

#: Make a call; 0 or the number of its error.
TRIED = """
def tried(what, *words):
    try:
        what(*words)
    except OSError as error:
        return error.errno
    return 0
"""


class Sides:
    """Run a text of Python, or a script, without pyroot and in a guest that has the host's root."""

    def __init__(self, run_pyroot: Callable[..., helpers.Result], directory: str) -> None:
        self.run_pyroot, self.directory = run_pyroot, directory

    def run(self, words: list[str], options: tuple[str, ...] = (), **environment: str) -> tuple[list[str], list[str]]:
        """Return the lines of both, the guest's behind."""
        native = helpers.run(words, environment={**ENVIRONMENT, **environment}, cwd=self.directory)
        guest = self.run_pyroot([*options, "-r", "/", "-w", self.directory, *words], environment={**ENVIRONMENT, **environment})
        assert (native.stderr, guest.stderr) == ("", "")
        return native.stdout.splitlines(), guest.stdout.splitlines()

    def python(self, text: str, *options: str, **environment: str) -> tuple[list[str], list[str]]:
        """Run Python in the directory of the test."""
        return self.run([helpers.ordinary_python()[0], "-IS", "-c", CALLS + text], options, **environment)

    def shell(self, text: str, *options: str) -> tuple[list[str], list[str]]:
        """Run a script there."""
        return self.run(["/bin/sh", "-c", text], options)


@pytest.fixture
def sides(run_pyroot: Callable[..., helpers.Result], guest_directory: str) -> Sides:
    """Give both sides a directory that they may write to."""
    return Sides(run_pyroot, guest_directory)


def static_program(name: str) -> str:
    """Compile a program of tests/programs."""
    try:
        return compile_program([f"{PROGRAMS}/{name}.c"], "-static", name=name)
    except BuildError as error:
        pytest.skip(str(error))
