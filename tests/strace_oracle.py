"""The comparison with strace(1): the same program, natively under strace and under `pyroot trace` in a rewritten view.

The native run works in a directory D. The other works in a copy of D that is bound over D in the host's own root: the guest paths are
the same texts, and every one of them has to be rewritten. Pids, addresses and what else differs from run to run is normalised;
parts of calls that were interrupted by another process's line are put together, and each process is compared by itself.
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import helpers
from tests.helpers import Result

PROGRAMS = Path(__file__).resolve().parent / "programs"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}
_CHANGING = (
    (re.compile(r"0x[0-9a-f]{6,}"), "ADDR"),
    (re.compile(r"^getppid\(\) += \d+"), "getppid() = ID"),
    (re.compile(r"^((?:getpgrp|getpgid|getsid)\(\d?\)) += \d+"), r"\1 = ID"),
    (re.compile(r"getrandom\(\"[^\"]*\"\.*"), "getrandom(RANDOM"),
    (re.compile(r"/\* \d+ vars \*/"), "VARS"),
    (re.compile(r"ru_(u|s)time=\{[^}]*\}"), r"ru_\1time"),
    (re.compile(r"si_(u|s)time=\d+(?: /\*.*?\*/)?"), r"si_\1time"),
    (re.compile(r"(tms_\w+)=\d+(?: /\*.*?\*/)?"), r"\1"),
    (re.compile(r"^times\((.*)\) += \d+"), r"times(\1) = TIME"),
    (re.compile(r"^(time\(NULL\)) += \d+ \(.*\)"), r"\1 = TIME"),
    (re.compile(r"^((?:clock_gettime|gettimeofday)\([^{]*)\{[^}]*\}"), r"\1TIME"),
    (re.compile(r"((?:timerfd_|timer_|i?timer)\w*\(.*)it_value=\{tv_sec=\d+, tv_(n|u)sec=\d+\}"), r"\1it_value"),
    (re.compile(r"f_(blocks|bfree|bavail|files|ffree)=\d+"), r"f_\1"),
    # a file without a name, by its inode: some file systems give numbers anew, others never
    (re.compile(r"/#\d+>\(deleted\)"), "/#INODE>(deleted)"),
    # what pipes and sockets are known by: few digits just after the boot, many later
    (re.compile(r"([A-Za-z][\w-]*:\[)\d+(?:->\d+)?(?=[],])"), r"\1INODE"),
    (re.compile(r"\b\d{6,}\b"), "NUMBER"),
)
_IPC = re.compile(r"^((?:shm|sem|msg)(?:get|at|dt|ctl|op|timedop|snd|rcv)\()(.*)$")


def why_not() -> str:
    """Say why there can be no comparison, or nothing."""
    missing = helpers.have("strace", "gcc")
    return f"{' and '.join(missing)} missing (Debian: strace gcc libc6-dev)" if missing else ""


@functools.cache
def compile_probe(name: str, *options: str) -> str:
    """Build a static probe, once for each set of options."""
    target = f"{tempfile.mkdtemp(prefix='pyroot-probe-')}/{name}"
    atexit.register(shutil.rmtree, os.path.dirname(target), True)
    command = ["gcc", "-static", "-O1", "-w", "-pthread", *options, "-o", target, str(PROGRAMS / f"{name}.c")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        pytest.skip(f"no static programs here: {built.stderr.strip().splitlines()[-1:]}")
    os.chmod(target, 0o755)
    return target


def _one_line(line: str, pids: list[str]) -> str:
    for number, pid in enumerate(pids):
        line = re.sub(rf"\b{pid}\b", f"PID{number}", line)
    found = _IPC.match(line)
    if found:
        line = found.group(1) + re.sub(r"(^|= )\d+\b", r"\1ID", found.group(2))
    for pattern, replacement in _CHANGING:
        line = pattern.sub(replacement, line)
    # how far the result is indented depends on pids and addresses, and on whether the call was interrupted
    return re.sub(r"\) += ", ") = ", line)


def processes(text: str) -> list[list[str]]:
    """Give the lines of each process, in the order of their first lines, with whole calls and without what changes."""
    lines: dict[str, list[str]] = {}
    begun: dict[str, str] = {}
    for line in text.splitlines():
        pid, _space, rest = line.partition(" ")
        rest = rest.lstrip()
        own = lines.setdefault(pid, [])
        changed = re.match(r"(.*) <pid changed to (\d+) \.\.\.>", rest)
        if changed:
            begun[changed.group(2)] = changed.group(1)
            continue
        if rest.endswith(" <unfinished ...>"):
            begun[pid] = rest.removesuffix(" <unfinished ...>")
            continue
        resumed = re.match(r"<\.\.\. \S+ resumed>(.*)", rest)
        if resumed and pid in begun:
            rest = begun.pop(pid) + resumed.group(1)
        if own and own[-1].startswith("exit(") and rest.startswith("+++ exited"):
            # of a thread: the status of the whole process, when that ends before a tracer has asked
            rest = "+++ exited +++"
        own.append(rest)
    pids = list(lines)
    return [[_one_line(line, pids) for line in lines[pid]] for pid in pids]


class Oracle:
    """Runs both sides in one directory."""

    def __init__(self, directory: str, run_pyroot: Callable[..., Result]) -> None:
        self.directory, self.run_pyroot = directory, run_pyroot
        self.here, self.copy = f"{directory}/here", f"{directory}/copy"
        os.mkdir(self.here)
        os.mkdir(self.copy)
        for path in (self.here, self.copy):
            if os.geteuid() == 0:
                os.chown(path, helpers.NOBODY, helpers.NOBODY)

    def probe(self, name: str, *options: str) -> str:
        """Put a probe into both directories; give its path."""
        for folder in (self.here, self.copy):
            shutil.copy2(compile_probe(name, *options), folder)
        return f"{self.here}/{name}"

    def strace(self, options: list[str], command: list[str]) -> tuple[str, Result]:
        """Run natively; give what strace wrote."""
        out = f"{self.directory}/strace.out"
        ended = helpers.run(["strace", *options, "-o", out, *command], environment=ENVIRONMENT, cwd=self.here)
        return read(out), ended

    def trace(self, options: list[str], command: list[str]) -> tuple[str, Result]:
        """Run under pyroot; give what it wrote."""
        out = f"{self.directory}/trace.out"
        view = ["-b", f"{self.copy}:{self.here}", "-w", self.here]
        ended = self.run_pyroot(["trace", *options, "-o", out, *view, *command], environment=ENVIRONMENT, cwd=self.directory)
        return read(out), ended

    def both(self, options: list[str], command: list[str]) -> tuple[list[list[str]], list[list[str]]]:
        """Give the normalised lines of both sides."""
        theirs, first = self.strace(["-f", *options], command)
        ours, second = self.trace(options, command)
        status = first.status if first.status >= 0 else 128 - first.status
        assert second.status == status, second.stderr
        return processes(ours), processes(theirs)


def read(path: str) -> str:
    """Read a trace; nothing where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""
