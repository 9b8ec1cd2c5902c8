"""The linters as tests, and the rules of CONTRIBUTING that no linter knows.

They read the source tree, so they are skipped where the tests run without one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
LINE_LIMIT = {"pyroot": 500}
ELSEWHERE = 600
PYTHON_SUFFIXES = {".py", ".pyi", ".pyx", ".pxi", ".pxd"}
TEXT_SUFFIXES = PYTHON_SUFFIXES | {".c", ".h", ".S", ".lds", ".md", ".toml", ".bind", ".sh", ".in", ""}
MADE_FOLDERS = {"build", "dist", "rootfs"}  # at the top of the tree

pytestmark = [
    pytest.mark.lint,
    pytest.mark.timeout(600),  # beside other work
    pytest.mark.skipif(not (PROJECT / "pyproject.toml").exists(), reason="no source tree here"),
]


def sources() -> list[Path]:
    """Return every text file of the project that a person wrote or generated."""
    found = []
    for path in PROJECT.rglob("*"):
        parts = path.relative_to(PROJECT).parts
        hidden = any(part == "__pycache__" or part.startswith(".") and part != ".ci" for part in parts[:-1])
        if hidden or parts[0] in MADE_FOLDERS or path.suffix not in TEXT_SUFFIXES or not path.is_file():
            continue
        if not path.name.startswith("loader-x"):
            found.append(path)
    assert len(found) > 10
    return sorted(found)


def is_generated(path: Path) -> bool:
    """Tell whether the first lines say that a program wrote the file."""
    with open(path, encoding="utf-8", errors="replace") as file:
        head = "".join(next(file, "") for _ in range(5))
    return "enerated by" in head


def run_tool(module: str, *words: str, start: str = "") -> None:
    """Run a linter of this interpreter over the project; fail with what it says. ``start``: its module, if another."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed (pip install '.[test]' in the source tree)")
    beside = os.path.dirname(sys.executable)  # where linters find each other
    found = subprocess.run(
        [sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", "-m", start or module, *words],
        cwd=PROJECT, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{beside}:{os.environ.get('PATH', os.defpath)}"},
    )  # fmt: skip
    if found.returncode != 0:
        pytest.fail(f"{module} {' '.join(words[:3])}\n{found.stdout}{found.stderr}", pytrace=False)


def test_ruff_finds_nothing() -> None:
    run_tool("ruff", "check", "--no-cache", ".")


@pytest.mark.timeout(300)
def test_mypy_strict_finds_nothing(tmp_path: Path) -> None:
    run_tool("mypy", "--strict", "--cache-dir", str(tmp_path), "pyroot")


def test_cython_lint_finds_nothing() -> None:
    words = [str(path) for path in sources() if path.suffix in {".pyx", ".pxi", ".pxd"}]
    assert words
    run_tool("cython_lint", *words, start="cython_lint.cython_lint")


def test_codespell_finds_nothing() -> None:
    run_tool("codespell_lib", *[str(path.relative_to(PROJECT)) for path in sources() if path.name != "LICENSE"])


def test_no_file_is_too_long_to_read() -> None:
    too_long = {}
    for path in sources():
        if path.name == "LICENSE" or is_generated(path):
            continue
        lines = path.read_bytes().count(b"\n")
        name = path.relative_to(PROJECT)
        if lines > LINE_LIMIT.get(name.parts[0], ELSEWHERE):
            too_long[str(name)] = lines
    assert not too_long


def test_nothing_is_left_to_be_done() -> None:
    words = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
    found = []
    for path in sources():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if words.search(line):
                found.append(f"{path.relative_to(PROJECT)}:{number}: {line.strip()}")
    assert not found


def test_every_module_says_what_it_decides() -> None:
    """Each module of the package begins with a docstring."""
    without = []
    for path in sorted((PROJECT / "pyroot").rglob("*.py")):
        with open(path, "rb") as file:
            for token in tokenize.tokenize(file.readline):
                if token.type in (tokenize.ENCODING, tokenize.COMMENT, tokenize.NL):
                    continue
                if token.type != tokenize.STRING:
                    without.append(str(path.relative_to(PROJECT)))
                break
    assert not without


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for path in sources():
        if path.suffix == ".md":
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
                if not (path.parent / target).exists():
                    broken.append(f"{path.relative_to(PROJECT)}: {target}")
    assert not broken


def test_each_difference_names_tests_that_exist() -> None:
    """Each line of the table in docs/DIFFERENCES.md has its test, or `-`; what it and the text below name is there."""
    text = (PROJECT / "docs" / "DIFFERENCES.md").read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert lines[0] == ["what", "chroot", "pyroot", "why", "test"]
    named = r"`test_\w+\.py(::test_\w+)?`"
    wrong = [line[0] for line in lines[1:] if len(line) < 5 or not re.fullmatch(rf"-|{named}(, {named})*", line[-1])]
    assert not wrong
    assert [line[-1] for line in lines].count("-") <= 5
    missing = []
    for file, name in re.findall(r"`(?:tests/)?(test_\w+\.py)(?:::(test_\w+))?`", text):
        path = PROJECT / "tests" / file
        if not path.exists() or (name and not re.search(rf"^def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE)):
            missing.append(f"{file}::{name}")
    assert not missing


def test_shell_scripts_parse() -> None:
    for script in (".ci/run", "scripts/dev"):
        assert subprocess.run(["bash", "-n", PROJECT / script], check=False).returncode == 0
