"""Helpers for the tests of owners, modes and devices that are remembered: a pyroot that remembers, programs that try it."""

from __future__ import annotations

import sys

RUN = """import sys
from pyroot import cli, launch
class Run(launch.Run):
    def __init__(self, *given):
        super().__init__(*given)
        self.features = {{b"owners": {text!r}}}
launch.Run = Run
sys.exit(cli.main(sys.argv[1:]))
"""


def pyroot(store: str, *owner: int) -> list[str]:
    """Return the words that start a pyroot whose fake root (or ``owner``: user and group) has its owners remembered in a store."""
    text = "\n".join([store, *map(str, owner)]).encode()
    return [sys.executable, "-I", "-c", RUN.format(text=text)]
