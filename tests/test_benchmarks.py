"""The benchmarks pair, sum up and judge figures as their README says, and measure only what users get."""

from __future__ import annotations

import json
import os
import random
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks import measure, report, sides

if TYPE_CHECKING:
    from pathlib import Path


def side(name: str) -> sides.Side:
    """Return a side that is never run."""
    return sides.Side(name, (), "", sides.drop_to_ordinary_user, "")


def test_ratio_is_taken_to_the_native_runs_on_both_sides() -> None:
    native, other, third = side("native"), side("pyroot"), side("proot")
    figures: measure.Figures = {}
    ratios: measure.Figures = {}
    values = [(native, 1.0), (other, 20.0), (native, 3.0), (third, 30.0), (native, 2.0)]
    measure.pair([(one, {"stat": value}) for one, value in values], figures, ratios)
    assert ratios == {"stat": {"pyroot": [10.0], "proot": [12.0]}}
    assert figures["stat"]["native"] == [1.0, 3.0, 2.0]


def test_every_side_stands_between_two_native_runs() -> None:
    names = [one.name for one in measure.turns([side("native"), side("a"), side("b"), side("c")], random.Random(3))]
    assert names[::2] == ["native"] * 4
    assert sorted(names[1::2]) == ["a", "b", "c"]


def test_summary_holds_medians_and_quartiles() -> None:
    rows = report.summary(
        {"stat": {"native": [1.0, 1.0, 4.0], "pyroot": [9.0, 10.0, 30.0]}}, {"stat": {"pyroot": [9.0, 10.0, 13.0]}}
    )
    assert rows["stat"]["native"] == {"us": 1.0}
    assert rows["stat"]["pyroot"] == {"us": 10.0, "ratio": 10.0, "q1": 9.5, "q3": 11.5, "rounds": 3}
    assert "**10.00** (9.50-11.50), 10.00 µs" in report.table(rows, ["native", "pyroot"], "native")


@pytest.mark.parametrize(
    ("ratio", "floor", "wrong", "notes"), [(1.05, 1.0, 0, 0), (1.3, 1.0, 1, 0), (1.3, 1.25, 0, 1), (1.6, 1.25, 1, 0)]
)
def test_bound_is_held_against_the_bare_filter_where_that_is_above_it(
    tmp_path: Path, ratio: float, floor: float, wrong: int, notes: int
) -> None:
    bounds = tmp_path / "bounds.json"
    bounds.write_text(json.dumps({"getppid": 1.1}))
    rows = {"getppid": {"pyroot": {"ratio": ratio}, "bare filter": {"ratio": floor}}}
    found = report.violations(rows, str(bounds))
    assert (len(found[0]), len(found[1])) == (wrong, notes)


def test_bound_that_was_not_measured_does_not_hold(tmp_path: Path) -> None:
    bounds = tmp_path / "bounds.json"
    bounds.write_text(json.dumps({"stat": 15}))
    assert report.violations({}, str(bounds))[0] == ["stat: not measured"]


def test_source_tree_is_refused(guest_directory: str) -> None:
    # Stands for the Python of an editable install: pyroot lies in a source tree, packages lie elsewhere.
    python = f"{guest_directory}/python3"
    with open(python, "w") as script:
        script.write('#!/bin/sh\ncase "$3" in *__file__*) echo /src/pyroot/__init__.py;; *) echo /usr/lib/python3;; esac\n')
    os.chmod(python, 0o755)
    with pytest.raises(sides.SetupError, match="source tree or an editable install") as caught:
        sides.refuse_source_tree("pyroot", python)
    assert "installed wheel" in caught.value.hint


def test_probe_runs_natively(tmp_path: Path) -> None:
    root = sides.make_root(str(tmp_path))
    native = sides.Side("native", (), root, lambda: None, "")
    calls = measure.probe(native, "calls", "2", "5")
    assert set(calls) == {"stat", "open+close", "access", "readlink", "getppid", "read"}
    assert set(measure.probe(native, "exec", "2")) == {"exec-static", "exec-dynamic"}
    assert measure.start_up([sys.executable, "-IS", "-c", "pass"], lambda: None, 1) > 0
