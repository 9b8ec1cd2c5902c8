"""Limits and full disks: those of the guest are its own, and those that pyroot was started with end in one line at worst."""

from __future__ import annotations

import resource
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle import sides
from tests.probe_root import probe_root, wide_probe
from tests.rootfs_fixtures import directory_for_user, remove

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

__all__ = ["probe_root"]

HOST = ["-r", "/", "-w", "/"]


def limited(kind: int, soft: int, hard: int) -> Callable[[], None]:
    """Return what sets a limit between fork and exec."""

    def prepare() -> None:
        helpers.drop_to_ordinary_user()
        resource.setrlimit(kind, (soft, hard))

    return prepare


@pytest.mark.parametrize("size", [0, 1000, 100000])
def test_a_limit_on_the_size_of_files(probe_root: str, run_pyroot: Callable[..., Result], size: int) -> None:
    """Pyroot's own memory files are not the guest's matter; the guest keeps the limit."""
    prepare = limited(resource.RLIMIT_FSIZE, size, size)
    result = run_pyroot(["-r", probe_root, "-w", "/", "/stress", "serial", "10", "exec"], prepare=prepare)
    assert result == helpers.Result(0, "serial 10 wrong 0\n", "")
    script = "ulimit -S -f; ulimit -H -f"
    assert run_pyroot([*HOST, "/bin/sh", "-c", script], prepare=prepare) == helpers.run(["/bin/sh", "-c", script], prepare=prepare)


def test_the_guest_has_the_soft_limits_that_pyroot_was_started_with(run_pyroot: Callable[..., Result]) -> None:
    def prepare() -> None:
        helpers.drop_to_ordinary_user()
        for kind, soft in ((resource.RLIMIT_FSIZE, 1 << 20), (resource.RLIMIT_CPU, 50), (resource.RLIMIT_NOFILE, 77)):
            resource.setrlimit(kind, (soft, resource.getrlimit(kind)[1]))

    script = "for kind in f t n; do ulimit -S -$kind; ulimit -H -$kind; done"
    assert run_pyroot([*HOST, "/bin/sh", "-c", script], prepare=prepare) == helpers.run(["/bin/sh", "-c", script], prepare=prepare)


@pytest.mark.parametrize("count", range(5, 25, 2))
def test_pyroot_with_hardly_any_descriptors(probe_root: str, run_pyroot: Callable[..., Result], count: int) -> None:
    """It works, or says in one line that it cannot; it never calls that a fault of its own."""
    words = ["-r", probe_root, "-w", "/", "/stress", "threads", "3", "5"]
    result = run_pyroot(words, prepare=limited(resource.RLIMIT_NOFILE, count, count))
    assert "Traceback" not in result.stderr
    assert "fault" not in result.stderr
    assert result.status == (125 if result.stderr else 0), result
    assert result.stderr == "" or (result.stderr.startswith("pyroot: ") and result.stderr.count("\n") <= 2)
    assert result.status == 0 or count < 20


@pytest.mark.parametrize("limit", ["-u 0", "-t 1", "-s 64", "-f 1", "-v 300000", "-n 6"])
def test_limits_that_a_guest_meets(run_pyroot: Callable[..., Result], limit: str) -> None:
    """Forks, time, stack, files, memory, descriptors: what fails fails as without pyroot."""
    work = "(while :; do :; done); echo $?" if limit.startswith("-t") else (
        "/bin/true; echo $?; f=$(mktemp); head -c 100000 /dev/zero 2>/dev/null >$f; echo $?; "
        "/bin/ls -d /etc; (exec 9<&0) 2>/dev/null; echo $?")
    script = f"ulimit -c 0; ulimit {limit}; {{ {work}; }} 2>/dev/null"
    native = helpers.run(["/bin/sh", "-c", script])
    result = run_pyroot([*HOST, "/bin/sh", "-c", script])
    assert (result.status, result.stdout) == (native.status, native.stdout)


def test_programs_need_hardly_more_address_space(run_pyroot: Callable[..., Result]) -> None:
    """What runs in some address space runs in 1,100 KiB more: the arena and the gate."""
    def command(size: int) -> list[str]:
        return ["/bin/sh", "-c", f"ulimit -v {size}; exec /bin/echo fine"]

    enough, least = 1 << 20, 0
    while enough - least > 16:
        middle = (enough + least) // 2
        if helpers.run(command(middle)).stdout == "fine\n":
            enough = middle
        else:
            least = middle
    assert run_pyroot([*HOST, *command(enough + 1100)]).stdout == "fine\n"


def test_many_threads_with_long_paths(run_pyroot: Callable[..., Result]) -> None:
    """There are few slots for them, and each thread waits in another call with its own: none is told that memory is short."""
    probe = wide_probe("slots_probe", "-m64")
    root = directory_for_user()
    try:
        shutil.copy(probe, f"{root}/probe")
        for count, size in ((60, 3000), (300, 800), (2500, 100)):
            found = run_pyroot(["-r", root, "-w", "/", "/probe", str(count), str(size)])
            assert found == helpers.Result(0, "wrong 0\n", "")
    finally:
        remove(root)


def test_a_device_that_is_full(run_pyroot: Callable[..., Result]) -> None:
    script = "echo text >/dev/full; echo $?"
    assert run_pyroot([*HOST, "/bin/sh", "-c", script]).stdout == helpers.run(["/bin/sh", "-c", script]).stdout


@pytest.mark.root
def test_a_file_system_that_is_full(run_pyroot: Callable[..., Result]) -> None:
    """The guest gets ENOSPC; pyroot, whose TMPDIR is there too, goes on."""
    place = directory_for_user()
    sides.mount("none", place, "tmpfs", 0, "size=64k,nr_inodes=16,mode=1777")
    try:
        script = (f"cd {place}; head -c 200000 /dev/zero >big; echo $?; for i in $(seq 30); do : >f$i || break; done; mkdir d; echo $?; "
                  "cat /etc/hostname >/dev/null; cd /nowhere; echo $?; ls | wc -l; rm -f big f*; echo $?")
        environment = {"PATH": "/usr/bin:/bin", "TMPDIR": place}
        results = [run([*words, "/bin/sh", "-c", script], environment=environment)
                   for run, words in ((helpers.run, []), (run_pyroot, HOST))]
        assert results[1].stdout == results[0].stdout
    finally:
        subprocess.run(["umount", place], check=True)
        remove(place)
