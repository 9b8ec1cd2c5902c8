"""A new user reads the documents and types what they say: the output that a page shows comes out, and every command that it names works.

Nothing of the network is needed, and nothing of the user: an empty home, a root that `pyroot new` has made in it. (The way to the installed
command, which the README begins with, is walked in test_documents.py; docs/IMAGES.md, PYTHON.md and SUITES.md have tests of their own.)
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyroot import options
from tests import as_user, helpers, walks
from tests.images import docker_archive, entry, layer
from tests.rootfs_fixtures import static_busybox
from tests.walks import Walk

TOP = Path(helpers.PROJECT)

VERBS = {name for name, _arguments, _text, _module in options.VERBS}

pytestmark = pytest.mark.skipif(not (TOP / "README.md").exists(), reason="no source tree here")


class Home:
    """The home of a new user, with pyroot in the PATH."""

    def __init__(self, path: Path) -> None:
        """Make the root and the command."""
        self.path = path
        self.sessions: list[int] = []
        self.user = "nobody" if os.geteuid() == 0 else getpass.getuser()
        (path / "bin").mkdir()
        command = path / "bin/pyroot"
        command.write_text(f'#!/bin/sh\nexec {shlex.join(as_user.command())} "$@"\n')
        command.chmod(0o755)
        (path / "where").write_text(str(path))
        for name in ("bin", "where"):
            if os.geteuid() == 0:
                os.chown(path / name, helpers.NOBODY, helpers.NOBODY)

    def type(self, typed: str, limit: float = 100) -> subprocess.CompletedProcess[str]:
        """Run a line as the user's shell would; the output is what a terminal shows."""
        env = {"HOME": str(self.path), "PATH": f"{self.path}/bin:{as_user.PATH}", "USER": self.user, "TERM": "dumb"}
        # (into a file: what is left running in the background would keep a pipe open)
        with tempfile.TemporaryFile() as file:
            started = subprocess.Popen(
                ["bash", "-c", walks.script(typed, str(self.path))], cwd=self.path, env=env, stdout=file, stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True, **as_user.identity(),
            )  # fmt: skip
            self.sessions.append(started.pid)
            status = started.wait(limit)
            file.seek(0)
            return subprocess.CompletedProcess(typed, status, file.read().decode("utf-8", "replace"))

    def end(self) -> None:
        """End what was left running."""
        for session in self.sessions:
            helpers.kill_session(session)


@pytest.fixture
def home() -> Iterator[Home]:
    """Give a home in which `make demo` has been."""
    reason = helpers.ordinary_user.why_not()
    if reason:
        pytest.skip(reason)
    with as_user.work_directory() as path:
        made = Home(path)
        done = made.type("mkdir pyroot && cd pyroot && pyroot new ./rootfs")
        assert done.returncode == 0, done.stdout
        for name in ("README.md", "tests/programs/gdb_target.c"):
            shutil.copy(TOP / name, path / "pyroot")
        program = Path(static_busybox()).read_bytes()
        files = [entry("bin/busybox", program, 0o755), entry("bin/sh", link="busybox")]
        (path / "pyroot/image.tar").write_bytes(docker_archive([layer(files)], ["app:1"], Cmd=["/bin/sh", "-c", "exit 0"]))
        try:
            yield made
        finally:
            made.end()


def unlike(walk: Walk, home: Home, typed: str, shown: list[str]) -> str:
    """Type a command of a transcript, and say what is not as the page shows it."""
    begun = walks.starts(typed, walk.before)
    if begun:
        made = home.type(walk.before[begun])
        assert made.returncode == 0, f"{walk.before[begun]}\n{made.stdout}"
    done = home.type(walk.instead.get(walks.starts(typed, walk.instead), typed))
    if walks.starts(typed, walk.sample):
        return "" if done.returncode in (0, 1) and "hint:" not in done.stdout else f"status {done.returncode}\n{done.stdout}"
    have, want = ([walks.plain(line, str(home.path), home.user) for line in lines] for lines in (done.stdout.splitlines(), shown))
    if walks.starts(typed, walk.among) and walks.within(have, want):
        return ""
    return "" if walks.same(have, want) else "shown:\n  " + "\n  ".join(want) + f"\ncame ({done.returncode}):\n  " + "\n  ".join(have)


@pytest.mark.parametrize("walk", [
    pytest.param(walk, id=walk.page, marks=[pytest.mark.rootfs("debian_root"),
    pytest.mark.slow] if walk.debian else []) for walk in walks.WALKS
])
def test_what_a_page_shows_comes_out_and_what_it_names_works(walk: Walk, home: Home, request: pytest.FixtureRequest) -> None:
    lacking = [name for name in walk.needs if shutil.which(name) is None]
    if lacking:
        pytest.skip(f"this host has no {' and no '.join(lacking)}")
    if walk.debian:
        debian = request.getfixturevalue("debian_root")
        assert home.type(f"cp -a --reflink=auto {debian} {home.path}/debian").returncode == 0
    text = (TOP / walk.page).read_text("utf-8")
    home.type("cd pyroot")
    if walk.setup:
        done = home.type(walk.setup)
        assert done.returncode == 0, done.stdout
    start = (home.path / "where").read_text().strip()
    wrong = []
    for typed, shown in walks.transcripts(text):
        fault = unlike(walk, home, typed, shown)
        wrong += [f"$ {typed}\n{fault}"] if fault else []
    home.type(f"cd {start}")
    for line in walks.named(text):
        typed = walk.instead.get(walks.starts(line, walk.instead), line)
        done = home.type(walks.filled(typed, walk.words))
        if done.returncode in (2, 125) and walks.is_name(line):
            done = home.type(f"{' '.join(line.split()[:2])} --help" if line.split()[1] in VERBS else ":")
        expected = walk.status.get(walks.starts(line, walk.status), 0)
        if line in ("pyroot ps", "pyroot files"):
            expected = min(done.returncode, 1)  # 1: nothing runs, or has a file open
        if done.returncode != expected or "Traceback" in done.stdout:
            wrong.append(f"`{line}` ({walks.filled(typed, walk.words)}): status {done.returncode}, not {expected}\n{done.stdout[-1500:]}")
    if wrong:
        pytest.fail("\n\n".join(wrong), pytrace=False)
