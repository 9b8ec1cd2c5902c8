"""What test_processes and test_robust ask of 64-bit programs, asked of 32-bit ones: children, threads, signals, chains of scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.probe_root import make_root, same
from tests.test_processes import (
    test_blocking_open_is_interrupted_as_by_the_kernel,
    test_chains_of_scripts,
    test_crash_gives_139,
    test_death_by_signal_is_128_plus_n,
    test_dispositions_and_mask_are_the_default,
    test_every_kind_of_child_sees_the_root,
    test_fault_addresses_arrive,
    test_siginfo_arrives_unchanged,
    test_untraced_children_are_translated_too,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.helpers import Result

__all__ = [
    "same", "test_blocking_open_is_interrupted_as_by_the_kernel", "test_chains_of_scripts", "test_crash_gives_139",
    "test_death_by_signal_is_128_plus_n", "test_dispositions_and_mask_are_the_default", "test_every_kind_of_child_sees_the_root",
    "test_fault_addresses_arrive", "test_siginfo_arrives_unchanged",
    "test_untraced_children_are_translated_too",
]


@pytest.fixture(scope="module")
def probe_root() -> Iterator[str]:
    """Make the root with 32-bit probes in it."""
    yield from make_root("-m32", "-D_FILE_OFFSET_BITS=64")


def test_exec_from_another_thread(same: Callable[..., Result]) -> None:
    """The executing thread takes the place of its process; the others are gone."""
    assert "same pid 1 leader 1" in same("/probe", "thread-exec", "/probe").stdout
