"""Ids, groups and capabilities of a session's own, compared call by call with real root in a real chroot.

`tests/ids/probe.c` makes random calls in threads, children and chains of programs, some of them set-user-ID or set-group-ID, and prints
each result and who the task is then. Under pyroot the ordinary user runs it with -0. The seeds are printed; `PYROOT_IDS_SEED` says where
they begin.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle import sides
from tests.oracle.build import BuildError, compile_program
from tests.rootfs_fixtures import directory_for_user, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

WAYS = pytest.mark.parametrize("way", [{}, {"PYROOT_NO_GATE": "1"}, {"PYROOT_NO_SECCOMP": "1"}], ids=["gate", "stops", "no-filter"])
MACHINES = pytest.mark.parametrize("machine", ["-m64", "-m32"])
NEEDED = 1 << 6 | 1 << 7 | 1 << 8 | 1 << 18  # SETGID, SETUID, SETPCAP, SYS_CHROOT
NAMES = ("/plain", "/user", "/group")


def capabilities() -> int:
    """Return the capabilities that this process has, and may have."""
    with open("/proc/self/status", encoding="ascii") as file:
        found = dict(line.rstrip("\n").split(":\t", 1) for line in file if line.startswith("Cap"))
    return int(found["CapEff"], 16) & int(found["CapBnd"], 16)


def probe(machine: str) -> str:
    """Return the compiled probe."""
    try:
        return compile_program([f"{helpers.PROJECT}/tests/ids/probe.c"], "-static", "-pthread", machine, name=f"ids{machine}")
    except BuildError as error:
        pytest.skip(f"gcc {machine} makes no programs here: {str(error)[-80:]}")


@pytest.fixture
def trees() -> Iterator[Callable[[str], list[str]]]:
    """Return a function that makes two roots of the probe: one of real root's, and one of the ordinary user's."""
    top = directory_for_user()

    def make(machine: str) -> list[str]:
        program = probe(machine)
        for name, owner in (("real", 0), ("fake", helpers.ordinary_user.uid)):
            os.makedirs(f"{top}/{name}/proc")
            for path, mode in zip(NAMES, (0o755, 0o4755, 0o2755), strict=True):
                shutil.copy(program, f"{top}/{name}{path}")
                os.chown(f"{top}/{name}{path}", owner, owner)
                os.chmod(f"{top}/{name}{path}", mode)
        return [f"{top}/real", f"{top}/fake"]

    yield make
    remove(top)


def compare(run_pyroot: Callable[..., Result], roots: list[str], way: dict[str, str], seeds: range, calls: int) -> int:
    """Run the same programs on both sides; return how many lines they have printed."""
    real, fake = roots
    words = [NAMES[0], str(seeds.start), str(seeds.stop), str(calls), f"{capabilities():x}", *NAMES]

    def prepare() -> None:
        sides.private_mounts()
        sides.mount("proc", f"{real}/proc", "proc", 0)
        os.chroot(real)
        os.chdir("/")

    by_root = helpers.run(words, environment={}, prepare=prepare, timeout=300)
    ours = run_pyroot(["-0", "-r", fake, "-b", "/proc", *words], environment=way, timeout=300)
    assert (ours.status, ours.stderr) == (by_root.status, by_root.stderr)
    for expected, found in zip(by_root.stdout.splitlines(), ours.stdout.splitlines(), strict=False):
        assert found == expected, f"seed {expected.partition('.')[0]}"
    assert ours.stdout == by_root.stdout
    return ours.stdout.count("\n")


def seeds(count: int) -> range:
    first = int(os.environ.get("PYROOT_IDS_SEED") or random.randrange(1 << 30))
    print(f"seeds from {first}: PYROOT_IDS_SEED={first}")
    return range(first, first + count)


def may_compare() -> str:
    """Say why there is no real root to compare with; empty if there is."""
    why = sides.why_not_possible("pyroot")
    return why or ("" if capabilities() & NEEDED == NEEDED else "root has not the capabilities of root here")


@WAYS
@MACHINES
def test_random_calls_are_answered_as_to_real_root(
    run_pyroot: Callable[..., Result], trees: Callable[[str], list[str]], way: dict[str, str], machine: str
) -> None:
    if may_compare():
        pytest.skip(may_compare())
    assert compare(run_pyroot, trees(machine), way, seeds(12), 30) > 500


@pytest.mark.oracle
@pytest.mark.timeout(600)
@WAYS
@MACHINES
def test_many_random_calls_are_answered_as_to_real_root(
    run_pyroot: Callable[..., Result], trees: Callable[[str], list[str]], way: dict[str, str], machine: str
) -> None:
    if may_compare():
        pytest.skip(may_compare())
    assert compare(run_pyroot, trees(machine), way, seeds(600), 40) > 20000


@WAYS
def test_guest_of_root_cannot_end_its_supervisor(run_pyroot: Callable[..., Result], busybox_root: str, way: dict[str, str]) -> None:
    """The filter refuses it before the session's ids are asked."""
    script = "kill -9 $PPID; kill -STOP $PPID; kill -TERM $PPID; echo $?; id -u"
    done = run_pyroot(["-0", "-r", busybox_root, "/bin/sh", "-c", script], environment=way)
    assert (done.status, done.stdout) == (0, "1\n0\n")
    assert done.stderr.count("Operation not permitted") == 3


def lines_of(text: str, *names: str) -> dict[str, list[str]]:
    """Return the fields of lines of /proc/PID/status."""
    return {name: re.findall(rf"^{name}:\t(.*)$", text, re.MULTILINE)[0].split() for name in names}


def test_status_tells_the_session_s_ids(run_pyroot: Callable[..., Result], busybox_root: str) -> None:
    words = ["-r", busybox_root, "-b", "/proc", "/bin/cat", "/proc/self/status"]
    root = lines_of(run_pyroot(["-0", *words]).stdout, "Uid", "Gid", "Groups", "CapEff", "NoNewPrivs")
    assert root["Uid"] == root["Gid"] == ["0"] * 4
    assert root["Groups"] == ["0"]
    assert int(root["CapEff"][0], 16) > 1 << 39
    assert root["NoNewPrivs"] == ["0"]
    other = lines_of(run_pyroot(["-i", "5:6", *words]).stdout, "Uid", "Gid", "CapEff", "CapBnd")
    assert (other["Uid"], other["Gid"], other["CapEff"]) == (["5"] * 4, ["6"] * 4, ["0" * 16])
    assert int(other["CapBnd"][0], 16) > 1 << 39


def test_memory_and_links_of_another_user_are_closed(run_pyroot: Callable[..., Result], busybox_root: str) -> None:
    """Root sees those of all, a user those of its own; a process that was root is closed to all but root."""
    script = """
    look() { for name in environ maps mem auxv; do cat </proc/$1/$name >/dev/null 2>&1 || echo closed $name; done
             for name in cwd exe root; do readlink /proc/$1/$name >/dev/null || echo closed $name; done; }
    [ "$1" ] && { look $1; exit; }
    sleep 100 & other=$!
    look $other | grep -v mem
    su nobody -s /bin/sh -c "/bin/sh /look $other"; kill $other
    """
    path = f"{busybox_root}/look"
    with open(path, "w", encoding="ascii") as file:
        file.write(script)
    try:
        done = run_pyroot(["-0", "-r", busybox_root, "-b", "/proc", "-b", "/dev", "/bin/sh", "/look"])
        assert done.stdout.split("\n") == [*(f"closed {name}" for name in ("environ", "maps", "mem", "auxv", "cwd", "exe", "root")), ""]
    finally:
        os.unlink(path)


PEERS = """
import os, socket, struct
def peer(s):
    groups = s.getsockopt(socket.SOL_SOCKET, 59, 400)
    ids = struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:]
    return (*ids, list(struct.unpack(f"{len(groups) // 4}I", groups)))
def short(s):
    try: return s.getsockopt(socket.SOL_SOCKET, 59, 4)
    except OSError as error: return error.errno
os.setgroups([21, 20])
listening = socket.socket(socket.AF_UNIX)
listening.bind("\\0pyroot-ids-%d" % os.getpid())
listening.listen()
if os.fork() == 0:
    os.setgroups([30])
    os.setgid(7)
    os.setuid(8)
    s = socket.socket(socket.AF_UNIX)
    s.connect(listening.getsockname())
    s.recv(1)
    print("server", *peer(s), short(s), flush=True)
    os._exit(0)
s = listening.accept()[0]
os.setresgid(5, 5, 5)
os.setresuid(6, 6, 6)
print("client", *peer(s), flush=True)
s.send(b"x")
os.wait()
"""


def test_ends_of_a_socket_keep_the_ids_of_their_moment(run_pyroot: Callable[..., Result]) -> None:
    """The one that listened as root stays root to its clients, though it has become another user since."""
    interpreter, reason = helpers.ordinary_user.interpreter
    if not interpreter:
        pytest.skip(reason)
    done = run_pyroot(["-0", interpreter, "-c", PEERS])
    assert (done.stdout, done.stderr) == ("client 8 7 [30]\nserver 0 0 [20, 21] 34\n", "")


PROC = """
import ctypes, os
def owner(path): return "%d:%d" % (os.stat(path).st_uid, os.lstat(path).st_gid)
started, done = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.setgid(7)
    os.setuid(8)
    os.write(started[1], b"x")
    os.read(done[0], 1)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
    os.write(started[1], b"x")
    os.read(done[0], 1)
    os._exit(0)
os.read(started[0], 1)
for _turn in range(2):
    names = ("", "/fd", "/task", f"/task/{child}", "/status", "/maps", "/net/dev")
    print(*(owner(f"/proc/{child}{name}") for name in names), owner("/proc/self/stat"))
    os.write(done[1], b"x")
    if _turn == 0: os.read(started[0], 1)
os.wait()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="compares with real root")
def test_files_of_a_process_belong_to_who_it_is(run_pyroot: Callable[..., Result]) -> None:
    """And those of one that has changed its ids to root, until it says that it may be dumped."""
    interpreter, reason = helpers.ordinary_user.interpreter
    if not interpreter:
        pytest.skip(reason)
    real = helpers.run([interpreter, "-c", PROC], prepare=lambda: os.setgroups([]))
    done = run_pyroot(["-0", interpreter, "-c", PROC])
    assert (done.stdout, done.stderr) == (real.stdout, "")
    assert "8:7" in real.stdout


def test_ids_in_a_pyroot_inside(run_pyroot: Callable[..., Result], pyroot_words: list[str], busybox_root: str) -> None:
    """Whichever of the two gives them."""
    inner = [*pyroot_words, "-r", busybox_root]
    assert run_pyroot(["-0", *inner, "/bin/id", "-u"]).stdout == "0\n"
    for outer in ([], ["-0"], ["-i", "9:9"]):
        assert run_pyroot([*outer, *pyroot_words, "-i", "5:6", "-r", busybox_root, "/bin/id"]).stdout.startswith("uid=5 gid=6 ")
        assert run_pyroot([*outer, *pyroot_words, "-0", "-r", busybox_root, "/bin/id", "-u"]).stdout == "0\n"


def test_chroot_inside_needs_the_session_s_capability(run_pyroot: Callable[..., Result], busybox_root: str) -> None:
    os.makedirs(f"{busybox_root}/tmp/jail/bin", exist_ok=True)
    shutil.copy(f"{busybox_root}/bin/busybox", f"{busybox_root}/tmp/jail/bin/sh")
    words = ["-r", busybox_root, "/bin/chroot", "/tmp/jail", "/bin/sh", "-c", "echo /*"]
    try:
        assert run_pyroot(["-0", *words]).stdout == "/bin\n"
        refused = run_pyroot(["-i", "5:6", *words])
        assert "Operation not permitted" in refused.stderr
    finally:
        shutil.rmtree(f"{busybox_root}/tmp/jail")


def test_what_the_kernel_refuses_us_and_root_may(run_pyroot: Callable[..., Result], busybox_root: str) -> None:
    words = ["-r", busybox_root, "/bin/sh", "-c", "renice -n -5 $$ && hostname given && uname -n"]
    assert run_pyroot(["-0", *words]).stdout == "given\n"
    refused = run_pyroot(["-i", "5:6", *words])
    assert (refused.status, refused.stdout) == (1, "")
