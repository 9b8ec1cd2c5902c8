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


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_whole_corpus() -> None:
    judge(list(ROWS))
