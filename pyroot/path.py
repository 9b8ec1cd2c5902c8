"""Show, in plain Python, where a guest path is on the host: the readable reference translator.

Decides: what a path of the guest *means*: which directory each component leads to, where a symbolic link continues,
what `..` does at the top of a binding, and which errno a walk ends with.  It does not run anything: the run path uses
the compiled translator of `pyroot._fast`, and property tests hold that one against this one, which is written to be
read and checked against path_resolution(7).  It does not know calls either: whether a call follows the last link,
creates it or refuses a binding is the caller's knowledge.  Magic links of /proc (exe, cwd, root, fd/N) are not text to
follow and are the supervisor's business; here they are links like others.

Facts: path_resolution(7), symlink(7), Linux `fs/namei.c` (`link_path_walk`, `pick_link`, `may_follow_link`),
measurement in a real chroot with bind mounts.  The rules, each of which has surprised some implementation:

* components are looked at from left to right, and the first one that fails decides the errno;
* a directory that is not searchable gives EACCES for every name in it, `.` and `..` included;
* `..` is the parent of the directory *reached*, not of the text written; at the root it stays, and at the top of a
  binding it leads to the parent that the guest sees;
* 40 links in one walk are followed, the 41st is ELOOP; absolute links start at the guest's root;
* a trailing slash follows a last link and demands a directory, except where the call works on the parent (mkdir, rename
  ...);
* names have at most 255 bytes, the guest's string 4095; the host's string may become longer than that;
* the binding with the deepest guest path wins, whatever lies below it, and even if nothing does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PATH_MAX = 4096  # bytes with the NUL, linux/limits.h
NAME_MAX = 255
MAX_LINKS = 40  # MAXSYMLINKS, linux/namei.h
FAR = 4000  # host paths up to this length are given to the kernel in one piece


def fail(code: int, path: bytes) -> OSError:
    """Return the OSError for `code`, worded by the C library, about the guest's `path`."""
    return OSError(code, os.strerror(code), path)


def join(directory: bytes, name: bytes) -> bytes:
    """Return `directory` + `/` + `name` for an absolute directory that may be `/`."""
    return directory + name if directory == b"/" else directory + b"/" + name


def parent(directory: bytes) -> bytes:
    """Return the parent of a canonical directory; the root is its own parent."""
    return directory[: directory.rindex(b"/")] or b"/"


def below(path: bytes, top: bytes) -> bytes | None:
    """Return what follows `top` in `path` (empty if they are equal), or None if `path` is not below `top`."""
    if path == top:
        return b""
    prefix = top if top == b"/" else top + b"/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def trailing_slashes(path: bytes) -> bytes:
    """Return the slashes at the end of `path`."""
    return path[len(path.rstrip(b"/")) :]


def protected_symlinks() -> bool:
    """Tell whether this kernel refuses to follow other people's links in sticky world-writable directories."""
    try:
        with open("/proc/sys/fs/protected_symlinks", "rb") as setting:
            return setting.read().strip() != b"0"
    except OSError:
        return False


@contextlib.contextmanager
def near(host: bytes) -> Iterator[tuple[bytes, int | None]]:
    """Yield (rest, directory fd or None): a way to name `host` whatever its length.

    The kernel takes 4095 bytes at once, but the guest's limit applies to the guest's string: the root before it,
    symbolic links and a deep current directory may make the host's string longer.  The fd is closed afterwards.  Raises OSError.
    """
    fd: int | None = None
    try:
        while len(host) > FAR:
            cut = host.rindex(b"/", 1, FAR)
            deeper = os.open(host[:cut], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            if fd is not None:
                os.close(fd)
            fd, host = deeper, host[cut + 1 :]
        yield host, fd
    finally:
        if fd is not None:
            os.close(fd)


def lstat(host: bytes) -> os.stat_result:
    """Return the status of `host`; a symbolic link at the end is not followed."""
    with near(host) as (rest, fd):
        return os.lstat(rest, dir_fd=fd)


def readlink(host: bytes) -> bytes:
    """Return the text of the symbolic link `host`."""
    with near(host) as (rest, fd):
        return os.readlink(rest, dir_fd=fd)


def check_search(host: bytes) -> None:
    """Raise EACCES unless the directory `host` may be searched; the kernel asks before it looks at any name."""
    lstat(host + b"/.")


class Walk:
    """One walk: the directory reached so far and the names still to come.

    `guest` is canonical at every moment: it holds no symbolic link, no `.` and no `..`, so that its parent is its text without
    the last component.
    """

    def __init__(self, view: View, path: bytes, base: bytes) -> None:
        """Start at the guest's root or at the canonical directory `base`.  Raises ENOENT, ENAMETOOLONG."""
        if not path:
            raise fail(errno.ENOENT, path)
        if len(path) >= PATH_MAX:
            raise fail(errno.ENAMETOOLONG, path)
        self.view = view
        self.path = path
        self.guest = b"/" if path.startswith(b"/") else base
        self.names = self.split(path)
        self.slashes = trailing_slashes(path)
        self.links = 0
        # The results of `run`, see there.
        self.last = b""
        self.found: os.stat_result | None = None
        self.dots = b""
        self.left = self.guest

    @staticmethod
    def split(text: bytes) -> list[bytes]:
        """Return the components of `text`, the first one last, where it is popped."""
        return [name for name in reversed(text.split(b"/")) if name]

    def run(self, follow: bool, as_parent: bool = False) -> None:
        """Walk to the last component and, if `follow` or a trailing slash ask for it, along a symbolic link there.

        With `as_parent` the last component is never followed.  Afterwards `guest` is the directory that holds `last`, and
        `found` is the status of `last`, or None if it does not exist; then `names` are those that would have come
        after it.  `last` is empty if the path ends at the root or with `dots` (`.` or `..`): then `guest` is the
        directory meant and `left` the one that held the dots.  Raises OSError as the kernel does.
        """
        while self.names:
            name = self.names.pop()
            trailing = not self.names
            if name in (b".", b".."):
                check_search(self.view.host_of(self.guest))
                self.dots, self.left = name, self.guest
                if name == b"..":
                    self.guest = parent(self.guest)
                continue
            self.dots = b""
            found = self.look(name)
            is_link = found is not None and stat.S_ISLNK(found.st_mode)
            ends_here = trailing and (as_parent or not is_link or not (follow or self.slashes))
            if found is None or ends_here:
                self.last, self.found = name, found
                return
            if is_link:
                self.enter_link(name, found, trailing)
            elif stat.S_ISDIR(found.st_mode):
                self.guest = join(self.guest, name)
            else:
                raise fail(errno.ENOTDIR, self.path)

    def look(self, name: bytes) -> os.stat_result | None:
        """Return the status of `name` in the current directory, None if it does not exist."""
        host = self.view.bound(join(self.guest, name))
        here = self.view.host_of(self.guest)
        if host is not None or len(name) > NAME_MAX:
            check_search(here)
        if len(name) > NAME_MAX:
            raise fail(errno.ENAMETOOLONG, self.path)
        try:
            return lstat(host or join(here, name))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise fail(error.errno or errno.EIO, self.path) from None

    def enter_link(self, name: bytes, found: os.stat_result, trailing: bool) -> None:
        """Put the text of the symbolic link `name` before what is still to come."""
        self.links += 1
        if self.links > MAX_LINKS:
            raise fail(errno.ELOOP, self.path)
        if trailing and not self.view.may_follow(self.guest, found):
            raise fail(errno.EACCES, self.path)
        text = readlink(self.view.host_of(join(self.guest, name)))
        if not text:
            raise fail(errno.ENOENT, self.path)
        if text.startswith(b"/"):
            self.guest = b"/"
        if trailing:
            # Once a directory is required, that stays so; otherwise the link's own text may require one.
            self.slashes = trailing_slashes(text) or self.slashes
        self.names += self.split(text)


class View:
    """One guest view of the host: a root and its bindings.  The same contract as `pyroot._fast.Core`."""

    def __init__(self, rootfs: bytes, protected: bool | None = None) -> None:
        """Make a view with `rootfs`, the canonical absolute host path of a directory, as its root.

        `protected` says whether symbolic links in sticky world-writable directories are protected; None: as this kernel does.
        """
        self._table: list[tuple[bytes, bytes, int]] = [(rootfs, b"/", 0)]
        self._tops: dict[bytes, bytes] = {b"/": rootfs}
        self._protected = protected_symlinks() if protected is None else protected

    def bind(self, host: bytes, guest: bytes, flags: int = 0) -> None:
        """Let the guest see `host` (canonical, file or directory) at `guest` (canonical); a later one replaces."""
        row = (host, guest, flags)
        if guest in self._tops:
            place = [top for _, top, _ in self._table].index(guest)
            self._table[place] = row
        else:
            self._table.append(row)
        self._tops[guest] = host

    def bindings(self) -> list[tuple[bytes, bytes, int]]:
        """Return (host, guest, flags) of the root and of each binding, in the order in which they were made."""
        return list(self._table)

    def bound(self, guest: bytes) -> bytes | None:
        """Return the host path bound exactly at a canonical guest path, or None."""
        return self._tops.get(guest)

    def host_of(self, guest: bytes) -> bytes:
        """Return the host path of a canonical guest path: that of the deepest binding above it, and the rest."""
        top = guest
        while top not in self._tops:
            top = parent(top)
        rest = below(guest, top)
        return join(self._tops[top], rest) if rest else self._tops[top]

    def may_follow(self, guest: bytes, link: os.stat_result) -> bool:
        """Tell whether the kernel allows following a last `link` in `guest` (proc_sys_fs(5), protected_symlinks)."""
        if not self._protected or link.st_uid == os.geteuid():
            return True
        directory = lstat(self.host_of(guest))
        guarded = stat.S_ISVTX | stat.S_IWOTH
        return directory.st_mode & guarded != guarded or directory.st_uid == link.st_uid

    def resolve(
        self, path: bytes, base: bytes = b"/", follow: bool = True, missing: bool = False
    ) -> tuple[bytes, bytes, int]:
        """Return (canonical guest path, host path, number of trailing names that do not exist).

        `base` is the guest's current directory, canonical.  Without `missing` every component must exist.  With it any
        number of trailing ones may be missing, and they are appended as they are; a `..` among them gives ENOENT.
        (The core also accepts as they are names in a directory that it may not search.)  Raises OSError.
        """
        walk = Walk(self, path, base)
        walk.run(follow)
        guest = walk.guest
        if not walk.last:
            return guest, self.host_of(guest), 0
        guest = join(guest, walk.last)
        if walk.found is not None:
            if walk.slashes and not stat.S_ISDIR(walk.found.st_mode):
                raise fail(errno.ENOTDIR, path)
            return guest, self.host_of(guest), 0
        if not missing or b".." in walk.names:
            raise fail(errno.ENOENT, path)
        after = [name for name in reversed(walk.names) if name != b"."]
        for name in after:
            guest = join(guest, name)
        return guest, self.host_of(guest), 1 + len(after)

    def translate(self, path: bytes, base: bytes = b"/", follow: bool = True, as_parent: bool = False) -> bytes:
        """Return the string to hand to the host's kernel in place of `path`.

        It is the host path of the directory that the walk reached, then the last component as the guest wrote it (or as the
        followed link said), with its slashes: so the kernel itself still sees `new/`, `d/.` and a missing last
        component, and gives the errno of the call in question.  `follow`: the call follows a last link; `as_parent`: the
        call works on the directory above (mkdir, unlink, rename ...), where a trailing slash does not follow.  A last
        `..` that leaves the root or a binding cannot be written as `..` on the host and becomes the directory that it
        leads to and `/.`.  Raises OSError.
        """
        walk = Walk(self, path, base)
        walk.run(follow, as_parent)
        if walk.names:
            raise fail(errno.ENOENT, path)
        host = self.host_of(walk.guest)
        if walk.last:
            host = self.bound(join(walk.guest, walk.last)) or join(host, walk.last)
        elif walk.dots == b"." or (walk.dots and walk.left in self._tops):
            host = join(host, b".")
        elif walk.dots:
            host = join(self.host_of(walk.left), b"..")
        return host + walk.slashes

    def detranslate(self, host: bytes) -> bytes | None:
        """Return the guest path of a host path, by its text; None if no guest path leads there.

        Of several bindings that hold it the one with the longest host path is taken; one that is covered by a deeper
        binding at that path does not count.
        """
        best: bytes | None = None
        length = -1
        for top, guest_top, _ in self._table:
            rest = below(host, top)
            if rest is None or len(top) < length:
                continue
            guest = join(guest_top, rest) if rest else guest_top
            if self.host_of(guest) == host:
                best, length = guest, len(top)
        return best
