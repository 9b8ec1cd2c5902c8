"""A feature is a row: two toys, each a part of its own and a row of the table, in a core that is built for the purpose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.helpers import PROJECT
from tests.mutations.__main__ import START, Tree
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import script
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = os.path.dirname(os.path.abspath(__file__)) + "/features"
STATS = "stat lstat fstat newfstatat statx oldstat oldlstat oldfstat stat64 lstat64 fstat64 fstatat64"
ROWS = f"""
    Feature("owner", calls="{STATS}", part=True),
    Feature("no_mkdir", effects="name", part=True),
"""
RUN = """import sys
sys.path.insert(0, {tree!r})
from pyroot import cli, launch
class Run(launch.Run):
    def __init__(self, *given):
        super().__init__(*given)
        self.features = {features!r}
launch.Run = Run
sys.exit(cli.main(sys.argv[1:]))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),  # it builds the core
    pytest.mark.skipif(not os.path.exists(f"{PROJECT}/pyroot/_fast.pyx"), reason="no source tree here"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a compiler (gcc)"),
]


@pytest.fixture(scope="module")
def tree() -> Iterator[str]:
    """Build a core with both toys: nothing else is changed in it."""
    folder = directory_for_user()
    builder = Tree(folder, "")
    base = builder.base
    built = shutil.ignore_patterns("__pycache__", "*.so", "loader-x86_64", "loader-i386*")
    shutil.copytree(f"{PROJECT}/pyroot", f"{base}/pyroot", ignore=built)
    shutil.copytree(f"{PROJECT}/bind", f"{base}/bind")
    os.makedirs(f"{base}/pyroot/_fast/features", exist_ok=True)
    for name in ("owner", "no_mkdir"):
        with open(f"{HERE}/{name}.pxi", encoding="utf-8") as file:
            assert len(file.readlines()) < 100
        shutil.copy(f"{HERE}/{name}.pxi", f"{base}/pyroot/_fast/features/")
    with open(f"{base}/pyroot/syscalls/features.py", encoding="utf-8") as file:
        text = file.read()
    with open(f"{base}/pyroot/syscalls/features.py", "w", encoding="utf-8") as file:
        file.write(text.replace('    Feature("failed"),\n', '    Feature("failed"),' + ROWS, 1))
    subprocess.run([sys.executable, "-I", "-c", START, base, "pyroot.syscalls.generate"], cwd=base, check=True)
    builder.translate(base)
    builder.compile(base)
    builder.loaders(base, all_machines=True)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    give(folder)
    yield base
    remove(folder)


def pyroot(tree: str, **features: str) -> list[str]:
    """Return the words that start that pyroot with features on."""
    chosen = {name.encode(): text.encode() for name, text in features.items()}
    return [sys.executable, "-IS", "-c", RUN.format(tree=tree, features=chosen)]


def told(output: str) -> list[tuple[str, ...]]:
    """Return name, result and user of each line of the probe."""
    return [tuple(line.split()) for line in output.splitlines()]


@pytest.mark.parametrize("machine", ["-m64", "-m32"])
@pytest.mark.parametrize("way", [{}, {"PYROOT_NO_GATE": "1"}, {"PYROOT_NO_SECCOMP": "1"}], ids=["gate", "stops", "no-filter"])
def test_every_file_looks_owned_by_that_user(tree: str, busybox_root: str, machine: str, way: dict[str, str]) -> None:
    try:
        probe = compile_program([f"{HERE}/owner_probe.c"], "-static", machine, name=f"owner{machine}")
    except BuildError as error:
        pytest.skip(f"gcc {machine} makes no programs here: {str(error)[-80:]}")
    words = ["-r", busybox_root, "-b", f"{os.path.dirname(probe)}:/mnt", f"/mnt/{os.path.basename(probe)}", "/bin"]
    real = helpers.run([*pyroot(tree), *words], environment={**os.environ, **way})
    toy = helpers.run([*pyroot(tree, owner=""), *words], environment={**os.environ, **way})
    assert (real.status, toy.status) == (0, 0), real.stderr + toy.stderr
    assert [user for _name, _result, user in told(real.stdout)].count("4242") == 0
    assert [(name, result) for name, result, _user in told(toy.stdout)] == [(name, result) for name, result, _user in told(real.stdout)]
    # (oldstat has 16 bits for an inode's number)
    assert {user for _name, result, user in told(toy.stdout) if result == "0"} == {"4242"}
    assert len([name for name, result, _user in told(toy.stdout) if result == "0"]) >= 3 * 7
    assert told(toy.stdout)[-1] == ("missing", "-1", "0")


NO, GONE = "Operation not permitted", "No such file or directory"
MAKE = """cd /tmp
mkdir made made/below /tmp/made/below/more; echo $?
cd made; mkdir here ../here below/../there /proc/self/cwd/link; echo $?
ln -s /tmp/made way; mkdir way/x /tmp/../tmp/made/y; echo $?
mkdir /tmp/madetoo /tmp/other; echo $?
touch file; rmdir below 2>/dev/null; ls
"""


@pytest.mark.parametrize("way", [{}, {"PYROOT_NO_SECCOMP": "1"}], ids=["filter", "no-filter"])
def test_no_directory_is_made_below_a_given_one(tree: str, busybox_root: str, way: dict[str, str]) -> None:
    """By whatever name: absolute, relative, by way of links, of ``..`` and of /proc."""
    root = directory_for_user()
    shutil.copytree(busybox_root, f"{root}/r", symlinks=True, ignore=shutil.ignore_patterns(".pyroot"))
    shutil.rmtree(f"{root}/r/tmp")
    os.mkdir(f"{root}/r/tmp")
    script(f"{root}/r/make", MAKE)
    give(root)
    try:
        found = helpers.run([*pyroot(tree, no_mkdir="/tmp/made"), "-r", f"{root}/r", "-b", "/proc", "/bin/sh", "/make"],
                            environment={**os.environ, **way})
        assert found.stdout == "1\n1\n1\n0\nfile\nway\n"
        errors = [line.rsplit(": ", 1)[-1] for line in found.stderr.splitlines()]
        # (a walk that fails says so first)
        assert errors == [NO, GONE, NO, GONE, NO, NO, NO], found.stderr
        assert sorted(os.listdir(f"{root}/r/tmp")) == ["here", "made", "madetoo", "other"]
    finally:
        remove(root)


def test_a_feature_that_nobody_knows_is_an_error(tree: str, busybox_root: str) -> None:
    found = helpers.run([*pyroot(tree, nonsense=""), "-r", busybox_root, "/bin/true"], environment=dict(os.environ))
    assert (found.status, found.stdout) == (125, "")
    assert "nonsense" in found.stderr
