"""Renderers of a gate's decision, one a file: each module here has `render(decision) -> str`."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

RENDERERS = {
    "table": "garrison.reporting.gate.table",
    "json": "garrison.reporting.gate.json_decision",
    "markdown": "garrison.reporting.gate.markdown",
}
"""Format name to module; a module is imported only when its format is asked for."""


def renderer(name: str) -> "Callable[..., str]":
    """The `render` of a format in `RENDERERS`."""
    render: Callable[..., Any] = importlib.import_module(RENDERERS[name]).render
    return render
