"""`pyroot doctor`: a sound root has no error, a broken one has its defect named and nothing else, and --fix mends it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyroot import environment
from pyroot.doctor import checks, registry, verb
from pyroot.doctor.registry import Finding
from pyroot.errors import PyrootError
from pyroot.reading.view import Bound
from tests import helpers
from tests.broken_roots import codes, copy_root, digest, examine, fix, give
from tests.broken_table import DEFECTS, Defect
from tests.helpers import Result

PROJECT = Path(__file__).resolve().parent.parent


def test_small_root_is_sound(root: Path) -> None:
    findings = examine(root)
    assert codes(findings) == []
    assert set(codes(findings, "warning")) <= {"dev-incomplete", "dev-empty"}


def possible(defect: Defect, root: Path) -> None:
    """Skip a situation that this host cannot get a root into."""
    if defect.needs == "merged" and not (root / "bin").is_symlink():
        pytest.skip("this host is not merged-/usr")
    elif defect.needs.startswith("/"):
        if not os.path.lexists(defect.needs):
            pytest.skip(f"this host has no {defect.needs}")
    elif defect.needs not in ("", "root", "merged") and shutil.which(defect.needs) is None:
        pytest.skip(f"this host has no {defect.needs}")


@pytest.mark.parametrize("defect", [
    # device nodes are made by root
    pytest.param(defect, id=defect.name.replace(" ", "-"), marks=[pytest.mark.root] if defect.needs == "root" else []) for defect in DEFECTS
])
def test_defect_is_named_first_and_nothing_else(defect: Defect, root: Path) -> None:
    possible(defect, root)
    before = set(codes(examine(root, defect.commands), "warning"))
    defect.act(root)
    findings = examine(root, defect.commands, **defect.environment)
    assert codes(findings) == ([defect.code] if defect.severity == "error" else []), findings
    news = [code for code in codes(findings, defect.severity) if code not in before]
    assert news[:1] == [defect.code], findings
    named = [one for one in findings if one.code == defect.code and one.severity == defect.severity]
    assert all(one.what and one.why and one.mend for one in named)
    assert len(named) == 1, "one defect is told once"
    assert bool(named[0].steps) == defect.mends, named
    if defect.mends:
        left, problems = fix(root, defect.commands, **defect.environment)
        assert problems == []
        assert codes(left) == []
        assert defect.code not in [one.code for one in left if one.severity == defect.severity]
        once = digest(root)
        fix(root, defect.commands, **defect.environment)
        assert digest(root) == once, "one run is enough"


def test_enough_defects() -> None:
    assert len(DEFECTS) >= 80
    assert len({defect.code for defect in DEFECTS}) >= 40
    assert sum("#" in defect.source for defect in DEFECTS) >= 40, "reported by somebody"
    assert all(defect.kind and defect.source for defect in DEFECTS)


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
    copy_root(sound, root)
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


COMMANDS = ("chmod ", "chown ", "ln ", "sed ", "mkdir ", "mv ", "rm ", "rmdir ", "pyroot copy ", "pyroot doctor ")
ANOTHER_RUN = re.compile(r"env -u (\w+) pyroot -r |(?:run it with pyroot |run with )?(-R)\b")


def carry_out(mend: str, root: Path, commands: tuple[str, ...], variables: dict[str, str]) -> list[Finding]:
    """Do what a fix says, and look again: a command, a run with -R, or one without a variable."""
    command = re.split(r", (?:or|and) |; ", mend)[0]
    if command.startswith(COMMANDS):
        script = f'pyroot() {{ {shlex.quote(sys.executable)} -m pyroot "$@"; }}\n{command}'
        environment = {**helpers.python_environment(), "PATH": os.environ.get("PATH", os.defpath), "TERM": "dumb"}
        # (the doctor's own status speaks of the whole root)
        subprocess.run(["sh", "-c", script], check="doctor" not in command, cwd="/", env=environment, stdout=subprocess.DEVNULL)
        give(root)
    elif found := ANOTHER_RUN.match(mend):
        variables = {name: value for name, value in variables.items() if name != found[1]}
        if found[2]:
            view = verb._make_view(os.fsencode(root), [str(root), *commands], verb.DOCTOR.read(["-R", "--no-run"]))
            view.environment = {name.encode(): value.encode() for name, value in variables.items()}
            return verb.examine(view)
    else:
        pytest.skip(f"no command: {mend}")
    return examine(root, commands, **variables)


@pytest.mark.parametrize("defect", [
    pytest.param(one, id=one.name.replace(" ", "-"), marks=[pytest.mark.root] if one.needs == "root" else []) for one in DEFECTS
])
def test_what_a_finding_says_is_done_and_the_failure_is_gone_or_changed(defect: Defect, root: Path) -> None:
    """Every fix that can be carried out is, as it stands."""
    possible(defect, root)
    defect.act(root)
    findings = examine(root, defect.commands, **defect.environment)
    [found] = [one for one in findings if (one.code, one.severity) == (defect.code, defect.severity)]
    after = carry_out(found.mend, root, defect.commands, defect.environment)
    left = [one.what for one in after if (one.code, one.path) == (found.code, found.path)]
    if found.code == "resolv-missing" and left and codes(examine(Path("/")), "warning").count("resolv-missing"):
        pytest.skip("this host has no name server, either")
    assert found.what not in left


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
    assert "passwd-missing" in codes(examine(root))


def test_resolv_conf_that_somebody_wrote_is_not_replaced(root: Path) -> None:
    (root / "etc/resolv.conf").write_text("search example\n")
    findings = examine(root)
    assert [one.steps for one in findings if one.code == "resolv-missing"] == [()]
    verb.mend(bytes(root), findings, only_show=False, quiet=True)
    assert (root / "etc/resolv.conf").read_text() == "search example\n"


def test_reader_that_goes_away_does_not_stop_the_mending(root: Path) -> None:
    (root / "etc/passwd").unlink()
    line = f"{shlex.quote(sys.executable)} -m pyroot doctor --fix {shlex.quote(str(root))} | head -c 1"
    environment = {**helpers.python_environment(), "PATH": os.environ.get("PATH", os.defpath)}
    done = subprocess.run(["sh", "-c", line], env=environment, cwd="/", capture_output=True, text=True, check=True, timeout=60)
    assert (len(done.stdout), done.stderr) == (1, "")
    assert (root / "etc/passwd").exists()
