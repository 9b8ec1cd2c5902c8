"""``python -m tests.profiles``: run pyroot under each profile and write what comes of it into docs/CONTAINERS.md.

Prints the table, and what the sides answer differently; exit 1 if anything does.
"""

from __future__ import annotations

import sys

from tests import helpers, refused_runs
from tests.profiles import HEAD, NAMES, PAGE, Row, read, with_table
from tests.refused_runs import CLEAR, RIGHT, WAYS


def main() -> int:
    """Write the table."""
    words = helpers.pyroot_command()[0]
    lines, wrong = [*HEAD], 0
    with refused_runs.ground() as ground:
        for name in NAMES:
            for capable in (False, True):
                lines.append(Row.of(ground, words, name, capable).text())
                print(lines[-1], flush=True)
                for way in WAYS:
                    found = refused_runs.judge(ground, read(name).rules(capable), way, words, ("filter ",) if way == "no-seccomp" else ())
                    if found.verdict not in (RIGHT, CLEAR):
                        wrong += 1
                        print(f"{name}, {way}: {found.why}", *found.lines, sep="\n  ")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), lines), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
