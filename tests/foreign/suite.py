"""A test suite from Debian's sources: fetched and built once, then run in the worlds of ``tests.everyday`` and compared case by case."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field

from tests.everyday.root import SUITE, debian_lines
from tests.everyday.row import Row
from tests.everyday.world import World
from tests.oracle.build import cache_directory
from tests.rootfs_fixtures import Unavailable, give

BUILD_LIMIT = 7200.0


@dataclass(frozen=True)
class Suite:
    """One suite: where it comes from, how it is built, what is run of it, and how its results are read.

    ``build`` and ``run`` are scripts of bash in /here, where the source is; ``run`` finds the names of the units in ``$units`` and writes
    lines that ``result`` matches, with the groups ``case`` and ``how``; ``start`` matches the line before a unit's results.
    """

    name: str
    source: str
    packages: str
    build: str
    run: str
    units: str
    result: str
    passed: str
    start: str = ""
    limit: float = 3600.0


@dataclass
class Outcome:
    """What one side made of a suite."""

    cases: dict[str, bool] = field(default_factory=dict)  # whether it passed
    units: dict[str, str] = field(default_factory=dict)  # the unit that a case belongs to
    text: str = ""


def fetch(source: str, target: str) -> None:
    """Unpack the upstream source of one of Debian's packages, by an apt with directories of its own."""
    with tempfile.TemporaryDirectory(prefix="pyroot-source-", dir="/var/tmp") as private:
        for name in ("lists/partial", "cache/archives/partial"):
            os.makedirs(f"{private}/{name}")
        with open(f"{private}/sources.list", "w", encoding="ascii") as file:
            file.writelines(line.replace("deb ", "deb-src ", 1) + "\n" for line in debian_lines())
        options = {
            "Dir::Etc::SourceList": f"{private}/sources.list", "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": f"{private}/lists", "Dir::Cache": f"{private}/cache", "APT::Sandbox::User": "root",
        }  # fmt: skip
        words = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]
        for step in (["update"], ["source", "--download-only", f"{source}/{SUITE}"]):
            done = subprocess.run([*words, *step], cwd=private, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Unavailable(f"apt-get {step[0]} failed: {done.stderr.strip().splitlines()[-1:]}")
        archive = [name for name in os.listdir(private) if ".orig.tar" in name and not name.endswith(".asc")]
        subprocess.run(["tar", "-x", "--strip-components=1", "-f", f"{private}/{archive[0]}", "-C", target], check=True)


def built(suite: Suite, root: str, results: str) -> str:
    """Return the directory of the built suite, built now in the root's real chroot if it is not in the cache."""
    digest = hashlib.sha256(repr((suite.source, suite.packages, suite.build)).encode()).hexdigest()[:12]
    target = os.path.join(cache_directory(), f"foreign-{suite.name}-{digest}")
    if os.path.exists(target):
        return target
    world = World("real", root, Row(f"build-{suite.name}", suite.packages, suite.build, unlisted=".", limit=BUILD_LIMIT))
    try:
        if suite.source:
            fetch(suite.source, f"{world.top}/here")
            give(f"{world.top}/here")
        outcome = world.run()
        with open(f"{results}/{suite.name}.build.log", "w", encoding="utf-8") as file:
            file.write(outcome.output)
        if outcome.status:
            raise Unavailable(f"{suite.name} was not built (status {outcome.status}; see {file.name})")
        subprocess.run(["cp", "-a", f"{world.top}/here", f"{target}.new"], check=True)
        os.rename(f"{target}.new", target)
    finally:
        world.close()
    return target


def run(suite: Suite, side: str, root: str, units: list[str], log: str) -> Outcome:
    """Run units of a suite on one side."""
    world = World(side, root, Row(suite.name, suite.packages, f"units='{' '.join(units)}'\n{suite.run}", unlisted=".", limit=suite.limit))
    try:
        shutil.rmtree(f"{world.top}/here")
        subprocess.run(["cp", "-a", built(suite, root, os.path.dirname(log)), f"{world.top}/here"], check=True)
        ended = world.run()
    finally:
        world.close()
    with open(log, "w", encoding="utf-8") as file:
        file.write(ended.output)
    outcome = read(suite, ended.output)
    if ended.status is None:
        outcome.text = f"did not end within {suite.limit:.0f} s"
    elif not outcome.cases:
        outcome.text = f"had no results (status {ended.status}; see {log})"
    return outcome


def read(suite: Suite, output: str) -> Outcome:
    """Read the results from what a suite has written."""
    outcome = Outcome()
    unit = ""
    for line in output.splitlines():
        begun = re.match(suite.start, line) if suite.start else None
        if begun:
            unit = begun.group(1)
        found = re.match(suite.result, line)
        if found:
            name = f"{unit}.{found['case']}" if suite.start else found["case"]
            outcome.cases[name] = outcome.cases.get(name, True) and re.fullmatch(suite.passed, found["how"]) is not None
            outcome.units[name] = unit or found["case"]
    return outcome


def only_under_pyroot(real: Outcome, other: Outcome) -> list[str]:
    """Return the names of cases that pass in the real chroot alone; what did not run counts as failed."""
    return sorted(name for name, passed in real.cases.items() if passed and not other.cases.get(name))


def compare(suite: Suite, root: str, sides: list[str], units: list[str], results: str) -> int:
    """Run a suite, print what fails under pyroot alone, and return the number of such cases.

    A case that fails there once is run again, on its own, on both sides: one that passes then depends on more than the side.
    """
    units = units or suite.units.split()
    outcomes = {side: run(suite, side, root, units, f"{results}/{suite.name}.{side}.log") for side in sides}
    passed = {side: sum(one.cases.values()) for side, one in outcomes.items()}
    counts = ", ".join(f"{side} {passed[side]} passed {len(one.cases) - passed[side]} failed" for side, one in outcomes.items())
    print(f"{suite.name}: {counts}", flush=True)
    for side, one in outcomes.items():
        if one.text:
            print(f"  {side} {one.text}")
    if len(sides) < 2:
        print(*(f"  {name}" for name, passed in outcomes[sides[0]].cases.items() if not passed), sep="\n")
        return 0
    real, other = (outcomes[side] for side in sides)
    found = only_under_pyroot(real, other)
    again = sorted({real.units[name] for name in found})
    if again:
        second = [run(suite, side, root, again, f"{results}/{suite.name}.{side}.again.log") for side in sides]
        still = [name for name in found if name in only_under_pyroot(*second)]
        print(*(f"  {name}: failed under pyroot once, not the second time" for name in found if name not in still), sep="\n")
        print(*(f"  {name}: fails under pyroot alone" for name in still), sep="\n", flush=True)
        found = still
    return len(found) + sum(bool(one.text) for one in outcomes.values())
