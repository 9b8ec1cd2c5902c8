"""Short sequences of operations that only make sense together: sockets, executions, removed directories, renames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .case import UNMADE

if TYPE_CHECKING:
    from collections.abc import Callable

    from .program import ProgramGenerator

EXECUTABLES = (
    "/ops", "/x/ops2", "/x/s1", "/x/s2", "/x/s4", "/x/s5", "/x/s6", "/x/s7", "/x/arg", "/x/rel", "/x/relx", "/x/crlf",
    "/x/gone", "/x/none", "/x/blank", "/x/dir", "/x/empty", "/x/text", "/x/nonl", "/x/long", "/x/link", "/x/longarg",
    "/x/fifo", "/x/dotdot", "/x/proc", "/x/nox", "/x/slash", "/x/tab", "/x/plain", "/x/noexec",
    "/x/dynamic", "/x/dynamic", "/x/orphan", "/x/short", "/x/lops", "/x/ls1", "/x/labs", "/x", "/x/pipe", "/x/../ops",
    "/ops/", "/x/s1/", "x/s1", "ops", "./ops", "", "/proc/self/exe", "/proc/self/root/ops", "/proc/self/cwd/ops",
)
ARGUMENTS = ('["zero" "one"]', '["zero"]', "[]", "NULL", '["" "two words" "\\xff"]', "HOLE")


def quoted(text: str) -> str:
    """Quote text without special characters."""
    return f'"{text}"'


def socket_path(g: ProgramGenerator) -> str:
    """Return a path for an address: short, or of the lengths around the limit of 108."""
    rng = g.rng
    roll = rng.random()
    if roll < 0.5:
        return rng.choice(("/tmp/s0", "/tmp/s1", "s0", "/a/s0", "../tmp/s1", "/tmp/../a/s0", "/b/s1"))
    if roll < 0.6:
        length = rng.choice((100, 106, 107, 108))
        return ("/tmp/./" + "./" * 60 + "s")[: length - 2] + rng.choice(("s0", "s1"))
    path = g.path()
    return path if len(path) <= 108 and '"' not in path else "/tmp/s0"


def address(path: str, g: ProgramGenerator) -> str:
    """Return the address arguments, nearly always with a length that fits."""
    length = len(path) + 2 + g.rng.choice((0, 0, 1, 1, 1))
    if g.rng.random() < 0.06:
        length = g.rng.choice((0, 1, 2, 3, 110, 111, 200))
    return f"un:{quoted(path)} {min(length, 110) if g.rng.random() < 0.97 else length}"


def capacity(g: ProgramGenerator) -> str:
    """Return an output address and its length, often too short."""
    size = g.rng.choice((110, 110, 110, 128, 0, 1, 2, 3, 5, 20))
    return f">sa:{size} >len:{size}"


def stream_socket(g: ProgramGenerator) -> list[str]:
    """Bind, listen, connect, accept, and ask both ends for their names."""
    path = socket_path(g)
    other = path if g.rng.random() < 0.7 else socket_path(g)
    kind = g.rng.choice(("0x801", "0x805"))
    lines = [
        f"=6 socket 1 {kind} 0", f"bind %6 {address(path, g)}", "listen %6 5", f"getsockname %6 {capacity(g)}",
        f"=7 socket 1 {kind} 0",
    ]
    if g.rng.random() < 0.4:
        lines.append(f"bind %7 {address(socket_path(g), g)}")
    lines += [f"connect %7 {address(other, g)}",
              f"=8 {g.rng.choice(('accept', 'accept4'))} %6 {capacity(g)} 0x80000", f"getpeername %7 {capacity(g)}"]
    lines += [f"getpeername %8 {capacity(g)}", f"getsockname %8 {capacity(g)}", f"stat {quoted(path)} >stat"]
    if g.rng.random() < 0.3:
        lines += [f"rename {quoted(path)} \"/tmp/moved\"", f"connect %7 {address('/tmp/moved', g)}"]
    return [*lines, *clean(path), "close %7"]


def clean(path: str) -> list[str]:
    """Remove a socket file and close its socket."""
    return [f"unlink {quoted(path)}", "close %6"]


def datagram_socket(g: ProgramGenerator) -> list[str]:
    """Send to a path with every call that takes an address, and ask who sent."""
    path = socket_path(g)
    sender = socket_path(g)
    lines = [
        "=6 socket 1 0x802 0", f"bind %6 {address(path, g)}", "=7 socket 1 0x802 0", f"bind %7 {address(sender, g)}",
    ]
    for _ in range(g.rng.randint(1, 3)):
        target = path if g.rng.random() < 0.8 else socket_path(g)
        length = len(target) + 2 if g.rng.random() < 0.9 else g.rng.choice((0, 2, 3, 110))
        lines.append(g.rng.choice((
            f'sendto %7 "x" 1 0 un:{quoted(target)} {length}',
            f"sendmsg %7 msg:{length}:{quoted(target)} 0",
            f"sendmmsg %7 mmsg:{length}:{quoted(target)}:{quoted(path)} 2 0", "recvmmsg %6 >msg:110 1 0 NULL",
        )))
        lines.append(g.rng.choice((
            f"recvfrom %6 >data:10 10 0 {capacity(g)}", "recvmsg %6 >msg:110 0", "recvmsg %6 >msg:5 0",
            "recvfrom %6 >data:10 10 0 NULL NULL",
        )))
    return [*lines, f"getsockname %7 {capacity(g)}", f"unlink {quoted(sender)}", *clean(path), "close %7"]


def other_sockets(g: ProgramGenerator) -> list[str]:
    """Unnamed, autobound and abstract addresses: nothing of theirs is a path."""
    seed = g.rng.randrange(1 << 40)
    return [
        "=6 socket 1 0x801 0", f"getsockname %6 {capacity(g)}",
        g.rng.choice(('bind %6 un:"" 2', f'bind %6 un:"\\x00oracle{seed:x}" 18', 'bind %6 un:"/tmp/x" 1')),
        "getsockname %6 >sa:8 >len:8", "=7 socket 2 0x802 0", f"getsockname %7 {capacity(g)}", "close %6", "close %7",
    ]


def execution(g: ProgramGenerator) -> list[str]:
    """Execute something in a child, which may share memory, files or cwd with its parent, or in its thread."""
    rng = g.rng
    path = rng.choice(EXECUTABLES) if rng.random() < 0.8 else g.path()
    arguments = rng.choice(ARGUMENTS) if rng.random() < 0.5 else ARGUMENTS[0]
    if rng.random() < 0.03:
        arguments = f'["{"z" * (131070 + rng.randint(0, 3))}"]'
    environment = rng.choice(('["A=b" "C=d"]', "[]", "NULL"))
    call = f"execve {quoted(path)} {arguments} {environment}"
    before: list[str] = []
    if rng.random() < 0.4:
        how = rng.choice(("0x200000", "0x280000", "0x800", "0x80800"))
        flags = rng.choice(("0", "0x100", "0x10000", "0x800"))
        call = f"execveat -100 {quoted(path)} {arguments} {environment} {flags}"
        if rng.random() < 0.4:
            before = [f"=9 open {quoted(path)} {how} 0"]
            call = f'execveat %9 "" {arguments} {environment} {rng.choice(("0x1000", "0x1000", "0x11000", "0"))}'
        elif rng.random() < 0.5:
            before = [f'=9 open "/x" {how} 0']
            call = f"execveat %9 {quoted(path.removeprefix('/x/'))} {arguments} {environment} {flags}"
    elif g.has_proc and rng.random() < 0.2:
        before = [f'=9 open {quoted(path)} {rng.choice(("0x200000", "0x800", "0x280000"))} 0']
        call = f'execve "/proc/self/fd/9" {arguments} {environment}'
    before = [*before, *(['chdir "/x"'] if rng.random() < 0.2 else [])]
    if rng.random() < 0.15:
        return [f"clone 0 {len(before) + 2}", *before, "clone 0x10f00 1", call]
    return [f"clone {rng.choice(('0', '0', '0x4100', '0x100'))} {len(before) + 1}", *before, call]


def removed_directory(g: ProgramGenerator) -> list[str]:
    """Work in a directory that is gone."""
    parent = g.rng.choice(("/tmp", "/a", "/b", *(b.guest for b in g.bindings if b.is_directory)))
    gone = f"{parent}/gone"
    lines = [f"mkdir {quoted(gone)} 0755", f"=9 open {quoted(gone)} 0x10000 0", f"chdir {quoted(gone)}"]
    lines.append(f"rmdir {quoted(gone)}")
    calls = (
        "getcwd >text:100 100", 'stat "." >stat', 'stat ".." >stat', 'open "." 0 0', 'open "new" 0x841 0644',
        'stat "" >stat',
        'newfstatat %9 "" >stat 0x1000', 'mkdirat %9 "x" 0755', 'list %9', 'openat %9 ".." 0 0', 'openat %9 "." 0 0',
        'readlink "/proc/self/cwd" >text:100 100', 'stat "/proc/self/cwd" >stat', 'fchdir %9', 'chdir ".."',
        'chdir "."',
        'readlink "/proc/self/fd/9" >text:100 100', 'openat2 %9 "x/.." longs:0:0:8 24', 'rename "." "y"',
        'access ".." 0',
    )
    lines += g.rng.sample(calls, 5)
    return [*lines, 'chdir "/"', "close %9"]


def moved_directory(g: ProgramGenerator) -> list[str]:
    """Rename a directory under an open fd and under the cwd."""
    one, two = g.rng.sample(("/tmp/m1", "/a/m1", "/b/m2", "/tmp/m2", "m3"), 2)
    lines = [
        f"mkdir {quoted(one)} 0755", f"=9 open {quoted(one)} 0x210000 0", f"chdir {quoted(one)}", 'mkdir "sub" 0755',
        f"rename {quoted(one)} {quoted(two)}", "getcwd >text:200 200", 'openat %9 "sub" 0x10000 0',
        'stat "../m1" >stat',
        'newfstatat %9 "../m2" >stat 0', 'chdir "sub"', "getcwd >text:200 200", 'chdir ".."', 'rmdir "sub"',
    ]
    return [*lines, 'chdir "/"', f"rmdir {quoted(two)}", f"rmdir {quoted(one)}", "close %9"]


def binding_edges(g: ProgramGenerator) -> list[str]:
    """Go up and down over the top of a binding with every kind of start."""
    if not g.bindings:
        return g.call()
    binding = g.rng.choice(g.bindings)
    guest = binding.guest
    name = guest.rpartition("/")[2]
    calls = [
        f"stat {quoted(guest + '/..')} >stat", f"rmdir {quoted(guest)}", f"unlink {quoted(guest)}",
        f"rename {quoted(guest)} {quoted(guest + 'x')}", f"rename \"/tmp\" {quoted(guest)}",
        f"renameat2 -100 {quoted(guest)} -100 \"/a/f\" 2", f"link {quoted(guest + '/f')} \"/tmp/lf\"",
        'unlink "/tmp/lf"',
        f"rename {quoted(guest + '/f')} \"/tmp/rf\"", f"mkdir {quoted(guest)} 0755", f"symlink \"x\" {quoted(guest)}",
        f"rename {quoted(guest + '/f')} {quoted(guest + '/f2')}",
        f"rename {quoted(guest + '/f2')} {quoted(guest + '/f')}",
        f"open {quoted(guest)} 0xc1 0644", f"chmod {quoted(guest)} 0755", f"lstat {quoted(guest)} >stat",
        f"rmdir {quoted(guest + '/.')}", f"openat2 -100 {quoted(guest)} longs:0:0:1 24",
        f"openat2 -100 {quoted(guest + '/..')} longs:0:0:1 24", f"rmdir {quoted(guest + '/a/..')}",
    ]
    lines = g.rng.sample(calls, 6)
    if binding.is_directory:
        lines += [
            f"=9 open {quoted(guest)} 0x210000 0", 'openat %9 ".." 0x200000 0',
            f"newfstatat %9 {quoted('../' + name)} >stat 0",
            "fchdir %9", 'stat ".." >stat', f"stat {quoted('../' + name + '/.')} >stat", "getcwd >text:300 300",
            f"openat2 %9 {quoted('..')} longs:0:0:8 24", f"openat2 %9 {quoted('/a')} longs:0:0:16 24",
            f"openat2 %9 {quoted('../../a')} longs:0:0:16 24", f"openat2 %9 {quoted('a/../..')} longs:0:0:1 24",
            'chdir ".."', "getcwd >text:300 300", 'chdir "/"', "close %9",
        ]
    return lines


def names_of_host(g: ProgramGenerator, host: str) -> list[str]:
    """Return all guest paths of what lies at a place of the host."""
    tops = [("root", ""), *((b.host, b.guest) for b in g.bindings)]
    return [at + host[len(top):] for top, at in tops if (host + "/").startswith(top + "/")]


def names_of(g: ProgramGenerator, guest: str) -> list[str]:
    """Return all names that a guest path has in a view that may show a directory twice."""
    tops = [("root", ""), *((b.host, b.guest) for b in g.bindings)]
    host = max(((top + guest[len(at):], at) for top, at in tops if (guest + "/").startswith(at + "/")), key=lambda pair: len(pair[1]))[0]
    return [guest, *(name for name in names_of_host(g, host) if name != guest)]


def closed_way(g: ProgramGenerator) -> list[str]:
    """Close the directory above the host side of a binding, by a name that the guest has for it, and use the binding."""
    found = [(b.guest, name) for b in g.bindings for name in names_of_host(g, b.host.rpartition("/")[0]) if name]
    if not found:
        return g.call()
    guest, above = g.rng.choice(found)
    path = quoted(guest + g.rng.choice(("", "", "", "/f", "/..", "/a")))
    calls = [g.fill(text.replace("{p}", path, 1)) for text in g.rng.sample([text for _, text in g.templates if "{p}" in text], 12)]
    return [f"chmod {quoted(above)} {g.rng.choice(('0', '0444', '0600'))}", *calls, f"chmod {quoted(above)} 0755"]


def mount_point_by_another_name(g: ProgramGenerator) -> list[str]:
    """Remove, move and replace mount points, and what leads to one, by all names that their directory has."""
    found = [(b.guest, names) for b in g.bindings if len(names := names_of(g, b.guest.rpartition("/")[0])) > 1]
    if not found:
        return g.call()
    guest, parents = g.rng.choice(found)
    # (by another name what the real side has made to mount on would be seen)
    name = guest.rpartition("/")[2] if UNMADE not in guest else "f"
    lines = []
    for _ in range(g.rng.randint(2, 6)):
        one, two = (g.rng.choice(parents) + g.rng.choice(("", "", f"/{name}", "/..", "/z", "/a")) for _ in range(2))
        lines.append(g.rng.choice((
            f"rmdir {quoted(one)}", f"unlink {quoted(one)}", f"rename {quoted(one)} {quoted(two)}", f"lstat {quoted(one)} >stat",
            f"renameat2 -100 {quoted(one)} -100 {quoted(two)} {g.rng.choice('012')}", f"mkdir {quoted(one)} 0755",
        )))
    old = g.rng.choice(parents)
    moved = f"{old.rpartition('/')[0]}/moved"
    checks = (f"stat {quoted(guest)} >stat", f"stat {quoted(moved)} >stat", "getcwd >text:300 300", f"rmdir {quoted(moved)}",
              f"lstat {quoted(f'{moved}/{name}')} >stat", f"rmdir {quoted(parents[-1])}", f"stat {quoted(f'{parents[0]}/{name}/.')} >stat")
    return [*lines, f"chdir {quoted(guest)}", f"rename {quoted(old)} {quoted(moved)}", *g.rng.sample(checks, 4),
            f"rename {quoted(moved)} {quoted(old)}", "getcwd >text:300 300", 'chdir "/"']


def moved_mount_point(g: ProgramGenerator) -> list[str]:
    """Rename or exchange a directory that a binding lies in: the binding goes along."""
    inner = [b.guest for b in g.bindings if b.guest.count("/") > 1 and not b.guest.startswith(("/chain", "/lib", "/x"))]
    if not inner:
        return g.call()
    guest = g.rng.choice(inner)
    parent, _, name = guest.rpartition("/")
    moved = g.rng.choice((f"{parent}.moved", "/tmp/moved", "/moved"))
    calls = (
        f"stat {quoted(f'{moved}/{name}/f')} >stat", f"stat {quoted(f'{guest}/f')} >stat", f"rmdir {quoted(moved)}",
        f"lstat {quoted(f'{moved}/{name}')} >stat", f"rmdir {quoted(f'{moved}/{name}')}", "getcwd >text:300 300",
        f"open {quoted(f'{moved}/{name}/..')} 0x200000 0", f"chdir {quoted(f'{moved}/{name}')}", "stat \"..\" >stat",
        f"mkdir {quoted(parent)} 0755", f"mkdir {quoted(guest)} 0755", f"lstat {quoted(guest)} >stat",
        f"rename {quoted(f'{moved}/{name}')} \"/tmp/other\"", f"unlink {quoted(f'{moved}/{name}')}",
    )
    return [
        f"chdir {quoted(guest)}", f"rename {quoted(parent)} {quoted(moved)}", *g.rng.sample(calls, 7), 'chdir "/"',
        f"rmdir {quoted(guest)}", f"rmdir {quoted(parent)}", f"rename {quoted(moved)} {quoted(parent)}",
    ]


def fanotify(g: ProgramGenerator) -> list[str]:
    """Mark paths in an unprivileged fanotify group."""
    return [
        "=9 fanotify_init 0x202 0", g.fill("fanotify_mark %9 1 0x100 {d} {p}"),
        g.fill("fanotify_mark %9 5 0x100 {d} {p}"),
        g.fill("fanotify_mark %9 0x11 2 -100 {p}"), "fanotify_mark %9 1 2 -100 NULL",
        g.fill("fanotify_mark %9 9 2 {d} NULL"),
        "close %9",
    ]


def moved_by_a_child(g: ProgramGenerator) -> list[str]:
    """Let a child process, or a thread, move the directory that its parent works in, or change directory itself."""
    how = g.rng.choice(("0", "0x200", "0x400", "0x100", "0x4100", "0x10f00"))
    where = g.rng.choice(("/tmp", "/a", "/b", *(b.guest for b in g.bindings if b.is_directory and b.guest != "/proc")))
    one, two = f"{where}/w1", f"{where}/w2"
    child = [f"rename {quoted(one)} {quoted(two)}", 'chdir ".."', 'mkdir "w3" 0755', g.call()[0], "getcwd >text:200 200"]
    if g.rng.random() < 0.4:
        child.insert(0, "unshare 0x200")
    return [
        f"mkdir {quoted(one)} 0755", f"=9 open {quoted(one)} 0x10000 0", f"chdir {quoted(one)}",
        f"clone {how} {len(child)}", *child, "getcwd >text:200 200", 'stat "." >stat', 'openat %9 ".." 0x200000 0',
        'open "new" 0x841 0644', 'rename "new" "../w1"', 'chdir "../w3"', "getcwd >text:200 200", 'chdir "/"',
        f"unlink {quoted(one)}", f"rmdir {quoted(one)}", f"rmdir {quoted(two)}", f"rmdir {quoted(where + '/w3')}", "close %9",
    ]


def other_process(g: ProgramGenerator) -> list[str]:
    """Look at the parent's links in /proc from a child that has moved on."""
    if not g.has_proc:
        return g.call()
    names = ("cwd", "root", "exe", "cwd/..", "root/a", "cwd/f", "fd/9", "fd/9/..", "root/..", "task/\\P/cwd", "fd/0")
    calls: list[str] = []
    for _ in range(4):
        link = f'"/proc/\\P/{g.rng.choice(names)}"'
        calls.append(g.rng.choice((
            f"readlink {link} >text:300 300", f"stat {link} >stat", f"lstat {link} >stat", f"open {link} 0x200800 0",
            f"chdir {link}", f"access {link} 4",
        )))
    directory = g.rng.choice(g.names)
    return [
        f"chdir {quoted(directory)}", f"=9 open {quoted(g.rng.choice(g.names))} 0x200800 0",
        f"clone {g.rng.choice(('0', '0x400', '0x4100'))} {len(calls) + 2}", 'chdir "/tmp"', *calls,
        "getcwd >text:200 200", 'chdir "/"', "close %9",
    ]


def deep_directory(g: ProgramGenerator) -> list[str]:
    """Go down until the path of the working directory is longer than any argument may be, work there, come back."""
    if g.rng.random() < 0.8:
        return g.call()
    name, levels = "D" * g.rng.choice((200, 250)), g.rng.choice((16, 20, 22))
    where = g.rng.choice(("/tmp", "/a", *(b.guest for b in g.bindings if b.is_directory and b.guest != "/proc")))
    calls = (
        "getcwd >text:5000 5000", "getcwd >text:100 100", 'open "new" 0x841 0644', 'stat "new" >stat', 'symlink "new" "link"',
        'stat "link" >stat', 'rename "new" "other"', 'unlink "other"', 'unlink "link"', 'unlink "new"', 'stat "../.." >stat',
        '=9 open "." 0x10000 0', "list %9 4096", 'openat %9 ".." 0x200000 0', "fchdir %9", 'access "../../nothing" 0',
        'openat2 %9 "x" longs:0:0:8 24', 'readlink "/proc/self/cwd" >text:5000 5000', 'mkdir "sub" 0755', 'chdir "sub"',
        'chdir ".."', 'rmdir "sub"', 'execve "/../ops" ["x"] []',
    )
    down = [line for _ in range(levels) for line in (f"mkdir {quoted(name)} 0755", f"chdir {quoted(name)}")]
    up = [line for _ in range(levels) for line in ('chdir ".."', f"rmdir {quoted(name)}")]
    work = [*g.rng.sample(calls[:-1], 12), *(["clone 0 1", calls[-1]] if g.rng.random() < 0.5 else [])]
    return [f"chdir {quoted(where)}", *down, *work, 'unlink "other"', 'unlink "link"', 'unlink "new"', 'rmdir "sub"', *up,
            'chdir "/"', "close %9"]


def link_descriptor(g: ProgramGenerator) -> list[str]:
    """Work on an O_PATH descriptor of a link itself."""
    calls = (
        'readlinkat %9 "" >text:200 200', 'newfstatat %9 "" >stat 0x1000', "fstat %9 >stat", 'openat %9 "" 0 0',
        'fchownat %9 "" -1 -1 0x1000', 'linkat %9 "" -100 "/tmp/again" 0x1000', 'unlink "/tmp/again"', 'openat %9 "x" 0 0',
        'utimensat %9 "" longs:5:0:6:0 0x1000', "fchdir %9", 'faccessat2 %9 "" 0 0x1000', 'fchmodat2 %9 "" 0600 0x1000',
        'statx %9 "" 0x1000 0x7ff >statx', "readlinkat %9 NULL >text:200 200", 'name_to_handle_at %9 "" >handle >int 0x1000',
    )
    return [g.fill("=9 open {p} 0x220000 0"), *g.rng.sample(calls, 6), "close %9"]


def watch(g: ProgramGenerator) -> list[str]:
    """Watch a directory while names in it change."""
    where = g.rng.choice(("/tmp", "/a", "/b", *(b.guest for b in g.bindings if b.is_directory and b.guest != "/proc")))
    return [
        "=9 inotify_init1 0x800", f"inotify_add_watch %9 {quoted(where)} 0x3c6",
        f"=8 creat {quoted(where + '/w')} 0644",
        f"chmod {quoted(where + '/w')} 0600", f"rename {quoted(where + '/w')} {quoted(where + '/w2')}",
        f"unlink {quoted(where + '/w2')}", "read %9 >events:4096 4096", g.fill("inotify_add_watch %9 {p} 0x2000004"),
        g.fill("inotify_add_watch %9 {p} {n8}"), "close %8", "close %9",
    ]


def descriptor_links(g: ProgramGenerator) -> list[str]:
    """Look at, through and behind /proc/self/fd of files that are open, moved, unlinked or nameless."""
    where = g.rng.choice(("/tmp", "/a", *(b.guest for b in g.bindings if b.is_directory and b.guest != "/proc")))
    path = f"{where}/dl"
    open_line = g.rng.choice((
        f"=9 open {quoted(path)} 0x42 0644", f"=9 open {quoted(where)} 0x410002 0644",
        f"=9 open {quoted(where)} 0x210000 0",
        '=9 memfd_create "name" 0', f"=9 open {quoted(path)} 0x220000 0", "=9 socket 1 1 0",
    ))
    link = g.rng.choice(("/proc/self/fd/9", "/proc/thread-self/fd/9", "/proc/self/task/../fd/9"))
    calls = (
        f"readlink {quoted(link)} >text:200 200", f"readlink {quoted(link)} >text:4 4", f"open {quoted(link)} 0x802 0",
        f"stat {quoted(link)} >stat", f"lstat {quoted(link)} >stat", f"open {quoted(link)} 0x20800 0",
        f"linkat -100 {quoted(link)} -100 {quoted(where + '/linked')} 0x400", f"unlink {quoted(where + '/linked')}",
        f"rename {quoted(path)} {quoted(path + '2')}", f"unlink {quoted(path)}", f"truncate {quoted(link)} 3",
        f"chmod {quoted(link)} 0600", f"openat2 -100 {quoted(link)} longs:0:0:2 24",
        f"stat {quoted(link + '/.')} >stat",
        f"execve {quoted(link)} [] []", f"access {quoted(link)} 4", f"stat {quoted(link + '/..')} >stat",
    )
    return [open_line, "close 9", "=9 fcntl %9 0 9", *g.rng.sample(calls, 7), f"unlink {quoted(path)}",
            f"unlink {quoted(path + '2')}", "close %9"]


ALL: tuple[Callable[[ProgramGenerator], list[str]], ...] = (
    stream_socket, datagram_socket, other_sockets, execution, execution, execution, execution, removed_directory,
    moved_directory, binding_edges, binding_edges, binding_edges, moved_mount_point, watch, descriptor_links, fanotify,
    mount_point_by_another_name, closed_way, moved_by_a_child, other_process, link_descriptor, deep_directory,
)
