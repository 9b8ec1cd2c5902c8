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
        above = next((base.__record__ for base in cls.__mro__[1:] if "__record__" in base.__dict__), None)
        cls.__record__ = names
        cls.__compared__ = tuple(name for name, one in names.items() if one.compare)
        if above is None or list(above) != list(names) or cls.__annotations__.keys() & names.keys():
            cls.__init__ = _constructor(names)
        cls.__eq__ = _equal
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = _repr
        cls.__hash__ = _hash if frozen else None
        if frozen:
            cls.__setattr__ = _set
            cls.__delattr__ = _delete
        return cls

    def _constructor(names):
        """Make a constructor; one that is compiled from a text for each class would cost more than all that is done with most of them."""
        order, count = tuple(names), len(names)
        defaults = {name: one.default for name, one in names.items() if one.default is not _NOTHING}
        makers = {name: one.factory for name, one in names.items() if one.factory is not None}

        def __init__(self, *given, **named):
            values = self.__dict__
            values.update(defaults)
            values.update(zip(order, given, strict=False))
            values.update(named)
            for name, make in makers.items():
                if name not in values:
                    values[name] = make()
            if len(values) != count or len(given) > count:
                raise TypeError(f"{self.__class__.__qualname__} takes {', '.join(order)}: not {', '.join(values.keys() ^ names.keys())}")

        return __init__

    def _equal(self, other):
        if other.__class__ is not self.__class__:
            return NotImplemented
        one, two = self.__dict__, other.__dict__
        return all(one[name] == two[name] for name in self.__compared__)

    def _hash(self):
        return hash(tuple(map(self.__dict__.__getitem__, self.__compared__)))

    def _repr(self):
        return self.__class__.__qualname__ + "(" + ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__record__) + ")"

    def _set(self, name, value):
        raise AttributeError(f"cannot assign to field {name!r}")

    def _delete(self, name):
        raise AttributeError(f"cannot delete field {name!r}")
