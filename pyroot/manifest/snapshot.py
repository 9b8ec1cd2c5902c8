"""`pyroot snapshot`: record what a root consists of.

Decides: the verb's options, and how entries are obtained from what a user names (a directory or a file). Not decided here:
the walk (`scan`), the formats (`text`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from pyroot import report
from pyroot.errors import PyrootError, text_of
from pyroot.manifest.entry import FORMAT, Entry
from pyroot.manifest.scan import OTHER_FILE_SYSTEM, scan
from pyroot.manifest.text import as_json, as_text, read
from pyroot.verbs.output import Progress, deliver, json_text, put
from pyroot.verbs.roots import one_root, root_directory
from pyroot.verbs.words import OUTPUT, Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SNAPSHOT = Verb(
    "snapshot",
    """\
usage: pyroot snapshot [OPTION...] ROOTFS

Record every file of the root in ROOTFS: path, type, mode, owner, size, SHA-256,
link target, extended attributes, and the package that it belongs to if dpkg, apk or
rpm know it. Two equal roots give the same text: there are no times in it.
pyroot diff compares snapshots. What cannot be read is recorded with the reason.
""",
    (
        OUTPUT,
        flag("--no-content", "leave out the hashes: fast, but blind to changes that keep the size"),
        flag("--json", "write JSON instead of mtree(5) text"),
    ),
    18,
)


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    words = SNAPSHOT.read(argv)
    if "help" in words.flags:
        put(SNAPSHOT.usage())
        return 0
    root = root_directory("snapshot", one_root("snapshot", words.rest))
    entries = scanned(root, "no-content" not in words.flags)
    tell_problems(entries)
    text = [json_text({"format": FORMAT, "entries": as_json(entries)})] if "json" in words.flags else as_text(entries)
    deliver("snapshot", words.last("output", "-"), text)
    return 0


def scanned(root: bytes, content: bool = True) -> list[Entry]:
    """Walk a root, with progress on a terminal."""
    progress = Progress()
    try:
        return list(scan(root, content, progress))
    finally:
        progress.end()


def tell_problems(entries: Iterable[Entry]) -> None:
    """Say on standard error how many files could not be read."""
    unread = [one for one in entries if one.problem and one.problem != OTHER_FILE_SYSTEM]
    if unread:
        more = f" and {len(unread) - 1} more" if len(unread) > 1 else ""
        report.note(0, f"not read: {os.fsdecode(unread[0].path)} ({unread[0].problem}){more}; they are in the list with the reason")


def entries_of(verb: str, name: str) -> dict[str, Any]:
    """Read a snapshot or checklist, or make one of a directory. Raises PyrootError with exit code 2."""
    if os.path.isdir(name):
        entries = scanned(root_directory(verb, name))
        tell_problems(entries)
        return {"entries": entries, "findings": []}
    try:
        with open(name, "rb") as file:
            data = file.read()
    except OSError as error:
        hint = "name a file that pyroot snapshot wrote, or a root directory"
        raise PyrootError(f"{verb}: {name}: {text_of(error.errno or 0)}", hint, 2) from None
    return read(data, f"{verb}: {name}")
