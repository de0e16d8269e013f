"""Bundles: a signed statement with all that is needed to check it, in one file.

A Sigstore bundle holds a DSSE envelope and what verifies its signature: a hint at a key, an X.509 chain, or a
certificate of Sigstore with entries of its transparency log. OpenSSF Model Signing keeps its signatures in them. A bare
DSSE envelope, as in-toto's tools write, is read too.

    bundle = write(statement, signer)
    opened(bundle, trust, now=datetime.now(UTC)).payload == statement
"""

from garrison.provenance.bundles.keyless import KeylessSigner
from garrison.provenance.bundles.opening import Opened, opened, opened_by_all
from garrison.provenance.bundles.writing import Author, CertificateSigner, write

__all__ = ["Author", "CertificateSigner", "KeylessSigner", "Opened", "opened", "opened_by_all", "write"]
