"""Checks of programs: the chain from a command to its interpreters, as the kernel walks it.

Decides: which missing or unfit file is named by which code, so that one defect gives one finding. What is found where is
`pyroot.elf`'s; libraries have checks of their own (`libraries`). Source of the facts: execve(2), elf(5).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from pyroot.doctor.chain import (
    candidates,
    copy_of,
    damage_of,
    foreign_programs,
    grouped,
    in_broken_directory,
    readable,
    under_another_name,
    wanted_by,
)
from pyroot.doctor.layout import broken_directories
from pyroot.doctor.registry import ERROR, NOTE, Finding, check, gathered
from pyroot.doctor.settings import lost_link
from pyroot.doctor.steps import MARK, Chmod, DropMark, Link, Step, UnixLines
from pyroot.elf.closure import ELF_INTERPRETER, ENV_PROGRAM, PROGRAM, SCRIPT_INTERPRETER, TOO_LONG, Item, is_executable
from pyroot.elf.reader import read_head
from pyroot.errors import shell_word
from pyroot.reading.view import PROGRAM_DIRECTORIES, View, shown_names
from pyroot.verbs.near import near_names

_MOST_FILES = 5000

# --- the program itself -----------------------------------------------------------------------------------------------


@check(
    "no-programs",
    ERROR,
    "/usr/bin, /bin, /usr/sbin, /sbin, then all of the root",
    "a directory without programs is not a root file system",
)
def no_programs(view: View) -> Iterator[Finding]:
    """Find a root with no program directory, or with empty ones, and no program elsewhere."""
    if view.commands or broken_directories(view) or any(True for _entry in view.program_files()):
        return
    if any(view.is_file(top) for top in (b"/bin", b"/usr/bin")):
        return  # a link that became a text: told as such
    quoted, below = shell_word(view.spelled), _roots_below(view)
    if below:
        inner = shell_word(f"{view.spelled.rstrip('/')}/{os.fsdecode(below)}")
        yield Finding(b"/", f"has neither /bin nor /usr/bin, and /{os.fsdecode(below)} looks like the root", f"pyroot doctor {inner}")
        return
    own = _first_program(view)
    what = "there is no program in /bin, /usr/bin, /sbin or /usr/sbin"
    if own:
        yield Finding(own, f"is a program; {what}", f"pyroot doctor {quoted} {shell_word(os.fsdecode(own))} examines it", severity=NOTE)
    elif not any(view.closed(directory) for directory in PROGRAM_DIRECTORIES):
        yield Finding(b"/", what, f"pyroot new --add {quoted}")


def _roots_below(view: View) -> bytes:
    """Give the one directory at the top that has program directories itself, as an archive may bring one."""
    inner = [name for name in view.list(b"/") if any(view.is_directory(b"/" + name + part) for part in (b"/bin", b"/usr/bin"))]
    return inner[0] if len(inner) == 1 and not view.is_directory(b"/bin") and not view.is_directory(b"/usr/bin") else b""


def _first_program(view: View) -> bytes:
    """Find a program anywhere in a small root; a large tree is not searched to its end."""
    looked = 0
    for base, directories, names in os.walk(view.rooted.root or b"/"):
        directories.sort()
        for name in sorted(names):
            looked += 1
            path = base[len(view.rooted.root) :].rstrip(b"/") + b"/" + name
            if looked > _MOST_FILES:
                return b""
            if is_executable(view.rooted, path) and _is_program(view, path):
                return path
    return b""


@check("command-missing", ERROR, "each COMMAND, by path or in the usual directories", "a command that is not there gives status 127")
def command_missing(view: View) -> Iterator[Finding]:
    """Find commands that the root does not have."""
    for item in view.missing(PROGRAM):
        if item.problem not in ("not found in PATH", "does not exist", "is a directory", "is not a regular file"):
            continue
        places = [directory + b"/" + item.path for directory in PROGRAM_DIRECTORIES if b"/" not in item.path]
        if any(view.is_file(place) or view.link(place) is not None for place in places):
            continue  # exists, but without the x bit, or as a dangling symbolic link
        if in_broken_directory(view, item.path):
            continue
        names = (os.fsdecode(os.path.basename(path)) for path, _place in view.program_files())
        near = near_names(os.fsdecode(os.path.basename(item.path)), names)
        source = _of_host(item.path)
        mend, steps = copy_of(view, source) if source else ("", ())
        mend = mend or (f"did you mean {', '.join(near)}?" if near else "install it in the root")
        what = item.problem + (f"; near names: {', '.join(near)}" if near else "")
        yield Finding(item.path, what, mend, steps)


@check(
    "not-executable",
    ERROR,
    "x bits of programs and of the interpreters that they name",
    "the kernel refuses a program, and a program whose interpreter is refused, with EACCES",
)
def not_executable(view: View) -> Iterator[Finding]:
    """Find programs that lost their x bit: files in program directories that are programs by their first bytes."""
    wanted = [path for path, _place in view.program_files()]
    if view.commands:
        by_name = [directory + b"/" + name for name in view.commands if b"/" not in name for directory in PROGRAM_DIRECTORIES]
        wanted = [name for name in view.commands if b"/" in name] + by_name
    wanted += [item.path for item in view.closure.items if item.why in (ELF_INTERPRETER, SCRIPT_INTERPRETER) and item.trace]
    found: list[Finding] = []
    for path, trace, status in view.each(wanted, stat.S_ISREG):
        if view.may(status, os.X_OK) or status.st_mode & 0o7000 or not _is_program(view, trace.real):
            continue
        mode = stat.S_IMODE(status.st_mode)
        steps = (Chmod(trace.real, mode | (mode >> 2 & 0o111) | 0o100),) if view.owns(status) else ()
        what = f"has mode {mode:04o}, without an x bit for you" if mode & 0o111 else f"has no x bit (mode {mode:04o})"
        found.append(Finding(path, what, f"chmod +x {view.outside(trace.real)}", steps))
    yield from gathered(found, view)


def _of_host(name: bytes) -> bytes:
    """Look a program of this host up in PATH; empty if there is none."""
    import shutil

    return os.fsencode(shutil.which(os.fsdecode(name)) or "")


def _is_program(view: View, real: bytes) -> bool:
    try:
        head = read_head(view.rooted.host(real), 4)
    except OSError:
        return False
    return head.startswith((b"#!", b"\x7fELF"))


@check(
    "not-readable",
    ERROR,
    "r bits of programs and libraries",
    "pyroot opens a program to start it, and the loader opens its libraries: both need read permission",
)
def not_readable(view: View) -> Iterator[Finding]:
    """Find programs and libraries that the user may not read."""
    files = [] if view.commands else [path for path, _place in view.program_files()]
    files += [item.path for item in view.closure.items if item.trace]
    for item in view.closure.items:
        if item.missing:
            files += [item.path] if item.path.startswith(b"/") else candidates(view, item.path)
            files += [item.place] if item.place else []
    for path, trace, status in view.each(files, stat.S_ISREG):
        if view.may(status, os.R_OK) or status.st_mode & 0o6000:
            continue
        mode = stat.S_IMODE(status.st_mode)
        steps = (Chmod(trace.real, mode | 0o444),) if view.owns(status) else ()
        yield Finding(path, f"you may not read it (mode {mode:04o})", f"chmod +r {view.outside(trace.real)}", steps)


@check(
    "program-damaged",
    ERROR,
    "size and headers of programs and libraries",
    "a file that was not copied or unpacked to its end does not start, or crashes",
)
def program_damaged(view: View) -> Iterator[Finding]:
    """Find programs and libraries that are empty, truncated, or not sound ELF files."""
    seen: set[bytes] = set()
    for item in view.closure.items:
        if item.trace is not None:
            if item.trace.real in seen:
                continue
            seen.add(item.trace.real)
            size = os.stat(view.rooted.host(item.trace.real)).st_size
            ends = view.versions(item.trace.real).ends
            if size == 0 and item.why != "data":
                yield _damaged(view, item.path, "is empty")
            elif size < ends:
                yield _damaged(view, item.path, f"ends after {size} of {ends} bytes")
        elif damage := damage_of(view, item):
            path = item.path if item.path.startswith(b"/") else next(iter(candidates(view, item.path)), item.path)
            trace, status = view.find(path), view.stat(path)
            if trace is not None and lost_link(view, trace.real):
                continue  # told as that
            if trace is not None and status is not None and 0 < status.st_size < view.versions(trace.real).ends:
                damage = f"ends after {status.st_size} of {view.versions(trace.real).ends} bytes"
            if path not in seen:
                seen.add(path)
                yield _damaged(view, path, damage)


def _damaged(view: View, path: bytes, what: str) -> Finding:
    mend, steps = copy_of(view, path)
    trace = view.find(path)
    if steps:
        mend = f"rm {view.outside(trace.real if trace else path)} && {mend}"
    return Finding(path, what, mend or "install the package that brings it again", ())


@check(
    "foreign-machine",
    ERROR,
    "class and machine in the ELF header of programs",
    "the kernel refuses a program for another processor with ENOEXEC; pyroot does not emulate one",
)
def foreign_machine(view: View) -> Iterator[Finding]:
    """Find programs for another processor, one finding for each kind."""
    kinds: dict[str, list[bytes]] = {}
    for path, identity in foreign_programs(view):
        kinds.setdefault(str(identity), []).append(path)
    for kind, paths in kinds.items():
        more = f", and so {'is' if len(paths) == 2 else 'are'} {shown_names(paths[1:])}" if len(paths) > 1 else ""
        ours = os.uname().machine
        yield Finding(paths[0], f"is a {kind} program{more}; this machine runs {ours}", f"use a root made for {ours}")


# --- what it names ------------------------------------------------------------------------------------------------------


@check(
    "script-interpreter",
    ERROR,
    "the #! line of scripts, and the program that env is asked to run",
    "the kernel starts the interpreter, and says ENOENT about the script when that is missing",
)
def script_interpreter(view: View) -> Iterator[Finding]:
    """Find scripts whose interpreter is not in the root."""
    for path, items in grouped(view, list(view.missing(SCRIPT_INTERPRETER, ENV_PROGRAM))).items():
        if path.endswith(b"\r") or in_broken_directory(view, path) or items[0].problem == "cannot be read" or damage_of(view, items[0]):
            continue
        if items[0].why == ENV_PROGRAM and b" " in path and items[0].needed_by:
            yield _unsplit(view, items[0])
            continue
        source = path if b"/" in path else _of_host(path)
        mend, steps = copy_of(view, source) if source else ("", ())
        if view.is_file(path) and items[0].problem == "does not exist":
            continue
        if items[0].problem == TOO_LONG:
            mend = "name it by a shorter path (a symbolic link), or as #!/usr/bin/env NAME"
        mend = mend or "install it, or let the script name an interpreter that is there"
        yield Finding(path, f"{items[0].problem}; wanted by {wanted_by(view, items)}", mend, steps)


def _unsplit(view: View, item: Item) -> Finding:
    """Tell of a #! line with two words for env: the kernel gives it one, blanks and all."""
    name, script = os.fsdecode(item.path), item.needed_by or b""
    trace = view.find(script)
    mend = f"sed -i '1s,env ,env -S ,' {view.outside(trace.real if trace else script)}"
    return Finding(script, f"its #! line asks env for one program of the name {name!r}: the kernel does not split what follows env", mend)


@check(
    "script-mark",
    ERROR,
    "a byte order mark before the #! of scripts",
    "for the kernel the file does not begin with #!: ENOEXEC, and shells take it for a script of their own",
)
def script_mark(view: View) -> Iterator[Finding]:
    """Find scripts that an editor has given a byte order mark."""
    for item in view.closure.items:
        if item.trace is None or item.why not in (PROGRAM, SCRIPT_INTERPRETER, ENV_PROGRAM) or item.path in view.closure.images:
            continue
        if read_head(view.rooted.host(item.trace.real), 5) == MARK + b"#!":
            step = DropMark(item.trace.real)
            mend = f"sed -i '1s/^\\xef\\xbb\\xbf//' {view.outside(item.trace.real)}"
            yield Finding(item.path, "begins with a byte order mark, and not with #!", mend, (step,))


@check(
    "script-line-end",
    ERROR,
    "the end of the #! line of scripts",
    "the kernel takes the carriage return as part of the interpreter's name, or of its argument",
)
def script_line_end(view: View) -> Iterator[Finding]:
    """Find scripts with Windows line ends."""
    for item in view.missing(SCRIPT_INTERPRETER, ENV_PROGRAM):
        if item.path.endswith(b"\r") and item.needed_by:
            trace = view.find(item.needed_by)
            place = trace.real if trace else item.needed_by
            text = view.read(place) or b""
            steps: tuple[Step, ...] = (UnixLines(place),) if text.count(b"\r\n") == text.count(b"\n") else ()
            yield Finding(item.needed_by, "its #! line ends in CR LF", f"sed -i 's/\\r$//' {view.outside(place)}", steps)


@check(
    "elf-interpreter",
    ERROR,
    "PT_INTERP of programs",
    "the kernel starts the ELF interpreter (ld.so), and says ENOENT about the program when that is missing",
)
def elf_interpreter(view: View) -> Iterator[Finding]:
    """Find ELF interpreters that are missing or unfit."""
    for path, items in grouped(view, list(view.missing(ELF_INTERPRETER))).items():
        if in_broken_directory(view, path) or damage_of(view, items[0]) or view.is_file(path) and not readable(view, path):
            continue
        mend, steps = copy_of(view, path)
        directory = os.path.dirname(path)
        own = [place for place in candidates(view, os.path.basename(path)) if view.find(place)]
        own = own or under_another_name(view, items[0], os.path.basename(path))
        if view.is_file(b"/usr" + path) and view.find(directory) is None and view.link(directory) is None:
            mend, steps = f"link {os.fsdecode(directory)} to {os.fsdecode(b'usr' + directory)}", (Link(directory, b"usr" + directory),)
        elif own and view.stat(path) is None:
            # The root's own loader under another name: this host's may not go with the root's C library.
            text = os.path.relpath(own[0], directory) if view.find(directory) is None else own[0]
            step = Link(path, text)
            mend, steps = f"ln -sfn {step.target} {view.outside(path)}", (step,)
        yield Finding(path, f"{items[0].problem}; needed by {wanted_by(view, items)}", mend or "install the C library in the root", steps)


@check(
    "set-id", NOTE, "set-user-id and set-group-id bits of programs", "in a guest they run with your own rights, not the owner's"
)
def set_id(view: View) -> Iterator[Finding]:
    """Name the programs whose set-id bits will have no effect."""
    names: list[bytes] = []
    for path, _place in view.program_files():
        status = view.stat(path)
        if status and stat.S_ISREG(status.st_mode) and status.st_mode & 0o6000 and view.link(path) is None:
            names.append(path)
    if names:
        yield Finding(
            names[0],
            f"is set-id{'' if len(names) == 1 else ', and so are ' + shown_names(names[1:])}",
            "do not count on sudo, su or mount inside",
        )
