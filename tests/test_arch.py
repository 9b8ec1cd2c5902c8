"""One folder for each architecture, behind the surface that ``pyroot/_fast/arch/surface.pxi`` lists: nothing of one is named elsewhere.

Read from the text of the core, as ``test_floors.py`` reads it: names of registers and of what holds them, numbers of calls that are
written as numbers, and values of flags, instructions and requests that another machine has otherwise.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers import PROJECT
from tests.test_floors import definitions, names_of, parts, stripped

CORE = Path(PROJECT, "pyroot/_fast")
SURFACE = CORE / "arch/surface.pxi"
#: The folders of machines, and those of the ABI that each may have beside its own.
MACHINES, SECOND = ("x86_64",), ("i386",)

pytestmark = pytest.mark.skipif(not SURFACE.exists(), reason="no source tree here")

FORBIDDEN = {
    "a register": r"\b(?:orig_)?[re](?:ax|bx|cx|dx|si|di|bp|sp|ip|flags)\b|\br(?:[89]|1[0-5])[dwb]?\b|\bcpu\.\w+|\.cs\b"
                  r"|\b[wx](?:[12]?\d|30)\b",
    "what holds registers": r"\buser_(?:regs|pt_regs)\w*|\bPTRACE_(?:[GS]ET|PEEK|POKE)(?:REGS|USER)\b|\bPYROOT_REG_\w+"
                            r"|\breg_(?:peek|poke)\b",
    "an architecture": r"(?i:x86|amd64|i386|aarch64|arm64)",
    "a number of a call": r"\bNR_\w+ = -?\d|\b(?:nr|number|direct|named|call_number)\b *(?:[=!]=|[<>]=?) *[1-9]\d*\b"
                          r"|\breg_set_nr\(\w+, *\d|\b(?:syscall|pyroot_raw)\( *\d",
    "assembly": r"\b__?asm(?:__)?\b",
    "bytes of an instruction": r"\b0x0f\b|\b0xcd\b|\b0xcc\b|\b0xd4\b|\bip - [24]\b|\bcpuid\b",
    "a flag of open(2)": r"\b_?O_[A-Z]+_? = |\bOPEN\w*_FLAGS = |\bO_[A-Z]+ *\| *0|\bflags *& *~?\(?(?:<\w+>)?\(?0\w+|0x7f+c3\b",
    "a request of one machine": r"\bPTRACE_(?:[GS]ET(?:FP)?REGS|[GS]ET_THREAD_AREA|ARCH_PRCTL|SYSEMU|SINGLEBLOCK)_ = ",
}
"""What stands in a folder of ``arch/`` only."""

EXCEPTIONS: dict[tuple[str, str], str] = {}
"""(part, text that is found) and why it stands there.  The list may only shrink."""

LACKED = (
    "open", "stat", "lstat", "access", "readlink", "creat", "link", "symlink", "unlink", "rename", "mkdir", "rmdir", "mknod", "chmod",
    "chown", "lchown", "utime", "utimes", "futimesat", "fork", "vfork", "dup2", "pipe", "getdents", "epoll_create", "inotify_init",
    "signalfd", "eventfd", "select", "poll", "alarm", "pause", "arch_prctl",
)  # fmt: skip
"""Calls that younger architectures have only in later forms: there NR_NAME is -1, which is good to compare with and for nothing else."""

LACKED_MADE = {("calls/listing", "getdents"): "the guest's own call, made on a duplicate of its descriptor"}
"""Where the supervisor makes one itself, and why it may.  The list may only shrink."""


def listed() -> dict[str, list[str]]:
    """Return what the surface lists, by "Each machine", "Each ABI" and "The second ABI"."""
    found: dict[str, list[str]] = {}
    at: list[str] = []
    for line in SURFACE.read_text("utf-8").splitlines():
        if head := re.match(r"# (Each machine|Each ABI|The second ABI) provides", line):
            at = found.setdefault(head[1], [])
        elif item := re.match(r"#     (\w+)(?:$| {2,})", line):
            at.append(item[1])
        elif not line.startswith("#"):
            break
    return found


def defined(*folders: str) -> set[str]:
    """Return what the parts in folders of the architecture define."""
    found: set[str] = set()
    for path in (path for folder in folders for path in (CORE / "arch" / folder).glob("*.pxi")):
        text = path.read_text("utf-8")
        for lines in definitions(stripped(text)):
            found |= names_of(lines)
        found.update(re.findall(r"^    static inline \w+ (\w+)\(", text, re.MULTILINE))
        # (a name of C may be another one)
        found.update(re.findall(r'^\s+[\w *]*?(\w+) "\w+"$', text, re.MULTILINE))
    return found


def outside() -> list[str]:
    """Return the parts of the core that are no architecture's."""
    folders = tuple(f"arch/{folder}/" for folder in (*MACHINES, *SECOND))
    return [part for part in parts() if not part.startswith(folders)]


def code_of(text: str) -> str:
    """Return a part without what is said in it: comments of both languages and the texts of strings, but with the code in C."""
    c_code = "".join(re.findall(r'^    """\n(.*?)^    """$', text, re.MULTILINE | re.DOTALL))
    c_code = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', "", c_code, flags=re.DOTALL)
    return stripped(text) + c_code


def found_in(text: str) -> set[tuple[str, str]]:
    """Return what a part has that belongs into an architecture's folder: what it is, and the text."""
    return {(kind, match.group(0)) for kind, pattern in FORBIDDEN.items() for match in re.finditer(pattern, code_of(text))}


def test_nothing_of_one_architecture_stands_outside_of_its_folder() -> None:
    found = {(part, what): kind for part in outside() for kind, what in found_in((CORE / f"{part}.pxi").read_text("utf-8"))}
    assert {where: kind for where, kind in found.items() if where not in EXCEPTIONS} == {}
    assert sorted(EXCEPTIONS) == sorted(found), "what is mended leaves the list"
    assert len(EXCEPTIONS) <= 0


@pytest.mark.parametrize(
    "text",
    [
        "cdef int f():\n    return regs.rax\n",
        "cdef user_regs_struct regs\n",
        "    if t.nr == 91:\n",
        "    NR_mseal = 462\n",
        "    reg_set_nr(t, 39)\n",
        "    O_TMPFILE_ = 0x400000\n",
        "    return code[0] == 0x0f\n",
        "    t.ip - 2\n",
        "    if flags & 0x200000:\n",
        "    flags & (O_CREAT | 0x400000)\n",
        "cdef int f(int a):\n    return a if a == NR_i386_bind else 0\n",
        '    """\n    int f(void) { return pyroot_raw(446, 0); }\n    """\n',
        "    PTRACE_GETREGS_ = 12\n",
        "    x8 = 1\n",
    ],
)
def test_what_is_one_architecture_s_is_seen(text: str) -> None:
    assert found_in(text)


def test_the_surface_is_read() -> None:
    found = listed()
    assert list(found) == ["Each machine", "Each ABI", "The second ABI"]
    assert len(found["Each machine"]) > 40
    assert all(len(names) == len(set(names)) for names in found.values())
    assert {path.name for path in (CORE / "arch").iterdir() if path.is_dir()} == {*MACHINES, *SECOND}


@pytest.mark.parametrize("machine", MACHINES)
def test_each_machine_provides_the_surface(machine: str) -> None:
    found = listed()
    wanted = {*found["Each machine"], *(f"native_{name}" for name in found["Each ABI"])}
    assert wanted - defined(machine) == set()


@pytest.mark.parametrize("second", SECOND)
def test_each_second_abi_provides_its_part(second: str) -> None:
    found = listed()
    wanted = {*found["The second ABI"], *(f"compat_{name}" for name in found["Each ABI"])}
    assert wanted - defined(second) == set()


def test_the_surface_lists_all_that_is_used() -> None:
    """What other parts use of a folder is on the lists, but names of calls."""
    found = listed()
    names = {name for kind in ("Each machine", "The second ABI") for name in found[kind]}
    names |= {f"{which}_{name}" for name in found["Each ABI"] for which in ("native", "compat")} | {"Registers"}
    # what requests and words are, and what Python asks
    names |= {"WORD_GIVEN", "WORD_ASKED", "cpuid"}
    own = {name for name in defined(*MACHINES, *SECOND) if not re.match(r"(?:COMPAT_)?NR_", name)}
    used: set[str] = set()
    for part in outside():
        used |= set(re.findall(r"(?<![\w.])\w+", code_of((CORE / f"{part}.pxi").read_text("utf-8")))) & own
    assert used - names == set()
    assert names - own == set()


def test_calls_that_a_machine_may_lack_are_compared_with_only() -> None:
    made: set[tuple[str, str]] = set()
    for part in outside():
        text = code_of((CORE / f"{part}.pxi").read_text("utf-8"))
        # (their declaration is a list of names)
        uses = re.findall(r"([^\s,]*) *(?<!\w)NR_(\w+)\b", re.sub(r"^ +(?:\w+, )*\w+$", "", text, flags=re.MULTILINE))
        made |= {(part, name) for before, name in uses if name in LACKED and before not in {"==", "!="}}
    assert made == set(LACKED_MADE)
