"""The conditions of `pyroot files` beside lsof's own: which files are listed for -p, -u, -i, PATH and +D, together and with -a."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import helpers
from tests.helpers import Result
from tests.test_look import running

pytestmark = pytest.mark.skipif(shutil.which("lsof") is None, reason="lsof is not installed")

HOLD = """
import os, socket, sys
os.chdir(sys.argv[1])
file = open(sys.argv[2])
own = socket.socket()
own.bind(("127.0.0.1", 0))
own.listen(1)
print(os.getpid(), own.getsockname()[1], flush=True)
sys.stdin.read()
"""

# A, B: processes; X, Y: a file that each has open; D: the directory of Y; P: a port of A; U: the user of both.
# Of a path together with -i or +D lsof makes exceptions: they are left out.
CONDITIONS = (
    "-p A", "-p A,B", "-u U", "-u ^U", "-u U,nosuchuser", "X", "X Y", "-i:P", "+D D",
    "-p A Y", "-a -p A Y", "-a -p B Y", "-p B -i:P", "-a -p B -i:P", "-a -p A -i:P", "-u U X", "-a -u U X", "-a -u U -p B",
    "-u ^U -p A", "-a -u ^U X", "-p A +D D", "-a -p B +D D", "-a -u U -i:P",
)  # fmt: skip


def lsof(words: list[str], pids: set[int]) -> set[tuple[int, str]]:
    """Give what lsof lists of some processes: process, and descriptor or cwd."""
    command = ["lsof", "-w", "-n", "-P", "-F", "pf", *words]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=helpers.drop_to_ordinary_user, check=False)
    found = set()
    pid = 0
    for line in done.stdout.splitlines():
        if line.startswith("p"):
            pid = int(line[1:])
        elif line.startswith("f") and pid in pids and (line[1:].isdigit() or line[1:] == "cwd"):
            found.add((pid, line[1:]))
    return found


def test_conditions_are_those_of_lsof(guest_directory: str, run_pyroot: Callable[..., Result], pyroot_words: list[str]) -> None:
    python, variables = helpers.ordinary_python()
    names = {"X": f"{guest_directory}/one/x", "Y": f"{guest_directory}/two/y", "D": f"{guest_directory}/two"}
    for name in ("X", "Y"):
        Path(names[name]).parent.mkdir()
        Path(names[name]).touch()
    user = helpers.ordinary_user.uid
    try:
        names["U"] = pwd.getpwuid(user).pw_name
    except KeyError:
        names["U"] = str(user)
    environment = {"PATH": os.defpath, "HOME": "/", "LANG": "C", **variables}
    start = ["-r", "/", "-w", "/", python, "-c", HOLD]
    with (
        running(pyroot_words, *start, f"{guest_directory}/one", names["X"], environment=environment) as (_one, first),
        running(pyroot_words, *start, f"{guest_directory}/two", names["Y"], environment=environment) as (_two, second),
    ):
        (names["A"], names["P"]), names["B"] = first.split(), second.split()[0]
        names["^U"] = f"^{names['U']}"
        pids = {int(names["A"]), int(names["B"])}
        seen = set()
        for text in CONDITIONS:
            words = []
            for word in text.split():
                if word.startswith("-i:"):
                    words.append(f"-i:{names['P']}")
                elif word.startswith(("-", "+")):
                    words.append(word)
                else:
                    words.append(",".join(names.get(one, one) for one in word.split(",")))
            listed = json.loads(run_pyroot(["files", "--json", *words]).stdout)["files"]
            ours = {(one["pid"], one["use"]) for one in listed if one["pid"] in pids and (one["use"].isdigit() or one["use"] == "cwd")}
            # a user that nobody has is an error of lsof's, and nobody's process for pyroot
            theirs = lsof([word.removesuffix(",nosuchuser") for word in words], pids)
            assert ours == theirs, text
            seen.add(frozenset(ours))
        assert len(seen) >= 8, "the conditions differ"
