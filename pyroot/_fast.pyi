"""The typed face of the compiled core (pyroot/_fast.pyx)."""

from pyroot.launch import Run

class CoreError(Exception):
    """Say that the supervisor itself could not do its work; the text starts with what failed (ptrace, fork, seccomp, ...)."""

class Core:
    """One guest view: a root and its bindings, and the supervisor of programs that run in it."""

    def __init__(self, rootfs: bytes) -> None:
        """Take a canonical absolute host path of a directory as the guest's root.  Raises OSError."""

    def bind(self, host: bytes, guest: bytes, flags: int = 0) -> None:
        """Show canonical ``host`` at canonical ``guest`` (which need not exist); the later of two for one guest path wins.

        ``flags`` 1: glue, a directory made only to lead to other bindings; it is not listed as a mount; 16: nothing below it may be
        changed; 32: nothing is there, whatever ``host`` is; 64: ``host`` is
        a symbolic link, which leads on in the guest.  Raises OSError.
        """

    def mark_root(self, flags: int) -> None:
        """Give the root some of these flags."""

    def overlay(self, guest: bytes, paths: list[bytes], work: bytes) -> None:
        """Let what is bound at a guest path, or the root, be an overlay.

        ``paths``: the directory that is written to, that which is bound there, and lower ones; ``work``: one of the first's file system.
        """

    def bindings(self) -> list[tuple[bytes, bytes, int]]:
        """Return (host, guest, flags) of each binding, the root first."""

    def resolve(
        self, path: bytes, base: bytes = b"/", follow: bool = True, missing: bool = False, tid: int = 0
    ) -> tuple[bytes, bytes, int]:
        """Resolve ``path`` seen from the canonical guest directory ``base``.

        Returns the canonical guest path, the host path and the number of trailing components that do not exist.  ``follow``:
        follow a link in the last component.  ``missing``: any number of trailing components may be missing; where search
        permission ends the rest is taken as written.  ``tid``: a guest of the session that runs, in whose view it is.  Raises OSError
        with the kernel's errno.
        """

    def translate(self, path: bytes, base: bytes = b"/", mode: int = 1) -> bytes:
        """Return the text that the kernel is given for a call.

        ``mode`` is what happens to the last component: 1 followed, 2 not followed, 3 made or removed, 4 open with O_CREAT.
        """

    def detranslate(self, host: bytes, tid: int = 0) -> bytes | None:
        """Return the guest path of a canonical host path, None where no binding shows it.

        ``tid``: a guest of the session that runs; one of a pyroot inside may have a view of its own.
        """

    def run(self, run: Run) -> int:
        """Run the guest program ``run.program`` in the guest directory ``run.cwd`` until its last descendant is gone; return its raw
        wait status.

        The calling thread is the tracer for that time.  Of ``run.config``:
        ``seccomp`` False: stop at every call (kernels that refuse filters).
        ``handover``: a pyroot around this one may trace in its place; then this process only waits.
        ``trace``: a sink that is told of calls, signals and exits (pyroot.trace.session); what it raises is raised at the end.
        ``grace``: seconds between the request to end (a signal that comes when the program has ended) and the end of those that did not
        heed it.
        ``net``: run guests under a layer of Landlock that allows what the view shows; CoreError ("net: ...") is raised where the kernel has
        none; where the root is / it does nothing.
        ``run.features`` are those that are on besides what every session has, with the text that each is given; CoreError is raised for a
        name that nobody knows.
        ``run.front`` is the process that stops when the program is stopped, in place of this one; 0: none.
        ``run.leaver`` is called when the program has ended and others are left, and once more some seconds later: True the first time,
        the raw wait status of the program, the processes that are left.  When it returns True it is not called again.
        ``new_session``: the program leads a session of its own, as setsid(2) makes one, without the terminal.
        ``run.starter`` is called once the program's execve has been found possible, and it begins, with its pid; what fails later is told
        by the exit.
        ``run.explainer`` is called at the end of a process that failed to start a program: pid, its own program, then of the last execve
        that failed the name, errno, working directory (empty: only the errno can be told) and the directories that were searched.  Name
        None: the process ended with 127 without such a failure.  None costs nothing.
        Raises OSError when the program cannot be executed, CoreError when the supervisor cannot work.
        """

    def measure(self) -> None:
        """Let the runs from now on read the clock at every stop."""

    def measured(self) -> tuple[dict[str, int], list[tuple[int, int, int, int]]]:
        """Return what the last run has cost: counters by name (``busy`` and ``waited`` in ns), and its calls.

        A call is (0 for x86_64 or 1 for i386, number, how often it stopped, ns in the supervisor); the times are 0 without ``measure``.
        """

    def attach(self, threads: list[int], sink: object) -> int:
        """Trace threads that run already, without translation, until they end or a signal comes; they outlive this process.

        ``sink.attached()`` is called when all of them are traced.
        Raises CoreError when one of them may not be traced.
        """

    def peek(self, tid: int, address: int, size: int) -> bytes | None:
        """Read ``size`` bytes of a guest's memory, None when they are not there; for sinks."""

    def peek_string(self, tid: int, address: int, limit: int) -> bytes | None:
        """Read a string of a guest up to its end, at most ``limit`` bytes of it, None when it is not there; for sinks."""

class TracedCall:
    """One system call of a guest, as the guest made it; times in ns, ``begin`` and ``end`` since 1970."""

    tid: int
    nr: int
    compat: bool
    over: bool
    args: tuple[int, int, int, int, int, int]
    ins: tuple[bytes | None, ...]
    outs: tuple[bytes | None, ...] | None
    result: int
    ip: int
    sp: int
    begin: int
    end: int
    used: int
    text: list[str | None] | None

def tap_listen() -> None:
    """Let SIGIO wake the loop of the session that runs, for `pyroot.trace.tap`."""

def tap_traces() -> bool:
    """Say whether calls are recorded, for whomever."""

def tap_guest(pid: int) -> int | None:
    """Return the process among the guests that traces this one, 0 if none does, None if it is no guest of the session that runs."""

def tap_begin(sink: object, pids: list[int]) -> list[list[int]]:
    """Tell a sink of the calls of some guests from now on, in a session without a trace; return the threads of each."""

def tap_end() -> None:
    """Tell the sink of ``tap_begin`` no more; a call that has begun is told before."""

def can_share(places: tuple[bytes, bytes]) -> bool:
    """Say whether sessions of one root have a directory where they find each other."""

def be_called(name: bytes) -> None:
    """Give this process the name that ps shows."""

def die_with(pid: int) -> None:
    """End as soon as that process, our parent, does; 0: no longer."""

def ask_supervisor(pidfd: int, name: int) -> None:
    """Wake a supervisor by the signal that names our socket (32 bits); see `pyroot.trace.guests`.  Raises OSError."""

def interrupted() -> bool:
    """Say whether the terminal's ^C has reached this process since the last run began, or while it waited to begin."""

def self_check() -> dict[str, int]:
    """Say which kernel features are there: {"seccomp": ..., "openat2": ..., "landlock": its version, 0 for none}."""

def cpuid() -> tuple[bytes, dict[int, tuple[int, int, int, int]], int]:
    """Return the processor's maker, its features by CPUID leaf as (eax, ebx, ecx, edx), and the lower half of XCR0."""

class Owners:
    """The owners remembered for a root directory (pyroot/store), without a session; raises CoreError if the store cannot be used."""

    moved: bool
    """It is the store of another directory, of which this one is a copy."""

    def __init__(self, path: bytes, root: bytes, rekey: bool = False) -> None:
        """Open the store at ``path``, which need not be there; ``rekey``: also one of another directory."""

    def close(self) -> None: ...
    def get(self, path: bytes) -> tuple[int, int, int, int, int] | None: ...
    def tail(self, path: bytes) -> bytes: ...
    def put(self, path: bytes, uid: int, gid: int, mode: int, rdev: int = 0, flags: int = 0, tail: bytes | None = None) -> None: ...
    def slots(self) -> list[tuple[int, int, int, int, int, int, int, int, bytes]]: ...
    def keys(self, paths: list[bytes]) -> list[int]: ...
    def collect(self, keys: list[int], since: int) -> None: ...
    @property
    def number(self) -> int: ...


def repair_owners(path: bytes, root: bytes) -> bool:
    """Make a damaged store usable again, with the records that are whole; say whether it was damaged."""
