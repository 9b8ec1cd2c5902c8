"""`pyroot import`: make a root of an image.

Decides: the verb's words, and the order of the work: all is unpacked beside DIR and moved there in one step at the end, so that a failure
leaves nothing. Not decided here: what an image is (``sources``), what becomes of its entries (``unpack``).
"""

from __future__ import annotations

import os
import resource
import signal
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from pyroot import report
from pyroot.errors import PyrootError, shell_word, text_of
from pyroot.images import limits as bounds
from pyroot.images import owned, settings, sources
from pyroot.images.layers import Store, remember
from pyroot.images.streams import CHUNK, Behind, Counted, Stream, of_descriptor
from pyroot.images.tar import Reader
from pyroot.images.tree import Tree, remove_all
from pyroot.images.unpack import Unpacker
from pyroot.rootfs.new import Ended, signals_raised
from pyroot.verbs.output import Progress, put
from pyroot.verbs.words import Verb, value

if TYPE_CHECKING:
    from typing import Any

    from pyroot.images.limits import Limits
    from pyroot.images.sources import Files, Layer

IMPORT = Verb(
    "import",
    """\
usage: pyroot import [OPTION...] SOURCE DIR

Make a root file system in DIR of an image: a tar file of a root (as docker export
writes it), an archive of docker save, an OCI layout (a directory or a tar file), or a
directory of skopeo copy dir:. Files may be compressed by gzip, bzip2, xz or zstd;
- is standard input.

Nothing needs root. Files are yours; owners, modes, devices and capabilities are
remembered as those of a fake root (pyroot -0). Digests are compared, and DIR appears
when all of it is there, or not at all. pyroot run-image runs what the image asks for.
""",
    (
        value("--image", "NAME", "which image, if there are several in SOURCE"),
        value("--platform", "OS/ARCH", "which platform, if there are several (default: this machine's)"),
        value("--layers", "STORE", "keep the layers in the directory STORE, each once; pyroot export writes them again"),
        *bounds.ROWS,
    ),
    22,
)


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    words = IMPORT.read(argv)
    if "help" in words.flags:
        put(IMPORT.usage())
        return 0
    if len(words.rest) != 2:
        few = "DIR is missing" if words.rest else "SOURCE and DIR are missing"
        what = few if len(words.rest) < 2 else f"{words.rest[2]}: unexpected word"
        raise PyrootError(f"import: {what}", "pyroot import SOURCE DIR")
    source, directory = words.rest
    limits = bounds.of_words(words)
    target = free_place("import", directory)
    choice = words.last("image", ""), words.last("platform", "")
    try:
        with signals_raised():
            job = Import(source, limits, choice, Store(words.last("layers", "")) if "layers" in words.values else None)
            job.into(target)
    except Ended as end:
        os.kill(os.getpid(), end.number)
        return 128 + end.number
    job.tell(directory)
    return 0


def free_place(verb: str, name: str) -> bytes:
    """Return the canonical path of a directory that is to be made; an empty one may be there. Raises PyrootError."""
    path = os.path.realpath(os.fsencode(name))
    parent = os.path.dirname(path)
    if os.path.lexists(path):
        try:
            free = not os.listdir(path)
        except OSError as error:
            raise PyrootError(f"{verb}: {name}: {text_of(error.errno or 0)}", "give a name that is free") from None
        if not free:
            raise PyrootError(f"{verb}: {name}: is not empty", "give a name that is free, or an empty directory")
    elif os.path.islink(name):
        raise PyrootError(f"{verb}: {name}: is a dangling symbolic link", "give another name")
    elif not os.path.isdir(parent):
        raise PyrootError(f"{verb}: {name}: {os.fsdecode(parent)} is not a directory", f"mkdir -p {shell_word(os.fsdecode(parent))}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PyrootError(f"{verb}: {name}: {os.fsdecode(parent)} may not be written to", "choose another place")
    return path


class Import:
    """One import: what is read, and what has come of it."""

    def __init__(self, source: str, limits: Limits, choice: tuple[str, str], store: Store | None = None) -> None:
        self._source, self._limits, self._choice = source, limits, choice
        self._progress = Progress()
        self._read = self._whole = 0
        self._store = store
        self._kept: list[dict[str, Any]] = []
        self.unpacker: Unpacker | None = None
        self.image: sources.Image | None = None

    def into(self, target: bytes) -> None:
        """Make the root. Raises PyrootError; then nothing is there."""
        folder, name = os.path.split(target)
        parent = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        stage = b"." + name[:200] + b"." + os.urandom(6).hex().encode()
        mask = os.umask(0)
        more_descriptors()
        try:
            os.mkdir(stage, 0o700, dir_fd=parent)
            try:
                self._fill(parent, stage)
                os.rename(stage + b"/root", name, src_dir_fd=parent, dst_dir_fd=parent)
            finally:
                held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
                try:
                    remove_all(parent, stage)
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, held)
        except OSError as error:
            raise PyrootError(f"import: {os.fsdecode(target)}: {text_of(error.errno or 0)}", "choose another place") from None
        except PyrootError as error:
            raise PyrootError(f"import: {self._source}: {error.message}", error.hint) from None
        finally:
            self._progress.end()
            os.umask(mask)
            os.close(parent)

    def _fill(self, parent: int, stage: bytes) -> None:
        """Unpack all layers into ``stage``/root."""
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        outer = os.open(stage, flags, dir_fd=parent)
        root = os.path.realpath(f"/proc/self/fd/{outer}".encode()) + b"/root"
        for name in (b"root", b"aside"):
            os.mkdir(name, 0o700, dir_fd=outer)
        with suppress(OSError):  # a default list of the directory around it
            os.removexattr(root, "system.posix_acl_default")
        os.chmod(root, 0o755)
        top, aside = os.open(b"root", flags, dir_fd=outer), os.open(b"aside", flags, dir_fd=outer)
        tree = Tree(top, aside, self._limits)
        self.unpacker = Unpacker(tree, self._limits, self._seen if os.isatty(2) else lambda name: None)
        try:
            fd, head = self._open()
            if fd < 0 or sources.is_archive(head, bounds.Limits()):
                self._layers(self._files(fd, head, outer))
            elif self._store is not None:
                raise PyrootError("it is a tar file of a root, which has no layers", "leave --layers out")
            else:
                self._archive(Counted(Behind(head, of_descriptor(fd)), seen=self._passed), "", "")
            if self.image is not None:
                settings.keep(root, self.image.config, self.image.name, self._store.path if self._store else "", self._kept)
            owned.settle(root, top, self.unpacker.records, self.unpacker.times)
            if self._store is not None:
                self._progress("looking at what was made")
                remember(root)
        finally:
            tree.close()
            for one in (outer, top, aside):
                os.close(one)

    def _open(self) -> tuple[int, bytes]:
        """Open SOURCE; give its descriptor and its beginning. A directory has the descriptor -1."""
        if self._source == "-":
            fd = 0
        else:
            try:
                if os.path.isdir(self._source):
                    return -1, b""
                fd = os.open(self._source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
            except (OSError, ValueError) as error:
                raise PyrootError(text_of(getattr(error, "errno", 0) or 22), "SOURCE is a file or a directory") from None
        status = os.fstat(fd)
        self._whole = status.st_size if stat.S_ISREG(status.st_mode) else 0
        read, head = of_descriptor(fd), b""
        while len(head) < CHUNK and (data := read(CHUNK)):
            head += data
        if not head:
            raise PyrootError("it is empty")
        return fd, head

    def _files(self, fd: int, head: bytes, outer: int) -> Files:
        """Give the files of an image; a compressed archive, or one that comes through a pipe, is written to the disk first."""
        if fd < 0:
            try:
                return sources.Folder(os.fsencode(self._source))
            except OSError as error:
                raise PyrootError(text_of(error.errno or 0)) from None
        stream = Stream(Counted(Behind(head, of_descriptor(fd))), self._limits)
        try:
            if not stream.packed and self._whole:
                return sources.Packed(fd, self._limits)
            spool = os.open(b"spool", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=outer)
            while data := stream.read(CHUNK):
                view = memoryview(data)
                while view:
                    view = view[os.write(spool, view):]
            return sources.Packed(spool, self._limits)
        finally:
            stream.close()

    def _layers(self, files: Files) -> None:
        self.image = sources.read_image(files, *self._choice)
        self._whole = sum(layer.place[2] for layer in self.image.layers)
        self._read = 0
        for number, layer in enumerate(self.image.layers):
            try:
                self._layer(layer, number == 0)
            except PyrootError as error:
                raise PyrootError(f"{layer.name}: {error.message}", error.hint) from None

    def _layer(self, layer: Layer, first: bool) -> None:
        algorithm = layer.digest.partition(":")[0] or layer.diff.partition(":")[0]
        source = sources.source_of(layer.place)
        if self._store is None:
            self._archive(Counted(source, algorithm, self._passed), layer.digest, layer.diff, first)
            return
        kept = self._store.kept(source)
        try:
            packed, diff = self._archive(Counted(kept, algorithm or "sha256", self._passed), layer.digest, layer.diff or "sha256:", first)
            self._kept.append(kept.end(packed, diff))
        finally:
            kept.close()

    def _archive(self, source: Counted, digest: str, diff: str, first: bool | None = None) -> tuple[str, str]:
        """Unpack one archive; ``first``: it is a layer, the lowest one or not. Digests are compared if they are told.

        Return how it is compressed, and its diff ID if the algorithm of one was told.
        """
        assert self.unpacker is not None
        stream = Stream(source, self._limits, diff.partition(":")[0])
        try:
            self.unpacker.layer(Reader(stream, self._limits), first is not None, bool(first))
            stream.drain()
        finally:
            stream.close()
        outer, inner = source.digest(), stream.digest() or source.digest()
        if digest and outer != digest.partition(":")[2]:
            raise PyrootError("its content has another digest than the manifest tells")
        algorithm, _, wanted = diff.partition(":")
        if wanted and inner != wanted:
            raise PyrootError("its content has another digest than the configuration tells")
        return stream.packed, f"{algorithm}:{inner}"

    def _passed(self, size: int) -> None:
        self._read += size

    def _seen(self, name: bytes) -> None:
        part = min(self._read / self._whole, 1.0) if self._whole else 0.0
        bar = f"[{'#' * int(part * 20):<20}] {part:4.0%} " if self._whole else ""
        self._progress(f"{bar}{self._read >> 20} MiB {os.fsdecode(name)}")

    def tell(self, directory: str) -> None:
        """Say what has come of it, to a person at a terminal; what could not be kept in any case."""
        assert self.unpacker is not None
        if self.unpacker.left_out:
            report.note(0, f"import: {directory}: left out: /.pyroot, which is where pyroot keeps what it remembers")
        if self.unpacker.lost_attributes:
            report.note(0, f"import: {directory}: {self.unpacker.lost_attributes} extended attributes cannot be kept on this file system")
        machine = str(self.image.config.get("architecture", "")) if self.image is not None else ""
        if machine and machine not in (sources.here().partition("/")[2], "386"):
            report.note(0, f"import: {directory}: its programs are for {report.printable(machine)} and do not run on this machine")
        if os.isatty(2) or report.verbosity() > 0:
            report.note(0, f"import: {directory}: {self._limits.entries} entries, {self._limits.used / (1 << 20):.1f} MiB")


def more_descriptors() -> None:
    """A deep tree needs a descriptor for each level."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
