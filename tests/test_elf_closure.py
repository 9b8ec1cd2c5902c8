"""Closures held against the loaders themselves: ld.so, musl's loader, and lddtree.

glibc's own answer is what `ld.so --list PROGRAM` prints: it maps the objects and runs nothing of them.
"""
from __future__ import annotations

import os
import random
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pyroot.elf import Closure, ElfError, Item, Rooted, closure, read_elf
from pyroot.elf.closure import ELF_INTERPRETER, ENV_PROGRAM, LIBRARY, PROGRAM, SCRIPT_INTERPRETER
from pyroot.elf.processor import levels, this_processor

SAMPLE = 60
CC = shutil.which("gcc") or shutil.which("cc")
MUSL_CC = shutil.which("musl-gcc")
MUSL_LOADER = next((str(path) for path in sorted(Path("/lib").glob("ld-musl-*.so.1"))), None)

needs_cc = pytest.mark.skipif(CC is None, reason="no C compiler (Debian: gcc)")
needs_musl = pytest.mark.skipif(MUSL_CC is None or MUSL_LOADER is None, reason="no musl-gcc (Debian: musl-tools)")

Builder = Callable[..., Path]


def host_programs() -> list[str]:
    """List this host's dynamically linked glibc programs, by their canonical paths."""
    found: set[str] = set()
    for directory in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"):
        for entry in os.scandir(directory) if os.path.isdir(directory) else ():
            found.add(os.path.realpath(entry.path))
    programs: list[str] = []
    for path in sorted(found):
        try:
            elf = read_elf(path)
        except (OSError, ElfError):
            continue
        if elf.interp is not None and b"ld-linux" in elf.interp:
            programs.append(path)
    return programs


def as_loader_sees(program: str, loader: str | None = None) -> tuple[set[str], set[str]]:
    """Give the paths that the program's loader would map, and the names that it misses. Nothing is run."""
    interp = loader or os.fsdecode(read_elf(program).interp or b"")
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    done = subprocess.run([interp, "--list", program], capture_output=True, text=True, env=environment, check=False)
    return parse_ldd(done.stdout, interp)


def by_running(program: str) -> tuple[set[str], set[str]]:
    """Like `as_loader_sees`, by way of the kernel: only for programs that this test made itself."""
    environment = {"LD_TRACE_LOADED_OBJECTS": "1", "LC_ALL": "C"}
    done = subprocess.run([program], capture_output=True, text=True, env=environment, check=False)
    return parse_ldd(done.stdout, os.fsdecode(read_elf(program).interp or b""))


def parse_ldd(text: str, interp: str) -> tuple[set[str], set[str]]:
    """Read the lines of ldd. The loader itself goes by several names, so it is left out."""
    paths: set[str] = set()
    missing: set[str] = set()
    for line in text.splitlines():
        match = re.match(r"\t(\S+|/.+?)(?: => (not found|.+?))?(?: \(0x[0-9a-f]+\))?$", line)
        if match is None or "linux-vdso" in line or "linux-gate" in line:
            continue
        if match[2] == "not found":
            missing.add(match[1])
        else:
            paths.add(match[2] or match[1])
    return {path for path in paths if not same(path, interp)}, missing


def same(one: str, two: str) -> bool:
    """Tell whether two paths are one file."""
    return os.path.exists(one) and os.path.exists(two) and os.path.samefile(one, two)


def as_we_see(program: str, items: Sequence[Item] | None = None) -> tuple[set[str], set[str]]:
    """Give our answer in the form of `as_loader_sees`."""
    if items is None:
        items = closure([program])
    libraries = [item for item in items if item.why == LIBRARY]
    return (
        {os.fsdecode(item.path) for item in libraries if not item.missing},
        {os.fsdecode(item.path) for item in libraries if item.missing},
    )


def test_host_programs_need_what_ld_so_lists() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    programs = host_programs()
    if not programs:
        pytest.skip("this host has no program that uses glibc's loader")
    for program in random.Random(seed).sample(programs, min(SAMPLE, len(programs))):
        assert as_we_see(program) == as_loader_sees(program), program


def test_host_programs_need_what_lddtree_lists() -> None:
    lddtree = shutil.which("lddtree")
    if lddtree is None:
        pytest.skip("lddtree is missing (Debian: pax-utils)")
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    programs = host_programs()
    chosen = random.Random(seed).sample(programs, min(SAMPLE // 3, len(programs)))  # it takes its time
    script = Path(lddtree).read_bytes()[:64].split(b"\n")[0]
    command = [sys.executable, lddtree] if b"python" in script else [lddtree]
    for program in chosen:
        done = subprocess.run([*command, "-l", program], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"lddtree does not work here: {done.stderr.strip()[-200:]}")
        theirs = {os.path.realpath(line) for line in done.stdout.splitlines() if line.startswith("/")}
        ours = {os.path.realpath(item.path).decode() for item in closure([program]) if not item.missing}
        assert ours == theirs, program


# --- programs made for the purpose ----------------------------------------------------------------------------------


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """Give a function that compiles `name` (a library when it ends like one) linked with the given libraries."""

    def make(name: str, *libraries: Path, flags: Sequence[str] = (), cc: str | None = CC, code: str = "") -> Path:
        assert cc is not None
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        source = tmp_path / "source.c"
        shared = ".so" in path.name
        symbol = re.sub(r"\W", "_", path.name)
        source.write_text(code or (f"int {symbol}(void) {{ return 0; }}" if shared else "int main(void) { return 0; }"))
        kind = ["-shared", "-fPIC", f"-Wl,-soname,{path.name}"] if shared else []
        needed = ["-Wl,--no-as-needed", *map(str, libraries)] if libraries else []
        # The linker must find indirect libraries only when it is told to complain about them.
        command = [cc, *kind, "-o", str(path), str(source), *needed, "-Wl,--allow-shlib-undefined", *flags]
        subprocess.run(command, check=True, capture_output=True)
        return path

    return make


def rpath(*directories: str, old: bool = False) -> list[str]:
    """Give the flags for a DT_RUNPATH, or with `old` a DT_RPATH."""
    return [f"-Wl,-rpath,{':'.join(directories)}", "-Wl,--disable-new-dtags" if old else "-Wl,--enable-new-dtags"]


@needs_cc
def test_runpath_with_origin_is_followed_for_the_object_itself_only(build: Builder) -> None:
    inner = build("libs/inner/libinner.so.1")
    outer = build("libs/libouter.so.1", inner)
    program = build("bin/program", outer, flags=rpath("/nowhere", "${ORIGIN}/../libs", "$ORIGIN/../libs/inner"))
    ours = as_we_see(str(program))
    assert ours == by_running(str(program))
    assert ours[1] == {"libinner.so.1"}, "DT_RUNPATH of the program does not serve its libraries"


@needs_cc
def test_rpath_is_inherited_from_every_loader(build: Builder) -> None:
    inner = build("libs/inner/libinner.so.1")
    outer = build("libs/libouter.so.1", inner)
    program = build("bin/program", outer, flags=rpath("$ORIGIN/../libs", "$ORIGIN/../libs/inner", old=True))
    ours = as_we_see(str(program))
    assert ours == by_running(str(program))
    assert not ours[1]


@needs_cc
def test_rpath_is_ignored_beside_runpath(build: Builder, tmp_path: Path) -> None:
    inner = build("inner/libinner.so.1")
    middle = build("libs/libmiddle.so.1", inner, flags=rpath("/nowhere"))
    program = build("program", middle, flags=rpath(f"{tmp_path}/libs", f"{tmp_path}/inner", old=True))
    ours = as_we_see(str(program))
    assert ours == by_running(str(program))
    assert ours[1] == {"libinner.so.1"}


@needs_cc
def test_origin_of_a_program_behind_a_link_is_the_real_directory(build: Builder, tmp_path: Path) -> None:
    library = build("app/lib/libown.so.1")
    build("app/bin/program", library, flags=rpath("$ORIGIN/../lib"))
    (tmp_path / "link").symlink_to("app/bin/program")
    assert as_we_see(str(tmp_path / "link")) == by_running(str(tmp_path / "link"))
    assert not as_we_see(str(tmp_path / "link"))[1]


@needs_cc
def test_origin_of_a_library_behind_a_link_is_the_directory_of_the_link(build: Builder, tmp_path: Path) -> None:
    inner = build("real/libinner.so.1")
    outer = build("real/libouter.so.1", inner, flags=rpath("$ORIGIN"))
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/libouter.so.1").symlink_to("../real/libouter.so.1")
    program = build("program", outer, flags=rpath(f"{tmp_path}/linked"))
    ours = as_we_see(str(program))
    assert ours == by_running(str(program))
    assert ours[1] == {"libinner.so.1"}


@needs_cc
def test_lib_and_platform_tokens_are_those_of_this_loader(build: Builder, tmp_path: Path) -> None:
    library = build("plain/libtoken.so.1")
    closure_object = Closure(Rooted("/"))
    program = build("program", library, flags=rpath(f"{tmp_path}/a/$LIB/${{PLATFORM}}"))
    for lib in ("lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"):
        for platform in (os.uname().machine, "haswell", "xeon_phi"):
            place = tmp_path / "a" / lib / platform
            place.mkdir(parents=True)
            shutil.copy(library, place)
    closure_object.add_program(bytes(program))
    assert as_we_see(str(program), closure_object.items) == by_running(str(program))


@needs_cc
def test_library_of_another_machine_is_passed_over(build: Builder, tmp_path: Path) -> None:
    library = build("good/libown.so.1")
    wrong = bytearray(library.read_bytes())
    struct.pack_into("=H", wrong, 18, 40 if sys.byteorder == "little" else 40 << 8)
    narrow = bytearray(library.read_bytes())
    narrow[4] = 1
    for name, content in (("wrong", wrong), ("narrow", narrow)):
        (tmp_path / name).mkdir()
        (tmp_path / name / library.name).write_bytes(content)
    program = build("program", library, flags=rpath(*(f"{tmp_path}/{name}" for name in ("wrong", "narrow", "good"))))
    assert as_we_see(str(program)) == by_running(str(program))
    assert str(library) in as_we_see(str(program))[0]


@needs_cc
def test_text_in_the_place_of_a_library_is_the_problem_that_is_told(build: Builder, tmp_path: Path) -> None:
    library = build("good/libown.so.1")
    program = build("program", library, flags=rpath(f"{tmp_path}/text", f"{tmp_path}/good"))
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / library.name).write_text("/* GNU ld script */\n" * 9)
    missing = [item for item in closure([str(program)]) if item.missing]
    assert [item.path for item in missing] == [b"libown.so.1"]
    assert "text/libown.so.1 is not an ELF file" in missing[0].problem
    assert missing[0].needed_by == bytes(program)


@needs_cc
def test_soname_of_a_loaded_library_answers_for_the_name(build: Builder, tmp_path: Path) -> None:
    first = build("one/libsame.so.1")
    shutil.copy(first, tmp_path / "libother.so")
    user = build("libuser.so.1", first)
    # The program names one file by its path; its DT_SONAME is what the library asks for.
    program = build("program", user, flags=rpath(str(tmp_path)))
    data = program.read_bytes()
    assert b"libuser.so.1" in data
    other = build("second", tmp_path / "libother.so", user, flags=rpath(str(tmp_path), f"{tmp_path}/one"))
    for one in (program, other):
        assert as_we_see(str(one)) == by_running(str(one)), one


@needs_cc
def test_library_named_by_its_path_is_taken_from_there(build: Builder, tmp_path: Path) -> None:
    library = build("x/libown.so.1", flags=["-Wl,-soname,$ORIGIN/x/libown.so.1"])
    program = build("program", library)
    assert as_we_see(str(program)) == by_running(str(program))
    assert as_we_see(str(program))[0] >= {f"{tmp_path}/x/libown.so.1"}


@needs_cc
def test_auxiliary_library_is_taken_when_it_is_there(build: Builder, tmp_path: Path) -> None:
    build("libs/libaux.so.1")
    present = build("libs/libpresent.so.1", flags=["-Wl,--auxiliary,libaux.so.1", *rpath("$ORIGIN")])
    absent = build("libs/libabsent.so.1", flags=["-Wl,--auxiliary,libnone.so.1"])
    program = build("program", present, absent, flags=rpath(f"{tmp_path}/libs"))
    ours = as_we_see(str(program))
    assert ours[0] == by_running(str(program))[0]
    assert f"{tmp_path}/libs/libaux.so.1" in ours[0]
    assert not ours[1], "an auxiliary library may be missing, though ldd shows it so"


@needs_cc
def test_glibc_hwcaps_win_and_the_plain_file_comes_along(build: Builder, tmp_path: Path) -> None:
    shell = read_elf(os.path.realpath("/bin/sh"))
    known = levels(Path(os.fsdecode(shell.interp or b"")).read_bytes(), shell.identity, this_processor())
    if not known:
        pytest.skip("this glibc is older than glibc-hwcaps, or has none for this processor")
    library = build("libs/libown.so.1")
    best = os.fsdecode(known[0])
    build(f"libs/glibc-hwcaps/{best}/libown.so.1")
    program = build("program", library, flags=rpath(f"{tmp_path}/libs"))
    items = closure([str(program)])
    assert as_we_see(str(program), items) == by_running(str(program))
    assert [item.path for item in items if b"libown" in item.path] == [
        os.fsencode(f"{tmp_path}/libs/glibc-hwcaps/{best}/libown.so.1"), bytes(library),
    ]


@needs_cc
def test_missing_library_names_who_needs_it(build: Builder, tmp_path: Path) -> None:
    inner = build("libinner.so.1")
    outer = build("libouter.so.1", inner, flags=rpath("$ORIGIN"))
    program = build("program", outer, flags=rpath("$ORIGIN"))
    inner.unlink()
    work = Closure(Rooted("/"))
    assert not work.add_program(bytes(program)).missing
    missing = [item for item in work.items if item.missing]
    assert [(item.path, item.needed_by) for item in missing] == [(b"libinner.so.1", bytes(outer))]
    assert [item.path for item in work.programs_over(missing[0])] == [bytes(outer), bytes(program)]


@needs_cc
def test_static_program_needs_nothing(build: Builder) -> None:
    try:
        program = build("program", flags=["-static"])
    except subprocess.CalledProcessError:
        pytest.skip("no static libc (Debian: libc6-dev)")
    assert [(item.path, item.why) for item in closure([str(program)])] == [(bytes(program), PROGRAM)]


@needs_cc
def test_interpreter_that_is_missing_or_foreign_is_told(build: Builder, tmp_path: Path) -> None:
    program = build("program", flags=["-Wl,--dynamic-linker=/nowhere/ld.so"])
    missing = [item for item in closure([str(program)]) if item.missing]
    assert [(item.path, item.why, item.needed_by) for item in missing] == [
        (b"/nowhere/ld.so", ELF_INTERPRETER, bytes(program))
    ]
    other = bytearray(Path("/bin/sh").read_bytes())
    struct.pack_into("=H", other, 18, 40)
    (tmp_path / "other").write_bytes(other)
    missing = [item for item in closure([str(tmp_path / "other")]) if item.missing]
    assert missing and missing[0].why == ELF_INTERPRETER and "the program is 64-bit ARM" in missing[0].problem


# --- musl -----------------------------------------------------------------------------------------------------------


@needs_musl
def test_musl_program_needs_what_its_loader_lists(build: Builder, tmp_path: Path) -> None:
    inner = build("libs/inner/libinner.so.1", cc=MUSL_CC)
    outer = build("libs/libouter.so.1", inner, cc=MUSL_CC)
    program = build("bin/program", outer, cc=MUSL_CC, flags=rpath("${ORIGIN}/../libs", "$ORIGIN/../libs/inner"))
    items = closure([str(program)])
    theirs = as_loader_sees(str(program), MUSL_LOADER)
    named = {os.path.realpath(path) for path in theirs[0]}
    assert {os.path.realpath(path) for path in as_we_see(str(program), items)[0]} == named
    assert not [item for item in items if item.missing], "musl inherits DT_RUNPATH from the loaders"
    assert any(item.why == "search path of musl" for item in items) == any(Path("/etc").glob("ld-musl-*.path"))


@needs_musl
def test_musl_takes_a_library_from_its_path_file(build: Builder, tmp_path: Path) -> None:
    root = tmp_path / "root"
    library = build("root/opt/libown.so.1", cc=MUSL_CC)
    program = build("root/bin/program", library, cc=MUSL_CC)
    interp = os.fsdecode(read_elf(str(program)).interp or b"")
    (root / interp.lstrip("/")).parent.mkdir(parents=True)
    shutil.copy(interp, root / interp.lstrip("/"))
    assert [item.path for item in closure(["/bin/program"], root) if item.missing] == [b"libown.so.1"]
    (root / "etc").mkdir()
    arch = Path(interp).name.split(".")[0]
    (root / f"etc/{arch}.path").write_text("/nowhere:/opt\n")
    items = closure(["/bin/program"], root)
    assert not [item for item in items if item.missing]
    assert (b"/opt/libown.so.1", "musl's search path") in {(item.path, item.how) for item in items}


# --- scripts and roots ----------------------------------------------------------------------------------------------


def script(path: Path, text: str) -> Path:
    """Write an executable script."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_script_brings_its_interpreter_and_what_env_runs(tmp_path: Path) -> None:
    path = script(tmp_path / "script", "#! /usr/bin/env  sh\n")
    whys = {item.why: item.path for item in closure([str(path)], search_path="/usr/bin:/bin")}
    assert whys[SCRIPT_INTERPRETER] == b"/usr/bin/env"
    assert whys[ENV_PROGRAM] == b"/usr/bin/sh" or whys[ENV_PROGRAM] == b"/bin/sh"
    assert ELF_INTERPRETER in whys


def test_script_of_a_script_is_followed(short_directory: str) -> None:
    inner = script(Path(short_directory, "inner"), "#!/bin/sh -e\n")
    outer = script(Path(short_directory, "outer"), f"#!{inner}\n")
    items = closure([str(outer)])
    assert [item.path for item in items[:3]] == [bytes(outer), bytes(inner), b"/bin/sh"]


@pytest.mark.parametrize(("line", "missing", "problem"), [
    ("#!/bin/sh\r\n", b"/bin/sh\r", "does not exist"), ("#!/usr/bin/env nosuch\n", b"nosuch", "not found in PATH"),
    ("#!sh\n", b"sh", "not an absolute path"), ("#!/usr/bin\n", b"/usr/bin", "is a directory"),
])
def test_broken_script_names_what_its_line_asks_for(tmp_path: Path, line: str, missing: bytes, problem: str) -> None:
    items = [item for item in closure([str(script(tmp_path / "script", line))]) if item.missing]
    assert [item.path for item in items] == [missing]
    assert problem in items[0].problem


def test_endless_scripts_end(short_directory: str) -> None:
    path = Path(short_directory, "script")
    script(path, f"#!{path}\n")
    assert [(item.path, item.problem) for item in closure([str(path)])] == [
        (bytes(path), ""), (bytes(path), "is a script that this one is to interpret"),
    ]  # fmt: skip


@needs_cc
def test_everything_is_found_inside_another_root(build: Builder, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("/usr/lib")
    (root / "lib64").symlink_to("usr/lib")
    (root / "etc").mkdir()
    library = build("root/opt/libown.so.1")
    program = build("root/bin/program", library)
    interp = read_elf(str(program)).interp
    assert interp is not None
    libc = next(item for item in closure([str(program)]) if item.path.endswith(b"libc.so.6"))
    for source in (interp, libc.path):
        place = root / "usr/lib" / os.path.basename(os.fsdecode(source))
        shutil.copy(os.fsdecode(source), place)
    if not interp.startswith((b"/lib/", b"/lib64/")):
        pytest.skip("the loader of this host lies in an unusual place")
    items = closure(["program"], root)
    assert [item.path for item in items if item.missing] == [b"libown.so.1"]
    (root / "etc/ld.so.conf").write_text("/opt\n")
    items = closure([b"program"], bytes(root))
    assert not [item for item in items if item.missing]
    assert {item.path: item.how for item in items}[b"/opt/libown.so.1"] == "ld.so.conf"
    assert all(item.trace is not None and (root / os.fsdecode(item.trace.real)[1:]).exists() for item in items)
