"""`pyroot diff`: what differs between two roots, or between a root and what was recorded of it.

Decides: the verb's options, the layout, and the exit status, which is that of diff(1): 0 equal, 1 different, 2 trouble.
"""

from __future__ import annotations

import os

from pyroot.errors import PyrootError
from pyroot.manifest.compare import CHANGED, FACTS, GONE, NEW, Change, compare, folded, told
from pyroot.manifest.entry import DIRECTORY, FILE, LINK, Entry
from pyroot.manifest.snapshot import entries_of
from pyroot.verbs.output import colour, json_text, put, safe
from pyroot.verbs.words import Verb, flag, value

DIFF = Verb(
    "diff",
    """\
usage: pyroot diff [OPTION...] A B

Compare two roots. A and B are each a file that pyroot snapshot (or checklist) wrote, or
a root directory as it is now. Lines begin with - (in A only), + (in B only) or ! (in
both, different). Exit status, as for diff: 0 equal, 1 different, 2 trouble.
""",
    (
        value("--ignore", "FACT,...", "do not compare: type, mode, owner, size, content, target, device,\nxattrs"),
        flag("--json", "print the differences as JSON"),
        flag("-q, --quiet", "only the exit status"),
        flag("-v, --verbose", "name everything below a directory that only one of them has"),
    ),
    21,
)
_MARKS = {GONE: "-", NEW: "+", CHANGED: "!"}


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError with exit code 2."""
    try:
        return _main(argv)
    except PyrootError as error:
        error.exit_code = 2
        raise


def _main(argv: list[str]) -> int:
    words = DIFF.read(argv)
    if "help" in words.flags:
        put(DIFF.usage())
        return 0
    if len(words.rest) != 2:
        raise PyrootError(f"diff: {len(words.rest)} names given, two are compared", "pyroot diff A B")
    ignored = [fact for value in words.values.get("ignore", []) for fact in value.split(",") if fact]
    for fact in ignored:
        if fact not in FACTS:
            raise PyrootError(f"diff: --ignore {fact}: no such fact", f"there are {', '.join(FACTS)}")
    before, after = (entries_of("diff", name)["entries"] for name in words.rest)
    changes = compare(before, after, ignored)
    if "json" in words.flags:
        put(json_text({"differences": [as_json(one) for one in changes]}))
    elif "quiet" not in words.flags:
        for one, below in [(one, 0) for one in changes] if "verbose" in words.flags else folded(changes):
            put(line(one, below))
    return int(bool(changes))


def line(one: Change, below: int) -> str:
    """Lay out one difference."""
    package = f" ({safe(one.package)})" if one.package else ""
    text = f"{safe(one.path)}{package}"
    if one.kind == CHANGED:
        text += f": {'; '.join(told(*fact) for fact in one.facts)}"
    else:
        entry = one.before or one.after
        text += f": {_described(entry)}" if entry else ""
        text += f", and {below} below it" if below else ""
    return f"{colour(one.kind, _MARKS[one.kind])} {text}\n"


def _described(entry: Entry) -> str:
    text = {DIRECTORY: "directory", FILE: f"file of {entry.size} bytes"}.get(entry.type, entry.type)
    if entry.type == LINK and entry.target is not None:
        text += f" to {safe(os.fsdecode(entry.target))}"
    return text


def as_json(one: Change) -> dict[str, object]:
    """Give a difference as what JSON can hold."""
    return {
        "path": os.fsdecode(one.path),
        "difference": one.kind,
        "package": one.package,
        "facts": {name: [before, after] for name, before, after in one.facts},
    }
