"""What this host could supply to a root.

Decides: which file of the host a library's name stands for. Source of the facts: ld.so(8), as `pyroot.elf` has it.
"""

from __future__ import annotations

import os

from pyroot.elf.reader import Elf, ElfError, read_elf
from pyroot.elf.rooted import Rooted
from pyroot.elf.search import BadLibrary, Loaded, loader_of, search_for


def host_library(name: bytes, program: Elf | None = None) -> bytes | None:
    """Find a library of this host by name or path, as the loader of `program` (default: of /bin/sh) would find it here."""
    if b"/" in name:
        return name if os.path.isfile(name) else None
    host = Rooted("/")
    try:
        elf = program or read_elf(host.host(host.trace(b"/bin/sh").real))
        loader = loader_of(host, elf)
        if host.find(loader) is None:
            return None  # this host has no loader of that kind, so no libraries for it
        alone = Loaded(b"", b"", Elf(elf.identity), b"/")
        found = search_for(host, elf.identity, loader).find(name, alone, alone)
    except (OSError, ElfError, BadLibrary):
        return None
    return found.path if found else None
