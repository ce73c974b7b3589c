"""Read what an HTML page says: its title, and its first paragraph.

Front ends that stand before the service answer in HTML. A page is looked at in one pass and up to a length:
every search goes on where the last one ended, and ends the pass where it finds nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MAX_PAGE_BYTES: Final = 65_536
"""Bytes of a page that are looked at: front ends send a few hundred."""
_LONGEST_NAME: Final = 16
"""Characters of an element's name that are looked at; those that matter here are shorter."""
_UNSEEN: Final = frozenset({"script", "style", "noscript", "template"})
"""Elements whose content nobody reads."""
_ENTITIES: Final = (
    ("&nbsp;", " "),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", '"'),
    ("&#39;", "'"),
    ("&apos;", "'"),
    ("&amp;", "&"),
)


def words_of_page(body: bytes) -> str:
    """Give what a page says.

    Args:
        body: the page, in UTF-8 or ASCII; other bytes are shown as such.

    Returns:
        Its title and its first paragraph; without a paragraph all of its text. Empty where it says nothing.
    """
    page = body[:MAX_PAGE_BYTES].decode("utf-8-sig", "replace")
    if len(body) > MAX_PAGE_BYTES:
        page = page.rpartition("<")[0]  # the end of what was cut may be half a key, which nobody recognises
    title, paragraph, text = _parts_of(page)
    said = paragraph or text.removeprefix(title).strip()
    if not title or not said or said.startswith(title):
        return said or title
    return f"{title.rstrip('.:')}: {said}"


def _parts_of(page: str) -> tuple[str, str, str]:
    """Give the title, the first paragraph that says something, and all text but the title."""
    titles: list[str] = []
    paragraphs: list[list[str]] = [[]]
    texts: list[str] = []
    lower = page.lower() if len(page.lower()) == len(page) else page
    where, at = "", 0
    while at < len(page):
        opening = page.find("<", at)
        text = page[at:] if opening < 0 else page[at:opening]
        if where == "title":
            titles.append(text)
        else:
            texts.append(text)
            if where == "p":
                paragraphs[-1].append(text)
        if opening < 0:
            break
        name, at = _tag(page, lower, opening)
        if name in {"title", "p"}:
            where = name
        elif name in {"/title", "/p", "body"}:
            where = ""
        if name in {"p", "/p"}:
            paragraphs.append([])
    first = next(filter(None, map(_shown, paragraphs)), "")
    return _shown(titles), first, _shown(texts)


def _tag(page: str, lower: str, opening: int) -> tuple[str, int]:
    """Give the name of a tag, with its slash, and where what follows it begins."""
    if page.startswith("<!--", opening):
        return "", _behind(page, "-->", opening)
    end = opening + 1 + page.startswith("/", opening + 1)
    while end - opening < _LONGEST_NAME and end < len(page) and page[end].isalnum():
        end += 1
    name = lower[opening + 1 : end]
    after = _behind(page, ">", end)
    if name in _UNSEEN:
        after = _behind(lower, f"</{name}", after)
        after = _behind(page, ">", after)
    return name, after


def _behind(text: str, sought: str, start: int) -> int:
    """Find where something ends; the end of all text where it is missing."""
    place = text.find(sought, start)
    return len(text) if place < 0 else place + len(sought)


def _shown(pieces: list[str]) -> str:
    """Join pieces of a text as a browser would show them."""
    text = " ".join(" ".join(pieces).split())
    for written, meant in _ENTITIES:
        text = text.replace(written, meant)
    return " ".join(text.split())
