"""What a user types who has read a hint: taken from the hint's own words, or written by hand where it is prose.

Decides: how a hint is followed (`after`), and the situations whose hints are executed (`RUNS`). tests/test_hints.py carries them out.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

# What a word in capital letters stands for where a hint cannot know it.
STANDS_FOR = {"DIR": "R", "ROOTFS": "R", "COMMAND": "ls", "COMMAND...": "ls", "PROGRAM": "ls", "PROGRAM...": "ls", "SOURCE": "x.tar.gz",
              "NAME=VALUE": "A=1", "HOST:GUEST": "/tmp:/mnt", "A": "R", "B": "R", "OPTION...": "-R R", "OPTION": "-y"}  # fmt: skip
# What ends a command in a sentence.
END = re.compile(
    r" (?:runs|starts|lists|makes|copies|fills|shows|prints|brings|finds|ends|tells|writes|looks|gives|removes)\b|[?;,]|\. | \(|: |$"
)

#: Of command lines that are typed wrong: what is typed after the hint, where that is not a command of the hint itself.
BY_HAND = {
    "pull debian": None,  # needs the network
    "-e A=1 -r {R} ls": "-r {R} env A=1 ls",
    "-eA=1 -r {R} ls": "-r {R} env A=1 ls",
    "--env A=1 -r {R} ls": "-r {R} env A=1 ls",
    "--env=A=1 -r {R} ls": "-r {R} env A=1 ls",
    "--env-file x -r {R} ls": "-r {R} ls",
    "--volume /tmp:/mnt -r {R} ls": "-b /tmp:/mnt -r {R} ls",
    "-v /tmp:/mnt -r {R} ls": "-b /tmp:/mnt -r {R} ls",
    "-v/tmp:/mnt -r {R} ls": "-b /tmp:/mnt -r {R} ls",
    "--verbose=/tmp:/mnt -r {R} ls": "-b /tmp:/mnt -r {R} ls",
    "-v -r {R} ls": "-v 1 -r {R} ls",
    "-vv -r {R} ls": "-v 2 -r {R} ls",
    "--workdir /tmp -r {R} ls": "-w /tmp -r {R} ls",
    "--workdir=/tmp -r {R} ls": "-w /tmp -r {R} ls",
    "--net=host -r {R} ls": "--net -r {R} ls",
    "--entrypoint sh {R}": "-r {R} sh",
    "-d -r {R} ls": "--detach-daemons -r {R} ls",
    "--detach -r {R} ls": "--detach-daemons -r {R} ls",
    "--dev-bind / / ls": "-b /:/ ls",
    "-b {R}:ro -r {R} ls": "-b {R}::ro -r {R} ls",
    "-b {R}:/x:Z -r {R} ls": "-b {R}:/x -r {R} ls",
    "--tmpfs /x:size=1m -r {R} ls": "--tmpfs /x:mode=0700 -r {R} ls",
    "--proc /proc -r {R} ls": "-b /proc -r {R} ls",
    "--chdir / -r {R} ls": "-w / -r {R} ls",
    "--setenv A 1 ls": "env A=1 ls",
    "--die-with-parent ls": "--kill-on-exit ls",
    "-D {R} ls": "-r {R} ls",
    "-B /tmp -r {R} ls": "-b /tmp -r {R} ls",
    "-q qemu -r {R} ls": "-r {R} ls",
    "-rootfs={R} ls": "--rootfs={R} ls",
    "-root {R} ls": "--rootfs {R} ls",
    "-r={R} ls": "-r {R} ls",
    "-r {I} ls": "-r {I}/rootfs ls",
    "-r {R}:/ ls": "-r {R} ls",
    "-r {R} lss": "-r {R} ls",
    "copy {R} bahs": "copy {R} bash",
    "-r {R} nosuch-tool --help": None,  # something has to be installed
    "-r {R} nosuch-tool -b /tmp": "-b /tmp -r {R} ls",
    "doctor -w /x {R}": "doctor {R}",
    "doctor --quiet=1 {R}": "doctor --quiet {R}",
    "help nonsense": "help new",
    "new {R}": "new --add {R}",
    "-r {R} 'ls | cat'": None,  # (taken from the hint, but for its quotes)
    "--user bob -r {R} ls": "--user 0 -r {R} ls",
    "--mount type=bind,src=/tmp,dst=/x -r {R} ls": "-b /tmp:/x -r {R} ls",
    "-b /tmp /mnt -r {R} ls": "-b /tmp:/mnt -r {R} ls",
    "--bind /tmp /mnt -r {R} ls": "--bind /tmp:/mnt -r {R} ls",
    "-r": "-r {R} ls",
    "-w /nope -r {R} ls": "-w /etc -r {R} ls",
    "-u nosuchuser -r {R} ls": "-u root -r {R} ls",
    "--kill-on-exit=yes -r {R} ls": "--kill-on-exit -r {R} ls",
    "-b :/x -r {R} ls": "-b /tmp:/x -r {R} ls",
    "-v high -r {R} ls": "-v 1 -r {R} ls",
    "copy {R} nosuchprogram": "copy {R} cat",
    "images": "new S",
    "-r {R} source x": "-r {R} sh -c '. ./x && ls'",
    "logs web": None,  # there is nothing to be typed
}


def follow(typed: str, message: str, hint: str) -> list[str] | None:
    """Return the shell commands of somebody who does what a hint says; the last one is a run of pyroot. None: it names none."""
    if "leave it out" in hint:
        return [f"pyroot {without(typed, message)}"]
    meant = re.match(r"did you mean (--[\w-]+)\?", hint)
    if meant:
        wrong = re.search(r"(?:^|: )(--?[\w-]+)(?==|:|$)", message.removeprefix("pyroot: ").removeprefix("trace: "))
        wrong = wrong or re.search(r"unknown option (-\S+)", message)
        return [f"pyroot {typed.replace(wrong[1], meant[1], 1)}"] if wrong else None
    command = command_of(hint)
    if command is None:
        return None
    if command.startswith("mkdir ROOT "):
        return [command, f"pyroot {typed.replace('x.tar.gz', 'ROOT')}"]
    instead = hint.startswith(("did you mean", "say ", "the root comes first"))
    if command.startswith("pyroot ") and (instead or not command.startswith(("pyroot new ", "pyroot copy "))):
        return [command]
    return [command, f"pyroot {typed}"]


def without(typed: str, message: str) -> str:
    """Take an option out of a line, with the value that it has elsewhere."""
    option = message.removeprefix("pyroot: ").partition(":")[0]
    words = shlex.split(typed)
    at = next(number for number, word in enumerate(words) if option.startswith(word.partition("=")[0]) or word == option)
    more = 2 if option in ("--name", "--network") else 1
    rest = words[:at] + words[at + more :]
    return shlex.join(["-r", *rest] if option == "--privileged" else rest)


def command_of(hint: str) -> str | None:
    """Return the command that a hint names, with something real for the words that stand for it."""
    text = re.sub(r"^as root: ", "", hint)
    found = re.search(r"(?:^|: |\? |mean |or |, )((?:pyroot|chmod|mkdir|sed|ln|rm|tar) .*)", text)
    if not found:
        return None
    rest = re.sub(r"\[[^]]*\]\s?", "", found[1])
    end = END.search(rest)
    quoted = re.match(r"[^']*'(?:[^']*)'(?:\S*'[^']*')*\S*", rest)  # what is quoted may have any words
    length = max(end.start() if end else len(rest), quoted.end() if quoted and rest[: quoted.end()].count("'") % 2 == 0 else 0)
    line = rest[:length]
    for word, real in sorted(STANDS_FOR.items(), key=lambda pair: -len(pair[0])):
        line = re.sub(rf"(?<![\w/.-]){re.escape(word)}(?![\w/=])", real, line)
    return line.strip()


@dataclass(frozen=True)
class Situation:
    """A failing run: what is done to the root R (made of sh, ls, cat, bash and head) first, in shell; the line; what the hint has.

    ``then``: what is typed after the hint, where that is not a command of the hint itself.
    """

    name: str
    act: str
    line: str
    hint: str
    then: str = ""


def s(name: str, act: str, line: str, hint: str, then: str = "") -> Situation:
    """Make a row."""
    return Situation(name, act, line, hint, then)


LIBRARY = "find R -name 'libtinfo.so.6*' -delete"
RUNS = (
    s("program of the host", ":", "-r R tail -n 1 /etc/passwd", "pyroot copy "),
    s("program with a slip", ":", "-r R haed /etc/passwd", "did you mean head?", "-r R head /etc/passwd"),
    s("library missing", LIBRARY, "-r R bash -c :", "pyroot copy "),
    s("two libraries missing", f"{LIBRARY}; find R -name 'libc.so.6' -delete", "-r R bash -c :", "pyroot copy "),
    s("ELF interpreter missing", "find R -name 'ld-linux*' -delete", "-r R ls /", "pyroot copy "),
    s("script for a program of the host", "printf '#!/usr/bin/tac\\n' > R/job; chmod 755 R/job", "-r R /job", "pyroot copy "),
    s("script without x bit", "printf '#!/bin/sh\\n' > R/job; chmod 644 R/job", "-r R /job", "chmod +x "),
    s("program without x bit", "chmod 644 R/usr/bin/head", "-r R /usr/bin/head /etc/passwd", "chmod +x "),
    s("program that cannot be read", "chmod 311 R/usr/bin/head", "-r R head /etc/passwd", "chmod +r "),
    s("library that cannot be read", "chmod 0 $(readlink -f $(find R -name libtinfo.so.6))", "-r R bash -c :", "chmod +r "),
    s("script with CR LF", "printf '#!/bin/sh\\r\\n' > R/job; chmod 755 R/job", "-r R /job", "sed -i "),
    s("root of mode 000", "chmod 0 R", "-r R ls", "chmod u+rwx "),
    s("copy into a closed directory", "chmod 555 R/usr/bin", "copy R tac", "chmod u+wx "),
    s("copy of nothing", ":", "copy R tacc", "did you mean tac", "copy R tac"),
    s("copy without a root", ":", "copy tac", "pyroot copy ", "copy R tac"),
    s("root is empty", "rm -rf R; mkdir R", "-r R ls", "pyroot new "),
    s("root is not there", "rm -rf R", "-r R ls", "pyroot new "),
    s("root is a level below", "mkdir J; mv R J/rootfs", "-r J ls", "J/rootfs?", "-r J/rootfs ls"),
    s("no shell", "rm R/usr/bin/sh R/usr/bin/dash R/usr/bin/bash", "-r R", "pyroot copy "),
    s("program in a directory that PATH lacks", "mv R/usr/bin/head R/usr/sbin", "-r R head /etc/passwd", "/usr/sbin",
      "-r R /usr/sbin/head /etc/passwd"),
    s("working directory missing", ":", "-r R -w /nowhere ls", "as the guest sees it", "-r R -w /etc ls"),
    s("host path of a binding missing", ":", "-r R -b ./none:/x ls", "must be an existing path of the host", "-r R -b ./R:/x ls"),
    s("new over a root", ":", "new R tac", "--add", "new --add R tac"),
    s("new below nothing", ":", "new none/more/S tac", "mkdir -p "),
    s("list that is not there", ":", "doctor --against none R", "pyroot checklist ", "checklist R -o none"),
    s("list that is a root", ":", "doctor --against R R", "pyroot checklist ", "checklist R -o none"),
    s("snapshot into nothing", ":", "snapshot R -o none/list", "", "snapshot R -o list"),
    s("trace of nothing that runs", ":", "trace -p 4194301", "ps -e", "ps"),
    s("kill of nothing that runs", ":", "kill 4194301", "pyroot ps"),
    s("directory as a command", ":", "-r R /etc", "x bit", "-r R /bin/ls /etc"),
    s("verb behind an option", ":", "-r R doctor", "pyroot doctor "),
    s("import into a root", ":", "import x.tar.gz R", "empty directory", "import x.tar.gz S"),
)  # fmt: skip
