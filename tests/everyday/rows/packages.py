"""Package tools: what a user does in a root that belongs to that user."""

from __future__ import annotations

from ..row import DATES, PIDS, SECONDS, TIMES, Row

BUSY = (TIMES, DATES, SECONDS)
# two packages of our own, and an archive of them that apt is told of
ARCHIVE = r"""
export SOURCE_DATE_EPOCH=1700000000 DEBIAN_FRONTEND=noninteractive
build() {
    mkdir -p "$1/DEBIAN" "$1/usr/share/$1"; seq 100 >"$1/usr/share/$1/numbers"
    printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: a <a@b>\nDescription: x\n%s' "$1" "$2" "${3:+$3
}" >"$1/DEBIAN/control"
    printf '#!/bin/sh\necho "postinst of %s: $*"; pwd >/usr/share/%s/where\n' "$1" "$1" >"$1/DEBIAN/postinst"
chmod 755 "$1/DEBIAN/postinst"
    dpkg-deb --root-owner-group -b "$1" archive/ >/dev/null
}
mkdir archive; build first 1.0; build second 2.0 'Depends: first'
"""
# dpkg wants to be root, or to be told that it need not
FORCED = "--force-not-root --force-bad-path --log=/here/dpkg.log"
CACHES = r"/var/(cache|lib)/apt/|/var/log/|-old$|ldconfig/aux-cache|/var/cache/debconf"

ROWS = (
    Row("dpkg", "dpkg dpkg-dev", ARCHIVE + rf"""
dpkg-deb -I archive/second_2.0_all.deb | grep -v size; dpkg-deb -c archive/first_1.0_all.deb | awk '{{print $1, $2, $6}}'
dpkg {FORCED} -i archive/first_1.0_all.deb archive/second_2.0_all.deb 2>&1; echo $?
dpkg -s second | head -n 3; dpkg -L first; dpkg -S /usr/share/first/numbers; dpkg -l first | tail -n 1; dpkg -V first
echo changed >/usr/share/first/numbers; dpkg -V first
dpkg {FORCED} -r first 2>&1; echo $?; dpkg {FORCED} -P second first 2>&1; dpkg -s first 2>&1 | head -n 1
""", BUSY, unread="status|deb$", unlisted=CACHES),
    Row("dpkg-divert", "dpkg", r"""
dpkg-divert --version | head -n 1; echo x >/usr/share/thing
dpkg-divert --add --rename --divert /usr/share/thing.real /usr/share/thing 2>&1; ls /usr/share/thing*
dpkg-divert --list | grep thing
dpkg-statoverride --list | head -n 2
update-alternatives --altdir /here/alt --admindir /here/adm --log /here/log --install /here/link name /bin/true 10 2>&1 || mkdir alt adm
update-alternatives --altdir /here/alt --admindir /here/adm --log /here/log --install /here/link name /bin/true 10 2>&1
ls -l link alt | sed 's/ [A-Z][a-z][a-z] .*:.. / date /'; ./link; echo $?
""", BUSY, unread="/here/log", unlisted=CACHES),
    Row("apt", "apt apt-utils dpkg-dev", ARCHIVE + r"""
(cd archive; apt-ftparchive packages . >Packages; apt-ftparchive release . >Release)
mkdir -p lists/partial cache/partial
cat >apt.conf <<END
Dir::Etc::SourceList "/here/sources.list"; Dir::Etc::SourceParts "/nonexistent"; Dir::State::Lists "/here/lists";
Dir::Cache "/here/cache"; Dir::Cache::archives "/here/cache";
APT::Sandbox::User "nobody"; Dir::Log "/here"; DPkg::Options { "--force-not-root"; "--force-bad-path"; "--log=/here/dpkg.log"; };
END
export APT_CONFIG=/here/apt.conf
echo 'deb [trusted=yes] copy:/here/archive ./' >sources.list
apt-get -q update 2>&1; apt-cache policy second; apt-cache show first | head -n 2
apt-get -q -s install second 2>&1; mkdir d; (cd d; apt-get -q download first 2>&1; ls)
apt-get -q -y install second 2>&1; echo $?; dpkg -l first second | tail -n 2; apt-mark showauto first
apt-get -q -y autoremove --purge second 2>&1; echo $?
apt list --installed 2>/dev/null | wc -l
""", (*BUSY, (r"Fetched .*", "Fetched"), (r"[\d,.]+ [kM]?B/s", ""),
        (r"\d+ B in", "")), unread="status|deb$|/here/(cache|lists|term.log|history.log)|(Release|Packages)", unlisted=CACHES),
    Row("apt-http", "apt apt-utils dpkg-dev", ARCHIVE + r"""
(cd archive; apt-ftparchive packages . | gzip >Packages.gz; exec python3 -m http.server -b 127.0.0.1 8080 >/dev/null 2>&1) & web=$!
listening 8080
mkdir -p lists/partial cache/partial
cat >apt.conf <<'END'
Dir::Etc::SourceList "/here/sources.list"; Dir::Etc::SourceParts "/nonexistent"; Dir::State::Lists "/here/lists";
Dir::Cache "/here/cache"; Dir::Cache::archives "/here/cache"; APT::Sandbox::User "nobody";
END
export APT_CONFIG=/here/apt.conf
echo 'deb [trusted=yes] http://127.0.0.1:8080 ./' >sources.list
apt-get -q update 2>&1 | grep -v Fetched; apt-get -q download first 2>&1 | grep -v Fetched; dpkg-deb -x first_1.0_all.deb x; find x
kill $web; wait $web; echo "ended with $?"
""", BUSY, unread="deb$|/here/(cache|lists)|gz$", unlisted=CACHES),
    Row("dpkg-deb", "dpkg dpkg-dev", ARCHIVE + r"""
mkdir out; dpkg-deb -R archive/first_1.0_all.deb out; find out | sort; ar t archive/first_1.0_all.deb
dpkg-deb --fsys-tarfile archive/first_1.0_all.deb | tar t; sha256sum archive/*
dpkg-scanpackages archive 2>&1 | grep -v ^MD5; dpkg --compare-versions 1.0~rc1 lt 1.0 && echo less; dpkg --print-architecture
""", BUSY),
    Row("debsums", "debsums", r"""
debsums coreutils bash 2>&1 | awk '{print $NF}' | sort | uniq -c; echo changed >>/usr/share/doc/bash/copyright
debsums -c bash 2>&1; echo $?
"""),
    Row("dpkg-repack", "dpkg-repack fakeroot", r"""
fakeroot dpkg-repack hostname 2>&1 | grep -v building; ls | sed 's/_.*_/_/'; dpkg-deb -c hostname*.deb | awk '{print $1, $2, $6}'
""", BUSY, unread="deb$"),
    Row("fakeroot", "fakeroot", r"""
mkdir d; fakeroot -s save sh -c 'touch d/a; chown 1:2 d/a; mknod d/dev c 1 3; stat -c "%u:%g %F" d/a d/dev; id -u; tar cf a.tar d'
tar tvf a.tar | awk '{print $1, $2, $NF}'; fakeroot -i save stat -c '%u:%g' d/a; stat -c %u d/a
""", unread="a.tar|save"),
    Row("reprepro", "reprepro", ARCHIVE + r"""
mkdir -p r/conf; printf 'Codename: c\nArchitectures: amd64\nComponents: main\n' >r/conf/distributions
reprepro -b r includedeb c archive/first_1.0_all.deb 2>&1; reprepro -b r list c; reprepro -b r remove c first 2>&1; find r | sort
""", BUSY, unread="/here/r/|deb$"),
    Row("debhelper", "debhelper dpkg-dev fakeroot gcc libc6-dev make", r"""
mkdir -p thing/debian/source; cd thing
cat >debian/control <<'END'
Source: thing
Maintainer: a <a@b.c>
Section: misc
Priority: optional
Standards-Version: 4.6.2
Build-Depends: debhelper-compat (= 13)
Rules-Requires-Root: no

Package: thing
Architecture: any
Depends: ${shlibs:Depends}, ${misc:Depends}
Description: x
 y
END
printf 'thing (1.0) unstable; urgency=low\n\n  * x\n\n -- a <a@b.c>  Mon, 01 Jan 2024 00:00:00 +0000\n' >debian/changelog
printf '#!/usr/bin/make -f\n%%:\n\tdh $@\n' >debian/rules; chmod +x debian/rules; echo 3.0 '(native)' >debian/source/format
cat >Makefile <<'END'
all: prog
prog: prog.c
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $<
install: all
	install -D prog $(DESTDIR)/usr/bin/prog
clean:
	rm -f prog
END
printf '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n' >prog.c
dpkg-buildpackage -us -uc -b 2>&1 | grep -v -E 'warning|^ ' | sort; cd ..; ls
dpkg-deb -c thing_1.0_amd64.deb | awk '{print $1, $2, $6}'; dpkg-deb -f thing_1.0_amd64.deb Depends
dpkg-deb --fsys-tarfile thing_1.0_amd64.deb | sha256sum
""", (*BUSY, PIDS), unread="buildinfo|changes$|deb$|/debian/thing|debhelper", limit=180),
)
