"""Operations whose result two correct sides may disagree on, with the reason for each.

This is the only place where the oracle forgives a difference.  Keep it short.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CACHED = r"^(=\d+ )?openat2 .* longs:[^: ]*:[^: ]*:0x[2367][0-9a-f] 24$"


@dataclass(frozen=True)
class Known:
    """One excuse: patterns for the operation and for both results, and why the difference is not an error."""

    operation: str
    real: str
    other: str
    reason: str

    def excuses(self, operation: str, real: str, other: str) -> bool:
        """Say whether this excuse covers the difference."""
        pairs = ((self.operation, operation), (self.real, real), (self.other, other))
        return all(re.search(pattern, text) for pattern, text in pairs)


KNOWN: tuple[Known, ...] = (
    Known(
        CACHED, r"= -11$", r"= (0|-\d+)$",
        "RESOLVE_CACHED: what the kernel has in its caches, and whether a link's time of access is due, is not the same on both sides",
    ),
    Known(CACHED, r"= (0|-2)$", r"= -11$", "the same the other way round: only of what is there or is not"),
    Known(
        r"^readlink .*/fd/", r"#<n> \(deleted\)", r"#<n> \(deleted\)",
        "the text names an O_TMPFILE file by its inode number, whose number of digits is the disk's choice",
    ),
    Known(
        r"^(getcwd|readlink) ", r'"/\d+', r'"/\d+',
        "below a nested root at /proc a process's directory is named by its pid alone",
    ),
    Known(
        r"^(readlink .* \d{1,2}|getcwd >text:\d{1,2} \S+)$", r'"/proc/\d+"', r'"/proc/\d+"',
        "a pid that a short buffer cut off",
    ),
    Known(
        r"^read ", r"= -22$", r"= -21$",
        "a directory whose list was read to its end: ext4 has that at the largest position, where read(2) complains of it first",
    ),
    Known(
        r'^linkat %\d+ \S*"(?!/).* 0x1[04]00$', r"= -2$", r"= -\d+$",
        "the descriptor was opened by another process with the same table: the kernel compares credentials that nobody else sees",
    ),
)


OVERLAY: tuple[Known, ...] = (
    Known(
        r"^read .*>events", "", "",
        "a watch of a lower directory does not see what becomes of names in UPPER",
    ),
    Known(
        r"^(f(chmod|chown|setxattr|removexattr)|futimesat|utimensat|f?chownat|fchmodat2|setxattrat|ioctl) %", r"= 0$", r"= -30$",
        "a lower file whose last name is gone is not changed: its copy would have no name",
    ),
    Known(
        r"^(=\d+ )?inotify_add_watch", r"= \d+$", r"= \d+$",
        "a file that has been copied up is another one to inotify, and so is the watch",
    ),
    Known(
        r"^l?listxattr.* [1-9]\d*$", r"= -34$", r"= \d+",
        "overlayfs asks for room for its own attributes, too, before it leaves them out",
    ),
    Known(
        r"^l?listxattr.* 0$", r"= \d+", r"= \d+$",
        "the same, if it is asked how much that is",
    ),
    Known(
        r"^(l?stat|newfstatat|statx) .*/(cwd|root|exe|fd/)", r"= 0 ", r"= 0 ",
        "what a link of /proc leads to is the lower directory, or the lower file",
    ),
    Known(
        r"^(l?stat|newfstatat|statx|fstat) ", r" nlink=1 size=\d+", r" nlink=1 size=\d+",
        "tmpfs tells the size of a directory by its names, whiteouts too",
    ),
)
"""The same where the root is an overlay."""


RUNS = "a program that runs can be opened for writing: the kernel's own is the loader (docs/DIFFERENCES.md)"
BEHIND_CLOSED = "who stands below a directory when it is closed goes on there; UPPER is named by paths, which lead through it"
CLOSES = re.compile(r"^(?:chmod|fchmod\w*) (?:-?%?\d+ )?(?:S?\".*\" )?0([0-7]*)(?: 0x\w+)?$")


def is_behind_closed(program: list[str], real: dict[int, str], other: str) -> bool:
    """Say whether a directory has been closed before an operation that one side denies."""
    if not other.endswith("= -13"):
        return False
    closed = ((index, CLOSES.match(line)) for index, line in enumerate(program))
    return any(found and not int(found[1] or "0", 8) & 0o100 and real.get(index, "").endswith("= 0") for index, found in closed)


def without_count(result: str) -> str:
    """Take the length of a text that names a pid out of a result."""
    return re.sub(r'^(\w+ = )\d+( "[^"]*<pid>)', r"\1\2", result)


def reason(operation: str, real: str, other: str, overlay: bool = False) -> str | None:
    """Return why a difference is forgiven, or None."""
    if without_count(real) == without_count(other):
        return "pids have more digits on one side"
    for known in (*KNOWN, *OVERLAY) if overlay else KNOWN:
        if known.excuses(operation, real, other):
            return known.reason
    return None
