"""The rows of options that let something appear at a place of the guest, beside -b and its like.

Decides: their spellings and texts. They are a part of the table in ``options``, which says what a row is.
"""

from pyroot.option_kinds import CONTENT, DIRECTORY, LINK, MASK, OVERLAY, OVERLAY_ROOT, TMPFS, Kind

#: Spellings, metavar, field, kind of value, short help, paragraph.
PLACES: tuple[tuple[tuple[str, ...], str, str, Kind, str, str], ...] = (
    (
        ("--tmpfs",), "GUEST[:mode=MODE]", "binds", TMPFS,
        "show an empty directory, removed at the end",
        "It lies in memory, in XDG_RUNTIME_DIR or /dev/shm, if the machine offers that, else where temporary files are. What a "
        "session that was killed has left is removed by the next one that makes such a directory. MODE is octal, 1777 without it.",
    ),
    (
        ("--dir",), "GUEST[:mode=MODE]", "binds", DIRECTORY,
        "see to it that GUEST is a directory",
        "If the guest has none there, as --tmpfs; MODE is 0755 without it.",
    ),
    (
        ("--symlink",), "TARGET:GUEST", "binds", LINK,
        "show a symbolic link to TARGET at GUEST",
        "Nothing is written into the root: as a mount point the link can be neither removed nor renamed. A colon in TARGET is written \\:.",
    ),
    (
        ("--file",), "FD:GUEST[:mode=MODE]", "binds", CONTENT,
        "show what descriptor FD holds as a file",
        "It is read to its end when the session begins, and closed. The file is the session's own and lasts as long; MODE is 0644 "
        "without it.",
    ),
    (
        ("--mask",), "GUEST", "binds", MASK,
        "let nothing be at GUEST",
        "The name is not found and not listed, nor is anything below it; to make it is refused (EACCES). A symbolic link is masked itself. "
        "What it hides may have other names: hard links, or another binding of its directory.",
    ),
    (
        ("--overlay",), "LOWER[:LOWER...]:GUEST[:UPPER]", "binds", OVERLAY,
        "show LOWER at GUEST, write changes to UPPER",
        "LOWER stays as it is; what is changed, made or removed is in UPPER, in the format of the kernel's overlayfs (with userxattr). "
        "UPPER is made if it is missing, and belongs to one session at a time; without it changes are thrown away. Of several lower "
        "directories the first one lies on top; then the colon before UPPER is written, even if nothing follows it. "
        "pyroot overlay diff, commit and discard work on an UPPER.",
    ),
    (
        ("--overlay-root",), "[=UPPER]", "overlay_root", OVERLAY_ROOT,
        "write changes of the root to UPPER",
        "As --overlay, of the root itself: without UPPER the guest finds the root as it was each time.",
    ),
)
