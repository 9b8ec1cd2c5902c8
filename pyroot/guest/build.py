# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the freestanding guest loader.

Decides how the loader is compiled and linked; the addresses are those of ``layout.h``. Used by ``setup.py`` and, for
work on the loader itself, as ``python build.py OUTDIR``. Needs a C compiler that understands GNU C (gcc or clang).
"""

from __future__ import annotations

import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MACHINES = ("x86_64", "i386", "i386-nested")
# What a loader consists of, besides stub-MACHINE.S.
UNITS = ("loader.c", "image.c", "stack.c")
# The gate is for one machine.
GATE_UNITS = {"x86_64": ("gate-x86_64.S", "gate.c")}
# What the compiler of x86_64 needs to be told; headers and libraries of the machine are not used.
I386_FLAGS = ("-m32", "-march=i686", "-mpreferred-stack-boundary=2", "-fno-pic")
MACHINE_FLAGS = {"x86_64": (), "i386": I386_FLAGS, "i386-nested": (*I386_FLAGS, "-DPYROOT_NESTED")}

# fmt: off
COMPILE_FLAGS = [
    "-std=gnu11", "-O2", "-Wall", "-Wextra", "-ffreestanding", "-fno-builtin", "-fPIC", "-fno-plt",
    "-fvisibility=hidden", "-mgeneral-regs-only", "-fno-stack-protector", "-fcf-protection=none",
    "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-strict-aliasing", "-fno-exceptions",
    "-U_FORTIFY_SOURCE", "-fno-jump-tables", "-fno-tree-loop-distribute-patterns",
]
LINK_FLAGS = [
    "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,max-page-size=4096",
    "-Wl,-z,norelro", "-Wl,--strip-all", "-Wl,--orphan-handling=error",
]
# The command `pyroot` (scripts/pyroot.c) is such a program, too, of one file and without a fixed address.
COMMAND_FLAGS = [
    *(flag for flag in COMPILE_FLAGS if flag not in ("-fPIC", "-fno-plt")), "-fno-pic", "-nostdlib", "-static", "-no-pie",
    "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,--strip-all",
]
# fmt: on

PT_LOAD = 1
ELFCLASS64 = 2


def _heap_address(machine: str) -> int:
    """Return LOADER_BRK of ``layout.h`` or its counterpart."""
    name = "LOADER_BRK" if machine == "x86_64" else "LOADER32_BRK"
    with open(os.path.join(HERE, "layout.h"), encoding="ascii") as source:
        found = re.search(rf"^#define {name}\s+(0x[0-9a-f]+)", source.read(), re.MULTILINE)
    if found is None:
        raise ValueError(f"layout.h defines no {name}")
    return int(found[1], 16)


def _place_heap(elf: bytearray, address: int) -> None:
    """Give the one empty PT_LOAD of a little-endian ELF file its address (see ``loader.lds``)."""
    wide = elf[4] == ELFCLASS64
    (offset,) = struct.unpack_from("<Q" if wide else "<I", elf, 32 if wide else 28)
    size, count = struct.unpack_from("<HH", elf, 54 if wide else 42)
    for at in range(offset, offset + size * count, size):
        (kind,) = struct.unpack_from("<I", elf, at)
        (memory_size,) = struct.unpack_from("<Q" if wide else "<I", elf, at + (40 if wide else 20))
        if kind == PT_LOAD and memory_size == 0:
            struct.pack_into("<QQQ" if wide else "<III", elf, at + (8 if wide else 4), 0, address, address)
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
    compiler, extra = shlex.split(cc), MACHINE_FLAGS[machine]
    with tempfile.TemporaryDirectory(prefix="pyroot-loader-") as work:
        objects = []
        for source in (*UNITS, f"stub-{machine.removesuffix('-nested')}.S", *GATE_UNITS.get(machine, ())):
            objects.append(os.path.join(work, source + ".o"))
            subprocess.run([*compiler, *COMPILE_FLAGS, *extra, "-c", os.path.join(HERE, source), "-o", objects[-1]], check=True)
        script = os.path.join(work, "loader.lds")
        layout = os.path.join(HERE, "loader.lds")
        subprocess.run([*compiler, *extra, "-E", "-P", "-x", "c", "-I", HERE, layout, "-o", script], check=True)
        linked = os.path.join(work, "linked")
        subprocess.run([*compiler, *LINK_FLAGS, *extra, "-Wl,-T," + script, *objects, "-o", linked], check=True)
        with open(linked, "rb") as source_file:
            content = bytearray(source_file.read())
    _place_heap(content, _heap_address(machine))
    # The file is replaced in one step: a guest may be executing the old one.
    fresh = f"{target}.{os.getpid()}"
    with open(fresh, "wb") as target_file:
        target_file.write(content)
    os.chmod(fresh, 0o755)
    os.replace(fresh, target)
    return target


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python build.py OUTDIR")
    for wanted in MACHINES:
        print(build(sys.argv[1], os.environ.get("CC", "gcc"), wanted))
