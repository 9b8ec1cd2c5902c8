"""The reference translator holds what path_resolution(7) says, case by case and against the real kernel."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator

import pytest

from pyroot import path
from pyroot.path import View
from tests import path_trees

LONG = b"n" * 255


@pytest.fixture(scope="module")
def view() -> Iterator[View]:
    """Return a view of a fixed tree: files, links of every kind, and nested bindings, some onto nothing."""
    with path_trees.workshop() as base:
        root = base + b"/root"
        for directory in (b"/root/d/s/t", b"/root/e", b"/root/" + LONG, b"/host/in/deep", b"/host/other", b"/glue/v"):
            os.makedirs(base + directory)
        for file in (b"/root/f", b"/root/d/f", b"/host/in/f", b"/host/file", b"/root/e/covered", b"/root/d/s/dup"):
            with open(base + file, "wb"):
                pass
        links = {
            b"/root/ld": b"d", b"/root/lf": b"f", b"/root/abs": b"/d/s", b"/root/dang": b"d/new",
            b"/root/loop": b"loop", b"/root/ls": b"d/", b"/root/lfs": b"f/", b"/root/d/up": b"../f",
            b"/root/d/s/top": b"/../../d", b"/root/lld": b"ld", b"/root/far": b"nowhere/at/all",
            b"/root/toolong": b"n" * 256, b"/root/root": b"/", b"/host/in/out": b"/f", b"/host/in/parent": b"..",
            b"/host/in/self": b".", b"/root/tod": b"d/s/..", b"/root/cross": b"e/in2/../../f",
        }  # fmt: skip
        for name, target in links.items():
            os.symlink(target, base + name)
        path_trees.make_chain(root, 42)
        made = View(root, protected=False)
        made.bind(base + b"/host", b"/e")
        made.bind(base + b"/host/in", b"/e/in2")
        made.bind(base + b"/host/file", b"/d/f")
        made.bind(base + b"/glue", b"/virtual")
        made.bind(base + b"/host/other", b"/virtual/o")
        made.bind(base + b"/host/in/deep", b"/d/s/t")
        yield made


@pytest.mark.parametrize(
    ("given", "guest"),
    [
        (b"/", b"/"), (b"//", b"/"), (b"/..", b"/"), (b"/../..//.", b"/"), (b".", b"/"), (b"..", b"/"),
        (b"/d/s", b"/d/s"), (b"d//s/.", b"/d/s"), (b"/d/s/..", b"/d"), (b"/d/s/", b"/d/s"), (LONG, b"/" + LONG),
        (b"/ld", b"/d"), (b"/ld/", b"/d"), (b"/ls", b"/d"), (b"/lld/s", b"/d/s"), (b"/abs", b"/d/s"), (b"/root", b"/"),
        (b"/abs/..", b"/d"), (b"/lf", b"/f"), (b"/d/up", b"/f"), (b"/d/s/top", b"/d"), (b"/tod", b"/d"),
        # Bindings: the deepest wins, `..` goes up in the guest, absolute links start at the guest's root.
        (b"/e", b"/e"), (b"/e/in/f", b"/e/in/f"), (b"/e/in2/f", b"/e/in2/f"), (b"/e/..", b"/"), (b"/e/in2/..", b"/e"),
        (b"/e/in2/out", b"/f"), (b"/e/in2/parent", b"/e"), (b"/e/in2/parent/in/self", b"/e/in"), (b"/d/f", b"/d/f"),
        (b"/virtual/o", b"/virtual/o"), (b"/virtual/o/../v", b"/virtual/v"), (b"/d/s/t/..", b"/d/s"),
        (b"/cross", b"/f"),
    ],
)  # fmt: skip
def test_path_resolves_to_the_canonical_guest_path(view: View, given: bytes, guest: bytes) -> None:
    assert view.resolve(given)[0] == guest
    assert view.resolve(given)[2] == 0


@pytest.mark.parametrize(
    ("given", "host"),
    [
        (b"/", b"/root"), (b"/d/s", b"/root/d/s"), (b"/e", b"/host"), (b"/e/in/f", b"/host/in/f"),
        (b"/d/f", b"/host/file"), (b"/e/in2/f", b"/host/in/f"), (b"/e/in2/out", b"/root/f"), (b"/virtual", b"/glue"),
        (b"/virtual/v", b"/glue/v"), (b"/virtual/o", b"/host/other"), (b"/e/in2/parent", b"/host"),
        (b"/d/s/t", b"/host/in/deep"),
    ],
)  # fmt: skip
def test_host_path_is_that_of_the_deepest_binding(view: View, given: bytes, host: bytes) -> None:
    base = view.bindings()[0][0].removesuffix(b"/root")
    assert view.resolve(given)[1] == base + host


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (b"", errno.ENOENT), (b"nope", errno.ENOENT), (b"nope/..", errno.ENOENT),
        (b"nope/" + b"n" * 256, errno.ENOENT), (b"f/", errno.ENOTDIR), (b"f/.", errno.ENOTDIR),
        (b"f/..", errno.ENOTDIR), (b"f/x", errno.ENOTDIR), (b"lf/", errno.ENOTDIR), (b"lfs", errno.ENOTDIR),
        (b"dang", errno.ENOENT), (b"dang/", errno.ENOENT), (b"loop", errno.ELOOP), (b"loop/x", errno.ELOOP),
        (b"n" * 256, errno.ENAMETOOLONG), (b"n" * 4095, errno.ENAMETOOLONG),
        (b"d/" + b"n" * 256 + b"/..", errno.ENAMETOOLONG), (b"toolong", errno.ENAMETOOLONG), (b"chain41", errno.ELOOP),
        (b"chain40/ld", errno.ELOOP), (b"." + b"/" * 4095, errno.ENAMETOOLONG), (b"d/f/", errno.ENOTDIR),
        (b"e/covered", errno.ENOENT), (b"virtual/o/none", errno.ENOENT),
    ],
)  # fmt: skip
def test_first_failing_component_decides_the_errno(view: View, given: bytes, code: int) -> None:
    with pytest.raises(OSError) as caught:
        view.resolve(given)
    assert errno.errorcode[caught.value.errno or 0] == errno.errorcode[code]


def test_forty_links_are_followed_and_the_whole_string_may_have_4095_bytes(view: View) -> None:
    assert view.resolve(b"chain40")[0] == b"/"
    assert view.resolve(b"chain39/ld")[0] == b"/d"
    assert view.resolve(b"/" * 4094 + b"d")[0] == b"/d"
    assert view.resolve(b"./" * 2046 + b"lf", follow=False)[0] == b"/lf"


def test_last_link_is_followed_only_when_asked_or_when_a_slash_stands_behind_it(view: View) -> None:
    assert view.resolve(b"ld", follow=False)[0] == b"/ld"
    assert view.resolve(b"ld/", follow=False)[0] == b"/d"
    assert view.resolve(b"lld/", follow=False)[0] == b"/d"
    assert view.resolve(b"loop", follow=False)[0] == b"/loop"
    assert view.resolve(b"chain41", follow=False)[0] == b"/chain41"
    with pytest.raises(OSError) as caught:
        view.resolve(b"chain41/", follow=False)
    assert caught.value.errno == errno.ELOOP


def test_base_is_where_relative_paths_start(view: View) -> None:
    assert view.resolve(b"../f", b"/d")[0] == b"/f"
    assert view.resolve(b"..", b"/e/in2")[0] == b"/e"
    assert view.resolve(b"/d", b"/e")[0] == b"/d"


@pytest.mark.parametrize(
    ("given", "guest", "missing"),
    [
        (b"/new", b"/new", 1), (b"/new/", b"/new", 1), (b"/new/a/b", b"/new/a/b", 3), (b"/new/./b", b"/new/b", 2),
        (b"/dang", b"/d/new", 1), (b"/dang/x", b"/d/new/x", 2), (b"/far", b"/nowhere/at/all", 3), (b"/d/s", b"/d/s", 0),
        (b"/e/in2/../new", b"/e/new", 1), (b"/virtual/w", b"/virtual/w", 1), (b"/new//a//", b"/new/a", 2),
    ],
)  # fmt: skip
def test_missing_names_are_appended_when_allowed(view: View, given: bytes, guest: bytes, missing: int) -> None:
    found = view.resolve(given, missing=True)
    assert (found[0], found[2]) == (guest, missing)


@pytest.mark.parametrize("given", [b"/new/..", b"/new/a/../b", b"/far/.."])
def test_dots_behind_a_missing_name_are_never_lexical(view: View, given: bytes) -> None:
    with pytest.raises(FileNotFoundError):
        view.resolve(given, missing=True)


@pytest.mark.parametrize(
    ("given", "options", "host"),
    [
        (b"/d/new", {}, b"/root/d/new"), (b"/d/new//", {}, b"/root/d/new//"), (b"/lf", {}, b"/root/f"),
        (b"/lf", {"follow": False}, b"/root/lf"), (b"/lf/", {"follow": False}, b"/root/f/"),
        (b"/lf/", {"as_parent": True}, b"/root/lf/"), (b"/ls", {}, b"/root/d/"), (b"/dang", {}, b"/root/d/new"),
        (b"/dang", {"as_parent": True}, b"/root/dang"), (b"/d/.", {}, b"/root/d/."), (b"/d/s/..", {}, b"/root/d/s/.."),
        (b"/d/s/../", {}, b"/root/d/s/../"), (b"/..", {}, b"/root/."), (b"/e/..", {}, b"/root/."),
        (b"/", {}, b"/root/"), (b"/e/in2/..", {}, b"/host/."), (b"/e/in2/f/", {}, b"/host/in/f/"),
        (b"/d/f", {}, b"/host/file"), (b"/e", {"as_parent": True}, b"/host"), (b"/tod", {}, b"/root/d/s/.."),
        (b"/virtual/o/x", {}, b"/host/other/x"),
    ],
)  # fmt: skip
def test_host_string_keeps_the_last_name_and_its_slashes(
    view: View, given: bytes, options: dict[str, bool], host: bytes
) -> None:
    base = view.bindings()[0][0].removesuffix(b"/root")
    follow, as_parent = options.get("follow", True), options.get("as_parent", False)
    assert view.translate(given, b"/", follow, as_parent) == base + host


def test_host_string_needs_the_directory_above_the_last_name(view: View) -> None:
    for given, code in ((b"/nope/x", errno.ENOENT), (b"/f/x", errno.ENOTDIR), (b"/loop", errno.ELOOP)):
        with pytest.raises(OSError) as caught:
            view.translate(given)
        assert caught.value.errno == code


@pytest.mark.parametrize(
    ("host", "guest"),
    [
        (b"/root", b"/"), (b"/root/d", b"/d"), (b"/root/none/x", b"/none/x"), (b"/host/file", b"/d/f"),
        (b"/glue", b"/virtual"), (b"/host/other/x", b"/virtual/o/x"), (b"/host/in/deep/y", b"/d/s/t/y"),
        (b"/host/in/f", b"/e/in2/f"), (b"/host", b"/e"), (b"", None), (b"/rootless", None), (b"/root/e/covered", None),
        (b"/root/d/f", None), (b"/glue/o", None),
    ],
)  # fmt: skip
def test_host_path_goes_back_to_what_the_guest_sees(view: View, host: bytes, guest: bytes | None) -> None:
    base = view.bindings()[0][0].removesuffix(b"/root")
    assert view.detranslate(base + host or b"/") == guest


def test_later_binding_at_the_same_place_replaces_the_earlier_one(view: View) -> None:
    root = view.bindings()[0][0]
    other = View(root)
    other.bind(root + b"/d", b"/e")
    other.bind(root + b"/d/s", b"/e", 4)
    assert other.resolve(b"/e/t")[1] == root + b"/d/s/t"
    assert other.bindings() == [(root, b"/", 0), (root + b"/d/s", b"/e", 4)]


def test_unsearchable_directory_gives_eacces_even_for_dots() -> None:
    def codes() -> list[int | None]:
        view = View(base)
        view.bind(base + b"/open", b"/closed/bound")
        found: list[int | None] = []
        for given in (b"closed", b"closed/", b"closed/.", b"closed/..", b"closed/f", b"closed/none", b"closed/bound"):
            try:
                view.resolve(given)
                found.append(0)
            except OSError as error:
                found.append(error.errno)
        return found

    with path_trees.workshop() as base:
        os.makedirs(base + b"/closed/f")
        os.mkdir(base + b"/open")
        os.chmod(base + b"/closed", 0o600)
        if os.geteuid() == 0:
            os.chown(base + b"/closed", path_trees.ORDINARY_ID, -1)
        assert path_trees.as_ordinary_user(codes) == [0, 0] + [errno.EACCES] * 5


@pytest.mark.root
def test_links_of_others_in_sticky_directories_are_guarded_only_at_the_end() -> None:
    def outcomes() -> list[bool]:
        results = []
        for protected in (True, False):
            view = View(base, protected=protected)
            for given in (b"t/theirs", b"t/theirs/", b"t/theirs/.", b"t/mine", b"t/owners"):
                try:
                    view.resolve(given)
                    results.append(True)
                except PermissionError:
                    results.append(False)
        return results

    with path_trees.workshop() as base:
        os.makedirs(base + b"/t")
        os.chmod(base + b"/t", 0o1777)
        for name, owner in ((b"theirs", 7), (b"mine", path_trees.ORDINARY_ID), (b"owners", 0)):
            os.symlink(b"..", base + b"/t/" + name)
            os.chown(base + b"/t/" + name, owner, owner, follow_symlinks=False)
        assert path_trees.as_ordinary_user(outcomes) == [False, False, True, True, True] + [True] * 5


def test_host_string_may_be_longer_than_the_kernel_takes() -> None:
    with path_trees.workshop() as base:
        fd = os.open(base, os.O_PATH)
        for _ in range(20):
            os.mkdir(LONG, dir_fd=fd)
            deeper = os.open(LONG, os.O_PATH, dir_fd=fd)
            os.close(fd)
            fd = deeper
        os.symlink(b"/", b"out", dir_fd=fd)
        os.close(fd)
        view = View(base)
        here = b"/"
        for _ in range(20):
            here = view.resolve(LONG, here)[0]
        assert here == (b"/" + LONG) * 20
        assert view.resolve(b"out/" + LONG, here)[0] == b"/" + LONG
        assert view.resolve(b"..", here)[0] == (b"/" + LONG) * 19
        assert view.resolve(b"none", here, missing=True) == (here + b"/none", base + here + b"/none", 1)


def test_protection_of_links_is_read_from_the_kernel() -> None:
    with open("/proc/sys/fs/protected_symlinks") as setting:
        assert path.protected_symlinks() == (setting.read().strip() != "0")


def reference_answers(tree: path_trees.Tree, queries: list[path_trees.Query]) -> list[path_trees.Answer]:
    """Return what the reference finds, in the form of `path_trees.kernel_answers`."""

    def run() -> list[path_trees.Answer]:
        view = View(tree.root)
        for host, guest in tree.bindings:
            view.bind(host, guest)
        answers: list[path_trees.Answer] = []
        for given, base, follow in queries:
            try:
                guest, host, _ = view.resolve(given, base, follow)
                found = os.lstat(host)
                answers.append((guest, found.st_dev, found.st_ino))
            except OSError as error:
                answers.append(error.errno or -1)
        return answers

    answers: list[path_trees.Answer] = path_trees.as_ordinary_user(run)
    return answers


def compare_with_kernel(seed: int, count: int) -> int:
    """Walk `count` random paths of one random tree in the real chroot and here; return how many were compared."""
    rng = random.Random(seed)
    with path_trees.workshop() as base:
        tree = path_trees.make_tree(base, rng)
        queries = path_trees.random_queries(rng, tree, count)
        kernel = path_trees.kernel_answers(tree, queries)
        reference = reference_answers(tree, queries)
    compared = [row for row in zip(queries, kernel, reference, strict=True) if row[1] is not None]
    wrong = [row for row in compared if row[1] != row[2]]
    assert not wrong, f"seed {seed}: {len(wrong)} of {len(compared)} differ (path, kernel, reference): {wrong[0]}"
    return len(compared)


@pytest.mark.root
@pytest.mark.parametrize("seed", range(8))
def test_random_paths_resolve_as_in_a_real_chroot(seed: int) -> None:
    assert compare_with_kernel(seed, 250) > 100


@pytest.mark.root
@pytest.mark.fuzz
@pytest.mark.timeout(1200)
def test_many_random_paths_resolve_as_in_a_real_chroot() -> None:
    start = random.SystemRandom().randrange(1 << 32)
    print(f"seeds from {start}")
    assert sum(compare_with_kernel(start + turn, 300) for turn in range(200)) > 30_000
