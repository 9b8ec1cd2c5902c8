"""`pyroot trace` says what strace says: line for line, of the same programs, with strace's options."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import helpers, strace_oracle
from tests.helpers import Result
from tests.strace_oracle import Oracle

PARTS = ("files", "names", "descriptors", "memory", "sockets", "signals", "times", "processes", "ipc")
needs_strace = pytest.mark.skipif(bool(strace_oracle.why_not()), reason=strace_oracle.why_not() or "there is one")


@pytest.fixture
def oracle(guest_directory: str, run_pyroot: Callable[..., Result]) -> Oracle:
    """Give the two sides of a comparison."""
    return Oracle(guest_directory, run_pyroot)


def names(lines: list[list[str]]) -> set[str]:
    """List the calls that occur."""
    return {match.group(1) for own in lines for line in own if (match := re.match(r"(\w+)\(", line))}


def assert_same(ours: list[list[str]], theirs: list[list[str]]) -> None:
    """Fail with the lines that differ: - strace's, + ours."""
    flat = [[f"{number} {line}" for number, own in enumerate(side) for line in own] for side in (theirs, ours)]
    if ours != theirs:
        pytest.fail("\n".join(difflib.unified_diff(*flat, lineterm="", n=0)), pytrace=False)


# -- lines ------------------------------------------------------------------------------------------------------------------


@needs_strace
@pytest.mark.parametrize("part", PARTS)
def test_lines_are_those_of_strace(part: str, oracle: Oracle) -> None:
    ours, theirs = oracle.both([], [oracle.probe("trace_calls"), part])
    assert_same(ours, theirs)


@needs_strace
def test_more_than_sixty_calls_are_compared(oracle: Oracle) -> None:
    ours, theirs = oracle.both([], [oracle.probe("trace_calls"), *PARTS])
    assert_same(ours, theirs)
    assert len(names(theirs)) >= 150


@needs_strace
def test_processes_threads_and_deaths_are_those_of_strace(oracle: Oracle) -> None:
    ours, theirs = oracle.both([], [oracle.probe("trace_tree")])
    # the stopped one is killed at once: whether a tracer sees the stop before the kill is chance
    stop = "--- stopped by SIGSTOP ---"
    assert_same(*([[line for line in own if line != stop] for own in side] for side in (ours, theirs)))
    assert any("killed by SIGSEGV" in line for own in ours for line in own)


@needs_strace
def test_exec_by_a_thread_supersedes_the_leader(oracle: Oracle) -> None:
    ours, theirs = oracle.both(["-e", "trace=execve,open"], [oracle.probe("trace_tree"), "exec"])
    assert_same(ours, theirs)
    assert any(line == "+++ superseded by execve in pid PID1 +++" for own in ours for line in own)


# -- options ----------------------------------------------------------------------------------------------------------------


@needs_strace
@pytest.mark.parametrize(
    "options",
    [
        ["-e", "trace=%file"],
        ["-e", "trace=%desc"],
        ["-e", "trace=%process"],
        ["-e", "trace=%network"],
        ["-e", "trace=%signal"],
        ["-e", "trace=%memory"],
        ["-e", "trace=%ipc"],
        ["-e", "trace=%stat,%creds,%clock"],
        ["-e", "trace=!%file,%desc,%memory"],
        ["-e", "trace=open,close,?nonesuch"],
        ["-e", "trace=/^(open|chdir)"],
        ["-e", "trace=!/a"],
        ["-e", "openat,mkdir"],
        ["-e", "trace=none"],
        ["-e", "trace=none", "-e", "signal=SIGUSR1,alrm"],
        ["-e", "signal=!USR1"],
        ["-e", "signal=none"],
        ["-e", "status=failed"],
        ["-e", "status=!failed"],
        ["-z"],
        ["-Z"],
        ["-s", "5"],
        ["-s", "100", "-e", "write,read,execve,writev"],
        ["-x"],
        ["-xx", "-e", "trace=%file,write"],
        ["-y"],
        ["-a", "20"],
        ["-P", "plain"],
    ],
    ids=" ".join,
)
def test_option_means_what_it_means_to_strace(options: list[str], oracle: Oracle) -> None:
    ours, theirs = oracle.both(options, [oracle.probe("trace_calls"), "files", "names", "descriptors", "signals", "ipc", "sockets"])
    assert_same(ours, theirs)


@needs_strace
def test_padding_in_front_of_results_is_that_of_strace(oracle: Oracle) -> None:
    options = ["--no-follow", "-e", "trace=lseek,chmod,symlink,unlinkat,umask,fallocate"]
    command = [oracle.probe("trace_calls"), "files", "names"]
    theirs, _ended = oracle.strace(["-e", options[2]], command)
    ours, _ended = oracle.trace(options, command)
    assert ours == theirs
