"""Incidents of this room."""

from garrison.core.findings import Finding, Severity
from garrison.serving.incidents import Incident
from garrison.serving.services import Services

_SEVERITY = {
    "input-drift": Severity.MEDIUM, "output-drift": Severity.MEDIUM, "accuracy-drop": Severity.HIGH,
    "bias-shift": Severity.HIGH, "query-search": Severity.HIGH, "query-foreign": Severity.MEDIUM,
    "query-extraction-exposure": Severity.MEDIUM, "canary-failed": Severity.HIGH, "model-integrity": Severity.CRITICAL,
}  # fmt: skip


def tell(
    services: Services, rule: str, model: str, message: str, *, principal: str = "", call: str = "",
    resolved: bool = False,
) -> None:  # fmt: skip
    """Report an incident, or that one is over."""
    finding = Finding(rule=rule, severity=_SEVERITY[rule], subject=model, message=message)
    services.report(
        Incident(finding=finding, time=services.wall(), model=model, principal=principal, call=call, resolved=resolved)
    )
