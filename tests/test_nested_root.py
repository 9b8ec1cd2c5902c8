"""chroot(2) inside: errors for those who may not call it, roots of their own for those who may.

Programs are those of the oracle's interpreter.  Guests that may call chroot(2) are the ordinary user with CAP_SYS_CHROOT, which only a
suite that runs as root can give them.  There every program also runs in a real chroot that is the root of its mount namespace, and
both must answer alike.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.twins import ENVIRONMENT, Twins, may_chroot, put_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result


@pytest.fixture
def ground(run_pyroot: Callable[..., Result]) -> Iterator[Twins]:
    """Make a root that holds another one, ``/jail``, with the interpreter in both."""
    top = tempfile.mkdtemp(prefix="pyroot-nested-")
    os.chmod(top, 0o755)
    for name in ("root/jail/bound", "root/jail/sub/deep", "root/jail/proc", "root/jail/lib", "root/proc", "root/other", "host/inner",
                 "root/closed", "root/lib", "root/bare"):
        os.makedirs(f"{top}/{name}")
    put_programs(f"{top}/root", {
        "ops": "ops", "jail/ops": "ops", "jail/dynamic": "dynamic", "jail/lib/ld-musl-x86_64.so.1": "libc", "dynamic": "dynamic",
        "bare/dynamic": "dynamic", "lib/ld-musl-x86_64.so.1": "libc",
    })
    for name, content in (("root/file", "outer"), ("root/jail/file", "inner"), ("host/file", "bound"),
                          ("root/jail/script", "#!/ops from-script\n"), ("root/script", "#!/nowhere\n")):
        with open(f"{top}/{name}", "w") as text:
            text.write(content)
        os.chmod(f"{top}/{name}", 0o755)
    os.symlink("/file", f"{top}/root/jail/link")
    os.symlink("loop", f"{top}/root/loop")
    for directory, _names, files in os.walk(top):
        for path in (directory, *(f"{directory}/{name}" for name in files)):
            os.chown(path, helpers.ordinary_user.uid, -1, follow_symlinks=False)
    os.chmod(f"{top}/root/closed", 0)
    yield Twins(top, f"{top}/root", run_pyroot, [(f"{top}/host", "/jail/bound"), ("/proc", "/proc"), ("/proc", "/jail/proc")])
    os.chmod(f"{top}/root/closed", 0o755)
    shutil.rmtree(top)


@pytest.fixture
def free(ground: Twins, may_chroot: None) -> Twins:
    """Give a ground whose guests may call chroot(2)."""
    return ground


@pytest.fixture
def may(free: Twins) -> Callable[..., list[str]]:
    """Return a function that runs a program as a user who may call chroot(2)."""
    return functools.partial(free.answers, right=True)


def test_ordinary_guest_gets_the_lookups_error_before_eperm(ground: Twins) -> None:
    paths = ('"/jail"', '"/"', '"jail/sub/.."', '"/nowhere"', '"/file"', '"/file/x"', '"/closed"', '"/closed/x"', '"/loop"', '""',
             f'"{"n" * 256}"', f'"{"./" * 2048}"', "NULL", "HOLE", '"/jail/link"')
    assert ground.answers(*(f"chroot {path}" for path in paths)) == [
        f"chroot = -{code}" for code in (1, 1, 1, 2, 20, 20, 13, 13, 40, 2, 36, 36, 14, 14, 20)
    ]


def test_ordinary_guest_cannot_pivot(ground: Twins) -> None:
    assert ground.answers('pivot_root "/nowhere" "/nowhere"', 'pivot_root "/jail" "/jail"') == ["pivot_root = -1"] * 2


def test_whoever_may_gets_the_lookups_errors_too(may: Callable[..., list[str]]) -> None:
    paths = ('"/nowhere"', '"/file"', '"/closed"', '"/loop"', '""', "NULL", f'"{"./" * 2048}"')
    assert may(*(f"chroot {path}" for path in paths)) == [f"chroot = -{code}" for code in (2, 20, 13, 40, 2, 14, 36)]


def test_absolute_paths_links_and_dotdot_stop_at_the_nested_root(may: Callable[..., list[str]]) -> None:
    lines = may(
        'chroot "/jail"', 'chdir "/"', "getcwd >text:100 100", '=1 open "/file" 0 0', "read %1 >data:9 9", '=1 open "../../link" 0 0',
        "read %1 >data:9 9", 'stat "/other" >int', '=1 open "bound/../../../file" 0 0', "read %1 >data:9 9", 'chdir "/sub/deep"',
        "getcwd >text:100 100", 'chdir "../../.."', "getcwd >text:100 100", '=1 open "/bound/file" 0 0', "read %1 >data:9 9",
    )
    assert [line for line in lines if line.startswith("read")] == [
        'read = 5 "inner"', 'read = 5 "inner"', 'read = 5 "inner"', 'read = 5 "bound"',
    ]
    assert [line for line in lines if line.startswith("getcwd")] == [
        'getcwd = 2 "/\\x00"', 'getcwd = 10 "/sub/deep\\x00"', 'getcwd = 2 "/\\x00"',
    ]
    assert "stat = -2" in lines


def test_working_directory_outside_is_unreachable_and_the_way_out(may: Callable[..., list[str]]) -> None:
    """The classic escape works as with the kernel, and ends at pyroot's root."""
    lines = may(
        'chdir "/other"', 'chroot "/jail"', "getcwd >text:100 100", "getcwd >text:5 5", 'readlink "/proc/self/cwd" >text:100 100',
        'readlink "/proc/self/root" >text:100 100', 'stat "../jail" >int', 'chdir "../../.."', "getcwd >text:100 100", 'chroot "."',
        "getcwd >text:100 100", '=1 open "/file" 0 0', "read %1 >data:9 9", 'stat "/.." >int',
    )
    assert 'getcwd = 21 "(unreachable)/other\\x00"' not in lines
    assert lines[2:6] == [
        'getcwd = 20 "(unreachable)/other\\x00"', "getcwd = -34", 'readlink = 6 "/other"', 'readlink = 1 "/"',
    ]
    assert lines[8] == 'getcwd = 15 "(unreachable)/\\x00"'
    assert lines[10] == 'getcwd = 2 "/\\x00"'
    assert lines[12] == 'read = 5 "outer"'


def test_descriptor_outside_leads_out(may: Callable[..., list[str]]) -> None:
    lines = may(
        '=1 open "/" 0x10000 0', 'chroot "/jail"', 'chdir "/"', '=2 openat %1 "file" 0 0', "read %2 >data:9 9", '=2 openat %1 "../.." 0 0',
        'readlink "/proc/self/fd/3" >text:50 50', "fchdir %1", 'chroot "."', '=2 open "/file" 0 0', "read %2 >data:9 9",
    )
    assert lines[4] == lines[10] == 'read = 5 "outer"'


def test_programs_scripts_and_interpreters_are_those_of_the_nested_root(may: Callable[..., list[str]]) -> None:
    lines = may(
        "clone 0 2", 'chroot "/jail"', 'execve "/script" ["zero" "one"] []', "clone 0 2", 'chroot "/jail"', 'execve "/dynamic" ["x"] []',
        "clone 0 3", 'chroot "/jail"', 'chdir "/sub"', 'execve "../ops" ["y"] []', "clone 0 2", 'chroot "/other"', 'execve "/ops" ["x"] []',
    )
    text = "\n".join(lines)
    assert 'argv="/ops""from-script""/script""one" execfn="/script"' in text
    assert text.count("exited 7") == 3
    assert "execve = -2" in text


def test_interpreter_is_looked_up_below_the_root_of_each_process(may: Callable[..., list[str]]) -> None:
    """One after the other, the same program with and without its interpreter."""
    run = 'execve "/dynamic" ["x"] []'
    lines = may(*(["clone 0 1", run, "clone 0 2", 'chroot "/bare"', run] * 2), "clone 0 2", 'chroot "/jail"', run)
    endings = [line.rpartition(" ")[2] for line in lines if line.startswith("clone")]
    assert endings[0] == endings[2] == endings[4] == "7"
    if os.path.exists("/lib/ld-musl-x86_64.so.1"):
        assert lines.count("execve = -2") == 2


def test_root_is_shared_as_clone_says(may: Callable[..., list[str]]) -> None:
    where = 'stat "/file" >int'
    look = ['=1 open "/file" 0 0', "read %1 >data:9 9"]
    lines = may(
        "clone 0 1", 'chroot "/jail"', *look, "clone 0x200 2", "unshare 0x200", 'chroot "/jail"', *look, "clone 0x200 1", 'chroot "/jail"',
        *look, "clone 0x10f00 1", 'chroot "/sub"', where,
    )
    assert [line for line in lines if line.startswith("read")] == ['read = 5 "outer"', 'read = 5 "outer"', 'read = 5 "inner"']
    assert lines[-1] == "stat = -2"


def test_nested_root_follows_renames_and_outlives_its_removal(may: Callable[..., list[str]]) -> None:
    lines = may(
        '=1 open "/" 0x10000 0', 'mkdir "/other/r" 0755', 'chroot "/other/r"', "fchdir %1", 'rename "other/r" "other/s"', 'chdir "/"',
        "getcwd >text:100 100", 'mkdir "/in" 0755', "fchdir %1", 'stat "other/s/in" >int', 'rmdir "other/s/in"', 'rmdir "other/s"',
        'open "/" 0x10000 0', 'mkdir "/in" 0755', 'readlink "/proc/self/root" >text:50 50', 'stat "/.." >int', 'chroot "."',
        "getcwd >text:9 9",
    )
    assert lines[6] == 'getcwd = 2 "/\\x00"'
    assert lines[13] == "mkdir = -2"
    assert lines[-1] == 'getcwd = 2 "/\\x00"'


def test_mount_tables_list_what_lies_below_the_nested_root(free: Twins) -> None:
    """Read by a program of the nested root itself; the real tables have the same mount points."""
    program = ['chroot "/jail"', 'chdir "/"', '=1 open "/proc/self/mountinfo" 0 0', "read %1 >data:4000 4000"]
    subprocess.run(["cp", "-a", free.top, free.top + ".real"], check=True)
    for run in (free.under_pyroot, free.really):
        line = run(program, True)[3]
        points = [row.split(" ")[4] for row in line.partition('"')[2].split("\\x0a") if row.count(" ") > 4]
        assert points[:2] == ["/bound", "/proc"], line
        assert not any(point.startswith(("/jail", "/other")) for point in points)


def test_sockets_are_bound_and_found_below_the_nested_root(may: Callable[..., list[str]]) -> None:
    lines = may(
        'chroot "/jail"', 'chdir "/"', "=6 socket 1 1 0", 'bind %6 un:"/sub/s" 9', "listen %6 1", "getsockname %6 >sa:110 >len:110",
        "=7 socket 1 1 0", 'connect %7 un:"../sub/s" 11', "getpeername %7 >sa:110 >len:110", 'unlink "/sub/s"',
        'connect %7 un:"/jail/sub/s" 14',
    )
    assert lines[3] == "bind = 0"
    assert lines[7] == "connect = 0"
    assert "/sub/s" in lines[5]
    assert "jail" not in lines[8]
    assert lines[10] == "connect = -2"


def test_scoped_walks_know_both_roots(may: Callable[..., list[str]]) -> None:
    """openat2: RESOLVE_IN_ROOT makes its own root, RESOLVE_BENEATH refuses the nested one, RESOLVE_NO_XDEV counts from it."""
    lines = may(
        'chroot "/jail"', 'chdir "/"', '=1 open "/sub" 0x10000 0', 'openat2 %1 "/../deep" longs:0:0:16 24',
        'openat2 %1 "/file" longs:0:0:16 24',
        'openat2 %1 "/" longs:0:0:8 24', 'openat2 -100 "/sub/../../file" longs:0:0:1 24', 'openat2 -100 "/bound" longs:0:0:1 24',
    )
    assert [line.rpartition(" ")[2] for line in lines[4:6]] == ["-2", "-18"]
    assert lines[7].endswith("-18")
    assert int(lines[6].rpartition(" ")[2]) > 0


def test_path_of_a_process_in_another_root(may: Callable[..., list[str]]) -> None:
    """A child in a nested root reads its parent's links as the kernel counts them: from the topmost root."""
    lines = may(
        "clone 0 4", 'chroot "/jail"', 'readlink "/proc/\\P/root" >text:50 50', 'readlink "/proc/\\P/exe" >text:50 50',
        'stat "/proc/\\P/root/other" >int', 'chroot "/jail"', "clone 0 1", 'readlink "/proc/\\P/exe" >text:50 50',
    )
    assert lines[:2] == ["chroot = 0", 'readlink = 1 "/"']


def test_chroot_program_of_busybox(free: Twins) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    shutil.copy(busybox, f"{free.root}/busybox")
    shutil.copy(busybox, f"{free.root}/jail/busybox")
    result = free.run_pyroot(
        [*free.words(), "/busybox", "chroot", "/jail", "/busybox", "sh", "-c", "/busybox cat /file; cd bound/inner && pwd"],
        prepare=may_chroot, environment=ENVIRONMENT,
    )
    assert (result.stdout, result.stderr, result.status) == ("inner/bound/inner\n", "", 0)


def test_right_that_is_given_up_is_gone(free: Twins) -> None:
    """The kernel's word counts: a guest that has dropped the capability gets EPERM."""
    python, environment = helpers.ordinary_python()
    text = (
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "os.chroot('/usr')\n"
        "libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())\n"
        "print(libc.chroot(b'/'), ctypes.get_errno(), libc.chroot(b'/nowhere'), ctypes.get_errno())\n"
    )
    result = free.run_pyroot(["-r", "/", python, "-c", text], prepare=may_chroot, environment=environment)
    assert result.stdout.split() == ["-1", "1", "-1", "2"], result.stderr


@pytest.mark.parametrize("deep", [False, True], ids=["removed", "deep"])
def test_access_below_a_nested_root_that_has_no_name(free: Twins, deep: bool) -> None:
    """It sets capabilities aside, and then the supervisor's links are closed: EACCES, where the kernel finds what is there."""
    part = "d" * 250
    if deep:
        program = [line for _ in range(20) for line in (f'mkdir "{part}" 0777', f'chdir "{part}"')]
        program = ['chdir "/other"', *program, 'mkdir "in" 0777', 'chroot "."', 'access "/in" 0', 'stat "/in" >int']
    else:
        program = ['=1 open "/other" 0x10000 0', 'mkdir "/other/r" 0755', 'chroot "/other/r"', 'unlinkat %1 "r" 0x200', 'access "/" 0',
                   'stat "/" >int']
    subprocess.run(["cp", "-a", free.top, free.top + ".real"], check=True)
    ends = [[line.partition(" ")[2] for line in run(program, True)[-2:]] for run in (free.really, free.under_pyroot)]
    assert (ends[0][0], ends[1][0]) == ("access = 0", "access = -13")
    assert ends[0][1].startswith("stat = 0")
    assert ends[1][1].startswith("stat = 0")


NAMESPACES = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def errno_of(call, *arguments):
    ctypes.set_errno(0)
    call(*arguments)
    return ctypes.get_errno()
mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY)
print([errno_of(libc.setns, *a) for a in ((-1, 0), (900, 0x20000), (0, 0), (mounts, 0), (mounts, 0x20000), (mounts, 0x40000000))])
print([errno_of(libc.unshare, flags) for flags in (0x20000, 1, 0x20001, 0x10020000, 0)])
"""


def test_namespaces_are_refused_in_the_kernels_order(run_pyroot: Callable[..., Result]) -> None:
    """A bad descriptor, another kind of namespace and unknown flags come before the missing right."""
    python, environment = helpers.ordinary_python()
    result = run_pyroot(["-r", "/", python, "-c", NAMESPACES], environment=environment)
    assert result.stdout.splitlines() == ["[9, 9, 22, 1, 1, 22]", "[1, 22, 22, 1, 0]"], result.stderr
