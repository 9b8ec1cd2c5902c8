"""Paths at the edges of a view: ".." to the machine's root, the machine's own mounts, the kernel's caches, closed roots."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.rootfs_fixtures import directory_for_user, give, remove
from tests.twins import Twins, put_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

PROBE = Path(__file__).parent / "programs" / "edges_probe.c"
WAYS = {"gate": {}, "no-gate": {"PYROOT_NO_GATE": "1"}, "no-seccomp": {"PYROOT_NO_SECCOMP": "1"}}


@pytest.fixture(scope="module")
def probe() -> str:
    """Return the probe, or skip."""
    try:
        return compile_program([str(PROBE)], "-static", name="edges_probe")
    except BuildError as error:
        pytest.skip(str(error))


@pytest.fixture
def place() -> Iterator[str]:
    """Return an empty directory of the ordinary user."""
    made = directory_for_user()
    yield made
    remove(made)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", ["paths", "ended"])
def test_edges_are_in_the_default_root_where_they_are_without_pyroot(
    probe: str, place: str, run_pyroot: Callable[..., Result], way: str, what: str
) -> None:
    """Without -r every answer is that of the machine: ".." of its root, RESOLVE_NO_XDEV, RESOLVE_CACHED, closed directories."""
    for name in ("real", "other"):
        os.mkdir(f"{place}/{name}")
    give(place)
    real = helpers.run([probe, what], cwd=f"{place}/real")
    other = run_pyroot([probe, what], cwd=f"{place}/other", environment={"PATH": "/usr/bin:/bin", **WAYS[way]})
    assert real.status == other.status == 0, other
    assert len(real.stdout.splitlines()) > 200
    different = [pair for pair in zip(real.stdout.splitlines(), other.stdout.splitlines(), strict=True) if pair[0] != pair[1]]
    assert not different, different[:10]


@pytest.mark.parametrize("words", [[], ["-r", "/"], ["-R", "/"], ["-b", "/etc:/mnt"], ["-b", "/:/mnt"]], ids=" ".join)
def test_parent_of_the_machines_root_is_the_root(run_pyroot: Callable[..., Result], words: list[str]) -> None:
    script = """for p in /.. /usr/.. /usr/share/../../ /mnt/.. /../..
do test -d $p && test -d $p/usr && test $p -ef / || echo $p
done
cd /usr; ls .. >/dev/null"""
    result = run_pyroot([*words, "-w", "/", "sh", "-c", script])
    assert (result.stdout, result.stderr, result.status) == ("", "", 0)


@pytest.fixture
def closed(place: str, run_pyroot: Callable[..., Result]) -> Twins:
    """Make a root that the guest may close, with a binding and a directory that goes away."""
    for name in ("root/proc", "root/a/b", "root/a/m/n", "root/tmp", "root/bound", "host/in"):
        os.makedirs(f"{place}/top/{name}")
    put_programs(f"{place}/top/root", {"ops": "ops"})
    give(place)
    bindings = [(f"{place}/top/host", "/bound"), (f"{place}/top/host", "/a/m/n"), ("/proc", "/proc")]
    return Twins(f"{place}/top", f"{place}/top/root", run_pyroot, bindings)


def test_closed_root_is_not_looked_up_where_the_kernel_does_not(closed: Twins) -> None:
    paths = ('"x"', '"/x"', '"/"', '"a"', '".."', '"."')
    starts = ("77", "%9", "-100")
    calls = [f"renameat {one} {old} {two} {new}" for one in starts for two in starts for old in paths for new in paths]
    calls += [f"openat2 {one} {path} longs:{flags}:0:{resolve} 24" for one in ("%9", "-100", "77") for path in paths
              for flags in ("1", "2", "0x200001") for resolve in ("0", "8", "9", "16", "17")]
    lines = closed.answers('=9 open "/a" 0x210000 0', 'chmod "/" 0', *calls, 'chmod "/" 0755', 'chdir "/"', 'chmod "/." 0755')
    assert lines[2] == "renameat = -9"
    assert "openat2 = -21" in lines


def test_mount_points_below_a_closed_root_are_busy(closed: Twins) -> None:
    """The working directory, or a descriptor, leads there, and no path from the root does."""
    names = ('"m"', '"m/n"', '"m/n/"', '"b"', '"m/x"', '"m/n/in"', '"./m"', '"../a/m/n"')
    calls = [call.format(start, name) for start in ("-100", "%9") for name in names for call in (
        "mkdirat {} {} 0755", "symlinkat \"x\" {} {}", "mknodat {} {} 0100644 0", "unlinkat {} {} 0", "unlinkat {} {} 0x200")]
    opened = ['chmod "../." 0755', 'chdir "/"', 'chmod "/." 0755']
    lines = closed.answers('=9 open "/a" 0x210000 0', 'chmod "/" 0', "fchdir %9", *calls, *opened)
    assert {"mkdirat = -17", "unlinkat = -16"} <= set(lines)


@pytest.mark.parametrize("old", ["/proc/..", "/proc/.", "/proc", "/bound/..", "/bound/.", "/a/..", "/", "/a/."])
def test_names_in_different_mounts_are_not_renamed_whatever_they_are(closed: Twins, old: str) -> None:
    pairs = ((old, "/"), ("/", old), (old, "/a/.."), (old, "/bound/x"), (old, "/x"))
    lines = closed.answers(*(f'renameat2 -100 "{one}" -100 "{two}" {flags}' for one, two in pairs for flags in ("0", "1", "2")))
    assert "renameat2 = -18" in lines


def test_links_to_a_removed_directory_are_refused_as_to_any_other(closed: Twins) -> None:
    lines = closed.answers(
        'mkdir "/tmp/p" 0755', 'mkdir "/tmp/p/q" 0755', '=9 open "/tmp/p/q" 0x210000 0', 'rmdir "/tmp/p/q"', 'rmdir "/tmp/p"',
        *(f'linkat %9 {path} -100 "{new}" {flags}' for path in ('".."', '"."', '""') for new in ("/tmp/new", "/bound/new", "/a")
          for flags in ("0", "0x1000", "0x1400")),
    )
    assert "linkat = -1" in lines[5:]


def test_root_is_told_as_the_top_of_a_mount(closed: Twins) -> None:
    """By path, through "..", by descriptor; at first by the supervisor, then inside the guest."""
    lines = closed.answers('=9 open "/" 0x210000 0', 'chdir "/a"', *[
        f"statx {start} {flags} 0x7ff >statx" for _ in range(3) for start in (
            '-100 "/"', '-100 ".."', '-100 "/a/.."', '%9 ""', '%9 "."', '-100 "/a"', '-100 "/bound"', '-100 "/bound/.."', '-100 "/../."',
            '-100 "/bound/in/../"', '-100 "/bound/in/../."',
        ) for flags in ("0x1000", "0")
    ])
    assert sum(" mount" in line for line in lines[2:]) == 3 * (10 + 9)


@pytest.mark.root
def test_directory_with_a_mount_of_the_machines_is_busy_before_it_is_not_empty(place: str, run_pyroot: Callable[..., Result]) -> None:
    """Where a mount point of pyroot's lies in what is moved, replaced or removed, pyroot answers for the kernel."""
    for name in ("root/a", "root/b/in", "root/c/in", "root/d", "host"):
        os.makedirs(f"{place}/top/{name}")
    put_programs(f"{place}/top/root", {"ops": "ops"})
    give(place)
    ground = Twins(f"{place}/top", f"{place}/top/root", run_pyroot, [(f"{place}/top/host", guest) for guest in ("/b/in", "/c/in")],
                   mounts=["/a"])
    names = ("/a", "/b", "/b/", "/c", "/d", "/b/in")
    lines = ground.answers(*(f'renameat2 -100 "{old}" -100 "{new}" {flags}' for flags in (0, 1) for old in names for new in names),
                           *(f'rmdir "{name}"' for name in names if name != "/d"))
    assert lines[1] == "renameat2 = -16"


def test_program_that_was_removed_has_its_name_all_the_same(place: str, run_pyroot: Callable[..., Result]) -> None:
    """Linux 6.14 takes the name of the task from the file where a descriptor names it."""
    os.makedirs(f"{place}/top/root")
    put_programs(f"{place}/top/root", {"ops": "ops", "gone": "ops", "kept (deleted)": "ops"})
    give(place)
    ground = Twins(f"{place}/top", f"{place}/top/root", run_pyroot, [])
    lines = ground.answers(*(line for name in ("gone", "kept (deleted)") for line in (
        f'=9 open "/{name}" 0x200000 0', *(['unlink "/gone"'] if name == "gone" else []), "clone 0 1", 'execveat %9 "" ["x"] [] 0x1000')))
    assert [line.partition(" comm=")[2].partition(" envc")[0] for line in lines if " comm=" in line][0] in ("gone", "3")


def test_machines_mounts_in_root_and_binding_stop_a_walk_that_may_not_cross(place: str, run_pyroot: Callable[..., Result]) -> None:
    missing = [path for path in ("/dev/shm", "/dev/pts") if not os.path.ismount(path)]
    if missing:
        pytest.skip(f"nothing is mounted on {missing[0]} of this machine")
    os.makedirs(f"{place}/root")
    put_programs(f"{place}/root", {"ops": "ops"})
    give(place)
    program = [f'openat2 -100 "{path}" longs:0x200000:0:{resolve} 24' for path in (
        "/dev/shm", "/dev/shm/..", "/dev/shm/.", "/dev/pts/ptmx", "/dev/null") for resolve in ("1", "9", "17")]
    program += ['=9 open "/dev" 0x210000 0', *(f'openat2 %9 "{path}" longs:0x200000:0:{resolve} 24' for path in (
        "shm", "shm/..", "pts/.", "null", "../dev/null", "pts/../null") for resolve in ("1", "9"))]
    result = run_pyroot(["-r", f"{place}/root", "-b", "/dev", "-w", "/", "/ops", "--program"], text="\n".join(program).encode(),
                        environment={"PATH": "/"})
    found = [line.partition(" = ")[2] for line in result.stdout.splitlines()]
    for number, operation in enumerate(program):
        if "null" in operation and "%9" in operation and ".." not in operation:
            assert int(found[number]) > 2, operation
        elif "openat2" in operation:
            assert found[number] == "-18", operation


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("program", ["ops", "ops32"])
def test_directories_that_bindings_bring_are_links_of_the_one_that_holds_them(
    place: str, run_pyroot: Callable[..., Result], way: str, program: str
) -> None:
    """By path, by name, through "..", by descriptor, by every layout of i386; files, and names that the root has, are none."""
    for name in ("root/a/there", "root/b", "root/proc", "host/in"):
        os.makedirs(f"{place}/top/{name}")
    Path(f"{place}/top/host/file").write_text("", encoding="ascii")
    put_programs(f"{place}/top/root", {"ops": "ops"}, "" if program == "ops" else "i386")
    give(place)
    pairs = [(f"{place}/top/host", guest) for guest in ("/a/new", "/a/other", "/a/there", "/new")]
    ground = Twins(f"{place}/top", f"{place}/top/root", run_pyroot, [*pairs, ("/proc", "/proc")], environment=WAYS[way])
    paths = ("/", "/a", "/a/", "/a/.", "/a/new/..", "/b", "/a/there", "/b/../a", ".", "..", "a", "../a/new/..")
    calls = [line for _ in range(3) for path in paths for line in (
        f'stat "{path}" >stat', f'lstat "{path}" >stat', f'newfstatat -100 "{path}" >stat 0x100', f'statx -100 "{path}" 0 0x7ff >statx',
        f'newfstatat %9 "{path}" >stat 0')]
    calls += [f'stat "/proc/self/{link}" >stat' for link in ("fd/3", "fd/3/", "fd/3/.", "cwd", "cwd/.", "root", "root/a")]
    calls += ['chmod "/a" 0', 'stat "/a" >stat', 'newfstatat %9 "" >stat 0x1000', 'chmod "/a" 0755']
    calls += [line for _ in range(3) for line in ('newfstatat %9 "" >stat 0x1000', 'statx %9 "" 0x1000 0x7ff >statx')]
    lines = ground.answers('=9 open "/a" 0x210000 0', *calls, 'chdir "/a"', *calls, 'mkdir "/a/more" 0755', *calls)
    assert " nlink=5 " in lines[1 + 5]
    assert " nlink=6 " in lines[-1]


def test_directory_that_was_closed_before_the_session_counts_what_bindings_bring(place: str, run_pyroot: Callable[..., Result]) -> None:
    """The supervisor may not look for the name there; a count of two says that there is none."""
    for name in ("root/shut", "host"):
        os.makedirs(f"{place}/top/{name}")
    put_programs(f"{place}/top/root", {"ops": "ops"})
    give(place)
    os.chmod(f"{place}/top/root/shut", 0)
    ground = Twins(f"{place}/top", f"{place}/top/root", run_pyroot, [(f"{place}/top/host", "/shut/new")])
    lines = ground.answers('stat "/shut" >stat', 'chmod "/shut" 0755', 'stat "/shut" >stat', 'chmod "/shut" 0', 'stat "/shut" >stat')
    assert [" nlink=3 " in line for line in lines] == [True, False, True, False, True]


@pytest.mark.parametrize(("mode", "links"), [(0, 3), (0o444, 4), (0o111, 4)])
def test_closed_directory_with_others_in_it_counts_what_bindings_bring_if_it_may_be_read(
    place: str, run_pyroot: Callable[..., Result], mode: int, links: int
) -> None:
    """The name might be one of those that are counted already, and nobody can look if it may not (DIFFERENCES.md)."""
    for name in ("root/shut/there", "host"):
        os.makedirs(f"{place}/top/{name}")
    put_programs(f"{place}/top/root", {"ops": "ops"})
    give(place)
    os.chmod(f"{place}/top/root/shut", mode)
    ground = Twins(f"{place}/top", f"{place}/top/root", run_pyroot, [(f"{place}/top/host", "/shut/new")])
    [line] = ground.under_pyroot(['stat "/shut" >stat'])
    os.chmod(f"{place}/top/root/shut", 0o755)
    assert f" nlink={links} " in line


def test_descriptor_of_another_process_with_the_same_table_is_not_linked_to_a_binding(closed: Twins) -> None:
    """In one mount the kernel says ENOENT, as it compares credentials that nobody else sees; across two pyroot says EXDEV before."""
    program = ['open "/a/f" 0xc2 0644', "clone 0x400 1", 'open "/a/f" 0x200000 0', 'linkat 4 "" -100 "/a/new" 0x1000',
               'linkat 4 "" -100 "/bound/new" 0x1000']
    if os.geteuid() == 0:
        subprocess.run(["cp", "-a", closed.top, closed.top + ".real"], check=True)
    ends = [line.partition(" ")[2] for line in closed.under_pyroot(program)[-2:]]
    assert ends == ["linkat = -2", "linkat = -18"]
    if os.geteuid() == 0:
        assert [line.partition(" ")[2] for line in closed.really(program)[-2:]] == ["linkat = -2", "linkat = -2"]
