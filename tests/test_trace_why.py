"""`pyroot trace --why` names the call that made a command fail, and its cause."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import helpers
from tests.helpers import Result

Why = Callable[..., dict[str, object]]
PYTHON = helpers.ordinary_user.interpreter[0]


@pytest.fixture
def folder(guest_directory: str) -> Path:
    """Give a directory that the guest sees as /data."""
    return Path(guest_directory)


@pytest.fixture
def why(folder: Path, run_pyroot: Callable[..., Result]) -> Why:
    """Run a command that fails in the host's root with the directory bound over /data; give what `--why --json` says."""

    def call(command: list[str], options: list[str] | None = None, status: int = 1) -> dict[str, object]:
        words = ["trace", "--why", "--json", "-b", f"{folder}:/data", "-w", "/data", *(options or []), *command]
        ended = run_pyroot(words, environment={"PATH": "/usr/bin:/bin", "HOME": "/"})
        assert ended.status == status, ended.stderr
        found: dict[str, object] = json.loads(ended.stderr.splitlines()[-1])
        return found

    return call


def owned(path: Path, mode: int) -> Path:
    """Give a path to the ordinary user."""
    if os.geteuid() == 0:
        os.chown(path, helpers.NOBODY, helpers.NOBODY)
    os.chmod(path, mode)
    return path


def directory(path: Path, mode: int) -> None:
    """Make a directory of the ordinary user."""
    path.mkdir()
    owned(path, mode)


def test_missing_config_file(why: Why, folder: Path) -> None:
    told = why(["cat", "/data/app.conf"])
    assert told["message"] == "cat: /data/app.conf: No such file or directory"
    assert str(told["call"]).startswith('openat(AT_FDCWD, "/data/app.conf", O_RDONLY)') and "ENOENT" in str(told["call"])
    assert (told["guest path"], told["host path"]) == ("/data/app.conf", f"{folder}/app.conf")
    assert told["cause"] == "the file /data/app.conf is not there"


def test_search_that_was_satisfied_later_is_not_to_blame(why: Why, folder: Path) -> None:
    (folder / "b").mkdir()
    (folder / "b" / "app.conf").write_text("")
    told = why(["sh", "-c", "cat a/app.conf 2>/dev/null || cat b/app.conf; cat app.rules 2>/dev/null || { echo broken >&2; exit 1; }"])
    assert told["guest path"] == "/data/app.rules"


def test_daemon_relays_the_error_of_a_child_over_a_pipe(why: Why, folder: Path) -> None:
    directory(folder / "spool", 0o555)
    (folder / "daemon.sh").write_text('log=$( (cd spool; echo job >queue.1) 2>&1 ) || { echo "daemon: job failed: $log" >&2; exit 3; }\n')
    told = why(["sh", "daemon.sh"], status=3)
    assert str(told["message"]).startswith("daemon: job failed:")
    assert "O_CREAT" in str(told["call"]) and "EACCES" in str(told["call"])
    assert (told["guest path"], told["host path"]) == ("/data/spool/queue.1", f"{folder}/spool/queue.1")
    assert str(told["cause"]).startswith("the directory /data/spool may not be written to (mode 0555")
    assert " <- " in str(told["process"])


def test_daemon_relays_the_error_of_a_child_over_a_socket(why: Why, folder: Path) -> None:
    directory(folder / "spool", 0o555)
    (folder / "daemon.py").write_text(
        "import os, socket, sys\n"
        "here, there = socket.socketpair()\n"
        "if os.fork() == 0:\n"
        "    here.close()\n"
        "    try:\n"
        "        open('/data/spool/job', 'w')\n"
        "    except OSError as error:\n"
        "        there.sendall(f'{error.strerror}: {error.filename}'.encode())\n"
        "    os._exit(1)\n"
        "there.close()\n"
        "sys.exit('daemon: ' + here.makefile().read())\n"
    )
    told = why([PYTHON, "-IS", "daemon.py"])
    assert told["message"] == "daemon: Permission denied: /data/spool/job"
    assert told["guest path"] == "/data/spool/job"
    assert "/data/spool may not be written to" in str(told["cause"])
    assert " <- " in str(told["process"])


def test_words_that_are_read_before_their_write_has_ended_are_followed(why: Why, folder: Path) -> None:
    """A write that is larger than the pipe ends after the reader's first read, and that is the order in which the calls are seen to end."""
    directory(folder / "spool", 0o555)
    (folder / "daemon.py").write_text(
        "import os, sys\n"
        "here, there = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.close(here)\n"
        "    try:\n"
        "        open('/data/spool/job', 'w')\n"
        "    except OSError as error:\n"
        "        os.write(there, f'{error.strerror}: {error.filename}'.encode() + b' ' * 500_000)\n"
        "    os._exit(1)\n"
        "os.close(there)\n"
        "sys.exit('daemon: ' + os.read(here, 1000).decode().strip())\n"
    )
    told = why([PYTHON, "-IS", "daemon.py"])
    assert told["message"] == "daemon: Permission denied: /data/spool/job"
    assert told["guest path"] == "/data/spool/job"


def test_child_that_says_nothing_is_followed(why: Why) -> None:
    told = why(["sh", "-c", "sh -c 'cat /data/none; exit 4' 2>/dev/null || exit 5"], status=5)
    assert told["guest path"] == "/data/none"


def test_library_that_dlopen_does_not_find(why: Why) -> None:
    told = why([PYTHON, "-IS", "-c", "import ctypes; ctypes.CDLL('libnonesuch.so.7')"])
    assert "libnonesuch.so.7: cannot open shared object file" in str(told["message"])
    assert str(told["guest path"]).endswith("/libnonesuch.so.7") and "ENOENT" in str(told["call"])
    assert "searched" in told


def test_missing_dev_null(why: Why, folder: Path) -> None:
    directory(folder / "dev", 0o755)
    told = why(["sh", "-c", "ls >/dev/null/x 2>&1; ls </dev/null || exit 1"], ["-b", f"{folder}/dev:/dev"])
    assert told["guest path"].startswith("/dev/null")  # type: ignore[attr-defined]
    assert "ENOENT" in str(told["call"])
    assert "dev-" in str(told["doctor"])
    assert "-b /dev" in str(told["mend"])


def test_no_resolv_conf(why: Why, folder: Path) -> None:
    directory(folder / "etc", 0o755)
    code = "import socket; socket.getaddrinfo('nonesuch.invalid', 80)"
    told = why([PYTHON, "-IS", "-c", code], ["-b", f"{folder}/etc:/etc"])
    assert (told["guest path"], told["host path"]) == ("/etc/resolv.conf", f"{folder}/etc/resolv.conf")
    assert "ENOENT" in str(told["call"])
    assert "resolv-missing" in str(told["doctor"])


def test_permission_denied_on_a_parent_directory(why: Why, folder: Path) -> None:
    (folder / "a" / "b" / "c").mkdir(parents=True)
    (folder / "a" / "b" / "c" / "file").write_text("")
    for path in (folder / "a", folder / "a" / "b" / "c"):
        owned(path, 0o755)
    owned(folder / "a" / "b", 0o600)
    told = why(["cat", "a/b/c/file"])
    owned(folder / "a" / "b", 0o755)
    assert told["guest path"] == "/data/a/b/c/file" and "EACCES" in str(told["call"])
    assert str(told["cause"]).startswith("the directory /data/a/b may not be entered (mode 0600")
    assert told["mend"] == f"chmod +x {shlex.quote(str(folder / 'a/b'))}"


def test_wrong_interpreter(why: Why, folder: Path) -> None:
    (folder / "script").write_text("#!/usr/bin/nonesuch -x\necho\n")
    os.chmod(folder / "script", 0o755)
    told = why(["sh", "-c", "./script"], status=127)
    assert str(told["call"]).startswith('execve("./script", ["./script"]') and "ENOENT" in str(told["call"])
    assert told["guest path"] == "/data/script"
    assert told["cause"] == "/data/script: its #! interpreter /usr/bin/nonesuch: not in the guest"


def test_wrong_interpreter_of_the_command_itself(folder: Path, run_pyroot: Callable[..., Result]) -> None:
    (folder / "script").write_text("#!/usr/bin/nonesuch\n")
    os.chmod(folder / "script", 0o755)
    ended = run_pyroot(["trace", "--why", f"{folder}/script"])
    assert ended.status == 127
    assert "its #! interpreter /usr/bin/nonesuch: not in the guest" in ended.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_disk(why: Why) -> None:
    told = why(["sh", "-c", "echo data >/data/out"], ["-b", "/dev/full:/data/out"])
    assert str(told["call"]).startswith('write(1, "data\\n", 5)') and "ENOSPC" in str(told["call"])
    assert (told["guest path"], told["host path"]) == ("/data/out", "/dev/full")
    assert "full" in str(told["cause"])


def test_command_that_succeeds_gets_no_word(run_pyroot: Callable[..., Result]) -> None:
    ended = run_pyroot(["trace", "--why", "sh", "-c", "cat /nonexistent 2>/dev/null; exit 0"], environment={"PATH": "/usr/bin:/bin"})
    assert (ended.status, ended.stderr) == (0, "")


def test_lines_for_people(folder: Path, run_pyroot: Callable[..., Result]) -> None:
    ended = run_pyroot(["trace", "--why", "-b", f"{folder}:/data", "cat", "/data/x/app.conf"], environment={"PATH": "/usr/bin:/bin"})
    lines = ended.stderr.splitlines()
    assert lines[0] == "cat: /data/x/app.conf: No such file or directory"
    assert lines[1].startswith("pyroot: why: cat (pid ") and lines[1].endswith("ended with status 1")
    assert "  cause:      the directory /data/x is not there" in lines
    assert len(lines) < 12


def test_signal_is_named(run_pyroot: Callable[..., Result]) -> None:
    ended = run_pyroot(["trace", "--why", "sh", "-c", "kill -SEGV $$"], environment={"PATH": "/usr/bin:/bin"})
    assert ended.status == 128 + 11
    assert "was ended by SIGSEGV" in ended.stderr


def test_message_of_two_lines_and_the_refusal_above(why: Why, folder: Path) -> None:
    """What is missing was never made, because the directory above it may not be written to."""
    directory(folder / "ro", 0o555)
    script = (
        "mkdir /data/ro/state 2>/dev/null; mkdir /data/ro/state/x 2>/dev/null;"
        " echo 'tool: cannot create the private directory:' >&2; echo '  /data/ro/state/x' >&2; exit 1"
    )
    told = why(["sh", "-c", script])
    assert told["message"] == "tool: cannot create the private directory: /data/ro/state/x"
    assert str(told["call"]).startswith('mkdir("/data/ro/state", ') and "EACCES" in str(told["call"])
    assert "/data/ro may not be written" in str(told["cause"])


def test_message_of_a_child_above_its_parents(why: Why) -> None:
    told = why(["sh", "-c", "cat /data/none; echo 'fatal: could not read from there' >&2; exit 1"])
    assert told["message"] == "cat: /data/none: No such file or directory"
    assert '"/data/none"' in str(told["call"])
