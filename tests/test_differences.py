"""What docs/DIFFERENCES.md says of pyroot, where no other test holds it: each shows both sides of a line, without pyroot and in a guest.

A test that fails because pyroot has become better is no fault of pyroot's: the line goes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.differing import CALLS, ENVIRONMENT, HOST, TRIED, Sides, sides, static_program
from tests.oracle.build import BuildError, compile_program

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["sides"]


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


def test_sa_nocldstop_that_was_set_before_is_not_known(sides: Sides) -> None:
    text = """
signal.signal(17, lambda *_: None)
action = ctypes.create_string_buffer(32)
call(13, 17, None, action, 8)
action[8] = action[8][0] | 1
call(13, 17, action, None, 8)
"""
    text += STOPPED % "os.waitid(os.P_PID, child, os.WSTOPPED)\nprint(signal.sigtimedwait([17], 0.2) is not None)"
    assert sides.python(text) == (["False"], ["True"])


def test_stepped_tracer_waits_in_time_and_has_no_sigchld(sides: Sides) -> None:
    """Its tracer sees a SIGCHLD that it leaves at the default action; pyroot sends none then."""
    program = static_program("stepped_tracer")
    assert sides.run([program]) == (["found 1, late 0, SIGCHLD 1"], ["found 1, late 0, SIGCHLD 0"])


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


# --- mount points -----------------------------------------------------------------------------------------------------------------


def test_fstat_does_not_count_a_mount_point_that_the_host_lacks(sides: Sides) -> None:
    os.mkdir(f"{sides.directory}/there")
    text = "fd = os.open('.', os.O_RDONLY)\nprint(fields(fd)[2], os.stat('.').st_nlink, os.stat(fd).st_nlink)"
    assert sides.python(text, "-b", f"/etc:{sides.directory}/new")[1] == ["3 4 4"]


def test_what_leads_to_a_binding_is_a_mount_point(sides: Sides) -> None:
    text = TRIED + """
print(oct(os.stat("g").st_mode), tried(os.rmdir, "g"), tried(os.rename, "g", "z"), tried(os.rename, "g/b", "z"), tried(os.mkdir, "g/new"))
"""
    words = ["-b", f"/etc:{sides.directory}/g/b/c", "-r", "/", "-w", sides.directory]
    result = sides.run_pyroot([*words, helpers.ordinary_python()[0], "-IS", "-c", CALLS + text])
    assert result == helpers.Result(0, "0o40555 16 16 18 13\n", "")


def test_what_stays_in_every_program_is_not_touched(sides: Sides) -> None:
    text = """
def tried(at):
    kept = [call(9, at, 4096, 3, 0x32, -1, 0), call(11, at, 4096), call(10, at, 4096, 0)]
    return [*kept, call(25, at, 4096, 8192, 1, 0), call(28, at, 4096, 10)]
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
    sources = {"alone": 'void _start(void) { __asm__("mov $60, %eax; mov $7, %edi; syscall"); }\n', "p": "int main(void) { return 0; }\n"}
    options = {"alone": ["-nostdlib", "-static"], "p": ["-Wl,--dynamic-linker=./alone"]}
    for name, text in sources.items():
        Path(f"{sides.directory}/{name}.c").write_text(text, encoding="ascii")
        try:
            content = Path(compile_program([f"{sides.directory}/{name}.c"], *options[name], name=f"differences-{name}")).read_bytes()
        except BuildError as error:
            pytest.skip(str(error))
        Path(f"{sides.directory}/{name}").write_bytes(content if name == "alone" else without_loads(content))
        os.chmod(f"{sides.directory}/{name}", 0o755)
    assert sides.python("print(os.spawnv(os.P_WAIT, 'p', ['p']))") == (["7"], ["-11"])


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


def test_rename_of_the_root_from_outside_takes_its_names_away(sides: Sides, busybox_root: str) -> None:
    top = f"{sides.directory}/top"
    os.mkdir(top)
    os.chmod(top, 0o755)
    shutil.copytree(busybox_root, f"{top}/root", symlinks=True, ignore=shutil.ignore_patterns(".pyroot", "dev", "proc"))
    words = [*helpers.pyroot_command()[0], "-r", f"{top}/root", "-w", "/", "/bin/sh", "-c"]
    script = "test -e /bin/sh && echo there; read line; test -e /bin/sh || echo gone; read line; test -e /bin/sh && echo there"
    process = helpers.start([*words, script], stdin=subprocess.PIPE, environment={**ENVIRONMENT, **helpers.pyroot_command()[1]})
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == b"there\n"
    os.rename(top, f"{top}-moved")
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"gone\n"
    os.rename(f"{top}-moved", top)
    output, _errors = process.communicate(b"\n", timeout=helpers.TIME_LIMIT)
    assert output == b"there\n"
