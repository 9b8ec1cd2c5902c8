"""Which host path appears at which guest path.

Decides: what kinds of things can appear there, the grammar of ``HOST[:GUEST[:OPTIONS]][!]``, in which order bindings are handed to the
core, and which of them needs glue. Not decided here: lists of bindings in files (``presets``), where a guest path is on the host (the
core), how glue is made (``glue``).

Facts: proot 5.4's manual and behaviour (all symbolic links of HOST are resolved, GUEST's last component is followed unless
the argument ends in !, the deepest GUEST wins on lookup), path_resolution(7).
"""

import errno
import os

from pyroot.errors import PyrootError, shell_word, text_of
from pyroot.report import note, verbosity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroot._fast import Core
    from pyroot.glue import Glue
    from pyroot.overlays import Upper

GLUE_FLAG = 1  # tells the core that a binding is only there to hold others
READONLY_FLAG = 16  # ... and that nothing below it may be changed
MASK_FLAG = 32  # ... that nothing is there
LINK_FLAG = 64  # ... that it is a symbolic link

_MAX_PASSES = 4
_MAX_LINKS = 40  # as the kernel

# What may follow GUEST, separated by commas: what it sets. "!" is proot's word for nofollow.
OPTIONS = {b"ro": ("readonly", True), b"rw": ("readonly", False), b"try": ("optional", True), b"nofollow": ("follow", False)}

# What other tools (docker, podman, fstab) take there, too.
_FOREIGN = (b"z", b"Z", b"U", b"O", b"cached", b"delegated", b"consistent", b"copy", b"nocopy", b"bind", b"rbind", b"private",
            b"rprivate", b"shared", b"rshared", b"slave", b"rslave", b"exec", b"noexec", b"dev", b"nodev", b"suid", b"nosuid",
            b"idmap", b"readonly", b"norecurse")  # fmt: skip


class Place:
    """Something that appears at a guest path; each kind is a subclass: what is there, how the core takes it, what is said."""

    __slots__ = ("host", "guest", "follow", "shown")

    flags = 0  # for the core
    leads = True  # the directories above it are made if the guest lacks them
    made = False  # in a directory of the session's own it is a plain entry, not a mount point
    at_root = False  # it is about the root itself

    def __init__(self, host: bytes, guest: bytes, follow: bool = True, shown: str = "") -> None:
        self.host = host  # absolute
        self.guest = guest  # absolute, links not resolved
        self.follow = follow  # whether a link at the end of guest is followed
        self.shown = shown  # the option as the user wrote it; empty for what the user did not ask for

    def prepare(self) -> bool:
        """Make ``host`` what the core is to show, canonical; False if there is nothing. Raises PyrootError."""
        return True

    def yields(self, below: bytes) -> bool:
        """Tell whether it is left out because of what the guest has there, at this host path."""
        return False

    def describe(self, guest: bytes) -> str:
        """Say what is at the canonical path ``guest``; empty for what is not worth a line."""
        return ""

    def provide(self, glue: "Glue | LazyGlue") -> None:
        """Make what ``host`` is to be, if it is made for the session."""

    def enter(self, core: "Core", guest: bytes) -> None:
        """Hand it to the core, at the canonical path ``guest``."""
        core.bind(self.host, guest, self.flags)
        if text := self.describe(guest):
            note(1, text)


class Tree(Place):
    """Directories of glue that lead to other places."""

    __slots__ = ()

    flags = GLUE_FLAG


def _instead(shown: str) -> str:
    """Say what to do about a host side that is not there; docker's --mount is written with other words."""
    words = dict(part.partition("=")[::2] for part in shown.partition(" ")[2].split(","))
    source, target = words.get("src") or words.get("source"), words.get("dst") or words.get("target") or words.get("destination")
    if words.get("type") and source and target:
        return f"-b {shell_word(source)}:{shell_word(target)} is how it is written here"
    return "the part before the colon must be an existing path of the host"


class Binding(Place):
    """A file or directory of the host (-b, -R)."""

    __slots__ = ("readonly", "optional")

    def __init__(
        self, host: bytes, guest: bytes, follow: bool = True, shown: str = "", readonly: bool = False, optional: bool = False
    ) -> None:
        super().__init__(host, guest, follow, shown)
        self.readonly = readonly  # nothing below it may be changed
        self.optional = optional  # it is left out if the host has no such path

    @property
    def flags(self) -> int:  # type: ignore[override]
        """Return what the core is told besides."""
        return READONLY_FLAG if self.readonly else 0

    def prepare(self) -> bool:
        """Make the host side canonical; False if a preset names a path that this host does not have.

        What is below pyroot's own directory in /proc stands for the same of the process that looks: a descriptor, /etc/mtab.
        """
        if self.host.startswith((b"/proc/", b"/dev/")) and (own := _own_descriptor(self.host)):
            self.host, self.follow = own, False
            return True
        try:
            self.host = os.path.realpath(self.host, strict=True)
        except OSError as error:
            if not self.shown or (self.optional and error.errno in (errno.ENOENT, errno.ENOTDIR)):
                return False
            raise PyrootError(
                f"{self.shown}: {os.fsdecode(self.host)} on the host: {text_of(error.errno or 0)}",
                _instead(self.shown),
            ) from None
        ours = b"/proc/%d/" % os.getpid()
        if self.host.startswith(ours):
            self.host, self.follow = b"/proc/self/" + self.host[len(ours) :], False
        return True

    def describe(self, guest: bytes) -> str:
        """Say what is bound where."""
        return f"{os.fsdecode(self.host)} is bound at {os.fsdecode(guest)}{', read-only' if self.readonly else ''}"


class Tmpfs(Place):
    """An empty directory that lasts as long as the session (--tmpfs)."""

    __slots__ = ("mode",)

    def __init__(self, guest: bytes, shown: str, mode: int = 0o1777) -> None:
        super().__init__(b"", guest, shown=shown)
        self.mode = mode

    def provide(self, glue: "Glue | LazyGlue") -> None:
        """Make it, in memory if the machine offers that."""
        self.host = glue.new_room(self.mode)

    def describe(self, guest: bytes) -> str:
        """Say where it is."""
        return f"{os.fsdecode(guest)} is empty at first, and removed with the session"


class ReadonlyRoot(Place):
    """The root, in which nothing may be changed then (--read-only)."""

    __slots__ = ()

    flags = READONLY_FLAG
    at_root = True

    def __init__(self) -> None:
        super().__init__(b"/", b"/")

    def enter(self, core: "Core", guest: bytes) -> None:
        """Tell the core."""
        core.mark_root(self.flags)
        note(1, "the root is read-only")


def absolute(path: bytes, host_cwd: bytes | None, shown: str) -> bytes:
    """Return ``path``, joined to the current directory if it is relative; ``shown`` names it in the error."""
    if path.startswith(b"/"):
        return path
    if host_cwd is None:
        raise PyrootError(f"{shown}: the current directory is gone", "use an absolute path, or cd first")
    return host_cwd.rstrip(b"/") + b"/" + path


def split(text: bytes) -> tuple[bytes, bytes | None, bool]:
    """Split ``HOST[:GUEST][!]`` into host, guest (None without one) and whether a symbolic link at the end of guest is followed.

    The first colon splits. ``\\:`` is a colon that does not, ``\\!`` an exclamation mark that ends nothing, ``\\\\``
    a backslash; any other backslash stands for itself.
    """
    parts, follow = fields(text)
    return parts[0], b":".join(parts[1:]) if len(parts) > 1 else None, follow


def fields(text: bytes) -> tuple[list[bytes], bool]:
    """Return the text between the colons that have no backslash, and whether a symbolic link at the end of guest is followed."""
    parts = [b""]
    index = 0
    follow = True
    while index < len(text):
        char = text[index : index + 1]
        if char == b"\\" and text[index + 1 : index + 2] in (b":", b"!", b"\\"):
            index += 1
            parts[-1] += text[index : index + 1]
        elif char == b":":
            parts.append(b"")
        elif char == b"!" and index == len(text) - 1:
            follow = False
        else:
            parts[-1] += char
        index += 1
    return parts, follow


def _options(parts: list[bytes], what: str) -> dict[str, bool]:
    """Take the options of a binding off its fields: what they set; refuse those that other tools have there.

    What is no list of options is the end of a guest path with a colon in it.
    """
    words = parts[-1].split(b",") if len(parts) > 1 else []
    if len(parts) == 2 and words and all(word in OPTIONS for word in words):
        text = os.fsdecode(parts[1])
        raise PyrootError(f"{what}: {text} is where the guest path belongs", f"HOST::{text}, or ./{text} for a path of that name")
    if len(parts) < 3 or any(word not in OPTIONS and word not in _FOREIGN for word in words):
        return {}
    if foreign := [os.fsdecode(word) for word in words if word not in OPTIONS]:
        raise PyrootError(
            f"{what}: a binding has no option {foreign[0]}",
            f"leave it out: what is bound is the host's own file; as the end of a guest path it is written \\:{foreign[0]}",
        )
    parts.pop()
    return dict(OPTIONS[word] for word in words)


def parse(text: bytes, host_cwd: bytes | None, shown: str = "") -> Binding:
    """Read one binding; relative sides are relative to ``host_cwd``. Raises PyrootError if a side is empty or an option unknown."""
    parts, follow = fields(text)
    what = shown or os.fsdecode(text)
    given = {"follow": follow, **_options(parts, what)}
    host, guest = parts[0], b":".join(parts[1:])
    if len(parts) == 1 or (guest == b"" and len(given) > 1):
        guest = host
    if not host or not guest:
        side = "guest" if host else "host"
        raise PyrootError(f"{what}: the {side} path is empty", "a binding is HOST or HOST:GUEST")
    if not guest.startswith(b"/"):
        guest = os.path.normpath(absolute(guest, host_cwd, what))
    given["follow"] = given["follow"] and follow
    return Binding(absolute(host, host_cwd, what), guest, shown=shown, **given)


class LazyGlue:
    """The glue and the rooms of one session, which are loaded when they are first needed: most runs need none."""

    __slots__ = ("_rootfs", "_tmp_dirs", "_made", "_rooms", "_uppers", "_near", "_looks")

    def __init__(self, rootfs: bytes, tmp_dirs: list[bytes], looks: bool = False) -> None:
        self._rootfs = rootfs
        self._tmp_dirs = tmp_dirs
        self._made: "Glue | None" = None
        self._rooms: "Glue | None" = None
        self._uppers: "list[Upper]" = []
        self._near: "list[Glue]" = []  # with directories of overlays
        self._looks = looks  # nothing is to run: overlays are their lower directories

    def owns(self, host_path: bytes) -> bool:
        """Tell whether the canonical ``host_path`` is in one of its trees."""
        return self._made is not None and self._made.owns(host_path)

    def has_room(self, host_path: bytes) -> bool:
        """Tell whether it lies in a directory of the session's own."""
        return self._rooms is not None and self._rooms.has_room(host_path)

    def fill(self, host_path: bytes, place: Place) -> None:
        """Let what was made for a place be in such a directory, or make a mount point for it there."""
        rooms = self._all_rooms()
        if not place.made:
            rooms.add(host_path, os.path.isdir(place.host))
            return
        if parent := os.path.dirname(host_path):
            rooms.add(parent, True)
        os.rename(place.host, host_path)

    def new_tree(self) -> bytes:
        """Make an empty tree and return its host path."""
        if self._made is None:
            from pyroot.glue import Glue

            self._made = Glue(self._rootfs, self._tmp_dirs)
        return self._made.new_tree()

    def new_room(self, mode: int) -> bytes:
        """Make an empty directory that guests may write to, and return its host path."""
        return self._all_rooms().new_room(mode)

    def new_file(self, content: bytes, mode: int) -> bytes:
        """Make such a file."""
        return self._all_rooms().new_file(content, mode)

    def new_link(self, target: bytes) -> bytes:
        """Make a symbolic link, and return its host path."""
        return self._all_rooms().new_link(target)

    def hold_upper(self, path: bytes | None, shown: str, lower: list[bytes]) -> "Upper | None":
        """Lock what an overlay writes to; without a path make one that is removed at the end."""
        if self._looks:
            return None
        from pyroot import overlays

        if path is None:
            path = self._room_near(lower[0]).new_room(0o700) + b"/upper"
        self._uppers.append(overlays.hold(path, shown, lower))
        return self._uppers[-1]

    def _room_near(self, lower: bytes) -> "Glue":
        """Give rooms on the file system of a directory, if there is a place for them: then all of an overlay has one device."""
        from pyroot.glue import Glue, memory_dirs

        device = os.stat(lower).st_dev
        places = [place for place in (*memory_dirs(), *self._tmp_dirs) if os.path.isdir(place)]
        places.sort(key=lambda place: os.stat(place).st_dev != device)
        self._near.append(Glue(self._rootfs, places))
        return self._near[-1]

    def _all_rooms(self) -> "Glue":
        if self._rooms is None:
            from pyroot.glue import Glue, memory_dirs

            self._rooms = Glue(self._rootfs, [*memory_dirs(), *self._tmp_dirs])
        return self._rooms

    def add(self, host_path: bytes, is_directory: bool) -> None:
        """Make a mount point in an existing tree."""
        if self._made is not None:
            self._made.add(host_path, is_directory)

    def seal(self) -> None:
        """Take the write permission away from what was made."""
        if self._made is not None:
            self._made.seal()

    def remove(self) -> None:
        """Remove what was made."""
        while self._uppers:
            self._uppers.pop().close()
        while self._near:
            self._near.pop().remove()
        if self._made is not None:
            self._made.remove()
        if self._rooms is not None:
            self._rooms.remove()


def build_view(make_core: "Callable[[bytes], Core]", rootfs: bytes, bindings: "Sequence[Place]", glue: "Glue | LazyGlue") -> "Core":
    """Return a new core for ``rootfs`` with ``bindings`` in place; of two at the same path the last one counts.

    An empty ``rootfs`` is an empty directory of the session's own.

    Raises PyrootError if a binding that the user asked for cannot be placed; a preset's line is left out instead.
    The caller removes the glue, also after an exception.
    """
    wanted = [entry for entry in enumerate(bindings) if entry[1].prepare()]
    # A guest path can only be looked up when the bindings above it are in place: "-b /dev/pts -b /dev" in any order. The
    # depth as written gives the order unless symbolic links in the guest change it; then the depth of what was found does.
    wanted.sort(key=lambda entry: os.path.normpath(entry[1].guest).count(b"/"))
    for last_pass in range(1, _MAX_PASSES + 1):
        core = make_core(rootfs or glue.new_room(0o755))
        placed = [(rank, found) for rank, binding in wanted if (found := _place(core, binding, glue))]
        if last_pass == _MAX_PASSES or _in_order(placed):
            break
        depth = {rank: found.count(b"/") for rank, found in placed}
        wanted.sort(key=lambda entry: (depth.get(entry[0], 0), entry[0]))
        glue.remove()
    glue.seal()
    return core


def _own_descriptor(path: bytes) -> bytes:
    """Return the name in /proc/self of one of pyroot's descriptors that a path leads to (/dev/stdout); empty if it leads to none."""
    for _ in range(_MAX_LINKS):
        parent, name = os.path.realpath(os.path.dirname(path)), os.path.basename(path)
        place = os.path.join(parent, name)
        if parent == b"/proc/%d/fd" % os.getpid():
            return b"/proc/self/fd/" + name if os.path.lexists(place) else b""
        try:
            path = os.path.join(parent, os.readlink(place))
        except OSError:
            return b""
    return b""


def _in_order(placed: list[tuple[int, bytes]]) -> bool:
    """Tell whether each path was looked up after all paths above it, and equal paths in the order of their ranks."""
    position: dict[bytes, int] = {}
    for index, (rank, guest) in enumerate(placed):
        if guest in position and placed[position[guest]][0] > rank:
            return False
        position[guest] = index
    for index, (_rank, guest) in enumerate(placed):
        parent = guest.rpartition(b"/")[0]
        while parent:
            if position.get(parent, -1) > index:
                return False
            parent = parent.rpartition(b"/")[0]
    return True


def _place(core: "Core", binding: Place, glue: "Glue | LazyGlue") -> bytes:
    """Hand one binding to the core; return its canonical guest path, empty if a preset's line does not fit the guest."""
    binding.provide(glue)
    try:
        guest, host_below, missing = _look_up(core, binding)
    except OSError as error:
        why = text_of(error.errno or 0)
        if binding.shown:
            place = os.fsdecode(binding.guest)
            raise PyrootError(f"{binding.shown}: {place} in the guest: {why}", _place_hint(error.errno or 0)) from None
        note(1, f"{os.fsdecode(binding.guest)} is not bound: {why}")
        return b""
    if guest == b"/":
        if binding.at_root:
            binding.enter(core, guest)
        elif binding.shown:
            raise PyrootError(f"{binding.shown}: a binding cannot be the root itself", "-r DIR chooses the root")
        return b""
    if host_below == binding.host and not binding.shown:
        return b""  # the guest sees this very path there already
    if not missing and binding.yields(host_below):
        return b""
    if missing and binding.leads and isinstance(glue, LazyGlue) and glue.has_room(host_below):
        glue.fill(host_below, binding)
        if binding.made:
            return b""
        missing = 0
    if missing > 1 and binding.leads and not glue.owns(host_below):
        names = guest.split(b"/")
        tree = glue.new_tree()
        top = b"/".join(names[: len(names) - missing + 1])
        Tree(tree, top).enter(core, top)
        host_below = b"/".join([tree, *names[len(names) - missing + 1 :]])
    if verbosity() > 0 and binding.leads and not missing and not os.path.islink(binding.host):
        _tell_other_type(binding.host, host_below, guest)
    if missing and binding.leads and glue.owns(host_below):
        glue.add(host_below, os.path.isdir(binding.host))
    binding.enter(core, guest)
    return guest


def _tell_other_type(host: bytes, below: bytes, guest: bytes) -> None:
    """Say what mount(8) would refuse: a directory over a file, or a file over a directory."""
    over, under = os.path.isdir(host), os.path.isdir(below)
    if over != under:
        kinds = ("a file", "a directory")
        note(1, f"{os.fsdecode(guest)}: a binding of {kinds[over]} covers {kinds[under]}, which mount(8) would refuse")


def _look_up(core: "Core", binding: Place) -> tuple[bytes, bytes, int]:
    try:
        return core.resolve(binding.guest, b"/", binding.follow, True)
    except OSError as error:
        lexical = os.path.normpath(binding.guest)
        if error.errno != errno.ENOENT or lexical == binding.guest:
            raise
        return core.resolve(lexical, b"/", binding.follow, True)  # ".." after a component that does not exist


def _place_hint(number: int) -> str:
    if number == errno.ENOTDIR:
        return "a component before the last one is a file in the guest: bind somewhere else"
    if number == errno.EACCES:
        return "you may not enter one of the directories before the last component"
    return "bind somewhere else"
