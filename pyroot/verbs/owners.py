"""`pyroot owners`: what is remembered of the owners, modes and devices of a root's files.

Decides: the verb's words, and what it says. Not decided here: the formats (``remembered``), what a record means (the core).
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from pyroot import report
from pyroot.errors import PyrootError, no_core, text_of
from pyroot.verbs import remembered
from pyroot.verbs.output import deliver, put
from pyroot.verbs.remembered import FORGET, NODE, XATTRS, Record
from pyroot.verbs.roots import root_directory
from pyroot.verbs.words import OUTPUT, Verb, flag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroot._fast import Owners

WORDS = Verb(
    "owners",
    """\
usage: pyroot owners save [OPTION...] ROOTFS
       pyroot owners load [OPTION...] ROOTFS [FILE]
       pyroot owners check [OPTION...] ROOTFS
       pyroot owners gc ROOTFS

A fake root's changes of owner, mode, device and attributes are remembered in
ROOTFS/.pyroot/owners; the files themselves stay yours. save writes what is
remembered as mtree(5) lines, load remembers what such lines say (also in a copy of
the root), check says what is wrong with it, gc forgets files that are gone.
""",
    (
        OUTPUT,
        flag("--xattrs", "save: write it to the files' attribute user.containers.override_stat as well;\n"
             "load: read that of files, and user.rootlesscontainers, in place of FILE"),
        flag("--repair", "check: save what is left of a damaged one, find files of a copied root again"),
    ),
    14,
)  # fmt: skip


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    words = WORDS.read(argv)
    if "help" in words.flags:
        put(WORDS.usage())
        return 0
    what, *names = words.rest or [""]
    most = {"save": 1, "load": 2, "check": 1, "gc": 1}.get(what)
    if most is None:
        raise PyrootError(f"owners: {what or 'no'}: which of save, load, check and gc?" if not what else
                          f"owners: {what}: unknown", "it is save, load, check or gc; pyroot owners --help tells more")  # fmt: skip
    if not 1 <= len(names) <= most:
        raise PyrootError(f"owners: {what}: {'no root file system given' if not names else names[-1] + ': unexpected word'}",
                          f"say which: pyroot owners {what} ROOTFS")  # fmt: skip
    root = root_directory("owners", names[0])
    xattrs = "xattrs" in words.flags
    if what == "save":
        deliver("owners", words.last("output", "-"), saved(root, xattrs))
        return 0
    if what == "load":
        return load(root, names[1] if len(names) > 1 else "-", xattrs)
    return check(root, "repair" in words.flags) if what == "check" else gc(root)


def opened(root: bytes, rekey: bool = False) -> Owners:
    """Open the store of a root. Raises PyrootError."""
    try:
        from pyroot._fast import CoreError, Owners
    except ImportError as error:
        raise no_core(error) from error
    store = os.path.join(root, remembered.STORE)
    try:
        return Owners(store, root, rekey)
    except CoreError as error:
        raise PyrootError(f"owners: {os.fsdecode(store)}: {error}") from None
    except OSError as error:
        raise PyrootError(f"owners: {os.fsdecode(store)}: {text_of(error.errno or 0)}") from None


def records(root: bytes, owners: Owners) -> Iterator[tuple[bytes, Record]]:
    """Give each file of a root that has a record, by its path below the root."""
    top = b"" if root == b"/" else root
    for path in remembered.files(top):
        try:
            found = owners.get(top + path or b"/")
        except OSError:
            continue
        if found is not None:
            uid, gid, mode, rdev, flags = found
            values = remembered.values(owners.tail(top + path or b"/")) if flags & XATTRS else {}
            yield path, Record(uid, gid, mode, rdev, {name: value for name, value in values.items() if name})


def saved(root: bytes, xattrs: bool) -> Iterator[str]:
    """Give the lines of what is remembered."""
    yield remembered.HEAD
    lost = 0
    for path, record in records(root, opened(root)):
        yield remembered.line(path, record)
        if xattrs:
            kind = {stat.S_IFCHR: "char", stat.S_IFBLK: "block"}.get(stat.S_IFMT(record.mode))
            device = f":{kind}-{record.rdev >> 20}-{record.rdev & 0xFFFFF}" if kind else ""
            value = f"{record.uid}:{record.gid}:{stat.S_IMODE(record.mode):o}{device}".encode()
            try:
                os.setxattr(root + path, remembered.OVERRIDE, value, follow_symlinks=False)
            except OSError:
                lost += 1
    if lost:
        report.note(0, f"owners: {lost} of these files can have no such attribute: links, pipes, sockets and devices")


def load(root: bytes, name: str, xattrs: bool) -> int:
    """Remember what a text says, or what attributes of files say; 1 if some of the files are missing."""
    owners = opened(root)
    told = attributes(root) if xattrs else remembered.parsed(lines_of(name), name)
    missing = []
    for path, record in told:
        try:
            remember(owners, root, path, record)
        except FileNotFoundError:
            missing.append(path)
        except OSError as error:
            owners.close()
            raise PyrootError(f"owners: {os.fsdecode(path)}: {text_of(error.errno or 0)}") from None
    owners.close()
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        report.note(0, f"owners: not in the root: {os.fsdecode(missing[0])}{more}")
    return 1 if missing else 0


def lines_of(name: str) -> Iterator[str]:
    """Read a file, or standard input. Raises PyrootError."""
    try:
        with open(0 if name == "-" else name, encoding="utf-8", errors="surrogateescape", closefd=name != "-") as file:
            yield from file
    except OSError as error:
        raise PyrootError(f"owners: {name}: {text_of(error.errno or 0)}") from None


def attributes(root: bytes) -> Iterator[tuple[bytes, Record]]:
    """Give what other programs remember of files."""
    for path in remembered.files(root):
        mode = os.lstat(root + path).st_mode
        record = remembered.of_xattrs(root + path, mode)
        if record is not None:
            yield path, record


def remember(owners: Owners, root: bytes, path: bytes, record: Record) -> None:
    """Record one file, and leave it on the disk as it is safe there; a device that is missing is made. Raises OSError."""
    host = root + path or b"/"
    node = stat.S_ISCHR(record.mode) or stat.S_ISBLK(record.mode)
    if node and not os.path.lexists(host):
        try:
            os.mknod(host, stat.S_IFCHR, 0)
        except PermissionError:
            os.mknod(host, stat.S_IFREG, 0)
    st = os.lstat(host)
    mode = record.mode if node else stat.S_IFMT(st.st_mode) | stat.S_IMODE(record.mode)
    if st.st_uid == os.geteuid() and not stat.S_ISLNK(st.st_mode):
        os.chmod(host, 0 if node else remembered.safe(mode) & 0o7777)
        st = os.lstat(host)
    plain = mode == st.st_mode and (record.uid, record.gid) == (0, 0) and not node and not record.xattrs
    flags = FORGET if plain else (NODE if node else 0) | remembered.flags(record.xattrs)
    if not plain or owners.get(host) is not None:
        owners.put(host, record.uid, record.gid, mode, record.rdev, flags, remembered.tail_of(record.xattrs, path))


def check(root: bytes, repair: bool) -> int:
    """Say what is wrong with what is remembered; 1 if something is left to be done."""
    if repair:
        mend(root)
    owners = opened(root)
    found = list(records(root, owners))
    slots = owners.slots()
    unsafe = [path for path in remembered.files(root) if is_unsafe(root + path)]
    put(f"{len(found)} files have an owner, a mode, a device or attributes that are remembered\n")
    if len(slots) > len(found):
        put(f"{len(slots) - len(found)} records are of files that are gone (pyroot owners gc forgets them)\n")
    for path in unsafe:
        put(f"set-id bits on the disk: {os.fsdecode(path)}\n")
    return 1 if unsafe else 0


def is_unsafe(path: bytes) -> bool:
    """Say whether a file of ours would give others on the host its owner's rights."""
    st = os.lstat(path)
    return not stat.S_ISLNK(st.st_mode) and stat.S_ISREG(st.st_mode) and st.st_uid == os.geteuid() and bool(st.st_mode & 0o6000)


def mend(root: bytes) -> None:
    """Make a store usable again: a damaged one of the records that are whole, that of a copied root by the files' paths."""
    store = os.path.join(root, remembered.STORE)
    from pyroot._fast import repair_owners

    if os.path.exists(store) and repair_owners(store, root):
        put("the store was damaged: what was whole of it has been kept\n")
    old = opened(root, rekey=True)
    if not old.moved:
        return
    try:
        with open(store + b".%d.names" % old.number, "rb") as file:
            moved = remembered.renames(file.read())
    except OSError:
        moved = []
    slots = old.slots()
    old.close()
    aside = store + b".of-another-directory"
    os.rename(store, aside)
    new, lost = opened(root), 0
    for _ino, _device, uid, gid, mode, rdev, flags, left, tail in slots:
        values = remembered.values(tail)
        path = values.pop(b"", None)
        place = None if path is None else next((one for one in remembered.places(path, moved) if fits(root + one, left)), None)
        if place is None:
            lost += 1
            report.note(0, f"owners: not found again: {os.fsdecode(path) if path else 'a file without a path'} ({uid}:{gid} {mode:o})")
        else:
            new.put(root + place, uid, gid, mode, rdev, flags, remembered.tail_of(values, place))
    new.close()
    put(f"the root is a copy: {len(slots) - lost} files have been found again by their paths, {lost} have not\n")
    if lost == 0:
        os.unlink(aside)


def fits(host: bytes, left: int) -> bool:
    """Say whether a file may be the copy of one whose mode on the disk was ``left``."""
    try:
        return os.lstat(host).st_mode == left
    except OSError:
        return False


def gc(root: bytes) -> int:
    """Forget the records of files that are gone, and note where the others are now."""
    since = time.time_ns()
    owners = opened(root)
    before = len(owners.slots())
    keys = []
    for path, record in records(root, owners):
        host = root + path or b"/"
        if remembered.values(owners.tail(host)).get(b"") != path:
            found = owners.get(host)
            flags = found[4] if found is not None else 0
            owners.put(host, record.uid, record.gid, record.mode, record.rdev, flags, remembered.tail_of(record.xattrs, path))
        keys += owners.keys([host])
    try:
        owners.collect(keys, since)
    except OSError as error:
        raise PyrootError(f"owners: {text_of(error.errno or 0)}") from None
    put(f"{before - len(owners.slots())} of {before} records are forgotten\n")
    owners.close()
    return 0
