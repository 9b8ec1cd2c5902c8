"""The map of the rooms: generated from the rooms themselves, complete, and its answers lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import PROJECT

MAP = Path(PROJECT, "docs/ROOMS.md")

pytestmark = pytest.mark.skipif(not Path(PROJECT, "scripts/rooms").exists(), reason="no source tree here")

QUESTIONS = re.findall(r"^\| ([^|]+\?) \| `([^`]+)` \| `(\w+)` \|$", MAP.read_text("utf-8"), re.MULTILINE) if MAP.exists() else []


def test_the_map_is_what_the_rooms_say() -> None:
    result = subprocess.run([sys.executable, f"{PROJECT}/scripts/rooms", "--check"], check=False)
    assert result.returncode == 0, "run: scripts/rooms"


def test_every_room_says_what_it_decides() -> None:
    empty = [line for line in MAP.read_text("utf-8").splitlines() if re.fullmatch(r"\| `[^`]+` \|\s*\|", line)]
    assert empty == []


def test_there_are_ten_questions() -> None:
    assert len(QUESTIONS) >= 10


@pytest.mark.parametrize(("question", "file", "name"), QUESTIONS)
def test_an_answer_leads_to_its_place(question: str, file: str, name: str) -> None:
    text = Path(PROJECT, file).read_text("utf-8")
    assert re.search(rf"^(?:\w.*)?\b{name}(?:\(|:| =)", text, re.MULTILINE), f"{question} {file} does not define {name}"


def test_no_other_map_names_the_rooms() -> None:
    """Two maps are one too many: the others point here."""
    for name in ("docs/INTERNALS.md", "CONTRIBUTING.md"):
        text = Path(PROJECT, name).read_text("utf-8")
        assert "ROOMS.md" in text
        assert len(re.findall(r"^\| `[^|]*\.pxi`", text, re.MULTILINE)) == 0
