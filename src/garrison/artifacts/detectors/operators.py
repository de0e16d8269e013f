"""Judges graph operators by what they do with which arguments: an ordinary checkpoint's saver is no alarm."""

import re
from collections.abc import Iterator, Sequence

from garrison.artifacts.detectors import torch_operators
from garrison.artifacts.detectors.folders import leaves
from garrison.artifacts.knowledge.engine_operators import engines
from garrison.artifacts.knowledge.operators import OperatorEntry, onnx_domains, tensorflow_operators
from garrison.core.facts import Examination, Operator
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_STANDARD_STREAMS = ("stderr", "stdout", "log(")
_ONNX_OWN = ("", "ai.onnx")
_PYTHON_OPERATOR = re.compile(r"^py_?(?:op|func|custom)|python", re.IGNORECASE)
"""`PyOp` of ONNX Runtime and its extensions, `PythonOp` of its training, `PyFunc`."""


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """One finding for each operator and set of arguments in a subject."""
    for examination in examinations:
        seen: set[tuple[str, str, Severity]] = set()
        for fact in examination.facts:
            if type(fact) is Operator and fact.framework not in engines() and (outcome := _judge(fact)) is not None:
                rule, severity, message = outcome
                if (rule, message, severity) not in seen:
                    seen.add((rule, message, severity))
                    yield finding(rule, examination.subject, fact.place, message, severity=severity)


def _judge(fact: Operator) -> tuple[str, Severity, str] | None:
    if fact.framework == "onnx":
        return _onnx(fact)
    if fact.framework in torch_operators.FRAMEWORKS:
        return torch_operators.judge(fact)
    entry = tensorflow_operators().get(fact.name)
    if entry is None:
        message = f"the operator {fact.domain}{fact.name} is no part of {fact.framework}; what it does is unknown"
        return "custom-operator", Severity.MEDIUM, message
    return _known(fact, entry)


def _known(fact: Operator, entry: OperatorEntry) -> tuple[str, Severity, str] | None:
    values = [value for value in fact.arguments.values() if value]
    shown = f"the operator {fact.name} {entry.does}" + (f": {', '.join(map(repr, values))[:200]}" if values else "")
    rule = {"network": "network-operator", "python": "python-operator"}.get(entry.effect, "file-operator")
    if entry.effect in ("network", "python"):
        return rule, Severity.HIGH, shown
    if fact.name == "PrintV2":
        stream = fact.arguments.get("output_stream", "")
        return None if not stream or stream.startswith(_STANDARD_STREAMS) else (rule, Severity.HIGH, shown)
    if fact.name in ("DecodeProtoV2", "EncodeProto"):
        described = fact.arguments.get("descriptor_source", "")
        return None if described.startswith(("local://", "bytes://")) or not described else (rule, Severity.HIGH, shown)
    if not values:
        return None if entry.ordinary else (rule, Severity.MEDIUM, f"{shown}, with an argument that is computed")
    if entry.ordinary and not any(leaves(value) for value in values):
        return None if entry.effect == "read" else (rule, Severity.HIGH, f"{shown}, a fixed name")
    return rule, Severity.CRITICAL if entry.effect == "write" else Severity.HIGH, shown


def _onnx(fact: Operator) -> tuple[str, Severity, str] | None:
    shown = f"{fact.domain or 'ai.onnx'}::{fact.name}"
    if _PYTHON_OPERATOR.search(fact.name):
        return "python-operator", Severity.HIGH, f"the operator {shown} calls Python code outside the model"
    if fact.domain in onnx_domains():
        return None
    if fact.domain in _ONNX_OWN:
        message = f"the operator {shown} is in no version of ONNX; a library must be loaded for it"
    else:
        message = f"the operator {shown} is no part of ONNX or of a known runtime; a library must be loaded for it"
    return "custom-operator", Severity.MEDIUM, message
