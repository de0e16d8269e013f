"""Judges names of packages: those one slip away from a far more popular one, and those that are known for it."""

import fnmatch
import re
from collections.abc import Iterator, Sequence

from garrison.core.facts import AnyFact, Examination, Package, Requirement
from garrison.core.findings import Check, Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy
from garrison.dependencies import lookalikes
from garrison.dependencies.purl import normalise_name

_NAME = re.compile(r"@?[^\s/\\:@]+(?:/[^\s/\\:@]+)?")


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding | Check]:
    """One finding for each doubtful name of a file, and how many names were looked at."""
    names: dict[str, set[str]] = {}
    for examination in examinations:
        seen: set[tuple[str, str]] = set()
        for fact in examination.facts:
            if not _is_judged(fact, policy):
                continue
            assert isinstance(fact, Requirement | Package)
            key = (fact.ecosystem, normalise_name(fact.ecosystem, fact.name))
            if key not in seen:
                seen.add(key)
                names.setdefault(fact.ecosystem, set()).add(key[1])
                yield from _judge(examination.subject, fact)
    for ecosystem, looked_at in sorted(names.items()):
        count = len(looked_at)
        yield Check(name="look-alike names", checked=count, total=count, data=lookalikes.data(ecosystem))


def _is_judged(fact: AnyFact, policy: Policy) -> bool:
    """Whether it is a name that a public index resolves: the team's own and those with an address are not."""
    if not isinstance(fact, Requirement | Package) or fact.ecosystem not in lookalikes.JUDGED:
        return False
    if not _NAME.fullmatch(fact.name) or (fact.source and not fact.source.rstrip("/").endswith("simple")):
        return False
    return not any(fnmatch.fnmatchcase(fact.name.lower(), pattern.lower()) for pattern in policy.packages.private)


def _judge(subject: str, fact: Requirement | Package) -> Iterator[Finding]:
    known = lookalikes.known(fact.ecosystem, fact.name)
    if known is not None:
        message = f"the package {fact.name!r} is known to be mistaken for another. {known.reason}"
        fix = f"Use {known.meant}; see {known.source}"
        yield finding("mistaken-package-name", subject, fact.place, message, severity=known.severity, fix=fix)
        return
    like = lookalikes.likeness(fact.ecosystem, fact.name)
    if like is None:
        return
    other = like.other
    if like.confusable:
        shown = fact.name.encode("ascii", "backslashreplace").decode()
        message = (
            f"the package {fact.name!r} ({shown}) is written with letters of another alphabet to look like {other!r}"
        )
        yield finding("typosquatting", subject, fact.place, message, severity=Severity.HIGH)
        return
    message = f"the package {fact.name!r} is one slip away from the far more popular {other!r} ({like.slip})"
    fix = f"Write {other!r} if that is meant; if {fact.name!r} is your own, name it in packages.private."
    yield finding("typosquatting", subject, fact.place, message, fix=fix)
