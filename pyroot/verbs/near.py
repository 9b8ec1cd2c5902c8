"""What an unknown word may have been meant to be.

Decides: which known names are similar to an unknown one, and what to do instead of the options and words of other tools.
Imported if something has failed, by a run too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from pyroot.errors import shell_word

# One table of options that other tools have and pyroot does not: all spellings, whose they are, what to do instead. A row of an
# option table with the same spelling counts before this table is asked, so an option that comes later needs no change here.
HINTS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("-q", "--qemu"), "proot", "use a root made for this machine; programs for other processors do not run"),
    (("--mixed-mode",), "proot", "it belongs to --qemu, which is not supported either"),
    (("-p", "--port"), "proot", "let the program in the guest use another port"),
    (("-n", "--netcoop"), "proot", "let the program in the guest use another port"),
    (("-l", "--link2symlink"), "proot", "hard links in the guest are real hard links"),
    (("-H",), "proot", "nothing is added to directories of the guest, so nothing needs hiding"),
    (("-L",), "proot", "lstat in the guest gives the size of the symbolic link itself"),
    (("--sysvipc",), "proot", "System V IPC of the guest is that of the host"),
    (("--ashmem-memfd",), "proot", "it is only useful on Android"),
    (("-P",), "proot", "pyroot itself can be imported in Python"),
    (("--rm",), "docker", "leave it out: a run leaves nothing behind but what the command writes into the root"),
    (("-it", "-ti", "-t", "--interactive", "--tty"), "docker", "leave it out: the command has your terminal"),
    (("-e", "--env"), "docker", "the guest has your variables; others by env: pyroot -r DIR env NAME=VALUE COMMAND"),
    (("--env-file",), "docker", "let a shell read the file first: set -a; . FILE; pyroot -r DIR COMMAND"),
    (("--volume", "--volumes-from"), "docker", "-b HOST:GUEST shows a host file or directory in the guest"),
    (("--workdir",), "docker", "-w DIR starts the command in the guest directory DIR"),
    (("--userns",), "docker", "leave it out: pyroot needs no name spaces and makes none"),
    (("-d", "--detach"), "docker", "--detach-daemons returns when the command ends and lets the rest run on"),
    (("--name", "--label", "--pull", "--platform"), "docker", "leave it out: a root is a directory, not an image"),
    (("--entrypoint",), "docker", "name the program as the command: pyroot -r DIR PROGRAM"),
    (("--network", "--publish", "--expose", "--dns", "--add-host"), "docker", "leave it out: the guest has the network of this machine"),
    (("--privileged", "--cap-add", "--cap-drop", "--security-opt"), "docker", "leave it out: the guest has the rights that you have"),
    (("--memory", "--cpus", "--shm-size", "--ulimit"), "docker", "limits are the shell's: ulimit before pyroot"),
    (("--init", "--restart"), "docker", "leave it out: pyroot waits for what the command leaves running"),
    (("--ro-bind-try", "--bind-ro"), "bubblewrap", "-b HOST:GUEST:ro, or -b HOST:GUEST:ro,try"),
    (("--dev-bind", "--dev-bind-try"), "bubblewrap", "-b HOST:GUEST shows a host path in the guest"),
    (("--bind-data", "--ro-bind-data"), "bubblewrap", "--file FD:GUEST shows what a descriptor holds"),
    (("--perms", "--chmod"), "bubblewrap", "--dir GUEST:mode=MODE, and the same for --tmpfs and --file"),
    (("--proc", "--dev", "--sysfs"), "bubblewrap", "-b /proc, -b /dev, -b /sys, or -R DIR for all that programs usually need"),
    (("--chdir",), "bubblewrap", "-w DIR starts the command in the guest directory DIR"),
    (("--die-with-parent", "--as-pid-1", "--new-session"), "bubblewrap", "--kill-on-exit ends all processes when the command ends"),
    (("--setenv", "--unsetenv", "--clearenv"), "bubblewrap", "by env in the guest: pyroot -r DIR env -u NAME NAME=VALUE COMMAND"),
    (
        ("--unshare-all", "--unshare-user", "--unshare-pid", "--unshare-net", "--share-net", "--unshare-ipc", "--unshare-uts"),
        "bubblewrap",
        "leave it out: pyroot needs no name spaces and makes none",
    ),
    (("-D", "--directory"), "systemd-nspawn", "-r DIR makes DIR the root of the guest"),
    (("-a", "--boot", "--machine"), "systemd-nspawn", "leave it out: pyroot runs a command, not a system"),
    (("-B",), "apptainer", "-b HOST:GUEST shows a host file or directory in the guest"),
    (("--containall", "--cleanenv", "--fakeroot", "--nv", "--no-home"), "apptainer", "leave it out: only -b and -R show host paths"),
    (("-f", "--follow-forks", "-o", "--trace", "-c", "-y", "-s", "-T"), "strace", "pyroot trace -r DIR COMMAND shows the system calls"),
)  # fmt: skip
PROOT_HAS = tuple((names, instead) for names, whose, instead in HINTS if whose == "proot")

# First words that other tools have, and users try: what is meant.
WORDS = {
    **dict.fromkeys(("run", "exec", "shell", "enter", "login", "start", "chroot", "sh"), "pyroot -r {root} {command}"),
    **dict.fromkeys(("list", "ls-sessions", "sessions", "top"), "pyroot ps lists what runs"),
    **dict.fromkeys(("stop", "rm", "remove"), "pyroot kill PID ends what pyroot ps lists; a root is a directory: rm -r removes it"),
    **dict.fromkeys(("install", "create", "init", "build", "bootstrap", "images", "search", "push", "commit", "tag"),
                    "a root is a directory: pyroot new DIR makes a small one, and pyroot import SOURCE DIR one of an image"),
    **dict.fromkeys(("load", "unpack"), "pyroot import SOURCE DIR makes a root of an image"),
    "pull": "skopeo copy docker://NAME oci:IMAGE fetches an image, and pyroot import IMAGE DIR makes a root of it",
    "attach": "pyroot -r DIR COMMAND runs another command in that root: sessions of one root see each other",
    "inspect": "pyroot ps lists what runs, pyroot bindings OPTION... what a guest would see",
    "logs": "a guest has no log of its own: its messages are where the command writes them",
    "strace": "pyroot trace -r {root} {command}",
    "version": "pyroot -V prints the version",
}  # fmt: skip


# What only a shell does itself: there is no program of that name.
_BUILTINS = ("cd", "export", "source", "alias", "set", "unset", "ulimit", "umask", "exit", "eval", "type", "command", "history", "pushd",
             "trap", "wait", "jobs", "hash", "shopt", "declare", "let")  # fmt: skip
_OF_BASH = ("source", "history", "pushd", "shopt", "declare", "let")
_SHELLS = ("shell", "enter", "login", "start", "chroot")


def of_others(word: str, name: str) -> tuple[str, str] | None:
    """Return what to say about an option of another tool, and what to do instead; None for a word that none of them has."""
    known = (name,) if word.startswith("--") else (word, name)
    for whole in known:
        for names, whose, instead in HINTS:
            if whole in names:
                shown = "/".join(names) if whose == "proot" else whole
                return f"{word}: {whose}'s option {shown} is not supported", instead
    return None


def of_two_words(spelling: str, value: str, command: list[str]) -> tuple[str, str] | None:
    """Return what to say where the second word of an option, as bubblewrap has it, has become the command; None if it has not."""
    if ":" in value or not command or not command[0].startswith("/"):
        return None
    if command[0] != value and not os.path.isdir(command[0]) and spelling not in ("--symlink", "--file"):
        return None
    written = f"{spelling} {shell_word(value + ':' + command[0])}"
    return f"{spelling} {value} {command[0]}: two words are bubblewrap's form, here the second one is the command", written


def of_first_word(words: list[str], verbs: Iterable[str]) -> str:
    """Say what a first word that is no command may have been: a verb with a slip, or what other tools call a run; empty if neither."""
    word, rest = words[0], words[1:]
    if word in verbs:
        return f"a verb is the very first word: pyroot {' '.join([word, *rest][:3])}"
    if word in WORDS:
        root = next((one for one in rest if os.path.isdir(one)), "DIR")
        after = rest[rest.index(root) + 1 :] if root in rest else [one for one in rest if not one.startswith("-")]
        command = " ".join(map(shell_word, after))
        if not command and word in _SHELLS:
            return f"pyroot -r {shell_word(root)} starts a shell in it"
        text = WORDS[word].format(root=shell_word(root), command=command or "COMMAND")
        return f"{text} runs it" if WORDS[word].startswith("pyroot -r {root} {command}") else text
    near = near_names(word, verbs, 1)
    return f"did you mean pyroot {' '.join([near[0], *rest][:3])}?" if near and "/" not in word else ""


def of_shell(words: list[str], options: str) -> str:
    """Say what a command that is none is to a shell: a whole line, a variable, a word of its own; empty for anything else.

    `options` are those of the run that go before the command, with a blank at the end.
    """
    word, line = words[0] if words else "", " ".join(words)
    name, equals, _value = word.partition("=")
    if equals and name.isidentifier():
        return f"variables go by env: pyroot {options}env {' '.join(map(shell_word, words))}"
    if set(word) & set("|&;<>$`(){}\n"):
        return f"a line for a shell goes by sh: pyroot {options}sh -c {shell_word(line)}"
    if " " in word.strip():
        return f"what is quoted is one word: pyroot {options}{line}"
    if word == "cd" and len(words) == 2:
        return f"cd is the shell's own: pyroot {options}-w {shell_word(words[1])} COMMAND starts a command there"
    if word == "source" and len(words) == 2:
        path = words[1] if "/" in words[1] else f"./{words[1]}"
        return f"source is the shell's own: pyroot {options}sh -c {shell_word(f'. {path} && COMMAND')}"
    shell = "bash" if word in _OF_BASH else "sh"
    return f"{word} is the shell's own: pyroot {options}{shell} -c {shell_word(line)}" if word in _BUILTINS else ""


def of_level(spelling: str, value: str) -> str:
    """Say what a value of -v that is no number was meant to be: a volume of docker's, or nothing at all, as strace has it."""
    if ":" in value or "/" in value:
        return f"-b {shell_word(value)} shows a host directory in the guest; {spelling} takes a number"
    if value.strip("v") == "":
        return f"{spelling} takes a number: {spelling} 2"
    return f"{spelling} takes a number, unlike strace's: {spelling} 1 says more, {spelling} -1 less"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the long spelling among ``known`` that looks most like ``name``, or the empty string."""
    import difflib

    if len(name) < 4:
        return ""
    found = difflib.get_close_matches(name, [one for one in known if one.startswith("--")], 1, 0.75)
    return found[0] if found else ""


def near_names(name: str, names: Iterable[str], limit: int = 3) -> list[str]:
    """Return those of ``names`` that may have been meant by ``name``, the most similar first."""
    import difflib

    known = sorted(set(names) - {name})
    swapped = [other for other in known if len(name) > 1 and sorted(other) == sorted(name)]
    near = difflib.get_close_matches(name, known, limit, 0.75 if len(name) > 3 else 0.6)
    return list(dict.fromkeys(swapped + near))[:limit]
