"""``pyroot bindings``: what a run would show where."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result


def test_table_is_that_of_the_run(run_pyroot: Callable[..., Result], busybox_root: str) -> None:
    options = ["-r", busybox_root, "--read-only", "-b", "/proc", "--ro-bind", "/usr:/mnt", "-b", "/etc:/a/b/c"]
    table = run_pyroot(["bindings", *options])
    assert table.stdout.splitlines() == [
        f"/       ro  {os.path.realpath(busybox_root)}", "/a/b/c  rw  /etc", "/mnt    ro  /usr", "/proc   rw  /proc"]  # fmt: skip
    rows = json.loads(run_pyroot(["bindings", "--json", *options]).stdout)
    assert [(row["guest"], row["readonly"]) for row in rows] == [("/", True), ("/a/b/c", False), ("/mnt", True), ("/proc", False)]


@pytest.mark.parametrize(("words", "says"), [(["-r", "/none"], "-r /none"), (["-b", "/none:/x"], "/none on the host"), (["--no"], "--no")])
def test_what_the_run_would_refuse_is_refused(run_pyroot: Callable[..., Result], words: list[str], says: str) -> None:
    done = run_pyroot(["bindings", *words])
    assert done.status == 125
    assert says in done.stderr


def test_help(run_pyroot: Callable[..., Result]) -> None:
    assert "--json" in run_pyroot(["bindings", "--help"]).stdout
