"""Import as an ordinary user against umoci as root, and export against skopeo: the same tree, but for what has no entry."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.images import Layout, layer, of_root, on_disk, pyroot
from tests.images.twelve import LAYERS
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(os.geteuid() != 0, reason="umoci has to be root to make devices and owners"),
    pytest.mark.skipif(not shutil.which("umoci") or not shutil.which("skopeo"), reason="umoci and skopeo are not installed"),
]
NO_ENTRY = {b"", b"/run"}  # directories without an entry of their own, or that umoci touches at its end: it gives them the present time


@pytest.fixture
def place() -> Iterator[str]:
    folder = directory_for_user()
    yield folder
    remove(folder)


def same(ours: str, theirs: str) -> None:
    """Compare type, mode, owner, device, attributes, content, link, time, and which names are one file."""
    left, right = of_root(ours), on_disk(theirs)
    for path in NO_ENTRY & left.keys() & right.keys():
        left[path], right[path] = (one[:6] + one[7:] for one in (left[path], right[path]))
    assert {path: (left.get(path), right.get(path)) for path in left.keys() | right.keys() if left.get(path) != right.get(path)} == {}


def run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_twelve_layers_are_what_umoci_makes_as_root(place: str) -> None:
    layout = Layout(f"{place}/oci")
    layout.image([layer(one) for one in LAYERS], "latest")
    layout.end()
    give(place)
    run("umoci", "raw", "unpack", "--image", f"{place}/oci:latest", f"{place}/theirs")
    assert pyroot("import", f"{place}/oci", f"{place}/ours").returncode == 0
    same(f"{place}/ours", f"{place}/theirs")


@pytest.mark.parametrize("kind", ["dir", "oci-archive", "docker-archive"])
def test_what_skopeo_copies_is_the_same_image(place: str, kind: str) -> None:
    layout = Layout(f"{place}/oci")
    layout.image([layer(one) for one in LAYERS], "latest")
    layout.end()
    run("skopeo", "copy", f"oci:{place}/oci:latest", f"{kind}:{place}/copy" + (":app:1" if kind == "docker-archive" else ""))
    give(place)
    for source in ("oci", "copy"):
        done = pyroot("import", f"{place}/{source}", f"{place}/from-{source}")
        assert (done.returncode, done.stderr) == (0, "")
    assert of_root(f"{place}/from-oci") == of_root(f"{place}/from-copy")


@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive"])
def test_what_is_exported_is_read_by_skopeo_and_umoci(place: str, form: str) -> None:
    layout = Layout(f"{place}/oci")
    layout.image([layer(one) for one in LAYERS], "latest")
    layout.end()
    give(place)
    assert pyroot("import", f"{place}/oci", f"{place}/ours").returncode == 0
    assert pyroot("export", "--format", form, f"{place}/ours", f"{place}/out").returncode == 0
    run("skopeo", "copy", f"{form}:{place}/out" + ("" if form == "docker-archive" else ":latest"), f"oci:{place}/again:latest")
    run("umoci", "raw", "unpack", "--image", f"{place}/again:latest", f"{place}/theirs")
    same(f"{place}/ours", f"{place}/theirs")
