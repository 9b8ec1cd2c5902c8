"""Who the command is, and what becomes of the variables that say so.

Decides: what the options -0, -i, -S, --userspec, -u and --groups mean: user, groups and whose the user's own files are, with names
looked up in the guest's passwd and group; and, in one table, which variables each of them changes. Not decided here: which of the options
counts (``config``), what a task may do by its ids (the core's feature ``ids``).

Facts: chroot(1) of coreutils 9 for the grammar of --userspec and --groups and for the messages, proot 5.4 for -0, -i and -S, docker for
-u, credentials(7) for what an id is.
"""

import os
import stat

from pyroot import environment
from pyroot.errors import PyrootError, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot._fast import Core
    from pyroot.config import Config

NO_ID = 0xFFFFFFFF
_MOST = 1 << 20  # bytes of a passwd or group that are read

# What each way to choose a user changes of the environment, unless --keep-env is given. "sbin": a PATH without one of these directories
# gets them, if the user is 0; "passwd": HOME, USER, LOGNAME and SHELL are those of the guest's passwd. docs/ROOT.md shows it.
VARIABLES = {
    "root_id": ("sbin",),
    "su": ("sbin",),
    "change_id": ("sbin",),
    "userspec": (),
    "groups": (),
    "user": ("sbin", "passwd"),
}
_SBIN = (b"/usr/local/sbin", b"/usr/sbin", b"/sbin")


class Account:
    """One line of a passwd file."""

    __slots__ = ("name", "uid", "gid", "home", "shell")

    def __init__(self, name: str, uid: int, gid: int, home: str, shell: str) -> None:
        self.name, self.uid, self.gid, self.home, self.shell = name, uid, gid, home, shell


class Identity:
    """Who the command is."""

    __slots__ = ("uid", "gid", "groups", "owner", "account", "way")

    def __init__(self, uid: int, gid: int, groups: list[int], way: str) -> None:
        self.uid, self.gid, self.groups, self.way = uid, gid, groups, way
        self.owner = (0, 0)  # whose the user's own files are shown as
        self.account: Account | None = None

    def text(self) -> bytes:
        """Return what the core's feature is switched on with."""
        groups = ",".join(map(str, self.groups))
        return f"{self.uid}:{self.gid}:{groups}:{self.owner[0]}:{self.owner[1]}".encode()


class Accounts:
    """The guest's passwd and group, read when they are asked for."""

    def __init__(self, core: "Core") -> None:
        self._core = core

    def _lines(self, path: bytes, fields: int) -> list[list[str]]:
        try:
            host_path = self._core.resolve(path)[1]
            if not stat.S_ISREG(os.stat(host_path).st_mode):
                return []
            with open(host_path, "rb") as file:
                text = os.fsdecode(file.read(_MOST))
        except OSError:
            return []
        return [parts for line in text.splitlines() if len(parts := line.split(":")) >= fields and parts[2].isdecimal()]

    def user(self, name: str = "", uid: int = -1) -> Account | None:
        """Return the first account of that name, or with that id."""
        for parts in self._lines(b"/etc/passwd", 7):
            if parts[3].isdecimal() and (parts[0] == name if name else int(parts[2]) == uid):
                return Account(parts[0], int(parts[2]), int(parts[3]), parts[5], parts[6])
        return None

    def group(self, name: str) -> int | None:
        """Return the number of a group."""
        for parts in self._lines(b"/etc/group", 4):
            if parts[0] == name:
                return int(parts[2])
        return None

    def groups_of(self, name: str, gid: int) -> list[int]:
        """Return the groups that a user is a member of, as getgrouplist(3)."""
        found = [int(parts[2]) for parts in self._lines(b"/etc/group", 4) if name in parts[3].split(",")]
        return list(dict.fromkeys([gid, *found]))


def number(text: str) -> int | None:
    """Return the number that a text is to strtoul(3), None for any other text."""
    digits = text.strip(" \t").removeprefix("+")
    return int(digits) if digits.isdecimal() and digits.isascii() else None


def of_run(core: "Core", config: "Config") -> Identity | None:
    """Return who the command of ``config`` is; None: who starts pyroot. Raises PyrootError."""
    chosen = config.identity
    if not config.has_ids:
        return None
    accounts = Accounts(core)
    way, shown, value = chosen if chosen is not None else ("groups", "", "")
    identity = _chosen(accounts, way, shown, value)
    if identity.account is None:
        identity.account = accounts.user(uid=identity.uid)
    if config.groups is not None:
        identity.groups = _groups(accounts, config.groups)
    return identity


def _chosen(accounts: Accounts, way: str, shown: str, value: str) -> Identity:
    if way == "change_id":
        uid, gid = change_id(shown, value)
        identity = Identity(uid, gid, [gid], way)
        identity.owner = (uid, gid)
        return identity
    if way == "userspec":
        return _userspec(accounts, shown, value)
    if way == "user":
        return _user(accounts, shown, value)
    return Identity(0, 0, [0], way)


def change_id(shown: str, value: str) -> tuple[int, int]:
    """Read proot's ``UID:GID``: two numbers."""
    user, _colon, group = value.partition(":")
    numbers = []
    for what, text in (("user", user), ("group", group)):
        found = number(text)
        if found is None or found >= NO_ID:
            raise PyrootError(f"{shown}: invalid {what}", "-i takes two numbers, UID:GID; --userspec takes names, too")
        numbers.append(found)
    return numbers[0], numbers[1]


def _id_of(shown: str, what: str, text: str) -> int:
    found = number(text)
    if found is None or found >= NO_ID:
        file = "passwd" if what == "user" else "group"
        raise PyrootError(f"{shown}: invalid {what}", f"a {what} is a name in the guest's /etc/{file}, or a number")
    return found


def _parts(accounts: Accounts, shown: str, value: str) -> tuple[Account | None, int | None, int | None]:
    """Read ``USER[:GROUP]`` as parse_user_spec of gnulib: account, user, group."""
    user, colon, group = value.partition(":")
    account = accounts.user(name=user) if user and not user.startswith("+") else None
    uid: int | None = None
    gid: int | None = None
    if user and account is None:
        if colon and not group:
            raise PyrootError(f"{shown}: invalid spec", "a number has no login group: name one after the colon")
        uid = _id_of(shown, "user", user)
    elif account is not None:
        uid = account.uid
        if colon and not group:
            gid = account.gid
    if group:
        known = None if group.startswith("+") else accounts.group(group)
        gid = known if known is not None else _id_of(shown, "group", group)
    return account, uid, gid


def _userspec(accounts: Accounts, shown: str, value: str) -> Identity:
    """--userspec: what is not given stays root's, as for chroot(1) started by root; a colon without a group means nothing."""
    account, uid, gid = _parts(accounts, shown, value.removesuffix(":"))
    if uid is None:
        return Identity(0, gid or 0, [0], "userspec")
    # (chroot looks the name up by the number)
    account = accounts.user(uid=uid)
    if gid is None:
        if account is None:
            raise PyrootError(f"{shown}: no group specified for unknown uid: {uid}", f"--userspec={value}:GROUP names one")
        gid = account.gid
    groups = accounts.groups_of(account.name, gid) if account is not None else []
    identity = Identity(uid, gid, groups, "userspec")
    identity.account = account
    return identity


def _user(accounts: Accounts, shown: str, value: str) -> Identity:
    """-u: as docker, a number that nobody has is a user of group 0; a group that is named is the only one."""
    account, uid, gid = _parts(accounts, shown, value)
    if uid is None:
        raise PyrootError(f"{shown}: invalid user", "-u takes USER[:GROUP]")
    account = account or accounts.user(uid=uid)
    if gid is not None:
        groups = [gid]
    else:
        gid = account.gid if account is not None else 0
        groups = accounts.groups_of(account.name, gid) if account is not None else [gid]
    identity = Identity(uid, gid, groups, "user")
    identity.account = account
    return identity


def _groups(accounts: Accounts, value: str) -> list[int]:
    """--groups: names and numbers with commas between them; a name may be a number."""
    shown = f"--groups={value}"
    words = [word for word in value.split(",") if word]
    if value and not words:
        raise PyrootError(f"{shown}: invalid group list '{value}'", "--groups=adm,4 names groups, --groups= none")
    found = []
    for word in words:
        given = number(word)
        known = None if given is not None and word.lstrip().startswith("+") else accounts.group(word)
        if known is None and (given is None or given > NO_ID):
            raise PyrootError(f"{shown}: invalid group '{word}'", "a group is a name in the guest's /etc/group, or a number")
        found.append(known if known is not None else given or 0)
    if NO_ID in found:
        raise PyrootError(f"{shown}: failed to set supplemental groups: {text_of(22)}", f"{NO_ID} is no group")
    return found


def variables(identity: Identity | None, keep: bool) -> dict[bytes, bytes]:
    """Return what the environment of the command has that is not the caller's."""
    changed: dict[bytes, bytes] = {}
    if identity is None or keep:
        return changed
    rules = VARIABLES[identity.way]
    if "passwd" in rules and identity.account is not None:
        account = identity.account
        changed = {b"HOME": os.fsencode(account.home or "/"), b"USER": os.fsencode(account.name), b"LOGNAME": os.fsencode(account.name),
                   b"SHELL": os.fsencode(account.shell or "/bin/sh")}
    elif "passwd" in rules:
        changed = {b"HOME": b"/"}
    path = environment.path()
    if "sbin" in rules and identity.uid == 0 and path and not any(one.rstrip(b"/").endswith(b"/sbin") for one in path.split(b":")):
        changed[b"PATH"] = b":".join([path, *_SBIN])
    return changed
