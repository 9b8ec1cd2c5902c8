"""What random operations have met: ``python -m tests.oracle.run --coverage FILE`` adds to it, ``-m tests.oracle.coverage FILE`` tells.

A *deed* is a call, the flag that matters most, the shape of its path and what came of it (0 or an errno). A *setting* is one of:
what the path meets in the view (no binding, the top of one, a place below one ...), the root, and the way that the call takes.
A partition is a deed in a setting.  Which deeds can be is not known beforehand, so what was met three times in any setting
counts as reachable in each: a binding, a root or a way changes where a name leads, not what the kernel has to say about it.
What cannot exist, or tells nothing, is left out by the rules of ``why_not``, unless it was met anyway (after a rename, for example).

What a case has met one way it meets in any other: ``--gaps N`` runs (at most N) cases again whose deeds the way at hand has not met.
"""

from __future__ import annotations

import collections
import errno
import json
import os
import posixpath
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .case import Case

ENOUGH = 3
STRING = re.compile(r'(?:^|(?<= ))[RECUS]?"((?:[^"\\]|\\.)*)"')
POINTER = re.compile(r"(?<= )(?:NULL|ONE|HOLE|UNMAPPED|KERNEL)(?= |$)")
OPEN_FLAGS = (
    ("O_PATH", 0o10000000), ("O_TMPFILE", 0o20000000), ("O_CREAT|O_EXCL", 0o300), ("O_CREAT|O_NOFOLLOW", 0o400100), ("O_CREAT", 0o100),
    ("O_NOFOLLOW", 0o400000), ("O_DIRECTORY", 0o200000), ("O_TRUNC", 0o1000), ("write", 3),
)
RESOLVE_FLAGS = (("CACHED", 32), ("NO_XDEV", 1), ("IN_ROOT", 16), ("BENEATH", 8), ("NO_SYMLINKS", 4), ("NO_MAGICLINKS", 2))
AT_FLAGS = (("AT_EMPTY_PATH", 0x1000), ("AT_SYMLINK_NOFOLLOW", 0x100), ("AT_SYMLINK_FOLLOW", 0x400), ("AT_REMOVEDIR", 0x200))
RENAME_FLAGS = (("RENAME_EXCHANGE", 2), ("RENAME_NOREPLACE", 1))
#: calls with flags: which word of the line they are, and their names in the order of their weight
FLAGS: dict[str, tuple[int, tuple[tuple[str, int], ...]]] = {
    "open": (2, OPEN_FLAGS), "openat": (3, OPEN_FLAGS), "renameat2": (5, RENAME_FLAGS), "unlinkat": (3, AT_FLAGS), "linkat": (5, AT_FLAGS),
    "newfstatat": (4, AT_FLAGS), "statx": (3, AT_FLAGS), "faccessat2": (4, AT_FLAGS), "fchmodat2": (4, AT_FLAGS), "fchownat": (5, AT_FLAGS),
    "utimensat": (4, AT_FLAGS), "execveat": (5, AT_FLAGS), "name_to_handle_at": (5, AT_FLAGS),
}
#: paths of these are data, or none at all
WITHOUT_PATH = {"write", "sendto", "fsetxattr", "memfd_create", "clone", "exit", "list", "read", "close"}


def words_of(line: str) -> list[str]:
    """Split an operation; a string is one word."""
    return re.findall(r'(?:[^ "\[]|"(?:[^"\\]|\\.)*"|\[[^\]]*\])+', line)


def flag_of(name: str, words: list[str]) -> str:
    """Return the flag of a call that matters most."""
    try:
        if name == "openat2":
            how = [int(word, 0) & 0xFFFFFFFF for word in words[3].split(":")[1:]]
            found = [text for text, bits in RESOLVE_FLAGS if how[2] & bits] + [text for text, bits in OPEN_FLAGS if how[0] & bits]
        elif name in FLAGS:
            at, names = FLAGS[name]
            found = [text for text, bits in names if int(words[at], 0) & bits == bits or (text == "write" and int(words[at], 0) & bits)]
        else:
            return ""
    except (IndexError, ValueError):
        return "?"
    return found[0] if found else "0"


def shape_of(path: str) -> str:
    """Name the shape of a path."""
    names = path.split("/")
    if not path:
        return "empty"
    if len(path) > 4095 or any(len(name) > 255 for name in names):
        return "long"
    if not path.strip("/"):
        return "root"
    if "proc" in names[:2]:
        return "proc"
    if names[-1] in ("", ".", ".."):
        return {"": "slash", ".": "dot", "..": "dotdot"}[names[-1]]
    if ".." in names:
        return "up"
    return "absolute" if path.startswith("/") else "relative" if "/" in path else "name"


def meeting_of(case: Case, path: str) -> str:
    """Say what the text of a path meets in the view."""
    if not path.startswith("/"):
        return "relative"
    place = posixpath.normpath("/" + path.lstrip("/"))
    for binding in sorted(case.bindings, key=lambda b: -len(b.guest)):
        kind = "file" if not binding.is_directory else "glue" if "/glue" in binding.guest else "directory"
        if place == binding.guest:
            return f"top of a {kind}"
        if place.startswith(binding.guest + "/"):
            return f"below a {kind}"
    if any(binding.guest.startswith(place + "/") for binding in case.bindings):
        return "above"
    return "none"


#: calls whose answer may be that of another path
TWO_PATHS = {"rename", "renameat", "renameat2", "link", "linkat", "move_mount", "mount", "pivot_root", "quotactl"}
STRAIGHT = {"absolute", "slash", "dot"}
WRONG_KIND = {"EISDIR", "ENOTEMPTY", "ENXIO", "ENOTBLK", "ENOTDIR"}


def why_not(deed: str, setting: str) -> str:
    """Say why a partition is not to be asked for, or nothing."""
    words = deed.split(" ")
    call, shape, outcome = words[0], words[-2], words[-1]
    if " a " not in setting and setting not in ("above", "none", "relative"):
        return ""
    if outcome in ("EFAULT", "E2BIG", "EBADF", "ENOSYS") or (outcome == "EINVAL" and not call.startswith(("rename", "readlink"))):
        return "an argument beside the path decides before it is looked up"
    if call in TWO_PATHS or shape not in STRAIGHT:
        return ""
    if setting == "below a file":
        return "" if outcome in ("ENOTDIR", "EACCES", "EPERM") else "what lies below a file can only be refused"
    if setting != "above" and not setting.startswith("top"):
        return ""
    if outcome in ("ENOENT", "ELOOP"):
        return "a mount point, and what is above one, is there, and no link is on the way"
    if setting == "top of a file":
        if shape != "absolute":
            return "" if outcome in ("ENOTDIR", "EACCES", "EPERM", "EEXIST") else "a file with a slash behind it is refused"
        return "a file is no directory" if outcome in ("EISDIR", "ENOTEMPTY") else ""
    return "a directory is no file" if outcome in WRONG_KIND - {"EISDIR", "ENOTEMPTY"} else ""


def way() -> str:
    """Return the way that calls take in this process's sessions."""
    if os.environ.get("PYROOT_NO_SECCOMP"):
        return "no filter"
    return "stop" if os.environ.get("PYROOT_NO_GATE") else "gate"


class Coverage:
    """How often each partition was met, kept in a file."""

    def __init__(self, path: str, options: tuple[str, ...] = ()) -> None:
        self.path = path
        self.options = options  # of the generator, for cases to come
        self.counts: collections.Counter[str] = collections.Counter()
        self.examples: dict[str, str] = {}  # a case in which a deed was met: its seed and options
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                kept = json.load(file)
            self.counts.update(kept["counts"])
            self.examples.update(kept["examples"])

    def add(self, case: Case, results: dict[int, str], width: str) -> None:
        """Count the operations of a case by what the real side said of them."""
        root = "nested" if case.nested else "machine's" if case.whole else "directory"
        for index, result in results.items():
            found = re.match(r"(\w+) = (-?\d+)", result)
            if index < 0 or not found or found[1] in WITHOUT_PATH:
                continue
            line = re.sub(r"^=\d+ ", "", case.program[index])
            strings = STRING.findall(line)
            if not strings and not POINTER.search(line):
                continue
            outcome = "0" if int(found[2]) >= 0 else errno.errorcode.get(-int(found[2]), found[2])
            # (of symlink the first is what the link says)
            path = strings[-1 if found[1].startswith("symlink") else 0] if strings else ""
            shape = shape_of(path) if strings else "pointer"
            deed = " ".join(filter(None, (found[1], flag_of(found[1], words_of(line)), shape, outcome)))
            self.examples.setdefault(deed, " ".join((str(case.seed), *self.options)))
            for setting in (meeting_of(case, path) if strings else "relative", f"root: {root}", f"way: {width or way()}"):
                self.counts[f"{deed} | {setting}"] += 1

    def save(self) -> None:
        """Write the file."""
        with open(self.path, "w", encoding="ascii") as file:
            json.dump({"counts": self.counts, "examples": self.examples}, file, indent=0, sort_keys=True)

    def deeds(self) -> dict[str, collections.Counter[str]]:
        """Return how often each deed was met in each setting."""
        deeds: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for partition, count in self.counts.items():
            deed, _, setting = partition.partition(" | ")
            deeds[deed][setting] += count
        return deeds

    def expected(self) -> list[tuple[str, str, int]]:
        """Return the partitions that can be, and how often each was met.

        A deed can be in the settings in which its call was seen with its shape, whatever came of it.
        """
        deeds = self.deeds()
        settings: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
        for deed, found in deeds.items():
            settings[call_and_shape(deed)].update(found)
        reachable = [deed for deed, found in deeds.items() if max(found.values()) >= ENOUGH]
        return [(deed, setting, deeds[deed][setting]) for deed in reachable for setting in sorted(settings[call_and_shape(deed)])]

    def gaps(self, setting: str, most: int) -> Iterator[list[str]]:
        """Yield how to make the cases that have met what was never met in this setting, as long as that is so."""
        for deed, where, count in self.expected():
            if where != setting or count or self.counts[f"{deed} | {where}"] or deed not in self.examples:
                continue
            if most == 0:
                return
            most -= 1
            yield self.examples[deed].split(" ")

    def report(self, most: int) -> str:
        """Tell how many partitions were met often enough, and list those never met."""
        expected = self.expected()
        left_out = collections.Counter(why_not(deed, setting) for deed, setting, count in expected if not count)
        met = [count for deed, setting, count in expected if count or not why_not(deed, setting)]
        never = [f"{deed} | {setting}" for deed, setting, count in expected if not count and not why_not(deed, setting)]
        deeds = self.deeds()
        rare = sum(max(found.values()) < ENOUGH for found in deeds.values())
        lines = [f"deeds {len(deeds) - rare}, seen but fewer than {ENOUGH} times anywhere {rare}"]
        lines.append(f"partitions {len(met)}: {sum(n >= ENOUGH for n in met)} met at least {ENOUGH} times, "
                     f"{sum(0 < n < ENOUGH for n in met)} fewer, {len(never)} never")
        lines += [f"left out {count}: {reason}" for reason, count in sorted(left_out.items()) if reason]
        return "\n".join(lines + [f"never: {text}" for text in sorted(never)[:most]])


def call_and_shape(deed: str) -> tuple[str, str]:
    """Return the call of a deed and the shape of its path."""
    words = deed.split(" ")
    return words[0], words[-2]


def main() -> int:
    """Print the report of a file."""
    print(Coverage(sys.argv[1]).report(int(sys.argv[2]) if len(sys.argv) > 2 else 50))
    return 0


if __name__ == "__main__":
    sys.exit(main())
