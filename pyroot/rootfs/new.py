"""`pyroot new`: make a small root file system out of the host's own programs.

Decides: the verb's options, and the order of the work: everything is chosen and checked first (`plan`), then a new
root is filled next to its final path and moved there in one step, so that a failure leaves nothing half-made. An existing
directory, empty or with --add, is filled where it is; there a failure takes back what was made.
"""
from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from pyroot import report
from pyroot.config import DEVICES
from pyroot.elf.closure import ENV_PROGRAM, PROGRAM, SCRIPT_INTERPRETER, Closure, Item
from pyroot.errors import PyrootError, shell_word, text_of
from pyroot.plain import record
from pyroot.rootfs import runtimes, skeleton
from pyroot.rootfs.install import Installer, write_failure
from pyroot.rootfs.plan import choose
from pyroot.rootfs.work import Left
from pyroot.verbs.output import put
from pyroot.verbs.words import Verb, flag

NEW = Verb(
    "new",
    """\
usage: pyroot new [OPTION...] DIR [PROGRAM...]

Make a root file system in DIR out of this host's own programs, with the libraries and
interpreters that they need. Without PROGRAM: a shell and the usual small tools.

A PROGRAM is a name, looked up in PATH, or a path, which is the same in the root.
DIR is created, or an empty directory is used. The standard libraries of Python and Perl,
git's commands and a compiler's parts come with their programs; what else a program opens
while it runs (installed packages, plug-ins, data) does not, and is named. A root with git
or perl asks pyroot -r for /dev/null and its like (DIR/.pyroot/devices), which only root
can make.
""",
    (
        flag("--add", "add to an existing root; files that are there are kept"),
        flag("--list", "only print what would be copied, and why; DIR may be omitted"),
        flag("-v, --verbose", "name every file"),
    ),
    17,
    letters=True,
)


_WHY_DEVICES = b"""\
pyroot -r shows /dev/null, zero, full, random, urandom and tty in this root: git and perl do not start without them, and only root can make
them. Remove this file, and it does not.
"""


class Ended(BaseException):
    """A signal that ends the process, after what was made has been taken back."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Give the exit status; raises PyrootError for a user's mistake."""
    words = NEW.read(argv)
    if "help" in words.flags:
        put(NEW.usage())
        return 0
    directory, programs = os.fsencode(words.rest[0] if words.rest else ""), [os.fsencode(word) for word in words.rest[1:]]
    if not directory and "list" not in words.flags:
        raise PyrootError("new: no directory given", "say where: pyroot new DIR [PROGRAM...]")
    if "verbose" in words.counts:
        report.set_verbosity(report.verbosity() + words.counts["verbose"])
    if "list" in words.flags:
        _print_list(*choose(programs))
        return 0
    target = _target(directory, "add" in words.flags)
    closure, left = choose(programs)
    try:
        with signals_raised():
            installer = _make(target, closure)
    except Ended as end:
        os.kill(os.getpid(), end.number)
        return 128 + end.number
    _summary(directory, closure, installer, left)
    return 0


@record(frozen=True)
class Target:
    """Where the root goes: its canonical path, and whether a directory is there already."""

    path: bytes
    exists: bool


def _target(directory: bytes, add: bool) -> Target:
    """Check where the root is to be made. Raises PyrootError."""
    name = os.fsdecode(directory)
    path = os.path.realpath(directory)
    try:
        status = os.stat(path)
    except OSError:
        parent = os.path.dirname(path)
        if add:
            raise PyrootError(f"new: {name}: does not exist", "--add needs a root; leave it out to make one") from None
        if os.path.islink(directory):
            raise PyrootError(f"new: {name}: is a dangling symbolic link", "give another name") from None
        if not os.path.isdir(parent):
            shown = os.fsdecode(parent)
            raise PyrootError(f"new: {name}: {shown} is not a directory", f"make it first: mkdir -p {shell_word(shown)}") from None
        return Target(path, False)
    if not stat.S_ISDIR(status.st_mode):
        raise PyrootError(f"new: {name}: is not a directory", "give a name that is free, or an empty directory")
    if os.path.samefile(path, "/"):
        raise PyrootError(f"new: {name}: is the root of this host", "give another directory")
    try:
        entries = os.listdir(path)
    except OSError as error:
        raise PyrootError(f"new: {name}: cannot be read: {error.strerror}", "give another directory") from None
    if entries and not add:
        raise PyrootError(
            f"new: {name}: is not empty", "give a name that is free, or --add to add to the root that is there"
        )
    return Target(path, True)


def _make(target: Target, closure: Closure) -> Installer:
    """Make the root, all of it or nothing. Give the installer, which knows what it copied."""
    if target.exists:
        installer = Installer(target.path)
        try:
            _fill(installer, closure)
        except OSError as error:
            installer.undo()
            raise write_failure(error, target.path, target.path) from error
        except BaseException:
            installer.undo()
            raise
        return installer
    parent, name = os.path.split(target.path)
    try:
        aside = tempfile.mkdtemp(prefix=b"." + name[:200] + b".", dir=parent)
    except OSError as error:
        why = text_of(error.errno or 0)
        raise PyrootError(f"new: {os.fsdecode(target.path)}: cannot be made: {why}", "choose another place") from error
    try:
        os.chmod(aside, 0o755)
        installer = Installer(aside)
        _fill(installer, closure)
        os.rename(aside, target.path)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise write_failure(error, aside, target.path) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return installer


def _fill(installer: Installer, closure: Closure) -> None:
    skeleton.add_directories(installer)
    for item in closure.items:
        report.note(1, f"new: {_describe(item)}")
        installer.add(item.path)
    if needs_devices(closure):
        installer.text(DEVICES, _WHY_DEVICES)
    names = {os.path.basename(item.path) for item in closure.items if os.path.dirname(item.path).endswith(b"/bin")}
    skeleton.add_accounts(installer, "/bin/bash" if b"bash" in names else "/bin/sh")
    skeleton.add_network(installer)
    skeleton.add_loader_index(installer, closure)


def needs_devices(closure: Closure) -> bool:
    """Tell whether a program of the closure does not even start without /dev/null, which an ordinary user cannot make."""
    programs = (item.path for item in closure.items if item.why in (PROGRAM, SCRIPT_INTERPRETER, ENV_PROGRAM))
    return any(runtimes.kind_of(path) in (runtimes.GIT, runtimes.PERL) for path in programs)


def _describe(item: Item) -> str:
    text = os.fsdecode(item.path)
    if item.trace is not None and item.trace.real != item.path:
        text += f" -> {os.fsdecode(item.trace.real)}"
    text += f": {item.why}"
    if item.needed_by is not None:
        text += f" for {os.fsdecode(item.needed_by)}"
    return text + (f" (by {item.how})" if item.how else "")


def _print_list(closure: Closure, left: list[Left]) -> None:
    for item in closure.items:
        sys.stdout.write(report.printable(_describe(item)) + "\n")
    for one in left:
        sys.stdout.write(report.printable(f"not copied: {os.fsdecode(one.path)}: {one.what}, for {os.fsdecode(one.program)}") + "\n")


def _summary(directory: bytes, closure: Closure, installer: Installer, left: list[Left]) -> None:
    """Say in one line what was made, to a person at a terminal or if asked with -v."""
    if not os.isatty(2) and report.verbosity() < 1:
        return
    programs = {item.path for item in closure.items if item.why in (PROGRAM, SCRIPT_INTERPRETER, ENV_PROGRAM)}
    size = f"{installer.bytes_copied / (1 << 20):.1f} MiB"
    report.note(
        0, f"new: {os.fsdecode(directory)}: {len(programs)} programs, {installer.files_copied} files copied, {size}"
    )
    for one in left:
        report.note(0, f"new: not copied: {os.fsdecode(one.path)}: {one.what}, for {os.fsdecode(one.program)}")


@contextmanager
def signals_raised() -> Iterator[None]:
    """Turn the signals that end a process into an exception for a while, so that what was made is cleaned up."""

    def stop(number: int, frame: object) -> None:
        raise Ended(number)

    old = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    for number in old:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in old:
            signal.signal(number, signal.SIG_DFL)
