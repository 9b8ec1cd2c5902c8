"""What `pyroot new` and `pyroot copy` bring is enough for programs to do their work, and what they leave behind is named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyroot.elf import Rooted
from pyroot.rootfs import runtimes
from tests.helpers import Result

Run = Callable[..., Result]

PYTHON, PERL, GIT, GCC = "/usr/bin/python3", "/usr/bin/perl", "/usr/bin/git", "/usr/bin/gcc"


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip where this host lacks a program."""
    return pytest.mark.skipif(not all(map(os.path.exists, programs)), reason=f"no {', '.join(programs)}")


@needs(PYTHON)
def test_python_of_a_new_root_has_its_library(guest_directory: str, run_pyroot: Run) -> None:
    root = Path(guest_directory, "root")
    done = run_pyroot(["new", root, PYTHON])
    assert (done.status, done.stderr) == (0, "")
    script = "import json, socket, decimal, ctypes, asyncio, zoneinfo; print(json.dumps([1]))"
    done = run_pyroot(["-r", root, "-w", "/", PYTHON, "-c", script])
    assert (done.status, done.stdout) == (0, "[1]\n"), done.stderr
    assert run_pyroot(["doctor", root, PYTHON]).status == 0


@needs(PYTHON)
def test_a_root_with_a_python_library_keeps_it(guest_directory: str, run_pyroot: Run) -> None:
    root = Path(guest_directory, "root")
    assert run_pyroot(["new", root, PYTHON]).status == 0
    real = os.path.realpath(PYTHON)
    [place] = runtimes.library_of(Rooted("/"), os.fsencode(real), runtimes.PYTHON).places
    own = root / os.fsdecode(place)[1:] / "json/__init__.py"
    own.write_text("own = 1\n")
    assert run_pyroot(["copy", root, PYTHON]).status == 0
    assert own.read_text() == "own = 1\n"


@needs(PERL)
def test_perl_brings_its_library_by_copy(guest_directory: str, run_pyroot: Run) -> None:
    root = Path(guest_directory, "root")
    assert run_pyroot(["new", root, "/bin/sh"]).status == 0
    done = run_pyroot(["copy", root, PERL])
    assert done.status == 0
    assert "library of an interpreter" in done.stdout
    done = run_pyroot(["-r", root, "-b", "/dev", "-w", "/", PERL, "-e", 'use strict; use POSIX; print "fine\\n"'])
    assert (done.status, done.stdout) == (0, "fine\n"), done.stderr


@needs(GIT)
def test_git_commits_and_clones(guest_directory: str, run_pyroot: Run) -> None:
    root = Path(guest_directory, "root")
    assert run_pyroot(["new", root, GIT, "/bin/sh"]).status == 0
    script = (
        "cd /tmp && git init -q a && cd a && echo 1 > f && git add f && git -c user.email=a@b -c user.name=a commit -qm one"
        " && git clone -q /tmp/a /tmp/b && cd /tmp/b && git submodule status && git log --format=%s"
    )
    done = run_pyroot(["-r", root, "-w", "/", "/bin/sh", "-c", script], environment={"HOME": "/tmp", "PATH": "/usr/bin:/bin"})
    assert (done.status, done.stdout, done.stderr) == (0, "one\n", "")


@needs(PERL, PYTHON)
def test_what_does_not_start_without_devices_gets_them_with_r(guest_directory: str, run_pyroot: Run) -> None:
    root = Path(guest_directory, "root")
    environment = {"HOME": "/tmp", "PATH": "/usr/bin:/bin"}
    assert run_pyroot(["new", root, PERL, PYTHON, "/bin/sh"]).status == 0
    done = run_pyroot(["-r", root, "-w", "/", PERL, "-e", 'use strict; print "fine\\n"'], environment=environment)
    assert (done.status, done.stdout, done.stderr) == (0, "fine\n", "")
    shown = run_pyroot(["-r", root, "-w", "/", "/bin/sh", "-c", "cd /dev; echo *; echo lost > null; read x < null || echo empty"])
    assert shown.stdout == "full null random tty urandom zero\nempty\n"
    assert list((root / "dev").iterdir()) == [], "nothing is made in the root"
    found = run_pyroot(["doctor", root, PERL])
    assert (found.status, "dev-empty" in found.stdout) == (0, False)
    (root / ".pyroot/devices").unlink()
    assert run_pyroot(["-r", root, "-w", "/", PERL, "-e", "1"], environment=environment).status != 0


@needs(PYTHON)
def test_what_starts_without_devices_gets_nothing_of_the_host_with_r(guest_directory: str, run_pyroot: Run) -> None:
    root = Path(guest_directory, "root")
    assert run_pyroot(["new", root, PYTHON, "/bin/sh"]).status == 0
    assert run_pyroot(["-r", root, "-w", "/", "/bin/sh", "-c", "echo /dev/*"]).stdout == "/dev/*\n"


@needs(GCC)
def test_gcc_brings_its_parts_and_headers_on_request(guest_directory: str, run_pyroot: Run) -> None:
    root = Path(guest_directory, "root")
    assert run_pyroot(["new", root, "/bin/sh"]).status == 0
    done = run_pyroot(["copy", root, GCC])
    assert "left /usr/include: headers" in done.stdout
    (root / "tmp/a.c").write_text("int main(void) { return 7; }\n")
    script = "cd /tmp && gcc -c a.c && echo compiled"
    assert run_pyroot(["-r", root, "-b", "/dev", "-w", "/", "/bin/sh", "-c", script]).stdout == "compiled\n"
    done = run_pyroot(["copy", "--headers", root, GCC])
    assert "left " not in done.stdout
    (root / "tmp/b.c").write_text('#include <stdio.h>\nint main(void) { puts("hello"); return 7; }\n')
    script = "cd /tmp && gcc -o b b.c && ./b; echo $?"
    done = run_pyroot(["-r", root, "-b", "/dev", "-w", "/", "/bin/sh", "-c", script])
    assert done.stdout == "hello\n7\n", done.stderr


def test_trees_say_what_is_not_found_and_are_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from pyroot.doctor import copy

    assert copy.main(["--tree", "--json", "/bin/sh"]) == 0
    [tree] = json.loads(capfd.readouterr().out)
    assert tree["path"] == "/bin/sh"
    assert tree["interpreter"].startswith("/")
    assert any(one["name"].startswith("libc.so") for one in tree["needs"])
    assert copy.main(["--tree", "/bin/sh"]) == 0
    assert "None" not in capfd.readouterr().out
