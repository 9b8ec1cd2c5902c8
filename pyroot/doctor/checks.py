"""The whole table of checks.

Decides: the order of the checks: report, `docs/DOCTOR.md` and the tests follow it. Not decided here: what a row is (`registry`).
"""

from __future__ import annotations

from pyroot.doctor import accounts, against, calls, devices, host, libraries, network, places, programs, runtimes, settings, variables
from pyroot.doctor.registry import CHECKS, Check

_ORDER = (programs, libraries, runtimes, places, settings, devices, accounts, network, variables, against, host, calls)


def load() -> list[Check]:
    """Give the whole table, in one order, whichever module of checks is imported first."""
    modules = [module.__name__ for module in _ORDER]
    CHECKS.sort(key=lambda row: modules.index(row.function.__module__))
    return CHECKS
