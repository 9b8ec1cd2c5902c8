"""The kinds of values that options have.

Decides: how a value is read, what a field holds without its option, and the type of its keyword in Python. Not decided here: which
options there are (``options``), what follows from a value (``config``).
"""

import os

from pyroot import binding
from pyroot.errors import PyrootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroot import binding_kinds

_LONGEST = 1e6  # s


class Kind:
    """What the value of an option is: how it is read, the field's value without it, and the type of the keyword in Python.

    ``read`` takes the spelling used, the value and the current directory, and raises PyrootError. A field whose ``empty`` is a
    tuple collects what is read, any other holds what was read last.
    """

    __slots__ = ("read", "empty", "keyword")

    def __init__(self, read: "Callable[[str, str, bytes | None], object]", empty: object, keyword: str) -> None:
        self.read = read
        self.empty = empty
        self.keyword = keyword


def _bindings(spelling: str, value: str, here: bytes | None) -> list[binding.Binding]:
    if not value.startswith("@"):
        return [_binding(spelling, value, here)]
    from pyroot import presets

    return presets.of_option(os.fsencode(value), here, f"{spelling} {value}")


def _binding(spelling: str, value: str, here: bytes | None) -> binding.Binding:
    return binding.parse(os.fsencode(value), here, f"{spelling} {value}")


def _tmpfs(spelling: str, value: str, here: bytes | None) -> binding.Tmpfs:
    shown = f"{spelling} {value}"
    guest, mode = _guest_with_mode(value, shown, here, 0o1777, "--tmpfs /tmp")
    return binding.Tmpfs(guest, shown, mode)


def _directory(spelling: str, value: str, here: bytes | None) -> "binding_kinds.Directory":
    from pyroot import binding_kinds

    shown = f"{spelling} {value}"
    guest, mode = _guest_with_mode(value, shown, here, 0o755, "--dir /mnt")
    return binding_kinds.Directory(guest, shown, mode)


def _file(spelling: str, value: str, here: bytes | None) -> "binding_kinds.File":
    from pyroot import binding_kinds

    shown = f"{spelling} {value}"
    number, colon, rest = value.partition(":")
    if not number.isdecimal() or not colon:
        raise PyrootError(f"{shown}: no descriptor, or no guest path", f"{spelling} 3:/etc/motd 3< FILE")
    guest, mode = _guest_with_mode(rest, shown, here, 0o644, f"{spelling} 3:/etc/motd")
    return binding_kinds.File(int(number), guest, shown, mode)


def _link(spelling: str, value: str, here: bytes | None) -> "binding_kinds.Link":
    from pyroot import binding_kinds

    shown = f"{spelling} {value}"
    target, guest, _follow = binding.split(os.fsencode(value))
    if not target or not guest:
        raise PyrootError(f"{shown}: no target, or no guest path", f"{spelling} usr/lib:/lib makes /lib a link to usr/lib")
    return binding_kinds.Link(target, os.path.normpath(binding.absolute(guest, here, shown)), shown)


def _guest_with_mode(value: str, shown: str, here: bytes | None, mode: int, example: str) -> tuple[bytes, int]:
    """Read ``GUEST[:mode=MODE]``."""
    guest, _, given = value.partition(":")
    for word in filter(None, given.split(",")):
        name, _, number = word.partition("=")
        if name != "mode" or not number or number.strip("01234567") or len(number) > 4:
            raise PyrootError(f"{shown}: there is no option {word}", "mode=0700 is one; a size cannot be limited")
        mode = int(number, 8)
    if not guest:
        raise PyrootError(f"{shown}: the guest path is empty", example)
    return os.path.normpath(binding.absolute(os.fsencode(guest), here, shown)), mode


def _mask(spelling: str, value: str, here: bytes | None) -> "binding_kinds.Mask":
    from pyroot import binding_kinds

    shown = f"{spelling} {value}"
    return binding_kinds.Mask(os.path.normpath(binding.absolute(os.fsencode(value), here, shown)), shown)


def _overlay(spelling: str, value: str, here: bytes | None) -> "binding_kinds.Overlay":
    from pyroot import binding_kinds

    shown = f"{spelling} {value}"
    parts = binding.fields(os.fsencode(value))[0]
    if len(parts) < 2 or not all(parts[:-1]) or not (parts[-1] or parts[2:]):
        raise PyrootError(f"{shown}: no lower directory, or no guest path", f"{spelling} LOWER:GUEST, or LOWER:GUEST:UPPER")
    *lower, guest, upper = parts if len(parts) > 2 else [*parts, b""]
    paths = [binding.absolute(path, here, shown) for path in lower]
    place = os.path.normpath(binding.absolute(guest, here, shown))
    return binding_kinds.Overlay(paths, place, binding.absolute(upper, here, shown) if upper else None, shown)


def _overlay_root(spelling: str, value: str, here: bytes | None) -> bytes:
    return binding.absolute(os.fsencode(value), here, f"{spelling}={value}") if value else b""


def _readonly(spelling: str, value: str, here: bytes | None) -> binding.Binding:
    read = _binding(spelling, value, here)
    read.readonly = True
    return read


def _tried(spelling: str, value: str, here: bytes | None) -> binding.Binding:
    read = _binding(spelling, value, here)
    read.optional = True
    return read


def _place(spelling: str, value: str, here: bytes | None) -> bytes:
    return binding.absolute(os.fsencode(value), here, f"{spelling} {value}")


def _memory(spelling: str, value: str, here: bytes | None) -> bytes:
    return b"" if value == "forget" else _place(spelling, value, here)


def _level(spelling: str, value: str, _here: bytes | None) -> int:
    try:
        return int(value, 10)
    except ValueError:
        from pyroot.verbs.near import of_level

        raise PyrootError(f"{spelling} {value}: not a number", of_level(spelling, value)) from None


def seconds(spelling: str, value: str, _here: bytes | None = None) -> float:
    """Read a time in seconds; raise PyrootError for anything else."""
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= _LONGEST:  # "nan" is neither
        raise PyrootError(f"{spelling} {value}: not a time in seconds", f"{spelling} 5 waits for five seconds, {spelling} 0 for none")
    return number


def _as_it_is(_spelling: str, value: str, _here: bytes | None) -> str:
    return value


def _uts(spelling: str, value: str, _here: bytes | None) -> list[str]:
    from pyroot import uts

    return uts.fields(spelling, value)


def _hostname(spelling: str, value: str, _here: bytes | None) -> str:
    from pyroot import uts

    return uts.plain(f"{spelling} {value}", "nodename", value)


def _ids(spelling: str, value: str, _here: bytes | None) -> str:
    from pyroot import identity

    if value == "t":
        from pyroot.verbs.near import of_others

        if told := of_others(spelling + value, spelling + value):
            raise PyrootError(*told)
    identity.change_id(f"{spelling} {value}", value)
    return value


def _given(_spelling: str, _value: str, _here: bytes | None) -> bool:
    return True


FLAG = Kind(_given, False, "bool")
ROOT = Kind(_as_it_is, b"/", "StrPath")
RECOMMENDED = Kind(_as_it_is, False, "bool")  # a root, too; of all roots the last one counts (`config`)
SUPER = Kind(_as_it_is, False, "bool")  # the same, and who the command is
IDENTITY = Kind(_given, False, "bool")  # who the command is: of these, too, the last one counts
IDENTITY_NUMBERS = Kind(_ids, None, "str | None")
IDENTITY_NAMES = Kind(_as_it_is, None, "str | None")
NAME = Kind(_hostname, None, "str | None")
RELEASE = Kind(_uts, None, "str | None")
NAMES = Kind(_as_it_is, None, "str | None")  # a list with commas, which may be empty
HERE = Kind(_given, False, "bool")  # takes back what the field of PLACE holds
BINDS = Kind(_bindings, (), "Binds")
READONLY_BINDS = Kind(_readonly, (), "")
TRIED_BINDS = Kind(_tried, (), "")
TMPFS = Kind(_tmpfs, (), "")
MASK = Kind(_mask, (), "")
OVERLAY = Kind(_overlay, (), "")
OVERLAY_ROOT = Kind(_overlay_root, None, "StrPath | None")
DIRECTORY = Kind(_directory, (), "")
CONTENT = Kind(_file, (), "")
LINK = Kind(_link, (), "")
PLACE = Kind(_place, None, "StrPath | None")
FILE = Kind(_place, None, "StrPath | None")
MEMORY = Kind(_memory, None, "StrPath | None")  # a file, or empty: none
SECONDS = Kind(seconds, 5.0, "float | None")
LEVEL = Kind(_level, 0, "int")
TEXT = Kind(_as_it_is, (), "")  # of verbs, which read it themselves
QUESTION = Kind(_as_it_is, None, "")  # sets no field: the question is answered instead of a run


ROOTS = (ROOT, RECOMMENDED, SUPER)
IDENTITIES = (IDENTITY, IDENTITY_NUMBERS, IDENTITY_NAMES, SUPER)
