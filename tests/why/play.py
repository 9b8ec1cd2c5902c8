"""Play a row: set it up as the ordinary user, run the command under `pyroot trace`, and compare the answer with the right one."""

from __future__ import annotations

import contextlib
import functools
import glob
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from tests import helpers
from tests.why.row import NONE, Row

LIBRARY = os.path.join(os.path.dirname(__file__), "library.sh")
PATH = ":".join(["/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", *sorted(glob.glob("/usr/lib/postgresql/*/bin"))])
LIMIT = 90.0
COMMANDS = ("chmod ", "mkdir ", "ln ", "rm ", "pyroot copy ", "pyroot doctor ")  # what a fix that is a command begins with
RIGHT, WRONG, SURE = "right", "wrong", "wrong and sure"


class Skipped(Exception):
    """The row cannot be played here, for the reason given."""


@dataclass
class Played:
    """What came of a row."""

    row: Row
    verdict: str
    told: dict[str, object]
    output: str = ""


def play(row: Row) -> Played:
    """Run a row's command under `trace --why`. Raises Skipped."""
    with _set_up(row) as (folder, words):
        output = _run(row, folder, words, ["--why", "--json", "-o", f"{folder}.told"])
        told: dict[str, object] = {}
        with contextlib.suppress(OSError, ValueError), open(f"{folder}.told", encoding="utf-8", errors="surrogateescape") as file:
            told = json.loads(file.read())
        return Played(row, verdict(row, told, words[0]), told, output)


def mended(row: Row) -> tuple[dict[str, object], dict[str, object]] | None:
    """Run a row's command, do what the fix says, and run it again; give both answers. None if the fix is no command. Raises Skipped."""
    with _set_up(row) as (folder, words):
        before = _told(row, folder, words, [])
        fix = re.split(r", (?:or|and|if) |; ", str(before.get("mend", "")))[0]
        binding = re.search(r"-b (/[\w./-]+)", str(before.get("mend", "")))
        if fix.startswith(COMMANDS):
            pyroot, more = helpers.pyroot_command()
            script = f'pyroot() {{ {shlex.join(pyroot)} "$@"; }}\n{fix}'
            done = _start(["sh", "-c", script], row, folder, words[0], subprocess.PIPE, more)
            output = done.communicate(timeout=LIMIT)[0]
            assert done.returncode == 0 or "doctor" in fix, f"{row.name}: {fix}: {output.decode(errors='replace')}"
            return before, _told(row, folder, words, [])
        if binding and row.root:
            return before, _told(row, folder, words, ["-b", binding[1]])
        return None


def _told(row: Row, folder: str, words: list[str], options: list[str]) -> dict[str, object]:
    """Run a row's command under `trace --why` and give the answer; empty if there is none."""
    with contextlib.suppress(OSError):
        os.unlink(f"{folder}.told")
    _run(row, folder, words, ["--why", "--json", "-o", f"{folder}.told", *options])
    told: dict[str, object] = {}
    with contextlib.suppress(OSError, ValueError), open(f"{folder}.told", encoding="utf-8", errors="surrogateescape") as file:
        told = json.loads(file.read())
    return told


def failures(row: Row) -> tuple[int, str]:
    """Give how a row's command ends under a plain trace, and the failed calls, for a check of the hand-written answer. Raises Skipped."""
    with _set_up(row) as (folder, words):
        output = _run(row, folder, words, ["-Z", "-s", "300", "-o", f"{folder}.told"])
        with open(f"{folder}.told", encoding="utf-8", errors="replace") as file:
            return int(output.rpartition("status ")[2]), f"{file.read()}\n{output}".replace(folder, "$T")


def verdict(row: Row, told: dict[str, object], port: str) -> str:
    """Compare an answer with the right one."""
    if not told:
        return WRONG
    call, sure = str(told.get("call", "")), bool(told.get("sure"))
    others = told.get("others")
    rest = [str(one) for one in others] if isinstance(others, list) else []
    if row.call == NONE:
        good = not call or row.silent and not sure
    else:
        good = any(re.search(row.call, one) for one in [call, *rest]) if call else row.silent
    if call and sure and not (row.call != NONE and re.search(row.call, call)):
        return SURE
    said = "\n".join(str(told.get(name, "")) for name in ("cause", "doctor", "mend")) + "\n" + "\n".join(rest)
    if call or row.call == NONE:
        good = good and re.search(row.cause.replace("$PORT", port), said) is not None
    if row.wrong and re.search(row.wrong, said) or _harmful(str(told.get("mend", ""))):
        good = False
    return RIGHT if good else WRONG


def _harmful(fix: str) -> bool:
    """Say whether a chmod is proposed for a file of another user."""
    found = re.search(r"chmod \S+ ('[^']*'|\S+)", fix)
    try:
        return found is not None and os.stat(found[1].strip("'")).st_uid != helpers.ordinary_user.uid
    except OSError:
        return False


@contextlib.contextmanager
def _set_up(row: Row) -> Iterator[tuple[str, list[str]]]:
    """Make the directory of a row; give it, and the port before the words of the command. Raises Skipped."""
    lacking = [name for name in f"{row.needs} {row.root}".split() if shutil.which(name, path=PATH) is None]
    if lacking:
        raise Skipped(f"needs {' and '.join(lacking)}")
    folder = tempfile.mkdtemp(prefix="pyroot-why-", dir="/var/tmp")
    os.chmod(folder, 0o755)
    if os.geteuid() == 0:
        os.chown(folder, helpers.NOBODY, helpers.NOBODY)
    words = [_port(), *(word.replace("$T", folder) for word in shlex.split(row.command))]
    words[1:] = [re.sub(r"\$PORT\b", words[0], word) for word in words[1:]]
    running = None
    try:
        if row.root:
            _copy_root(row.root, folder)
        if row.setup:
            text = f". {shlex.quote(LIBRARY)}\n{row.setup}\n"
            running = _start(["sh", "-c", text], row, folder, words[0], subprocess.DEVNULL)
            running.wait(LIMIT)
        yield folder, words
    finally:
        if running is not None:
            helpers.kill_session(running.pid)
        for directory, names, _files in os.walk(folder):
            for name in names:
                with contextlib.suppress(OSError):
                    os.chmod(os.path.join(directory, name), 0o755, follow_symlinks=True)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.unlink(f"/dev/shm/pyroot-why-{words[0]}")
        with contextlib.suppress(OSError):
            os.unlink(f"{folder}.told")


def _run(row: Row, folder: str, words: list[str], options: list[str]) -> str:
    pyroot, more = helpers.pyroot_command()
    root = ["-r", f"{folder}/R"] if row.root else []
    started = _start([*pyroot, "trace", *options, *root, "--", *words[1:]], row, folder, words[0], subprocess.PIPE, more)
    try:
        output = started.communicate(timeout=LIMIT)[0]
    except subprocess.TimeoutExpired:
        helpers.kill_session(started.pid)
        return "took too long: status -1"
    finally:
        helpers.kill_session(started.pid)
    return f"{output.decode('utf-8', 'replace')}status {started.returncode}"


def _start(
    command: list[str], row: Row, folder: str, port: str, output: int, more: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    base = {"PATH": PATH, "HOME": folder, "LANG": "C.UTF-8", "T": folder, "PORT": port, **(more or {})}
    base |= dict(word.replace("$T", folder).partition("=")[::2] for word in row.env.split())
    errors = subprocess.STDOUT if output == subprocess.PIPE else output
    return subprocess.Popen(
        command, env=base, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
        start_new_session=True, preexec_fn=_prepare,
    )  # fmt: skip


def _prepare() -> None:
    helpers.drop_to_ordinary_user()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


def _port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


@functools.cache
def _template(programs: str) -> str:
    """Make a root with some programs, once."""
    place = tempfile.mkdtemp(prefix="pyroot-why-root-", dir="/var/tmp")
    os.chmod(place, 0o755)
    if os.geteuid() == 0:
        os.chown(place, helpers.NOBODY, helpers.NOBODY)
    pyroot, more = helpers.pyroot_command()
    base = {"PATH": PATH, "HOME": place, "LANG": "C.UTF-8", **more}
    ended = subprocess.run(
        [*pyroot, "new", f"{place}/R", *programs.split()], env=base, cwd="/", preexec_fn=_prepare, capture_output=True, check=False
    )
    TEMPLATES.append(place)
    return f"{place}/R" if ended.returncode == 0 else ""


TEMPLATES: list[str] = []  # to be removed at the end


def _copy_root(programs: str, folder: str) -> None:
    template = _template(programs)
    if not template:
        raise Skipped(f"pyroot new cannot make a root with {programs}")
    subprocess.run(["cp", "-a", template, f"{folder}/R"], preexec_fn=_prepare, check=True)


def clean() -> None:
    """Remove the roots that were made."""
    while TEMPLATES:
        shutil.rmtree(TEMPLATES.pop(), ignore_errors=True)
    _template.cache_clear()
