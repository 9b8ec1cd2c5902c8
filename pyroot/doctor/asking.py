"""Ask a program of the root whether it works, by starting it: short, harmless, and with a time limit.

Decides: how a guest of the doctor is started, and when it is not: without the options of a run (`View.run_words`; --no-run), for root,
whose guests would have root's rights, and where pyroot itself cannot run. What is asked, and what an answer means, is `runtimes`'.
"""

from __future__ import annotations

import os
import sys

from pyroot.errors import EXIT_FAILURE, shell_word
from pyroot.plain import record
from pyroot.reading.view import View

LIMIT = 10.0  # seconds for one program
_CALM = {b"PYTHONDONTWRITEBYTECODE": b"1", b"TERM": b"dumb", b"GIT_CONFIG_NOSYSTEM": b"1"}  # nothing is to be written into the root


@record(frozen=True)
class Answer:
    """How a program ended: its status, and the last line that says something on each stream."""

    status: int
    out: str
    error: str
    late: bool = False


def ask(view: View, program: bytes, *words: str) -> Answer | None:
    """Start a program of the root; None if no guest may be started, or none can be."""
    if view.run_words is None or view.uid == 0 or view.uid != os.geteuid():
        return None
    key = program, words
    if key not in view.answers:
        view.progress(f"asks {os.fsdecode(program)}")
        # What /dev and /proc lack has findings of its own: the question is about the program.
        wanted = (("/dev", b"/dev/null"), ("/proc", b"/proc/self"))
        lent = [word for path, name in wanted if view.stat(name) is None for word in ("-b", path)]
        variables = {name: value for name, value in view.environment.items() if not name.startswith(b"PYTHON")}
        view.answers[key] = _ask([*view.run_words, *lent], program, words, variables)
    known = view.answers[key]
    assert known is None or isinstance(known, Answer)
    return known


def worked(view: View) -> list[tuple[bytes, str]]:
    """List the programs that did what they were asked, with the words."""
    found = []
    for (program, words), answer in view.answers.items():
        if isinstance(answer, Answer) and answer.status == 0:
            found.append((program, " ".join(map(shell_word, [os.fsdecode(program), *words]))))
    return found


def _ask(options: list[str], program: bytes, words: tuple[str, ...], variables: dict[bytes, bytes]) -> Answer | None:
    import subprocess

    import pyroot

    starter = os.path.join(os.path.dirname(os.path.abspath(pyroot.__file__)), "_start.py")
    line = [sys.executable, "-IS", starter, "-v", "-1", "--kill-on-exit", "-w", "/", *options, "--", os.fsdecode(program), *words]
    path = variables.get(b"PATH", b"") + b":/usr/local/bin:/usr/bin:/bin"
    own = subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**variables, b"PATH": path, **_CALM},
        start_new_session=True,
    )  # fmt: skip
    try:
        out, error = own.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        own.kill()
        own.communicate()
        return Answer(-1, "", "", True)
    if own.returncode == EXIT_FAILURE and error.startswith(b"pyroot: "):
        return None
    return Answer(own.returncode, _last(out), _last(error))


def _last(text: bytes) -> str:
    lines = [line.strip() for line in os.fsdecode(text).splitlines() if line.strip()]
    telling = [line for line in lines if ": " in line and not line.startswith("Current thread")]
    return (telling or lines or [""])[-1][:200]
