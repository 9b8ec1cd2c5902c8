"""How help looks on a terminal: its width, and the examples that it ends with.

Decides: where lines are broken, and the examples of each verb, which the man page has as well.
"""

from __future__ import annotations

import re
import shutil
import textwrap

NARROWEST, WIDEST = 40, 100

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "new": (
        ("pyroot new ./rootfs", "a shell and the usual small tools"),
        ("pyroot new ./work python3 git sh", "these programs, with what they need in order to work"),
        ("pyroot new --list x python3", "only say what would be copied, and why"),
    ),
    "doctor": (
        ("pyroot doctor ./rootfs", "examine all of a root"),
        ("pyroot doctor ./rootfs /usr/bin/app", "why this program does not start"),
        ("pyroot doctor --fix ./rootfs", "mend what can be mended safely"),
        ("pyroot doctor --against list ./rootfs", "what has changed since pyroot checklist wrote the list"),
    ),
    "check": (("pyroot check -v", "what this machine allows, and what is well"),),
    "trace": (
        ("pyroot trace -r ./rootfs ls", "every system call of ls in a root"),
        ("pyroot trace --why -r ./rootfs app", "why it fails, in a few lines"),
        ("pyroot trace -e trace=file -o log make", "only calls that name files, into a file"),
    ),
    "copy": (
        ("pyroot copy ./rootfs python3", "a program with what it needs in order to work"),
        ("pyroot copy --tree git", "only print what it needs"),
        ("pyroot copy --from ./other ./rootfs app", "from another root"),
    ),
    "snapshot": (("pyroot snapshot ./rootfs -o before", "record every file of a root"),),
    "diff": (("pyroot diff before ./rootfs", "what has changed since"),),
    "checklist": (("pyroot checklist ./rootfs -o list", "record a root that works"),),
    "bindings": (("pyroot bindings -R ./rootfs -b /data:/mnt:ro", "what a run with these options would show"),),
    "owners": (
        ("pyroot owners save ./rootfs -o list", "who owns what in a fake root, as mtree(5) lines"),
        ("pyroot owners load ./copy list", "the same for a copy of it"),
        ("pyroot owners check ./rootfs", "whether what is remembered is whole"),
    ),
    "import": (
        ("pyroot import image.tar.gz ./rootfs", "a root out of an archive"),
        ("pyroot import --image app:latest ./layout ./rootfs", "one image of an OCI layout"),
        ("pyroot import debian ./rootfs", "one that `skopeo copy docker://debian oci:debian` has fetched"),
    ),
    "run-image": (
        ("pyroot run-image ./rootfs", "what the image starts"),
        ("pyroot run-image -e DEBUG=1 -v ./src:/src -w /src ./rootfs make", "another command in it"),
    ),
    "export": (
        ("pyroot export ./rootfs rootfs.tar", "a tar file, with the owners that the guests see"),
        ("pyroot export --format oci --name app:1 ./rootfs ./layout", "an image that skopeo copies to a registry"),
    ),
    "bwrap": (
        ("pyroot bwrap --ro-bind / / --bind $PWD $PWD --tmpfs /tmp make", "nothing but this directory is written to"),
    ),
    "overlay": (
        ("pyroot overlay diff ./changes", "what a run with --overlay-root=./changes has changed"),
        ("pyroot overlay commit ./changes", "let the root have it"),
        ("pyroot overlay discard ./changes", "forget it"),
    ),
    "ps": (("pyroot ps", "sessions and their processes"), ("pyroot ps --json", "the same for programs")),
    "kill": (("pyroot kill 1234", "end a session or a process that ps lists"),),
    "files": (
        ("pyroot files", "what guests have open"),
        ("pyroot files /var/log/app.log", "who has this file open"),
    ),
    "report": (("pyroot report -- -R ./rootfs app", "run it, and collect what a helper needs"),),
    "help": (("pyroot help doctor", "what doctor does"),),
}


def width() -> int:
    """Return the width of the terminal, within what can be read well."""
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size((80, 24)).columns))


def fitted(text: str, most: int = 0) -> str:
    """Break the lines that are too long: an entry keeps its column, a paragraph is filled anew."""
    most = most or width()
    if max(map(len, text.splitlines()), default=0) <= most:
        return text
    found: list[str] = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        if all(line[:1] not in (" ", "") and not line.startswith("usage:") for line in lines):
            found.append(textwrap.fill(" ".join(lines), most, break_on_hyphens=False))
        else:
            found.append("\n".join(_broken(line, most) for line in lines))
    return "\n\n".join(found) + ("\n" if text.endswith("\n") else "")


def _broken(line: str, most: int) -> str:
    if len(line) <= most:
        return line
    head = re.match(r"(\s*\S.*?\s{2,})(?=\S)|\s*", line)
    column = len(head[0]) if head else 0
    if column > most // 2:  # the entry goes below its name
        name, rest = line[:column].rstrip(), line[column:]
        return "\n".join([*( [name] if name else []), textwrap.fill(rest, most, initial_indent=" " * 6, subsequent_indent=" " * 6)])
    return textwrap.fill(line[column:], most, initial_indent=line[:column], subsequent_indent=" " * column, break_on_hyphens=False)


def entry(term: str, text: str, column: int) -> str:
    """Lay out one term and what it means."""
    most = width()
    column = min(column, most // 3)
    lines = textwrap.wrap(text, most - column, break_on_hyphens=False)
    head = f"  {term}"
    if len(head) + 2 > column:
        return "\n".join([head] + [" " * column + line for line in lines]) + "\n"
    return "\n".join([head.ljust(column) + lines[0]] + [" " * column + line for line in lines[1:]]) + "\n"


def examples(verb: str) -> str:
    """Return the examples of a verb as the end of its help."""
    rows = EXAMPLES.get(verb, ())
    return "\nExamples:\n" + "".join(f"  {line}\n      {text}\n" for line, text in rows) if rows else ""
