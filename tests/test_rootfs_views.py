"""The commands of the README in three roots: Debian, busybox, and one that ``pyroot new`` made."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.rootfs_fixtures import inside
from tests.terminal import Terminal, sleeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

pytestmark = [pytest.mark.rootfs, pytest.mark.timeout(180)]

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C", "HOME": "/tmp", "TERM": "dumb"}
PRESET = os.path.join(helpers.PROJECT, "bind", "recommended.bind")
KINDS = ("debian", "busybox", "made")


@pytest.fixture(params=KINDS)
def root(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return each of the three roots in turn."""
    path: str = request.getfixturevalue(f"{request.param}_root")
    yield path


def has(root: str, program: str) -> bool:
    """Say whether the root's PATH holds a program."""
    return any(os.path.exists(inside(root, f"{folder}/{program}")) for folder in ENVIRONMENT["PATH"].split(":"))


def need(root: str, program: str) -> None:
    """Skip where a root has no such program."""
    if not has(root, program):
        pytest.skip(f"{program} is not in this root")


def recommended(root: str) -> list[tuple[str, str]]:
    """Return the bindings of -R that this host has."""
    found: list[tuple[str, str]] = []
    with open(PRESET, encoding="utf-8") as file:
        for line in file:
            path = line.split("#")[0].strip().replace("$HOME", ENVIRONMENT["HOME"]).replace("$ROOTFS", root)
            if path and os.path.exists(path) and (path, path) not in found:
                found.append((path, path))
    return found


def test_ls_shows_the_inside(root: str, run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result]) -> None:
    """``pyroot -r ROOT -w / ls -l``: the listing of the root itself, nothing made in it."""
    before = sorted(os.listdir(root))
    real = real_chroot(root, ["ls", "-ln"], environment=ENVIRONMENT)
    other = run_pyroot(["-r", root, "-w", "/", "ls", "-ln"], environment=ENVIRONMENT)
    assert (other.status, other.stdout) == (real.status, real.stdout)
    assert sorted(os.listdir(root)) == before


def test_recommended_bindings_keep_the_directory(
    root: str, run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result]
) -> None:
    """``pyroot -R ./rootfs ls``: the caller's directory is below a binding and is listed as it is."""
    work = os.path.dirname(root)
    bindings = recommended(root)
    made = {guest.split("/")[1] for _, guest in bindings} - set(os.listdir(root))
    real = real_chroot(root, ["ls", "-A", root], bindings, environment=ENVIRONMENT)
    other = run_pyroot(["-R", "./rootfs", "ls", "-A", root], environment=ENVIRONMENT, cwd=work)
    assert other.status == real.status == 0, other
    assert set(other.stdout.split()) == set(real.stdout.split()) - made
    listed = run_pyroot(["-R", "./rootfs", "ls", "/"], environment=ENVIRONMENT, cwd=work)
    assert listed.status == 0
    assert listed.stderr == ""
    assert "bin" in listed.stdout.split()


def test_ps_sees_the_host_processes(root: str, run_pyroot: Callable[..., Result]) -> None:
    """``cd rootfs; pyroot -r . -b /proc ps``."""
    need(root, "ps")
    found = run_pyroot(["-r", ".", "-b", "/proc", "ps"], environment=ENVIRONMENT, cwd=root)
    assert found.status == 0, found
    assert re.search(r"\bps\b", found.stdout)
    assert "PID" in found.stdout


def test_id_names_the_user(root: str, run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result]) -> None:
    """``pyroot -r . -w / id``."""
    need(root, "id")
    real = real_chroot(root, ["id"], environment=ENVIRONMENT)
    assert run_pyroot(["-r", ".", "-w", "/", "id"], environment=ENVIRONMENT, cwd=root) == real


def test_mount_shows_the_bindings(
    root: str, run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result]
) -> None:
    """``pyroot -r . -w / -b /proc -b /sys -b /dev -b /dev/pts mount``: one line for each, in guest paths."""
    need(root, "mount")
    bindings = [("/proc", "/proc"), ("/sys", "/sys"), ("/dev", "/dev"), ("/dev/pts", "/dev/pts")]
    words = [word for host, _ in bindings for word in ("-b", host)]
    real = real_chroot(root, ["mount"], bindings, environment=ENVIRONMENT)
    other = run_pyroot(["-r", ".", "-w", "/", *words, "mount"], environment=ENVIRONMENT, cwd=root)
    assert other.status == real.status == 0, other
    for _, guest in bindings:
        pattern = rf"^\S+ on {guest} type (\S+)"
        real_kind, other_kind = (re.findall(pattern, text, re.M) for text in (real.stdout, other.stdout))
        assert other_kind[:1] == real_kind[:1], (guest, real.stdout, other.stdout)
    assert root not in other.stdout


def test_tty_names_the_terminal(root: str, pyroot_words: list[str]) -> None:
    """``pyroot ... -b /dev -b /dev/pts tty`` prints the terminal's name as the host has it."""
    need(root, "tty")
    words = [*pyroot_words, "-r", root, "-w", "/", "-b", "/proc", "-b", "/sys", "-b", "/dev", "-b", "/dev/pts", "tty"]
    with Terminal(words, {**helpers.pyroot_command()[1], **ENVIRONMENT}) as terminal:
        expected = terminal.name
        assert terminal.wait() == 0, terminal.text
        assert terminal.text.strip() == expected


def test_readlink_of_a_bound_directory(
    root: str, run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result]
) -> None:
    """``cd $PWD; pyroot -r . -b /proc -b /dev -b $PWD:$PWD readlink -f .`` prints the host's name of it."""
    need(root, "readlink")
    bindings = [("/proc", "/proc"), ("/dev", "/dev"), (root, root)]
    real = real_chroot(root, ["readlink", "-f", "."], bindings, root, environment=ENVIRONMENT)
    words = ["-r", ".", "-b", "/proc", "-b", "/dev", "-b", f"{root}:{root}", "readlink", "-f", "."]
    assert run_pyroot(words, environment=ENVIRONMENT, cwd=root) == real
    assert real.stdout == root + "\n"


def test_exit_status_is_the_command_s(root: str, run_pyroot: Callable[..., Result]) -> None:
    """``pyroot -R . sh -c 'exit 7'; echo $?``."""
    shell = "bash" if has(root, "bash") else "sh"
    found = run_pyroot(["-R", ".", shell, "-c", "exit 7"], environment=ENVIRONMENT, cwd=root)
    assert found == helpers.Result(7, "", "")


def test_the_root_is_not_written_to(root: str, run_pyroot: Callable[..., Result]) -> None:
    """Bindings on targets that do not exist leave no trace in the root, also while the command runs."""
    before = sorted(os.listdir(root))
    script = "cat /not/there/file; ls /also; echo $?"
    words = ["-r", root, "-w", "/", "-b", "/etc/hostname:/not/there/file", "-b", "/etc:/also", "sh", "-c", script]
    found = run_pyroot(words, environment=ENVIRONMENT)
    assert found.status == 0, found
    with open("/etc/hostname", encoding="utf-8") as file:
        assert file.read() in found.stdout
    assert "passwd" in found.stdout
    assert sorted(os.listdir(root)) == before


def bash_session(words: list[str], environment: dict[str, str]) -> list[str]:
    """Use job control in an interactive bash and return what it said at each step."""
    seen: list[str] = []
    with Terminal(words, environment) as terminal:
        terminal.type("PS1='<ready>'; bind 'set enable-bracketed-paste off'; stty -echo\n")
        terminal.expect("<ready>(?!')")
        terminal.type("echo first $$ | cut -c1-5\n")
        seen.append(terminal.expect("(?s)first.*<ready>"))
        terminal.type("sleep 100\n")
        helpers.wait_until(lambda: sleeping(terminal.pid), what="sleep runs")
        terminal.type("\x1a")
        seen.append(terminal.expect("(?s)Stopped.*<ready>"))
        terminal.type("jobs\n")
        seen.append(terminal.expect("(?s)Stopped.*<ready>"))
        terminal.type("bg\n")
        seen.append(terminal.expect("(?s)sleep 100 &.*<ready>"))
        terminal.type("jobs\n")
        seen.append(terminal.expect("(?s)Running.*<ready>"))
        terminal.type("fg\n")
        seen.append(terminal.expect("sleep 100"))
        helpers.wait_until(lambda: sleeping(terminal.pid), what="sleep is in the foreground")
        terminal.type("\x03")
        terminal.expect("(?s)<ready>")
        terminal.type("echo status $?\n")
        seen.append(terminal.expect("(?s)status.*<ready>"))
        terminal.type("cat | cat\n")
        terminal.type("through two\n")
        seen.append(terminal.expect("through two"))
        terminal.type("\x04")
        terminal.expect("<ready>")
        terminal.type("exit 4\n")
        seen.append(f"status {terminal.wait()}")
    return seen


def test_interactive_bash_has_job_control(debian_root: str, pyroot_words: list[str]) -> None:
    """^Z, jobs, bg, fg and ^C in bash on a pty do what they do without pyroot."""
    shell = ["bash", "--norc", "--noprofile", "-i"]
    environment = {**helpers.pyroot_command()[1], **ENVIRONMENT}
    words = [*pyroot_words, "-r", debian_root, "-w", "/", "-b", "/proc", "-b", "/dev", "-b", "/dev/pts", *shell]
    native = bash_session(shell, environment)
    assert bash_session(words, environment) == native
    assert native[-2:] == ["through two", "status 4"]
