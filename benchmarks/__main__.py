"""The command line of the benchmarks: ``python -m benchmarks`` or ``python benchmarks``."""

from __future__ import annotations

import argparse
import glob
import json
import os
import platform
import random
import sys
import tempfile
import time
import traceback
from typing import Any

if not __package__:  # started by its path
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from benchmarks import measure, paired, plot, report, root, rows, sides

PYTHON_BASELINE = "python3 -IS"
PYTHON = "/usr/bin/python3"  # of the workloads
RESULTS = f"{root.HERE}/results"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, help="turns of each side (default 9; of workloads 3, with --all 7)")
    parser.add_argument("--quick", action="store_true", help="two short rounds: does it run at all")
    parser.add_argument("--all", action="store_true", help="every row, workloads of every side, more rounds: half an hour")
    parser.add_argument("--only", choices=list(report.GROUPS), action="append", help="measure only this group")
    parser.add_argument("--row", action="append", metavar="NAME", help="measure only this call, start or workload")
    parser.add_argument("--pyroot", help="the pyroot command (default: beside this Python, else from PATH)")
    parser.add_argument("--side", action="append", metavar="NAME[=PROGRAM]", default=[],
                        help="measure this peer, too: " + ", ".join(one.name for one in sides.RUNNERS))
    parser.add_argument("--proot", help="the proot command (default: from PATH)")
    parser.add_argument("--no-peers", action="store_true", help="pyroot and native only")
    parser.add_argument("--seed", type=int, help="of the order of turns (default: a new one)")
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables to FILE")
    parser.add_argument("--save", action="store_true", help=f"write both to {RESULTS}, and plots where matplotlib is installed")
    parser.add_argument("--against", metavar="PYROOT", help="compare with this installed pyroot in the same run, pair by pair")
    parser.add_argument("--seconds", type=float, default=paired.SECONDS,
                        help=f"of it at most (default {paired.SECONDS:.0f}); it ends when all is known to {paired.ENOUGH:.0%}%")
    parser.add_argument("--bound", type=float, metavar="RATIO", help="exit with 1 if the whole interval of a row is above RATIO")
    parser.add_argument("--save-bounds", metavar="FILE", nargs="?", const="",
                        help=f"measure nothing; make the bounds of bounds.json from a saved run (default: the last one of {RESULTS})")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound of bounds.json does not hold")
    return parser.parse_args()


class Session:
    """One run of the benchmarks: what was asked for, and what has been measured."""

    def __init__(self, options: argparse.Namespace, base: str) -> None:
        """Make the root and find the sides.  Raises SetupError."""
        self.options = options
        self.seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
        self.rng = random.Random(self.seed)
        self.figures: dict[str, measure.Figures] = {}
        self.ratios: dict[str, measure.Figures] = {}
        self.memory: dict[str, Any] = {}
        self.left_out: list[str] = []
        self.made: set[str] = set()
        self.pyroot, python = sides.find_pyroot(options.pyroot)
        self.root = root.make_probe_root(base)
        mounted = root.mount_tools(self.root)
        if not mounted:
            root.mount_points(self.root)
        peers = [] if options.no_peers or options.against else [*options.side, *(name for name in sides.USUAL if name not in options.side)]
        if options.proot:
            peers = [f"proot={options.proot}" if peer == "proot" else peer for peer in peers]
        self.sides = sides.all_sides(self.root, mounted, self.pyroot, peers)
        self.native, self.main = self.sides[:2]
        self.baseline = sides.Side(PYTHON_BASELINE, (), "", sides.drop_to_ordinary_user, "")
        self.starts = {
            PYTHON_BASELINE: [os.path.realpath(python), "-IS", "-c", "pass"],
            "pyroot": [self.pyroot, "-r", "/", "/bin/true"],
            "/bin/true": ["/bin/true"],
        }
        proot = next((side for side in self.sides if side.name == "proot"), None)
        if proot is not None:
            self.starts["proot"] = [proot.words[0], "-r", "/", "/bin/true"]

    def wants(self, group: str) -> bool:
        """Say whether a group was asked for."""
        return not self.options.only or group in self.options.only

    def names(self, table: tuple[Any, ...]) -> list[str]:
        """Return the names of the rows of a table that were asked for."""
        return [row.name for row in table
                if (row.name in self.options.row if self.options.row else row.quick or self.options.all)]  # fmt: skip

    def tables(self, group: str) -> tuple[measure.Figures, measure.Figures]:
        """Return the figures and the ratios of a group."""
        return self.figures.setdefault(group, {}), self.ratios.setdefault(group, {})

    def probe(self, group: str, runners: list[sides.Side], words: tuple[str, ...]) -> None:
        """Run one round of the probe."""
        measure.measure_probe(runners, self.rng, words, *self.tables(group))

    def micro(self) -> None:
        """Run one round of all that the probe measures, and of start-ups."""
        few, times = ("5", "100") if self.options.quick else ("25", "100")
        calls, starts = self.names(rows.CALLS), self.names(rows.STARTS)
        if self.wants("calls") and calls:
            self.probe("calls", [*self.sides, sides.filtered(self.native)], ("calls", few, times, *calls))
        if self.wants("bindings") and not self.options.row:
            many = [sides.bound(self.main, count, self.root) for count in (40, 1000)]
            self.probe("bindings", [self.native, self.main, *many], ("calls", few, times, *rows.CALLS_WITH_BINDINGS))
        if self.wants("starts") and starts:
            self.probe("starts", self.sides, ("exec", few, *starts))
        if self.wants("scaling"):
            for name in self.names(rows.SCALES):
                self.probe("scaling", self.sides, ("scale", "2000", *name.split("-")))
        if self.options.row:
            return
        times_each = 2 if self.options.quick else 5
        if self.wants("start-up"):
            measure.measure_start(self.starts, self.baseline, times_each, self.rng, *self.tables("start-up"))
        if self.wants("doctor"):
            pair = {PYTHON_BASELINE: self.starts[PYTHON_BASELINE], "pyroot": [self.pyroot, "doctor", "--no-run", self.small_root()]}
            measure.measure_start(pair, self.baseline, times_each, self.rng, *self.tables("doctor"), rows.DOCTOR, measure.cpu_time)

    def small_root(self) -> str:
        """Return the root that the doctor examines, made by `pyroot new` at the first call."""
        place = f"{os.path.dirname(self.root)}/own/small"
        if not os.path.exists(place):
            os.mkdir(os.path.dirname(place))
            os.chmod(os.path.dirname(place), 0o777)
            measure.run(self.baseline, [self.pyroot, "new", place, *rows.SMALL_ROOT])
        return place

    def work(self, rounds: int) -> None:
        """Run the workloads, and note the supervisor's memory."""
        wanted = [row for row in rows.WORKLOADS if row.name in self.names(rows.WORKLOADS)]
        if not wanted or not (self.wants("workloads") or self.wants("memory")):
            return
        self.make({part for row in wanted for part in row.tree.split()})
        peers = self.sides if self.options.all or self.options.side else self.sides[:2]
        for row in wanted:
            reason = measure.can_run(self.native, row, PYTHON)
            if reason:
                self.left_out.append(f"{row.name}: {reason}")
                continue
            if self.wants("memory"):
                measure.before_workload(self.native, row)
                command = self.main.shell(row.command.format(python=PYTHON), "/work")
                self.memory[row.name] = {"pyroot": {"MiB": round(measure.peak_memory(self.main, command), 1)}}
            for turn in range(rounds if self.wants("workloads") else 0):
                self.progress(f"{row.name} {turn + 1}/{rounds}")
                measure.measure_workload(peers, self.rng, row, PYTHON, *self.tables("workloads"))

    def make(self, parts: set[str]) -> None:
        """Make the parts of the work directory that are not there yet."""
        root.make_work(self.root, parts - self.made)
        self.made |= parts

    def trace(self, rounds: int) -> None:
        """Run the traced workloads."""
        wanted = [row for row in rows.TRACES if not self.options.row or row.name in self.options.row]
        if not wanted or not self.wants("traces"):
            return
        self.make({part for row in wanted for part in row.workload.tree.split()})
        for row in wanted:
            pair = sides.traces(self.native, self.main, row.calls)
            reason = measure.can_run(pair[0], row.workload, "") if pair else "no strace (Debian: strace)"
            if reason:
                self.left_out.append(f"{row.name}: {reason}")
                continue
            for turn in range(rounds):
                self.progress(f"{row.name} {turn + 1}/{rounds}")
                figures, ratios = self.tables("traces")
                found: tuple[measure.Figures, measure.Figures] = ({}, {})
                measure.measure_workload(pair, self.rng, row.workload, "", *found)
                for table, part in zip((figures, ratios), found, strict=True):
                    for side, values in part[row.workload.name].items():
                        table.setdefault(row.name, {}).setdefault(side, []).extend(values)

    def batches(self) -> list[paired.Batch]:
        """Return all that was asked for, as what two pyroots are compared in."""
        few = "5" if self.options.quick else "25"
        found: list[paired.Batch] = []
        if self.wants("calls"):
            found += paired.together("calls", self.names(rows.CALLS), "calls", few, "100")
        if self.wants("starts"):
            found += paired.together("starts", self.names(rows.STARTS), "exec", few)
        if self.wants("scaling"):
            for name in self.names(rows.SCALES):
                found.append(paired.alone("scaling", name, paired.scale(name)))
        if self.wants("start-up") and not self.options.row:
            found.append(paired.alone("start-up", rows.START, paired.start_up(2)))
        workloads = [row for row in rows.WORKLOADS if self.wants("workloads") and row.name in self.names(rows.WORKLOADS)]
        traces = [row for row in rows.TRACES if self.wants("traces") and (not self.options.row or row.name in self.options.row)]
        self.make({part for row in (*workloads, *(trace.workload for trace in traces)) for part in row.tree.split()})
        for row in workloads:
            if self.works(row.name, row):
                found.append(paired.alone("workloads", row.name, paired.workload(self.native, row, PYTHON)))
        for trace in traces:
            if self.works(trace.name, trace.workload):
                found.append(paired.alone("traces", trace.name, paired.trace(self.native, trace)))
        return found

    def works(self, name: str, row: rows.Workload) -> bool:
        """Say whether a workload runs natively; what does not is left out and named."""
        reason = measure.can_run(self.native, row, PYTHON)
        if reason:
            self.left_out.append(f"{name}: {reason}")
        return not reason

    def compare(self) -> tuple[list[paired.Row], dict[str, str]]:
        """Compare with the other pyroot; return the rows and what there is to say about the run."""
        pair, load = paired.pair_of(self.main, self.options.against), os.getloadavg()[0]
        batches = self.batches()
        paired.run_turns(batches, pair, self.rng, self.options.seconds, self.progress)
        self.progress("")
        about = {"this one": f"{pair[0].words[0]}, {pair[0].version}", "the other": f"{pair[1].words[0]}, {pair[1].version}"}
        return [row for batch in batches for row in batch.rows], about | self.about(load)

    def about(self, load: float) -> dict[str, str]:
        """Say where and when this was measured."""
        return {
            "date": time.strftime("%Y-%m-%d"), "kernel": f"{platform.release()} {platform.machine()}", "processor": processor(),
            "CPUs": str(os.cpu_count()), "python": platform.python_version(), "load": f"{load:.1f} to {os.getloadavg()[0]:.1f}",
            "seed": str(self.seed), "user": "ordinary, started by root" if os.geteuid() == 0 else "ordinary",
        }  # fmt: skip

    def progress(self, text: str) -> None:
        """Say on a terminal what is being measured."""
        if sys.stderr.isatty():
            print(f"\r\033[K{text} ", end="", file=sys.stderr, flush=True)

    def result(self) -> dict[str, Any]:
        """Measure everything that was asked for and return it."""
        options, load = self.options, os.getloadavg()[0]
        rounds = 2 if options.quick else options.rounds or (15 if options.all else 9)
        for turn in range(rounds):
            self.progress(f"round {turn + 1} of {rounds}")
            self.micro()
        work_rounds = 1 if options.quick else options.rounds or (7 if options.all else 3)
        self.work(work_rounds)
        self.trace(work_rounds)
        self.progress("")
        about = {side.name: side.version for side in self.sides} | {"rounds": f"{rounds}, of workloads {work_rounds}"} | self.about(load)
        groups = {group: report.summary(self.figures[group], self.ratios[group]) for group in report.GROUPS if group in self.figures}
        if "workloads" in groups and not options.row:
            groups["workloads"][rows.GEOMETRIC_MEAN] = report.geometric_means(groups["workloads"])
        if self.memory:
            most = max(row["pyroot"]["MiB"] for row in self.memory.values())
            groups["memory"] = self.memory | {rows.MEMORY: {"pyroot": {"MiB": most}}}
        return {"about": about, "left out": self.left_out, "groups": groups, "figures": self.figures, "ratios": self.ratios}


def processor() -> str:
    """Return the processor's name."""
    try:
        with open("/proc/cpuinfo") as file:
            return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    except OSError:
        return "unknown"


def write(path: str | None, text: str) -> None:
    """Write a file if one was asked for."""
    if path:
        with open(path, "w") as file:
            file.write(text)


def save(result: dict[str, Any], text: str) -> None:
    """Write figures, tables and, where matplotlib is installed, plots to benchmarks/results."""
    os.makedirs(RESULTS, exist_ok=True)
    stem = f"{RESULTS}/{result['about']['date']}-{platform.machine()}-{platform.release().split('-')[0]}"
    write(f"{stem}.json", json.dumps(result, indent=1) + "\n")
    write(f"{stem}.md", text)
    print(f"benchmarks: {stem}.json, {stem}.md", file=sys.stderr)
    try:
        print(f"benchmarks: {', '.join(plot.draw(result, stem))}", file=sys.stderr)
    except ImportError:
        print("benchmarks: no plots without matplotlib: pip install matplotlib", file=sys.stderr)


def save_bounds(path: str) -> int:
    """Make bounds.json anew from a saved run; return the exit status."""
    saved = path or max(glob.glob(f"{RESULTS}/*.json"), default="")
    try:
        with open(saved) as file:
            text = report.bounds_from(json.load(file))
    except (OSError, ValueError, KeyError) as error:
        print(f"benchmarks: {saved or RESULTS}: no saved run: {error}\n  hint: python -m benchmarks --all --save", file=sys.stderr)
        return 2
    write(report.BOUNDS, text)
    return 0


def compare_and_report(session: Session) -> int:
    """Compare two pyroots, print and write the comparison; return the exit status."""
    options = session.options
    found, about = session.compare()
    text = paired.markdown(found, about)
    print(text)
    for line in session.left_out:
        print(f"benchmarks: left out: {line}", file=sys.stderr)
    write(options.json, json.dumps(paired.as_json(found, about), indent=1) + "\n")
    write(options.markdown, text)
    wrong = paired.over(found, options.bound) if options.bound is not None else []
    for line in wrong:
        print(f"benchmarks: {line}", file=sys.stderr)
    return 1 if wrong else 0


def measure_and_report(options: argparse.Namespace, base: str) -> int:
    """Measure, print and write what was asked for; return the exit status."""
    try:
        session = Session(options, base)
        if options.against:
            return compare_and_report(session)
        result = session.result()
    except root.SetupError as error:
        print(f"benchmarks: {error}\n  hint: {error.hint}", file=sys.stderr)
        return 2
    except measure.MeasureError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    text = report.markdown(result)
    print(text)
    for line in result["left out"]:
        print(f"benchmarks: left out: {line}", file=sys.stderr)
    write(options.json, json.dumps(result, indent=1) + "\n")
    write(options.markdown, text)
    if options.save:
        save(result, text)
    if not options.check:
        return 0
    wrong, notes = report.violations(result["groups"])
    for line in notes + wrong or ["all bounds hold"]:
        print(f"benchmarks: {line}", file=sys.stderr)
    return 1 if wrong else 0


def main() -> int:
    """Run the benchmarks in a child, whose mounts of the host's directories end with it, and return the exit status."""
    options = arguments()
    if options.save_bounds is not None:
        return save_bounds(options.save_bounds)
    base = tempfile.mkdtemp(prefix="pyroot-bench-")
    os.chmod(base, 0o755)
    child = os.fork()
    if child == 0:
        status = 2
        try:
            status = measure_and_report(options, base)
        except KeyboardInterrupt:
            pass
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    while True:
        try:
            status = os.waitpid(child, 0)[1]
            break
        except KeyboardInterrupt:
            continue
    root.remove(base)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 2


if __name__ == "__main__":
    sys.exit(main())
