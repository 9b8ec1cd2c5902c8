"""The walk through the documents: what has to be there before a page's commands are typed, and how what comes out is compared.

A page's transcripts are typed in their order, each in the directory in which the last one ended; what is shown has to come out, but for
process numbers, sizes, times and the like. Then come the commands that its text names, with a real root in the place of ROOTFS.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field

#: What a word in capital letters stands for, in the home of the walk; a page may say otherwise.
WORDS = {
    "ROOTFS": "./rootfs", "DIR": "./rootfs", "OTHER": "./work", "COMMAND...": "ls", "COMMAND": "ls", "PROGRAM...": "cat", "PROGRAM": "cat",
    "CMD": "ls", "FILE": "./list", "A": "./list", "VERB": "doctor", "USER": "$(id -un)", "PID": "$(cat sleeper)", "STORE": "./store",
    "[OPTION...]": "", "[ARGUMENT...]": "", "ARGUMENTS": "-r ./rootfs ls", "IMAGE": "./app.tar", "ROOT": "./rootfs",
}  # fmt: skip


@dataclass(frozen=True)
class Walk:
    """One page.

    ``setup``: shell, before all; ``before``: shell, before the command that begins so; ``sample``: commands whose output is one of many (it
    is not compared, but nothing may fail); ``among``: commands whose output has more than the page shows; ``status``: of commands that are
    there to fail; ``instead``: what is typed for a command that would not end, or that this machine does not have; ``words``: as WORDS;
    ``needs``: programs of this machine; ``debian``: needs a root of Debian.
    """

    page: str
    setup: str = ""
    before: dict[str, str] = field(default_factory=dict)
    sample: tuple[str, ...] = ()
    among: tuple[str, ...] = ()
    status: dict[str, int] = field(default_factory=dict)
    instead: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    debian: bool = False


IN_HOME = 'cd ..; mv pyroot/rootfs .'
LIST = "pyroot snapshot ./rootfs -o list; pyroot new ./work sh"


def waiting(command: str, what: str, name: str) -> str:
    """Start a session that waits, and write the numbers of its supervisor and its guest down."""
    return (
        f"{command} >/dev/null 2>&1 & echo $! > supervisor\n"
        f"until pyroot ps | sed -n '/^session '$(cat supervisor)':/,/^$/p' | awk '/{what}/ {{ print $1 }}' > {name}\n"
        f"[ -s {name} ]; do :; done"
    )


SLEEPER = waiting("pyroot -r ./rootfs sleep 300", "sleep 300", "sleeper")
READER = "mkfifo lines; " + waiting(
    """pyroot -r ./rootfs /bin/sh -c 'while read line; do /bin/echo "got $line"; done' <> lines""", "while read", "reader"
)
# (a trace of a process that runs goes on until ^C)
ATTACHED = "timeout -s INT 2 pyroot trace -p PID; [ $? -lt 125 ]"
READ = "(sleep 1; echo one > lines) & timeout -s INT 3 pyroot trace -e trace=read,execve -p $(cat reader); true"
JOBD = """pyroot copy -q rootfs getent head; mkdir -p rootfs/srv/spool; chmod 555 rootfs/srv/spool; rm -f rootfs/etc/resolv.conf
cat > rootfs/srv/jobd <<'END'
#!/bin/sh
said=$({ cd /srv/spool; : > queue.1; } 2>&1) || { echo "jobd: the job failed: $said" >&2; exit 3; }
END
chmod +x rootfs/srv/jobd"""
BUSYBOX = """mkdir -p bb/bin bb/mnt bb/work bb/proc deb/etc; cp "$(command -v busybox)" bb/bin/busybox; echo 12.15 > deb/etc/debian_version
for name in sh ls cat cut readlink; do ln -sf busybox bb/bin/$name; done; echo text > bb/marker
mkdir -p deb/usr deb/lib deb/lib64 deb/bin; ln -s busybox deb/bin/sh; cp bb/bin/busybox deb/bin/; cc -g -O0 -o target gdb_target.c"""
PERL = r"""mkdir -p rootfs/usr/local/bin; printf '#!/usr/bin/perl\n' > rootfs/usr/local/bin/report; chmod +x rootfs/usr/local/bin/report"""
# A package that is called less, and where apt finds it (mmdebstrap leaves out what it provides besides).
LESS = """mkdir -p less/DEBIAN less/usr/share/less less/usr/bin debian/repository; cd less
touch usr/share/less/a usr/share/less/b usr/share/less/c usr/bin/less
printf '%s\n' 'Package: less' 'Version: 1' 'Architecture: all' 'Maintainer: a <a@b.c>' > DEBIAN/control
printf '%s\n' 'Provides: usr-is-merged' 'Description: a pager' >> DEBIAN/control; cd ..
dpkg-deb --root-owner-group -b less debian/repository/less.deb >/dev/null && cd debian/repository
{ cat ../../less/DEBIAN/control; echo "Filename: ./less.deb"; echo "Size: $(wc -c < less.deb)"
echo "SHA256: $(sha256sum less.deb | cut -d' ' -f1)"
} > Packages; cd ../..; rm -rf debian/etc/apt/sources.list*; echo 'deb [trusted=yes] file:/repository ./' > debian/etc/apt/sources.list
pyroot -S ./debian apt-get -qq update"""

WALKS = (
    Walk("README.md", setup="mkdir ~/src", status={"pyroot trace --why -r": 1}),
    Walk(
        "docs/TOUR.md",
        before={
            "pyroot -r . -b /proc ps": "pyroot copy -q . ps mount id tty readlink",
            "pyroot -r ./rootfs bash": "rm -f rootfs/usr/lib/*/libtinfo.so.6* rootfs/lib/*/libtinfo.so.6*",
            "pyroot doctor -q rootfs": "chmod 644 rootfs/usr/bin/ls; rm -f rootfs/etc/resolv.conf",
        },
        sample=("pyroot -r . -b /proc ps", "pyroot -r . -w / id", "pyroot -r . -w / -b /proc -b /sys -b /dev -b /dev/pts"),
        among=("pyroot -R . ls", "pyroot doctor -q --fix"),
    ),
    Walk("docs/DOCTOR.md", setup=f"{IN_HOME}; {PERL}", status={"pyroot doctor ROOTFS": 1, "pyroot doctor ROOTFS COMMAND": 0},
      among=("pyroot -v 1",)),
    Walk("docs/TRACE.md", setup=f"{IN_HOME}; {JOBD}", before={"pyroot ps": READER}, among=("pyroot ps",),
      instead={"pyroot trace -e trace=read": READ},
         sample=("pyroot trace -e trace=read",)),
    Walk("docs/LOOK.md", setup=f"{IN_HOME}; {LIST}; {SLEEPER}", before={"pyroot snapshot ./debian": LESS},
         sample=("pyroot ps", "pyroot files"), among=("pyroot diff",), needs=("dpkg-deb",), debian=True,
         status={"pyroot files /": 1, "pyroot files +D": 1, "pyroot files -i": 1, "pyroot diff ROOTFS": 1}),
    Walk("docs/DEBUGGERS.md", setup=BUSYBOX, needs=("busybox", "strace", "gdb", "gcc"), sample=("pyroot trace -e execve",)),
    Walk("docs/TROUBLESHOOTING.md", setup=f"{LIST}; pyroot copy -q rootfs dmesg; {SLEEPER}", instead={
        "pyroot trace -p PID": ATTACHED, "pyroot -R DIR nginx": "pyroot -R DIR sh -c 'exit 0'",
        "pyroot -R DIR dmesg": "pyroot -R DIR dmesg; [ $? -lt 2 ]",
    }, status={"pyroot files FILE": 1, "pyroot files -i": 1}),
    Walk("docs/ROOT.md"),
    Walk("docs/CONTAINERS.md"),
    Walk("docs/PERFORMANCE.md"),
    Walk("docs/SECURITY.md"),
    Walk("docs/DIFFERENCES.md"),
    Walk("docs/SUITES.md"),
    Walk("bind/README.md"),
)  # fmt: skip


def transcripts(text: str) -> list[tuple[str, list[str]]]:
    """List what is typed and what is shown, block after block."""
    found = []
    for block in re.findall(r"(?ms)^```\n(\$ .*?)^```", text):
        for typed, shown in re.findall(r"(?ms)^\$ ((?:.*\\\n)*.*?)\n(.*?)(?=^\$ |\Z)", block):
            found.append((typed, shown.splitlines()))
    return found


def named(text: str) -> list[str]:
    """List the commands that a page names in its text, each once."""
    prose = re.sub(r"(?ms)^ *```.*?^ *```", "", text)
    return list(dict.fromkeys(re.findall(r"`(pyroot [^`\n]+)`", prose)))


def is_name(line: str) -> bool:
    """Say whether a text speaks of a verb or an option rather than of a command with all that it needs."""
    return re.fullmatch(r"pyroot( [a-z-]+)*( --?[\w-]+)?", line) is not None


def filled(line: str, words: dict[str, str]) -> str:
    """Put something real in the place of each word that stands for it."""
    words = {**WORDS, **words}
    names = "|".join(re.escape(one) for one in sorted(words, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])({names})(?![\w=])", lambda found: words[found[1]], line).strip()


def plain(line: str, home: str, user: str) -> str:
    """Take out of a line what differs from machine to machine."""
    line = line.replace(home, "/home/user").replace(user, "user")
    line = re.sub(r"0x[0-9a-f]+", "0x0", line)
    line = re.sub(r"PATH \([^)]*\)", "PATH ()", line)
    return re.sub(r"\s+", " ", re.sub(r"\d+", "0", line)).strip()


def within(have: list[str], want: list[str]) -> bool:
    """Say whether all words of a page are among those that came."""
    return set(" ".join(want).split()) - {"..."} <= set(" ".join(have).split())


def same(have: list[str], want: list[str]) -> bool:
    """Compare lines; `...` on a page stands for anything."""
    patterns = [".*".join(map(re.escape, line.split("..."))) for line in want]
    return len(have) == len(want) and all(re.fullmatch(one, line) for one, line in zip(patterns, have, strict=True))


def starts(line: str, beginnings: object) -> str:
    """Return which of the beginnings a command has, or nothing."""
    return max((one for one in beginnings if line.startswith(one)), key=len, default="")  # type: ignore[attr-defined]


def script(typed: str, home: str) -> str:
    """Return what a shell is given: the directory of the command before, the command, the directory for the next one."""
    where = shlex.quote(os.path.join(home, "where"))
    return f'cd "$(cat {where})" || exit 99\n{typed}\nstatus=$?\npwd > {where}\nexit $status\n'
