"""What ``pyroot --stats`` prints: the counters of the core, in words.

Decides: the text. Not decided here: what is counted (``_fast/records/stats.pxi``). The tables of ``syscalls`` turn the numbers of calls
into names; the times of the guests are the kernel's (getrusage(2)).
"""

import resource

from pyroot.report import note
from pyroot.syscalls import numbers_i386, numbers_x86_64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot._fast import Core

MOST = 20  # lines of the table of calls


def names() -> dict[tuple[int, int], str]:
    """Return (ABI, number) -> name of every call."""
    tables = (("", numbers_x86_64.NUMBERS), (" (i386)", numbers_i386.NUMBERS))
    return {(abi, number): name + mark for abi, (mark, table) in enumerate(tables) for name, number in table.items()}


def lines(counts: dict[str, int], calls: list[tuple[int, int, int, int]], supervisor: float, guests: float) -> list[str]:
    """Return the report; ``supervisor`` and ``guests`` are seconds of CPU."""
    stopped = sum(count for _abi, _number, count, _ns in calls)
    busy, waited = counts["busy"] / 1e9, counts["waited"] / 1e9
    share = 100 * busy / (busy + waited) if busy + waited else 0.0
    found = [
        f"{counts['stops']} stops in {busy + waited:.3f} s: {busy:.3f} s in pyroot ({share:.0f} %), {waited:.3f} s waiting for guests",
        f"  CPU: pyroot {supervisor:.3f} s, guests {guests:.3f} s",
        f"  stops: {stopped} calls, {counts['exits']} exits of calls, {counts['births']} births, {counts['execs']} execs, "
        f"{counts['signals']} signals; {counts['ends']} ends",
        f"  calls: {counts['rewritten']} rewritten, {counts['answered']} answered, "
        f"{max(0, stopped - counts['rewritten'] - counts['answered'])} left as they were",
        f"  paths: {counts['names']} relative paths left to the kernel, {counts['proofs']} symlink-free checks, "
        f"{counts['looks']} components looked up",
        f"  inside the guests: {counts['sites']} sites, whose further calls stop only if they are not plain",
        f"  kept: programs {counts['programs kept']} of {counts['programs']}, "
        f"interpreters {counts['interpreters kept']} of {counts['interpreters']}",
    ]
    if calls:
        found.append("     calls     total      each  name")
    known = names()
    ranked = sorted(calls, key=lambda call: (-call[3], -call[2]))
    for abi, number, count, ns in ranked[:MOST]:
        name = known.get((abi, number), f"number {number}")
        found.append(f"{count:10} {ns / 1e6:6.1f} ms {ns / 1e3 / count:6.1f} µs  {name}")
    if len(ranked) > MOST:
        rest = sum(count for _abi, _number, count, _ns in ranked[MOST:])
        found.append(f"{rest:10} of {len(ranked) - MOST} others")
    return found


def show(core: "Core") -> None:
    """Print what the last run of the core has cost."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    supervisor, guests = (one.ru_utime + one.ru_stime for one in usage)
    for line in lines(*core.measured(), supervisor, guests):
        note(-1, line)
