"""The Debian root of the sessions: made once by mmdebstrap, kept by the hash of what it is made of, never written to afterwards."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile

from tests.helpers import NOBODY
from tests.oracle.build import cache_directory
from tests.rootfs_fixtures import Unavailable, give

SUITE = "bookworm"
# The user whom sessions run as gets a home and a shell, and whatever started a server must not have left its files.
HOOKS = (
    "chroot $1 usermod --home /home/user --shell /bin/bash nobody",
    "mkdir -p $1/home/user $1/here $1/session",
    "rm -rf $1/var/lib/apt/lists $1/var/cache/apt/archives $1/etc/resolv.conf",
    "mkdir -p $1/var/lib/apt/lists/partial $1/var/cache/apt/archives/partial",
    "printf '127.0.0.1 localhost programs\\n::1 localhost\\n' >$1/etc/hosts",
    "echo programs >$1/etc/hostname",
)
LINES = ("apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages", "Origin: Debian")


def debian_lines() -> list[str]:
    """Return the lines of this machine's apt sources that name Debian's own archive."""
    found = subprocess.run(LINES, capture_output=True, text=True, check=True).stdout.splitlines()
    lines = sorted({line for line in found if line.split()[2].startswith(SUITE)})
    if not lines:
        raise Unavailable(f"apt's sources have nothing of Debian's {SUITE} (apt-get update may help)")
    return lines


def make(target: str, packages: list[str]) -> None:
    """Make the root with one mmdebstrap, and give it to the ordinary user."""
    if shutil.which("mmdebstrap") is None:
        raise Unavailable("mmdebstrap is not installed (apt-get install mmdebstrap)")
    hooks = [f"--customize-hook={hook}" for hook in HOOKS]
    parent = tempfile.mkdtemp(prefix="mmdebstrap-", dir=os.path.dirname(target))
    os.chmod(parent, 0o755)
    try:
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--dpkgopt=force-unsafe-io", "--variant=minbase", f"--include={','.join(packages)}", *hooks, SUITE,
             f"{parent}/root", *debian_lines()],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
        )
        if made.returncode:
            raise Unavailable("mmdebstrap failed:\n" + "\n".join(made.stdout.strip().splitlines()[-12:]))
        give(f"{parent}/root")
        os.chown(f"{parent}/root", NOBODY, NOBODY)
        os.rename(f"{parent}/root", target)
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def root(packages: list[str]) -> str:
    """Return the root with these packages, made now if there is none; one process makes it."""
    digest = hashlib.sha256(repr((SUITE, HOOKS, packages)).encode()).hexdigest()[:16]
    target = os.path.join(cache_directory(), f"programs-{digest}")
    with open(target + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(target):
            make(target, packages)
    return target
