"""What verbs share: reading their words, the root that is named, colours, progress.

Decides: the spelling rules of verbs (options anywhere before "--"), and how standard output and a terminal are used.
"""

from __future__ import annotations

import os
import sys
import time

from pyroot import report
from pyroot.errors import PyrootError, text_of

# Flags that every verb spells alike; each names those that it takes.
FLAGS = {
    "--json": "json",
    "--dry-run": "dry-run",
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
    "-h": "help",
    "--help": "help",
    "--usage": "help",
}
_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[33m", "note": "\x1b[36m", "fix": "\x1b[32m",
            "gone": "\x1b[31m", "new": "\x1b[32m", "changed": "\x1b[33m"}  # fmt: skip
_RESET = "\x1b[0m"


def flags(*names: str, **own: str) -> dict[str, str]:
    """Give the spellings of the common flags of these names, of help, and of a verb's own: ``flags("json", fix="--fix")``."""
    found = {spelling: name for spelling, name in FLAGS.items() if name in (*names, "help")}
    return found | {spelling: name for name, spelling in own.items()}


class Words:
    """The words of a verb, split into flags, options with values, and the rest."""

    def __init__(self, verb: str, argv: list[str], flags: dict[str, str], values: dict[str, str]) -> None:
        """Split `argv`; `flags` and `values` map spellings to names. Options may stand anywhere before "--"."""
        self.verb = verb
        self.flags: set[str] = set()
        self.values: dict[str, list[str]] = {}
        self.rest: list[str] = []
        words = list(argv)
        while words:
            word = words.pop(0)
            name, equals, value = word.partition("=")
            if word == "--":
                self.rest += words
                break
            if not word.startswith("-") or word == "-":
                self.rest.append(word)
            elif word in flags:
                self.flags.add(flags[word])
            elif name in values and (equals or words) and (not equals or name.startswith("--")):
                self.values.setdefault(values[name], []).append(value if equals else words.pop(0))
            elif name in values:
                raise PyrootError(f"{verb}: {name}: the value is missing", f"pyroot {verb} --help lists the options")
            elif word[:2] in values and not word.startswith("--"):
                self.values.setdefault(values[word[:2]], []).append(word[2:])
            else:
                raise PyrootError(f"{verb}: unknown option {word}", f"pyroot {verb} --help lists the options")
        if "" in self.rest:
            raise PyrootError(f"{verb}: an empty name is no directory and no program", f"pyroot {verb} --help")


def require_elftools(verb: str) -> None:
    """Refuse to work without the package that reads ELF files."""
    try:
        import elftools  # noqa: F401
    except ImportError:
        raise PyrootError(
            f"{verb}: the Python package pyelftools is not installed",
            "install it: pip install pyelftools, or the Debian package python3-pyelftools",
        ) from None


def root_directory(verb: str, name: str) -> bytes:
    """Give the canonical path of the root that the user names. Raises PyrootError."""
    path = os.path.realpath(os.fsencode(name))
    try:
        os.listdir(path)
    except OSError as error:
        hint = "pyroot new DIR makes a small root" if isinstance(error, FileNotFoundError) else "name the directory that holds the root"
        raise PyrootError(f"{verb}: {name}: {text_of(error.errno or 0)}", hint) from None
    return path


def colour(kind: str, text: str) -> str:
    """Give `text` in the colour of its kind when standard output is a terminal that wants colours."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb" or not _is_terminal(1):
        return text
    return f"{_COLOURS[kind]}{text}{_RESET}" if kind in _COLOURS else text


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def put(text: str) -> None:
    """Write to standard output. When the reader has gone the work goes on, unseen: what is being done gets done."""
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
    """Give a value as JSON; names that are no text keep their bytes as escapes."""
    import json

    return json.dumps(value, indent=2) + "\n"


class Progress:
    """One line on standard error for long work: at most ten times a second, only on a terminal, and gone at the end."""

    def __init__(self) -> None:
        """Find out whether anybody looks."""
        self._wanted = _is_terminal(2) and os.environ.get("TERM", "dumb") != "dumb" and report.verbosity() >= 0
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
        """Take the line away."""
        if self._shown:
            os.write(2, b"\r\x1b[K")
            self._shown = False
