"""Lay two outcomes of a row side by side."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from . import known

if TYPE_CHECKING:
    from .row import Row
    from .world import Outcome

SHOWN = 12  # lines of each side that a difference prints
WIDE = 400  # of each of them so many characters


def lines_of(row: Row, outcome: Outcome) -> list[str]:
    """Write everything that is compared as lines."""
    lines = row.normalised(outcome.output).splitlines()
    lines.append(f"status: {outcome.status}")
    lines += [f"left behind: {name}" for name in outcome.left if name != "pyroot"]
    return lines + [f"{path}: {text}" for path, text in sorted(outcome.tree.items())]


def differences(row: Row, real: Outcome, other: Outcome) -> tuple[list[str], list[str]]:
    """Return a text for each difference that nothing explains, and the reasons of those that are explained."""
    ours, theirs = lines_of(row, real), lines_of(row, other)
    found = [f"    - the session itself failed: {line}" for line in ours if line.startswith("not in time: ")]
    if real.status is None:
        found.append("    - the session itself failed: it did not end")
    reasons: list[str] = []
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            continue
        reason = known.reason(row.name, "\n".join(ours[a:b]), "\n".join(theirs[c:d]))
        if reason:
            reasons.append(reason)
        else:
            lines = [*(f"    - {line}" for line in ours[a:b][:SHOWN]), *(f"    + {line}" for line in theirs[c:d][:SHOWN])]
            found.append("\n".join(line[:WIDE] for line in lines))
    return found, reasons
