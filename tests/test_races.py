"""Directories that change places with links while others use them: nothing leads outside, and nothing is missing that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fuzz.race import MODES, Race
from tests.helpers import ordinary_user
from tests.oracle.build import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(60)
#: Where a walk without its check would be led outside in one of two or three turns only.
OFTEN = {"closed": 6}


@pytest.fixture(scope="module")
def race() -> Iterator[Race]:
    """Return the fuzzer of races with its root."""
    obstacle = ordinary_user.why_not()
    if obstacle:
        pytest.skip(obstacle)
    race = Race()
    try:
        race.open()
    except BuildError as error:
        pytest.skip(str(error))
    yield race
    race.close()


@pytest.mark.parametrize("mode", MODES)
def test_no_open_ends_outside(race: Race, mode: str) -> None:
    """A turn raises when an open ends outside, when a file is made there, and (honest) when a call fails on what is always there."""
    for _ in range(OFTEN.get(mode, 1)):
        assert race.turn(MODES.index(mode), 1).startswith(mode)
