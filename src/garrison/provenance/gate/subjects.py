"""Whether statements are about the model: it is read once, for all the ways of hashing that they ask for."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from garrison.core.gate_decision import DecidedOn
from garrison.provenance import subjects
from garrison.provenance.gate.candidates import Candidate
from garrison.provenance.hashing import DEFAULT_SERIALIZATION, Manifest, Serialization, compare, digest
from garrison.provenance.signing import SIGNATURE_NAME
from garrison.provenance.statements import Subject
from garrison.provenance.trust import Refused

_WAYS = 16
"""Most ways of hashing: each costs a pass of a hash function over the model."""
_NAMES = 3


class Model:
    """A model that statements are held against."""

    def __init__(self, path: str, ignored: Sequence[str] = (), **reading: Any) -> None:
        """`ignored` are paths in it that its signature may leave out; `reading` goes to `hashing.digest`."""
        self._path = path
        self._directory = os.path.isdir(path)
        self._omissible = {*DEFAULT_SERIALIZATION.ignored, SIGNATURE_NAME, *ignored}
        self._reading = reading
        self._own = (subjects.DIRECTORY,) if self._directory else subjects.FILES
        self._problem = ""
        self._manifests: dict[Serialization, Manifest] = {}

    def told_apart(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """The candidates; those that are about something else are refused."""
        ways: dict[Serialization, None] = dict.fromkeys(self._own)
        found = [self._asked(one, ways) for one in candidates]
        self._read(list(ways))
        return [one if one.refused else _refused(one, self._difference(one)) for one in found]

    def subject(self) -> DecidedOn | None:
        """The model as the subject of a statement, once it has been read."""
        first, *others = (self._manifests.get(way) for way in self._own)
        if first is None:
            return None
        found = subjects.subject_of(first, *(one for one in others if one is not None))
        return DecidedOn(name=found.name, digest=found.digest, annotations=found.annotations)

    def _asked(self, one: Candidate, ways: dict[Serialization, None]) -> Candidate:
        """Add the ways in which the model must be hashed for a candidate, or refuse it."""
        if one.refused:
            return one
        try:
            if isinstance(one.predicate, Manifest):
                wanted = [self._signed(one.predicate)]
            else:
                wanted = self._wanted(one.subjects)
        except Refused as reason:
            return _refused(one, str(reason))
        if len({*ways, *wanted}) > _WAYS:
            return _refused(one, f"the evidence asks for more than {_WAYS} ways of hashing the model")
        ways.update(dict.fromkeys(wanted))
        return one

    def _wanted(self, about: Sequence[Subject]) -> list[Serialization]:
        wanted = []
        reason = Refused("it is about nothing")
        for subject in about:
            try:
                if ("serialization" in subject.annotations) != self._directory:
                    other = "a single file" if self._directory else "a directory"
                    raise Refused(f"it is about {other}: {subject.name!r}")
                wanted.append(subjects.serialization_of(subject))
            except Refused as refused:
                reason = refused
        if not wanted:
            raise reason
        return wanted

    def _signed(self, manifest: Manifest) -> Serialization:
        """How the model is hashed for its signature: what that leaves out beyond the usual counts as added."""
        said = manifest.serialization
        ignored = {name for name in said.ignored if name in self._omissible} | {SIGNATURE_NAME}
        return msgspec.structs.replace(said, ignored=tuple(sorted(ignored)))

    def _read(self, ways: list[Serialization]) -> None:
        """Hash the model: once, unless it has links that only some of the ways allow."""
        linked = [[way for way in ways if way.follow_symlinks is follow] for follow in (False, True)]
        try:
            self._hash(ways)
        except Refused as reason:
            self._problem = str(reason)
            for part in linked if all(linked) else []:
                with contextlib.suppress(Refused):
                    self._hash(part)

    def _hash(self, ways: list[Serialization]) -> None:
        subjects.check_signature(self._path)
        self._manifests |= dict(zip(ways, digest(self._path, ways, **self._reading), strict=True))

    def _difference(self, one: Candidate) -> str:
        """Why a candidate is about something else; empty if it is about the model."""
        if isinstance(one.predicate, Manifest):
            actual = self._manifests.get(self._signed(one.predicate))
            if actual is None:
                return f"the model cannot be read: {self._problem}"
            found = compare(one.predicate, actual)
            parts = {"missing": found.missing, "added": found.added, "changed": found.changed}
            told = "; ".join(f"{what}: {_listed(names)}" for what, names in parts.items() if names)
            return f"the model is not as it was signed: {told}" if told else ""
        reason = ""
        for subject in one.subjects:
            try:
                subjects.check(subject, self._manifests.values())
            except Refused as refused:
                reason = str(refused)
            else:
                return ""
        return f"the model cannot be read: {self._problem}" if self._problem else reason


def _refused(one: Candidate, reason: str) -> Candidate:
    return msgspec.structs.replace(one, refused=reason)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(map(repr, names[:_NAMES])) + more
