"""What several test files share: the ordinary user, the pyroot command, running things and cleaning up after them.

Guests always run as an ordinary user: the user of the test run, or uid 65534 when the suite runs as root.
"""

from __future__ import annotations

import ctypes
import functools
import glob
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NOBODY = 65534
TIME_LIMIT = 60.0
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Result:
    """How a command ended; ``status`` is as in subprocess (negative for a signal)."""

    status: int
    stdout: str
    stderr: str


def drop_to_ordinary_user() -> None:
    """Become the ordinary user; runs between fork and exec."""
    os.umask(0o022)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


class OrdinaryUser:
    """The user that guests run as, and whether this interpreter can serve that user."""

    @property
    def uid(self) -> int:
        """Return the user id of guests."""
        return os.geteuid() or NOBODY

    @functools.cached_property
    def interpreter(self) -> tuple[str, str]:
        """Return an interpreter that the ordinary user can import the core with, or "" and the reason."""
        error = ""
        for path in dict.fromkeys((sys.executable, *interpreters())):
            try:
                found = subprocess.run(
                    [path, "-c", "import pyroot._fast"], env=python_environment(), cwd="/", text=True, check=False,
                    preexec_fn=drop_to_ordinary_user, capture_output=True, timeout=TIME_LIMIT,
                )
            except OSError as failure:
                error = error or f"{path}: {failure}"
                continue
            if found.returncode == 0:
                return path, ""
            error = error or f"{path}: {found.stderr.strip().splitlines()[-1:]}"
        return "", error

    def why_not(self) -> str | None:
        """Return why pyroot cannot be run as the ordinary user, or None."""
        if os.environ.get("PYROOT_CMD") or self.interpreter[0]:
            return None
        return f"no interpreter that uid {self.uid} can run pyroot with ({self.interpreter[1]})"


ordinary_user = OrdinaryUser()


def interpreters() -> Iterator[str]:
    """Yield interpreters of this one's version outside directories that only root can enter."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for directory in ("/usr/local/bin", "/usr/bin"):
        if os.path.exists(f"{directory}/{name}"):
            yield f"{directory}/{name}"


def core_directory() -> str:
    """Return the directory whose ``pyroot`` holds the compiled core: an installed one before the source tree."""
    for directory in [path for path in sys.path if path and os.path.abspath(path) != PROJECT]:
        if glob.glob(os.path.join(glob.escape(directory), "pyroot", "_fast*.so")):
            return os.path.abspath(directory)
    return PROJECT


def python_environment() -> dict[str, str]:
    """Return the variables that let an interpreter find the pyroot under test."""
    return {"PYTHONPATH": core_directory(), "PYTHONDONTWRITEBYTECODE": "1"}


def ordinary_python() -> tuple[str, dict[str, str]]:
    """Return an interpreter that the ordinary user may start, and the environment that lets it import pyroot."""
    return ordinary_user.interpreter[0] or sys.executable, python_environment()


def pyroot_command() -> tuple[list[str], dict[str, str]]:
    """Return the words that start pyroot and the environment that they need.

    ``PYROOT_CMD`` (shell words) replaces the default, which is this interpreter with ``-m pyroot``.
    """
    given = os.environ.get("PYROOT_CMD")
    if given:
        return shlex.split(given), {}
    return [ordinary_user.interpreter[0] or sys.executable, "-m", "pyroot"], python_environment()


def start(command: Sequence[str | bytes], *, environment: Mapping[str, str] | None = None, cwd: str = "/",
          stdin: int | None = subprocess.DEVNULL, stdout: int | None = subprocess.PIPE,
          stderr: int | None = subprocess.PIPE, new_session: bool = True,
          prepare: Callable[[], None] = drop_to_ordinary_user) -> subprocess.Popen[bytes]:
    """Start a command as the ordinary user in a session of its own; it dies with the test process."""

    def before_exec() -> None:
        prepare()
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    base = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": "/tmp"}
    return subprocess.Popen(
        list(command), env=base if environment is None else dict(environment), cwd=cwd, stdin=stdin, stdout=stdout,
        stderr=stderr, start_new_session=new_session, preexec_fn=before_exec,
    )


def run(command: Sequence[str | bytes], *, environment: Mapping[str, str] | None = None, cwd: str = "/",
        text: bytes = b"", timeout: float = TIME_LIMIT, prepare: Callable[[], None] = drop_to_ordinary_user) -> Result:
    """Run a command to its end; when it takes too long everything in its session is killed and the test fails."""
    process = start(command, environment=environment, cwd=cwd, stdin=subprocess.PIPE, prepare=prepare)
    try:
        output, errors = process.communicate(text, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        kill_session(process.pid)
        output, errors = process.communicate()
        raise AssertionError(f"{command!r} did not end: {output[-500:]!r} {errors[-500:]!r}") from error
    finally:
        kill_session(process.pid)
    return Result(process.returncode, output.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))


def session_members(session: int) -> list[int]:
    """List the live processes of a session."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            fields = stat_fields(int(name))
            if fields and fields[3] == str(session) and fields[0] not in "ZX":
                found.append(int(name))
    return found


def stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on: state, parent, group, session, terminal ..."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def kill_session(session: int) -> None:
    """Kill what is left of a session that a test started."""
    for pid in session_members(session):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_until(condition: Callable[[], bool], limit: float = TIME_LIMIT, what: str = "condition") -> None:
    """Poll until a condition holds; fail after ``limit`` seconds."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not reached within {limit} s: {what}")
        time.sleep(0.005)


def marked(mark: str) -> list[int]:
    """List the live processes that hold ``mark`` in their environment or command line."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        for kind in ("environ", "cmdline"):
            try:
                with open(f"/proc/{name}/{kind}", "rb") as file:
                    if mark.encode() in file.read():
                        found.append(int(name))
                        break
            except OSError:
                continue
    return [pid for pid in found if (stat_fields(pid) or "Z")[0] not in "ZX"]


def short_place() -> str:
    """Return where to make what can have no long name and none with a blank, such as sockets and `#!` lines: TMPDIR where that will do."""
    places = [tempfile.gettempdir(), "/var/tmp", "/tmp"]
    return next((place for place in places if len(place) <= 40 and not re.search(r"\s", place) and os.access(place, os.W_OK)), places[0])


def have(*programs: str) -> list[str]:
    """Return those of the named programs that are not installed."""
    return [name for name in programs if shutil.which(name) is None]
