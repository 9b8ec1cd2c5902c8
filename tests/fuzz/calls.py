"""Random system calls with random argument words, pointers to anything, foreign numbers: the supervisor goes on."""

from __future__ import annotations

import os

from .engine import Failed, Outside
from .guests import Guest


class Calls:
    """Each turn is a run of the probe with some batches of calls; ``/keep`` is bound and must stay as it is."""

    name = "calls"
    size = 150
    unit = "batches"
    ran = 0

    guest: Guest

    def open(self) -> None:
        """Nothing is needed: a turn may change modes and programs of its root, so each has its own."""

    def turn(self, seed: int, size: int) -> str:
        """Run some batches; the probe must come to its end, and nothing outside may have changed."""
        self.guest = Guest("fuzz_calls")
        try:
            return self.in_root(seed, size)
        finally:
            self.guest.remove()

    def in_root(self, seed: int, size: int) -> str:
        """Do the turn in the root that was made for it."""
        before = self.outside()
        probe = f"{self.guest.root}/probe"
        size_of_probe = os.path.getsize(probe)
        paths = ["/keep", "/keep/marker", "/keep/..", self.guest.outside, f"{self.guest.outside}/marker", "/proc/1/root", "/bind/new"]
        options = ("-b", f"{self.guest.parent}/keep:/keep", "-b", f"{self.guest.root}/place:/bind/new")
        result = self.guest.pyroot(str(seed), str(size), *paths, options=options)
        if not os.path.exists(probe) or os.path.getsize(probe) != size_of_probe:
            return "the guest has truncated the program that runs, which docs/DIFFERENCES.md says it can"
        # the calls may have written to standard output too
        if result.status != 0 or f"batches {size} " not in result.stdout:
            raise Failed(f"the probe ended with {result.status}: {result.stdout[-200:]} {result.stderr[-500:]}")
        if self.outside() != before:
            raise Outside("a file outside has changed")
        self.ran += size
        return result.stdout.strip()

    def outside(self) -> list[tuple[str, str, bytes]]:
        """Return what lies outside of root and bindings: names, modes and contents."""
        found = []
        for folder, _, files in sorted(os.walk(self.guest.outside)):
            found.append((folder, oct(os.stat(folder).st_mode), b""))
            for name in sorted(files):
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    found.append((path, oct(os.stat(path).st_mode), file.read()))
        return found

    def close(self) -> None:
        """Nothing is left."""
