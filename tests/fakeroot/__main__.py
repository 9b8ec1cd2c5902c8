"""Do the rows of the table as real root in a real chroot and as fake root, and print what differs afterwards.

``python -m tests.fakeroot [--list] [--show] [ROW...]`` as root: status, output, and of every file type, mode, owner, device, links,
extended attributes and contents must be the same, and no file on the disk may have set-id bits.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import time

from tests import helpers
from tests.rootfs_fixtures import Unavailable

from .rows import ROWS
from .world import Outcome, both

SHOWN = 40  # differences that are printed of each row


def differences(real: Outcome, fake: Outcome, silent: bool) -> list[str]:
    """Return a line for each difference."""
    found = []
    if real.status != fake.status:
        found.append(f"status: {real.status}, as fake root {fake.status}")
    if not silent or real.status != fake.status:
        lines = difflib.unified_diff(real.output.splitlines(), fake.output.splitlines(), "real", "fake", lineterm="", n=0)
        found += [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    for path in sorted({*real.tree, *fake.tree}):
        one, other = real.tree.get(path), fake.tree.get(path)
        if one != other:
            found.append(f"{path}: {' '.join(one) if one else 'missing'} | {' '.join(other) if other else 'missing'}")
    return found


def main(words: list[str]) -> int:
    """Run the rows; 1 when one differs, 2 when they cannot be run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakeroot", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="print the names of the rows, and end")
    parser.add_argument("--show", action="store_true", help="print the fake root's output")
    parser.add_argument("names", nargs="*", metavar="ROW")
    given = parser.parse_args(words)
    if given.list:
        print(*(row.name for row in ROWS))
        return 0
    obstacle = "the real chroot needs root" if os.geteuid() != 0 else helpers.ordinary_user.why_not()
    unknown = set(given.names) - {row.name for row in ROWS}
    if obstacle or unknown:
        print(f"tests.fakeroot: {obstacle or 'no such row: ' + ' '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    differing, missing = [], []
    for row in ROWS:
        if given.names and row.name not in given.names:
            continue
        began = time.monotonic()
        try:
            real, fake, unsafe = both(row)
        except Unavailable as error:
            print(f"{row.name:14} cannot be run: {error}", flush=True)
            missing.append(row.name)
            continue
        found = differences(real, fake, row.silent)
        found += [f"set-id bits on the disk: {line}" for line in unsafe.splitlines()]
        if real.status:
            found.append(f"it fails as real root as well: {real.output[-600:]}")
        figures = f"status {real.status}, {len(real.tree)} files, {time.monotonic() - began:.0f} s"
        print(f"{row.name:14} {'differs' if found else 'same':8} {figures}", flush=True)
        print(*(f"    {line[:300]}" for line in found[:SHOWN]), sep="\n", end="\n" if found else "", flush=True)
        if given.show:
            print(fake.output, flush=True)
        if found:
            differing.append(row.name)
    print(f"{len(differing)} differ{': ' if differing else ''}{' '.join(differing)}")
    return 1 if differing else 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
