"""What a run costs before the guest starts: imported modules, and time against a bare interpreter."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.as_user import command, environment, identity, interpreter, package

# Beyond `python -IS`: os and what it is made of, errno, the core, and the thin modules of the run path.
ALLOWED = {
    "gc", "os", "os.path", "posixpath", "genericpath", "stat", "_stat", "_collections_abc", "errno",
    "pyroot", "pyroot._fast", "pyroot.cli", "pyroot.options", "pyroot.option_kinds", "pyroot.option_places", "pyroot.report",
    "pyroot.errors",
    "pyroot.config", "pyroot.presets",
    "pyroot.binding", "pyroot.environment", "pyroot.glue", "pyroot.launch", "pyroot.guest",
}  # fmt: skip
PROBE = """
import sys
before = set(sys.modules)
sys.path.insert(0, {top!r})
from pyroot.cli import main
status = main({words!r})
print("status", status, *sorted(set(sys.modules) - before))
"""


def modules(words: list[str]) -> set[str]:
    probe = PROBE.format(top=str(package()), words=words)
    done = subprocess.run(
        [interpreter(), "-IS", "-c", probe], capture_output=True, text=True, check=True, env=environment(), cwd="/",
        **identity(),
    )  # fmt: skip
    assert done.stderr == ""
    last = done.stdout.splitlines()[-1].split()
    assert last[:2] == ["status", "0"]
    # What Cython puts into sys.modules for itself is made in memory, not loaded.
    return {name for name in last[2:] if not name.startswith(("cython_runtime", "_cython_"))}


@pytest.mark.parametrize("options", [["-r", "/"], ["-R", "/"], ["-r", "/", "-b", "/proc:/mnt", "-w", "/", "-v", "0"]])
def test_run_imports_only_what_is_allowed(options: list[str]) -> None:
    assert modules([*options, "true"]) <= ALLOWED


def test_importing_the_package_imports_nothing() -> None:
    program = f"import sys; sys.path.insert(0, {str(package())!r}); old = set(sys.modules); import pyroot; "
    program += "print(*sorted(set(sys.modules) - old))"
    done = subprocess.run([sys.executable, "-IS", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["pyroot"]


def test_start_stays_in_proportion_to_a_bare_interpreter() -> None:
    """The goal is 2.2 from an installed wheel; the limit here leaves room for a machine that does other work too."""
    bare = [interpreter(), "-IS", "-c", "pass"]
    run = command("-r", "/", "/bin/true")
    times: dict[str, list[float]] = {"bare": [], "run": []}
    for _round in range(15):
        for name, words in (("bare", bare), ("run", run)):
            begin = time.perf_counter()
            subprocess.run(words, check=True, cwd="/", env=environment(), **identity())
            times[name].append(time.perf_counter() - begin)
    ratio = statistics.median(times["run"]) / statistics.median(times["bare"])
    assert ratio < 3.5, times


def test_run_path_modules_name_no_heavy_import() -> None:
    """A heavy module must not even be imported at the top of a file that the run path loads."""
    heavy = ("argparse", "subprocess", "logging", "json", "typing", "dataclasses", "pathlib", "enum", "re", "signal",
             "importlib", "tempfile", "shutil", "__future__")  # fmt: skip
    for name in sorted(ALLOWED):
        path = Path(package(), *name.split(".")).with_suffix(".py")
        if name.startswith("pyroot.") and path.exists():
            for line in path.read_text().splitlines():
                words = line.split()
                assert not (words[:1] in (["import"], ["from"]) and words[1] in heavy and line[0] != " "), (
                    f"{name}: {line}"
                )
