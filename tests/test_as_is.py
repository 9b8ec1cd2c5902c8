"""Every place where the core lets a call go on: as it stands, for a reason that is written there, or changed, or when it is over.

A call that goes on as it stands is one that nobody has translated. So each such place says why that is right (``as_is`` in
pyroot/_fast/edit/answer.pxi), and whoever adds one has to count it here, and to show that it is no way out.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.helpers import PROJECT

AS_IS = {
    # memory, processes and rights: no path, and the supervisor is out of reach
    "on_kept": 3, "on_advice": 2, "on_kill": 2, "on_who": 3, "on_pidfd": 4, "on_pidfd_getfd": 2, "on_guestpid": 1, "on_affinity": 1,
    "on_clone3": 1, "on_prctl": 2, "on_seccomp": 1, "on_landlock": 1, "on_privileged": 1, "on_sigaction": 1, "on_wait": 2,
    # descriptors, which were translated when they were opened
    "on_fchdir": 1, "on_copy": 1, "copy_of": 3, "on_getdents": 2, "on_getcwd": 1,
    # sockets: no address
    "on_socketcall": 1, "sock_as_is": 1, "on_sendmmsg": 1, "on_sockout": 2, "on_recvmsg": 1, "messages_keep": 2,
    # an error that comes before any path
    "on_exec": 1,
    # calls that are not a guest's, or that are judged later, or were judged by the filter
    "on_call": 2, "code_call": 1, "loader_call": 1, "on_filter_stop": 1, "tap_entry": 2, "trace_call": 3, "trace_first": 1,
    "on_featured": 1,
}  # fmt: skip

CHANGED = {"finish_edit", "on_copy", "strict_kill"}
OVER = {
    "after_run", "answer", "answer_einval", "call_later", "low_end", "make_again", "on_call_stop", "ptrace_exit",
}  # fmt: skip
"""Beside the ends of calls (edit/after.pxi), whose names begin with `end_`."""


def lines_of_functions() -> list[tuple[str, str]]:
    """Return each line of the core with the function that it is in."""
    found: list[tuple[str, str]] = []
    for path in [Path(PROJECT, "pyroot/_fast.pyx"), *sorted(Path(PROJECT, "pyroot/_fast").rglob("*.pxi"))]:
        function = ""
        for line in path.read_text("utf-8").splitlines():
            head = re.match(r"\s*(?:cdef|cpdef|def)\b[^=]*?(\w+)\(.*:$", line)
            function = head.group(1) if head else function
            found.append((function, line))
    return found


def test_each_place_where_a_call_goes_on_as_it_stands_is_known() -> None:
    found: Counter[str] = Counter()
    for function, line in lines_of_functions():
        found[function] += len(re.findall(r"\bas_is\(b\"[^\"]+\"\)", line))
    assert {name: count for name, count in found.items() if count} == AS_IS


def test_no_call_goes_on_without_a_word() -> None:
    """R_CONT is for calls that have been changed, answered, or are over."""
    found = {function for function, line in lines_of_functions() if re.search(r"\bR_CONT\b(?! =)", line)}
    assert {name for name in found if not name.startswith("end_")} == CHANGED | OVER | {"as_is"}


def test_each_reason_is_more_than_a_word() -> None:
    reasons = [reason for _, line in lines_of_functions() for reason in re.findall(r"\bas_is\(b\"([^\"]+)\"\)", line)]
    assert [reason for reason in reasons if len(reason) < 5 or reason.endswith(".")] == []
