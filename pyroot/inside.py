"""Why a process of the guest could not start a program, told with -v 1: one line, in guest terms, with how to fix it.

Decides: which of the failures that the core reports are worth a line, and its wording. Which link of the chain is broken is
`explain`'s and `needs`' to say, as for the command itself; when a failed execve counts is the core's (``failed.pxi``).
"""

import errno
import os

from pyroot import explain, report
from pyroot.config import Config
from pyroot.errors import EXIT_NOT_FOUND, PyrootError, exec_exit_code, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroot._fast import Core


def explainer(core: "Core", config: Config) -> "Callable[[int, bytes, bytes | None, int, bytes, bytes], None]":
    """Return the callable to which the core reports failed starts of this run: it writes them to standard error, each line once."""
    # The options of the command line explain a mistaken command, not what happens inside the guest.
    quiet = Config(config.rootfs)
    quiet.rootfs_spelled = config.rootfs_spelled
    told: set[str] = set()

    def tell(pid: int, program: bytes, name: bytes | None, number: int, cwd: bytes, tried: bytes) -> None:
        error = reason(core, quiet, program, name, number, cwd, tried)
        if error is None or error.message in told:
            return
        told.add(error.message)
        mend = f" ({error.hint})" if error.hint else ""
        who = f"process {pid}: " if name is None else f"{os.fsdecode(program)} (process {pid}) could not start "
        report.note(1, f"{who}{error.message}{mend}")

    return tell


def reason(
    core: "Core", config: Config, program: bytes, name: bytes | None, number: int, cwd: bytes, tried: bytes
) -> PyrootError | None:
    """Give the broken link of the chain and how to fix it; None if nothing is wrong that pyroot could name."""
    if name is None:
        from pyroot import needs

        return needs.after_exit(core, config, program)
    if not cwd:
        return PyrootError(f"{os.fsdecode(name)}: {text_of(number)}", "", exec_exit_code(number))
    if number == errno.ENOEXEC and explain.is_plain_script(core, name, cwd):
        return None  # a shell runs it itself
    places = list(dict.fromkeys(tried.split(b":")))
    if len(places) > 1:
        base = os.path.basename(name)
        shown = ", ".join(map(os.fsdecode, places))
        return PyrootError(f"{os.fsdecode(base)}: not found in {shown}", explain.search_hint(core, config, base, tried), EXIT_NOT_FOUND)
    return explain.exec_failure(core, config, name, cwd, OSError(number, os.strerror(number)))
