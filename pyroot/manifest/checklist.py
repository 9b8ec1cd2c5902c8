"""`pyroot checklist`: the list of a root that works, for later checks with `pyroot doctor --against`.

Decides: what is in the list: the snapshot, and what the doctor already finds now.
"""

from __future__ import annotations

from pyroot.doctor.verb import as_json as report_as_json
from pyroot.doctor.verb import examine
from pyroot.elf.rooted import Rooted
from pyroot.manifest.entry import FORMAT
from pyroot.manifest.snapshot import scanned, tell_problems
from pyroot.manifest.text import as_json
from pyroot.reading.view import View
from pyroot.verbs.output import deliver, json_text, put
from pyroot.verbs.roots import one_root, root_directory
from pyroot.verbs.words import OUTPUT, Verb, flag

CHECKLIST = Verb(
    "checklist",
    """\
usage: pyroot checklist [OPTION...] ROOTFS

Record a root that works: what the doctor finds in it, and a snapshot of its files.
pyroot doctor --against FILE ROOTFS then says what has gone wrong since.
""",
    (
        OUTPUT,
        flag("--json", "accepted, and changes nothing: the list is JSON"),
    ),
    18,
)


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    words = CHECKLIST.read(argv)
    if "help" in words.flags:
        put(CHECKLIST.usage())
        return 0
    name = one_root("checklist", words.rest)
    root = root_directory("checklist", name)
    view = View(Rooted(root), name)
    findings = report_as_json(view, examine(view), [])["findings"]
    entries = scanned(root)
    tell_problems(entries)
    deliver("checklist", words.last("output", "-"), [json_text({"format": FORMAT, "findings": findings, "entries": as_json(entries)})])
    return 0
