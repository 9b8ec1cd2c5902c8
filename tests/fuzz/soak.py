"""``make soak``: every fuzzer and every race for some CPU minutes each, with the plain build and with the one that sanitizers watch.

What has been done so far is in a file, so that a run which was stopped goes on where it was: each job (a program and a build) has one
seed, from which all its turns follow.  A clone begins with what ``--keep`` has put into the tree: hours of CPU time are more than one
machine has in one go.  At the end, and on ^C, there is a table; the status is 1 if anything in it is not as it should be.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import traceback
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.oracle.build import BuildError

from . import FUZZERS, engine
from .race import RARE

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KEPT = os.path.join(PROJECT, "tests", "fuzz", "soaked.json")
"""What has been done on other machines, with the trees that it was done on."""
SLICE = 60.0
"""Seconds of CPU time that a job gets before the next one has its turn: all of them have run after a short while."""
TURNS_KEPT = 20
"""Failures of which a job keeps the text."""
KINDS = ("crash", "hang", "outside", "wrong")
#: Start a module of the tests with an installed pyroot, or with one in a folder, before the source tree.
START = """import runpy, sys
sys.path[:0] = filter(None, [sys.argv.pop(1)])
sys.path.append(sys.argv.pop(1))
runpy.run_module("tests.fuzz.soak", run_name="__main__", alter_sys=True)"""


class Build(NamedTuple):
    """Which pyroot is under test."""

    name: str
    command: str
    """The shell words that start it."""
    ahead: str = ""
    """The folder of its package, where that is not the installed one."""
    preload: str = ""
    """What has to be loaded into a process that uses its core."""


@dataclass
class Job:
    """What has become of one program with one build so far."""

    program: str
    build: str
    seed: int
    turns: int = 0
    cpu: float = 0.0
    ran: int = 0
    unit: str = ""
    looks: int = 0
    looks_outside: int = 0
    failures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    texts: list[str] = field(default_factory=list)
    skipped: str = ""
    trees: list[str] = field(default_factory=list)

    def is_good(self) -> bool:
        """Tell whether nothing is there that should not be."""
        return not any(self.failures.values()) and self.looks_outside * RARE <= self.looks


def environment_of(build: Build, program: str) -> dict[str, str]:
    """Return what a worker needs: the views are compared in its own process."""
    variables = {**os.environ, "PYROOT_CMD": build.command}
    if build.preload and program == "views":
        variables.update(
            LD_PRELOAD=build.preload, ASAN_OPTIONS="detect_leaks=0:exitcode=99",
            UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:exitcode=98",
        )  # fmt: skip
    return variables


# --- the worker: some turns of one job, a line for each ------------------------------------------------------------------------------


def work(name: str, seed: int, done: int, seconds: float) -> int:
    """Go on with a job behind the turns that are done, for some seconds of CPU time."""
    try:
        fuzzer = FUZZERS[name]()
        fuzzer.open()
    except BuildError as error:
        print(json.dumps({"skipped": str(error).splitlines()[0]}), flush=True)
        return 0
    begun = engine.processor_time()
    try:
        for one, size in itertools.islice(engine.seeds(fuzzer, seed), done, None):
            told: dict[str, Any] = {"seed": one, "size": size}
            try:
                fuzzer.turn(one, size)
            except engine.Failed as error:
                told.update(failed=error.kind, text=str(error))
            except Exception:  # of a test's own helpers: as telling as a failure
                told.update(failed="wrong", text=traceback.format_exc())
            used = engine.processor_time() - begun
            told.update(cpu=used, ran=fuzzer.ran, unit=fuzzer.unit, looks=getattr(fuzzer, "looks", 0),
                        looks_outside=getattr(fuzzer, "looks_outside", 0))  # fmt: skip
            print(json.dumps(told), flush=True)
            if used >= seconds:
                break
    except KeyboardInterrupt:
        pass
    finally:
        fuzzer.close()
    return 0


# --- the parent: whose turn it is, what is kept, the table -----------------------------------------------------------------------------


class State:
    """The jobs, and the file that they are kept in."""

    def __init__(self, path: str, names: list[str], builds: list[str], first: int, *, fresh: bool = False) -> None:
        self.path = path
        self.tree = tree()
        kept = {**read(KEPT), **read(path)}
        rng = random.Random(first)
        chosen = {(name, build): Job(name, build, rng.randrange(1, 1 << 32)) for build in builds for name in names}
        self.jobs = list((chosen if fresh else {**chosen, **{key: kept[key] for key in chosen if key in kept}}).values())
        self.others = [job for key, job in kept.items() if key not in chosen]

    def write(self, path: str = "") -> None:
        """Keep them; whoever stops us finds the old file or the new one."""
        path = path or self.path
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump([asdict(job) for job in [*self.jobs, *self.others]], file, indent=1)
            file.write("\n")
        os.replace(f"{path}.new", path)


def read(path: str) -> dict[tuple[str, str], Job]:
    """Return the jobs of a run before."""
    try:
        with open(path, encoding="utf-8") as file:
            return {(one["program"], one["build"]): Job(**one) for one in json.load(file)}
    except FileNotFoundError:
        return {}


def tree() -> str:
    """Name the tree that is tested: its commit, with a + if it has been changed since; "" where git does not know."""
    command = ["git", "-C", PROJECT, "describe", "--always", "--exclude=*", "--abbrev=10", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def lines_of(job: Job, build: Build, seconds: float) -> Iterator[dict[str, Any]]:
    """Run a worker; yield what it tells.  One that dies is a failure, too."""
    command = [sys.executable, "-I", "-c", START, build.ahead, PROJECT, "--worker", job.program, "--seed", str(job.seed),
               "--done", str(job.turns), "--seconds", str(seconds)]  # fmt: skip
    # (in a group of its own: a terminal's ^C is for us, who hand it on)
    worker = subprocess.Popen(command, env=environment_of(build, job.program), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, preexec_fn=os.setpgrp)  # fmt: skip
    assert worker.stdout and worker.stderr
    try:
        for line in worker.stdout:
            if line.startswith("{"):
                yield json.loads(line)
        errors = worker.stderr.read()
    finally:
        if worker.poll() is None:
            # it removes what it has made
            worker.send_signal(signal.SIGINT)
            worker.wait()
    if worker.returncode:
        yield {"failed": "crash", "text": f"the worker ended with {worker.returncode}: {errors[-2000:]}", "size": 0}


def go_on(job: Job, build: Build, seconds: float, state: State) -> None:
    """Give a job some seconds of CPU time."""
    before = (job.cpu, job.ran, job.looks, job.looks_outside)
    job.trees = list(dict.fromkeys([*job.trees, state.tree]))
    for told in lines_of(job, build, seconds):
        job.skipped = told.get("skipped", "")
        if job.skipped:
            job.cpu += seconds
            break
        job.turns += 1
        if "cpu" in told:
            job.cpu, job.ran = before[0] + told["cpu"], before[1] + told["ran"]
            job.looks, job.looks_outside = before[2] + told["looks"], before[3] + told["looks_outside"]
            job.unit = told["unit"]
        else:
            job.cpu += seconds
        if "failed" in told:
            job.failures[told["failed"]] += 1
            text = f"seed {told.get('seed', job.seed)} size {told['size']}: {told['text']}"
            print(f"{job.program}, {job.build}: {told['failed']}: {text}", flush=True)
            if len(job.texts) < TURNS_KEPT:
                job.texts.append(text)
        state.write()
    state.write()


def rounds(state: State, seconds: float) -> Iterator[Job]:
    """Yield the job whose turn it is, until each has had its time."""
    while left := [job for job in state.jobs if job.cpu < seconds]:
        yield min(left, key=lambda job: int(job.cpu // SLICE))


def table(jobs: list[Job]) -> str:
    """Return what the jobs have come to."""
    rows = [("program", "build", "CPU min", "ran", "", "crashes", "hangs", "outside", "wrong", "looks outside")]
    for job in jobs:
        looks = f"{job.looks_outside} of {job.looks}" if job.looks else ""
        ran = job.skipped or str(job.ran)
        rows.append((job.program, job.build, f"{job.cpu / 60:.1f}", ran, job.unit, *(str(job.failures[kind]) for kind in KINDS), looks))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    left = (0, 1, 4)
    text = []
    for row in rows:
        cells = [word.ljust(width) if i in left else word.rjust(width) for i, (word, width) in enumerate(zip(row, widths, strict=True))]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def builds_of(names: list[str]) -> list[Build]:
    """Return the builds that `make soak` has made, which names them in the environment."""
    sanitized = Build("sanitizer", os.environ.get("PYROOT_SANITIZED", ""), os.environ.get("PYROOT_SANITIZED_TREE", ""),
                      os.environ.get("PYROOT_SANITIZERS", ""))  # fmt: skip
    known = {"plain": Build("plain", os.environ.get("PYROOT_CMD", "")), "sanitizer": sanitized}
    wanted = [known[name] for name in names or known if known[name].command]
    if not wanted:
        raise SystemExit("no pyroot to test: PYROOT_CMD, PYROOT_SANITIZED (make soak sets them)")
    return wanted


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(FUZZERS)} (default: all)")
    parser.add_argument("--minutes", type=float, default=10, help="of CPU time for each (default 10)")
    parser.add_argument("--build", action="append", choices=["plain", "sanitizer"], default=[], help="one build only")
    parser.add_argument("--seed", type=int, default=0, help="where the seeds start (default: anywhere)")
    parser.add_argument("--state", default=os.path.join(PROJECT, "build", "soak.json"), help="the file that keeps what is done")
    parser.add_argument("--fresh", action="store_true", help="begin anew")
    parser.add_argument("--keep", action="store_true", help="put what is done into the tree (tests/fuzz/soaked.json), run nothing")
    parser.add_argument("--table", action="store_true", help="print the table of what is done, run nothing")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    parser.add_argument("--done", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=SLICE, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run what is left to do; print the table."""
    given = arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        # (a shell starts its background jobs with one of them ignored)
        signal.signal(number, signal.default_int_handler)
    if given.worker:
        return work(given.worker, given.seed, given.done, given.seconds)
    unknown = [name for name in given.names if name not in FUZZERS]
    if unknown:
        raise SystemExit(f"no such program: {' '.join(unknown)}")
    builds = {build.name: build for build in builds_of(given.build)}
    first = given.seed or random.SystemRandom().randrange(1, 1 << 32)
    state = State(given.state, given.names or list(FUZZERS), list(builds), first, fresh=given.fresh)
    if given.keep:
        state.write(KEPT)
    if given.keep or given.table:
        print(table([*state.jobs, *state.others]))
        return 0
    seconds = given.minutes * 60
    try:
        for job in rounds(state, seconds):
            print(f"{job.program}, {job.build}: seed {job.seed}, turn {job.turns}, {job.cpu / 60:.1f} CPU minutes so far", flush=True)
            go_on(job, builds[job.build], min(SLICE, max(seconds - job.cpu, 0.1)), state)
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on ({given.state})", file=sys.stderr)
        print(table(state.jobs))
        return 130
    print(table(state.jobs))
    return 0 if all(job.is_good() for job in state.jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
