"""Numbers as people write them."""

import pytest

from garrison.core.robustness_card import Budget, Norm
from garrison.reporting.card import wording


@pytest.mark.parametrize(
    ("norm", "epsilon", "said"),
    [
        ("linf", 8 / 255, "linf 8/255"),
        ("linf", 0.0313725, "linf 8/255"),
        ("linf", 0.1, "linf 0.1"),
        ("l2", 0.5, "l2 0.5"),
        ("l2", 128 / 256, "l2 0.5"),
        ("l1", 12.0, "l1 12"),
    ],
)
def test_budgets_are_written_as_the_field_writes_them(norm: Norm, epsilon: float, said: str) -> None:
    budget = Budget(norm=norm, epsilon=epsilon)
    assert wording.budget(budget) == said
    assert wording.named_budget(f"square, {budget}, 30 inputs") == f"square, {said}, 30 inputs"


def test_text_that_is_no_budget_stays() -> None:
    assert wording.named_budget("2 words, cost 1") == "2 words, cost 1"
    assert wording.budget(None) == "within constraints"


def test_rates_of_false_positives_are_percentages() -> None:
    assert wording.false_positives("0.001") == "0.1 % false positives"
    assert wording.false_positives("0.01") == "1 % false positives"
