"""What test_listings asks of 64-bit programs, asked of 32-bit ones with and without 64-bit file offsets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.test_listings import (
    both,
    make_place,
    test_a_buffer_too_small_is_an_error,
    test_a_directory_bound_on_a_file_is_listed_as_one,
    test_a_name_that_the_host_gains_is_listed_once,
    test_buffers_of_any_size,
    test_duplicates_and_children_share_the_position,
    test_entries_of_bindings_have_their_number_and_type,
    test_every_parent_lists_its_mount_points,
    test_looking_agrees_with_listing,
    test_positions_lead_back,
    test_threads_list_at_the_same_time,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.test_listings import Place

__all__ = [
    "both", "test_a_buffer_too_small_is_an_error", "test_a_directory_bound_on_a_file_is_listed_as_one",
    "test_a_name_that_the_host_gains_is_listed_once", "test_buffers_of_any_size", "test_duplicates_and_children_share_the_position",
    "test_entries_of_bindings_have_their_number_and_type", "test_every_parent_lists_its_mount_points",
    "test_looking_agrees_with_listing", "test_positions_lead_back", "test_threads_list_at_the_same_time",
]


@pytest.fixture(scope="module", params=[64, 32], ids=["offsets of 64 bits", "offsets of 32 bits"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Make the root with a 32-bit probe; without 64-bit offsets its C library refuses positions that do not fit."""
    yield from make_place("-m32", f"-D_FILE_OFFSET_BITS={request.param}")
