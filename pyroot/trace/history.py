"""What `--why` remembers about a run: failed calls, what was written and read, births, signals and exits.

Decides: which calls are kept, and which parts of each; that an errno which is told later (SO_ERROR after EINPROGRESS) belongs to the call
that it is about; and what has to be looked at while the call fails, because it may be over afterwards (`circumstances`). Not decided here:
which of them is to blame (`why`).
"""

from __future__ import annotations

import errno
import os
import re
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyroot.trace import circumstances, select
from pyroot.trace.decode import Context, failed
from pyroot.trace.session import Sink
from pyroot.trace.text import signed

if TYPE_CHECKING:
    from pyroot._fast import Core, TracedCall
    from pyroot.trace.decode import Row

MOST = 100_000  # events; the oldest go first
_BYTES = 4096  # of one write or read
_CLONE_THREAD = 0x10000
AT_FDCWD = -100

#: Calls that write: where the data are. `buf`: address and length in arguments, `iov`: a vector, `msg`: a header.
_WRITES = {"write": "buf", "pwrite64": "buf", "sendto": "buf", "writev": "iov", "pwritev": "iov", "sendmsg": "msg"}
_READS = {"read": "buf", "recvfrom": "buf", "readv": "iov", "recvmsg": "msg"}
_OTHERS = (
    "ftruncate fallocate fsync fdatasync sync_file_range msync close copy_file_range sendfile splice lseek ioctl flock fcntl dup dup2 dup3 "
    "mmap mprotect mremap mlock mlockall memfd_create fork vfork clone clone3 kill tkill tgkill pidfd_send_signal "
    "setuid setgid setreuid setregid setresuid setresgid setgroups capset setrlimit prlimit64 setpriority sched_setscheduler "
    "sched_setaffinity unshare setns sethostname setdomainname clock_settime settimeofday syslog ptrace pipe pipe2 socketpair "
    "epoll_create1 eventfd2 inotify_init1 inotify_add_watch shmget semget msgget io_uring_setup bpf perf_event_open"
).split()
_SO_ERROR = (1, 4)  # SOL_SOCKET and the option
_SUN_PATH = re.compile(r'sun_path="([^"\\]+)"')
_PENDING = (errno.EINPROGRESS, errno.EAGAIN)


@dataclass
class Event:
    """One thing that happened, in the order of `History.events`.

    `kind` is call (a failure, or the success of a search), write, read, signal or exit, or empty for a write that has not succeeded; `path`
    the guest path that it is about, `paths` all that it names, `spelled` as the program wrote them; `data` what was written or read;
    `target` what the descriptor stands for; `error` an errno; `later` the errno of the call itself if `error` was told afterwards.
    """

    kind: str
    process: int
    name: str = ""
    path: bytes = b""
    error: int = 0
    words: str = ""
    data: bytes = b""
    target: bytes = b""
    status: int = 0
    paths: tuple[bytes, ...] = ()
    spelled: tuple[bytes, ...] = ()
    later: int = 0
    time: int = 0  # ns since 1970
    around: str = ""  # what was so while the call failed
    address: str = ""  # that the socket was to be connected to


@dataclass
class Process:
    """One process: which process made it, and what it runs."""

    parent: int
    program: bytes = b""
    status: int | None = None  # as waitpid(2) gives it
    arguments: str = ""
    children: list[int] = field(default_factory=list)


class History(Sink):
    """The sink of `--why`."""

    def __init__(self) -> None:
        """Choose what is traced."""
        names = select.calls("%file,%network") | set(_WRITES) | set(_READS) | set(_OTHERS)
        super().__init__(Context(strings=_BYTES), names)
        self.events: deque[Event] = deque(maxlen=MOST)
        self.threads: dict[int, int] = {}  # thread: its process
        self.processes: dict[int, Process] = {}
        self.first = 0
        self.outputs: tuple[bytes, ...] = ()  # what descriptors 2 and 1 of the command refer to
        self.pending: dict[int, Event] = {}
        self.connecting: dict[tuple[int, int], Event] = {}  # by process and descriptor

    def start(self, core: Core, program: bytes) -> None:
        """Learn the view, and where the command's messages go."""
        super().start(core, program)
        self.prepare(core)
        self.outputs = tuple(os.fsencode(os.readlink(f"/proc/self/fd/{fd}")) for fd in (2, 1) if os.path.lexists(f"/proc/self/fd/{fd}"))

    def prepare(self, core: Core) -> None:
        """Take the view, and say what is to be read early, when the rows are made."""
        self.core = core
        for row in self.rows.values():
            # a write is known only before the call, and a path before others can change it
            row.plan.early = row.plan.early or row.name in _WRITES

    def process_of(self, tid: int) -> int:
        """Give the process of a thread."""
        process = self.threads.setdefault(tid, tid)
        if process not in self.processes:
            self.processes[process] = Process(0)
            self.first = self.first or process
        return process

    # -- what the core calls

    def read(self, call: TracedCall) -> None:
        """Take what is about to be written."""
        row = self.rows[call.compat, call.nr]
        how = _WRITES.get(row.name)
        if how is None:
            row.entry(call)
            return
        event = Event("", self.process_of(call.tid), row.name, data=self._data(call, how, None), target=self._target(call))
        # its position is here: another process may have read the words, and passed them on, before the writer's call is seen to end
        self.events.append(event)
        self.pending[call.tid] = event

    def begin(self, call: TracedCall) -> None:
        """Nothing is shown while the command runs."""

    def end(self, call: TracedCall) -> None:
        """Keep the parts of a call that matter."""
        row = self.rows[call.compat, call.nr]
        process = self.process_of(call.tid)
        bad = failed(call)
        event = self.pending.pop(call.tid, None)
        if row.name in ("execve", "execveat") and not bad:
            self._started(process, call)
            return
        if row.name in _READS and not bad:
            target = self._target(call)
            if call.result > 0 and (not target.startswith(b"/") or target.startswith(b"/dev/")):
                self.events.append(Event("read", process, row.name, data=self._data(call, _READS[row.name], call.result), target=target))
            return
        if event is not None and not bad and row.name != "sendto":
            event.kind = "write"
            return
        if row.name == "getsockopt" and not bad:
            self._told_later(process, call)
            return
        if row.name in ("connect", "sendto") and not bad:
            self._sent(process, call, row.joined(call), event)
            return
        self._keep(process, row, call, bad, event)

    def _keep(self, process: int, row: Row, call: TracedCall, bad: bool, event: Event | None) -> None:
        """Keep a failure, or the success of a call that names a path."""
        spelled, paths = self._paths(row.path_arguments, call) if row.path_arguments else ((), ())
        path = paths[-1] if paths else b""
        if not bad and not path:
            return
        target = event.target if event is not None else self._target(call) if bad and row.fd_arguments else b""
        one = Event("call", process, row.name, path or self._guest(target), target=target, paths=paths, spelled=spelled, time=call.end)
        if bad:
            one.error = -call.result
            one.words = f"{row.name}({row.joined(call)})"
            fd = signed(call.args[row.fd_arguments[0]]) if row.fd_arguments else -1
            self._name_socket(one, call.tid)
            if row.name == "connect":
                one.address = one.words
                if one.error in _PENDING:
                    self.connecting[process, fd] = one
            elif (process, fd) in self.connecting:
                one.address = self.connecting[process, fd].words
            one.around = circumstances.of(one, call.tid, fd)
        self.events.append(one)

    def _name_socket(self, one: Event, tid: int) -> None:
        """Give a call about a socket of AF_UNIX the path of its address."""
        found = _SUN_PATH.search(one.words) if one.name in ("connect", "bind", "sendto") else None
        if found is None or self.context.places is None:
            return
        name = found[1].encode()
        base = b"" if name.startswith(b"/") else self.context.places.path_of_cwd(tid) + b"/"
        one.path, one.spelled = os.path.normpath(base + name), (name,)
        one.paths = (one.path,)

    def _sent(self, process: int, call: TracedCall, words: str, event: Event | None) -> None:
        """Keep what went to a name server, and where a socket is connected to."""
        name = "connect" if event is None else "sendto"
        if event is not None:
            event.kind = "write"
        one = Event("call", process, name, words=f"{name}({words})", address=f"{name}({words})")
        if name == "connect":
            self.connecting[process, signed(call.args[0])] = one
        if "htons(53)" in words:
            self.events.append(one)

    def _told_later(self, process: int, call: TracedCall) -> None:
        """Take the errno that a socket has for the call that began to connect it."""
        begun = self.connecting.get((process, signed(call.args[0])))
        if begun is None or (signed(call.args[1]), signed(call.args[2])) != _SO_ERROR or begun.error not in _PENDING:
            return
        data = self.context.peek(call.tid, call.args[3], 4)
        number = struct.unpack("<i", data)[0] if data else 0
        if number:
            words, target = begun.words, begun.target
            self.events.append(
                Event("call", process, "connect", begun.path, number, words, target=target, paths=begun.paths, spelled=begun.spelled,
                      later=begun.error, time=call.end, address=begun.address)
            )  # fmt: skip
        begun.error = 0

    def event(self, name: str, tid: int, number: int, more: object, now: int) -> None:
        """Keep births, signals and exits."""
        if name == "birth":
            assert isinstance(more, int)
            parent = self.process_of(number)
            if more & _CLONE_THREAD:
                self.threads[tid] = parent
            else:
                self.threads[tid] = tid
                self.processes[tid] = Process(parent, self.processes[parent].program)
                self.processes[parent].children.append(tid)
        elif name == "signal":
            self.events.append(Event("signal", self.process_of(tid), status=number, data=more if isinstance(more, bytes) else b""))
        elif name == "gone" and self.threads.get(tid) == tid:
            self.processes[tid].status = number
            self.events.append(Event("exit", tid, status=number))

    # -- parts of a call

    def _started(self, process: int, call: TracedCall) -> None:
        known = self.processes[process]
        # the first one is the supervisor's own, and names the loader
        known.program = call.ins[0] or b"" if known.program or process != self.first else self.context.program
        known.arguments = self.rows[call.compat, call.nr].joined(call)
        self.events.append(Event("call", process, "execve", path=known.program, paths=(known.program,)))

    def _target(self, call: TracedCall) -> bytes:
        row = self.rows[call.compat, call.nr]
        fd = next((signed(call.args[at]) for at in row.fd_arguments), -1)
        try:
            return os.readlink(f"/proc/{call.tid}/fd/{fd}".encode()) if fd >= 0 else b""
        except OSError:
            return b""

    def _guest(self, host: bytes) -> bytes:
        if not host.startswith(b"/"):
            return host
        return self.core.detranslate(host) or host

    def _paths(self, arguments: list[int], call: TracedCall) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Give the paths that a call names, as they are spelled and as absolute guest paths."""
        row, places = self.rows[call.compat, call.nr], self.context.places
        assert places is not None
        spelled, paths = [], []
        for at in arguments:
            data = self.context.peek_string(call.tid, call.args[at], 4096)
            if not data:
                continue
            spelled.append(data)
            if not data.startswith(b"/"):
                directory = row.directory_of(at)
                fd = signed(call.args[directory]) if directory is not None else AT_FDCWD
                base = places.path_of_cwd(call.tid) if fd == AT_FDCWD else places.path_of_fd(call.tid, fd)
                data = base.rstrip(b"/") + b"/" + data
            paths.append(os.path.normpath(data))
        return tuple(spelled), tuple(paths)

    def _data(self, call: TracedCall, how: str, result: int | None) -> bytes:
        """Read what a call writes, or what it has read."""
        room = _BYTES if result is None else min(result, _BYTES)
        if how == "buf":
            size = min(call.args[2], room)
            return self.context.peek(call.tid, call.args[1], size) or b""
        vector, count = call.args[1], call.args[2]
        if how == "msg":
            header = self.context.peek(call.tid, call.args[1], 56)
            if header is None:
                return b""
            vector, count = int.from_bytes(header[16:24], "little"), int.from_bytes(header[24:32], "little")
        data = b""
        for index in range(min(count, 64)):
            piece = self.context.peek(call.tid, vector + 16 * index, 16)
            if piece is None or len(data) >= room:
                break
            base, size = int.from_bytes(piece[:8], "little"), int.from_bytes(piece[8:], "little")
            data += self.context.peek(call.tid, base, min(size, room - len(data))) or b""
        return data
