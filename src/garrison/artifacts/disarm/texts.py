"""Which texts are left behind: those that somebody would run."""

import functools

from garrison.artifacts import metadata_text
from garrison.artifacts.knowledge.metadata_text import does

_TEMPLATE = ("{{", "{%")
_WORD = 9
_ENCODED = 32
"""Characters below which a word, or a text in base64, is no program."""
_SHORT = 1000


def objection(text: str) -> str:
    """Why a text is not carried; empty where nothing is to be said against it."""
    if any(mark in text for mark in _TEMPLATE):
        return "text that is a template, which those who use it would run"
    if len(text) < (_ENCODED if text.isalnum() else _WORD):
        return ""
    return _remembered(text) if len(text) < _SHORT else _deed(text)


def _deed(text: str) -> str:
    fact = next(metadata_text.program("", text), None)
    return "" if fact is None else f"{fact.language} text that {does(fact.names[0])}"


_remembered = functools.lru_cache(maxsize=4096)(_deed)
"""The same for short texts, which structures may hold again and again."""
