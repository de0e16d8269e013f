"""`garrison attest verify`: what was said about a model, by whom, and whether it is this model."""

import os
from typing import TYPE_CHECKING, assert_never, get_args

from garrison.cli import exits, signing_options, terminal
from garrison.core.errors import UsageError
from garrison.provenance.attestations import (
    AnyPredicate,
    Approval,
    Attestation,
    Provenance,
    Robustness,
    Scan,
    Stored,
    Version,
    directory_of,
    stored,
)
from garrison.provenance.attestations.checking import Checked, checked
from garrison.provenance.attestations.predicates import TRAINING_BUILD, Measurement, Role
from garrison.provenance.attestations.versions import remember
from garrison.provenance.trust import Refused

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def verify(arguments: "argparse.Namespace") -> int:
    import datetime

    policy, _ = signing_options.load_policy(arguments, arguments.model)
    trust = signing_options.trust(arguments, policy)
    try:
        with signing_options.reading(arguments) as reading:
            found = checked(
                arguments.model, _evidence(arguments), trust, now=datetime.datetime.now(datetime.UTC), **reading
            )
        problems = list(_problems(arguments, found))
    except Refused as reason:
        found, problems = [], [str(reason)]
    holds = not problems and _all_hold(found)
    if arguments.format == "json":
        _write_json(arguments.model, found, problems)
    else:
        terminal.say(*_lines(found, quiet=arguments.quiet), *(f"refused: {problem}" for problem in problems))
    return exits.PASSED if holds else exits.DENIED


def _evidence(arguments: "argparse.Namespace") -> "Iterator[Stored]":
    if not os.path.exists(arguments.model):
        raise UsageError(f"{arguments.model}: no such file or directory")
    if arguments.evidence:
        for path in arguments.evidence:
            yield from stored(path)
    elif os.path.isdir(beside := os.path.relpath(directory_of(arguments.model))):
        yield from stored(beside)


def _problems(arguments: "argparse.Namespace", found: list[Checked]) -> "Iterator[str]":
    """What stands against the model, apart from attestations that do not hold."""
    if all(one.passed_over for one in found):
        yield f"{arguments.model}: there are no attestations about it"
    if not (arguments.minimum_version or arguments.remember):
        return
    predicates = [one.attestation.predicate for one in found if one.holds and one.attestation]
    versions = [predicate for predicate in predicates if isinstance(predicate, Version)]
    if not versions:
        yield f"{arguments.model}: no attestation that holds says which version it is"
    highest: dict[str, Version] = {}
    for one in versions:
        if one.name not in highest or one.version > highest[one.name].version:
            highest[one.name] = one
    for version in highest.values():
        if arguments.minimum_version and version.version < arguments.minimum_version:
            least = arguments.minimum_version
            yield f"{arguments.model}: version {version.version} of {version.name!r}, where {least} is the least"
        elif arguments.remember and _all_hold(found):
            try:
                remember(version, arguments.remember)
            except Refused as reason:
                yield str(reason)


def _all_hold(found: list[Checked]) -> bool:
    return all(one.holds or one.passed_over for one in found)


def _lines(found: list[Checked], *, quiet: bool) -> "Iterator[str]":
    for one in found:
        if one.passed_over:
            if not quiet:
                yield f"passed over: {one.place}: {one.reason}"
        elif not one.holds:
            yield f"refused: {one.place}: {one.reason}"
        elif one.attestation is not None and not quiet:
            yield _summary(one.attestation.predicate)
            yield f"  by {_signatory(one.attestation)}{_times(one.attestation.predicate)}"


def _signatory(attestation: Attestation) -> str:
    who = attestation.signatory
    said = f"{who.identity} ({who.subject})" if who.kind != "key" and who.identity != who.subject else who.identity
    return f"{said}, says {who.issuer}" if who.issuer else said


def _times(predicate: AnyPredicate) -> str:
    said = f", {predicate.created:%Y-%m-%d %H:%M} UTC" if predicate.created else ""
    return f"{said}, until {predicate.expires:%Y-%m-%d %H:%M} UTC" if predicate.expires else said


def _summary(predicate: AnyPredicate) -> str:
    """What it says, in a line that begins with its kind."""
    match predicate:
        case Scan():
            worst = predicate.findings.worst
            found = f"the worst finding {worst}" if worst else "nothing found"
            verdict = predicate.verdict if predicate.allowed else "denied"
            return f"scan: {verdict}, {found}, by {predicate.scanner.name} {predicate.scanner.version}"
        case Provenance():
            return _provenance(predicate)
        case Robustness():
            return f"robustness: {', '.join(map(_measurement, predicate.measurements))}"
        case Approval():
            comment = f": {predicate.comment}" if predicate.comment else ""
            return f"approval: for {', '.join(predicate.environments) or 'everything'}{comment}"
        case Version():
            return f"version: {predicate.version} of {predicate.name}"
    assert_never(predicate)


def _provenance(predicate: Provenance) -> str:
    definition, builder = predicate.build_definition, predicate.run_details.builder.id
    if definition.build_type == TRAINING_BUILD:
        inputs = [
            f"{resource.name or resource.uri or 'code'} ({role})"
            for role in get_args(Role)
            for resource in predicate.inputs(role)
        ]
        return f"training: by {builder}, from {', '.join(inputs) or 'nothing that it names'}"
    names = [resource.uri or resource.name for resource in definition.resolved_dependencies]
    return f"build: by {builder}, from {', '.join(names) or 'nothing that it names'}; {definition.build_type}"


def _measurement(one: Measurement) -> str:
    budget = f" with {one.norm} {one.epsilon:g}" if one.epsilon is not None else ""
    return f"{one.name} {one.value:g}" + (f" under {one.attack}{budget}" if one.attack else budget)


def _write_json(model: str, found: list[Checked], problems: list[str]) -> None:
    from garrison.reporting.json_text import json_text

    document = {
        "model": model,
        "holds": not problems and _all_hold(found),
        "problems": problems,
        "attestations": [
            {
                "place": one.place,
                "holds": one.holds,
                "passed_over": one.passed_over,
                "reason": one.reason,
                **(_said(one.attestation) if one.attestation else {}),
            }
            for one in found
        ],
    }
    terminal.write(json_text(document), as_is=True)


def _said(attestation: Attestation) -> dict[str, object]:
    return {
        "signatory": attestation.signatory,
        "predicate_type": attestation.predicate_type,
        "predicate": attestation.predicate,
    }
