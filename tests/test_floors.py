"""The core's wings, which stand on each other: a name of a higher wing is not used in a lower one, but for a few with reasons.

The order is that of ``_fast.pyx``.  Read from the text: what a part defines at its top level, and which of these names each definition
uses.  Names of fields, and of locals that hide one, are not uses.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.helpers import PROJECT

CORE = Path(PROJECT, "pyroot")

pytestmark = pytest.mark.skipif(not (CORE / "_fast.pyx").exists(), reason="no source tree here")

UPWARDS = {
    # A stop of a guest that others trace is held back, and goes on as any stop when its tracer lets it go.
    "on_birth": "a birth that the tracer has seen",
    "on_call": "a call at its entry that the tracer has let go",
    "on_signal": "a signal that the tracer passes on",
    "on_stop_event": "a group-stop that is none for the tracer",
    "on_stop": "PTRACE_ATTACH serves what its tracee has to tell before it looks",
    "on_gone": "the same of its end",
    "dispatch": "a recorded call is handled once it is noted",
    "take_signal": "a look-on, or another session, wakes the loop by a signal that is taken when the first one comes",
    "record_moved": "other sessions read where the bindings are; the tables of a view change in one place",
    "fellow_of": "a link below /proc/PID may be one of a guest of another session",
}
"""What may be used from below, and why.  The list may only shrink."""


def stripped(text: str) -> str:
    """Return a part without comments and without the texts of strings."""
    text = re.sub(r'"""(?:.|\n)*?"""', '""', text)
    text = re.sub(r'b?"(?:\\.|[^"\\\n])*"', '""', text)
    text = re.sub(r"c?'(?:\\.|[^'\\\n])*'", "''", text)
    return re.sub(r"#.*", "", text)


def included(path: str, pattern: str) -> list[str]:
    """Return the parts that a file of the core includes, by the names that match."""
    return re.findall(rf'^include "{pattern}\.pxi"$', (CORE / path).read_text("utf-8"), re.MULTILINE)


def parts() -> list[str]:
    """Return the parts of the core, ``wing/part`` or ``wing/folder/part``, in their order."""
    order = re.findall(r'^include "_fast/((?:\w+/)+\w+)\.pxi"$', (CORE / "_fast.pyx").read_text("utf-8"), re.MULTILINE)
    # (features are named by the list of them alone, and stand below the run that begins them)
    first = next(i for i, part in enumerate(order) if part.startswith("run/"))
    return [*order[:first], *features("run/feature_list"), *order[first:]]


def features(part: str) -> list[str]:
    """Return the parts that a part includes, and those that these include, in their order."""
    path = CORE / "_fast" / f"{part}.pxi"
    found: list[str] = []
    for name in re.findall(r'^include "([\w./]+)\.pxi"$', path.read_text("utf-8"), re.MULTILINE):
        inside = str((path.parent / name).resolve().relative_to((CORE / "_fast").resolve()))
        found += [*features(inside), inside]
    return found


def definitions(text: str) -> list[list[str]]:
    """Cut a part up into the lines of its definitions."""
    found: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line and not line[0].isspace() and line[0] not in ")]":
            found.append([])
        found[-1].append(line)
    return found


def names_of(lines: list[str]) -> set[str]:
    """Return what a definition defines."""
    head = lines[0] if lines else ""
    kind = re.match(r"(?:cdef|ctypedef) (?:packed )?(struct|union|enum|class)\b\s*(\w*)(.*)", head)
    if kind and (kind[1] == "enum" or re.match(r"[:(]|\s*$", kind[3])):
        inside = re.findall(r"^\s+(\w+)\s*(?:=|$)", "\n".join(lines[1:]), re.MULTILINE) if kind[1] == "enum" else []
        # (a struct that is announced below, without its fields, is at home there: nobody below knows more of it)
        return {*inside, kind[2]} - {""}
    if head.startswith("cdef extern"):
        return set(re.findall(r"^    .*?(\w+)\s*(?:\(.*|\"\"|$)", "\n".join(lines[1:]), re.MULTILINE)) - {"enum"}
    call = re.match(r"(?:cdef|def|class)\s[^(=]*?(\w+)\s*\(|ctypedef .*\(\*(\w+)\)", head)
    if call:
        return {call[1] or call[2]}
    if head.startswith("cdef "):
        values = re.sub(r"\([^()]*\)|\[[^\]]*\]", "", head[5:])
        return {word[-1] for part in values.split(",") if (word := re.findall(r"\w+", part.split("=")[0]))}
    return set()


def locals_of(lines: list[str]) -> set[str]:
    """Return the parameters and locals of a function, without what it declares global."""
    head = re.match(r"[^:]*", " ".join(lines))
    declared = re.findall(r"\((.*)\)", head[0]) if head else []
    declared += re.findall(r"^\s+cdef ([^\n]*)", "\n".join(lines[1:]), re.MULTILINE)
    found = set()
    for text in declared:
        for part in re.sub(r"\([^()]*\)|\[[^\]]*\]", "", text).split(","):
            found.update(re.findall(r"\w+", part.split("=")[0])[-1:])
    found.update(re.findall(r"^\s+(\w+) = ", "\n".join(lines[1:]), re.MULTILINE))
    return found - set(re.findall(r"\w+", " ".join(re.findall(r"\bglobal ([\w, ]+)", "\n".join(lines)))))


def uses_of(lines: list[str]) -> set[str]:
    """Return the words of a definition that may be names of others."""
    head = lines[0] if lines else ""
    if head.startswith("cdef extern"):
        return set()
    if re.match(r"cdef (?:packed )?(?:struct|union)\b", head):
        return {word for line in lines[1:] for word in re.findall(r"^\s+(\w+)|\[(\w+)", line) for word in word if word}
    return set(re.findall(r"(?<![\w.])(\w+)", "\n".join(lines))) - (locals_of(lines) if "(" in head else set())


def upward_uses() -> dict[str, set[str]]:
    """Return each name that is used below its wing, with the definitions that use it."""
    order = parts()
    wings = list(dict.fromkeys(part.split("/")[0] for part in order))
    texts = {part: definitions(stripped((CORE / "_fast" / f"{part}.pxi").read_text("utf-8"))) for part in order}
    home = {name: part for part in reversed(order) for lines in texts[part] for name in names_of(lines)}
    found: dict[str, set[str]] = defaultdict(set)
    for part in order:
        for lines in texts[part]:
            for name in uses_of(lines) & home.keys():
                if wings.index(home[name].split("/")[0]) > wings.index(part.split("/")[0]):
                    found[name].add(f"{part}: {lines[0]}")
    return found


def test_no_wing_uses_what_stands_above_it() -> None:
    found = upward_uses()
    assert {name: sorted(where) for name, where in found.items() if name not in UPWARDS} == {}
    assert sorted(UPWARDS) == sorted(found), "what is no longer used upwards leaves the list"
    assert len(UPWARDS) <= 10


def test_wings_are_contiguous_and_hold_every_part() -> None:
    order = parts()
    wings = [part.split("/")[0] for part in order]
    assert wings == sorted(wings, key=list(dict.fromkeys(wings)).index)
    assert sorted(order) == sorted(str(path.relative_to(CORE / "_fast").with_suffix("")) for path in CORE.glob("_fast/**/*.pxi"))
    names = [path.stem for path in CORE.glob("_fast/**/*.pxi")]
    assert len(names) == len(set(names)), "comments name a part without its wing"


def test_comments_name_parts_that_exist() -> None:
    names = {path.name for path in CORE.glob("_fast/**/*.pxi")}
    for path in [*CORE.glob("_fast/**/*.pxi"), *CORE.glob("guest/*")]:
        if path.suffix in {".pxi", ".c", ".h", ".S"}:
            assert set(re.findall(r"\b(\w+\.pxi)\b", path.read_text("utf-8"))) <= names, path


@pytest.mark.parametrize("text", ["cdef int lower() noexcept nogil:\n    return upper(1)\n", "cdef int lower = upper\n"])
def test_a_use_is_seen(text: str) -> None:
    [lines] = [lines for lines in definitions(stripped(text)) if lines and lines[0]]
    assert "upper" in uses_of(lines)
    assert names_of(lines) == {"lower"}
