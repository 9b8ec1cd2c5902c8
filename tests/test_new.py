"""`pyroot new`: what it makes starts in a real chroot, and a failure leaves nothing behind."""
from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pyroot import report
from pyroot.elf import Rooted
from pyroot.elf.ldcache import conf_directories, parse_cache
from pyroot.errors import PyrootError
from pyroot.rootfs import new, skeleton
from pyroot.rootfs.plan import DEFAULT_PROGRAMS, nss_modules

CC = shutil.which("gcc") or shutil.which("cc")
NOBODY = 65534

needs_cc = pytest.mark.skipif(CC is None, reason="no C compiler (Debian: gcc)")


@pytest.fixture(autouse=True)
def quiet() -> object:
    """Leave the verbosity as it was."""
    before = report.verbosity()
    yield
    report.set_verbosity(before)


@pytest.fixture(scope="module")
def default_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the default root once."""
    root = tmp_path_factory.mktemp("new") / "root"
    assert new.main([str(root)]) == 0
    return root


def chroot(root: Path, *command: str, uid: int = NOBODY) -> subprocess.CompletedProcess[str]:
    """Run a command in a real chroot as an ordinary user."""

    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)

    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TERM": "xterm"}
    return subprocess.run(
        command, executable=command[0], preexec_fn=enter, capture_output=True, text=True, env=environment, check=False
    )


def tree(root: Path) -> dict[str, str]:
    """List everything below a directory with type, mode, time and link text or size."""
    found: dict[str, str] = {}
    for base, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(base, name)
            status = os.lstat(path)
            text = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
            size = status.st_size if stat.S_ISREG(status.st_mode) else 0
            found[os.path.relpath(path, root)] = f"{status.st_mode:o} {status.st_ino} {size} {text}"
    return found


def refused(*words: str | Path) -> PyrootError:
    """Give the error that the verb raises for these words."""
    with pytest.raises(PyrootError) as caught:
        new.main([str(word) for word in words])
    assert caught.value.exit_code == 125
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value


# --- what is made ---------------------------------------------------------------------------------------------------


def test_every_link_leads_to_something_in_the_root(default_root: Path) -> None:
    rooted = Rooted(bytes(default_root))
    for base, directories, files in os.walk(bytes(default_root)):
        for name in directories + files:
            rooted.trace(os.path.join(base, name)[len(bytes(default_root)):])


def test_paths_mean_what_they_mean_on_the_host(default_root: Path) -> None:
    inside, host = Rooted(bytes(default_root)), Rooted("/")
    checked = 0
    for directory in (b"/bin/", b"/usr/bin/", b"/sbin/"):
        for name in (*DEFAULT_PROGRAMS, b"mawk", b"gawk", b"bash"):
            there = inside.find(directory + name)
            if there is not None:
                assert there == host.trace(directory + name)
                checked += 1
    assert checked > 30
    assert inside.trace(b"/bin/sh").real == host.trace(b"/bin/sh").real


def test_files_keep_mode_and_time_and_belong_to_the_caller(default_root: Path) -> None:
    rooted = Rooted(bytes(default_root))
    for name in (b"/bin/sh", b"/bin/ls", b"/bin/mount"):
        trace = rooted.find(name)
        if trace is None:
            continue
        ours, host = os.stat(rooted.host(trace.real)), os.stat(name)
        assert ours.st_uid == os.geteuid()
        assert ours.st_mtime_ns == host.st_mtime_ns
        assert stat.S_IMODE(ours.st_mode) == stat.S_IMODE(host.st_mode) & ~0o6000
    assert stat.S_IMODE((default_root / "tmp").stat().st_mode) == 0o1777
    assert stat.S_IMODE((default_root / "root").stat().st_mode) == 0o700
    for directory in ("proc", "dev", "sys", "run", "home", "var/tmp", "etc"):
        assert (default_root / directory).is_dir()


def test_set_uid_and_set_gid_bits_are_dropped(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o6755)
    assert new.main([str(tmp_path / "root"), str(program)]) == 0
    copy = tmp_path / "root" / str(program).lstrip("/")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o755


def test_accounts_name_root_nobody_and_the_caller(default_root: Path) -> None:
    passwd = [line.split(":") for line in (default_root / "etc/passwd").read_text().splitlines()]
    assert {int(fields[2]) for fields in passwd} == {0, NOBODY, os.getuid()}
    assert all(len(fields) == 7 for fields in passwd)
    groups = [line.split(":") for line in (default_root / "etc/group").read_text().splitlines()]
    assert {0, NOBODY, os.getgid()} | set(os.getgroups()) <= {int(fields[2]) for fields in groups}


def test_loader_index_names_only_what_is_there(default_root: Path) -> None:
    cache = default_root / "etc/ld.so.cache"
    if not cache.exists():
        pytest.skip("this host's programs have no index")
    rooted = Rooted(bytes(default_root))
    entries = parse_cache(cache.read_bytes())
    assert entries
    for entry in entries:
        assert rooted.find(entry.path) is not None, entry


@pytest.mark.root
@pytest.mark.parametrize("command", [
    "ls -l /", "id", "awk 'BEGIN { print 6 * 7 }'", "find / -xdev -name root -prune -o -name sh -print",
    "tar cf - etc | tar tf -", "echo b; echo a | sort", "grep -c . /etc/passwd", "sed s/a/b/ /etc/hosts", "date +%Y",
    "env | sort", "stat -c %a /tmp", "gzip -c /etc/passwd | gzip -dc", "which ls", "getent passwd nobody",
    "bash -c 'echo $BASH_VERSION'", "cp /etc/passwd /tmp/$$ && cmp /etc/passwd /tmp/$$ && cat /tmp/$$ && rm /tmp/$$",
    "sha256sum /etc/hosts", "uname -a", "readlink -f /bin/sh", "basename $(realpath /bin/sh)", "expr 6 \\* 7",
])
def test_default_root_works_in_a_real_chroot(default_root: Path, command: str) -> None:
    done = chroot(default_root, "/bin/sh", "-c", command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.root
def test_every_program_of_the_default_root_finds_its_libraries(default_root: Path) -> None:
    programs = dynamic_programs(default_root)
    script = 'for f; do LD_TRACE_LOADED_OBJECTS=1 "$f"; done 2>&1 | grep "not found"'
    done = chroot(default_root, "/bin/sh", "-c", script, "sh", *programs)
    assert len(programs) > 20
    assert (done.stdout, done.stderr) == ("", "")


def dynamic_programs(root: Path) -> list[str]:
    """List the programs of a root that have an interpreter."""
    from pyroot.elf import ElfError, read_elf

    found: list[str] = []
    for path in sorted((root / "usr/bin").iterdir()):
        inside = Rooted(bytes(root)).trace(b"/usr/bin/" + os.fsencode(path.name)).real
        try:
            if read_elf(bytes(root) + inside).interp:
                found.append(f"/usr/bin/{path.name}")
        except ElfError:
            continue
    return found


@pytest.mark.root
@needs_cc
def test_library_outside_the_default_directories_is_found_by_the_written_index(tmp_path: Path) -> None:
    """The host finds it by its ld.so.cache; here the chosen cache stands for the host's."""
    from pyroot.elf import Closure
    from pyroot.rootfs.install import Installer

    root = tmp_path / "root"
    assert new.main([str(root), "sh"]) == 0
    (tmp_path / "a.c").write_text("int own(void) { return 7; }\n")
    (tmp_path / "b.c").write_text("int own(void); int main(void) { return own(); }\n")
    assert CC is not None
    (root / "opt/own").mkdir(parents=True)
    library = root / "opt/own/libown.so.1"
    subprocess.run([CC, "-shared", "-fPIC", "-Wl,-soname,libown.so.1", "-o", library, tmp_path / "a.c"], check=True)
    subprocess.run([CC, "-o", root / "usr/bin/own", tmp_path / "b.c", library], check=True)
    assert chroot(root, "/usr/bin/own").returncode == 127
    (root / "etc/ld.so.cache").unlink()
    (root / "etc/ld.so.conf").write_text("/opt/own")
    closure = Closure(Rooted(bytes(root)))
    closure.add_program(b"/usr/bin/own")
    (root / "etc/ld.so.conf").unlink()
    skeleton.add_loader_index(Installer(bytes(root)), closure)
    assert chroot(root, "/usr/bin/own").returncode == 7
    assert conf_directories(Rooted(bytes(root))) == [b"/opt/own"]


@pytest.mark.root
@needs_cc
def test_program_with_its_libraries_beside_it_starts(tmp_path: Path) -> None:
    app = tmp_path / "app"
    (app / "lib").mkdir(parents=True)
    (app / "bin").mkdir()
    (tmp_path / "a.c").write_text("int own(void) { return 9; }\n")
    (tmp_path / "b.c").write_text("int own(void); int main(void) { return own(); }\n")
    assert CC is not None
    library = app / "lib/libown.so.1.2"
    subprocess.run([CC, "-shared", "-fPIC", "-Wl,-soname,libown.so.1", "-o", library, tmp_path / "a.c"], check=True)
    (app / "lib/libown.so.1").symlink_to("libown.so.1.2")
    flags = ["-Wl,-rpath,$ORIGIN/../lib"]
    subprocess.run([CC, "-o", app / "bin/program", tmp_path / "b.c", library, *flags], check=True)
    (tmp_path / "start").symlink_to("app/bin/program")
    root = tmp_path / "root"
    assert new.main([str(root), str(tmp_path / "start")]) == 0
    assert (root / str(app).lstrip("/") / "lib/libown.so.1").is_symlink()
    # glibc asks /proc/self/exe for the program's $ORIGIN.
    script = 'mount --bind /proc "$1/proc" || exit 77; exec chroot "$1" "$2"'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    done = subprocess.run([*command, str(root), str(tmp_path / "start")], capture_output=True, check=False)
    if done.returncode in (1, 77):
        pytest.skip("no mount namespace to be had here")
    assert done.returncode == 9


def test_script_brings_its_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/usr/bin/env sh\necho hello $1\n")
    script.chmod(0o755)
    root = tmp_path / "root"
    assert new.main([str(root), str(script)]) == 0
    inside = Rooted(bytes(root))
    for path in (bytes(script), b"/usr/bin/env", b"/bin/sh"):
        assert inside.find(path) is not None


def test_hard_linked_programs_stay_one_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        if name == "one":
            (tmp_path / name).write_text("#!/bin/sh\n")
            (tmp_path / name).chmod(0o755)
        else:
            (tmp_path / name).hardlink_to(tmp_path / "one")
    root = tmp_path / "root"
    assert new.main([str(root), str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    base = root / str(tmp_path).lstrip("/")
    assert (base / "one").samefile(base / "two")


def test_nsswitch_names_its_modules(tmp_path: Path) -> None:
    assert nss_modules(Rooted(bytes(tmp_path))) == [b"files", b"dns"]
    (tmp_path / "etc").mkdir()
    text = "# passwd: none\npasswd: files systemd\nhosts: files mdns4_minimal [NOTFOUND=return] dns # x\nbad: ../x\n"
    (tmp_path / "etc/nsswitch.conf").write_text(text)
    assert nss_modules(Rooted(bytes(tmp_path))) == [b"files", b"systemd", b"mdns4_minimal", b"dns"]


# --- where it is made -----------------------------------------------------------------------------------------------


def test_empty_directory_is_filled_in_place(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    before = root.stat().st_ino
    assert new.main([str(root), "sh"]) == 0
    assert root.stat().st_ino == before
    assert (root / "etc/passwd").exists()


def test_directory_that_is_not_empty_is_refused_without_add(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    assert "--add" in refused(tmp_path, "sh").hint
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_add_keeps_what_is_there_and_adds_the_rest(tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert new.main([str(root), "sh"]) == 0
    (root / "etc/passwd").write_text("mine\n")
    before = tree(root)
    cache = parse_cache((root / "etc/ld.so.cache").read_bytes()) if (root / "etc/ld.so.cache").exists() else []
    assert new.main(["--add", str(root), "ls"]) == 0
    after = tree(root)
    kept = {name: state for name, state in before.items() if not name.startswith("etc/ld.so")}
    assert kept.items() <= after.items()
    assert Rooted(bytes(root)).find(b"/bin/ls") is not None
    if cache:
        assert set(cache) <= set(parse_cache((root / "etc/ld.so.cache").read_bytes()))
    assert new.main([str(root), "--add", "ls"]) == 0
    assert tree(root) == after, "adding again changes nothing"


def test_add_refuses_to_replace_a_file_and_takes_its_work_back(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "mine").touch()
    place = root / os.path.realpath("/bin/sh").lstrip("/")
    place.parent.mkdir(parents=True)
    place.write_text("another shell")
    before = tree(root)
    error = refused("--add", root, "ls", "sh")
    assert str(place) in str(error) and "differs" in str(error)
    assert tree(root) == before


def test_add_to_a_root_with_plain_directories_fills_those(tmp_path: Path) -> None:
    """A root that is not merged-/usr, from a host that is: both spellings lead to the file that they led to before."""
    if not os.path.islink("/bin"):
        pytest.skip("this host is not merged-/usr")
    root = tmp_path / "root"
    for name in ("bin", "lib", "lib64", "usr/bin"):
        (root / name).mkdir(parents=True)
    assert new.main(["--add", str(root), "/bin/sh"]) == 0
    assert not (root / "bin").is_symlink()
    inside = Rooted(bytes(root))
    assert inside.trace(b"/bin/sh").real.startswith(b"/bin/")
    if os.geteuid() == 0:
        assert chroot(root, "/bin/sh", "-c", "exit 5").returncode == 5


def test_links_of_the_root_never_lead_outside_it(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "etc").symlink_to(outside)
    (root / "tmp").symlink_to("../../../../outside")
    refused("--add", root, "sh")
    assert not list(outside.iterdir())


def test_list_prints_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert new.main(["--list", str(tmp_path / "root"), "sh"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith(": program") for line in lines)
    assert any("ELF interpreter for" in line for line in lines) or len(lines) == 1
    assert not list(tmp_path.iterdir())


def test_quiet_without_a_terminal_and_names_files_with_v(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert new.main([str(tmp_path / "one"), "sh"]) == 0
    assert capfd.readouterr() == ("", "")
    assert new.main(["-v", str(tmp_path / "two"), "sh"]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert "sh: program" in err.replace(" -> ", ": ") or ": program" in err
    assert "files copied" in err.splitlines()[-1]


# --- mistakes -------------------------------------------------------------------------------------------------------


def bad_cases(tmp_path: Path) -> Sequence[tuple[Sequence[str], str]]:
    """List words and the text that the error must have."""
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    base = str(tmp_path)
    return [
        ([], "no directory given"), (["--nope", base], "unknown option --nope"), ([""], "empty name"),
        ([f"{base}/file", "sh"], "is not a directory"), (["/", "--add", "sh"], "root of this host"),
        ([f"{base}/a/b", "sh"], f"{base}/a is not a directory"), ([f"{base}/dangling"], "is a dangling symbolic link"),
        (["--add", f"{base}/r", "sh"], "does not exist"), ([f"{base}/r", "no-such-program"], "not found in PATH"),
        ([f"{base}/r", f"{base}/missing"], "does not exist"), ([f"{base}/r", base], "is a directory"),
        ([f"{base}/r", f"{base}/fifo"], "is not a regular file"), ([f"{base}/r", ""], "empty name"),
    ]


def test_mistakes_are_named_and_leave_nothing(tmp_path: Path) -> None:
    cases = bad_cases(tmp_path)
    before = tree(tmp_path)
    for words, text in cases:
        assert text in str(refused(*words)), words
        assert tree(tmp_path) == before, words


@needs_cc
def test_missing_library_is_named_with_who_needs_it(tmp_path: Path) -> None:
    assert CC is not None
    (tmp_path / "a.c").write_text("int own(void) { return 7; }\n")
    (tmp_path / "b.c").write_text("int own(void); int main(void) { return own(); }\n")
    library = tmp_path / "libown.so.1"
    subprocess.run([CC, "-shared", "-fPIC", "-Wl,-soname,libown.so.1", "-o", library, tmp_path / "a.c"], check=True)
    subprocess.run([CC, "-o", tmp_path / "program", tmp_path / "b.c", library], check=True)
    error = refused(tmp_path / "root", "sh", tmp_path / "program")
    assert f"{tmp_path}/program: it needs the library libown.so.1" in str(error)
    assert "libown.so.1" in error.hint
    assert not (tmp_path / "root").exists()


def test_missing_script_interpreter_is_named(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/nowhere/python\n")
    script.chmod(0o755)
    assert f"{script}: its #! line asks for /nowhere/python: does not exist" in str(refused(tmp_path / "r", script))


@pytest.mark.not_root
def test_unreadable_program_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o111)
    assert "cannot be read" in str(refused(tmp_path / "r", program))


@pytest.mark.parametrize("existing", [False, True])
def test_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool) -> None:
    root = tmp_path / "root"
    if existing:
        root.mkdir()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", os.fsencode(root / "etc/passwd"))

    monkeypatch.setattr(skeleton, "add_accounts", fail)
    error = refused(root, "sh")
    assert str(error) == f"new: {root}/etc/passwd: no space left on device"
    assert [path.name for path in tmp_path.iterdir()] == (["root"] if existing else [])
    assert not existing or not list(root.iterdir())


@pytest.mark.not_root
def test_read_only_place_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        assert "permission denied" in str(refused(tmp_path / "root", "sh"))
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_half_way_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import sys, time; from pyroot.rootfs import new, skeleton\n"
        # (a signal just before one long sleep would be seen behind it only)
        "def wait(*_):\n    print('ready', flush=True)\n    while True: time.sleep(0.01)\n"
        "skeleton.add_accounts = wait\n"
        f"sys.exit(new.main([{str(tmp_path / 'root')!r}, 'sh']))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd="/", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    assert len(list(tmp_path.iterdir())) == 1
    child.send_signal(number)
    assert child.wait(20) == -number
    child.stdout.close()
    assert not list(tmp_path.iterdir())


def test_default_root_is_made_in_a_moment(tmp_path: Path) -> None:
    begin: Callable[[], float] = time.monotonic
    start = begin()
    assert new.main([str(tmp_path / "root")]) == 0
    assert begin() - start < 30


def test_help_tells_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert new.main(["-h"]) == 0
    text = capsys.readouterr().out
    for word in ("--add", "--list", "--verbose", "--help", "DIR", "PROGRAM"):
        assert word in text
