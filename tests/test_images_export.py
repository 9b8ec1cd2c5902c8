"""`pyroot export` and `run-image`: what comes out is what was there, byte for byte the same each time, and runs as the image asks."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests import images
from tests.images import Layout, entry, layer, of_root, pyroot
from tests.images.twelve import LAYERS
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMS = ("tar", "oci", "oci-archive", "docker-archive")
CONFIG = {"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo cmd $A $B; pwd; id -u; id -g"], "Env": ["A=image", "B=b c", "PATH=/bin"],
          "WorkingDir": "/srv/here", "User": "app", "Labels": {"one": "two"}}  # fmt: skip


@pytest.fixture
def place() -> Iterator[str]:
    folder = directory_for_user()
    yield folder
    remove(folder)


def content(path: str) -> dict[str, bytes]:
    """Read a file, or all files of a directory."""
    found = {}
    for folder, _folders, names in [(path, [], [""])] if os.path.isfile(path) else os.walk(path):
        for name in names:
            with open(os.path.join(folder, name) if name else folder, "rb") as file:
                found[os.path.join(folder, name).removeprefix(path)] = file.read()
    return found


@pytest.fixture
def twelve(place: str) -> str:
    layout = Layout(f"{place}/oci")
    layout.image([layer(one) for one in LAYERS], "app:1", Cmd=["/bin/sh"])
    layout.end()
    give(place)
    assert pyroot("import", f"{place}/oci", f"{place}/root").returncode == 0
    return f"{place}/root"


@pytest.mark.parametrize("form", FORMS)
def test_import_after_export_is_the_identity_and_bytes_are_the_same(place: str, twelve: str, form: str) -> None:
    before = of_root(twelve)
    for number in "12":
        done = pyroot("export", "--format", form, twelve, f"{place}/out{number}")
        assert (done.returncode, done.stderr) == (0, "")
    assert content(f"{place}/out1") == content(f"{place}/out2")
    assert pyroot("import", f"{place}/out1", f"{place}/again").returncode == 0
    after = of_root(f"{place}/again")
    assert [path for path in before | after if before.get(path) != after.get(path)] == []
    if form != "tar":
        with open(f"{place}/again/.pyroot/image", encoding="utf-8") as file:
            assert json.load(file)["config"]["config"] == {"Cmd": ["/bin/sh"]}
    assert not [name for name in os.listdir(place) if name.startswith(".")]


def test_python_reads_it_as_it_was_written(twelve: str) -> None:
    command, extra = images.helpers.pyroot_command()
    user = images.helpers.NOBODY if os.geteuid() == 0 else None
    done = subprocess.run([*command, "export", twelve, "-"], capture_output=True, check=True, user=user, group=user,
                          env={**os.environ, **extra})  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(done.stdout), errors="surrogateescape") as archive:
        members = {one.name: one for one in archive}
    assert list(members)[:2] == [".", "dev"]
    assert (members["dev/null"].type, members["dev/null"].devmajor, members["dev/null"].devminor) == (tarfile.CHRTYPE, 1, 3)
    assert (members["usr/bin/su"].mode, members["home/alice"].uid, members["home/alice"].gid) == (0o4755, 1000, 1001)
    assert members["usr/bin/e"].linkname == members["usr/bin/d"].linkname == "usr/bin/c"
    assert members["etc/shadow"].mtime == 1_700_000_000.125
    assert "opt/\udcff\udcfe" in members and "opt/t\u00ea" in members
    assert len(done.stdout) % 10240 == 0


def test_large_numbers_and_old_times(place: str) -> None:
    files = [entry("a", b"a", uid=4_000_000_000, gid=3_000_000_000, mtime=-5.5), entry("b" * 200, link="c" * 300, mtime=1.5)]
    with open(f"{place}/a.tar", "wb") as file:
        file.write(layer(files))
    give(place)
    assert pyroot("import", f"{place}/a.tar", f"{place}/root").returncode == 0
    assert pyroot("export", f"{place}/root", f"{place}/b.tar").returncode == 0
    assert pyroot("import", f"{place}/b.tar", f"{place}/again").returncode == 0
    found = of_root(f"{place}/again")
    assert found == of_root(f"{place}/root") | {b"": found[b""]}
    assert found[b"/a"][1:3] == (4_000_000_000, 3_000_000_000)
    assert found[b"/a"][6] == -5_500_000_000


@pytest.mark.parametrize(("words", "says"), [
    ([], "are missing"), (["/"], "TARGET is missing"), (["a", "b", "c"], "unexpected"), (["--format", "zip", "a", "b"], "it is one of"),
    (["/nowhere", "x"], "no such file"), (["--format", "oci", "/var/tmp", "/etc"], "is not empty"),
])  # fmt: skip
def test_mistakes_of_export_are_one_line(words: list[str], says: str) -> None:
    done = pyroot("export", *words)
    assert done.returncode == 125
    assert says in done.stderr and "Traceback" not in done.stderr


# --- run-image


@pytest.fixture
def app(place: str, busybox_root: str) -> str:
    """Make a root of an image that says what it wants."""
    with open(f"{busybox_root}/bin/busybox", "rb") as file:
        program = file.read()
    links = [entry(f"bin/{name}", link="busybox") for name in ("sh", "id", "pwd", "echo", "env", "cat", "touch")]
    passwd = entry("etc/passwd", b"root:x:0:0::/root:/bin/sh\napp:x:7:8::/home/app:/bin/sh\n")
    layout = Layout(f"{place}/oci")
    group = entry("etc/group", b"root:x:0:\napp:x:8:\n")
    layout.image([layer([entry("bin/busybox", program, 0o755), *links, passwd, group])], "app", **CONFIG)
    layout.end()
    with open(f"{place}/variables", "w", encoding="ascii") as file:
        file.write("# a comment\nA=file\nHOST_ONE\n\n")
    give(place)
    assert pyroot("import", f"{place}/oci", f"{place}/root").returncode == 0
    return f"{place}/root"


RUNS: list[tuple[list[str], list[str], list[str]]] = [
    ([], [], ["cmd image b c", "/srv/here", "7", "8"]),
    (["-e", "A=option", "-w", "/", "-u", "0"], [], ["cmd option b c", "/", "0", "0"]),
    (["--env-file", "{place}/variables"], ["echo $A $HOST_ONE $HOME"], ["file seen /home/app"]),
    (["-e", "HOME=/else", "-e", "HOST_ONE"], ["echo $HOME $HOST_ONE"], ["/else seen"]),
    (["--entrypoint", "/bin/echo"], ["a", "-e"], ["a -e"]),
    (["--entrypoint=", "-u", "7:9"], ["id", "-g"], ["9"]),
    (["-v", "{place}/variables:/v:ro"], ["cat /v | busybox head -n1; touch /v 2>/dev/null || echo ro"], ["# a comment", "ro"]),
    (["--read-only", "-w", "/"], ["touch /new 2>/dev/null || echo refused"], ["refused"]),
    (["-it", "--hostname", "box"], ["busybox uname -n"], ["box"]),
]


@pytest.mark.parametrize(("options", "arguments", "wanted"), RUNS)
def test_it_runs_as_docker_would(place: str, app: str, monkeypatch: pytest.MonkeyPatch, options: list[str], arguments: list[str],
                                 wanted: list[str]) -> None:  # fmt: skip
    monkeypatch.setenv("HOST_ONE", "seen")
    monkeypatch.setenv("HOST_TWO", "not seen")
    done = pyroot("run-image", *[one.format(place=place) for one in options], app, *arguments)
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == (wanted, "", 0)


def test_the_environment_is_the_images(app: str) -> None:
    done = pyroot("run-image", "--entrypoint", "/bin/env", app)
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert names <= {"PATH", "A", "B", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TERM"}
    assert "PATH=/bin\n" in done.stdout


def test_the_status_is_the_commands(app: str) -> None:
    assert pyroot("run-image", app, "exit 9").returncode == 9
    done = pyroot("run-image", "--entrypoint", "/no/such", app)
    assert (done.returncode, "Traceback" in done.stderr) == (127, False)


@pytest.mark.parametrize(("words", "says"), [
    ([], "DIR is missing"), (["/nowhere"], "no such file"), (["/var/tmp"], "was not made of an image"),
    (["-v", "name:/x", "{app}"], "HOST is not a path"), (["-v", "/tmp:/x:rslave", "{app}"], "no option rslave"),
    (["-e", "=x", "{app}"], "not NAME=VALUE"), (["--env-file", "/nowhere", "{app}"], "no such file"),
    (["-u", "nobody-there", "{app}"], "invalid user"), (["--entry", "x"], "unknown option"),
])  # fmt: skip
def test_mistakes_of_run_image_are_one_line(app: str, words: list[str], says: str) -> None:
    done = pyroot("run-image", *[one.format(app=app) for one in words])
    assert done.returncode == 125
    assert says in done.stderr and "Traceback" not in done.stderr


DAMAGED: list[Any] = [b"", b"[]", b"{}", b"[" * 100000, b'{"config": {"config": {"Cmd": 5}}}',
                      b'{"config": {"config": {"Env": ["a\\u0000=b"]}}}', b'{"config": {"config": {"User": ["x"]}}}']  # fmt: skip


@pytest.mark.parametrize("data", DAMAGED)
def test_what_is_kept_is_not_trusted(app: str, data: bytes) -> None:
    with open(f"{app}/.pyroot/image", "wb") as file:
        file.write(data)
    done = pyroot("run-image", app)
    assert done.returncode == 125
    assert done.stderr.startswith("pyroot: ") and "Traceback" not in done.stderr and "internal error" not in done.stderr
