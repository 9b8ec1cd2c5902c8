"""What a filter around pyroot refuses, or an old kernel lacks: every answer is the kernel's, or pyroot says one clear line and 125.

Never does anything reach past the root, never is a guest killed without a word, never is there a traceback or a hang. A cell of the
matrix (``refusals``) is one run that makes calls of every kind (``refused_runs``); the sweep over all calls in every way is slow.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyroot.doctor import calls
from pyroot.syscalls.numbers_x86_64 import NUMBERS
from tests import helpers, profiles, refused_runs
from tests.oracle.build import BuildError
from tests.refusals import CALLS, FATAL, KERNELS, KNOWN, MUTE, OPERATIONS, REQUESTS, Cell, cells, every_cell, numbered, of_interpreter
from tests.refused_runs import CLEAR, ENVIRONMENT, RIGHT, WAYS, Ground, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(helpers.PROJECT) / "pyroot"
#: Of what pyroot has another way for: these run as ENOSYS, too, and in the other ways.
ALSO = ("process_vm_readv", "memory", "openat2", "readlinkat", "every change of rights", "every descriptor of a process", *KERNELS)
#: Where calls stop without the gate, or without a filter: what differs there is memory and the number of the call.
OTHER_WAYS = ("memory", "openat2", "Linux 4.9")


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """Make the place that the cells run in."""
    try:
        with refused_runs.ground() as made:
            yield made
    except BuildError as error:
        pytest.skip(str(error))


def known_of(cell: str, way: str) -> tuple[str, ...]:
    """Return how the lines begin that may differ in a cell; where pyroot has no filter of its own guests have none."""
    return (KNOWN[cell][0] if cell in KNOWN else ()) + (KNOWN["every filter"][0] if way == "no-seccomp" else ())


def check(ground: Ground, words: list[str], cell: Cell, way: str = "gate") -> str:
    """Run a cell, and fail if it is wrong; return how it ended."""
    if of_interpreter(cell.name) and not refused_runs.is_installed(words):
        pytest.skip("only the installed command looks at what its interpreter needs")
    found = refused_runs.judge(ground, cell.rules(), way, words, known_of(cell.name, way), cell.name in MUTE, cell.name in FATAL)
    assert found.verdict in (RIGHT, CLEAR), f"{cell}, {way}: {found.why}\n{found.message}\n" + "\n".join(found.lines[:40])
    return found.verdict


@pytest.mark.parametrize("cell", cells("EPERM"), ids=str)
def test_what_is_refused_is_told_or_mended(ground: Ground, pyroot_words: list[str], cell: Cell) -> None:
    check(ground, pyroot_words, cell)


@pytest.mark.parametrize("cell", [cell for cell in cells("ENOSYS") if cell.name in ALSO], ids=str)
def test_what_has_another_way_is_right(ground: Ground, pyroot_words: list[str], cell: Cell) -> None:
    assert check(ground, pyroot_words, cell) == RIGHT


@pytest.mark.parametrize("way", [way for way in WAYS if way != "gate"])
@pytest.mark.parametrize("cell", [cell for cell in cells("ENOSYS") if cell.name in OTHER_WAYS], ids=str)
def test_calls_that_all_stop_are_right_as_well(ground: Ground, pyroot_words: list[str], cell: Cell, way: str) -> None:
    assert check(ground, pyroot_words, cell, way) == RIGHT


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", ["EPERM", "ENOSYS"])
def test_every_call_of_linux_refused_in_every_way(ground: Ground, pyroot_words: list[str], error: str, way: str) -> None:
    """Each call of x86_64 and i386 alone, and the conditions: all of them, whatever pyroot makes of them today."""
    wrong = []
    for cell in every_cell(error):
        if of_interpreter(cell.name) and not refused_runs.is_installed(pyroot_words):
            continue
        found = refused_runs.judge(ground, cell.rules(), way, pyroot_words, known_of(cell.name, way), cell.name in MUTE, cell.name in FATAL)
        if found.verdict not in (RIGHT, CLEAR):
            wrong.append(f"{cell}: {found.why} {found.lines[:6]} {found.message}")
    assert not wrong, "\n".join(wrong)


# -- what is no call of a guest --------------------------------------------------------------------------------------------------

#: What the supervisor does beside calls: options of pyroot, the word for the probe, whether it is sent SIGTERM when ready, and the end:
#: status and output (None: who is killed may have written something, or not).
SCENES: dict[str, tuple[list[str], str, bool, int, str | None]] = {
    "a signal is passed on": ([], "-signal", True, 7, "ready\ngot\n"),
    "who is left is killed": (["--kill-on-exit"], "-left", False, 3, None),
    "who is left is asked to end": ([], "-left", True, 3, "ready\n"),
    "who does not end is killed": (["--grace", "1"], "-stubborn", True, 3, "ready\n"),
    "a daemon is let go": (["--detach-daemons"], "-read", False, 0, "contents of d/f\n"),
    "a group is killed": ([], "-group", False, 128 + signal.SIGKILL, ""),
    "a place is made": (["-b", "/etc/passwd:/no/such/place"], "-read", False, 0, "contents of d/f\n"),
    "a net is there": (["--net"], "-read", False, 0, "contents of d/f\n"),
}
#: The cells in which such a scene meets a call of its own.
SCENE_CELLS = {
    "a signal is passed on": ["kill", "rt_sigqueueinfo", "every way to send", "rt_sigpending", "getpgid", "waitid"],
    "who is left is killed": ["kill", "every way to send"],
    "who is left is asked to end": ["timer_create", "every clock"],
    "who does not end is killed": ["timer_create"],
    "a daemon is let go": ["getppid", "prctl PR_SET_PDEATHSIG"],
    "a group is killed": ["getpgid", "waitid"],
    "a place is made": ["mkdir", "flock"],
    "a net is there": ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "unshare", "setpgid", "getppid"],
}


def play(ground: Ground, words: list[str], rules: list[str], scene: str) -> Run:
    """Run a scene under a filter."""
    options, word, signalled, _status, _text = SCENES[scene]
    root = f"{ground.top}/root"
    ground.make(root, "")
    command = [ground.refuse, *rules, "--", *words, *options, "-r", root, "-w", "/", "/probe", word]
    return refused_runs.run(command, {**ENVIRONMENT, **helpers.pyroot_command()[1]}, "/", when_ready=signal.SIGTERM if signalled else 0)


@pytest.mark.parametrize(("scene", "name"), [(scene, name) for scene, names in SCENE_CELLS.items() for name in names])
def test_supervisor_does_its_part_or_says_that_it_cannot(ground: Ground, pyroot_words: list[str], scene: str, name: str) -> None:
    cell = Cell(name, (name,), "EPERM") if name in CALLS else next(cell for cell in cells("EPERM") if cell.name == name)
    found = play(ground, pyroot_words, cell.rules(), scene)
    status, text = SCENES[scene][3:]
    if not refused_runs.is_clear(found, False):
        assert (found.status, found.left) == (status, 0), found
        assert text is None or found.stdout == text, found


def test_32_bit_program_whose_loader_is_not_heard_makes_no_call(ground: Ground, pyroot_words: list[str]) -> None:
    """Where the loader's report is refused, by its arguments, the program must not run on untranslated."""
    if "probe32" not in ground.programs:
        pytest.skip("gcc -m32 does not work here (Debian: gcc-multilib)")
    before = ground.witness()
    ground.make(f"{ground.top}/root", "")
    command = [ground.refuse, f"{numbered('openat')[1]},1=0:1", "--", *pyroot_words, "-r", f"{ground.top}/root", "-w", "/", "/probe32", ""]
    found = refused_runs.run(command, {**ENVIRONMENT, **helpers.pyroot_command()[1]}, "/")
    assert refused_runs.is_clear(found, False), found
    assert (found.stdout, ground.witness()) == ("", before)


@pytest.mark.parametrize("request_name", ["GET_SYSCALL_INFO", "SYSCALL", "GETEVENTMSG"])
def test_process_that_was_not_started_by_pyroot_goes_on(ground: Ground, pyroot_words: list[str], request_name: str) -> None:
    """A tracer of plain processes (trace -p) that cannot go on lets them go, rather than end them as it would its guests."""
    shell = helpers.start(["/bin/sh", "-c", 'while read line; do (echo "got $line"); done'], environment=ENVIRONMENT, stdin=subprocess.PIPE)
    try:
        cell = next(cell for cell in cells("EPERM") if cell.name == f"ptrace {request_name}")
        tracer = helpers.start([ground.refuse, *cell.rules(), "--", *pyroot_words, "trace", "-f", "-p", str(shell.pid)],
                               environment={**ENVIRONMENT, **helpers.pyroot_command()[1]})  # fmt: skip
        helpers.wait_until(lambda: shell_is_traced(shell.pid) or tracer.poll() is not None, what="attached")
        output, _ = shell.communicate(b"one\ntwo\n", timeout=30)
        _, errors = tracer.communicate(timeout=30)
        assert (output, shell.returncode, tracer.returncode) == (b"got one\ngot two\n", 0, 125), errors
        assert f"pyroot: trace: ptrace(PTRACE_{request_name}): Operation not permitted\n" in errors.decode()
    finally:
        helpers.kill_session(shell.pid)


def shell_is_traced(pid: int) -> bool:
    """Say whether a process has a tracer."""
    return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii")


# -- profiles of container engines --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capable", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["as-it-is", "SYS_PTRACE"])
@pytest.mark.parametrize("name", profiles.NAMES)
def test_profile_gives_what_the_table_says(ground: Ground, pyroot_words: list[str], name: str, capable: bool) -> None:
    row = profiles.Row.of(ground, pyroot_words, name, capable)
    assert row.text() in profiles.table_in(profiles.PAGE.read_text(encoding="utf-8")), row.text()


def test_table_has_a_row_for_each_profile() -> None:
    lines = profiles.table_in(profiles.PAGE.read_text(encoding="utf-8"))
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        f"`{name}`{' and SYS_PTRACE' if capable else ''}" for name in profiles.NAMES for capable in (False, True)
    ]


def test_profile_where_there_is_no_filter_but_the_container_s(ground: Ground, pyroot_words: list[str]) -> None:
    """What is answered at the beginning of a call passes the container's filter, which refuses the number of none."""
    found = refused_runs.judge(ground, profiles.read("docker-20.10").rules(), "no-seccomp", pyroot_words, known_of("", "no-seccomp"))
    assert found.verdict == RIGHT, found


@pytest.mark.parametrize("name", profiles.NAMES)
def test_profile_says_where_it_is_from(name: str) -> None:
    source = profiles.read(name).source
    assert "Source: github.com/" in source
    assert re.search(r"\(.*\b20\d\d\)", source)


# -- pyroot check -------------------------------------------------------------------------------------------------------------------


def checked(ground: Ground, words: list[str], rules: list[str]) -> list[dict[str, str]]:
    """Run ``pyroot check`` under a filter, and return what it finds."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", **helpers.pyroot_command()[1]}
    found = refused_runs.run([ground.refuse, *rules, "--", *words, "check", "--json"], environment, "/")
    assert found.stderr == ""
    findings: list[dict[str, str]] = json.loads(found.stdout)["findings"]
    return findings


def refusal_of(call: calls.Call) -> list[str]:
    """Give the rules that refuse a row of the checks: the call, or as much of it as the row's arguments tell."""
    place = {"fcntl": 1, "prctl": 0, "ptrace": 0, "socket": 0}.get(call.call)
    rule = call.call if place is None else f"{call.call},{place}={call.arguments[place]:#x}"
    if call.call == "mmap":
        rule = f"mmap,2={call.arguments[2]},3=1"
    return [f"{word}:1" for word in numbered(rule)]


@pytest.mark.parametrize("code", ["calls-needed", "calls-missed"])
def test_check_names_each_call_that_is_refused(ground: Ground, pyroot_words: list[str], code: str) -> None:
    rows = calls.NEEDED if code == "calls-needed" else calls.MISSED
    rules = [rule for row in rows for rule in refusal_of(row) if row.name not in ("ptrace(PTRACE_SEIZE)",)]
    found = [one for one in checked(ground, pyroot_words, rules) if one["code"] == code]
    wanted = [row for row in rows if row.name != "ptrace(PTRACE_SEIZE)"]
    assert [one["what"].partition(" gives ")[0] for one in found] == [row.name for row in wanted]
    assert all(one["fix"] and one["severity"] == row.severity for one, row in zip(found, wanted, strict=True))


def test_check_finds_nothing_where_nothing_is_refused(ground: Ground, pyroot_words: list[str]) -> None:
    found = {one["what"].partition(" gives ")[0] for one in checked(ground, pyroot_words, ["9999:1"]) if one["code"].startswith("calls-")}
    assert found <= {row.name for row in calls.MISSED if row.since}


# -- the list is whole --------------------------------------------------------------------------------------------------------------

#: What no filter can take away from the programs under it.
ELSEWHERE = {"execve", "fchownat"}  # (the second is of sessions that remember owners)


def sources() -> str:
    """Return core, loader, gate and the command that starts the interpreter."""
    paths = [*SOURCES.glob("_fast/**/*.pxi"), *SOURCES.glob("guest/*.[chS]"), Path(helpers.PROJECT) / "scripts/pyroot.c"]
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def test_every_call_that_the_sources_make_is_in_the_matrix() -> None:
    text = sources()
    named = set(re.findall(r"\bc_syscall\((?:SYS|NR)_(\w+?)_?\b", text))
    named |= set(re.findall(r"\b(?:sys[36]|syscall|pyroot_raw)\(SYS_(\w+)", text))
    assert (named & set(NUMBERS)) - set(CALLS) - ELSEWHERE == set()
    assert set(re.findall(r"\bc_ptrace\((?:[^()]*\b)?PTRACE_(\w+?)_?\b", text)) - set(REQUESTS) == set()
    assert set(re.findall(r"\b(?:c_)?prctl\((PR_\w+)", text)) - set(OPERATIONS) == set()


TRACING = """import os, re, subprocess, sys
sys.path.insert(0, sys.argv[1])
from tests import helpers
from tests.oracle import sides
sides.private_mounts()
sides.mount("none", "/sys/kernel", "tracefs", 0)
mine = "/sys/kernel/instances/pyroot-%d" % os.getpid()
os.mkdir(mine)
try:
    for name, text in (("options/event-fork", "1"), ("set_event_pid", str(os.getpid())), ("events/raw_syscalls/sys_enter/enable", "1")):
        open(f"{mine}/{name}", "w").write(text)
    subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env={"PATH": "/bin", **helpers.pyroot_command()[1]},
                   preexec_fn=helpers.drop_to_ordinary_user, cwd="/")
    open(f"{mine}/tracing_on", "w").write("0")
    for line in open(f"{mine}/trace"):
        found = re.match(r"\\s*(.+)-\\d+\\s.*sys_enter: NR (\\d+) ", line)
        if found and found[1] != "python":
            print(found[2])
    open(f"{mine}/events/raw_syscalls/sys_enter/enable", "w").write("0")
finally:
    os.rmdir(mine)
"""


@pytest.mark.root
def test_every_call_that_a_session_makes_is_in_the_matrix(ground: Ground, pyroot_words: list[str]) -> None:
    """The kernel's tracing sees them all: those of the C library, of the interpreter, of the loader."""
    ground.make(f"{ground.top}/root", "")
    session = [*pyroot_words, "-r", f"{ground.top}/root", "-b", "/proc", "-w", "/", "/probe", "-left"]
    options = ["--kill-on-exit", "-b", "/etc/passwd:/no/such/place"]
    seen = subprocess.run([sys.executable, "-c", TRACING, helpers.PROJECT, session[0], *session[1:-2], *options, *session[-2:]],
                          capture_output=True, text=True, check=False)
    numbers = {int(number) for number in seen.stdout.split()}
    if not numbers:
        pytest.skip(f"this kernel has no tracing of system calls: {seen.stderr[-200:]}")
    names = {name for name, number in NUMBERS.items() if number in numbers}
    # (becoming the ordinary user is the test's own)
    assert names - set(CALLS) - ELSEWHERE - {"setgroups", "setgid", "setuid", "setresuid", "setresgid", "fork", "vfork", "pause"} == set()
    assert {"ptrace", "openat2", "mseal", "process_vm_readv"} & names
