"""`pyroot help VERB`: what `pyroot VERB --help` says; without a verb, what `pyroot -h` says.

Decides: nothing but what is said about a word that is no verb.
"""

from __future__ import annotations

from importlib import import_module

from pyroot import usage
from pyroot.errors import PyrootError
from pyroot.options import VERBS
from pyroot.verbs.near import near_names
from pyroot.verbs.output import put
from pyroot.verbs.words import Verb

HELP = Verb(
    "help",
    """\
usage: pyroot help [VERB]

Say what VERB does, with its options and examples. Without VERB: all options and verbs.
""",
    (),
    17,
)


def main(argv: list[str]) -> int:
    """Run `pyroot help` on the words after it. Raises PyrootError for a word that is no verb."""
    words = HELP.read(argv)
    if "help" in words.flags or words.rest[:1] == ["help"]:
        put(HELP.usage())
        return 0
    if not words.rest:
        put(usage.short())
        return 0
    modules = {name: module for name, _arguments, _help, module in VERBS}
    word = words.rest[0]
    if word not in modules:
        near = near_names(word, modules, 1)
        hint = f"did you mean pyroot help {near[0]}?" if near else f"verbs are {', '.join(modules)}"
        raise PyrootError(f"help: {word}: no such verb", hint)
    status: int = import_module(modules[word]).main(["--help"])
    return status
