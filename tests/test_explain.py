"""The line and the hint for a command that cannot be started: which link of the chain is broken, in guest terms."""

import errno
import os
import shlex
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyroot import explain
from pyroot.config import Config
from pyroot.errors import PyrootError
from pyroot.path import View

INTERPRETER = "/lib64/ld-linux-x86-64.so.2"


def elf(interpreter: str = "") -> bytes:
    """Return an x86_64 program of nothing but headers, with a PT_INTERP when there is an interpreter."""
    name = interpreter.encode() + b"\0"
    header = b"\x7fELF\2\1\1" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0x1000, 64, 0, 0, 64, 56, 2 if interpreter else 1, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 64, 64, 4096)
    interp = struct.pack("<IIQQQQQQ", 3, 4, 176, 176, 176, len(name), len(name), 1)
    return header + load + (interp + name if interpreter else b"")


class Root:
    """A root that tests fill with broken programs."""

    def __init__(self, top: Path) -> None:
        self.top = top
        (top / "bin").mkdir()

    def program(self, name: str, data: bytes, mode: int = 0o755) -> None:
        file = self.top / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(mode)

    def elf(self, name: str, patch: dict[int, bytes] | None = None, size: int | None = None) -> None:
        data = bytearray(elf(INTERPRETER))
        for offset, value in (patch or {}).items():
            data[offset : offset + len(value)] = value
        self.program(name, bytes(data[:size]))

    def with_interpreter(self) -> None:
        self.program(INTERPRETER[1:], elf())

    def why(
        self, program: str, number: int = errno.ENOENT, cwd: str = "/", command: list[str] | None = None
    ) -> PyrootError:
        root = os.fsencode(self.top)
        config = Config(root, [os.fsencode(word) for word in command or [program]])
        failed = OSError(number, os.strerror(number))
        error = explain.exec_failure(View(root), config, os.fsencode(program), os.fsencode(cwd), failed)
        assert str(self.top) not in error.message
        assert "\n" not in error.message + error.hint
        return error


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    yield Root(tmp_path)


def test_missing_command(root: Root) -> None:
    error = root.why("/bin/foo")
    assert (error.message, error.exit_code) == ("/bin/foo: not in the guest", 127)
    assert "-b" in error.hint


def test_missing_command_with_options_behind_it(root: Root) -> None:
    error = root.why("/bin/foo", command=["/bin/foo", "-x", "--rootfs=x"])
    assert error.hint == "options go before the command: --rootfs=x after it belongs to the command"


def test_relative_command_begins_in_the_working_directory(root: Root) -> None:
    root.program("srv/x", b"", 0o644)
    assert "has no x bit" in root.why("./x", errno.EACCES, "/srv").message
    assert "not in the guest" in root.why("./x", errno.ENOENT, "/bin").message


def test_dangling_link_tells_its_target(root: Root) -> None:
    (root.top / "bin/foo").symlink_to("/opt/foo")
    assert root.why("/bin/foo").message == "/bin/foo: is a link to /opt/foo, which is not in the guest"


def test_component_that_is_a_file(root: Root) -> None:
    root.program("bin/x", b"")
    error = root.why("/bin/x/y", errno.ENOTDIR)
    assert (error.message, error.exit_code) == ("/bin/x/y: not a directory", 126)


def test_loop_of_links(root: Root) -> None:
    (root.top / "bin/a").symlink_to("a")
    assert root.why("/bin/a", errno.ELOOP).message == "/bin/a: too many levels of symbolic links"


def test_directory_and_other_kinds(root: Root) -> None:
    (root.top / "bin/d").mkdir()
    os.mkfifo(root.top / "bin/p")
    error = root.why("/bin/d", errno.EACCES)
    assert (error.message, error.exit_code) == ("/bin/d: is a directory", 126)
    assert root.why("/bin/p", errno.EACCES).message == "/bin/p: is not a regular file"


def test_no_x_bit(root: Root) -> None:
    root.program("bin/x", b"#!/bin/sh\n", 0o644)
    error = root.why("/bin/x", errno.EACCES)
    assert (error.message, error.exit_code) == ("/bin/x: has no x bit", 126)
    assert "chmod +x" in error.hint


def test_empty_file_and_data(root: Root) -> None:
    root.program("bin/empty", b"")
    root.program("bin/data", b"\0\1\2")
    assert root.why("/bin/empty", errno.ENOEXEC).message == "/bin/empty: is an empty file"
    error = root.why("/bin/data", errno.ENOEXEC)
    assert (error.message, error.exit_code) == ("/bin/data: has no format that this machine can execute", 126)


def test_missing_script_interpreter(root: Root) -> None:
    root.program("bin/s", b"#! /opt/none/perl -w\nprint\n")
    error = root.why("/bin/s")
    assert error.message == "/bin/s: its #! interpreter /opt/none/perl: not in the guest"
    assert error.exit_code == 127
    assert "install /opt/none/perl in the root" in error.hint
    root.program("bin/s", b"#!/bin/sh\n")
    assert f"pyroot copy {shlex.quote(str(root.top))} /bin/sh " in root.why("/bin/s").hint


def test_chain_of_scripts_names_the_broken_link(root: Root) -> None:
    root.program("bin/a", b"#!/bin/b\n")
    root.program("bin/b", b"#!/bin/c x\n")
    root.elf("bin/c")
    assert root.why("/bin/a").message == (
        "/bin/a: its #! interpreter /bin/b: its #! interpreter /bin/c: "
        f"its ELF interpreter {INTERPRETER}: not in the guest"
    )


def test_interpreter_without_x_bit(root: Root) -> None:
    root.program("bin/s", b"#!/bin/i\n")
    root.program("bin/i", b"#!/bin/sh\n", 0o600)
    assert root.why("/bin/s", errno.EACCES).message == "/bin/s: its #! interpreter /bin/i: has no x bit"


def test_relative_interpreter_begins_in_the_working_directory(root: Root) -> None:
    root.program("bin/s", b"#!i\n")
    root.program("srv/i", b"", 0o644)
    assert "has no x bit" in root.why("/bin/s", errno.EACCES, "/srv").message
    assert "not in the guest" in root.why("/bin/s").message


def test_too_many_scripts_in_a_row(root: Root) -> None:
    root.program("bin/s", b"#!/bin/s\n")
    assert root.why("/bin/s", errno.ELOOP).message == "/bin/s: its #! interpreter is /bin/s again"
    for number in range(7):
        root.program(f"bin/s{number}", f"#!/bin/s{number + 1}\n".encode())
    assert root.why("/bin/s0", errno.ELOOP).message.endswith("more than 5 scripts in a row")


def test_line_ends_of_windows(root: Root) -> None:
    root.program("bin/s", b"#!/bin/sh\r\necho\r\n")
    error = root.why("/bin/s")
    assert "CR LF" in error.message
    assert "sed -i" in error.hint


@pytest.mark.parametrize(
    ("head", "reason"),
    [(b"#!\n", "names no interpreter"), (b"#! \t\nx", "names no interpreter"), (b"#!/" + 300 * b"x", "is too long")],
)
def test_unusable_first_line(root: Root, head: bytes, reason: str) -> None:
    root.program("bin/s", head)
    assert reason in root.why("/bin/s", errno.ENOEXEC).message


@pytest.mark.parametrize("head", [b"#!/bin/i", b"#!\t/bin/i\targument\n", b"#!/bin/i" + b" x" * 200, b"#! /bin/i \n"])
def test_interpreter_is_cut_out_of_the_line_as_the_kernel_does(root: Root, head: bytes) -> None:
    root.program("bin/s", head)
    assert root.why("/bin/s").message == "/bin/s: its #! interpreter /bin/i: not in the guest"


def test_missing_elf_interpreter(root: Root) -> None:
    root.elf("bin/p")
    error = root.why("/bin/p")
    assert error.message == f"/bin/p: its ELF interpreter {INTERPRETER}: not in the guest"
    assert error.exit_code == 127
    assert f"pyroot copy {shlex.quote(str(root.top))} " in error.hint


def test_elf_interpreter_without_x_bit(root: Root) -> None:
    root.elf("bin/p")
    root.with_interpreter()
    (root.top / INTERPRETER[1:]).chmod(0o644)
    assert root.why("/bin/p", errno.EACCES).message == f"/bin/p: its ELF interpreter {INTERPRETER}: has no x bit"


def test_program_for_another_machine(root: Root) -> None:
    for machine, bits, name in (
        (183, 2, "64-bit program for aarch64"),
        (40, 1, "32-bit program for ARM"),
        (3, 2, "64-bit program for i386"),
        (243, 2, "RISC-V"),
    ):
        root.elf("bin/p", {4: bytes([bits]), 18: struct.pack("<H", machine)})
        error = root.why("/bin/p", errno.ENOEXEC)
        assert name in error.message
        assert "x86_64" in error.message
        assert error.exit_code == 126
    root.elf("bin/p", {18: struct.pack("<H", 999)})
    assert "processor number 999" in root.why("/bin/p", errno.ENOEXEC).message


def test_big_endian_program(root: Root) -> None:
    root.elf("bin/p", {5: b"\2", 16: struct.pack(">HH", 2, 21)})
    assert "64-bit program for PowerPC 64" in root.why("/bin/p", errno.ENOEXEC).message


def test_program_that_is_cut_off(root: Root) -> None:
    for size in (10, 19, 20, 51, 52, 60, 64, 70, 120, 175, 176):
        root.elf("bin/p", size=size)
        assert root.why("/bin/p", errno.ENOEXEC).message == "/bin/p: is an ELF file that ends too early"


def test_object_file(root: Root) -> None:
    root.elf("bin/p", {16: struct.pack("<H", 1)})
    assert "no program" in root.why("/bin/p", errno.ENOEXEC).message


@pytest.mark.parametrize("number", [errno.E2BIG, errno.ENOEXEC, errno.ETXTBSY, errno.ENOMEM, errno.EPERM])
def test_whole_chain_leaves_the_errno(root: Root, number: int) -> None:
    root.elf("bin/p")
    root.with_interpreter()
    error = root.why("/bin/p", number)
    assert error.message.lower() == f"/bin/p: {os.strerror(number)}".lower()
    assert error.exit_code == 126
    assert error.hint


# A name without a slash


def not_found(root: Root, command: list[str], path: str) -> PyrootError:
    top = os.fsencode(root.top)
    config = Config(top, [os.fsencode(word) for word in command])
    return explain.not_found(View(top), config, os.fsencode(command[0]), os.fsencode(path))


def test_command_that_no_directory_of_path_has(root: Root) -> None:
    error = not_found(root, ["foo"], "/bin:/opt/x")
    assert error.message == "foo: not found in the guest's PATH (/bin:/opt/x)"
    assert error.exit_code == 127
    assert str(root.top) in error.hint
    assert f"pyroot copy {shlex.quote(str(root.top))} sh " in not_found(root, ["sh"], "/bin").hint


def test_command_that_a_usual_directory_has(root: Root) -> None:
    root.program("bin/foo", b"")
    assert "add /bin to PATH" in not_found(root, ["foo"], "/opt/x").hint


def test_directory_that_is_no_root(root: Root) -> None:
    (root.top / "bin").rmdir()
    assert "pyroot new" in not_found(root, ["ls"], "/bin").hint


def test_options_behind_a_command_that_is_not_found(root: Root) -> None:
    assert "options go before the command: -r " in not_found(root, ["foo", "-r", "/tmp"], "/bin").hint
    assert "no such program" in not_found(root, ["foo", "-r", "x"], "/bin").hint, "many programs have a -r"


def test_option_of_a_program_that_only_this_machine_has(root: Root) -> None:
    program = next(path for path in ("/bin/cat", "/usr/bin/cat") if os.access(path, os.X_OK))
    assert "pyroot copy" in not_found(root, ["cat", "--version"], os.path.dirname(program)).hint


def test_empty_name(root: Root) -> None:
    assert not_found(root, [""], "/bin").exit_code == 127


def test_text_without_header_is_a_script_for_the_shell(root: Root) -> None:
    view = View(os.fsencode(root.top))
    for name, data, expected in (
        ("text", b"echo hi\n", True),
        ("nointerpreter", b"#!\necho\n", True),
        ("empty", b"", False),
        ("data", b"abc\0", False),
        ("elf", elf(), False),
    ):
        root.program(f"bin/{name}", data)
        assert explain.is_plain_script(view, os.fsencode(f"/bin/{name}"), b"/") is expected
    assert not explain.is_plain_script(view, b"/bin/nope", b"/")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ptrace is not permitted here: Operation not permitted", "ptrace_scope"),
        ("fork: Resource temporarily unavailable", "ulimit"),
        ("wait: Input/output error", "PYROOT_DEBUG"),
        ("/a b/proc is a procfs that shows this process, and cannot be taken for /proc", "-b /proc:'/a b/proc'"),
    ],
)
def test_failure_of_the_core_hints_at_the_setting(monkeypatch: pytest.MonkeyPatch, text: str, word: str) -> None:
    # (whoever runs the tests may be traced, or in a sandbox)
    monkeypatch.setattr(explain, "_status_field", lambda _name: 0)
    error = explain.core_failure(RuntimeError(text))
    assert (error.message, error.exit_code) == (text, 125)
    assert word in error.hint
