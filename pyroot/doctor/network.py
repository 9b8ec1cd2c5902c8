"""Checks of names and data that programs look up: hosts, resolv.conf, services, certificates, time zone, locale, terminal.

Decides: which of these files is missing for which programs. Source: hosts(5), resolv.conf(5), services(5), tzfile(5), locale(7),
terminfo(5); the paths of CA certificates as distributions have them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from pyroot.doctor.registry import NAMES, NOTE, WARNING, Finding, check
from pyroot.doctor.settings import absent
from pyroot.doctor.steps import AddLines, Copy, Step, WriteFile
from pyroot.errors import shell_word
from pyroot.reading.view import View

_HOSTS = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_CERTIFICATES = (
    b"/etc/ssl/certs/ca-certificates.crt",
    b"/etc/pki/tls/certs/ca-bundle.crt",
    b"/etc/ssl/cert.pem",
    b"/etc/ssl/ca-bundle.pem",
    b"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
)
_CERTIFICATE_DIRECTORIES = (b"/etc/ssl/certs", b"/usr/lib/ssl/certs", b"/etc/pki/tls/certs", b"/etc/openssl/certs")
_TLS = (b"libssl.so", b"libgnutls.so", b"libnss3.so", b"libmbedtls.so")
_TERMINFO = (b"/etc/terminfo", b"/lib/terminfo", b"/usr/share/terminfo", b"/usr/lib/terminfo")


def _lines(text: bytes) -> list[list[bytes]]:
    """Give the words of each line that has any, without what is behind a #."""
    return [words for line in text.splitlines() if (words := line.partition(b"#")[0].split())]


@check(
    "hosts-missing",
    WARNING,
    "/etc/hosts and localhost in it",
    "localhost is then looked up at the name server, or not found",
    calls=NAMES,
)
def hosts_missing(view: View) -> Iterator[Finding]:
    """Find a root that does not know localhost."""
    text, gone = view.read(b"/etc/hosts"), absent(view, b"/etc/hosts")
    if gone is not None:
        what, clear = gone
        yield Finding(b"/etc/hosts", what, "-R shows the host's", () if clear is None else (*clear, WriteFile(b"/etc/hosts", _HOSTS)))
    elif text is not None and not any(re.match(rb"[\da-fA-F.:]+$", words[0]) for words in _lines(text) if b"localhost" in words[1:]):
        yield Finding(b"/etc/hosts", "does not name localhost", "add 127.0.0.1 localhost", (AddLines(b"/etc/hosts", _HOSTS),))


@check(
    "resolv-missing",
    WARNING,
    "/etc/resolv.conf, the target of its link, and whether a name server on this machine that it names answers",
    "without a name server host names are not found",
    calls=NAMES,
)
def resolv_missing(view: View) -> Iterator[Finding]:
    """Find a root without name servers that can be used; the file is often a link into /run."""
    path = b"/etc/resolv.conf"
    text, gone = view.read(path), absent(view, path)
    mend = "run with -R, or with -b /etc/resolv.conf"
    if text is not None:
        what = _unusable(text)
        if what:
            yield Finding(path, what, mend)
        return
    if gone is None:
        return
    what, clear = gone
    steps: tuple[Step, ...] = ()
    try:
        with open("/etc/resolv.conf", "rb") as file:
            content = file.read()
        if view.rooted.root and clear is not None and not _unusable(content):
            steps = (*clear, WriteFile(path, content))
    except OSError:
        pass
    yield Finding(path, what, mend, steps)


def _unusable(text: bytes) -> str:
    """Say why no name server of a resolv.conf can be used; empty if one may. Without a line for one, glibc and musl ask 127.0.0.1."""
    lines = [line.split() for line in text.splitlines()]
    named = [os.fsdecode(words[1]) for words in lines if len(words) > 1 and words[0] == b"nameserver"]
    families = {name: _family(name) for name in named}
    servers = [name for name in named if families[name]][:3]
    if named and not servers:
        return f"names no address of a name server ({', '.join(named[:3])})"
    if any(not name.startswith("127.") and name != "::1" for name in servers):
        return ""  # somewhere in the network: nobody is asked on behalf of a root that is only looked at
    if any(_answers(name) for name in servers or ["127.0.0.1"]):
        return ""
    return f"names {', '.join(servers)} only, where nobody answers" if servers else "names no name server"


def _family(name: str) -> int:
    import _socket  # `socket` itself is a fifth of the cost of a small root

    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, name.partition("%")[0])
        except OSError:
            continue
        return int(family)
    return 0


def _answers(name: str) -> bool:
    """Ask a name server of this machine for the root of all names; no answer within a moment is one, too."""
    import socket

    try:
        with socket.socket(_family(name), socket.SOCK_DGRAM) as own:
            own.settimeout(0.3)
            own.connect((name, 53))
            own.send(b"\x70\x79\1\0\0\1\0\0\0\0\0\0\0\0\2\0\1")
            return bool(own.recv(512))
    except OSError:
        return False


@check("services-missing", NOTE, "/etc/services and /etc/protocols", "programs that look up a port by name (getservbyname) do not find it")
def services_missing(view: View) -> Iterator[Finding]:
    """Find a root without the names of ports."""
    for path in (b"/etc/services", b"/etc/protocols"):
        if view.stat(path) is None:
            steps = (Copy(path),) if os.path.isfile(path) else ()
            yield Finding(path, "is missing", "pyroot copy, or -b", steps)


@check(
    "certificates-missing", WARNING, "CA certificates, if a TLS library is in use", "every https connection fails with an unknown issuer"
)
def certificates_missing(view: View) -> Iterator[Finding]:
    """Find TLS programs without certificates to check with: neither a file of them nor a directory of hashed names."""
    users = [item for item in view.closure.items if os.path.basename(item.path).startswith(_TLS)]
    if not users or any(_has_certificate(view, path) for path in _CERTIFICATES):
        return
    for directory in _CERTIFICATE_DIRECTORIES:
        if any(re.fullmatch(rb"[0-9a-f]{8}\.[0-9]+", name) and view.is_file(directory + b"/" + name) for name in view.list(directory)):
            return
    wanter = os.fsdecode(users[0].needed_by or users[0].path)
    own = next((path for path in _CERTIFICATES if os.path.isfile(path) and os.path.getsize(path)), None)
    path = next((path for path in _CERTIFICATES if view.stat(path) is not None or view.link(path) is not None), _CERTIFICATES[0])
    link = view.link(path)
    if view.closed(path):
        return
    what = "no CA certificates"
    if view.is_file(path):
        what = "has no certificate in it" if view.read(path) else "is empty"
    elif link is not None:
        what = f"is a link to {os.fsdecode(link)}, which is not there"
    mend = f"run with -b {shell_word(os.fsdecode(own))}" if own else "install ca-certificates in the root"
    steps = (Copy(own),) if own and view.rooted.root and view.stat(own) is None and view.link(own) is None else ()
    yield Finding(path, f"{what}; {wanter} uses TLS", mend, steps)


def _has_certificate(view: View, path: bytes) -> bool:
    text = view.read(path)
    return text is not None and b"-----BEGIN " in text


@check("localtime", NOTE, "/etc/localtime and where it leads", "times are shown in UTC")
def localtime(view: View) -> Iterator[Finding]:
    """Find a time zone whose link is dangling, or that is none."""
    link, status = view.link(b"/etc/localtime"), view.stat(b"/etc/localtime")
    if status is None:
        what = f"is a link to {os.fsdecode(link)}, which is not there" if link else "is missing"
        yield Finding(b"/etc/localtime", what, "-R shows the host's; or install tzdata")
    elif not stat.S_ISREG(status.st_mode):
        mend = f"rm -r {view.outside(b'/etc/localtime')}, and install tzdata; a mount that found nothing has made it"
        yield Finding(b"/etc/localtime", "is a directory" if stat.S_ISDIR(status.st_mode) else "is not a file", mend, severity=WARNING)
    elif not view.closed(b"/etc/localtime") and not (view.read(b"/etc/localtime") or b"").startswith(b"TZif"):
        yield Finding(b"/etc/localtime", "is not a time zone (tzfile(5))", "install tzdata", severity=WARNING)


@check(
    "locale-missing",
    NOTE,
    "the locale of LC_ALL, LC_CTYPE or LANG, for glibc",
    "programs fall back to plain ASCII, and Perl warns about it",
)
def locale_missing(view: View) -> Iterator[Finding]:
    """Find a locale that the caller's environment names and the root lacks."""
    variables = view.environment
    name = next((variables[key] for key in (b"LC_ALL", b"LC_CTYPE", b"LANG") if variables.get(key)), b"C")
    plain = name.partition(b".")[0]
    if plain in (b"C", b"POSIX") or not view.closure.has_glibc:
        return
    encoding = name.partition(b".")[2].lower().replace(b"-", b"")
    wanted = {name, plain, plain + b"." + encoding}
    if view.is_file(b"/usr/lib/locale/locale-archive"):
        archive = view.read(b"/usr/lib/locale/locale-archive") or b""
        if any(one + b"\0" in archive for one in wanted):
            return
    if not wanted & set(view.list(b"/usr/lib/locale")):
        yield Finding(b"/usr/lib/locale", f"has no {os.fsdecode(name)}", "LC_ALL=C.UTF-8, or generate the locale in the root")


@check(
    "terminfo-missing",
    WARNING,
    "the terminfo entry of TERM, if libtinfo or ncurses is in use",
    "full-screen programs refuse the terminal, and shells cannot edit lines",
)
def terminfo_missing(view: View) -> Iterator[Finding]:
    """Find a terminal that the root does not know."""
    term = view.environment.get(b"TERM", b"")
    if not re.fullmatch(rb"[A-Za-z0-9][A-Za-z0-9+._-]*", term) or term == b"dumb":
        return
    uses = any(os.path.basename(item.path).startswith((b"libtinfo", b"libncurses")) for item in view.closure.items)
    short = term[:1] + b"/" + term
    coded = b"%x/" % term[0] + term
    if not uses or any(view.is_file(base + b"/" + part) for base in _TERMINFO for part in (short, coded)):
        return
    source = next((path for path in (base + b"/" + short for base in _TERMINFO) if os.path.isfile(path)), b"")
    path = source or b"/usr/share/terminfo/" + short
    steps = (Copy(path),) if source and view.rooted.root else ()
    mend = f"pyroot copy {shell_word(view.spelled)} {shell_word(os.fsdecode(path))}" if steps else "TERM=xterm, or describe it in the root"
    yield Finding(path, f"terminal {os.fsdecode(term)} is not described", mend, steps)


@check(
    "host-socket",
    NOTE,
    "sockets of the host's services that the environment names",
    "desktop, ssh agent and display of the host are reached through them",
)
def host_socket(view: View) -> Iterator[Finding]:
    """Find sockets that the caller's environment promises and the root does not show."""
    for name, path in _sockets(view):
        if path.startswith(b"/") and os.path.exists(path) and view.stat(path) is None:
            yield Finding(path, f"{name} names it; it is on the host only", f"-R, or -b {shell_word(os.fsdecode(path))}")


def _sockets(view: View) -> Iterator[tuple[str, bytes]]:
    variables = view.environment
    for address in variables.get(b"DBUS_SESSION_BUS_ADDRESS", b"").split(b";"):
        found = re.search(rb"unix:.*?path=([^,]+)", address)
        if found:
            yield "DBUS_SESSION_BUS_ADDRESS", found[1]
    yield "SSH_AUTH_SOCK", variables.get(b"SSH_AUTH_SOCK", b"")
    display = re.fullmatch(rb"(?:unix)?:(\d+)(?:\.\d+)?", variables.get(b"DISPLAY", b""))
    if display:
        yield "DISPLAY", b"/tmp/.X11-unix/X" + display[1]
    wayland, runtime = variables.get(b"WAYLAND_DISPLAY", b""), variables.get(b"XDG_RUNTIME_DIR", b"")
    if wayland:
        yield "WAYLAND_DISPLAY", wayland if wayland.startswith(b"/") else runtime + b"/" + wayland


@check(
    "name-service-socket",
    NOTE,
    "/run/nscd/socket in the root",
    "glibc asks a daemon there before it reads its own files: its answers are the host's",
)
def name_service_socket(view: View) -> Iterator[Finding]:
    """Find a name service daemon that would answer for the root."""
    for path in (b"/run/nscd/socket", b"/var/run/nscd/socket"):
        if view.stat(path) is not None and view.stat(b"/etc/passwd") is not None:
            yield Finding(path, "accounts may be those of the daemon behind this socket", "do not bind /run if names look wrong")
            return
