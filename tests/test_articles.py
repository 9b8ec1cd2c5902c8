"""The worked examples of the classic articles about chroot: how each failure looks with pyroot, and the command that mends it.

Every example runs as the ordinary user: a root is filled step by step, as the articles do by hand with ldd, cp and strace.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import helpers
from tests.helpers import Result
from tests.rootfs_fixtures import static_busybox

Run = Callable[..., Result]
PATH = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/tmp"}


@pytest.fixture
def root(guest_directory: str) -> Path:
    """Give an empty directory of the ordinary user."""
    path = Path(guest_directory) / "root"
    path.mkdir()
    own(path)
    return path


def own(path: Path) -> None:
    """Make the ordinary user the owner."""
    if os.geteuid() == 0:
        os.chown(path, helpers.NOBODY, helpers.NOBODY, follow_symlinks=False)


def put(root: Path, program: str) -> Path:
    """Copy a program alone, as the beginner does; give its guest path."""
    source = Path(os.path.realpath(shutil.which(program, path=PATH["PATH"]) or pytest.skip(f"{program} is missing")))
    target = root / str(source)[1:]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    for path in (target, *[root / part for part in target.relative_to(root).parents]):
        own(path)
    return source


def commanded(error: str) -> list[str]:
    """Give the words of the command that a hint names."""
    hint = error.rpartition("hint: pyroot ")[2]
    assert hint != error, error
    return shlex.split(re.split(r" (?:brings|copies) ", hint)[0])


def test_root_with_only_a_static_ls_runs(root: Path, run_pyroot: Run) -> None:
    busybox = static_busybox()
    (root / "bin").mkdir()
    own(root / "bin")
    shutil.copy2(busybox, root / "bin/ls")
    done = run_pyroot(["-r", str(root), "-w", "/", "ls", "/"], environment=PATH)
    assert (done.status, done.stdout, done.stderr) == (0, "bin\n", "")


def test_root_with_only_a_dynamic_ls_names_loader_and_libraries_and_copy_mends_it(root: Path, run_pyroot: Run) -> None:
    put(root, "ls")
    done = run_pyroot(["-r", str(root), "-w", "/", "/usr/bin/ls", "/"], environment=PATH)
    assert done.status == 127
    assert "/usr/bin/ls: its ELF interpreter /lib" in done.stderr
    assert "not in the guest; nor are" in done.stderr
    assert "libc.so.6, which it needs" in done.stderr
    assert run_pyroot(commanded(done.stderr), environment=PATH).status == 0
    done = run_pyroot(["-r", str(root), "-w", "/", "/usr/bin/ls", "/"], environment=PATH)
    assert (done.status, done.stderr) == (0, ""), done.stderr


def test_dynamic_bash_without_its_libraries(root: Path, run_pyroot: Run) -> None:
    bash = put(root, "bash")
    command = ["-r", str(root), "-w", "/", str(bash), "-c", "echo it runs"]
    done = run_pyroot(command, environment=PATH)
    assert done.status == 127
    for name in ("ld-linux", "libtinfo.so.6", "libc.so.6"):
        assert name in done.stderr
    # The loader alone: now ld.so itself complains, about the first library only; we name all.
    loader = done.stderr.partition("its ELF interpreter ")[2].partition(":")[0]
    assert run_pyroot(["copy", "-q", str(root), loader], environment=PATH).status == 0
    done = run_pyroot(command, environment=PATH)
    assert done.status == 127
    assert "error while loading shared libraries: libtinfo.so.6" in done.stderr
    assert f"pyroot: {bash}: its library libtinfo.so.6 is not in the guest; nor is libc.so.6" in done.stderr
    assert run_pyroot(commanded(done.stderr), environment=PATH).status == 0
    done = run_pyroot(command, environment=PATH)
    assert (done.status, done.stdout, done.stderr) == (0, "it runs\n", "")


def test_sh_ls_echo_cat_mkdir(root: Path, run_pyroot: Run) -> None:
    assert run_pyroot(["copy", str(root), "sh", "ls", "echo", "cat", "mkdir"], environment=PATH).status == 0
    script = "mkdir /new; echo text > /new/file; cat /new/file; ls /new"
    done = run_pyroot(["-r", str(root), "-w", "/", "sh", "-c", script], environment=PATH)
    assert (done.status, done.stdout, done.stderr) == (0, "text\nfile\n", "")
    done = run_pyroot(["-r", str(root), "-w", "/", "grep", "x"], environment=PATH)
    assert done.status == 127
    assert commanded(done.stderr) == ["copy", str(root), "grep"]
    assert run_pyroot(commanded(done.stderr), environment=PATH).status == 0
    assert run_pyroot(["-r", str(root), "-w", "/", "grep", "text", "/new/file"], environment=PATH).stdout == "text\n"
    assert "did you mean cat" in run_pyroot(["-r", str(root), "-w", "/", "caat"], environment=PATH).stderr


def test_names_are_not_found_without_hosts_and_nsswitch(root: Path, run_pyroot: Run) -> None:
    assert run_pyroot(["copy", str(root), "getent"], environment=PATH).status == 0
    lookup = ["-r", str(root), "-w", "/", "getent", "hosts", "localhost"]
    users = ["-r", str(root), "-w", "/", "getent", "passwd", "root"]
    assert run_pyroot(lookup, environment=PATH).status == 2
    assert run_pyroot(users, environment=PATH).status == 2
    found = run_pyroot(["doctor", str(root), "getent"], environment=PATH)
    # (getent starts without all of them)
    assert found.status == 0
    for code in ("passwd-missing", "nsswitch-missing", "hosts-missing", "resolv-missing"):
        assert code in found.stdout
    done = run_pyroot(["doctor", "--fix", str(root), "getent"], environment=PATH)
    assert done.status == 0, done.stdout
    assert "127.0.0.1" in run_pyroot(lookup, environment=PATH).stdout or "::1" in run_pyroot(lookup, environment=PATH).stdout
    assert run_pyroot(users, environment=PATH).stdout.startswith("root:x:0:0:")
    assert (root / "etc/nsswitch.conf").exists()


def test_x_bits_are_lost(root: Path, run_pyroot: Run) -> None:
    assert run_pyroot(["copy", str(root), "ls"], environment=PATH).status == 0
    place = root / "usr/bin/ls"
    place.chmod(0o644)
    done = run_pyroot(["-r", str(root), "-w", "/", "/usr/bin/ls", "/"], environment=PATH)
    assert done.status == 126
    assert "/usr/bin/ls: has no x bit" in done.stderr
    assert f"chmod +x {shlex.quote(str(place))}" in done.stderr
    assert "fix      chmod 0755 /usr/bin/ls" in run_pyroot(["doctor", "--fix", str(root), "ls"], environment=PATH).stdout
    assert run_pyroot(["-r", str(root), "-w", "/", "/usr/bin/ls", "/"], environment=PATH).status == 0


def test_hints_name_a_root_with_a_blank_as_a_shell_takes_it(root: Path, run_pyroot: Run) -> None:
    place = root / "it's a root"
    place.mkdir()
    own(place)

    def hint(*words: str) -> str:
        said = run_pyroot([*words], environment=PATH).stderr
        return said.partition("hint: ")[2].rstrip()

    assert shlex.join(["pyroot", "new", str(place / "none")]) in hint("-r", str(place / "none"), "ls")
    assert shlex.join(["mkdir", "-p", str(place / "none")]) in hint("new", str(place / "none/x"))
    assert shlex.join(["pyroot", "copy", str(place), "PROGRAM..."]) in hint("copy", str(place))
    assert shlex.join(["pyroot", "doctor", str(place)]) in hint("check", str(place))
    assert run_pyroot(["copy", str(place), "ls"], environment=PATH).status == 0
    assert shlex.join(["pyroot", "copy", str(place), "grep"]) in hint("-r", str(place), "-w", "/", "grep")
    (place / "script").write_text("#!/bin/sh\n")
    (place / "script").chmod(0o755)
    assert shlex.join(["pyroot", "copy", str(place), "/bin/sh"]) in hint("-r", str(place), "-w", "/", "/script")
    (place / "script").chmod(0o644)
    assert shlex.join(["chmod", "+x", f"{place}/script"]) in hint("-r", str(place), "-w", "/", "/script")


def test_dev_null_is_missing(root: Path, run_pyroot: Run) -> None:
    assert run_pyroot(["copy", str(root), "sh", "ls"], environment=PATH).status == 0
    command = ["sh", "-c", "ls / > /dev/null && echo done"]
    done = run_pyroot(["-r", str(root), "-w", "/", *command], environment=PATH)
    assert done.status != 0
    assert "/dev/null" in done.stderr
    found = run_pyroot(["doctor", str(root), "sh"], environment=PATH).stdout
    assert "dev-empty: /dev: is missing" in found
    assert f"run it with pyroot -R {shlex.quote(str(root))}, or with -b /dev" in found
    assert "dev-empty" not in run_pyroot(["doctor", "-R", str(root), "sh"], environment=PATH).stdout
    done = run_pyroot(["-r", str(root), "-b", "/dev", "-w", "/", *command], environment=PATH)
    assert (done.status, done.stdout) == (0, "done\n")


def test_status_127_of_a_shell_is_no_missing_library(root: Path, run_pyroot: Run) -> None:
    assert run_pyroot(["copy", str(root), "sh"], environment=PATH).status == 0
    done = run_pyroot(["-r", str(root), "-w", "/", "sh", "-c", "exit 127"], environment=PATH)
    assert (done.status, done.stderr) == (127, "")


def test_no_more_is_said_with_quiet(root: Path, run_pyroot: Run) -> None:
    assert run_pyroot(["copy", str(root), "bash"], environment=PATH).status == 0
    for library in list(root.rglob("libtinfo.so*")):
        library.unlink()
    loud = run_pyroot(["-r", str(root), "-w", "/", "bash", "-c", ":"], environment=PATH)
    quiet = run_pyroot(["-v", "-1", "-r", str(root), "-w", "/", "bash", "-c", ":"], environment=PATH)
    assert (loud.status, quiet.status) == (127, 127)
    assert "pyroot: " in loud.stderr
    assert "pyroot: " not in quiet.stderr
