"""Run commands in a root from Python, with the manners of the subprocess module.

Decides: how keyword arguments become a command line. Not decided here: what they mean (``options``, ``config``).
Every guest gets a supervisor process of its own, since a tracer must own its process: signals, waiting and the
working directory of the caller are left alone.
"""

from __future__ import annotations

import os
import subprocess
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def command_line(
    args: Sequence[StrPath],
    *,
    rootfs: StrPath = "/",
    binds: Iterable[StrPath] = (),
    recommended: bool = False,
    cwd: StrPath | None = None,
    kill_on_exit: bool = False,
    detach_daemons: bool = False,
    grace: float | None = None,
    net: bool = False,
    verbose: int = 0,
) -> list[str]:
    """Return the command line of a pyroot process that runs ``args``.

    ``rootfs`` is the host directory that becomes the root, with ``recommended`` together with the usual host paths
    (-R). ``binds`` are arguments of -b, ``HOST[:GUEST][!]``. ``cwd`` is a directory of the guest. What the command leaves behind is
    waited for; ``kill_on_exit`` ends it, ``detach_daemons`` lets it run on, ``grace`` seconds are between TERM and KILL for it.
    ``net``: the kernel, too, keeps it inside (Landlock).
    """
    if isinstance(args, (str, bytes)):
        raise TypeError("args must be a sequence of words, not one string")
    words = ["-R" if recommended else "-r", os.fsdecode(rootfs)]
    for bind in binds:
        words += ["-b", os.fsdecode(bind)]
    if cwd is not None:
        words += ["-w", os.fsdecode(cwd)]
    if kill_on_exit:
        words.append("--kill-on-exit")
    if detach_daemons:
        words.append("--detach-daemons")
    if grace is not None:
        words += ["--grace", str(grace)]
    if net:
        words.append("--net")
    if verbose:
        words += ["-v", str(verbose)]
    starter = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_start.py")
    return [sys.executable, "-IS", starter, *words, "--", *map(os.fsdecode, args)]


def run(
    args: Sequence[StrPath],
    *,
    rootfs: StrPath = "/",
    binds: Iterable[StrPath] = (),
    recommended: bool = False,
    cwd: StrPath | None = None,
    kill_on_exit: bool = False,
    detach_daemons: bool = False,
    grace: float | None = None,
    net: bool = False,
    verbose: int = 0,
    **keywords: Any,
) -> subprocess.CompletedProcess[Any]:
    """Run ``args`` in ``rootfs`` to its end and return its CompletedProcess, whose ``args`` are the guest's.

    All other keywords are those of subprocess.run. The return code is the command's own, 128+N when signal N ended
    it, and 125 to 127 with a message on standard error when it could not be started.
    """
    line = command_line(
        args,
        rootfs=rootfs,
        binds=binds,
        recommended=recommended,
        cwd=cwd,
        kill_on_exit=kill_on_exit,
        detach_daemons=detach_daemons,
        grace=grace,
        net=net,
        verbose=verbose,
    )
    done: subprocess.CompletedProcess[Any] = subprocess.run(line, **keywords)
    done.args = list(args)
    return done


class Popen(subprocess.Popen["Any"]):
    """A subprocess.Popen whose command runs in ``rootfs``; see ``run`` for the keywords."""

    def __init__(
        self,
        args: Sequence[StrPath],
        *,
        rootfs: StrPath = "/",
        binds: Iterable[StrPath] = (),
        recommended: bool = False,
        cwd: StrPath | None = None,
        kill_on_exit: bool = False,
        detach_daemons: bool = False,
        grace: float | None = None,
        net: bool = False,
        verbose: int = 0,
        **keywords: Any,
    ) -> None:
        line = command_line(
            args,
            rootfs=rootfs,
            binds=binds,
            recommended=recommended,
            cwd=cwd,
            kill_on_exit=kill_on_exit,
            detach_daemons=detach_daemons,
            grace=grace,
            net=net,
            verbose=verbose,
        )
        super().__init__(line, **keywords)
