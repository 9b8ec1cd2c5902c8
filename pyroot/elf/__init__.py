"""What programs need in order to start, read from their files: the shareable face of this package.

`read_elf` reads one file; `closure` lists programs with everything they need, inside any root directory; `Closure`
does the same step by step. Nothing here runs a program or changes a file.
"""
from __future__ import annotations

from pyroot.elf.closure import Closure, Item, closure
from pyroot.elf.reader import Elf, ElfError, Identity, Needed, read_elf
from pyroot.elf.rooted import Rooted, Trace

__all__ = ["Closure", "Elf", "ElfError", "Identity", "Item", "Needed", "Rooted", "Trace", "closure", "read_elf"]
