"""The table of the options of `pyroot trace`, and how its words are read.

Decides: every spelling, which options count and which take a value. Spelling and meaning are strace's; the options of a plain run
(`pyroot.options`) are taken too. One letter means both: `-r` is followed by a directory, then it is the root (which a command never
is), or it asks for relative times; where the command is then the word behind it and cannot be one, `mistyped_root` says so. Behind
`--` everything is read as by a plain run. One row is the whole truth: parser, `--help` and the table of `docs/TRACE.md` come from it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from pyroot import options as plain
from pyroot.errors import PyrootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.config import Config

_MORE = "pyroot trace -h lists the options"


@dataclass(frozen=True)
class Option:
    """One row: spellings, metavar (empty: none), the field that it sets, help. `OPTIONAL` values need `=`."""

    names: tuple[str, ...]
    metavar: str
    field: str
    help: str


OPTIONS: tuple[Option, ...] = (
    Option(("-o", "--output"), "FILE", "output", "write to FILE, or into the command behind | or !, not to standard error"),
    Option(("-A", "--output-append-mode"), "", "append", "add to the FILE of -o"),
    Option(("-f", "--follow-forks"), "", "follow", "follow children (the default); -ff with -o FILE: one FILE.PID for each"),
    Option(("--output-separately",), "", "separately", "as -ff"),
    Option(("--no-follow",), "", "nofollow", "trace the command alone; its children run in the root all the same"),
    Option(("-e", "--expr"), "EXPR", "expressions", "trace=SET (the default word), status=SET, signal=SET; see SETS"),
    Option(("--trace",), "SET", "trace", "as -e trace=SET"),
    Option(("--status",), "SET", "status", "as -e status=SET: successful, failed, unfinished, unavailable, detached"),
    Option(("--signal", "--signals"), "SET", "signal", "as -e signal=SET"),
    Option(("-P", "--trace-path"), "PATH", "paths", "only calls that name PATH, or a descriptor of it"),
    Option(("-z", "--successful-only"), "", "successful", "only calls that succeeded"),
    Option(("-Z", "--failed-only"), "", "failed", "only calls that failed"),
    Option(("-s", "--string-size"), "N", "strings", "at most N bytes of a string (32)"),
    Option(("-x", "--strings-in-hex"), "", "hexed", "strings that are no text in hexadecimal; -xx: all strings"),
    Option(("-y", "--decode-fds"), "", "fds", "say what descriptors stand for; -yy: addresses of sockets and devices too"),
    Option(("--host-paths",), "", "host_paths", "write paths as the host has them, not the guest"),
    Option(("-t", "--absolute-timestamps"), "", "absolute", "the time of day; -tt: with microseconds; -ttt: seconds since 1970"),
    Option(("-r", "--relative-timestamps"), "", "relative", "the time since the last line (where a directory follows, the root)"),
    Option(("-T", "--syscall-times"), "", "times", "the time that each call took"),
    Option(("-i", "--instruction-pointer"), "", "pointers", "the address that the call was made from"),
    Option(("-c", "--summary-only"), "", "counts", "count calls, errors and time instead"),
    Option(("-C", "--summary"), "", "summary", "count as well"),
    Option(("-S", "--summary-sort-by"), "KEY", "sort", "order of the counts: time, calls, errors, name, {min,max,avg}-time, nothing"),
    Option(("-a", "--columns"), "N", "columns", "the column of the results (40)"),
    Option(("-q", "--quiet"), "", "quiet", "do not tell of new processes; -qq: nor of exits"),
    Option(("-E", "--env"), "VAR[=VALUE]", "environment", "set, or without a value remove, a variable of the command's environment"),
    Option(("-p", "--attach"), "PID", "attach", "trace processes that run already, not a command"),
    Option(("-k", "--stack-traces"), "", "stack", "is not to be had"),
    Option(("--json",), "", "json", "one JSON object a line"),
    Option(("--why",), "", "why", "say nothing of a command that succeeds, and of one that fails the few lines that matter"),
    Option(("-h", "--help"), "", "help", "print this help and exit"),
)
BY_NAME: dict[str, Option] = {name: option for option in OPTIONS for name in option.names}
#: strace's options that are not here: what to do instead.
NOT_HERE = {
    "-b": "is the plain run's --bind here",
    "-I": "signals end the command, which ends the trace",
    "-D": "the trace is pyroot's own process",
    "-d": "PYROOT_DEBUG=1 shows where pyroot failed",
    "-u": "programs in the guest run under your own user id",
    "-U": "-S orders the counts",
    "-O": "times are not corrected",
    "-X": "constants are written by name",
    "-N": "-e status= chooses by the result",
    "-n": "--json has the numbers of calls",
}


@dataclass
class Words:
    """What the words say: how often each option that counts was given, values in order, and the plain run's own words."""

    counts: dict[str, int] = field(default_factory=dict)
    values: dict[str, list[str]] = field(default_factory=dict)
    plain: plain.Parsed = field(default_factory=plain.Parsed)
    behind_r: str = ""  # the word behind an -r that asks for times, because it is no directory

    def last(self, name: str, default: str) -> str:
        """Give the last value of an option."""
        return self.values.get(name, [default])[-1]


def parse(argv: list[str]) -> Words:
    """Read the words behind `pyroot trace`. Raises PyrootError for an option that is unknown or lacks its value."""
    words, left = Words(), list(argv)
    while left:
        word = left[0]
        if word == "--":
            rest = plain.parse(left[1:])
            words.plain.settings += rest.settings
            words.plain.command = rest.command
            words.plain.question = words.plain.question or rest.question
            return words
        if word == "-" or not word.startswith("-"):
            break
        left.pop(0)
        if word.startswith("--"):
            _long(words, word, left)
        else:
            _short(words, word[1:], left)
    words.plain.command = left
    return words


def _long(words: Words, word: str, left: list[str]) -> None:
    name, equals, value = word.partition("=")
    option = BY_NAME.get(name)
    if option is None and name not in plain.BY_NAME:
        raise PyrootError(f"trace: {word}: unknown option", _near(name))
    metavar = option.metavar if option else plain.BY_NAME[name].metavar
    if metavar and not equals:
        if not left:
            raise PyrootError(f"trace: {name}: the value {metavar} is missing", _MORE)
        value = left.pop(0)
    if equals and not metavar:
        if name != "--decode-fds" or value not in ("all", "path", "socket", "dev", "none"):
            raise PyrootError(f"trace: {word}: {name} takes no value", _MORE)
        words.counts["fds"] = {"none": 0, "path": 1}.get(value, 2)
        return
    _enter(words, option, name, value)


def _short(words: Words, letters: str, left: list[str]) -> None:
    """Read the letters behind one dash: those that count may be joined, the first that takes a value takes the rest."""
    while letters:
        name, letters = "-" + letters[0], letters[1:]
        option: Option | None = BY_NAME.get(name)
        if name == "-r" and (os.path.isdir(letters) if letters else bool(left) and os.path.isdir(left[0])):
            option = None
        elif name == "-r" and not letters and left:
            words.behind_r = left[0]
        known = option or plain.BY_NAME.get(name)
        if known is None:
            instead = NOT_HERE.get(name)
            what = "strace has this option, pyroot trace has not" if instead else "unknown option"
            raise PyrootError(f"trace: {name}: {what}", instead or _MORE)
        if not known.metavar:
            _enter(words, option, name, "")
            continue
        if not letters and not left:
            raise PyrootError(f"trace: {name}: the value {known.metavar} is missing", _MORE)
        _enter(words, option, name, letters or left.pop(0))
        return


def mistyped_root(words: Words, config: Config) -> None:
    """Raise PyrootError where `-r WORD COMMAND` can only mean a root, which is not there.

    WORD would be the command. With another root it may be one there; without, it is one of the host's, or nothing.
    """
    word = words.behind_r
    if not word or words.plain.command[:1] != [word] or config.rootfs != b"/" or config.binds or config.cwd is not None:
        return
    import shutil

    if shutil.which(word) is None:
        hint = "-r ROOT has a directory behind it (or --rootfs=ROOT); -r alone writes times in front of COMMAND (--relative-timestamps)"
        raise PyrootError(f"trace: -r {word}: neither a directory nor a command", hint)


def _enter(words: Words, option: Option | None, name: str, value: str) -> None:
    if option is None:
        row = plain.BY_NAME[name]
        if row.field == "version":
            words.plain.question = words.plain.question or (row, name)
        else:
            words.plain.settings.append((row, name, value))
    elif option.metavar:
        words.values.setdefault(option.field, []).append(value)
    else:
        words.counts[option.field] = words.counts.get(option.field, 0) + 1


def _near(name: str) -> str:
    import difflib

    found = difflib.get_close_matches(name, [known for known in (*BY_NAME, *plain.BY_NAME) if known.startswith("--")], 1)
    return f"did you mean {found[0]}? {_MORE}" if found else _MORE


def usage() -> str:
    """Give the help of the verb."""
    from pyroot.trace.calls import SETS

    lines = [
        "usage: pyroot trace [OPTION ...] [OPTION OF A PLAIN RUN ...] COMMAND [ARGUMENT ...]",
        "       pyroot trace [OPTION ...] -- [OPTION OF A PLAIN RUN ...] COMMAND [ARGUMENT ...]",
        "       pyroot trace [OPTION ...] -p PID",
        "",
        "Write what a command and its children ask of the kernel, as strace does, with the paths of the guest.",
        "",
        "Options:",
    ]
    for option in OPTIONS:
        names = ", ".join(option.names) + (f" {option.metavar}" if option.metavar else "")
        lines.append(f"  {names}\n                          {option.help}")
    names = " ".join(dict.fromkeys(f"%{name}" if not name.startswith("%") else f"%{name}" for row in SETS.values() for name in row))
    lines += [
        "",
        "SETS of -e trace=: names with commas between them, /REGEX, all, none, a ! in front for the rest, and",
        f"  {names}",
    ]
    return "\n".join(lines) + "\n"


def table() -> str:
    """Give the table of options in Markdown, as docs/TRACE.md has it."""
    lines = ["| option | meaning |", "|---|---|"]
    for option in OPTIONS:
        names = ", ".join(f"`{name}`" for name in option.names)
        lines.append(f"| {names}{f' {option.metavar}' if option.metavar else ''} | {option.help.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"
