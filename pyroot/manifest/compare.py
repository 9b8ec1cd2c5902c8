"""What differs between two snapshots.

Decides: which facts are compared, what they are called for people, and what cannot be compared (a file that one side could not
read). Packages are named, not compared: the files of a package's own data show its changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from pyroot.manifest.entry import DIRECTORY, Entry, order
from pyroot.plain import record
from pyroot.report import printable

GONE, NEW, CHANGED = "gone", "new", "changed"


def _owner(one: Entry) -> str:
    return f"{one.uid}:{one.gid}"


# name of a fact, what it is called; "content" and "size" of what could not be read are left out
FACTS: dict[str, Callable[[Entry], str | None]] = {
    "type": lambda one: one.type,
    "mode": lambda one: f"{one.mode:04o}",
    "owner": _owner,
    "size": lambda one: None if one.size is None else str(one.size),
    "content": lambda one: one.sha256 or None,
    "target": lambda one: None if one.target is None else os.fsdecode(one.target),
    "device": lambda one: f"{one.device[0]},{one.device[1]}" if one.device else None,
    "xattrs": lambda one: ", ".join(f"{os.fsdecode(name)}={value.hex()}" for name, value in sorted(one.xattrs.items())),
}


@record(frozen=True)
class Change:
    """One path that differs: gone, new, or changed in some facts (name, before, after)."""

    path: bytes
    kind: str
    before: Entry | None
    after: Entry | None
    facts: tuple[tuple[str, str, str], ...] = ()

    @property
    def package(self) -> str:
        """Name the package, if one is known."""
        return (self.after.package if self.after else "") or (self.before.package if self.before else "")


def compare(before: Iterable[Entry], after: Iterable[Entry], ignored: Iterable[str] = ()) -> list[Change]:
    """List what differs, in the order of the paths; facts in `ignored` are not looked at."""
    old, new = ({one.path: one for one in entries} for entries in (before, after))
    wanted = [name for name in FACTS if name not in set(ignored)]
    changes: list[Change] = []
    for path in sorted(old.keys() | new.keys(), key=order):
        first, second = old.get(path), new.get(path)
        if first is None or second is None:
            changes.append(Change(path, NEW if first is None else GONE, first, second))
            continue
        facts = tuple(_differing(first, second, wanted))
        if facts:
            changes.append(Change(path, CHANGED, first, second, facts))
    return changes


def _differing(first: Entry, second: Entry, wanted: list[str]) -> Iterable[tuple[str, str, str]]:
    if "unknown" in (first.type, second.type):
        return
    other_type = first.type != second.type
    for name in wanted:
        before, after = FACTS[name](first), FACTS[name](second)
        unread = bool(first.problem or second.problem) and (name == "xattrs" or before is None or after is None)
        if name == "content" and (before is None or after is None):
            continue  # unread, or a snapshot without hashes
        if before != after and not unread and (not other_type or name in ("type", "mode", "owner", "target")):
            yield name, before or "", after or ""


def folded(changes: list[Change]) -> list[tuple[Change, int]]:
    """Fold what is gone or new below a directory that is gone or new into that directory; give how many there are below."""
    found: list[tuple[Change, int]] = []
    for one in changes:
        if found and one.kind == found[-1][0].kind and one.kind != CHANGED:
            top = found[-1][0]
            entry = top.after or top.before
            if entry is not None and entry.type == DIRECTORY and one.path.startswith(top.path.rstrip(b"/") + b"/"):
                found[-1] = top, found[-1][1] + 1
                continue
        found.append((one, 0))
    return found


def told(name: str, before: str, after: str) -> str:
    """Say how a fact differs; for a hash only that it does."""
    if name == "content":
        return "other content"
    return f"{name} {printable(before) or 'none'} -> {printable(after) or 'none'}"
