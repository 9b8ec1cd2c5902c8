"""The command line from end to end: real guests, run as an ordinary user."""

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.as_user import PATH, TOP, command, environment, identity, interpreter, package, pyroot, work_directory

PROGRAMS = ["sh", "ls", "cat", "env", "pwd", "true", "false", "sleep", "readlink", "id"]


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A directory with a small root in ``root``, which no test may change."""
    with work_directory() as top:
        done = pyroot("new", top / "root", *PROGRAMS)
        assert done.returncode == 0, done.stderr
        yield top


@pytest.fixture
def work(made: Path) -> Iterator[Path]:
    """A directory of the ordinary user beside a link ``root`` to the small root."""
    with work_directory() as top:
        (top / "root").symlink_to(made / "root")
        (top / "tmp").mkdir()
        (top / "tmp").chmod(0o1777)
        yield top


@pytest.fixture
def root(made: Path) -> Path:
    return made / "root"


def own(path: Path) -> Path:
    """Give ``path`` to the ordinary user."""
    if os.geteuid() == 0:
        os.lchown(path, identity()["user"], identity()["group"])
    return path


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return own(path)


def assert_failure(done: subprocess.CompletedProcess[str], code: int, message: str, hint: str = "") -> None:
    """Check the exit code, and that standard error is one line and one hint."""
    lines = done.stderr.splitlines()
    assert done.returncode == code, done.stderr
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("pyroot: ")
    assert message in lines[0]
    assert lines[1].startswith("  hint: ")
    assert hint in lines[1]
    assert done.stdout == ""


# Exit status


@pytest.mark.parametrize("code", [0, 1, 7, 125, 255])
def test_exit_status_is_that_of_the_command(root: Path, code: int) -> None:
    done = pyroot("-r", root, "sh", "-c", f"exit {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT, signal.SIGPIPE])
def test_signal_n_gives_128_and_n(root: Path, number: int) -> None:
    done = pyroot("-r", root, "sh", "-c", f"kill -{int(number)} $$; sleep 9")
    assert (done.returncode, done.stderr) == (128 + number, "")


def test_status_of_what_is_left_behind_does_not_count(root: Path) -> None:
    assert pyroot("-r", root, "sh", "-c", "(sleep 0.3; exit 7) & exit 3").returncode == 3


def test_kill_on_exit_does_not_wait(root: Path) -> None:
    begin = time.monotonic()
    assert pyroot("--kill-on-exit", "-r", root, "sh", "-c", "sleep 50 & exit 3").returncode == 3
    assert time.monotonic() - begin < 20


def test_command_is_quiet_when_all_is_well(root: Path) -> None:
    for words in (["-r", root, "true"], ["-R", root, "true"], ["-r", root, "-b", "/proc", "true"]):
        done = pyroot(*words, cwd="/var/tmp")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@contextlib.contextmanager
def session(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Start pyroot in a session of its own and wait until its guest says that it is up."""
    process = subprocess.Popen(
        command(*words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd="/",
        start_new_session=True,
        **identity(),
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_to_pyroot_alone_reaches_the_command(root: Path, number: int) -> None:
    with session("-r", root, "sh", "-c", "echo up; exec sleep 50") as process:
        process.send_signal(number)
        assert process.wait(20) == 128 + number
    with session(
        "-r", root, "sh", "-c", f"trap 'exit 9' {int(number)}; echo up; while :; do sleep 0.1; done"
    ) as process:
        process.send_signal(number)
        assert process.wait(20) == 9


def test_command_that_survives_an_interrupt_keeps_its_status(root: Path) -> None:
    with session("-r", root, "sh", "-c", "trap 'seen=1' INT; echo up; until [ $seen ]; do sleep 0.05; done; exit 3") as process:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 3
    with session("-r", root, "sh", "-c", "trap '' INT; echo up; sleep 1; exit 4") as process:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_status_stands_whatever_arrives_after_the_end(root: Path, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    for step in range(15):
        with session("-r", root, "sh", "-c", f"trap '' {name}; echo up; exit 3") as process:
            end = time.monotonic() + step / 1000
            while time.monotonic() < end:
                pass
            os.killpg(process.pid, number)
            assert process.wait(20) == 3


# Failures: one line and a hint, never a traceback


def test_root_that_is_missing_or_a_file(work: Path) -> None:
    assert_failure(pyroot("-r", work / "nope", "ls"), 125, "no such file or directory", "pyroot new")
    (work / "file").write_text("")
    assert_failure(pyroot("-R", work / "file", "ls"), 125, "not a directory")


def test_root_that_may_not_be_entered(work: Path) -> None:
    (work / "closed").mkdir(mode=0o600)
    own(work / "closed")
    assert_failure(pyroot("-r", work / "closed", "ls"), 125, "permission denied")


def test_binding_whose_host_side_is_missing(root: Path) -> None:
    assert_failure(pyroot("-r", root, "-b", "/nope:/x", "ls"), 125, "-b /nope:/x: /nope on the host: no such file")


def test_working_directory_that_the_guest_has_not(root: Path) -> None:
    assert_failure(
        pyroot("-r", root, "-w", "/nope", "ls"), 125, "-w /nope: no such file or directory in the guest", "-b"
    )
    assert_failure(pyroot("-r", root, "--cwd=/bin/sh", "ls"), 125, "not a directory in the guest")


def test_unknown_option_and_option_of_proot() -> None:
    assert_failure(pyroot("--rotfs=x", "ls"), 125, "--rotfs=x: unknown option", "--rootfs")
    assert_failure(pyroot("-q", "ls"), 125, "is not supported")


def test_command_that_is_not_found(root: Path) -> None:
    assert_failure(pyroot("-r", root, "nope"), 127, f"nope: not found in the guest's PATH ({PATH})")
    assert_failure(pyroot("-r", root, "nope", "-b", "/x"), 127, "nope: not found", "options go before the command")
    assert_failure(pyroot("-r", root, "/bin/nope"), 127, "/bin/nope: not in the guest")
    assert_failure(pyroot("-r", root, ""), 127, "empty")


def test_command_that_cannot_be_executed(work: Path, root: Path) -> None:
    for name, data, mode in (("nox", b"", 0o644), ("empty", b"", 0o755), ("data", b"a\0b", 0o755)):
        (work / name).write_bytes(data)
        (work / name).chmod(mode)
    share = ["-r", root, "-b", f"{work}:/mnt"]
    assert_failure(pyroot(*share, "/mnt/nox"), 126, "/mnt/nox: has no x bit", "chmod")
    assert_failure(pyroot(*share, "/mnt"), 126, "/mnt: is a directory")
    assert_failure(pyroot(*share, "/mnt/empty"), 126, "/mnt/empty: is an empty file")
    assert_failure(pyroot(*share, "/mnt/data"), 126, "/mnt/data: has no format")
    assert_failure(pyroot(*share, "/mnt/nox/x"), 126, "/mnt/nox/x: not a directory")


@pytest.mark.root
def test_command_without_permission(work: Path, root: Path) -> None:
    """The file is another user's."""
    (work / "theirs").write_text("#!/bin/sh\n")
    (work / "theirs").chmod(0o744)
    done = pyroot("-r", root, "-b", f"{work}:/mnt", "/mnt/theirs")
    assert_failure(done, 126, "/mnt/theirs: you are not permitted to execute it")


def test_program_for_another_machine(work: Path, root: Path) -> None:
    data = bytearray(Path("/bin/true").read_bytes())
    data[18:20] = b"\xb7\0"
    (work / "arm").write_bytes(data)
    (work / "arm").chmod(0o755)
    done = pyroot("-r", root, "-b", f"{work}:/mnt", "/mnt/arm")
    assert_failure(done, 126, "/mnt/arm: is a 64-bit program for aarch64, this pyroot runs", "root")


def test_missing_interpreters_are_named(work: Path) -> None:
    (work / "bare/bin").mkdir(parents=True)
    shutil.copy("/bin/true", work / "bare/bin/true")
    script(work / "bare/bin/s", "#!/usr/bin/perl\n")
    assert_failure(pyroot("-r", work / "bare", "true"), 127, "/bin/true: its ELF interpreter /lib64/ld-linux", "lib")
    assert_failure(pyroot("-r", work / "bare", "s"), 127, "/bin/s: its #! interpreter /usr/bin/perl: not in the guest")


def test_names_cannot_act_on_the_terminal(root: Path) -> None:
    done = pyroot("-r", root, "a\x1b[31m\nb\udcff\u202e")
    assert_failure(done, 127, "a\\x1b[31m\\x0ab\\xff\\u202e: not found")


def test_negative_level_leaves_the_hint_out(root: Path) -> None:
    done = pyroot("-v", "-1", "-r", root, "nope")
    assert done.returncode == 127
    assert len(done.stderr.splitlines()) == 1


def test_debug_variable_shows_the_traceback() -> None:
    done = pyroot("--nope", env=environment(PYROOT_DEBUG="1"))
    assert done.returncode == 125
    assert "Traceback" in done.stderr


def test_pyroot_in_pyroot_has_a_root_of_its_own(root: Path) -> None:
    done = pyroot("-r", "/", *command("-r", root, "sh", "-c", "cd /..; pwd; exit 7"))
    assert (done.returncode, done.stdout, done.stderr) == (7, "/\n", "")


def test_missing_core_is_no_traceback(work: Path) -> None:
    shutil.copytree(package() / "pyroot", work / "p/pyroot", ignore=shutil.ignore_patterns("*.so"))
    done = subprocess.run(
        [sys.executable, "-IS", str(work / "p/pyroot/_start.py"), "true"], capture_output=True, text=True, check=False
    )
    assert_failure(done, 125, "the compiled core cannot be loaded")


def test_colour_only_on_a_terminal() -> None:
    for more, coloured in (
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ):
        reader, writer = pty.openpty()
        pyroot("--nope", capture_output=False, stderr=writer, env=environment(None, **more))
        os.close(writer)
        text = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(reader, 4096):
                text += chunk
        os.close(reader)
        assert text.startswith(b"\x1b[") is coloured, text
    assert "\x1b" not in pyroot("--nope", env=environment(TERM="xterm")).stderr


# Questions and verbs


@pytest.mark.parametrize("word", ["-h", "--help", "--usage", "-V", "--version", "--about"])
def test_questions_are_answered_on_standard_output(word: str) -> None:
    done = pyroot(word)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pyroot" in done.stdout


def test_help_into_a_closed_pipe_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = pyroot("--help", capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.stderr == ""


def test_verb_is_the_first_word_only(work: Path, root: Path) -> None:
    assert "pyroot new" in pyroot("new", "--help").stdout
    (work / "bin").mkdir()
    script(work / "bin/new", "#!/bin/sh\necho guest $*\n")
    env = environment(PATH=f"{work}/bin:{PATH}")
    assert pyroot("--", "new", "--help", env=env).stdout == "guest --help\n"
    assert pyroot("-r", "/", "new", "x", env=env).stdout == "guest x\n"


def test_module_can_be_run() -> None:
    done = pyroot("-V")
    module = [sys.executable, "-m", "pyroot", "-V"]
    assert subprocess.run(module, cwd=package(), capture_output=True, text=True, check=True).stdout == done.stdout


def test_help_that_cannot_be_written_is_no_traceback() -> None:
    with open("/dev/full", "wb") as full:
        done = pyroot("-h", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (125, "pyroot: standard output: no space left on device\n")
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command("-h")]
    done = subprocess.run(closed, capture_output=True, text=True, check=False)
    said = "pyroot: standard output: bad file descriptor\n  hint: it was closed before pyroot started\n"
    assert (done.returncode, done.stderr) == (125, said)


# Root, working directory, environment


def test_root_is_the_guest_s(root: Path) -> None:
    done = pyroot("-r", root, "ls", "/")
    assert done.stdout.split() == sorted(entry.name for entry in root.iterdir())
    assert pyroot("--rootfs", root, "ls", "/").stdout == done.stdout
    assert pyroot(f"--rootfs={root}", "ls", "/").stdout == done.stdout
    assert pyroot(f"-r{root}", "ls", "/").stdout == done.stdout
    assert pyroot("-r", "/", "--rootfs", root, "--", "ls", "/").stdout == done.stdout


def test_default_root_is_that_of_the_host() -> None:
    assert sorted(pyroot("ls", "-A", "/").stdout.split()) == sorted(os.listdir("/"))


def test_without_command_a_login_shell_starts(root: Path) -> None:
    done = pyroot("-r", root, input="echo $0; exit 5\n")
    assert (done.stdout, done.returncode) == ("-sh\n", 5)


def test_working_directory_is_ours_if_the_guest_has_it(work: Path, root: Path) -> None:
    assert pyroot("-r", root, "pwd", cwd="/usr").stdout == "/usr\n"
    done = pyroot("-r", root, "sh", "-c", "pwd; echo $PWD", cwd=work)
    assert (done.stdout, done.stderr) == ("/\n/\n", "")
    done = pyroot("-v1", "-r", root, "pwd", cwd=work)
    assert f"{work}: no such file or directory in the guest, starting in /" in done.stderr


def test_root_given_as_a_dot_starts_in_its_top(root: Path) -> None:
    done = pyroot("-r", ".", "sh", "-c", "pwd; ls", cwd=root)
    assert done.stdout.split() == ["/", *sorted(entry.name for entry in root.iterdir())]


def test_recommended_root_keeps_its_own_place(root: Path) -> None:
    assert pyroot("-R", ".", "readlink", "-f", ".", cwd=root).stdout == f"{root}\n"


def test_working_directory_may_be_chosen(work: Path, root: Path) -> None:
    assert pyroot("-r", root, "-w", "/usr/bin", "pwd").stdout == "/usr/bin\n"
    assert pyroot("-r", root, "-w", "bin", "sh", "-c", "echo $PWD", cwd="/usr").stdout == "/usr/bin\n"
    assert pyroot("-r", root, "--pwd=/", "pwd", cwd="/usr").stdout == "/\n"
    done = pyroot("-r", root, "-b", f"{work}:{work}", "readlink", "-f", ".", cwd=work)
    assert done.stdout == f"{work}\n"


def test_environment_is_passed_on_with_the_guest_s_pwd(root: Path) -> None:
    env = {"PATH": "/bin:/usr/bin", "A": "1", "B": "x=y\udcff", "PWD": "/nowhere"}
    done = pyroot("-r", root, "-w", "/usr", "env", env=env)
    assert sorted(done.stdout.splitlines()) == ["A=1", "B=x=y\udcff", "PATH=/bin:/usr/bin", "PWD=/usr"]


def test_locale_that_was_asked_for_is_kept(root: Path) -> None:
    env = {"PATH": "/bin:/usr/bin", "LC_CTYPE": "C.UTF-8"}
    assert "LC_CTYPE=C.UTF-8" in pyroot("-r", root, "env", env=env).stdout


def test_signal_dispositions_are_those_of_the_caller(root: Path) -> None:
    words = ["sh", "-c", "while read a b; do case $a in SigIgn:) echo $b;; esac; done </proc/self/status"]
    native = subprocess.run(words, capture_output=True, text=True, check=True)
    assert pyroot("-r", root, "-b", "/proc", *words).stdout == native.stdout


# Where the command is found


def test_path_is_searched_like_execvp(work: Path, root: Path) -> None:
    for name in "abcd":
        own_directory = work / name
        own_directory.mkdir()
    (work / "a/tool").mkdir()
    script(work / "b/tool", "#!/bin/sh\necho b\n", 0o644)
    script(work / "c/tool", "#!/nowhere\n")
    script(work / "d/tool", "#!/bin/sh\necho $0\n")
    share = ["-r", root, "-b", f"{work}:/mnt"]

    def search(path: str, **keywords: str) -> subprocess.CompletedProcess[str]:
        return pyroot(*share, *keywords.get("options", "").split(), "tool", env={"PATH": path})

    assert search("/nowhere:/mnt/a:/mnt/b:/mnt/c:/mnt/d").stdout == "/mnt/d/tool\n"
    assert_failure(search("/mnt/a"), 126, "/mnt/a/tool: is a directory")
    assert_failure(search("/mnt/b:/nowhere"), 126, "/mnt/b/tool: has no x bit")
    assert_failure(search("/mnt/c:/nowhere"), 127, "/mnt/c/tool: its #! interpreter /nowhere")
    assert_failure(search("/mnt/c:/mnt/b"), 126, "/mnt/b/tool: has no x bit")
    assert search("/nowhere:", options="-w /mnt/d").stdout == "tool\n"
    assert search("d", options="-w /mnt").stdout == "d/tool\n"
    assert search("/mnt/d/").stdout == "/mnt/d/tool\n"


def test_path_has_a_default(root: Path) -> None:
    assert pyroot("-r", root, "env", env={"A": "1"}).stdout.split() == ["A=1", "PWD=/"]


def test_command_with_a_slash_begins_in_the_working_directory(work: Path, root: Path) -> None:
    script(work / "s", "#!/bin/sh\necho $0 $*\n")
    assert pyroot("-r", root, "-b", f"{work}:/mnt", "-w", "/mnt", "./s", "x").stdout == "./s x\n"
    assert pyroot("-r", root, "-b", f"{work}:/mnt", "mnt/s", "y").stdout == "mnt/s y\n"
    script(work / "relative", "#!s\n")
    assert pyroot("-r", root, "-b", f"{work}:/mnt", "-w", "/mnt", "./relative", "x").stdout == "s ./relative x\n"


def test_text_without_header_goes_to_the_shell_as_in_chroot(work: Path, root: Path) -> None:
    script(work / "s", "echo $0 $*; exit 4\n")
    done = pyroot("-r", root, "-b", f"{work}:/mnt", "/mnt/s", "a", "b")
    assert (done.stdout, done.returncode, done.stderr) == ("/mnt/s a b\n", 4, "")


# Bindings


def test_bindings_appear_and_the_root_stays_as_it_was(work: Path, root: Path) -> None:
    (work / "f").write_text("host\n")
    before = sorted(str(path) for path in root.rglob("*"))
    env = environment(TMPDIR=str(work / "tmp"))
    text = "cat /a/b/c/f /new /x/f; ls /a /a/b"
    done = pyroot(
        "-r", root, "-b", f"{work}/f:/a/b/c/f", "--bind", f"{work}/f:/new", f"-m{work}:/x", "sh", "-c", text, env=env
    )
    assert (done.stdout, done.stderr) == ("host\nhost\nhost\n/a:\nb\n\n/a/b:\nc\n", "")
    assert sorted(str(path) for path in root.rglob("*")) == before
    assert list((work / "tmp").iterdir()) == []


def test_own_binding_wins_over_a_recommended_one(work: Path, root: Path) -> None:
    (work / "passwd").write_text("me\n")
    for words in (["-b", f"{work}/passwd:/etc/passwd", "-R", root], ["-R", root, "-b", f"{work}/passwd:/etc/passwd"]):
        assert pyroot(*words, "cat", "/etc/passwd").stdout == "me\n"


def test_recommended_bindings_show_the_host(work: Path, root: Path) -> None:
    (work / "mine").write_text("x\n")
    script = "cat /proc/self/comm ~/mine; test -c /dev/null && test -d /sys/kernel && echo ok"
    done = pyroot("-R", root, "sh", "-c", script, env=environment(work))
    assert (done.stdout, done.stderr) == ("cat\nx\nok\n", "")


def test_bindings_are_told_at_level_1(root: Path) -> None:
    done = pyroot("-v", "1", "-r", root, "-b", "/proc", "true")
    assert "pyroot: /proc is bound at /proc\n" in done.stderr
    assert f"pyroot: root {root}, working directory /\n" in done.stderr


def test_glue_of_a_killed_session_is_removed_by_the_next(work: Path, root: Path) -> None:
    env = environment(TMPDIR=str(work / "tmp"))
    words = command("-r", root, "-b", f"{work}:/a/b", "sh", "-c", "echo up; exec sleep 60")
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=env, cwd="/", **identity()) as session:
        assert session.stdout is not None
        assert session.stdout.readline() == b"up\n"
        live = list((work / "tmp").glob("pyroot-glue-*"))
        assert len(live) == 1
        assert pyroot("-r", root, "-b", f"{work}:/a/b", "true", env=env).returncode == 0
        assert list((work / "tmp").glob("pyroot-glue-*")) == live
        session.kill()
        session.wait()
        assert pyroot("-r", root, "-b", f"{work}:/a/b", "true", env=env).returncode == 0
        assert list((work / "tmp").iterdir()) == []


# Inherited descriptors


def test_only_directories_outside_of_the_guest_are_closed(work: Path, root: Path) -> None:
    (work / "file").write_text("inherited\n")
    outside = os.open("/var", os.O_RDONLY)
    inside = os.open(root / "usr", os.O_RDONLY)
    anywhere = os.open(work / "file", os.O_RDONLY)
    reader, writer = os.pipe()
    text = "for n in $*; do test -e /proc/self/fd/$n && echo $n; done"
    numbers = [outside, inside, anywhere, reader, writer]
    try:
        done = pyroot("-r", root, "-b", "/proc", "sh", "-c", text, "sh", *map(str, numbers), pass_fds=numbers)
        assert done.stdout.split() == [str(number) for number in numbers[1:]]
        assert done.stderr == ""
    finally:
        for number in numbers:
            os.close(number)


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_directories_as_standard_streams(work: Path, root: Path, name: str) -> None:
    """One of the guest's stays, one outside is no door: /dev/null stands there. No interpreter starts with one as its input."""
    if name == "stdin" and not os.environ.get("PYROOT_CMD"):
        pytest.skip("it is the installed command that puts it aside: PYROOT_CMD is not set")
    text = ": >/told; for n in 0 1 2; do test ! -d /proc/self/fd/$n || echo $n >>/told; done; "
    text += "test ! -e /proc/self/fd/$1/secret || echo door >>/told"
    number = ("stdin", "stdout", "stderr").index(name)
    (work / "secret").touch()
    (root / "told").touch()
    (root / "told").chmod(0o666)
    for directory, told in ((work, ""), (root / "usr", f"{number}\n")):
        given = os.open(directory, os.O_RDONLY)
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, name: given}
        done = pyroot("-r", root, "-b", "/proc", "sh", "-c", text, "sh", str(number), capture_output=False, **streams)
        os.close(given)
        assert done.returncode == 0
        assert (root / "told").read_text() == told



# From Python


def test_run_has_the_manners_of_subprocess(root: Path) -> None:
    program = (
        "import pyroot, subprocess\n"
        f"done = pyroot.run(['sh', '-c', 'echo $PWD; cat; exit 3'], rootfs={str(root)!r}, cwd='/usr',\n"
        "                  binds=['/proc'], input='x', text=True, capture_output=True)\n"
        "print(done.returncode, repr(done.stdout), repr(done.stderr), done.args[0])\n"
        f"with pyroot.Popen(['ls', '/proc/self/comm'], rootfs={str(root)!r}, recommended=True,\n"
        "                  stdout=subprocess.PIPE, text=True) as child:\n"
        "    print(repr(child.communicate()[0]), child.returncode)\n"
        "print(pyroot.PyrootError('m', 'h').hint, pyroot.__version__, 'run' in dir(pyroot))\n"
    )
    done = subprocess.run(
        [interpreter(), "-c", program], cwd=package(), capture_output=True, text=True, check=False,
        env=environment(), **identity(),
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "3 '/usr\\nx' '' sh",
        "'/proc/self/comm\\n' 0",
        "h 0.1.0 True",
    ]


def test_unknown_public_name_is_an_attribute_error() -> None:
    import pyroot as module

    with pytest.raises(AttributeError):
        module.nothing  # noqa: B018
    with pytest.raises(TypeError):
        module.run("ls")


def test_public_names_resolve() -> None:
    import pyroot as module

    assert set(module.__all__) <= set(dir(module))
    assert all(getattr(module, name) for name in module.__all__)
    assert TOP.joinpath("pyroot/__init__.py").read_text().count(f'"{module.__version__}"') == 1
