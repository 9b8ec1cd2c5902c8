"""Checks of runtimes: interpreters and compilers that are there, start, and lack what they work with.

Decides: which programs are asked whether they work, and with which words; which file of a runtime has to be where. The files are what
`pyroot copy` brings as well (`pyroot.rootfs.runtimes`). A program that does its work when asked is sound, whatever files seem to lack.
Source: Python's getpath, perlrun(1), "Spec Files" in GCC's manual, git(1), iconv_open(3), pthread_cancel(3).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from pyroot.doctor.asking import Answer, ask
from pyroot.doctor.chain import copy_of
from pyroot.doctor.registry import ERROR, NOTE, WARNING, Finding, check
from pyroot.doctor.settings import lost_link
from pyroot.doctor.steps import Copy, Step
from pyroot.elf.closure import ENV_PROGRAM, PROGRAM, SCRIPT_INTERPRETER, Item
from pyroot.elf.search import BadLibrary
from pyroot.errors import shell_word
from pyroot.reading.host import host_library
from pyroot.reading.view import PROGRAM_DIRECTORIES, View, shown_names
from pyroot.rootfs import runtimes

# name of the program, and the words that it is asked with: what ends well and quickly, and reads its library
QUESTIONS = (
    (re.compile(rb"(ba|da|k|mk|z|a)?sh"), ("-c", ":")),
    (re.compile(rb"python(\d(\.\d+)?)?"), ("-c", "import encodings, os, re")),
    (re.compile(rb"perl(5[.\d]*)?"), ("-e", "use strict; use warnings;")),
    (re.compile(rb"(ruby|node|nodejs)([\d.]*)"), ("-e", "0")),
    (re.compile(rb"php([\d.]*)"), ("-r", "0;")),
    (re.compile(rb"lua([\d.]*)"), ("-e", "")),
    (re.compile(rb"java"), ("-version",)),
    (re.compile(rb"git"), ("--version",)),
)  # fmt: skip
_USUAL = (b"sh", b"bash", b"python3", b"perl", b"ruby", b"node", b"git")  # asked if no COMMAND is named


def _question(path: bytes) -> tuple[str, ...] | None:
    name = os.path.basename(path)
    return next((words for pattern, words in QUESTIONS if pattern.fullmatch(name)), None)


def _programs(view: View) -> Iterator[Item]:
    """List the programs that matter and are complete: those that are named, else the usual ones; each file once."""
    broken = {item.path for item in view.closure.items if item.missing}
    broken |= {one.path for item in view.closure.items if item.missing for one in view.closure.programs_over(item)}
    wanted = {name if b"/" in name else os.path.basename(name) for name in view.commands}
    seen: set[bytes] = set()
    traces = [view.find(directory + b"/" + name) for directory in PROGRAM_DIRECTORIES for name in _USUAL]
    usual = {trace.real for trace in traces if trace is not None}
    for item in view.closure.items:
        if item.why not in (PROGRAM, SCRIPT_INTERPRETER, ENV_PROGRAM) or item.trace is None or item.path in broken:
            continue
        asked = item.path in wanted or os.path.basename(item.path) in wanted or item.why != PROGRAM
        if not view.commands:
            asked = item.trace.real in usual  # each file is in the closure once, under whichever name came first
        if asked and item.trace.real not in seen:
            seen.add(item.trace.real)
            yield item


def _says(answer: Answer | None) -> str:
    if answer is None:
        return ""
    if answer.late:
        return "; it was asked and did not end"
    return f"; it says: {answer.error or answer.out}" if answer.error or answer.out else f"; it ends with status {answer.status}"


@check(
    "runtime-library",
    ERROR,
    "the standard libraries of Python and Perl, where these look for them",
    "the interpreter starts, finds no library of its own, and ends",
)
def runtime_library(view: View) -> Iterator[Finding]:
    """Find interpreters without their library."""
    for item in _programs(view):
        kind = runtimes.kind_of(item.path)
        if kind not in (runtimes.PYTHON, runtimes.PERL) or item.trace is None:
            continue
        found = runtimes.library_of(view.rooted, item.trace.real, kind)
        if found.places:
            continue
        answer = ask(view, item.path, *(_question(item.path) or ()))
        if answer is not None and answer.status == 0:
            continue
        # Only a file that names its places says for sure that there is nothing.
        severity = ERROR if answer is not None or found.sure else WARNING
        what = f"its library is not there ({found.wanted}){_says(answer)}"
        steps: tuple[Step, ...] = ()
        mend = "install it in the root by its own means"
        if view.rooted.root and runtimes.same_runtime(view.rooted, item.trace.real, kind):
            steps = (Copy(item.path),)
            mend = f"pyroot copy {shell_word(view.spelled)} {shell_word(os.fsdecode(item.path))}"
        yield Finding(item.path, what, mend, steps, severity=severity)


@check(
    "compiler-parts",
    WARNING,
    "cc1, as and ld for gcc, cc and g++, then headers and crt1.o",
    "gcc only starts other programs, and says that it cannot execute them, or that it cannot find stdio.h or crt1.o",
)
def compiler_parts(view: View) -> Iterator[Finding]:
    """Find compilers without the programs that do the work."""
    done: set[bytes] = set()
    for item in view.closure.items:
        if item.trace is None or item.trace.real in done or runtimes.kind_of(item.path) != runtimes.COMPILER:
            continue
        done.add(item.trace.real)
        missing = runtimes.compiler_lacks(view.rooted, item.trace.real)
        parts = [] if missing else runtimes.development_lacks(view.rooted)
        if not missing and not parts:
            continue
        option = "--headers " if parts else ""
        mend = f"pyroot copy {option}{shell_word(view.spelled)} {shell_word(os.fsdecode(item.path))}, or install gcc in the root"
        steps: tuple[Step, ...] = ()
        if view.commands and view.rooted.root and runtimes.same_file(view.rooted.host(item.trace.real), item.trace.real):
            steps = (Copy(item.path, headers=bool(parts)),)
        severity = NOTE if parts else WARNING
        if view.commands:
            severity = WARNING if parts else ERROR
        yield Finding(item.path, f"lacks {shown_names(missing or parts)}", mend, steps, severity=severity)


@check(
    "git-commands",
    WARNING,
    "the directory of git's own commands, if git is there",
    "git does only what is built into it: no submodule, no clone by https",
)
def git_commands(view: View) -> Iterator[Finding]:
    """Find a git that has been brought without its commands."""
    for item in view.closure.items:
        if item.trace is None or item.why != PROGRAM or runtimes.kind_of(item.path) != runtimes.GIT:
            continue
        if view.environment.get(b"GIT_EXEC_PATH") or runtimes.git_commands(view.rooted)[0]:
            return
        mend = "install it in the root by its own means"
        steps: tuple[Step, ...] = ()
        if view.rooted.root and runtimes.same_file(view.rooted.host(item.trace.real), item.trace.real):
            steps = (Copy(item.path),)
            mend = f"pyroot copy {shell_word(view.spelled)} {shell_word(os.fsdecode(item.path))}"
        yield Finding(item.path, "its own commands (git-core) are not there", mend, steps)
        return


@check(
    "program-fails",
    ERROR,
    "whether shells, interpreters and git of the root do something trivial (not with --no-run)",
    "it was started in the root as pyroot would start it, with nothing to do, and failed",
)
def program_fails(view: View) -> Iterator[Finding]:
    """Ask the programs that everything else depends on."""
    for item in _programs(view):
        words = _question(item.path)
        if words is None or item.trace is None or _told(view, item):
            continue
        answer = ask(view, item.path, *words)
        if answer is not None and answer.status != 0:
            shown = " ".join(map(shell_word, [os.fsdecode(item.path), *words]))
            mend = f"pyroot trace --why -r {shell_word(view.spelled)} {shown}"
            yield Finding(item.path, f"fails when asked ({shown}){_says(answer)}", mend)


def _told(view: View, item: Item) -> bool:
    """Tell whether another check has said already why a program does not work."""
    from pyroot.doctor.libraries import origin_needs_proc, symbol_missing, symbol_version

    real = item.trace.real if item.trace else item.path
    if lost_link(view, real) or not (view.read(item.path) or b"").startswith((b"\x7fELF", b"#!")):
        return True
    kind = runtimes.kind_of(item.path)
    if kind in (runtimes.PYTHON, runtimes.PERL) and not runtimes.library_of(view.rooted, real, kind).places:
        return True
    image = {one.path for one in view.closure.images.get(item.path, [])}
    return any(one.path in image for row in (origin_needs_proc, symbol_missing, symbol_version) for one in row(view))


@check(
    "character-sets",
    NOTE,
    "the modules of iconv_open(3), for glibc programs that call it",
    "conversions other than between UTF-8, UTF-16, UCS-4 and ASCII fail with EINVAL",
)
def character_sets(view: View) -> Iterator[Finding]:
    """Find a glibc without gconv."""
    libc = next((item for item in view.closure.items if os.path.basename(item.path) == b"libc.so.6" and item.trace), None)
    if libc is None or libc.trace is None or not view.closure.has_glibc or not view.uses(b"iconv_open"):
        return
    places = runtimes.gconv_directories(libc.path, libc.trace.real)
    if any(view.list(place) for place in places):
        return
    named = any(os.path.basename(name) == b"iconv" for name in view.commands)
    own = next((place for place in places if os.path.isdir(place)), b"")
    steps = (Copy(own),) if own and named and view.rooted.root and runtimes.same_file(view.rooted.host(libc.trace.real), libc.path) else ()
    mend = "install the character sets of its C library"
    if steps:
        mend = f"pyroot copy {shell_word(view.spelled)} {shell_word(os.fsdecode(own))}"
    yield Finding(places[0], "has no gconv modules", mend, steps, severity=WARNING if named else NOTE)


@check(
    "cancel-library",
    WARNING,
    "libgcc_s.so.1, for glibc programs that call pthread_exit(3) or pthread_cancel(3)",
    "`libgcc_s.so.1 must be installed for pthread_exit to work', and the program is aborted",
)
def cancel_library(view: View) -> Iterator[Finding]:
    """Find threads that cannot end."""
    wanters: list[bytes] = []
    for program, objects in view.closure.images.items():
        libc = next((one for one in objects if b"libc.so.6" in one.names), None)
        if libc is None or any(b"libgcc_s.so.1" in one.names for one in objects):
            continue
        if any(view.versions(one.real).uses(call) for one in objects if one is not libc for call in (b"pthread_exit", b"pthread_cancel")):
            try:
                if view.closure.search_of(objects[0].elf).find(b"libgcc_s.so.1", libc, objects[0]) is None:
                    wanters.append(program)
            except BadLibrary:
                continue
    if wanters:
        elf = view.closure.images[wanters[0]][0].elf
        mend, steps = copy_of(view, host_library(b"libgcc_s.so.1", elf) or b"")
        yield Finding(b"libgcc_s.so.1", f"is missing; {shown_names(wanters)} may call for it", mend or "install libgcc in the root", steps)
