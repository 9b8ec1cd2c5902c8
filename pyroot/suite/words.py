"""The options of the pytest plugin.

Decides: which there are, and how they are taken out of a command line of pytest, for the session inside.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The options: spelling, what argparse makes of it, help.
OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--pyroot", {"metavar": "ROOTFS", "help": "run the whole session in this root"}),
    (
        "--pyroot-python",
        {"metavar": "PROGRAM", "help": "with the root's own Python and pytest; without it: this one, shown there read-only"},
    ),
    (
        "--pyroot-bind",
        {"metavar": "HOST[:GUEST[:OPTIONS]]", "action": "append", "default": [], "help": "show a path of the host there, too"},
    ),
    ("--pyroot-user", {"metavar": "USER[:GROUP]", "help": "be this user there, as pyroot -u"}),
    ("--pyroot-options", {"metavar": "WORDS", "default": "", "help": "more options of pyroot's command line, as one word"}),
)


def without_ours(given: list[str]) -> list[str]:
    """Take the plugin's options out of a command line of pytest."""
    names = tuple(name for name, _keywords in OPTIONS)
    left: list[str] = []
    words_left = iter(given)
    for word in words_left:
        if word in names:
            next(words_left, None)
        elif not word.startswith(tuple(f"{name}=" for name in names)):
            left.append(word)
    return left
