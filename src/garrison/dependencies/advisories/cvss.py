"""Base scores of CVSS vectors, versions 2, 3.0, 3.1 and 4.0.

Threat and environmental metrics are left out: how likely an exploit is changes by the day, and EPSS and KEV say it.
Numbers are exact fractions, so that rounding goes as the specifications mean it on any machine.

Sources: "A Complete Guide to the Common Vulnerability Scoring System 2.0", section 3.2.1; "CVSS v3.1: Specification
Document", section 7.1; "CVSS v4.0: Specification Document", section 8, as FIRST's calculator (BSD-2-Clause) carries it
out; `cvss_tables.json` says of its tables where they are from.
"""

import functools
import itertools
import math
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction

import msgspec

_V2 = {
    "AV": {"L": "0.395", "A": "0.646", "N": "1"},
    "AC": {"H": "0.35", "M": "0.61", "L": "0.71"},
    "Au": {"M": "0.45", "S": "0.56", "N": "0.704"},
    "C": {"N": "0", "P": "0.275", "C": "0.660"},
    "I": {"N": "0", "P": "0.275", "C": "0.660"},
    "A": {"N": "0", "P": "0.275", "C": "0.660"},
}
_V3 = {
    "AV": {"N": "0.85", "A": "0.62", "L": "0.55", "P": "0.2"},
    "AC": {"L": "0.77", "H": "0.44"},
    "PR": {"N": "0.85", "L": "0.62", "H": "0.27"},
    "UI": {"N": "0.85", "R": "0.62"},
    "S": {"U": "0", "C": "1"},
    "C": {"H": "0.56", "L": "0.22", "N": "0"},
    "I": {"H": "0.56", "L": "0.22", "N": "0"},
    "A": {"H": "0.56", "L": "0.22", "N": "0"},
}
_V3_CHANGED_PRIVILEGES = {"N": "0.85", "L": "0.68", "H": "0.5"}
_V4 = {
    "AV": "NALP",
    "PR": "NLH",
    "UI": "NPA",
    "AC": "LH",
    "AT": "NP",
    "VC": "HLN",
    "VI": "HLN",
    "VA": "HLN",
    "SC": "HLN",
    "SI": "SHLN",
    "SA": "SHLN",
    "CR": "HML",
    "IR": "HML",
    "AR": "HML",
}
"""The levels of each metric, the worst first. `S` is no level of the base metrics, but of vectors beside them."""
_V4_GIVEN = tuple(_V4)[:11]
_V4_GROUPS = {
    "eq1": ("AV", "PR", "UI"),
    "eq2": ("AC", "AT"),
    "eq3eq6": ("VC", "VI", "VA", "CR", "IR", "AR"),
    "eq4": ("SC", "SI", "SA"),
}


class _Tables(msgspec.Struct, frozen=True):
    scores: dict[str, str]
    highest: dict[str, dict[str, tuple[str, ...]]]
    depths: dict[str, dict[str, int]]


@functools.cache
def _tables() -> _Tables:
    with open(os.path.join(os.path.dirname(__file__), "cvss_tables.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=_Tables)


@functools.cache
def _scores() -> dict[str, Fraction]:
    """Of the macrovectors, whose digits are the levels of EQ1 to EQ6."""
    return {vector: Fraction(score) for score, vectors in _tables().scores.items() for vector in vectors.split()}


def highest(vectors: Iterable[str]) -> float | None:
    """The highest base score among vectors; `None` where none of them has one."""
    return max((score for vector in vectors if (score := base_score(vector)) is not None), default=None)


def rating(score: float) -> str:
    """The word for a score, by the scale that CVSS 3 and 4 share."""
    for least, word in ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low")):
        if score >= least:
            return word
    return "none"


@functools.lru_cache(maxsize=10_000)
def base_score(vector: str) -> float | None:
    """The base score, 0 to 10; `None` for what is no vector with all base metrics."""
    prefix, _, rest = vector.partition("/")
    try:
        if prefix in ("CVSS:3.0", "CVSS:3.1"):
            return _score_3(_metrics(rest, _V3))
        if prefix == "CVSS:4.0":
            return _score_4(_metrics(rest, {name: _V4[name] for name in _V4_GIVEN}))
        return None if prefix.startswith("CVSS:") else _score_2(_metrics(vector.strip("()"), _V2))
    except _NoVector:
        return None


class _NoVector(ValueError):
    pass


def _metrics(text: str, known: "dict[str, dict[str, str]] | dict[str, str]") -> dict[str, str]:
    """The base metrics of a vector, each there once and with a value, of one letter, that it can have."""
    found: dict[str, str] = {}
    for part in text.split("/"):
        name, _, value = part.partition(":")
        if name in found or (name in known and (value not in known[name] or len(value) != 1)):
            raise _NoVector(text)
        if name in known:
            found[name] = value
    if len(found) != len(known) or "S" in (found.get("SI"), found.get("SA")):
        raise _NoVector(text)
    return found


def _score_2(metrics: dict[str, str]) -> float:
    value = {name: Fraction(_V2[name][level]) for name, level in metrics.items()}
    impact = Fraction("10.41") * (1 - (1 - value["C"]) * (1 - value["I"]) * (1 - value["A"]))
    exploitability = 20 * value["AV"] * value["AC"] * value["Au"]
    factor = Fraction("1.176") if impact else 0
    return _nearest((Fraction("0.6") * impact + Fraction("0.4") * exploitability - Fraction("1.5")) * factor)


def _score_3(metrics: dict[str, str]) -> float:
    value = {name: Fraction(_V3[name][level]) for name, level in metrics.items()}
    changed = metrics["S"] == "C"
    if changed:
        value["PR"] = Fraction(_V3_CHANGED_PRIVILEGES[metrics["PR"]])
    base = 1 - (1 - value["C"]) * (1 - value["I"]) * (1 - value["A"])
    impact = Fraction("6.42") * base
    if changed:
        impact = Fraction("7.52") * (base - Fraction("0.029")) - Fraction("3.25") * (base - Fraction("0.02")) ** 15
    if impact <= 0:
        return 0.0
    exploitability = Fraction("8.22") * value["AV"] * value["AC"] * value["PR"] * value["UI"]
    total = (impact + exploitability) * (Fraction("1.08") if changed else 1)
    # Rounded up to one decimal, except what exceeds it by less than five digits tell.
    hundred_thousandths = math.floor(min(total, Fraction(10)) * 100_000 + Fraction(1, 2))
    return -(-hundred_thousandths // 10_000) / 10


def _score_4(metrics: dict[str, str]) -> float:
    metrics = {**metrics, "CR": "H", "IR": "H", "AR": "H"}
    if all(metrics[name] == "N" for name in ("VC", "VI", "VA", "SC", "SI", "SA")):
        return 0.0
    levels = _levels(metrics)
    scores = _scores()
    macro = "".join(map(str, levels))
    distances = _distances(metrics, levels)
    proportions = []
    for group, lower in _lower(levels):
        found = [scores[key] for key in lower if key in scores]
        if found:
            # The threat metrics, EQ5, are at their highest, so that there is no distance from it.
            proportions.append((scores[macro] - max(found)) * distances.get(group, Fraction(0)))
    mean = sum(proportions, Fraction(0)) / len(proportions) if proportions else Fraction(0)
    return _nearest(scores[macro] - mean)


def _levels(m: dict[str, str]) -> tuple[int, ...]:
    """EQ1 to EQ6, as tables 24 to 29 define them."""
    easy = [m["AV"] == "N", m["PR"] == "N", m["UI"] == "N"]
    eq1 = 0 if all(easy) else 1 if any(easy) and m["AV"] != "P" else 2
    eq2 = 0 if m["AC"] == "L" and m["AT"] == "N" else 1
    high = [m["VC"] == "H", m["VI"] == "H", m["VA"] == "H"]
    eq3 = 0 if high[0] and high[1] else 1 if any(high) else 2
    eq4 = 1 if "H" in (m["SC"], m["SI"], m["SA"]) else 2
    return eq1, eq2, eq3, eq4, 0, 0 if any(high) else 1


def _lower(levels: tuple[int, ...]) -> Iterator[tuple[str, list[str]]]:
    """The macrovectors next below in each group of metrics."""

    def moved(*places: int) -> str:
        return "".join(str(level + (place in places)) for place, level in enumerate(levels))

    yield "eq1", [moved(0)]
    yield "eq2", [moved(1)]
    eq3, eq6 = levels[2], levels[5]
    # EQ3 and EQ6 go together: from 00 two ways lead down, and from 10 the only one goes through EQ6.
    yield "eq3eq6", [moved(5), moved(2)] if (eq3, eq6) == (0, 0) else [moved(5)] if eq6 == 0 else [moved(2)]
    yield "eq4", [moved(3)]
    yield "eq5", [moved(4)]


def _distances(metrics: dict[str, str], levels: tuple[int, ...]) -> dict[str, Fraction]:
    """How far below the highest vector of its macrovector it is, in parts of the macrovector's depth."""
    eq1, eq2, eq3, eq4, _, eq6 = map(str, levels)
    keys = {"eq1": eq1, "eq2": eq2, "eq3eq6": eq3 + eq6, "eq4": eq4}
    tables = _tables()
    for vectors in itertools.product(*(tables.highest[group][key] for group, key in keys.items())):
        top = dict(part.split(":") for vector in vectors for part in vector.split("/"))
        steps = {name: _V4[name].index(metrics[name]) - _V4[name].index(top[name]) for name in _V4}
        if min(steps.values()) >= 0:
            break
    return {
        group: Fraction(sum(steps[name] for name in names), tables.depths[group][keys[group]])
        for group, names in _V4_GROUPS.items()
    }


def _nearest(value: Fraction) -> float:
    """Rounded to one decimal, halves up."""
    return math.floor(max(Fraction(0), min(Fraction(10), value)) * 10 + Fraction(1, 2)) / 10
