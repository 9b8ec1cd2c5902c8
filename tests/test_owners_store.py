"""The store of owners alone: what is acknowledged is there, whatever is killed; a record is never another file's."""

from __future__ import annotations

import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from pyroot._fast import CoreError, Owners
from tests import helpers

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITER = """
import os, sys
from pyroot._fast import Owners
store, root, first, count, seed = *sys.argv[1:3], *map(int, sys.argv[3:6])
owners = Owners(os.fsencode(store), os.fsencode(root))
n = seed
while True:
    for i in range(first, first + count):
        n += 1
        owners.put(os.fsencode(f"{root}/{i}"), n, n * 3 & 0xffff, 0o100000 | n & 0o7777, n * 7 & 0xfffff)
        os.write(1, b"%d %d\\n" % (i, n))
"""


@pytest.fixture
def root() -> Iterator[str]:
    import shutil
    import tempfile

    path = tempfile.mkdtemp(prefix="pyroot-store-", dir="/var/tmp")
    yield path
    shutil.rmtree(path)


def put(owners: Owners, path: str, n: int) -> None:
    owners.put(os.fsencode(path), n, n * 3 & 0xFFFF, 0o100000 | n & 0o7777, n * 7 & 0xFFFFF)


def number_of(record: tuple[int, int, int, int, int]) -> int:
    """Return the number that a record was made of; fails if it is half of one and half of another."""
    uid, gid, mode, rdev, _flags = record
    assert (gid, mode, rdev) == (uid * 3 & 0xFFFF, 0o100000 | uid & 0o7777, uid * 7 & 0xFFFFF), record
    return uid


def touch(root: str, names: range) -> None:
    for i in names:
        with open(f"{root}/{i}", "wb"):
            # so that the disk has what the record says it was left with
            pass


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("files", "rounds"), [(40, 60), (900, 40)], ids=["few", "many"])
def test_a_kill_leaves_the_old_or_the_new_record_and_loses_none(root: str, files: int, rounds: int) -> None:
    """Several writers at once, killed at any moment; each says what it has recorded after the call has returned."""
    seed = int(os.environ.get("PYROOT_SEED", random.randrange(1 << 30)))
    print("PYROOT_SEED", seed)
    chance = random.Random(seed)
    store, writers = f"{root}/.pyroot/owners", 3
    touch(root, range(files * writers))
    said: dict[int, int] = {}
    for turn in range(rounds):
        running = [
            subprocess.Popen([sys.executable, "-I", "-c", WRITER, store, root, str(w * files), str(files), str((turn * writers + w) << 20)],
                             stdout=subprocess.PIPE) for w in range(writers)]  # fmt: skip
        assert all(process.stdout is not None and process.stdout.readline() for process in running)
        time.sleep(chance.random() * 0.03)
        for process in running:
            process.send_signal(signal.SIGKILL)
        for process in running:
            assert process.stdout is not None
            for line in process.stdout.read().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    i, n = map(int, line.split())
                    said[i] = n
            process.stdout.close()
            process.wait()
        owners = Owners(store.encode(), root.encode())
        for i, n in said.items():
            record = owners.get(f"{root}/{i}".encode())
            assert record is not None, f"{i}: lost"
            found = number_of(record)
            # (it may have made more than it has said)
            assert found >= n, (i, found, n)
    assert len(said) > files


def test_several_writers_lose_nothing_while_the_store_grows(root: str) -> None:
    touch(root, range(3000))
    store, writers = f"{root}/.pyroot/owners".encode(), 4
    children = []
    for w in range(writers):
        child = os.fork()
        if child == 0:
            owners = Owners(store, root.encode())
            for i in range(w, 3000, writers):
                put(owners, f"{root}/{i}", i + 5)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * writers
    owners = Owners(store, root.encode())
    assert [number_of(owners.get(f"{root}/{i}".encode()) or (0,) * 5) for i in range(3000)] == [i + 5 for i in range(3000)]
    assert sorted(os.listdir(f"{root}/.pyroot")) == ["owners", "owners.index"]


def test_who_has_it_open_sees_changes_of_others_and_follows_a_new_file(root: str) -> None:
    touch(root, range(2000))
    store = f"{root}/.pyroot/owners".encode()
    one, two = Owners(store, root.encode()), Owners(store, root.encode())
    for i in range(2000):
        put(one if i % 2 else two, f"{root}/{i}", i + 1)
        record = (two if i % 2 else one).get(f"{root}/{i}".encode())
        assert record is not None and number_of(record) == i + 1


@pytest.mark.parametrize("where", ["/var/tmp", "/dev/shm"])
def test_a_record_is_not_applied_to_a_file_that_gets_the_same_number(where: str) -> None:
    import shutil
    import tempfile

    if not os.access(where, os.W_OK):
        pytest.skip(f"{where} cannot be written to")
    root = tempfile.mkdtemp(prefix="pyroot-store-", dir=where)
    try:
        owners, reused, numbers = Owners(b"", root.encode()), 0, set()
        for i in range(3000):
            path = f"{root}/x"
            with open(path, "wb"):
                pass
            number = os.lstat(path).st_ino
            reused += number in numbers
            numbers.add(number)
            assert owners.get(path.encode()) is None, i
            put(owners, path, i + 1)
            assert number_of(owners.get(path.encode()) or (0,) * 5) == i + 1
            if i % 3 == 0:
                with open(f"{root}/new", "wb"):
                    pass
                os.rename(f"{root}/new", path)
                assert owners.get(path.encode()) is None, i
            os.unlink(path)
        print("numbers used again:", reused)
    finally:
        shutil.rmtree(root)


def test_records_follow_names_links_and_changes_of_the_mode_outside(root: str) -> None:
    touch(root, range(1))
    owners = Owners(b"", root.encode())
    put(owners, f"{root}/0", 0o4755 + 8)
    os.rename(f"{root}/0", f"{root}/there")
    os.link(f"{root}/there", f"{root}/link")
    for name in ("there", "link"):
        assert number_of(owners.get(f"{root}/{name}".encode()) or (0,) * 5) == 0o4755 + 8
    os.chmod(f"{root}/there", 0o640)
    uid, _gid, mode, _rdev, _flags = owners.get(f"{root}/link".encode()) or (0,) * 5
    assert (uid, oct(mode)) == (0o4755 + 8, oct(0o100640)), "the mode is the disk's then, the owner stays"
    owners.put(f"{root}/link".encode(), 1, 1, 0o100644, 0, 1)
    assert owners.get(f"{root}/there".encode()) is None


def broken(store: str, at: int, value: bytes) -> None:
    with open(store, "r+b") as file:
        file.seek(at)
        file.write(value)


@pytest.mark.parametrize(("at", "value", "says"), [
    (0, b"nonsense", "damaged"), (8, b"\x63", "another version"), (32, b"\xff\xff", "damaged"), (16, b"\x01\x02", "another directory"),
])  # fmt: skip
def test_a_store_that_cannot_be_read_says_so_in_one_line(root: str, at: int, value: bytes, says: str) -> None:
    touch(root, range(1))
    store = f"{root}/.pyroot/owners"
    owners = Owners(store.encode(), root.encode())
    put(owners, f"{root}/0", 7)
    owners.close()
    broken(store, at, value)
    with pytest.raises(CoreError, match=says) as raised:
        Owners(store.encode(), root.encode())
    assert "\n" not in str(raised.value)


def test_a_short_file_or_another_kind_of_one_is_damage(root: str) -> None:
    store = f"{root}/owners"
    with open(store, "wb") as file:
        file.write(b"PROOTOWN")
    with pytest.raises(CoreError, match="damaged"):
        Owners(store.encode(), root.encode())
    os.unlink(store)
    os.mkfifo(store)
    with pytest.raises(CoreError, match="damaged"):
        Owners(store.encode(), root.encode())


def test_a_damaged_slot_is_no_record(root: str) -> None:
    touch(root, range(3))
    store = f"{root}/.pyroot/owners"
    owners = Owners(store.encode(), root.encode())
    for i in range(3):
        put(owners, f"{root}/{i}", i + 1)
    owners.close()
    # (the second slot's uid)
    broken(store, 4096 + 2048 * 4 + 64 + 32, b"\x99")
    owners = Owners(store.encode(), root.encode())
    assert [owners.get(f"{root}/{i}".encode()) is None for i in range(3)] == [False, True, False]


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a store of another user: needs root")
def test_a_store_of_another_user_is_refused(root: str) -> None:
    touch(root, range(1))
    store = f"{root}/.pyroot/owners"
    owners = Owners(store.encode(), root.encode())
    put(owners, f"{root}/0", 7)
    owners.close()
    os.chown(store, helpers.NOBODY, helpers.NOBODY)
    with pytest.raises(CoreError, match="another user"):
        Owners(store.encode(), root.encode())


def test_a_full_disk_fails_the_change_and_keeps_what_was_there(root: str) -> None:
    """The size of files is limited, which fails in the same place."""
    touch(root, range(1200))
    store = f"{root}/.pyroot/owners"
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        owners = Owners(store.encode(), root.encode())
        put(owners, f"{root}/0", 1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(store).st_size, os.stat(store).st_size))
        done = 1
        try:
            for i in range(1, 1200):
                put(owners, f"{root}/{i}", i + 1)
                done += 1
        except OSError as error:
            ok = error.errno == 28 and done == 1024
            ok = ok and all(number_of(owners.get(f"{root}/{i}".encode()) or (0,) * 5) == i + 1 for i in range(done))
            ok = ok and owners.get(f"{root}/{done}".encode()) is None
            os._exit(0 if ok else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert sorted(os.listdir(f"{root}/.pyroot")) == ["owners", "owners.index"]
    owners = Owners(store.encode(), root.encode())
    for i in range(1100, 1200):
        put(owners, f"{root}/{i}", i + 1)
    assert len(owners.slots()) == 1124


@pytest.mark.skipif(os.geteuid() != 0, reason="runs as another user: needs root")
def test_a_store_that_may_only_be_read_is_read(root: str) -> None:
    touch(root, range(2))
    store = f"{root}/.pyroot/owners"
    os.chown(root, helpers.NOBODY, helpers.NOBODY)
    child = os.fork()
    if child == 0:
        os.setgid(helpers.NOBODY)
        os.setuid(helpers.NOBODY)
        owners = Owners(store.encode(), root.encode())
        put(owners, f"{root}/0", 1)
        owners.close()
        os.chmod(store, stat.S_IRUSR)
        owners = Owners(store.encode(), root.encode())
        try:
            put(owners, f"{root}/1", 2)
        except OSError as error:
            os._exit(0 if error.errno == 13 and owners.get(f"{root}/0".encode()) else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def test_after_a_crash_of_the_machine_the_hash_is_made_anew(root: str) -> None:
    """As it may be on the disk: of another boot, not finished, with a hash that has not been written."""
    touch(root, range(300))
    store = f"{root}/.pyroot/owners"
    child = os.fork()
    if child == 0:
        owners = Owners(store.encode(), root.encode())
        for i in range(300):
            put(owners, f"{root}/{i}", i + 1)
        for i in range(0, 300, 3):
            put(owners, f"{root}/{i}", i + 1001)
        os._exit(0)
    os.waitpid(child, 0)
    broken(store, 56, b"12345678")
    broken(store, 4096, bytes(2048 * 4))
    owners = Owners(store.encode(), root.encode())
    found = [number_of(owners.get(f"{root}/{i}".encode()) or (0,) * 5) for i in range(300)]
    assert found == [i + (1001 if i % 3 == 0 else 1) for i in range(300)]
