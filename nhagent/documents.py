"""The base of models: they can be written as JSON and read, under the names of the service's own documents.

What is empty is left out. Names are read in any case, with underscores or without; those that are not known
are ignored, so that what a newer service writes can be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from nhagent.errors import ConfigurationError
from nhagent.validation import shown
from nhagent.values import Validated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Final, Self

_TIMES: Final = frozenset({"expiration_time"})


class Model(Validated):
    """A public value that stands for something at the hub.

    ``_models`` names the class of fields that hold other models, and ``_wire_names`` the fields that have
    another name in the service's documents.
    """

    _models: ClassVar[Mapping[str, type[Model]]] = {}
    _wire_names: ClassVar[Mapping[str, str]] = {}

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON, under the names of the service's documents; what is empty is left out.

        Raises:
            ConfigurationError: a channel is a source, which has no form in JSON.
        """
        parts = ((name, getattr(self, name)) for name in self._fields)
        return {self._wire_name(name): _to_json(name, part) for name, part in parts if _is_said(part)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Make one of JSON, and check it as the constructor does.

        Args:
            document: an object of JSON, its names in any case. Null counts as absent; what is not known is
                ignored.

        Raises:
            ConfigurationError: it is no object, something is missing, or a rule is broken.
        """
        if not isinstance(document, Mapping):
            raise ConfigurationError(
                f"{cls.__name__}: a {type(document).__name__} is not an object of JSON",
                "give what to_dict gives",
            )
        parts = {_plain(str(name)): part for name, part in document.items() if part is not None}
        fields: dict[str, Any] = {}
        for name in cls._fields:
            wire_name = cls._wire_name(name)
            part = parts.get(_plain(wire_name), parts.get(_plain(name)))
            if part is not None:
                fields[name] = cls._from_json(name, part)
            elif name not in cls._defaults:
                raise ConfigurationError(f"{cls.__name__}: {wire_name} is missing", "give it")
        return cls(**fields)

    @classmethod
    def _from_json(cls, name: str, part: Any) -> object:
        model = cls._models.get(name)
        if model is not None and name in cls._mappings:
            if not isinstance(part, Mapping):
                raise ConfigurationError(f"{name}: not an object of JSON", "give its parts by name")
            return {key: model.from_dict(item) for key, item in part.items()}
        if model is not None:
            return model.from_dict(part)
        return _moment(name, part) if name in _TIMES else part

    @classmethod
    def _wire_name(cls, name: str) -> str:
        """Give the name of a field in the service's documents: ``installation_id`` is ``installationId``."""
        first, *others = cls._wire_names.get(name, name).split("_")
        return first + "".join(part.capitalize() for part in others)


def _is_said(part: object) -> bool:
    return part is not None and part is not False and part not in ("", (), {})


def _to_json(name: str, part: Any) -> Any:
    if isinstance(part, Model):
        return part.to_dict()
    if isinstance(part, Mapping):
        return {str(key): _to_json(name, item) for key, item in part.items()}
    if isinstance(part, list | tuple):
        return list(part)
    if isinstance(part, datetime):
        return part.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if callable(part):
        raise ConfigurationError(f"{name}: a channel source has no form in JSON", "give the channel itself")
    return str(part) if isinstance(part, str) else part  # a platform is its name


def _moment(name: str, text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise ConfigurationError(f"{name} {shown(text)}: not a time", "give it in ISO 8601") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
