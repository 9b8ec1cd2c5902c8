"""Bindings as values of Python: what ``binds=`` takes.

Decides: how a string, a path, a tuple, a mapping and a `Binding` become the word of an option. Not decided here: what the word means
(``binding``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from pyroot.plain import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    StrPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
    One: TypeAlias = "StrPath | tuple[StrPath, StrPath] | tuple[StrPath, StrPath, str] | Binding"
    Binds: TypeAlias = "Iterable[One] | Mapping[Any, StrPath | tuple[StrPath, str]]"
    from typing import Any


@record(frozen=True)
class Binding:
    """A file or directory of the host that is shown at a path of the guest.

    `guest` is the same path if it is left out. `readonly`: nothing below it may be changed. `optional`: it is left out if the host has no
    such path. `follow`: if the guest path is a symbolic link, it appears where that leads. Names may have any character.
    """

    host: StrPath
    guest: StrPath | None = None
    readonly: bool = False
    optional: bool = False
    follow: bool = True

    def word(self) -> str:
        """Give it as the command line has it, HOST:GUEST:OPTIONS."""
        host = _escaped(self.host)
        if host.startswith("@"):
            host = f"./{host}"
        options = [name for name, on in (("ro", self.readonly), ("try", self.optional), ("nofollow", not self.follow)) if on]
        guest = [] if self.guest is None else [_escaped(self.guest)]
        return ":".join([host, *guest] if not options else [host, *(guest or [""]), ",".join(options)])


def _escaped(path: StrPath) -> str:
    """Put a backslash before what the grammar of bindings would take for its own."""
    text = os.fsdecode(path).replace("\\", "\\\\").replace(":", "\\:")
    return text[:-1] + "\\!" if text.endswith("!") else text


def _word(one: object) -> str:
    if isinstance(one, Binding):
        return one.word()
    if isinstance(one, (str, bytes)):
        return os.fsdecode(one)
    if isinstance(one, os.PathLike):
        return Binding(one).word()
    if isinstance(one, tuple) and len(one) in (2, 3):
        word = Binding(one[0], one[1]).word()
        return f"{word}:{one[2]}" if len(one) == 3 else word
    raise TypeError(f"not a binding: {one!r}; a string, a path, (HOST, GUEST), (HOST, GUEST, OPTIONS) or a Binding is")


def words(value: object) -> list[str]:
    """Give the words that stand for the value of a keyword such as ``binds``: a mapping has guest paths by host paths."""
    if isinstance(value, Mapping):
        return [_word((host, *guest) if isinstance(guest, tuple) else (host, guest)) for host, guest in value.items()]
    if isinstance(value, (str, bytes, os.PathLike, Binding)) or not isinstance(value, Iterable):
        raise TypeError(f"not a list of bindings: {value!r}")
    return [_word(one) for one in value]
