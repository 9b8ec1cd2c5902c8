"""`pyroot doctor` and `pyroot check`: run the checks, print what they find, fix what can be fixed.

Decides: the options of both verbs, the order of the work, the layout of the report and of its JSON, and the exit status.
The checks are rows of `registry`; what a fix does is in `steps`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from pyroot import environment, presets
from pyroot.config import Config
from pyroot.doctor import checks
from pyroot.doctor.against import towards
from pyroot.doctor.asking import worked
from pyroot.doctor.registry import ERROR, HOST, NOTE, ROOT, SEVERITIES, Finding
from pyroot.doctor.steps import Step
from pyroot.elf.rooted import Rooted
from pyroot.errors import EXIT_FAILURE, PyrootError, as_owner, shell_word, text_of
from pyroot.plain import replace
from pyroot.reading.door import view_of_run
from pyroot.reading.view import View
from pyroot.verbs.output import Progress, colour, json_text, put, safe
from pyroot.verbs.roots import root_directory
from pyroot.verbs.words import Verb, Words, flag, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DOCTOR = Verb(
    "doctor",
    """\
usage: pyroot doctor [OPTION...] ROOTFS [COMMAND...]

Examine the root file system in ROOTFS, and this host, and say what will fail and why.
With COMMAND (a name or a path in the root) only these programs are examined, otherwise
every program in the usual directories. Exit status: 1 if there is an error, 0 if not.
""",
    (
        flag("-R", "see it as pyroot -R does, with the usual host paths bound", "recommended"),
        value("-b", "HOST[:GUEST]", "see it with this binding", "bind", also=("--bind",)),
        value("-r, --rootfs", "DIR", field="root"),
        value(
            "--against",
            "FILE",
            "also report what has changed since pyroot checklist wrote FILE;\nwhat was already found then is left out",
        ),
        flag("--fix", "fix what can be fixed safely; every step is shown first"),
        flag("--dry-run", "with --fix: only show the steps"),
        flag(
            "--no-run",
            "start nothing of the root; without it shells and interpreters are\nasked to do nothing, for ten seconds each at most",
        ),
        flag("--json", "print the findings as JSON"),
        flag("--list", "print the table of checks"),
        flag("-q, --quiet", "errors only"),
        flag("-v, --verbose", "report everything, notes included"),
    ),
    21,
)
CHECK = Verb(
    "check",
    """\
usage: pyroot check [OPTION...]

Check whether pyroot can work on this host: ptrace, seccomp, security modules, limits.
Exit status: 1 if there is an error, 0 if not.
""",
    (
        flag("--json", "print the findings as JSON"),
        flag("-v, --verbose", "also report what is fine"),
    ),
    21,
)
_COMMANDS = ("chmod ", "ln ", "mkdir ", "mv ", "pyroot copy ", "pyroot doctor --fix", "rm ", "rmdir ", "sed ")  # what changes a root
_ROUNDS = 8  # of looking and mending: more than the longest chain of things that hide each other
_SAME_CODE = 8  # findings of one code that are printed without -v


def main(argv: list[str]) -> int:
    """Run `pyroot doctor` on the words after it. Raises PyrootError for a user's mistake."""
    words = DOCTOR.read(argv)
    if "help" in words.flags:
        put(DOCTOR.usage())
        return 0
    if "list" in words.flags:
        put(table())
        return 0
    names = words.values.get("root", [])[-1:] + words.rest
    if not names:
        raise PyrootError("doctor: no root file system given", "say which: pyroot doctor ROOTFS [COMMAND...]")
    root = root_directory("doctor", names[0], names[1:])
    if "fix" in words.flags and "dry-run" not in words.flags and os.path.samefile(root, "/"):
        raise PyrootError(f"doctor: {names[0]}: is the root of this host, which --fix leaves alone", "leave --fix out, or add --dry-run")
    known = _known_list(words.values.get("against", []))
    view, findings = _look(root, names, words, known)
    done: list[tuple[Step, str]] = []
    if "fix" in words.flags or "dry-run" in words.flags:
        only_show, quiet = "dry-run" in words.flags, "json" in words.flags
        if only_show:
            done = mend(root, findings, True, quiet)
        else:
            view, findings, done = mended(root, lambda: _look(root, names, words, known), (view, findings), quiet)
        if not only_show and not quiet:
            _say_what_is_left(findings, done)
    if "json" in words.flags:
        put(json_text(as_json(view, findings, done)))
    else:
        if "verbose" in words.flags and "quiet" not in words.flags:
            for program, line in worked(view):
                put(f"well     {safe(program)}: does what it is asked ({safe(line)})\n")
        _print(findings, words.flags, names[0], as_owner(root))
    return int(any(finding.severity == ERROR for finding in findings))


def _known_list(names: list[str]) -> dict[str, Any] | None:
    """Read the list that --against names."""
    if not names:
        return None
    from pyroot.manifest.snapshot import entries_of

    if os.path.isdir(names[-1]):
        raise PyrootError(f"doctor: --against {names[-1]}: is a directory", "pyroot checklist ROOTFS -o FILE writes the list")
    try:
        return entries_of("doctor", names[-1])
    except PyrootError as error:
        error.exit_code = EXIT_FAILURE
        if not os.path.exists(names[-1]):
            error.hint = f"pyroot checklist ROOTFS -o {shell_word(names[-1])} writes it, while the root works"
        raise


def _look(root: bytes, names: list[str], words: Words, known: dict[str, Any] | None) -> tuple[View, list[Finding]]:
    """Examine the root as it is now; what a list already names is left out."""
    view = _make_view(root, names, words)
    if known is None:
        return view, examine(view)
    view.expected = known["entries"]
    old = {(one.get("code"), one.get("path"), one.get("what")) for one in known["findings"]}
    found = [one for one in examine(view) if (one.code, safe(one.path), safe(one.what)) not in old]
    return view, towards(view, found)


def check_main(argv: list[str]) -> int:
    """Run `pyroot check` on the words after it. Raises PyrootError for a user's mistake."""
    words = CHECK.read(argv)
    if "help" in words.flags:
        put(CHECK.usage())
        return 0
    if words.rest:
        raise PyrootError(f"check: {words.rest[0]}: unexpected word", f"to look at a root: pyroot doctor {shell_word(words.rest[0])}")
    view = View(Rooted("/"), "/")
    findings: list[Finding] = []
    for row in checks.load():
        if row.part == HOST:
            found = row.run(view)
            findings += found
            if not found and "verbose" in words.flags and "json" not in words.flags:
                put(f"well     {row.code}: {row.looks_at}\n")
    if "json" in words.flags:
        put(json_text(as_json(view, findings, [])))
    else:
        _print(findings, words.flags | {"verbose"}, "this host")
    return int(any(finding.severity == ERROR for finding in findings))


def _make_view(root: bytes, names: list[str], words: Words) -> View:
    """Make a fresh view of the root: that of a run with the bindings that the words ask for. Raises PyrootError."""
    config = Config(root)
    config.host_cwd = os.getcwdb()
    config.spell_root(names[0], names[0])
    config.recommended = "recommended" in words.flags
    config.tmp_dirs = environment.tmp_dirs()
    try:
        for text in words.values.get("bind", []):
            config.binds += presets.of_option(os.fsencode(text), config.host_cwd, f"-b {text}")
        rooted = view_of_run(config)
    except PyrootError as error:
        raise PyrootError(f"doctor: {error.message}", error.hint, error.exit_code) from error
    view = View(rooted, names[0], [os.fsencode(name) for name in names[1:]])
    if "no-run" not in words.flags and view.rooted.root:
        view.run_words = ["-R" if config.recommended else "-r", os.fsdecode(config.rootfs_spelled)]
        view.run_words += [word for text in words.values.get("bind", []) for word in ("-b", text)]
    return view


def examine(view: View) -> list[Finding]:
    """Run every check of the table on a root and this host; the worst come first, in the order of the table."""
    progress = Progress()
    view.progress = progress
    findings: list[Finding] = []
    try:
        for row in checks.load():
            progress(row.code)
            findings += row.run(view)
    finally:
        progress.end()
    if any(finding.code == "directory-closed" for finding in findings):
        # a directory that cannot be entered may hold everything that seems to be missing: it has to be fixed first
        findings = [finding for finding in findings if finding.code == "directory-closed" or finding.severity != ERROR]
    return sorted((_by_whom(view, one) for one in findings), key=lambda finding: SEVERITIES.index(finding.severity))


def _by_whom(view: View, finding: Finding) -> Finding:
    """Say whose command a fix has to be, if not the user's."""
    if view.uid == 0 or not finding.path.startswith(b"/") or not finding.mend.startswith(_COMMANDS):
        return finding
    trace = view.find(finding.path) if finding.mend.startswith("chmod ") else None
    who = as_owner(view.rooted.host(trace.real) if trace else view.rooted.root or b"/")
    return replace(finding, mend=who + finding.mend)


def _say_what_is_left(findings: list[Finding], done: list[tuple[Step, str]]) -> None:
    """Say what --fix could not mend, before the report that names it."""
    left = [one for one in findings if one.severity == ERROR]
    tried = {step for step, _problem in done}
    for one in left:
        helped_not = any(step in tried for step in one.steps)
        why = "its step did not help" if helped_not else "no step is safe enough: do it by hand"
        if one.mend.startswith("as "):
            why = "it is not yours"
        put(f"left     {one.code}: {safe(one.path)}: {why}\n")


def mended(
    root: bytes, look: Callable[[], tuple[View, list[Finding]]], first: tuple[View, list[Finding]], quiet: bool = False
) -> tuple[View, list[Finding], list[tuple[Step, str]]]:
    """Do steps and look again until nothing new is found: what was mended may show what it has hidden. Give what is left, and the steps."""
    view, findings = first
    done: list[tuple[Step, str]] = []
    for _round in range(_ROUNDS):
        before = [step for step, _problem in done]
        # the worst first, and alone: what keeps the rest from being mended, or makes it seem broken, is out of the way then
        open_ones = [one for one in findings if any(step not in before for step in one.steps)]
        news = mend(root, [one for one in open_ones if one.severity == open_ones[0].severity], False, quiet, before)
        if not news:
            break
        done += news
        view, findings = look()
    return view, findings, done


def mend(
    root: bytes, findings: list[Finding], only_show: bool, quiet: bool = False, before: list[Step] | None = None
) -> list[tuple[Step, str]]:
    """Do the steps of the findings, each shown first and none that was done before.

    Give the steps, and for each what went wrong, if anything.
    """
    done: list[tuple[Step, str]] = []
    for finding in findings:
        if finding.severity == NOTE:
            continue
        for step in finding.steps:
            if step in [known for known, _problem in done] or step in (before or []):
                continue
            problem = ""
            if not quiet:
                put(f"{colour('fix', 'fix')}      {safe(step.told)}\n")
            if not only_show:
                try:
                    step.do(root)
                except PyrootError as error:
                    problem = error.message
                except OSError as error:
                    problem = text_of(error.errno or 0)
            if problem and not quiet:
                put(f"         {colour('error', 'failed')}: {safe(problem)}\n")
            done.append((step, problem))
    return done


def as_json(view: View, findings: list[Finding], done: list[tuple[Step, str]]) -> dict[str, object]:
    """Give the report as what JSON can hold."""
    return {
        "root": safe(view.rooted.root or b"/"),
        "commands": [safe(command) for command in view.commands],
        "findings": [
            {
                "code": one.code,
                "severity": one.severity,
                "path": safe(one.path),
                "what": safe(one.what),
                "why": one.why,
                "fix": safe(one.mend),
                "steps": [safe(step.told) for step in one.steps],
            }
            for one in findings
        ],
        "fixed": [{"step": safe(step.told), "problem": safe(problem)} for step, problem in done],
        **{f"{severity}s": sum(one.severity == severity for one in findings) for severity in SEVERITIES},
    }


def _print(findings: list[Finding], flags: set[str], name: str, who: str = "") -> None:
    done = f"  (--fix does it{', ' * bool(who)}{who.rstrip(': ')})"
    shown = {"error"} if "quiet" in flags else set(SEVERITIES) if "verbose" in flags else {"error", "warning"}
    printed: dict[str, int] = {}
    for finding in findings:
        if finding.severity not in shown:
            continue
        printed[finding.code] = printed.get(finding.code, 0) + 1
        if printed[finding.code] > _SAME_CODE and "verbose" not in flags:
            continue
        kind = colour(finding.severity, finding.severity.ljust(8))
        place = f"{safe(finding.path)}: " if finding.path else ""
        put(f"{kind} {finding.code}: {place}{safe(finding.what)}\n")
        put(f"         why:  {finding.why}\n")
        if finding.mend:
            fixes = done if finding.steps and finding.severity != NOTE else ""
            put(f"         fix:  {safe(finding.mend)}{fixes}\n")
    for code, count in printed.items():
        if count > _SAME_CODE and "verbose" not in flags:
            put(f"         and {count - _SAME_CODE} more of {code}: -v names them\n")
    if "quiet" not in flags:
        counts = [(sum(one.severity == severity for one in findings), severity) for severity in SEVERITIES]
        text = ", ".join(f"{number} {severity}{'s' * (number != 1)}" for number, severity in counts)
        put(f"{safe(name)}: {text}\n")


def table() -> str:
    """Give the table of checks in Markdown, as docs/DOCTOR.md has it."""
    lines = ["| code | severity | looks at | why |", "|---|---|---|---|"]
    for part in (ROOT, HOST):
        lines += [
            f"| `{row.code}` | {row.severity} | {row.looks_at.replace('|', ' ')} | {row.why} |"
            for row in checks.load()
            if row.part == part
        ]
    return "\n".join(lines) + "\n"
