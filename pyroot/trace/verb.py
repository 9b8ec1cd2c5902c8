"""`pyroot trace`: from its words to a traced run.

Decides: what the options mean together, and what the verb returns: the exit status of the command, as a plain run.
"""

from __future__ import annotations

import os

from pyroot import config as plain_config
from pyroot import launch
from pyroot.config import Config
from pyroot.doctor.words import put
from pyroot.errors import PyrootError
from pyroot.trace import select
from pyroot.trace.decode import Context
from pyroot.trace.options import Words, parse, usage
from pyroot.trace.output import Format, Output
from pyroot.trace.session import TraceSink
from pyroot.trace.summary import Summary

_KEYS = {"t": "trace", "trace": "trace", "status": "status", "signal": "signal", "signals": "signal", "s": "signal"}


def main(argv: list[str]) -> int:
    """Do what the words behind `pyroot trace` ask for. Raises PyrootError for a user's mistake."""
    words = parse(argv)
    if "help" in words.counts:
        put(usage())
        return 0
    if words.plain.question:
        from pyroot import usage as plain_usage

        put(plain_usage.version() if words.plain.question[0].field == "version" else usage())
        return 0
    if "stack" in words.counts:
        raise PyrootError("trace: -k: pyroot reads no stacks", "strace -k on the host writes them, with the paths of the host")
    config = plain_config.build(words.plain)
    if "attach" in words.values:
        from pyroot.trace.attach import run as attach

        return attach(words, config)
    if not config.command:
        raise PyrootError("trace: no command given", "pyroot trace [OPTION ...] COMMAND; pyroot trace -h tells more")
    _environment(words)
    if "why" in words.counts:
        from pyroot.trace.why import run as explained

        return explained(words, config)
    return _traced(make_sink(words), config)


def _traced(sink: TraceSink, config: Config) -> int:
    config.trace = sink
    try:
        return launch.run(config)
    finally:
        sink.finish()


def _environment(words: Words) -> None:
    for entry in words.values.get("environment", []):
        name, equals, value = entry.partition("=")
        if not name:
            raise PyrootError(f"trace: -E {entry}: no name in front of =", "-E VAR=VALUE sets, -E VAR removes")
        if equals:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


def number(words: Words, name: str, option: str, default: int) -> int:
    """Give the value of an option as a number. Raises PyrootError."""
    value = words.last(name, str(default))
    if not value.isdigit():
        raise PyrootError(f"trace: {option} {value}: not a number", "")
    return int(value)


def expressions(words: Words) -> dict[str, list[str]]:
    """Sort the values of -e by what they are about. Raises PyrootError."""
    found: dict[str, list[str]] = {name: list(words.values.get(name, [])) for name in ("trace", "status", "signal")}
    for text in words.values.get("expressions", []):
        key, equals, value = text.partition("=")
        if equals and key in _KEYS:
            found[_KEYS[key]].append(value)
        elif equals:
            raise PyrootError(f"trace: -e {text}: strace has {key}=, pyroot trace has not", "-e takes trace=, status= and signal=")
        else:
            found["trace"].append(text)
    return found


def make_sink(words: Words) -> TraceSink:
    """Make the sink that the options ask for. Raises PyrootError."""
    chosen = expressions(words)
    names = set(select.every_name())
    for text in chosen["trace"][-1:]:
        names = select.calls(text)
    paths = _paths(words)
    if paths:
        names &= select.calls("%file,%desc,%network")
    counts = words.counts
    context = Context(
        strings=number(words, "strings", "-s", 32), hexed=counts.get("hexed", 0), fds=counts.get("fds", 0),
        host_paths="host_paths" in counts,
    )  # fmt: skip
    summary = Summary(words.last("sort", "time")) if {"counts", "summary"} & set(counts) else None
    sink = _sink_class(words)(context, names, _output(words), summary)
    sink.follow = "nofollow" not in counts
    sink.lines = "counts" not in counts
    if chosen["status"]:
        sink.statuses = select.statuses(chosen["status"][-1])
    for field, status in (("successful", "successful"), ("failed", "failed")):
        if field in counts:
            sink.statuses = {status}
    if chosen["signal"]:
        sink.signals = select.signals(chosen["signal"][-1])
    sink.paths = paths
    quiet = counts.get("quiet", 0)
    sink.attach_told = not quiet and "output" not in words.values
    sink.exits_told = quiet < 2
    sink.choose()
    return sink


def _sink_class(words: Words) -> type[TraceSink]:
    if "json" not in words.counts:
        return TraceSink
    from pyroot.trace.jsonlines import JsonSink

    return JsonSink


def _paths(words: Words) -> list[bytes]:
    return [os.path.normpath(os.fsencode(path)) for path in words.values.get("paths", [])]


def _output(words: Words) -> Output:
    counts, target = words.counts, words.last("output", "")
    separate = bool(target) and target[0] not in "|!" and (counts.get("follow", 0) > 1 or "separately" in counts) and "counts" not in counts
    follow = "nofollow" not in counts
    form = Format(
        absolute=min(counts.get("absolute", 0), 3), relative="relative" in counts, times="times" in counts,
        pointers="pointers" in counts, columns=number(words, "columns", "-a", 40),
        always_pid=bool(target) and follow and not separate, separate=separate,
    )  # fmt: skip
    return Output(form, target, "append" in counts)
