"""`pyroot bwrap`, and the command called `bwrap`: a run that is described by bubblewrap's arguments.

Decides: what of a setup is which field of a run's Config, and how a run ends as one of bubblewrap does. Not decided here: what arguments
mean (``setup``), the run itself (``launch``).
"""

from __future__ import annotations

import os

from pyroot import __version__, config, environment, launch, report
from pyroot.bwrap.words import BWRAP, VERSION, read
from pyroot.errors import PyrootError
from pyroot.options import Parsed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot._fast import Core
    from pyroot.bwrap.setup import Setup

FAILURE = 1  # bubblewrap's own exit code


class Watchers:
    """Those who are told of the command, or have a say in when it begins."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._locked: list[int] = []

    def prepare(self, core: Core) -> None:
        """--lock-file: until this process ends."""
        if not self._setup.locks:
            return
        import fcntl

        for dest in self._setup.locks:
            try:
                place = core.resolve(os.fsencode(dest))[1]
                number = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
                self._locked.append(number)
                fcntl.lockf(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                raise PyrootError(f"Unable to open lock file {dest}: {os.strerror(error.errno or 0)}") from None

    def begun(self, pid: int) -> None:
        """The command is about to begin."""
        for number in self._setup.infos:
            _put(number, f'{{\n    "child-pid": {pid}\n}}\n')
            os.close(number)
        for number in self._setup.statuses:
            _put(number, f'{{ "child-pid": {pid} }}\n')
        for number in self._setup.blocks:
            os.read(number, 1)
            os.close(number)

    def failed(self, error: PyrootError) -> bool:
        """What goes wrong is for standard error."""
        return False

    def ended(self, status: int) -> None:
        """The command has ended."""
        for number in self._setup.statuses:
            _put(number, f'{{ "exit-code": {launch.exit_code(status)} }}\n')


def _put(number: int, text: str) -> None:
    try:
        os.write(number, text.encode())
    except OSError:  # whoever wanted to know is gone
        pass


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError, with bubblewrap's exit code."""
    report.name = "bwrap"
    try:
        return _run(argv)
    except PyrootError as error:
        error.exit_code = FAILURE
        raise


def _run(argv: list[str]) -> int:
    built = config.build(Parsed())
    setup, command = read(argv, built.host_cwd)
    if setup is None:
        from pyroot.verbs.output import put

        put(f"bubblewrap {VERSION} (pyroot {__version__})\n" if command == ["--version"] else BWRAP.usage())
        return 0
    setup.check()
    if not command:
        raise PyrootError("No command specified", "it comes after the arguments")
    _fill(built, setup, command)
    environment.replace(setup.variables)
    if setup.dies:
        from pyroot._fast import die_with

        parent = os.getppid()
        die_with(parent)
        if os.getppid() != parent:
            return FAILURE
    return launch.run(built)


def _fill(built: config.Config, setup: Setup, command: list[str]) -> None:
    built.command = [os.fsencode(word) for word in command]
    built.argv0 = None if setup.argv0 is None else os.fsencode(setup.argv0)
    built.binds = setup.places
    built.rootfs = built.rootfs_spelled = b"" if setup.root is None else setup.root
    built.read_only = setup.root_readonly
    built.keep_env = True
    built.new_session = setup.session
    built.kill_on_exit, built.detach_daemons = setup.dies, not setup.dies
    built.hostname = setup.hostname
    built.cwd_shown, built.falls_home = "--chdir", True
    if setup.chdir is not None:
        built.cwd = os.path.normpath(b"/" + os.fsencode(setup.chdir).lstrip(b"/"))
    uid = os.geteuid() if setup.uid < 0 else setup.uid
    gid = os.getegid() if setup.gid < 0 else setup.gid
    if (uid, gid) != (os.geteuid(), os.getegid()):
        built.identity = ("change_id", f"--uid {uid} --gid {gid}", f"{uid}:{gid}")
        built.fake_root = b""
    built.no_network = "--unshare-all" in setup.unshared or ("--unshare-net" in setup.unshared and not setup.shares_net)
    built.caller = Watchers(setup)
