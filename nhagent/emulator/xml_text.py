"""Text as XML can carry it."""

from __future__ import annotations

import re

# XML 1.0 cannot carry these, not even escaped; a client's parser would refuse the whole document.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


_PLAIN = re.compile("[\t\n\x20-%'-;=?-\ud7ff]*+")
"""Most texts need nothing."""


def escaped(text: str) -> str:
    """For an element's text."""
    if _PLAIN.fullmatch(text):
        return text
    text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A bare CR would reach the reader as LF: XML parsers normalise line ends.
    return text.replace("\r", "&#xD;")


def quoted(text: str) -> str:
    """For an attribute, with its quotation marks."""
    text = escaped(text).replace('"', "&quot;").replace("\t", "&#x9;").replace("\n", "&#xA;")
    return f'"{text}"'


def cdata(text: str) -> str:
    """A CDATA section, divided where its own end, or a CR, stands in the text."""
    text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text).replace("]]>", "]]]]><![CDATA[>")
    return f"<![CDATA[{text}]]>".replace("\r", "]]>&#xD;<![CDATA[")
