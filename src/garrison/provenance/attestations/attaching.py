"""Attach attestations to what a registry holds, as cosign does since its version 3.

Each becomes a small artifact whose subject is what it is attached to. A registry that does not list what refers to
something is helped by an index under a tag named after the digest.

Sources: OCI distribution specification 1.1 ("Pushing Manifests with Subject" and "Referrers Tag Schema"); cosign's
BUNDLE_SPEC.md.
"""

import hashlib
from typing import Any

import msgspec

from garrison.provenance.bundles.reading import MEDIA_TYPE, read
from garrison.provenance.statements import parsed
from garrison.sources.oci import documents
from garrison.sources.oci.documents import INDEXES, MANIFESTS
from garrison.sources.oci.reference import parse
from garrison.sources.oci.registry import Missing, Registry
from garrison.sources.reader import BytesReader

_INDEX, _MANIFEST = INDEXES[0], MANIFESTS[0]
_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


def attach(bundle: bytes, reference: str) -> str:
    """Attach a bundle to what the reference names; returns the reference of what was put there.

    Raises `Refused` for what is no bundle of a statement, `UsageError` for what is no reference, and `Unreachable` or
    `ExaminationError` if the registry does not take it.
    """
    statement = parsed(read(bundle).body)
    named = parse(reference)
    registry = Registry(named)
    body, media_type, digest = registry.manifest(named.wanted)
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "artifactType": MEDIA_TYPE,
        "config": _descriptor(_EMPTY, _EMPTY_TYPE),
        "layers": [_descriptor(bundle, MEDIA_TYPE)],
        "subject": {"mediaType": media_type or _MANIFEST, "digest": digest, "size": len(body)},
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": statement.predicate_type,
        },
    }
    data = msgspec.json.encode(manifest)
    attached = _descriptor(data, _MANIFEST)
    registry.put_blob(_EMPTY)
    registry.put_blob(bundle)
    if not registry.put_manifest(attached["digest"], data, _MANIFEST):
        about = {**attached, "artifactType": MEDIA_TYPE, "annotations": manifest["annotations"]}
        _list(registry, digest.replace(":", "-", 1), about)
    return f"oci://{named.registry}/{named.repository}@{attached['digest']}"


def _list(registry: Registry, tag: str, attached: dict[str, Any]) -> None:
    """Add a manifest to the index of what refers to another, unless it is there."""
    try:
        body, _, _ = registry.manifest(tag)
        document = documents.read(BytesReader(body), "a list of referrers")
    except Missing:
        document = {"schemaVersion": 2, "mediaType": _INDEX}
    known = documents.rows(document.get("manifests"))
    if not any(documents.table(one).get("digest") == attached["digest"] for one in known):
        registry.put_manifest(tag, msgspec.json.encode({**document, "manifests": [*known, attached]}), _INDEX)


def _descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
