"""Make the parts of a root that are not copied from the host: directories, accounts, and the loader's index.

Decides: what these files say. Source of the facts: hier(7), passwd(5), group(5), nsswitch.conf(5), ld.so(8).

The loader's index, /etc/ld.so.cache, is neither the host's (it names hundreds of files that are missing here) nor made by
ldconfig (which needs chroot(2), so a privileged user): it is written by `pyroot.elf.ldcache`, with one line for each
library that a program finds without RPATH. A symbolic link in a default directory would work too, but it would change $ORIGIN
for the library, show a file where the host has none, and lose the choice between two libraries of one name. With an
index a program also starts with one failed open fewer for each directory that would be tried before. An ld.so.conf
next to it names the directories, so that an ldconfig run inside the root later comes to the same result.
"""
from __future__ import annotations

import grp
import os
import pwd
import re

from pyroot import environment
from pyroot.elf.closure import Closure, Index
from pyroot.elf.ldcache import build_cache, conf_directories, parse_cache
from pyroot.elf.rooted import Rooted
from pyroot.rootfs.install import Installer

_DIRECTORIES = (
    (b"/dev", 0o755), (b"/etc", 0o755), (b"/home", 0o755), (b"/proc", 0o755), (b"/root", 0o700), (b"/run", 0o755),
    (b"/sys", 0o755), (b"/tmp", 0o1777), (b"/usr", 0o755), (b"/var", 0o755), (b"/var/tmp", 0o1777),
)
# If the host has symbolic links here (merged-/usr, merged-/bin), the root gets the same ones.
_LINKED_DIRECTORIES = tuple(
    prefix + name for prefix in (b"/", b"/usr/") for name in (b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32")
)
_NOBODY = 65534
_HOSTS = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_NSSWITCH = b"passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"


def add_directories(installer: Installer) -> None:
    """Make the directories that every system has, and the host's symbolic links among them."""
    for path, mode in _DIRECTORIES:
        installer.directory(path, mode)
    for path in _LINKED_DIRECTORIES:
        if os.path.islink(path) and os.path.isdir(path):
            installer.add(path)


def add_accounts(installer: Installer, shell: str) -> None:
    """Write passwd and group with root, nobody and the caller, and make the caller's home directory."""
    people = {0: f"root:x:0:0:root:/root:{shell}"}
    groups = {0: "root:x:0:", _NOBODY: f"{_group_name(_NOBODY, 'nogroup')}:x:{_NOBODY}:"}
    uid, gid = os.getuid(), os.getgid()
    name, home = _caller(uid)
    if uid not in (0, _NOBODY):
        people[uid] = f"{name}:x:{uid}:{gid}::{home}:{shell}"
    people[_NOBODY] = f"nobody:x:{_NOBODY}:{_NOBODY}:nobody:/nonexistent:/usr/sbin/nologin"
    for number in [gid, *os.getgroups(), _tty_group()]:
        if number > 0 and number not in groups:
            groups[number] = f"{_group_name(number, f'group{number}')}:x:{number}:"
    installer.text(b"/etc/passwd", _lines(people))
    installer.text(b"/etc/group", _lines(dict(sorted(groups.items()))))
    if uid != 0 and home not in ("/", "/nonexistent"):
        installer.directory(os.fsencode(home))


def add_network(installer: Installer) -> None:
    """Write hosts, and nsswitch.conf if the host has none to copy."""
    installer.text(b"/etc/hosts", _HOSTS)
    installer.text(b"/etc/nsswitch.conf", _NSSWITCH)


def add_loader_index(installer: Installer, closure: Closure) -> None:
    """Write or complete the ld.so.cache and the ld.so.conf of every glibc in the closure."""
    for index in closure.indexes.values():
        if index.entries:
            _add_directories_to_conf(installer, index)
            _add_entries_to_cache(installer, index)


def _add_directories_to_conf(installer: Installer, index: Index) -> None:
    rooted = Rooted(installer.root)
    known = conf_directories(rooted, index.conf_path)
    news = [directory for directory in index.directories if directory not in known]
    if not news:
        return
    try:
        old = rooted.read(index.conf_path)
    except OSError:
        old = b""
    if old and not old.endswith(b"\n"):
        old += b"\n"
    installer.rewrite(_end(rooted, index.conf_path), old + b"".join(directory + b"\n" for directory in news))


def _add_entries_to_cache(installer: Installer, index: Index) -> None:
    """Add the new lines to those of an existing cache, which take precedence: nothing that works now may change."""
    rooted = Rooted(installer.root)
    try:
        entries = parse_cache(rooted.read(index.cache_path))
    except (OSError, ValueError):
        entries = []
    known = {(entry.name, entry.flags, entry.hwcaps) for entry in entries}
    news = [entry for entry in index.entries if (entry.name, entry.flags, entry.hwcaps) not in known]
    if news:
        installer.rewrite(_end(rooted, index.cache_path), build_cache(entries + news, index.little))


def _end(rooted: Rooted, path: bytes) -> bytes:
    trace = rooted.find(path)
    return trace.real if trace else path


def _caller(uid: int) -> tuple[str, str]:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        name, home = environment.user(), os.fsdecode(environment.home())
    else:
        name, home = entry.pw_name, entry.pw_dir
    if not re.fullmatch(r"[^:\s/]+", name) or name in ("root", "nobody"):
        name = f"user{uid}"
    if not re.fullmatch(r"/[^:\n]*", home) or ".." in home.split("/"):
        home = "/"
    return name, home


def _group_name(gid: int, fallback: str) -> str:
    try:
        name = grp.getgrgid(gid).gr_name
    except KeyError:
        return fallback
    return name if re.fullmatch(r"[^:\s]+", name) else fallback


def _tty_group() -> int:
    try:
        return grp.getgrnam("tty").gr_gid
    except KeyError:
        return -1


def _lines(entries: dict[int, str]) -> bytes:
    return "".join(line + "\n" for line in entries.values()).encode("utf-8", "surrogateescape")
