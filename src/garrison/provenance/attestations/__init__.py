"""Attestations: what somebody says about a model, signed, so that it can be checked elsewhere and later.

An attestation is an in-toto statement in a bundle: its subject is the model's digest, its predicate what is said of it.

    subject = subject_of(*attested("model"))
    bundle = attest([subject], Approval(created=now, decision="approved"), signer)
    store(bundle, "approval", directory_of("model"))

Whoever has the model, and trusts the signer, can tell later that it is still the one that was approved:

    for one in stored(directory_of("model")):
        found = opened(one.data, trust, now=now)
        about(found, manifests("model", found.subjects))
"""

from garrison.provenance.attestations.predicates import (
    PREDICATES,
    AnyPredicate,
    Approval,
    Provenance,
    Robustness,
    Scan,
    Version,
)
from garrison.provenance.attestations.scans import scanned
from garrison.provenance.attestations.statement import Attestation, about, attest, opened
from garrison.provenance.attestations.storage import Stored, directory_of, store, stored
from garrison.provenance.attestations.training import trained
from garrison.provenance.subjects import attested, manifests, subject_of

__all__ = [
    "PREDICATES",
    "AnyPredicate",
    "Approval",
    "Attestation",
    "Provenance",
    "Robustness",
    "Scan",
    "Stored",
    "Version",
    "about",
    "attest",
    "attested",
    "directory_of",
    "manifests",
    "opened",
    "scanned",
    "store",
    "stored",
    "subject_of",
    "trained",
]
