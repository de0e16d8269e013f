"""How far an attacker may move an input: `linf:8/255`, `l2:0.5`."""

import math
from typing import get_args

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Budget, Norm

NORMS: tuple[Norm, ...] = get_args(Norm)
_CLOSE = 1e-6
"""How far budgets may be apart to be the same, as a share."""


def parsed(text: str) -> Budget:
    """A budget as written: a norm, a colon, and a number or a fraction, in the units of the inputs.

    Raises `UsageError`.
    """
    norm, colon, amount = text.strip().lower().partition(":")
    if not colon or norm not in NORMS:
        raise UsageError(f"{text!r} is no budget; write one of {', '.join(NORMS)}, a colon and a number: linf:8/255")
    epsilon = number(amount)
    if epsilon is None or epsilon <= 0:
        raise UsageError(f"{text!r}: {amount!r} is no positive number or fraction")
    return Budget(norm=norm, epsilon=epsilon)


def same(one: Budget, other: Budget) -> bool:
    """Whether two budgets differ by no more than the decimals that they are written in."""
    return one.norm == other.norm and math.isclose(one.epsilon, other.epsilon, rel_tol=_CLOSE)


def number(text: str) -> float | None:
    """`0.03`, `8/255`; `None` for what is no finite number."""
    above, slash, below = text.partition("/")
    try:
        value = float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None
