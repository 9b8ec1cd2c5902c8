"""What every test file gets: a header that names the ground under the run, and fixtures to run pyroot and real chroots.

``run_pyroot`` runs guests as the ordinary user and leaves no process behind; ``real_chroot`` does the same with
chroot(2) and real bind mounts, where the suite is root.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.broken_roots import root, sound
from tests.helpers import Result, ordinary_user
from tests.oracle import sides
from tests.rootfs_fixtures import (
    bullseye_root,
    busybox_root,
    debian_i386_root,
    debian_root,
    inside,
    made_root,
    make_roots,
    trixie_root,
)
from tests.traced_guests import ground

__all__ = [
    "bullseye_root", "busybox_root", "debian_i386_root", "debian_root", "ground", "made_root", "root", "sound", "trixie_root",
]  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def pytest_configure() -> None:
    """Start children as a terminal does: careless parents leave signals ignored or blocked, and guests would inherit that.

    A shell ignores SIGINT and SIGQUIT for its background jobs; what nohup(1) ignores must not end the tests either: a handler is the
    default again after exec.
    """
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)
    for number in signal.valid_signals():
        # (Python's own children get these two as they should be)
        if number not in (signal.SIGPIPE, signal.SIGXFSZ) and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this user has no right to: as with `-m`, that is a choice of tests, none that a package could add to the run."""
    left_out = [item for item in items if not_for_us(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make what takes minutes outside of any test."""
    if not session.config.option.collectonly:
        make_roots({name for item in session.items for name in roots_of(item)})


def roots_of(item: pytest.Item) -> set[str]:
    """Name the fixtures that a test asks for: by its arguments, by a parameter, or by the words of its marker `rootfs`."""
    given = item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    marked = [word for marker in item.iter_markers("rootfs") for word in marker.args]
    return {*getattr(item, "fixturenames", ()), *marked, *(value for value in given if isinstance(value, str))}


def not_for_us(item: pytest.Item) -> bool:
    """Tell whether a test needs root, or must not be root."""
    fixtures = getattr(item, "fixturenames", ())
    if item.get_closest_marker("root") or "may_chroot" in fixtures:
        return os.geteuid() != 0
    if item.get_closest_marker("not_root"):
        return os.geteuid() == 0
    return "real_chroot" in fixtures and bool(sides.why_no_chroot())


def first_line(path: str, default: str) -> str:
    """Return the first line of a file of the kernel, or ``default``."""
    try:
        with open(path, encoding="ascii") as file:
            return file.readline().strip()
    except OSError:
        return default


def core_build() -> str:
    """Say which compiled core the tests run and what it found out about this machine."""
    try:
        from pyroot import _fast
    except ImportError as error:
        return f"none ({error})"
    found: dict[str, object] = getattr(_fast, "self_check", dict)()
    checks = " ".join(f"{name}={value}" for name, value in found.items())
    return f"{_fast.__file__} {checks}"


def pytest_report_header() -> list[str]:
    """Name what results depend on."""
    scope = first_line("/proc/sys/kernel/yama/ptrace_scope", "no yama")
    actions = first_line("/proc/sys/kernel/seccomp/actions_avail", "none")
    return [
        f"kernel: {platform.release()} {platform.machine()}, ptrace scope: {scope}, seccomp: {actions}",
        f"core: {core_build()}",
        f"tests run as uid {os.geteuid()}, guests as uid {ordinary_user.uid}",
        f"real chroots: {sides.why_no_chroot() or 'possible'}",
        f"oracle: {sides.why_not_possible('pyroot') or 'real chroots and bind mounts are possible'}",
    ]


@pytest.fixture(scope="session")
def pyroot_words() -> list[str]:
    """Return the words that start pyroot; skip when the ordinary user has no interpreter for it."""
    obstacle = ordinary_user.why_not()
    if obstacle:
        pytest.skip(obstacle)
    return helpers.pyroot_command()[0]


@pytest.fixture
def guest_directory() -> Iterator[str]:
    """Make an empty directory that the ordinary user owns and can reach."""
    with directory_of_the_user(None) as path:
        yield path


@pytest.fixture
def short_directory() -> Iterator[str]:
    """Make such a directory for sockets and `#!` lines, whose names have to be short."""
    with directory_of_the_user(helpers.short_place()) as path:
        yield path


@contextmanager
def directory_of_the_user(place: str | None) -> Iterator[str]:
    """Make an empty directory of the ordinary user in a place."""
    path = tempfile.mkdtemp(prefix="pyroot-test-", dir=place)
    if os.geteuid() == 0:
        os.chown(path, helpers.NOBODY, helpers.NOBODY)
    os.chmod(path, 0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def session_of_pyroot(words: list[str], arguments: list[str], options: dict[str, object]) -> Result:
    """Run pyroot with the environment that it needs beside the caller's."""
    environment = dict(helpers.pyroot_command()[1])
    given = options.pop("environment", None)
    base = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": "/tmp"}
    environment.update(base if given is None else given)  # type: ignore[call-overload]
    return helpers.run([*words, *arguments], environment=environment, **options)  # type: ignore[arg-type]


@pytest.fixture
def run_pyroot(pyroot_words: list[str]) -> Callable[..., Result]:
    """Return a function that runs ``pyroot ARGUMENTS...`` as the ordinary user: ``run_pyroot(["-r", root, "ls"])``."""

    def call(arguments: list[str], **options: object) -> Result:
        return session_of_pyroot(pyroot_words, arguments, options)

    return call


@pytest.fixture
def may_chroot() -> None:
    """Ask for guests with CAP_SYS_CHROOT, which only root can give: other runs leave the test out."""


@pytest.fixture
def real_chroot() -> Callable[..., Result]:
    """Return a function that runs a command in a real chroot: ``real_chroot(root, command, bindings, cwd)``.

    ``bindings`` are pairs of a host path and a guest path; mount points that are missing are made in the root and
    removed again. The command runs as the ordinary user and is looked up by the PATH of its environment.
    """

    def call(root: str, command: list[str], bindings: list[tuple[str, str]] | None = None, cwd: str = "/",
             **options: object) -> Result:
        made = make_mount_points(root, bindings or [])

        def prepare() -> None:
            sides.private_mounts()
            sides.mount(root, root, None, sides.MS_BIND | sides.MS_REC)
            for host, guest in bindings or []:
                sides.mount(host, inside(root, guest), None, sides.MS_BIND | sides.MS_REC)
            os.chroot(root)
            os.chdir(cwd)
            sides.drop_rights()

        try:
            options["prepare"] = prepare
            return session_of_real(command, options)
        finally:
            for path in reversed(made):
                (os.rmdir if os.path.isdir(path) else os.unlink)(path)

    return call


def session_of_real(command: list[str], options: dict[str, object]) -> Result:
    """Run a command with the same environment that pyroot's guests get."""
    given = options.pop("environment", None)
    base = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": "/tmp"}
    environment = {**helpers.pyroot_command()[1], **(base if given is None else given)}  # type: ignore[dict-item]
    return helpers.run(command, environment=environment, **options)  # type: ignore[arg-type]


def make_mount_points(root: str, bindings: list[tuple[str, str]]) -> list[str]:
    """Create what a mount needs and the root lacks; return what was made."""
    made: list[str] = []
    for host, guest in bindings:
        target, path = inside(root, guest), root
        for name in target.removeprefix(root).strip("/").split("/"):
            path = f"{path}/{name}"
            if os.path.lexists(path):
                continue
            if path == target and not os.path.isdir(host):
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
            else:
                os.mkdir(path)
            made.append(path)
    return made
