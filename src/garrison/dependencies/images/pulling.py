"""Opens references to images in registries, outside of the workers' jail.

The image is first written to a private temporary layout: its blobs as they are, compressed, each held against its
digest. The layout is removed when the scan ends.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator

import msgspec

from garrison.core.errors import ExaminationError, LimitExceeded, Malformed, UsageError
from garrison.core.facts import Anomaly, Examination
from garrison.dependencies.images.archive import best_of
from garrison.dependencies.images.layout import layout
from garrison.dependencies.images.places import LAYOUT
from garrison.sources.oci import documents
from garrison.sources.oci.connection import Unreachable
from garrison.sources.oci.documents import INDEXES, Descriptor, text
from garrison.sources.oci.reference import Reference, parse
from garrison.sources.oci.registry import Registry, WrongDigest
from garrison.sources.paths import File, Omitted
from garrison.sources.reader import BytesReader

_LARGEST = 64 << 30
"""Bytes of one image's blobs that are fetched."""
_SPARED = 1 << 30
"""Bytes of the temporary folder's disk that are left free."""
_NESTED = 4


def open_reference(subject: str, stack: contextlib.ExitStack) -> Iterator[File | Omitted | Examination]:
    """The image that a registry has under this name, by way of a temporary layout.

    Raises `UsageError` where the name is none, or the registry does not give the image.
    """
    reference = parse(subject)
    try:
        fetched = _Fetched(subject, reference, stack)
        yield from fetched.fetch()
    except Unreachable as error:
        raise UsageError(f"{subject}: {error}") from None
    except WrongDigest as error:
        fact = Anomaly(what="image-mismatch", detail=str(error))
        yield Examination(subject=subject, facts=[fact], state="failed", reason=str(error))
    except ExaminationError as error:
        fact = Anomaly(what="malformed", detail=str(error))
        yield Examination(subject=subject, facts=[fact], state="failed", reason=str(error))


class _Fetched:
    """A temporary layout with what a registry gave."""

    def __init__(self, subject: str, reference: Reference, stack: contextlib.ExitStack) -> None:
        self._subject = subject
        self._reference = reference
        self._stack = stack
        self._registry = Registry(reference)
        self._folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="garrison-"))
        os.makedirs(os.path.join(self._folder, "blobs"), mode=0o700)

    def fetch(self) -> Iterator[File | Omitted]:
        wanted = self._reference.wanted
        for _ in range(_NESTED):
            body, media_type, digest = self._registry.manifest(wanted)
            document = documents.read(BytesReader(body), "the manifest")
            if "fsLayers" in document:
                raise Malformed("a manifest of Docker's first schema, which is not read")
            if media_type not in INDEXES and not isinstance(document.get("manifests"), list):
                break
            named = [one for one in documents.index(document) if not one.attestation]
            if not named:
                raise Malformed("an index that names no image")
            best = best_of(named)
            for other in named:
                if other is not best:
                    reason = f"for {other.platform or 'another platform'}; the image for {best.platform} is examined"
                    yield Omitted(f"{self._subject}!/{other.digest}", "skipped", reason)
            wanted = best.digest
        else:
            raise Malformed("indexes are nested too deep")
        self._write(digest, body)
        manifest = documents.manifest(document)
        blobs = [*manifest.layers, *([manifest.config] if manifest.config is not None else [])]
        blobs = [blob for blob in {blob.digest: blob for blob in blobs}.values() if not blob.elsewhere]
        self._check_size(blobs)
        for blob in blobs:
            with open(self._path(blob.digest), "wb") as file:
                self._registry.blob(blob, file)
        media_type = text(document.get("mediaType")) or media_type
        entry = {"mediaType": media_type, "digest": digest, "size": len(body)}
        for name, data in ((LAYOUT, {"schemaVersion": 2, "manifests": [entry]}), ("oci-layout", {})):
            with open(os.path.join(self._folder, name), "wb") as file:
                file.write(msgspec.json.encode(data))
        yield from layout(self._folder, self._subject, self._stack)

    def _check_size(self, blobs: list[Descriptor]) -> None:
        if any(blob.size < 0 for blob in blobs):
            raise Malformed("a manifest that does not say how long its blobs are")
        total = sum(blob.size for blob in blobs)
        room = os.statvfs(self._folder)
        if total > min(_LARGEST, room.f_bavail * room.f_frsize - _SPARED):
            raise LimitExceeded("unpacked", f"{total} bytes are more than the temporary folder has room for")

    def _path(self, digest: str) -> str:
        algorithm, _, name = digest.partition(":")
        folder = os.path.join(self._folder, "blobs", algorithm)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return os.path.join(folder, name)

    def _write(self, digest: str, data: bytes) -> None:
        with open(self._path(digest), "wb") as file:
            file.write(data)
