"""Everyday work in a Debian root of 32-bit programs gives under pyroot what it gives in the real chroot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.test_rootfs_debian import Both

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers import Result

pytestmark = [pytest.mark.rootfs, pytest.mark.timeout(300)]


@pytest.fixture
def both(debian_i386_root: str, run_pyroot: Callable[..., Result], real_chroot: Callable[..., Result]) -> Both:
    """Return the two worlds over the 32-bit Debian root."""
    return Both(debian_i386_root, run_pyroot, real_chroot)


def test_programs_are_32_bit_ones(both: Both) -> None:
    assert both.same("getconf LONG_BIT; setarch linux32 uname -m; uname -m; perl -V:archname").stdout.startswith("32\ni686\n")


def test_find_sees_every_file(both: Both) -> None:
    listing = "find / -xdev -path /tmp/work -prune -o -printf '%p %y %m %s %n %l\\n'"
    assert int(both.same(f"{listing} | sort | tee all | sha256sum; wc -l <all").stdout.split()[-1]) > 5000


def test_tar_packs_and_unpacks_the_same_bytes(both: Both) -> None:
    result = both.same(
        "tar c --sort=name /usr/share /usr/bin 2>/dev/null | sha256sum\n"
        "tar c -C /usr/share perl | tar x; find perl -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum\n"
        "cp -a perl copy; diff -r perl copy && mv copy moved && rm -r perl && ls; ln -s moved/perl link; readlink -f link"
    )
    assert result.status == 0, result


def test_perl_walks_forks_and_talks(both: Both) -> None:
    script = r"""
use strict; use warnings; use File::Find; use Cwd; use Socket; use POSIX ();
my %count; find({ wanted => sub { $count{-l $_ ? "l" : -d _ ? "d" : "f"}++ }, no_chdir => 0 }, "/usr/share/perl", "/etc");
print join(" ", map { "$_=$count{$_}" } sort keys %count), " ", getcwd(), " $0\n";
socket(my $server, PF_UNIX, SOCK_STREAM, 0); bind($server, pack_sockaddr_un("/tmp/work/../work/s")) or die; listen($server, 1);
if (!fork) { socket(my $c, PF_UNIX, SOCK_STREAM, 0); connect($c, pack_sockaddr_un("s")) or die; syswrite $c, "hello\n"; POSIX::_exit(3) }
accept(my $peer, $server); print <$peer>; print unpack_sockaddr_un(getsockname($peer)), "\n"; wait; print $? >> 8, "\n";
open(my $pipe, "-|", "sh", "-c", "echo from \$0; exit 4", "child"); print <$pipe>; close $pipe; print $? >> 8, "\n";
"""
    result = both.same(f"cat >script.pl <<'END'\n{script}\nEND\nperl script.pl; echo '#!/usr/bin/perl -w' >s2; cat script.pl >>s2; "
                       "chmod +x s2; rm s; ./s2")
    assert result.status == 0, result
    assert result.stdout.count("/tmp/work/../work/s\n3\n") == 2


def test_package_tools_answer(both: Both) -> None:
    both.same("dpkg -l | wc -l; dpkg -S /bin/ls; dpkg --print-architecture; dpkg-query -W -f '${Package} ${Version}\\n' | sha256sum")
    both.same("ldd /bin/ls | sed 's/(0x.*//'; getent passwd nobody; locale; ls -laR /etc | sha256sum; cd /bin; pwd -P")
