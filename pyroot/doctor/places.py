"""Checks of directories and symbolic links: /tmp, rights of parent directories, merged-/usr, links that dangle or lead to the host.

Decides: which directories a root must have and who must be able to use them. Source: hier(7), path_resolution(7), the /usr
merge as distributions do it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from pyroot.doctor.layout import broken_directories, mixed_directories
from pyroot.doctor.registry import ERROR, NOTE, WARNING, Finding, check
from pyroot.doctor.steps import Chmod, Link, MakeDirectory, Merge, Step, clashes
from pyroot.errors import shell_word
from pyroot.reading.view import PROGRAM_DIRECTORIES, View, shown_names

_WAYS = (
    b"/",
    b"/bin",
    b"/sbin",
    b"/lib",
    b"/lib64",
    b"/etc",
    b"/usr",
    b"/usr/bin",
    b"/usr/sbin",
    b"/usr/lib",
    b"/usr/share",
    b"/var",
    b"/usr/lib64",
    b"/usr/local",
    b"/usr/local/bin",
    b"/usr/lib/x86_64-linux-gnu",
    b"/lib/x86_64-linux-gnu",
)
_LOOP = b""  # the cause of links that lead back to themselves, or to each other
_LINK_PLACES = (b"/etc", b"/lib", b"/lib64", b"/usr/lib", b"/usr/lib64", b"/usr/lib/x86_64-linux-gnu", b"/etc/alternatives")


@check("tmp-missing", ERROR, "/tmp and /var/tmp", "mktemp, compilers, editors and here-documents write there", beside=True)
def tmp_missing(view: View) -> Iterator[Finding]:
    """Find a root without a directory for temporary files."""
    for path in (b"/tmp", b"/var/tmp"):
        status = view.stat(path)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            yield Finding(path, "is not a directory", f"rm {view.outside(path)} && mkdir -m 1777 {view.outside(path)}")
        elif status is None and view.link(path) is None and (path == b"/tmp" or view.is_directory(b"/var")):
            mend = f"mkdir -m 1777 {view.outside(path)}; -R shows the host's /tmp"
            yield Finding(path, "is missing", mend, (MakeDirectory(path, 0o1777),))
        elif status is None and view.link(path) is not None:
            yield _leads_nowhere(view, path, 0o1777)


def _leads_nowhere(view: View, path: bytes, mode: int) -> Finding:
    """Tell of a directory that is a link, whose target is not there."""
    text = view.link(path) or b""
    target = os.path.normpath(os.path.join(os.path.dirname(path), text))
    loops = target == path or view.link(target) is not None
    mend = f"rm {view.outside(path)} && mkdir -m {mode:o} {view.outside(path)}" if loops else f"mkdir -p -m {mode:o} {view.outside(target)}"
    steps = () if loops else (MakeDirectory(target, mode),)
    return Finding(path, f"is a link to {os.fsdecode(text)}, which {'leads nowhere' if loops else 'is not there'}", mend, steps)


@check("tmp-rights", ERROR, "the mode of /tmp, /var/tmp and /dev/shm", "programs that cannot write there give up with EACCES", beside=True)
def tmp_rights(view: View) -> Iterator[Finding]:
    """Find directories for temporary files that the user cannot write to."""
    for path in (b"/tmp", b"/var/tmp", b"/dev/shm"):
        trace, status = view.find(path), view.stat(path)
        if trace is None or status is None or not stat.S_ISDIR(status.st_mode):
            continue
        mode = stat.S_IMODE(status.st_mode)
        # For root every directory is writable: what counts then is whether it is meant to be.
        writable = mode & 0o222 and mode & 0o111 if view.uid == 0 else view.may(status, os.W_OK | os.X_OK)
        if not writable:
            steps = (Chmod(trace.real, 0o1777),) if view.owns(status) else ()
            what, mend = f"you may not write there (mode {mode:04o})", f"chmod 1777 {view.outside(trace.real)}"
            if path == b"/dev/shm" and not steps:
                mend = f"run it with pyroot -R {shell_word(view.spelled)}, or with -b /dev/shm"
            # (a system covers /dev/shm with a tmpfs, whatever is below)
            yield Finding(path, what, mend, steps, severity=WARNING if path == b"/dev/shm" else ERROR)


@check("run-missing", NOTE, "/run, /var/run and their rights", "daemons keep their sockets and process numbers there")
def run_missing(view: View) -> Iterator[Finding]:
    """Find a root without a directory for sockets."""
    if not view.is_directory(b"/run"):
        yield Finding(b"/run", "is missing", f"mkdir {view.outside(b'/run')}; -R shows the host's", (MakeDirectory(b"/run"),))


@check(
    "directory-closed",
    ERROR,
    "r and x bits of the usual directories, and the targets of those that are links",
    "nothing below a directory without x can be reached: EACCES for everything",
)
def directory_closed(view: View) -> Iterator[Finding]:
    """Find directories of the system that the user cannot enter or list."""
    ways = list(_WAYS)
    for item in view.closure.items:
        at = os.path.dirname(item.place or item.path)  # where a library is, or was looked for
        while at.startswith(b"/") and at not in (b"/", *ways):
            ways.append(at)
            at = os.path.dirname(at)
    for path in (b"/etc", b"/usr", b"/var"):
        if view.stat(path) is None and view.link(path) is not None:
            yield _leads_nowhere(view, path, 0o755)
    for path, trace, status in view.each(ways, stat.S_ISDIR):
        mode = stat.S_IMODE(status.st_mode)
        open_to_us = mode & 0o555 if view.uid == 0 else view.may(status, os.R_OK | os.X_OK)
        if not open_to_us or (view.uid == 0 and not mode & 0o111):
            steps = (Chmod(trace.real, mode | 0o755),) if view.owns(status) else ()
            yield Finding(path, f"you may not enter or list it (mode {mode:04o})", f"chmod 755 {view.outside(trace.real)}", steps)


@check(
    "merged-usr",
    ERROR,
    "/bin, /sbin, /lib, /lib64, if they are symbolic links into /usr",
    "#!/bin/sh and /lib64/ld-linux-x86-64.so.2 are written into scripts and programs",
)
def merged_usr(view: View) -> Iterator[Finding]:
    """Find top-level directories that do not lead into /usr although their siblings do."""
    broken = broken_directories(view)
    if broken and not view.list(b"/usr") and not view.closed(b"/usr"):
        what = "is empty" if view.is_directory(b"/usr") else "is missing"
        yield Finding(b"/usr", f"{what}, and {shown_names(list(broken))} lead into it", "mount it, or unpack it again")
        return
    for path, what in broken.items():
        target = b"usr" + path
        if view.is_directory(path):
            yield _hiding(view, path, what)
            continue
        steps: tuple[Step, ...] = (Link(path, target),)
        mend = f"ln -sfn {shell_word(os.fsdecode(target))} {view.outside(path)}"
        if not view.is_directory(b"/" + target):  # what was in it is brought as far as programs ask for it
            steps = (MakeDirectory(b"/" + target), *(steps if view.link(path) != target else ()))
            mend = f"mkdir {view.outside(b'/' + target)}, and bring what was in it (--fix brings the loader)"
        yield Finding(path, what, mend, steps)


def _hiding(view: View, path: bytes, what: str) -> Finding:
    """Tell of a directory that hides the one below /usr; what is in it can be moved there if nothing has to be replaced."""
    here, there = (view.rooted.host(view.rooted.trace(one).real) for one in (path, b"/usr" + path))
    if any(clashes(here + b"/" + name, there + b"/" + name) for name in view.list(path)):
        return Finding(path, what, f"move what is in it to /usr{os.fsdecode(path)} and make it a link")
    inner, outer = view.outside(path), view.outside(b"/usr" + path)
    move = f"mv {inner}/* {outer}/ && rmdir {inner}" if view.list(path) else f"rmdir {inner}"
    return Finding(path, what, f"{move} && ln -s usr{os.fsdecode(path)} {inner}", (Merge(path),))


@check(
    "merged-usr-mixed",
    WARNING,
    "real directories next to symbolic links into /usr",
    "a package was unpacked over a link: some programs are found by one of their two names only",
)
def merged_usr_mixed(view: View) -> Iterator[Finding]:
    """Find a merged root in which one link became a directory."""
    for path in mixed_directories(view):
        yield Finding(
            path,
            f"is a directory, while its siblings are links into /usr; it holds {len(view.list(path))} names",
            f"move what is in it to /usr{os.fsdecode(path)} and make it a link",
        )


@check(
    "link-to-host",
    ERROR,
    "symbolic links whose text is a host path into this root",
    "inside, a link starts at the root's own /, where the host path does not exist",
    beside=True,
)
def link_to_host(view: View) -> Iterator[Finding]:
    """Find symbolic links that were made from outside with the host's path of the root in them."""
    prefix = view.rooted.root
    if not prefix:
        return
    for path, text in _links(view):
        if text.startswith(prefix + b"/") and view.find(path) is None:
            inner = text[len(prefix) :]
            steps = (Link(path, inner),) if view.find(inner) is not None else ()
            yield Finding(
                path, f"is a link to {os.fsdecode(text)}", f"ln -sfn {shell_word(os.fsdecode(inner))} {view.outside(path)}", steps
            )


def _links(view: View) -> Iterator[tuple[bytes, bytes]]:
    """List the symbolic links in the directories of programs, libraries and settings."""
    seen: set[bytes] = set()
    for directory in (*PROGRAM_DIRECTORIES, *_LINK_PLACES):
        trace = view.find(directory)
        if trace is None or trace.real in seen:
            continue
        seen.add(trace.real)
        for name in view.list(directory):
            path = trace.real.rstrip(b"/") + b"/" + name
            text = view.link(path)
            if text is not None:
                yield path, text


def _dangling(view: View) -> Iterator[tuple[bytes, bytes]]:
    prefix = view.rooted.root
    for path, text in _links(view):
        if (
            view.find(path) is None
            and not (prefix and text.startswith(prefix + b"/"))
            and not text.startswith((b"/proc/", b"/run/", b"/dev/"))
        ):
            yield path, text


@check("program-dangling", ERROR, "dangling symbolic links in program directories", "the program is listed and cannot be started: ENOENT")
def program_dangling(view: View) -> Iterator[Finding]:
    """Find dangling names of programs, one finding for each thing that is missing, unless another check names that."""
    real = {trace.real for trace in map(view.find, PROGRAM_DIRECTORIES) if trace} | {b"/usr/bin", b"/usr/sbin"}
    named = {view.dead_end(path) for path in broken_directories(view)}
    named |= {view.dead_end(item.path) for item in view.closure.items if item.missing and item.path.startswith(b"/")}
    found: dict[bytes, list[tuple[bytes, bytes]]] = {}
    for path, text in _dangling(view):
        wanted = not view.commands or path in view.commands or os.path.basename(path) in view.commands
        end = view.dead_end(path)
        if wanted and os.path.dirname(path) in real and end not in named:
            # Many links into one directory, such as /etc/alternatives, have one cause if that directory is missing.
            cause = end if view.find(os.path.dirname(end)) else os.path.dirname(end)
            found.setdefault(_LOOP if view.problem(path) == errno.ELOOP else cause, []).append((path, text))
    for end, links in found.items():
        path, text = links[0]
        first = text if text.startswith(b"/") else os.path.dirname(path) + b"/" + text
        mend = "install the program, or remove the link"
        if view.rooted.root and os.path.isfile(first):
            mend = f"pyroot copy {shell_word(view.spelled)} {shell_word(os.fsdecode(first))}"
        why = "which leads back to itself" if view.problem(path) == errno.ELOOP else f"but {os.fsdecode(end)} is not there"
        more = "" if len(links) == 1 else f"; so {'is' if len(links) == 2 else 'are'} {shown_names([other for other, _text in links[1:]])}"
        yield Finding(path, f"is a link to {os.fsdecode(text)}, {why}{more}", mend)


@check("link-dangling", NOTE, "dangling symbolic links in /etc and the library directories", "opening the name gives ENOENT")
def link_dangling(view: View) -> Iterator[Finding]:
    """Find other dangling symbolic links, in one finding."""
    real = {trace.real for trace in map(view.find, PROGRAM_DIRECTORIES) if trace}
    found = [
        (path, text)
        for path, text in _dangling(view)
        if os.path.dirname(path) not in real and path not in (b"/etc/resolv.conf", b"/etc/localtime", b"/etc/mtab")
    ]
    if found:
        more = "" if len(found) == 1 else f"; so do {len(found) - 1} other links"
        yield Finding(found[0][0], f"leads to {os.fsdecode(found[0][1])}, which is not there{more}", "install what they belong to")


@check(
    "root-noexec",
    ERROR,
    "the mount options of the root's file system",
    "the kernel refuses every program on a file system mounted noexec with EACCES",
)
def root_noexec(view: View) -> Iterator[Finding]:
    """Find a root from which nothing can be started."""
    if os.statvfs(view.rooted.root or b"/").f_flag & os.ST_NOEXEC:
        yield Finding(b"/", "its file system is mounted noexec", "move the root to another file system")


@check(
    "root-full",
    WARNING,
    "free space and free inodes of the root's file system",
    "writing gives ENOSPC, and programs die with half-written files",
)
def root_full(view: View) -> Iterator[Finding]:
    """Find a file system without space."""
    state = os.statvfs(view.rooted.root or b"/")
    if state.f_blocks and state.f_bavail * state.f_frsize < 1 << 20:
        yield Finding(b"/", "less than 1 MiB is free", "make room, or move the root")
    elif state.f_files and state.f_favail < 16:
        yield Finding(b"/", f"only {state.f_favail} inodes are free", "remove files, or move the root")
