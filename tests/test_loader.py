# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest loader against the kernel's own execve(2).

Needs no pyroot core: a small tracer (``guest/loader_tracer.c``) does for one execve what the supervisor does. What a
program sees is printed by ``guest/loader_probe.c`` and compared with a native run of the same file.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyroot.guest.layout import X86_64 as PLACES
from pyroot.guest.layout import Shared

HERE = Path(__file__).resolve().parent
GUEST = HERE.parent / "pyroot" / "guest"
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_GNU_STACK = 1, 2, 3, 0x6474E551
BASE, INFO, BRK = PLACES.LOADER_STUBS, PLACES.LOADER_INFO, PLACES.LOADER_BRK
AT_PHDR, AT_BASE, AT_ENTRY, AT_SYSINFO_EHDR = "aux_3", "aux_7", "aux_9", "aux_33"
KILLED = 128 + 9
SEGMENTATION = 128 + 11

pytestmark = [
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the loader exists for x86_64 only"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc (Debian: gcc libc6-dev)"),
    pytest.mark.timeout(60),
]


def program_headers(elf: bytes) -> list[tuple[int, ...]]:
    """Return (type, flags, offset, vaddr, paddr, filesz, memsz, align) of every program header."""
    (offset,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    return [struct.unpack_from("<IIQQQQQQ", elf, offset + i * size) for i in range(count)]


def interpreter(path: Path) -> str | None:
    elf = path.read_bytes()
    for kind, _, offset, _, _, size, _, _ in program_headers(elf):
        if kind == PT_INTERP:
            return elf[offset : offset + size - 1].decode()
    return None


class Bench:
    """A directory ordinary users can read, with the loader, the tracer and what tests compile."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        spec = importlib.util.spec_from_file_location("pyroot_guest_build", GUEST / "build.py")
        assert spec is not None and spec.loader is not None
        builder = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(builder)
        self.loader = Path(builder.build(str(directory)))
        self.tracer = self.compile("loader_tracer", "tracer", "-I", str(GUEST))

    def compile(self, source: str, name: str, *flags: str, cc: str = "gcc") -> Path:
        """Compile tests/guest/SOURCE.c once under a name of its own."""
        target = self.directory / name
        if not target.exists():
            command = [cc, "-O1", "-Wall", "-Wextra", str(HERE / "guest" / f"{source}.c"), "-o", str(target), *flags]
            subprocess.run(command, check=True, timeout=50)
        return target

    def trace(
        self,
        program: Path | str,
        *argv: str,
        options: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        interp: str | None = None,
        native: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program (argv includes argv[0]) through the loader, or natively, as an ordinary user."""
        program = Path(program)
        command = [str(self.tracer), *options, "-p", str(program)]
        if native:
            command.append("-n")
        else:
            interp = interp or interpreter(program)
            command += ["-i", interp] if interp else []
        return subprocess.run(
            [*command, str(self.loader), *argv],
            env={"PATH": "/usr/bin:/bin", "LANG": "C"} if env is None else env,
            user=65534 if os.geteuid() == 0 else None,
            group=65534 if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            timeout=50,
        )

    def probe(self, program: Path, *argv: str, **how: object) -> list[str]:
        """Return the probe's lines."""
        done = self.trace(program, *argv, **how)  # type: ignore[arg-type]
        assert (done.returncode, done.stderr) == (42, "")
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    directory = tempfile.mkdtemp(prefix="pyroot-test-loader-")
    os.chmod(directory, 0o755)
    try:
        yield Bench(Path(directory))
    finally:
        shutil.rmtree(directory)


def value(lines: list[str], key: str) -> str:
    found = [line.split(" ", 1)[1] for line in lines if line.startswith(key + " ")]
    assert len(found) == 1, (key, found)
    return found[0]


def number(lines: list[str], key: str) -> int:
    return int(value(lines, key), 0)


def comparable(lines: list[str], floating: bool = False) -> list[str]:
    """Drop what legitimately differs: where vDSO and interpreter lie and the loader's own pages.

    With ``floating`` the program itself lies among the mmaps, so its addresses are taken relative to each other.
    """
    moving = (AT_PHDR, AT_ENTRY, "stat_start_code", "stat_end_code", "stat_start_data", "stat_end_data")
    origin = number(lines, AT_PHDR)
    kept = []
    for line in lines:
        key, text = line.split(" ", 1)
        if key in (AT_SYSINFO_EHDR, AT_BASE, "loader_map"):
            continue
        kept.append(f"{key} {int(text, 0) - origin:#x}" if floating and key in moving else line)
    return kept


# The file itself


def test_loader_is_small_static_and_has_exactly_the_documented_segments(bench: Bench) -> None:
    elf = bench.loader.read_bytes()
    assert len(elf) < 36864
    assert struct.unpack_from("<H", elf, 16) == (2,)  # ET_EXEC
    headers = program_headers(elf)
    assert not [header for header in headers if header[0] in (PT_DYNAMIC, PT_INTERP)]
    assert [header[1] for header in headers if header[0] == PT_GNU_STACK] == [6]
    loads = [(header[1], header[3], header[6]) for header in headers if header[0] == PT_LOAD]
    assert [(flags, address) for flags, address, _ in loads] == [
        (5, BASE),
        (6, INFO),
        (6, BRK),
    ]
    assert loads[2][2] == 0
    assert next(header[2] for header in headers if header[3] == BASE) == Shared.LOADER_FILE_CODE


def test_every_stub_begins_with_a_system_call_instruction(bench: Bench) -> None:
    elf = bench.loader.read_bytes()
    offset = next(header[2] for header in program_headers(elf) if header[0] == PT_LOAD and header[3] == BASE)
    for index in range(6):
        stub = elf[offset + 64 * index : offset + 64 * (index + 1)]
        assert stub[:2] == b"\x0f\x05"
        assert b"\xff\xe1" in stub  # jmp *%rcx


def test_build_of_an_unknown_machine_is_refused(bench: Bench) -> None:
    code = f"import sys; sys.path.insert(0, {str(GUEST)!r}); import build; build.build('.', machine='vax')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=bench.directory
    )
    assert "no guest loader for vax" in done.stderr


# The state at the first instruction, the stubs, unusual segments


def test_registers_at_the_entry_are_those_of_execve(bench: Bench) -> None:
    program = bench.compile("loader_entry", "entry", "-nostdlib", "-static", "-fno-stack-protector")
    loaded = bench.trace(program, "entry")
    assert loaded.returncode == 0
    assert loaded.stdout == bench.trace(program, "entry", native=True).stdout


def test_stubs_restore_every_register(bench: Bench) -> None:
    program = bench.compile("loader_stubs", "stubs", "-I", str(GUEST))
    assert bench.trace(program, "stubs").stdout == "all registers restored\n"


@pytest.mark.parametrize("native", [True, False])
def test_segments_with_gaps_tails_and_memory_only_parts(bench: Bench, native: bool) -> None:
    flags = "-nostdlib -static -fno-pie -no-pie -fno-stack-protector -mcmodel=large -Wl,-z,max-page-size=4096"
    script = f"-Wl,--build-id=none,-T,{HERE / 'guest' / 'loader_segments.lds'}"
    program = bench.compile("loader_segments", "segments", *flags.split(), script)
    assert bench.trace(program, "segments", native=native).returncode == 0


# Kinds of programs, compared with a native run without address randomisation

KINDS = {
    "pie": "-pie -fPIE",
    "no-pie": "-no-pie -fno-pie",
    "static": "-static -no-pie -fno-pie",
    "static-pie": "-static-pie -fPIE",
    "one-code-segment": "-pie -fPIE -Wl,-z,noseparate-code",
    "aligned-64k": "-pie -fPIE -DDATA_ALIGN=65536 -Wl,-z,max-page-size=65536",
    "aligned-2m": "-pie -fPIE -DDATA_ALIGN=2097152 -Wl,-z,max-page-size=2097152",
    "no-pie-aligned-64k": "-no-pie -fno-pie -DDATA_ALIGN=65536 -Wl,-z,max-page-size=65536",
    "huge-bss": "-pie -fPIE -DBSS_SIZE=300000000",
    "static-huge-bss": "-static -no-pie -fno-pie -DBSS_SIZE=300000000",
    "tiny-bss": "-pie -fPIE -DBSS_SIZE=1",
    "exec-stack": "-pie -fPIE -z execstack",
    "static-exec-stack": "-static -no-pie -fno-pie -z execstack",
    "high-address": "-no-pie -fno-pie -static -Wl,-Ttext-segment=0x30000000",
}


@pytest.mark.parametrize("kind", KINDS)
def test_program_sees_what_a_native_execve_gives(bench: Bench, kind: str) -> None:
    program = bench.compile("loader_probe", kind, *KINDS[kind].split())
    floating = kind == "static-pie"
    argv = (str(program), "one", "", "three words here")
    native = bench.probe(program, *argv, options=("-R",), native=True)
    loaded = bench.probe(program, *argv, options=("-R",))
    assert comparable(loaded, floating) == comparable(native, floating)
    assert value(loaded, "stack_prot") == ("rwxp" if "exec-stack" in kind else "rw-p")
    assert [line.split()[2] for line in loaded if line.startswith("loader_map")] == ["r-xs", "---p"]


@pytest.mark.skipif(shutil.which("musl-gcc") is None, reason="needs musl-gcc (Debian: musl-tools)")
@pytest.mark.parametrize("kind", ["-pie -fPIE", "-no-pie -fno-pie", "-static -no-pie", "-static-pie -fPIE"])
def test_musl_program_sees_what_a_native_execve_gives(bench: Bench, kind: str) -> None:
    program = bench.compile("loader_probe", "musl" + kind.replace(" ", ""), *kind.split(), cc="musl-gcc")
    native = bench.probe(program, "probe", "one", options=("-R",), native=True)
    loaded = bench.probe(program, "probe", "one", options=("-R",))
    floating = kind.startswith("-static-pie") and interpreter(program) is None
    assert comparable(loaded, floating) == comparable(native, floating)


@pytest.mark.skipif(shutil.which("go") is None, reason="needs go (Debian: golang-go)")
def test_static_go_program_runs(bench: Bench) -> None:
    source = bench.directory / "hello.go"
    source.write_text(
        'package main\nimport ("fmt"; "os"; "runtime")\nfunc main() {\n c := make(chan int)\n'
        " for i := 0; i < 50; i++ { go func(n int) { _ = make([]byte, 1<<20); c <- n }(i) }\n"
        " t := 0\n for i := 0; i < 50; i++ { t += <-c }\n runtime.GC()\n fmt.Println(os.Args, t)\n}\n"
    )
    cache = {"GOCACHE": str(bench.directory / "go-cache"), "GO111MODULE": "off", "CGO_ENABLED": "0", "GOFLAGS": ""}
    program = bench.directory / "hello"
    build = ["go", "build", "-o", str(program), str(source)]
    subprocess.run(build, check=True, env={**os.environ, **cache}, cwd=bench.directory, timeout=55)
    done = bench.trace(program, "hello", "a b")
    assert (done.returncode, done.stdout) == (0, "[hello a b] 1225\n")


@pytest.mark.parametrize(
    ("program", "argv", "expected"),
    [
        ("/bin/true", ["true"], ""),
        ("/bin/echo", ["echo", "a", "b  c"], "a b  c\n"),
        ("/bin/sh", ["sh", "-c", "echo $0 $1 $(/bin/echo child); exit 7", "name", "one"], "name one child\n"),
        ("/bin/bash", ["bash", "-c", "for i in 1 2; do /bin/echo $i; done | sort -r"], "2\n1\n"),
        ("/usr/bin/python3", ["python3", "-c", "import sys, threading; print(sys.argv)", "x"], "['-c', 'x']\n"),
        ("/bin/busybox", ["busybox", "echo", "hello"], "hello\n"),
        ("/bin/busybox", ["expr", "6", "*", "7"], "42\n"),
    ],
)
def test_common_program_runs(bench: Bench, program: str, argv: list[str], expected: str) -> None:
    if not os.path.exists(program):
        packages = {"/bin/busybox": "busybox-static", "/usr/bin/python3": "python3-minimal"}
        pytest.skip(f"needs {program} (Debian: {packages.get(program, 'bash')})")
    done = bench.trace(os.path.realpath(program), *argv)
    assert (done.returncode, done.stdout, done.stderr) == (7 if argv[0] == "sh" else 0, expected, "")


def test_elf_interpreter_runs_as_a_program(bench: Bench) -> None:
    linker = interpreter(Path(os.path.realpath("/bin/echo")))
    assert linker is not None
    done = bench.trace(os.path.realpath(linker), linker, "/bin/echo", "through", "it")
    assert (done.returncode, done.stdout) == (0, "through it\n")


# Arguments, scripts, names


def check_strings(lines: list[str], argv: list[str], execfn: str) -> None:
    assert number(lines, "argc") == len(argv)
    for index, text in enumerate(argv[:20]):
        assert value(lines, f"argv_{index}") == text
    assert value(lines, "aux_31") == execfn
    assert value(lines, "aux_15") == "x86_64"
    for key in ("aux_random", "auxv_saved_is_real", "stat_arg_start_is_argv0", "stat_arg_end_is_env_start"):
        assert value(lines, key) == "1", key
    for key in ("stat_args_contiguous", "stat_stack_is_argc", "argv_null", "argv_end_is_environ", "sbrk_grows"):
        assert value(lines, key) == "1", key
    assert value(lines, "cmdline") == fnv("".join(text + "\0" for text in argv).encode())


def fnv(content: bytes) -> str:
    """Return the probe's notation for a file's content: size and FNV-1a hash."""
    state = 0xCBF29CE484222325
    for byte in content:
        state = (state ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{len(content)}:{state:016x}"


PREFIXES = {
    "same-length": ["/bin/x"],
    "shorter": ["s"],
    "with-argument": ["/bin/interpreter", "-e", "./script"],
    "long": ["/" + "i" * 4000, "-" + "a" * 250, "/" + "s" * 4000],
    "longer-than-a-stack-page-run": ["/" + "x" * 4000 for _ in range(14)],
    "empty-strings": ["", "", ""],
}


@pytest.mark.parametrize("rest", [[], ["one"], ["one", "", "two words"]], ids=["alone", "one", "three"])
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("env", [{"A": "1", "B": "x" * 150}, {}], ids=["env", "no-env"])
def test_script_arguments_replace_the_first(bench: Bench, prefix: str, rest: list[str], env: dict[str, str]) -> None:
    program = bench.compile("loader_probe", "pie", *KINDS["pie"].split())
    options = ["-e", "./script"]
    for text in PREFIXES[prefix]:
        options += ["-x", text]
    lines = bench.probe(program, "./name", *rest, options=tuple(options), env=env)
    check_strings(lines, PREFIXES[prefix] + rest, "./script")
    assert value(lines, "comm") == "script"
    assert [line for line in lines if line.startswith("env ")] == [f"env {key}={env[key]}" for key in env]
    assert value(lines, "environ") == fnv("".join(f"{key}={env[key]}\0" for key in env).encode())


@pytest.mark.parametrize("prefix", [[], ["/bin/interpreter", "script"]], ids=["program", "script"])
@pytest.mark.parametrize("execfn", ["p", "/" + "long/" * 800 + "a-name-of-more-than-15-bytes"], ids=["short", "long"])
def test_path_of_any_length_becomes_execfn_and_name(bench: Bench, prefix: list[str], execfn: str) -> None:
    program = bench.compile("loader_probe", "pie", *KINDS["pie"].split())
    options = ["-e", execfn]
    for text in prefix:
        options += ["-x", text]
    lines = bench.probe(program, "zero", "one", options=tuple(options))
    check_strings(lines, [*(prefix or ["zero"]), "one"], execfn)
    assert value(lines, "comm") == execfn.rsplit("/", 1)[-1][:15]


def test_task_name_can_be_given_apart(bench: Bench) -> None:
    program = bench.compile("loader_probe", "pie", *KINDS["pie"].split())
    lines = bench.probe(program, "zero", options=("-e", "/dev/fd/5", "-c", "true-name"))
    assert (value(lines, "comm"), value(lines, "aux_31")) == ("true-name", "/dev/fd/5")


@pytest.mark.parametrize("prefix", [(), ("-x", "/bin/interpreter", "-x", "script")], ids=["program", "script"])
def test_thousands_of_arguments_and_a_large_environment(bench: Bench, prefix: tuple[str, ...]) -> None:
    program = bench.compile("loader_probe", "pie", *KINDS["pie"].split())
    rest = [f"argument-{index}" for index in range(5000)]
    env = {f"V{index}": "v" * 10000 for index in range(100)}
    lines = bench.probe(program, "zero", *rest, options=(*prefix, "-e", "./script"), env=env)
    check_strings(lines, [*(prefix[1::2] or ("zero",)), *rest], "./script")
    assert len([line for line in lines if line.startswith("env ")]) == 100
    assert value(lines, "environ") == fnv("".join(f"{key}={env[key]}\0" for key in env).encode())


# Address space


def test_addresses_are_random_and_within_the_kernels_ranges(bench: Bench) -> None:
    program = bench.compile("loader_probe", "pie", *KINDS["pie"].split())
    runs = [bench.probe(program, "probe") for _ in range(4)]
    entries = {number(lines, AT_ENTRY) for lines in runs}
    assert len(entries) == 4
    assert all(0x555555554000 <= entry < 0x565555600000 for entry in entries)
    distances = {number(lines, "stat_start_brk") - number(lines, AT_ENTRY) for lines in runs}
    assert len(distances) > 1
    assert all(0 < distance < 0x80000000 for distance in distances)
    for lines in runs:
        assert (value(lines, "sbrk_grows"), value(lines, "sbrk_shrinks"), value(lines, "heap_named")) == ("1", "1", "1")


def test_arena_is_shared_and_read_only(bench: Bench) -> None:
    program = bench.compile("loader_probe", "pie", *KINDS["pie"].split())
    arena = bench.directory / "arena"
    arena.write_bytes(bytes(1 << 20))
    lines = bench.probe(program, "probe", options=("-a", str(arena), "-s", str(1 << 20)))
    maps = [line.split(None, 6) for line in lines if line.startswith("loader_map")]
    assert (maps[2][1], maps[2][2], maps[2][-1]) == ("567001000000-567001100000", "r--s", str(arena))


def test_arena_without_a_file_is_private_memory(bench: Bench) -> None:
    program = bench.compile("loader_probe", "pie", *KINDS["pie"].split())
    lines = bench.probe(program, "probe", options=("-s", "65536", "-A", hex(0x567002000000)))
    maps = [line.split() for line in lines if line.startswith("loader_map")]
    assert maps[2][1:3] == ["567002000000-567002010000", "rw-p"]


@pytest.mark.parametrize("kind", ["pie", "no-pie", "static", "static-pie"])
def test_heap_works_where_the_kernel_refuses_to_move_it(bench: Bench, kind: str) -> None:
    program = bench.compile("loader_probe", kind, *KINDS[kind].split())
    lines = bench.probe(program, "probe", "one", options=("-B", "-s", str(1 << 28)))
    assert (value(lines, "sbrk_grows"), value(lines, "sbrk_shrinks")) == ("1", "1")
    assert BRK <= number(lines, "stat_start_brk") < BRK + 0x80000000


def test_program_starts_without_a_free_descriptor(bench: Bench) -> None:
    program = bench.compile("loader_entry", "entry", "-nostdlib", "-static", "-fno-stack-protector")
    arena = bench.directory / "arena-2"
    arena.write_bytes(bytes(4096))
    assert bench.trace(program, "entry", options=("-F", "-a", str(arena), "-s", "4096")).returncode == 0


# Failures: the kernel kills a process whose execve fails after the point of no return


def test_wrong_magic_number_kills(bench: Bench) -> None:
    assert bench.trace("/bin/true", "true", options=("-M",)).returncode == KILLED


def test_missing_interpreter_ends_as_in_the_kernel(bench: Bench) -> None:
    done = bench.trace(os.path.realpath("/bin/true"), "true", interp="/nonexistent/ld.so")
    assert (done.returncode, done.stdout, done.stderr) == (SEGMENTATION, "", "")


def test_missing_arena_kills(bench: Bench) -> None:
    options = ("-a", "/nonexistent/arena", "-s", "4096")
    assert bench.trace(os.path.realpath("/bin/true"), "true", options=options).returncode == KILLED


def test_occupied_arena_address_kills(bench: Bench) -> None:
    options = ("-A", hex(BASE + 0x3000), "-s", "4096")
    assert bench.trace(os.path.realpath("/bin/true"), "true", options=options).returncode == KILLED


def damaged(name: str) -> bytes:
    elf = bytearray(Path("/bin/true").read_bytes())
    if name == "empty":
        return b""
    if name == "text":
        return b"#!/bin/sh\nexit 0\n" + bytes(4096)
    if name == "cut":
        return bytes(elf[:100])
    if name == "machine":
        struct.pack_into("<H", elf, 18, 183)
    elif name == "no-headers":
        struct.pack_into("<H", elf, 56, 0)
    elif name == "headers-outside":
        struct.pack_into("<Q", elf, 32, 1 << 40)
    elif name == "huge-segment":
        index = next(i for i, header in enumerate(program_headers(bytes(elf))) if header[0] == PT_LOAD)
        struct.pack_into("<Q", elf, 64 + 56 * index + 40, 1 << 62)
    return bytes(elf)


@pytest.mark.parametrize("name", ["empty", "text", "cut", "machine", "no-headers", "headers-outside", "huge-segment"])
def test_damaged_program_ends_as_in_the_kernel(bench: Bench, name: str) -> None:
    program = bench.directory / f"damaged-{name}"
    program.write_bytes(damaged(name))
    interp = interpreter(Path(os.path.realpath("/bin/true")))
    done = bench.trace(program, "damaged", interp=interp)
    assert (done.returncode, done.stdout, done.stderr) == (SEGMENTATION, "", "")
