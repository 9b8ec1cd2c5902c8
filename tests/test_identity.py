"""Who the command is: the options, names of the guest's own passwd and group, and what becomes of the environment."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyroot import config, identity, options, uts
from pyroot.errors import PyrootError
from tests import helpers
from tests.oracle import sides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

PASSWD = """root:x:0:0:root:/root:/bin/sh
ann:x:31000:100:Ann:/home/ann:/bin/ash
bad line
7:x:70:71::/:
bob:x:x:1:::
"""
GROUP = """root:x:0:
adm:x:4:ann
users:x:100:
extra:x:200:bob,ann
9:x:90:
"""


class StandIn:
    """A core that shows a directory."""

    def __init__(self, root: str) -> None:
        self.root = root

    def resolve(self, path: bytes) -> tuple[bytes, bytes, int]:
        """Give a host path."""
        return path, os.fsencode(self.root) + path, 0


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Make a root with a passwd and a group."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return str(tmp_path)


def who(root: str, *words: str) -> identity.Identity | None:
    made = config.build(options.parse([*words, "ls"]))
    return identity.of_run(StandIn(root), made)  # type: ignore[arg-type]


SPECS = {
    "--userspec=500:500": (500, 500, []),
    "--userspec=ann": (31000, 100, [100, 4, 200]),
    "--userspec=ann:": (31000, 100, [100, 4, 200]),
    "--userspec=31000": (31000, 100, [100, 4, 200]),
    "--userspec=ann:adm": (31000, 4, [4, 200]),
    "--userspec=ann:0": (31000, 0, [0, 4, 200]),
    "--userspec=7": (70, 71, [71]),
    "--userspec=+3007:+3009": (3007, 3009, []),
    "--userspec=5:9": (5, 90, []),
    "--userspec=:adm": (0, 4, [0]),
    "--groups=adm,200,9,,+9": (0, 0, [4, 200, 90, 9]),
    "--groups=": (0, 0, []),
    "-0": (0, 0, [0]),
    "-i7:8": (7, 8, [8]),
    "-uann": (31000, 100, [100, 4, 200]),
    "-uann:extra": (31000, 200, [200]),
    "-u4321": (4321, 0, [0]),
}


@pytest.mark.parametrize("word", SPECS)
def test_option_says_who_the_command_is(root: str, word: str) -> None:
    found = who(root, word)
    assert found is not None
    assert (found.uid, found.gid, found.groups) == SPECS[word]


REFUSED = {
    "--userspec=carol": "--userspec=carol: invalid user",
    "--userspec=ann:wheel": "--userspec=ann:wheel: invalid group",
    "--userspec=500": "--userspec=500: no group specified for unknown uid: 500",
    "--userspec=500:": "--userspec=500:: no group specified for unknown uid: 500",
    "-u500:": "-u 500:: invalid spec",
    "--userspec=4294967295:0": "--userspec=4294967295:0: invalid user",
    "--userspec=99999999999:0": "--userspec=99999999999:0: invalid user",
    "--userspec=0:-1": "--userspec=0:-1: invalid group",
    "--groups=wheel": "--groups=wheel: invalid group 'wheel'",
    "--groups=,": "--groups=,: invalid group list ','",
    "--groups=4294967295": "--groups=4294967295: failed to set supplemental groups: invalid argument",
    "-i5": "-i 5: invalid group",
    "-iann:adm": "-i ann:adm: invalid user",
    "-i4294967295:0": "-i 4294967295:0: invalid user",
    "-ucarol": "-u carol: invalid user",
}


@pytest.mark.parametrize("word", REFUSED)
def test_names_and_ids_that_do_not_exist(root: str, word: str) -> None:
    with pytest.raises(PyrootError) as caught:
        who(root, word)
    assert str(caught.value) == REFUSED[word]
    assert caught.value.exit_code == 125
    assert caught.value.hint


def test_the_last_option_counts(root: str) -> None:
    found = who(root, "-0", "--userspec=ann", "-i", "5:6")
    assert found is not None
    assert (found.uid, found.owner) == (5, (5, 6))
    found = who(root, "-i", "5:6", "-0")
    assert found is not None
    assert (found.uid, found.owner) == (0, (0, 0))
    found = who(root, "--groups=4", "-0", "--groups=adm,9")
    assert found is not None
    assert found.groups == [4, 90]
    assert who(root) is None


def test_passwd_that_is_no_file_has_no_names(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    with pytest.raises(PyrootError, match="invalid user"):
        who(str(tmp_path), "--userspec=ann")


@pytest.fixture
def accounts(busybox_root: str) -> Iterator[str]:
    """Put those names into the root of busybox."""
    places = {Path(busybox_root, "etc", name): text for name, text in (("passwd", PASSWD), ("group", GROUP))}
    kept = {path: path.read_text("ascii") for path in places}
    for path, text in places.items():
        path.write_text(text, "ascii")
    yield busybox_root
    for path, text in kept.items():
        path.write_text(text, "ascii")


SBIN = "/usr/sbin:/usr/bin:/sbin:/bin"   # (an ordinary user's PATH may lack the first)
CHROOT = ["--userspec=500:500", "--userspec=ann", "--userspec=ann:", "--userspec=31000", "--userspec=ann:adm", "--userspec=:adm",
          "--userspec=+3007:+3009", "--userspec=ann --groups=", "--groups=adm,+9 --userspec=5:6", "--groups=adm,200", "--userspec=carol",
          "--userspec=ann:wheel", "--userspec=500", "--userspec=500:", "--groups=wheel", "--groups=,"]  # fmt: skip


@pytest.mark.parametrize("words", CHROOT)
def test_chroot_of_coreutils_says_the_same(run_pyroot: Callable[..., Result], accounts: str, words: str) -> None:
    """With names that only the guest has: chroot looks outside first, which pyroot does not."""
    chroot = shutil.which("chroot", path=SBIN)
    version = subprocess.run([chroot or "false", "--version"], capture_output=True, text=True, check=False)
    if sides.why_not_possible("pyroot") or "coreutils" not in version.stdout:
        pytest.skip("needs root, and chroot of coreutils")
    command = ["/bin/sh", "-c", "id -u; id -g; grep Groups /proc/self/status"]

    def prepare() -> None:
        sides.private_mounts()
        sides.mount("proc", f"{accounts}/proc", "proc", 0)
        os.setgroups([0])

    real = helpers.run(["chroot", *words.split(), accounts, *command], environment={"PATH": SBIN, "LC_ALL": "C"}, prepare=prepare)
    ours = run_pyroot([*words.split(), "-r", accounts, "-b", "/proc", *command])
    assert (ours.status, ours.stdout) == (real.status, real.stdout), real.stderr + ours.stderr
    if real.stderr:
        assert real.stderr.strip().removeprefix("chroot: ").replace("\n", "") in ours.stderr


# The environment

BEFORE = {"PATH": "/usr/bin:/bin", "HOME": "/home/x", "USER": "x", "LOGNAME": "x", "SHELL": "/bin/zsh"}
SBIN = "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
ANN = {"HOME": "/home/ann", "USER": "ann", "LOGNAME": "ann", "SHELL": "/bin/ash"}
CHANGES: dict[str, dict[str, str]] = {
    "-0": {"PATH": SBIN},
    "-i 0:5": {"PATH": SBIN},
    "-i 5:5": {},
    "--userspec=ann": {},
    "--userspec=0:0": {},
    "--groups=4": {},
    "-u ann": ANN,
    "-u 4321": {"HOME": "/"},
    "-u root": {"PATH": SBIN, "HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh"},
    "-0 --keep-env": {},
    "-u ann --keep-env": {},
}


@pytest.mark.parametrize("words", CHANGES)
def test_what_becomes_of_the_environment(run_pyroot: Callable[..., Result], accounts: str, words: str) -> None:
    done = run_pyroot([*words.split(), "-r", accounts, "/bin/env"], environment=BEFORE)
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert {name: found[name] for name in BEFORE} == {**BEFORE, **CHANGES[words]}, done.stderr


def test_a_path_with_an_sbin_directory_stays(run_pyroot: Callable[..., Result], accounts: str) -> None:
    done = run_pyroot(["-0", "-r", accounts, "/bin/sh", "-c", "echo $PATH"], environment={**BEFORE, "PATH": "/bin:/opt/sbin/"})
    assert done.stdout == "/bin:/opt/sbin/\n"


def test_the_command_is_looked_for_in_the_guest_s_path(run_pyroot: Callable[..., Result], accounts: str) -> None:
    os.makedirs(f"{accounts}/usr/sbin", exist_ok=True)
    os.symlink("/bin/busybox", f"{accounts}/usr/sbin/whoami")
    try:
        assert run_pyroot(["-0", "-r", accounts, "whoami"], environment={"PATH": "/nothing"}).stdout == "root\n"
        assert run_pyroot(["-0", "--keep-env", "-r", accounts, "whoami"], environment={"PATH": "/nothing"}).status == 127
    finally:
        os.unlink(f"{accounts}/usr/sbin/whoami")


def test_the_table_of_the_documentation_is_that_of_the_code() -> None:
    with open(f"{helpers.PROJECT}/docs/ROOT.md", encoding="utf-8") as file:
        text = file.read()
    names = {"root_id": "-0", "su": "-S", "change_id": "-i", "userspec": "--userspec", "groups": "--groups", "user": "-u"}
    for way, rules in identity.VARIABLES.items():
        [row] = [line for line in text.splitlines() if line.startswith("| ") and f"`{names[way]}`" in line.split("|")[1]]
        assert ("sbin" in row) == ("sbin" in rules)
        assert ("passwd" in row) == ("passwd" in rules)


# -S, --skip-chdir, -k, --hostname


def test_su_binds_what_root_needs_and_not_the_users(run_pyroot: Callable[..., Result], busybox_root: str) -> None:
    made = config.build(options.parse(["-S", busybox_root, "ls"]))
    guests = {binding.guest for binding in made.bindings()}
    assert {b"/proc", b"/dev", b"/etc/resolv.conf"} <= guests
    assert not guests & {b"/etc/passwd", b"/etc/group"}
    assert run_pyroot(["-S", busybox_root, "whoami"]).stdout == "root\n"


def test_skip_chdir_takes_back_an_earlier_directory() -> None:
    def chosen(*words: str) -> bytes | None:
        return config.build(options.parse([*words, "ls"])).cwd

    assert chosen("-w", "/x", "--skip-chdir") is None
    assert chosen("--skip-chdir", "-w", "/x") == b"/x"


def test_six_fields_of_uname(run_pyroot: Callable[..., Result], busybox_root: str) -> None:
    words = ["-r", busybox_root, "/bin/uname"]
    assert run_pyroot(["-k", "3.10.0", *words, "-sr"]).stdout == "Linux 3.10.0\n"
    six = "\\System\\node\\1.2\\third\\machine\\domain\\255\\"
    assert run_pyroot(["-k", six, *words, "-snrvm"]).stdout == "System node 1.2 third machine\n"
    assert run_pyroot(["-k", "\\\\\\9.9\\\\\\\\", *words, "-sr"]).stdout == "Linux 9.9\n"
    assert run_pyroot(["-k", six, "--hostname", "other", *words, "-nr"]).stdout == "other 1.2\n"
    assert run_pyroot(["--hostname=me", *words, "-n"], environment={"PYROOT_NO_SECCOMP": "1"}).stdout == "me\n"


@pytest.mark.parametrize("value", ["\\a\\b\\", "\\1\\2\\3\\4\\5\\6\\7\\8\\", "x" * 65])
def test_release_that_uname_has_no_room_for(value: str) -> None:
    with pytest.raises(PyrootError):
        uts.fields("-k", value)
