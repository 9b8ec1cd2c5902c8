"""What a check is: one row of the table, and what it gives back.

Decides: what a row holds, and how severe a finding is for the commands that the user names. The checks themselves are in `programs`,
`libraries`, `runtimes`, `devices`, `accounts`, `settings`, `places`, `network`, `variables`, `against`, `host` and `calls`; each is one
function under one row. The whole table is `checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pyroot.plain import field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyroot.doctor.steps import Step
    from pyroot.reading.view import View

ERROR = "error"  # something that a user of this root runs into
WARNING = "warning"  # affects some programs
NOTE = "note"  # worth knowing when something fails
NAMES = tuple(  # the calls that look up hosts
    b"getaddrinfo getnameinfo gethostbyname gethostbyname2 gethostbyname_r gethostbyname2_r gethostbyaddr gethostbyaddr_r gethostent"
    b" getaddrinfo_a __res_query __res_search __res_nquery __res_nsearch res_query res_search res_nquery res_nsearch".split()
)
SEVERITIES = (ERROR, WARNING, NOTE)
_FEW = 3  # files with the same fault that are told one by one

ROOT = "root"
HOST = "host"


@record(frozen=True)
class Finding:
    """One thing that is wrong: what, where (guest path, empty for the host), and how to fix it.

    `mend` is a command or a sentence for the user; `steps` are what `--fix` would do, none if it cannot.
    """

    path: bytes
    what: str
    mend: str = ""
    steps: tuple[Step, ...] = ()
    code: str = ""
    severity: str = ""
    why: str = ""


@record(frozen=True)
class Check:
    """One row: code, severity, what it looks at, why it matters, and the function that looks.

    What a row with `beside` finds keeps some programs from working and others not: if the user names the commands that matter, or
    the root is one for single programs, it is a warning. `calls`: what it finds concerns programs that make one of these, of glibc; if
    none of the named commands may, it is a note.
    """

    code: str
    severity: str
    looks_at: str
    why: str
    part: str
    function: Callable[[View], Iterable[Finding]] = field(compare=False)
    beside: bool = False
    calls: tuple[bytes, ...] = ()

    def run(self, view: View) -> list[Finding]:
        """Look, and give the findings with this row's code, severity and sentence."""
        return [
            Finding(one.path, one.what, one.mend, one.steps, self.code, self._severity(view, one), self.why) for one in self.function(view)
        ]

    def _severity(self, view: View, one: Finding) -> str:
        severity = one.severity or self.severity
        if self.calls and severity == WARNING and view.commands and not view.may_call(self.calls):
            return NOTE
        return WARNING if self.beside and severity == ERROR and (view.commands or view.bare) else severity


def gathered(found: list[Finding], view: View) -> Iterator[Finding]:
    """Make one finding of many that have one cause, such as an archive that has lost the modes or the links of all files."""
    from pyroot.errors import shell_word
    from pyroot.reading.view import shown_names

    for severity in dict.fromkeys(one.severity for one in found):
        alike = [one for one in found if one.severity == severity]
        if len(alike) <= _FEW:
            yield from alike
            continue
        steps = tuple(step for one in alike for step in one.steps)
        what = f"{alike[0].what}; {len(alike) - 1} more are like it: {shown_names([one.path for one in alike[1:]])}"
        mend = f"pyroot doctor --fix {shell_word(view.spelled)}" if steps else f"{alike[0].mend}, and so on, as their owner"
        yield Finding(alike[0].path, what, mend, steps, severity=severity)


CHECKS: list[Check] = []

Function = Callable[["View"], Iterable[Finding]]


def check(
    code: str, severity: str, looks_at: str, why: str, part: str = ROOT, beside: bool = False, calls: tuple[bytes, ...] = ()
) -> Callable[[Function], Function]:
    """Add a function to the table."""

    def enter(function: Function) -> Function:
        CHECKS.append(Check(code, severity, looks_at, why, part, function, beside, calls))
        return function

    return enter
