"""The plugin of the session that a single test runs in: every report goes to the session outside.

Decides: the form of a report on its way: a line of JSON each, as pytest itself serialises them (for xdist, for example).
"""

from __future__ import annotations

import json
import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the pipe."""
    parser.addoption("--pyroot-reports", type=int, metavar="FD", help="where reports go to")


class Reporter:
    """Writes reports."""

    def __init__(self, config: pytest.Config) -> None:
        """Take the pipe over; what the test starts does not get it."""
        self.config = config
        self.pipe = config.option.pyroot_reports
        os.set_inheritable(self.pipe, False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send a report."""
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        text = (json.dumps(data) + "\n").encode()
        while text:
            text = text[os.write(self.pipe, text) :]


def pytest_configure(config: pytest.Config) -> None:
    """Begin."""
    config.pluginmanager.register(Reporter(config), "pyroot-reporter")
