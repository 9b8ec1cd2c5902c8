"""The table of the options of `pyroot trace`, and how its words are read.

Decides: every spelling, which options are counted and which take a value. Spelling and meaning are strace's; the options of a plain run
(`pyroot.options`) are taken too. One letter has both meanings: `-r` followed by a directory is the root (a command never is a
directory), otherwise it asks for relative times; if the word after it would then be the command and cannot be one, `mistyped_root` says so.
After `--` everything is read as by a plain run. One row is the whole truth: parser, `--help` and the table of `docs/TRACE.md` come from it.
"""

from __future__ import annotations

import os

from pyroot.errors import PyrootError
from pyroot.option_kinds import QUESTION
from pyroot.options import RUN, Grammar, Option, Parsed
from pyroot.options import parse as parse_plain
from pyroot.verbs.near import nearest
from pyroot.verbs.words import Words, flag, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.config import Config

OPTIONS: tuple[Option, ...] = (
    value("-o, --output", "FILE", "write to FILE, or to the command after | or !, instead of standard error", "output"),
    flag("-A, --output-append-mode", "add to the FILE of -o", "append"),
    flag("-f, --follow-forks", "follow children (the default); -ff with -o FILE: one FILE.PID for each", "follow"),
    flag("--output-separately", "as -ff", "separately"),
    flag("--no-follow", "trace only the command; its children still run in the root", "nofollow"),
    value("-e, --expr", "EXPR", "trace=SET (the default word), status=SET, signal=SET; see SETS", "expressions"),
    value("--trace", "SET", "as -e trace=SET", "trace"),
    value("--status", "SET", "as -e status=SET: successful, failed, unfinished, unavailable, detached", "status"),
    value("--signal, --signals", "SET", "as -e signal=SET", "signal"),
    value("-P, --trace-path", "PATH", "only calls that name PATH, or a descriptor of it", "paths"),
    flag("-z, --successful-only", "only calls that succeeded", "successful"),
    flag("-Z, --failed-only", "only calls that failed", "failed"),
    value("-s, --string-size", "N", "at most N bytes of a string (32)", "strings"),
    flag("-x, --strings-in-hex", "write strings that are not text in hexadecimal; -xx: all strings", "hexed"),
    flag("-y, --decode-fds", "show what descriptors refer to; -yy: addresses of sockets and devices, too", "fds"),
    flag("--host-paths", "write host paths instead of guest paths", "host_paths"),
    flag("-t, --absolute-timestamps", "the time of day; -tt: with microseconds; -ttt: seconds since 1970", "absolute"),
    flag("-r, --relative-timestamps", "the time since the last line (if a directory follows: the root)", "relative"),
    flag("-T, --syscall-times", "the time that each call took", "times"),
    flag("-i, --instruction-pointer", "the address from which the call was made", "pointers"),
    flag("-c, --summary-only", "count calls, errors and time instead", "counts"),
    flag("-C, --summary", "count calls, errors and time as well", "summary"),
    value("-S, --summary-sort-by", "KEY", "order of the counts: time, calls, errors, name, {min,max,avg}-time, nothing", "sort"),
    value("-a, --columns", "N", "the column of the results (40)", "columns"),
    flag("-q, --quiet", "do not report new processes; -qq: nor exits", "quiet"),
    value("-E, --env", "VAR[=VALUE]", "set a variable of the command's environment, or without a value remove it", "environment"),
    value("-p, --attach", "PID", "trace running processes instead of a command", "attach"),
    flag("-k, --stack-traces", "not supported", "stack"),
    flag("--json", "one JSON object per line", "json"),
    flag("--why", "write nothing about a command that succeeds, and the few lines that matter about one that fails", "why"),
    flag("-h, --help", "print this help and exit", "help"),
)
#: strace's options that are not here: what to do instead.
STRACE_HAS = {
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


_FDS = {"none": 0, "path": 1, "socket": 2, "dev": 2, "all": 2}  # values of --decode-fds


class TraceWords(Words):
    """What the words say, and the plain run's own words."""

    def __init__(self) -> None:
        super().__init__("trace")
        self.plain = Parsed()
        self.behind_r = ""  # the word after an -r that asks for times, because it is not a directory


class _Table(Grammar):
    """The rows of the trace, and those of a plain run for spellings that it does not have."""

    def __init__(self) -> None:
        super().__init__(OPTIONS, "trace: ", "pyroot trace -h lists the options", letters=True)
        self.by_name = RUN.by_name | self.by_name

    def missing(self, option: Option, name: str) -> PyrootError:
        """Return the error for a spelling without its value."""
        return self.refused(f"{name}: the value {option.metavar} is missing")

    def unknown(self, word: str, name: str) -> PyrootError:
        """Return the error for an unknown option."""
        if word.startswith("--"):
            meant = nearest(name, self.by_name)
            return self.refused(f"{word}: unknown option", f"did you mean {meant}? {self.more}" if meant else "")
        if name in STRACE_HAS:
            return self.refused(f"{name}: strace's option is not supported", STRACE_HAS[name])
        return self.refused(f"{name}: unknown option")


_TABLE = _Table()


def parse(argv: list[str]) -> TraceWords:
    """Read the words after `pyroot trace`. Raises PyrootError for an option that is unknown or lacks its value."""
    words, left = TraceWords(), list(argv)
    while left and left[0] != "-" and left[0].startswith("-"):
        if left[0] == "--":
            rest = parse_plain(left[1:])
            words.plain.settings += rest.settings
            words.plain.command = rest.command
            words.plain.question = words.plain.question or rest.question
            return words
        name, _equals, answer = left[0].partition("=")
        if name == "--decode-fds" and answer in _FDS:
            words.counts["fds"] = _FDS[answer]
            del left[0]
        elif left[0] == "-v" and not (left[1:] and left[1].lstrip("+-").isdigit()):
            # (pyroot's own -v has a number)
            raise PyrootError("trace: -v: strace's option is not supported", "structures are written as strace does without it")
        elif left[0].startswith("-r") and _is_root(words, left):
            words.plain.settings.append(RUN.take(left))
        else:
            _enter(words, *_TABLE.take(left))
    words.plain.command = left
    return words


def _is_root(words: TraceWords, left: list[str]) -> bool:
    """Tell whether the -r that `left` begins with has a directory after it, and keep the word if it is not a directory."""
    attached, behind = left[0][2:], left[1:2]
    if attached:
        return os.path.isdir(attached)
    words.behind_r = behind[0] if behind and not os.path.isdir(behind[0]) else words.behind_r
    return bool(behind) and os.path.isdir(behind[0])


def mistyped_root(words: TraceWords, config: Config) -> None:
    """Raise PyrootError if `-r WORD COMMAND` can only mean a root, which does not exist.

    WORD would be the command. With another root it may exist there; without one, it is a command of the host, or nothing.
    """
    word = words.behind_r
    if not word or words.plain.command[:1] != [word] or config.rootfs != b"/" or config.binds or config.cwd is not None:
        return
    import shutil

    if shutil.which(word) is None:
        hint = "-r ROOT needs a directory (or --rootfs=ROOT); -r alone asks for relative times (--relative-timestamps)"
        raise PyrootError(f"trace: -r {word}: neither a directory nor a command", hint)


def _enter(words: TraceWords, option: Option, name: str, value: str) -> None:
    if option in OPTIONS:
        words.enter(option, value)
    elif option.kind is QUESTION:
        words.plain.question = words.plain.question or (option, name)
    else:
        words.plain.settings.append((option, name, value))


def usage() -> str:
    """Give the help of the verb."""
    from pyroot.trace.calls import SETS
    from pyroot.verbs.layout import examples, fitted

    lines = [
        "usage: pyroot trace [OPTION ...] [OPTION OF A PLAIN RUN ...] COMMAND [ARGUMENT ...]",
        "       pyroot trace [OPTION ...] -- [OPTION OF A PLAIN RUN ...] COMMAND [ARGUMENT ...]",
        "       pyroot trace [OPTION ...] -p PID",
        "",
        "Show the system calls of a command and its children, as strace does, with the guest's paths.",
        "",
        "Options:",
    ]
    for option in OPTIONS:
        lines.append(f"  {option.term}\n                          {option.help}")
    names = " ".join(dict.fromkeys(f"%{name}" if not name.startswith("%") else f"%{name}" for row in SETS.values() for name in row))
    lines += [
        "",
        "SETS of -e trace=: names separated by commas, /REGEX, all, none, a leading ! for the rest, and",
        f"  {names}",
    ]
    return fitted("\n".join(lines) + "\n") + examples("trace")


def table() -> str:
    """Give the table of options in Markdown, as docs/TRACE.md has it."""
    lines = ["| option | meaning |", "|---|---|"]
    for option in OPTIONS:
        names = ", ".join(f"`{name}`" for name in option.names)
        lines.append(f"| {names}{f' {option.metavar}' if option.metavar else ''} | {option.help.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"
