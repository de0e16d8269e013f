"""The model was trained from what the policy lists: datasets, base models, code, and where."""

import fnmatch
from collections.abc import Iterator, Sequence

from garrison.core.gate_decision import RequirementDecision
from garrison.core.gate_policy import TrainingRequirement
from garrison.provenance.attestations.predicates import Provenance, Resource
from garrison.provenance.gate.candidates import Candidate
from garrison.provenance.gate.requirements.judging import by, decided, eligible, nobody

KIND = "training"


def judge(asked: TrainingRequirement, candidates: Sequence[Candidate]) -> RequirementDecision:
    found = eligible(asked, KIND, candidates)
    reasons = [f"{one.place}: {reason}" for one in found.counted for reason in _against(asked, _provenance(one))]
    if not found.counted:
        reasons = [nobody(found, "provenance of its training")]
    return decided(KIND, _wording(asked), found, reasons, lambda one: _says(_provenance(one)))


def _provenance(one: Candidate) -> Provenance:
    assert isinstance(one.predicate, Provenance)
    return one.predicate


def _against(asked: TrainingRequirement, provenance: Provenance) -> Iterator[str]:
    if (asked.datasets or asked.base_models is not None) and not provenance.tells_roles:
        yield "it does not tell all that went into the training as garrison does, so that more may have than it names"
    datasets, models, code = (provenance.inputs(role) for role in ("dataset", "model", "code"))
    if asked.datasets:
        yield from _unlisted(datasets, asked.datasets, "dataset")
        if not datasets:
            yield "it names no dataset"
    if asked.base_models is not None:
        yield from _unlisted(models, asked.base_models, "base model")
    if (asked.code or asked.commits) and not code:
        yield "it names no code"
    for one in code:
        if asked.code and not _fits(one.uri, asked.code):
            yield f"its code is from {_name(one)}, which is not listed"
        if asked.commits and one.digest.get("gitCommit") not in asked.commits:
            yield f"its code is of the commit {one.digest.get('gitCommit', '')[:40]!r}, which is not listed"
    builder = provenance.run_details.builder.id
    if asked.builders and not _fits(builder, asked.builders):
        yield f"it was trained by {builder[:200]!r}, which is not listed"


def _unlisted(resources: Sequence[Resource], listed: Sequence[str], what: str) -> Iterator[str]:
    for one in resources:
        # A digest that is weak or unknown may stand beside one that is listed, and says nothing against it.
        if not any(f"{algorithm}:{digest}" in listed for algorithm, digest in one.digest.items()):
            yield f"the {what} {_name(one)} is not listed"


def _fits(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


def _name(resource: Resource) -> str:
    return repr((resource.uri or resource.name or next(iter(resource.digest.values()), ""))[:200])


def _wording(asked: TrainingRequirement) -> str:
    limits = {
        "datasets": asked.datasets,
        "base models": asked.base_models is not None,
        "code": asked.code or asked.commits,
        "builders": asked.builders,
    }
    told = ", ".join(what for what, given in limits.items() if given)
    return f"trained as told {by(asked.signed_by)}" + (f", from listed {told}" if told else "")


def _says(provenance: Provenance) -> str:
    roles = {"dataset": "dataset", "base model": "model", "repository of code": "code"}
    counts = {what: len(provenance.inputs(role)) for what, role in roles.items()}  # type: ignore[arg-type]
    told = ", ".join(f"{count} {what if count == 1 else _plural(what)}" for what, count in counts.items() if count)
    return f"trained by {provenance.run_details.builder.id[:200]}" + (f" from {told}" if told else "")


def _plural(what: str) -> str:
    return "repositories of code" if what.startswith("repository") else f"{what}s"
