"""`python -m tests.why [ROW ...]`: play the corpus and print the scores.

--part chooses a part (`held_out` in tests/why/table.py); of the part that is held out only the figures are shown;
--answers shows what a plain trace sees instead: whether the command fails, and whether the right call is among the failed ones;
-v shows every row that is not right. PYROOT_CMD names the pyroot.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.why import play
from tests.why.row import NONE, Row
from tests.why.table import ROWS, held_out


def checked(row: Row) -> str:
    """Compare a hand-written answer with a plain trace: the empty text if they agree."""
    try:
        status, log = play.failures(row)
    except play.Skipped as reason:
        return f"skipped: {reason}"
    except Exception as error:  # noqa: BLE001  (to be shown beside the others)
        return f"{error!r}"
    if status == 0:
        return f"does not fail\n{log[-600:]}"
    if row.call != NONE and not any(re.search(row.call, line) for line in log.splitlines()):
        return f"no such call (status {status})\n{log[-1500:]}"
    return ""


def scored(row: Row) -> play.Played | str:
    """Play a row; a text is the reason why it was skipped."""
    try:
        return play.play(row)
    except play.Skipped as reason:
        return str(reason)


def main() -> int:
    """Do what the words ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.why")
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--part", choices=("open", "held", "later", "third", "fourth", "all"), default="all")
    parser.add_argument("--answers", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("-v", "--verbose", action="store_true")
    words = parser.parse_args()
    rows = [row for row in ROWS if not words.rows or row.name in words.rows]
    if words.part in ("later", "third", "fourth"):
        rows = [row for row in rows if row.name.startswith(f"{words.part}-")]
    elif words.part != "all":
        rows = [row for row in rows if not row.name.startswith(("later-", "third-", "fourth-"))]
        rows = [row for row in rows if held_out(row.name) == (words.part == "held")]
    try:
        with ThreadPoolExecutor(words.jobs) as pool:
            return _answers(rows, pool) if words.answers else _scores(rows, pool, words.verbose)
    finally:
        play.clean()


def _answers(rows: list[Row], pool: ThreadPoolExecutor) -> int:
    for row, fault in zip(rows, pool.map(checked, rows), strict=True):
        if fault:
            print(f"== {row.name}: {fault}")
    return 0


def _scores(rows: list[Row], pool: ThreadPoolExecutor, verbose: bool) -> int:
    counts: Counter[str] = Counter()
    for row, played in zip(rows, pool.map(scored, rows), strict=True):
        if isinstance(played, str):
            counts["skipped"] += 1
            print(f"skipped  {row.name}: {played}")
            continue
        counts[played.verdict] += 1
        if played.verdict != play.RIGHT and (verbose or not held_out(row.name)):
            print(f"{played.verdict:8} {row.name}")
            if verbose:
                print(
                    f"    expected {row.call!r}, {row.cause!r}\n    "
                    + "\n    ".join(f"{key}: {value}" for key, value in played.told.items())
                )
    done = sum(counts[one] for one in (play.RIGHT, play.WRONG, play.SURE))
    share = 100 * counts[play.RIGHT] / done if done else 0
    print(f"{counts[play.RIGHT]} of {done} right ({share:.1f} %), {counts[play.SURE]} wrong and sure, {counts['skipped']} skipped")
    return 0 if not counts[play.SURE] else 1


if __name__ == "__main__":
    sys.exit(main())
