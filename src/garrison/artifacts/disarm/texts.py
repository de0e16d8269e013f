"""Which texts are left behind: those that somebody would run."""

from garrison.artifacts import metadata_text
from garrison.artifacts.knowledge.metadata_text import does

_TEMPLATE = ("{{", "{%")
_WORD = 9
_ENCODED = 32
"""Characters below which a word, or a text in base64, is no program."""


def objection(text: str) -> str:
    """Why a text is not carried; empty where nothing is to be said against it."""
    if any(mark in text for mark in _TEMPLATE):
        return "text that is a template, which those who use it would run"
    if len(text) < (_ENCODED if text.isalnum() else _WORD):
        return ""
    fact = next(metadata_text.program("", text), None)
    return "" if fact is None else f"{fact.language} text that {does(fact.names[0])}"
