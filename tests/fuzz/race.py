"""Directories that are renamed, and swapped with links, while others open files through them."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from .engine import Failed
from .guests import Guest

if TYPE_CHECKING:
    from tests.helpers import Result

SECONDS = "0.4"


class Race:
    """No interleaving of renames leads outside.  Links that point outside are counted: that window is documented, not closed."""

    name = "race"
    size = 1

    def open(self) -> None:
        """Make the root."""
        self.guest = Guest("race_probe", "-pthread")
        self.seen: dict[str, list[int]] = {}

    def ask(self, mode: str) -> Result:
        """Run the probe in a fresh tree."""
        shutil.rmtree(f"{self.guest.root}/r", ignore_errors=True)
        shutil.rmtree(f"{self.guest.root}/top", ignore_errors=True)
        return self.guest.pyroot(mode, SECONDS, self.guest.outside)

    def turn(self, seed: int, size: int) -> str:
        """Run one mode; odd seeds rename directories, even ones swap a directory with a link."""
        mode = "dirs" if seed % 2 else ("links", "dots")[seed // 2 % 2]
        result = self.ask(mode)
        numbers = re.match(r"inside (\d+) outside (\d+) other (\d+) swaps (\d+)(.*)", result.stdout)
        if result.status or not numbers:
            raise Failed(f"{mode}: the probe ended with {result.status}: {result.stdout} {result.stderr}")
        inside, outside, other, swaps = map(int, numbers.groups()[:4])
        errors = set(re.findall(r" ([A-Z]+) ", numbers[5])) - {"ENOENT", "ELOOP", "ENOTDIR"}
        if other or errors or not swaps or (mode == "dirs" and (outside or not inside)):
            raise Failed(f"{mode}: {result.stdout.strip()}")
        total = self.seen.setdefault(mode, [0, 0])
        total[0] += inside
        total[1] += outside
        return f"{mode} {result.stdout.strip()}"

    def close(self) -> None:
        """Say how often an open ended outside, and remove the root."""
        for mode, (inside, outside) in sorted(self.seen.items()):
            print(f"race: {mode}: {inside} opens ended inside, {outside} outside")
        self.guest.remove()
