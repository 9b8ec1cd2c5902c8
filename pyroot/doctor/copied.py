"""What `pyroot copy` prints: a line for each file, what was left, the trees of --tree, and the same as JSON.

Decides: the layout of all that, and what an action is. What is copied is decided in `copy`.
"""

from __future__ import annotations

import os

from pyroot import environment
from pyroot.doctor.tree import tree_of
from pyroot.elf.closure import STANDARD_PATH, Item
from pyroot.elf.rooted import Rooted
from pyroot.errors import PyrootError
from pyroot.plain import record
from pyroot.rootfs.runtimes import PART, RUNTIME
from pyroot.rootfs.work import Left
from pyroot.verbs.output import colour, json_text, put, safe


@record(frozen=True)
class Action:
    """What becomes of one item: "copy", "same" (already there) or "kept" (the root's own stays)."""

    item: Item
    kind: str
    place: bytes  # guest path


def lines_of(actions: list[Action], verbose: bool) -> list[str]:
    """Give a line for each file; the many files that a program works with are one line for each program, if not all is wanted."""
    found: list[str] = []
    counts: dict[tuple[bytes | None, str, str], int] = {}
    for action in actions:
        if action.kind == "same" and not verbose:
            continue
        key = action.item.needed_by, action.item.why, action.kind
        if verbose or action.item.why not in (RUNTIME, PART):
            found.append(_line(action))
        else:
            counts[key] = counts.get(key, 0) + 1
    for (program, why, kind), number in counts.items():
        found.append(f"{_word(kind)} {number} file{'s' * (number != 1)} ({why} {safe(program or b'')}; -v names them)\n")
    return found


def _word(kind: str) -> str:
    word = {"copy": "copy", "same": "has ", "kept": "keep"}[kind]
    return colour("fix", word) if kind == "copy" else word


def _line(action: Action) -> str:
    item = action.item
    link = f" -> {safe(item.trace.real)}" if item.trace and item.trace.real != item.path else ""
    who = f" for {safe(item.needed_by)}" if item.needed_by else ""
    how = f" (by {item.how})" if item.how else ""
    return f"{_word(action.kind)} {safe(item.path)}{link}: {item.why}{who}{how}\n"


def left_as_json(one: Left) -> dict[str, object]:
    return {"path": safe(one.path), "real": None, "action": "left", "why": one.what, "needed_by": safe(one.program), "how": ""}


def as_json(action: Action) -> dict[str, object]:
    item = action.item
    return {
        "path": safe(item.path),
        "real": safe(item.trace.real) if item.trace else None,
        "action": action.kind,
        "why": item.why,
        "needed_by": safe(item.needed_by) if item.needed_by else None,
        "how": item.how,
    }


def print_trees(source: Rooted, names: list[str], json: bool) -> int:
    if not names:
        raise PyrootError("copy: --tree: no program given", "say which: pyroot copy --tree PROGRAM...")
    path = STANDARD_PATH if source.root else environment.path() + b":" + STANDARD_PATH
    if len(names) > 1 and os.path.isdir(names[0]):
        names = names[1:]  # the root that they would be copied to
    status = 0
    trees: list[dict[str, object]] = []
    for name in names:
        text, complete, tree = tree_of(source, os.fsencode(name), path)
        status |= not complete
        trees += tree
        if not json:
            put(text)
    if json:
        put(json_text(trees))
    return int(status)
