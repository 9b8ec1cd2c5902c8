"""Kill the supervisors of three sessions at any moment of an install, again and again, and hold the root against what was acknowledged.

``python -m tests.fakeroot.kills FOLDER [--rounds N] [--seed N]`` as root. FOLDER keeps the root, and how far it has come: started again
it goes on from there. The moment of a kill is a number of changes of the store. Guests say what they are about to change, and, after
the call, what the file is (``acked.c``). After each kill every file that they have named must be as the last call that returned has
left it, or as the one that had not returned yet would. Then ``dpkg --configure -a`` goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

from tests import helpers
from tests.oracle.build import compile_program

from .row import Row
from .world import ENVIRONMENT, HERE, copies

PACKAGES = "sudo iputils-ping cron dbus man-db fuse3 plocate molly-guard chrony uuid-runtime"
NEXT_AT = 40  # of store_header.next (pyroot/store/store.h)
SESSIONS = (
    """dpkg --force-unsafe-io --configure -a; while :; do dpkg --force-unsafe-io -i /repo/*.deb || dpkg --force-unsafe-io --configure -a
       dpkg --force-all --purge cron plocate uuid-runtime sudo fuse3 chrony; done""",
    """while :; do rm -rf /srv/b; cp -r /usr/share/doc/base-files /srv/b; chown -R 7:8 /srv/b; chmod -R 4711 /srv/b; chown -R 0:0 /srv/b
       chmod -R u-s,g+s /srv/b; done""",
    """while :; do mkdir -p /srv/c; for i in 1 2 3 4 5 6 7; do touch /srv/c/$i; chown $i:9 /srv/c/$i; chmod 600$i /srv/c/$i
       mv /srv/c/$i /srv/c/x$i; chown 9$i /srv/c/x$i; chmod 000 /srv/c/x$i; done; rm -rf /srv/c; done""",
)
LINE = re.compile(r"(try|done) (\d+) (-?\d+\.\d+) (\d+) (\d+) ([0-7]+)")


class Store:
    """The header of the root's store, read while sessions run."""

    def __init__(self, path: str) -> None:
        self.path = path

    def next(self) -> int:
        """Return how many slots are in use, -1 while there is no store."""
        try:
            with open(self.path, "rb") as file:
                head = file.read(NEXT_AT + 4)
        except OSError:
            return -1
        return int.from_bytes(head[NEXT_AT:], "little") if len(head) == NEXT_AT + 4 else -1


def sessions(root: str, repo: str, folder: str) -> list[subprocess.Popen[bytes]]:
    """Start three sessions on the root."""
    command, more = helpers.pyroot_command()
    found = []
    for number, script in enumerate(SESSIONS):
        words = [*command, "--kill-on-exit", "-0", "-r", root, "-b", "/dev", "-b", "/proc", "-b", f"{repo}:/repo",
                 "-b", f"{folder}/log:/log", "-b", f"{folder}/lib:/lib-acked", "-w", "/", "/bin/bash", "-c", script]  # fmt: skip
        environment = {**ENVIRONMENT, **more, "ACKED": f"/log/{number}", "LD_PRELOAD": "/lib-acked/acked.so"}
        with open(f"{folder}/output", "ab") as output:
            found.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd="/",
                                          user=helpers.NOBODY, group=helpers.NOBODY, extra_groups=[], start_new_session=True))  # fmt: skip
    return found


def said(folder: str) -> dict[tuple[int, str], list[tuple[str, tuple[int, int, int]]]]:
    """Return what guests have said of each file, by inode and birth: tries and results, in their order."""
    found: dict[tuple[int, str], list[tuple[str, tuple[int, int, int]]]] = {}
    for name in sorted(os.listdir(f"{folder}/log")):
        with open(f"{folder}/log/{name}", encoding="ascii") as file:
            for line in file:
                match = LINE.fullmatch(line.rstrip("\n"))
                if match:
                    word, ino, birth, uid, gid, mode = match.groups()
                    found.setdefault((int(ino), birth), []).append((word, (int(uid), int(gid), int(mode, 8))))
    return found


def now(root: str, folder: str) -> dict[tuple[int, str], tuple[int, int, int]]:
    """Return what every file is for guests, by inode and birth."""
    command, more = helpers.pyroot_command()
    words = [*command, "-0", "-r", root, "-b", f"{folder}/lib:/lib-acked", "-w", "/", "/lib-acked/births", "/"]
    told = subprocess.run(words, capture_output=True, text=True, env={**ENVIRONMENT, **more}, cwd="/", user=helpers.NOBODY,
                          group=helpers.NOBODY, extra_groups=[], check=False)  # fmt: skip
    if told.returncode:
        raise RuntimeError(f"the root cannot be used any more: {told.stderr}")
    found = {}
    for line in told.stdout.splitlines():
        ino, birth, uid, gid, mode = line.split()
        found[int(ino), birth] = (int(uid), int(gid), int(mode, 8) & 0o7777)
    return found


def allowed(told: list[tuple[str, tuple[int, int, int]]]) -> set[tuple[int, int, int]]:
    """Return what a file may be: as the last call left it, or as those tried after that would."""
    last = max((i for i, (word, _state) in enumerate(told) if word == "done"), default=-1)
    states = {told[last][1]} if last >= 0 else set()
    for _word, (uid, gid, mode) in told[last + 1 :]:
        # (a change of owner takes set-id bits, as far as the mode has them)
        states |= {(uid, gid, mode), (uid, gid, mode & ~0o4000), (uid, gid, mode & ~0o6000)}
    if last < 0:
        states.add((-1, -1, -1))
    return states


def check(root: str, folder: str) -> tuple[list[str], int]:
    """Compare; return a line for each file that is wrong, and how many were compared."""
    state, wrong, compared = now(root, folder), [], 0
    for key, told in said(folder).items():
        if key not in state:
            continue
        may = allowed(told)
        if (-1, -1, -1) in may:
            continue
        compared += 1
        if state[key] not in may:
            wrong.append(f"inode {key[0]}: {state[key]}, last said: {told[-3:]}")
    return wrong, compared


def one_round(root: str, repo: str, folder: str, chance: random.Random) -> tuple[list[str], int, int]:
    """Start sessions, kill them, compare; the last number is that of the changes made."""
    shutil.rmtree(f"{folder}/log", ignore_errors=True)
    os.mkdir(f"{folder}/log")
    for number in range(len(SESSIONS)):
        with open(f"{folder}/log/{number}", "wb"):
            pass
        os.chown(f"{folder}/log/{number}", helpers.NOBODY, helpers.NOBODY)
    store = Store(f"{root}/.pyroot/owners")
    begun = last = store.next()
    moment, done = chance.randint(20, 900), 0
    running = sessions(root, repo, folder)
    end = time.monotonic() + 60
    while done < moment and time.monotonic() < end and all(process.poll() is None for process in running):
        number = store.next()
        # (a store that is written anew begins with its live slots)
        done += number - last if number >= last else 1
        last = number
        os.sched_yield()
    order = list(running)
    chance.shuffle(order)
    for process in order:
        process.send_signal(signal.SIGKILL)
    for process in order:
        process.wait()
        helpers.kill_session(process.pid)
    wrong, compared = check(root, folder)
    return wrong, compared, done if begun >= 0 else last


def prepare(folder: str) -> None:
    """Make the root, the repository and what guests are given."""
    row = Row("kills", "", archive=PACKAGES)
    real, fake, repo = copies(row, folder)
    shutil.rmtree(real)
    os.rename(fake, f"{folder}/root")
    shutil.copytree(repo, f"{folder}/repo")
    os.makedirs(f"{folder}/lib")
    shutil.copy(compile_program([f"{HERE}/acked.c"], "-shared", "-fPIC", "-ldl", name="fakeroot-acked"), f"{folder}/lib/acked.so")
    shutil.copy(compile_program([f"{HERE}/births.c"], "-static", name="fakeroot-births"), f"{folder}/lib/births")


def main(words: list[str]) -> int:
    """Run the rounds that are left; 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakeroot.kills", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = parser.parse_args(words)
    folder = os.path.abspath(given.folder)
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o755)
    if not os.path.exists(f"{folder}/root"):
        prepare(folder)
    progress = f"{folder}/progress"
    total = {"rounds": 0, "compared": 0, "wrong": 0}
    if os.path.exists(progress):
        with open(progress, encoding="ascii") as file:
            total = json.load(file)
    print(f"seed {given.seed}, after {total['rounds']} rounds", flush=True)
    while total["rounds"] < given.rounds:
        chance = random.Random(given.seed * 1000 + total["rounds"])
        wrong, compared, changes = one_round(f"{folder}/root", f"{folder}/repo", folder, chance)
        total["rounds"] += 1
        total["compared"] += compared
        total["wrong"] += len(wrong)
        print(f"round {total['rounds']}: killed after {changes} changes, {compared} files compared, {len(wrong)} wrong", flush=True)
        print(*(f"    {line}" for line in wrong[:10]), sep="\n", end="\n" if wrong else "", flush=True)
        with open(progress + ".new", "w", encoding="ascii") as file:
            json.dump(total, file)
        os.rename(progress + ".new", progress)
    print(f"{total['rounds']} kills, {total['compared']} files compared, {total['wrong']} wrong")
    return 1 if total["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
