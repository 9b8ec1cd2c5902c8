"""Rows: small roots that lack something."""

from __future__ import annotations

from tests.why.row import Row

ROWS = (
    Row("root-no-proc", "cat /proc/meminfo", r"open.*/proc/meminfo.*ENOENT", r"-b /proc", root="cat"),
    Row(
        "root-no-dev-null",
        "sh -c 'ls > /dev/null'",
        r"open.*/dev/null.*(ENOENT|EACCES)",
        r"-b /dev|-R|/dev",
        "rm -rf R/dev; mkdir R/dev; chmod 555 R/dev",
        root="sh ls",
    ),
    Row(
        "root-no-urandom", "head -c 4 /dev/urandom", r"open.*/dev/urandom.*ENOENT", r"-b /dev|-R", "rm -rf R/dev; mkdir R/dev", root="head"
    ),
    Row(
        "root-own-device", "cat /dev/mydevice", r"open.*/dev/mydevice.*ENOENT", r"mydevice is not there", root="cat", wrong="dev-incomplete"
    ),
    Row(
        "root-process-substitution",
        "bash -c 'cat <(echo x)'",
        r"\(.*/(dev|proc/self)/fd/?\d*.*ENOENT",
        r"-b /(dev|proc)|-R",
        "rm -rf R/dev; mkdir R/dev",
        root="bash cat",
    ),
    Row("root-no-tmp", "mktemp", r"open.*/tmp/.*ENOENT", r"/tmp is not there", "rmdir R/tmp", root="mktemp"),
    Row("root-tmp-closed", "mktemp", r"open.*/tmp/.*EACCES", r"/tmp may not be written", "chmod 555 R/tmp", root="mktemp"),
    Row(
        "root-no-library",
        "sh -c 'exec ls'",
        r"open.*libselinux.*ENOENT",
        r"libselinux|pyroot copy",
        "find R -name 'libselinux*' -delete",
        root="sh ls",
    ),
    Row("root-no-program", "sh -c git", r"\(.*git.*ENOENT", r"git", root="sh"),
    Row("root-env-no-program", "env python3 -V", r"execve\(.*python3.*ENOENT", r"python3", root="env"),
    Row(
        "root-no-interpreter",
        "sh -c /job",
        r"execve\(.*ENOENT",
        r"/usr/bin/python9",
        "printf '#!/usr/bin/python9\\n' > R/job; chmod +x R/job",
        root="sh",
    ),
    Row("root-no-config", "cat /etc/app/app.conf", r"open.*app\.conf.*ENOENT", r"/etc/app is not there", root="cat"),
    Row(
        "root-config-closed",
        "cat /etc/app.conf",
        r"open.*app\.conf.*EACCES",
        r"app.conf may not be read(.|\n)*chmod u\+r",
        "echo > R/etc/app.conf; chmod 000 R/etc/app.conf",
        root="cat",
    ),
    Row(
        "root-link-outwards",
        "cat /etc/zone",
        r"open.*zone.*ENOENT",
        r"link to /usr/share/none/UTC",
        "ln -s /usr/share/none/UTC R/etc/zone",
        root="cat",
    ),
    Row(
        "root-resolv", "getent hosts x.invalid", r"\(.*/etc/resolv\.conf.*ENOENT", r"resolv.conf", "rm -f R/etc/resolv.conf", root="getent"
    ),
    Row(
        "root-no-pts",
        "script -qc true /dev/null",
        r"open.*/dev/(ptmx|pty\w*).*ENOENT",
        r"-b /dev|-R",
        "rm -rf R/dev; mkdir R/dev",
        root="script sh true",
    ),
    Row(
        "root-log-socket",
        "logger --socket-errors=on x",
        r"connect\(.*/dev/log.*ENOENT",
        r"/dev/log is not there|-b /dev",
        "rm -rf R/dev; mkdir R/dev",
        root="logger",
    ),
    Row(
        "root-shm", "sh -c 'echo x > /dev/shm/x'", r"open.*/dev/shm.*ENOENT", r"/dev/shm|-b /dev|-R", "rm -rf R/dev; mkdir R/dev", root="sh"
    ),
    Row("root-var-lock", "flock -n /var/lock/app true", r"open.*/var/lock/app.*ENOENT", r"/var(/lock)? is not there", root="flock true"),
)
