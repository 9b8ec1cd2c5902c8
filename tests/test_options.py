"""The option table, the parser that it drives, the help, the man page, and the Config that comes out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyroot import api, config, explain, option_kinds, options, usage
from pyroot.errors import PyrootError

TOP = Path(__file__).resolve().parent.parent

# Every spelling of proot 5.4's table for what this version does.
PROOT_SPELLINGS = {
    "rootfs": ["-r", "--rootfs"],
    "recommended": ["-R"],
    "binds": ["-b", "--bind", "-m", "--mount"],
    "cwd": ["-w", "--pwd", "--cwd"],
    "verbose": ["-v", "--verbose"],
    "version": ["-V", "--version", "--about"],
    "help": ["-h", "--help", "--usage"],
    "kill_on_exit": ["--kill-on-exit"],
    "root_id": ["-0", "--root-id"],
    "change_id": ["-i", "--change-id"],
    "su": ["-S"],
    "kernel_release": ["-k", "--kernel-release"],
}
SPELLINGS = [(field, name) for field, names in PROOT_SPELLINGS.items() for name in names]
WITH_VALUE = [(field, name) for field, name in SPELLINGS if options.RUN.by_name[name].metavar]


def settings(words: list[str]) -> list[tuple[str, str]]:
    return [(option.field, value) for option, _spelling, value in options.parse(words).settings]


@pytest.mark.parametrize(("field", "name"), SPELLINGS)
def test_every_spelling_of_proot_is_known(field: str, name: str) -> None:
    assert options.RUN.by_name[name].field == field


def test_spellings_are_unique_and_fields_belong_to_config() -> None:
    names = [name for option in options.OPTIONS for name in option.names]
    assert len(names) == len(set(names))
    for option in options.OPTIONS:
        assert (option.field in config.Config.__slots__) == (option.kind is not option_kinds.QUESTION)
        assert option.field in config.Config.__annotations__ or option.kind is option_kinds.QUESTION, "say the type of the field"


def test_a_field_that_nobody_knows_raises_and_sets_nothing_else() -> None:
    for metavar, kind in (("", option_kinds.FLAG), ("N", option_kinds.LEVEL), ("HOST", option_kinds.BINDS)):
        parsed = options.parse(["ls"])
        parsed.settings.append((options.Option(("--new",), metavar, "nowhere", kind, "", "nothing"), "--new", "1"))
        with pytest.raises(AttributeError, match="nowhere"):
            config.build(parsed)


def test_a_new_row_is_an_option_a_field_and_a_keyword(tmp_path: Path) -> None:
    """Nothing but the row is to be written (and the type of its field)."""
    shutil.copytree(TOP / "pyroot", tmp_path / "pyroot", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    table = tmp_path / "pyroot/options.py"
    row = 'Option(("--new-flag",), "", "new_flag", FLAG, GROUP_RUN, "be new", "It is new."),\n'
    table.write_text(table.read_text().replace("OPTIONS: tuple[Option, ...] = (\n", f"OPTIONS: tuple[Option, ...] = (\n    {row}"))
    program = (
        "from pyroot import api, config, options, usage\n"
        "made = config.build(options.parse(['--new-flag', 'ls']))\n"
        "assert made.new_flag and not made.kill_on_exit and not made.stats\n"
        "assert not config.build(options.parse(['ls'])).new_flag\n"
        "assert '--new-flag' in api.command_line(['ls'], new_flag=True)\n"
        "assert '--new-flag' not in api.command_line(['ls'], new_flag=False)\n"
        "assert 'new_flag: bool' in usage.api_stub() and '--new-flag' in usage.short()\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, env={"PYTHONPATH": str(tmp_path)})


@pytest.mark.parametrize(("field", "name"), WITH_VALUE)
def test_value_may_be_attached_or_separate(field: str, name: str) -> None:
    attached = f"{name}=x:y" if name.startswith("--") else f"{name}x:y"
    assert settings([attached, "ls"]) == [(field, "x:y")]
    assert settings([name, "x:y", "ls"]) == [(field, "x:y")]
    assert options.parse([name, "x:y", "ls", "-l"]).command == ["ls", "-l"]


@pytest.mark.parametrize(("field", "name"), WITH_VALUE)
def test_missing_value_is_an_error(field: str, name: str) -> None:
    with pytest.raises(PyrootError, match="is missing") as caught:
        options.parse([name])
    assert caught.value.exit_code == 125
    assert options.RUN.by_name[name].metavar in caught.value.hint


def test_value_is_taken_as_it_is() -> None:
    assert settings(["-v", "-1"]) == [("verbose", "-1")]
    assert settings(["-v-1"]) == [("verbose", "-1")]
    assert settings(["--verbose=-1"]) == [("verbose", "-1")]
    assert settings(["-b", "--bind"]) == [("binds", "--bind")]
    assert settings(["--rootfs=a=b"]) == [("rootfs", "a=b")]


def test_first_word_that_is_no_option_begins_the_command() -> None:
    parsed = options.parse(["-r", "x", "ls", "-r", "y", "--", "-b"])
    assert parsed.command == ["ls", "-r", "y", "--", "-b"]
    assert settings(["-r", "x", "ls", "-r", "y"]) == [("rootfs", "x")]


def test_two_dashes_end_the_options_once() -> None:
    assert options.parse(["--", "-r", "x"]).command == ["-r", "x"]
    assert options.parse(["-r", "x", "--", "--", "ls"]).command == ["--", "ls"]
    assert options.parse(["--"]).command == []
    assert options.parse([]).command == []


def test_a_single_dash_is_a_command() -> None:
    assert options.parse(["-", "x"]).command == ["-", "x"]


@pytest.mark.parametrize("word", ["-h", "--help", "--usage", "-V", "--version", "--about"])
def test_question_is_answered_before_what_follows_is_looked_at(word: str) -> None:
    parsed = options.parse(["-r", "/nowhere", word, "--no-such-option"])
    assert parsed.question is not None
    assert parsed.question[1] == word


@pytest.mark.parametrize(
    "word",
    ["-q", "-p", "-n", "-l", "-H", "-L", "-P", "--mixed-mode", "--qemu=x", "-qqemu-arm", "--port=80:8080", "--netcoop",
     "--link2symlink", "--sysvipc"],
)  # fmt: skip
def test_option_of_proot_that_is_not_here_is_refused_plainly(word: str) -> None:
    with pytest.raises(PyrootError, match="is not supported") as caught:
        options.parse([word, "x", "ls"])
    assert caught.value.exit_code == 125
    assert caught.value.hint


@pytest.mark.parametrize(
    ("word", "near"), [("--rootfz=x", "--rootfs"), ("--bnid", "--bind"), ("--kill-on-ext", "--kill-on-exit")]
)
def test_unknown_option_names_the_nearest_spelling(word: str, near: str) -> None:
    with pytest.raises(PyrootError, match="unknown option") as caught:
        options.parse([word, "ls"])
    assert near in caught.value.hint


@pytest.mark.parametrize("word", ["-x", "--zzzzzz", "-hV", "-Vx", "-X1"])
def test_unknown_option_without_a_near_one_points_at_the_list(word: str) -> None:
    with pytest.raises(PyrootError, match="unknown option") as caught:
        options.parse([word, "ls"])
    assert "-h" in caught.value.hint


@pytest.mark.parametrize("word", ["--help=x", "--version=1", "--kill-on-exit=yes", "--kill-on-exit="])
def test_flag_with_a_value_is_refused(word: str) -> None:
    with pytest.raises(PyrootError, match="takes no value"):
        options.parse([word, "ls"])


@pytest.mark.parametrize("word", ["-r=x", "-b=/a:/b"])
def test_equals_behind_a_short_option_is_refused_with_the_right_form(word: str) -> None:
    with pytest.raises(PyrootError) as caught:
        options.parse([word, "ls"])
    assert caught.value.hint == f"{word[:2]} {word[3:]}"


@pytest.mark.parametrize("word", ["-rootfs=x", "-bind", "-version", "-cwd"])
def test_long_option_with_one_dash_is_refused(word: str) -> None:
    with pytest.raises(PyrootError, match="two dashes"):
        options.parse([word, "ls"])


def test_misplaced_option_is_found_behind_the_command() -> None:
    assert explain.misplaced(["ls", "-l", "--rootfs=x"]) == "--rootfs=x"
    assert explain.misplaced(["ls", "-R"]) == "-R"
    assert explain.misplaced(["ls", "--", "-R"]) == ""
    assert explain.misplaced(["-r"]) == ""
    assert explain.misplaced([]) == ""


@pytest.mark.parametrize("option", options.OPTIONS, ids=lambda option: option.names[0])
def test_every_option_and_verb_is_in_both_helps_and_the_man_page(option: options.Option) -> None:
    page = usage.man_page()
    for name in option.names:
        assert name in usage.short()
        assert name in usage.full()
        assert usage.roff(name) in page
    assert option.help in usage.short()


def test_verbs_end_the_help() -> None:
    behind = usage.short().rpartition("Verbs:\n")[2]
    for name, _arguments, text, _module in options.VERBS:
        assert name in behind
        assert text in behind


def test_help_fits_a_terminal() -> None:
    assert max(map(len, usage.short().splitlines())) <= 80
    assert max(map(len, usage.full().splitlines())) <= 100


def test_man_page_is_the_generated_one() -> None:
    assert (TOP / "docs/man/pyroot.1").read_text() == usage.man_page(), "run python docs/man/generate.py"


def test_stub_of_the_api_is_the_generated_one() -> None:
    assert (TOP / "pyroot/api.pyi").read_text() == usage.api_stub(), "run python docs/man/generate.py"


def test_generator_writes_the_man_page_and_the_stub(tmp_path: Path) -> None:
    (tmp_path / "docs/man").mkdir(parents=True)
    (tmp_path / "pyroot").mkdir()
    for path in (TOP / "pyroot").iterdir():
        if path.name != "api.pyi":
            (tmp_path / "pyroot" / path.name).symlink_to(path)
    script = tmp_path / "docs/man/generate.py"
    script.write_bytes((TOP / "docs/man/generate.py").read_bytes())
    subprocess.run([sys.executable, str(script)], check=True)
    assert (tmp_path / "docs/man/pyroot.1").read_text() == usage.man_page()
    assert (tmp_path / "pyroot/api.pyi").read_text() == usage.api_stub()


def test_roff_escapes_what_man_would_eat() -> None:
    assert usage.roff("a-b\\:c") == "a\\-b\\e:c"
    assert usage.roff(".SH") == "\\&.SH"
    assert usage.roff("'x'") == "\\&'x'"


# Keywords of the Python API


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({}, ["-r", "/"]),
        ({"rootfs": b"/x", "recommended": True}, ["-R", "/x"]),
        ({"binds": ["/a:/b", Path("/c")], "cwd": Path("/d")}, ["-r", "/", "-b", "/a:/b", "-b", "/c", "-w", "/d"]),
        ({"kill_on_exit": True, "net": True, "detach_daemons": False}, ["-r", "/", "--kill-on-exit", "--net"]),
        ({"grace": 0, "verbose": -1}, ["-r", "/", "--grace", "0", "-v", "-1"]),
        ({"grace": None, "verbose": 0, "cwd": None, "recommended": False, "binds": ()}, ["-r", "/"]),
        ({"stats": True, "grace": 2.5}, ["-r", "/", "--grace", "2.5", "--stats"]),
    ],
)
def test_keywords_of_the_api_are_the_options(keywords: dict[str, object], words: list[str]) -> None:
    line = api.command_line(["ls", "-l"], **keywords)
    assert line[-len(words) - 3 :] == [*words, "--", "ls", "-l"]
    assert options.parse(line[3:]).command == ["ls", "-l"]


def test_keyword_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="'rootfz'"):
        api.command_line(["ls"], rootfz="/")
    with pytest.raises(TypeError, match="rootfz"):
        api.run(["ls"], rootfz="/")


# Config


def build(words: list[str]) -> config.Config:
    return config.build(options.parse(words))


@pytest.fixture(autouse=True)
def _quiet() -> object:
    from pyroot import report

    yield
    report.set_verbosity(0)


def test_defaults() -> None:
    made = build([])
    assert (made.rootfs, made.cwd, made.command, made.binds, made.recommended) == (b"/", None, [], [], False)
    assert not made.kill_on_exit
    assert (made.verbose, made.grace) == (0, 5.0)
    made.binds.append(config.binding.Binding(b"/", b"/x"))
    assert build([]).binds == []
    assert made.host_cwd == os.getcwdb()


def test_last_root_counts_and_is_told_at_level_1(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    assert build(["-r", str(first), "--rootfs", str(second), "ls"]).rootfs == os.fsencode(second)
    assert capfd.readouterr().err == ""
    assert build(["-v1", "-R", str(second), "-r", str(first), "ls"]).rootfs == os.fsencode(first)
    assert "the last one counts" in capfd.readouterr().err


def test_recommended_bindings_stay_whichever_root_counts(tmp_path: Path) -> None:
    assert build(["-R", str(tmp_path), "-R", str(tmp_path)]).recommended
    made = build(["-R", "/", "-r", str(tmp_path)])
    assert made.recommended
    assert made.rootfs == os.fsencode(tmp_path)
    assert not build(["-r", str(tmp_path)]).recommended


def test_root_is_made_canonical_and_remembered_as_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    made = build(["-r", "link"])
    assert made.rootfs == os.fsencode(tmp_path / "real")
    assert made.rootfs_spelled == os.fsencode(tmp_path / "link")
    assert build(["-r", "./link/."]).rootfs_spelled == os.fsencode(tmp_path / "link")


def test_relative_working_directory_begins_at_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert build(["-w", "sub"]).cwd == os.fsencode(tmp_path / "sub")
    assert build(["-w", "/etc"]).cwd == b"/etc"


@pytest.mark.parametrize("words", [["-v", "loud"], ["-v", ""], ["-r", ""], ["-w", ""], ["-b", ""], ["--rootfs="]])
def test_unusable_value_is_refused(words: list[str]) -> None:
    with pytest.raises(PyrootError) as caught:
        build([*words, "ls"])
    assert caught.value.exit_code == 125
    assert caught.value.hint


def test_levels_count_from_below_zero() -> None:
    assert build(["-v", "-1"]).verbose == -1
    assert build(["-v2", "-v", "3"]).verbose == 3


def test_root_that_is_missing_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PyrootError, match="no such file or directory") as caught:
        build(["-r", str(tmp_path / "nope"), "ls"])
    assert "pyroot new" in caught.value.hint
    with pytest.raises(PyrootError, match="not a directory"):
        build(["-R", str(tmp_path / "file"), "ls"])
    with pytest.raises(PyrootError, match="not a directory"):
        build(["-R", str(tmp_path / "file/x"), "ls"])


def test_value_swallowed_by_a_root_option_is_pointed_out() -> None:
    with pytest.raises(PyrootError) as caught:
        build(["-r", "-b", "/proc", "ls"])
    assert "left out" in caught.value.hint


def test_environment_turns_the_filter_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build([]).seccomp
    monkeypatch.setenv("PROOT_NO_SECCOMP", "1")
    assert not build([]).seccomp
    monkeypatch.delenv("PROOT_NO_SECCOMP")
    monkeypatch.setenv("PYROOT_NO_SECCOMP", "1")
    assert not build([]).seccomp


def test_words_that_are_no_text_survive() -> None:
    assert build([os.fsdecode(b"\xff\xfe"), "x"]).command == [b"\xff\xfe", b"x"]


def test_removed_working_directory_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        assert build(["ls"]).host_cwd is None
        with pytest.raises(PyrootError, match="current directory is gone"):
            build(["-r", ".", "ls"])
    finally:
        os.chdir("/")
