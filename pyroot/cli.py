"""From argv to an exit code.

Decides: verb or run, and what becomes of an exception. Not decided here: anything about options (``options``), values
(``config``) or the run itself (``launch``).

This module and what it imports are loaded for every command, so only os, sys, errno and pyroot's own thin modules
are imported at the top of them; a test holds the list.
"""

import errno
import os
import sys

from pyroot import environment, options, report
from pyroot.errors import EXIT_FAILURE, EXIT_SIGNAL_BASE, PyrootError, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.caller import Caller

_SIGINT = 2
interrupted = False  # a ^C has ended what was asked for
_REFUSED = (errno.EPERM, errno.ENOSYS)
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


def main(argv: list[str] | None = None, caller: "Caller | None" = None) -> int:
    """Do what ``argv`` (default: sys.argv without the program's name) asks for and return the exit code.

    A failure is told to the ``caller``, if there is one who has not yet been told of the command's beginning, else on standard error.
    """
    global interrupted
    if caller is not None:
        report.listener = caller.failed
    try:
        return _dispatch(sys.argv[1:] if argv is None else argv, caller)
    except PyrootError as error:
        report.failure(error)
        _show_traceback(error)
        return error.exit_code
    except KeyboardInterrupt:
        interrupted = True
        return EXIT_SIGNAL_BASE + _SIGINT
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM or isinstance(error, MemoryError):
            why = text_of(error.errno or 0) if isinstance(error, OSError) else "out of memory"
            report.failure(PyrootError(f"cannot go on: {why}", _limit(why)))
            _show_traceback(error)
            return EXIT_FAILURE
        if isinstance(error, OSError) and error.errno in _REFUSED:
            where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
            what = f"cannot go on: {where}{text_of(error.errno)}"
            report.failure(PyrootError(what, "a filter around pyroot seems to refuse it a system call; pyroot check tells which"))
            _show_traceback(error)
            return EXIT_FAILURE
        if isinstance(error, FileNotFoundError) and error.filename is None and not os.path.exists("."):
            report.failure(PyrootError("the current directory is gone", "use absolute paths, or cd first"))
            _show_traceback(error)
            return EXIT_FAILURE
        what = f"internal error: {type(error).__name__}: {error}"
        report.failure(PyrootError(what, "this is a fault of pyroot: PYROOT_DEBUG=1 shows where, please report it"))
        _show_traceback(error)
        return EXIT_FAILURE


def _dispatch(words: list[str], caller: "Caller | None" = None) -> int:
    for name, _arguments, _help, module in options.VERBS:
        if words and words[0] == name:
            return _run_verb(module, words[1:])
    parsed = options.parse(words)
    if parsed.question:
        return _answer(*parsed.question)
    from pyroot import config, launch

    wanted = config.build(parsed)
    wanted.caller = caller
    return launch.run(wanted)


def _run_verb(module: str, words: list[str]) -> int:
    import _signal
    import gc
    from importlib import import_module

    gc.enable()
    gc.set_threshold(20_000)  # the modules alone would make it look for garbage dozens of times, and there is none
    given = environment.take_state()
    if given is None:
        status: int = import_module(module).main(words)
        return status
    # from here on it is a program like any other; what comes after its end changes nothing
    held = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
    try:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, given)
        status = import_module(module).main(words)
        return status
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, held)


def _answer(option: options.Option, spelling: str) -> int:
    from pyroot import usage

    answers = {"version": usage.version, "help": usage.full if spelling == "--help" else usage.short}
    if sys.stdout is None:
        raise PyrootError(f"standard output: {text_of(errno.EBADF)}", "it was closed before pyroot started")
    try:
        print(answers[option.field](), end="", flush=True)
    except BrokenPipeError:  # the reader has seen enough
        return EXIT_FAILURE
    except OSError as error:
        raise PyrootError(f"standard output: {text_of(error.errno or 0)}") from error
    return 0


def _limit(why: str) -> str:
    general = "a limit is too low for pyroot itself: see ulimit -a"
    try:
        from pyroot.explain import limit_hint

        return limit_hint(why) or general
    except (ImportError, OSError, MemoryError):  # the limit itself keeps a module from being read
        letter = {text_of(errno.EMFILE): "n", text_of(errno.EAGAIN): "u", "out of memory": "v", text_of(errno.ENOMEM): "v"}.get(why)
        return f"a limit is too low for pyroot itself: ulimit -{letter}" if letter else general


def _show_traceback(error: BaseException) -> None:
    if not environment.debug():
        return
    import traceback

    traceback.print_exception(error)
