"""Apply the changes of an UPPER to its lower directory: all of them, or none.

Everything that is to come is first copied beside the lower directory, into ``.NAME.commit``, so that nothing can fail half-way for lack
of room. Then names are moved by rename(2), each old one into the same place, and a journal says what that consists of. An error undoes
what has been moved; after a kill the next commit does so first.
"""

from __future__ import annotations

import json
import os
import shutil
import stat

from pyroot import overlays
from pyroot.errors import PyrootError, text_of
from pyroot.glue import remove_tree

_JOURNAL = b"journal"


class _Step:
    """One name of the lower directory: what replaces it (b"": nothing), or (mode, times) of a directory that stays."""

    __slots__ = ("path", "new", "status")

    def __init__(self, path: bytes, new: bytes = b"", status: os.stat_result | None = None) -> None:
        self.path = path
        self.new = new
        self.status = status


def commit(lower: bytes, upper: bytes) -> None:
    """Apply the changes; raise PyrootError, with the lower directory as it was, if that is not possible."""
    folder, name = os.path.split(lower.rstrip(b"/"))
    stage = os.path.join(folder, b"." + name + b".commit")
    try:
        _undo(stage, lower)
        os.mkdir(stage, 0o700)
        os.mkdir(os.path.join(stage, b"old"))
        steps: list[_Step] = []
        _plan(lower, upper, b"", stage, steps)
    except OSError as error:
        remove_tree(stage)
        where = os.fsdecode(error.filename) if error.filename else os.fsdecode(stage)
        raise PyrootError(f"overlay: commit: {where}: {text_of(error.errno or 0)}", "nothing has been changed") from None
    try:
        _apply(steps, lower, stage)
    except OSError as error:
        _undo(stage, lower)
        where = os.fsdecode(error.filename) if error.filename else os.fsdecode(lower)
        raise PyrootError(f"overlay: commit: {where}: {text_of(error.errno or 0)}", "nothing has been changed") from None
    remove_tree(stage)


def _plan(lower: bytes, upper: bytes, place: bytes, stage: bytes, steps: list[_Step]) -> None:
    """Find out what is to be done, and copy what is to come."""
    opaque = overlays.is_opaque(upper + place)
    names = set(os.listdir(upper + place)) | (set(os.listdir(lower + place)) if opaque else set())
    for name in sorted(names):
        path = place + b"/" + name
        new = os.lstat(upper + path) if os.path.lexists(upper + path) else None
        old = os.lstat(lower + path) if os.path.lexists(lower + path) else None
        if new is None or overlays.is_whiteout(new):
            if old is not None:
                steps.append(_Step(path))
        elif old is not None and stat.S_ISDIR(new.st_mode) and stat.S_ISDIR(old.st_mode) and not overlays.is_opaque(upper + path):
            _plan(lower, upper, path, stage, steps)
            steps.append(_Step(path, status=new))
        else:
            made = os.path.join(stage, b"new%d" % len(steps))
            _copy(upper + path, made)
            steps.append(_Step(path, made))


def _copy(source: bytes, target: bytes) -> None:
    """Copy a file or a tree of UPPER, without what is the format's own."""
    status = os.lstat(source)
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(target, 0o700)
        for name in os.listdir(source):
            if not overlays.is_whiteout(os.lstat(os.path.join(source, name))):
                _copy(os.path.join(source, name), os.path.join(target, name))
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISREG(status.st_mode):
        shutil.copyfile(source, target)
    else:
        os.mknod(target, status.st_mode, status.st_rdev)
    if not stat.S_ISLNK(status.st_mode):
        for attribute in os.listxattr(source):
            if not attribute.startswith(overlays.OWN):
                os.setxattr(target, attribute, os.getxattr(source, attribute))
        os.chmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _apply(steps: list[_Step], lower: bytes, stage: bytes) -> None:
    journal = [[os.fsdecode(step.path), bool(step.new), _before(lower, step)] for step in steps]
    _write(os.path.join(stage, _JOURNAL), json.dumps(journal))
    for number, step in enumerate(steps):
        target = lower + step.path
        if step.status is not None:
            os.chmod(target, stat.S_IMODE(step.status.st_mode))
            os.utime(target, ns=(step.status.st_atime_ns, step.status.st_mtime_ns))
            continue
        if os.path.lexists(target):
            os.rename(target, os.path.join(stage, b"old", b"%d" % number))
        if step.new:
            os.rename(step.new, target)
    os.unlink(os.path.join(stage, _JOURNAL))


def _before(lower: bytes, step: _Step) -> list[int] | None:
    """Return mode and times of a directory that stays, for the way back."""
    if step.status is None:
        return None
    status = os.lstat(lower + step.path)
    return [stat.S_IMODE(status.st_mode), status.st_atime_ns, status.st_mtime_ns]


def _write(path: bytes, text: str) -> None:
    with open(path + b".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(path + b".new", path)


def _undo(stage: bytes, lower: bytes) -> None:
    """Take back what a commit that did not come to its end has moved."""
    if not os.path.isdir(stage):
        return
    journal = os.path.join(stage, _JOURNAL)
    if os.path.exists(journal):
        with open(journal, encoding="utf-8") as file:
            steps = json.load(file)
        for number, (path, comes, before) in reversed(list(enumerate(steps))):
            target, old = lower + os.fsencode(path), os.path.join(stage, b"old", b"%d" % number)
            if before is not None:
                os.chmod(target, before[0])
                os.utime(target, ns=(before[1], before[2]))
                continue
            made = os.path.join(stage, b"new%d" % number)
            if comes and not os.path.lexists(made) and os.path.lexists(target):
                remove_tree(target)
            if os.path.lexists(old):
                os.rename(old, target)
    remove_tree(stage)
