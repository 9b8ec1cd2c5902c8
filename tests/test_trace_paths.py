"""`pyroot trace` knows every call that has a path: it writes what strace writes, and -e trace=%file and -P find them all."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from pyroot.syscalls.table import ROWS, Row
from pyroot.syscalls.table_i386 import rows_by_name
from pyroot.trace import calls, select, session
from pyroot.trace.decode import Context
from pyroot.trace.decode import Row as TraceRow
from tests import strace_oracle
from tests.helpers import Result
from tests.strace_oracle import Oracle
from tests.test_trace import assert_same, needs_strace

ABIS = {
    "x86_64": ({row.name: row for row in ROWS}, calls.rows()),
    "i386": (rows_by_name(), calls.rows_i386()),
}

#: What strace 6.17 writes of calls that may be younger than the installed one; `...` is an address.
NEWER = """
fchmodat2(AT_FDCWD, "plain", 0600, 0)
fchmodat2(AT_FDCWD, "link", 0640, AT_SYMLINK_NOFOLLOW)
setxattrat(AT_FDCWD, "plain", 0, "user.a", {value="some text", size=9, flags=XATTR_CREATE}, 16)
getxattrat(AT_FDCWD, "plain", 0, "user.a", {value="some text", size=64, flags=0}, 16)
getxattrat(AT_FDCWD, "none", AT_SYMLINK_NOFOLLOW, "user.a", NULL, 0)
listxattrat(AT_FDCWD, "plain", AT_SYMLINK_NOFOLLOW, "user.a\\0", 64)
removexattrat(AT_FDCWD, "plain", 0, "user.a")
open_tree_attr(AT_FDCWD, "plain", OPEN_TREE_CLONE, {attr_set=MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOATIME, attr_clr=MOUNT_ATTR_NOATIME, \
propagation=MS_PRIVATE, userns_fd=0}, 32)
open_tree_attr(AT_FDCWD, "plain", OPEN_TREE_CLONE, {attr_set=MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOATIME, attr_clr=MOUNT_ATTR_NOATIME, \
propagation=MS_PRIVATE, userns_fd=0, /* bytes 32..39 */ "\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00"}, 40)
file_getattr(AT_FDCWD, "plain", {fa_xflags=NUMBERS}, 24, 0)
file_setattr(AT_FDCWD, "none", {fa_xflags=FS_XFLAG_NODUMP, fa_extsize=0, fa_projid=0x10, fa_cowextsize=0}, 24, AT_SYMLINK_NOFOLLOW)
file_setattr(AT_FDCWD, "none", ADDR, 8, 0)
"""
#: What an argument is written as where the call has failed: what it would have told is not there.
UNTOLD = (
    (re.compile(r'\{value=("some text"|ADDR), size=64, flags=0\}'), "{VALUE}"),
    (re.compile(r'("user\.a\\0"|ADDR), 64\)'), "LIST, 64)"),
    (re.compile(r"(?<=file_getattr\(AT_FDCWD, \"plain\", )(ADDR|\{fa_xflags=.*\})"), "ATTRIBUTES"),
)


@pytest.fixture
def oracle(guest_directory: str, run_pyroot: Callable[..., Result]) -> Oracle:
    """Give the two sides of a comparison."""
    return Oracle(guest_directory, run_pyroot)


def translated(table: dict[str, Row]) -> dict[str, list[int]]:
    """Give by name where calls have paths that pyroot translates; addresses of sockets are none."""
    return {
        name: [at for at in (row.path, row.path2) if at >= 0]
        for name, row in table.items() if row.path >= 0 and row.handler not in ("sockin", "sockout")
    }  # fmt: skip


@pytest.mark.parametrize("abi", ABIS)
def test_every_call_with_a_path_has_a_row(abi: str) -> None:
    table, known = ABIS[abi]
    assert {name for name, row in table.items() if row.path >= 0} <= set(known)
    files, descriptors = select.set_names("file"), select.set_names("desc")
    assert files is not None and descriptors is not None
    assert set(translated(table)) <= files
    assert {name for name in translated(table) if table[name].dirfd >= 0} <= descriptors


@pytest.mark.parametrize("abi", ABIS)
def test_paths_lie_where_the_table_of_calls_has_them(abi: str) -> None:
    table, known = ABIS[abi]
    assert session.rows is calls.rows  # (it brings the kinds of arguments)
    for name, places in translated(table).items():
        sets, arguments, ending = known[name]
        row = TraceRow(name, sets, arguments, ending, Context(), abi == "i386")
        assert set(places) <= set(row.path_arguments), name
        assert row.directory_of(places[0]) == (table[name].dirfd if table[name].dirfd >= 0 else None), name
        assert len({at for at, _kind, _parameter in row.kinds}) >= max(places), name


@needs_strace
@pytest.mark.parametrize("options", [(), ("-m32",)], ids=["x86_64", "i386"])
def test_seldom_calls_with_a_path_are_written_as_strace_does(options: tuple[str, ...], oracle: Oracle) -> None:
    """Which errno quotactl(2) and swapon(2) give depends on the kernel's configuration; the handle names the file."""
    sides = oracle.both(["-e", "trace=%file"], [oracle.probe("trace_paths", *options), "known"])
    ours, theirs = [[[_without_chance(line) for line in own if not line.startswith("[ Process")] for own in side] for side in sides]
    assert_same(ours, theirs)
    told = " ".join(line for own in ours for line in own)
    assert all(f"{name}(" in told for name in ("name_to_handle_at", "open_tree", "fanotify_mark", "quotactl", "swapon", "swapoff"))


def _without_chance(line: str) -> str:
    line = re.sub(r'f_handle="?[\\xADR0-9a-f]+"?\}, \[\w+\]', "f_handle=HANDLE}, [MOUNT]", line)
    return re.sub(r"^((?:quotactl|swapo\w+)\(.*\)) = .*", r"\1 = RESULT", line)


def newer(oracle: Oracle, *options: str) -> list[str]:
    """Give the lines of the calls that came last, without what they told when they failed."""
    text, _ended = oracle.trace(list(options), [oracle.probe("trace_paths"), "newer"])
    names = {line.partition("(")[0] for line in NEWER.split("\n")}
    [own] = strace_oracle.processes(text)
    return [_without_results(line) for line in own if line.partition("(")[0] in names]


def _without_results(line: str) -> str:
    line = re.sub(r"\) = .*", ")", line)
    for pattern, replacement in UNTOLD:
        line = pattern.sub(replacement, line)
    return line


def test_calls_that_came_last_are_written_as_strace_documents(oracle: Oracle) -> None:
    assert newer(oracle) == [_without_results(line) for line in NEWER.split("\n") if line]


def test_file_set_and_path_option_find_the_calls_that_came_last(oracle: Oracle) -> None:
    every = newer(oracle, "-e", "trace=%file")
    assert {line.partition("(")[0] for line in every} == {line.partition("(")[0] for line in NEWER.split("\n") if line}
    assert newer(oracle, "-P", "plain") == [line for line in every if '"plain"' in line]
    assert newer(oracle, "-P", "none") == [line for line in every if '"none"' in line]
