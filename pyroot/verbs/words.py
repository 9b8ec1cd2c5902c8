"""The words of a verb: a table of its options, which reads them and lays out the help.

Decides: the spelling rules of verbs (options anywhere before "--"), the spellings that verbs share, and how `--help` looks. A row and
the engine that reads by it are those of a plain run (`options`).
"""

from __future__ import annotations

from pyroot.errors import PyrootError
from pyroot.option_kinds import FLAG, TEXT
from pyroot.options import RUN, Grammar, Option


def flag(names: str, help: str = "", field: str = "", also: tuple[str, ...] = ()) -> Option:
    """Give a row without a value, its spellings as in "-q, --quiet"; its field is the last one without dashes. Without help: not shown."""
    spellings = tuple(names.split(", "))
    return Option(spellings, "", field or spellings[-1].lstrip("-"), FLAG, "", help, also=also)


def value(names: str, metavar: str, help: str = "", field: str = "", also: tuple[str, ...] = ()) -> Option:
    """Give a row with a value, like `flag`; one whose metavar is in brackets can only be attached."""
    spellings = tuple(names.split(", "))
    return Option(spellings, metavar, field or spellings[-1].lstrip("-"), TEXT, "", help, also=also)


HELP = flag("-h, --help", "print this help", also=("--usage",))
OUTPUT = value("-o", "FILE", "write to FILE instead of standard output", "output", also=("--output",))


class Words:
    """What the words of a verb say: how often each flag was given, values in order, and the rest."""

    def __init__(self, verb: str) -> None:
        """Begin with nothing."""
        self.verb = verb
        self.counts: dict[str, int] = {}
        self.values: dict[str, list[str]] = {}
        self.rest: list[str] = []

    @property
    def flags(self) -> set[str]:
        """Name the flags that were given."""
        return set(self.counts)

    def last(self, name: str, default: str) -> str:
        """Give the last value of an option."""
        return self.values.get(name, [default])[-1]

    def enter(self, option: Option, value: str) -> None:
        """Take one option in."""
        if option.metavar:
            self.values.setdefault(option.field, []).append(value)
        else:
            self.counts[option.field] = self.counts.get(option.field, 0) + 1


class Verb(Grammar):
    """A verb: its name, the head of its help, the rows of its options (HELP is always there), and what the help ends with."""

    def __init__(self, name: str, head: str, rows: tuple[Option, ...], column: int, foot: str = "", letters: bool = False) -> None:
        """`column` is where the help of options begins; `letters`: flags may be joined after one dash."""
        super().__init__((*rows, HELP), f"{name}: ", f"pyroot {name} --help lists the options", letters)
        self.name = name
        self.head = head
        self.column = column
        self.foot = foot

    def usage(self) -> str:
        """Give the help."""
        from pyroot.verbs.layout import examples, fitted

        lines: list[str] = []
        for option in self.rows:
            first, *more = option.help.split("\n")
            if first:
                lines.append(f"  {option.term}".ljust(self.column) + first)
                lines += [" " * self.column + line for line in more]
        return fitted(f"{self.head}\n" + "\n".join(lines) + "\n" + (f"\n{self.foot}" if self.foot else "")) + examples(self.name)

    def read(self, argv: list[str]) -> Words:
        """Read the words after the verb's name. Raises PyrootError for an option that is unknown or lacks its value."""
        words, left = Words(self.name), list(argv)
        while left:
            word = left[0]
            if word == "--":
                words.rest += left[1:]
                break
            if word in self.by_name or word.startswith("-") and word != "-":
                option, _spelling, value = self.take(left)
                words.enter(option, value)
            else:
                words.rest.append(left.pop(0))
        if "" in words.rest:
            raise self.refused("an empty name is neither a directory nor a program", f"pyroot {self.name} --help")
        return words

    def missing(self, option: Option, name: str) -> PyrootError:
        """Return the error for a spelling without its value."""
        return self.refused(f"{name}: the value is missing")

    def unknown(self, word: str, name: str) -> PyrootError:
        """Return the error for an unknown option: one of a plain run, one that is spelled nearly so, or neither."""
        from pyroot.verbs.near import nearest

        plain = RUN.by_name.get(name)
        meant = nearest(name, self.by_name)
        if meant:
            return self.refused(f"unknown option {word}", f"did you mean {meant}? {self.more}")
        if plain is not None:
            return self.refused(f"unknown option {word}", f"{name} is an option of a plain run: {plain.help}; {self.more}")
        return self.refused(f"unknown option {word}")
