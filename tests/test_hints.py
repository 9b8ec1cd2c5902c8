"""Every hint is executed: somebody does what it says, and the failure is gone, or is another one.

(What the doctor says is executed in test_doctor.py, what `trace --why` says in test_why_corpus.py.)
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import as_user, helpers, hinted
from tests.hinted import Situation
from tests.test_typed_wrong import NAMES, NOT_AS_ROOT, TYPED

EACH = 12  # every so many typed lines are followed in the default run


class Place:
    """A directory with a root that the ordinary user has made."""

    def __init__(self, top: Path, programs: str) -> None:
        """Make the root, and what else is named."""
        self.top = top
        made = "mkdir E I && mkdir -m 0 C && ln -s ../R I/rootfs && tar -czf x.tar.gz -C R . && : > R/x"
        done = self.shell(f"pyroot new R {programs} && {made}")
        assert done.returncode == 0, done.stderr

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run shell lines."""
        text = f'pyroot() {{ {shlex.join(as_user.command())} "$@"; }}\n{script}\n'
        env = {**as_user.environment(self.top), "LC_ALL": "C", **helpers.python_environment()}
        return subprocess.run(["bash", "-c", text], cwd=self.top, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=100, check=False, **as_user.identity())  # fmt: skip


def said(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """Return the message and the hint."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("pyroot: root /")]
    hint = next((line.partition("hint: ")[2] for line in lines if line.startswith("  hint: ")), "")
    return next((line for line in lines if line.startswith("pyroot: ")), ""), hint


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Make a place of its own."""
    reason = helpers.ordinary_user.why_not()
    if reason:
        pytest.skip(reason)
    with as_user.work_directory() as top:
        yield Place(top, request.param)


def lines() -> list[object]:
    """List the typed lines; all but every EACHth are for the long run."""
    return [
        pytest.param("sh ls cat env", words, id=words, marks=[pytest.mark.slow] if number % EACH else [])
        for number, (words, _hint) in enumerate(TYPED)
    ]


@pytest.mark.parametrize(("place", "words"), lines(), indirect=["place"])
def test_what_is_typed_after_a_hint_gives_no_such_failure(place: Place, words: str) -> None:
    typed = words.format(**NAMES)
    message, hint = said(place.shell(f"pyroot {typed}"))
    assert hint
    if words in hinted.BY_HAND:
        new = hinted.BY_HAND[words]
        commands = [f"pyroot {new.format(**NAMES)}"] if new else hinted.follow(typed, message, hint)
        if new is None and commands is None:
            pytest.skip("the hint names nothing that could be typed here")
    else:
        commands = hinted.follow(typed, message, hint)
        assert commands, f"what is typed after this hint has to be written into BY_HAND: {hint}"
    assert commands is not None
    for command in commands[:-1]:
        done = place.shell(command)
        assert done.returncode == 0, f"{hint}\n{command}\n{done.stderr}"
    after = place.shell(commands[-1])
    assert said(after)[0] != message, f"{hint}\n{commands}\n{after.stderr}"
    assert not said(after)[0].startswith("pyroot: internal")
    if NOT_AS_ROOT not in words:
        assert after.returncode in (0, 1) or said(after)[1], f"{commands}: {after}"


@pytest.mark.parametrize(("place", "situation"), [
    pytest.param("sh ls cat bash head", one, id=one.name, marks=[pytest.mark.slow] if number % EACH else [])
    for number, one in enumerate(hinted.RUNS)
], indirect=["place"])  # fmt: skip
def test_what_a_failed_run_says_is_done_and_the_failure_is_gone_or_changed(place: Place, situation: Situation) -> None:
    if os.geteuid() == 0 and "C" in situation.line.split():
        pytest.skip("root enters every directory")
    done = place.shell(situation.act)
    assert done.returncode == 0, done.stderr
    before = place.shell(f"pyroot {situation.line}")
    message, hint = said(before)
    assert before.returncode != 0
    assert message and situation.hint in hint, before.stderr
    commands = [f"pyroot {situation.then}"] if situation.then else hinted.follow(situation.line, message, hint)
    assert commands, hint
    for command in commands:
        after = place.shell(command)
        # (1: there is nothing to be listed)
        assert after.returncode <= (command == "pyroot ps"), f"{hint}\n{command}\n{after.stderr}{after.stdout[-500:]}"


def test_every_line_that_has_a_hand_written_answer_is_one_that_is_typed() -> None:
    assert set(hinted.BY_HAND) <= {words for words, _hint in TYPED}
