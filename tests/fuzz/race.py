"""Directories that are renamed, and swapped with links, while others open files through them."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from .engine import Failed, Outside
from .guests import Guest

if TYPE_CHECKING:
    from tests.helpers import Result

SECONDS = "0.4"
#: Calls that are no opens may fail on what is there, on a machine that is overloaded: one for so many opens.
OTHERS = 100
MODES = ("dirs", "links", "dots", "files", "honest", "remade", "closed")
#: Calls that are no opens may be led outside once in so many.
RARE = 1_000_000
#: Errors that renames cause natively, too; where nothing is ever missing none is.
MOVED = {"ENOENT", "ELOOP", "ENOTDIR"}
NATIVE: dict[str, set[str]] = {"honest": set(), "closed": {*MOVED, "EACCES"}}


class Race:
    """No interleaving of renames lets an open lead outside, and where a link always leads to something no open fails."""

    name = "race"
    size = 1
    unit = "opens"
    ran = 0
    looks = looks_outside = 0
    """Calls that are no opens, and how many of them were led outside."""
    variables: dict[str, str] = {}

    def open(self) -> None:
        """Make the root."""
        self.guest = Guest("race_probe", "-pthread")
        self.seen: dict[str, int] = {}

    def ask(self, mode: str) -> Result:
        """Run the probe in a fresh tree."""
        shutil.rmtree(f"{self.guest.root}/r", ignore_errors=True)
        shutil.rmtree(f"{self.guest.root}/top", ignore_errors=True)
        return self.guest.pyroot(mode, SECONDS, self.guest.outside, variables=self.variables)

    def outside(self) -> list[str]:
        """Return what lies outside."""
        return sorted(os.path.join(folder, name) for folder, _, names in os.walk(self.guest.outside) for name in names)

    def turn(self, seed: int, size: int) -> str:
        """Run the mode that the seed says."""
        mode = MODES[seed % len(MODES)]
        before = self.outside()
        result = self.ask(mode)
        numbers = re.match(
            r"inside (\d+) outside (\d+) other (\d+) swaps (\d+) \(failed (\d+), stat: inside (\d+) outside (\d+)\)(.*)", result.stdout
        )
        if result.status or not numbers:
            raise Failed(f"{mode}: the probe ended with {result.status}: {result.stdout} {result.stderr}")
        inside, outside, other, swaps, failed = map(int, numbers.groups()[:5])
        errors = set(re.findall(r" ([A-Z]+) ", numbers[8])) - NATIVE.get(mode, MOVED)
        self.ran += inside
        self.looks += int(numbers[6]) + int(numbers[7])
        self.looks_outside += int(numbers[7])
        if outside or self.outside() != before:
            raise Outside(f"{mode}: {result.stdout.strip()}, outside {len(self.outside()) - len(before)} new files")
        # a file that was just made is empty
        if errors or not swaps or not inside or (other and mode != "files") or failed * OTHERS > inside:
            raise Failed(f"{mode}: {result.stdout.strip()}")
        self.seen[mode] = self.seen.get(mode, 0) + inside
        return f"{mode} {result.stdout.strip()}"

    def close(self) -> None:
        """Say how many opens there were, and remove the root."""
        for mode, inside in sorted(self.seen.items()):
            print(f"race: {mode}: {inside} opens ended inside, none outside")
        self.guest.remove()


class RaceStops(Race):
    """The same without the gate: every call stops."""

    name = "race-stops"
    variables = {"PYROOT_NO_GATE": "1"}


class RaceNoFilter(Race):
    """The same where the supervisor stops at each call by itself."""

    name = "race-no-filter"
    variables = {"PYROOT_NO_SECCOMP": "1"}
