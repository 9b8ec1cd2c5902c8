"""What glibc's ld.so derives from the processor: $PLATFORM, and the subdirectories that it searches before a directory itself.

Decides: these names, for a loader and a processor. Does not decide in which directories they are looked for (`search`). Source of the
facts: glibc's cpu-features.c, get-isa-level.h, dl-hwcaps.c and dl-hwcap.h, and what the loaders of Debian 11 to 14 say under LD_DEBUG=libs,
natively and under qemu-user for several processors.

A loader is recognised by the texts that it contains, not by its version: 2.26 and later have `haswell` and `xeon_phi`,
names that only Intel's processors have in place of the kernel's AT_PLATFORM; 2.33 and later have the glibc-hwcaps;
up to 2.36 there are the combinations of capabilities with `tls`. GLIBC_TUNABLES and LD_HWCAP_MASK are left out: they belong to a run.
"""
from __future__ import annotations

import functools
import os

from pyroot.elf.reader import EM_386, EM_AARCH64, EM_X86_64, Identity
from pyroot.plain import record

# Where CPUID reports a feature: its leaf, the register (eax, ebx, ecx, edx), the bit.
_BITS = {
    "SSE2": (1, 3, 26), "SSE3": (1, 2, 0), "SSSE3": (1, 2, 9), "FMA": (1, 2, 12), "CX16": (1, 2, 13), "SSE4_1": (1, 2, 19),
    "SSE4_2": (1, 2, 20), "MOVBE": (1, 2, 22), "POPCNT": (1, 2, 23), "AVX": (1, 2, 28), "F16C": (1, 2, 29),
    "BMI1": (7, 1, 3), "AVX2": (7, 1, 5), "BMI2": (7, 1, 8), "AVX512F": (7, 1, 16), "AVX512DQ": (7, 1, 17), "AVX512PF": (7, 1, 26),
    "AVX512ER": (7, 1, 27), "AVX512CD": (7, 1, 28), "AVX512BW": (7, 1, 30), "AVX512VL": (7, 1, 31),
    "LAHF": (0x80000001, 2, 0), "LZCNT": (0x80000001, 2, 5),
}  # fmt: skip
_NEED_YMM = {"AVX", "AVX2", "FMA", "F16C"}
_YMM, _ZMM = 0x6, 0xE6  # the registers that the system must save, as XCR0 has them

_LEVELS = (
    (b"x86-64-v2", {"CX16", "LAHF", "POPCNT", "SSE3", "SSSE3", "SSE4_1", "SSE4_2"}),
    (b"x86-64-v3", {"AVX", "AVX2", "F16C", "FMA", "LZCNT", "MOVBE"}),
    (b"x86-64-v4", {"AVX512F", "AVX512BW", "AVX512CD", "AVX512DQ", "AVX512VL"}),
)
_HASWELL = {"AVX2", "FMA", "BMI1", "BMI2", "LZCNT", "MOVBE", "POPCNT"}
_XEON_PHI = {"AVX512CD", "AVX512ER", "AVX512PF"}
_AVX512_1 = {"AVX512CD", "AVX512BW", "AVX512DQ", "AVX512VL"}


@record(frozen=True)
class Processor:
    """What a loader asks of a processor: whether Intel made it, and which features can be used."""

    intel: bool = False
    features: frozenset[str] = frozenset()

    def has(self, wanted: set[str]) -> bool:
        """Tell whether all of these features can be used."""
        return wanted <= self.features


def decode(vendor: bytes, leaves: dict[int, tuple[int, int, int, int]], xcr0: int) -> Processor:
    """Read the answers of CPUID, and the register that says which registers the system saves."""
    features = {name for name, (leaf, register, bit) in _BITS.items() if leaf in leaves and leaves[leaf][register] >> bit & 1}
    if xcr0 & _YMM != _YMM:
        features -= _NEED_YMM
    if xcr0 & _ZMM != _ZMM:
        features = {name for name in features if not name.startswith("AVX512")}
    return Processor(vendor == b"GenuineIntel", frozenset(features))


@functools.cache
def this_processor() -> Processor:
    """Ask the processor, as a loader does: /proc/cpuinfo may be missing, or belong to another machine."""
    from pyroot._fast import cpuid

    return decode(*cpuid())


def platform(image: bytes, identity: Identity, processor: Processor) -> bytes:
    """Give what $PLATFORM stands for to the loader with these contents."""
    if identity.machine == EM_X86_64 and processor.intel and b"\0haswell\0" in image:
        if processor.has(_XEON_PHI):
            return b"xeon_phi"
        if processor.has(_HASWELL):
            return b"haswell"
    known = {EM_X86_64: b"x86_64", EM_386: b"i686", EM_AARCH64: b"aarch64"}
    return known.get(identity.machine, os.fsencode(os.uname().machine))


def levels(image: bytes, identity: Identity, processor: Processor) -> list[bytes]:
    """List the glibc-hwcaps that the loader with these contents uses on the processor, best first."""
    found: list[bytes] = []
    if identity.machine == EM_X86_64 and identity.bits == 64 and b"x86-64-v2" in image:
        for name, wanted in _LEVELS:
            if not processor.has(wanted):
                break
            found.insert(0, name)
    return found


def capabilities(image: bytes, identity: Identity, processor: Processor) -> list[tuple[bytes, int]]:
    """List the older kind in the order in which they are combined, with their bits in ld.so.cache (0 if it has none)."""
    if b"\0tls\0" not in image:
        return []
    found: list[tuple[bytes, int]] = []
    modern = b"avx512_1\0" in image
    if identity.machine == EM_386 and processor.has({"SSE2"}):
        found.append((b"sse2", 1 << (0 if modern else 26)))
    if identity.machine == EM_X86_64 and modern:
        found.append((b"x86_64", 1 << 1))
        if processor.intel and processor.has(_AVX512_1) and "AVX512ER" not in processor.features:
            found.append((b"avx512_1", 1 << 2))
    name = platform(image, identity, processor)
    bits = {b"i686": 1 << 49, b"haswell": 1 << 50, b"xeon_phi": 1 << 51} if modern else {b"i686": 1 << 51}
    return [*found, (name, bits.get(name, 0)), (b"tls", 1 << 63)]


def combinations(names: list[bytes]) -> list[bytes]:
    """List the subdirectories of the older kind in the order in which a loader searches them: each combination of the names."""
    chosen = ([name for bit, name in enumerate(names) if mask >> bit & 1] for mask in range((1 << len(names)) - 1, 0, -1))
    return list(dict.fromkeys(b"/".join(reversed(parts)) for parts in chosen))
