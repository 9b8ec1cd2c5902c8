"""Which libraries a command lacks in the guest: asked if it could not be started, or ended as a program that lacks some.

Decides: when the exit of a command is worth an examination, and the line and the hint that come out of it. The search is
`pyroot.elf`'s, seen through the bindings of the run. Nothing is imported from here until something has failed.

Source: ld.so ends a program with status 127 when it cannot load a library, with 1 when a symbol version is missing.
"""

from __future__ import annotations

import os
import shlex
import stat

from pyroot import environment
from pyroot.elf.closure import LIBRARY, Closure
from pyroot.elf.search import BadLibrary
from pyroot.errors import EXIT_NOT_FOUND, PyrootError, as_owner
from pyroot.reading.door import view_of
from pyroot.reading.host import host_library
from pyroot.reading.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot._fast import Core
    from pyroot.config import Config
    from pyroot.elf.reader import Elf

def names_missing(core: Core, program: bytes) -> tuple[list[bytes], Elf | None]:
    """List the libraries in DT_NEEDED of a program that its loader would not find, even if the loader is missing."""
    closure = Closure(view_of(core))
    closure.add_program(program)
    for objects in closure.images.values():
        main, search = objects[0], closure.search_of(objects[0].elf)
        try:
            wanted = [needed.name for needed in main.elf.needed if not needed.optional and not search.is_self(needed.name)]
            return [name for name in wanted if search.find(name, main, main) is None], main.elf
        except BadLibrary:  # a broken file in between: fewer libraries are named then, never wrong ones
            return [], main.elf
    return [], None


def with_libraries(core: Core, program: bytes, reason: str, hint: str, interpreter: bytes, root: str) -> tuple[str, str]:
    """Complete the line about a missing ELF interpreter by the libraries that are missing too, and the hint by a command."""
    try:
        names, elf = names_missing(core, program)
    except (ImportError, OSError):
        return reason, hint
    if not names:
        return reason, hint
    shown = ", ".join(map(os.fsdecode, names))
    return f"{reason}; nor {'are' if len(names) > 1 else 'is'} {shown}, which it needs", copy_hint(root, [interpreter, *names], elf) or hint


def copy_hint(root: str, names: list[bytes], program: Elf | None) -> str:
    """Give the command that copies interpreters and libraries of this host, empty if this host does not have them all."""
    found = [host_library(name, program) for name in names]
    if root == "/" or not all(found):
        return ""
    # a bare name stands for the library of this machine's own programs, which is of no use to one of 32 bits
    plain = [name if b"/" in name or host_library(name) == one else one for name, one in zip(names, found, strict=True)]
    words = " ".join(shlex.quote(os.fsdecode(name)) for name in plain if name)
    return f"{as_owner(root)}pyroot copy {shlex.quote(root)} {words} brings this machine's"


def after_exit(core: Core, config: Config, program: bytes) -> PyrootError | None:
    """Say which library was missing, if a command that ended with status 127 does lack one."""
    view = View(view_of(core), os.fsdecode(config.rootfs_spelled), [program])
    given = [path for path in environment.library_path().split(b":") if path.startswith(b"/")]
    missing = [item for item in view.missing(LIBRARY) if not any(view.is_file(path + b"/" + item.path) for path in given)]
    if not missing:
        return None
    first = missing[0]
    if first.place:
        where = view.outside(first.place)
        status = view.stat(first.place)
        mode = f" (mode {stat.S_IMODE(status.st_mode):04o})" if status else ""
        text = f"{os.fsdecode(program)}: its library {os.fsdecode(first.path)}: you may not read {os.fsdecode(first.place)}{mode}"
        return PyrootError(text, f"chmod +r {where}, if it is yours" if status else f"pyroot doctor {shlex.quote(view.spelled)} tells more",
                           EXIT_NOT_FOUND)  # fmt: skip
    chain = [os.fsdecode(one.path) for one in view.closure.programs_over(first)]
    text = ": ".join([os.fsdecode(program)] + [f"its library {path}" for path in reversed(chain[:-1])])
    root = os.fsdecode(config.rootfs_spelled)
    names = list(dict.fromkeys(item.path for item in missing))
    others = f"; nor {'are' if len(names) > 2 else 'is'} {', '.join(map(os.fsdecode, names[1:]))}" if len(names) > 1 else ""
    objects = view.closure.images.get(program)
    hint = (
        copy_hint(root, names, objects[0].elf if objects else None)
        or f"pyroot doctor {shlex.quote(root)} {shlex.quote(os.fsdecode(program))} tells more"
    )
    why = "is not in the guest" if first.problem.startswith("not found") else first.problem
    return PyrootError(f"{text}: its library {os.fsdecode(first.path)} {why}{others}", hint, EXIT_NOT_FOUND)
