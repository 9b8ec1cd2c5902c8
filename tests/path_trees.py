"""Random trees with bindings, random paths into them, and helpers that walk them as a user or in a real chroot.

This room decides what the translator tests walk over.  A tree is a root directory and some host directories beside it;
bindings put parts of the host directories (and of the root) over places that exist in the guest, so that real bind
mounts can make the same view.  All random choices come from one `random.Random`: a seed gives the same tree and paths
again.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import random
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

ORDINARY_ID = 65534
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
NAMES = [b"a", b"b", b"c", b"dir", b"x y", b"\xc3\xa9\xff", b"...", b"..a", b"n" * 255]
LINKS = [b"l1", b"l2", b"l3", b"up", b"loop", b"abs"]
DOORS = [0o755] * 8 + [0o711, 0o700, 0o600, 0o000, 0o1777, 0o1777]

Query = tuple[bytes, bytes, bool]
"""A path, the guest's current directory, whether a last link is followed."""
Answer = tuple[bytes, int, int] | int
"""Canonical guest path, device and inode; or an errno."""


@contextmanager
def workshop() -> Iterator[bytes]:
    """Yield a directory that an ordinary user can reach, and remove it afterwards whatever its modes are."""
    base = os.fsencode(os.path.realpath(tempfile.mkdtemp(prefix="pyroot-path-")))
    os.chmod(base, 0o755)
    try:
        yield base
    finally:
        # By directory fds, since paths in here may be longer than the kernel takes.
        for _, names, _, fd in os.fwalk(base):
            for name in names:
                if stat.S_ISDIR(os.lstat(name, dir_fd=fd).st_mode):
                    os.chmod(name, 0o700, dir_fd=fd)
        shutil.rmtree(base, ignore_errors=True)


@dataclass
class Tree:
    """A root and host directories on disk, and the bindings over them in the order of mounting."""

    base: bytes
    bindings: list[tuple[bytes, bytes]] = field(default_factory=list)
    directories: dict[bytes, bytes] = field(default_factory=dict)  # visible ones, guest path: host path
    files: list[bytes] = field(default_factory=list)  # guest paths of visible files
    entries: dict[bytes, list[bytes]] = field(default_factory=dict)  # names in host directories, before they are closed

    @property
    def root(self) -> bytes:
        """Return the host path of the guest's root."""
        return self.base + b"/root"

    def bind(self, host: bytes, guest: bytes) -> None:
        """Record a binding and what the guest sees then."""
        self.bindings.append((host, guest))
        self.directories = {path: at for path, at in self.directories.items() if not is_below(path, guest)}
        self.files = [path for path in self.files if not is_below(path, guest)]
        self.show(host, guest)

    def show(self, host: bytes, guest: bytes) -> None:
        """Record that the guest sees `host` and all below it at `guest`."""
        if not os.path.isdir(host):
            self.files.append(guest)
            return
        prefix = guest.rstrip(b"/")
        directories, files = contents(host)
        shown = {guest: host} | {prefix + b"/" + path: host + b"/" + path for path in directories}
        self.directories.update(shown)
        self.entries.update((path, sorted(os.listdir(path))) for path in shown.values())
        self.files += [prefix + b"/" + path for path in files]


def is_below(path: bytes, top: bytes) -> bool:
    """Tell whether `path` is `top` or lies below it."""
    return path == top or path.startswith(top.rstrip(b"/") + b"/")


def contents(top: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the directories and the regular files below `top`, relative to it, in a fixed order."""
    directories, files = [], []
    for directory, names, others in os.walk(top):
        names.sort()
        for name in names + sorted(others):
            path = os.path.join(directory, name)
            mode = os.lstat(path).st_mode
            relative = os.path.relpath(path, top)
            if stat.S_ISDIR(mode):
                directories.append(relative)
            elif stat.S_ISREG(mode):
                files.append(relative)
    return directories, files


def random_target(rng: random.Random) -> bytes:
    """Return the text of a link: relative or absolute, perhaps with dots, doubled or trailing slashes."""
    names = rng.choices([*NAMES, *LINKS, b"..", b"..", b".", b"none"], k=rng.randint(1, 3))
    between = rng.choice([b"/", b"/", b"//"])
    return rng.choice([b"", b"", b"/", b"//"]) + between.join(names) + rng.choice([b"", b"", b"/"])


def give_away(path: bytes, rng: random.Random) -> None:
    """Make root's new files the ordinary user's, but not all of them: permissions shall matter."""
    if os.geteuid() == 0:
        owner = rng.choice([ORDINARY_ID, ORDINARY_ID, ORDINARY_ID, 0, 1])
        os.chown(path, owner, owner, follow_symlinks=False)


def fill(directory: bytes, rng: random.Random, depth: int) -> None:
    """Fill `directory` with links, files and directories down to `depth` levels."""
    for name in rng.sample(NAMES, rng.randint(2, 5)):
        path = os.path.join(directory, name)
        if depth and rng.random() < 0.7:
            os.mkdir(path)
            fill(path, rng, depth - 1)
        else:
            with open(path, "wb") as file:
                file.write(path)
        give_away(path, rng)
    for name in rng.sample(LINKS, rng.randint(1, 4)):
        path = os.path.join(directory, name)
        os.symlink(name if name == b"loop" and rng.random() < 0.5 else random_target(rng), path)
        give_away(path, rng)


def make_chain(directory: bytes, length: int) -> None:
    """Make links `chain1` to `chain<length>`, each to the one before, the first to `.`."""
    for number in range(1, length + 1):
        target = b"chain%d" % (number - 1) if number > 1 else b"."
        os.symlink(target, directory + b"/chain%d" % number)


def bind_onto_nothing(tree: Tree, rng: random.Random) -> None:
    """Bind two directories to a place that does not exist, with the directory that leads there."""
    glue = tree.base + b"/glue"
    os.makedirs(glue + b"/v")
    place = rng.choice(list(tree.directories)).rstrip(b"/") + b"/glue"
    tree.bind(glue, place)
    tree.bind(tree.base + b"/host1", place + b"/v")
    tree.bind(tree.base + b"/host0", place + b"/new")


def close_directories(tree: Tree, rng: random.Random) -> None:
    """Give directories random modes, the inner ones first.

    A bound directory that the user cannot reach on the host is one that root can bind and pyroot cannot: no such ones here.
    """
    for top in (b"root", b"host0", b"host1"):
        for path in sorted(contents(os.path.join(tree.base, top))[0], reverse=True):
            directory = os.path.join(tree.base, top, path)
            mode = rng.choice(DOORS)
            if not any(host != directory and is_below(host, directory) for host, _ in tree.bindings):
                os.chmod(directory, mode)


def make_tree(base: bytes, rng: random.Random, onto_nothing: bool = False) -> Tree:
    """Make a random tree below `base` with up to four bindings, and two more with `onto_nothing`."""
    tree = Tree(base)
    sources = []
    for name in (b"root", b"host0", b"host1"):
        top = base + b"/" + name
        os.mkdir(top)
        fill(top, rng, 3)
        sources += [top] + [os.path.join(top, path) for path in sum(contents(top), [])]
    make_chain(tree.root, 42)
    tree.show(tree.root, b"/")
    for _ in range(rng.randint(0, 4)):
        host = rng.choice(sources)
        places = list(tree.directories) if os.path.isdir(host) else tree.files
        covered = [guest for _, guest in tree.bindings]
        free = [path for path in places if path != b"/" and not any(is_below(top, path) for top in covered)]
        if free:
            tree.bind(host, rng.choice(free))
    if onto_nothing:
        bind_onto_nothing(tree, rng)
    close_directories(tree, rng)
    return tree


def wander(rng: random.Random, tree: Tree) -> list[bytes]:
    """Return names that mostly exist: a visible directory, an entry of it, and turns before and behind that."""
    guest = rng.choice(list(tree.directories))
    names = [name for name in guest.split(b"/") if name]
    if entries := tree.entries[tree.directories[guest]]:
        names.append(rng.choice(entries))
    for _ in range(rng.choice([0, 0, 1, 2])):
        entries = tree.entries[rng.choice(list(tree.directories.values()))] or [b"."]
        names.insert(rng.randint(0, len(names)), rng.choice([*LINKS, b"..", b"..", b".", b"", rng.choice(entries)]))
    return names


def random_path(rng: random.Random, tree: Tree) -> bytes:
    """Return a path: often one that exists, bent by links, dots, slashes, missing and overlong names."""
    kind = rng.random()
    if kind < 0.7:
        names = wander(rng, tree)
    elif kind < 0.95:
        names = rng.choices([*NAMES, *LINKS, *LINKS, b"..", b"..", b".", b"none"], k=rng.randint(0, 6))
    elif kind < 0.98:
        names = [b"chain%d" % rng.randint(36, 42), *rng.choices([b"a", b"l1", b".."], k=rng.randint(0, 2))]
    else:
        names = [rng.choice(NAMES), rng.choice([b"n" * 255, b"n" * 256, b"./" * rng.randint(2040, 2048), b"n" * 5000])]
    lead = b"/" if rng.random() < 0.6 or kind < 0.5 else b""
    return lead + b"/".join(names) + rng.choice([b"", b"", b"", b"", b"/", b"//", b"/.", b"/.."])


def random_queries(rng: random.Random, tree: Tree, count: int) -> list[Query]:
    """Return `count` paths with the directory they start from."""
    directories = list(tree.directories)
    return [
        (random_path(rng, tree), b"/" if rng.random() < 0.5 else rng.choice(directories), rng.random() < 0.6)
        for _ in range(count)
    ]


def drop_privileges() -> None:
    """Become the ordinary user, where we are root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID)
        os.setresuid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID)


def in_child(function: Callable[[], Any]) -> Any:
    """Run `function` in a forked child and return what it returns, or raise what it raises."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            try:
                outcome: tuple[bool, Any] = (True, function())
            except BaseException as error:  # noqa: BLE001 - everything goes to the parent
                outcome = (False, f"{type(error).__name__}: {error}")
            with open(writer, "wb") as pipe:
                pickle.dump(outcome, pipe)
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    if not data:
        raise AssertionError("the child died without an answer")
    succeeded, value = pickle.loads(data)
    if not succeeded:
        raise AssertionError(f"in the child: {value}")
    return value


def as_ordinary_user(function: Callable[[], Any]) -> Any:
    """Run `function` in a child as the ordinary user and return what it returns."""

    def run() -> Any:
        drop_privileges()
        return function()

    return in_child(run)


def enter_chroot(tree: Tree) -> None:
    """Make the bindings real in a mount namespace of our own, chroot into the root and drop to the ordinary user."""
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int) -> None:
        if result != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    check(libc.unshare(0x00020000))  # CLONE_NEWNS
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    # Opened first: a source must not be looked up through the mounts made before it.
    sources = [os.open(host, os.O_PATH) for host, _ in tree.bindings]
    for fd, (_, guest) in zip(sources, tree.bindings, strict=True):
        check(libc.mount(b"/proc/self/fd/%d" % fd, tree.root + guest, None, MS_BIND, None))
    os.chroot(tree.root)
    os.chdir("/")
    drop_privileges()


def kernel_answers(tree: Tree, queries: list[Query]) -> list[Answer | None]:
    """Return what the real kernel finds in a real chroot; None where the starting directory cannot be entered."""
    own_fds = os.open("/proc", os.O_PATH)

    def ask(query: Query, again: int = 3) -> Answer | None:
        path, base, follow = query
        try:
            os.chdir(base)
        except OSError:
            return None
        try:
            fd = os.open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
        except OSError as error:
            if error.errno == errno.ELOOP and again:
                # A mount anywhere on the machine can make the kernel restart a walk, and it does not forget the links
                # that it had counted before (fs/namei.c: total_link_count); so a single ELOOP proves nothing.
                return ask(query, again - 1)
            return error.errno or -1
        try:
            found = os.fstat(fd)
            return os.readlink(b"self/fd/%d" % fd, dir_fd=own_fds), found.st_dev, found.st_ino
        finally:
            os.close(fd)

    def run() -> list[Answer | None]:
        enter_chroot(tree)
        return [ask(query) for query in queries]

    try:
        answers: list[Answer | None] = in_child(run)
    finally:
        os.close(own_fds)
    return answers
