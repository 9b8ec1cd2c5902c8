"""Two sessions of one root see each other's processes as one session sees its own; sessions of other roots do not.

The oracle is the session itself: what is asked of a process from the other session is asked of it from its own, too.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyroot import _fast, explain, report
from tests import helpers
from tests.helpers import Result
from tests.rootfs_fixtures import directory_for_user, give, remove, static_busybox
from tests.twins import may_chroot

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
            pid, name, shown = session.process.pid, "second", "(pyroot)"
        else:
            pid, name, shown = session.pid, "second", "(sh)"
        text = run_pyroot([*words_of(root, name), "sh", "/closed", str(pid)], environment=ENVIRONMENT).stdout
        assert "exe 1\n" in text and "cwd 1\n" in text and "fd/7 1\n" in text
        assert str(root) not in text and "/data" not in text and "/mnt" not in text and "busybox" not in text and "memfd" not in text
        # what everybody may know of any process stays
        assert shown in text


def test_each_session_has_its_own_bindings(root: Path, run_pyroot: Run, pyroot_words: list[str]) -> None:
    """Mounts would be both shells'; links of /proc lead to what the other one has bound."""
    os.makedirs(f"{root}/root/data/own", exist_ok=True)
    give(str(root))
    with running([*pyroot_words, "-b", f"{root}/other:/data/own"], root) as session:
        session.ask("cd /data/own")
        assert session.ask("/bin/busybox ls") == "bound\n"
        look = f"ls /data/own; ls /proc/{session.pid}/cwd/"
        assert run_pyroot([*words_of(root), "sh", "-c", look], environment=ENVIRONMENT) == Result(0, "bound\n", "")


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
    monkeypatch.setattr(_fast, "can_share", lambda places: found)
    monkeypatch.setattr(report, "_verbosity", 1)
    explain.tell_if_alone((b"", b""))
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


# --- ptrace -------------------------------------------------------------------------------------------------------

HOST = ["-r", "/", "-w", "/"]
HOST_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}
BUSY = "import os, time\nprint(os.getpid(), flush=True)\nwhile True:\n    os.getppid()\n    time.sleep(0.001)\n"
PARENT = 'echo $$; while :; do cat /etc/hostname >/dev/null; sleep 0.01; done'


@contextmanager
def tracee(words: list[str], *command: str) -> Iterator[tuple[int, int]]:
    """Run a command in a session of the host's root; give its number, which it prints, and the supervisor's."""
    variables = {**helpers.pyroot_command()[1], **HOST_ENVIRONMENT}
    process = helpers.start([*words, *HOST, *command], environment=variables)
    assert process.stdout
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        helpers.kill_session(process.pid)
        process.communicate()


def is_gone(pid: int) -> bool:
    return not helpers.stat_fields(pid) or helpers.stat_fields(pid)[0] in "ZX"


def tracer_words() -> list[str]:
    return [helpers.ordinary_python()[0], os.path.join(os.path.dirname(__file__), "programs", "far_tracer.py")]


@pytest.mark.parametrize("variables", [{}, {"PYROOT_NO_SECCOMP": "1"}])
def test_every_request_reaches_the_other_session(pyroot_words: list[str], run_pyroot: Run, variables: dict[str, str]) -> None:
    """What a tracer gets of a guest of another session is what it gets of a plain process, outside of any pyroot."""
    python = helpers.ordinary_python()[0]
    process = helpers.start([python, "-c", BUSY], environment=HOST_ENVIRONMENT)
    assert process.stdout
    plain = helpers.run([*tracer_words(), str(int(process.stdout.readline()))], environment=HOST_ENVIRONMENT)
    process.communicate()
    assert (plain.status, plain.stderr) == (0, "")
    with tracee(pyroot_words, python, "-c", BUSY) as (pid, _):
        found = run_pyroot([*HOST, *tracer_words(), str(pid)], environment={**HOST_ENVIRONMENT, **variables})
        assert found.stdout.splitlines() == plain.stdout.splitlines()
        assert (found.status, found.stderr) == (0, "")
        assert is_gone(pid)


def needs(*programs: str) -> None:
    missing = helpers.have(*programs)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def test_strace_of_another_session_s_guests(pyroot_words: list[str], run_pyroot: Run, guest_directory: str) -> None:
    needs("strace")
    log, enough = (shlex.quote(f"{guest_directory}/{name}") for name in ("log", "enough"))
    # (it is quiet at the end: strace itself waits for ever where it is interrupted in the middle of a vfork(2) of its tracee)
    parent = 'echo $$; until [ -e "$0/enough" ]; do cat /etc/hostname >/dev/null; sleep 0.01; done; exec sleep 1000'
    with tracee(pyroot_words, "sh", "-c", parent, guest_directory) as (pid, _):
        look = f"strace -f -o {log} -e trace=openat,execve -p {pid} 2>/dev/null & s=$!; "
        look += f"while ! grep -q 'exited with 0' {log} 2>/dev/null; do sleep 0.01; done; >{enough}; "
        look += f"while ! grep -q '\\\"1000\\\"' {log}; do sleep 0.01; done; kill -INT $s; wait $s; "
        look += f"while grep -q 'TracerPid:.[1-9]' /proc/{pid}/status; do :; done; echo let go"
        found = run_pyroot([*HOST, "sh", "-c", look], environment=HOST_ENVIRONMENT)
        assert (found.stdout, found.stderr) == ("let go\n", "")
        seen = text_of(f"{guest_directory}/log")
        assert 'execve("/usr/bin/cat", ["cat", "/etc/hostname"]' in seen or 'execve("/bin/cat"' in seen
        assert not is_gone(pid)


def test_gdb_of_another_session_s_guest(pyroot_words: list[str], run_pyroot: Run) -> None:
    needs("gdb")
    python = helpers.ordinary_python()[0]
    with tracee(pyroot_words, python, "-c", "import os\nprint(os.getpid(), flush=True)\nos.read(os.pipe()[0], 1)") as (pid, _):
        words = ["gdb", "-q", "-batch", "-nx", "-p", str(pid), "-ex", "info proc", "-ex", "bt", "-ex", "detach"]
        found = run_pyroot([*HOST, *words], environment=HOST_ENVIRONMENT)
        assert re.search(r"^#0 +0x", found.stdout, re.MULTILINE)
        assert f"exe = '{os.path.realpath(python)}'" in found.stdout
        assert f"[Inferior 1 (process {pid}) detached]" in found.stdout
        assert not is_gone(pid)


@pytest.mark.parametrize("end", ["the tracer", "its session"])
def test_tracee_goes_on_when_the_tracer_ends(pyroot_words: list[str], guest_directory: str, end: str) -> None:
    needs("strace")
    with tracee(pyroot_words, "sh", "-c", 'echo $$; while :; do echo >"$0/alive"; sleep 0.01; done', guest_directory) as (pid, _):
        with tracee(pyroot_words, "sh", "-c", f'echo $$; exec strace -f -o "$0/log" -p {pid}', guest_directory) as (tracer, session):
            helpers.wait_until(lambda: "alive" in text_of(f"{guest_directory}/log"), what="it is traced")
            os.kill(tracer if end == "the tracer" else session, signal.SIGKILL)
            helpers.wait_until(lambda: is_gone(tracer))
        for _ in range(2):
            Path(f"{guest_directory}/alive").unlink(missing_ok=True)
            helpers.wait_until(lambda: os.path.exists(f"{guest_directory}/alive"), what="it goes on")


def text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def test_tracer_learns_of_the_end_of_the_other_session(pyroot_words: list[str], guest_directory: str) -> None:
    needs("strace")
    with (
        tracee(pyroot_words, "sh", "-c", PARENT) as (pid, session),
        tracee(pyroot_words, "sh", "-c", f'echo $$; exec strace -o "$0/log" -p {pid}', guest_directory) as (tracer, _),
    ):
        helpers.wait_until(lambda: text_of(f"{guest_directory}/log") != "", what="it is traced")
        os.kill(session, signal.SIGKILL)
        helpers.wait_until(lambda: is_gone(tracer), what="strace has ended")
        assert "killed by SIGKILL" in text_of(f"{guest_directory}/log")


def test_two_sessions_that_trace_each_other(pyroot_words: list[str], guest_directory: str) -> None:
    """Each waits for the other's answers, and answers meanwhile."""
    needs("strace")
    with (
        tracee(pyroot_words, "sh", "-c", other("a", "b"), guest_directory) as (first, _),
        tracee(pyroot_words, "sh", "-c", other("b", "a"), guest_directory) as (second, _),
    ):
        helpers.wait_until(lambda: all(text_of(f"{guest_directory}/{name}").count("openat") > 300 for name in "ab"), 60, "both trace")
        assert not is_gone(first) and not is_gone(second)


def other(name: str, whose: str) -> str:
    """Give a script of $0, a directory, that traces the process whose number comes into a file, and is busy itself."""
    strace = f"exec strace -f -o {name} -e trace=openat -p $(cat {whose}.pid)"
    trace = f"while [ ! -s {whose}.pid ]; do sleep 0.01; done; {strace}"
    return f"cd \"$0\" && echo $$ >{name}.pid; ({trace}) >/dev/null 2>&1 & echo $$; while :; do cat /etc/hostname >/dev/null; done"


def test_guests_of_other_roots_are_nobody_s_to_trace(root: Path, pyroot_words: list[str], run_pyroot: Run) -> None:
    with running(pyroot_words, root) as session:
        code = "import ctypes, sys; l = ctypes.CDLL(None, use_errno=True); print(l.ptrace(16, int(sys.argv[1]), 0, 0), ctypes.get_errno())"
        found = run_pyroot([*HOST, helpers.ordinary_python()[0], "-c", code, str(session.pid)], environment=HOST_ENVIRONMENT)
        assert found.stdout == "-1 1\n"


HIDDEN = """import ctypes, os
libc = ctypes.CDLL(None)
child = os.fork()
if child == 0:
    libc.ptrace(0, 0, 0, 0)
    libc.prctl(4, 0)
    os.kill(os.getpid(), 10)
os.waitpid(child, 0)
print(child, flush=True)
input()"""


def test_what_only_its_own_supervisor_knows_is_not_told(pyroot_words: list[str], run_pyroot: Run) -> None:
    """Of a guest of another session: that it is traced there, and that it is not to be looked at."""
    python = helpers.ordinary_python()[0]
    look = "grep TracerPid /proc/$1/status; cat /proc/$1/maps >/dev/null 2>&1; echo $?"
    with tracee(pyroot_words, python, "-c", HIDDEN.replace("input()", "os.read(os.pipe()[0], 1)")) as (pid, _):
        found = run_pyroot([*HOST, "sh", "-c", look, "sh", str(pid)], environment=HOST_ENVIRONMENT)
        assert found == Result(0, "TracerPid:\t0\n0\n", "")
    shell = f"{look}; kill -9 $1"
    text = HIDDEN.replace("print(child, flush=True)\ninput()", f"os.system({shell!r}.replace('$1', str(child)) + ' 2>&1')")
    own = run_pyroot([*HOST, python, "-c", text], environment=HOST_ENVIRONMENT)
    assert re.fullmatch("TracerPid:\t[1-9][0-9]*\n1\n", own.stdout), own


@pytest.mark.root
def test_root_of_another_session_s_guest_is_told_as_the_top(pyroot_words: list[str], run_pyroot: Run) -> None:
    """Where it has called chroot(2): only its own supervisor knows."""
    code = "import os\nos.chroot('/usr')\nprint(os.getpid(), flush=True)\nos.read(os.pipe()[0], 1)"
    process = helpers.start([*pyroot_words, *HOST, helpers.ordinary_python()[0], "-c", code], prepare=may_chroot,
                            environment={**helpers.pyroot_command()[1], **HOST_ENVIRONMENT})  # fmt: skip
    try:
        assert process.stdout
        pid = int(process.stdout.readline())
        found = run_pyroot([*HOST, "readlink", f"/proc/{pid}/root"], environment=HOST_ENVIRONMENT, prepare=may_chroot)
        assert found == Result(0, "/\n", "")
    finally:
        helpers.kill_session(process.pid)
        process.communicate()
