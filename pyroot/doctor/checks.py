"""The whole table of checks.

Decides: the order of the checks: report, `docs/DOCTOR.md` and the tests follow it. What a row is, `registry` says.
"""

from __future__ import annotations

from pyroot.doctor import accounts, against, calls, devices, host, libraries, network, places, programs
from pyroot.doctor.registry import CHECKS, Check


def load() -> list[Check]:
    """Give the whole table, in one order whoever imports the modules of checks."""
    modules = [module.__name__ for module in (programs, libraries, places, devices, accounts, network, against, host, calls)]
    CHECKS.sort(key=lambda row: modules.index(row.function.__module__))
    return CHECKS
