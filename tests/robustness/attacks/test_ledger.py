"""The ledger: each question counts against its input, and the first and the nearest finds are kept."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from garrison.robustness.attacks.attack import TOLERANCE
from garrison.robustness.attacks.ledger import Ledger
from garrison.robustness.classifier import Classifier


def threshold() -> Classifier:
    """Class 1 from 0.5 up."""

    def forward(points: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot((points[:, 0] >= 0.5).long(), 2).float()

    return Classifier(forward, 2)


@given(st.lists(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1, width=32)), max_size=8), max_size=6))
def test_counts_and_finds_are_those_of_asking_one_by_one(batches: list[list[tuple[int, float]]]) -> None:
    inputs, epsilons = torch.zeros(3, 1), (0.6, 0.9)
    ledger = Ledger(threshold(), inputs, torch.zeros(3, dtype=torch.int64), epsilons, "l2")
    counts, first, nearest = [0] * 3, [[-1] * 3, [-1] * 3], [torch.inf] * 3
    for batch in batches:
        ledger.ask(
            torch.tensor([[point] for _, point in batch]).reshape(-1, 1), torch.tensor([i for i, _ in batch]).long()
        )
        for which, point in batch:
            counts[which] += 1
            if point >= 0.5:
                nearest[which] = min(nearest[which], point)
                for place, epsilon in enumerate(epsilons):
                    if point <= epsilon * (1 + TOLERANCE) and first[place][which] < 0:
                        first[place][which] = counts[which]
    outcome = ledger.outcome("stopped")
    assert outcome.queries.tolist() == counts
    assert outcome.found_after.tolist() == first
    assert outcome.incomplete == "stopped"
    for which in range(3):
        for place in range(2):
            expected = nearest[which] if first[place][which] >= 0 else 0
            assert float(outcome.adversarial[place, which, 0]) == expected
