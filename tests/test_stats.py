"""``pyroot --stats`` says what a run has cost, and nothing of it is there without the option."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyroot import stats

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

COUNTS = {
    "stops": 10, "exits": 1, "signals": 2, "births": 1, "execs": 1, "ends": 2, "rewritten": 3, "answered": 1, "names": 4, "proofs": 5,
    "looks": 6, "programs": 2, "programs kept": 1, "interpreters": 2, "interpreters kept": 1, "sites": 2,
    "busy": 250_000_000, "waited": 750_000_000,
}  # fmt: skip


def test_report_names_calls_and_sorts_them_by_time() -> None:
    calls = [(0, 257, 4, 4000), (0, 262, 2, 9000), (1, 5, 1, 100), (0, 499, 1, 0)]
    text = stats.lines(COUNTS, calls, 0.2, 0.5)
    assert text[0] == "10 stops in 1.000 s: 0.250 s in pyroot (25 %), 0.750 s waiting for guests"
    assert text[1] == "  CPU: pyroot 0.200 s, guests 0.500 s"
    assert "8 calls" in text[2] and "4 left as they were" in text[3]
    assert [line.split()[-1] for line in text[-4:-2]] == ["newfstatat", "openat"]
    assert text[-2].endswith("open (i386)") and text[-1].endswith("number 499")


def test_long_tables_are_cut() -> None:
    calls = [(0, number, 1, number) for number in range(stats.MOST + 5)]
    assert stats.lines(COUNTS, calls, 0, 0)[-1].split() == ["5", "of", "5", "others"]


def test_run_is_counted(run_pyroot: Callable[..., Result]) -> None:
    done = run_pyroot(["-r", "/", "--stats", "/bin/sh", "-c", "for i in 1 2 3; do /bin/ls /etc >/dev/null; done; exit 3"])
    assert done.status == 3
    assert done.stdout == ""
    first = re.search(r"^pyroot: (\d+) stops in [\d.]+ s: [\d.]+ s in pyroot", done.stderr, re.M)
    assert first and int(first.group(1)) > 20, done.stderr
    assert re.search(r" 3 births, 4 execs, \d+ signals; 4 ends$", done.stderr, re.M), done.stderr
    assert re.search(r"^pyroot: +3 +[\d.]+ ms +[\d.]+ µs  execve$", done.stderr, re.M), done.stderr
    assert re.search(r"^pyroot: +\d+ +[\d.]+ ms +[\d.]+ µs  openat$", done.stderr, re.M), done.stderr


def test_without_the_option_nothing_is_said(run_pyroot: Callable[..., Result]) -> None:
    done = run_pyroot(["-r", "/", "/bin/true"])
    assert (done.status, done.stderr) == (0, "")
