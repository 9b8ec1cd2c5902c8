"""The two roots of a row: one of real root's, and a copy of it of the ordinary user's, whose owners are remembered."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyroot.verbs import remembered
from tests import helpers
from tests.everyday.root import SUITE, debian_lines
from tests.oracle.build import cache_directory, compile_program
from tests.rootfs_fixtures import Unavailable

from .row import UNLISTED, UNREAD

if TYPE_CHECKING:
    from .row import Row

HERE = os.path.dirname(os.path.abspath(__file__))
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "TZ": "UTC",
               "DEBIAN_FRONTEND": "noninteractive", "SOURCE_DATE_EPOCH": "1700000000", "TERM": "dumb"}
# Services are not started in either root.
POLICY = "#!/bin/sh\nexit 101\n"
REAL = """set -e
[ -z "$4" ] || { mount --bind /dev "$1/dev"; mount -t proc proc "$1/proc"; }
[ -z "$2" ] || mount --bind "$2" "$1/repo"
exec chroot "$1" /bin/bash -c "cd /; $3"
"""


@dataclass
class Outcome:
    """What came of one side."""

    status: int = 0
    output: str = ""
    tree: dict[str, tuple[str, str]] = field(default_factory=dict)


def run_real(root: str, repo: str, script: str, limit: float, devices: bool = True) -> tuple[int, str]:
    """Run a script as real root in a real chroot, in name spaces that end with it."""
    words = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--propagation", "private",
             "bash", "-c", REAL, "real", root, repo, script, "yes" if devices else ""]  # fmt: skip
    return ran(words, limit, {})


def run_fake(root: str, repo: str, script: str, limit: float, devices: bool = True) -> tuple[int, str]:
    """The same as fake root."""
    command, more = helpers.pyroot_command()
    words = [*command, "--kill-on-exit", "-0", "-r", root, *(["-b", "/dev"] if devices else []), "-b", "/proc",
             *(["-b", f"{repo}:/repo"] if repo else []), "-w", "/", "/bin/bash", "-c", f"unset {' '.join(more)}; {script}"]  # fmt: skip
    return ran(words, limit, more, user=helpers.NOBODY)


def ran(words: list[str], limit: float, more: dict[str, str], user: int | None = None) -> tuple[int, str]:
    found = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                           env={**ENVIRONMENT, **more}, cwd="/", user=user, group=user, extra_groups=[] if user else None, timeout=limit,
                           check=False)  # fmt: skip
    return found.returncode, found.stdout


# -- roots -------------------------------------------------------------------------------------------------------------------------------


def cached(what: str, *of: object) -> tuple[str, bool]:
    """Return where something is kept that is made of these, and whether it is there; whoever asks holds it alone."""
    digest = hashlib.sha256(repr(of).encode()).hexdigest()[:16]
    target = os.path.join(cache_directory(), f"fakeroot-{what}-{digest}")
    if target not in LOCKS:
        LOCKS[target] = open(target + ".lock", "w", encoding="ascii")  # noqa: SIM115 (kept as long as this process lives)
        fcntl.flock(LOCKS[target], fcntl.LOCK_EX)
    return target, os.path.exists(target)


LOCKS: dict[str, io.TextIOWrapper] = {}


def base(packages: str, prepare: str) -> str:
    """Return a Debian root of real root's with these packages, made now if there is none."""
    target, there = cached("base", SUITE, packages, prepare, POLICY)
    if there:
        return target
    include = ",".join(sorted({"adduser", *packages.split()}))
    new = tempfile.mkdtemp(prefix="fakeroot-", dir=os.path.dirname(target))
    words = ["mmdebstrap", "--quiet", "--dpkgopt=force-unsafe-io", "--variant=minbase", f"--include={include}", SUITE, f"{new}/r"]
    made = subprocess.run([*words, *debian_lines()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)  # fmt: skip
    if made.returncode:
        raise Unavailable("mmdebstrap failed:\n" + "\n".join(made.stdout.strip().splitlines()[-12:]))
    with open(f"{new}/r/usr/sbin/policy-rc.d", "w", encoding="ascii") as file:
        file.write(POLICY)
    os.chmod(f"{new}/r/usr/sbin/policy-rc.d", 0o755)
    os.makedirs(f"{new}/r/repo", exist_ok=True)
    if prepare:
        shutil.copy("/etc/resolv.conf", f"{new}/r/etc/resolv.conf")
        status, output = run_real(f"{new}/r", "", prepare, 1800)
        if status:
            raise Unavailable(f"what comes first failed ({status}):\n{output[-1500:]}")
    os.rename(f"{new}/r", target)
    os.rmdir(new)
    return target


def archive(root: str, packages: str) -> str:
    """Return a directory with these packages and all that they need besides what the root has, as a repository."""
    if not packages:
        return ""
    target, there = cached("archive", root, packages)
    if there:
        return target
    new = tempfile.mkdtemp(prefix="fakeroot-", dir=os.path.dirname(target))
    try:
        subprocess.run(["cp", "-a", root, f"{new}/r"], check=True)
        shutil.copy("/etc/resolv.conf", f"{new}/r/etc/resolv.conf")
        status, output = run_real(
            f"{new}/r", "", "apt-get -q update && apt-get -qy clean && "
            f"apt-get -qy --no-install-recommends --download-only install {packages}", 1800)  # fmt: skip
        if status:
            raise Unavailable(f"the packages cannot be had:\n{output[-1500:]}")
        os.mkdir(f"{new}/a")
        os.chmod(f"{new}/a", 0o755)
        for name in sorted(os.listdir(f"{new}/r/var/cache/apt/archives")):
            if name.endswith(".deb"):
                shutil.copy(f"{new}/r/var/cache/apt/archives/{name}", f"{new}/a/{name.replace('%3a', '_')}")
        index(f"{new}/a")
        os.rename(f"{new}/a", target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return target


def index(folder: str) -> None:
    """Write the index of a repository."""
    with open(f"{folder}/Packages", "w", encoding="utf-8") as out:
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".deb"):
                continue
            fields = subprocess.run(["dpkg-deb", "-f", f"{folder}/{name}"], capture_output=True, text=True, check=True).stdout
            with open(f"{folder}/{name}", "rb") as file:
                data = file.read()
            out.write(f"{fields.rstrip()}\nFilename: ./{name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n")


def lines_of(root: str) -> str:
    """Return what real root's tree has, as `pyroot owners load` reads it."""
    lines = [remembered.HEAD]
    for path in remembered.files(os.fsencode(root)):
        host = os.fsencode(root) + path
        st = os.lstat(host)
        rdev = os.major(st.st_rdev) << 20 | os.minor(st.st_rdev)
        xattrs = {os.fsencode(name): os.getxattr(host, name, follow_symlinks=False) for name in os.listxattr(host, follow_symlinks=False)}
        plain = (st.st_uid, st.st_gid) == (0, 0) and remembered.safe(st.st_mode) == st.st_mode & 0o7777 and not xattrs
        if not plain or stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
            lines.append(remembered.line(path, remembered.Record(st.st_uid, st.st_gid, st.st_mode, rdev, xattrs)))
    return "".join(lines)


def copies(row: Row, top: str) -> tuple[str, str, str]:
    """Return the roots of both sides, and the repository."""
    source = base(row.base, row.prepare)
    repo = archive(source, row.archive)
    source += row.below
    real, fake = f"{top}/real", f"{top}/fake"
    subprocess.run(["cp", "-a", source, real], check=True)
    subprocess.run(["cp", "-a", source, fake], check=True)
    subprocess.run(["find", fake, "(", "-type", "c", "-o", "-type", "b", ")", "-delete"], check=True)
    subprocess.run(["chown", "-hR", f"{helpers.NOBODY}:{helpers.NOBODY}", fake], check=True)
    command, more = helpers.pyroot_command()
    loaded = subprocess.run([*command, "owners", "load", fake], input=lines_of(real), text=True, capture_output=True, check=False,
                            env={**os.environ, **more}, user=helpers.NOBODY, group=helpers.NOBODY, extra_groups=[], cwd="/")  # fmt: skip
    if loaded.returncode:
        raise Unavailable(f"pyroot owners load: {loaded.stderr.strip()}")
    return real, fake, repo


# -- what is there afterwards --------------------------------------------------------------------------------------------------------------


def look(root: str, fake: bool, row: Row) -> dict[str, tuple[str, str]]:
    """Return for each path what its stat and its attributes say, and a sum of its contents."""
    program = compile_program([f"{HERE}/look.c"], "-static", name="fakeroot-look")
    shutil.copy(program, f"{root}/look")
    os.chown(f"{root}/look", helpers.NOBODY if fake else 0, helpers.NOBODY if fake else 0)
    command, more = helpers.pyroot_command()
    words = [*command, "-0", "-r", root, "-w", "/", "/look", "/"] if fake else ["chroot", root, "/look", "/"]
    user = helpers.NOBODY if fake else None
    told = subprocess.run(words, capture_output=True, env={**ENVIRONMENT, **more}, user=user, group=user, extra_groups=[] if user else None,
                          cwd="/", check=True)  # fmt: skip
    found = {}
    for line in told.stdout.decode("utf-8", "replace").splitlines():
        path, facts, content = line.split("\t")
        if re.search(UNLISTED, path) or re.search(row.unlisted, path):
            continue
        found[path] = (facts, "" if re.search(UNREAD, path) or re.search(row.unread, path) else content)
    return found


def both(row: Row) -> tuple[Outcome, Outcome, str]:
    """Do it on both sides; the last part says what is unsafe on the fake one's disk."""
    top = tempfile.mkdtemp(prefix="pyroot-fakeroot-", dir="/var/tmp")
    os.chmod(top, 0o755)
    outcomes = []
    try:
        real, fake, repo = copies(row, top)
        for side, root in ((run_real, real), (run_fake, fake)):
            status, output = side(root, repo, row.script, row.limit, row.devices)
            for pattern, replacement in row.changes:
                output = re.sub(pattern, replacement, output, flags=re.MULTILINE)
            outcomes.append(Outcome(status, output, look(root, side is run_fake, row)))
        unsafe = subprocess.run(["find", fake, "-perm", "/6000", "-type", "f"], capture_output=True, text=True, check=True).stdout
        return outcomes[0], outcomes[1], unsafe
    finally:
        shutil.rmtree(top, ignore_errors=True)
