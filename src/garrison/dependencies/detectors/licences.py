"""Judges licences of packages and models against what the policy allows. Without such a policy nothing is judged."""

from collections.abc import Iterator, Sequence

from garrison.core.facts import Artifact, Examination, Package
from garrison.core.findings import Check, Finding
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.dependencies.wording import first_of

_KEYS = ("license_name", "licence_name", "license", "licence", "modelspec.license")
_SYSTEM = frozenset({"deb", "apk", "rpm"})
"""Ecosystems whose databases state no licences."""
_NAMED = 5


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding | Check]:
    """One finding for each package and model under a licence that is not allowed, and one a file for unknown ones."""
    asked = policy.packages
    if not asked.allowed_licences and not asked.denied_licences:
        return
    # Imported where it is asked for: models have licences too.
    from garrison.dependencies import licences

    elsewhere = _elsewhere(examinations)
    checked: set[str] = set()
    every: set[str] = set()
    for examination in examinations:
        unknown: list[str] = []
        for what, key, place, statements in _things(examination, elsewhere):
            expressions = licences.stated(statements)
            if key in every and not expressions:
                continue
            every.add(key)
            if expressions:
                checked.add(key)
                yield from _judge(examination.subject, what, place, expressions, policy)
            else:
                unknown.append(f"{what} ({statements[0][:60]!r})" if statements else what)
        if unknown:
            message = f"no licence that is understood: {first_of(unknown, _NAMED)}"
            yield finding("licence-unknown", examination.subject, "", message)
    if every:
        missing = len(every) - len(checked)
        reason = f"{missing} state none that is understood; scan where they are installed" if missing else ""
        yield Check(name="licences", checked=len(checked), total=len(every), data="the policy", reason=reason)


def _elsewhere(examinations: Sequence[Examination]) -> dict[str, tuple[str, ...]]:
    """What installed packages and archives state, for the same versions in lock files, which do not."""
    return {
        f"{fact.ecosystem} {fact.name} {fact.version}": fact.licences
        for examination in examinations
        for fact in examination.facts
        if type(fact) is Package and fact.licences
    }


def _things(
    examination: Examination, elsewhere: dict[str, tuple[str, ...]]
) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """What has a licence: its name, a key, the place, and what it states."""
    for fact in examination.facts:
        if type(fact) is Package and (fact.licences or fact.ecosystem not in _SYSTEM):
            key = f"{fact.ecosystem} {fact.name} {fact.version}"
            yield f"{fact.name} {fact.version}", key, fact.place, fact.licences or elsewhere.get(key, ())
        elif type(fact) is Artifact:
            said = [str(fact.details[key]) for key in _KEYS if fact.details.get(key)]
            if said:
                yield f"this {fact.format}", examination.subject, fact.place, tuple(said)


def _judge(subject: str, what: str, place: str, expressions: tuple[str, ...], policy: Policy) -> Iterator[Finding]:
    from garrison.dependencies import licences

    allowed, denied = policy.packages.allowed_licences, policy.packages.denied_licences
    good = [one for one in expressions if licences.allowed(one, allowed, denied)]
    if good:
        return
    stated = " or ".join(repr(one) for one in expressions)
    names = [name for one in expressions for choice in licences.choices(one) for name in choice]
    if any(licences.matches(name, denied) for name in names):
        message = f"{what} is under {stated}, which the policy denies"
    else:
        message = f"{what} is under {stated}, which is not among the licences that the policy allows"
    yield finding("licence-denied", subject, place, message)
