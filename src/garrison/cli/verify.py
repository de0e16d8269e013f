"""Verify a model's signature: that somebody who is trusted signed it, and that each of its files is as it was signed.

Exit codes: 0 it is; 1 it is not, or no trusted signature holds; 2 wrong usage, such as trust in nobody."""

from typing import TYPE_CHECKING

from garrison.cli import exits, signing_options, terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from garrison.cli.arguments import Parser
    from garrison.provenance.signing import Verification
    from garrison.provenance.trust import Signatory


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="a file or a directory")
    add(
        "--signature", metavar="FILE", help="the signature (default: model.sig in a directory, MODEL.sig beside a file)"
    )
    signing_options.add_reading(parser)
    add("--format", choices=("text", "json"), default="text", help="how the result is written (default: text)")
    signing_options.add_trust(parser)


def run(arguments: "argparse.Namespace") -> int:
    from garrison.provenance.signing import verify
    from garrison.provenance.trust import Refused

    trust, origin = signing_options.trusted(arguments, arguments.model)
    try:
        with signing_options.reading(arguments) as options:
            found = verify(
                arguments.model, trust, signature=arguments.signature, ignored=tuple(arguments.ignored), **options
            )
    except Refused as reason:
        _refuse(arguments, str(reason))
        return exits.DENIED
    if arguments.format == "json":
        _write_json({**_document(arguments.model, found), "policy": origin})
    elif not arguments.quiet or not found.holds:
        terminal.say(*_lines(arguments.model, found, origin))
    return exits.PASSED if found.holds else exits.DENIED


def _refuse(arguments: "argparse.Namespace", reason: str) -> None:
    if arguments.format == "json":
        _write_json({"model": arguments.model, "verified": False, "reason": reason})
    else:
        terminal.say(f"refused: {arguments.model}: {reason}")


def _lines(model: str, found: "Verification", origin: str) -> "Iterator[str]":
    signer = _described(found.signatory) + (f", trusted by {origin}" if origin else "")
    files = signing_options.counted(found.manifest)
    if found.holds:
        yield f"verified: {model}, {files}, signed by {signer}"
    else:
        yield f"refused: {model} is not what was signed by {signer}"
    for word, names in (
        ("missing", found.difference.missing),
        ("added", found.difference.added),
        ("changed", found.difference.changed),
        ("not signed", found.passed_over),
    ):
        for name in names:
            yield f"{word}: {name}"


def _described(who: "Signatory") -> str:
    if who.kind == "key":
        return who.identity
    name = who.subject if who.identity == who.subject else f"{who.subject} ({who.identity})"
    when = f", on {_time(who.time)}" if who.time is not None else ""
    return f"{name}, says {who.issuer}{when}"


def _document(model: str, found: "Verification") -> dict[str, object]:
    who = found.signatory
    return {
        "model": model,
        "verified": found.holds,
        "signatory": {
            "kind": who.kind,
            "identity": who.identity,
            "subject": who.subject,
            "issuer": who.issuer,
            "time": _time(who.time) if who.time is not None else None,
        },
        "root": found.manifest.root,
        "files": len(signing_options.files_of(found.manifest)),
        "missing": found.difference.missing,
        "added": found.difference.added,
        "changed": found.difference.changed,
        "not_signed": found.passed_over,
    }


def _write_json(document: dict[str, object]) -> None:
    from garrison.reporting.json_text import json_text

    terminal.write(json_text(document), as_is=True)


def _time(seconds: float) -> str:
    import datetime

    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
