"""Random cases: a tree, bindings and a program, all from one seed.

The tree is biased toward what makes path lookup hard: links (absolute, relative, dangling, looping, leaving a
binding), files where a directory is expected, directories without rights.  Targets of bindings are canonical, so that
``mount(2)`` and every reading of ``-b`` mean the same place.

One thing is kept apart: a real bind mount holds on to the file that it was made from; pyroot's bindings are paths.
So, unless ``wild`` is asked for, no case lets the guest see a directory above a binding's source, where it could rename
or remove the source or take the rights to it away; sources inside the root occur where that root is not the guest's.

No file may be executed but not read: the supervisor, an ordinary user too, cannot read it either and gives EACCES.
"""

from __future__ import annotations

import random
from dataclasses import replace

from .case import ORDINARY_ID, UNMADE, Binding, Case, Entry, Mount
from .program import ProgramGenerator

DIRECTORY_NAMES = ("a", "b", "c", "d")
FILE_NAMES = ("f", "g", "h", "...", ".hidden")
LINK_NAMES = ("l", "m", "n", "o", "p", "q")
CHAIN = 43
HOSTS = 3


LONG = "D" * 200  # in names of directories that are made one in the other


class TreeGenerator:
    """Builds the entries of a case and remembers what is a directory or a file."""

    def __init__(self, rng: random.Random, whole: bool = False) -> None:
        self.rng = rng
        self.whole = whole
        self.hosts = "root/keep/host" if whole else "host"
        self.entries: list[Entry] = []
        self.kinds: dict[str, str] = {}
        self.closed: set[str] = set()
        self.fixed_root = False

    def add(self, kind: str, path: str, content: bytes = b"", mode: int = 0o755, owner: int = ORDINARY_ID) -> None:
        """Append one entry unless its name is taken."""
        if path in self.kinds:
            return
        xattrs: tuple[tuple[str, bytes], ...] = ()
        if kind in ("file", "dir") and owner == ORDINARY_ID and self.rng.random() < 0.1:
            xattrs = (("user.mark", b"value"),)
        self.kinds[path] = kind
        if kind == "file" and owner != ORDINARY_ID and mode & 0o5 == 0o1:
            mode |= 0o4
        if kind == "dir" and not mode & (0o100 if owner == ORDINARY_ID else 0o001):
            self.closed.add(path)
        self.entries.append(Entry(kind, path, content, mode, owner, xattrs))

    def reachable(self, path: str) -> bool:
        """Say whether the ordinary user can look the base-relative path up."""
        return not any(path.startswith(closed + "/") for closed in self.closed)

    def link_text(self) -> str:
        """Return the text of a link: where it leads is left to chance."""
        rng = self.rng
        parts = [rng.choice((*DIRECTORY_NAMES, *FILE_NAMES, *LINK_NAMES, "..", ".")) for _ in range(rng.randint(1, 3))]
        start = rng.choice(("", "", "/", "../", "../../", "/a/", "/b/", "./", "/nowhere/", "//"))
        return start + "/".join(parts) + rng.choice(("", "", "", "/", "/."))

    def directory_mode(self) -> int:
        """Return mostly usable rights."""
        return self.rng.choice((0o755,) * 14 + (0o700, 0o711, 0o555, 0o1777, 0, 0o444, 0o111, 0o2755))

    def fill(self, top: str, depth: int, budget: int) -> None:
        """Put random files below the directory ``top``."""
        rng = self.rng
        for _ in range(rng.randint(3, budget)):
            roll = rng.random()
            owner = 0 if rng.random() < 0.03 else ORDINARY_ID
            if roll < 0.35 and depth > 0:
                path = f"{top}/{rng.choice(DIRECTORY_NAMES)}"
                if path not in self.kinds:
                    self.add("dir", path, mode=self.directory_mode(), owner=owner)
                    self.fill(path, depth - 1, budget - 1)
            elif roll < 0.6:
                mode = rng.choice((0o644, 0o644, 0o644, 0o600, 0o755, 0o444, 0, 0o511))
                self.add("file", f"{top}/{rng.choice(FILE_NAMES)}", rng.randbytes(rng.randint(0, 40)), mode, owner)
            elif roll < 0.93:
                self.add("link", f"{top}/{rng.choice(LINK_NAMES)}", self.link_text().encode())
            else:
                kind = rng.choice(("fifo", "socket"))
                self.add(kind, f"{top}/{kind}", mode=rng.choice((0o644, 0o600, 0o777)))

    def fixed_part(self) -> None:
        """Add what every root has: the interpreter, scripts, a long chain of links, awkward names."""
        self.fixed_root = self.rng.random() < 0.4 or self.whole
        self.add("dir", "root", mode=0o1777 if self.fixed_root else 0o755, owner=0 if self.fixed_root else ORDINARY_ID)
        for name in ("a", "b", "tmp", "proc", "x", "chain"):
            self.add("dir", f"root/{name}", mode=0o1777 if name == "tmp" else 0o755)
        self.add("program", "root/ops", b"ops", 0o755, 0)
        for i in range(CHAIN):
            self.add("link", f"root/chain/{i}", b"/a/f" if i == 0 else b"%d" % (i - 1))
        self.add("link", "root/chain/self", b".")
        self.add("link", "root/chain/loop", b"loop")
        self.add("link", "root/chain/long", b"./" * 2040 + b"0")
        self.add("file", "root/a/f", b"content of a/f", 0o644)
        self.add("dir", "root/" + "L" * 255)
        self.add("file", "root/" + "L" * 255 + "/" + "M" * 255, b"", 0o644)
        self.executables()

    def executables(self) -> None:
        """Add programs and scripts of every quality below ``/x``."""
        self.add("file", "root/x/s1", b"#!/ops\n")
        for i in range(2, 8):
            self.add("file", f"root/x/s{i}", b"#!/x/s%d\n" % (i - 1))
        scripts = {
            "arg": b"#!/ops one argument \nrest\n", "rel": b"#! ops\n", "relx": b"#!../ops\n", "crlf": b"#!/ops\r\n",
            "gone": b"#!/nowhere/ops\n", "none": b"#!\n", "blank": b"#!   \n", "dir": b"#!/a\n", "empty": b"",
            "text": b"echo hello\n", "nonl": b"#!/ops", "long": b"#!/" + b"y" * 300 + b"\n", "link": b"#!/x/lops\n",
            "longarg": b"#!/ops " + b"z" * 300 + b"\n", "fifo": b"#!/x/pipe\n", "dotdot": b"#!/a/../../ops x\n",
            "proc": b"#!/proc/self/exe y\n", "nox": b"#!/x/plain\n", "slash": b"#!/ops/\n",
            "tab": b"#!\t/ops\ta\tb\t\n",
        }
        for name, text in scripts.items():
            self.add("file", f"root/x/{name}", text)
        self.add("file", "root/x/plain", b"#!/ops\n", 0o644)
        self.add("program", "root/x/ops2", b"ops")
        self.add("program", "root/x/noexec", b"ops", 0o644)
        self.add("program", "root/x/dynamic", b"dynamic")
        self.add("program", "root/x/orphan", b"orphan")
        self.add("program", "root/x/short", b"short")
        self.add("dir", "root/lib")
        self.add("program", "root/lib/ld-musl-x86_64.so.1", b"libc")
        self.add("fifo", "root/x/pipe", mode=0o755)
        self.add("link", "root/x/lops", b"../ops")
        self.add("link", "root/x/ls1", b"s1")
        self.add("link", "root/x/labs", b"/x/ops2")


def view(bindings: list[Binding], guest: str) -> str:
    """Return the base-relative path behind a canonical guest path, through the deepest binding."""
    best, found = "", "root"
    for binding in bindings:
        if (guest == binding.guest or guest.startswith(binding.guest + "/")) and len(binding.guest) >= len(best):
            best, found = binding.guest, binding.host
    return found + guest[len(best):]


def guest_paths(tree: TreeGenerator, bindings: list[Binding], kind: str, hidden: bool = False) -> list[str]:
    """List the canonical guest paths of one kind, seen through the bindings so far.

    Those below directories that the ordinary user cannot enter are left out unless ``hidden``.
    """
    kinds = tree.kinds
    found: list[str] = []
    waiting = [""]
    while waiting:
        top = waiting.pop()
        host = view(bindings, top)
        if top.count("/") > 4:
            continue
        for path, entry_kind in kinds.items():
            if path.rpartition("/")[0] == host:
                guest = f"{top}/{path.rpartition('/')[2]}"
                real = kinds.get(view(bindings, guest), entry_kind)
                if real == kind:
                    found.append(guest)
                if real == "dir" and (hidden or view(bindings, guest) not in tree.closed):
                    waiting.append(guest)
    return found


def sources(rng: random.Random, tree: TreeGenerator, bindings: list[Binding], wild: bool) -> list[str]:
    """List what the next binding may show: mostly directories of the host, some files, some parts of the root."""
    roll = rng.random()
    kind = "file" if 0.15 < roll < 0.35 else "dir"
    found = [path for path, its_kind in tree.kinds.items() if its_kind == kind and tree.reachable(path)]
    if tree.whole and not wild:
        kept = [path for path in found if path.startswith("root/keep/") and path.count("/") == 2]
        return kept + ["root"] * (kind == "dir" and roll < 0.5)
    if wild:
        return [path for path in found if path.startswith("root/" if roll < 0.15 else tree.hosts)]
    if roll < 0.15 and tree.fixed_root:
        return [path for path in found if path.startswith("root/keep/") and path.count("/") == 2]
    taken = [binding.host for binding in bindings]
    return [
        path for path in found if path.startswith("host")
        and not any(path.startswith(other + "/") or other.startswith(path + "/") for other in taken)
    ]


def random_bindings(rng: random.Random, tree: TreeGenerator, wild: bool) -> list[Binding]:
    """Choose bindings one after another, each on a target that the earlier ones leave visible."""
    bindings: list[Binding] = []
    unmade = 0
    for _ in range(rng.randint(0, 5)):
        choice = sources(rng, tree, bindings, wild)
        if not choice:
            continue
        source = rng.choice(choice)
        kind = tree.kinds[source]
        if rng.random() < 0.15:
            parents = ["", *(path for path in guest_paths(tree, bindings, "dir") if not is_proc(path, bindings))]
            target = f"{rng.choice(parents)}/{UNMADE}{unmade}"
            unmade += 1
        else:
            target = rng.choice([path for path in guest_paths(tree, bindings, kind) if permitted(path, bindings)])
        bindings.append(Binding(source, target, kind == "dir"))
    if rng.random() < 0.5 or tree.whole:
        bindings.append(Binding("/proc", "/proc"))
    return bindings


def is_proc(guest: str, bindings: list[Binding]) -> bool:
    """Say whether a guest path is that of /proc, also through a binding of the root."""
    return view(bindings, guest) == "root/proc"


def covered(bindings: list[Binding], guest: str) -> str:
    """Return the base-relative path that the mount point of a binding covers."""
    directory, _, name = guest.rpartition("/")
    return f"{view(bindings, directory)}/{name}"


def random_mounts(seed: int, tree: TreeGenerator, bindings: list[Binding]) -> list[Mount]:
    """Choose directories on which the machine itself has something mounted; nobody's mount point lies in one."""
    rng = random.Random(f"mounts of {seed}")
    places = [
        path for path, kind in tree.kinds.items() if kind == "dir" and path.count("/") > 0 and tree.reachable(path)
        and path not in tree.closed and "/keep" not in path[:10] and "L" not in path
        and path not in ("root/proc", "root/x", "root/lib", "root/chain", "root/tmp")
        and not any((view(bindings, b.guest) + "/").startswith(path + "/") or b.host == path for b in bindings)
        and not any((covered(bindings, b.guest) + "/").startswith(path + "/") for b in bindings)
    ]
    chosen: list[str] = []
    for path in rng.sample(places, min(len(places), rng.choice((0, 1, 1, 2)))):
        if not any((path + "/").startswith(other + "/") or other.startswith(path + "/") for other in chosen):
            chosen.append(path)
    return [Mount(path) for path in chosen]


def permitted(target: str, bindings: list[Binding]) -> bool:
    """Say whether a new binding may go there: never over the programs, never above an earlier one."""
    if target in ("/ops", "/proc", "/x", "/lib", "/chain") or target.startswith(("/x/", "/lib/", "/proc/")):
        return False
    return not any(b.guest.startswith(target + "/") or b.guest == target for b in bindings)


def make_readonly(case: Case) -> None:
    """Let some bindings, and sometimes the root, be read-only."""
    rng = random.Random(f"readonly of {case.seed}")
    case.readonly = not (case.whole or case.mounts) and rng.random() < 0.2
    # (the real side has to make mount points that are not there)
    made = [b.guest for b in case.bindings if b.guest.rpartition("/")[2].startswith(UNMADE)]
    case.bindings = [
        b if b.host.startswith("/") or any(guest.startswith(b.guest + "/") for guest in made) else replace(b, readonly=rng.random() < 0.6)
        for b in case.bindings
    ]


def generate(
    seed: int, operations: int, wild: bool = False, nested: bool = False, whole: bool = False, mounts: bool = False, readonly: bool = False,
    overlay: bool = False,
) -> Case:
    """Return the case of one seed with about ``operations`` operations.

    ``wild``: sources may be moved by the guest; ``nested``: the guest may call chroot(2); ``whole``: the root is the machine's;
    ``mounts``: the machine has something mounted in it; ``readonly``: bindings may be read-only; ``overlay``: the root is
    the lower layer of one.
    """
    rng = random.Random(seed)
    tree = TreeGenerator(rng, whole)
    tree.fixed_part()
    if whole:
        tree.add("dir", "root/keep", owner=0)
    for i in range(HOSTS):
        host = f"{tree.hosts}{i}"
        tree.add("dir", host)
        tree.add("dir", f"{host}/a")
        tree.add("file", f"{host}/f", b"host %d" % i, 0o644)
        tree.fill(host, 2, 5)
    tree.add("dir", "outside")
    tree.add("file", "outside/canary", b"never to be seen\n", 0o644)
    tree.add("dir", "root/keep", owner=0)
    for name in DIRECTORY_NAMES[:2]:
        tree.add("dir", f"root/keep/{name}")
        tree.fill(f"root/keep/{name}", 1, 5)
    tree.add("file", "root/keep/f", b"kept", 0o644)
    tree.fill("root/a", 2, 6)
    tree.fill("root/b", 2, 6)
    tree.fill("root", 1, 6)
    bindings = random_bindings(rng, tree, wild)
    case = Case(seed, tree.entries, bindings, nested=nested, whole=whole)
    names = guest_names(tree, bindings)
    if mounts:
        case.mounts = random_mounts(seed, tree, bindings)
        inner = ("..", "f", "a", "a/..", "l", "n", "m", ".")
        names += [f"{guest}/{name}" for mount in case.mounts for guest in places_of(bindings, mount.place) for name in inner]
    if readonly:
        make_readonly(case)
    case.overlay = overlay
    if overlay:  # a copy of what belongs to others would belong to the user
        # (and one of what its owner may not read can be made by root alone)
        case.entries = [replace(entry, owner=ORDINARY_ID, mode=entry.mode | (0o700 if entry.kind == "dir" else 0o400))
                        for entry in case.entries]
        # (what is bound from the lower layer is not the overlay's)
        gone = [b.guest for b in case.bindings if b.host.startswith("root/")]
        # (nor is a mount point that had to be made copied up)
        case.bindings = [b for b in case.bindings if not b.guest.rpartition("/")[2].startswith(UNMADE)
                         and not any(f"{b.guest}/".startswith(f"{guest}/") for guest in gone)]
    case.program = ProgramGenerator(rng, tree.kinds, bindings, names, nested).build(operations)
    if overlay:  # (names in UPPER have host paths, of what the kernel takes at once)
        case.program = [line for line in case.program if LONG not in line]
    return case


def places_of(bindings: list[Binding], host: str) -> list[str]:
    """Return the guest paths of a base-relative one."""
    tops = [("root", ""), *((b.host, b.guest) for b in bindings)]
    found = [guest + host[len(top):] for top, guest in tops if (host + "/").startswith(top + "/")]
    return [guest for guest in found if view(bindings, guest) == host]


def guest_names(tree: TreeGenerator, bindings: list[Binding]) -> list[str]:
    """Return guest paths that the program will play with."""
    names = [b.guest for b in bindings]
    for kind in ("dir", "file", "link", "fifo", "socket"):
        names += guest_paths(tree, bindings, kind, hidden=True)
    return [name for name in names if not name.startswith(("/chain/", "/x/"))]
