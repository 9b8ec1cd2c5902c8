"""Snapshots as text and as JSON, written and read.

Decides: both formats. The text is that of mtree(5), one file per line, so that other tools can read it; names with bytes that are
not plain have them as three octal digits, which is mtree's way. In JSON such names have the escapes that Python gives to bytes
that are not text (surrogates). Nothing in either depends on the date or on the path of the root.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator

from pyroot.errors import PyrootError
from pyroot.manifest.entry import DIRECTORY, FORMAT, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEAD = f"#mtree\n# {FORMAT}\n"
_PLAIN = set(range(0x21, 0x7F)) - set(b"\\#=")
_XATTR = "xattr."


def as_text(entries: Iterable[Entry]) -> Iterator[str]:
    """Give the lines of a snapshot."""
    yield _HEAD
    for one in entries:
        words = [f"type={one.type}"]
        if one.type != "unknown":
            words += [f"mode={one.mode:04o}", f"uid={one.uid}", f"gid={one.gid}"]
        if one.size is not None:
            words.append(f"size={one.size}")
        if one.sha256:
            words.append(f"sha256digest={one.sha256}")
        if one.target is not None:
            words.append(f"link={encoded(one.target)}")
        if one.device:
            words.append(f"device=linux,{one.device[0]},{one.device[1]}")
        words += [f"{_XATTR}{encoded(name)}={base64.b64encode(value).decode()}" for name, value in sorted(one.xattrs.items())]
        if one.package:
            words.append(f"package={encoded(os.fsencode(one.package))}")
        if one.problem:
            words.append(f"problem={one.problem}")
        yield f"{encoded(b'.' + one.path.rstrip(b'/'))} {' '.join(words)}\n"


def encoded(name: bytes) -> str:
    """Write the bytes of a name that are not plain as octal digits."""
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in name)


def decoded(text: str) -> bytes:
    """Read a name that `encoded` wrote."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8) & 0xFF]), text.encode("utf-8", "surrogateescape"))


def as_json(entries: Iterable[Entry]) -> list[dict[str, object]]:
    """Give the entries as what JSON can hold; what is empty is left out."""
    return [
        {
            name: value
            for name, value in (
                ("path", os.fsdecode(one.path)),
                ("type", one.type),
                ("mode", f"{one.mode:04o}"),
                ("uid", one.uid),
                ("gid", one.gid),
                ("size", one.size),
                ("sha256", one.sha256),
                ("target", None if one.target is None else os.fsdecode(one.target)),
                ("device", list(one.device) if one.device else None),
                ("xattrs", {os.fsdecode(name): base64.b64encode(value).decode() for name, value in sorted(one.xattrs.items())}),
                ("package", one.package),
                ("problem", one.problem),
            )
            if value not in (None, "", {})
        }
        for one in entries
    ]


def read(data: bytes, shown: str) -> dict[str, Any]:
    """Read a snapshot or a checklist in either format: {"entries": [...], "findings": [...]}. Raises PyrootError."""
    try:
        if data.lstrip()[:1] == b"{":
            value = json.loads(data)
            found = {"entries": [_from_json(one) for one in value["entries"]], "findings": list(value.get("findings", []))}
        elif data.startswith(b"#mtree"):
            lines = data.decode("utf-8", "surrogateescape").split("\n")
            found = {"entries": [_from_text(line) for line in lines if line.startswith(".")], "findings": []}
        else:
            raise ValueError("neither mtree text nor JSON")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        what = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise PyrootError(f"{shown}: is not a snapshot ({what})", "pyroot snapshot ROOTFS -o FILE writes one", 2) from None
    return found


def _from_json(one: dict[str, Any]) -> Entry:
    device = one.get("device")
    return Entry(
        path=os.fsencode(one["path"]),
        type=str(one["type"]),
        mode=int(one.get("mode", "0"), 8),
        uid=int(one.get("uid", 0)),
        gid=int(one.get("gid", 0)),
        size=one.get("size"),
        sha256=one.get("sha256", ""),
        target=os.fsencode(one["target"]) if "target" in one else None,
        device=(int(device[0]), int(device[1])) if device else None,
        xattrs={os.fsencode(name): base64.b64decode(value) for name, value in one.get("xattrs", {}).items()},
        package=one.get("package", ""),
        problem=one.get("problem", ""),
    )


def _from_text(line: str) -> Entry:
    name, *words = line.split(" ")
    path = decoded(name)
    if not path.startswith(b"."):
        raise ValueError(f"line {line[:40]!r}")
    facts = dict(word.split("=", 1) for word in words if word)
    device = facts["device"].split(",")[1:] if "device" in facts else None
    return Entry(
        path=path[1:] or b"/",
        type=facts.get("type", DIRECTORY),
        mode=int(facts.get("mode", "0"), 8),
        uid=int(facts.get("uid", "0")),
        gid=int(facts.get("gid", "0")),
        size=int(facts["size"]) if "size" in facts else None,
        sha256=facts.get("sha256digest", facts.get("sha256", "")),
        target=decoded(facts["link"]) if "link" in facts else None,
        device=(int(device[0]), int(device[1])) if device else None,
        xattrs={decoded(key[len(_XATTR) :]): base64.b64decode(value) for key, value in facts.items() if key.startswith(_XATTR)},
        package=os.fsdecode(decoded(facts.get("package", ""))),
        problem=facts.get("problem", ""),
    )
