"""How bubblewrap's command line is read.

Decides: which word is an argument's and which is the command's, and the help. Not decided here: what arguments there are (``table``).
"""

from __future__ import annotations

from pyroot.bwrap.setup import Setup
from pyroot.bwrap.table import ROWS
from pyroot.errors import PyrootError
from pyroot.verbs.words import Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.bwrap.table import Act

VERSION = "0.11.0"  # of the bubblewrap whose arguments these are
_MOST = 9000  # arguments, as bubblewrap has it

BWRAP = Verb(
    "bwrap",
    """\
usage: pyroot bwrap [ARGUMENT...] [--] COMMAND

Run COMMAND as bubblewrap would, where there are no user name spaces: with its own
arguments, in the order given. What the guest sees, and what it may write to, is as
asked for. There are no name spaces, and no boundary: the command has your rights,
the machine's processes and its network. Called by the name bwrap, pyroot does this.
""",
    (*(option for option, _act in ROWS), flag("--version", "print the version and exit")),
    34,
)
ACTS: dict[str, tuple[int, Act]] = {option.names[0]: (len(option.metavar.split()), act) for option, act in ROWS}


def read(argv: list[str], here: bytes | None) -> tuple[Setup | None, list[str]]:
    """Read the words after the verb; return the setup, None if a question was asked, and the command, or the question."""
    setup = Setup(here)
    setup.left = list(argv)
    taken = 0
    while setup.left and setup.left[0].startswith("-"):
        word = setup.left.pop(0)
        taken += 1
        if taken > _MOST:
            raise PyrootError(f"more than {_MOST} arguments", "bubblewrap takes no more")
        if word == "--":
            break
        if word in ("--help", "--version", "-h"):
            return None, [word]
        if word not in ACTS:
            from pyroot.verbs.near import nearest

            meant = nearest(word, ACTS)
            raise PyrootError(f"Unknown option {word}", f"did you mean {meant}?" if meant else "pyroot bwrap --help lists them")
        size, act = ACTS[word]
        if len(setup.left) < size:
            takes = f"{size} arguments" if size > 1 else "an argument"
            raise PyrootError(f"{word} takes {takes}", f"{word} {BWRAP.by_name[word].metavar}")
        given, setup.left = setup.left[:size], setup.left[size:]
        act(setup, word, *given)
    return setup, setup.left
