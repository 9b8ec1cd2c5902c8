"""A short run of each fuzzer, and a longer one with the marker ``fuzz``; ``python -m tests.fuzz`` has no end but yours."""

from __future__ import annotations

import os
import random

import pytest

from tests.fuzz import FUZZERS, engine
from tests.helpers import ordinary_user
from tests.oracle.build import BuildError

pytestmark = pytest.mark.timeout(300)
FIXED = 20261122
"""Where the seeds of the short runs start: whether the suite passes is not a matter of luck."""


SHORT = ("calls", "images", "programs", "programs32", "race", "views")
"""What has no short form among other tests."""

RUNS = [pytest.param(name, 2.0, id=f"{name}-2.0") for name in SHORT]
RUNS += [pytest.param(name, 60.0, id=f"{name}-60.0", marks=pytest.mark.fuzz) for name in sorted(FUZZERS)]


@pytest.mark.parametrize(("name", "seconds"), RUNS)
def test_fuzzer_finds_nothing(name: str, seconds: float) -> None:
    """The seeds of its corpus, then others for some seconds: the short run has always the same, the long one fresh ones."""
    obstacle = ordinary_user.why_not()
    if obstacle:
        pytest.skip(obstacle)
    fresh = random.SystemRandom().randrange(1, 1 << 32) if seconds > 2 else FIXED
    first = int(os.environ.get("PYROOT_TEST_SEED", "0")) or fresh
    try:
        report = engine.run(FUZZERS[name](), seconds, first, keep=False)
    except BuildError as error:
        pytest.skip(str(error))
    assert report.turns > 0
    assert report.failures == 0, f"seed {first}"
