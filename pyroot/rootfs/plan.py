"""Choose what a new root is made of.

Decides: the default programs, and what programs need beyond their libraries (name service modules, a locale, terminal
descriptions). Does not decide where files come from (`pyroot.elf`) nor how they get there (`install`). Source of the
facts: nsswitch.conf(5), terminfo(5), locale(7), and what glibc opens with dlopen(3).
"""
from __future__ import annotations

import os
import re
from collections.abc import Sequence

from pyroot import environment
from pyroot.elf.closure import (
    DATA,
    ELF_INTERPRETER,
    ENV_PROGRAM,
    LIBRARY,
    SCRIPT_INTERPRETER,
    STANDARD_PATH,
    Closure,
    Item,
    is_executable,
)
from pyroot.elf.rooted import Rooted
from pyroot.errors import PyrootError
from pyroot.rootfs.work import Left, add_work

NSS_MODULE = "name service module"
GLIBC_HELPER = "library that glibc loads at run time"
LOCALE = "locale"
TERMINAL = "terminal description"

# A shell, what scripts rely on, and tools to look around. No editors, pagers or compilers.
DEFAULT_PROGRAMS = (
    b"sh", b"bash", b"dash", b"[", b"awk", b"basename", b"cat", b"chmod", b"chown", b"cmp", b"cp", b"cut", b"date",
    b"dd", b"df", b"diff", b"dirname", b"du", b"echo", b"env", b"expr", b"false", b"find", b"getent", b"grep", b"gzip",
    b"head", b"hostname", b"id", b"kill", b"ln", b"ls", b"mkdir", b"mktemp", b"mount", b"mv", b"nproc", b"od",
    b"printf", b"ps", b"pwd", b"readlink", b"realpath", b"rm", b"rmdir", b"sed", b"seq", b"sha256sum", b"sleep",
    b"sort", b"stat", b"stty", b"tail", b"tar", b"tee", b"test", b"timeout", b"touch", b"tr", b"true", b"tty",
    b"uname", b"uniq", b"wc", b"which", b"whoami", b"xargs",
)
# The names that other programs refer to: in "#!" lines, in system(3), in a login.
DEFAULT_PATHS = (b"/bin/sh", b"/usr/bin/env")

_TERMINALS = ("dumb", "linux", "screen", "screen-256color", "tmux-256color", "vt100", "xterm", "xterm-256color")
_TERMINFO_DIRECTORIES = (b"/etc/terminfo", b"/lib/terminfo", b"/usr/share/terminfo", b"/usr/lib/terminfo")
_C_LOCALE = b"/usr/lib/locale/C.utf8"  # an archive of other locales is hundreds of MB on some hosts


def choose(programs: Sequence[bytes]) -> tuple[Closure, list[Left]]:
    """Collect the programs, or the default ones for an empty list, and everything that they need, from the host; and what is left.

    Raises PyrootError for the first thing that is missing.
    """
    host = Rooted("/")
    path = environment.path() or STANDARD_PATH
    if programs:
        # An ordinary user's PATH often lacks the sbin directories.
        closure = Closure(host, path + b":/usr/local/sbin:/usr/sbin:/sbin")
        wanted = [_absolute(program) for program in programs]
    else:
        # The system's own tools first: a root is to be the same no matter which user makes it.
        closure = Closure(host, b"/usr/bin:/bin:/usr/sbin:/sbin:" + path)
        wanted = _defaults(closure)
        if not wanted:
            raise PyrootError("new: none of the usual programs is on this host", "name the programs to take")
    for program in wanted:
        closure.add_program(program)
    for item in closure.items:
        if item.missing:
            raise _missing(closure, item)
    left = add_work(closure)
    _add_extras(closure)
    return closure, left


def _absolute(program: bytes) -> bytes:
    """Make a path absolute and drop its empty and "." parts; a name and every ".." stay."""
    if b"/" not in program:
        return program
    full = program if program.startswith(b"/") else os.getcwdb() + b"/" + program
    return b"/" + b"/".join(part for part in full.split(b"/") if part not in (b"", b"."))


def _defaults(closure: Closure) -> list[bytes]:
    """List those of the default programs that the host has and the caller may read."""
    found = [closure.find_program(name) for name in DEFAULT_PROGRAMS]
    found += [path for path in DEFAULT_PATHS if is_executable(closure.rooted, path)]
    return [path for path in found if path is not None and os.access(path, os.R_OK)]


def _missing(closure: Closure, item: Item) -> PyrootError:
    """Say which link of the chain is missing, who needs it, and what to do."""
    name = os.fsdecode(item.path)
    if item.needed_by is None:
        hint = {
            "not found in PATH": "give its path, or install it on this host first",
            "is a directory": "name programs; directories come into a root with -b when it is run",
            "cannot be read": "copying needs read permission: ask for it, or leave the program out",
        }.get(item.problem, "name a program of this host")
        return PyrootError(f"new: {name}: {item.problem}", hint)
    chain = [os.fsdecode(one.path) for one in closure.programs_over(item)]
    who = chain[0] if chain else os.fsdecode(item.needed_by)
    over = f" ({chain[-1]} needs it)" if len(chain) > 1 else ""
    what = {
        LIBRARY: "it needs the library", ELF_INTERPRETER: "its ELF interpreter is",
        SCRIPT_INTERPRETER: "its #! line asks for", ENV_PROGRAM: "its #! line asks env for",
    }.get(item.why, "it needs")
    hint = f"{who} does not start on this host either: install the package that brings {os.path.basename(name)}"
    return PyrootError(f"new: {who}{over}: {what} {name}: {item.problem}", hint)


def _add_extras(closure: Closure) -> None:
    """Add what programs open at run time and would miss at once."""
    if closure.has_glibc:
        closure.add_dlopen(b"libgcc_s.so.1", GLIBC_HELPER)  # for pthread_exit(3), pthread_cancel(3), backtrace(3)
        for module in nss_modules(closure.rooted):
            closure.add_dlopen(b"libnss_" + module + b".so.2", NSS_MODULE)
        closure.add_data(b"/etc/nsswitch.conf", DATA)
        _add_tree(closure, _C_LOCALE, LOCALE)
    for item in closure.items.copy():
        if os.path.basename(item.path).startswith((b"libtinfo", b"libncurses")):
            _add_terminals(closure, item.path)
            break


def nss_modules(rooted: Rooted) -> list[bytes]:
    """List the modules that nsswitch.conf names, in order; glibc's own default without one."""
    try:
        text = rooted.read(b"/etc/nsswitch.conf")
    except OSError:
        return [b"files", b"dns"]
    found: list[bytes] = []
    for line in text.splitlines():
        services = re.sub(rb"\[[^]]*\]", b" ", line.split(b"#", 1)[0]).partition(b":")[2]
        found += [word for word in services.split() if re.fullmatch(rb"[A-Za-z0-9_+-]+", word)]
    return list(dict.fromkeys(found))


def _add_terminals(closure: Closure, needed_by: bytes) -> None:
    names = [environment.terminal(), *_TERMINALS]
    for name in dict.fromkeys(names):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+._-]*", name):
            continue
        for directory in _TERMINFO_DIRECTORIES:
            if closure.add_data(directory + f"/{name[0]}/{name}".encode(), TERMINAL, needed_by):
                break


def _add_tree(closure: Closure, directory: bytes, why: str) -> None:
    for base, _, names in os.walk(directory):
        for name in sorted(names):
            closure.add_data(base + b"/" + name, why)
