"""Make a model harder to fool, and measure what that changed: each function returns a model, its before and after."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from garrison.robustness.hardening.adversarial import adversarial_training, trades
    from garrison.robustness.hardening.ensembles import Ensembled, ensemble
    from garrison.robustness.hardening.hardened import Hardened, Measured
    from garrison.robustness.hardening.preprocessing import (
        Jpeg,
        Median,
        Quantise,
        RandomResize,
        TotalVariation,
        preprocess,
    )
    from garrison.robustness.hardening.private import Private, private_training
    from garrison.robustness.hardening.recipe import Epoch, Recipe
    from garrison.robustness.hardening.smoothing import Certificates, Smoothed, SmoothedClassifier, smooth

__all__ = [
    "Certificates",
    "Ensembled",
    "Epoch",
    "Hardened",
    "Jpeg",
    "Measured",
    "Median",
    "Private",
    "Quantise",
    "RandomResize",
    "Recipe",
    "Smoothed",
    "SmoothedClassifier",
    "TotalVariation",
    "adversarial_training",
    "ensemble",
    "preprocess",
    "private_training",
    "smooth",
    "trades",
]

_HOMES = {
    "Certificates": "smoothing",
    "Ensembled": "ensembles",
    "Epoch": "recipe",
    "Hardened": "hardened",
    "Jpeg": "preprocessing",
    "Measured": "hardened",
    "Median": "preprocessing",
    "Private": "private",
    "Quantise": "preprocessing",
    "RandomResize": "preprocessing",
    "Recipe": "recipe",
    "Smoothed": "smoothing",
    "SmoothedClassifier": "smoothing",
    "TotalVariation": "preprocessing",
    "adversarial_training": "adversarial",
    "ensemble": "ensembles",
    "preprocess": "preprocessing",
    "private_training": "private",
    "smooth": "smoothing",
    "trades": "adversarial",
}


def __getattr__(name: str) -> Any:
    """Public names, imported when they are used: they need torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
