"""Config: the one validated description of a run.

Decides: defaults, what wins when options are repeated, and which values are refused before anything is started. Not
decided here: spellings (``options``), where a binding lands in the guest (``binding``), whether the command exists
(``launch``), what environment variables say (``environment``).
"""

import os

from pyroot import binding, environment
from pyroot.errors import PyrootError, shell_word, text_of
from pyroot.option_kinds import HERE, IDENTITIES, NAMES, PLACE, RECOMMENDED, ROOTS, SUPER
from pyroot.options import FIELDS
from pyroot.report import note, set_verbosity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.bwrap.verb import Watchers
    from pyroot.caller import Caller
    from pyroot.leaving import Behind
    from pyroot.options import Parsed
    from pyroot.trace.session import Sink

# Options that take two words in bubblewrap.
_TWO_WORDS = ("--bind", "--ro-bind", "--bind-try", "--symlink", "--file")

_BY_OPTIONS = tuple((field, option.kind.empty) for field, option in FIELDS.items())


DEVICES = b"/.pyroot/devices"  # a root with this file gets the harmless devices (bind/devices.bind) with -r, too


class Config:
    """One run. Every path is bytes; ``rootfs`` is canonical, the other host paths are absolute.

    The first fields are those of the rows of ``options``, with their values when they are not given: a row needs no line here
    except its type.
    """

    __slots__ = (
        *(field for field, _empty in _BY_OPTIONS),
        "rootfs_spelled",
        "identity",
        "host_cwd",
        "command",
        "behind",
        "caller",
        "argv0",
        "new_session",
        "cwd_shown",
        "falls_home",
        "seccomp",
        "gate",
        "handover",
        "places",
        "tmp_dirs",
        "trace",
    )

    rootfs: bytes  # canonical host path of a directory
    recommended: bool  # with the usual host paths
    binds: list[binding.Place]  # the -b options, and their like, in order
    read_only: bool  # the root
    overlay_root: bytes | None  # where changes of the root go, empty: they are thrown away
    cwd: bytes | None  # the guest path of -w, absolute
    skip_chdir: bool  # no -w counts
    su: bool  # with what a root user needs of the host
    root_id: bool
    change_id: str | None
    userspec: str | None
    user: str | None
    groups: str | None
    keep_env: bool
    fake_root: bytes | None  # where owners are remembered; empty: nowhere
    load: bytes | None  # what --save of another run has written
    save: bytes | None
    kernel_release: list[str] | None  # the fields of uname(2); empty ones are the kernel's
    hostname: str | None
    kill_on_exit: bool
    detach_daemons: bool
    grace: float  # seconds from TERM to KILL, for what the command left running
    no_network: bool  # but for this machine's own addresses
    net: bool  # a layer of Landlock around guests
    stats: bool
    verbose: int

    def __init__(self, rootfs: bytes = b"/", command: list[bytes] | None = None) -> None:
        for field, empty in _BY_OPTIONS:
            setattr(self, field, [] if empty == () else empty)
        self.rootfs = rootfs
        self.rootfs_spelled = rootfs  # the same as the user wrote it, made absolute
        self.identity: tuple[str, str, str] | None = None  # the option that says who the command is: field, as it was written, value
        self.host_cwd: bytes | None = None  # None if the current directory was removed
        self.command: list[bytes] = command or []  # empty: a login shell
        self.behind: "Behind | None" = None  # who is to be told when the command ends, if the caller waits for another process
        self.caller: "Caller | Watchers | None" = None  # who wants to know of the command: the Python program that has started this process
        self.argv0: bytes | None = None  # what the command finds as its own name, if that is not its first word
        self.new_session = False  # the command leads one of its own
        self.cwd_shown = "-w"  # the option that cwd comes from
        self.falls_home = False  # it begins at home where the guest lacks the current directory
        self.seccomp = True
        self.gate = True  # calls may be answered inside the guest
        self.handover = True  # a pyroot around this one may serve the command
        self.trace: "Sink | None" = None  # who is told of every call (pyroot.trace)
        self.places = (b"", b"")  # that the user's sessions meet in, besides the usual ones: a runtime directory, one for temporary files
        self.tmp_dirs: list[bytes] = []  # where mount points for missing targets of bindings may be made

    def spell_root(self, value: str, shown: str) -> None:
        """Remember how the user names the root, whose canonical path may differ."""
        self.rootfs_spelled = binding.absolute(os.fsencode(value), self.host_cwd, shown)
        if b".." not in self.rootfs_spelled.split(b"/"):
            self.rootfs_spelled = os.path.normpath(self.rootfs_spelled)

    @property
    def has_ids(self) -> bool:
        """Tell whether guests have ids of the session's own."""
        given = (self.identity, self.groups, self.fake_root, self.load, self.save)
        return any(one is not None for one in given)

    def bindings(self) -> list[binding.Place]:
        """Return the usual bindings of -R or -S, or the devices that the root asks for, then the user's own, which win.

        Who has ids of the session's own is in the guest's passwd, so -R leaves that where it is, and binds what -S does.
        """
        usual: list[binding.Place] = [binding.ReadonlyRoot()] if self.read_only else []
        if self.overlay_root is not None:
            shown = f"--overlay-root={os.fsdecode(self.overlay_root)}" if self.overlay_root else "--overlay-root"
            from pyroot.binding_kinds import RootOverlay

            usual.append(RootOverlay(self.rootfs, self.overlay_root or None, shown))
        if self.recommended or self.su:
            from pyroot import presets

            usual += presets.usual("su" if self.has_ids else "recommended", self.rootfs_spelled)
        elif self.rootfs not in (b"", b"/") and os.path.exists(self.rootfs + DEVICES):
            from pyroot import presets

            usual += presets.usual("devices", self.rootfs_spelled)
        return [*usual, *self.binds]


def build(parsed: "Parsed") -> Config:
    """Turn the words of a command line into a Config; raise PyrootError for a value that cannot be used."""
    config = Config(command=[os.fsencode(word) for word in parsed.command])
    config.host_cwd = _current_directory()
    config.seccomp = not environment.no_seccomp()
    config.gate = not environment.no_gate()
    config.handover = not environment.no_handover()
    config.tmp_dirs = environment.tmp_dirs()
    config.places = environment.session_dirs()
    _refuse_two_words(parsed)
    roots: list[tuple[str, str]] = []
    for option, spelling, value in parsed.settings:
        if option.metavar and not value and option.kind is not NAMES and option.metavar[0] != "[":
            raise PyrootError(f"{spelling}: the value {option.metavar} is empty", option.help)
        if option.kind in IDENTITIES:
            config.identity = (option.field, _shown(spelling, value), value)
        if option.kind in ROOTS:
            roots.append((spelling, value))
            config.recommended = config.recommended or option.kind is RECOMMENDED
            config.su = config.su or option.kind is SUPER
        elif option.kind.empty == ():
            read = option.kind.read(spelling, value, config.host_cwd)
            getattr(config, option.field).extend(read if isinstance(read, list) else [read])
        else:
            setattr(config, option.field, option.kind.read(spelling, value, config.host_cwd))
            if option.kind is HERE:
                config.cwd = None
            elif option.kind is PLACE:
                config.skip_chdir = False
    if config.detach_daemons and config.kill_on_exit:
        raise PyrootError("--kill-on-exit, --detach-daemons: one ends the remaining processes, the other lets them run", "keep one of them")
    if config.fake_root is not None and (config.load is not None or config.save is not None):
        raise PyrootError("--fake-root, --load, --save: FILE of --fake-root is read and written anyway", "keep one or the others")
    config.net = config.net and not environment.no_landlock()
    set_verbosity(config.verbose)
    _set_root(config, roots)
    return config


def _refuse_two_words(parsed: "Parsed") -> None:
    """Refuse ``--ro-bind /usr /usr``, as bubblewrap has it: the last option is the one before the command."""
    if parsed.settings and parsed.command and parsed.settings[-1][1] in _TWO_WORDS:
        from pyroot.verbs import near

        if told := near.of_two_words(*parsed.settings[-1][1:], parsed.command):
            raise PyrootError(*told)


def _shown(spelling: str, value: str) -> str:
    return f"{spelling}={value}" if spelling.startswith("--") else f"{spelling} {value}"


def _current_directory() -> bytes | None:
    try:
        return os.getcwdb()
    except OSError:
        return None


def _set_root(config: Config, roots: list[tuple[str, str]]) -> None:
    if not roots:
        return
    spelling, value = roots[-1]
    if len(roots) > 1:
        note(1, f"root given {len(roots)} times: the last one counts, {spelling} {value}")
    shown = f"{spelling} {value}"
    config.spell_root(value, shown)
    try:
        config.rootfs = os.path.realpath(config.rootfs_spelled, strict=True)
        is_directory = os.path.isdir(config.rootfs)
    except OSError as error:
        raise PyrootError(f"{shown}: {text_of(error.errno or 0)}", _root_hint(spelling, value, error)) from None
    if not is_directory:
        raise PyrootError(f"{shown}: not a directory", file_hint(value))
    if not os.access(config.rootfs, os.X_OK):
        raise PyrootError(f"{shown}: permission denied", closed_hint(config.rootfs, value))


def file_hint(value: str) -> str:
    """Say what to do with a file in the place of a root."""
    if ".tar" in value or value.endswith((".tgz", ".txz", ".tbz")):
        return f"unpack it first: mkdir ROOT && tar -xf {shell_word(value)} -C ROOT"
    return "the root is a directory that holds bin, etc, usr and so on"


def closed_hint(path: bytes, value: str) -> str:
    """Say what to do with a root that may not be entered."""
    status = os.stat(path)
    if status.st_uid == os.geteuid():
        return f"chmod u+rwx {shell_word(value)}: it is yours, and its mode is {status.st_mode & 0o7777:04o}"
    return "the root must be a directory that you may enter"


def _root_hint(spelling: str, value: str, error: OSError) -> str:
    from pyroot.options import RUN
    from pyroot.verbs.near import nearest

    if value.startswith("-"):
        return "the word after the option is taken as the directory; was it left out?"
    if not isinstance(error, FileNotFoundError):
        return "the root is a directory that you may enter"
    meant = nearest(f"-{spelling}{value}", RUN.by_name) if len(spelling) == 2 else ""
    if meant:
        return f"did you mean {meant}? A long option begins with two dashes"
    if ":" in value and os.path.isdir(value.partition(":")[0]):
        return f"a root has no guest path: {spelling} {shell_word(value.partition(':')[0])}"
    return f"pyroot new {shell_word(value)} makes a small root there out of this machine's programs"
