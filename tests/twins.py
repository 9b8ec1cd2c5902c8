"""Run one program of the oracle's interpreter under pyroot and, where the suite is root, in a real chroot: both must answer alike."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle import nested, sides
from tests.oracle.build import BuildError, guest_programs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

ENVIRONMENT = {"PATH": "/bin:/", "HOME": "/", "LANG": "C"}


def may_chroot() -> None:
    """Become the ordinary user with the right to call chroot(2)."""
    os.umask(0o022)
    nested.become_user_with_chroot(helpers.NOBODY)
    sides.no_new_privileges()


def put_programs(root: str, names: dict[str, str], libc: str = "") -> None:
    """Put guest programs of the oracle (name below ``root``: which one) there; skip the test where they cannot be compiled."""
    try:
        programs = guest_programs(libc)
    except BuildError as error:
        pytest.skip(f"the oracle's guest programs cannot be compiled: {error}")
    for name, which in names.items():
        with open(f"{root}/{name}", "wb") as file:
            file.write(programs[which])
        os.chmod(f"{root}/{name}", 0o755)


@dataclass
class Twins:
    """A root with the interpreter in ``/ops`` and what is bound where (host path, guest path), all below the directory ``top``."""

    top: str
    root: str
    run_pyroot: Callable[..., Result]
    bindings: list[tuple[str, str]] = field(default_factory=list)
    timeout: float = helpers.TIME_LIMIT
    environment: dict[str, str] = field(default_factory=dict)  # of pyroot, besides the usual
    mounts: list[str] = field(default_factory=list)  # directories of the root where the machine has mounted something (as root only)

    def words(self) -> list[str]:
        """Return the arguments of pyroot."""
        words = ["-r", self.root, "-w", "/"]
        for host, guest in self.bindings:
            words += ["-b", f"{host}:{guest}"]
        return words

    def under_pyroot(self, program: list[str], right: bool = False) -> list[str]:
        """Run a program under pyroot; ``right``: as a user who may call chroot(2)."""
        drop = may_chroot if right else helpers.drop_to_ordinary_user

        def prepare() -> None:
            if self.mounts:
                sides.private_mounts()
                self.mount_all(self.root)
            drop()

        result = self.run_pyroot(
            [*self.words(), "/ops", "--program"], text="\n".join(program).encode(), prepare=prepare,
            environment={**ENVIRONMENT, **self.environment}, timeout=self.timeout,
        )
        assert result.stderr == ""
        return result.stdout.splitlines()

    def mount_all(self, root: str) -> None:
        """Let the machine have its mounts in a root."""
        for path in self.mounts:
            sides.mount("none", root + path, "tmpfs", 0, "mode=777")

    def really(self, program: list[str], right: bool = False) -> list[str]:
        """Run a program in a real chroot with real bind mounts, which is the root of its mount namespace; over a copy."""
        copy = self.top + ".real"
        root = copy + self.root.removeprefix(self.top)

        def prepare() -> None:
            sides.private_mounts()
            sides.mount(root, root, None, sides.MS_BIND)
            self.mount_all(root)
            for host, guest in self.bindings:
                source = copy + host.removeprefix(self.top) if host.startswith(self.top) else host
                if not os.path.lexists(root + guest):
                    os.mkdir(root + guest)
                sides.mount(source, root + guest, None, sides.MS_BIND | sides.MS_REC)
            nested.make_topmost(root)
            if right:
                may_chroot()
            else:
                sides.drop_rights()

        text = "\n".join(program).encode()
        result = helpers.run(["/ops", "--program"], text=text, prepare=prepare, environment=ENVIRONMENT)
        shutil.rmtree(copy)
        return result.stdout.splitlines()

    def answers(self, *program: str, right: bool = False) -> list[str]:
        """Return what the operations answer under pyroot, without their numbers; the real chroot must agree."""
        if os.geteuid() == 0:
            subprocess.run(["cp", "-a", self.top, self.top + ".real"], check=True)
        lines = self.under_pyroot(list(program), right)
        if os.geteuid() == 0:
            real = self.really(list(program), right)
            different = [pair for pair in zip(lines, real, strict=False) if pair[0] != pair[1]]
            assert lines == real, f"pyroot and the real chroot: {different}, {len(lines)} and {len(real)} lines"
        return [line.partition(" ")[2] for line in lines]
