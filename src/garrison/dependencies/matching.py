"""Whether an advisory holds for a version, and which version clears what is known of a package.

Source: the OSV schema, "Evaluation": versions that are listed are affected, and so are those between the events of a
range. Where a bound is no version, the answer may be that nobody can tell, and that is said.
"""

import enum
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from garrison.dependencies.advisories.advisory import Affected, Range
from garrison.dependencies.versions import InvalidVersion, Scheme


class Outcome(enum.Enum):
    AFFECTED = "affected"
    UNAFFECTED = "unaffected"
    UNDETERMINED = "undetermined"


class Upgrade(msgspec.Struct, frozen=True, kw_only=True):
    version: str = ""
    """The least version that clears the most; empty where none clears any."""
    left: tuple[str, ...] = ()
    """Ids of the advisories that hold for that version too, or for every version that they name."""


_Key = Any


class _Range(NamedTuple):
    """A range, ready to be asked."""

    test: Callable[[_Key, _Key], Outcome] | None
    """Asked with the keys of a version without and with its local label; `None` where versions have no known order."""
    unclear: str
    """Why it may not decide."""


class Known:
    """What the advisories say of one package, ready to be held against many of its versions."""

    def __init__(self, order: Scheme | None, entries: Iterable[Affected]) -> None:
        self._order = order
        self.entries = tuple(entries)
        self._ranges = [self._tests(entry) for entry in self.entries]
        # Advisories about one package often share their list.
        sets: dict[int, frozenset[str]] = {}
        self._listed = [sets.setdefault(id(entry.versions), frozenset(entry.versions)) for entry in self.entries]

    def outcomes(self, version: str) -> list[tuple[Affected, Outcome, str]]:
        """Each entry with whether it holds, and why that cannot be told."""
        keys = self._keys(version)
        return [(self.entries[number], *self._outcome(number, version, keys)) for number in range(len(self.entries))]

    def holding(self, version: str) -> list[str]:
        """Ids of the entries that hold for a version."""
        keys = self._keys(version)
        return [
            entry.id
            for number, entry in enumerate(self.entries)
            if self._outcome(number, version, keys)[0] is Outcome.AFFECTED
        ]

    def upgrade(self, version: str, affected: Sequence[str], more: Iterable[str] = ()) -> Upgrade:
        """The least later version that clears all that hold for `version`, and has nothing of its own.

        Candidates are the versions that the advisories call fixed, and `more`. Where none clears all, the one that
        clears the most, if it brings nothing new.
        """
        candidates = self._candidates(version, more)
        # What condemned one candidate most likely condemns the next.
        numbers = list(range(len(self.entries)))
        for candidate in candidates:
            keys = self._keys(candidate)
            for place, number in enumerate(numbers):
                if self._outcome(number, candidate, keys)[0] is Outcome.AFFECTED:
                    numbers[0], numbers[place] = number, numbers[0]
                    break
            else:
                return Upgrade(version=candidate)
        best = Upgrade(left=tuple(affected))
        for candidate in candidates:
            left = self.holding(candidate)
            if len(left) < len(best.left) and set(left) <= set(affected):
                best = Upgrade(version=candidate, left=tuple(left))
        return best

    def fixes(self, version: str, entries: Iterable[Affected]) -> list[str]:
        """The bounds after `version` that the entries call fixed; those of older branches say nothing to its user."""
        found = (bound for entry in entries for one in entry.ranges for kind, bound in one.events if kind == "fixed")
        return self._later(version, found)

    def _candidates(self, version: str, more: Iterable[str]) -> list[str]:
        later = self._later(version, (*self.fixes(version, self.entries), *more))
        order = self._order
        if not later or order is None or order.is_prerelease(version):
            return later
        return [one for one in later if not order.is_prerelease(one)]

    def _later(self, version: str, others: Iterable[str]) -> list[str]:
        """Those that come after `version`, in order, each once; what is no version is left out."""
        keys = self._keys(version)
        if keys is None or self._order is None:
            return []
        found: dict[_Key, str] = {}
        for other in others:
            try:
                key = self._order.key(other)
            except InvalidVersion:
                continue
            if key > keys[0]:
                found.setdefault(key, other)
        return [found[key] for key in sorted(found)]

    def _keys(self, version: str) -> tuple[_Key, _Key] | None:
        if self._order is None:
            return None
        try:
            return self._order.key(self._order.comparable(version)), self._order.key(version)
        except InvalidVersion:
            return None

    def _tests(self, entry: Affected) -> list[_Range]:
        ordered = [one for one in entry.ranges if one.kind in ("ECOSYSTEM", "SEMVER") and one.events]
        if self._order is None:
            return [_Range(None, "the order of its versions is not known here") for _ in ordered]
        return [self._test(one, self._order) for one in ordered]

    def _test(self, one: Range, order: Scheme) -> _Range:
        """The last event before a version decides; an event that cannot be placed may decide otherwise."""
        from_the_first = False
        events: list[tuple[_Key, str, bool]] = []
        limits: list[_Key] = []
        unclear: dict[str, str] = {}
        for kind, bound in one.events:
            if kind == "introduced" and bound == "0":
                from_the_first = True
                continue
            try:
                key = order.key(bound)
            except InvalidVersion:
                unclear["fixed" if kind == "last_affected" else kind] = bound
                continue
            if kind == "limit":
                limits.append(key)
            else:
                events.append((key, kind, order.comparable(bound) != bound))
        events.sort(key=lambda event: event[0])

        def test(key: _Key, full: _Key) -> Outcome:
            holds, closed = from_the_first, False
            for bound, kind, labelled in events:
                mine = full if labelled else key
                if kind == "introduced":
                    if mine >= bound:
                        holds, closed = True, False
                elif mine > bound or (kind == "fixed" and mine == bound):
                    holds, closed = False, True
            if limits and not any(key < limit for limit in limits):
                return Outcome.UNAFFECTED
            if holds:
                return Outcome.UNDETERMINED if "fixed" in unclear else Outcome.AFFECTED
            return Outcome.UNDETERMINED if "introduced" in unclear and not closed else Outcome.UNAFFECTED

        return _Range(test, f"its bound {next(iter(unclear.values()))!r} is no version" if unclear else "")

    def _outcome(self, number: int, version: str, keys: tuple[_Key, _Key] | None) -> tuple[Outcome, str]:
        entry, ranges = self.entries[number], self._ranges[number]
        if version in self._listed[number]:
            return Outcome.AFFECTED, ""
        if keys is None and self._order is not None and ranges:
            return Outcome.UNDETERMINED, f"{version!r} cannot be compared with its bounds"
        unclear = ""
        for one in ranges:
            outcome = Outcome.UNDETERMINED if keys is None or one.test is None else one.test(*keys)
            if outcome is Outcome.AFFECTED:
                return outcome, ""
            if outcome is Outcome.UNDETERMINED:
                unclear = one.unclear
        if entry.versions and (unclear or not ranges):
            # The list is then all that there is to go by.
            return (Outcome.AFFECTED if self._in_list(entry, keys) else Outcome.UNAFFECTED), ""
        if not ranges:
            return Outcome.UNDETERMINED, "it names commits or nothing, and no versions"
        return (Outcome.UNDETERMINED, unclear) if unclear else (Outcome.UNAFFECTED, "")

    def _in_list(self, entry: Affected, keys: tuple[_Key, _Key] | None) -> bool:
        if keys is None or self._order is None:
            return False
        for listed in entry.versions:
            try:
                if self._order.key(listed) in keys:
                    return True
            except InvalidVersion:
                continue
        return False


def every_version(entry: Affected) -> bool:
    """Whether the advisory holds for whatever version somebody installs."""
    return any(
        {kind for kind, _ in one.events} == {"introduced"} and ("introduced", "0") in one.events for one in entry.ranges
    )
