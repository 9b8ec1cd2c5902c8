"""Which ways out of a root are tried: every call of the kernel's tables, by every way to name a file or a process that we know.

Calls whose row in ``pyroot.syscalls`` says where a path stands get every name there; those on processes get every process that is not for
guests; all calls, those that are in neither list too, get some of each in each argument.  So a new call is in it by itself.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyroot.syscalls import numbers_i386, numbers_x86_64
from pyroot.syscalls.table import ROWS, Row
from pyroot.syscalls.table_i386 import rows_by_name
from tests.test_syscall_rows import OTHERS

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = 100
"""The number of the probe's first descriptor."""
FILES = ("root", "dir", "bound", "bounddir", "file", "gone", "gonedeep", "gonemoved", "link", "magic", "rootlink", "proc", "fds", "keeper",
         "outsider", "stream", "datagram", "inotify", "memfd", "boundfile", "received")  # fmt: skip
"""The probe's descriptors, in its order."""
UP = {"root": 1, "dir": 2, "bound": 1, "bounddir": 2, "gone": 2, "gonedeep": 3, "gonemoved": 3, "rootlink": 1, "received": 1}
"""How many levels above these what is outside lies, on the host."""
STARTS = {"/": 1, "/d/d": 3, "/b": 1, "/b/d": 2}
"""The same of working directories."""
LINKS = ("labs", "lup", "lmany", "d/lrel", "lproc", "lself", "lchain", "louter")
"""Those of the root, and of what is bound there, that would lead to the directory outside."""
AT_FDCWD, CLOSED = -100, 150
X32 = 0x40000000
O_CREAT, O_EXCL, O_TRUNC, O_RDWR, O_PATH, O_NOFOLLOW, O_DIRECTORY, O_TMPFILE = 0x40, 0x80, 0x200, 2, 0x200000, 0x20000, 0x10000, 0x410000
OPENS = (0, O_PATH, O_NOFOLLOW, O_RDWR, O_CREAT | O_RDWR, O_CREAT | O_EXCL | O_RDWR, O_TRUNC | O_RDWR, O_DIRECTORY, O_TMPFILE | O_RDWR)
RESOLVES = (0, 1, 2, 4, 8, 16, 32)
#: Calls that are not tried in each argument, and why.
LEFT_OUT = {
    **dict.fromkeys(("exit", "exit_group", "fork", "vfork", "clone", "clone3", "rt_sigreturn", "sigreturn", "restart_syscall"),
                    "the child itself: nothing is named"),
    **dict.fromkeys(("shmget", "semget", "msgget", "mq_open", "mq_unlink", "shmctl", "semctl", "msgctl", "shmat", "semop", "msgsnd",
                     "msgrcv", "semtimedop", "semtimedop_time64", "ipc", "add_key", "request_key", "keyctl", "io_setup"),
                    "objects that outlive the run; System V IPC stays open"),
    **dict.fromkeys(("sync", "syncfs"), "all disks of the machine: nothing is named"),
    "sigsuspend": "waits for a signal that its argument blocks",
    **dict.fromkeys(("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "setpriority", "ioprio_set", "setpgid", "nice"),
                    "may hit a process that we do not mean: see PROCESSES"),
}  # fmt: skip
#: Calls on processes: words with P for the process, F for a descriptor of it. A number of keeper's would be a way out if they worked.
PROCESSES: dict[str, list[str]] = {
    "kill": [f"i:P i:{sig}" for sig in (9, 19, 15, 1, 2, 18, 64)],
    "tkill": ["i:P i:9", "i:P i:19"], "tgkill": ["i:P i:P i:9", "i:P i:P i:19"],
    "rt_sigqueueinfo": ["i:P i:9 x:INFO", "i:P i:15 x:INFO"], "rt_tgsigqueueinfo": ["i:P i:P i:9 x:INFO"],
    "pidfd_send_signal": ["i:F i:9", "i:F i:9 i:0 i:1", "i:F i:9 i:0 i:2", "i:F i:9 i:0 i:4", "i:F i:19"],
    "pidfd_getfd": [f"i:F i:{fd}" for fd in range(14)],
    "process_vm_readv": ["i:P V: i:1 v:ADDRESS i:1"], "process_vm_writev": ["i:P V: i:1 v:ADDRESS i:1"],
    "process_madvise": ["i:F v:ADDRESS i:1 i:20", "i:F v:ADDRESS i:1 i:21"], "process_mrelease": ["i:F"],
    "ptrace": [f"i:{request} i:P" for request in (16, 0x4206, 1, 2, 3, 4, 8, 12, 0x4207, 0x420a)],
    "kcmp": [f"i:P i:P i:{kind}" for kind in range(1, 8)] + ["i:P i:P i:0 i:3 i:3"],
    "prlimit64": ["i:P i:7 x:LIMIT", "i:P i:7 i:0 z:16"], "setpriority": ["i:0 i:P i:19"], "ioprio_set": ["i:1 i:P i:0x6000"],
    "sched_setparam": ["i:P x:00000000"], "sched_setscheduler": ["i:P i:5 x:00000000"],
    "sched_setattr": ["i:P x:3000000005000000000000000000000000000000000000000000000000000000 i:0"],
    "migrate_pages": ["i:P i:64 z:8 z:8"], "move_pages": ["i:P i:0"], "get_robust_list": ["i:P z:8 z:8"],
    "setns": ["i:F i:0x20000", "i:F i:0x10000000", "i:F i:0x20000000", "i:F i:0"],
}  # fmt: skip
#: Arguments by which calls succeed that need not do so in tests/test_syscall_rows.py.
MORE: dict[str, dict[int, str]] = {
    "name_to_handle_at": {2: "x:80000000" + "00" * 140}, "open_tree_attr": {3: "i:0", 4: "i:0"}, "statfs64": {1: "i:84", 2: "z:120"},
}  # fmt: skip
SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal", "setpriority", "ioprio_set",
           "sched_setparam", "sched_setscheduler", "sched_setattr", "prlimit64", "migrate_pages", "move_pages", "process_madvise",
           "process_mrelease", "get_robust_list", "kcmp")  # fmt: skip
"""Of processes of the same user that are no pyroot these may work: docs/SECURITY.md says so of signals."""
DIRECTORIES = ("chdir", "chroot", "pivot_root", "inotify_add_watch", "fanotify_mark", "open_tree", "open_tree_attr")
MAKES = ("mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat", "bind", "creat")


@dataclass(frozen=True)
class Outer:
    """What is outside: where, and who."""

    host: str
    outsider: int
    address: int
    keeper: int
    fellow: int
    fellow_keeper: int
    handle: str


@dataclass(frozen=True)
class Name:
    """A way to name a file: the descriptor that a relative one begins at (None: the working directory), and the text."""

    text: str
    start: str = "/"
    file: int | None = None
    sure: bool = True
    """A call that works has met what is outside."""


@dataclass(frozen=True)
class Call:
    """A call of one table, and how it is made: 64, 32, or g for the place that is led through the gate."""

    abi: str
    name: str
    number: int
    row: Row | None


@dataclass(frozen=True)
class Way:
    """One call: the directory that it is made in, and the line for the probe."""

    start: str
    line: str


def calls() -> list[Call]:
    """List every call of both tables, first those that are answered in the guest: they are not where names have been moved lately."""
    rows, rows32 = {row.name: row for row in ROWS}, rows_by_name()
    found = [Call("g", row.name, 0, row) for row in ROWS if row.gate and row.path >= 0]
    found += [Call("64", name, number, rows.get(name)) for name, number in numbers_x86_64.NUMBERS.items()]
    found += [Call("32", name, number, rows32.get(name)) for name, number in numbers_i386.NUMBERS.items()]
    return found


# --- names of files -----------------------------------------------------------------------------------------------------------------


def links(outer: Outer) -> dict[str, str]:
    """Return what the root, and what is bound there, is filled with: texts of links; / is a directory, . a file."""
    host = outer.host
    found = {"/d": "/", "/d/d": "/", "/b/d": "/", "/f": ".", "/d/f": ".", "/b/f": "."}
    for top in ("", "/b"):
        found.update({f"{top}/labs": host, f"{top}/lup": "../out", f"{top}/lmany": f"{'../' * 12}{host[1:]}", f"{top}/d/lrel": "../../out",
                      f"{top}/lproc": f"/proc/self/root/..{host}", f"{top}/lself": "/proc/self/cwd/../out", f"{top}/lchain": "labs",
                      f"{top}/louter": f"/proc/{outer.outsider}/cwd", f"{top}/lsecret": f"{host}/secret"})  # fmt: skip
    return found


def absolute(outer: Outer, target: str) -> Iterator[Name]:
    """Yield names that begin at the root, or at something in /proc."""
    host, who, keeper = outer.host, outer.outsider, outer.keeper
    plain = [host, f"/..{host}", f"/../../../..{host}", "/../out", "/d/../../out", "/d/d/../../../out", "/./d/.././../out", "//../out",
             "/b/../out", "/b/../../out", "/b/d/../../out", "/b/d/../../../out", f"/b/..{host}", "/x/../../out", "/bf/../out",
             "/probe/../out"]  # fmt: skip
    plain += [f"{top}/{link}" for top in ("", "/b") for link in LINKS]
    proc = ["self/root/../out", f"self/root/..{host}", f"self/root{host}", "self/cwd/../out", "thread-self/root/../out",
            "thread-self/cwd/../out", "self/exe/../out", "self/task/../root/../out", f"{who}/cwd", f"{who}/root{host}", f"{who}/fd/8",
            f"{who}/task/{who}/cwd", f"{who}/task/{who}/root{host}", f"self/../{who}/cwd", f"1/root{host}", "1/cwd", f"{keeper}/root{host}",
            f"{keeper}/task/{keeper}/root{host}", f"{outer.fellow}/root/../out", f"{outer.fellow}/cwd/../out",
            f"{outer.fellow_keeper}/root{host}", "self/fd/../root/../out", "self/map_files/../root/../out"]  # fmt: skip
    proc += [f"self/fd/{FIRST + k}/{'../' * UP.get(file, 1)}out" for k, file in enumerate(FILES)]
    proc += [f"self/fd/{FIRST + FILES.index('link')}", f"self/fd/{FIRST + FILES.index('proc')}/{who}/cwd"]
    proc += [f"{keeper}/fd/{fd}/../out" for fd in range(3, 14)] + [f"{outer.fellow}/fd/{fd}/../out" for fd in (100, 102)]
    for text in [*plain, *(f"/proc/{rest}" for rest in proc)]:
        yield Name(f"{text}/{target}" if target else text)
    if target == "secret":
        for text in ("/lsecret", "/b/lsecret", f"/proc/{who}/fd/9", f"/proc/{who}/task/{who}/fd/9", f"/proc/{who}/mem",
                     f"/proc/{keeper}/mem"):
            yield Name(text, sure=False)


def relative(outer: Outer, target: str, at: bool) -> Iterator[Name]:
    """Yield names that begin at a working directory, or (``at``) at a descriptor."""
    behind = f"/{target}" if target else ""
    for start, up in STARTS.items():
        for text in ("../" * up + "out", "./" + "../" * up + "./out", f"{'../' * 12}{outer.host[1:]}", "f/" + "../" * (up + 1) + "out"):
            yield Name(text + behind, start)
        if not target:
            yield Name("../" * up, start, sure=False)
    for start, link in itertools.product(("/", "/b"), LINKS):
        yield Name(link + behind, start)
        if at:
            yield Name(link + behind, file=FIRST + FILES.index("root" if start == "/" else "bound"))
    if target == "secret":
        yield Name("lsecret", sure=False)
    if not at:
        return
    for k, file in enumerate(FILES):
        up = UP.get(file, 1)
        for text in ("../" * up + "out", f"{'../' * 12}{outer.host[1:]}", "./" + "../" * (up + 1) + "out", outer.host):
            yield Name(text + behind, file=FIRST + k)
        yield Name(("../" * up).rstrip("/"), file=FIRST + k, sure=False)
        yield Name("..", file=FIRST + k, sure=False)
    for number in (CLOSED, -1, 0x7fffffff):
        yield Name("../out" + behind, file=number)
    for file, text in (("proc", "self/root/../out"), ("proc", f"{outer.outsider}/cwd"), ("fds", f"{FIRST}/../out"), ("link", ".")):
        yield Name(text + behind, file=FIRST + FILES.index(file), sure=file != "link")


def programs() -> Iterator[Name]:
    """Yield programs of the root whose interpreters are outside."""
    for kind, text in itertools.product(("script", "elf"), ("abs", "rel", "link", "root", "twin")):
        yield Name(f"/{kind}-{text}", "/", sure=False)


def target_of(call: Call, row: Row, second: bool) -> str:
    """Return what a call is to meet outside."""
    name = row.like
    if second or name in MAKES:
        return "made"
    if name in DIRECTORIES:
        return ""
    return {"rmdir": "empty", "connect": "stream", "sendto": "datagram", "sendmsg": "datagram", "sendmmsg": "datagram", "readlink": "link",
            "readlinkat": "link", "execve": "prog", "execveat": "prog"}.get(name, "secret")  # fmt: skip


def variants(call: Call, row: Row, words: list[str]) -> Iterator[list[str]]:
    """Yield the words with each choice of flags that changes what becomes of the path."""
    if row.handler == "open" and row.flags >= 0:
        for flags in OPENS:
            yield [*words[:row.flags], f"i:{flags:#x}", "i:0644", *words[row.flags + 2:]]
    elif row.handler == "openat2":
        for flags, resolve in itertools.product(OPENS, RESOLVES):
            how = struct.pack("<3Q", flags, 0o644 if flags & O_CREAT or flags & O_TMPFILE == O_TMPFILE else 0, resolve)
            yield [*words[:2], f"x:{how.hex()}", "i:24", *words[4:]]
    elif row.final == "flag" and row.bit and row.flags >= 0 and words[row.flags].startswith("i:"):
        flags = int(words[row.flags][2:], 0)
        for bits in (flags & ~row.bit, flags | row.bit):
            yield [*words[:row.flags], f"i:{bits:#x}", *words[row.flags + 1:]]
    else:
        yield words


def rest_of(row: Row) -> list[str]:
    """Return the words of a call that are no path."""
    words = ["i:0"] * 6
    for position, word in {**OTHERS.get(row.like, {}), **OTHERS.get(row.name, {}), **MORE.get(row.name, {})}.items():
        # (the directories that some names mean have to stay searchable)
        words[position] = "i:0755" if word == "i:0644" else word
    for position in (row.dirfd, row.dirfd2):
        if position >= 0:
            words[position] = f"i:{AT_FDCWD}"
    if row.name == "fanotify_mark" and row.path == 5:
        # (of i386: the mask takes two registers)
        words = ["f:", "i:1", "i:0x20", "i:0", f"i:{AT_FDCWD}", "i:0"]
    return words


def line(call: Call, words: list[str], sure: bool) -> str:
    """Write a call for the probe."""
    return " ".join(["way", call.abi, call.name if call.abi == "g" else str(call.number), "!" if sure else ".", *words])


def paths(call: Call, outer: Outer) -> Iterator[Way]:
    """Yield the ways by which a call with paths may get out."""
    row = call.row
    assert row is not None
    kind = {"sockin": "a:", "sendmsg": "m:", "sendmmsg": "M:"}.get(row.handler, "s:")
    places = [(row.path, row.dirfd, False)]
    if row.path2 >= 0:
        places.append((row.path2, row.dirfd2, True))
    if row.handler in ("sendmsg", "sendmmsg"):
        places = [(1, -1, False)]
    for place, dirfd, second in places:
        target = target_of(call, row, second)
        names = itertools.chain(absolute(outer, target), relative(outer, target, dirfd >= 0), programs() if row.handler == "exec" else ())
        for name in names:
            words = rest_of(row)
            if row.path2 >= 0:
                words[row.path2 if place == row.path else row.path] = "s:/d/new" if place == row.path else "s:/f"
            if row.handler in ("sendmsg", "sendmmsg"):
                words[:3] = ["u:", "i:0", "i:0" if row.handler == "sendmsg" else "i:1"]
            words[place] = kind + name.text
            if name.file is not None:
                words[dirfd] = f"i:{name.file}"
            sure = name.sure and row.handler not in ("exec", "privileged")
            for ready in variants(call, row, words):
                yield Way(name.start, line(call, ready, sure and not is_about_itself(name)))


def is_about_itself(name: Name) -> bool:
    """Tell whether a call means the last name, which is there, and not what it leads to."""
    return name.text.endswith((*LINKS, "/cwd", "/fd/8", "/fd/108"))


def socketcalls(call: Call, outer: Outer) -> Iterator[Way]:
    """Yield the same for the sub-calls of socketcall(2) that take an address."""
    for number, target in ((2, "made"), (3, "stream"), (11, "datagram"), (16, "datagram"), (20, "datagram")):
        for name in itertools.chain(absolute(outer, target), relative(outer, target, False)):
            words = {2: "t:,a:NAME,i:110", 3: "t:,a:NAME,i:110", 11: "u:,s:x,i:1,i:0,a:NAME,i:110", 16: "u:,m:NAME,i:0",
                     20: "u:,M:NAME,i:1,i:0"}[number].replace("NAME", name.text)  # fmt: skip
            yield Way(name.start, line(call, [f"i:{number}", f"c:{words}"], name.sure))


# --- processes, handles, anything ---------------------------------------------------------------------------------------------------


def processes(call: Call, outer: Outer) -> Iterator[Way]:
    """Yield the ways by which a call on a process may reach one that is not for guests."""
    info = struct.pack("<iii", 9, 0, -6).ljust(128, b"\0").hex()
    about = [(outer.keeper, FIRST + FILES.index("keeper"), True), (outer.fellow_keeper, CLOSED, False)]
    if call.name not in SIGNALS:
        about.append((outer.outsider, FIRST + FILES.index("outsider"), True))
    for text in PROCESSES[call.name]:
        for pid, file, sure in about:
            if not sure and call.name in SIGNALS:
                # (the supervisor of somebody else's guests is a process like others)
                continue
            ready = text.replace("INFO", info).replace("LIMIT", "00" * 16).replace("ADDRESS", str(outer.address))
            numbers = {pid, pid + (1 << 32)} if call.abi == "64" else {pid}
            if call.name == "kill" and sure:
                numbers.add(-pid)
            for number in numbers:
                # (a signal that does nothing to the supervisor may be sent to its group; limits may be looked at)
                harms = sure and "i:0 z:16" not in text and (number > 0 or text in ("i:P i:9", "i:P i:19"))
                words = ready.replace("i:P", f"i:{number}").replace("i:F", f"i:{file}").split()
                yield Way("/", line(call, words, harms))


def handles(call: Call, outer: Outer) -> Iterator[Way]:
    """Yield the ways to open a file by its handle."""
    for file in (FIRST, FIRST + FILES.index("bound"), FIRST + FILES.index("proc"), AT_FDCWD, -10002):
        for flags in (0, O_PATH, O_RDWR, O_DIRECTORY):
            yield Way("/", line(call, [f"i:{file}", f"x:{outer.handle}", f"i:{flags:#x}"], True))


def anything(call: Call, outer: Outer) -> Iterator[Way]:
    """Yield a call with names of files, descriptors and processes in each argument."""
    words = [f"s:{outer.host}/secret", "s:/../out/secret", f"s:/proc/{outer.outsider}/fd/9", "s:/labs/secret", "s:../out/secret",
             f"a:{outer.host}/stream", f"m:{outer.host}/datagram", f"v:{outer.address}"]  # fmt: skip
    numbers = [outer.keeper, outer.outsider, *(FIRST + FILES.index(file) for file in ("link", "outsider", "keeper", "magic"))]
    for position in range(6):
        for word in [*words, *(f"i:{number}" for number in numbers)]:
            for other in ("i:0", "z:256"):
                yield Way("/", line(call, [word if i == position else other for i in range(6)], False))


def ways(call: Call, outer: Outer) -> list[Way]:
    """List the ways of a call."""
    found: list[Way] = []
    if call.row is not None and (call.row.path >= 0 or call.row.handler in ("sendmsg", "sendmmsg")):
        found += paths(call, outer)
        if call.abi == "64":
            # by the numbers of x32
            found += [Way(way.start, way.line.replace(f" {call.number} ", f" {call.number + X32} ", 1)) for way in found[:20]]
    if call.name == "socketcall":
        found += socketcalls(call, outer)
    if call.name in PROCESSES:
        found += processes(call, outer)
    if call.name == "open_by_handle_at":
        found += handles(call, outer)
    if call.name not in LEFT_OUT and call.abi != "g":
        found += anything(call, outer)
    return found
