"""One line of a snapshot: what is known of one file.

Decides: which facts a snapshot has and what they are called. Times are not among them: two roots that are made in the same way are equal.
"""

from __future__ import annotations

from pyroot.plain import field, record

FORMAT = "pyroot snapshot 1"
FILE, DIRECTORY, LINK, FIFO, SOCKET, CHARACTER, BLOCK = "file", "dir", "link", "fifo", "socket", "char", "block"


@record(frozen=True)
class Entry:
    """A file at a canonical guest path. What cannot be read is named in `problem` (an errno's name), and is then missing here."""

    path: bytes
    type: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int | None = None  # of regular files, in bytes
    sha256: str = ""
    target: bytes | None = None  # of links
    device: tuple[int, int] | None = None  # major and minor number
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    package: str = ""
    problem: str = ""


def order(path: bytes) -> list[bytes]:
    """Give the key by which paths are sorted: component by component, so that what is in a directory follows it."""
    return path.strip(b"/").split(b"/") if path != b"/" else []
