"""Roots that are sound: `pyroot doctor` finds no error in them, and --fix leaves their layout alone."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.broken_roots import codes, compile_program, digest, examine, fix, give, inside, interpreter, library
from tests.helpers import Result
from tests.rootfs_fixtures import static_busybox

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
MAIN = "int main(void) { return 0; }\n"


@pytest.mark.rootfs
@pytest.mark.parametrize("fixture", [
    "debian_root", "debian_i386_root", "busybox_root", "made_root",
    # half a minute each to make, once
    pytest.param("trixie_root", marks=pytest.mark.slow), pytest.param("bullseye_root", marks=pytest.mark.slow),
])  # fmt: skip
def test_sound_roots_have_no_error(
    fixture: str, request: pytest.FixtureRequest, run_pyroot: Callable[..., Result], guest_directory: str
) -> None:
    root = request.getfixturevalue(fixture)
    if fixture == "busybox_root":
        # (other tests' guests may have written to what they took for /dev/null)
        shutil.copytree(root, f"{guest_directory}/r", symlinks=True, ignore=shutil.ignore_patterns(".pyroot", "null"))
        root = f"{guest_directory}/r"
        give(root)
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    done = run_pyroot(["doctor", root])
    assert (done.status, done.stderr) == (0, ""), done.stdout
    assert ": 0 errors, " in done.stdout.splitlines()[-1]
    assert sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before < 10, "seconds of processor time for a whole Debian"


def skeleton(top: Path, shell: str = "/bin/sh") -> None:
    """Make what nearly every root has."""
    for name in ("bin", "etc", "tmp", "lib"):
        (top / name).mkdir(parents=True, exist_ok=True)
    (top / "tmp").chmod(0o1777)
    for name, text in (("passwd", f"root:x:0:0::/:{shell}\n"), ("group", "root:x:0:\n"), ("hosts", "::1 localhost\n"),
                       ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
                       ("resolv.conf", "nameserver 192.0.2.1\n")):  # fmt: skip
        (top / "etc" / name).write_text(text)


def store(top: Path, sound: Path, place: str) -> None:
    """Make a root with its own loader and libraries somewhere, as a store or a prefix has."""
    skeleton(top)
    shutil.rmtree(top / "lib")
    (top / place).mkdir(parents=True)
    shutil.copy(library(sound, "libc.so.6"), top / place / "libc.so.6")
    shutil.copy(interpreter(sound), top / place / "ld.so")
    compile_program(top / "bin/sh", MAIN, f"-Wl,-rpath,/{place}", f"-Wl,--dynamic-linker,/{place}/ld.so")


def nix_like(top: Path, sound: Path) -> None:
    """A store: programs name their loader and libraries by hash, /bin has sh only, and a profile leads to the store."""
    store(top, sound, "nix/store/abc-glibc/lib")
    (top / "nix/store/def-tool/bin").mkdir(parents=True)
    shutil.copy(top / "bin/sh", top / "nix/store/def-tool/bin/tool")
    (top / "run/current-system").mkdir(parents=True)
    (top / "run/current-system/sw").symlink_to("/nix/store/def-tool")


def conda_like(top: Path, sound: Path) -> None:
    """A prefix with its own libraries."""
    store(top, sound, "opt/conda/lib")


def unmerged(top: Path, sound: Path) -> None:
    """Real directories, where this host may have links into /usr."""
    skeleton(top)
    (top / "lib64").mkdir()
    shutil.copy(inside(sound, "/bin/sh"), top / "bin/sh")
    shutil.copy(library(sound, "libc.so.6"), top / "lib/libc.so.6")
    shutil.copy(interpreter(sound), top / "lib64" / f"ld-linux-{os.uname().machine.replace('_', '-')}.so.2")


def distroless_like(top: Path, sound: Path) -> None:
    """One program with its libraries: no shell, no tools, nothing in the program directories."""
    skeleton(top, "/sbin/nologin")
    shutil.rmtree(top / "bin")
    (top / "lib64").mkdir()
    (top / "app").mkdir()
    compile_program(top / "app/server", MAIN)
    shutil.copy(library(sound, "libc.so.6"), top / "lib/libc.so.6")
    shutil.copy(interpreter(sound), top / "lib64" / f"ld-linux-{os.uname().machine.replace('_', '-')}.so.2")


def scratch(top: Path, sound: Path) -> None:
    """Nothing but one static program."""
    top.mkdir()
    compile_program(top / "app", MAIN, "-static")


def musl(top: Path, sound: Path) -> None:
    """As Alpine: a static busybox with links, a dynamic program with a library, musl's loader, which is its C library, too."""
    if shutil.which("musl-gcc") is None:
        pytest.skip("no musl-gcc (Debian: musl-tools)")
    from pyroot.elf import read_elf

    skeleton(top)
    busybox = static_busybox()
    shutil.copy2(busybox, top / "bin/busybox")
    for name in ("sh", "ls", "cat"):
        (top / "bin" / name).symlink_to("/bin/busybox")
    own, main = "int own(void) { return 0; }\n", "int own(void); int main(void) { return own(); }\n"
    compile_program(top / "lib/libz.so.1", own, "-shared", "-fPIC", "-Wl,-soname,libz.so.1", compiler="musl-gcc")
    compile_program(top / "bin/tool", main, top / "lib/libz.so.1", compiler="musl-gcc")
    interp = os.fsdecode(read_elf(str(top / "bin/tool")).interp or b"")
    shutil.copy(interp, top / interp[1:])
    (top / interp[1:]).chmod(0o755)
    (top / "lib/libc.musl-x86_64.so.1").symlink_to(os.path.basename(interp))


ROOTS = {one.__name__: one for one in (nix_like, conda_like, unmerged, distroless_like, scratch, musl)}


@needs_gcc
@pytest.mark.parametrize("name", ROOTS)
def test_roots_of_another_layout_are_sound_and_keep_it(
    name: str, sound: Path, guest_directory: str, run_pyroot: Callable[..., Result]
) -> None:
    """Nothing of the host's layout is missed, by the checks or by the command, which also asks the programs."""
    top = Path(guest_directory, "root")
    ROOTS[name](top, sound)
    give(top)
    findings = examine(top)
    assert codes(findings) == [], findings
    done = run_pyroot(["doctor", top])
    assert (done.status, done.stderr) == (0, ""), done.stdout
    assert ": 0 errors, " in done.stdout.splitlines()[-1]
    before = digest(top)
    fix(top)
    news = set(digest(top)) - set(before)
    assert not [path for path in news if (top / path).is_symlink() and "/" not in path]
    assert {path: one for path, one in digest(top).items() if path in before and not (top / path).is_dir()} == {
        path: one for path, one in before.items() if not (top / path).is_dir()
    }


@needs_gcc
def test_a_library_of_glibc_is_of_no_use_to_a_program_of_musl(sound: Path, tmp_path: Path) -> None:
    musl(tmp_path / "root", sound)
    give(tmp_path / "root")
    (tmp_path / "root/lib/libz.so.1").unlink()
    findings = examine(tmp_path / "root")
    assert codes(findings) == ["library-missing"]
    assert next(one for one in findings if one.code == "library-missing").steps == ()
