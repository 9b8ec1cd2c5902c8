"""Snapshots, what differs between two, and the checklist of a root that works."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pyroot.errors import PyrootError
from pyroot.manifest import compare, diff, scan, text
from pyroot.manifest.entry import Entry, order
from pyroot.manifest.owners import header_files
from tests.helpers import Result
from tests.rootfs_fixtures import give

Run = Callable[..., Result]


def filled(top: Path) -> Path:
    """Make a root with files of every kind that an ordinary user can make, and with odd names."""
    for name in ("usr/bin", "etc", "tmp"):
        (top / name).mkdir(parents=True)
    (top / "bin").symlink_to("usr/bin")
    (top / "usr/bin/tool").write_bytes(b"tool\n")
    (top / "usr/bin/tool").chmod(0o755)
    os.link(top / "usr/bin/tool", top / "usr/bin/same")
    (top / "etc/with space#=").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(top) + b"/etc/\xff\n\x1b")).write_bytes(b"odd")
    os.symlink(b"to \xfe", os.fsencode(top) + b"/etc/link")
    os.mkfifo(top / "tmp/fifo")
    (top / "tmp").chmod(0o1777)
    with socket.socket(socket.AF_UNIX) as one:
        here = os.getcwd()
        os.chdir(top / "tmp")
        one.bind("socket")
        os.chdir(here)
    return top


def listed(root: Path) -> list[Entry]:
    """Walk a root."""
    return list(scan.scan(os.fsencode(os.path.realpath(root))))


def test_everything_is_written_down_in_order(tmp_path: Path) -> None:
    entries = listed(filled(tmp_path / "root"))
    assert [entry.path for entry in entries] == sorted((entry.path for entry in entries), key=order)
    found = {entry.path: entry for entry in entries}
    assert found[b"/"].type == found[b"/tmp"].type == "dir"
    assert found[b"/tmp"].mode == 0o1777
    tool = found[b"/usr/bin/tool"]
    assert (tool.type, tool.mode, tool.size, tool.uid) == ("file", 0o755, 5, os.getuid())
    assert tool.sha256 == hashlib.sha256(b"tool\n").hexdigest()
    assert found[b"/usr/bin/same"].sha256 == tool.sha256
    assert (found[b"/bin"].type, found[b"/bin"].target) == ("link", b"usr/bin")
    assert (found[b"/tmp/fifo"].type, found[b"/tmp/socket"].type) == ("fifo", "socket")
    assert b"/etc/\xff\n\x1b" in found


def test_roots_that_are_alike_give_the_same_text(tmp_path: Path) -> None:
    first, second = ("".join(text.as_text(listed(filled(tmp_path / name)))) for name in ("one", "two"))
    assert first == second
    assert first.startswith("#mtree\n# pyroot snapshot 1\n. type=dir ")
    assert "./etc/with\\040space\\043\\075 type=file" in first
    assert "./etc/\\377\\012\\033 type=file" in first
    assert "link=to\\040\\376" in first


def test_what_pyroot_keeps_in_a_root_is_no_part_of_it(tmp_path: Path) -> None:
    plain, used = filled(tmp_path / "one"), filled(tmp_path / "two")
    (used / ".pyroot").mkdir()
    (used / ".pyroot/owners.index").write_bytes(b"x")
    (used / "usr/.pyroot").mkdir()
    assert {entry.path for entry in listed(used)} - {entry.path for entry in listed(plain)} == {b"/usr/.pyroot"}


def test_both_formats_come_back_as_they_were(tmp_path: Path) -> None:
    entries = listed(filled(tmp_path / "root"))
    entries.append(Entry(b"/dev/x", "char", 0o600, 0, 0, device=(1, 3), xattrs={b"user.a b": b"\0\xff="}, package="p", problem="EACCES"))
    entries.append(Entry(b"/gone", "unknown", problem="EIO"))
    written = "".join(text.as_text(entries)).encode()
    assert text.read(written, "x")["entries"] == entries
    shown = json.dumps({"entries": text.as_json(entries)}).encode()
    assert text.read(shown, "x")["entries"] == entries


@pytest.mark.parametrize("data", [b"", b"text\n", b"{}", b'{"entries": [1]}', b"#mtree\n./x mode=9\n", b"\xff\xfe", b"{", b"[]"])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(PyrootError, match="is not a snapshot") as caught:
        text.read(data, "file")
    assert caught.value.exit_code == 2


def test_unreadable_files_are_written_down_with_the_reason(guest_directory: str, run_pyroot: Run) -> None:
    root = Path(guest_directory, "root")
    filled(root)
    (root / "closed").mkdir()
    (root / "closed/inside").touch()
    give(str(root))
    (root / "usr/bin/tool").chmod(0)
    (root / "closed").chmod(0)
    done = run_pyroot(["snapshot", str(root)])
    (root / "closed").chmod(0o755)
    assert done.status == 0
    assert done.stderr == "pyroot: not read: /closed (EACCES) and 2 more; they are in the list with the reason\n"
    assert "./usr/bin/tool type=file mode=0000 " in done.stdout
    assert done.stdout.count("problem=EACCES") == 3
    assert "sha256digest" not in next(line for line in done.stdout.splitlines() if line.startswith("./usr/bin/tool "))


def test_extended_attributes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    try:
        os.setxattr(tmp_path / "file", "user.note", b"\x00value")
    except OSError as error:
        pytest.skip(f"the file system has no extended attributes: {error}")
    assert {entry.path: entry for entry in listed(tmp_path)}[b"/file"].xattrs[b"user.note"] == b"\x00value"


def rpm_header(name: bytes, files: list[tuple[bytes, bytes]]) -> bytes:
    """Make a header of rpm with a name and files (directory, base name)."""
    directories = list(dict.fromkeys(directory for directory, _base in files))
    parts = {
        1000: (6, 1, name + b"\0"),
        1116: (4, len(files), b"".join(struct.pack(">I", directories.index(directory)) for directory, _base in files)),
        1117: (8, len(files), b"".join(base + b"\0" for _directory, base in files)),
        1118: (8, len(directories), b"".join(one + b"\0" for one in directories)),
    }
    index = store = b""
    for tag, (kind, count, data) in parts.items():
        store += bytes(-len(store) % 4)
        index += struct.pack(">IIiI", tag, kind, len(store), count)
        store += data
    return struct.pack(">II", len(parts), len(store)) + index + store


def test_packages_of_dpkg_apk_and_rpm(tmp_path: Path) -> None:
    for name in ("usr/bin", "var/lib/dpkg/info", "lib/apk/db", "var/lib/rpm"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    for name in ("ls", "dash", "sh", "sh.distrib", "apk", "rpm", "own"):
        (tmp_path / "usr/bin" / name).touch()
    (tmp_path / "var/lib/dpkg/info/coreutils.list").write_text("/.\n/bin\n/bin/ls\n", encoding="ascii")
    (tmp_path / "var/lib/dpkg/info/dash:amd64.list").write_text("/bin/sh\n", encoding="ascii")
    (tmp_path / "var/lib/dpkg/info/other.list").write_text("/bin/sh\n", encoding="ascii")
    (tmp_path / "var/lib/dpkg/diversions").write_text("/bin/sh\n/bin/sh.distrib\ndash\n", encoding="ascii")
    (tmp_path / "lib/apk/db/installed").write_text("P:apk-tools\nF:usr/bin\nR:apk\nZ:Q1x\n\nP:none\n", encoding="ascii")
    with sqlite3.connect(tmp_path / "var/lib/rpm/rpmdb.sqlite") as base:
        base.execute("create table Packages (hnum integer primary key, blob blob)")
        base.execute("insert into Packages (blob) values (?)", (rpm_header(b"rpm", [(b"/usr/bin/", b"rpm"), (b"/etc/", b"rpmrc")]),))
        base.execute("insert into Packages (blob) values (?)", (b"\0\0\0\1damaged",))
    base.close()
    found = {entry.path: entry.package for entry in listed(tmp_path) if entry.path.startswith(b"/usr/bin/")}
    assert found == {
        b"/usr/bin/ls": "coreutils", b"/usr/bin/sh": "dash", b"/usr/bin/sh.distrib": "other", b"/usr/bin/apk": "apk-tools",
        b"/usr/bin/rpm": "rpm", b"/usr/bin/own": "", b"/usr/bin/dash": "",
    }  # fmt: skip
    assert list(header_files(rpm_header(b"a", [(b"/x/", b"y")]))) == [(b"/x/y", b"a")]


def test_what_differs(tmp_path: Path) -> None:
    root = filled(tmp_path / "root")
    before = listed(root)
    assert compare.compare(before, listed(root)) == []
    (root / "usr/bin/tool").chmod(0o700)
    (root / "etc/link").unlink()
    (root / "etc/link").symlink_to("elsewhere")
    (root / "etc/with space#=").write_bytes(b"x")
    shutil.rmtree(root / "tmp")
    (root / "opt/app").mkdir(parents=True)
    (root / "opt/app/file").touch()
    changes = compare.compare(before, listed(root))
    told = {os.fsdecode(one.path): (one.kind, [name for name, _old, _new in one.facts]) for one in changes}
    assert told["/usr/bin/tool"] == told["/usr/bin/same"] == ("changed", ["mode"])
    assert told["/etc/link"] == ("changed", ["target"])
    assert told["/etc/with space#="] == ("changed", ["size", "content"])
    assert told["/tmp"] == ("gone", [])
    assert told["/opt/app/file"] == ("new", [])
    assert {(one.path, below) for one, below in compare.folded(changes) if below} == {(b"/opt", 2), (b"/tmp", 2)}
    assert len(compare.compare(before, listed(root), ["mode", "target", "size", "content"])) == 6


def test_unread_content_is_not_taken_for_other_content() -> None:
    read = Entry(b"/x", "file", 0o600, 0, 0, 1, "ab")
    unread = Entry(b"/x", "file", 0o600, 0, 0, 1, problem="EACCES")
    assert compare.compare([read], [unread]) == []
    assert len(compare.compare([read], [Entry(b"/x", "dir", 0o600)])) == 1


def test_exit_status_is_that_of_diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = filled(tmp_path / "root")
    before = tmp_path / "before"
    before.write_text("".join(text.as_text(listed(root))), encoding="ascii")
    assert diff.main([str(before), str(root)]) == 0
    assert capsys.readouterr().out == ""
    (root / "usr/bin/tool").write_bytes(b"x")
    (root / "etc/new\x1b[1m").touch()
    assert diff.main([str(before), str(root)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "+ /etc/new\\x1b[1m: file of 0 bytes",
        "! /usr/bin/same: size 5 -> 1; other content",
        "! /usr/bin/tool: size 5 -> 1; other content",
    ]
    assert diff.main(["--json", "--ignore", "size,content", str(before), str(root)]) == 1
    assert [one["path"] for one in json.loads(capsys.readouterr().out)["differences"]] == ["/etc/new\x1b[1m"]
    assert diff.main(["-q", str(before), str(root)]) == 1
    assert capsys.readouterr().out == ""
    both = [str(before), str(root)]
    for words in (["x"], [str(before), str(tmp_path / "none")], ["--ignore", "times", *both], ["--no"], [str(root), __file__]):
        with pytest.raises(PyrootError) as caught:
            diff.main(words)
        assert caught.value.exit_code == 2


def test_snapshot_to_a_file_and_back(guest_directory: str, run_pyroot: Run) -> None:
    root = Path(guest_directory, "root")
    filled(root)
    place = Path(guest_directory, "list")
    assert run_pyroot(["snapshot", "-o", str(place), "--json", str(root)]) == Result(0, "", "")
    assert json.loads(place.read_text(encoding="ascii"))["format"] == "pyroot snapshot 1"
    assert run_pyroot(["diff", str(place), str(root)]) == Result(0, "", "")
    quick = run_pyroot(["snapshot", "--no-content", str(root)]).stdout
    assert "sha256digest" not in quick
    failed = run_pyroot(["snapshot", "-o", "/nowhere/list", str(root)])
    assert failed.status == 125
    assert failed.stderr.startswith("pyroot: snapshot: -o /nowhere/list: no such file or directory\n")
    assert sorted(os.listdir(guest_directory)) == ["list", "root"]


def test_root_is_checked_against_the_list_of_the_day_when_it_worked(guest_directory: str, run_pyroot: Run) -> None:
    path = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/tmp"}
    root, known = Path(guest_directory, "root"), Path(guest_directory, "list")
    assert run_pyroot(["new", str(root), "sh", "ls"], environment=path).status == 0
    (root / "usr/share").mkdir(parents=True, exist_ok=True)
    for name, content in (("usr/share/setting", "good"), ("usr/share/data", "data"), ("usr/share/closed", "")):
        (root / name).write_text(content, encoding="ascii")
        (root / name).chmod(0o644)
    (root / "usr/share/link").symlink_to("setting")
    give(str(root / "usr/share"))
    assert run_pyroot(["checklist", "-o", str(known), str(root)], environment=path).status == 0
    sound = run_pyroot(["doctor", "-v", "--against", str(known), str(root)], environment=path)
    assert (sound.status, sound.stdout.splitlines()[-1]) == (0, f"{root}: 0 errors, 0 warnings, 0 notes")
    (root / "usr/share/setting").write_text("bad!", encoding="ascii")
    (root / "usr/share/data").unlink()
    (root / "usr/share/closed").chmod(0)
    (root / "usr/share/link").unlink()
    (root / "usr/share/new").touch()
    words = ["doctor", "--against", str(known), "--json", str(root)]
    done = run_pyroot(words, environment=path)
    assert done.status == 1
    found = {(one["code"], one["severity"], one["path"]) for one in json.loads(done.stdout)["findings"]}
    assert found == {
        ("list-changed", "warning", "/usr/share/setting"),
        ("list-missing", "error", "/usr/share/data"),
        ("list-missing", "error", "/usr/share/link"),
        ("list-rights", "error", "/usr/share/closed"),
        ("list-new", "note", "/usr/share/new"),
    }
    left = json.loads(run_pyroot([*words, "--fix"], environment=path).stdout)["findings"]
    assert {one["path"] for one in left} == {"/usr/share/setting", "/usr/share/data", "/usr/share/new"}
    assert (root / "usr/share/link").readlink() == Path("setting")
