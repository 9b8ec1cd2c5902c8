"""Bars of the ratios, as SVG: needs matplotlib (``pip install matplotlib``), which nothing else does."""

from __future__ import annotations

from typing import Any

from .report import GROUPS, TITLES


def draw(result: dict[str, Any], stem: str) -> list[str]:
    """Write ``stem-GROUP.svg`` for each group with ratios and return the names.  Raises ImportError without matplotlib."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    written = []
    for group, (heading, baseline) in GROUPS.items():
        figures = {name: row for name, row in result["groups"].get(group, {}).items() if any("ratio" in e for e in row.values())}
        if not figures:
            continue
        sides = list(dict.fromkeys(s for row in figures.values() for s, e in row.items() if "ratio" in e))
        height = 0.8 / len(sides)
        plot, axes = pyplot.subplots(figsize=(9, 1.5 + 0.35 * len(figures) * max(1, len(sides) / 2)))
        for place, side in enumerate(sides):
            entries = [row.get(side, {}) for row in figures.values()]
            values = [entry.get("ratio", 0) for entry in entries]
            errors = [[max(0, e.get("ratio", 0) - e.get("q1", e.get("ratio", 0))) for e in entries],
                      [max(0, e.get("q3", e.get("ratio", 0)) - e.get("ratio", 0)) for e in entries]]  # fmt: skip
            axes.barh([n + place * height for n in range(len(figures))], values, height, xerr=errors, label=side)
        axes.set_yticks([n + 0.4 - height / 2 for n in range(len(figures))], [TITLES.get(name, name) for name in figures])
        axes.invert_yaxis()
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xlabel(f"times {baseline}")
        axes.set_title(heading)
        axes.legend()
        plot.tight_layout()
        plot.savefig(f"{stem}-{group}.svg")
        pyplot.close(plot)
        written.append(f"{stem}-{group}.svg")
    return written
