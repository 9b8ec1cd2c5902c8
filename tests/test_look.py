"""`pyroot ps` and `pyroot files`: what runs in guests and what it has open, in the guests' terms, without disturbing it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyroot.errors import PyrootError
from pyroot.look import sockets
from tests import helpers
from tests.helpers import Result
from tests.rootfs_fixtures import directory_for_user, give, remove, static_busybox

Run = Callable[..., Result]
ENVIRONMENT = {"PATH": "/bin", "HOME": "/", "LANG": "C"}

HOLD = """
import os, socket, sys
place = sys.argv[1]
tcp = socket.socket(); tcp.bind(("127.0.0.1", 0)); tcp.listen(1)
caller = socket.create_connection(tcp.getsockname())
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
unix = socket.socket(socket.AF_UNIX); unix.bind(place + "/socket"); unix.listen(1)
gone = open(place + "/gone", "w"); os.unlink(place + "/gone")
odd = open(os.fsencode(place) + b"/odd\\xff\\x1b[1m", "w")
status = open("/proc/self/status")
print("ready", tcp.getsockname()[1], caller.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """Make a root with a busybox."""
    busybox = static_busybox()
    top = directory_for_user()
    for name in ("bin", "etc", "proc", "data/deep"):
        os.makedirs(f"{top}/{name}")
    shutil.copy(busybox, f"{top}/bin/busybox")
    for name in ("sh", "cat"):
        os.symlink("busybox", f"{top}/bin/{name}")
    Path(f"{top}/data/file").write_text("text\n", encoding="ascii")
    os.symlink("/data", f"{top}/link")
    give(top)
    yield Path(top)
    remove(top)


@contextmanager
def running(
    words: list[str], *arguments: str, environment: dict[str, str] | None = None, user: Callable[[], None] = helpers.drop_to_ordinary_user
) -> Iterator[tuple[int, str]]:
    """Run pyroot with a command that says something and then waits for the end of its input; give pid and line."""
    variables = {**helpers.pyroot_command()[1], **(environment or ENVIRONMENT)}
    process = helpers.start([*words, *arguments], environment=variables, stdin=subprocess.PIPE, prepare=user)
    assert process.stdin and process.stdout and process.stderr
    try:
        line = process.stdout.readline().decode()
        assert line, process.stderr.read()
        yield process.pid, line
        process.stdin.close()
        assert process.wait(timeout=helpers.TIME_LIMIT) == 0
    finally:
        helpers.kill_session(process.pid)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


def asked(run_pyroot: Run, *words: str) -> Any:
    """Ask a verb for its JSON."""
    done = run_pyroot([*words, "--json"])
    assert done.stderr == ""
    return json.loads(done.stdout)


def sessions(run_pyroot: Run, pid: int) -> list[dict[str, Any]]:
    """Look at one session."""
    found: list[dict[str, Any]] = asked(run_pyroot, "ps", "-p", str(pid))["sessions"]
    return found


def test_session_and_its_processes(root: Path, run_pyroot: Run, pyroot_words: list[str]) -> None:
    command = "cd /data/deep; echo ready; cat; exit 0"
    with running(pyroot_words, "-r", str(root), "-b", "/proc", "-w", "/", "sh", "-c", command) as (pid, _line):
        helpers.wait_until(lambda: any(one["command"] == ["cat"] for one in sessions(run_pyroot, pid)[0]["processes"]))
        (session,) = sessions(run_pyroot, pid)
        assert (session["pid"], session["root"], session["inside"]) == (pid, str(root), None)
        assert {"host": "/proc", "guest": "/proc"} in session["bindings"]
        shell, cat = session["processes"]
        assert shell["command"] == ["sh", "-c", command]
        assert (cat["parent"], cat["cwd"]) == (shell["pid"], "/data/deep")
        assert (shell["exe"], shell["cwd"], shell["parent"]) == ("/bin/busybox", "/data/deep", pid)
        text = run_pyroot(["ps", "-v", "-p", str(pid)]).stdout
        assert text.startswith(f"session {pid}: root {root}, user ")
        assert re.search(rf"^ +{shell['pid']} +{pid} \w +0:00 +0:\d\d  sh -c cd /data", text, re.MULTILINE)
        assert " exe /bin/busybox\n" in text


def test_session_of_an_empty_answer(run_pyroot: Run) -> None:
    done = run_pyroot(["ps", "-p", "1"])
    assert (done.status, done.stdout) == (1, "")
    done = run_pyroot(["files", "-p", "1"])
    assert (done.status, done.stdout) == (1, "")
    assert "-p x: not a process number" in run_pyroot(["ps", "-p", "x"]).stderr


def test_who_has_a_file_open(root: Path, run_pyroot: Run, pyroot_words: list[str]) -> None:
    command = "cd /data/deep; exec 5</link/file; echo ready; read line; exit 0"
    with running(pyroot_words, "-r", str(root), "-w", "/", "sh", "-c", command) as (pid, _line):
        for words in (["/link/file"], ["/data/file"], ["--host", f"{root}/data/file"]):
            (found,) = asked(run_pyroot, "files", "-a", "-p", str(pid), *words)["files"]
            assert (found["use"], found["access"], found["type"], found["path"]) == ("5", "r", "REG", "/data/file")
            assert (found["size"], found["session"], found["inside"]) == (5, pid, True)
        below = asked(run_pyroot, "files", "-a", "-p", str(pid), "+D", "/link")["files"]
        assert [(one["use"], one["path"]) for one in below] == [("cwd", "/data/deep"), ("5", "/data/file")]
        assert run_pyroot(["files", "-a", "-p", str(pid), "/data/other"]).status == 1
        (program,) = asked(run_pyroot, "files", "-a", "-p", str(pid), "/bin/sh")["files"]
        assert (program["use"], program["path"]) == ("txt", "/bin/busybox")
        table = run_pyroot(["files", "-a", "-p", str(pid), "/data/file"]).stdout.splitlines()
        assert table[0].split() == ["COMMAND", "PID", "USER", "FD", "TYPE", "SIZE/OFF", "NODE", "NAME"]
        assert table[1].split()[3:6] == ["5r", "REG", "5"]


def test_names_in_bindings_and_outside_of_them(root: Path, run_pyroot: Run, pyroot_words: list[str], guest_directory: str) -> None:
    own = Path(guest_directory, "own")
    own.touch()
    outside = Path(guest_directory, "outside")
    outside.touch()
    command = "exec 5</bound/own; echo ready; read line; exit 0"
    words = ["sh", "-c", 'exec 6<"$0"; exec "$@"', str(outside), *pyroot_words, "-r", str(root), "-b", f"{guest_directory}:/bound"]
    both = {**ENVIRONMENT, "PATH": "/bin:/usr/bin"}
    with running(words, "-b", f"{root}:{root}", "-w", "/", "sh", "-c", command, environment=both) as (pid, _):
        found = {one["use"]: one for one in asked(run_pyroot, "files", "-p", str(pid))["files"]}
        assert found["5"]["path"] == "/bound/own"
        assert found["6"]["path"] == "/bound/outside"
        # of a root that is bound over itself, too, the plain name is told
        assert (found["txt"]["path"], found["cwd"]["path"]) == ("/bin/busybox", "/")
    with running(words[:-2], "-w", "/", "sh", "-c", "echo ready; read line; exit 0", environment=both) as (pid, _):
        found = {one["use"]: one for one in asked(run_pyroot, "files", "-p", str(pid))["files"]}
        assert (found["6"]["path"], found["6"]["inside"]) == (str(outside), False)
        assert f"{outside} (host)" in run_pyroot(["files", "-p", str(pid)]).stdout


def test_sockets_and_odd_files(run_pyroot: Run, pyroot_words: list[str], short_directory: str) -> None:
    python, variables = helpers.ordinary_python()
    words = ["-r", "/", "-b", f"{short_directory}:/mnt", "-w", "/", python, "-c", HOLD, "/mnt"]
    with running(pyroot_words, *words, environment={**ENVIRONMENT, **variables}) as (pid, line):
        port, other = (int(word) for word in line.split()[1:])
        table = run_pyroot(["files", "-p", str(pid)]).stdout
        assert f"TCP 127.0.0.1:{port} (LISTEN)" in table
        assert f"TCP 127.0.0.1:{other}->127.0.0.1:{port} (ESTABLISHED)" in table
        assert "/mnt/socket STREAM LISTEN" in table
        assert "/mnt/gone (deleted)" in table
        assert "/mnt/odd\\xff\\x1b[1m" in table
        assert re.search(r" \d+r +REG +\d+ +\d+ /proc/\d+/status\n", table)
        assert "memfd" not in table
        assert len(run_pyroot(["files", "-a", "-p", str(pid), f"-i:{port}"]).stdout.splitlines()) == 3
        assert len(run_pyroot(["files", "-a", "-p", str(pid), f"-i4tcp@127.0.0.1:{other}"]).stdout.splitlines()) == 2
        (six,) = asked(run_pyroot, "files", "-a", "-p", str(pid), "-i6")["files"] or [{"type": "IPv6"}]
        assert six["type"] == "IPv6"
        assert run_pyroot(["files", "-a", "-p", str(pid), "-iudp:1"]).status == 1
        mapped = run_pyroot(["files", "-m", "-p", str(pid)]).stdout
        assert re.search(r" mem +REG .*/libc\.so\.6\n", mapped)


def test_pyroot_inside_pyroot(root: Path, run_pyroot: Run, pyroot_words: list[str]) -> None:
    inner = [*pyroot_words, "-r", str(root), "-w", "/data", "sh", "-c", "exec 5<file; echo ready; read line; exit 0"]
    variables = {**helpers.pyroot_command()[1], **ENVIRONMENT, "PATH": "/bin:/usr/bin"}
    with running([*pyroot_words, "-r", "/", "-w", "/"], *inner, environment=variables) as (pid, _line):
        found = asked(run_pyroot, "ps")["sessions"]
        (deep,) = [one for one in found if one["inside"] == pid]
        assert deep["root"] == str(root)
        assert [one["cwd"] for one in deep["processes"]] == ["/data"]
        (outer,) = [one for one in found if one["pid"] == pid]
        assert [one["pid"] for one in outer["processes"]] == [deep["pid"]]
        (file,) = asked(run_pyroot, "files", "-a", "-p", str(deep["pid"]), "/data/file")["files"]
        assert (file["use"], file["path"]) == ("5", "/data/file")


def test_pyroot_inside_pyroot_seen_from_inside(root: Path, pyroot_words: list[str]) -> None:
    own = " ".join(pyroot_words)
    inner = f"{own} -r {root} -w /data sh -c 'echo ready; read line; exit 0'"
    script = f"{inner} | (read line; {own} ps --json | tr -d '\\n'; echo)"
    variables = {**helpers.pyroot_command()[1], **ENVIRONMENT, "PATH": "/bin:/usr/bin"}
    with running([*pyroot_words, "-r", "/", "-w", "/"], "sh", "-c", script, environment=variables) as (_pid, line):
        (session,) = json.loads(line)["sessions"]
        assert (session["root"], session["inside"]) == (str(root), None)
        (shell,) = session["processes"]
        assert (shell["exe"], shell["cwd"]) == ("/bin/busybox", "/data")


@pytest.mark.root
def test_sessions_of_others_are_left_out_and_root_sees_all(root: Path, run_pyroot: Run, pyroot_words: list[str]) -> None:
    words = ["-r", str(root), "-w", "/data", "sh", "-c", "echo ready; read line; exit 0"]
    with running(pyroot_words, *words, user=lambda: None) as (pid, _line):
        assert sessions(run_pyroot, pid) == []
        seen = helpers.run([*pyroot_words, "ps", "--json", "-p", str(pid)], environment={**helpers.pyroot_command()[1], **ENVIRONMENT},
                           prepare=lambda: None)  # fmt: skip
        (session,) = json.loads(seen.stdout)["sessions"]
        assert (session["user"], session["processes"][0]["cwd"]) == ("root", "/data")


def test_one_that_has_ended_leaves_nothing(root: Path, run_pyroot: Run, pyroot_words: list[str]) -> None:
    with running(pyroot_words, "-r", str(root), "-w", "/", "sh", "-c", "echo ready; read line; exit 0") as (pid, _line):
        assert sessions(run_pyroot, pid)
        os.kill(pid, signal.SIGSTOP)  # a session that does not move can be looked at all the same
        assert sessions(run_pyroot, pid)[0]["processes"]
        os.kill(pid, signal.SIGCONT)
    assert sessions(run_pyroot, pid) == []


@pytest.mark.parametrize(
    ("text", "family", "protocol", "host", "first", "last"),
    [
        ("", "", "", "", 0, 65535),
        ("4", "IPv4", "", "", 0, 65535),
        ("tcp:80", "", "TCP", "", 80, 80),
        ("6udp@[::1]:5-7", "IPv6", "UDP", "::1", 5, 7),
        ("@127.0.0.1", "", "", "127.0.0.1", 0, 65535),
        (":1024-", "", "", "", 1024, 65535),
    ],
)
def test_spelling_of_i(text: str, family: str, protocol: str, host: str, first: int, last: int) -> None:
    assert sockets.wanted(text) == sockets.Wanted(family, protocol, host, first, last)


def test_wrong_spelling_of_i() -> None:
    for text in ("xyz", ":no-such-port", "tcp:x"):
        with pytest.raises(PyrootError, match="not understood"):
            sockets.wanted(text)
