"""Escape text for XML."""

from __future__ import annotations

import re

# XML 1.0 cannot carry these, not even escaped; a client's parser would refuse the whole document.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Texts that need no escaping, which are most.
_PLAIN = re.compile("[\t\n\x20-%'-;=?-\ud7ff]*+")


def escaped(text: str) -> str:
    """Escape an element's text."""
    if _PLAIN.fullmatch(text):
        return text
    text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A bare CR would reach the reader as LF: XML parsers normalise line ends.
    return text.replace("\r", "&#xD;")


def quoted(text: str) -> str:
    """Escape an attribute's value and put it in quotation marks."""
    text = escaped(text).replace('"', "&quot;").replace("\t", "&#x9;").replace("\n", "&#xA;")
    return f'"{text}"'


def cdata(text: str) -> str:
    """Write a CDATA section, split where the text has the section's own end mark or a CR."""
    text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text).replace("]]>", "]]]]><![CDATA[>")
    return f"<![CDATA[{text}]]>".replace("\r", "]]>&#xD;<![CDATA[")
