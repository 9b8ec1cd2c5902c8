"""Look files up inside a root directory: every symbolic link is resolved within it, and remembered.

Decides: what a path means inside a root, as the kernel would see it after chroot(2). No bindings: those belong to the
translator of a run. Source of the facts: path_resolution(7).
"""
from __future__ import annotations

import errno
import os
import stat

from pyroot.plain import record

MAX_LINKS = 40


@record(frozen=True)
class Trace:
    """How one path was followed: its end, and the symbolic links passed, in order.

    `real` is the canonical path in the root; `links` are pairs (canonical path of the link, text of the link).
    """

    path: bytes
    real: bytes
    links: tuple[tuple[bytes, bytes], ...] = ()


class Rooted:
    """A root directory. Lookups are remembered, so an object is meant for one piece of work, not for long use."""

    def __init__(self, root: str | bytes | os.PathLike[str] = b"/") -> None:
        """Take the root directory, any path to it; "/" is the host itself."""
        self.root = os.path.realpath(os.fsencode(root)).rstrip(b"/")
        self._texts: dict[bytes, bytes | None] = {}
        self._traces: dict[bytes, Trace | int] = {}

    def host(self, guest_real: bytes) -> bytes:
        """Give the host path of a canonical path of the root."""
        return self.root + guest_real if guest_real != b"/" else self.root or b"/"

    def trace(self, guest_path: bytes) -> Trace:
        """Follow a path to its end, which must exist. Raises OSError as open(2) would."""
        known = self._traces.get(guest_path)
        if known is None:
            try:
                known = self._follow(guest_path)
            except OSError as error:
                known = error.errno or errno.EIO
            self._traces[guest_path] = known
        if isinstance(known, int):
            raise OSError(known, os.strerror(known), guest_path)
        return known

    def find(self, guest_path: bytes) -> Trace | None:
        """Follow a path like `trace`; None if it leads nowhere."""
        try:
            return self.trace(guest_path)
        except OSError:
            return None

    def read(self, guest_path: bytes) -> bytes:
        """Read a whole regular file of the root; a FIFO or a device is not opened. Raises OSError."""
        host = self.host(self.trace(guest_path).real)
        if not stat.S_ISREG(os.lstat(host).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), guest_path)
        with open(host, "rb") as file:
            return file.read()

    def dead_end(self, guest_path: bytes) -> bytes:
        """Give the canonical path of the first component of a path that is missing; empty if none is."""
        passed = [b"/"]
        try:
            self._follow(guest_path, passed)
        except OSError:
            return passed[-1]
        return b""

    def _follow(self, guest_path: bytes, passed: list[bytes] | None = None) -> Trace:
        """Follow a path; add every component's path to `passed` before it is looked at."""
        pending = guest_path.split(b"/")[::-1]
        links: list[tuple[bytes, bytes]] = []
        real = b""
        while pending:
            name = pending.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                if not os.path.isdir(self.host(real or b"/")):
                    raise OSError(errno.ENOTDIR, "not a directory")
                real = real.rpartition(b"/")[0]
                continue
            here = real + b"/" + name
            if passed is not None:
                passed.append(here)
            text = self.text(here)
            if text is None:
                real = here
                continue
            links.append((here, text))
            if len(links) > MAX_LINKS:
                raise OSError(errno.ELOOP, "too many links")
            if text.startswith(b"/"):
                real = b""
            pending += text.split(b"/")[::-1]
        if guest_path.endswith((b"/", b"/.")):
            os.stat(self.host(real or b"/") + b"/.")
        else:
            os.lstat(self.host(real or b"/"))
        return Trace(guest_path, real or b"/", tuple(links))

    def text(self, here: bytes) -> bytes | None:
        """Give the text of a link whose directory is canonical; None for what exists and is not a link. Raises OSError."""
        if here in self._texts:
            return self._texts[here]
        try:
            text: bytes | None = os.readlink(self.host(here))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            text = None
        self._texts[here] = text
        return text
