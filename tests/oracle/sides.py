"""The sides that the oracle compares: a real chroot with real bind mounts, pyroot, and proot.

Both run the same program as the same ordinary user with the same groups, rights mask, environment and
``no_new_privs``.  The real side needs root and works in a mount namespace of its own.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.helpers import core_directory, ordinary_user, pyroot_command

from .case import ORDINARY_ID, UNMADE, Binding, Case
from .nested import become_user_with_chroot, make_topmost

if TYPE_CHECKING:
    from collections.abc import Callable

CLONE_NEWNS = 0x20000
CLONE_NEWUSER = 0x10000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
AT_FDCWD = -100
AT_RECURSIVE = 0x8000
AT_EMPTY_PATH = 0x1000
MOUNT_ATTR_RDONLY = 1
SYS_MOUNT_SETATTR = 442
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4
PR_SET_NO_NEW_PRIVS = 38
ENVIRONMENT = {"PATH": "/:/x", "HOME": "/tmp", "LANG": "C", "PWD": "/"}
SWITCHES = ("PYROOT_NO_SECCOMP", "PYROOT_NO_GATE", "PYROOT_DEBUG")
TIME_LIMIT = 120.0

libc = ctypes.CDLL(None, use_errno=True)


class SideError(Exception):
    """A side could not run the program at all, or did not end."""


def checked(result: int, what: str) -> None:
    """Raise OSError when a C call failed."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Call mount(2)."""
    encoded = kind.encode() if kind else None
    text = data.encode() if data else None
    checked(libc.mount(os.fsencode(source), os.fsencode(target), encoded, flags, text), f"mount {target}")


def private_mounts() -> None:
    """Enter a mount namespace whose mounts nobody else sees; an ordinary user has the right to it, and to chroot(2), in a user namespace.

    There the user's own id is the only one with a name, and an execve(2) takes the rights away.
    """
    uid, gid = os.geteuid(), os.getegid()
    checked(libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if uid else 0)), "unshare")
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    mount("none", "/", None, MS_REC | MS_PRIVATE)


@functools.cache
def why_no_chroot() -> str:
    """Say why this user cannot have a real chroot with bind mounts, or nothing."""

    def attempt() -> None:
        private_mounts()
        mount("/tmp", "/tmp", None, MS_BIND)
        os.chroot("/tmp")

    try:
        subprocess.run(["/"], preexec_fn=attempt, check=False)
    except subprocess.SubprocessError:
        return "a real chroot needs root, or a user name space"
    except OSError:
        # that program cannot be run, but the way to it was free
        pass
    return ""


def no_new_privileges() -> None:
    """Set no_new_privs, as a supervisor without rights must for its filter."""
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def drop_rights(nested: bool = False) -> None:
    """Become the ordinary user; ``nested``: who may call chroot(2)."""
    os.umask(0o022)
    if nested:
        become_user_with_chroot(ORDINARY_ID)
    elif os.geteuid() == 0:
        os.setgroups([])
        os.setgid(ORDINARY_ID)
        os.setuid(ORDINARY_ID)
    no_new_privileges()


def copy_of_tree(path: str) -> int:
    """Return a copy of the mounts at and below a path, which is not in the tree yet."""
    handle = libc.syscall(SYS_OPEN_TREE, AT_FDCWD, os.fsencode(path), OPEN_TREE_CLONE | AT_RECURSIVE)
    checked(0 if handle >= 0 else -1, f"open_tree {path}")
    return int(handle)


def make_readonly(handle: int, path: str = "") -> None:
    """Let nothing be changed below a mount: that of a path, or of a descriptor, then nor below what is mounted there."""
    flags = 0 if path else AT_EMPTY_PATH | AT_RECURSIVE
    attributes = struct.pack("4Q", MOUNT_ATTR_RDONLY, 0, 0, 0)
    checked(libc.syscall(SYS_MOUNT_SETATTR, handle, os.fsencode(path), flags, attributes, len(attributes)), f"mount_setattr {path}")


def bind_mounts(base: str, bindings: list[Binding]) -> None:
    """Make the bindings, outer ones first, each with the machine's own mounts below its source, and none of the other bindings."""
    sources = [copy_of_tree(os.path.join(base, b.host)) for b in bindings]
    for binding, source in sorted(zip(bindings, sources, strict=True), key=lambda pair: pair[0].guest.count("/")):
        target = f"{base}/root{binding.guest}"
        if binding.guest.rpartition("/")[2].startswith(UNMADE) and not os.path.lexists(target):
            if binding.is_directory:
                os.mkdir(target)
            else:
                os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
            os.chown(target, ORDINARY_ID, ORDINARY_ID)
        if binding.readonly:
            make_readonly(source)
        checked(libc.syscall(SYS_MOVE_MOUNT, source, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH), f"mount {target}")
        os.close(source)


def run_program(
    command: list[str], program: str, prepare: Callable[[], None], environment: dict[str, str]
) -> list[str]:
    """Run one side and return its lines; a side that does not end is killed with everything it started."""
    def prepare_or_explain() -> None:
        try:
            prepare()
        except OSError as error:
            os.write(2, f"{error}\n".encode())
            os._exit(99)

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd="/",
        preexec_fn=prepare_or_explain, start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(program.encode(), timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            raise SideError(f"{command[0]} did not end; last lines {output[-300:]!r} {errors[-300:]!r}") from error
    if process.returncode == 99:
        raise SideError(f"{command[0]} did not start: {errors.decode('latin-1')}")
    if process.returncode == -signal.SIGSEGV:  # what comes behind would be compared with nothing
        raise SideError(f"{command[0]} died; last lines {output[-300:]!r}")
    lines = output.decode("latin-1").splitlines()
    if process.returncode or errors:
        status = process.returncode if process.returncode >= 0 else 128 - process.returncode  # as a shell says it
        lines.append(f"status {status} stderr {errors.decode('latin-1', 'replace')[-2000:]!r}")
    return lines


def run_real(case: Case, base: str) -> list[str]:
    """Run the program in a real chroot with real bind mounts."""

    def prepare() -> None:
        private_mounts()
        bind_mounts(base, [Binding("root", "")])
        if case.overlay:
            mount_overlay(base, f"{base}/root")
        # without -r what lies there is the machine's: it is mounted before anything is bound
        own = [b for b in case.bindings if case.whole and b.host.startswith("/")]
        bind_mounts(base, own)
        bind_mounts(base, [b for b in case.bindings if b not in own])
        if case.readonly:
            make_readonly(AT_FDCWD, f"{base}/root")
        make_topmost(f"{base}/root")
        drop_rights(case.nested)

    return run_program(["/ops", *case.interpreter_arguments()], "\n".join(case.program), prepare, ENVIRONMENT)


def mount_overlay(base: str, place: str) -> None:
    """Mount the kernel's overlay over what the case has as its root, and what has been changed in it."""
    over = f"{base}/over"
    os.makedirs(f"{over}/work", exist_ok=True)
    if not os.path.exists(f"{over}/upper"):
        os.mkdir(f"{over}/upper")
        status = os.stat(f"{base}/root")
        os.chown(f"{over}/upper", status.st_uid, status.st_gid)
        os.chmod(f"{over}/upper", status.st_mode & 0o7777)
    mount("overlay", place, "overlay", 0, f"lowerdir={base}/root,upperdir={over}/upper,workdir={over}/work,userxattr")


def binding_words(case: Case, base: str, option: str) -> list[str]:
    """Return the bindings as command-line words."""
    words: list[str] = []
    for binding in case.bindings:
        words += [option, f"{os.path.join(base, binding.host)}:{binding.guest}{':ro' if binding.readonly else ''}"]
    return words


def run_pyroot(case: Case, base: str) -> list[str]:
    """Run the program under pyroot as the ordinary user."""
    if case.whole:
        return run_inside(case, base)
    command, environment = pyroot_command()
    words = ["--read-only"] if case.readonly else [f"--overlay-root={base}/over/upper"] if case.overlay else []
    command += ["-r", f"{base}/root", *words, *binding_words(case, base, "-b"), "-w", "/"]
    command += ["/ops", *case.interpreter_arguments()]
    return run_program(command, "\n".join(case.program), lambda: drop_rights(case.nested), {**environment, **pyroot_environment()})


def pyroot_environment() -> dict[str, str]:
    """Return what the guest sees, and the switches of pyroot that this process has."""
    return {**{name: os.environ[name] for name in SWITCHES if name in os.environ}, **ENVIRONMENT}


def run_inside(case: Case, base: str) -> list[str]:
    """Run the program under pyroot without -r, in a mount namespace whose root is the case's."""
    words = ["-w", "/"]
    for binding in case.bindings:
        if not binding.host.startswith("/"):
            words += ["-b", f"{binding.host.removeprefix('root') or '/'}:{binding.guest}{':ro' if binding.readonly else ''}"]

    def prepare() -> None:
        private_mounts()
        bind_mounts(base, [Binding("root", ""), *(b for b in case.bindings if b.host.startswith("/"))])

    command = [ordinary_user.interpreter[0] or sys.executable, "-IS", os.path.join(os.path.dirname(__file__), "inside.py")]
    command += [core_directory(), f"{base}/root", "nested" if case.nested else "", *words, "/ops", *case.interpreter_arguments()]
    return run_program(command, "\n".join(case.program), prepare, pyroot_environment())


def run_proot(case: Case, base: str) -> list[str]:
    """Run the program under proot: a rehearsal of a second side, which is expected to differ."""
    command = ["/usr/bin/proot", "-r", f"{base}/root", *binding_words(case, base, "-b"), "-w", "/"]
    environment = {**ENVIRONMENT, "PROOT_TMP_DIR": "/tmp"}
    command += ["/ops", *case.interpreter_arguments()]
    return run_program(command, "\n".join(case.program), drop_rights, environment)


SIDES: dict[str, Callable[[Case, str], list[str]]] = {"real": run_real, "pyroot": run_pyroot, "proot": run_proot}


def why_not_possible(other: str) -> str | None:
    """Return why the oracle cannot run here, or None."""
    if os.geteuid() != 0:
        return "the oracle needs root for its real chroot and real bind mounts"
    if other == "pyroot":
        return ordinary_user.why_not()
    return None
