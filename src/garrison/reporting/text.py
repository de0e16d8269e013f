"""Text from hostile sources, made safe to show."""

from collections.abc import Iterable


def printable(text: str) -> str:
    """The text with everything that a terminal or an editor would not show as it is written out as an escape.

    That takes in control characters and so terminal sequences (`\\x1b[2J`), line breaks, bidirectional overrides and
    other invisible format characters, lone surrogates, and code points that mean nothing (Unicode categories C and Z
    but for the space).
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def without_commands(line: str) -> str:
    """The line, in which a build server that reads what its jobs print finds no command.

    GitHub's takes a line that begins with `::` for one, after any blanks, and `##[` wherever it stands, as Azure's
    does `##vso[`, and TeamCity's `##teamcity[`.
    """
    if "##" in line:
        import re

        line = re.sub(r"##(?=\w*\[)", r"#\\x23", line)
    plain = line.lstrip()
    return f"{line[: len(line) - len(plain)]}\\x3a{plain[1:]}" if plain.startswith("::") else line


def _escape(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    return f"\\x{ord(char):02x}" if ord(char) < 0x80 else char.encode("ascii", "backslashreplace").decode()


_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def cells(text: str) -> int:
    """How many columns of a terminal the printable text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    width = {"W": 2, "F": 2}
    return sum(0 if unicodedata.combining(char) else width.get(unicodedata.east_asian_width(char), 1) for char in text)


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns; a word that is longer, such as a path to copy, stays whole."""
    lines: list[str] = []
    line = ""
    length = 0
    for word in text.split():
        size = cells(word)
        if line and length + 1 + size > width:
            lines.append(line)
            line, length = "", 0
        line, length = (f"{line} {word}", length + 1 + size) if line else (word, size)
    return [*lines, line] if line else lines


def shortened(text: str, limit: int) -> str:
    """The text cut at `limit` characters, with a mark where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def counted(count: int, noun: str) -> str:
    """`1 finding`, `2 findings`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Iterable[str], limit: int) -> str:
    """The first names, and how many more there are."""
    every = list(names)
    more = len(every) - limit
    return ", ".join(every[:limit]) + (f" … and {more} more" if more > 0 else "")
