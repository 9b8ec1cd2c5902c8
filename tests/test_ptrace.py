"""ptrace(2) among guests: what a tracer in a guest sees is what it sees without pyroot.

The oracle is the same program in a real chroot, or the same tool run on the host by the same user.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.helpers import Result
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import ENVIRONMENT, PROGRAMS, environment_of_pyroot, guest_words, script
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STOPS = ("calls", "changes", "sysemu", "exec", "thread_exec", "births", "steps", "registers", "signals", "seccomp")
WAITS = ("attach", "seize", "attach_stopped", "attach_at_once", "errors", "waitid", "threads", "stranger", "sigchld", "interrupted",
         "tracer_dies", "threads_die", "two_parents")
TOOLS_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}
SHARED = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/dev")


def built(name: str, *options: str) -> str:
    """Compile a program of tests/programs."""
    sources = [f"{PROGRAMS}/{part}.c" for part in name.split("+")]
    try:
        return compile_program(sources, *options, name=f"ptrace-{name}")
    except BuildError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def tracer_root() -> Iterator[str]:
    """Make a root with the ptrace probe in it."""
    root = directory_for_user()
    for name in ("tmp", "proc", "dev", "place"):
        os.mkdir(f"{root}/{name}")
    shutil.copy(built("ptrace_probe+ptrace_state+ptrace_waits", "-static", "-pthread"), f"{root}/ptrace")
    shutil.copy(built("ptrace_fuzz", "-static"), f"{root}/fuzz")
    script(f"{root}/marker", "marker\n", 0o644)
    script(f"{root}/s1", "#!/ptrace nothing\n")
    script(f"{root}/s2", "#!/s1\n")
    give(root)
    yield root
    remove(root)


def probe_words(root: str) -> list[str]:
    """Return the words before the probe's."""
    return ["-r", root, "-w", "/", "-b", "/proc"]


@pytest.mark.parametrize("scenario", [*STOPS, *WAITS])
def test_a_tracer_sees_what_it_sees_in_a_chroot(
    tracer_root: str, run_pyroot: Callable[..., Result], request: pytest.FixtureRequest, scenario: str
) -> None:
    """Stops, registers, arguments, signals, waits, errors."""
    result = run_pyroot([*probe_words(tracer_root), "/ptrace", scenario], environment=ENVIRONMENT)
    assert result.status == 0
    assert result.stdout
    if os.geteuid() == 0:
        real_chroot = request.getfixturevalue("real_chroot")
        real = real_chroot(tracer_root, ["/ptrace", scenario], [("/proc", "/proc")], "/", environment=ENVIRONMENT)
        assert result.stdout == real.stdout
        assert result == real


@pytest.mark.parametrize("scenario", ["calls", "changes", "exec", "births", "steps", "seize", "waitid", "stranger"])
def test_without_a_filter(tracer_root: str, run_pyroot: Callable[..., Result], scenario: str) -> None:
    """Where the kernel refuses filters a tracer sees the same."""
    plain = run_pyroot([*probe_words(tracer_root), "/ptrace", scenario], environment=ENVIRONMENT)
    unfiltered = {**ENVIRONMENT, "PYROOT_NO_SECCOMP": "1"}
    assert run_pyroot([*probe_words(tracer_root), "/ptrace", scenario], environment=unfiltered) == plain


# --- the tools --------------------------------------------------------------------------------------------------------


class Tools:
    """Run a command in a guest, and the same one on the host; ``/data`` is a directory of both."""

    def __init__(self, run_pyroot: Callable[..., Result], root: str, data: str) -> None:
        self.run_pyroot, self.root, self.data = run_pyroot, root, data

    def options(self) -> list[str]:
        """Return pyroot's options."""
        shared = [word for path in SHARED for word in ("-b", path)]
        return ["-r", self.root, *shared, "-b", f"{self.data}:/data", "-w", "/data"]

    def guest(self, *command: str) -> Result:
        """Run a command in the guest."""
        return self.run_pyroot([*self.options(), *command], environment=TOOLS_ENVIRONMENT)

    def host(self, *command: str) -> Result:
        """Run a command on the host, as the same user."""
        words = [word.replace("/data", self.data) for word in command]
        return helpers.run(words, cwd=self.data, environment={**TOOLS_ENVIRONMENT, "PWD": self.data})

    def take(self, name: str) -> str:
        """Read a file of ``/data`` and remove it."""
        with open(f"{self.data}/{name}", encoding="utf-8", errors="replace") as file:
            text = file.read()
        os.unlink(f"{self.data}/{name}")
        return text

    def traces(self) -> list[str]:
        """Take what strace -ff wrote, in the order of the processes' births."""
        names = [name for name in os.listdir(self.data) if name.startswith("trace.")]
        return [self.plain(self.take(name)) for name in sorted(names, key=lambda name: int(name[6:]))]

    def plain(self, text: str) -> str:
        """Take out what differs from run to run: addresses, pids, the number of variables."""
        text = text.replace(self.data, "/data")
        text = re.sub(r"0x[0-9a-f]+", "ADDRESS", text)
        text = re.sub(r"\b(process|Process|LWP|pid|si_pid=|PID) ?[0-9]+", r"\1 PID", text)
        return re.sub(r"/\* [0-9]+ vars \*/", "", text)


@pytest.fixture
def tools(run_pyroot: Callable[..., Result]) -> Iterator[Tools]:
    """Make the two directories."""
    root, data = directory_for_user(), directory_for_user()
    for path in (*SHARED, "/tmp", "/data"):
        os.mkdir(root + path)
    script(f"{data}/text", "some text\n", 0o644)
    script(f"{data}/work", "#!/bin/sh\ncat text\nls text nothing\n(exit 3)\necho $?\n")
    os.chmod(root + "/tmp", 0o777)
    give(root)
    give(data)
    yield Tools(run_pyroot, root, data)
    remove(root)
    remove(data)


def need(*programs: str) -> None:
    """Skip where a tool is not installed."""
    missing = helpers.have(*programs)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def calls_of(text: str) -> list[str]:
    """Return the lines of strace that do not depend on chance or on numbers."""
    text = re.sub(r"\b[0-9]{3,}\b", "N", text)
    text = re.sub(r"(st|stx)_[a-z]+=[^,}]*", "", text)
    text = re.sub(r"si_[us]time=\d+( /\*[^/]*/)?", "", text)
    # (ltrace sees a fork(3) return before or after it sees the child)
    left_out = ("getdents", "getrandom", "fork(", "<... fork resumed>")
    lines = [line for line in text.splitlines() if not line.startswith(left_out)]
    # whether a child ends before its parent begins to wait is chance, and so is what the handler returns into
    lines = [re.sub(r"^(rt_sigreturn.*=) .*", r"\1 N", line) for line in lines]
    return sorted(lines, key=lambda line: line.startswith(("--- SIGCHLD", "rt_sigreturn")))


@pytest.mark.parametrize("filtered", [False, True])
def test_strace_of_a_script(tools: Tools, filtered: bool) -> None:
    """strace -f writes the same, call by call, process by process, with and without a filter of its own."""
    need("strace")
    options = ["--seccomp-bpf", "-e", "trace=execve,openat,chdir,newfstatat,statx,exit_group"] if filtered else []
    words = ["strace", "-ff", *options, "-o", "/data/trace", "/bin/sh", "work"]
    guest, inside = tools.guest(*words), tools.traces()
    host, outside = tools.host(*words), tools.traces()
    assert guest == host
    assert len(inside) == len(outside) == 4
    for mine, real in zip(inside, outside, strict=True):
        assert calls_of(mine) == calls_of(real)


def test_strace_counts(tools: Tools) -> None:
    """strace -c has the same table of calls."""
    need("strace")

    def table(text: str) -> list[tuple[str, str]]:
        rows = [line.split() for line in text.splitlines()]
        return sorted((row[-1], row[3]) for row in rows if len(row) >= 5 and row[0][0].isdigit() and row[-1] != "total")

    guest, host = tools.guest("strace", "-c", "/bin/cat", "/data/text"), tools.host("strace", "-c", "/bin/cat", "/data/text")
    assert table(guest.stderr) == table(host.stderr)
    assert ("openat", "4") in table(guest.stderr) or ("execve", "1") in table(guest.stderr)


GDB = ["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex", "set startup-with-shell off"]
SESSIONS = {
    "break": ["break compute", "run", "backtrace", "print n", "finish", "next", "continue"],
    "step": ["break main", "run", "step", "stepi", "nexti", "info line", "next", "next", "kill"],
    "watch": ["watch counter", "run", "continue", "continue", "delete", "continue"],
    "catch": ["catch syscall openat", "catch fork", "run", "delete 1", "continue", "backtrace 1", "delete", "continue"],
    "signal": ["handle SIGUSR1 stop print", "run", "info signals SIGUSR1", "print $_siginfo.si_signo", "signal 0"],
    "call": ["break compute", "run", "print compute(4)", "set var n = 7", "delete", "continue"],
}


@pytest.mark.parametrize("session", [pytest.param(name, marks=[] if name in ("break", "watch") else pytest.mark.slow) for name in SESSIONS])
def test_gdb_session(tools: Tools, session: str) -> None:
    """A batch of commands for gdb has the same output."""
    need("gdb")
    shutil.copy(built("gdb_target", "-g", "-O0"), f"{tools.data}/target")
    shutil.copy(f"{PROGRAMS}/gdb_target.c", f"{tools.data}/gdb_target.c")
    words = [*GDB, *[word for command in SESSIONS[session] for word in ("-ex", command)], "/data/target"]
    guest, host = tools.guest(*words), tools.host(*words)
    assert "warning: Error" not in guest.stdout + guest.stderr
    assert tools.plain(guest.stdout) == tools.plain(host.stdout)
    assert guest.status == host.status


def test_gdb_attaches_to_a_fellow_guest(tools: Tools) -> None:
    """Attach, look, detach: the fellow goes on."""
    need("gdb")
    shutil.copy(built("gdb_target", "-g", "-O0"), f"{tools.data}/target")
    commands = '-p $pid -ex "print waiting" -ex "set var waiting = 0" -ex detach'
    result = tools.guest("/bin/sh", "-c", f"/data/target wait & pid=$!; {' '.join(map(repr, GDB[:-4]))} {commands}; wait $pid; echo $?")
    assert "$1 = 1" in result.stdout
    assert "detached]" in result.stdout
    assert result.stdout.endswith("\n5\n")


def test_ltrace(tools: Tools) -> None:
    """Ltrace (breakpoints in the PLT) writes the same library calls."""
    need("ltrace")
    shutil.copy(built("gdb_target", "-g", "-O0", "-Wl,-z,lazy", "-no-pie"), f"{tools.data}/target")
    words = ["ltrace", "-o", "/data/calls", "/data/target"]
    guest, inside = tools.guest(*words), calls_of(tools.plain(tools.take("calls")))
    host, outside = tools.host(*words), calls_of(tools.plain(tools.take("calls")))
    assert (guest.status, guest.stdout) == (host.status, host.stdout)
    assert inside == outside
    assert any(line.startswith("fopen(") for line in inside)


def test_killed_strace_leaves_its_tracees_alone(tools: Tools) -> None:
    """kill -9 of strace: what it traced goes on untraced."""
    need("strace")
    inner = "echo up >/data/up; until test -e /data/go; do sleep 0.01; done; echo survived"
    text = (f"strace -f -o /dev/null sh -c '{inner}' & pid=$!; until test -s /data/up; do sleep 0.01; done; kill -9 $pid; wait $pid; "
            "echo $?; echo >/data/go; until test -s /data/end; do sleep 0.01; done")
    inner_end = text.replace("echo survived", "echo survived; echo >/data/end")
    result = tools.guest("/bin/sh", "-c", inner_end)
    assert (result.status, result.stdout) == (0, "137\nsurvived\n")


def test_killed_pyroot_leaves_neither_strace_nor_tracees(tools: Tools, pyroot_words: list[str]) -> None:
    """kill -9 of pyroot ends tracers and tracees."""
    need("strace")
    mark = f"pyroot-ptrace-{os.getpid()}"
    command = ["strace", "-f", "-o", "/dev/null", "/bin/sh", "-c", "echo ready; while :; do sleep 0.01; done"]
    words = [*pyroot_words, *tools.options(), *command]
    process = helpers.start(words, environment={**environment_of_pyroot(), "PATH": "/usr/bin:/bin", "MARK": mark})
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        process.communicate(timeout=20)
        helpers.wait_until(lambda: not helpers.marked(mark), 10, "tracer and tracees are gone")
    finally:
        for pid in helpers.marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


# --- pyroot inside pyroot, the inner one a tracer (tests/test_handover.py has the others) ------------------------------------

INNER_TRACES = {"PATH": "/usr/bin:/bin", "PYROOT_NO_HANDOVER": "1"}


def nested_words(words: list[str], depth: int) -> list[str]:
    """Return the words of ``depth`` pyroots that show the host's root to each other."""
    return [word for _ in range(depth) for word in (*words, "-r", "/", "-w", "/")]


@pytest.mark.parametrize("depth", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("command", "status"), [
    ("exit 7", 7), ("kill -TERM $$", 128 + 15), ("(exit 4); echo $?", 0), ("cat /marker; echo x > /tmp/x; cat /tmp/x; ls /tmp", 0),
    ("exec 2>&-; for i in 1 2 3 4 5; do (echo $i) & done | sort; wait", 0), ("cd /place && pwd; readlink /proc/self/exe", 0),
    ("ls -d /no /marker; echo $?", 0)])
def test_pyroot_inside_pyroot(
    pyroot_words: list[str], busybox_root: str, depth: int, command: str, status: int
) -> None:
    """The innermost guest sees the innermost root, and its status comes out."""
    os.makedirs(f"{busybox_root}/place", exist_ok=True)
    script(f"{busybox_root}/marker", "marker\n", 0o644)
    environment = {**environment_of_pyroot(), **INNER_TRACES}
    inner = [*guest_words(pyroot_words, busybox_root), "/bin/sh", "-c", command]
    single = helpers.run(inner, environment=environment)
    nested = helpers.run([*nested_words(pyroot_words, depth), *inner], environment=environment)
    assert single.status == status
    assert nested == single


def test_strace_inside_pyroot_inside_pyroot(tools: Tools, pyroot_words: list[str]) -> None:
    """The two kinds of tracer at once."""
    need("strace")
    words = [*nested_words(pyroot_words, 1), *pyroot_words, *tools.options(), "strace", "-e", "trace=openat", "/bin/cat", "/data/text"]
    result = helpers.run(words, environment={**environment_of_pyroot(), **INNER_TRACES})
    assert (result.status, result.stdout) == (0, "some text\n")
    assert 'openat(AT_FDCWD, "/data/text", O_RDONLY) = 3' in result.stderr


def test_killed_inner_pyroot_leaves_nothing(pyroot_words: list[str], tools: Tools) -> None:
    """kill -9 of the inner pyroot ends its guests (PTRACE_O_EXITKILL), not those of the outer one."""
    inner = " ".join(map(repr, [*pyroot_words, *tools.options(), "/bin/sh", "-c", "echo up >/data/up; while :; do sleep 0.01; done"]))
    text = (f"{inner} & pid=$!; until test -s {tools.data}/up; do sleep 0.01; done; kids=$(pgrep -P $pid); kill -9 $pid; wait $pid; "
            "echo $?; for kid in $kids; do while kill -0 $kid 2>/dev/null; do sleep 0.01; done; echo gone; done")
    environment = {**environment_of_pyroot(), **INNER_TRACES}
    result = helpers.run([*nested_words(pyroot_words, 1), "/bin/sh", "-c", text], environment=environment)
    assert (result.status, result.stdout) == (0, "137\ngone\n")


@pytest.mark.root
def test_filters_are_no_business_of_root_s_tracers(run_pyroot: Callable[..., Result]) -> None:
    """PTRACE_SECCOMP_GET_FILTER and PTRACE_O_SUSPEND_SECCOMP: the filter is pyroot's."""
    code = """import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
child = os.fork()
if child == 0:
    libc.ptrace(0, 0, 0, 0)
    os.kill(os.getpid(), 19)
os.waitpid(child, 0)
for request, data in ((0x420C, 0), (0x4200, 1 << 21)):
    print(libc.ptrace(request, child, 0, ctypes.c_void_p(data)), ctypes.get_errno())
os.kill(child, 9)"""
    words = ["-r", "/", "-w", "/", helpers.ordinary_python()[0], "-IS", "-c", code]
    assert run_pyroot(words, prepare=lambda: None) == Result(0, "-1 13\n-1 1\n", "")


# --- many -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.stress
def test_strace_of_a_thousand_forks(tools: Tools) -> None:
    """No stop and no death is lost."""
    need("strace")
    text = "i=0; while [ $i -lt 1000 ]; do /bin/true & i=$((i+1)); [ $((i%50)) = 0 ] && wait; done; wait; echo done"
    result = tools.guest("strace", "-f", "-o", "/data/trace", "/bin/sh", "-c", text)
    assert (result.status, result.stdout) == (0, "done\n")
    assert tools.take("trace").count("exited with 0") == 1001


@pytest.mark.stress
def test_strace_of_a_parallel_make(tools: Tools) -> None:
    """Make -j2 with a compiler below it."""
    need("strace", "make", "gcc")
    rule = "o%.o: src.c\n\tgcc -DN=$* -c -o $@ src.c\n"
    script(f"{tools.data}/Makefile", "all: $(patsubst %,o%.o,1 2 3 4 5 6 7 8)\n\t@echo linked $(words $^)\n" + rule, 0o644)
    script(f"{tools.data}/src.c", "int f(void) { return N; }\n", 0o644)
    result = tools.guest("strace", "-f", "-o", "/data/trace", "make", "-j2")
    assert result.status == 0
    assert result.stdout.endswith("linked 8\n")
    assert tools.take("trace").count("+++ exited with 0 +++") >= 25


@pytest.mark.stress
@pytest.mark.timeout(300)
def test_scenarios_again_and_again(tracer_root: str, run_pyroot: Callable[..., Result]) -> None:
    """Nothing depends on who is faster."""
    for scenario in (*STOPS, *WAITS):
        first = run_pyroot([*probe_words(tracer_root), "/ptrace", scenario], environment=ENVIRONMENT)
        for _ in range(20):
            assert run_pyroot([*probe_words(tracer_root), "/ptrace", scenario], environment=ENVIRONMENT) == first


@pytest.mark.fuzz
@pytest.mark.timeout(900)
def test_random_requests(tracer_root: str, run_pyroot: Callable[..., Result]) -> None:
    """Whatever a tracer asks for, pyroot lives on and ends with its guests."""
    first = int(os.environ.get("PYROOT_SEED", "1"))
    for seed in range(first, first + 20):
        result = run_pyroot(["--kill-on-exit", *probe_words(tracer_root), "/fuzz", str(seed)], environment=ENVIRONMENT)
        assert (result.status, result.stdout, result.stderr) == (0, "done\n", ""), f"seed {seed}"
