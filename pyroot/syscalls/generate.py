"""Generate the core's C tables and its seccomp filter from the table: ``python -m pyroot.syscalls.generate``.

Writes ``pyroot/_fast/tables.h`` (checked in; a test regenerates it).  The filter is a binary search over runs of numbers with
the same treatment, one for each of the two ABIs.  What the filter leaves alone runs at native speed;
``seccomp_data.instruction_pointer`` exempts the loader of 64-bit programs and the gate.  Two more filters are made the same way: for views
that guests hand over, and for processes that have opened a text of /proc.  ``pyroot/guest/calls.h`` tells the gate its calls.
"""

from __future__ import annotations

import errno
import os
import sys

from pyroot.syscalls import features, numbers_i386, numbers_x86_64
from pyroot.syscalls.table import REVIEWED, ROWS, Row
from pyroot.syscalls.table_i386 import REVIEWED_I386, rows_by_name

LD, JA, JEQ, JGE, JSET, RET = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
RET_ALLOW, RET_TRACE, RET_ERRNO = 0x7FFF0000, 0x7FF00000, 0x00050000
ENOSYS = 38
# offsets in struct seccomp_data (linux/seccomp.h)
OFF_NR, OFF_ARCH, OFF_IP, OFF_ARGS = 0, 4, 8, 16
#: Numbers of i386 that the core names.
I386_NAMED = ("fork", "vfork", "clone", "getcwd", "bind", "connect", "accept4", "sendto", "sendmsg", "sendmmsg", "socketcall", "seccomp")
#: The supervisor's pid is patched over this constant when a session starts.
SUPERVISOR_MARK = 0x50595254
#: The same of the process whose descriptors guests are given by its /proc links: another one under a net of Landlock.
HOLDER_MARK = 0x50595255
#: With the number of a feature: stops where that is on, else means the next instruction.
STOP_MARK = RET_TRACE | 0x100
#: The same: means RET_ALLOW where it is not on, else the next instruction.
PASS_MARK = RET_TRACE | 0x200
#: As PASS_MARK, of what stops only where the kernel cannot seal mappings.
SEALING_MARK = RET_TRACE | 0x53
#: What a view that a guest hands over decides anew (``Row.when``): its own pyroot is not to be killed, its own listings may need it,
#: it may show a directory twice.
VIEW_KINDS = ("supervisor", "kill", "who", "listing", "noting", "duplicates")
#: What stops only in processes that have opened a text of /proc, by a filter that they are made to install (copies.pxi).
COPY_KINDS = ("copies",)
#: The loader's text (pyroot/guest/loader.h: LOADER_TEXT, LOADER_TEXT_SIZE).  Not the stubs: a restarted call has to stop.
LOADER_TEXT, LOADER_TEXT_END = 0x567000103000, 0x567000105000
#: The gate, and behind it that text: what they call runs as it is.
LOADER_GATE = 0x567000101000

SIGKILL, SIGSTOP = 9, 19
#: Signals of F_SETSIG that would end or stop the supervisor, were it the owner: nobody catches them, or they look like its own fault.
F_SETSIG, DEADLY = 10, (4, 5, 7, 8, SIGKILL, 11, SIGSTOP, 31)
#: Commands of fcntl(2) that make a descriptor: F_DUPFD, F_DUPFD_CLOEXEC.
DUPLICATES = (0, 1030)
#: Options of prctl(2) that stop: PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_GET_SECCOMP, PR_SET_SECCOMP, PR_SET_SYSCALL_USER_DISPATCH.
PRCTL = (3, 4, 21, 22, 59)

Insn = tuple[int, int, int, int]
NOTING: Insn = (RET, 0, 0, PASS_MARK | features.bit("noting"))
SEALING: Insn = (RET, 0, 0, SEALING_MARK)
#: Leaves that begin like this lie behind the search.
MARKED = (NOTING, SEALING)
ALLOW: list[Insn] = [(RET, 0, 0, RET_ALLOW)]
#: Stops where neither the loader nor the gate makes the call.
EXEMPT: list[Insn] = [
    (LD, 0, 0, OFF_IP + 4), (JEQ, 0, 4, LOADER_GATE >> 32),
    (LD, 0, 0, OFF_IP), (JGE, 0, 2, LOADER_GATE & 0xFFFFFFFF), (JGE, 1, 0, LOADER_TEXT_END & 0xFFFFFFFF),
    (RET, 0, 0, RET_ALLOW), (RET, 0, 0, RET_TRACE),
]


class Abi:
    """Describe one way of making system calls: its numbers, the rows of those that need one, the names of the others."""

    def __init__(self, arch: int, table: dict[str, int], rows: dict[str, Row], reviewed: frozenset[str], loader_by_ip: bool) -> None:
        self.arch, self.numbers, self.reviewed, self.loader_by_ip = arch, table, reviewed, loader_by_ip
        self.rows = {name: row for name, row in rows.items() if name in table}
        for name in table:
            if name in reviewed and features.stopping(name):
                # only for their sake
                self.rows[name] = Row(name, "featured")
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
    """Return what stops a call that may reach what stays in guests: its address lies there or somewhat below, or it has many bytes."""
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
    """Return the instructions for a call that names processes: the supervisor gets ``hit``, what may mean it among others stops."""
    mark, holder, allow = SUPERVISOR_MARK, HOLDER_MARK, (RET, 0, 0, RET_ALLOW)
    if kind == "kill":
        # a group, or all: only what nobody can catch needs us
        return [(LD, 0, 0, low), (JEQ, 8, 0, mark), (JEQ, 7, 0, holder), (JEQ, 1, 0, 0), (JSET, 0, 3, 0x80000000),
                (LD, 0, 0, low + 8), (JEQ, 2, 0, SIGKILL), (JEQ, 1, 0, SIGSTOP), allow, (RET, 0, 0, RET_TRACE), (RET, 0, 0, hit)]
    if kind == "who":
        # value: one process; what is above it: a group, a user
        return [(LD, 0, 0, low), (JGE, 5, 0, value + 1), (JEQ, 0, 3, value), (LD, 0, 0, low + 8), (JEQ, 3, 0, mark),
                (JEQ, 2, 0, holder), allow, (RET, 0, 0, RET_TRACE), (RET, 0, 0, hit)]
    if value:
        # that argument, too
        return [(LD, 0, 0, low), (JEQ, 4, 0, mark), (JEQ, 3, 0, holder), (LD, 0, 0, OFF_ARGS + 8 * value), (JEQ, 1, 0, mark),
                (JEQ, 0, 1, holder), (RET, 0, 0, hit), allow]
    return [(LD, 0, 0, low), (JEQ, 1, 0, mark), (JEQ, 0, 1, holder), (RET, 0, 0, hit), allow]


def _leaf(name: str, row: Row | None, loader_by_ip: bool) -> list[Insn]:
    """Return the treatment of a call: that of its row, behind the marks of features that it stops for."""
    leaf = _plain_leaf(row, loader_by_ip)
    if leaf == [(RET, 0, 0, RET_TRACE)]:
        return leaf
    return [*((RET, 0, 0, STOP_MARK | features.bit(feature)) for feature in features.stopping(name)), *leaf]


def _plain_leaf(row: Row | None, loader_by_ip: bool) -> list[Insn]:
    if row is None:
        return ALLOW
    if row.when is not None and row.when[0] == "kept" and not loader_by_ip:
        # (addresses of 32 bits do not reach there)
        return ALLOW
    if row.when is not None:
        return _conditional(row)
    if row.refuse:
        return [(RET, 0, 0, RET_ERRNO | row.refuse)]
    if (row.loader or row.gate) and loader_by_ip:
        return EXEMPT
    return [(RET, 0, 0, RET_TRACE)]


def _copy_leaf(_name: str, row: Row, loader_by_ip: bool) -> list[Insn]:
    """Return the same for a call on a descriptor: from some value of an argument on, or (no argument) always."""
    assert row.when is not None
    _kind, argument, value = row.when
    if argument >= 0:
        return [(LD, 0, 0, OFF_ARGS + 8 * argument), (JGE, 0, 1, value), (RET, 0, 0, RET_TRACE), (RET, 0, 0, RET_ALLOW)]
    return EXEMPT if row.gate and loader_by_ip else [(RET, 0, 0, RET_TRACE)]


def _merged(leaves: list[list[Insn]]) -> list[tuple[int, list[Insn]]]:
    """Return (first number, treatment) for each run of numbers that are treated alike, ascending; ``leaves`` has one for each number."""
    runs: list[tuple[int, list[Insn]]] = []
    for number, given in enumerate(leaves):
        leaf = ALLOW if given[0] in MARKED else given
        if not runs or runs[-1][1] != leaf:
            runs.append((number, leaf))
    for number, leaf in enumerate(leaves):
        if leaf[0] in MARKED:
            # behind the search, which gets no longer for any call that stops; the kernel remembers those allowed beside it
            at = max(i for i, run in enumerate(runs) if run[0] <= number)
            runs[at] = (runs[at][0], [(JEQ, 0, len(leaf), number), *leaf, *runs[at][1]])
    return runs


def _added_runs(abi: Abi, kinds: tuple[str, ...]) -> list[tuple[int, list[Insn]]]:
    """Return the same as _runs for a filter that is added for some kinds of rows: the whole one has its say all the same."""
    leaf = _copy_leaf if kinds == COPY_KINDS else _leaf
    leaves = [ALLOW] * (abi.last + 2)
    for name, row in abi.rows.items():
        if row.when is not None and row.when[0] in kinds:
            leaves[abi.numbers[name]] = leaf(name, row, abi.loader_by_ip)
    return _merged(leaves)


def _runs(abi: Abi) -> list[tuple[int, list[Insn]]]:
    """Return the runs of numbers of the whole filter; the last but one is ENOSYS."""
    leaves: list[list[Insn]] = [[(RET, 0, 0, RET_ERRNO | ENOSYS)]] * (abi.last + 2)
    for name, number in abi.numbers.items():
        if name not in abi.rows and name not in abi.reviewed:
            raise SystemExit(f"{name}: neither in the table nor reviewed")
        leaves[number] = _leaf(name, abi.rows.get(name), abi.loader_by_ip)
    # a call that a tracer skipped: nothing will run, and its result stands
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
    """Return the comparisons, parents first, and behind them each treatment once; jumps may be too long."""
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


def _row_initialiser(abi: Abi, row: Row) -> str:
    remove = {"": 0, "dir": 1, "file": 2, "flag": 3, "rights": 4}[row.remove]
    stops_for = [*features.stopping(row.name), *([features.KINDS[row.when[0]]] if row.when and row.when[0] in features.KINDS else [])]
    bits = sum(1 << features.bit(name) for name in stops_for)
    return (
        f"    [{abi.numbers[row.name]}] = {{\"{row.name}\", H_{row.handler.upper()}, {row.path}, {row.dirfd}, {row.path2}, "
        f"{row.dirfd2}, F_{row.final.upper()}, {row.flags}, F_{row.default.upper()}, {remove}, {row.bit:#x}, {row.refuse}, "
        f"{X86_64.numbers.get(row.like, 0)}, {int(row.gate)}, {abi.numbers.get(row.named, 0)}, {bits:#x}}},"
    )


def _table(abi: Abi, name: str, last: str) -> list[str]:
    return [
        f"static const pyroot_row {name}[{last} + 1] = {{",
        *(_row_initialiser(abi, row) for row in sorted(abi.rows.values(), key=lambda row: abi.numbers[row.name])),
        "};",
    ]


def _program(name: str, length: str, program: list[Insn]) -> list[str]:
    return [
        f"#define {length} {len(program)}",
        f"static const struct sock_filter {name}[{length}] = {{",
        *(f"    {{{code:#x}, {jt}, {jf}, {k:#x}u}}," for code, jt, jf, k in program),
        "};",
    ]


def render() -> str:
    """Return the text of tables.h."""
    handlers = sorted({"featured", *(row.handler for abi in (X86_64, I386) for row in abi.rows.values())})
    lines = [
        "/* generated by pyroot/syscalls/generate.py from pyroot/syscalls/table.py: do not edit */",
        "#ifndef PYROOT_TABLES_H", "#define PYROOT_TABLES_H", "#include <linux/filter.h>", "",
        "enum { H_NONE, " + ", ".join("H_" + name.upper() for name in handlers) + " };",
        "enum { F_FOLLOW, F_NOFOLLOW, F_CREATE, F_FLAG, F_OPEN };",
        f"#define PYROOT_FEATURES {len(features.FEATURES)}",
        *(f"#define FEATURE_{feature.name.upper()} {1 << i:#x}u" for i, feature in enumerate(features.FEATURES)), "",
        "typedef struct {",
        "    const char *name; unsigned char handler; signed char path, dirfd, path2, dirfd2;",
        "    unsigned char final; signed char flags; unsigned char dflt, remove; unsigned bit; int refuse;",
        "    unsigned short like; unsigned char gate; unsigned short named; unsigned features;",
        "} pyroot_row;", "",
        f"#define PYROOT_LAST_CALL {X86_64.last}",
        f"#define PYROOT_LAST_CALL_I386 {I386.last}",
        f"#define PYROOT_SUPERVISOR_MARK {SUPERVISOR_MARK:#x}u",
        f"#define PYROOT_HOLDER_MARK {HOLDER_MARK:#x}u",
        f"#define PYROOT_STOP_MARK {STOP_MARK:#x}u",
        f"#define PYROOT_PASS_MARK {PASS_MARK:#x}u",
        f"#define PYROOT_SEALING_MARK {SEALING_MARK:#x}u", "",
        *_table(X86_64, "pyroot_rows", "PYROOT_LAST_CALL"), "",
        *_table(I386, "pyroot_rows_i386", "PYROOT_LAST_CALL_I386"), "",
        *(f"#define NR_{name} {number}" for name, number in X86_64.numbers.items()), "",
        *(f"#define NR_i386_{name} {I386.numbers[name]}" for name in I386_NAMED), "",
        *_program("pyroot_filter", "PYROOT_FILTER_LENGTH", filter_program()), "",
        *_program("pyroot_view_filter", "PYROOT_VIEW_FILTER_LENGTH", filter_program(VIEW_KINDS)), "",
        *_program("pyroot_copy_filter", "PYROOT_COPY_FILTER_LENGTH", filter_program(COPY_KINDS)),
        "#endif", "",
    ]
    return "\n".join(lines)


def render_gate() -> str:
    """Return the text of calls.h: GATE_CALL(number, path, dirfd, final, flags, default, bit) for each call of the gate."""
    rows = sorted((row for row in ROWS if row.gate), key=lambda row: X86_64.numbers[row.name])
    return "\n".join([
        "/* generated by pyroot/syscalls/generate.py from pyroot/syscalls/table.py: do not edit */",
        *(f"GATE_CALL({X86_64.numbers[row.name]}, {row.path}, {row.dirfd}, F_{row.final.upper()}, {row.flags}, F_{row.default.upper()}, "
          f"{row.bit:#x}) /* {row.name} */" for row in rows),
        "",
    ])


def render_features() -> str:
    """Return the text of feature_list.pxi."""
    return "\n".join([
        "# The features, in their order: generated by pyroot/syscalls/generate.py from pyroot/syscalls/features.py, do not edit.", "",
        *(f'include "../features/{feature.name}.pxi"' for feature in features.FEATURES if feature.part),
        "cdef void features_fill() noexcept nogil:",
        "    memset(features.all, 0, sizeof(features.all))",
        *(line for i, feature in enumerate(features.FEATURES)
          for line in (f'    features.name[{i}] = b"{feature.name}"', f"    feature_{feature.name}(&features.all[{i}])")), "",
    ])


#: The generated files, below the package's folder.
OUTPUTS = {"_fast/tables.h": render, "_fast/run/feature_list.pxi": render_features, "guest/calls.h": render_gate}


def main() -> int:
    """Write the generated files."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for name, text in OUTPUTS.items():
        with open(os.path.join(package, name), "w", encoding="ascii") as file:
            file.write(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
