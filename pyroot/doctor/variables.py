"""Checks of the caller's environment, which goes along into the guest: variables that name what the root does not have.

Decides: which variables lead programs astray if their path is one of the host only, and whom that concerns. LD_PRELOAD is in `libraries`,
HOME in `accounts`, LANG and TERM in `network`. Source: ld.so(8), mktemp(1), python(1), git(1), curl(1), SSL_CTX_load_verify_locations(3).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from pyroot.doctor.registry import ERROR, NOTE, WARNING, Finding, check
from pyroot.errors import shell_word
from pyroot.plain import record
from pyroot.reading.view import View
from pyroot.rootfs import runtimes

_TLS = (b"libssl.so", b"libgnutls.so", b"libcurl")


@record(frozen=True)
class Variable:
    """A variable that names a path: how grave it is if the root lacks that, what follows, and the kind of program that asks."""

    name: bytes
    severity: str
    effect: str
    asks: str = ""


_VARIABLES = (
    Variable(b"PYTHONHOME", ERROR, "Python looks for its library there and nowhere else", runtimes.PYTHON),
    Variable(b"GIT_EXEC_PATH", WARNING, "git looks for its commands there and nowhere else", runtimes.GIT),
    Variable(b"TMPDIR", WARNING, "mktemp and many others make their files there, and give up"),
    Variable(b"SSL_CERT_FILE", WARNING, "OpenSSL trusts nobody", "TLS"),
    Variable(b"SSL_CERT_DIR", WARNING, "OpenSSL trusts nobody", "TLS"),
    Variable(b"CURL_CA_BUNDLE", WARNING, "curl and pip give up (77)", "TLS"),
    Variable(b"REQUESTS_CA_BUNDLE", WARNING, "Python's requests and pip give up", "TLS"),
    Variable(b"GIT_SSL_CAINFO", WARNING, "git trusts nobody", "TLS"),
    Variable(b"SHELL", NOTE, "script, tmux, vim and su start it"),
)


@check(
    "variable-missing",
    WARNING,
    "PYTHONHOME, GIT_EXEC_PATH, TMPDIR, SHELL and the variables that name CA certificates, in your environment",
    "the guest has your environment: a path of the host's leads its programs astray",
)
def variable_missing(view: View) -> Iterator[Finding]:
    """Find variables whose path is not in the root, and concerns a program that is."""
    if not view.rooted.root:
        return
    for variable in _VARIABLES:
        path = view.environment.get(variable.name, b"").split(b":")[0]
        if not path.startswith(b"/") or view.stat(path) is not None or view.closed(path) or not _concerns(view, variable.asks):
            continue
        name = os.fsdecode(variable.name)
        mend = f"env -u {name} pyroot -r {shell_word(view.spelled)}"
        if os.path.exists(path):
            mend += f", or with -b {shell_word(os.fsdecode(path))}"
        yield Finding(path, f"{name} names it, and it is not in the root: {variable.effect}", mend, severity=variable.severity)


def _concerns(view: View, asks: str) -> bool:
    if not asks:
        return not view.bare
    names = (os.path.basename(item.path) for item in view.closure.items if item.trace is not None)
    return any(name.startswith(_TLS) if asks == "TLS" else runtimes.kind_of(name) == asks for name in names)
