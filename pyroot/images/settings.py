"""What an image asks for when it is run: kept beside the root, and read again.

Decides: where it is kept (``.pyroot/image`` of the root, which guests do not see), and what counts of it. What is read there is checked as
if somebody else had written it. Not decided here: what a run does with it (``running``).

Facts: the image configuration of OCI 1.1.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

from pyroot.errors import PyrootError, text_of
from pyroot.images.limits import JSON_MOST
from pyroot.verbs.remembered import FOLDER

if TYPE_CHECKING:
    from typing import Any

FILE = FOLDER + b"/image"


def keep(root: bytes, config: dict[str, Any], name: str, store: str = "", layers: list[dict[str, Any]] | None = None) -> None:
    """Write down a configuration, and in which store its layers are. Raises OSError."""
    os.makedirs(os.path.join(root, FOLDER), 0o700, exist_ok=True)
    fd = os.open(os.path.join(root, FILE), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with open(fd, "w", encoding="utf-8") as file:
        whole: dict[str, Any] = {"format": "pyroot image 1", "name": name, "config": config}
        if store:
            whole.update(store=store, layers=layers)
        json.dump(whole, file, indent=1, sort_keys=True)
        file.write("\n")


def kept(root: bytes) -> dict[str, Any] | None:
    """Read what is kept: {"name", "config"}; None if there is nothing. Raises PyrootError."""
    path = os.path.join(root, FILE)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PyrootError(f"{os.fsdecode(path)}: {text_of(error.errno or 0)}") from None
    with open(fd, "rb") as file:
        data = file.read(2 * JSON_MOST) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
        raise PyrootError(f"{os.fsdecode(path)}: is not what pyroot import wrote", "remove it, and name the program to run")
    return found
