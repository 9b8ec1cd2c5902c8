"""Sequential ways out: each call of the kernel by each way to name a file or a process, from a small root; none meets what is outside.

What a call came to is judged in the guest (what it was told, what it has opened, where it is) and here: files, sockets, processes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import select
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

from tests import helpers
from tests.oracle.build import compile_program
from tests.rootfs_fixtures import directory_for_user, give, remove

from .engine import Crashed, Failed, Hung, Outside
from .guests import LIMIT, PROGRAMS
from .ways_list import Outer, calls, links, ways

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .ways_list import Call, Way

SHARDS = 16
SIZE = 31337
"""Of the file outside."""
EXECUTED = 77
STARTS_AT = "/" + "i" * 200
"""Stands in a program for the interpreter that it is given."""
MOST = 3500
"""Ways in one batch of the probe."""
OUTSIDER = """
import ctypes, os, sys
memory = ctypes.create_string_buffer(b"SECRET MEMORY " * 8)
before = memory.raw
os.chdir(sys.argv[1])
os.dup2(os.open("secret", os.O_RDWR), 9)
os.dup2(os.open(".", os.O_RDONLY), 8)
print(ctypes.addressof(memory), flush=True)
sys.stdin.read()
print("same" if memory.raw == before else "changed")
"""


def file_handle(path: str) -> str:
    """Return the handle of a file as name_to_handle_at(2) tells it, in hexadecimal."""
    room = ctypes.create_string_buffer(136)
    ctypes.c_uint.from_buffer(room).value = 128
    mount = ctypes.c_int()
    if helpers.libc.name_to_handle_at(-100, path.encode(), room, ctypes.byref(mount), 0):
        return "08000000" + "01000000" + "00" * 8
    return room.raw[: 8 + ctypes.c_uint.from_buffer(room).value].hex()


class Ground:
    """A root, what is bound into it, and outside of both a directory with everything in it that a way might lead to."""

    def __init__(self) -> None:
        self.parent = directory_for_user()
        self.root, self.bound, self.host = (f"{self.parent}/{name}" for name in ("root", "bound", "out"))
        for path in (self.root, self.bound, self.host, f"{self.bound}/d", f"{self.root}/proc", f"{self.parent}/sent"):
            os.mkdir(path)
        shutil.copy(compile_program([f"{PROGRAMS}/ways_probe.c"], "-static", name="ways-probe"), f"{self.root}/probe")
        self.make_executables()
        with open(f"{self.parent}/file", "w", encoding="ascii") as file:
            file.write("bound\n")
        give(self.parent)
        self.sockets: list[socket.socket] = []
        self.fill()
        python, variables = helpers.ordinary_python()
        self.outsider = helpers.start([python, "-IS", "-c", OUTSIDER, self.host], environment=variables, stdin=subprocess.PIPE)
        assert self.outsider.stdout is not None
        self.address = int(self.outsider.stdout.readline())

    def fill(self) -> None:
        """Fill the directory outside anew, with files that tell where they are and sockets."""
        self.close_sockets()
        for entry in os.scandir(self.host):
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, 0o700)  # a call may have made it without rights
                remove(entry.path)
            else:
                os.unlink(entry.path)
        for name in ("sub", "empty"):
            os.mkdir(f"{self.host}/{name}")
        with open(f"{self.host}/secret", "wb") as file:
            file.write(b"SECRET" * (SIZE // 6) + b"\n" * (SIZE % 6))
        shutil.copy(f"{self.host}/secret", f"{self.host}/sub/secret")
        with contextlib.suppress(OSError):
            os.setxattr(f"{self.host}/secret", "user.b", b"SECRET")
        os.symlink("SECRET", f"{self.host}/link")
        shutil.copy(self.program(EXECUTED), f"{self.host}/prog")
        for name, kind in (("stream", socket.SOCK_STREAM), ("datagram", socket.SOCK_DGRAM)):
            one = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
            one.bind(f"{self.host}/{name}")
            os.chmod(f"{self.host}/{name}", 0o777)
            if kind == socket.SOCK_STREAM:
                one.listen(5)
            self.sockets.append(one)
        give(self.host)

    def program(self, status: int) -> str:
        """Return a program that ends with a status, also where it is another one's interpreter."""
        path = f"{self.parent}/prog.c"
        with open(path, "w", encoding="ascii") as file:
            file.write(f"void _start(void) {{ __asm__ volatile (\"syscall\" : : \"a\"(231L), \"D\"({status}L)); }}\n")
        return compile_program([path], "-static", "-nostdlib", name=f"ways-ends-{status}")

    def close_sockets(self) -> None:
        """Close what listens outside."""
        while self.sockets:
            self.sockets.pop().close()

    def make_executables(self) -> None:
        """Make scripts and programs of the root whose interpreters are outside."""
        source = f"{self.parent}/started.c"
        with open(source, "w", encoding="ascii") as file:
            file.write("int main(void) { return 0; }\n")
        with open(compile_program([source], f"-Wl,--dynamic-linker={STARTS_AT}", name="ways-started"), "rb") as file:
            content = file.read()
        assert STARTS_AT.encode() in content
        for folder, status in ((self.parent, EXECUTED), (f"{self.root}{self.parent}", 0)):
            # one that is there by the same name inside and outside
            os.makedirs(f"{folder}/twin")
            shutil.copy(self.program(status), f"{folder}/twin/prog")
        texts = {"abs": f"{self.host}/prog", "rel": "../out/prog", "link": "/labs/prog", "root": "/proc/self/root/../out/prog",
                 "twin": f"{self.parent}/twin/prog"}  # fmt: skip
        for name, text in texts.items():
            with open(f"{self.root}/script-{name}", "w", encoding="ascii") as script:
                script.write(f"#!{text}\n")
            with open(f"{self.root}/elf-{name}", "wb") as program:
                program.write(content.replace(STARTS_AT.encode(), text.encode().ljust(len(STARTS_AT), b"\0")))
            for kind in ("script", "elf"):
                os.chmod(f"{self.root}/{kind}-{name}", 0o755)

    def state(self) -> list[tuple[object, ...]]:
        """Return all that calls may change there."""
        found: list[tuple[object, ...]] = []
        for folder, folders, names in os.walk(self.host):
            for path in (folder, *(f"{folder}/{name}" for name in (*folders, *names))):
                st = os.lstat(path)
                found.append((path, st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns, st.st_nlink,
                              os.listxattr(path, follow_symlinks=False)))  # fmt: skip
        return sorted(found, key=str)

    def messages(self) -> int:
        """Count what the sockets have got."""
        got = 0
        with contextlib.suppress(BlockingIOError):
            self.sockets[0].accept()[0].close()
            got += 1
        with contextlib.suppress(BlockingIOError):
            self.sockets[1].recv(10)
            got += 1
        return got

    def inodes(self) -> list[str]:
        """Return device and inode of what is outside: that of the directories above is told to chroots, too, as their `..`."""
        found = []
        for folder, _folders, names in os.walk(self.host):
            for path in (folder, *(f"{folder}/{name}" for name in names)):
                st = os.lstat(path)
                found.append(f"+{st.st_dev}:{st.st_ino}")
        for above in (self.parent, os.path.dirname(self.parent), "/"):
            st = os.stat(above)
            found.append(f"{st.st_dev}:{st.st_ino}")
        return found

    def remove(self) -> None:
        """Remove it all."""
        self.close_sockets()
        helpers.kill_session(self.outsider.pid)
        self.outsider.communicate()
        remove(self.parent)


class Session:
    """A pyroot with the probe in it."""

    def __init__(self, ground: Ground, variables: dict[str, str], *options: str, around: bool = False) -> None:
        command, environment = helpers.pyroot_command()
        if around:
            command = [*command, "-r", "/", "-w", "/", *command]
        command += ["-r", ground.root, "-w", "/", "-b", "/proc", "-b", f"{ground.bound}:/b", "-b", f"{ground.parent}/file:/bf", *options,
                    "/probe", str(ground.outsider.pid), str(ground.address), str(SIZE), *ground.inodes()]  # fmt: skip
        self.process = helpers.start(command, environment={**environment, "PATH": "/", **variables}, stdin=subprocess.PIPE)
        self.told = b""
        words = self.line().split()
        if words[:1] != ["ready"]:
            raise Crashed(f"the probe did not begin: {words} {self.errors()}")
        self.keeper, self.guest = int(words[1]), int(words[2])
        self.ground = ground

    def begin(self, fixtures: dict[str, str], patience: float = LIMIT) -> None:
        """Make what the ways need, and let the probe open it; send it a directory, which it asks for within so many seconds.

        All is done from outside: a guest that moves names has none of its looks answered in the gate for a while.
        """
        self.make(fixtures)
        sent = os.open(f"{self.ground.parent}/sent", os.O_RDONLY | os.O_DIRECTORY)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sender:
            sender.settimeout(patience)
            sender.bind(f"{self.ground.root}/sender")
            os.chmod(f"{self.ground.root}/sender", 0o777)
            sender.listen(1)
            self.say([*(f"fixture {name} {text}" for name, text in fixtures.items()), "open"])
            try:
                line = sender.accept()[0]
            except TimeoutError:
                if patience == LIMIT:
                    raise Hung(f"the probe does not ask for the directory: {self.errors()}") from None
                self.lose()
            else:
                with line:
                    self.lose()
                    socket.send_fds(line, [b"x"], [sent])
        os.unlink(f"{self.ground.root}/sender")
        os.close(sent)

    def make(self, fixtures: dict[str, str]) -> None:
        """Make directories ("/"), files (".") and links, where they are not there, and directories that will be lost."""
        for name, text in {**fixtures, **dict.fromkeys(("/gone", "/gone/deep", "/moved", "/moved/in"), "/")}.items():
            path = self.ground.bound + name.removeprefix("/b") if name.startswith("/b/") else self.ground.root + name
            if os.path.lexists(path):
                continue
            if text == "/":
                os.mkdir(path)
            elif text == ".":
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o755))
            else:
                os.symlink(text, path)
            if os.geteuid() == 0:
                os.chown(path, helpers.NOBODY, helpers.NOBODY, follow_symlinks=False)

    def lose(self) -> None:
        """Remove some of the directories that the probe has open, one of them after it was moved."""
        for name in ("gone/deep", "gone"):
            os.rmdir(f"{self.ground.root}/{name}")
        os.rename(f"{self.ground.root}/moved/in", f"{self.ground.root}/d/in")
        for name in ("d/in", "moved"):
            os.rmdir(f"{self.ground.root}/{name}")

    def line(self) -> str:
        """Return what the probe says next."""
        assert self.process.stdout is not None
        while b"\n" not in self.told:
            if not select.select([self.process.stdout], [], [], LIMIT)[0]:
                raise Hung(f"nothing is heard of the probe: {self.errors()}")
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                break
            self.told += part
        line, _, self.told = self.told.partition(b"\n")
        return line.decode("utf-8", "replace")

    def errors(self) -> str:
        """Return what came on standard error."""
        helpers.kill_session(self.process.pid)
        _output, errors = self.process.communicate()
        return errors[-1000:].decode("utf-8", "replace")

    def say(self, lines: list[str]) -> None:
        """Tell the probe something."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Crashed(f"the probe is gone: {self.errors()}") from None

    def limits(self) -> tuple[object, ...]:
        """Return what calls may set of the supervisor (but where it runs, which it chooses itself)."""
        with open(f"/proc/{self.keeper}/limits", encoding="ascii") as file:
            return (file.read(), os.getpriority(os.PRIO_PROCESS, self.keeper), os.sched_getscheduler(self.keeper))

    def close(self) -> None:
        """End it."""
        helpers.kill_session(self.process.pid)
        self.process.communicate()


class Ways:
    """Each turn is a part of all calls, each with ``size`` of its ways at most."""

    name = "ways"
    size = 1_000_000
    unit = "ways"
    ran = 0
    whole = SHARDS
    """The seeds that are everything."""
    variables: dict[str, str] = {}
    options: tuple[str, ...] = ()
    around = False
    """Whether the pyroot that is tried runs inside another one."""
    shown = 40
    """Hits that a failure names."""
    patience = LIMIT
    """Seconds that the probe has to begin; with less it may do so without all that it needs."""

    def open(self) -> None:
        """Make the ground, and a session beside the one that is tried: its guest is a fellow."""
        self.ground = Ground()
        self.all = calls()
        self.fellow = Session(self.ground, {})
        self.lost = 0

    def close(self) -> None:
        """Remove it all."""
        self.fellow.close()
        self.ground.remove()

    def turn(self, seed: int, size: int) -> str:
        """Try the calls that the seed means."""
        rng = random.Random(seed)
        return self.attempt(self.all[seed % SHARDS::SHARDS], lambda _call, every: some(every, size, rng))

    def attempt(self, chosen: list[Call], choose: Callable[[Call, list[Way]], list[Way]]) -> str:
        """Try some calls, each with those of its ways that are chosen; raise Outside with all that has met what is outside."""
        found: list[str] = []
        before = self.ran
        os.chmod(self.ground.root, 0o755)
        session = Session(self.ground, self.variables, *self.options, around=self.around)
        try:
            outer = Outer(self.ground.host, self.ground.outsider.pid, self.ground.address, session.keeper, self.fellow.guest,
                          self.fellow.keeper, file_handle(f"{self.ground.host}/secret"))  # fmt: skip
            session.begin(links(outer), self.patience)
            for call in chosen:
                found += self.one_call(session, call, choose(call, ways(call, outer)))
        except Failed as error:
            if not found:
                raise
            found.append(str(error))
        finally:
            session.close()
        if self.ground.outsider.poll() is not None:
            found.append("the process outside has ended")
        if found:
            raise Outside(f"{len(found)} of {self.ran - before} ways: " + "; ".join(found[: self.shown]))
        return f"{self.ran - before} ways, {self.lost} ended their process"

    def one_call(self, session: Session, call: Call, every: list[Way]) -> list[str]:
        """Try the ways of a call; return those that met something."""
        found: list[str] = []
        for start, lines in batches(every):
            state, limits = self.ground.state(), session.limits()
            repairs = call.abi != "g" and call.row is not None and (bool(call.row.remove) or call.row.handler in ("link", "rename", "open"))
            session.say([f"batch {call.name} {start} {int(repairs)}", *lines, "end"])
            while not (told := session.line()).startswith("batch "):
                words = told.split(maxsplit=2)
                if not told:
                    raise Crashed(f"{call.name}: pyroot has ended: {session.errors()}")
                if words[0] != "hit":
                    raise Hung(f"{call.name}: the probe says: {told}")
                found.append(f"{call.abi} {call.name} in {start}: {lines[int(words[1])]}: {words[2].strip()}")
            self.ran += len(lines)
            self.lost += int(told.split()[3])
            if self.ground.messages():
                found.append(f"{call.abi} {call.name} in {start}: a message has come")
            if session.limits() != limits:
                found.append(f"{call.abi} {call.name} in {start}: the supervisor's limits have changed")
            if (now := self.ground.state()) != state:
                found.append(f"{call.abi} {call.name} in {start}: {[one for one in now if one not in state][:3]}")
        return found


def some(every: list[Way], most: int, rng: random.Random) -> list[Way]:
    """Return so many ways at most, in their order."""
    return every if len(every) <= most else [every[i] for i in sorted(rng.sample(range(len(every)), most))]


def batches(every: list[Way]) -> Iterator[tuple[str, list[str]]]:
    """Yield the directory and the lines of each batch."""
    by_start: dict[str, list[str]] = {}
    for way in every:
        by_start.setdefault(way.start, []).append(way.line)
    for start, lines in by_start.items():
        for i in range(0, len(lines), MOST):
            yield start, lines[i: i + MOST]


class WaysStops(Ways):
    """The same without the gate: every call stops."""

    name = "ways-stops"
    variables = {"PYROOT_NO_GATE": "1"}


class WaysNoFilter(Ways):
    """The same where the supervisor stops at each call by itself."""

    name = "ways-no-filter"
    variables = {"PYROOT_NO_SECCOMP": "1"}


class WaysInside(Ways):
    """The same in a pyroot inside a pyroot, which hands its view over."""

    name = "ways-inside"
    around = True


class WaysInsideAlone(WaysInside):
    """The same in one that keeps its view to itself."""

    name = "ways-inside-alone"
    variables = {"PYROOT_NO_HANDOVER": "1"}
