"""Kinds of faults of `pyroot doctor`: what is there and does not work, what cannot be read, what is no fault, and --fix to its end."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyroot.doctor import registry, verb
from pyroot.doctor.registry import Finding
from pyroot.elf import Rooted
from pyroot.reading.view import View
from tests import helpers
from tests.broken_roots import give, inside, interpreter, library, make_sound_root, unlink_library

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a small sound root once."""
    return make_sound_root(tmp_path_factory.mktemp("kinds") / "sound")


@pytest.fixture
def root(sound: Path, tmp_path: Path) -> Iterator[Path]:
    """Give a copy of the sound root that the ordinary user owns."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(sound), str(tmp_path / "root")], check=True)
    give(tmp_path / "root")
    yield tmp_path / "root"
    subprocess.run(["chmod", "-R", "u+rwX", str(tmp_path / "root")], check=False)


def examine(root: Path, commands: tuple[str, ...] = (), **environment: str) -> list[Finding]:
    """Run the checks as for the ordinary user, with an environment that does not vary."""
    view = View(Rooted(root), str(root), [os.fsencode(name) for name in commands], helpers.ordinary_user.uid)
    view.environment = {b"TERM": b"dumb", b"LANG": b"C", **{name.encode(): text.encode() for name, text in environment.items()}}
    return verb.examine(view)


def errors(findings: list[Finding]) -> list[str]:
    """List the codes of the errors about the root."""
    return [one.code for one in findings if one.severity == "error" and one.path]


def codes(findings: list[Finding]) -> set[str]:
    """List all codes."""
    return {one.code for one in findings}


def compile_program(target: Path, text: str, *options: str | Path) -> None:
    """Compile a small program."""
    source = target.with_suffix(".c")
    source.write_text(text)
    subprocess.run(["gcc", "-o", target, source, *options], check=True)
    source.unlink()


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


def test_a_link_that_became_a_text_is_made_again(root: Path) -> None:
    place = inside(root, "/bin") / "sh"
    target = os.path.basename(os.path.realpath(place))
    place.unlink()
    place.write_text(target)
    place.chmod(0o755)
    findings = examine(root)
    assert errors(findings) == ["link-as-text"]
    assert errors(examine(root, ("/bin/sh",))) == ["link-as-text"]
    verb.mend(bytes(root), findings, only_show=False, quiet=True)
    assert os.readlink(place) == target
    assert errors(examine(root)) == []


def test_a_library_whose_link_became_a_text(root: Path) -> None:
    real = library(root, "libtinfo.so.6")
    name = real.parent / "libtinfo.so.6"
    if name == real:
        pytest.skip("libtinfo.so.6 is no link here")
    name.unlink()
    name.write_text(real.name + "\n")
    findings = examine(root)
    assert "link-as-text" in errors(findings)
    verb.mend(bytes(root), findings, only_show=False, quiet=True)
    assert errors(examine(root)) == []


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


def test_lines_that_end_in_carriage_returns(root: Path) -> None:
    for name in ("etc/passwd", "etc/group"):
        (root / name).write_bytes((root / name).read_bytes().replace(b"\n", b"\r\n"))
    findings = examine(root)
    assert errors(findings) == ["account-damaged", "account-damaged"]
    verb.mend(bytes(root), findings, only_show=False, quiet=True)
    assert errors(examine(root)) == []
    assert b"\r" not in (root / "etc/passwd").read_bytes()


def test_a_service_without_module_and_without_another_is_an_error(root: Path) -> None:
    place = root / "etc/nsswitch.conf"
    place.write_text("passwd: files\ngroup: nosuchthing\nhosts: files\n")
    found = [one for one in examine(root) if one.code == "nss-module"]
    assert ["group" in one.what for one in found] == [True]
    place.write_text("passwd: files\ngroup: files nosuchthing\nhosts: files\n")
    assert "nss-module" not in codes(examine(root))


def test_a_time_zone_that_is_a_directory(root: Path) -> None:
    (root / "etc/localtime").unlink(missing_ok=True)
    (root / "etc/localtime").mkdir()
    assert [one.what for one in examine(root) if one.code == "localtime"] == ["is a directory"]


@pytest.mark.parametrize(("line", "wrong"), [
    ("/lib/x.so", True), ("garbage", True), ("/etc/passwd", True), ("libc.so.6", False), ("/$LIB/libc.so.6", False), ("# nothing", False),
])  # fmt: skip
def test_what_is_preloaded_has_to_be_a_library(line: str, wrong: bool, root: Path) -> None:
    (root / "etc/ld.so.preload").write_text(line + "\n")
    assert ("preload" in codes(examine(root))) == wrong


@needs_gcc
def test_a_symbol_that_no_library_has(root: Path, tmp_path: Path) -> None:
    compile_program(tmp_path / "libown.so.1", "int f(void) { return 0; }\n", "-shared", "-fPIC", "-Wl,-soname,libown.so.1")
    place = library(root, "libc.so.6").parent
    compile_program(inside(root, "/bin") / "tool", "int f(void); int main(void) { return f(); }\n", tmp_path / "libown.so.1")
    shutil.copy(tmp_path / "libown.so.1", place)
    give(root)
    assert errors(examine(root, ("tool",))) == []
    compile_program(place / "libown.so.1", "int g(void) { return 0; }\n", "-shared", "-fPIC", "-Wl,-soname,libown.so.1")
    give(root)
    findings = examine(root, ("tool",))
    assert errors(findings) == ["symbol-missing"]
    assert "undefined symbol f" in findings[0].what


@needs_gcc
def test_origin_needs_proc(root: Path) -> None:
    for name in ("bin", "lib"):
        (root / "opt/app" / name).mkdir(parents=True)
    compile_program(root / "opt/app/lib/libown.so", "int f(void) { return 0; }\n", "-shared", "-fPIC", "-Wl,-soname,libown.so")
    main = "int f(void); int main(void) { return f(); }\n"
    compile_program(root / "opt/app/bin/app", main, root / "opt/app/lib/libown.so", "-Wl,-rpath,$ORIGIN/../lib")
    give(root)
    assert errors(examine(root, ("/opt/app/bin/app",))) == ["origin-needs-proc"]
    (root / "proc/self").mkdir()
    (root / "proc/self/exe").symlink_to("/opt/app/bin/app")
    assert errors(examine(root, ("/opt/app/bin/app",))) == []


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


@pytest.mark.parametrize("layout", ["nix", "conda", "unmerged"])
def test_roots_of_another_layout_are_sound_and_keep_it(layout: str, sound: Path, tmp_path: Path) -> None:
    """A store with its own loader, a prefix with $ORIGIN that is not used, real directories: nothing of the host's layout is missed."""
    top = tmp_path / "root"
    for name in ("bin", "etc", "tmp"):
        (top / name).mkdir(parents=True)
    (top / "tmp").chmod(0o1777)
    for name, text in (("passwd", "root:x:0:0::/:/bin/sh\n"), ("group", "root:x:0:\n"), ("hosts", "::1 localhost\n")):
        (top / "etc" / name).write_text(text)
    (top / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    (top / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    shell = inside(sound, "/bin/sh")
    libraries = [library(sound, "libc.so.6"), interpreter(sound)]
    if layout == "unmerged":
        (top / "lib64").mkdir()
        (top / "lib").mkdir()
        shutil.copy(shell, top / "bin/sh")
        shutil.copy(libraries[0], top / "lib/libc.so.6")
        shutil.copy(libraries[1], top / "lib64/ld-linux-x86_64.so.2".replace("x86_64", "x86-64"))
    elif shutil.which("gcc"):
        place = top / ("nix/store/abc-glibc/lib" if layout == "nix" else "opt/conda/lib")
        place.mkdir(parents=True)
        shutil.copy(libraries[0], place / "libc.so.6")
        shutil.copy(libraries[1], place / "ld.so")
        guest = "/" + str(place.relative_to(top))
        compile_program(top / "bin/sh", "int main(void) { return 0; }\n", f"-Wl,-rpath,{guest}", f"-Wl,--dynamic-linker,{guest}/ld.so")
    else:
        pytest.skip("no gcc")
    give(top)
    before = sorted(str(path.relative_to(top)) for path in top.rglob("*"))
    findings = examine(top)
    assert errors(findings) == []
    verb.mend(bytes(top), findings, only_show=False, quiet=True)
    news = set(map(str, (path.relative_to(top) for path in top.rglob("*")))) - set(before)
    assert not [name for name in news if (top / name).is_symlink() and "/" not in name]


# --- --fix


def digest(top: Path) -> dict[str, object]:
    """Give what every file of a root is."""
    found: dict[str, object] = {}
    for path in top.rglob("*"):
        status = path.lstat()
        found[str(path.relative_to(top))] = (status.st_mode, os.readlink(path) if path.is_symlink() else None, status.st_size)
    return found


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
    subprocess.run(["cp", "-a", "--reflink=auto", str(sound), str(top)], check=True)
    give(top)
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
