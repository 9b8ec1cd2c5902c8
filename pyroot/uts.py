"""What the guest is told about the machine: uname(2) with -k and --hostname.

Decides: the grammar of -k, and what the core's feature ``uts`` is switched on with. Not decided here: what a guest may set itself.

Facts: proot 5.4's --kernel-release (six fields, each after a backslash, and a seventh for AT_HWCAP); uname(2): 64 bytes a field.
"""

import os

from pyroot.errors import PyrootError
from pyroot.report import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.config import Config

FIELDS = ("sysname", "nodename", "release", "version", "machine", "domainname")
LONGEST = 64


def fields(spelling: str, value: str) -> list[str]:
    """Return the six fields that -k gives; those that stay the kernel's are empty."""
    found = [""] * len(FIELDS)
    if not value.startswith("\\"):
        found[FIELDS.index("release")] = value
    else:
        parts = value[1:].removesuffix("\\").split("\\")
        if not len(FIELDS) <= len(parts) <= len(FIELDS) + 1:
            raise PyrootError(f"{spelling} {value}: {len(parts)} fields", f"{spelling} RELEASE, or \\" + "\\".join(FIELDS) + "\\hwcap\\")
        if len(parts) > len(FIELDS) and parts[-1]:
            note(1, f"{spelling}: the processor's capabilities (AT_HWCAP) stay what they are")
        found = parts[: len(FIELDS)]
    for name, text in zip(FIELDS, found, strict=True):
        plain(f"{spelling} {value}", name, text)
    return found


def plain(shown: str, name: str, text: str) -> str:
    """Return a field if the kernel could have it."""
    if len(os.fsencode(text)) > LONGEST or "\n" in text:
        raise PyrootError(f"{shown}: the {name} is not a line of at most {LONGEST} bytes", "that is what uname(2) has room for")
    return text


def text(config: "Config") -> bytes:
    """Return what the feature is switched on with."""
    found = list(config.kernel_release or [""] * len(FIELDS))
    found[FIELDS.index("nodename")] = config.hostname or found[FIELDS.index("nodename")]
    return os.fsencode("\n".join(found) + "\n")
