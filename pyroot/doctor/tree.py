"""The closure of a program as a tree, in the layout that lddtree prints.

Decides: the layout. Each library is shown where it is first found, going down level by level: what is listed among the needs
of one object is not repeated below a later one. A name that leads back to one above it is marked.
"""

from __future__ import annotations

import os

from pyroot.elf.closure import Closure
from pyroot.elf.rooted import Rooted
from pyroot.elf.search import Loaded
from pyroot.verbs.output import safe

Tree = list[dict[str, object]]


def tree_of(source: Rooted, program: bytes, search_path: bytes) -> tuple[str, bool, Tree]:
    """Give the tree of a program, by path or name, whether nothing is missing, and the tree as plain values.

    A script's tree is its chain.
    """
    closure = Closure(source, search_path)
    if b"/" in program and not program.startswith(b"/"):
        program = os.path.normpath((b"/" if source.root else os.getcwdb() + b"/") + program)
    closure.add_program(program)
    lines: list[str] = []
    trees: Tree = []
    missing = [item for item in closure.items if item.missing]
    for path, objects in closure.images.items():
        item = next(item for item in closure.items if item.path == path)
        if item.needed_by is not None:
            lines.append(f"{safe(item.needed_by)} ({item.why} => {safe(path)})")
        interp = objects[0].elf.interp
        kind = f"interpreter => {safe(interp)}" if interp else "library" if objects[0].elf.needed else "static"
        lines.append(f"{safe(path)} ({kind})")
        branches = Branches(objects)
        lines += branches.lines
        trees.append({"path": safe(path), "interpreter": safe(interp) if interp else None, "needs": branches.tree})
    if not closure.images:
        lines += [f"{safe(item.path)} ({item.why}): {item.problem or 'needs no library'}" for item in closure.items]
        trees += [{"path": safe(item.path), "interpreter": None, "needs": [], "problem": item.problem or None} for item in closure.items]
    return "".join(line + "\n" for line in lines), not missing, trees


class Branches:
    """The lines below one program."""

    def __init__(self, objects: list[Loaded]) -> None:
        """Draw the needs of the first object."""
        self.lines: list[str] = []
        self.tree: Tree = []
        self._by_name = {name: one for one in reversed(objects) for name in one.names}
        main = objects[0]
        needs = [needed.name for needed in main.elf.needed]
        self._shown = set(needs)
        if main.elf.interp:
            self._shown.add(os.path.basename(main.elf.interp))
            self._by_name.setdefault(os.path.basename(main.elf.interp), objects[min(1, len(objects) - 1)])
        self._above: list[bytes] = []
        for name in needs:
            self._draw(name, 1, self.tree)

    def _draw(self, name: bytes, depth: int, tree: Tree) -> None:
        self._above.append(name)
        found = self._by_name.get(name)
        indent = "    " * depth
        self.lines.append(f"{indent}{safe(name)} => {safe(found.path) if found else 'not found'}")
        inner: Tree = []
        tree.append({"name": safe(name), "path": safe(found.path) if found else None, "needs": inner})
        below: list[bytes] = []
        for needed in found.elf.needed if found else ():
            if needed.name in self._above:
                self.lines.append(f"{indent}{safe(needed.name)} => !!! circular loop !!!")
            elif needed.name not in self._shown:
                self._shown.add(needed.name)
                below.append(needed.name)
        for one in below:
            self._draw(one, depth + 1, inner)
        self._above.pop()
