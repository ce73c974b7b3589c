"""Say where a TOML file is wrong, and what is probably meant. Only a file that cannot be read needs this.

A line is shown by its words alone: it may hold a connection string or a push channel.
"""

from __future__ import annotations

from nhagent.redaction import words_alone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_CURLY_QUOTES: Final = frozenset("\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb")
_BOOLEANS: Final = frozenset({"true", "false", "yes", "no", "on", "off"})
_NOTHINGS: Final = frozenset({"none", "null", "nil", "undefined"})
_SAID_TWICE: Final = ("Cannot overwrite", "Cannot declare", "Cannot mutate", "Cannot redefine", "Duplicate")
_KEY_VALUE: Final = 'write key = value, as in: app = "thermostat"'
_LONGEST_KEY: Final = 40
_TWO: Final = 2


def describe(text: str, error: ValueError) -> tuple[str, str]:
    """Describe why a text is not TOML.

    Args:
        text: the whole file.
        error: what ``tomllib`` raised.

    Returns:
        What is so, and what to do: the line, and its likely cause.
    """
    message, _, place = str(error).rpartition(" (at ")
    if not message:
        # Python itself refuses a number of thousands of digits, with advice for programmers after the fact.
        return f"is not valid TOML: {place.partition('; use sys.')[0]}", "correct the file"
    number, line = _line_at(text, place)
    key, equals, value = line.partition("=")
    shown = f"{_name_of(key.strip())} = {words_alone(value)}".strip() if equals else words_alone(line)
    quotation = f", where it says: {shown}" if shown else ""
    return (
        f"is not valid TOML: {message} (at line {number}){quotation}",
        f"correct the file: {_cause(message, line)}",
    )


def _line_at(text: str, place: str) -> tuple[int, str]:
    """Find a line of a file, counted from 1: the one that is named, or the last with something in it."""
    lines = text.splitlines() or [""]
    named = place.removeprefix("line ").partition(",")[0]
    if place.startswith("line ") and named.isdecimal():
        number = min(int(named), len(lines))
    else:
        number = max((at for at, line in enumerate(lines, start=1) if line.strip()), default=1)
    return number, lines[number - 1].strip()


def _cause(message: str, line: str) -> str:
    key, equals, value = line.partition("=")
    if not _CURLY_QUOTES.isdisjoint(line):
        return "use straight quotation marks, \" or '"
    if message.startswith(_SAID_TWICE):
        return "give each key and each table once: this one stands above too"
    if line.startswith("["):
        return "close the name of the table with ]" if "]" not in line else "look at the name of the table"
    if line.startswith(("//", ";", "--", "<!--")):
        return "begin a comment with #"
    if not equals:
        return _KEY_VALUE
    return _cause_of_value(key.strip(), value.strip())


def _cause_of_value(key: str, value: str) -> str:
    """Say what is wrong with the value of a line."""
    if not value:
        return f"give {_name_of(key)} a value"
    for quote, other in (('"', "single quotation marks, '…'"), ("'", "three quotation marks, '''…'''")):
        if value.startswith(quote):
            if value.count(quote) == 1:
                return f"close the text with {quote}"
            inside = "quotation marks" if value.count(quote) > _TWO else "a backslash"
            is_one = value.count(quote) > _TWO or "\\" in value
            return f"the text holds {inside}: put it between {other}" if is_one else "look at the text"
    word = value.split(maxsplit=1)[0].rstrip(",").lower()
    if word in _BOOLEANS:
        return "write true or false, in small letters"
    if word in _NOTHINGS:
        return f"leave {_name_of(key)} out where it has no value"
    if value[0] in "[{":
        return "close the list with ]" if value[0] == "[" else "close the table with }, on the same line"
    if value[0].isalpha() or value[0] in "/~$.@":
        return f'put the text between quotation marks: {_name_of(key)} = "…"'
    return "look at this line: text stands between quotation marks"


def _name_of(key: str) -> str:
    """Give a key to be shown; no key of the configuration is longer, and each is made of words."""
    is_name = len(key) <= _LONGEST_KEY and all(part.isalpha() for part in key.replace(".", "_").split("_"))
    return key if is_name else words_alone(key) or "the key"
