"""`pyroot run-image`: run what an image asks for, in the root that was made of it.

Decides: the verb's words, which are docker run's, and what the image's configuration means to a run: entry point and command, environment,
working directory, user. Not decided here: the run itself (``launch``), where the configuration is kept (``settings``).

Facts: docker run's manual, the image configuration of OCI 1.1.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from pyroot import config, environment, launch
from pyroot import options as options_of_run
from pyroot.errors import PyrootError, shell_word, text_of
from pyroot.images import settings
from pyroot.images.limits import Limits
from pyroot.images.tree import Tree
from pyroot.verbs.output import put
from pyroot.verbs.roots import root_directory
from pyroot.verbs.words import Verb, flag, value

if TYPE_CHECKING:
    from typing import Any

    from pyroot.verbs.words import Words

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class _Words(Verb):
    """The words of a verb that end with those of a command."""

    def read(self, argv: list[str]) -> Words:
        """Read what stands before DIR as options; what comes after it is the command's. Raises PyrootError."""
        left = list(argv)
        before: list[str] = []
        while left and left[0].startswith("-") and left[0] not in ("-", "--"):
            start, taken = len(left), left[:2]
            option, _name, _value = self.take(left)
            before += taken[: start - len(left)] if option.metavar else taken[:1]
        return super().read([*before, *([] if left[:1] == ["--"] else ["--"]), *left])


RUN_IMAGE = _Words(
    "run-image",
    """\
usage: pyroot run-image [OPTION...] DIR [ARGUMENT...]

Run what the image asks for of which pyroot import has made DIR: its entry point with
ARGUMENTS, or with its own; its user, working directory and environment. The guest sees
the files in DIR, /dev, /proc, /sys, this machine's resolv.conf and hosts, and what -v
shows. The network is this machine's. Without a user of the image's it is root (-0).
""",
    (
        value("-e, --env", "NAME[=VALUE]", "set a variable; without VALUE: as it is here"),
        value("--env-file", "FILE", "set the variables that FILE has lines of"),
        value("-v, --volume", "HOST:GUEST[:ro]", "show a file or directory of this machine"),
        value("-w, --workdir", "DIR", "start in this directory of the guest; it is made if it is missing"),
        value("-u, --user", "USER[:GROUP]", "be this user instead of the image's"),
        value("--entrypoint", "PROGRAM", "run this in place of the image's entry point and command"),
        value("--hostname", "NAME", "tell this host name"),
        flag("--read-only", "let the guest change nothing in the root"),
        flag("--rm", "throw away what the command changes in the root"),
        flag("-i, --interactive", "", also=("-t", "--tty")),
    ),
    26,
    letters=True,
)
# What engines give to a container besides its own files.
_USUAL = ["-b", "/dev", "-b", "/proc", "-b", "/sys", "--bind-try", "/etc/resolv.conf", "--bind-try", "/etc/hosts"]
_NAME = re.compile(r"[^=\0]+")


def main(argv: list[str]) -> int:
    """Run the verb on the words after it. Raises PyrootError for a user's mistake."""
    words = RUN_IMAGE.read(argv)
    if "help" in words.flags:
        put(RUN_IMAGE.usage())
        return 0
    if not words.rest:
        raise PyrootError("run-image: DIR is missing", "pyroot run-image DIR [ARGUMENT...]")
    directory, *arguments = words.rest
    root = root_directory("run-image", directory)
    found = settings.kept(root)
    wanted = asked(found["config"].get("config") if found is not None else None)
    command = _command(words, wanted, arguments)
    if not command:
        what = "its image names no program" if found else "was not made of an image"
        raise PyrootError(f"run-image: {directory}: {what}", f"pyroot run-image {shell_word(directory)} PROGRAM")
    given = variables(words, wanted)
    options = ["-r", os.fsdecode(root), "-u", words.last("user", wanted["User"] or "0"), *_USUAL]
    options += ["--keep-env"] if "HOME" in given else []
    for volume in words.values.get("volume", []):
        options += ["-b", _volume(volume)]
    if "read-only" in words.flags:
        options.append("--read-only")
    if "hostname" in words.values:
        options += ["--hostname", words.last("hostname", "")]
    if "rm" in words.flags:
        options.append(_throw_away())
    place = words.last("workdir", wanted["WorkingDir"] or "/")
    if not words.flags & {"read-only", "rm"}:
        _make(root, os.fsencode(place))
    built = config.build(options_of_run.parse([*options, "-w", place, "--", *command]))
    environment.replace(given)
    return launch.run(built)


def asked(config: object) -> dict[str, Any]:
    """Return what of an image's configuration counts, of the right types. Raises PyrootError."""
    told = config if isinstance(config, dict) else {}
    found: dict[str, Any] = {}
    for key in ("Entrypoint", "Cmd", "Env"):
        value = told.get(key) or []
        if not isinstance(value, list) or not all(isinstance(one, str) and "\0" not in one for one in value):
            raise PyrootError(f"run-image: the image's {key} is not a list of texts", "the image is damaged: pyroot -r DIR PROGRAM")
        found[key] = value
    for key in ("User", "WorkingDir"):
        value = told.get(key) or ""
        if not isinstance(value, str) or "\0" in value:
            raise PyrootError(f"run-image: the image's {key} is not a text")
        found[key] = value
    return found


def _command(words: Words, wanted: dict[str, Any], arguments: list[str]) -> list[str]:
    if "entrypoint" in words.values:
        program = words.last("entrypoint", "")
        return [program, *arguments] if program else arguments
    return [*wanted["Entrypoint"], *(arguments or wanted["Cmd"])]


def _volume(text: str) -> str:
    parts = text.split(":")
    if len(parts) == 1 or not parts[0].startswith(("/", ".", "~")):
        raise PyrootError(f"run-image: -v {text}: HOST is not a path", "volumes with names are docker's; -v /HOST:/GUEST shows a directory")
    if len(parts) > 3 or not parts[1].startswith("/"):
        raise PyrootError(f"run-image: -v {text}: not HOST:GUEST[:ro]", "-v /data:/mnt:ro")
    kinds = [one for one in (parts[2].split(",") if len(parts) == 3 else []) if one not in ("z", "Z", "rw", "")]
    if any(one != "ro" for one in kinds):
        raise PyrootError(f"run-image: -v {text}: there is no option {kinds[0]}", "ro is one")
    return ":".join([parts[0], parts[1], *(["ro"] if kinds else [])])


def variables(words: Words, wanted: dict[str, Any]) -> dict[str, str]:
    """Return the environment of the command: the image's, then what options say. Raises PyrootError."""
    here = environment.variables()
    found = {"PATH": PATH}
    if environment.terminal():
        found["TERM"] = environment.terminal()
    lines = list(wanted["Env"])
    for name in words.values.get("env-file", []):
        try:
            with open(name, encoding="utf-8", errors="surrogateescape") as file:
                lines += [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]
        except OSError as error:
            raise PyrootError(f"run-image: --env-file {name}: {text_of(error.errno or 0)}") from None
    for line in [*lines, *words.values.get("env", [])]:
        name, equals, text = line.partition("=")
        if not _NAME.fullmatch(name) or "\0" in text:
            raise PyrootError(f"run-image: {line}: not NAME=VALUE")
        if equals:
            found[name] = text
        elif os.fsencode(name) in here:
            found[name] = os.fsdecode(here[os.fsencode(name)])
    return found


def _throw_away() -> str:
    """Return the option that lets a run keep its changes of the root to itself. Raises PyrootError."""
    if "--overlay-root" not in options_of_run.RUN.by_name:
        raise PyrootError("run-image: --rm: this version keeps what the command changes", "leave it out, or use --read-only")
    return "--overlay-root"


def _make(root: bytes, place: bytes) -> None:
    """Make the working directory, as docker does, if it is missing; links in it stay in the root."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    top = os.open(root, flags)
    tree = Tree(top, top, Limits())
    try:
        tree.directory(place, [])
    except OSError:
        pass  # the run will say what is wrong
    finally:
        tree.close()
        os.close(top)
