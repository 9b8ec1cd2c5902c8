"""Which calls are traced: the sets of `-e trace=`, and the filter that stops them.

Decides: what a set means, and the part of the seccomp filter before the session's own. Not decided here: what the core does at
a stop.
"""

from __future__ import annotations

import re

from pyroot.errors import PyrootError
from pyroot.syscalls import filters, numbers_i386, numbers_x86_64
from pyroot.syscalls.filters import JA, JEQ, JGE, LD, LOADER_TEXT, LOADER_TEXT_END, OFF_ARCH, OFF_IP, OFF_NR, RET, RET_TRACE, Insn
from pyroot.trace.calls import SETS, SUB_CALLS, rows, rows_i386
from pyroot.trace.names import signal_name

_PASS = 0x50415353  # a jump to the session's own filter, patched at the end
_PROGRAM_OF_BOTH = (numbers_x86_64, numbers_i386)
# Sets of calls that have no row of their own in the table of calls, by their names.
_OLD_NAMES = {"file", "process", "network", "net", "signal", "ipc", "desc", "memory"}
STATUSES = ("successful", "failed", "unfinished", "unavailable", "detached")


def every_name() -> list[str]:
    """List the names of all calls of both ABIs."""
    return list(dict.fromkeys([*numbers_x86_64.NUMBERS, *numbers_i386.NUMBERS, *SUB_CALLS]))


def set_names(name: str) -> set[str] | None:
    """Give the calls of a set such as `file` or `%stat` (the name after the first %), None if there is no such set."""
    letters = {letter for letter, names in SETS.items() if name in names}
    if not letters:
        return None
    every = {**rows(), **rows_i386()}
    return {call for call, (sets, _arguments, _ending) in every.items() if letters & set(sets)}


def calls(text: str) -> set[str]:
    """Give the names that the value of `-e trace=` means. Raises PyrootError."""
    inverted = text.startswith("!")
    every = every_name()
    found: set[str] = set()
    for word in text.removeprefix("!").split(","):
        found |= _calls_of(word, every)
    return set(every) - found if inverted else found


def _calls_of(word: str, every: list[str]) -> set[str]:
    optional = word.startswith("?")
    name = word.lstrip("?")
    if name == "all":
        return set(every)
    if name in ("none", ""):
        return set()
    if name.startswith("/"):
        try:
            pattern = re.compile(name[1:])
        except re.error as error:
            raise PyrootError(f"trace: -e trace={word}: {error}", "/ is followed by a regular expression for the names of calls") from None
        matched = {call for call in every if pattern.search(call)}
        if not matched and not optional:
            raise PyrootError(f"trace: -e trace={word}: no call has such a name", "pyroot trace -h tells how to name calls")
        return matched
    found = set_names(name[1:]) if name.startswith("%") else {name} if name in every else set_names(name) if name in _OLD_NAMES else None
    if found is None:
        if optional:
            return set()
        raise PyrootError(f"trace: -e trace={word}: no such call or set", "pyroot trace -h lists the sets; a leading ? allows any name")
    return found


def signals(text: str) -> set[int]:
    """Give the numbers that the value of `-e signal=` means. Raises PyrootError."""
    inverted = text.startswith("!")
    known = {signal_name(number): number for number in range(1, 65)}
    found: set[int] = set()
    for word in text.removeprefix("!").upper().split(","):
        if word == "ALL":
            found |= set(known.values())
        elif word.isdigit() and 0 < int(word) < 65:
            found.add(int(word))
        elif word not in ("NONE", ""):
            number = known.get(word) or known.get("SIG" + word)
            if number is None:
                raise PyrootError(f"trace: -e signal={word}: no such signal", "names as SIGINT or INT, or numbers")
            found.add(number)
    return set(known.values()) - found if inverted else found


def statuses(text: str) -> set[str]:
    """Give the words that the value of `-e status=` means. Raises PyrootError."""
    inverted = text.startswith("!")
    words = set(text.removeprefix("!").split(","))
    if "all" in words:
        words = set(STATUSES)
    words.discard("none")
    if words - set(STATUSES):
        raise PyrootError(f"trace: -e status={text}: no such status", f"one of {', '.join(STATUSES)}")
    return set(STATUSES) - words if inverted else words


def _search(numbers: list[int]) -> list[Insn]:
    """Return the search that sends the numbers to a stop and the rest on."""
    stop: list[Insn] = [(RET, 0, 0, RET_TRACE)]
    on: list[Insn] = [(JA, 0, 0, _PASS)]
    runs: list[tuple[int, list[Insn]]] = []
    wanted = set(numbers)
    for number in range(max(wanted, default=0) + 2):
        leaf = stop if number in wanted else on
        if not runs or runs[-1][1] != leaf:
            runs.append((number, leaf))
    return [(LD, 0, 0, OFF_NR), *filters._search(runs)]


def program(names: set[str]) -> list[Insn]:
    """Return the part of the filter that stops the named calls, except the loader's, and continues with what follows."""
    if names & set(SUB_CALLS):
        names = names | {"socketcall"}
    parts = [_search([module.NUMBERS[name] for name in names if name in module.NUMBERS]) for module in _PROGRAM_OF_BOTH]
    arch = [module.AUDIT_ARCH for module in _PROGRAM_OF_BOTH]
    whole: list[Insn] = [
        (LD, 0, 0, OFF_IP + 4), (JEQ, 0, 4, LOADER_TEXT >> 32),
        (LD, 0, 0, OFF_IP), (JGE, 0, 2, LOADER_TEXT & 0xFFFFFFFF), (JGE, 1, 0, LOADER_TEXT_END & 0xFFFFFFFF), (JA, 0, 0, _PASS),
        (LD, 0, 0, OFF_ARCH), (JEQ, 2, 0, arch[0]), (JEQ, 0, 2, arch[1]), (JA, 0, 0, len(parts[0]) + 2),
        (JA, 0, 0, 1), (JA, 0, 0, _PASS), *parts[0], *parts[1],
    ]  # fmt: skip
    return [(code, jt, jf, len(whole) - at - 1 if code == JA and k == _PASS else k) for at, (code, jt, jf, k) in enumerate(whole)]
