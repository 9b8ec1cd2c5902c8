"""Every example of docs/IMAGES.md, in its order: what is typed is run, and what is shown comes out."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.images import Layout, docker_archive, entry, layer
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(helpers.PROJECT, "docs/IMAGES.md")

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="no source tree here")


@pytest.fixture
def place(busybox_root: str) -> Iterator[str]:
    """Make the files that the page speaks of."""
    folder = directory_for_user()
    with open(f"{busybox_root}/bin/busybox", "rb") as file:
        program = file.read()
    files = [entry("bin/busybox", program, 0o755), entry("bin/sh", link="busybox"), entry("bin/cat", link="busybox"), entry("etc/")]
    config = {"Cmd": ["/bin/sh", "-c", "echo hello from $NAME"], "Env": ["NAME=the image", "PATH=/bin"]}
    data = docker_archive([layer(files)], ["app:1"], **config)
    Path(folder, "app.tar").write_bytes(data)
    Path(folder, "app.tar.gz").write_bytes(gzip.compress(data, 1))
    layout = Layout(f"{folder}/layout")
    layout.image([layer(files)], "app:1", **config)
    layout.image([layer(files[:2])], "other:1", **config)
    layout.end()
    os.mkdir(f"{folder}/data")
    Path(folder, "data/text").write_text("a text\n", encoding="ascii")
    give(folder)
    yield folder
    remove(folder)


def test_every_example_does_what_the_page_says(place: str) -> None:
    command, extra = helpers.pyroot_command()
    user = helpers.NOBODY if os.geteuid() == 0 else None
    start = f"pyroot() {{ {shlex.join(command)} \"$@\"; }}; set -o pipefail\n"
    examples = re.findall(r"(?ms)^```\n(\$ .*?)^```", PAGE.read_text("utf-8"))
    assert len(examples) >= 4
    ran = 0
    for block in examples:
        for typed, shown in re.findall(r"(?m)^\$ (.*)\n((?:(?!\$ ).*\n)*)", block):
            done = subprocess.run(["bash", "-c", start + typed], capture_output=True, text=True, check=False, cwd=place,
                                  user=user, group=user, env={**os.environ, **extra}, timeout=100)  # fmt: skip
            assert (done.stdout, done.stderr, done.returncode) == (shown, "", 0), typed
            ran += 1
    assert ran >= 9
    assert {"app-new.tar", "layout-new", "app-new.tar.gz", "one", "two"} <= set(os.listdir(place))
