"""The gate: whether a model passes, from policy over evidence alone.

Nothing is scanned or run here. What others have said about the model, and signed, is gathered (`sources`), checked
(`candidates`), held against the model's bytes (`subjects`) and judged (`requirements`). Whatever does not count is
listed with the reason; a requirement that cannot be judged is not met.

    evidence = [*sources.files.beside("model"), *sources.files.in_path("evidence")]
    decision = decide("model", gate_policy(policy.gate), policy.identities, evidence, now=datetime.now(UTC))
    decision.allowed, decision.requirements
"""

from garrison.provenance.gate.deciding import decide
from garrison.provenance.gate.evidence import Piece

__all__ = ["Piece", "decide"]
