"""The loop that all fuzzers share: seeds, time, the corpus of seeds that once failed."""

from __future__ import annotations

import os
import random
import resource
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


class Failed(Exception):
    """A turn went wrong; the text says how."""

    kind = "wrong"


class Crashed(Failed):
    """The supervisor has died, or a sanitizer has had something to say."""

    kind = "crash"


class Hung(Failed):
    """Nothing came to an end."""

    kind = "hang"


class Outside(Failed):
    """Something outside was read, changed, made, removed or signalled."""

    kind = "outside"


class Fuzzer(Protocol):
    """What a fuzzer offers: turns that are decided by their seed and size alone."""

    name: str
    size: int
    unit: str
    """What is counted."""
    ran: int
    """How many of them there were so far."""

    def open(self) -> None:
        """Make what all turns need."""

    def turn(self, seed: int, size: int) -> str:
        """Do one turn; return a word on it, or raise Failed."""

    def close(self) -> None:
        """Remove what open made."""


@dataclass
class Report:
    """What a run did."""

    turns: int = 0
    cases: int = 0
    failures: int = 0
    cpu: float = 0.0


def corpus(name: str) -> list[tuple[int, int]]:
    """Return the (seed, size) pairs that failed once."""
    try:
        with open(os.path.join(CORPUS, name), encoding="ascii") as file:
            return [(int(line.split()[0]), int(line.split()[1])) for line in file if line.strip() and not line.startswith("#")]
    except OSError:
        return []


def record(name: str, seed: int, size: int, why: str) -> None:
    """Add a failure to the corpus, once."""
    if (seed, size) in corpus(name):
        return
    os.makedirs(CORPUS, exist_ok=True)
    with open(os.path.join(CORPUS, name), "a", encoding="ascii", errors="replace") as file:
        file.write(f"# {why.splitlines()[0][:120]}\n{seed} {size}\n")


def smaller(fuzzer: Fuzzer, seed: int, size: int) -> tuple[int, str]:
    """Find a smaller size that fails with this seed; return it and how it fails."""
    best, why = size, ""
    for candidate in (1, 2, 4, 8, 16, 32, 64, 128):
        if candidate >= best:
            break
        try:
            fuzzer.turn(seed, candidate)
        except Failed as error:
            return candidate, str(error)
    return best, why


def begin(fuzzer: Fuzzer) -> list[tuple[int, int]]:
    """Return what is tried in any case: the corpus, and all of a fuzzer that has an end."""
    return corpus(fuzzer.name) + [(seed, fuzzer.size) for seed in range(getattr(fuzzer, "whole", 0))]


def seeds(fuzzer: Fuzzer, first: int) -> Iterator[tuple[int, int]]:
    """Yield what to try: first that, then new seeds without end."""
    yield from begin(fuzzer)
    rng = random.Random(first)
    while True:
        yield rng.randrange(1, 1 << 48), fuzzer.size


def processor_time() -> float:
    """Return the seconds of CPU time that this process and what it waited for (supervisors and their guests) have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def run(fuzzer: Fuzzer, seconds: float, first: int, say: bool = True, keep: bool = True, of_cpu: bool = False) -> Report:
    """Run a fuzzer for some time (``of_cpu``: of CPU time); failures are printed, and recorded if ``keep``."""
    report = Report()
    clock = processor_time if of_cpu else time.monotonic
    before = processor_time()
    end = clock() + seconds
    least = len(begin(fuzzer)) if getattr(fuzzer, "whole", 0) else 1
    if say:
        print(f"{fuzzer.name}: seed {first}", flush=True)
    fuzzer.open()
    try:
        for seed, size in seeds(fuzzer, first):
            report.turns += 1
            try:
                fuzzer.turn(seed, size)
            except Failed as error:
                report.failures += 1
                found, why = smaller(fuzzer, seed, size)
                print(f"{fuzzer.name}: seed {seed} size {found}: {why or error}", flush=True)
                if keep:
                    record(fuzzer.name, seed, found, why or str(error))
            report.cases = fuzzer.ran
            if clock() > end and report.turns >= least:
                break
    finally:
        fuzzer.close()
    report.cpu = processor_time() - before
    if say:
        ran = f"{report.turns} turns, {report.cases} {fuzzer.unit}, {report.cpu:.0f} s of CPU time"
        print(f"{fuzzer.name}: {ran}, {report.failures} failed", flush=True)
    return report
