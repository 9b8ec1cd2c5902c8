"""Everything that pyroot writes to standard error.

Decides: the ``pyroot:`` prefix, the indented ``hint:`` line, verbosity, colour, and how names that a guest or a file
system chose are made safe for a terminal. Not decided here: what is said.

Standard error is written with single write(2) calls so that lines of pyroot and lines of the guest do not mix, and a
standard error that cannot be written (closed, broken pipe, full disk) never becomes an error of its own.
"""

import os

from pyroot import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroot.errors import PyrootError

_STDERR = 2
_BOLD_RED = "\x1b[1;31m"
_CYAN = "\x1b[36m"
_RESET = "\x1b[0m"

name = "pyroot"  # what lines begin with
_verbosity = 0
listener: "Callable[[PyrootError], bool] | None" = None  # who is told of failures first; False: it is to be printed


def set_verbosity(level: int) -> None:
    """Let messages up to ``level`` through; below 0 even the hint of an error is left out."""
    global _verbosity
    _verbosity = level


def verbosity() -> int:
    """Return the level that ``set_verbosity`` set last, initially 0."""
    return _verbosity


def printable(name: str | bytes) -> str:
    """Return ``name`` with everything that a terminal could act on written as an escape.

    Control characters, bytes that are not valid text, separators other than the space and the invisible marks that
    reorder a line become ``\\xNN`` or ``\\uNNNN``; a name without them comes back as it is.
    """
    text = os.fsdecode(name)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that fsdecode could not decode
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _colour_wanted() -> bool:
    if environment.no_colour():
        return False
    try:
        return os.isatty(_STDERR)
    except OSError:
        return False


def _write(text: str) -> None:
    data = text.encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[os.write(_STDERR, data) :]
    except OSError:
        pass


def failure(error: "PyrootError") -> None:
    """Print the line and, unless the user asked for quiet, the hint of ``error``."""
    if listener is not None and listener(error):
        return
    _say_with_hint(error.message, error.hint if _verbosity >= 0 else "", _BOLD_RED)


def notice(message: str, hint: str) -> None:
    """Print a line that is not a failure, and its hint, unless the user asked for quiet."""
    if _verbosity >= 0:
        _say_with_hint(message, hint, "")


def _say_with_hint(message: str, hint: str, colour: str) -> None:
    head, lead, reset = (colour, _CYAN, _RESET) if _colour_wanted() else ("", "", "")
    lines = f"{head}{name}:{reset if head else ''} {printable(message)}\n"
    if hint:
        lines += f"  {lead}hint:{reset} {printable(hint)}\n"
    _write(lines)


def lines(text: str) -> None:
    """Print lines that are escaped already."""
    _write(text)


def say(message: str) -> None:
    """Print one line."""
    _write(f"{name}: {printable(message)}\n")


def note(level: int, message: str) -> None:
    """Print one line for people who asked for at least ``level`` with -v."""
    if _verbosity >= level:
        say(message)
