"""Judges operators of PyTorch, in TorchScript, exported programs and ExecuTorch alike."""

from garrison.artifacts.knowledge.torch_operators import torch_operators
from garrison.core.facts import Operator
from garrison.core.findings import Severity

FRAMEWORKS = frozenset({"torchscript", "torch.export", "executorch"})


def judge(fact: Operator) -> tuple[str, Severity, str] | None:
    """The rule, severity and message for one operator, or `None` where it is harmless."""
    entry = torch_operators().get(fact.name)
    with_what = ", ".join(f"{value!r}" for key, value in fact.arguments.items() if value and key != "shared")[:200]
    if entry is None:
        message = f"{fact.name} is no part of PyTorch or of a library that garrison knows; what it does is unknown"
        return "custom-operator", Severity.MEDIUM, f"{message}{f' (given {with_what})' if with_what else ''}"
    shown = f"{fact.name} {entry.does}{f': {with_what}' if with_what else ''}"
    if entry.effect in ("network", "python"):
        return f"{entry.effect}-operator", Severity.HIGH, shown
    writes = entry.effect == "write" or (bool(entry.writes_if[1]) and fact.arguments.get("shared", "") not in _FALSE)
    if writes and entry.effect == "read":
        shown = f"{fact.name} maps a file so that the model writes to it{f': {with_what}' if with_what else ''}"
    if not with_what:
        return "file-operator", Severity.MEDIUM, f"{shown}, one that it is given when it runs"
    return "file-operator", Severity.CRITICAL if writes else Severity.HIGH, shown


_FALSE = frozenset({"", "False", "None", "0"})
