"""Config: the one validated description of a run.

Decides: defaults, what wins when options are repeated, and which values are refused before anything is started. Not
decided here: spellings (``options``), where a binding lands in the guest (``binding``), whether the command exists
(``launch``). The environment variables that pyroot reads are read here and nowhere else, except the terminal's own
(``report``).
"""

import os

from pyroot import binding
from pyroot.errors import PyrootError, shell_word, text_of
from pyroot.report import note, set_verbosity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.leaving import Behind
    from pyroot.options import Parsed
    from pyroot.trace.session import Sink


_LONGEST = 1e6  # s


class Config:
    """One run. Every path is bytes; ``rootfs`` is canonical, the other host paths are absolute."""

    __slots__ = (
        "rootfs",
        "rootfs_spelled",
        "presets",
        "binds",
        "cwd",
        "host_cwd",
        "command",
        "kill_on_exit",
        "detach_daemons",
        "behind",
        "grace",
        "net",
        "stats",
        "verbose",
        "seccomp",
        "handover",
        "tmp_dirs",
        "trace",
    )

    def __init__(self, rootfs: bytes = b"/", command: list[bytes] | None = None) -> None:
        self.rootfs = rootfs  # canonical host path of a directory
        self.rootfs_spelled = rootfs  # the same as the user wrote it, made absolute
        self.presets: list[str] = []  # names of files in bind/
        self.binds: list[binding.Binding] = []  # the -b options in order
        self.cwd: bytes | None = None  # the guest path of -w, absolute
        self.host_cwd: bytes | None = None  # None when the current directory was removed
        self.command: list[bytes] = command or []  # empty: a login shell
        self.kill_on_exit = False
        self.detach_daemons = False
        self.behind: "Behind | None" = None  # who is to be told when the command ends, where the caller waits for another process
        self.grace = 5.0  # seconds from TERM to KILL, for what the command left behind
        self.net = False  # a layer of Landlock around guests
        self.stats = False
        self.verbose = 0
        self.seccomp = True
        self.handover = True  # a pyroot around this one may serve the command
        self.trace: "Sink | None" = None  # who is told of every call (pyroot.trace)
        self.tmp_dirs: list[bytes] = []  # where a place for missing bind targets may be made


def build(parsed: "Parsed") -> Config:
    """Turn the words of a command line into a Config; raise PyrootError for a value that cannot be used."""
    config = Config(command=[os.fsencode(word) for word in parsed.command])
    config.host_cwd = _current_directory()
    config.seccomp = not (os.environb.get(b"PYROOT_NO_SECCOMP") or os.environb.get(b"PROOT_NO_SECCOMP"))
    config.handover = not os.environb.get(b"PYROOT_NO_HANDOVER")
    named = (os.environb.get(name) for name in (b"PYROOT_TMP_DIR", b"PROOT_TMP_DIR", b"TMPDIR"))
    config.tmp_dirs = [path for path in named if path and path.startswith(b"/")]
    config.tmp_dirs += [b"/tmp", b"/var/tmp", b"/dev/shm"]
    roots: list[tuple[str, str]] = []
    for option, spelling, value in parsed.settings:
        if option.metavar and not value:
            raise PyrootError(f"{spelling}: the value {option.metavar} is empty", option.help)
        if option.field in ("rootfs", "recommended"):
            roots.append((spelling, value))
            if option.field == "recommended" and "recommended" not in config.presets:
                config.presets.append("recommended")
        elif option.field == "binds":
            config.binds.append(binding.parse(os.fsencode(value), config.host_cwd, f"{spelling} {value}"))
        elif option.field == "cwd":
            config.cwd = binding.absolute(os.fsencode(value), config.host_cwd, f"{spelling} {value}")
        elif option.field == "verbose":
            config.verbose = _level(spelling, value)
        elif option.field == "net":
            config.net = not os.environb.get(b"PYROOT_NO_LANDLOCK")
        elif option.field == "stats":
            config.stats = True
        elif option.field == "grace":
            config.grace = seconds(spelling, value)
        elif option.field == "detach_daemons":
            config.detach_daemons = True
        else:
            config.kill_on_exit = True
    if config.detach_daemons and config.kill_on_exit:
        raise PyrootError("--kill-on-exit, --detach-daemons: one ends what is left behind, the other lets it run", "keep one of them")
    set_verbosity(config.verbose)
    _set_root(config, roots)
    return config


def _current_directory() -> bytes | None:
    try:
        return os.getcwdb()
    except OSError:
        return None


def _level(spelling: str, value: str) -> int:
    try:
        return int(value, 10)
    except ValueError:
        raise PyrootError(f"{spelling} {value}: not a number", f"{spelling} 1 says more, {spelling} -1 less") from None


def seconds(spelling: str, value: str) -> float:
    """Read a time that somebody is given; raise PyrootError for what is none."""
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= _LONGEST:  # "nan" is neither
        raise PyrootError(f"{spelling} {value}: not a time in seconds", f"{spelling} 5 waits for five seconds, {spelling} 0 for none")
    return number


def _set_root(config: Config, roots: list[tuple[str, str]]) -> None:
    if not roots:
        return
    spelling, value = roots[-1]
    if len(roots) > 1:
        note(1, f"root given {len(roots)} times: the last one counts, {spelling} {value}")
    shown = f"{spelling} {value}"
    config.rootfs_spelled = binding.absolute(os.fsencode(value), config.host_cwd, shown)
    if b".." not in config.rootfs_spelled.split(b"/"):
        config.rootfs_spelled = os.path.normpath(config.rootfs_spelled)
    try:
        config.rootfs = os.path.realpath(config.rootfs_spelled, strict=True)
        is_directory = os.path.isdir(config.rootfs)
    except OSError as error:
        raise PyrootError(f"{shown}: {text_of(error.errno or 0)}", _root_hint(value, error)) from None
    if not is_directory:
        raise PyrootError(f"{shown}: not a directory", "the root is a directory that holds bin, etc, usr and so on")
    if not os.access(config.rootfs, os.X_OK):
        raise PyrootError(f"{shown}: permission denied", "the root must be a directory that you may enter")


def _root_hint(value: str, error: OSError) -> str:
    if value.startswith("-"):
        return "the word behind the option is taken as the directory; was it left out?"
    if not isinstance(error, FileNotFoundError):
        return "the root is a directory that you may enter"
    return f"pyroot new {shell_word(value)} makes a small root there out of this machine's programs"
