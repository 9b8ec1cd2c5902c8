"""`-o FILE` of every verb: what becomes of links, modes, devices, FIFOs and the old content."""

from __future__ import annotations

import errno
import os
import re
import resource
import shlex
import signal
import socket
import stat
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from pyroot import options, outfile
from pyroot.errors import PyrootError
from pyroot.outfile import Outfile
from tests import helpers
from tests.helpers import Result
from tests.rootfs_fixtures import give

Run = Callable[..., Result]
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/tmp"}
OLD = "old content\n" * 1000  # longer than some texts, shorter than others

#: Every verb with -o, in each of its ways to write: the words behind `-o FILE`, and what the text has in it.
WAYS = {
    "snapshot": (["snapshot"], ["root"], "pyroot snapshot 1"),
    "snapshot --json": (["snapshot", "--json"], ["root"], '"entries"'),
    "checklist": (["checklist"], ["root"], '"findings"'),
    "report": (["report"], [], "# pyroot report"),
    "owners save": (["owners", "save"], ["root"], "# pyroot owners 1"),
    "trace": (["trace", "--no-follow", "-e", "trace=execve"], ["/bin/true"], "+++ exited with 0 +++"),
    "trace --why": (["trace", "--why"], ["/bin/sh", "-c", "cat /nonexistent; exit 1"], "/nonexistent"),
}
LINES = ("trace",)  # written as they come, as by a shell's redirection
BOTH = pytest.mark.parametrize("way", ["snapshot", "trace"])  # whole texts, and lines


@pytest.fixture
def here(guest_directory: str) -> Path:
    """Give the ordinary user a working directory with a small root in it."""
    root = Path(guest_directory, "root")
    (root / "etc").mkdir(parents=True)
    (root / "etc/file").write_text("x")
    give(str(root))
    return Path(guest_directory)


def given(path: Path, mode: int) -> Path:
    """Make the ordinary user the owner of one file."""
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, helpers.NOBODY, helpers.NOBODY)
    return path


def make(path: Path, text: str = OLD, mode: int = 0o640) -> Path:
    """Make a file of the ordinary user."""
    path.write_text(text)
    return given(path, mode)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Go through all verbs."""
    return str(request.param)


def written(run_pyroot: Run, here: Path, way: str, name: str, **options: object) -> Result:
    """Run a verb in the working directory with -o."""
    words, rest, _text = WAYS[way]
    return run_pyroot([*words, "-o", name, *rest], environment=ENVIRONMENT, cwd=str(here), **options)


def test_every_verb_with_the_option_is_tested(capsys: pytest.CaptureFixture[str]) -> None:
    found = set()
    for name, _arguments, _help, module in options.VERBS:
        assert import_module(module).main(["--help"]) == 0
        if re.search(r"^ +-o\b", capsys.readouterr().out, re.M):
            found.add(name)
    assert found == {way.split()[0] for way in WAYS}


def test_regular_file_keeps_links_and_mode(run_pyroot: Run, here: Path, way: str) -> None:
    (here / "below").mkdir()
    given(here / "below", 0o755)
    file = make(here / "below/file")
    (here / "link").symlink_to("below/other")
    (here / "below/other").symlink_to(file)
    before = file.stat()
    ended = written(run_pyroot, here, way, "link")
    assert "pyroot:" not in ended.stderr
    after = file.stat()
    text = file.read_text()
    assert WAYS[way][2] in text and "old content" not in text
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert (after.st_ino == before.st_ino) == (way in LINES), "a whole text comes in one step"
    assert (here / "link").is_symlink() and (here / "below/other").is_symlink()
    assert sorted(os.listdir(here / "below")) == ["file", "other"]


@BOTH
def test_file_with_several_links_stays_one_file(run_pyroot: Run, here: Path, way: str) -> None:
    file = make(here / "file")
    os.link(file, here / "same")
    written(run_pyroot, here, way, "file")
    assert WAYS[way][2] in (here / "same").read_text()
    assert "old content" not in (here / "same").read_text()
    assert file.stat().st_nlink == 2 and file.stat().st_ino == (here / "same").stat().st_ino


def test_fifo_is_written_to(run_pyroot: Run, here: Path, way: str) -> None:
    os.mkfifo(here / "fifo")
    given(here / "fifo", 0o600)
    with subprocess.Popen(["cat", here / "fifo"], stdout=subprocess.PIPE, text=True) as reader:
        try:
            written(run_pyroot, here, way, "fifo")
            assert reader.stdout is not None and WAYS[way][2] in reader.stdout.read()
        finally:
            reader.kill()
    assert stat.S_ISFIFO((here / "fifo").lstat().st_mode)


@BOTH
def test_device_is_written_to(run_pyroot: Run, here: Path, way: str) -> None:
    device = here / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        device.chmod(0o666)
        device.write_text("")
    except PermissionError:
        pytest.skip("devices are for root, on a file system that has them")
    ended = written(run_pyroot, here, way, "null")
    assert "pyroot:" not in ended.stderr
    assert stat.S_ISCHR(device.lstat().st_mode) and device.stat().st_rdev == os.makedev(1, 3)
    assert stat.S_IMODE(device.stat().st_mode) == 0o666


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"])
def test_standard_output_is_written_to_where_it_stands(pyroot_words: list[str], here: Path, name: str) -> None:
    script = 'echo before; "$@" -o NAME root; echo between; "$@" -o NAME root; echo after'.replace("NAME", name)
    out = make(here / "out", "")
    environment = {**helpers.pyroot_command()[1], **ENVIRONMENT}
    helpers.run(["sh", "-c", f"{{ {script}; }} >out", "sh", *pyroot_words, "snapshot"], environment=environment, cwd=str(here))
    lines = out.read_text().splitlines()
    assert [lines[0], lines[-1]] == ["before", "after"] and "between" in lines
    assert lines.count("# pyroot snapshot 1") == 2


def test_trace_goes_to_standard_output(run_pyroot: Run, here: Path) -> None:
    for name in ("-", "/dev/stdout"):
        assert written(run_pyroot, here, "trace", name).stdout.endswith("+++ exited with 0 +++\n")


@BOTH
def test_socket_is_refused_and_stays(run_pyroot: Run, here: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)  # its name may be too long for an address
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
    given(here / "socket", 0o666)
    ended = written(run_pyroot, here, way, "socket")
    assert re.search(rf"^pyroot: {way.split()[0]}: -o socket: is a socket, which cannot be opened\n  hint: ", ended.stderr, re.M)
    assert ended.status == 125
    assert (here / "socket").is_socket()


@pytest.mark.parametrize(
    ("name", "why"),
    [("none/file", "no such file or directory"), ("new/", "is a directory"), ("root", "is a directory"), ("file/x", "not a directory"),
     ("loop", "too many levels of symbolic links"), ("x" * 300, "file name too long"), ("", "the name of the file is empty")],
)  # fmt: skip
def test_name_that_cannot_be_written_to_is_one_line(run_pyroot: Run, here: Path, name: str, why: str) -> None:
    make(here / "file")
    (here / "loop").symlink_to("loop")
    before = sorted(os.listdir(here))
    ended = written(run_pyroot, here, "snapshot", name)
    assert ended.status == 125
    assert re.fullmatch(rf"pyroot: snapshot: -o.*: {why}\n  hint: .*\n", ended.stderr)
    assert sorted(os.listdir(here)) == before


def test_relative_name_in_a_removed_directory_is_one_line(run_pyroot: Run, pyroot_words: list[str], here: Path) -> None:
    environment = {**helpers.pyroot_command()[1], **ENVIRONMENT}
    script = f'mkdir gone; cd gone; rmdir ../gone; exec "$@" -o name {shlex.quote(str(here))}/root'
    ended = helpers.run(["sh", "-c", script, "sh", *pyroot_words, "snapshot"], environment=environment, cwd=str(here))
    assert ended.status == 125
    assert ended.stderr.startswith("pyroot: snapshot: -o name: no such file or directory\n")


# What a full disk, a closed directory and signals leave


@pytest.mark.parametrize("links", [1, 2])
def test_old_content_is_there_when_there_is_no_room(run_pyroot: Run, here: Path, links: int) -> None:
    text = "old content\n"
    file = make(here / "file", text)
    for number in range(1, links):
        os.link(file, here / f"link{number}")
    for number in range(50):
        (here / f"root/etc/{number}").write_text("")

    def limited() -> None:
        helpers.drop_to_ordinary_user()
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    before = sorted(os.listdir(here))
    ended = written(run_pyroot, here, "snapshot", "file", prepare=limited)
    assert ended.status == 125
    assert ended.stderr.startswith("pyroot: snapshot: -o file: file too large\n")
    assert file.read_text() == text
    new = written(run_pyroot, here, "snapshot", "new", prepare=limited)
    assert new.status == 125
    assert sorted(os.listdir(here)) == before


def test_file_in_a_closed_directory_is_overwritten(run_pyroot: Run, here: Path) -> None:
    (here / "closed").mkdir()
    file = make(here / "closed/file")
    given(here / "closed", 0o555)
    inode = file.stat().st_ino
    assert written(run_pyroot, here, "snapshot", "closed/file") == Result(0, "", "")
    assert "pyroot snapshot 1" in file.read_text() and "old content" not in file.read_text()
    assert file.stat().st_ino == inode


def test_file_that_may_not_be_written_is_left(run_pyroot: Run, here: Path) -> None:
    file = make(here / "file", mode=0o444)
    for way in ("snapshot", "trace"):
        assert written(run_pyroot, here, way, "file").stderr.startswith(f"pyroot: {way}: -o file: permission denied\n")
    assert file.read_text() == OLD


def test_link_that_leads_to_nothing_makes_the_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("new")
    Outfile("snapshot", str(tmp_path / "link")).write(["text"])
    assert (tmp_path / "link").is_symlink() and (tmp_path / "new").read_text() == "text"


def test_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    place = tmp_path / ("x" * 255)
    for text in ("one", "two"):
        Outfile("snapshot", str(place)).write([text])
        assert place.read_text() == text


def test_extended_attributes_are_kept(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("old")
    try:
        os.setxattr(place, "user.origin", b"here")
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error}")
    inode = place.stat().st_ino
    Outfile("snapshot", str(place)).write(["new"])
    assert place.read_text() == "new" and place.stat().st_ino != inode
    assert os.getxattr(place, "user.origin") == b"here"


def test_file_is_overwritten_where_another_cannot_be_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "file"

    def refuse(*_arguments: object) -> None:
        raise PermissionError(errno.EPERM, "")

    for number, old in enumerate(("", "longer than the new text", "short")):
        monkeypatch.setattr(outfile.os, "fchmod", refuse)
        place.write_text(old)
        inode = place.stat().st_ino
        Outfile("snapshot", str(place)).write([f"new text {number}"])
        assert place.read_text() == f"new text {number}" and place.stat().st_ino == inode
        monkeypatch.undo()
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("links", [1, 2])
def test_interrupt_waits_until_the_file_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: int) -> None:
    place = tmp_path / "file"
    place.write_text("old")
    for number in range(1, links):
        os.link(place, tmp_path / f"link{number}")
    write_all = outfile.write_all

    def interrupted(fd: int, data: bytes) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        write_all(fd, data)

    monkeypatch.setattr(outfile, "write_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Outfile("snapshot", str(place)).write(["the new text"])
    assert place.read_text() == "the new text"
    assert len(os.listdir(tmp_path)) == links


def test_descriptor_that_does_not_block_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = b"x" * (1 << 20)
    with subprocess.Popen(["wc", "-c"], stdin=reading, stdout=subprocess.PIPE) as counter:
        os.close(reading)
        outfile.write_all(writing, data)
        os.close(writing)
        assert int(counter.communicate()[0]) == len(data)


def test_closed_descriptor_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PyrootError, match="no such file or directory"):
        Outfile("snapshot", "/dev/fd/987654").write(["text"])


# Names begin where the verb was called


@pytest.mark.parametrize("switch", ["", "PYROOT_NO_SECCOMP", "PYROOT_NO_GATE"])
def test_file_of_each_process_is_where_the_command_was_called(run_pyroot: Run, here: Path, busybox_root: str, switch: str) -> None:
    before = sorted(os.listdir(busybox_root))
    words = ["trace", "-ff", "-e", "trace=exit_group", "-o", "name", "--rootfs", busybox_root]
    environment = {**ENVIRONMENT, **({switch: "1"} if switch else {})}
    ended = run_pyroot([*words, "sh", "-c", "cd /bin; (exit 3); sh -c 'exit 4'; exit 5"], environment=environment, cwd=str(here))
    assert ended.status == 5, ended.stderr
    texts = [file.read_text() for file in here.glob("name.*")]
    assert sorted(re.findall(r"exit_group\((\d)\)", "".join(texts))) == ["3", "4", "5"] and len(texts) == 3
    assert sorted(os.listdir(busybox_root)) == before


@pytest.mark.parametrize("target", ["name", "|cat >name"])
def test_what_is_to_blame_is_written_where_the_command_was_called(run_pyroot: Run, here: Path, busybox_root: str, target: str) -> None:
    append = ["-A"] if target == "name" else []
    make(here / "name", "before\n")
    ended = run_pyroot(["trace", "--why", *append, "-o", target, "--rootfs", busybox_root, "cat", "/nonexistent"],
                       environment=ENVIRONMENT, cwd=str(here))  # fmt: skip
    assert ended.status == 1
    text = (here / "name").read_text()
    assert "/nonexistent" in text and text.startswith("before\n") == bool(append)
    assert not Path(busybox_root, "name").exists()


def test_file_of_each_process_that_is_looked_at(pyroot_words: list[str], here: Path) -> None:
    environment = {**helpers.pyroot_command()[1], **ENVIRONMENT}
    script = 'echo $$; while read line; do echo "$line"; done'
    guest = helpers.start([*pyroot_words, "-w", "/", "sh", "-c", script], environment=environment, cwd="/", stdin=subprocess.PIPE)
    looker = None
    try:
        assert guest.stdin and guest.stdout
        file = here / f"name.{int(guest.stdout.readline())}"
        words = [*pyroot_words, "trace", "-ff", "-o", "name", "-p", file.suffix[1:]]
        looker = helpers.start(words, environment=environment, cwd=str(here))

        def seen() -> bool:
            assert guest.stdin and guest.stdout
            guest.stdin.write(b"x\n")
            guest.stdin.flush()
            return guest.stdout.readline() == b"x\n" and file.exists()

        helpers.wait_until(lambda: seen() or looker.poll() is not None, what="looking")
        looker.send_signal(signal.SIGINT)
        _output, errors = looker.communicate(timeout=30)
        assert 'read(0, "x", 1)' in file.read_text(), errors
    finally:
        for process in (guest, looker):
            if process is not None:
                helpers.kill_session(process.pid)
                process.communicate()
