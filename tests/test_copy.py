"""`pyroot copy`: what is copied starts in a real chroot, the tree is lddtree's, and nothing leaves the root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyroot.doctor import copy
from pyroot.doctor.tree import tree_of
from pyroot.elf import ElfError, Rooted, read_elf
from pyroot.errors import PyrootError
from tests.broken_roots import patch

NOBODY = 65534
CC = shutil.which("gcc") or shutil.which("cc")

needs_cc = pytest.mark.skipif(CC is None, reason="no C compiler (Debian: gcc)")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give an empty root."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root").chmod(0o755)
    return tmp_path / "root"


def chroot(root: Path, *command: str) -> str:
    """Run a command in a real chroot as an ordinary user; give what it prints."""

    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    done = subprocess.run(command, preexec_fn=enter, capture_output=True, text=True, env=environment, check=True)
    return done.stdout


def tree(root: Path) -> dict[str, tuple[int, int, int, str]]:
    """List everything in a directory with mode, time (not of directories), inode and link text."""
    found = {}
    for base, directories, files in os.walk(root):
        for name in directories + files:
            path = Path(base, name)
            status = path.lstat()
            time = 0 if path.is_dir() and not path.is_symlink() else status.st_mtime_ns
            text = os.readlink(path) if path.is_symlink() else ""
            found[str(path.relative_to(root))] = (status.st_mode, time, status.st_ino, text)
    return found


def refused(*words: str | Path) -> PyrootError:
    """Give the error that the verb raises."""
    with pytest.raises(PyrootError) as caught:
        copy.main([str(word) for word in words])
    assert caught.value.exit_code == 125
    assert caught.value.message.startswith("copy: ")
    return caught.value


@pytest.mark.root
@pytest.mark.parametrize("program", ["ls", "bash", "cat", "env"])
def test_copied_program_starts_in_a_real_chroot(program: str, root: Path) -> None:
    assert copy.main([str(root), program]) == 0
    assert chroot(root, program, "--version")


def test_says_what_it_took_and_why(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert copy.main([str(root), "bash"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("copy /") and lines[0].endswith("/bash: program")
    assert any("ELF interpreter for " in line for line in lines)
    assert any("libc.so.6" in line and "library for " in line and "(by " in line for line in lines)


def test_links_modes_and_times_are_kept(root: Path) -> None:
    copy.main([str(root), "bash", "sh"])
    host, inside = Rooted("/"), Rooted(root)
    for name in ("bash", "sh"):
        path = os.fsencode(shutil.which(name) or "")
        assert inside.trace(path).real == host.trace(path).real
        assert inside.trace(path).links == host.trace(path).links
        one, two = os.stat(host.host(host.trace(path).real)), os.stat(inside.host(inside.trace(path).real))
        assert (one.st_mode, one.st_mtime_ns, one.st_size) == (two.st_mode, two.st_mtime_ns, two.st_size)


def test_is_idempotent(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    copy.main([str(root), "bash", "ls"])
    before = tree(root)
    capfd.readouterr()
    assert copy.main([str(root), "ls", "bash"]) == 0
    assert capfd.readouterr().out == ""
    assert tree(root) == before


def test_dry_run_and_json(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert copy.main(["--dry-run", "--json", str(root), "ls"]) == 0
    items = json.loads(capfd.readouterr().out)
    assert items[0]["path"].endswith("/ls")
    assert {item["action"] for item in items} == {"copy"}
    assert {"program", "ELF interpreter", "library"} <= {item["why"] for item in items}
    assert list(root.iterdir()) == []
    copy.main([str(root), "ls"])
    capfd.readouterr()
    copy.main(["--json", str(root), "ls"])
    assert {item["action"] for item in json.loads(capfd.readouterr().out)} == {"same"}


def test_script_brings_its_interpreter(root: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/usr/bin/env bash\necho from a script\n")
    script.chmod(0o755)
    copy.main([str(root), str(script)])
    assert (root / str(script)[1:]).read_text() == script.read_text()
    assert Rooted(root).find(b"/usr/bin/env")
    assert any(Rooted(root).find(place + b"/bash") for place in (b"/usr/bin", b"/bin", b"/usr/local/bin"))


def test_library_by_its_name_and_data_by_path(root: Path, tmp_path: Path) -> None:
    (tmp_path / "data/sub").mkdir(parents=True)
    (tmp_path / "data/sub/file").write_text("x")
    (tmp_path / "data/link").symlink_to("sub/file")
    copy.main([str(root), "libz.so.1" if Rooted("/").find(b"/lib/x86_64-linux-gnu/libz.so.1") else "libc.so.6", str(tmp_path / "data")])
    there = root / str(tmp_path)[1:] / "data"
    assert (there / "sub/file").read_text() == "x"
    assert os.readlink(there / "link") == "sub/file"
    assert list(root.rglob("libc.so.6"))


def test_from_another_root(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    copy.main([str(other), "ls", "sh"])
    (other / "usr/bin/own").write_text("#!/bin/sh\n")
    (other / "usr/bin/own").chmod(0o755)
    copy.main(["--from", str(other), str(root), "own", "/bin/sh"])
    assert (root / "usr/bin/own").read_text() == "#!/bin/sh\n"
    assert Rooted(root).find(b"/bin/sh")
    assert "does not exist" in refused("--from", other, root, "/etc/hostname").message


def test_name_services_come_where_a_program_calls_for_them(root: Path, tmp_path: Path) -> None:
    whys = {item.path: item.why for item in copy.collect(Rooted("/"), [b"id"]).items}
    assert any(b"libnss_" in path for path in whys) == any(Path("/lib/x86_64-linux-gnu").glob("libnss_files.so.2"))
    assert not any(b"libnss_" in item.path for item in copy.collect(Rooted("/"), [b"cat"]).items)


def test_name_services_are_those_that_the_target_names(root: Path) -> None:
    found = {item.path for item in copy.collect(Rooted("/"), [b"id"], Rooted(root)).items if item.why == copy.NSS_MODULE}
    assert not any(b"systemd" in path for path in found), "without a file glibc asks files and dns"
    (root / "etc").mkdir()
    (root / "etc/nsswitch.conf").write_text("passwd: compat\n")
    found = {os.path.basename(item.path) for item in copy.collect(Rooted("/"), [b"id"], Rooted(root)).items if item.why == copy.NSS_MODULE}
    assert found <= {b"libnss_compat.so.2"}
    assert bool(found) == any(Path("/lib").glob("*/libnss_compat.so.2"))


@needs_cc
def test_character_sets_come_where_a_program_calls_for_them(tmp_path: Path) -> None:
    if not any(Path("/usr/lib").glob("*/gconv/gconv-modules*")):
        pytest.skip("this host has no gconv modules")
    (tmp_path / "main.c").write_text('#include <iconv.h>\nint main(void) { return iconv_open("UTF-16", "UTF-8") == (iconv_t)-1; }\n')
    subprocess.run([str(CC), "-o", str(tmp_path / "program"), str(tmp_path / "main.c")], check=True)
    whys = {item.why for item in copy.collect(Rooted("/"), [bytes(tmp_path / "program")]).items}
    assert copy.CHARACTER_SETS in whys


def test_links_of_the_root_are_followed_inside(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "inner").mkdir()
    (root / "usr").symlink_to("/inner")
    (root / "etc").symlink_to(f"{outside}")
    real = Rooted("/").trace(os.fsencode(shutil.which("ls") or "")).real
    error = refused(root, "ls")
    assert list(outside.iterdir()) == []
    assert "etc" in error.message
    assert list((root / "inner").iterdir()) == [], "what had been made was taken back"
    (root / "etc").unlink()
    copy.main([str(root), "ls"])
    assert Rooted(root).find(os.fsencode(shutil.which("ls") or ""))
    if real.startswith(b"/usr/"):
        assert (root / "inner" / os.fsdecode(real)[5:]).is_file()


def test_another_file_in_the_place_is_refused_and_nothing_is_copied(root: Path) -> None:
    path = Rooted("/").trace(os.fsencode(shutil.which("ls") or "")).real
    place = root / os.fsdecode(path)[1:]
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    before = tree(root)
    assert "another file" in refused(root, "bash", "ls").message
    assert tree(root) == before


def test_library_of_the_root_stays_when_it_serves(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    copy.main([str(root), "bash"])
    tinfo = Rooted(root).trace(next(item.path for item in copy.collect(Rooted("/"), [b"bash"]).items if b"libtinfo" in item.path)).real
    place = root / os.fsdecode(tinfo)[1:]
    with open(place, "ab") as file:
        file.write(b"a build of its own")
    size = place.stat().st_size
    (root / os.fsdecode(Rooted(root).trace(os.fsencode(shutil.which("bash") or "")).real)[1:]).unlink()
    capfd.readouterr()
    copy.main([str(root), "bash"])
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["copy", "keep"]
    assert "libtinfo" in lines[1]
    assert place.stat().st_size == size


def test_missing_link_to_a_library_that_is_there_is_made(root: Path) -> None:
    copy.main([str(root), "bash"])
    before = tree(root)
    links = [path for path in root.rglob("libtinfo.so*") if path.is_symlink()]
    if not links:
        pytest.skip("libtinfo is no link on this host")
    links[0].unlink()
    copy.main([str(root), "bash"])
    assert {name: entry[3] for name, entry in tree(root).items()} == {name: entry[3] for name, entry in before.items()}


def test_library_of_the_root_that_lacks_a_version_is_told(root: Path) -> None:
    copy.main([str(root), "bash"])
    tinfo = Rooted(root).trace(next(item.path for item in copy.collect(Rooted("/"), [b"bash"]).items if b"libtinfo" in item.path)).real
    place = root / os.fsdecode(tinfo)[1:]
    patch(place, place.read_bytes().index(b"NCURSES6_TINFO_5.0.19991023\0"), b"NCURSES9")
    bash = root / os.fsdecode(Rooted(root).trace(os.fsencode(shutil.which("bash") or "")).real)[1:]
    bash.unlink()
    error = refused(root, "bash")
    assert "NCURSES6_TINFO_5.0.19991023" in error.message
    assert not bash.exists()


@pytest.mark.parametrize(
    "words", [[], ["ROOT"], ["--tree"], ["--nosuch"], ["/nowhere/at/all", "ls"], ["ROOT", "nosuch-program"], ["/", "ls"]]
)
def test_wrong_words_are_refused(words: list[str], root: Path) -> None:
    assert refused(*[str(root) if word == "ROOT" else word for word in words]).hint


def test_near_names_are_told(root: Path) -> None:
    assert "cat" in refused(root, "caat").hint


# --- the tree ---------------------------------------------------------------------------------------------------------


def lddtree(root: str, programs: list[str]) -> dict[str, list[str]]:
    """Give what lddtree prints for each program, with paths as inside the root."""
    found = shutil.which("lddtree")
    if found is None:
        pytest.skip("lddtree is missing (Debian: pax-utils)")
    head = Path(found).read_bytes()[:64].split(b"\n")[0]
    command = [sys.executable, found] if b"python" in head else [found]
    prefix = root.rstrip("/")
    done = subprocess.run(
        [*command, *(["-R", root] if prefix else []), *programs], capture_output=True, text=True, check=False, env={"PATH": os.defpath}
    )
    if done.returncode != 0:
        pytest.skip(f"lddtree does not work here: {done.stderr.strip()[-200:]}")
    trees: dict[str, list[str]] = {}
    current = ""
    for line in done.stdout.splitlines():
        line = line.replace(prefix + "/", "/") if prefix else line
        if not line.startswith(" "):
            current = line.split(" ")[0]
        trees.setdefault(current, []).append(line)
    return trees


@pytest.mark.rootfs
@pytest.mark.parametrize("step", [12, pytest.param(1, marks=pytest.mark.slow)])
def test_tree_is_that_of_lddtree_for_the_programs_of_a_debian_root(debian_root: str, step: int) -> None:
    """Every program is compared with `-m slow`, every twelfth by default: lddtree takes its time."""
    rooted = Rooted(debian_root)
    programs = []
    for name in sorted(os.listdir(f"{debian_root}/usr/bin")):
        trace = rooted.find(os.fsencode(f"/usr/bin/{name}"))
        try:
            if trace is not None and read_elf(rooted.host(trace.real)):
                programs.append(f"/usr/bin/{name}")
        except (OSError, ElfError):
            continue
    assert len(programs) > 150
    programs = programs[::step]
    theirs = lddtree(debian_root, programs)
    for program in programs:
        text, complete, _tree = tree_of(rooted, os.fsencode(program), b"")
        ours = [line.replace("(static)", "(interpreter => None)") for line in text.splitlines()]
        assert ours == theirs[program], program
        assert complete


def test_tree_of_a_script_and_of_something_missing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert copy.main(["--tree", str(script)]) == 0
    out = capfd.readouterr().out
    assert out.startswith(f"{script} (#! interpreter => /bin/sh)\n/bin/sh (interpreter => /")
    assert "    libc.so.6 => /" in out
    assert copy.main(["--tree", "nosuch-program"]) == 1
    assert "not found in PATH" in capfd.readouterr().out
