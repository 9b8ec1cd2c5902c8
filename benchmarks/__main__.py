"""The command line of the benchmarks: ``python -m benchmarks`` or ``python benchmarks``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import sys
import tempfile
from typing import Any

if not __package__:  # started by its path
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from benchmarks import measure, report, sides

PYTHON_BASELINE = "python3 -IS"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11, help="turns of each side (default 11)")
    parser.add_argument("--quick", action="store_true", help="three short rounds: does it run at all")
    parser.add_argument("--only", choices=["calls", "exec", "start"], action="append", help="measure only this part")
    parser.add_argument("--pyroot", help="the pyroot command (default: beside this Python, else from PATH)")
    parser.add_argument("--proot", default=shutil.which("proot"), help="the proot command (default: from PATH)")
    parser.add_argument("--no-proot", action="store_const", const=None, dest="proot", help="leave proot out")
    parser.add_argument("--seed", type=int, help="of the order of turns (default: a new one)")
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables to FILE")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound of bounds.json does not hold")
    return parser.parse_args()


def run_rounds(options: argparse.Namespace, root: str, pyroot: str, python: str) -> dict[str, Any]:
    """Measure everything that was asked for and return the result."""
    parts = options.only or ["calls", "exec", "start"]
    rounds = 3 if options.quick else options.rounds
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    rng = random.Random(seed)
    runners = sides.all_sides(root, pyroot, options.proot)
    ordinary = sides.Side(PYTHON_BASELINE, (), "", sides.drop_to_ordinary_user, "")
    starts = {
        PYTHON_BASELINE: [os.path.realpath(python), "-IS", "-c", "pass"],
        "pyroot": [pyroot, "-r", "/", "/bin/true"],
        "/bin/true": ["/bin/true"],
    }
    if options.proot:
        starts["proot"] = [options.proot, "-r", "/", "/bin/true"]
    figures: measure.Figures = {}
    ratios: measure.Figures = {}
    load = os.getloadavg()[0]
    for turn in range(rounds):
        if sys.stderr.isatty():
            print(f"\rround {turn + 1} of {rounds} ", end="", file=sys.stderr, flush=True)
        if "calls" in parts:
            batches = "5" if options.quick else "25"
            with_floor = [*runners, sides.filtered(runners[0])]
            measure.measure_probe(with_floor, rng, ("calls", batches, "100"), figures, ratios)
        if "exec" in parts:
            measure.measure_probe(runners, rng, ("exec", "5" if options.quick else "25"), figures, ratios)
        if "start" in parts:
            measure.measure_start(starts, ordinary, 2 if options.quick else 5, rng, figures, ratios)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    about = {side.name: side.version for side in runners}
    about |= {"kernel": f"{platform.release()} {platform.machine()}", "CPUs": str(os.cpu_count())}
    about |= {"python": platform.python_version(), "load": f"{load:.1f} to {os.getloadavg()[0]:.1f}"}
    about |= {"rounds": str(rounds), "seed": str(seed)}
    names = [side.name for side in runners] + ["bare filter"] * ("calls" in parts)
    return {"about": about, "sides": names, "rows": report.summary(figures, ratios),
            "figures": figures, "ratios": ratios}  # fmt: skip


def write(path: str | None, text: str) -> None:
    """Write a file if one was asked for."""
    if path:
        with open(path, "w") as file:
            file.write(text)


def main() -> int:
    """Run the benchmarks and return the exit status."""
    options = arguments()
    base = tempfile.mkdtemp(prefix="pyroot-bench-")
    try:
        os.chmod(base, 0o755)
        pyroot, python = sides.find_pyroot(options.pyroot)
        result = run_rounds(options, sides.make_root(base), pyroot, python)
    except sides.SetupError as error:
        print(f"benchmarks: {error}\n  hint: {error.hint}", file=sys.stderr)
        return 2
    except measure.MeasureError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(base, ignore_errors=True)
    text = report.markdown(result)
    print(text)
    write(options.json, json.dumps(result, indent=1) + "\n")
    write(options.markdown, text)
    if options.check:
        wrong, notes = report.violations(result["rows"])
        for line in notes + wrong or ["all bounds hold"]:
            print(f"benchmarks: {line}", file=sys.stderr)
        return 1 if wrong else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
