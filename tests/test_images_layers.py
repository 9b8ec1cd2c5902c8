"""`pyroot import --layers`: layers are kept once, an image that was not changed is exported as it was, changes are a layer of their own."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.images import Layout, digest, docker_archive, entry, layer, of_root, pyroot
from tests.images.twelve import LAYERS
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMS = ("oci", "oci-archive", "docker-archive")
DATA = [layer(one) for one in LAYERS]


@pytest.fixture
def place() -> Iterator[str]:
    folder = directory_for_user()
    layout = Layout(f"{folder}/oci")
    layout.image(DATA, "app:1", Cmd=["/bin/sh"])
    layout.end()
    give(folder)
    assert pyroot("import", "--layers", f"{folder}/store", f"{folder}/oci", f"{folder}/root").returncode == 0
    yield folder
    remove(folder)


def kept(place: str, root: str) -> dict[str, Any]:
    with open(f"{place}/{root}/.pyroot/image", encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


def blobs(place: str) -> list[str]:
    return sorted(os.listdir(f"{place}/store/blobs/sha256"))


def again(place: str, form: str, *words: str) -> list[str]:
    """Export, import that, see that it is the same root; give the diff IDs."""
    assert pyroot("export", *words, "--format", form, f"{place}/root", f"{place}/out").returncode == 0
    done = pyroot("import", f"{place}/out", f"{place}/again")
    assert (done.returncode, done.stderr) == (0, "")
    before, after = of_root(f"{place}/root"), of_root(f"{place}/again")
    assert {path: (before.get(path), after.get(path)) for path in before | after if before.get(path) != after.get(path)} == {}
    found: list[str] = kept(place, "again")["config"]["rootfs"]["diff_ids"]
    return found


@pytest.mark.parametrize("form", FORMS)
def test_an_unchanged_image_has_the_same_diff_ids(place: str, form: str) -> None:
    assert again(place, form) == [digest(one) for one in DATA]
    assert kept(place, "again")["config"] == kept(place, "root")["config"] | {"created": "1970-01-01T00:00:00Z"}


def test_layers_are_kept_once(place: str) -> None:
    before = blobs(place)
    assert len(before) == len(DATA)
    layout = Layout(f"{place}/other")
    layout.image([*DATA[:5], layer([entry("new", b"new")])])
    layout.end()
    assert pyroot("import", "--layers", f"{place}/store", f"{place}/other", f"{place}/second").returncode == 0
    assert len(blobs(place)) == len(DATA) + 1
    with open(f"{place}/a", "wb") as file:
        file.write(docker_archive(DATA, ["app:1"]))
    assert pyroot("import", "--layers", f"{place}/store", f"{place}/a", f"{place}/third").returncode == 0
    assert [one["diff"] for one in kept(place, "third")["layers"]] == [digest(one) for one in DATA]
    assert not [name for name in blobs(place) if name.startswith(".")]


@pytest.mark.parametrize("form", FORMS)
def test_what_has_changed_is_one_more_layer(place: str, form: str) -> None:
    root = f"{place}/root"
    os.unlink(f"{root}/usr/bin/wall")
    os.rename(f"{root}/opt/x", f"{root}/opt/moved")
    with open(f"{root}/etc/motd", "w", encoding="ascii") as file:
        file.write("changed")
    with open(f"{root}/usr/bin/su", "r+b") as file:
        file.write(b"SU")
    os.unlink(f"{root}/srv/a")
    os.mkdir(f"{root}/srv/a")
    os.utime(f"{root}/srv/a", (5, 5))
    os.link(f"{root}/usr/bin/d", f"{root}/usr/bin/new-name")
    os.symlink("su", f"{root}/usr/bin/link")
    os.utime(f"{root}/usr/bin/link", (7, 7), follow_symlinks=False)
    if os.geteuid() == 0:
        give(root)
    found = again(place, form)
    assert found[:-1] == [digest(one) for one in DATA]


def test_one_layer_of_all(place: str) -> None:
    assert len(again(place, "oci", "--flatten")) == 1


@pytest.mark.parametrize("what", ["gone", "changed", "list"])
def test_what_is_not_there_any_more_is_said(place: str, what: str) -> None:
    path = f"{place}/store/blobs/sha256/{blobs(place)[3]}"
    if what == "gone":
        os.unlink(path)
    elif what == "changed":
        with open(path, "r+b") as file:
            file.write(b"x")
    else:
        os.unlink(f"{place}/root/.pyroot/tree")
    done = pyroot("export", "--format", "oci", f"{place}/root", f"{place}/out")
    assert done.returncode == 125
    assert "--flatten" in done.stderr and "Traceback" not in done.stderr
    assert not os.path.exists(f"{place}/out")


def test_a_tar_file_of_a_root_has_no_layers(place: str) -> None:
    with open(f"{place}/a.tar", "wb") as file:
        file.write(DATA[0])
    done = pyroot("import", "--layers", f"{place}/store", f"{place}/a.tar", f"{place}/second")
    assert "has no layers" in done.stderr
