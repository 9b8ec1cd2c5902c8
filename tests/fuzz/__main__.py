"""``python -m tests.fuzz NAME --seconds N --seed S``: run a fuzzer; exit 1 if anything failed."""

from __future__ import annotations

import argparse
import random
import sys

from . import FUZZERS, engine


def main() -> int:
    """Run the named fuzzers one after another."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*FUZZERS, "all"], metavar="NAME", help=f"{', '.join(FUZZERS)} or all")
    parser.add_argument("--seconds", type=float, default=60, help="how long each one runs (default 60)")
    parser.add_argument("--cpu", action="store_true", help="count seconds of CPU time instead")
    parser.add_argument("--seed", type=int, default=0, help="where the seeds start (default: anywhere)")
    parser.add_argument("--turn", type=int, default=0, help="do the one turn of this seed and say what came of it")
    parser.add_argument("--size", type=int, default=0, help="with --turn: its size")
    given = parser.parse_args()
    failures = 0
    for name in FUZZERS if "all" in given.names else given.names:
        fuzzer = FUZZERS[name]()
        if given.turn:
            fuzzer.open()
            try:
                print(fuzzer.turn(given.turn, given.size or fuzzer.size))
            finally:
                fuzzer.close()
            continue
        first = given.seed or random.SystemRandom().randrange(1, 1 << 32)
        failures += engine.run(fuzzer, given.seconds, first, of_cpu=given.cpu).failures
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
