"""Small sound roots, the ways to break one, and the look at it: what the tests of the doctor share.

A way is one function that damages one thing in a root which is sound otherwise; `broken_table` has the situations.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import helpers

if TYPE_CHECKING:
    from pyroot.doctor.registry import Finding
    from pyroot.reading.view import View

TRIPLET = f"{os.uname().machine}-linux-gnu"
PROGRAMS = ("sh", "bash", "ls", "cat", "env", "mkdir", "echo")
DEVICES = {"null": (1, 3), "zero": (1, 5), "random": (1, 8), "urandom": (1, 9), "full": (1, 7), "tty": (5, 0), "ptmx": (5, 2)}


def make_sound_root(top: Path) -> Path:
    """Let `pyroot new` make a root of a few programs, and complete it."""
    from pyroot.rootfs import new

    assert new.main([str(top), *PROGRAMS]) == 0
    (top / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    (top / "etc/shadow").write_text("root:*:::::::\n")
    if os.geteuid() == 0:
        for name, (major, minor) in DEVICES.items():
            os.mknod(top / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            os.chmod(top / "dev" / name, 0o666)
    return top


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a small sound root once."""
    return make_sound_root(tmp_path_factory.mktemp("doctor") / "sound")


@pytest.fixture
def root(sound: Path, tmp_path: Path) -> Iterator[Path]:
    """Give a copy of the sound root that the ordinary user owns."""
    copy_root(sound, tmp_path / "root")
    yield tmp_path / "root"
    subprocess.run(["chmod", "-R", "u+rwX", str(tmp_path / "root")], check=False)


def copy_root(source: Path, target: Path) -> None:
    """Copy a root for the ordinary user."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)
    give(target)


def look(root: Path, commands: tuple[str, ...] = (), environment: dict[str, str] | None = None) -> tuple[View, list[Finding]]:
    """Run the checks as for the ordinary user, with an environment that does not vary."""
    from pyroot.doctor import verb
    from pyroot.elf import Rooted
    from pyroot.reading.view import View

    view = View(Rooted(root), str(root), [os.fsencode(name) for name in commands], helpers.ordinary_user.uid)
    variables = {"TERM": "dumb", "LANG": "C", **(environment or {})}
    view.environment = {name.encode(): text.encode() for name, text in variables.items()}
    return view, verb.examine(view)


def examine(root: Path, commands: tuple[str, ...] = (), **environment: str) -> list[Finding]:
    """Give the findings of such a look."""
    return look(root, commands, environment)[1]


def fix(root: Path, commands: tuple[str, ...] = (), **environment: str) -> tuple[list[Finding], list[str]]:
    """Do what --fix does; give what is left, and what went wrong."""
    from pyroot.doctor import verb

    first = look(root, commands, environment)
    _view, left, done = verb.mended(bytes(root), lambda: look(root, commands, environment), first, quiet=True)
    return left, [problem for _step, problem in done if problem]


def codes(findings: list[Finding], severity: str = "error") -> list[str]:
    """List the codes of one severity, each once; the host's are left out."""
    from pyroot.doctor import checks, registry

    host = {row.code for row in checks.load() if row.part == registry.HOST}
    return list(dict.fromkeys(one.code for one in findings if one.severity == severity and one.code not in host))


def digest(top: Path) -> dict[str, object]:
    """Give what every file of a root is."""
    found: dict[str, object] = {}
    for path in top.rglob("*"):
        status = path.lstat()
        found[str(path.relative_to(top))] = (status.st_mode, os.readlink(path) if path.is_symlink() else None, status.st_size)
    return found


def compile_program(target: Path, text: str, *options: str | Path, compiler: str = "gcc") -> None:
    """Compile a small program."""
    source = target.parent / (target.name + ".c")
    source.write_text(text)
    subprocess.run([compiler, "-o", target, source, *options], check=True)
    source.unlink()


def bring(*programs: str) -> Callable[[Path], None]:
    """Copy programs of this host into the root, with all that they work with."""

    def act(root: Path) -> None:
        from pyroot.doctor.copy import copy_into

        copy_into(os.fsencode(root), [program.encode() for program in programs])
        give(root)

    return act


def ways(*acts: Callable[[Path], object]) -> Callable[[Path], None]:
    """Do one after the other."""

    def act(root: Path) -> None:
        for one in acts:
            one(root)

    return act


def write(guest: str, text: str | bytes, mode: int = 0o644) -> Callable[[Path], None]:
    """Write a file of the root, whatever was there."""

    def act(root: Path) -> None:
        path = inside(root, os.path.dirname(guest) or "/") / os.path.basename(guest)
        path.unlink(missing_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(mode)

    return act


def give(root: Path) -> None:
    """Make the ordinary user the owner, as if that user had made it."""
    if os.geteuid() == 0:
        for folder, names, files in os.walk(root):
            for name in [".", *names, *files]:
                os.chown(os.path.join(folder, name), helpers.NOBODY, helpers.NOBODY, follow_symlinks=False)


def inside(root: Path, guest: str) -> Path:
    """Give the host path of a guest path, links followed in the root."""
    from pyroot.elf import Rooted

    rooted = Rooted(root)
    return Path(os.fsdecode(rooted.host(rooted.trace(os.fsencode(guest)).real)))


def library(root: Path, name: str) -> Path:
    """Give the file of a library in the root."""
    found = [path for path in root.rglob(name) if "hwcaps" not in str(path)]
    assert found, f"the root has no {name}"
    return found[0].resolve() if not found[0].is_symlink() else inside(root, "/" + str(found[0].relative_to(root)))


def interpreter(root: Path) -> Path:
    """Give the file of the ELF interpreter in the root."""
    from pyroot.elf import read_elf

    interp = read_elf(str(inside(root, "/bin/ls"))).interp
    assert interp is not None
    return inside(root, os.fsdecode(interp))


def patch(path: Path, offset: int, data: bytes) -> None:
    """Overwrite some bytes of a file."""
    mode = path.stat().st_mode
    path.chmod(0o755)
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)
    path.chmod(stat.S_IMODE(mode))


def truncate(path: Path, size: int) -> None:
    """Cut a file off."""
    os.truncate(path, size)


def script(root: Path, head: str, name: str = "tool") -> None:
    """Put a script into a program directory."""
    path = inside(root, "/bin") / name
    path.write_bytes(head.encode())
    path.chmod(0o755)


def shell_is_a_fifo(root: Path) -> None:
    """Put a FIFO in the place of /bin/sh."""
    place = inside(root, "/bin/sh")
    place.unlink()
    os.mkfifo(place, 0o755)


def other_version(root: Path) -> None:
    """Let libtinfo offer versions of another name."""
    path = library(root, "libtinfo.so.6")
    data = path.read_bytes()
    found = re.search(rb"NCURSES6_TINFO_5\.0\.19991023\0", data)
    assert found
    patch(path, found.start(), b"NCURSES9")


def library_not_in_cache(root: Path) -> None:
    """Move libtinfo to a directory that ld.so.conf names and the cache does not."""
    from pyroot.elf.ldcache import build_cache, parse_cache

    path = library(root, "libtinfo.so.6")
    (root / "opt/lib").mkdir(parents=True)
    shutil.move(path, root / "opt/lib/libtinfo.so.6")
    for link in root.rglob("libtinfo.so.6"):
        if link.is_symlink():
            link.unlink()
    conf = root / "etc/ld.so.conf"
    conf.write_text((conf.read_text() if conf.exists() else "") + "include ld.so.conf.d/*.conf\n")
    (root / "etc/ld.so.conf.d").mkdir(exist_ok=True)
    (root / "etc/ld.so.conf.d/own.conf").write_text("# ours\n/opt/lib\n")
    cache = root / "etc/ld.so.cache"
    cache.write_bytes(build_cache([one for one in parse_cache(cache.read_bytes()) if not one.name.startswith(b"libtinfo")]))


def no_cache(root: Path) -> None:
    """The same without any cache."""
    library_not_in_cache(root)
    (root / "etc/ld.so.cache").unlink()


def lines(path: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    """Change a text file of the root."""

    def act(root: Path) -> None:
        file = root / path
        file.write_text(change(file.read_text()))

    return act


def remove(guest: str) -> Callable[[Path], None]:
    """Remove a file, a link or an empty directory."""

    def act(root: Path) -> None:
        path = root / guest.lstrip("/")
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    return act


def mode(guest: str, bits: int) -> Callable[[Path], None]:
    """Change the mode of what a guest path leads to."""
    return lambda root: inside(root, guest).chmod(bits)


def link(guest: str, text: str) -> Callable[[Path], None]:
    """Put a link in the place of a file."""

    def act(root: Path) -> None:
        path = root / guest.lstrip("/")
        if os.path.lexists(path):
            path.unlink()
        path.symlink_to(text.format(root=root))

    return act


def becomes_file(guest: str) -> Callable[[Path], None]:
    """Put a plain file in the place of a directory or a device."""

    def act(root: Path) -> None:
        remove(guest)(root)
        (root / guest.lstrip("/")).write_text("")

    return act


def unmerge(root: Path) -> None:
    """Make /sbin a directory beside links into /usr."""
    (root / "usr/sbin").mkdir(exist_ok=True)
    (root / "sbin").unlink(missing_ok=True)
    (root / "sbin").mkdir()


def unlink_library(root: Path, name: str) -> None:
    """Remove a library and the links that lead to it."""
    for path in list(root.rglob(name.rpartition(".so")[0] + ".so*")):
        path.unlink()


def two_links_to_one_place(root: Path) -> None:
    """Let two names of programs lead to a directory that is gone, as with /etc/alternatives."""
    for name in ("dir", "vdir"):
        link(f"usr/bin/{name}", f"/etc/alternatives/{name}")(root)


def interpreter_behind_a_link(root: Path) -> None:
    """Let a script name a link that leads nowhere: the interpreter is told, and not the link as well."""
    link("usr/bin/lang", "/etc/alternatives/lang")(root)
    script(root, "#!/usr/bin/lang\n")


def becomes_directory(guest: str) -> Callable[[Path], None]:
    """Put an empty directory in the place of a file, as a mount does whose source was not there."""

    def act(root: Path) -> None:
        (root / guest).unlink(missing_ok=True)
        (root / guest).mkdir()

    return act


def lose_modes(root: Path) -> None:
    """Take the x bit from everything, as an archive without modes does."""
    for path in [*(root / "usr/bin").iterdir(), interpreter(root)]:
        if not path.is_symlink():
            path.chmod(0o644)


def lose_links(root: Path) -> None:
    """Make a text of every link, as an archive without links does."""
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            text = os.readlink(path)
            path.unlink()
            path.write_text(text)


def top_directory(root: Path) -> None:
    """Put a real /bin with one program in the place of the link, as a tar file of another layout does."""
    (root / "bin").unlink()
    (root / "bin").mkdir()
    shutil.copy(inside(root, "/usr/bin/env"), root / "bin/init")


def empty_usr(root: Path) -> None:
    """Let /usr be the mount point of something that is not mounted."""
    shutil.rmtree(root / "usr")
    (root / "usr").mkdir()


def other_loader(root: Path) -> None:
    """Let the ELF interpreter lack a version that the C library requires of it, as an older one does."""
    found = [name for name in (b"GLIBC_2.35\0", b"GLIBC_2.4\0", b"GLIBC_2.3\0") if name in interpreter(root).read_bytes()]
    patch(interpreter(root), interpreter(root).read_bytes().index(found[0]), b"GLIBC_X")


def own_home(mode: int) -> Callable[[Path], None]:
    """Let passwd name a home directory of the user with this mode."""

    def act(root: Path) -> None:
        uid = helpers.ordinary_user.uid
        (root / "etc/passwd").write_text(f"root:x:0:0:root:/root:/bin/sh\nme:x:{uid}:{uid}::/srv/me:/bin/sh\n")
        (root / "srv/me").mkdir(parents=True)
        give(root / "srv")
        (root / "srv/me").chmod(mode)

    return act


def uses_library(root: Path, made_with: str, there: str) -> None:
    """Build a program with one library, and put another of the same name into the root."""
    place = library(root, "libc.so.6").parent
    compile_program(place / "libown.so.1", made_with, "-shared", "-fPIC", "-Wl,-soname,libown.so.1")
    main = "int f(void); int main(void) { return f(); }\n"
    compile_program(inside(root, "/bin") / "tool", main, place / "libown.so.1")
    compile_program(place / "libown.so.1", there, "-shared", "-fPIC", "-Wl,-soname,libown.so.1")
    give(root)


def finds_by_origin(root: Path) -> None:
    """Build a program that finds its library by $ORIGIN."""
    for name in ("bin", "lib"):
        (root / "opt/app" / name).mkdir(parents=True)
    compile_program(root / "opt/app/lib/libown.so", "int f(void) { return 0; }\n", "-shared", "-fPIC", "-Wl,-soname,libown.so")
    main = "int f(void); int main(void) { return f(); }\n"
    compile_program(root / "opt/app/bin/app", main, root / "opt/app/lib/libown.so", "-Wl,-rpath,$ORIGIN/../lib")
    give(root)


def musl_program(root: Path) -> None:
    """Put a program of musl into a root of glibc."""
    compile_program(inside(root, "/bin") / "tool", "int main(void) { return 0; }\n", compiler="musl-gcc")
    give(root)


def becomes_its_text(guest: str) -> Callable[[Path], None]:
    """Make a file of a link, with the link's text: what git and zip do on systems without links."""

    def act(root: Path) -> None:
        place = inside(root, os.path.dirname(guest)) / os.path.basename(guest)
        target = os.path.basename(os.path.realpath(place))
        place.unlink()
        place.write_text(target)
        place.chmod(0o755)

    return act


def lose_library_link(root: Path) -> None:
    """Remove the link by which a library is found, and leave the library: no ldconfig was run."""
    real = library(root, "libtinfo.so.6")
    if real.name == "libtinfo.so.6":
        real = real.rename(real.with_name("libtinfo.so.6.9"))
    for path in root.rglob("libtinfo.so.6"):
        path.unlink()


def forget_python(root: Path) -> None:
    """Remove the standard library of Python."""
    for path in root.glob("usr/lib/python3*"):
        shutil.rmtree(path)


def forget_perl(root: Path) -> None:
    """Remove the modules of Perl."""
    for path in [*root.rglob("strict.pm"), *root.rglob("Config.pm")]:
        shutil.rmtree(path.parent, ignore_errors=True)


def forget_compiler(root: Path) -> None:
    """Remove the C compiler proper."""
    for path in root.rglob("cc1"):
        path.unlink()


def forget_libgcc(root: Path) -> None:
    """Remove the library with which threads unwind."""
    for path in root.rglob("libgcc_s.so.1"):
        path.unlink()
