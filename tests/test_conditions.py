"""The program that runs the suite under many conditions reads what pytest says, and changes what it says that it changes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import conditions


@pytest.mark.parametrize("line, expected", [
    ("= 2 failed, 40 passed, 3 skipped, 5 deselected in 61.20s (0:01:01) =", [40, 2, 0, 3, 5]),
    ("7 passed, 1 error in 0.31s", [7, 0, 1, 0, 0]),
    ("1 failed, 2 errors in 12.00s", [0, 1, 2, 0, 0]),
    ("no tests ran in 0.01s", [0, 0, 0, 0, 0]),
])  # fmt: skip
def test_counts_are_read_from_the_last_line(tmp_path: Path, line: str, expected: list[int]) -> None:
    (tmp_path / "log").write_text(f"....\nFAILED tests/test_x.py::test_y - 3 passed\n{line}\n")
    assert conditions.counts(str(tmp_path / "log")) == dict(zip(conditions.COUNTS, expected, strict=True))


def test_run_that_came_to_no_end_has_no_counts(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("....\n")
    assert conditions.counts(str(tmp_path / "log")) is None


def test_condition_is_there_and_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "seen"
    seen.mkdir(mode=0o777)
    program = tmp_path / "pytest"
    program.write_text(f"#!/bin/sh\nstat -f -c %T \"$TMPDIR\" >'{seen}/type'; echo $LC_ALL >'{seen}/locale'; echo 1 passed in 0.1s\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert conditions.one("c-language", [], str(tmp_path))
    assert (seen / "locale").read_text() == "C\n"
    assert conditions.one("inherited+c-language", [], str(tmp_path))
    assert (seen / "locale").read_text() == "C\n"
    if conditions.one("tmpfs", [], str(tmp_path)) and (tmp_path / "tmpfs.log").exists():
        assert (seen / "type").read_text() == "tmpfs\n"
