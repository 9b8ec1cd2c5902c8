"""Run the sides in turn and pair each figure with the native ones beside it.

Decides order and pairing.  On a shared machine the same call takes twice as long from one second to the next, so
absolute times say little: each run of a side stands between two native runs, and its ratio is taken to their mean.  The
sides take their turns in a random order in every round.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from .rows import START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .rows import Workload
    from .sides import Side

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C", "HOME": "/tmp", "PROOT_TMP_DIR": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}

Figures = dict[str, dict[str, list[float]]]
"""Benchmark, side, one value a round."""


class MeasureError(Exception):
    """A side could not run the probe."""


def run(side: Side, command: list[str]) -> str:
    """Run a command of a side to its end and return what it printed."""
    done = subprocess.run(
        command, env=ENVIRONMENT, cwd="/", preexec_fn=side.prepare, capture_output=True, text=True, check=False,
        timeout=600,
    )  # fmt: skip
    if done.returncode:
        shown = " ".join(command)
        raise MeasureError(f"{side.name}: {shown[:500]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def probe(side: Side, *words: str) -> dict[str, float]:
    """Run the probe once and return microseconds by name; what fails on this side is left out."""
    kind, *numbers = words
    lines = run(side, side.command(kind, side.prefix, *numbers)).splitlines()
    return {name: float(value) / 1000 for name, value in (line.split() for line in lines) if "nan" not in value}


def start_up(command: list[str], prepare: Callable[[], None], times: int) -> float:
    """Return the least time in microseconds that a command took from fork to its end, of ``times``."""
    best = float("inf")
    for _ in range(times):
        child = os.fork()
        if child == 0:
            try:
                prepare()
                os.chdir("/")
                os.execve(command[0], command, ENVIRONMENT)
            finally:
                os._exit(127)
        start = time.perf_counter()
        status = os.waitpid(child, 0)[1]
        best = min(best, (time.perf_counter() - start) * 1e6)
        if status:
            raise MeasureError(f"{' '.join(command)} ended with wait status {status}")
    return best


def cpu_time(command: list[str], prepare: Callable[[], None], times: int) -> float:
    """Return the median of the processor time in microseconds that a command took, its start included, of ``times``."""
    found = []
    for _ in range(times):
        child = os.fork()
        if child == 0:
            try:
                prepare()
                os.chdir("/")
                null = os.open("/dev/null", os.O_RDWR)
                os.dup2(null, 1)
                os.execve(command[0], command, ENVIRONMENT)
            finally:
                os._exit(127)
        _pid, status, used = os.wait4(child, 0)
        found.append((used.ru_utime + used.ru_stime) * 1e6)
        if status:
            raise MeasureError(f"{' '.join(command)} ended with wait status {status}")
    return statistics.median(found)


def turns(sides: list[Side], rng: random.Random) -> Iterator[Side]:
    """Yield the sides in random order, each between two turns of the native one."""
    others = sides[1:]
    rng.shuffle(others)
    yield sides[0]
    for side in others:
        yield side
        yield sides[0]


def pair(series: list[tuple[Side, dict[str, float]]], figures: Figures, ratios: Figures) -> None:
    """Add one round: values of every side, and their ratios to the mean of the native values before and after."""
    for name in series[0][1]:
        for place, (side, values) in enumerate(series):
            if name not in values:
                if side is series[0][0]:
                    raise MeasureError(f"{side.name}: {name} fails")
                continue
            figures.setdefault(name, {}).setdefault(side.name, []).append(values[name])
            if place % 2:
                beside = (series[place - 1][1][name] + series[place + 1][1][name]) / 2
                ratios.setdefault(name, {}).setdefault(side.name, []).append(values[name] / beside)


def measure_probe(
    sides: list[Side], rng: random.Random, words: tuple[str, ...], figures: Figures, ratios: Figures
) -> None:
    """Run one round of the probe on all sides."""
    pair([(side, probe(side, *words)) for side in turns(sides, rng)], figures, ratios)


def measure_workload(
    sides: list[Side], rng: random.Random, workload: Workload, python: str, figures: Figures, ratios: Figures
) -> None:
    """Run one round of a workload on all sides; microseconds."""
    series = []
    for side in turns(sides, rng):
        try:
            series.append((side, {workload.name: workload_time(sides[0], side, workload, python)}))
        except MeasureError:
            series.append((side, {}))
    pair(series, figures, ratios)


def workload_time(native: Side, side: Side, workload: Workload, python: str) -> float:
    """Run a workload once on a side, from the state that it starts from; return microseconds."""
    before_workload(native, workload)
    command = side.shell(workload.command.format(python=python), "/work")
    start = time.perf_counter()
    run(side, command)
    return (time.perf_counter() - start) * 1e6


def before_workload(native: Side, workload: Workload) -> None:
    """Put the work directory into the state that the workload starts from."""
    if workload.before:
        run(native, native.shell(workload.before, "/work"))


def can_run(native: Side, workload: Workload, python: str) -> str:
    """Run a workload natively; return an empty text if it works here, else why not.  Warms the caches, too."""
    try:
        before_workload(native, workload)
        run(native, native.shell(workload.command.format(python=python), "/work"))
    except MeasureError as error:
        return str(error)
    return ""


def peak_memory(side: Side, command: list[str]) -> float:
    """Return the most memory in MiB that the runner itself (not what it runs) has had, to within its last 10 ms."""
    done = threading.Event()
    peak = 0
    with subprocess.Popen(
        command, env=ENVIRONMENT, cwd="/", preexec_fn=side.prepare, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.01):
                try:
                    with open(f"/proc/{child.pid}/status") as status:
                        peak = max([peak, *(int(line.split()[1]) for line in status if line.startswith("VmHWM"))])
                except OSError:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        child.wait()
        done.set()
        watcher.join()
    return peak / 1024


def measure_start(
    commands: dict[str, list[str]], baseline: Side, times: int, rng: random.Random, figures: Figures, ratios: Figures,
    row: str = START, clock: Callable[[list[str], Callable[[], None], int], float] = start_up,
) -> None:  # fmt: skip
    """Run one round of start-ups, or of another row; ``commands`` holds the baseline's under its name."""
    names = [name for name in commands if name != baseline.name]
    rng.shuffle(names)

    def once(name: str) -> float:
        return clock(commands[name], baseline.prepare, times)

    before = once(baseline.name)
    for name in names:
        value, after = once(name), once(baseline.name)
        beside = (before + after) / 2
        figures.setdefault(row, {}).setdefault(name, []).append(value)
        figures[row].setdefault(baseline.name, []).append(beside)
        ratios.setdefault(row, {}).setdefault(name, []).append(value / beside)
        before = after
