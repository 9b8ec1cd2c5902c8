"""`pyroot report`: one file that tells somebody who is to help what a machine is and how a command failed.

Decides: the verb's options, what the report contains, and its layout. Not decided here: what is private (`private`); it stays out unless
the user says yes.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pyroot import environment, options
from pyroot.doctor import checks
from pyroot.doctor.registry import HOST
from pyroot.elf.rooted import Rooted
from pyroot.errors import PyrootError
from pyroot.look import facts
from pyroot.look.private import Private
from pyroot.reading.view import View
from pyroot.verbs.output import deliver, json_text, put
from pyroot.verbs.words import OUTPUT, Verb, flag, value

REPORT = Verb(
    "report",
    """\
usage: pyroot report [OPTION...] [-- [PYROOT-OPTION...] COMMAND...]

Collect what a helper needs to diagnose a problem: versions, the kernel's rules for this
process, what pyroot check finds, and, with a pyroot command line after --, how it ended,
what pyroot said with -v 1, and the last calls that failed. COMMAND is run; what it
writes goes to standard error.

Names below your home directory, your name, the host's name, values of environment
variables, and the command's arguments and data are left out.
""",
    (
        OUTPUT,
        value("--private", "yes", "keep all of that in the report"),
        value("--calls", "N", "the last N of the failed calls (default: 40)"),
        flag("--json", "write JSON"),
    ),
    18,
)
_START = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "_start.py")
_SHOWN_VARIABLES = ("PYROOT_", "PROOT_", "LD_", "PYTHON", "LC_", "LANG", "PATH", "HOME", "TMPDIR", "TERM", "SHELL", "LANGUAGE")


@dataclass
class Ran:
    """How a command ran: its words, exit status, seconds, what pyroot said of it, and the calls that failed."""

    words: list[str]
    status: int = 0
    seconds: float = 0.0
    said: list[str] = field(default_factory=list)
    failed: list[str] | None = None  # None: calls cannot be traced


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    at = argv.index("--") if "--" in argv else len(argv)
    words = REPORT.read(argv[:at])
    if "help" in words.flags:
        put(REPORT.usage())
        return 0
    if words.rest:
        raise PyrootError(f"report: {words.rest[0]}: unexpected word", "the command line goes after --: pyroot report -- -r ROOTFS ls")
    answer = words.values.get("private", ["no"])[-1]
    if answer not in ("yes", "no"):
        raise PyrootError(f"report: --private {answer}: neither yes nor no", "--private yes leaves private names in the report")
    calls = words.values.get("calls", ["40"])[-1]
    if not calls.isdigit():
        raise PyrootError(f"report: --calls {calls}: not a number", "--calls takes the number of failed calls to keep")
    command = argv[at + 1 :]
    parsed = options.parse(command) if command else options.Parsed()
    if command and (parsed.question or not parsed.command):
        raise PyrootError("report: no command after --", "pyroot report -- -r ROOTFS ls")
    private = answer == "yes"
    ran = run(command, private, int(calls)) if command else None
    hide: Callable[[str], str] = str
    if not private:
        hide = hider = _hider(parsed)
        if ran is not None and ran.failed:
            ran.failed = [hider.call(line) for line in ran.failed]
    sections = collect(ran, parsed, private)
    deliver("report", words.last("output", "-"), [hide((json_text if "json" in words.flags else text_of_sections)(sections))])
    return 0


def _hider(parsed: options.Parsed) -> Private:
    """Make what takes private names out of texts about this command line."""
    places: dict[str, str] = {}
    for root in _roots(parsed):
        places = {path: "ROOT" for path in {os.path.realpath(root), os.path.abspath(root), root} if path.startswith("/") and path != "/"}
    hide = Private(places)
    values = [value for _option, _spelling, value in parsed.settings] + parsed.command
    parts = [part for value in values for part in (value, *value.split(":"))]
    hide.know(os.getcwd(), *parts, *(os.path.realpath(part) for part in parts if part))
    return hide


def _roots(parsed: options.Parsed) -> list[str]:
    """Give the root of a command line, if it names one."""
    return [value for option, _spelling, value in parsed.settings if option.field in ("rootfs", "recommended")][-1:]


def run(command: list[str], private: bool, calls: int) -> Ran:
    """Run a command line of pyroot with -v 1, traced if this pyroot can trace, and keep what it says."""
    ran = Ran(command)
    able = any(name == "trace" for name, *_rest in options.VERBS)
    with tempfile.TemporaryDirectory(prefix="pyroot-report-") as directory:
        trace = os.path.join(directory, "calls")
        # Data of calls is private: strings that are not names are left out.
        tracing = ["trace", "-Z", "-q", "-o", trace, *([] if private else ["-s", "0"]), "--"] if able else []
        line = [sys.executable, "-IS", _START, *tracing, "--verbose=1", *command]
        before = time.monotonic()
        ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with subprocess.Popen(line, stdout=2, stderr=subprocess.PIPE, preexec_fn=_take_interrupts) as process:
                assert process.stderr is not None
                for raw in process.stderr:
                    sys.stderr.buffer.write(raw)
                    sys.stderr.flush()
                    if raw.startswith((b"pyroot: ", b"  hint: ")):
                        ran.said.append(raw.decode("utf-8", "backslashreplace").rstrip("\n"))
        finally:
            signal.signal(signal.SIGINT, ignored)
        ran.status = process.returncode
        ran.seconds = time.monotonic() - before
        if able:
            ran.failed = _tail(trace, calls)
    return ran


def _take_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _tail(path: str, count: int) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            lines = [line.rstrip("\n") for line in file]
    except OSError:
        return []
    failed = [line for line in lines if " = -1 " in line]
    return failed[-count:] if count else []


def collect(ran: Ran | None, parsed: options.Parsed, private: bool) -> dict[str, object]:
    """Put the report together: titles, and under each a table or a list of lines."""
    view = View(Rooted("/"), "/")
    found = [finding for row in checks.load() if row.part == HOST for finding in row.run(view)]
    sections: dict[str, object] = {
        "Versions": facts.versions(),
        "Rules for this process": facts.rules(),
        "Limits": facts.limits(),
        "File systems": {path: facts.file_system(path) for path in ("/tmp", "/var/tmp", "/dev/shm") if os.path.isdir(path)},
        "What pyroot check finds": [f"{one.severity} {one.code}: {one.what}" for one in found],
        "Environment": _environment(private),
    }
    if ran is not None:
        arguments = parsed.command[1:] if private else [f"ARGUMENT{number}" for number in range(1, len(parsed.command))]
        settings = [f"{spelling} {shlex.quote(value)}" if value else spelling for _option, spelling, value in parsed.settings]
        ended = f"signal {-ran.status}" if ran.status < 0 else str(ran.status)
        sections["Command"] = {
            "options": " ".join(settings) or "none",
            "command": " ".join(shlex.quote(word) for word in [*parsed.command[:1], *arguments]),
            "exit status": ended,
            "time": f"{ran.seconds:.2f} s",
            **{f"file system of {root}": facts.file_system(root) for root in _roots(parsed)},
        }
        sections["What pyroot said"] = ran.said
        sections["The last calls that failed"] = ["this pyroot cannot trace"] if ran.failed is None else ran.failed
    return sections


def _environment(private: bool) -> dict[str, str]:
    named = sorted((os.fsdecode(name), os.fsdecode(value)) for name, value in environment.variables().items())
    shown = {name: value for name, value in named if name.startswith(_SHOWN_VARIABLES)}
    return shown if private else {name: f"set, {len(value)} characters" for name, value in shown.items()}


def text_of_sections(sections: dict[str, object]) -> str:
    """Lay the report out as Markdown, which trackers show and people can read as it is."""
    lines = ["# pyroot report"]
    for title, content in sections.items():
        lines += ["", f"## {title}", ""]
        if isinstance(content, dict):
            lines += [f"* {name}: {value}" for name, value in content.items()]
        elif isinstance(content, list):
            lines += ["```", *map(str, content), "```"] if content else ["nothing"]
    return "\n".join(lines) + "\n"
