"""Strict reading of TOML: tables of known keys, whose values are checked for their types.

A key that is not known is refused, with the nearest one that is: a misspelt ``tags`` must not leave a fleet
without tags.
"""

from __future__ import annotations

from nhagent.commands.nearest import hint_for
from nhagent.errors import ConfigurationError
from nhagent.regular_files import UTF8_MARK, FileTooLarge, NotARegularFile, read_regular
from nhagent.validation import MAX_SHOWN_CHARACTERS, check_no_hub_secret

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

MAX_CONFIG_BYTES: Final = 1024 * 1024
"""The largest configuration file that is read."""
REQUIRED: Final = object()
"""Stands for a default where a key has none."""


def read_toml(path: str) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: the file's path.

    Returns:
        Its keys and values.

    Raises:
        ConfigurationError: there is no such file, or it cannot be read, or is not valid TOML.
    """
    import tomllib

    text = ""
    try:
        content = read_regular(path, MAX_CONFIG_BYTES)
        text = content.removeprefix(UTF8_MARK).decode()
        return tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigurationError(
            "is not there", "write one, or name it with --config or $NHAGENT_CONFIG"
        ) from None
    except NotARegularFile:
        raise ConfigurationError("is not a regular file", "name one that holds the configuration") from None
    except FileTooLarge as error:
        raise ConfigurationError(f"is {error.strerror}", "is it the right file?") from None
    except OSError as error:
        raise ConfigurationError(f"cannot be read ({error.strerror})", "check it") from error
    except UnicodeDecodeError:
        raise ConfigurationError("is not text in UTF-8", "save it in that encoding") from None
    except RecursionError:
        raise ConfigurationError("is not valid TOML: lists within lists without end", "correct it") from None
    except ValueError as error:
        from nhagent.commands.toml_faults import describe

        raise ConfigurationError(*describe(text, error)) from None


class TomlTable:
    """A table whose keys are known, read with their types.

    Args:
        values: the table, as ``tomllib`` gives it.
        name: its name, for errors; "" for the whole file.
        known: the keys that it may have.
        place_of: gives, for the name of a table and a key that it may not have, where that belongs, as the
            next step; None where that is not known.

    Attributes:
        name: as given.
        given: the keys that it has.

    Raises:
        ConfigurationError: it has another key. The methods raise it for a key that is missing and has no
            default, and for a value of another type.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        name: str,
        known: tuple[str, ...],
        place_of: Callable[[str, str], str | None] = lambda _, __: None,
    ) -> None:
        self.name = name
        self.given = list(values)
        self._values = values
        self._place_of = place_of
        for key in values:
            check_no_hub_secret(f"a key of {name or 'the file'}", key)
            if len(key) > MAX_SHOWN_CHARACTERS and key not in known:
                raise ConfigurationError(
                    f"{name or 'the file'}: unknown key of {len(key)} characters",
                    f"known are {', '.join(known)}",
                )
            if key not in known:
                raise ConfigurationError(f'{self.path(key)}: unknown key "{key}"', self._hint_for(key, known))

    def text(self, key: str, default: Any = REQUIRED) -> Any:
        """Read text, or give the default."""
        value = self._take(key, default)
        if value is not default and not isinstance(value, str):
            raise self._wrong(key, value, "text in quotes")
        if isinstance(value, str):
            check_no_hub_secret(self.path(key), value)
        return value

    def boolean(self, key: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def texts(self, key: str) -> list[str]:
        """Read a list of texts, empty by default."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, value, 'a list of texts, such as ["a", "b"]')
        return value

    def text_map(self, key: str) -> dict[str, str]:
        """Read a table of texts, empty by default."""
        value = self._take(key, {})
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise self._wrong(key, value, 'a table of texts, such as { name = "value" }')
        return value

    def channel(self, key: str) -> str | dict[str, object]:
        """Read a push channel: text, or the table that a browser's is."""
        value = self._take(key, REQUIRED)
        if not isinstance(value, str | dict):
            raise self._wrong(key, value, "a push channel: text, or a table for browser")
        return value

    def table(self, key: str, known: tuple[str, ...], default: Any = REQUIRED) -> TomlTable:
        """Read a table with these keys."""
        value = self._values.get(key, default)
        if value is REQUIRED:
            raise ConfigurationError(
                f"{self.path(key)}: is missing", f"write a line [{self.path(key)}], and its keys below it"
            )
        if not isinstance(value, dict):
            raise self._wrong(key, value, f"a line [{self.path(key)}], and its keys below it")
        return TomlTable(value, self.path(key), known, self._place_of)

    def tables(self, key: str, known: tuple[str, ...]) -> dict[str, TomlTable]:
        """Read tables with these keys, whose names the user chooses; none by default."""
        value = self._take(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, value, "a table of tables")
        names = TomlTable(value, self.path(key), tuple(value), self._place_of)
        return {name: names.table(name, known) for name in value}

    def path(self, key: str) -> str:
        """Give a key's full name in the file, such as ``hub.name``."""
        return f"{self.name}.{key}" if self.name else key

    def _hint_for(self, key: str, known: tuple[str, ...]) -> str:
        """Say what may be meant by a key that is not known here."""
        return self._place_of(self.name, key) or hint_for(key, known)

    def _take(self, key: str, default: Any) -> Any:
        value = self._values.get(key, default)
        if value is REQUIRED:
            raise ConfigurationError(f"{self.path(key)}: is missing", self._how_to_add(key))
        return value

    def _how_to_add(self, key: str) -> str:
        """Say how what is missing is written, and where: it has no default."""
        place = f"in [{self.name}]" if self.name else "at the top of the file"
        return f'write {key} = "…" {place}'

    def _wrong(self, key: str, value: object, right: str) -> ConfigurationError:
        return ConfigurationError(f"{self.path(key)}: is of type {type(value).__name__}", f"write {right}")
