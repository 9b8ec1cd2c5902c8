"""What is private in a text, and what replaces it.

Decides: that names below the home directory, the home directory itself, the user's and the host's name are private. Every name
gets a number, the same one wherever it occurs, so that a reader can still tell names apart. Values of environment variables and
the arguments of a command are not searched here: the report leaves them out itself.
"""

from __future__ import annotations

import os
import pwd
import re
import socket

from pyroot import environment

_SHORTEST = 3  # a shorter user or host name would be found in words that have nothing to do with it
_COMMON = ("/tmp", "/var/tmp", "/nonexistent", "/dev/null")  # homes of accounts that are not a person's
_PLAIN = ("root", "user", "localhost", "nobody")


class Private:
    """Takes private names out of texts."""

    def __init__(self, places: dict[str, str] | None = None, home: str = "", user: str = "", host: str = "") -> None:
        """Take directories and what to call them (a root: "ROOT"); home, user and host default to those of this process."""
        self._numbers: dict[str, int] = {}
        account = _account()
        homes = {one.rstrip("/") for one in (home or os.fsdecode(environment.home()), "" if home else account[1])}
        self._homes = sorted((one for one in homes if one.startswith("/") and one not in _COMMON), key=len, reverse=True)
        self._places = sorted((places or {}).items(), key=lambda one: -len(one[0]))
        words = {user or account[0]: "USER", host or socket.gethostname(): "HOST"}
        words |= {word.partition(".")[0]: name for word, name in words.items()}
        self._words = {word: name for word, name in words.items() if len(word) >= _SHORTEST and word not in _PLAIN}
        self._known: list[str] = []

    def know(self, *paths: str) -> None:
        """Name paths that occur in the texts: one that contains a space cannot be told from two words otherwise."""
        self._known = sorted({*self._known, *(path for path in paths if any(path.startswith(home + "/") for home in self._homes))}, key=len)

    def __call__(self, text: str) -> str:
        """Give the text without what is private."""
        for place, name in self._places:
            text = re.sub(rf"(?<![\w./-]){re.escape(place)}(?=$|[^\w.-])", name, text)
        for path in reversed(self._known):
            text = re.sub(rf"{re.escape(path)}(?:/[^\s\"'<>(),;:\]]*)?(?![\w.-])", lambda match: self._below(match[0]), text)
        for home in self._homes:
            # In quotes a name ends at the quote, elsewhere at a space or at the end of a list.
            here = rf"(?<![\w./~-]){re.escape(home)}"
            for pattern in (rf'(?<="){re.escape(home)}/[^"]*', rf"{here}/[^\s\"'<>(),;:\]]*"):
                text = re.sub(pattern, lambda match: self._below(match[0]), text)
            text = re.sub(rf"{here}(?=$|[^\w.-])", "~", text)
        for word, name in self._words.items():
            text = re.sub(rf"(?<![\w]){re.escape(word)}(?![\w])", name, text)
        return text

    def call(self, line: str) -> str:
        """Take relative names out of a line about a call: it is unknown which directory they are relative to."""
        return re.sub(r'"((?:[^"\\]|\\.)*)"', self._string, line)

    def _string(self, match: re.Match[str]) -> str:
        return match[0] if match[1][:1] in ("", "/") else f'"{self._numbered(match[1])}"'

    def _below(self, path: str) -> str:
        home = next(one for one in self._homes if path.startswith(one))
        return "~" + self._numbered(path[len(home) :])

    def _numbered(self, path: str) -> str:
        names = path.split("/")
        return "/".join(
            name if name in ("", ".", "..") else f"name{self._numbers.setdefault(name, len(self._numbers) + 1)}" for name in names
        )


def _account() -> tuple[str, str]:
    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        return "", ""
    return entry.pw_name, entry.pw_dir
