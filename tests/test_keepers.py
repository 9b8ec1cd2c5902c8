"""Guests do not get at those who keep them: the supervisor, and pyroots inside that have handed their views over or trace by themselves.

What the kernel says of a process that one may not touch is what guests hear of these, for each call and each way to name a process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.helpers import Result
from tests.oracle import sides
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import PROGRAMS, environment_of_pyroot

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = ["-r", "/", "-w", "/"]
NESTED = [{}, {"PYROOT_NO_HANDOVER": "1"}]
#: Of the supervisor the guest may know that it is there: what only looks stays.
WAYS = [{}, {"PYROOT_NO_SECCOMP": "1"}, {"PYROOT_NO_GATE": "1"}]
ids = {"ids": ["plain", "no filter", "no gate"]}


@pytest.fixture(scope="module", params=[(), ("-m32",)], ids=["64", "32"])
def probe(request: pytest.FixtureRequest) -> str:
    """Compile the probe."""
    try:
        return compile_program([f"{PROGRAMS}/keeper_probe.c"], "-static", "-pthread", *request.param, name="keepers")
    except BuildError as error:
        pytest.skip(str(error))


@pytest.fixture
def root(guest_directory: str, probe: str) -> str:
    """Make a root with the probe in it."""
    shutil.copy(probe, f"{guest_directory}/keepers")
    return guest_directory


def answers(text: str) -> Counter[str]:
    """Count the probe's lines."""
    return Counter(text.splitlines())


@pytest.fixture(scope="module")
def beside_init() -> Callable[[list[str]], Result]:
    """Return a function that runs a program where process 1, which is another user's, is in /proc: if need be in a /proc of its own."""
    if os.stat("/proc/1").st_uid == helpers.ordinary_user.uid:
        pytest.skip("process 1 is this user's own")
    hidden = helpers.run(["test", "-e", "/proc/1/status"]).status != 0
    if hidden and os.geteuid() != 0:
        pytest.skip("this /proc hides process 1, and only root can mount another one")

    def prepare() -> None:
        if hidden:
            sides.private_mounts()
            sides.mount("proc", "/proc", "proc", 0)
        helpers.drop_to_ordinary_user()

    return lambda words: helpers.run(words, prepare=prepare)


@pytest.fixture(scope="module")
def untouchable(probe: str, beside_init: Callable[[list[str]], Result]) -> Counter[str]:
    """Return what the kernel says of init."""
    result = beside_init([probe, "each", "1"])
    assert result.status == 0
    return answers(result.stdout)


@pytest.mark.parametrize("way", WAYS, **ids)
def test_the_supervisor_is_as_a_process_of_another_user(
    run_pyroot: Callable[..., Result], root: str, untouchable: Counter[str], way: dict[str, str]
) -> None:
    """By number, by pidfd_open, by a copy of a descriptor, by one from a message, by its directory in /proc; alone and with threads."""
    result = run_pyroot(["-r", root, "-b", "/proc", "-w", "/", "/keepers", "each"], environment=way)
    assert (result.status, result.stderr) == (0, "")
    assert answers(result.stdout) == untouchable


@pytest.mark.parametrize("nested", NESTED, ids=["handed over", "by itself"])
def test_both_of_two_pyroots_are(
    run_pyroot: Callable[..., Result], pyroot_words: list[str], probe: str, untouchable: Counter[str], nested: dict[str, str]
) -> None:
    script = f"{probe} each $PPID; outer=$(sed -n 's/^PPid:.//p' /proc/$PPID/status); {probe} each $outer"
    result = run_pyroot([*HOST, *pyroot_words, *HOST, "/bin/sh", "-c", script], environment=nested)
    assert (result.status, result.stderr) == (0, "")
    assert answers(result.stdout) == untouchable + untouchable


@pytest.mark.parametrize("how", ["threads", "files"])
@pytest.mark.parametrize("way", WAYS, **ids)
def test_no_race_of_descriptors_reaches_the_supervisor(
    run_pyroot: Callable[..., Result], root: str, way: dict[str, str], how: str
) -> None:
    """A number means a process of the guest's own while pyroot looks, and the supervisor when the kernel does."""
    words = ["-r", root, "-b", "/proc", "-w", "/"]
    own = "Landlock allows" not in run_pyroot(["-v", "1", *words, "/keepers", "kill", "0", "0"], environment=way).stderr
    # (under a net pidfd_getfd(2) is refused where another task shares the table)
    words += ["/keepers", "race", "0", "500", how if own else "refused"]
    assert run_pyroot(words, environment=way) == Result(0, f"own {own:d} refused 1 wrong 0 child 1\n", "")


@pytest.mark.parametrize("nested", NESTED, ids=["handed over", "by itself"])
def test_no_race_of_descriptors_reaches_a_pyroot_inside(
    run_pyroot: Callable[..., Result], pyroot_words: list[str], probe: str, nested: dict[str, str]
) -> None:
    """There pidfd_getfd(2) is refused where another task shares the table."""
    result = run_pyroot([*HOST, *pyroot_words, *HOST, probe, "race", "0", "500", "refused"], environment=nested)
    assert result == Result(0, "own 0 refused 1 wrong 0 child 1\n", "")


def test_an_owner_of_a_descriptor_is_sent_nothing_deadly(run_pyroot: Callable[..., Result]) -> None:
    """fcntl(2): F_SETSIG with SIGKILL is EINVAL; with others, the supervisor as the owner lives on."""
    script = (
        "import fcntl, os, signal\n"
        "a, b = os.pipe()\n"
        "for number in (9, 19, 11, 7, 4, 8, 5, 31, 10, 12, 34, 64, 0):\n"
        "    try:\n"
        "        fcntl.fcntl(a, 10, number)\n"
        "    except OSError as error:\n"
        "        print(number, error.errno)\n"
        "signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
        "fcntl.fcntl(a, fcntl.F_SETOWN, os.getppid())\n"
        "fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC)\n"
        "os.write(b, b'x')\n"
        "print(os.path.exists('/usr'))\n"
    )
    result = run_pyroot([*HOST, helpers.ordinary_user.interpreter[0], "-IS", "-c", script])
    assert result == Result(0, "".join(f"{number} 22\n" for number in (9, 19, 11, 7, 4, 8, 5, 31)) + "True\n", "")


# --- groups ----------------------------------------------------------------------------------------------------------------------

GROUP = """
setsid sh -c 'sleep 1; echo alive' &
sleep 100 & first=$!
sleep 100 & second=$!
{ sleep 0.3; kill -%d 0; } &
wait $first; echo not reached
"""


@pytest.mark.parametrize("way", WAYS, **ids)
def test_a_group_dies_but_for_its_supervisor(run_pyroot: Callable[..., Result], way: dict[str, str]) -> None:
    """Those in other sessions go on, and are waited for."""
    result = run_pyroot([*HOST, "/bin/sh", "-c", GROUP % signal.SIGKILL], environment=way)
    assert (result.status, result.stdout) == (128 + signal.SIGKILL, "alive\n")


@pytest.mark.parametrize("nested", NESTED, ids=["handed over", "by itself"])
def test_a_group_dies_but_for_both_of_two_supervisors(
    run_pyroot: Callable[..., Result], pyroot_words: list[str], nested: dict[str, str]
) -> None:
    script = f"{' '.join(pyroot_words)} -r / -w / /bin/sh -c 'kill -9 0'; echo status $?"
    result = run_pyroot([*HOST, "/bin/sh", "-c", f"setsid -w /bin/sh -c '{script}'".replace("'kill -9 0'", '"kill -9 0"')],
                        environment=nested)
    # (the inner shell's group has the shell around it as a member, too: it is no keeper)
    assert (result.status, result.stdout) == (128 + signal.SIGKILL, "")
    inner = run_pyroot([*HOST, *pyroot_words, *HOST, "/bin/sh", "-c", "kill -9 0"], environment=nested)
    assert inner.status == 128 + signal.SIGKILL


def test_results_of_kill_are_the_kernel_s(run_pyroot: Callable[..., Result], root: str) -> None:
    """A group that nobody is in, that the supervisor alone is in, and one of others."""
    words = ["-r", root, "-b", "/proc", "-w", "/", "/keepers"]
    for target, number, error in (("-4194303", 9, 3), ("-2147483648", 9, 3), ("-1073741824", 19, 3), ("0", 0, 0), ("0", 18, 0)):
        assert run_pyroot([*words, "kill", target, str(number)]) == Result(0, f"kill group {error}\n", ""), target
    assert run_pyroot([*words, "kill", "0", "9"]).status == 128 + signal.SIGKILL
    assert run_pyroot([*words, "kill", "0", "65"]) == Result(0, "kill group 22\n", "")


def test_a_group_stops_and_pyroot_can_continue_it(pyroot_words: list[str], root: str) -> None:
    words = [*pyroot_words, "-r", root, "-b", "/proc", "-w", "/", "/keepers", "kill", "0", "19"]
    process = helpers.start(words, environment={**environment_of_pyroot(), "PATH": "/usr/bin:/bin"})
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.send_signal(signal.SIGCONT)
        output, errors = process.communicate(timeout=helpers.TIME_LIMIT)
    finally:
        helpers.kill_session(process.pid)
        process.kill()
    assert (process.returncode, output, errors) == (0, b"kill group 0\n", b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be a user of whom nobody else has a process")
def test_everybody_dies_but_for_the_supervisor(pyroot_words: list[str], root: str) -> None:
    """kill(-1): all that the user may kill, but for the caller and who keeps it."""
    user = 64000 + os.getpid() % 1000

    def become() -> None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)

    other = helpers.start(["/bin/sleep", "100"], prepare=become)
    try:
        words = [*pyroot_words, "-r", root, "-b", "/proc", "-w", "/", "/keepers", "all", "0", "9"]
        result = helpers.run(words, environment=helpers.pyroot_command()[1], prepare=become)
        assert result == Result(0, "kill all 0\n", "")
        assert other.wait(timeout=helpers.TIME_LIMIT) == -signal.SIGKILL
    finally:
        other.kill()
        other.communicate()


def test_priorities_of_a_group_leave_the_supervisor_alone(run_pyroot: Callable[..., Result], probe: str) -> None:
    """Its members have the new ones, each thread; the supervisor keeps its own."""
    script = (f"{probe} nice 1 0; {probe} ionice 2 0; nice; ionice -p $$; sleep 1 & cut -d' ' -f19 /proc/$!/stat /proc/$PPID/stat;"
              f" ionice -p $PPID; {probe} nice 1 4194303; {probe} ionice 2 4194303; {probe} nice 9 1")
    result = run_pyroot([*HOST, "/bin/sh", "-c", script])
    native = helpers.run(["/bin/sh", "-c", "nice; ionice -p $$"])
    level, io = native.stdout.splitlines()
    assert result == Result(0, f"setpriority group 0\nioprio_set group 0\n7\nidle\n7\n{level}\n{io}\nsetpriority group 3\n"
                               "ioprio_set group 3\nsetpriority group 22\n", "")


# --- a call that is answered has no end of ours ------------------------------------------------------------------------------------


def test_what_an_answered_open_has_prepared_does_not_happen_at_another_call(run_pyroot: Callable[..., Result], root: str) -> None:
    """An open that pyroot refused was to note a descriptor; the next call that stops at its end must not."""
    os.mkdir(f"{root}/d")
    if os.geteuid() == 0:
        os.chown(f"{root}/d", helpers.NOBODY, helpers.NOBODY)
    script = (
        "import os, sys\n"
        "os.chdir(sys.argv[1])\n"
        "os.dup2(os.open('b', os.O_RDONLY | os.O_DIRECTORY), 0)\n"
        "print(os.readlink('/proc/self/fd/0'))\n"
        "for name in ('fd', 'fdinfo', 'map_files'):\n"
        "    for again in (lambda: os.chmod('b', 0o755), lambda: os.stat('d'), os.getpid, lambda: os.mkdir('b/x') or os.rmdir('b/x')):\n"
        "        try:\n"
        "            os.open(f'/proc/{os.getppid()}/{name}', os.O_RDONLY)\n"
        "        except PermissionError:\n"
        "            again()\n"
        "print(os.readlink('/proc/self/fd/0'))\n"
    )
    words = ["-b", f"{root}/d:{root}/b", *HOST, helpers.ordinary_user.interpreter[0], "-IS", "-c", script, root]
    assert run_pyroot(words) == Result(0, f"{root}/b\n" * 2, "")


# --- /proc of who keeps us ----------------------------------------------------------------------------------------------------------

#: Opens everything in the directory of a process, by each way to name it, and says what can be read, written and listed.
LOOK = """
import os, sys
pid = sys.argv[1]
def ways(name):
    yield f"/proc/{pid}/{name}", None
    yield f"/proc/{pid}/task/{pid}/{name}", None
    os.chdir(f"/proc/{pid}")
    yield name, None
    yield f"./{name}", None
    yield f"task/{pid}/{name}", None
    os.chdir("/")
    yield f"proc/{pid}/{name}", None
    fd = os.open(f"/proc/{pid}", os.O_PATH)
    yield name, fd
    if "/" in name:
        yield os.path.basename(name), os.open(os.path.dirname(name), os.O_PATH, dir_fd=fd)
def can(name, flags, fd):
    try:
        os.close(os.open(name, flags, dir_fd=fd))
    except OSError as error:
        return error.errno
    return 0
NAMES = '''auxv environ io ksm_stat pagemap personality smaps_rollup stack syscall timers clear_refs maps smaps numa_maps mem mountstats
    comm oom_adj oom_score_adj coredump_filter sched autogroup loginuid uid_map gid_map projid_map timens_offsets
    fdinfo/0 fd/ fd/. fdinfo/ map_files/ ns/ ns/. cmdline stat statm limits cgroup'''.split()
for name in NAMES:
    found = set()
    modes = [os.O_RDONLY] if name.endswith(("/", ".")) else [os.O_RDONLY, os.O_RDWR, os.O_WRONLY, os.O_WRONLY | os.O_CREAT, os.O_TRUNC]
    for way, fd in ways(name):
        for flags in modes:
            found.add((flags, can(way, flags, fd)))
    print(name, sorted(pair for pair in found if pair[1] != 2))
"""


@pytest.mark.parametrize("way", WAYS, **ids)
def test_proc_of_the_supervisor_is_as_of_another_user(
    run_pyroot: Callable[..., Result], beside_init: Callable[[list[str]], Result], way: dict[str, str]
) -> None:
    """What is private, what can be set, what is listed: by name, from a working directory, below a descriptor."""
    python = [helpers.ordinary_user.interpreter[0], "-IS", "-c", LOOK]
    native = beside_init([*python, "1"])
    guest = run_pyroot([*HOST, "/bin/sh", "-c", 'exec "$@" $PPID', "sh", *python], environment=way)
    assert (native.status, guest.status, guest.stderr) == (0, 0, "")
    assert guest.stdout.splitlines() == native.stdout.splitlines()


# --- other mounts of /proc ------------------------------------------------------------------------------------------------------------

#: What the machine has mounted elsewhere itself is of the PID name space around this one: out of sight.
MOUNTED = """
grep ' - proc ' /proc/self/mountinfo | cut -d ' ' -f 5 | grep -vx /proc | while read -r place; do mount -t tmpfs none "$place"; done
mkdir -p "$1/p" "$1/sub" "$1/root" "$1/root/proc" "$1/root/p" "$1/root/sub" && mount -t proc proc "$1/p" &&
mount -t proc proc "$1/root/proc" && mount --bind "/proc/$$/task" "$1/sub" || exit 77
shift; exec "$@"
"""


@pytest.fixture
def mounted(guest_directory: str) -> Callable[[str], Result]:
    """Return a function that runs a shell script, where proc is mounted at two other places, in name spaces of its own."""
    def call(script: str) -> Result:
        words = ["unshare", "-Urpfm", "--mount-proc", "/bin/sh", "-c", MOUNTED, "sh", guest_directory, "/bin/sh", "-c", script, "sh",
                 guest_directory, *helpers.pyroot_command()[0]]
        result = helpers.run(words, environment={**helpers.pyroot_command()[1], "PATH": "/usr/bin:/bin"})
        if result.status == 77 or result.stderr.startswith("unshare:"):
            pytest.skip(f"no name spaces here: {result.stderr}")
        return result
    return call


def test_a_procfs_of_the_pid_name_space_around_is_covered(mounted: Callable[[str], Result]) -> None:
    """It shows the supervisor by another number: /proc stands in its place.  A part of it is refused, with a hint that works."""
    result = mounted("""D=$1; shift; exec unshare -pfm --mount-proc /bin/sh -c '
D=$1; shift; export D
for d in /proc "$D/p" "$D/root/proc"; do "$@" -r / -w / /bin/sh -c "cd $d/self && exec /bin/cat comm; exit"; done
"$@" -r / -b "$D/p/sys:/mnt" /bin/echo not; echo $?
"$@" -r / -b "$D/p/sys:/mnt" -b "/proc:$D/p" -b /proc/sys:/mnt /bin/echo covered' sh "$D" "$@" """)
    assert (result.status, result.stdout) == (0, "cat\ncat\ncat\n125\ncovered\n"), result
    assert "is a procfs that shows this process" in result.stderr
    assert "hint: cover it with a binding, as in -b /proc:" in result.stderr


def test_a_procfs_elsewhere_is_taken_for_proc(mounted: Callable[[str], Result]) -> None:
    """Bound itself, in part, or below what is bound: nothing of the supervisor's can be read there."""
    look = ('for d in /p2 /p3 "$D/p" "$D/root/proc"; do for f in maps mem environ fd/ fdinfo/0 root/ cwd/ exe; do '
            'n=$d/$PPID/$f; (exec 3<"$n") 2>/dev/null && echo OPEN $n; done; cat "$d/self/comm"; done; '
            'realpath "$D/p/self" "$D/p" "$D/sub"')
    result = mounted(f"""D=$1; export D; shift; "$@" -r / -b "$D/p:/p2" -b "$D/p/self/..:/p3" -w / /bin/sh -c '{look}; exit'""")
    assert result.status == 0, result
    lines = result.stdout.splitlines()
    assert lines[:4] == ["cat"] * 4
    place = lines[5].removesuffix("/p")
    assert lines[4].startswith(f"{place}/p/") and lines[4][len(place) + 3:].isdigit()
    assert lines[6] == f"{place}/sub"


def test_descriptors_in_a_procfs_elsewhere_are_told_as_below_proc(mounted: Callable[[str], Result]) -> None:
    result = mounted("""D=$1; export D; shift; "$@" -r / -b "$D/p:/p2" -w / /bin/sh -c '
        for d in /p2 "$D/p"; do cd "$d/sys"; /bin/pwd -P; readlink /proc/self/fd/3 3<"$d/filesystems"; done'""")
    assert result == Result(0, "/proc/sys\n/proc/filesystems\n" * 2, "")


def test_the_name_under_proc_is_preferred(mounted: Callable[[str], Result]) -> None:
    """And the other mounts make no view ambiguous: looks are answered in the gate."""
    result = mounted("""shift; "$@" /bin/readlink /proc/self/fd/3 3</proc/filesystems; cd /proc/sys; "$@" /bin/pwd""")
    assert result == Result(0, "/proc/filesystems\n/proc/sys\n", "")
    script = """shift; "$@" --stats /usr/bin/find /usr/lib -maxdepth 2 -name nothing 2>&1 |
        sed -n 's/.*pyroot: \\([0-9]*\\) stops.*/\\1/p'"""
    counted = mounted(script)
    assert 0 < int(counted.stdout) < 200
