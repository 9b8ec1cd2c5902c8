"""The readers of ELF files and loader caches, held against the files and tools of this host."""
from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from pyroot.elf import ElfError, Rooted, read_elf
from pyroot.elf.closure import env_command
from pyroot.elf.ldcache import CacheEntry, build_cache, compare_names, conf_directories, parse_cache
from pyroot.elf.reader import Needed

LDCONFIG = shutil.which("ldconfig", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
HOST_CACHE = Path("/etc/ld.so.cache")

needs_ldconfig = pytest.mark.skipif(LDCONFIG is None, reason="ldconfig is missing (Debian: libc-bin)")
needs_cache = pytest.mark.skipif(not HOST_CACHE.exists(), reason="this host has no ld.so.cache")


def ldconfig_lines(cache: Path) -> list[str]:
    """List what ldconfig reads in a cache, without its headings."""
    assert LDCONFIG is not None
    out = subprocess.run([LDCONFIG, "-p", "-C", str(cache)], check=True, capture_output=True, text=True).stdout
    return [line.strip() for line in out.splitlines() if line.startswith("\t")]


def some_program() -> str:
    """Give a dynamic program that every host has."""
    return os.path.realpath("/bin/sh")


# --- one file -------------------------------------------------------------------------------------------------------


def test_dynamic_program_tells_interpreter_and_libraries() -> None:
    elf = read_elf(some_program())
    assert elf.identity.bits == 8 * struct.calcsize("P")
    assert elf.interp is not None and elf.interp.startswith(b"/")
    assert all(isinstance(one, Needed) and one.name for one in elf.needed)
    assert elf.dynamic


def test_program_headers_are_those_that_pyelftools_reads() -> None:
    """Of every kind of file that this host has in its usual places; a tenth of them is enough."""
    elffile = pytest.importorskip("elftools.elf.elffile", reason="pyelftools is not installed")
    looked = 0
    for directory in ("/usr/bin", "/usr/lib", f"/usr/lib/{os.uname().machine}-linux-gnu"):
        for name in sorted(os.listdir(directory) if os.path.isdir(directory) else [])[::10]:
            path = f"{directory}/{name}"
            try:
                mine = read_elf(path)
            except (ElfError, OSError):
                continue
            with open(path, "rb") as file:
                found = {segment["p_type"]: segment for segment in elffile.ELFFile(file).iter_segments()}
                interp = found["PT_INTERP"].get_interp_name() if "PT_INTERP" in found else None
                needed = [tag.needed for tag in found["PT_DYNAMIC"].iter_tags("DT_NEEDED")] if "PT_DYNAMIC" in found else []
            assert (mine.interp, [one.name for one in mine.needed if not one.optional]) == (
                interp and interp.encode(), [word.encode() for word in needed]), path  # fmt: skip
            looked += 1
    assert looked > 10


@pytest.mark.parametrize(("content", "words"), [
    (b"", "empty"), (b"#!/bin/sh\n", "not an ELF"), (b"\x7fELF", "not an ELF"),
    (b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\x3e\0", "too short"), (b"\x7fELF\x09\1" + bytes(100), "not an ELF"),
])
def test_what_is_no_elf_file_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ElfError, match=words):
        read_elf(bytes(path))


def test_fifo_directory_and_missing_file_give_oserror(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "", "missing"):
        with pytest.raises(OSError):
            read_elf(str(tmp_path / name))


def test_stripped_or_damaged_section_headers_do_not_matter(tmp_path: Path) -> None:
    content = bytearray(Path(some_program()).read_bytes())
    if content[4] != 2:
        pytest.skip("the test knows the 64-bit header only")
    content[0x28:0x30] = struct.pack("=Q", 1 << 60)
    content[0x3C:0x40] = b"\xff\xff\xff\xff"
    path = tmp_path / "program"
    path.write_bytes(content)
    assert read_elf(str(path)) == read_elf(some_program())


def test_damaged_files_give_elferror_only(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    original = Path(some_program()).read_bytes()
    elf = read_elf(some_program())
    assert elf.dynamic
    path = tmp_path / "damaged"
    for _ in range(400):
        content = bytearray(original[:rng.choice([len(original), 64, 120, 600, 4096, len(original) // 2])])
        for _ in range(rng.randint(1, 12)):
            content[rng.randrange(min(len(content), 1200))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        path.write_bytes(content)
        try:
            read_elf(str(path))
        except ElfError:
            pass


# --- ld.so.cache ----------------------------------------------------------------------------------------------------


@needs_cache
@needs_ldconfig
def test_host_cache_is_read_as_ldconfig_reads_it() -> None:
    ours = [(os.fsdecode(one.name), os.fsdecode(one.path)) for one in parse_cache(HOST_CACHE.read_bytes())]
    theirs = [(line.split(" ", 1)[0], line.rsplit("=> ", 1)[1]) for line in ldconfig_lines(HOST_CACHE)]
    assert ours == theirs


@needs_cache
@needs_ldconfig
def test_written_cache_is_read_back_by_ldconfig_in_its_own_order(tmp_path: Path) -> None:
    entries = parse_cache(HOST_CACHE.read_bytes())
    shuffled = random.Random(7).sample(entries, len(entries))
    (tmp_path / "cache").write_bytes(build_cache(shuffled))
    ours, host = ldconfig_lines(tmp_path / "cache"), ldconfig_lines(HOST_CACHE)
    assert sorted(ours) == sorted(host)
    # one library found in two directories has no order but that of the directories
    assert [line.partition(" => ")[0] for line in ours] == [line.partition(" => ")[0] for line in host]
    assert sorted(parse_cache(build_cache(shuffled)), key=repr) == sorted(entries, key=repr)


@needs_ldconfig
def test_written_hwcaps_are_read_back_by_ldconfig(tmp_path: Path) -> None:
    entries = [
        CacheEntry(b"libz.so.1", b"/opt/libz.so.1", 0x303),
        CacheEntry(b"libz.so.1", b"/opt/glibc-hwcaps/x86-64-v3/libz.so.1", 0x303, b"x86-64-v3"),
        CacheEntry(b"libz.so.1", b"/opt/glibc-hwcaps/x86-64-v2/libz.so.1", 0x303, b"x86-64-v2"),
    ]
    data = build_cache(entries)
    assert set(parse_cache(data)) == set(entries)
    assert parse_cache(data)[-1].hwcaps is None, "the plain file comes last, as ldconfig writes it"
    (tmp_path / "cache").write_bytes(data)
    lines = ldconfig_lines(tmp_path / "cache")
    assert len(lines) == 3
    assert [('hwcap: "x86-64-v' in line) for line in lines] == [True, True, False]


@needs_ldconfig
def test_hwcaps_that_ldconfig_writes_are_read_and_written_alike(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (Debian: gcc)")
    assert LDCONFIG is not None
    (tmp_path / "empty.conf").touch()
    (tmp_path / "a.c").write_text("int a;\n")
    places = ["libs", "libs/glibc-hwcaps/x86-64-v2", "libs/glibc-hwcaps/x86-64-v3"]
    for place in places:
        (tmp_path / place).mkdir(parents=True)
        library = str(tmp_path / place / "libown.so.1")
        flags = ["-shared", "-fPIC", "-Wl,-soname,libown.so.1"]
        subprocess.run([compiler, *flags, "-o", library, str(tmp_path / "a.c")], check=True)
    cache = tmp_path / "cache"
    command = [LDCONFIG, "-X", "-f", str(tmp_path / "empty.conf"), "-C", str(cache), str(tmp_path / "libs")]
    subprocess.run(command, check=True, capture_output=True)
    entries = parse_cache(cache.read_bytes())
    named = [one.hwcaps for one in entries if one.name == b"libown.so.1"]
    if named == [None]:
        pytest.skip("this ldconfig is older than glibc-hwcaps")
    assert named == [b"x86-64-v2", b"x86-64-v3", None]
    (tmp_path / "ours").write_bytes(build_cache(reversed(entries)))
    assert parse_cache((tmp_path / "ours").read_bytes()) == entries
    assert ldconfig_lines(tmp_path / "ours") == ldconfig_lines(cache)


def test_empty_cache_survives_the_round_trip() -> None:
    assert parse_cache(build_cache([])) == []


def test_big_endian_cache_survives_the_round_trip() -> None:
    entry = CacheEntry(b"libz.so.1", b"/lib/libz.so.1", 0x403)
    assert parse_cache(build_cache([entry], little=False)) == [entry]


def test_cache_behind_the_old_table_is_found() -> None:
    entry = CacheEntry(b"libz.so.1", b"/lib/libz.so.1", 0x303)
    old = b"ld.so-1.7.0\0" + struct.pack("=I", 1) + bytes(12)
    assert parse_cache(old + bytes(-len(old) % 8) + build_cache([entry])) == [entry]


def test_damaged_cache_gives_valueerror_only() -> None:
    rng = random.Random(3)
    entries = [CacheEntry(b"lib%d.so" % n, b"/lib/lib%d.so" % n, 0x303, rng.choice([None, b"v2"])) for n in range(9)]
    good = build_cache(entries)
    for _ in range(2000):
        data = bytearray(good[:rng.choice([len(good), rng.randrange(len(good))])])
        for _ in range(rng.randint(0, 4)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            parse_cache(bytes(data))
        except ValueError:
            pass


@pytest.mark.parametrize(("low", "high"), [
    (b"libz.so.1", b"libz.so.2"), (b"libz.so.9", b"libz.so.10"), (b"liba.so", b"libz.so"), (b"libz.so", b"libz.so.1"),
    (b"libz+.so", b"libz1.so"), (b"libz.so.09", b"libz.so.10"),
])
def test_names_compare_with_numbers_as_numbers(low: bytes, high: bytes) -> None:
    assert compare_names(low, high) < 0 < compare_names(high, low)
    assert compare_names(low, low) == 0


def test_ld_so_conf_follows_includes_inside_the_root(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    (etc / "more.d").mkdir(parents=True)
    includes = "include more.d/*.conf\ninclude /etc/ld.so.conf\n"
    (etc / "ld.so.conf").write_text(f"# first\n/opt/a\n{includes}hwcap 1 x\n/opt/a\n")
    (etc / "more.d/2.conf").write_text("/opt/c:/opt/d\t/opt/e/ # tail\nrelative\n")
    (etc / "more.d/1.conf").write_text("/opt/b=libc6\n")
    (etc / "more.d/3.txt").write_text("/opt/no\n")
    expected = [b"/opt/a", b"/opt/b", b"/opt/c", b"/opt/d", b"/opt/e"]
    assert conf_directories(Rooted(bytes(tmp_path))) == expected


def test_ld_so_conf_that_is_missing_names_no_directory(tmp_path: Path) -> None:
    assert conf_directories(Rooted(bytes(tmp_path))) == []


# --- lookups inside a root ------------------------------------------------------------------------------------------


def test_links_are_resolved_inside_the_root_and_told_in_order(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "etc/alternatives").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr/bin/awk").symlink_to("/etc/alternatives/awk")
    (tmp_path / "etc/alternatives/awk").symlink_to("../../../../usr/bin/mawk")
    (tmp_path / "usr/bin/mawk").touch()
    trace = Rooted(bytes(tmp_path)).trace(b"/bin/../bin/awk")
    assert trace.real == b"/usr/bin/mawk"
    assert [place for place, _ in trace.links] == [b"/bin", b"/usr/bin/awk", b"/etc/alternatives/awk"]


def test_loops_and_missing_parts_give_oserror(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    rooted = Rooted(bytes(tmp_path))
    for path in (b"/loop", b"/missing", b"/file/x", b"/file/", b"/missing/../file", b"/file/../file"):
        with pytest.raises(OSError):
            rooted.trace(path)
        assert rooted.find(path) is None
    assert rooted.trace(b"/../..//file").real == b"/file"


# --- the first line of scripts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("argument", "command"), [
    (b"python3", b"python3"), (b"-S python3 -u", b"python3"), (b"-S A=1 -u B perl -w", b"perl"),
    (b"-iS 'my prog' x", b"my prog"), (b"--split-string=node --x", b"node"), (b"-i", None),
    (b"python3 -u", b"python3 -u"), (b"A=1", None),
])
def test_env_line_names_its_command(argument: bytes, command: bytes | None) -> None:
    assert env_command(argument) == command
