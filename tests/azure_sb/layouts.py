"""The layouts of Windows' tiles and toasts for which azure-sb has methods, five for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# How many images and texts each has.
_BY_CONTENT = {
    (0, 1): "TileSquareText04 TileWideText03 TileWideText04 ToastText01",
    (0, 2): "TileSquareBlock TileSquareText02 TileWideText09 ToastText02 ToastText03",
    (0, 3): "TileWideBlockAndText02 ToastText04",
    (0, 4): "TileSquareText01 TileSquareText03",
    (0, 5): "TileWideText01 TileWideText05",
    (0, 6): "TileWideBlockAndText01",
    (0, 9): "TileWideText02 TileWideText07 TileWideText10",
    (0, 10): "TileWideText06 TileWideText08 TileWideText11",
    (1, 0): "TileSquareImage TileWideImage",
    (1, 1): "TileSquarePeekImageAndText04 TileWideImageAndText01 TileWideSmallImageAndText01 "
    "TileWideSmallImageAndText03 TileWidePeekImageAndText01 TileWidePeekImage03 TileWidePeekImage04 "
    "ToastImageAndText01",
    (1, 2): "TileSquarePeekImageAndText02 TileWideImageAndText02 TileWideSmallImageAndText04 "
    "TileWideSmallImageAndText05 TileWidePeekImage01 ToastImageAndText02 ToastImageAndText03",
    (1, 3): "ToastImageAndText04",
    (1, 4): "TileSquarePeekImageAndText01 TileSquarePeekImageAndText03",
    (1, 5): "TileWideSmallImageAndText02 TileWidePeekImageAndText02 TileWidePeekImage02",
    (2, 1): "TileWidePeekImage06",
    (2, 2): "TileWidePeekImage05",
    (5, 0): "TileWideImageCollection",
    (5, 1): "TileWidePeekImageCollection03 TileWidePeekImageCollection04",
    (5, 2): "TileWidePeekImageCollection01",
    (5, 5): "TileWidePeekImageCollection02",
    (6, 1): "TileWidePeekImageCollection06",
    (6, 2): "TileWidePeekImageCollection05",
}


@dataclass(frozen=True)
class Layout:
    """One layout.

    Attributes:
        name: in its methods' names.
        images: how many pictures it has, each with a text for those who cannot see it.
        texts: how many texts.
    """

    name: str
    images: int
    texts: int

    @property
    def wns_type(self) -> str:
        """The notification's type."""
        return "wns/tile" if self.name.startswith("Tile") else "wns/toast"

    def content(self, *, filled_in: bool = True) -> Sequence[str]:
        """What fills it: expressions, which are whole values as the service wants them, or plain text."""
        begin, end = ("{$(m) + '", "'}") if filled_in else ("n", "")
        pictures = [f"-{kind}-{place}" for place in range(self.images) for kind in ("src", "alt")]
        texts = [f" {place} & é" for place in range(self.texts)]
        return [f"{begin}{each}{end}" for each in (*pictures, *texts)]


LAYOUTS = [
    Layout(name, images, texts) for (images, texts), names in _BY_CONTENT.items() for name in names.split()
]
