"""Help, manual page, completions and option rows say the same: one row, four places."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyroot import options, usage
from pyroot.options import Option
from pyroot.verbs import completion, help, layout

TOP = Path(__file__).resolve().parent.parent
VERBS = [(name, module) for name, _arguments, _text, module in options.VERBS]

needs_source = pytest.mark.skipif(not (TOP / "docs/man").exists(), reason="no source tree here")


def rows(name: str, module: str) -> list[Option]:
    """List the rows of a verb that are shown."""
    return [row for row in usage.grammar_of(name, module)[1] if row.help]


def help_of(name: str, capfd: pytest.CaptureFixture[str]) -> str:
    """Give what `pyroot help VERB` prints."""
    assert help.main([name]) == 0
    return capfd.readouterr().out


def section(page: str, name: str) -> str:
    """Cut the part about one verb out of the manual page."""
    found = re.search(rf"(?ms)^\.SS pyroot {re.escape(usage.roff(name))}\b.*?(?=^\.S[SH])", page)
    assert found, f"the manual page has no section about {name}"
    return found[0]


@pytest.mark.parametrize(("name", "module"), VERBS)
def test_every_option_of_a_verb_is_told_everywhere(name: str, module: str, capfd: pytest.CaptureFixture[str]) -> None:
    told, page = help_of(name, capfd), section(usage.man_page(), name)
    scripts = {shell: text() for shell, text in completion.FILES.items()}
    [words] = re.findall(rf"^ +{name}\) words='(.*)' ;;$", scripts["pyroot"], re.MULTILINE)
    for row in rows(name, module):
        for spelling in row.names:
            assert spelling in told
            assert usage.roff(spelling) in page
            assert spelling in words.split()
            assert f"'*{spelling}" in scripts["_pyroot"]
            fish = f"-l {spelling[2:]}" if spelling.startswith("--") else f"-s {spelling[1:]}"
            lines = [line for line in scripts["pyroot.fish"].splitlines() if f"__fish_seen_subcommand_from {name}" in line]
            assert any(f" {fish} " in line or line.endswith(fish) for line in lines)
    shown = {word for row in rows(name, module) for word in row.names}
    assert set(words.split()) == shown, "nothing is completed that is no option"


def test_options_of_a_run_are_completed() -> None:
    scripts = {shell: text() for shell, text in completion.FILES.items()}
    for row in options.OPTIONS:
        for spelling in row.names:
            assert f" {spelling} " in re.sub("[']", " ", scripts["pyroot"])
            assert f"'*{spelling}" in scripts["_pyroot"]
    for name, _module in VERBS:
        assert all(re.search(rf"\b{name}\b", text) for text in scripts.values())


@pytest.mark.parametrize(("name", "module"), VERBS)
def test_every_verb_has_examples_that_it_can_read(name: str, module: str) -> None:
    examples = layout.EXAMPLES[name]
    assert examples
    page = section(usage.man_page(), name)
    for line, _what in examples:
        assert line.split()[:2] == ["pyroot", name]
        assert usage.roff(line) in page


@pytest.mark.parametrize("columns", [50, 80, 132])
@pytest.mark.parametrize("name", [name for name, _module in VERBS])
def test_help_fits_the_terminal_and_ends_with_examples(
    name: str, columns: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = help_of(name, capfd)
    lines = text.partition("\nExamples:\n")[0].splitlines()
    assert max(map(len, lines)) <= max(columns, max(len(word) for line in lines for word in line.split()) + 2)
    assert "\nExamples:\n" in text


@needs_source
@pytest.mark.parametrize("name", completion.FILES)
def test_the_files_of_the_shells_are_the_generated_ones(name: str) -> None:
    assert (TOP / "docs/completion" / name).read_text("utf-8") == completion.FILES[name](), "run python docs/man/generate.py"


CHECKS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "-n"]}


@needs_source
@pytest.mark.parametrize(("shell", "name"), [("bash", "pyroot"), ("zsh", "_pyroot"), ("fish", "pyroot.fish")])
def test_the_shells_read_them(shell: str, name: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell}")
    env = {"PATH": os.defpath, "HOME": str(tmp_path)}
    run = [*CHECKS[shell], str(TOP / "docs/completion" / name)]
    done = subprocess.run(run, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def complete(tmp_path: Path) -> Callable[..., list[str]]:
    """Ask bash what it offers after some words."""
    script = tmp_path / "pyroot"
    script.write_text(completion.bash())

    def ask(*words: str) -> list[str]:
        line = 'cd "$1"; shift; . ./pyroot; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pyroot; printf "%s\\n" "${COMPREPLY[@]}"'
        run = ["bash", "-c", line, "bash", str(tmp_path), *words]
        done = subprocess.run(run, capture_output=True, text=True, env={"PATH": os.defpath}, timeout=60, check=True)
        return [one for one in done.stdout.splitlines() if one]

    return ask


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_offers_what_fits(complete: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "rootfs").mkdir()
    assert "doctor" in complete("pyroot", "doc")
    assert complete("pyroot", "doctor", "--fi") == ["--fix"]
    assert complete("pyroot", "--kill") == ["--kill-on-exit"]
    assert complete("pyroot", "help", "che") == ["check", "checklist"]
    assert complete("pyroot", "doctor", "roo") == ["rootfs"]
    assert complete("pyroot", "-v", "") == [], "a number is not a file"
    assert "--kill-on-exit" not in complete("pyroot", "-r", "rootfs", "ls", "--")


@needs_source
@pytest.mark.parametrize("line", [["mandoc", "-T", "lint"], ["man", "--warnings", "-E", "UTF-8", "-l"]])
def test_the_manual_page_is_sound(line: list[str]) -> None:
    if not shutil.which(line[0]):
        pytest.skip(f"no {line[0]}")
    env = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANPAGER": "cat"}
    run = [*line, str(TOP / "docs/man/pyroot.1")]
    done = subprocess.run(run, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if line[0] == "mandoc":
        assert done.stdout == ""
