"""What `pyroot doctor --fix` does to a root: small steps, each shown before it is done.

Decides: how a change is made so that it stays inside the root and touches nothing but what it names. Symbolic links
in a path are followed inside the root; what is replaced is replaced as a whole. Not decided here: which step fixes what (the checks).
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from pyroot.elf.rooted import Rooted
from pyroot.errors import PyrootError, shell_word
from pyroot.plain import record
from pyroot.rootfs.install import Installer

MARK = b"\xef\xbb\xbf"  # of UTF-8, which some editors put before a text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


@record(frozen=True)
class Step(ABC):
    """One change of what is at `path`. `LINE` is its line, as str.format takes it with the step as argument 0."""

    LINE: ClassVar[str]
    path: bytes

    @property
    def told(self) -> str:
        """Say what will be done, as a command would be written."""
        return self.LINE.format(self)

    @abstractmethod
    def do(self, root: bytes) -> None:
        """Make the change in the root directory `root` (canonical). Raises OSError or PyrootError."""

    @property
    def shown(self) -> str:
        """Give the path for a message, as a shell takes it."""
        return shell_word(os.fsdecode(self.path))


@record(frozen=True)
class Chmod(Step):
    """Add or set mode bits of a file or directory."""

    LINE = "chmod {0.mode:04o} {0.shown}"
    mode: int

    def do(self, root: bytes) -> None:
        """Change the mode of what the path leads to."""
        rooted = Rooted(root)
        fd = os.open(rooted.host(rooted.trace(self.path).real), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.chmod(f"/proc/self/fd/{fd}", self.mode)
        finally:
            os.close(fd)


@record(frozen=True)
class MakeDirectory(Step):
    """Make a directory with its parents."""

    LINE = "mkdir -p -m {0.mode:04o} {0.shown}"
    mode: int = 0o755

    def do(self, root: bytes) -> None:
        """Make it."""
        Installer(root, verb="doctor").directory(self.path, self.mode)


@record(frozen=True)
class _Text(Step):
    """A step that writes text."""

    content: bytes

    @property
    def lines(self) -> str:
        """Count the lines, in words."""
        number = self.content.count(b"\n")
        return f"{number} line{'s' * (number != 1)}"

    @property
    def one_line(self) -> str:
        """Show the text in one line."""
        return os.fsdecode(self.content.rstrip()).replace("\n", " | ")


@record(frozen=True)
class WriteFile(_Text):
    """Write a small text file that is missing."""

    LINE = "write {0.shown} ({0.lines})"

    def do(self, root: bytes) -> None:
        """Write it; a dangling symbolic link is removed first, since it is what is being fixed."""
        Installer(root, verb="doctor").directory(os.path.dirname(self.path) or b"/")
        place = _place(root, self.path)
        if os.path.islink(place) and Rooted(root).find(self.path) is None:
            os.unlink(place)
        Installer(root, verb="doctor").rewrite(_real(root, self.path), self.content)


@record(frozen=True)
class AddLines(_Text):
    """Add lines at the end of a text file."""

    LINE = "add to {0.shown}: {0.one_line}"

    def do(self, root: bytes) -> None:
        """Add what is not there yet."""
        old = Rooted(root).read(self.path)
        if self.content in old:
            return
        glue = b"" if not old or old.endswith(b"\n") else b"\n"
        Installer(root, verb="doctor").rewrite(_real(root, self.path), old + glue + self.content)


@record(frozen=True)
class Link(Step):
    """Make a symbolic link where there is nothing or a dangling one."""

    LINE = "ln -sfn {0.target} {0.shown}"
    text: bytes

    @property
    def target(self) -> str:
        """Give the text of the link for a message, as a shell takes it."""
        return shell_word(os.fsdecode(self.text))

    def do(self, root: bytes) -> None:
        """Make it; anything but a symbolic link in its place is an error."""
        Installer(root, verb="doctor").directory(os.path.dirname(self.path) or b"/")
        place = _place(root, self.path)
        if os.path.islink(place):
            os.unlink(place)
        os.symlink(self.text, place)


@record(frozen=True)
class Relink(Link):
    """Make a symbolic link again of a file whose whole content is the text of the link."""

    LINE = "ln -sfn {0.target} {0.shown} (in place of the text)"

    def do(self, root: bytes) -> None:
        """Make it beside the file, and put it in the file's place if that still says the same."""
        place = _place(root, self.path)
        with open(place, "rb") as file:
            if os.path.islink(place) or file.read(4096).rstrip(b"\r\n") != self.text:
                return
        aside = place + b".pyroot-new"
        os.symlink(self.text, aside)
        try:
            os.rename(aside, place)
        except OSError:
            os.unlink(aside)
            raise


@record(frozen=True)
class UnixLines(Step):
    """Take the carriage returns from the ends of the lines of a text file."""

    LINE = "sed -i 's/\\r$//' {0.shown}"

    def do(self, root: bytes) -> None:
        """Rewrite it."""
        real = Rooted(root).trace(self.path).real
        Installer(root, verb="doctor").rewrite(real, Rooted(root).read(real).replace(b"\r\n", b"\n"))


@record(frozen=True)
class DropMark(Step):
    """Take a byte order mark from the beginning of a script."""

    LINE = "sed -i '1s/^\\xef\\xbb\\xbf//' {0.shown}"

    def do(self, root: bytes) -> None:
        """Rewrite it."""
        real = Rooted(root).trace(self.path).real
        Installer(root, verb="doctor").rewrite(real, Rooted(root).read(real).removeprefix(MARK))


@record(frozen=True)
class RemoveDirectory(Step):
    """Remove an empty directory from the place of a file."""

    LINE = "rmdir {0.shown}"

    def do(self, root: bytes) -> None:
        """Remove it; one that is not empty stays."""
        os.rmdir(_place(root, self.path))


@record(frozen=True)
class Merge(Step):
    """Move what is in a top directory into the one below /usr, and put the symbolic link in its place again."""

    LINE = "mv {0.shown}/* /usr{0.shown}/, then ln -s usr{0.shown} {0.shown}"

    def do(self, root: bytes) -> None:
        """Move it; a file of another content of the same name is an error, and nothing is replaced."""
        here = _place(root, self.path)
        there = Rooted(root).host(Rooted(root).trace(b"/usr" + self.path).real)
        names = sorted(os.listdir(here))
        for name in names:
            if clashes(here + b"/" + name, there + b"/" + name):
                raise PyrootError(f"{os.fsdecode(self.path + b'/' + name)} differs from the one below /usr")
        for name in names:
            if os.path.lexists(there + b"/" + name):
                os.unlink(here + b"/" + name)
            else:
                os.rename(here + b"/" + name, there + b"/" + name)
        os.rmdir(here)
        os.symlink(b"usr" + self.path, here)


def clashes(one: bytes, two: bytes) -> bool:
    """Tell whether two host paths are both there and not the same file or the same symbolic link."""
    import filecmp

    if not os.path.lexists(two):
        return False
    if os.path.islink(one) or os.path.islink(two):
        return not (os.path.islink(one) and os.path.islink(two) and os.readlink(one) == os.readlink(two))
    return not (os.path.isfile(one) and os.path.isfile(two) and filecmp.cmp(one, two, shallow=False))


@record(frozen=True)
class Copy(Step):
    """Copy a file of this host, and for a program everything that it needs, to the same path in the root."""

    LINE = "pyroot copy {0.option}{0.shown}"
    headers: bool = False

    @property
    def option(self) -> str:
        """Give the option that brings a compiler's headers, too."""
        return "--headers " if self.headers else ""

    def do(self, root: bytes) -> None:
        """Copy it, with everything that a program or library needs."""
        from pyroot.doctor.copy import copy_into

        copy_into(root, [self.path], verb="doctor", headers=self.headers)


@record(frozen=True)
class LoaderIndex(Step):
    """Complete ld.so.cache with the libraries that programs of the root need."""

    LINE = "complete {0.shown} (what ldconfig does)"

    def do(self, root: bytes) -> None:
        """Write the index anew from what ld.so.conf names."""
        from pyroot.doctor.copy import rebuild_index

        rebuild_index(root)


def _place(root: bytes, path: bytes) -> bytes:
    """Give the host path of a guest path whose last component is not followed."""
    rooted = Rooted(root)
    directory = rooted.trace(os.path.dirname(path) or b"/").real
    return rooted.host(directory).rstrip(b"/") + b"/" + os.path.basename(path)


def _real(root: bytes, path: bytes) -> bytes:
    trace = Rooted(root).find(path)
    return trace.real if trace else path
