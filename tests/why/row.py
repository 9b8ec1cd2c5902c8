"""What a row of the corpus of failing commands is: how it is set up, what is run, and the right answer, written by hand."""

from __future__ import annotations

from dataclasses import dataclass

NONE = ""  # no call is to blame


@dataclass(frozen=True)
class Row:
    """One command that fails.

    ``call`` matches the call that made it fail, as `NAME(ARGUMENTS) = -1 ERRNO`; ``NONE``: no call is to blame. ``silent``: to blame no
    call is right, too. ``cause`` matches what is said besides: cause, doctor and fix, one a line; ``wrong`` must not match there.
    ``setup`` is run by sh after the functions of `library.sh`, as the same user, in the same empty directory, which `$T` names in it and in
    the command; `$PORT` is a free port of the loopback. ``root``: the programs of a root made by `pyroot new`, which is `$T/R` then.
    ``heavy``: takes seconds.
    """

    name: str
    command: str
    call: str
    cause: str = ""
    setup: str = ""
    needs: str = ""
    root: str = ""
    env: str = ""
    wrong: str = ""
    silent: bool = False
    heavy: bool = False
