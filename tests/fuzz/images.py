"""Images at random: layers full of links, whiteouts and hostile names, archives and metadata with bytes that are not theirs.

Each turn makes images of one seed and imports them in a child of the ordinary user: it must end in a root or in a message, in time, and
nothing beside the root may have changed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import tarfile
import tempfile
import time

from .engine import Crashed, Failed, Hung, Outside

TIME_LIMIT = 60.0
NAMES = ("a", "b", "c", "d", ".", "..", "", ".pyroot", ".wh.a", ".wh.b", ".wh..wh..opq", ".wh...", ".wh.", "n" * 260, "\udcff", "l",
         "dev", "etc")  # fmt: skip
TYPES = (tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE,
         tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S", b"M", b"D")  # fmt: skip
EXTRA = ("SCHILY.xattr.security.capability", "SCHILY.xattr.user.x", "LIBARCHIVE.xattr.user.y", "GNU.sparse.major", "GNU.sparse.map",
         "GNU.sparse.realsize", "GNU.sparse.size", "size", "path", "linkpath", "uid", "mtime", "GNU.sparse.name", "GNU.sparse.offset",
         "GNU.sparse.numbytes")  # fmt: skip
VALUES = ("", "0", "1", "5", "0,1", "1,2,0,5", "99999999999", "-1", "1.5", "x", "9" * 18, "../outside/x", "etc", "\udcfe")
FIELDS = ((0, 100), (100, 8), (108, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (329, 8), (345, 155), (482, 13))
ODD = (None, 5, -1, "", "x", "sha256:" + "0" * 64, "../../outside/victim", [], {}, [[]], True, 1e300, "\ud800", "sha512:" + "f" * 128)


class Images:
    """Each turn is some images."""

    name = "images"
    size = 20
    unit = "images"
    ran = 0

    def open(self) -> None:
        """Make a place with something in it that must not change."""
        self._place = tempfile.mkdtemp(prefix="pyroot-fuzz-", dir=os.environ.get("TMPDIR", "/var/tmp"))
        os.chmod(self._place, 0o777)
        os.makedirs(f"{self._place}/outside/sub")
        for name in ("victim", "sub/victim"):
            with open(f"{self._place}/outside/{name}", "wb") as file:
                file.write(b"victim")
        for folder, _folders, names in os.walk(f"{self._place}/outside"):
            os.chmod(folder, 0o777)
            for name in names:
                os.chmod(f"{folder}/{name}", 0o666)
        self._before = self._look()

    def close(self) -> None:
        """Remove the place."""
        shutil.rmtree(self._place, ignore_errors=True)

    def _look(self) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []
        for folder, folders, names in os.walk(f"{self._place}/outside"):
            for path in [folder, *(f"{folder}/{name}" for name in names + folders)]:
                status = os.lstat(path)
                found.append((path, status.st_mode, status.st_uid, status.st_nlink, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        return sorted(found, key=repr)

    def turn(self, seed: int, size: int) -> str:
        """Import the images of a seed."""
        report, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(report)
            self._child(seed, size, told)
        os.close(told)
        end = time.monotonic() + TIME_LIMIT
        try:
            with contextlib.ExitStack() as stack:
                stack.callback(os.close, report)
                pidfd = os.pidfd_open(child)
                stack.callback(os.close, pidfd)
                import select

                poll = select.poll()
                poll.register(pidfd, select.POLLIN)
                if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    raise Hung(f"an import did not end in {TIME_LIMIT} s")
                status = os.waitpid(child, 0)[1]
                text = os.read(report, 1 << 16).decode("utf-8", "replace")
        finally:
            shutil.rmtree(f"{self._place}/work", ignore_errors=True)
        if self._look() != self._before or sorted(os.listdir(self._place)) != ["outside"]:
            self._before = self._look()
            raise Outside(f"changed beside the root: {sorted(os.listdir(self._place))}")
        if status:
            raise Crashed(text or f"wait status {status}")
        self.ran += size
        return text or "ended"

    def _child(self, seed: int, size: int, told: int) -> None:
        import traceback

        from tests.helpers import drop_to_ordinary_user

        text, status = "", 1
        try:
            drop_to_ordinary_user()
            os.mkdir(f"{self._place}/work")
            null = os.open("/dev/null", os.O_WRONLY)
            os.dup2(null, 2)
            rng = random.Random(seed)
            made = sum(self._one(rng) for _number in range(size))
            text, status = f"{made} of {size} became roots", 0
        except BaseException:
            text = traceback.format_exc()[-4000:]
        os.write(told, text.encode("utf-8", "replace"))
        os._exit(status)

    def _one(self, rng: random.Random) -> bool:
        from pyroot.errors import PyrootError
        from pyroot.images.importing import Import
        from pyroot.images.limits import Limits
        from pyroot.images.tree import remove_all

        work = f"{self._place}/work"
        source = self._source(rng, work)
        limits = Limits(size=32 << 20, files=300, ratio=50, header=1 << 16, depth=30)
        limit = bool(rng.getrandbits(1))
        try:
            Import(source, limits if limit else Limits(size=1 << 30), ("", "")).into(f"{work}/root".encode())
            made = True
        except PyrootError as error:
            made = False
            if os.path.lexists(f"{work}/root") or "\n" in error.message.replace(source, ""):
                raise Failed(f"left behind, or more than a line: {error.message}") from None
        fd = os.open(work, os.O_RDONLY)
        try:
            for name in os.listdir(work):
                if os.path.isdir(f"{work}/{name}"):
                    remove_all(fd, os.fsencode(name))
                else:
                    os.unlink(f"{work}/{name}")
        finally:
            os.close(fd)
        return made

    # --- what is imported

    def _source(self, rng: random.Random, work: str) -> str:
        from tests.images import Layout, docker_archive

        layers = [self._layer(rng) for _number in range(rng.randrange(1, 5))]
        kind = rng.randrange(5)
        if kind < 2:
            layout = Layout(f"{work}/oci")
            layout.image(layers, rng.choice(("", "latest")), Cmd=["x"])
            layout.end()
            if rng.random() < 0.4:
                self._hurt_layout(rng, layout.path)
            return layout.path
        data = layers[0]
        if kind == 2:
            data = docker_archive(layers, ["a:b"])
        if rng.random() < 0.5:
            data = self._packed(rng, data)
        if rng.random() < 0.4:
            data = hurt(rng, data)
        with open(f"{work}/image", "wb") as file:
            file.write(data)
        return f"{work}/image"

    @staticmethod
    def _packed(rng: random.Random, data: bytes) -> bytes:
        import bz2
        import gzip
        import lzma

        kind = rng.randrange(3)
        return gzip.compress(data, 1) if kind == 0 else bz2.compress(data, 1) if kind == 1 else lzma.compress(data, preset=0)

    def _path(self, rng: random.Random) -> str:
        text = "/".join(rng.choice(NAMES if rng.random() < 0.3 else "abcdl") for _part in range(rng.randrange(1, 5)))
        chance = rng.random()
        if chance < 0.05:
            return f"{self._place}/outside/{text}"
        return f"../../{'../' * rng.randrange(4)}outside/victim" if chance < 0.1 else text

    def _layer(self, rng: random.Random) -> bytes:
        file = io.BytesIO()
        form = rng.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
        with tarfile.open(fileobj=file, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
            for _number in range(rng.randrange(1, 30)):
                info = tarfile.TarInfo(self._path(rng))
                info.type = rng.choice(TYPES)
                info.mode = rng.choice((0, 0o644, 0o755, 0o7777, rng.randrange(0o10000)))
                info.uid, info.gid = rng.choice((0, 1, 1 << 31, 1 << 33)), rng.choice((0, 5))
                info.mtime = rng.choice((0, 1, 1.5, 1 << 40, -3.25)) if form == tarfile.PAX_FORMAT else 7
                info.linkname = self._path(rng)
                info.devmajor, info.devminor = rng.randrange(300), rng.randrange(300)
                if rng.random() < 0.25:
                    info.pax_headers = {rng.choice(EXTRA): rng.choice(VALUES) for _extra in range(rng.randrange(1, 5))}
                data = rng.randbytes(rng.choice((0, 0, 1, 511, 512, 513, 3000)))
                info.size = len(data) if info.type in (tarfile.REGTYPE, b"S", b"D") else 0
                with contextlib.suppress(ValueError, UnicodeError):
                    archive.addfile(info, io.BytesIO(data))
        return file.getvalue() if rng.random() < 0.8 else hurt(rng, file.getvalue(), headers=True)

    @staticmethod
    def _hurt_layout(rng: random.Random, path: str) -> None:
        names = [f"{folder}/{name}" for folder, _folders, files in os.walk(path) for name in files]
        name = rng.choice(sorted(names))
        with open(name, "rb") as file:
            data = file.read()
        try:
            value = json.loads(data)
        except ValueError:
            value = None
        if value is not None and rng.random() < 0.7:
            data = json.dumps(changed(rng, value)).encode()
            if "/blobs/" in name:  # under the digest that it has now
                name = _renamed(path, name, data)
        else:
            data = hurt(rng, data)
        with open(name, "wb") as file:
            file.write(data)


def _renamed(path: str, name: str, data: bytes) -> str:
    from tests.images import digest

    old, new = os.path.basename(name), digest(data)[7:]
    for folder, _folders, files in os.walk(path):
        for one in files:
            with open(f"{folder}/{one}", "rb") as file:
                text = file.read()
            if old.encode() in text:
                with open(f"{folder}/{one}", "wb") as file:
                    file.write(text.replace(old.encode(), new.encode()))
    return os.path.join(os.path.dirname(name), new)


def changed(rng: random.Random, value: object) -> object:
    """Change one thing in what JSON says."""
    odd = rng.choice(ODD)
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        return {**value, key: changed(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [*value[:at], changed(rng, value[at]), *value[at:][rng.randrange(2):]]
    return odd


def hurt(rng: random.Random, data: bytes, headers: bool = False) -> bytes:
    """Change bytes; ``headers``: fields of tar headers, with a checksum that is right."""
    found = bytearray(data)
    if headers:
        for _number in range(rng.randrange(1, 4)):
            at = rng.randrange(max(len(found) // 512, 1)) * 512
            field, size = rng.choice(FIELDS)
            large, upwards = b"\x80" + b"\xff" * (size - 1), b"../outside/victim".ljust(size, b"\0")
            text = rng.choice((rng.randbytes(size), b"\0" * size, b"7" * size, large, upwards))
            found[at + field:at + field + size] = text[:size]
            if at + 512 <= len(found):
                found[at + 148:at + 156] = b" " * 8
                found[at + 148:at + 156] = b"%06o\0 " % sum(found[at:at + 512])
        return bytes(found)
    for _number in range(rng.randrange(1, 6)):
        at = rng.randrange(len(found) + 1)
        what = rng.randrange(4)
        if what == 0 and at < len(found):
            found[at] = rng.randrange(256)
        elif what == 1:
            del found[at:]
        elif what == 2:
            found[at:at] = rng.randbytes(rng.randrange(600))
        else:
            del found[at:at + rng.randrange(600)]
    return bytes(found)
