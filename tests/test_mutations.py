"""The list of mutations (``make mutate``) stays true: what each takes out is there, once."""

from __future__ import annotations

import os

import pytest

from tests.helpers import PROJECT
from tests.mutations.rows import MUTATIONS, Mutation

pytestmark = pytest.mark.skipif(not os.path.exists(f"{PROJECT}/pyroot/_fast.pyx"), reason="no source tree here")


@pytest.mark.parametrize("one", MUTATIONS, ids=lambda one: one.name)
def test_text_of_mutation_occurs_once(one: Mutation) -> None:
    with open(f"{PROJECT}/pyroot/{one.file}", encoding="utf-8") as file:
        text = file.read()
    assert text.count(one.old) == 1
    assert one.new != one.old
    for test in one.tests:
        assert os.path.exists(f"{PROJECT}/{test.partition('::')[0]}")


def test_there_are_enough_and_each_has_its_name() -> None:
    assert len(MUTATIONS) >= 30
    assert len({one.name for one in MUTATIONS}) == len({(one.file, one.old, one.new) for one in MUTATIONS}) == len(MUTATIONS)
