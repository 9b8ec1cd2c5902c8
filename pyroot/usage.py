"""What -h, --help, -V and the man page say, and how the keywords of `api` are typed.

Decides: the sections, their order, and how they are laid out on a terminal and in man(7) markup. Not decided here:
the rows about options and verbs, which come from ``options`` and the verbs' modules, nor how wide a terminal is (``verbs.layout``).
``docs/man/generate.py`` writes ``man_page()``, ``api_stub()`` and what ``verbs.completion`` computes to files, and a test compares.
"""

import re
import textwrap

from pyroot import __version__
from pyroot.options import OPTIONS, VERBS, Option

SYNOPSIS = ("pyroot [OPTION ...] [--] [COMMAND [ARGUMENT ...]]", "pyroot VERB ...")
SUMMARY = "chroot and bind mounts for an ordinary user"

DESCRIPTION = (
    "pyroot runs COMMAND, and everything that it starts, with another root directory: what chroot and bind mounts do, "
    "but without privilege, without a mount and without a user namespace. Without a COMMAND it starts the shell that the "
    "guest's /etc/passwd names for you, or /bin/sh, as a login shell. COMMAND is looked up in the PATH of the "
    "environment, as the guest sees it.",
    "The first non-option argument starts the command; everything after it is left alone. A short option takes its "
    "value attached or as the next word, a long one after = or as the next word. -- ends the options.",
    "A VERB is recognised only as the very first word: pyroot -- new runs a guest program called new.",
)

# Sections that are lists of a term and what it means.
EXIT_STATUS = (
    ("0 to 255", "the exit status of COMMAND itself, not that of a process that it left running"),
    ("128+N", "COMMAND was ended by signal N"),
    ("125", "pyroot itself failed: wrong option, no such root, a binding that cannot be made"),
    ("126", "COMMAND was found but cannot be executed"),
    ("127", "COMMAND, or an interpreter that it needs, was not found"),
)
ENVIRONMENT = (
    ("PATH", "where COMMAND is looked up, in the guest"),
    ("HOME", "bound by -R"),
    ("PWD", "is set to the working directory in the guest; other variables are passed on, but for those that -0, -i, -S and -u change"),
    ("PYROOT_NO_SECCOMP, PROOT_NO_SECCOMP", "if not empty: no seccomp filter; every system call stops, which is much slower"),
    ("PYROOT_NO_GATE", "if not empty: no call is answered inside the guest; each call that names a path stops, which is slower"),
    ("PYROOT_BWRAP_LENIENT", "if not empty: pyroot bwrap leaves out what it cannot obey, as --unshare-pid, instead of refusing it"),
    ("PYROOT_NO_LANDLOCK", "if not empty: --net does nothing"),
    ("PYROOT_NO_HANDOVER", "if not empty: a pyroot inside a pyroot traces COMMAND itself, which is much slower"),
    ("PYROOT_TMP_DIR, PROOT_TMP_DIR, TMPDIR", "where mount points are made for bindings whose parent directory is missing"),
    ("PYROOT_DEBUG", "if 1: show the Python traceback of an error"),
    ("NO_COLOR", "if not empty: no colour in messages"),
)
EXAMPLES = (
    ("pyroot new ./rootfs", "make a small root with a shell and the usual tools"),
    ("pyroot -R ./rootfs ls /", "list it from the inside"),
    ("pyroot -r ./rootfs -b /proc -b ~/src:/src -w /src make", "build a directory of the host inside the root"),
    ("pyroot -b ./my.conf:/etc/app.conf app", "run one program with another file in place of its own, in the host's root"),
)
SEE_ALSO = "chroot(1), proot(1), strace(1), ptrace(2), path_resolution(7), mount(8)"
RELEASED = "2026-11-30"

_COLUMN = 28


def version() -> str:
    """Return what -V prints."""
    return f"pyroot {__version__}\nLicence GPL-2.0-or-later; there is no warranty, as far as the law permits.\n"


def grammar_of(name: str, module: str) -> "tuple[str, tuple[Option, ...]]":
    """Return the first paragraph of a verb's help and the rows of its options."""
    from importlib import import_module

    from pyroot.verbs.words import Verb

    place = import_module(module)
    if name == "trace":
        from pyroot.trace.options import OPTIONS as rows

        return "Show the system calls of a command and its children, as strace does, with the guest's paths.", rows
    homes = [place, import_module(place.main.__module__)]
    verb = next(one for home in homes for one in vars(home).values() if isinstance(one, Verb) and one.name == name)
    return verb.head.partition("\n\n")[2].strip(), verb.rows


def groups() -> list[tuple[str, list[Option]]]:
    """Return the options by group, both in the order of the table."""
    found: dict[str, list[Option]] = {}
    for option in OPTIONS:
        found.setdefault(option.group, []).append(option)
    return list(found.items())


def _entry(name: str, text: str) -> str:
    from pyroot.verbs.layout import entry

    return entry(name, text, _COLUMN)


def short() -> str:
    """Return one line for each option and verb."""
    lines = [f"usage: {SYNOPSIS[0]}\n"] + [f"       {line}\n" for line in SYNOPSIS[1:]]
    lines.append(f"\n{SUMMARY}; COMMAND defaults to a login shell.\n")
    for group, rows in groups():
        lines.append(f"\n{group}:\n")
        lines += [_entry(option.term, option.help) for option in rows]
    lines.append("\nExit status: that of COMMAND; 128+N: ended by signal N; 125: pyroot failed;\n")
    lines.append("             126: COMMAND cannot be executed; 127: not found.\n")
    lines.append("\nVerbs:\n")
    lines += [_entry(f"{name} {arguments}", text) for name, arguments, text, _module in VERBS]
    lines.append("\nExamples:\n")
    lines += [f"  {line}\n      {text}\n" for line, text in EXAMPLES]
    return "".join(lines)


def full() -> str:
    """Return what the man page says about a plain run, for a terminal."""
    from pyroot.verbs.layout import width

    parts = [f"pyroot {__version__}: {SUMMARY}\n\n"]
    parts += [f"  {line}\n" for line in SYNOPSIS]
    for paragraph in DESCRIPTION:
        parts.append("\n" + textwrap.fill(paragraph, width(), break_on_hyphens=False, break_long_words=False) + "\n")
    for group, rows in groups():
        parts.append(f"\n{group}:\n")
        parts += [_entry(option.term, f"{_sentence(option.help)} {option.detail}") for option in rows]
    for title, entries in _lists():
        parts.append(f"\n{title}:\n")
        parts += [_entry(name, text) for name, text in entries]
    parts.append(f"\nSee also: {SEE_ALSO}\n")
    return "".join(parts)


def _lists() -> list[tuple[str, list[tuple[str, str]]]]:
    verbs = [(f"{name} {arguments}", f"{text}; see pyroot {name} --help") for name, arguments, text, _m in VERBS]
    return [
        ("Verbs", verbs),
        ("Exit status", list(EXIT_STATUS)),
        ("Environment", list(ENVIRONMENT)),
        ("Examples", list(EXAMPLES)),
    ]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def roff(text: str) -> str:
    """Escape ``text`` for man(7): backslashes, hyphens and a control character at the beginning of a line."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


def _text(text: str) -> str:
    """Give text in man(7) markup as mandoc likes it: each sentence on lines of its own, none of them long."""
    lines: list[str] = []
    for sentence in re.split(r"(?<=[.!?]) (?=[A-Z0-9(\-])", text):
        lines += textwrap.wrap(roff(sentence), 78, break_on_hyphens=False, break_long_words=False)
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in lines)


def man_page() -> str:
    """Return the man page in man(7) markup: a plain run, then each verb with its options and examples."""
    parts = [
        '.\\" Generated by docs/man/generate.py from the option tables and pyroot/usage.py; do not edit.\n',
        f'.TH PYROOT 1 {RELEASED} "pyroot {__version__}" "User Commands"\n',
        f".SH NAME\npyroot \\- {roff(SUMMARY)}\n",
        ".SH SYNOPSIS\n",
        ".br\n".join(f".B {roff(line)}\n" for line in SYNOPSIS),
        ".SH DESCRIPTION\n",
        "\n.PP\n".join(_text(paragraph) for paragraph in DESCRIPTION) + "\n",
        ".SH OPTIONS\n",
    ]
    for group, rows in groups():
        parts.append(f".SS {roff(group)}\n")
        parts += [_man_option(option) for option in rows]
    parts += [".SH VERBS\n", *(_man_verb(name, arguments, text, module) for name, arguments, text, module in VERBS)]
    for title, entries in _lists()[1:]:
        parts.append(f".SH {title.upper()}\n")
        for name, text in entries:
            parts.append(f".TP\n.B {roff(name)}\n{_text(_sentence(text))}\n")
    parts.append(f".SH SEE ALSO\n{', '.join(_reference(one) for one in SEE_ALSO.split(', '))}\n")
    return "".join(parts)


def _reference(text: str) -> str:
    name, _bracket, section = text.partition("(")
    return f"\\fB{roff(name)}\\fR({section}"


def _man_option(option: Option) -> str:
    names = ", ".join(f"\\fB{roff(name)}\\fR" for name in option.names)
    space = "" if option.metavar[:1] in ("", "[") else " "
    metavar = f"{space}\\fI{roff(option.metavar)}\\fR" if option.metavar else ""
    detail = f"{_text(option.detail)}\n" if option.detail else ""
    return f".TP\n{names}{metavar}\n{_text(_sentence(option.help.replace(chr(10), ' ')))}\n{detail}"


def _man_verb(name: str, arguments: str, text: str, module: str) -> str:
    from pyroot.verbs.layout import EXAMPLES as OF_VERBS

    head, rows = grammar_of(name, module)
    parts = [f".SS pyroot {roff(name)} {roff(arguments)}".rstrip() + "\n", f"{_text(_sentence(text))}\n"]
    for paragraph in head.split("\n\n"):
        if paragraph.startswith("  "):
            parts.append(f".PP\n.nf\n{chr(10).join(roff(line) for line in paragraph.splitlines())}\n.fi\n")
        else:
            parts.append(f".PP\n{_text(' '.join(line.strip() for line in paragraph.splitlines()))}\n")
    parts += [_man_option(option) for option in rows if option.help]
    for line, what in OF_VERBS.get(name, ()):
        parts.append(f".TP\n\\fIExample:\\fR \\fB{roff(line)}\\fR\n{_text(_sentence(what))}\n")
    return "".join(parts)


_STUB = '''\
"""The typed face of api.py. Generated by docs/man/generate.py from pyroot/options.py and api.PARAMETERS; do not edit."""

import asyncio
import subprocess
from collections.abc import Collection, Mapping, Sequence
from typing import IO, Any, Literal, TypeAlias, TypedDict

from typing_extensions import Unpack

from pyroot.binds import Binds, StrPath
from pyroot.caller import Pipe
from pyroot.options import Option

_File: TypeAlias = int | IO[Any] | None

class RunOptions(TypedDict, total=False):
{own}
class Keywords(RunOptions, total=False):
{others}    exit_codes: bool

SAME: str
GUEST: str
REFUSED: str

class Parameter:
    meaning: str
    type: str
    about: str

PARAMETERS: dict[str, Parameter]
KEYWORDS: dict[str, Option]

class Call:
    keywords: dict[str, Any]
    line: list[str]
    pipe: Pipe | None
    def __init__(self, line: list[str], others: dict[str, Any], exit_codes: bool, own: tuple[int, ...] = ()) -> None: ...
    def close(self) -> None: ...

def starter() -> list[str]: ...
def call_of(args: Sequence[StrPath], keywords: dict[str, Any]) -> Call: ...
def command_line(args: Sequence[StrPath], **keywords: Unpack[RunOptions]) -> list[str]: ...
def run(
    args: Sequence[StrPath],
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **keywords: Unpack[Keywords],
) -> subprocess.CompletedProcess[Any]: ...

class Popen(subprocess.Popen[Any]):
    def __init__(self, args: Sequence[StrPath], **keywords: Unpack[Keywords]) -> None: ...

async def create_subprocess_exec(
    program: StrPath, *args: StrPath, limit: int = ..., **keywords: Unpack[Keywords]
) -> asyncio.subprocess.Process: ...
'''


def api_stub() -> str:
    """Return the stub of ``api``: each row that sets a field is a keyword, and so is each parameter of subprocess."""
    from pyroot.api import KEYWORDS, PARAMETERS

    own = "".join(f"    {name}: {row.kind.keyword or 'Binds'}\n" for name, row in KEYWORDS.items())
    others = "".join(f"    {name}: {one.type}\n" for name, one in PARAMETERS.items() if name not in KEYWORDS and name != "args")
    return _STUB.format(own=own, others=others)


def api_tables() -> dict[str, str]:
    """Return the tables of docs/PYTHON.md: what stands between the comments of each name."""
    from pyroot.api import KEYWORDS, PARAMETERS

    own = ["| keyword | type | option |", "|---|---|---|"]
    for name, row in KEYWORDS.items():
        own.append(f"| `{name}` | `{_cell(row.kind.keyword or 'Binds')}` | `{row.names[0]}`: {_cell(row.help)} |")
    others = ["| parameter | is | |", "|---|---|---|"]
    others += [f"| `{name}` | {one.meaning} | {_cell(one.about)} |" for name, one in PARAMETERS.items()]
    return {"keywords": "\n".join(own), "parameters": "\n".join(others)}


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def api_page(text: str) -> str:
    """Return docs/PYTHON.md with its tables as they should be."""
    for name, table in api_tables().items():
        head, begin, rest = text.partition(f"<!-- {name}: written by docs/man/generate.py -->\n")
        _old, end, tail = rest.partition(f"<!-- end of {name} -->")
        text = f"{head}{begin}{table}\n{end}{tail}"
    return text
