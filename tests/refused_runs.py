"""Run the probe of the refusal matrix under a filter, with pyroot and without, and say what the difference means.

``programs/refused_probe.c`` makes calls of every kind, and then ``programs/rows_probe.c`` each call of the table; without pyroot they run
in a directory that stands for the root (it is put in front of absolute paths), under the same filter. So the kernel says what is right,
also where it is an ordinary user who runs the tests. Beside the root lies a directory that nobody in it may see, or change.

Decides: what a run ends as. Which runs there are is in ``refusals``.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyroot.syscalls.table import ROWS
from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.rootfs_fixtures import directory_for_user, remove
from tests.test_syscall_rows import everything

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
WAYS = {"gate": {}, "no-gate": {"PYROOT_NO_GATE": "1"}, "no-seccomp": {"PYROOT_NO_SECCOMP": "1"}}
ENVIRONMENT = {"PATH": "/bin", "HOME": "/tmp", "PWD": "/"}
FAILURE = 125
LIMIT = 60.0
ENDS_WITHIN = 5.0
SECRET = "a text that no guest may see"
#: Ends of a run.
RIGHT, CLEAR, WRONG = "right", "clear", "wrong"


@dataclass
class Outcome:
    """What came of a cell: right, one clear line, or what is wrong; and the lines in which the sides differ."""

    verdict: str
    why: str = ""
    lines: list[str] = field(default_factory=list)
    message: str = ""


class Ground:
    """A root, what is bound there, its twin without pyroot, and what lies beside them."""

    def __init__(self, top: str) -> None:
        """Compile the programs and make what stays. Raises BuildError."""
        self.top = top
        self.outside = f"{top}/outside"
        self.refuse = compile_program([f"{PROGRAMS}/refuse.c"], name="refuse")
        static = ("-static", "-pthread")
        probe = [f"{PROGRAMS}/refused_{part}.c" for part in ("probe", "files", "others")]
        self.programs = {"probe": compile_program(probe, *static, name="refused-probe"),
                         "rows": compile_program([f"{PROGRAMS}/rows_probe.c"], "-static", name="rows-probe")}
        with contextlib.suppress(BuildError):
            # (without a compiler for it there is none)
            self.programs["probe32"] = compile_program(probe, *static, "-m32", name="refused-probe32")
        for directory in ("kept", "outside"):
            os.mkdir(f"{top}/{directory}")
        for name, source in self.programs.items():
            shutil.copy(source, f"{top}/kept/{name}")
        self._fill_outside()

    def _fill_outside(self) -> None:
        self._write(f"{self.outside}/secret", SECRET)
        for row in ROWS:
            if row.name.startswith("exec"):
                os.link(f"{self.top}/kept/rows", f"{self.outside}/{row.name}")
            else:
                self._write(f"{self.outside}/{row.name}", "")
        os.link(f"{self.top}/kept/rows", f"{self.outside}/rows")
        self._give(self.outside)

    @staticmethod
    def _write(path: str, text: str, mode: int = 0o644) -> None:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, mode)

    @staticmethod
    def _give(path: str) -> None:
        if os.geteuid() == 0:
            for folder, names, files in os.walk(path):
                for name in (".", *names, *files):
                    os.chown(os.path.join(folder, name), helpers.NOBODY, helpers.NOBODY, follow_symlinks=False)

    def make(self, root: str, prefix: str) -> None:
        """Make a root anew; ``prefix`` is what absolute paths in it begin with."""
        remove(root)
        for directory in ("d/e", "w", "closed", "g", "proc", *(["b"] if prefix else [])):
            os.makedirs(f"{root}/{directory}")
        for name in ("f", "d/f", "closed/f"):
            self._write(f"{root}/{name}", f"contents of {name}\n")
        self._write(f"{root}/script", f"#!{prefix}/rows x\n", 0o755)
        self._write(f"{root}/text", "\1\2\3", 0o755)
        for name, text in {"l": "d/f", "abs": f"{prefix}/d/f", "ld": "d", "lw": "w", "d/up": "../f", "lrows": "rows",
                           "out": f"{prefix}{self.outside}/secret", "outdir": f"{prefix}{self.outside}"}.items():
            os.symlink(text, f"{root}/{name}")
        os.mkfifo(f"{root}/fifo")
        for name in self.programs:
            os.link(f"{self.top}/kept/{name}", f"{root}/{name}")
        for row in ROWS:
            path = f"{root}/g/{row.name}"
            if row.name.startswith("exec"):
                os.link(f"{self.top}/kept/rows", path)
            elif row.name.startswith("readlink"):
                os.symlink("the text", path)
            elif row.name not in ("bind", "mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat"):
                self._write(path, "")
        self._fill_bound(f"{root}/b" if prefix else f"{self.top}/bound")
        self._give(root)
        os.chmod(f"{root}/closed", 0)

    def _fill_bound(self, directory: str) -> None:
        remove(directory)
        os.mkdir(directory)
        self._write(f"{directory}/f", "contents of b\n")
        os.link(f"{self.top}/kept/rows", f"{directory}/rows")
        self._give(directory)

    def calls(self, prefix: str) -> bytes:
        """Return the calls of the table for rows_probe: those with paths, in the root and beside it."""
        lines = [line for line in everything(f"{prefix}{self.outside}", 1) if not line.split()[0].endswith(".it")]
        kinds = "samMdr"
        for kind in kinds if prefix else "":
            lines = [line.replace(f" {kind}:/g", f" {kind}:{prefix}/g") for line in lines]
        return "\n".join(lines).encode() + b"\n"

    def witness(self) -> list[tuple[str, int, int, int]]:
        """Return what calls could have changed beside the root."""
        return sorted((entry.name, info.st_mode, info.st_size, info.st_mtime_ns)
                      for entry in os.scandir(self.outside) for info in [entry.stat(follow_symlinks=False)])


@contextlib.contextmanager
def ground() -> Iterator[Ground]:
    """Make the ground, and remove it. Raises BuildError."""
    top = directory_for_user()
    try:
        yield Ground(top)
    finally:
        remove(top)


@dataclass(frozen=True)
class Run:
    """How a command ended: its status (None: it did not), what it wrote, how many processes it has left."""

    status: int | None
    stdout: str
    stderr: str
    left: int


def run(command: list[str], environment: dict[str, str], cwd: str, text: bytes = b"", when_ready: int = 0) -> Run:
    """Run a command as the ordinary user to its end; ``when_ready``: a signal that it is sent when it has written a line."""
    process = helpers.start(command, environment=environment, cwd=cwd, stdin=subprocess.PIPE)
    status: int | None = None
    first = b""
    try:
        if when_ready and process.stdout:
            first = process.stdout.readline()
            process.send_signal(when_ready)
        output, errors = process.communicate(text, timeout=LIMIT)
        status = process.returncode
    except subprocess.TimeoutExpired:
        helpers.kill_session(process.pid)
        output, errors = process.communicate()
    return Run(status, (first + output).decode("utf-8", "replace"), errors.decode("utf-8", "replace"), end_session(process.pid))


def end_session(session: int) -> int:
    """Return how many processes of a session are left, and kill them; those that have been killed may need a moment."""
    with contextlib.suppress(AssertionError):
        helpers.wait_until(lambda: not helpers.session_members(session), ENDS_WITHIN, "the end of the session")
    left = len(helpers.session_members(session))
    helpers.kill_session(session)
    return left


def plainly(ground: Ground, rules: list[str]) -> Run:
    """Run the probe without pyroot."""
    root = f"{ground.top}/twin"
    ground.make(root, root)
    words = [ground.refuse, *rules, "--", f"{root}/probe", root, "/rows", "plain"]
    return run(words, ENVIRONMENT, root, ground.calls(root))


def translated(ground: Ground, rules: list[str], way: str, words: list[str]) -> Run:
    """Run the probe under pyroot; ``words`` start that."""
    root = f"{ground.top}/root"
    ground.make(root, "")
    guest = ["-r", root, "-b", f"{ground.top}/bound:/b", "-b", "/proc", "-w", "/", "/probe", "", "/rows", "plain"]
    environment = {**ENVIRONMENT, **helpers.pyroot_command()[1], **WAYS[way]}
    return run([ground.refuse, *rules, "--", *words, *guest], environment, "/", ground.calls(""))


def is_clear(found: Run, mute: bool) -> bool:
    """Tell whether a run has ended by one line of pyroot's, with a hint, and status 125; ``mute``: nobody can write."""
    lines = found.stderr.splitlines()
    said = len(lines) == 2 and lines[0].startswith("pyroot: ") and lines[1].startswith("  hint: ")
    return found.status == FAILURE and found.left == 0 and (said or (mute and not lines))


def judge(ground: Ground, rules: list[str], way: str, words: list[str], known: tuple[str, ...] = (), mute: bool = False,
          fatal: bool = False) -> Outcome:
    """Run a cell on both sides and say what came of it.

    ``known``: beginnings of lines that may differ; ``mute``: nothing can be written; ``fatal``: the kernel ends the programs itself. Where
    pyroot has no filter it sees calls before a filter around it does, and may answer as if there were none.
    """
    before = ground.witness()
    found = translated(ground, rules, way, words)
    if ground.witness() != before or SECRET in found.stdout + found.stderr:
        return Outcome(WRONG, "something outside was read or changed", message=found.stderr)
    if is_clear(found, mute):
        return Outcome(CLEAR, message=found.stderr)
    real = plainly(ground, rules)
    if found.status is None and real.status is None:
        # (a thread cannot end without exit(2))
        return Outcome(RIGHT)
    if found.left or found.status is None:
        return Outcome(WRONG, f"status {found.status}, {found.left} processes left", found.stdout.splitlines()[-5:], found.stderr)
    if fatal and real.status == found.status == -signal.SIGSEGV:
        return Outcome(RIGHT)
    expected = real.stdout.replace(f"{ground.top}/twin", "").splitlines()
    lines = [line for line in difflib.unified_diff(expected, found.stdout.splitlines(), lineterm="", n=0)
             if not line.startswith(("---", "+++", "@@")) and not line[1:].startswith(known)]
    if lines and way == "no-seccomp":
        free = {f"+{line}" for line in plainly(ground, []).stdout.replace(f"{ground.top}/twin", "").splitlines()}
        lines = [line for line in lines if line.startswith("+") and line not in free]
    if lines or found.stderr or found.status != real.status:
        return Outcome(WRONG, f"status {found.status}, without pyroot {real.status}", lines, found.stderr)
    return Outcome(RIGHT)


def is_installed(words: list[str]) -> bool:
    """Tell whether pyroot is started by its own command, a program, and not by an interpreter, or a script."""
    with open(words[0], "rb") as file:
        return len(words) == 1 and file.read(4) == b"\x7fELF"
