"""Where in a guest pyroot keeps its own parts: the one place for each address, and for sizes and offsets that several sides share.

Decides: the addresses of loader, gate and arena, one class per machine, and the frame of a call in the gate, which C reads
by name and assembly by offset. `layout.h` is generated from it (`python -m pyroot.syscalls.generate`) for loader, gate and core; the
seccomp filter and the tests import it. Not decided here: what is inside these pages, which only C and assembly know (`loader.h`,
`gate.h`, `places-i386.h`).
"""

from __future__ import annotations

from pyroot.syscalls import numbers_i386


class Shared:
    """Sizes that are the same for every machine."""

    ARENA_SIZE = 0x100000
    GATE_VIEW_SIZE = 0xC000  # what the gate reads, the last pages of the arena: struct gate_view, and after it
    GATE_DETOURS = 0xA000  # ... from the view's start: what a page of detours begins as
    DETOURS_SIZE = 0x2000
    GATE_INDEX_SIZE = 0x21000  # a store_index (pyroot/store/index.h), which the gate reads where files have owners of their own
    GATE_PATH = 392  # bytes of a path in the gate, at most
    LOADER_FILE_CODE = 0x1000  # where the loader's file has LOADER_STUBS and what follows it


class X86_64:  # noqa: N801
    """Addresses in the space of a 64-bit program.

    The base is above everything the kernel gives to position-independent programs (0x555555554000 plus 40 bits of randomness, plus their
    heaps) and below the mmap area, inside the range that sanitizers accept as program memory.
    """

    LOADER_BASE = 0x567000000000
    LOADER_STUBS = LOADER_BASE + 0x100000  # return stubs and trampoline, r-x, stays for the life of the guest
    LOADER_STUBS_SIZE = 0x1000
    LOADER_GATE = LOADER_STUBS + LOADER_STUBS_SIZE  # the gate (gate.h), r-x, stays, too
    LOADER_GATE_SIZE = 0x4000
    LOADER_TEXT = LOADER_GATE + LOADER_GATE_SIZE  # code and constants, r-x; before the entry nothing is left of it but the addresses
    LOADER_TEXT_SIZE = 0x2000
    LOADER_KEPT = LOADER_TEXT + LOADER_TEXT_SIZE - LOADER_STUBS  # stays for the life of the guest: it is known what calls from there mean
    LOADER_INFO = LOADER_BASE + 0x120000  # struct loader_info, rw-; from here to LOADER_END nothing is left before the entry
    LOADER_INFO_SIZE = 0x10000
    LOADER_STACK = LOADER_INFO + LOADER_INFO_SIZE  # the loader's own stack: it moves the guest's
    LOADER_STACK_TOP = LOADER_STACK + 0x10000
    LOADER_HEADERS = LOADER_STACK_TOP  # buffer for ELF header and program headers
    LOADER_HEADERS_SIZE = 0x20000
    LOADER_END = LOADER_HEADERS + LOADER_HEADERS_SIZE
    LOADER_ARENA = LOADER_BASE + 0x1000000  # the address meant for the arena; the one used is in loader_info
    LOADER_INDEX = LOADER_ARENA + Shared.ARENA_SIZE  # the index of owners, in sessions that have one
    LOADER_BRK = LOADER_BASE + 0x100000000  # heap of last resort, where PR_SET_MM_MAP is refused
    LOADER_ARENA_MAX = LOADER_BRK - LOADER_ARENA  # most bytes that fit before it


class I386:
    """Addresses in the space of a 32-bit program; with names of their own, because the supervisor needs both.

    Nothing of the loader stays: 4 GiB are too few to keep fixed addresses from the guest. The arena is where the kernel puts it. The
    loader is below the addresses that linkers give to programs (0x200000 and up) and above vm.mmap_min_addr.
    """

    LOADER32_TEXT = 0x100000  # code and constants; everything from here to LOADER32_END disappears
    LOADER32_INFO = 0x110000  # struct loader_info
    LOADER32_STACK_TOP = 0x130000
    LOADER32_HEADERS = LOADER32_STACK_TOP  # buffer for ELF header and program headers
    LOADER32_END = 0x150000
    LOADER32_STRIDE = 0x60000  # where the loader of a pyroot inside a pyroot is, after the outer one's
    LOADER32_BRK = 0x3A000000  # heap of last resort, where PR_SET_MM_MAP is refused
    LOADER32_ARENA = 0xF8000000  # where programs get their arena, if it is free: just above the mmaps
    LOADER32_ARENA_ASIDE = 0xD0000000  # ... and where the stack may grow by more than 64 MiB
    #: The call that reports the arena's address: the loader's last one, with no path. It has made that call before: no filter refuses it.
    LOADER32_REPORT = numbers_i386.NUMBERS["openat"]


#: Frame of a call in the gate, below the red zone of the guest's stack: type, name, how many (0: no array), meaning.
FRAME: tuple[tuple[str, str, int, str], ...] = (
    ("unsigned long long", "magic", 0, "GATE_FRAME_MAGIC"),
    ("unsigned long long", "self", 0, "the frame's own address"),
    ("unsigned long long", "detour", 0, "that has led here"),
    ("unsigned long long", "flags", 0, ""),
    ("unsigned long long", "target", 0, "where it goes on"),
    ("unsigned long long", "regs", 6, "rdi rsi rdx r10 r8 r9"),
    ("unsigned long long", "kept", 6, "rbx rbp r12 r13 r14 r15"),
    ("unsigned long long", "call", 0, "number of the call that is made, or the answer"),
    ("unsigned long long", "args", 6, "its arguments"),
    ("unsigned long long", "retry", 0, "GATE_LINKS_MET: it is made again at ELOOP; GATE_CLOSED: the guest makes it at EACCES"),
    ("unsigned long long", "check", 0, "not 0: the call only looks, and counts if no directory or link was moved meanwhile"),
    ("short", "relative", 0, "the path in here"),
    ("short", "links", 0, "how many it has led through"),
    ("int", "binding", 0, "that it lies in, -1: none but the root"),
    ("long long", "dirfd", 0, ""),
    ("struct gate_how", "how", 0, "as struct open_how"),
    ("char", "path", Shared.GATE_PATH, ""),
)
_SIZES = {"unsigned long long": 8, "long long": 8, "int": 4, "short": 2, "char": 1, "struct gate_how": 24}


def _frame() -> list[str]:
    """Return the frame as offsets for assembly and as a structure of C, with the proof that both are the same."""
    defines, fields, proofs, at = [], [], [], 0
    for kind, name, count, meaning in FRAME:
        defines.append(f"#define GF_{name.upper()} {at}")
        remark = f"  /* {meaning} */" if meaning else ""
        fields.append(f"    {kind} {name}{f'[{count}]' if count else ''};{remark}")
        proofs.append(f'_Static_assert(__builtin_offsetof(struct gate_frame, {name}) == GF_{name.upper()}, "{name}");')
        at += _SIZES[kind] * (count or 1)
    return [
        *defines, f"#define GATE_FRAME {at}", "",
        "#if !defined(__ASSEMBLER__) && !defined(PYROOT_LINKER_SCRIPT)",
        "struct gate_how {", "    unsigned long long flags, mode, resolve;", "};", "",
        "struct gate_frame {", *fields, "};", "",
        *proofs, '_Static_assert(sizeof(struct gate_frame) == GATE_FRAME, "frame");',
        "#endif",
    ]


def _defines(places: type) -> list[str]:
    return [f"#define {name} {value:#x}" for name, value in vars(places).items() if name.isupper()]


def render() -> str:
    """Return the text of layout.h."""
    return "\n".join([
        "/* generated by pyroot/syscalls/generate.py from pyroot/guest/layout.py, which says what it means: do not edit */",
        "#ifndef PYROOT_GUEST_LAYOUT_H", "#define PYROOT_GUEST_LAYOUT_H", "",
        *_defines(Shared), "",
        *_defines(I386), "",
        "#if !defined(__i386__)", *_defines(X86_64), "",
        *_frame(),
        "#endif", "#endif", "",
    ])  # fmt: skip
