"""The environment variables that pyroot reads, and what the guest gets of its own environment.

Decides: the name of every variable that means something to pyroot, and what it says. No other module looks at the environment (a test
holds that), except ``_start``, which the command `pyroot` talks to. What the variables mean to users is said in ``usage``. Not decided
here: what follows from a switch.

Facts: PEP 538 for the variable that the interpreter adds to the environment.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# What the command `pyroot` (scripts/pyroot.c) passes on: the mask of blocked signals and which were ignored; names it has hidden.
STATE = b"PYROOT_LAUNCH"
_HIDDEN = {b"\x0cD_": b"LD_", b"\x07LIBC_": b"GLIBC_"}
_COERCED_LC_CTYPE = (b"C.UTF-8", b"C.utf8", b"UTF-8")

TMP_DIRS = (b"PYROOT_TMP_DIR", b"PROOT_TMP_DIR", b"TMPDIR")
_USUAL_TMP_DIRS = [b"/tmp", b"/var/tmp", b"/dev/shm"]


# --- switches of pyroot


def no_seccomp() -> bool:
    """Tell whether the seccomp filter is switched off."""
    return bool(os.environb.get(b"PYROOT_NO_SECCOMP") or os.environb.get(b"PROOT_NO_SECCOMP"))


def no_gate() -> bool:
    """Tell whether no call is to be answered inside the guest."""
    return bool(os.environb.get(b"PYROOT_NO_GATE"))


def no_handover() -> bool:
    """Tell whether a pyroot around this one is to be left alone."""
    return bool(os.environb.get(b"PYROOT_NO_HANDOVER"))


def no_landlock() -> bool:
    """Tell whether --net is to do nothing."""
    return bool(os.environb.get(b"PYROOT_NO_LANDLOCK"))


def bwrap_lenient() -> bool:
    """Tell whether bubblewrap's arguments that cannot be obeyed are to be left out."""
    return bool(os.environb.get(b"PYROOT_BWRAP_LENIENT"))


def debug() -> bool:
    """Tell whether tracebacks are wanted."""
    return os.environ.get("PYROOT_DEBUG", "0") not in ("", "0")


def named_tmp_dirs() -> list[bytes]:
    """Return the directories for temporary files that the user names, in order; relative ones do not count."""
    named = (os.environb.get(name) for name in TMP_DIRS)
    return [path for path in named if path and path.startswith(b"/")]


def tmp_dirs() -> list[bytes]:
    """Return where mount points for missing targets of bindings may be made."""
    return named_tmp_dirs() + _USUAL_TMP_DIRS


def config_dir() -> str:
    """Return where the user's own lists are: XDG_CONFIG_HOME, or .config at home."""
    return os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.environ.get("HOME") or "/", ".config")


def session_dirs() -> tuple[bytes, bytes]:
    """Return where sessions of the user may meet: XDG_RUNTIME_DIR and TMPDIR, empty where they are not set."""
    return os.environb.get(b"XDG_RUNTIME_DIR", b""), os.environb.get(b"TMPDIR", b"")


def in_suite() -> str:
    """Return the root that a test session runs in (`pytest --pyroot`); empty outside of one."""
    return os.environ.get("PYTEST_PYROOT", "")


def pytest_options() -> str:
    """Return what PYTEST_ADDOPTS says."""
    return os.environ.get("PYTEST_ADDOPTS", "")


# --- terminals and the user


def terminal() -> str:
    """Return the name of the terminal, empty without one."""
    return os.environ.get("TERM", "")


def dumb() -> bool:
    """Tell whether the terminal can neither move its cursor nor show colours."""
    return terminal() in ("", "dumb")


def no_colour() -> bool:
    """Tell whether messages are to be without colours."""
    return bool(os.environ.get("NO_COLOR")) or dumb()


def path(default: bytes = b"") -> bytes:
    """Return the PATH, ``default`` without one."""
    return os.environb.get(b"PATH", default)


def home() -> bytes:
    """Return the home directory, empty without one."""
    return os.environb.get(b"HOME", b"")


def user() -> str:
    """Return the user's name according to the environment."""
    return os.environ.get("USER", "")


def library_path() -> bytes:
    """Return the LD_LIBRARY_PATH that the guest gets."""
    for name, value in os.environb.items():
        if given_name(name) == b"LD_LIBRARY_PATH":
            return value
    return b""


def variables() -> dict[bytes, bytes]:
    """Return a copy of all variables."""
    return dict(os.environb)


def put(name: str, value: str | None) -> None:
    """Set a variable for what is started from here, or remove it."""
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def replace(wanted: dict[str, str]) -> None:
    """Let the guest have these variables, and no others. What pyroot itself is to know of the environment has to be known before."""
    os.environ.clear()
    os.environ.update(wanted)


# --- what the command `pyroot` has done to the variables, and what the guest gets


def given_name(name: bytes) -> bytes:
    """Return the name of a variable, or an entry, as the caller of the command `pyroot` gave it."""
    for hidden, given in _HIDDEN.items():
        if name.startswith(hidden):
            return given + name[len(hidden) :]
    return name


def hidden(given: "Mapping[Any, Any] | None" = None) -> dict[bytes, bytes]:
    """Return variables, by default this process's, for a process of pyroot, as the command `pyroot` would hand them over.

    What means something to ld.so is for the guest, but for a library path of this process's own, which its interpreter may need.
    """
    own = os.environb.get(b"LD_LIBRARY_PATH")
    found: dict[bytes, bytes] = {}
    for key, text in (os.environb if given is None else given).items():
        name, value = os.fsencode(key), os.fsencode(text)
        if name != b"LD_LIBRARY_PATH" or value != own:
            for letter, begin in _HIDDEN.items():
                name = letter + name[len(begin) :] if name.startswith(begin) else name
        found[name] = value
    return found


def take_state() -> list[int] | None:
    """Take what the command `pyroot` has hidden out of this process's environment; return the signals that were blocked before it."""
    state = os.environb.pop(STATE, None)
    if state is None:
        return None
    for name in [name for name in os.environb if given_name(name) != name]:
        os.environb[given_name(name)] = os.environb.pop(name)
    mask = int(state[:16], 16)
    return [number for number in range(1, 65) if mask >> number - 1 & 1]


def _given_environment() -> list[bytes] | None:
    """Return the entries that this process was started with; None if they cannot be read."""
    try:
        with open("/proc/self/environ", "rb") as file:
            return [given_name(entry) for entry in file.read().split(b"\0")[:-1] if not entry.startswith(STATE + b"=")]
    except OSError:
        return None


def of_guest(cwd: bytes, changed: dict[bytes, bytes] | None = None) -> list[bytes]:
    """Return this process's environment with PWD set to ``cwd``, and the variables of ``changed``.

    If the command `pyroot` has started this process, it is taken from the kernel, in its order and with entries that are not
    variables. Otherwise it is what Python has, which verbs change; a Python started in the C locale puts an LC_CTYPE of
    its own into that (PEP 538), even over one that asks for the C locale.
    """
    entries = _given_environment() if STATE in os.environb or os.environb.get(b"LC_CTYPE") in _COERCED_LC_CTYPE else None
    if STATE not in os.environb or entries is None:
        variables = {given_name(name): value for name, value in os.environb.items() if name != STATE}
        if entries is not None:
            variables.pop(b"LC_CTYPE", None)
            variables.update((b"LC_CTYPE", entry[9:]) for entry in entries if entry.startswith(b"LC_CTYPE="))
        entries = [name + b"=" + value for name, value in variables.items()]
    for name, value in {b"PWD": cwd, **(changed or {})}.items():
        own = name + b"=" + value
        places = [i for i, entry in enumerate(entries) if entry.startswith(name + b"=")]
        for i in places:
            entries[i] = own
        if not places:
            entries.append(own)
    return entries
