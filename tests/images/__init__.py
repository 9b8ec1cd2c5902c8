"""Helpers for the tests of images: layers and images made by Python's tarfile and by hand, roots looked at."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

from pyroot.verbs import remembered
from tests import helpers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Entry = tuple[tarfile.TarInfo, bytes]
TIME = 1_600_000_000


def entry(name: str, data: bytes | None = b"", mode: int | None = None, uid: int = 0, gid: int = 0, link: str = "", kind: bytes = b"",
          mtime: float = TIME, device: tuple[int, int] = (0, 0), xattrs: dict[str, str] | None = None) -> Entry:  # fmt: skip
    """Make an entry: a directory if ``name`` ends with a slash, a symbolic link if ``link`` is given."""
    info = tarfile.TarInfo(name)
    info.type = kind or (tarfile.DIRTYPE if name.endswith("/") else tarfile.SYMTYPE if link else tarfile.REGTYPE)
    info.mode = mode if mode is not None else 0o755 if info.isdir() else 0o777 if info.issym() else 0o644
    info.uid, info.gid, info.mtime, info.linkname = uid, gid, mtime, link
    info.devmajor, info.devminor = device
    info.size = len(data or b"")
    info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in (xattrs or {}).items()}
    return info, data or b""


def layer(entries: Iterable[Entry]) -> bytes:
    """Write a tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape") as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def digest(data: bytes) -> str:
    """Return a digest."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def packed(data: bytes) -> bytes:
    """Compress, the same way each time."""
    return gzip.compress(data, 1, mtime=0)


def configured(layers: list[bytes], **config: Any) -> dict[str, Any]:
    """Return the configuration of an image."""
    rootfs = {"type": "layers", "diff_ids": [digest(one) for one in layers]}
    return {"architecture": "amd64", "os": "linux", "config": config, "rootfs": rootfs}


class Layout:
    """An OCI layout that is being written."""

    def __init__(self, path: str, wrap: Callable[[bytes], bytes] = packed) -> None:
        """``wrap`` compresses a layer."""
        self.path, self._wrap = path, wrap
        self.manifests: list[dict[str, Any]] = []
        os.makedirs(f"{path}/blobs/sha256")
        with open(f"{path}/oci-layout", "w", encoding="ascii") as file:
            file.write('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data: bytes, kind: str) -> dict[str, Any]:
        """Write a blob and return its descriptor."""
        told = digest(data)
        with open(f"{self.path}/blobs/{told.replace(':', '/')}", "wb") as file:
            file.write(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": told, "size": len(data)}

    def image(self, layers: list[bytes], name: str = "", platform: dict[str, str] | None = None, **config: Any) -> dict[str, Any]:
        """Write an image and return its manifest's descriptor, which the index gets as well."""
        blobs = [self.blob(self._wrap(one), "layer.v1.tar+gzip") for one in layers]
        own = self.blob(json.dumps(configured(layers, **config)).encode(), "config.v1+json")
        manifest = self.blob(json.dumps({"schemaVersion": 2, "config": own, "layers": blobs}).encode(), "manifest.v1+json")
        if name:
            manifest["annotations"] = {"org.opencontainers.image.ref.name": name}
        if platform:
            manifest["platform"] = platform
        self.manifests.append(manifest)
        return manifest

    def end(self) -> str:
        """Write the index."""
        with open(f"{self.path}/index.json", "w", encoding="ascii") as file:
            json.dump({"schemaVersion": 2, "manifests": self.manifests}, file)
        return self.path


def docker_archive(layers: list[bytes], tags: list[str], **config: Any) -> bytes:
    """Write what docker save writes."""
    own = json.dumps(configured(layers, **config)).encode()
    name = digest(own)[7:]
    folders = [digest(one)[7:] for one in layers]
    manifest = [{"Config": f"{name}.json", "RepoTags": tags, "Layers": [f"{one}/layer.tar" for one in folders]}]
    files = [entry(f"{one}/layer.tar", data) for one, data in zip(folders, layers, strict=True)]
    return layer([*files, entry(f"{name}.json", own), entry("manifest.json", json.dumps(manifest).encode())])


def pyroot(*words: str, given: bytes | None = None, cwd: str = "/") -> subprocess.CompletedProcess[str]:
    """Run pyroot as the ordinary user."""
    command, extra = helpers.pyroot_command()
    user = helpers.NOBODY if os.geteuid() == 0 else None
    done = subprocess.run([*command, *words], capture_output=True, input=given, check=False, user=user, group=user,
                          env={**os.environ, **extra}, cwd=cwd, timeout=120)  # fmt: skip
    return subprocess.CompletedProcess(done.args, done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))


def on_disk(root: str) -> dict[bytes, tuple[Any, ...]]:
    """Tell what a tree is: type and mode, owner, device, link or content, attributes, time, which names are one file."""
    found: dict[bytes, tuple[Any, ...]] = {}
    names: dict[int, bytes] = {}
    for path in remembered.files(os.fsencode(root)):
        host = os.fsencode(root) + path
        status = os.lstat(host)
        one = names.setdefault(status.st_ino, path) if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode) else path
        content: Any = None
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(host)
        elif stat.S_ISREG(status.st_mode):
            with open(host, "rb") as file:
                content = hashlib.sha256(file.read()).hexdigest()
        xattrs = {os.fsencode(name): os.getxattr(host, name, follow_symlinks=False) for name in os.listxattr(host, follow_symlinks=False)}
        found[path] = (status.st_mode, status.st_uid, status.st_gid, status.st_rdev if status.st_rdev else 0, content, xattrs,
                       status.st_mtime_ns, one)  # fmt: skip
    return found


def of_root(root: str) -> dict[bytes, tuple[Any, ...]]:
    """Tell what a root is to its guests: what is on the disk, with what is remembered."""
    saved = pyroot("owners", "save", root)
    assert saved.returncode == 0, saved.stderr
    records = dict(remembered.parsed(saved.stdout.splitlines(True), "saved"))
    found = {}
    for path, (mode, uid, gid, _rdev, content, xattrs, mtime, one) in on_disk(root).items():
        record = records.get(path)
        if uid == helpers.ordinary_user.uid:
            uid, gid = 0, 0
        rdev = 0
        if record is not None:
            mode, uid, gid, xattrs = record.mode, record.uid, record.gid, {**xattrs, **record.xattrs}
            rdev = os.makedev(record.rdev >> 20, record.rdev & 0xFFFFF) if record.rdev else 0
            content = None if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else content
        found[path] = mode, uid, gid, rdev, content, xattrs, mtime, one
    return found
