"""`pyroot trace`: from its words to a traced run.

Decides: what the verb returns: the exit status of the command, as in a plain run. Not decided here: what the options mean (`choice`).
"""

from __future__ import annotations

from pyroot import config as plain_config
from pyroot import environment, launch
from pyroot.config import Config
from pyroot.errors import PyrootError
from pyroot.trace.choice import Choice, choose, ends_of
from pyroot.trace.options import TraceWords, mistyped_root, parse, usage
from pyroot.trace.output import Output
from pyroot.verbs.output import put


def main(argv: list[str]) -> int:
    """Do what the words after `pyroot trace` ask for. Raises PyrootError for a user's mistake."""
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


def _traced(choice: Choice, words: TraceWords, config: Config) -> int:
    sink = choice.sink(Output(choice.format(), ends_of(words, choice)))
    config.trace = sink
    try:
        return launch.run(config)
    finally:
        sink.finish()


def _environment(words: TraceWords) -> None:
    for entry in words.values.get("environment", []):
        name, equals, value = entry.partition("=")
        if not name:
            raise PyrootError(f"trace: -E {entry}: no name before =", "-E VAR=VALUE sets, -E VAR removes")
        environment.put(name, value if equals else None)
