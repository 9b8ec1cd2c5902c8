"""What a SOURCE is: a tar file of a root, an archive of `docker save`, an OCI layout (directory or tar), a directory of `skopeo copy dir:`.

Decides: how the kinds are told apart, which image of several is meant, and that every digest that is told is compared. Not decided here:
what layers consist of (``unpack``), what the configuration means (``settings``).

Facts: the image layout, index, manifest and configuration of OCI 1.1; Docker's image manifest V2 schema 2 and the archive of `docker save`.
"""

from __future__ import annotations

import json
import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from pyroot.errors import PyrootError, text_of
from pyroot.images.limits import JSON_MOST
from pyroot.images.streams import Counted, Stream, of_descriptor
from pyroot.images.tar import HARD_LINK, Reader

if TYPE_CHECKING:
    from typing import Any, Protocol

    from pyroot.images.limits import Limits
    from pyroot.images.streams import Source

    class Files(Protocol):
        """The files that an image consists of."""

        def place(self, name: str) -> tuple[int, int, int] | None:
            """Return descriptor, start and size of a file; None if there is none of that name."""


_REFERENCES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")
_DIGEST = re.compile(r"(sha256|sha512):([0-9a-f]{64}|[0-9a-f]{128})")
_IN_ARCHIVES = re.compile(rb"(manifest\.json|repositories|oci-layout|index\.json|blobs(/.*)?|[0-9a-f]{64}(/.*|\.tar|\.json)?)")
_MOST_IMAGES, _MOST_LAYERS, _MOST_MEMBERS = 1000, 1000, 20000
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}


class Layer(NamedTuple):
    """One layer: where its bytes are, and what they have to be ("": not told)."""

    name: str
    place: tuple[int, int, int]
    digest: str
    diff: str


class Image(NamedTuple):
    """An image: its configuration as JSON has it, its layers from the lowest one, its name."""

    config: dict[str, Any]
    layers: list[Layer]
    name: str


class Folder:
    """Files of a directory."""

    def __init__(self, path: bytes) -> None:
        self._fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: dict[str, tuple[int, int, int]] = {}

    def place(self, name: str) -> tuple[int, int, int] | None:
        """Open a regular file."""
        if name in self._open:
            return self._open[name]
        if ".." in name.split("/") or name.startswith("/") or "\0" in name:
            raise PyrootError(f"a file of the image is called {name}", "nothing outside of the image is read")
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._fd)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise PyrootError(f"{name}: {text_of(getattr(error, 'errno', 0) or 22)}") from None
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise PyrootError(f"{name}: is not a regular file")
        self._open[name] = fd, 0, status.st_size
        return self._open[name]


class _Seekable:
    """An archive that is not compressed, in a file: data that nobody asks for is not read."""

    def __init__(self, fd: int) -> None:
        self._fd, self._at = fd, 0
        self._size = os.fstat(fd).st_size

    def read(self, size: int) -> bytes:
        parts = []
        while size:
            data = os.pread(self._fd, min(size, 1 << 20), self._at)
            if not data:
                break
            self._at += len(data)
            size -= len(data)
            parts.append(data)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        self._at += size
        if self._at > self._size:
            raise PyrootError("the tar archive is damaged: it ends within a file")


class Packed:
    """Files of a tar archive, without unpacking it."""

    def __init__(self, fd: int, limits: Limits) -> None:
        self._fd = fd
        self._members: dict[str, tuple[int, int] | str] = {}
        whole = _Seekable(fd)
        reader = Reader(whole, limits)  # type: ignore[arg-type]
        reader.skip = whole.skip
        for entry in reader:
            name = os.fsdecode(entry.name.removeprefix(b"./").strip(b"/"))
            if entry.kind == stat.S_IFREG and entry.holes is None:
                self._members[name] = reader.at, entry.data
            elif entry.kind == HARD_LINK:
                self._members[name] = os.fsdecode(entry.link.removeprefix(b"./"))
            elif entry.kind == stat.S_IFLNK:
                self._members[name] = os.path.normpath(os.path.join(os.path.dirname(name), os.fsdecode(entry.link)))
            if len(self._members) > _MOST_MEMBERS:
                raise PyrootError(f"an archive of more than {_MOST_MEMBERS} files is not one of an image")

    def place(self, name: str) -> tuple[int, int, int] | None:
        """Find a member; links are followed within the archive."""
        for _hop in range(10):
            found = self._members.get(name)
            if not isinstance(found, str):
                return None if found is None else (self._fd, *found)
            name = found
        return None


def is_archive(head: bytes, limits: Limits) -> bool:
    """Say, by the beginning of a file, whether it is a tar archive of an image (not of a root). Raises PyrootError."""
    def source(most: int, /) -> bytes:
        nonlocal head
        data, head = head[:most], head[most:]
        return data

    stream = Stream(Counted(source), limits)
    try:
        for entry in Reader(stream, limits):
            name = entry.name.removeprefix(b"./").strip(b"/")
            if name:
                return bool(_IN_ARCHIVES.fullmatch(name))
        return False
    finally:
        stream.close()


# --- JSON of somebody else


def _as(value: object, kind: type, what: str) -> Any:
    """Return a value that is of a type. Raises PyrootError."""
    if not isinstance(value, kind) or kind is int and isinstance(value, bool):
        names = {dict: "an object", list: "a list", str: "a text", int: "a number"}
        raise PyrootError(f"the image is damaged: {what} is not {names[kind]}")
    return value


def parsed(data: bytes, what: str) -> Any:
    """Read JSON. Raises PyrootError."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise PyrootError(f"the image is damaged: {what} is not JSON") from None


def _content(files: Files, name: str, what: str) -> bytes:
    place = files.place(name)
    if place is None:
        raise PyrootError(f"the image is damaged: {what} is missing ({name})")
    fd, start, size = place
    if size > JSON_MOST:
        raise PyrootError(f"the image is damaged: {what} has {size} bytes")
    return os.pread(fd, size, start)


def digest_of(data: bytes, told: str) -> str:
    """Return the digest of data by the same algorithm as another one's."""
    import hashlib

    algorithm = told.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def is_digest(text: str) -> bool:
    """Say whether a text is a digest of SHA-256."""
    return re.fullmatch("sha256:[0-9a-f]{64}", text) is not None


def _digest(value: object, what: str) -> str:
    text: str = _as(value, str, f"the digest of {what}")
    found = _DIGEST.fullmatch(text)
    if not found or len(found[2]) != {"sha256": 64, "sha512": 128}[found[1]]:
        raise PyrootError(f"the image is damaged: the digest of {what} is not one that is known")
    return text


class _Blobs:
    """Blobs by their descriptors, in either of two forms of a directory."""

    def __init__(self, files: Files, form: str) -> None:
        self._files, self._form = files, form

    def name(self, digest: str) -> str:
        algorithm, _, text = digest.partition(":")
        return self._form.format(algorithm, text)

    def json(self, descriptor: object, what: str) -> Any:
        """Read what a descriptor is of, and compare the digest."""
        told = _digest(_as(descriptor, dict, what).get("digest"), what)
        data = _content(self._files, self.name(told), what)
        if digest_of(data, told) != told:
            raise PyrootError(f"the image is damaged: {what} has another digest than {told}")
        return parsed(data, what)

    def layer(self, descriptor: object, diff: str, number: int) -> Layer:
        """Find a layer."""
        what = f"layer {number}"
        told = _digest(_as(descriptor, dict, what).get("digest"), what)
        place = self._files.place(self.name(told))
        if place is None:
            raise PyrootError(f"the image is damaged: {what} is missing ({self.name(told)})")
        size = descriptor.get("size")  # type: ignore[attr-defined]
        if size is not None and _as(size, int, f"the size of {what}") != place[2]:
            raise PyrootError(f"the image is damaged: {what} has {place[2]} bytes, not {size}")
        return Layer(what, place, told, diff)


# --- the kinds of images


def read_image(files: Files, name: str, platform: str) -> Image:
    """Find the image in a directory or an archive. Raises PyrootError."""
    if files.place("index.json") is not None and (files.place("oci-layout") is not None or files.place("manifest.json") is None):
        return _oci(files, name, platform)
    if files.place("manifest.json") is None:
        raise PyrootError("there is no image here", "a tar file of a root, docker save's archive, an OCI layout, or skopeo's dir:")
    manifest = parsed(_content(files, "manifest.json", "the manifest"), "the manifest")
    if isinstance(manifest, list):
        return _docker(files, manifest, name)
    return _of_manifest(_Blobs(files, "{1}"), manifest, "")


def _oci(files: Files, name: str, platform: str) -> Image:
    blobs = _Blobs(files, "blobs/{0}/{1}")
    found: list[tuple[set[str], str, dict[str, Any]]] = []
    waiting: list[tuple[object, set[str], int]] = [(parsed(_content(files, "index.json", "the index"), "the index"), set(), 0)]
    while waiting:
        index, names, depth = waiting.pop()
        manifests = _as(_as(index, dict, "the index").get("manifests", []), list, "the list of manifests")
        for one in manifests:
            notes = _as(_as(one, dict, "a descriptor").get("annotations") or {}, dict, "annotations")
            own = names | {str(notes[key]) for key in _REFERENCES if key in notes}
            if len(found) + len(waiting) > _MOST_IMAGES or depth > 4:
                raise PyrootError("the image is damaged: there are too many manifests")
            if "image.index" in str(one.get("mediaType")) or "manifest.list" in str(one.get("mediaType")):
                waiting.append((blobs.json(one, "an index"), own, depth + 1))
            elif notes.get("vnd.docker.reference.type") is None:
                found.append((own, _platform(one.get("platform")), one))
    own, _where, descriptor = _chosen(found, name, platform)
    return _of_manifest(blobs, blobs.json(descriptor, "the manifest"), min(own, default=""))


def _platform(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    parts = [value.get("os"), value.get("architecture"), value.get("variant")]
    return "/".join(str(part) for part in parts if part)


def here() -> str:
    """Return the platform of this machine."""
    machine = os.uname().machine
    return f"linux/{_MACHINES.get(machine, machine)}"


def _chosen(found: list[tuple[set[str], str, dict[str, Any]]], name: str, platform: str) -> tuple[set[str], str, dict[str, Any]]:
    """Choose the image that is meant."""
    left = [one for one in found if not name or name in one[0] or any(own.endswith(f":{name}") for own in one[0])]
    if not left:
        names = ", ".join(sorted(set().union(*(one[0] for one in found)))) or "none has a name"
        raise PyrootError(f"there is no image {name}" if name else "there is no image in it", f"names: {names}" if found else "")
    if len(left) > 1 or platform:
        wanted = platform or here()
        where = [one for one in left if one[1] == wanted or one[1].startswith(wanted + "/")]
        if not where and (platform or all(one[1] for one in left)):
            known = ", ".join(sorted({one[1] or "?" for one in left}))
            raise PyrootError(f"there is no image for {wanted}", f"--platform is one of {known}")
        left = where or left
    if len({str(one[2].get("digest")) for one in left}) > 1:
        names = ", ".join(sorted(set().union(*(one[0] for one in left)))) or "they have no names"
        raise PyrootError(f"there are {len(left)} images in it", f"say which with --image NAME: {names}")
    return left[0]


def _of_manifest(blobs: _Blobs, manifest: object, name: str) -> Image:
    told = _as(manifest, dict, "the manifest")
    if told.get("schemaVersion") == 1:
        raise PyrootError("its manifest is of schema version 1, which was given up in 2016", "skopeo copy --format oci makes another one")
    config = _as(blobs.json(told.get("config"), "the configuration"), dict, "the configuration")
    layers = _as(told.get("layers"), list, "the list of layers")
    diffs = _diffs(config, len(layers))
    return Image(config, [blobs.layer(one, diff, number) for number, (one, diff) in enumerate(zip(layers, diffs, strict=True), 1)], name)


def _diffs(config: dict[str, Any], count: int) -> list[str]:
    if count > _MOST_LAYERS:
        raise PyrootError(f"the image has {count} layers")
    rootfs = _as(config.get("rootfs", {}), dict, "rootfs of the configuration")
    diffs = _as(rootfs.get("diff_ids", []), list, "the list of diff IDs")
    if diffs and len(diffs) != count:
        raise PyrootError(f"the image is damaged: it has {count} layers, and {len(diffs)} diff IDs")
    return [_digest(one, "a layer's content") for one in diffs] or [""] * count


def _docker(files: Files, manifest: list[Any], name: str) -> Image:
    found = []
    for one in manifest:
        tags = _as(_as(one, dict, "an image").get("RepoTags") or [], list, "the list of names")
        own = {str(tag) for tag in tags}
        if not name or name in own or any(tag.endswith(f":{name}") or tag == f"{name}:latest" for tag in own):
            found.append((own, one))
    if len(found) != 1:
        names = ", ".join(sorted({str(tag) for one in manifest for tag in one.get("RepoTags") or []})) or "they have no names"
        what = f"there is no image {name}" if not found and name else f"there are {len(found)} images in it"
        raise PyrootError(what, f"say which with --image NAME: {names}" if manifest else "")
    own, told = found[0]
    config_name = _as(told.get("Config"), str, "the name of the configuration")
    data = _content(files, config_name, "the configuration")
    hexadecimal = os.path.basename(config_name).removesuffix(".json")
    if re.fullmatch("[0-9a-f]{64}", hexadecimal) and digest_of(data, "sha256:") != f"sha256:{hexadecimal}":
        raise PyrootError("the image is damaged: the configuration has another digest than its name")
    config = _as(parsed(data, "the configuration"), dict, "the configuration")
    names = _as(told.get("Layers"), list, "the list of layers")
    layers = []
    for number, (one, diff) in enumerate(zip(names, _diffs(config, len(names)), strict=True), 1):
        place = files.place(_as(one, str, "the name of a layer"))
        if place is None:
            raise PyrootError(f"the image is damaged: layer {number} is missing ({one})")
        layers.append(Layer(f"layer {number}", place, "", diff))
    return Image(config, layers, min(own, default=""))


def source_of(place: tuple[int, int, int]) -> Source:
    """Read a file of an image from its beginning."""
    return of_descriptor(*place)
