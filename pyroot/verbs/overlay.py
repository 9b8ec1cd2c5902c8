"""`pyroot overlay`: what an UPPER has changed, and what becomes of it.

Decides: the verb's words, and what it says. Not decided here: how a change is applied (``committing``), who may use an
UPPER (``overlays``).
"""

from __future__ import annotations

import filecmp
import os
import stat
from typing import TYPE_CHECKING

from pyroot import overlays
from pyroot.errors import PyrootError, text_of
from pyroot.verbs.output import json_text, put, safe
from pyroot.verbs.words import Verb, flag

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = Verb(
    "overlay",
    """\
usage: pyroot overlay diff [--json] UPPER
       pyroot overlay commit UPPER
       pyroot overlay discard UPPER

An overlay (--overlay, --overlay-root) writes to UPPER and leaves its lower directory
as it is. diff lists what has been changed: A (added), M (modified), D (deleted) and a
path. commit applies all of it to the lower directory, or none of it, and empties
UPPER; discard removes UPPER.
""",
    (flag("--json", "diff: as JSON, a list of objects with change and path"),),
    8,
)

Change = tuple[str, bytes]  # A, M or D, and a path that begins with a slash


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    words = WORDS.read(argv)
    if "help" in words.flags:
        put(WORDS.usage())
        return 0
    what, *names = words.rest or [""]
    if what not in ("diff", "commit", "discard"):
        raise PyrootError(f"overlay: {what or 'no word'}: which of diff, commit and discard?", "pyroot overlay diff UPPER")
    if len(names) != 1:
        wrong = f"{names[-1]}: unexpected word" if names else "no UPPER given"
        raise PyrootError(f"overlay: {what}: {wrong}", f"pyroot overlay {what} UPPER")
    upper, lower = _known(os.fsencode(names[0]), what)
    held = overlays.hold(upper, f"overlay {what}", [lower])
    try:
        if what == "diff":
            _tell(list(changes(lower, held.path)), "json" in words.flags)
        elif what == "commit":
            from pyroot import committing

            committing.commit(lower, held.path)
            _empty(held.path)
        else:
            _empty(held.path)
            os.rmdir(held.path)
    finally:
        held.close()
    return 0


def _known(path: bytes, what: str) -> tuple[bytes, bytes]:
    """Return the canonical UPPER and its (topmost) lower directory. Raises PyrootError."""
    try:
        upper = os.path.realpath(path, strict=True)
        lower = overlays.lower_of(upper)
    except OSError as error:
        why = f"{os.fsdecode(path)}: {text_of(error.errno or 0)}"
        raise PyrootError(f"overlay: {what}: {why}", "UPPER is what --overlay wrote to") from None
    if not lower:
        raise PyrootError(f"overlay: {what}: {os.fsdecode(path)} is no UPPER", "it is a directory that --overlay wrote to")
    if what == "commit" and len(lower) > 1:
        raise PyrootError(f"overlay: commit: {os.fsdecode(path)} lies over {len(lower)} lower directories", "only one can take its changes")
    return upper, lower[0]


def _empty(upper: bytes) -> None:
    from pyroot.glue import remove_tree

    for name in os.listdir(upper):
        remove_tree(os.path.join(upper, name))


def _tell(found: list[Change], as_json: bool) -> None:
    if as_json:
        put(json_text([{"change": change, "path": os.fsdecode(path)} for change, path in found]))
    else:
        put("".join(f"{change} {safe(os.fsdecode(path))}\n" for change, path in found))


def changes(lower: bytes, upper: bytes, place: bytes = b"") -> Iterator[Change]:
    """List what is different in the tree of an UPPER and that of its lower directory, by path; what is deleted with its topmost name."""
    below = upper + place
    hides = overlays.is_opaque(below)
    names = set(os.listdir(below))
    if hides and os.path.isdir(lower + place):
        names.update(os.listdir(lower + place))
    for name in sorted(names):
        path = place + b"/" + name
        old = _status(lower + path)
        new = _status(upper + path)
        if new is None or overlays.is_whiteout(new):
            if old is not None:
                yield "D", path
        elif old is None:
            yield "A", path
            if stat.S_ISDIR(new.st_mode):
                yield from (("A", path + b"/" + deep) for deep in _below(upper + path))
        elif stat.S_ISDIR(new.st_mode) and stat.S_ISDIR(old.st_mode):
            if new.st_mode != old.st_mode:
                yield "M", path
            yield from changes(lower, upper, path)
        elif _differs(lower + path, old, upper + path, new):
            yield "M", path
            if stat.S_ISDIR(new.st_mode):
                yield from (("A", path + b"/" + deep) for deep in _below(upper + path))


def _status(path: bytes) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _below(top: bytes) -> Iterator[bytes]:
    for folder, names, files in os.walk(top):
        names.sort()
        for name in sorted([*names, *files]):
            path = os.path.join(folder, name)
            if not overlays.is_whiteout(os.lstat(path)):
                yield os.path.relpath(path, top)


def _differs(one: bytes, old: os.stat_result, two: bytes, new: os.stat_result) -> bool:
    """Tell whether two files differ in kind, rights or content; times do not count."""
    if stat.S_IFMT(old.st_mode) != stat.S_IFMT(new.st_mode) or (not stat.S_ISLNK(new.st_mode) and old.st_mode != new.st_mode):
        return True
    if stat.S_ISLNK(new.st_mode):
        return os.readlink(one) != os.readlink(two)
    return stat.S_ISREG(new.st_mode) and not filecmp.cmp(one, two, shallow=False)
