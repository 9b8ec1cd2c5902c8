"""What execve found out about a file is kept for a moment: never longer than it is true.

Each script runs in the real chroot as well, where the suite is root; both must print the same.
"""

from __future__ import annotations

import glob
import os
import shutil
import struct
from typing import TYPE_CHECKING

import pytest

from tests import helpers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

# Every program is run often before it changes, and once when it is old enough to be remembered.
SCRIPTS = {
    "a script that is written again": """
        for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            printf '#!/bin/sh\\necho text %d\\n' $i > s; chmod +x s; ./s
            printf '#!/bin/echo no. %d\\n' $i > s; ./s
        done""",
    "a program that is moved onto another": """
        for name in true false true false true; do
            cp /bin/$name new; sleep 0.1; ./new; echo $?; ./new; mv new p; ./p; echo $?
        done""",
    "rights that come and go": """
        cp /bin/true p; sleep 0.1
        for i in 1 2 3; do ./p; ./p; chmod -x p; ./p 2>/dev/null; echo $?; chmod +x p; ./p; echo $?; done
        mkdir d; mv p d; d/p; d/p; chmod -x d; d/p 2>/dev/null; echo $?; chmod +x d; d/p; echo $?""",
    "a file that is open for writing": """
        cp /bin/true p; sleep 0.1; ./p; ./p
        for i in 1 2 3; do exec 3>>p; ./p 2>/dev/null; echo $?; exec 3>&-; ./p; echo $?; done""",
    "an ELF interpreter that goes away": """
        cp /bin/true p; set -- /lib*/ld-linux*; sleep 0.1
        for i in 1 2 3; do
            ./p; ./p; echo $?
            /busybox mv $1 /place/aside; ./p 2>/dev/null; echo $?; /busybox mv /place/aside $1; ./p; echo $?
            /busybox mv $1 $1.new; /busybox ln -s $1.new $1; ./p; ./p; echo $?; /busybox rm $1; ./p 2>/dev/null; echo $?
            /busybox mv $1.new $1; /busybox chmod -x $1; ./p 2>/dev/null; echo $?; /busybox chmod +x $1; ./p; echo $?
        done""",
}


def static_busybox() -> str:
    """Return the program that needs nothing else; skip where there is none."""
    found = shutil.which("busybox")
    if found is None:
        pytest.skip("no busybox: apt-get install busybox-static")
    return found


@pytest.fixture
def own_root(guest_directory: str, made_root: str) -> str:
    """Copy the small root, so that the script may change all of it."""
    root = f"{guest_directory}/root"
    shutil.copytree(made_root, root, symlinks=True)
    if os.geteuid() == 0:
        for directory, names, files in os.walk(root):
            for name in [*names, *files, "."]:
                os.chown(f"{directory}/{name}", 65534, 65534, follow_symlinks=False)
    shutil.copy(static_busybox(), f"{root}/busybox")  # needs no ELF interpreter
    os.makedirs(f"{root}/place", exist_ok=True)
    os.chmod(f"{root}/place", 0o777)
    return root


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_changed_is_seen(
    name: str, own_root: str, run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result]
) -> None:
    words = ["sh", "-c", f"rm -rf /place/*; cd /place; {SCRIPTS[name]}"]
    ours = run_pyroot(["-r", own_root, *words], environment={"PATH": "/bin:/usr/bin"})
    real = real_chroot(own_root, words, environment={"PATH": "/bin:/usr/bin"})
    assert real.stdout
    assert (ours.status, ours.stdout, ours.stderr) == (real.status, real.stdout, real.stderr)


IN_ACCESS, IN_CLOSE_NOWRITE, IN_OPEN = 0x1, 0x10, 0x20


def opens_of(paths: list[str], action: Callable[[], object], between: int = IN_CLOSE_NOWRITE) -> list[int]:
    """Count how often files are opened while something is done, as inotify(7) tells it."""
    watcher = helpers.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    # (equal events that follow each other are one, so the ends are watched, too, or what comes between)
    watches = [helpers.libc.inotify_add_watch(watcher, os.fsencode(path), IN_OPEN | between) for path in paths]
    assert min(watches) > 0
    counts = dict.fromkeys(watches, 0)
    try:
        action()
        data = os.read(watcher, 1 << 20)
    finally:
        os.close(watcher)
    at = 0
    while at < len(data):
        watch, mask, _cookie, size = struct.unpack_from("iIII", data, at)
        counts[watch] += mask & IN_OPEN != 0
        at += 16 + size
    return [counts[watch] for watch in watches]


def test_an_exec_opens_a_file_once(own_root: str, run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result]) -> None:
    """Program, script and ELF interpreter, for those who watch them; also of files that are known from before."""
    with open(f"{own_root}/place/script", "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 3\n")
    os.chmod(f"{own_root}/place/script", 0o755)
    interpreters = [path for path in glob.glob(f"{own_root}/**/ld-linux*", recursive=True) if not os.path.islink(path)]
    watched = [f"{own_root}/bin/true", f"{own_root}/busybox", f"{own_root}/place/script", *interpreters]
    words = ["/busybox", "sh", "-c", "/bin/true; /place/script; echo $?; /bin/true; /busybox true"]
    for command in (words, ["/bin/sh", *words[2:]]):
        real = opens_of(watched, lambda command=command: real_chroot(own_root, command))  # type: ignore[misc]
        ours = opens_of(watched, lambda command=command: run_pyroot(["-r", own_root, "-w", "/", *command]))  # type: ignore[misc]
        assert ours == real
        assert real[0] == 2
