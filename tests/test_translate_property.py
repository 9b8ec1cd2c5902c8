"""The compiled translator and the readable one agree on random trees, bindings and paths, in result and in errno."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyroot import _fast
from pyroot.path import View
from tests import path_trees

Bindings = list[tuple[bytes, bytes]]
Outcome = tuple[bytes, bytes, int] | str


class Translator(Protocol):
    """What both translators offer."""

    def bind(self, host: bytes, guest: bytes, flags: int = 0) -> None: ...

    def resolve(
        self, path: bytes, base: bytes = b"/", follow: bool = True, missing: bool = False
    ) -> tuple[bytes, bytes, int]: ...

    def detranslate(self, host: bytes) -> bytes | None: ...


@dataclass(frozen=True)
class Ask:
    """One call of `resolve`."""

    path: bytes
    base: bytes
    follow: bool
    missing: bool

    def of(self, translator: Translator) -> Outcome:
        """Return the result, or the name of the errno."""
        try:
            return translator.resolve(self.path, self.base, self.follow, self.missing)
        except OSError as error:
            return errno.errorcode[error.errno or 0]

    def is_compared(self, reference: Translator) -> bool:
        """Tell whether the answer is part of the common contract.

        For the front end, which asks with `missing`, the core takes names behind a closed directory at their word.
        """
        return not self.missing or Ask(self.path, self.base, self.follow, False).of(reference) != "EACCES"


def disagreements(root: bytes, bindings: Bindings, asks: list[Ask], hosts: list[bytes]) -> list[tuple[object, ...]]:
    """Return (question, reference, core) wherever the two do not say the same; runs as the ordinary user."""

    def run() -> list[tuple[object, ...]]:
        reference, core = View(root), _fast.Core(root)
        for translator in (reference, core):
            for host, guest in bindings:
                translator.bind(host, guest)
        wrong: list[tuple[object, ...]] = []
        for ask in asks:
            expected, seen = ask.of(reference), ask.of(core)
            if expected != seen and ask.is_compared(reference):
                wrong.append((ask, expected, seen))
            elif isinstance(expected, tuple):
                hosts.append(expected[1])
        for host in hosts:
            back, seen_back = reference.detranslate(host), core.detranslate(host)
            if back != seen_back:
                wrong.append((host, back, seen_back))
        if reference.bindings() != core.bindings():
            wrong.append(("bindings", reference.bindings(), core.bindings()))
        return wrong

    found: list[tuple[object, ...]] = path_trees.as_ordinary_user(run)
    return found


def random_hosts(rng: random.Random, tree: path_trees.Tree) -> list[bytes]:
    """Return host path texts: below the root, below binding sources, beside them, outside."""
    tops = [tree.root, *tree.directories.values(), *(host for host, _ in tree.bindings), b"/usr/bin"]
    ends = [b"", b"/a", b"/a/b", b"x", b"/dir/glue/v", b"/glue/new/a"]
    return [b"/", tree.base] + [rng.choice(tops) + rng.choice(ends) for _ in range(60)]


def compare_seed(seed: int, count: int) -> None:
    """Compare `count` random paths in the random tree of `seed`."""
    rng = random.Random(seed)
    with path_trees.workshop() as base:
        tree = path_trees.make_tree(base, rng, rng.random() < 0.5)
        asks = [Ask(*query, rng.random() < 0.3) for query in path_trees.random_queries(rng, tree, count)]
        wrong = disagreements(tree.root, tree.bindings, asks, random_hosts(rng, tree))
    assert not wrong, f"seed {seed}: {len(wrong)} of {count} differ (question, reference, core): {wrong[0]}"


@pytest.mark.parametrize("seed", range(1000, 1010))
def test_core_agrees_with_the_reference_on_seeded_trees(seed: int) -> None:
    compare_seed(seed, 200)


def found_through(text: Callable[[], bytes], follow: bool) -> tuple[int, int] | str:
    """Give the text to the kernel and return device and inode, or the name of the errno of either step."""
    try:
        found = (os.stat if follow else os.lstat)(text())
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return found.st_dev, found.st_ino


@pytest.mark.parametrize("seed", range(2000, 2006))
def test_texts_for_the_kernel_lead_both_translators_to_the_same_file(seed: int) -> None:
    rng = random.Random(seed)

    def run() -> list[tuple[object, ...]]:
        reference, core = View(tree.root), _fast.Core(tree.root)
        for host, guest in tree.bindings:
            reference.bind(host, guest)
            core.bind(host, guest)
        wrong: list[tuple[object, ...]] = []
        for path, base, follow in queries:
            expected = found_through(lambda: reference.translate(path, base, follow), follow)  # noqa: B023
            seen = found_through(lambda: core.translate(path, base, 1 if follow else 2), follow)  # noqa: B023
            if expected != seen:
                wrong.append((path, base, follow, expected, seen))
        return wrong

    with path_trees.workshop() as where:
        tree = path_trees.make_tree(where, rng, rng.random() < 0.5)
        queries = path_trees.random_queries(rng, tree, 200)
        assert path_trees.as_ordinary_user(run) == []


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_core_agrees_with_the_reference_on_many_trees() -> None:
    start = random.SystemRandom().randrange(1 << 32)
    print(f"seeds from {start}")
    for turn in range(300):
        compare_seed(start + turn, 300)


names = st.sampled_from([b"a", b"b", b"c", b"l", b"m"])
words = st.one_of(names, names, st.sampled_from([b".", b"..", b"", b"none", b"n" * 256]))
paths = st.builds(
    lambda lead, parts, tail: lead + b"/".join(parts) + tail,
    st.sampled_from([b"", b"/"]), st.lists(words, max_size=6), st.sampled_from([b"", b"", b"/", b"/."]),
)  # fmt: skip
places = st.lists(names, min_size=1, max_size=3).map(b"/".join)
entries = st.lists(
    st.one_of(
        st.tuples(st.just("dir"), places, st.sampled_from([0o755, 0o755, 0o600, 0o1777])),
        st.tuples(st.just("file"), places, st.none()),
        st.tuples(st.just("link"), places, paths.filter(lambda text: text and b"n" * 9 not in text)),
    ),
    max_size=14,
)


@dataclass
class Made:
    """A small tree that hypothesis describes; what cannot be made (a file below a file) is left out."""

    base: bytes
    description: list[tuple[str, bytes, object]]

    def make(self, top: bytes) -> None:
        """Make the described entries below `top`, modes last."""
        modes = []
        os.mkdir(top)
        for kind, place, detail in self.description:
            path = top + b"/" + place
            above = os.path.dirname(path)
            if os.path.realpath(above) != above or os.path.lexists(path):
                continue  # a link of the tree would lead the making of it out of the tree
            try:
                os.makedirs(above, exist_ok=True)
                if kind == "link":
                    os.symlink(detail, path)  # type: ignore[arg-type]
                elif kind == "file":
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o644))
                else:
                    os.mkdir(path)
                    modes.append((path, detail))
            except OSError:
                continue
            if os.geteuid() == 0:
                os.chown(path, path_trees.ORDINARY_ID, -1, follow_symlinks=False)
        for path, mode in sorted(modes, reverse=True):  # a directory behind what lies in it
            os.chmod(path, mode)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    root=entries, host=entries, asks=st.lists(st.tuples(paths, st.booleans(), st.booleans()), min_size=1, max_size=12),
    covers=st.lists(st.tuples(st.booleans(), places, places), max_size=3),
)  # fmt: skip
def test_core_agrees_with_the_reference_on_small_trees(
    root: list[tuple[str, bytes, object]],
    host: list[tuple[str, bytes, object]],
    asks: list[tuple[bytes, bool, bool]],
    covers: list[tuple[bool, bytes, bytes]],
) -> None:
    with path_trees.workshop() as base:
        Made(base, root).make(base + b"/root")
        Made(base, host).make(base + b"/host")
        bindings: Bindings = []
        for whole, source, place in covers:
            path = base + b"/host" + (b"" if whole else b"/" + source)
            # Both sides of a binding are canonical: that is the caller's part of the contract.
            above = os.path.dirname(b"/" + place)
            if os.path.realpath(path) == path and os.path.exists(path) and (above == b"/" or any(
                guest == above and os.path.isdir(top) for top, guest in bindings
            )):
                bindings.append((path, b"/" + place))
        questions = [Ask(path, b"/", follow, missing) for path, follow, missing in asks]
        wrong = disagreements(base + b"/root", bindings, questions, [base + b"/root/a", base + b"/host/a/b"])
    assert not wrong, f"(question, reference, core): {wrong[0]}"
