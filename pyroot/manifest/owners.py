"""Which package a file belongs to, by what the package managers of the root have recorded.

Decides: how the data of dpkg, apk and rpm are read. Sources: dpkg-query(1) and deb-old formats under /var/lib/dpkg/info,
dpkg-divert(1), apk's installed database (one letter per field), and the header format of rpm (rpm-format). Of rpm's databases only
the current one, SQLite, is read; the older ones need rpm's own library.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from pyroot.elf.rooted import Rooted

_DPKG = b"/var/lib/dpkg"
_APK = (b"/lib/apk/db/installed", b"/usr/lib/apk/db/installed")
_RPM = (b"/var/lib/rpm/rpmdb.sqlite", b"/usr/lib/sysimage/rpm/rpmdb.sqlite")
_NAME, _DIRECTORY_NUMBERS, _BASE_NAMES, _DIRECTORIES = 1000, 1116, 1117, 1118  # tags of rpm


def owners_of(rooted: Rooted) -> dict[bytes, str]:
    """Give the package of every canonical path that one of the databases names."""
    found: dict[bytes, str] = {}
    places: dict[bytes, bytes] = {}
    for source in (_dpkg(rooted), _apk(rooted), _rpm(rooted)):
        for path, package in source:
            directory, name = os.path.split(b"/" + path.strip(b"/"))
            if directory not in places:
                # A package may say /bin/ls where /bin is a link to /usr/bin.
                trace = rooted.find(directory)
                places[directory] = trace.real.rstrip(b"/") if trace else directory.rstrip(b"/")
            found.setdefault(places[directory] + b"/" + name, os.fsdecode(package))
    return found


def _text(rooted: Rooted, path: bytes) -> bytes:
    try:
        return rooted.read(path)
    except OSError:
        return b""


def _dpkg(rooted: Rooted) -> Iterator[tuple[bytes, bytes]]:
    """Read the lists of files, with diversions: what another package's file was moved away to."""
    lines = _text(rooted, _DPKG + b"/diversions").splitlines()
    moved = {lines[at]: (lines[at + 1], lines[at + 2]) for at in range(0, len(lines) - 2, 3)}
    trace = rooted.find(_DPKG + b"/info")
    try:
        names = sorted(os.listdir(rooted.host(trace.real))) if trace else []
    except OSError:
        return
    for name in names:
        if not name.endswith(b".list"):
            continue
        package = name.removesuffix(b".list").partition(b":")[0]
        for path in _text(rooted, _DPKG + b"/info/" + name).splitlines():
            to, by = moved.get(path, (path, package))
            yield path if by == package else to, package


def _apk(rooted: Rooted) -> Iterator[tuple[bytes, bytes]]:
    for database in _APK:
        package = directory = b""
        for line in _text(rooted, database).splitlines():
            if line.startswith(b"P:"):
                package = line[2:]
            elif line.startswith(b"F:"):
                directory = line[2:]
            elif line.startswith(b"R:"):
                yield directory + b"/" + line[2:], package


def _rpm(rooted: Rooted) -> Iterator[tuple[bytes, bytes]]:
    for path in _RPM:
        trace = rooted.find(path)
        if trace is None:
            continue
        import sqlite3
        from urllib.parse import quote

        # Read only, and without a journal: nothing may be written into the root.
        name = f"file:{quote(rooted.host(trace.real))}?mode=ro&immutable=1"
        try:
            connection = sqlite3.connect(name, uri=True)
            try:
                headers = [row[0] for row in connection.execute("select blob from Packages order by hnum")]
            finally:
                connection.close()
        except sqlite3.Error:
            continue
        for header in headers:
            try:
                yield from header_files(header)
            except (struct.error, ValueError, IndexError):
                continue


def header_files(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """List the files in a header of rpm, as its database keeps it. Raises ValueError, struct.error or IndexError."""
    entries, size = struct.unpack_from(">II", header)
    store = header[8 + 16 * entries :][:size]
    values: dict[int, list[bytes]] = {}
    numbers: list[int] = []
    for at in range(8, 8 + 16 * entries, 16):
        tag, _kind, offset, count = struct.unpack_from(">IIiI", header, at)
        if tag in (_NAME, _BASE_NAMES, _DIRECTORIES):
            values[tag] = store[offset:].split(b"\0", count)[:count]
        elif tag == _DIRECTORY_NUMBERS:
            numbers = list(struct.unpack_from(f">{count}I", store, offset))
    if _NAME not in values:
        raise ValueError("a header without a name")
    for base, number in zip(values.get(_BASE_NAMES, []), numbers, strict=False):
        yield values[_DIRECTORIES][number] + base, values[_NAME][0]
