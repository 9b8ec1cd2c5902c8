"""Python's own test suite: a module at a time, on a Debian root that has ``python3`` and ``libpython3.11-testsuite``.

Without a given root mmdebstrap makes one (once; it is kept in the tests' cache).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field

from tests import helpers
from tests.oracle import sides
from tests.rootfs_fixtures import debian_tar, directory_for_user, inside, remove

PACKAGES = ("python3", "python3-venv", "libpython3.11-testsuite", "gcc", "libc6-dev", "procps")
TESTS = (
    "test_os", "test_posix", "test_posixpath", "test_pathlib", "test_shutil", "test_glob", "test_tempfile", "test_tarfile",
    "test_zipfile", "test_subprocess", "test_signal", "test_fcntl", "test_mmap", "test_socket", "test_threading",
    "test_multiprocessing_fork", "test_venv",
)  # fmt: skip
BINDINGS = ("/proc", "/dev", "/sys")
TIME_LIMIT = 1800.0
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
               "TMPDIR": "/tmp"}


@dataclass
class Outcome:
    """What one side made of one test module: case name to the first line of its failure, "" where it passed."""

    cases: dict[str, str] = field(default_factory=dict)
    status: int = 0
    text: str = ""


# Runs one test module inside the root, without the resources that the suite asks for (network, large files), and writes a line for
# each case: its name, a tab, and the last line of its failure or nothing.
RUNNER = """
import sys, unittest
import test.support
test.support.use_resources = []
report = open("/tmp/report", "w", buffering=1, errors="replace")

def note(case, what=""):
    report.write(case.id() + "\\t" + what + "\\n")

def last(error):
    return (str(error[1]).strip().splitlines() or [error[0].__name__])[-1]

class Result(unittest.TextTestResult):
    def addSuccess(self, test):
        super().addSuccess(test)
        note(test)
    def addFailure(self, test, error):
        super().addFailure(test, error)
        note(test, last(error))
    def addError(self, test, error):
        note(test, last(error))
        super().addError(test, error)
    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error:
            note(test, last(error))

suite = unittest.defaultTestLoader.loadTestsFromName("test." + sys.argv[1])
unittest.TextTestRunner(verbosity=2, resultclass=Result).run(suite)
report.write("end\\t\\n")
"""


def read_report(path: str) -> tuple[dict[str, str], bool]:
    """Read what RUNNER wrote: the cases, and whether it came to the end."""
    cases: dict[str, str] = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, error = line.rstrip("\n").partition("\t")
            cases[name] = cases.get(name) or error
    return cases, cases.pop("end", None) is not None


class Side:
    """One of the two places where the suite runs."""

    def __init__(self, name: str, root: str) -> None:
        self.name, self.root = name, root

    def words(self, scratch: str, command: list[str]) -> tuple[list[str], dict[str, str]]:
        """Return the words and the environment that run a command on this side."""
        if self.name == "real":
            return command, ENVIRONMENT
        pyroot, environment = helpers.pyroot_command()
        bindings = [word for path in (*BINDINGS, f"{scratch}:/tmp") for word in ("-b", path)]
        return [*pyroot, "--kill-on-exit", "-r", self.root, *bindings, "-w", "/tmp", *command], {**environment, **ENVIRONMENT}

    def prepare(self, scratch: str) -> None:
        """Enter the real chroot, or become the ordinary user that starts pyroot; runs between fork and exec."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background job of a shell has it ignored, and two tests want it
        if self.name == "real":
            sides.private_mounts()
            for host, guest in [*((path, path) for path in BINDINGS), (scratch, "/tmp")]:
                sides.mount(host, inside(self.root, guest), None, sides.MS_BIND | sides.MS_REC)
            os.chroot(self.root)
            os.chdir("/tmp")
        sides.drop_rights()

    def run(self, test: str, results: str) -> Outcome:
        """Run one test module to its end, or to the time limit."""
        scratch = directory_for_user()
        outcome = Outcome()
        with open(f"{scratch}/run.py", "w", encoding="ascii") as file:
            file.write(RUNNER)
        words, environment = self.words(scratch, ["python3", "/tmp/run.py", test])
        log = os.path.join(results, f"{test}.{self.name}.log")
        with open(log, "wb") as output:
            process = subprocess.Popen(
                words, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=lambda: self.prepare(scratch),
            )
            try:
                outcome.status = process.wait(TIME_LIMIT)
            except subprocess.TimeoutExpired:
                outcome.text = f"did not end within {TIME_LIMIT:.0f} s"
            finally:
                helpers.kill_session(process.pid)
                process.wait()
        try:
            outcome.cases, ended = read_report(f"{scratch}/report")
        except OSError:
            ended = False
        if not ended:
            outcome.text = outcome.text or f"came to no end (status {outcome.status}; see {log})"
        remove(scratch)
        return outcome


def compare(test: str, real: Outcome, other: Outcome) -> list[str]:
    """Return a line for each case that fails under pyroot alone, and for each that ran on one side only."""
    if other.text or real.text:
        return [f"{test}: {name} {outcome.text}" for name, outcome in (("real", real), ("pyroot", other)) if outcome.text]
    lines = [f"{name}: {error}" for name, error in sorted(other.cases.items()) if error and not real.cases.get(name)]
    lines += [f"{name}: did not run under pyroot" for name in sorted(set(real.cases) - set(other.cases)) if not real.cases[name]]
    return lines


def make_root() -> str:
    """Unpack the Debian root with Python's tests in it."""
    parent = directory_for_user()
    root = f"{parent}/rootfs"
    os.mkdir(root)
    subprocess.run(["tar", "-x", "-p", "-f", debian_tar("amd64", PACKAGES), "-C", root], check=True)
    return root


def run_modules(tests: list[str], given_root: str, names: list[str], results: str) -> int:
    """Run modules of the suite, print what fails under pyroot alone, or on the one side, and return the number of such lines."""
    root = given_root or make_root()
    if not os.path.exists(f"{root}/etc/hosts"):  # mmdebstrap makes none, and test_socket wants it
        with open(f"{root}/etc/hosts", "w", encoding="ascii") as file:
            file.write("127.0.0.1 localhost\n::1 localhost\n")
    found = 0
    for test in tests:
        outcomes = {name: Side(name, root).run(test, results) for name in names}
        if len(names) == 1:
            outcome = outcomes[names[0]]
            lines = [f"{name}: {error}" for name, error in sorted(outcome.cases.items()) if error] + [outcome.text] * bool(outcome.text)
        else:
            lines = compare(test, outcomes["real"], outcomes["pyroot"])
        counts = ", ".join(f"{name} {sum(not e for e in o.cases.values())} passed {sum(bool(e) for e in o.cases.values())} failed"
                           for name, o in outcomes.items())
        print(f"{test}: {counts}", *(f"  {line}" for line in lines), sep="\n", flush=True)
        found += len(lines)
    if not given_root:
        shutil.rmtree(os.path.dirname(root), ignore_errors=True)
    return found
