"""Writes characters that only look different as the ASCII that they stand for."""

import functools
import unicodedata

_LOOKED_AT = (*range(0x80, 0x20000), *range(0xE0000, 0xE0080))
"""All others are ideographs, private or of no meaning."""
_FULL_WIDTH = range(0xFF01, 0xFF5F)


def folded(text: str) -> str:
    """The text with digits of other scripts, full-width letters, dashes and spaces as in ASCII, and without characters
    that are not seen (Unicode category Cf). It is no longer than before, and time is linear."""
    return text if text.isascii() else text.translate(_table())


@functools.cache
def _table() -> dict[int, str | None]:
    found: dict[int, str | None] = {code: chr(code - 0xFEE0) for code in _FULL_WIDTH}
    for code in _LOOKED_AT:
        letter = chr(code)
        if letter.isprintable() and not letter.isdecimal():
            continue  # most of them
        category = unicodedata.category(letter)
        if category == "Cf":
            found[code] = None
        elif category == "Nd":
            found[code] = str(unicodedata.decimal(letter))
        elif category == "Zs":
            found[code] = " "
    for letter in _DASHES:
        found[ord(letter)] = "-"
    return found


_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63")
"""Dashes, and the sign of minus."""
