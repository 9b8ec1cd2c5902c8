"""Two installed pyroots beside each other in one run: what has a change cost?

Decides what a pair is, when a row is known well enough, and how the interval of its ratio is found.  The two take their turns
right behind each other, in random order, so that what else the machine does meets both; each pair gives the logarithm of a
ratio.  The estimate is the median of the means of any two of these (Hodges and Lehmann), its interval the one that belongs to the
signed-rank test (Wilcoxon): it asks for no normal distribution, and a turn in which the machine was busy elsewhere hardly moves it.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import measure, report, rows, sides
from .root import SetupError
from .sides import Side

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

ENOUGH = 0.01
"""Half the width of an interval that needs no more pairs."""
LEAST = 10
"""Pairs of a row at least, if there is time."""
SECONDS = 900.0
NORMAL_95 = 1.959964
NEW, OLD = "pyroot", "other"

Interval = tuple[float, float, float]
"""The ratio, and the lower and the upper end of its interval of 95 %."""


def interval(logarithms: list[float]) -> Interval:
    """Return the ratio and its interval; of fewer than six pairs nothing can be said with 95 %."""
    count = len(logarithms)
    if count == 0:
        return math.nan, 0.0, math.inf
    means = sorted((one + other) / 2 for place, one in enumerate(logarithms) for other in logarithms[place:])
    ratio = math.exp(statistics.median(means))
    if count < 6:
        return ratio, 0.0, math.inf
    spread = NORMAL_95 * math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    outside = max(0, math.floor(len(means) / 2 - 0.5 - spread))
    return ratio, math.exp(means[outside]), math.exp(means[-1 - outside])


def half_width(found: Interval) -> float:
    """Return half the width of an interval, as a part of its ratio."""
    ratio, low, high = found
    return (high - low) / 2 / ratio


@dataclass
class Row:
    """One row of the comparison: the times of both in microseconds, pair by pair."""

    group: str
    name: str
    new: list[float] = field(default_factory=list)
    old: list[float] = field(default_factory=list)
    found: Interval = (math.nan, 0.0, math.inf)
    looked: int = 0

    def add(self, new: float, old: float) -> None:
        """Add a pair.  The interval is found anew when there are a twentieth more pairs than the last time."""
        self.new.append(new)
        self.old.append(old)
        if len(self.new) * 20 >= self.looked * 21:
            self.look()

    def look(self) -> None:
        """Find the interval of all pairs."""
        self.looked = len(self.new)
        self.found = interval([math.log(new / old) for new, old in zip(self.new, self.old, strict=True)])

    def known(self) -> bool:
        """Say whether the row needs no more pairs."""
        return self.looked >= LEAST and half_width(self.found) < ENOUGH


@dataclass
class Batch:
    """Rows that one turn of a side measures together."""

    rows: list[Row]
    measure: Callable[[Side, list[str]], dict[str, float]]

    def turn(self, pair: list[Side], rng: random.Random) -> None:
        """Measure both sides once, in random order, for the rows that are not known yet."""
        names = [row.name for row in self.rows if not row.known()]
        order = pair[:]
        rng.shuffle(order)
        values = {side.name: self.measure(side, names) for side in order}
        for row in self.rows:
            if row.name not in names:
                continue
            for side in pair:
                if row.name not in values[side.name]:
                    raise measure.MeasureError(f"{side.words[0]}: {row.name} fails")
            row.add(values[NEW][row.name], values[OLD][row.name])


def pair_of(main: Side, against: str) -> list[Side]:
    """Return both sides.  Raises SetupError unless the other one is an installed pyroot that works."""
    command, _python = sides.find_pyroot(against)
    version = sides.output_of([command, "-V"])
    if not version:
        raise SetupError(f"{command} -V fails as an ordinary user", "install it where ordinary users can reach it")
    return [replace(main, name=NEW), replace(main, name=OLD, words=(command, *main.words[1:]), version=version)]


def run_turns(batches: list[Batch], pair: list[Side], rng: random.Random, seconds: float, progress: Callable[[str], None]) -> None:
    """Give every batch its turn, over and over, until all rows are known or the time is over; each has one pair at least."""
    end = time.monotonic() + seconds
    turn = 0
    while waiting := [batch for batch in batches if not all(row.known() for row in batch.rows)]:
        turn += 1
        rng.shuffle(waiting)
        for batch in waiting:
            if turn > 1 and time.monotonic() >= end:
                break
            left = sum(not row.known() for one in batches for row in one.rows)
            progress(f"turn {turn}: {left} rows are not known to {ENOUGH:.0%} yet; {batch.rows[0].group}: {batch.rows[0].name}")
            batch.turn(pair, rng)
        if time.monotonic() >= end:
            break
    for batch in batches:
        for row in batch.rows:
            row.look()


def mean_of(found: list[Row]) -> float:
    """Return the geometric mean of the ratios."""
    return statistics.geometric_mean([row.found[0] for row in found])


def over(found: list[Row], bound: float) -> list[str]:
    """Return a line for each row whose whole interval is above a bound."""
    return [f"{row.group}: {row.name}: {row.found[1]:.3f} to {row.found[2]:.3f} times as long, at most {bound} allowed"
            for row in found if row.found[1] > bound]  # fmt: skip


def markdown(found: list[Row], about: dict[str, str]) -> str:
    """Return the comparison as Markdown."""
    lines = ["Medians of one call, cycle or run of both; the ratio of the pairs and its interval of 95 %.", "",
             "| | this one | the other | ratio | interval | pairs |", "|---|---|---|---|---|---|"]  # fmt: skip
    for row in found:
        ratio, low, high = row.found
        times = " | ".join(report.duration(statistics.median(values)) for values in (row.new, row.old))
        ends = f"{low:.3f}-{high:.3f}" if low else "-"
        lines.append(f"| {report.TITLES.get(row.name, row.name)} ({row.group}) | {times} | **{ratio:.3f}** | {ends} | {len(row.new)} |")
    wide = sum(not row.known() for row in found)
    lines += ["", f"Geometric mean of the ratios: **{mean_of(found):.3f}**.  "]
    lines += [f"{wide} of {len(found)} intervals are wider than {ENOUGH:.0%} to either side: the time was over." if wide else
              f"All intervals are within {ENOUGH:.0%} to either side.", ""]  # fmt: skip
    return "\n".join([*lines, *(f"{key}: {value}  " for key, value in about.items()), ""])


def as_json(found: list[Row], about: dict[str, str]) -> dict[str, Any]:
    """Return the comparison with every single time."""
    return {"about": about, "geometric mean": mean_of(found), "rows": [
        {"group": row.group, "name": row.name, "ratio": row.found[0], "interval": row.found[1:], "new": row.new, "old": row.old}
        for row in found]}  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- what is measured


def together(group: str, names: list[str], *words: str) -> list[Batch]:
    """Return the batch of those rows that one run of the probe measures."""
    return [Batch([Row(group, name) for name in names], lambda side, wanted: measure.probe(side, *words, *wanted))] if names else []


def alone(group: str, name: str, once: Callable[[Side], float]) -> Batch:
    """Return the batch of a row that is measured by itself."""
    return Batch([Row(group, name)], lambda side, _wanted: {name: once(side)})


def start_up(times: int) -> Callable[[Side], float]:
    """Return what measures the start of a side."""
    return lambda side: measure.start_up([side.words[0], "-r", "/", "/bin/true"], side.prepare, times)


def scale(name: str) -> Callable[[Side], float]:
    """Return what measures guests at once."""
    return lambda side: measure.probe(side, "scale", "2000", *name.split("-"))[name]


def workload(native: Side, row: rows.Workload, python: str) -> Callable[[Side], float]:
    """Return what measures a workload."""
    return lambda side: measure.workload_time(native, side, row, python)


def trace(native: Side, row: rows.Trace) -> Callable[[Side], float]:
    """Return what measures a traced workload."""
    return lambda side: measure.workload_time(native, sides.tracing(side, row.calls), row.workload, "")
