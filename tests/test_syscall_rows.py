"""Every row of the table does its work: the raw call meets the guest's files, and never the host's.

For each path argument of each row one file exists only in the guest and one only on the host (under its host path, which the guest
lacks).  If the row were missing the call would not exist (ENOSYS) or would find the host's file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pyroot.syscalls.numbers_x86_64 import NUMBERS
from pyroot.syscalls.table import REVIEWED, ROWS, Row
from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import PROGRAMS
from tests.rootfs_fixtures import directory_for_user, give, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

AT_FDCWD = "i:-100"
CLONE_NEWUSER = 0x10000000
ROW = {row.name: row for row in ROWS}
WITH_PATHS = [row for row in ROWS if row.path >= 0 and row.handler in
              ("path", "stat", "open", "openat2", "open_tree", "readlink", "link", "rename", "chdir", "exec", "privileged", "sockin",
               "statx", "handle")]

# What the arguments are that are neither a path nor its directory; all others are 0.
OTHERS: dict[str, dict[int, str]] = {
    "openat2": {2: "z:24", 3: "i:24"}, "open_tree_attr": {3: "z:32", 4: "i:32"},
    "stat": {1: "z:256"}, "lstat": {1: "z:256"}, "newfstatat": {2: "z:256"}, "statx": {3: "i:0xfff", 4: "z:256"},
    "access": {1: "i:4"}, "faccessat": {2: "i:4"}, "faccessat2": {2: "i:4"},
    "readlink": {1: "o:100", 2: "i:100"}, "readlinkat": {2: "o:100", 3: "i:100"},
    "chmod": {1: "i:0644"}, "fchmodat": {2: "i:0644"}, "fchmodat2": {2: "i:0644"},
    "chown": {1: "i:-1", 2: "i:-1"}, "lchown": {1: "i:-1", 2: "i:-1"}, "fchownat": {2: "i:-1", 3: "i:-1"},
    "statfs": {1: "z:120"}, "file_getattr": {2: "z:24", 3: "i:24"}, "file_setattr": {2: "z:24", 3: "i:24"},
    "setxattr": {1: "s:user.a", 2: "s:v", 3: "i:1"}, "lsetxattr": {1: "s:user.a", 2: "s:v", 3: "i:1"},
    "getxattr": {1: "s:user.b", 2: "z:8", 3: "i:8"}, "lgetxattr": {1: "s:user.b", 2: "z:8", 3: "i:8"},
    "listxattr": {1: "z:99", 2: "i:99"}, "llistxattr": {1: "z:99", 2: "i:99"},
    "removexattr": {1: "s:user.b"}, "lremovexattr": {1: "s:user.b"},
    "setxattrat": {3: "s:user.a", 4: "z:16", 5: "i:16"}, "getxattrat": {3: "s:user.b", 4: "z:16", 5: "i:16"},
    "listxattrat": {3: "z:99", 4: "i:99"}, "removexattrat": {3: "s:user.b"},
    "mknod": {1: "i:0100644"}, "mknodat": {2: "i:0100644"}, "symlink": {0: "s:text"}, "symlinkat": {0: "s:text"},
    "inotify_add_watch": {0: "n:", 2: "i:0xfff"}, "fanotify_mark": {0: "f:", 1: "i:1", 2: "i:0x20"},
    "name_to_handle_at": {2: "z:256", 3: "z:16"},
    "bind": {0: "t:", 2: "i:110"}, "connect": {0: "t:", 2: "i:110"}, "sendto": {0: "u:", 1: "s:x", 2: "i:1", 5: "i:110"},
    "mount": {0: "s:none", 2: "s:tmpfs"}, "quotactl": {0: "i:0x80000100", 3: "z:200"},
}  # fmt: skip
ADDRESSED = {"sendmsg": ("m", {0: "u:"}), "sendmmsg": ("M", {0: "u:", 2: "i:1"})}
# A pathless row: its arguments, and the errno that the guest must get (0: it works).
OUTSIDER = object()
SPECIAL: dict[str, tuple[list[object], int]] = {
    "getdents": (["r:/g", "z:4096", "i:4096"], 0), "getdents64": (["r:/g", "z:4096", "i:4096"], 0),
    "fchdir": (["d:/g"], 0), "getcwd": (["o:100", "i:100"], 0),
    "clone": ([f"i:{CLONE_NEWUSER | 17}"], errno.EPERM),
    "clone3": (["x:" + struct.pack("<11Q", CLONE_NEWUSER, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0).hex(), "i:88"], errno.EPERM),
    "unshare": ([f"i:{CLONE_NEWUSER}"], errno.EPERM),
    "process_vm_readv": ([OUTSIDER, "z:16", "i:0", "z:16"], errno.EPERM),
    "process_vm_writev": ([OUTSIDER, "z:16", "i:0", "z:16"], errno.EPERM),
    "pidfd_getfd": ([OUTSIDER, "i:0"], errno.EPERM),
    "kill": (["S:", "i:9"], errno.EPERM), "tkill": (["S:", "i:9"], errno.EPERM), "tgkill": (["S:", "S:", "i:9"], errno.EPERM),
    "sched_getaffinity": (["i:0", "i:128", "z:128"], 0), "sched_setaffinity": (["i:0", "i:128", "x:" + "ff" * 128], 0),
    "rt_sigaction": (["i:17", "i:0", "z:32", "i:8"], 0), "wait4": (["i:-1", "i:0", "i:1"], errno.ECHILD),
    "waitid": (["i:0", "i:0", "z:128", "i:5"], errno.ECHILD),
    "prctl": (["i:4", "i:0"], 0), "seccomp": (["i:1", "i:8", "z:16"], errno.EBUSY),
    "open_by_handle_at": ([AT_FDCWD, "x:" + struct.pack("<Ii8x", 8, 1).hex()], errno.EPERM),
    "pivot_root": (["s:/g/x", "s:/g/x"], errno.EPERM),
    **{name: (["s:/g/x"], errno.EPERM) for name in ("swapon", "swapoff", "acct")},
}  # fmt: skip
REFUSED = [row for row in ROWS if row.refuse and not row.when and row.name != "ptrace"]
#: These give addresses back; what they give is compared in tests/test_sockets.py, here it counts that they exist.
GIVING = {"accept", "accept4", "getsockname", "getpeername", "recvfrom", "recvmsg", "recvmmsg"}


@contextlib.contextmanager
def made_place() -> Iterator[tuple[str, str]]:
    """Make a root with ``/g/ROW`` and a directory beside it with ``ROW``: (root, directory)."""
    try:
        probe = compile_program([f"{PROGRAMS}/rows_probe.c"], "-static", name="rows-probe")
    except BuildError as error:
        pytest.skip(str(error))
    parent = directory_for_user()
    root, outside = f"{parent}/root", f"{parent}/outside"
    for directory in (root, f"{root}/g", f"{root}/proc", outside):
        os.mkdir(directory)
    shutil.copy(probe, f"{root}/rows")
    for name in ("x", *ROW):
        for directory in (f"{root}/g", outside):
            if name.startswith("exec"):
                shutil.copy(probe, f"{directory}/{name}")
            elif name.startswith("readlink"):
                os.symlink("the text", f"{directory}/{name}")
            elif name not in ("bind", "mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat"):
                open(f"{directory}/{name}", "w", encoding="ascii").close()
    give(parent)
    try:
        yield root, outside
    finally:
        remove(parent)


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[str, str]]:
    """Make the place that pyroot works in."""
    with made_place() as made:
        yield made


def line(row: Row, paths: dict[int, str], label: str) -> str:
    """Write the call of a row with these paths as a line for the probe."""
    words = ["i:0"] * 6
    for position in (row.dirfd, row.dirfd2):
        if position >= 0:
            words[position] = AT_FDCWD
    for position, word in OTHERS.get(row.name, {}).items():
        words[position] = word
    for position, path in paths.items():
        words[position] = ("a:" if row.handler == "sockin" else "s:") + path
    return " ".join([label, str(NUMBERS[row.name]), *words])


def program(row: Row, outside: str) -> list[str]:
    """Return the calls of a row: with the guest's files (label ``guest``), then with the host's in each path argument."""
    places = [row.path] + ([row.path2] if row.path2 >= 0 else [])
    ends = ["", ".new"] if row.path2 >= 0 else [""]
    lines = []
    # the host's files first: with the guest's own the call may change something
    for wrong in places:
        paths = {at: f"{outside if at == wrong else '/g'}/{row.name}{end}" for at, end in zip(places, ends, strict=True)}
        lines.append(line(row, paths, f"host{wrong}"))
    paths = {at: f"/g/{row.name}{end}" for at, end in zip(places, ends, strict=True)}
    return [*lines, line(row, paths, "guest")]


def everything(outside: str, outsider: int) -> list[str]:
    """Return one program with the calls of all rows; a label is ROW.WHICH."""
    lines = [f"{row.name}.{text}" for row in WITH_PATHS for text in program(row, outside)]
    for name, (kind, others) in ADDRESSED.items():
        for which, path in (("guest", f"/g/{name}"), ("host", f"{outside}/{name}")):
            words = [others.get(at, f"{kind}:{path}" if at == 1 else "i:0") for at in range(6)]
            lines.append(" ".join([f"{name}.{which}", str(NUMBERS[name]), *words]))
    lines += [f"{row.name}.it {NUMBERS[row.name]} i:0" for row in REFUSED]
    for name, (given, _) in SPECIAL.items():
        stand_in = f"p:{outsider}" if name == "pidfd_getfd" else f"i:{outsider}"
        lines.append(" ".join([f"{name}.it", str(NUMBERS[name]), *(stand_in if word is OUTSIDER else str(word) for word in given)]))
    for name in sorted(GIVING):
        words = {"getsockname": ["t:", "z:110", "x:6e000000"], "recvmmsg": ["t:", "z:64", "i:1"]}.get(name, ["t:", "z:110", "z:110"])
        lines.append(" ".join([f"{name}.it", str(NUMBERS[name]), *words]))
    return lines


@pytest.fixture(scope="module")
def answers(place: tuple[str, str], pyroot_words: list[str]) -> dict[str, str]:
    """Make all calls under pyroot, and return the answers by label."""
    outsider = helpers.start(["/bin/sleep", "100"])
    try:
        text = "\n".join(everything(place[1], outsider.pid)).encode() + b"\n"
        words = [*pyroot_words, "-r", place[0], "-b", "/proc", "-w", "/", "/rows", "run"]
        result = helpers.run(words, environment=helpers.pyroot_command()[1], text=text)
    finally:
        outsider.kill()
        outsider.communicate()
    assert result.status == 0, result
    return dict(answer.split(" ", 1) for answer in result.stdout.splitlines())


def number_of(answer: str) -> int:
    """Return the errno of an answer, 0 for success."""
    return 0 if answer.startswith("executed") else -int(answer.split()[0])


@pytest.fixture(scope="module")
def unknown_to_this_kernel() -> set[str]:
    """Name the calls of the table that this kernel does not have."""
    return {row.name for row in ROWS if not row.refuse and row.name not in ("clone", "prctl", "execve", "execveat")
            and subprocess.run([sys.executable, "-IS", "-c", ASK, str(NUMBERS[row.name])], check=False).returncode == errno.ENOSYS}


ASK = """import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
result = libc.syscall(int(sys.argv[1]), *[ctypes.c_long(-1)] * 6)
os._exit(ctypes.get_errno() if result == -1 else 0)"""


@pytest.mark.parametrize("row", WITH_PATHS, ids=lambda row: row.name)
def test_a_path_means_the_guest_s_file(row: Row, answers: dict[str, str], unknown_to_this_kernel: set[str]) -> None:
    """The guest's own file is found, the host's is not there."""
    if row.name in unknown_to_this_kernel:
        pytest.skip("this kernel does not have the call")
    mine = {label.partition(".")[2]: number_of(answer) for label, answer in answers.items() if label.partition(".")[0] == row.name}
    assert mine.pop("guest") not in (errno.ENOENT, errno.ENOSYS, errno.EFAULT, errno.EBADF)
    assert set(mine.values()) == {errno.ENOENT}


def secret_lines(outside: str) -> list[str]:
    """Return calls whose path, address or structure lies in memory that the supervisor cannot read."""
    lines = []
    for row in WITH_PATHS:
        for at in [row.path] + ([row.path2] if row.path2 >= 0 else []):
            words = line(row, {at: f"{outside}/{row.name}"}, f"{row.name}.{at}").split(" ")
            words[2 + at] = "k" + words[2 + at]
            if row.path2 >= 0:
                words[2 + row.path + row.path2 - at] = "s:/g/x"
            lines.append(" ".join(words))
    for name, (kind, others) in ADDRESSED.items():
        words = [others.get(at, f"k{kind}:{outside}/{name}" if at == 1 else "i:0") for at in range(6)]
        lines.append(" ".join([f"{name}.1", str(NUMBERS[name]), *words]))
    how = struct.pack("<3Q", os.O_WRONLY | os.O_CREAT, 0o644, 0).hex()
    lines.append(f"openat2.2 {NUMBERS['openat2']} {AT_FDCWD} s:{outside}/made kx:{how} i:24")
    flags = struct.pack("<11Q", CLONE_NEWUSER, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0).hex()
    lines.append(f"clone3.0 {NUMBERS['clone3']} kx:{flags} i:88")
    return lines


def test_memory_that_only_the_kernel_reads_is_never_read(place: tuple[str, str], run_pyroot: Callable[..., Result]) -> None:
    """A path, an address or a structure in memory of memfd_secret(2) gives EFAULT: the kernel must not see what pyroot cannot."""
    root, outside = place
    lines = secret_lines(outside)
    before = tree_of(outside)
    result = run_pyroot(["-r", root, "-b", "/proc", "-w", "/", "/rows", "run"], text="\n".join(lines).encode() + b"\n")
    assert result.status == 0, result
    given = dict(answer.split(" ", 1) for answer in result.stdout.splitlines())
    if "no secret memory" in given.values():
        pytest.skip("this kernel has no memfd_secret(2)")
    assert len(given) == len(lines)
    wrong = {label: answer for label, answer in given.items() if number_of(answer) not in (errno.EFAULT, errno.ENOSYS)}
    assert wrong == {}
    assert tree_of(outside) == before


def tree_of(directory: str) -> list[tuple[str, int, int, int]]:
    """Return what calls could have changed in a directory: names, rights, sizes, times."""
    return sorted((entry.name, info.st_mode, info.st_size, info.st_mtime_ns)
                  for entry in os.scandir(directory) for info in [entry.stat(follow_symlinks=False)])


@pytest.mark.parametrize("name", ADDRESSED)
def test_an_address_means_the_guest_s_socket(name: str, answers: dict[str, str]) -> None:
    assert [number_of(answers[f"{name}.{which}"]) for which in ("guest", "host")] == [errno.ECONNREFUSED, errno.ENOENT]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_refused_calls_are_refused(row: Row, answers: dict[str, str]) -> None:
    assert number_of(answers[f"{row.name}.it"]) == row.refuse


@pytest.mark.parametrize("name", SPECIAL)
def test_calls_without_a_path(name: str, answers: dict[str, str]) -> None:
    """Those around the view of files: refused, or answered in guest terms."""
    assert number_of(answers[f"{name}.it"]) == SPECIAL[name][1]
    assert name != "getcwd" or answers["getcwd.it"].split()[1:] == ["/"]


@pytest.mark.parametrize("name", sorted(GIVING))
def test_calls_that_give_addresses_exist(name: str, answers: dict[str, str]) -> None:
    """On a socket that is not connected they say so."""
    assert number_of(answers[f"{name}.it"]) in (0, errno.EINVAL, errno.ENOTCONN)


def test_no_row_is_forgotten() -> None:
    """Each row is in one of the tests above, or its own tests are named here."""
    elsewhere = {"ptrace", "wait4", "waitid", "rt_sigaction"}  # tests/test_ptrace.py
    elsewhere |= {"chroot", "setns"}  # tests/test_nested_root.py
    elsewhere |= {"dup", "dup2", "dup3", "fcntl"}  # tests/test_copies.py
    elsewhere |= {"fstat", "fstatfs", "lseek", "fchmod"}  # tests/test_proc_copies.py
    elsewhere |= {row.name for row in ROWS if row.handler in ("kept", "advice")}  # tests/test_kept.py
    elsewhere |= {row.name for row in ROWS if row.refuse and row.when}  # tests/test_keepers.py
    elsewhere |= {"pidfd_send_signal", "process_madvise"}  # tests/test_keepers.py
    elsewhere |= {"landlock_restrict_self"}  # tests/test_landlock.py
    elsewhere |= {"ioctl"}  # tests/test_readonly.py
    tested = {row.name for row in WITH_PATHS} | set(ADDRESSED) | set(SPECIAL) | GIVING | elsewhere
    tested |= {row.name for row in ROWS if row.refuse and not row.when}
    assert tested == set(ROW)


def test_all_path_rows_answer_as_in_a_chroot(answers: dict[str, str], real_chroot: Callable[..., Result]) -> None:
    """The errno of each call is the kernel's, and so are the texts that calls give back."""
    with made_place() as (root, outside):
        wanted = [row.name for row in WITH_PATHS] + list(ADDRESSED)
        lines = [text for text in everything(outside, 0) if text.split(".")[0] in wanted]
        real = real_chroot(root, ["/rows", "run"], [("/proc", "/proc")], text="\n".join(lines).encode() + b"\n")
    assert real.status == 0, real
    expected = dict(answer.split(" ", 1) for answer in real.stdout.splitlines())
    assert {label: answers[label] for label in expected} == expected


# --- the kernel's own prototypes ----------------------------------------------------------------------------------------------

#: Strings that are no paths, and socket addresses that go nowhere by a path: (call, argument name).
NO_PATHS = frozenset(
    """
    add_key:_type add_key:_description execve:argv execve:envp execveat:argv execveat:envp fgetxattr:name flistxattr:list
    fremovexattr:name fsetxattr:name getcwd:buf getrandom:ubuf getsockopt:optval memfd_create:uname mincore:vec mq_open:u_name
    mq_timedreceive:u_msg_ptr mq_timedsend:u_msg_ptr mq_unlink:u_name pread64:buf pwrite64:buf read:buf write:buf readlink:buf
    readlinkat:buf request_key:_type request_key:_description request_key:_callout_info setdomainname:name sethostname:name
    setsockopt:optval shmat:shmaddr shmdt:shmaddr symlink:oldname symlinkat:oldname syslog:buf mount:dev_name mount:type
    pivot_root:put_old fsconfig:_key fsopen:_fs_name
    getxattr:name lgetxattr:name getxattrat:name setxattr:name lsetxattr:name setxattrat:name removexattr:name lremovexattr:name
    removexattrat:name listxattr:list llistxattr:list listxattrat:list
    """.split()
)
CALLED = {"newstat": "stat", "newlstat": "lstat", "umount": "umount2", "sendfile64": "sendfile"}


def prototypes() -> dict[str, list[tuple[str, str]]]:
    """Return the arguments (type, name) of every call, as this kernel's tracing describes them."""
    code = """import ctypes, glob, os, re, sys
sys.path.insert(0, sys.argv[1])
from tests.oracle import sides
sides.private_mounts()
sides.mount("none", "/sys/kernel", "tracefs", 0)
for path in glob.glob("/sys/kernel/events/syscalls/sys_enter_*/format"):
    print(">" + path.split("sys_enter_")[1].split("/")[0])
    print(open(path).read())"""
    found = subprocess.run([sys.executable, "-c", code, helpers.PROJECT], capture_output=True, text=True, check=False)
    calls: dict[str, list[tuple[str, str]]] = {}
    for part in found.stdout.split(">")[1:]:
        name, _, text = part.partition("\n")
        fields = re.findall(r"field:([^;]*?)\s*(\w+);", text)
        calls[CALLED.get(name, name)] = [pair for pair in fields if not pair[1].startswith("common_") and pair[1] != "__syscall_nr"]
    return calls


@pytest.mark.root
def test_every_path_of_the_kernel_s_prototypes_has_a_row() -> None:
    """A call that takes a string or a socket address is in the table with that argument, or reviewed by name above.

    The prototypes are in tracefs, which root mounts.
    """
    calls = prototypes()
    if not calls:
        pytest.skip("this kernel has no tracing of system calls")
    unknown = []
    for name, arguments in calls.items():
        row = ROW.get(name)
        places = {row.path, row.path2} if row else set()
        for at, (kind, argument) in enumerate(arguments):
            string = re.search(r"\bchar\b", kind) and "unsigned char common" not in kind
            address = re.search(r"struct (sockaddr|user_msghdr|mmsghdr)\b", kind)
            if not (string or address) or f"{name}:{argument}" in NO_PATHS:
                continue
            if name in NUMBERS and (row is None or (at not in places and not row.refuse and row.path >= 0)):
                unknown.append(f"{name}:{argument}")
    assert unknown == []
    # a call of a newer kernel does not exist for guests; one with a number that the table covers must be in it
    assert {name for name in ROW if name in calls and name in REVIEWED} == set()
