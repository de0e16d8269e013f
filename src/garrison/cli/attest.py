"""Say something about a model, signed: that it was scanned, how it was trained, how it does under attack, that it is
approved, or which version it is. `verify` tells what was said about a model, by whom, and whether it is this model.

Attestations are in-toto statements in Sigstore bundles, in the directory MODEL.attestations beside the model. Exit
codes: 0 done, or all attestations hold; 1 policy denies what was scanned, something stands against saying it, or an
attestation does not hold; 2 wrong usage."""

import os
from typing import TYPE_CHECKING, Any

from garrison.cli import exits, signing_options, terminal
from garrison.cli.arguments import positive
from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.core.source_date import source_date

if TYPE_CHECKING:
    import argparse
    import datetime
    from collections.abc import Callable

    from garrison.cli.arguments import Parser
    from garrison.provenance.attestations import AnyPredicate
    from garrison.provenance.hashing import Manifest

_ACTIONS = {
    "scan": "a scan, which is done now, or whose report is given",
    "training": "a training",
    "robustness": "a robustness card",
    "approval": "an approval",
    "version": "a version",
    "verify": "attestations that are there",
}

_REGISTRY = "oci://"
_DOCUMENT_BYTES = 512 << 20
"""The longest report or card."""


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("action", choices=tuple(_ACTIONS), metavar="ACTION", help=f"{', '.join(_ACTIONS)}")
    add("model", metavar="MODEL", help="a file or a directory")
    add("--expires", metavar="WHEN", help="until when it counts: a date, a time (RFC 3339), or a number of days: 30d")
    add(
        "--output",
        "-o",
        metavar="FILE",
        help="where the attestation goes (default: a file of its own in MODEL.attestations); - is standard output, and "
        "oci:// attaches it to what a registry has under that name",
    )
    add("--follow-symlinks", action="store_true", help="let links stand for what they lead to, within the model")
    add("--jobs", type=positive, metavar="N", help="threads that hash, and processes that scan (default: the cores)")
    add("--quiet", action="store_true", help="show no progress, and nothing that went well; the exit code tells")
    belonging: list[tuple[str, argparse.Action]] = []

    def option(of: str, *names: str, **settings: Any) -> None:
        belonging.append((of, groups[of].add_argument(*names, **settings)))

    groups = {action: parser.add_argument_group(f"options of `attest {action}`") for action in _ACTIONS}
    option("scan", "--report", metavar="FILE", help="a JSON report made with --digests, in place of a scan")
    _add_training(option)
    option("robustness", "--card", metavar="FILE", help="the robustness card that garrison attack wrote, in JSON")
    option("approval", "--comment", default="", metavar="TEXT", help="what there is to say about it")
    option(
        "approval",
        "--environment",
        action="append",
        default=[],
        dest="environments",
        metavar="NAME",
        help="what it is approved for, such as production (default: everything); may be given several times",
    )
    option("version", "--number", type=positive, metavar="N", help="the version; greater than any before it")
    option("version", "--name", metavar="NAME", help="what all versions are called (default: the model's file name)")
    option(
        "verify",
        "--evidence",
        action="append",
        default=[],
        metavar="PATH",
        help="read attestations from this directory or file (.json, or .jsonl with one a line) and not from beside the "
        "model; may be given several times",
    )
    option("verify", "--minimum-version", type=positive, metavar="N", help="refuse a model without a version from N on")
    option(
        "verify",
        "--remember",
        metavar="FILE",
        help="keep the highest version of each model in this file, and refuse lower ones",
    )
    option(
        "verify", "--format", choices=("text", "json"), default="text", help="how the result is written (default: text)"
    )
    before = set(parser._actions)
    signing_options.add_signer(parser)
    signs = set(parser._actions) - before
    signing_options.add_trust(parser)
    verifies = {action for action in set(parser._actions) - before - signs if action.dest != "policy"}
    parser.set_defaults(belonging=belonging, signs=signs, verifies=verifies)


def _add_training(option: "Callable[..., None]") -> None:
    def several(name: str, destination: str, metavar: str, text: str) -> None:
        option(
            "training",
            name,
            action="append",
            default=[],
            dest=destination,
            metavar=metavar,
            help=f"{text}; may be given several times",
        )

    option("training", "--builder", metavar="URI", help="what trained it and answers for what is said here")
    option("training", "--parameters", metavar="FILE", help="the parameters of the training: JSON, TOML or YAML")
    several("--parameter", "settings", "NAME=VALUE", "one parameter: JSON, or else text")
    option("training", "--code", metavar="DIR", help="the code: a working tree of git, which must be as committed")
    option("training", "--allow-changes", action="store_true", help="say which files of it changed, and go on")
    several("--dataset", "datasets", "PATH", "a dataset that lies here")
    several("--dataset-digest", "dataset_digests", "NAME=ALGORITHM:DIGEST", "a dataset that lies elsewhere")
    several("--base-model", "base_models", "PATH", "a model that it was made from")
    several(
        "--base-model-digest", "base_model_digests", "NAME=ALGORITHM:DIGEST", "the same for one that lies elsewhere"
    )
    several("--lock", "locks", "FILE", "a lock file of the packages that it was trained with")
    option("training", "--invocation", default="", metavar="ID", help="which run it was")
    option("training", "--started", metavar="TIME", help="when the training began")
    option("training", "--finished", metavar="TIME", help="when it ended (default: now)")


def run(arguments: "argparse.Namespace") -> int:
    for action, option in arguments.belonging:
        if action != arguments.action:
            _refuse(arguments, option, f"belongs to `garrison attest {action}`")
    for option in arguments.verifies if arguments.action != "verify" else arguments.signs:
        _refuse(arguments, option, f"means nothing to `garrison attest {arguments.action}`")
    if arguments.action == "verify":
        from garrison.cli.attest_verify import verify

        return verify(arguments)
    return _attest(arguments)


def _refuse(arguments: "argparse.Namespace", option: "argparse.Action", reason: str) -> None:
    """Raise `UsageError` if the option is given."""
    if getattr(arguments, option.dest) != option.default:
        raise UsageError(f"{option.option_strings[0]} {reason}")


def _attest(arguments: "argparse.Namespace") -> int:
    from garrison.provenance.attestations import Scan, attest, attested, subject_of
    from garrison.provenance.trust import Refused

    _check_output(arguments)
    created = _created()
    expires = _expiry(arguments.expires, created)
    try:
        with signing_options.signer(arguments) as signer, signing_options.reading(arguments) as reading:
            manifests = attested(
                arguments.model,
                sha256=arguments.action in ("scan", "robustness"),
                follow_symlinks=arguments.follow_symlinks,
                **reading,
            )
            predicate = _PREDICATES[arguments.action](arguments, manifests, created, expires, reading)
            bundle = attest([subject_of(*manifests)], predicate, signer)
    except Refused as reason:
        terminal.say(f"refused: {arguments.model}: {reason}")
        return exits.DENIED
    path = _put(arguments, bundle)
    denied = isinstance(predicate, Scan) and not predicate.allowed
    if path and (denied or not arguments.quiet):
        what = "denied by policy" if denied else "attested"
        terminal.say(f"{what}: {arguments.action} of {arguments.model}, in {path}")
    return exits.DENIED if denied else exits.PASSED


def _check_output(arguments: "argparse.Namespace") -> None:
    if not os.path.exists(arguments.model):
        raise UsageError(f"{arguments.model}: no such file or directory")
    if arguments.output and arguments.output != "-" and not arguments.output.startswith(_REGISTRY):
        terminal.check_writable(arguments.output, [arguments.model])
        terminal.check_outside(arguments.output, arguments.model)


def _put(arguments: "argparse.Namespace", bundle: bytes) -> str:
    """Where the bundle went; empty for standard output."""
    from garrison.provenance.attestations import directory_of, store

    if arguments.output == "-":
        terminal.write(bundle.decode() + "\n", as_is=True)
        return ""
    if arguments.output and arguments.output.startswith(_REGISTRY):
        return _attached(bundle, arguments.output)
    if not arguments.output:
        return os.path.relpath(os.path.dirname(store(bundle, arguments.action, directory_of(arguments.model))))
    terminal.write_file(arguments.output, bundle.decode())
    path: str = arguments.output
    return path


def _attached(bundle: bytes, reference: str) -> str:
    from garrison.core.errors import GarrisonError
    from garrison.provenance.attestations.attaching import attach

    try:
        return attach(bundle, reference)
    except UsageError:
        raise
    except GarrisonError as error:
        raise UsageError(f"{reference}: {error}") from None


def _scan(
    arguments: "argparse.Namespace",
    manifests: "tuple[Manifest, ...]",
    created: "datetime.datetime",
    expires: "datetime.datetime | None",
    _: dict[str, Any],
) -> "AnyPredicate":
    from garrison.provenance.attestations import scanned

    embed = not arguments.report
    report = _scanned_now(arguments) if embed else contents(arguments.report, _DOCUMENT_BYTES)
    manifest = next(one for one in manifests if one.serialization.algorithm == "sha256")
    return scanned(report, manifest, created=created, expires=expires, embed=embed)


def _scanned_now(arguments: "argparse.Namespace") -> bytes:
    """The report of a scan, as JSON."""
    from garrison.reporting import renderer
    from garrison.scanning import scan

    policy, _ = signing_options.load_policy(arguments, arguments.model)
    with terminal.progress(hidden=arguments.quiet) as progress:
        report = scan(arguments.model, policy, progress=progress, jobs=arguments.jobs, digests=True)
    return renderer("json")(report).encode()


def _training(
    arguments: "argparse.Namespace",
    _: "tuple[Manifest, ...]",
    created: "datetime.datetime",
    expires: "datetime.datetime | None",
    reading: dict[str, Any],
) -> "AnyPredicate":
    from garrison.provenance.attestations import parameters, training
    from garrison.provenance.attestations.git import commit_of

    if expires:
        raise UsageError("--expires: how a model was trained stays true")
    if not arguments.builder:
        raise UsageError("who trained it? Give --builder, a URI")
    inputs = []
    if arguments.code:
        inputs.append(training.code(commit_of(arguments.code), allow_changes=arguments.allow_changes))
    inputs += [training.measured(path, "dataset", **reading) for path in arguments.datasets]
    inputs += [training.named(text, "dataset") for text in arguments.dataset_digests]
    inputs += [training.measured(path, "model", **reading) for path in arguments.base_models]
    inputs += [training.named(text, "model") for text in arguments.base_model_digests]
    inputs += [training.lock(path) for path in arguments.locks]
    given = [dict([parameters.parsed(text)]) for text in arguments.settings]
    from_file = [parameters.load(arguments.parameters)] if arguments.parameters else []
    return training.trained(
        builder=arguments.builder,
        parameters=parameters.merged(*from_file, *given),
        inputs=inputs,
        invocation=arguments.invocation,
        started=_time(arguments.started, "--started") if arguments.started else None,
        finished=_time(arguments.finished, "--finished") if arguments.finished else created,
    )


def _robustness(
    arguments: "argparse.Namespace",
    manifests: "tuple[Manifest, ...]",
    _: "datetime.datetime",
    expires: "datetime.datetime | None",
    __: dict[str, Any],
) -> "AnyPredicate":
    from garrison.provenance.attestations.cards import card

    if not arguments.card:
        raise UsageError("which robustness card? Give --card")
    manifest = next(one for one in manifests if one.serialization.algorithm == "sha256")
    return card(contents(arguments.card, _DOCUMENT_BYTES), manifest, expires=expires)


def _approval(
    arguments: "argparse.Namespace",
    _: "tuple[Manifest, ...]",
    created: "datetime.datetime",
    expires: "datetime.datetime | None",
    __: dict[str, Any],
) -> "AnyPredicate":
    from garrison.provenance.attestations import Approval

    return Approval(
        created=created,
        expires=expires,
        decision="approved",
        comment=arguments.comment,
        environments=tuple(arguments.environments),
    )


def _version(
    arguments: "argparse.Namespace",
    manifests: "tuple[Manifest, ...]",
    created: "datetime.datetime",
    expires: "datetime.datetime | None",
    _: dict[str, Any],
) -> "AnyPredicate":
    from garrison.provenance.attestations import Version

    if not arguments.number:
        raise UsageError("which version? Give --number")
    name = arguments.name or manifests[0].name
    return Version(created=created, expires=expires, name=name, version=arguments.number)


_PREDICATES = {
    "scan": _scan,
    "training": _training,
    "robustness": _robustness,
    "approval": _approval,
    "version": _version,
}


def _created() -> "datetime.datetime":
    import datetime

    return source_date() or datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _expiry(text: str | None, created: "datetime.datetime") -> "datetime.datetime | None":
    import datetime

    if text is None:
        return None
    try:
        if text.endswith("d") and text[:-1].isdecimal():
            when = created + datetime.timedelta(days=int(text[:-1]))
        elif len(text) == len("2026-12-31"):
            day = datetime.date.fromisoformat(text) + datetime.timedelta(days=1)  # it counts until its end
            when = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
        else:
            when = _time(text, "--expires")
    except (ValueError, OverflowError, UsageError):
        forms = "date, no time with its zone and no number of days such as 30d"
        raise UsageError(f"--expires: {text!r} is no {forms}") from None
    if when <= created:
        raise UsageError(f"--expires: {text} is over already")
    return when


def _time(text: str, option: str) -> "datetime.datetime":
    import datetime

    try:
        when = datetime.datetime.fromisoformat(text)
        found = when.astimezone(datetime.UTC) if when.tzinfo is not None else None
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise UsageError(f"{option}: {text!r} is no time with its zone, such as 2026-12-31T12:00:00Z")
    return found
