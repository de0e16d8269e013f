"""Options of what signs and of what verifies, the same for every command."""

import contextlib
import gc
import os
from typing import TYPE_CHECKING, Any

from garrison.cli.arguments import below, positive
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from garrison.cli.arguments import Parser
    from garrison.core.policy import Identity, Policy
    from garrison.provenance.bundles import Author, KeylessSigner
    from garrison.provenance.hashing import Manifest
    from garrison.provenance.keys import Signer
    from garrison.provenance.trust import Trust


def add_reading(parser: "Parser") -> None:
    """Options of how a model's files are read; `reading` reads them."""
    add = parser.add_argument
    add(
        "--ignore",
        action="append",
        type=below,
        default=[],
        dest="ignored",
        metavar="PATH",
        help="leave out this file or directory of the model, a path below it; may be given several times",
    )
    add("--jobs", type=positive, metavar="N", help="threads that read and hash (default: one for each core)")
    add(
        "--trust-unchanged",
        action="store_true",
        help="do not read files again that look unchanged (same inode, size, times) since they were hashed with this "
        "option",
    )
    add("--quiet", action="store_true", help="show no progress, and nothing that went well; the exit code tells")


@contextlib.contextmanager
def reading(arguments: "argparse.Namespace") -> "Iterator[dict[str, Any]]":
    """What the options of `add_reading` mean to `hashing.digest`, with a progress bar while the context lasts."""
    from garrison.cli import terminal

    with _no_collection(), terminal.progress(hidden=arguments.quiet) as shown:

        def progress(done: int, total: int) -> None:
            if shown:
                shown(done >> 20, total >> 20, "MiB")

        options: dict[str, Any] = {"jobs": arguments.jobs, "progress": progress}
        if getattr(arguments, "trust_unchanged", False):  # not every command that hashes has it
            from garrison.provenance.hashing.cache import Cache

            options["cache"] = Cache()
        yield options


@contextlib.contextmanager
def _no_collection() -> "Iterator[None]":
    """Without the collector of cycles: a model's entries have none, and it would go through all of them many times."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def files_of(manifest: "Manifest") -> "set[str]":
    """The paths of the files that a manifest is about."""
    from garrison.provenance.hashing.manifest import file_of

    return {file_of(entry.name, manifest.serialization) for entry in manifest.entries}


def counted(manifest: "Manifest") -> str:
    number = len(files_of(manifest))
    return f"{number:,} file{'' if number == 1 else 's'}"


def add_signer(parser: "Parser") -> None:
    """Options that say what to sign with; `signer` reads them."""
    add = parser.add_argument_group("what to sign with").add_argument
    add(
        "--key", metavar="FILE", help="a private key in PEM; its passphrase comes from $GARRISON_PASSPHRASE or a prompt"
    )
    add(
        "--pkcs11",
        metavar="URI",
        help="a private key in a token, by a URI of RFC 7512 with module-path; its PIN comes from its pin-source, "
        "$GARRISON_PIN or a prompt",
    )
    add(
        "--sigstore",
        action="store_true",
        help="Sigstore, for the account of an identity token; needs a network",
    )
    add(
        "--identity-token",
        metavar="FILE",
        help="with --sigstore: the token (default: $SIGSTORE_ID_TOKEN, else the one that a CI job is offered)",
    )
    add("--trust-config", metavar="FILE", help="with --sigstore: names another instance than the public one")
    add(
        "--certificate",
        action="append",
        default=[],
        dest="certificates",
        metavar="FILE",
        help="the key's certificate in PEM, and after it or in further files those that lead to an authority",
    )


@contextlib.contextmanager
def signer(arguments: "argparse.Namespace") -> "Iterator[Author]":
    """What the options of `add_signer` say to sign with, for as long as the context lasts. Raises `UsageError`."""
    from garrison.provenance.bundles import CertificateSigner
    from garrison.provenance.bundles.certificates import load_certificates

    if [bool(given) for given in (arguments.key, arguments.pkcs11, arguments.sigstore)].count(True) != 1:
        raise UsageError("what to sign with: give one of --key, --pkcs11 and --sigstore")
    if arguments.sigstore:
        if arguments.certificates:
            raise UsageError("--certificate belongs to --key and --pkcs11: Sigstore gives out its own")
        yield _keyless(arguments)
        return
    if arguments.identity_token or arguments.trust_config:
        raise UsageError("--identity-token and --trust-config belong to --sigstore")
    with _key(arguments) as key:
        chain = [der for path in arguments.certificates for der in load_certificates(path)]
        yield CertificateSigner(key, chain) if arguments.certificates else key


@contextlib.contextmanager
def _key(arguments: "argparse.Namespace") -> "Iterator[Signer]":
    from garrison.cli.passphrases import passphrase, pin

    if arguments.key:
        from garrison.provenance.keys import load_private_key

        yield load_private_key(arguments.key, lambda: passphrase(f"Passphrase of {arguments.key}: "))
        return
    from garrison.provenance.tokens import TokenSigner, opened_token

    with opened_token(arguments.pkcs11, pin) as token:
        yield TokenSigner(token)


def _keyless(arguments: "argparse.Namespace") -> "KeylessSigner":
    from garrison.provenance.bundles import KeylessSigner
    from garrison.provenance.keys import contents

    token = os.environ.get("SIGSTORE_ID_TOKEN", "")
    if arguments.identity_token:
        token = contents(arguments.identity_token).decode(errors="replace").strip()
    return KeylessSigner(token, arguments.trust_config or "")


def add_trust(parser: "Parser") -> None:
    """Options that say whose signatures count; `trust` reads them."""
    add = parser.add_argument_group("whose signatures count").add_argument
    add(
        "--public-key",
        action="append",
        default=[],
        dest="public_keys",
        metavar="FILE",
        help="whoever has the private half of this key, in PEM; may be given several times",
    )
    add(
        "--authorities",
        metavar="FILE",
        help="whoever these authorities' certificates (in PEM) vouch for; with --subject",
    )
    add(
        "--subject",
        metavar="PATTERN",
        help="a pattern (*, ?) over the certificate's names: an e-mail address, a URI or a host, else the common name",
    )
    add(
        "--sigstore-identity",
        metavar="PATTERN",
        help="whoever Sigstore knows by this name (a pattern, as for --subject); with --sigstore-issuer",
    )
    add("--sigstore-issuer", metavar="URL", help="the OpenID provider that knows the account")
    add("--trusted-root", metavar="FILE", help="Sigstore's trusted root (default: the public instance's, as shipped)")
    add(
        "--identity",
        action="append",
        default=[],
        dest="identities",
        metavar="NAME",
        help="of the policy's identities this one only; may be given several times (default: all of them)",
    )
    add("--policy", metavar="FILE", help="the policy (default: the nearest garrison.toml, or [tool.garrison])")


def load_policy(arguments: "argparse.Namespace", subject: str = "") -> "tuple[Policy, str]":
    """The policy that counts, and the directory that its relative paths begin at.

    Raises `UsageError` like `load_policy` of the core, and for a policy that was found, not named, inside the `subject`
    that it is to judge: whoever wrote that would say whom to trust.
    """
    from garrison.core.policy import Policy
    from garrison.core.policy_file import find_policy
    from garrison.core.policy_file import load_policy as load

    found = arguments.policy or find_policy(".")
    if found and subject and not arguments.policy:
        inside = os.path.join(os.path.realpath(subject), "")
        if os.path.realpath(found).startswith(inside):
            raise UsageError(f"{os.path.relpath(found)} lies in what it is to judge: name the policy with --policy")
    if not found:
        return Policy(), ""
    return load(os.path.relpath(found)), os.path.dirname(os.path.realpath(found))


def trusted(arguments: "argparse.Namespace", subject: str) -> "tuple[Trust, str]":
    """Whose signatures count for the subject, and the policy that says so; empty where the options themselves do.

    A policy is read only where it is asked. Raises `UsageError` like `load_policy` and `trust`.
    """
    from garrison.core.policy import Policy
    from garrison.core.policy_file import find_policy

    if not arguments.identities and _named(arguments):
        return trust(arguments, Policy()), ""
    policy, _ = load_policy(arguments, subject)
    found = arguments.policy or find_policy(".")
    return trust(arguments, policy), os.path.relpath(found) if found else ""


def trust(arguments: "argparse.Namespace", policy: "Policy") -> "Trust":
    """Whose signatures count, by the options of `add_trust`, else by the policy's identities.

    Raises `UsageError` if nobody's count.
    """
    from garrison.provenance.trust import Trust

    named = tuple(_named(arguments))
    if named and not arguments.identities:
        return Trust(identities=named)
    known = {identity.name for identity in policy.identities}
    for name in arguments.identities:
        if name not in known:
            raise UsageError(f"no identity named {name!r} in the policy")
    # One name may have several, as somebody with two keys.
    wanted = arguments.identities or known
    chosen = tuple(identity for identity in policy.identities if identity.name in wanted)
    if not chosen:
        raise UsageError(
            "whose signature counts? Give --public-key, --authorities, --sigstore-identity or a policy with identities"
        )
    return Trust(identities=(*named, *chosen))


def _named(arguments: "argparse.Namespace") -> "list[Identity]":
    """The identities that the options themselves describe, with absolute paths."""
    from garrison.core.policy import Identity

    found = [Identity(name=path, public_key=os.path.abspath(path)) for path in arguments.public_keys]
    if bool(arguments.authorities) != bool(arguments.subject):
        raise UsageError("--authorities and --subject belong together: who vouches, and for whom")
    if arguments.authorities:
        authorities = os.path.abspath(arguments.authorities)
        found.append(Identity(name=arguments.subject, authorities=authorities, subject=arguments.subject))
    if bool(arguments.sigstore_identity) != bool(arguments.sigstore_issuer):
        raise UsageError("--sigstore-identity and --sigstore-issuer belong together: who, and who knows them")
    if arguments.trusted_root and not arguments.sigstore_identity:
        raise UsageError("--trusted-root belongs to --sigstore-identity")
    if arguments.sigstore_identity:
        found.append(
            Identity(
                name=arguments.sigstore_identity,
                subject=arguments.sigstore_identity,
                issuer=arguments.sigstore_issuer,
                trusted_root=os.path.abspath(arguments.trusted_root) if arguments.trusted_root else "",
            )
        )
    return found
