"""How pyroot begins: no signal is lost or ends in a traceback, no variable and no limit of the guest keeps it from starting."""

from __future__ import annotations

import os
import re
import resource
import shlex
import signal
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import PROGRAMS, environment_of_pyroot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.helpers import Result

HOST = ["-r", "/", "-w", "/"]
PLAIN = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"}
# The command `pyroot` is a program; an interpreter that is started by hand has begun before anything of ours.
needs_command = pytest.mark.skipif(not os.environ.get("PYROOT_CMD"), reason="tests an installed command: PYROOT_CMD is not set")


def compiled(name: str, *options: str) -> str:
    try:
        return compile_program([f"{PROGRAMS}/{name}.c"], *options, name=name)
    except BuildError as error:
        pytest.skip(str(error))


# --- signals -----------------------------------------------------------------------------------------------------------------

ENDS = [(signal.SIGINT, "terminal"), (signal.SIGINT, "one"), (signal.SIGINT, "group"), (signal.SIGQUIT, "terminal"),
        (signal.SIGTERM, "one"), (signal.SIGTERM, "group"), (signal.SIGHUP, "one")]  # fmt: skip


@needs_command
@pytest.mark.parametrize(("number", "whom"), ENDS)
@pytest.mark.parametrize("step", [233, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_a_signal_at_any_moment_ends_the_start(pyroot_words: list[str], number: signal.Signals, whom: str, step: int) -> None:
    """The moment is a system call of pyroot's, from its first one to those that it makes for the command; nothing is said."""
    probe = compiled("moment_probe")
    wanted = f"signal {int(number)}" if (number, whom) == (signal.SIGINT, "terminal") else f"exit {128 + number}"
    for at in range(0, 700, step):
        result = helpers.run([probe, str(at), str(int(number)), whom, *pyroot_words, *HOST, "/bin/sleep", "30"],
                             environment={**environment_of_pyroot(), **PLAIN})
        # before its own first call nothing of pyroot has run
        assert result.stdout.strip() in (wanted, f"signal {int(number)}" if at == 0 else wanted), at
        assert (result.status, result.stderr) == (0, ""), at


@needs_command
@pytest.mark.parametrize("at", [50, 200, 300])
def test_an_interrupt_leaves_no_directory(pyroot_words: list[str], guest_directory: str, at: int) -> None:
    words = ["-b", "/etc/hostname:/no/such/place", *HOST, "/bin/sleep", "30"]
    result = helpers.run([compiled("moment_probe"), str(at), "15", "one", *pyroot_words, *words],
                         environment={**environment_of_pyroot(), **PLAIN, "PYROOT_TMP_DIR": guest_directory})
    assert (result.stdout, result.stderr) == ("exit 143\n", "")
    assert os.listdir(guest_directory) == []


@needs_command
@pytest.mark.parametrize("words", [[], ["--detach-daemons"]])
def test_ps_and_pgrep_know_it_by_its_name(run_pyroot: Callable[..., Result], words: list[str]) -> None:
    """The command's parent, which waits for it; the interpreter that the command becomes would call it python3."""
    result = run_pyroot([*words, *HOST, "/bin/sh", "-c", "cat /proc/$PPID/comm"])
    assert (result.status, result.stdout) == (0, "pyroot\n")


@needs_command
def test_a_verb_ends_by_an_interrupt_as_a_shell_expects(pyroot_words: list[str]) -> None:
    with_input = helpers.start([*pyroot_words, "trace", "-o", "/dev/null", "/bin/cat"], environment={**environment_of_pyroot(), **PLAIN},
                               stdin=subprocess.PIPE)
    helpers.wait_until(lambda: len(helpers.session_members(with_input.pid)) > 1, what="cat runs")
    with_input.send_signal(signal.SIGTERM)
    _output, errors = with_input.communicate(timeout=20)
    assert (with_input.returncode, errors) == (143, b"")


# --- environment -------------------------------------------------------------------------------------------------------------

HOSTILE = {
    "home": {"PYTHONHOME": "/nowhere"},
    "executable": {"PYTHONEXECUTABLE": "/nowhere/python", "PYTHONPLATLIBDIR": "nolib"},
    "path": {"PYTHONPATH": "@", "PYTHONSTARTUP": "@/os.py", "PYTHONINSPECT": "1", "PYTHONVERBOSE": "1"},
    "allocator": {"PYTHONMALLOC": "nonsense", "PYTHONHASHSEED": "nonsense", "PYTHONUTF8": "2"},
    "libraries": {"LD_LIBRARY_PATH": "@"},
    "tunables": {"GLIBC_TUNABLES": "glibc.malloc.check=3", "LD_BIND_NOW": "1", "MALLOC_PERTURB_": "7"},
    "locale": {"LC_ALL": "C", "LC_CTYPE": "POSIX"},
    "odd": {"PYROOT_LAUNCH": "nonsense", "A B": "=x=", "_": ""},
}


@needs_command
@pytest.mark.parametrize("name", HOSTILE)
def test_variables_of_the_guest_are_the_guest_s(run_pyroot: Callable[..., Result], guest_directory: str, name: str) -> None:
    """The guest gets them as they are and in their order; pyroot starts all the same."""
    for file in ("os.py", "errno.py", "libc.so.6", "libm.so.6", "libpthread.so.0", "libz.so.1", "libexpat.so.1"):
        with open(f"{guest_directory}/{file}", "w", encoding="ascii") as stream:
            stream.write("raise SystemExit(99)\n")
    given = {"Z": "1", **PLAIN, **{key: value.replace("@", guest_directory) for key, value in HOSTILE[name].items()}, "PWD": "/", "B": ""}
    static = compiled("environment_probe", "-static")
    result = run_pyroot([*HOST, static], environment=given)
    assert result == helpers.run([static], environment={key: value for key, value in given.items() if key != "PYROOT_LAUNCH"})


@needs_command
def test_preloaded_libraries_are_the_guest_s(run_pyroot: Callable[..., Result]) -> None:
    environment = {**PLAIN, "LD_PRELOAD": "/nowhere/lib.so"}
    result = run_pyroot([*HOST, "/bin/true"], environment=environment)
    assert result == helpers.run(["/bin/true"], environment=environment)
    assert result.stderr.count("/nowhere/lib.so") == 1, "the guest's loader alone has tried"


@needs_command
def test_an_environment_with_a_name_twice_stays_as_it_is(pyroot_words: list[str]) -> None:
    static = compiled("environment_probe", "-static")
    seen = [helpers.run([static, "twice", *words, static]).stdout for words in ([], [*pyroot_words, *HOST])]
    assert seen[0] == "A=1\0A=2\0noequals\0=\0PATH=/usr/bin:/bin\0"
    assert seen[1] == seen[0] + "PWD=/\0"


# --- limits, closed streams, odd places ----------------------------------------------------------------------------------------


@needs_command
@pytest.mark.parametrize("count", [*range(12), 16, 20])
def test_pyroot_with_hardly_any_descriptors_says_so(run_pyroot: Callable[..., Result], count: int) -> None:
    def prepare() -> None:
        helpers.drop_to_ordinary_user()
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))

    in_words_or_not_at_all(run_pyroot([*HOST, "/bin/true"], prepare=prepare), "ulimit")


@needs_command
@pytest.mark.parametrize("megabytes", [1, 10, 30, 40, 45, 50, 60, 100])
def test_pyroot_with_little_memory_says_so(run_pyroot: Callable[..., Result], megabytes: int) -> None:
    def prepare() -> None:
        helpers.drop_to_ordinary_user()
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    in_words_or_not_at_all(run_pyroot([*HOST, "/bin/true"], prepare=prepare), "ulimit")


def in_words_or_not_at_all(result: Result, hint: str) -> None:
    """It works, or it says in one line why not, and what helps in another."""
    if result.status == 0:
        assert result.stderr == ""
        return
    assert result.status == 125
    assert re.fullmatch(rf"pyroot: .+\n  hint: .*{hint}.*\n", result.stderr), result.stderr


def test_a_limit_on_processes_is_named(run_pyroot: Callable[..., Result]) -> None:
    def prepare() -> None:
        helpers.drop_to_ordinary_user()
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))

    in_words_or_not_at_all(run_pyroot([*HOST, "/bin/true"], prepare=prepare), "ulimit -u")


@pytest.mark.parametrize("words", [["-R", "."], ["-b", ".", "/bin/true"], ["new", "x"], ["copy", ".", "ls"], ["report"], ["doctor", "."],
                                   [*HOST, "/bin/true"]])
def test_a_working_directory_that_is_gone(run_pyroot: Callable[..., Result], guest_directory: str, words: list[str]) -> None:
    os.mkdir(f"{guest_directory}/gone", 0o777)
    os.chmod(f"{guest_directory}/gone", 0o777)

    def prepare() -> None:
        helpers.drop_to_ordinary_user()
        os.chdir(f"{guest_directory}/gone")
        os.rmdir(f"{guest_directory}/gone")

    in_words_or_not_at_all(run_pyroot(words, prepare=prepare), "")


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]])
def test_closed_streams_stay_closed(run_pyroot: Callable[..., Result], guest_directory: str, closed: list[int]) -> None:
    """Nothing of pyroot's is found in their place, and nothing that pyroot says is written into something of its own."""
    os.chmod(guest_directory, 0o777)
    script = f"for n in 0 1 2; do [ -e /proc/self/fd/$n ] && echo $n; done >{shlex.quote(guest_directory)}/seen; exit 0"

    def prepare() -> None:
        helpers.drop_to_ordinary_user()
        for number in closed:
            os.close(number)

    seen = []
    for words in ([], HOST, [*HOST, "-v", "1"]):
        command = [*words, "/bin/sh", "-c", script]
        assert (run_pyroot if words else helpers.run)(command, prepare=prepare).status == 0
        with open(f"{guest_directory}/seen", encoding="ascii") as file:
            seen.append(file.read())
        os.unlink(f"{guest_directory}/seen")
    assert seen[1:] == seen[:1] * 2
    assert run_pyroot(["-r", "/nowhere", "ls"], prepare=prepare).status == 125


@pytest.mark.parametrize("mask", [0o777, 0o177, 0o277, 0o333, 0o022])
def test_a_umask_is_the_command_s(run_pyroot: Callable[..., Result], guest_directory: str, mask: int) -> None:
    """What pyroot makes for itself has the modes that it needs, and is gone afterwards."""

    def prepare() -> None:
        helpers.drop_to_ordinary_user()
        os.umask(mask)

    environment = {**PLAIN, "PYROOT_TMP_DIR": guest_directory}
    words = ["-b", "/etc/passwd:/no/such/place", "-b", "/etc:/no/other/place", *HOST]
    script = "umask; cat /no/such/place >/dev/null && cat /no/other/place/passwd >/dev/null && ls /no"
    result = run_pyroot([*words, "/bin/sh", "-c", script], prepare=prepare, environment=environment)
    assert result == helpers.Result(0, f"{mask:04o}\nother\nsuch\n", "")
    assert run_pyroot([*words, "/nowhere"], prepare=prepare, environment=environment).status == 127
    assert os.listdir(guest_directory) == []


def test_what_a_killed_session_left_without_a_mode_is_removed(run_pyroot: Callable[..., Result], guest_directory: str) -> None:
    left = f"{guest_directory}/pyroot-glue-{helpers.ordinary_user.uid}-4194303-0"
    os.mkdir(left)
    os.chmod(left, 0)
    if os.geteuid() == 0:
        os.chown(left, helpers.NOBODY, helpers.NOBODY)
    words = ["-b", "/etc/passwd:/no/such/place", *HOST, "/bin/true"]
    assert run_pyroot(words, environment={**PLAIN, "PYROOT_TMP_DIR": guest_directory}).status == 0
    assert os.listdir(guest_directory) == []


# --- programs that the kernel gives up behind the point of no return -------------------------------------------------------------


def malformed(original: bytes, what: str) -> bytes:
    """Change the first PT_LOAD of an ELF file."""
    content = bytearray(original)
    wide = content[4] == 2
    size, word = (56, "<Q") if wide else (32, "<I")
    [start] = struct.unpack_from(word, content, 32 if wide else 28)
    count = struct.unpack_from("<H", content, 56 if wide else 44)[0]
    fields = dict(zip(("offset", "address", "in file", "in memory"), (8, 16, 32, 40) if wide else (4, 8, 16, 20), strict=True))
    loads = [start + i * size for i in range(count) if struct.unpack_from("<I", content, start + i * size)[0] == 1]

    def put(load: int, name: str, value: int) -> None:
        struct.pack_into(word, content, loads[load] + fields[name], value)

    if what == "address above all":
        put(0, "address", 0x7FFFFFFFF000 if wide else 0xFFFFE000)
    elif what == "more in file than in memory":
        put(0, "in memory", struct.unpack_from(word, content, loads[0] + fields["in file"])[0] - 1)
    elif what == "size above all":
        put(-1, "in memory", 0x7FFFFFFFF000 if wide else 0xFFFFF000)
    elif what == "offset within a page":
        put(0, "offset", 8)
    elif what == "bss behind the end of the file":
        put(-1, "offset", struct.unpack_from(word, content, loads[-1] + fields["offset"])[0] + (1 << 20))
    return bytes(content)


KINDS = ["address above all", "more in file than in memory", "size above all", "offset within a page", "bss behind the end of the file"]


@pytest.mark.parametrize("options", [("-static",), ("-static-pie",), ("-pie",), ("-no-pie",), ("-m32", "-static"), ("-m32", "-pie")])
def test_malformed_programs_end_as_in_the_kernel(run_pyroot: Callable[..., Result], guest_directory: str, tmp_path: Path,
                                                 options: tuple[str, ...]) -> None:
    """By the same signal, and with a core where the limit allows one; or not at all, with the same error."""
    source = tmp_path / "seven.c"
    source.write_text("char room[100000] = {1}; char more[100000]; int main(void) { return 7; }\n")
    try:
        original = open(compile_program([str(source)], *options, name="seven"), "rb").read()  # noqa: SIM115
    except BuildError as error:
        pytest.skip(str(error))
    probe = compiled("exec_probe", "-static")
    os.chmod(guest_directory, 0o777)
    names = []
    for i, what in enumerate(KINDS):
        names.append(f"{guest_directory}/{i}")
        with open(names[-1], "wb") as file:
            file.write(malformed(original, what))
        os.chmod(names[-1], 0o755)
    for mode in ("run", "core"):
        text = "\n".join(names).encode() + b"\n"
        native = helpers.run([probe, mode], text=text, cwd=guest_directory)
        assert run_pyroot(["-r", "/", "-w", guest_directory, probe, mode], text=text) == native
    assert native.stdout.count(" signal 11\n") >= 3
