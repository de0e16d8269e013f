"""Decide whether a model passes, from policy over what others have said about it and signed.

Nothing is scanned and nothing is run. The policy's `[gate]` says what must have been said, and by whom. Exit codes:
0 it passes; 1 it does not, or could not be read; 2 wrong usage, such as a policy without `[gate]`.
"""

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from garrison.cli import exits, signing_options, terminal
from garrison.cli.arguments import positive
from garrison.core.errors import UsageError
from garrison.reporting.gate import RENDERERS, renderer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from garrison.cli.arguments import Parser
    from garrison.core.gate_decision import GateDecision, PassedOver
    from garrison.provenance.bundles import Author
    from garrison.provenance.gate import Piece
    from garrison.provenance.gate.verification import DecidedBy


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="a file or a directory")
    add(
        "--evidence",
        action="append",
        default=[],
        metavar="PLACE",
        help="a directory or a file of signed statements, or oci:// and what they are attached to in a registry; may "
        "be given several times (the model's signature, and what is in MODEL.attestations, are always read)",
    )
    add("--policy", metavar="FILE", help="the policy (default: the nearest garrison.toml, or [tool.garrison])")
    add("--record", action="store_true", help="keep the version of a model that passes, as gate.version.recorded says")
    add("--format", choices=tuple(RENDERERS), default="table", help="how the decision is written (default: table)")
    add(
        "--output",
        "-o",
        metavar="FILE",
        help="write the decision to this file, and only the verdict to the terminal; - is standard output",
    )
    add("--attest", metavar="FILE", help="write the decision to this file as a verification summary of SLSA, signed")
    add("--resource", default="", metavar="URI", help="with --attest: how others call the model (default: its name)")
    add("--jobs", type=positive, metavar="N", help="threads that read and hash (default: one for each core)")
    add("--quiet", action="store_true", help="show no progress, no table and no verdict; the exit code tells")
    add("--no-color", action="store_true", help="no colours, as when NO_COLOR is set")
    signing_options.add_signer(parser)


def run(arguments: "argparse.Namespace") -> int:
    import datetime

    from garrison.core.gate_policy import gate_policy
    from garrison.provenance.gate import decide

    policy, base = signing_options.load_policy(arguments, arguments.model)
    if not policy.gate:
        raise UsageError("the policy has no [gate], which says what a model needs to pass; name it with --policy")
    decided_by = _decided_by(arguments) if arguments.attest else None  # now, while it is what was read
    output = None if arguments.output == "-" else arguments.output
    for path in (output, arguments.attest):
        if path:
            terminal.check_writable(path, [arguments.model])
            terminal.check_outside(path, arguments.model)
    with _signer(arguments) as signer:
        with signing_options.reading(arguments) as reading:
            decision = decide(
                arguments.model,
                gate_policy(policy.gate),
                policy.identities,
                _evidence(arguments),
                base=base,
                now=datetime.datetime.now(datetime.UTC),
                record=arguments.record,
                **reading,
            )
        if signer is not None and decided_by is not None:
            _attest(decision, decided_by, signer, arguments)
    _show(decision, output, arguments)
    return exits.PASSED if decision.allowed else exits.DENIED


def _signer(arguments: "argparse.Namespace") -> "contextlib.AbstractContextManager[Author | None]":
    """What to sign the decision with, if it is to be signed."""
    if arguments.attest:
        return signing_options.signer(arguments)
    if arguments.key or arguments.pkcs11 or arguments.sigstore or arguments.resource:
        raise UsageError("what to sign with, and --resource, belong to --attest")
    return contextlib.nullcontext()


def _decided_by(arguments: "argparse.Namespace") -> "DecidedBy":
    """Which policy it is that decides."""
    import hashlib

    from garrison.core.policy_file import find_policy
    from garrison.provenance.gate.verification import DecidedBy

    path = arguments.policy or find_policy(".") or ""
    with open(path, "rb") as file:
        return DecidedBy(uri=f"file:{os.path.basename(path)}", sha256=hashlib.sha256(file.read()).hexdigest())


def _attest(
    decision: "GateDecision", decided_by: "DecidedBy", signer: "Author", arguments: "argparse.Namespace"
) -> None:
    """Write the decision as a signed statement; of a model that could not be read there is nothing to say."""
    from garrison import __version__
    from garrison.provenance.bundles import write
    from garrison.provenance.gate.verification import summary

    if decision.subject is None:
        print("garrison: the model could not be read, so that nothing was attested", file=sys.stderr)
        return
    statement = summary(decision, decided_by, version=__version__, resource=arguments.resource)
    terminal.write_file(arguments.attest, write(statement, signer).decode())


def _evidence(arguments: "argparse.Namespace") -> "Iterator[Piece | PassedOver]":
    from garrison.provenance.gate.sources import files, registries

    yield from files.beside(arguments.model)
    for place in arguments.evidence:
        in_registry = place.startswith(registries.SCHEME)
        yield from registries.attached(place) if in_registry else files.in_path(place)


def _show(decision: "GateDecision", output: str | None, arguments: "argparse.Namespace") -> None:
    if not output and arguments.quiet and arguments.format == "table":
        return
    if arguments.format == "table":
        color = not output and not arguments.no_color and terminal.has_colors(sys.stdout)
        text = renderer("table")(decision, width=terminal.width(), color=color)
    else:
        text = renderer(arguments.format)(decision)
    if not output:
        terminal.write(text, as_is=arguments.format != "table")
        return
    terminal.write_file(output, text)
    if not arguments.quiet:
        from garrison.reporting.gate.table import one_line

        print(one_line(decision), file=sys.stderr)
