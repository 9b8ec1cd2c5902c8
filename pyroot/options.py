"""The table of options and verbs, and the engine that reads words by such a table.

Decides: what a row holds, every spelling of every option of a run, what -h says about it, and where the options end
and the command begins. Not decided here: how a value is read (``option_kinds``), which options go together and what follows from
them (``config``), how the help and the man page are laid out (``usage``), what an unknown word may have meant (``verbs.near``).

One row is the whole truth about an option: the parser, the fields of ``Config``, ``-h``, ``--help``, ``docs/man/pyroot.1`` and the
keywords of ``api`` are computed from it. The verbs' rows are of the same class and read by the same engine (``verbs.words``,
``trace.options``). The spellings are those of proot 5.4 (its manual and its table); beyond proot, a short option
takes its value attached or separate, a long one with ``=`` or a space, and ``--`` ends the options.

Grammar: ``pyroot VERB ...`` if the very first word is a verb, otherwise ``pyroot [OPTION ...] [--] [COMMAND ...]``.
"""

from pyroot.errors import PyrootError
from pyroot.option_kinds import (
    BINDS,
    FILE,
    FLAG,
    HERE,
    IDENTITY,
    IDENTITY_NAMES,
    IDENTITY_NUMBERS,
    LEVEL,
    MEMORY,
    NAME,
    NAMES,
    PLACE,
    QUESTION,
    READONLY_BINDS,
    RECOMMENDED,
    RELEASE,
    ROOT,
    SECONDS,
    SUPER,
    TRIED_BINDS,
    Kind,
)
from pyroot.option_places import PLACES

GROUP_VIEW = "What the guest sees"
GROUP_RUN = "How the command runs"
GROUP_USER = "Who the command is"
GROUP_ABOUT = "About pyroot"


class Option:
    """One row: spellings, metavar (empty: takes no value), the field that it sets, kind of value, group, short help, paragraph.

    ``also`` are spellings that are understood and not shown. Rows of verbs have no groups and no paragraphs.
    """

    __slots__ = ("names", "metavar", "field", "kind", "group", "help", "detail", "also")

    def __init__(
        self,
        names: tuple[str, ...],
        metavar: str,
        field: str,
        kind: Kind,
        group: str,
        help: str,
        detail: str = "",
        also: tuple[str, ...] = (),
    ) -> None:
        self.names = names
        self.metavar = metavar
        self.field = field
        self.kind = kind
        self.group = group
        self.help = help
        self.detail = detail
        self.also = also

    @property
    def term(self) -> str:
        """All spellings that are shown, with the metavar, as in ``-r, --rootfs DIR``."""
        space = "" if self.metavar[:1] in ("", "[") else " "
        return ", ".join(self.names) + space + self.metavar


OPTIONS: tuple[Option, ...] = (
    Option(
        ("-r", "--rootfs"),
        "DIR",
        "rootfs",
        ROOT,
        GROUP_VIEW,
        "make DIR the root of the guest (default: /)",
        "All that is started sees DIR as /. The last one counts. A root with .pyroot/devices (pyroot new) shows bind/devices.bind, too.",
    ),
    Option(
        ("-R",),
        "DIR",
        "recommended",
        RECOMMENDED,
        GROUP_VIEW,
        "like -r DIR, and bind the usual host paths too",
        "Adds the paths that most programs expect to share with the host: /dev, /proc, /sys, /tmp, /run, the home "
        "directory, DIR itself at its own path, and the files in /etc about users and the network. The list is "
        "bind/recommended.bind; a path that the host does not have is left out. Together with an option about users it binds what -S does: "
        "the guest keeps its own users and its own /run.",
    ),
    Option(
        ("-S",),
        "DIR",
        "su",
        SUPER,
        GROUP_VIEW,
        "like -0 -r DIR, and bind what root needs",
        "The bindings are those of -R without the host's users and groups, so that package managers of the guest do not touch these. The "
        "list is bind/su.bind. If -r, -R and -S are given together, the last one says what the root is; the bindings of each stay.",
    ),
    Option(
        ("-b", "--bind", "-m", "--mount"),
        "HOST[:GUEST[:OPTIONS]]",
        "binds",
        BINDS,
        GROUP_VIEW,
        "show the host file or directory HOST at GUEST",
        "May be repeated. GUEST defaults to HOST as spelled and need not exist in the root, which is never written to. "
        "HOST must exist; all its symbolic links are followed, and a relative HOST or GUEST is relative to the current "
        "directory. When the last component of GUEST is a symbolic link the binding appears at its target, unless the "
        "argument ends in !. The order of bindings does not matter, the deepest one decides; of two at the same path "
        "the last one counts. In a name, \\: stands for a colon, \\! for a final exclamation mark, \\\\ for a "
        "backslash. OPTIONS are separated by commas: ro (nothing below it may be changed: EROFS), rw, try (no error if "
        "HOST does not exist), nofollow (as !). HOST::ro is short for HOST:HOST:ro. A file may cover a directory, and a directory a file. "
        "@NAME stands for the bindings that the file pyroot/NAME.bind in XDG_CONFIG_HOME lists, @./FILE for those of FILE: one in each "
        "line, with # comments, $VARIABLES and @NAME lines for other lists.",
    ),
    Option(
        ("--ro-bind",),
        "HOST[:GUEST]",
        "binds",
        READONLY_BINDS,
        GROUP_VIEW,
        "the same, read-only",
        "Short for -b HOST:GUEST:ro. It guards against mistakes: the guest has the rights of the user all the same.",
    ),
    Option(
        ("--bind-try",),
        "HOST[:GUEST]",
        "binds",
        TRIED_BINDS,
        GROUP_VIEW,
        "the same, if the host has HOST",
        "Short for -b HOST:GUEST:try.",
    ),
    *(Option(names, metavar, field, kind, GROUP_VIEW, text, more) for names, metavar, field, kind, text, more in PLACES),
    Option(
        ("--read-only",),
        "",
        "read_only",
        FLAG,
        GROUP_VIEW,
        "let the guest change nothing in the root",
        "It gets EROFS there, but not below bindings, which are writable unless they are read-only themselves.",
    ),
    Option(
        ("-w", "--pwd", "--cwd"),
        "DIR",
        "cwd",
        PLACE,
        GROUP_RUN,
        "start the command in the guest directory DIR",
        "A relative DIR is relative to the current directory. It is an error if the guest has no such directory. Without "
        "this option the command starts in the current directory if the guest has it, otherwise in /.",
    ),
    Option(
        ("--skip-chdir",),
        "",
        "skip_chdir",
        HERE,
        GROUP_RUN,
        "start the command where pyroot was started",
        "That is what happens without -w: the current directory, if the guest has it. A -w before it does not count.",
    ),
    Option(
        ("-0", "--root-id"),
        "",
        "root_id",
        IDENTITY,
        GROUP_USER,
        "be the root user in the guest",
        "The command has the ids 0 and all capabilities, as far as the guests of this run are concerned: they may change their ids, "
        "execute set-user-ID programs, signal and trace each other as the kernel would let them; a program that gives root up does not get "
        "it back. Outside nothing changes: files and processes of others are as closed as they were. A PATH without an sbin directory "
        "gets /usr/local/sbin, /usr/sbin and /sbin. Of -0, -i, -S, --userspec and -u the last one counts.",
    ),
    Option(("-i", "--change-id"), "UID:GID", "change_id", IDENTITY_NUMBERS, GROUP_USER,
           "be this user and group in the guest",
           "Your own files are shown as theirs. Without UID 0 the command has no capabilities."),  # fmt: skip
    Option(("--userspec",), "USER[:GROUP]", "userspec", IDENTITY_NAMES, GROUP_USER,
           "be this user, as chroot --userspec",
           "USER and GROUP are names in the guest's /etc/passwd and /etc/group, or numbers, of which those with a + are never names. The "
           "command has the groups of USER. The environment stays as it is."),  # fmt: skip
    Option(("--groups",), "GROUP[,GROUP...]", "groups", NAMES, GROUP_USER,
           "be in these groups, as chroot --groups",
           "Names in the guest's /etc/group, or numbers; an empty list is none. Without another option about users the command is "
           "root."),  # fmt: skip
    Option(("-u", "--user"), "USER[:GROUP]", "user", IDENTITY_NAMES, GROUP_USER,
           "be this user, as docker run -u",
           "As --userspec, but HOME, USER, LOGNAME and SHELL are those of the guest's /etc/passwd, a USER that is only a number has "
           "group 0, and a GROUP that is given is the only one."),  # fmt: skip
    Option(("--keep-env",), "", "keep_env", FLAG, GROUP_USER,
           "leave the environment as it is",
           "Without it -0, -i, -S and -u change some variables; docs/ROOT.md has a table."),  # fmt: skip
    Option(("--fake-root",), "FILE|forget", "fake_root", MEMORY, GROUP_USER,
           "remember owners and modes in FILE, or not at all",
           "Without it they are remembered in the root, in .pyroot/owners, and without a root for this run only. FILE is always up to "
           "date, even if pyroot is killed. A file that is called forget is ./forget. Without another option about users the command is "
           "root."),  # fmt: skip
    Option(("--load",), "FILE", "load", FILE, GROUP_USER,
           "begin with the owners that --save has written",
           "As fakeroot -i: for files that are still the same ones, not for copies. What the root remembers itself does not count "
           "then."),  # fmt: skip
    Option(("--save",), "FILE", "save", FILE, GROUP_USER,
           "write to FILE what is remembered at the end",
           "As fakeroot -s; FILE may be the one of --load. Without another option about users the command is root."),  # fmt: skip
    Option(
        ("-k", "--kernel-release"),
        "RELEASE",
        "kernel_release",
        RELEASE,
        GROUP_USER,
        "tell this kernel release by uname(2)",
        "RELEASE may have the six fields of uname(2), each after a backslash and the last one followed by one: "
        "\\sysname\\nodename\\release\\version\\machine\\domainname\\; an empty one stays the kernel's. Only what is told "
        "changes: the calls that the kernel has, what it says in /proc, and the processor's capabilities (proot's seventh field) are "
        "what they are.",
    ),
    Option(("--hostname",), "NAME", "hostname", NAME, GROUP_USER,
           "tell this host name by uname(2)",
           "It wins over the one of -k. The root user of the guest may set another one, which all processes of the run "
           "share."),  # fmt: skip
    Option(
        ("--kill-on-exit",),
        "",
        "kill_on_exit",
        FLAG,
        GROUP_RUN,
        "end all processes when the command ends",
        "Without it pyroot waits until the last process that the command left is gone. If that takes more than three "
        "seconds, it says which processes it waits for. A TERM, INT, QUIT or HUP signal to pyroot then asks them to end.",
    ),
    Option(
        ("--detach-daemons",),
        "",
        "detach_daemons",
        FLAG,
        GROUP_RUN,
        "return when the command ends, let the rest run on",
        "pyroot returns with the command's status at once, as chroot does. Remaining processes continue in the guest, under a "
        "supervisor in the background that keeps none of the caller's descriptors open. pyroot ps lists it, pyroot kill ends it, and if "
        "it is killed, so are they.",
    ),
    Option(
        ("--grace",),
        "SECONDS",
        "grace",
        SECONDS,
        GROUP_RUN,
        "time for remaining processes to end (default: 5)",
        "Counts from the first signal that pyroot gets after the command has ended: remaining processes get TERM then, and KILL "
        "when the time is up or at a second signal. 0 kills them at once.",
    ),
    Option(
        ("--net", "--landlock"),
        "",
        "net",
        FLAG,
        GROUP_RUN,
        "have the kernel confine guests, too (Landlock)",
        "A second lock in addition to the translation of paths: the kernel lets the command and what it starts open, make, remove and "
        "rename files only in the root and the bindings, and signal only each other. It needs Linux 5.19, makes an open about a "
        "third slower, and does nothing if the root is /. docs/SECURITY.md says what it does not cover.",
    ),
    Option(
        ("--no-network",),
        "",
        "no_network",
        FLAG,
        GROUP_RUN,
        "refuse internet addresses, but for this machine's",
        "connect(2), bind(2), sendto(2) and sendmsg(2) give ENETUNREACH for every internet address but the loopback's, as where no network "
        "is; so a test suite finds out what it asks others for. It is no boundary: other kinds of addresses, services of this machine that "
        "ask others, and descriptors that are connected already are left alone.",
    ),
    Option(("--stats",), "", "stats", FLAG, GROUP_RUN,
           "print at the end what the run has cost",
           "Prints on standard error, after the last process has ended, how often guests have stopped and in which calls, how much time "
           "was spent in pyroot, and what it did. docs/PERFORMANCE.md says how to read it."),  # fmt: skip
    Option(
        ("-v", "--verbose"),
        "N",
        "verbose",
        LEVEL,
        GROUP_ABOUT,
        "say more (1, 2, ...) or less (-1) on standard error",
        "0 is the default: errors and their hints. 1 adds what was decided (root, bindings, working directory, "
        "program), and which programs inside could not be started, with the reason. -1 leaves the hints out.",
    ),
    Option(("-V", "--version", "--about"), "", "version", QUESTION, GROUP_ABOUT,
           "print the version and exit",
           "Prints version and licence on standard output."),  # fmt: skip
    Option(("-h", "--help", "--usage"), "", "help", QUESTION, GROUP_ABOUT,
           "print this help and exit (--help: all of it)",
           "-h and --usage print one line per option, --help prints the whole manual page."),  # fmt: skip
)

# Verbs count only as the very first word; "pyroot -- new" runs a guest program of that name.
VERBS: tuple[tuple[str, str, str, str], ...] = (
    # name, arguments, help, module whose main(argv) does it
    ("new", "DIR [PROGRAM ...]", "make a small root out of this machine's programs", "pyroot.rootfs.new"),
    ("doctor", "ROOTFS [COMMAND ...]", "say what will fail in a root, why, and how to fix it", "pyroot.doctor.verb"),
    ("check", "", "say whether pyroot can work on this host", "pyroot.doctor.check"),
    ("trace", "[OPTION ...] COMMAND", "show the system calls of a command, or why it fails", "pyroot.trace.verb"),
    ("copy", "ROOTFS PROGRAM ...", "copy programs into a root, with all they need", "pyroot.doctor.copy"),
    ("snapshot", "ROOTFS", "record every file of a root", "pyroot.manifest.snapshot"),
    ("diff", "A B", "say what differs between roots or their snapshots", "pyroot.manifest.diff"),
    ("checklist", "ROOTFS", "record a root that works, for doctor --against", "pyroot.manifest.checklist"),
    ("bindings", "[OPTION ...]", "list what a run would show where", "pyroot.verbs.bindings"),
    ("owners", "save|load|check|gc ROOTFS", "what is remembered of the owners of files", "pyroot.verbs.owners"),
    ("import", "[OPTION ...] SOURCE DIR", "make a root of an image: tar, docker save, OCI layout", "pyroot.images.importing"),
    ("run-image", "[OPTION ...] DIR [ARGUMENT ...]", "run what the image asks for that a root was made of", "pyroot.images.running"),
    ("export", "[OPTION ...] ROOTFS TARGET", "write a root as an image", "pyroot.images.exporting"),
    ("overlay", "diff|commit|discard UPPER", "what an overlay has changed", "pyroot.verbs.overlay"),
    ("bwrap", "[ARGUMENT ...] COMMAND", "run a command that bubblewrap's arguments describe", "pyroot.bwrap.verb"),
    ("ps", "[-p PID]", "list the running sessions and their processes", "pyroot.look.ps"),
    ("kill", "[OPTION ...] PID ...", "end sessions and processes that ps lists", "pyroot.look.kill"),
    ("files", "[PATH ...]", "list what guests have open, or who has a file open", "pyroot.look.files"),
    ("report", "[-- COMMAND]", "collect what a helper needs to diagnose a problem", "pyroot.look.report"),
    ("help", "[VERB]", "say what a verb does, with its options and examples", "pyroot.verbs.help"),
)

#: The row of each field: its first one, if several spellings with values of different kinds fill it.
FIELDS: "dict[str, Option]" = {}
for _row in OPTIONS:
    if _row.kind is not QUESTION:
        FIELDS.setdefault(_row.field, _row)


class Grammar:
    """The engine: rows by their spellings, and how a word is split by them. Other tables are subclasses, with words of their own."""

    def __init__(self, rows: tuple[Option, ...], who: str = "", more: str = "pyroot -h lists the options", letters: bool = False) -> None:
        self.rows = rows
        self.by_name = {name: option for option in rows for name in option.names + option.also}
        self.who = who  # what messages begin with
        self.more = more  # their hint if there is no better one
        self.letters = letters  # whether options without a value may be joined after one dash

    def take(self, left: list[str]) -> tuple[Option, str, str]:
        """Take the first option off ``left``: row, spelling used, value ("" without one).

        Raises PyrootError for an option that is unknown, lacks its value, or has one and takes none.
        """
        word = left.pop(0)
        option, name, value = self._split(word)
        if not option.metavar and value is not None:
            if word.startswith("--"):
                raise self.refused(f"{word}: {name} takes no value", option.help and f"{name}: {option.help}".replace("\n", " "))
            if not self.letters or value.startswith("-"):
                raise self.unknown(word, word)
            left.insert(0, f"-{value}")
        elif option.metavar and value is None and option.metavar[0] != "[":
            if not left:
                raise self.missing(option, name)
            value = left.pop(0)
        return option, name, value or "" if option.metavar else ""

    def _split(self, word: str) -> tuple[Option, str, str | None]:
        """Find the row for ``word``; return it with the spelling and the attached value, None if there is none."""
        long = word.startswith("--")
        if long:
            name, equals, text = word.partition("=")
            value = text if equals else None
        else:
            if not self.letters:
                self._refuse_single_dash(word)
            name, value = word[:2], word[2:] or None
        option = self.by_name.get(name)
        if option is None:
            raise self.unknown(word, name)
        if option.metavar and value and value.startswith("=") and not long and not self.letters:
            raise self.refused(f"{word}: a short option takes its value without =", f"{name} {value[1:]}")
        return option, name, value

    def _refuse_single_dash(self, word: str) -> None:
        """Refuse ``-rootfs=DIR``: as -r it would mean the directory ``ootfs=DIR``, which nobody has."""
        name = "-" + word.partition("=")[0]
        if len(name) > 3 and name in self.by_name:
            raise self.refused(f"{word}: a long option begins with two dashes", f"-{word}")

    def refused(self, what: str, hint: str = "") -> PyrootError:
        """Return the error for a word that cannot be accepted."""
        return PyrootError(f"{self.who}{what}", hint or self.more)

    def missing(self, option: Option, name: str) -> PyrootError:
        """Return the error for a spelling without its value."""
        return self.refused(f"{name}: the value {option.metavar} is missing", f"{name} {option.metavar}: {option.help}")

    def unknown(self, word: str, name: str) -> PyrootError:
        """Return the error for an unknown option."""
        from pyroot.verbs import near

        instead = near.of_others(word, name)
        if instead:
            return self.refused(*instead)
        meant = near.nearest(name, self.by_name)
        return self.refused(f"{word}: unknown option", f"did you mean {meant}? {self.more}" if meant else self.more)


RUN = Grammar(OPTIONS)


class Parsed:
    """What the words of a command line say: settings in order, the command, and a question to answer instead."""

    __slots__ = ("settings", "command", "question")

    def __init__(self) -> None:
        self.settings: list[tuple[Option, str, str]] = []  # row, spelling used, value ("" without one)
        self.command: list[str] = []
        self.question: tuple[Option, str] | None = None  # -h or -V: row and spelling used


def parse(words: list[str]) -> Parsed:
    """Split ``words`` (without the program's name) into settings and command.

    The first non-option argument begins the command; everything after it is left alone. -h and -V end the parsing at
    once, as in proot. Raises PyrootError for an option that is unknown or lacks its value.
    """
    parsed = Parsed()
    left = list(words)
    while left:
        word = left[0]
        if word == "--":
            del left[0]
            break
        if word == "-" or not word.startswith("-"):
            break
        setting = RUN.take(left)
        if setting[0].kind is QUESTION:
            parsed.question = setting[:2]
            return parsed
        parsed.settings.append(setting)
    parsed.command = left
    return parsed
