"""What docs/DIFFERENCES.md says of /proc, and of guests under Landlock: both sides of a line, as in test_differences.py."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.differing import CALLS, ENVIRONMENT, HOST, Sides, sides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["sides"]


# --- /proc ------------------------------------------------------------------------------------------------------------------------


def test_descriptors_of_texts_are_copies(sides: Sides) -> None:
    text = """
import select
def tried(what):
    try:
        what()
    except OSError as error:
        return error.errno
    return 0
fd = os.open("/proc/self/status", os.O_RDONLY)
before = os.read(fd, 4096)
open("/proc/self/comm", "w").write("another")
os.lseek(fd, 0, 0)
print("fresh" if os.read(fd, 4096) != before else "copy", call(9, 0, 4096, 1, 2, fd, 0) > 0)
fd = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
print("fresh" if b"another" in os.read(fd, 4096) else "copy")
fd = os.open("/proc/self/mountinfo", os.O_RDONLY)
print(tried(lambda: select.epoll().register(fd)))
"""
    assert sides.python(text) == (["fresh False", "fresh", "0"], ["copy True", "fresh", "1"])


def test_descriptor_of_a_text_whose_process_has_ended(sides: Sides) -> None:
    text = """
child = os.fork()
if child == 0:
    time.sleep(100)
fd = os.open(f"/proc/{child}/status", os.O_RDONLY)
own = os.stat("/proc").st_dev
print(fields(fd)[0] == own)
os.kill(child, 9)
os.waitpid(child, 0)
room = ctypes.create_string_buffer(200)
print(fields(fd)[0] == own, call(8, fd, 0, 2) > 0, call(91, fd, 0o400), call(138, fd, room), struct.unpack_from("<Q", room)[0] == 0x9fa0)
"""
    assert sides.python(text) == (["True", "True False -1 0 True"], ["True", "False True 0 0 False"])


def test_descriptor_of_a_text_in_a_message_for_which_somebody_has_waited(sides: Sides) -> None:
    """Before anybody had opened such a file: nobody tells the filter of the process that waits."""
    text = """
import socket
one, two = socket.socketpair()
child = os.fork()
if child == 0:
    fd = socket.recv_fds(two, 1, 1)[1][0]
    print(fields(fd)[0] == os.stat("/proc").st_dev, flush=True)
    os._exit(0)
time.sleep(0.3)  # (to look at its state would be to open such a file)
socket.send_fds(one, [b"x"], [os.open("/proc/self/status", os.O_RDONLY)])
os.waitpid(child, 0)
"""
    assert sides.python(text) == (["True"], ["False"])


def test_stops_are_context_switches_of_getrusage(sides: Sides) -> None:
    text = """
import resource
before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
for _ in range(1000):
    os.path.exists("nothing") or call(87, b"nothing/x")
print(resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before >= 1000)
"""
    assert sides.python(text) == (["False"], ["True"])


def test_no_new_privs_is_told(sides: Sides) -> None:
    text = """
lines = open("/proc/self/status").read().splitlines()
print([line for line in lines if line.startswith(("NoNewPrivs", "Seccomp:"))], call(157, 39, 0, 0, 0, 0), call(157, 21, 0, 0, 0, 0))
"""
    native, guest = sides.python(text)
    assert guest == ["['NoNewPrivs:\\t1', 'Seccomp:\\t0'] 1 0"]
    assert native in (guest, ["['NoNewPrivs:\\t0', 'Seccomp:\\t0'] 0 0"])


def test_arena_counts_as_memory(sides: Sides) -> None:
    text = """
maps = [line.split() for line in open("/proc/self/maps")]
ranges = [[int(part, 16) for part in line[0].split("-")] for line in maps if line[-1] != "[vsyscall]"]
told = int(open("/proc/self/statm").read().split()[0]) * 4096 - sum(end - start for start, end in ranges)
files = [line for line in maps if len(line) > 5 and line[5].startswith("/")]
print(told >> 20, len(os.listdir("/proc/self/map_files")) - len(files))
"""
    assert sides.python(text) == (["0 0"], ["1 3"])


def test_fdinfo_has_the_host_s_mount_numbers(sides: Sides) -> None:
    os.mkdir(f"{sides.directory}/bound")
    text = """
fd = os.open("bound", os.O_RDONLY)
number = [line.split()[1] for line in open(f"/proc/self/fdinfo/{fd}") if line.startswith("mnt_id")][0]
mounts = {line.split()[4].replace(r"\\040", " "): line.split()[0] for line in open("/proc/self/mountinfo")}
print(number, number in mounts.values(), number == mounts.get(os.path.abspath("bound")), os.path.abspath("bound") in mounts)
"""
    native, guest = sides.python(text, "-b", f"{sides.directory}:{sides.directory}/bound")
    assert native[0].split()[0] == guest[0].split()[0]
    assert guest[0].split()[2:] == ["False", "True"]


# --- /proc of others ---------------------------------------------------------------------------------------------------------------


@pytest.mark.root
def test_texts_of_proc_for_a_guest_of_root_s_that_has_changed_its_uid(sides: Sides) -> None:
    text = """
def looks():
    try:
        return "567000100000" in open("/proc/self/maps").read(), open("/proc/self/mountinfo").read() != ""
    except OSError as error:
        return error.errno
print(looks())
os.setuid(65534)
print("567000100000" in open("/proc/self/maps").read(), looks())
"""
    words = [*HOST, shutil.which("python3", path="/usr/bin") or pytest.skip("no python3"), "-IS", "-c", CALLS + text]
    result = sides.run_pyroot(words, prepare=lambda: None)
    assert (result.stdout, result.stderr) == ("(False, True)\nTrue 13\n", "")


def test_parent_of_fd_of_a_process_that_has_ended(sides: Sides) -> None:
    text = """
child = os.fork()
if child == 0:
    time.sleep(100)
fd = os.open(f"/proc/{child}/fd", os.O_RDONLY)
os.stat("..", dir_fd=fd)
os.kill(child, 9)
os.waitpid(child, 0)
print(call(257, fd, b"..", 0x200000, 0) > 0)
"""
    assert sides.python(text) == (["True"], ["False"])


ENDED = """
import os
child = os.fork()
if child == 0:
    os._exit(0)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
def tried(what):
    try:
        return what()
    except OSError as error:
        return error.errno
def opened(name, flags):
    fd = os.open(f"/proc/{child}/{name}", flags)
    try:
        return tried(lambda: len(os.read(fd, 1)))
    finally:
        os.close(fd)
for name in sorted(os.listdir(f"/proc/{child}")):
    print(name, *(tried(lambda: opened(name, flags)) for flags in (os.O_RDONLY, os.O_RDWR, os.O_DIRECTORY, os.O_PATH)))
"""


def test_files_of_one_that_has_ended_and_nobody_has_waited_for(run_pyroot: Callable[..., helpers.Result]) -> None:
    words = [shutil.which("python3", path="/usr/bin") or pytest.skip("no python3"), "-IS", "-c", ENDED]
    native = helpers.run(words, environment=ENVIRONMENT)
    assert native.status == 0 and "\nstatus 1 " in native.stdout, native
    assert run_pyroot([*HOST, *words]) == native


@contextlib.contextmanager
def outsider(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process of the same user outside of any guest."""
    process = helpers.start(words or ["/bin/sleep", "100"], environment=ENVIRONMENT)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_mount_table_of_a_process_outside_is_the_host_s(sides: Sides) -> None:
    os.mkdir(f"{sides.directory}/bound")
    with outsider() as process:
        text = f"p = {sides.directory + '/bound'!r}.replace(' ', r'\\040')\n"
        text += f"print([p in open(f'/proc/{{pid}}/mounts').read() for pid in ('self', {process.pid})])"
        assert sides.python(text, "-b", f"/etc:{sides.directory}/bound") == (["[False, False]"], ["[True, False]"])


@pytest.mark.skipif(bool(helpers.have("ss")), reason="needs ss (Debian: iproute2)")
def test_names_of_sockets_over_netlink_are_the_host_s(short_directory: str, run_pyroot: Callable[..., helpers.Result]) -> None:
    os.mkdir(f"{short_directory}/d")
    if os.geteuid() == 0:
        os.chown(f"{short_directory}/d", helpers.NOBODY, helpers.NOBODY)
    text = ("import socket, subprocess\ns = socket.socket(socket.AF_UNIX)\ns.bind('/opt/name')\ns.listen()\n"
            "print(subprocess.run(['ss', '-xlH'], capture_output=True, text=True).stdout)")
    words = ["-b", f"{short_directory}/d:/opt", *HOST, helpers.ordinary_python()[0], "-IS", "-c", text]
    listed = run_pyroot(words, environment={**ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath)}).stdout
    assert f" {short_directory}/d/name " in listed
    assert " /opt/name " not in listed


def test_score_of_a_process_outside_is_not_set(sides: Sides) -> None:
    with outsider() as process:
        text = f"file = os.open('/proc/{process.pid}/oom_score_adj', os.O_WRONLY)\n"
        text = f"try:\n    {text}except OSError as error:\n    print(error.errno)\nelse:\n    print(os.write(file, b'500'))"
        assert sides.python(text) == (["3"], ["13"])


# --- Landlock ----------------------------------------------------------------------------------------------------------------------

RULES = """
def under_landlock():
    rules = call(444, ctypes.create_string_buffer(struct.pack("<Q", 2)), 8, 0)
    if rules < 0:
        print("no Landlock")
        sys.exit()
    under = os.open("/", 0x200000)
    assert call(445, rules, 1, ctypes.create_string_buffer(struct.pack("<Qi", 2, under)), 0) == 0
    libc.prctl(38, 1, 0, 0, 0)
    assert call(446, rules, 0) == 0
"""


def landlocked(sides: Sides, text: str) -> tuple[list[str], list[str]]:
    """Run Python that may put itself under Landlock; the rule is on writing to files, below / all may be written."""
    native, guest = sides.python(RULES + text)
    if native == ["no Landlock"]:
        pytest.skip("this kernel has no Landlock")
    return native, guest


def test_texts_of_proc_under_landlock_are_the_host_s(sides: Sides) -> None:
    text = """
def traced():
    return "TracerPid:\\t0\\n" not in open("/proc/self/status").read()
before = traced()
under_landlock()
print(before, traced())
"""
    assert landlocked(sides, text) == (["False False"], ["False True"])


def test_program_by_a_descriptor_that_its_exec_closes_under_landlock(sides: Sides) -> None:
    text = """
fd = os.open("/bin/true", os.O_RDONLY | os.O_CLOEXEC)
def tried():
    child = os.fork()
    if child == 0:
        try:
            os.execve(fd, ["true"], {})
        except OSError as error:
            os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
before = tried()
under_landlock()
print(before, tried())
"""
    assert landlocked(sides, text) == (["0 0"], ["0 13"])


def test_execve_under_landlock_inside_another_pyroot(sides: Sides) -> None:
    text = """
under_landlock()
child = os.fork()
if child == 0:
    try:
        os.execv("/bin/true", ["true"])
    except OSError as error:
        os._exit(error.errno)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert landlocked(sides, text) == (["0"], ["0"])
    python = [helpers.ordinary_python()[0], "-IS", "-c", CALLS + RULES + text]
    inner = [*HOST, *helpers.pyroot_command()[0], *HOST, *python]
    result = sides.run_pyroot(inner, environment={**ENVIRONMENT, "PYROOT_NO_HANDOVER": "1"})
    assert result == helpers.Result(0, "13\n", "")
