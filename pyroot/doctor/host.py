"""Checks of the host: what pyroot itself needs of the kernel and of its surroundings. `pyroot check` is this part.

Decides: which states of the kernel stop pyroot or slow it down. Each answer is found by trying, if trying is harmless.
Source: ptrace(2), "Ptrace access mode checking" and Yama in the kernel's documentation, seccomp(2), proc(5), setrlimit(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from collections.abc import Iterator

from pyroot import environment
from pyroot.doctor.registry import ERROR, HOST, NOTE, WARNING, Finding, check
from pyroot.glue import place_in
from pyroot.reading.view import View

_OLDEST = (5, 10)
_SIGKILL = 9  # `signal` imports more than it is worth
_PTRACE_TRACEME = 0
_CAP_SYS_PTRACE = 19
_NET = 2  # the version of Landlock that --net needs
_LIBC = ctypes.CDLL(None, use_errno=True)


def read(path: str) -> str:
    """Read a file of the kernel; empty if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ")
    except OSError:
        return ""


def status_field(name: str) -> str:
    """Give a field of /proc/self/status."""
    for line in read("/proc/self/status").splitlines():
        if line.startswith(name + ":"):
            return line.partition(":")[2].strip()
    return ""


def try_ptrace() -> int:
    """Let a child ask to be traced; give the errno, 0 if it is allowed, or no child can be made."""
    try:
        child = os.fork()
    except OSError:
        return 0  # the check of the calls names what refuses that
    if child == 0:
        ctypes.set_errno(0)
        failed = _LIBC.ptrace(_PTRACE_TRACEME, 0, None, None) == -1
        os._exit(min(ctypes.get_errno() or errno.EPERM, 255) if failed else 0)
    while True:
        _pid, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            return os.WEXITSTATUS(status)
        if os.WIFSIGNALED(status):
            return errno.EPERM
        os.kill(child, _SIGKILL)


def try_read_memory() -> int:
    """Read a byte of this process with process_vm_readv(2); give the errno, 0 if it is allowed."""

    class Part(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    here, there = ctypes.create_string_buffer(1), ctypes.create_string_buffer(b"x")
    local = Part(ctypes.cast(here, ctypes.c_void_p), 1)
    remote = Part(ctypes.cast(there, ctypes.c_void_p), 1)
    call = getattr(_LIBC, "process_vm_readv", None)
    if call is None:
        return errno.ENOSYS
    call.restype = ctypes.c_ssize_t
    call.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]
    return 0 if call(os.getpid(), ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) == 1 else ctypes.get_errno()


@check("core-missing", ERROR, "the compiled core of pyroot", "nothing runs without it", HOST)
def core_missing(view: View) -> Iterator[Finding]:
    """Find an installation without its compiled part."""
    try:
        import pyroot._fast  # noqa: F401
    except ImportError as error:
        yield Finding(b"", f"cannot be loaded: {error}", "install the wheel; in a source tree: python setup.py build_ext --inplace")


@check("machine", ERROR, "the processor", "the core knows the system calls of x86_64 (and of its 32-bit programs) only", HOST)
def machine(view: View) -> Iterator[Finding]:
    """Find a machine that pyroot does not run on."""
    if os.uname().machine != "x86_64":
        yield Finding(b"", f"this is {os.uname().machine}", "use a machine with an x86_64 kernel")


@check("kernel-old", WARNING, "the kernel's version", f"pyroot is made for Linux {_OLDEST[0]}.{_OLDEST[1]} and later", HOST)
def kernel_old(view: View) -> Iterator[Finding]:
    """Find a kernel that is older than those that pyroot supports."""
    parts = os.uname().release.split(".")
    try:
        version = int(parts[0]), int(parts[1].partition("-")[0])
    except (IndexError, ValueError):
        return
    if version < _OLDEST:
        yield Finding(b"", f"Linux {os.uname().release}", "use a newer kernel, or expect calls that are missing")


@check(
    "ptrace",
    ERROR,
    "whether a child may be traced (tried), Yama's ptrace_scope, SELinux's deny_ptrace",
    "pyroot is a tracer: without ptrace it cannot work",
    HOST,
)
def ptrace(view: View) -> Iterator[Finding]:
    """Find out whether ptrace works, and name the setting that forbids it."""
    failed = try_ptrace()
    scope = read("/proc/sys/kernel/yama/ptrace_scope")
    if not failed:
        return
    mend = "in a container: allow the system call ptrace, docker run --cap-add SYS_PTRACE"
    if status_field("TracerPid") not in ("", "0"):
        mend = "do not run it inside strace or gdb"
    elif scope in ("2", "3"):
        mend = "sysctl kernel.yama.ptrace_scope=1 as root" if scope == "2" else "boot with kernel.yama.ptrace_scope below 3"
    elif read("/sys/fs/selinux/booleans/deny_ptrace").startswith("1"):
        mend = "setsebool deny_ptrace off as root"
    elif status_field("NoNewPrivs") == "1":
        mend = "look at the sandbox around it, which refuses ptrace; in a container: docker run --cap-add SYS_PTRACE"
    elif not scope and status_field("Seccomp") != "2":
        mend = f"look at the security module: {label() or 'none is known'}"
    yield Finding(b"", f"ptrace gives {os.strerror(failed)}" + (f" (ptrace_scope {scope})" if scope else ""), mend)


@check("traced", ERROR, "TracerPid in /proc/self/status", "a process has one tracer: pyroot could not trace what it starts", HOST)
def traced(view: View) -> Iterator[Finding]:
    """Find a tracer of this process."""
    tracer = status_field("TracerPid")
    if tracer not in ("", "0"):
        name = read(f"/proc/{tracer}/comm")
        yield Finding(b"", f"process {tracer} ({name}) traces this one", "start pyroot outside of strace or gdb")


@check(
    "memory-access",
    ERROR,
    "process_vm_readv (tried)",
    "pyroot reads paths from its guests with it; without it each read costs three more calls",
    HOST,
)
def memory_access(view: View) -> Iterator[Finding]:
    """Find out whether memory of other processes can be read quickly."""
    failed = try_read_memory()
    if failed:
        yield Finding(b"", f"process_vm_readv gives {os.strerror(failed)}", "in a container: docker run --cap-add SYS_PTRACE")


@check(
    "seccomp",
    WARNING,
    "the actions that seccomp offers",
    "without SECCOMP_RET_TRACE every system call of a guest stops, which is many times slower",
    HOST,
)
def seccomp(view: View) -> Iterator[Finding]:
    """Find a kernel without filters that trace."""
    actions = read("/proc/sys/kernel/seccomp/actions_avail")
    if actions and "trace" not in actions.split():
        yield Finding(b"", f"the kernel offers {actions}", "use a kernel with CONFIG_SECCOMP_FILTER")
        return
    try:
        from pyroot._fast import self_check
    except ImportError:
        return
    if not self_check().get("seccomp", True):
        yield Finding(b"", "the kernel refuses filters that trace", "in a container: docker run --security-opt seccomp=unconfined")


@check(
    "filtered",
    NOTE,
    "Seccomp and NoNewPrivs in /proc/self/status",
    "a sandbox around pyroot also decides which calls its guests may make",
    HOST,
)
def filtered(view: View) -> Iterator[Finding]:
    """Find a sandbox around this process."""
    if status_field("Seccomp") == "2":
        yield Finding(
            b"",
            f"{status_field('Seccomp_filters') or 'some'} seccomp filter(s) are in force",
            "when calls fail with EPERM or ENOSYS, look at that sandbox",
        )
    elif status_field("NoNewPrivs") == "1":
        yield Finding(b"", "no_new_privs is set", "set-id programs do not get their rights here, nor in a guest")


def label() -> str:
    """Give this process's label of the security module, empty for none."""
    text = read("/proc/self/attr/apparmor/current") or read("/proc/self/attr/current")
    return "" if text in ("", "unconfined", "kernel") or "unconfined_t" in text else text


@check(
    "security-module", NOTE, "AppArmor profile or SELinux label of this process", "its rules apply to guests as well, by host paths", HOST
)
def security_module(view: View) -> Iterator[Finding]:
    """Find a profile that confines this process."""
    if label():
        yield Finding(
            b"", f"confined by {label()}", "when something fails with EACCES for no reason, look at its log: dmesg, ausearch -m avc"
        )


@check("proc", ERROR, "/proc on the host", "pyroot reads the state of its guests there", HOST)
def proc(view: View) -> Iterator[Finding]:
    """Find a host without /proc."""
    if not os.path.exists("/proc/self/status"):
        yield Finding(b"", "/proc is not mounted", "mount -t proc proc /proc as root")


@check(
    "proc-hidden", WARNING, "hidepid and subset of the host's /proc", "ps and top in a guest show your own processes only, or nothing", HOST
)
def proc_hidden(view: View) -> Iterator[Finding]:
    """Find a /proc that hides processes."""
    for line in read("/proc/self/mountinfo").splitlines():
        fields = line.split()
        if len(fields) > 4 and fields[4] == "/proc":
            words = [
                word
                for word in fields[-1].split(",")
                if word.startswith(("hidepid=", "subset=")) and word not in ("hidepid=0", "hidepid=off")
            ]
            if words:
                yield Finding(b"", f"/proc is mounted with {', '.join(words)}", "nothing to do unless a guest has to see other processes")


@check(
    "temp-noexec",
    NOTE,
    "the mount options of TMPDIR or /tmp",
    "programs that are built or unpacked there cannot be started, nor in a guest with -R",
    HOST,
)
def temp_noexec(view: View) -> Iterator[Finding]:
    """Find a temporary directory from which nothing can be started."""
    for path in dict.fromkeys((*environment.named_tmp_dirs(), b"/tmp")):
        if os.path.isdir(path) and os.statvfs(path).f_flag & os.ST_NOEXEC:
            yield Finding(b"", f"{os.fsdecode(path)} is mounted noexec", "TMPDIR=/var/tmp, or another directory")


@check(
    "temp-missing",
    WARNING,
    "the directories where mount points are made: PYROOT_TMP_DIR, PROOT_TMP_DIR, TMPDIR, /tmp, /var/tmp, /dev/shm",
    "a binding to a path that the root lacks needs a directory of its own",
    HOST,
)
def temp_missing(view: View) -> Iterator[Finding]:
    """Find a host without a usable directory for temporary files."""
    if not any(_may_write(path, view.rooted.root or b"/") for path in environment.tmp_dirs()):
        yield Finding(b"", "you cannot write to any of them", "PYROOT_TMP_DIR=DIR with a directory of your own")


def _may_write(tmp_dir: bytes, root: bytes) -> bool:
    """Tell whether a run of this root could make mount points in a temporary directory."""
    try:
        place = place_in(tmp_dir, root)
    except OSError:
        return False
    return bool(place) and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)


@check("limits", WARNING, "ulimit -n, -u, -v and -f", "programs in the guest and pyroot itself share the limits", HOST)
def limits(view: View) -> Iterator[Finding]:
    """Find limits that are low enough to be hit by ordinary work."""
    for name, which, least, flag in (
        ("open files", resource.RLIMIT_NOFILE, 256, "-n"),
        ("processes", resource.RLIMIT_NPROC, 64, "-u"),
        ("address space in bytes", resource.RLIMIT_AS, 1 << 29, "-v"),
        ("file size in bytes", resource.RLIMIT_FSIZE, 1 << 26, "-f"),
    ):
        try:
            soft, hard = resource.getrlimit(which)
        except OSError:
            continue  # the check of the calls says so
        if soft != resource.RLIM_INFINITY and soft < least:
            more = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
            mend = f"ulimit {flag} {more}" if hard != soft else f"ask for a higher limit of ulimit {flag} (limits.conf)"
            yield Finding(b"", f"{soft} {name}", mend)


@check("programs-32-bit", NOTE, "the loader for 32-bit programs", "without it they give ENOEXEC in a guest", HOST)
def programs_32_bit(view: View) -> Iterator[Finding]:
    """Find an installation without the loader for i386."""
    from pyroot.explain import runs_i386

    if not runs_i386():
        yield Finding(b"", "it was not built", "build pyroot where gcc -m32 works (Debian: gcc-multilib), if you need them")


@check("net", NOTE, "the version of Landlock", "without it, or with its first version, --net is not available", HOST)
def net(view: View) -> Iterator[Finding]:
    """Find a kernel that cannot confine guests itself."""
    try:
        from pyroot._fast import self_check
    except ImportError:
        return
    version = self_check()["landlock"]
    if version < _NET:
        told = "the kernel has none, or it is switched off" if version == 0 else "version 1 cannot allow renames"
        yield Finding(b"", told, "if you need --net: Linux 5.19, and landlock among the words of /sys/kernel/security/lsm")
