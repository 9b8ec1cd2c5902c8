"""Nothing that a guest does ends pyroot or gets around it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.probe_root import ENVIRONMENT, environment_of_pyroot, guest_words, probe_root, same

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

__all__ = ["probe_root", "same"]

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("way", ["64", "x32", "int80"])
def test_every_call_number_is_survived(probe_root: str, run_pyroot: Callable[..., Result], way: str) -> None:
    """Numbers 0 to 600, as 64-bit, x32 and i386 calls: pyroot goes on, those of x32 do not exist."""
    words = ["-r", probe_root, "-w", "/", "-b", "/proc", "/abi", "numbers", way]
    result = run_pyroot(words, environment=ENVIRONMENT, timeout=120)
    assert result.status == 0, result
    missing = 1 if way == "x32" else 0
    assert result.stdout == f"{way}: 601 numbers, all ENOSYS {missing}, marker 1\n"


def test_bad_pointers_give_what_the_kernel_gives(same: Callable[..., Result]) -> None:
    """Every path call with every kind of bad pointer."""
    result = same("/abi", "pointers")
    assert result.status == 0
    assert result.stdout.endswith("marker 1\n")


def test_open_how_structures_are_checked_as_by_the_kernel(same: Callable[..., Result]) -> None:
    """openat2 with every size and every single bit."""
    assert same("/abi", "flags").stdout.endswith("marker 1\n")


def test_open_takes_its_flags_as_the_kernel_takes_them(same: Callable[..., Result]) -> None:
    """open, openat and creat, which pyroot makes as openat2, with every pair of flags: also those that openat2 refuses."""
    assert same("/abi", "opens").stdout.endswith("marker 1\n")


REFUSED = """\
io_uring_setup -38
io_uring_enter -38
io_uring_register -38
listener 0
filter 0
open_by_handle_at -1
unshare mount 0 user 0
open_tree clone -1
fsopen -1
statmount -38 listmount -38
bpf -1
unknown -38 -38 -38
x32 open -38
kill supervisor 0
ptrace supervisor 0
read supervisor 0
supervisor root 0 cwd 0
parent root 0
parent mem 0
inherited directory 0 0
marker 1
probe: marker 7 marker at 0 stat 0
"""


def test_calls_around_the_supervisor_are_refused(probe_root: str, pyroot_words: list[str]) -> None:
    """io_uring, filter listeners, handles, name spaces, the mount API, the supervisor, descriptors from outside."""
    words = guest_words(pyroot_words, probe_root, "/abi", "refused")
    result = helpers.run(["/bin/sh", "-c", 'exec 9</; exec "$@"', "sh", *words], environment=environment_of_pyroot())
    assert (result.status, result.stdout.splitlines()) == (0, REFUSED.splitlines())


@pytest.mark.parametrize("name", ["crash", "signal 11", "signal 9", "signal 6", "signal 31"])
def test_crashing_children_are_only_that(probe_root: str, run_pyroot: Callable[..., Result], name: str) -> None:
    """A guest that crashes ends itself, not its siblings."""
    host = ["-r", "/", "-w", "/", "/bin/sh", "-c"]
    probe = f"{probe_root}/probe {name}"
    script = f"{probe} & {probe}; echo going on; wait; cat /etc/hostname >/dev/null && echo alive"
    result = run_pyroot([*host, script])
    assert result.status == 0
    assert result.stdout.splitlines()[-2:] == ["going on", "alive"]


def test_exec_loops_end_with_their_process(probe_root: str, run_pyroot: Callable[..., Result]) -> None:
    """A program that executes itself without end can be killed, and the rest goes on."""
    script = (
        "cat >/tmp/loop-$$ <<END\n#!/bin/sh\nexec \"\\$0\"\nEND\nchmod +x /tmp/loop-$$; /tmp/loop-$$ & pid=$!; "
        "i=0; while [ $i -lt 200 ]; do i=$((i+1)); /bin/true; done; kill -9 $pid; "
        "wait $pid; rm /tmp/loop-$$; echo status $?"
    )
    assert run_pyroot(["-r", "/", "-w", "/", "/bin/sh", "-c", script]).stdout == "status 0\n"


@pytest.mark.parametrize(("threads", "rounds"), [(1, 300), (4, 150), (16, 30)])
def test_path_calls_in_a_storm_of_signals(same: Callable[..., Result], threads: int, rounds: int) -> None:
    """Signals every 0.3 ms, handlers that make path calls, several threads: every result is right."""
    result = same("/storm", str(threads), str(rounds))
    assert result == helpers.Result(0, "wrong 0, signals many, handler links all\n", "")


def test_script_that_is_its_own_interpreter(probe_root: str, run_pyroot: Callable[..., Result]) -> None:
    """A loop of #! lines gives ELOOP, as one line of pyroot's."""
    path = f"{probe_root}/tmp/loop"
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/tmp/loop\n")
    os.chmod(path, 0o755)
    result = run_pyroot(["-r", probe_root, "-w", "/", "/tmp/loop"], environment=ENVIRONMENT)
    os.unlink(path)
    assert result.status == 126
    assert result.stderr.startswith("pyroot: ")
    assert "Traceback" not in result.stderr


BROKEN = {
    "truncated header": (0, 40), "truncated program headers": (0, 70), "half": (0, None), "wild entry": (24,
    b"\xff" * 8),
    "wild program header offset": (32, b"\xff" * 8), "many program headers": (56, b"\xff\xff"),
    "wrong machine": (18, b"\x28\x00"), "wrong class": (4, b"\x01"), "relocatable": (16, b"\x01\x00"),
    "program header size": (54, b"\x01\x00"),
}


@pytest.mark.parametrize("how", sorted(BROKEN))
def test_broken_programs_fail_as_in_a_chroot(
    probe_root: str, run_pyroot: Callable[..., Result], how: str
) -> None:
    """Damaged ELF files end with an error or a signal; pyroot and its other guests go on."""
    with open(f"{probe_root}/probe", "rb") as file:
        content = bytearray(file.read())
    position, change = BROKEN[how]
    if isinstance(change, bytes):
        content[position: position + len(change)] = change
    else:
        del content[change if change is not None else len(content) // 2:]
    path = f"{probe_root}/tmp/broken"
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o755)
    host = ["-r", "/", "-w", "/", "/bin/sh", "-c", f"{path}; echo status $? >&2; echo alive"]
    result = run_pyroot(host)
    native = helpers.run(["/bin/sh", "-c", f"{path}; echo status $? >&2; echo alive"])
    os.unlink(path)
    assert result.stdout == native.stdout
    assert result.stdout.endswith("alive\n")
    assert (result.stderr.splitlines()[-1:] == native.stderr.splitlines()[-1:]) or how == "half", (result, native)


def test_descriptor_limits_of_the_guest_do_not_bind_pyroot(run_pyroot: Callable[..., Result]) -> None:
    """A guest with hardly any descriptors, or none left, gets its own errors."""
    for limit in (3, 4, 5, 8, 20):
        script = f"ulimit -n {limit}; /bin/ls -d /etc 2>/dev/null; echo $?; cd /usr/bin && pwd"
        native = helpers.run(["/bin/sh", "-c", script])
        result = run_pyroot(["-r", "/", "-w", "/", "/bin/sh", "-c", script])
        assert result.stdout == native.stdout, limit


def test_small_stacks_and_address_spaces(run_pyroot: Callable[..., Result]) -> None:
    """Limits on stack and data are the guest's own."""
    for limit in ("-s 256", "-s 8192", "-v 400000", "-d 20000", "-f 0", "-c 0"):
        script = f"ulimit {limit}; /bin/ls -d /etc; (exec /bin/cat /dev/null); echo $?"
        native = helpers.run(["/bin/sh", "-c", script])
        result = run_pyroot(["-r", "/", "-w", "/", "/bin/sh", "-c", script])
        assert (result.status, result.stdout) == (native.status, native.stdout), limit


def test_programs_without_read_permission(probe_root: str, run_pyroot: Callable[..., Result]) -> None:
    """A program that may be executed but not read is refused with a word, not with a crash."""
    path = f"{probe_root}/tmp/secret"
    helpers.run(["/bin/cp", f"{probe_root}/probe", path])
    os.chmod(path, 0o111)
    result = run_pyroot(["-r", probe_root, "-w", "/", "/tmp/secret", "marker"], environment=ENVIRONMENT)
    os.unlink(path)
    assert result.status == 126 or result.stdout == "/tmp/secret: marker 7 marker at 0 stat 0\n", result
    assert "Traceback" not in result.stderr
