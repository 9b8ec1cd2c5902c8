"""One oracle case: a tree, bindings over it and a program; plus making the tree and reading it back.

This room decides how a case is laid out on disk (``root`` and the host directories side by side below one base
directory) and what counts as equal in the final trees.  What a case contains is decided in ``generate.py``.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from dataclasses import dataclass, field

ORDINARY_ID = 65534
OLD_TIME = 1_500_000_000
"""Times before this were set by the program and are compared; later ones are the clock's."""

UNMADE = "glue"
"""Prefix of the names of mount points that only the real side has as files."""


@dataclass(frozen=True)
class Entry:
    """One file to create: ``path`` is relative to the base directory (``root/a/b``, ``host0/c``)."""

    kind: str  # dir file link fifo socket program
    path: str
    content: bytes = b""
    mode: int = 0o755
    owner: int = ORDINARY_ID
    xattrs: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Binding:
    """A host path (relative to the base directory, or absolute) that appears at a canonical guest path."""

    host: str
    guest: str
    is_directory: bool = True
    readonly: bool = False


@dataclass(frozen=True)
class Mount:
    """A file system that the machine itself has mounted, on a directory relative to the base; what lies in it is the same for all."""

    place: str

    def fill(self, base: str) -> None:
        """Put a few files of every kind into it."""
        top = os.path.join(base, self.place)
        for name in ("a", "a/b", "d"):
            os.mkdir(f"{top}/{name}")
        for name, text in (("f", b"mounted"), ("a/f", b"deeper")):
            with open(f"{top}/{name}", "wb") as file:
                file.write(text)
        for name, target in (("l", "f"), ("m", "/a"), ("n", ".."), ("a/l", "../f")):
            os.symlink(target, f"{top}/{name}")
        for name in ("", "/a", "/a/b", "/d", "/f", "/a/f", "/l", "/m", "/n", "/a/l"):
            os.chown(top + name, ORDINARY_ID, ORDINARY_ID, follow_symlinks=False)


@dataclass
class Case:
    """Everything that one seed stands for."""

    seed: int
    entries: list[Entry] = field(default_factory=list)
    bindings: list[Binding] = field(default_factory=list)
    program: list[str] = field(default_factory=list)
    identity: bool = True
    nested: bool = False  # the program may call chroot(2)
    whole: bool = False  # the root is that of the machine: pyroot runs inside, without -r
    mounts: list[Mount] = field(default_factory=list)
    readonly: bool = False  # the root
    overlay: bool = False  # changes of the root go to another directory

    def interpreter_arguments(self) -> list[str]:
        """Return the interpreter's options: which names and numbers it must leave out."""
        unmade = sorted({name for b in self.bindings for name in b.guest.split("/") if name.startswith(UNMADE)})
        # what the real side makes in a directory that the view shows twice is there at its other place too
        twice = any(not b.host.startswith("/") and self.shown_twice(b) for b in self.bindings)
        arguments = [word for name in unmade if twice for word in ("--hide", name)]
        arguments += ["--no-directory-numbers"] if unmade else []
        arguments += ["--directory-links"] if unmade and not twice else []
        arguments += [] if self.identity else ["--no-identity"]
        return [*arguments, "--program"]

    def shown_twice(self, binding: Binding) -> bool:
        """Say whether the guest reaches the binding's host side, or what it lies in, at another place too."""
        places = ["root", *(b.host for b in self.bindings if b is not binding)]
        return any(binding.host == place or binding.host.startswith(place + "/") for place in places)


def materialise(case: Case, base: str, programs: dict[str, bytes]) -> None:
    """Create the case's files below ``base``; ``programs`` holds the contents of entries of kind ``program``."""
    for entry in case.entries:
        path = os.path.join(base, entry.path)
        if entry.kind == "dir":
            os.mkdir(path)
        elif entry.kind == "link":
            os.symlink(entry.content, os.fsencode(path))
        elif entry.kind == "fifo":
            os.mkfifo(path)
        elif entry.kind == "socket":
            make_socket(path)
        else:
            with open(path, "wb") as file:
                file.write(programs[entry.content.decode()] if entry.kind == "program" else entry.content)
        for name, value in entry.xattrs:
            os.setxattr(path, name, value)
        os.chown(path, entry.owner, entry.owner, follow_symlinks=False)
    for entry in reversed(case.entries):
        if entry.kind != "link":
            os.chmod(os.path.join(base, entry.path), entry.mode)


def make_socket(path: str) -> None:
    """Leave a socket file without a listener at ``path`` (which may be longer than an address)."""
    directory = os.open(os.path.dirname(path), os.O_PATH)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    os.close(directory)


def describe(handle: int, name: str, parent: int) -> str:
    """Describe one file that ``handle`` (O_PATH) stands for: type, mode, owner, old time, link text or content."""
    st = os.fstat(handle)
    path = f"/proc/self/fd/{handle}"
    text = f"{stat.filemode(st.st_mode)} {st.st_uid}:{st.st_gid}"
    if st.st_mtime < OLD_TIME and not stat.S_ISDIR(st.st_mode):
        text += f" mtime {st.st_mtime}"
    if stat.S_ISLNK(st.st_mode):
        return text + f" -> {os.readlink(os.fsencode(name), dir_fd=parent)!r}"
    text += "".join(f" {key}={os.getxattr(path, key)!r}" for key in sorted(os.listxattr(path)))
    if stat.S_ISREG(st.st_mode):
        with open(path, "rb") as file:
            text += f" {st.st_size} {hashlib.sha1(file.read(), usedforsecurity=False).hexdigest()[:12]}"
    return text


def snapshot(base: str) -> dict[str, str]:
    """Describe every file below ``base``, and which names are links of one file; no path is too long for it."""
    result: dict[str, str] = {}
    groups: dict[int, str] = {}

    def visit(parent: int, name: str, relative: str) -> None:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=parent)
        try:
            st = os.fstat(handle)
            groups.setdefault(st.st_ino, relative)
            result[relative] = f"{describe(handle, name, parent)} same-as {groups[st.st_ino]}"
            if stat.S_ISDIR(st.st_mode):
                for entry in sorted(os.listdir(f"/proc/self/fd/{handle}")):
                    if not entry.startswith(UNMADE):
                        visit(handle, entry, f"{relative}/{entry}")
        finally:
            os.close(handle)

    top = os.open(base, os.O_PATH)
    for name in sorted(os.listdir(base)):
        visit(top, name, name)
    os.close(top)
    return result


def tree_differences(one: dict[str, str], two: dict[str, str]) -> list[str]:
    """Return one line for every path on which two snapshots disagree."""
    lines: list[str] = []
    for path in sorted(one.keys() | two.keys()):
        if one.get(path) != two.get(path):
            lines.append(f"tree {path[:200]!r}: real {one.get(path, 'absent')} | other {two.get(path, 'absent')}")
    return lines
