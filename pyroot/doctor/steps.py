"""What `pyroot doctor --fix` does to a root: small steps, each told before it is done.

Decides: how a change is made so that it stays inside the root and touches nothing but what it names. Links on the way
are followed inside the root; what is replaced is replaced whole. Not decided here: which step mends what (the checks).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from pyroot.elf.rooted import Rooted
from pyroot.rootfs.install import Installer


@dataclass(frozen=True)
class Step:
    """One change. `told` is its line."""

    path: bytes

    @property
    def told(self) -> str:
        """Say what will be done, as a command would be written."""
        raise NotImplementedError

    def do(self, root: bytes) -> None:
        """Make the change in the root directory `root` (canonical). Raises OSError or PyrootError."""
        raise NotImplementedError

    @property
    def shown(self) -> str:
        """Give the path for a message."""
        return os.fsdecode(self.path)


@dataclass(frozen=True)
class Chmod(Step):
    """Add or set mode bits of a file or directory."""

    mode: int

    @property
    def told(self) -> str:
        """Say it as chmod would be called."""
        return f"chmod {self.mode:04o} {self.shown}"

    def do(self, root: bytes) -> None:
        """Change the mode of what the path leads to."""
        rooted = Rooted(root)
        fd = os.open(rooted.host(rooted.trace(self.path).real), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.chmod(f"/proc/self/fd/{fd}", self.mode)
        finally:
            os.close(fd)


@dataclass(frozen=True)
class MakeDirectory(Step):
    """Make a directory with its parents."""

    mode: int = 0o755

    @property
    def told(self) -> str:
        """Say it as mkdir would be called."""
        return f"mkdir -p -m {self.mode:04o} {self.shown}"

    def do(self, root: bytes) -> None:
        """Make it."""
        Installer(root, verb="doctor").directory(self.path, self.mode)


@dataclass(frozen=True)
class WriteFile(Step):
    """Write a small text file that is missing."""

    content: bytes

    @property
    def told(self) -> str:
        """Name the file and its size in lines."""
        lines = self.content.count(b"\n")
        return f"write {self.shown} ({lines} line{'s' * (lines != 1)})"

    def do(self, root: bytes) -> None:
        """Write it; a link that leads nowhere is taken away first, since it is what is being mended."""
        place = _place(root, self.path)
        if os.path.islink(place) and Rooted(root).find(self.path) is None:
            os.unlink(place)
        Installer(root, verb="doctor").rewrite(_real(root, self.path), self.content)


@dataclass(frozen=True)
class AddLines(Step):
    """Add lines at the end of a text file."""

    content: bytes

    @property
    def told(self) -> str:
        """Show the lines."""
        return f"add to {self.shown}: {os.fsdecode(self.content.rstrip()).replace(chr(10), ' | ')}"

    def do(self, root: bytes) -> None:
        """Add what is not there yet."""
        old = Rooted(root).read(self.path)
        if self.content in old:
            return
        glue = b"" if not old or old.endswith(b"\n") else b"\n"
        Installer(root, verb="doctor").rewrite(_real(root, self.path), old + glue + self.content)


@dataclass(frozen=True)
class Link(Step):
    """Make a symbolic link, in the place of one that leads nowhere or of nothing."""

    text: bytes

    @property
    def told(self) -> str:
        """Say it as ln would be called."""
        return f"ln -sfn {os.fsdecode(self.text)} {self.shown}"

    def do(self, root: bytes) -> None:
        """Make it; anything but a link in its place is an error."""
        place = _place(root, self.path)
        if os.path.islink(place):
            os.unlink(place)
        os.symlink(self.text, place)


@dataclass(frozen=True)
class Copy(Step):
    """Copy a file of this host, and for a program all that it needs, to the same place of the root."""

    source: bytes

    @property
    def told(self) -> str:
        """Say it as the verb would be called."""
        return f"pyroot copy {self.shown}" if self.source == self.path else f"copy {os.fsdecode(self.source)} to {self.shown}"

    def do(self, root: bytes) -> None:
        """Copy it, with everything that a program or library needs."""
        from pyroot.doctor.copy import copy_into

        copy_into(root, [self.source])


@dataclass(frozen=True)
class LoaderIndex(Step):
    """Complete ld.so.cache with the libraries that programs of the root need."""

    @property
    def told(self) -> str:
        """Say what an ldconfig inside would have done."""
        return f"complete {self.shown} (what ldconfig does)"

    def do(self, root: bytes) -> None:
        """Write the index anew from what ld.so.conf names."""
        from pyroot.doctor.copy import rebuild_index

        rebuild_index(root)


def _place(root: bytes, path: bytes) -> bytes:
    """Give the host path of a guest path whose last part is not followed."""
    rooted = Rooted(root)
    directory = rooted.trace(os.path.dirname(path) or b"/").real
    return rooted.host(directory).rstrip(b"/") + b"/" + os.path.basename(path)


def _real(root: bytes, path: bytes) -> bytes:
    trace = Rooted(root).find(path)
    return trace.real if trace else path
