"""A whole test session in a root: `pytest --pyroot ROOTFS ...`.

Decides: the command line of the session inside, and what the root shows of this host for it: the project, and this interpreter unless the
root's own is asked for. This process becomes pyroot, so that the terminal, signals and the exit status are those of one program. Not
decided here: which files an interpreter needs (``host``).
"""

from __future__ import annotations

import os
import shlex
import sys

import pytest

from pyroot import api, environment
from pyroot.binds import Binding, words
from pyroot.errors import PyrootError
from pyroot.roots import Rootfs
from pyroot.suite.words import without_ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

USAGE_ERROR = 4
_PROBE = "import sys; print('%d.%d' % sys.version_info[:2]); import pytest; print(pytest.__version__)"


def enter(config: pytest.Config) -> NoReturn:
    """Become the session in the root that the options name; end with pytest's usage error if that is impossible."""
    known = config.known_args_namespace
    try:
        line = command(config, known)
    except PyrootError as error:
        print(f"ERROR: --pyroot {known.pyroot}: {error.message}" + (f"\n  hint: {error.hint}" if error.hint else ""), file=sys.stderr)
        sys.stderr.flush()
        os._exit(USAGE_ERROR)
    environment.put("PYTEST_PYROOT", os.path.abspath(known.pyroot))
    if options := environment.pytest_options():
        environment.put("PYTEST_ADDOPTS", shlex.join(without_ours(shlex.split(options))))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(line[0], line, environment.hidden())


def command(config: pytest.Config, known: Any) -> list[str]:
    """Return the command line of pyroot. Raises PyrootError."""
    root = Rootfs(known.pyroot)
    inside = without_ours([os.fspath(word) for word in config.invocation_params.args])
    inside = [*_ini_options(config), *inside]
    keywords = view(root, project_places(config, known), known.pyroot_python, [*known.pyroot_bind], known.pyroot_user)
    keywords["cwd"] = str(config.invocation_params.dir)
    if known.pyroot_python:
        check_guest(root, keywords, known.pyroot_python)
        args = [known.pyroot_python, "-m", "pytest", *inside]
    else:
        args = [sys.executable, *_how_started(config), *inside]
    line = api.command_line(args, **keywords)
    at = line.index("--")
    return [*line[:at], *shlex.split(known.pyroot_options), *line[at:]]


def _ini_options(config: pytest.Config) -> list[str]:
    """Give the ini-file's addopts without the plugin's options, if it has some: the root's pytest may not know them."""
    given = config.getini("addopts")
    kept = without_ours(list(given))
    return [] if kept == list(given) else ["-o", f"addopts={shlex.join(kept)}"]


def _how_started(config: pytest.Config) -> list[str]:
    """Return the words between the interpreter and pytest's own, so that the session inside is started as this one was."""
    given = sys.argv[1:]
    if given == [os.fspath(word) for word in config.invocation_params.args] and sys.orig_argv[len(sys.orig_argv) - len(given) :] == given:
        how = sys.orig_argv[1 : len(sys.orig_argv) - len(given)]
        if how and how[-1] == "pytest" or how and os.path.isabs(how[-1]) and os.path.exists(how[-1]):
            return how
    return ["-m", "pytest"]


def project_places(config: pytest.Config, known: Any) -> list[Binding]:
    """List what of the project has to be seen, and may be changed. Raises PyrootError."""
    found = []
    for path in {str(config.rootpath), str(config.invocation_params.dir)}:
        if path == "/":
            raise PyrootError("the project's directory is /, which the root takes the place of", "go to the project's directory first")
        found.append(Binding(path))
    report = getattr(known, "xmlpath", None)
    if report:
        path = os.path.abspath(os.path.expanduser(report))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not any(path.startswith(f"{os.fsdecode(one.host)}/") for one in found):
            with open(path, "ab"):
                found.append(Binding(path))
    return found


def view(root: Rootfs, places: list[Binding], python: str | None, binds: list[Any], user: str | None) -> dict[str, Any]:
    """Return the keywords of a run that shows the root with a project, devices and an interpreter."""
    shown: list[Any] = [Binding(path, optional=True) for path in ("/dev", "/proc", "/sys", "/etc/hosts", "/etc/resolv.conf")]
    shown += places
    if not python:
        from pyroot.suite import host

        shown += host.python_binds(root.path, [os.fsdecode(one.host) for one in places])
    keywords: dict[str, Any] = {"rootfs": root.path, "binds": [*words(shown), *words(binds)], "kill_on_exit": True}
    if not os.access(os.path.join(root.path, "tmp"), os.W_OK):
        keywords["tmpfs"] = ["/tmp"]
    if user:
        keywords["user"] = user
    return keywords


def check_guest(root: Rootfs, keywords: dict[str, Any], python: str) -> tuple[str, str]:
    """Return the versions of the root's Python and pytest. Raises PyrootError if there is none."""
    found = api.run([python, "-c", _PROBE], **keywords, capture_output=True, text=True)
    told = found.stdout.split()
    if len(told) == 2:
        return told[0], told[1]
    last = (found.stderr.strip().splitlines() or [f"it ended with {found.returncode}"])[-1]
    what = f"its {python} has no pytest" if "No module named 'pytest'" in last else f"its {python} does not work: {last}"
    raise PyrootError(what, "install pytest in the root, or leave --pyroot-python out: then this Python and its packages are shown there")
