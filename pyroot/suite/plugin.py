"""The pytest plugin: options, fixtures, and whether a session, or a test, runs in a root.

Decides: which fixtures there are, and when a hook does something: nothing happens unless an option, a fixture or the marker is used. Not
decided here: which options there are (``words``), how a session gets into the root (``session``), how a single test does (``single``), what
of this host's Python a root needs to have (``host``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import pytest

from pyroot import environment
from pyroot.suite.words import OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyroot.roots import Rootfs

def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("pyroot", "tests in another root file system")
    for name, keywords in OPTIONS:
        group.addoption(name, **keywords)
    parser.addini("pyroot_rootfs", "the root of the fixtures guest, guest_session and guest_factory, and of the marker pyroot")


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the marker."""
    config.addinivalue_line("markers", "pyroot(rootfs, binds, user, python, ...): run this test in a root (with keywords of pyroot.run)")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Start the session again in the root, before anything of the project is imported here."""
    known = early_config.known_args_namespace
    if known.pyroot and not environment.in_suite() and not known.help and not known.version:
        from pyroot.suite import session

        session.enter(early_config)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Let a test with the marker run in its root."""
    marker = item.get_closest_marker("pyroot")
    if marker is None or environment.in_suite():
        return None
    from pyroot.suite import single

    return single.protocol(item, marker, nextitem)


@pytest.fixture(scope="session")
def guest_factory(pytestconfig: pytest.Config) -> Iterator[Callable[..., Rootfs]]:
    """Return a function that gives a throw-away view of a root (by default the ini-file's pyroot_rootfs) until the end of the session."""
    with ExitStack() as stack:

        def make(rootfs: Any = None, **options: Any) -> Rootfs:
            return stack.enter_context(_root(pytestconfig, rootfs, options).overlay())

        yield make


@pytest.fixture(scope="session")
def guest_session(guest_factory: Callable[..., Rootfs]) -> Rootfs:
    """Return a throw-away view of the root that all tests of the session share."""
    return guest_factory()


@pytest.fixture
def guest(pytestconfig: pytest.Config) -> Iterator[Rootfs]:
    """Return a throw-away view of the root for this test alone."""
    with _root(pytestconfig, None, {}).overlay() as view:
        yield view


def _root(config: pytest.Config, rootfs: Any, options: dict[str, Any]) -> Rootfs:
    from pyroot.errors import PyrootError
    from pyroot.roots import Rootfs

    place = rootfs or config.getini("pyroot_rootfs")
    if not place:
        pytest.fail("no root is named: write pyroot_rootfs = ROOTFS into pytest's ini-file, or guest_factory(ROOTFS)", pytrace=False)
    try:
        return Rootfs(config.rootpath / place, **options)
    except PyrootError as error:
        pytest.fail(f"{error.message}\n{error.hint}", pytrace=False)
