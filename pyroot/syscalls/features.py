"""List what a session may have in addition to its view: one row per feature, in the order in which their hooks run.

A feature is a function ``feature_NAME`` of the core that fills in its hooks (``pyroot/_fast/records/features.pxi`` has these).  Its row
says whether that function is in a part of its own, and which calls stop while it is on.  From this ``generate`` makes the numbers
(``FEATURE_NAME`` is a bit), the marks in the filter, and ``_fast/run/feature_list.pxi``.
"""

from __future__ import annotations

from typing import NamedTuple


class Feature(NamedTuple):
    """Describe one feature."""

    name: str
    calls: str = ""
    """Names of calls, of either ABI, that stop while it is on, whatever becomes of them otherwise."""
    effects: str = ""
    """The same of all calls that have such an effect on a place (``table.EFFECTS``): what a binding that may not be written to asks for."""
    part: bool = False
    """It is a part of its own: ``_fast/features/NAME.pxi``."""


OWNERS = """
    stat lstat fstat newfstatat statx oldstat oldlstat oldfstat stat64 lstat64 fstat64 fstatat64 access faccessat faccessat2
    getdents getdents64 open openat openat2 creat chdir truncate truncate64 execve execveat
    chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat chown32 lchown32 fchown32
    utime utimes futimesat utimensat utimensat_time64
    setxattr lsetxattr fsetxattr setxattrat getxattr lgetxattr fgetxattr getxattrat
    listxattr llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat
    mkdir mkdirat mknod mknodat symlink symlinkat link linkat unlink unlinkat rmdir rename renameat renameat2
"""
"""What asks for owners, modes and attributes of files, changes them, or is judged by them."""

FEATURES: tuple[Feature, ...] = (
    Feature("listing"),
    Feature("noting"),
    Feature("gate"),
    Feature("tap"),
    Feature("placement"),
    Feature("trace"),
    Feature("ptrace"),
    Feature("failed"),
    Feature("owners", calls=OWNERS, part=True),
)
"""Their order is that of their bits: at most 32."""

KINDS = {"listing": "listing", "noting": "noting", "duplicates": "noting"}
"""Which feature a row with such a ``when`` stops for."""


def bit(name: str) -> int:
    """Return the number of a feature's bit."""
    return [feature.name for feature in FEATURES].index(name)


def stopping(call: str, effect: str = "") -> list[str]:
    """Return the features that a call stops for; ``effect`` is its row's, if it has one."""
    return [feature.name for feature in FEATURES if call in feature.calls.split() or effect in feature.effects.split()]
