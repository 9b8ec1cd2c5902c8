# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the freestanding guest loader.

Decides how the loader is compiled and linked; the addresses are those of ``loader.h``. Used by ``setup.py`` and, for
work on the loader itself, as ``python build.py OUTDIR``. Needs a C compiler that understands GNU C (gcc or clang).
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MACHINES = ("x86_64",)
# Files the result depends on, besides stub-MACHINE.S and MACHINE.h.
UNITS = ("loader.c", "image.c", "stack.c")
SOURCES = (*UNITS, "parts.h", "loader.h", "loader.lds")

# fmt: off
COMPILE_FLAGS = [
    "-std=gnu11", "-O2", "-Wall", "-Wextra", "-ffreestanding", "-fno-builtin", "-fPIC", "-fno-plt",
    "-fvisibility=hidden", "-mgeneral-regs-only", "-fno-stack-protector", "-fcf-protection=none",
    "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-strict-aliasing", "-fno-exceptions",
    "-U_FORTIFY_SOURCE",
]
LINK_FLAGS = [
    "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,max-page-size=4096",
    "-Wl,-z,norelro", "-Wl,--strip-all", "-Wl,--orphan-handling=error",
]
# fmt: on

PT_LOAD = 1


def _heap_address() -> int:
    """Return LOADER_BRK of ``loader.h``."""
    with open(os.path.join(HERE, "loader.h"), encoding="ascii") as header:
        found = re.search(r"^#define LOADER_BRK\s+(0x[0-9a-f]+)", header.read(), re.MULTILINE)
    if found is None:
        raise ValueError("loader.h defines no LOADER_BRK")
    return int(found[1], 16)


def _place_heap(elf: bytearray, address: int) -> None:
    """Give the one empty PT_LOAD of a little-endian ELF64 file its address (see ``loader.lds``)."""
    (offset,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for at in range(offset, offset + size * count, size):
        kind, flags, _, _, _, file_size, memory_size, align = struct.unpack_from("<IIQQQQQQ", elf, at)
        if kind == PT_LOAD and memory_size == 0:
            struct.pack_into("<IIQQQQQQ", elf, at, kind, flags, 0, address, address, file_size, memory_size, align)
            return
    raise ValueError("the linker made no empty segment")


def build(out_dir: str, cc: str = "gcc", machine: str = "x86_64") -> str:
    """Compile the loader of one machine into a directory and return the path of the result.

    Raises ValueError for a machine without a loader, subprocess.CalledProcessError when a tool fails; what the tool
    says goes to standard error.
    """
    if machine not in MACHINES:
        raise ValueError(f"no guest loader for {machine}")
    os.makedirs(out_dir, exist_ok=True)
    target = os.path.join(out_dir, f"loader-{machine}")
    compiler = cc.split()
    with tempfile.TemporaryDirectory(prefix="pyroot-loader-") as work:
        objects = []
        for source in (*UNITS, f"stub-{machine}.S"):
            objects.append(os.path.join(work, source + ".o"))
            subprocess.run([*compiler, *COMPILE_FLAGS, "-c", os.path.join(HERE, source), "-o", objects[-1]], check=True)
        script = os.path.join(work, "loader.lds")
        layout = os.path.join(HERE, "loader.lds")
        subprocess.run([*compiler, "-E", "-P", "-x", "c", "-I", HERE, layout, "-o", script], check=True)
        linked = os.path.join(work, "linked")
        subprocess.run([*compiler, *LINK_FLAGS, "-Wl,-T," + script, *objects, "-o", linked], check=True)
        with open(linked, "rb") as source_file:
            content = bytearray(source_file.read())
    _place_heap(content, _heap_address())
    # The name changes over in one step: a guest may be executing the old file.
    fresh = f"{target}.{os.getpid()}"
    with open(fresh, "wb") as target_file:
        target_file.write(content)
    os.chmod(fresh, 0o755)
    os.replace(fresh, target)
    return target


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python build.py OUTDIR")
    print(build(sys.argv[1], os.environ.get("CC", "gcc")))
