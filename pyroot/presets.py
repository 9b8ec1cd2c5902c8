"""Lists of bindings in files: those that come with pyroot, and the user's own (``-b @NAME``, ``-b @./FILE``).

Decides: where a list is found, the grammar of its lines, what a variable in one means. Not decided here: the grammar of a binding
(``binding``).

A line is an argument of -b, or ``@NAME`` for another list, then optionally white space, ``#`` and why it is there. In a list of the
user's ``$NAME`` and ``${NAME}`` stand for a variable of the environment, which must be set, ``$$`` for a dollar sign, and relative paths
begin at the list's directory. What a list of pyroot's names is left out if the host lacks it, or if its variable is no absolute path.
"""

import os

from pyroot import binding, environment
from pyroot.errors import PyrootError, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

    from pyroot.binding import Binding

_VARIABLE = rb"\$(?:\$|(\w+)|\{(\w+)\})"


def of_option(text: bytes, host_cwd: bytes | None, shown: str) -> "list[Binding]":
    """Return what an argument of -b stands for: one binding, or those of a list. Raises PyrootError."""
    if not text.startswith(b"@"):
        return [binding.parse(text, host_cwd, shown)]
    return _named(text[1:], host_cwd, shown, ())


def own_path(name: str) -> str:
    """Return where pyroot's own list ``name`` is: in the installed package, otherwise next to it in a source tree; empty without one."""
    package = os.path.dirname(os.path.abspath(__file__))
    for directory in (os.path.join(package, "bind"), os.path.join(os.path.dirname(package), "bind")):
        path = os.path.join(directory, name + ".bind")
        if os.path.isfile(path):
            return path
    return ""


def usual(name: str, rootfs: bytes) -> "list[Binding]":
    """Return the bindings that -R or -S adds. Raises PyrootError if the list is missing."""
    path = own_path(name)
    if not path:
        raise PyrootError(f"the list bind/{name}.bind is missing", "this installation of pyroot is not complete")
    return read_own(path, {b"HOME": environment.home(), b"ROOTFS": rootfs})


def read_own(path: str, variables: dict[bytes, bytes]) -> "list[Binding]":
    """Read a list of pyroot's; a line that begins with a variable is left out if that is not an absolute path."""
    found: list[Binding] = []
    for _number, text in _lines(path):
        if text.startswith(b"$"):
            name = text[1:].partition(b"/")[0].partition(b":")[0]
            value = variables.get(name, b"")
            if not value.startswith(b"/"):
                continue
            text = _quoted(value) + text[1 + len(name) :]
        found.append(binding.parse(text, None))
    return found


def _named(name: bytes, host_cwd: bytes | None, shown: str, above: tuple[str, ...]) -> "list[Binding]":
    """Read a list by its name, or by its path if there is a slash in it."""
    if not name:
        raise PyrootError(f"{shown}: no list is named", "@NAME, or @./FILE for a file")
    if b"/" in name:
        return _read(os.fsdecode(binding.absolute(name, host_cwd, shown)), shown, above)
    text = os.fsdecode(name)
    mine = os.path.join(environment.config_dir(), "pyroot", text + ".bind")
    if os.path.isfile(mine):
        return _read(mine, shown, above)
    if path := own_path(text):
        return read_own(path, environment.variables())
    raise PyrootError(f"{shown}: there is no list {text}", f"{mine} would be one; @./{text} names a file")


def _read(path: str, shown: str, above: tuple[str, ...]) -> "list[Binding]":
    """Read a list of the user's; ``above`` are those that lead to it."""
    path = os.path.realpath(path)
    if path in above:
        raise PyrootError(f"{shown}: {path} includes itself", "by way of " + ", ".join(above[above.index(path) :]))
    found: list[Binding] = []
    directory = os.fsencode(os.path.dirname(path))
    try:
        lines = _lines(path)
    except OSError as error:
        raise PyrootError(f"{shown}: {path}: {text_of(error.errno or 0)}", "a list has a binding in each line, HOST:GUEST") from None
    for number, line in lines:
        where = f"{path}, line {number}"
        text = _expanded(line, where)
        if text.startswith(b"@"):
            found += _named(text[1:], directory, where, (*above, path))
        else:
            found.append(binding.parse(text, directory, where))
    return found


def _lines(path: str) -> list[tuple[int, bytes]]:
    """Return number and text of each line that says something."""
    with open(path, "rb") as file:
        lines = file.read().splitlines()
    return [(number, text) for number, line in enumerate(lines, 1) if (text := _without_comment(line))]


def _without_comment(line: bytes) -> bytes:
    for mark in (b" #", b"\t#"):
        line = line.partition(mark)[0]
    line = line.strip()
    return b"" if line.startswith(b"#") else line


def _expanded(text: bytes, where: str) -> bytes:
    """Put the values of variables into a line."""
    import re  # (off the way of a run with -R)

    variables = environment.variables()

    def value(match: "re.Match[bytes]") -> bytes:
        name = match[1] or match[2]
        if name is None:
            return b"$"
        if name not in variables:
            raise PyrootError(f"{where}: ${os.fsdecode(name)} is not set", "set it, or write $$ for a dollar sign")
        return _quoted(variables[name])

    return re.sub(_VARIABLE, value, text)


def _quoted(path: bytes) -> bytes:
    """Protect what means something in a binding."""
    return path.replace(b"\\", b"\\\\").replace(b":", b"\\:")
