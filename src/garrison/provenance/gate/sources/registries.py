"""Evidence that is attached to something in a registry.

1. What a reference names is resolved to a digest.
2. What refers to it is listed, and of that each Sigstore bundle is taken, as cosign attaches them since its version 3
   (artifact type `application/vnd.dev.sigstore.bundle.v0.3+json`).
3. DSSE envelopes are taken too, which cosign kept before that under the tag `sha256-….att`.
4. If what is named holds such documents itself, they are evidence as well.

Sources: OCI distribution specification 1.1 ("Listing Referrers"); cosign's BUNDLE_SPEC.md and ATTESTATION_SPEC.md.
"""

import io
import time
from collections.abc import Iterator

from garrison.core.errors import ExaminationError
from garrison.core.gate_decision import PassedOver
from garrison.provenance.bundles.reading import BUNDLE_BYTES
from garrison.provenance.gate.evidence import Piece
from garrison.sources.oci import documents
from garrison.sources.oci.connection import Unreachable
from garrison.sources.oci.documents import Descriptor
from garrison.sources.oci.reference import parse
from garrison.sources.oci.registry import Missing, Registry
from garrison.sources.reader import BytesReader

SCHEME = "oci://"
_BUNDLE = "application/vnd.dev.sigstore.bundle"
_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
_SECONDS = 300.0
"""For all that one reference leads to."""


def attached(reference: str) -> Iterator[Piece | PassedOver]:
    """What is attached to what a reference names, and in it. Raises `UsageError` for what is no reference."""
    named = parse(reference)
    source = _Source(Registry(named, _SECONDS), f"{SCHEME}{named.registry}/{named.repository}")
    try:
        yield from source.about(named.wanted)
    except (Unreachable, ExaminationError) as error:
        yield PassedOver(place=reference, reason=str(error))


class _Source:
    def __init__(self, registry: Registry, name: str) -> None:
        self._registry = registry
        self._name = name
        self._until = time.monotonic() + _SECONDS
        self._seen: set[str] = set()

    def about(self, wanted: str) -> Iterator[Piece | PassedOver]:
        digest, named = self._manifest(wanted)
        yield from self._layers(named)
        for one in self._registry.referrers(digest):
            # Most of what refers to something else is no statement: bills of materials, signatures of images.
            if not one.artifact_type or one.artifact_type.startswith(_BUNDLE):
                yield from self._within(one.digest)
        yield from self._within(f"{digest.replace(':', '-', 1)}.att", required=False)

    def _within(self, wanted: str, *, required: bool = True) -> Iterator[Piece | PassedOver]:
        """The statements in one manifest; what is wrong with it is no reason to leave out others."""
        if time.monotonic() > self._until:
            yield PassedOver(place=f"{self._name}@{wanted}", reason=f"not fetched within {_SECONDS:.0f} seconds")
            return
        try:
            yield from self._layers(self._manifest(wanted)[1])
        except Missing as error:
            if required:
                yield PassedOver(place=f"{self._name}@{wanted}", reason=str(error))
        except (Unreachable, ExaminationError) as error:
            yield PassedOver(place=f"{self._name}@{wanted}", reason=str(error))

    def _manifest(self, wanted: str) -> tuple[str, documents.Manifest]:
        body, _, digest = self._registry.manifest(wanted)
        return digest, documents.manifest(documents.read(BytesReader(body), "the manifest"))

    def _layers(self, manifest: documents.Manifest) -> Iterator[Piece | PassedOver]:
        for layer in manifest.layers:
            if layer.media_type.startswith(_BUNDLE) or layer.media_type == _ENVELOPE:
                yield from self._blob(layer)

    def _blob(self, layer: Descriptor) -> Iterator[Piece | PassedOver]:
        place = f"{self._name}@{layer.digest}"
        if layer.digest in self._seen:
            return
        self._seen.add(layer.digest)
        if not 0 <= layer.size <= BUNDLE_BYTES:
            yield PassedOver(
                place=place, reason=f"said to have {layer.size:,} bytes, where {BUNDLE_BYTES:,} are the most"
            )
            return
        if time.monotonic() > self._until:
            yield PassedOver(place=place, reason=f"not fetched within {_SECONDS:.0f} seconds")
            return
        data = io.BytesIO()
        try:
            self._registry.blob(layer, data)
        except (Unreachable, ExaminationError) as error:
            yield PassedOver(place=place, reason=str(error))
        else:
            yield Piece(place=place, data=data.getvalue())
