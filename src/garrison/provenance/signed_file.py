"""Whose word stands for one file: its own signature, or that of a directory that it lies in.

1. A signature that is named, or the file's own (`FILE.sig`), must be over the file alone.
2. Else the nearest directory around it that has a `model.sig` must name the file, by its path from there, with the
   digests that its bytes have. Nothing is said of the other files.

The bytes are those of a private copy, so that what was verified is what is used.
"""

import datetime
import os

import msgspec

from garrison.provenance import model_statement
from garrison.provenance.bundles import opened
from garrison.provenance.hashing import Manifest, digest
from garrison.provenance.hashing.manifest import SINGLE_FILE, file_of
from garrison.provenance.signing import SIGNATURE_NAME, bundle_in, signature_path, verify
from garrison.provenance.trust import Refused, Signatory, Trust


def verify_copy(
    copy: str, original: str, trust: Trust, *, signature: str | None = None, now: datetime.datetime | None = None
) -> Signatory:
    """Who signed the bytes of the file `copy` as the file at the path `original`.

    Raises `Refused` if no trusted signature says so, and `UsageError` for trust in nobody and for a `signature` that
    cannot be read.
    """
    if signature or os.path.exists(signature_path(original)):
        found = verify(copy, trust, signature=signature or signature_path(original), now=now)
        if not found.holds:
            raise Refused("the file is not as it was signed")
        return found.signatory
    directory, name = _signed_directory(original)
    data = bundle_in(os.path.join(directory, SIGNATURE_NAME))
    bundle = opened(data, trust, now=now or datetime.datetime.now(datetime.UTC))
    expected = model_statement.read(bundle.payload, bundle.payload_type)
    (actual,) = digest(copy, [msgspec.structs.replace(expected.serialization, ignored=())])
    if not _parts(expected, name):
        raise Refused(f"the signature of {directory} names no {name}")
    if _parts(expected, name) != _parts(actual, SINGLE_FILE):
        raise Refused(f"{name} is not as it was signed with {directory}")
    return bundle.signatory


def _signed_directory(path: str) -> tuple[str, str]:
    """The nearest directory around a file that has a signature, and the file's path from there, with `/`."""
    directory, name = os.path.split(os.path.abspath(path))
    while True:
        if os.path.isfile(os.path.join(directory, SIGNATURE_NAME)):
            return directory, name
        directory, last = os.path.split(directory)
        if not last:
            raise Refused(f"it has no signature: there is no {signature_path(path)}, nor a signed directory around it")
        name = f"{last}/{name}"


def _parts(manifest: Manifest, name: str) -> dict[str, tuple[str, str]]:
    """The digests of a file, by which part of it they are of."""
    return {
        entry.name[len(name) :]: (entry.algorithm, entry.digest)
        for entry in manifest.entries
        if file_of(entry.name, manifest.serialization) == name
    }
