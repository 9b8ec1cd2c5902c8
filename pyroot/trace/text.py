"""How single values look: strings, addresses, flags, errors.

Decides: quoting, escapes and the words for numbers, in the form of strace(1), which the tests compare with. Not decided here:
which argument is what (`calls`).
"""

from __future__ import annotations

import errno
import functools
import os

#: Results by which the kernel asks itself to make an interrupted call again (include/linux/errno.h).
RESTARTS = {
    512: "ERESTARTSYS (To be restarted if SA_RESTART is set)",
    513: "ERESTARTNOINTR (To be restarted)",
    514: "ERESTARTNOHAND (To be restarted if no handler)",
    516: "ERESTART_RESTARTBLOCK (Interrupted by signal)",
}
_SIMPLE = {9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}


_SHORT = [_SIMPLE.get(code) or (chr(code) if 32 <= code < 127 else f"\\{code:o}") for code in range(256)]
_OCTAL = bytes(code for code in range(256) if _SHORT[code][1:].isdigit())
_DIGITS = b"0123456789"


def _escaped(data: bytes) -> str:
    if len(data.translate(None, _OCTAL)) == len(data):
        return data.decode("ascii").translate(_SIMPLE)
    parts = [_SHORT[code] for code in data]
    for at in range(len(data) - 1):
        if data[at + 1] in _DIGITS and data[at] in _OCTAL:
            # a shorter one would include the digit
            parts[at] = f"\\{data[at]:03o}"
    return "".join(parts)


def quoted(data: bytes) -> str:
    """Put bytes between quotes, with C escapes for those that are not printable."""
    known = repr(data)
    if "\\" not in known and '"' not in known:
        # Python's form: all of it is printable, without quotes
        return f'"{known[2:-1]}"'
    return f'"{_escaped(data)}"'


def hexed(data: bytes) -> str:
    """Put bytes between quotes, every one as a hexadecimal escape."""
    return '"' + "".join(f"\\x{code:02x}" for code in data) + '"'


def pointer(value: int) -> str:
    """Give an address."""
    return f"{value:#x}" if value else "NULL"


def signed(value: int, bits: int = 32) -> int:
    """Read the low bits of a register as a signed number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def flags(value: int, names: tuple[tuple[int, str], ...], unknown: str) -> str:
    """Name the bits of a value; what has no name stays a number."""
    if value == 0:
        return next((name for bits, name in names if bits == 0), "0")
    found = []
    rest = value
    for bits, name in names:
        if bits and rest & bits == bits:
            found.append(name)
            rest &= ~bits
    if not found:
        return f"{value:#x} /* {unknown} */" if unknown else f"{value:#x}"
    if rest:
        found.append(f"{rest:#x}")
    return "|".join(found)


def one_of(value: int, names: dict[int, str], unknown: str) -> str:
    """Name a value that is one of a list."""
    name = names.get(value)
    if name is not None:
        return name
    return f"{value:#x} /* {unknown} */" if unknown else f"{value:#x}"


@functools.cache
def error(number: int) -> str:
    """Give an errno with its words."""
    name = errno.errorcode.get(number)
    if number == errno.EOPNOTSUPP:
        name = "EOPNOTSUPP"
    if name is None:
        return f"(errno {number})"
    return f"{name} ({os.strerror(number)})"


def error_name(number: int) -> str:
    """Give the name of an errno, or of a restart."""
    if number in RESTARTS:
        return RESTARTS[number].split()[0]
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, f"errno {number}")


def is_text(data: bytes) -> bool:
    """Say whether -x leaves these bytes as they are: printable ASCII, or white space."""
    return all(32 <= code < 127 or 9 <= code <= 13 for code in data)
