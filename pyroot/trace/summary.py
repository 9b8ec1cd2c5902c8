"""The table of `-c` and `-C`: calls, errors and time by name.

Decides: its columns and order, which are strace's.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyroot.errors import PyrootError

_SORTS = {
    "time": "used", "time-total": "used", "total-time": "used", "seconds": "used", "calls": "calls", "count": "calls",
    "errors": "errors", "error": "errors", "name": "name", "syscall": "name", "syscall-name": "name", "nothing": "", "none": "",
    "min-time": "least", "time-min": "least", "shortest": "least", "max-time": "most", "time-max": "most", "longest": "most",
    "avg-time": "average", "time-avg": "average", "time-average": "average",
}  # fmt: skip


@dataclass
class Count:
    """What is known about one call; times in ns."""

    name: str
    calls: int = 0
    errors: int = 0
    used: int = 0
    least: int = 0
    most: int = 0

    @property
    def average(self) -> float:
        """Give the mean time of a call."""
        return self.used / self.calls if self.calls else 0.0


class Summary:
    """Counts by the name of the call."""

    def __init__(self, order: str) -> None:
        """Take the key of -S. Raises PyrootError."""
        if order not in _SORTS:
            raise PyrootError(f"trace: -S {order}: no such order", "one of time, calls, errors, name, min-time, max-time, avg-time")
        self.order = _SORTS[order]
        self.counts: dict[str, Count] = {}

    def add(self, name: str, failed: bool, used: int) -> None:
        """Count a call."""
        count = self.counts.get(name)
        if count is None:
            count = self.counts[name] = Count(name)
        count.least = min(count.least, used) if count.calls else used
        count.most = max(count.most, used)
        count.calls += 1
        count.errors += failed
        count.used += used

    def rows(self) -> list[tuple[str, int, int, int, int, int]]:
        """Give what is counted as plain values, for `merge`."""
        return [(one.name, one.calls, one.errors, one.used, one.least, one.most) for one in self.counts.values()]

    def merge(self, rows: list[tuple[str, int, int, int, int, int]]) -> None:
        """Add what another one has counted."""
        for name, calls, errors, used, least, most in rows:
            count = self.counts.setdefault(name, Count(name, least=least))
            count.calls += calls
            count.errors += errors
            count.used += used
            count.least, count.most = min(count.least, least), max(count.most, most)

    def sorted(self) -> list[Count]:
        """Give the counts in the order of -S: names ascending, numbers descending."""
        counts = list(self.counts.values())
        if self.order == "name":
            return sorted(counts, key=lambda count: count.name)
        return sorted(counts, key=lambda count: -getattr(count, self.order)) if self.order else counts

    def text(self) -> str:
        """Give the table."""
        counts = self.sorted()
        total = sum(count.used for count in counts)
        calls, errors = sum(count.calls for count in counts), sum(count.errors for count in counts)
        width = max([len(count.name) for count in counts] + [16])
        rule = f"------ ----------- ----------- --------- --------- {'-' * width}\n"
        lines = [f"% time     seconds  usecs/call     calls    errors {'syscall'}\n", rule]
        for count in counts:
            part = 100 * count.used / total if total else 0.0
            numbers = f"{part:6.2f} {count.used / 1e9:11.6f} {int(count.average / 1000):11d} {count.calls:9d} {count.errors or '':>9}"
            lines.append(f"{numbers} {count.name}\n")
        average = int(total / calls / 1000) if calls else 0
        lines += [rule, f"100.00 {total / 1e9:11.6f} {average:11d} {calls:9d} {errors or '':>9} total\n"]
        return "".join(lines)
