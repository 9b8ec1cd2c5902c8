"""The pytest plugin: a session, or a test, in a root gives what it gives elsewhere, and does not outlive its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyroot.suite import host
from pyroot.suite import words as options
from tests.helpers import PROJECT, marked, wait_until
from tests.rootfs_fixtures import directory_for_user, remove

pytestmark = [pytest.mark.not_root, pytest.mark.timeout(300)]

SUITE = '''
import os, sys, warnings
import pytest

@pytest.fixture(scope="module")
def wide():
    print("set up")
    yield 1
    print("torn down")

def test_where(wide, record_property):
    record_property("key", "value")
    print("in", sorted(os.listdir("/etc")))
    assert os.path.exists("/etc/of-the-root") and not os.path.exists("/usr/share")

def test_fails(capsys):
    print("captured", file=sys.stderr)
    assert [1, 2] == [1, 3]

@pytest.mark.skip(reason="because")
def test_skipped():
    pass

@pytest.mark.xfail
def test_expected():
    assert 0

def test_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text("y")
    warnings.warn("a warning")
'''


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """Make an almost empty root."""
    top = Path(directory_for_user())
    for name in ("etc", "tmp"):
        (top / name).mkdir()
    (top / "etc/of-the-root").write_text("")
    yield top
    remove(str(top))


@pytest.fixture
def place() -> Iterator[Path]:
    """Make a project with a suite, not below the directory in which the session inside has its own temporary files."""
    top = Path(directory_for_user())
    (top / "project").mkdir()
    (top / "project/pytest.ini").write_text("[pytest]\naddopts = -p no:asyncio -p no:rerunfailures\n")
    (top / "project/test_it.py").write_text(SUITE)
    yield top / "project"
    remove(str(top))


def run(place: Path, *words: str | Path, **more: str) -> tuple[int, str, str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **more}
    environment.pop("PYTEST_ADDOPTS", None)
    environment |= {name: more[name] for name in more}
    done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=place, capture_output=True, text=True, env=environment, check=False)
    return done.returncode, done.stdout, done.stderr


def plain(text: str) -> str:
    """Take what differs from run to run out of an output."""
    text = re.sub(r"0x[0-9a-f]+", "ADDRESS", text)
    text = re.sub(r"in \d+\.\d+s( \(.*?\))?", "in TIME", text)
    return re.sub(r'(time|timestamp|hostname)="[^"]*"', r"\1", re.sub(r"(?m)^plugins: .*\n|^=+ | =+$", "", text))


def test_session_in_a_root_is_like_any_other(place: Path, root: Path) -> None:
    """The same suite natively, but for the one test that looks where it is."""
    status, output, errors = run(place, "--pyroot", root, "--junit-xml=report.xml", "-rA")
    assert (status, errors) == (1, ""), output + errors
    report = (place / "report.xml").read_text()
    (place / "test_it.py").write_text(SUITE.replace('assert os.path.exists("/etc/of-the-root")', "assert True or 1").replace(
        '"in", sorted(os.listdir("/etc"))', '"in", ["of-the-root", "resolv.conf"]').replace('and not os.path.exists("/usr/share")', ""))
    native, expected, errors = run(place, "--junit-xml=report.xml", "-rA")
    assert (native, errors) == (1, "")
    assert "1 failed, 2 passed, 1 skipped, 1 xfailed, 2 warnings" in output  # one is about record_property and --junit-xml
    shown = re.sub(r"in \[[^]]*'of-the-root'.*\]", "in ['of-the-root', 'resolv.conf']", output)
    assert plain(shown) == plain(expected)
    assert 'name="key" value="value"' in report
    assert plain(report).count("<testcase") == plain((place / "report.xml").read_text()).count("<testcase") == 5


def test_options_in_files_and_variables_count(place: Path, root: Path) -> None:
    (place / "pytest.ini").write_text(f"[pytest]\naddopts = -q --pyroot={root} -p no:asyncio -p no:rerunfailures\n")
    assert run(place, "-k", "where")[0] == 0
    (place / "pytest.ini").write_text("[pytest]\naddopts = -p no:asyncio -p no:rerunfailures\n")
    assert run(place, "-k", "where", PYTEST_ADDOPTS=f"--pyroot {root} -q")[0] == 0
    status, output, _errors = run(place, "-k", "where")
    assert (status, "1 failed" in output) == (1, True), "without the option it is not in the root"


def test_help_is_answered_here(place: Path, root: Path) -> None:
    status, output, _errors = run(place, "--pyroot", root, "--help")
    assert status == 0
    assert "--pyroot-python=PROGRAM" in output
    assert "guest_factory" in run(place, "--fixtures")[1]


def test_exit_statuses(place: Path, root: Path) -> None:
    assert run(place, "--pyroot", root, "-k", "nothing")[0] == 5
    assert run(place, "--pyroot", root, "--no-such-option")[0] == 4
    for words, what in (
        (["--pyroot", place / "none"], "not a directory"),
        (["--pyroot", root, "--pyroot-python", "python3"], "python3"),
        (["--pyroot", root, "--pyroot-bind", "/none:/x", "--pyroot-python", "python3"], "/none"),
    ):
        status, output, errors = run(place, *words)
        assert (status, output) == (4, ""), output
        assert errors.startswith("ERROR: --pyroot")
        assert what in errors
        assert len(errors.splitlines()) == 2
        assert "hint: " in errors


def test_root_without_pytest_is_one_line(place: Path, root: Path) -> None:
    """A Python that is shown there without its packages."""
    plain_python = os.path.realpath(sys.executable)
    binds = [word for one in host.python_binds(str(root)) for word in ("--pyroot-bind", one.word()) if sys.prefix not in one.word()]
    if sys.prefix == sys.base_prefix:
        pytest.skip("this Python is no virtual environment")
    status, _output, errors = run(place, "--pyroot", root, *binds, "--pyroot-python", plain_python)
    if status == 1:
        pytest.skip("the system's Python has pytest")
    assert (status, "has no pytest" in errors, "hint: install pytest" in errors) == (4, True, True), errors


def test_user_binds_and_options(place: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "shown").write_text("")
    (place / "test_it.py").write_text("import os\ndef test_it():\n    assert os.getuid() == 0\n    assert os.path.exists('/shown/x y')\n"
                                      "    assert os.uname().nodename == 'other'\n")  # fmt: skip
    words = ["--pyroot", root, "--pyroot-user=0", f"--pyroot-bind={tmp_path}/shown:/shown/x y", "--pyroot-options", "--hostname other"]
    status, output, errors = run(place, *words)
    assert status == 0, output + errors


def test_report_outside_of_the_project_comes_back(place: Path, root: Path, tmp_path: Path) -> None:
    run(place, "--pyroot", root, f"--junit-xml={tmp_path}/new/report.xml")
    assert "test_fails" in (tmp_path / "new/report.xml").read_text()


def test_xdist_and_coverage(place: Path, root: Path) -> None:
    for module in ("xdist", "pytest_cov"):
        pytest.importorskip(module)
    status, output, errors = run(place, "--pyroot", root, "-n", "2", "--cov=.", "--cov-report=term-missing")
    assert status == 1, output + errors
    assert "1 failed, 2 passed, 1 skipped, 1 xfailed, 1 warning" in output
    assert re.search(r"test_it\.py +\d+ +\d+ +\d+%", output)
    assert (place / ".coverage").exists()


def test_time_out_of_a_test_is_one_and_leaves_no_orphan(place: Path, root: Path) -> None:
    mark = f"orphan-{os.getpid()}-suite"
    (place / "test_it.py").write_text("import subprocess, sys\ndef test_it():\n    words = [sys.executable, '-c', 'input()']\n"
                                      "    subprocess.run(words, stdin=subprocess.Popen(words, stdout=-1, stdin=-1).stdout)\n")  # fmt: skip
    status, output, _errors = run(place, "--pyroot", root, "--timeout=2", MARK=mark)
    assert (status, "Timeout" in output) == (1, True), output
    wait_until(lambda: not marked(mark), what="all processes of the session have ended")


@pytest.mark.parametrize("whom", ["process", "group"])
def test_interrupt_ends_the_session_as_ever(place: Path, root: Path, whom: str) -> None:
    mark = f"orphan-{os.getpid()}-suite-{whom}"
    (place / "test_it.py").write_text("import os, sys, time\ndef test_it():\n    os.write(1, b'ready\\n')\n    time.sleep(1000)\n")
    words = [sys.executable, "-m", "pytest", "-s", "--pyroot", root]
    process = subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                               env={**os.environ, "MARK": mark})  # fmt: skip
    assert process.stdout is not None
    with process.stdout as stdout:
        while "ready" not in stdout.readline():
            assert process.poll() is None
        (os.kill if whom == "process" else os.killpg)(process.pid, signal.SIGINT)
        assert "KeyboardInterrupt" in stdout.read()
    assert process.wait(60) == 2
    wait_until(lambda: not marked(mark), what="all processes of the session have ended")


def test_breakpoint_talks_to_the_terminal(place: Path, root: Path) -> None:
    (place / "test_it.py").write_text("def test_it():\n    answer = 6\n    breakpoint()\n    assert answer == 7\n")
    done = subprocess.run([sys.executable, "-m", "pytest", "--pyroot", root], cwd=place, capture_output=True, text=True,
                          input="answer = 7\nc\n", check=False)  # fmt: skip
    assert (done.returncode, "(Pdb)" in done.stdout) == (0, True), done.stdout


def test_words_of_ours_are_taken_out() -> None:
    given = ["-x", "--pyroot", "A", "--pyroot=B", "--pyroot-bind", "c:d", "--pyroot-user=e", "--pyroot-options", "-0"]
    given.append("t.py::t[--pyroot]")
    assert options.without_ours(given) == ["-x", "t.py::t[--pyroot]"]


# --- what a root is shown of this Python


def test_interpreter_and_imports_are_shown() -> None:
    places = host.python_places()
    assert all(os.path.exists(path) for path in places)
    for path in (os.path.realpath(sys.executable), pytest.__file__, os.__file__, host.__file__):
        assert any(path == one or path.startswith(one + "/") for one in places), path
    assert not {"/", "/usr", "/usr/lib", "/usr/bin"} & set(places)


def test_project_that_is_imported_from_stays_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project/src").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "project"), str(tmp_path / "project/src"), str(tmp_path / "other"), *sys.path])
    assert [path for path in host.python_places([str(tmp_path / "project")]) if path.startswith(str(tmp_path))] == [str(tmp_path / "other")]


def test_root_with_an_older_c_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyroot.elf.versions import Versions, read_versions
    from pyroot.errors import PyrootError

    libraries = host.libraries(str(tmp_path), [])
    libc = next(path for path in libraries if os.path.basename(path) == "libc.so.6")
    (tmp_path / libc[1:]).parent.mkdir(parents=True)
    (tmp_path / libc[1:]).write_bytes(Path(libc).read_bytes())
    assert libc not in host.libraries(str(tmp_path), [])

    def older(path: str | bytes) -> Versions:
        found = read_versions(path)
        return Versions(offers=frozenset([b"GLIBC_2.2.5"])) if os.fsencode(path).startswith(os.fsencode(tmp_path)) else found

    monkeypatch.setattr(host, "read_versions", older)
    with pytest.raises(PyrootError, match="libc.so.6") as error:
        host.libraries(str(tmp_path), [])
    assert "--pyroot-python" in error.value.hint


# --- single tests


def test_marked_test_runs_in_its_root(place: Path, root: Path) -> None:
    suite = SUITE.replace("def test_where", f"@pytest.mark.pyroot(rootfs={str(root)!r})\ndef test_where").replace(
        "def test_fails", f"@pytest.mark.pyroot({str(root)!r})\ndef test_fails")
    (place / "test_it.py").write_text(suite)
    (place / "test_next.py").write_text("import os\ndef test_here():\n    assert os.path.exists('/usr/share')\n")
    (place / "pytest.ini").write_text("[pytest]\naddopts = -p no:asyncio -p no:rerunfailures --strict-markers -ra --ff -v\n")
    status, output, errors = run(place, "-rA", "--junit-xml=report.xml")
    assert (status, errors) == (1, ""), output + errors
    assert "1 failed, 3 passed, 1 skipped, 1 xfailed, 1 warning" in output
    assert "set up" in output
    assert "torn down" in output
    assert "At index 1 diff: 2 != 3" in output
    assert "captured" in output
    assert 'name="key" value="value"' in (place / "report.xml").read_text()
    assert "1 failed, 5 deselected" in run(place, "--lf", "-p", "no:randomly")[1].replace("1 failed in", "1 failed, 5 deselected in")


def test_marked_test_with_the_roots_own_python(place: Path, root: Path) -> None:
    """The root's Python is this one here, shown by hand."""
    binds = [one.word() for one in host.python_binds(str(root))]
    (place / "test_it.py").write_text(
        f"import os, pytest\n@pytest.mark.pyroot({str(root)!r}, python={sys.executable!r}, binds={binds!r})\ndef test_it(pytestconfig):\n"
        "    assert os.path.exists('/etc/of-the-root')\n    assert pytestconfig.pluginmanager.has_plugin('pyroot_inner')\n"
    )
    status, output, errors = run(place)
    assert (status, "1 passed" in output) == (0, True), output + errors


def test_marked_test_that_cannot_run_fails_by_name(place: Path, root: Path) -> None:
    (place / "test_it.py").write_text(f"""
import os, pytest
@pytest.mark.pyroot(rootfs="/none")
def test_no_root():
    pass
@pytest.mark.pyroot
def test_no_name():
    pass
@pytest.mark.pyroot(rootfs={str(root)!r})
def test_ends():
    os._exit(3)
@pytest.mark.pyroot(rootfs={str(root)!r}, python="python3")
def test_no_python():
    pass
@pytest.mark.pyroot(rootfs={str(root)!r}, user="0")
def test_user():
    assert os.getuid() == 0
""")
    status, output, _errors = run(place)
    assert (status, "4 failed, 1 passed" in output) == (1, True), output
    for what in ("/none: not a directory", "names no root", "ended with 3", "python3"):
        assert what in output


# --- the page


def test_every_option_is_on_the_page() -> None:
    page = Path(PROJECT, "docs/SUITES.md")
    if not page.exists():
        pytest.skip("no source tree here")
    text = page.read_text("utf-8")
    assert all(f"`{name} {keywords['metavar']}`" in text for name, keywords in options.OPTIONS)


def test_examples_of_the_page_pass(place: Path, busybox_root: str) -> None:
    page = Path(PROJECT, "docs/SUITES.md")
    if not page.exists():
        pytest.skip("no source tree here")
    from pyroot import api

    os.symlink(busybox_root, place / "rootfs")
    (place / "pytest.ini").write_text("[pytest]\npyroot_rootfs = rootfs\naddopts = -p no:asyncio -p no:rerunfailures\n")
    examples = re.findall(r"(?ms)^```python\n(.*?)^```", page.read_text("utf-8"))
    assert len(examples) == 2
    (place / "test_it.py").write_text("\n".join(examples))
    status, output, errors = run(place, PATH="/bin:/usr/bin")
    if "overlay_root" in api.KEYWORDS:
        assert (status, "2 passed" in output) == (0, True), output + errors
    else:
        assert (status, "1 passed, 1 error" in output, "no overlays" in output) == (1, True, True), output + errors
