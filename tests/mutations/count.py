"""``python -m tests.mutations.count [FUZZER:SEED]...``: how often is content outside read, by the ways out and by some races?

Prints one line of JSON: ``content`` (what is in files there was read, or a program there executed), ``other`` (names, states, sockets
and whatever else a net of file rights does not catch), ``ran`` (how many calls were tried).
"""

from __future__ import annotations

import json
import random
import re
import sys

from tests.fuzz import FUZZERS
from tests.fuzz.engine import Crashed, Failed, Outside
from tests.fuzz.ways import SHARDS, Ways, some

SEED = 20261130
SOME = 40
"""Ways of each call."""
READS = (" content", " executed", " memory")
#: Modes of the races whose hits are openings, which read what they have opened.
OPENINGS = ("open", "follow", "dirfd", "nodir", "page", "dots", "how", "execute")
TURNS = 6
"""Of each race: how it ends is a matter of luck."""


def of_ways() -> tuple[int, int, int]:
    """Count what the ways out meet."""
    tried, content, other = Ways(), 0, 0
    tried.shown, tried.patience = 10**9, 2.0
    tried.open()
    try:
        for shard in range(SHARDS):
            rng = random.Random(SEED + shard)
            try:
                tried.attempt(tried.all[shard::SHARDS], lambda _call, every, rng=rng: some(every, SOME, rng))  # type: ignore[misc]
            except Outside as error:
                hits = str(error).split("; ")
                read = sum(hit.endswith(READS) for hit in hits)
                content, other = content + read, other + len(hits) - read
            except Failed:
                # (a pyroot that ends, or that holds the probe up, lets nobody read)
                other += 1
    finally:
        tried.close()
    if not tried.ran:
        raise Crashed("no way could be tried")
    return content, other, tried.ran


def of_race(name: str, seed: int) -> tuple[int, int, int]:
    """Count what a race meets."""
    fuzzer, content, other = FUZZERS[name](), 0, 0
    fuzzer.open()
    try:
        for _turn in range(TURNS):
            try:
                fuzzer.turn(seed, fuzzer.size)
            except Outside as error:
                text = str(error)
                numbers = re.search(r"outside (\d+) other", text) or re.search(r": (\d+) of \d+ calls", text)
                met = int(numbers[1]) if numbers else 0
                read = met if name.startswith("race") or text.split(":")[0] in OPENINGS else 0
                content, other = content + read, other + (0 if read else max(met, 1))
            except Failed as error:
                # (with a net some calls get EACCES, which is no error of such a race)
                if error.kind != "wrong":
                    raise
    finally:
        fuzzer.close()
    return content, other, fuzzer.ran


def main() -> int:
    """Count, and print."""
    counts = [of_ways()]
    for word in sys.argv[1:]:
        name, seed = word.split(":")
        counts.append(of_race(name, int(seed)))
    content, other, ran = (sum(column) for column in zip(*counts, strict=True))
    print(json.dumps({"content": content, "other": other, "ran": ran}))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        sys.exit(f"{type(failure).__name__}: {failure}")
