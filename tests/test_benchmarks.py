"""The benchmarks pair, sum up and judge figures as their README says, and measure only what users get."""

from __future__ import annotations

import json
import os
import random
import re
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks import measure, plot, report, root, rows, sides

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


def test_what_a_peer_cannot_do_is_left_out() -> None:
    native, other = side("native"), side("proot")
    figures: measure.Figures = {}
    ratios: measure.Figures = {}
    measure.pair([(native, {"statx": 1.0}), (other, {}), (native, {"statx": 1.0})], figures, ratios)
    assert (figures, ratios) == ({"statx": {"native": [1.0, 1.0]}}, {})
    with pytest.raises(measure.MeasureError, match="statx fails"):
        measure.pair([(native, {"statx": 1.0}), (other, {}), (native, {})], figures, ratios)


def test_every_side_stands_between_two_native_runs() -> None:
    names = [one.name for one in measure.turns([side("native"), side("a"), side("b"), side("c")], random.Random(3))]
    assert names[::2] == ["native"] * 4
    assert sorted(names[1::2]) == ["a", "b", "c"]


def test_summary_holds_medians_and_quartiles() -> None:
    figures = report.summary(
        {"stat": {"native": [1.0, 1.0, 4.0], "pyroot": [9.0, 10.0, 30.0]}}, {"stat": {"pyroot": [9.0, 10.0, 13.0]}}
    )
    assert figures["stat"]["native"] == {"us": 1.0}
    assert figures["stat"]["pyroot"] == {"us": 10.0, "ratio": 10.0, "q1": 9.5, "q3": 11.5, "rounds": 3}
    assert "**10.00** (9.50-11.50), 10.00 µs" in report.table(figures, "native")


@pytest.mark.parametrize(
    ("ratio", "floor", "wrong", "notes"), [(1.05, 1.0, 0, 0), (1.3, 1.0, 1, 0), (1.3, 1.25, 0, 1), (1.6, 1.25, 1, 0)]
)
def test_bound_is_held_against_the_bare_filter_where_that_is_above_it(
    tmp_path: Path, ratio: float, floor: float, wrong: int, notes: int
) -> None:
    bounds = tmp_path / "bounds.json"
    bounds.write_text(json.dumps({"calls": {"getppid": {"goal": 1.05, "bound": 1.1}}}))
    groups = {"calls": {"getppid": {"pyroot": {"ratio": ratio}, "bare filter": {"ratio": floor}}}}
    found = report.violations(groups, str(bounds))
    assert (len(found[0]), len(found[1])) == (wrong, notes)


def test_bound_that_was_not_measured_does_not_hold(tmp_path: Path) -> None:
    bounds = tmp_path / "bounds.json"
    bounds.write_text(json.dumps({"calls": {"stat": {"bound": 15}}, "memory": {"x": {"bound": 30}}}))
    assert report.violations({"calls": {}}, str(bounds))[0] == ["calls: stat: not measured"]
    assert report.violations({}, str(bounds)) == ([], []), "a group that was not asked for"
    assert report.violations({"memory": {"x": {"pyroot": {"MiB": 31.0}}}}, str(bounds))[0] == ["memory: x: 31.00, at most 30 allowed"]


def test_every_bound_names_a_figure_that_is_measured() -> None:
    known = {
        "calls": {row.name for row in rows.CALLS}, "bindings": set(rows.CALLS_WITH_BINDINGS), "starts": {row.name for row in rows.STARTS},
        "scaling": {row.name for row in rows.SCALES}, "start-up": {rows.START}, "doctor": {rows.DOCTOR}, "memory": {rows.MEMORY},
        "workloads": {row.name for row in rows.WORKLOADS} | {rows.GEOMETRIC_MEAN}, "traces": {row.name for row in rows.TRACES},
    }  # fmt: skip
    for group, name, limits in report.bounds():
        assert name in known[group]
        assert limits["bound"] >= limits["goal"]


def test_geometric_mean_is_over_what_each_side_has_run() -> None:
    workloads = {"a": {"native": {"us": 1.0}, "pyroot": {"ratio": 2.0}, "proot": {"ratio": 3.0}}, "b": {"pyroot": {"ratio": 8.0}}}
    assert report.geometric_means(workloads) == {"proot": {"ratio": 3.0}, "pyroot": {"ratio": 4.0}}


def test_report_has_every_group_that_was_measured() -> None:
    groups = {"calls": {"stat": {"native": {"us": 1.0}, "pyroot": {"us": 9.0, "ratio": 9.0, "q1": 8.0, "q3": 10.0, "rounds": 3}}},
              "memory": {rows.MEMORY: {"pyroot": {"MiB": 9.5}}}}  # fmt: skip
    text = report.markdown({"groups": groups, "about": {"date": "today"}})
    assert "| stat, six components | 1.00 µs | **9.00** (8.00-10.00), 9.00 µs |" in text
    assert "| peak memory, MiB | 9.5 |" in text
    assert "| stat, six components (calls) | 9.00 |" in text


def test_plots_are_drawn_where_matplotlib_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    groups = {"calls": {"stat": {"native": {"us": 1.0}, "pyroot": {"us": 9.0, "ratio": 9.0, "q1": 8.0, "q3": 10.0}}}}
    assert plot.draw({"groups": groups}, str(tmp_path / "x")) == [str(tmp_path / "x-calls.svg")]


def test_runner_template_is_filled_in() -> None:
    proot = next(one for one in sides.RUNNERS if one.name == "proot")
    side = sides.peer_side(proot, "/opt/proot", "/root", ["/usr", "/etc"], side_native())
    assert side.words == ("/opt/proot", "-r", "/root", "-b", "/usr", "-b", "/etc", "-w", "/")


def side_native() -> sides.Side:
    """Return a native side that is never run."""
    return side("native")


def test_directory_with_something_mounted_in_it_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "with blank").mkdir()
    mounts = tmp_path / "mountinfo"
    real_open = open
    monkeypatch.setattr("builtins.open", lambda path, *more: real_open(mounts if path == "/proc/self/mountinfo" else path, *more))
    shown = re.sub(r"\s", lambda found: f"\\{ord(found[0]):03o}", f"{tmp_path}/with blank")
    mounts.write_text(f"1 2 0:1 / {shown}/usr rw - ext4 /dev/x rw\n")
    with pytest.raises(SystemExit, match="still has something mounted"):
        root.remove(str(tmp_path / "with blank"))
    mounts.write_text("1 2 0:1 / /usr rw - ext4 /dev/x rw\n")
    root.remove(str(tmp_path))
    assert not tmp_path.exists()


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
    place = root.make_probe_root(str(tmp_path))
    native = sides.Side("native", (), place, lambda: None, "")
    assert set(measure.probe(native, "calls", "2", "5")) == {row.name for row in rows.CALLS}
    assert set(measure.probe(native, "calls", "2", "5", "stat", "access")) == {"stat", "access"}
    scripted = {row.name for row in rows.STARTS} - {"exec-script"}  # as root its #! line is a chroot's
    assert set(measure.probe(native, "exec", "2", *scripted)) == scripted
    for row in rows.SCALES:
        assert set(measure.probe(native, "scale", "5", *row.name.split("-"))) == {row.name}
    assert measure.start_up([sys.executable, "-IS", "-c", "pass"], lambda: None, 1) > 0


def test_parts_of_the_work_directory_are_those_that_workloads_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root, "NOBODY", os.getuid())
    root.make_work(str(tmp_path), {"modules", "project", "wheels"})
    made = set(os.listdir(tmp_path / "work"))
    assert made == {"modules", "project", "wheels", *root.SCRIPTS}
    assert {part for row in rows.WORKLOADS for part in row.tree.split()} <= {"tree", "modules", "wheels", "project", "repository"}
