"""The one exception for mistakes of the user.

Decides: how a failure is carried from the code that notices it to the code that prints it (a line, a hint, an exit
code), and which exit codes pyroot itself uses. Not decided here: the wording of a particular failure (the room that
notices it) and how the lines look on the terminal (``report``).

Exit codes follow ``chroot``, ``env`` and ``nohup`` of GNU coreutils: 125 for a failure of the tool itself, 126 for a
command that cannot be executed, 127 for one that is not found; 128+N stands for a command that signal N ended.
"""

import errno
import os

EXIT_FAILURE = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
EXIT_SIGNAL_BASE = 128
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-")  # what no shell acts on


class PyrootError(Exception):
    """Say what went wrong, why, and what to do about it.

    ``message`` is one line in the user's terms without the leading ``pyroot:``; ``hint`` is one line or empty;
    ``exit_code`` is what the process ends with. Both texts may hold names chosen by a guest: ``report`` escapes them.
    """

    def __init__(self, message: str, hint: str = "", exit_code: int = EXIT_FAILURE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> "tuple[type[PyrootError], tuple[str, str, int]]":
        return type(self), (self.message, self.hint, self.exit_code)  # whole in another process, too


def text_of(number: int) -> str:
    """Return the kernel's words for the errno value ``number``, beginning in lower case."""
    text = os.strerror(number)
    return text[:1].lower() + text[1:]


def shell_word(text: str) -> str:
    """Return a word of a command that a hint names, quoted for a shell if necessary (as shlex.quote does, without importing that)."""
    if text and all(char in _PLAIN for char in text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def as_owner(place: "str | bytes") -> str:
    """Return what goes before a command that changes a file or what is in a directory: nothing if the user may, else "as root: "."""
    try:
        owner = os.stat(place).st_uid
    except OSError:
        return ""
    if os.geteuid() in (0, owner) or os.path.isdir(place) and os.access(place, os.W_OK):
        return ""
    return f"as {'root' if owner == 0 else f'user {owner}'}: "


def no_core(error: ImportError) -> PyrootError:
    """Return what to say if the compiled core cannot be loaded."""
    hint = "in a source tree: start Python in another directory to have the installed pyroot, or python setup.py build_ext --inplace"
    return PyrootError(f"the compiled core cannot be loaded: {error}", hint)


def exec_exit_code(number: int) -> int:
    """Return the exit code for a command whose execve failed with the errno value ``number``, as chroot(1) does."""
    return EXIT_NOT_FOUND if number == errno.ENOENT else EXIT_NOT_EXECUTABLE
