"""The root that a verb is told to work on.

Decides: what is said about a root that cannot be listed.
"""

from __future__ import annotations

import os

from pyroot.errors import PyrootError, shell_word, text_of


def root_directory(verb: str, name: str, others: list[str] | None = None) -> bytes:
    """Give the canonical path of the root that the user names; `others` are the words after it. Raises PyrootError."""
    from pyroot.config import closed_hint, file_hint

    path = os.path.realpath(os.fsencode(name))
    try:
        os.listdir(path)
    except OSError as error:
        swapped = [word for word in others or [] if os.path.isdir(word)]
        if swapped and not os.path.isdir(path):
            rest = " ".join(map(shell_word, [name, *[word for word in others or [] if word != swapped[0]]]))
            hint = f"the root comes first: pyroot {verb} {shell_word(swapped[0])} {rest}"
        elif isinstance(error, FileNotFoundError):
            hint = f"pyroot new {shell_word(name)} makes a small root there"
        elif isinstance(error, NotADirectoryError):
            hint = file_hint(name)
        elif isinstance(error, PermissionError) and os.path.isdir(path):
            hint = closed_hint(path, name)
        else:
            hint = "name the directory that holds the root"
        raise PyrootError(f"{verb}: {name}: {text_of(error.errno or 0)}", hint) from None
    return path


def one_root(verb: str, names: list[str]) -> str:
    """Give the one root that the words name. Raises PyrootError."""
    if not names:
        raise PyrootError(f"{verb}: no root file system given", f"say which: pyroot {verb} ROOTFS")
    if len(names) > 1:
        raise PyrootError(f"{verb}: {names[1]}: unexpected word", f"one root at a time; pyroot {verb} --help tells more")
    return names[0]
