"""Why a command could not be started, in the guest's terms.

Decides: which link of the chain program -> ``#!`` interpreter -> ... -> ELF interpreter is the broken one, the line
that says so and the hint that goes with it. Not decided here: the exit code's meaning (``errors``), when this is
asked (``launch``); nothing is imported from here until something has failed.

Facts: execve(2) and its errno list, Linux ``fs/exec.c`` (256 bytes of header, 5 interpreters in a row),
``fs/binfmt_script.c`` (how the ``#!`` line is cut), elf(5).
"""

import errno
import os
import stat
import struct

from pyroot import options
from pyroot.errors import EXIT_NOT_FOUND, PyrootError, as_owner, exec_exit_code, shell_word, text_of
from pyroot.option_kinds import LEVEL, PLACE, QUESTION, RECOMMENDED
from pyroot.report import note
from pyroot.verbs.near import near_names, of_shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot._fast import Core
    from pyroot.config import Config

HEADER_SIZE = 256  # BINPRM_BUF_SIZE, linux/binfmts.h
MAX_SCRIPTS = 5  # scripts in a row, fs/exec.c
USUAL_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_REFUSED = "a filter around pyroot seems to refuse this call, or the kernel lacks it; pyroot check tells more"
_PT_INTERP = 3
_CLASS_32 = 1
_CLASS_64 = 2
_TYPES = (2, 3)  # ET_EXEC, ET_DYN
_THIS_MACHINE = {"x86_64": 62, "aarch64": 183}
_COMPATIBLE = {62: (3, 6)}  # whose 32-bit programs this machine runs
_MACHINES = {
    2: "SPARC", 3: "i386", 4: "m68k", 8: "MIPS", 15: "PA-RISC", 20: "PowerPC", 21: "PowerPC 64", 22: "s390", 40: "ARM",
    42: "SuperH", 43: "SPARC 64", 50: "Itanium", 62: "x86_64", 183: "aarch64", 243: "RISC-V", 258: "LoongArch",
}  # fmt: skip


class Broken(Exception):
    """The broken link: what is wrong with it and what to do."""

    def __init__(self, reason: str, hint: str, missing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.missing = missing  # not there at all


class Link:
    """One program of the chain: its guest path as written where it was found, and what it is to the one before it."""

    __slots__ = ("guest", "role")

    def __init__(self, guest: bytes, role: str = "") -> None:
        self.guest = guest
        self.role = role


def not_found(core: "Core", config: "Config", name: bytes, path: bytes) -> PyrootError:
    """Say that no directory of ``path`` has the command ``name``."""
    shown = os.fsdecode(name)
    if not name:
        return PyrootError("the name of the command is empty", "a command is a word like ls or /bin/ls", EXIT_NOT_FOUND)
    message = f"{shown}: not found in the guest's PATH ({os.fsdecode(path)})"
    return PyrootError(message, search_hint(core, config, name, path), EXIT_NOT_FOUND)


def search_hint(core: "Core", config: "Config", name: bytes, path: bytes) -> str:
    """Say what to do about a name that no directory of ``path`` has."""
    shown = os.fsdecode(name)
    root = os.fsdecode(config.rootfs_spelled)
    searched = path.split(b":")
    for directory in USUAL_PATH.split(b":"):
        if directory not in searched and _exists(core, directory + b"/" + name):
            place = os.fsdecode(directory)
            return f"the root {root} has {place}/{shown}: add {place} to PATH or give the full path"
    words = [os.fsdecode(word) for word in config.command]
    if hint := of_shell(words, _root_words(config)):
        return hint
    if config.rootfs == b"/":
        from pyroot.verbs.near import of_first_word

        verbs = [verb[0] for verb in options.VERBS]
        if hint := of_first_word(words, verbs) or _as_root_hint(config, os.getcwdb()) or _misplaced_hint(config):
            return hint
        near = near_names(shown, (os.fsdecode(entry) for directory in searched for entry in _names_in(core, directory)))
        return f"did you mean {' or '.join(near)}?" if near else "is the name spelled right, and is the program installed?"
    if not any(_exists(core, directory) for directory in (b"/bin", b"/usr/bin", b"/sbin")):
        return no_root_hint(config.rootfs, root)
    # an option of pyroot's after a program that this machine has is likely to be the program's own
    here = any(os.access(directory + b"/" + name, os.X_OK) for directory in searched if directory)
    if hint := "" if here else _misplaced_hint(config):
        return hint
    if here:
        return _copy_hint(root, shown, shown)
    near = near_names(shown, (os.fsdecode(entry) for directory in searched for entry in _names_in(core, directory)))
    if near:
        return f"did you mean {' or '.join(near)}?"
    if name in (verb[0].encode() for verb in options.VERBS):
        return f"a verb is the very first word: pyroot {shown} {shell_word(root)}"
    return f"the root {root} has no such program: install it there"


def _root_words(config: "Config") -> str:
    """Give the option that names the root, with a blank; nothing for the host's own."""
    return "" if config.rootfs == b"/" else f"-r {shell_word(os.fsdecode(config.rootfs_spelled))} "


def no_root_hint(host: bytes, root: str) -> str:
    """Say what to do about a directory that does not look like a root: it is empty, or holds the root one level below."""
    try:
        names = sorted(os.listdir(host))
    except OSError:
        names = []
    if not names:
        return f"the directory {root} is empty: pyroot new {shell_word(root)} fills it with a shell and the usual tools"
    inner = [name for name in names if any(os.path.isdir(os.path.join(host, name, part)) for part in (b"bin", b"usr/bin"))]
    if len(inner) == 1:
        return f"did you mean {shell_word(root.rstrip('/') + '/' + os.fsdecode(inner[0]))}? {root} itself has neither bin nor usr/bin"
    return f"the root {root} has neither /bin nor /usr/bin; pyroot new DIR makes a small root"


def _names_in(core: "Core", guest_directory: bytes) -> list[bytes]:
    try:
        return os.listdir(core.resolve(guest_directory)[1]) if guest_directory else []
    except OSError:
        return []


def misplaced(command: list[str]) -> str:
    """Return the first word after the command's name that can only be one of pyroot's options, or the empty string.

    A spelling that many programs have counts if what follows it is what the option takes: a directory, or a path.
    """
    for number, word in enumerate(command[1:], 2):
        if word == "--":
            break
        option = options.RUN.by_name.get(word.partition("=")[0])
        if option is None or option.kind is QUESTION or option.kind is LEVEL:
            continue
        following = command[number] if number < len(command) else ""
        if word.startswith("--") and option.kind is not PLACE or option.kind is RECOMMENDED and not following:
            return word
        if option.metavar and ("/" in following or following and os.path.isdir(following)):
            return word
    return ""


def _misplaced_hint(config: "Config") -> str:
    word = misplaced([os.fsdecode(word) for word in config.command])
    if not word:
        return ""
    return f"options go before the command: {word} after it belongs to the command"


def _as_root_hint(config: "Config", cwd: bytes) -> str:
    """Say how a directory in the place of the command is used as a root, if no root was given."""
    word = config.command[0] if config.command else b""
    if config.rootfs != b"/" or not word or not os.path.isdir(os.path.join(cwd, word)):
        return ""
    last = config.binds[-1] if config.binds else None
    if len(config.command) > 1 and config.command[1].startswith(b"-") and last is not None and last.host == last.guest:
        return f"-b takes one word: -b {shell_word(os.fsdecode(last.host))}:{shell_word(os.fsdecode(word))}"
    own = [one for one in config.command[1:] if one not in (b"-r", b"-R", b"--rootfs")]
    rest = " ".join(shell_word(os.fsdecode(one)) for one in own[:2]) or "COMMAND"
    return f"pyroot -r {shell_word(os.fsdecode(word))} {rest} runs it with this directory as its root"


def _exists(core: "Core", guest_path: bytes) -> bool:
    try:
        core.resolve(guest_path)
    except OSError:
        return False
    return True


def exec_failure(core: "Core", config: "Config", program: bytes, cwd: bytes, error: OSError) -> PyrootError:
    """Say why the execve of ``program`` failed with ``error``."""
    number = error.errno or errno.ENOEXEC
    links = [Link(program)]
    try:
        while True:
            following = _examine(core, links[-1], cwd, os.fsdecode(config.rootfs_spelled))
            if following is None:
                break
            if following.role.startswith("#!") and following.guest in [link.guest for link in links]:
                why = f"its #! interpreter is {os.fsdecode(following.guest)} again"
                raise Broken(why, "a #! line should name a program, not a script that it is to interpret")
            links.append(following)
            if sum(link.role.startswith("#!") for link in links) > MAX_SCRIPTS:
                raise Broken(f"more than {MAX_SCRIPTS} scripts in a row", "a #! line should name a program")
        reason, hint = _without_finding(number)
        del links[1:]
    except Broken as broken:
        reason, hint = broken.reason, broken.hint
        if links[-1].role.startswith("ELF") and broken.missing:
            from pyroot.needs import with_libraries

            root = os.fsdecode(config.rootfs_spelled)
            reason, hint = with_libraries(core, links[-2].guest, reason, hint, links[-1].guest, root)
    named = [os.fsdecode(program)] + [f"its {link.role} {os.fsdecode(link.guest)}" for link in links[1:]]
    if len(links) == 1 and number in (errno.ENOENT, errno.ENOTDIR):
        hint = of_shell([os.fsdecode(word) for word in config.command], _root_words(config)) or _misplaced_hint(config) or hint
        if config.rootfs != b"/" and not any(_exists(core, directory) for directory in (b"/bin", b"/usr/bin")) and not config.command:
            hint = no_root_hint(config.rootfs, os.fsdecode(config.rootfs_spelled))
    if len(links) == 1 and (shown := _as_root_hint(config, cwd)):
        hint = shown
    return PyrootError(f"{': '.join(named)}: {reason}", hint, exec_exit_code(number))


def _without_finding(number: int) -> tuple[str, str]:
    hints = {
        errno.E2BIG: "the arguments and the environment together are too long",
        errno.ENOEXEC: "perhaps this kernel runs no 32-bit programs: it can be built or started without them",
        errno.ETXTBSY: "some process has the file open for writing",
        errno.ENOMEM: "there is not enough memory, or a limit of ulimit -v is too low",
        errno.EAGAIN: "there are too many processes, see ulimit -u",
        errno.EPERM: "a security module or a limit of this machine forbids it",
    }
    return text_of(number), hints.get(number, "")


def tell_if_alone(places: tuple[bytes, bytes]) -> None:
    """Say that other sessions of this root will not be seen."""
    from pyroot import _fast

    if not _fast.can_share(places):
        tried = "$XDG_RUNTIME_DIR/pyroot, $TMPDIR/pyroot-UID, /tmp/pyroot-UID"
        note(1, f"no place for sessions to find each other, this one is alone: none of {tried} is yours alone")


def runs_i386() -> bool:
    """Tell whether the loader for 32-bit programs was built."""
    import pyroot.guest

    return os.path.exists(os.path.join(os.path.dirname(pyroot.guest.__file__ or ""), "loader-i386"))


def is_plain_script(core: "Core", program: bytes, cwd: bytes) -> bool:
    """Tell whether ``program``, which the kernel refused with ENOEXEC, is a text that execvp(3) gives to the shell."""
    try:
        header = _read_header(core.resolve(program, cwd)[1])
    except (OSError, Broken):
        return False
    return bool(header) and not header.startswith(b"\x7fELF") and b"\0" not in header


def _examine(core: "Core", link: Link, cwd: bytes, root: str) -> Link | None:
    """Check one program as execve would; return the interpreter that it names, None at the end of the chain."""
    host_path = _locate(core, link, cwd, root)
    _check_permissions(host_path, root)
    header = _read_header(host_path)
    if header.startswith(b"#!"):
        return _script_interpreter(header, host_path)
    if header.startswith(b"\x7fELF"):
        return _elf_interpreter(host_path, link)
    if not header:
        raise Broken("is an empty file", "it was probably not copied or unpacked completely")
    raise Broken("has no format that this machine can execute", "a program is an ELF file or begins with #!")


def _locate(core: "Core", link: Link, cwd: bytes, root: str) -> bytes:
    try:
        return core.resolve(link.guest, cwd)[1]
    except OSError as error:
        if error.errno != errno.ENOENT:
            hint = "the path must lead to a program in the guest"
            if error.errno == errno.EACCES:
                hint = "a directory of it may not be entered: leave it out of PATH"
            raise Broken(text_of(error.errno or 0), hint) from None
    target = _dangling_target(core, link, cwd)
    reason = f"is a link to {os.fsdecode(target)}, which is not in the guest" if target else "not in the guest"
    raise Broken(reason, _missing_hint(link, root), True)


def _dangling_target(core: "Core", link: Link, cwd: bytes) -> bytes:
    try:
        return os.readlink(core.resolve(link.guest, cwd, False)[1])
    except OSError:
        return b""


def _copy_hint(root: str, name: str, what: str) -> str:
    command = f"{as_owner(root)}pyroot copy {shell_word(root)} {shell_word(name)}"
    return f"{command} copies this machine's {what} there, with all that it needs"


def _missing_hint(link: Link, root: str) -> str:
    name = os.fsdecode(link.guest)
    if link.role.startswith("ELF"):
        if root != "/" and os.path.isfile(name):
            return f"{as_owner(root)}pyroot copy {shell_word(root)} {shell_word(name)} brings this machine's"
        return f"install the C library in the root; pyroot copy {shell_word(root)} PROGRAM brings a program with its libraries"
    if link.role.startswith("#!"):
        if os.access(link.guest, os.X_OK) and name.startswith("/"):
            return _copy_hint(root, name, "interpreter")
        return f"install {name} in the root, or let the first line of the script name an interpreter that is there"
    if root != "/" and name.startswith("/") and os.path.isfile(name) and os.access(name, os.X_OK):
        return _copy_hint(root, name, name)
    return "paths of the command are those of the guest; -b makes a host path appear there"


def _check_permissions(host_path: bytes, root: str) -> None:
    try:
        mode = os.stat(host_path).st_mode
    except OSError as error:
        raise Broken(text_of(error.errno or 0), "") from None
    if stat.S_ISDIR(mode):
        raise Broken("is a directory", "a command is a file with the x bit")
    if not stat.S_ISREG(mode):
        raise Broken("is not a regular file", "a command is a regular file with the x bit")
    if os.access(host_path, os.X_OK):
        return
    if not mode & 0o111:
        command = f"{as_owner(host_path)}chmod +x {shell_word(os.fsdecode(host_path))}"
        raise Broken("has no x bit", f"{command}, if it is a program; pyroot doctor {shell_word(root)} finds others")
    if os.statvfs(host_path).f_flag & os.ST_NOEXEC:
        raise Broken("is on a file system mounted noexec", "move the root to a file system that allows programs")
    raise Broken("you are not permitted to execute it", "look at its owner, its mode and its access control list")


def _read_header(host_path: bytes) -> bytes:
    try:
        with open(host_path, "rb") as file:
            return file.read(HEADER_SIZE)
    except OSError as error:
        reason = "you are not permitted to read it" if error.errno == errno.EACCES else text_of(error.errno or 0)
        command = f"{as_owner(host_path)}chmod +r {shell_word(os.fsdecode(host_path))}"
        raise Broken(reason, f"{command}: pyroot must read a program to start it") from None


def _script_interpreter(header: bytes, host_path: bytes) -> Link:
    line, newline, _rest = header[2:].partition(b"\n")
    text = line.strip(b" \t")
    name = text.replace(b"\t", b" ").partition(b" ")[0]
    if not name:
        raise Broken("its #! line names no interpreter", "a script begins with a line like #!/bin/sh")
    if not newline and name == text and len(header) == HEADER_SIZE:
        raise Broken("its #! line is too long", f"the kernel reads {HEADER_SIZE} bytes of it")
    if name.endswith(b"\r"):
        raise Broken(
            f"its #! line ends in CR LF, so the kernel looks for {os.fsdecode(name)}",
            f"{as_owner(host_path)}sed -i 's/\\r$//' {shell_word(os.fsdecode(host_path))} gives it Unix line ends",
        )
    return Link(name, "#! interpreter")


def _elf_interpreter(host_path: bytes, link: Link) -> Link | None:
    with open(host_path, "rb") as file:
        head = file.read(64)
        if len(head) < 20:
            raise _cut_off()
        order = ">" if head[5] == 2 else "<"
        file_type, machine = struct.unpack_from(order + "HH", head, 16)
        ours = _THIS_MACHINE.get(os.uname().machine, machine)
        compat = machine in _COMPATIBLE.get(ours, ()) and head[4] == _CLASS_32
        if compat and not runs_i386():
            raise Broken(
                "is a 32-bit program for i386, and this pyroot was built without the loader for these",
                "build pyroot where gcc -m32 works (Debian: apt-get install gcc-multilib)",
            )
        if not compat and (machine != ours or head[4] != _CLASS_64):
            bits = "64" if head[4] == _CLASS_64 else "32"
            theirs = _MACHINES.get(machine, f"processor number {machine}")
            raise Broken(
                f"is a {bits}-bit program for {theirs}, this pyroot runs 64-bit programs for {_MACHINES[ours]}",
                f"use a root that was made for {_MACHINES[ours]}",
            )
        if file_type not in _TYPES:
            raise Broken("is an ELF file, but no program", "an object or core file cannot be executed")
        if link.role.startswith("ELF"):
            return None
        if len(head) < (52 if compat else 64):
            raise _cut_off()
        at, fields = (28, "I10xHH") if compat else (32, "Q14xHH")
        offset, entry_size, entries = struct.unpack_from(order + fields, head, at)
        file.seek(offset)
        table = file.read(entry_size * entries)
        if len(table) < entry_size * entries:
            raise _cut_off()
        fields, least, whole = ("II8xI", 19, 32) if compat else ("I4xQ16xQ", 39, 56)
        for start in range(0, len(table) - least, max(entry_size, whole)):
            kind, place, size = struct.unpack_from(order + fields, table, start)
            if kind == _PT_INTERP:
                file.seek(place)
                name = file.read(min(size, 4096)).partition(b"\0")[0]
                if not name:
                    raise _cut_off()
                return Link(name, "ELF interpreter")
    return None


def _cut_off() -> Broken:
    return Broken("is an ELF file that ends too early", "it was probably not copied or unpacked completely")


def core_failure(error: Exception, file: bytes | None = None) -> PyrootError:
    """Say why the core could not start or go on; ``file``: what the user has named for owners to be remembered in."""
    text = str(error)
    hint = "PYROOT_DEBUG=1 shows where it happened"
    if is_request(error):
        text = _named_request(text)
        hint = _REFUSED
    elif text.startswith("ptrace"):
        if tracer := _status_field(b"TracerPid:"):
            hint = f"process {tracer} traces this one already: pyroot does not run inside strace or gdb; pyroot check tells more"
        elif _status_field(b"NoNewPrivs:"):
            hint = "a sandbox around pyroot seems to refuse ptrace (in a container: --cap-add SYS_PTRACE); pyroot check tells more"
        else:
            hint = "look at /proc/sys/kernel/yama/ptrace_scope and, in a container, for the capability SYS_PTRACE; pyroot check tells more"
    elif text.startswith("the owners remembered"):
        text, _colon, hint = text.partition(": ")
        if file:
            text = f"{os.fsdecode(file)}: {text}".replace("for this root ", "")
            hint = "name another file; what this one remembers is lost if it is removed"
    elif text.endswith((os.strerror(errno.EPERM), os.strerror(errno.ENOSYS))):
        hint = _REFUSED
    elif " is a procfs " in text:
        # (it shows this process by the number that it has in a PID name space around this one)
        place = shell_word(text.split(" is a procfs ")[0])
        hint = f"cover it with a binding, as in -b /proc:{place}, or choose a root that does not hold it"
    elif text.startswith(("fork", "clone")):
        hint = limit_hint(os.strerror(errno.EAGAIN))
    elif hint_of_limit := limit_hint(text):
        hint = hint_of_limit
    return PyrootError(text, hint)


def limit_hint(text: str) -> str:
    """Name the limit that a message speaks of at its end, with its value; empty if it speaks of none."""
    import resource

    for number, what, letter, name in (
        (errno.EMFILE, "open files", "n", resource.RLIMIT_NOFILE),
        (errno.ENOMEM, "memory", "v", resource.RLIMIT_AS),
        (errno.EAGAIN, "processes", "u", resource.RLIMIT_NPROC),
    ):
        if text.lower().endswith(os.strerror(number).lower()) or number == errno.ENOMEM and text == "out of memory":
            limit = resource.getrlimit(name)[0]
            value = "none" if limit == resource.RLIM_INFINITY else str(limit // 1024 if letter == "v" else limit)
            return f"the limit on {what} is too low: ulimit -{letter} is {value}"
    return ""


def is_request(error: Exception) -> bool:
    """Say whether a request of ptrace(2) that was refused has ended the session (pyroot_lose in pyroot/_fast/ground/refused.pxi)."""
    return str(error).startswith("ptrace request ")


def _named_request(text: str) -> str:
    """Give the request of ptrace(2) in a text of the core its name."""
    from pyroot.trace.names import named

    number, colon, why = text.removeprefix("ptrace request ").partition(":")
    return f"ptrace({named('ptrace').one(int(number, 16))}){colon}{why}"


def _status_field(name: bytes) -> int:
    """Return a number from this process's status in /proc, 0 if there is none."""
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(name):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0
