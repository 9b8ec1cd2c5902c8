"""The table of programs: the rows of every module in ``rows``."""

from __future__ import annotations

import importlib
import pkgutil

from . import rows
from .row import Row

# what every session has: an editor of the screen for the full-screen ones, and what the functions of library.sh call
BASE = ("procps", "psmisc", "util-linux", "coreutils", "findutils", "python3", "tmux", "ncurses-base", "ncurses-term", "netcat-openbsd")


def groups() -> dict[str, tuple[Row, ...]]:
    """Return the rows by the name of the module that they stand in."""
    names = sorted(module.name for module in pkgutil.iter_modules(rows.__path__))
    return {name: importlib.import_module(f"{rows.__name__}.{name}").ROWS for name in names}


def packages() -> list[str]:
    """Return the packages that the rows need, without doubles."""
    wanted = {name for group in groups().values() for row in group for name in row.packages.split()}
    return sorted(wanted | set(BASE))


def chosen(words: list[str]) -> list[Row]:
    """Return the rows that the words name, each the name of a row, or of a group; all rows for no word."""
    table = groups()
    every = [row for group in table.values() for row in group]
    names = [row.name for row in every]
    double = sorted({name for name in names if names.count(name) > 1} | set(names) & set(table))
    if double:
        raise ValueError(f"names that mean more than one thing: {', '.join(double)}")
    unknown = [word for word in words if word not in names and word not in table]
    if unknown:
        raise ValueError(f"no such row or group: {', '.join(unknown)}")
    if not words:
        return every
    return [row for name, group in table.items() for row in group if row.name in words or name in words]
