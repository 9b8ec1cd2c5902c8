"""From a Config to the exit code of the command.

Decides: the guest's first working directory, which of the inherited descriptors it keeps, where the
command is found, and what the raw wait status means. Not decided here: what happens while the guest runs (the core),
why an execve failed (``explain``).

Facts: execvp(3) for the search in PATH and for programs without a header, chroot(1) for the exit codes.
"""

import errno
import gc
import os
import stat

from pyroot import binding, environment
from pyroot.errors import EXIT_NOT_FOUND, EXIT_SIGNAL_BASE, PyrootError, no_core, text_of
from pyroot.report import failure, note, verbosity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroot._fast import Core
    from pyroot.config import Config
    from pyroot.memory import Memory

_SIGINT = 2
DEFAULT_PATH = b"/bin:/usr/bin"  # what execvp(3) of glibc and musl search without a PATH
LOGIN_SHELL = b"/bin/sh"

# With these execvp(3) goes on to the next directory of PATH.
_TRY_NEXT = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT)


class Run:
    """What the core is asked to run: the program of one attempt, what is the same for all of them, and who is told of what.

    The core reads its switches from ``config``: a new one is a row of ``options`` and the line in the core that obeys it.
    """

    __slots__ = ("config", "variables", "cwd", "program", "argv", "path", "features", "leaver", "starter", "explainer")

    def __init__(self, config: "Config", variables: list[bytes], cwd: bytes) -> None:
        self.config = config
        self.variables = variables  # the environment
        self.cwd = cwd  # canonical, of the guest
        self.program = b""  # of the guest
        self.argv: list[bytes] = []
        self.path = environment.path(DEFAULT_PATH)  # where the program is looked for
        self.features: dict[bytes, bytes] = {}  # what is on in addition to what every session has, with its text (syscalls/features.py)
        self.leaver: "Callable[[bool, int, list[int]], bool] | None" = None  # see _fast.pyi
        self.starter: "Callable[[int], object] | None" = None  # see _fast.pyi
        self.explainer: "Callable[[int, bytes, bytes | None, int, bytes, bytes], object] | None" = None  # see _fast.pyi

    @property
    def front(self) -> int:
        """The process that stops in place of this one when the program is stopped; 0: none."""
        behind = self.config.behind
        return behind.front if behind is not None and behind.stops else 0


def run(config: "Config") -> int:
    """Run the command of ``config`` to its end and return the exit code; changes the working directory of this process.

    Raises PyrootError if the view cannot be built or the command cannot be started.
    """
    fill_standard()
    core_class = _core_class()
    if config.detach_daemons and config.behind is None:
        from pyroot import leaving

        return leaving.run_behind(config, run)
    glue = binding.LazyGlue(config.rootfs or b"/", config.tmp_dirs)
    kept: "Memory | None" = None
    try:
        core = binding.build_view(core_class, config.rootfs, config.bindings(), glue)
        if not config.rootfs:
            config.rootfs = config.rootfs_spelled = core.bindings()[0][0]
        cwd = _working_directory(core, config)
        # The core looks up a relative program, and a relative #! interpreter, from this process's working directory.
        os.chdir(core.resolve(cwd)[1])
        if config.has_ids:
            from pyroot import memory

            kept = memory.Memory(config)
        changed, features = _asked(core, config, kept.store if kept else b"")
        variables = environment.of_guest(cwd, changed)
        note(1, f"root {os.fsdecode(config.rootfs)}, working directory {os.fsdecode(cwd)}")
        if config.net:
            note(1, "no net: nothing lies outside of /" if config.rootfs == b"/" else "Landlock allows root and bindings only")
        close_outside_directories(core)
        wanted = Run(config, variables, cwd)
        wanted.features.update(features)
        wanted.path = changed.get(b"PATH", wanted.path)
        if verbosity() > 0:
            from pyroot import inside

            wanted.explainer = inside.explainer(core, config)
        if config.caller is not None:
            config.caller.prepare(core)
            wanted.starter = config.caller.begun
        wanted.leaver = lambda first, status, left: _leave(config, first, status, left)
        if config.stats:
            core.measure()
        status = _start(core, wanted)
        if kept is not None:
            kept.save()
        if config.caller is not None:
            config.caller.ended(status)
        code = exit_code(status)
        if config.stats:
            from pyroot import stats

            stats.show(core)
        if status == _SIGINT:
            from pyroot._fast import interrupted

            if interrupted():  # a shell has to see that, otherwise its script goes on
                raise KeyboardInterrupt
        return _explained(core, wanted, code)
    finally:
        glue.remove()
        if kept is not None:
            kept.remove()


def _leave(config: "Config", first: bool, status: int, left: list[int]) -> bool:
    """The command has ended, and other processes remain: tell the caller, or let it go. True: nothing more is to be said."""
    if config.behind is not None:
        config.behind.let_go(exit_code(status))
    elif first:
        return False
    else:
        from pyroot import leaving

        leaving.say(exit_code(status), left)
    return True


def _asked(core: "Core", config: "Config", memory: bytes) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """Return which variables of the command are not the caller's, and the features that options switch on, with their texts."""
    changed: dict[bytes, bytes] = {}
    features: dict[bytes, bytes] = {}
    if config.has_ids:
        from pyroot import identity

        who = identity.of_run(core, config)
        changed = identity.variables(who, config.keep_env)
        if who is not None:
            features = {b"ids": who.text(), b"uts": b"", b"owners": b"%s\n%d\n%d" % (memory, *who.owner)}
            note(1, f"user {who.uid}, group {who.gid}, groups {','.join(map(str, who.groups)) or 'none'}")
    if config.kernel_release is not None or config.hostname is not None:
        from pyroot import uts

        features[b"uts"] = uts.text(config)
    if config.no_network:
        features[b"network"] = b""
        note(1, "no internet addresses but this machine's own")
    return changed, features


def _explained(core: "Core", wanted: Run, code: int) -> int:
    """Say which library was missing if the command ended as ld.so ends a program that lacks one; return the exit code."""
    if code != EXIT_NOT_FOUND or verbosity() < 0:
        return code
    name = wanted.config.command[0] if wanted.config.command else login_shell(core, _uid(wanted))
    for program in candidates(name, wanted.path):
        try:
            guest = core.resolve(program, wanted.cwd)[0]
        except OSError:
            continue
        try:
            from pyroot import needs

            error = needs.after_exit(core, wanted.config, guest)
        except (ImportError, OSError):
            return code
        if error:
            failure(error)
        return code
    return code


def _core_class() -> "type[Core]":
    try:
        from pyroot._fast import Core, be_called
    except ImportError as error:
        raise no_core(error) from error
    be_called(b"pyroot")  # to ps, pgrep and killall: the command has become an interpreter
    return Core


def _working_directory(core: "Core", config: "Config") -> bytes:
    """Return the canonical guest path that the command starts in."""
    if config.cwd is not None:
        try:
            return _directory(core, config.cwd)
        except OSError as error:
            raise PyrootError(
                f"{config.cwd_shown} {os.fsdecode(config.cwd)}: {text_of(error.errno or 0)} in the guest",
                f"{config.cwd_shown} takes a directory as the guest sees it; -b makes one of the host appear there",
            ) from None
    home = environment.home() if config.falls_home else b""
    try:
        place = _directory(core, os.path.join(b"/", home)) if home else b"/"
    except OSError:
        place = b"/"
    if config.host_cwd is not None:
        try:
            return _directory(core, config.host_cwd)
        except OSError as error:
            note(1, f"{os.fsdecode(config.host_cwd)}: {text_of(error.errno or 0)} in the guest, starting in {os.fsdecode(place)}")
    return place


def _directory(core: "Core", guest_path: bytes) -> bytes:
    guest, host, _missing = core.resolve(guest_path)
    if not stat.S_ISDIR(os.stat(host).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(host, os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return guest


def fill_standard() -> None:
    """Keep pyroot's own descriptors off the number of a closed standard stream: messages would be written to them.

    What takes its place can be neither read nor written, and the guest finds the number closed, as it was.
    """
    while (number := os.open("/", os.O_PATH | os.O_CLOEXEC)) <= 2:
        pass
    os.close(number)


def close_outside_directories(core: "Core") -> None:
    """Close every inherited descriptor of a directory that the guest has no name for; a standard one becomes /dev/null.

    Such a descriptor is a door out of the root: openat(2) takes it as a starting point. What the interpreter
    itself has open is close-on-exec and never reaches the guest.
    """
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return
    for number in sorted(int(name) for name in names):
        try:
            if not os.get_inheritable(number) or not stat.S_ISDIR(os.fstat(number).st_mode):
                continue
            host_path = os.fsencode(os.readlink(f"/proc/self/fd/{number}"))
            if core.detranslate(host_path) is None:
                os.close(number)
                if number <= 2:
                    _put_null(number)
                note(1, f"descriptor {number} is closed: {os.fsdecode(host_path)} is outside of the guest")
        except OSError:
            continue  # the descriptor that listed the directory


def _put_null(number: int) -> None:
    """Let a free number be /dev/null, which reads as end of file, or, if there is no /dev/null, closed for the guest."""
    try:
        null = os.open("/dev/null", os.O_RDWR)
    except OSError:
        fill_standard()
        return
    if null == number:
        os.set_inheritable(null, True)
        return
    os.dup2(null, number)
    os.close(null)


def candidates(name: bytes, path: bytes) -> list[bytes]:
    """Return the programs that ``name`` may stand for, spelled as execvp(3) would; ``path`` is the value of PATH."""
    if not name or b"/" in name:
        return [name] if name else []
    return [directory.rstrip(b"/") + b"/" + name if directory else name for directory in path.split(b":")]


def _uid(wanted: Run) -> int:
    """Return the command's user id: the user's own, or what an option has made of it."""
    ids = wanted.features.get(b"ids")
    return os.getuid() if ids is None else int(ids.partition(b":")[0])


def login_shell(core: "Core", uid: int) -> bytes:
    """Return the user's shell as the guest's /etc/passwd names it, if the guest has it; otherwise /bin/sh."""
    try:
        fd = os.open(core.resolve(b"/etc/passwd")[1], os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # it may be a FIFO
    except OSError:
        return LOGIN_SHELL
    try:
        lines = os.read(fd, 1 << 20).split(b"\n")
    except OSError:
        return LOGIN_SHELL
    finally:
        os.close(fd)
    own = str(uid).encode()
    for parts in (line.split(b":") for line in lines):
        if len(parts) > 6 and parts[2] == own:
            shell = parts[6].strip()
            try:
                host = core.resolve(shell)[1] if shell.startswith(b"/") else b""
            except OSError:
                return LOGIN_SHELL
            refuses = shell.endswith((b"/nologin", b"/false", b"/true"))
            return shell if host and not refuses and os.path.isfile(host) and os.access(host, os.X_OK) else LOGIN_SHELL
    return LOGIN_SHELL


def _start(core: "Core", wanted: Run) -> int:
    """Start the command; return its raw wait status."""
    config, cwd = wanted.config, wanted.cwd
    name = config.command[0] if config.command else login_shell(core, _uid(wanted))
    argv = [config.argv0, *config.command[1:]] if config.argv0 is not None else config.command or [b"-" + os.path.basename(name)]
    path = wanted.path
    failed: tuple[bytes, OSError] | None = None
    for program in candidates(name, path):
        try:
            if b"/" in name or _found(core, program, cwd):
                return _execute(core, wanted, program, argv)
        except OSError as error:
            # As execvp: the lack of permission is remembered, but a later directory may have a program that can be executed.
            if failed is None or (failed[1].errno != errno.EACCES and error.errno == errno.EACCES):
                failed = (program, error)
            if error.errno not in _TRY_NEXT:
                break
    from pyroot import explain

    if failed is None:
        raise explain.not_found(core, config, name, path)
    raise explain.exec_failure(core, config, failed[0], cwd, failed[1])


def _found(core: "Core", program: bytes, cwd: bytes) -> bool:
    """Look for a program in the guest without starting it; raises PermissionError for one that cannot be executed."""
    try:
        host_path = core.resolve(program, cwd)[1]
        is_directory = stat.S_ISDIR(os.stat(host_path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if is_directory or not os.access(host_path, os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return True


def _execute(core: "Core", wanted: Run, program: bytes, argv: list[bytes]) -> int:
    note(1, f"starting {os.fsdecode(program)}")
    if verbosity() > 0:
        from pyroot import explain

        explain.tell_if_alone(wanted.config.places)
        if not explain.runs_i386():
            note(1, "32-bit programs will give ENOEXEC: this pyroot was built by a compiler without -m32")
    try:
        return _run_core(core, wanted, program, argv)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        from pyroot import explain

        if not explain.is_plain_script(core, program, wanted.cwd):
            raise
    # execvp(3), hence chroot(1), gives a text without a #! line to the shell.
    return _run_core(core, wanted, LOGIN_SHELL, [LOGIN_SHELL, program, *argv[1:]])


def _run_core(core: "Core", wanted: Run, program: bytes, argv: list[bytes]) -> int:
    from pyroot._fast import CoreError

    config = wanted.config
    wanted.program, wanted.argv = program, argv
    gc.enable()
    while True:
        try:
            if config.trace is not None:
                config.trace.start(core, program)
            return core.run(wanted)
        except CoreError as error:
            if not config.seccomp or not str(error).startswith("seccomp:"):
                from pyroot import explain

                raise explain.core_failure(error, config.load or config.fake_root) from error
            note(1, f"{error}; without a filter every system call stops, which is slower")
            config.seccomp = False


def exit_code(status: int) -> int:
    """Return the exit code that a shell would show for the raw wait ``status``."""
    if os.WIFSIGNALED(status):
        note(1, f"the command was ended by signal {os.WTERMSIG(status)}")
        return EXIT_SIGNAL_BASE + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)
