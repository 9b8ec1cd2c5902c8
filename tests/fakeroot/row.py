"""What a row of the table is: packages, what is done as root, and what may differ between any two runs of it."""

from __future__ import annotations

from dataclasses import dataclass

# Keys, logs and caches, which differ between any two runs: of these only the stat is compared.
UNREAD = (
    r"^/var/(log|cache)/|^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|^/etc/ld.so.cache|^/etc/ssh/ssh_host|\.pyc$|^/etc/machine-id"
    r"|^/var/lib/(dpkg/(status|available|triggers)|apt/|systemd/|ucf/|pam/|dbus/machine-id)|^/var/lib/dpkg/.*-old$|random-seed"
)
# What only one side has: what pyroot or the harness put there, and what a program that ran left behind for the moment.
UNLISTED = r"^/(look|proc|dev|sys|repo)(/|$)|^/run/(lock|shm|user)/|^/tmp/|\.lock$"


@dataclass(frozen=True)
class Row:
    """One thing that root does.

    ``base`` are packages that the root has besides the minimal ones, ``archive`` those that are in the repository /repo, with all that
    they depend on; ``prepare`` is run by real root before the root is copied, with the network. ``script`` is run by bash as root, of both
    sides; its output, status and the tree afterwards are compared.
    """

    name: str
    script: str
    base: str = ""
    archive: str = ""
    prepare: str = ""
    below: str = ""  # the root is this directory of the one that has been made
    devices: bool = True  # /dev and /proc are the host's; without, real root mounts what it needs, and fake root is given /proc
    changes: tuple[tuple[str, str], ...] = ()  # substitutions in the output: pattern, replacement
    unread: str = "^$"
    unlisted: str = "^$"
    silent: bool = False  # the output is not compared
    limit: float = 900.0
