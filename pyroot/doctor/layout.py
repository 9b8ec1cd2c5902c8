"""Which of the merged-/usr directories are broken: asked by several checks, so that one defect gives one finding.

Decides: what counts as a broken merge. A root where /bin and /usr/bin are two real directories is sound; one where /bin is
a dangling symbolic link into /usr, or is missing although its siblings are links, is not.
"""

from __future__ import annotations

import os

from pyroot.reading.view import View

_LINKED = (b"bin", b"sbin", b"lib", b"lib64")
_BY_PATH = (b"sh", b"ld-linux-x86-64.so.2", b"ld-linux.so.2", b"ld-musl-x86_64.so.1")  # what scripts and programs name by these directories


def broken_directories(view: View) -> dict[bytes, str]:
    """Give the top directories that should lead into /usr and do not, with what is wrong."""
    links = {name: view.link(b"/" + name) for name in _LINKED}
    merged = [name for name, text in links.items() if text is not None and text.strip(b"/").startswith(b"usr/")]
    found: dict[bytes, str] = {}
    for name, text in links.items():
        if text is not None and view.find(b"/" + name) is None:
            found[b"/" + name] = f"is a link to {os.fsdecode(text)}, which is not there"
        elif text is None and merged and view.stat(b"/" + name) is None and view.is_directory(b"/usr/" + name):
            found[b"/" + name] = f"is missing, though /usr/{os.fsdecode(name)} is there"
        elif text is None and merged and view.is_directory(b"/" + name):
            hidden = [one for one in _BY_PATH if view.is_file(b"/usr/" + name + b"/" + one) and not view.is_file(b"/" + name + b"/" + one)]
            if hidden:
                shown = os.fsdecode(b"/usr/" + name + b"/" + hidden[0])
                found[b"/" + name] = f"is a directory, while its siblings are links into /usr: it hides {shown}"
    return found


def mixed_directories(view: View) -> list[bytes]:
    """List top directories that are real while their siblings lead into /usr."""
    links = {name: view.link(b"/" + name) for name in _LINKED}
    if not any(text is not None and text.strip(b"/").startswith(b"usr/") for text in links.values()):
        return []
    broken = broken_directories(view)
    return [
        b"/" + name
        for name, text in links.items()
        if text is None and b"/" + name not in broken and view.is_directory(b"/" + name) and view.is_directory(b"/usr/" + name)
    ]
