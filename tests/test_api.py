"""The Python API: subprocess's shape, every option of a run, errors that help, nothing left behind."""

from __future__ import annotations

import inspect
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import pyroot
from pyroot import api, binds, caller, environment
from tests.helpers import marked, wait_until

pytestmark = pytest.mark.not_root

ECHO = ["/bin/sh", "-c", "echo out; echo err >&2"]


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for commands where an ordinary user may look."""
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")


# --- the table of parameters


def test_every_parameter_of_subprocess_is_in_the_table() -> None:
    known = set(inspect.signature(subprocess.Popen).parameters)
    assert known <= set(api.PARAMETERS)
    assert set(api.PARAMETERS) - known <= {"process_group"}


@pytest.mark.parametrize("name", [name for name, one in api.PARAMETERS.items() if one.meaning == api.REFUSED])
def test_refused_parameter_raises_with_what_to_use_instead(name: str) -> None:
    value: Any = {"preexec_fn": os.getpid, "shell": True, "creationflags": 1, "extra_groups": [1]}.get(name, "x")
    with pytest.raises(ValueError, match=name) as error:
        pyroot.Popen(["true"], **{name: value})
    assert str(error.value).endswith(api.PARAMETERS[name].about)
    nothing: Any = {"shell": False, "creationflags": 0}.get(name)
    assert pyroot.run(["true"], **{name: nothing}).returncode == 0


# What each parameter that is the same does, seen by the command: keywords and what it prints.
SEEN: dict[str, tuple[dict[str, Any], list[str], Any]] = {
    "bufsize": ({"bufsize": 0}, ["echo", "x"], b"x\n"),
    "stdin": ({"stdin": subprocess.DEVNULL}, ["cat"], b""),
    "stdout": ({}, ["echo", "x"], b"x\n"),
    "stderr": ({"stderr": subprocess.STDOUT}, ECHO, b"out\nerr\n"),
    "close_fds": ({}, ["/bin/sh", "-c", "ls /proc/$$/fd | wc -l"], b"3\n"),
    "env": ({"env": {"A": "b", "LD_X": "c", "PATH": "/usr/bin:/bin", "PWD": "/"}}, ["env"], b"A=b\nLD_X=c\nPATH=/usr/bin:/bin\nPWD=/\n"),
    "universal_newlines": ({"universal_newlines": True}, ["echo", "x"], "x\n"),
    "restore_signals": ({"restore_signals": False}, ["grep", "SigIgn", "/proc/self/status"], None),
    "start_new_session": ({"start_new_session": True}, ["sh", "-c", "ps -o sid= -p $$"], None),
    "pass_fds": ({}, [], b""),
    "encoding": ({"encoding": "latin-1"}, ["printf", "\\344"], "ä"),
    "errors": ({"encoding": "ascii", "errors": "replace"}, ["printf", "\\344"], "\ufffd"),
    "text": ({"text": True}, ["echo", "x"], "x\n"),
    "umask": ({"umask": 0o27}, ["sh", "-c", "umask"], b"0027\n"),
    "pipesize": ({"pipesize": 4096}, ["echo", "x"], b"x\n"),
    "process_group": ({"process_group": 0}, ["sh", "-c", "ps -o pgid= -p $$"], None),
}


PIPE_AND_SIZE = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1


@pytest.mark.parametrize("name", [name for name, one in api.PARAMETERS.items() if one.meaning == api.SAME])
def test_parameter_that_is_the_same(name: str) -> None:
    if name == "process_group" and sys.version_info < (3, 11):
        pytest.skip("from Python 3.11 on")
    keywords, args, expected = SEEN[name]
    if name == "pass_fds":
        read, write = os.pipe()
        args = ["sh", "-c", f"echo x >/proc/self/fd/{write}"]
        pyroot.run(args, pass_fds=[write], check=True)
        os.close(write)
        with os.fdopen(read, "rb") as file:
            assert file.read() == b"x\n"
        return
    done = pyroot.run(args, cwd="/", stdout=subprocess.PIPE, **keywords)
    native = subprocess.run(args, cwd="/", stdout=subprocess.PIPE, check=False, **keywords)
    assert done.returncode == native.returncode == 0
    if name == "restore_signals":
        # (Python's own two, and what a shell makes its background jobs ignore)
        assert done.stdout == native.stdout
        assert int(done.stdout.split()[1], 16) & PIPE_AND_SIZE == PIPE_AND_SIZE
    elif expected is None:  # a number that is another one each time, and not this process's
        ours = os.getsid(0) if "session" in name else os.getpgid(0)
        assert int(done.stdout) != ours
    else:
        assert done.stdout == expected
        if name != "close_fds":
            assert native.stdout == expected
    assert done.args == args


@pytest.mark.parametrize("name", [name for name, one in api.PARAMETERS.items() if one.meaning == api.GUEST])
def test_parameter_with_the_guests_meaning(name: str, tmp_path: Path) -> None:
    if name == "args":
        with pytest.raises(TypeError, match="sequence"):
            pyroot.run("true")  # type: ignore[arg-type]
        return
    if name == "user":
        assert pyroot.run(["id", "-u"], user="12:34", capture_output=True, check=True).stdout == b"12\n"
        return
    (tmp_path / "deep").mkdir()
    done = pyroot.run(["pwd"], binds=[(tmp_path, "/shown")], cwd="/shown/deep", capture_output=True, check=True)
    assert done.stdout == b"/shown/deep\n"


def test_inheritable_descriptors_are_passed_without_close_fds() -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    pyroot.run(["sh", "-c", f"echo x >/proc/self/fd/{write}"], close_fds=False, check=True)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        assert file.read() == b"x\n"


def test_every_option_is_a_keyword() -> None:
    from pyroot import options

    reached = {api.KEYWORDS[name] for name in api.KEYWORDS}
    assert {row for row in options.OPTIONS if row.field not in ("help", "version")} <= reached
    assert {"ro_bind", "bind_try", "tmpfs"} <= set(api.KEYWORDS)


# --- bindings


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["/a", "/a:/b:ro"], ["/a", "/a:/b:ro"]),
        ([Path("/a:b")], ["/a\\:b"]),
        ([("/a", "/b"), ("/c!", Path("/d\\"), "ro,try")], ["/a:/b", "/c\\!:/d\\\\:ro,try"]),
        ({"/a": "/b", Path("/c"): ("/d", "ro")}, ["/a:/b", "/c:/d:ro"]),
        ([pyroot.Binding("/a"), pyroot.Binding("/a", readonly=True)], ["/a", "/a::ro"]),
        ([pyroot.Binding("@x", "/b", readonly=True, optional=True, follow=False)], ["./@x:/b:ro,try,nofollow"]),
        ((), []),
    ],
)
def test_bindings_are_strings_tuples_mappings_and_bindings(value: Any, expected: list[str]) -> None:
    assert binds.words(value) == expected


@pytest.mark.parametrize("value", ["/a:/b", [("/a",)], [3], 3, Path("/a")])
def test_what_is_no_list_of_bindings_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="binding"):
        binds.words(value)


def test_names_of_any_kind_are_bound(tmp_path: Path) -> None:
    for name in ("a:b", "c!", "d\\", "e\\:f", "\u00e4 \n"):
        (tmp_path / name).write_text(name)
        done = pyroot.run(["cat", f"/tmp/{name}"], binds=[(tmp_path / name, f"/tmp/{name}")], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == (name, "")


def test_read_only_binding_and_tmpfs(tmp_path: Path) -> None:
    done = pyroot.run(
        ["sh", "-c", "echo x >/mnt/a; echo y >/media/b && cat /media/b"],
        binds=[pyroot.Binding(tmp_path, "/mnt", readonly=True)], tmpfs=["/media"], capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "y\n"
    assert "Read-only file system" in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- starts that fail, and how a command ended


def test_start_that_fails_raises_with_a_hint(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("x")
    for args, code, keywords in (
        (["no-such-program"], 127, {}),
        ([str(plain)], 126, {}),
        (["true"], 125, {"rootfs": tmp_path / "none"}),
        (["true"], 125, {"binds": ["/none-at-all:/x"]}),
        (["true"], 125, {"cwd": "/none"}),
    ):
        with pytest.raises(pyroot.PyrootError) as error:
            pyroot.run(args, capture_output=True, **keywords)  # type: ignore[arg-type]
        assert error.value.exit_code == code
        assert error.value.message
        assert error.value.hint
        done = pyroot.run(args, capture_output=True, text=True, exit_codes=True, **keywords)  # type: ignore[arg-type]
        assert done.returncode == code
        assert error.value.message in done.stderr


def test_popen_raises_before_it_returns() -> None:
    with pytest.raises(pyroot.PyrootError, match="no-such-program"):
        pyroot.Popen(["no-such-program"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(pyroot.PyrootError("a", "b", 126)))
    assert (error.message, error.hint, error.exit_code) == ("a", "b", 126)


def test_called_process_error_shows_the_guests_command() -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        pyroot.run(["sh", "-c", "exit 3"], check=True)
    assert error.value.cmd == ["sh", "-c", "exit 3"]
    assert "['sh', '-c', 'exit 3']" in str(error.value)


def test_missing_library_is_an_exit_of_the_command_and_not_a_failed_start(tmp_path: Path) -> None:
    done = pyroot.run(["sh", "-c", "exit 127"], capture_output=True)
    assert (done.returncode, done.stderr) == (127, b"")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV, signal.SIGUSR1, signal.SIGPIPE, 40])
def test_return_code_of_a_signal_is_that_of_subprocess(number: int) -> None:
    args = ["sh", "-c", f"kill -{int(number)} $$"]
    assert pyroot.run(args).returncode == subprocess.run(args, check=False).returncode == -number
    assert pyroot.run(args, exit_codes=True).returncode == 128 + number


def test_exit_codes_of_all_kinds() -> None:
    for code in (0, 1, 125, 126, 127, 128, 137, 255):
        assert pyroot.run(["sh", "-c", f"exit {code}"]).returncode == code


def test_input_and_text() -> None:
    assert pyroot.run(["cat"], input=b"x" * 300000, capture_output=True).stdout == b"x" * 300000
    assert pyroot.run(["cat"], input="\u00e4", capture_output=True, encoding="utf-8").stdout == "\u00e4"
    for keywords in ({"input": "x", "stdin": 0}, {"capture_output": True, "stdout": 1}):
        with pytest.raises(ValueError, match="may not"):
            pyroot.run(["cat"], **keywords)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no_such"):
        pyroot.run(["cat"], no_such=1)  # type: ignore[call-arg]


def test_environment_for_the_guest_does_not_reach_the_supervisor(tmp_path: Path) -> None:
    (tmp_path / "python").mkdir()
    given = {"LD_PRELOAD": "/none.so", "LD_LIBRARY_PATH": "/none", "PYTHONHOME": "/none", "GLIBC_TUNABLES": "x", "PATH": "/usr/bin:/bin"}
    done = pyroot.run(["env"], env=given, capture_output=True, text=True, cwd="/", check=True)
    assert sorted(done.stdout.split()) == sorted([*(f"{name}={value}" for name, value in given.items()), "PWD=/"])
    assert environment.hidden({"LD_A": "b", b"C": "d"}) == {b"\x0cD_A": b"b", b"C": b"d"}


# --- nothing is left


def test_time_out_leaves_no_orphan() -> None:
    mark = f"orphan-{os.getpid()}-timeout"
    with pytest.raises(subprocess.TimeoutExpired) as error:
        pyroot.run(["sh", "-c", "(trap '' TERM HUP; sleep 1000) & sleep 1000"], env={**os.environ, "MARK": mark}, timeout=1)
    assert error.value.cmd[0] == "sh"
    wait_until(lambda: not marked(mark), what="all processes of the guest have ended")


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_killed_run_leaves_no_orphan(how: str) -> None:
    mark = f"orphan-{os.getpid()}-{how}"
    with pyroot.Popen(["sh", "-c", "sleep 1000 & echo ready; exec sleep 1000"], env={**os.environ, "MARK": mark}, kill_on_exit=True,
                      stdout=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert process.args == ["sh", "-c", "sleep 1000 & echo ready; exec sleep 1000"]
        getattr(process, how)()
        assert process.wait(60) == (-signal.SIGKILL if how == "kill" else -signal.SIGTERM)
    wait_until(lambda: not marked(mark), what="all processes of the guest have ended")


INTERRUPTED = """
import os, pyroot
try:
    pyroot.run(["sh", "-c", "trap '' INT; echo ready; sleep 1000 & wait; wait; sleep 1000"])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_interrupt_leaves_no_orphan() -> None:
    mark = f"orphan-{os.getpid()}-interrupt"
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, env={**os.environ, "MARK": mark}, cwd="/",
                               start_new_session=True)  # fmt: skip
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.read() == b"interrupted\n"
    process.wait(60)
    wait_until(lambda: not marked(mark), what="all processes of the guest have ended")


def state() -> tuple[set[str], list[int]]:
    children = [int(word) for word in Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()]
    return set(os.listdir("/proc/self/fd")), children


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.parametrize("count", [pytest.param(50), pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_runs_leak_nothing(count: int) -> None:
    for _ in range(20):
        pyroot.run(["true"], check=True)
    before, pages = state(), memory()
    for number in range(count):
        if number % 10:
            pyroot.run(["true"], check=True)
        else:
            with pytest.raises(pyroot.PyrootError):
                pyroot.run(["no-such-program"])
    assert state() == before
    assert memory() - pages < 256, "pages"


# --- types


def test_types_are_what_mypy_reads(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    good = tmp_path / "good.py"
    good.write_text(
        "import pyroot\n"
        "done = pyroot.run(['ls'], rootfs='/x', binds={'/a': ('/b', 'ro')}, user='me', timeout=3.0, check=True)\n"
        "pyroot.Popen(['ls'], binds=[pyroot.Binding('/a'), ('/a', '/b')], stdout=1).wait()\n"
        "async def go() -> int:\n    return await (await pyroot.create_subprocess_exec('ls', rootfs='/x')).wait()\n"
        "root = pyroot.Rootfs('/x', recommended=True)\n"
        "names: list[str] = [one.code for one in root.doctor('sh')]\n"
        "with root.overlay() as view:\n    view.run(['ls'], check=True)\n"
    )
    bad = tmp_path / "bad.py"
    bad.write_text("import pyroot\npyroot.run(['ls'], rootfz='/x')\npyroot.run(['ls'], shell=True)\npyroot.run(['ls'], binds=3)\n")
    words = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path / "cache")]
    found = subprocess.run([*words, str(good)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (found.returncode, found.stdout) == (0, ""), found.stdout + found.stderr
    found = subprocess.run([*words, str(bad)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert [line.split(":")[1] for line in found.stdout.splitlines() if ": error:" in line] == ["2", "3", "4"], found.stdout


def test_pipe_has_no_number_of_a_standard_stream() -> None:
    script = "import os; os.close(0); os.close(1)\nfrom pyroot.caller import Pipe\np = Pipe()\nassert min(p.read, *p.given) > 2"
    assert subprocess.run([sys.executable, "-c", script], cwd="/", check=False).returncode == 0
    assert caller.WORD.startswith("--")
