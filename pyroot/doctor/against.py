"""Checks of a root against the list that was recorded while it worked (`pyroot checklist`).

Decides: how severe a difference is, and which can be fixed from what the list says. Without a list nothing is found. What
differs is `pyroot.manifest.compare`'s to say.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from pyroot.doctor.registry import ERROR, NOTE, WARNING, Finding, check
from pyroot.doctor.steps import Chmod, Copy, Link, LoaderIndex, MakeDirectory, Step, WriteFile
from pyroot.plain import replace
from pyroot.reading.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.manifest.compare import Change
    from pyroot.manifest.entry import Entry

# What programs write while a root is used.
_BUSY = (b"/tmp/", b"/run/", b"/home/", b"/root/", b"/dev/", b"/proc/", b"/var/tmp/", b"/var/run/",
         b"/var/cache/", b"/var/log/", b"/var/lib/")  # fmt: skip
_RIGHTS = ("mode", "owner")


def _severity(path: bytes, severity: str) -> str:
    return NOTE if path.startswith(_BUSY) else severity


def _of(one: Change) -> str:
    return f" (of {one.package})" if one.package else ""


@check("list-missing", ERROR, "with --against: files that are in the list", "the root worked with it, and what needs it fails now")
def list_missing(view: View) -> Iterator[Finding]:
    """Find what has gone since the list was written."""
    if view.expected is None:
        return
    from pyroot.manifest.compare import GONE, folded
    from pyroot.manifest.entry import DIRECTORY, FILE, LINK

    for one, below in folded([one for one in view.differences if one.kind == GONE]):
        entry = one.before
        if entry is None:
            continue
        more = f", with {below} files below it" if below else ""
        steps: tuple[Step, ...] = ()
        if entry.type == DIRECTORY:
            steps = (MakeDirectory(one.path, entry.mode),)
        elif entry.type == LINK and entry.target is not None:
            steps = (Link(one.path, entry.target),)
        elif entry.type == FILE and view.rooted.root and _holds(one.path, entry):
            steps = (Copy(one.path),)
        mend = f"install {one.package} again" if one.package else "bring it back"
        what = f"is no longer there: {_kind(entry)}{_of(one)}{more}"
        yield Finding(one.path, what, mend, steps, severity=_severity(one.path, ERROR))


def _kind(entry: Entry) -> str:
    from pyroot.manifest.entry import DIRECTORY, LINK

    if entry.type == LINK and entry.target is not None:
        return f"link to {os.fsdecode(entry.target)}"
    return {DIRECTORY: "directory"}.get(entry.type, entry.type)


def _holds(path: bytes, entry: Entry) -> bool:
    """Tell whether this host has the file that a list means, by its content."""
    try:
        with open(path, "rb") as file:
            return bool(entry.sha256) and _sha256(file.read()) == entry.sha256
    except OSError:
        return False


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def towards(view: View, findings: list[Finding]) -> list[Finding]:
    """Leave out the steps that lead away from the list: what the root had when it worked counts, not what this host has."""
    if view.expected is None:
        return findings
    entries = {one.path: one for one in view.expected}
    found: list[Finding] = []
    for one in findings:
        steps = tuple(step for step in one.steps if one.code.startswith("list-") or _leads_there(view, step, entries))
        if steps != one.steps:
            entry = entries.get(one.steps[0].path)
            whose = f" of {entry.package}" if entry is not None and entry.package else ""
            one = replace(one, steps=steps, mend=f"bring back what the list has{whose}; this host's is another" if entry else one.mend)
        found.append(one)
    return found


def _leads_there(view: View, step: Step, entries: dict[bytes, Entry]) -> bool:
    from pyroot.manifest.entry import DIRECTORY, FILE, LINK

    trace = view.find(step.path)
    entry = entries.get(step.path) or (entries.get(trace.real) if trace else None)
    if isinstance(step, LoaderIndex):
        return True
    if entry is None:
        return False
    if isinstance(step, Chmod | MakeDirectory):
        return entry.mode == step.mode and (entry.type == DIRECTORY or not isinstance(step, MakeDirectory))
    if isinstance(step, Link):
        return entry.type == LINK and entry.target == step.text
    if isinstance(step, WriteFile):
        return entry.type == FILE and entry.sha256 == _sha256(step.content)
    if isinstance(step, Copy):
        real = os.path.realpath(step.path)
        return entry.type == FILE and _holds(real, entry) or entry.type == LINK and os.path.islink(step.path)
    return False


@check("list-rights", ERROR, "with --against: modes and owners", "users who could use it while the root worked may not be able to now")
def list_rights(view: View) -> Iterator[Finding]:
    """Find files whose mode or owner differs from the list."""
    if view.expected is None:
        return
    from pyroot.manifest.compare import CHANGED, told
    from pyroot.manifest.entry import LINK

    for one in view.differences:
        facts = [fact for fact in one.facts if fact[0] in _RIGHTS]
        if one.kind != CHANGED or not facts or one.before is None or "type" in [fact[0] for fact in one.facts]:
            continue
        status = view.stat(one.path)
        steps: tuple[Step, ...] = ()
        mend = f"chown {one.before.uid}:{one.before.gid} {view.outside(one.path)}"
        if facts[0][0] == "mode":
            mend = f"chmod {one.before.mode:04o} {view.outside(one.path)}"
            if len(facts) == 1 and one.before.type != LINK and status is not None and view.owns(status):
                steps = (Chmod(one.path, one.before.mode),)
        # More rights than before keep nobody from working.
        worse = any(name == "owner" for name, _before, _after in facts) or _lost(one)
        yield Finding(
            one.path,
            f"{'; '.join(told(*fact) for fact in facts)}{_of(one)}",
            mend,
            steps,
            severity=_severity(one.path, ERROR if worse else WARNING),
        )


def _lost(one: Change) -> bool:
    return bool(one.before and one.after and one.before.mode & ~one.after.mode & (0o777 | stat.S_ISVTX))


@check("list-changed", WARNING, "with --against: type, size, content, target", "a program, library or setting is not the one that worked")
def list_changed(view: View) -> Iterator[Finding]:
    """Find files whose content differs from the list."""
    if view.expected is None:
        return
    from pyroot.manifest.compare import CHANGED, told
    from pyroot.manifest.entry import LINK

    for one in view.differences:
        facts = [fact for fact in one.facts if fact[0] not in _RIGHTS]
        if one.kind != CHANGED or not facts or one.before is None:
            continue
        steps: tuple[Step, ...] = ()
        if one.before.type == LINK and one.before.target is not None and one.after is not None and one.after.type == LINK:
            steps = (Link(one.path, one.before.target),)
        mend = f"install {one.package} again, if that was not meant" if one.package else "look whether that was meant"
        what = f"{'; '.join(told(*fact) for fact in facts)}{_of(one)}"
        yield Finding(one.path, what, mend, steps, severity=_severity(one.path, WARNING))


@check(
    "list-new",
    NOTE,
    "with --against: files that are not in the list",
    "a file that is found earlier in a search path hides the one that worked",
)
def list_new(view: View) -> Iterator[Finding]:
    """Name what has been added since the list was written."""
    if view.expected is None:
        return
    from pyroot.manifest.compare import NEW, folded

    for one, below in folded([one for one in view.differences if one.kind == NEW]):
        more = f", with {below} files below it" if below else ""
        yield Finding(one.path, f"was not there{_of(one)}{more}", "look whether it is meant")
