"""The corpus: every row, and which third of them is held out while `--why` is tuned.

A row is held out if SHA-256 of the hash of the commit that brought the corpus and the row's name, divided by three, leaves nothing. The
rows of `later`, then of `third` and of `fourth`, came when all others had been seen, and were scored once before anything was changed
for them.
"""

from __future__ import annotations

import hashlib

from tests.why import files, fourth, later, network, processes, programs, roots, third
from tests.why.row import Row

#: The commit that brought the corpus.
COMMIT = "1f2316e97c0b6671f5dcd66741aa48148ca70be5"
ROWS: tuple[Row, ...] = files.ROWS + processes.ROWS + network.ROWS + programs.ROWS + roots.ROWS + later.ROWS + third.ROWS + fourth.ROWS


def held_out(name: str, commit: str = COMMIT) -> bool:
    """Say whether a row belongs to the third that tuning did not look at."""
    return int(hashlib.sha256(f"{commit} {name}".encode()).hexdigest(), 16) % 3 == 0
