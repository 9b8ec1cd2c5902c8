"""Small sound roots, and the ways to break one: what the tests of the doctor share.

A defect is one function that damages one thing in a root which is sound otherwise.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests import helpers

PROGRAMS = ("sh", "bash", "ls", "cat", "env", "mkdir", "echo")
DEVICES = {"null": (1, 3), "zero": (1, 5), "random": (1, 8), "urandom": (1, 9), "full": (1, 7), "tty": (5, 0), "ptmx": (5, 2)}


def make_sound_root(top: Path) -> Path:
    """Let `pyroot new` make a root of a few programs, and complete it."""
    from pyroot.rootfs import new

    assert new.main([str(top), *PROGRAMS]) == 0
    (top / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    (top / "etc/shadow").write_text("root:*:::::::\n")
    if os.geteuid() == 0:
        for name, (major, minor) in DEVICES.items():
            os.mknod(top / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            os.chmod(top / "dev" / name, 0o666)
    return top


def give(root: Path) -> None:
    """Make the ordinary user the owner, as if that user had made it."""
    if os.geteuid() == 0:
        for folder, names, files in os.walk(root):
            for name in [".", *names, *files]:
                os.chown(os.path.join(folder, name), helpers.NOBODY, helpers.NOBODY, follow_symlinks=False)


def inside(root: Path, guest: str) -> Path:
    """Give the host path of a guest path, links followed in the root."""
    from pyroot.elf import Rooted

    rooted = Rooted(root)
    return Path(os.fsdecode(rooted.host(rooted.trace(os.fsencode(guest)).real)))


def library(root: Path, name: str) -> Path:
    """Give the file of a library in the root."""
    found = [path for path in root.rglob(name) if "hwcaps" not in str(path)]
    assert found, f"the root has no {name}"
    return found[0].resolve() if not found[0].is_symlink() else inside(root, "/" + str(found[0].relative_to(root)))


def interpreter(root: Path) -> Path:
    """Give the file of the ELF interpreter in the root."""
    from pyroot.elf import read_elf

    interp = read_elf(str(inside(root, "/bin/ls"))).interp
    assert interp is not None
    return inside(root, os.fsdecode(interp))


def patch(path: Path, offset: int, data: bytes) -> None:
    """Overwrite some bytes of a file."""
    mode = path.stat().st_mode
    path.chmod(0o755)
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)
    path.chmod(stat.S_IMODE(mode))


def truncate(path: Path, size: int) -> None:
    """Cut a file off."""
    os.truncate(path, size)


def script(root: Path, head: str, name: str = "tool") -> None:
    """Put a script into a program directory."""
    path = inside(root, "/bin") / name
    path.write_bytes(head.encode())
    path.chmod(0o755)


def other_version(root: Path) -> None:
    """Let libtinfo offer versions of another name."""
    path = library(root, "libtinfo.so.6")
    data = path.read_bytes()
    found = re.search(rb"NCURSES6_TINFO_5\.0\.19991023\0", data)
    assert found
    patch(path, found.start(), b"NCURSES9")


def library_not_in_cache(root: Path) -> None:
    """Move libtinfo to a directory that ld.so.conf names and the cache does not."""
    from pyroot.elf.ldcache import build_cache, parse_cache

    path = library(root, "libtinfo.so.6")
    (root / "opt/lib").mkdir(parents=True)
    shutil.move(path, root / "opt/lib/libtinfo.so.6")
    for link in root.rglob("libtinfo.so.6"):
        if link.is_symlink():
            link.unlink()
    conf = root / "etc/ld.so.conf"
    conf.write_text((conf.read_text() if conf.exists() else "") + "include ld.so.conf.d/*.conf\n")
    (root / "etc/ld.so.conf.d").mkdir(exist_ok=True)
    (root / "etc/ld.so.conf.d/own.conf").write_text("# ours\n/opt/lib\n")
    cache = root / "etc/ld.so.cache"
    cache.write_bytes(build_cache([one for one in parse_cache(cache.read_bytes()) if not one.name.startswith(b"libtinfo")]))


def no_cache(root: Path) -> None:
    """The same without any cache."""
    library_not_in_cache(root)
    (root / "etc/ld.so.cache").unlink()


def lines(path: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    """Change a text file of the root."""

    def act(root: Path) -> None:
        file = root / path
        file.write_text(change(file.read_text()))

    return act


def remove(guest: str) -> Callable[[Path], None]:
    """Remove a file, a link or an empty directory."""

    def act(root: Path) -> None:
        path = root / guest.lstrip("/")
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    return act


def mode(guest: str, bits: int) -> Callable[[Path], None]:
    """Change the mode of what a guest path leads to."""
    return lambda root: inside(root, guest).chmod(bits)


def link(guest: str, text: str) -> Callable[[Path], None]:
    """Put a link in the place of a file."""

    def act(root: Path) -> None:
        path = root / guest.lstrip("/")
        if os.path.lexists(path):
            path.unlink()
        path.symlink_to(text.format(root=root))

    return act


def becomes_file(guest: str) -> Callable[[Path], None]:
    """Put a plain file in the place of a directory or a device."""

    def act(root: Path) -> None:
        remove(guest)(root)
        (root / guest.lstrip("/")).write_text("")

    return act


def unmerge(root: Path) -> None:
    """Make /sbin a directory beside links into /usr."""
    (root / "usr/sbin").mkdir(exist_ok=True)
    (root / "sbin").unlink(missing_ok=True)
    (root / "sbin").mkdir()


def unlink_library(root: Path, name: str) -> None:
    """Remove a library and the links that lead to it."""
    for path in list(root.rglob(name.rpartition(".so")[0] + ".so*")):
        path.unlink()


def two_links_to_one_place(root: Path) -> None:
    """Let two names of programs lead to a directory that is gone, as with /etc/alternatives."""
    for name in ("dir", "vdir"):
        link(f"usr/bin/{name}", f"/etc/alternatives/{name}")(root)


def interpreter_behind_a_link(root: Path) -> None:
    """Let a script name a link that leads nowhere: the interpreter is told, and not the link as well."""
    link("usr/bin/lang", "/etc/alternatives/lang")(root)
    script(root, "#!/usr/bin/lang\n")


@dataclass(frozen=True)
class Defect:
    """One way to break a root: what the doctor calls it, whether --fix mends it, and what has to be so before."""

    name: str
    code: str
    act: Callable[[Path], None]
    mends: bool = False
    severity: str = "error"
    commands: tuple[str, ...] = ()
    needs: str = ""  # "root" (device nodes), "merged" (a host with /bin -> usr/bin)


DEFECTS = (
    Defect("no ELF interpreter", "elf-interpreter", lambda root: interpreter(root).unlink(), True),
    Defect("no libtinfo", "library-missing", lambda root: unlink_library(root, "libtinfo.so.6"), True),
    Defect("no libc", "library-missing", lambda root: unlink_library(root, "libc.so.6"), True),
    Defect("library cut off", "program-damaged", lambda root: truncate(library(root, "libtinfo.so.6"), 30000)),
    Defect("library empty", "program-damaged", lambda root: truncate(library(root, "libtinfo.so.6"), 0)),
    Defect("program cut off", "program-damaged", lambda root: truncate(inside(root, "/bin/ls"), 40000)),
    Defect("program of 10 bytes", "program-damaged", lambda root: truncate(inside(root, "/bin/ls"), 10)),
    Defect("program empty", "program-damaged", lambda root: truncate(inside(root, "/bin/ls"), 0)),
    Defect("other symbol versions", "symbol-version", other_version),
    Defect("library for another machine", "library-foreign", lambda root: patch(library(root, "libtinfo.so.6"), 18, b"\xb7\0")),
    Defect("program for another machine", "foreign-machine", lambda root: patch(inside(root, "/bin/ls"), 18, b"\xb7\0")),
    Defect("script without interpreter", "script-interpreter", lambda root: script(root, "#!/opt/nosuch/python\n")),
    Defect("script whose env program is missing", "script-interpreter", lambda root: script(root, "#!/usr/bin/env nosuch-tool\n")),
    Defect("script for a program of the host", "script-interpreter", lambda root: script(root, "#!/usr/bin/head -3\n"), True),
    Defect("script with CR LF", "script-line-end", lambda root: script(root, "#!/bin/sh\r\necho\r\n")),
    Defect("x bit lost", "not-executable", mode("/bin/ls", 0o644), True),
    Defect("x bit of the ELF interpreter lost", "not-executable", lambda root: interpreter(root).chmod(0o644), True),
    Defect("x bit of the command lost", "not-executable", mode("/bin/ls", 0o644), True, commands=("ls",)),
    Defect("unreadable program", "not-readable", mode("/bin/ls", 0o311), True),
    Defect("unreadable library", "not-readable", lambda root: library(root, "libtinfo.so.6").chmod(0), True),
    Defect("library that the cache does not know", "loader-index", library_not_in_cache, True),
    Defect("no cache, library in a directory of ld.so.conf", "loader-index", no_cache, True),
    Defect("damaged cache", "loader-index-damaged", lambda root: truncate(root / "etc/ld.so.cache", 30), True, "warning"),
    Defect(
        "preloaded library missing",
        "preload",
        lambda root: (root / "etc/ld.so.preload").write_text("/lib/libx.so\n") and None,
        severity="warning",
    ),
    Defect(
        "path file of musl",
        "musl-path",
        lambda root: (root / "etc/ld-musl-x86_64.path").write_text("/nowhere\n") and None,
        severity="warning",
    ),
    Defect("no /dev/null", "dev-missing", remove("dev/null"), needs="root"),
    Defect("/dev/null is a file", "dev-wrong", becomes_file("dev/null"), needs="root"),
    Defect("/dev/null closed", "dev-rights", mode("/dev/null", 0o400), True, needs="root"),
    Defect("no passwd", "passwd-missing", remove("etc/passwd"), True),
    Defect("no group", "group-missing", remove("etc/group"), True),
    Defect("damaged passwd", "account-damaged", lines("etc/passwd", lambda text: text + "broken:x:12\n")),
    Defect("no user 0", "no-root-account", lines("etc/passwd", lambda text: re.sub("(?m)^root:.*\n", "", text)), True, "warning"),
    Defect("no nsswitch.conf", "nsswitch-missing", remove("etc/nsswitch.conf"), True, "warning"),
    Defect(
        "nss module missing",
        "nss-module",
        lines("etc/nsswitch.conf", lambda text: re.sub("(?m)^passwd:.*", "passwd: compat", text)),
        True,
    ),
    Defect("hosts without service", "nsswitch-empty", lines("etc/nsswitch.conf", lambda text: re.sub("(?m)^hosts:.*", "hosts:", text))),
    Defect("no hosts", "hosts-missing", remove("etc/hosts"), True, "warning"),
    Defect("hosts without localhost", "hosts-missing", lines("etc/hosts", lambda text: "# localhost\n"), True, "warning"),
    Defect("resolv.conf leads nowhere", "resolv-missing", link("etc/resolv.conf", "../run/systemd/resolve/x"), True, "warning"),
    Defect(
        "shell of root missing",
        "shell-missing",
        lines("etc/passwd", lambda text: text.replace(":/bin/bash", ":/bin/zsh")),
        severity="warning",
    ),
    Defect("no /tmp", "tmp-missing", remove("tmp"), True),
    Defect("/tmp is a file", "tmp-missing", becomes_file("tmp")),
    Defect("/tmp closed", "tmp-rights", mode("/tmp", 0o555), True),
    Defect("/var/tmp closed", "tmp-rights", mode("/var/tmp", 0o555), True),
    Defect("/etc closed", "directory-closed", mode("/etc", 0o600), True),
    Defect("library directory closed", "directory-closed", mode("/usr/lib", 0o000), True),
    Defect("no /bin", "merged-usr", remove("bin"), True, needs="merged"),
    Defect("/lib64 leads nowhere", "merged-usr", link("lib64", "usr/lib65"), True, needs="merged"),
    Defect("/sbin is a directory", "merged-usr-mixed", unmerge, severity="warning", needs="merged"),
    Defect("link with the host's path", "link-to-host", link("usr/bin/dir", "{root}/usr/bin/ls"), True),
    Defect("program that leads nowhere", "program-dangling", link("usr/bin/dir", "../../opt/nosuch/dir")),
    Defect("what a link of a program leads to is missing", "program-dangling", two_links_to_one_place),
    Defect("interpreter behind a link missing", "script-interpreter", interpreter_behind_a_link),
    Defect("command missing", "command-missing", lambda root: None, commands=("nosuch-tool",)),
    Defect("command by path missing", "command-missing", lambda root: None, commands=("/opt/tool",)),
    Defect("command of the host", "command-missing", lambda root: None, True, commands=("head",)),
)
