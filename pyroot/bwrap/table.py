"""The table of bubblewrap's arguments: one row each, with what it does to the setup that is being put together.

Decides: spellings and the number of words that each takes. What a row does is a method of ``setup.Setup``. Not decided here: in which
order they count, and how a word is read (``words``).

Facts: bwrap(1) of bubblewrap 0.8 to 0.11, and measurements.
"""

from __future__ import annotations

from pyroot.bwrap.setup import Setup
from pyroot.verbs.words import flag, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroot.options import Option

    Act = Callable[..., None]


def _row(name: str, metavar: str, act: Act, help: str) -> tuple[Option, Act]:
    return (value(name, metavar, help) if metavar else flag(name, help)), act


def _bound(readonly: bool, optional: bool) -> Act:
    return lambda setup, shown, source, dest: setup.bind(shown, source, dest, readonly, optional)


def _held(readonly: bool) -> Act:
    return lambda setup, shown, number, dest: setup.bind_data(shown, number, dest, readonly)


def _name_space(setup: Setup, shown: str) -> None:
    setup.unshared.append(shown)


def _nothing(_setup: Setup, _shown: str, *_words: str) -> None:
    """It asks for what is so anyway."""


ROWS: tuple[tuple[Option, Act], ...] = (
    _row("--args", "FD", Setup.take_args, "read more arguments, with a null byte after each, from FD"),
    _row("--argv0", "VALUE", Setup.name, "let the command find VALUE as its own name"),
    _row("--level-prefix", "", Setup.prefix, "begin messages with <3>, as syslog has it"),
    # -- name spaces: there are none
    _row("--unshare-all", "", _name_space, "refused, but with PYROOT_BWRAP_LENIENT"),
    _row("--unshare-user", "", _name_space, "the command has no rights that it had not before"),
    _row("--unshare-user-try", "", _nothing, "nothing"),
    _row("--unshare-ipc", "", _name_space, "refused, but with PYROOT_BWRAP_LENIENT"),
    _row("--unshare-pid", "", _name_space, "refused, but with PYROOT_BWRAP_LENIENT"),
    _row("--unshare-net", "", _name_space, "refused, but with PYROOT_BWRAP_LENIENT"),
    _row("--unshare-uts", "", _name_space, "have a host name of its own"),
    _row("--unshare-cgroup", "", _name_space, "refused, but with PYROOT_BWRAP_LENIENT"),
    _row("--unshare-cgroup-try", "", _nothing, "nothing"),
    _row("--share-net", "", Setup.share_net, "take --unshare-net back"),
    _row("--userns", "FD", Setup.refuse, "refused: there are no name spaces"),
    _row("--userns2", "FD", Setup.refuse, "refused: there are no name spaces"),
    _row("--pidns", "FD", Setup.refuse, "refused: there are no name spaces"),
    _row("--disable-userns", "", _nothing, "nothing: guests can make no user name spaces"),
    _row("--assert-userns-disabled", "", _nothing, "nothing: they are"),
    # -- who and where
    _row("--uid", "UID", Setup.be_user, "be this user in the guest, as -i"),
    _row("--gid", "GID", Setup.be_group, "be this group in the guest, as -i"),
    _row("--hostname", "NAME", Setup.be_host, "tell this host name"),
    _row("--chdir", "DIR", Setup.start_in, "start in DIR"),
    _row("--setenv", "VAR VALUE", Setup.set_variable, "set a variable"),
    _row("--unsetenv", "VAR", Setup.remove_variable, "remove a variable"),
    _row("--clearenv", "", Setup.remove_variables, "remove all variables but PWD"),
    _row("--cap-add", "CAP", _nothing, "nothing: the command has your rights"),
    _row("--cap-drop", "CAP", _nothing, "nothing: the command has no rights of root"),
    _row("--seccomp", "FD", Setup.filter, "refused: let the command install its filter"),
    _row("--add-seccomp-fd", "FD", Setup.filter, "refused: let the command install its filter"),
    _row("--exec-label", "LABEL", Setup.refuse, "refused: labels are SELinux's"),
    _row("--file-label", "LABEL", Setup.refuse, "refused: labels are SELinux's"),
    # -- how long
    _row("--new-session", "", Setup.detach, "make a session of its own, without the terminal"),
    _row("--die-with-parent", "", Setup.die_with_parent, "end with the caller, and all processes with the command"),
    _row("--as-pid-1", "", Setup.refuse, "refused: there is no name space of processes"),
    _row("--lock-file", "DEST", Setup.lock, "hold a lock on DEST for as long"),
    _row("--sync-fd", "FD", Setup.keep, "keep FD open for as long"),
    _row("--block-fd", "FD", Setup.wait_for, "start when something can be read from FD"),
    _row("--userns-block-fd", "FD", Setup.wait_for, "as --block-fd"),
    _row("--info-fd", "FD", Setup.tell, "write about the command to FD, as JSON"),
    _row("--json-status-fd", "FD", Setup.tell_status, "write its beginning and end to FD, as lines of JSON"),
    # -- what the guest sees
    _row("--perms", "OCTAL", Setup.permit, "the mode of what the next argument makes"),
    _row("--size", "BYTES", Setup.limit, "refused: the size of a --tmpfs has no limit"),
    _row("--bind", "SRC DEST", _bound(False, False), "show SRC at DEST"),
    _row("--bind-try", "SRC DEST", _bound(False, True), "the same, if there is a SRC"),
    _row("--dev-bind", "SRC DEST", _bound(False, False), "as --bind"),
    _row("--dev-bind-try", "SRC DEST", _bound(False, True), "as --bind-try"),
    _row("--ro-bind", "SRC DEST", _bound(True, False), "show SRC at DEST, and let nothing below it be changed"),
    _row("--ro-bind-try", "SRC DEST", _bound(True, True), "the same, if there is a SRC"),
    _row("--remount-ro", "DEST", Setup.remount, "let nothing be changed in what was shown at DEST"),
    _row("--overlay-src", "SRC", Setup.lower, "a lower directory of the overlay that comes next"),
    _row("--overlay", "RWSRC WORKDIR DEST", Setup.overlay, "show them as one, and write changes to RWSRC"),
    _row("--tmp-overlay", "DEST", Setup.overlay_away, "the same, and throw changes away"),
    _row("--ro-overlay", "DEST", Setup.overlay_readonly, "the same, without changes"),
    _row("--proc", "DEST", Setup.proc, "show /proc, with all processes of the machine"),
    _row("--dev", "DEST", Setup.dev, "show a /dev with the devices that every program may use"),
    _row("--mqueue", "DEST", Setup.mqueue, "show /dev/mqueue"),
    _row("--tmpfs", "DEST", Setup.tmpfs, "show an empty directory, removed at the end"),
    _row("--dir", "DEST", Setup.dir, "see to it that there is a directory"),
    _row("--symlink", "SRC DEST", Setup.symlink, "make a symbolic link to SRC at DEST"),
    _row("--file", "FD DEST", Setup.file, "make a file of what FD holds"),
    _row("--bind-data", "FD DEST", _held(False), "show what FD holds as a file"),
    _row("--ro-bind-data", "FD DEST", _held(True), "the same, and let nobody change it"),
    _row("--chmod", "OCTAL PATH", Setup.chmod, "give what was made at PATH a mode"),
)
