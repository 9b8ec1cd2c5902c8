"""Differences between the two sides that are right, or that nobody mends, each with its reason.  The only place that forgives one."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One excuse: the row, patterns that the differing lines of both sides match, and why they differ."""

    row: str
    real: str
    other: str
    reason: str


KNOWN: tuple[Known, ...] = (
    Known("jobs", "", "pyroot", "the supervisor is a process of the same user on the same terminal, and ps lists it"),
)


def reason(row: str, real: str, other: str) -> str | None:
    """Return why a difference of a row is forgiven, or None."""
    for known in KNOWN:
        if re.fullmatch(known.row, row) and re.fullmatch(known.real, real, re.DOTALL) and re.fullmatch(known.other, other, re.DOTALL):
            return known.reason
    return None
