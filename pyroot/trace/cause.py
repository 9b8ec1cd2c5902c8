"""Why a call of the guest failed, and what `--why` says about it.

Decides: which of the doctor's findings belongs to it, and the lines. Not decided here: which call it is (`why`), what is examined for each
errno (`reasons` for files, `reasons_other`).
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from pyroot import report
from pyroot.doctor.registry import NOTE, ROOT, SEVERITIES, Finding
from pyroot.reading.view import View
from pyroot.trace import reasons, reasons_other
from pyroot.trace.names import signal_name
from pyroot.trace.text import error_name

if TYPE_CHECKING:
    from pyroot._fast import Core
    from pyroot.config import Config
    from pyroot.trace.history import Event, History
    from pyroot.trace.why import Answer

Told = dict[str, str | bool | list[str]]

_WIDTH = 200  # of a call's line


def reason(core: Core, config: Config, call: Event) -> tuple[str, str]:
    """Say why a call failed, and give a hint; both may be empty."""
    if call.name in ("connect", "bind") and call.error in (errno.ENOENT, errno.EACCES) and call.path.startswith(b"/"):
        return reasons.of(core, config, call)
    why, hint = reasons_other.of(call)
    return (why, hint) if why else reasons.of(core, config, call)


# -- the doctor ---------------------------------------------------------------------------------------------------------------


def finding(core: Core, config: Config, answer: Answer, program: bytes) -> Finding | None:
    """Give the doctor's finding about what the call was about, None if there is none."""
    call = answer.call
    if call is None or not call.path.startswith(b"/"):
        return None
    try:
        from pyroot.doctor import checks
        from pyroot.reading.door import view_of
    except ImportError:  # (the call itself says most)
        return None
    view = View(view_of(core), os.fsdecode(config.rootfs_spelled), [program] if program.startswith(b"/") else [])
    found: list[Finding] = []
    for row in checks.load():
        if row.part == ROOT:
            try:
                found += row.run(view)
            except OSError:
                continue
    return next(iter(sorted((one for one in found if _about(one, call.path)), key=_order)), None)


def _about(one: Finding, path: bytes) -> bool:
    if one.path == path:
        return True
    if one.path == b"/dev" and path.startswith(b"/dev/"):
        # a finding about names in /dev is about those, not about any device
        return one.code != "dev-incomplete" or os.fsdecode(path[len("/dev/") :].partition(b"/")[0]) in one.what.replace(",", "").split()
    if one.severity != NOTE and one.path not in (b"", b"/") and path.startswith(one.path + b"/"):
        return True
    name = os.fsdecode(os.path.basename(path))
    return one.code.startswith("library") and name in one.what


def _order(one: Finding) -> tuple[int, int]:
    return SEVERITIES.index(one.severity), -len(one.path)


# -- the lines ----------------------------------------------------------------------------------------------------------------


def _ended(status: int) -> str:
    if status < 0:
        return "still runs"
    return f"was ended by {signal_name(status - 128)}" if 128 < status <= 192 else f"ended with status {status}"


def _who(history: History, process: int) -> str:
    known = history.processes.get(process)
    return f"{os.fsdecode(os.path.basename(known.program)) if known and known.program else '?'} (pid {process})"


def call_line(call: Event, width: int = _WIDTH) -> str:
    """Write a call and its result."""
    name = error_name(call.error)
    if call.later:
        ending = f" = -1 {error_name(call.later)}, later {name} ({os.strerror(call.error)})"
    else:
        ending = f" = -1 {name} ({os.strerror(call.error)})"
    line = call.words + ending
    return line if len(line) < width else f"{call.words[: width - 60]}...{ending}"


def facts(answer: Answer, history: History, config: Config, doctor: bool) -> Told:
    """Give what there is to say, by name."""
    core, call = history.core, answer.call
    told: Told = {"ended": f"{_who(history, history.first)} {_ended(answer.status)}"}
    if answer.message:
        told["message"] = answer.message
    if call is None:
        if answer.killed is not None:
            process, number, info = answer.killed
            told["cause"] = reasons_other.killed(number, info, _who(history, process))
        return told
    told["call"], told["sure"] = call_line(call), answer.sure
    told["process"] = " <- ".join(_who(history, process) for process in answer.chain)
    if call.path.startswith(b"/"):
        told["guest path"] = os.fsdecode(call.path)
        told["host path"] = os.fsdecode(reasons.host_path(core, call.path))
    if answer.searched:
        told["searched"] = [os.fsdecode(path) for path in answer.searched]
    told |= _cause(answer, history, config, call, doctor)
    if answer.others:
        told["others"] = [_with_reason(core, config, other) for other in answer.others]
    return told


def _cause(answer: Answer, history: History, config: Config, call: Event, doctor: bool) -> dict[str, str]:
    """Give cause, doctor's finding and fix."""
    told: dict[str, str] = {}
    why, hint = reason(history.core, config, call)
    if why and call.error == errno.ENOENT and answer.searched and call.name != "execve":
        why = f"{os.fsdecode(call.path)} is not there, nor is it in {len(answer.searched)} other places where it was looked for"
    if why:
        told["cause"] = why
    process = history.processes.get(answer.chain[-1]) if answer.chain else None
    one = finding(history.core, config, answer, process.program if process else b"") if doctor else None
    if one is not None:
        place = f"{os.fsdecode(one.path)}: " if one.path else ""
        told["doctor"] = f"{one.severity} {one.code}: {place}{one.what}"
        hint = one.mend or hint
    if hint and not ("chmod" in hint and _of_others(reasons.host_path(history.core, call.path))):
        told["mend"] = hint
    return told


def _of_others(host: bytes) -> bool:
    """Say whether a file, or what would hold it, belongs to another user, so that changing its mode is no help."""
    while host and not os.path.lexists(host):
        host = os.path.dirname(host)
    try:
        return os.stat(host).st_uid != os.geteuid()
    except OSError:
        return True


def _with_reason(core: Core, config: Config, call: Event) -> str:
    why = reason(core, config, call)[0]
    return f"{call_line(call, 140)}{f': {why}' if why else ''}"


_ROWS = ("message", "call", "others", "process", "guest path", "host path", "searched", "cause", "doctor", "mend")


def text(answer: Answer, told: Told) -> str:
    """Write the lines that matter."""
    lines = [f"pyroot: why: {told['ended']}"]
    for name in _ROWS:
        value = told.get(name)
        if isinstance(value, list) and name == "others":
            lines += [f"  {'or:':<12}{one}" for one in value]
            continue
        label = "likely" if name == "call" and not answer.sure else name
        if isinstance(value, list):
            value = f"also {', '.join(value[:3])}{f' and {len(value) - 3} more places' if len(value) > 3 else ''}"
        if value:
            lines.append(f"  {label + ':':<12}{value}")
    if answer.call is None:
        lines.append("  no failed call is to blame: pyroot trace shows them all")
    return "".join(report.printable(line) + "\n" for line in lines)


def as_json(answer: Answer, told: Told) -> str:
    """Write the same as one JSON object."""
    import json

    return json.dumps({"status": answer.status, **told}) + "\n"
