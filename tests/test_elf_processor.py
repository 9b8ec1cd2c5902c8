"""What a loader makes of the processor: held against the loaders themselves, here and as other processors under qemu-user."""
from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from pyroot.elf import Rooted, processor
from pyroot.elf.ldcache import CacheEntry
from pyroot.elf.processor import Processor
from pyroot.elf.reader import EM_386, EM_X86_64, Identity, identity_of
from pyroot.elf.search import GlibcSearch
from tests import helpers

# What tells loaders apart: the texts in them.
GLIBC_2_24 = b"\0tls\0"
GLIBC_2_31 = b"\0tls\0haswell\0xeon_phi\0avx512_1\0"
GLIBC_2_36 = GLIBC_2_31 + b"x86-64-v4:x86-64-v3:x86-64-v2\0"
GLIBC_2_41 = b"\0haswell\0xeon_phi\0x86-64-v4:x86-64-v3:x86-64-v2\0"
WIDE = Identity(64, True, EM_X86_64, 3)
NARROW = Identity(32, True, EM_386, 3)

V2 = {"SSE2", "CX16", "LAHF", "POPCNT", "SSE3", "SSSE3", "SSE4_1", "SSE4_2"}
V3 = V2 | {"AVX", "AVX2", "F16C", "FMA", "LZCNT", "MOVBE", "BMI1", "BMI2"}
V4 = V3 | {"AVX512F", "AVX512BW", "AVX512CD", "AVX512DQ", "AVX512VL"}
PHI = V3 | {"AVX512F", "AVX512CD", "AVX512ER", "AVX512PF"}
OLD = Processor(True, frozenset({"SSE2"}))
HASWELL, ZEN = Processor(True, frozenset(V3)), Processor(False, frozenset(V3))
SKYLAKE, ZEN_4 = Processor(True, frozenset(V4)), Processor(False, frozenset(V4))
KNIGHT = Processor(True, frozenset(PHI))

PLATFORMS = [
    (GLIBC_2_24, WIDE, SKYLAKE, b"x86_64"), (GLIBC_2_31, WIDE, SKYLAKE, b"haswell"), (GLIBC_2_36, WIDE, HASWELL, b"haswell"),
    (GLIBC_2_41, WIDE, HASWELL, b"haswell"), (GLIBC_2_36, WIDE, ZEN_4, b"x86_64"), (GLIBC_2_41, WIDE, ZEN, b"x86_64"),
    (GLIBC_2_31, WIDE, KNIGHT, b"xeon_phi"), (GLIBC_2_41, WIDE, KNIGHT, b"xeon_phi"), (GLIBC_2_36, WIDE, OLD, b"x86_64"),
    (GLIBC_2_36, NARROW, SKYLAKE, b"i686"), (GLIBC_2_24, NARROW, ZEN, b"i686"),
]  # fmt: skip
SUBDIRECTORIES = [
    (GLIBC_2_24, WIDE, SKYLAKE, "tls/x86_64 tls x86_64"),
    (GLIBC_2_31, WIDE, ZEN, "tls/x86_64/x86_64 tls/x86_64 tls x86_64/x86_64 x86_64"),
    (GLIBC_2_31, WIDE, HASWELL, "tls/haswell/x86_64 tls/haswell tls/x86_64 tls haswell/x86_64 haswell x86_64"),
    (GLIBC_2_36, WIDE, OLD, "tls/x86_64/x86_64 tls/x86_64 tls x86_64/x86_64 x86_64"),
    (GLIBC_2_36, WIDE, SKYLAKE,
     "glibc-hwcaps/x86-64-v4 glibc-hwcaps/x86-64-v3 glibc-hwcaps/x86-64-v2 "
     "tls/haswell/avx512_1/x86_64 tls/haswell/avx512_1 tls/haswell/x86_64 tls/haswell tls/avx512_1/x86_64 tls/avx512_1 tls/x86_64 tls "
     "haswell/avx512_1/x86_64 haswell/avx512_1 haswell/x86_64 haswell avx512_1/x86_64 avx512_1 x86_64"),
    (GLIBC_2_36, WIDE, KNIGHT,
     "glibc-hwcaps/x86-64-v3 glibc-hwcaps/x86-64-v2 "
     "tls/xeon_phi/x86_64 tls/xeon_phi tls/x86_64 tls xeon_phi/x86_64 xeon_phi x86_64"),
    (GLIBC_2_41, WIDE, ZEN_4, "glibc-hwcaps/x86-64-v4 glibc-hwcaps/x86-64-v3 glibc-hwcaps/x86-64-v2"),
    (GLIBC_2_41, WIDE, KNIGHT, "glibc-hwcaps/x86-64-v3 glibc-hwcaps/x86-64-v2"),
    (GLIBC_2_31, NARROW, SKYLAKE, "tls/i686/sse2 tls/i686 tls/sse2 tls i686/sse2 i686 sse2"),
    (b"", NARROW, SKYLAKE, ""),
]  # fmt: skip
PROCESSORS = [None, "Penryn", "Nehalem", "Haswell-noTSX", "EPYC"]
QEMU = shutil.which("qemu-x86_64")


@pytest.mark.parametrize("image, identity, cpu, expected", PLATFORMS)
def test_platform_is_that_of_loader_and_processor(image: bytes, identity: Identity, cpu: Processor, expected: bytes) -> None:
    assert processor.platform(image, identity, cpu) == expected


def loader_in(root: Path, image: bytes, identity: Identity) -> Rooted:
    """Make a root whose only file is a loader with these contents."""
    (root / "ld.so").write_bytes(b"\x7fELF" + bytes([identity.bits // 32, 1, 1]) + bytes(11) + struct.pack("<H", identity.machine) + image)
    return Rooted(root)


@pytest.mark.parametrize("image, identity, cpu, expected", SUBDIRECTORIES)
def test_subdirectories_are_tried_in_the_loader_s_order(
    image: bytes, identity: Identity, cpu: Processor, expected: str, tmp_path: Path
) -> None:
    search = GlibcSearch(loader_in(tmp_path, image, identity), identity, b"/ld.so", cpu)
    assert b" ".join(search.subdirectories).decode() == expected


def test_registers_that_the_system_does_not_save_make_their_features_useless() -> None:
    ones = (0xFFFFFFFF,) * 4
    leaves = {1: ones, 7: ones, 0x80000001: ones}
    everything = processor.decode(b"GenuineIntel", leaves, 0xE7)
    assert processor.levels(GLIBC_2_41, WIDE, everything)[0] == b"x86-64-v4"
    assert processor.levels(GLIBC_2_41, WIDE, processor.decode(b"GenuineIntel", leaves, 0x07))[0] == b"x86-64-v3"
    assert processor.levels(GLIBC_2_41, WIDE, processor.decode(b"GenuineIntel", leaves, 0x03)) == [b"x86-64-v2"]
    assert processor.platform(GLIBC_2_41, WIDE, processor.decode(b"GenuineIntel", leaves, 0x03)) == b"x86_64"
    assert not processor.decode(b"AuthenticAMD", {}, 0).features


SELF = """import json, sys
from pyroot.elf import processor
from pyroot.elf.reader import identity_of
image = open(sys.argv[1], "rb").read()
judged = image, identity_of(image[:64]), processor.this_processor()
names = [name for name, _bit in processor.capabilities(*judged)]
below = [b"glibc-hwcaps/" + name for name in processor.levels(*judged)] + processor.combinations(names)
print(json.dumps([processor.platform(*judged).decode(), [name.decode() for name in below]]))
"""


@pytest.mark.parametrize("cpu", PROCESSORS if QEMU else PROCESSORS[:1])
def test_loader_of_this_machine_says_the_same(cpu: str | None) -> None:
    """Both under qemu-user, which gives them the answers of another processor."""
    emulator = [QEMU or "", "-cpu", cpu] if cpu else []
    loader = "/lib64/ld-linux-x86-64.so.2"
    debug = subprocess.run(
        [*emulator, loader, "--library-path", "/none:/none/$PLATFORM", "/bin/true"], env={"LD_DEBUG": "libs"}, capture_output=True,
        text=True, check=False, timeout=helpers.TIME_LIMIT)  # fmt: skip
    found = re.search(r"search path=(\S+)", debug.stderr)
    assert found, debug.stderr
    places = list(dict.fromkeys(place.removeprefix("/none").removeprefix("/") for place in found[1].split(":")))
    plain = places.index("")
    # what is told of the first directory ends with the directory itself; the last one ends with the token
    ours = subprocess.run(
        [*emulator, os.path.realpath(sys.executable), "-c", SELF, loader], env=helpers.python_environment(), capture_output=True, text=True,
        check=False, cwd="/", timeout=helpers.TIME_LIMIT)  # fmt: skip
    assert ours.returncode == 0, ours.stderr
    platform, below = json.loads(ours.stdout)
    assert below == places[:plain]
    # a directory that is also one of the subdirectories is not told twice
    assert platform == places[-1].rsplit("/", 1)[-1]


def library(path: Path) -> None:
    """Write the head of a library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 3, EM_X86_64, 1) + bytes(40))
    assert identity_of(path.read_bytes()) is not None


def searched(root: Path, cpu: Processor, image: bytes = GLIBC_2_36) -> tuple[str, str]:
    """Give what a name leads to, and what is to be copied along with it."""
    search = GlibcSearch(loader_in(root, image, WIDE), WIDE, b"/ld.so", cpu)
    found = search._in_directories(b"libx.so.1", [b"/lib"], "")
    assert found
    return found.path.decode(), (found.plain or b"").decode()


def test_file_for_a_processor_wins_where_it_serves_and_the_plain_one_comes_along(tmp_path: Path) -> None:
    library(tmp_path / "lib/libx.so.1")
    library(tmp_path / "lib/haswell/libx.so.1")
    assert searched(tmp_path, HASWELL) == ("/lib/haswell/libx.so.1", "/lib/libx.so.1")
    assert searched(tmp_path, ZEN) == ("/lib/libx.so.1", "")
    assert searched(tmp_path, HASWELL, GLIBC_2_41) == ("/lib/libx.so.1", "")
    library(tmp_path / "lib/glibc-hwcaps/x86-64-v3/libx.so.1")
    assert searched(tmp_path, HASWELL)[0] == searched(tmp_path, ZEN)[0] == "/lib/glibc-hwcaps/x86-64-v3/libx.so.1"
    assert searched(tmp_path, HASWELL, GLIBC_2_31)[0] == "/lib/haswell/libx.so.1"


@pytest.mark.parametrize("cpu, expected", [(HASWELL, "/lib/haswell/libx.so.1"), (ZEN, "/lib/libx.so.1"), (OLD, "/lib/libx.so.1")])
def test_bits_in_the_cache_choose_by_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu: Processor, expected: str) -> None:
    library(tmp_path / "lib/libx.so.1")
    library(tmp_path / "lib/haswell/libx.so.1")
    lines = [CacheEntry(b"libx.so.1", b"/lib/haswell/libx.so.1", 0x303, legacy=1 << 50), CacheEntry(b"libx.so.1", b"/lib/libx.so.1", 0x303)]
    monkeypatch.setattr("pyroot.elf.search.parse_cache", lambda _data: lines)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/ld.so.cache").touch()
    search = GlibcSearch(loader_in(tmp_path, GLIBC_2_36, WIDE), WIDE, b"/ld.so", cpu)
    found = search._in_cache(b"libx.so.1")
    assert found and found.path.decode() == expected
    assert found.plain == (b"/lib/libx.so.1" if "haswell" in expected else None)
    # a cache that is written anew has the plain one, which serves every processor
    assert [entry.path for entry in search.cache_entries(b"libx.so.1", found)] == [b"/lib/libx.so.1"]
