"""Random programs for the guest interpreter: single calls from templates, and short scenarios.

A template is an operation line with holes: ``{p}`` a path, ``{d}`` a directory fd, ``{f}`` any fd, and so on, one
method each.  Weights lean toward calls that change what later ones see.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from . import nested, scenarios
from .case import UNMADE

if TYPE_CHECKING:
    from collections.abc import Callable

    from .case import Binding

COMPONENTS = ("a", "b", "c", "d", "f", "g", "h", "l", "m", "n", "o", "p", "q", "...", ".hidden", "new", "fifo",
"socket")
BAD_POINTERS = ("NULL", "ONE", "HOLE", "UNMAPPED", "KERNEL")
AT_FDCWD = -100
# with CLONE_NEWNS and CLONE_NEWUSER only where other flags contradict them: the rest is not for a guest
CLONES = ("0", "0x200", "0x400", "0x4100", "0x100", "0x10f00", "0", "0x200", "0x400", "0x4100", "0x100", "0x10f00", "0x20200", "0x10000200")

TEMPLATES: tuple[tuple[int, str], ...] = (
    (8, "stat {p} >stat"), (8, "lstat {p} >stat"), (8, "newfstatat {d} {p} >stat {at}"),
    (6, "statx {d} {p} {at} 0x7ff >statx"), (1, "statx {d} {p} {flags} {flags} >statx"), (2, "fstat {f} >stat"),
    (4, "access {p} {n8}"), (3, "faccessat {d} {p} {n8} {flags}"), (4, "faccessat2 {d} {p} {n8} {at}"),
    (10, "readlink {p} >text:{cap} {cap}"), (6, "readlinkat {d} {p} >text:{cap} {cap}"), (1, "readlink {p} {bad} 100"),
    (1, "readlink {p} CUT:3 100"), (1, "stat {p} {bad}"), (1, "stat {p} CUT:100"), (1, "lstat {p} ROBUF"),
    (6, "chdir {p}"), (4, "fchdir {f}"), (6, "getcwd >text:{cap} {cap}"), (1, "getcwd {bad} 100"),
    (1, "getcwd CUT:2 100"), (4, "mkdir {p} {mode}"), (3, "mkdirat {d} {p} {mode}"), (3, "rmdir {p}"),
    (3, "unlink {p}"), (4, "unlinkat {d} {p} {rm}"), (4, "rename {p} {p}"), (3, "renameat {d} {p} {d} {p}"),
    (5, "renameat2 {d} {p} {d} {p} {n8}"), (4, "link {p} {p}"), (4, "linkat {d} {p} {d} {p} {lk}"),
    (5, "symlink {t} {p}"), (3, "symlinkat {t} {d} {p}"), (3, "mknod {p} {node} {dev}"),
    (2, "mknodat {d} {p} {node} {dev}"), (2, "truncate {p} {size}"), (3, "chmod {p} {mode}"),
    (2, "fchmodat {d} {p} {mode} {flags}"), (3, "fchmodat2 {d} {p} {mode} {at}"), (2, "fchmod {f} {mode}"),
    (2, "chown {p} {id} {id}"), (2, "lchown {p} {id} {id}"), (3, "fchownat {d} {p} {id} {id} {at}"),
    (1, "utime {p} longs:100:{old}"), (1, "utimes {p} longs:100:1:{old}:2"), (1, "futimesat {d} {p} longs:9:1:{old}:2"),
    (4, "utimensat {d} {p} longs:100:{nsec}:{old}:{nsec} {at}"), (1, "utimensat {d} {p} NULL {at}"),
    (2, 'setxattr {p} "user.{x}" "v{x}" 2 {n2}'), (1, 'lsetxattr {p} "user.{x}" "w{x}" 2 {n2}'),
    (1, 'setxattr {p} "trusted.x" "w" 1 0'), (2, 'getxattr {p} "user.{x}" >data:{cap} {cap}'),
    (1, 'lgetxattr {p} "user.{x}" >data:{cap} {cap}'), (2, "listxattr {p} >names:{cap} {cap}"),
    (1, "llistxattr {p} >names:{cap} {cap}"), (1, 'removexattr {p} "user.{x}"'), (1, 'lremovexattr {p} "user.{x}"'),
    (1, 'setxattrat {d} {p} {at} "user.{x}" xargs:"at{x}" 16'), (1, "listxattrat {d} {p} {at} >names:{cap} {cap}"),
    (1, 'removexattrat {d} {p} {at} "user.{x}"'), (1, 'getxattrat {d} {p} {at} "user.{x}" {bad} 16'),
    (1, "file_getattr {d} {p} >attr 24 {at}"), (1, "file_setattr {d} {p} longs:0:0:0 24 {at}"),
    (2, "statfs {p} >statfs"), (1, "name_to_handle_at {d} {p} >handle >int {lk}"), (1,
    "open_by_handle_at {f} >handle 0"),
    (2, "={s} open_tree {d} {p} {tree}"), (1, "open_tree_attr {d} {p} {tree} NULL 0"), (1, "chroot {p}"),
    (1, 'mount {p} {p} "tmpfs" 0 NULL'), (1, 'mount "none" {p} "proc" 0 NULL'), (1, 'mount {p} {p} NULL 0x1000 NULL'),
    (1, "umount2 {p} {n8}"), (1, "pivot_root {p} {p}"), (1, "swapon {p} 0"), (1, "swapoff {p}"), (1, "acct {p}"),
    (1, "quotactl 0x800700 {p} 0 {p}"), (1, "uselib {p}"), (1, "mount_setattr {d} {p} 0 longs:0:0:0:0 32"),
    (1, "fspick {d} {p} 0"), (1, "move_mount {d} {p} {d} {p} 0"),
    (24, "={s} open {p} {o} {mode}"), (20, "={s} openat {d} {p} {o} {mode}"), (1, "={s} creat {p} {mode}"),
    (20, "={s} openat2 {d} {p} longs:{o2}:{m2}:{resolve} 24"), (1, "openat2 {d} {p} longs:{o2}:0:0:{n2} {n64}"),
    (1, "openat2 {d} {p} {bad} 24"), (1, "={s} dup {f}"), (2, "close {f}"), (6, "list {f} {room}"),
    (2, "read {f} >data:20 20"), (2, 'write {f} "data" 4'), (1, "umask {mask}"), (1, "fstatfs {f} >statfs"),
    (1, 'fsetxattr {f} "user.{x}" "f" 1 0'), (1, "ftruncate {f} 3"),
)

HOLE = re.compile(r"\{(\w+)\}")


def escape(path: str) -> str:
    """Quote a path for the interpreter."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


class ProgramGenerator:
    """Builds a program over the names that the tree shows."""

    def __init__(
        self, rng: random.Random, kinds: dict[str, str], bindings: list[Binding], guest_names: list[str],
        nested_roots: bool = False,
    ) -> None:
        self.rng = rng
        self.names = [name for name in guest_names if "L" not in name] or ["/a"]
        self.bindings = bindings
        self.has_proc = any(binding.guest == "/proc" for binding in bindings)
        self.placed = False
        self.nested_roots = nested_roots
        self.lines: list[str] = []
        self.templates = TEMPLATES
        self.weights = [weight for weight, _ in TEMPLATES]
        self.holes: dict[str, Callable[[], str]] = {
            "p": self.path_argument, "d": self.directory_fd, "f": self.any_fd, "at": self.at_flags,
            "t": lambda: escape(self.link_text()), "o": self.open_flags, "o2": self.open_flags, "m2": self.open2_mode,
            "resolve": self.resolve, "mode": self.mode, "s": lambda: str(rng.randint(0, 5)),
            "n8": lambda: str(rng.choice((0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, -1))),
            "n2": lambda: str(rng.randint(0, 3)), "n64": lambda: str(rng.choice((0, 8, 23, 32, 64, 4095, 4096, 4097))),
            "bad": lambda: rng.choice(BAD_POINTERS), "x": lambda: rng.choice(("mark", "other")),
            "cap": lambda: str(rng.choice((-1, 0, 1, 2, 3, 5, 7, 10, 100, 100, 100, 4096, 4096, 5000))),
            "room": lambda: rng.choice(("4096", "4096", "4096", "32768", "280", "64", "20")),
            "rm": lambda: rng.choice(("0", "0x200", "0x200", "1", "0x100")),
            "lk": lambda: rng.choice(("0", "0", "0x400", "0x1000", "0x1400", "0x100")),
            "node": lambda: rng.choice(("0", "0100644", "010644", "010600", "020666", "060666", "040755", "0140644")),
            "dev": lambda: rng.choice(("0", "0", "0x103")), "size": lambda: rng.choice(("0", "3", "100", "-1")),
            "id": lambda: rng.choice(("-1", "-1", "65534", "65534", "0", "1000")), "old": lambda: str(rng.randint(1,
            999)),
            "nsec": lambda: rng.choice(("0", "5", "0x3fffffff", "0x3ffffffe", "1000000000")),
            "mask": lambda: rng.choice(("0", "022", "077", "0777", "022")),
            "flags": lambda: rng.choice(("0", "0x100", "0x1000", "0x7fffffff", "0x10", "0x800")),
            "tree": lambda: rng.choice(("0", "0x80000", "0x100", "0x1000", "1", "0x80100", "0x8000", "0x800")),
        }

    # --- values -----------------------------------------------------------------------------------------------

    def mode(self) -> str:
        """Return file rights, mostly usable."""
        return self.rng.choice(("0755", "0755", "0755", "0644", "0600", "0777", "01777", "06755", "0", "0511", "0444"))

    def at_flags(self) -> str:
        """Return AT_ flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EACCESS, unknown ones."""
        return self.rng.choice(("0", "0", "0", "0x100", "0x100", "0x1000", "0x1100", "0x200", "0x800", "0x400", "0x40"))

    def open_flags(self) -> str:
        """Return open flags; nearly always with O_NONBLOCK, so that FIFOs do not hold the program up."""
        rng = self.rng
        flags = rng.choice((0, 0, 0, 0, 1, 2, 2)) | (0o4000 if rng.random() < 0.997 else 0)
        for flag, chance in (
            (0o100, 0.3), (0o200, 0.12), (0o1000, 0.06), (0o2000, 0.05), (0o200000, 0.2), (0o400000, 0.2),
            (0o10000000, 0.2), (0o2000000, 0.2), (0o20200000, 0.02), (0o20000000, 0.01), (0o1000000, 0.03),
        ):
            if rng.random() < chance:
                flags |= flag
        return hex(flags)

    def open2_mode(self) -> str:
        """Return a mode for open_how: zero unless by chance."""
        return self.rng.choice(("0",) * 9 + ("0644", "0100644", "07777777"))

    def resolve(self) -> str:
        """Return RESOLVE_ flags, up to three, and sometimes RESOLVE_CACHED."""
        flags = 0x20 if self.rng.random() < 0.08 else 0
        for _ in range(self.rng.choice((0, 1, 1, 1, 2, 2, 3))):
            flags |= self.rng.choice((1, 2, 4, 8, 8, 16, 16, 64) if self.rng.random() < 0.3 else (1, 4, 8, 16))
        return hex(flags)

    def directory_fd(self) -> str:
        """Return AT_FDCWD, a slot, or something invalid."""
        roll = self.rng.random()
        if roll < 0.45:
            return str(AT_FDCWD)
        return self.any_fd() if roll < 0.92 else self.rng.choice(("-1", "77", "1", "0", "-99"))

    def any_fd(self) -> str:
        """Return one of the slots."""
        return f"%{self.rng.randint(0, 5)}"

    # --- paths ------------------------------------------------------------------------------------------------

    def link_text(self) -> str:
        """Return a target for a new link."""
        return self.rng.choice((self.path(), self.path(), "", "..", ".", "/", "loop", "./" * 2047 + "a"))

    def special_path(self) -> str:
        """Return one of the paths that test limits."""
        rng = self.rng
        many = rng.choice((38, 39, 40, 41))
        return rng.choice((
            "", "", "/", "//", ".", "..", "/..", "/../..", "...", " ", "/" * 4095, "/" * 4096, "./" * 2047 + "a",
            "./" * 2048, "/" + "L" * 255, "/" + "L" * 256, "/" + "L" * 255 + "/" + "M" * 255, "nope/" + "L" * 256,
            "L" * 255, "L" * 256, "/L/" * 1000, "/a/../" * 682 + "b/", "/a/../" * 683, "/a/f/" + "L" * 256,
            f"/chain/{many}", f"/chain/{many}/", f"/chain/{many - 1}", "/chain/" + "self/" * many + "0", "/chain/long",
            "/chain/" + "self/" * many, "/chain/loop", "/chain/loop/", "/chain/self/" + str(many - 1), "/chain/41",
            "/x/s1", "/x/plain", "/x/fifo", "/ops", "/ops/", "/lib", "/x/ls1", "/tmp", "/proc", "/proc/", "/outside",
            "/../outside/canary", "/a/../../host0/f",
        ))

    def proc_path(self) -> str:
        """Return a path through the magic links of the process itself."""
        rng = self.rng
        who = rng.choice(("self", "self", "self", "thread-self"))
        what = rng.choice((
            "cwd", "root", "exe", "cwd/..", "root/..", "root/a", "root/../a", "cwd/a", "cwd/f", "exe/", "fd",
            f"fd/{rng.randint(0, 9)}", f"fd/{rng.randint(3, 8)}/", f"fd/{rng.randint(3, 8)}/..",
            f"fd/{rng.randint(3, 8)}/{rng.choice(COMPONENTS)}", "comm", "task", ".", "..", "nothing",
            "root/proc/self/cwd",
            "fd/../cwd", "cwd/.", "root/", "root/ops", "fdinfo", "ns/mnt", "../self/cwd",
        ))
        tail = "" if rng.random() < 0.85 else f"/{rng.choice(COMPONENTS)}"
        return rng.choice(("/proc/", "/proc/", "/proc/self/../", "/a/../proc/")) + f"{who}/{what}{tail}"

    def walk(self) -> str:
        """Return components from the small pool."""
        rng = self.rng
        parts = [
            rng.choice(("..", "..", ".")) if rng.random() < 0.25 else rng.choice(COMPONENTS)
            for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4)))
        ]
        return rng.choice(("", "", "/", "/a/", "/b/", "/tmp/")) + "/".join(parts)

    def known(self) -> str:
        """Return a name that was there at the start, perhaps around a corner."""
        rng = self.rng
        path = rng.choice(self.names)
        if self.bindings and rng.random() < 0.35:
            path = rng.choice(self.bindings).guest + rng.choice(
                ("", "", "/..", "/../..", "/../a", "/a", "/f", "/.", "/a/..", f"/../{rng.choice(COMPONENTS)}")
            )
        roll = rng.random()
        if roll < 0.15:
            path = f"{path}/../{rng.choice(COMPONENTS)}"
        elif roll < 0.25:
            path = path + "/" + rng.choice(COMPONENTS)
        elif roll < 0.4:
            parent, _, name = path.rpartition("/")
            path = f"{parent}/{rng.choice(COMPONENTS)}/../{name}"
        elif roll < 0.5:
            path = path.replace("/", "//", 1)
        elif roll < 0.65:
            path = path.lstrip("/") or "."
        return path

    def aimed(self) -> str:
        """Return a path to a kind of binding, a place at it and a shape that are each chosen evenly: chance alone seldom meets them all."""
        rng = self.rng
        kinds: dict[str, list[str]] = {}
        for binding in self.bindings:
            if binding.guest != "/proc":
                kind = "file" if not binding.is_directory else "glue" if UNMADE in binding.guest else "directory"
                kinds.setdefault(kind, []).append(binding.guest)
        if not kinds:
            return self.known()
        guest = rng.choice(kinds[rng.choice(sorted(kinds))])
        name = rng.choice(COMPONENTS)
        place = rng.choice((guest, guest, f"{guest}/{name}", guest.rpartition("/")[0] or "/"))
        return rng.choice((
            place, place, f"{place}/", f"{place}/.", f"{place}/..", f"/{name}/..{place}", f"/a/..{place}", f"{place}/../{name}",
            place[1:] or ".",
        ))

    def path(self) -> str:
        """Return any path text."""
        rng = self.rng
        roll = rng.random()
        if roll < 0.06:
            path = self.special_path()
        elif self.has_proc and roll < 0.18:
            path = self.proc_path()
        else:
            path = self.aimed() if roll < 0.28 else self.known() if roll < 0.62 else self.walk()
        if rng.random() < 0.12 and len(path) < 300:
            path += rng.choice(("/", "/", "/.", "/..", "//", "/./", "/../", "/..."))
        return path

    def path_argument(self) -> str:
        """Return a path argument: a string, sometimes in awkward memory, sometimes a bad pointer."""
        roll = self.rng.random()
        if roll < 0.02:
            return self.rng.choice(BAD_POINTERS)
        if roll < 0.1 and not self.placed:
            self.placed = True
            text = self.path()
            where = self.rng.choice("ERSESRCU")
            return where + escape(text if where not in "CU" or text else "/")
        return escape(self.path())

    # --- lines ------------------------------------------------------------------------------------------------

    def fill(self, template: str) -> str:
        """Fill the holes of one template."""
        self.placed = False
        return HOLE.sub(lambda match: self.holes[match.group(1)](), template)

    def call(self) -> list[str]:
        """Return one random call."""
        return [self.fill(self.rng.choices(TEMPLATES, self.weights)[0][1])]

    def build(self, operations: int) -> list[str]:
        """Return a program of about ``operations`` lines."""
        rng = self.rng
        for slot in range(4):
            self.lines.append(f"={slot} open {escape(rng.choice(self.names))} {rng.choice(('0x800', '0x200000'))} 0")
        if self.nested_roots:
            self.lines += nested.start()
        while len(self.lines) < operations:
            if self.nested_roots and rng.random() < 0.12:
                self.lines += nested.out() if rng.random() < 0.2 else nested.scenario(self)
                continue
            block = self.call() if rng.random() < 0.9 else rng.choice(scenarios.ALL)(self)
            if rng.random() < 0.02:
                block = [f"clone {rng.choice(CLONES)} {len(block)}",
                *block]
            self.lines += block
            if rng.random() < 0.03:
                self.lines.append('chdir "/"')
        return [nested.with_rights(line) for line in self.lines] if self.nested_roots else self.lines
