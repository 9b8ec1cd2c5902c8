"""Run other projects' test suites in a real chroot and under pyroot, and print what fails only under pyroot.

``python -m tests.foreign [--root DIR] [--only real|pyroot] [--results DIR] [--units "NAME..."] [SUITE|TEST...]`` as root: the real side
needs it.  Both sides run as the same ordinary user with the same bindings.  SUITE is one of those in ``suites``, which are fetched from
Debian's sources and built once, or ``python``; TEST is a module of Python's tests.  A test case that fails on both sides is the suite's or
the machine's matter, not ours.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile

from tests.everyday.root import root
from tests.everyday.world import why_not
from tests.rootfs_fixtures import Unavailable

from . import python, suite, suites

SIDES = ("real", "pyroot")


def arguments(words: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.foreign", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", default="", help="a Debian root with the packages that the tests need")
    parser.add_argument("--only", choices=SIDES, help="run one side, print what fails there")
    parser.add_argument("--results", help="keep the logs in this directory")
    parser.add_argument("--units", default="", help="run these parts of a suite only: tests, scripts, packages")
    choices = f"python (default), {', '.join(suites.SUITES)}, or a module of Python's tests"
    parser.add_argument("tests", nargs="*", default=["python"], metavar="SUITE|TEST", help=choices)
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Run what is named on both sides; return 1 when something fails under pyroot alone, 2 when it cannot be run."""
    given = arguments(words)
    names = [given.only] if given.only else list(SIDES)
    results = given.results or tempfile.mkdtemp(prefix="pyroot-foreign-")
    os.makedirs(results, exist_ok=True)
    place = os.path.abspath(given.root) if given.root else ""
    modules = [test for name in given.tests if name not in suites.SUITES for test in (python.TESTS if name == "python" else (name,))]
    found = 0
    try:
        if os.geteuid() != 0 and (given.only != "pyroot" or len(modules) < len(given.tests)):
            raise Unavailable("the real chroot needs root (modules of Python's tests with --only pyroot do not)")
        for name in [name for name in given.tests if name in suites.SUITES]:
            obstacle = why_not()
            if obstacle:
                raise Unavailable(obstacle)
            place_of_suite = place or root(suites.PACKAGES)
            found += suite.compare(suites.SUITES[name], place_of_suite, names, given.units.split(), results)
        if modules:
            found += python.run_modules(modules, place, names, results)
    except Unavailable as error:
        print(f"tests.foreign: {error}", file=sys.stderr)
        return 2
    print(f"logs: {results}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
