"""`pyroot check`: each state of the kernel that stops pyroot is named, with the setting to change."""

from __future__ import annotations

import errno
import json
import os
import resource
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pyroot.doctor import checks, host, verb
from pyroot.doctor.registry import HOST, Finding
from pyroot.elf import Rooted
from pyroot.errors import PyrootError
from pyroot.reading.view import View
from tests.helpers import Result

MINE = {
    "/proc/self/status": "TracerPid:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n",
    "/proc/sys/kernel/seccomp/actions_avail": "kill_process errno trace log allow",
    "/proc/self/mountinfo": "21 1 0:20 / /proc rw,nosuid - proc proc rw",
}


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Let the checks read these files of the kernel and no others."""
    known = dict(MINE)
    monkeypatch.setattr(host, "read", lambda path: known.get(path, ""))
    return known


def run(code: str) -> list[Finding]:
    """Run one check."""
    row = next(row for row in checks.load() if row.code == code)
    assert row.part == HOST
    return row.run(View(Rooted("/")))


def test_sound_host_has_no_error(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "try_ptrace", lambda: 0)
    assert [one for row in checks.load() if row.part == HOST for one in row.run(View(Rooted("/"))) if one.severity == "error"] == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"/proc/sys/kernel/yama/ptrace_scope": "2"}, "ptrace_scope=1"),
        ({"/proc/sys/kernel/yama/ptrace_scope": "3"}, "boot with"),
        ({"/proc/self/status": "TracerPid:\t77\nNoNewPrivs:\t0\nSeccomp:\t0\n"}, "strace"),
        ({"/proc/self/status": "TracerPid:\t0\nNoNewPrivs:\t1\nSeccomp:\t0\n"}, "sandbox around it"),
        ({"/sys/fs/selinux/booleans/deny_ptrace": "1 1"}, "setsebool deny_ptrace"),
        ({"/proc/self/status": "TracerPid:\t0\nNoNewPrivs:\t0\nSeccomp:\t2\n"}, "SYS_PTRACE"),
        ({"/proc/self/attr/current": "docker-default (enforce)"}, "docker-default"),
    ],
)
def test_reason_why_ptrace_is_refused(change: dict[str, str], word: str, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    files.update(change)
    monkeypatch.setattr(host, "try_ptrace", lambda: errno.EPERM)
    found = run("ptrace")
    assert len(found) == 1
    assert word in found[0].mend
    assert "Operation not permitted" in found[0].what


@pytest.mark.parametrize(
    ("code", "change", "word"),
    [
        ("traced", {"/proc/self/status": "TracerPid:\t77\n", "/proc/77/comm": "strace"}, "process 77 (strace)"),
        ("filtered", {"/proc/self/status": "Seccomp:\t2\nSeccomp_filters:\t3\n"}, "3 seccomp"),
        ("filtered", {"/proc/self/status": "Seccomp:\t0\nNoNewPrivs:\t1\n"}, "no_new_privs"),
        ("security-module", {"/proc/self/attr/apparmor/current": "snap.x (enforce)"}, "snap.x"),
        ("security-module", {"/proc/self/attr/current": "system_u:system_r:container_t:s0"}, "container_t"),
        ("seccomp", {"/proc/sys/kernel/seccomp/actions_avail": "kill errno allow"}, "kill errno allow"),
        ("proc-hidden", {"/proc/self/mountinfo": "21 1 0:20 / /proc rw - proc proc rw,hidepid=invisible"}, "hidepid=invisible"),
        ("proc-hidden", {"/proc/self/mountinfo": "21 1 0:20 / /proc rw - proc proc rw,hidepid=2,subset=pid"}, "subset=pid"),
    ],
)
def test_state_is_named(code: str, change: dict[str, str], word: str, files: dict[str, str]) -> None:
    assert run(code) == []
    files.update(change)
    found = run(code)
    assert len(found) == 1
    assert word in found[0].what


@pytest.mark.parametrize("text", ["unconfined", "unconfined\n", "unconfined_u:unconfined_r:unconfined_t:s0", "kernel"])
def test_label_of_an_unconfined_process_is_none(text: str, files: dict[str, str]) -> None:
    files["/proc/self/attr/current"] = text.strip()
    assert run("security-module") == []


@pytest.mark.parametrize(
    ("release", "old"), [("4.19.0-1-amd64", True), ("5.9", True), ("5.10.0", False), ("6.18.44-fc", False), ("odd", False)]
)
def test_old_kernel(release: str, old: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release, machine="x86_64"))
    assert bool(run("kernel-old")) == old


def test_other_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release="6.1", machine="aarch64"))
    assert "aarch64" in run("machine")[0].what


@pytest.mark.parametrize(("soft", "hard", "word"), [(100, 4096, "ulimit -n 4096"), (100, 100, "higher limit")])
def test_low_limit(soft: int, hard: int, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def limits(which: int) -> tuple[int, int]:
        return (soft, hard) if which == resource.RLIMIT_NOFILE else (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    monkeypatch.setattr(resource, "getrlimit", limits)
    found = run("limits")
    assert [one.what for one in found] == ["100 open files"]
    assert word in found[0].mend


def noexec(path: Any) -> SimpleNamespace:
    """Answer for a file system that is mounted noexec."""
    return SimpleNamespace(f_flag=os.ST_NOEXEC, f_blocks=1000, f_bavail=1000, f_frsize=4096, f_files=0, f_favail=0)


def test_noexec_is_named_for_the_temporary_directory_and_for_the_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(os, "statvfs", noexec)
    assert "noexec" in run("temp-noexec")[0].what
    row = next(row for row in checks.load() if row.code == "root-noexec")
    assert [one.severity for one in row.run(View(Rooted(tmp_path)))] == ["error"]


def test_full_file_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    full = {"f_flag": 0, "f_blocks": 1000, "f_bavail": 1, "f_frsize": 4096, "f_files": 100, "f_favail": 50}
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(**full))
    row = next(row for row in checks.load() if row.code == "root-full")
    assert "1 MiB" in row.run(View(Rooted(tmp_path)))[0].what
    full.update(f_bavail=1000, f_favail=3)
    assert "3 inodes" in row.run(View(Rooted(tmp_path)))[0].what


def test_check_prints_what_is_well_and_json(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host, "try_ptrace", lambda: 0)
    assert verb.check_main(["-v"]) == 0
    out = capfd.readouterr().out
    assert "well     ptrace: " in out
    assert out.splitlines()[-1].startswith("this host: 0 errors")
    monkeypatch.setattr(host, "try_ptrace", lambda: errno.EPERM)
    assert verb.check_main(["--json"]) == 1
    report = json.loads(capfd.readouterr().out)
    assert [one["code"] for one in report["findings"] if one["severity"] == "error"] == ["ptrace"]


def test_unexpected_word_is_refused() -> None:
    with pytest.raises(PyrootError, match="unexpected word") as caught:
        verb.check_main(["./rootfs"])
    assert "pyroot doctor ./rootfs" in caught.value.hint


def test_ordinary_user_passes_here(run_pyroot: Callable[..., Result]) -> None:
    done = run_pyroot(["check"])
    assert (done.status, done.stderr) == (0, ""), done.stdout
