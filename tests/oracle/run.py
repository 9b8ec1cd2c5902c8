"""Run cases on two sides and compare: ``python -m tests.oracle.run --seeds 1-100 --ops 200``.

Prints the seed, the first differing operation and what led there for every case that differs, then the totals
``seeds N operations M differences K``.  Exits 1 when anything differed.
"""

from __future__ import annotations

import argparse
import collections
import errno
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from . import exhaustive, known, sides
from .build import guest_programs
from .case import ORDINARY_ID, Case, materialise, snapshot, tree_differences
from .coverage import Coverage, way
from .generate import generate

RESULT = re.compile(r"= -(\d+)")
CONTEXT = 6
#: what the generator is told after the seed and the number of operations
GENERATOR_FLAGS = ("wild", "nested", "whole", "mounts", "readonly", "overlay")
DEEP = ("/" + "D" * 245) * 13


@dataclass
class Comparison:
    """What two sides disagreed on: result lines (index, real, other) and tree lines."""

    lines: list[tuple[int, str, str]] = field(default_factory=list)
    tree: list[str] = field(default_factory=list)
    forgiven: collections.Counter[str] = field(default_factory=collections.Counter)

    def __len__(self) -> int:
        return len(self.lines) + len(self.tree)


def readable(line: str) -> str:
    """Name the errno of a result line."""
    return RESULT.sub(lambda m: f"= -{errno.errorcode.get(int(m.group(1)), m.group(1))}", line)


def by_index(lines: list[str]) -> dict[int, str]:
    """Group result lines under the operation that they belong to."""
    result: dict[int, str] = {}
    index = -1
    for line in lines:
        number, _, rest = line.partition(" ")
        if number.isdigit():
            index = int(number)
            result[index] = f"{result[index]}\n{rest}" if index in result else rest
        else:
            result[index] = f"{result[index]}\n{line}" if index in result else line
    return result


class Oracle:
    """A work directory, with a file system of its own for each side."""

    def __init__(self, other: str, libc: str = "", on_disk: bool = False, deep: bool = False, coverage: Coverage | None = None) -> None:
        self.other = other
        self.width = libc if libc == "i386" else ""
        self.coverage = coverage
        self.programs = guest_programs(libc)
        sides.private_mounts()
        self.directory = tempfile.mkdtemp(prefix="pyroot-oracle-")
        os.chmod(self.directory, 0o755)
        self.on_disk = on_disk
        self.deep = deep

    def close(self) -> None:
        """Remove the work directory, keep the counts."""
        if self.coverage:
            self.coverage.save()
        shutil.rmtree(self.directory, ignore_errors=True)

    def one_side(self, case: Case, name: str, number: int) -> tuple[list[str], dict[str, str]]:
        """Make a fresh tree, run one side over it and return its lines and the final tree."""
        base = os.path.join(self.directory, f"side{number}")
        os.mkdir(base)
        if not self.on_disk:  # a fresh one for each side numbers its inodes alike
            sides.mount("oracle", base, "tmpfs", 0, "mode=755,size=1g")
        try:
            inner = base + DEEP if self.deep else base
            os.makedirs(inner, exist_ok=True)
            materialise(case, inner, self.programs)
            for mount in case.mounts:
                sides.mount("oracle", os.path.join(inner, mount.place), "tmpfs", 0, "mode=755")
                mount.fill(inner)
            if not case.overlay:
                return sides.SIDES[name](case, inner), snapshot(inner)
            return self.overlaid(case, name, inner)
        finally:
            if not self.on_disk:
                sides.checked(sides.libc.umount2(base.encode(), 2), "umount")
            shutil.rmtree(base, ignore_errors=True)

    def overlaid(self, case: Case, name: str, base: str) -> tuple[list[str], dict[str, str]]:
        """The same with an overlay: the tree is what the kernel's own overlay shows afterwards, and the lower layer is as it was."""
        before = snapshot(base)
        os.mkdir(f"{base}/over")
        os.chown(f"{base}/over", ORDINARY_ID, ORDINARY_ID)
        lines = sides.SIDES[name](case, base)
        after = snapshot(f"{base}")
        lower = {path: text for path, text in after.items() if not path.startswith("over")}
        work = [path for path in after if path.startswith("over/") and not path.startswith(("over/upper", "over/work"))]
        os.mkdir(f"{base}/shown")
        sides.mount_overlay(base, f"{base}/shown")
        try:
            # (whether a copy has the number of what it was made from is seen while the session runs)
            shown = {path: text.replace("same-as over/upper", "same-as root").replace("same-as shown", "same-as root")
                     for path, text in snapshot(base).items() if path.startswith("shown")}  # fmt: skip
        finally:
            sides.checked(sides.libc.umount2(f"{base}/shown".encode(), 2), "umount")
        left = [f"lower layer: {line}" for line in tree_differences(before, lower) if "root" in line]
        return lines, {**shown, **dict.fromkeys(left, "changed"), **dict.fromkeys(work, "left")}

    def compare(self, case: Case) -> Comparison:
        """Run both sides and return their differences."""
        case.identity = not self.on_disk  # a disk's inode numbers come back, and not in the same order
        result = Comparison()
        real_lines, real_tree = self.one_side(case, "real", 1)
        try:
            other_lines, other_tree = self.one_side(case, self.other, 2)
        except sides.SideError as error:
            result.lines.append((-1, "ended", str(error)))
            return result
        real, other = by_index(real_lines), by_index(other_lines)
        if self.coverage:
            self.coverage.add(case, real, self.width)
        for index in sorted(real.keys() | other.keys()):
            one, two = real.get(index, "nothing"), other.get(index, "nothing")
            if one == two:
                continue
            reason = known.reason(case.program[index] if index >= 0 else "", one, two, case.overlay)
            if not reason and case.overlay and one.endswith("= -26") and not two.endswith("= -26"):
                result.forgiven[known.RUNS] += 1
                return result
            if not reason and case.overlay and known.is_behind_closed(case.program[:index], real, two):
                # (what comes after it is about other directories)
                result.forgiven[known.BEHIND_CLOSED] += 1
                return result
            if reason:
                result.forgiven[reason] += 1
            else:
                result.lines.append((index, one, two))
        result.tree = tree_differences(real_tree, other_tree)
        return result


def minimise(oracle: Oracle, case: Case) -> Case:
    """Delete operations, then bindings, as long as the two sides still differ."""
    chunk = max(1, len(case.program) // 2)
    while chunk:
        position = 0
        while position < len(case.program):
            program = case.program[:position] + case.program[position + chunk:]
            smaller = replace(case, program=program)
            if oracle.compare(smaller):
                case = smaller
            else:
                position += chunk
        chunk //= 2
    for binding in [b for b in case.bindings if not (case.whole and b.host.startswith("/"))]:
        smaller = replace(case, bindings=[b for b in case.bindings if b != binding])
        try:
            if oracle.compare(smaller):
                case = smaller
        except sides.SideError:  # the target of another binding lies in this one
            continue
    return case


def show(case: Case, comparison: Comparison, whole: bool, limit: int) -> None:
    """Print the differences of one case; none of them with a limit of 0, but whose they are."""
    print(f"--- seed {case.seed}: {len(comparison)} differences", flush=True)
    if limit == 0:
        return
    for binding in case.bindings:
        print(f"    binding {binding.host} -> {binding.guest}")
    lines = comparison.lines[:limit]
    for number, (index, one, two) in enumerate(lines):
        first = 0 if whole else max(0, index - CONTEXT)
        for before in range(first, index) if number == 0 else ():
            print(f"    {before}: {case.program[before][:300]}")
        print(f"  > {index}: {case.program[index][:300] if index >= 0 else ''}")
        print(f"      real  {readable(one)[:600]}")
        print(f"      other {readable(two)[:600]}")
    if whole and not lines:
        for index, operation in enumerate(case.program):
            print(f"    {index}: {operation[:300]}")
    for line in comparison.tree[:limit]:
        print(f"    {line}")
    if whole:
        used = {word for line in case.program for word in re.findall(r"[\w.]+", line)}
        for entry in case.entries:
            if os.path.basename(entry.path) in used:
                about = f"{entry.content[:60]!r} {entry.mode:o} uid {entry.owner}"
                print(f"    tree: {entry.kind} {entry.path[:100]} {about}")
    sys.stdout.flush()


def chosen_cases(oracle: Oracle, options: argparse.Namespace) -> Iterator[Case]:
    """Return the cases that the options ask for."""
    if options.exhaustive:
        yield from exhaustive.cases(options.whole)
    elif options.gaps and oracle.coverage:
        for seed, ops, *flags in oracle.coverage.gaps(f"way: {oracle.width or way()}", options.gaps):
            yield generate(int(seed), int(ops), *(name in flags for name in GENERATOR_FLAGS))
    else:
        for seed in options.seeds:
            case = generate(seed, options.ops, options.wild, options.nested, options.whole, options.mounts,
                            options.readonly, options.overlay)
            if options.program:
                with open(options.program, encoding="latin-1") as file:
                    case.program = file.read().splitlines()
            yield case


def run(oracle: Oracle, options: argparse.Namespace) -> int:
    """Compare all cases and print the totals; return the number of differences."""
    total = done = seeds = 0
    forgiven: collections.Counter[str] = collections.Counter()
    started = time.monotonic()
    for case in chosen_cases(oracle, options):
        seeds += 1
        done += len(case.program)
        try:
            comparison, able = oracle.compare(case), True
        except sides.SideError as error:
            # a fault of the oracle's own: go on with the other seeds
            comparison, able = Comparison([(-1, str(error), "not asked")]), False
        total += len(comparison)
        forgiven += comparison.forgiven
        if comparison and options.minimise and able:
            case = minimise(oracle, case)
            comparison = oracle.compare(case)
        if comparison:
            show(case, comparison, options.minimise, 0 if options.quiet else options.limit)
        if options.stop_after and total >= options.stop_after:
            break
    for reason, count in forgiven.items():
        print(f"forgiven {count}: {reason}")
    seconds = time.monotonic() - started
    print(f"{seconds:.1f} s, {done / seconds:.0f} operations/s")
    print(f"seeds {seeds} operations {done} differences {total}")
    return total


def seed_range(text: str) -> range:
    """Read ``A-B`` or ``A``."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="compare random programs in a real chroot and under pyroot")
    parser.add_argument("--seeds", type=seed_range, default=range(1, 21))
    parser.add_argument("--ops", type=int, default=200)
    parser.add_argument("--other", choices=sorted(sides.SIDES), default="pyroot")
    parser.add_argument("--libc", choices=("musl", "glibc"), default="")
    parser.add_argument("--m32", dest="libc", action="store_const", const="i386", help="let guests be 32-bit programs")
    parser.add_argument("--disk", action="store_true", help="use the file system of the temporary directory, not tmpfs")
    parser.add_argument("--deep", action="store_true", help="put the root below a host path of 3,200 bytes")
    parser.add_argument("--wild", action="store_true", help="let guests move and lock away the sources of bindings")
    parser.add_argument("--nested", action="store_true", help="let guests call chroot(2): both sides have CAP_SYS_CHROOT")
    parser.add_argument("--whole", action="store_true", help="the root is the machine's own: pyroot runs inside, without -r")
    parser.add_argument("--readonly", action="store_true", help="let some bindings, and sometimes the root, be read-only")
    parser.add_argument("--overlay", action="store_true", help="let the root be the lower layer of an overlay")
    parser.add_argument("--mounts", action="store_true", help="let the machine have mounts of its own in root and bindings")
    parser.add_argument("--exhaustive", action="store_true", help="all sequences of two calls out of forty, instead of seeds")
    parser.add_argument("--program", default="", help="a file of operations, instead of those of the seed")
    parser.add_argument("--coverage", default="", help="add to this file's counts of what was met (see coverage.py)")
    parser.add_argument("--gaps", type=int, default=0, help="run at most this many cases that met what this way lacks (see --coverage)")
    parser.add_argument("--minimise", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="of a difference the seed only")
    parser.add_argument("--limit", type=int, default=3, help="differences shown for each seed")
    parser.add_argument("--stop-after", type=int, default=0, help="stop after that many differences")
    options = parser.parse_args()
    obstacle = sides.why_not_possible(options.other)
    if obstacle:
        print(f"cannot run: {obstacle}")
        return 2
    flags = (name for name in GENERATOR_FLAGS if getattr(options, name))
    coverage = Coverage(options.coverage, (str(options.ops), *flags)) if options.coverage else None
    oracle = Oracle(options.other, options.libc, options.disk, options.deep, coverage)
    try:
        return 1 if run(oracle, options) else 0
    finally:
        oracle.close()


if __name__ == "__main__":
    sys.exit(main())
