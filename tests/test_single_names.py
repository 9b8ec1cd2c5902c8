"""A relative path goes to the kernel as it is, where that finds what the guest means: except where it must not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import helpers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

TOOLS = [word for tool in ("/usr", "/bin", "/lib", "/lib64") if os.path.isdir(tool) for word in ("-b", tool)]


@pytest.fixture
def run(run_pyroot: Callable[..., Result], guest_directory: str) -> Callable[[str], Result]:
    """Run a shell's command in /dir of a root with a mount point, links into the root, and the host's tools."""
    root, host = Path(guest_directory, "root"), Path(guest_directory, "host")
    for path in (root / "dir/inner", root / "dir/sub/covered", root / "target", host / "shown"):
        path.mkdir(parents=True)
    (root / "target/file").write_text("guest\n")
    (root / "dir/file-link").symlink_to("/target/file")
    (root / "dir/dir-link").symlink_to("/target")
    (root / "dir/text").write_text("text\n")
    if os.geteuid() == 0:
        for folder, names, files in os.walk(guest_directory):
            for name in (*names, *files):
                os.chown(os.path.join(folder, name), helpers.NOBODY, helpers.NOBODY, follow_symlinks=False)
    words = ["-r", str(root), *TOOLS, "-b", "/proc", "-b", f"{host}:/dir/sub", "-w", "/dir", "/bin/sh", "-c"]
    return lambda script: run_pyroot([*words, script])


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("cat text", "text\n"),
        ("ls sub", "shown\n"),
        ("find sub -name shown", "sub/shown\n"),
        ("cat file-link", "guest\n"),
        ("stat -L -c %F file-link dir-link", "regular file\ndirectory\n"),
        ("stat -c %F file-link", "symbolic link\n"),
        ("test -e file-link && test -d dir-link && echo yes", "yes\n"),
        ("ls -L dir-link", "file\n"),
        ("chmod 600 file-link && stat -c %a /target/file", "600\n"),
        ("cd / && find dir -name file-link", "dir/file-link\n"),
        ("cd /proc && test self -ef $$ && echo same", "same\n"),
        ("cd /proc/self && test $(wc -l <maps) -gt 0 && ! grep -q root/dir mountinfo && echo guest", "guest\n"),
        ("cd /proc/self && readlink cwd", None),
        ("cd inner && rm -rf ../inner && ls && ! test -e text && test -d . && echo gone", "gone\n"),
        ("rmdir sub; rm -d file-link; ls", "dir-link\ninner\nsub\ntext\n"),
    ],
)
def test_single_name(run: Callable[[str], Result], script: str, output: str | None) -> None:
    done = run(script)
    if output is None:
        assert done.stdout.startswith("/proc/")
    else:
        assert done.stdout == output, done.stderr


WAYS = "for i in 1 2 3 4 5 6; do test -e one/two/here || echo missed; done; "


@pytest.fixture
def walk(run_pyroot: Callable[..., Result], plain_root: list[str]) -> Callable[[str], Result]:
    """Run a shell's command in /dir of the plain root."""
    return lambda script: run_pyroot([*plain_root, "/bin/sh", "-c", script])


@pytest.fixture
def plain_root(guest_directory: str) -> list[str]:
    """Make a root that shows no directory twice, so that nothing has to be noted of opens; return the options for its /dir."""
    root, host = Path(guest_directory, "root"), Path(guest_directory, "host")
    for path in (root / "dir/one/two", root / "dir/else/one/two", root / "dir/sub", root / "target", host):
        path.mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "target/file").write_text("guest\n")
    (root / "dir/one/two/here").write_text("here\n")
    (root / "dir/else/one/two/there").write_text("there\n")
    (root / "dir/dir-link").symlink_to("/target")
    (host / "shown").write_text("shown\n")
    if os.geteuid() == 0:
        for folder, names, files in os.walk(guest_directory):
            for name in (*names, *files):
                os.chown(os.path.join(folder, name), helpers.NOBODY, helpers.NOBODY, follow_symlinks=False)
    return ["-r", str(root), "-b", "/usr", "-b", "/proc", "-b", "/dev/null", "-b", f"{host}:/dir/sub", "-w", "/dir"]


@pytest.mark.skipif(not os.path.islink("/lib"), reason="the host's /lib is no part of /usr")
@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("cd else; test -e one/two/here && echo wrong; test -e one/two/there && echo there", "there\n"),
        ("(cd else; for i in 1 2 3 4 5 6; do test -e one/two/there || echo no; done); test -e one/two/here && echo here", "here\n"),
        ("mv one/two one/three; ln -s /target one/two; test -e one/two/file && read x <one/two/file && echo $x", "guest\n"),
        ("mv /dir /moved; test -e one/two/here && read x <one/two/here && echo $x", "here\n"),
        ("rm -r one; test -e one/two/here || echo gone; mkdir -p one/two; test -d one/two && echo new", "gone\nnew\n"),
        ("test -e sub/shown && test -e ./sub/shown && read x <sub/shown && echo $x", "shown\n"),
        ("test sub -ef sub/. && echo same; rmdir sub || echo busy; cd sub && read x <shown && echo $x", "same\nbusy\nshown\n"),
        ("for i in 1 2 3; do read x <dir-link/file; test -e dir-link/file; echo $? $x; done", "0 guest\n0 guest\n0 guest\n"),
        ("ln -s one/two/here at; for i in 1 2 3; do read x <at; echo $x; done", "here\nhere\nhere\n"),
        ("ln -s loop/x loop; cat <loop || cat loop/x || test -e loop/x || echo no", "no\n"),
        ("echo more >one/two/made && cat one/two/made && echo over >dir-link/made && cat /target/made", "more\nover\n"),
        ("cd /proc; ! grep -q root/dir $$/mountinfo && grep -q ' /dir/sub ' $$/mountinfo && echo own", "own\n"),
        ("cd /proc; test self/cwd -ef /proc && test $$/cwd -ef /proc && echo same", "same\n"),
        ("read x <one/../one/two/here; echo $x; cd one/two; read x <../two/here; echo $x", "here\nhere\n"),
    ],
)
def test_path_of_several_names(walk: Callable[[str], Result], script: str, output: str) -> None:
    """From the working directory, after it has been used for several paths: what the kernel finds there by itself is the guest's."""
    done = walk(WAYS + script)
    assert done.stdout == output, done.stderr


def limit_descriptors(pid: int, most: int) -> None:
    """Set a soft limit of the ordinary user's process."""
    done = helpers.run(["prlimit", "--pid", str(pid), f"--nofile={most}:"])
    assert done.status == 0, done.stderr


@pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit is not installed (Debian: util-linux)")
@pytest.mark.skipif(not os.path.islink("/lib"), reason="the host's /lib is no part of /usr")
def test_names_are_not_left_to_their_texts_when_descriptors_run_out(pyroot_words: list[str], plain_root: list[str]) -> None:
    """A name that cannot be pinned, as pyroot has no descriptor to spare, cannot be renamed: by its text it might lead elsewhere."""
    script = ">else/f; mv -i else/f /dir/one/two/here; read x; test -e else/f && echo kept; mv else/f one/two/here && echo moved"
    process = helpers.start([*pyroot_words, *plain_root, "/bin/sh", "-c", script], stdin=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdin
    assert process.stdout
    said = b""
    while not said.endswith(b"? "):
        said += os.read(process.stdout.fileno(), 1)
    limit_descriptors(process.pid, 3)
    process.stdin.write(b"y\n")
    process.stdin.flush()
    said += process.stdout.readline()
    limit_descriptors(process.pid, 200)
    rest, _ = process.communicate(b"\n", timeout=helpers.TIME_LIMIT)
    assert b"Cannot allocate memory" in said, said
    assert rest == b"kept\nmoved\n"
