"""Where a session runs: the Debian root with a writable layer over it, in name spaces of its own, entered by chroot(2) or by pyroot.

Both sides get the same: processes, network (loopback alone), terminals and IPC that nobody else sees, the same bindings, the same ordinary
user. What a session wrote is the layer and /here afterwards. When its first process is gone the kernel ends all others.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import dataclass, field

from tests import helpers
from tests.oracle import sides
from tests.rootfs_fixtures import inside, remove

from .dialogue import Dialogue
from .row import Row
from .tree import listing

BINDINGS = ("/proc", "/dev", "/sys")
OWN = 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000  # CLONE_NEWNS, NEWPID, NEWNET, NEWIPC, NEWUTS
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games", "HOME": "/home/user", "LANG": "C.UTF-8",
               "USER": "nobody", "LOGNAME": "nobody", "TZ": "UTC"}
LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "library.sh")
START = ["bash", "-c", ". /session/library.sh; . /session/script"]


@dataclass
class Outcome:
    """What came of one session."""

    output: str = ""
    status: int | None = None
    left: list[str] = field(default_factory=list)  # names of processes that the session left behind
    tree: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class World:
    """A directory with the layer, /here and the session's files, for one run of one row."""

    def __init__(self, side: str, root: str, row: Row) -> None:
        self.side, self.root, self.row = side, root, row
        self.top = tempfile.mkdtemp(prefix="pyroot-program-", dir="/var/tmp")
        for name in ("layer", "scratch", "merged", "here", "session"):
            os.mkdir(f"{self.top}/{name}")
            os.chown(f"{self.top}/{name}", helpers.NOBODY, helpers.NOBODY)
        os.chmod(self.top, 0o755)
        shutil.copyfile(LIBRARY, f"{self.top}/session/library.sh")
        with open(f"{self.top}/session/script", "w", encoding="utf-8") as file:
            file.write(row.script)

    def close(self) -> None:
        """Remove everything."""
        remove(self.top)

    def bindings(self) -> list[tuple[str, str]]:
        """Return the host's and the guest's name of what is bound."""
        return [*((path, path) for path in BINDINGS), (f"{self.top}/here", "/here"), (f"{self.top}/session", "/session")]

    def run(self) -> Outcome:
        """Run the session to its end, or to its time limit."""
        outcome = Outcome()
        began = time.monotonic()
        ours, theirs = os.pipe()
        reports, report = os.pipe()
        typed, typing = os.pipe()
        keeper = os.fork()
        if keeper == 0:
            try:
                for descriptor in (ours, reports, typing):
                    os.close(descriptor)
                self.keep(typed, theirs, report)
            except BaseException as error:
                os.write(theirs, f"{type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(99)
        for descriptor in (theirs, report, typed):
            os.close(descriptor)
        dialogue = Dialogue(self.row.dialogue, typing)
        if not self.listen(ours, dialogue, began + self.row.limit):
            outcome.output = f"did not end within {self.row.limit:.0f} s\n"
        os.kill(keeper, signal.SIGKILL)
        os.waitpid(keeper, 0)
        with os.fdopen(reports, encoding="utf-8") as file:
            text = file.read()  # its end says that the last process of the name space is gone
        os.close(ours)
        os.close(typing)
        outcome.output += dialogue.text
        if text:
            outcome.status, outcome.left = json.loads(text)
        outcome.tree = {**listing(f"{self.top}/layer", "", self.row), **listing(f"{self.top}/here", "/here", self.row)}
        outcome.seconds = time.monotonic() - began
        return outcome

    def listen(self, output: int, dialogue: Dialogue, until: float) -> bool:
        """Read the session's output and answer it until it ends; False when the time was over first."""
        while (wait := until - time.monotonic()) > 0:
            if select.select([output], [], [], wait)[0]:
                data = os.read(output, 65536)
                if not data:
                    return True
                dialogue.take(data)
        return False

    def keep(self, typed: int, output: int, report: int) -> None:
        """Make the name spaces and their first process; if the harness ends this one, that one ends, too."""
        sides.checked(helpers.libc.unshare(OWN), "unshare")
        first = os.fork()
        if first == 0:
            helpers.libc.prctl(helpers.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            try:
                self.first_process(typed, output, report)
            except BaseException as error:
                os.write(output, f"{type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(0)
        for descriptor in (typed, output, report):
            os.close(descriptor)
        os.waitpid(first, 0)
        os._exit(0)

    def first_process(self, typed: int, output: int, report: int) -> None:
        """Be process 1: make the mounts, start the session, reap what dies, and report."""
        self.make_mounts()
        socket.sethostname("programs")
        loopback_up()
        terminal = Terminal(typed, output) if self.row.dialogue else None
        command = self.start(terminal.slave if terminal else output)
        status = None
        while status is None:
            if terminal:
                terminal.relay()
            pid, code = os.waitpid(-1, os.WNOHANG if terminal else 0)
            if pid == command:
                status = os.waitstatus_to_exitcode(code)
        if terminal:
            terminal.drain()
        os.write(report, json.dumps([status, left_behind()]).encode())

    def make_mounts(self) -> None:
        """Mount the root with its layer, and what belongs to the new name spaces."""
        sides.mount("none", "/", None, sides.MS_REC | sides.MS_PRIVATE)
        layers = f"lowerdir={self.root},upperdir={self.top}/layer,workdir={self.top}/scratch"
        sides.mount("overlay", f"{self.top}/merged", "overlay", 0, layers)
        sides.mount("proc", "/proc", "proc", 0)
        sides.mount("devpts", "/dev/pts", "devpts", 0, "ptmxmode=666,gid=5,mode=620")
        sides.mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777")

    def start(self, descriptor: int) -> int:
        """Start the session on this side as the ordinary user and return its process."""
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            words, environment = START, ENVIRONMENT
            if self.side == "real":
                for host, guest in self.bindings():
                    sides.mount(host, inside(f"{self.top}/merged", guest), None, sides.MS_BIND | sides.MS_REC)
                os.chroot(f"{self.top}/merged")
                os.chdir("/here")
            else:
                pyroot, more = helpers.pyroot_command()
                words = [*pyroot, "--kill-on-exit", "-r", f"{self.top}/merged"]
                words += [word for host, guest in self.bindings() for word in ("-b", f"{host}:{guest}")]
                words += ["-w", "/here", *START]
                environment = {**more, **ENVIRONMENT}
                os.chdir("/")
            if self.row.dialogue:
                fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
            else:
                os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            for number in range(0 if self.row.dialogue else 1, 3):
                os.dup2(descriptor, number)
            os.closerange(3, 256)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            sides.drop_rights()
            os.execvpe(words[0], words, environment)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(99)


class Terminal:
    """The terminal of a dialogue, in the terminals of the new name space."""

    def __init__(self, typed: int, output: int) -> None:
        self.typed, self.output = typed, output
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.fchown(self.slave, helpers.NOBODY, -1)

    def relay(self, wait: float = 0.05) -> bool:
        """Pass on what was typed and what was written; False when nothing came within ``wait`` seconds."""
        ready = select.select([self.master, self.typed], [], [], wait)[0]
        if self.master in ready:
            os.write(self.output, os.read(self.master, 65536))
        if self.typed in ready:
            os.write(self.master, os.read(self.typed, 4096))
        return bool(ready)

    def drain(self) -> None:
        """Pass on what is left after the end."""
        while self.relay(0):
            continue


def loopback_up() -> None:
    """Let the network name space have its 127.0.0.1."""
    with socket.socket() as any_socket:
        up = struct.pack("16sh", b"lo", 1 | 64)  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, up)  # SIOCSIFFLAGS


def left_behind() -> list[str]:
    """Name the processes that are still there beside this one."""
    names = []
    for pid in [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]:
        fields = helpers.stat_fields(int(pid))
        if fields and fields[0] not in "ZX":
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                names.append(file.read().strip())
    return sorted(names)


def why_not() -> str | None:
    """Return why sessions cannot be run here, or None."""
    if os.geteuid() != 0:
        return "the real chroot needs root"
    with open("/proc/filesystems", encoding="ascii") as file:
        if "overlay" not in file.read() and subprocess.run(["modprobe", "overlay"], check=False, stderr=sys.stderr).returncode:
            return "this kernel has no overlayfs"
    return helpers.ordinary_user.why_not()
