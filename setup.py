"""Build what setuptools cannot know by itself: the core, the guest's loader, the command, the presets.

Everything that is only data (name, dependencies, configuration of the tools) is in pyproject.toml.

Switches, by environment:
    PYROOT_LINETRACE=1                  line tracing in the core, for coverage and profilers
    PYROOT_ANNOTATE=1                   write build/annotate/_fast.html, which shows where the core calls into Python
    PYROOT_SANITIZE=address,undefined   compile the core with these sanitizers of the C compiler
    CC                                  the C compiler (default: the one that Python was built with, else gcc or cc)
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from glob import glob
from pathlib import Path
from types import ModuleType

import setuptools
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

from distutils.command.build_scripts import build_scripts  # isort: skip # setuptools brings it

OLDEST_SETUPTOOLS = 77  # the first one that knows licence expressions
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64"}  # what the kernel calls it -> what we call it
CORE_SOURCE = "pyroot/_fast.pyx"
CORE_PARTS = sorted(glob("pyroot/_fast/**/*.pxi", recursive=True)) + ["pyroot/_fast/tables.h"]
GUEST_HEADERS = sorted(glob("pyroot/guest/*.h"))
STORE_SOURCES = sorted(glob("pyroot/store/*.[ch]")) + sorted(glob("pyroot/layers/*.h"))
COMMAND = "scripts/pyroot.c"  # becomes `pyroot`
SECOND_HALF = "scripts/pyroot-start"  # what it starts
# What other programs read, and where they look for it below the prefix.
SHARED = {
    "share/man/man1": "docs/man/pyroot.1",
    "share/bash-completion/completions": "docs/completion/pyroot",
    "share/zsh/site-functions": "docs/completion/_pyroot",
    "share/fish/vendor_completions.d": "docs/completion/pyroot.fish",
}


def enabled(name: str) -> bool:
    """Tell whether a switch of the environment is on."""
    return os.environ.get(name, "0") not in ("", "0")


def stop(what: str, hint: str) -> None:
    """End the build with one line for people instead of a compiler's or a traceback's hundred."""
    raise SystemExit(f"pyroot: {what}\n  hint: {hint}")


def check_platform() -> str:
    """Return the architecture that we build for; refuse the ones that pyroot does not run on."""
    machine = MACHINES.get(platform.machine().lower())
    if not sys.platform.startswith("linux") or machine is None or sys.maxsize <= 2**32:
        stop(
            f"cannot be built for {sys.platform} on {platform.machine()}: it runs on 64-bit x86_64 Linux only",
            "it speaks the kernel's ptrace and seccomp interfaces; other architectures are not supported yet",
        )
    return str(machine)


def compiler() -> list[str]:
    """Return the C compiler as an argument list."""
    for text in (os.environ.get("CC"), sysconfig.get_config_var("CC"), "gcc", "cc"):
        words = shlex.split(text or "")
        if words and shutil.which(words[0]):
            return words
    stop("no C compiler found", "on Debian: apt-get install gcc libc6-dev")
    return []


def check_tools() -> None:
    """Name what is missing before a compiler complains about it in its own words."""
    compiler()
    if not any(os.path.exists(os.path.join(sysconfig.get_path(key), "Python.h")) for key in ("include", "platinclude")):
        stop(
            f"Python.h of {sys.executable} is missing",
            "on Debian: apt-get install python3-dev (or the -dev package of the Python that you use)",
        )


def guest_build() -> ModuleType:
    """Load pyroot/guest/build.py without importing the package (its core is not there yet)."""
    spec = importlib.util.spec_from_file_location("pyroot_guest_build", "pyroot/guest/build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def core() -> Extension:
    """Describe the compiled core."""
    flags = ["-O2", "-fno-strict-aliasing"]
    link: list[str] = []
    macros: list[tuple[str, str | None]] = []
    if not os.environ.get("PYROOT_SANITIZE") and not enabled("PYROOT_LINETRACE"):
        link += ["-Wl,--strip-all"]  # the symbols are four fifths of the file, and only a debugger reads them
    if sanitizers := os.environ.get("PYROOT_SANITIZE"):
        flags += [f"-fsanitize={sanitizers}", "-fno-omit-frame-pointer", "-g"]
        link += [f"-fsanitize={sanitizers}"]
    if enabled("PYROOT_LINETRACE"):
        macros += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")]
    return Extension(
        "pyroot._fast",
        [CORE_SOURCE],
        depends=CORE_PARTS + GUEST_HEADERS + STORE_SOURCES,
        include_dirs=["pyroot/guest", "pyroot/_fast", "pyroot/store", "pyroot/layers"],
        define_macros=macros,
        extra_compile_args=flags,
        extra_link_args=link,
    )


class BuildCompiled(build_ext):
    """Build the core, and the freestanding program that runs inside the guest."""

    def run(self) -> None:
        """Compile the core, then build the guest program beside it."""
        check_platform()
        check_tools()
        super().run()
        self.build_guest(Path("." if self.inplace else self.build_lib) / "pyroot" / "guest")

    def build_extension(self, ext: Extension) -> None:
        """Run Cython with the C file in the build directory, so that the source tree stays clean; then compile."""
        try:
            from Cython.Build import cythonize
        except ImportError:
            stop("Cython is missing", "install 'Cython>=3.1' (pip without --no-build-isolation brings it along)")
        generated = os.path.join(self.build_temp, "cython")
        result = os.path.join(generated, "pyroot", "_fast.c")
        newest = max(os.path.getmtime(part) for part in ext.sources + ext.depends)
        stale = os.path.exists(result) and os.path.getmtime(result) < newest
        switched = enabled("PYROOT_ANNOTATE") or enabled("PYROOT_LINETRACE")
        [translated] = cythonize(
            [ext],
            build_dir=generated,
            include_path=["."],
            annotate=enabled("PYROOT_ANNOTATE"),
            compiler_directives={"linetrace": enabled("PYROOT_LINETRACE")},
            force=self.force or stale or switched,
        )
        if enabled("PYROOT_ANNOTATE"):
            os.makedirs("build/annotate", exist_ok=True)
            shutil.copy(os.path.join(generated, "pyroot", "_fast.html"), "build/annotate")
        ext.sources = translated.sources
        super().build_extension(ext)

    def build_guest(self, directory: Path) -> None:
        """Let pyroot/guest/build.py build the loader."""
        module = guest_build()
        directory.mkdir(parents=True, exist_ok=True)
        for machine in module.MACHINES:
            try:
                Path(module.build(str(directory), shlex.join(compiler()), machine)).chmod(0o755)
            except subprocess.CalledProcessError:
                if machine == check_platform():
                    raise
                print(f"pyroot: this compiler makes no programs for {machine}: guests will not have them", file=sys.stderr)

    def get_outputs(self) -> list[str]:
        """Add the guest program to the files that this step makes."""
        outputs = list(super().get_outputs())
        if not self.inplace:
            outputs += glob(os.path.join(self.build_lib, "pyroot", "guest", "loader-*"))
        return outputs


class BuildCommand(build_scripts):
    """Copy the second half of the command with the `#!python` that installers replace, and compile the first."""

    def run(self) -> None:
        """Build both: the program lies beside the script, whose first line tells it which interpreter is meant."""
        check_platform()
        super().run()
        target = os.path.join(self.build_dir, "pyroot")
        subprocess.run([*compiler(), *guest_build().COMMAND_FLAGS, "-Ipyroot/guest", "-o", target, COMMAND], check=True)
        os.chmod(target, 0o755)

    def get_source_files(self) -> list[str]:
        """Name the program's source too."""
        return [*super().get_source_files(), COMMAND]

    def get_outputs(self) -> list[str]:
        """Add the program."""
        return [*super().get_outputs(), os.path.join(self.build_dir, "pyroot")]


class BuildPackage(build_py):
    """Copy the modules, and the presets of the top-level bind/ as pyroot/bind/."""

    def run(self) -> None:
        """Copy everything; in place (an editable install) the presets are read from the source tree."""
        super().run()
        if not self.editable_mode:
            for source, target in self.presets():
                self.mkpath(os.path.dirname(target))
                self.copy_file(source, target, preserve_mode=False)

    def presets(self) -> list[tuple[str, str]]:
        """Return (source, target) of each preset."""
        folder = os.path.join(self.build_lib, "pyroot", "bind")
        return [(source, os.path.join(folder, os.path.basename(source))) for source in sorted(glob("bind/*.bind"))]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Add the presets to the files that this step makes."""
        outputs = list(super().get_outputs(include_bytecode))
        return outputs if self.editable_mode else outputs + [target for _source, target in self.presets()]


def long_description() -> str:
    """Give the README without links to files of the tree, which lead nowhere in a package index."""
    return re.sub(r"\[([^\]]+)\]\((?!https?://)[^)]+\)", r"\1", Path("README.md").read_text("utf-8"))


if int(setuptools.__version__.split(".")[0]) < OLDEST_SETUPTOOLS:
    stop(
        f"setuptools {setuptools.__version__} is too old to read pyproject.toml",
        f"install 'setuptools>={OLDEST_SETUPTOOLS}' (pip without --no-build-isolation brings it along)",
    )

setup(
    long_description=long_description(),
    long_description_content_type="text/markdown",
    ext_modules=[core()],
    scripts=[SECOND_HALF],
    options={"build_scripts": {"executable": "python"}},  # `#!python`, which the installer replaces, in editable installs too
    package_dir={"": "."},  # with this an editable install is a plain path entry, not an import hook
    data_files=[(place, [source]) for place, source in SHARED.items() if os.path.exists(source)],
    cmdclass={"build_ext": BuildCompiled, "build_py": BuildPackage, "build_scripts": BuildCommand},
)
