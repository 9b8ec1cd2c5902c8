"""Images that somebody hostile has made: nothing outside DIR is written, and it ends in one line."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest

from pyroot.errors import PyrootError
from pyroot.images.limits import RATIO_FROM, Limits
from tests.images import Entry, Layout, entry, layer, on_disk, pyroot
from tests.images.twelve import HARD
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

OUT = "{place}/outside"
#: Layers; the text that the one line says, or None: it is imported, and nothing outside has changed.
CASES: dict[str, tuple[list[list[Entry]], str | None]] = {
    "a name that leads upwards": ([[entry("../outside/x", b"x")]], "leads upwards"),
    "a name that leads upwards later": ([[entry("a/"), entry("a/b/../../../outside/x", b"x")]], "leads upwards"),
    "a directory called ..": ([[entry("a/../", mode=0o777)]], "leads upwards"),
    "an absolute name": ([[entry(OUT + "/x", b"x")]], None),
    "a file through a link": ([[entry("l", link=OUT), entry("l/x", b"x")]], None),
    "a file through a relative link": ([[entry("l", link="../../../../../../../.." + OUT), entry("l/victim", b"x")]], None),
    "a link swapped in between layers": ([[entry("d/"), entry("d/victim", b"d")], [entry("d", link=OUT)], [entry("d/victim", b"x")]], None),
    "a directory over a link": ([[entry("l", link=OUT), entry("l/", mode=0o777), entry("l/x", b"x")]], None),
    "a file over a link": ([[entry("f", link=OUT + "/victim"), entry("f", b"written")]], None),
    "a hard link to a link, then a file": ([[entry("s", link=OUT + "/victim"), entry("h", link="s", kind=HARD), entry("h", b"x")]], None),
    "a hard link to the outside": ([[entry("h", link=OUT + "/victim", kind=HARD)]], "is not there"),
    "a hard link upwards": ([[entry("h", link="../outside/victim", kind=HARD)]], "leads upwards"),
    "a hard link through a link": ([[entry("l", link=OUT), entry("h", link="l/victim", kind=HARD)]], "is not there"),
    "a hard link to a directory": ([[entry("d/"), entry("h", link="d", kind=HARD)]], "to a directory"),
    "a whiteout of all": ([[entry("a", b"a")], [entry(".wh...")]], "nothing that can be removed"),
    "a whiteout through a link": ([[entry("l", link=OUT)], [entry("l/.wh.victim")]], None),
    "an opaque link": ([[entry("l", link=OUT)], [entry("l/.wh..wh..opq")]], None),
    "a whiteout of nothing": ([[entry("a", b"a")], [entry(".wh.")]], "nothing that can be removed"),
    "links in a circle": ([[entry("a", link="b"), entry("b", link="a"), entry("a/x", b"x")]], "too many levels"),
    "a file where a directory is needed": ([[entry("a", b"a"), entry("a/x", b"x")]], "not a directory"),
    "a name that is too long": ([[entry("n" * 300, b"n")]], "file name too long"),
    "a path that is too long": ([[entry("/".join(["n" * 200] * 25), b"n")]], "too long"),
    "a deep path": ([[entry("d/" * 1000)]], "--max-depth"),
    "names twice": ([[entry("a", b"1"), entry("a", b"2"), entry("a/"), entry("a", link="x"), entry("a", b"3")]], None),
    "a name without text": ([[entry("\udc80\udcff\n\x1b[31m", b"x")]], None),
    "what pyroot keeps": ([[entry(".pyroot/"), entry(".pyroot/owners", b"x")]], None),
    "what pyroot keeps, through a link": ([[entry("l", link=".pyroot"), entry("l/owners", b"x")]], "/.pyroot"),
    "what pyroot keeps, by a hard link": ([[entry("h", link=".pyroot/owners", kind=HARD)]], "/.pyroot"),
    "an attribute that is too long": ([[entry("a", b"", xattrs={"user.x" * 60: "x"})]], "attribute is too long"),
    "many devices": ([[entry(f"d{i}", None, kind=tarfile.CHRTYPE, device=(1, 3)) for i in range(300)]], "--max-files"),
}  # fmt: skip


@pytest.fixture
def place() -> Iterator[str]:
    folder = directory_for_user()
    os.mkdir(f"{folder}/outside")
    with open(f"{folder}/outside/victim", "wb") as file:
        file.write(b"victim")
    yield folder
    remove(folder)


def set_in(place: str, one: Entry) -> Entry:
    info, data = one
    info.name, info.linkname = info.name.replace("{place}", place), info.linkname.replace("{place}", place)
    return info, data


def judged(place: str, words: list[str], says: str | None) -> None:
    """Import, and see that nothing outside has changed and that what is said is one line."""
    give(place)
    before = on_disk(f"{place}/outside")
    names = sorted(os.listdir(place))
    done = pyroot("import", *words, f"{place}/root")
    assert on_disk(f"{place}/outside") == before
    lines = done.stderr.splitlines()
    assert "internal error" not in done.stderr and "Traceback" not in done.stderr
    if says is None:
        assert done.returncode == 0, done.stderr
        assert all("left out: /.pyroot" in line for line in lines)
        return
    assert done.returncode == 125
    assert says in done.stderr
    assert len(lines) == 1 + (lines[-1].startswith("  hint: ") and len(lines) > 1)
    assert sorted(os.listdir(place)) == names, "all or nothing"


@pytest.mark.parametrize("name", CASES)
def test_hostile_layers(place: str, name: str) -> None:
    layers, says = CASES[name]
    layout = Layout(f"{place}/oci")
    layout.image([layer([set_in(place, one) for one in entries]) for entries in layers])
    judged(place, ["--max-files", "250", layout.end()], says)


def header(size: int, kind: bytes = b"x", name: bytes = b"h", magic: bytes = b"ustar\x0000") -> bytes:
    """Write a header that says what it likes."""
    head = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"%011o\0" % 0
    tail = kind + bytes(100) + magic.ljust(8, b"\0") + bytes(247)
    return head + b"%06o\0 " % (sum(head) + sum(tail) + 256) + tail


def record(text: bytes) -> bytes:
    """Write a record of an extended header."""
    size = len(text) + 4
    return b"%d " % size + text.ljust(size - len(b"%d " % size) - 1) + b"\n"


END = bytes(1024)
RAW: dict[str, tuple[bytes, str]] = {
    "a header of a gigabyte": (header(1 << 30), "--max-header"),
    "a long name of a gigabyte": (header(1 << 30, b"L"), "--max-header"),
    "many headers": (header(0) * 20000, "followed by nothing"),
    "a header that ends": (header(512) + b"x" * 100, "ends within"),
    "a file that ends": (header(1 << 20, b"0") + b"x" * 100, "ends within"),
    "a block that ends": (header(0, b"0") + b"x" * 100, "within a header"),
    "not a header": (b"x" * 2048, "not a tar archive"),
    "a wrong checksum": (header(0, b"0") + b"x" + header(0, b"0")[1:], "checksum"),
    "a kind that is not known": (header(0, b"M"), "kind that is not known"),
    "a record without a length": (header(9) + b"path=abc\n".ljust(512, b"\0") + header(0, b"0"), "extended header is not one"),
    "a negative size": (header(0, b"0")[:124] + b"\xff" * 12 + header(0, b"0")[136:], "checksum"),
    "a size of ten exabytes": (header(512) + record(b"size=" + b"9" * 19).ljust(512, b"\0") + header(0, b"0"), "too large"),
    "a time without end": (header(512) + record(b"mtime=" + b"9" * 18).ljust(512, b"\0") + header(0, b"0"), "time"),
    "a time that is none": (header(512) + record(b"mtime=1.x2").ljust(512, b"\0") + header(0, b"0"), "time"),
    "holes of an exabyte": (header(512) + (record(b"GNU.sparse.major=1") + record(b"GNU.sparse.realsize=" + b"9" * 18)).ljust(512, b"\0")
                            + header(512, b"0") + b"0\n".ljust(512, b"\0") + END, "--max-size"),
    "a map without end": (header(512) + (record(b"GNU.sparse.major=1") + record(b"GNU.sparse.realsize=5")).ljust(512, b"\0")
                          + header(512, b"0") + b"9999999\n".ljust(512, b"\0") + END, "map"),
    "a map backwards": (header(512) + (record(b"GNU.sparse.map=5,1,0,1") + record(b"GNU.sparse.size=9")).ljust(512, b"\0")
                        + header(2, b"0") + b"xy".ljust(512, b"\0") + END, "map"),
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
def test_hostile_archives(place: str, name: str) -> None:
    data, says = RAW[name]
    with open(f"{place}/a.tar", "wb") as file:
        file.write(data)
    judged(place, [f"{place}/a.tar"], says)


LIMITED = [(["--max-size", "1M"], "more than 1048576 bytes"), (["--max-files", "3"], "more than 3 entries")]


@pytest.mark.parametrize(("words", "says"), LIMITED)
def test_limits_are_options(place: str, words: list[str], says: str) -> None:
    with open(f"{place}/a.tar.gz", "wb") as file:
        file.write(gzip.compress(layer([entry("a/"), entry("b/"), entry("c/"), entry("zeros", bytes(4 << 20))])))
    judged(place, [*words, f"{place}/a.tar.gz"], says)


def test_a_bomb_is_known_by_its_growth() -> None:
    limits = Limits()
    limits.grown(1, RATIO_FROM)
    limits.grown(RATIO_FROM // 200, RATIO_FROM + 1)
    with pytest.raises(PyrootError, match="grows more than 250 times"):
        limits.grown(RATIO_FROM // 1000, RATIO_FROM + 1)


JSONS = [b"", b"[]", b"null", b"{}", b"[" * 200000, b'{"manifests": 5}', b'{"manifests": [5]}', b'{"manifests": [{"digest": "sha256:zz"}]}',
         b'{"manifests": [{"digest": "sha256:' + b"0" * 64 + b'"}]}', b'{"manifests": [{"digest": "../../../etc/passwd"}]}', b"9" * 5000,
         b'{"manifests": [{"digest": "sha256:%s", "annotations": 5}]}' % (b"0" * 64), b"\xff\xfe"]  # fmt: skip


@pytest.mark.parametrize("data", JSONS)
@pytest.mark.parametrize("name", ["index.json", "manifest.json"])
def test_hostile_metadata(place: str, name: str, data: bytes) -> None:
    os.mkdir(f"{place}/oci")
    with open(f"{place}/oci/{name}", "wb") as file:
        file.write(data)
    judged(place, [f"{place}/oci"], "pyroot: import: ")


def test_blobs_that_are_not_files(place: str) -> None:
    layout = Layout(f"{place}/oci")
    manifest = layout.image([layer([entry("a", b"a")])])
    blob = f"{layout.end()}/blobs/sha256/{manifest['digest'][7:]}"
    os.unlink(blob)
    os.mkfifo(blob)
    judged(place, [f"{place}/oci"], "not a regular file")


def test_an_index_that_contains_itself_ends(place: str) -> None:
    layout = Layout(f"{place}/oci")
    data = b'{"manifests": []}'
    for _level in range(8):
        inner = layout.blob(data, "index.v1+json")
        data = b'{"manifests": [%s]}' % b",".join([str(inner).replace("'", '"').encode()] * 3)
    layout.manifests = [layout.blob(data, "index.v1+json")]
    judged(place, [layout.end()], "too many manifests")


def test_the_disk_gets_safe_modes_only(place: str) -> None:
    modes = [0, 0o7777, 0o4755, 0o2755, 0o1777, 0o222, 0o4711]
    files = [entry(f"f{mode:o}", b"", mode) for mode in modes] + [entry(f"d{mode:o}/", mode=mode) for mode in modes]
    with open(f"{place}/a.tar", "wb") as file:
        file.write(layer(files))
    judged(place, [f"{place}/a.tar"], None)
    for name in os.listdir(f"{place}/root"):
        assert not os.lstat(f"{place}/root/{name}").st_mode & (stat.S_ISUID | stat.S_ISGID)
        assert os.lstat(f"{place}/root/{name}").st_mode & 0o600 == 0o600
