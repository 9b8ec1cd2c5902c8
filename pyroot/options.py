"""The table of options and verbs, and the parser that it drives.

Decides: every spelling of every option, whether it takes a value, what -h says about it, and where the options end and
the command begins. Not decided here: what a value means and which options go together (``config``), how the help and
the man page are laid out (``usage``).

One row is the whole truth about an option: the parser, ``-h``, ``--help``, ``docs/man/pyroot.1`` and the completions
are computed from it. The spellings are those of proot 5.4 (its manual and its table); beyond proot, a short option
takes its value attached or separate, a long one with ``=`` or a space, and ``--`` ends the options.

Grammar: ``pyroot VERB ...`` when the very first word is a verb, otherwise ``pyroot [OPTION ...] [--] [COMMAND ...]``.
"""

from pyroot.errors import PyrootError

GROUP_VIEW = "What the guest sees"
GROUP_RUN = "How the command runs"
GROUP_ABOUT = "About pyroot"


class Option:
    """One row: spellings, the metavar (empty: takes no value), the Config field, group, short help, paragraph."""

    __slots__ = ("names", "metavar", "field", "group", "help", "detail")

    def __init__(self, names: tuple[str, ...], metavar: str, field: str, group: str, help: str, detail: str) -> None:
        self.names = names
        self.metavar = metavar
        self.field = field
        self.group = group
        self.help = help
        self.detail = detail


OPTIONS: tuple[Option, ...] = (
    Option(
        ("-r", "--rootfs"),
        "DIR",
        "rootfs",
        GROUP_VIEW,
        "make DIR the root of the guest (default: /)",
        "The command and everything that it starts see DIR as /. Given more than once, the last one counts.",
    ),
    Option(
        ("-R",),
        "DIR",
        "recommended",
        GROUP_VIEW,
        "like -r DIR, and bind the usual host paths too",
        "Adds the paths that most programs expect to share with the host: /dev, /proc, /sys, /tmp, /run, the home "
        "directory, DIR itself at its own path, and the files in /etc about users and the network. The list is "
        "bind/recommended.bind; a path that the host does not have is left out.",
    ),
    Option(
        ("-b", "--bind", "-m", "--mount"),
        "HOST[:GUEST][!]",
        "binds",
        GROUP_VIEW,
        "show the host file or directory HOST at GUEST",
        "May be repeated. GUEST defaults to HOST as spelled and need not exist in the root, which is never written to. "
        "HOST must exist; all its symbolic links are followed, and a relative HOST or GUEST begins at the current "
        "directory. When the last component of GUEST is a symbolic link the binding appears at its target, unless the "
        "argument ends in !. The order of bindings does not matter, the deepest one decides; of two at the same place "
        "the last one counts. In a name, \\: stands for a colon, \\! for a final exclamation mark, \\\\ for a "
        "backslash. There are no options behind a second colon (:ro is an error). A file may cover a directory, and "
        "a directory a file.",
    ),
    Option(
        ("-w", "--pwd", "--cwd"),
        "DIR",
        "cwd",
        GROUP_RUN,
        "start the command in the guest directory DIR",
        "A relative DIR begins at the current directory. It is an error if the guest has no such directory. Without "
        "this option the command starts in the current directory if the guest has it, and in / if not.",
    ),
    Option(
        ("--kill-on-exit",),
        "",
        "kill_on_exit",
        GROUP_RUN,
        "end all processes when the command ends",
        "Without it pyroot waits until the last process that the command left behind is gone. When that takes more than three "
        "seconds it says which processes it waits for. A TERM, INT, QUIT or HUP signal to pyroot then asks them to end.",
    ),
    Option(
        ("--detach-daemons",),
        "",
        "detach_daemons",
        GROUP_RUN,
        "return when the command ends, let the rest run on",
        "pyroot returns with the command's status at once, as chroot does. Processes that are left go on in the guest, under a "
        "supervisor in the background that keeps none of the caller's descriptors. pyroot ps lists it, pyroot kill ends it, and when it is "
        "killed they are.",
    ),
    Option(
        ("--grace",),
        "SECONDS",
        "grace",
        GROUP_RUN,
        "time for what is left to end by itself (default: 5)",
        "Counts from the first signal that pyroot gets when the command has ended: processes that are left get TERM then, and KILL "
        "when the time is over or at a second signal. 0 kills them at once.",
    ),
    Option(
        ("--net", "--landlock"),
        "",
        "net",
        GROUP_RUN,
        "let the kernel keep guests inside, too (Landlock)",
        "A second lock behind the translation of paths: the kernel lets the command and what it starts open, make, remove and rename "
        "files in the root and the bindings only, and signal only each other. It needs Linux 5.19, makes an open a third dearer, and "
        "does nothing where the root is /. docs/SECURITY.md tells what it does not hold.",
    ),
    Option(
        ("--stats",),
        "",
        "stats",
        GROUP_RUN,
        "say at the end what the run has cost",
        "Prints on standard error, when the last process is gone: how often guests have stopped and in which calls, how much of the time "
        "was spent in pyroot, and what it did there. docs/PERFORMANCE.md tells how to read it.",
    ),
    Option(
        ("-v", "--verbose"),
        "N",
        "verbose",
        GROUP_ABOUT,
        "say more (1, 2, ...) or less (-1) on standard error",
        "0 is the default: errors and their hints. 1 tells what was decided: root, bindings, working directory, "
        "program, and which programs inside could not be started, with the reason. -1 leaves the hints out.",
    ),
    Option(
        ("-V", "--version", "--about"),
        "",
        "version",
        GROUP_ABOUT,
        "print the version and exit",
        "Prints version and licence on standard output.",
    ),
    Option(
        ("-h", "--help", "--usage"),
        "",
        "help",
        GROUP_ABOUT,
        "print this help and exit (--help: all of it)",
        "-h and --usage print one line an option, --help prints everything that the manual page says.",
    ),
)

# Verbs count only as the very first word; "pyroot -- new" runs a guest program of that name.
VERBS: tuple[tuple[str, str, str, str], ...] = (
    # name, arguments, help, module whose main(argv) does it
    ("new", "DIR [PROGRAM ...]", "make a small root out of this machine's programs", "pyroot.rootfs.new"),
    ("doctor", "ROOTFS [COMMAND ...]", "say what will fail in a root, why, and what mends it", "pyroot.doctor.verb"),
    ("check", "", "say whether this host lets pyroot work", "pyroot.doctor.check"),
    ("trace", "[OPTION ...] COMMAND", "write the system calls of a command, or why it fails", "pyroot.trace.verb"),
    ("copy", "ROOTFS PROGRAM ...", "copy programs into a root, with all that they need", "pyroot.doctor.copy"),
    ("snapshot", "ROOTFS", "write down every file of a root", "pyroot.manifest.snapshot"),
    ("diff", "A B", "say what differs between roots or their snapshots", "pyroot.manifest.diff"),
    ("checklist", "ROOTFS", "write down a root that works, for doctor --against", "pyroot.manifest.checklist"),
    ("ps", "[-p PID]", "list the running sessions and their processes", "pyroot.look.ps"),
    ("kill", "[OPTION ...] PID ...", "end sessions and processes that ps lists", "pyroot.look.kill"),
    ("files", "[PATH ...]", "list what guests have open, or who has a file open", "pyroot.look.files"),
    ("report", "[-- COMMAND]", "write what somebody who shall help has to know", "pyroot.look.report"),
)

# What proot (and its Termux fork) takes and pyroot does not: spelling -> (all spellings, what to do instead).
NOT_HERE: dict[str, tuple[str, str]] = {}
for _names, _instead in (
    (("-q", "--qemu"), "use a root made for this machine; programs for other processors do not run"),
    (("--mixed-mode",), "it belongs to --qemu, which pyroot does not have either"),
    (("-0", "--root-id"), "programs in the guest run under your own user id"),
    (("-i", "--change-id"), "programs in the guest run under your own user id"),
    (("-S",), "-R binds the usual host paths, without pretending to be root"),
    (("-k", "--kernel-release"), "programs in the guest see the real kernel release"),
    (("-p", "--port"), "let the program in the guest use another port"),
    (("-n", "--netcoop"), "let the program in the guest use another port"),
    (("-l", "--link2symlink"), "hard links in the guest are real hard links"),
    (("-H",), "nothing is added to directories of the guest, so nothing needs hiding"),
    (("-L",), "lstat in the guest tells the size of the link itself"),
    (("--sysvipc",), "System V IPC of the guest is that of the host"),
    (("--ashmem-memfd",), "it is of use on Android only"),
    (("-P",), "pyroot itself can be imported in Python"),
):
    for _name in _names:
        NOT_HERE[_name] = ("/".join(_names), _instead)

BY_NAME: dict[str, Option] = {name: option for option in OPTIONS for name in option.names}

_MORE = "pyroot -h lists the options"


class Parsed:
    """What the words of a command line say: settings in order, the command, and a question to answer instead."""

    __slots__ = ("settings", "command", "question")

    def __init__(self) -> None:
        self.settings: list[tuple[Option, str, str]] = []  # row, spelling used, value ("" without one)
        self.command: list[str] = []
        self.question: tuple[Option, str] | None = None  # -h or -V: row and spelling used


def parse(words: list[str]) -> Parsed:
    """Split ``words`` (without the program's name) into settings and command.

    The first word that is no option begins the command and nothing behind it is looked at. -h and -V end the parsing at
    once, as in proot. Raises PyrootError for an option that is unknown or lacks its value.
    """
    parsed = Parsed()
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word == "--":
            break
        if word == "-" or not word.startswith("-"):
            index -= 1
            break
        option, name, value = _split(word)
        if not option.metavar:
            if value is not None:
                raise PyrootError(f"{word}: {name} takes no value", _MORE)
            if option.field in ("help", "version"):
                parsed.question = (option, name)
                return parsed
        elif value is None:
            if index == len(words):
                hint = f"{name} {option.metavar}: {option.help}"
                raise PyrootError(f"{name}: the value {option.metavar} is missing", hint)
            value = words[index]
            index += 1
        parsed.settings.append((option, name, value or ""))
    parsed.command = words[index:]
    return parsed


def _split(word: str) -> tuple[Option, str, str | None]:
    """Find the row for ``word``; return it with the spelling and the attached value, None when there is none."""
    if word.startswith("--"):
        name, equals, text = word.partition("=")
        value = text if equals else None
    else:
        _refuse_single_dash(word)
        name, value = word[:2], word[2:] or None
    option = BY_NAME.get(name)
    if option is None:
        raise _unknown(word, name)
    if value is not None and not option.metavar and not word.startswith("--"):
        raise _unknown(word, word)
    if value is not None and value.startswith("=") and not word.startswith("--"):
        raise PyrootError(f"{word}: a short option takes its value without =", f"{name} {value[1:]}")
    return option, name, value


def _refuse_single_dash(word: str) -> None:
    """Refuse ``-rootfs=DIR``: as -r it would mean the directory ``ootfs=DIR``, which nobody has."""
    name = "-" + word.partition("=")[0]
    if len(name) > 3 and name in BY_NAME:
        raise PyrootError(f"{word}: a long option begins with two dashes", f"-{word}")


def _unknown(word: str, name: str) -> PyrootError:
    known = NOT_HERE.get(name) or (NOT_HERE.get(word[:2]) if not word.startswith("--") else None)
    if known:
        names, instead = known
        return PyrootError(f"{word}: proot has the option {names}, pyroot does not have it", instead)
    near = nearest(name)
    return PyrootError(f"{word}: unknown option", f"did you mean {near}? {_MORE}" if near else _MORE)


def nearest(name: str) -> str:
    """Return the long spelling that looks most like ``name``, or the empty string."""
    import difflib

    if len(name) < 4:
        return ""
    found = difflib.get_close_matches(name, [known for known in BY_NAME if known.startswith("--")], 1)
    return found[0] if found else ""


def misplaced(command: list[str]) -> str:
    """Return the first word behind the command's name that is spelled like one of our options, or the empty string."""
    for word in command[1:]:
        if word == "--":
            break
        if word.partition("=")[0] in BY_NAME:
            return word
    return ""
