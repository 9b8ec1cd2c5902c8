"""``pyroot bindings``: the table of what a run would show where."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyroot import config, options
from pyroot.binding import GLUE_FLAG, LINK_FLAG, MASK_FLAG, READONLY_FLAG, LazyGlue, build_view
from pyroot.errors import no_core
from pyroot.verbs.output import json_text, put, safe
from pyroot.verbs.words import HELP, Verb, flag

if TYPE_CHECKING:
    from pyroot._fast import Core

VERB = Verb(
    "bindings",
    """\
usage: pyroot bindings [--json] [OPTION ...]

List what a run with these options would show: the root, then each binding, by its guest path. Nothing is started.
""",
    (flag("--json", "the same as JSON: a list of objects with guest, host, readonly and masked", "json"),),
    10,
    "Each OPTION is one of a run: -r, -R, -b, --ro-bind, --tmpfs, --mask, --read-only ...\n",
)


def table(core: Core) -> list[tuple[str, str, str]]:
    """Return (guest, ro, rw or --, host) of the root and of each binding, by guest path; a mask has no host path."""
    found = []
    for host, guest, flags in core.bindings():
        if flags & GLUE_FLAG:
            continue
        shown = "" if flags & MASK_FLAG else os.fsdecode(os.readlink(host) if flags & LINK_FLAG else host)
        found.append((os.fsdecode(guest), "--" if flags & MASK_FLAG else "ro" if flags & READONLY_FLAG else "rw", shown))
    return sorted(found)


def main(argv: list[str]) -> int:
    """Print the table. Raises PyrootError if the run would."""
    if any(name in argv for name in HELP.names + HELP.also):
        put(VERB.usage())
        return 0
    as_json = "--json" in argv
    wanted = config.build(options.parse([word for word in argv if word != "--json"]))
    try:
        from pyroot._fast import Core
    except ImportError as error:
        raise no_core(error) from error
    glue = LazyGlue(wanted.rootfs, wanted.tmp_dirs, looks=True)
    try:
        rows = table(build_view(Core, wanted.rootfs, wanted.bindings(), glue))
    finally:
        glue.remove()
    if as_json:
        put(json_text([{"guest": guest, "host": host, "readonly": how == "ro", "masked": how == "--"} for guest, how, host in rows]))
        return 0
    width = max(len(safe(guest)) for guest, _how, _host in rows)
    put("".join(f"{safe(guest):{width}}  {how}  {safe(host)}".rstrip() + "\n" for guest, how, host in rows))
    return 0
