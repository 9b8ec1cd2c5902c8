"""``make mutate``: apply each mutation to a copy of the package, build what it touches, run the tests that should notice.

What has been tried is kept in a file: a run that was stopped goes on where it was, and a row that has changed is tried again.  With
``--net WORDS`` (options of pyroot) what is asked is whether content outside was read all the same: by the ways out and the named races.
"""

from __future__ import annotations

import argparse
import fcntl
import glob
import hashlib
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING, Any

from .rows import MUTATIONS, Mutation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIRST_TEST = "tests/test_ways.py"
#: Run a module with the package of a folder before the installed one, as pytest has it.
START = """import os, runpy, sys
sys.path[:0] = [sys.argv.pop(1)]
sys.path.append(os.getcwd())
module = sys.argv.pop(1)
runpy.run_module(module, run_name="__main__", alter_sys=True)"""
COMMAND = """#!/bin/sh
exec {python} -IS -c '
import sys
sys.path.insert(0, "{tree}")
from pyroot.cli import main
sys.exit(main(sys.argv[1:]))' {net} "$@"
"""


class Tree:
    """A copy of the package that is built with as little work as can be: objects of parts that no mutation touches are kept."""

    def __init__(self, folder: str, net: str) -> None:
        self.base, self.tree, self.net = f"{folder}/base", f"{folder}/tree", net
        self.compiler = shlex.split(os.environ.get("CC", "gcc"))

    def prepare(self) -> None:
        """Build the package as it is."""
        for path in (self.base, self.tree):
            shutil.rmtree(path, ignore_errors=True)
        left_out = shutil.ignore_patterns("__pycache__", "*.so", "loader-x86_64", "loader-i386*", "*.c.gz")
        shutil.copytree(f"{PROJECT}/pyroot", f"{self.base}/pyroot", ignore=left_out)
        shutil.copytree(f"{PROJECT}/bind", f"{self.base}/bind")
        self.translate(self.base)
        self.compile(self.base)
        self.loaders(self.base, all_machines=True)

    def translate(self, tree: str) -> None:
        """Let Cython make C of the core."""
        run([sys.executable, "-m", "cython", "-3", "-I", ".", "-o", "core.c", "pyroot/_fast.pyx"], cwd=tree)

    def compile(self, tree: str) -> None:
        """Compile the core without optimisation, which takes a fifth of the time."""
        folders = sorted({os.path.dirname(name) for name in glob.glob("pyroot/**/*.h", root_dir=tree, recursive=True)})
        run([*self.compiler, "-O0", "-w", "-fPIC", "-shared", "-fno-strict-aliasing", f"-I{sysconfig.get_path('include')}",
             *(f"-I{folder}" for folder in folders), "-o", "pyroot/_fast.so", "core.c"], cwd=tree)  # fmt: skip

    def loaders(self, tree: str, *, all_machines: bool) -> None:
        """Build the guest's loader."""
        code = "import sys; sys.path.insert(0, 'pyroot/guest'); import build; build.build('pyroot/guest', *sys.argv[1:])"
        for machine in ("x86_64", "i386", "i386-nested") if all_machines else ("x86_64",):
            # (there need not be a compiler for i386)
            run([sys.executable, "-I", "-c", code, " ".join(self.compiler), machine], cwd=tree, may_fail=machine != "x86_64")

    def apply(self, one: Mutation | None) -> str:
        """Make the tree of a mutation (None: of none) and return the command that starts its pyroot."""
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(self.base, self.tree, copy_function=link_or_copy)
        if one is not None:
            self.change(one)
        run(["chmod", "-R", "a+rX", self.tree], cwd="/")
        command = f"{self.tree}/pyroot-mutated"
        with open(command, "w", encoding="utf-8") as file:
            file.write(COMMAND.format(python=shlex.quote(sys.executable), tree=self.tree, net=self.net))
        os.chmod(command, 0o755)
        return command

    def change(self, one: Mutation) -> None:
        """Put the mutation's text in, and build what depends on it."""
        path = f"{self.tree}/pyroot/{one.file}"
        with open(path, encoding="utf-8") as file:
            text = file.read()
        os.unlink(path)  # it is the base's own
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(one.old, one.new))
        if one.file.startswith("syscalls/"):
            run([sys.executable, "-I", "-c", START, self.tree, "pyroot.syscalls.generate"], cwd=self.tree)
        if one.file.endswith((".pxi", ".pyx")):
            os.unlink(f"{self.tree}/core.c")
            self.translate(self.tree)
        if not one.file.startswith("guest/") or one.file.endswith("gate.h"):
            os.unlink(f"{self.tree}/pyroot/_fast.so")
            self.compile(self.tree)
        if one.file.startswith("guest/"):
            os.unlink(f"{self.tree}/pyroot/guest/loader-x86_64")
            self.loaders(self.tree, all_machines=False)


def link_or_copy(source: str, target: str) -> str:
    """Share a file with the base: whoever changes one removes its name first."""
    os.link(source, target)
    return target


def run(words: list[str], cwd: str, may_fail: bool = False) -> None:
    """Run a step of the build; show what it says if it fails."""
    result = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode and not may_fail:
        raise SystemExit(f"{' '.join(words[:4])} ...: {result.stdout[-2000:]}{result.stderr[-2000:]}")


def started(tree: Tree, command: str, module: str, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a module of the tests with the mutated package."""
    variables = {**os.environ, "PYROOT_CMD": shlex.quote(command)}
    return subprocess.run([sys.executable, "-I", "-c", START, tree.tree, module, *words], cwd=PROJECT, env=variables, capture_output=True,
                          text=True, check=False)  # fmt: skip


# --- who notices ----------------------------------------------------------------------------------------------------------------------


def noticed(tree: Tree, command: str, tests: Sequence[str]) -> str:
    """Run tests up to the first that fails; return its name, "" if none does."""
    left_out = "not stress and not fuzz and not slow and not oracle and not lint"
    words = ["-q", "-x", "-p", "no:cacheprovider", "-rfE", "--tb=no", "-m", left_out]
    for test in tests:
        result = started(tree, command, "pytest", [*words, test])
        found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", result.stdout, re.MULTILINE)
        if found:
            return found[1]
        if result.returncode not in (0, 5):
            return f"{test}: pytest ended with {result.returncode}"
    return ""


def read_outside(tree: Tree, command: str, races: Sequence[str]) -> dict[str, Any]:
    """Try the ways out and some races; return how often content outside was read, and how often anything else was met there."""
    result = started(tree, command, "tests.mutations.count", races)
    try:
        found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"content": -1, "said": (result.stdout + result.stderr)[-500:]}
    return found


# --- what has been tried --------------------------------------------------------------------------------------------------------------


class State:
    """The results, and the file that they are kept in."""

    def __init__(self, path: str, net: str) -> None:
        self.path, self.net = path, net
        try:
            with open(path, encoding="utf-8") as file:
                self.all: dict[str, dict[str, Any]] = json.load(file)
        except OSError:
            self.all = {}

    def key(self, one: Mutation) -> str:
        """Name a result: the same row with the same net is the same trial."""
        return hashlib.sha1(repr((one, self.net)).encode(), usedforsecurity=False).hexdigest()[:16]

    def get(self, one: Mutation) -> dict[str, Any] | None:
        """Return what came of a mutation before."""
        return self.all.get(self.key(one))

    def put(self, one: Mutation, result: dict[str, Any]) -> None:
        """Keep what came of a mutation."""
        self.all[self.key(one)] = {"name": one.name, **result}
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        with open(f"{self.path}.new", "w", encoding="utf-8") as file:
            json.dump(self.all, file, indent=1)
        os.replace(f"{self.path}.new", self.path)


def attempt(tree: Tree, one: Mutation) -> dict[str, Any]:
    """Build a mutation and find out who notices, or (with a net) what is read all the same."""
    before = processor_time()
    command = tree.apply(one)
    built = processor_time()
    result = read_outside(tree, command, one.races) if tree.net else {"noticed": noticed(tree, command, (FIRST_TEST, *one.tests))}
    return {**result, "build": round(built - before, 1), "cpu": round(processor_time() - before, 1)}


def processor_time() -> float:
    """Return the seconds of CPU time that what we have waited for has used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def is_good(result: dict[str, Any]) -> bool:
    """Tell whether a mutation was noticed, or nothing was read."""
    return bool(result["noticed"]) if "noticed" in result else result["content"] == 0


def sentence(one: Mutation, result: dict[str, Any]) -> str:
    """Say what came of a mutation."""
    if "noticed" in result:
        what = f"noticed by {result['noticed']}" if result["noticed"] else "NOTICED BY NOBODY"
    elif result["content"] < 0:
        what = f"NOT COUNTED: {result['said']}"
    else:
        what = f"content {result['content']}, other {result['other']} of {result['ran']}"
    return f"{one.name} ({one.file}): {what} [{result['cpu']} s]"


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only mutations whose name or file has one of these words")
    parser.add_argument("--net", default="", help="options of pyroot: count what is read all the same, instead of asking who notices")
    parser.add_argument("--list", action="store_true", help="print the mutations, try none")
    parser.add_argument("--none", action="store_true", help="run the tests of all of them with no mutation: they must pass")
    parser.add_argument("--fresh", action="store_true", help="forget what has been tried")
    parser.add_argument("--again", action="store_true", help="try again what was not as it should be")
    parser.add_argument("--folder", default=os.environ.get("PYROOT_MUTATIONS", f"{PROJECT}/build/mutations"), help="where to build")
    return parser.parse_args()


def main() -> int:
    """Try the mutations that are left."""
    given = arguments()
    chosen = [one for one in MUTATIONS if not given.words or any(word in f"{one.name} {one.file}" for word in given.words)]
    if given.list:
        print("\n".join(f"{one.file}: {one.name}" for one in chosen))
        return 0
    path = f"{PROJECT}/build/mutations.json"
    if given.fresh and os.path.exists(path):
        os.unlink(path)
    os.makedirs(given.folder, exist_ok=True)
    with open(f"{given.folder}/lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs would build in each other's trees
        return try_all(chosen, State(path, given.net), Tree(given.folder, given.net), given)


def try_all(chosen: list[Mutation], state: State, tree: Tree, given: argparse.Namespace) -> int:
    """Try those that are left, and say what came of all."""
    prepare: Callable[[], None] | None = tree.prepare
    if given.none:
        tree.prepare()
        failed = noticed(tree, tree.apply(None), sorted({FIRST_TEST, *(test for one in chosen for test in one.tests)}))
        print(failed or "no test fails without a mutation")
        return 1 if failed else 0
    try:
        for number, one in enumerate(chosen, 1):
            result = state.get(one)
            if result is None or (given.again and not is_good(result)):
                if prepare:
                    prepare()
                    prepare = None
                result = attempt(tree, one)
                state.put(one, result)
            print(f"{number}/{len(chosen)} {sentence(one, result)}", flush=True)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    bad = [one.name for one in chosen if not is_good(state.get(one) or {"noticed": ""})]
    print(f"{len(chosen)} mutations, {len(bad)} not as they should be" + (": " + "; ".join(bad) if bad else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
