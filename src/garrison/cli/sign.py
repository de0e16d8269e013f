"""Sign a model: a file, or a directory with all files below it. The signature is an OpenSSF Model Signing bundle, which
`garrison verify` and model-signing verify.

Exit codes: 0 signed; 1 refused, as for a model without files or with a link; 2 wrong usage."""

import os
from typing import TYPE_CHECKING

from garrison.cli import exits, signing_options, terminal
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from garrison.cli.arguments import Parser


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="a file or a directory")
    add(
        "--signature", metavar="FILE", help="the signature (default: model.sig in a directory, MODEL.sig beside a file)"
    )
    signing_options.add_reading(parser)
    add(
        "--algorithm",
        choices=("blake3", "sha256", "blake2b"),
        default="automatic",
        help="how files are hashed (default: sha256, and blake3 for models of 1 GiB or more)",
    )
    add("--follow-symlinks", action="store_true", help="let links stand for what they lead to, within the model")
    signing_options.add_signer(parser)


def run(arguments: "argparse.Namespace") -> int:
    import msgspec.structs

    from garrison.provenance.hashing import DEFAULT_SERIALIZATION
    from garrison.provenance.signing import sign, signature_path
    from garrison.provenance.trust import Refused

    path = arguments.signature or signature_path(arguments.model)
    if os.path.islink(path):
        raise UsageError(f"{path}: a link, which would put the signature where somebody else says")
    if not arguments.signature and os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path}: is no file, so that the signature cannot replace it; name another with --signature")
    _check_no_loss(path, arguments.model)
    terminal.check_writable(path, [arguments.model])
    serialization = msgspec.structs.replace(
        DEFAULT_SERIALIZATION,
        algorithm=arguments.algorithm,
        ignored=(*DEFAULT_SERIALIZATION.ignored, *arguments.ignored),
        follow_symlinks=arguments.follow_symlinks,
    )
    try:
        with signing_options.signer(arguments) as signer, signing_options.reading(arguments) as options:
            signed = sign(arguments.model, signer, serialization=serialization, signature=path, **options)
    except Refused as reason:
        terminal.say(f"refused: {arguments.model}: {reason}")
        return exits.DENIED
    terminal.write_file(path, signed.bundle.decode())
    if not arguments.quiet:
        files = signing_options.counted(signed.manifest)
        terminal.say(f"signed: {arguments.model}, {files}, in {path}")
        if arguments.algorithm == "automatic" and signed.manifest.serialization.algorithm == "blake3":
            terminal.write("hashed with BLAKE3; for the command line of model-signing use --algorithm sha256\n")
        terminal.say(*(f"not signed: {name}" for name in signed.passed_over))
    return exits.PASSED


def _check_no_loss(path: str, model: str) -> None:
    """Raise `UsageError` for a file of the model in the signature's place, unless it is a signature or has its name."""
    from garrison.provenance.bundles.reading import read
    from garrison.provenance.signing import bundle_in, signature_path
    from garrison.provenance.trust import Refused

    if not os.path.isfile(path) or os.path.realpath(path) == os.path.realpath(signature_path(model)):
        return
    try:
        read(bundle_in(path))
    except Refused:
        terminal.check_outside(path, model)
