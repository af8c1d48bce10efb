"""Names of songs, in any script, as text of a picture."""

import functools
import unicodedata
from typing import NamedTuple

MOST_COLUMNS = 120  # of a title; most letters take one, Chinese and Japanese ones two
UNKNOWN = "?"  # for what no font here has
BOXES = ("Last Resort", "Emoji")  # fonts that have a box, or a bitmap, for everything


class Lettering(NamedTuple):
    """Text that can be drawn, and the arguments for matplotlib's functions that draw it."""

    text: str
    style: dict[str, object]


def lettering(name: str) -> Lettering:
    r"""A name as one line of text, without missing glyphs and without mathematics.

    Args:
        name: Any string, as of a file.

    Returns:
        The text, cut where it is too long, with ``?`` for characters that no installed font has;
        the keywords name a font for every other.

    Example:
        >>> lettering("A$AP\tsong").text
        'A$AP song'
    """
    text = _cut("".join(_plain(c) for c in name))
    fonts, missing = [], {c for c in text if not c.isspace()} - _letters(_usual())
    while missing:
        family, path = max(_installed(), key=lambda font: len(missing & _letters(font[1])))
        if not missing & _letters(path):
            break
        fonts.append(family)
        missing -= _letters(path)
    text = "".join(UNKNOWN if c in missing else c for c in text)
    style: dict[str, object] = {"parse_math": False}
    if fonts:
        from matplotlib import rcParams

        style["fontfamily"] = [*rcParams["font.family"], *fonts]
    return Lettering(text, style)


def _plain(character: str) -> str:
    """A character without those that move others or are half of one."""
    kind = unicodedata.category(character)
    return " " if kind in ("Cc", "Zl", "Zp") else UNKNOWN if kind == "Cs" else character


def _cut(text: str) -> str:
    width = 0
    for n, character in enumerate(text):
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width > MOST_COLUMNS:
            return text[:n] + "…"
    return text


def _usual() -> str:
    """Path of the font that is used without further words."""
    from matplotlib.font_manager import FontProperties, findfont

    return findfont(FontProperties())


def _installed() -> list[tuple[str, str]]:
    """Families and paths of upright fonts of normal weight."""
    from matplotlib.font_manager import fontManager

    return [
        (font.name, font.fname)
        for font in fontManager.ttflist
        if font.style == "normal"
        and font.weight in (400, "normal", "regular")
        and not any(name in font.name for name in BOXES)
    ]


@functools.cache
def _letters(path: str) -> frozenset[str]:
    """Characters that a font has."""
    from matplotlib.font_manager import get_font

    try:
        return frozenset(map(chr, get_font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):  # no font that matplotlib draws
        return frozenset()
