"""Run commands in a root from Python, with the interface of the subprocess module.

Decides: how keyword arguments become a command line. Not decided here: which keywords there are and what they mean (``options``: the
field of each row is a keyword; ``api.pyi`` lists them with their types), what a run is (``config``).
Every guest gets a supervisor process of its own, since a tracer must own its process: signals, waiting and the
working directory of the caller are left alone.
"""

from __future__ import annotations

import os
import subprocess
import sys

from pyroot.option_kinds import ROOTS
from pyroot.options import FIELDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

KEYWORDS = FIELDS


def command_line(args: Sequence[StrPath], **keywords: Any) -> list[str]:
    """Return the command line of a pyroot process that runs ``args``.

    ``rootfs`` is the host directory that becomes the root, with ``recommended`` together with the usual host paths
    (-R). ``binds`` are arguments of -b, ``HOST[:GUEST[:OPTIONS]]``. Every other keyword is the option of its name (``cwd``: a
    directory of the guest); None stands for an option that is not given.
    """
    if isinstance(args, (str, bytes)):
        raise TypeError("args must be a sequence of words, not one string")
    for field in keywords:
        if field not in KEYWORDS:
            raise TypeError(f"unexpected keyword argument {field!r}")
    root = KEYWORDS["recommended" if keywords.get("recommended") else "su" if keywords.get("su") else "rootfs"]
    words = [root.names[0], os.fsdecode(keywords.get("rootfs", "/"))]
    for field, option in KEYWORDS.items():
        value, empty = keywords.get(field), option.kind.empty
        if option.kind in ROOTS or value is None or value == empty:
            continue
        if not option.metavar:
            words += option.names[:1] if value else ()
            continue
        for one in value if empty == () else [value]:
            words += [option.names[0], str(one) if isinstance(one, (int, float)) else os.fsdecode(one)]
    starter = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_start.py")
    return [sys.executable, "-IS", starter, *words, "--", *map(os.fsdecode, args)]


def _sorted(keywords: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separate pyroot's keywords from those of the subprocess module."""
    ours = {field: keywords[field] for field in keywords if field in KEYWORDS}
    return ours, {name: keywords[name] for name in keywords if name not in ours}


def run(args: Sequence[StrPath], **keywords: Any) -> subprocess.CompletedProcess[Any]:
    """Run ``args`` in ``rootfs`` to its end and return its CompletedProcess, whose ``args`` are the guest's.

    The keywords of ``command_line`` count; all others are those of subprocess.run. The return code is the command's own, 128+N when
    signal N ended it, and 125 to 127 with a message on standard error when it could not be started.
    """
    ours, others = _sorted(keywords)
    done: subprocess.CompletedProcess[Any] = subprocess.run(command_line(args, **ours), **others)
    done.args = list(args)
    return done


class Popen(subprocess.Popen["Any"]):
    """A subprocess.Popen whose command runs in ``rootfs``; see ``run`` for the keywords."""

    def __init__(self, args: Sequence[StrPath], **keywords: Any) -> None:
        ours, others = _sorted(keywords)
        super().__init__(command_line(args, **ours), **others)
