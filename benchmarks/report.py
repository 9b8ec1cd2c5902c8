"""Medians, spreads, tables and bounds.

Decides how figures are summed up: the median of the paired ratios, its interquartile range, and the median of the
absolute microseconds, which hold for this machine at this hour only.
"""

from __future__ import annotations

import json
import os
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .measure import Figures

BOUNDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bounds.json")
ORDER = ["stat", "open+close", "access", "readlink", "getppid", "read", "exec-static", "exec-dynamic", "start-up"]
UNITS = {"exec-static": "fork+exec+wait, static", "exec-dynamic": "fork+exec+wait, dynamic", "start-up": "start-up"}


def spread(values: list[float]) -> tuple[float, float]:
    """Return the first and the third quartile."""
    if len(values) < 2:
        return values[0], values[0]
    quarters = statistics.quantiles(values, n=4, method="inclusive")
    return quarters[0], quarters[2]


def summary(figures: Figures, ratios: Figures) -> dict[str, Any]:
    """Return benchmark -> side -> median microseconds, median ratio, quartiles of the ratio, number of rounds."""
    result: dict[str, Any] = {}
    for name in sorted(figures, key=ORDER.index):
        row = result.setdefault(name, {})
        for side, values in figures[name].items():
            entry: dict[str, float | int] = {"us": round(statistics.median(values), 3)}
            if paired := ratios[name].get(side):
                low, high = spread(paired)
                entry.update(
                    ratio=round(statistics.median(paired), 3), q1=round(low, 3), q3=round(high, 3), rounds=len(paired)
                )
            row[side] = entry
    return result


def cell(entry: dict[str, float] | None) -> str:
    """Return one cell of the table: ratio, quartiles, microseconds."""
    if entry is None:
        return "-"
    if "ratio" not in entry:
        return f"{entry['us']:.2f} µs"
    return f"**{entry['ratio']:.2f}** ({entry['q1']:.2f}-{entry['q3']:.2f}), {entry['us']:.2f} µs"


def table(rows: dict[str, Any], sides: list[str], baseline: str) -> str:
    """Return a Markdown table; the baseline's column holds times, the others ratios to it."""
    others = [side for side in sides if side != baseline]
    lines = [f"| | {baseline} | " + " | ".join(others) + " |", "|---" * (len(others) + 2) + "|"]
    for name, row in rows.items():
        cells = [cell(row.get(side)) for side in (baseline, *others)]
        lines.append(f"| {UNITS.get(name, name)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def markdown(result: dict[str, Any]) -> str:
    """Return the whole report as Markdown."""
    rows = result["rows"]
    calls = {name: row for name, row in rows.items() if name != "start-up"}
    about = ", ".join(f"{key} {value}" for key, value in result["about"].items())
    parts = ["x native: median of paired ratios (quartiles), median time of one call or one cycle.", ""]
    if calls:
        parts += [table(calls, result["sides"], "native"), ""]
    if "start-up" in rows:
        names = ["python3 -IS", *[side for side in rows["start-up"] if side != "python3 -IS"]]
        parts += [table({"start-up": rows["start-up"]}, names, "python3 -IS"), ""]
    return "\n".join([*parts, about, ""])


def violations(rows: dict[str, Any], path: str = BOUNDS) -> tuple[list[str], list[str]]:
    """Return a line for each bound of pyroot that does not hold or was not measured, and notes about the others.

    Where a bare filter alone is above a bound, as for getppid on some kernels, the bound is held against that filter.
    """
    with open(path) as file:
        bounds: dict[str, float] = json.load(file)
    wrong, notes = [], []
    for name, bound in bounds.items():
        row = rows.get(name, {})
        entry, floor = row.get("pyroot"), row.get("bare filter", {}).get("ratio", 1.0)
        if entry is None:
            wrong.append(f"{name}: not measured")
        elif entry["ratio"] <= bound:
            continue
        elif floor > bound and entry["ratio"] / floor <= bound:
            notes.append(f"{name}: {entry['ratio']:.2f} times native, a bare filter alone {floor:.2f}: above {bound} here")
        else:
            wrong.append(f"{name}: {entry['ratio']:.2f} times, at most {bound} allowed")
    return wrong, notes
