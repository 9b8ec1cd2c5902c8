"""--no-network: internet addresses are refused but for the loopback's."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests import helpers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

    Run = Callable[..., Result]

WAYS = {"filter": {}, "no-filter": {"PYROOT_NO_SECCOMP": "1"}}
# 192.0.2.0/24 and 2001:db8::/32 are for examples: nobody has such an address.
PROGRAM = """
import errno, socket

def tell(what, call, *arguments):
    try:
        call(*arguments)
        print(what, "ok")
    except OSError as error:
        print(what, errno.errorcode[error.errno])

tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
server = socket.socket(socket.AF_INET, tcp)
tell("bind any", server.bind, ("0.0.0.0", 0))
server.listen()
port = server.getsockname()[1]
tell("loopback", socket.socket(socket.AF_INET, tcp).connect, ("127.0.0.1", port))
tell("any", socket.socket(socket.AF_INET, tcp).connect, ("0.0.0.0", port))
tell("connect", socket.socket(socket.AF_INET, tcp).connect, ("192.0.2.1", 9))
tell("udp connect", socket.socket(socket.AF_INET, udp).connect, ("192.0.2.1", 9))
tell("bind", socket.socket(socket.AF_INET, tcp).bind, ("192.0.2.1", 0))
tell("sendto", socket.socket(socket.AF_INET, udp).sendto, b"x", ("192.0.2.1", 9))
tell("sendmsg", socket.socket(socket.AF_INET, udp).sendmsg, [b"x"], [], 0, ("192.0.2.1", 9))
tell("own sendto", socket.socket(socket.AF_INET, udp).sendto, b"x", ("127.1.2.3", 9))
first, second = socket.socketpair()
tell("pair", first.send, b"x")
if socket.has_ipv6:
    try:
        six = socket.socket(socket.AF_INET6, udp)
    except OSError:
        six = None
    if six:
        for name in ("2001:db8::1", "::ffff:192.0.2.1"):
            tell(name, six.sendto, b"x", (name, 9))
"""
EXPECTED = {"bind any": "ok", "loopback": "ok", "any": "ok", "connect": "ENETUNREACH", "udp connect": "ENETUNREACH", "bind": "ENETUNREACH",
            "sendto": "ENETUNREACH", "sendmsg": "ENETUNREACH", "own sendto": "ok", "pair": "ok",
            "2001:db8::1": "ENETUNREACH", "::ffff:192.0.2.1": "ENETUNREACH"}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_only_the_machine_itself_is_reached(run_pyroot: Run, way: str) -> None:
    python = helpers.ordinary_user.interpreter[0] or sys.executable
    done = run_pyroot(["--no-network", python, "-I", "-c", PROGRAM], environment={**WAYS[way], "PATH": os.defpath})
    told = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert (done.status, told) == (0, {name: EXPECTED[name] for name in told}), done.stderr
    assert len(told) >= len(EXPECTED) - 2


def test_without_it_the_kernel_says_what_it_says(run_pyroot: Run) -> None:
    python = helpers.ordinary_user.interpreter[0] or sys.executable
    script = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); print(s.sendto(b'x', ('127.0.0.1', 9)))"
    assert run_pyroot([python, "-I", "-c", script]).stdout == "1\n"
