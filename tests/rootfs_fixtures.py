"""Root file systems for the tests: Debian minbases, a busybox one, and one that ``pyroot new`` makes.

All belong to the ordinary user, as they would if that user had unpacked them.  A Debian one is made once by
mmdebstrap from the machine's own package mirror and kept as a tar file in the cache directory
(``PYROOT_TEST_CACHE``); where mmdebstrap or the mirror is not to be had, the tests that need it are skipped and say
why.
"""

from __future__ import annotations

import fcntl
import functools
import glob
import os
import re
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import cache_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITE = "bookworm"
PACKAGES = ("perl", "python3-minimal", "git", "gcc", "libc6-dev", "make", "procps")
PACKAGES_I386 = ("perl",)
DEBIAN_ROOTS = {
    "debian_root": ("amd64", PACKAGES, SUITE),
    "debian_i386_root": ("i386", PACKAGES_I386, SUITE),
    "trixie_root": ("amd64", PACKAGES_I386, "trixie"),
    "bullseye_root": ("amd64", PACKAGES_I386, "bullseye"),
}
LEFT_OUT = ("./dev/*", "./proc/*", "./sys/*", "./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*")
MAKING_LIMIT = 1800


class Unavailable(Exception):
    """A root file system cannot be made here; the text says why."""


def mirror_of_this_machine() -> str:
    """Return the URI of the package archive that apt uses here for the main part of Debian."""
    paths = ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except OSError:
            continue
        for line in text.splitlines():
            found = re.match(r"(?:URIs:|deb\s+(?:\[[^]]*\]\s+)?)\s*(\S+/debian/?)(?:\s|$)", line)
            if found:
                return found.group(1)
    raise Unavailable("apt's sources name no Debian archive")


def make_debian_tar(target: str, architecture: str, packages: tuple[str, ...], suite: str) -> None:
    """Run mmdebstrap, which an ordinary user may do, too: in a user name space, or with fakechroot."""
    if not shutil.which("mmdebstrap"):
        raise Unavailable("mmdebstrap is not installed")
    print(f"\nmaking a root of Debian {suite} for {architecture}, once: {target}", flush=True)
    command = ["mmdebstrap", "--quiet", "--format=tar", "--variant=minbase", f"--architectures={architecture}"]
    command += [f"--include={','.join(packages)}", suite]
    environment = {**os.environ, "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"}
    try:
        made = subprocess.run(
            [*command, target + ".new", mirror_of_this_machine()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/",
            env=environment, timeout=MAKING_LIMIT, check=False, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"mmdebstrap took more than {MAKING_LIMIT} s") from error
    if made.returncode:
        told = [line for line in made.stdout.splitlines() if line.startswith("E:")] or made.stdout.splitlines()
        raise Unavailable(f"mmdebstrap failed: {told[:1]} (an ordinary user needs uidmap and a range in /etc/subuid, or fakechroot)")
    os.chmod(target + ".new", 0o644)
    os.rename(target + ".new", target)


def make_roots(fixtures: set[str]) -> None:
    """Make the tar files that tests are going to ask for, so that no test's time limit counts the minutes that it takes."""
    for name, kind in DEBIAN_ROOTS.items():
        if name in fixtures:
            try:
                debian_tar(*kind)
            except Unavailable:
                # the tests are skipped, and say it
                continue


@functools.lru_cache(maxsize=4)
def debian_tar(architecture: str = "amd64", packages: tuple[str, ...] = PACKAGES, suite: str = SUITE) -> str:
    """Return the path of the tar file, made now if it is not in the cache; one process makes it."""
    kind = "" if architecture == "amd64" else f"{architecture}-"
    target = os.path.join(cache_directory(), f"debian-{suite}-{kind}{'-'.join(packages)}.tar")
    with open(target + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(target):
            make_debian_tar(target, architecture, packages, suite)
    return target


def static_busybox() -> str:
    """Return the path of this machine's busybox; skip where it has none that runs without libraries."""
    program = shutil.which("busybox")
    if not program:
        pytest.skip("busybox is not installed (package busybox-static)")
    with open(program, "rb") as file:
        if b"/ld-linux" in file.read():
            pytest.skip("busybox is not static (package busybox-static)")
    return program


def directory_for_user() -> str:
    """Make a directory that the ordinary user owns, with a short path that the user can reach."""
    path = tempfile.mkdtemp(prefix="pyroot-root-", dir="/var/tmp")
    if os.geteuid() == 0:
        os.chown(path, helpers.NOBODY, helpers.NOBODY)
    os.chmod(path, 0o755)
    return path


def remove(path: str) -> None:
    """Remove a root, also where it holds directories without rights."""
    for folder, names, _ in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)
            if not os.path.islink(full) and not os.access(full, os.R_OK | os.W_OK | os.X_OK):
                os.chmod(full, 0o700)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def debian_root() -> Iterator[str]:
    """Unpack the Debian root as the ordinary user."""
    yield from unpacked(*DEBIAN_ROOTS["debian_root"])


@pytest.fixture(scope="session")
def debian_i386_root() -> Iterator[str]:
    """Unpack a Debian root of 32-bit programs."""
    yield from unpacked(*DEBIAN_ROOTS["debian_i386_root"])


@pytest.fixture(scope="session")
def trixie_root() -> Iterator[str]:
    """Unpack a root of the Debian after SUITE."""
    yield from unpacked(*DEBIAN_ROOTS["trixie_root"])


@pytest.fixture(scope="session")
def bullseye_root() -> Iterator[str]:
    """Unpack a root of the Debian before SUITE."""
    yield from unpacked(*DEBIAN_ROOTS["bullseye_root"])


def unpacked(architecture: str, packages: tuple[str, ...], suite: str) -> Iterator[str]:
    """Unpack a Debian root as the ordinary user, and remove it afterwards."""
    try:
        tar = debian_tar(architecture, packages, suite)
    except Unavailable as reason:
        pytest.skip(f"no Debian root: {reason}")
    parent = directory_for_user()
    root = os.path.join(parent, "rootfs")
    os.mkdir(root)
    if os.geteuid() == 0:
        os.chown(root, helpers.NOBODY, helpers.NOBODY)
    left_out = [f"--exclude={pattern}" for pattern in LEFT_OUT]
    subprocess.run(["tar", "-x", "-p", "-f", tar, "-C", root, *left_out], check=True, preexec_fn=helpers.drop_to_ordinary_user)
    yield root
    remove(parent)


@pytest.fixture(scope="session")
def busybox_root() -> Iterator[str]:
    """Make a root of one static busybox and links to it."""
    program = static_busybox()
    parent = directory_for_user()
    root = os.path.join(parent, "rootfs")
    for name in ("", "bin", "etc", "tmp", "proc", "sys", "dev", "home"):
        os.makedirs(f"{root}/{name}")
    shutil.copy2(program, f"{root}/bin/busybox")
    for applet in subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            os.symlink("busybox", f"{root}/bin/{applet}")
    with open(f"{root}/etc/passwd", "w", encoding="ascii") as file:
        file.write("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    with open(f"{root}/etc/group", "w", encoding="ascii") as file:
        file.write("root:x:0:\nnogroup:x:65534:\n")
    give(root)
    yield root
    remove(parent)


@pytest.fixture(scope="session")
def made_root(pyroot_words: list[str]) -> Iterator[str]:
    """Let ``pyroot new`` make a root, as the ordinary user."""
    parent = directory_for_user()
    root = os.path.join(parent, "rootfs")
    environment = {**helpers.pyroot_command()[1], "PATH": os.environ.get("PATH", os.defpath), "HOME": "/tmp"}
    made = helpers.run([*pyroot_words, "new", root], environment=environment, timeout=120)
    assert made.status == 0, made.stderr
    yield root
    remove(parent)


def give(root: str) -> None:
    """Make the ordinary user the owner of everything in a root."""
    if os.geteuid() != 0:
        return
    for folder, names, files in os.walk(root):
        for name in [".", *names, *files]:
            os.chown(os.path.join(folder, name), helpers.NOBODY, helpers.NOBODY, follow_symlinks=False)


def inside(root: str, guest: str, limit: int = 40) -> str:
    """Return the host path of a guest path with the links of the root followed inside it (test set-up only)."""
    done: list[str] = []
    waiting = [name for name in guest.split("/") if name]
    while waiting:
        name = waiting.pop(0)
        path = "/".join([root, *done, name])
        if name == "..":
            done = done[:-1]
        elif os.path.islink(path) and limit:
            limit -= 1
            text = os.readlink(path)
            done = [] if text.startswith("/") else done
            waiting = [part for part in text.split("/") if part and part != "."] + waiting
        else:
            done.append(name)
    return "/".join([root, *done])
