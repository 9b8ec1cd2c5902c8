"""Start pyroot and end its process: the entry for `scripts/pyroot`, for `python -m pyroot` and for `api`.

Decides what is on the module path of a started command and how the process ends; what the command does is `cli`'s.
Run as a script (`python -IS .../_start.py`) it does without `site`, which takes a third of a bare interpreter's start,
and of which a run needs nothing: only pyroot's own package. Verbs that import a dependency get `site` at that moment, from
the finder below, because a dependency may be installed elsewhere than pyroot itself (a system-wide python-ptrace next to a pyroot in
/usr/local).
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from pyroot.caller import Caller


class SiteOnDemand:
    """Last finder of `sys.meta_path`: run `site` at the first top-level import that no other finder satisfies."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Extend the module path once, then ask the path finder again; None for submodules, and after the first time."""
        if path is not None:
            return None
        sys.meta_path.remove(self)
        import site

        site.main()
        site.addsitedir(site.getusersitepackages())  # which -I leaves out
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, None, target)


def add_package() -> None:
    """Import the package that this file belongs to, without leaving its directory before the standard library."""
    directory = __file__.rpartition("/pyroot/")[0]
    sys.path.insert(0, directory)
    import pyroot  # noqa: F401

    del sys.path[0]
    sys.path.append(directory)
    sys.meta_path.append(SiteOnDemand())


def hold_signals(ignored: int) -> None:
    """Block the signals that people send until they are asked for, as the command `pyroot` does before the interpreter starts.

    `ignored` are those signals of the caller's that an interpreter ignores for itself.
    """
    import os

    if b"PYROOT_LAUNCH" not in os.environb:
        import _signal

        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT))
        os.environb[b"PYROOT_LAUNCH"] = b"%016x:%016x" % (sum(1 << number - 1 for number in before), ignored)


def take_directories() -> None:
    """Put directories that are standard streams back: the command `pyroot` has put them aside, as no interpreter starts with one."""
    import os

    state = os.environb[b"PYROOT_LAUNCH"]
    where = int(state[34:] or b"0", 16)
    # (once: a process that inherits the variable has them in place)
    os.environb[b"PYROOT_LAUNCH"] = state[:33]
    for number in range(3) if where else ():
        aside = where >> 16 * number & 0xFFFF
        if aside:
            os.dup2(aside, number)
            os.close(aside)


def start(caller: "Caller | None" = None) -> None:
    """Run the command line and end the process with its status. `caller`: the Python program that has started it, if it wants to know.

    The process ends by `os._exit`: tearing an interpreter down takes a millisecond, and the kernel frees everything anyway.
    """
    import gc
    import os

    gc.disable()  # what is loaded from here to the start of the guest is not garbage: `launch` and `cli` switch it on again
    hold_signals(caller.ignored if caller else 0)
    take_directories()
    from pyroot import cli

    status = cli.main(caller=caller)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            status = status or 125
    if cli.interrupted:
        die_of_interrupt()
    if caller:
        caller.end()
    os._exit(status)


def die_of_interrupt() -> None:
    """End by SIGINT: a shell that runs a script goes on after a command that exits, whatever its status."""
    import _signal
    import os

    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    os.kill(os.getpid(), _signal.SIGINT)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGINT,))


if __name__ == "__main__":
    add_package()
    sys.argv[0] = "pyroot"
    if len(sys.argv) > 1 and sys.argv[1].startswith("--caller="):
        from pyroot.caller import Caller

        start(Caller(sys.argv.pop(1)))
    start()
