"""What README and docs tell people to type: every command line is one that pyroot reads, and the README's do what it says.

The walk (marker `slow`) is that of a new user: an empty home without ~/.local/bin, the source in ~/pyroot, the system's own Python. It
needs the package index that pip uses, for Cython and setuptools, and builds once. The other pages are walked in test_walk.py.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from pyroot import options
from pyroot.errors import PyrootError
from tests.as_user import PATH, identity, work_directory
from tests.images import docker_archive

TOP = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*TOP.glob("*.md"), *(TOP / "docs").glob("*.md"), *(TOP / "bind").glob("*.md")])
VERBS = {name: module for name, _arguments, _text, module in options.VERBS}
PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b|\.\.\.|…")

pytestmark = pytest.mark.skipif(not (TOP / "README.md").exists(), reason="no source tree here")


def lines_of(text: str) -> Iterator[str]:
    """List the command lines that begin with pyroot: in blocks, and between backticks."""
    for block in re.findall(r"(?ms)^```\w*\n(.*?)^```", text):
        for line in block.splitlines():
            words = line.removeprefix("$ ").rstrip("\\")
            if words.startswith("pyroot ") and not re.match(r"pyroot \d", words):
                yield words
    for line in re.findall(r"`(pyroot [^`\n]+)`", re.sub(r"(?ms)^```.*?^```", "", text)):
        yield line


def cut(line: str) -> list[str]:
    """Split a command line, up to what a shell does with it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for word in lexer:
        if word and set(word) <= set("|;&<>()"):
            break
        words.append(word)
    return words


def read(words: list[str]) -> None:
    """Read the words as pyroot would; raises PyrootError for an option that it does not know."""
    if words[0] not in VERBS:
        options.parse(words)
    elif words[0] == "trace":
        from pyroot.trace.options import parse

        parse(words[1:])
    else:
        from pyroot.verbs.words import Verb

        place = import_module(VERBS[words[0]])
        homes = [place, import_module(place.main.__module__)]
        verb = next(one for home in homes for one in vars(home).values() if isinstance(one, Verb) and one.name == words[0])
        verb.read(words[1:])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_line_is_one_that_pyroot_reads(document: Path) -> None:
    for line in lines_of(document.read_text("utf-8")):
        words = cut(line.replace("[", "").replace("]", ""))[1:]
        if not words or PLACEHOLDER.search(words[0]):
            continue
        try:
            read(words)
        except PyrootError as error:
            wants_value = "is missing" in error.message or "not a number" in error.message or "not a time" in error.message
            assert wants_value, f"{document.name}: {line}: {error.message}"


def test_readme_is_short_and_in_its_order() -> None:
    text = (TOP / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 100
    assert re.findall(r"(?m)^## (.*)", text) == ["Two commands", "What people do with it", "From Python", "Limits", "Documentation"]
    head = text.partition("\n## ")[0]
    assert all(f"{name}" in head for name in ("**pyroot**", "[proot]", "bubblewrap", "fakechroot", "docker"))


def test_no_document_names_what_does_not_exist() -> None:
    for document in [*DOCUMENTS, *(TOP / "benchmarks").glob("*.md"), TOP / "benchmarks/plot.py", TOP / "benchmarks/__main__.py"]:
        text = document.read_text("utf-8")
        assert "pyroot[" not in text, f"{document.name}: the name of another project in the package index"
        assert not re.search(r"git clone +http", text), f"{document.name}: an address"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_long_description_has_no_relative_link() -> None:
    import ast

    tree = ast.parse((TOP / "setup.py").read_text("utf-8"))
    [function] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "long_description"]
    names: dict[str, object] = {"re": re, "Path": lambda name: TOP / name}
    exec(compile(ast.Module([function], []), "setup.py", "exec"), names)
    text = names["long_description"]()  # type: ignore[operator]
    assert re.findall(r"\]\((?!https?://)", text) == []
    assert "pyroot doctor" in text


# --- the walk of a new user


def blocks(text: str) -> list[str]:
    """List the README's blocks of shell commands."""
    return re.findall(r"(?ms)^```\n(.*?)^```", text)


# What a clone does not have: at its top, and anywhere.
AT_TOP = {".git", "build", "dist", "rootfs", ".venv", ".hypothesis"}
ANYWHERE = shutil.ignore_patterns("*.egg-info", "__pycache__", "*.so", "_fast.c", "loader-*", ".*_cache")


def clone(source: Path) -> None:
    """Copy the source tree as git would."""

    def ignored(folder: str, names: list[str]) -> set[str]:
        return ANYWHERE(folder, names) | (AT_TOP if Path(folder) == TOP else set())

    shutil.copytree(TOP, source, symlinks=True, ignore=ignored)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_new_user_walks_through_the_readme() -> None:
    """Every block in the README's order, then every command of its table; nothing may fail but what is there to fail."""
    if not Path("/usr/bin/python3").exists():
        pytest.skip("no Python of the system")
    text = (TOP / "README.md").read_text("utf-8")
    with work_directory() as place:
        home = place / "home"
        source = home / "pyroot"
        clone(source)
        subprocess.run(["chmod", "-R", "a+rX", str(home)], check=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "65534:65534", str(home)], check=True)
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        environment = {"HOME": str(home), "PATH": PATH, "USER": "somebody", "TERM": "dumb", "PYTHON": "/usr/bin/python3", **pip}

        def type_in(script: str) -> subprocess.CompletedProcess[str]:
            run = ["bash", "-ec", script]
            return subprocess.run(
                run, cwd=source, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, **identity()
            )

        for block in blocks(text):
            done = type_in(block)
            assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        environment["PATH"] = f"{home}/.local/bin:{PATH}"
        (home / "src").mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(home / "src", 65534, 65534)
        type_in("tar -C rootfs -cf layer.tar .")
        image = docker_archive([(source / "layer.tar").read_bytes()], ["app:1"], Cmd=["/usr/bin/sh", "-c", "exit 0"])
        (source / "image.tar").write_bytes(image)
        table = text.partition("## What people do with it")[2].partition("## From Python")[0]
        for line in re.findall(r"`(pyroot [^`\n]+)`", table):
            words = line.replace("VERB", "doctor")
            done = type_in(words)
            expected = (0, 1) if " --why " in words or "check" in words else (0,)
            assert done.returncode in expected, f"{words}: {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
            assert "Traceback" not in done.stderr
        code = 'import pyroot; print(pyroot.run(["ls", "/"], rootfs="./pyroot/rootfs", capture_output=True, text=True).stdout)'
        # (in the source's own folder Python finds that before the installed package, and pyroot says so)
        done = type_in(f"cd && ~/.local/share/pyroot/bin/python -c {shlex.quote(code)}")
        assert "usr" in done.stdout.split(), done.stderr
