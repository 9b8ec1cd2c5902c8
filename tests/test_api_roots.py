"""`pyroot.Rootfs`: what verbs do, as methods that give typed values; and what docs/PYTHON.md says about the API."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyroot
from pyroot import api, records, usage
from tests.helpers import PROJECT, marked, wait_until

pytestmark = pytest.mark.not_root

PAGE = Path(PROJECT, "docs/PYTHON.md")
ENVIRONMENT = {"PATH": "/bin"}


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for commands where an ordinary user may look."""
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")


@pytest.fixture
def root(busybox_root: str) -> pyroot.Rootfs:
    return pyroot.Rootfs(busybox_root)


def test_runs_have_the_options_of_the_root(busybox_root: str, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1\n")
    (tmp_path / "two").write_text("2\n")
    root = pyroot.Rootfs(Path(busybox_root), binds=[(tmp_path / "one", "/one")], user="0")
    done = root.run(["sh", "-c", "id -u; cat /one /two"], binds={tmp_path / "two": "/two"}, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n1\n2\n"
    assert root.run(["id", "-u"], user="7", capture_output=True, text=True).stdout == "7\n"
    with root.popen(["cat", "/one"], stdout=subprocess.PIPE) as process:
        assert process.communicate()[0] == b"1\n"
    assert repr(root) == f"Rootfs({busybox_root!r}, binds={[(tmp_path / 'one', '/one')]!r}, user='0')"
    assert os.fspath(root) == busybox_root


def test_root_that_is_none_has_a_hint(tmp_path: Path) -> None:
    with pytest.raises(pyroot.PyrootError) as error:
        pyroot.Rootfs(tmp_path / "none")
    assert error.value.hint


def test_doctor_gives_findings(root: pyroot.Rootfs, tmp_path: Path) -> None:
    findings = root.doctor("no-such-program", start=False)
    [missing] = [one for one in findings if one.severity == "error"]
    assert isinstance(missing, records.Finding)
    assert "no-such-program" in missing.path + missing.what
    assert missing.why
    with pytest.raises(pyroot.PyrootError, match="none") as error:
        pyroot.Rootfs(tmp_path, binds=["/none:/x"]).doctor()
    assert error.value.hint


def test_copy_brings_programs(tmp_path: Path) -> None:
    root = pyroot.Rootfs(tmp_path)
    planned = root.copy("/bin/ls", dry_run=True)
    assert not list(tmp_path.iterdir())
    done = root.copy("/bin/ls")
    assert [one.path for one in done] == [one.path for one in planned]
    assert {one.action for one in done} == {"copy"}
    assert {one.action for one in root.copy("/bin/ls")} == {"same"}
    assert root.run(["/bin/ls", "/bin"], capture_output=True, text=True, check=True).stdout == "ls\n"
    with pytest.raises(pyroot.PyrootError, match="no-such-program") as error:
        root.copy("no-such-program")
    assert error.value.hint


def test_snapshot_gives_entries(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    os.symlink(b"odd\xff", tmp_path / "link")
    entries = {entry.path: entry for entry in pyroot.Rootfs(tmp_path).snapshot()}
    assert set(entries) == {b"/", b"/file", b"/link"}
    assert (entries[b"/file"].size, len(entries[b"/file"].sha256), entries[b"/link"].target) == (1, 64, b"odd\xff")
    assert pyroot.Rootfs(tmp_path).snapshot(content=False)[1].sha256 == ""


def test_sessions_are_those_of_the_root(root: pyroot.Rootfs, tmp_path: Path) -> None:
    with root.popen(["sleep", "1000"], binds=[(tmp_path, "/shown")]) as process:
        wait_until(lambda: any(one.processes for one in root.sessions()), what="the session is seen")
        [session] = [one for one in root.sessions() if one.pid == process.pid]
        assert session.processes[0].command == ("sleep", "1000")
        assert (str(tmp_path), "/shown") in session.bindings
        assert pyroot.Rootfs(tmp_path).sessions() == []
        process.kill()
    assert process.pid not in [one.pid for one in root.sessions()]


# --- traces


def test_trace_gives_records(root: pyroot.Rootfs) -> None:
    trace = root.trace(["sh", "-c", "cat /none; kill -9 $$"], stderr=subprocess.DEVNULL)
    found = list(trace)
    calls = [one for one in found if isinstance(one, records.Syscall)]
    [failed] = [one for one in calls if one.args[:1] == ('"/none"',) or '"/none"' in one.args and one.error]
    assert (failed.result, failed.error) == (-1, "ENOENT")
    assert failed.duration is not None
    assert abs(failed.time - time.time()) < 1000
    assert [type(one) for one in found if not isinstance(one, (records.Syscall, records.Signal))].count(records.Killed) == 1
    assert any(isinstance(one, records.Exited) and one.status == 1 for one in found)
    assert trace.returncode is not None
    assert list(trace) == []


def test_trace_takes_expressions_and_gives_the_command_its_own_output(root: pyroot.Rootfs) -> None:
    trace = root.trace(["sh", "-c", "cd /etc; echo x; ls /proc/self/fd 2>/dev/null"], expressions=["trace=chdir"], stdout=subprocess.PIPE)
    assert [(one.call, one.args) for one in trace if isinstance(one, records.Syscall)] == [("chdir", ('"/etc"',))]
    assert trace.process.stdout is not None
    with trace.process.stdout as stdout:
        assert stdout.read() == b"x\n"


def test_trace_of_a_start_that_fails_raises(root: pyroot.Rootfs) -> None:
    with pytest.raises(pyroot.PyrootError, match="no-such-program"):
        list(root.trace(["no-such-program"]))
    with pytest.raises(pyroot.PyrootError, match="nonsense") as error:
        list(root.trace(["true"], expressions=["trace=nonsense"]))
    assert error.value.hint


def test_trace_that_is_left_leaves_nothing(root: pyroot.Rootfs) -> None:
    mark = f"orphan-{os.getpid()}-trace"
    before = set(os.listdir("/proc/self/fd"))
    with root.trace(["sh", "-c", "sleep 1000 & sleep 1000"], env={**ENVIRONMENT, "MARK": mark}) as trace:
        assert isinstance(next(trace), (records.Syscall, records.Attached))
    wait_until(lambda: not marked(mark), what="all processes of the guest have ended")
    assert set(os.listdir("/proc/self/fd")) == before


def test_overlay_is_thrown_away(root: pyroot.Rootfs) -> None:
    if "overlay_root" not in api.KEYWORDS:
        with pytest.raises(pyroot.PyrootError) as error, root.overlay():
            pass
        assert error.value.hint
        return
    with root.overlay() as view:
        view.run(["sh", "-c", "echo x > /etc/new; mkdir -m 0 /closed; rm /bin/ls"], check=True)
        assert view.run(["cat", "/etc/new"], capture_output=True).stdout == b"x\n"
        assert view.run(["test", "-e", "/bin/ls"]).returncode == 1
        place = view.options["overlay_root"]
    assert not os.path.exists(place)
    assert not os.path.exists(f"{root.path}/etc/new")
    assert os.path.lexists(f"{root.path}/bin/ls")


# --- the page


def examples() -> list[str]:
    return re.findall(r"(?ms)^```python\n(.*?)^```", PAGE.read_text("utf-8")) if PAGE.exists() else []


def test_page_has_the_tables_of_the_code() -> None:
    if not PAGE.exists():
        pytest.skip("no source tree here")
    assert PAGE.read_text("utf-8") == usage.api_page(PAGE.read_text("utf-8")), "run python docs/man/generate.py"


def test_page_names_every_method() -> None:
    if not PAGE.exists():
        pytest.skip("no source tree here")
    text = PAGE.read_text("utf-8")
    methods = [name for name, one in vars(pyroot.Rootfs).items() if not name.startswith("_") and callable(one)]
    assert [name for name in methods if f"`{name}" not in text] == []
    assert [name for name in records.__dict__ if name in map(str, records._KINDS.values()) and name not in text] == []
    assert [name for name in pyroot.__all__ if not name.startswith("_") and name not in text] == []


@pytest.fixture
def place(busybox_root: str, tmp_path: Path) -> Iterator[Path]:
    """Make a directory with ./rootfs and ./project."""
    os.symlink(busybox_root, tmp_path / "rootfs")
    (tmp_path / "project").mkdir()
    yield tmp_path


@pytest.mark.parametrize("number", range(len(examples())))
def test_example_of_the_page_works(number: int, place: Path) -> None:
    done = subprocess.run([sys.executable, "-c", examples()[number]], cwd=place, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "") or done.returncode == 0, done.stderr
