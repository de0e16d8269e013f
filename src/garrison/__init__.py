"""garrison: a security system for machine learning.

import garrison

report = garrison.scan("model.pt")
report.decision.allowed

(PYTEST_DONT_REWRITE: a protected process has imported this before pytest looks at its plugins.)
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["LoadRefused", "Policy", "Report", "__version__", "admitted", "describe", "load", "protect", "scan"]

if TYPE_CHECKING:
    from garrison.artifacts.loading.refusal import LoadRefused
    from garrison.core.policy import Policy
    from garrison.core.report import Report
    from garrison.describing import describe
    from garrison.loading import admitted, load
    from garrison.protect import protect
    from garrison.scanning import scan


def __getattr__(name: str) -> object:
    """Public names, imported on first use so that `import garrison` costs nothing."""
    homes = {
        "LoadRefused": "garrison.artifacts.loading.refusal",
        "Policy": "garrison.core.policy",
        "Report": "garrison.core.report",
        "admitted": "garrison.loading",
        "describe": "garrison.describing",
        "load": "garrison.loading",
        "scan": "garrison.scanning",
    }
    if name not in homes and name != "protect":
        raise AttributeError(f"module 'garrison' has no attribute {name!r}")
    import importlib

    if name == "protect":
        return importlib.import_module("garrison.protect")  # a module that can be called, and that can be run
    return getattr(importlib.import_module(homes[name]), name)
