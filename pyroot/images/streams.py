"""Bytes of an archive as they come: unpacked, counted and hashed on the way.

Decides: which compressions are known and by what they are unpacked (gzip, bzip2 and xz by Python's own modules; zstd by the module that
Python has from 3.14 on, or by the program zstd), and that data after the end or a missing end is an error. Memory is
limited: a chunk, and what a decompressor needs, at most 256 MiB. Not decided here: what the bytes mean.
"""

from __future__ import annotations

import bz2
import contextlib
import hashlib
import lzma
import os
import shutil
import subprocess
import zlib
from typing import TYPE_CHECKING, Protocol

from pyroot.errors import PyrootError, text_of
from pyroot.images.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 1 << 18
_MEMORY = 256 << 20
MAGIC = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class Source(Protocol):
    """Where bytes come from: at most so many; none at the end."""

    def __call__(self, most: int, /) -> bytes: ...


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, most: int, /) -> bytes: ...


class _Gzip:
    """zlib with the manners of the other two: input that is not used yet is kept."""

    def __init__(self) -> None:
        self._z = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._z.eof

    @property
    def needs_input(self) -> bool:
        return not self._z.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._z.unused_data

    def decompress(self, data: bytes, most: int, /) -> bytes:
        kept = self._z.unconsumed_tail
        return self._z.decompress(kept + data if kept else data, most)


def _kind(head: bytes) -> str:
    return next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), "")


class Counted:
    """A source that counts and, on demand, hashes what is read of it."""

    def __init__(self, source: Source, algorithm: str = "", seen: Callable[[int], None] | None = None) -> None:
        self._source, self._seen = source, seen
        self.count = 0
        self._hash = hashlib.new(algorithm) if algorithm else None

    def __call__(self, most: int, /) -> bytes:
        """Read."""
        data = self._source(most)
        self.count += len(data)
        if self._hash is not None:
            self._hash.update(data)
        if self._seen is not None:
            self._seen(len(data))
        return data

    def digest(self) -> str:
        """Return the digest of what has been read."""
        return self._hash.hexdigest() if self._hash is not None else ""


class _Unpacked:
    """A source that unpacks another one: one stream after another, and padding of zeros."""

    def __init__(self, source: Counted, head: bytes, make: Callable[[], _Inflater], limits: Limits) -> None:
        self._source, self._head, self._make, self._limits = source, head, make, limits
        self._inflater: _Inflater | None = make()
        self._given = 0

    def __call__(self, most: int, /) -> bytes:
        while self._inflater is not None:
            data = b""
            if self._inflater.needs_input:
                data, self._head = self._head or self._source(CHUNK), b""
            try:
                found = self._inflater.decompress(data, most)
                if not data and not found and not self._inflater.eof and self._inflater.needs_input:
                    raise PyrootError("the compressed data ends too early")
            except (zlib.error, OSError, EOFError, lzma.LZMAError, MemoryError, ValueError) as error:
                raise PyrootError(f"the compressed data is damaged: {error}") from None
            if self._inflater.eof:
                self._next(self._inflater.unused_data)
            if found:
                self._given += len(found)
                self._limits.grown(self._source.count, self._given)
                return found
        return b""

    def _next(self, rest: bytes) -> None:
        """A stream has ended: begin the next one, if there is one."""
        while not rest.strip(b"\0"):
            rest = self._source(CHUNK)
            if not rest:
                self._inflater = None
                return
        rest = rest.lstrip(b"\0")
        if not any(magic.startswith(rest[:2]) or rest.startswith(magic) for magic in MAGIC):
            raise PyrootError("the compressed data is followed by something else")
        self._head, self._inflater = rest, self._make()


class _Program:
    """A source that a program unpacks: it writes to a pipe, a child of ours feeds it."""

    def __init__(self, source: Counted, head: bytes, words: list[str], limits: Limits) -> None:
        import threading

        self._source, self._limits = source, limits
        self._child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._given = 0
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._feed, args=(head,), daemon=True)
        self._thread.start()

    def _feed(self, head: bytes) -> None:
        assert self._child.stdin is not None
        try:
            with self._child.stdin as pipe:
                while head:
                    pipe.write(head)
                    head = self._source(CHUNK)
        except BrokenPipeError:
            pass
        except BaseException as error:  # told by the reader
            self._failed = error

    def __call__(self, most: int, /) -> bytes:
        assert self._child.stdout is not None
        data = os.read(self._child.stdout.fileno(), most)
        if not data:
            self._thread.join()
            if self._failed is not None:
                raise self._failed
            if self._child.wait():
                raise PyrootError("the compressed data is damaged: zstd does not accept it")
        self._given += len(data)
        self._limits.grown(self._source.count, self._given)
        return data

    def close(self) -> None:
        """End the program."""
        self._child.kill()
        self._child.wait()
        self._thread.join()
        if self._child.stdout is not None:
            self._child.stdout.close()


def _zstd(source: Counted, head: bytes, limits: Limits) -> Source:
    with contextlib.suppress(ImportError):
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]

        return _Unpacked(source, head, zstd.ZstdDecompressor, limits)
    program = shutil.which("zstd")
    if program is None:
        raise PyrootError("it is compressed by zstd, which this machine lacks", "install the program zstd, or use Python 3.14")
    return _Program(source, head, [program, "-dcq", "--memory=256MB"], limits)


class Stream:
    """Bytes read in pieces of the length that is asked for, unpacked if they are compressed."""

    def __init__(self, source: Counted, limits: Limits, algorithm: str = "") -> None:
        """``algorithm``: hash what is read, unpacked."""
        self._limits = limits
        head = b""
        while len(head) < 6:
            more = source(CHUNK)
            if not more:
                break
            head += more
        kind = _kind(head)
        self.packed = kind
        self._program: _Program | None = None
        inside: Source
        if kind == "gz":
            inside = _Unpacked(source, head, _Gzip, limits)
        elif kind == "bz2":
            inside = _Unpacked(source, head, bz2.BZ2Decompressor, limits)
        elif kind == "xz":
            inside = _Unpacked(source, head, lambda: lzma.LZMADecompressor(memlimit=_MEMORY), limits)
        elif kind == "zstd":
            inside = _zstd(source, head, limits)
            self._program = inside if isinstance(inside, _Program) else None
        else:
            inside = Behind(head, source)
        # (of what is not compressed, the source's own digest is this one)
        self._source = Counted(inside, algorithm if kind else "", limits.take)
        self._data = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """Read so many bytes, fewer only at the end."""
        at, end = self._at, self._at + size
        if end <= len(self._data):
            self._at = end
            return self._data[at:end]
        parts = [self._data[at:]]
        size -= len(parts[0])
        self._data, self._at = b"", 0
        while size > 0:
            data = self._source(CHUNK)
            if not data:
                break
            if len(data) > size:
                self._data, self._at = data, size
                parts.append(data[:size])
                break
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def drain(self) -> None:
        """Read on to the end."""
        self._data = b""
        while self._source(CHUNK):
            pass

    def digest(self) -> str:
        """Return the digest of what has been read."""
        return self._source.digest()

    def close(self) -> None:
        """End a program that unpacks."""
        if self._program is not None:
            self._program.close()


class Behind:
    """A source whose beginning has been read already."""

    def __init__(self, head: bytes, source: Source) -> None:
        self._head, self._source = head, source

    def __call__(self, most: int, /) -> bytes:
        if self._head:
            data, self._head = self._head[:most], self._head[most:]
            return data
        return self._source(most)


def of_descriptor(fd: int, start: int = -1, size: int = -1) -> Source:
    """Read a descriptor: from where it stands, or a part of it."""
    at, left = start, size

    def read(most: int, /) -> bytes:
        nonlocal at, left
        try:
            if start < 0:
                return os.read(fd, most)
            data = os.pread(fd, min(most, left), at)
        except OSError as error:
            raise PyrootError(text_of(error.errno or 0)) from None
        at += len(data)
        left -= len(data)
        return data

    return read
