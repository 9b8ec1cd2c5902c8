"""The corpus of failing commands (tests/why): the right call is blamed, and no wrong one is called sure."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.helpers import ordinary_user
from tests.why import play
from tests.why.__main__ import scored
from tests.why.row import Row
from tests.why.table import ROWS, held_out

SAMPLE = 8  # every so many rows are played in the default run
LEAST = 0.95


@pytest.fixture(autouse=True)
def _roots() -> Iterator[None]:
    """Play rows only where guests can run, and remove the roots that they share."""
    reason = ordinary_user.why_not()
    if reason:
        pytest.skip(reason)
    yield
    play.clean()


def judge(rows: list[Row]) -> None:
    """Play rows, two at a time, and compare the figures with what is promised."""
    with ThreadPoolExecutor(2) as pool:
        ended = [one for one in pool.map(scored, rows) if isinstance(one, play.Played)]
    if not ended:
        pytest.skip("none of the programs is installed")
    sure = [one.row.name for one in ended if one.verdict == play.SURE]
    assert not sure, "sure of a wrong call"
    wrong = [one.row.name for one in ended if one.verdict != play.RIGHT]
    assert len(wrong) <= max(1, (1 - LEAST) * len(ended)), wrong


def test_names_are_unique_and_a_third_is_held_out() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names) >= 120
    assert 0.28 < sum(map(held_out, names)) / len(names) < 0.38


def test_sample_of_the_corpus() -> None:
    judge([row for row in ROWS if not row.heavy][::SAMPLE])


def carry_out(rows: list[Row]) -> int:
    """Do what the answers of rows say, and look whether the failure is gone or another; give the number of fixes that are commands."""

    def both(row: Row) -> tuple[Row, tuple[dict[str, object], dict[str, object]] | None]:
        try:
            return row, play.mended(row)
        except play.Skipped:
            return row, None

    with ThreadPoolExecutor(2) as pool:
        ended = [(row, pair) for row, pair in pool.map(both, rows) if pair is not None]
    same = [row.name for row, pair in ended if pair[1] and all(pair[0].get(name) == pair[1].get(name) for name in ("call", "cause"))]
    assert not same, "the failure is as it was"
    return len(ended)


def test_what_a_sample_of_answers_says_is_done_and_the_failure_is_gone_or_changed() -> None:
    with_commands = [row for row in ROWS if not row.heavy and ("closed" in row.name or row.root)]
    assert carry_out(with_commands[::SAMPLE]) > 2


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_what_every_answer_says_is_done_and_the_failure_is_gone_or_changed() -> None:
    assert carry_out(list(ROWS)) > 50


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_whole_corpus() -> None:
    judge(list(ROWS))
