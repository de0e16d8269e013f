"""What a scan let through, in a loader's terms: of which format the bytes are, and which names they may resolve."""

from collections.abc import Iterable, Sequence

import msgspec

from garrison.core.facts import Artifact, Import, Reference
from garrison.core.findings import Severity
from garrison.core.policy import Policy
from garrison.core.report import Item, Report


def guarding(policy: Policy) -> Policy:
    """The policy for a load: what is unknown (medium) denies, and so does what was not examined to its end."""
    threshold = min(policy.threshold, Severity.MEDIUM, key=lambda severity: severity.rank)
    return msgspec.structs.replace(policy, threshold=threshold, coverage="deny")


def refusal(report: Report) -> str:
    """Why the report's policy denies, in one line that names the rule of the worst finding; empty if it allows."""
    decision = report.decision
    if decision.allowed:
        return ""
    waived = {item.finding for item in decision.waived}
    worst = max((f for f in report.findings if f not in waived), key=lambda f: f.severity.rank, default=None)
    if worst is not None and worst.severity.rank >= decision.threshold.rank:
        place = f" {worst.place}" if worst.place else ""
        return f"{worst.subject}{place}: {worst.rule}: {worst.message}"
    gap = next((f"; {entry.subject}: {entry.reason}" for entry in report.coverage.entries), "")
    return f"{', '.join(report.subjects)}: {'; '.join(decision.reasons)}{gap}"


class Admitted:
    """One subject of a report that policy allows, with all that is inside it."""

    def __init__(self, report: Report, subject: str) -> None:
        self.subject = subject
        self.report = report
        below = f"{subject}!/"
        self.item = next(item for item in report.inventory if item.subject == subject)
        self.members: Sequence[Item] = [item for item in report.inventory if item.subject.startswith(below)]

    @property
    def formats(self) -> set[str]:
        """All that the bytes are, by the names of formats and of artifacts."""
        formats = {*self.item.formats, *(fact.format for fact in self.item.facts if isinstance(fact, Artifact))}
        if "joblib" in formats:  # its arrays stand between the opcodes, where only joblib's unpickler passes them over
            formats -= {"pickle", "pickle-text"}
        arrays = [item for item in self._direct() if "numpy" in item.formats]
        if formats == {"zip"} and arrays and len(arrays) == len(self._direct()):
            formats.add("numpy-archive")
        return formats

    def _direct(self) -> list[Item]:
        start = len(self.subject) + 2
        return [item for item in self.members if "!/" not in item.subject[start:]]

    def only_member(self) -> "Admitted | None":
        """What is inside, if it is one thing, as in a compressed stream."""
        inside = self._direct()
        return Admitted(self.report, inside[0].subject) if len(inside) == 1 else None

    def details(self, format: str) -> dict[str, str | int | float | bool]:
        """What the bytes say of themselves as an artifact of this format."""
        found = (fact for fact in self.item.facts if isinstance(fact, Artifact) and fact.format == format)
        return next(found, Artifact(format=format)).details

    def names(self, origin: str) -> frozenset[tuple[str, str]]:
        """The names that loading resolves, as written: what the scan saw and the policy lets pass."""
        found = (fact for fact in self._facts() if isinstance(fact, Import) and fact.origin == origin)
        return frozenset((fact.module, fact.name) for fact in found)

    def outside(self, role: str) -> list[str]:
        """The files beside the subject that loading reads in this role, each once."""
        found = (f.target for f in self._facts() if isinstance(f, Reference) and f.role == role and f.trigger == "load")
        return list(dict.fromkeys(found))

    def _facts(self) -> Iterable[object]:
        return (fact for item in (self.item, *self.members) for fact in item.facts)


class Options(msgspec.Struct, frozen=True):
    """What a caller may ask of loaders."""

    device: str = "cpu"
    """Where PyTorch puts tensors."""
