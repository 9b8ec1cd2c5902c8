"""The default seccomp profiles of container engines, one list each beside this file, and what pyroot does under them.

A list begins with where it is from. Then comes a line a rule, and the first that fits a call decides: ``allow`` or an errno, names of
calls, or one name and conditions (``ARGUMENT=VALUE``, ``ARGUMENT&MASK=VALUE``). ``default`` is for all calls that no rule fits, ``newer``
for those whose number is above all that are named. What stands behind ``SYS_PTRACE`` holds in containers that have that capability.

Decides: what the lists mean as rules of ``programs/refuse.c``. ``python -m tests.profiles`` writes the table of docs/CONTAINERS.md.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path

from pyroot.doctor import calls
from pyroot.syscalls.numbers_i386 import NUMBERS as OLD_NUMBERS
from pyroot.syscalls.numbers_x86_64 import NUMBERS
from tests import refused_runs
from tests.refused_runs import CLEAR, RIGHT, Ground

DIRECTORY = Path(__file__).parent
PAGE = DIRECTORY.parent.parent / "docs" / "CONTAINERS.md"
NAMES = tuple(sorted(path.stem for path in DIRECTORY.glob("*.txt")))
CAPABILITY = "SYS_PTRACE"
#: The call that `pyroot check` has a row of its own for.
MEMORY = calls.Call("process_vm_readv", "process_vm_readv", (0,), "")
HEAD = ["| profile | pyroot | refused, of what it uses |", "|---|---|---|"]


@dataclass
class Profile:
    """One list: its rules, in order, as (errno or 0, names, conditions)."""

    name: str
    source: str = ""
    default: int = errno.EPERM
    newer: int | None = None
    allowed: list[tuple[int, list[str], list[str]]] = field(default_factory=list)
    capable: list[tuple[int, list[str], list[str]]] = field(default_factory=list)

    def rules(self, capable: bool = False) -> list[str]:
        """Give the words for refuse.c; ``capable``: of a container with CAP_SYS_PTRACE."""
        words = []
        rules = [*(self.capable if capable else []), *self.allowed]
        for sign, numbers in (("", NUMBERS), ("i", OLD_NUMBERS)):
            for error, names, conditions in rules:
                words += [f"{sign}{numbers[name]}{''.join(',' + one for one in conditions)}:{error}" for name in names if name in numbers]
            if self.newer is not None:
                newest = max(numbers[name] for _, names, _ in rules for name in names if name in numbers)
                words += [f"{sign}{number}:{self.newer}" for number in numbers.values() if number > newest]
        return [*words, f"*:{self.default}"]

    def refuses(self, call: calls.Call, capable: bool) -> bool:
        """Say what the rules make of a call with these arguments."""
        for error, names, conditions in [*(self.capable if capable else []), *self.allowed]:
            if call.call in names and all(fits(call.arguments, one) for one in conditions):
                return error != 0
        return True


def fits(arguments: tuple[int, ...], condition: str) -> bool:
    """Say whether a condition holds for these arguments."""
    place, _, value = condition.partition("=")
    number, _, mask = place.partition("&")
    given = (*arguments, *(0,) * 6)[int(number)] & int(mask or "0xffffffffffffffff", 0)
    return given == int(value, 0)


def number_of(word: str) -> int:
    """Give the errno of a word, 0 for ``allow``."""
    return 0 if word == "allow" else int(getattr(errno, word))


def read(name: str) -> Profile:
    """Read a list."""
    profile = Profile(name)
    text = (DIRECTORY / f"{name}.txt").read_text(encoding="ascii")
    for line in text.replace("\n  ", " ").splitlines():
        first, *words = line.split()
        if first == "#":
            profile.source += " ".join(words) + "\n"
        elif first == "default":
            profile.default = number_of(words[0])
        elif first == "newer":
            profile.newer = number_of(words[0])
        else:
            rules = profile.allowed
            if first == CAPABILITY:
                rules, first, words = profile.capable, words[0], words[1:]
            rules.append((number_of(first), [word for word in words if "=" not in word], [word for word in words if "=" in word]))
    return profile


@dataclass(frozen=True)
class Row:
    """What comes of pyroot under a profile: a row of the table."""

    profile: str
    capable: bool
    end: str
    refused: tuple[str, ...]

    @classmethod
    def of(cls, ground: Ground, words: list[str], name: str, capable: bool) -> Row:
        """Run the probe of the refusal matrix under a profile."""
        profile = read(name)
        found = refused_runs.judge(ground, profile.rules(capable), "gate", words)
        ends = {RIGHT: "runs; every answer is as without it", CLEAR: "ends with " + found.message.partition("\n")[0]}
        end = ends.get(found.verdict, found.why)
        rows = (MEMORY, *calls.NEEDED, *calls.MISSED)
        refused = dict.fromkeys(row.call if row.call == "ptrace" else row.name for row in rows if profile.refuses(row, capable))
        return cls(name, capable, end, tuple(refused))

    def text(self) -> str:
        """Write the row."""
        name = f"`{self.profile}`{' and ' + CAPABILITY if self.capable else ''}"
        return f"| {name} | {self.end} | {', '.join(self.refused) or 'nothing'} |"


def table_in(page: str) -> list[str]:
    """Return the lines of the table in the page."""
    return [line for line in page.splitlines() if line.startswith("|")]


def with_table(page: str, lines: list[str]) -> str:
    """Put a table in the place of the one in the page."""
    before, _, rest = page.partition(HEAD[0])
    after = rest.split("\n")
    while after and (not after[0] or after[0].startswith("|")):
        after.pop(0)
    return before + "\n".join([*lines, "", *after])
