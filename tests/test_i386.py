"""i386 programs, and calls by the numbers of i386 from any program, get what a real chroot gives them.

Compared are registers, kinds of programs, execs from one width to the other, and what a program sees of its own start.
"""

from __future__ import annotations

import os
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program, guest_programs
from tests.rootfs_fixtures import directory_for_user, give, remove
from tests.test_ptrace import nested_words
from tests.test_registers import checked_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
FIXED = ["-static", "-fno-pie", "-no-pie"]
ENTRIES = ["regs32 int80", "regs32 vdso", "regs64 int80"]
WIDE = ["-m32", "-D_FILE_OFFSET_BITS=64"]
ENVIRONMENT = {"PATH": "/", "LANG": "C.UTF-8", "HOME": "/", "PWD": "/"}
LIBRARIES = ("ld-linux.so.2", "libc.so.6")


def compiled(source: str, name: str, *options: str) -> str:
    """Compile a guest program; skip where no 32-bit programs can be made."""
    try:
        return compile_program([str(HERE / "guest" / source)], *options, name=name)
    except BuildError as error:
        pytest.skip(f"no 32-bit compiler (Debian: gcc-multilib): {error}")


def library(name: str) -> str:
    """Return the path of a library of the 32-bit compiler."""
    found = subprocess.run(["gcc", "-m32", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
    if not os.path.isabs(found):
        found = f"/lib/{name}"
    if not os.path.exists(found):
        pytest.skip(f"no {name} for i386 (Debian: gcc-multilib)")
    return found


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    """Make a root with the register probes, the oracle's interpreter in many forms, and scripts for both widths."""
    programs = {name: compiled("regs32.c", name, *FIXED, *options) for name, options in (("regs32", ["-m32"]), ("regs64", []))}
    for name, options in (("mixed32", ["-m32"]), ("mixed64", [])):
        programs[name] = compiled("mixed.c", name, *FIXED, "-pthread", *options)
    ops = sorted(str(path) for path in (HERE / "oracle").glob("ops*.c"))
    kinds = {
        "static": ["-static", "-no-pie", "-fno-pie"], "static-pie": ["-static-pie", "-fPIE"],
        "dynamic": ["-no-pie", "-fno-pie"], "pie": ["-pie", "-fPIE"], "exec-stack": ["-no-pie", "-fno-pie", "-z", "execstack"],
        "huge-align": ["-pie", "-fPIE", "-Wl,-z,max-page-size=2097152"],
    }
    for kind, options in kinds.items():
        programs[kind] = compile_program(ops, *WIDE, *options, name=f"ops32-{kind}")
    top = directory_for_user()
    for directory in ("root", "host", "root/w", "root/b", "root/lib", "root/proc", "root/tmp"):
        os.mkdir(f"{top}/{directory}")
    for name, path in programs.items():
        shutil.copy(path, f"{top}/root/{name}")
    for name in LIBRARIES:
        shutil.copy(library(name), f"{top}/root/lib/{name}")
    Path(f"{top}/root/ops64").write_bytes(guest_programs()["ops"])
    texts = {
        "root/file": "covered", "host/file": "b:file", "host/f": "b:f", "root/s32": "#!/pie one two\n", "root/s64": "#!/ops64 argument\n",
        "root/s32s": "#!/s64\n", "root/s64s": "#!/s32\n",
    }
    for name, text in texts.items():
        Path(f"{top}/{name}").write_text(text, encoding="ascii")
    for path in (Path(top) / "root").iterdir():
        if path.is_file():
            path.chmod(0o755)
    give(top)
    yield f"{top}/root"
    remove(top)


@pytest.fixture
def same(root: str, run_pyroot: Callable[..., Result], request: pytest.FixtureRequest) -> Callable[..., Result]:
    """Return a function that runs a command on both sides, compares where there is a real chroot, and returns the result."""
    pairs = [("/proc", "/proc"), (f"{root}/../host", "/b"), (f"{root}/../host/file", "/file")]
    real_chroot = request.getfixturevalue("real_chroot") if os.geteuid() == 0 else None

    def call(*command: str, text: bytes = b"") -> Result:
        words = [word for host, guest in pairs for word in ("-b", f"{host}:{guest}")]
        result = run_pyroot(["-r", root, "-w", "/", *words, *command], text=text, environment=ENVIRONMENT)
        if real_chroot is not None:
            assert result == real_chroot(root, list(command), pairs, text=text, environment=ENVIRONMENT)
        return result

    return call


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_kind_of_call_leaves_all_registers_but_eax_alone(same: Callable[..., Result], entry: str) -> None:
    lines = checked_lines(same(*f"/{entry} all".split()), "pyroot")
    assert len(lines) > 50


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("call", ["open", "connect"])
def test_restarted_call_finds_its_own_path_again(same: Callable[..., Result], entry: str, call: str) -> None:
    """Also the call that stands for a socketcall."""
    checked_lines(same(*f"/{entry} signal-{call} 60".split()), "pyroot")


@pytest.mark.parametrize("entry", ENTRIES)
def test_registers_are_kept_without_a_filter(
    root: str, run_pyroot: Callable[..., Result], entry: str
) -> None:
    environment = {**ENVIRONMENT, "PYROOT_NO_SECCOMP": "1"}
    words = ["-r", root, "-w", "/", "-b", "/proc", "-b", f"{root}/../host:/b", "-b", f"{root}/../host/file:/file"]
    result = run_pyroot([*words, *f"/{entry} all".split()], environment=environment)
    checked_lines(result, "pyroot")


KINDS = ["static", "static-pie", "dynamic", "pie", "exec-stack", "huge-align", "s32", "s64", "s32s", "s64s"]


@pytest.mark.parametrize("kind", KINDS)
def test_program_sees_of_its_start_what_execve_gives(same: Callable[..., Result], kind: str) -> None:
    result = same(f"/{kind}", "", "two words")
    assert result.status == 7
    assert "exec argv=" in result.stdout


@pytest.mark.parametrize("first", ["static", "ops64"])
def test_exec_from_one_width_to_the_other(same: Callable[..., Result], first: str) -> None:
    program = "".join(f'clone 0x4100 1\nexecve "/{second}" ["zero" "" "one"] ["A=b" "C=d"]\n' for second in KINDS)
    result = same(f"/{first}", "--program", text=program.encode())
    assert result.stdout.count("exec argv=") == len(KINDS), result


def test_exec_by_int_80_from_a_64_bit_program(same: Callable[..., Result], root: str) -> None:
    """argv and envp are then arrays of 32-bit pointers."""
    source = compiled("exec80.c", "exec80", *FIXED)
    shutil.copy(source, f"{root}/exec80")
    for target in ("/pie", "/ops64", "/s64s"):
        result = same("/exec80", target)
        assert 'argv="' in result.stdout, result
        assert '"second"' in result.stdout


@pytest.mark.parametrize("program", ["mixed32", "mixed64"])
def test_far_jump_to_code_of_the_other_width(same: Callable[..., Result], program: str) -> None:
    """64-bit calls of a 32-bit program, and int 0x80 from the 32-bit code of a 64-bit program."""
    assert same(f"/{program}").stdout.splitlines() == ["/b/f 3 b:f", "/file 6 b:file", "/w/../b/f 3 b:f", "/nowhere -2", "/b/../b/f 3 b:f"]


def test_32_bit_program_is_no_tracer(root: str, run_pyroot: Callable[..., Result]) -> None:
    """The structures of its ptrace(2) are not ours: it is refused before anything is written."""
    assert run_pyroot(["-r", root, "-w", "/", "/mixed32", "tracer"]).stdout.splitlines() == ["me 1", "seize 1"]


@pytest.mark.skipif(bool(helpers.have("strace")), reason="needs strace")
def test_64_bit_tracer_sees_the_calls_of_a_32_bit_program(run_pyroot: Callable[..., Result], guest_directory: str) -> None:
    """As it made them: no path of the host, no loader."""
    probe = f"{guest_directory}/mixed32"
    shutil.copy(compiled("mixed.c", "mixed32", *FIXED, "-pthread", "-m32"), probe)
    words = ["-r", "/", "-b", f"{guest_directory}:/opt", "strace", "-f", "-o", f"{guest_directory}/log", "/opt/mixed32", "tracer"]
    result = run_pyroot([*words[:-1], "code"])
    log = Path(f"{guest_directory}/log").read_text(encoding="utf-8")
    assert 'execve("/opt/mixed32", ["/opt/mixed32", "code"]' in log, (log, result)
    assert guest_directory not in log
    assert 'open("/nowhere", O_RDONLY)' in log


def test_threads_make_their_first_int_80_at_the_same_time(same: Callable[..., Result]) -> None:
    for _ in range(3):
        assert same("/mixed64", "threads").stdout == "failed 0 handled 1\n"


@pytest.mark.parametrize("options", [["-static"], ["-static-pie", "-fPIE"], ["-no-pie", "-fno-pie"], ["-pie", "-fPIE"]], ids=" ".join)
def test_heap_works_where_prctl_refuses_to_move_it(root: str, run_pyroot: Callable[..., Result], options: list[str]) -> None:
    shutil.copy(compiled("machine.c", "machine32", "-m32", *options), f"{root}/heap")
    result = run_pyroot(["-r", root, "-w", "/", "-b", "/proc", "/mixed32", "nomm", "/heap", "maps"])
    assert result.stdout.startswith("sbrk grows 1\n"), result
    assert "[heap]" in result.stdout


@pytest.mark.parametrize("variables", [{}, {"PYROOT_NO_HANDOVER": "1"}, {"PYROOT_NO_HANDOVER": "1", "PYROOT_NO_SECCOMP": "1"}],
                         ids=["one", "two", "two-without-filter"])  # fmt: skip
@pytest.mark.parametrize("entry", [*ENTRIES, "pie x"])
def test_pyroot_inside_pyroot(root: str, pyroot_words: list[str], entry: str, variables: dict[str, str]) -> None:
    """The outer one serves both, or the loaders of both make room for each other."""
    words = ["-r", root, "-w", "/", "-b", "/proc", "-b", f"{root}/../host:/b", "-b", f"{root}/../host/file:/file"]
    environment = {**helpers.pyroot_command()[1], **ENVIRONMENT, "PATH": "/usr/bin:/bin", **variables}
    result = helpers.run([*nested_words(pyroot_words, 1), *pyroot_words, *words, *f"/{entry} all".split()], environment=environment)
    if entry in ENTRIES:
        checked_lines(result, "pyroot")
    else:
        assert result.status == 7, result


@pytest.mark.parametrize("program", ["mixed32", "mixed64"])
def test_path_that_a_handler_puts_into_the_restarted_call_is_the_guest_s(
    root: str, run_pyroot: Callable[..., Result], program: str
) -> None:
    """It is translated as any other: the host's file has no such name there (ENOENT)."""
    words = ["-r", root, "-w", "/", "-b", f"{root}/../host:/b"]
    result = run_pyroot([*words, f"/{program}", "escape", f"{root}/../host/f"])
    assert result.stdout == "open 2\n"


LAYOUTS = ["-R", "-L", "-RL", "-3", "-R3"]


@pytest.mark.skipif(bool(helpers.have("setarch")), reason="needs setarch (Debian: util-linux)")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_the_address_space(root: str, pyroot_words: list[str], layout: str) -> None:
    """Without randomisation, growing upwards, and with 3 GiB."""
    environment = {**helpers.pyroot_command()[1], **ENVIRONMENT, "PATH": os.environ["PATH"]}
    for kind in ("static", "static-pie", "dynamic", "pie"):
        words = ["setarch", layout, "--", *pyroot_words, "-r", root, "-w", "/", "-b", "/proc", f"/{kind}"]
        result = helpers.run(words, environment=environment)
        assert "exec argv=" in result.stdout, result
        # a static PIE lies among the mappings, above its heap
        assert kind == "static-pie" or " heap=1 " in result.stdout, result


def test_elf_file_of_the_wrong_kind_is_refused(same: Callable[..., Result], root: str) -> None:
    whole = Path(f"{root}/pie").read_bytes()
    damaged = {
        "cut": whole[:50], "no-headers": whole[:44] + b"\0\0" + whole[46:], "size": whole[:42] + b"\x38\0" + whole[44:],
        "type": whole[:16] + b"\1\0" + whole[18:], "mips": whole[:18] + b"\x08\0" + whole[20:], "x32": whole[:18] + b"\x3e\0" + whole[20:],
        "interpreter": whole.replace(b"/lib/ld-linux.so.2\0", b"/ops64\0".ljust(19, b"\0"), 1),
        "missing": whole.replace(b"/lib/ld-linux.so.2\0", b"/lib/ld-linux.so.9\0", 1),
    }
    program = ""
    for name, content in damaged.items():
        path = Path(f"{root}/w/bad-{name}")
        path.write_bytes(content)
        path.chmod(0o755)
        program += f'execve "/w/bad-{name}" ["x"] []\n'
    for first in ("/static", "/ops64"):
        result = same(first, "--program", text=program.encode())
        assert result.stdout.count("execve = -") == len(damaged), result


def test_program_from_before_gnu_stack_may_execute_what_it_may_read(same: Callable[..., Result], root: str) -> None:
    """Without PT_GNU_STACK READ_IMPLIES_EXEC is set (elf_read_implies_exec): code in segments that are only readable runs."""
    content = bytearray(Path(f"{root}/static").read_bytes())
    offset, count = struct.unpack_from("<I", content, 28)[0], struct.unpack_from("<H", content, 44)[0]
    for at in range(offset, offset + 32 * count, 32):
        kind, flags = struct.unpack_from("<I20xI", content, at)
        if kind == 0x6474E551:
            struct.pack_into("<I", content, at, 0)
        elif kind == 1 and flags == 5:
            struct.pack_into("<I", content, at + 24, 4)
    path = Path(f"{root}/w/old")
    path.write_bytes(content)
    path.chmod(0o755)
    assert "exec argv=" in same("/w/old").stdout


def test_personality_decides_what_uname_says(same: Callable[..., Result], root: str) -> None:
    shutil.copy(compiled("machine.c", "machine32", "-m32", "-static"), f"{root}/machine32")
    assert same("/machine32").stdout.splitlines()[-1] == "i686"
    assert same("/machine32", "room").stdout == "room 1\n", "the arena divides the address space"


@pytest.mark.parametrize("machine", [3, 6])
def test_both_machines_of_the_kernel_run(same: Callable[..., Result], root: str, machine: int) -> None:
    """EM_386 and EM_486 (elf_check_arch_ia32)."""
    whole = Path(f"{root}/static").read_bytes()
    path = Path(f"{root}/w/machine-{machine}")
    path.write_bytes(whole[:18] + bytes([machine, 0]) + whole[20:])
    path.chmod(0o755)
    assert "exec argv=" in same(f"/w/machine-{machine}").stdout


def test_heap_and_address_space_are_a_32_bit_program_s(root: str, run_pyroot: Callable[..., Result]) -> None:
    """The heap lies behind the program, the vdso is mapped, nothing of the loader is left."""
    shutil.copy(compiled("machine.c", "maps32", "-m32", "-no-pie", "-fno-pie"), f"{root}/maps32")
    lines = run_pyroot(["-r", root, "-w", "/", "-b", "/proc", "/maps32", "maps"]).stdout.splitlines()
    ranges = [(int(line.split("-")[0], 16), line) for line in lines if "-" in line.split(" ")[0]]
    heap = next(start for start, line in ranges if "[heap]" in line)
    assert 0x08048000 < heap < 0x08048000 + (64 << 20)
    assert any("[vdso]" in line for _, line in ranges)
    assert ranges[0][0] >= 0x08048000
    assert "sbrk grows 1" in lines
    assert not [line for line in lines if "pyroot" in line or " /memfd:" in line]


@pytest.mark.skipif(not (PROJECT / "setup.py").exists(), reason="no source tree here")
def test_build_without_a_32_bit_compiler_leaves_only_its_loader_out(tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\nfor word; do [ "$word" != -m32 ] || exit 1; done\nexec gcc "$@"\n', encoding="ascii")
    compiler.chmod(0o755)
    code = (
        f"import sys; sys.path.insert(0, {str(PROJECT / 'pyroot' / 'guest')!r}); import build\n"
        f"print(build.build({str(tmp_path)!r}, {shlex.quote(str(compiler))!r}))\n"
        f"print(build.build({str(tmp_path)!r}, {shlex.quote(str(compiler))!r}, 'i386'))\n"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert made.stdout == f"{tmp_path}/loader-x86_64\n"
    assert "CalledProcessError" in made.stderr
    assert not (tmp_path / "loader-i386").exists()


def test_pyroot_without_the_loader_says_so(root: str, pyroot_words: list[str], tmp_path: Path) -> None:
    """exec of a 32-bit program is then ENOEXEC, and pyroot explains it."""
    directory = helpers.core_directory()
    copy = Path(directory_for_user())
    try:
        shutil.copytree(f"{directory}/pyroot", copy / "pyroot", ignore=shutil.ignore_patterns("loader-i386*", "__pycache__"))
        give(str(copy))
        environment = {**helpers.pyroot_command()[1], "PATH": "/", "PYTHONPATH": str(copy)}
        interpreter = helpers.ordinary_user.interpreter[0]
        words = [interpreter, "-m", "pyroot", "-v", "1", "-r", root, "-w", "/"]
        result = helpers.run([*words, "/pie"], environment=environment)
        assert result.status == 126
        assert "32-bit programs will give ENOEXEC" in result.stderr
        assert "built without the loader for these" in result.stderr
        result = helpers.run([*words, "/ops64", "--program"], environment=environment, text=b'execve "/pie" ["x"] []\n')
        assert "execve = -8" in result.stdout
    finally:
        remove(str(copy))


def test_missing_32_bit_interpreter_is_named(root: str, run_pyroot: Callable[..., Result]) -> None:
    os.rename(f"{root}/lib/ld-linux.so.2", f"{root}/lib/aside")
    try:
        result = run_pyroot(["-r", root, "-w", "/", "/pie"])
    finally:
        os.rename(f"{root}/lib/aside", f"{root}/lib/ld-linux.so.2")
    assert result.status == 127
    assert "its ELF interpreter /lib/ld-linux.so.2: not in the guest" in result.stderr
