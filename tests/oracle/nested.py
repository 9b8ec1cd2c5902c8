"""Programs that call chroot(2) themselves: the right to do so, a root to start from, and short sequences of operations.

Both sides are the ordinary user with CAP_SYS_CHROOT as the only right.  The real side's root is the root of its mount
namespace (pivot_root(2)), as pyroot's is for its guests: a path outside of a nested root is then told alike by both.
"""

from __future__ import annotations

import ctypes
import os
import re
from typing import TYPE_CHECKING

from .scenarios import EXECUTABLES, moved_by_a_child, quoted, removed_directory

if TYPE_CHECKING:
    from .program import ProgramGenerator

CAP_SYS_CHROOT = 18
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SYS_PIVOT_ROOT = 155
MS_BIND = 0x1000
MNT_DETACH = 2
TOP_SLOT = 12
"""The slot that holds the topmost root, for the way back out of nested ones."""

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> None:
    """Raise OSError when a C call failed."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def become_user_with_chroot(uid: int) -> None:
    """Become an ordinary user who may call chroot(2) and nothing else, also behind the next execve(2)."""
    if os.geteuid() != uid:
        checked(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl")
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    only = 1 << CAP_SYS_CHROOT
    checked(libc.capset(header, (ctypes.c_uint32 * 6)(only, only, only, 0, 0, 0)), "capset")
    checked(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_CHROOT, 0, 0), "prctl")


def make_topmost(root: str) -> None:
    """Make a directory the root of this mount namespace; mounts below it have to be made before."""
    os.chdir(root)
    checked(libc.syscall(SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
    checked(libc.umount2(b".", MNT_DETACH), "umount2")
    os.chdir("/")


def directory(g: ProgramGenerator) -> str:
    """Return a path that is often a directory."""
    rng = g.rng
    bound = [b.guest for b in g.bindings if b.is_directory and b.guest != "/proc"]
    if rng.random() < 0.2:
        return g.path()
    path = rng.choice(("/a", "/b", "/tmp", "/x", "/a/d", "/b/d", "/chain", ".", "..", *bound, *bound, *g.names))
    return path + rng.choice(("", "", "", "/", "/.", "/..", "/../a", "/d"))


def calls_inside(g: ProgramGenerator, count: int) -> list[str]:
    """Return calls whose answers depend on the root, and some others."""
    rng = g.rng
    links = ("cwd", "root", "exe", "fd/9", "root/..", "cwd/..", "root/../..", "fd/9/..", "root/a", "root/proc/self/cwd")
    lines: list[str] = []
    for _ in range(count):
        roll = rng.random()
        if roll < 0.2:
            lines.append(f"getcwd >text:{rng.choice((5, 100, 4096))} {rng.choice((100, 4096))}")
        elif roll < 0.35 and g.has_proc:
            link = f'"{rng.choice(("", "../", "../../", "/", "/../", "/proc/../"))}proc/self/{rng.choice(links)}"'
            lines.append(rng.choice((f"readlink {link} >text:300 300", f"stat {link} >stat", f"chdir {link}")))
        elif roll < 0.5:
            up = rng.choice(("/..", "..", "../..", "/../..", "../../..", "/", "//", "/.", "."))
            lines.append(rng.choice((
                f"stat {quoted(up)} >stat", f"chdir {quoted(up)}", f"rmdir {quoted(up)}", f"mkdir {quoted(up)} 0755",
                f"open {quoted(up)} 0x800 0", f"open {quoted(up)} 0xc1 0644", f"unlink {quoted(up)}",
                f"rename {quoted(up)} \"x\"", f"readlink {quoted(up)} >text:100 100", f"chroot {quoted(up)}",
                f"openat2 -100 {quoted(up)} longs:0x800:0:{rng.choice((1, 8, 16, 4))} 24",
                f"openat2 %9 {quoted(up)} longs:0x800:0:{rng.choice((1, 8, 16, 4))} 24",
            )))
        elif roll < 0.6:
            path = rng.choice(("/l", "/d/l", "l", "/a/l", "/b/l", "q", "/m", "/self", "41", "/39"))
            lines.append(f"stat {quoted(path)} >stat")
        else:
            lines += g.call()
    return lines


def inside(g: ProgramGenerator) -> list[str]:
    """Go into a nested root, perhaps a second one, look around, and come back by a descriptor."""
    lines = [f"=9 open {quoted(directory(g))} 0x210000 0", f"chroot {quoted(directory(g))}"]
    if g.rng.random() < 0.6:
        lines.append('chdir "/"')
    lines += calls_inside(g, 6)
    if g.rng.random() < 0.3:
        lines += [f"chroot {quoted(directory(g))}", *calls_inside(g, 4)]
    if g.rng.random() < 0.3:
        lines += ["fchdir %9", *calls_inside(g, 3)]
    return [*lines, *out(), "close %9"]


def out() -> list[str]:
    """Come back to the topmost root."""
    return [f"fchdir %{TOP_SLOT}", 'chroot "."']


def escape(g: ProgramGenerator) -> list[str]:
    """Climb out by the classic way: a directory of one's own, chroot into it, up from the old working directory."""
    where = g.rng.choice(("/tmp", "/a", "/b"))
    ups = [g.rng.choice(('chdir ".."', 'chdir "../.."', "getcwd >text:300 300", 'stat ".." >stat')) for _ in range(4)]
    return [
        f"chdir {quoted(where)}", 'mkdir "jail" 0755', 'chroot "jail"', "getcwd >text:300 300", *calls_inside(g, 3), *ups,
        'chroot "."', "getcwd >text:300 300", 'stat "/" >stat', 'stat "/.." >stat', *out(), f"rmdir {quoted(where + '/jail')}",
    ]


def child(g: ProgramGenerator) -> list[str]:
    """Let a child, which may share its root with its parent, go into a nested root and execute something there."""
    how = g.rng.choice(("0", "0x200", "0x400", "0x100", "0x4100", "0x10f00", "0x4300"))
    where = g.rng.choice(("/x", "/", "/", "/a", *(b.guest for b in g.bindings if b.is_directory and b.guest != "/proc")))
    lines = [f"chroot {quoted(where)}", *(['unshare 0x200'] if g.rng.random() < 0.2 else []), *calls_inside(g, 3)]
    if g.rng.random() < 0.5:
        path = g.rng.choice(EXECUTABLES)
        if where == "/x" and g.rng.random() < 0.6:
            path = path.replace("/x/", "/")
        last = f'execve {quoted(path)} ["zero" "one"] ["A=b"]'
        lines += ["clone 0 1", last] if how in ("0x10f00",) else [last]
    look = ["getcwd >text:300 300", 'stat "/" >stat', 'readlink "/proc/self/root" >text:100 100']
    return [f"clone {how} {len(lines)}", *lines, *look, *out()]


def moved_root(g: ProgramGenerator) -> list[str]:
    """Rename or remove the nested root while processes live in it."""
    where = g.rng.choice(("/tmp", "/a", "/b", *(b.guest for b in g.bindings if b.is_directory and b.guest != "/proc")))
    one, two = f"{where}/r1", f"{where}/r2"
    change = g.rng.choice((f"rename {quoted('../r1')} {quoted('../r2')}", 'rmdir "../r1"', 'rmdir "sub"'))
    calls = (
        "getcwd >text:300 300", 'stat "/" >stat', 'stat "/.." >stat', 'stat ".." >stat', 'open "/" 0x800 0', 'mkdir "/new" 0755',
        'rmdir "/new"', 'stat "/sub" >stat', 'chdir "/"', 'chdir "/sub"', 'readlink "/proc/self/root" >text:300 300', 'chdir ".."',
        'rmdir "/"', 'mkdir "/" 0755', 'lstat "/" >stat', 'open "/x" 0x841 0644', 'unlink "/x"', 'access "/." 0', 'lstat "/.." >stat',
        'rename "/" "/y"', 'openat2 -100 "/" longs:0x800:0:0 24', 'openat2 -100 "/.." longs:0x800:0:8 24', 'readlink "/" >text:9 9',
    )
    return [
        f"mkdir {quoted(one)} 0755", f"mkdir {quoted(one + '/sub')} 0755", f"chdir {quoted(one)}",
        g.rng.choice(('chroot "."', 'chroot "sub"', 'chroot "../r1"')), g.rng.choice(("chdir \"sub\"", "getcwd >text:9 9")),
        *g.rng.sample(calls, 4), f"fchdir %{TOP_SLOT}", f"chdir {quoted(where.lstrip('/') + '/r1')}", change,
        *g.rng.sample(calls, 8), *out(), *(f"rmdir {quoted(p)}" for p in (f"{one}/sub", f"{two}/sub", one, two)),
    ]


def relatives(g: ProgramGenerator) -> list[str]:
    """Look at the links of a parent that lives in another root."""
    if not g.has_proc:
        return inside(g)
    links = ("cwd", "root", "exe", "root/..", "cwd/..", "root/a", "fd/9", "root/root", "cwd/a/..")
    calls: list[str] = []
    for _ in range(5):
        link = f'"{g.rng.choice(("/proc", "../proc", "../../proc", "proc"))}/\\P/{g.rng.choice(links)}"'
        calls.append(g.rng.choice((f"readlink {link} >text:300 300", f"stat {link} >stat", f"chdir {link}", f"chroot {link}")))
    return [
        f"=9 open {quoted(directory(g))} 0x210000 0",
        *([f"chroot {quoted(directory(g))}", 'chdir "/"'] if g.rng.random() < 0.4 else []),
        f"clone 0 {len(calls) + 3}", f"fchdir %{TOP_SLOT}", f"chroot {quoted(g.rng.choice(('.', 'a', 'tmp', 'x')))}", *calls,
        "getcwd >text:300 300", *out(), "close %9",
    ]


def in_a_root(g: ProgramGenerator) -> list[str]:
    """Do what the other scenarios do, below a nested root."""
    block = g.rng.choice((removed_directory, moved_by_a_child))(g)
    return [f"chroot {quoted(g.rng.choice(('/tmp', '/a', '/b', '/')))}", *block, *out()]


SCENARIOS = (inside, inside, inside, escape, child, child, moved_root, relatives, in_a_root)


def start() -> list[str]:
    """Return the line that keeps the way back."""
    return [f'={TOP_SLOT} open "/" 0x210000 0']


def with_rights(line: str) -> str:
    """Let access(2) keep the caller's rights.

    It puts them aside, and then the links in /proc of any process that has them are closed, the supervisor's too.
    """
    line = re.sub(r"^access (.*) (\S+)$", r"faccessat2 -100 \1 \2 0x200", line)
    return re.sub(r"^faccessat (.*) \S+$", r"faccessat2 \1 0x200", line)


def scenario(g: ProgramGenerator) -> list[str]:
    """Return one sequence."""
    return g.rng.choice(SCENARIOS)(g)
