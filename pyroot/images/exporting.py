"""`pyroot export`: write a root as an image.

Decides: the verb's words, the forms, and what their files consist of besides the layer. The same root gives the same bytes: there is no
date in it but those of files. Not decided here: the layer (``write``), what is kept of the image that the root was made of (``settings``).

Facts: the image layout, manifest and configuration of OCI 1.1; docker load's archives.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pyroot import report
from pyroot.errors import PyrootError, text_of
from pyroot.images import settings, sources
from pyroot.images.importing import free_place, more_descriptors
from pyroot.images.layers import MEDIA, Changes
from pyroot.images.tar import BLOCK, Entry
from pyroot.images.write import Writer, header
from pyroot.rootfs.new import Ended, signals_raised
from pyroot.verbs.output import Progress, put
from pyroot.verbs.roots import root_directory
from pyroot.verbs.words import Verb, flag, value

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FORMS = ("tar", "oci", "oci-archive", "docker-archive")
EXPORT = Verb(
    "export",
    """\
usage: pyroot export [OPTION...] ROOTFS TARGET

Write a root file system as a tar file, as an OCI layout (a directory, or a tar file of
one) or as an archive that docker load takes. Owners, modes, devices and attributes are
those that a fake root has (pyroot owners); what pyroot import has kept of an image's
configuration is in the new one, and with import --layers its layers, with one more of
what has changed. The same root gives the same bytes. TARGET - is standard output.
""",
    (
        value("--format", "FORMAT", "tar (default), oci (TARGET is a directory that is made), oci-archive\nor docker-archive", "form"),
        value("--name", "NAME", "what the image is called (default: as it was, or latest)"),
        flag("--flatten", "make one layer of all, even if pyroot import --layers has kept the image's"),
    ),
    22,
)
_EPOCH = "1970-01-01T00:00:00Z"


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    words = EXPORT.read(argv)
    if "help" in words.flags:
        put(EXPORT.usage())
        return 0
    if len(words.rest) != 2:
        few = "TARGET is missing" if words.rest else "ROOTFS and TARGET are missing"
        what = few if len(words.rest) < 2 else f"{words.rest[2]}: unexpected word"
        raise PyrootError(f"export: {what}", "pyroot export ROOTFS TARGET")
    form = words.last("form", "tar")
    if form not in FORMS:
        raise PyrootError(f"export: --format {form}: unknown", f"it is one of {', '.join(FORMS)}")
    root, target = root_directory("export", words.rest[0], words.rest[1:]), words.rest[1]
    more_descriptors()
    try:
        with signals_raised():
            Export(root, form, words.last("name", ""), "flatten" in words.flags).to(target)
    except Ended as end:
        os.kill(os.getpid(), end.number)
        return 128 + end.number
    return 0


class Part(NamedTuple):
    """A layer of the new image: digests, size, media type, the file it is in and whether that stays."""

    digest: str
    diff: str
    size: int
    kind: str
    path: str
    stays: bool


class Export:
    """One export."""

    def __init__(self, root: bytes, form: str, name: str, flatten: bool = False) -> None:
        self._root, self._form = root, form
        found = settings.kept(root) or {"config": {}, "name": ""}
        self._config: dict[str, Any] = found["config"]
        self._name = name or str(found.get("name") or "") or "latest"
        layers, store = found.get("layers"), found.get("store")
        self._layers: list[Any] = layers if isinstance(layers, list) and not flatten else []
        self._store = store if isinstance(store, str) and "\0" not in store else ""
        self._progress = Progress()

    def to(self, target: str) -> None:
        """Write it. Raises PyrootError; then TARGET is as it was."""
        try:
            if self._form == "oci":
                self._folder(target)
            elif target == "-":
                if os.isatty(1):
                    raise PyrootError("standard output is a terminal", "pyroot export ROOTFS FILE, or a pipe after it")
                with open(1, "wb", closefd=False) as file:
                    self._archive(file, None)
            else:
                self._file(target)
        except BrokenPipeError:
            raise PyrootError("export: the reader of standard output has gone") from None
        except OSError as error:
            raise PyrootError(f"export: {target}: {text_of(error.errno or 0)}") from None
        except PyrootError as error:
            raise PyrootError(f"export: {error.message.removeprefix('export: ')}", error.hint) from None
        finally:
            self._progress.end()

    def _file(self, target: str) -> None:
        """Write a file: beside its place first, if it is one that can be replaced."""
        place = os.path.realpath(target)
        if os.path.lexists(place) and not stat.S_ISREG(os.stat(place).st_mode):
            with open(place, "wb") as file:
                self._archive(file, None)
            return
        folder, name = os.path.split(place)
        part = os.path.join(folder, f".{name[:200]}.{os.urandom(6).hex()}")
        try:
            with open(part, "xb") as file:
                self._archive(file, folder)
            os.rename(part, place)
        finally:
            if os.path.lexists(part):
                os.unlink(part)

    def _folder(self, target: str) -> None:
        place = free_place("export", target)
        folder = tempfile.mkdtemp(prefix=b"." + os.path.basename(place)[:200] + b".", dir=os.path.dirname(place))
        try:
            os.chmod(folder, 0o755)
            os.makedirs(folder + b"/blobs/sha256")

            def add(name: str, data: bytes) -> None:
                with open(os.path.join(folder, name.encode()), "xb") as file:
                    file.write(data)

            def move(name: str, part: Part) -> None:
                place = os.path.join(os.fsdecode(folder), name)
                (shutil.copyfile if part.stays else os.rename)(part.path, place)
                os.chmod(place, 0o644)

            self._layout(os.fsdecode(folder), add, move)
            os.rename(folder, place)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _archive(self, file: BinaryIO, beside: str | None) -> None:
        if self._form == "tar":
            self._write(Writer(self._root, file.write, self._seen))
            return
        written = 0

        def add(name: str, data: bytes) -> None:
            nonlocal written
            data = header(_member(name, len(data))) + data + bytes(-len(data) % BLOCK)
            written += len(data)
            file.write(data)

        def move(name: str, part: Part) -> None:
            nonlocal written
            file.write(header(_member(name, part.size)))
            with open(part.path, "rb") as given:
                shutil.copyfileobj(given, file, 1 << 20)
            file.write(bytes(-part.size % BLOCK))
            written += BLOCK + part.size + -part.size % BLOCK

        with tempfile.TemporaryDirectory(prefix=".pyroot-export-", dir=beside) as folder:
            (self._docker if self._form == "docker-archive" else self._layout)(folder, add, move)
        file.write(bytes(2 * BLOCK + -(written + 2 * BLOCK) % (20 * BLOCK)))

    def _seen(self, name: bytes) -> None:
        self._progress(os.fsdecode(name))

    @staticmethod
    def _write(writer: Writer) -> None:
        writer.write()
        if writer.left_out:
            more = f" and {len(writer.left_out) - 1} more" if len(writer.left_out) > 1 else ""
            report.note(0, f"export: left out, since archives have no sockets: {os.fsdecode(writer.left_out[0])}{more}")

    def _pack(self, writer_of: Callable[[Callable[[bytes], object]], Writer], spool: str, compress: bool) -> tuple[Part, Writer]:
        """Write a layer to a file."""
        content, whole = hashlib.sha256(), hashlib.sha256()
        packer = zlib.compressobj(6, zlib.DEFLATED, 31) if compress else None
        with open(spool, "xb") as file:

            def out(data: bytes) -> None:
                if data:
                    whole.update(data)
                    file.write(data)

            def take(data: bytes) -> None:
                content.update(data)
                out(packer.compress(data) if packer is not None else data)

            writer = writer_of(take)
            self._write(writer)
            if packer is not None:
                out(packer.flush())
            size = file.tell()
        kind = MEDIA["gz" if compress else ""]
        return Part(f"sha256:{whole.hexdigest()}", f"sha256:{content.hexdigest()}", size, kind, spool, False), writer

    def _parts(self, folder: str, compress: bool) -> list[Part]:
        """Give the layers: one of all, or those that are kept and one of what has changed. Raises PyrootError."""
        spool = os.path.join(folder, "layer")
        if not self._layers:
            return [self._pack(lambda take: Writer(self._root, take, self._seen), spool, compress)[0]]
        parts = [self._kept(one) for one in self._layers]
        part, changes = self._pack(lambda take: Changes(self._root, take, self._seen), spool, compress)
        if isinstance(changes, Changes) and changes.changed:
            parts.append(part)
        else:
            os.unlink(spool)
        return parts

    def _kept(self, told: object) -> Part:
        """Find a layer in the store, and compare its digest."""
        found = told if isinstance(told, dict) else {}
        digest, diff, size = str(found.get("digest")), str(found.get("diff")), found.get("size")
        path = os.path.join(self._store, "blobs", *digest.split(":"))
        whole = hashlib.sha256()
        try:
            if not sources.is_digest(digest) or not sources.is_digest(diff) or not os.path.isfile(path):
                raise FileNotFoundError(path)
            with open(path, "rb") as file:
                while data := file.read(1 << 20):
                    whole.update(data)
                if file.tell() != size or digest != f"sha256:{whole.hexdigest()}":
                    raise PyrootError(f"{path}: the layer is not what it was", "--flatten makes one layer of the root")
        except OSError:
            raise PyrootError(f"{self._store}: layer {digest} is not there any more", "--flatten makes one layer of the root") from None
        return Part(digest, diff, int(size), MEDIA.get(str(found.get("packed")), "tar"), path, True)

    def _configuration(self, parts: list[Part]) -> bytes:
        """Give the configuration of the new image; that of one that has not been changed says the same."""
        config = {key: value for key, value in self._config.items() if key != "rootfs"}
        config.setdefault("architecture", sources.here().partition("/")[2])
        config.setdefault("os", "linux")
        config.setdefault("created", _EPOCH)
        config["rootfs"] = {"type": "layers", "diff_ids": [part.diff for part in parts]}
        own = {"created": config["created"], "created_by": "pyroot export"}
        if not self._layers:
            config["history"] = [own]
        elif not parts[-1].stays and isinstance(config.get("history"), list):
            config["history"] = [*config["history"], own]
        return _json(config)

    def _layout(self, folder: str, add: Callable[[str, bytes], None], move: Callable[[str, Part], None]) -> None:
        """Give the files of an OCI layout."""
        parts = self._parts(folder, True)
        config = self._configuration(parts)
        kind = "application/vnd.oci.image."
        own = {"mediaType": f"{kind}config.v1+json", "digest": f"sha256:{_sha(config)}", "size": len(config)}
        layers = [{"mediaType": f"{kind}layer.v1.{part.kind}", "digest": part.digest, "size": part.size} for part in parts]
        manifest = _json({"schemaVersion": 2, "mediaType": f"{kind}manifest.v1+json", "config": own, "layers": layers})
        entry = {"mediaType": f"{kind}manifest.v1+json", "digest": f"sha256:{_sha(manifest)}", "size": len(manifest),
                 "annotations": {"org.opencontainers.image.ref.name": self._name}}  # fmt: skip
        add("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        add("index.json", _json({"schemaVersion": 2, "mediaType": f"{kind}index.v1+json", "manifests": [entry]}))
        add(f"blobs/sha256/{_sha(manifest)}", manifest)
        add(f"blobs/sha256/{_sha(config)}", config)
        for part in {part.digest: part for part in parts}.values():
            move(f"blobs/{part.digest.replace(':', '/')}", part)

    def _docker(self, folder: str, add: Callable[[str, bytes], None], move: Callable[[str, Part], None]) -> None:
        """Give the files of an archive for docker load."""
        parts = self._parts(folder, False)
        config = self._configuration(parts)
        name = self._name if ":" in self._name.rpartition("/")[2] or self._name == "latest" else f"{self._name}:latest"
        tags = [name] if name != "latest" else ["pyroot:latest"]
        names = [f"{part.digest[7:]}.tar" for part in parts]
        add("manifest.json", _json([{"Config": f"{_sha(config)}.json", "RepoTags": tags, "Layers": names}]))
        add(f"{_sha(config)}.json", config)
        for part in {part.digest: part for part in parts}.values():
            move(f"{part.digest[7:]}.tar", part)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _member(name: str, size: int) -> Entry:
    return Entry(name.encode(), stat.S_IFREG, 0o644, 0, 0, size)
