"""What of this host a root has to show so that the interpreter of this process, with all that it imports, runs there.

Decides: which files that is: the interpreter, its standard library, every directory that it imports from, and the libraries that these need
and the root does not have. All of it is read-only. Not decided here: what a library's name means (``pyroot.elf``).
"""

from __future__ import annotations

import os
import sys
import sysconfig

from pyroot.binds import Binding
from pyroot.elf.closure import ELF_INTERPRETER, LIBRARY, PLAIN_LIBRARY, Closure
from pyroot.elf.rooted import Rooted
from pyroot.elf.versions import read_versions
from pyroot.errors import PyrootError

_SHARED = ("/", "/usr", "/usr/local")  # prefixes that hold more than one interpreter
_LINKS = 40


def python_binds(root: str, own: list[str] | None = None) -> list[Binding]:
    """List the bindings for a root. Raises PyrootError if its libraries are too old for this interpreter."""
    places = python_places(own)
    return [Binding(path, readonly=True) for path in [*places, *libraries(root, places)]]


def python_places(own: list[str] | None = None) -> list[str]:
    """List what this interpreter is and imports from, without what lies in another one of these.

    ``own`` are directories that are shown anyway, and may be changed: the project's, from which it may import, too.
    """
    shown = tuple(f"{path}/" for path in own or ())
    wanted = [*executables(), os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))]
    if sys.base_prefix not in _SHARED:
        wanted.append(sys.base_prefix)
    if sys.prefix != sys.base_prefix:
        wanted.append(sys.prefix)
    wanted += [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    wanted += [path for path in map(os.path.abspath, filter(None, sys.path)) if not f"{path}/".startswith(shown)]
    found: list[str] = []
    for path in sorted({path for path in wanted if path and os.path.exists(path) and path not in _SHARED}):
        if not found or not path.startswith(found[-1] + "/"):
            found.append(path)
    return found


def executables() -> list[str]:
    """List the interpreter's file and the links that lead to it."""
    found, path = [], os.path.abspath(sys.executable)
    for _ in range(_LINKS):
        found.append(path)
        if not os.path.islink(path):
            break
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return [*found, os.path.realpath(sys.executable)]


def libraries(root: str, places: list[str]) -> list[str]:
    """List the libraries that the interpreter and its modules need and the root lacks."""
    closure = Closure(Rooted("/"))
    program = os.fsencode(os.path.realpath(sys.executable))
    closure.add_program(program)
    for path in places:
        for base, _names, files in os.walk(path) if os.path.isdir(path) else ():
            for file in files:
                if file.endswith(".so") or ".so." in file:
                    closure.add_optional(os.fsencode(os.path.join(base, file)), LIBRARY, program)
    inside = tuple(os.fsencode(path) + b"/" for path in places)
    target, found = Rooted(root), []
    for item in closure.items:
        elsewhere = item.trace is not None and not item.path.startswith(inside)
        if elsewhere and item.why in (LIBRARY, PLAIN_LIBRARY, ELF_INTERPRETER) and target.find(item.path) is None:
            found.append(os.fsdecode(item.path))
    _require_versions(closure, target, program)
    return found


def _require_versions(closure: Closure, target: Rooted, program: bytes) -> None:
    """Refuse a root whose own libraries lack what the interpreter itself asks of them."""
    for one in closure.images.get(program, ()):
        there = target.find(one.path)
        if there is None or one.path == program:
            continue
        offers = read_versions(target.host(there.real)).offers
        for wanter in closure.images[program]:
            for library, version in read_versions(closure.rooted.host(wanter.real)).needs:
                is_ours = wanter.path == program or target.find(wanter.path) is None
                if is_ours and offers and library in one.names and version not in offers:
                    raise PyrootError(
                        f"this Python needs {os.fsdecode(library)} with {os.fsdecode(version)}, which the root's lacks",
                        "--pyroot-python python3 takes the root's own Python, if it has pytest",
                    )
