"""What an unknown word may have been meant to be.

Decides: which known names are similar to an unknown one, and what to do instead of the options of proot that are not supported.
Imported if something has failed, by a run too.
"""

from __future__ import annotations

from collections.abc import Iterable

# What proot (and its Termux fork) takes and pyroot does not: all spellings, what to do instead.
PROOT_HAS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("-q", "--qemu"), "use a root made for this machine; programs for other processors do not run"),
    (("--mixed-mode",), "it belongs to --qemu, which is not supported either"),
    (("-p", "--port"), "let the program in the guest use another port"),
    (("-n", "--netcoop"), "let the program in the guest use another port"),
    (("-l", "--link2symlink"), "hard links in the guest are real hard links"),
    (("-H",), "nothing is added to directories of the guest, so nothing needs hiding"),
    (("-L",), "lstat in the guest gives the size of the symbolic link itself"),
    (("--sysvipc",), "System V IPC of the guest is that of the host"),
    (("--ashmem-memfd",), "it is only useful on Android"),
    (("-P",), "pyroot itself can be imported in Python"),
)


def of_proot(word: str, name: str) -> tuple[str, str] | None:
    """Return what to say about an option of proot, and what to do instead; None for a word that proot does not know either."""
    known = (name,) if word.startswith("--") else (name, word[:2])
    for names, instead in PROOT_HAS:
        if any(one in names for one in known):
            return f"{word}: proot's option {'/'.join(names)} is not supported", instead
    return None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the long spelling among ``known`` that looks most like ``name``, or the empty string."""
    import difflib

    if len(name) < 4:
        return ""
    found = difflib.get_close_matches(name, [one for one in known if one.startswith("--")], 1)
    return found[0] if found else ""


def near_names(name: str, names: Iterable[str], limit: int = 3) -> list[str]:
    """Return those of ``names`` that may have been meant by ``name``, the most similar first."""
    import difflib

    known = sorted(set(names) - {name})
    swapped = [other for other in known if len(name) > 1 and sorted(other) == sorted(name)]
    near = difflib.get_close_matches(name, known, limit, 0.7 if len(name) > 3 else 0.6)
    return list(dict.fromkeys(swapped + near))[:limit]
