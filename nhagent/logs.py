"""Loggers that cost nothing until something is logged: an unchanged start never imports ``logging``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from typing import ClassVar


class Log:
    """The logger of a module, made when it is first used.

    Args:
        name: the logger's name, as for `logging.getLogger`.

    Attributes:
        set_up: called once, before the first line of any of these loggers, or None: how a program sets up
            ``logging`` without importing it at each start.
    """

    set_up: ClassVar[Callable[[], object] | None] = None

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, message: str, *values: object) -> None:
        self._logger.debug(message, *values, stacklevel=2)

    def info(self, message: str, *values: object) -> None:
        self._logger.info(message, *values, stacklevel=2)

    def warning(self, message: str, *values: object) -> None:
        self._logger.warning(message, *values, stacklevel=2)

    def error(self, message: str, *values: object) -> None:
        self._logger.error(message, *values, stacklevel=2)

    @property
    def _logger(self) -> logging.Logger:
        import logging

        set_up, Log.set_up = Log.set_up, None
        if set_up is not None:
            set_up()
        return logging.getLogger(self._name)
