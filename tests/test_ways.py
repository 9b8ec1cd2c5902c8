"""Some of the ways out of each call, and that what watches over them would see one; ``make fuzz ARGS=ways`` tries them all."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from pyroot.syscalls import numbers_i386, numbers_x86_64
from tests.fuzz import ways_list
from tests.fuzz.engine import Outside
from tests.fuzz.ways import SHARDS, Ways, WaysNoFilter, some
from tests.helpers import ordinary_user
from tests.oracle.build import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fuzz.ways_list import Call, Way

pytestmark = pytest.mark.timeout(300)
SEED = 20261130
SOME = 6
"""Ways of each call."""
WITH_PATHS, IN_GATE, ALL = 15, 80, 10_000
"""The same of calls that have paths, of the few that are answered in the guest, and of those that have ways of their own."""
CANNOT = ("privileged", "chroot", "sockout", "rename", "link")
"""Handlers of calls that an ordinary user may not make, that give paths only, that do not go from one mount to another."""


def opened(kind: type[Ways]) -> Iterator[Ways]:
    """Make what the ways need."""
    obstacle = ordinary_user.why_not()
    if obstacle:
        pytest.skip(obstacle)
    one = kind()
    try:
        one.open()
    except BuildError as error:
        pytest.skip(str(error))
    yield one
    one.close()


@pytest.fixture(scope="module")
def tried() -> Iterator[Ways]:
    """Return the program that tries ways."""
    yield from opened(Ways)


@pytest.fixture(scope="module")
def tried_without_filter() -> Iterator[Ways]:
    """Return the same for a pyroot that stops at each call by itself."""
    yield from opened(WaysNoFilter)


def most(call: Call) -> int:
    """Return how many ways of a call are tried."""
    if call.name in ways_list.PROCESSES:
        return ALL
    if call.row is None or call.row.path < 0:
        return SOME
    return ALL if call.row.handler == "exec" else IN_GATE if call.abi == "g" else WITH_PATHS


@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_way_leads_out(tried: Ways, shard: int) -> None:
    calls = tried.all[shard::SHARDS]
    before = tried.ran
    rng = random.Random(SEED + shard)
    tried.attempt(calls, lambda call, every: some(every, most(call), rng))
    # (what is left out of the trial of everything has fewer ways, or none)
    assert tried.ran - before >= SOME * sum(call.name not in ways_list.LEFT_OUT for call in calls)


def test_no_way_leads_out_without_a_filter(tried_without_filter: Ways) -> None:
    calls = [call for call in tried_without_filter.all if call.row is not None and call.row.path >= 0 and call.abi != "g"]
    rng = random.Random(SEED)
    tried_without_filter.attempt(calls, lambda _call, every: some(every, SOME // 2, rng))


def test_what_watches_would_see_a_way_out(tried: Ways) -> None:
    """Where the directory outside is bound under its own name, each call with a path that may work meets what is there."""
    host = tried.ground.host
    calls = [call for call in tried.all if call.row is not None and call.row.path >= 0 and call.row.handler not in CANNOT]

    def by_its_own_name(_call: Call, every: list[Way]) -> list[Way]:
        tried.ground.fill()
        return [way for way in every if f":{host}" in way.line]

    tried.options, tried.shown = ("-b", f"{host}:{host}"), 10**9
    try:
        with pytest.raises(Outside) as met:
            tried.attempt(calls, by_its_own_name)
    finally:
        tried.options, tried.shown = (), Ways.shown
        tried.ground.fill()
    found = str(met.value)
    assert [(call.abi, call.name) for call in calls if f"{call.abi} {call.name} in " not in found] == []


def test_calls_that_are_left_out_exist() -> None:
    known = {*numbers_x86_64.NUMBERS, *numbers_i386.NUMBERS}
    assert {*ways_list.LEFT_OUT, *ways_list.PROCESSES, *ways_list.SIGNALS} - known == set()
