"""`pyroot trace`: from its words to a traced run.

Decides: what the verb returns: the exit status of the command, as a plain run. Not decided here: what the options mean (`choice`).
"""

from __future__ import annotations

import os

from pyroot import config as plain_config
from pyroot import launch
from pyroot.config import Config
from pyroot.doctor.words import put
from pyroot.errors import PyrootError
from pyroot.outfile import Outfile
from pyroot.trace.choice import Choice, choose
from pyroot.trace.ends import Ends
from pyroot.trace.options import Words, mistyped_root, parse, usage
from pyroot.trace.output import Output


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
    mistyped_root(words, config)
    if config.detach_daemons:
        raise PyrootError("trace: --detach-daemons: a trace goes on until the last process has ended", "leave the option out")
    if "attach" in words.values:
        from pyroot.trace.attach import run as attach

        return attach(words, config)
    if not config.command:
        raise PyrootError("trace: no command given", "pyroot trace [OPTION ...] COMMAND; pyroot trace -h tells more")
    _environment(words)
    if "why" in words.counts:
        from pyroot.trace.why import run as explained

        return explained(words, config)
    return _traced(choose(words), words, config)


def ends_of(words: Words, choice: Choice) -> Ends:
    """Open what -o names. Raises PyrootError."""
    return Ends(outfile_of(words), "append" in words.counts, choice.format().separate)


def outfile_of(words: Words) -> Outfile | None:
    """Give what -o names, None without one. Raises PyrootError."""
    return Outfile("trace", words.last("output", "")) if "output" in words.values else None


def _traced(choice: Choice, words: Words, config: Config) -> int:
    sink = choice.sink(Output(choice.format(), ends_of(words, choice)))
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
