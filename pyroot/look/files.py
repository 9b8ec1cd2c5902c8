"""`pyroot files`: which files guest processes have open, and which processes have a file open.

Decides: the verb's options, what counts as a file's match, the columns and the JSON. Paths are the guest's; what it has no
name for is shown by the host's path. No file is opened: stat(2) of the links in /proc gives type and size.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from pyroot.look import proc
from pyroot.look.ps import numbers, shown
from pyroot.look.sessions import Session, chosen, command_of, find, program_of, user_of
from pyroot.look.sockets import Socket, Tables, inode_of, wanted
from pyroot.verbs.output import json_text, put, safe
from pyroot.verbs.words import Verb, Words, flag, value

FILES = Verb(
    "files",
    """\
usage: pyroot files [OPTION...] [PATH...]

List what guest processes have open: files, sockets, pipes, the working directory
(cwd), the program (txt) and what is mapped (mem). With PATH: who has that file open,
under any name. Paths are the guests'. Nothing is stopped for this. As with lsof, of
several conditions one is enough, with -a all have to hold.
Exit status: 0 if something is listed, 1 if nothing is.
""",
    (
        value("-p", "PID[,PID...]", "these processes, or whole sessions by their supervisor's number", "pid", also=("--pid",)),
        value("-u", "USER[,USER...]", "processes of these users, by name or number; ^USER: none of these", "user"),
        flag("-a", "with -p, -u, -i, PATH and +D: all of them at once, not one of them", "every"),
        value("+D", "DIR", "what is in DIR or below it", "below"),
        value("-i", "[ADDRESS]", "Internet sockets: [46][tcp|udp][@ADDRESS][:PORT[-PORT]]", "internet"),
        flag("-m, --mapped", "files that are only mapped, too (with PATH and +D they always are)"),
        flag("--host", "PATH and DIR are the host's paths"),
        flag("--json", "print it as JSON"),
    ),
    19,
)
_KINDS = {
    stat.S_IFREG: "REG",
    stat.S_IFDIR: "DIR",
    stat.S_IFCHR: "CHR",
    stat.S_IFBLK: "BLK",
    stat.S_IFIFO: "FIFO",
    stat.S_IFLNK: "LINK",
    stat.S_IFSOCK: "sock",
}
_ACCESS = {os.O_RDONLY: "r", os.O_WRONLY: "w", os.O_RDWR: "u"}


@dataclass(frozen=True)
class Open:
    """One open file. `use` is cwd, txt, mem, or a descriptor's number with r, w or u; `path` is the guest's if `inside`."""

    use: str
    kind: str
    path: bytes
    inside: bool
    host: bytes
    file: tuple[int, int]  # device and inode
    size: int | None = None
    offset: int | None = None
    socket: Socket | None = None

    @property
    def name(self) -> str:
        """Give the name for people: the path, or what the socket is connected to."""
        one = self.socket
        if one is None:
            return shown(self.path, self.inside)
        if one.local is not None:
            ends = f"{one.protocol} {one.local}" + (f"->{one.remote}" if one.remote else "")
            return ends + (f" ({one.state})" if one.state else "")
        text = f"{shown(self.path, self.inside)} " if self.path else ""
        return " ".join(f"{text}{one.protocol} {one.state}".split())


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    words = FILES.read(argv)
    if "help" in words.flags:
        put(FILES.usage())
        return 0
    choice = _Choice(words)
    tables = Tables()
    listed: list[dict[str, object]] = []
    head = f"{'COMMAND':<15} {'PID':>7} {'USER':<10} {'FD':>5} {'TYPE':<7} {'SIZE/OFF':>9} {'NODE':>9} NAME"
    named = {status.pid for session in chosen(find(), choice.pids) for status in session.members} if choice.pids else set()
    for session in find():
        match = choice.in_session(session, named)
        for status in session.members:
            if not match.process(status):
                continue
            for one in open_files(session, status, tables, choice.mapped):
                if not match.file(status, one):
                    continue
                if "json" not in words.flags:
                    put(f"{head}\n" if not listed else "")
                    put(_line(status, one) + "\n")
                listed.append(as_json(session, status, one))
    if "json" in words.flags:
        put(json_text({"files": listed}))
    return 0 if listed else 1


class _Choice:
    """What the user asks for. Paths mean something different in each session."""

    def __init__(self, words: Words) -> None:
        host = "host" in words.flags
        paths, below = ([os.fsencode(path) for path in found] for found in (words.rest, words.values.get("below", [])))
        self.pids = numbers("files", words.values.get("pid", []))
        users = [name for text in words.values.get("user", []) for name in text.split(",") if name]
        self.users = [name for name in users if not name.startswith("^")]
        self.left_out = [name[1:] for name in users if name.startswith("^")]
        self.paths = [os.path.abspath(path) if host else b"/" + path.lstrip(b"/") for path in paths]
        self.below = [os.path.realpath(path) if host else b"/" + path.strip(b"/") for path in below]
        self.internet = [wanted(text) for text in words.values.get("internet", [])]
        self.host = host
        self.every = "every" in words.flags
        self.all_mapped = "mapped" in words.flags
        self.mapped = self.all_mapped or bool(paths or below)

    def in_session(self, session: Session, named: set[int]) -> _Match:
        """Find out what the paths lead to in a session; `named` are the processes that -p names."""
        files: set[tuple[int, int]] = set()
        for path in self.paths:
            host = path if self.host else session.host(path)
            try:
                status = os.stat(host) if host is not None else None
            except OSError:
                status = None
            if status is not None:
                files.add((status.st_dev, status.st_ino))
        below = list(self.below)
        if not self.host and session.core is not None:
            for at, directory in enumerate(below):
                try:
                    below[at] = session.core.resolve(directory)[0]
                except OSError:
                    continue  # it does not exist: only its name can match
        return _Match(self, files, [b"" if directory == b"/" else directory for directory in below], named)


@dataclass(frozen=True)
class _Match:
    """What is wanted in one session. As with lsof one of the conditions is enough, with -a all are; -u ^USER is never listed."""

    choice: _Choice
    files: set[tuple[int, int]]
    below: list[bytes]
    named: set[int]

    def process(self, status: proc.Status) -> bool:
        """Tell whether any file of a process may be wanted."""
        choice = self.choice
        if any(name in (str(status.uid), user_of(status.uid)) for name in choice.left_out):
            return False
        asked = self._of_process(status)
        by_file = bool(choice.internet or choice.paths or choice.below)
        return not asked or (all(asked) if choice.every else any(asked) or by_file)

    def file(self, status: proc.Status, one: Open) -> bool:
        """Tell whether an open file of such a process is wanted."""
        choice = self.choice
        name = one.host if choice.host else one.path if one.inside else b""
        by_name = []
        if choice.paths:
            by_name.append(one.file in self.files or name.removesuffix(b" (deleted)") in choice.paths)
        if choice.below:
            inside = any(name == directory or name.startswith(directory + b"/") for directory in self.below)
            by_name.append(name.startswith(b"/") and inside)
        if one.use == "mem" and not choice.all_mapped and not any(by_name):
            return False
        asked = self._of_process(status)
        if choice.internet:
            asked.append(one.socket is not None and any(wish.matches(one.socket) for wish in choice.internet))
        if by_name:
            asked.append(any(by_name))
        return not asked or (all(asked) if choice.every else any(asked))

    def _of_process(self, status: proc.Status) -> list[bool]:
        asked = []
        if self.choice.pids:
            asked.append(status.pid in self.named)
        if self.choice.users:
            asked.append(any(name in (str(status.uid), user_of(status.uid)) for name in self.choice.users))
        return asked


def open_files(session: Session, status: proc.Status, tables: Tables, mapped: bool) -> Iterator[Open]:
    """List what a process has open: working directory, program, mapped files if they are wanted, descriptors in order."""
    yield from _link(session, status.pid, "cwd", "cwd", tables)
    program = program_of(status)
    seen: set[tuple[int, int]] = set()
    for mapping in [program] if program else []:
        seen.add((mapping.device, mapping.inode))
        yield _mapped(session, status.pid, "txt", mapping)
    for mapping in proc.mappings(status.pid) if mapped else ():
        # The loader and the arena are pyroot's; shared memory and memfds of the guest have no path that others could use.
        own = mapping.path.startswith((b"/memfd:", b"/SYSV", b"/dev/zero")) or not mapping.path.startswith(b"/")
        if not own and (mapping.device, mapping.inode) not in seen:
            seen.add((mapping.device, mapping.inode))
            yield _mapped(session, status.pid, "mem", mapping)
    numbers_open = proc.descriptors(status.pid)
    if numbers_open is None and status.state not in ("Z", "X"):
        yield Open("NOFD", "", b"(permission denied)", True, b"", (0, 0))
    for fd in numbers_open or ():
        yield from _link(session, status.pid, f"fd/{fd}", str(fd), tables)


def _mapped(session: Session, pid: int, use: str, mapping: proc.Mapping) -> Open:
    return Open(use, "REG", *session.guest(mapping.path), mapping.path, (mapping.device, mapping.inode), _size(pid, mapping))


def _size(pid: int, mapping: proc.Mapping) -> int | None:
    try:
        found = os.stat(f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}")
        return found.st_size
    except OSError:
        pass
    try:
        found = os.stat(mapping.path)
    except OSError:
        return None
    return found.st_size if found.st_ino == mapping.inode else None


def _link(session: Session, pid: int, name: str, use: str, tables: Tables) -> Iterator[Open]:
    text = proc.link(pid, name)
    try:
        found = os.stat(f"/proc/{pid}/{name}")
    except OSError:
        if not text:
            return  # it has just been closed, or may not be read
        yield Open(use, "", *session.guest(text), text, (0, 0))
        return
    offset = None
    if name.startswith("fd/"):
        info = dict(line.split(b":\t", 1) for line in proc.read(pid, f"fdinfo/{use}").splitlines() if b":\t" in line)
        use += _ACCESS.get(int(info.get(b"flags", b"0"), 8) & os.O_ACCMODE, "")
        offset = int(info.get(b"pos", b"0"))
    inode = inode_of(text)
    one = tables.of(pid, inode) if inode is not None else None
    path, inside = session.guest(one.path if one is not None else text)
    kind = one.family if one else _KINDS.get(stat.S_IFMT(found.st_mode), "")
    if text.startswith(b"anon_inode:"):
        kind = "a_inode"
    size = found.st_size if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode) else None
    yield Open(use, kind, path, inside, one.path if one else text, (found.st_dev, found.st_ino), size, offset, one)


def _line(status: proc.Status, one: Open) -> str:
    command = safe(os.path.basename(command_of(status)[0]))[:15]
    user = user_of(status.uid)[:10]
    amount = str(one.size) if one.size is not None else f"0t{one.offset}" if one.offset is not None else ""
    node = str(one.file[1] or "")
    return f"{command:<15} {status.pid:>7} {user:<10} {one.use:>5} {one.kind:<7} {amount:>9} {node:>9} {one.name}".rstrip()


def as_json(session: Session, status: proc.Status, one: Open) -> dict[str, object]:
    """Give an open file as what JSON can hold."""
    found: dict[str, object] = {
        "session": session.pid,
        "pid": status.pid,
        "command": [safe(word) for word in command_of(status)],
        "use": one.use.rstrip("rwu") if one.use[:1].isdigit() else one.use,
        "access": one.use[-1] if one.use[:1].isdigit() and not one.use[-1].isdigit() else None,
        "type": one.kind,
        "path": safe(one.path),
        "inside": one.inside,
        "host": safe(one.host),
        "device": one.file[0],
        "inode": one.file[1],
        "size": one.size,
        "offset": one.offset,
    }
    if one.socket is not None:
        ends = {"local": one.socket.local, "remote": one.socket.remote}
        found["socket"] = {
            "family": one.socket.family,
            "protocol": one.socket.protocol,
            "state": one.socket.state,
            **{name: str(end) if end else None for name, end in ends.items()},
        }
    return found
