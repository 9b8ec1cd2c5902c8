"""What verbs write to standard output and to a terminal: text, JSON, colours, progress.

Decides: how standard output and a terminal are used. Standard error is `report`'s, the FILE of -o `outfile`'s.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable

from pyroot import environment, report
from pyroot.errors import PyrootError, text_of

_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[33m", "note": "\x1b[36m", "fix": "\x1b[32m",
            "gone": "\x1b[31m", "new": "\x1b[32m", "changed": "\x1b[33m"}  # fmt: skip
_RESET = "\x1b[0m"


def colour(kind: str, text: str) -> str:
    """Give `text` in the colour of its kind if standard output is a terminal that wants colours."""
    if environment.no_colour() or not _is_terminal(1):
        return text
    return f"{_COLOURS[kind]}{text}{_RESET}" if kind in _COLOURS else text


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def put(text: str) -> None:
    """Write to standard output. If the reader has gone the work continues, unseen: what has begun is completed."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
    except OSError as error:
        raise PyrootError(f"standard output: {text_of(error.errno or 0)}", "") from None


def safe(text: str | bytes) -> str:
    """Escape what a terminal could act on."""
    return report.printable(text)


def json_text(value: object) -> str:
    """Give a value as JSON; names that are not text keep their bytes as escapes."""
    import json

    return json.dumps(value, indent=2) + "\n"


def deliver(verb: str, name: str, parts: Iterable[str]) -> None:
    """Write a whole text to the FILE of -o, or to standard output if that is "-". Raises PyrootError."""
    if name == "-":
        put("".join(parts))
    else:
        from pyroot.outfile import Outfile

        Outfile(verb, name).write(parts)


class Progress:
    """One line on standard error for long work: at most ten times a second, only on a terminal, and gone at the end."""

    def __init__(self) -> None:
        """Find out whether standard error is a terminal."""
        self._wanted = _is_terminal(2) and not environment.dumb() and report.verbosity() >= 0
        self._last = time.monotonic()
        self._shown = False

    def __call__(self, text: str) -> None:
        """Show what is being done."""
        now = time.monotonic()
        if self._wanted and now - self._last > 0.1:
            self._last = now
            self._shown = True
            os.write(2, f"\r\x1b[K{safe(text)[:76]}".encode("utf-8", "backslashreplace"))

    def end(self) -> None:
        """Remove the line."""
        if self._shown:
            os.write(2, b"\r\x1b[K")
            self._shown = False
