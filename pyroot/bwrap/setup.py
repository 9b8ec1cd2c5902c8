"""What bubblewrap's arguments put together: places in the order given, variables, and who is told of what.

Decides: what each argument means here, and what becomes of those that cannot be had. bubblewrap mounts one thing after the other, so a
later mount hides what was mounted at or below its place before; what is made, not mounted, hides nothing. Not decided here: spellings
(``table``), the run (``verb``).
"""

from __future__ import annotations

import os

from pyroot import binding, environment
from pyroot.binding import READONLY_FLAG, Binding, Place, Tmpfs
from pyroot.binding_kinds import Directory, File, Link, Overlay
from pyroot.errors import PyrootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot._fast import Core

HOST = "what the command sees and does there is the host's"
_NODES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"),
          ("core", "/proc/kcore"))  # fmt: skip
_OWN = ("--unshare-user", "--unshare-uts")  # name spaces whose effect the command has


class Held(File):
    """What a descriptor held, bound (--bind-data)."""

    __slots__ = ("readonly",)

    made = False

    def __init__(self, number: int, guest: bytes, shown: str, mode: int, readonly: bool) -> None:
        super().__init__(number, guest, shown, mode)
        self.readonly = readonly

    @property
    def flags(self) -> int:  # type: ignore[override]
        """Return what the core is told besides."""
        return READONLY_FLAG if self.readonly else 0


class Room(Tmpfs):
    """An empty directory in which nothing may be changed after it has been filled (--remount-ro)."""

    __slots__ = ("readonly",)

    def __init__(self, guest: bytes, shown: str, mode: int) -> None:
        super().__init__(guest, shown, mode)
        self.readonly = False

    @property
    def flags(self) -> int:  # type: ignore[override]
        """Return what the core is told besides."""
        return READONLY_FLAG if self.readonly else 0


class Layers(Overlay):
    """An overlay that may be read-only (--ro-overlay)."""

    __slots__ = ("readonly",)

    at_root = True

    def __init__(self, lower: list[bytes], guest: bytes, upper: bytes | None, shown: str, readonly: bool) -> None:
        super().__init__(lower, guest, upper, shown)
        self.readonly = readonly

    @property
    def flags(self) -> int:  # type: ignore[override]
        """Return what the core is told besides."""
        return READONLY_FLAG if self.readonly else 0

    def enter(self, core: Core, guest: bytes) -> None:
        """Hand all layers to the core."""
        super().enter(core, guest)
        if guest == b"/" and self.readonly:
            core.mark_root(READONLY_FLAG)


class Setup:
    """Everything that the arguments have asked for so far."""

    def __init__(self, here: bytes | None) -> None:
        self.here = here
        self.places: list[Place] = []
        self.left: list[str] = []  # words that are still to be read
        self.root: bytes | None = None  # of the host; None: an empty directory
        self.root_readonly = False
        self.unshared: list[str] = []
        self.shares_net = False
        self.uid = self.gid = -1
        self.hostname: str | None = None
        self.argv0: str | None = None
        self.chdir: str | None = None
        self.session = self.dies = False
        self.variables = {os.fsdecode(name): os.fsdecode(value) for name, value in environment.variables().items()}
        self.locks: list[str] = []
        self.blocks: list[int] = []
        self.infos: list[int] = []
        self.statuses: list[int] = []
        self._mode: int | None = None
        self._lower: list[bytes] = []

    # -- words -----------------------------------------------------------------------------------------------------------------

    def _guest(self, shown: str, dest: str) -> bytes:
        """Return a place: relative ones are seen from the guest's root."""
        if not dest:
            raise PyrootError(f"{shown}: DEST is empty", "it is a path of the guest")
        return os.path.normpath(b"/" + os.fsencode(dest).lstrip(b"/"))

    def _host(self, shown: str, path: str) -> bytes:
        if not path:
            raise PyrootError(f"{shown}: SRC is empty", "it is a path of the host")
        return binding.absolute(os.fsencode(path), self.here, shown)

    def _number(self, shown: str, text: str) -> int:
        if not text.isdecimal():
            raise PyrootError(f"{shown}: {text}: invalid descriptor", "FD is the number of a descriptor that is open")
        return int(text)

    def _own(self, shown: str, text: str) -> int:
        """Return a descriptor that the command does not get."""
        number = self._number(shown, text)
        try:
            os.set_inheritable(number, False)
        except OSError as error:
            raise PyrootError(f"{shown}: {text}: {os.strerror(error.errno or 0)}", "open it first: FD< FILE") from None
        return number

    def _octal(self, shown: str, text: str) -> int:
        if not text or text.strip("01234567") or int(text, 8) > 0o7777:
            raise PyrootError(f"{shown}: {text}: invalid mode", "a mode is octal: 0755")
        return int(text, 8)

    def _take_mode(self, usual: int) -> int:
        mode, self._mode = usual if self._mode is None else self._mode, None
        return mode

    def _mount(self, place: Place) -> None:
        """Add something that hides what is there already."""
        self.places = [one for one in self.places if not _below(one.guest, place.guest)]
        self.places.append(place)

    def _mount_root(self, host: bytes | None, readonly: bool) -> None:
        self.places.clear()
        self.root, self.root_readonly = host, readonly

    def refuse(self, shown: str, *words: str) -> None:
        """Refuse what cannot be had, unless the user does not mind."""
        if not environment.bwrap_lenient():
            what = "there is no SELinux here" if "label" in shown else f"pyroot makes no name spaces: {HOST}"
            raise PyrootError(f"{' '.join([shown, *words])}: {what}", "leave it out, or PYROOT_BWRAP_LENIENT=1 goes on without it")

    def check(self) -> None:
        """Refuse name spaces that somebody relies on, all in one line."""
        wanted = [one for one in dict.fromkeys(self.unshared) if one not in _OWN and not (self.shares_net and one == "--unshare-net")]
        if wanted:
            self.refuse(", ".join(wanted))

    # -- places ----------------------------------------------------------------------------------------------------------------

    def bind(self, shown: str, source: str, dest: str, readonly: bool, optional: bool) -> None:
        """--bind and its kin."""
        shown = f"{shown} {source} {dest}"
        guest, host = self._guest(shown, dest), self._host(shown, source)
        place = Binding(host, guest, True, shown, readonly, optional)
        if optional and not os.path.exists(host):
            return
        if guest != b"/":
            self._mount(place)
        elif place.prepare():
            if not os.path.isdir(place.host):
                raise PyrootError(f"{shown}: not a directory", "the root is one")
            self._mount_root(place.host, readonly)

    def bind_data(self, shown: str, number: str, dest: str, readonly: bool) -> None:
        """--bind-data, --ro-bind-data."""
        shown = f"{shown} {number} {dest}"
        self._mount(Held(self._number(shown, number), self._guest(shown, dest), shown, self._take_mode(0o600), readonly))

    def remount(self, shown: str, dest: str) -> None:
        """--remount-ro: of what was mounted last at this very place."""
        guest = self._guest(shown, dest)
        if guest == b"/":
            self.root_readonly = True
            return
        for place in reversed(self.places):
            if place.guest == guest and hasattr(place, "readonly"):
                place.readonly = True
                return
        raise PyrootError(f"{shown} {dest}: nothing was mounted there", "it comes after what mounts there")

    def lower(self, shown: str, source: str) -> None:
        """--overlay-src: the first one is the lowest."""
        self._lower.insert(0, self._host(shown, source))

    def _layers(self, shown: str, dest: str, upper: bytes | None, readonly: bool, least: int) -> None:
        lower, self._lower = self._lower, []
        if len(lower) < least:
            few = "two times" if least > 1 else "once"
            raise PyrootError(f"{shown}: not enough --overlay-src", f"--overlay-src SRC goes before it, at least {few}")
        place = Layers(lower, self._guest(shown, dest), upper, shown, readonly)
        if place.guest == b"/":
            place.prepare()
            self._mount_root(place.host, False)
        self._mount(place)

    def overlay(self, shown: str, upper: str, work: str, dest: str) -> None:
        """--overlay; what WORKDIR is for lies beside RWSRC."""
        shown = f"{shown} {upper} {work} {dest}"
        self._layers(shown, dest, self._host(shown, upper), False, 1)

    def overlay_away(self, shown: str, dest: str) -> None:
        """--tmp-overlay."""
        self._layers(f"{shown} {dest}", dest, None, False, 1)

    def overlay_readonly(self, shown: str, dest: str) -> None:
        """--ro-overlay."""
        self._layers(f"{shown} {dest}", dest, None, True, 2)

    def proc(self, shown: str, dest: str) -> None:
        """--proc."""
        self._mount(Binding(b"/proc", self._guest(shown, dest), True, f"{shown} {dest}"))

    def mqueue(self, shown: str, dest: str) -> None:
        """--mqueue."""
        self._mount(Binding(b"/dev/mqueue", self._guest(shown, dest), True, f"{shown} {dest}"))

    def dev(self, shown: str, dest: str) -> None:
        """--dev: what bubblewrap puts there."""
        guest, shown = self._guest(shown, dest), f"{shown} {dest}"
        if guest == b"/":
            raise PyrootError(f"{shown}: a /dev cannot be the root", "--dev /dev")
        self._mount(Room(guest, shown, 0o755))
        top = os.fsdecode(guest)
        self.places += [Binding(os.fsencode(f"/dev/{name}"), os.fsencode(f"{top}/{name}"), False, "", False, True) for name in _NODES]
        self.places += [Link(os.fsencode(target), os.fsencode(f"{top}/{name}"), shown) for name, target in _LINKS]
        self.places.append(Directory(os.fsencode(f"{top}/shm"), shown, 0o755))
        self.places.append(Binding(b"/dev/pts", os.fsencode(f"{top}/pts"), False, "", False, True))
        self.places.append(Binding(b"/dev/ptmx", os.fsencode(f"{top}/ptmx"), False, "", False, True))
        try:
            terminal = os.ttyname(1)
        except OSError:
            return
        self.places.append(Binding(os.fsencode(terminal), os.fsencode(f"{top}/console"), False, "", False, True))

    def tmpfs(self, shown: str, dest: str) -> None:
        """--tmpfs."""
        guest, mode = self._guest(shown, dest), self._take_mode(0o755)
        if guest == b"/":
            self._mount_root(None, False)
        else:
            self._mount(Room(guest, f"{shown} {dest}", mode))

    def dir(self, shown: str, dest: str) -> None:
        """--dir."""
        guest, mode = self._guest(shown, dest), self._take_mode(0o755)
        if guest != b"/":
            self.places.append(Directory(guest, f"{shown} {dest}", mode))

    def symlink(self, shown: str, target: str, dest: str) -> None:
        """--symlink."""
        if not target:
            raise PyrootError(f"{shown}: SRC is empty", "it is what the link leads to")
        self.places.append(Link(os.fsencode(target), self._guest(shown, dest), f"{shown} {target} {dest}"))

    def file(self, shown: str, number: str, dest: str) -> None:
        """--file."""
        shown = f"{shown} {number} {dest}"
        self.places.append(File(self._number(shown, number), self._guest(shown, dest), shown, self._take_mode(0o666)))

    def chmod(self, shown: str, mode: str, path: str) -> None:
        """--chmod: of what this command line has made there."""
        wanted, guest = self._octal(shown, mode), self._guest(shown, path)
        for place in reversed(self.places):
            if place.guest == guest and isinstance(place, (Tmpfs, File)):
                place.mode = wanted
                return
        raise PyrootError(f"{shown} {mode} {path}: it is not made by this command line", "pyroot changes no file of the host by it")

    def permit(self, shown: str, mode: str) -> None:
        """--perms: for the next one."""
        self._mode = self._octal(shown, mode)

    def limit(self, shown: str, size: str) -> None:
        """--size: refuse it, since a --tmpfs has no limit."""
        self.refuse_size(shown, size)

    def refuse_size(self, shown: str, size: str) -> None:
        """Refuse a limit that nobody would keep, unless the user does not mind."""
        if not environment.bwrap_lenient():
            raise PyrootError(f"{shown} {size}: the size of a --tmpfs cannot be limited", "PYROOT_BWRAP_LENIENT=1 goes on without it")

    # -- the command -------------------------------------------------------------------------------------------------------------

    def take_args(self, shown: str, number: str) -> None:
        """--args: what they say comes before the words that follow."""
        try:
            with open(self._number(shown, number), "rb", closefd=int(number) > 2) as file:
                words = file.read().split(b"\0")
        except (OSError, OverflowError) as error:
            why = os.strerror(error.errno or 0) if isinstance(error, OSError) else "not a descriptor"
            raise PyrootError(f"{shown} {number}: {why}", "open it first: FD< FILE") from None
        if words and not words[-1]:
            words.pop()
        self.left[:0] = map(os.fsdecode, words)

    def name(self, shown: str, text: str) -> None:
        """--argv0."""
        if self.argv0 is not None:
            raise PyrootError(f"{shown}: given twice", "a command has one name")
        self.argv0 = text

    def prefix(self, shown: str) -> None:
        """--level-prefix."""
        from pyroot import report

        report.name = "<3>bwrap"

    def share_net(self, shown: str) -> None:
        """--share-net."""
        self.shares_net = True
        if "--unshare-all" in self.unshared:
            self.unshared.remove("--unshare-all")
            self.unshared += ["--unshare-ipc", "--unshare-pid"]

    def _id(self, shown: str, text: str) -> int:
        if not text.isdecimal() or int(text) >= 0xFFFFFFFF:
            raise PyrootError(f"{shown} {text}: not an id", "it is a number")
        return int(text)

    def be_user(self, shown: str, text: str) -> None:
        """--uid."""
        self.uid = self._id(shown, text)

    def be_group(self, shown: str, text: str) -> None:
        """--gid."""
        self.gid = self._id(shown, text)

    def be_host(self, shown: str, text: str) -> None:
        """--hostname."""
        self.hostname = text

    def start_in(self, shown: str, text: str) -> None:
        """--chdir."""
        self.chdir = text

    def set_variable(self, shown: str, name: str, text: str) -> None:
        """--setenv."""
        if not name or "=" in name:
            raise PyrootError(f"{shown} {name}: not the name of a variable")
        self.variables[name] = text

    def remove_variable(self, shown: str, name: str) -> None:
        """--unsetenv."""
        self.variables.pop(name, None)

    def remove_variables(self, shown: str) -> None:
        """--clearenv."""
        self.variables = {name: text for name, text in self.variables.items() if name == "PWD"}

    def filter(self, shown: str, number: str) -> None:
        """--seccomp: the filters are the command's."""
        if not environment.bwrap_lenient():
            raise PyrootError(f"{shown} {number}: pyroot loads no filter for the command", "PYROOT_BWRAP_LENIENT=1 goes on without it")
        self._own(shown, number)

    def detach(self, shown: str) -> None:
        """--new-session."""
        self.session = True

    def die_with_parent(self, shown: str) -> None:
        """--die-with-parent."""
        self.dies = True

    def lock(self, shown: str, dest: str) -> None:
        """--lock-file."""
        self.locks.append(dest)

    def keep(self, shown: str, number: str) -> None:
        """--sync-fd."""
        self._own(shown, number)

    def wait_for(self, shown: str, number: str) -> None:
        """--block-fd."""
        self.blocks.append(self._own(shown, number))

    def tell(self, shown: str, number: str) -> None:
        """--info-fd."""
        self.infos.append(self._own(shown, number))

    def tell_status(self, shown: str, number: str) -> None:
        """--json-status-fd."""
        self.statuses.append(self._own(shown, number))


def _below(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")
