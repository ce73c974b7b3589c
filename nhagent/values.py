"""Frozen values with named fields, like frozen dataclasses, which cost next to nothing at import.

An unchanged start spends most of its time importing; making one frozen dataclass costs as much as importing
a small module, and ``dataclasses`` itself imports ``inspect``. A subclass of `Value` is written like a
dataclass, is checked like one by type checkers, and is one to `dataclasses.fields`, ``asdict`` and
``replace``, which are imported by whoever calls them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, NoReturn, Self, dataclass_transform
else:

    def dataclass_transform(**_: object) -> object:
        """Mark, for type checkers alone, what behaves as a dataclass."""
        return lambda kind: kind


class _DataclassFields:
    """What `dataclasses` looks for on a class, made when it is looked for."""

    def __get__(self, instance: object, kind: type[Value]) -> Any:
        from dataclasses import field, make_dataclass

        fields: list[tuple[str, type, Any]] = []
        for name in kind._fields:
            default = kind._defaults.get(name)
            if name not in kind._defaults:
                fields.append((name, object, field()))
            elif type(default).__hash__ is None:  # an empty mapping, which dataclasses takes for mutable
                fields.append((name, object, field(default_factory=type(default))))
            else:
                fields.append((name, object, field(default=default)))
        # Keyword-only, since fields of a subclass without a default may follow those with one.
        twin = make_dataclass(kind.__name__, fields, frozen=True, kw_only=True)
        return vars(twin)["__dataclass_fields__"]


@dataclass_transform(frozen_default=True)
class Value:
    """The base of frozen values.

    Annotated names of a subclass are its fields, in their order; a value assigned to one is its default. Those
    that begin with an underscore, or are annotated as ``ClassVar``, are not.
    ``_hidden`` names the fields that ``repr`` leaves out.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}
    _hidden: ClassVar[frozenset[str]] = frozenset()
    if not TYPE_CHECKING:
        __dataclass_fields__ = _DataclassFields()

    def __init_subclass__(cls) -> None:
        own = tuple(
            name
            for name, kind in vars(cls).get("__annotations__", {}).items()
            if not name.startswith("_") and not kind.startswith("ClassVar")
        )
        cls._fields = (*cls._fields, *own)
        cls._defaults = {
            **cls._defaults,
            **{name: vars(cls)[name] for name in own if name in vars(cls)},
        }

    if not TYPE_CHECKING:  # a type checker makes its own of the fields

        def __init__(self, *values: Any, **named: Any) -> None:
            fields = self.__dict__
            fields.update(self._defaults)
            fields.update(zip(self._fields, values))  # noqa: B905 - one too many is refused below
            fields.update(named)
            if len(fields) != len(self._fields) or len(values) > len(self._fields):
                self._refuse(values, named)

    def _refuse(self, values: tuple[Any, ...], named: dict[str, Any]) -> NoReturn:
        unknown = [name for name in named if name not in self._fields]
        missing = [name for name in self._fields if name not in self.__dict__]
        raise TypeError(
            f"{type(self).__name__}: {len(values)} values for {len(self._fields)} fields, "
            f"unknown {unknown}, missing {missing}"
        )

    def changed(self, **changes: Any) -> Self:
        """Give the same value with some fields changed, as `dataclasses.replace` does."""
        changed = object.__new__(type(self))
        changed.__dict__.update(self.__dict__, **changes)
        if len(changed.__dict__) != len(self._fields):
            raise TypeError(f"{type(self).__name__} has no such fields: {sorted(changes)}")
        return changed

    def __setattr__(self, name: str, value: object) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *map(self.__dict__.__getitem__, self._fields)))

    def __repr__(self) -> str:
        shown = (f"{name}={self.__dict__[name]!r}" for name in self._fields if name not in self._hidden)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.__dict__.copy())


def _restored(kind: type[Value], fields: dict[str, Any]) -> Value:
    """Make a value again from its fields, for ``pickle`` and ``copy``."""
    value = object.__new__(kind)
    value.__dict__.update(fields)
    return value
