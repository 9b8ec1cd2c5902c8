"""Layers kept once for all images, and what has changed in a root since it was made of them.

Decides: the form of a store (an OCI layout with blobs and an empty index, so that other tools can read it), and when a file counts as
changed: header or content. A layer is kept as it came, with the headers of its archive, so that an image that has not been changed is
exported with the same diff IDs; what has changed becomes one more layer. Every root is a whole tree of its own; layers that are shared
unpacked, under an overlay, would lie beside the blobs.

Facts: the image layout and layers (whiteouts) of OCI 1.1.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from pyroot.errors import PyrootError, text_of
from pyroot.images.tar import Entry
from pyroot.images.write import Writer, header
from pyroot.manifest.text import decoded, encoded
from pyroot.verbs.remembered import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyroot.images.streams import Source

TREE = FOLDER + b"/tree"
_HEAD = "pyroot tree 1"
MEDIA = {"": "tar", "gz": "tar+gzip", "zstd": "tar+zstd"}


class Store:
    """A directory that keeps layers by their digests."""

    def __init__(self, path: str) -> None:
        """Open it, or make it. Raises PyrootError."""
        self.path = os.path.realpath(path)
        try:
            os.makedirs(f"{self.path}/blobs/sha256", exist_ok=True)
            for name, text in (("oci-layout", '{"imageLayoutVersion":"1.0.0"}'), ("index.json", '{"schemaVersion":2,"manifests":[]}')):
                if not os.path.lexists(f"{self.path}/{name}"):
                    with open(f"{self.path}/{name}", "w", encoding="ascii") as file:
                        file.write(text)
        except OSError as error:
            what = f"import: --layers {path}: {text_of(error.errno or 0)}"
            raise PyrootError(what, "STORE is a directory, which is made if it is missing") from None

    def blob(self, digest: str) -> str:
        """Return where a layer is."""
        return f"{self.path}/blobs/{digest.replace(':', '/')}"

    def kept(self, source: Source) -> Kept:
        """Keep what is read of a source."""
        return Kept(self, source)


class Kept:
    """A source whose bytes are kept in a store, under their digest if they are found to be right."""

    def __init__(self, store: Store, source: Source) -> None:
        self._store, self._source = store, source
        self._part = f"{store.path}/blobs/sha256/.part-{os.urandom(6).hex()}"
        self._file = open(self._part, "xb")  # noqa: SIM115
        self._hash = hashlib.sha256()
        self._size = 0

    def __call__(self, most: int, /) -> bytes:
        """Read."""
        data = self._source(most)
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)
        return data

    def end(self, packed: str, diff: str) -> dict[str, Any]:
        """Keep the layer; return what is known of it. Raises PyrootError, OSError."""
        if packed not in MEDIA:
            raise PyrootError(f"it is compressed by {packed}, which layers of images are not", "leave --layers out")
        self._file.close()
        digest = f"sha256:{self._hash.hexdigest()}"
        os.rename(self._part, self._store.blob(digest))
        return {"digest": digest, "size": self._size, "diff": diff, "packed": packed}

    def close(self) -> None:
        """Forget what was not ended."""
        self._file.close()
        if os.path.lexists(self._part):
            os.unlink(self._part)


class _Known(NamedTuple):
    """What is known of a file: digest of its header, inode and time of change, digest of its content ("-": it has none)."""

    head: str
    ino: int
    ctime: int
    content: str


def _digest(file: int) -> str:
    if file < 0:
        return "-"
    found = hashlib.sha256()
    while data := os.read(file, 1 << 20):
        found.update(data)
    os.lseek(file, 0, os.SEEK_SET)
    return found.hexdigest()


class _Listing(Writer):
    """Lists all files, and writes nothing."""

    def __init__(self, root: bytes) -> None:
        super().__init__(root, lambda data: None)
        self.lines: list[str] = [_HEAD]

    def wanted(self, entry: Entry, file: int, status: os.stat_result) -> bool:
        head = hashlib.sha256(header(entry)).hexdigest()
        self.lines.append(f"{encoded(entry.name)} {head} {status.st_ino} {status.st_ctime_ns} {_digest(file)}")
        return False


def remember(root: bytes) -> None:
    """Write down what a root consists of. Raises PyrootError, OSError."""
    listing = _Listing(root)
    listing.write()
    with open(os.path.join(root, TREE), "x", encoding="ascii") as file:
        file.write("\n".join(listing.lines) + "\n")


class Changes(Writer):
    """Writes the layer of what has changed in a root: new and other files, and whiteouts of what is gone."""

    def __init__(self, root: bytes, put: Callable[[bytes], object], seen: Callable[[bytes], None]) -> None:
        """Read what is known of the root. Raises PyrootError."""
        super().__init__(root, put, seen)
        self.changed = 0
        self._known: dict[bytes, _Known] = {}
        self._folders: set[bytes] = {b""}
        path = os.path.join(root, TREE)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd, encoding="ascii") as file:
                lines = file.read().splitlines() if stat.S_ISREG(os.fstat(fd).st_mode) else []
            if lines[:1] != [_HEAD]:
                raise ValueError
            for line in lines[1:]:
                name, head, ino, ctime, content = line.split(" ")
                self._known[decoded(name)] = _Known(head, int(ino), int(ctime), content)
        except (OSError, ValueError):
            raise PyrootError(f"{os.fsdecode(path)}: is not what pyroot import wrote", "--flatten makes one layer of the root") from None

    def wanted(self, entry: Entry, file: int, status: os.stat_result) -> bool:
        if entry.kind == stat.S_IFDIR:
            self._folders.add(entry.name.removeprefix(b"./").rstrip(b"/"))
        known = self._known.pop(entry.name, None)
        if known is not None and known.head == hashlib.sha256(header(entry)).hexdigest():
            untouched = (known.ino, known.ctime) == (status.st_ino, status.st_ctime_ns)
            if untouched or known.content == _digest(file):
                return False
        self.changed += 1
        return True

    def finish(self) -> None:
        """Write whiteouts of what is gone, but of what is in a directory that is gone as well."""
        gone = {name.rstrip(b"/") for name in self._known}
        gone -= {name for name in gone if name in self._folders}
        for name in sorted(gone):
            parent, _slash, own = name.rpartition(b"/")
            if parent in self._folders and not os.path.lexists(os.path.join(self.root, name)):
                self.changed += 1
                self.out(header(Entry(parent + b"/.wh." + own if parent else b".wh." + own, stat.S_IFREG, 0o644, 0, 0, 0)))
