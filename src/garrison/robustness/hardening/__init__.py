"""Make a model harder to fool, and measure what that changed: each function returns a model, its before and after."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from garrison.robustness.hardening.adversarial import adversarial_training, trades
    from garrison.robustness.hardening.hardened import Hardened, Measured
    from garrison.robustness.hardening.recipe import Epoch, Recipe

__all__ = ["Epoch", "Hardened", "Measured", "Recipe", "adversarial_training", "trades"]

_HOMES = {
    "Epoch": "recipe",
    "Hardened": "hardened",
    "Measured": "hardened",
    "Recipe": "recipe",
    "adversarial_training": "adversarial",
    "trades": "adversarial",
}


def __getattr__(name: str) -> Any:
    """Public names, imported when they are used: they need torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
