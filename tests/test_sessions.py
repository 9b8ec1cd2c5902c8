"""Two sessions of one root see each other's processes as one session sees its own; sessions of other roots do not.

The oracle is the session itself: what is asked of a process from the other session is asked of it from its own, too.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyroot import _fast, explain, report
from tests import helpers
from tests.helpers import Result
from tests.rootfs_fixtures import directory_for_user, give, remove, static_busybox

Run = Callable[..., Result]
ENVIRONMENT = {"PATH": "/bin", "HOME": "/", "LANG": "C"}

LOOK = r"""p=$1; exec 2>&1 </dev/null
for f in exe cwd root fd/7 fd/8 fd/9; do
    echo "$f $(readlink /proc/$p/$f) $(readlink /proc/$p/task/$p/$f) $(stat -L -c '%i %F' /proc/$p/$f)"
done
readlink -f /proc/$p/exe /proc/$p/cwd /proc/$p/fd/7
cat /proc/$p/fd/7 /proc/$p/cwd/deep-file /proc/$p/root/data/file
ls /proc/$p/root/ /proc/$p/cwd/ /proc/$p/fd/8/ /proc/$p/fd /proc/$p/map_files >/dev/null && echo listed
ls /proc/$p/root/ /proc/$p/cwd/ /proc/$p/fd/8/ /mnt
cd /proc/$p/cwd && pwd -P
grep -o '/[^ ]*$' /proc/$p/maps | sort -u
grep -e '^State' -e TracerPid -e Seccomp /proc/$p/status
cut -d' ' -f3 /proc/$p/stat
cut -d' ' -f2 /proc/$p/mounts
cut -d' ' -f5 /proc/$p/mountinfo
tr '\0' '\n' </proc/$p/environ | grep -c PATH
cmp /proc/$p/exe /bin/busybox && echo same
"""


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """Make a root with a busybox, and a directory beside it."""
    busybox = static_busybox()
    top = directory_for_user()
    for name in ("root/bin", "root/proc", "root/dev", "root/data/deep", "root/mnt", "other"):
        os.makedirs(f"{top}/{name}")
    shutil.copy(busybox, f"{top}/root/bin/busybox")
    for name in ("sh", "cat", "readlink", "stat", "ls", "grep", "sort", "cut", "tr", "cmp"):
        os.symlink("busybox", f"{top}/root/bin/{name}")
    Path(f"{top}/root/data/file").write_text("text\n", encoding="ascii")
    Path(f"{top}/root/data/deep/deep-file").write_text("deep\n", encoding="ascii")
    Path(f"{top}/root/look").write_text(LOOK, encoding="ascii")
    Path(f"{top}/other/bound").write_text("bound\n", encoding="ascii")
    shutil.copytree(f"{top}/root", f"{top}/second", symlinks=True)
    give(top)
    yield Path(top)
    remove(top)


def words_of(root: Path, name: str = "root") -> list[str]:
    return ["-r", f"{root}/{name}", "-b", "/proc", "-b", "/dev", "-b", f"{root}/other:/mnt", "-w", "/"]


class Session:
    """A session with a shell that has some files open; `pid` is the shell's."""

    def __init__(self, words: list[str], root: Path, environment: dict[str, str]) -> None:
        command = "cd /data/deep; exec 7</data/file 8</data 9</mnt/bound; echo $$; while read l; do eval \"$l\"; echo end; done"
        variables = {**helpers.pyroot_command()[1], **ENVIRONMENT, **environment}
        self.process = helpers.start([*words, *words_of(root), "sh", "-c", command], environment=variables, stdin=subprocess.PIPE)
        assert self.process.stdout
        self.pid = int(self.process.stdout.readline())

    def ask(self, line: str) -> str:
        """Run a line in the session."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        found = []
        while (text := self.process.stdout.readline().decode()) not in ("end\n", ""):
            found.append(text)
        return "".join(found)


@contextmanager
def running(words: list[str], root: Path, **environment: str) -> Iterator[Session]:
    session = Session(words, root, environment)
    try:
        yield session
    finally:
        helpers.kill_session(session.process.pid)
        session.process.communicate()


def looks(run_pyroot: Run, root: Path, pid: int, name: str = "root", **environment: str) -> str:
    """Look at a process from another session."""
    return run_pyroot([*words_of(root, name), "sh", "/look", str(pid)], environment={**ENVIRONMENT, **environment}).stdout


@pytest.mark.parametrize("variables", [{}, {"PYROOT_NO_SECCOMP": "1"}, {"PYROOT_NO_GATE": "1"}])
def test_another_session_of_the_root_sees_what_the_own_one_sees(
    root: Path, run_pyroot: Run, pyroot_words: list[str], variables: dict[str, str]
) -> None:
    with running(pyroot_words, root) as session:
        own = session.ask(f"sh /look {session.pid}")
        assert "exe /bin/busybox /bin/busybox " in own
        assert "\n/data/deep\n" in own
        assert looks(run_pyroot, root, session.pid, **variables) == own


def test_a_stopped_one_is_seen_stopped(root: Path, run_pyroot: Run, pyroot_words: list[str]) -> None:
    with running(pyroot_words, root) as session:
        session.process.stdin.write(b"kill -STOP $$\n")  # type: ignore[union-attr]
        session.process.stdin.flush()  # type: ignore[union-attr]
        helpers.wait_until(lambda: helpers.stat_fields(session.pid)[0] in "tT")
        text = run_pyroot([*words_of(root), "grep", "State", f"/proc/{session.pid}/status"], environment=ENVIRONMENT).stdout
        assert text == "State:\tT (stopped)\n"


def test_a_binding_that_has_moved_is_told_by_its_new_name(root: Path, run_pyroot: Run, pyroot_words: list[str]) -> None:
    os.makedirs(f"{root}/root/data/a/place")
    give(str(root))
    extra = [*pyroot_words, "-b", f"{root}/other:/data/a/place"]
    with running(extra, root) as session:
        session.ask("cd /data/a/place")
        assert session.ask(f"readlink /proc/{session.pid}/cwd") == "/data/a/place\n"
        ask = [*words_of(root), "readlink", f"/proc/{session.pid}/cwd"]
        assert run_pyroot(ask, environment=ENVIRONMENT).stdout in ("/data/a/place\n", "/mnt\n")
        session.ask("cd /; /bin/busybox mv /data/a /data/b; cd /data/b/place")
        assert run_pyroot(ask, environment=ENVIRONMENT).stdout == session.ask(f"readlink /proc/{session.pid}/cwd")


CLOSED = r"""p=$1; exec 2>&1 </dev/null
for f in exe cwd root fd/7 ns/pid; do readlink /proc/$p/$f; echo $f $?; cat /proc/$p/$f/ >/dev/null; done
for f in fd fd/ fd/. fdinfo map_files task/$p/fd maps smaps; do ls /proc/$p/$f/ 2>&1 | grep -v : ; cat /proc/$p/$f | grep -v :; done
cd /proc/$p && ls fd; grep -o '/[^ ]*$' maps; readlink exe cwd
cut -d' ' -f2 </proc/$p/stat
"""


@pytest.mark.parametrize("kind", ["another root", "no guest"])
def test_a_process_outside_looks_like_another_user_s(root: Path, run_pyroot: Run, pyroot_words: list[str], kind: str) -> None:
    (root / "root/closed").write_text(CLOSED, encoding="ascii")
    (root / "second/closed").write_text(CLOSED, encoding="ascii")
    with running(pyroot_words, root) as session:
        if kind == "no guest":
            pid, name, shown = session.process.pid, "second", "python"
        else:
            pid, name, shown = session.pid, "second", "(sh)"
        text = run_pyroot([*words_of(root, name), "sh", "/closed", str(pid)], environment=ENVIRONMENT).stdout
        assert "exe 1\n" in text and "cwd 1\n" in text and "fd/7 1\n" in text
        assert str(root) not in text and "/data" not in text and "/mnt" not in text and "busybox" not in text and "memfd" not in text
        # what everybody may know of any process stays
        assert shown in text


def test_zombies_have_empty_directories(root: Path, run_pyroot: Run) -> None:
    script = """busybox mkfifo /data/p; sh -c 'true & echo $! >/data/z; exec cat /data/p' &
while [ ! -s /data/z ]; do :; done; p=$(cat /data/z); while ! grep -q State:.Z /proc/$p/status; do :; done
ls /proc/$p/fd; echo $?; readlink /proc/$p/exe; echo $?; echo >/data/p"""
    done = run_pyroot([*words_of(root), "sh", "-c", script], environment=ENVIRONMENT)
    assert (done.stdout, done.stderr) == ("0\n1\n\n", "")


# --- the directory ------------------------------------------------------------------------------------------------


@pytest.fixture
def runtime() -> Iterator[str]:
    """Make a directory for $XDG_RUNTIME_DIR."""
    top = directory_for_user()
    os.chmod(top, 0o700)
    yield top
    remove(top)


def records(directory: str) -> list[str]:
    return glob.glob(f"{directory}/session-*")


def test_record_lies_in_the_runtime_directory_and_goes(root: Path, pyroot_words: list[str], run_pyroot: Run, runtime: str) -> None:
    with running(pyroot_words, root, XDG_RUNTIME_DIR=runtime) as session:
        (record,) = records(f"{runtime}/pyroot")
        assert record.endswith(f"-{session.process.pid}")
        assert os.stat(f"{runtime}/pyroot").st_mode & 0o7777 == 0o700
        assert os.stat(record).st_mode & 0o7777 == 0o600
        own = session.ask(f"sh /look {session.pid}")
        assert looks(run_pyroot, root, session.pid, XDG_RUNTIME_DIR=runtime) == own
        (record,) = records(f"{runtime}/pyroot")  # and not that of the session which has looked
        # another place is no place to look at
        assert looks(run_pyroot, root, session.pid) != own
        session.ask("exit 0")
        session.process.wait(timeout=helpers.TIME_LIMIT)
        assert os.listdir(runtime) == []


def test_what_a_killed_session_has_left_is_swept(root: Path, pyroot_words: list[str], run_pyroot: Run, runtime: str) -> None:
    with running(pyroot_words, root, XDG_RUNTIME_DIR=runtime) as session:
        session.process.kill()
        session.process.wait(timeout=helpers.TIME_LIMIT)
        assert len(records(f"{runtime}/pyroot")) == 1
        run_pyroot([*words_of(root), "cat", "/data/file"], environment={**ENVIRONMENT, "XDG_RUNTIME_DIR": runtime})
        assert os.listdir(runtime) == []


@pytest.mark.parametrize("trap", ["open to others", "a link", "a file", "not ours"])
def test_directory_that_is_not_safe_is_not_used(root: Path, run_pyroot: Run, runtime: str, guest_directory: str, trap: str) -> None:
    place = f"{runtime}/pyroot"
    if trap == "not ours" and os.geteuid() != 0:
        pytest.skip("a directory of another user needs root")
    if trap == "a link":
        os.symlink(guest_directory, place)
    elif trap == "a file":
        Path(place).touch()
    else:
        os.mkdir(place, 0o700)
        os.chmod(place, 0o755 if trap == "open to others" else 0o777)
    if trap != "not ours":
        give(runtime)
    before = os.lstat(place).st_mode
    done = run_pyroot([*words_of(root), "cat", "/data/file"], environment={**ENVIRONMENT, "XDG_RUNTIME_DIR": runtime})
    assert (done.stdout, done.stderr) == ("text\n", "")
    assert os.lstat(place).st_mode == before
    assert os.listdir(guest_directory) == []


@pytest.mark.parametrize("found", [True, False])
def test_session_without_a_directory_says_that_it_is_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], found: bool
) -> None:
    monkeypatch.setattr(_fast, "can_share", lambda: found)
    monkeypatch.setattr(report, "_verbosity", 1)
    explain.tell_if_alone()
    assert ("no place for sessions to find each other" in capfd.readouterr().err) != found


def test_forged_record_is_not_believed(root: Path, run_pyroot: Run, pyroot_words: list[str], runtime: str) -> None:
    """A guest that can write to the directory must not make a session of another root look like one of its own."""
    with running(pyroot_words, root, XDG_RUNTIME_DIR=runtime) as session:
        (record,) = records(f"{runtime}/pyroot")
        text = Path(record).read_bytes().replace(b"/root\0", b"/second\0")
        os.unlink(record)
        Path(record).write_bytes(text)
        if os.geteuid() == 0:
            os.chown(record, helpers.NOBODY, helpers.NOBODY)
        holder = helpers.start(["sh", "-c", 'exec 5<>"$0"; flock 5; echo; read x', record], stdin=subprocess.PIPE)
        assert holder.stdout and holder.stdout.readline()
        try:
            ask = ["readlink", f"/proc/{session.pid}/cwd"]
            done = run_pyroot([*words_of(root, "second"), *ask], environment={**ENVIRONMENT, "XDG_RUNTIME_DIR": runtime})
            assert (done.status, done.stdout) == (1, "")
        finally:
            holder.communicate(b"")
