"""The corpus: every row, and which third of them is held out while `--why` is tuned.

A row is held out if SHA-256 of the hash of the commit that brought the corpus and the row's name, divided by three, leaves nothing.
"""

from __future__ import annotations

import hashlib

from tests.why import files, network, processes, programs, roots
from tests.why.row import Row

ROWS: tuple[Row, ...] = files.ROWS + processes.ROWS + network.ROWS + programs.ROWS + roots.ROWS


def held_out(name: str, commit: str) -> bool:
    """Say whether a row belongs to the third that tuning did not look at."""
    return int(hashlib.sha256(f"{commit} {name}".encode()).hexdigest(), 16) % 3 == 0
