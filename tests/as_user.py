"""Run pyroot the way its users do: from a shell, in a fresh interpreter, as an ordinary user with a small environment.

Different from the fixture ``run_pyroot`` nothing is added to the environment, since some tests look at all of it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import helpers

TOP = Path(helpers.PROJECT)
PATH = "/usr/local/bin:/usr/bin:/bin"


def identity() -> dict[str, Any]:
    """Return the keywords of subprocess that make a child an ordinary user's."""
    return {"user": helpers.NOBODY, "group": helpers.NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def work_directory() -> Iterator[Path]:
    """Give a directory that the ordinary user owns, below a place that everybody may enter."""
    path = Path(tempfile.mkdtemp(prefix="pyroot-test-", dir="/var/tmp"))
    try:
        path.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(path, helpers.NOBODY, helpers.NOBODY)
        yield path
    finally:
        for directory, names, _files in os.walk(path):
            for name in names:
                if not os.access(os.path.join(directory, name), os.R_OK | os.W_OK | os.X_OK, follow_symlinks=False):
                    os.chmod(os.path.join(directory, name), 0o755, follow_symlinks=True)
        shutil.rmtree(path)


def package() -> Path:
    """Return the directory that holds the package under test."""
    return Path(helpers.core_directory())


def interpreter() -> str:
    """Return an interpreter that the ordinary user can run the package with."""
    path, reason = helpers.ordinary_user.interpreter
    if not path:
        pytest.skip(f"no interpreter for the ordinary user: {reason}")
    return path


def command(*words: str | os.PathLike[str]) -> list[str]:
    """Return the command line of pyroot with ``words``; ``PYROOT_CMD`` names another pyroot."""
    given = os.environ.get("PYROOT_CMD")
    start = shlex.split(given) if given else [interpreter(), "-IS", str(package() / "pyroot/_start.py")]
    return start + [os.fspath(word) for word in words]


def environment(home: Path | None = None, **more: str) -> dict[str, str]:
    """Return a small environment, the same on every machine."""
    return {"PATH": PATH, "HOME": str(home or "/"), "LANG": "C.UTF-8", **more}


def pyroot(*words: str | os.PathLike[str], **keywords: Any) -> subprocess.CompletedProcess[str]:
    """Run pyroot as an ordinary user and return what it printed."""
    keywords = {
        "capture_output": True, "text": True, "errors": "surrogateescape", "timeout": 60, "check": False,
        "cwd": "/", "env": environment(), **identity(), **keywords,
    }  # fmt: skip
    return subprocess.run(command(*words), **keywords)
