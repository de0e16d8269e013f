"""Renderers of a report, one a file: each module here has `render(report) -> str`."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

RENDERERS = {
    "table": "garrison.reporting.table",
    "json": "garrison.reporting.json_report",
    "sarif": "garrison.reporting.sarif",
    "html": "garrison.reporting.html",
    "markdown": "garrison.reporting.markdown",
    "junit": "garrison.reporting.junit",
    "cyclonedx": "garrison.reporting.cyclonedx",
}
"""Format name to module; a module is imported only when its format is asked for."""


def renderer(name: str) -> "Callable[..., str]":
    """The `render` of a format in `RENDERERS`."""
    render: Callable[..., Any] = importlib.import_module(RENDERERS[name]).render
    return render
