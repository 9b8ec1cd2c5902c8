"""Places that are hard to name: removed directories above removed directories, roots that are closed, mounts seen twice.

Programs are those of the oracle's interpreter; where the suite is root each also runs in a real chroot, and both must answer alike.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.twins import Twins, put_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result


@pytest.fixture
def ground(run_pyroot: Callable[..., Result]) -> Iterator[Twins]:
    """Make a root where one host directory is seen at two places, with the interpreter."""
    top = tempfile.mkdtemp(prefix="pyroot-removed-")
    for name in ("root/proc", "root/one/in", "root/two", "root/top", "root/shut/in", "host/inner"):
        os.makedirs(f"{top}/{name}")
    put_programs(f"{top}/root", {"ops": "ops"})
    for directory, _names, files in os.walk(top):
        os.chmod(directory, 0o755)
        for path in (directory, *(f"{directory}/{name}" for name in files)):
            os.chown(path, helpers.ordinary_user.uid, -1)
    yield Twins(top, f"{top}/root", run_pyroot, [
        (f"{top}/host", "/one"), (f"{top}/host", "/two"), (f"{top}/root/top", "/one/inner"), ("/proc", "/proc"),
    ])
    for path in (f"{top}/root", f"{top}/root/shut"):
        if os.path.exists(path):
            os.chmod(path, 0o755)
    shutil.rmtree(top)


GONE = ('mkdir "/top/a" 0755', 'mkdir "/top/a/b" 0755', 'mkdir "/top/a/b/c" 0755', 'chdir "/top/a/b/c"', 'rmdir "/top/a/b/c"',
        'rmdir "/top/a/b"')


def test_parent_of_a_removed_directory_can_be_named_but_not_made(ground: Twins) -> None:
    """Each of these once wrote outside of a buffer of the supervisor."""
    calls = [f'{call} "{path}"{rest}' for path in ("..", "../", ".././", "../..", "../../..", "./..", ".", "", "/", "../x")
             for call, rest in (("rmdir", ""), ("unlink", ""), ("mkdir", " 0755"), ("stat", " >int"), ("open", " 0x41 0644"))]
    assert len(ground.answers(*GONE, *calls)) == len(GONE) + len(calls)
    lines = ground.answers(*GONE, 'rmdir "/top/a"', *calls, 'chdir ".."', "getcwd >text:200 200", 'chdir "../.."', "getcwd >text:200 200")
    assert lines[-3] == "getcwd = -2"
    assert lines[-1] == 'getcwd = 5 "/top\\x00"'


def test_removed_directories_are_climbed_one_by_one(ground: Twins) -> None:
    lines = ground.answers(*GONE, 'rmdir "/top/a"', '=9 open "." 0x10000 0', 'chdir "/"', 'stat "/proc/self/fd/3/../../.." >stat',
                           'stat "/top" >stat', 'openat %9 "../../.." 0x10000 0', "fchdir 4", "getcwd >text:200 200")
    assert lines[-5].replace("stat", "") == lines[-4].replace("stat", "")
    assert lines[-1] == 'getcwd = 5 "/top\\x00"'


@pytest.mark.parametrize("flag", ["0x8", "0x10"])
def test_scope_of_a_removed_directory_is_searched_like_any(ground: Twins, flag: str) -> None:
    paths = (".", "..", "./..", "/", "x", "./x", "../x")
    names = [f'openat2 %9 "{path}" longs:{how}:0:{flag} 24' for path in paths for how in ("0", "0x802")]
    made = ('mkdir "/top/s" 0755', '=9 open "/top/s" 0x10000 0', 'rmdir "/top/s"')
    before = ground.answers(*made, *names)
    after = ground.answers(*made, "fchmod %9 0600", *names)
    assert before[3] == "openat2 = 4"
    assert after[4] == "openat2 = -13"


def test_root_as_a_name_needs_no_search(ground: Twins) -> None:
    pairs = [('"/"', '"/x"'), ('"/"', '"x"'), ('"/"', '"/"'), ('"/one/in"', '"/"'), ('"x"', '"/"'), ('"/."', '"/"')]
    calls = [f"renameat2 -100 {old} -100 {new} {flags}" for old, new in pairs for flags in (0, 1, 2, 3)]
    calls += [f"link {old} {new}" for old, new in pairs]
    ground.answers(*calls)
    lines = ground.answers('chmod "/" 0600', *calls, 'chmod "/" 0755')
    assert lines[1:5] == ["renameat2 = -13"] * 3 + ["renameat2 = -22"]
    assert lines[9] == "renameat2 = -16"
    lines = ground.answers('chdir "/top"', 'chmod "/" 0600', *calls, 'chmod "/" 0755')
    assert lines[6] == "renameat2 = -16"


def test_names_below_a_closed_root_are_made_from_a_descriptor(ground: Twins) -> None:
    calls = ('mkdirat %9 "a//" 0755', 'mkdirat %9 "./b" 0755', 'openat %9 "c//" 0x41 0644', 'openat2 %9 "/d//" longs:0x41:0:0x10 24',
             'openat2 %9 "/d" longs:0x41:0644:0x10 24', 'symlinkat "x" %9 "./e"', 'unlinkat %9 "a///" 0x200')
    lines = ground.answers('=9 open "/top" 0x10000 0', 'chmod "/" 0600', *calls, 'chmod "/" 0755')
    assert [line.rpartition(" ")[2] for line in lines[2:-1]] == ["0", "0", "-21", "-21", "4", "0", "0"]


def test_same_directory_by_two_names_is_renamed_to_itself(ground: Twins) -> None:
    paths = ("/one/inner", "/two/inner", "/proc/self/root/two/inner", "/one/../proc/self/cwd/one/inner", "/top", "/one/inner/../inner")
    for old in paths:
        lines = ground.answers(*(f'renameat2 -100 "{old}" -100 "{new}" {flags}' for new in paths for flags in (0, 2)))
        assert lines[2 * paths.index(old)] == "renameat2 = 0"


def test_mount_point_is_busy_by_each_of_its_names(ground: Twins) -> None:
    lines = ground.answers('rmdir "/two/inner"', 'rmdir "/one/inner"', 'mkdir "/top/x" 0755', 'rmdir "/two/inner"', 'rmdir "/top"')
    assert lines[0] == "rmdir = -16"


@pytest.fixture
def above(ground: Twins) -> Twins:
    """Let a mount point that the host lacks lie in a directory that is seen at two places."""
    ground.bindings = [*ground.bindings[:2], (f"{ground.root}/top", "/one/inner/new"), ("/proc", "/proc")]
    return ground


def test_directory_with_a_mount_point_is_not_empty_by_any_name(above: Twins) -> None:
    lines = above.answers(
        'rmdir "/two/inner"', 'unlinkat -100 "/two/inner/" 0x200', 'mkdir "/two/x" 0755', 'rename "/two/x" "/two/inner"',
        'rename "/one/x" "/one/inner"', 'unlink "/two/inner"', 'open "/two/f" 0x41 0644', 'rename "/two/f" "/two/inner"', 'rmdir "/two/x"',
        'renameat2 -100 "/two/x" -100 "/two/inner" 1', 'rmdir "/one/inner/new"', 'rmdir "/two/inner/.."', 'stat "/one/inner/new" >stat',
    )
    assert lines[:6] == ["rmdir = -39", "unlinkat = -39", "mkdir = 0", "rename = -39", "rename = -39", "unlink = -21"]


LOOK = ('stat "/one/inner/new" >stat', 'stat "/one/moved/new/." >stat', 'stat "/two/inner" >int', 'rmdir "/two/moved"',
        'rmdir "/one/inner"')


@pytest.mark.parametrize("move", [
    'rename "/two/inner" "/two/moved"', 'rename "/one/inner" "/one/moved"', 'rename "/two/inner" "/two/x/moved"',
    'renameat2 -100 "/two/inner" -100 "/two/x" 2', 'renameat2 -100 "/two/x" -100 "/two/inner" 2', 'rename "/two/nothing" "/two/moved"',
])
def test_mount_point_goes_along_when_its_directory_is_moved_by_another_name(above: Twins, move: str) -> None:
    above.answers(
        'mkdir "/two/x" 0755', 'chdir "/one/inner/new"', move, "getcwd >text:99 99", *LOOK, 'stat "/one/x/new/." >stat',
        'stat "/one/x/moved/new" >stat', 'rmdir "/two/x"', 'rename "/one/moved" "/one/inner"', *LOOK, 'rename "/one/x" "/one/moved"', *LOOK,
        "getcwd >text:99 99",
    )


@pytest.mark.parametrize(("move", "back"), [
    ('rename "/host/inner" "/moved"', 'rename "/moved" "/host/inner"'),
    ('rename "/host/inner" "/top/x"', 'rename "/top/x" "/one/again"'),
    ('renameat2 -100 "/host/inner" -100 "/top" 2', 'renameat2 -100 "/top" -100 "/host/inner" 2'),
    ('renameat2 -100 "/two" -100 "/host/inner" 2', 'rename "/two" "/host/deep/inner"'),
])
def test_mount_point_that_leaves_its_binding_is_lost_until_it_comes_back(ground: Twins, move: str, back: str) -> None:
    """What is bound at /one shows itself in the root, too, from where a directory can be moved out of it."""
    for name in ("inner/new", "deep"):
        os.makedirs(f"{ground.root}/host/{name}")
    for name in ("host", "host/inner", "host/inner/new", "host/deep"):
        os.chown(f"{ground.root}/{name}", helpers.ordinary_user.uid, -1)
    with open(f"{ground.top}/host/file", "w", encoding="ascii"):
        pass
    os.mkdir(f"{ground.top}/host/more")
    ground.bindings = [(f"{ground.root}/host", "/one"), (f"{ground.top}/host", "/one/inner/new"),
                       (f"{ground.root}/shut", "/one/inner/new/more"), ("/proc", "/proc")]
    look = ("/one/inner/new/file", "/one/inner/new", "/moved/new/file", "/moved/new", "/top/new/file", "/top/x/new", "/one/again/new/file",
            "/one/inner/new/more/in", "/one/deep/inner/new/more/in", "/two/new/more", "/one/inner", "/host/inner/new")
    calls = [line for path in look for line in (f'stat "{path}" >int', f'lstat "{path}" >stat', f'rmdir "{path}"')]
    calls += ['mkdir "/one/inner" 0755', 'rmdir "/host/inner"']
    ground.answers('stat "/one/inner/new/file" >stat', *calls, move, *calls, back, *calls, 'rename "/one/inner" "/one/last"', *calls)


@pytest.mark.parametrize("place", ["/one", "/two"])
@pytest.mark.parametrize("way", ['fchdir %9', 'chdir "/proc/self/fd/4"', 'chdir "/proc/self/fd/4/."'])
def test_removed_directory_that_is_worked_in_knows_its_place(ground: Twins, place: str, way: str) -> None:
    """The other place was used last before; the one to come to is that of the descriptor."""
    other = "/two" if place == "/one" else "/one"
    lines = ground.answers(
        f'mkdir "{place}/d" 0755', f'mkdir "{place}/d/sub" 0755', f'=8 open "{other}/d" 0x10000 0', f'=9 open "{place}/d/sub" 0x10000 0',
        f'chdir "{other}/d"', f'rmdir "{place}/d/sub"', way, '=7 open ".." 0x10000 0', 'readlink "/proc/self/fd/5" >text:99 99',
        f'linkat %7 "" -100 "{place}/new" 0x1000', f'linkat %7 "" -100 "{other}/new" 0x1000', 'chdir ".."', "getcwd >text:99 99",
        'chdir ".."', "getcwd >text:99 99",
    )
    assert f'"{place}/d"' in lines[8]


def test_lost_mount_is_nowhere_but_goes_on(ground: Twins) -> None:
    """Texts of its places are those of the kernel, which tell nothing; ".." ends at its top."""
    os.makedirs(f"{ground.root}/host/inner/new")
    for name in ("host", "host/inner", "host/inner/new"):
        os.chown(f"{ground.root}/{name}", helpers.ordinary_user.uid, -1)
    os.mkdir(f"{ground.top}/host/more")
    os.chown(f"{ground.top}/host/more", helpers.ordinary_user.uid, -1)
    ground.bindings = [(f"{ground.root}/host", "/one"), (f"{ground.top}/host", "/one/inner/new"), ("/proc", "/proc")]
    look = ["getcwd >text:99 99", 'readlink "/proc/self/cwd" >text:99 99', 'stat "." >stat', 'stat ".." >stat', 'stat "../.." >stat',
            'stat "../more" >stat', 'openat2 -100 "../more" longs:0x200000:0:8 24', 'mkdir "x" 0755', 'stat "/proc/self/cwd/x" >int',
            'rmdir "x"', 'readlink "/proc/self/fd/3" >text:99 99', 'stat "more/.." >stat']
    lines = ground.answers(
        'chdir "/one/inner/new"', '=9 open "more" 0x10000 0', 'rename "/host/inner" "/moved"', *look, 'chdir "more"', *look,
        'chdir ".."', *look, 'chdir ".."', 'chdir "/"', 'rename "/moved" "/host/inner"', "fchdir %9", *look,
    )
    assert lines[3] == 'getcwd = 15 "(unreachable)/\\x00"'


CALLS = (
    'stat "{}" >stat', 'lstat "{}" >stat', 'readlink "{}" >text:99 99', '=9 open "{}" 0x20800 0', "close %9", '=9 open "{}" 0x220000 0',
    "close %9", '=9 openat2 -100 "{}" longs:0x20800:0:4 24', "close %9", 'llistxattr "{}" >names:9 9', 'lsetxattr "{}" "user.x" "v" 1 0',
    'lgetxattr "{}" "user.x" >data:9 9', 'lchown "{}" -1 -1', 'fchmodat2 -100 "{}" 0755 0x100', 'utimensat -100 "{}" longs:5:0:5:0 0x100',
    'statx -100 "{}" 0x100 0x7ff >statx', 'faccessat2 -100 "{}" 4 0x100', 'linkat -100 "{}" -100 "/x" 0', 'lstat "{}/" >stat',
    'name_to_handle_at -100 "{}" >handle >int 0', 'execveat -100 "{}" [] [] 0x100', 'readlink "{}/" >text:99 99', 'unlink "{}"',
    'rename "{}" "/two/y"', 'open "{}" 0xc1 0644', 'truncate "{}" 0', 'access "{}" 4',
)


@pytest.mark.parametrize("environment", [{}, {"PYROOT_NO_GATE": "1"}, {"PYROOT_NO_SECCOMP": "1"}], ids=["gate", "no-gate", "no-seccomp"])
@pytest.mark.parametrize("libc", ["", "i386"])
@pytest.mark.parametrize("closed", ["/one/d", "/one/d/e"])
def test_bound_file_whose_way_is_closed_is_a_file_without_following(
    ground: Twins, closed: str, libc: str, environment: dict[str, str]
) -> None:
    """A guest closes a directory above its host side: a descriptor of the file is named by a link."""
    put_programs(ground.root, {"ops": "ops"}, libc)
    os.makedirs(f"{ground.top}/host/d/e")
    for path in (f"{ground.top}/host/d/e/f", f"{ground.root}/two/f"):
        with open(path, "w", encoding="ascii") as file:
            file.write("text")
    for path in ("d", "d/e", "d/e/f"):
        os.chown(f"{ground.top}/host/{path}", helpers.ordinary_user.uid, -1)
    ground.environment = environment
    ground.bindings = [(f"{ground.top}/host", "/one"), (f"{ground.top}/host/d/e/f", "/two/f"), ("/proc", "/proc")]
    calls = [call.format(path) for path in ("/two/f", "/proc/self/cwd/two/f", "two/f") for call in CALLS]
    lines = ground.answers(f'chmod "{closed}" 0444', *calls, f'chmod "{closed}" 0755', *calls)
    assert "readlink = -22" in lines


@pytest.mark.parametrize("name", ["/two/" + "L" * 256, "/nothing/x", "/two/x/", "/two/file/x"])
def test_new_name_of_a_mount_point_is_looked_up_first(above: Twins, name: str) -> None:
    above.answers('open "/two/file" 0x41 0644', *(f'renameat2 -100 "/one/inner/new" -100 "{name}" {flags}' for flags in (0, 1, 2)))


def test_descriptor_in_a_shared_table_is_known_by_whoever_made_it(ground: Twins) -> None:
    """The child opens (CLONE_FILES), its parent's number for it tells the place all the same."""
    look = 'chdir "/proc/\\P/fd/4/.."', "getcwd >text:99 99", 'readlink "/proc/\\P/fd/4" >text:99 99'
    for one, two in (("/one", "/top/new"), ("/top/new", "/one")):
        ground.bindings = [(f"{ground.top}/host", "/one"), (f"{ground.top}/host", "/top/new"), ("/proc", "/proc")]
        lines = ground.answers(f'=8 open "{one}" 0x200000 0', "clone 0x400 4", f'=9 open "{two}" 0x200000 0', *look)
        assert lines[-2].endswith(f'"{two}"')


def test_descriptor_of_open_tree_knows_the_place_that_it_was_opened_by(ground: Twins) -> None:
    lines = ground.answers('=9 open_tree -100 "/two" 0', 'chdir "/proc/self/fd/3"', "getcwd >text:200 200", "fchdir %9",
                           "getcwd >text:200 200", 'openat %9 ".." 0x10000 0', "fchdir 4", "getcwd >text:200 200")
    assert [line for line in lines if line.startswith("getcwd")] == ['getcwd = 5 "/two\\x00"'] * 2 + ['getcwd = 2 "/\\x00"']


def test_top_of_a_binding_is_one_behind_links_of_proc_too(ground: Twins) -> None:
    names = ("fd/3", "fd/4", "fd/5", "cwd", "../thread-self/fd/3")
    lines = ground.answers('=1 open "/one" 0x10000 0', '=2 open "/one/inner" 0x210000 0', '=3 open "/two/inner" 0x210000 0', 'chdir "/two"',
                           *(f'statx -100 "/proc/self/{name}" {flags} 0x7ff >statx' for name in names for flags in ("0x800", "0x100")))
    assert [" mount " in line for line in lines[4:]] == [True, False, True, False, False, False, True, False, True, False]


@pytest.fixture
def inner(ground: Twins) -> Twins:
    """Bind a directory of the root itself, so that guests may close the way to it, or remove it."""
    ground.bindings.append((f"{ground.root}/shut/in", "/in"))
    return ground


def test_binding_whose_way_is_closed_stays_open(inner: Twins) -> None:
    """Also for names that begin in it: a mount needs no way to what it shows."""
    calls = ('open "." 0 0', 'stat "x" >stat', 'mkdir "made" 0755', 'openat %9 "./made/.." 0x10000 0', 'stat "/in/made" >stat')
    lines = inner.answers('=9 open "/in" 0x10000 0', 'chdir "/in"', 'chmod "/shut" 0600', *calls, 'rmdir "made"', 'chmod "/shut" 0755')
    assert lines[3:7] == ["open = 4", "stat = -2", "mkdir = 0", "openat = 5"]


def test_names_leave_no_binding_whose_way_is_closed(inner: Twins) -> None:
    """The kernel compares the mounts of both names; a single name is one of the working directory's mount."""
    pairs = [("file", "../top/w"), ("file", "/top/w"), ("./file", "../top/w"), ("/in/file", "/top/w"), ("none", "../top/w"), ("file", "m")]
    names = [f'linkat -100 "{old}" -100 "{new}" {flag}' for flag in ("0", "0x400") for old, new in pairs]
    names += [f'{call} "{old}" "{new}"' for call in ("link", "rename") for old, new in pairs]
    lines = inner.answers('open "/shut/in/file" 0x41 0644', 'chdir "/in"', 'chmod "/shut" 0600', *names, 'chmod "/shut" 0755')
    assert [line.rpartition(" ")[2] for line in lines[3:-1]] == [
        *("-18", "-18", "-18", "-18", "-2", "0"), *(*["-18"] * 4, "-2", "-17") * 2, *["-18"] * 5, "0"]


@pytest.mark.parametrize("path", ["none", "./none", "ops", "shown/none", "shown/ops"])
def test_program_is_found_from_a_directory_whose_way_is_closed(ground: Twins, path: str) -> None:
    """By a path that the kernel would find as it is, too."""
    os.mkdir(f"{ground.root}/shut/in/shown")
    for directory in ("shut/in", "shut/in/shown"):
        shutil.copy2(f"{ground.root}/ops", f"{ground.root}/{directory}/ops")
    for directory, names, files in os.walk(f"{ground.root}/shut/in"):
        for name in (*names, *files):
            os.chown(f"{directory}/{name}", helpers.ordinary_user.uid, -1)
    lines = ground.answers('=9 open "/shut/in" 0x10000 0', 'chmod "/shut" 0600', "fchdir %9",
                           f'execveat %9 "{path}" ["x" "none"] NULL 0x100', f'execve "{path}" ["x" "none"] NULL', 'chmod "/shut" 0755')
    if "none" in path:
        assert lines[3:5] == ["execveat = -2", "execve = -2"]


def test_binding_whose_own_directory_was_removed_is_still_a_place(inner: Twins) -> None:
    lines = inner.answers('rmdir "/shut/in"', '=9 open "/in" 0x210000 0', 'newfstatat %9 "../in" >stat 0', 'newfstatat %9 "../top" >stat 0',
                          "fchdir %9", "getcwd >text:200 200", 'stat "../top" >stat', 'open "new" 0x41 0644')
    assert lines[0] == "rmdir = 0"
    assert lines[2].startswith("newfstatat = 0")
    assert lines[5] == "getcwd = -2"


@pytest.mark.parametrize("environment", [{}, {"PYROOT_NO_GATE": "1"}, {"PYROOT_NO_SECCOMP": "1"}], ids=["gate", "no-gate", "no-seccomp"])
def test_mount_point_is_no_link_when_its_own_directory_is_removed(inner: Twins, environment: dict[str, str]) -> None:
    inner.environment = environment
    look = [f'{call} "{path}"{rest}' for path in ("/in", "/one", "/proc", "/one/inner") for call, rest in (
        ("readlink", " >text:99 99"), ("readlink", " >text:10 1"), ("readlink", " >text:10 0"), ("lstat", " >int"),
        ("readlink", " NULL 5"))]
    inner.answers(*look, 'rmdir "/shut/in"', *look)


@pytest.mark.parametrize("first", ["/shut/in", "/in"])
def test_duplicate_knows_the_place_of_its_original(inner: Twins, first: str) -> None:
    """Also when the original is closed, and another descriptor shows the same directory at another place."""
    second = "/in" if first == "/shut/in" else "/shut/in"
    lines = inner.answers(f'=1 open "{first}" 0x210000 0', f'=2 open "{second}" 0x210000 0', "fcntl %2 0 20",
                          'readlink "/proc/self/fd/20" >text:9 9', "fcntl %1 0 30", "close %1", 'readlink "/proc/self/fd/30" >text:9 9')
    assert [line.split()[3] for line in lines if line.startswith("readlink")] == [f'"{second}"', f'"{first}"']


def test_mount_point_is_listed_by_a_directory_that_may_only_be_read(ground: Twins) -> None:
    ground.bindings.append((f"{ground.top}/host", "/top/more"))
    lines = ground.answers('=9 open "/top" 0x10000 0', "fchmod %9 0600", "list %9 4096", "fchmod %9 0755")
    assert '"more:4"' in lines[2]


def test_program_that_is_being_written_is_busy_before_its_arguments_are_read(ground: Twins) -> None:
    lines = ground.answers('=9 open "/top/x" 0x41 0755', 'execve "/top/x" HOLE NULL', 'execveat %9 "" HOLE NULL 0x1000', "close %9",
                           'execve "/top/x" HOLE NULL')
    assert [line.split()[2] for line in lines[1:3]] == ["-26", "-26"]
