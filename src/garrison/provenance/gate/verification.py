"""The decision as a statement of its own: SLSA's verification summary, which others can check without the evidence.

Source: https://slsa.dev/spec/v1.1/verification_summary. `verifiedLevels` holds a value of garrison's own for each
requirement that was met, such as `GARRISON_SCAN`, or `FAILED`; values that begin with `SLSA_` are for SLSA's levels,
which nothing here judges.
"""

import os
import urllib.parse
from typing import Any

import msgspec

from garrison.core.gate_decision import GateDecision
from garrison.provenance.statements import STATEMENT
from garrison.provenance.trust import Refused

PREDICATE = "https://slsa.dev/verification_summary/v1"
VERIFIER = "https://garrison/gate/v1"


class DecidedBy(msgspec.Struct, frozen=True, kw_only=True):
    """The policy that a decision follows from."""

    uri: str
    sha256: str
    """Of its file."""


def summary(decision: GateDecision, policy: DecidedBy, *, version: str, resource: str = "") -> bytes:
    """The statement, to be signed; the same for the same decision.

    `version` is garrison's; `resource` is the URI by which others know the model, by default its name as a `file:`.
    Raises `Refused` for a model that could not be read, of which nothing can be said.
    """
    if decision.subject is None:
        raise Refused("the model could not be read, so that nothing can be said of it")
    evidence: dict[str, str] = {}
    for requirement in decision.requirements:
        evidence.update((counted.place, counted.sha256) for counted in requirement.evidence)
    met = [f"GARRISON_{one.name.upper()}" for one in decision.requirements]
    predicate: dict[str, Any] = {
        "verifier": {"id": VERIFIER, "version": {"garrison": version}},
        "timeVerified": decision.decided.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "resourceUri": resource or _uri(os.path.basename(os.path.abspath(decision.model))),
        "policy": {"uri": policy.uri, "digest": {"sha256": policy.sha256}},
        "inputAttestations": [
            {"uri": _uri(place), "digest": {"sha256": sha256}} for place, sha256 in sorted(evidence.items())
        ],
        "verificationResult": "PASSED" if decision.allowed else "FAILED",
        "verifiedLevels": met if decision.allowed else ["FAILED"],
    }
    return msgspec.json.encode(
        {"_type": STATEMENT, "subject": [decision.subject], "predicateType": PREDICATE, "predicate": predicate}
    )


def _uri(place: str) -> str:
    """A place as a URI: an address as it is, a path as a relative `file:`."""
    return place if place.startswith("oci://") else f"file:{urllib.parse.quote(os.fsencode(place))}"
