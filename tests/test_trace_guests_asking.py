"""Who may ask a session to be traced, and what becomes of requests that are none."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct

import pytest

from tests import helpers, strace_oracle
from tests.traced_guests import ENVIRONMENT, Ground, Looked, Probe, by_process


def test_session_without_a_filter(ground: Ground) -> None:
    """Where every call stops anyway."""
    inner = ["env", "PYROOT_NO_SECCOMP=1", *ground.words, *ground.view, f"{ground.here}/probe"]
    probe = ground._kept(Probe(inner, ground.directory, True))
    looked = Looked(ground, [*ground.words, "trace", "-e", "trace=read,mkdir,getppid,clone", "-p", str(probe.pid)], "said")
    looked.wait("read(0")
    probe.say(b"calls")
    looked.wait("getppid")
    probe.idle()
    lines = by_process(looked.end(), probe.pid)[0]
    assert [line.partition("(")[0] for line in lines if line[0] != "-"] == ["read", "read", "mkdir", "clone", "getppid", "read"]
    assert probe.end() == 6


def test_session_that_writes_a_trace_itself(ground: Ground) -> None:
    probe = ground._kept(Probe([*ground.words, "trace", "-o", f"{ground.directory}/own", *ground.view, f"{ground.here}/probe"],
                               ground.directory, True))  # fmt: skip
    tracer = ground.trace("-p", str(probe.pid))
    _output, errors = tracer.communicate(timeout=30)
    assert tracer.returncode == 125
    assert b"trace: -p: the session writes a trace of its own" in errors and len(errors.splitlines()) == 2
    assert probe.end() == 6
    assert "read(0" in strace_oracle.read(f"{ground.directory}/own")


def test_one_looks_at_a_time(ground: Ground) -> None:
    probe = ground.guest()
    looked = Looked(ground, [*ground.words, "trace", "-p", str(probe.pid)], "said")
    looked.there(probe)
    tracer = ground.trace("-p", str(probe.pid))
    _output, errors = tracer.communicate(timeout=30)
    assert tracer.returncode == 125 and b"looks at the guests of this session" in errors
    probe.say(b"calls")
    looked.wait("getppid")
    looked.end()


def asked(probe: Probe) -> socket.socket:
    """Bring a supervisor to a socket of ours."""
    from pyroot.trace.guests import call

    return call(probe.process.pid, [probe.pid])


GOOD = {"version": "", "pids": [], "choice": {}, "shown": False, "buffered": False}


@pytest.mark.parametrize("request_text", [
    b"", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x04\0\0\0null", b"\x02\0\0\0{}", b"\x03\0\0\0[[[", b"\x05\0\0\0[1,2]", b"[" * 70000,
    struct.pack("<I", 100000) + b"[" * 100000,
], ids=lambda text: repr(text[:12]))  # fmt: skip
def test_malformed_request_harms_nobody(request_text: bytes, ground: Ground) -> None:
    """The socket of somebody who sends anything is closed, at the latest when he closes it himself."""
    probe = ground.guest()
    with asked(probe) as end:
        end.settimeout(30)
        try:
            end.sendall(request_text)
            end.shutdown(socket.SHUT_WR)
            while end.recv(4096):
                pass
        except ConnectionError:
            pass
    probe.say(b"calls")
    assert probe.end() == 6


@pytest.mark.parametrize("change", [
    {"version": "0"}, {"pids": ["1"]}, {"pids": [True]}, {"pids": [-1]}, {"pids": 3}, {"choice": None}, {"choice": {"names": ["read"]}},
    {"choice.names": ["nothing"]}, {"choice.names": [[]]}, {"choice.strings": -1}, {"choice.form": {}}, {"choice.order": "x"},
    {"choice.signals": [99]}, {"choice.paths": [1]}, {"choice.form.columns": "40"},
], ids=str)  # fmt: skip
def test_wrong_values_are_refused(change: dict[str, object], ground: Ground) -> None:
    from pyroot import __version__
    from pyroot.trace.choice import Choice

    probe = ground.guest()
    request: dict[str, object] = {**GOOD, "version": __version__, "pids": [probe.pid], "choice": Choice(names=["read"]).as_words()}
    for path, value in change.items():
        place = request
        *way, name = path.split(".")
        for step in way:
            place = place[step]  # type: ignore[assignment]
        place[name] = value
    text = json.dumps(request).encode()
    with asked(probe) as end:
        end.settimeout(30)
        end.sendall(struct.pack("<I", len(text)) + text)
        answer = b"".join(iter(lambda: end.recv(4096), b""))
    assert answer[4:5] == b"e", answer
    assert probe.end() == 6


def test_guest_may_not_ask(ground: Ground) -> None:
    """Not for another session; the fellows of its own it can trace by itself."""
    probe = ground.guest()
    code = "import sys; from pyroot.trace.guests import call; end = call(int(sys.argv[1]), [1]); end.settimeout(20); print(end.recv(999))"
    python, environment = helpers.ordinary_python()
    command = [*ground.words, "-r", "/", python, "-c", code, str(probe.process.pid)]
    ended = helpers.run(command, environment={**environment, **helpers.pyroot_command()[1], **ENVIRONMENT})
    assert "a guest asks for processes outside of its session" in ended.stdout, ended.stderr
    assert probe.end() == 6


def test_other_signals_stay_what_they_are(ground: Ground) -> None:
    """SIGCONT from a person goes to the command; one that names no socket of ours goes nowhere."""
    from pyroot import _fast

    probe = ground.guest()
    pidfd = os.pidfd_open(probe.process.pid)
    for name in range(20):
        _fast.ask_supervisor(pidfd, name)
    os.close(pidfd)
    os.kill(probe.process.pid, signal.SIGCONT)
    probe.say(b"calls")
    assert probe.end() == 6


#: The supervisor's side with an error in a method.
BROKEN = """import sys
from pyroot.trace import tap
def broken(*_): raise {error}
tap.Door.{method} = broken
from pyroot._start import start
start()
"""


@pytest.mark.parametrize(
    ("method", "error", "told"),
    [
        ("ready", "ValueError('what no test has found')", "ValueError('what no test has found')"),
        ("asked", "OSError(24, 'too many')", "OSError(24, 'too many')"),
        ("close", "KeyError('end')", "KeyError('end')"),
        ("ready", "BrokenPipeError(32, 'gone')", ""),
    ],
)
def test_error_of_the_supervisor_is_told_and_harms_no_guest(ground: Ground, method: str, error: str, told: str) -> None:
    """One line each time (who asks in vain asks again); a reader who has gone is no error."""
    python, _environment = helpers.ordinary_python()
    path = f"{ground.directory}/errors"
    words = [python, "-c", BROKEN.format(error=error, method=method), *ground.view, f"{ground.here}/probe"]
    probe = ground._kept(Probe(["/bin/sh", "-c", 'exec 2>"$0"; exec "$@"', path, *words], ground.directory, True))
    looked = Looked(ground, [*ground.words, "trace", "-p", str(probe.pid)], "said")
    if method == "close":
        looked.there(probe)
    elif told:
        helpers.wait_until(lambda: strace_oracle.read(path) != "", what="what the supervisor says")
    else:
        looked.process.wait(timeout=30)
    probe.say(b"calls")
    assert probe.end() == 6
    line = f"pyroot: the trace of a guest for another process has ended: {told}\n" if told else ""
    assert set(strace_oracle.read(path).splitlines(keepends=True)) == ({line} if told else set())
