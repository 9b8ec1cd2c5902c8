"""Programs that a guest fails to start, told with -v 1: the broken link of the chain in one line, and only what ended in failure."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import Result
from tests.probe_root import script
from tests.rootfs_fixtures import directory_for_user, give, remove, static_busybox

Run = Callable[..., Result]
ENVIRONMENT = {"PATH": "/first:/bin:/last", "HOME": "/", "LANG": "C"}


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """Make a root of busybox's programs with broken ones among them."""
    busybox = static_busybox()
    top = directory_for_user()
    for name in ("bin", "first", "last", "tmp"):
        os.mkdir(f"{top}/{name}")
    shutil.copy(busybox, f"{top}/bin/busybox")
    for name in ("sh", "env", "true", "xargs", "nice"):
        os.symlink("busybox", f"{top}/bin/{name}")
    script(f"{top}/bin/broken", "#!/nowhere/lang\n")
    script(f"{top}/bin/good", "#!/bin/sh\nexit 0\n")
    script(f"{top}/bin/plain", "exit 3\n")
    script(f"{top}/bin/closed", "#!/bin/sh\n", 0o644)
    script(f"{top}/bin/loop", "#!/bin/loop\n")
    give(top)
    yield Path(top)
    remove(top)


def told(run_pyroot: Run, root: Path, *command: str, level: str = "1") -> list[str]:
    """Run a command; give the lines about programs that could not be started."""
    done = run_pyroot(["-v", level, "-r", str(root), "-b", "/proc", "-w", "/", *command], environment=ENVIRONMENT)
    return [line for line in done.stderr.splitlines() if " could not start " in line]


def test_missing_interpreter_of_a_script_is_named(root: Path, run_pyroot: Run) -> None:
    (line,) = told(run_pyroot, root, "sh", "-c", "/bin/broken; exit 0")
    assert line.startswith("pyroot: /bin/busybox (process ")
    assert "could not start /bin/broken: its #! interpreter /nowhere/lang: not in the guest (" in line


def test_nothing_is_told_without_verbosity(root: Path, run_pyroot: Run) -> None:
    assert told(run_pyroot, root, "sh", "-c", "/bin/broken; exit 0", level="0") == []


def test_search_through_the_path_is_told_once(root: Path, run_pyroot: Run) -> None:
    (line,) = told(run_pyroot, root, "sh", "-c", "env nothere; exit 0")
    assert "could not start nothere: not found in /first, /bin, /last (" in line


def test_broken_program_of_a_search_is_told_before_the_rest_of_it(root: Path, run_pyroot: Run) -> None:
    (line,) = told(run_pyroot, root, "sh", "-c", "env broken; exit 0")
    assert "could not start /bin/broken: its #! interpreter /nowhere/lang" in line
    (line,) = told(run_pyroot, root, "sh", "-c", "env closed; exit 0")
    assert "could not start /bin/closed: has no x bit (chmod +x " in line


def test_search_that_finds_the_program_is_no_news(root: Path, run_pyroot: Run) -> None:
    assert told(run_pyroot, root, "sh", "-c", "env true; env nice true; env good; env sh -c 'exit 4'; exit 0") == []


def test_script_without_a_first_line_is_no_news(root: Path, run_pyroot: Run) -> None:
    assert told(run_pyroot, root, "sh", "-c", "plain; exit 0") == []


def test_process_that_goes_on_is_no_news(root: Path, run_pyroot: Run) -> None:
    text = "(exec /bin/broken) 2>/tmp/errors; true; exit 0"
    assert len(told(run_pyroot, root, "sh", "-c", text)) == 1
    # env has failed once, then its caller has started what it wanted
    assert told(run_pyroot, root, "sh", "-c", "PATH=/first:/bin env true") == []


def test_same_line_is_written_once(root: Path, run_pyroot: Run) -> None:
    assert len(told(run_pyroot, root, "sh", "-c", "for i in 1 2 3; do /bin/broken; done; exit 0")) == 1


def test_scripts_in_a_circle_are_named(root: Path, run_pyroot: Run) -> None:
    (line,) = told(run_pyroot, root, "sh", "-c", "/bin/loop; exit 0")
    assert "its #! interpreter is /bin/loop again" in line


def test_relative_name_begins_in_the_callers_directory(root: Path, run_pyroot: Run) -> None:
    (line,) = told(run_pyroot, root, "sh", "-c", "cd /bin; ./closed; exit 0")
    assert "could not start ./closed: has no x bit" in line


def test_missing_elf_interpreter_is_named_with_the_libraries(guest_directory: str, run_pyroot: Run) -> None:
    root = Path(guest_directory, "root")
    (root / "bin").mkdir(parents=True)
    shutil.copy(static_busybox(), root / "bin/sh")
    shutil.copy(os.path.realpath(shutil.which("bash") or pytest.skip("no bash")), root / "bin/bash")
    give(str(root))
    (line,) = told(run_pyroot, root, "sh", "-c", "/bin/bash; exit 0")
    loader = "/lib64/ld-linux-x86-64.so.2"
    assert f"could not start /bin/bash: its ELF interpreter {loader}: not in the guest; nor are libtinfo.so.6, libc.so.6" in line
    assert f"(pyroot copy {shlex.quote(str(root))} {loader} libtinfo.so.6 libc.so.6 brings this machine's)" in line


def test_library_that_a_child_lacks_is_named(guest_directory: str, run_pyroot: Run) -> None:
    path = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/tmp"}
    root = f"{guest_directory}/root"
    assert run_pyroot(["new", root, "sh", "bash"], environment=path).status == 0
    for library in Path(root).rglob("libtinfo.so*"):
        library.unlink()
    done = run_pyroot(["-v", "1", "-r", root, "-w", "/", "sh", "-c", "bash; exit 0"], environment=path)
    assert "bash: its library libtinfo.so.6 is not in the guest (pyroot copy " in done.stderr
    quiet = run_pyroot(["-r", root, "-w", "/", "sh", "-c", "bash; exit 0"], environment=path)
    assert "pyroot:" not in quiet.stderr
