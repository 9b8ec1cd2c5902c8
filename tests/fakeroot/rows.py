"""The table: what package managers, administrators, servers and builders do as root."""
# ruff: noqa: E501 (scripts are easier to read with a step on each line)

from __future__ import annotations

from .row import Row

SOURCES = "echo 'deb [trusted=yes] file:/repo ./' >/etc/apt/sources.list; rm -f /etc/apt/sources.list.d/*; "
APT = SOURCES + "apt-get -q -o Acquire::Languages=none update >/dev/null && apt-get -qy -o Dpkg::Use-Pty=0 -o DPkg::Options::=--force-unsafe-io "
TOOLS = "sudo git rpm libarchive-tools busybox-static python3-pip acl attr libcap2-bin openssh-server openssh-client procps"
BUILD = "build-essential debhelper fakeroot dpkg-dev"
SMALL = "hostname ed time mawk sysvinit-utils"
TIMES = ((r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?( \[\d+\])?", "<time>"), (r"\bpid \d+", "pid <n>"))

# What four makers of a tree do; the archive of each must have the same bytes.
TREES = r"""
umask 022
tree() {
    rm -rf /t; $1 mkdir -p /t/d/e; echo one >/t/one; $1 cp /t/one /t/d/two; $1 ln -s one /t/link; $1 ln /t/one /t/d/hard
    $1 chown -R 5:6 /t/d; $1 chown -h 7:8 /t/link; $1 chmod 4755 /t/one; $1 chmod 2770 /t/d; $1 chmod 000 /t/d/two
    $1 mknod /t/null c 1 3; $1 mknod /t/disk b 8 1; $1 mkfifo /t/pipe; $1 install -o 42 -g 43 -m 6711 /t/one /t/d/e/inst
    tar -C /t --sort=name --mtime='2001-02-03 04:05:06'  --numeric-owner --xattrs --acls --format=pax --pax-option=delete=atime,delete=ctime -cf /$2.tar .
    mkdir /out-$2 && tar -C /out-$2 --xattrs --acls -xpf /$2.tar
    sha256sum /$2.tar | cut -c1-64; tar --numeric-owner -tvf /$2.tar
}
tree '' coreutils; tree 'busybox ' busybox; rm -rf /t
"""

ROWS = (
    Row("dpkg", "dpkg --force-unsafe-io -i /repo/*.deb && dpkg -V; dpkg-divert --list; dpkg --purge molly-guard",
        archive="sudo iputils-ping cron dbus man-db fuse3 plocate molly-guard chrony uuid-runtime", silent=True),  # fmt: skip
    Row("apt", APT + "install --no-install-recommends postgresql openssh-server cron at",
        archive="postgresql openssh-server cron at", silent=True,
        unread=r"^/var/lib/postgresql/|^/etc/ssl/|^/etc/postgresql/", unlisted=r"^/var/lib/postgresql/15/main/(base|pg_)|^/etc/ssl/certs/[0-9a-f]{8}\.0$"),  # fmt: skip
    Row("users", """umask 022; adduser --disabled-password --gecos Bob bob; adduser --system --group daemon0; passwd -d bob; su - bob -c id
        su - bob -c 'cat /etc/shadow; touch /etc/no; touch mine; umask; chown root mine; id -u' ; su - bob -s /bin/sh -c 'su -c id'
        echo 'bob ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/bob; chmod 440 /etc/sudoers.d/bob; sudo -u bob id; su - bob -c 'sudo -n id; sudo -n cat /etc/shadow | wc -l'
        groupadd -g 4321 extra; usermod -aG extra bob; passwd -x 30 bob; su - bob -c 'groups; newgrp extra <<<id';         mkdir /shared; chgrp extra /shared; chmod 2775 /shared; su - bob -c 'mkdir /shared/d; touch /shared/d/f'; setfacl -d -m u:daemon0:rwx /shared
        su - bob -c 'mkdir /shared/g; touch /shared/g/f'; getfacl -R /shared; chown -R bob:bob /srv; echo x:y | chpasswd; deluser daemon0; getent passwd bob""",
        base=TOOLS, silent=True),  # fmt: skip
    Row("chown", "cp -a /usr/share/doc /doc; chown -R 1000:1000 /doc; chown -R 0:0 /doc/base-files; chmod -R g+w /doc/b*; find /doc -nouser | wc -l", base=TOOLS),
    Row("debootstrap", "/debootstrap/debootstrap --second-stage && dpkg -l | wc -l", base="debootstrap", below="/new", devices=False, silent=True,
        prepare="debootstrap --foreign --variant=minbase bookworm /new $(sed -n 's/.* \\(http[^ ]*\\) bookworm .*/\\1/p' /etc/apt/sources.list) >/dev/null",
        unread=r"^/debootstrap", unlisted=r"^/proc|^/sys|^/var/log"),  # fmt: skip
    Row("rpm", """rpm -i --nodeps /rpms/*.rpm; rpm -V --nodeps small; rpm -ql small; getent passwd rpmuser; rpm -e --nodeps small""", base=TOOLS, prepare=r"""
        mkdir -p /rpms /b && cat >/b/small.spec <<'END'
%global debug_package %{nil}
Name: small
Version: 1
Release: 1
Summary: a small package
License: none
%description
small
%pre
getent passwd rpmuser >/dev/null || useradd -r -M rpmuser
%install
mkdir -p %{buildroot}/opt/small/closed %{buildroot}/opt/small/data
echo x >%{buildroot}/opt/small/closed/file; echo '#!/bin/sh' >%{buildroot}/opt/small/set; cp %{buildroot}/opt/small/set %{buildroot}/opt/small/cap
ln -s set %{buildroot}/opt/small/link
%post
echo post >/opt/small/post; chown rpmuser /opt/small/post
%files
%dir %attr(0555,root,root) /opt/small/closed
%attr(0440,rpmuser,root) /opt/small/closed/file
%attr(6755,rpmuser,mail) /opt/small/set
%attr(0750,root,mail) %caps(cap_net_raw=ep) /opt/small/cap
%attr(1777,root,root) /opt/small/data
/opt/small/link
END
        useradd -r -M rpmuser; rpmbuild -bb --define '_rpmdir /rpms' --define '_build_name_fmt %%{NAME}.rpm' /b/small.spec >/b/log 2>&1 || { tail /b/log; exit 1; }
        userdel rpmuser; rm -rf /b /root/rpmbuild""", unread=r"^/var/lib/rpm|^/usr/lib/sysimage|^/root/\.rpmdb"),  # fmt: skip
    Row("bsdtar", """mkdir /a && cd /a && echo x >f && chown 5:6 f && chmod 4750 f && setcap cap_chown=ep f; setfacl -m u:7:r f; mknod n c 1 3; mkdir -m 1777 t
        setfattr -n trusted.t -v v t; setfattr -n user.u -v v t; bsdtar --acls --xattrs -cf /a.tar . && mkdir /b && bsdtar -C /b --acls --xattrs -xpf /a.tar; ls -lRn /b | grep -c :""",
        base=TOOLS, unread=r"^/a\.tar", unlisted="^/b/n$"),  # (it changes devices by descriptors: docs/DIFFERENCES.md)  # fmt: skip
    Row("trees", TREES, base=TOOLS, unread="^/.*nothing"),
    Row("git", """export GIT_AUTHOR_DATE=@1700000000 GIT_COMMITTER_DATE=@1700000000; git init -q /g; cd /g; git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x; git status --short; chown -R 1000:1000 /g; git status --short; echo $?
        git config --global --add safe.directory /g; git log --oneline | wc -l; useradd -u 1000 bob; chown -R 0:0 /g; su bob -c 'cd /g && git status --short'; echo $?""",
        base=TOOLS, unread="^/g/"),  # fmt: skip
    Row("sshd", r"""mkdir -p /run/sshd /root/.ssh; useradd -m -s /bin/bash bob; mkdir -m 700 /home/bob/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id
        cp /root/.ssh/id.pub /home/bob/.ssh/authorized_keys; chown -R bob:bob /home/bob/.ssh
        /usr/sbin/sshd -p 22022 -o ListenAddress=127.0.0.1 -o PidFile=/run/own.pid -o UsePAM=no -E /var/log/sshd.log
        until ssh-keyscan -p 22022 127.0.0.1 >/root/.ssh/known_hosts 2>/dev/null && [ -s /root/.ssh/known_hosts ]; do :; done
        ssh -o BatchMode=yes -i /root/.ssh/id -p 22022 bob@127.0.0.1 'id; cat /etc/shadow; touch made; echo $HOME'; echo $?; kill $(cat /run/own.pid)""",
        base=TOOLS, unread=r"ssh", unlisted=r"^/var/log/|/(wtmp|lastlog|btmp)$|^/run/|\.ssh/agent"),  # fmt: skip
    Row("postgres", r"""export PGDATA=/srv/pg; install -d -o postgres -g postgres -m 700 /srv/pg; bin=$(echo /usr/lib/postgresql/*/bin)
        $bin/initdb -D /srv/pg 2>&1 | tail -1; su postgres -c "$bin/initdb -D /srv/pg -U postgres --auth=trust" >/dev/null && echo made
        su postgres -c "$bin/pg_ctl -w -D /srv/pg -o '-c listen_addresses= -k /tmp' -l /srv/pg/log start" | tail -1
        psql -h /tmp -U postgres -c 'create table t (n int); insert into t select generate_series(1, 1000); select sum(n) from t'
        su postgres -c "$bin/pg_ctl -w -D /srv/pg stop" | tail -1; chown root /srv/pg; su postgres -c "$bin/pg_ctl -w -D /srv/pg start" 2>&1 | tail -1""",
        base="postgresql", unread=r"^/srv/pg", unlisted=r"^/srv/pg/(base|pg_|global)|^/var/log", changes=TIMES),  # fmt: skip
    Row("pip", """pip install --break-system-packages --no-index --find-links /wheels --no-compile --disable-pip-version-check --root-user-action=ignore six attrs
        python3 -c 'import six, attr; print(six.__version__ > "1")'; pip uninstall -y --break-system-packages six | tail -1""", base=TOOLS,
        prepare="pip download -q -d /wheels six attrs", unread=r"/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$"),  # fmt: skip
    Row("packages", "cd /src && for d in */; do (cd $d && dpkg-buildpackage -us -uc -b >/log-${d%/} 2>&1; echo $d $?); done; sha256sum *.deb; rm -rf /src/*/ /log-*",
        base=BUILD, prepare=f"""
        sed 's/^deb /deb-src /' /etc/apt/sources.list >/etc/apt/sources.list.d/src.list; apt-get -q update >/dev/null; mkdir /src; cd /src
        apt-get -q --download-only source {SMALL} >/dev/null && for f in *.dsc; do dpkg-source --no-check -x $f >/dev/null; done
        apt-get -qy build-dep {SMALL} >/dev/null && rm -f /src/*.dsc /src/*.tar.* /src/*.diff.gz""",
        unlisted=r"^/src/.*\.(buildinfo|changes)$|^/tmp", unread=r"\.(buildinfo|changes)$", limit=1800.0),  # fmt: skip
    Row("mmdebstrap", """mmdebstrap --mode=root --variant=minbase --skip=check/empty,check/signed-by bookworm /made 'deb [trusted=yes] file:/pool ./'
        ls /made | wc -l""", base="mmdebstrap dpkg-dev", prepare="""mkdir /pool && cd /pool && apt-get -q update >/dev/null &&
        apt-get -q download $(dpkg-query -W -f '${Package} ') >/dev/null && dpkg-scanpackages . >Packages 2>/dev/null""",
        silent=True, unread="^/made/", unlisted="^/run/mount$", limit=1800.0),  # (mount(8) makes that)  # fmt: skip
)
