"""Kinds of faults of `pyroot doctor`: what is there and does not work, what cannot be read, what is no fault, and --fix to its end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pyroot.doctor import registry, verb
from pyroot.doctor.registry import Finding
from tests import helpers
from tests.broken_roots import compile_program, copy_root, digest, examine, give, inside, interpreter, library, unlink_library

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")


def errors(findings: list[Finding]) -> list[str]:
    """List the codes of the errors about the root."""
    return [one.code for one in findings if one.severity == "error" and one.path]


def codes(findings: list[Finding]) -> set[str]:
    """List all codes."""
    return {one.code for one in findings}


# --- what cannot be read is not missing


CLOSED = {
    "etc/passwd": ("error", {"passwd-missing", "no-root-account"}),
    "etc/group": ("error", {"group-missing"}),
    "etc/hosts": ("warning", {"hosts-missing"}),
    "etc/resolv.conf": ("warning", {"resolv-missing"}),
    "etc/nsswitch.conf": ("warning", {"nsswitch-missing", "nsswitch-empty", "nss-module"}),
    "etc/ld.so.cache": ("error", {"loader-index", "loader-index-damaged", "library-missing"}),
}


@pytest.mark.parametrize("name", CLOSED)
def test_a_setting_that_cannot_be_read_is_told_as_that(name: str, root: Path) -> None:
    severity, never = CLOSED[name]
    (root / name).chmod(0)
    findings = examine(root)
    assert [(one.severity, one.path) for one in findings if one.code == "setting-unreadable"] == [(severity, f"/{name}".encode())]
    assert not codes(findings) & never
    assert [problem for _step, problem in verb.mend(bytes(root), findings, only_show=False, quiet=True) if problem] == []
    assert "setting-unreadable" not in codes(examine(root))


def test_a_directory_of_the_loaders_settings_that_cannot_be_read(root: Path) -> None:
    (root / "etc/ld.so.conf.d").mkdir(exist_ok=True)
    (root / "etc/ld.so.conf.d/x.conf").write_text("/opt/lib\n")
    (root / "etc/ld.so.conf.d").chmod(0)
    found = [one for one in examine(root) if one.code == "setting-unreadable"]
    assert [one.path for one in found] == [b"/etc/ld.so.conf.d"]


@needs_gcc
def test_a_library_of_mode_0_is_not_missing_wherever_it_is(root: Path, run_pyroot: Callable[..., helpers.Result]) -> None:
    (root / "opt").mkdir()
    compile_program(root / "opt/libown.so", "int own(void) { return 0; }\n", "-shared", "-fPIC", "-Wl,-soname,libown.so")
    compile_program(
        inside(root, "/bin") / "tool", "int own(void); int main(void) { return own(); }\n", root / "opt/libown.so", "-Wl,-rpath,/opt"
    )
    give(root)
    assert errors(examine(root, ("tool",))) == []
    (root / "opt/libown.so").chmod(0)
    findings = examine(root, ("tool",))
    assert errors(findings) == ["not-readable"]
    assert findings[0].path == b"/opt/libown.so"
    (root / "opt/libown.so").chmod(0o755)
    (root / "opt").chmod(0)
    findings = examine(root, ("tool",))
    assert errors(findings) == ["directory-closed"]


# --- there is not works


@pytest.mark.parametrize("content", ["", "hello world\nand more\n", "\0\0\0\0"])
def test_a_shell_that_is_no_program(content: str, root: Path) -> None:
    place = inside(root, "/bin/sh")
    place.write_text(content)
    findings = examine(root)
    assert {"shell-damaged", "program-damaged"} & set(errors(findings))


RESOLV = {
    "# nameserver 192.0.2.1\n": True,
    "": True,
    "search example\n": True,
    "nameserver not-an-address\n": True,
    "nameserver\n": True,
    "nameserver 127.0.0.123\n": True,
    "nameserver 192.0.2.1\n": False,
    "nameserver 2001:db8::1\n": False,
    "nameserver fe80::1%eth0\n": False,
    "nameserver 127.0.0.123\nnameserver 192.0.2.1\n": False,
}


@pytest.mark.parametrize("text", RESOLV)
def test_name_servers_that_cannot_be_used(text: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyroot.doctor import network

    monkeypatch.setattr(network, "_answers", lambda name: False)
    (root / "etc/resolv.conf").write_text(text)
    assert ("resolv-missing" in codes(examine(root))) == RESOLV[text]


def test_a_stub_that_answers_is_a_name_server(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyroot.doctor import network

    monkeypatch.setattr(network, "_answers", lambda name: name == "127.0.0.53")
    (root / "etc/resolv.conf").write_text("nameserver 127.0.0.53\n")
    assert "resolv-missing" not in codes(examine(root))


def test_a_service_without_module_and_without_another_is_an_error(root: Path) -> None:
    place = root / "etc/nsswitch.conf"
    place.write_text("passwd: files\ngroup: nosuchthing\nhosts: files\n")
    found = [one for one in examine(root) if one.code == "nss-module"]
    assert ["group" in one.what for one in found] == [True]
    place.write_text("passwd: files\ngroup: files nosuchthing\nhosts: files\n")
    assert "nss-module" not in codes(examine(root))


@pytest.mark.parametrize(("line", "wrong"), [
    ("/lib/x.so", True), ("garbage", True), ("/etc/passwd", True), ("libc.so.6", False), ("/$LIB/libc.so.6", False), ("# nothing", False),
])  # fmt: skip
def test_what_is_preloaded_has_to_be_a_library(line: str, wrong: bool, root: Path) -> None:
    (root / "etc/ld.so.preload").write_text(line + "\n")
    assert ("preload" in codes(examine(root))) == wrong


# --- one cause, one finding; what it does to a COMMAND


def test_a_missing_interpreter_does_not_hide_missing_libraries(root: Path) -> None:
    interpreter(root).unlink()
    unlink_library(root, "libtinfo.so.6")
    findings = examine(root)
    assert sorted(errors(findings)) == ["elf-interpreter", "library-missing"]
    verb.mend(bytes(root), findings, only_show=False, quiet=True)
    assert errors(examine(root)) == []


@needs_gcc
def test_a_static_program_needs_nothing_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "R").mkdir()
    compile_program(tmp_path / "R/app", "int main(void) { return 0; }\n", "-static")
    give(tmp_path / "R")
    assert errors(examine(tmp_path / "R", ("/app",))) == []
    findings = examine(tmp_path / "R")
    assert errors(findings) == []
    assert [one.path for one in findings if one.code == "no-programs"] == [b"/app"]


def test_an_empty_directory_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "R").mkdir()
    give(tmp_path / "R")
    assert errors(examine(tmp_path / "R")) == ["no-programs"]


def test_a_root_one_level_below_is_named(root: Path, tmp_path: Path) -> None:
    top = tmp_path / "unpacked"
    top.mkdir()
    root.rename(top / "debian-12")           # (it may have devices, whose content does not end)
    give(top)
    [found] = [one for one in examine(top) if one.code == "no-programs"]
    assert (found.severity, found.mend) == ("error", f"pyroot doctor {top}/debian-12")


def test_hosts_has_the_address_first(root: Path) -> None:
    (root / "etc/hosts").write_text("localhost 127.0.0.1\n")
    assert "hosts-missing" in codes(examine(root))
    (root / "etc/hosts").write_text("# x\n::1\tip6 localhost # y\n")
    assert "hosts-missing" not in codes(examine(root))


def test_with_a_command_only_what_keeps_it_from_working_is_an_error(root: Path) -> None:
    (root / "etc/group").unlink()
    (root / "tmp").rmdir()
    assert set(errors(examine(root))) == {"group-missing", "tmp-missing"}
    assert errors(examine(root, ("ls",))) == []


# --- no wolf


def test_records_that_glibc_reads_are_sound(root: Path) -> None:
    with open(root / "etc/passwd", "a") as file:
        file.write("short:x:2222:2222\n  blank:x:2223:2223::/:/bin/sh\nmany:x:2224:2224::/:/bin/sh:more\n+\n# a comment\n")
    with open(root / "etc/group", "a") as file:
        file.write("spark:x:2222\n")
    assert errors(examine(root)) == []
    with open(root / "etc/passwd", "a") as file:
        file.write("bad:x:one:2\n")
    assert errors(examine(root)) == ["account-damaged"]


def test_a_library_in_ld_library_path_is_not_missing(root: Path) -> None:
    real = library(root, "libtinfo.so.6")
    (root / "opt/lib").mkdir(parents=True)
    shutil.copy(real, root / "opt/lib/libtinfo.so.6")
    unlink_library(root / "usr", "libtinfo.so.6")
    give(root)
    assert errors(examine(root)) == ["library-missing"]
    assert errors(examine(root, LD_LIBRARY_PATH="/nowhere:/opt/lib")) == []


@pytest.mark.not_root
def test_whose_command_a_fix_has_to_be() -> None:
    from pyroot.errors import as_owner

    assert as_owner("/usr") == "as root: "
    assert as_owner("/tmp") == ""  # (everybody may write there)
    assert as_owner("/nowhere/at/all") == ""


@pytest.mark.root
def test_a_root_of_roots_is_mended_as_root(guest_directory: str, sound: Path, run_pyroot: Callable[..., helpers.Result]) -> None:
    top = Path(guest_directory, "root")
    copy_root(sound, top)
    (top / "etc/hosts").unlink()
    (top / "dev/shm").mkdir(parents=True, exist_ok=True)
    (top / "tmp").chmod(0o755)
    for path in [top, *top.rglob("*")]:
        os.chown(path, 0, 0, follow_symlinks=False)
    found = run_pyroot(["doctor", top]).stdout
    assert f"fix:  as root: chmod 1777 {top}/tmp\n" in found
    assert "(--fix does it, as root)" in found
    assert "warning  tmp-rights: /dev/shm" in found
    tried = run_pyroot(["copy", top, "head"])
    assert (tried.status, "run it as root" in tried.stderr) == (125, True), tried.stderr
    assert "hint: as root: pyroot copy " in run_pyroot(["-r", top, "head"], environment={"PATH": "/bin"}).stderr


def test_a_note_is_enough_for_what_the_named_commands_do_not_do(root: Path) -> None:
    (root / "etc/hosts").unlink()
    severity = {name: [one.severity for one in examine(root, (name,)) if one.code == "hosts-missing"] for name in ("cat", "bash", "getent")}
    assert severity["cat"] == ["note"]
    assert severity["bash"] == ["warning"]  # (it starts whatever it is asked to)


# --- --fix


def test_fix_leaves_a_sound_root_alone(root: Path) -> None:
    (root / "proc/self").mkdir()  # nothing of it is a finding with steps
    before = digest(root)
    findings = [one for one in examine(root) if one.severity != registry.NOTE]
    announced = [step for one in findings for step in one.steps]
    verb.mend(bytes(root), findings, only_show=False, quiet=True)
    assert announced == []
    assert digest(root) == before


def test_fix_goes_on_until_nothing_is_left(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What one step mends shows what it has hidden: one run is enough."""
    shutil.rmtree(root / "etc")
    (root / "tmp").rmdir()
    interpreter(root).unlink()
    unlink_library(root, "libtinfo.so.6")
    assert verb.main(["--fix", "--no-run", str(root)]) == 0
    out = capfd.readouterr().out
    assert "failed" not in out
    assert "left " not in out
    assert (root / "etc/passwd").exists()
    before = digest(root)
    verb.main(["--fix", "--no-run", str(root)])
    assert digest(root) == before


def test_fix_says_what_it_could_not_mend(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    os.truncate(inside(root, "/bin/ls"), 40000)
    assert verb.main(["--fix", "--no-run", str(root)]) == 1
    assert "left     program-damaged: " in capfd.readouterr().out


def test_fix_with_a_list_mends_towards_the_list(root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from pyroot.manifest import checklist

    tinfo = library(root, "libtinfo.so.6")
    tinfo.write_bytes(tinfo.read_bytes() + b"another build")  # not this host's
    assert checklist.main([str(root), "-o", str(tmp_path / "list")]) == 0
    for path in root.rglob("libtinfo.so*"):
        path.unlink()
    (root / "etc/hosts").unlink()
    capfd.readouterr()
    assert verb.main(["--against", str(tmp_path / "list"), "--fix", "--no-run", str(root)]) == 1
    out = capfd.readouterr().out
    assert "pyroot copy /lib" not in out
    assert not tinfo.exists()
    assert "left     library-missing: libtinfo.so.6" in out


# --- programs are asked


@pytest.fixture
def asked_root(sound: Path, guest_directory: str) -> Path:
    """Give a root that the ordinary user can enter, whose shell can be replaced."""
    top = Path(guest_directory, "root")
    copy_root(sound, top)
    return top


@needs_gcc
def test_a_shell_that_fails_is_asked_and_told(asked_root: Path, run_pyroot: Callable[..., helpers.Result]) -> None:
    done = run_pyroot(["doctor", "-v", asked_root])
    assert (done.status, done.stderr) == (0, "")
    assert "does what it is asked (" in done.stdout
    shell = inside(asked_root, "/bin/sh")
    shell.unlink()
    compile_program(shell, "int main(void) { return 3; }\n", "-static")
    shell.chmod(0o755)
    done = run_pyroot(["doctor", asked_root, "sh"])
    assert done.status == 1
    assert "program-fails" in done.stdout
    done = run_pyroot(["doctor", "--no-run", asked_root, "sh"])
    assert "program-fails" not in done.stdout


@needs_gcc
@pytest.mark.timeout(120)
def test_a_program_that_does_not_end_is_told_and_ended(asked_root: Path, run_pyroot: Callable[..., helpers.Result]) -> None:
    shell = inside(asked_root, "/bin/sh")
    shell.unlink()
    compile_program(shell, "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n", "-static")
    shell.chmod(0o755)
    done = run_pyroot(["doctor", asked_root, "sh"])
    assert "it was asked and did not end" in done.stdout
    assert not any(str(asked_root) in command for command in running())


def running() -> list[str]:
    """List the command lines of all processes but this one."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                found.append(Path(f"/proc/{name}/cmdline").read_text().replace("\0", " "))
            except (OSError, UnicodeDecodeError):
                continue
    return found


def test_asking_writes_nothing_into_the_root(asked_root: Path, run_pyroot: Callable[..., helpers.Result]) -> None:
    before = digest(asked_root)
    run_pyroot(["doctor", asked_root])
    assert digest(asked_root) == before
