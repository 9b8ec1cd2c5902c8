"""What a row of the table of programs is: a name, packages, a session, and what may differ between any two runs of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

PIDS = (r"\b[1-9]\d{0,6}\b", "<n>")
TIMES = (r"\b\d{1,2}:\d\d(:\d\d)?([.,]\d+)?\b", "<time>")
MONTHS = "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
DATES = (rf"\b\d{{4}}[-/.]?\d\d[-/.]?\d\d\b|\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun),? |\b\d{{0,2}} ?{MONTHS} +\d{{1,4}}( \d{{4}})?\b", "<date>")
SECONDS = (r"\b\d+[.,]\d+(e-\d+)?( ?m?s| sec(onds?)?)?\b", "<seconds>")


@dataclass(frozen=True)
class Row:
    """One program and its session.

    ``script`` is run by bash in /here, a binding, after the functions of ``library.sh``; its output, its status and the tree afterwards
    are compared.  With a ``dialogue`` it runs on a terminal of 80 by 24: each pair is a pattern to wait for and what is then typed.
    ``changes`` are substitutions (pattern, replacement) made in the output and in small text files before they are compared.
    ``unread`` matches the paths of files whose contents are not compared, ``unlisted`` those that are not looked at.
    """

    name: str
    packages: str
    script: str
    changes: tuple[tuple[str, str], ...] = ()
    dialogue: tuple[tuple[str, str], ...] = ()
    unread: str = ""
    unlisted: str = ""
    limit: float = 60.0

    def normalised(self, text: str) -> str:
        """Return text without what may differ."""
        for pattern, replacement in self.changes:
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        return text
