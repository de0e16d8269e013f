"""The report as JSON: all that garrison learnt, in a stable order, for machines.

Its schema is published and versioned (`SCHEMA_VERSION` in `garrison.core.report`); `garrison schema` prints it.
"""

import inspect
from typing import Any

import msgspec

from garrison.core.report import SCHEMA_VERSION, Report
from garrison.reporting.json_text import json_text


def render(report: Report) -> str:
    """The whole report, as its schema says."""
    return json_text(report)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the report."""
    described = msgspec.json.schema(Report)
    for part in described["$defs"].values():
        if "description" in part:
            # Whether a docstring's indentation is taken away depends on the versions of Python and msgspec.
            part["description"] = inspect.cleandoc(part["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"garrison report {SCHEMA_VERSION}",
        **described,
    }
