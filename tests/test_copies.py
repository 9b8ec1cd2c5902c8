"""A copy of a descriptor came through the place that its original came through, in views that show one directory at two places.

The numbers of descriptors are chosen so that a copy gets one under which the same directory was open by its other name.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests import helpers
from tests.oracle.build import BuildError, compile_program
from tests.probe_root import PROGRAMS
from tests.twins import Twins, put_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result


@pytest.fixture(params=["", "i386"])
def twice(request: pytest.FixtureRequest, run_pyroot: Callable[..., Result]) -> Iterator[Twins]:
    """Make a root with one host directory at two places, and the interpreter in it."""
    top = tempfile.mkdtemp(prefix="pyroot-copies-")
    for name in ("root/proc", "root/one", "root/two", "host/in"):
        os.makedirs(f"{top}/{name}")
    with open(f"{top}/host/file", "w", encoding="ascii") as file:
        file.write("text")
    try:
        put_programs(f"{top}/root", {"ops": "ops"}, request.param)
        for directory, _names, files in os.walk(top):
            os.chmod(directory, 0o755)
            for path in (directory, *(f"{directory}/{name}" for name in files)):
                os.chown(path, helpers.ordinary_user.uid, -1)
        yield Twins(top, f"{top}/root", run_pyroot, [(f"{top}/host", "/one"), (f"{top}/host", "/two"), ("/proc", "/proc")])
    finally:
        shutil.rmtree(top)


COPIES = ("dup %2", "dup2 %2 %1", "dup3 %2 %1 0x80000", "fcntl %2 0 %1", "fcntl %2 1030 %1")
READ = ('readlink "/proc/self/fd/3" >text:99 99', 'readlink "/proc/self/fd/4" >text:99 99')


def links(lines: list[str]) -> list[str]:
    """Return what readlink has answered, by turns."""
    return [line.split('"')[1] for line in lines if line.startswith("readlink = ")]


@pytest.mark.parametrize("unfiltered", ["", "1"], ids=["", "no-seccomp"])
@pytest.mark.parametrize(("name", "flags"), [("", "0x210000"), ("/in", "0x10000"), ("/file", "0x200000"), ("/file", "0")])
def test_copy_under_a_number_of_another_view(twice: Twins, name: str, flags: str, unfiltered: str) -> None:
    """Each number is used by both views in turn."""
    twice.environment["PYROOT_NO_SECCOMP"] = unfiltered
    program = []
    for call in COPIES:
        for first, second in (("/one", "/two"), ("/two", "/one")):
            program += [
                f'=1 open "{first}{name}" {flags} 0', f'=2 open "{second}{name}" {flags} 0', "close %1", f"=3 {call}", "close %2",
                f'=2 open "{first}{name}" {flags} 0', *READ, "close %2", "close %3",
            ]
    assert links(twice.answers(*program)) == [f"/two{name}", f"/one{name}", f"/one{name}", f"/two{name}"] * len(COPIES)


def test_paths_from_a_copy_begin_where_it_came_through(twice: Twins) -> None:
    program = ['=1 open "/one/in" 0x10000 0', '=2 open "/two/in" 0x10000 0', "close %1", "=1 dup %2", "fchdir %1", "getcwd >text:99 99",
               'openat %1 ".." 0x10000 0', 'readlink "/proc/self/fd/5" >text:99 99']
    lines = twice.answers(*program)
    assert lines[5] == 'getcwd = 8 "/two/in\\x00"'
    assert links(lines) == ["/two"]


def test_copy_that_is_refused_changes_nothing(twice: Twins) -> None:
    program = ['=1 open "/one/in" 0x10000 0', '=2 open "/two/in" 0x10000 0', "dup2 %2 100000000", "dup3 %2 %1 1",
               "dup3 %2 %2 0", "dup2 77 %1", "fcntl %2 0 100000000", "fcntl %1 1030 -1", "dup2 %1 %1", *READ]
    assert links(twice.answers(*program)) == ["/one/in", "/two/in"]


def test_file_opened_through_a_link_of_proc_makes_notes_of_later_opens(twice: Twins) -> None:
    """The number was noted for the view of a descriptor that was opened again by its link, and is not known to be another's since."""
    program = ['=1 open "/two/file" 0 0', '=2 open "/proc/self/fd/3" 0 0', "close %2", '=2 open "/one/file" 0 0', *READ]
    assert links(twice.answers(*program)) == ["/two/file", "/one/file"]


@pytest.fixture(params=["-m64", "-m32"])
def probe(request: pytest.FixtureRequest, twice: Twins) -> Twins:
    """Put the program that passes descriptors on into the root."""
    try:
        program = compile_program([f"{PROGRAMS}/copies_probe.c"], "-static", request.param, name=f"copies{request.param}")
    except BuildError as error:
        pytest.skip(str(error))
    shutil.copy(program, f"{twice.root}/copies")
    os.chmod(f"{twice.root}/copies", 0o755)
    return twice


PASSED = "".join(
    f"received beside the sender's own {there}\nreceived when the sender's own is closed {there}\n" for there in ("/two", "/one") * 2
) + "taken from a child /one\ninherited copy /two\ninherited /one\nopened behind close_range /one\n"


@pytest.mark.parametrize("unfiltered", ["", "1"], ids=["", "no-seccomp"])
@pytest.mark.parametrize("twice", [""], indirect=True)
def test_descriptors_from_elsewhere_know_their_place(probe: Twins, unfiltered: str) -> None:
    words = [*probe.words(), "/copies", "/one", "/two"]
    done = probe.run_pyroot(words, environment={"PYROOT_NO_SECCOMP": unfiltered}, prepare=helpers.drop_to_ordinary_user)
    assert (done.stdout, done.stderr) == (PASSED, "")


@pytest.mark.parametrize("twice", [""], indirect=True)
def test_view_that_is_handed_over_may_be_the_only_one_that_shows_a_directory_twice(twice: Twins, pyroot_words: list[str]) -> None:
    """The outer session's filter lets copies through, so the view brings its own."""
    program = "\n".join(['=1 open "/one" 0x10000 0', '=2 open "/two" 0x10000 0', "close %1", "=3 dup %2", "close %2", '=2 open "/one" 0 0',
                         'readlink "/proc/self/fd/3" >text:99 99'])
    inner = [*pyroot_words, *twice.words(), "/ops", "--program"]
    done = helpers.run([*pyroot_words, "-r", "/", *inner], text=program.encode(), environment=helpers.pyroot_command()[1])
    assert links([line.partition(" ")[2] for line in done.stdout.splitlines()]) == ["/two"], done


@pytest.mark.parametrize("twice", [""], indirect=True)
def test_plain_view_lets_copies_run(twice: Twins) -> None:
    """Nothing stops where nothing is shown twice, and elsewhere only what makes descriptors."""
    stops = []
    program = b"\n".join([b"dup 1", b"fcntl 1 1030 5", b"fcntl 1 3 0"] * 50)
    for bindings in ([], twice.bindings[1:], twice.bindings):
        twice.bindings = bindings
        result = twice.run_pyroot([*twice.words(), "--stats", "/ops", "--program"], text=program, prepare=helpers.drop_to_ordinary_user)
        stops.append(sorted(re.findall(r" (\d+) .* (dup|fcntl)$", result.stderr, re.M), key=lambda row: row[1]))  # (they come by time)
    assert stops == [[], [], [("50", "dup"), ("50", "fcntl")]]
