"""Tracers in the guest that ask for anything, and descriptors of processes that change while pyroot looks: it lives on, untouched."""

from __future__ import annotations

import re
import shutil

from tests.oracle.build import compile_program

from .engine import Crashed, Failed, Outside
from .guests import PROGRAMS, Guest

HOWS = ("threads", "files")
MILLISECONDS = 300
SEEDS = 1 << 31


class Tracers:
    """Each turn is a tracer that makes random requests at children that never rest."""

    name = "tracers"
    size = 4000
    unit = "requests"
    ran = 0

    def open(self) -> None:
        """Make the root; the children execute the program under another name."""
        self.guest = Guest("ptrace_fuzz")
        sources = [f"{PROGRAMS}/ptrace_{part}.c" for part in ("probe", "state", "waits")]
        shutil.copy(compile_program(sources, "-static", "-pthread", name="ptrace-probe"), f"{self.guest.root}/ptrace")

    def turn(self, seed: int, size: int) -> str:
        """Run one tracer to its end; pyroot ends with its guests."""
        result = self.guest.pyroot(str(seed % SEEDS), options=("--kill-on-exit",))
        if (result.status, result.stdout, result.stderr) != (0, "done\n", ""):
            raise Crashed(f"{result.status}: {result.stdout[-200:]} {result.stderr[-500:]}")
        self.ran += self.size
        return "done"

    def close(self) -> None:
        """Remove the root."""
        self.guest.remove()


class Keepers:
    """Each turn is a race: a descriptor means a process of the guest's own while pyroot looks, and the supervisor when the kernel does."""

    name = "keepers"
    size = 1
    unit = "races"
    ran = 0

    def open(self) -> None:
        """Make the root."""
        self.guest = Guest("keeper_probe", "-pthread")

    def turn(self, seed: int, size: int) -> str:
        """Race for a while, with threads or with processes that share their descriptors."""
        how = HOWS[seed % len(HOWS)]
        result = self.guest.pyroot("race", "0", str(MILLISECONDS), *(["files"] if how == "files" else []))
        told = re.fullmatch(r"own ([01]) refused ([01]) wrong (\d+) child ([01])\n", result.stdout)
        if not told:
            raise Failed(f"{how}: the probe ended with {result.status}: {result.stdout[-200:]} {result.stderr[-500:]}")
        if told[3] != "0" or told[4] != "1":
            raise Outside(f"{how}: {result.stdout}")
        if told[1] + told[2] != "11":
            # on a busy machine the other process may not get its turn: then there was no race
            return f"{how}: no race"
        self.ran += 1
        return how

    def close(self) -> None:
        """Remove the root."""
        self.guest.remove()
