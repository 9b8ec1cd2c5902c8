"""A single test in a root: the marker `pyroot`.

Decides: how such a test runs, and how its reports come back. The test runs in a session of its own in the root, in which its fixtures are
made, those of wider scope too; what the session inside reports goes through a pipe. Not decided here: what the root shows (``session``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

import pytest

from pyroot import api, environment
from pyroot.binds import Binding
from pyroot.caller import above
from pyroot.errors import PyrootError
from pyroot.roots import Rootfs
from pyroot.suite import inner, session

_PLACE = "/.pyroot-suite"  # where the root's own Python finds the plugin
_NAMED = ("binds", "user", "python")


def protocol(item: pytest.Item, marker: pytest.Mark, nextitem: pytest.Item | None) -> bool:
    """Run the item in its root, and report what happened there as if it had happened here."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    try:
        reports = _reports(item, marker)
    except PyrootError as error:
        reports = [_failure(item, f"{error.message}\n{error.hint}")]
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    # nothing was made here for this item, but what earlier ones have left for it has to go before the next one
    call = pytest.CallInfo.from_call(lambda: item.session._setupstate.teardown_exact(nextitem), "teardown")
    if call.excinfo is not None:
        item.ihook.pytest_runtest_logreport(report=item.ihook.pytest_runtest_makereport(item=item, call=call))
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _reports(item: pytest.Item, marker: pytest.Mark) -> list[pytest.TestReport]:
    config = item.config
    rootfs = marker.kwargs.get("rootfs") or (marker.args[0] if marker.args else None) or config.getini("pyroot_rootfs")
    if not rootfs:
        raise PyrootError("the marker pyroot names no root", "@pytest.mark.pyroot(rootfs=...), or pyroot_rootfs in pytest's ini-file")
    root = Rootfs(config.rootpath / rootfs)
    binds, user, python = (marker.kwargs.get(name) for name in _NAMED)
    keywords = session.view(root, session.project_places(config, config.option), python, binds or [], user)
    keywords |= {name: value for name, value in marker.kwargs.items() if name not in (*_NAMED, "rootfs")}
    if python:
        version = session.check_guest(root, keywords, python)[1]
        if version.split(".")[0] != pytest.__version__.split(".")[0]:
            raise PyrootError(f"its pytest is {version}, this one {pytest.__version__}: reports do not fit", "install the same in the root")
    read, write = above(os.pipe())
    with os.fdopen(read, encoding="utf-8") as lines, tempfile.TemporaryFile() as output:
        try:
            env = environment.variables() | {b"PYTEST_PYROOT": os.fsencode(root.path)}
            if python:  # which does not have this package
                keywords["binds"] = [*keywords["binds"], Binding(inner.__file__, f"{_PLACE}/pyroot_inner.py", readonly=True)]
                env[b"PYTHONPATH"] = b":".join(filter(None, [_PLACE.encode(), env.get(b"PYTHONPATH")]))
            plugin = "pyroot_inner" if python else inner.__name__
            words = [python or sys.executable, "-m", "pytest", "-p", plugin, f"--pyroot-reports={write}"]
            keywords |= {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT, "pass_fds": [write]}
            keywords |= {"cwd": str(config.rootpath), "env": env}
            process = api.Popen([*words, *_options(config, item, python is None)], **keywords)
        finally:
            os.close(write)
        with process:
            try:
                told = [json.loads(line) for line in lines]
                process.wait()
            except BaseException:
                process.kill()
                raise
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    found = [config.hook.pytest_report_from_serializable(config=config, data=data) for data in told]
    reports: list[pytest.TestReport] = [one for one in found if isinstance(one, pytest.TestReport)]
    if not any(one.when == "teardown" for one in reports):
        reports.append(_failure(item, f"the session in {root.path} ended with {process.returncode}\n{said}"))
    return reports


def _options(config: pytest.Config, item: pytest.Item, ours: bool) -> list[str]:
    """Return the words for a session of this item alone, which writes no files of a session; ``ours``: it has the same plugins."""
    where = ["--rootdir", str(config.rootpath), *(["-c", str(config.inipath)] if config.inipath else [])]
    capture = f"--capture={config.option.capture}"
    others = (("xdist", ["-n", "0"]), ("pytest_cov", ["--no-cov"]))
    off = [word for name, words in others if ours and config.pluginmanager.has_plugin(name) for word in words]
    return [*where, "-o", "cache_dir=/tmp/.pytest_cache", "--junit-xml=", capture, *off, item.nodeid]


def _failure(item: pytest.Item, text: str) -> pytest.TestReport:
    """Make the report of a test that could not run."""
    return pytest.TestReport(item.nodeid, item.location, {}, "failed", text, "call")
