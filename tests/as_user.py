"""Run pyroot the way its users do: from a shell, in a fresh interpreter, as an ordinary user.

A suite that runs as root lends its guests the user 65534, who must be able to read interpreter and package: where the
source tree is closed to others (below /root), the package is copied to a place that is not.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
USER = 65534
PATH = "/usr/local/bin:/usr/bin:/bin"


def identity() -> dict[str, Any]:
    """Return the keywords of subprocess that make a child an ordinary user's."""
    return {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def work_directory() -> Iterator[Path]:
    """Give a directory that the ordinary user owns, below a place that everybody may enter."""
    path = Path(tempfile.mkdtemp(prefix="pyroot-test-", dir="/var/tmp"))
    try:
        path.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(path, USER, USER)
        yield path
    finally:
        for directory, _names, _files in os.walk(path):
            os.chmod(directory, 0o755)
        shutil.rmtree(path)


@functools.cache
def package() -> Path:
    """Return a directory that holds the package and that the ordinary user may read."""
    start = TOP / "pyroot/_start.py"
    test = [sys.executable, "-IS", str(start), "-V"]
    if subprocess.run(test, capture_output=True, cwd="/", check=False, **identity()).returncode == 0:
        return TOP
    import atexit

    copy = Path(tempfile.mkdtemp(prefix="pyroot-test-package-", dir="/var/tmp"))
    atexit.register(shutil.rmtree, copy)
    copy.chmod(0o755)
    for part in ("pyroot", "bind"):
        shutil.copytree(TOP / part, copy / part)
    return copy


def command(*words: str | os.PathLike[str]) -> list[str]:
    """Return the command line of pyroot with ``words``."""
    return [sys.executable, "-IS", str(package() / "pyroot/_start.py"), *map(os.fspath, words)]


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
