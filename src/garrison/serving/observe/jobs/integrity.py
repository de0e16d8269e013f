"""Whether what the server loads is what was signed."""

import asyncio
from collections.abc import Callable

from garrison.core.errors import GarrisonError
from garrison.core.policy import Identity
from garrison.provenance.signing import verify
from garrison.provenance.trust import Trust, kind_of
from garrison.serving.config.config import Model
from garrison.serving.observe.jobs.periodic import Job
from garrison.serving.observe.reports import tell
from garrison.serving.services import Services


class ModelIntegrity:
    """Verifies a model, in a thread, and tells when it begins to differ and when it holds again."""

    def __init__(self, name: str, model: Model, services: Services, altered: Callable[[bool], None]) -> None:
        """`altered` is told whether calls shall be refused. Raises `UsageError` for trust in nobody."""
        settings = model.observe.integrity
        self._name, self._settings, self._services, self._altered = name, settings, services, altered
        identity = Identity(
            name="signer", public_key=settings.public_key, authorities=settings.authorities,
            subject=settings.subject, issuer=settings.issuer, trusted_root=settings.trusted_root,
        )  # fmt: skip
        kind_of(identity)
        self._trust = Trust(identities=(identity,))
        self.failing = False
        self.runs = 0

    def job(self) -> Job:
        return Job(name=f"{self._name}: integrity", interval=self._settings.seconds, run=self.run)

    async def run(self) -> None:
        """Verify once. What cannot be verified does not hold."""
        reason = await asyncio.to_thread(self._verified)
        self.runs += 1
        if reason and not self.failing:
            tell(self._services, "model-integrity", self._name, reason)
        elif self.failing and not reason:
            tell(self._services, "model-integrity", self._name, "the model is the one that was signed", resolved=True)
        self.failing = bool(reason)
        self._altered(self.failing and self._settings.reaction == "refuse")

    def _verified(self) -> str:
        """Why it does not hold; empty if it does."""
        try:
            found = verify(self._settings.model, self._trust, signature=self._settings.signature or None)
        except (GarrisonError, OSError) as error:
            return f"{error}"[:500]
        difference = found.difference
        parts = [
            f"{kind} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            for kind in ("added", "missing", "changed")
            if (names := tuple(getattr(difference, kind)))
        ]
        return "; ".join(parts)
