"""Make the seccomp filters of the table.

Decides: the filter.  It is a binary search over runs of numbers with the same treatment, one for each of the two ABIs.  What it lets
pass runs at native speed; ``seccomp_data.instruction_pointer`` exempts the loader of 64-bit programs and the gate.  Two more filters are
made in the same way: for views that guests hand over, and for processes that have opened a text of /proc.  Not decided here: how the
generated files look (``render``).
"""

from __future__ import annotations

import errno

from pyroot.guest.layout import X86_64 as PLACES
from pyroot.syscalls import features, numbers_i386, numbers_x86_64
from pyroot.syscalls.table import BY_DESCRIPTOR, REVIEWED, ROWS, Row
from pyroot.syscalls.table_i386 import REVIEWED_I386, rows_by_name

LD, JA, JEQ, JGE, JSET, RET = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
RET_ALLOW, RET_TRACE, RET_ERRNO = 0x7FFF0000, 0x7FF00000, 0x00050000
ENOSYS = 38
# offsets in struct seccomp_data (linux/seccomp.h)
OFF_NR, OFF_ARCH, OFF_IP, OFF_ARGS = 0, 4, 8, 16
#: The supervisor's pid is patched over this constant when a session starts.
SUPERVISOR_MARK = 0x50595254
#: The same for the process whose descriptors guests are given by its /proc links: a different process with --net (Landlock).
HOLDER_MARK = 0x50595255
#: With the number of a feature: stops if that is on, otherwise means the next instruction.
STOP_MARK = RET_TRACE | 0x100
#: The same: means RET_ALLOW if it is not on, otherwise the next instruction.
PASS_MARK = RET_TRACE | 0x200
#: Like PASS_MARK, for what stops only if the kernel cannot seal mappings.
SEALING_MARK = RET_TRACE | 0x53
#: What a view that a guest hands over decides anew (``Row.when``): its own pyroot is not to be killed, its own listings may need it,
#: it may show a directory twice.
VIEW_KINDS = ("supervisor", "kill", "who", "listing", "noting", "duplicates")
#: What stops only in processes that have opened a text of /proc, by a filter that they are made to install (copies.pxi).
COPY_KINDS = ("copies",)
#: The gate, and after it the loader's text: what they call runs as it is.  Not the stubs: a restarted call has to stop.
LOADER_GATE, LOADER_TEXT = PLACES.LOADER_GATE, PLACES.LOADER_TEXT
LOADER_TEXT_END = LOADER_TEXT + PLACES.LOADER_TEXT_SIZE

SIGKILL, SIGSTOP = 9, 19
#: Signals of F_SETSIG that would end or stop the supervisor, were it the owner: they cannot be caught, or look like its own fault.
F_SETSIG, DEADLY = 10, (4, 5, 7, 8, SIGKILL, 11, SIGSTOP, 31)
#: Commands of fcntl(2) that make a descriptor: F_DUPFD, F_DUPFD_CLOEXEC.
DUPLICATES = (0, 1030)
#: Requests of ioctl(2) that change a file by a descriptor that need not be for writing: FS_IOC_SETFLAGS and FS_IOC_SETVERSION, of both
#: ABIs, FS_IOC_FSSETXATTR, FS_IOC_ENABLE_VERITY, FS_IOC_SET_ENCRYPTION_POLICY.
SETFLAGS = (0x40086602, 0x40046602, 0x40087602, 0x40047602, 0x401C5820, 0x40806685, 0x800C6613)
#: Options of prctl(2) that stop: PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_GET_SECCOMP, PR_SET_SECCOMP, PR_SET_SYSCALL_USER_DISPATCH.
PRCTL = (3, 4, 21, 22, 59)

Insn = tuple[int, int, int, int]
NOTING: Insn = (RET, 0, 0, PASS_MARK | features.bit("noting"))
CHANGING: Insn = (RET, 0, 0, PASS_MARK | features.bit("readonly"))
GATED: list[Insn] = [(RET, 0, 0, STOP_MARK | features.bit(feature.name)) for feature in features.FEATURES if feature.gated]
GATED_PASS: list[Insn] = [(RET, 0, 0, PASS_MARK | features.bit(feature.name)) for feature in features.FEATURES if feature.gated]
SEALING: Insn = (RET, 0, 0, SEALING_MARK)
#: Leaves that begin like this are placed after the search.
MARKED = (NOTING, CHANGING, SEALING)
ALLOW: list[Insn] = [(RET, 0, 0, RET_ALLOW)]
#: Stops if neither the loader nor the gate makes the call.
EXEMPT: list[Insn] = [
    (LD, 0, 0, OFF_IP + 4), (JEQ, 0, 4, LOADER_GATE >> 32),
    (LD, 0, 0, OFF_IP), (JGE, 0, 2, LOADER_GATE & 0xFFFFFFFF), (JGE, 1, 0, LOADER_TEXT_END & 0xFFFFFFFF),
    (RET, 0, 0, RET_ALLOW), (RET, 0, 0, RET_TRACE),
]


KNOWN = {row.name for row in ROWS} | REVIEWED


def _like(name: str) -> str:
    """Return the call of x86_64 that a call without a row of its own is like: i386 has several of some, with the number of their bits."""
    native = {"olduname": "uname", "oldolduname": "uname", "nice": "setpriority"}.get(name, name)
    return name[:-2] if native not in KNOWN and name[:-2] in KNOWN else native


class Abi:
    """Describe one way of making system calls: its numbers, the rows of the calls that need one, the names of the others."""

    def __init__(self, arch: int, table: dict[str, int], rows: dict[str, Row], reviewed: frozenset[str], loader_by_ip: bool) -> None:
        self.arch, self.numbers, self.reviewed, self.loader_by_ip = arch, table, reviewed, loader_by_ip
        self.rows = {name: row for name, row in rows.items() if name in table}
        for name in table:
            effect = BY_DESCRIPTOR.get(name, "look")
            if name in reviewed and features.stopping(name, effect):
                # only for their sake
                self.rows[name] = Row(name, "featured", effect=effect, like=_like(name))
        self.last = max(table.values())


X86_64 = Abi(numbers_x86_64.AUDIT_ARCH, numbers_x86_64.NUMBERS, {row.name: row for row in ROWS}, REVIEWED, True)
#: The addresses of a 32-bit program are too few to give some of them a meaning: there the supervisor knows its loader by time.
I386 = Abi(numbers_i386.AUDIT_ARCH, numbers_i386.NUMBERS, rows_by_name(), REVIEWED_I386, False)


def _conditional(row: Row) -> list[Insn]:
    """Return the instructions that decide a call whose treatment depends on its arguments; they start with any accumulator."""
    hit = RET_ERRNO | row.refuse if row.refuse else RET_TRACE
    assert row.when is not None
    kind, argument, value = row.when
    low = OFF_ARGS + 8 * argument
    if kind == "listing":
        return [(RET, 0, 0, STOP_MARK | features.bit("listing")), *ALLOW]
    if kind == "setflags":
        return [CHANGING, (LD, 0, 0, low), *((JEQ, len(SETFLAGS) - i, 0, k) for i, k in enumerate(SETFLAGS)), *ALLOW, (RET, 0, 0, hit)]
    if kind == "noting":
        return [NOTING, (RET, 0, 0, hit)]
    if kind == "duplicates":
        deadly: list[Insn] = [(JEQ, len(DEADLY) - i, 0, number) for i, number in enumerate(DEADLY)]
        return [(LD, 0, 0, low), (JEQ, 0, len(deadly) + 3, F_SETSIG), (LD, 0, 0, low + 8), *deadly, (RET, 0, 0, RET_ALLOW),
                (RET, 0, 0, RET_ERRNO | errno.EINVAL), NOTING,
                (LD, 0, 0, low), *((JEQ, len(DUPLICATES) - i, 0, k) for i, k in enumerate(DUPLICATES)),
                (RET, 0, 0, RET_ALLOW), (RET, 0, 0, hit)]
    if kind == "any":
        return [(LD, 0, 0, low), (JSET, 0, 1, value), (RET, 0, 0, hit), (RET, 0, 0, RET_ALLOW)]
    if kind in ("never", "copies"):
        return ALLOW
    if kind == "advice":
        return [(LD, 0, 0, low), (JEQ, 0, 1, value), (RET, 0, 0, hit), (RET, 0, 0, RET_ALLOW)]
    if kind == "kept":
        return _kept(((argument, value), (4, 2)) if row.name == "mremap" else ((argument, value),))
    if kind == "nonzero":
        return [(LD, 0, 0, low), (JEQ, 0, 2, 0), (LD, 0, 0, low + 4), (JEQ, 1, 0, 0), (RET, 0, 0, hit), (RET, 0, 0, RET_ALLOW)]
    if kind in ("supervisor", "kill", "who"):
        return _about_processes(kind, low, value, hit)
    if kind == "prctl":
        value = sum(1 << option for option in PRCTL)
    if kind in ("bits", "prctl"):
        values = [bit for bit in range(64) if value >> bit & 1]
        tests: list[Insn] = [(JEQ, len(values) - i, 0, bit) for i, bit in enumerate(values)]
        return [(LD, 0, 0, low), *tests, (RET, 0, 0, RET_ALLOW), (RET, 0, 0, hit)]
    raise ValueError(kind)


def _kept(ranges: tuple[tuple[int, int], ...]) -> list[Insn]:
    """Return what stops a call that may reach what stays in guests: its address is there or somewhat below, or it covers many bytes."""
    tests: list[Insn] = []
    hit = sum(3 if size < 0 else 5 for _address, size in ranges) + 1
    for address, size in ranges:
        tests.append((LD, 0, 0, OFF_ARGS + 8 * address + 4))
        tests += [(JEQ, hit - len(tests) - i - 1, 0, (LOADER_TEXT >> 32) - i) for i in range(2)]
        if size >= 0:
            tests.append((LD, 0, 0, OFF_ARGS + 8 * size + 4))
            tests.append((JEQ, 0, hit - len(tests) - 1, 0))
    return [SEALING, *tests, (RET, 0, 0, RET_ALLOW), (RET, 0, 0, RET_TRACE)]


def _about_processes(kind: str, low: int, value: int, hit: int) -> list[Insn]:
    """Return the instructions for a call that names processes: if the supervisor, ``hit``; a call that may include it stops."""
    mark, holder, allow = SUPERVISOR_MARK, HOLDER_MARK, (RET, 0, 0, RET_ALLOW)
    if kind == "kill":
        # a group, or all: only a signal that cannot be caught needs the supervisor
        return [(LD, 0, 0, low), (JEQ, 8, 0, mark), (JEQ, 7, 0, holder), (JEQ, 1, 0, 0), (JSET, 0, 3, 0x80000000),
                (LD, 0, 0, low + 8), (JEQ, 2, 0, SIGKILL), (JEQ, 1, 0, SIGSTOP), allow, (RET, 0, 0, RET_TRACE), (RET, 0, 0, hit)]
    if kind == "who":
        # value: one process; above it: a group, a user
        return [(LD, 0, 0, low), (JGE, 5, 0, value + 1), (JEQ, 0, 3, value), (LD, 0, 0, low + 8), (JEQ, 3, 0, mark),
                (JEQ, 2, 0, holder), allow, (RET, 0, 0, RET_TRACE), (RET, 0, 0, hit)]
    if value:
        # that argument, too
        return [(LD, 0, 0, low), (JEQ, 4, 0, mark), (JEQ, 3, 0, holder), (LD, 0, 0, OFF_ARGS + 8 * value), (JEQ, 1, 0, mark),
                (JEQ, 0, 1, holder), (RET, 0, 0, hit), allow]
    return [(LD, 0, 0, low), (JEQ, 1, 0, mark), (JEQ, 0, 1, holder), (RET, 0, 0, hit), allow]


def _leaf(name: str, row: Row | None, loader_by_ip: bool) -> list[Insn]:
    """Return the treatment of a call: that of its row, after the marks of features that it stops for."""
    leaf = _plain_leaf(row, loader_by_ip)
    if leaf == [(RET, 0, 0, RET_TRACE)]:
        return leaf
    if leaf == EXEMPT:
        # (who would stop for a feature stops anyway, and the gate knows what is not for it)
        return leaf
    stopping = _marks(name, row)
    if (led := features.led(name)) and loader_by_ip:
        # (without the feature it passes)
        others = [insn for insn in stopping if insn[3] != STOP_MARK | features.bit(led)]
        assert len(others) < len(stopping) and leaf[-1] == ALLOW[0]
        return [*leaf[:-1], *others, (RET, 0, 0, PASS_MARK | features.bit(led)), *EXEMPT]
    if row is not None and row.gate and loader_by_ip and features.gated(name):
        # what the gate calls itself passes
        stopping = [insn for insn in stopping if insn not in GATED]
        leaf = [*(GATED_PASS if leaf == ALLOW else []), *(EXEMPT if leaf == ALLOW else leaf)]
    elif leaf == EXEMPT:
        stopping = [insn for insn in stopping if insn not in GATED]
    if stopping and row is not None and row.refuse and row.when is not None:
        # what is refused stays refused: a feature sees what would pass
        passing: list[Insn] = [(JA, 0, 0, len(leaf) - 1 - i) if insn == (RET, 0, 0, RET_ALLOW) else insn for i, insn in enumerate(leaf)]
        return [*passing, *stopping, *ALLOW]
    return [*stopping, *leaf]


def _marks(name: str, row: Row | None) -> list[Insn]:
    """Return where the features are named that a call stops for, whatever its arguments are."""
    effect = "" if row is None else row.effect
    some = features.KINDS.get(row.when[0]) if row is not None and row.when is not None else None
    return [(RET, 0, 0, STOP_MARK | features.bit(feature)) for feature in features.stopping(name, effect) if feature != some]


def _plain_leaf(row: Row | None, loader_by_ip: bool) -> list[Insn]:
    if row is None or (row.handler == "featured" and row.when is None):
        # (that row is there for a feature, which has its mark)
        return ALLOW
    if row.when is not None and row.when[0] == "kept" and not loader_by_ip:
        # (addresses of 32 bits do not reach there)
        return ALLOW
    if row.when is not None:
        return _conditional(row)
    if row.handler == "featured":
        # no business of ours while no feature is on that wants to see it
        return ALLOW
    if row.refuse:
        return [(RET, 0, 0, RET_ERRNO | row.refuse)]
    if (row.loader or row.gate or features.led(row.name)) and loader_by_ip:
        return EXEMPT
    return [(RET, 0, 0, RET_TRACE)]


def _copy_leaf(_name: str, row: Row, loader_by_ip: bool) -> list[Insn]:
    """Return the same for a call on a descriptor: for some value of an argument and above, or (no argument) always."""
    assert row.when is not None
    _kind, argument, value = row.when
    if argument >= 0:
        return [(LD, 0, 0, OFF_ARGS + 8 * argument), (JGE, 0, 1, value), (RET, 0, 0, RET_TRACE), (RET, 0, 0, RET_ALLOW)]
    return EXEMPT if row.gate and loader_by_ip else [(RET, 0, 0, RET_TRACE)]


def _merged(leaves: list[list[Insn]]) -> list[tuple[int, list[Insn]]]:
    """Return (first number, treatment) for each run of numbers with the same treatment, ascending; ``leaves`` has one for each number."""
    runs: list[tuple[int, list[Insn]]] = []
    for number, given in enumerate(leaves):
        leaf = ALLOW if given[0] in MARKED else given
        if not runs or runs[-1][1] != leaf:
            runs.append((number, leaf))
    for number, leaf in enumerate(leaves):
        if leaf[0] in MARKED:
            # after the search, so that no other call that stops takes longer; the kernel caches those that are always allowed
            at = max(i for i, run in enumerate(runs) if run[0] <= number)
            runs[at] = (runs[at][0], [(JEQ, 0, len(leaf), number), *leaf, *runs[at][1]])
    return runs


def _added_runs(abi: Abi, kinds: tuple[str, ...]) -> list[tuple[int, list[Insn]]]:
    """Return the same as _runs for a filter that is added for some kinds of rows: the whole filter still applies."""
    leaf = _copy_leaf if kinds == COPY_KINDS else _leaf
    leaves = [ALLOW] * (abi.last + 2)
    for name, row in abi.rows.items():
        if row.when is not None and row.when[0] in kinds:
            leaves[abi.numbers[name]] = leaf(name, row, abi.loader_by_ip)
        elif kinds != COPY_KINDS and _plain_leaf(row, abi.loader_by_ip) != [(RET, 0, 0, RET_TRACE)]:
            # features that this view has and those around have not
            leaves[abi.numbers[name]] = [*_marks(name, row), *ALLOW]
    return _merged(leaves)


def _runs(abi: Abi) -> list[tuple[int, list[Insn]]]:
    """Return the runs of numbers of the whole filter; the last but one is ENOSYS."""
    leaves: list[list[Insn]] = [[(RET, 0, 0, RET_ERRNO | ENOSYS)]] * (abi.last + 2)
    for name, number in abi.numbers.items():
        if name not in abi.rows and name not in abi.reviewed:
            raise SystemExit(f"{name}: neither in the table nor reviewed")
        leaves[number] = _leaf(name, abi.rows.get(name), abi.loader_by_ip)
    # a call that a tracer skipped: nothing will run, and its result is kept
    return [*_merged(leaves), (0xFFFFFFFF, ALLOW)]


def _search(runs: list[tuple[int, list[Insn]]]) -> list[Insn]:
    """Return a binary search whose ends are shared, in as few parts as jumps of 255 instructions allow."""
    whole = _tree(runs)
    if all(max(jt, jf) < 256 for _code, jt, jf, _k in whole):
        return whole
    middle = len(runs) // 2
    left, right = _search(runs[:middle]), _search(runs[middle:])
    return [(JGE, 0, 1, runs[middle][0]), (JA, 0, 0, len(left)), *left, *right]


def _tree(runs: list[tuple[int, list[Insn]]]) -> list[Insn]:
    """Return the comparisons, parents first, and after them each treatment once; jumps may be too long."""
    leaves: list[list[Insn]] = []
    for _number, leaf in runs:
        if leaf not in leaves:
            leaves.append(leaf)
    place = [len(runs) - 1 + sum(map(len, leaves[:i])) for i in range(len(leaves))]
    program: list[Insn] = []

    def descend(first: int, last: int) -> int:
        """Emit the search in runs[first:last]; return where it begins."""
        if last - first == 1:
            return place[leaves.index(runs[first][1])]
        here, middle = len(program), (first + last) // 2
        program.append((JGE, 0, 0, 0))
        below, above = descend(first, middle), descend(middle, last)
        program[here] = (JGE, above - here - 1, below - here - 1, runs[middle][0])
        return here

    descend(0, len(runs))
    return program + [insn for leaf in leaves for insn in leaf]


def filter_program(kinds: tuple[str, ...] = ()) -> list[Insn]:
    """Return the whole filter, or one that is added for some ``kinds`` of rows, as (code, jt, jf, k) tuples."""
    runs = [_added_runs(abi, kinds) if kinds else _runs(abi) for abi in (X86_64, I386)]
    parts: list[list[Insn]] = [[(LD, 0, 0, OFF_NR), *_search(found)] for found in runs]
    head: list[Insn] = [
        (LD, 0, 0, OFF_ARCH), (JEQ, 3, 0, X86_64.arch), (JEQ, 1, 0, I386.arch),
        (RET, 0, 0, RET_ERRNO | ENOSYS), (JA, 0, 0, len(parts[0])),
    ]
    return head + parts[0] + parts[1]
