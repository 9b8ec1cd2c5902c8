"""What docs/DIFFERENCES.md says of pyroot, where no other test holds it: each test shows both sides of a row, without pyroot and in a guest.

A test that fails because pyroot has become better is no fault of pyroot's: the row goes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = ["-r", "/", "-w", "/"]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}
#: Calls by their numbers, as programs make them that have another C library; memory that 32-bit calls reach.
CALLS = """
import ctypes, mmap, os, signal, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
def call(*words):
    result = libc.syscall(*[ctypes.c_long(word) if isinstance(word, int) else word for word in words])
    return -ctypes.get_errno() if result == -1 else result
def low(size, rights=3):
    return libc.mmap(None, ctypes.c_size_t(size), rights, 0x62, -1, ctypes.c_long(0))
def int80(number, b=0, c=0, d=0):
    code = bytes.fromhex("53b8") + struct.pack("<I", number) + b"\\xbb" + struct.pack("<I", b)
    code += b"\\xb9" + struct.pack("<I", c) + b"\\xba" + struct.pack("<I", d) + bytes.fromhex("cd805bc3")
    place = low(4096, 7)
    ctypes.memmove(place, code, len(code))
    return ctypes.CFUNCTYPE(ctypes.c_int)(place)()
def fields(fd):
    room = ctypes.create_string_buffer(256)
    assert call(5, fd, room) == 0
    return struct.unpack_from("<QQQ", room)
"""


class Sides:
    """Run a text of Python, or a script, without pyroot and in a guest that has the host's root."""

    def __init__(self, run_pyroot: Callable[..., helpers.Result], directory: str) -> None:
        self.run_pyroot, self.directory = run_pyroot, directory

    def run(self, words: list[str], options: tuple[str, ...] = (), **environment: str) -> tuple[list[str], list[str]]:
        """Return the lines of both, the guest's behind."""
        native = helpers.run(words, environment={**ENVIRONMENT, **environment}, cwd=self.directory)
        guest = self.run_pyroot([*options, "-r", "/", "-w", self.directory, *words], environment={**ENVIRONMENT, **environment})
        assert (native.stderr, guest.stderr) == ("", "")
        return native.stdout.splitlines(), guest.stdout.splitlines()

    def python(self, text: str, *options: str, **environment: str) -> tuple[list[str], list[str]]:
        """Run Python in the directory of the test."""
        return self.run([helpers.ordinary_python()[0], "-IS", "-c", CALLS + text], options, **environment)

    def shell(self, text: str, *options: str) -> tuple[list[str], list[str]]:
        """Run a script there."""
        return self.run(["/bin/sh", "-c", text], options)


@pytest.fixture
def sides(run_pyroot: Callable[..., helpers.Result], guest_directory: str) -> Sides:
    """Give both sides a directory that they may write to."""
    return Sides(run_pyroot, guest_directory)


# --- programs ---------------------------------------------------------------------------------------------------------------------


def test_program_that_may_not_be_read_is_not_run(sides: Sides) -> None:
    assert sides.shell("cp /bin/true p; chmod 111 p; ./p 2>/dev/null; echo $?; rm -f p") == (["0"], ["126"])


def test_program_that_runs_may_be_written(sides: Sides) -> None:
    script = "cp /bin/sleep p; ./p 5 & while ! grep -q '^./p' -a /proc/$!/cmdline; do :; done; (: >>p) 2>/dev/null; echo $?; kill $!; rm p"
    assert sides.shell(script) == (["2"], ["0"])


# --- tracers ----------------------------------------------------------------------------------------------------------------------


def test_command_is_no_tracee_of_its_parent(sides: Sides) -> None:
    assert sides.python("print(call(101, 0, 0, 0, 0))") == (["0"], ["-1"])


STOPPED = """
signal.pthread_sigmask(signal.SIG_BLOCK, [17])
child = os.fork()
if child == 0:
    call(101, 0, 0, 0, 0)
    os.kill(os.getpid(), 10)
    os._exit(0)
%s
os.kill(child, 9)
"""
TOLD = "print(found.si_code < 0, found.si_pid == child, found.si_status)\n"


def test_sigchld_of_a_stop_has_another_code(sides: Sides) -> None:
    text = "signal.signal(17, lambda *_: None)\n" + STOPPED % "found = signal.sigwaitinfo([17])\n" + TOLD
    assert sides.python(text) == (["False True 10"], ["True True 10"])


def test_sigchld_that_is_blocked_and_not_caught_is_lost_before_the_first_wait(sides: Sides) -> None:
    text = STOPPED % "print(signal.sigtimedwait([17], 0.2) is not None)"
    assert sides.python(text) == (["True"], ["False"])
    text = STOPPED % "os.waitid(os.P_PID, child, os.WSTOPPED)\nfound = signal.sigwaitinfo([17])\n" + TOLD
    assert sides.python(text) == (["False True 10"], ["True True 10"])


def test_sa_nocldstop_that_was_set_before_is_not_known(sides: Sides) -> None:
    text = 'call(13, 17, struct.pack("<QQQQ", 0, 1, 0, 0), None, 8)\n'
    text += STOPPED % "os.waitid(os.P_PID, child, os.WSTOPPED)\nprint(signal.sigtimedwait([17], 0.2) is not None)"
    assert sides.python(text) == (["False"], ["True"])


# --- i386 -------------------------------------------------------------------------------------------------------------------------


def test_uselib_is_not_there(run_pyroot: Callable[..., helpers.Result]) -> None:
    text = CALLS + "print(int80(20) == os.getpid(), int80(86, low(4096)))"
    assert run_pyroot([*HOST, helpers.ordinary_python()[0], "-IS", "-c", text]).stdout == "True -38\n"


def test_readdir_does_not_list_what_the_root_lacks(sides: Sides) -> None:
    os.mkdir(f"{sides.directory}/there")
    text = """
room = low(4096)
ctypes.memmove(room, b".\\0", 2)
fd = int80(5, room, 0)
names = []
while int80(89, fd, room, 1) == 1:
    size = struct.unpack("<H", ctypes.string_at(room + 8, 2))[0]
    names.append(ctypes.string_at(room + 10, size).decode())
print(sorted(set(names) - {".", ".."}), sorted(os.listdir(".")))
"""
    found = sides.python(text, "-b", f"/etc:{sides.directory}/new")
    assert found == (["['there'] ['there']"], ["['there'] ['new', 'there']"])


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
print(fields(fd)[0] == own, call(8, fd, 0, 2) > 0)
"""
    assert sides.python(text) == (["True", "True False"], ["True", "False True"])


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
mounts = {line.split()[4]: line.split()[0] for line in open("/proc/self/mountinfo")}
print(number, number in mounts.values(), number == mounts.get(os.path.abspath("bound")), os.path.abspath("bound") in mounts)
"""
    native, guest = sides.python(text, "-b", f"{sides.directory}:{sides.directory}/bound")
    assert native[0].split()[0] == guest[0].split()[0]
    assert guest[0].split()[2:] == ["False", "True"]


# --- mount points -----------------------------------------------------------------------------------------------------------------


def test_fstat_does_not_count_a_mount_point_that_the_host_lacks(sides: Sides) -> None:
    os.mkdir(f"{sides.directory}/there")
    text = "fd = os.open('.', os.O_RDONLY)\nprint(fields(fd)[2], os.stat('.').st_nlink, os.stat(fd).st_nlink)"
    assert sides.python(text, "-b", f"/etc:{sides.directory}/new")[1] == ["3 4 4"]


def test_what_leads_to_a_binding_is_a_mount_point(sides: Sides) -> None:
    text = """
def tried(what, *words):
    try:
        what(*words)
    except OSError as error:
        return error.errno
    return 0
print(oct(os.stat("g").st_mode), tried(os.rmdir, "g"), tried(os.rename, "g", "z"), tried(os.rename, "g/b", "z"), tried(os.mkdir, "g/new"))
"""
    words = ["-b", f"/etc:{sides.directory}/g/b/c", "-r", "/", "-w", sides.directory]
    assert sides.run_pyroot([*words, helpers.ordinary_python()[0], "-IS", "-c", CALLS + text]) == helpers.Result(0, "0o40555 16 16 18 13\n", "")


def test_what_stays_in_every_program_is_not_touched(sides: Sides) -> None:
    text = """
def tried(at):
    return [call(9, at, 4096, 3, 0x32, -1, 0), call(11, at, 4096), call(10, at, 4096, 0), call(25, at, 4096, 8192, 1, 0), call(28, at, 4096, 10)]
print(tried(0x567000100000), tried(0x567001000000))
"""
    native, guest = sides.python(text)
    assert native[0].startswith(f"[{0x567000100000}, 0, ")
    assert guest == ["[-1, -1, -1, -1, -1] [-1, -1, -1, -1, -1]"]


@pytest.mark.parametrize("way", ["gate", "filter of its own"])
def test_bound_file_in_a_directory_that_a_guest_has_closed(sides: Sides, way: str) -> None:
    """Calls that do not follow links cannot be made where the guest has a filter, through which pyroot must not go."""
    os.mkdir(f"{sides.directory}/closed")
    Path(f"{sides.directory}/closed/file").write_text("text\n", encoding="ascii")
    if os.geteuid() == 0:
        for name in ("closed", "closed/file"):
            os.chown(f"{sides.directory}/{name}", helpers.NOBODY, helpers.NOBODY)
    text = f"""
import stat
program = struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000)
room = ctypes.create_string_buffer(program)
given = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", 1, ctypes.addressof(room)))
libc.prctl(38, 1, 0, 0, 0)
{'assert libc.prctl(22, 2, given) == 0' if way != 'gate' else ''}
os.chmod("closed", 0)
buffer = ctypes.create_string_buffer(256)
print(call(6, b"bound", buffer), stat.filemode(struct.unpack_from("<I", buffer, 24)[0])[0])
os.chmod("closed", 0o755)
"""
    words = ["-b", f"{sides.directory}/closed/file:{sides.directory}/bound", "-r", "/", "-w", sides.directory]
    result = sides.run_pyroot([*words, helpers.ordinary_python()[0], "-IS", "-c", CALLS + text])
    assert result == helpers.Result(0, "0 -\n" if way == "gate" else "0 l\n", "")


# --- programs of other users, filters, what is refused --------------------------------------------------------------------------------


@pytest.mark.root
def test_set_user_id_program_has_no_rights(sides: Sides) -> None:
    shutil.copy(shutil.which("id") or "", f"{sides.directory}/id")
    os.chmod(f"{sides.directory}/id", 0o4755)
    native, guest = sides.shell("./id -u")
    if native != ["0"]:
        pytest.skip("no set-user-ID programs here")
    assert guest == [str(helpers.ordinary_user.uid)]


LONG = """
def insn(code, yes, no, k):
    return struct.pack("<HBBI", code, yes, no, k)
length = int(sys.argv[1])
program = insn(0x20, 0, 0, 0) + insn(0x15, 0, 1, 157) + insn(6, 0, 0, 0)
program += insn(0x15, 0, 0, 100000) * (length - 4) + insn(6, 0, 0, 0x7FFF0000)
room = ctypes.create_string_buffer(program)
given = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", length, ctypes.addressof(room)))
libc.prctl(38, 1, 0, 0, 0)
child = os.fork()
if child == 0:
    assert call(317, 1, 0, given) == 0
    os.execv(sys.argv[2], ["probe"])
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0)
"""


@pytest.mark.parametrize("length", [3000, 4090])
def test_filter_with_no_room_for_the_loader(sides: Sides, length: int) -> None:
    """It kills who calls prctl(2), as the loader does and the program does not."""
    program = static_program("environment_probe")
    words = [helpers.ordinary_python()[0], "-IS", "-c", CALLS + LONG, str(length), program]
    native = helpers.run(words, environment=ENVIRONMENT).stdout
    guest = sides.run_pyroot([*HOST, *words], environment=ENVIRONMENT).stdout
    assert native.endswith("True\n")
    assert guest.endswith("True\n" if length < 4000 else "False\n")


def static_program(name: str) -> str:
    """Compile a program of tests/programs."""
    try:
        return compile_program([f"{PROGRAMS}/{name}.c"], "-static", name=name)
    except BuildError as error:
        pytest.skip(str(error))


def refusing(sides: Sides, rules: list[str], text: str, **environment: str) -> list[list[str]]:
    """Run Python under a filter that refuses calls: without pyroot, and in a guest."""
    refuse = static_program("refuse")
    python = [helpers.ordinary_python()[0], "-IS", "-c", CALLS + text]
    found = []
    for words in ([], [*helpers.pyroot_command()[0], "-r", "/", "-w", sides.directory]):
        result = helpers.run([refuse, *rules, "--", *words, *python], cwd=sides.directory,
                             environment={**ENVIRONMENT, **helpers.pyroot_command()[1], **environment})
        assert result.stderr == ""
        found.append(result.stdout.splitlines())
    return found


def test_refused_call_is_answered_without_a_filter(sides: Sides) -> None:
    """getcwd(2), which pyroot answers before a filter around it is asked."""
    text = "room = ctypes.create_string_buffer(200)\nprint(call(79, room, 200) > 0)"
    assert refusing(sides, ["79:1"], text) == [["False"], ["False"]]
    assert refusing(sides, ["79:1"], text, PYROOT_NO_SECCOMP="1") == [["False"], ["True"]]


MESSAGE = """
import socket
one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
part = ctypes.create_string_buffer(b"x", 1)
vector = ctypes.create_string_buffer(struct.pack("<QQ", ctypes.addressof(part), 1))
message = ctypes.create_string_buffer(struct.pack("<QIxxxxQQQQQIxxxx", 0, 0, ctypes.addressof(vector), 1, 0, 0, 0, 0))
print(call(307, one.fileno(), message, 1, 0))
"""
DESCRIPTOR = "fd = os.open('/proc/self/status', os.O_RDONLY)\nprint(call(%d, fd, ctypes.create_string_buffer(300)))"
SOCKETCALL = """
import socket
room = low(4096)
address = struct.pack("<H", 1) + b"x\\0"
ctypes.memmove(room + 64, address, 4)
ctypes.memmove(room, struct.pack("<III", socket.socket(socket.AF_UNIX).detach(), room + 64, 4), 12)
print(int80(102, 2, room))
"""


@pytest.mark.parametrize(("rule", "text", "native"), [
    ("46:1", MESSAGE, "1"), ("4:1", DESCRIPTOR % 5, "0"), ("137:1", DESCRIPTOR % 138, "0"), ("i361:1", SOCKETCALL, "0"),
], ids=["sendmmsg", "fstat", "fstatfs", "socketcall"])
def test_call_that_is_made_as_another_is_refused_with_it(sides: Sides, rule: str, text: str, native: str) -> None:
    without, guest = refusing(sides, [rule], "os.path.exists('x') and os.unlink('x')\n" + text)
    assert (without, guest) == ([native], ["-1"])


def test_fstat_of_a_text_where_filters_are_refused(sides: Sides) -> None:
    text = "fd = os.open('/proc/self/status', os.O_RDONLY)\nprint(fields(fd)[0] == os.stat('/proc').st_dev)"
    assert refusing(sides, ["0,0=-1:0"], text) == [["True"], ["True"]]
    assert refusing(sides, ["317:1"], text) == [["True"], ["False"]]


def test_auxv_where_only_the_kernel_could_change_it(sides: Sides) -> None:
    text = """
libc.getauxval.restype = ctypes.c_ulong
words = struct.unpack("<100Q", open("/proc/self/auxv", "rb").read(800).ljust(800, b"\\0"))
print(dict(zip(words[::2], words[1::2]))[9] == libc.getauxval(9))
"""
    assert refusing(sides, ["157,0=35:1"], text) == [["True"], ["False"]]


def test_program_open_for_writing_runs_where_leases_are_refused(sides: Sides) -> None:
    text = """
import shutil
shutil.copy("/bin/true", "p")
file = open("p", "ab")
child = os.fork()
if child == 0:
    try:
        os.execv("p", ["p"])
    except OSError as error:
        os._exit(error.errno)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert refusing(sides, ["0,0=-1:0"], text) == [["26"], ["26"]]
    assert refusing(sides, ["72,1=1024:1"], text) == [["26"], ["0"]]


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
        text = f"p = {sides.directory + '/bound'!r}\nprint([p in open(f'/proc/{{pid}}/mounts').read() for pid in ('self', {process.pid})])"
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


# --- programs that the loader does not take -----------------------------------------------------------------------------------------


def without_loads(program: bytes) -> bytes:
    """Take the segments out of an ELF file of 64 bits, and leave its interpreter."""
    content = bytearray(program)
    start, count = int.from_bytes(content[32:40], "little"), int.from_bytes(content[56:58], "little")
    for at in range(start, start + 56 * count, 56):
        if content[at:at + 4] == b"\1\0\0\0":
            content[at:at + 4] = bytes(4)
    return bytes(content)


def test_program_without_a_segment_but_with_an_interpreter(sides: Sides) -> None:
    Path(f"{sides.directory}/p").write_bytes(without_loads(Path(os.path.realpath("/bin/true")).read_bytes()))
    os.chmod(f"{sides.directory}/p", 0o755)
    assert sides.python("print(os.spawnv(os.P_WAIT, 'p', ['p']) == -11)")[1] == ["True"]


def test_32_bit_program_that_reaches_the_vdso_of_the_loader(sides: Sides) -> None:
    source = f"{sides.directory}/large.c"
    Path(source).write_text("int main(void) { return 7; }\n", encoding="ascii")
    try:
        content = bytearray(Path(compile_program([source], "-m32", "-static", "-no-pie", "-fno-pie", name="large")).read_bytes())
    except BuildError as error:
        pytest.skip(f"no 32-bit compiler (Debian: gcc-multilib): {error}")
    start, count = int.from_bytes(content[28:32], "little"), int.from_bytes(content[44:46], "little")
    last = [at for at in range(start, start + 32 * count, 32) if content[at:at + 4] == b"\1\0\0\0"][-1]
    address = int.from_bytes(content[last + 8:last + 12], "little")
    content[last + 20:last + 24] = (0xF7FC0000 - address).to_bytes(4, "little")
    Path(f"{sides.directory}/p").write_bytes(content)
    os.chmod(f"{sides.directory}/p", 0o755)
    # (chance puts the vdso somewhere in a mebibyte)
    native, guest = sides.python("print(*[os.spawnv(os.P_WAIT, 'p', ['p']) for _ in range(20)])")
    assert set(native[0].split()) == {"7"}
    assert "-11" in guest[0].split()


# --- changes from outside ------------------------------------------------------------------------------------------------------------


def test_rename_from_outside_leaves_a_binding_behind(sides: Sides) -> None:
    os.makedirs(f"{sides.directory}/a/b")
    os.makedirs(f"{sides.directory}/host/bound")
    words = [*helpers.pyroot_command()[0], "-b", f"{sides.directory}/host:{sides.directory}/a/b", "-r", "/", "-w", sides.directory]
    script = "ls a/b; read line; ls c/b; echo; ls -d a/b 2>/dev/null || echo gone; read line; ls a/b"
    process = helpers.start([*words, "/bin/sh", "-c", script], stdin=subprocess.PIPE,
                            environment={**ENVIRONMENT, **helpers.pyroot_command()[1]})  # fmt: skip
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == b"bound\n"
    os.rename(f"{sides.directory}/a", f"{sides.directory}/c")
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert [process.stdout.readline() for _ in range(2)] == [b"\n", b"gone\n"]
    os.makedirs(f"{sides.directory}/a/b")
    output, _errors = process.communicate(b"\n", timeout=helpers.TIME_LIMIT)
    assert output == b"bound\n"
