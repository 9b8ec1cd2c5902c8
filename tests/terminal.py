"""A person at a terminal: start a program on a new pty, type, and wait for what must appear."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import sys
import time
from typing import TYPE_CHECKING

from tests import helpers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIMIT = 20.0
TIOCGPTN = 0x80045430


class Terminal:
    """One program with a controlling terminal of its own; use as a context manager."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], cwd: str = "/") -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                if os.geteuid() == 0:
                    os.fchown(0, helpers.NOBODY, -1)
                os.chdir(cwd)
                helpers.drop_to_ordinary_user()
                os.execvpe(command[0], list(command), dict(environment))
            finally:
                os._exit(99)
        self.text = ""
        self.status: int | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        members = helpers.session_members(self.pid)
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        os.close(self.master)
        if self.status is None:
            os.waitpid(self.pid, 0)

    @property
    def name(self) -> str:
        """Return the path of the terminal, as the host names it."""
        number = fcntl.ioctl(self.master, TIOCGPTN, b"\0" * 4)
        return f"/dev/pts/{int.from_bytes(number, sys.byteorder)}"

    def read(self, wait: float) -> bool:
        """Take in what the program wrote, if anything came within ``wait`` seconds; False at its end."""
        ready, _, _ = select.select([self.master], [], [], wait)
        if not ready:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)

    def expect(self, pattern: str) -> str:
        """Wait for the regular expression, take everything up to its end away and return that."""
        end = time.monotonic() + LIMIT
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < end, f"{pattern!r} did not appear in {self.text!r}"
            assert self.read(0.2), f"the program ended before {pattern!r}: {self.text!r}"
        taken, self.text = self.text[: found.end()], self.text[found.end():]
        return taken

    def type(self, text: str) -> None:
        """Type characters; ``\\x03`` is ^C, ``\\x1a`` ^Z."""
        os.write(self.master, text.encode())

    def wait(self) -> int:
        """Wait for the end and return the status as subprocess gives it."""
        end = time.monotonic() + LIMIT
        while self.status is None:
            assert time.monotonic() < end, f"the program did not end: {self.text!r}"
            self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status


def sleeping(session: int) -> bool:
    """Say whether ``sleep 100`` is the session's foreground job and has begun to sleep."""
    for pid in helpers.session_members(session):
        fields = helpers.stat_fields(pid)
        if len(fields) > 5 and fields[2] == fields[5] and fields[0] in "St" and comm(pid) == "sleep":
            return True
    return False


def comm(pid: int) -> str:
    """Return the name of a process."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""
