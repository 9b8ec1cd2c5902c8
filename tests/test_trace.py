"""`pyroot trace` says what strace says: line for line, of the same programs, with strace's options."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import helpers, strace_oracle
from tests.helpers import Result
from tests.strace_oracle import Oracle

PARTS = ("files", "names", "descriptors", "memory", "sockets", "signals", "times", "processes", "ipc")
needs_strace = pytest.mark.skipif(bool(strace_oracle.why_not()), reason=strace_oracle.why_not() or "there is one")


@pytest.fixture
def oracle(guest_directory: str, run_pyroot: Callable[..., Result]) -> Oracle:
    """Give the two sides of a comparison."""
    return Oracle(guest_directory, run_pyroot)


def names(lines: list[list[str]]) -> set[str]:
    """List the calls that occur."""
    return {match.group(1) for own in lines for line in own if (match := re.match(r"(\w+)\(", line))}


def assert_same(ours: list[list[str]], theirs: list[list[str]]) -> None:
    """Fail with the lines that differ: - strace's, + ours."""
    flat = [[f"{number} {line}" for number, own in enumerate(side) for line in own] for side in (theirs, ours)]
    if ours != theirs:
        pytest.fail("\n".join(difflib.unified_diff(*flat, lineterm="", n=0)), pytrace=False)


# -- lines ------------------------------------------------------------------------------------------------------------------


@needs_strace
@pytest.mark.parametrize("part", PARTS)
def test_lines_are_those_of_strace(part: str, oracle: Oracle) -> None:
    ours, theirs = oracle.both([], [oracle.probe("trace_calls"), part])
    assert_same(ours, theirs)


@needs_strace
@pytest.mark.parametrize("part", [part for part in PARTS if part != "ipc"])
def test_lines_of_32_bit_programs_are_those_of_strace(part: str, oracle: Oracle) -> None:
    """All but ipc(2), whose sub-calls are written as numbers."""
    ours, theirs = oracle.both([], [oracle.probe("trace_calls", "-m32"), part])
    # strace tells of the other personality
    assert_same(ours, [[line for line in own if not line.startswith("[ Process")] for own in theirs])


@needs_strace
@pytest.mark.parametrize("chosen", ["%network", "%stat,%fstat", "connect,bind,recv"])
def test_sets_have_the_calls_of_32_bit_programs(chosen: str, oracle: Oracle) -> None:
    ours, theirs = oracle.both(["-e", f"trace={chosen}"], [oracle.probe("trace_calls", "-m32"), "sockets", "files"])
    assert_same(ours, [[line for line in own if not line.startswith("[ Process")] for own in theirs])


@needs_strace
def test_more_than_sixty_calls_are_compared(oracle: Oracle) -> None:
    ours, theirs = oracle.both([], [oracle.probe("trace_calls"), *PARTS])
    assert_same(ours, theirs)
    assert len(names(theirs)) >= 150


@needs_strace
def test_processes_threads_and_deaths_are_those_of_strace(oracle: Oracle) -> None:
    ours, theirs = oracle.both([], [oracle.probe("trace_tree")])
    # the stopped one is killed at once: whether a tracer sees the stop before the kill is chance
    stop = "--- stopped by SIGSTOP ---"
    # ... and whether a thread that has ended is waited for
    assert_same(*([[line for line in own if line != stop and "FUTEX_WAIT" not in line] for own in side] for side in (ours, theirs)))
    assert any("killed by SIGSEGV" in line for own in ours for line in own)


@needs_strace
def test_exec_by_a_thread_supersedes_the_leader(oracle: Oracle) -> None:
    ours, theirs = oracle.both(["-e", "trace=execve,open"], [oracle.probe("trace_tree"), "exec"])
    assert_same(ours, theirs)
    assert any(line == "+++ superseded by execve in pid PID1 +++" for own in ours for line in own)


# -- options ----------------------------------------------------------------------------------------------------------------


@needs_strace
@pytest.mark.parametrize(
    "options",
    [
        ["-e", "trace=%file"],
        ["-e", "trace=%desc"],
        ["-e", "trace=%process"],
        ["-e", "trace=%network"],
        ["-e", "trace=%signal"],
        ["-e", "trace=%memory"],
        ["-e", "trace=%ipc"],
        ["-e", "trace=%stat,%creds,%clock"],
        ["-e", "trace=!%file,%desc,%memory"],
        ["-e", "trace=open,close,?nonesuch"],
        ["-e", "trace=/^(open|chdir)"],
        ["-e", "trace=!/a"],
        ["-e", "openat,mkdir"],
        ["-e", "trace=none"],
        ["-e", "trace=none", "-e", "signal=SIGUSR1,alrm"],
        ["-e", "signal=!USR1"],
        ["-e", "signal=none"],
        ["-e", "status=failed"],
        ["-e", "status=!failed"],
        ["-z"],
        ["-Z"],
        ["-s", "5"],
        ["-s", "100", "-e", "write,read,execve,writev"],
        ["-x"],
        ["-xx", "-e", "trace=%file,write"],
        ["-y"],
        ["-a", "20"],
        ["-P", "plain"],
    ],
    ids=" ".join,
)
def test_option_means_what_it_means_to_strace(options: list[str], oracle: Oracle) -> None:
    ours, theirs = oracle.both(options, [oracle.probe("trace_calls"), "files", "names", "descriptors", "signals", "ipc", "sockets"])
    assert_same(ours, theirs)


@pytest.mark.parametrize("inode", ["7", "4711", "23517", "123456", "4026531840"])
def test_comparison_does_not_depend_on_how_long_the_machine_has_run(inode: str) -> None:
    """Sockets and pipes are numbered from the boot on."""
    lines = [f"1 read(3<pipe:[{inode}]>, \"\", 4) = 0", f"1 close(4<UNIX-STREAM:[{inode}->{inode}]>) = 0",
             f'1 close(5<UNIX-DGRAM:[{inode},"/log"]>) = 0']  # fmt: skip
    [own] = strace_oracle.processes("\n".join(lines))
    assert own == ['read(3<pipe:[INODE]>, "", 4) = 0', "close(4<UNIX-STREAM:[INODE]>) = 0", 'close(5<UNIX-DGRAM:[INODE,"/log"]>) = 0']


@needs_strace
def test_padding_in_front_of_results_is_that_of_strace(oracle: Oracle) -> None:
    options = ["--no-follow", "-e", "trace=lseek,chmod,symlink,unlinkat,umask,fallocate"]
    command = [oracle.probe("trace_calls"), "files", "names"]
    theirs, _ended = oracle.strace(["-e", options[2]], command)
    ours, _ended = oracle.trace(options, command)
    assert ours == theirs


@needs_strace
def test_path_option_finds_descriptors_of_the_path(oracle: Oracle) -> None:
    command = [oracle.probe("trace_calls"), "files", "descriptors"]
    ours, theirs = oracle.both(["-P", f"{oracle.here}/file", "-P", "/dev/null"], command)
    assert_same(ours, theirs)
    assert {"writev", "close", "fallocate"} < names(ours)


@needs_strace
@pytest.mark.parametrize(
    "options",
    [["-c", "-S", "name"], ["-c", "-S", "calls", "-e", "trace=%file"], ["-C", "-S", "errors", "-e", "trace=chmod"]],
    ids=" ".join,
)
def test_summary_counts_what_strace_counts(options: list[str], oracle: Oracle) -> None:
    command = [oracle.probe("trace_calls"), "files", "names", "memory"]
    tables = []
    for text, _ended in (oracle.strace(["-f", *options], command), oracle.trace(options, command)):
        rows = [line.split() for line in text[text.index("% time") :].splitlines()]
        tables.append([row[3:] for row in rows])
    ours, theirs = tables
    if "calls" in options:
        # how strace orders equal ones is its own affair
        assert [row[0] for row in ours] == [row[0] for row in theirs]
        ours.sort(), theirs.sort()
    assert ours == theirs


@needs_strace
def test_ff_writes_one_file_for_each_process(oracle: Oracle) -> None:
    command = [oracle.probe("trace_tree")]
    found = []
    for side, call in (("strace", oracle.strace), ("trace", oracle.trace)):
        call(["-ff"], command)
        files = sorted(Path(oracle.directory).glob(f"{side}.out.*"), key=lambda path: int(path.suffix[1:]))
        text = "".join(f"{path.suffix[1:]} {line}\n" for path in files for line in path.read_text().splitlines())
        # (who waits for a thread that has ended makes no call, or gets EAGAIN)
        left_out = ("stopped by", "FUTEX_WAIT_BITSET")
        found.append([[line for line in own if not any(word in line for word in left_out)] for own in strace_oracle.processes(text)])
    assert_same(found[1], found[0])
    assert len(found[1]) == 6


@needs_strace
@pytest.mark.parametrize("options", [["-t"], ["-tt"], ["-ttt"], ["-r"], ["-T"], ["-i"], ["-tt", "-r"], ["-t", "-i", "-T"]], ids=" ".join)
def test_times_stand_where_strace_puts_them(options: list[str], oracle: Oracle) -> None:
    shape = re.compile(r"\d{2}:\d{2}:\d{2}|\d{10}(?=\.)|\d+\.\d{6}|\.\d{6}|[0-9a-f]{16}")
    command = [oracle.probe("trace_calls"), "names"]
    texts = []
    for text, _ended in (oracle.strace(["-e", "trace=mkdir,chmod,symlink", *options], command),
                         oracle.trace(["--no-follow", "-e", "trace=mkdir,chmod,symlink", *options], command)):
        texts.append([re.sub(r" +(?=#)", " ", shape.sub("#", line)) for line in text.splitlines() if "execve" not in line])
    assert texts[1] == texts[0]


@needs_strace
def test_yy_names_sockets_and_devices(oracle: Oracle) -> None:
    options = ["-yy", "-e", "trace=connect,socket,bind,listen,accept,ioctl"]
    ours, theirs = oracle.both(options, [oracle.probe("trace_calls"), "sockets", "descriptors"])
    assert_same(ours, theirs)


# -- what strace does not have, or cannot be compared with --------------------------------------------------------------------


Run = Callable[..., Result]


def test_json_lines_have_calls_signals_and_exits(run_pyroot: Run, guest_directory: str) -> None:
    out = f"{guest_directory}/out"
    ended = run_pyroot(["trace", "--json", "-o", out, "/bin/sh", "-c", "cat /nonexistent; kill -USR1 $$"])
    assert ended.status == 128 + 10
    records = [json.loads(line) for line in Path(out).read_text().splitlines()]
    failed = next(one for one in records if one.get("error") == "ENOENT" and '"/nonexistent"' in one["args"])
    assert failed["call"] in ("open", "openat") and failed["result"] == -1 and failed["duration"] >= 0
    assert [one["signal"] for one in records if one["type"] == "killed"] == ["SIGUSR1"]
    assert any(one["type"] == "signal" and one["signal"] == "SIGUSR1" for one in records)
    assert any(one["type"] == "attached" for one in records)
    assert any(one["type"] == "exited" and one["status"] == 1 for one in records)


def test_paths_are_the_guest_s_and_with_host_paths_the_host_s(run_pyroot: Run, guest_directory: str, busybox_root: str) -> None:
    out = f"{guest_directory}/out"
    options = ["-r", busybox_root, "-b", f"{guest_directory}:/data", "-w", "/data"]
    Path(f"{guest_directory}/file").write_text("x")
    run_pyroot(["trace", "-y", "-o", out, *options, "cat", "file", "/etc/../nonexistent"])
    text = Path(out).read_text()
    assert busybox_root not in text and guest_directory not in text
    assert re.search(r'open(at)?\((AT_FDCWD</data>, )?"file", .*\) = 3</data/file>', text)
    run_pyroot(["trace", "--host-paths", "-o", out, *options, "cat", "file", "/etc/../nonexistent"])
    text = Path(out).read_text()
    assert f'"{guest_directory}/file"' in text and f'"{busybox_root}/nonexistent"' in text


def test_command_s_status_and_output_are_its_own(run_pyroot: Run) -> None:
    ended = run_pyroot(["trace", "-e", "trace=exit_group", "/bin/sh", "-c", "echo out; exit 3"])
    assert (ended.status, ended.stdout) == (3, "out\n")
    assert ended.stderr == "exit_group(3)                           = ?\n+++ exited with 3 +++\n"


def test_children_are_told_apart_on_standard_error(run_pyroot: Run) -> None:
    ended = run_pyroot(["trace", "-e", "trace=exit_group", "/bin/sh", "-c", "/bin/true; exit 3"])
    assert re.search(r"^pyroot: process \d+ attached$", ended.stderr, re.M)
    assert re.search(r"^\[pid +\d+\] exit_group\(0\) += \?$", ended.stderr, re.M)
    assert ended.stderr.endswith("exit_group(3)                           = ?\n+++ exited with 3 +++\n")


def test_no_follow_traces_the_command_alone(run_pyroot: Run) -> None:
    ended = run_pyroot(["trace", "--no-follow", "-e", "trace=exit_group", "/bin/sh", "-c", "/bin/true; exit 3"])
    assert ended.stderr.count("exit_group") == 1
    assert "attached" not in ended.stderr


def test_output_goes_into_a_command_or_behind_what_is_there(run_pyroot: Run, guest_directory: str) -> None:
    out = f"{guest_directory}/out"
    run_pyroot(["trace", "--no-follow", "-e", "trace=none", "-o", f"|tr a-z A-Z >{shlex.quote(out)}", "/bin/true"])
    assert Path(out).read_text() == "+++ EXITED WITH 0 +++\n"
    run_pyroot(["trace", "--no-follow", "-e", "trace=none", "-A", "-o", out, "/bin/true"])
    assert Path(out).read_text() == "+++ EXITED WITH 0 +++\n+++ exited with 0 +++\n"


def test_environment_of_the_command_is_set_and_removed(run_pyroot: Run) -> None:
    words = ["trace", "-e", "trace=none", "-qq", "-E", "NEW=a b", "-E", "HOME", "/bin/sh", "-c", 'echo "$NEW/$HOME"']
    assert run_pyroot(words).stdout == "a b/\n"


def test_short_r_is_the_root_where_a_directory_follows(run_pyroot: Run, busybox_root: str) -> None:
    ended = run_pyroot(["trace", "-qq", "-e", "trace=none", "-r", busybox_root, "ls", "/"])
    assert "busybox" in run_pyroot(["-r", busybox_root, "ls", "/bin"]).stdout and ended.status == 0
    ended = run_pyroot(["trace", "-e", "trace=exit_group", "-r", "/bin/true"])
    assert re.match(r" +0\.000000 exit_group\(0\)", ended.stderr)
    ended = run_pyroot(["trace", "-r", "-e", "trace=exit_group", "--", "-r", busybox_root, "true"])
    assert re.match(r" +0\.000000 exit_group\(0\)", ended.stderr)


@pytest.mark.parametrize("word", ["rootfz", "./rootfz", "/srv/rootfz", "5", "/etc/passwd"])
def test_mistyped_root_is_not_taken_for_a_command(word: str, run_pyroot: Callable[..., Result]) -> None:
    ended = run_pyroot(["trace", "-e", "trace=none", "-r", word, "ls", "/"])
    assert ended.status == 125 and f"trace: -r {word}: neither a directory nor a command\n  hint: -r ROOT needs" in ended.stderr


def test_command_of_another_root_may_stand_behind_r(run_pyroot: Callable[..., Result], busybox_root: str) -> None:
    ended = run_pyroot(["trace", "-e", "trace=exit_group", f"--rootfs={busybox_root}", "-r", "/bin/busybox", "true"])
    assert ended.status == 0 and ended.stderr.endswith("+++ exited with 0 +++\n")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["-k", "true"], "pyroot reads no stacks"),
        (["-e", "trace=opan", "true"], "no such call or set"),
        (["-e", "trace=/(", "true"], "trace=/("),
        (["-e", "inject=open:error=ENOENT", "true"], "inject= of strace is not supported"),
        (["-e", "signal=SIGX", "true"], "no such signal"),
        (["-e", "status=good", "true"], "no such status"),
        (["-c", "-S", "size", "true"], "no such order"),
        (["-s", "many", "true"], "not a number"),
        (["-o", "/nonexistent/out", "true"], "no such file or directory"),
        (["-o"], "the value FILE is missing"),
        (["--trce=open", "true"], "unknown option"),
        (["-I", "1", "true"], "strace's option is not supported"),
        (["-v", "true"], "strace's option is not supported"),
        ([], "no command given"),
        (["nonexistent-command"], "not found in the guest's PATH"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
def test_mistake_is_one_line(words: list[str], what: str, run_pyroot: Run) -> None:
    ended = run_pyroot(["trace", *words], environment={"PATH": "/usr/bin:/bin"})
    assert ended.status in (125, 127)
    assert ended.stderr.startswith("pyroot: ") and what in ended.stderr.splitlines()[0]
    assert "Traceback" not in ended.stderr


def test_trace_without_seccomp_says_the_same(run_pyroot: Run, guest_directory: str) -> None:
    texts = []
    for switch in ("", "1"):
        out = f"{guest_directory}/out{switch}"
        environment = {"PATH": "/usr/bin:/bin", "PYROOT_NO_SECCOMP": switch}
        run_pyroot(["trace", "-o", out, "-e", "trace=%file,%process", "/bin/sh", "-c", "/bin/true"], environment=environment)
        lines = strace_oracle.processes(Path(out).read_text())
        texts.append([[line for line in own if "SIGCHLD" not in line] for own in lines])
    assert texts[0] == texts[1]
    assert len(texts[0]) == 2


def test_guest_under_a_tracer_in_the_guest_is_traced(run_pyroot: Run, guest_directory: str) -> None:
    if helpers.have("strace"):
        pytest.skip("needs strace (Debian: strace)")
    out = f"{guest_directory}/out"
    inner = ["strace", "-f", "-e", "trace=exit_group", "/bin/sh", "-c", "cat /nonexistent; exit 4"]
    ended = run_pyroot(["trace", "-o", out, "-e", "trace=%file", *inner])
    assert ended.status == 4
    assert "exit_group(4)" in ended.stderr
    assert re.search(r'"/nonexistent".* = -1 ENOENT', Path(out).read_text())


def test_call_without_a_row_is_written(run_pyroot: Run) -> None:
    pytest.importorskip("ptrace", reason="python-ptrace is not installed")
    code = "import ctypes; ctypes.CDLL(None).syscall(252, 1, 0)"
    ended = run_pyroot(["trace", "-e", "trace=ioprio_get", helpers.ordinary_user.interpreter[0], "-IS", "-c", code])
    assert re.search(r"^ioprio_get\(1, 0\) +=", ended.stderr, re.M)


def test_output_that_fails_does_not_harm_the_command(run_pyroot: Run) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    ended = run_pyroot(["trace", "-o", "/dev/full", "/bin/sh", "-c", "echo done"])
    assert ended.stdout == "done\n"
    assert "no space left on device" in ended.stderr


def test_documents_have_the_tables_of_the_program() -> None:
    document = Path(__file__).resolve().parent.parent / "docs" / "TRACE.md"
    if not document.exists():
        pytest.skip("no source tree here")
    from pyroot.trace import options
    from pyroot.trace.calls import SETS

    text = document.read_text()
    assert options.table() in text
    assert all(f"`%{name}`" in text for names in SETS.values() for name in names)


def test_help_lists_every_option_and_set(run_pyroot: Run) -> None:
    from pyroot.trace import options

    text = run_pyroot(["trace", "--help"]).stdout
    assert all(name in text for option in options.OPTIONS for name in option.names)
    assert "%network" in text and "--host-paths" in text
