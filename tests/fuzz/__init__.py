"""Fuzzers: random input for the supervisor, which must neither crash nor hang nor disagree with the kernel.

``python -m tests.fuzz NAME --seconds N --seed S`` runs one.  Each turn has a seed of its own; what fails is printed with that seed,
made smaller where the fuzzer knows how, and recorded in ``tests/fuzz/corpus/NAME``, which later runs try first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .calls import Calls
from .images import Images
from .pointers import Pointers, PointersNoFilter, PointersStops
from .programs import Programs, Programs32
from .race import Race, RaceNoFilter, RaceStops
from .tracers import Keepers, Tracers
from .views import Views
from .ways import Ways, WaysInside, WaysInsideAlone, WaysNoFilter, WaysStops

if TYPE_CHECKING:
    from collections.abc import Callable

    from .engine import Fuzzer

ALL: tuple[Callable[[], Fuzzer], ...] = (
    Calls, Programs, Programs32, Views, Race, RaceStops, RaceNoFilter, Pointers, PointersStops, PointersNoFilter,
    Images, Keepers, Tracers, Ways, WaysStops, WaysNoFilter, WaysInside, WaysInsideAlone,
)
FUZZERS: dict[str, Callable[[], Fuzzer]] = {one.name: one for one in ALL}  # type: ignore[attr-defined]
