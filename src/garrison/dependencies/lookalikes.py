"""Names that look like the name of a far more popular package: one slip of a finger or of an eye away.

Only names that are not popular themselves can look like another. How popular the other must be depends on the slip and
on the length: two letters that changed places are hardly ever a name of its own, while a short name with one other
letter often is.
"""

import bisect
import functools
import os
import unicodedata
from collections.abc import Iterator

import msgspec

from garrison.core.findings import Severity
from garrison.dependencies.purl import normalise_name

_KNOWLEDGE = os.path.join(os.path.dirname(__file__), "knowledge")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"
_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_LOOKS = frozenset(map(frozenset, ("0o", "1l", "1i", "il", "5s", "3e", "4a", "7t", "8b", "9g", "2z", "6b")))
_PYTHON = frozenset({"python", "python2", "python3", "py", "py2", "py3"})
_LONG, _MIDDLE, _SHORT = 9, 6, 5
_LONGEST = 120
_MEANT = 500
"""The rank that names have at least which people mean more often than they download them."""
_ANY = 1 << 20
_NPM_MOST, _NPM_STRICTER = 6000, 6
"""npm has more and shorter names, many each other's neighbours, and fewer of its popular ones are known here."""
_RANKS: dict[str, tuple[int, int, int]] = {
    "swapped letters": (_ANY, _ANY, _ANY),
    "a doubled letter": (_ANY, _ANY, _ANY),
    "a character that looks like another": (_ANY, _ANY, _ANY),
    "a missing letter": (3000, 1500, 200),
    "an added letter": (3000, 1500, 200),
    "a neighbour on the keyboard": (3000, 1500, 200),
    "another letter": (2000, 700, 0),
    "another separator": (2000, 2000, 0),
    "a digit": (1000, 1000, 0),
    "its parts in another order": (3000, 3000, 3000),
    "python added to the name": (600, 600, 600),
}
"""By slip: the rank that the other name must have at least, where it is long, of middle length, or short."""


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names that are known to be mistaken for others."""

    ecosystem: str
    names: tuple[str, ...]
    severity: Severity
    meant: str
    reason: str
    source: str


class _Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    known: tuple[Known, ...]
    neighbours: dict[str, str]
    """Names that are close to a popular one and no less honest, with what they are."""
    meant: dict[str, tuple[str, ...]]
    """By ecosystem: names that people mean more often than their downloads tell, if an index has them at all."""


class _Popular(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    origin: str
    date: str
    names: tuple[str, ...]


class _Confusable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str
    letters: dict[str, str]


class Likeness(msgspec.Struct, frozen=True):
    other: str
    """The popular name."""
    slip: str
    """What sets the two apart."""
    confusable: bool = False
    """Whether letters of another alphabet do, which nobody types by mistake."""


@functools.cache
def _names() -> _Names:
    with open(os.path.join(_KNOWLEDGE, "names.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=_Names)


@functools.cache
def _confusable() -> dict[int, str]:
    with open(os.path.join(_KNOWLEDGE, "confusable_letters.json"), "rb") as file:
        return str.maketrans(msgspec.json.decode(file.read(), type=_Confusable).letters)


@functools.cache
def _popular(ecosystem: str) -> tuple[dict[str, int], str]:
    """The ranks of the popular names, and what list that is."""
    file_name = {"pypi": "popular_pypi.json", "npm": "popular_npm.json"}[ecosystem]
    with open(os.path.join(_KNOWLEDGE, file_name), "rb") as file:
        known = msgspec.json.decode(file.read(), type=_Popular)
    names = " ".join(known.names).split()
    label = {"pypi": "PyPI", "npm": "npm"}[ecosystem]
    ranks = {name: rank for rank, name in enumerate(names, 1)}
    for name in _names().meant.get(ecosystem, ()):
        ranks[name] = min(ranks.get(name, _MEANT), _MEANT)
    return ranks, f"{len(names)} popular names of {label}, {known.date}"


@functools.cache
def _sorted(ecosystem: str) -> tuple[list[str], list[str]]:
    """The popular names in alphabetical order, forwards and backwards."""
    ranks, _ = _popular(ecosystem)
    return sorted(ranks), sorted(name[::-1] for name in ranks)


def _shared(name: str, names: list[str]) -> int:
    """How many letters at its beginning the name has in common with some of the sorted names."""
    at = bisect.bisect_left(names, name)
    return max((_common(name, other) for other in names[max(at - 1, 0) : at + 1]), default=0)


def _common(left: str, right: str) -> int:
    for at, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return at
    return min(len(left), len(right))


JUDGED = ("pypi", "npm")
"""Ecosystems whose popular names are known."""


def data(ecosystem: str) -> str:
    """What names of this ecosystem are held against, and of when that is."""
    return _popular(ecosystem)[1]


@functools.cache
def _known() -> dict[tuple[str, str], Known]:
    return {(one.ecosystem, name): one for one in _names().known for name in one.names}


def known(ecosystem: str, name: str) -> Known | None:
    """What is known of a name that is taken for another; `None` for most."""
    return _known().get((ecosystem, normalise_name(ecosystem, name)))


@functools.lru_cache(maxsize=16384)
def likeness(ecosystem: str, name: str) -> Likeness | None:
    """The popular name that this one looks like; `None` where it is popular itself or like no other."""
    ranks, _ = _popular(ecosystem)
    plain = normalise_name(ecosystem, name).lower()
    if plain in ranks or plain in _names().neighbours:
        return None
    if not plain.isascii():
        latin = _latin(plain)
        return Likeness(latin, "letters of another alphabet", confusable=True) if latin in ranks else None
    if plain.startswith("@") or len(plain) > _LONGEST:
        return None
    found = [(ranks[other], other, slip) for other, slip in _others(ecosystem, plain, ranks)]
    near = [one for one in found if one[0] <= _rank(ecosystem, one[2], len(one[1]))]
    if not near:
        return None
    _, other, slip = min(near)
    return Likeness(other, slip)


def _latin(name: str) -> str:
    """The name as it looks."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return normalise_name("pypi", plain.translate(_confusable()))


def _rank(ecosystem: str, slip: str, length: int) -> int:
    """The rank that the other name must have for this slip to count."""
    long, middle, short = _RANKS[slip]
    if length < _SHORT:
        rank = 1000 if length == _SHORT - 1 and slip == "swapped letters" else 0
    else:
        rank = long if length >= _LONG else middle if length >= _MIDDLE else short
    if ecosystem == "npm":
        return 0 if slip == "its parts in another order" else min(rank, _NPM_MOST) // _NPM_STRICTER
    return rank


def _others(ecosystem: str, name: str, ranks: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Popular names one slip away, with the slip.

    Before the slip some popular name begins like this one, and behind it one ends so: few places are left to try.
    """
    forwards, backwards = _sorted(ecosystem)
    last = _shared(name, forwards)
    first = max(len(name) - _shared(name[::-1], backwards) - 2, 0)
    places = range(first, min(last, len(name)) + 1)
    yield from _without_a_letter(name, ranks, places)
    yield from _with_a_letter(name, ranks, places)
    yield from _with_another_letter(name, ranks, places)
    for index in places:
        other = name[:index] + name[index + 1 : index + 2] + name[index : index + 1] + name[index + 2 :]
        if other in ranks:
            yield other, "swapped letters"
    yield from _other_parts(ecosystem, name)


def _without_a_letter(name: str, ranks: dict[str, int], places: range) -> Iterator[tuple[str, str]]:
    for index in places:
        letter = name[index : index + 1]
        other = name[:index] + name[index + 1 :]
        if letter and other in ranks:
            doubled = letter in (name[index - 1 : index], name[index + 1 : index + 2])
            if not letter.isdigit():
                yield other, _kind(letter, "a doubled letter" if doubled else "an added letter")
            elif index < len(name) - 1:
                yield other, "a digit"


def _with_a_letter(name: str, ranks: dict[str, int], places: range) -> Iterator[tuple[str, str]]:
    for index in places:
        before, after = name[:index], name[index:]
        for letter in _LETTERS:
            if (other := before + letter + after) in ranks:
                doubled = letter in (before[-1:], after[:1])
                if not letter.isdigit():
                    yield other, _kind(letter, "a doubled letter" if doubled else "a missing letter")
                elif after:
                    yield other, "a digit"


def _with_another_letter(name: str, ranks: dict[str, int], places: range) -> Iterator[tuple[str, str]]:
    for index in places:
        before, written, after = name[:index], name[index : index + 1], name[index + 1 :]
        for letter in _LETTERS if written else "":
            if (other := before + letter + after) in ranks and letter != written:
                pair = frozenset((letter, written))
                if letter.isdigit() and written.isdigit():
                    # At the end of a name it is a version: `name2` and `name3` are both somebody's.
                    if after:
                        yield other, "a digit"
                    continue
                if pair in _LOOKS:
                    yield other, "a character that looks like another"
                elif pair <= _neighbours(letter):
                    yield other, "a neighbour on the keyboard"
                elif letter.isdigit() or written.isdigit():
                    yield other, "a digit"
                else:
                    yield other, "another separator" if "-" in pair else "another letter"


def _kind(letter: str, slip: str) -> str:
    return "another separator" if letter == "-" else slip


@functools.cache
def _neighbours(letter: str) -> frozenset[str]:
    """The keys around a key, and the key itself."""
    for number, row in enumerate(_ROWS):
        at = row.find(letter)
        if at >= 0:
            above = _ROWS[number - 1][at : at + 2] if number else ""
            below = _ROWS[number + 1][max(at - 1, 0) : at + 1] if number + 1 < len(_ROWS) else ""
            return frozenset(row[max(at - 1, 0) : at + 2] + above + below)
    return frozenset()


def _other_parts(ecosystem: str, name: str) -> Iterator[tuple[str, str]]:
    parts = name.split("-")
    if len(parts) == 1:
        return
    other = _ordered(ecosystem).get(tuple(sorted(parts)))
    if other is not None:
        yield other, "its parts in another order"
    if ecosystem == "pypi" and len(parts) == 2:
        for prefix, rest in (parts, parts[::-1]):
            if prefix in _PYTHON and rest in _popular(ecosystem)[0]:
                yield rest, "python added to the name"


@functools.cache
def _ordered(ecosystem: str) -> dict[tuple[str, ...], str]:
    """Popular names of several parts by their parts in alphabetical order; the most popular where several have them."""
    ranks, _ = _popular(ecosystem)
    names = [name for name in reversed(ranks) if "-" in name]
    return {tuple(sorted(name.split("-"))): name for name in names}
