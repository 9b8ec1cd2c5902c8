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
    asked: str = ""
    """Names of calls whose place it judges where they stop without it, but only if they ask for writing: those that read lose nothing."""
    gate: str = ""
    """Those of ``calls`` that the gate may answer for its sake only."""
    gated: bool = False
    """Its calls may be led through the gate: what they would find otherwise the gate knows, too."""
    part: bool = False
    """It is a part of its own: ``_fast/features/NAME.pxi``."""


def _both(names: str) -> str:
    """Return the names of calls with those of i386, whose ids have 32 bits where the plain names mean 16."""
    return " ".join(f"{name} {name}32" for name in names.split())


IDS = (
    _both("getuid geteuid getgid getegid getresuid getresgid getgroups")
    + " "
    + _both("setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups")
    + " capget capset prctl kcmp get_robust_list"
    " kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal"
    " setpriority ioprio_set nice sched_setparam sched_setscheduler sched_setattr"
    " listen connect socketpair getsockopt setsockopt sendmsg sendmmsg recvmsg recvmmsg recvmmsg_time64 socketcall"
)
"""What is answered by the ids of a session, or judged by them."""
OWNERS = """
    stat lstat fstat newfstatat statx oldstat oldlstat oldfstat stat64 lstat64 fstat64 fstatat64 access faccessat faccessat2
    getdents getdents64 open openat openat2 creat chdir truncate truncate64 execve execveat
    chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat chown32 lchown32 fchown32
    utime utimes futimesat utimensat utimensat_time64
    setxattr lsetxattr fsetxattr setxattrat getxattr lgetxattr fgetxattr getxattrat
    listxattr llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat
    mkdir mkdirat mknod mknodat symlink symlinkat link linkat unlink unlinkat rmdir rename renameat renameat2
    bind socketcall
"""
"""What asks for owners, modes and attributes of files, changes them, or is judged by them."""

LOOKS = """
    stat lstat fstat newfstatat statx oldstat oldlstat oldfstat stat64 lstat64 fstat64 fstatat64 getdents getdents64
    open openat openat2 creat getxattr lgetxattr fgetxattr getxattrat listxattr llistxattr flistxattr listxattrat
    statfs statfs64 fstatfs fstatfs64
"""
"""What tells of files that an overlay has copied up or merged, and opens, which may copy up."""

FEATURES: tuple[Feature, ...] = (
    Feature("listing"),
    Feature("noting"),
    Feature("readonly", calls="truncate truncate64 statfs statfs64 fstatfs fstatfs64", effects="name rights",
            asked="open openat openat2 creat access faccessat faccessat2", part=True),
    Feature("overlay", calls="truncate truncate64 fchmod fchown fchown32 fsetxattr fremovexattr name_to_handle_at",
            effects="name rights enter", asked="open openat openat2 creat", part=True),
    Feature("merged", calls=LOOKS, gated=True),
    Feature("gate"),
    Feature("tap"),
    Feature("placement"),
    Feature("trace"),
    Feature("ptrace"),
    Feature("failed"),
    Feature("ids", calls=IDS, gate="getuid geteuid getgid getegid getresuid getresgid getgroups", part=True),
    Feature("uts", calls="uname olduname oldolduname sethostname setdomainname", part=True),
    Feature("network", part=True),
    Feature("owners", calls=OWNERS, gate="fstat getdents64 fchown fchmod", part=True),
)
"""Their order is that of their bits: at most 32."""

KINDS = {"listing": "listing", "noting": "noting", "duplicates": "noting", "setflags": "readonly"}
"""Which feature a row with such a ``when`` stops for."""


def bit(name: str) -> int:
    """Return the number of a feature's bit."""
    return [feature.name for feature in FEATURES].index(name)


def asked(call: str) -> list[str]:
    """Return the features that are asked about a call if it is for writing."""
    return [feature.name for feature in FEATURES if call in feature.asked.split()]


def led(call: str) -> str:
    """Return the feature for whose sake the gate may answer a call, if there is one."""
    return next((feature.name for feature in FEATURES if call in feature.gate.split()), "")


def gated(call: str) -> bool:
    """Tell whether a call stops for a feature that lets the gate answer it."""
    return any(feature.gated and call in feature.calls.split() for feature in FEATURES)


def stopping(call: str, effect: str = "") -> list[str]:
    """Return the features that a call stops for; ``effect`` is its row's, if it has one."""
    return [feature.name for feature in FEATURES if call in feature.calls.split() or effect in feature.effects.split()]
