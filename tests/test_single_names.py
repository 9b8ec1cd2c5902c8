"""A path of one name, from the working directory or a descriptor, goes to the kernel as it is: except where it must not."""

from __future__ import annotations

import os
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
