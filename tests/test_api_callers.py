"""The Python API beside everything else that a program does: threads, asyncio, multiprocessing, other children, signals."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import pyroot
from tests.helpers import marked, wait_until

pytestmark = pytest.mark.not_root


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for commands where an ordinary user may look."""
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")


def test_threads_run_side_by_side() -> None:
    outputs: list[bytes] = []

    def work(number: int) -> None:
        for _ in range(3):
            outputs.append(pyroot.run(["echo", str(number)], capture_output=True, check=True).stdout)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outputs) == sorted(b"%d\n" % number for number in range(8) for _ in range(3))


def test_threads_that_fork_do_not_keep_a_start_waiting() -> None:
    """A process that was forked in the middle of a start holds the pipe open; one that is killed before it has begun ends all the same."""
    stop = threading.Event()
    pids: list[int] = []

    def forks() -> None:
        while not stop.is_set():
            pid = os.fork()
            if pid == 0:
                os.execv("/bin/sleep", ["sleep", "0.2"]) if len(pids) % 2 else os._exit(0)
            pids.append(pid)
            os.waitpid(pid, 0)

    thread = threading.Thread(target=forks)
    thread.start()
    try:
        for _ in range(10):
            assert pyroot.run(["true"]).returncode == 0
            with pytest.raises(pyroot.PyrootError):
                pyroot.run(["no-such-program"])
    finally:
        stop.set()
        thread.join()
    assert pids


def test_other_children_and_sigchld_handlers_are_left_alone() -> None:
    script = """
import os, signal, subprocess, pyroot
seen = []
signal.signal(signal.SIGCHLD, lambda number, frame: seen.append(number))
other = subprocess.Popen(["sh", "-c", "read x; exit 7"], stdin=subprocess.PIPE)
assert pyroot.run(["sh", "-c", "exit 3"]).returncode == 3
assert other.poll() is None and seen
other.communicate(b"\\n")
assert other.returncode == 7
assert signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL
assert os.getcwd() == "/" and signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
"""
    assert subprocess.run([sys.executable, "-c", script], cwd="/", check=False, timeout=100).returncode == 0


def test_ignored_sigchld_is_no_obstacle() -> None:
    """As with subprocess the return code is lost (0); the run goes to its end."""
    script = """
import signal, pyroot
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
done = pyroot.run(["sh", "-c", "echo x; exit 3"], capture_output=True)
assert (done.returncode, done.stdout) == (0, b"x\\n"), done
"""
    assert subprocess.run([sys.executable, "-c", script], cwd="/", check=False, timeout=100).returncode == 0


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams(closed: tuple[int, ...]) -> None:
    script = f"""
import os, sys
for number in {closed!r}:
    os.close(number)
import pyroot
done = pyroot.run(["sh", "-c", "echo out; echo err >&2; exit 5"], capture_output=True)
failed = ""
try:
    pyroot.run(["no-such-program"])
except pyroot.PyrootError as error:
    failed = error.message
ended = pyroot.run(["sh", "-c", "exit 6"]).returncode
os._exit(0 if (done.returncode, done.stdout, done.stderr, ended) == (5, b"out\\n", b"err\\n", 6) and "no-such-program" in failed else 1)
"""
    assert subprocess.run([sys.executable, "-c", script], cwd="/", check=False, timeout=100).returncode == 0


MULTIPROCESSING = """
import multiprocessing, pyroot

def work(number):
    try:
        pyroot.run(["no-such-program"])
    except pyroot.PyrootError as error:
        return int(pyroot.run(["echo", str(number)], capture_output=True).stdout), error

if __name__ == "__main__":
    pyroot.run(["true"], check=True)
    with multiprocessing.get_context(METHOD).Pool(2) as pool:
        found = pool.map(work, range(4))
    assert [number for number, _error in found] == [0, 1, 2, 3]
    assert all(error.hint and error.exit_code == 127 for _number, error in found)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(MULTIPROCESSING.replace("METHOD", repr(method)))
    assert subprocess.run([sys.executable, str(script)], cwd=tmp_path, check=False, timeout=100).returncode == 0


# --- asyncio


def test_asyncio_runs_side_by_side() -> None:
    async def one(number: int) -> tuple[bytes, int]:
        process = await pyroot.create_subprocess_exec("sh", "-c", f"read x; echo $x; exit {number}", stdin=-1, stdout=-1)
        output, _errors = await process.communicate(b"%d\n" % number)
        assert process.returncode is not None
        return output, process.returncode

    async def all_of_them() -> list[tuple[bytes, int]]:
        other = await asyncio.create_subprocess_exec("sh", "-c", "exit 9")
        found = await asyncio.gather(*map(one, range(6)))
        assert await other.wait() == 9
        return found

    assert asyncio.run(all_of_them()) == [(b"%d\n" % number, number) for number in range(6)]


def test_asyncio_start_that_fails_raises() -> None:
    async def start(**keywords: Any) -> int:
        return await (await pyroot.create_subprocess_exec("no-such-program", **keywords)).wait()

    with pytest.raises(pyroot.PyrootError) as error:
        asyncio.run(start())
    assert (error.value.exit_code, bool(error.value.hint)) == (127, True)
    assert asyncio.run(start(exit_codes=True, stderr=subprocess.DEVNULL)) == 127


def test_asyncio_signal_and_time_out_leave_no_orphan() -> None:
    mark = f"orphan-{os.getpid()}-asyncio"

    async def go() -> int:
        process = await pyroot.create_subprocess_exec("sh", "-c", "sleep 1000 & sleep 1000", env={**os.environ, "MARK": mark})
        try:
            await asyncio.wait_for(process.wait(), 0.5)
        except asyncio.TimeoutError:
            process.kill()
        return await process.wait()

    assert asyncio.run(go()) == -9
    wait_until(lambda: not marked(mark), what="all processes of the guest have ended")


def test_asyncio_leaks_nothing() -> None:
    async def go() -> None:
        for _ in range(5):
            await (await pyroot.create_subprocess_exec("true")).wait()
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(20):
            assert await (await pyroot.create_subprocess_exec("true")).wait() == 0
            with pytest.raises(pyroot.PyrootError):
                await pyroot.create_subprocess_exec("no-such-program")
        assert set(os.listdir("/proc/self/fd")) == before

    asyncio.run(go())
