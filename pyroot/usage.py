"""What -h, --help, -V and the man page say, and how the keywords of `api` are typed.

Decides: the sections, their order, and how they are laid out on a terminal and in man(7) markup. Not decided here:
the rows about options and verbs, which come from ``options``. ``docs/man/generate.py`` writes ``man_page()`` and ``api_stub()`` to
files, and a test compares these with what is computed here.
"""

import textwrap

from pyroot import __version__
from pyroot.option_kinds import QUESTION
from pyroot.options import OPTIONS, VERBS, Option

SYNOPSIS = ("pyroot [OPTION ...] [--] [COMMAND [ARGUMENT ...]]", "pyroot VERB ...")
SUMMARY = "chroot and bind mounts for an ordinary user"

DESCRIPTION = (
    "pyroot runs COMMAND, and everything that it starts, with another root directory: what chroot and bind mounts do, "
    "but without privilege, without a mount and without a user namespace. Without a COMMAND it starts /bin/sh as a "
    "login shell. COMMAND is looked up in the PATH of the environment, as the guest sees it.",
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
SEE_ALSO = "chroot(1), mount(8), proot(1), ptrace(2), path_resolution(7)"

_WIDTH = 100
_COLUMN = 28


def version() -> str:
    """Return what -V prints."""
    return f"pyroot {__version__}\nLicence GPL-2.0-or-later; there is no warranty, as far as the law permits.\n"


def groups() -> list[tuple[str, list[Option]]]:
    """Return the options by group, both in the order of the table."""
    found: dict[str, list[Option]] = {}
    for option in OPTIONS:
        found.setdefault(option.group, []).append(option)
    return list(found.items())


def _entry(name: str, text: str) -> str:
    lines = textwrap.wrap(text, _WIDTH - _COLUMN, break_on_hyphens=False)
    head = f"  {name}"
    if len(head) + 2 > _COLUMN:
        return "\n".join([head] + [" " * _COLUMN + line for line in lines]) + "\n"
    first = head.ljust(_COLUMN) + lines[0]
    return "\n".join([first] + [" " * _COLUMN + line for line in lines[1:]]) + "\n"


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
    return "".join(lines)


def full() -> str:
    """Return everything that the man page says, for a terminal."""
    parts = [f"pyroot {__version__}: {SUMMARY}\n\n"]
    parts += [f"  {line}\n" for line in SYNOPSIS]
    for paragraph in DESCRIPTION:
        parts.append("\n" + textwrap.fill(paragraph, _WIDTH, break_on_hyphens=False, break_long_words=False) + "\n")
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
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


def man_page() -> str:
    """Return the man page in man(7) markup."""
    parts = [
        '.\\" Generated by docs/man/generate.py from pyroot/options.py and pyroot/usage.py; do not edit.\n',
        f'.TH PYROOT 1 "" "pyroot {__version__}" "User Commands"\n',
        f".SH NAME\npyroot \\- {roff(SUMMARY)}\n",
        ".SH SYNOPSIS\n",
        *(f".B {roff(line)}\n.br\n" for line in SYNOPSIS),
        ".SH DESCRIPTION\n",
        "\n.PP\n".join(roff(paragraph) for paragraph in DESCRIPTION) + "\n",
        ".SH OPTIONS\n",
    ]
    for group, rows in groups():
        parts.append(f".SS {roff(group)}\n")
        for option in rows:
            names = ", ".join(f"\\fB{roff(name)}\\fR" for name in option.names)
            metavar = f" \\fI{roff(option.metavar)}\\fR" if option.metavar else ""
            parts.append(f".TP\n{names}{metavar}\n{roff(_sentence(option.help))}\n{roff(option.detail)}\n")
    for title, entries in _lists():
        parts.append(f".SH {title.upper()}\n")
        for name, text in entries:
            parts.append(f".TP\n.B {roff(name)}\n{roff(_sentence(text))}\n")
    parts.append(f".SH SEE ALSO\n{roff(SEE_ALSO)}\n")
    return "".join(parts)


_STUB = '''\
"""The typed face of api.py. Generated by docs/man/generate.py from pyroot/options.py; do not edit."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

def command_line(
    args: Sequence[StrPath],
    *,
{own}) -> list[str]: ...
def run(
    args: Sequence[StrPath],
    *,
{own}    **keywords: Any,
) -> subprocess.CompletedProcess[Any]: ...

class Popen(subprocess.Popen[Any]):
    def __init__(
        self,
        args: Sequence[StrPath],
        *,
{inner}        **keywords: Any,
    ) -> None: ...
'''


def api_stub() -> str:
    """Return the stub of ``api``: each row that sets a field is a keyword."""
    rows = [option for option in OPTIONS if option.kind is not QUESTION]
    # the run decides which values optional keywords have if they are not given
    own = [f"    {row.field}: {row.kind.keyword}{' = ...' if 'None' not in row.kind.keyword else ' = None'},\n" for row in rows]
    return _STUB.format(own="".join(own), inner="".join(f"    {line}" for line in own))
