"""All sequences of two calls out of forty on a small tree: ``python -m tests.oracle.run --exhaustive``.

A case has the sequences that begin with one call: for each second call a small tree of its own, with a binding in it, and a child
process that makes the two calls there and then looks at what has become of the place.  Chance has no part in it.
"""

from __future__ import annotations

from .case import ORDINARY_ID, Binding, Case, Entry

CALLS = (
    'chdir "d"', 'chdir "b"', 'chdir ".."', 'chdir "b/.."', 'chdir "l"', 'fchdir %9', 'fchdir %8',
    'mkdir "new" 0755', 'mkdir "b/new" 0755', 'rmdir "d/e"', 'rmdir "b"', 'rmdir "b/e"', 'unlink "f"', 'unlink "b/f"', 'unlink "l"',
    'rename "d" "d2"', 'rename "d/e" "b/new"', 'rename "b/e" "b/e2"', 'rename "f" "b/f"', 'rename "." "x"', 'renameat2 -100 "d" -100 "l" 2',
    'rename "b" "b2"', 'rename "f" "d/f"', 'link "f" "f2"', 'link "b/f" "f2"', 'symlink "b/f" "new"', 'symlink ".." "b/l2"',
    'chmod "d" 0', 'chmod "b" 0', 'chmod "." 0600', '=7 open "b/../f" 0x802 0', '=7 open "lb" 0x800 0', '=7 open "new" 0x841 0644',
    '=7 open "d/up/b" 0x210000 0', 'openat2 %9 "../f" longs:0x800:0:8 24', 'openat2 %8 ".." longs:0x210000:0:16 24',
    'openat2 -100 "b/f" longs:0x800:0:1 24', 'truncate "l/f" 1', 'mknod "b/n" 0100644 0', 'linkat %9 "" -100 "f3" 0x1000',
)

LOOKS = (
    "getcwd >text:300 300", 'stat "." >stat', 'stat ".." >stat', 'lstat "{top}/l" >stat', 'stat "{top}/lb" >stat', 'stat "{top}/b/f" >stat',
    'lstat "{top}/d/up" >stat', 'stat "{top}/new" >stat',
    'readlink "{top}/new" >text:100 100', 'access "{top}/d/e" 4', 'stat "{top}/d/up/b/e" >stat',
    '=6 open "{top}" 0x810000 0', "list %6 4096", '=6 open "{top}/b" 0x810000 0', "list %6 4096", 'openat %9 ".." 0x210000 0',
    'newfstatat %8 "../f" >stat 0', 'newfstatat %9 "e" >stat 0', 'getxattr "b/f" "user.mark" >data:10 10', "fstat %7 >stat",
)


def entries(number: int, keep: str) -> list[Entry]:
    """Return the small tree of one sequence, and the host directory that is bound in it."""
    top, host = f"root/s{number:02}", f"{keep}{number:02}"
    made = [Entry("dir", top), Entry("dir", host)]
    made += [Entry("dir", f"{top}/{name}") for name in ("b", "d", "d/e")]
    made += [Entry("file", f"{top}/{name}", name.encode(), 0o644) for name in ("f", "d/f")]
    links = (("l", "d"), ("lb", "b/f"), ("d/up", ".."))
    made += [Entry("link", f"{top}/{name}", text.encode()) for name, text in links]
    return [*made, Entry("dir", f"{host}/e"), Entry("file", f"{host}/f", b"bound", 0o644, ORDINARY_ID, ((("user.mark", b"value"),)))]


def sequence(first: str, second: str, number: int) -> list[str]:
    """Return the operations of one sequence."""
    top = f"/s{number:02}"
    lines = [f'chdir "{top}"', '=9 open "d" 0x210000 0', '=8 open "b" 0x210000 0', first, second, *(look.format(top=top) for look in LOOKS)]
    return [f"clone 0 {len(lines)}", *lines]


def cases(whole: bool = False) -> list[Case]:
    """Return a case for each first call."""
    found: list[Case] = []
    keep = "root/keep/h" if whole else "host"
    common = [Entry("dir", "root", mode=0o1777 if whole else 0o755, owner=0 if whole else ORDINARY_ID), Entry("dir", "root/proc")]
    common += [Entry("dir", "root/keep", owner=0), Entry("program", "root/ops", b"ops", 0o755, 0)]
    for number, first in enumerate(CALLS):
        case = Case(number, list(common), whole=whole)
        for other, second in enumerate(CALLS):
            case.entries += entries(other, keep)
            case.bindings.append(Binding(f"{keep}{other:02}", f"/s{other:02}/b"))
            case.program += sequence(first, second, other)
        if whole:
            case.bindings.append(Binding("/proc", "/proc"))
        found.append(case)
    return found
