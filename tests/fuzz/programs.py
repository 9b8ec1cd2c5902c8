"""Mutated ELF headers and #! lines: execve says what it says in a real chroot, and the supervisor goes on."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess

from tests.oracle.build import compile_program

from .engine import Failed
from .guests import PROGRAMS, Guest

FIELDS = [(4, 1), (5, 1), (6, 1), (7, 1), (16, 2), (18, 2), (20, 4), (24, 8), (32, 8), (40, 8), (48, 4), (52, 2), (54, 2), (56, 2), (60, 2)]
VALUES = [0, 1, 2, 3, 0x3E, 56, 64, 0x7F, 0xFF, 0x1000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFF000, 1 << 47,
          (1 << 63) - 1, 1 << 63, (1 << 64) - 1]  # fmt: skip
PROGRAM_FIELDS = [(0, 4), (4, 4), (8, 8), (16, 8), (32, 8), (40, 8), (48, 8)]
FIELDS32 = [(4, 1), (5, 1), (6, 1), (7, 1), (16, 2), (18, 2), (20, 4), (24, 4), (28, 4), (32, 4), (36, 4), (40, 2), (42, 2), (44, 2),
            (48, 2)]  # fmt: skip
PROGRAM_FIELDS32 = [(0, 4), (4, 4), (8, 4), (16, 4), (20, 4), (24, 4), (28, 4)]
RELRO = b"\x52\xe5\x74\x64"
KERNEL32 = 0xF7000000    # the vdso of a 32-bit program and its stack lie above
TRIES = 6
"""What a program does that begins anywhere is a matter of chance on both sides: it counts what neither has in common with the other."""
INTERPRETERS = [b"/probe", b"probe", b"/l/../probe", b"/nowhere", b"/place", b"/marker", b"/cases/0", b"", b"/probe/", b"/abs", b"/lib.so",
                b"/" + b"x" * 260, b"/proc/self/exe", b"/outside/probe"]  # fmt: skip
BLANKS = [b"", b" ", b"\t", b"  \t", b" argument", b" two words ", b"\0", b" \0x", b"\r"]


def put(content: bytearray, at: int, size: int, value: int) -> None:
    """Write a number where there is room for it."""
    if at >= 0 and at + size <= len(content):
        content[at: at + size] = struct.pack("<Q", value & (1 << 64) - 1)[:size]


def program_headers(content: bytes) -> tuple[int, int, int]:
    """Return where the program headers are, the size of one, and how many there are."""
    if content[4] == 1:
        return struct.unpack_from("<I", content, 28)[0], 32, struct.unpack_from("<H", content, 44)[0]
    return struct.unpack_from("<Q", content, 32)[0], 56, struct.unpack_from("<H", content, 56)[0]


def mutated_elf(rng: random.Random, original: bytes) -> bytes:
    """Change a few fields of the header or of program headers, or cut the file."""
    content = bytearray(original)
    offset, step, count = program_headers(original)
    fields, program_fields = (FIELDS32, PROGRAM_FIELDS32) if original[4] == 1 else (FIELDS, PROGRAM_FIELDS)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        what = rng.random()
        value = rng.choice(VALUES) if rng.random() < 0.7 else rng.randrange(1 << rng.randrange(1, 65))
        if what < 0.4:
            at, size = rng.choice(fields)
        elif what < 0.9:
            at, size = rng.choice(program_fields)
            at += offset + step * rng.randrange(count)
            if rng.random() < 0.4:
                old = int.from_bytes(content[at: at + size], "little")
                value = old + rng.choice([-4096, -1, 1, 2, 4095, 4096, 1 << 20])
        else:
            del content[rng.randrange(0, min(len(content), 1200) or 1):]
            continue
        put(content, at, size, value)
    return bytes(content)


def script(rng: random.Random) -> bytes:
    """Make a #! line and what is behind it."""
    line = b"#!" + rng.choice(BLANKS[:4]) + rng.choice(INTERPRETERS) + rng.choice(BLANKS)
    if rng.random() < 0.15:
        line += rng.choice([b" ", b"a"]) * rng.randrange(230, 270)
    return line + rng.choice([b"\n", b"\n", b"\n", b"", b"\0", b"\nrest\n"])


class Programs:
    """Each turn is a set of files that the probe executes on both sides."""

    name = "programs"
    size = 60
    unit = "programs"
    ran = 0
    options: tuple[str, ...] = ()
    source = "rows_probe.c"

    def open(self) -> None:
        """Make the root with the programs that are mutated: a static one, and one with an interpreter of its own."""
        self.guest = Guest("exec_probe")
        self.static = compile_program([f"{PROGRAMS}/{self.source}"], "-static", *self.options, name="fuzzed")
        interpreter = f"{self.guest.root}/interpreter"
        shutil.copy(compile_program([f"{PROGRAMS}/exec_probe.c"], "-static", *self.options, name="exec_probe"), interpreter)
        self.dynamic = f"{self.guest.parent}/dynamic"
        source = f"{self.guest.parent}/dynamic.c"
        with open(source, "w", encoding="ascii") as file:
            file.write("int main(void) { return 5; }\n")
        subprocess.run(["gcc", *self.options, "-o", self.dynamic, source, "-Wl,--dynamic-linker=/interpreter"], check=True)
        os.mkdir(f"{self.guest.root}/cases")
        os.chmod(f"{self.guest.root}/cases", 0o755)

    def fill(self, seed: int, size: int) -> list[str]:
        """Write the files of a turn; return their names."""
        rng = random.Random(seed)
        originals = []
        for path in (self.static, self.dynamic):
            with open(path, "rb") as file:
                originals.append(file.read())
        names = []
        for i in range(size):
            content = script(rng) if rng.random() < 0.4 else mutated_elf(rng, rng.choice(originals))
            name = f"/cases/{i}"
            target = self.guest.root + name
            if os.path.lexists(target):
                os.unlink(target)
            with open(target, "wb") as file:
                file.write(content)
            os.chmod(target, 0o755 if rng.random() < 0.97 else 0o644)
            names.append(name)
        return names

    def turn(self, seed: int, size: int) -> str:
        """Execute the files on both sides and compare."""
        text = "\n".join(self.fill(seed, size)).encode() + b"\n"
        self.ran += size
        told: list[tuple[set[str], set[str]]] = [(set(), set()) for _ in range(size)]
        for _ in range(TRIES):
            mine = self.guest.pyroot("run", text=text)
            if mine.status != 0 or len(mine.stdout.splitlines()) != size:
                raise Failed(f"the probe ended with {mine.status}: {mine.stdout[-200:]} {mine.stderr[-500:]}")
            if os.geteuid() != 0:
                return "no real chroot"
            real = self.guest.real("run", text=text)
            for (ours, theirs), seen, expected in zip(told, mine.stdout.splitlines(), real.stdout.splitlines(), strict=True):
                ours.add(seen)
                theirs.add(expected)
            left = [(ours, theirs) for ours, theirs in told if not ours & theirs and self.comparable(min(ours).split()[0])]
            if not left:
                return "agreed"
        raise Failed("; ".join(f"{' or '.join(sorted(ours))}, in a chroot {' or '.join(sorted(theirs))}" for ours, theirs in left))

    def comparable(self, name: str) -> bool:
        """Say whether a program has a PT_LOAD, and none where the kernel's own pages are (DIFFERENCES.md)."""
        content = b""
        for _ in range(6):
            try:
                with open(self.guest.root + name, "rb") as file:
                    content = file.read()
            except OSError:
                return True
            if content[:2] != b"#!":
                break
            # a script: what counts is what its chain of interpreters ends with
            name = "/" + (content[2:256].split(b"\n")[0].split() or [b"marker"])[0].split(b"\0")[0].decode("latin1").lstrip("/")
        if content[:4] != b"\x7fELF" or len(content) < 64:
            return True
        start, step, count = program_headers(content)
        headers = [content[start + step * i: start + step * (i + 1)] for i in range(count)]
        loads = [header for header in headers if header[:4] == b"\1\0\0\0" and len(header) == step]
        if content[4] == 1 and any(KERNEL32 < sum(struct.unpack_from("<I8xI", header, 8)) < 1 << 32 for header in loads):
            return False
        span = "<I8xI" if content[4] == 1 else "<Q16xQ"
        ranges = [struct.unpack_from(span, header, 8 if content[4] == 1 else 16) for header in loads]
        for header in headers:
            if header[:4] == RELRO and len(header) == step:
                start, size = struct.unpack_from(span, header, 8 if content[4] == 1 else 16)
                if not any(low <= start and start + size <= (low + length + 4095 & -4096) for low, length in ranges):
                    return False     # memory behind the program is protected: whether that is the heap is chance
        return bool(loads)

    def close(self) -> None:
        """Remove the root."""
        self.guest.remove()


class Programs32(Programs):
    """The same with 32-bit programs."""

    name = "programs32"
    options = ("-m32",)
    source = "exec_probe.c"

