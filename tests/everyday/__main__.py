"""Run the sessions of the table in a real chroot and under pyroot, and print what differs.

``python -m tests.everyday [--root DIR] [--sides real,pyroot] [--show] [ROW|GROUP...]`` as root. Output, status, processes left
behind and the tree afterwards must be the same. ``--sides real,real`` shows what of a row differs between any two runs: that is for its
``changes``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.rootfs_fixtures import Unavailable

from . import table
from .compare import differences, lines_of
from .root import root
from .row import Row
from .world import Outcome, World, why_not

SIDES = ("real", "pyroot")


def arguments(words: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.everyday", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", help="a root made earlier, in place of the one that mmdebstrap makes")
    parser.add_argument("--sides", default=",".join(SIDES), help="what is compared with what (default %(default)s)")
    parser.add_argument("--show", action="store_true", help="print the first side's outcome")
    parser.add_argument("--list", action="store_true", help="print the names of the rows, and end")
    parser.add_argument("names", nargs="*", metavar="ROW|GROUP")
    return parser.parse_args(words)


def run(side: str, place: str, row: Row) -> Outcome:
    """Run a row on one side."""
    world = World(side, place, row)
    try:
        return world.run()
    finally:
        world.close()


def main(words: list[str]) -> int:
    """Run the rows; return 1 when one differs without an explanation, 2 when they cannot be run."""
    given = arguments(words)
    if given.list:
        for name, group in table.groups().items():
            print(f"{name} ({len(group)}): {' '.join(row.name for row in group)}")
        return 0
    try:
        rows = table.chosen(given.names)
        obstacle = why_not()
        if obstacle:
            raise Unavailable(obstacle)
        place = os.path.abspath(given.root) if given.root else root(table.packages())
    except (ValueError, Unavailable) as error:
        print(f"tests.everyday: {error}", file=sys.stderr)
        return 2
    first, second = given.sides.split(",")
    differing: list[str] = []
    explained = 0
    began = time.monotonic()
    for row in rows:
        one, other = run(first, place, row), run(second, place, row)
        found, reasons = differences(row, one, other)
        explained += len(reasons)
        word = "differs" if found else "known" if reasons else "same"
        figures = f"status {one.status!s:4} {len(one.tree):5} paths {one.seconds:6.1f} s {other.seconds:6.1f} s"
        print(f"{row.name:20} {word:8} {figures}", flush=True)
        for reason in reasons:
            print(f"    known: {reason}")
        print(*found, sep="\n    --\n", end="\n" if found else "", flush=True)
        if given.show:
            print(*lines_of(row, one), sep="\n", flush=True)
        if found:
            differing.append(row.name)
    print(f"{len(rows)} programs, {len(differing)} differ, {explained} differences explained, {time.monotonic() - began:.0f} s")
    print(*(f"differs: {name}" for name in differing), sep="\n", end="\n" if differing else "")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
