"""Somebody outside removes, replaces or moves a root or the host side of a binding while a guest is in it.

Programs are those of the oracle's interpreter; where the suite is root each also runs in a real chroot, where somebody does the same, and
both must answer alike.  In any case nothing of the directory above may be seen or changed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.twins import Twins, put_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

WAYS = {"gate": {}, "stops": {"PYROOT_NO_GATE": "1"}, "no-seccomp": {"PYROOT_NO_SECCOMP": "1"}, "inside": {},
        "inside-alone": {"PYROOT_NO_HANDOVER": "1"}}
#: Wait until the other side has done what it does.
MEET = ('=7 open "/sync/ready" 1 0', '=8 open "/sync/go" 0 0', "read %8 >text:1 1")
SECRET = "secret"


class Inside(Twins):
    """The same in a pyroot inside another one."""

    def words(self) -> list[str]:
        """Return the arguments of the outer pyroot."""
        return ["-r", "/", "-w", "/", *helpers.pyroot_command()[0], *super().words()]


@pytest.fixture(params=WAYS)
def ground(request: pytest.FixtureRequest, run_pyroot: Callable[..., Result]) -> Iterator[Twins]:
    """Make a directory with things that no guest may see, and in it a root and a directory that is bound."""
    top = tempfile.mkdtemp(prefix="pyroot-outside-")
    for name in ("out/root/proc", "out/root/sync", "out/root/mnt", "out/root/deep/in/side", "out/host/below/more", "out/dir", "sync"):
        os.makedirs(f"{top}/{name}")
    for name in ("ready", "go"):
        os.mkfifo(f"{top}/sync/{name}")
    put_programs(f"{top}/out/root", {"ops": "ops"})
    shutil.copy2(f"{top}/out/root/ops", f"{top}/out/prog")
    with open(f"{top}/out/{SECRET}", "w", encoding="ascii") as file:
        file.write("SECRET\n")
    for directory, _names, files in os.walk(top):
        os.chmod(directory, 0o755)
        for path in (directory, *(f"{directory}/{name}" for name in files)):
            os.chown(path, helpers.ordinary_user.uid, -1)
    kind = Inside if request.param.startswith("inside") else Twins
    yield kind(top, f"{top}/out/root", run_pyroot, [
        (f"{top}/out/host", "/mnt"), (f"{top}/sync", "/sync"), ("/proc", "/proc"),
    ], environment=WAYS[request.param])
    shutil.rmtree(top, ignore_errors=True)


def meet(top: str, act: Callable[[str], None]) -> None:
    """Do something outside, at the moment when the guest of this copy waits for it."""
    limit = time.monotonic() + helpers.TIME_LIMIT
    while not all(os.path.exists(f"{top}/sync/{name}") for name in ("ready", "go")) and time.monotonic() < limit:
        time.sleep(0.01)
    ready = os.open(f"{top}/sync/ready", os.O_RDONLY)
    go = os.open(f"{top}/sync/go", os.O_WRONLY)
    try:
        act(f"{top}/out")
    finally:
        os.close(go)
        os.close(ready)


def names_in(directory: str) -> list[str]:
    """List what lies outside, but for what the other side itself moves there."""
    return sorted(set(os.listdir(directory)) - {"root", "host", "gone"})


def answers(ground: Twins, act: Callable[[str], None], *program: str) -> list[str]:
    """As Twins.answers, while somebody acts outside; see that nothing there has changed."""
    before = names_in(f"{ground.top}/out")
    for top in (ground.top, *([ground.top + ".real"] if os.geteuid() == 0 else [])):
        threading.Thread(target=meet, args=(top, act), daemon=True).start()
    lines = ground.answers(*program)
    assert names_in(f"{ground.top}/out") == before
    with open(f"{ground.top}/out/{SECRET}", encoding="ascii") as file:
        assert file.read() == "SECRET\n"
    return lines


def remove_root(out: str) -> None:
    """Remove the whole root."""
    shutil.rmtree(f"{out}/root")


def remove_host(out: str) -> None:
    """Remove what is bound."""
    shutil.rmtree(f"{out}/host")


def replace_host(out: str) -> None:
    """Put another directory in the place of what is bound."""
    shutil.rmtree(f"{out}/host")
    os.mkdir(f"{out}/host")


def move_host(out: str) -> None:
    """Give what is bound another name."""
    os.rename(f"{out}/host", f"{out}/gone")


def move_host_away(out: str) -> None:
    """Move what is bound to another directory, and remove nothing."""
    os.rename(f"{out}/host", f"{out}/dir/host")


def move_root(out: str) -> None:
    """Give the root another name."""
    os.rename(f"{out}/root", f"{out}/gone")


def move_above_away(out: str) -> None:
    """Remove a directory, and move the one that it was in out of the root."""
    os.rmdir(f"{out}/root/deep/in/side")
    os.rename(f"{out}/root/deep/in", f"{out}/dir/in")
    with open(f"{out}/dir/in/{SECRET}", "w", encoding="ascii") as file:
        file.write("SECRET\n")
    os.chmod(f"{out}/dir/in", 0o777)  # whoever gets here can do everything


#: From the working directory, from a descriptor of it (%9), through links of /proc.
LOOKS = [f'{call} "{way}"{rest}' for way in ("..", "../", "../..", f"../{SECRET}", f"../../{SECRET}", f"./../{SECRET}", f"../out/{SECRET}")
         for call, rest in (("stat", " >int"), ("open", " 0 0"), ("openat %9", " 0x200000 0"), ("faccessat2 %9", " 0 0x200"),
                            ("readlink", " >text:9 9"), ("statfs", " >int"))]
SCOPES = [f'openat2 %9 "{way}" longs:{flags}:0:{resolve} 24' for way in ("..", f"../{SECRET}", "/..", f"/../{SECRET}")
          for flags in ("0", "0x200000") for resolve in ("0", "0x4", "0x8", "0x10")]
CHANGES = ['mkdir "../made" 0755', 'open "../made" 0x41 0644', 'openat %9 "../made" 0xc1 0644', 'creat "../made" 0644',
           'mknod "../made" 0x1180 0', 'symlink "x" "../made"', f'unlink "../{SECRET}"', f'unlinkat %9 "../{SECRET}" 0', 'rmdir "../dir"',
           f'rename "../{SECRET}" "../made"', f'renameat2 %9 "../{SECRET}" %9 "../made" 0', f'link "../{SECRET}" "../made"',
           f'linkat %9 "../{SECRET}" %9 "../made" 0', f'chmod "../{SECRET}" 0', f'truncate "../{SECRET}" 0', 'mkdir ".." 0755',
           '=5 socket 1 2 0', f'connect %5 un:"../{SECRET}"', 'bind %5 un:"../made"', 'inotify_add_watch %9 "../dir" 2',
           'rmdir ".."', 'unlink ".."', 'rmdir "../.."', 'execve "../prog" ["x" "y"] NULL', 'execveat %9 "../prog" ["x" "y"] NULL 0']
PROC = [f'{call} "/proc/self/{way}"{rest}'
        for way in (f"cwd/../{SECRET}", f"cwd/../../{SECRET}", f"fd/3/../{SECRET}", "fd/3/..", "cwd", "fd/3")
        for call, rest in (("stat", " >int"), ("open", " 0 0"), ("mkdir", " 0755"), ("readlink", " >text:60 60"))]
MOVES = ['chdir ".."', f'stat "{SECRET}" >int', f'open "{SECRET}" 0 0', 'open "made" 0x41 0644', f'stat "../{SECRET}" >int', 'fchdir %9',
         'chdir "../.."', f'stat "{SECRET}" >int', "fchdir %9", f'openat %9 "../{SECRET}" 0 0']


def everything(start: str) -> list[str]:
    """Return a program that stands in a directory while somebody acts, and then tries all ways up."""
    return [f'chdir "{start}"', '=9 open "." 0x10000 0', *MEET, *LOOKS, *SCOPES, *CHANGES, *MOVES, "getcwd >text:60 60"]


def test_removed_root_has_nothing_above(ground: Twins) -> None:
    """In a chroot ".." of the root is the root."""
    lines = answers(ground, remove_root, *everything("/"), 'stat "/" >int', 'open "/" 0 0', 'lstat "/" >int', "getcwd >text:9 9")
    assert lines[-1] == "getcwd = -2"
    # (the real chroot has no /proc there any more)
    assert lines[-4].startswith("stat = 0")


@pytest.mark.parametrize("start", ["/deep", "/deep/in/side"])
def test_directory_of_a_removed_root_leads_up_to_the_root(ground: Twins, start: str) -> None:
    answers(ground, remove_root, *everything(start), 'chdir "../../../../.."', f'open "{SECRET}" 0 0', 'open "made" 0x41 0644')


@pytest.mark.parametrize("act", [remove_host, replace_host, move_host, move_host_away])
@pytest.mark.parametrize("start", ["/mnt", "/mnt/below", "/mnt/below/more"])
def test_binding_leads_up_into_the_guest(ground: Twins, act: Callable[[str], None], start: str) -> None:
    """At a mount point ".." is what lies above it for the guest, whatever becomes of what is mounted."""
    answers(ground, act, *everything(start), *PROC, 'rmdir "/proc/self/made"', 'stat "/ops" >int', 'chdir "/mnt"', 'stat "../ops" >int',
            f'stat "../{SECRET}" >int')


@pytest.mark.parametrize("start", ["/", "/deep", "/deep/in/side", "/mnt"])
def test_root_that_was_moved_is_still_one(ground: Twins, start: str) -> None:
    answers(ground, move_root, *everything(start), *PROC, 'stat "/ops" >int', 'chdir "/deep/in"', "getcwd >text:20 20", 'stat "../in" >int')


@pytest.mark.parametrize("act", [remove_root, move_root])
def test_way_up_from_a_descriptor_alone(ground: Twins, act: Callable[[str], None]) -> None:
    """With the working directory elsewhere nothing but the descriptor is in what was removed."""
    answers(ground, act, '=9 open "/" 0x210000 0', 'chdir "/mnt"', *MEET, f'openat %9 "../{SECRET}" 0 0', 'openat %9 ".." 0x10000 0',
            'mkdirat %9 "../made" 0755', f'newfstatat %9 "../{SECRET}" >int 0', f'openat %9 "../../out/{SECRET}" 0 0', "fchdir %9",
            f'open "../{SECRET}" 0 0', 'chdir ".."', f'open "{SECRET}" 0 0')


def test_what_a_removed_directory_was_in_may_be_outside(ground: Twins) -> None:
    """As in a mount whose directories were moved out of it: there is no way up."""
    lines = answers(ground, move_above_away, *everything("/deep/in/side"))
    assert os.listdir(f"{ground.top}/out/dir/in") == [SECRET]
    with open(f"{ground.top}/out/dir/in/{SECRET}", encoding="ascii") as file:
        assert file.read() == "SECRET\n"
    assert lines[-1] == "getcwd = -2"


@pytest.mark.root
def test_root_of_a_guests_own_has_nothing_above(ground: Twins) -> None:
    """What chroot(2) made a root is removed from outside."""
    answer = ground.under_pyroot
    threading.Thread(target=meet, args=(ground.top, remove_root), daemon=True).start()
    program = ['=6 open "/sync" 0x10000 0', 'chdir "/deep/in"', 'chroot "."', '=9 open "." 0x10000 0', '=7 openat %6 "ready" 1 0',
               '=8 openat %6 "go" 0 0', "read %8 >text:1 1", 'chdir ".."', 'open "ops" 0 0',
               f'open "../{SECRET}" 0 0', f'open "../../../{SECRET}" 0 0', f'openat %9 "../../../{SECRET}" 0 0', 'open "../made" 0x41 0644',
               'chdir "../../.."', f'open "{SECRET}" 0 0']
    lines = answer(program, right=True)
    assert [line.split(" = ")[1] for line in lines[7:]] == ["0", *["-2"] * 5, "0", "-2"]
    assert "made" not in os.listdir(f"{ground.top}/out")
