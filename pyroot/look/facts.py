"""What somebody who is to help has to know of a machine: versions, the kernel's rules, limits.

Decides: which facts these are. None of them names a person, a host or a file of the user.
"""

from __future__ import annotations

import os
import platform
import resource
import sys

from pyroot import __version__
from pyroot.doctor.host import read, status_field

_LIMITS = {"open files": "NOFILE", "processes": "NPROC", "address space": "AS", "file size": "FSIZE", "stack": "STACK", "locked": "MEMLOCK"}
_STATUS = ("NoNewPrivs", "Seccomp", "Seccomp_filters", "TracerPid", "CapEff")


def versions() -> dict[str, str]:
    """Name what runs here."""
    return {
        "pyroot": __version__,
        "core": _core(),
        "Python": f"{platform.python_implementation()} {platform.python_version()} ({'64' if sys.maxsize > 1 << 32 else '32'} bit)",
        "C library": " ".join(platform.libc_ver()).strip() or "unknown",
        "kernel": f"{platform.release()} {platform.version()}",
        "machine": platform.machine(),
        "system": _distribution(),
    }


def _core() -> str:
    try:
        from pyroot import _fast
    except ImportError as error:
        return f"cannot be loaded: {error}"
    return ", ".join(f"{name}: {'yes' if there else 'no'}" for name, there in _fast.self_check().items())


def _distribution() -> str:
    for line in read("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip("\"'")
    return "unknown"


def rules() -> dict[str, str]:
    """Say what the kernel allows this process."""
    memory = next((line.split(":")[1].strip() for line in read("/proc/meminfo").splitlines() if line.startswith("MemTotal")), "unknown")
    found = {
        "security modules": read("/sys/kernel/security/lsm") or "cannot be read",
        "label of this process": read("/proc/self/attr/current") or "none",
        "Yama ptrace_scope": read("/proc/sys/kernel/yama/ptrace_scope") or "no Yama",
        "seccomp actions": read("/proc/sys/kernel/seccomp/actions_avail") or "none",
        "user namespaces": read("/proc/sys/user/max_user_namespaces") or "none",
        "protected_symlinks": read("/proc/sys/fs/protected_symlinks"),
        "runs as root": "yes" if os.geteuid() == 0 else "no",
        "container": _container(),
        "processors": str(len(os.sched_getaffinity(0))),
        "memory": memory,
    }
    return found | {name: status_field(name) or "unknown" for name in _STATUS}


def _container() -> str:
    kinds = {"/.dockerenv": "docker", "/run/.containerenv": "podman", "/run/systemd/container": read("/run/systemd/container")}
    return next((kind for path, kind in kinds.items() if kind and os.path.exists(path)), "none seen")


def limits() -> dict[str, str]:
    """Give the soft and hard limits that matter to a supervisor and its guests."""
    found: dict[str, str] = {}
    for name, what in _LIMITS.items():
        pair = resource.getrlimit(getattr(resource, f"RLIMIT_{what}"))
        found[name] = " of ".join("unlimited" if one == resource.RLIM_INFINITY else str(one) for one in pair)
    return found


def file_system(path: str) -> str:
    """Name the type and the options of the file system that a path is on."""
    path = os.path.realpath(path)
    best, found = "", "unknown"
    for line in read("/proc/self/mounts").splitlines():
        fields = line.split(" ")
        at = fields[1].replace("\\040", " ") if len(fields) > 3 else ""
        if at and len(at) >= len(best) and (path + "/").startswith(at.rstrip("/") + "/"):
            best, found = at, f"{fields[2]} ({','.join(one for one in fields[3].split(',') if '=' not in one)})"
    return found
