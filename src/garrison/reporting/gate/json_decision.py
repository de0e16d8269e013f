"""The decision for programs: all of it."""

from garrison.core.gate_decision import GateDecision
from garrison.reporting.json_text import json_text


def render(decision: GateDecision) -> str:
    return json_text(decision)
