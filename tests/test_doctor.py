"""`pyroot doctor`: a sound root has no error, a broken one has its defect named and nothing else, and --fix mends it."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyroot import environment
from pyroot.doctor import checks, registry, verb
from pyroot.doctor.registry import Finding
from pyroot.elf import Rooted
from pyroot.errors import PyrootError
from pyroot.reading.view import Bound, View
from tests import helpers
from tests.broken_roots import DEFECTS, Defect, give, make_sound_root
from tests.helpers import Result

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a small sound root once."""
    return make_sound_root(tmp_path_factory.mktemp("doctor") / "sound")


@pytest.fixture
def root(sound: Path, tmp_path: Path) -> Iterator[Path]:
    """Give a copy of the sound root that the ordinary user owns."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(sound), str(tmp_path / "root")], check=True)
    give(tmp_path / "root")
    yield tmp_path / "root"
    subprocess.run(["chmod", "-R", "u+rwX", str(tmp_path / "root")], check=False)


def examine(root: Path, commands: tuple[str, ...] = ()) -> list[Finding]:
    """Run the checks as for the ordinary user, with an environment that does not vary."""
    view = View(Rooted(root), str(root), [os.fsencode(name) for name in commands], helpers.ordinary_user.uid)
    view.environment = {b"TERM": b"dumb", b"LANG": b"C"}
    return verb.examine(view)


def codes(findings: list[Finding], severity: str) -> list[str]:
    """List the codes of one severity, each once; the host's are left out."""
    host = {row.code for row in checks.load() if row.part == registry.HOST}
    return list(dict.fromkeys(one.code for one in findings if one.severity == severity and one.code not in host))


def test_small_root_is_sound(root: Path) -> None:
    findings = examine(root)
    assert codes(findings, "error") == []
    assert set(codes(findings, "warning")) <= {"dev-incomplete", "dev-empty"}


@pytest.mark.parametrize("defect", [
    # device nodes are made by root
    pytest.param(defect, id=defect.name.replace(" ", "-"), marks=[pytest.mark.root] if defect.needs == "root" else []) for defect in DEFECTS
])
def test_defect_is_named_and_nothing_else(defect: Defect, root: Path) -> None:
    if defect.needs == "merged" and not (root / "bin").is_symlink():
        pytest.skip("this host is not merged-/usr")
    defect.act(root)
    findings = examine(root, defect.commands)
    assert codes(findings, "error") == ([defect.code] if defect.severity == "error" else []), findings
    assert defect.code in codes(findings, defect.severity)
    named = [one for one in findings if one.code == defect.code]
    assert all(one.what and one.why and one.mend for one in named)
    assert len(named) == 1, "one defect is told once"
    assert bool(named[0].steps) == defect.mends, named
    if defect.mends:
        done = verb.mend(bytes(root), findings, only_show=False, quiet=True)
        assert [problem for _step, problem in done if problem] == []
        findings = examine(root, defect.commands)
        assert codes(findings, "error") == []
        assert defect.code not in codes(findings, defect.severity)


def test_enough_defects() -> None:
    assert len(DEFECTS) >= 30
    assert len({defect.code for defect in DEFECTS}) >= 28


@pytest.mark.rootfs
@pytest.mark.parametrize("fixture", ["debian_root", "busybox_root", "made_root"])
def test_sound_roots_have_no_error(fixture: str, request: pytest.FixtureRequest, run_pyroot: Callable[..., Result]) -> None:
    root = request.getfixturevalue(fixture)
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    done = run_pyroot(["doctor", root])
    assert (done.status, done.stderr) == (0, ""), done.stdout
    assert ": 0 errors, " in done.stdout.splitlines()[-1]
    assert sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before < 10, "seconds of processor time for a whole Debian"


def test_report_and_exit_status(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert verb.main([str(root)]) == 0
    assert capfd.readouterr().out.splitlines()[-1].startswith(f"{root}: 0 errors, ")
    (root / "etc/passwd").unlink()
    assert verb.main([str(root)]) == 1
    out = capfd.readouterr().out
    assert "error    passwd-missing: /etc/passwd: is missing\n" in out
    assert "(--fix does it)" in out
    assert "\x1b" not in out


# root and nobody, and who asks
WRITTEN = f"write /etc/passwd ({2 if os.geteuid() in (0, helpers.NOBODY) else 3} lines)"


def test_dry_run_changes_nothing_and_fix_shows_each_step(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "etc/passwd").unlink()
    (root / "tmp").rmdir()
    assert verb.main(["--dry-run", str(root)]) == 1
    shown = [line for line in capfd.readouterr().out.splitlines() if line.startswith("fix ")]
    assert [line.split(None, 1)[1] for line in shown][:2] == ["mkdir -p -m 1777 /tmp", WRITTEN]
    assert not (root / "etc/passwd").exists()
    assert verb.main(["--fix", str(root)]) == 0
    assert "\n".join(shown) in capfd.readouterr().out
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_json(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "etc/passwd").unlink()
    assert verb.main(["--json", str(root)]) == 1
    report = json.loads(capfd.readouterr().out)
    assert (report["root"], report["errors"]) == (str(root), 1)
    first = report["findings"][0]
    assert (first["code"], first["severity"], first["path"]) == ("passwd-missing", "error", "/etc/passwd")
    assert verb.main(["--json", "--fix", str(root)]) == 0
    assert json.loads(capfd.readouterr().out)["fixed"][0] == {"step": WRITTEN, "problem": ""}


def test_bindings_are_looked_at_as_in_a_run(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "etc/passwd").unlink()
    assert verb.main(["-b", "/etc/passwd", str(root)]) == 0
    capfd.readouterr()
    assert verb.main(["-R", str(root)]) == 0
    assert "dev-empty" not in capfd.readouterr().out
    with pytest.raises(PyrootError, match="^doctor: -b /nowhere/at/all:/x: /nowhere/at/all on the host: no such file or directory$"):
        verb.main(["-b", "/nowhere/at/all:/x", str(root)])


VIEWS = {
    "a link at the end is followed": ["/etc/hosts:/etc/alias"],
    "a link at the end is covered": ["/etc/hosts:/etc/alias!"],
    "a link on the way is followed": ["/etc/hosts:/short/name"],
    "parents that are missing": ["/etc/hosts:/no/such/place"],
    "below another one that comes later": ["/etc/hosts:/etc/new/name", "{extra}:/etc/new"],
    "the last of two counts": ["/etc/hosts:/etc/passwd", "/etc/services:/etc/passwd"],
    "a colon in the name": ["/etc/hosts:/etc/a\\:b"],
    "relative to where we are": ["hosts:/etc/relative"],
}


@pytest.mark.parametrize("name", VIEWS)
def test_view_is_that_of_the_run(
    name: str, sound: Path, guest_directory: str, run_pyroot: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files are there under the same names, by whatever rule a binding got its place."""
    root, extra = Path(guest_directory, "root"), Path(guest_directory, "extra")
    subprocess.run(["cp", "-a", "--reflink=auto", str(sound), str(root)], check=True)
    extra.mkdir()
    (extra / "beside").write_text("beside\n")
    (root / "etc/alias").symlink_to("passwd")
    (root / "short").symlink_to("etc")
    give(root)
    monkeypatch.chdir("/etc")
    words = [word for text in VIEWS[name] for word in ("-b", text.format(extra=extra))]
    paths = ["/etc/alias", "/etc/passwd", "/etc/name", "/short/name", "/no/such/place", "/etc/new/name", "/etc/new/beside", "/etc/a:b",
             "/etc/relative"]  # fmt: skip
    view = verb._make_view(os.fsencode(root), [str(root)], verb.DOCTOR.read(words))
    script = 'for path; do if [ -e "$path" ]; then echo "$path:"; while read -r line; do echo "$line"; done < "$path"; fi; done'
    run = run_pyroot(["-r", str(root), *words, "bash", "-c", script, "bash", *paths], cwd="/etc")
    found = {path: view.read(os.fsencode(path)) for path in paths}
    lines = [line for path, data in found.items() if data is not None for line in (f"{path}:", *data.decode().splitlines())]
    assert [line.split() for line in run.stdout.splitlines()] == [line.split() for line in lines]
    assert any(data in (Path("/etc/hosts").read_bytes(), Path("/etc/services").read_bytes()) for data in found.values())
    assert not [one for one in os.listdir("/tmp") if one.startswith(f"pyroot-glue-{os.getuid()}-{os.getpid()}-")]


TMP_DIRS = [
    ({"PROOT_TMP_DIR": "{place}"}, True),
    ({"PYROOT_TMP_DIR": "/nowhere", "TMPDIR": "{place}"}, True),
    ({"PYROOT_TMP_DIR": "{root}/tmp"}, False),
    ({"TMPDIR": "relative"}, False),
    ({}, False),
]


@pytest.mark.parametrize(("variables", "works"), TMP_DIRS)
def test_temporary_directories_are_those_of_a_run(
    variables: dict[str, str], works: bool, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "relative").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "_USUAL_TMP_DIRS", [])
    for name in environment.TMP_DIRS:
        monkeypatch.delenv(name.decode(), raising=False)
    for name, text in variables.items():
        monkeypatch.setenv(name, text.format(place=tmp_path, root=root))
    found = [one.code for one in examine(root) if one.code == "temp-missing"]
    assert found == ([] if works else ["temp-missing"])
    words = verb.DOCTOR.read(["-b", "/etc/hosts:/no/such/place"])
    if works:
        view = verb._make_view(os.fsencode(root), [str(root)], words)
        assert view.read(b"/no/such/place") == Path("/etc/hosts").read_bytes()
    else:
        with pytest.raises(PyrootError, match="no directory for temporary files"):
            verb._make_view(os.fsencode(root), [str(root)], words)


def test_bound_places_need_not_exist(root: Path) -> None:
    bound = Bound(str(root), [(b"/etc/passwd", b"/new/dir/file")])
    assert bound.trace(b"/new/dir/file").real == b"/new/dir/file"
    assert bound.read(b"/new/dir/file") == Path("/etc/passwd").read_bytes()
    assert bound.find(b"/new/other") is None


def test_missing_library_names_who_needs_it_and_the_near_names_of_a_command(root: Path) -> None:
    from tests.broken_roots import unlink_library

    unlink_library(root, "libtinfo.so.6")
    found = next(one for one in examine(root) if one.code == "library-missing")
    assert found.path == b"libtinfo.so.6"
    assert "/bin/bash" in found.what
    assert found.mend.startswith(f"pyroot copy {shlex.quote(str(root))} ")
    found = next(one for one in examine(root, ("sl",)) if one.code == "command-missing")
    assert "ls" in found.mend


@pytest.mark.parametrize("name", ["x bit lost", "/tmp closed", "/etc closed", "link with the host's path", "script with CR LF", "no /bin"])
def test_mend_is_a_command_that_mends(name: str, root: Path) -> None:
    defect = next(one for one in DEFECTS if one.name == name)
    if defect.needs == "merged" and not (root / "bin").is_symlink():
        pytest.skip("this host is not merged-/usr")
    defect.act(root)
    found = [one for one in examine(root) if one.severity == "error"]
    subprocess.run(["sh", "-c", found[0].mend], check=True, cwd="/", env={"PATH": os.environ.get("PATH", os.defpath)})
    assert codes(examine(root), "error") == []


def test_fix_never_leaves_the_root(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("keep")
    shutil.rmtree(root / "etc")
    (root / "etc").symlink_to(outside)
    before = sorted(path.name for path in outside.iterdir())
    verb.mend(bytes(root), examine(root), only_show=False, quiet=True)
    assert sorted(path.name for path in outside.iterdir()) == before
    assert (outside / "passwd").read_text() == "keep"


@pytest.mark.parametrize("words", [[], ["/", "--fix"], ["--nosuch", "x"], ["/nowhere/at/all"], ["-b"], [""]])
def test_wrong_words_are_refused(words: list[str]) -> None:
    with pytest.raises(PyrootError) as caught:
        verb.main(words)
    assert caught.value.exit_code == 125
    assert caught.value.hint
    assert caught.value.message.startswith("doctor: ")


def test_names_that_a_terminal_would_act_on_are_escaped(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "usr/bin/evil\x1b[31m").symlink_to("nowhere")
    assert verb.main([str(root)]) == 1
    out = capfd.readouterr().out
    assert "\x1b" not in out
    assert "evil\\x1b[31m" in out


def test_no_color_is_obeyed_and_a_terminal_gets_colours(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyroot.verbs import output

    monkeypatch.setattr(output, "_is_terminal", lambda fd: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.colour("error", "x") == "\x1b[1;31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.colour("error", "x") == "x"


def test_codes_are_unique_and_every_row_says_what_and_why() -> None:
    rows = checks.load()
    assert len({row.code for row in rows}) == len(rows)
    assert {row.severity for row in rows} <= set(registry.SEVERITIES)
    assert all(row.looks_at and row.why and row.function.__doc__ for row in rows)


def test_document_has_the_table_of_the_registry() -> None:
    if not (PROJECT / "docs").exists():
        pytest.skip("no source tree here")
    assert verb.table() in (PROJECT / "docs/DOCTOR.md").read_text(), "put `pyroot doctor --list` into docs/DOCTOR.md"


def test_options_may_stand_behind_the_root(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "etc/passwd").unlink()
    assert verb.main([str(root), "--fix"]) == 0
    assert "fix      write /etc/passwd" in capfd.readouterr().out


def test_special_files_in_the_place_of_settings_are_not_opened(root: Path) -> None:
    for name in ("etc/passwd", "etc/ld.so.cache", "etc/ld.so.conf", "etc/nsswitch.conf", "usr/bin/pipe", "etc/resolv.conf"):
        (root / name).unlink(missing_ok=True)
        os.mkfifo(root / name, 0o755)
    assert "passwd-missing" in codes(examine(root), "error")


def test_resolv_conf_that_somebody_wrote_is_not_replaced(root: Path) -> None:
    (root / "etc/resolv.conf").write_text("search example\n")
    findings = examine(root)
    assert [one.steps for one in findings if one.code == "resolv-missing"] == [()]
    verb.mend(bytes(root), findings, only_show=False, quiet=True)
    assert (root / "etc/resolv.conf").read_text() == "search example\n"


@pytest.mark.rootfs
def test_root_of_32_bit_programs_is_sound(debian_i386_root: str, run_pyroot: Callable[..., Result]) -> None:
    done = run_pyroot(["doctor", debian_i386_root])
    assert done.status == 0, done.stdout


@pytest.mark.skipif(shutil.which("musl-gcc") is None, reason="no musl-gcc (Debian: musl-tools)")
def test_musl_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("bin", "lib", "etc", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name, text in (("passwd", "root:x:0:0::/:/bin/tool\n"), ("group", "root:x:0:\n"), ("hosts", "::1 localhost\n")):
        (root / "etc" / name).write_text(text)
    (tmp_path / "own.c").write_text("int own(void) { return 0; }\n")
    (tmp_path / "main.c").write_text("int own(void); int main(void) { return own(); }\n")
    library, program = root / "lib/libz.so.1", root / "bin/tool"
    subprocess.run(["musl-gcc", "-shared", "-fPIC", "-Wl,-soname,libz.so.1", "-o", library, tmp_path / "own.c"], check=True)
    subprocess.run(["musl-gcc", "-o", program, tmp_path / "main.c", library], check=True)
    from pyroot.elf import read_elf

    interp = os.fsdecode(read_elf(str(program)).interp or b"")
    (root / interp[1:]).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(interp, root / interp[1:])
    (root / interp[1:]).chmod(0o755)
    give(root)
    assert codes(examine(root), "error") == []
    library.unlink()
    findings = examine(root)
    assert codes(findings, "error") == ["library-missing"]
    found = next(one for one in findings if one.code == "library-missing")
    assert found.steps == (), "a library of glibc is of no use to a program of musl"


def test_reader_that_goes_away_does_not_stop_the_mending(root: Path) -> None:
    (root / "etc/passwd").unlink()
    line = f"{shlex.quote(sys.executable)} -m pyroot doctor --fix {shlex.quote(str(root))} | head -c 1"
    environment = {**helpers.python_environment(), "PATH": os.environ.get("PATH", os.defpath)}
    done = subprocess.run(["sh", "-c", line], env=environment, cwd="/", capture_output=True, text=True, check=True, timeout=60)
    assert (len(done.stdout), done.stderr) == (1, "")
    assert (root / "etc/passwd").exists()
