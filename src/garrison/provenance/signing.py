"""Sign a model, and verify that it is the model that somebody signed.

Bundles are those of OpenSSF Model Signing 1.0, so that what is signed here `model_signing` verifies, and the other way
round. Stricter than the format are:

1. Nobody is trusted until the caller says whom.
2. What the signer left out of the signature is let through only where it is usual (Git's own files), or where whoever
   verifies leaves it out too; elsewhere such a file counts as added.
3. Every file that is missing, added or changed is named.
"""

import datetime
import os
from collections.abc import Sequence
from typing import Any

import msgspec

from garrison.core.errors import UsageError
from garrison.core.files import regular_file
from garrison.provenance import model_statement
from garrison.provenance.bundles import Author, KeylessSigner, opened, write
from garrison.provenance.bundles.reading import BUNDLE_BYTES
from garrison.provenance.hashing import DEFAULT_SERIALIZATION, Difference, Manifest, Serialization, compare, digest
from garrison.provenance.trust import Refused, Signatory, Trust

SIGNATURE_NAME = "model.sig"
"""What the signature of a directory is called, in it."""


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    bundle: bytes
    manifest: Manifest
    passed_over: tuple[str, ...]
    """Paths in the model that the signature does not cover; its own file is none of them."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """A signature that holds, and how the model compares with what was signed."""

    signatory: Signatory
    manifest: Manifest
    """What was signed."""
    difference: Difference
    passed_over: tuple[str, ...]
    """Paths in the model that the signature does not cover."""

    @property
    def holds(self) -> bool:
        return not self.difference


def signature_path(model: str) -> str:
    """Where a model's signature is looked for and put: in a directory as `model.sig`, beside a file as `FILE.sig`."""
    return os.path.join(model, SIGNATURE_NAME) if os.path.isdir(model) else f"{model}.sig"


def sign(
    model: str,
    signer: Author,
    *,
    serialization: Serialization = DEFAULT_SERIALIZATION,
    signature: str | None = None,
    **reading: Any,
) -> Signed:
    """The signature of a model, for the file `signature` (by default `signature_path`), which this does not write.

    `reading` goes to `hashing.digest`. Raises `Refused` for a model that cannot be signed, and `UsageError` for one
    that is not there and for a key that models are not signed with.
    """
    _check_key(signer)
    for path in serialization.ignored:
        _check_text(path)
    excluded = _within(signature or signature_path(model), model)
    if excluded:
        _check_text(excluded)
        ignored = tuple(sorted({*serialization.ignored, excluded}))
        serialization = msgspec.structs.replace(serialization, ignored=ignored)
    (manifest,) = digest(model, [serialization], **reading)
    model_statement.check(manifest)
    bundle = write(model_statement.written(manifest), signer)
    passed_over = tuple(name for name in manifest.passed_over if name != excluded)
    return Signed(bundle=bundle, manifest=manifest, passed_over=passed_over)


def verify(
    model: str,
    trust: Trust,
    *,
    signature: str | None = None,
    ignored: Sequence[str] = (),
    now: datetime.datetime | None = None,
    **reading: Any,
) -> Verification:
    """Whose model it is, and what in it is not as it was signed.

    `ignored` are paths below the model that need not be signed; `now` is the time at which certificates must be valid.
    `reading` goes to `hashing.digest`. Raises `Refused` if there is no signature, none that is trusted holds, or the
    model cannot be read as the rules of `hashing` want it; `UsageError` for named files that are not there and for
    trust in nobody.
    """
    found = opened(_bundle(model, signature), trust, now=now or datetime.datetime.now(datetime.UTC))
    expected = model_statement.read(found.payload, found.payload_type)
    said = expected.serialization
    usual = {*DEFAULT_SERIALIZATION.ignored, *ignored}
    left_out = {name for name in said.ignored if name in usual} | set(ignored)
    own = _within(signature or signature_path(model), model)
    if own:
        left_out.add(own)
    (actual,) = digest(model, [msgspec.structs.replace(said, ignored=tuple(sorted(left_out)))], **reading)
    return Verification(
        signatory=found.signatory,
        manifest=expected,
        difference=compare(expected, actual),
        passed_over=tuple(name for name in actual.passed_over if name != own),
    )


def _check_key(signer: Author) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    if not isinstance(signer, KeylessSigner) and not isinstance(signer.public_key, EllipticCurvePublicKey):
        raise UsageError("models are signed with keys on P-256, P-384 or P-521: OpenSSF Model Signing has no Ed25519")


def _check_text(path: str) -> None:
    """A signature names what it leaves out, itself too. Raises `UsageError`."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{path!r}: a name that is no UTF-8 cannot stand in a signature") from None


def _within(path: str, model: str) -> str:
    """The path of a file below the model, with `/`; empty where it lies elsewhere."""
    directory, name = os.path.split(path)
    below = os.path.relpath(os.path.join(os.path.realpath(directory), name), os.path.realpath(model))
    if not os.path.isdir(model) or below.partition(os.sep)[0] == os.pardir:
        return ""
    return below.replace(os.sep, "/")


def _bundle(model: str, signature: str | None) -> bytes:
    """The signature that was named, else the model's own, without which a model is refused."""
    if signature or not os.path.exists(model):
        return bundle_in(signature or model)
    try:
        return bundle_in(signature_path(model))
    except UsageError as error:
        raise Refused(f"not signed: {error}") from None


def bundle_in(path: str) -> bytes:
    """What a signature's file holds. Raises `UsageError`, also for a pipe, at which one would wait for ever."""
    try:
        with regular_file(path) as file:
            return file.read(BUNDLE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
