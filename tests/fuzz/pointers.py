"""One thread changes what another one's pointers lead to, while that one calls: what was looked at is what the kernel gets."""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING

from .engine import Failed, Outside
from .guests import Guest

if TYPE_CHECKING:
    from tests.helpers import Result

MODES = ["open", "follow", "dirfd", "nodir", "page", "dots", "dotted", "empty", "lstatat", "lstat", "readlink", "change", "make", "remove",
         "chdir", "execute", "connect", "bind", "sendto", "sendmsg", "sendmmsg", "how", "clone3"]  # fmt: skip
MODES32 = ["arguments"]
"""What only 32-bit programs have."""
MILLISECONDS = 150
SECRET = "SECRET\n"


class Outer:
    """A directory that no guest can name, with everything in it that the probe looks for: whoever gets there can do everything."""

    def __init__(self, path: str, owner: int) -> None:
        self.path = path
        self.sockets = []
        with open(f"{path}/secret", "w", encoding="ascii") as file:
            file.write(SECRET)
        for name, kind in (("stream", socket.SOCK_STREAM), ("datagram", socket.SOCK_DGRAM)):
            one = socket.socket(socket.AF_UNIX, kind)
            one.bind(f"{path}/{name}")
            if kind == socket.SOCK_STREAM:
                one.listen(1)
            self.sockets.append(one)
        for name in os.listdir(path):
            os.chmod(f"{path}/{name}", 0o666)
        os.chmod(path, 0o777)
        if os.geteuid() == 0:
            os.chown(f"{path}/secret", owner, -1)

    def state(self) -> list[tuple[str, int, int]]:
        """List what is there: names, modes and sizes."""
        found = [(name, os.lstat(f"{self.path}/{name}")) for name in os.listdir(self.path)]
        return sorted((name, state.st_mode, state.st_size) for name, state in found)

    def close(self) -> None:
        """Close the sockets; the files go with the directory."""
        for one in self.sockets:
            one.close()


def outcome(mode: str, result: Result) -> tuple[int, int]:
    """Return how many calls the probe has made and how many of them met what is outside; raise Failed if it does not say."""
    numbers = re.fullmatch(rf"{mode} calls ([1-9]\d*) outside (\d+)\n", result.stdout)
    if result.status or not numbers:
        raise Failed(f"{mode}: the probe ended with {result.status}: {result.stdout[-200:]} {result.stderr[-500:]}")
    return int(numbers[1]), int(numbers[2])


class Pointers:
    """Each turn is one mode, for some milliseconds."""

    name = "pointers"
    size = 1
    unit = "calls"
    ran = 0
    variables: dict[str, str] = {}

    def open(self) -> None:
        """Make the root and what is outside."""
        self.guest = Guest("pointer_probe", "-pthread")
        os.makedirs(f"{self.guest.root}/d/d/d/d")
        os.unlink(f"{self.guest.root}/x")  # what is harmless is empty
        self.outer = Outer(self.short(), os.stat(self.guest.root).st_uid)

    def short(self) -> str:
        """Return a directory whose name leaves room in the address of a socket."""
        path = f"{self.guest.parent}/o"
        os.mkdir(path)
        return path

    def turn(self, seed: int, size: int) -> str:
        """Run the mode that the seed says."""
        mode = MODES[seed % len(MODES)]
        before = self.outer.state()
        result = self.guest.pyroot(mode, str(MILLISECONDS), self.outer.path, variables=self.variables)
        calls, outside = outcome(mode, result)
        self.ran += calls
        if outside or self.outer.state() != before:
            raise Outside(f"{mode}: {outside} of {calls} calls, then there was {self.outer.state()}")
        return f"{mode} {calls}"

    def close(self) -> None:
        """Remove what open made."""
        self.outer.close()
        self.guest.remove()


class PointersStops(Pointers):
    """The same without the gate: every call stops."""

    name = "pointers-stops"
    variables = {"PYROOT_NO_GATE": "1"}


class PointersNoFilter(Pointers):
    """The same where the supervisor stops at each call by itself."""

    name = "pointers-no-filter"
    variables = {"PYROOT_NO_SECCOMP": "1"}
