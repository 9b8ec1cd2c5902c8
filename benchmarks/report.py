"""Medians, spreads, tables and bounds.

Decides how figures are summed up: the median of the paired ratios, its interquartile range, and the median of the
absolute microseconds, which hold for this machine at this hour only.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from typing import TYPE_CHECKING, Any

from . import rows

if TYPE_CHECKING:
    from .measure import Figures

HERE = os.path.dirname(os.path.abspath(__file__))
BOUNDS = f"{HERE}/bounds.json"
#: By how much a figure may grow until its bound does not hold.
MORE = 0.1
#: Groups of figures in the order of the report, their headings, and the side that stands in the first column.
GROUPS = {
    "calls": ("System calls", "native"),
    "bindings": ("In views with many bindings", "native"),
    "starts": ("Processes", "native"),
    "scaling": ("Guests at once: time of one stat over all of them", "native"),
    "start-up": ("Start-up", "python3 -IS"),
    "doctor": ("pyroot doctor --no-run, processor time", "python3 -IS"),
    "workloads": ("Workloads", "native"),
    "traces": ("Traced, beside strace -f --seccomp-bpf", "strace"),
    "memory": ("Peak memory of the supervisor, MiB", ""),
}
TITLES = {row.name: row.title or row.name for row in (*rows.CALLS, *rows.STARTS, *rows.SCALES)}


def spread(values: list[float]) -> tuple[float, float]:
    """Return the first and the third quartile."""
    if len(values) < 2:
        return values[0], values[0]
    quarters = statistics.quantiles(values, n=4, method="inclusive")
    return quarters[0], quarters[2]


def summary(figures: Figures, ratios: Figures) -> dict[str, Any]:
    """Return benchmark -> side -> median microseconds, median ratio, quartiles of the ratio, number of rounds."""
    result: dict[str, Any] = {}
    for name in figures:
        row = result.setdefault(name, {})
        for side, values in figures[name].items():
            entry: dict[str, float | int] = {"us": round(statistics.median(values), 3)}
            if paired := ratios.get(name, {}).get(side):
                low, high = spread(paired)
                entry.update(
                    ratio=round(statistics.median(paired), 3), q1=round(low, 3), q3=round(high, 3), rounds=len(paired)
                )
            row[side] = entry
    return result


def geometric_means(workloads: dict[str, Any]) -> dict[str, Any]:
    """Return the row of the geometric means over those workloads that every side has run."""
    sides = {side for row in workloads.values() for side, entry in row.items() if "ratio" in entry}
    return {
        side: {"ratio": round(statistics.geometric_mean([row[side]["ratio"] for row in workloads.values() if side in row]), 3)}
        for side in sorted(sides)
    }


def duration(us: float) -> str:
    """Return a time in a unit that suits it."""
    return f"{us:.2f} µs" if us < 1000 else f"{us / 1000:.2f} ms" if us < 1e6 else f"{us / 1e6:.2f} s"


def cell(entry: dict[str, float] | None) -> str:
    """Return one cell of the table: ratio, quartiles, time; or MiB."""
    if entry is None:
        return "-"
    if "MiB" in entry:
        return f"{entry['MiB']:.1f}"
    if "us" not in entry:
        return f"**{entry['ratio']:.2f}**"
    if "ratio" not in entry:
        return duration(entry["us"])
    return f"**{entry['ratio']:.2f}** ({entry['q1']:.2f}-{entry['q3']:.2f}), {duration(entry['us'])}"


def table(figures: dict[str, Any], baseline: str) -> str:
    """Return a Markdown table; the baseline's column holds times, the others ratios to it."""
    sides = list(dict.fromkeys(side for row in figures.values() for side in row))
    columns = [baseline] * (baseline in sides) + [side for side in sides if side != baseline]
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in figures.items():
        cells = [cell(row.get(side)) for side in columns]
        lines.append(f"| {TITLES.get(name, name)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def goals(groups: dict[str, Any], path: str = BOUNDS) -> str:
    """Return the table of the figures that pyroot aims at, what was measured, and what --check allows."""
    lines = ["| figure | measured | goal | bound |", "|---|---|---|---|"]
    for group, name, limits in bounds(path):
        entry = groups.get(group, {}).get(name, {}).get(limits.get("side", "pyroot"))
        if entry is not None:
            measured = entry.get("ratio", entry.get("MiB"))
            lines.append(f"| {TITLES.get(name, name)} ({group}) | {measured:.2f} | {limits.get('goal', '')} | {limits['bound']} |")
    return "\n".join(lines)


def markdown(result: dict[str, Any]) -> str:
    """Return the whole report as Markdown."""
    parts = ["x native: median of paired ratios (quartiles), median time of one call, cycle or run.", ""]
    for group, (heading, baseline) in GROUPS.items():
        if group in result["groups"]:
            parts += [f"## {heading}", "", table(result["groups"][group], baseline), ""]
    parts += ["## Goals", "", goals(result["groups"]), ""]
    parts += [f"{key}: {value}  " for key, value in result["about"].items()]
    return "\n".join([*parts, ""])


def bounds(path: str = BOUNDS) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (group, figure, limits) of every committed bound."""
    with open(path) as file:
        return [(group, name, limits) for group, names in json.load(file).items() for name, limits in names.items()]


def bounds_from(result: dict[str, Any], path: str = BOUNDS) -> str:
    """Return the text of bounds.json with bounds a tenth above the figures of a saved run, for the figures that it names.

    A goal that has been passed becomes the figure; nothing is faster than native, so a figure below 1 counts as 1.
    What the run has not measured keeps its bound.
    """
    groups: dict[str, list[str]] = {}
    for group, name, limits in bounds(path):
        entry = result["groups"].get(group, {}).get(name, {}).get(limits.get("side", "pyroot"))
        if entry is not None:
            value = entry.get("ratio", entry.get("MiB"))
            if GROUPS[group][1] == "native":
                value = max(value, 1.0)
            limits |= {"goal": min(limits["goal"], round(value, 2)), "bound": math.ceil(round(value * (1 + MORE) * 100, 6)) / 100}
        groups.setdefault(group, []).append(f"  {json.dumps(name)}: {json.dumps(limits)}")
    parts = [f" {json.dumps(group)}: {{\n" + ",\n".join(lines) + "\n }" for group, lines in groups.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def violations(groups: dict[str, Any], path: str = BOUNDS) -> tuple[list[str], list[str]]:
    """Return a line for each bound of pyroot that does not hold or was not measured, and notes about the others.

    Where a bare filter alone is above a bound, as for getppid on some kernels, the bound is held against that filter.  Bounds of
    groups that were not asked for, and of workloads that this machine cannot run, are passed over with a note.
    """
    wrong, notes = [], []
    for group, name, limits in bounds(path):
        if group not in groups:
            continue
        row, bound = groups[group].get(name, {}), limits["bound"]
        entry, floor = row.get(limits.get("side", "pyroot")), row.get("bare filter", {}).get("ratio", 1.0)
        if entry is None:
            (notes if group in ("workloads", "traces", "memory", "bindings") else wrong).append(f"{group}: {name}: not measured")
            continue
        value = entry.get("ratio", entry.get("MiB"))
        if value <= bound:
            continue
        if floor > bound and value / floor <= bound:
            notes.append(f"{name}: {value:.2f} times native, a bare filter alone {floor:.2f}: above {bound} here")
        else:
            wrong.append(f"{group}: {name}: {value:.2f}, at most {bound} allowed")
    return wrong, notes
