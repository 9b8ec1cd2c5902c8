"""`pyroot import`: every kind of image becomes the root that it describes, as an ordinary user, or nothing at all."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests import images
from tests.images import TIME, Layout, docker_archive, entry, layer, of_root, pyroot
from tests.images.twelve import CAPS, HARD, LAYERS
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = [entry("etc/"), entry("etc/motd", b"hello\n"), entry("bin/"), entry("bin/su", b"su", 0o4755),
         entry("home/u/", uid=1000, gid=1000)]  # fmt: skip


@pytest.fixture
def place() -> Iterator[str]:
    folder = directory_for_user()
    yield folder
    remove(folder)


def write(path: str, data: bytes) -> str:
    with open(path, "wb") as file:
        file.write(data)
    return path


def imported(place: str, source: str, *words: str, given: bytes | None = None) -> dict[bytes, tuple[Any, ...]]:
    """Import, and tell what the root is."""
    give(place)
    done = pyroot("import", *words, source, f"{place}/root", given=given)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(name for name in os.listdir(place) if name.startswith(".")) == []
    return of_root(f"{place}/root")


def names(found: dict[bytes, tuple[Any, ...]]) -> list[str]:
    return sorted(os.fsdecode(path) for path in found if path)


PACKINGS = {
    "plain": lambda data: data,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "two": lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
    "zstd": lambda data: subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout,
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("through_a_pipe", [False, True])
def test_a_tarball_of_a_root(place: str, packing: str, through_a_pipe: bool) -> None:
    if packing == "zstd" and not shutil.which("zstd"):
        pytest.skip("zstd is not installed")
    data = PACKINGS[packing](layer(SMALL))
    found = imported(place, "-", given=data) if through_a_pipe else imported(place, write(f"{place}/a.tar", data))
    assert names(found) == ["/bin", "/bin/su", "/etc", "/etc/motd", "/home", "/home/u"]
    assert found[b"/bin/su"][:3] == (stat.S_IFREG | 0o4755, 0, 0)
    assert found[b"/home/u"][:3] == (stat.S_IFDIR | 0o755, 1000, 1000)
    assert stat.S_IMODE(os.lstat(f"{place}/root/bin/su").st_mode) == 0o755, "the disk gets no set-id bits"


def test_a_whiteout_in_a_tarball_of_a_root_is_a_name_like_others(place: str) -> None:
    found = imported(place, write(f"{place}/a.tar", layer([entry("a", b"a"), entry(".wh.a", b"w")])))
    assert names(found) == ["/.wh.a", "/a"]


EXPECTED = {
    b"/usr/bin/su": (stat.S_IFREG | 0o4755, 0, 0), b"/usr/bin/wall": (stat.S_IFREG | 0o2755, 0, 5), b"/tmp": (stat.S_IFDIR | 0o1777, 0, 0),
    b"/home/alice": (stat.S_IFDIR | 0o750, 1000, 1001), b"/dev/null": (stat.S_IFCHR | 0o666, 0, 0, os.makedev(1, 3)),
    b"/dev/sda": (stat.S_IFBLK | 0o660, 0, 6, os.makedev(8, 0)), b"/run/pipe": (stat.S_IFIFO | 0o600, 3, 0),
    b"/etc/shadow": (stat.S_IFREG | 0o600, 0, 42), b"/opt/x/3": (stat.S_IFREG | 0o644, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["folder", "tar", "tar.gz", "docker", "docker.gz", "dir", "pipe"])
def test_twelve_layers(place: str, kind: str) -> None:
    layers = [layer(one) for one in LAYERS]
    given = None
    if kind.startswith("docker"):
        data = docker_archive(layers, ["app:1"])
        source = write(f"{place}/a", gzip.compress(data) if kind == "docker.gz" else data)
    else:
        layout = Layout(f"{place}/oci")
        layout.image(layers, "latest")
        source = layout.end()
        if kind == "dir":
            source = f"{place}/dir"
            shutil.copytree(f"{place}/oci/blobs/sha256", source)
            shutil.move(f"{source}/{layout.manifests[0]['digest'][7:]}", f"{source}/manifest.json")
        elif kind != "folder":
            file = io.BytesIO()
            with tarfile.open(fileobj=file, mode="w:gz" if kind == "tar.gz" else "w") as archive:
                archive.add(f"{place}/oci", ".")
            source, given = ("-", file.getvalue()) if kind == "pipe" else (write(f"{place}/a", file.getvalue()), None)
    found = imported(place, source, given=given)
    for path, wanted in EXPECTED.items():
        assert found[path][: len(wanted)] == wanted, path
    assert found[b"/usr/bin/ping"][5] == {b"security.capability": CAPS.encode()}
    assert found[b"/usr/bin/c"][7] == found[b"/usr/bin/d"][7] == found[b"/usr/bin/e"][7], "one file over layers"
    assert found[b"/usr/bin/b"][7] != found[b"/usr/bin/c"][7], "a name that is replaced leaves the other names alone"
    assert b"/usr/bin/a" not in found and found[b"/usr/lib/locale/C"][4]
    assert [name for name in names(found) if name.startswith("/opt/x/")] == ["/opt/x/3", "/opt/x/4"]
    assert not [name for name in names(found) if ".wh." in name or name in ("/opt/y", "/opt/deep")]
    assert found[b"/etc/shadow"][6] == 1_700_000_000_125_000_000 and found[b"/opt/x"][6] == 5_000_000_000
    assert found[b"/usr"][6] == 1_250_000_000_000_000_000, "times of directories outlive what is put into them"
    assert b"/opt/\xff\xfe" in found
    with open(f"{place}/root/.pyroot/image", encoding="utf-8") as file:
        assert json.load(file)["config"]["rootfs"]["diff_ids"] == [images.digest(one) for one in layers]


def test_the_guest_sees_it(place: str, busybox_root: str) -> None:
    with open(f"{busybox_root}/bin/busybox", "rb") as file:
        program = file.read()
    files = [*SMALL, entry("bin/busybox", program, 0o755), entry("bin/sh", link="busybox"), entry("f", b"f", 0o640, 5, 6),
             entry("dev/full", None, 0o666, kind=tarfile.CHRTYPE, device=(1, 7))]  # fmt: skip
    imported(place, write(f"{place}/a.tar", layer(files)))
    script = "busybox stat -c '%n %u:%g %a %t:%T' /f /bin/su /dev/full /home/u; busybox ls -A /"
    done = pyroot("-0", "-r", f"{place}/root", "/bin/sh", "-c", script)
    assert done.stdout.splitlines() == ["/f 5:6 640 0:0", "/bin/su 0:0 4755 0:0", "/dev/full 0:0 666 1:7", "/home/u 1000:1000 755 0:0",
                                        "bin", "dev", "etc", "f", "home"]  # fmt: skip


def sparse(kind: str) -> bytes:
    """Let GNU tar write a file with holes."""
    folder = directory_for_user()
    try:
        with open(f"{folder}/s", "wb") as file:
            file.truncate(3 << 20)
            for at in range(0, 3 << 20, 1 << 17):
                file.seek(at)
                file.write(b"x%d" % at)
        words = ["--format=gnu"] if kind == "gnu" else ["--format=posix", f"--sparse-version={kind}"]
        return subprocess.run(["tar", "-cS", *words, "-C", folder, "s"], capture_output=True, check=True).stdout
    finally:
        remove(folder)


@pytest.mark.parametrize("kind", ["gnu", "0.0", "0.1", "1.0"])
def test_files_with_holes(place: str, kind: str) -> None:
    imported(place, write(f"{place}/a.tar", sparse(kind)))
    status = os.stat(f"{place}/root/s")
    assert status.st_size == 3 << 20
    assert status.st_blocks * 512 < 1 << 20, "holes stay holes"
    with open(f"{place}/root/s", "rb") as file:
        data = file.read()
    assert data[5 << 17:(5 << 17) + 8] == b"x%d\0" % (5 << 17)
    assert data.count(b"x") == 24


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_it_reads_what_tarfile_writes(place: str, form: int) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        long = "c" * (90 if form == tarfile.USTAR_FORMAT else 200)
        for info, data in [*SMALL, entry("a" * 90 + "/" + "b" * 90, b"long"), entry("l", link=long)]:
            archive.addfile(info, io.BytesIO(data))
    found = imported(place, write(f"{place}/a.tar", file.getvalue()))
    assert os.fsencode("/" + "a" * 90 + "/" + "b" * 90) in found
    assert found[b"/etc"][6] == TIME * 10**9


def test_of_several_platforms_the_one_of_this_machine_is_taken(place: str) -> None:
    layout = Layout(f"{place}/oci")
    for machine in ("arm64", "amd64"):
        layout.image([layer([entry(machine, b"")])], platform={"os": "linux", "architecture": machine})
    layout.end()
    assert names(imported(place, f"{place}/oci")) == ["/amd64"]
    assert pyroot("import", "--platform", "linux/arm64", f"{place}/oci", f"{place}/other").returncode == 0
    assert sorted(os.listdir(f"{place}/other")) == [".pyroot", "arm64"]
    done = pyroot("import", "--platform", "linux/s390x", f"{place}/oci", f"{place}/third")
    assert "no image for linux/s390x" in done.stderr and "linux/amd64, linux/arm64" in done.stderr


def test_an_index_in_an_index_and_a_name(place: str) -> None:
    layout = Layout(f"{place}/oci", wrap=lambda data: data)
    machines = ("arm64", "amd64")
    inner = [layout.image([layer([entry(one, b"")])], platform={"os": "linux", "architecture": one}) for one in machines]
    other = layout.image([layer([entry("other", b"")])], "other:2")
    index = layout.blob(json.dumps({"schemaVersion": 2, "manifests": inner}).encode(), "index.v1+json")
    layout.manifests = [{**index, "annotations": {"org.opencontainers.image.ref.name": "app:1"}}, other]
    layout.end()
    assert names(imported(place, f"{place}/oci", "--image", "app:1")) == ["/amd64"]
    done = pyroot("import", f"{place}/oci", f"{place}/b")
    assert done.returncode != 0 or names(of_root(f"{place}/b")) == ["/amd64"], "what has a platform that fits comes first"
    assert pyroot("import", "--image", "2", f"{place}/oci", f"{place}/c").returncode == 0
    assert "names: app:1, other:2" in pyroot("import", "--image", "3", f"{place}/oci", f"{place}/d").stderr


def damaged(place: str, what: str) -> str:
    layout = Layout(f"{place}/oci")
    manifest = layout.image([layer(SMALL), layer([entry("x" * 50, bytes(range(256)) * 40)])], "latest")
    layout.end()
    path = f"{place}/oci/blobs/sha256/{manifest['digest'][7:]}"
    with open(path, "rb") as file:
        told = json.load(file)
    last = f"{place}/oci/blobs/sha256/{told['layers'][1]['digest'][7:]}"
    if what == "manifest":
        write(path, json.dumps(told).encode() + b" ")
    elif what == "layer":
        with open(last, "rb") as file:
            data = bytearray(file.read())
        data[len(data) // 2] ^= 1
        write(last, bytes(data))
    elif what == "short":
        os.truncate(last, os.path.getsize(last) - 9)
    elif what == "missing":
        os.unlink(last)
    elif what == "content":
        write(f"{place}/oci/blobs/sha256/{told['config']['digest'][7:]}", b"{}")
    return f"{place}/oci"


@pytest.mark.parametrize(("what", "says"), [
    ("manifest", "another digest"), ("layer", "layer 2"), ("short", "bytes, not"), ("missing", "is missing"), ("content", "another digest"),
])  # fmt: skip
def test_what_is_damaged_makes_nothing(place: str, what: str, says: str) -> None:
    source = damaged(place, what)
    give(place)
    before = sorted(os.listdir(place))
    done = pyroot("import", source, f"{place}/root")
    assert done.returncode == 125
    assert says in done.stderr.splitlines()[0]
    assert sorted(os.listdir(place)) == before, "all or nothing"


@pytest.mark.parametrize(("words", "says"), [
    ([], "are missing"), (["a"], "DIR is missing"), (["a", "b", "c"], "unexpected"), (["/nowhere", "/var/tmp/pyroot-x"], "no such file"),
    (["--max-size", "x", "a", "b"], "not a size"), (["--max-files", "0", "a", "b"], "not a number"), (["a", "/"], "not empty"),
    (["/etc/passwd", "/var/tmp/pyroot-x"], "not a tar archive"), (["/dev/null", "/var/tmp/pyroot-x"], "empty"),
    (["/etc", "/var/tmp/pyroot-x"], "no image"),
])  # fmt: skip
def test_mistakes_are_one_line(words: list[str], says: str) -> None:
    done = pyroot("import", *words)
    assert done.returncode == 125
    assert says in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr
    assert not os.path.exists("/var/tmp/pyroot-x")


def test_an_empty_directory_is_used_and_another_one_is_not(place: str) -> None:
    source = write(f"{place}/a.tar", layer(SMALL))
    os.mkdir(f"{place}/root")
    assert len(imported(place, source)) == 7
    assert "is not empty" in pyroot("import", source, f"{place}/root").stderr


def test_a_signal_leaves_nothing(place: str) -> None:
    give(place)
    command, extra = images.helpers.pyroot_command()
    user = images.helpers.NOBODY if os.geteuid() == 0 else None
    child = subprocess.Popen([*command, "import", "-", f"{place}/root"], stdin=subprocess.PIPE, user=user, group=user,
                             env={**os.environ, **extra})  # fmt: skip
    assert child.stdin is not None
    child.stdin.write(layer([entry("big", b"b" * (1 << 20)), entry("more", b"m" * (1 << 20))])[: 3 << 19])
    child.stdin.flush()
    while not any(name.startswith(".root.") for name in os.listdir(place)):
        assert child.poll() is None
    child.terminate()
    child.stdin.close()
    assert child.wait(60) == -15
    assert os.listdir(place) == []


def test_hard_links_keep_what_is_remembered(place: str) -> None:
    files = [entry("a", b"a", 0o4711, 3, 4), entry("b", link="a", kind=HARD), entry("a", b"new")]
    found = imported(place, write(f"{place}/a.tar", layer(files)))
    assert found[b"/b"][:3] == (stat.S_IFREG | 0o4711, 3, 4)
    assert found[b"/a"][:3] == (stat.S_IFREG | 0o644, 0, 0)
