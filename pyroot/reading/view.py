"""What the checks look at: a root directory as a run would show it, and the user who looks.

Decides: how a guest path is read here, with the bindings that the user names, and which rights count. Not decided here:
what is wrong. Nothing is changed, and nothing is run from here (`pyroot.doctor.asking` may, with the words of `run_words`).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence

from pyroot import environment
from pyroot.elf.closure import Closure, Item
from pyroot.elf.rooted import Rooted, Trace
from pyroot.elf.versions import Symbols, Versions, read_symbols, read_versions
from pyroot.errors import shell_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.manifest.compare import Change
    from pyroot.manifest.entry import Entry

PROGRAM_DIRECTORIES = (b"/usr/local/sbin", b"/usr/local/bin", b"/usr/sbin", b"/usr/bin", b"/sbin", b"/bin")


class Bound(Rooted):
    """A root directory with bindings: (host, guest) pairs, both canonical."""

    def __init__(self, root: str | bytes, bindings: list[tuple[bytes, bytes]]) -> None:
        """Take the root and its bindings."""
        super().__init__(root)
        self.bindings = {guest: host for host, guest in bindings}
        self._above = {guest[:at] for guest in self.bindings for at, char in enumerate(guest) if char == 0x2F and at}

    def host(self, guest_real: bytes) -> bytes:
        """Give the host path of a canonical guest path: the deepest binding decides."""
        at = guest_real
        while at and at != b"/":
            if at in self.bindings:
                return self.bindings[at] + guest_real[len(at) :]
            at = at.rpartition(b"/")[0]
        return super().host(guest_real)

    def text(self, here: bytes) -> bytes | None:
        """Give the text of a symbolic link; a mount point is not one, nor is a directory that leads to one."""
        if here in self.bindings:
            return None
        try:
            return super().text(here)
        except FileNotFoundError:
            if here in self._above:
                return None
            raise

_OTHERS = (b"execv", b"execve", b"execvp", b"execvpe", b"posix_spawn", b"posix_spawnp", b"system", b"popen", b"dlopen")


class View:
    """One root under examination. What is expensive is looked up once, when a check asks for it."""

    def __init__(self, rooted: Rooted, spelled: str = "", commands: list[bytes] | None = None, uid: int | None = None) -> None:
        """Take the root, its name for messages, the commands that matter (none: every program), and the user who runs them."""
        self.rooted = rooted
        self.spelled = spelled or os.fsdecode(rooted.root)
        self.commands = commands or []
        self.uid = os.geteuid() if uid is None else uid
        self.groups = {os.getegid(), *os.getgroups()} if uid is None else {uid}
        self.environment = environment.variables()
        self.run_words: list[str] | None = None  # the options of a run that shows this view; None: no guest is to be started
        self.answers: dict[tuple[bytes, tuple[str, ...]], object] = {}  # what programs of the root have said (`pyroot.doctor.asking`)
        self._closure: Closure | None = None
        self._versions: dict[bytes, Versions] = {}
        self._symbols: dict[bytes, Symbols] = {}
        self._bare: bool | None = None
        self.progress: Callable[[str], None] = lambda text: None
        self.expected: Sequence[Entry] | None = None  # of a list that the root is checked against
        self._differences: Sequence[Change] | None = None

    # --- files ---

    def find(self, path: bytes) -> Trace | None:
        """Follow a guest path; None if it leads nowhere."""
        return self.rooted.find(path)

    def stat(self, path: bytes) -> os.stat_result | None:
        """Give the status of what a guest path leads to; symbolic links are followed inside the root."""
        trace = self.rooted.find(path)
        if trace is None:
            return None
        try:
            return os.lstat(self.rooted.host(trace.real))
        except OSError:
            return None

    def link(self, path: bytes) -> bytes | None:
        """Give the text of a symbolic link, None for anything else (its directory may be reached through links)."""
        directory = self.rooted.find(os.path.dirname(path) or b"/")
        if directory is None:
            return None
        try:
            return self.rooted.text(directory.real.rstrip(b"/") + b"/" + os.path.basename(path))
        except OSError:
            return None

    def problem(self, path: bytes) -> int:
        """Give the errno of following a path, 0 if there is none."""
        try:
            self.rooted.trace(path)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def dead_end(self, path: bytes) -> bytes:
        """Give the canonical guest path of the first component of a path that is missing; empty if none is."""
        return self.rooted.dead_end(path)

    def is_directory(self, path: bytes) -> bool:
        """Tell whether a path leads to a directory."""
        status = self.stat(path)
        return status is not None and stat.S_ISDIR(status.st_mode)

    def is_file(self, path: bytes) -> bool:
        """Tell whether a path leads to a regular file."""
        status = self.stat(path)
        return status is not None and stat.S_ISREG(status.st_mode)

    def read(self, path: bytes) -> bytes | None:
        """Read a regular file; None if there is none or it cannot be read."""
        if not self.is_file(path):
            return None
        try:
            return self.rooted.read(path)
        except OSError:
            return None

    def closed(self, path: bytes) -> bool:
        """Tell whether a path leads to a file or directory that is there and that the user may not read."""
        status = self.stat(path)
        if status is None:
            return self.problem(path) == errno.EACCES
        return not self.may(status, os.R_OK)

    def list(self, path: bytes) -> list[bytes]:
        """List the names in a directory, sorted; nothing if there is none or it cannot be read."""
        trace = self.rooted.find(path)
        if trace is None:
            return []
        try:
            return sorted(os.listdir(self.rooted.host(trace.real)))
        except OSError:
            return []

    def outside(self, path: bytes) -> str:
        """Give a guest path as the user names it on the host, quoted for a shell; a symbolic link at its end is not followed."""
        trace = self.rooted.find(os.path.dirname(path) or b"/")
        host = self.rooted.host(trace.real if trace else os.path.dirname(path)).rstrip(b"/") + b"/" + os.path.basename(path)
        text = os.fsdecode(host)
        root = os.fsdecode(self.rooted.root)
        if root and text.startswith(root + "/"):
            text = self.spelled.rstrip("/") + text[len(root) :]
        return shell_word(text)

    def each(self, paths: Iterable[bytes], kind: Callable[[int], bool]) -> Iterator[tuple[bytes, Trace, os.stat_result]]:
        """Follow paths and give those that lead to a file of this kind (stat.S_ISREG and so on), each file once."""
        seen: set[bytes] = set()
        for path in paths:
            trace, status = self.find(path), self.stat(path)
            if trace is not None and status is not None and trace.real not in seen and kind(status.st_mode):
                seen.add(trace.real)
                yield path, trace, status

    # --- rights ---

    def may(self, status: os.stat_result, want: int) -> bool:
        """Tell whether the user has the rights `want` (os.R_OK and so on) by owner and mode."""
        mode = status.st_mode
        if self.uid == 0:
            return not want & os.X_OK or stat.S_ISDIR(mode) or bool(mode & 0o111)
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid in self.groups else 0
        return mode >> shift & want == want

    def owns(self, status: os.stat_result) -> bool:
        """Tell whether the user may change the mode of a file."""
        return self.uid in (0, status.st_uid)

    # --- programs ---

    @property
    def closure(self) -> Closure:
        """Give the closure of the commands, or of every program in the usual directories."""
        if self._closure is None:
            self._closure = Closure(self.rooted, b":".join(reversed(PROGRAM_DIRECTORIES)))
            named = self.environment.get(b"LD_LIBRARY_PATH", b"").replace(b";", b":").split(b":")
            self._closure.library_path = tuple(one for one in named if one.startswith(b"/"))
            for number, program in enumerate(self.commands or self._programs()):
                self.progress(f"programs: {number + 1} {os.fsdecode(program)}")
                self._closure.add_program(program)
        return self._closure

    def missing(self, *whys: str) -> Iterator[Item]:
        """List what the closure lacks, of the given kinds."""
        return (item for item in self.closure.items if item.missing and item.why in whys)

    def program_files(self) -> Iterator[tuple[bytes, bytes]]:
        """List the entries of the usual program directories, each directory once: guest path and canonical directory."""
        seen: set[bytes] = set()
        for directory in PROGRAM_DIRECTORIES:
            trace = self.rooted.find(directory)
            if trace is None or trace.real in seen:
                continue
            seen.add(trace.real)
            for name in self.list(directory):
                yield directory + b"/" + name, trace.real + b"/" + name

    def _programs(self) -> Iterator[bytes]:
        for path, _trace, status in self.each((path for path, _place in self.program_files()), stat.S_ISREG):
            if status.st_mode & 0o111 and self.may(status, os.R_OK):
                yield path

    @property
    def bare(self) -> bool:
        """Tell whether this is a root without a shell and without programs in the usual directories: one for single programs."""
        if self._bare is None:
            shell = self.stat(b"/bin/sh") or self.link(b"/bin/sh")
            self._bare = not shell and not any(True for _entry in self.program_files())
        return self._bare

    @property
    def differences(self) -> Sequence[Change]:
        """List what differs from the list that the root is checked against; nothing without a list."""
        if self._differences is None:
            self._differences = []
            if self.expected is not None:
                from pyroot.manifest.compare import compare
                from pyroot.manifest.scan import scan

                self._differences = compare(self.expected, scan(self.rooted.root or b"/", True, self.progress))
        return self._differences

    def versions(self, real: bytes) -> Versions:
        """Read the symbol versions of a file of the root, once."""
        if real not in self._versions:
            try:
                self._versions[real] = read_versions(self.rooted.host(real))
            except OSError:
                self._versions[real] = Versions()
        return self._versions[real]

    def may_call(self, calls: tuple[bytes, ...]) -> bool:
        """Tell whether a program makes one of these calls, or may: it starts or loads others, or does not say what it calls."""
        images = self.closure.images
        if len(images) < len(self.commands):
            return True
        for objects in images.values():
            libc = [one for one in objects if b"libc.so.6" in one.names]
            found = [self.versions(one.real) for one in objects if one not in libc]
            if not libc or any(one.uses(call) for one in found for call in calls + _OTHERS):
                return True
        return False

    def symbols(self, real: bytes) -> Symbols:
        """Read the dynamic symbols of a file of the root, once."""
        if real not in self._symbols:
            try:
                self._symbols[real] = read_symbols(self.rooted.host(real))
            except OSError:
                self._symbols[real] = Symbols()
        return self._symbols[real]

    def uses(self, *calls: bytes) -> bool:
        """Tell whether something in the closure, apart from the C library itself, names one of these functions."""
        files = {one.real for objects in self.closure.images.values() for one in objects if b"libc.so.6" not in one.names}
        return any(self.versions(real).uses(call) for real in files for call in calls)

    def lacking_versions(self) -> Iterator[tuple[bytes, str]]:
        """List libraries that lack a version that a program or another library requires, with what is to be said about them."""
        lacking: dict[tuple[bytes, bytes], list[bytes]] = {}
        done: set[tuple[bytes, bytes]] = set()
        for objects in self.closure.images.values():
            by_name = {name: one for one in objects for name in one.names}
            for wanter in objects:
                for library, version in self.versions(wanter.real).needs:
                    given = by_name.get(library)
                    if given is None or (wanter.real, library + given.real + version) in done:
                        continue
                    done.add((wanter.real, library + given.real + version))
                    offers = self.versions(given.real).offers
                    if offers and version not in offers:
                        lacking.setdefault((given.path, version), []).append(wanter.path)
        for (path, version), wanters in lacking.items():
            yield path, f"does not have version {os.fsdecode(version)}; needed by {shown_names(wanters)}"


def shown_names(paths: list[bytes], limit: int = 3) -> str:
    """List the first of some paths, and how many more there are."""
    shown = ", ".join(os.fsdecode(path) for path in paths[:limit])
    return shown + (f" and {len(paths) - limit} more" if len(paths) > limit else "")
