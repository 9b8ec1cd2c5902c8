"""The sides that are compared, and the root file system they all run in.

Decides how each side starts a program in the same root as the same ordinary user, and which pyroot is measured: an
installed one, never a source tree (an editable install starts through an import hook that costs more than pyroot
itself).  What is run and how often is decided in ``measure.py``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = os.path.dirname(os.path.abspath(__file__))
NOBODY = 65534


class SetupError(Exception):
    """The benchmark cannot be run here; the text says why, ``hint`` what to do."""

    def __init__(self, what: str, hint: str) -> None:
        """Keep both lines."""
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True)
class Side:
    """One way to run the probe in the root.

    Words in front of it, what its paths start with, a step before exec, and what its own words begin with.
    """

    name: str
    words: tuple[str, ...]
    prefix: str
    prepare: Callable[[], None]
    version: str
    first: tuple[str, ...] = ()

    def command(self, *words: str) -> list[str]:
        """Return the words that run the probe on this side."""
        return [*self.words, f"{self.prefix}/bin/probe", *self.first, *words]


def drop_to_ordinary_user() -> None:
    """Become the ordinary user, where we are root; runs between fork and exec."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def output_of(command: list[str]) -> str:
    """Return the first line with text that a command prints, run as the ordinary user; empty if it fails."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd="/",
            preexec_fn=drop_to_ordinary_user, timeout=60,
        )
    except OSError:
        return ""
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return lines[0].strip() if lines and done.returncode == 0 else ""


def compile_probe(directory: str, name: str, *options: str) -> str:
    """Compile the guest program into ``directory`` and return its path."""
    compiler = os.environ.get("CC") or "gcc"
    if shutil.which(compiler) is None:
        raise SetupError(f"no C compiler ({compiler})", "on Debian: apt-get install gcc libc6-dev")
    target = f"{directory}/{name}"
    command = [compiler, "-O2", "-o", target, f"{HERE}/probe.c", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SetupError(f"the probe does not compile: {done.stdout.strip()}", "gcc and a static libc are needed")
    return target


def make_root(base: str) -> str:
    """Make a root with the probe, linked statically and dynamically, and a file six components deep."""
    root = f"{base}/root"
    deep = f"{root}/one/two/three/four/five"
    for directory in (f"{root}/bin", deep):
        os.makedirs(directory)
    with open(f"{deep}/file", "w"):
        pass
    os.symlink("file", f"{deep}/link")
    compile_probe(f"{root}/bin", "probe", "-static")
    dynamic = compile_probe(f"{root}/bin", "probe-dynamic")
    listing = subprocess.run(["ldd", dynamic], capture_output=True, text=True, check=True).stdout
    for word in listing.split():
        if word.startswith("/"):
            os.makedirs(root + os.path.dirname(word), exist_ok=True)
            shutil.copy(word, root + word)
    if os.path.exists("/etc/ld.so.cache"):
        # As in every real root.  The libraries lie where the host has them, so its cache is right here too; without one
        # ld.so looks into some thirty directories, and the start of a program would be measured as nothing else is.
        os.mkdir(f"{root}/etc")
        shutil.copy("/etc/ld.so.cache", f"{root}/etc")
    return root


def native(root: str) -> Side:
    """Return the native side: a real chroot where we are root, else the same tree by its host path."""
    if os.geteuid() != 0:
        return Side("native", (), root, drop_to_ordinary_user, "host paths")

    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        drop_to_ordinary_user()

    return Side("native", (), "", enter, "chroot")


def filtered(side: Side) -> Side:
    """Return the native side under a seccomp filter that allows everything: the floor for all that works with one."""
    return Side("bare filter", side.words, side.prefix, side.prepare, side.version, ("filtered",))


def refuse_source_tree(pyroot: str, python: str) -> None:
    """Raise SetupError unless the pyroot package of ``python`` lies where installers put packages."""
    where = output_of([python, "-I", "-c", "import pyroot; print(pyroot.__file__)"])
    if not where:
        raise SetupError(f"{pyroot}: {python} has no package pyroot", "make bench, or: pip install dist/pyroot-*.whl")
    homes = output_of(
        [python, "-I", "-c", "import site, sysconfig; print(sysconfig.get_path('platlib'), *site.getsitepackages())"]
    ).split()
    if not any(where.startswith(home + "/") for home in homes):
        raise SetupError(
            f"{os.path.dirname(where)} is a source tree or an editable install: its start is not what users get",
            "measure an installed wheel: make bench, or pip install dist/pyroot-*.whl without -e",
        )


def find_pyroot(given: str | None) -> tuple[str, str]:
    """Return the pyroot command to measure and the Python that it belongs to.  Raises SetupError."""
    command = given or shutil.which("pyroot", path=os.path.dirname(sys.executable)) or shutil.which("pyroot")
    if command is None:
        raise SetupError("no pyroot command found", "make bench, or: pip install dist/pyroot-*.whl")
    command = os.path.abspath(command)
    beside = os.path.join(os.path.dirname(command), "python3")
    python = beside if os.path.exists(beside) else sys.executable
    refuse_source_tree(command, python)
    return command, python


def all_sides(root: str, pyroot: str, proot: str | None) -> list[Side]:
    """Return the native side and the others that are there."""
    version = output_of([pyroot, "-V"])
    if not version:
        raise SetupError(f"{pyroot} -V fails as an ordinary user", "install it where ordinary users can reach it")
    sides = [native(root), Side("pyroot", (pyroot, "-r", root, "-w", "/"), "", drop_to_ordinary_user, version)]
    if proot:
        words = (proot, "-r", root, "-w", "/")
        sides.append(Side("proot", words, "", drop_to_ordinary_user, proot_version(proot)))
    return sides


def proot_version(proot: str) -> str:
    """Return proot's version and whether it was built with seccomp, which decides most of its speed."""
    try:
        text = subprocess.run([proot, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
    except OSError:
        return "unknown"
    number = next((word for word in text.split() if word[0].isdigit()), "unknown")
    accelerated = "seccomp_filter = yes" in text
    return f"{number} ({'with' if accelerated else 'without'} seccomp)"
