"""Run commands in a root from Python, with the interface of the subprocess module.

Decides: how keyword arguments become a command line, and what each parameter of subprocess.Popen means for a guest. Not decided here:
which options there are and what they mean (``options``: the field of each row is a keyword; ``api.pyi`` lists them with their types), what
a binding may be (``binds``), what a run is (``config``), how a start that fails is told (``caller``).
Every guest gets a supervisor process of its own, since a tracer must own its process: signals, waiting and the
working directory of the caller are left alone.
"""

from __future__ import annotations

import os
import subprocess
import sys

from pyroot import binds, environment
from pyroot.caller import Pipe
from pyroot.errors import PyrootError
from pyroot.option_kinds import ROOTS
from pyroot.options import FIELDS, OPTIONS
from pyroot.plain import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyroot.binds import StrPath

SAME = "same"  # as in the subprocess module
GUEST = "guest"  # the guest's
REFUSED = "refused"  # raises ValueError


@record(frozen=True)
class Parameter:
    """What a parameter of subprocess.Popen is here: meaning, type, and what a user should know, or use instead."""

    meaning: str
    type: str
    about: str


PARAMETERS = {
    "args": Parameter(GUEST, "Sequence[StrPath]", "the command, looked up in the guest's PATH; none: the user's shell"),
    "bufsize": Parameter(SAME, "int", ""),
    "executable": Parameter(REFUSED, "None", "the first word of args names the program"),
    "stdin": Parameter(SAME, "_File", ""),
    "stdout": Parameter(SAME, "_File", ""),
    "stderr": Parameter(SAME, "_File", ""),
    "preexec_fn": Parameter(REFUSED, "None", "umask, start_new_session and process_group do what it is for"),
    "close_fds": Parameter(SAME, "bool", "descriptors of directories outside of the root are closed in any case"),
    "shell": Parameter(REFUSED, "Literal[False]", "write ['/bin/sh', '-c', COMMAND]"),
    "cwd": Parameter(GUEST, "StrPath | None", "a directory of the guest"),
    "env": Parameter(SAME, "Mapping[str, str] | Mapping[bytes, bytes] | None", "PWD is the guest's; keep_env"),
    "universal_newlines": Parameter(SAME, "bool | None", ""),
    "startupinfo": Parameter(REFUSED, "None", "it is for Windows"),
    "creationflags": Parameter(REFUSED, "Literal[0]", "it is for Windows"),
    "restore_signals": Parameter(SAME, "bool", ""),
    "start_new_session": Parameter(SAME, "bool", ""),
    "pass_fds": Parameter(SAME, "Collection[int]", ""),
    "user": Parameter(GUEST, "str | int | None", "USER[:GROUP] of the guest's /etc/passwd, or numbers"),
    "group": Parameter(REFUSED, "None", "write user='USER:GROUP'"),
    "extra_groups": Parameter(REFUSED, "None", "write groups='GROUP,GROUP'"),
    "encoding": Parameter(SAME, "str | None", ""),
    "errors": Parameter(SAME, "str | None", ""),
    "text": Parameter(SAME, "bool | None", ""),
    "umask": Parameter(SAME, "int", ""),
    "pipesize": Parameter(SAME, "int", ""),
    "process_group": Parameter(SAME, "int | None", "from Python 3.11 on"),
}
_NOTHING = {"shell": False, "creationflags": 0}  # the values of refused parameters that say nothing; else None

#: The row of each keyword: its field, or the long name of a row whose field is another row's, too.
KEYWORDS = dict(FIELDS)
for _row in OPTIONS:
    if FIELDS.get(_row.field, _row) is not _row:
        KEYWORDS[max(_row.names, key=len).lstrip("-").replace("-", "_")] = _row


def command_line(args: Sequence[StrPath], **keywords: Any) -> list[str]:
    """Return the command line of a pyroot process that runs ``args``.

    ``rootfs`` is the host directory that becomes the root, with ``recommended`` together with the usual host paths
    (-R). ``binds`` are arguments of -b, ``HOST[:GUEST[:OPTIONS]]``, tuples of these, Bindings, or a mapping from host to guest paths.
    Every other keyword is the option of its name (``cwd``: a directory of the guest); None stands for an option that is not given.
    """
    if isinstance(args, (str, bytes, os.PathLike)):
        raise TypeError("args must be a sequence of words, not one string")
    for field in keywords:
        if field not in KEYWORDS:
            raise TypeError(f"unexpected keyword argument {field!r}")
    root = KEYWORDS["recommended" if keywords.get("recommended") else "su" if keywords.get("su") else "rootfs"]
    words = [root.names[0], os.fsdecode(keywords.get("rootfs") or "/")]
    for field, option in KEYWORDS.items():
        value, empty = keywords.get(field), option.kind.empty
        if option.kind in ROOTS or value is None or value == empty:
            continue
        if not option.metavar:
            words += option.names[:1] if value else ()
            continue
        if option.metavar[0] == "[":  # a value that may be left out is attached
            words.append(option.names[0] if value is True else f"{option.names[0]}={os.fsdecode(value)}")
            continue
        for one in binds.words(value) if empty == () else [value]:
            words += [option.names[0], str(one) if isinstance(one, (int, float)) else os.fsdecode(one)]
    return [*starter(), *words, "--", *map(os.fsdecode, args)]


def starter() -> list[str]:
    """Return the words that start pyroot with the interpreter of this process."""
    return [sys.executable, "-IS", os.path.join(os.path.dirname(os.path.abspath(__file__)), "_start.py")]


class Call:
    """One start of a pyroot process: its command line, the keywords of subprocess, and the pipe that tells whether it has begun."""

    def __init__(self, line: list[str], others: dict[str, Any], exit_codes: bool, own: tuple[int, ...] = ()) -> None:
        """``exit_codes``: no pipe, the process says all by its standard error and its exit code. ``own``: descriptors for it alone."""
        for name in others:
            parameter = PARAMETERS.get(name)
            if parameter is None:
                raise TypeError(f"unexpected keyword argument {name!r}")
            if parameter.meaning == REFUSED and others[name] != _NOTHING.get(name):
                raise ValueError(f"{name}: not for a guest: {parameter.about}")
        self.keywords = {**others, "env": environment.hidden(others.get("env"))}
        self.line = line
        kept = _kept_signals() if others.get("restore_signals") is False else 0
        self.pipe = None if exit_codes else Pipe(kept, own)
        if self.pipe is not None:
            self.line = [*line[:3], self.pipe.word, *line[3:]]
            passed = tuple(others.get("pass_fds", ()))
            self.keywords["pass_fds"] = (*(passed or (() if others.get("close_fds", True) else _inheritable())), *self.pipe.given)
            self.keywords["close_fds"] = True

    def close(self) -> None:
        """Give the pipe up."""
        if self.pipe is not None:
            self.pipe.close()


def call_of(args: Sequence[StrPath], keywords: dict[str, Any]) -> Call:
    """Make the call for keywords of all kinds. Raises TypeError and ValueError for those that are not for a guest."""
    ours = {field: value for field, value in keywords.items() if field in KEYWORDS}
    others = {name: value for name, value in keywords.items() if name not in ours}
    exit_codes = bool(others.pop("exit_codes", False))
    return Call(command_line(args, **ours), others, exit_codes)


def _kept_signals() -> int:
    """Return which of the signals that Python ignores for itself a child would find ignored."""
    import signal

    return sum(1 << number - 1 for number in (signal.SIGPIPE, signal.SIGXFSZ) if signal.getsignal(number) == signal.SIG_IGN)


def _inheritable() -> list[int]:
    """List the descriptors that a child inherits without close_fds."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            continue  # the descriptor that listed the directory
    return found


class Popen(subprocess.Popen["Any"]):
    """A subprocess.Popen whose command runs in ``rootfs``.

    Its keywords are every option of a run, and the parameters of subprocess.Popen, of which ``PARAMETERS`` says what each means for a
    guest. ``pid`` is the supervisor's: signals to it are passed on to the command, and when it is killed so are all processes of the
    guest. A start that fails raises PyrootError with a ``hint``; with ``exit_codes`` nothing is raised, and the return code is that of the
    command line (125 to 127, and 128+N where signal N has ended the command), with the message on standard error.
    """

    def __init__(self, args: Sequence[StrPath], **keywords: Any) -> None:
        call = call_of(args, keywords)
        try:
            super().__init__(call.line, **call.keywords)
            self.args = list(args)
            if call.pipe is None:
                return
            call.pipe.sent()
            try:
                error = call.pipe.wait(self)
            except BaseException:  # ^C, a handler that raises
                self.kill()
                self.__exit__(None, None, None)
                raise
            if error is not None:
                self.__exit__(None, None, None)
                raise error
        finally:
            call.close()


def run(
    args: Sequence[StrPath],
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **keywords: Any,
) -> subprocess.CompletedProcess[Any]:
    """Run ``args`` in ``rootfs`` to its end and return its CompletedProcess, whose ``args`` are the guest's.

    The keywords are those of Popen; ``input``, ``capture_output``, ``timeout`` and ``check`` are as in subprocess.run. When the time is up
    every process of the guest is killed, and TimeoutExpired is raised.
    """
    if input is not None:
        if keywords.get("stdin") is not None:
            raise ValueError("stdin and input may not both be used")
        keywords["stdin"] = subprocess.PIPE
    if capture_output:
        if keywords.get("stdout") is not None or keywords.get("stderr") is not None:
            raise ValueError("stdout and stderr may not be used with capture_output")
        keywords["stdout"] = keywords["stderr"] = subprocess.PIPE
    with Popen(args, **keywords) as process:
        try:
            output, errors = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        except BaseException:
            process.kill()
            raise
        code = process.returncode
    if check and code:
        raise subprocess.CalledProcessError(code, process.args, output, errors)
    return subprocess.CompletedProcess(process.args, code, output, errors)


async def create_subprocess_exec(program: StrPath, *args: StrPath, limit: int = 2**16, **keywords: Any) -> Any:
    """Do as asyncio.create_subprocess_exec, with the keywords of Popen that need no text: the streams are of bytes."""
    import asyncio

    call = call_of([program, *args], keywords)
    try:
        process = await asyncio.create_subprocess_exec(*call.line, limit=limit, **call.keywords)
        if call.pipe is None:
            return process
        call.pipe.sent()
        try:
            error = await _answer(call.pipe)
        except BaseException:
            if process.returncode is None:
                process.kill()
            raise
        if error is not None:
            await process.wait()
            raise error
        return process
    finally:
        call.close()


async def _answer(pipe: Pipe) -> PyrootError | None:
    """Wait until the pipe has something to say, or has ended."""
    import asyncio

    loop = asyncio.get_running_loop()
    come = loop.create_future()
    loop.add_reader(pipe.read, lambda: come.done() or come.set_result(None))
    try:
        await come
    finally:
        loop.remove_reader(pipe.read)
    return pipe.answer()
