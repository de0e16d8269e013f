"""Signatures of models and attestations: Sigstore bundles and bare DSSE envelopes. Whether they hold is for `verify`.

Source: https://github.com/sigstore/protobuf-specs (sigstore_bundle.proto), https://github.com/secure-systems-lab/dsse,
OpenSSF Model Signing 1.0, section 4.
"""

import re

from garrison.core.errors import NotUnderstood
from garrison.core.facts import Artifact
from garrison.provenance.trust import Refused
from garrison.sources.source import Context, Extracted, Source

_HEAD = 1 << 16
_BUNDLE = re.compile(rb'"mediaType"\s*:\s*"application/vnd\.dev\.sigstore\.bundle')
_ENVELOPE = re.compile(rb'"payloadType"\s*:\s*"')
_TOLD = 200


def sniff(source: Source) -> bool:
    """An object with the media type of bundles, or with the fields of an envelope."""
    head = source.reader.pread(0, _HEAD)
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    ends = (head, source.reader.pread(max(source.reader.size - _HEAD, 0), _HEAD))
    if any(_BUNDLE.search(part) for part in ends):
        return True
    return any(_ENVELOPE.search(part) for part in ends) and any(b'"signatures"' in part for part in ends)


def extract(source: Source, context: Context) -> Extracted:
    """Who could have signed what, as it says itself. Raises `NotUnderstood`."""
    from garrison.provenance.bundles.reading import read
    from garrison.provenance.dsse import IN_TOTO
    from garrison.provenance.statements import parsed

    data = source.reader.whole(context.limits.buffer)
    details: dict[str, str | int | float | bool] = {}
    try:
        bundle = read(data)
        details["payload_type"] = bundle.envelope.payload_type[:_TOLD]
        details["signatures"] = len(bundle.signatures)
        details["signer"] = "logged" if bundle.logged else "certificate" if bundle.certificates else "key"
        statement = parsed(bundle.body) if bundle.envelope.payload_type == IN_TOTO else None
    except Refused as refused:
        yield Artifact(format="signature", details=details)
        raise NotUnderstood(str(refused)) from None
    if statement is not None:
        details["predicate"] = statement.predicate_type[:_TOLD]
        details["subjects"] = len(statement.subject)
    if statement is not None and len(statement.subject) == 1:
        details["subject"] = statement.subject[0].name[:_TOLD]
        details["sha256"] = statement.subject[0].digest.get("sha256", "")[:64]
    yield Artifact(format="signature", details=details)
