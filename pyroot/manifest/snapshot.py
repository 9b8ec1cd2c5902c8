"""`pyroot snapshot`: write down what a root consists of.

Decides: the verb's options, and how entries are had from what a user names (a directory or a file). The walk is `scan`'s, the
formats are `text`'s.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from pyroot import report
from pyroot.doctor.words import Progress, Words, flags, json_text, put, root_directory
from pyroot.errors import PyrootError, text_of
from pyroot.manifest.entry import FORMAT, Entry
from pyroot.manifest.scan import OTHER_FILE_SYSTEM, scan
from pyroot.manifest.text import as_json, as_text, read
from pyroot.outfile import SPELLINGS, Outfile

USAGE = """\
usage: pyroot snapshot [OPTION...] ROOTFS

Write down every file of the root in ROOTFS: path, type, mode, owner, size, SHA-256,
link target, extended attributes, and the package that it belongs to where dpkg, apk or
rpm say so. Two roots that are alike give the same text: there are no times in it.
pyroot diff compares. What cannot be read is written down with the reason.

  -o FILE         write to FILE instead of standard output
  --no-content    leave out the hashes: quick, and blind to changes that keep the size
  --json          write JSON instead of mtree(5) text
  -h, --help      print this help
"""


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    words = Words("snapshot", argv, flags("json") | {"--no-content": "no-content"}, SPELLINGS)
    if "help" in words.flags:
        put(USAGE)
        return 0
    root = root_directory("snapshot", one_root("snapshot", words.rest))
    entries = scanned(root, "no-content" not in words.flags)
    tell_problems(entries)
    if "json" in words.flags:
        deliver(words, [json_text({"format": FORMAT, "entries": as_json(entries)})])
    else:
        deliver(words, as_text(entries))
    return 0


def one_root(verb: str, names: list[str]) -> str:
    """Give the one root that the words name. Raises PyrootError."""
    if not names:
        raise PyrootError(f"{verb}: no root file system given", f"say which: pyroot {verb} ROOTFS")
    if len(names) > 1:
        raise PyrootError(f"{verb}: {names[1]}: unexpected word", f"one root at a time; pyroot {verb} --help tells more")
    return names[0]


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


def deliver(words: Words, parts: Iterable[str]) -> None:
    """Write text to the last of the files named with -o, or to standard output. Raises PyrootError."""
    name = words.values.get("output", ["-"])[-1]
    if name == "-":
        put("".join(parts))
    else:
        Outfile(words.verb, name).write(parts)
