"""What is installed, and how the `pyroot` command finds it.

The first tests look at the installation that the suite runs against; the others build a wheel and install it in the
ways that installers have.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import pyroot
from tests.as_user import identity

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = Path(pyroot.__file__).resolve().parent
COMMAND = Path(sysconfig.get_path("scripts")) / "pyroot"

needs_source = pytest.mark.skipif(not (PROJECT / "setup.py").exists(), reason="no source tree here")
needs_command = pytest.mark.skipif(not COMMAND.exists(), reason="pyroot is not installed for this interpreter")


def output(*words: str | Path, env: dict[str, str] | None = None, cwd: str | Path = "/") -> str:
    """Run a command; return what it writes, with a trace of everything when it fails."""
    found = subprocess.run(words, capture_output=True, text=True, check=False, env=env, cwd=cwd)
    assert found.returncode == 0, f"{words}\n{found.stdout}{found.stderr}"
    return found.stdout


# ------------------------------------------------------------------------------------------------ this installation


def test_the_version_is_written_in_one_place() -> None:
    try:
        installed = importlib.metadata.version("pyroot-chroot")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pyroot is not installed for this interpreter")
    assert installed == pyroot.__version__


@needs_command
def test_installed_package_has_all_its_parts() -> None:
    if (PACKAGE.parent / "setup.py").exists():
        pytest.skip("this is a source tree")
    assert (PACKAGE / ("_fast" + sysconfig.get_config_var("EXT_SUFFIX"))).exists()
    assert os.access(PACKAGE / "guest" / "loader-x86_64", os.X_OK)
    assert (PACKAGE / "bind" / "recommended.bind").exists()
    assert (PACKAGE / "py.typed").exists()
    assert not (PACKAGE / "_fast").exists(), "a directory of this name could be taken for the core"


@needs_command
@pytest.mark.parametrize("how", ["path", "symlink", "chain", "PATH", "odd argv[0]"])
def test_command_finds_its_package(how: str, tmp_path: Path) -> None:
    """However the command is called, it finds the package that was installed with it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "first").symlink_to(COMMAND)
    (tmp_path / "bin" / "second").symlink_to("../first")
    expected = f"pyroot {pyroot.__version__}"
    words: list[str | Path] = [COMMAND]
    options: dict[str, str] = {}
    if how == "symlink":
        words = [tmp_path / "first"]
    elif how == "chain":
        words = [tmp_path / "bin" / "second"]
    elif how == "PATH":
        words, options = ["/bin/sh", "-c", "second -V"], {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    elif how == "odd argv[0]":
        script = "import os, sys; os.execv(sys.argv[1], ['nothing that exists', '-V'])"
        words = [sys.executable, "-c", script, COMMAND]
    if words[0] in (COMMAND, tmp_path / "first", tmp_path / "bin" / "second"):
        words.append("-V")
    assert expected in output(*words, env=options)


@needs_command
def test_command_ignores_python_settings_of_the_user(tmp_path: Path) -> None:
    """PYTHON* variables and files in the current directory are for the guest's programs, not for pyroot."""
    (tmp_path / "pyroot").mkdir()
    for name in ("pyroot/__init__.py", "errno.py", "ptrace.py"):
        (tmp_path / name).write_text("raise SystemExit(99)\n")
    settings = {"PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "errno.py"), "PYTHONSAFEPATH": "1"}
    assert pyroot.__version__ in output(COMMAND, "-V", env=settings, cwd=tmp_path)
    assert pyroot.__version__ in output(COMMAND, "-V", env={}, cwd=tmp_path)


@needs_command
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHON_VERSION": "3", "PYTHON": "x"},
        {"PYTHONPATH": "/nowhere"},
        {"LC_CTYPE": "C"},
        {"LC_CTYPE": "C", "PYTHONUTF8": "0"},
        {"LC_CTYPE": "C.UTF-8", "PYTHONUTF8": "0"},
    ],
)
def test_guest_gets_the_environment_of_the_command(settings: dict[str, str]) -> None:
    """What the interpreter adds for itself is not passed on, and one alone is started: by the command, which is a program."""
    given = {"PATH": "/usr/bin:/bin", "PWD": "/", **settings}
    words = [COMMAND, "-r", "/", "-w", "/", "env", "-0"]
    found = subprocess.run(words, capture_output=True, text=True, check=True, env=given, cwd="/", **identity())
    assert sorted(found.stdout.split("\0")[:-1]) == sorted(f"{name}={value}" for name, value in given.items())
    if strace := shutil.which("strace"):
        trace = [strace, "-e", "trace=execve", "-qq", COMMAND, "-V"]
        calls = subprocess.run(trace, capture_output=True, text=True, check=True, env=given, cwd="/", **identity()).stderr
        assert calls.count(" = 0\n") == 2, calls


def test_dependencies_are_found_without_site_at_the_start() -> None:
    """`site` runs when a verb imports something that lies elsewhere than pyroot, and only then."""
    script = (
        "import sys\n"
        f"sys.path.insert(0, {str(PACKAGE.parent)!r})\n"
        "import pyroot._start\n"
        "del sys.path[0]\n"
        "sys.meta_path.append(pyroot._start.SiteOnDemand())\n"
        "assert 'site' not in sys.modules\n"
        "import ptrace\n"
        "assert 'site' in sys.modules\n"
        "try:\n"
        "    import a_module_that_nobody_has\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error.name)\n"
    )
    assert output(sys.executable, "-IS", "-c", script) == "a_module_that_nobody_has\n"


# ------------------------------------------------------------------------------------------------ a wheel, installed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel from a copy of the source tree, with the build tools of this interpreter."""
    for module in ("Cython", "setuptools", "pip"):
        pytest.importorskip(module)
    base = tmp_path_factory.mktemp("wheel")
    source = base / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    for name in ("pyroot", "bind", "scripts", "docs"):
        skipped = shutil.ignore_patterns("*.so", "__pycache__", "loader-x86_64", "loader-i386*")
        shutil.copytree(PROJECT / name, source / name, ignore=skipped)
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    output(sys.executable, "-m", "pip", "wheel", "-q", *offline, "-w", base, source)
    [path] = base.glob("pyroot_chroot-*.whl")
    return Path(path)


@needs_source
@pytest.mark.timeout(600)
def test_wheel_holds_every_part_with_its_mode(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert wheel.name.endswith("-linux_x86_64.whl")
    assert f"pyroot/_fast{suffix}" in modes
    assert modes["pyroot/guest/loader-x86_64"] == 0o755
    assert modes.get("pyroot/guest/loader-i386", 0o755) == 0o755
    for name in ("pyroot", "pyroot-start"):
        [command] = [path for path in modes if path.endswith(f".data/scripts/{name}")]
        assert modes[command] & 0o111
    presets = {path.name for path in (PROJECT / "bind").glob("*.bind")}
    assert presets == {Path(name).name for name in modes if name.startswith("pyroot/bind/")}
    assert not [name for name in modes if name.endswith((".c", ".pyx", ".pxi")) or "test_" in name or "tests/" in name]
    completions = ("bash-completion/completions/pyroot", "zsh/site-functions/_pyroot", "fish/vendor_completions.d/pyroot.fish")
    for shared in ("man/man1/pyroot.1", *completions):
        assert [name for name in modes if name.endswith(f".data/data/share/{shared}")], shared
    with zipfile.ZipFile(wheel) as archive:
        [points] = [name for name in modes if name.endswith(".dist-info/entry_points.txt")]
        assert "[pytest11]\npyroot = pyroot.suite.plugin" in archive.read(points).decode()
    modules = {str(path.relative_to(PROJECT)) for path in (PROJECT / "pyroot").rglob("*.py")}
    for folder in ("pyroot/_fast", "pyroot/guest"):
        modules = {name for name in modules if not name.startswith(folder + "/")}
    assert modules <= set(modes), "a package without __init__.py is left out of the wheel"


@needs_source
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sdist_builds_in_a_clean_environment(tmp_path: Path) -> None:
    """An installer has the sdist, an index and nothing else. Needs the package index that pip uses."""
    source = tmp_path / "source"
    skipped = shutil.ignore_patterns("*.so", "__pycache__", "loader-x86_64", "loader-i386*", ".git", ".venv", "build", "dist")
    shutil.copytree(PROJECT, source, ignore=skipped)
    output(sys.executable, "-c", f"from setuptools import build_meta as b; b.build_sdist({str(tmp_path)!r})", cwd=source)
    [sdist] = tmp_path.glob("pyroot_chroot-*.tar.gz")
    venv.create(tmp_path / "clean", with_pip=True)
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    output(tmp_path / "clean/bin/pip", "-q", "install", "--no-deps", sdist, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **pip})
    assert f"pyroot {pyroot.__version__}" in output(tmp_path / "clean/bin/pyroot", "-V", env={})


@needs_source
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scheme", ["venv", "target", "prefix", "user"])
def test_command_works_however_it_was_installed(scheme: str, wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / ("home" if scheme == "venv" else "a home")  # pip writes `#!` lines as they are
    python = sys.executable
    command = {
        "venv": home / "bin" / "pyroot",
        "target": home / "bin" / "pyroot",
        "user": home / ".local" / "bin" / "pyroot",
    }.get(scheme)
    base = os.path.realpath(sys.executable)
    options: list[str | Path] = []
    if scheme == "venv":
        venv.create(home, with_pip=False)
        base = str(home)
    elif scheme == "user":
        options = ["--user"]
    else:
        options = [f"--{scheme}", home]
    words: list[str | Path] = [python, "-m", "pip", "-q", "--python", base]
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    environment |= {"PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_NO_WARN_SCRIPT_LOCATION": "1"}
    home.mkdir(exist_ok=True)
    output(*words, "install", "--no-deps", "--no-index", *options, wheel, env=environment)
    if command is None:  # Debian's Python puts local/ between
        [command] = home.rglob("bin/pyroot")
    (tmp_path / "link").symlink_to(command)
    for settings in ({}, {"PYTHONPATH": "/nowhere"}):
        assert f"pyroot {pyroot.__version__}" in output(command, "-V", env=settings)
        assert f"pyroot {pyroot.__version__}" in output(tmp_path / "link", "-V", env=settings)


@needs_source
@pytest.mark.timeout(600)
def test_command_of_a_package_elsewhere_asks_site(wheel: Path, tmp_path: Path) -> None:
    """An editable install leaves the package where it is and names the place in a .pth file."""
    home = tmp_path / "home"
    venv.create(home, with_pip=False)
    [site] = home.glob("lib/*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "tree")
    (site / "editable.pth").write_text(f"{tmp_path}/tree\n")
    command = home / "bin" / "pyroot"
    [first] = tmp_path.glob("tree/*.data/scripts/pyroot")
    shutil.copy(first, command)
    command.chmod(0o755)
    script = first.with_name("pyroot-start").read_text()
    (home / "bin" / "pyroot-start").write_text(script.replace("#!python\n", f"#!{home}/bin/python\n"))
    shadow = tmp_path / "shadow" / "pyroot"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise SystemExit(99)\n")
    for settings in ({}, {"PYTHONPATH": str(shadow.parent)}):
        assert f"pyroot {pyroot.__version__}" in output(command, "-V", env=settings, cwd=shadow.parent)


@needs_source
@pytest.mark.timeout(600)
def test_command_without_its_package_says_so(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".data/scripts/pyroot-start")]
        script = archive.read(name)
    assert script.startswith(b"#!python\n"), "what installers replace"
    (tmp_path / "pyroot-start").write_bytes(script)
    bare = os.path.realpath(sys.executable)  # the environment of the tests has the package
    words = [bare, "-IS", tmp_path / "pyroot-start", "-V"]
    found = subprocess.run(words, capture_output=True, text=True, env={"PATH": "/x"}, cwd="/", check=False)
    assert found.returncode == 125
    assert found.stderr.startswith(f"pyroot: the package pyroot: not found by {bare}\n  hint: ")
