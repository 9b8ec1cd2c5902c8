"""Two pyroots are compared pair by pair, until the interval of each ratio is narrow or the time is over; bounds come from saved runs."""

from __future__ import annotations

import glob
import json
import math
import os
import random
from typing import TYPE_CHECKING

import pytest

from benchmarks import measure, paired, report, rows, sides

if TYPE_CHECKING:
    from pathlib import Path

RUNS = 300


def side(name: str, *words: str) -> sides.Side:
    """Return a side that is never run."""
    return sides.Side(name, words or (name,), "", sides.drop_to_ordinary_user, "")


PAIR = [side(paired.NEW), side(paired.OLD)]


def batch_of(rng: random.Random, spread: float, ratio: float = 1.0) -> paired.Batch:
    """Return one row of which one side takes ``ratio`` times as long as the other, with noise on both."""
    def once(which: sides.Side) -> float:
        return 100 * (ratio if which.name == paired.NEW else 1) * math.exp(rng.gauss(0, spread))

    return paired.alone("calls", "stat", once)


def test_interval_holds_the_ratio_in_nineteen_of_twenty_runs() -> None:
    rng = random.Random(11)
    held = 0
    for _ in range(RUNS):
        ratio, low, high = paired.interval([rng.gauss(math.log(1.2), 0.1) for _ in range(20)])
        assert low <= ratio <= high
        held += low <= 1.2 <= high
    assert 0.92 * RUNS <= held <= 0.985 * RUNS


@pytest.mark.parametrize(("count", "outside"), [(6, 0), (8, 3), (10, 7), (25, 89)])
def test_ends_are_those_of_the_signed_rank_test(count: int, outside: int) -> None:
    """The tables of Wilcoxon's test say how many means lie outside at each end: 0, 3, 8 and 89; the approximation is one below at ten."""
    logarithms = [math.log(1 + n / 100) for n in range(count)]
    means = sorted((a + b) / 2 for n, a in enumerate(logarithms) for b in logarithms[n:])
    assert paired.interval(logarithms)[1:] == (math.exp(means[outside]), math.exp(means[-1 - outside]))


def test_a_few_turns_at_which_the_machine_was_busy_hardly_move_the_ratio() -> None:
    quiet = [0.001 * n for n in range(-15, 15)]
    assert paired.interval([*quiet, 2.0, 1.5, 3.0])[0] == pytest.approx(1.0, abs=0.003)


def test_of_few_pairs_nothing_is_said() -> None:
    assert paired.interval([0.1] * 5)[1:] == (0.0, math.inf)
    assert math.isnan(paired.interval([])[0])
    assert not paired.over([paired.Row("calls", "stat", found=paired.interval([9.0] * 5))], 1.05)


def test_ratio_of_the_two_is_found_and_the_run_ends_by_itself() -> None:
    batch = batch_of(random.Random(2), 0.02, 1.3)
    paired.run_turns([batch], PAIR, random.Random(3), 1e9, lambda _text: None)
    row = batch.rows[0]
    assert row.known()
    assert len(row.new) >= paired.LEAST
    assert row.found[0] == pytest.approx(1.3, rel=0.02)
    assert paired.half_width(row.found) < paired.ENOUGH
    assert paired.over([row], 1.05)
    assert not paired.over([row], 1.35)


def test_time_ends_the_run_but_each_row_has_had_a_turn() -> None:
    batches = [batch_of(random.Random(n), 5.0) for n in range(3)]
    paired.run_turns(batches, PAIR, random.Random(3), 0.0, lambda _text: None)
    assert [len(batch.rows[0].new) for batch in batches] == [1, 1, 1]


def test_a_row_that_is_known_is_not_measured_any_more() -> None:
    rng, asked = random.Random(5), []

    def both(which: sides.Side, names: list[str]) -> dict[str, float]:
        asked.append((which.name, *names))
        return {"quiet": 1.0, "noisy": math.exp(rng.gauss(0, 0.03))}

    batch = paired.Batch([paired.Row("calls", "quiet"), paired.Row("calls", "noisy")], both)
    paired.run_turns([batch], PAIR, rng, 1e9, lambda _text: None)
    assert len(batch.rows[0].new) == paired.LEAST < len(batch.rows[1].new)
    assert {words[1:] for words in asked} == {("quiet", "noisy"), ("noisy",)}
    assert {words[0] for words in asked[::2]} == {paired.NEW, paired.OLD}, "who begins is left to chance"


def test_what_one_of_them_cannot_do_is_an_error() -> None:
    batch = paired.Batch([paired.Row("calls", "statx")], lambda which, names: {names[0]: 1.0} if which.name == paired.NEW else {})
    with pytest.raises(measure.MeasureError, match="other: statx fails"):
        batch.turn(PAIR, random.Random(1))


def test_report_of_a_comparison() -> None:
    found = []
    for name, ratio in (("stat", 1.0), ("access", 1.21)):
        row = paired.Row("calls", name)
        for n in range(40):
            row.add(10.0 * ratio + n * 1e-4, 10.0)
        row.look()
        found.append(row)
    text = paired.markdown(found, {"date": "today"})
    assert "| access (calls) | 12.10 µs | 10.00 µs | **1.210** | 1.210-1.210 | 40 |" in text
    assert "Geometric mean of the ratios: **1.100**" in text
    assert "All intervals are within 1%" in text
    assert paired.over(found, 1.05) == ["calls: access: 1.210 to 1.210 times as long, at most 1.05 allowed"]
    assert json.loads(json.dumps(paired.as_json(found, {})))["rows"][1]["name"] == "access"


def test_trace_of_a_side_has_its_options_behind_the_verb() -> None:
    assert sides.tracing(side("pyroot", "/opt/pyroot", "-r", "/root"), "%file").words == (
        "/opt/pyroot", "trace", "-o", "/dev/null", "-e", "trace=%file", "-r", "/root")  # fmt: skip


# ------------------------------------------------------------------------------------------------------------------------ bounds


def test_bounds_are_a_tenth_above_the_figures_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "bounds.json"
    path.write_text(json.dumps({
        "calls": {"stat": {"goal": 3.5, "bound": 9}, "read": {"goal": 1.0, "bound": 9}, "getppid": {"goal": 1.05, "bound": 9}},
        "bindings": {"stat": {"side": "pyroot, 1000 bindings", "goal": 1, "bound": 2}}, "memory": {rows.MEMORY: {"goal": 30, "bound": 30}},
    }))  # fmt: skip
    result = {"groups": {"calls": {"stat": {"pyroot": {"ratio": 2.761}}, "getppid": {"pyroot": {"ratio": 0.9}}},
                         "memory": {rows.MEMORY: {"pyroot": {"MiB": 20.0}}},
                         "bindings": {"stat": {"pyroot": {"ratio": 7.0}, "pyroot, 1000 bindings": {"ratio": 2.0}}}}}  # fmt: skip
    text = report.bounds_from(result, str(path))
    path.write_text(text)
    assert json.loads(text) == {
        "calls": {"stat": {"goal": 2.76, "bound": 3.04}, "read": {"goal": 1.0, "bound": 9}, "getppid": {"goal": 1.0, "bound": 1.1}},
        "bindings": {"stat": {"side": "pyroot, 1000 bindings", "goal": 1, "bound": 2.2}},
        "memory": {rows.MEMORY: {"goal": 20.0, "bound": 22.0}},
    }  # fmt: skip
    assert report.bounds_from(result, str(path)) == text, "a second time changes nothing"


def test_bounds_of_the_tree_are_those_of_its_last_saved_run() -> None:
    saved = max(glob.glob(os.path.join(report.HERE, "results", "*.json")))
    with open(saved) as file, open(report.BOUNDS) as bounds:
        assert bounds.read() == report.bounds_from(json.load(file))
