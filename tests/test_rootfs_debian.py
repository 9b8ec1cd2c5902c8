"""Everyday work in a Debian root gives under pyroot what it gives in the real chroot."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import rootfs_projects
from tests.helpers import NOBODY, drop_to_ordinary_user
from tests.oracle.build import BuildError, cache_directory, compile_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

pytestmark = [pytest.mark.rootfs, pytest.mark.timeout(300)]

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp", "SOURCE_DATE_EPOCH": "1000000000",
    "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z", "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org",
}
LIMIT = 240


class Both:
    """Runs a shell script in both worlds over the same root, each time in a fresh /tmp/work."""

    def __init__(self, root: str, run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result]) -> None:
        self.root = root
        self.run_pyroot = run_pyroot
        self.real_chroot = real_chroot

    def prepare(self, make: Callable[[str], None] | None) -> None:
        """Make /tmp/work anew."""
        work = f"{self.root}/tmp/work"
        shutil.rmtree(work, ignore_errors=True)
        rootfs_projects.make_directory(work)
        if make:
            make(f"{work}/project")

    def same(self, script: str, make: Callable[[str], None] | None = None, bindings: tuple[str, ...] = ()) -> Result:
        """Run the script on both sides, compare status, stdout and stderr, and return the result."""
        command = ["bash", "-c", f"cd /tmp/work\n{script}"]
        self.prepare(make)
        pairs = [(host, host) for host in bindings]
        real = self.real_chroot(self.root, command, pairs, environment=ENVIRONMENT, timeout=LIMIT)
        self.prepare(make)
        words = [word for host in bindings for word in ("-b", host)]
        other = self.run_pyroot(["-r", self.root, "-w", "/", *words, *command], environment=ENVIRONMENT, timeout=LIMIT)
        assert other == real
        return real


@pytest.fixture
def both(debian_root: str, run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result]) -> Both:
    """Return the two worlds over the Debian root."""
    return Both(debian_root, run_pyroot, real_chroot)


def test_find_sees_every_file(both: Both) -> None:
    """``find / -xdev`` lists the same names, kinds, rights, sizes and link counts, bindings left out alike."""
    listing = "find / -xdev -path /tmp/work -prune -o -printf '%p %y %m %s %n %l\\n'"
    script = f"{listing} | sort | tee all | sha256sum; wc -l <all"
    assert int(both.same(script).stdout.split()[-1]) > 10_000
    both.same("find / -xdev | sort | sha256sum", bindings=("/proc", "/dev"))


def test_tar_packs_the_same_bytes(both: Both) -> None:
    """``tar c /usr | sha256sum`` reads every file."""
    assert len(both.same("tar c --sort=name /usr 2>/dev/null | sha256sum; tar c /usr 2>/dev/null | wc -c").stdout) > 64


def test_python_compiles_its_library(both: Both) -> None:
    """``python3 -m compileall`` writes the same byte code."""
    result = both.same(
        "cp -a /usr/lib/python3.11 lib; find lib -name '*.pyc' -delete\n"
        "python3 -m compileall -q --invalidation-mode unchecked-hash lib; echo status $?\n"
        "find lib -name '*.pyc' | wc -l; find lib -name '*.pyc' -print0 | sort -z | xargs -0 cat | sha256sum"
    )
    assert result.stdout.startswith("status 0"), result.stdout


def test_git_keeps_a_thousand_files(both: Both) -> None:
    """git init, add, commit and status give the same commit."""
    result = both.same(
        "mkdir repo && cd repo && git init -q -b main . && for i in $(seq 1000); do mkdir -p d$((i % 20)) && "
        "echo $i >d$((i % 20))/f$i; done\n"
        "git add . && git commit -q -m one && git status --short && git rev-parse HEAD\n"
        "echo more >>d1/f1; rm d2/f2; ln -s d3 link; git status --short\n"
        "git commit -q -a -m two; git log --oneline --stat\n"
        "git clone -q . ../copy 2>&1; git -C ../copy rev-parse HEAD; git gc -q; git fsck 2>&1"
    )
    assert result.status == 0, result


def test_make_builds_thirty_files_in_parallel(both: Both) -> None:
    """``make -j2`` of thirty files gives the same program."""
    result = both.same(
        "cd project && make -s -j2 program && ./program && sha256sum program\n"
        "touch part3.h && make -j1 | sort && make clean",
        rootfs_projects.c_project,
    )
    assert result.status == 0, result


def test_configure_finds_the_same(both: Both) -> None:
    """A configure run, also from a build directory, comes to the same findings."""
    result = both.same(
        "mkdir build && cd build && ../project/configure && make -s && ./program && cat config.h Makefile\n"
        "cd ../project && ./configure --prefix=/usr && make -s && ./program",
        rootfs_projects.configured_project,
    )
    assert result.status == 0, result
    assert "openat" in result.stdout


def test_perl_walks_and_runs(both: Both) -> None:
    """perl loads modules, walks a tree, forks and pipes."""
    script = r"""
use strict; use warnings; use File::Find; use File::Temp; use Cwd; use POSIX;
my %count; my $wanted = sub { $count{-l $_ ? "l" : -d _ ? "d" : "f"}++ };
find({ wanted => $wanted, no_chdir => 0 }, "/usr/share/perl", "/etc");
print join(" ", map { "$_=$count{$_}" } sort keys %count), " ", getcwd(), " $0\n";
open(my $pipe, "-|", "sh", "-c", "echo from \$0; exit 3", "child") or die; print <$pipe>; close $pipe;
print $? >> 8, " ", (POSIX::uname())[0], " ", scalar(glob("/etc/deb*n")), "\n";
my $file = File::Temp->new(DIR => "/tmp/work"); print $file "x" x 10000; close $file; print -s $file->filename, "\n";
unless (fork) { exec { "/bin/sh" } "renamed", "-c", "echo \$0"; } wait; print $? >> 8, "\n";
"""
    ending = "perl script.pl; perl -V:archname; perl -MConfig -e 'print $^X'"
    result = both.same(f"cat >script.pl <<'END'\n{script}\nEND\n{ending}")
    assert result.status == 0, result


def test_static_go_program_runs(both: Both) -> None:
    """A static Go program walks with goroutines and executes itself."""
    program = build_go()
    target = f"{both.root}/usr/bin/gowalk"
    shutil.copy(program, target)
    try:
        result = both.same("gowalk /usr/share/perl; cd /etc && /usr/bin/gowalk .", bindings=("/proc", "/dev"))
    finally:
        os.unlink(target)
    assert "child /usr/bin/gowalk" in result.stdout


def build_go() -> str:
    """Compile the Go program once; skip where that is not possible."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    cache = f"{cache_directory()}/go"
    target = f"{cache}/walk"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOCACHE": f"{cache}/cache", "GOPATH": f"{cache}/path",
    "GOFLAGS": "",
                   "GO111MODULE": "off"}
    command = ["go", "build", "-o", target, f"{PROGRAMS}/walk.go"]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"go cannot build: {made.stderr.strip()[-300:]}")
    os.chmod(target, 0o755)
    return target


def test_sixteen_threads_see_one_tree(both: Both) -> None:
    """Sixteen threads stat, open and list the same tree at once."""
    for options, name in ((("-static",), "threads-static"), ((), "threads-dynamic")):
        try:
            program = compile_program([f"{PROGRAMS}/many_threads.c"], "-pthread", *options, name=name)
        except BuildError as error:
            pytest.skip(str(error))
        target = f"{both.root}/usr/bin/many-threads"
        shutil.copy(program, target)
        try:
            result = both.same("many-threads /usr/share/perl")
        finally:
            os.unlink(target)
        assert result.status == 0, result


def test_package_tools_answer(both: Both) -> None:
    """dpkg reads its database; ldconfig, locale and friends work as an ordinary user's."""
    both.same("dpkg -l | wc -l; dpkg -S /bin/ls; dpkg-query -W -f '${Package} ${Version}\\n' | sha256sum")
    both.same("ldd /bin/ls | sed 's/(0x.*//'; getent passwd nobody; locale; ls -laR /etc | sha256sum")
    both.same("apt-cache policy 2>&1; which ls; type -a sh; realpath /bin/../lib/..; pwd -P; cd /bin; pwd -P")


def test_the_ordinary_user_is_the_one_the_root_belongs_to(debian_root: str) -> None:
    """The fixture gives what an unpacked root gives: files of the user who runs the guests."""
    found = subprocess.run(["find", debian_root, "-not", "-uid", str(os.geteuid() or NOBODY)], capture_output=True,
                           text=True, check=True, preexec_fn=drop_to_ordinary_user)
    assert found.stdout == ""
