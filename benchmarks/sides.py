"""The sides that are compared: how each starts a program in the same root as the same ordinary user.

Decides the runners, one template a row, and which pyroot is measured: an installed one, never a source tree (an editable install
starts through an import hook that costs more than pyroot itself).  What is run and how often is decided in ``measure.py``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .root import NOBODY, TOOLS, SetupError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Side:
    """One way to run a program in the root.

    Words in front of it, what its paths start with, a step before exec, and what the probe's own words begin with.
    """

    name: str
    words: tuple[str, ...]
    prefix: str
    prepare: Callable[[], None]
    version: str
    first: tuple[str, ...] = ()

    def command(self, *words: str) -> list[str]:
        """Return the words that run the probe on this side."""
        return [*self.words, f"{self.prefix}/probe/probe", *self.first, *words]

    def shell(self, text: str, directory: str) -> list[str]:
        """Return the words that run a shell's command in a directory of the root."""
        return [*self.words, "/bin/sh", "-c", f"cd {self.prefix}{directory} && {text}"]


@dataclass(frozen=True)
class Runner:
    """A peer: its words, where ``{root}`` and ``{bind}`` stand for the root and for the bindings of the host's tools."""

    name: str
    words: str
    #: How one directory is bound; empty where the runner cannot.
    bind: str = ""
    #: It runs inside of the native side's chroot.
    inside: bool = False
    #: It is the pyroot that is measured, in another way.
    own: bool = False


RUNNERS = (
    Runner("proot", "{program} -r {root} {bind} -w /", "-b {0}"),
    Runner("bwrap", "{program} --bind {root} / {bind} --chdir /", "--dev-bind {0} {0}"),
    Runner("fakechroot", "{program} chroot {root}"),
    Runner("fake-root", "{program} -0 -r {root} {bind} -w /", "-b {0}", own=True),
    Runner("strace", "{program} -f -qq --seccomp-bpf -e trace=file -o /dev/null", inside=True),
)
#: In a plain run; the others have to be asked for.
USUAL = ("proot",)


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
    return replace(side, name="bare filter", first=("filtered",))


def bound(side: Side, count: int, root: str) -> Side:
    """Return pyroot's side with so many more bindings."""
    mounts = f"{root}/mounts"
    if not os.path.isdir(mounts):
        for n in range(1000):
            os.makedirs(f"{mounts}/m{n}")
    words = [word for n in range(count) for word in ("-b", f"/usr:/mounts/m{n}")]
    return replace(side, name=f"pyroot, {count} bindings", words=(*side.words[:-2], *words, *side.words[-2:]))


def refuse_source_tree(pyroot: str, python: str) -> None:
    """Raise SetupError unless the pyroot package of ``python`` lies where installers put packages."""
    where = output_of([python, "-I", "-c", "import pyroot; print(pyroot.__file__)"])
    if not where:
        raise SetupError(f"{pyroot}: {python} has no package pyroot", "make bench, or: pip install dist/pyroot_chroot-*.whl")
    homes = output_of(
        [python, "-I", "-c", "import site, sysconfig; print(sysconfig.get_path('platlib'), *site.getsitepackages())"]
    ).split()
    if not any(where.startswith(home + "/") for home in homes):
        raise SetupError(
            f"{os.path.dirname(where)} is a source tree or an editable install: its start is not what users get",
            "measure an installed wheel: make bench, or pip install dist/pyroot_chroot-*.whl without -e",
        )


def find_pyroot(given: str | None) -> tuple[str, str]:
    """Return the pyroot command to measure and the Python that it belongs to.  Raises SetupError."""
    command = given or shutil.which("pyroot", path=os.path.dirname(sys.executable)) or shutil.which("pyroot")
    if command is None:
        raise SetupError("no pyroot command found", "make bench, or: pip install dist/pyroot_chroot-*.whl")
    command = os.path.abspath(command)
    beside = os.path.join(os.path.dirname(command), "python3")
    python = beside if os.path.exists(beside) else sys.executable
    refuse_source_tree(command, python)
    return command, python


def all_sides(root: str, mounted: bool, pyroot: str, peers: list[str]) -> list[Side]:
    """Return the native side, pyroot, and the peers that are there.  A peer is the name of a runner, or NAME=PROGRAM."""
    version = output_of([pyroot, "-V"])
    if not version:
        raise SetupError(f"{pyroot} -V fails as an ordinary user", "install it where ordinary users can reach it")
    tools = [] if mounted else [tool for tool in TOOLS if os.path.isdir(tool)]
    base = native(root)
    bind = [word for tool in tools for word in ("-b", tool)]
    sides = [base, Side("pyroot", (pyroot, "-r", root, *bind, "-w", "/"), "", drop_to_ordinary_user, version)]
    for peer in peers:
        name, _, program = peer.partition("=")
        runner = next((one for one in RUNNERS if one.name == name), None)
        if runner is None:
            raise SetupError(f"no runner is called {name}", f"there are {', '.join(one.name for one in RUNNERS)}")
        program = program or (pyroot if runner.own else shutil.which(name)) or ""
        if program and (runner.bind or runner.inside or not tools):
            sides.append(peer_side(runner, program, root, tools, base))
    return sides


def peer_side(runner: Runner, program: str, root: str, tools: list[str], base: Side) -> Side:
    """Fill in the template of a runner."""
    bind = " ".join(runner.bind.format(tool) for tool in tools)
    words = tuple(runner.words.format(program=program, root=root, bind=bind).split())
    if runner.inside:
        return replace(base, name=runner.name, words=words, version=version_of(runner.name, program))
    return Side(runner.name, words, "", drop_to_ordinary_user, version_of(runner.name, program))


def traces(native_side: Side, main: Side, calls: str) -> list[Side]:
    """Return strace in the native side's root, and `pyroot trace`; both write all that they have to say to /dev/null.

    Nothing where strace is not installed.
    """
    program = shutil.which("strace")
    if program is None:
        return []
    words = (program, "-f", "--seccomp-bpf", *traced(calls))
    return [replace(native_side, name="strace", words=words, version=version_of("strace", program)), tracing(main, calls)]


def traced(calls: str) -> tuple[str, ...]:
    """Return the options by which both trace."""
    return ("-o", "/dev/null", "-e", f"trace={calls}")


def tracing(side: Side, calls: str) -> Side:
    """Return a pyroot's side with `pyroot trace`."""
    return replace(side, words=(side.words[0], "trace", *traced(calls), *side.words[1:]))


def version_of(name: str, program: str) -> str:
    """Return a peer's version; proot's with whether it was built with seccomp, which decides most of its speed."""
    try:
        text = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
    except OSError:
        return "unknown"
    number = next((word for word in text.split() if word[0].isdigit()), "unknown")
    accelerated = "seccomp_filter = yes" in text
    return f"{number} ({'with' if accelerated else 'without'} seccomp)" if name == "proot" else number
