"""How much an image may ask for, so that a hostile one ends in a line and not in a full disk.

Decides: the limits, their options and defaults, and what is said when one is reached.
"""

from __future__ import annotations

from pyroot.errors import PyrootError
from pyroot.verbs.words import Words, value

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

ROWS = (
    value("--max-size", "SIZE", "unpack at most so many bytes, with holes in files and what layers replace\n(K, M, G, T; default: 64G)"),
    value("--max-files", "N", "unpack at most N entries (default: 1000000)"),
    value("--max-ratio", "N", "give up if data grows more than N times in unpacking (default: 250;\nthe first gigabyte does not count)"),
    value("--max-header", "SIZE", "largest extended header of one entry (default: 1M)"),
    value("--max-depth", "N", "deepest directory (default: 400)"),
)
RATIO_FROM = 1 << 30
JSON_MOST = 4 << 20  # bytes of a manifest or a configuration: what registries accept


class Limits:
    """The limits of one import, and what has been used of those that are for all of it."""

    __slots__ = ("size", "files", "ratio", "header", "depth", "used", "entries")

    def __init__(self, size: int = 64 << 30, files: int = 1000000, ratio: int = 250, header: int = 1 << 20, depth: int = 400) -> None:
        self.size, self.files, self.ratio, self.header, self.depth = size, files, ratio, header, depth
        self.used = 0
        self.entries = 0

    def take(self, size: int) -> None:
        """Count bytes that are unpacked. Raises PyrootError."""
        self.used += size
        if self.used > self.size:
            raise reached(f"more than {self.size} bytes", "--max-size", "SIZE")

    def enter(self) -> None:
        """Count an entry. Raises PyrootError."""
        self.entries += 1
        if self.entries > self.files:
            raise reached(f"more than {self.files} entries", "--max-files", "N")

    def grown(self, read: int, given: int) -> None:
        """Compare how much has been read of compressed data with what it has become. Raises PyrootError."""
        if given > RATIO_FROM and given > self.ratio * max(read, 1):
            raise reached(f"data grows more than {self.ratio} times in unpacking", "--max-ratio", "N")


def reached(what: str, option: str, metavar: str) -> PyrootError:
    """Return what to say when a limit is reached."""
    return PyrootError(what, f"if this image may be trusted: {option} {metavar}")


def of_words(words: Words) -> Limits:
    """Read the options. Raises PyrootError."""
    limits = Limits()
    for row in ROWS:
        name = row.names[0]
        if row.field in words.values:
            setattr(limits, row.field.removeprefix("max-"), number(name, words.last(row.field, ""), row.metavar == "SIZE"))
    return limits


def number(name: str, text: str, units: bool) -> int:
    """Read a number, with a unit if there are any. Raises PyrootError."""
    unit = text[-1:].upper() if units and text[-1:].isalpha() else ""
    digits = text[:-1] if unit else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 16 and unit in _UNITS and int(digits)):
        raise PyrootError(f"import: {name} {text}: not {'a size' if units else 'a number'}", f"{name} {'20G' if units else '100000'}")
    return int(digits) * _UNITS[unit]
