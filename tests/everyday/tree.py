"""What a session has left in a directory: a line for each path."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .row import Row

KINDS = {stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFSOCK: "socket", stat.S_IFIFO: "fifo", stat.S_IFCHR: "removed"}
SMALL = 1 << 18  # of larger files only a sum is compared, and of huge ones, which have holes, the size
HUGE = 1 << 29
SCRATCH = r"^/tmp/tmux-65534(/|$)"  # of the terminal that library.sh makes


def contents(path: str, row: Row) -> str:
    """Return the normalised text of a small file, the sum of its bytes, or its size."""
    size = os.lstat(path).st_size
    if size > HUGE:
        return f"{size} bytes"
    with open(path, "rb") as file:
        data = file.read()
    try:
        text = data.decode("utf-8") if len(data) < SMALL and b"\0" not in data else None
    except UnicodeDecodeError:
        text = None
    if text is None:
        return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:16]}"
    return f"text {row.normalised(text)!r}"


def listing(top: str, prefix: str, row: Row) -> dict[str, str]:
    """Describe what lies below ``top`` by the names that the guest knows: kind, rights, owner, contents."""
    found: dict[str, str] = {}
    for folder, names, files in os.walk(top):
        for name in [*names, *files]:
            path = os.path.join(folder, name)
            shown = row.normalised(prefix + path.removeprefix(top))
            if re.search(SCRATCH, shown) or row.unlisted and re.search(row.unlisted, shown):
                continue
            info = os.lstat(path)
            words = [KINDS.get(stat.S_IFMT(info.st_mode), "file"), oct(stat.S_IMODE(info.st_mode)), f"{info.st_uid}:{info.st_gid}"]
            if stat.S_ISLNK(info.st_mode):
                words = ["link to", row.normalised(os.readlink(path))]
            elif stat.S_ISREG(info.st_mode):
                words.append("read by nobody" if row.unread and re.search(row.unread, shown) else contents(path, row))
                if info.st_nlink > 1:
                    words.append(f"{info.st_nlink} names")
            found[shown] = " ".join(words)
    return found
