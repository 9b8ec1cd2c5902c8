"""Roots with one probe program in them, and runs of it: what several fuzzers share."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from tests import helpers
from tests.oracle import sides
from tests.oracle.build import compile_program
from tests.rootfs_fixtures import directory_for_user, give, remove

from .engine import Crashed, Hung

if TYPE_CHECKING:
    from tests.helpers import Result

PROGRAMS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "programs")
LIMIT = 120.0


class Guest:
    """A root of its own for a probe: ``/PROBE``, ``/marker``, ``/proc``, ``/dev``, ``/tmp``, a few links."""

    def __init__(self, probe: str, *options: str) -> None:
        self.parent = directory_for_user()
        self.root = f"{self.parent}/root"
        for name in ("", "/tmp", "/proc", "/dev", "/place", "/keep"):
            os.mkdir(self.root + name)
        shutil.copy(compile_program([f"{PROGRAMS}/{probe}.c"], "-static", *options, name=probe), f"{self.root}/probe")
        for name in ("marker", "x"):
            with open(f"{self.root}/{name}", "w", encoding="ascii") as file:
                file.write("inside\n")
        os.symlink("place", f"{self.root}/l")
        os.symlink("/place/../tmp", f"{self.root}/abs")
        self.outside = f"{self.parent}/outside"
        os.makedirs(f"{self.outside}/sub/deep")
        os.mkdir(f"{self.outside}/e")
        os.mkdir(f"{self.parent}/keep")
        for name in ("outside", "outside/sub", "outside/sub/deep", "outside/e", "keep"):
            with open(f"{self.parent}/{name}/marker", "w", encoding="ascii") as file:
                file.write("outside\n")
        give(self.parent)

    def pyroot(
        self, *words: str, options: tuple[str, ...] = (), text: bytes = b"", variables: dict[str, str] | None = None
    ) -> Result:
        """Run the probe under pyroot; a supervisor that hangs, fails or dies is a failure."""
        command, environment = helpers.pyroot_command()
        command += ["-r", self.root, "-w", "/", "-b", "/proc", *options, "/probe", *words]
        try:
            result = helpers.run(command, environment={**environment, "PATH": "/", **(variables or {})}, timeout=LIMIT, text=text)
        except AssertionError as error:
            raise Hung(f"hangs: {error}") from error
        if result.status < 0 or result.status in (125, 126, 127) or "Traceback" in result.stderr or "Sanitizer" in result.stderr:
            raise Crashed(f"pyroot ended with {result.status}: {result.stderr[-1000:]}")
        return result

    def real(self, *words: str, text: bytes = b"") -> Result:
        """Run the probe in a real chroot (root only)."""

        def prepare() -> None:
            sides.private_mounts()
            sides.mount("/proc", f"{self.root}/proc", None, sides.MS_BIND | sides.MS_REC)
            os.chroot(self.root)
            os.chdir("/")
            sides.drop_rights()

        return helpers.run(["/probe", *words], environment={"PATH": "/"}, timeout=LIMIT, text=text, prepare=prepare)

    def remove(self) -> None:
        """Remove the root and what is beside it."""
        remove(self.parent)
