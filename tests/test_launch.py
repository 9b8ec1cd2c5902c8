"""From Config to exit code, where no guest is needed to see it."""

import os
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from pyroot import launch, report
from pyroot.config import Config
from pyroot.errors import PyrootError
from pyroot.path import View


class CoreError(Exception):
    pass


class FakeCore(View):
    """A core that runs nothing: it answers from a list of outcomes and remembers what it was asked."""

    outcomes: list[int | Exception] = []
    calls: list[tuple[Any, ...]] = []

    def run(self, wanted: launch.Run) -> int:
        self.calls.append((wanted.program, wanted.argv, wanted.variables, wanted.cwd, wanted.config.kill_on_exit, wanted.config.seccomp))
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture(autouse=True)
def core(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeCore]]:
    module = types.ModuleType("pyroot._fast")
    module.Core = FakeCore  # type: ignore[attr-defined]
    module.CoreError = CoreError  # type: ignore[attr-defined]
    module.be_called = bytes.strip  # type: ignore[attr-defined]
    module.can_share = lambda places: True  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyroot._fast", module)
    FakeCore.outcomes, FakeCore.calls = [], []
    yield FakeCore
    report.set_verbosity(0)


def config(*command: str) -> Config:
    made = Config(b"/", [os.fsencode(word) for word in command])
    made.host_cwd = b"/usr"
    return made


@pytest.mark.parametrize(("status", "code"), [(0, 0), (7 << 8, 7), (255 << 8, 255), (9, 137), (11 | 0x80, 139)])
def test_exit_code_of_a_wait_status(status: int, code: int) -> None:
    assert launch.exit_code(status) == code


def test_login_shell_is_the_default(core: type[FakeCore], monkeypatch: pytest.MonkeyPatch) -> None:
    core.outcomes = [0]
    # (this machine's root may have another one)
    monkeypatch.setattr(os, "getuid", lambda: (1 << 32) - 3)
    assert launch.run(config()) == 0
    exe, argv, environment, cwd = core.calls[0][:4]
    assert (exe, argv, cwd) == (b"/bin/sh", [b"-sh"], b"/usr")
    assert b"PWD=/usr" in environment


def test_filter_that_is_refused_is_done_without(core: type[FakeCore], capfd: pytest.CaptureFixture[str]) -> None:
    core.outcomes = [CoreError("seccomp: Invalid argument"), 3 << 8]
    assert launch.run(config("/bin/true")) == 3
    assert [call[5] for call in core.calls] == [True, False]
    assert capfd.readouterr().err == ""
    core.outcomes = [CoreError("seccomp: Invalid argument"), 0]
    report.set_verbosity(1)
    launch.run(config("/bin/true"))
    assert "without a filter every system call stops" in capfd.readouterr().err


def test_other_failure_of_the_core_ends_the_run(core: type[FakeCore]) -> None:
    core.outcomes = [CoreError("ptrace is not permitted here: Operation not permitted")]
    with pytest.raises(PyrootError, match="ptrace is not permitted here") as caught:
        launch.run(config("/bin/true"))
    assert caught.value.exit_code == 125


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        (b"ls", b"/bin:/usr/bin", [b"/bin/ls", b"/usr/bin/ls"]),
        (b"ls", b"", [b"ls"]),
        (b"ls", b":/bin/", [b"ls", b"/bin/ls"]),
        (b"ls", b"rel", [b"rel/ls"]),
        (b"ls", b"/", [b"/ls"]),
        (b"./ls", b"/bin", [b"./ls"]),
        (b"/x/ls", b"/bin", [b"/x/ls"]),
        (b"", b"/bin", []),
    ],
)
def test_candidates_are_spelled_as_execvp_does(name: bytes, path: bytes, expected: list[bytes]) -> None:
    assert launch.candidates(name, path) == expected


def test_glue_is_removed_when_the_start_fails(core: type[FakeCore], tmp_path: Any) -> None:
    from pyroot.binding import Binding

    made = config("/bin/true")
    made.tmp_dirs = [os.fsencode(tmp_path)]
    made.binds = [Binding(b"/etc", b"/nowhere/x/y", True, "-b x")]
    core.outcomes = [CoreError("fork: no")]
    with pytest.raises(PyrootError):
        launch.run(made)
    assert list(tmp_path.iterdir()) == []
