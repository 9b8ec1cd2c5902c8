"""``--net``: guests under a layer of Landlock that allows root and bindings, as if there were none; and it is really there.

That the kernel holds what the translator would let through is shown where the translator lets something through by design: a file
outside that somebody has handed to a guest, signals to processes outside.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.helpers import Result
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import PROGRAMS, environment_of_pyroot
from tests.test_exec_memory import IN_ACCESS, opens_of

if TYPE_CHECKING:
    from collections.abc import Callable

SHARED = [word for path in ("/usr", "/bin", "/lib", "/lib64", "/proc", "/dev/null") if os.path.exists(path) for word in ("-b", path)]
WAYS = {"gate": {}, "stops": {"PYROOT_NO_GATE": "1"}, "no filter": {"PYROOT_NO_SECCOMP": "1"}}
WITHOUT = {"PYROOT_NO_LANDLOCK": "1", "PATH": "/usr/bin:/bin"}
OLDEST = 2  # the version of Landlock that --net needs


def version() -> int:
    """Return the kernel's version of Landlock, 0 or less where it has none."""
    return int(ctypes.CDLL(None).syscall(444, None, 0, 1))


pytestmark = pytest.mark.skipif(version() < OLDEST, reason="this kernel has no Landlock of version 2")


@pytest.fixture
def run_net(run_pyroot: Callable[..., Result], guest_directory: str) -> Callable[..., Result]:
    """Return a function that runs a command in an empty root with this machine's programs, under the net."""

    def call(*command: str, way: dict[str, str] | None = None, words: tuple[str, ...] = (), **options: object) -> Result:
        environment = {"PATH": "/usr/bin:/bin", **(way or {})}
        return run_pyroot(["--net", "-r", guest_directory, *SHARED, *words, "-w", "/", *command], environment=environment, **options)

    return call


WORK = """
set -e
mkdir -p a/b; echo one >a/b/file; mv a/b/file a/file; ln a/file a/hard; ln -s file a/link; cat a/link
mv a/b c; rmdir c; chmod 600 a/file; : >a/file; rm -r a; ls | wc -l
(cd /usr; cat </proc/self/status | grep -c ^Name); readlink /proc/self/exe >/dev/null
echo "$(sh -c 'exec sh -c "echo deep"')"; (exit 3) || echo $?
"""


@pytest.mark.parametrize("way", WAYS)
def test_work_in_root_and_bindings(run_net: Callable[..., Result], way: str) -> None:
    """Files are made, moved between directories, linked and removed, programs start programs, texts of /proc are read."""
    result = run_net("/bin/sh", "-c", WORK, way=WAYS[way])
    assert (result.status, result.stderr) == (0, "")
    assert result == run_net("/bin/sh", "-c", WORK, way={**WAYS[way], **WITHOUT})


def run_from(stdin: int, root: str, words: list[str], *command: str, way: dict[str, str]) -> Result:
    """Run a command under the net with another standard input than nothing."""
    words = [*words, "--net", "-r", root, *SHARED, "-w", "/", *command]
    process = helpers.start(words, environment={**environment_of_pyroot(), "PATH": "/usr/bin:/bin", **way}, stdin=stdin)
    output, errors = process.communicate(timeout=helpers.TIME_LIMIT)
    return Result(process.returncode, output.decode(), errors.decode())


@pytest.mark.parametrize("way", WAYS)
def test_file_outside_that_the_command_has_open(pyroot_words: list[str], guest_directory: str, way: str) -> None:
    """It can be opened anew by its name in /proc, as in a chroot: what is handed over is in the layer."""
    with open("/etc/passwd", encoding="utf-8") as file:
        result = run_from(file.fileno(), guest_directory, pyroot_words, "/bin/sh", "-c", "cat /proc/self/fd/0", way=WAYS[way])
        assert result == Result(0, file.read(), "")


@pytest.fixture
def receiver() -> str:
    """Compile a program that gets a descriptor and opens it anew."""
    try:
        return compile_program([f"{PROGRAMS}/receive_probe.c"], "-static", name="receive")
    except BuildError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kept", [True, False])
def test_kernel_keeps_a_file_outside_closed(
    pyroot_words: list[str], guest_directory: str, receiver: str, way: str, kept: bool
) -> None:
    """A file that came in a message may be read, but under the net not opened anew; without it that works."""
    shutil.copy(receiver, f"{guest_directory}/receive")
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with here, there, open("/etc/passwd", "rb") as file:
        socket.send_fds(here, [b"x"], [file.fileno()])
        result = run_from(there.fileno(), guest_directory, pyroot_words, "/receive", way=WAYS[way] if kept else {**WAYS[way], **WITHOUT})
    assert result == Result(0, f"read: works\nopen: {'Permission denied' if kept else 'works'}\n", "")


@pytest.mark.parametrize("kept", [True, False])
def test_signals_stay_inside(run_net: Callable[..., Result], kept: bool) -> None:
    """Guests signal each other, but under the net no process outside (Landlock of version 6)."""
    if version() < 6:
        pytest.skip("this kernel's Landlock knows no signals")
    sleeper = helpers.start(["sleep", "100"], prepare=helpers.drop_to_ordinary_user)
    try:
        script = f"kill -0 {sleeper.pid} 2>/dev/null; echo $?; sleep 100 & kill $!; wait $! 2>/dev/null; echo $?"
        result = run_net("/bin/sh", "-c", script, way=None if kept else WITHOUT)
    finally:
        sleeper.kill()
        sleeper.wait()
    assert result == Result(0, f"{1 if kept else 0}\n143\n", "")


def test_nested(run_net: Callable[..., Result], run_pyroot: Callable[..., Result], pyroot_words: list[str], guest_directory: str) -> None:
    """A pyroot inside, with a net of its own, and one without, handed over or not; and one with a net in one without."""
    inner = ["-r", guest_directory, *SHARED, "-w", "/", "/bin/sh", "-c", WORK]
    expected = run_net("/bin/sh", "-c", WORK)
    place = os.path.dirname(os.path.dirname(os.path.realpath(pyroot_words[0])))
    words = tuple(word for path in (place, guest_directory, "/etc", "/dev") for word in ("-b", path))
    for way in ({}, {"PYROOT_NO_HANDOVER": "1"}):
        for net in ([], ["--net"]):
            assert run_net(*pyroot_words, *net, *inner, words=words, way=way) == expected, (way, net)
        assert run_pyroot(["-r", "/", "-w", "/", *pyroot_words, "--net", *inner], environment={"PATH": "/usr/bin:/bin", **way}) == expected


def holder_of(pid: int) -> int:
    """Return the process that holds descriptors for the guests of a pyroot: its child that is no guest, in a group of its own."""
    end = time.monotonic() + helpers.TIME_LIMIT
    while time.monotonic() < end:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            for child in map(int, file.read().split()):
                try:
                    with open(f"/proc/{child}/status", encoding="ascii") as status:
                        fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
                except (OSError, ProcessLookupError):
                    continue
                if fields["TracerPid"].strip() == "0" and fields["NoNewPrivs"].strip() == "1" and os.getpgid(child) == child:
                    return child
    raise AssertionError("nobody holds descriptors")


@pytest.fixture
def sleeping(pyroot_words: list[str], guest_directory: str) -> subprocess.Popen[bytes]:
    """Start a guest that says so and sleeps."""
    words = [*pyroot_words, "--net", "-r", guest_directory, *SHARED, "-w", "/", "/bin/sh", "-c", "echo here; exec sleep 100"]
    process = helpers.start(words, environment={**environment_of_pyroot(), "PATH": "/usr/bin:/bin"})
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    return process


def gone(pid: int) -> bool:
    """Wait until a process has ended."""
    end = time.monotonic() + helpers.TIME_LIMIT
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                if file.read().rpartition(")")[2].split()[0] in "ZX":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_nobody_is_left(sleeping: subprocess.Popen[bytes]) -> None:
    """The holder ends with the last guest, and with pyroot, however that ends."""
    holder = holder_of(sleeping.pid)
    sleeping.kill()
    sleeping.communicate(timeout=helpers.TIME_LIMIT)
    assert gone(holder)


def test_holder_that_somebody_kills_ends_the_session(sleeping: subprocess.Popen[bytes]) -> None:
    os.kill(holder_of(sleeping.pid), signal.SIGKILL)
    _output, errors = sleeping.communicate(timeout=helpers.TIME_LIMIT)
    assert sleeping.returncode == 125
    # (the shell may be about to execute, and say that it cannot)
    assert b"pyroot: net: the process that holds descriptors for the guests was killed\n" in errors


def test_holder_that_dies_before_the_last_guest_is_missed(sleeping: subprocess.Popen[bytes]) -> None:
    """Though its death is the second that pyroot hears of: the guest may have ended for want of it."""
    holder = holder_of(sleeping.pid)
    with open(f"/proc/{sleeping.pid}/task/{sleeping.pid}/children", encoding="ascii") as file:
        guest = next(pid for pid in map(int, file.read().split()) if pid != holder)
    os.kill(sleeping.pid, signal.SIGSTOP)
    os.kill(holder, signal.SIGKILL)
    os.kill(guest, signal.SIGKILL)
    assert gone(holder)
    assert gone(guest)
    os.kill(sleeping.pid, signal.SIGCONT)
    _output, errors = sleeping.communicate(timeout=helpers.TIME_LIMIT)
    assert sleeping.returncode == 125
    assert errors.startswith(b"pyroot: net: the process that holds descriptors for the guests was killed\n")


def test_guests_do_not_get_at_the_holder(run_net: Callable[..., Result], guest_directory: str) -> None:
    """By number or descriptor it is as the supervisor: a process of another user."""
    try:
        probe = compile_program([f"{PROGRAMS}/keeper_probe.c"], "-static", "-pthread", name="keepers")
    except BuildError as error:
        pytest.skip(str(error))
    shutil.copy(probe, f"{guest_directory}/keepers")
    script = ("for s in /proc/[0-9]*/status; do if grep -qs \"^PPid:.$PPID$\" $s; then p=${s#/proc/}; p=${p%/status}; "
              "[ $p = $$ ] || holder=$p; fi; done; "
              # (a /proc with hidepid shows the one, which is of the guests' own layer, and not the other)
              "shown=.; [ -e /proc/$PPID ] || shown=' (number|open|dup|message) '; "
              "/keepers each $holder >/held; grep -E \"$shown\" /held >/some; "
              "/keepers each $PPID | grep -E \"$shown\" | cmp - /some && echo same")
    assert run_net("/bin/sh", "-c", script) == Result(0, "same\n", "")
    with open(f"{guest_directory}/held", encoding="ascii") as file:
        text = file.read()
    assert "kill number 1\n" in text
    assert "process_vm_writev number 1\n" in text


def test_what_it_says(run_net: Callable[..., Result], run_pyroot: Callable[..., Result]) -> None:
    assert "pyroot: Landlock allows root and bindings only\n" in run_net("/bin/true", words=("-v", "1")).stderr
    assert "allows" not in run_net("/bin/true", words=("-v", "1"), way=WITHOUT).stderr
    assert "pyroot: no net: nothing lies outside of /\n" in run_pyroot(["--net", "-v", "1", "/bin/true"]).stderr


def test_traced(run_net: Callable[..., Result], run_pyroot: Callable[..., Result], guest_directory: str) -> None:
    """A trace of guests under the net has the same calls."""
    options = ["--net", "-o", "/dev/stderr", "-e", "trace=openat,execve"]
    words = ["trace", *options, "-r", guest_directory, *SHARED, "-w", "/", "/bin/cat", "/usr"]
    traced = run_pyroot(words, environment={"PATH": "/usr/bin:/bin"})
    plain = run_pyroot(words, environment=WITHOUT)
    assert traced.status == plain.status == 1
    assert traced.stderr.count("openat(") == plain.stderr.count("openat(") > 1


def test_link_of_a_top_is_told_as_one_to_another_mount(run_net: Callable[..., Result], short_directory: str) -> None:
    """link(2) of the root or of the top of a binding: EXDEV, where the kernel would say EPERM."""
    for kept, error in ((None, "Invalid cross-device link"), (WITHOUT, "Operation not permitted")):
        result = run_net("/bin/sh", "-c", "link / /x; link /bound /bound/x", words=("-b", f"{short_directory}:/bound"), way=kept)
        assert result.stderr.count(error) == 2


def test_net_in_a_pyroot_that_traces_in_another_one(
    run_pyroot: Callable[..., Result], pyroot_words: list[str], guest_directory: str
) -> None:
    """It would close the loader of the one in between to guests: that is said."""
    words = ["-r", "/", "-w", "/", *pyroot_words, "-r", "/", "-w", "/", *pyroot_words, "--net", "-r", guest_directory, *SHARED, "/bin/true"]
    result = run_pyroot(words, environment={"PATH": "/usr/bin:/bin", "PYROOT_NO_HANDOVER": "1"})
    assert (result.status, result.stdout) == (125, "")
    assert result.stderr.startswith("pyroot: ")


def test_an_exec_opens_a_file_that_is_not_remembered_twice(run_net: Callable[..., Result], guest_directory: str) -> None:
    """For those who watch: the loader opens the program itself, so that the kernel judges it."""
    shutil.copy("/bin/true", f"{guest_directory}/true")
    for kept, count in ((None, 2), (WITHOUT, 1)):
        run = lambda kept=kept: run_net("/true", way=kept)  # noqa: E731
        # (the supervisor's own comes to its end behind the loader's)
        assert opens_of([f"{guest_directory}/true"], run, IN_ACCESS) == [count]


def test_descriptor_of_a_process_where_the_table_is_shared(run_net: Callable[..., Result], guest_directory: str) -> None:
    """pidfd_getfd(2): the number could mean who holds descriptors for guests."""
    try:
        shutil.copy(compile_program([f"{PROGRAMS}/keeper_probe.c"], "-static", "-pthread", name="keepers"), f"{guest_directory}/keepers")
    except BuildError as error:
        pytest.skip(str(error))
    assert run_net("/keepers", "race", "0", "300", "refused") == Result(0, "own 0 refused 1 wrong 0 child 1\n", "")


@pytest.mark.parametrize("kept", [True, False])
def test_bound_file_that_somebody_outside_has_replaced(pyroot_words: list[str], guest_directory: str, kept: bool) -> None:
    """The layer allows the file that was there when the session began."""
    for name in ("root", "host"):
        os.mkdir(f"{guest_directory}/{name}")
    for name in ("host/file", "host/new", "root/file"):
        with open(f"{guest_directory}/{name}", "w", encoding="ascii") as file:
            file.write(f"{name}\n")
    words = [*pyroot_words, "--net", "-r", f"{guest_directory}/root", *SHARED, "-b", f"{guest_directory}/host/file:/file", "-w", "/"]
    process = helpers.start([*words, "/bin/sh", "-c", "cat /file; read line; cat /file 2>&1"], stdin=subprocess.PIPE,
                            environment={**environment_of_pyroot(), "PATH": "/usr/bin:/bin", **({} if kept else WITHOUT)})  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"host/file\n"
    os.rename(f"{guest_directory}/host/new", f"{guest_directory}/host/file")
    output, _errors = process.communicate(b"\n", timeout=helpers.TIME_LIMIT)
    assert output == (b"cat: /file: Permission denied\n" if kept else b"host/new\n")


def test_file_that_a_guest_of_another_session_has_open(
    run_net: Callable[..., Result], pyroot_words: list[str], guest_directory: str
) -> None:
    """By /proc it is not opened under the net, where it is in none of this session's bindings."""
    os.mkdir(f"{guest_directory}/other")
    words = [*pyroot_words, "-r", guest_directory, *SHARED, "-b", "/etc/passwd:/passwd", "-w", "/"]
    process = helpers.start([*words, "/bin/sh", "-c", "exec 7</passwd; echo $$; read line"], stdin=subprocess.PIPE,
                            environment={**environment_of_pyroot(), "PATH": "/usr/bin:/bin"})  # fmt: skip
    try:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        for kept, error in ((None, "Permission denied"), (WITHOUT, "")):
            result = run_net("/bin/cat", f"/proc/{pid}/fd/7", way=kept)
            assert error in result.stderr
            assert (result.status == 0) == (not error)
    finally:
        helpers.kill_session(process.pid)
        process.communicate()
