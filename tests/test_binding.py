"""Bindings: grammar, presets, order, and places that do not exist in the guest.

Everything is checked with the readable translator and with the compiled one, which have one contract.
"""

import itertools
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyroot import binding, glue, presets, report
from pyroot import path as reference
from pyroot.binding import Binding
from pyroot.errors import PyrootError

TOP = Path(__file__).resolve().parent.parent


def compiled(rootfs: bytes) -> Any:
    from pyroot._fast import Core

    return Core(rootfs)


@pytest.fixture(params=[reference.View, compiled], ids=["reference", "compiled"])
def make_core(request: pytest.FixtureRequest) -> Any:
    return request.param


class Place:
    """A root, a host directory beside it, and a directory for glue."""

    def __init__(self, top: Path, make_core: Callable[[bytes], Any]) -> None:
        self.root, self.host, self.tmp = top / "root", top / "host", top / "tmp"
        for directory in (self.root, self.host, self.tmp):
            directory.mkdir()
        self.make_core = make_core
        self.glue = glue.Glue(os.fsencode(self.root), [os.fsencode(self.tmp)])

    def view(self, *arguments: str) -> Any:
        """Build a view for arguments of -b in which H stands for the host directory."""
        bindings = []
        for text in arguments:
            shown = text.replace("H/", f"{self.host}/")
            bindings.append(binding.parse(os.fsencode(shown), os.fsencode(self.host), f"-b {shown}"))
        return binding.build_view(self.make_core, os.fsencode(self.root), bindings, self.glue)

    def tree(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*"))


@pytest.fixture
def place(tmp_path: Path, make_core: Callable[[bytes], Any]) -> Iterator[Place]:
    made = Place(tmp_path, make_core)
    yield made
    made.glue.remove()
    assert list(made.tmp.iterdir()) == []
    report.set_verbosity(0)


def host_of(core: Any, guest: str) -> str:
    return os.fsdecode(core.resolve(os.fsencode(guest))[1])


# Grammar


@pytest.mark.parametrize(
    ("text", "host", "guest", "follow"),
    [
        (rb"/a", b"/a", None, True),
        (rb"/a:/b", b"/a", b"/b", True),
        (rb"/a:/b!", b"/a", b"/b", False),
        (rb"/a!", b"/a", None, False),
        (rb"/a:/b:c", b"/a", b"/b:c", True),
        (rb"/a\:b:/c", b"/a:b", b"/c", True),
        (rb"/a\:b", b"/a:b", None, True),
        (rb"/a:/b\!", b"/a", b"/b!", True),
        (rb"/a:/b\!!", b"/a", b"/b!", False),
        (rb"/a!b:/c!d", b"/a!b", b"/c!d", True),
        (rb"/dev-disk-by\x2dlabel", rb"/dev-disk-by\x2dlabel", None, True),
        (rb"/a\\:/b", b"/a\\", b"/b", True),
        (b"/a\\", b"/a\\", None, True),
        (b"", b"", None, True),
        (b":/b", b"", b"/b", True),
        (b"/a:", b"/a", b"", True),
        (b"/\xff:/\xfe", b"/\xff", b"/\xfe", True),
    ],
)
def test_split(text: bytes, host: bytes, guest: bytes | None, follow: bool) -> None:
    assert binding.split(text) == (host, guest, follow)


@pytest.mark.parametrize(
    ("text", "host", "guest"),
    [
        (b"/a", b"/a", b"/a"),
        (b"a", b"/cwd/a", b"/cwd/a"),
        (b"../a", b"/cwd/../a", b"/a"),
        (b".", b"/cwd/.", b"/cwd"),
        (b"/a:b", b"/a", b"/cwd/b"),
        (b"a:/b", b"/cwd/a", b"/b"),
        (b"/a/../b", b"/a/../b", b"/a/../b"),
    ],
)
def test_relative_sides_begin_at_the_working_directory(text: bytes, host: bytes, guest: bytes) -> None:
    parsed = binding.parse(text, b"/cwd")
    assert (parsed.host, parsed.guest) == (host, guest)


@pytest.mark.parametrize(("text", "side"), [(b":/b", "host"), (b"/a:", "guest"), (b"", "host"), (b"!", "host")])
def test_empty_side_is_refused(text: bytes, side: str) -> None:
    with pytest.raises(PyrootError, match=f"the {side} path is empty") as caught:
        binding.parse(text, b"/cwd")
    assert caught.value.exit_code == 125


@pytest.mark.parametrize(
    ("text", "guest", "readonly", "optional", "follow"),
    [
        ("/a:/b:ro", b"/b", True, False, True),
        ("/a:/b:rw", b"/b", False, False, True),
        ("/a:/b:ro,rw", b"/b", False, False, True),
        ("/a:/b:try,ro", b"/b", True, True, True),
        ("/a:/b:nofollow", b"/b", False, False, False),
        ("/a:/b:ro!", b"/b", True, False, False),
        ("/a::ro", b"/a", True, False, True),
        ("a:b:ro", b"/cwd/b", True, False, True),
        (r"/a\:b:/c:try", b"/c", False, True, True),
        ("/a:/b:c:ro", b"/b:c", True, False, True),
    ],
)
def test_options_follow_the_guest_path(text: str, guest: bytes, readonly: bool, optional: bool, follow: bool) -> None:
    parsed = binding.parse(os.fsencode(text), b"/cwd", f"-b {text}")
    assert (parsed.guest, parsed.readonly, parsed.optional, parsed.follow) == (guest, readonly, optional, follow)
    assert parsed.flags == (binding.READONLY_FLAG if readonly else 0)


REFUSED = [
    ("/a:/b:ro,Z", "Z", "leave it out"),
    ("/a:/b:z!", "z", "leave it out"),
    ("/a:/b:c:rslave", "rslave", r"written \\:rslave"),
    (r"/a\:b:/c:cached", "cached", "leave it out"),
]


@pytest.mark.parametrize(("text", "option", "hint"), REFUSED)
def test_options_of_other_tools_are_refused(text: str, option: str, hint: str) -> None:
    with pytest.raises(PyrootError, match=f"-b .*: a binding has no option {option}$") as caught:
        binding.parse(os.fsencode(text), b"/cwd", f"-b {text}")
    assert re.search(hint, caught.value.hint)


@pytest.mark.parametrize("option", ["ro", "rw", "try", "ro,try"])
def test_option_in_the_place_of_the_guest_path_is_refused(option: str) -> None:
    with pytest.raises(PyrootError, match=f"{option} is where the guest path belongs") as caught:
        binding.parse(os.fsencode(f"/a:{option}"), b"/cwd", f"-b /a:{option}")
    assert f"HOST::{option}" in caught.value.hint


def test_options_of_other_tools_are_refused_wherever_a_binding_is_given(tmp_path: Path) -> None:
    from pyroot import api, config, options
    from pyroot.doctor import verb

    text = f"{tmp_path}:/x:Z"
    for words in ([["-b", text], ["-m", text], [f"--bind={text}"], [f"--mount={text}"], [f"--ro-bind={text}"],
                   api.command_line(["ls"], binds=[text])[3:]]):  # fmt: skip
        with pytest.raises(PyrootError, match="a binding has no option Z"):
            config.build(options.parse([*words, "true"]))
    with pytest.raises(PyrootError, match="a binding has no option Z"):
        verb.main(["-b", text, str(tmp_path)])
    (tmp_path / "x.bind").write_text(f"{text}  # not to be had\n")
    with pytest.raises(PyrootError, match="a binding has no option Z"):
        presets.read_own(str(tmp_path / "x.bind"), {})


@pytest.mark.parametrize(
    ("text", "guest"),
    [(rb"/a:/b\:ro", b"/b:ro"), (rb"/a:/b\:ro!", b"/b:ro"), (b"/a:/b:c", b"/b:c"), (b"/a:/b:ro/c", b"/b:ro/c"), (b"/a:/b:", b"/b:"),
     (b"/a:/ro", b"/ro"), (b"/a:./ro", b"/cwd/ro"), (b"/a:dev", b"/cwd/dev"), (b"/a:/b:ro,c", b"/b:ro,c"), (rb"/a\:ro", b"/a:ro"),
     (b"/pci-0000:/b:00.0", b"/b:00.0")],
)  # fmt: skip
def test_guest_path_may_hold_colons(text: bytes, guest: bytes) -> None:
    assert binding.parse(text, b"/cwd").guest == guest


def test_relative_path_without_working_directory_is_refused() -> None:
    with pytest.raises(PyrootError, match="current directory is gone"):
        binding.parse(b"a", None, "-b a")


# Presets


def test_recommended_is_the_list_of_proot() -> None:
    found = presets.read_own(presets.own_path("recommended"), {b"HOME": b"/h", b"ROOTFS": b"/r"})
    etc = "host.conf hosts hosts.equiv mtab netgroup networks passwd group nsswitch.conf resolv.conf localtime"
    expected = [f"/etc/{name}" for name in etc.split()]
    expected += ["/dev", "/sys", "/proc", "/tmp", "/run", "/var/run/dbus/system_bus_socket", "/h", "/r"]
    assert sorted(os.fsdecode(line.host) for line in found) == sorted(expected)
    assert all(line.host == line.guest and line.follow and not line.shown for line in found)


def test_every_line_of_every_preset_says_why() -> None:
    for file in (TOP / "bind").glob("*.bind"):
        for line in file.read_text().splitlines():
            assert not line or "#" in line, f"{file.name}: {line}"


def test_preset_file_grammar(tmp_path: Path) -> None:
    file = tmp_path / "x.bind"
    file.write_text(
        "# nothing\n\n  # indented\n/a   # why\n/b:/c!\t# tab\n/d#e\n"
        "$HOME/x:/y  # below\n$HOME\n$NONE/x\n$EMPTY\n$REL/x\n/z \\\\#\n"
    )
    found = presets.read_own(str(file), {b"HOME": rb"/h:o\m", b"EMPTY": b"", b"REL": b"rel"})
    assert [(line.host, line.guest, line.follow) for line in found] == [
        (b"/a", b"/a", True),
        (b"/b", b"/c", False),
        (b"/d#e", b"/d#e", True),
        (rb"/h:o\m/x", b"/y", True),
        (rb"/h:o\m", rb"/h:o\m", True),
        (rb"/z \#", rb"/z \#", True),
    ]


def test_missing_preset_is_an_error_of_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "own_path", lambda name: "")
    with pytest.raises(PyrootError, match=r"bind/recommended\.bind is missing"):
        presets.usual("recommended", b"/")


def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **texts: str) -> None:
    """Write lists of the user's own."""
    (tmp_path / "pyroot").mkdir(exist_ok=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name, text in texts.items():
        (tmp_path / f"pyroot/{name}.bind").write_text(text)


def test_a_list_of_the_user_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "/da:ta")
    lists(tmp_path, monkeypatch, mine="# mine\n$DATA/x:/x:ro   # why\n\n@more\n/a$$b\n", more="${DATA}:/more\nhere:/here:try\n")
    found = presets.of_option(b"@mine", b"/cwd", "-b @mine")
    assert [(one.host, one.guest, one.readonly, one.optional) for one in found] == [
        (b"/da:ta/x", b"/x", True, False), (b"/da:ta", b"/more", False, False),
        (os.fsencode(tmp_path) + b"/pyroot/here", b"/here", False, True), (b"/a$b", b"/a$b", False, False)]  # fmt: skip
    by_path = presets.of_option(b"@./mine.bind", os.fsencode(tmp_path / "pyroot"), "-b @./mine.bind")
    assert [one.host for one in by_path] == [one.host for one in found]
    assert presets.of_option(b"@recommended", b"/cwd", "-b")[0].host == b"/etc/host.conf"


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("$NOT_SET/x", r"mine\.bind, line 1: \$NOT_SET is not set", r"\$\$"),
        ("\n@mine", r"mine\.bind includes itself", r"mine\.bind"),
        ("@other", r"mine\.bind, line 1: there is no list other", r"other\.bind would be one"),
        ("@./none", r"none: no such file", "HOST:GUEST"),
        ("/a:/b:Z", "a binding has no option Z", "leave it out"),
        ("@", "no list is named", "@NAME"),
        ("/a:", r"mine\.bind, line 1: the guest path is empty", "HOST"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str, hint: str
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    lists(tmp_path, monkeypatch, mine=text)
    with pytest.raises(PyrootError, match=f"(?i){says}") as caught:
        presets.of_option(b"@mine", b"/cwd", "-b @mine")
    assert re.search(hint, caught.value.hint)


def test_preset_of_an_installed_package_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "pyroot/bind"
    installed.mkdir(parents=True)
    (installed / "recommended.bind").write_text("/proc\n")
    monkeypatch.setattr(presets, "__file__", str(tmp_path / "pyroot/presets.py"))
    assert presets.own_path("recommended") == str(installed / "recommended.bind")


def test_preset_line_that_does_not_fit_is_left_out(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    (place.root / "file").write_text("")
    (place.host / "x").mkdir()
    host = os.fsencode(place.host)
    lines = [
        Binding(host + b"/missing", b"/m"),
        Binding(host + b"/x", b"/file/x"),
        Binding(host + b"/x", b"/"),
        Binding(host + b"/x", b"/ok"),
    ]
    report.set_verbosity(1)
    core = binding.build_view(place.make_core, os.fsencode(place.root), lines, place.glue)
    assert [guest for _host, guest, _flags in core.bindings()] == [b"/", b"/ok"]
    assert "/file/x is not bound: not a directory" in capfd.readouterr().err


def test_preset_line_that_changes_nothing_is_left_out(make_core: Any) -> None:
    core = binding.build_view(make_core, b"/", [Binding(b"/proc", b"/proc")], glue.Glue(b"/", []))
    assert len(core.bindings()) == 1
    core = binding.build_view(make_core, b"/", [Binding(b"/proc", b"/proc", True, "-b /proc")], glue.Glue(b"/", []))
    assert len(core.bindings()) == 2


# Errors for what the user asked for


def test_missing_host_side_is_an_error_that_names_it(place: Place) -> None:
    with pytest.raises(PyrootError) as caught:
        place.view("H/nope:/x")
    assert caught.value.exit_code == 125
    assert f"{place.host}/nope on the host: no such file or directory" in caught.value.message
    assert caught.value.hint


def test_place_below_a_file_is_an_error_in_guest_terms(place: Place) -> None:
    (place.root / "file").write_text("")
    with pytest.raises(PyrootError, match="/file/x in the guest: not a directory") as caught:
        place.view("H/:/file/x")
    assert str(place.root) not in caught.value.message
    assert caught.value.hint


def test_binding_over_the_root_is_refused(place: Place) -> None:
    with pytest.raises(PyrootError, match="cannot be the root itself"):
        place.view("H/:/")
    with pytest.raises(PyrootError, match="cannot be the root itself"):
        place.view("H/:/..")


# Where bindings land


def test_host_side_is_resolved_with_all_links(place: Place) -> None:
    (place.host / "real").mkdir()
    (place.host / "link").symlink_to("real")
    core = place.view("H/link:/x")
    assert core.bindings()[1][:2] == (os.fsencode(place.host / "real"), b"/x")


def test_host_side_in_our_own_proc_directory_is_that_of_each_guest(place: Place) -> None:
    assert place.view("/proc/self/mounts:/mtab").bindings()[1][:2] == (b"/proc/self/mounts", b"/mtab")
    assert place.view("/proc/mounts:/mtab").bindings()[1][0] == b"/proc/self/mounts"


def test_default_place_is_the_host_path_as_spelled(place: Place) -> None:
    (place.host / "real").mkdir()
    (place.host / "link").symlink_to("real")
    core = place.view("link")
    assert core.bindings()[-1][:2] == (os.fsencode(place.host / "real"), os.fsencode(place.host / "link"))


def test_last_link_of_the_place_is_followed_unless_marked(place: Place) -> None:
    (place.root / "dir").mkdir()
    (place.root / "link").symlink_to("dir")
    assert [guest for _h, guest, _f in place.view("H/:/link").bindings()] == [b"/", b"/dir"]
    assert [guest for _h, guest, _f in place.view("H/:/link!").bindings()] == [b"/", b"/link"]


def test_link_in_the_middle_of_the_place_stays_in_the_guest(place: Place) -> None:
    (place.root / "var").mkdir()
    (place.root / "srv").mkdir()
    (place.root / "var/link").symlink_to("/srv")
    assert place.view("H/:/var/link/x").bindings()[1][1] == b"/srv/x"


def test_dangling_link_names_the_place(place: Place) -> None:
    (place.root / "etc").mkdir()
    (place.root / "etc/resolv.conf").symlink_to("../run/resolve/stub.conf")
    (place.host / "resolv.conf").write_text("nameserver ::1\n")
    core = place.view("H/resolv.conf:/etc/resolv.conf")
    assert Path(host_of(core, "/etc/resolv.conf")).read_text() == "nameserver ::1\n"
    assert place.tree() == ["etc", "etc/resolv.conf"]


def test_two_dots_behind_a_missing_component_are_taken_by_the_text(place: Place) -> None:
    assert place.view("H/:/nope/../x").bindings()[-1][1] == b"/x"


def test_last_of_equal_places_counts(place: Place) -> None:
    for name in "ab":
        (place.host / name).mkdir()
    (place.root / "d").mkdir()
    (place.root / "long").mkdir()
    (place.root / "long/link").symlink_to("../d")
    for first, second in (("/d", "/d"), ("/long/link", "/d"), ("/d", "/long/link")):
        core = place.view(f"H/a:{first}", f"H/b:{second}")
        assert host_of(core, "/d") == f"{place.host}/b"


def orders(*arguments: str) -> list[tuple[str, ...]]:
    return list(itertools.permutations(arguments))


def test_nested_bindings_work_in_any_order(place: Place) -> None:
    for name in ("outer/in", "inner/deep", "deepest"):
        (place.host / name).mkdir(parents=True)
    for order in orders("H/outer:/o", "H/inner:/o/in", "H/deepest:/o/in/deep/new"):
        core = place.view(*order)
        assert host_of(core, "/o") == f"{place.host}/outer"
        assert host_of(core, "/o/in") == f"{place.host}/inner"
        assert host_of(core, "/o/in/deep/new") == f"{place.host}/deepest"
        place.glue.remove()


def test_place_inside_another_binding_is_looked_up_there_in_any_order(place: Place) -> None:
    (place.host / "outer/real").mkdir(parents=True)
    (place.host / "outer/link").symlink_to("real")
    (place.host / "inner").mkdir()
    for order in orders("H/outer:/o", "H/inner:/o/link"):
        core = place.view(*order)
        assert core.bindings()[-1][1] == b"/o/real"


def test_depth_as_written_may_lie_about_the_order(place: Place) -> None:
    """The outer binding is written deeper than the one inside it, by way of a link."""
    (place.root / "a/b/c").mkdir(parents=True)
    (place.root / "short").symlink_to("a/b/c")
    (place.host / "outer/real").mkdir(parents=True)
    (place.host / "outer/link").symlink_to("real")
    (place.host / "inner").mkdir()
    for order in orders("H/outer:/a/b/c", "H/inner:/short/link"):
        core = place.view(*order)
        assert host_of(core, "/a/b/c/real") == f"{place.host}/inner"
        assert host_of(core, "/short/link") == f"{place.host}/inner"


def test_file_over_directory_and_directory_over_file(place: Place) -> None:
    (place.root / "dir").mkdir()
    (place.root / "file").write_text("")
    (place.host / "f").write_text("host")
    core = place.view("H/f:/dir", "H/:/file")
    assert Path(host_of(core, "/dir")).read_text() == "host"
    assert host_of(core, "/file") == str(place.host)


# Places that do not exist


def test_one_missing_component_needs_no_glue(place: Place) -> None:
    core = place.view("H/:/new")
    assert core.bindings()[1:] == [(os.fsencode(place.host), b"/new", 0)]
    assert list(place.tmp.iterdir()) == []
    assert place.tree() == []


def test_missing_parents_become_empty_directories_outside_of_the_root(place: Place) -> None:
    (place.host / "f").write_text("host")
    core = place.view("H/f:/a/b/c/file", "H/:/a/b/dir", "H/:/a/other/x/y", "H/:/z/y")
    assert place.tree() == []
    assert Path(host_of(core, "/a/b/c/file")).read_text() == "host"
    assert host_of(core, "/a/b/dir") == str(place.host)
    glue_binds = [(host, guest) for host, guest, flags in core.bindings() if flags == binding.GLUE_FLAG]
    assert sorted(guest for _host, guest in glue_binds) == [b"/a", b"/z"]
    tree = Path(os.fsdecode(next(host for host, guest in glue_binds if guest == b"/a")))
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
    assert names == ["b", "b/c", "b/c/file", "b/dir", "other", "other/x", "other/x/y"]
    assert (tree / "b/c/file").is_file()
    assert (tree / "b/c/file").read_bytes() == b""
    assert (tree / "b/dir").is_dir()
    assert stat.S_IMODE(tree.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in [tree, *tree.rglob("*")] if path.is_dir()} == {0o555}


def test_missing_parents_inside_another_binding_leave_the_host_alone(place: Place) -> None:
    (place.host / "home").mkdir()
    for order in orders("H/home:/home", "H/:/home/a/b/c"):
        core = place.view(*order)
        assert host_of(core, "/home/a/b/c") == str(place.host)
        assert list((place.host / "home").iterdir()) == []
        place.glue.remove()


def test_glue_goes_where_the_root_is_not(place: Place) -> None:
    inside = place.root / "tmp"
    inside.mkdir()
    place.glue = glue.Glue(os.fsencode(place.root), [os.fsencode(inside), b"/nowhere", os.fsencode(place.tmp)])
    place.view("H/:/a/b")
    assert list(inside.iterdir()) == []
    assert len(list(place.tmp.iterdir())) == 1


def test_no_place_for_glue_is_an_error_that_says_why(place: Place) -> None:
    place.glue = glue.Glue(os.fsencode(place.root), [os.fsencode(place.root), b"/nowhere"])
    with pytest.raises(PyrootError) as caught:
        place.view("H/:/a/b")
    assert "is inside the root" in caught.value.message
    assert "/nowhere: No such file or directory" in caught.value.message
    assert "PYROOT_TMP_DIR" in caught.value.hint


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-IS", "-c", ""])
    child.wait()
    return child.pid


def test_leftovers_of_dead_sessions_are_removed(place: Place) -> None:
    uid, dead = os.getuid(), dead_pid()
    left = place.tmp / f"pyroot-glue-{uid}-{dead}-0123abcd"
    (left / "1/a/b").mkdir(parents=True)
    (left / "1/a/file").write_text("")
    (left / "1/a").chmod(0o555)
    alive = place.tmp / f"pyroot-glue-{uid}-{os.getpid()}-0123abcd"
    others = place.tmp / f"pyroot-glue-{uid + 1}-{dead}-0123abcd"
    strange = place.tmp / f"pyroot-glue-{uid}-x"
    for directory in (alive, others, strange):
        directory.mkdir()
    place.view("H/:/a/b")
    assert not left.exists()
    for directory in (alive, others, strange):
        directory.rmdir()


def test_leftover_that_is_still_locked_is_kept(place: Place) -> None:
    """Its pid is gone here but may live in another pid namespace that shares the directory."""
    import fcntl

    left = place.tmp / f"pyroot-glue-{os.getuid()}-{dead_pid()}-0123abcd"
    left.mkdir()
    lock = os.open(left, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place.view("H/:/a/b")
        assert left.exists()
    finally:
        os.close(lock)
        left.rmdir()


def test_removal_follows_no_link(place: Place) -> None:
    place.view("H/:/a/b")
    keep = place.host / "keep"
    keep.write_text("x")
    tree = next(next(place.tmp.iterdir()).iterdir())
    tree.chmod(0o755)
    (tree / "link").symlink_to(place.host)
    place.glue.remove()
    assert keep.read_text() == "x"
