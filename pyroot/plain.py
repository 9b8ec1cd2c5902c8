"""Classes of plain values, as `dataclasses` makes them, without what importing that costs (as much as the interpreter's own start).

Decides: how such a class is made: constructor, comparison, hash and text of its annotated names. Type checkers see the real thing.
"""

from __future__ import annotations

__all__ = ["field", "record", "replace"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import field, replace
else:

    class _Nothing:
        __slots__ = ()

    _NOTHING = _Nothing()

    class _Field:
        __slots__ = ("default", "factory", "compare")

        def __init__(self, default, factory, compare):
            self.default = default
            self.factory = factory
            self.compare = compare

    def field(*, default=_NOTHING, default_factory=None, compare=True):
        """Say more about a name than its default: a function that makes it, or that it does not count in comparisons."""
        return _Field(default, default_factory, compare)

    def replace(one, **changes):
        """Give a copy with other values for some names."""
        return type(one)(**{name: changes.get(name, getattr(one, name)) for name in one.__record__})

    def record(cls=None, *, frozen=False):
        """Make a class of plain values out of its annotated names."""
        if cls is None:
            return lambda it: record(it, frozen=frozen)
        names = {}
        for base in reversed(cls.__mro__[1:]):
            names.update(getattr(base, "__record__", {}))
        for name, kind in cls.__annotations__.items():
            if not str(kind).startswith("ClassVar"):
                default = cls.__dict__.get(name, _NOTHING)
                names[name] = default if isinstance(default, _Field) else _Field(default, None, True)
                if isinstance(default, _Field):
                    delattr(cls, name)
        cls.__record__ = names
        compared = "".join(f"{{0}}.{name}, " for name, one in names.items() if one.compare)
        space = {"_names": names, "_nothing": _NOTHING, "_class": cls}
        exec(_SOURCE.format(*_constructor(names), compared.format("self"), compared.format("other")), space)
        for name in ("__init__", "__eq__", "__repr__", *(("__hash__", "__setattr__", "__delattr__") if frozen else ())):
            if name == "__repr__" and "__repr__" in cls.__dict__:
                continue
            setattr(cls, name, space[name])
        if not frozen:
            cls.__hash__ = None
        return cls

    def _constructor(names):
        """Give the arguments and the lines of a constructor."""
        arguments, lines = [], []
        for name, one in names.items():
            made = one.factory is not None
            has_default = made or one.default is not _NOTHING
            arguments.append(f"{name}=_nothing" if made else f"{name}=_names[{name!r}].default" if has_default else name)
            value = f"_names[{name!r}].factory() if {name} is _nothing else {name}" if made else name
            lines.append(f"    values[{name!r}] = {value}")
        return ", ".join(["self", *arguments]), "\n".join(lines or ["    pass"])

    _SOURCE = """
def __init__({0}):
    values = self.__dict__
{1}

def __eq__(self, other):
    return ({2}) == ({3}) if other.__class__ is self.__class__ else NotImplemented

def __hash__(self):
    return hash(({2}))

def __repr__(self):
    return self.__class__.__qualname__ + "(" + ", ".join(f"{{name}}={{getattr(self, name)!r}}" for name in _names) + ")"

def __setattr__(self, name, value):
    raise AttributeError(f"cannot assign to field {{name!r}}")

def __delattr__(self, name):
    raise AttributeError(f"cannot delete field {{name!r}}")
"""
